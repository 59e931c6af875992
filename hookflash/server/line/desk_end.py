"""The engine's end of the line: performs what the doors ask, and tells them each new step.

The doors may ask much, and may freeze or die: what is performed at once is limited, and what waits
to be sent, too. Neither makes the engine wait.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import attrs
import msgspec
import structlog
import trio

from hookflash.errors import HookflashError, InputError
from hookflash.journal.step import StoredStep
from hookflash.server.desk import Desk
from hookflash.server.line import messages as m
from hookflash.server.line.stream import Line, LineBroken
from hookflash.server.metrics import Metrics
from hookflash.server.operations import OPERATION_OF

log = structlog.wrap_logger(logging.getLogger("hookflash.service"))

MOST_AT_ONCE: Final = 256
"""Questions that are answered at the same time; the others wait in the line."""

WRITTEN_OUT: Final = 4
"""So many times longer than a program has sent it a request may be."""
ENVELOPE_BYTES: Final = 4_096

BEAT_S: Final = 1.0
FROZEN_S: Final = 10.0
"""Doors that say nothing for so long are frozen."""

Question: TypeAlias = m.Perform | m.LookUp

AT_FAULT: Final = "internal error; please report it"


@attrs.frozen(eq=False)
class DeskWork:
    """Questions that are being answered, whichever doors have asked them.

    They outlive their doors: a read that hangs with its disk can't be called back, and nobody waits
    for it to open the doors again.
    """

    _nursery: trio.Nursery
    _room: trio.CapacityLimiter = attrs.field(
        factory=lambda: trio.CapacityLimiter(MOST_AT_ONCE), init=False
    )

    async def start(
        self, answer: Callable[[Question], Awaitable[None]], question: Question
    ) -> None:
        """Have a question answered, as soon as there is room."""
        await self._room.acquire_on_behalf_of(question)
        self._nursery.start_soon(self._answer, answer, question)

    async def _answer(
        self, answer: Callable[[Question], Awaitable[None]], question: Question
    ) -> None:
        try:
            await answer(question)
        finally:
            self._room.release_on_behalf_of(question)


@attrs.define(eq=False)
class DeskEnd:
    """The engine's end. `run` it."""

    _stream: trio.abc.Stream
    _desk: Desk
    _metrics: Metrics
    _settings: m.Settings
    _work: DeskWork
    _line: Line[m.FromDoors] = attrs.field(init=False)
    opened: trio.Event = attrs.field(factory=trio.Event, kw_only=True)
    """Set once the doors are open."""
    _has_left: trio.Event = attrs.field(factory=trio.Event, init=False)

    async def run(self) -> None:
        """Serve the doors, until cancelled.

        Raises:
            LineBroken: they are gone, or frozen.
        """
        self._line = Line(
            self._stream,
            m.FROM_DOORS,
            most_in_message=_most_asked_bytes(self._settings),
        )
        journal = self._desk.context.journal
        unwritten = tuple(map(m.ToldStep.of, journal.unwritten()))
        self._line.put(
            m.Opening(
                settings=self._settings,
                published=journal.published,
                written=journal.written,
                unwritten=unwritten,
            )
        )
        journal.subscribe(self._publish)
        self._desk.ends.add(self)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._line.send)
                nursery.start_soon(self._beat)
                await self._hear()
        finally:
            journal.unsubscribe(self._publish)
            self._desk.ends.remove(self)

    async def say_goodbye(self) -> None:
        """Have the doors take leave of everybody, and wait until they have."""
        self._line.put(m.Goodbye())
        await self._has_left.wait()

    def _publish(self, steps: tuple[StoredStep, ...]) -> None:
        written = self._desk.context.journal.written
        self._line.put(m.Published(tuple(map(m.ToldStep.of, steps)), written))

    async def _beat(self) -> None:
        while True:
            self._line.put(m.Beat(self._desk.context.journal.written))
            await trio.sleep(BEAT_S)

    async def _hear(self) -> None:
        while True:
            with trio.move_on_after(FROZEN_S) as limit:
                message = await self._line.receive()
                if isinstance(message, m.Perform | m.LookUp):
                    await self._work.start(self._answer, message)
                elif isinstance(message, m.Left):
                    self._has_left.set()
                else:
                    self.opened.set()
                await trio.lowlevel.checkpoint()  # several messages may have been read at once
            if limit.cancelled_caught:
                raise LineBroken(f"the doors have said nothing for {FROZEN_S:.0f} s")

    async def _answer(self, question: Question) -> None:
        try:
            self._line.put(m.Answered(question.number, await self.find(question)))
        except HookflashError as error:
            self._line.put(m.Failed(question.number, m.fault_of(error)))
        except RecursionError:  # while the request is read
            error = InputError("is nested too deeply", where="$")
            self._line.put(m.Failed(question.number, m.fault_of(error)))
        except Exception:  # one question must not end the others
            log.exception("request.failed")
            self._line.put(m.Failed(question.number, m.LineFault(message=AT_FAULT, status=500)))

    async def find(self, question: Question) -> bytes:
        """Find the answer to a question, as JSON, or the metrics."""
        if isinstance(question, m.LookUp):
            if question.what == "metrics":
                return self._metrics.exposition()
            return msgspec.json.encode(self._desk.faults())
        operation = OPERATION_OF[question.operation]
        request = msgspec.json.decode(question.request, type=operation.request)
        answer: Any = await self._desk.perform(question.caller, operation, request)
        return msgspec.json.encode(answer)


def _most_asked_bytes(settings: m.Settings) -> int:
    """How long a question of the doors may be: the largest request, written out again."""
    limits = settings.limits
    largest = max(limits.request_bytes, limits.websocket_message_bytes)
    return WRITTEN_OUT * largest + ENVELOPE_BYTES
