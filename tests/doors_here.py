"""The doors beside the engine in one process, the line over memory: for the virtual clock."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import trio
from trio.testing import memory_stream_pair

from hookflash.journal.threads import InThread
from hookflash.server.desk import Desk
from hookflash.server.doors.doors import Doors, open_doors
from hookflash.server.line.desk_end import DeskEnd, DeskWork
from hookflash.server.line.messages import Settings
from hookflash.server.metrics import Metrics
from hookflash.server.service import Service


@asynccontextmanager
async def open_doors_here(
    desk: Desk, metrics: Metrics, settings: Settings, *, now: Callable[[], float], run: InThread
) -> AsyncGenerator[Doors]:
    """Open the doors of a desk."""
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(DeskEnd(ours, desk, metrics, settings, DeskWork(nursery)).run)
        async with open_doors(theirs, now=now, run=run) as doors:
            yield doors
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_doors_of(
    service: Service, *, now: Callable[[], float], run: InThread
) -> AsyncGenerator[Doors]:
    """Open the doors of a service."""
    settings = service.settings(None)
    opening = open_doors_here(service.desk, service.metrics, settings, now=now, run=run)
    async with opening as doors:
        yield doors


def transport_to(doors: Doors, address: str = "127.0.0.1") -> httpx.ASGITransport:
    """The way to the HTTP application, from this address, without a socket."""
    app: Any = doors.app  # both mean ASGI, each in types of its own
    return httpx.ASGITransport(app, client=(address, 5060))
