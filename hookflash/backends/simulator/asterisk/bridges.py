"""How legs are joined, and what becomes of them when one leaves.

A bridge reports its members one by one, the second leg first: it is taken from wherever it is,
then the one that runs `Bridge()` enters. When one of two leaves, the other leaves as well, within 2
ms, and does what its own place says: it goes on, or where `Bridge(…,F(…))` has said; a leg that was
called by `Dial()` ends. Nothing of that needs a controller.

**Who was taken into a bridge and is sent out of it at once** may end: the thread that carried it in
still holds it (measured: 1 of 100 at 4 ms).

**Two who are joined can't be joined once more**: the first leaves, the other leaves as well, and as
a rule does what it does then, before the first looks for it (measured: in 35 of 48). It is found in
the park, or has ended; or it is just about to leave, and then it can't be taken (13 of 48).
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
"""From one leg's leaving a bridge to the other's."""
TO_GO_ON_S = (0.0003, 0.0014)
"""From a leg's leaving a bridge to what it does next."""
TAKEN_LEAVING = 0.15
"""How often a leg is taken that is about to leave a bridge (measured: 8 of 57)."""
MISSED_SENT = 0.5
"""How often a leg can't be taken that was sent somewhere a moment before (a guess)."""
TAKEN_LATER = 0.7
"""How often it has then done what it was to do afterwards."""
NEW_S = 0.006
"""How long a leg that was taken into a bridge can hardly be sent out of it: …"""
TORN = 0.03
"""… so often it ends (measured: 1 of 100 at 4 ms, none at 3 and at 5)."""
TELLS_S = 0.002
"""How long after a bridge is up both phones are updated; what was ordered before is undone."""
BRIDGE_RESULT = "BRIDGERESULT"
CLEARING = "NORMAL_CLEARING"


class AsteriskBridges(AsteriskHearing, ABC):
    """The switch, as far as legs are joined."""

    def _named(self, beginning: str) -> AsteriskChannel | None:
        """The channel whose name begins so: the first of them."""
        if not beginning:
            return None
        return next((c for c in self._channels.values() if c.name.startswith(beginning)), None)

    def bridge(self, first: AsteriskChannel, peer: str, after: DialplanPlace | None) -> bool:
        """`Bridge(PEER,F(…))`: take a channel, and be joined with it.

        Returns:
            False, if there is nobody to be joined with: the channel goes on.
        """
        second = self._named(peer)
        if second is None or second is first or not second.answered:
            first.variables[BRIDGE_RESULT] = "NONEXISTENT"
            return False
        if second.is_sent and self._random() < MISSED_SENT:
            first.variables[BRIDGE_RESULT] = "FAILURE"
            return False
        if second.bridge is not None and second.bridge.over:
            # it leaves at this moment, and goes where it is to go afterwards
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
        if second.bridge is None:  # it is taken off its thread, and leaves its time limit behind
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
        if not bridge.members:  # it has left already
            self._left_alone(channel, channel.moves)
        else:
            self._join(bridge.members[0], channel)

    def _join(self, one: AsteriskChannel, other: AsteriskChannel) -> None:
        """Two are in one bridge: the one was there before."""
        bridge = one.bridge or AsteriskBridge([one])
        one.bridge = other.bridge = bridge
        bridge.members.append(other)
        bridge.is_new = bridge.is_young = True
        self._after(NEW_S, bridge.grow_old)
        self._after(SETTLES_S, bridge.settle)
        self._report(LegsJoined(first=one.id, second=other.id))
        self._after(TELLS_S, partial(self._tell_phones, bridge, one, other))
        self._hear(one)
        self._hear(other)

    def _tell_phones(
        self, bridge: AsteriskBridge, one: AsteriskChannel, other: AsteriskChannel
    ) -> None:
        """The threads of two channels let their phones show whom they talk with."""
        if one.bridge is bridge is other.bridge:
            self._introduce(one, other)

    def _is_torn(self, channel: AsteriskChannel) -> bool:
        """Whether a leg that is sent somewhere ends instead."""
        bridge = channel.bridge
        if bridge is None or not bridge.is_new or channel is not bridge.members[0]:
            return False
        return self._random() < TORN

    def _leave(self, channel: AsteriskChannel, cause: str = "") -> None:
        """Take a channel out of its application and its bridge; `cause`: it hangs up."""
        if channel.app is App.STASIS:
            self._silence(channel)
            channel.app = App.NONE
            self._left_the_park(channel)
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
        """The last one in a bridge leaves it."""
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

    # ---- what `dialplan` and `switch` do

    @abstractmethod
    def _go_on(self, channel: AsteriskChannel) -> None:
        """Let a channel's thread go on until an application keeps it."""

    @abstractmethod
    def _end(self, channel: AsteriskChannel, cause: str) -> None:
        """Hang up."""

    @abstractmethod
    def _give_up_call(self, channel: AsteriskChannel, cause: str) -> None:
        """A channel stops calling: it has hung up, or went elsewhere."""

    @abstractmethod
    def _left_the_park(self, channel: AsteriskChannel) -> None:
        """A channel has left Stasis."""

    @abstractmethod
    def _introduce(self, one: AsteriskChannel, other: AsteriskChannel) -> None:
        """Let the phones of two show whom they talk with."""
