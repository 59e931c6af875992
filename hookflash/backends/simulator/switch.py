"""A telephone switch with FreeSWITCH's manners: its primitives, its facts, and its traps.

Everything here is as FreeSWITCH 1.10.12 did it when it was recorded and measured; the primitives
bear its names, so that whatever speaks FreeSWITCH's language can sit on them. What to know:

* **A primitive answers at once, and its effect comes later.** `+OK` means that the order was
  taken. Each leg has a thread that looks up every 20 ms (`_TICK_S`), so an effect takes one to
  three ticks, and whatever happens meanwhile crosses it.
* **A leg has at most one errand**: a transfer into the park, or a join. The newest wins. A join
  has two stages: it *begins* after a tick (both legs leave what they were doing: their sounds
  stop, they are fetched out of their bridges) and is *finished* one or two ticks later
  (`LegsJoined`). Either leg may die in each of them, and another order may take it away.
* **What becomes of a leg when its bridge ends is written in its own variables**, and it depends on
  its side of the bridge. The first leg (which `bridge` names first): `park_after_bridge`, else
  `hangup_after_bridge`, else `exec_after_bridge_app`, else it ends. The second: the app, else
  `park_after_bridge`, else it ends.
* **A leg can go adrift.** When a join comes to nothing and the *second* leg lives on, nobody tells
  it what to do next: it is not parked, plays no sound, and reports nothing. Joining it, parking it
  and hanging it up still work. It is the one state that has no fact.
* `intercept` is a join that first hangs up (PICKED_OFF) whomever the wanted leg is joined with, or
  being joined with. That is what makes an armed leg dangerous in a takeback.

Of a leg that has hung up nothing more is told: neither that its sound stops nor that its bridge is
undone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Container, Iterable, Mapping
from enum import Enum, StrEnum
from functools import partial
from typing import Final, NamedTuple, Protocol, TypeAlias

from hookflash.events import (
    CallEvent,
    DigitPressed,
    Direction,
    LegAnswered,
    LegCreated,
    LegHungUp,
    LegId,
    LegParked,
    LegProgressed,
    LegsJoined,
    LegsSeparated,
    SoundStarted,
    SoundStopped,
)

Thunk: TypeAlias = Callable[[], None]

# ---- how long things take, in seconds: from, to. Drawn evenly. In brackets: the recording.

_TICK_S: Final = 0.020
"""A leg's thread looks up once in a packet of sound."""
_TO_PARK_S: Final = (0.020, 0.0225)
"""From the order to the park (complete: 20.4 ms, partial: 21.7 ms)."""
_TO_BEGIN_S: Final = (0.020, 0.0225)
"""From the order to the beginning of a join (complete: 20.4 ms, takeback: 20.9 ms)."""
_TO_FINISH_S: Final = (0.020, 0.0415)
"""From the beginning of a join to its finish (partial: 20.6 ms, complete: 40.3 ms)."""
_TO_SOUND_S: Final = (0.100, 0.205)
"""From the order to the sound (target-drops: 102.6 ms, complete: 125.5 and 204.0 ms)."""
_NEXT_SOUND_S: Final = 0.100
"""Between two sounds that were ordered one after the other (measured: 100.6 ms)."""
_TO_UNBRIDGE_S: Final = (0.0003, 0.025)
"""From a hang-up to the end of its bridge (complete: 0.3 and 24.8 ms, noanswer: 23.1 ms)."""
_ANSWER_TO_PARK_S: Final = (0.0, 0.021)
"""From a target's answer to its park (complete: 0.0 ms, failsafe: 19.1 ms)."""
_ANSWER_TO_CALL_S: Final = (0.0003, 0.0205)
"""From the callee's answer to the caller's, in an ordinary call (complete: 20.4 ms)."""
_TO_NO_ROUTE_S: Final = 0.020
"""From a call to a number behind which there is nothing to its end."""
_CLOCK_STEP_S: Final = 1.0
"""`originate_timeout` and `park_timeout` count whole seconds of the switch's clock, so that they
end up to one second early (noanswer: 2.55 s of 3 s; measured: 2.49 to 2.82 s)."""
_OTHER_PARKED_FIRST: Final = 0.15
"""How often the second leg of a split is parked before the first (1 recording of 10)."""

