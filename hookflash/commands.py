"""What to do: frozen orders, in the imperative.

A command is an intention. That a switch took it proves nothing: its effect comes
back as an event (see `hookflash.events`), and a command whose effect never comes is
caught by a timer, which is a command too.

What is played is a value, too: a `Sound`, which is `Music`, a `Tone` or a `Recording` (see
`hookflash.sounds`); in JSON it is a text such as `music:default`.

Backends execute all of these but `SetTimer` and `CancelTimer`, which are the
engine's. Don't subclass them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import attrs

from hookflash.sounds import Sound


class Afterwards(StrEnum):
    """What becomes of a leg when the one that it is joined with leaves."""

    PARK = "park"
    """It is parked, and ours to look after: the transfer goes on."""
    END = "end"
    """It is hung up too, as in any ordinary call."""


@attrs.frozen(kw_only=True)
class Split:
    """Part the two, and park each. Proof: `LegParked` of both, `LegsSeparated` of the pair."""

    first: str
    """The transferor's."""
    second: str
    """The transferee's."""
    transfer: str = ""
    """The transfer that both legs are marked with, so that a restarted controller finds them."""
    kind: str = ""
    """What kind of transfer it is; a mark, too."""
    undisclosed: tuple[str, ...] = ()
    """Which of the two are outside parties: from now on the switch itself tells their phones
    nothing of whom it joins them with."""
    repeated: bool = False
    """Whether it was ordered before, and nothing was heard of it: a backend then parts them only if
    they are together. The first order may just be slow, and whoever is parked twice loses the
    sound that plays."""


@attrs.frozen(kw_only=True)
class Park:
    """Park one leg that is not joined. Proof: `LegParked`.

    For a leg that went adrift: the first of a join died in it, and FreeSWITCH leaves the second
    where it is, in silence, and reports nothing (measured on 1.10.12).
    """

    leg: str
    unless_with: tuple[str, ...] = ()
    """Not if the switch is joining it with one of these: to park it now would end a leg."""


@attrs.frozen(kw_only=True)
class Look:
    """Ask the switch where these legs are. Proof: `LegsSeen`, with all that it knows of them.

    An event may be lost, and silence is no proof. So nothing is repeated, and nobody is blamed or
    hung up, before the switch was asked.
    """

    legs: tuple[str, ...]
    transfer: str = ""
    """The transfer that asks; empty if it is not asked for one."""
    number: int = 0
    """Which of its questions this is: so that the answer to an old one is known."""


@attrs.frozen(kw_only=True)
class HoldWithMusic:
    """Play music to a parked leg until it is joined or ends. Proof: `SoundStarted`."""

    leg: str
    music: Sound


@attrs.frozen(kw_only=True)
class PlayRingback:
    """Let a parked leg hear that a phone rings, until it is joined or ends.

    Proof: `SoundStarted`.
    """

    leg: str
    ringback: Sound


@attrs.frozen(kw_only=True)
class PlayTone:
    """Play a tone once to a parked leg. Proof: `SoundStarted`."""

    leg: str
    tone: Sound


@attrs.frozen(kw_only=True)
class Dial:
    """Call the target, and park it when it answers.

    Proof: `LegCreated`, `LegProgressed`, then `LegAnswered` and `LegParked`, or `LegHungUp`.
    """

    leg: str
    """The id that the new leg gets: ours to choose, so that no event can come unknown. If a leg of
    this id lives already, the command fails."""
    target: str
    """The number, as dialled."""
    on_behalf_of: str
    """The leg of the transferor, whose rights and caller ID the call has."""
    caller: str = ""
    """The number that the target sees calling: the transferor's, who may be gone by then."""
    account: str = ""
    """The account that the leg belongs to: that of whoever calls it. It is carried to the far side
    of a call through the dialplan, too."""
    ring_timeout_s: float
    """After so long without an answer the switch gives up, with NO_ANSWER."""
    transfer: str = ""
    """The transfer that the leg is marked with."""
    rescue: str | None = None
    """When the target answers, the switch itself joins it with this leg (see `Arm`)."""


def name_of_target(transfer: str) -> str:
    """Name the leg that a transfer calls: a controller that finds the transfer knows it, too."""
    return f"{transfer}-target"


