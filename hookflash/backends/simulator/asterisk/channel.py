"""The values of the simulated Asterisk: a channel, a bridge, what plays.

Only the switch writes them.
"""

from __future__ import annotations

from enum import Enum, auto

import attrs

from hookflash.backends.simulator.asterisk.extensions import DialplanPlace
from hookflash.backends.simulator.channel import SILENCE, Audible, Extension, Sense
from hookflash.events import Direction, LegId
from hookflash.sounds import HeardSound


class App(Enum):
    """What a channel does: the application that runs."""

    NONE = auto()
    """It is between one application and the next."""
    CALLED = auto()
    """`AppDial`: it is called, and has not been anywhere else."""
    DIAL = auto()
    """It calls somebody, and talks with them."""
    STASIS = auto()
    BRIDGE = auto()
    WAIT = auto()
    ELSEWHERE = auto()
    """Something of another program's."""


class Leaving(Enum):
    """What a channel does when its partner leaves their bridge."""

    GOES_ON = auto()
    """It goes on with the next step of its extension."""
    GOES_TO = auto()
    """It goes where `Bridge` has said."""
    ENDS = auto()


@attrs.define(eq=False)
class AsteriskPlayback:
    """A sound that plays to a channel, or waits until the one before it is over."""

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
    """Some who hear each other; two, as a rule."""

    members: list[AsteriskChannel] = attrs.field(factory=list["AsteriskChannel"])
    over: bool = False
    """Whether somebody has left it, so that the other leaves, too."""
    cause: str = ""
    """Why, if that one has hung up."""
    is_new: bool = False
    """Whether who was taken into it can hardly be sent out of it yet."""
    is_young: bool = False
    """Whether a controller had better not send anybody out of it yet."""

    def grow_old(self) -> None:
        """Who was taken into it can be sent out of it."""
        self.is_new = False

    def settle(self) -> None:
        """Its bridge has been up for a moment."""
        self.is_young = False


@attrs.define(eq=False)
class AsteriskChannel:
    """One leg, as the switch keeps it. Read it; only the switch writes it."""

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
    """Why it hung up; empty while it lives."""
    app: App = App.NONE
    moves: int = 0
    """How often it was sent somewhere: pending actions of the previous place are void."""
    is_sent: bool = False
    """Whether it is on its way to where it was sent."""
    is_leaving: bool = False
    """Whether its party has hung up: its partner's variables say at once that it is alone."""
    bridge: AsteriskBridge | None = None
    leaving: Leaving = Leaving.ENDS
    cause_of_partner: str = ""
    """Why the one has hung up that took it into a bridge: `Hangup()` says the same."""
    after: DialplanPlace | None = None
    """Where it goes, if its partner leaves."""
    limits: int = 0
    """How often its absolute timeout was set."""
    ends_s: float | None = None
    """When its absolute timeout passes, if it has one."""
    half: AsteriskChannel | None = None
    """The other half of a call through the dialplan."""
    is_near: bool = False
    calls: AsteriskChannel | None = None
    """Whom it calls."""
    called_by: AsteriskChannel | None = None
    """Who calls it, and has no answer yet."""
    called_for: LegId = ""
    goes_to: str = "park"
    """The extension of ours to which it goes when it has answered."""
    music: HeardSound | None = None
    playbacks: list[AsteriskPlayback] = attrs.field(factory=list[AsteriskPlayback])
    entering: AsteriskBridge | None = None
    """The bridge that it has made, and is about to enter."""
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
        """With whom it is joined."""
        if self.bridge is None or len(self.bridge.members) != 2:  # noqa: PLR2004 - a pair
            return None
        one, other = self.bridge.members
        return other if one is self else one

    @property
    def playing(self) -> AsteriskPlayback | None:
        """What plays to it, but for music on hold."""
        return self.playbacks[0] if self.playbacks and self.playbacks[0].begun else None
