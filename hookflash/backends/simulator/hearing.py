"""What parties hear, and the sounds that the switch plays to them.

* A sound begins 0.1 to 0.2 s after its order, on a leg that is parked or joined. Behind another
  sound it waits, for ever if that one is endless. `uuid_break LEG all` ends what plays and drops
  what waits.
* **A break between the order and the sound comes too late.** An order waits in the leg's queue
  until its thread looks, which takes up to 20 ms. The thread then reads five frames from the phone,
  and the sound begins. `uuid_break` empties the queue and sets a flag, which is cleared when the
  sound begins (`switch_ivr_parse_event`, `switch_core_session_exec`). So the sound begins all the
  same; if it is endless, the next ones never do. (Measured: after 20 ms 18 of 18; after 4, 9 and 16
  ms 2, 3 and 8 of 12.)
* `playback_timeout_sec` ends a sound after so many seconds (2 or more; 1 has no effect, measured).
* A terminator (`playback_terminators`, by default `*`) ends a sound.
* After a leg has hung up nothing more is reported about it, not even the end of its sound.
* What goes into one half of a loopback pair comes out of the other: sounds, voices, keys. A key of
  the phone behind it is reported on that phone's leg and on loopback-a; a key of loopback-a's
  bridge partner is reported on that leg and on loopback-b (measured).
* A leg that takes part in a conversation (`three_way`) does not do so in the park, so that no
  time limit counts. Nothing but another order and the end of the other leg ends that: no
  `uuid_break`, no key (measured). Of the media bug it is reported only when it begins and ends.
* While a leg hears a sound in its bridge, the keys of its partner are not read (`CF_SUSPEND`): they
  are reported after the sound, or lost if their leg is ordered elsewhere (measured, 12 of 12).
"""

from __future__ import annotations

from functools import partial
from typing import Final, Protocol

from hookflash.backends.simulator import odds
from hookflash.backends.simulator.channel import (
    SILENCE,
    Audible,
    ChannelPlace,
    Playback,
    Sense,
    SimulatedChannel,
    Thunk,
)
from hookflash.backends.simulator.surroundings import Surroundings
from hookflash.events import DigitPressed, LegId, SoundStarted, SoundStopped
from hookflash.sounds import HeardSound

_SHORTEST_LIMIT_S: Final = 2
"""A shorter `playback_timeout_sec` has no effect."""

OK: Final = "+OK"
NO_SUCH_CHANNEL: Final = "-ERR No such channel!"
_INVALID_BROADCAST: Final = "-ERR invalid uuid"
_DEFAULT_TERMINATORS: Final = "*"


class Watcher(Protocol):
    """Receives what no fact reports. For FreeSWITCH's events, which contain more.

    It must not call back into the switch.
    """

    def joining(self, first: SimulatedChannel, second: SimulatedChannel) -> None:
        """A join was ordered, by a command or by a leg's own variables."""
        ...

    def unparked(self, channel: SimulatedChannel) -> None:
        """A living leg left the park."""
        ...

    def parted(self, first: SimulatedChannel, second: SimulatedChannel) -> None:
        """A bridge ended. There is no fact about a leg of it that has hung up."""
        ...

    def over(self, channel: SimulatedChannel) -> None:
        """A leg that has hung up is connected with no other leg any more."""
        ...


def nothing() -> None:
    """Do nothing."""


