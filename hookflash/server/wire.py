"""The words that programs and we exchange, whichever the door: JSON's shapes, and no behaviour.

HTTP's OpenAPI document and the WebSocket's AsyncAPI document are made from these. A field that is
not known is refused, so that nothing that anybody wrote is dropped without a word.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from hookflash.engine.legs import Leg
from hookflash.engine.record import Named, Parties
from hookflash.events import Kind
from hookflash.fsm.transfer import Transfer
from hookflash.journal.history import DEFAULT_ACCOUNT, Past, Step
from hookflash.sounds import SOUND_PATTERN

NOTHING_FOLLOWS: Final = r"(?![\s\S])"
"""How an expression ends: in some languages a $ lets a line end pass."""

Target: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"^[0-9A-Za-z+*#_-]{{1,64}}{NOTHING_FOLLOWS}",
        description="the number to call",
        examples=["2600"],
    ),
]
SoundText: TypeAlias = Annotated[
    str,
    Meta(
        pattern=SOUND_PATTERN,
        description="a sound: music on hold, a tone, or a recording",
        examples=["music:default", "tone:440+480/2000,0/4000", "file:ivr/one-moment"],
    ),
]
TakebackDigits: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"^[0-9A-D*#]{{0,8}}{NOTHING_FOLLOWS}",
        description="what the transferor dials to have the transferee back; empty: nothing",
        examples=["*1"],
    ),
]
RingTimeout: TypeAlias = Annotated[
    float, Meta(gt=0, le=86_400, description="how long the target may ring, in seconds")
]


class TransferAsk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How somebody wants a transfer. What is not given is as the account has chosen."""

    target: Target
    transfer_type: Literal["attended", "blind"] = "attended"
    takeback_dtmf: TakebackDigits | None = None
    moh: SoundText | None = None
    ringback: SoundText | None = None
    timeout: RingTimeout | None = None


def iso(at: float) -> str:
    """A time of day as programs exchange it (RFC 3339), in UTC, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# ------------------------------------------------------------------------ calls


class Channel(Struct, frozen=True, kw_only=True):
    """One party's leg of a call."""

    call_id: str
    """The leg's name, which is the switch's (`Unique-ID`)."""
    switch: str
    """The switch that it is on, by its name in the config."""
    account_id: str
    """Whose it is."""
    direction: Literal["inbound", "outbound"]
    """Who began it, seen from the switch."""
    number: str
    """Who called, or who was called."""
    answered: bool
    """Whether the party has picked up."""
    bridged: bool
    """Whether the party talks with somebody."""
    other_leg_call_id: str | None
    """The leg that it talks with."""
    other_leg_number: str | None
    """The number of that leg's party."""
    transfer_id: str | None
    """The transfer in flight that it is in."""
    transfers: int
    """How often the call has been transferred."""


def channel_of(switch: str, leg: Leg, other: Leg | None, transfer: Transfer | None) -> Channel:
    """A leg as programs see it."""
    return Channel(
        call_id=leg.id,
        switch=switch,
        account_id=leg.owner or DEFAULT_ACCOUNT,
        direction="inbound" if leg.direction.value == "inbound" else "outbound",
        number=leg.number,
        answered=leg.answered,
        bridged=leg.peer is not None,
        other_leg_call_id=leg.peer,
        other_leg_number=other.number if other else None,
        transfer_id=transfer.id if transfer else None,
        transfers=leg.hops,
    )


# -------------------------------------------------------------------- transfers


class PartyView(Struct, frozen=True, kw_only=True):
    """A party of a transfer."""

    call_id: str
    """Its leg; of a target that was never called, what its leg would have been named."""
    number: str
    """Its number; of a target, the one that was called."""


class Moment(Struct, frozen=True, kw_only=True):
    """One step of a transfer."""

    number: int
    """The number of the step in the history."""
    at: str
    """When, in UTC (RFC 3339)."""
    kind: str
    """What happened: `transfer.requested`, `call.answered` and so on."""
    state: str | None
    """The state of the transfer after it."""
    why: str
    """The sentence of the table's row that answered it."""