_OK: Final = "+OK"
_NO_SUCH_CHANNEL: Final = "-ERR No such channel!"
_INVALID_UUID: Final = "-ERR Invalid uuid"
_INVALID_BROADCAST: Final = "-ERR invalid uuid"
_DUPLICATE: Final = "-ERR DESTINATION_OUT_OF_ORDER"
_DEFAULT_TERMINATORS: Final = "*"


class Sense(StrEnum):
    """What kind of thing a party hears."""

    SILENCE = "silence"
    MUSIC = "music"
    RINGBACK = "ringback"
    TONE = "tone"
    VOICE = "voice"
    DIGIT = "digit"
    """The tone of a key that the other party presses: it passes."""


class Hears(NamedTuple):
    """What a party hears: a sound by its name, a voice by its leg, or nothing."""

    sense: Sense
    what: str = ""


SILENCE: Final = Hears(Sense.SILENCE)


class Place(Enum):
    """Where a leg is, within the switch."""

    DIALLING = "dialling"
    """Its phone rings, or it has answered a moment ago."""
    PARKED = "parked"
    MOVING = "moving"
    """On its way from one place to the next."""
    JOINED = "joined"
    ADRIFT = "adrift"
    """Left over from a join that came to nothing."""


class _Fate(Enum):
    """What becomes of a leg whose bridge has ended."""

    PARK = "park"
    RESCUE = "rescue"
    END = "end"


class _Sound:
    """Something that is played to a leg."""

    __slots__ = ("hears", "lasts_s", "name")

    def __init__(self, name: str, sense: Sense, lasts_s: float | None) -> None:
        self.name = name
        self.hears = Hears(sense, name)
        self.lasts_s = lasts_s


class Channel:
    """One leg, as the switch keeps it. Read it; only the switch writes it."""

    __slots__ = (
        "account",
        "answered",
        "call",
        "cause",
        "direction",
        "errand",
        "hears",
        "id",
        "is_first",
        "media",
        "number",
        "parkings",
        "peer",
        "place",
        "playing",
        "sounds",
        "takes",
        "variables",
        "voice",
    )

    def __init__(
        self, leg: LegId, number: str, direction: Direction, account: str, variables: dict[str, str]
    ) -> None:
        self.id = leg
        self.number = number
        self.direction = direction
        self.account = account
        self.variables = variables
        self.answered = False
        self.cause = ""
        """Why it hung up; empty while it lives."""
        self.place = Place.DIALLING
        self.peer: Channel | None = None
        """With whom it is joined."""
        self.is_first = False
        """Which side of its bridge it is."""
        self.errand: _Join | _Transfer | None = None
        self.call: Channel | None = None
        """The other leg of an ordinary call that is not answered yet."""
        self.playing: _Sound | None = None
        self.sounds: list[_Sound] = []
        """What waits until `playing` has played out."""
        self.media = 0
        """Counts what cuts sounds off, so that one ordered before does not begin after."""
        self.parkings = 0
        self.takes: LegId | None = None
        """Whom it intercepts when it answers."""
        self.voice = Hears(Sense.VOICE, leg)
        self.hears = SILENCE


class _Join:
    """Two legs on their way into one bridge."""

    __slots__ = ("begun", "broken", "doomed", "first", "left", "live", "second")

    def __init__(self, first: Channel, second: Channel) -> None:
        self.first = first
        self.second = second
        self.live = True
        """No other order has taken one of the two away, and it has not failed."""
        self.begun = False
        self.broken = False
        """It is the repeat of a join that had begun: it will fail at its finish."""
        self.doomed = False
        """It came while another join of `first` was failing, and fails with it."""
        self.left: list[tuple[Channel, bool]] = []
        """Legs whose join this one put an end to; true: such a one hangs up."""


class _Transfer:
    """A leg, and whomever it is joined with, on their way into the park."""

    __slots__ = ("left", "legs")

    def __init__(self, *legs: Channel) -> None:
        self.legs = legs
        self.left: list[Channel] = []


class Watcher(Protocol):
    """Is told what no fact tells: for whoever speaks FreeSWITCH's events, which say more.

    It must not call back into the switch from within.
    """

    def joining(self, first: Channel, second: Channel) -> None:
        """A join was ordered, by a command or by a leg's own variables."""
        ...

    def unparked(self, channel: Channel) -> None:
        """A living leg left the park."""
        ...

    def parted(self, first: Channel, second: Channel) -> None:
        """A bridge ended. A leg of it may have hung up, and then there is no fact of it."""
        ...

    def over(self, channel: Channel) -> None:
        """A leg that has hung up has nothing more to do with any other."""
        ...


