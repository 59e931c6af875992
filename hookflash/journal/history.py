"""Steps and transfers, written to a journal's file and read from it.

A step is stored as a document that can be read again (`Record`), and beside it what it is looked
for by: kind, calls, accounts, transfer. The row of a transfer is nothing but a summary of its
steps, written in the same transaction.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

import attrs
import cattrs
import msgspec

from hookflash import events as e
from hookflash.codec import event_from, teach_sounds, to_document
from hookflash.engine.found import Unfinished
from hookflash.engine.group import Entry
from hookflash.engine.record import Named, Parties, Record, record_from
from hookflash.errors import InputError
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Transfer

DEFAULT_ACCOUNT: Final = "default"
"""What the account of legs that are nobody's is called outside: there, a name can't be empty."""

MASK: Final = "•"
"""What is written instead of a digit: people press PINs and card numbers, too."""

_KIND_OF_FACT: Final[Mapping[type, str]] = {
    e.LegCreated: "call.created",
    e.LegProgressed: "call.progressed",
    e.LegAnswered: "call.answered",
    e.LegParked: "call.parked",
    e.LegsJoined: "call.joined",
    e.LegsSeparated: "call.separated",
    e.LegsReleased: "call.released",
    e.SoundStarted: "call.sound_started",
    e.SoundStopped: "call.sound_stopped",
    e.DigitPressed: "call.digit",
    e.LegHungUp: "call.ended",
    e.SwitchLost: "switch.lost",
    e.SwitchFound: "switch.found",
    e.CommandFailed: "engine.command_failed",
    e.TimerFired: "engine.timer",
}

KINDS: Final = (
    "transfer.requested",
    "transfer.refused",
    "transfer.found",
    "transfer.changed",
    "transfer.ended",
    "request.refused",
    "request.taken",
    *_KIND_OF_FACT.values(),
)
"""Every kind of step, as programs that follow the history name it."""


def kind_of(record: Record) -> str:
    """What kind of step a record is."""
    if record.refusal is not None:
        return "transfer.refused" if record.transfer else "request.refused"
    if record.transfer is not None:
        if record.outcome is not None:
            return "transfer.ended"
        if isinstance(record.event, e.TransferRequested):
            return "transfer.requested"
        if isinstance(record.event, e.TransferFound):
            return "transfer.found"
        if record.before is not record.after:
            return "transfer.changed"
    return _KIND_OF_FACT.get(type(record.event), "request.taken")


@attrs.frozen(kw_only=True)
class Step:
    """One step of the history, as it is stored and as it is told."""

    number: int
    at: float
    """In seconds since 1970."""
    switch: str
    accounts: tuple[str, ...]
    kind: str
    call: str | None
    other_call: str | None
    transfer: str | None
    body: bytes
    """The record, as JSON."""
    begins: bytes | None = None
    """The transfer that begins with it, as it stood before, as JSON: what a replay begins with."""

    def record(self) -> Record:
        """The record that it was made of (its digits masked, if they were).

        Raises:
            InputError: what is stored is no record.
        """
        where = f"step {self.number}"
        try:
            document = msgspec.json.decode(self.body)
        except msgspec.DecodeError as error:
            raise InputError(f"is no JSON: {error}", where=where) from error
        return record_from(document, where=where)

    def transfer_before(self) -> Transfer | None:
        """The transfer that begins with this step, as it stood before.

        Raises:
            InputError: what is stored is no transfer.
        """
        if self.begins is None:
            return None
        where = f"step {self.number}: begins"
        try:
            return _VALUES.structure(msgspec.json.decode(self.begins), Transfer)
        except (
            cattrs.BaseValidationError,
            msgspec.DecodeError,
            KeyError,
            TypeError,
            ValueError,
        ) as error:
            raise InputError(f"is no transfer: {error!r}", where=where) from error


def step_of(entry: Entry, *, masks_digits: bool = True) -> Step:
    """Make a step of what a group tells.

    Args:
        entry: what it tells.
        masks_digits: whether to hide which keys people press, but for those of feature codes.
    """
    record = _masked(entry.record) if masks_digits else entry.record
    call, other = _calls_of(record.event)
    return Step(
        number=record.number,
        at=entry.at,
        switch=entry.switch,
        accounts=tuple(account or DEFAULT_ACCOUNT for account in record.accounts),
        kind=kind_of(record),
        call=call,
        other_call=other,
        transfer=record.transfer,
        body=msgspec.json.encode(record.to_document()),
        begins=None if record.begins is None else _document_of(record.begins),
    )


_DIALLED: Final = re.compile(r"^[0-9A-D*#]+ is no ")


def _masked(record: Record) -> Record:
    if isinstance(record.event, e.DigitPressed):
        event: e.Event = attrs.evolve(record.event, digit=MASK)
    elif isinstance(record.event, e.TimerFired):
        event = record.event
    else:
        return record
    return attrs.evolve(
        record, event=event, why=_DIALLED.sub("What was dialled is no ", record.why)
    )


def _calls_of(event: e.Event) -> tuple[str | None, str | None]:
    if isinstance(event, e.CommandFailed):
        return _calls_of(cast("e.Event", event.command))
    leg = getattr(event, "leg", None) or getattr(event, "first", None)
    return leg, getattr(event, "second", None)


# ---------------------------------------------------------------------- writing


def write(connection: sqlite3.Connection, entries: Sequence[tuple[Entry, Step]]) -> None:
    """Write steps, and what they mean for the transfers: all of it, or nothing.

    Raises:
        sqlite3.Error: it can't be written; nothing is.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.executemany(
            # whoever tries again may find that it was written after all: once is enough
            f"INSERT INTO steps ({_STEP}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - our own words
            " ON CONFLICT (number) DO NOTHING",
            (_row(step) for _, step in entries),
        )
        for entry, _ in entries:
            if entry.record.transfer is not None:
                _write_transfer(connection, entry)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


