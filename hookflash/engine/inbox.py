"""The engine's inbox: one bounded queue for events, requests and timers.

Senders outside the engine wait until there is room. So does the backend, which has its own bound
and reports what it drops. Events from the engine itself (failed commands, timers) never wait: the
engine would wait for itself.
"""

from __future__ import annotations

import math

import attrs
import trio

from hookflash.engine.record import Record
from hookflash.errors import BackendClosed
from hookflash.events import Event

MOST_QUEUED = 1_000
"""How many events and requests from outside the engine may be queued."""


@attrs.define(eq=False)
class Ask:
    """A request in the queue, and the program that waits for its answer."""

    event: Event
    done: trio.Event = attrs.field(factory=trio.Event)
    record: Record | None = None


@attrs.frozen
class Queued:
    """An entry of the queue."""

    event: Event
    ask: Ask | None
    """The request, if a program waits for the answer."""
    came_s: float
    is_own: bool
    """Whether it comes from the engine itself."""


@attrs.frozen
class Timing:
    """The timing of one event, in seconds of the engine's clock."""

    event: Event
    waited_s: float
    """Time in the queue."""
    took_s: float
    """Time until the last of its commands was sent."""


class Inbox:
    """The queue of one engine."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[Queued](math.inf)
        self._room = trio.Semaphore(MOST_QUEUED)
        self._closed: BackendClosed | None = None

    def __len__(self) -> int:
        return self._send.statistics().current_buffer_used + self._room.statistics().tasks_waiting

    async def put(self, event: Event, ask: Ask | None = None) -> None:
        """Queue an event from outside, as soon as there is room.

        Raises:
            BackendClosed: the inbox was closed meanwhile.
        """
        came_s = trio.current_time()
        await self._room.acquire()
        if self._closed is not None:
            self._room.release()  # for the next that waits
            raise self._closed
        self._send.send_nowait(Queued(event, ask, came_s, is_own=False))

    def put_own(self, event: Event) -> None:
        """Queue an event of the engine itself."""
        self._send.send_nowait(Queued(event, None, trio.current_time(), is_own=True))

    async def take(self) -> Queued:
        """Wait for the next entry, and remove it."""
        queued = await self._receive.receive()
        if not queued.is_own:
            self._room.release()
        return queued

    def close(self, why: BackendClosed) -> None:
        """Accept no more entries, and wake all who wait for an answer."""
        self._closed = why
        while self._send.statistics().current_buffer_used:
            ask = self._receive.receive_nowait().ask
            if ask is not None:
                ask.done.set()
        self._room.release()