def _nobody_listens(_leg: LegId, _hears: Hears) -> None:
    return


class Switch:
    """The switch. Primitives return FreeSWITCH's reply; what comes of them is reported."""

    def __init__(
        self,
        after: Callable[[float, Thunk], None],
        report: Callable[[CallEvent], None],
        *,
        ring_phone: Callable[[LegId, str], bool],
        listen: Callable[[LegId, Hears], None] = _nobody_listens,
        dice: random.Random | None = None,
        missing: Container[str] = frozenset(),
    ) -> None:
        """Set up a switch without calls.

        Args:
            after: has a thunk called after so many seconds.
            report: is told every fact. It must not call back into the switch from within.
            ring_phone: is told that the switch calls a number, and by which leg; false if there is
                no such phone. It must not call back into the switch from within, either.
            listen: is told whenever what a leg's party hears has changed.
            dice: draws the times and orders that vary on a real switch.
            missing: sounds of which there is no file.
        """
        self._after = after
        self._report = report
        self._ring_phone = ring_phone
        self._listen = listen
        self._random = (dice or random.Random(0)).random
        self._missing = missing
        self.name_leg: Callable[[], LegId] = self._name
        """Gives the legs of calls that come in their names."""
        self.watcher: Watcher | None = None
        """Is told more than facts, if there is one."""
        self._channels: dict[LegId, Channel] = {}
        self._scheduled: dict[LegId, LegId] = {}
        self._legs_named = 0
        self._digits = 0

    def find(self, leg: LegId) -> Channel | None:
        """Find a living leg."""
        return self._channels.get(leg)

    def partner(self, leg: LegId) -> LegId | None:
        """With whom a leg is, or is about to be (`uuid_getvar LEG signal_bond`).

        FreeSWITCH writes it down when it takes the order, and not when it has carried it out.
        """
        channel = self._channels.get(leg)
        if channel is None:
            return None
        errand, peer = channel.errand, channel.peer
        if isinstance(errand, _Join) and errand.live:
            peer = errand.second if channel is errand.first else errand.first
        elif errand is not None:
            peer = None
        return None if peer is None else peer.id

    def channels(self) -> Iterable[Channel]:
        """List the living legs, oldest first (`show channels`)."""
        return self._channels.values()

    # ---- calls come in

    def create_call(
        self, caller: str, callee: str, *, account: str = "", callee_account: str | None = None
    ) -> tuple[LegId, LegId]:
        """Take a call and pass it on, as a dialplan's `bridge` does.

        Args:
            caller: the number that calls.
            callee: the number that is called.
            account: whose call it is.
            callee_account: whose leg the callee's is: the same, unless told.

        Returns:
            The caller's leg and the callee's. Each dies with the other: `hangup_after_bridge`.
        """
        first = self._create(self.name_leg(), caller, Direction.INBOUND, account)
        theirs = account if callee_account is None else callee_account
        second = self._create(self.name_leg(), callee, Direction.OUTBOUND, theirs)
        for leg in (first, second):
            leg.variables["hangup_after_bridge"] = "true"
        first.call = second
        second.call = first
        self._call_phone(second)
        return first.id, second.id

    def _name(self) -> LegId:
        self._legs_named += 1
        return f"leg-{self._legs_named}"

    def _create(
        self,
        leg: LegId,
        number: str,
        direction: Direction,
        account: str,
        variables: Mapping[str, str] | None = None,
    ) -> Channel:
        channel = Channel(leg, number, direction, account, dict(variables or ()))
        self._channels[leg] = channel
        self._report(LegCreated(leg=leg, number=number, direction=direction, account=account))
        return channel

    def _call_phone(self, channel: Channel) -> None:
        if not self._ring_phone(channel.id, channel.number):
            self._after(_TO_NO_ROUTE_S, partial(self._end, channel, "UNALLOCATED_NUMBER"))

    def _connect(self, caller: Channel, callee: Channel) -> None:
        """Answer the caller, now that the callee has, and join the two."""
        if caller.cause or callee.cause:
            return
        caller.call = callee.call = None
        caller.answered = True
        self._report(LegProgressed(leg=caller.id, early_media=True))
        self._report(LegAnswered(leg=caller.id))
        self._joined(caller, callee)

    # ---- what people do

    def ring(self, leg: LegId, *, early_media: bool = False) -> None:
        """The phone says that it rings (180), or sends early media (183)."""
        channel = self._channels.get(leg)
        if channel is not None and not channel.answered:
            self._report(LegProgressed(leg=leg, early_media=early_media))

    def answer(self, leg: LegId) -> None:
        """The party picks up. A leg that is gone or has answered is left as it is."""
        channel = self._channels.get(leg)
        if channel is None or channel.answered or channel.direction is Direction.INBOUND:
            return
        channel.answered = True
        self._report(LegAnswered(leg=leg))
        if channel.call is not None:
            self._after(
                self._span(_ANSWER_TO_CALL_S), partial(self._connect, channel.call, channel)
            )
        elif channel.errand is None and channel.place is Place.DIALLING:
            app, _, argument = channel.variables.get("execute_on_answer", "").partition(" ")
            if app == "sched_transfer":
                self._schedule(channel, argument)
            if channel.takes is not None:
                self._after(self._span(_ANSWER_TO_PARK_S), partial(self._take_at_once, channel))
            elif app != "intercept" or not self._intercept(channel, argument):
                self._after(self._span(_ANSWER_TO_PARK_S), partial(self._park_target, channel))

    def _take_at_once(self, channel: Channel) -> None:
        """`&intercept(LEG)`: the leg's only application; if nobody is there, the leg ends."""
        if channel.cause or channel.errand is not None or channel.place is not Place.DIALLING:
            return
        if not self._intercept(channel, channel.takes or ""):
            self._end(channel, "NORMAL_CLEARING")

    def _schedule(self, channel: Channel, argument: str) -> None:
        """`sched_transfer +1 intercept:LEG inline`: in so many seconds, take that leg."""
        delay, _, what = argument.partition(" ")
        rescue = what.removeprefix("intercept:").partition(" ")[0]
        self._scheduled[channel.id] = rescue
        self._after(float(delay), partial(self._fall_due, channel, rescue))

    def _fall_due(self, channel: Channel, rescue: LegId) -> None:
        if channel.cause or self._scheduled.pop(channel.id, None) != rescue:
            return
        channel.variables["transfer_source"] = f"bl_xfer:intercept:{rescue}/default/inline"
        if not self._intercept(channel, rescue):
            self._end(channel, "NORMAL_CLEARING")

    def sched_del(self, leg: LegId) -> int:
        """Forget what was scheduled for a leg; how much that was. None is no fault."""
        return 0 if self._scheduled.pop(leg, None) is None else 1

    def _park_target(self, channel: Channel) -> None:
        if not channel.cause and channel.errand is None and channel.place is Place.DIALLING:
            self._park(channel)

    def refuse(self, leg: LegId, cause: str) -> None:
        """The phone declines the call (USER_BUSY, CALL_REJECTED, …), if it still rings."""
        channel = self._channels.get(leg)
        if channel is not None and not channel.answered:
            self._end(channel, cause)

    def hang_up(self, leg: LegId) -> None:
        """The party hangs up, in whatever state the leg is."""
        channel = self._channels.get(leg)
        if channel is not None:
            self._end(channel, "NORMAL_CLEARING")

    def press(self, leg: LegId, digit: str) -> None:
        """The party presses a key; whoever is joined with it hears that."""
        channel = self._channels.get(leg)
        if channel is None or not channel.answered:
            return
        self._digits += 1
        self._report(DigitPressed(leg=leg, digit=digit, serial=self._digits))
        if channel.peer is not None and not channel.peer.cause:
            self._listen(channel.peer.id, Hears(Sense.DIGIT, digit))
        sound = channel.playing
        terminators = channel.variables.get("playback_terminators", _DEFAULT_TERMINATORS)
        if sound is not None and terminators != "none" and digit in terminators:
            self._sound_over(channel, sound)

    # ---- displays

    def display(self, leg: LegId, name: str, number: str) -> str:
        """`uuid_display`: let a phone show with whom it talks. The variables say what was sent."""
        channel = self._channels.get(leg)
        if channel is None:
            return "-ERR Operation failed"
        shown = {"last_sent_callee_id_name": name, "last_sent_callee_id_number": number}
        channel.variables |= {told: value for told, value in shown.items() if value}
        return "+OK Success"

    def shown(self, leg: LegId) -> str:
        """The number that a phone was told last; empty if none."""
        channel = self._channels.get(leg)
        return "" if channel is None else channel.variables.get("last_sent_callee_id_number", "")

    # ---- variables

    def setvar_multi(self, leg: LegId, variables: Mapping[str, str]) -> str:
        """`uuid_setvar_multi`: in effect before the reply. An empty value unsets."""
        channel = self._channels.get(leg)
        if channel is None:
            return _NO_SUCH_CHANNEL
        for name, value in variables.items():
            if value:
                channel.variables[name] = value
            else:
                channel.variables.pop(name, None)
        return _OK

    def getvar(self, leg: LegId, name: str) -> str:
        """`uuid_getvar`."""
        channel = self._channels.get(leg)
        if channel is None:
            return _NO_SUCH_CHANNEL
        if name == "signal_bond":
            return self.partner(leg) or "_undef_"
        return channel.variables.get(name, "_undef_")

    # ---- legs begin and end

    def originate(
        self,
        leg: LegId,
        number: str,
        variables: Mapping[str, str],
        *,
        account: str = "",
        takes: LegId | None = None,
    ) -> str:
        """`originate {origination_uuid=leg,…}… &park()`: call a number; park it when it answers.

        Args:
            leg: the id that the new leg gets. One that lives already is refused.
            number: whom to call.
            variables: the channel's; `originate_timeout` in whole seconds.
            account: whose call it is.
            takes: `&intercept(LEG)` in place of the park: whom it takes on its answer.

        Returns:
            The job's result so far as it is known at once.
        """
        if leg in self._channels:
            return _DUPLICATE
        channel = self._create(leg, number, Direction.OUTBOUND, account, variables)
        channel.takes = takes
        limit = variables.get("originate_timeout")
        if limit is not None:
            self._after(self._whole_seconds(limit), partial(self._ring_out, channel))
        self._call_phone(channel)
        return f"+OK {leg}"

    def _ring_out(self, channel: Channel) -> None:
        if not channel.answered:
            self._end(channel, "NO_ANSWER")

    def kill(self, leg: LegId, cause: str = "NORMAL_CLEARING") -> str:
        """`uuid_kill`. A leg that has hung up is no channel any more, even if it just did."""
        channel = self._channels.get(leg)
        if channel is None:
            return _NO_SUCH_CHANNEL
        self._end(channel, cause)
        return _OK

    def _end(self, channel: Channel, cause: str) -> None:
        """Hang a leg up. Whoever has to do with it notices a moment later."""
        if channel.cause:
            return
        channel.cause = cause
        channel.playing = None
        channel.media += 1
        del self._channels[channel.id]
        self._report(LegHungUp(leg=channel.id, cause=cause))
        self._hear(channel)
        if channel.peer is not None:
            self._hear(channel.peer)
        elif channel.errand is None and channel.call is None:
            if self.watcher is not None:
                self.watcher.over(channel)
            return
        self._after(self._span(_TO_UNBRIDGE_S), partial(self._let_go, channel))

    def _let_go(self, gone: Channel) -> None:
        """Let the others notice that a leg has ended."""
        join = gone.errand
        if isinstance(join, _Join) and join.begun and join.live:
            self._fail(join)
        if gone.peer is not None:
            self._part(gone, gone.peer)
        if gone.call is not None:
            caller_left = gone.direction is Direction.INBOUND
            self._end(gone.call, "ORIGINATOR_CANCEL" if caller_left else gone.cause)
            gone.call = None
        if self.watcher is not None:
            self.watcher.over(gone)

    # ---- the park

    def park_both(self, leg: LegId) -> str:
        """`uuid_transfer LEG -both park inline`: part a leg and its peer, and park each.

        A leg that is alone, or adrift, is parked too; one that was parked is so anew.
        """
        channel = self._channels.get(leg)
        if channel is None:
            return _NO_SUCH_CHANNEL
        peer = channel.peer
        self._send_to_park(_Transfer(channel) if peer is None else _Transfer(channel, peer))
        return _OK

    def park_one(self, leg: LegId) -> str:
        """`uuid_transfer LEG park inline`: park a leg, and leave its peer to its own variables."""
        channel = self._channels.get(leg)
        if channel is None:
            return _NO_SUCH_CHANNEL
        channel.variables["transfer_source"] = "bl_xfer:park/default/inline"
        self._send_to_park(_Transfer(channel))
        return _OK

    def _send_to_park(self, transfer: _Transfer) -> None:
        for one in transfer.legs:
            join = one.errand
            if isinstance(join, _Join) and join.live:
                join.live = False
                transfer.left += [
                    other for other in (join.first, join.second) if other not in transfer.legs
                ]
            one.errand = transfer
        for other in transfer.left:
            other.errand = None
        self._after(self._span(_TO_PARK_S), partial(self._transfer, transfer))

    def _transfer(self, transfer: _Transfer) -> None:
        for other in transfer.left:
            self._leave_behind(other, hangs_up=False)
        going = [leg for leg in transfer.legs if leg.errand is transfer and not leg.cause]
        if len(going) > 1 and going[0].peer is going[1]:
            self._park_pair(*going)
            return
        for leg in going:
            if leg.peer is not None:
                self._part(leg, leg.peer)
            self._park(leg)

    def _park_pair(self, one: Channel, other: Channel) -> None:
        first, second = (one, other) if one.is_first else (other, one)
        second_is_quicker = self._random() < _OTHER_PARKED_FIRST
        first.peer = second.peer = None
        if second_is_quicker:
            self._park(second)
        self._tell_parted(first, second)
        self._park(first)
        if not second_is_quicker:
            self._park(second)

    def _park(self, channel: Channel) -> None:
        self._silence(channel)
        self._move(channel, Place.PARKED)
        channel.errand = None
        channel.parkings += 1
        self._report(LegParked(leg=channel.id))
        self._hear(channel)
        limit = channel.variables.pop("park_timeout", None)
        if limit is not None:
            channel.variables.pop("park_after_bridge", None)  # FreeSWITCH forgets that one too
            self._after(
                self._whole_seconds(limit), partial(self._unfetched, channel, channel.parkings)
            )

    def _unfetched(self, channel: Channel, parking: int) -> None:
        if channel.place is Place.PARKED and channel.parkings == parking:
            self._end(channel, "NORMAL_CLEARING")

    # ---- bridges

    def bridge(self, first: LegId, second: LegId) -> str:
        """`uuid_bridge FIRST SECOND`: join two legs, fetching them from wherever they are.

        A leg that has not answered makes the join fail: it is hung up, and so is the other, unless
        that one carries `uuid_bridge_park_on_cancel=true`.
        """
        one = self._channels.get(first)
        other = self._channels.get(second)
        if one is None or other is None or not (one.answered or other.answered):
            return _INVALID_UUID
        if one.answered:
            self._start_join(one, other)
        else:
            self._start_join(other, one)  # FreeSWITCH: "reversing order of channels"
        return f"+OK {second}"

    def _start_join(self, first: Channel, second: Channel) -> None:
        join = _Join(first, second)
        for leg in (first, second):
            earlier = leg.errand
            if isinstance(earlier, _Join) and earlier.live:
                self._overtake(earlier, join)
        first.errand = second.errand = join
        if self.watcher is not None:
            self.watcher.joining(first, second)
        self._after(self._span(_TO_BEGIN_S), partial(self._begin, join))

    def _overtake(self, earlier: _Join, join: _Join) -> None:
        """Put an end to a join, of which the new one takes a leg, or both."""
        earlier.live = False
        left = [
            leg for leg in (earlier.first, earlier.second) if leg not in (join.first, join.second)
        ]
        if not left:
            join.broken = earlier.begun
        elif earlier.begun and earlier.second.cause and earlier.first is join.first:
            join.doomed = True
        else:
            for leg in left:
                leg.errand = None
                join.left.append((leg, earlier.begun and leg is earlier.second))
        if not earlier.begun:
            join.left += earlier.left

    def _leave_behind(self, leg: Channel, *, hangs_up: bool) -> None:
        """Deal with a leg whose join has been overtaken."""
        if leg.cause or leg.errand is not None:
            return
        if hangs_up:
            self._end(leg, "DESTINATION_OUT_OF_ORDER")
            return
        if leg.peer is not None:
            self._part(leg, leg.peer)
        self._set_adrift(leg)

    def _begin(self, join: _Join) -> None:
        """Fetch the two legs: they leave their bridges, and their sounds stop."""
        if not join.live:
            return
        first, second = join.first, join.second
        for leg, hangs_up in join.left:
            self._leave_behind(leg, hangs_up=hangs_up)
        if first.peer is second:
            was_first, was_second = (first, second) if first.is_first else (second, first)
            first.peer = second.peer = None
            self._tell_parted(was_first, was_second)
        for leg in (first, second):
            if leg.peer is not None and not leg.cause:
                self._part(leg, leg.peer)
                if not join.live:
                    return  # the peer was armed, and has taken one of them away
        if first.cause or second.cause or join.doomed:
            self._fail(join)
            return
        join.begun = True
        for leg in (first, second):
            self._silence(leg)
            self._move(leg, Place.MOVING)
            self._hear(leg)
        self._after(self._span(_TO_FINISH_S), partial(self._finish, join))

    def _finish(self, join: _Join) -> None:
        first, second = join.first, join.second
        if not join.live or first.cause or second.cause:
            return  # `_let_go` deals with whatever a hang-up leaves behind
        if second.answered and not join.broken:
            self._joined(first, second)
        else:
            second.errand = None
            self._end(second, "DESTINATION_OUT_OF_ORDER")
            self._fail(join)

    def _joined(self, first: Channel, second: Channel) -> None:
        first.peer = second
        second.peer = first
        first.is_first = True
        second.is_first = False
        first.errand = second.errand = None
        first.place = second.place = Place.JOINED
        self._report(LegsJoined(first=first.id, second=second.id))
        self._hear(first)
        self._hear(second)

    def _fail(self, join: _Join) -> None:
        """Give a join up: the second leg goes adrift, the first is parked or hung up."""
        join.live = False
        first, second = join.first, join.second
        first.errand = second.errand = None
        if not second.cause:
            self._set_adrift(second)
        if first.cause:
            return
        if first.variables.get("uuid_bridge_park_on_cancel") == "true":
            self._park(first)
        else:
            self._end(first, "ORIGINATOR_CANCEL")

    def _set_adrift(self, channel: Channel) -> None:
        self._silence(channel)
        channel.errand = None
        self._move(channel, Place.ADRIFT)
        self._hear(channel)

    def _move(self, channel: Channel, place: Place) -> None:
        """Put a leg somewhere else; into the park anew, if it was parked."""
        if channel.place is Place.PARKED and self.watcher is not None:
            self.watcher.unparked(channel)
        channel.place = place

    # ---- how a bridge ends

    def _part(self, leaver: Channel, stayer: Channel) -> None:
        """End a bridge that `leaver` has left, hung up or fetched away."""
        leaver.peer = stayer.peer = None
        # Each leg has a thread of its own: the second's is quicker to deal with itself than the
        # first's is to tell that the bridge is over.
        if stayer.is_first:
            self._tell_parted(stayer, leaver)
            self._go_on_alone(stayer, leaver.cause)
        else:
            self._go_on_alone(stayer, leaver.cause)
            self._tell_parted(leaver, stayer)
        self._hear(leaver)

    def _tell_parted(self, first: Channel, second: Channel) -> None:
        if self.watcher is not None:
            self.watcher.parted(first, second)
        if not first.cause and not second.cause:
            self._report(LegsSeparated(first=first.id, second=second.id))

    def _go_on_alone(self, stayer: Channel, leavers_cause: str) -> None:
        """Do what the leg's variables say, unless it has an errand, which goes before."""
        if stayer.cause:
            return
        stayer.place = Place.MOVING
        fate = self._fate(stayer) if stayer.errand is None else None
        if fate is _Fate.PARK:
            self._park(stayer)
            return
        self._hear(stayer)
        if fate is None:
            return
        rescue = stayer.variables.get("exec_after_bridge_arg", "")
        if fate is _Fate.RESCUE and self._intercept(stayer, rescue):
            return
        self._end(stayer, (stayer.is_first and leavers_cause) or "NORMAL_CLEARING")

    def _fate(self, stayer: Channel) -> _Fate:
        variables = stayer.variables
        armed = variables.get("exec_after_bridge_app") == "intercept"
        parks = variables.get("park_after_bridge") == "true"
        if stayer.is_first:
            if parks:
                return _Fate.PARK
            ends = variables.get("hangup_after_bridge") == "true"
            return _Fate.RESCUE if armed and not ends else _Fate.END
        if armed:
            return _Fate.RESCUE
        return _Fate.PARK if parks else _Fate.END

    def _intercept(self, leg: Channel, rescue: LegId) -> bool:
        """Take a leg, from whomever it is with: that one is hung up. False if there is none."""
        wanted = self._channels.get(rescue)
        if wanted is None or wanted is leg:
            return False
        partner = wanted.peer
        join = wanted.errand
        if isinstance(join, _Join) and join.live:
            join.live = False
            join.first.errand = join.second.errand = None
            partner = join.second if wanted is join.first else join.first
        self._start_join(leg, wanted)
        if partner is not None and partner is not leg:
            if wanted.peer is partner:
                wanted.peer = partner.peer = None
                self._hear(wanted)
                self._end(partner, "PICKED_OFF")
                first, second = (wanted, partner) if wanted.is_first else (partner, wanted)
                self._tell_parted(first, second)
                return True
            self._end(partner, "PICKED_OFF")
        return True

    # ---- sounds

    def broadcast(
        self, leg: LegId, sound: str, *, sense: Sense = Sense.MUSIC, lasts_s: float | None = None
    ) -> str:
        """`uuid_broadcast LEG SOUND aleg`: play a sound to a leg that is parked or joined.

        Behind a sound that plays already it waits until that one is over, which it never is if it
        is endless: `break_all` first. A sound that is missing is not played, and nobody is told.

        Args:
            leg: to whom.
            sound: its name.
            sense: what a party would call it.
            lasts_s: how long it plays; None: for ever.
        """
        channel = self._channels.get(leg)
        if channel is None:
            return _INVALID_BROADCAST
        if sound not in self._missing:
            play = partial(self._play, channel, _Sound(sound, sense, lasts_s), channel.media)
            self._after(self._span(_TO_SOUND_S), play)
        return "+OK Message sent"

    def break_all(self, leg: LegId) -> str:
        """`uuid_break LEG all`: stop what plays, and forget what waits."""
        channel = self._channels.get(leg)
        if channel is None:
            return _NO_SUCH_CHANNEL
        channel.media += 1
        channel.sounds.clear()
        if channel.playing is not None:
            self._after(_TICK_S, partial(self._sound_over, channel, channel.playing))
        return _OK

    def _play(self, channel: Channel, sound: _Sound, media: int) -> None:
        is_there = channel.place is Place.PARKED or channel.place is Place.JOINED
        if channel.media != media or channel.cause or not is_there:
            return
        if channel.playing is not None:
            channel.sounds.append(sound)
            return
        channel.playing = sound
        self._report(SoundStarted(leg=channel.id, sound=sound.name))
        self._hear(channel)
        if sound.lasts_s is not None:
            self._after(sound.lasts_s, partial(self._sound_over, channel, sound))

    def _sound_over(self, channel: Channel, sound: _Sound) -> None:
        if channel.playing is not sound:
            return
        channel.playing = None
        self._report(SoundStopped(leg=channel.id, sound=sound.name))
        self._hear(channel)
        if channel.sounds:
            following = partial(self._play, channel, channel.sounds.pop(0), channel.media)
            self._after(_NEXT_SOUND_S, following)

    def _silence(self, channel: Channel) -> None:
        """Cut off what plays, what waits, and what was ordered."""
        channel.media += 1
        channel.sounds.clear()
        sound = channel.playing
        if sound is not None:
            channel.playing = None
            self._report(SoundStopped(leg=channel.id, sound=sound.name))

    def _hear(self, channel: Channel) -> None:
        """Tell the listener, if what the leg's party hears has changed."""
        peer = channel.peer
        if channel.cause:
            hears = SILENCE
        elif channel.playing is not None:
            hears = channel.playing.hears
        elif peer is not None and not peer.cause:
            hears = peer.voice
        else:
            hears = SILENCE
        if hears is not channel.hears:
            channel.hears = hears
            self._listen(channel.id, hears)

    # ---- dice

    def _span(self, bounds: tuple[float, float]) -> float:
        shortest, longest = bounds
        return shortest + (longest - shortest) * self._random()

    def _whole_seconds(self, seconds: str) -> float:
        """How long a limit of so many ticks of the switch's clock takes from now."""
        limit_s = int(seconds) if seconds.isdecimal() else 0
        return max(0.0, limit_s - _CLOCK_STEP_S * self._random())
