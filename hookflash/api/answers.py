"""What a program gets: answers, and events."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Raw, Struct

EventDocument: TypeAlias = Annotated[Raw, Meta(extra_json_schema={"type": "object"})]
"""An event as the journal has it: its text is passed on as it is."""


EndedBy: TypeAlias = Literal["party", "switch"]


class LegView(Struct, frozen=True, kw_only=True):
    """One party's leg of a call."""

    call_id: str
    """The leg's ID on the switch (FreeSWITCH: `Unique-ID`)."""
    switch: str
    """The switch's name in the configuration."""
    account_id: str
    """The account that the leg belongs to."""
    owner_id: str | None
    """The user or device that it belongs to, if the switch reports that."""
    direction: Literal["inbound", "outbound"]
    """Seen from the switch: inbound if the party called."""
    number: str
    """The party's number: who called, or who was called."""
    answered: bool
    """Whether the party has answered."""
    bridged: bool
    """Whether the leg is joined with another one."""
    other_leg_call_id: str | None
    """The leg that it is joined with."""
    other_leg_number: str | None
    """The number of that leg's party."""
    transfer_id: str | None
    """The transfer in flight that the leg is in."""
    transfers: int
    """How often the call has been transferred."""
    uuid: str
    """`call_id`, by Kazoo's name."""
    other_leg: str | None
    """`other_leg_call_id`, by Kazoo's name."""
    destination: str | None
    """Kazoo's name: the number that was called, as far as it is known: of an outbound leg its own
    number, of an inbound one that of the party it is joined with."""


class PartyView(Struct, frozen=True, kw_only=True):
    """A party of a transfer."""

    call_id: str
    """Its leg; for a target that was never called, the ID that its leg would have had."""
    number: str
    """Its number; for a target, the number that was called."""


class TimelineEntry(Struct, frozen=True, kw_only=True):
    """One step of a transfer."""

    number: int
    """The step's number in the history."""
    at: str
    """The time, in UTC (RFC 3339)."""
    kind: str
    """What happened: `transfer.requested`, `call.answered` and so on."""
    state: str | None
    """The state of the transfer after the step."""
    why: str
    """Why the transfer went on as it did."""
    cause: str | None = None
    """If a leg ended in this step: its hang-up cause."""
    sip_status: int | None = None
    """The SIP status beside the cause (`486`), if the switch has reported one."""
    ended_by: EndedBy | None = None
    """Who ended the leg, if the switch has reported it: its `party` or the `switch`."""


class TransferView(Struct, frozen=True, kw_only=True):
    """A transfer, in flight or past."""

    id: str
    """The transfer's ID, valid as long as the history is kept."""
    account_id: str
    """The account that the transfer belongs to."""
    switch: str
    """The switch's name in the configuration."""
    transfer_type: str
    """`attended`, `blind`, `hold`, `park` or `handover`."""
    state: str
    """The state of the transfer in its table."""
    by: str
    """Who asked for it: `digits`, or a program, by its key's ID: `key 0a1b2c3d4e5f`."""
    target: str
    """The number to call; empty for a hold, and for a parked call."""
    transferor: PartyView
    """Who transfers."""
    transferee: PartyView
    """Who is transferred."""
    target_leg: PartyView
    """Who gets the transferee."""
    begun: str | None
    """When it was asked for, in UTC (RFC 3339)."""
    ended: str | None = None
    """When it ended; null while it is in flight."""
    outcome: str | None = None
    """`transferred`, `taken_back`, `reconnected`, `abandoned` or `failed`; null while in flight."""
    cause: str | None = None
    """Why it did not succeed: the switch's hang-up cause (`USER_BUSY`), or one of hookflash's."""
    sip_status: int | None = None
    """The SIP status beside the cause (`486`), if the switch has reported one."""
    ended_by: EndedBy | None = None
    """Who ended the leg whose cause it is, if the switch has reported it: its `party` or the
    `switch`."""
    data: dict[str, Any] | None = None
    """The program's own data that it was requested with."""
    slot: str | None = None
    """The slot in which the transferee is, or was, parked."""
    timeline: tuple[TimelineEntry, ...] | None = None
    """Only in the answer that gets one transfer."""


class TransferPage(Struct, frozen=True, kw_only=True):
    """A page of transfers."""

    transfers: list[TransferView]
    next_start_key: str | None
    """The `start_key` of the next page; null on the last one."""


class Accepted(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A command that was accepted. Its effects come as events."""

    transfer_id: str | None
    url: str | None
    """The path of the transfer in the HTTP API."""
    number: int
    """The number of the step in the history that accepted it."""
    slot: str | None = None
    """The slot in which a call is parked, or from which it is picked up."""


class EventView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step of the history, as it is published to subscribers."""

    number: int
    """Grows from event to event, for ever; an account does not get every number."""
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
    sip_status: int | None = None
    ended_by: EndedBy | None = None
    refusal: str | None = None
    why: str | None = None
    parties: dict[str, PartyView] | None = None
    data: dict[str, Any] | None = None
    """The program's own data that the transfer was requested with; only for its own account."""
    event: EventDocument | None = None
    """What happened, in the engine's own words."""
