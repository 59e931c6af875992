"""What can still be read of a damaged journal.

SQLite stops at the first damaged page. Here reading goes on behind it: the next row that can be
read is looked for in steps that double.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import attrs

from hookflash.journal.database import (
    JournalError,
    check_regular,
    companions,
    connect_read_only,
    open_in_memory,
)
from hookflash.journal.history import LAST_NUMBER

HEADER_BYTES: Final = 100
_PAGES_AT, _FREE_AT, _FREE_END = 28, 32, 40
"""Where the header has the number of pages, and the list of free ones."""

MOST_TRANSFERS: Final = 1_000
"""Ended transfers that are carried over: legs may still have marks of the latest."""

MOST_CARRIED: Final = 10_000
"""Rows of a table that are carried over: the latest."""

FARTHEST: Final = 2**62

CARRIED: Final = ("keys", "secrets", "metaflows", "answers", "transfers", "clock")
"""The tables without the steps: what a service can't do without, and little."""


@attrs.frozen(kw_only=True)
class Salvage:
    """What was read of a damaged journal, but for its steps."""

    rows: Mapping[str, Sequence[Mapping[str, Any]]] = attrs.field(
        factory=dict[str, Sequence[Mapping[str, Any]]]
    )
    """By table."""
    last: int = 0
    """The highest number of a step that was found."""
    is_all: bool = False
    """Whether nothing of it was unreadable."""

    def __str__(self) -> str:
        found = ", ".join(f"{len(self.rows.get(table, ()))} {table}" for table in CARRIED[:3])
        return found.replace("metaflows", "accounts' feature codes")


@attrs.define
class Holes:
    """Counts what could not be read."""

    count: int = 0


def salvage(connection: sqlite3.Connection) -> Salvage:
    """Read all but the steps, as far as it can be read."""
    holes = Holes()
    rows: dict[str, Sequence[Mapping[str, Any]]] = {}
    for table in CARRIED:
        found = readable_rows(connection, table, holes)
        rows[table] = _latest(found) if table == "transfers" else deque(found, MOST_CARRIED)
    last = _highest_number(connection, holes)
    return Salvage(rows=rows, last=last, is_all=not holes.count)


