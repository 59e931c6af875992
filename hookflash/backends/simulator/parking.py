"""The park, and other extensions: legs that are sent somewhere (`uuid_transfer`, `uuid_park`).

* **An armed leg (`exec_after_bridge_app`) is not transferred** out of its bridge: it executes the
  app instead, on either side and regardless of its other variables (measured). A first leg that was
  joined only by its dialplan's `bridge`, never by an order, executes neither: it goes adrift
  (measured, 58 of 58). Only a join that fetches the leg, or a transfer of `-both`, takes
  precedence. What it executes: see `rescue`.
* `park_timeout` and `park_after_bridge` are removed in the park if there is a `park_timeout`. It
  ends a leg only when nothing plays to it: behind an endless sound it waits (measured).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial

from hookflash.backends.freeswitch.primitives import PICK_UP
from hookflash.backends.simulator import odds
from hookflash.backends.simulator.channel import (
    ChannelPlace,
    DialplanTransfer,
    Extension,
    Fate,
    PendingJoin,
    SimulatedChannel,
    ToInline,
    ToLeg,
    ToPark,
    ToPart,
    ToPhone,
)
from hookflash.backends.simulator.hearing import NO_SUCH_CHANNEL, OK, Thunk
from hookflash.backends.simulator.partings import Partings
from hookflash.events import LegId, LegParked


class Parking(Partings, ABC):
    """The part of the switch that sends legs into the park or another extension."""

    def park_both(self, leg: LegId) -> str:
        """`uuid_transfer LEG -both park inline`: split a leg and its peer, and park each.

        A leg without a peer, or adrift, is parked too; a parked leg is parked again.
        """
        return self.transfer(leg, both=True)

    def park_one(self, leg: LegId) -> str:
        """`uuid_transfer LEG park inline`: park a leg, and leave its peer to its own variables."""
        return self.transfer(leg)

    def take_part(self, leg: LegId, of: LegId) -> str:
        """`uuid_transfer LEG three_way:OF,park inline`: take part in a leg's conversation."""
        return self.transfer(leg, ToPart(of))

    def transfer(
        self, leg: LegId, extension: Extension | None = None, *, both: bool = False
    ) -> str:
        """`uuid_transfer LEG [-both] EXTENSION`: send a leg, or a pair, into an extension.

        Args:
            leg: the leg.
            extension: the destination; None: the park.
            both: whether its peer goes too.
        """
        channel = self._channels.get(leg)
        if channel is None:
            return NO_SUCH_CHANNEL
        self._lock(channel)
        if channel.seeks is not None:  # its thread looks for a leg, and takes no orders
            channel.bond = ""
            channel.later = extension or ToPark()
            channel.disturbed = True
            return OK
        peer = channel.peer if both else None
        if isinstance(channel.errand, PendingJoin) and self._random() < odds.LEFT_ALREADY:
            peer = None
        legs = (channel,) if peer is None else (channel, peer)
        for one in legs:
            self._note_destination(one, extension)
            one.bond = ""
            if one.peer is not None and not self._has_left(one):
                one.peer.bond = ""
        self._send(DialplanTransfer(extension or ToPark(), *legs))
        return OK

    def _note_destination(self, leg: SimulatedChannel, extension: Extension | None) -> None:
        """Note where a leg is sent. An order with `inline` leaves the destination unchanged."""
        number = self._number_of(extension)
        leg.dialplan = "XML" if number else "inline"
        leg.destination = number or leg.destination
        what = "m:^:" if isinstance(extension, ToInline) else "park"
        if isinstance(extension, ToPart):
            what = f"three_way:{extension.of},park"
        leg.variables["transfer_source"] = f"bl_xfer:{number or what}/default/{leg.dialplan}"

    @abstractmethod
    def _number_of(self, extension: Extension | None) -> str:
        """The number of an extension; empty if the order is `inline`."""

    def _has_left(self, leg: SimulatedChannel) -> bool:
        """Whether a leg that is to be joined again has already left its old bridge."""
        return isinstance(leg.errand, PendingJoin) and self._random() < odds.LEFT_ALREADY

    def park_in_place(self, leg: LegId) -> str:
        """`uuid_park`: like a transfer into the park, but bonds stay unchanged."""
        channel = self._channels.get(leg)
        if channel is None:
            return NO_SUCH_CHANNEL
        self._lock(channel)
        is_sent = isinstance(channel.errand, PendingJoin)
        if channel.place is ChannelPlace.PARKED and channel.in_cs_park and not is_sent:
            channel.errand = None  # it has not left yet, and stays
            channel.is_idle = True
        elif channel.seeks is None:
            self._send(DialplanTransfer(ToPark(), channel, in_place=True))
        return OK

    def _send(self, transfer: DialplanTransfer) -> None:
        for one in transfer.legs:
            if self._is_joined_yet(one) and self._random() < odds.ORDER_LOST:
                self._after(self._span(odds.TO_PARK_S), partial(self._lose_order, one))
                return
            join = one.errand
            if isinstance(join, PendingJoin) and join.live:
                self._take_out(one, join, transfer)
            # earlier orders are dropped now; later ones are not
            self._ordered_away(one)
            if one.place is not ChannelPlace.ADRIFT:
                one.unread.clear()
            one.errand = transfer
        for other, _ in transfer.left:
            other.errand = None
        self._after(self._to_look_up(odds.TO_PARK_S), partial(self._transfer, transfer))

    def _lose_order(self, leg: SimulatedChannel) -> None:
        """A leg leaves the bridge as ordered, and follows its variables."""
        if leg.peer is not None and leg.errand is None:
            self._part(leg, leg.peer, partial(self._go_on_alone, leg, ""))

    def _take_out(
        self, leg: SimulatedChannel, join: PendingJoin, transfer: DialplanTransfer
    ) -> None:
        """A leg is ordered out of a join: the other leg's fate is decided when it leaves."""
        join.live = False
        transfer.redirects = True
        first = join.first
        if leg is join.second and first not in transfer.legs:
            was_with = first.peer is leg
            if not was_with or (first.is_first and self._random() < odds.WAITS_FOR_OWN):
                transfer.seeks = (first, leg)
        transfer.left += [
            (other, join.begun and other is join.second)
            for other in (join.first, join.second)
            if other not in transfer.legs
        ]

    def _is_joined_yet(self, leg: SimulatedChannel) -> bool:
        """Whether a leg is joined before it goes because its join is almost finished.

        The first leg's thread no longer checks whether the second has another order.
        """
        join = leg.errand
        if not (isinstance(join, PendingJoin) and join.live and join.begun and leg is join.second):
            return False
        if not self._rarely(odds.JOINED_YET):
            return False
        self._finish(join)
        join.live = False
        return True

    def _transfer(self, transfer: DialplanTransfer) -> None:
        if self._is_put_off(transfer.legs, partial(self._transfer, transfer)):
            self._leave_busy(transfer)
            return
        self._leave_others(transfer)
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
            self._go(leg, transfer)

    def _leave_others(self, transfer: DialplanTransfer) -> None:
        """Handle the legs whose joins an order has ended."""
        for other, is_caught in transfer.left:
            if other.peer in transfer.legs and self._random() < odds.SECOND_SENT_QUICKER:
                self._arrive_first(other.peer, other, transfer)
            self._leave_behind(other, odds.LOST if is_caught else "")
            if other.place is ChannelPlace.ADRIFT and other.errand is None and not other.cause:
                self._is_found(other, other)
        if transfer.seeks is not None:
            self._seek(*transfer.seeks, chance=odds.FOUND_WANTING)

    def _go(self, leg: SimulatedChannel, transfer: DialplanTransfer) -> None:
        self._stop_sound(leg)
        if (
            leg.place in (ChannelPlace.PARKED, ChannelPlace.ELSEWHERE)
            and self._random() < odds.SOUND_LOST
        ):
            leg.sounds.clear()
            leg.due = None
        if leg.peer is None:
            self._arrive(leg, transfer, was_joined=leg is transfer.busy)
        else:
            self._part(leg, leg.peer, partial(self._leave_for, leg, transfer))

    def _leave_for(self, leg: SimulatedChannel, transfer: DialplanTransfer) -> None:
        """A leg has left its bridge, and goes to its extension, mostly at once."""
        if leg.failsafe is None:
            self._pass_through_park(leg)
        self._soon(partial(self._arrive, leg, transfer, was_joined=True))

    def _is_put_off(self, legs: Sequence[SimulatedChannel], then: Thunk) -> bool:
        """Whether legs that are ordered elsewhere obey later, when `then` will be called.

        A leg whose thread prepares a sound finishes that, and plays nothing. A first leg that has
        left its bridge waits until its second has finished its sound.
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

    def _leave_busy(self, transfer: DialplanTransfer) -> None:
        """A second leg is to go while it still prepares a sound: the first may leave at once.

        (Measured, 25 of 40.) The second follows 100 ms later, by its variables at that time.
        """
        leg, *others = transfer.legs
        first = leg.peer
        if others or transfer.busy is not None or not leg.is_busy or leg.is_first:
            return
        if first is not None and first.peer is leg:
            transfer.busy = leg
            if self._random() < odds.LEFT_BUSY:
                self._part(leg, first)

    @staticmethod
    def _clings(first: SimulatedChannel, partner: SimulatedChannel) -> bool:
        """Whether a first leg that is ordered elsewhere waits until its partner leaves a bridge.

        It heard a sound while that partner was fetched. Its thread ends the bridge only when the
        second leg is in no bridge at all (`CS_EXCHANGE_MEDIA`). (Measured.)
        """
        is_second = partner.place is ChannelPlace.JOINED and not partner.is_first
        is_joined = partner.peer is not None and partner.peer is not first
        return first.is_first and is_second and is_joined and not (first.cause or partner.cause)

    def _arrive_first(
        self, leg: SimulatedChannel, left: SimulatedChannel, transfer: DialplanTransfer
    ) -> None:
        """Let a leg arrive before it is reported that it left another, which goes adrift."""
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
        self._report_parted(*((left, leg) if left.is_first else (leg, left)))

    def _arrive(
        self, channel: SimulatedChannel, transfer: DialplanTransfer, *, was_joined: bool
    ) -> None:
        """Start a leg's extension, unless it was joined and is armed."""
        extension = transfer.extension
        if channel.cause or channel.errand is not transfer:
            if isinstance(channel.errand, DialplanTransfer):
                self._pass_through_park(channel)
            if isinstance(extension, ToPhone) and self._random() < odds.HALF_TAKEN:
                channel.variables["hangup_after_bridge"] = "true"  # it came only so far
            return
        is_alone = len(transfer.legs) == 1 and not transfer.redirects
        if was_joined and is_alone and channel.failsafe is not None:
            channel.errand = None
            channel.place = ChannelPlace.MOVING
            self._hear(channel)
            if channel.is_first and channel.in_dialplan:
                self._set_adrift(channel)
            else:
                self._rescue(channel)
        elif isinstance(extension, ToLeg):
            channel.errand = None
            self._move(channel, ChannelPlace.MOVING)
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
            self._move(channel, ChannelPlace.ELSEWHERE)
            channel.errand = None
            self._hear(channel)
            channel.parks_then = isinstance(extension, ToPart)
            self._begin_extension(channel, extension)
            self._look_for_sounds(channel)

    def _begin_extension(self, channel: SimulatedChannel, extension: Extension) -> None:
        """Execute what another program's extension says."""

    def _park(self, channel: SimulatedChannel, *, by_itself: bool = False) -> None:
        self._stop(channel)
        self._drop_call(channel)
        self._move(channel, ChannelPlace.PARKED)
        channel.errand = None
        channel.overdue = False
        channel.in_cs_park = by_itself
        channel.parkings += 1
        self._report(LegParked(leg=channel.id, pick_up=channel.variables.get(PICK_UP, "")))
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

    def _unfetched(self, channel: SimulatedChannel, parking: int) -> None:
        if channel.place is not ChannelPlace.PARKED or channel.parkings != parking:
            return
        if channel.playing is not None:
            channel.overdue = True
        else:
            self._end(channel, "NORMAL_CLEARING")

    def _freed(self, channel: SimulatedChannel) -> None:
        peer = channel.peer
        if peer is not None and (channel.waits is not None or peer.peer is not channel):
            self._heard_out(channel)

    def _heard_out(self, channel: SimulatedChannel) -> None:
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
            is_joined = peer.place is ChannelPlace.JOINED and peer.peer is not None
            if is_joined and peer.errand is None and not peer.cause:
                # it is joined; it does not check with which leg
                peer.ghosts.append(partial(self._heard_out, channel))
                return
            if was_early and peer.cause and self._rarely(odds.NAMES_THE_DEAD):
                channel.missed = peer
            channel.peer = None
            self._report_parted(*((channel, peer) if channel.is_first else (peer, channel)))
            self._go_on_alone(channel, peer.cause)
        elif channel.place is ChannelPlace.ELSEWHERE and channel.call is None:
            self._leave_extension(channel)
        elif channel.overdue and channel.place is ChannelPlace.PARKED and channel.errand is None:
            self._end(channel, "NORMAL_CLEARING")

    def _leave_extension(self, channel: SimulatedChannel) -> None:
        if channel.parks_then:
            self._park(channel)
        else:
            self._end(channel, "NORMAL_CLEARING")  # the extension has no other step

    def _ordered_away(self, leg: SimulatedChannel, *, to_join: bool = False) -> None:
        """A leg is ordered elsewhere: handle the sounds that were ordered before.

        The thread of a leg in the park, or in an extension, takes all sounds off the queue before
        it leaves, and plays none. That of a leg in a bridge takes one at a time and leaves the
        rest, which play where the leg goes next (measured, 24 of 24). The same is true for a thread
        that plays a sound in the park: the next sounds play in the bridge that the leg leads (34 of
        34), and are lost in the next park (8 of 8).
        """
        leg.orders += 1
        self._let_ghosts_go(leg)
        plays = to_join and leg.playing is not None and not leg.playing.is_own
        if (
            leg.place in (ChannelPlace.PARKED, ChannelPlace.ELSEWHERE, ChannelPlace.ADRIFT)
            and not plays
        ):
            leg.forget_sounds()
        else:
            leg.lose_due()

    def _stop_sound(self, leg: SimulatedChannel) -> None:
        """A leg is fetched: its sound stops, at once or with the end of its bridge."""
        if leg.peer is None and self._rarely(odds.STOPS_LATE):
            return
        if leg.peer is None or leg.is_first or self._random() < odds.STOP_FIRST:
            self._stop(leg)

    # ---- implemented by `bridges`

    def _drop_call(self, channel: SimulatedChannel) -> None:
        """End the legs that a leg's bridge calls, or the leg for which it is called."""
