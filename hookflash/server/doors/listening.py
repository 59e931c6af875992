"""Opens the sockets of both APIs, in the engine's process, and listens on them in the doors'.

The engine's process opens them, so that a fault is reported at the start, and so that they stay
open if the doors' process dies: programs that connect meanwhile only wait.
"""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Final, TypeAlias

import attrs
import structlog
import trio

from hookflash.errors import InputError, InUse, first_of
from hookflash.server.addresses import read_address
from hookflash.server.config import Listen
from hookflash.server.doors.doors import Doors
from hookflash.server.http.server import serve_http

log = structlog.wrap_logger(logging.getLogger("hookflash.service"))

TAKEN: Final = (errno.EADDRINUSE, errno.EADDRNOTAVAIL)
PAUSES_S: Final = (0.2, 0.3, 0.5, 1.0, 1.0, 1.0, 1.0)
"""Between attempts. A service that was killed may have left its doors for a moment."""

Sockets: TypeAlias = tuple[socket.socket, ...]


@attrs.frozen(kw_only=True)
class Addresses:
    """The URLs of both APIs."""

    http: str
    websocket: str


@attrs.frozen(kw_only=True)
class Bound:
    """The sockets that listen."""

    http: Sockets
    websocket: Sockets
    addresses: Addresses

    def close(self) -> None:
        """Listen no more."""
        for one in (*self.http, *self.websocket):
            one.close()


async def bind(listen: Listen) -> Bound:
    """Open the sockets; if an address is taken, wait some seconds for it.

    Raises:
        InUse: it still is.
        InputError: an address can't be used.
    """
    for pause_s in PAUSES_S:
        try:
            return await _bind_both(listen)
        except InUse as error:
            log.warning("doors.address_taken", why=str(error), again_in_s=pause_s)
            await trio.sleep(pause_s)
    return await _bind_both(listen)


async def _bind_both(listen: Listen) -> Bound:
    http = await _bind("http", listen.http)
    try:
        websocket = await _bind("websocket", listen.websocket)
    except BaseException:
        for one in http:
            one.close()
        raise
    secure = "s" if listen.tls_certificate else ""
    return Bound(
        http=http,
        websocket=websocket,
        addresses=Addresses(
            http=f"http{secure}://{_place(listen.http, http)}",
            websocket=f"ws{secure}://{_place(listen.websocket, websocket)}/v2/events",
        ),
    )


def _place(address: str, sockets: Sockets) -> str:
    host, _ = read_address(address, where="$.listen")
    port = sockets[0].getsockname()[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _bind(api: str, address: str) -> Sockets:
    host, port = read_address(address, where=f"$.listen.{api}")
    with _named(api, address):
        listeners = await trio.open_tcp_listeners(port, host=host)
    return tuple(_plain(one) for one in listeners)


def _plain(listener: trio.SocketListener) -> socket.socket:
    """The socket of a listener, which trio no longer closes."""
    there = listener.socket
    return socket.socket(there.family, there.type, there.proto, fileno=there.detach())


@contextmanager
def _named(api: str, address: str) -> Generator[None]:
    failed: BaseException | None = None
    try:
        yield
    except* OSError as errors:
        failed = first_of(errors)
    if isinstance(failed, OSError):
        kind = InUse if failed.errno in TAKEN else InputError
        raise kind(
            f"can't listen on {address}: {failed.strerror or failed}",
            where=f"$.listen.{api}",
            hint="stop the program that listens there, or configure another address",
        ) from failed


async def serve(doors: Doors) -> None:
    """Listen on the sockets that the doors were handed, until cancelled."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(doors.listener.serve, sockets_of(doors.settings.websocket))
        nursery.start_soon(serve_http, doors.http, sockets_of(doors.settings.http))


def sockets_of(descriptors: Sequence[int]) -> Sockets:
    """Sockets that are open already."""
    return tuple(socket.socket(fileno=one) for one in descriptors)
