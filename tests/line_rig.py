"""A test rig on a line: scenarios played by our engine on a switch that is emulated or real.

The engine runs in this process, on the backend under test. What people do at their phones is the
derived rig's; what programs ask for, and the moments of the script, are the same for all.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from typing import ClassVar

import trio

from hookflash.backends.base import Backend
from hookflash.engine.engine import Engine, open_engine
from hookflash.engine.legs import Account
from hookflash.engine.record import Record
from hookflash.engine.switchboard import Switchboard
from hookflash.errors import BackendClosed, NotFound, RequestRefused
from hookflash.events import NO_OPTIONS, Kind, TimerFired, TransferOptions, TransferRequested
from hookflash.scenarios import script
from hookflash.scenarios.player import Player
from hookflash.scenarios.roster import Roster, words_of
from hookflash.scenarios.scenario import Feature, Scenario
from hookflash.scenarios.script import Perform, ScriptLine, Verb
from hookflash.scenarios.simulation import ended_of, unfinished_of

NEVER_S = 90.0
"""A happening that has not come by then never comes."""
LAST_KEYS_S = 5.0
"""So long the last keys may still become a feature code."""


class Controller:
    """An engine on a switch. It may die, and another come with what this one has written."""

    def __init__(
        self, open_backend: Callable[[], AbstractAsyncContextManager[Backend]], account: Account
    ) -> None:
        self.records: list[Record] = []
        self.on_record: list[Callable[[Record], None]] = []
        self.engine: Engine | None = None
        self.switchboard = Switchboard()
        self._open_backend = open_backend
        self._account = account
        self._number = itertools.count(1)
        self._life = trio.CancelScope()
        self._is_dead = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Be the controller, until it dies."""
        self._is_dead = trio.Event()
        with trio.CancelScope() as self._life:
            async with (
                self._open_backend() as backend,
                open_engine(
                    backend,
                    account=self._account,
                    next_number=self._number.__next__,
                    unfinished=unfinished_of(self.records),
                    ended=ended_of(self.records),
                    taps=[self._write],
                ) as self.engine,
            ):
                self.switchboard = self.engine.switchboard
                task_status.started()
                await trio.sleep_forever()
        self.engine = None
        self._is_dead.set()

    async def die(self) -> None:
        self._life.cancel()
        await self._is_dead.wait()

    def _write(self, record: Record) -> None:
        self.records.append(record)
        for hear in self.on_record:
            hear(record)

    async def let_the_deadline_pass(self) -> None:
        for transfer in self.engine.transfers() if self.engine else ():
            if transfer.deadline is not None:
                assert self.engine is not None
                await self.engine._inbox.put(TimerFired(timer=transfer.deadline))  # pyright: ignore[reportPrivateUsage]
                return


