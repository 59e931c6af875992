"""What happened: frozen facts, in the past tense.

Everything that moves a transfer is one of these. There are three kinds, and all of them come
through the engine's one queue:

* **facts** that a switch reports about legs (`LegAnswered`, `LegsJoined`, …);
* **requests** of people, by digits or by a program (`TransferRequested`, …);
* **consequences** of our own commands (`CommandFailed`, `TimerFired`).

Rules that every backend keeps:

1. Within one leg, facts come in the order in which they happened. Between legs
   any order may occur.
2. A fact may come twice (a repeat follows the original before anything newer of
   that leg). Facts about legs are idempotent; a `DigitPressed` is not, so it
   carries the switch's own serial number.
3. A leg's last fact is `LegHungUp`. It also answers a `HangUp` of a leg that does
   not exist, and a `Dial` that failed: in both cases there is no such leg.

A `HeardSound` is a `Sound` (see the commands), or an `OtherSound`: what another program plays, in
the switch's own words. In JSON it is a text such as `music:default` or `other:say::hello`.

Don't subclass these.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from typing import Final, TypeAlias

import attrs

from hookflash.commands import Command, Look
from hookflash.sounds import AskedSound, HeardSound, OptionalSound
from hookflash.transfer_context import TransferContext

LegId: TypeAlias = str
"""One party's channel, as the switch names it (a FreeSWITCH channel UUID)."""


class Direction(StrEnum):
    """Who started a leg, seen from the switch."""

    INBOUND = "inbound"
    """The party called the switch."""
    OUTBOUND = "outbound"
    """The switch called the party."""


class Kind(StrEnum):
    """The kinds of requests for a transfer."""

    ATTENDED = "attended"
    """Talk with the target before the transferee is handed over (RFC 5589, section 7)."""
    BLIND = "blind"
    """The transferor leaves at once (RFC 5589, section 6: basic transfer)."""
    HOLD = "hold"
    """Put the other party on hold, and resume later."""
    MOVE = "move"
    """Take the call along to another device of the transferor's own: the two talk on until it
    answers."""
    PARK = "park"
    """Park the other party under a number (a slot), where somebody else picks it up."""
    HANDOVER = "handover"
    """Hand over a caller who talks with nobody: what an attended or a blind transfer of such a leg
    becomes. It can't be requested by this name."""


class AtLimit(StrEnum):
    """Who gets a party that was on hold for too long."""

    BACK = "back"
    """The party that held it."""
    FALLBACK = "fallback"
    """The account's fallback target, if it has one; else the party that held it."""


class EndedBy(StrEnum):
    """The side that ended a leg."""

    PARTY = "party"
    """The party, or the line to it: it hung up, cancelled its call, or refused one."""
    SWITCH = "switch"
    """The switch: as ordered, at the end of a timeout, or because another leg ended."""


# --------------------------------------------------------------------- facts

LONGEST_TEXT: Final = 256


def brief(text: str) -> str:
    """What a switch reports in words, at a length for people.

    It goes into the log, the history, and to every program that listens; a stranger may have
    written it (a caller's name).
    """
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"


@attrs.frozen(kw_only=True)
class LegCreated:
    """A leg was created. It has not answered yet."""

    leg: LegId
    number: str = attrs.field(converter=brief)
    """The number of its party: the caller of an inbound leg, or the called party."""
    direction: Direction = Direction.INBOUND
    account: str = ""
    """The account of the leg; empty if the switch does not report accounts."""
    owner_id: str = ""
    """The user or device that the leg belongs to; empty if the switch does not report owners."""
    outside: bool = False
    """Whether the party is outside: it called, or is called, over a trunk."""
    may_transfer: bool | None = None
    """The operator's setting of this party's right to transfer by digits; `None`: none."""
    name: str = attrs.field(default="", converter=brief)
    """The party's display name, if the switch reports one. It is used for displays only."""
    withheld: bool = False
    """Whether the party withholds its number and name (CLIR; RFC 3323)."""
    other_half: LegId = ""
    """The other half, if the leg is one half of a call that the switch places to itself (a
    loopback)."""
    called_for: LegId = ""
    """The leg for which the switch calls this one, if it reports that."""


