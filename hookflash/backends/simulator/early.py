"""A bridge that is not up yet.

A join is reported before its bridge is up (`switch_ivr_multi_threaded_bridge`). In between, the
thread of the first leg plays the sounds that were ordered before, and attends to nothing else. An
order that comes then does not find the second leg in a bridge.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial

from hookflash.backends.simulator import odds
from hookflash.backends.simulator.channel import (
    DialplanTransfer,
    Fate,
    PendingJoin,
    SimulatedChannel,
    ToPark,
)
from hookflash.backends.simulator.seeking import Seeking
from hookflash.events import SoundStopped


class Early(Seeking, ABC):
    """The part of the switch for bridges that are reported but not up."""

    def _is_broken_off(self, join: PendingJoin) -> bool:
        """Whether legs that are to be joined leave a bridge that is not up yet.

        The first leg's thread reports the bridge, then plays a sound that was ordered before the
        join, to itself or to the second, and only then attends to the bridge
        (`switch_ivr_multi_threaded_bridge`). An order that moves the leg that hears the sound ends
        it. If the order moves the first leg too, that leg hangs up the second. Otherwise the first
        sets the bridge up, and takes the second out of the new join: it waits for it, and hangs it
        up after 10 s.
        """
        legs = (join.first, join.second)
        for leg in legs:
            lead = leg if leg.is_first else leg.peer
            early = None if lead is None else lead.early
            if lead is None or early is None or early not in legs:
                continue
            second, lead.early = lead.peer, None
            if lead in legs and second is not None:
                if self._rarely(odds.SECOND_FORGOTTEN):
                    self._forget(join)
                    return True
                self._leave_unfound(second)
            elif lead not in legs and leg is join.second:
                self._withhold(join, lead)
                return True
        return False

    def _forget(self, join: PendingJoin) -> None:
        join.live = False
        for leg in (join.first, join.second):
            leg.peer = leg.errand = None
            self._set_adrift(leg)

    def _withhold(self, join: PendingJoin, lead: SimulatedChannel) -> None:
        first, second = join.first, join.second
        join.live = False
        first.errand = second.errand = None
        self._stop(second)
        second.peer = None
        self._set_adrift(second)
        lead.bond = lead.bridge_uuid = second.id
        second.bond = second.bridge_uuid = lead.id
        self._leave_behind(first, "")
        self._seek(first, second)
        self._after(odds.BREAKS_OFF_S, partial(self._end, second, odds.LOST))

    def _break_off(self, first: SimulatedChannel, second: SimulatedChannel) -> None:
        """Handle a second leg that left before the bridge was up: the first stops waiting."""
        if first.peer is second and second.peer is None and not (first.cause or second.cause):
            first.peer = None
            self._end(second, odds.LOST)
            self._go_on_alone(first, "")

    def _bind_again(self, leg: SimulatedChannel) -> None:
        """Take a leg out of a bridge that was not up: its first leg then writes both bonds.

        If it is the first leg, it may also hang up the second, which it does not find in the
        bridge. If it is the second, the first may wait for it.
        """
        lead = leg if leg.is_first else leg.peer
        second = None if lead is None else lead.peer
        if lead is None or second is None:
            return
        if leg is second and lead.early is not None:
            second.missed = lead
        if leg is lead and self._is_not_up(lead):
            lead.missed = second
            self._end(second, "ORIGINATOR_CANCEL")
        elif lead.early is leg:
            lead.bond, second.bond = second.id, lead.id
            if leg is second and self._rarely(odds.WAITED_FOR):
                self._wait_for(lead, second)
                return
            lead.early = None
            if leg is lead and self._rarely(odds.SECOND_MISSED):
                self._leave_unfound(second)
        elif leg is lead and lead.early is second and second.peer is not lead:
            lead.early = lead.peer = None  # it has waited for it
            lead.bond = second.id
            self._end(second, odds.LOST)

    def _is_not_up(self, lead: SimulatedChannel) -> bool:
        """Whether a bridge that was just reported never comes up because its first leg goes.

        The first leg's thread finds that it is to go, and hangs up the second (`abort_call`).
        """
        return lead.is_fresh and lead.early is None and self._rarely(odds.NOT_UP)

    def _abort_early(self, gone: SimulatedChannel) -> None:
        """The first leg of a bridge that was not up yet has hung up: so does the second.

        By then the second leg's thread has entered the bridge, and left it again. (Measured: 68 of
        68 when a sound was played to the first.)
        """
        early, gone.early = gone.early, None
        second = gone.peer
        if early is not None and second is not None and second.peer is gone and not second.cause:
            self._leave_unfound(second, chance=1.0)

    def _wait_for(self, first: SimulatedChannel, second: SimulatedChannel) -> None:
        """The second leaves while the first, whose thread plays it a sound, does not notice."""
        playback, second.playing = second.playing, None
        if playback is not None:
            over = partial(self._report, SoundStopped(leg=second.id, sound=playback.sound))
            self._after(odds.TICK_S, over)
        self._after(odds.BREAKS_OFF_S, partial(self._break_off, first, second))

    def _leave_unfound(self, second: SimulatedChannel, chance: float = odds.PARKED_UNFOUND) -> None:
        """The first leg of a bridge that was not up yet goes, and hangs up the second.

        By then the second leg's thread may (`chance`) have entered the bridge, and have left it
        again to be parked, or to end by itself.
        """
        errand = second.errand
        parks = (
            self._fate(second) is Fate.PARK
            if errand is None
            else isinstance(errand, DialplanTransfer) and isinstance(errand.extension, ToPark)
        )
        came = not second.cause and self._random() < chance
        if parks and came:
            self._park(second, by_itself=True)
        ends = came and not parks and errand is None and self._fate(second) is Fate.END
        self._end(second, "NORMAL_CLEARING" if ends else odds.LOST)

    def _play_early(self, first: SimulatedChannel, second: SimulatedChannel) -> None:
        """Play what was ordered before two legs were joined; see `_is_broken_off`."""
        early = second if second.sounds else first
        if early.sounds and self._random() < odds.EARLY:
            first.early = early
            early.settles = False
            self._take_sound(early)

    # ---- implemented by `partings`, `parking` and `bridges`

    def _leave_behind(self, leg: SimulatedChannel, cause: str) -> None:
        """Handle a leg whose join was overtaken."""

    def _go_on_alone(self, stayer: SimulatedChannel, leavers_cause: str) -> None:
        """Do what a leg's variables say."""

    @abstractmethod
    def _fate(self, stayer: SimulatedChannel) -> Fate:
        """What happens to a leg whose bridge has ended."""
