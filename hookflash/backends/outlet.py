"""The way of facts from a switch to the engine: it never waits, and loses nothing in silence.

A switch whose client doesn't read suffers itself. So whoever reads never waits for anybody: when
the engine falls too far behind, events are dropped, loudly, and everything that lives is told anew
when there is room again.

What happens while it is looked at what lives is held back, and told after it, for it is newer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import trio

from hookflash import events as e
from hookflash.backends.base import LOST_TRACK, tell
from hookflash.backends.halves import Halves

CATCH_UP_S: Final = 1.0
"""How often it is looked, after an overflow, whether there is room again."""


class Outlet:
    """Hands facts over, in order, and knows which legs it has told of."""

    def __init__(self, size: int, remember: Callable[[e.CallEvent], None], log: Any) -> None:
        """Begin with nothing told.

        Args:
            size: how many events may wait for the engine.
            remember: hears of every event that is handed over, and of no other.
            log: where an overflow is reported.
        """
        self.size = size
        self.dropped = 0
        """Events that were dropped because nobody took them in time."""
        self.living: set[e.LegId] = set()
        """The legs that were told of, and have not ended since."""
        self.halves = Halves()
        self._remember_too = remember
        self._log = log
        self._events, self.taken = trio.open_memory_channel[e.CallEvent](size)
        self._held: list[e.CallEvent] | None = None
        self._overflowed = False
        self._overflow = trio.Event()

    def give(self, event: e.CallEvent) -> None:
        """Hand an event over, without ever waiting."""
        if self._overflowed or not self._found_room(event):
            self.drop()

    def drop(self) -> None:
        """Count an event that is dropped. Everything is reported again when there is room."""
        self.dropped += 1
        if not self._overflowed:
            self._overflowed = True
            self._overflow.set()
            self._log.error("events are dropped: nobody takes them", buffer=self.size)

    def _found_room(self, event: e.CallEvent) -> bool:
        if self._held is not None:
            has_room = len(self._held) < self.size
            if has_room:
                self._held.append(event)
            return has_room
        for told in self.halves.take(event):
            try:
                self._events.send_nowait(told)
            except trio.WouldBlock:
                return False
            self._remember(told)
        return True

    def _remember(self, event: e.CallEvent) -> None:
        """Keep in mind what has been told, and only that: what was dropped is not known."""
        if isinstance(event, e.LegCreated):
            self.living.add(event.leg)
        elif isinstance(event, e.LegHungUp):
            self.living.discard(event.leg)
        self._remember_too(event)

    def hold(self) -> None:
        """Begin to look at what lives: what happens from now on is told after that."""
        self._held = []
        self._overflowed = False
        self._overflow = trio.Event()

    def let_go(self) -> None:
        """The line is down: what was held back is history, and what comes is told at once."""
        self._held = None

    async def tell_all(self, living: Sequence[e.LegSnapshot], switch: str) -> None:
        """Tell every fact about what lives, and the end of what was known and lives no more."""
        shown = self.halves.begin(living)
        present = {leg.leg for leg in shown}
        for leg in sorted(self.living - present):
            await self.tell(e.LegHungUp(leg=leg, cause=LOST_TRACK))
        for event in (*tell(shown), *self.halves.identities()):
            await self.tell(event)
        await self.tell(e.SwitchFound(switch=switch))
        held, self._held = self._held or [], None
        for event in held:
            self.give(event)

    async def tell(self, event: e.CallEvent) -> None:
        """Hand over an event that must not be dropped."""
        self._remember(event)
        await self._events.send(event)

    async def catch_up(self, tell_anew: Callable[[], Awaitable[None]]) -> None:
        """After an overflow, when there is room again, tell everything anew. Until cancelled."""
        while True:
            await self._overflow.wait()
            # a channel does not tell when it is empty
            while self._events.statistics().current_buffer_used:  # noqa: ASYNC110
                await trio.sleep(CATCH_UP_S)
            self._log.warning("events flow again; everything is told anew", dropped=self.dropped)
            await tell_anew()

    def close(self) -> None:
        """End the iteration of whoever takes the events."""
        self._events.close()
