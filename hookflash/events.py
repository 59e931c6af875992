"""What happened: frozen facts, in the past tense.

Everything that moves a transfer is one of these. There are three kinds, and
they knock at the same door (the engine's one queue):

* **facts** that a switch reports about legs (`LegAnswered`, `LegsJoined`, …);
* **requests** that people make, by digits or by a program (`TransferRequested`, …);
* **consequences** of our own commands (`CommandFailed`, `TimerFired`).

Rules that every backend keeps:

1. Within one leg, facts come in the order in which they happened. Between legs
   any order may occur.
2. A fact may come twice (a repeat follows the original before anything newer of
   that leg). Facts about legs are idempotent; a `DigitPressed` is not, so it
   carries the switch's own serial number.
3. A leg's last fact is `LegHungUp`. It also answers a `HangUp` of a leg that does
   not exist (any more), and a `Dial` that came to nothing: in each case the truth
   is that there is no such leg.

A `HeardSound` is a `Sound` (see the commands), or an `OtherSound`: what another program plays, in
the switch's own words. In JSON it is a text such as `music:default` or `other:say::hello`.

Don't subclass these.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, TypeAlias

import attrs

from hookflash.commands import Command, Look
from hookflash.sounds import HeardSound, Sound

LegId: TypeAlias = str
"""One party's channel, in the switch's own naming (a FreeSWITCH channel UUID)."""


class Direction(StrEnum):
    """Who began a leg, seen from the switch."""

    INBOUND = "inbound"
    """The party called the switch."""
    OUTBOUND = "outbound"
    """The switch called the party."""


class Kind(StrEnum):
    """What a person asks the engine to do with a call."""

    ATTENDED = "attended"
    """Talk with the target before the transferee is handed over (RFC 5589, section 7)."""
    BLIND = "blind"
    """Leave at once (RFC 5589, section 6: basic transfer)."""
    HOLD = "hold"
    """Put the other party on hold until asked to resume."""


# --------------------------------------------------------------------- facts


@attrs.frozen(kw_only=True)
class LegCreated:
    """A leg came into being; it has not answered yet."""

    leg: LegId
    number: str
    """The party at its end: who called, for an inbound leg; who is called, for an outbound one."""
    direction: Direction = Direction.INBOUND
    account: str = ""
    """Whose leg it is; empty where the switch does not say."""
    outside: bool = False
    """Whether the party is known to be outside: it called in, or is called, over a trunk."""
    may_transfer: bool | None = None
    """What the operator says of this very party's right to transfer by digits; `None`: nothing."""
    name: str = ""
    """How the party calls itself, where the switch says so; for displays, and nothing else."""
    withheld: bool = False
    """Whether the party wants neither shown to whom it talks with (CLIR; RFC 3323)."""
    other_half: LegId = ""
    """The other half of the pair, where the leg is one half of a call that the switch places to
    itself (a loopback)."""
    called_for: LegId = ""
    """The leg for which the switch calls this one, where it says so."""


@attrs.frozen(kw_only=True)
class LegIdentified:
    """It has turned out who is at the end of a leg: of a call through the dialplan, say."""

    leg: LegId
    number: str = ""
    """Empty where nothing new is known of it; so are the others."""
    account: str = ""
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
    """The party has picked up. Only from now on may the leg be joined with another."""

    leg: LegId


@attrs.frozen(kw_only=True)
class LegParked:
    """The leg stands alone in the switch's keeping, and takes commands."""

    leg: LegId


@attrs.frozen(kw_only=True)
class LegMovedAway:
    """Somebody else has sent the leg somewhere: it stands alone, and not in our keeping."""

    leg: LegId


@attrs.frozen(kw_only=True)
class LegsJoined:
    """Two legs hear each other."""

    first: LegId
    second: LegId


@attrs.frozen(kw_only=True)
class LegsSeparated:
    """Two legs no longer hear each other. Where each of them went is told by facts of their own."""

    first: LegId
    second: LegId


@attrs.frozen(kw_only=True)
class LegsReleased:
    """A joined pair is an ordinary call again: when one leaves, so does the other."""

    first: LegId
    second: LegId


@attrs.frozen(kw_only=True)
class SoundStarted:
    """The leg's party hears a sound that we asked for (music, ringback or a tone)."""

    leg: LegId
    sound: HeardSound


@attrs.frozen(kw_only=True)
class SoundStopped:
    """The sound ended: played out, or cut off by a join or a hang-up."""

    leg: LegId
    sound: HeardSound


@attrs.frozen(kw_only=True)
class DigitPressed:
    """The party pressed one key of 0-9, A-D, `*` and `#` (RFC 4733)."""

    leg: LegId
    digit: str
    serial: int = 0
    """The switch's number of this event, by which a repeat is known; 0 if it has none."""


