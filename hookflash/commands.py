"""What to do: frozen orders, in the imperative.

A command is an intention. That a switch accepts it proves nothing: its effect comes
back as an event (see `hookflash.events`), and a timer, which is a command too, catches
a command whose effect never comes.

What is played is a value, too: a `Sound`, that is `Music`, a `Tone` or a `Recording` (see
`hookflash.sounds`); in JSON it is a text such as `music:default`.

Backends execute all of these but `SetTimer` and `CancelTimer`, which are the
engine's. Don't subclass them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import attrs

from hookflash.sounds import Sound
from hookflash.transfer_context import Pairs


class Afterwards(StrEnum):
    """What happens to a leg when its partner leaves."""

    PARK = "park"
    """It is parked: the transfer goes on."""
    END = "end"
    """It is hung up, too, as in any ordinary call."""


@attrs.frozen(kw_only=True)
class Split:
    """Separate the two, and park each. Proof: `LegParked` of both, `LegsSeparated` of the pair."""

    first: str
    """The transferor's."""
    second: str
    """The transferee's."""
    transfer: str = ""
    """The transfer that both legs are marked with, so that a restarted controller finds them."""
    kind: str = ""
    """The kind of the transfer; a mark, too."""
    undisclosed: tuple[str, ...] = ()
    """The outside parties of the two: from now on the switch does not show their phones whom they
    are joined with."""
    repeated: bool = False
    """Whether it was ordered before, without proof: a backend then separates them only if they are
    together. The first order may just be slow, and a leg that is parked twice loses its sound."""


@attrs.frozen(kw_only=True)
class Park:
    """Park one leg that is not joined. Proof: `LegParked`.

    For a leg that was left adrift: the first leg of a join hung up during it, and FreeSWITCH leaves
    the second where it is, in silence, without an event (measured on 1.10.12).
    """

    leg: str
    unless_with: tuple[str, ...] = ()
    """Not if the switch is joining it with one of these: parking it now would end a leg."""
    part_of: str = ""
    """The leg in whose conversation it has taken part, and which it leaves (`TakePart`)."""
    disarms: bool = False
    """Whether it carries a failsafe that would connect it soon, which is removed first."""


@attrs.frozen(kw_only=True)
class TakePart:
    """Let a parked leg take part in the conversation of two. Proof: `SoundStarted`.

    All three hear each other; the sound is a `Conversation`. The other two stay joined as they are,
    with their failsafe. It ends when the leg is joined or parked (`Park`), and when the other leg
    ends: `SoundStopped`, then `LegParked`.
    """

    leg: str
    of: str
    """The leg in whose conversation it takes part."""
    unless_with: tuple[str, ...] = ()
    """Not if the switch is joining it with one of these, by its failsafe: see `Park`."""


@attrs.frozen(kw_only=True)
class Fetch:
    """Take a leg that talks with nobody out of where it is, and park it. Proof: `LegParked`.

    The switch notes on the leg where that was. A leg that talks with somebody stays there, and the
    command fails; and so it does where the leg could not be sent back as `return_to` says.
    """

    leg: str
    """The caller's, or that of a party that picks up a parked call."""
    transfer: str = ""
    """The transfer that the leg is marked with."""
    role: str = "transferee"
    """The role that it is marked with."""
    kind: str = ""
    return_to: str = ""
    """Where it is to go if the transfer fails (see `SendBack`); empty: nowhere."""
    return_after_s: float | None = None
    """After this time, the switch on its own sends the leg there, in case no controller is left."""
    undisclosed: bool = False
    """Whether the switch does not show the leg's phone whom it is joined with."""
    repeated: bool = False
    """Whether it was ordered before, without proof. A leg that is parked by then stays."""


@attrs.frozen(kw_only=True)
class SendBack:
    """Send a parked leg where it came from, with nothing of ours on it.

    Proof: `LegMovedAway`, in the answer to a `Look`. The controller needs to ask for it.
    """

    leg: str
    to: str
    """`origin`: where `Fetch` found it; `park`: the switch's park; or an extension of the dialplan
    with its context, such as `7000@default`, which the operator has chosen."""


@attrs.frozen(kw_only=True)
class Look:
    """Ask the switch where these legs are. Proof: `LegsSeen`, with all that it knows of them.

    An event may be lost, and silence is no proof. So no order is repeated, and no leg is hung up,
    before the switch was asked.
    """

    legs: tuple[str, ...]
    transfer: str = ""
    """The transfer that asks; empty: none does."""
    number: int = 0
    """The number of the question, by which a late answer is recognized."""


@attrs.frozen(kw_only=True)
class HoldWithMusic:
    """Play music to a parked leg until it is joined or ends. Proof: `SoundStarted`."""

    leg: str
    music: Sound


@attrs.frozen(kw_only=True)
class PlayRingback:
    """Play ringback to a parked leg until it is joined or ends. Proof: `SoundStarted`."""

    leg: str
    ringback: Sound


@attrs.frozen(kw_only=True)
class PlayTone:
    """Play a tone once to a parked leg. Proof: `SoundStarted`."""

    leg: str
    tone: Sound


@attrs.frozen(kw_only=True)
class Announce:
    """Play a sound that ends, once, to a leg that talks. Its partner does not hear it.

    The two stay joined. No proof, and no promise: if it is lost, nobody waits for it.
    """

    leg: str
    sound: Sound


