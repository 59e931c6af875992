"""The values of the simulated FreeSWITCH: legs, sounds, joins and moves.

Only the switch changes them: see `bridges`, `partings` and `parking`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum, StrEnum
from typing import Final, NamedTuple, TypeAlias

import attrs

from hookflash.events import Direction, LegId
from hookflash.sounds import Conversation, HeardSound

Thunk: TypeAlias = Callable[[], None]


class Sense(StrEnum):
    """The kind of thing that a party hears."""

    SILENCE = "silence"
    MUSIC = "music"
    RINGBACK = "ringback"
    TONE = "tone"
    VOICE = "voice"
    DIGIT = "digit"
    """The tone of a key that the other party presses. It is momentary."""


class Audible(NamedTuple):
    """What a party hears: a sound by its text, a voice by its leg, or nothing."""

    sense: Sense
    what: str = ""


SILENCE: Final = Audible(Sense.SILENCE)


class ChannelPlace(Enum):
    """Where a leg is within the switch."""

    DIALLING = "dialling"
    """Its phone rings, or has just answered."""
    PARKED = "parked"
    MOVING = "moving"
    """On its way from one place to the next."""
    JOINED = "joined"
    ELSEWHERE = "elsewhere"
    """In an extension to which another program has sent it."""
    ADRIFT = "adrift"
    """Left over from a failed join."""


class Fate(Enum):
    """What happens to a leg whose bridge has ended."""

    PARK = "park"
    RESCUE = "rescue"
    END = "end"


class Failsafe(NamedTuple):
    """What an armed leg does when its bridge ends."""

    wanted: LegId
    """The leg that it intercepts."""
    after_s: str = ""
    """How long it first waits in the park, in whole seconds; empty: not at all."""


_FROM_THE_PARK: Final = re.compile(
    r"sched_transfer:[+](?P<after_s>[0-9]+)\\sintercept:(?P<wanted>[^\\]+)\\sinline,park inline"
)


@attrs.frozen
class ToPark:
    """The extension parks the leg."""


@attrs.frozen
class ToSound:
    """The extension plays a sound, then hangs up."""

    sound: HeardSound
    lasts_s: float | None = None
    """How long it plays; None: for ever."""


@attrs.frozen
class ToPhone:
    """The extension calls a phone and joins the two; when one leaves, so does the other."""

    number: str


@attrs.frozen
class ToLeg:
    """The extension intercepts another leg; if that is gone, it hangs up."""

    wanted: LegId


@attrs.frozen
class ToInline:
    """The leg sets variables of its own, then goes to an extension (`inline`)."""

    number: str
    """The extension's number; empty: a park that is not the controller's."""
    variables: Mapping[str, str]


@attrs.frozen
class ToPart:
    """The extension takes part in the conversation of a leg, and parks when that leg ends."""

    of: LegId


Extension: TypeAlias = ToPark | ToSound | ToPhone | ToLeg | ToInline | ToPart
"""Where a leg can be transferred to."""


class Playback:
    """A sound that is played to a leg."""

    __slots__ = ("hears", "is_own", "lasts_s", "lost", "sound")

    def __init__(
        self, sound: HeardSound, sense: Sense, lasts_s: float | None, *, is_own: bool = False
    ) -> None:
        self.sound = sound
        self.is_own = is_own
        """An extension plays it; it was not ordered."""
        self.lost = False
        """Its leg was ordered elsewhere while its thread prepared the sound."""
        self.hears = Audible(sense, str(sound))
        self.lasts_s = lasts_s


@attrs.define(eq=False, repr=False)
class SimulatedChannel:
    """One leg, as the switch keeps it. Only the switch changes it."""

    id: LegId
    number: str
    direction: Direction
    account: str
    variables: dict[str, str]
    answered: bool = False
    cause: str = ""
    """The cause of its hang-up; empty while it lives."""
    place: ChannelPlace = ChannelPlace.DIALLING
    peer: SimulatedChannel | None = None
    """Its bridge partner."""
    is_first: bool = False
    """Its side of the bridge."""
    bond: str = ""
    """The variable `signal_bond`: its current, former or intended partner."""
    bridge_uuid: str = ""
    """The variable `bridge_uuid`: the same, but never removed."""
    half: SimulatedChannel | None = None
    """The other half of a loopback pair, while both live."""
    errand: PendingJoin | DialplanTransfer | None = None
    call: SimulatedChannel | None = None
    """The other leg of an ordinary call that has not been answered yet."""
    called_for: LegId = ""
    """The leg whose bridge called it."""
    playing: Playback | None = None
    sounds: list[Playback] = attrs.field(init=False)
    """Ordered sounds that wait until its thread looks or `playing` has ended."""
    settles: bool = False
    """Its bridge is so young that its thread does not look for sounds yet."""
    is_fresh: bool = False
    """It was joined a moment ago."""
    missed: SimulatedChannel | None = None
    """The other leg of its last bridge, which was reported but never came up."""
    is_free: bool = False
    """It is adrift, and its thread waits for no leg: it plays what is ordered."""
    is_idle: bool = False
    """It was parked in place although it was parked already: its thread has left that park, and
    reads no keys any more."""
    joins: int = 0
    early: SimulatedChannel | None = None
    """As the first leg of a bridge: the leg to which its thread plays a sound that was ordered
    before the bridge was up. It attends to the bridge only after that sound."""
    disturbed: bool = False
    """It was ordered elsewhere while it waited for another leg and ignored orders."""
    orders: int = 0
    """How often it was ordered elsewhere."""
    due: Playback | None = None
    """The sound that its thread has taken off the queue and is about to play."""
    ghosts: list[Thunk] = attrs.field(init=False)
    """Next steps of first legs that still take it for their partner, although it is joined with
    another leg. They run when it leaves that bridge."""
    seeks: SimulatedChannel | None = None
    """The leg for which it waits, ignoring every order: its join lost that leg before it began."""
    later: Extension | None = None
    """Where it was ordered during that wait: it goes there afterwards."""
    again: bool = False
    """It was ordered to join the leg that it seeks."""
    wanted: SimulatedChannel | None = None
    """The leg that it was ordered to join while it waited for another."""
    locked: bool = False
    """It and the leg that it seeks wait for each other: nothing but the end of one ends that."""
    seekers: list[SimulatedChannel] = attrs.field(init=False)
    """Legs that wait for this one."""
    listeners: list[tuple[SimulatedChannel, Playback]] = attrs.field(init=False)
    """Legs that take part in its conversation."""
    parks_then: bool = False
    """Its extension parks it when the conversation ends in which it takes part."""
    unread: list[str] = attrs.field(init=False)
    """Keys that were pressed while it waited for an answer."""
    nested: Playback | None = None
    """What an extension plays, while an ordered sound plays on top of it."""
    waits: Thunk | None = None
    """What its partner, which has left, will do once this leg's sound releases the bridge."""
    held: SimulatedChannel | None = None
    """The second leg whose sound it waits for, having left their bridge."""
    parkings: int = 0
    in_cs_park: bool = False
    """Its own variables parked it, not an application: parking it again changes nothing."""
    in_dialplan: bool = False
    """Its bridge is a dialplan's; no order has joined it since."""
    drops_keys: bool = False
    """It is sent no keys of its bridge partner."""
    destination: str = ""
    """The number of the extension that it is in, or was in before it was parked."""
    dialplan: str = "XML"
    """The dialplan that sent it where it is: `inline` after an order to park."""
    overdue: bool = False
    """Its time in the park is over: it ends as soon as nothing plays."""
    address: str = ""
    """Where its phone was called: the number, and `@` and the context if it was called in one."""
    takes: LegId | None = None
    """The leg that it intercepts when it answers."""
    waits_ringing: bool = False
    """Its `originate` has ended, so that it is parked, although it still rings."""
    caller_id: str = attrs.field(init=False)
    """The caller's number of its profile, which the switch shows to others."""
    callee_id: str = attrs.field(init=False)
    is_flipped: bool = attrs.field(init=False)
    """An outbound leg that has led a bridge counts as a caller from then on."""
    shown: list[str] = attrs.field(init=False)
    """The numbers that its phone was ordered to show, in order."""
    voice: Audible = attrs.field(init=False)
    hears: Audible = SILENCE

    def __attrs_post_init__(self) -> None:
        inbound = self.direction is Direction.INBOUND
        self.caller_id = self.number if inbound else ""
        self.callee_id = "" if inbound else self.number
        self.is_flipped = inbound
        self.voice = Audible(Sense.VOICE, self.id)
        self.sounds, self.ghosts, self.seekers = [], [], []
        self.unread, self.shown, self.listeners = [], [], []

    @property
    def owner_id(self) -> str:
        """The user or device that it belongs to."""
        return self.variables.get("hookflash_owner", "")

    @property
    def failsafe(self) -> Failsafe | None:
        """What it is armed with."""
        argument = self.variables.get("exec_after_bridge_arg", "")
        match self.variables.get("exec_after_bridge_app"):
            case "intercept":
                return Failsafe(argument)
            case "execute_extension" if found := _FROM_THE_PARK.fullmatch(argument):
                return Failsafe(found["wanted"], found["after_s"])
            case _:
                return None

    @property
    def takes_sounds(self) -> bool:
        """Whether its thread looks for ordered sounds."""
        if self.place is ChannelPlace.JOINED:
            return not self.settles
        if self.place is ChannelPlace.PARKED:
            return not self.is_idle
        return self.is_free or self.place is ChannelPlace.ELSEWHERE

    @property
    def takes_part(self) -> bool:
        """Whether it takes part in a conversation."""
        return self.playing is not None and isinstance(self.playing.sound, Conversation)

    @property
    def is_about_to_play(self) -> bool:
        """Whether its thread is preparing a sound, and attends to nothing else meanwhile."""
        return self.due is not None and not self.due.lost

    @property
    def bridged_to(self) -> SimulatedChannel | None:
        """The variable `bridge_to`.

        A first leg loses it when it is ordered elsewhere, even if it then waits until its partner,
        joined with another, leaves that bridge. It stays if a bridge was reported but never came
        up.
        """
        if self.peer is not None and self.is_first and self.errand is not None and self.is_left:
            return None
        return self.peer or self.missed

    @property
    def is_suspended(self) -> bool:
        """Whether its partner hears a sound, during which its own keys are not read."""
        peer = self.peer
        return peer is not None and peer.peer is self and peer.playing is not None

    @property
    def is_left(self) -> bool:
        """Whether its partner has left their bridge, which it has not noticed yet.

        Its thread takes one sound at a time, and attends to the bridge before the next.
        """
        return self.peer is not None and (self.peer.peer is not self or bool(self.peer.cause))

    @property
    def is_busy(self) -> bool:
        """Whether its thread still prepares a sound that is lost, and obeys later."""
        return self.due is not None and self.due.lost

    def forget_park(self) -> str | None:
        """Remove the park's time limit and the variable that led into it."""
        limit = self.variables.pop("park_timeout", None)
        if limit is not None:
            self.variables.pop("park_after_bridge", None)
        return limit

    def lose_due(self) -> None:
        """Lose the sound that is about to begin."""
        if self.due is not None:
            self.due.lost = True

    def forget_sounds(self) -> None:
        """Lose all ordered sounds."""
        self.sounds.clear()
        self.lose_due()