@attrs.frozen(kw_only=True)
class LegIdentified:
    """The party of a leg is identified: of a call through the dialplan, for example."""

    leg: LegId
    number: str = attrs.field(default="", converter=brief)
    """Empty if nothing new is known; so are the other fields."""
    account: str = ""
    owner_id: str = ""
    outside: bool | None = None
    may_transfer: bool | None = None
    withheld: bool | None = None


@attrs.frozen(kw_only=True)
class LegProgressed:
    """The party's phone rings, or plays early media."""

    leg: LegId
    early_media: bool = False


@attrs.frozen(kw_only=True)
class LegAnswered:
    """The party has answered. From now on the leg may be joined with another."""

    leg: LegId


@attrs.frozen(kw_only=True)
class LegParked:
    """The leg is parked: alone, held by the switch, and ready for commands."""

    leg: LegId
    pick_up: str = attrs.field(default="", converter=brief)
    """The slot whose parked call this leg is to have: a phone has called a pick-up number, and the
    dialplan has parked it with that variable."""


@attrs.frozen(kw_only=True)
class LegMovedAway:
    """Another program or the dialplan has taken the leg elsewhere: it is alone, and not parked."""

    leg: LegId


@attrs.frozen(kw_only=True)
class LegsJoined:
    """Two legs hear each other."""

    first: LegId
    second: LegId


@attrs.frozen(kw_only=True)
class LegsSeparated:
    """Two legs no longer hear each other. Facts of their own report where each of them went."""

    first: LegId
    second: LegId


@attrs.frozen(kw_only=True)
class LegsReleased:
    """A joined pair is an ordinary call again: when one leaves, so does the other."""

    first: LegId
    second: LegId


@attrs.frozen(kw_only=True)
class SoundStarted:
    """The party of a leg hears a sound: music, ringback or a tone."""

    leg: LegId
    sound: HeardSound


@attrs.frozen(kw_only=True)
class SoundStopped:
    """A sound has ended: it was over, or a join or a hang-up has cut it off."""

    leg: LegId
    sound: HeardSound


@attrs.frozen(kw_only=True)
class DigitPressed:
    """The party pressed one key of 0-9, A-D, `*` and `#` (RFC 4733)."""

    leg: LegId
    digit: str
    serial: int = 0
    """The switch's number of this event, by which duplicates are recognized; 0: it has none."""


@attrs.frozen(kw_only=True)
class LegHungUp:
    """The leg is gone."""

    leg: LegId
    cause: str = attrs.field(default="NORMAL_CLEARING", converter=brief)
    """The hang-up cause: of Q.850, as FreeSWITCH spells it (USER_BUSY, NO_ANSWER, …)."""
    sip_status: int | None = None
    """The SIP status with which the party refused (486, 404, …), if the switch reports it."""
    ended_by: EndedBy | None = None
    """The side that ended the leg, if the switch reports it."""


@attrs.frozen(kw_only=True)
class LegSnapshot:
    """One leg, as the switch sees it now."""

    leg: LegId
    number: str = attrs.field(converter=brief)
    direction: Direction
    account: str = ""
    owner_id: str = ""
    outside: bool = False
    may_transfer: bool | None = None
    answered: bool = False
    parked: bool = False
    """Whether it is parked."""
    elsewhere: bool = False
    """Whether it is alone and not parked: in another application of the switch."""
    peer: LegId | None = None
    """The leg that it is joined with; both report each other."""
    hears: HeardSound | None = None
    """The sound that is played to it."""
    transfer: str = ""
    """The transfer that it is marked with."""
    role: str = ""
    """Its role in that transfer: `transferor`, `transferee` or `target`."""
    kind: str = ""
    """The kind of that transfer: `attended`, `blind`, `hold` and so on."""
    name: str = attrs.field(default="", converter=brief)
    """The party's display name, if the switch reports one."""
    withheld: bool = False
    """Whether the party withholds its number and name."""
    other_half: LegId = ""
    """The other half of a loopback pair."""
    called_for: LegId = ""
    """The leg for which the switch called it."""
    pick_up: str = attrs.field(default="", converter=brief)
    """The slot whose parked call the leg is to have (see `LegParked`)."""


@attrs.frozen(kw_only=True)
class LegsSeen:
    """The switch's answer to `Look`. A leg that was asked for and is missing does not exist."""

    look: Look
    living: tuple[LegSnapshot, ...]
    """The legs that were asked for, and the legs that they are joined with."""