@attrs.frozen(kw_only=True)
class Dial:
    """Call the target, and park it when it answers.

    Proof: `LegCreated`, `LegProgressed`, then `LegAnswered` and `LegParked`, or `LegHungUp`.
    """

    leg: str
    """The id of the new leg. The engine chooses it, so that it recognizes each event. If a leg with
    this id exists, the command fails."""
    target: str
    """The number, as dialled."""
    on_behalf_of: str
    """The leg of the transferor, whose rights and caller ID apply."""
    caller: str = ""
    """The number that the target sees calling: the transferor's, which may be gone by then, or the
    one that was asked for. A withheld number is never shown."""
    caller_name: str = ""
    """The name that the target sees calling; empty: that of the party that it is called for."""
    withheld: bool = False
    """Whether the caller withholds its number and name; it may be gone by then."""
    caller_prefix: str = ""
    """What stands before the caller's name on the phone, such as `Recall `."""
    role: str = "target"
    """The role in which the leg is marked: in a recall it is the transferor."""
    account: str = ""
    """The account of the leg: that of its caller. It also reaches the far side of a call through
    the dialplan."""
    owner_id: str = ""
    """The owner of the leg: that of the transferor that is called back; empty: none is known."""
    ring_timeout_s: float
    """After this time without an answer the switch ends the call, with NO_ANSWER."""
    transfer: str = ""
    """The transfer that the leg is marked with."""
    variables: Pairs = ()
    """Channel variables for the leg, checked (see `hookflash.transfer_context`)."""
    headers: Pairs = ()
    """SIP headers for the call, checked."""


@attrs.frozen(kw_only=True)
class Join:
    """Join two legs, which have answered. Proof: `LegsJoined`.

    It works on parked legs, and on a leg that is joined with a third, which it leaves.
    """

    first: str
    second: str
    attempt: int = 1
    """The number of the join in its transfer, by which the failure of an old join is recognized."""
    repeated: bool = False
    """Whether the attempt before was for the same two, without proof: a backend then bridges them
    only if the switch is not doing so already. It may just be slow, and a second bridge right after
    the first would end a leg."""
    transfer: str = ""
    """The transfer whose attempts are counted."""
    afterwards: Afterwards
    """What happens to the one when the other leaves."""
    rescue: str | None = None
    """With `afterwards` PARK: when the first leg leaves, the switch on its own joins the second
    with this leg, even without a controller (the failsafe). The first leg gets its own
    failsafe when the two talk, not before (`Arm`)."""
    disarm: tuple[str, ...] = ()
    """Legs that carry a failsafe from an earlier join. It is removed *before* this join: else the
    switch would take the transferee away in the moment of a takeback. It is one command, so that
    neither half can be lost without the other."""
    rescued: str = ""
    """The leg that those failsafes would connect; if it is in `disarm` itself, it may be connecting
    its partner in this join. If one of them is doing so, this join is not carried out: a second
    order on top of the first would end a leg."""
    stays: str = ""
    """A leg that `Fetch` has parked: the switch no longer sends it back on its own."""
    undisclosed: tuple[str, ...] = ()
    """Legs whose phones the switch itself does not show the partner: outside parties, and partners
    of a party that withholds its number."""


class Trigger(StrEnum):
    """The event on which a leg's failsafe acts."""

    ANSWER = "answer"
    """The ringing leg answers."""
    LEFT_ALONE = "left alone"
    """The leg's partner leaves."""


@attrs.frozen(kw_only=True)
class Arm:
    """Set a failsafe: the switch joins a leg with `rescue` on its own if the controller does not.

    No proof: the failsafe shows only when it acts.
    """

    leg: str
    rescue: str
    when: Trigger = Trigger.ANSWER
    undisclosed: bool = False
    """Whether the leg's phone does not show its new partner."""


@attrs.frozen(kw_only=True)
class Release:
    """Make a joined pair an ordinary call again: disarmed, and when one leaves, so does the other.

    Proof: `LegsReleased`. A channel variable takes effect before the switch answers: here, and only
    here, the reply *is* the fact.
    """

    first: str
    second: str


@attrs.frozen(kw_only=True)
class Introduce:
    """Show the phones of two joined legs each other's number (RFC 4916, connected identity).

    No proof, and no promise: not every phone can. An empty number is not shown.
    """

    first: str
    second: str
    first_number: str
    """What the second's phone shows."""
    second_number: str
    undisclosed: tuple[str, ...] = ()
    """Legs whose phones the switch itself does not update (see `Join`): they show these numbers,
    and no names."""


@attrs.frozen(kw_only=True)
class WithholdKeys:
    """Withhold the keys of a leg's partner from it: a feature code is being dialled.

    No proof. Without a `PassKeys`, the switch ends it after `limit_s`.
    """

    leg: str
    limit_s: float


@attrs.frozen(kw_only=True)
class PassKeys:
    """Pass the keys of a leg's partner to it again, and those that it missed."""

    leg: str
    digits: str = ""


@attrs.frozen(kw_only=True)
class Forget:
    """Remove everything of ours from these legs: marks, failsafes, limits.

    They are as if they had never been transferred.

    No proof. If it is lost, the marks stay, and the next controller removes them.
    """

    legs: tuple[str, ...]


@attrs.frozen(kw_only=True)
class HangUp:
    """Hang up a leg, in any state. Proof: `LegHungUp`."""

    leg: str
    cause: str = "NORMAL_CLEARING"


@attrs.frozen(kw_only=True)
class SetTimer:
    """Report `TimerFired` with this name after this time. Each name is used once."""

    timer: str
    after_s: float


@attrs.frozen(kw_only=True)
class CancelTimer:
    """Cancel a timer. It may have fired already."""

    timer: str


SwitchCommand: TypeAlias = (
    Split
    | Park
    | Fetch
    | SendBack
    | TakePart
    | HoldWithMusic
    | PlayRingback
    | PlayTone
    | Announce
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
