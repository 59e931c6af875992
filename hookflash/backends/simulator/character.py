"""Whose habits a simulated switch has, and what a world needs of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Protocol

from hookflash.backends.simulator.channel import Extension
from hookflash.commands import SwitchCommand
from hookflash.events import LegId, LegSnapshot


class Character(StrEnum):
    """Whose habits a simulated switch has."""

    FREESWITCH = "freeswitch"
    ASTERISK = "asterisk"


class Telephones(Protocol):
    """What a phone says to the switch that calls it."""

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
    """A simulated switch of any character, and its way of carrying out commands."""

    @property
    def name_leg(self) -> Callable[[], LegId]:
        """Gives the legs that nobody names their names."""
        ...

    @name_leg.setter
    def name_leg(self, name: Callable[[], LegId]) -> None: ...

    def perform(self, command: SwitchCommand, /) -> None:
        """Carry out a command. Whatever comes of it is reported."""
        ...

    def connect(self) -> None:
        """A controller connects: a new one, or the first."""
        ...

    def disconnect(self) -> None:
        """The controller is gone."""
        ...

    # ---- what is seen

    def snapshots(self, is_outside: Callable[[str], bool]) -> tuple[LegSnapshot, ...]:
        """List every channel, oldest first.

        Args:
            is_outside: whether a number is reached over a trunk.
        """
        ...

    def phone_of(self, leg: LegId) -> LegId:
        """Find the leg at whose end a phone is."""
        ...

    def shown(self, leg: LegId) -> tuple[str, ...]:
        """The numbers that a leg's phone has ever shown, in order."""
        ...

    def legs(self) -> Iterable[LegId]:
        """List the living legs, oldest first."""
        ...

    def transfer_of(self, leg: LegId) -> str:
        """The transfer that a leg is marked with; empty: none, or there is no such leg."""
        ...

    def added(self, leg: LegId) -> frozenset[str]:
        """The variables on a leg that only a transfer adds."""
        ...

    def changeable(self, leg: LegId) -> Mapping[str, str]:
        """The variables of a leg that a transfer changes, as they are.

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
    ) -> tuple[LegId, LegId]:
        """Take a call and pass it on. The caller's leg and the callee's."""
        ...

    def press(self, leg: LegId, digit: str) -> None:
        """A party presses a key."""
        ...

    def move(self, leg: LegId, how: Extension, *, both: bool = False) -> None:
        """Another program sends a leg somewhere; `both`: and its partner."""
        ...

    def park(self, leg: LegId) -> None:
        """Another program parks a leg."""
        ...
