"""The table of transfers: a summary of their steps, written in the same transaction."""

from __future__ import annotations

import itertools
import logging
import sqlite3
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from functools import partial
from typing import Any, Final

import attrs
import msgspec
import structlog

from hookflash import events as e
from hookflash.accounts import DEFAULT_ACCOUNT
from hookflash.codec import event_from, to_document
from hookflash.engine.found import Unfinished
from hookflash.engine.record import Named, Parties, Record
from hookflash.errors import InputError
from hookflash.fsm.transfer import Transfer
from hookflash.journal.rows import check_times, read_or_skip
from hookflash.journal.step import (
    StoredStep,
    document_of,
    reading,
    transfer_from,
)
from hookflash.transfer_context import ProgramData, program_data

log = structlog.wrap_logger(logging.getLogger("hookflash.journal"))

RUNNING: Final = "running"
"""Where outcomes are named: there is none yet."""


def write_transfer(connection: sqlite3.Connection, record: Record) -> None:
    """Insert or update the transfer of a record."""
    request = _request_in(record)
    if request is not None and record.parties is not None:
        _insert_transfer(connection, record, request, record.parties)
    if record.outcome is not None:
        if record.parties is not None:  # the last of several, or a fallback target
            target = record.parties.target
            connection.execute(
                "UPDATE transfers SET target = ?, target_call = ? WHERE id = ? AND outcome IS NULL",
                (target.number, target.leg, record.transfer),
            )
        connection.execute(
            "UPDATE transfers SET state = 'idle', ended = ?, last_step = ?, outcome = ?, cause = ?,"
            " sip_status = ?, ended_by = ? WHERE id = ? AND outcome IS NULL",
            (
                record.at,
                record.number,
                record.outcome.value,
                record.cause,
                record.sip_status,
                record.ended_by,
                record.transfer,
            ),
        )
    elif record.after is not None and record.after is not record.before:
        connection.execute(
            "UPDATE transfers SET state = ?, last_step = ? WHERE id = ?",
            (record.after.value, record.number, record.transfer),
        )


def _request_in(record: Record) -> e.TransferRequested | None:
    """The request of the transfer that begins with a record; made up for one that was found."""
    if record.parties is None or record.refusal is not None:
        return None
    if isinstance(record.event, e.TransferRequested):
        return record.event
    if isinstance(record.event, e.TransferFound) and record.begins is not None:
        return e.TransferRequested(
            leg=record.parties.transferor.leg,
            transfer=record.event.transfer,
            target=record.parties.target.number,
            kind=record.begins.kind,
            by="found",
        )
    return None


