"""The simulator as a backend: a world that keeps time with trio's clock.

`clock` keeps its time; here its two doors are made into those of a `Backend`.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import trio

from hookflash.backends.base import LegSnapshot, tell
from hookflash.backends.simulator.clock import WorldClock
from hookflash.backends.simulator.faults import Faults
from hookflash.backends.simulator.world import World
from hookflash.commands import SwitchCommand
from hookflash.errors import BackendClosed
from hookflash.events import CallEvent, LegId, LegsJoined, SwitchFound

_NEWS_TAKES_S = 0.2
"""For how long to wait until the controller knows of a call; the event itself takes 20 ms."""


class SimulatedBackend:
    """A `Backend` on a simulated switch, with the people's side of it at hand.

    What people do is done to `world` (`world.hang_up(leg)`, `world.press(leg, "*1")`, …); call
    `nudge` afterwards, so that the task that sleeps until the next happening looks again.
    """

    def __init__(self, world: World) -> None:
        """Take over a world: its events come out of `events` from now on."""
        self.world = world
        self._clock = WorldClock(world)
        self._send, self._receive = trio.open_memory_channel[CallEvent](math.inf)
        self._closed = False
        for event in tell(world.snapshot()):
            self._send.send_nowait(event)
        self._send.send_nowait(SwitchFound())
        self._told_joined: set[frozenset[LegId]] = set()
        world.on_event = self._hear

    def events(self) -> AsyncIterator[CallEvent]:
        """What happens in the world."""
        return self._receive

    async def perform(self, command: SwitchCommand) -> None:
        """Send a command on its way."""
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise BackendClosed("the simulator is closed")
        self._clock.catch_up()
        self.world.perform(command)
        self.nudge()

    async def snapshot(self) -> tuple[LegSnapshot, ...]:
        """List every leg that lives."""
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise BackendClosed("the simulator is closed")
        return self.world.snapshot()

    async def call(
        self, caller: str, callee: str, *, account: str = "", callee_account: str | None = None
    ) -> tuple[LegId, LegId]:
        """Have one number call another, and wait until they talk (see `World.call`)."""
        self._clock.catch_up()
        legs = self.world.call(caller, callee, account=account, callee_account=callee_account)
        self.nudge()
        while not self._talk(*legs):  # noqa: ASYNC110 - a world has no events for onlookers
            await trio.sleep(0.02)
        with trio.move_on_after(_NEWS_TAKES_S):  # an event may be lost, and nobody need listen
            while not self._is_known(*legs):  # noqa: ASYNC110 - as above
                await trio.sleep(0.02)
        return legs

    def _is_known(self, one: LegId, other: LegId) -> bool:
        """Whether the controller has taken the event that the two talk: it comes a little later."""
        told = frozenset((one, other)) in self._told_joined
        return told and not self._receive.statistics().current_buffer_used

    def _hear(self, event: CallEvent) -> None:
        if isinstance(event, LegsJoined):
            self._told_joined.add(frozenset((event.first, event.second)))
        self._send.send_nowait(event)

    def _talk(self, one: LegId, other: LegId) -> bool:
        return any(leg.leg == one and leg.peer == other for leg in self.world.snapshot())

    def nudge(self) -> None:
        """Look again: something new may be due."""
        self._clock.nudge()

    def close(self) -> None:
        """End the world. Its events end, and commands raise `BackendClosed`."""
        self._closed = True
        self._send.close()
        self._clock.stop()

    async def run(self) -> None:
        """Keep the world up with the clock, until it is closed. For `open_simulator`."""
        await self._clock.run()


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
