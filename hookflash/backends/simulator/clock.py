"""Keeps a world in step with trio's clock.

The world itself does not know trio. `WorldClock.run` lets it catch up, and sleeps until its next
event is due; under trio's `MockClock` with autojump that takes no time.
"""

from __future__ import annotations

import math
from typing import Final

import trio

from hookflash.backends.simulator.world import World

_ROUNDING_S: Final = 1e-6
"""By how much two clocks may differ because of floating-point sums."""


class WorldClock:
    """Keeps one world in step with the clock, from its creation on."""

    def __init__(self, world: World) -> None:
        """Align the world's time with the clock."""
        self._world = world
        self._began_s = trio.current_time() - world.now_s
        self._nudged = trio.Event()
        self._stopped = False

    def catch_up(self) -> None:
        """Run everything that is due. Call it before acting on the world."""
        world = self._world
        now_s = max(world.now_s, trio.current_time() - self._began_s)
        due_s = world.next_s
        if due_s is not None and 0 < due_s - now_s < _ROUNDING_S:
            now_s = due_s  # the clock woke us for it: sums of floats fall a little short
        world.run(until_s=now_s)

    def nudge(self) -> None:
        """Look again: something new may be due. Call it after acting on the world."""
        self._nudged.set()

    def stop(self) -> None:
        """Stop: `run` returns."""
        self._stopped = True
        self.nudge()

    async def run(self) -> None:
        """Keep the world in step with the clock, until it is stopped or cancelled."""
        while not self._stopped:
            self._nudged = trio.Event()
            self.catch_up()
            due_s = self._world.next_s
            wakes = math.inf if due_s is None else self._began_s + due_s
            with trio.move_on_at(wakes):
                await self._nudged.wait()
