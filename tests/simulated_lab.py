"""The simulator as a lab for `check_backend`, with everything that a lab may have."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from hookflash.backends.base import Backend
from hookflash.backends.simulator.backend import SimulatedBackend, open_simulator
from hookflash.backends.simulator.people import Answers, Busy, EarlyMedia, NeverAnswers
from hookflash.backends.simulator.switch import ToSound
from hookflash.backends.simulator.world import World
from hookflash.events import LegId
from hookflash.sounds import Music, Recording
from hookflash.testing import Lab


class SimulatedLab(Lab):
    """A call on the simulated switch, and the people at its phones."""

    answering, busy, never = "2600", "2602", "2601"
    music = Music()
    caller, called = "1001", "1002"
    early_media, outside = "2604", "2606"
    calls = 0

    def __init__(self, switch: SimulatedBackend) -> None:
        self.switch = switch
        self.backend: Backend = switch
        world = switch.world
        world.add_phone(self.answering, Answers(), "carol")
        world.add_phone(self.busy, Busy(), "busy")
        world.add_phone(self.never, NeverAnswers(), "never")
        world.add_phone(self.early_media, EarlyMedia(), "early")
        world.add_phone(self.outside, NeverAnswers(), "outside", outside=True)

    async def call(self) -> tuple[LegId, LegId]:
        return await self.switch.call(self.caller, self.called)

    async def hang_up(self, leg: LegId) -> None:
        self.switch.world.hang_up(leg)
        self.switch.nudge()

    async def press(self, leg: LegId, digit: str) -> None:
        self.switch.world.press(leg, digit)
        self.switch.nudge()

    async def number_shown(self, leg: LegId) -> str:
        return (self.switch.world.switch.shown(leg) or ("",))[-1]

    async def keys_heard(self, leg: LegId) -> str:
        party = self.switch.world.party_on(leg)
        return "" if party is None else party.digits_heard()

    async def take_away(self, leg: LegId) -> None:
        self.switch.world.move(leg, ToSound(Recording("ivr.wav"), 60.0))
        self.switch.nudge()

    async def cut_line(self) -> None:
        self.switch.cut_line()

    def second(self) -> AbstractAsyncContextManager[Backend]:
        return _second(self.switch.world)


@asynccontextmanager
async def _second(world: World) -> AsyncGenerator[Backend]:
    yield SimulatedBackend(world)


@asynccontextmanager
async def open_simulated_lab() -> AsyncGenerator[SimulatedLab]:
    async with open_simulator(seed=1) as switch:
        yield SimulatedLab(switch)
