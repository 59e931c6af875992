"""Checks a whole journal, and writes what can be read of it into a new one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import attrs
import msgspec

from hookflash.dialling.metaflows import parse_metaflows
from hookflash.errors import InputError
from hookflash.journal import history, registry, transfers
from hookflash.journal.damage import check_file
from hookflash.journal.database import (
    DamagedJournal,
    JournalError,
    is_ours,
    open_database,
    open_for_reading,
)
from hookflash.journal.rows import JournalConnection
from hookflash.journal.salvage import CARRIED, Holes, insert_rows, open_damaged, readable_rows

MOST_SHOWN: Final = 20
"""Of SQLite's own findings."""

AT_ONCE: Final = 2_000


@attrs.frozen(kw_only=True)
class Checked:
    """What is in a journal, and what is wrong with it."""

    steps: int = 0
    last: int = 0
    keys: int = 0
    problems: tuple[str, ...] = ()


def check_journal(path: Path) -> Checked:
    """Read everything in a journal. A service may be using it.

    Raises:
        InputError: the file is not a journal.
        JournalError: it can't be opened now.
    """
    try:
        check_file(path)
        with closing(open_for_reading(path)) as connection:
            return _checked(connection)
    except DamagedJournal as damage:
        return Checked(problems=(damage.why,))
    except sqlite3.Error as error:
        return Checked(problems=(str(error),))


def _checked(connection: JournalConnection) -> Checked:
    problems = [
        f"SQLite: {text}"
        for (text,) in connection.execute(f"PRAGMA integrity_check({MOST_SHOWN})")
        if text != "ok"
    ]
    holes = Holes()
    numbers = _Numbers(whole_from=history.whole_from(connection))
    for row in readable_rows(connection, "steps", holes):
        numbers.see(int(row["number"]))
        problems += _problem_of_step(row)
    if holes.count:
        problems.append("the table of steps has places that can't be read")
    problems += numbers.problems
    problems += _problems_of_codes(connection)
    transfers.unfinished(connection)
    problems += [f"{row}: {why}" for row, why in connection.unreadable.items()]
    keys = registry.list_keys(connection)
    return Checked(steps=numbers.count, last=numbers.last, keys=len(keys), problems=tuple(problems))


@attrs.define(kw_only=True)
class _Numbers:
    """The numbers of the steps, and what is missing between them."""

    whole_from: int
    count: int = 0
    last: int = 0
    problems: list[str] = attrs.field(factory=list[str])

    def see(self, number: int) -> None:
        """See the next one. Before `whole_from` steps may have been deleted as old."""
        first = max(self.last + 1, self.whole_from)
        if first < number:
            self.problems.append(f"steps {first} to {number - 1} are missing")
        self.count, self.last = self.count + 1, number


def _problem_of_step(row: Mapping[str, Any]) -> Iterator[str]:
    try:
        step = history.step_from_row(row)
        step.record()
        step.transfer_before()
    except InputError as error:
        yield str(error)


def _problems_of_codes(connection: JournalConnection) -> Iterator[str]:
    for account, document in registry.stored_metaflows(connection).items():
        try:
            parse_metaflows(document, "metaflows")
        except Exception as error:  # noqa: BLE001 - not even shaped like codes
            yield f"feature codes of {account}: {error}"


@attrs.frozen(kw_only=True)
class Repaired:
    """What was written into a new journal."""

    steps: int
    transfers: int
    keys: int
    left_out: int
    """Places and rows that could not be read."""


def repair_journal(path: Path, repaired: Path) -> Repaired:
    """Write all that can be read of a journal into a new one. The old one is not changed.

    Raises:
        InputError: the file is not a journal.
        JournalError: nothing can be read, or the new one can't be written.
    """
    if not is_ours(path):
        raise InputError("is not a journal", where=str(path), hint="name a journal")
    holes = Holes()
    with open_damaged(path) as damaged:
        if damaged is None:
            raise JournalError(f"{path}: nothing of it can be read")
        with closing(open_database(repaired)) as new:
            try:
                _copy(damaged, new, holes)
            except sqlite3.Error as error:
                raise JournalError(f"{repaired}: {error}") from error
            counts = {
                table: int(new.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - our own names
                for table in ("steps", "transfers", "keys")
            }
    return Repaired(**counts, left_out=holes.count)


def _copy(damaged: sqlite3.Connection, new: sqlite3.Connection, holes: Holes) -> None:
    """Copy each table, some rows in one transaction."""
    for table in (*CARRIED, "steps"):
        batch: list[dict[str, Any]] = []
        for row in readable_rows(damaged, table, holes):
            if table == "steps" and not _can_be_read(row):
                holes.count += 1
                continue
            batch.append(row)
            if len(batch) == AT_ONCE:
                _insert(new, table, batch, holes)
                batch = []
        _insert(new, table, batch, holes)
    try:
        whole_from = history.whole_from(damaged)
    except sqlite3.Error:
        return
    new.execute("UPDATE numbering SET whole_from = max(whole_from, ?)", (whole_from,))


def _insert(new: sqlite3.Connection, table: str, rows: list[dict[str, Any]], holes: Holes) -> None:
    new.execute("BEGIN IMMEDIATE")
    holes.count += insert_rows(new, table, rows)
    new.execute("COMMIT")


def _can_be_read(row: dict[str, Any]) -> bool:
    """Whether a step can be published; the accounts of an older release are converted."""
    text = str(row["accounts"])
    if text.startswith("|"):
        row["accounts"] = msgspec.json.encode([one for one in text.split("|") if one]).decode()
    try:
        history.step_from_row(row).with_summary()
    except InputError:
        return False
    return True
