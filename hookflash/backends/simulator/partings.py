"""How a bridge ends, and what happens to its two legs.

* **A leg's own variables say what it does when its bridge ends**, depending on its side of the
  bridge. The first leg (which `bridge` names first): `park_after_bridge`, else
  `hangup_after_bridge`, else `exec_after_bridge_app`, else it ends. The second: the app, else
  `park_after_bridge`, else it ends. The variables stay: they act at every end of a bridge.
* **A first leg that hears a sound does not notice that its partner leaves**, neither a hang-up nor
  a fetch, until the sound has ended: never, if it is endless. It then follows its variables. An
  order to itself is carried out at once. (Measured. A second leg's sound is cut off by its
  partner's thread.)
* A first leg ends with its partner's cause if it has `hangup_after_bridge=true`; otherwise, and on
  the second side, with NORMAL_CLEARING.
* Each leg has a thread of its own. The first's waits until the second's has left the bridge,
  reports the end of the bridge, and continues.
"""

from __future__ import annotations

from abc import ABC
from functools import partial

from hookflash.backends.simulator import odds
from hookflash.backends.simulator.channel import (
    ChannelPlace,
    Fate,
    SimulatedChannel,
)
from hookflash.backends.simulator.hearing import Thunk, nothing
from hookflash.backends.simulator.rescue import Rescue
from hookflash.events import LegsSeparated