@attrs.frozen(kw_only=True)
class LegHungUp:
    """The leg is gone, for good."""

    leg: LegId
    cause: str = "NORMAL_CLEARING"
    """The reason in the words of Q.850 as FreeSWITCH spells them (USER_BUSY, NO_ANSWER, …)."""


@attrs.frozen(kw_only=True)
class LegSnapshot:
    """One living leg, as the switch sees it now."""

    leg: LegId
    number: str
    direction: Direction
    account: str = ""
    outside: bool = False
    may_transfer: bool | None = None
    answered: bool = False
    parked: bool = False
    """Whether it stands alone in our keeping."""
    elsewhere: bool = False
    """Whether it stands alone, and is about something that is not ours."""
    peer: LegId | None = None
    """With whom it is joined: a living leg that says the same of this one."""
    hears: HeardSound | None = None
    """The sound that is played to it."""
    transfer: str = ""
    """The transfer whose mark it carries."""
    role: str = ""
    """Its part in that transfer: `transferor`, `transferee` or `target`."""
    kind: str = ""
    """What kind of transfer that is: `attended`, `blind` or `hold`."""
    name: str = ""
    """How the party calls itself, where the switch says so."""
    withheld: bool = False
    """Whether it wants that, and its number, shown to nobody."""
    other_half: LegId = ""
    """The other half of a loopback pair."""
    called_for: LegId = ""
    """The leg for which the switch called it."""


@attrs.frozen(kw_only=True)
class LegsSeen:
    """The switch's answer to `Look`. A leg that was asked for and is not here does not exist."""

    look: Look
    living: tuple[LegSnapshot, ...]
    """The legs that were asked for, and whomever they are joined with."""


@attrs.frozen(kw_only=True)
class SwitchLost:
    """The line to a switch is down. Calls go on without us; nothing is known of them for now."""

    switch: str = ""
    reason: str = ""


@attrs.frozen(kw_only=True)
class SwitchFound:
    """The line is up again, and every fact about the legs that live has been told anew."""

    switch: str = ""


# ------------------------------------------------------------------ requests


@attrs.frozen(kw_only=True)
class TransferOptions:
    """What a request chooses for its one transfer. `None`: the account's setting applies."""

    music: Sound | None = None
    """What the held party hears."""
    ringback: Sound | None = None
    """What the waiting party hears while the target rings."""
    takeback_digits: str | None = None
    """What the transferor dials to take the transferee back; empty: nothing."""
    ring_timeout_s: float | None = None
    """How long the target may ring."""


NO_OPTIONS: Final = TransferOptions()


@attrs.frozen(kw_only=True)
class TransferRequested:
    """The party on `leg` wants to transfer (or hold) the party that it talks with."""

    leg: LegId
    transfer: str
    """The new transfer's id, chosen by whoever asks."""
    target: str = ""
    """The number to call; empty for a hold."""
    kind: Kind = Kind.ATTENDED
    by: str = "digits"
    """Who asked: `digits`, or the name of a program's key."""
    options: TransferOptions = NO_OPTIONS


@attrs.frozen(kw_only=True)
class TakebackRequested:
    """The transferor wants the transferee back."""

    transfer: str
    by: str = "digits"


@attrs.frozen(kw_only=True)
class CompleteRequested:
    """The transferor hands the transferee over now, without hanging up first."""

    transfer: str
    by: str = "digits"


@attrs.frozen(kw_only=True)
class HangUpRequested:
    """Somebody wants a leg ended."""

    leg: LegId
    by: str = "digits"


# -------------------------------------------------------------- consequences


@attrs.frozen(kw_only=True)
class TransferFound:
    """A controller that has just started finds, by the marks on the legs, a transfer in flight."""

    transfer: str


@attrs.frozen(kw_only=True)
class CommandFailed:
    """The switch refused a command, or the backend could not deliver it.

    That a command was *taken* is never reported: its effect is a fact of its own.
    """

    command: Command
    reason: str


@attrs.frozen(kw_only=True)
class TimerFired:
    """A timer that was set has run out. It may have crossed its own cancellation."""

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

ControlRequest: TypeAlias = TakebackRequested | CompleteRequested
"""Requests about a transfer in progress, named by `transfer`. Each is an input of the tables."""

Request: TypeAlias = TransferRequested | ControlRequest | HangUpRequested

CallEvent: TypeAlias = LegFact | PairFact | LegsSeen | CommandFailed | SwitchLost | SwitchFound
"""What a backend yields."""

Event: TypeAlias = CallEvent | Request | TimerFired | TransferFound
"""Everything that the engine's queue carries."""
