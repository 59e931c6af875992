"""The values of the simulated Asterisk: channels, bridges, sounds.

Only the switch changes them.
"""

from __future__ import annotations

from enum import Enum, auto

import attrs

from hookflash.backends.simulator.asterisk.extensions import DialplanPlace
from hookflash.backends.simulator.channel import SILENCE, Audible, Extension, Sense
from hookflash.events import Direction, LegId
from hookflash.sounds import HeardSound


class App(Enum):
    """What a channel does: its current application."""

    NONE = auto()
    """Between two applications."""
    CALLED = auto()
    """`AppDial`: it is being called, and has not been anywhere else."""
    DIAL = auto()
    """It calls a party, then talks with them."""
    STASIS = auto()
    BRIDGE = auto()
    CHANSPY = auto()
    """It takes part in a conversation."""
    WAIT = auto()
    ELSEWHERE = auto()
    """An application of another program."""


class Leaving(Enum):
    """What a channel does when its partner leaves their bridge."""

    GOES_ON = auto()
    """It continues with the next step of its extension."""
    GOES_TO = auto()
    """It goes where `Bridge` says."""
    ENDS = auto()


@attrs.define(eq=False)
class AsteriskPlayback:
    """A sound that plays to a channel, or waits for the previous one to end."""

    id: str
    sound: HeardSound
    sense: Sense
    lasts_s: float | None
    begun: bool = False

    @property
    def hears(self) -> Audible:
        """What the party would call it."""
        return Audible(self.sense, str(self.sound))


@attrs.define(eq=False)
class AsteriskBridge:
    """Channels that hear each other, usually two."""

    members: list[AsteriskChannel] = attrs.field(factory=list["AsteriskChannel"])
    over: bool = False
    """Whether a channel has left it, so that the other leaves too."""
    cause: str = ""
    """The cause, if that channel has hung up."""
    is_new: bool = False
    """Whether a channel that was taken into it can hardly be sent out of it yet."""
    is_young: bool = False
    """Whether a controller should not yet send anybody out of it."""

    def grow_old(self) -> None:
        """A channel that was taken into it can now be sent out of it."""
        self.is_new = False

    def settle(self) -> None:
        """Its bridge has been up for a moment."""
        self.is_young = False


@attrs.define(eq=False)
class AsteriskChannel:
    """One leg, as the switch keeps it. Only the switch changes it."""

    id: LegId
    name: str
    number: str
    direction: Direction
    place: DialplanPlace
    account: str = ""
    variables: dict[str, str] = attrs.field(factory=dict[str, str])
    shared: dict[str, str] = attrs.field(factory=dict[str, str])
    answered: bool = False
    cause: str = ""
    """The cause of its hang-up; empty while it lives."""
    app: App = App.NONE
    moves: int = 0
    """How often it was sent somewhere: pending actions of the previous place are void."""
    is_sent: bool = False
    """Whether it is on its way to where it was sent."""
    is_leaving: bool = False
    """Whether its party has hung up: its partner's variables then show at once that it is alone."""
    bridge: AsteriskBridge | None = None
    leaving: Leaving = Leaving.ENDS
    cause_of_partner: str = ""
    """The cause for which the leg that took it into a bridge has hung up: `Hangup()` repeats it."""
    after: DialplanPlace | None = None
    """Where it goes if its partner leaves."""
    limits: int = 0
    """How often its absolute timeout was set."""
    ends_s: float | None = None
    """When its absolute timeout passes, if it has one."""
    half: AsteriskChannel | None = None
    """The other half of a call through the dialplan."""
    is_near: bool = False
    calls: AsteriskChannel | None = None
    """The leg that it calls."""
    called_by: AsteriskChannel | None = None
    """The leg that calls it, until it answers."""
    called_for: LegId = ""
    address: str = ""
    """Where its phone was called: the number, and `@` and the context if it was called in one."""
    part_of: AsteriskChannel | None = None
    """In whose conversation it takes part."""
    music: HeardSound | None = None
    playbacks: list[AsteriskPlayback] = attrs.field(factory=list[AsteriskPlayback])
    entering: AsteriskBridge | None = None
    """The bridge that it has created and is about to enter."""
    errand: Extension | None = None
    """Where another program has sent it."""
    announced: Audible = SILENCE
    """What another program's extension plays to it."""
    hears: Audible = SILENCE
    shown: list[str] = attrs.field(factory=list[str])

    @property
    def voice(self) -> Audible:
        """What its bridge partner hears from it."""
        return Audible(Sense.VOICE, self.id)

    @property
    def peer(self) -> AsteriskChannel | None:
        """Its bridge partner."""
        if self.bridge is None or len(self.bridge.members) != 2:  # noqa: PLR2004 - a pair
            return None
        one, other = self.bridge.members
        return other if one is self else one

    @property
    def playing(self) -> AsteriskPlayback | None:
        """What plays to it, except music on hold."""
        return self.playbacks[0] if self.playbacks and self.playbacks[0].begun else None
