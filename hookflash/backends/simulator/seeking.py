"""Legs that wait for another and ignore every order.

When another order takes the second leg of a join before the join has begun, the thread of the first
leg looks for it every 20 ms (`uuid_bridge_on_soft_execute`). It looks at the *state* of that leg,
and does not check whose order put it there.

* Parking or joining the waiting leg is answered with `+OK`, and nothing happens.
* When the leg that it seeks hangs up, it parks (`uuid_bridge_park_on_cancel`) or ends.
* When another join fetches that leg, either first leg may find it.
* When that leg begins to lead a join, the waiting leg is free, and executes its last order.
* After 20 s the switch hangs up *both* (DESTINATION_OUT_OF_ORDER), although the leg that is sought
  may have been talking to somebody else all the while. (Measured.)
* Two legs that wait for each other do so until one of them hangs up: see `_lock`.
"""

from __future__ import annotations

from functools import partial

from hookflash.backends.simulator import odds
from hookflash.backends.simulator.channel import (
    ChannelPlace,
    DialplanTransfer,
    PendingJoin,
    SimulatedChannel,
    Thunk,
)
from hookflash.backends.simulator.hearing import Hearing, nothing


class Seeking(Hearing):
    """The part of the switch in which legs wait for each other."""

    def _seek(self, first: SimulatedChannel, second: SimulatedChannel, chance: float = 0.0) -> None:
        """A join lost its second leg before it began: the first's thread looks for it.

        It takes no orders until that leg hangs up, or the two are joined after all. After 20 s it
        hangs up both, wherever the other is by then (measured).
        """
        is_free = first.place is ChannelPlace.ADRIFT and first.errand is None and not first.cause
        if not is_free or second.cause:
            return
        if self._random() < chance:
            self._give_up(first)
            return
        first.seeks = second
        second.seekers.append(first)
        self._after(odds.SEEKS_S, partial(self._sought_long, first, second))

    def _sought_long(self, first: SimulatedChannel, second: SimulatedChannel) -> None:
        if first.locked or second.locked:
            return  # it counts its looks only while the other leg rests in one state
        if first.seeks is second and not first.cause and not second.cause:
            self._end(first, odds.LOST)
            self._end(second, odds.LOST)

    def _give_up(self, seeker: SimulatedChannel) -> None:
        """The leg that a leg sought has ended."""
        seeker.seeks, seeker.locked = None, False
        if seeker.cause or seeker.errand is not None or seeker.place is not ChannelPlace.ADRIFT:
            return
        again, seeker.again = seeker.again, False
        if again and seeker.later is None:
            self._miss(seeker, is_found=self._random() >= odds.NOT_FOUND)
        elif seeker.variables.get("uuid_bridge_park_on_cancel") == "true":
            self._park(seeker, by_itself=True)
        elif seeker.disturbed:
            self._come_round(seeker)
        else:
            self._end(seeker, "ORIGINATOR_CANCEL")

    def _seek_no_more(self, seeker: SimulatedChannel, by: SimulatedChannel) -> None:
        """A leg is fetched: if it was waiting for the fetching leg, it waits no longer.

        If it was ordered to lead a join while it waited, it may find the second leg of that join,
        and hang it up because it has been ordered elsewhere since. (`CF_UUID_BRIDGE_ORIGINATOR` is
        set when its thread stops waiting: no order removes it.)
        """
        wanted = seeker.wanted if seeker.seeks is by else None
        seeker.seeks = seeker.wanted = None
        seeker.disturbed = seeker.again = False
        if wanted is None or wanted.errand is not None or wanted.place is not ChannelPlace.ADRIFT:
            return
        if self._random() < odds.REMEMBERS:
            self._after(self._span(odds.TO_FIND_S), partial(self._end, wanted, odds.LOST))

    def _lock(self, leg: SimulatedChannel) -> None:
        """A leg that is joined with a leg which waits for it is ordered elsewhere.

        If it has begun to look for that leg, and that one has not looked at it yet, each waits for
        the other to rest in one state, and neither does: they ignore all orders until one of them
        hangs up. (Measured, 19 ms after the first order: 57 of 115.)
        """
        join = leg.errand
        if not (isinstance(join, PendingJoin) and join.live and join.begun and join.woken):
            return
        if leg is join.second or not self._rarely(odds.LOCKED):
            return
        join.live = False
        for one, other in ((join.first, join.second), (join.second, join.first)):
            self._set_adrift(one)
            one.seeks, one.locked, one.disturbed = other, True, True
            other.seekers.append(one)

    def _find_wanting(
        self, seeker: SimulatedChannel, sought: SimulatedChannel, orders: int
    ) -> None:
        """A leg is joined with the leg that it seeks: its thread finds it, and loses it at once."""
        if sought.orders != orders or sought.cause:
            return  # which has been sent elsewhere meanwhile
        if sought.peer is not None and self._random() < odds.LEAVES_FIRST:
            self._part(sought, sought.peer)
        self._end_found(sought)
        self._give_up(seeker)

    def _end_found(self, leg: SimulatedChannel) -> None:
        """Hang up a leg that is found but no longer wanted: it was fetched from what it heard."""
        sound = leg.playing
        if sound is not None and (sound.is_own or self._random() < odds.STOP_FIRST):
            self._stop(leg)
        self._end(leg, odds.LOST)

    def _is_found(self, leg: SimulatedChannel, by: SimulatedChannel) -> bool:
        """Whether a waiting first leg finds this one while another fetches it.

        The second leg of a join waits in a state (CS_RESET) in which the leg that seeks it takes
        it.
        """
        for seeker in leg.seekers:
            if seeker.seeks is leg and seeker is not by and not seeker.cause:
                chance = odds.DISTURBED_FINDS if seeker.disturbed else odds.FINDS
                if not seeker.disturbed and self._rarely(odds.BOTH_FIND):
                    self._after(self._span(odds.TO_FIND_S), partial(self._join_too, seeker, leg))
                elif self._random() < chance:
                    self._find(seeker, leg)
                    return True
        return False

    def _join_too(self, seeker: SimulatedChannel, leg: SimulatedChannel) -> None:
        """A first leg joins the leg that it sought, which has just been joined with another.

        Each of the two first legs takes the second for its own.
        """
        other = leg.peer
        is_free = seeker.seeks is leg and not seeker.cause and seeker.errand is None
        if is_free and other is not None and other.peer is leg and not leg.cause:
            seeker.seeks = None
            self._joined(seeker, leg)
            ghost = other
            if self._random() < odds.STAYS_WITH:
                ghost, leg.peer = seeker, other
                leg.bond = leg.bridge_uuid = other.id
            leg.ghosts.append(partial(self._heard_out, ghost))

    def _let_seekers_go(self, first: SimulatedChannel) -> None:
        """Release the legs that seek a leg which leads a join from now on."""
        for seeker in first.seekers:
            if seeker.seeks is first and not seeker.cause and self._random() < odds.SEES_LEADER:
                seeker.seeks = None
                self._come_round(seeker)

    def _find(self, seeker: SimulatedChannel, leg: SimulatedChannel) -> None:
        """A first leg's thread finds the leg that it sought: it joins it, or ends it."""
        seeker.seeks = None
        if seeker.disturbed:
            self._end_found(leg)
            self._come_round(seeker)
            return
        join = PendingJoin(seeker, leg)
        join.begun = True
        seeker.errand = leg.errand = join
        self._move(leg, ChannelPlace.MOVING)
        self._move(seeker, ChannelPlace.MOVING)
        self._after(self._span(odds.TO_FIND_S), partial(self._finish, join))

    def _come_round(self, seeker: SimulatedChannel) -> None:
        """Let a first leg that has stopped waiting execute its last order."""
        seeker.disturbed = False
        later, seeker.later = seeker.later, None
        wanted, seeker.wanted = seeker.wanted, None
        if later is not None:
            seeker.errand = DialplanTransfer(later, seeker)
            self._arrive(seeker, seeker.errand, was_joined=False)
            return
        if wanted is not None:
            self._let_seekers_go(seeker)
        for other in seeker.seekers:
            if other.seeks is seeker and not other.cause:
                self._find(other, seeker)
                return
        if wanted is not None and wanted.cause:
            self._miss(seeker, is_found=self._random() >= odds.NOT_FOUND)
        elif wanted is not None and wanted.place is ChannelPlace.ADRIFT and wanted.errand is None:
            self._find(seeker, wanted)
        elif wanted is not None and not self._leads(wanted):
            self._seek(seeker, wanted)

    @staticmethod
    def _leads(leg: SimulatedChannel) -> bool:
        """Whether a leg is about to lead a join: a leg that would wait for it is free."""
        return isinstance(leg.errand, PendingJoin) and leg.errand.first is leg

    # ---- implemented by `partings`, `parking` and `bridges`

    def _end(self, channel: SimulatedChannel, cause: str, *, itself: bool = False) -> None:
        """Hang a leg up."""

    def _park(self, channel: SimulatedChannel, *, by_itself: bool = False) -> None:
        """Park a leg."""

    def _arrive(
        self, channel: SimulatedChannel, transfer: DialplanTransfer, *, was_joined: bool
    ) -> None:
        """Start a leg's extension."""

    def _set_adrift(self, channel: SimulatedChannel) -> None:
        """Leave a leg without anything to do."""

    def _move(self, channel: SimulatedChannel, place: ChannelPlace) -> None:
        """Put a leg somewhere else."""

    def _finish(self, join: PendingJoin) -> None:
        """Join two legs whose join has begun."""

    def _joined(self, first: SimulatedChannel, second: SimulatedChannel) -> None:
        """Put two legs into one bridge."""

    def _part(
        self, leaver: SimulatedChannel, stayer: SimulatedChannel, then: Thunk = nothing
    ) -> None:
        """End a bridge that `leaver` has left."""

    def _miss(self, first: SimulatedChannel, *, is_found: bool, is_race: bool = True) -> None:
        """Release a first leg without its second."""
