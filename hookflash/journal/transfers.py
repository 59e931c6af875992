"""The journal's table of transfers: a summary of their steps, written in the same transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

import attrs
import msgspec

from hookflash import events as e
from hookflash.codec import event_from, to_document
from hookflash.engine.found import Unfinished
from hookflash.engine.record import Named, Parties, Record
from hookflash.errors import InputError
from hookflash.fsm.policy import Policy
from hookflash.journal.step import DEFAULT_ACCOUNT, VALUES, document_of


def write_transfer(connection: sqlite3.Connection, record: Record) -> None:
    """Write what a record means for its transfer."""
    if record.parties is not None and record.refusal is None:
        if isinstance(record.event, e.TransferRequested):
            _insert_transfer(connection, record, record.event, record.parties)
        elif isinstance(record.event, e.TransferFound) and record.begins is not None:
            found = e.TransferRequested(
                leg=record.parties.transferor.leg,
                transfer=record.event.transfer,
                target=record.parties.target.number,
                kind=record.begins.kind,
                by="found",
            )
            _insert_transfer(connection, record, found, record.parties)
    if record.outcome is not None:
        connection.execute(
            "UPDATE transfers SET state = 'idle', ended = ?, last_step = ?, outcome = ?, cause = ?"
            " WHERE id = ? AND outcome IS NULL",
            (record.at, record.number, record.outcome.value, record.cause, record.transfer),
        )
    elif record.after is not None and record.after is not record.before:
        connection.execute(
            "UPDATE transfers SET state = ?, last_step = ? WHERE id = ?",
            (record.after.value, record.number, record.transfer),
        )


def _insert_transfer(
    connection: sqlite3.Connection, record: Record, request: e.TransferRequested, parties: Parties
) -> None:
    connection.execute(
        "INSERT INTO transfers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?,"
        " NULL, NULL) ON CONFLICT (id) DO NOTHING",
        (
            request.transfer,
            record.account or DEFAULT_ACCOUNT,
            record.switch,
            request.kind.value,
            request.by,
            request.target,
            parties.transferor.leg,
            parties.transferor.number,
            parties.transferee.leg,
            parties.transferee.number,
            parties.target.leg,
            msgspec.json.encode(to_document(request)).decode(),
            document_of(record.begins.policy if record.begins else None).decode(),
            record.at,
            record.number,
            record.after.value if record.after else "idle",
            record.number,
        ),
    )


# ---------------------------------------------------------------------- reading


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
        policy=VALUES.structure(msgspec.json.decode(told["policy"]), Policy),
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
