"""The timers of one engine, on the engine's clock."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable

import trio

from hookflash.backends.base import Backend
from hookflash.commands import Look, SetTimer
from hookflash.errors import BackendClosed
from hookflash.events import TimerFired

LATE = "~late"
"""The transfer named in queries for late timers. It is not a transfer's ID."""

LATE_S = 0.25
"""A timer that is later than this was overslept. A busy loop is late by milliseconds."""


class Timers:
    """Timers by ID. An ID may be used again."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, str]] = []
        self._pending: dict[str, int] = {}
        self._count = 0
        self._changed = trio.Event()
        self.held = True
        """Whether timers wait, because the switch is unreachable. They fire when it is found, and
        its facts are known."""

    def set(self, command: SetTimer) -> None:
        """Start a timer."""
        self._count += 1
        due = trio.current_time() + command.after_s
        heapq.heappush(self._heap, (due, self._count, command.timer))
        self._pending[command.timer] = self._count
        if self._heap[0][2] == command.timer:
            self._changed.set()

    def cancel(self, timer: str) -> bool:
        """Stop a timer.

        Returns:
            Whether it was running, or had fired and was queued.
        """
        return self._pending.pop(timer, None) is not None

    def hold(self, *, held: bool) -> None:
        """Make timers wait, or let them fire again."""
        self.held = held
        self._changed.set()

    async def next(self) -> tuple[str, float]:
        """Wait for the next timer that is due.

        Returns:
            The timer, and how late it is, in seconds. It is running until it is cancelled.
        """
        while True:
            self._changed = trio.Event()
            while self._heap and self._pending.get(self._heap[0][2]) != self._heap[0][1]:
                heapq.heappop(self._heap)  # cancelled; compared by number, since IDs are reused
            due = math.inf if self.held or not self._heap else self._heap[0][0]
            with trio.move_on_at(due):
                await self._changed.wait()
                continue
            _, _, timer = heapq.heappop(self._heap)
            return timer, trio.current_time() - due


class LateTimers:
    """Timers that fired late, because the machine or this process was suspended.

    Events of the meantime are still unread in the socket. So the switch is asked something, and the
    timer fires when the answer comes, behind those events.
    """

    def __init__(self, backend: Backend, put: Callable[[TimerFired], None]) -> None:
        self._backend = backend
        self._put = put
        self._waiting: dict[int, str] = {}
        """The timers, by the number of the query."""
        self._asked = 0

    async def ask_first(self, timer: str) -> None:
        """Let a timer fire once the switch has answered."""
        self._asked += 1
        self._waiting[self._asked] = timer
        try:
            await self._backend.perform(Look(legs=(), transfer=LATE, number=self._asked))
        except BackendClosed:
            self.answered(self._asked)

    def answered(self, number: int) -> None:
        """Let the timer of a query fire."""
        timer = self._waiting.pop(number, None)
        if timer is not None:
            self._put(TimerFired(timer=timer))

    def expect_no_answers(self) -> None:
        """Let all timers fire: the connection was lost, so no answer will come."""
        for number in tuple(self._waiting):
            self.answered(number)