@attrs.frozen(kw_only=True)
class SwitchLost:
    """The connection to a switch is down. Calls continue, but no events come."""

    switch: str = ""
    reason: str = attrs.field(default="", converter=brief)


@attrs.frozen(kw_only=True)
class SwitchFound:
    """The connection is up again, and the facts about all living legs have been reported again."""

    switch: str = ""


# ------------------------------------------------------------------ requests


@attrs.frozen(kw_only=True)
class FurtherTarget:
    """A target after the first one: called if those before it can't be had, or at the same time."""

    number: str
    """The number to call. A request may have it as people write it."""
    ring_timeout_s: float | None = None
    """How long it may ring; `None`: as long as the first one."""


@attrs.frozen(kw_only=True)
class TransferOptions:
    """What a request chooses for its one transfer. `None`: the account's setting applies."""

    music: AskedSound | None = None
    """What the held party hears."""
    ringback: AskedSound | None = None
    """What the waiting party hears while the target rings."""
    takeback_digits: str | None = None
    """What the transferor dials to take the transferee back; empty: nothing."""
    swap_digits: str | None = None
    """What the transferor dials to change between transferee and target; empty: nothing."""
    three_way_digits: str | None = None
    """What the transferor dials to bring all three into one conversation; empty: nothing."""
    complete_digits: str | None = None
    """What the transferor dials to hand over without hanging up; empty: nothing."""
    ring_timeout_s: float | None = None
    """How long the target may ring."""
    further_targets: tuple[FurtherTarget, ...] = ()
    """The targets after the first one, in order."""
    rings_all: bool = False
    """Whether all targets ring at once, and the first answer wins. If not, one after the other."""
    recall_attempts: int | None = None
    """How many times a transferor who has left is called back when the transfer fails."""
    fallback_target: str | None = None
    """The number that gets a transferee whom nobody else can have any more; empty: none."""
    return_to: str | None = None
    """Where a caller without a transferor goes when the transfer fails: `origin`, `park`, `none`,
    or a name of the account's."""
    hold_limit_s: float | None = None
    """How long a transferee may be held."""
    at_hold_limit: AtLimit | None = None
    """Who gets a party whose hold has reached that limit."""
    slot: str = ""
    """The slot in which a call is parked; empty: the first free one of the account."""
    parking_limit_s: float | None = None
    """How long a call may be parked until the transferor is called back."""
    caller_number: str | None = None
    """The number that the target sees calling; empty: the transferor's."""
    caller_name: str | None = None
    """The name that the target sees calling; empty: the transferor's."""
    target_accepts: bool | None = None
    """Whether the target must accept before it is connected with anybody."""
    accept_digits: str | None = None
    """What the target presses to accept."""
    decline_digits: str | None = None
    """What the target presses to decline; empty: nothing."""
    accept_prompt: AskedSound | None = None
    """What the target hears until it accepts."""
    accept_limit_s: float | None = None
    """How long the target may take to accept."""
    briefing: OptionalSound | None = None
    """What the target hears before it gets the transferee, if the transferor has left; empty:
    nothing, like the other sounds below."""
    announcement: OptionalSound | None = None
    """What the transferee hears once, before the music."""
    failure_sound: OptionalSound | None = None
    """What the transferor hears when the target has failed."""
    refusal_tone: OptionalSound | None = None
    """What the transferor hears if a code is refused that belongs to the transfer."""
    connected_sound: OptionalSound | None = None
    """What transferee and target hear as soon as they talk with each other."""
    context: TransferContext | None = None
    """Variables and headers for the target's leg, and data of the program's own."""


NO_OPTIONS: Final = TransferOptions()


@attrs.frozen(kw_only=True)
class TransferRequested:
    """The party on `leg` wants to transfer (or hold) the party that it talks with."""

    leg: LegId
    transfer: str
    """The new transfer's id, chosen by the requester."""
    target: str = ""
    """The number to call; empty for a hold, and to park a call. A request may have it as people
    write it."""
    written: str = ""
    """How it was written, if that is not how it is dialled."""
    kind: Kind = Kind.ATTENDED
    by: str = "digits"
    """The requester: `digits`, or the name of a program's key."""
    options: TransferOptions = NO_OPTIONS


