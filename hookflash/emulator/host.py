"""The base of an emulated FreeSWITCH: a simulated world, a time of day, and ids."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from hookflash.backends.simulator.world import World

HOSTNAME: Final = "emulator"

_DICE_SALT: Final = 0x5EED


class Host:
    """The world of one emulator, its clock and its ids."""

    def __init__(self, world: World, *, seed: int, epoch_s: float) -> None:
        """Set up the clock and the ids; the same seed gives the same ids.

        Args:
            world: the world with the calls.
            seed: of the generated ids.
            epoch_s: the time of day when the world's clock is at 0, in seconds since 1970.
        """
        self.world = world
        self.before: Callable[[], None] = _nothing
        """Called before every action: the world's clock may have to catch up."""
        self.afterwards: Callable[[], None] = _nothing
        """Called after every action: something new may be due."""
        self.dice = Random(seed ^ _DICE_SALT)  # noqa: S311 - repeatable, not secret
        self._epoch_us = round(epoch_s * 1_000_000)
        self.core_uuid = self.make_id()

    def now_us(self) -> int:
        """The time of day, in microseconds since 1970."""
        return self._epoch_us + round(self.world.now_s * 1_000_000)

    def make_id(self) -> str:
        """Generate a UUID (RFC 9562, version 4), the same for the same seed."""
        bits = self.dice.getrandbits(128) & ~(0xF << 76) | (0x4 << 76)
        text = f"{bits & ~(0x3 << 62) | (0x2 << 62):032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _nothing() -> None:
    return