def _insert_transfer(
    connection: sqlite3.Connection, record: Record, request: e.TransferRequested, parties: Parties
) -> None:
    connection.execute(
        "INSERT INTO transfers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?,"
        " NULL, NULL, NULL, NULL) ON CONFLICT (id) DO NOTHING",
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
    """A transfer as the journal has it. Times are in seconds since 1970."""

    id: str
    account: str
    switch: str
    kind: str
    by: str
    target: str
    parties: Parties
    begun: float
    state: str
    ended: float | None
    outcome: str | None
    cause: str | None
    sip_status: int | None
    ended_by: str | None
    data: ProgramData | None = None
    """The program's own data that it was requested with."""
    slot: str = ""
    """The slot in which the call was parked; empty: none."""


def past_after(past: Past | None, record: Record) -> Past | None:
    """A transfer after one more step of it, as the journal will have it once that is written."""
    request = _request_in(record)
    if past is None and request is not None and record.parties is not None:
        past = Past(
            id=request.transfer,
            account=record.account or DEFAULT_ACCOUNT,
            switch=record.switch,
            kind=request.kind.value,
            by=request.by,
            target=request.target,
            parties=attrs.evolve(
                record.parties, target=Named(record.parties.target.leg, request.target)
            ),
            begun=record.at,
            state=record.after.value if record.after else "idle",
            ended=None,
            outcome=None,
            cause=None,
            sip_status=None,
            ended_by=None,
            data=record.data,
            slot=request.options.slot,
        )
    if past is None or past.outcome is not None:
        return past
    if record.outcome is not None:
        parties = record.parties or past.parties
        return attrs.evolve(
            past,
            target=parties.target.number,
            parties=attrs.evolve(past.parties, target=parties.target),
            state="idle",
            ended=record.at,
            outcome=record.outcome.value,
            cause=record.cause,
            sip_status=record.sip_status,
            ended_by=record.ended_by.value if record.ended_by else None,
        )
    if record.after is not None and record.after is not record.before:
        return attrs.evolve(past, state=record.after.value)
    return past


def find_transfer(connection: sqlite3.Connection, transfer: str) -> Past | None:
    """The transfer with this ID, or `None`."""
    row = connection.execute("SELECT * FROM transfers WHERE id = ?", (transfer,)).fetchone()
    return _readable_past(connection, row) if row else None


@attrs.frozen(kw_only=True)
class TransferSearch:
    """Which transfers are looked for. Fields that are not set match everything."""

    account: str | None = None
    outcome: str | None = None
    """Of these only; `running`: in flight."""
    begun_from: float | None = None
    """In seconds since 1970, inclusive."""
    begun_before: float | None = None
    """In seconds since 1970, exclusive."""
    older_than: tuple[float, str] | None = None
    """Start time and ID of the last transfer of the previous page."""

    def matches(self, past: Past) -> bool:
        """Whether a transfer is one of them."""
        return (
            self.account in (None, past.account)
            and self.outcome in (None, past.outcome or RUNNING)
            and (self.begun_from is None or past.begun >= self.begun_from)
            and (self.begun_before is None or past.begun < self.begun_before)
            and (self.older_than is None or (past.begun, past.id) < self.older_than)
        )

    def conditions(self) -> Generator[tuple[str, tuple[object, ...]]]:
        """The same in SQL: conditions, and the values in them."""
        if self.account is not None:
            yield "account = ?", (self.account,)
        if self.outcome == RUNNING:
            yield "outcome IS NULL", ()
        elif self.outcome is not None:
            yield "outcome = ?", (self.outcome,)
        if self.begun_from is not None:
            yield "begun >= ?", (self.begun_from,)
        if self.begun_before is not None:
            yield "begun < ?", (self.begun_before,)
        if self.older_than is not None:
            yield "(begun, id) < (?, ?)", self.older_than


def find_transfers(
    connection: sqlite3.Connection,
    search: TransferSearch | None = None,
    *,
    most: int = 50,
    unwritten: Sequence[StoredStep] = (),
) -> list[Past]:
    """List transfers, the newest first.

    Args:
        connection: to the file.
        search: which; `None`: all.
        most: how many.
        unwritten: steps that wait to be written, while the disk fails. What they change is listed
            as it will be.
    """
    search = search or TransferSearch()
    changed = _changed_by(connection, unwritten)
    given = tuple(search.conditions())
    chosen = f"WHERE {' AND '.join(condition for condition, _ in given)}" if given else ""
    rows = connection.execute(
        f"SELECT * FROM transfers {chosen} ORDER BY begun DESC, id DESC",  # noqa: S608 - constants; values are bound
        tuple(value for _, values in given for value in values),
    )
    with closing(rows):  # an index has the order: no more is read than is wanted
        readable = (_readable_past(connection, row) for row in rows)
        written = (past for past in readable if past is not None and past.id not in changed)
        found = [*itertools.islice(written, most), *filter(search.matches, changed.values())]
    return sorted(found, key=lambda past: (past.begun, past.id), reverse=True)[:most]


def _changed_by(connection: sqlite3.Connection, steps: Iterable[StoredStep]) -> dict[str, Past]:
    """The transfers that steps are about, as they stand after these."""
    changed: dict[str, Past | None] = {}
    for step in steps:
        if step.transfer is not None:
            if step.transfer not in changed:
                changed[step.transfer] = find_transfer(connection, step.transfer)
            changed[step.transfer] = past_after(changed[step.transfer], step.record())
    return {transfer: past for transfer, past in changed.items() if past is not None}


def _readable_past(connection: sqlite3.Connection, row: Sequence[Any]) -> Past | None:
    """A transfer; `None` if it can't be shown."""
    return read_or_skip(connection, f"transfer {row[0]}", lambda: _past(row))


def _past(row: Sequence[Any]) -> Past:
    transfer, account, switch, kind, by, target, *row = row
    transferor_call, transferor_number, transferee_call, transferee_number, target_call, *row = row
    request, _policy, begun, _first_step, state, ended, _last_step, outcome, cause, *row = row
    sip_status, ended_by = row
    check_times(begun, ended)
    return Past(
        id=transfer,
        account=account,
        switch=switch,
        kind=kind,
        by=by,
        target=target,
        parties=Parties(
            transferor=Named(transferor_call, transferor_number),
            transferee=Named(transferee_call, transferee_number),
            target=Named(target_call, target),
        ),
        begun=begun,
        state=state,
        ended=ended,
        outcome=outcome,
        cause=cause,
        sip_status=sip_status,
        ended_by=ended_by,
        data=_data_in(request),
        slot=_slot_in(request),
    )


class _StoredContext(msgspec.Struct):
    data: dict[str, Any] | None = None


class _StoredOptions(msgspec.Struct):
    slot: str = ""
    context: _StoredContext | None = None


class _StoredRequest(msgspec.Struct):
    options: _StoredOptions | None = None


_STORED_REQUEST: Final = msgspec.json.Decoder(_StoredRequest)


def _slot_in(request: str) -> str:
    """The slot in a stored request to park a call."""
    if '"slot":"' not in request:
        return ""
    try:
        options = _STORED_REQUEST.decode(request).options
    except msgspec.MsgspecError:
        return ""
    return options.slot if options else ""


def _data_in(request: str) -> ProgramData | None:
    """A program's data in a stored request, of which no other part need be readable."""
    if '"data":{' not in request:
        return None
    try:
        options = _STORED_REQUEST.decode(request).options
    except msgspec.MsgspecError:
        return None
    context = options and options.context
    return program_data(context.data) if context and context.data is not None else None


def _request_of(past: Past, stored: str) -> e.TransferRequested:
    """The original request; of one that this release can't read all but its options."""
    fault = "it is not a transfer request"
    try:
        with reading(f"transfer {past.id}"):
            event = event_from(msgspec.json.decode(stored))
        if isinstance(event, e.TransferRequested):
            return event
    except InputError as error:
        fault = str(error)
    log.warning("journal.request_unreadable", transfer=past.id, fault=fault)
    return e.TransferRequested(
        leg=past.parties.transferor.leg,
        transfer=past.id,
        target=past.target,
        kind=e.Kind(past.kind),
        by=past.by,
    )


def transfer_ids(connection: sqlite3.Connection) -> list[str]:
    """The IDs of all transfers, the oldest first."""
    rows = connection.execute("SELECT id FROM transfers ORDER BY first_step")
    return [str(transfer) for (transfer,) in rows]


def unfinished(connection: sqlite3.Connection) -> dict[str, dict[str, Unfinished]]:
    """The transfers without an outcome, by switch and ID."""
    found: dict[str, dict[str, Unfinished]] = {}
    for request, begins, *row in connection.execute(
        "SELECT request, begins, transfers.* FROM transfers"
        " LEFT JOIN steps ON number = first_step WHERE outcome IS NULL"
    ):
        read = partial(_unfinished, row, request, begins)
        one = read_or_skip(connection, f"transfer {row[0]}", read)
        if one is not None:
            past, transfer = one
            found.setdefault(past.switch, {})[past.id] = transfer
    return found


def _unfinished(row: Sequence[Any], request: str, begins: str | None) -> tuple[Past, Unfinished]:
    past = _past(row)
    return past, Unfinished(
        request=_request_of(past, request),
        parties=past.parties,
        account="" if past.account == DEFAULT_ACCOUNT else past.account,
        begins=_beginning(past.id, begins),
        state=past.state,
    )


def _beginning(transfer: str, begins: str | None) -> Transfer | None:
    """A transfer as it began; `None` if it is not known, or this release can't read it."""
    try:
        with reading(f"transfer {transfer}: begins"):
            return transfer_from(begins.encode()) if begins is not None else None
    except InputError as error:
        log.warning("journal.beginning_unreadable", transfer=transfer, fault=str(error))
        return None


MOST_ENDED: Final = 20_000
"""How many ended transfers are remembered after a restart. Only those of the last seconds can have
left marks on legs."""


def ended_lately(connection: sqlite3.Connection) -> dict[str, frozenset[str]]:
    """The transfers that ended last, by switch."""
    found: dict[str, set[str]] = {}
    for switch, transfer in connection.execute(
        "SELECT switch, id FROM transfers WHERE outcome IS NOT NULL ORDER BY rowid DESC LIMIT ?",
        (MOST_ENDED,),
    ):
        found.setdefault(switch, set()).add(transfer)
    return {switch: frozenset(transfers) for switch, transfers in found.items()}
