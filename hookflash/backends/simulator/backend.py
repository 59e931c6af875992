"""The simulator as a backend: a world that keeps time with trio's clock.

The world itself knows no trio. Here a task lets it catch up with the clock, and sleeps until the
next thing in it is due; under trio's `MockClock` with autojump that takes no time at all.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import trio

from hookflash.backends.base import LegSnapshot, tell
from hookflash.backends.simulator.faults import Faults
from hookflash.backends.simulator.world import World
from hookflash.commands import SwitchCommand
from hookflash.errors import BackendClosed
from hookflash.events import CallEvent, LegId, SwitchFound

_ROUNDING_S = 1e-6
"""By how much two clocks that count in floats may disagree."""


class SimulatedBackend:
    """A `Backend` on a simulated switch, with the people's side of it at hand.

    What people do is done to `world` (`world.hang_up(leg)`, `world.press(leg, "*1")`, …); call
    `nudge` afterwards, so that the task that sleeps until the next happening looks again.
    """

    def __init__(self, world: World) -> None:
        """Take over a world: its events come out of `events` from now on."""
        self.world = world
        self._began_s = trio.current_time() - world.now_s
        self._send, self._receive = trio.open_memory_channel[CallEvent](math.inf)
        self._nudged = trio.Event()
        self._closed = False
        for event in tell(world.snapshot()):
            self._send.send_nowait(event)
        self._send.send_nowait(SwitchFound())
        world.on_event = self._send.send_nowait

    async def events(self) -> AsyncIterator[CallEvent]:
        """What happens in the world."""
        async for event in self._receive:
            yield event

    async def perform(self, command: SwitchCommand) -> None:
        """Send a command on its way."""
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise BackendClosed("the simulator is closed")
        self._catch_up()
        self.world.perform(command)
        self.nudge()

    async def snapshot(self) -> tuple[LegSnapshot, ...]:
        """List every leg that lives."""
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise BackendClosed("the simulator is closed")
        return self.world.snapshot()

    async def call(self, caller: str, callee: str) -> tuple[LegId, LegId]:
        """Have one number call another, and wait until they talk."""
        self._catch_up()
        legs = self.world.call(caller, callee)
        self.nudge()
        while not self._talk(*legs):  # noqa: ASYNC110 - a world has no events for onlookers
            await trio.sleep(0.02)
        return legs

    def _talk(self, one: LegId, other: LegId) -> bool:
        return any(leg.leg == one and leg.peer == other for leg in self.world.snapshot())

    def nudge(self) -> None:
        """Look again: something new may be due."""
        self._nudged.set()

    def close(self) -> None:
        """End the world. Its events end, and commands raise `BackendClosed`."""
        self._closed = True
        self._send.close()
        self.nudge()

    async def run(self) -> None:
        """Keep the world up with the clock, until it is closed. For `open_simulator`."""
        while not self._closed:
            self._nudged = trio.Event()
            self._catch_up()
            due_s = self.world.next_s
            wakes = math.inf if due_s is None else self._began_s + due_s
            with trio.move_on_at(wakes):
                await self._nudged.wait()

    def _catch_up(self) -> None:
        now_s = max(self.world.now_s, trio.current_time() - self._began_s)
        due_s = self.world.next_s
        if due_s is not None and 0 < due_s - now_s < _ROUNDING_S:
            now_s = due_s  # we were woken for it: sums of floats fall a little short
        self.world.run(until_s=now_s)


@asynccontextmanager
async def open_simulator(
    *, seed: int = 0, faults: Faults | None = None, world: World | None = None
) -> AsyncGenerator[SimulatedBackend]:
    """Open a simulated switch.

    Args:
        seed: fixes what chance decides.
        faults: what goes wrong between the switch and its controller.
        world: a world that is there already, in place of a new one.

    Yields:
        The backend; its world goes on until the block is left.
    """
    backend = SimulatedBackend(world or World(seed=seed, faults=faults))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(backend.run)
        try:
            yield backend
        finally:
            backend.close()
            nursery.cancel_scope.cancel()
