"""Accepts connections, many at once, and serves first who is no stranger.

The kernel hands out connections in the order in which they came. When thousands of strangers knock,
honest clients would wait behind them. So all connections are taken from the kernel at once, which
is cheap, into a lobby. From there, addresses take turns, and every other turn is for addresses from
which somebody has signed in. Only a few are let in each time the scheduler comes round, so that
those who are inside go on.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, TypeAlias

import structlog
import trio

from hookflash.server.connections import Connections
from hookflash.server.crowds import Crowds, crowd_of

log = structlog.wrap_logger(logging.getLogger("hookflash.service"))

Handle: TypeAlias = Callable[[trio.SocketStream], Awaitable[None]]
"""Handles and closes a connection. It must not raise an exception."""

ACCEPTED_AT_ONCE: Final = 256
"""Connections that are accepted before other tasks go on."""

LET_IN_AT_ONCE: Final = 16
"""Connections that begin to be served before other tasks go on."""

MOST_WAITING: Final = 1_024
"""Connections in the lobby; each of them has a descriptor."""

PAUSE_S: Final = 0.1
"""How long to wait when the system has no descriptor or memory for another connection."""


class Lobby:
    """Connections that nobody serves yet."""

    def __init__(self, connections: Connections, *, most: int = MOST_WAITING) -> None:
        """Nobody waits yet.

        Args:
            connections: those of the door.
            most: how many may wait. One more, and the oldest of the most crowded address, of
                strangers if there are any, is refused.
        """
        self._connections = connections
        self._most = most
        self._first = Crowds[socket.socket]()
        self._strangers = Crowds[socket.socket]()
        self._is_strangers_turn = False
        self._count = 0
        self._somebody = trio.Event()

    def enter(self, connection: socket.socket, address: str) -> None:
        """A connection waits from now on."""
        waiting = self._first if self._connections.goes_first(address) else self._strangers
        waiting.enter(crowd_of(address), connection)
        self._count += 1
        self._somebody.set()
        if self._count > self._most:
            self._connections.refused += 1
            self._count -= 1
            (self._strangers or self._first).take_of_largest().close()

    async def somebody(self) -> None:
        """Wait until somebody waits."""
        if not self._count:
            self._somebody = trio.Event()
        await self._somebody.wait()

    def let_in(self, most: int) -> Iterator[socket.socket]:
        """Those whose turn it is."""
        for _ in range(min(most, self._count)):
            self._is_strangers_turn = not self._is_strangers_turn
            in_order = (self._first, self._strangers)
            one, other = in_order[:: -1 if self._is_strangers_turn else 1]
            self._count -= 1
            yield (one or other).take_in_turn()

    def close(self) -> None:
        """Close all connections."""
        for connection in self.let_in(self._count):
            connection.close()


async def accept_all(listeners: Sequence[socket.socket], lobby: Lobby, handle: Handle) -> None:
    """Handle each connection in a task of its own, until cancelled.

    Args:
        listeners: listening sockets. They are closed at the end.
        lobby: where connections wait.
        handle: handles and closes a connection.
    """
    try:
        async with trio.open_nursery() as nursery:
            for listener in listeners:
                nursery.start_soon(_accept, listener, lobby)
            while True:
                await lobby.somebody()
                for connection in lobby.let_in(LET_IN_AT_ONCE):
                    stream = trio.SocketStream(trio.socket.from_stdlib_socket(connection))
                    nursery.start_soon(handle, stream)
    finally:
        lobby.close()


async def _accept(listener: socket.socket, lobby: Lobby) -> None:
    listener.settimeout(0)
    with listener:
        while True:
            await trio.lowlevel.wait_readable(listener)
            try:
                _accept_some(listener, lobby)
            except OSError as error:
                log.warning("connection.not_accepted", why=str(error))
                await trio.sleep(PAUSE_S)


def _accept_some(listener: socket.socket, lobby: Lobby) -> None:
    for _ in range(ACCEPTED_AT_ONCE):
        try:
            connection, place = listener.accept()
        except BlockingIOError:
            return
        except ConnectionError:
            continue  # this client has left already
        lobby.enter(connection, place[0] if place else "")
