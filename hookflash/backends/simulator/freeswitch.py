"""The simulated FreeSWITCH, with the interface that a world needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from hookflash.backends.freeswitch.primitives import CHANGED, OURS, PICK_UP
from hookflash.backends.freeswitch.procedures import Dialling, role_on
from hookflash.backends.simulator.channel import (
    ChannelPlace,
    Extension,
    SimulatedChannel,
)
from hookflash.backends.simulator.executor import Executor
from hookflash.backends.simulator.surroundings import Surroundings
from hookflash.backends.simulator.switch import Switch
from hookflash.commands import SwitchCommand
from hookflash.events import Direction, LegId, LegSnapshot

_MARK = "hookflash_transfer"
_SET_ON_A_FAR_HALF = "hangup_after_bridge"


class FreeSwitchPbx:
    """A `SimulatedPbx` that imitates FreeSWITCH."""

    def __init__(self, around: Surroundings, dialling: Dialling) -> None:
        """Set up a switch without calls."""
        self.switch = Switch(around)
        self.perform: Callable[[SwitchCommand], None] = Executor(
            self.switch, around.tell, around.look, dialling=dialling, file_s=around.file_s
        ).perform
        switch = self.switch
        self.ring, self.answer = switch.ring, switch.answer
        self.refuse, self.hang_up, self.press = switch.refuse, switch.hang_up, switch.press
        self.phone_of, self.shown = switch.phone_of, switch.shown
        self.create_call, self.call_slot = switch.create_call, switch.call_slot

    @property
    def name_leg(self) -> Callable[[], LegId]:
        """Generates ids for legs without a given one."""
        return self.switch.name_leg

    @name_leg.setter
    def name_leg(self, name: Callable[[], LegId]) -> None:
        self.switch.name_leg = name

    def connect(self) -> None:
        """Do nothing: FreeSWITCH does not depend on a controller."""

    def disconnect(self) -> None:
        """Do nothing: FreeSWITCH does not depend on a controller."""

    def snapshots(self, is_outside: Callable[[str], bool]) -> tuple[LegSnapshot, ...]:
        """List every channel, oldest first, as a query of a FreeSWITCH shows them.

        Two are a pair if both live and each names the other as its bridge partner.
        """
        return tuple(self.seen(channel, is_outside) for channel in self.switch.channels())

    @staticmethod
    def seen(channel: SimulatedChannel, is_outside: Callable[[str], bool]) -> LegSnapshot:
        """What a query shows of a channel."""
        # a channel that was ordered elsewhere is nowhere, even before it moves
        stands = channel.errand is None
        peer = channel.peer if stands else None
        other_half = channel.variables.get("other_loopback_leg_uuid", "")
        # a leg that takes part in a conversation is as good as parked
        held = channel.place is ChannelPlace.PARKED or channel.takes_part
        away = channel.place is ChannelPlace.ELSEWHERE and not channel.takes_part
        return LegSnapshot(
            leg=channel.id,
            number=channel.number,
            direction=channel.direction,
            account=channel.account,
            owner_id=channel.owner_id,
            outside=not other_half and is_outside(channel.number),
            answered=channel.answered,
            parked=stands and held,
            elsewhere=stands and away,
            peer=None if peer is None or peer.cause else peer.id,
            hears=None if channel.playing is None else channel.playing.sound,
            transfer=channel.variables.get(_MARK, ""),
            role=role_on(channel.id, channel.variables.get("hookflash_role", "")),
            kind=channel.variables.get("hookflash_kind", ""),
            other_half=other_half,
            called_for=channel.called_for,
            pick_up=channel.variables.get(PICK_UP, "") if stands and held else "",
        )

    def legs(self) -> Iterable[LegId]:
        """List the living legs, oldest first."""
        return [channel.id for channel in self.switch.channels()]

    def _variables(self, leg: LegId) -> Mapping[str, str]:
        channel = self.switch.find(leg)
        return {} if channel is None else channel.variables

    def transfer_of(self, leg: LegId) -> str:
        """The transfer in a leg's mark."""
        return self._variables(leg).get(_MARK, "")

    def added(self, leg: LegId) -> frozenset[str]:
        """The variables on a leg that only a transfer sets."""
        return frozenset(OURS).intersection(self._variables(leg))

    def changeable(self, leg: LegId) -> Mapping[str, str]:
        """The current values of the variables that a transfer changes on a leg."""
        channel = self.switch.find(leg)
        if channel is None:
            return {}
        variables = channel.variables
        said = {name: variables[name] for name in CHANGED if name in variables}
        if channel.half is not None and channel.direction is Direction.INBOUND:
            ends = said.pop(_SET_ON_A_FAR_HALF, "false")
            said |= {} if ends == "true" else {_SET_ON_A_FAR_HALF: ends}
        return said

    def is_half(self, leg: LegId) -> bool:
        """Whether a leg is half of a loopback pair."""
        channel = self.switch.find(leg)
        return channel is not None and channel.half is not None

    def move(self, leg: LegId, how: Extension, *, both: bool = False) -> None:
        """`uuid_transfer`."""
        self.switch.transfer(leg, how, both=both)

    def park(self, leg: LegId) -> None:
        """`uuid_park`: another program parks a leg where it is."""
        self.switch.park_in_place(leg)