class Hearing:
    """The part of the switch that plays sounds and reads keys."""

    def __init__(self, around: Surroundings) -> None:
        self._after = around.after
        self._report = around.report
        self._listen = around.listen
        self._random = around.dice.random
        self._missing = around.missing
        self.draws_rare_things = True
        """Whether to draw what was seen once in fifty times or less, too."""
        self.watcher: Watcher | None = None
        """Receives more than facts, if set."""
        self._channels: dict[LegId, SimulatedChannel] = {}
        self._digits = 0
        self._key_tasks: dict[LegId, object] = {}
        """Scheduled changes of the keys that a leg is sent."""

    def find(self, leg: LegId) -> SimulatedChannel | None:
        """Find a living leg."""
        return self._channels.get(leg)

    def later(self, after_s: float, act: Thunk) -> None:
        """Schedule a thunk after some seconds."""
        self._after(after_s, act)

    # ---- sounds

    def broadcast(
        self,
        leg: LegId,
        sound: HeardSound,
        *,
        sense: Sense = Sense.MUSIC,
        lasts_s: float | None = None,
    ) -> str:
        """`uuid_broadcast LEG SOUND aleg`: play a sound to a leg that is parked or joined.

        It waits until the sound that plays has ended, for ever if that one is endless: `break_all`
        first. A missing sound is not played, and nothing is reported.

        Args:
            leg: the listener's leg.
            sound: the sound.
            sense: what a party would call it.
            lasts_s: how long it plays; None: for ever.
        """
        channel = self._channels.get(leg)
        if channel is None:
            return _INVALID_BROADCAST
        if sound not in self._missing:
            channel.sounds.append(Playback(sound, sense, lasts_s))
            self._after(self._span(odds.TO_TAKE_S), partial(self._take_sound, channel))
        return "+OK Message sent"

    def break_all(self, leg: LegId) -> str:
        """`uuid_break LEG all`: stop what plays, and drop what waits.

        A sound that the leg's thread has taken off the queue begins all the same.
        """
        channel = self._channels.get(leg)
        if channel is None:
            return NO_SUCH_CHANNEL
        channel.sounds.clear()
        if channel.playing is not None and not channel.takes_part:
            self._after(odds.TICK_S, partial(self._sound_over, channel, channel.playing))
        return OK

    def _look_for_sounds(self, channel: SimulatedChannel) -> None:
        """Let a leg's thread find the sounds that were ordered before the leg came here."""
        if channel.sounds:
            self._after(self._span(odds.TO_TAKE_S), partial(self._take_sound, channel))

    def _take_sound(self, channel: SimulatedChannel) -> None:
        """Let a leg's thread look for an ordered sound, and prepare to play it."""
        playing = channel.playing
        is_free = playing is None or (playing.is_own and not channel.takes_part)
        if channel.sounds and channel.due is None and is_free and channel.takes_sounds:
            channel.due = playback = channel.sounds.pop(0)
            late_s = self._lateness(odds.SOUND_LATE, odds.SOUND_VERY_LATE)
            begin = partial(self._begin_sound, channel, playback)
            self._after(self._span(odds.TO_SOUND_S) + late_s, begin)

    def _begin_sound(self, channel: SimulatedChannel, playback: Playback) -> None:
        if channel.due is not playback:
            return
        channel.due = None
        if channel.unread and channel.call is None:
            self._after(self._span(odds.TO_READ_S), partial(self._read_keys, channel))
        if playback.lost or channel.cause or not channel.takes_sounds:
            self._take_sound(channel)
            self._freed(channel)
        else:
            self._play(channel, playback)

    def _settle(self, channel: SimulatedChannel, joins: int) -> None:
        if channel.joins == joins:
            channel.settles = False
            self._take_sound(channel)

    def _play(self, channel: SimulatedChannel, playback: Playback) -> None:
        channel.nested = channel.playing  # an extension's own sound is suspended (measured)
        channel.playing = playback
        if channel.call is not None and channel.unread:
            self._after(odds.TICK_S, partial(self._read_own_keys, channel))
        self._report(SoundStarted(leg=channel.id, sound=playback.sound))
        self._hear(channel)
        limit = channel.variables.get("playback_timeout_sec")
        ends_s = playback.lasts_s
        if channel.takes_part:
            return
        if limit is not None and limit.isdecimal() and int(limit) >= _SHORTEST_LIMIT_S:
            ends_s = float(limit) if ends_s is None else min(ends_s, float(limit))
        if ends_s is not None:
            self._after(ends_s, partial(self._sound_over, channel, playback))

    def _sound_over(self, channel: SimulatedChannel, playback: Playback) -> None:
        if channel.playing is not playback:
            return
        channel.playing, channel.nested = channel.nested, None
        self._report(SoundStopped(leg=channel.id, sound=playback.sound))
        self._hear(channel)
        if channel.peer is not None and channel.peer.peer is channel:
            self._after(odds.TICK_S, partial(self._read_keys_in_bridge, channel.peer))
        if channel.sounds and not channel.is_left:
            self._take_sound(channel)
        elif channel.playing is None:
            self._heard_out(channel)

    def _heard_out(self, channel: SimulatedChannel) -> None:
        """Nothing plays to a leg any more."""

    def _freed(self, channel: SimulatedChannel) -> None:
        """A leg's thread was about to play a sound, and does not."""

    def _silence(self, channel: SimulatedChannel) -> None:
        """Cut off what plays, and what is about to; the queue stays."""
        channel.lose_due()
        self._stop(channel)

    def _stop(self, channel: SimulatedChannel) -> None:
        """Cut off what plays; what was only ordered is still to come."""
        playback = channel.playing
        if playback is not None:
            under, channel.playing, channel.nested = channel.nested, None, None
            self._report(SoundStopped(leg=channel.id, sound=playback.sound))
            if under is not None:
                self._report(SoundStopped(leg=channel.id, sound=under.sound))

    def _hear(self, channel: SimulatedChannel) -> None:
        """Notify the listener if the leg's party hears something else."""
        peer = channel.peer
        if channel.cause:
            hears = SILENCE
        elif channel.playing is not None:
            hears = channel.playing.hears
        elif peer is not None and not peer.cause:
            hears = peer.voice if peer.half is None else peer.half.hears
        else:
            hears = SILENCE
        if hears is not channel.hears:
            channel.hears = hears
            if channel.half is None:
                self._listen(channel.id, hears)
            elif channel.half.peer is not None and channel.half.peer is not channel:
                self._hear(channel.half.peer)

    # ---- keys

    def press(self, leg: LegId, digit: str) -> None:
        """The party presses a key; its bridge partner hears that."""
        channel = self._channels.get(leg)
        if channel is None or not channel.answered or channel.takes_part:
            return  # `three_way` reads no keys, and they are lost when it ends (measured)
        if channel.playing is None and (channel.call is not None or channel.is_suspended):
            channel.unread.append(digit)  # it waits for an answer (measured)
            return
        waits = channel.place is ChannelPlace.ADRIFT and self._random() < odds.KEYS_WAIT
        if waits or channel.is_idle:
            channel.unread.append(digit)  # no thread reads its packets
        else:
            self._report_key(channel, digit)

    def _report_key(self, channel: SimulatedChannel, digit: str) -> None:
        self._digits += 1
        self._report(DigitPressed(leg=channel.id, digit=digit, serial=self._digits))
        peer = channel.peer
        passes = peer is not None and peer.peer is channel and not peer.cause
        if peer is not None and passes and not peer.drops_keys:
            if peer.half is None:
                self._listen(peer.id, Audible(Sense.DIGIT, digit))
            else:
                self.press(peer.half.id, digit)
        playback = channel.playing
        terminators = channel.variables.get("playback_terminators", _DEFAULT_TERMINATORS)
        if playback is not None and terminators != "none" and digit in terminators:
            self._sound_over(channel, playback)

    def _read_keys_in_bridge(self, channel: SimulatedChannel) -> None:
        if channel.peer is not None and not channel.is_suspended:
            self._read_keys(channel)

    def _read_own_keys(self, channel: SimulatedChannel) -> None:
        """A leg that calls a phone reads its keys when it plays a sound."""
        if channel.playing is not None:
            self._read_keys(channel)

    def _read_keys(self, channel: SimulatedChannel) -> None:
        """A leg's thread reads packets, before a sound or after one: it finds the keys."""
        keys, channel.unread = channel.unread, []
        for key in keys if not channel.cause else ():
            self._report_key(channel, key)

    def drop_keys(self, leg: LegId, drop: bool, after_s: float = 0.0) -> str:  # noqa: FBT001
        """`uuid_drop_dtmf LEG on|off`: stop or resume sending keys, now or by `sched_api`."""
        channel = self._channels.get(leg)
        if after_s:
            self._key_tasks[leg] = task = object()
            self._after(after_s, partial(self._drop_later, leg, drop, task))
            return "+OK Added: 1"
        if channel is None:
            return "-ERR No such channel!"
        channel.drops_keys = drop
        channel.variables["drop_dtmf"] = "true" if drop else "false"
        return "+OK"

    def _drop_later(self, leg: LegId, drop: bool, task: object) -> None:  # noqa: FBT001
        if self._key_tasks.get(leg) is task:
            del self._key_tasks[leg]
            self.drop_keys(leg, drop)

    def forget_key_task(self, group: str) -> int:
        """Cancel the scheduled changes of a leg's keys; return their number."""
        leg = group.removeprefix("hookflash-keys-")
        return 0 if leg == group or self._key_tasks.pop(leg, None) is None else 1

    def send_keys(self, leg: LegId, digits: str) -> str:
        """`uuid_send_dtmf`: the party on a leg hears keys, unless they are dropped."""
        channel = self._channels.get(leg)
        if channel is None:
            return "-ERR Cannot locate session!"
        for digit in () if channel.drops_keys else digits:
            if channel.half is None:
                self._listen(leg, Audible(Sense.DIGIT, digit))
            else:
                self.press(channel.half.id, digit)
        return f"+OK {leg} sent DTMF {digits}."

    # ---- random draws

    def _rarely(self, chance: float) -> bool:
        return self.draws_rare_things and self._random() < chance

    def _lateness(self, chance: float, very: float) -> float:
        """How late a thread is, in seconds."""
        if not self.draws_rare_things or (drawn := self._random()) >= chance:
            return 0.0
        return self._span(odds.VERY_LATE_S if drawn < chance * very else odds.LATE_S)

    def _span(self, bounds: tuple[float, float]) -> float:
        shortest, longest = bounds
        return shortest + (longest - shortest) * self._random()

    def _to_look_up(self, bounds: tuple[float, float]) -> float:
        return self._span(bounds) + self._lateness(odds.LATE, odds.VERY_LATE)

    def _whole_seconds(self, seconds: str) -> float:
        """How long a limit of so many ticks of the switch's clock takes from now."""
        limit_s = int(seconds) if seconds.isdecimal() else 0
        return max(0.0, limit_s - odds.CLOCK_STEP_S * self._random())