@attrs.frozen(kw_only=True)
class TakebackRequested:
    """The transferor asks for the transferee back."""

    transfer: str
    by: str = "digits"


@attrs.frozen(kw_only=True)
class CompleteRequested:
    """The transferor hands over now, without hanging up."""

    transfer: str
    by: str = "digits"


@attrs.frozen(kw_only=True)
class NumberGiven:
    """The number of the target, of a transfer that was requested without one."""

    transfer: str
    target: str
    by: str = "digits"
    written: str = ""
    """As it was written, if that differs."""


@attrs.frozen(kw_only=True)
class NumberRejected:
    """What the transferor dialled is no number, or none that may be called."""

    transfer: str
    why: str = ""
    by: str = "digits"


@attrs.frozen(kw_only=True)
class SwapRequested:
    """The transferor changes between transferee and target."""

    transfer: str
    by: str = "digits"


@attrs.frozen(kw_only=True)
class AcceptRequested:
    """The target, which has answered and was asked, accepts the call."""

    transfer: str
    by: str = "digits"


@attrs.frozen(kw_only=True)
class DeclineRequested:
    """The target, which has answered and was asked, declines the call; or it is a machine."""

    transfer: str
    by: str = "digits"


@attrs.frozen(kw_only=True)
class ThreeWayRequested:
    """The transferor wants all three in one conversation, or talks with the target alone again."""

    transfer: str
    by: str = "digits"


@attrs.frozen(kw_only=True)
class PickUpRequested:
    """The party on `leg`, which talks with nobody, wants the call that is parked in a slot."""

    leg: LegId
    slot: str
    by: str = "digits"
    transfer: str = ""
    """The transfer that has parked it. The engine fills in this field and those below."""
    number: str = ""
    """The number of the party on `leg`."""
    withheld: bool = False
    """Whether it withholds its number."""


@attrs.frozen(kw_only=True)
class HangUpRequested:
    """A person or a program asks to hang up a leg."""

    leg: LegId
    by: str = "digits"


# -------------------------------------------------------------- consequences


@attrs.frozen(kw_only=True)
class TransferFound:
    """A controller that has just started finds a transfer in progress, by the marks on its legs."""

    transfer: str
    state: str = ""
    """The last state that the journal has of it; empty: not known."""


@attrs.frozen(kw_only=True)
class CommandFailed:
    """The switch refused a command, or the backend could not deliver it.

    That a command was *accepted* is never reported: its effect is a fact of its own.
    """

    command: Command
    reason: str = attrs.field(converter=brief)


@attrs.frozen(kw_only=True)
class TimerFired:
    """A timer has expired. It may have crossed its own cancellation."""

    timer: str


LegFact: TypeAlias = (
    LegCreated
    | LegIdentified
    | LegProgressed
    | LegAnswered
    | LegParked
    | LegMovedAway
    | SoundStarted
    | SoundStopped
    | DigitPressed
    | LegHungUp
)
"""Facts about one leg, named by `leg`."""

PairFact: TypeAlias = LegsJoined | LegsSeparated | LegsReleased
"""Facts about two legs, named by `first` and `second`."""

ControlRequest: TypeAlias = (
    TakebackRequested
    | CompleteRequested
    | SwapRequested
    | AcceptRequested
    | DeclineRequested
    | ThreeWayRequested
    | NumberGiven
    | NumberRejected
    | PickUpRequested
)
"""Requests about a transfer in progress, named by `transfer`. Each is an input of the tables."""

Request: TypeAlias = TransferRequested | ControlRequest | HangUpRequested

CallEvent: TypeAlias = LegFact | PairFact | LegsSeen | CommandFailed | SwitchLost | SwitchFound
"""What a backend yields."""

Event: TypeAlias = CallEvent | Request | TimerFired | TransferFound
"""Everything that the engine's queue carries."""


def legs_of(event: Event | Command) -> list[LegId]:
    """The legs that an event or a command names."""
    named = event.command if isinstance(event, CommandFailed) else event
    return [getattr(named, name) for name in _leg_fields(type(named))]


@cache
def _leg_fields(kind: type[Event | Command]) -> tuple[str, ...]:
    return tuple(a.name for a in attrs.fields(kind) if a.name in ("leg", "first", "second"))