class Partings(Rescue, ABC):
    """The part of the switch that ends bridges."""

    def _part(
        self, leaver: SimulatedChannel, stayer: SimulatedChannel, then: Thunk = nothing
    ) -> None:
        """End a bridge that `leaver` has left, hung up or fetched away; `then` is its next step."""
        if stayer.peer is not leaver:  # it left before, unnoticed
            leaver.peer = None
            self._report_parted(*((leaver, stayer) if leaver.is_first else (stayer, leaver)))
            if stayer.held is leaver and leaver.waits is not None:
                stayer.held, waits, leaver.waits = None, leaver.waits, None
                waits()
            then()
            return
        waits, leaver.waits = leaver.waits, None
        self._let_ghosts_go(leaver)
        self._let_ghosts_go(stayer)
        leaver.peer = None
        if not stayer.is_first and not leaver.cause and then is not nothing and self._holds(stayer):
            self._hold(leaver, stayer, then)
            return
        if stayer.errand is None and (
            (stayer.is_first and stayer.playing is not None)
            or stayer.is_about_to_play
            or (stayer.early is leaver and not leaver.cause)
        ):
            # its thread plays, and attends to the bridge after the sound
            then()
            self._hear(leaver)
            return
        stayer.peer = None
        stays = waits or partial(self._go_on_alone, stayer, leaver.cause)
        if stayer.is_first:
            self._end_bridge(stayer, leaver, stays, then)
        else:
            self._end_bridge(leaver, stayer, then, stays)
        self._hear(leaver)

    @staticmethod
    def _hold(leaver: SimulatedChannel, second: SimulatedChannel, then: Thunk) -> None:
        leaver.peer = None
        leaver.held = second
        second.waits = then

    def _holds(self, second: SimulatedChannel) -> bool:
        """Whether a second leg's thread is about to play: the first, which leaves, waits for it.

        (Measured, 24 of 24. A sound that plays already is cut off.)
        """
        if second.errand is not None:
            return False
        return second.waits is not None or second.is_about_to_play

    def _let_ghosts_go(self, leg: SimulatedChannel) -> None:
        """Notify the leg that still took this one for its partner that it leaves its bridge now."""
        ghosts, leg.ghosts = leg.ghosts, []
        for notices in ghosts:
            self._after(self._span(odds.TO_UNBRIDGE_S), notices)

    def _end_bridge(
        self,
        first: SimulatedChannel,
        second: SimulatedChannel,
        first_acts: Thunk,
        second_acts: Thunk,
    ) -> None:
        """Let two legs, each with a thread of its own, leave their bridge.

        The first's thread waits until the second's has left, reports the end of the bridge, then
        continues. Whether the second arrives at its next place before that report is chance; a
        hang-up always comes before.
        """
        if self._random() < self._quickness(second):
            second_acts()
            if not first.cause and self._rarely(odds.TOLD_LATE):
                leaving = partial(self._leave_last, first, second, first_acts)
                self._after(self._span(odds.TO_NEXT_S), leaving)
            else:
                self._leave_last(first, second, first_acts)
        else:
            if second.errand is None and self._random() < odds.STOP_FIRST:
                self._stop(second)
            self._leave_last(first, second, first_acts)
            second_acts()

    def _quickness(self, second: SimulatedChannel) -> float:
        """How often a second leg arrives at its next place before its bridge's end is reported."""
        if second.errand is not None:
            return odds.SECOND_SENT_QUICKER
        if second.cause:
            return odds.SECOND_QUICKER
        match self._fate(second):
            case Fate.END:
                return odds.ENDS_UNTOLD if self.draws_rare_things else 1.0
            case Fate.RESCUE:
                return odds.SECOND_RESCUES
            case Fate.PARK:
                return odds.SECOND_QUICKER

    def _leave_last(
        self, first: SimulatedChannel, second: SimulatedChannel, first_acts: Thunk
    ) -> None:
        self._report_parted(first, second)
        first_acts()

    def _report_parted(self, first: SimulatedChannel, second: SimulatedChannel) -> None:
        if self.watcher is not None:
            self.watcher.parted(first, second)
        if not first.cause and not second.cause:
            self._report(LegsSeparated(first=first.id, second=second.id))
            if second.errand is not None and second.peer is None:
                self._stop(second)

    def _go_on_alone(self, stayer: SimulatedChannel, leavers_cause: str) -> None:
        """Follow the leg's variables, unless it has an errand, which takes precedence."""
        if stayer.cause:
            return
        self._silence(stayer)
        stayer.place = ChannelPlace.MOVING
        fate = self._fate(stayer) if stayer.errand is None else None
        if stayer.errand is not None:
            self._pass_through_park(stayer)
        if fate is Fate.PARK:
            self._soon(partial(self._park_alone, stayer))
            return
        self._hear(stayer)
        if fate is None:
            return
        if fate is Fate.RESCUE:
            if stayer.is_first and self._rarely(odds.RESCUES_LATE):
                self._after(self._span(odds.RESCUES_LATE_S), partial(self._rescue_alone, stayer))
            else:
                self._rescue(stayer)
            return
        explicit = stayer.is_first and stayer.variables.get("hangup_after_bridge") == "true"
        cause = (explicit and leavers_cause) or "NORMAL_CLEARING"
        if stayer.is_first and self._rarely(odds.FIRST_ENDS_LATE):
            self._after(self._span(odds.TO_NEXT_S), partial(self._end_alone, stayer, cause))
        else:
            self._end(stayer, cause, itself=True)

    def _end_alone(self, stayer: SimulatedChannel, cause: str) -> None:
        is_free = stayer.errand is None and stayer.peer is None
        if is_free and stayer.place is ChannelPlace.MOVING:
            self._end(stayer, cause, itself=True)

    def _pass_through_park(self, second: SimulatedChannel) -> None:
        if not second.is_first and self._rarely(odds.PARKED_BETWEEN):
            errand = second.errand
            second.variables["park_timeout"] = "3"
            self._park(second, by_itself=True)
            second.errand = errand

    def _park_alone(self, stayer: SimulatedChannel) -> None:
        is_free = stayer.errand is None and stayer.peer is None and not stayer.cause
        if is_free and stayer.place is ChannelPlace.MOVING:
            self._park(stayer, by_itself=True)

    def _soon(self, act: Thunk) -> None:
        """Let a leg's thread take the step after its bridge: mostly at once."""
        if self._random() < odds.AT_ONCE:
            act()
        else:
            self._after(self._span(odds.TO_NEXT_S), act)

    def _fate(self, stayer: SimulatedChannel) -> Fate:
        variables = stayer.variables
        armed = stayer.failsafe is not None
        parks = variables.get("park_after_bridge") == "true"
        if stayer.is_first:
            if parks:
                return Fate.PARK
            ends = variables.get("hangup_after_bridge") == "true"
            return Fate.RESCUE if armed and not ends else Fate.END
        if armed:
            return Fate.RESCUE
        return Fate.PARK if parks else Fate.END
