"""How legs are joined, and what happens to the partner when one leaves.

A bridge reports its members one by one, the second leg first: that leg is taken from its current
place, then the leg that runs `Bridge()` enters. When one of two leaves, the other leaves within 2
ms and does what its own place says: it continues, or goes where `Bridge(…,F(…))` says; a leg that
was called by `Dial()` ends. None of this needs a controller.

**A leg that was taken into a bridge and is sent out of it at once** may end, because the thread
that carried it in still holds it (measured: 1 of 100 at 4 ms).

**Two joined legs can't be joined again.** The first leaves, so the other leaves too, and usually
does its next step before the first looks for it (measured: 35 of 48). It is then found in the park,
or has ended; or it is just about to leave and can't be taken (13 of 48).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial

from hookflash.backends.asterisk.primitives import SETTLES_S
from hookflash.backends.simulator.asterisk.channel import (
    App,
    AsteriskBridge,
    AsteriskChannel,
    Leaving,
)
from hookflash.backends.simulator.asterisk.extensions import DialplanPlace
from hookflash.backends.simulator.asterisk.hearing import TO_STEP_S, AsteriskHearing
from hookflash.events import LegsJoined, LegsSeparated

TO_DISSOLVE_S = (0.0002, 0.0010)
"""From one leg's leaving a bridge to its partner's."""
TO_GO_ON_S = (0.0003, 0.0014)
"""From a leg's leaving a bridge to its next step."""
TAKEN_LEAVING = 0.15
"""How often a leg that is about to leave a bridge can be taken (measured: 8 of 57)."""
MISSED_SENT = 0.5
"""How often a leg that was sent somewhere a moment before can't be taken (a guess)."""
TAKEN_LATER = 0.7
"""How often such a leg has then done its next step."""
NEW_S = 0.006
"""How long a leg can hardly be sent out of the bridge into which it was taken: …"""
TORN = 0.03
"""… it ends this often (measured: 1 of 100 at 4 ms, 0 at 3 and 5)."""
TELLS_S = 0.002
"""How long after a bridge is up both phones are updated, which undoes earlier display orders."""
BRIDGE_RESULT = "BRIDGERESULT"
CLEARING = "NORMAL_CLEARING"


