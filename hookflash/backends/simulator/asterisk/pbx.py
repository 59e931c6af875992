"""The simulated Asterisk, with the interface that a world needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from hookflash.backends.asterisk.primitives import OURS, SHOW_BY, TIMEOUT, TRANSFER
from hookflash.backends.asterisk.procedures import AsteriskDialling
from hookflash.backends.simulator.asterisk.executor import AsteriskExecutor
from hookflash.backends.simulator.asterisk.seen import snapshot
from hookflash.backends.simulator.asterisk.switch import SimulatedAsterisk
from hookflash.backends.simulator.channel import ToPark
from hookflash.backends.simulator.surroundings import Surroundings
from hookflash.commands import SwitchCommand
from hookflash.events import LegId, LegSnapshot

DIRECT = AsteriskDialling(template="PJSIP/{number}")
"""Targets are one leg each. By default they are called through the dialplan: three legs each."""


class AsteriskPbx:
    """A `SimulatedPbx` that imitates Asterisk."""

    def __init__(self, around: Surroundings, dialling: AsteriskDialling) -> None:
        """Set up a switch without calls."""
        self.switch = SimulatedAsterisk(around)
        self.executor = AsteriskExecutor(
            self.switch,
            around.tell,
            around.look,
            around.after,
            dialling=dialling,
            file_s=around.file_s,
        )
        self.perform: Callable[[SwitchCommand], None] = self.executor.perform
        switch = self.switch
        self.ring, self.answer = switch.ring, switch.answer
        self.refuse, self.hang_up, self.press = switch.refuse, switch.hang_up, switch.press
        self.phone_of, self.shown = switch.phone_of, switch.shown
        self.create_call, self.move = switch.create_call, switch.transfer
        self.call_slot = switch.call_slot

    @property
    def name_leg(self) -> Callable[[], LegId]:
        """Generates ids for legs without a given one."""
        return self.switch.name_leg

    @name_leg.setter
    def name_leg(self, name: Callable[[], LegId]) -> None:
        self.switch.name_leg = name

    def connect(self) -> None:
        """Connect a controller: it gets the legs that wait for one."""
        self.executor.begin()
        self.switch.connect()

    def disconnect(self) -> None:
        """Disconnect the controller: its unsent orders are lost."""
        self.executor.end()
        self.switch.disconnect()

    def snapshots(self, is_outside: Callable[[str], bool]) -> tuple[LegSnapshot, ...]:
        """List every channel, oldest first."""
        return tuple(
            snapshot(one, outside=one.half is None and is_outside(one.number))
            for one in self.switch.channels()
        )

    def legs(self) -> Iterable[LegId]:
        """List the living legs, oldest first."""
        return [channel.id for channel in self.switch.channels()]

    def _variables(self, leg: LegId) -> Mapping[str, str]:
        channel = self.switch.find(leg)
        return {} if channel is None else channel.variables

    def transfer_of(self, leg: LegId) -> str:
        """The transfer in a leg's mark."""
        return self._variables(leg).get(TRANSFER, "")

    def added(self, leg: LegId) -> frozenset[str]:
        """The variables on a leg that only a transfer sets."""
        return frozenset((*OURS, SHOW_BY)).intersection(self._variables(leg))

    def changeable(self, leg: LegId) -> Mapping[str, str]:
        """The value that a transfer changes on a leg: only its time limit."""
        channel = self.switch.find(leg)
        if channel is None or channel.ends_s is None:
            return {}
        return {TIMEOUT: f"until {channel.ends_s:.1f} s"}

    def is_half(self, leg: LegId) -> bool:
        """Whether a leg is half of a call through the dialplan."""
        channel = self.switch.find(leg)
        return channel is not None and channel.half is not None

    def park(self, leg: LegId) -> None:
        """Let another program park a leg, in a context of its own."""
        self.switch.transfer(leg, ToPark())