@attrs.frozen(kw_only=True)
class Join:
    """Let two legs hear each other. Both have answered. Proof: `LegsJoined`.

    Works on parked legs, and on a leg that is joined with a third, which it takes away.
    """

    first: str
    second: str
    attempt: int = 1
    """Which join of its transfer this is: so that the failure of an old one is known from the
    failure of the one that counts."""
    repeated: bool = False
    """Whether the attempt before this one was for the same two, and nothing was heard of it: a
    backend then bridges them only if the switch has not taken that order. It may just be slow, and
    a second bridge on the heels of the first would end a leg."""
    transfer: str = ""
    """The transfer whose attempts are counted."""
    afterwards: Afterwards
    """What becomes of the one when the other leaves."""
    rescue: str | None = None
    """With `afterwards` PARK: when the first leaves, the switch itself joins the second with this
    leg, whether or not anybody is there to tell it so (the failsafe). The first leg gets its own
    failsafe when the two talk, and not before (`Arm`)."""
    disarm: tuple[str, ...] = ()
    """Legs that carry a failsafe from an earlier join, which must be gone *before* this join: else
    the switch would take the transferee away in the very moment of a takeback. One command, so
    that the one can't be lost without the other."""
    rescued: str = ""
    """The leg that those failsafes would fetch. If one of them is already fetching it, this join
    is not carried out: a second order on top of the first would end a leg."""
    undisclosed: tuple[str, ...] = ()
    """Which of the two legs' phones are told nothing about the other by the switch itself: outside
    parties, and whoever talks with somebody who wants the number withheld."""


class Trigger(StrEnum):
    """On what a leg's failsafe acts."""

    ANSWER = "answer"
    """The leg, which rings, answers."""
    LEFT_ALONE = "left alone"
    """The one that the leg talks with leaves."""


@attrs.frozen(kw_only=True)
class Arm:
    """Tell the switch to join a leg with `rescue` by itself, should nobody be there to order it.

    No proof: it is a net under the controller's own `Join`, and shows only when it catches.
    """

    leg: str
    rescue: str
    when: Trigger = Trigger.ANSWER
    undisclosed: bool = False
    """Whether the leg's phone is to be told nothing of whom it then gets."""


@attrs.frozen(kw_only=True)
class Release:
    """Make a joined pair an ordinary call again: disarmed, and when one leaves, so does the other.

    Proof: `LegsReleased`. Setting a channel's variables takes effect before the switch answers,
    so that here, and only here, the reply *is* the fact.
    """

    first: str
    second: str


@attrs.frozen(kw_only=True)
class Introduce:
    """Let the phones of two who talk show whom they talk with (RFC 4916, connected identity).

    No proof, and no promise: a phone need not be able to. Whoever may not be shown has no number.
    """

    first: str
    second: str
    first_number: str
    """What the second's phone is to show."""
    second_number: str
    undisclosed: tuple[str, ...] = ()
    """Which of the two the switch itself tells nothing (see `Join`): they are told these numbers,
    and no names."""


@attrs.frozen(kw_only=True)
class WithholdKeys:
    """Let a leg hear no keys of the one that it talks with, from now on: a code is being dialled.

    No proof. Should nobody take it back (`PassKeys`), the switch does so after `limit_s`.
    """

    leg: str
    limit_s: float


@attrs.frozen(kw_only=True)
class PassKeys:
    """Let a leg hear the keys of the one that it talks with again, and these that it missed."""

    leg: str
    digits: str = ""


@attrs.frozen(kw_only=True)
class Forget:
    """Take everything off these legs that was ours: marks, failsafes, limits.

    They are nobody's but their parties', as if they had never been transferred.

    No proof. Where it is lost, the marks stay, and by them the next controller finds it out.
    """

    legs: tuple[str, ...]


@attrs.frozen(kw_only=True)
class HangUp:
    """End a leg, in whatever state it is. Proof: `LegHungUp`."""

    leg: str
    cause: str = "NORMAL_CLEARING"


@attrs.frozen(kw_only=True)
class SetTimer:
    """Report `TimerFired` with this name after so long. Each name is used once."""

    timer: str
    after_s: float


@attrs.frozen(kw_only=True)
class CancelTimer:
    """Forget a timer. It may have fired already: whoever set it must not mind."""

    timer: str


SwitchCommand: TypeAlias = (
    Split
    | Park
    | HoldWithMusic
    | PlayRingback
    | PlayTone
    | Dial
    | Join
    | Arm
    | Release
    | Introduce
    | WithholdKeys
    | PassKeys
    | HangUp
    | Forget
    | Look
)
"""What a backend executes."""

TimerCommand: TypeAlias = SetTimer | CancelTimer
"""What the engine executes itself."""

Command: TypeAlias = SwitchCommand | TimerCommand
