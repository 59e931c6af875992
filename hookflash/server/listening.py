"""Opens the listening sockets: HTTP by our own server, WebSocket by trio-websocket."""

from __future__ import annotations

import ssl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import attrs
import trio

from hookflash.errors import InputError, first_of
from hookflash.server.addresses import read_address, server_tls
from hookflash.server.config import Limits
from hookflash.server.connections import Connections, raise_descriptor_limit, within_descriptors
from hookflash.server.http.server import AsgiApp, HttpServer, serve_http
from hookflash.server.service import Service


@attrs.frozen(kw_only=True)
class Addresses:
    """The URLs of both APIs."""

    http: str
    websocket: str


async def listen(
    service: Service,
    *,
    beside: Path | None = None,
    task_status: trio.TaskStatus[Addresses] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Listen for HTTP and WebSocket, until cancelled.

    Args:
        service: answers the requests.
        beside: the configuration's folder.
        task_status: gets the addresses, once both listen.
    """
    keys = service.config.listen
    tls: ssl.SSLContext | None = None
    if keys.tls_certificate:
        tls = server_tls(keys, where="$.listen", beside=beside)
    host, port = read_address(keys.websocket, where="$.listen.websocket")
    async with trio.open_nursery() as nursery:
        with _named("websocket", keys.websocket):
            port = await nursery.start(service.listener.serve, host, port, tls)
        with _named("http", keys.http):
            http: str = await nursery.start(_serve_http, service, tls)
        scheme = "wss" if tls else "ws"
        websocket = f"{scheme}://{_in_url(host)}:{port}/v2/events"
        task_status.started(Addresses(http=http, websocket=websocket))
        await trio.sleep_forever()


@contextmanager
def _named(api: str, address: str) -> Generator[None]:
    """Report an API that can't listen.

    Raises:
        InputError: the address is in use, or is not an address of this machine.
    """
    failed: BaseException | None = None
    try:
        yield
    except* OSError as errors:
        failed = first_of(errors)
    if isinstance(failed, OSError):
        raise InputError(
            f"can't listen on {address}: {failed.strerror or failed}",
            where=f"$.listen.{api}",
            hint="stop the program that listens there, or configure another address",
        ) from failed


async def _serve_http(
    service: Service,
    tls: ssl.SSLContext | None,
    *,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    host, port = read_address(service.config.listen.http, where="$.listen.http")
    listeners = await trio.open_tcp_listeners(port, host=host)
    server = HttpServer(
        app=cast("AsgiApp", service.app),  # the framework has types of its own for ASGI
        connections=_connections(service.config.limits),
        most_body_bytes=service.config.limits.request_bytes,
        tls=tls,
    )
    port = listeners[0].socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_http, server, listeners)
        scheme = "https" if tls else "http"
        task_status.started(f"{scheme}://{_in_url(host)}:{port}")


def _connections(limits: Limits) -> Connections:
    most, _ = within_descriptors(
        limits.http_connections,
        limits.websocket_connections,
        available=raise_descriptor_limit(),
    )
    return Connections(most=most, most_per_address=limits.connections_per_address)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
