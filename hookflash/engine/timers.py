"""The timers of one engine: set and cancelled by commands, and due by the engine's clock."""

from __future__ import annotations

import heapq
import math

import trio

from hookflash.commands import SetTimer


class Timers:
    """Timers by their ids. An id may be used again."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, str]] = []
        self._pending: dict[str, int] = {}
        self._count = 0
        self._changed = trio.Event()
        self.held = True
        """Whether no timer fires for now: nothing can be done about a deadline while the switch is
        away, so it waits, and passes when the switch is found and its facts are known."""

    def set(self, command: SetTimer) -> None:
        """Start a timer."""
        self._count += 1
        due = trio.current_time() + command.after_s
        heapq.heappush(self._heap, (due, self._count, command.timer))
        self._pending[command.timer] = self._count
        if self._heap[0][2] == command.timer:
            self._changed.set()

    def cancel(self, timer: str) -> bool:
        """Stop a timer; whether it was running, or had fired and waited for its turn."""
        return self._pending.pop(timer, None) is not None

    def hold(self, *, held: bool) -> None:
        """Let no timer fire from now on, or let them fire again."""
        self.held = held
        self._changed.set()

    async def next(self) -> tuple[str, float]:
        """Wait for the next timer that is due.

        Returns:
            The timer, and how late it is, in seconds. It counts as running until it is cancelled.
        """
        while True:
            self._changed = trio.Event()
            while self._heap and self._pending.get(self._heap[0][2]) != self._heap[0][1]:
                heapq.heappop(self._heap)  # cancelled; by number, as an id may be used again
            due = math.inf if self.held or not self._heap else self._heap[0][0]
            with trio.move_on_at(due):
                await self._changed.wait()
                continue
            _, _, timer = heapq.heappop(self._heap)
            return timer, trio.current_time() - due