@attrs.define(eq=False, repr=False)
class PendingJoin:
    """Two legs on their way into one bridge."""

    first: SimulatedChannel
    second: SimulatedChannel
    live: bool = True
    """No other order has taken one of the two, and it has not failed."""
    begun: bool = False
    ripe: bool = False
    """It began some time ago, and hardly releases its second leg."""
    broken: bool = False
    """It repeats a join that had begun: it will fail when it finishes."""
    doomed: bool = False
    """It came while another join of `first` was failing, and fails with it."""
    stranded: bool = False
    """It has failed, which the remaining leg has not noticed yet."""
    takes_along: bool = False
    """Its first leg is half of a dead pair, and may take the second with it when it ends."""
    waits: bool = False
    """Its first leg had arrived when another order took that leg; its second had not."""
    woken: bool = False
    """Its second leg was waiting for the first, and ignored orders."""
    deserted: bool = False
    """Its second leg led the same join the other way round, and ends: the first has left that."""
    was_held: bool = False
    """One of its legs had to wait for a sound of the second leg of its old bridge."""
    left: list[tuple[SimulatedChannel, bool]] = attrs.field(
        factory=list[tuple[SimulatedChannel, bool]]
    )
    """Legs whose join this one has ended; true: such a leg hangs up."""


class DialplanTransfer:
    """A leg, or a pair, on its way into an extension."""

    __slots__ = ("busy", "extension", "in_place", "left", "legs", "redirects", "seeks")

    def __init__(
        self, extension: Extension, *legs: SimulatedChannel, in_place: bool = False
    ) -> None:
        self.extension = extension
        self.in_place = in_place
        self.legs = legs
        self.busy: SimulatedChannel | None = None
        """A leg that prepared a sound in a bridge when it was ordered away."""
        self.redirects = False
        """It has ended a join, which had set a flag that disarms the leg (`CF_REDIRECT`)."""
        self.seeks: tuple[SimulatedChannel, SimulatedChannel] | None = None
        """The first leg of a join that it has ended, and the second, which it took."""
        self.left: list[tuple[SimulatedChannel, bool]] = []
        """Legs whose join this one has ended; true: such a leg hangs up."""
