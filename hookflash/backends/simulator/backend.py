"""The simulator as a backend: a world in step with trio's clock.

`clock` keeps the time; this module gives the world the interface of a `Backend`.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import trio

from hookflash import events as e
from hookflash.backends.base import LOST_TRACK, Capabilities, LegSnapshot, facts_about
from hookflash.backends.simulator.clock import WorldClock
from hookflash.backends.simulator.faults import Faults
from hookflash.backends.simulator.world import World
from hookflash.commands import SwitchCommand
from hookflash.errors import BackendClosed

_NEWS_TAKES_S = 0.2
"""How long to wait until the controller has received a call; the event itself takes 20 ms."""

_CUT_S = 0.5
"""How long a broken connection stays down."""


class SimulatedBackend:
    """A `Backend` on a simulated switch, with the people on it.

    People act through `world` (`world.hang_up(leg)`, `world.press(leg, "*1")`, …). Call `nudge`
    afterwards, so that the task that sleeps until the next event looks again.
    """

    def __init__(self, world: World) -> None:
        """Use a world: `events` yields its events from now on."""
        self.world = world
        self._clock = WorldClock(world)
        self._send, self._receive = trio.open_memory_channel[e.CallEvent](math.inf)
        self._closed = False
        self._is_cut = False
        self._living: set[e.LegId] = set()
        self._reported_joins: set[frozenset[e.LegId]] = set()
        self._report_all()
        world.on_event = self._hear

    @property
    def capabilities(self) -> Capabilities:
        """All capabilities."""
        return Capabilities()

    def events(self) -> AsyncIterator[e.CallEvent]:
        """Yield the events of the world."""
        return self._receive

    async def perform(self, command: SwitchCommand) -> None:
        """Send a command."""
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise BackendClosed("the simulator is closed")
        if self._is_cut:
            return
        self._clock.catch_up()
        self.world.perform(command)
        self.nudge()

    async def snapshot(self) -> tuple[LegSnapshot, ...]:
        """List every living leg."""
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise BackendClosed("the simulator is closed")
        if self._is_cut:
            raise BackendClosed("the line is cut")
        return self.world.snapshot()

    def cut_line(self, for_s: float = _CUT_S) -> None:
        """Cut the connection to the switch, as a network failure would.

        Meanwhile events and commands are lost. Then all living legs are reported again.
        """
        if self._is_cut:
            return
        self._clock.catch_up()
        self._is_cut = True
        self._send.send_nowait(e.SwitchLost(reason="the line is cut"))
        self.world.after(for_s, self._come_back)
        self.nudge()

    def _come_back(self) -> None:
        if self._closed:
            return
        self.world.begin_anew()
        self._is_cut = False
        self._report_all()

    def _report_all(self) -> None:
        """Report the end of known legs that are gone, and all facts about the living legs."""
        living = self.world.snapshot()
        for leg in sorted(self._living - {leg.leg for leg in living}):
            self._hear(e.LegHungUp(leg=leg, cause=LOST_TRACK))
        for event in facts_about(living):
            self._hear(event)
        self._hear(e.SwitchFound())

    async def call(
        self, caller: str, callee: str, *, account: str = "", callee_account: str | None = None
    ) -> tuple[e.LegId, e.LegId]:
        """Let one number call another, and wait until they talk (see `World.call`)."""
        self._clock.catch_up()
        legs = self.world.call(caller, callee, account=account, callee_account=callee_account)
        self.nudge()
        while not self._talk(*legs):  # noqa: ASYNC110 - a world has no notification for observers
            await trio.sleep(0.02)
        with trio.move_on_after(_NEWS_TAKES_S):  # the event may be lost, or have no listener
            while not self._is_known(*legs):  # noqa: ASYNC110 - as above
                await trio.sleep(0.02)
        return legs

    def _is_known(self, one: e.LegId, other: e.LegId) -> bool:
        """Whether the controller has received the event that the two talk."""
        is_reported = frozenset((one, other)) in self._reported_joins
        return is_reported and not self._receive.statistics().current_buffer_used

    def _hear(self, event: e.CallEvent) -> None:
        if self._is_cut:
            return
        match event:
            case e.LegsJoined(first=first, second=second):
                self._reported_joins.add(frozenset((first, second)))
            case e.LegCreated(leg=leg):
                self._living.add(leg)
            case e.LegHungUp(leg=leg):
                self._living.discard(leg)
            case _:
                pass
        self._send.send_nowait(event)

    def _talk(self, one: e.LegId, other: e.LegId) -> bool:
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
        """Keep the world in step with the clock until it is closed. For `open_simulator`."""
        await self._clock.run()


@asynccontextmanager
async def open_simulator(
    *, seed: int = 0, faults: Faults | None = None, world: World | None = None
) -> AsyncGenerator[SimulatedBackend]:
    """Open a simulated switch.

    Args:
        seed: the seed of the random numbers.
        faults: injected faults between the switch and its controller.
        world: an existing world, instead of a new one.

    Yields:
        The backend; its world runs until the block is left.
    """
    backend = SimulatedBackend(world or World(seed=seed, faults=faults))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(backend.run)
        try:
            yield backend
        finally:
            backend.close()
            nursery.cancel_scope.cancel()