class TransferView(Struct, frozen=True, kw_only=True):
    """A transfer, in flight or past."""

    id: str
    """The transfer's name, for as long as there is a history."""
    account_id: str
    """Whose it is."""
    switch: str
    """The switch that it is on, by its name in the config."""
    transfer_type: str
    """`attended`, `blind`, or `hold`."""
    state: str
    """Where it is in its table."""
    by: str
    """Who asked for it: `digits`, or a program, by its key's id: `key 0a1b2c3d4e5f`."""
    target: str
    """The number to call; empty for a hold."""
    transferor: PartyView
    """Who transfers."""
    transferee: PartyView
    """Who is transferred."""
    target_leg: PartyView
    """Who is to get the transferee."""
    begun: str | None
    """When it was asked for, in UTC (RFC 3339)."""
    ended: str | None = None
    """When it was over; null while it is in flight."""
    outcome: str | None = None
    """`transferred`, `taken_back`, `reconnected`, `abandoned` or `failed`; null while in flight."""
    cause: str | None = None
    """Why it did not go as it was meant to: the switch's hang-up cause (`USER_BUSY`), or ours."""
    timeline: tuple[Moment, ...] | None = None
    """Only where one transfer is asked for."""


def _party(named: Named) -> PartyView:
    return PartyView(call_id=named.leg, number=named.number)


def transfer_of_past(past: Past, timeline: tuple[Moment, ...] | None = None) -> TransferView:
    """A transfer of the history, as programs see it."""
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
        timeline=timeline,
    )


def transfer_in_flight(
    switch: str,
    transfer: Transfer,
    account: str,
    past: Past | None,
    timeline: tuple[Moment, ...] | None,
) -> TransferView:
    """A transfer in flight, as programs see it: its state is the engine's, of this moment."""
    parties = Parties.of(transfer)
    return TransferView(
        id=transfer.id,
        account_id=account or DEFAULT_ACCOUNT,
        switch=switch,
        transfer_type=transfer.kind.value,
        state=transfer.state.value,
        by=transfer.by,
        target=parties.target.number if transfer.kind is not Kind.HOLD else "",
        transferor=_party(parties.transferor),
        transferee=_party(parties.transferee),
        target_leg=_party(parties.target),
        begun=iso(past.begun) if past else None,
        timeline=timeline,
    )


def moment_of(step: Step) -> Moment:
    """A step of a transfer's timeline."""
    record = step.record()
    return Moment(
        number=step.number,
        at=iso(step.at),
        kind=step.kind,
        state=record.after.value if record.after else None,
        why=record.why,
    )


class Taken(Struct, frozen=True, kw_only=True):
    """A request that the engine has taken."""

    transfer_id: str | None
    url: str | None
    """Where the transfer can be looked at."""
    number: int
    """The step of the history that took it."""


# ----------------------------------------------------------------------- events


class Happening(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step of the history, as it is told to whoever follows it."""

    number: int
    """Grows from one to the next, for ever; not every number is for everybody."""
    at: str
    kind: str
    switch: str
    account_id: str | None = None
    call_id: str | None = None
    other_call_id: str | None = None
    transfer_id: str | None = None
    state_before: str | None = None
    state: str | None = None
    outcome: str | None = None
    cause: str | None = None
    refusal: str | None = None
    why: str | None = None
    parties: dict[str, PartyView] | None = None
    event: dict[str, Any] | None = None
    """What happened, in the engine's own words."""


class _Body(Struct, frozen=True):
    """Of a record's document, what is told."""

    event: dict[str, Any]
    before: str | None = None
    after: str | None = None
    why: str | None = None
    outcome: str | None = None
    cause: str | None = None
    refusal: str | None = None
    parties: dict[str, dict[str, str]] | None = None


_BODY = msgspec.json.Decoder(_Body)


def happening_of(step: Step, account: str | None) -> Happening:
    """A step, as it is told to a program of this account (`None`: an administrator's)."""
    body = _BODY.decode(step.body)
    own = step.accounts[0] if step.accounts else None
    if account is not None:
        own = account if account in step.accounts else None
    parties = body.parties or {}
    return Happening(
        number=step.number,
        at=iso(step.at),
        kind=step.kind,
        switch=step.switch,
        account_id=own,
        call_id=step.call,
        other_call_id=step.other_call,
        transfer_id=step.transfer,
        state_before=body.before,
        state=body.after,
        outcome=body.outcome,
        cause=body.cause,
        refusal=body.refusal,
        why=body.why,
        parties={
            role: PartyView(call_id=named["leg"], number=named["number"])
            for role, named in parties.items()
        }
        or None,
        event=body.event,
    )
