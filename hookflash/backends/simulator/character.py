"""The character of a simulated switch, and the interface that a world needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Protocol

from hookflash.backends.simulator.channel import Extension
from hookflash.commands import SwitchCommand
from hookflash.events import LegId, LegSnapshot


class Character(StrEnum):
    """The switch to imitate."""

    FREESWITCH = "freeswitch"
    ASTERISK = "asterisk"


class Telephones(Protocol):
    """What a phone reports to the switch that calls it."""

    def ring(self, leg: LegId, *, early_media: bool = False) -> None:
        """It rings (180), or sends early media (183)."""
        ...

    def answer(self, leg: LegId) -> None:
        """Its owner picks up."""
        ...

    def refuse(self, leg: LegId, cause: str) -> None:
        """It declines the call."""
        ...

    def hang_up(self, leg: LegId) -> None:
        """Its owner hangs up."""
        ...


class SimulatedPbx(Telephones, Protocol):
    """A simulated switch of any character, which executes commands."""

    @property
    def name_leg(self) -> Callable[[], LegId]:
        """Generates ids for legs without a given one."""
        ...

    @name_leg.setter
    def name_leg(self, name: Callable[[], LegId]) -> None: ...

    def perform(self, command: SwitchCommand, /) -> None:
        """Execute a command. Its effects are reported."""
        ...

    def connect(self) -> None:
        """Connect a controller, the first or a new one."""
        ...

    def disconnect(self) -> None:
        """Disconnect the controller."""
        ...

    # ---- what is seen

    def snapshots(self, is_outside: Callable[[str], bool]) -> tuple[LegSnapshot, ...]:
        """List every channel, oldest first.

        Args:
            is_outside: returns whether a number is reached over a trunk.
        """
        ...

    def phone_of(self, leg: LegId) -> LegId:
        """Find the leg of the phone at the end of a leg."""
        ...

    def shown(self, leg: LegId) -> tuple[str, ...]:
        """The numbers that a leg's phone has shown, in order."""
        ...

    def legs(self) -> Iterable[LegId]:
        """List the living legs, oldest first."""
        ...

    def transfer_of(self, leg: LegId) -> str:
        """The transfer in a leg's mark; empty: no mark, or no such leg."""
        ...

    def added(self, leg: LegId) -> frozenset[str]:
        """The variables on a leg that only a transfer sets."""
        ...

    def changeable(self, leg: LegId) -> Mapping[str, str]:
        """The current values of the variables that a transfer changes on a leg.

        Without those that the dialplan itself sets on half of a call to itself.
        """
        ...

    def is_half(self, leg: LegId) -> bool:
        """Whether a leg is half of a call that the switch places to itself."""
        ...

    # ---- what people and other programs do

    def create_call(
        self,
        caller: str,
        callee: str,
        *,
        account: str = "",
        callee_account: str | None = None,
        through_loopback: bool = False,
        owner_id: str = "",
    ) -> tuple[LegId, LegId]:
        """Take a call and pass it on. Return the caller's leg and the callee's."""
        ...

    def call_slot(self, caller: str, slot: str, *, account: str = "", owner_id: str = "") -> LegId:
        """Take a call for the number of a slot. Return the caller's leg."""
        ...

    def press(self, leg: LegId, digit: str) -> None:
        """Let a party press a key."""
        ...

    def move(self, leg: LegId, how: Extension, *, both: bool = False) -> None:
        """Let another program send a leg somewhere; `both`: with its partner."""
        ...

    def park(self, leg: LegId) -> None:
        """Let another program park a leg."""
        ...