class LineRig(ABC):
    """One scenario on a switch, and what programs ask of the controller."""

    never_s: ClassVar[float] = NEVER_S
    """So long it plays at most."""
    limit_s: ClassVar[float]
    """So long a transfer may be in flight after that, in the time of the test."""
    looks_every_s: ClassVar[float] = 0.1
    """How often it looks whether that is so."""
    lacks: ClassVar[Mapping[Verb | Feature, str]]
    """What can't be played here, and why."""

    def __init__(self, scenario: Scenario, controller: Controller, nursery: trio.Nursery) -> None:
        self.scenario = scenario
        self.controller = controller
        self.nursery = nursery
        self.roster = Roster({party.address: party.name for party in scenario.parties})
        self.player = Player(scenario.script, self)
        self.verbs: dict[Verb, Perform[Awaitable[None]]] = {
            **script.verbs_of_phones(self),
            **script.verbs_of_requests(self),
            script.DEADLINE_PASSES: lambda _line: controller.let_the_deadline_pass(),
            script.DIES: lambda _line: controller.die(),
            script.RETURNS: lambda _line: nursery.start(controller.run),
        }
        self._asked_by: dict[str, str] = {}
        """The latest transfer that each party asked for, by digits or by request."""
        controller.on_record.append(self.record)

    # ------------------------------------------------------------------ the phones

    @abstractmethod
    async def press(self, who: str, key: str) -> None: ...
    @abstractmethod
    async def hang_up(self, who: str) -> None: ...
    @abstractmethod
    async def answer(self, who: str) -> None: ...
    @abstractmethod
    async def refuse(self, who: str) -> None: ...

    def record(self, record: Record) -> None:
        """Hear what the controller writes."""
        if isinstance(record.event, TransferRequested) and not record.refused:
            who = self.roster.names.get(record.event.leg, "")
            self._asked_by[who] = record.event.transfer
        self.player.happens(*words_of(record))

    # ------------------------------------------------------------------ the requests

    async def ask_transfer(
        self, who: str, target: str, kind: Kind, options: TransferOptions = NO_OPTIONS
    ) -> None:
        engine, leg = self.controller.engine, self.roster.legs.get(who, "")
        with suppress(RequestRefused, NotFound, BackendClosed):
            if engine is not None:
                await engine.transfer(leg, target, kind=kind, options=options)

    async def ask_pick_up(self, who: str, slot: str) -> None:
        engine, leg = self.controller.engine, self.roster.legs.get(who, "")
        with suppress(RequestRefused, NotFound, BackendClosed):
            if engine is not None:
                await engine.pick_up(leg, slot)

    async def ask_takeback(self, who: str) -> None:
        await self._ask(who, Engine.take_back)

    async def ask_complete(self, who: str) -> None:
        await self._ask(who, Engine.complete)

    async def ask_number(self, who: str, target: str) -> None:
        await self._ask(who, lambda engine, transfer: engine.give_number(transfer, target))

    async def ask_swap(self, who: str) -> None:
        await self._ask(who, Engine.swap)

    async def ask_accept(self, who: str) -> None:
        await self._ask(who, Engine.accept)

    async def ask_decline(self, who: str) -> None:
        await self._ask(who, Engine.decline)

    async def ask_three_way(self, who: str) -> None:
        await self._ask(who, Engine.three_way)

    async def _ask(self, who: str, ask: Callable[[Engine, str], Awaitable[object]]) -> None:
        """Ask something of the latest transfer of a party."""
        engine = self.controller.engine
        with suppress(RequestRefused, NotFound, BackendClosed):
            if engine is not None and who in self._asked_by:
                await ask(engine, self._asked_by[who])

    async def ask_hangup(self, who: str) -> None:
        with suppress(RequestRefused, NotFound, BackendClosed):
            if self.controller.engine is not None:
                await self.controller.engine.hang_up(self.roster.legs.get(who, ""))

    # ------------------------------------------------------------------ what a player asks for

    @property
    def now_s(self) -> float:
        return trio.current_time()

    def after(self, delay_s: float, do: Callable[[], None], /) -> None:
        self.nursery.start_soon(self._later, delay_s, do)

    async def _later(self, delay_s: float, do: Callable[[], None]) -> None:
        await trio.sleep(delay_s)
        do()

    def perform(self, line: ScriptLine, done: Callable[[], None]) -> None:
        self.nursery.start_soon(self._perform, line, done)

    async def _perform(self, line: ScriptLine, done: Callable[[], None]) -> None:
        await self.verbs[line.verb](line)
        done()

    async def play(self) -> None:
        """Play the script, until the last transfer of this scenario is over, or its limit."""
        self.player.begin()
        with trio.move_on_after(self.never_s):
            while not self.player.is_done:
                await trio.sleep(self.looks_every_s)
        await trio.sleep(LAST_KEYS_S)
        with trio.move_on_after(self.limit_s):
            while self.is_busy():
                await trio.sleep(self.looks_every_s)

    def is_busy(self) -> bool:
        """Whether a transfer of this scenario is in flight."""
        return self.controller.engine is not None and bool(self.controller.engine.transfers())
