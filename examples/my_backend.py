"""A backend of your own, and the check that it keeps its promises.

This one stands in front of another and writes down all that passes. A real one has the switch's
own client in the place of `switch`, and translates in the three methods. `capabilities` says what
it can do beyond what every backend promises.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import trio
from trio.testing import MockClock

from hookflash import Backend, LegSnapshot, Music, SimulatedBackend, Sound, open_simulator
from hookflash.backends.base import Capabilities
from hookflash.backends.simulator.people import Answers, Busy, NeverAnswers
from hookflash.commands import SwitchCommand
from hookflash.events import CallEvent, LegId
from hookflash.testing import Lab, check_backend


class MyBackend:
    """Passes everything on, and remembers it."""

    def __init__(self, switch: SimulatedBackend) -> None:
        """Stand in front of a switch."""
        self.switch = switch
        self.seen: list[SwitchCommand | CallEvent] = []

    @property
    def capabilities(self) -> Capabilities:
        """What it can do, and is held to: everything except reporting trunks, for example."""
        return Capabilities(reports_outside=False)

    async def events(self) -> AsyncIterator[CallEvent]:
        """What the switch says, in hookflash's words."""
        async for event in self.switch.events():
            self.seen.append(event)
            yield event

    async def perform(self, command: SwitchCommand) -> None:
        """What hookflash says, in the switch's words."""
        self.seen.append(command)
        await self.switch.perform(command)

    async def snapshot(self) -> tuple[LegSnapshot, ...]:
        """Which legs live."""
        return await self.switch.snapshot()


class MyLab(Lab):
    """The backend, and people whom the check can steer."""

    answering, busy, never = "2600", "2602", "2601"
    music: Sound = Music()
    caller, called = "1001", "1002"

    def __init__(self, switch: SimulatedBackend) -> None:
        """Put phones on the switch."""
        self.switch = switch
        self.backend: Backend = MyBackend(switch)
        switch.world.add_phone(self.answering, Answers())
        switch.world.add_phone(self.busy, Busy())
        switch.world.add_phone(self.never, NeverAnswers())

    async def call(self) -> tuple[LegId, LegId]:
        """Place an ordinary call."""
        return await self.switch.call(self.caller, self.called)

    async def hang_up(self, leg: LegId) -> None:
        """Let somebody hang up."""
        self.switch.world.hang_up(leg)
        self.switch.nudge()

    async def press(self, leg: LegId, digit: str) -> None:
        """Let somebody press a key."""
        self.switch.world.press(leg, digit)
        self.switch.nudge()


@asynccontextmanager
async def open_lab() -> AsyncGenerator[MyLab]:
    """Open a fresh switch for each check."""
    async with open_simulator(seed=1) as switch:
        yield MyLab(switch)


if __name__ == "__main__":
    trio.run(check_backend, open_lab, clock=MockClock(autojump_threshold=0))  # returns a report
    print("every promise is kept")
