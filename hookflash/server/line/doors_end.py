"""The doors' end of the line: asks the engine, and follows its history."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import trio

from hookflash.api.requests import ApiRequest
from hookflash.errors import BackendError
from hookflash.journal.step import StoredStep
from hookflash.server.caller import Caller
from hookflash.server.line import messages as m
from hookflash.server.line.stream import Line, LineBroken
from hookflash.server.operations import Operation

ALIVE_S: Final = 1.0
ANSWER_LIMIT_S: Final = 30.0
"""The engine answers within milliseconds, and within 5 s while the disk hangs."""

LOOK_LIMIT_S: Final = 3.0
SILENT_S: Final = 3.0
"""An engine that has sent nothing for so long, not even its beat, is not asked."""

FAULTS_KEPT_S: Final = 0.25
METRICS_KEPT_S: Final = 1.0
"""Strangers may ask for these as often as they like; the engine is asked this often."""


class EngineSilent(BackendError):
    """The engine does not answer."""

    def __init__(self) -> None:
        """Say what to do."""
        super().__init__("the engine does not answer: try again; the call goes on")


class History:
    """The newest part of the engine's history, as far as it was told to the doors."""

    def __init__(self, opening: m.Opening) -> None:
        self.published = opening.published
        """The number of the last published step."""
        self.written = opening.written
        """The number of the last step that is safe in the journal."""
        self._unwritten = deque(step.stored() for step in opening.unwritten)
        self._subscribers: list[Callable[[tuple[StoredStep, ...]], None]] = []

    def subscribe(self, receive: Callable[[tuple[StoredStep, ...]], None]) -> None:
        """Call `receive` with all new steps, in order."""
        self._subscribers.append(receive)

    def unwritten(self) -> tuple[StoredStep, ...]:
        """Steps that are published but not in the file."""
        return tuple(self._unwritten)

    def grow(self, steps: tuple[StoredStep, ...], written: int) -> None:
        """Add new steps."""
        self.published = steps[-1].number
        self._unwritten.extend(steps)
        self.settle(written)
        for receive in self._subscribers:
            receive(steps)

    def settle(self, written: int) -> None:
        """Forget the steps that are in the file."""
        self.written = written
        while self._unwritten and self._unwritten[0].number <= written:
            self._unwritten.popleft()


class Kept:
    """An answer that is kept for a short time, for all who ask meanwhile."""

    def __init__(self, ask: Callable[[], Awaitable[bytes]], *, kept_s: float) -> None:
        self._ask = ask
        self._kept_s = kept_s
        self._asking = trio.Lock()
        self._answer = b""
        self._until_s = -1.0

    async def get(self) -> bytes:
        """The answer."""
        async with self._asking:
            if trio.current_time() >= self._until_s:
                self._answer = await self._ask()
                self._until_s = trio.current_time() + self._kept_s
            return self._answer


class DoorsEnd:
    """The doors' end."""

    def __init__(self, line: Line[m.FromEngine], opening: m.Opening) -> None:
        self.history = History(opening)
        self.goodbye = trio.Event()
        """Set when the service stops."""
        self.heard_s = trio.current_time()
        """When the engine last said something."""
        self._line = line
        self._numbers = itertools.count(1)
        self._asked: dict[int, trio.MemorySendChannel[m.Answered | m.Failed]] = {}
        self._faults = Kept(lambda: self._look("faults"), kept_s=FAULTS_KEPT_S)
        self._metrics = Kept(lambda: self._look("metrics"), kept_s=METRICS_KEPT_S)

    # ------------------------------------------------------------------- asking

    async def perform(self, caller: Caller, operation: Operation, request: ApiRequest) -> Any:
        """Have the engine perform an operation.

        Raises:
            HookflashError: what the engine raised, or that it does not answer.
        """
        question = m.Perform(
            next(self._numbers), operation.name, caller, msgspec.json.encode(request)
        )
        return msgspec.json.decode(await self._ask(question), type=operation.answer)

    async def faults(self) -> dict[str, str]:
        """The current faults, by part."""
        try:
            return msgspec.json.decode(await self._faults.get(), type=dict[str, str])
        except EngineSilent as error:
            return {"engine": str(error)}

    async def exposition(self) -> bytes:
        """The engine's metrics, in Prometheus' text format."""
        return await self._metrics.get()

    def say_left(self) -> None:
        """Tell the engine that everybody has been taken leave of."""
        self._line.put(m.Left())

    async def _look(self, what: str) -> bytes:
        return await self._ask(m.LookUp(next(self._numbers), what), limit_s=LOOK_LIMIT_S)

    async def _ask(
        self, question: m.Perform | m.LookUp, *, limit_s: float = ANSWER_LIMIT_S
    ) -> bytes:
        if trio.current_time() - self.heard_s > SILENT_S:
            raise EngineSilent
        send, receive = trio.open_memory_channel[m.Answered | m.Failed](1)
        self._asked[question.number] = send
        self._line.put(question)
        try:
            with trio.move_on_after(limit_s):
                answer = await receive.receive()
                if isinstance(answer, m.Failed):
                    raise m.error_of(answer.fault)
                return answer.data
        finally:
            self._asked.pop(question.number, None)
        raise EngineSilent

    # ------------------------------------------------------------------ hearing

    async def run(self) -> None:
        """Hear the engine, until cancelled.

        Raises:
            LineBroken: it is gone.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._line.send)
            while True:
                self._hear(await self._line.receive())

    async def stay_alive(self) -> None:
        """Tell the engine that the doors are open, until cancelled."""
        while True:
            self._line.put(m.DoorsAlive())
            await trio.sleep(ALIVE_S)

    def _hear(self, message: m.FromEngine) -> None:
        self.heard_s = trio.current_time()
        match message:
            case m.Published(steps, written):
                self.history.grow(tuple(step.stored() for step in steps), written)
            case m.Beat(written):
                self.history.settle(written)
            case m.Answered(number) | m.Failed(number):
                waiting = self._asked.pop(number, None)
                if waiting is not None:
                    waiting.send_nowait(message)
            case m.Goodbye():
                self.goodbye.set()
            case m.Opening():
                raise LineBroken("a second opening")
