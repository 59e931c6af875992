"""Armed legs: what a leg does by itself when its bridge ends (`exec_after_bridge_app`).

* `intercept` is a join that first hangs up (PICKED_OFF) the leg named by the wanted leg's *bond*:
  its partner, or a former partner that now talks with somebody else (measured). That makes an armed
  leg dangerous in a takeback.
* **A hang-up that triggers it may end the armed leg itself.** When the phone behind a loopback pair
  hangs up, the near half may fall silent before the hang-up reaches it: its bridge ends, it
  intercepts, and dies some milliseconds later as the first leg of a join. The switch may then hang
  up the second leg, which it was to rescue (seen on an overloaded switch, 1 in 21).
* So our failsafe waits for that in the park: the leg executes an extension of `sched_transfer` and
  `park`. The controller receives the park, and fetches the leg long before it intercepts. (Measured
  on 1.10.12: 1.5 to 2.1 s. The near half of a dead pair leaves the park at once.)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial

from hookflash.backends.simulator import odds
from hookflash.backends.simulator.channel import (
    ChannelPlace,
    Extension,
    PendingJoin,
    SimulatedChannel,
    ToLeg,
)
from hookflash.backends.simulator.early import Early
from hookflash.events import LegId, LegParked


class Rescue(Early, ABC):
    """The part of the switch in which legs intercept others by themselves."""

    _scheduled: dict[LegId, object]
    """Scheduled intercepts, by leg."""
    _by_group: dict[str, object]
    """Other scheduled tasks, by their group."""
    _tasks_named: int = 0

    def _rescue(self, leg: SimulatedChannel) -> None:
        """Execute what the leg is armed with; without that, or without the other leg, it ends."""
        failsafe = leg.failsafe
        if failsafe is None:
            self._end(leg, "NORMAL_CLEARING", itself=True)
            return
        if failsafe.after_s:
            self._take_later(leg, failsafe.wanted, failsafe.after_s)
            self._park(leg)
        else:
            self._take_or_end(leg, failsafe.wanted)

    def _take_later(self, leg: SimulatedChannel, wanted: LegId, after_s: str) -> None:
        """`sched_transfer +N intercept:LEG inline`: intercept that leg in so many seconds."""
        self._scheduled[leg.id] = task = object()
        self._tasks_named += 1
        leg.variables["last_sched_id"] = str(self._tasks_named)
        self._after(self._whole_seconds(after_s), partial(self._fall_due, leg, wanted, task))

    def _run_api(self, leg: SimulatedChannel, variable: str) -> None:
        """`sched_del GROUP`, in a variable that the switch runs: a scheduled task is cancelled."""
        group = leg.variables.get(variable, "").removeprefix("sched_del ")
        self._by_group.pop(group, None)

    def _fall_due(self, leg: SimulatedChannel, wanted: LegId, task: object) -> None:
        if leg.cause or self._scheduled.get(leg.id) is not task:
            return
        del self._scheduled[leg.id]
        self.transfer(leg.id, ToLeg(wanted))
        leg.variables["transfer_source"] = f"bl_xfer:intercept:{wanted}/default/inline"

    def _take_or_end(self, leg: SimulatedChannel, wanted: LegId) -> None:
        if not self._intercept(leg, wanted):
            self._end(leg, "NORMAL_CLEARING", itself=True)

    def _rescue_alone(self, stayer: SimulatedChannel) -> None:
        is_free = stayer.errand is None and stayer.peer is None and not stayer.cause
        if is_free and stayer.place is ChannelPlace.MOVING:
            self._rescue(stayer)

    def _intercept(self, leg: SimulatedChannel, rescue: LegId) -> bool:
        """Intercept a leg, and hang up the one its bond names. False if the leg is gone."""
        wanted = self._channels.get(rescue)
        if wanted is None or wanted is leg:
            return False
        partner = self._channels.get(wanted.bond) if wanted.bond else wanted.call
        if partner is leg:
            partner = None
        join = wanted.errand
        if isinstance(join, PendingJoin) and join.live:
            join.live = False
            join.first.errand = join.second.errand = None
        self._start_join(leg, wanted, intercepts=True)
        begun = leg.errand
        if isinstance(begun, PendingJoin):
            begun.takes_along = leg.half is not None and bool(leg.half.cause)
        is_moved = wanted.place in (ChannelPlace.MOVING, ChannelPlace.ADRIFT) or isinstance(
            join, PendingJoin
        )
        if is_moved and self._rarely(odds.WANTED_PARKED):
            self._report(LegParked(leg=wanted.id))
            wanted.forget_park()
        was_leading = isinstance(join, PendingJoin) and wanted is join.first
        if isinstance(begun, PendingJoin) and isinstance(join, PendingJoin):
            self._cross(begun, was_leading=was_leading)
        if partner is None:
            return True
        partner.variables["park_after_bridge"] = "true"
        if wanted.peer is partner:
            wanted.peer = partner.peer = None
            self._hear(wanted)
            self._end(partner, "PICKED_OFF")
            first, second = (wanted, partner) if wanted.is_first else (partner, wanted)
            self._report_parted(first, second)
        else:
            self._end(partner, "PICKED_OFF")
        return True

    def _takes_partner_along(self, join: PendingJoin) -> bool:
        """Whether a leg that is armed with its own partner ends with it because its join fails.

        It leaves the bridge, intercepts the leg that it has just left, and dies of the failed join.
        """
        first, partner = join.first, join.first.peer
        if partner is None or partner.peer is not first or first.failsafe is None:
            return False
        if not join.second.cause or first.failsafe.wanted != partner.id:
            return False
        if not self._rarely(odds.ENDS_WITH_PARTNER):
            return False
        join.live = False
        first.errand = join.second.errand = None
        for leg in (partner, first):
            self._end(leg, odds.LOST)
        return True

    def _cross(self, join: PendingJoin, *, was_leading: bool) -> None:
        """A leg intercepts one that was on its way into a bridge with another."""
        if not was_leading:
            if self._rarely(odds.SECOND_TAKEN):
                self._end(join.second, odds.LOST)
            else:
                join.broken = self._rarely(odds.SECOND_TAKEN)
            return
        parks = join.second.variables.get("uuid_bridge_park_on_cancel") == "true"
        if self._random() < (odds.LEADER_PARKS if parks else odds.LEADER_STRAYS):
            self._lose_leader(join, parks=parks)
        elif self._random() < odds.HALF_TAKEN:
            join.broken = True

    def _lose_leader(self, join: PendingJoin, *, parks: bool) -> None:
        """A leg intercepts one that leads a join: that one finds its second gone, and parks.

        A leg that wanted it waits for it, and ignores orders. (Measured, 12 of 12.)
        """
        first, second = join.first, join.second
        join.live = False
        first.errand = second.errand = None
        self._set_adrift(first)
        self._set_adrift(second)
        self._seek(first, second)
        if parks:
            self._after(self._span(odds.TO_PARK_S), partial(self._park_adrift, second))

    def _park_adrift(self, leg: SimulatedChannel) -> None:
        if leg.errand is None and leg.place is ChannelPlace.ADRIFT and not leg.cause:
            self._park(leg, by_itself=True)

    # ---- implemented by `partings`, `parking` and `bridges`

    @abstractmethod
    def transfer(
        self, leg: LegId, extension: Extension | None = None, *, both: bool = False
    ) -> str:
        """Send a leg into an extension."""

    @abstractmethod
    def _start_join(
        self, first: SimulatedChannel, second: SimulatedChannel, *, intercepts: bool = False
    ) -> None:
        """Send two legs on their way into one bridge."""

    @abstractmethod
    def _report_parted(self, first: SimulatedChannel, second: SimulatedChannel) -> None:
        """Report that a bridge is over."""
