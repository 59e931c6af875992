"""How legs are joined, and how they end on FreeSWITCH.

* **A primitive answers at once, and takes effect later.** `+OK` means that the order was accepted.
  The thread of each leg checks for orders every 20 ms (`odds.TICK_S`), so an effect takes one to
  three ticks, and anything that happens meanwhile crosses it.
* **A leg has at most one errand**: a transfer into an extension, or a join. The newest wins. A join
  has two stages: it *begins* after a tick (both legs leave their bridges and sounds) and is
  *finished* one or two ticks later (`LegsJoined`). Either leg may die in each stage, and another
  order may take it away.
* **`signal_bond` is what was ordered, not what is.** It is written on both legs when a join is
  *accepted*, and stays when one dies, when the join fails, when the bridge ends by a leg's own
  variables, and on the remaining leg when its partner is fetched. Only a transfer removes it, from
  the leg and from its bridge partner. `bridge_uuid` is written with it, and is never removed.
* **A leg can go adrift.** When a join fails and the *second* leg survives, it gets no new order: it
  is not parked, plays no sound, and reports nothing. Joining it, parking it and hanging it up still
  work. It is the only state without a fact.
* **A first leg may wait for its second and ignore every order**: see `seeking`. A bridge that was
  reported may not be up yet: see `early`. How bridges end: see `partings`. The park: see `parking`.

After a leg has hung up nothing more is reported about it: not the end of its sound, nor of its
bridge.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from hookflash.backends.simulator import odds
from hookflash.backends.simulator.channel import (
    ChannelPlace,
    PendingJoin,
    SimulatedChannel,
)
from hookflash.backends.simulator.hearing import (
    NO_SUCH_CHANNEL,
    OK,
)
from hookflash.backends.simulator.parking import Parking
from hookflash.events import LegHungUp, LegId, LegsJoined, LegsSeparated

_INVALID_UUID: Final = "-ERR Invalid uuid"


class Bridges(Parking):
    """The part of the switch that joins and ends legs."""

    # ---- legs end

    def kill(self, leg: LegId, cause: str = "NORMAL_CLEARING") -> str:
        """`uuid_kill`. A leg that has hung up is no channel any more, even at that instant."""
        channel = self._channels.get(leg)
        if channel is None:
            return NO_SUCH_CHANNEL
        self._end(channel, cause)
        return OK

    def _end(self, channel: SimulatedChannel, cause: str, *, itself: bool = False) -> None:
        """Hang a leg up. The legs connected with it notice a moment later.

        Args:
            channel: the leg.
            cause: the cause.
            itself: whether its own thread does it, and so has nothing left to notice.
        """
        if channel.cause:
            return
        if not itself and self._rarely(odds.SEEN_TO_END):
            self._report_end_of_bridge(channel)
        channel.cause = cause
        channel.playing = None
        channel.forget_sounds()
        del self._channels[channel.id]
        self._report(LegHungUp(leg=channel.id, cause=cause))
        channel.nested = None
        self._let_others_notice(channel)
        self._hear(channel)
        half = channel.half
        if half is not None and itself and channel.peer is None:
            self._take_along(channel, half)
            return
        if half is not None:
            self._after(self._span(odds.TO_STARVE_S), partial(self._starve, half))
        if channel.peer is not None:
            self._hear(channel.peer)
        elif channel.errand is None and channel.call is None and half is None:
            if self.watcher is not None:
                self.watcher.over(channel)
            return
        self._after(self._span(odds.TO_UNBRIDGE_S), partial(self._let_go, channel))

    def _let_others_notice(self, gone: SimulatedChannel) -> None:
        """Legs that take part in its conversation, or wait for it, notice that it has ended."""
        for listener, playback in gone.listeners:
            over = partial(self._sound_over, listener, playback)
            self._after(self._span(odds.TO_UNBRIDGE_S), over)
        for seeker in gone.seekers:
            if seeker.seeks is gone:
                self._after(self._span(odds.TO_PARK_S), partial(self._give_up, seeker))

    def _take_along(self, gone: SimulatedChannel, half: SimulatedChannel) -> None:
        """End a half of a loopback pair; it hangs up the other half, mostly at once."""
        late_s = odds.AT_ONCE_S
        if self._rarely(odds.HALF_STARVES):
            self._starve(half)
            late_s = self._span(odds.TO_REACH_HALF_S)
        self._after(late_s, partial(self._let_go, gone))

    def _report_end_of_bridge(self, leaver: SimulatedChannel) -> None:
        """Hang a leg up after its partner's thread has noticed, but before it is reported."""
        peer = leaver.peer
        if peer is None or peer.peer is not leaver or leaver.half is not None:
            return
        if peer.errand is None and peer.playing is None and not peer.is_about_to_play:
            first, second = (leaver, peer) if leaver.is_first else (peer, leaver)
            self._report(LegsSeparated(first=first.id, second=second.id))

    def _let_go(self, gone: SimulatedChannel) -> None:
        """Notify the connected legs that a leg has ended."""
        join = gone.errand
        if isinstance(join, PendingJoin) and join.begun and join.live:
            if gone is join.second and self._random() < odds.LOST_LATE:
                join.broken = True
            self._fail(join)
        if gone.peer is not None:
            self._abort_early(gone)
            self._part(gone, gone.peer)
        self._drop_call(gone)
        half = gone.half
        if half is not None:
            gone.half = half.half = None
            self._end(half, gone.cause)
        if self.watcher is not None:
            self.watcher.over(gone)

    def _drop_call(self, channel: SimulatedChannel) -> None:
        """End the legs that a leg's bridge calls, or the leg for which it is called."""
        other = channel.call
        if other is None:
            return
        channel.call = other.call = None
        if other.called_for == channel.id:
            self._end(other, "ORIGINATOR_CANCEL")
        else:
            self._end(other, channel.cause or "NORMAL_CLEARING", itself=True)

    def _starve(self, half: SimulatedChannel) -> None:
        """Handle the end of a loopback leg's other half: nothing comes out of this one any more.

        Its own thread may notice that before the hang-up arrives; then it leaves its bridge as if
        its partner had left.
        """
        if half.cause or half.errand is not None:
            return
        if half.place in (ChannelPlace.PARKED, ChannelPlace.ELSEWHERE):
            self._stop(half)
            self._end(half, "NORMAL_CLEARING")
        elif half.place is ChannelPlace.JOINED and half.peer is not None:
            peer = half.peer
            if half.is_first:
                self._part(half, peer)
                self._go_on_alone(half, "")
            else:
                half.peer = None
                self._go_on_alone(half, "")
                self._after(self._span(odds.TO_STARVE_S), partial(self._part_still, half, peer))

    def _part_still(self, leaver: SimulatedChannel, stayer: SimulatedChannel) -> None:
        if stayer.peer is leaver or leaver.peer is stayer:
            self._part(leaver, stayer)

    # ---- bridges

    def bridge(self, first: LegId, second: LegId) -> str:
        """`uuid_bridge FIRST SECOND`: join two legs, fetching them from wherever they are.

        If a leg has not answered, the join fails: it is hung up, and so is the other unless that
        one has `uuid_bridge_park_on_cancel=true`.
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

    def _start_join(
        self, first: SimulatedChannel, second: SimulatedChannel, *, intercepts: bool = False
    ) -> None:
        self._lock(first)
        self._lock(second)
        join = PendingJoin(first, second, woken=second.seeks is first)
        kept = [leg for leg in (first, second) if self._is_kept(leg, join)]
        self._disturb(kept, join)
        for leg in (first, second):
            earlier = leg.errand
            if leg not in kept and isinstance(earlier, PendingJoin) and earlier.live:
                self._overtake(earlier, join)
        first, second = join.first, join.second
        for leg in (first, second):
            if leg not in kept:
                leg.errand = None if kept else join
                self._ordered_away(leg, to_join=True)
        for leg, other in ((first, second), (second, first)):
            leg.bond = leg.bridge_uuid = other.id
            leg.variables["transfer_source"] = f"uuid_br:{other.id}"
        self._introduce(first, second)
        if first.seeks is second and not first.locked:
            first.errand = second.errand = None
            first.again, first.later = True, None
            find = partial(self._find_wanting, first, second, second.orders)
            self._after(self._span(odds.TO_FIND_S), find)
        elif not kept:
            self._seek_no_more(second, first)
            self._after(self._to_look_up(odds.TO_BEGIN_S), partial(self._begin, join))
        elif len(kept) == 1:
            self._leave_over(join, second if kept[0] is first else first, intercepts=intercepts)

    def _disturb(self, kept: Sequence[SimulatedChannel], join: PendingJoin) -> None:
        for leg in kept:
            if isinstance(leg.errand, PendingJoin) and leg.errand.live:
                self._leave_early(leg.errand)
            if leg.seeks is not None:
                leg.disturbed = True
                leg.wanted = join.second if leg is join.first else None
                leg.later = None

    def _leave_over(self, join: PendingJoin, leg: SimulatedChannel, *, intercepts: bool) -> None:
        """Another join keeps one leg of a new one: the other is left over."""
        ends = intercepts and leg is join.first and self._random() < odds.GIVES_UP
        if self._random() < odds.STRANDED_FIRST:
            join.live, join.stranded = False, True
            leg.errand = join
        strand = partial(self._strand, join, leg, "NORMAL_CLEARING" if ends else "")
        self._after(self._span(odds.TO_BEGIN_S), strand)

    def _introduce(self, first: SimulatedChannel, second: SimulatedChannel) -> None:
        if not first.is_flipped:
            first.is_flipped = True
            first.caller_id, first.callee_id = first.callee_id, first.caller_id
        first.callee_id, second.caller_id = second.callee_id, first.caller_id
        if self.watcher is not None:
            self.watcher.joining(first, second)

    def _is_kept(self, leg: SimulatedChannel, join: PendingJoin) -> bool:
        """Whether a pending join keeps a leg that a new join wants as its second.

        It keeps its first leg if it has not begun; its second, by chance. (The new join always gets
        its own first leg: the last order counts.)
        """
        if leg.seeks is not None:
            return leg.locked or leg.seeks not in (join.first, join.second)
        earlier = leg.errand
        if not isinstance(earlier, PendingJoin) or leg is join.first:
            return False
        if not earlier.live:
            return earlier.stranded and leg is earlier.first
        if join.first in (earlier.first, earlier.second):
            return False
        if leg is earlier.first:
            return self._keeps_first(earlier)
        stage = "ripe" if earlier.ripe else "begun" if earlier.begun else "before it began"
        return self._random() < odds.OLD_WINS[stage]

    def _keeps_first(self, join: PendingJoin) -> bool:
        if join.was_held and not join.begun:
            return self._random() < odds.HELD_WINS
        join.waits = self._rarely(odds.FIRST_WAITS)
        return not (join.begun or join.waits)

    @staticmethod
    def _ripen(join: PendingJoin) -> None:
        join.ripe = True

    def _overtake(self, earlier: PendingJoin, join: PendingJoin) -> None:
        """End a join that loses one leg or both to a new one."""
        earlier.live = False
        self._leave_early(earlier)
        left = [
            leg for leg in (earlier.first, earlier.second) if leg not in (join.first, join.second)
        ]
        if not left and join.first is earlier.first:
            join.broken = earlier.begun
        elif not left:
            if earlier.begun:
                join.deserted = self._rarely(odds.DESERTED)
            elif self._random() < odds.TURNED_BACK:
                join.first, join.second = join.second, join.first
        elif earlier.begun and earlier.second.cause and earlier.first is join.first:
            join.doomed = True
        else:
            for leg in left:
                leg.errand = None
                join.left.append((leg, leg is earlier.second and self._is_caught(earlier)))
        if not earlier.begun:
            join.left += earlier.left

    def _is_caught(self, join: PendingJoin) -> bool:
        """Whether the second leg of a join hangs up because another order takes the first."""
        if join.begun or join.waits or self._is_lost_held(join):
            return True
        return join.second.peer is not None and self._rarely(odds.CAUGHT_EARLY)

    def _is_lost_held(self, join: PendingJoin) -> bool:
        """Whether the second leg of a join that a sound holds up is lost with the first."""
        return join.was_held and self._random() < odds.HELD_LOST

    def _leave_early(self, join: PendingJoin) -> None:
        """Whether the second leg's partner sees that it is fetched before the join begins.

        The order marks both legs (`CF_TRANSFER`) before the thread of the first looks.
        """
        peer = join.second.peer
        if not join.begun and peer is not None and self._random() < odds.LEFT_EARLY:
            self._part(join.second, peer)

    def _leave_behind(self, leg: SimulatedChannel, cause: str) -> None:
        """Handle a leg whose join was overtaken: it ends for a cause, or goes adrift."""
        if leg.cause or leg.errand is not None:
            return
        if cause:
            if leg.held is not None:
                self._part(leg.held, leg)
            elif leg.peer is not None:
                self._part(leg, leg.peer)
            self._end(leg, cause)
            return
        peer = leg.peer
        if peer is not None:
            if peer.errand is not None and self._random() < odds.STOP_FIRST:
                self._stop(peer)
            self._part(leg, peer)
        self._set_adrift(leg)

    def _strand(self, join: PendingJoin, leg: SimulatedChannel, cause: str) -> None:
        second = join.second
        join.stranded = False
        if leg.errand is join:
            leg.errand = None
        self._leave_behind(leg, cause)
        kept = second.errand
        if isinstance(kept, PendingJoin) and kept.was_held:
            return
        if leg is not second:
            self._seek(leg, second)
            self._let_seekers_go(leg)
        elif not leg.cause and leg.errand is None:
            self._is_found(leg, leg)

    def _leave_all(self, join: PendingJoin) -> None:
        for leg, hangs_up in join.left:
            self._leave_behind(leg, odds.LOST if hangs_up else "")
            if leg.bond == join.second.id and leg is not join.second:
                self._seek(leg, join.second)
            elif leg.bond == join.first.id and leg.place is ChannelPlace.ADRIFT:
                leg.is_free = (
                    self._random() < odds.FREED
                )  # it waited for a leg that now leads a join
                self._take_sound(leg)

    def _begin(self, join: PendingJoin) -> None:
        """Fetch the two legs: they leave their bridges, and their sounds stop."""
        if not join.live:
            return
        first, second = join.first, join.second
        if self._is_put_off((first, second), partial(self._begin, join)):
            return
        self._leave_all(join)
        self._stop_sound(first)
        self._stop_sound(second)
        if self._is_broken_off(join) or self._takes_partner_along(join):
            return
        for lead in (first, second):
            if lead.is_first and lead.peer is not None and self._is_not_up(lead):
                self._end(lead.peer, "ORIGINATOR_CANCEL")
        if not self._leave_bridges(join) or self._has_failed(join):
            return
        self._let_seekers_go(first)
        if self._is_found(second, first) or self._slips(second):
            self._lose_to_seeker(join)
            return
        join.begun = True
        self._after(odds.TO_RIPEN_S, partial(self._ripen, join))
        second.sounds.clear()
        for leg in (first, second):
            self._stop(leg)
            self._drop_call(leg)
            self._move(leg, ChannelPlace.MOVING)
            self._hear(leg)
        self._after(self._to_look_up(odds.TO_FINISH_S), partial(self._finish, join))

    def _has_failed(self, join: PendingJoin) -> bool:
        """Whether a join that is about to begin has lost one of its legs."""
        first, second = join.first, join.second
        if join.deserted:
            if not self._rarely(odds.SURVIVES_DESERTED):
                self._end(second, odds.LOST)
        elif first.cause or second.cause or join.doomed:
            # a second leg that is already destroyed is not found, and other variables count
            join.broken = bool(second.cause)
        else:
            return False
        self._fail(join)
        return True

    def _leave_bridges(self, join: PendingJoin) -> bool:
        """Take two legs out of their bridges. False if the join can't begin, or not yet."""
        first, second = join.first, join.second
        if first.peer is second and second.peer is first:
            was_first, was_second = (first, second) if first.is_first else (second, first)
            self._let_ghosts_go(was_first)
            self._let_ghosts_go(was_second)
            first.peer = second.peer = None
            self._pass_through_park(was_second)
            self._report_parted(was_first, was_second)
        for leg in self._leaving(first, second):
            peer = leg.peer
            if peer is None or leg.cause:
                continue
            if leg.is_first and peer.peer is leg and self._holds(peer):
                self._hold(leg, peer, partial(self._begin, join))
            else:
                self._part(leg, peer)
            if not join.live:
                return False  # the peer was armed, and has taken one of them
        if first.held is None and second.held is None:
            return True
        join.was_held = True
        return False

    def _slips(self, second: SimulatedChannel) -> bool:
        """Whether a second leg slips away because its old bridge was not quite up yet."""
        if not second.is_fresh or second.is_first or not self._rarely(odds.SLIPS):
            return False
        second.errand = None
        self._set_adrift(second)
        return True

    def _lose_to_seeker(self, join: PendingJoin) -> None:
        """Handle a join whose second leg was found by another leg: the first is left over."""
        first, second = join.first, join.second
        join.live = False
        first.errand = None
        self._set_adrift(first)
        if second.cause:
            self._miss(first, is_found=True)
        else:
            self._seek(first, second)

    def _leaving(
        self, first: SimulatedChannel, second: SimulatedChannel
    ) -> tuple[SimulatedChannel, ...]:
        """The legs that leave their bridges now: each remaining partner has its own thread."""
        if first.peer is None or second.peer is None or self._random() >= odds.LATER_LEFT:
            return (first, second)
        is_first = self._random() < odds.FIRST_LEAVES_LATER
        later, sooner, peer = (
            (first, second, first.peer) if is_first else (second, first, second.peer)
        )
        self._after(self._span(odds.TO_LEAVE_S), partial(self._part_still, later, peer))
        return (sooner,)

    def _finish(self, join: PendingJoin) -> None:
        first, second = join.first, join.second
        if not join.live or first.cause or second.cause:
            return  # `_let_go` handles the effects of a hang-up
        if second.answered and not join.broken:
            first.in_dialplan = second.in_dialplan = False
            if second.sounds and self._random() < odds.SOUND_LOST:
                second.sounds.clear()
            self._joined(first, second)
            self._play_early(first, second)
        else:
            second.errand = None
            self._end(second, "DESTINATION_OUT_OF_ORDER")
            self._fail(join)

    def _joined(self, first: SimulatedChannel, second: SimulatedChannel) -> None:
        first.peer = second
        second.peer = first
        first.is_first = True
        second.is_first = False
        first.errand = second.errand = first.missed = second.missed = None
        first.bond = first.bridge_uuid = second.id
        second.bond = second.bridge_uuid = first.id
        first.place = second.place = ChannelPlace.JOINED
        self._report(LegsJoined(first=first.id, second=second.id))
        for leg in (first, second):
            self._run_api(leg, "api_before_bridge_hookflash")
            keys, leg.unread = leg.unread, []
            if keys and self._random() < odds.KEYS_READ:
                for key in keys:
                    self._after(odds.TICK_S, partial(self.press, leg.id, key))
            leg.joins += 1
            leg.settles = leg.is_fresh = True
            self._after(odds.FRESH_S, partial(self._ages, leg, leg.joins))
            late_s = self._span(odds.SETTLES_LATE_S) if self._rarely(odds.SETTLES_LATE) else 0.0
            settles_s = self._span(odds.SETTLES_S) + late_s
            self._after(settles_s, partial(self._settle, leg, leg.joins))
        self._show_both(first, second)
        self._hear(first)
        self._hear(second)

    @staticmethod
    def _ages(leg: SimulatedChannel, joins: int) -> None:
        if leg.joins == joins:
            leg.is_fresh = False

    def _show_both(self, first: SimulatedChannel, second: SimulatedChannel) -> None:
        """Show each phone the other party, as the switch knows it."""

    def _fail(self, join: PendingJoin) -> None:
        """Give a join up: the second leg goes adrift, the first is parked or hung up."""
        join.live = False
        first, second = join.first, join.second
        first.errand = second.errand = None
        lost = odds.HELD_LOST if join.was_held else odds.SECOND_LOST
        lost = odds.TAKES_ALONG if join.takes_along else lost
        if first.cause and self._rarely(lost):
            self._end(second, odds.LOST)
        if not second.cause:
            self._set_adrift(second)
        if not first.cause:
            is_found = not join.broken or self._random() >= odds.NOT_FOUND
            self._miss(first, is_found=is_found, is_race=second.answered)

    def _miss(self, first: SimulatedChannel, *, is_found: bool, is_race: bool = True) -> None:
        """Release a first leg without its second.

        If the second is found and has hung up, one variable counts; if it no longer exists, another
        (`uuid_bridge_on_soft_execute`).
        """
        name = "uuid_bridge_park_on_cancel" if is_found else "park_after_bridge"
        if first.variables.get(name) == "true":
            self._park(first, by_itself=True)
            return
        is_other = is_race and self._random() < odds.LOST_CAUSE
        self._end(first, "ORIGINATOR_CANCEL" if is_found != is_other else odds.LOST)

    def _set_adrift(self, channel: SimulatedChannel) -> None:
        self._silence(channel)
        self._drop_call(channel)
        channel.errand = None
        self._move(channel, ChannelPlace.ADRIFT)
        self._hear(channel)

    def _move(self, channel: SimulatedChannel, place: ChannelPlace) -> None:
        """Move a leg; into the park again if it was parked."""
        if channel.place is ChannelPlace.PARKED and self.watcher is not None:
            self.watcher.unparked(channel)
        channel.place = place
        channel.is_idle = channel.is_free = False
