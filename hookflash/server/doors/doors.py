"""Everything that strangers talk to: both APIs, sign-in, and subscriptions."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import attrs
import trio

from hookflash.journal.journal import InThread
from hookflash.journal.reader import JournalReader
from hookflash.server.access import Access
from hookflash.server.api import ServiceApi
from hookflash.server.doors.metrics import DoorMetrics
from hookflash.server.http.app import HttpApp
from hookflash.server.line import messages as m
from hookflash.server.line.doors_end import DoorsEnd
from hookflash.server.line.stream import Line, LineBroken
from hookflash.server.proxies import proxies_of
from hookflash.server.publisher import Publisher
from hookflash.server.websocket.listener import Listener

SWEEP_S: Final = 1.0
"""How often expired counts are deleted."""


@attrs.frozen(kw_only=True)
class Doors:
    """Open doors."""

    settings: m.Settings
    api: ServiceApi
    app: HttpApp
    listener: Listener


@asynccontextmanager
async def open_doors(
    stream: trio.abc.Stream, *, now: Callable[[], float], run: InThread
) -> AsyncGenerator[Doors]:
    """Open everything except the network addresses.

    Args:
        stream: to the engine's process.
        now: the time of day, in seconds since 1970.
        run: runs blocking disk work.

    Raises:
        LineBroken: the engine is gone.
    """
    line = Line(stream, m.FROM_ENGINE)
    opening = await line.receive()
    if not isinstance(opening, m.Opening):
        raise LineBroken("no opening")
    settings = opening.settings
    end = DoorsEnd(line, opening)
    # two connections, so that a sign-in never waits behind somebody's history
    readers = [JournalReader(Path(settings.journal), now=now, run=run) for _ in range(2)]
    api = ServiceApi(
        engine=end,
        access=Access(readers[0], settings.limits, secret=settings.secret),
        publisher=Publisher(end.history, readers[1]),
        limits=settings.limits,
        server=settings.server,
    )
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(end.run)
            nursery.start_soon(_sweep, api.access)
            listener = Listener(api, settings.listen.origins)
            nursery.start_soon(_take_leave, end, listener)
            app = HttpApp(api, DoorMetrics(api), proxies_of(settings.listen))
            nursery.start_soon(end.stay_alive)
            yield Doors(settings=settings, api=api, app=app, listener=listener)
            nursery.cancel_scope.cancel()
    finally:
        for reader in readers:
            reader.close()


async def _sweep(access: Access) -> None:
    while True:
        await trio.sleep(SWEEP_S)
        access.sweep()


async def _take_leave(end: DoorsEnd, listener: Listener) -> None:
    """When the service stops, take leave of everybody."""
    await end.goodbye.wait()
    await listener.say_goodbye()
    end.say_left()
