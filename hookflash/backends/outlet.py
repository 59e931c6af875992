"""The queue of facts from a switch to the engine: it never blocks, and loses nothing silently.

A switch suffers if its client does not read. So the reader never waits: when the engine falls too
far behind, events are dropped, an error is logged, and all living legs are reported again when
there is room.

Events that arrive while a snapshot is taken are newer than it. They are held back until it has been
reported.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

import trio

from hookflash import events as e
from hookflash.backends.base import LOST_TRACK, facts_about
from hookflash.backends.halves import Halves

CATCH_UP_S: Final = 1.0
"""After an overflow, how often to check whether there is room again."""


class Outlet:
    """Passes facts on, in order, and knows which legs it has reported."""

    def __init__(self, size: int, remember: Callable[[e.CallEvent], None], log: Any) -> None:
        """Begin with an empty queue.

        Args:
            size: how many events may wait for the engine.
            remember: called with exactly the events that are passed on.
            log: receives a report of an overflow.
        """
        self.size = size
        self.dropped = 0
        """Events that were dropped because the engine did not take them in time."""
        self.living: set[e.LegId] = set()
        """The legs that were reported, and have not ended since."""
        self.halves = Halves()
        self._remember_too = remember
        self._log = log
        self._events, self.taken = trio.open_memory_channel[e.CallEvent](size)
        self._held: list[e.CallEvent] | None = None
        self._overflowed = False
        self._overflow = trio.Event()

    def give(self, event: e.CallEvent) -> None:
        """Pass an event on, without waiting."""
        if self._overflowed or not self._found_room(event):
            self.drop()

    def drop(self) -> None:
        """Count an event that is dropped. Everything is reported again when there is room."""
        self.dropped += 1
        if not self._overflowed:
            self._overflowed = True
            self._overflow.set()
            self._log.error("events.dropped", buffer=self.size)

    def _found_room(self, event: e.CallEvent) -> bool:
        if self._held is not None:
            has_room = len(self._held) < self.size
            if has_room:
                self._held.append(event)
            return has_room
        for reported in self.halves.take(event):
            try:
                self._events.send_nowait(reported)
            except trio.WouldBlock:
                return False
            self._remember(reported)
        return True

    def _remember(self, event: e.CallEvent) -> None:
        """Remember an event that was passed on; dropped events are not known."""
        if isinstance(event, e.LegCreated):
            self.living.add(event.leg)
        elif isinstance(event, e.LegHungUp):
            self.living.discard(event.leg)
        self._remember_too(event)

    def hold(self) -> None:
        """Hold events back while a snapshot is taken."""
        self._held = []
        self._overflowed = False
        self._overflow = trio.Event()

    def let_go(self) -> None:
        """After a lost connection: drop the held events, and pass new ones on at once."""
        self._held = None

    def gone(self, living: Iterable[e.LegSnapshot]) -> frozenset[e.LegId]:
        """The legs that were reported, and are not in this snapshot."""
        return frozenset(self.living.difference(leg.leg for leg in living))

    async def report_all(self, living: Sequence[e.LegSnapshot], switch: str) -> None:
        """Report all facts about the living legs, and the end of known legs that are gone."""
        shown = self.halves.begin(living)
        gone = self.gone(shown)
        ends = {one.leg: one for one in self._held or () if isinstance(one, e.LegHungUp)}
        for leg in sorted(gone):
            await self.report(ends.get(leg) or e.LegHungUp(leg=leg, cause=LOST_TRACK))
        for event in (*facts_about(shown), *self.halves.identities()):
            await self.report(event)
        await self.report(e.SwitchFound(switch=switch))
        held, self._held = self._held or [], None
        for event in held:
            is_late = any(leg in gone and leg not in self.living for leg in e.legs_of(event))
            if not is_late or isinstance(event, e.LegCreated):
                self.give(event)

    async def report(self, event: e.CallEvent) -> None:
        """Pass on an event that must not be dropped."""
        self._remember(event)
        await self._events.send(event)

    async def catch_up(self, tell_anew: Callable[[], Awaitable[None]]) -> None:
        """Report everything again after each overflow, when there is room. Until cancelled."""
        while True:
            await self._overflow.wait()
            # a channel has no notification for being empty
            while self._events.statistics().current_buffer_used:  # noqa: ASYNC110
                await trio.sleep(CATCH_UP_S)
            self._log.warning("events.resumed", dropped=self.dropped)
            await tell_anew()

    def close(self) -> None:
        """End the iteration over the events."""
        self._events.close()
