"""The phones that can be called: each is set up when its number is dialled for the first time."""

from __future__ import annotations

from collections.abc import Callable

from hookflash.backends.simulator.people import Behaviour, Unreachable
from hookflash.backends.simulator.world import World


class PhoneBook:
    """The numbers of one emulator, and the phones behind them."""

    def __init__(self, world: World, plan: Callable[[str], Behaviour | None]) -> None:
        """Begin with the phones that the world has.

        Args:
            world: holds the phones.
            plan: the behaviour of a number's phone; None: there is no such number.
        """
        self._world = world
        self._plan = plan
        self._unassigned: set[str] = set()

    def add(self, number: str) -> None:
        """Add a number's phone, if it is missing and the plan has one."""
        if number in self._world.parties:
            return
        behaviour = self._plan(number)
        if behaviour is None:
            self._unassigned.add(number)
            behaviour = Unreachable(cause="NO_ROUTE_DESTINATION")
        self._world.add_phone(number, behaviour)

    def has(self, number: str) -> bool:
        """Whether a number has a phone."""
        self.add(number)
        return number not in self._unassigned