def _latest(transfers: Iterator[dict[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Those in flight, and the latest of the ended ones; in memory there are never more."""
    in_flight: deque[dict[str, Any]] = deque(maxlen=MOST_CARRIED)
    ended: deque[dict[str, Any]] = deque(maxlen=MOST_TRANSFERS)
    for transfer in transfers:
        (in_flight if transfer.get("outcome") is None else ended).append(transfer)
    return [*ended, *in_flight]


def _highest_number(connection: sqlite3.Connection, holes: Holes) -> int:
    """The highest number of a step that can be found."""
    found = [0]
    for query in (
        "SELECT max(number) FROM steps",
        "SELECT max(number) FROM steps_of_account",
        "SELECT whole_from - 1 FROM numbering",
        "SELECT max(last_step) FROM transfers NOT INDEXED",
    ):
        try:
            number = connection.execute(query).fetchone()[0] or 0
        except (sqlite3.Error, TypeError):  # the second: its table is empty
            holes.count += 1
            continue
        if isinstance(number, int) and number <= LAST_NUMBER:
            found.append(number)
        else:
            holes.count += 1
    return max(found)


def readable_rows(
    connection: sqlite3.Connection, table: str, holes: Holes
) -> Iterator[dict[str, Any]]:
    """All rows of a table that can be read, in the order in which they came."""
    try:
        is_table = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?"
        columns = (  # a view may have no end
            [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            if connection.execute(is_table, (table,)).fetchone()
            else []
        )
    except sqlite3.Error:
        columns = []
    if not columns:
        holes.count += 1
        return
    query = (
        f"SELECT rowid, {', '.join(columns)} FROM {table} NOT INDEXED"  # noqa: S608 - our own names
        " WHERE rowid > ? ORDER BY rowid"
    )
    after = -1
    while True:
        try:
            for row, *values in connection.execute(query, (after,)):
                after = int(row)
                yield dict(zip(columns, values, strict=True))
        except sqlite3.Error:
            holes.count += 1
            found = _before_next(connection, f"{query} LIMIT 1", after)
            if found is None:
                return
            after = found
        else:
            return


def _before_next(connection: sqlite3.Connection, query: str, after: int) -> int | None:
    """Find the next row that can be read behind a damaged place.

    Returns:
        A row ID shortly before it; `None` if there is none.
    """

    def can_read(place: int) -> bool | None:
        try:
            return connection.execute(query, (place,)).fetchone() is not None or None
        except sqlite3.Error:
            return False

    bad, step = after, 1
    while not (can := can_read(after + step)):
        if can is None or step > FARTHEST:
            return None
        bad, step = after + step, step * 2
    good = after + step
    while good - bad > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if can_read(middle) else (good, middle)
    return good


def restore(connection: sqlite3.Connection, found: Salvage, *, last: int) -> None:
    """Put what was read into a new journal, and let its numbers begin after the last one."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for table in CARRIED:
            insert_rows(connection, table, found.rows.get(table, ()))
        connection.execute("UPDATE numbering SET whole_from = ?", (last + 1,))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def insert_rows(
    connection: sqlite3.Connection, table: str, rows: Sequence[Mapping[str, Any]]
) -> int:
    """Insert rows that were read of another file; those that don't fit are left out.

    Returns:
        How many were left out.
    """
    known = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
    left_out = 0
    for row in rows:
        columns = [column for column in row if column in known]
        places = ", ".join("?" * len(columns))
        insert = f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({places})"  # noqa: S608 - our own names
        try:
            connection.execute(insert, [row[column] for column in columns])
        except sqlite3.IntegrityError:  # the type of a value, for example: it was damaged, too
            left_out += 1
    return left_out


@contextmanager
def open_damaged(path: Path) -> Generator[sqlite3.Connection | None]:
    """Open a damaged journal, to read what can be read of it. It is not changed.

    If SQLite can't open it, a copy with a new header is tried.

    Yields:
        A connection; `None` if nothing of it can be read.
    """
    try:
        check_regular(path)
    except JournalError:
        yield None
        return
    copy = path.with_name(f"{path.name}.with-a-header")
    connection = _opened(path)
    try:
        if connection is None:
            with suppress(OSError):
                _copy_with_header(path, copy)
                connection = _opened(copy)
        yield connection
    finally:
        if connection is not None:
            connection.close()
        for file in (copy, *companions(copy)):
            with suppress(OSError):
                file.unlink(missing_ok=True)


def _opened(path: Path) -> sqlite3.Connection | None:
    """A connection to a file, if its schema can be read."""
    try:
        connection = connect_read_only(path)
    except (sqlite3.Error, JournalError):
        return None
    try:
        if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'steps'").fetchone():
            return connection
    except sqlite3.Error:
        pass
    connection.close()
    return None


def _copy_with_header(path: Path, copy: Path) -> None:
    """Copy a journal, and write the header of a fresh one over its own."""
    with closing(open_in_memory()) as fresh:
        header = bytearray(fresh.serialize()[:HEADER_BYTES])
    page_bytes = int.from_bytes(header[16:18], "big")
    pages = path.stat().st_size // page_bytes
    header[18:20] = b"\x02\x02"  # it has a -wal
    header[_PAGES_AT:_FREE_AT] = pages.to_bytes(4, "big")
    header[_FREE_AT:_FREE_END] = bytes(_FREE_END - _FREE_AT)
    for old, new in zip((path, *companions(path)), (copy, *companions(copy)), strict=True):
        if old.exists():
            shutil.copyfile(old, new)
    with copy.open("r+b") as file:
        file.write(header)
