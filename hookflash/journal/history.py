"""The table of steps: each holds a record as JSON, with columns for what people search by."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs
import msgspec

from hookflash.errors import InputError
from hookflash.journal.rows import check_times, is_time, read_or_skip
from hookflash.journal.step import StoredStep, reading
from hookflash.journal.transfers import write_transfer

# ---------------------------------------------------------------------- writing


def write(connection: sqlite3.Connection, steps: Sequence[StoredStep]) -> None:
    """Write steps, and update their transfers, in one transaction.

    Raises:
        sqlite3.Error: nothing was written.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.executemany(
            # a retry may find that the first attempt was written after all
            f"INSERT INTO steps ({_STEP}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - constants
            " ON CONFLICT (number) DO NOTHING",
            map(_row, steps),
        )
        for step in steps:
            if step.transfer is not None:
                write_transfer(connection, step.record())
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


_STEP: Final = "number, at, switch, accounts, kind, call, other_call, transfer, body, begins"
"""The columns of a step, in their order."""


def _row(step: StoredStep) -> tuple[object, ...]:
    return (
        step.number,
        step.at,
        step.switch,
        msgspec.json.encode(step.accounts).decode(),
        step.kind,
        step.call,
        step.other_call,
        step.transfer,
        step.body.decode(),
        None if step.begins is None else step.begins.decode(),
    )


@attrs.frozen(kw_only=True)
class Pruned:
    """How much was deleted."""

    steps: int = 0
    transfers: int = 0
    is_all: bool = True
    """Whether nothing old enough is left."""


PRUNED_AT_ONCE: Final = 5_000
"""Steps deleted in one transaction: about 100 ms, during which nobody else can write."""

# the scan ends at the first recent step, so that no index by time is needed
_OLD: Final = """
    SELECT number FROM steps LEFT JOIN transfers ON transfers.id = steps.transfer
    WHERE at < :before AND number < (SELECT max(number) FROM steps)
    AND number < coalesce(
        (SELECT number FROM steps WHERE at >= :before ORDER BY number LIMIT 1),
        (SELECT max(number) FROM steps))
    AND (transfers.id IS NULL OR ended < :before)
    ORDER BY number LIMIT :most
"""


def prune(connection: sqlite3.Connection, *, before: float, most: int = PRUNED_AT_ONCE) -> Pruned:
    """Delete a batch of old steps; at the end also old transfers and stored answers.

    A transfer is deleted as a whole, once its end is old enough, and never while in flight. The
    last step is kept, so that the numbering continues.

    Args:
        connection: to the file.
        before: delete what is older than this, in seconds since 1970.
        most: how many steps to delete now.

    Raises:
        sqlite3.Error: nothing was deleted.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        steps = connection.execute(
            f"DELETE FROM steps WHERE number IN ({_OLD})",  # noqa: S608 - constants
            {"before": before, "most": most},
        ).rowcount
        transfers = 0
        if steps < most:
            transfers = connection.execute(
                # as a whole: its time may be wrong, and its steps are in the order of their numbers
                "DELETE FROM transfers WHERE outcome IS NOT NULL AND ended < ? AND NOT EXISTS"
                " (SELECT 1 FROM steps WHERE steps.transfer = transfers.id"
                " AND number < (SELECT max(number) FROM steps))",
                (before,),
            ).rowcount
            connection.execute("DELETE FROM answers WHERE at < ?", (before,))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return Pruned(steps=steps, transfers=transfers, is_all=steps < most)


# ---------------------------------------------------------------------- reading


@attrs.frozen(kw_only=True)
class Wanted:
    """A filter for steps. Fields that are not set match everything."""

    account: str | None = None
    call: str | None = None
    transfer: str | None = None
    kinds: tuple[str, ...] = ()
    """Kinds, or prefixes of kinds followed by a star, such as `transfer.*`. Empty: all."""

    def wants(self, step: StoredStep) -> bool:
        """Whether a step matches."""
        return (
            (self.account is None or self._concerns(step))
            and (self.call is None or self.call in (step.call, step.other_call))
            and (self.transfer is None or self.transfer == step.transfer)
            and (not self.kinds or any(_is_kind(step.kind, kind) for kind in self.kinds))
        )

    def _concerns(self, step: StoredStep) -> bool:
        """Whether a step concerns the account. Events of a switch concern every account."""
        return self.account in step.accounts or step.kind.startswith("switch.")


def _is_kind(kind: str, wanted: str) -> bool:
    return kind.startswith(wanted[:-1]) if wanted.endswith("*") else kind == wanted


_SCANNED_AT_ONCE: Final = 1_000
"""Steps scanned by one query: some 10 ms, for which other readers wait."""


LAST_NUMBER: Final = 2**53 - 1
"""The highest number that JSON's readers keep exact: no service gets so far."""


def last_number(connection: sqlite3.Connection) -> int:
    """The number of the last step, even if it was deleted or lost; 0 if there was none.

    Raises:
        InputError: no step can have such a number.
    """
    last = "SELECT max(whole_from - 1, coalesce((SELECT max(number) FROM steps), 0)) FROM numbering"
    row = connection.execute(last).fetchone()
    number = row[0] if row else None
    if not isinstance(number, int) or not 0 <= number <= LAST_NUMBER:
        raise InputError(f"the last step can't be {number}")
    return number