_STEP: Final = "number, at, switch, accounts, kind, call, other_call, transfer, body, begins"
"""The columns of a step, in their order."""


def _row(step: Step) -> tuple[object, ...]:
    return (
        step.number,
        step.at,
        step.switch,
        f"|{'|'.join(step.accounts)}|",
        step.kind,
        step.call,
        step.other_call,
        step.transfer,
        step.body.decode(),
        None if step.begins is None else step.begins.decode(),
    )


def _write_transfer(connection: sqlite3.Connection, entry: Entry) -> None:
    record = entry.record
    if record.parties is not None and record.refusal is None:
        if isinstance(record.event, e.TransferRequested):
            _insert_transfer(connection, entry, record.event, record.parties)
        elif isinstance(record.event, e.TransferFound) and record.begins is not None:
            found = e.TransferRequested(
                leg=record.parties.transferor.leg,
                transfer=record.event.transfer,
                target=record.parties.target.number,
                kind=record.begins.kind,
                by="found",
            )
            _insert_transfer(connection, entry, found, record.parties)
    if record.outcome is not None:
        connection.execute(
            "UPDATE transfers SET state = 'idle', ended = ?, last_step = ?, outcome = ?, cause = ?"
            " WHERE id = ? AND outcome IS NULL",
            (entry.at, record.number, record.outcome.value, record.cause, record.transfer),
        )
    elif record.after is not None and record.after is not record.before:
        connection.execute(
            "UPDATE transfers SET state = ?, last_step = ? WHERE id = ?",
            (record.after.value, record.number, record.transfer),
        )


def _insert_transfer(
    connection: sqlite3.Connection, entry: Entry, request: e.TransferRequested, parties: Parties
) -> None:
    record = entry.record
    connection.execute(
        "INSERT INTO transfers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?,"
        " NULL, NULL) ON CONFLICT (id) DO NOTHING",
        (
            request.transfer,
            record.account or DEFAULT_ACCOUNT,
            entry.switch,
            request.kind.value,
            request.by,
            request.target,
            parties.transferor.leg,
            parties.transferor.number,
            parties.transferee.leg,
            parties.transferee.number,
            parties.target.leg,
            msgspec.json.encode(to_document(request)).decode(),
            _document_of(entry.policy).decode(),
            entry.at,
            record.number,
            record.after.value if record.after else "idle",
            record.number,
        ),
    )


_VALUES: Final = cattrs.Converter(omit_if_default=True)
teach_sounds(_VALUES)


def _document_of(value: Policy | Transfer | None) -> bytes:
    """What differs from the defaults, as JSON."""
    return b"{}" if value is None else msgspec.json.encode(_VALUES.unstructure(value))


@attrs.frozen(kw_only=True)
class Pruned:
    """What was forgotten."""

    steps: int = 0
    transfers: int = 0
    is_all: bool = True
    """Whether nothing that is old enough is left."""


PRUNED_AT_ONCE: Final = 10_000
"""Steps forgotten in one transaction: some 100 ms, in which nobody else can write."""