class AsteriskBridges(AsteriskHearing, ABC):
    """The part of the switch that joins legs."""

    def _named(self, beginning: str) -> AsteriskChannel | None:
        """The first channel whose name begins like this."""
        if not beginning:
            return None
        return next((c for c in self._channels.values() if c.name.startswith(beginning)), None)

    def bridge(self, first: AsteriskChannel, peer: str, after: DialplanPlace | None) -> bool:
        """`Bridge(PEER,F(…))`: take a channel, and be joined with it.

        Returns:
            False if the channel can't be found: this one continues.
        """
        second = self._named(peer)
        if second is None or second is first or not second.answered:
            first.variables[BRIDGE_RESULT] = "NONEXISTENT"
            return False
        if second.is_sent and self._random() < MISSED_SENT:
            first.variables[BRIDGE_RESULT] = "FAILURE"
            return False
        if second.bridge is not None and second.bridge.over:
            # it leaves at this moment, and continues at its next step
            if second.leaving is Leaving.ENDS and after is not None:
                second.leaving, second.after = Leaving.GOES_TO, after
            if self._random() >= TAKEN_LEAVING:
                first.variables[BRIDGE_RESULT] = "FAILURE"
                return False
            if self._random() < TAKEN_LATER:
                self._dissolve(second, second.bridge)
                if second.cause:
                    first.variables[BRIDGE_RESULT] = "FAILURE"
                    return False
        if second.bridge is None:  # it is taken off its thread, and loses its time limit
            second.limits, second.ends_s = second.limits + 1, None
        self._leave(second)
        second.moves += 1
        second.is_sent = False
        second.app, second.leaving, second.after = App.BRIDGE, Leaving.GOES_TO, after
        first.app, first.leaving, first.after = App.BRIDGE, Leaving.GOES_ON, None
        if after is None:
            first.leaving = second.leaving = Leaving.ENDS
        bridge = AsteriskBridge([second])
        second.bridge = first.entering = bridge
        self._after(self.span(TO_STEP_S), partial(self._enter, first, bridge))
        return True

    def _enter(self, channel: AsteriskChannel, bridge: AsteriskBridge) -> None:
        if channel.entering is not bridge:
            return
        channel.entering = None
        if not bridge.members:  # it has already left
            self._left_alone(channel, channel.moves)
        else:
            self._join(bridge.members[0], channel)

    def _join(self, one: AsteriskChannel, other: AsteriskChannel) -> None:
        """Put a second channel into the bridge of the first."""
        bridge = one.bridge or AsteriskBridge([one])
        one.bridge = other.bridge = bridge
        bridge.members.append(other)
        bridge.is_new = bridge.is_young = True
        self._after(NEW_S, bridge.grow_old)
        self._after(SETTLES_S, bridge.settle)
        self._report(LegsJoined(first=one.id, second=other.id))
        self._after(TELLS_S, partial(self._update_displays, bridge, one, other))
        self._hear(one)
        self._hear(other)

    def _update_displays(
        self, bridge: AsteriskBridge, one: AsteriskChannel, other: AsteriskChannel
    ) -> None:
        """Update the displays of two phones, each by its channel's own thread."""
        if one.bridge is bridge is other.bridge:
            self._introduce(one, other)

    def _is_torn(self, channel: AsteriskChannel) -> bool:
        """Whether a leg that is sent somewhere ends instead."""
        bridge = channel.bridge
        if bridge is None or not bridge.is_new or channel is not bridge.members[0]:
            return False
        return self._random() < TORN

    def _leave(self, channel: AsteriskChannel, cause: str = "") -> None:
        """Take a channel out of its application and bridge; `cause`: it hangs up."""
        if channel.app is App.STASIS:
            self._silence(channel)
            channel.app = App.NONE
            self._left_the_park(channel)
        self._end_part(channel)
        self._end_music(channel)
        self._give_up_call(channel, cause)
        channel.app = App.NONE
        entering, channel.entering = channel.entering, None
        bridge = entering or channel.bridge
        if bridge is None:
            return
        members = tuple(bridge.members)
        channel.bridge = None
        if channel in bridge.members:
            bridge.members.remove(channel)
            if len(members) > 1:
                self._report(LegsSeparated(first=members[0].id, second=members[1].id))
        bridge.over = True
        for other in tuple(bridge.members):
            self._after(self.span(TO_DISSOLVE_S), partial(self._dissolve, other, bridge))

    def _dissolve(self, channel: AsteriskChannel, bridge: AsteriskBridge) -> None:
        """Take the last channel out of a bridge."""
        if channel.bridge is not bridge:
            return
        bridge.members.remove(channel)
        channel.bridge = None
        if channel.leaving is Leaving.GOES_TO:  # it was taken into the bridge
            channel.cause_of_partner = bridge.cause
        channel.app = App.NONE
        self._hear(channel)
        if not channel.is_sent:
            self._left_alone(channel, channel.moves)

    def _left_alone(self, channel: AsteriskChannel, moves: int) -> None:
        if channel.cause or channel.moves != moves:
            return
        channel.variables[BRIDGE_RESULT] = "SUCCESS"
        match channel.leaving:
            case Leaving.GOES_ON:
                self._go_on(channel)
            case Leaving.GOES_TO if channel.after is not None:
                channel.place = channel.after
                self._go_on(channel)
            case _:
                self._end(channel, CLEARING)

    # ---- implemented by `dialplan` and `switch`

    @abstractmethod
    def _go_on(self, channel: AsteriskChannel) -> None:
        """Run a channel's thread until an application keeps it."""

    @abstractmethod
    def _end(self, channel: AsteriskChannel, cause: str) -> None:
        """Hang up."""

    @abstractmethod
    def _give_up_call(self, channel: AsteriskChannel, cause: str) -> None:
        """Handle a channel that stops calling: it has hung up, or went elsewhere."""

    @abstractmethod
    def _left_the_park(self, channel: AsteriskChannel) -> None:
        """Handle a channel that has left Stasis."""

    @abstractmethod
    def _introduce(self, one: AsteriskChannel, other: AsteriskChannel) -> None:
        """Update the displays of two phones."""