def newest_time(connection: sqlite3.Connection) -> float | None:
    """When the last step was, in seconds since 1970; `None` if that is not known."""
    row = connection.execute("SELECT at FROM steps ORDER BY number DESC LIMIT 1").fetchone()
    return float(row[0]) if row and is_time(row[0]) else None


def whole_from(connection: sqlite3.Connection) -> int:
    """The number from which on no step is missing: none was deleted, or lost by a failing disk."""
    return int(connection.execute("SELECT whole_from FROM numbering").fetchone()[0])


def read_after(
    connection: sqlite3.Connection, after: int, wanted: Wanted, *, most: int = 500
) -> tuple[list[StoredStep], int]:
    """Read the next steps after a number.

    Args:
        connection: to the file.
        after: the last number that was read.
        wanted: the filter.
        most: how many to return.

    Returns:
        The steps, and the last number up to which none is missing; if that is `after`, there are
        no more.
    """
    last = max(after, last_number(connection))  # before the queries: later ones may not be in them
    of_account = None if wanted.account is None else _id_of(connection, wanted.account)
    numbers = _NUMBERS if of_account is None else _NUMBERS_OF_ACCOUNT
    values: dict[str, object] = {
        "after": after,
        "last": last,
        "scan": _SCANNED_AT_ONCE,
        "account": of_account,
        "call": wanted.call,
        "transfer": wanted.transfer,
        "kinds": msgspec.json.encode(wanted.kinds or ("*",)).decode(),
    }
    scanned, seen = connection.execute(
        f"SELECT count(*), max(number) FROM ({numbers})",  # noqa: S608 - constants
        values,
    ).fetchone()
    if scanned < _SCANNED_AT_ONCE:
        seen = last
    found: list[StoredStep] = []
    for row in connection.execute(_STEPS.format(numbers=numbers), values | {"last": seen}):
        step = _readable_step(connection, row)
        if step is not None and wanted.wants(step):
            found.append(step)
            if len(found) == most:
                return found, step.number
    return found, seen


def _id_of(connection: sqlite3.Connection, account: str) -> int:
    row = connection.execute("SELECT id FROM accounts WHERE name = ?", (account,)).fetchone()
    return row[0] if row else -1


_NUMBERS: Final = """
    SELECT number FROM steps WHERE number > :after AND number <= :last
    ORDER BY number LIMIT :scan
"""

_NUMBERS_OF_ACCOUNT: Final = """
    SELECT number FROM steps_of_account
        WHERE account = :account AND number > :after AND number <= :last
    UNION
    SELECT number FROM steps_of_account
        WHERE account = 0 AND number > :after AND number <= :last
    ORDER BY number LIMIT :scan
"""

# the database passes over most of what nobody wants: a row costs much more in Python
_STEPS: Final = """
    SELECT steps.* FROM ({numbers}) AS next CROSS JOIN steps ON steps.number = next.number
    WHERE (:call IS NULL OR :call IN (call, other_call))
    AND (:transfer IS NULL OR transfer = :transfer)
    AND EXISTS (SELECT 1 FROM json_each(:kinds) AS wanted WHERE kind GLOB wanted.value)
    ORDER BY next.number
"""


def steps_of(connection: sqlite3.Connection, transfer: str) -> list[StoredStep]:
    """All steps of a transfer, in order."""
    return [_step(row) for row in _rows_of(connection, transfer)]


def readable_steps_of(connection: sqlite3.Connection, transfer: str) -> list[StoredStep]:
    """The steps of a transfer that can be read, in order."""
    steps = (_readable_step(connection, row) for row in _rows_of(connection, transfer))
    return [step for step in steps if step is not None]


def _rows_of(connection: sqlite3.Connection, transfer: str) -> Iterator[Sequence[Any]]:
    return connection.execute("SELECT * FROM steps WHERE transfer = ? ORDER BY number", (transfer,))


def all_steps(
    connection: sqlite3.Connection, wanted: Wanted, *, most: int | None = None
) -> Iterator[StoredStep]:
    """Every step that matches, in order; with `most`, only the last ones."""
    if most is not None:
        rows = connection.execute("SELECT * FROM steps ORDER BY number DESC")
        last: list[StoredStep] = []
        for row in rows:
            step = _step(row)
            if wanted.wants(step):
                last.append(step)
                if len(last) == most:
                    break
        yield from reversed(last)
        return
    for row in connection.execute("SELECT * FROM steps ORDER BY number"):
        step = _step(row)
        if wanted.wants(step):
            yield step


def _readable_step(connection: sqlite3.Connection, row: Sequence[Any]) -> StoredStep | None:
    """A step; `None` if it can't be published. One bad row must not stop its readers."""
    return read_or_skip(connection, f"step {row[0]}", lambda: _step(row).with_summary())


def step_from_row(row: Mapping[str, Any]) -> StoredStep:
    """The step of a row that was read by its columns.

    Raises:
        InputError: it can't be read.
    """
    return _step([row.get(column.strip()) for column in _STEP.split(",")])


def _step(row: Sequence[Any]) -> StoredStep:
    number, at, switch, accounts, kind, call, other_call, transfer, body, begins = row
    with reading(f"step {number}"):
        check_times(at)
        return StoredStep(
            number=number,
            at=at,
            switch=switch,
            accounts=_ACCOUNTS.decode(accounts),
            kind=kind,
            call=call,
            other_call=other_call,
            transfer=transfer,
            body=body.encode(),
            begins=None if begins is None else begins.encode(),
        )


_ACCOUNTS: Final = msgspec.json.Decoder(tuple[str, ...])
