"""Legs, transfers and steps as programs see them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, cast

import msgspec

from hookflash.accounts import DEFAULT_ACCOUNT
from hookflash.api.answers import (
    EndedBy,
    EventDocument,
    EventView,
    LegView,
    PartyView,
    TimelineEntry,
    TransferView,
)
from hookflash.engine.legs import Leg
from hookflash.engine.record import Named, Parties
from hookflash.events import Kind, LegHungUp
from hookflash.fsm.transfer import Transfer
from hookflash.journal.step import StoredStep
from hookflash.journal.transfers import Past


class _End(msgspec.Struct, frozen=True):
    """What an event says of a leg's end; of another event, nothing."""

    type: str = ""
    cause: str | None = None
    sip_status: int | None = None
    ended_by: str | None = None


_END: Final = msgspec.json.Decoder(_End)
_NO_END: Final = _End()


def _end_in(event: msgspec.Raw) -> _End:
    try:
        read = _END.decode(event)
    except msgspec.DecodeError:  # of another release, or damaged
        return _NO_END
    return read if read.type == LegHungUp.__name__ else _NO_END


def _side(written: str | None) -> EndedBy | None:
    return "party" if written == "party" else "switch" if written == "switch" else None


def iso(at: float) -> str:
    """A time in RFC 3339, in UTC, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def leg_view(switch: str, leg: Leg, other: Leg | None, transfer: Transfer | None) -> LegView:
    """A leg as programs see it."""
    is_called = leg.direction.value == "outbound"
    return LegView(
        call_id=leg.id,
        switch=switch,
        account_id=leg.responsible or DEFAULT_ACCOUNT,
        owner_id=leg.owner_id or None,
        direction="outbound" if is_called else "inbound",
        number=leg.number,
        answered=leg.answered,
        bridged=leg.peer is not None,
        other_leg_call_id=leg.peer,
        other_leg_number=other.number if other else None,
        transfer_id=transfer.id if transfer else None,
        transfers=leg.hops,
        uuid=leg.id,
        other_leg=leg.peer,
        destination=leg.number if is_called else other and other.number,
    )


def _party(named: Named) -> PartyView:
    return PartyView(call_id=named.leg, number=named.number)


def past_transfer(past: Past, timeline: tuple[TimelineEntry, ...] | None = None) -> TransferView:
    """A transfer of the journal, as programs see it."""
    return TransferView(
        id=past.id,
        account_id=past.account,
        switch=past.switch,
        transfer_type=past.kind,
        state=past.state,
        by=past.by,
        target=past.target,
        transferor=_party(past.parties.transferor),
        transferee=_party(past.parties.transferee),
        target_leg=_party(past.parties.target),
        begun=iso(past.begun),
        ended=iso(past.ended) if past.ended is not None else None,
        outcome=past.outcome,
        cause=past.cause,
        sip_status=past.sip_status,
        ended_by=_side(past.ended_by),
        data=past.data and past.data.value,
        slot=past.slot or None,
        timeline=timeline,
    )


def transfer_in_flight(
    switch: str,
    transfer: Transfer,
    account: str,
    past: Past | None,
    timeline: tuple[TimelineEntry, ...] | None = None,
) -> TransferView:
    """A transfer in flight, as programs see it, with its current state."""
    parties = Parties.of(transfer)
    return TransferView(
        id=transfer.id,
        account_id=account,
        switch=switch,
        transfer_type=transfer.kind.value,
        state=transfer.state.value,
        by=transfer.by,
        target="" if transfer.kind in (Kind.HOLD, Kind.PARK) else parties.target.number,
        transferor=_party(parties.transferor),
        transferee=_party(parties.transferee),
        target_leg=_party(parties.target),
        begun=iso(past.begun) if past else None,
        data=_data_of(transfer),
        slot=transfer.slot or None,
        timeline=timeline,
    )


def _data_of(transfer: Transfer) -> dict[str, Any] | None:
    data = transfer.context and transfer.context.data
    return data.value if data else None


def timeline_entry(step: StoredStep) -> TimelineEntry:
    """A step of a transfer's timeline."""
    shown = step.summary
    ended = _end_in(shown.event)
    return TimelineEntry(
        number=step.number,
        at=iso(step.at),
        kind=step.kind,
        state=shown.after,
        why=shown.why or "",
        cause=ended.cause,
        sip_status=ended.sip_status,
        ended_by=_side(ended.ended_by),
    )


def event_view(step: StoredStep, account: str | None) -> EventView:
    """A step as a program of this account sees it (`None`: an administrator).

    What a program gave along with a transfer is shown to the transfer's own account only.
    """
    published = step.summary
    is_own = account in (None, published.account or DEFAULT_ACCOUNT)
    own = step.accounts[0] if step.accounts else None
    if account is not None:
        own = account if account in step.accounts else None
    parties = published.parties or {}
    return EventView(
        number=step.number,
        at=iso(step.at),
        kind=step.kind,
        switch=step.switch,
        account_id=own,
        call_id=step.call,
        other_call_id=step.other_call,
        transfer_id=step.transfer,
        state_before=published.before,
        state=published.after,
        outcome=published.outcome,
        cause=published.cause,
        sip_status=published.sip_status,
        ended_by=_side(published.ended_by),
        refusal=published.refusal,
        why=published.why,
        parties={
            role: PartyView(call_id=named["leg"], number=named["number"])
            for role, named in parties.items()
        }
        or None,
        data=published.data if is_own else None,
        event=published.event if is_own else _without_context(step.kind, published.event),
    )


def _without_context(kind: str, event: EventDocument) -> EventDocument:
    """An event without the context of another account's transfer."""
    if not kind.startswith(_MAY_HAVE_CONTEXT):
        return event
    document = cast("dict[str, Any]", msgspec.json.decode(event))
    for part, key, nothing in _CONTEXT:
        inside = document.get(part)
        if isinstance(inside, dict) and key in inside:
            cast("dict[str, Any]", inside)[key] = nothing
    return msgspec.Raw(msgspec.json.encode(document))


_MAY_HAVE_CONTEXT: Final = ("transfer.", "request.", "engine.command_failed")
_CONTEXT: Final[tuple[tuple[str, str, object], ...]] = (
    ("options", "context", None),
    ("command", "variables", ()),
    ("command", "headers", ()),
)
"""Where an event has it, and its empty value: in a request, and in a call that failed."""
