"""Accepts connections, many at once.

trio's own listeners accept one connection each time the scheduler comes round. When thousands of
strangers knock, that is too slow: honest clients would wait behind them in the kernel's queue.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

import structlog
import trio

log = structlog.wrap_logger(logging.getLogger("hookflash.service"))

Handle: TypeAlias = Callable[[trio.SocketStream], Awaitable[None]]
"""Handles and closes a connection. It must not raise an exception."""

AT_ONCE: Final = 128
"""Connections that are accepted before other tasks go on."""

PAUSE_S: Final = 0.1
"""How long to wait when the system has no descriptor or memory for another connection."""


async def accept_all(listeners: Sequence[socket.socket], handle: Handle) -> None:
    """Handle each connection in a task of its own, until cancelled.

    Args:
        listeners: listening sockets. They are closed at the end.
        handle: handles and closes a connection.
    """
    async with trio.open_nursery() as nursery:
        for listener in listeners:
            nursery.start_soon(_accept, listener, handle, nursery)


async def _accept(listener: socket.socket, handle: Handle, nursery: trio.Nursery) -> None:
    listener.settimeout(0)
    with listener:
        while True:
            await trio.lowlevel.wait_readable(listener)
            try:
                _accept_some(listener, handle, nursery)
            except OSError as error:
                log.warning("connection.not_accepted", why=str(error))
                await trio.sleep(PAUSE_S)


def _accept_some(listener: socket.socket, handle: Handle, nursery: trio.Nursery) -> None:
    for _ in range(AT_ONCE):
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return
        except ConnectionError:
            continue  # this client has left already
        nursery.start_soon(handle, trio.SocketStream(trio.socket.from_stdlib_socket(connection)))
