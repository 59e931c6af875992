"""How legs are parked, joined and parted, and how they end: FreeSWITCH's manners, and its traps.

* **A primitive answers at once, and its effect comes later.** `+OK` means that the order was
  taken. Each leg has a thread that looks up every 20 ms (`odds.TICK_S`), so an effect takes one to
  three ticks, and whatever happens meanwhile crosses it.
* **A leg has at most one errand**: a transfer into an extension, or a join. The newest wins. A join
  has two stages: it *begins* after a tick (both legs leave what they were doing: their sounds
  stop, they are fetched out of their bridges) and is *finished* one or two ticks later
  (`LegsJoined`). Either leg may die in each of them, and another order may take it away.
* **What becomes of a leg when its bridge ends is written in its own variables**, and it depends on
  its side of the bridge. The first leg (which `bridge` names first): `park_after_bridge`, else
  `hangup_after_bridge`, else `exec_after_bridge_app`, else it ends. The second: the app, else
  `park_after_bridge`, else it ends. The variables stay: they act at every end of a bridge.
* **An armed leg (`exec_after_bridge_app`) is not transferred** out of its bridge: it executes the
  app in place of what the transfer wanted, on either side, whatever its other variables say
  (measured). A first leg that was never joined by an order, but by its dialplan's `bridge`,
  executes neither: it goes adrift (measured, 58 of 58). Only a join that fetches it goes before,
  and a transfer of `-both`. What it executes: see `rescue`.
* **`signal_bond` is what was written, not what is.** It is written on both legs when a join is
  *taken*, and stays when one dies, when the join fails, when the bridge ends by a leg's own
  variables, and on whoever is left when its partner is fetched. Only a transfer takes it off: from
  the leg, and from whom it is joined with. `bridge_uuid` is written with it, and stays for good.
* **A leg can go adrift.** When a join comes to nothing and the *second* leg lives on, nobody tells
  it what to do next: it is not parked, plays no sound, and reports nothing. Joining it, parking it
  and hanging it up still work. It is the one state that has no fact.
* **A first leg may wait for its second, deaf to every order**: see `seeking`. A bridge that has
  been reported may not be up yet: see `early`.
* **A first leg that hears a sound does not notice that its partner leaves**, neither a hang-up nor
  that it is fetched, until the sound is over: for ever, if that is endless. It then does what its
  variables say. An order to itself is carried out at once. (Measured. A second leg's sound is cut
  off by its partner's thread.)
* A first leg ends with its partner's cause if it has `hangup_after_bridge=true`; otherwise, and on
  the second side, with NORMAL_CLEARING.
* `park_timeout` and `park_after_bridge` are forgotten in the park, if there is a `park_timeout`. It
  ends a leg only when nothing plays to it: behind an endless sound it waits (measured).

Of a leg that has hung up nothing more is told: neither that its sound stops nor that its bridge is
undone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from hookflash.backends.simulator import odds
from hookflash.backends.simulator.channel import (
    Channel,
    Extension,
    Fate,
    Join,
    Place,
    ToLeg,
    ToPark,
    ToPhone,
    Transfer,
)
from hookflash.backends.simulator.hearing import (
    NO_SUCH_CHANNEL,
    OK,
    Thunk,
    nothing,
)
from hookflash.backends.simulator.rescue import Rescue
from hookflash.events import LegHungUp, LegId, LegParked, LegsJoined, LegsSeparated

_INVALID_UUID: Final = "-ERR Invalid uuid"


class Bridges(Rescue):
    """The switch, as far as legs meet and part."""

    # ---- legs end

    def kill(self, leg: LegId, cause: str = "NORMAL_CLEARING") -> str:
        """`uuid_kill`. A leg that has hung up is no channel any more, even if it just did."""
        channel = self._channels.get(leg)
        if channel is None:
            return NO_SUCH_CHANNEL
        self._end(channel, cause)
        return OK

    def _end(self, channel: Channel, cause: str, *, itself: bool = False) -> None:
        """Hang a leg up. Whoever has to do with it notices a moment later.

        Args:
            channel: which leg.
            cause: why.
            itself: whether its own thread does it, and so has nothing to notice itself.
        """
        if channel.cause:
            return
        if not itself and self._rarely(odds.SEEN_TO_END):
            self._tell_end_of_bridge(channel)
        channel.cause = cause
        channel.playing = None
        channel.forget_sounds()
        del self._channels[channel.id]
        self._report(LegHungUp(leg=channel.id, cause=cause))
        channel.nested = None
        for seeker in channel.seekers:
            if seeker.seeks is channel:
                self._after(self._span(odds.TO_PARK_S), partial(self._give_up, seeker))
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

    def _take_along(self, gone: Channel, half: Channel) -> None:
        """Half of a loopback pair has ended by itself, and hangs up the other; mostly at once."""
        late_s = odds.AT_ONCE_S
        if self._rarely(odds.HALF_STARVES):
            self._starve(half)
            late_s = self._span(odds.TO_REACH_HALF_S)
        self._after(late_s, partial(self._let_go, gone))

    def _tell_end_of_bridge(self, leaver: Channel) -> None:
        """A leg hangs up, and its partner's thread sees that before the hang-up is told."""
        peer = leaver.peer
        if peer is None or peer.peer is not leaver or leaver.half is not None:
            return
        if peer.errand is None and peer.playing is None and not peer.is_about_to_play:
            first, second = (leaver, peer) if leaver.is_first else (peer, leaver)
            self._report(LegsSeparated(first=first.id, second=second.id))

    def _let_go(self, gone: Channel) -> None:
        """Let the others notice that a leg has ended."""
        join = gone.errand
        if isinstance(join, Join) and join.begun and join.live:
            if gone is join.second and self._random() < odds.LOST_LATE:
                join.broken = True
            self._fail(join)
        if gone.peer is not None:
            self._part(gone, gone.peer)
        self._drop_call(gone)
        half = gone.half
        if half is not None:
            gone.half = half.half = None
            self._end(half, gone.cause)
        if self.watcher is not None:
            self.watcher.over(gone)

    def _drop_call(self, channel: Channel) -> None:
        """End what a leg's bridge calls, or for which it is called."""
        other = channel.call
        if other is None:
            return
        channel.call = other.call = None
        if other.called_for == channel.id:
            self._end(other, "ORIGINATOR_CANCEL")
        else:
            self._end(other, channel.cause or "NORMAL_CLEARING", itself=True)

    def _starve(self, half: Channel) -> None:
        """The other half of a loopback pair has ended, and nothing comes out of this one any more.

        Its own thread may notice that before the hang-up reaches it; then it leaves its bridge as
        if its partner had left.
        """
        if half.cause or half.errand is not None:
            return
        if half.place is Place.PARKED:
            self._end(half, "NORMAL_CLEARING")
        elif half.place is Place.JOINED and half.peer is not None:
            peer = half.peer
            if half.is_first:
                self._part(half, peer)
                self._go_on_alone(half, "")
            else:
                half.peer = None
                self._go_on_alone(half, "")
                self._after(self._span(odds.TO_STARVE_S), partial(self._part_still, half, peer))

    def _part_still(self, leaver: Channel, stayer: Channel) -> None:
        if stayer.peer is leaver or leaver.peer is stayer:
            self._part(leaver, stayer)

    # ---- the park, and other extensions

    def park_both(self, leg: LegId) -> str:
        """`uuid_transfer LEG -both park inline`: part a leg and its peer, and park each.

        A leg that is alone, or adrift, is parked too; one that was parked is so anew.
        """
        return self.transfer(leg, both=True)

    def park_one(self, leg: LegId) -> str:
        """`uuid_transfer LEG park inline`: park a leg, and leave its peer to its own variables."""
        return self.transfer(leg)

    def transfer(
        self, leg: LegId, extension: Extension | None = None, *, both: bool = False
    ) -> str:
        """`uuid_transfer LEG [-both] EXTENSION`: send a leg, or a pair, into an extension.

        Args:
            leg: whom.
            extension: where; None: into the park.
            both: whether its peer goes too.
        """
        channel = self._channels.get(leg)
        if channel is None:
            return NO_SUCH_CHANNEL
        if channel.seeks is not None:  # its thread looks for somebody, and takes no orders
            channel.bond = ""
            channel.later = extension or ToPark()
            channel.disturbed = True
            return OK
        peer = channel.peer if both else None
        if isinstance(channel.errand, Join) and self._random() < odds.LEFT_ALREADY:
            peer = None
        legs = (channel,) if peer is None else (channel, peer)
        for one in legs:
            one.variables["transfer_source"] = "bl_xfer:park/default/inline"
            one.bond = ""
            if one.peer is not None and not self._has_left(one):
                one.peer.bond = ""
        self._send(Transfer(extension or ToPark(), *legs))
        return OK

    def _has_left(self, leg: Channel) -> bool:
        """Whether a leg that is to be joined anew has left its old bridge already."""
        return isinstance(leg.errand, Join) and self._random() < odds.LEFT_ALREADY

    def park_in_place(self, leg: LegId) -> str:
        """`uuid_park`: as a transfer into the park, but bonds stay as they are."""
        channel = self._channels.get(leg)
        if channel is None:
            return NO_SUCH_CHANNEL
        is_parked = channel.place is Place.PARKED and channel.errand is None
        if is_parked and channel.in_cs_park:
            channel.is_idle = True
        elif channel.seeks is None:
            self._send(Transfer(ToPark(), channel, in_place=True))
        return OK

    def _send(self, transfer: Transfer) -> None:
        for one in transfer.legs:
            self._join_yet(one)
            join = one.errand
            if isinstance(join, Join) and join.live:
                join.live = False
                transfer.redirects = True
                first = join.first
                if one is join.second and first not in transfer.legs and first.peer is not one:
                    transfer.seeks = (first, one)
                transfer.left += [
                    (other, join.begun and other is join.second)
                    for other in (join.first, join.second)
                    if other not in transfer.legs
                ]
            # what was ordered is forgotten now; what is ordered from now on is not
            self._ordered_away(one)
            if one.place is not Place.ADRIFT:
                one.unread.clear()
            one.errand = transfer
        for other, _ in transfer.left:
            other.errand = None
        self._after(self._to_look_up(odds.TO_PARK_S), partial(self._transfer, transfer))

    def _join_yet(self, leg: Channel) -> None:
        """A leg is ordered out of a join that is all but finished: it is joined before it goes.

        The thread of the first leg does not ask any more whether the second has another order.
        """
        join = leg.errand
        if not (isinstance(join, Join) and join.live and join.begun and leg is join.second):
            return
        if self._rarely(odds.JOINED_YET):
            self._finish(join)
            join.live = False

    def _transfer(self, transfer: Transfer) -> None:
        if self._is_put_off(transfer.legs, partial(self._transfer, transfer)):
            return
        for other, is_caught in transfer.left:
            if other.peer in transfer.legs and self._random() < odds.SECOND_SENT_QUICKER:
                self._arrive_first(other.peer, other, transfer)
            self._leave_behind(other, odds.LOST if is_caught else "")
        if transfer.seeks is not None:
            self._seek(*transfer.seeks, chance=odds.FOUND_WANTING)
        going = [leg for leg in transfer.legs if leg.errand is transfer and not leg.cause]
        for leg in going:
            self._bind_again(leg)
        going = [leg for leg in going if not leg.cause]
        if len(going) > 1 and going[0].peer is going[1]:
            first, second = going if going[0].is_first else going[::-1]
            self._stop_sound(first)
            self._stop_sound(second)
            first.peer = second.peer = None
            self._pass_through_park(second)
            self._end_bridge(
                first,
                second,
                partial(self._soon, partial(self._arrive, first, transfer, was_joined=True)),
                partial(self._soon, partial(self._arrive, second, transfer, was_joined=True)),
            )
            return
        for leg in going:
            self._stop_sound(leg)
            if leg.place in (Place.PARKED, Place.ELSEWHERE) and self._random() < odds.SOUND_LOST:
                leg.sounds.clear()
                leg.due = None
            if leg.peer is None:
                self._arrive(leg, transfer, was_joined=False)
            else:
                then = partial(self._arrive, leg, transfer, was_joined=True)
                self._part(leg, leg.peer, partial(self._soon, then))

    def _is_put_off(self, legs: Sequence[Channel], then: Thunk) -> bool:
        """Whether legs that are ordered elsewhere obey later, when `then` is to be called.

        A leg whose thread prepares to play a sound does so to the end, and plays nothing. A first
        leg that has left its bridge waits until its second has done with its sound.
        """
        if any(leg.is_busy and not leg.cause for leg in legs):
            self._after(odds.LOOKS_AGAIN_S, then)
            return True
        for leg in legs:
            holder = leg.held
            if holder is not None:
                holder.waits = then
                if holder in legs:  # the order cuts its sound off
                    if self._random() < odds.STOP_FIRST:
                        self._stop(holder)
                    self._heard_out(holder)
                return True
            partner = leg.peer
            if partner is None or partner in legs or partner.peer in legs:
                continue
            if self._clings(leg, partner):
                self._stop(leg)
                partner.ghosts.append(then)
                return True
        return False

    @staticmethod
    def _clings(first: Channel, partner: Channel) -> bool:
        """Whether a first leg that is ordered elsewhere waits until its partner leaves a bridge.

        It heard a sound while that partner was fetched. Its thread ends the bridge only when the
        second leg is in none (`CS_EXCHANGE_MEDIA`), and does not ask in which. (Measured.)
        """
        is_second = partner.place is Place.JOINED and not partner.is_first
        is_joined = partner.peer is not None and partner.peer is not first
        return first.is_first and is_second and is_joined and not (first.cause or partner.cause)

    def _arrive_first(self, leg: Channel, left: Channel, transfer: Transfer) -> None:
        """Let a leg arrive before it is told that it has left another, which goes adrift."""
        if (
            leg.cause
            or leg.errand is not transfer
            or leg.peer is not left
            or left.errand is not None
        ):
            return
        leg.peer = left.peer = None
        self._stop_sound(leg)
        self._arrive(leg, transfer, was_joined=True)
        self._tell_parted(*((left, leg) if left.is_first else (leg, left)))

    def _arrive(self, channel: Channel, transfer: Transfer, *, was_joined: bool) -> None:
        """Let a leg begin with its extension; unless it was joined and is armed."""
        extension = transfer.extension
        if channel.cause or channel.errand is not transfer:
            if isinstance(channel.errand, Transfer):
                self._pass_through_park(channel)
            if isinstance(extension, ToPhone) and self._random() < odds.HALF_TAKEN:
                channel.variables["hangup_after_bridge"] = "true"  # so far it came
            return
        is_alone = len(transfer.legs) == 1 and not transfer.redirects
        if was_joined and is_alone and channel.failsafe is not None:
            channel.errand = None
            channel.place = Place.MOVING
            self._hear(channel)
            if channel.is_first and channel.in_dialplan:
                self._set_adrift(channel)
            else:
                self._rescue(channel)
        elif isinstance(extension, ToLeg):
            channel.errand = None
            self._move(channel, Place.MOVING)
            self._hear(channel)
            self._take_or_end(channel, extension.wanted)
        elif isinstance(extension, ToPark):
            parks = was_joined and channel.is_first and self._fate(channel) is Fate.PARK
            if parks and self._rarely(odds.PARKS_FIRST):
                self._park(channel, by_itself=True)
            self._park(channel, by_itself=transfer.in_place)
        else:
            self._stop(channel)
            self._drop_call(channel)
            self._move(channel, Place.ELSEWHERE)
            channel.errand = None
            self._hear(channel)
            self._begin_extension(channel, extension)
            self._look_for_sounds(channel)

    def _begin_extension(self, channel: Channel, extension: Extension) -> None:
        """Let a leg do what another program's extension says."""

    def _park(self, channel: Channel, *, by_itself: bool = False) -> None:
        self._stop(channel)
        self._drop_call(channel)
        self._move(channel, Place.PARKED)
        channel.errand = None
        channel.overdue = False
        channel.in_cs_park = by_itself
        channel.parkings += 1
        self._report(LegParked(leg=channel.id))
        self._hear(channel)
        self._look_for_sounds(channel)
        keys, channel.unread = channel.unread, []
        for key in keys:
            self._after(odds.TICK_S, partial(self.press, channel.id, key))
        limit = channel.forget_park()
        if limit is not None:
            self._after(
                self._whole_seconds(limit), partial(self._unfetched, channel, channel.parkings)
            )

    def _unfetched(self, channel: Channel, parking: int) -> None:
        if channel.place is not Place.PARKED or channel.parkings != parking:
            return
        if channel.playing is not None:
            channel.overdue = True
        else:
            self._end(channel, "NORMAL_CLEARING")

    def _freed(self, channel: Channel) -> None:
        peer = channel.peer
        if peer is not None and (channel.waits is not None or peer.peer is not channel):
            self._heard_out(channel)

    def _heard_out(self, channel: Channel) -> None:
        peer = channel.peer
        waits = channel.waits
        lead = channel if channel.is_first else peer
        was_early = lead is not None and lead.early is channel
        if lead is not None and was_early:
            lead.early = None
            if lead is channel and peer and peer.peer is not channel and not peer.cause:
                self._after(odds.BREAKS_OFF_S, partial(self._break_off, lead, peer))
                return
        if waits is not None and peer is not None:
            channel.waits = peer.held = None
            self._part(peer, channel, waits)
        elif channel.errand is not None or channel.cause or channel.playing is not None:
            return
        elif peer is not None and peer.peer is not channel:
            is_joined = peer.place is Place.JOINED and peer.peer is not None
            if is_joined and peer.errand is None and not peer.cause:
                # joined it is: with whom, it does not ask
                peer.ghosts.append(partial(self._heard_out, channel))
                return
            if was_early and peer.cause and self._rarely(odds.NAMES_THE_DEAD):
                channel.missed = peer
            channel.peer = None
            self._tell_parted(*((channel, peer) if channel.is_first else (peer, channel)))
            self._go_on_alone(channel, peer.cause)
        elif channel.place is Place.ELSEWHERE and channel.call is None:
            self._end(channel, "NORMAL_CLEARING")  # the extension has nothing else to say
        elif channel.overdue and channel.place is Place.PARKED and channel.errand is None:
            self._end(channel, "NORMAL_CLEARING")

    # ---- bridges

    def _ordered_away(self, leg: Channel, *, to_join: bool = False) -> None:
        """A leg is ordered elsewhere: what becomes of the sounds that were ordered before.

        The thread of a leg in the park, or in an extension, takes all off the queue before it
        leaves, and plays none. That of a leg in a bridge takes one at a time, and leaves the rest:
        they are heard where the leg goes next. (Measured, 24 of 24.) So does a thread that plays a
        sound in the park: what waits behind that is heard in the bridge that the leg leads (34 of
        34), and is lost in the next park (8 of 8).
        """
        leg.orders += 1
        self._let_ghosts_go(leg)
        plays = to_join and leg.playing is not None and not leg.playing.is_own
        if leg.place in (Place.PARKED, Place.ELSEWHERE, Place.ADRIFT) and not plays:
            leg.forget_sounds()
        else:
            leg.lose_due()

    def _stop_sound(self, leg: Channel) -> None:
        """A leg is fetched: what plays to it stops, at once or with the end of its bridge."""
        if leg.peer is None and self._rarely(odds.STOPS_LATE):
            return
        if leg.peer is None or leg.is_first or self._random() < odds.STOP_FIRST:
            self._stop(leg)

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

    def _start_join(self, first: Channel, second: Channel, *, intercepts: bool = False) -> None:
        join = Join(first, second)
        kept = [leg for leg in (first, second) if self._is_kept(leg, join)]
        self._disturb(kept, join)
        for leg in (first, second):
            earlier = leg.errand
            if leg not in kept and isinstance(earlier, Join) and earlier.live:
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
        if first.seeks is second:
            first.errand = second.errand = None
            first.again, first.later = True, None
            find = partial(self._find_wanting, first, second, second.orders)
            self._after(self._span(odds.TO_FIND_S), find)
        elif not kept:
            self._seek_no_more(second, first)
            self._after(self._to_look_up(odds.TO_BEGIN_S), partial(self._begin, join))
        elif len(kept) == 1:
            self._leave_over(join, second if kept[0] is first else first, intercepts=intercepts)

    def _disturb(self, kept: Sequence[Channel], join: Join) -> None:
        for leg in kept:
            if isinstance(leg.errand, Join) and leg.errand.live:
                self._leave_early(leg.errand)
            if leg.seeks is not None:
                leg.disturbed = True
                leg.wanted = join.second if leg is join.first else None
                leg.later = None

    def _leave_over(self, join: Join, leg: Channel, *, intercepts: bool) -> None:
        """Another join keeps one leg of a new one: the other is left over."""
        ends = intercepts and leg is join.first and self._random() < odds.GIVES_UP
        if self._random() < odds.STRANDED_FIRST:
            join.live, join.stranded = False, True
            leg.errand = join
        strand = partial(self._strand, join, leg, "NORMAL_CLEARING" if ends else "")
        self._after(self._span(odds.TO_BEGIN_S), strand)

    def _introduce(self, first: Channel, second: Channel) -> None:
        if not first.is_flipped:
            first.is_flipped = True
            first.caller_id, first.callee_id = first.callee_id, first.caller_id
        first.callee_id, second.caller_id = second.callee_id, first.caller_id
        if self.watcher is not None:
            self.watcher.joining(first, second)

    def _is_kept(self, leg: Channel, join: Join) -> bool:
        """Whether a join under way keeps a leg that a new join wants as its second.

        Its first leg it keeps if it has not begun; its second, as chance has it. (A new join's
        first leg is never kept: what is ordered last of it counts.)
        """
        if leg.seeks is not None:
            return leg.seeks not in (join.first, join.second)
        earlier = leg.errand
        if not isinstance(earlier, Join) or leg is join.first:
            return False
        if not earlier.live:
            return earlier.stranded and leg is earlier.first
        if join.first in (earlier.first, earlier.second):
            return False
        if leg is earlier.first:
            earlier.waits = self._rarely(odds.FIRST_WAITS)
            return not (earlier.begun or earlier.was_held or earlier.waits)
        stage = "ripe" if earlier.ripe else "begun" if earlier.begun else "before it began"
        return self._random() < odds.OLD_WINS[stage]

    @staticmethod
    def _ripen(join: Join) -> None:
        join.ripe = True

    def _overtake(self, earlier: Join, join: Join) -> None:
        """Put an end to a join, of which the new one takes a leg, or both."""
        earlier.live = False
        self._leave_early(earlier)
        left = [
            leg for leg in (earlier.first, earlier.second) if leg not in (join.first, join.second)
        ]
        if not left and join.first is earlier.first:
            join.broken = earlier.begun
        elif not left:
            if not earlier.begun and self._random() < odds.TURNED_BACK:
                join.first, join.second = join.second, join.first
        elif earlier.begun and earlier.second.cause and earlier.first is join.first:
            join.doomed = True
        else:
            for leg in left:
                leg.errand = None
                is_caught = earlier.begun or earlier.waits or self._is_lost_held(earlier)
                join.left.append((leg, is_caught and leg is earlier.second))
        if not earlier.begun:
            join.left += earlier.left

    def _is_lost_held(self, join: Join) -> bool:
        """Whether the second leg of a join, which a sound holds up, is lost with the first."""
        return join.was_held and self._random() < odds.HELD_LOST

    def _leave_early(self, join: Join) -> None:
        """The second leg's partner may see that it is fetched before the join has begun.

        The order marks both legs (`CF_TRANSFER`), before the thread of the first looks up.
        """
        peer = join.second.peer
        if not join.begun and peer is not None and self._random() < odds.LEFT_EARLY:
            self._part(join.second, peer)

    def _leave_behind(self, leg: Channel, cause: str) -> None:
        """Deal with a leg whose join has been overtaken: it ends for a cause, or goes adrift."""
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

    def _strand(self, join: Join, leg: Channel, cause: str) -> None:
        second = join.second
        join.stranded = False
        if leg.errand is join:
            leg.errand = None
        self._leave_behind(leg, cause)
        if leg is not second:
            self._seek(leg, second)
            self._let_seekers_go(leg)
        elif not leg.cause and leg.errand is None:
            self._is_found(leg, leg)

    def _leave_all(self, join: Join) -> None:
        for leg, hangs_up in join.left:
            self._leave_behind(leg, odds.LOST if hangs_up else "")
            if leg.bond == join.second.id and leg is not join.second:
                self._seek(leg, join.second)
            elif leg.bond == join.first.id and leg.place is Place.ADRIFT:
                leg.is_free = self._random() < odds.FREED  # it waited for a leg that leads now
                self._take_sound(leg)

    def _begin(self, join: Join) -> None:
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
        if not self._leave_bridges(join):
            return
        if first.cause or second.cause or join.doomed:
            # a second leg that is destroyed already is not found, and other variables count
            join.broken = bool(second.cause)
            self._fail(join)
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
            self._move(leg, Place.MOVING)
            self._hear(leg)
        self._after(self._to_look_up(odds.TO_FINISH_S), partial(self._finish, join))

    def _leave_bridges(self, join: Join) -> bool:
        """Let two legs leave where they are. False if the join cannot begin, or not yet."""
        first, second = join.first, join.second
        if first.peer is second and second.peer is first:
            was_first, was_second = (first, second) if first.is_first else (second, first)
            self._let_ghosts_go(was_first)
            self._let_ghosts_go(was_second)
            first.peer = second.peer = None
            self._tell_parted(was_first, was_second)
        for leg in self._leaving(first, second):
            peer = leg.peer
            if peer is None or leg.cause:
                continue
            if leg.is_first and peer.peer is leg and self._holds(peer):
                self._hold(leg, peer, partial(self._begin, join))
            else:
                self._part(leg, peer)
            if not join.live:
                return False  # the peer was armed, and has taken one of them away
        if first.held is None and second.held is None:
            return True
        join.was_held = True
        return False

    def _slips(self, second: Channel) -> bool:
        """Whether a second leg slips away, as the bridge that it leaves was not quite up yet."""
        if not second.is_fresh or second.is_first or not self._rarely(odds.SLIPS):
            return False
        second.errand = None
        self._set_adrift(second)
        return True

    def _lose_to_seeker(self, join: Join) -> None:
        """Whoever sought the second leg of a join has found it: the first is left over."""
        first, second = join.first, join.second
        join.live = False
        first.errand = None
        self._set_adrift(first)
        if second.cause:
            self._miss(first, is_found=True)
        else:
            self._seek(first, second)

    def _leaving(self, first: Channel, second: Channel) -> tuple[Channel, ...]:
        """Say which legs leave their bridges now: each of those left has a thread of its own."""
        if first.peer is None or second.peer is None or self._random() >= odds.LATER_LEFT:
            return (first, second)
        is_first = self._random() < odds.FIRST_LEAVES_LATER
        later, sooner, peer = (
            (first, second, first.peer) if is_first else (second, first, second.peer)
        )
        self._after(self._span(odds.TO_LEAVE_S), partial(self._part_still, later, peer))
        return (sooner,)

    def _finish(self, join: Join) -> None:
        first, second = join.first, join.second
        if not join.live or first.cause or second.cause:
            return  # `_let_go` deals with whatever a hang-up leaves behind
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

    def _joined(self, first: Channel, second: Channel) -> None:
        first.peer = second
        second.peer = first
        first.is_first = True
        second.is_first = False
        first.errand = second.errand = first.missed = second.missed = None
        first.bond = first.bridge_uuid = second.id
        second.bond = second.bridge_uuid = first.id
        first.place = second.place = Place.JOINED
        self._report(LegsJoined(first=first.id, second=second.id))
        for leg in (first, second):
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
    def _ages(leg: Channel, joins: int) -> None:
        if leg.joins == joins:
            leg.is_fresh = False

    def _show_both(self, first: Channel, second: Channel) -> None:
        """Let each phone show the other party, as the switch knows them."""

    def _fail(self, join: Join) -> None:
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

    def _miss(self, first: Channel, *, is_found: bool, is_race: bool = True) -> None:
        """Let a first leg go without its second.

        If that is found, and has hung up, one variable counts; if it is gone for good, another
        (`uuid_bridge_on_soft_execute`).
        """
        name = "uuid_bridge_park_on_cancel" if is_found else "park_after_bridge"
        if first.variables.get(name) == "true":
            self._park(first, by_itself=True)
            return
        is_other = is_race and self._random() < odds.LOST_CAUSE
        self._end(first, "ORIGINATOR_CANCEL" if is_found != is_other else odds.LOST)

    def _set_adrift(self, channel: Channel) -> None:
        self._silence(channel)
        self._drop_call(channel)
        channel.errand = None
        self._move(channel, Place.ADRIFT)
        self._hear(channel)

    def _move(self, channel: Channel, place: Place) -> None:
        """Put a leg somewhere else; into the park anew, if it was parked."""
        if channel.place is Place.PARKED and self.watcher is not None:
            self.watcher.unparked(channel)
        channel.place = place
        channel.is_idle = channel.is_free = False

    # ---- how a bridge ends

    def _part(self, leaver: Channel, stayer: Channel, then: Thunk = nothing) -> None:
        """End a bridge that `leaver` has left, hung up or fetched away; `then` is what it does."""
        if stayer.peer is not leaver:  # it has left before, and nothing was noticed of that
            leaver.peer = None
            self._tell_parted(*((leaver, stayer) if leaver.is_first else (stayer, leaver)))
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
            # its thread plays, and looks after the bridge when the sound is over
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
    def _hold(leaver: Channel, second: Channel, then: Thunk) -> None:
        leaver.peer = None
        leaver.held = second
        second.waits = then

    def _holds(self, second: Channel) -> bool:
        """Whether a second leg's thread is about to play: the first, which leaves, waits for it.

        (Measured, 24 of 24. A sound that plays already is cut off.)
        """
        if second.errand is not None:
            return False
        return second.waits is not None or second.is_about_to_play

    def _let_ghosts_go(self, leg: Channel) -> None:
        """Who took a leg for its partner all the time notices that it leaves its bridge now."""
        ghosts, leg.ghosts = leg.ghosts, []
        for notices in ghosts:
            self._after(self._span(odds.TO_UNBRIDGE_S), notices)

    def _end_bridge(
        self, first: Channel, second: Channel, first_acts: Thunk, second_acts: Thunk
    ) -> None:
        """Let two legs, each with a thread of its own, leave their bridge.

        The first's thread waits until the second's has left; it tells that the bridge is over, then
        goes its own way. Whether the second is where it goes before that is told, is chance; a
        hang-up is.
        """
        if self._random() < self._quickness(second):
            second_acts()
            if not first.cause and self._rarely(odds.TOLD_LATE):
                told = partial(self._leave_last, first, second, first_acts)
                self._after(self._span(odds.TO_NEXT_S), told)
            else:
                self._leave_last(first, second, first_acts)
        else:
            if second.errand is None and self._random() < odds.STOP_FIRST:
                self._stop(second)
            self._leave_last(first, second, first_acts)
            second_acts()

    def _quickness(self, second: Channel) -> float:
        """How often a second leg goes where it goes before its bridge's end is told."""
        if second.errand is not None:
            return odds.SECOND_SENT_QUICKER
        if second.cause:
            return odds.SECOND_QUICKER
        chances = {
            Fate.END: odds.ENDS_UNTOLD if self.draws_rare_things else 1.0,
            Fate.RESCUE: odds.SECOND_RESCUES,
            Fate.PARK: odds.SECOND_QUICKER,
        }
        return chances[self._fate(second)]

    def _leave_last(self, first: Channel, second: Channel, first_acts: Thunk) -> None:
        self._tell_parted(first, second)
        first_acts()

    def _tell_parted(self, first: Channel, second: Channel) -> None:
        if self.watcher is not None:
            self.watcher.parted(first, second)
        if not first.cause and not second.cause:
            self._report(LegsSeparated(first=first.id, second=second.id))
            if second.errand is not None and second.peer is None:
                self._stop(second)

    def _go_on_alone(self, stayer: Channel, leavers_cause: str) -> None:
        """Do what the leg's variables say, unless it has an errand, which goes before."""
        if stayer.cause:
            return
        self._silence(stayer)
        stayer.place = Place.MOVING
        fate = self._fate(stayer) if stayer.errand is None else None
        if isinstance(stayer.errand, Transfer):
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

    def _end_alone(self, stayer: Channel, cause: str) -> None:
        is_free = stayer.errand is None and stayer.peer is None
        if is_free and stayer.place is Place.MOVING:
            self._end(stayer, cause, itself=True)

    def _pass_through_park(self, second: Channel) -> None:
        if not second.is_first and self._rarely(odds.PARKED_BETWEEN):
            errand = second.errand
            second.variables["park_timeout"] = "3"
            self._park(second, by_itself=True)
            second.errand = errand

    def _park_alone(self, stayer: Channel) -> None:
        is_free = stayer.errand is None and stayer.peer is None and not stayer.cause
        if is_free and stayer.place is Place.MOVING:
            self._park(stayer, by_itself=True)

    def _soon(self, act: Thunk) -> None:
        """Let a leg's thread do what comes after its bridge: mostly at once."""
        if self._random() < odds.AT_ONCE:
            act()
        else:
            self._after(self._span(odds.TO_NEXT_S), act)

    def _fate(self, stayer: Channel) -> Fate:
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

    # ---- dice

    def _to_look_up(self, bounds: tuple[float, float]) -> float:
        return self._span(bounds) + self._lateness(odds.LATE, odds.VERY_LATE)

    def _whole_seconds(self, seconds: str) -> float:
        """How long a limit of so many ticks of the switch's clock takes from now."""
        limit_s = int(seconds) if seconds.isdecimal() else 0
        return max(0.0, limit_s - odds.CLOCK_STEP_S * self._random())