# no further than the first that is young: there is no index by time, and there need be none
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
    """Forget steps, ended transfers and given answers that are older: some of them at a time.

    A transfer is forgotten as a whole, when its end is old enough: one that is in flight, never.
    The last step stays in any case, so that the numbers go on where they were.

    Args:
        connection: to the file.
        before: in seconds since 1970.
        most: how many steps to forget now.

    Raises:
        sqlite3.Error: it can't be written; nothing is forgotten.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        steps = connection.execute(
            f"DELETE FROM steps WHERE number IN ({_OLD})",  # noqa: S608 - our own words; what is asked for goes by parameters
            {"before": before, "most": most},
        ).rowcount
        transfers = 0
        if steps < most:
            transfers = connection.execute(
                "DELETE FROM transfers WHERE outcome IS NOT NULL AND ended < ?", (before,)
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
    """Which steps somebody wants. What is not given does not matter."""

    account: str | None = None
    call: str | None = None
    transfer: str | None = None
    kinds: tuple[str, ...] = ()
    """Kinds, or the beginning of kinds with a star behind: `transfer.*`. Empty: all."""

    def wants(self, step: Step) -> bool:
        """Whether it is one of them."""
        return (
            (self.account is None or self._concerns(step))
            and (self.call is None or self.call in (step.call, step.other_call))
            and (self.transfer is None or self.transfer == step.transfer)
            and (not self.kinds or any(_is_kind(step.kind, kind) for kind in self.kinds))
        )

    def _concerns(self, step: Step) -> bool:
        """Whether it is the account's business. A switch that comes and goes is everybody's."""
        return self.account in step.accounts or step.kind.startswith("switch.")


def _is_kind(kind: str, wanted: str) -> bool:
    return kind.startswith(wanted[:-1]) if wanted.endswith("*") else kind == wanted


_SCANNED_AT_ONCE: Final = 5_000
"""Steps that one look at the file passes over: some milliseconds."""


def last_number(connection: sqlite3.Connection) -> int:
    """The number of the last step; 0 before the first."""
    return int(connection.execute("SELECT coalesce(max(number), 0) FROM steps").fetchone()[0])


def read_after(
    connection: sqlite3.Connection, after: int, wanted: Wanted, *, most: int = 500
) -> tuple[list[Step], int]:
    """Read on from a number.

    Args:
        connection: to the file.
        after: the last number that was read.
        wanted: which steps.
        most: how many to return.

    Returns:
        The steps, and the number up to which the file has been looked through. When it is the one
        that was given, there are no more steps.
    """
    rows = connection.execute(
        "SELECT * FROM steps WHERE number > ? ORDER BY number LIMIT ?",
        (after, _SCANNED_AT_ONCE),
    )
    found: list[Step] = []
    seen = after
    for row in rows:
        step = _step(row)
        seen = step.number
        if wanted.wants(step):
            found.append(step)
            if len(found) == most:
                break
    return found, seen


def steps_of(connection: sqlite3.Connection, transfer: str) -> list[Step]:
    """All steps of a transfer, in order."""
    rows = connection.execute("SELECT * FROM steps WHERE transfer = ? ORDER BY number", (transfer,))
    return [_step(row) for row in rows]


def all_steps(
    connection: sqlite3.Connection, wanted: Wanted, *, most: int | None = None
) -> Iterator[Step]:
    """Every step that is wanted, in order; the last ones, if only so many are."""
    if most is not None:
        rows = connection.execute("SELECT * FROM steps ORDER BY number DESC")
        last: list[Step] = []
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


def _step(row: Sequence[Any]) -> Step:
    number, at, switch, accounts, kind, call, other_call, transfer, body, begins = row
    return Step(
        number=number,
        at=at,
        switch=switch,
        accounts=tuple(accounts.strip("|").split("|")) if accounts != "||" else (),
        kind=kind,
        call=call,
        other_call=other_call,
        transfer=transfer,
        body=body.encode(),
        begins=None if begins is None else begins.encode(),
    )


@attrs.frozen(kw_only=True)
class Past:
    """A transfer, as the history has it."""

    id: str
    account: str
    switch: str
    kind: str
    by: str
    target: str
    parties: Parties
    request: e.TransferRequested
    policy: Policy
    begun: float
    state: str
    ended: float | None
    outcome: str | None
    cause: str | None


def find_transfer(connection: sqlite3.Connection, transfer: str) -> Past | None:
    """One transfer; `None` if the history has none of this id."""
    row = connection.execute("SELECT * FROM transfers WHERE id = ?", (transfer,)).fetchone()
    return _past(row) if row else None


def find_transfers(
    connection: sqlite3.Connection,
    *,
    account: str | None = None,
    outcome: str | None = None,
    begun_from: float | None = None,
    begun_before: float | None = None,
    older_than: tuple[float, str] | None = None,
    most: int = 50,
) -> list[Past]:
    """Transfers, the newest first.

    Args:
        connection: to the file.
        account: whose.
        outcome: how they ended; `running` for those that have not.
        begun_from: in seconds since 1970.
        begun_before: in seconds since 1970.
        older_than: where the page before this one ended: when its last one began, and its id.
        most: how many.
    """
    conditions: list[str] = []
    values: list[object] = []

    def where(condition: str, *given: object) -> None:
        conditions.append(condition)
        values.extend(given)

    if account is not None:
        where("account = ?", account)
    if outcome == "running":
        where("outcome IS NULL")
    elif outcome is not None:
        where("outcome = ?", outcome)
    if begun_from is not None:
        where("begun >= ?", begun_from)
    if begun_before is not None:
        where("begun < ?", begun_before)
    if older_than is not None:
        where("(begun, id) < (?, ?)", *older_than)
    told = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    rows = connection.execute(
        f"SELECT * FROM transfers {told} ORDER BY begun DESC, id DESC LIMIT ?",  # noqa: S608 - only our own words are put together; what is asked for goes by parameters
        (*values, most),
    )
    return [_past(row) for row in rows]


_TOLD: Final = (
    "id",
    "account",
    "switch",
    "kind",
    "by",
    "target",
    "transferor_call",
    "transferor_number",
    "transferee_call",
    "transferee_number",
    "target_call",
    "request",
    "policy",
    "begun",
    "first_step",
    "state",
    "ended",
    "last_step",
    "outcome",
    "cause",
)
"""The columns of a transfer, in their order."""


def _past(row: Sequence[Any]) -> Past:
    told = dict(zip(_TOLD, row, strict=True))
    return Past(
        id=told["id"],
        account=told["account"],
        switch=told["switch"],
        kind=told["kind"],
        by=told["by"],
        target=told["target"],
        parties=Parties(
            transferor=Named(told["transferor_call"], told["transferor_number"]),
            transferee=Named(told["transferee_call"], told["transferee_number"]),
            target=Named(told["target_call"], told["target"]),
        ),
        request=_request_from(told["request"], f"transfer {told['id']}"),
        policy=_VALUES.structure(msgspec.json.decode(told["policy"]), Policy),
        begun=told["begun"],
        state=told["state"],
        ended=told["ended"],
        outcome=told["outcome"],
        cause=told["cause"],
    )


def _request_from(text: str, where: str) -> e.TransferRequested:
    event = event_from(msgspec.json.decode(text), where=where)
    if not isinstance(event, e.TransferRequested):
        raise InputError("is no request for a transfer", where=where)
    return event


def transfer_ids(connection: sqlite3.Connection) -> list[str]:
    """The ids of all transfers, in the order in which they began."""
    rows = connection.execute("SELECT id FROM transfers ORDER BY first_step")
    return [str(transfer) for (transfer,) in rows]


def unfinished(connection: sqlite3.Connection) -> dict[str, dict[str, Unfinished]]:
    """By switch, the transfers that have no outcome yet."""
    found: dict[str, dict[str, Unfinished]] = {}
    for row in connection.execute("SELECT * FROM transfers WHERE outcome IS NULL"):
        past = _past(row)
        found.setdefault(past.switch, {})[past.id] = Unfinished(
            request=past.request,
            parties=past.parties,
            account="" if past.account == DEFAULT_ACCOUNT else past.account,
        )
    return found


MOST_ENDED: Final = 20_000
"""Of so many transfers it is known after a restart that they have ended. Only those of the last
seconds can have left marks behind."""


def ended_lately(connection: sqlite3.Connection) -> dict[str, frozenset[str]]:
    """By switch, the transfers that have ended last."""
    found: dict[str, set[str]] = {}
    for switch, transfer in connection.execute(
        "SELECT switch, id FROM transfers WHERE outcome IS NOT NULL ORDER BY rowid DESC LIMIT ?",
        (MOST_ENDED,),
    ):
        found.setdefault(switch, set()).add(transfer)
    return {switch: frozenset(transfers) for switch, transfers in found.items()}


def records_of(steps: Iterable[Step]) -> list[Record]:
    """The records that steps were made of."""
    return [step.record() for step in steps]
