"""Everything that strangers talk to: both APIs, sign-in, and subscriptions."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import attrs
import trio

from hookflash.journal.reader import JournalReader
from hookflash.journal.threads import InThread
from hookflash.server.accepting import MOST_WAITING
from hookflash.server.access import Access
from hookflash.server.addresses import server_tls
from hookflash.server.api import ServiceApi
from hookflash.server.arrivals import Arrivals
from hookflash.server.connections import (
    Connections,
    raise_descriptor_limit,
    within_descriptors,
)
from hookflash.server.doors.metrics import DoorMetrics
from hookflash.server.http.app import HttpApp
from hookflash.server.http.server import HttpServer
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
    http: HttpServer
    listener: Listener


@asynccontextmanager
async def open_doors(
    stream: trio.abc.Stream,
    *,
    now: Callable[[], float],
    run: InThread,
    on_broken: Callable[[], None] = lambda: None,
) -> AsyncGenerator[Doors]:
    """Open everything except the network addresses.

    Args:
        stream: to the engine's process.
        now: the time of day, in seconds since 1970.
        run: runs blocking disk work.
        on_broken: called as soon as the engine is gone, before everything is closed.

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
            nursery.start_soon(_hear, end, on_broken)
            nursery.start_soon(_sweep, api.access)
            doors = _doors_of(settings, api)
            nursery.start_soon(_take_leave, end, doors.listener)
            nursery.start_soon(end.stay_alive)
            yield doors
            nursery.cancel_scope.cancel()
    finally:
        for reader in readers:
            reader.close()


async def _hear(end: DoorsEnd, on_broken: Callable[[], None]) -> None:
    try:
        await end.run()
    except* LineBroken:
        on_broken()
        raise


def _doors_of(settings: m.Settings, api: ServiceApi) -> Doors:
    limits, listen = settings.limits, settings.listen
    arrivals = _arrivals(settings)
    most_http, most_websocket, most_waiting, _ = within_descriptors(
        limits.http_connections,
        limits.websocket_connections,
        MOST_WAITING,  # at each door
        MOST_WAITING,
        available=raise_descriptor_limit(),
    )
    metrics = DoorMetrics(api)
    app = HttpApp(api, metrics)
    connections = Connections(
        most=most_http,
        most_per_address=limits.connections_per_address,
        is_exempt=arrivals.proxies.trusts,
    )
    http = HttpServer(
        app=app,
        connections=connections,
        most_waiting=most_waiting,
        most_body_bytes=limits.request_bytes,
        arrivals=arrivals,
        unsent=api.unsent,
    )
    listener = Listener(
        api, arrivals, most_websocket, most_waiting=most_waiting, origins=listen.origins
    )
    metrics.doors = {"http": connections, "websocket": listener.connections}
    return Doors(settings=settings, api=api, app=app, http=http, listener=listener)


def _arrivals(settings: m.Settings) -> Arrivals:
    listen = settings.listen
    tls: ssl.SSLContext | None = None
    if listen.tls_certificate:
        beside = Path(settings.beside) if settings.beside is not None else None
        tls = server_tls(listen, where="$.listen", beside=beside)
    return Arrivals(tls=tls, proxies=proxies_of(listen), proxy_protocol=listen.proxy_protocol)


async def _sweep(access: Access) -> None:
    while True:
        await trio.sleep(SWEEP_S)
        access.sweep()


async def _take_leave(end: DoorsEnd, listener: Listener) -> None:
    """When the service stops, take leave of everybody."""
    await end.goodbye.wait()
    await listener.say_goodbye()
    end.say_left()
