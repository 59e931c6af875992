"""Listens for WebSocket connections: handshakes, refusals, and the end of every connection.

A fault in one connection does not affect the others; its socket is closed.
"""

from __future__ import annotations

import logging
import math
import socket
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

import attrs
import structlog
import trio
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    wrap_server_stream,
)
from wsproto.utilities import ProtocolError

from hookflash.server.accepting import MOST_WAITING, Lobby, accept_all
from hookflash.server.api import ServiceApi
from hookflash.server.arrivals import Arrivals, BadArrival
from hookflash.server.connections import Admitted, Connections, TooManyConnections
from hookflash.server.websocket import messages as m
from hookflash.server.websocket.budget import READ_BYTES, MeteredStream
from hookflash.server.websocket.session import Session

log = structlog.wrap_logger(logging.getLogger("hookflash.websocket"))

PATHS: Final = frozenset({"/", "/v2/events"})
GOODBYE_S: Final = 2.0
"""Time for a client to receive the close frame."""
HANDSHAKE_S: Final = 5.0
"""Time limit of the opening handshake."""
KNOCKING: Final = 64
"""Connections beyond the limit, so that a client can be told that it is reached."""


@attrs.frozen
class Guest:
    """Who is at the other end of a connection."""

    address: str
    """The IP address; empty if it is none of the Internet."""
    stream: MeteredStream
    admitted: Admitted


class Listener:
    """All WebSocket connections."""

    def __init__(
        self,
        api: ServiceApi,
        arrivals: Arrivals,
        most: int,
        *,
        most_waiting: int = MOST_WAITING,
        origins: tuple[str, ...] = (),
    ) -> None:
        """Listen for nobody yet.

        Args:
            api: performs the operations.
            arrivals: how connections begin.
            most: how many programs may be signed in.
            most_waiting: connections that may wait until they are served.
            origins: of web pages that may connect.
        """
        self.arrivals = arrivals
        self._api = api
        self._most = most
        self._most_waiting = most_waiting
        self._origins = frozenset(origins)
        self.sessions: dict[Session, None] = {}
        self._signed_in = 0
        self.connections = Connections(
            most=most + KNOCKING,
            most_per_address=api.limits.connections_per_address,
            is_exempt=lambda address: not address or arrivals.proxies.trusts(address),
        )
        self._stopping = False

    async def welcome(self, stream: trio.abc.Stream) -> None:
        """Serve a stream, and close it."""
        try:
            await self._admit(stream)
        except* (ConnectionClosed, ProtocolError, OSError, *_BROKEN):
            pass  # the client or the network is at fault
        except* (TooManyConnections, BadArrival):
            pass  # counted, or not worth a word
        except* Exception:
            log.exception("connection.failed")
        finally:
            await trio.aclose_forcefully(stream)

    async def _admit(self, stream: trio.abc.Stream) -> None:
        address = await self.arrivals.address_of(stream, peer_of(stream))
        with self.connections.admit(address) as admitted:
            secure = await self.arrivals.secure(stream)
            try:
                await self._welcome(Guest(address, MeteredStream(secure), admitted))
            finally:
                if not admitted.evicted:
                    await _hang_up(secure)

    async def _welcome(self, guest: Guest) -> None:
        async with trio.open_nursery() as nursery:
            request: WebSocketRequest | None = None
            with trio.move_on_after(HANDSHAKE_S):
                await guest.stream.begin()
                request = await wrap_server_stream(
                    nursery,
                    guest.stream,
                    max_message_size=self._api.limits.websocket_message_bytes,
                    receive_buffer_size=READ_BYTES,
                )
            if request is not None:
                await self._meet(request, guest)
            nursery.cancel_scope.cancel()

    async def _meet(self, request: WebSocketRequest, guest: Guest) -> None:
        """Accept or refuse a client, and serve it."""
        client = self.arrivals.proxies.client_in(guest.address, request.headers)
        refused = self._refusal(request) or _too_many(guest, client)
        if refused is not None:
            status, why = refused
            await request.reject(status, body=why.encode())
            return
        offered = request.proposed_subprotocols
        with trio.move_on_after(HANDSHAKE_S) as limit:
            socket = await request.accept(subprotocol=m.PROTOCOL if offered else None)
            limit.deadline = math.inf
            await self._serve(socket, attrs.evolve(guest, address=client))

    def _refusal(self, request: WebSocketRequest) -> tuple[int, str] | None:
        """Why a client is refused: an HTTP status and a sentence."""
        if request.path.partition("?")[0] not in PATHS:
            return 404, "events are at /v2/events"
        if not self._is_origin_allowed(dict(request.headers)):
            return 403, "this origin is not in listen.origins"
        if request.proposed_subprotocols and m.PROTOCOL not in request.proposed_subprotocols:
            return 400, f"the subprotocol is {m.PROTOCOL}"
        if self._stopping:
            return 503, "the service stops: reconnect later"
        if self._signed_in >= self._most:
            return 503, "too many connections are open"
        return None

    def _is_origin_allowed(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a page may connect: of the same host and port, or of a configured origin.

        Programs other than browsers send no origin.
        """
        origin = headers.get(b"origin")
        if origin is None:
            return True
        place = origin.partition(b"://")[2]
        is_same = bool(place) and place.lower() == headers.get(b"host", b"").lower()
        return is_same or origin.decode("latin-1") in self._origins

    async def _serve(self, socket: WebSocketConnection, guest: Guest) -> None:
        session = Session(socket, self._api, guest.address)
        self.sessions[session] = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_watch_budget, guest.stream, session)
                with ExitStack() as stays:

                    def signed_in() -> None:
                        guest.stream.is_signed_in = True
                        guest.admitted.prove()
                        stays.enter_context(guest.admitted.working())
                        stays.enter_context(self._counted())

                    await session.run(signed_in)
                nursery.cancel_scope.cancel()
        except* Exception:  # the other sessions go on
            log.exception("session.failed")
            with trio.move_on_after(GOODBYE_S):
                await socket.aclose(m.OUT_OF_ORDER, "internal error; please report it")
        finally:
            del self.sessions[session]

    @contextmanager
    def _counted(self) -> Generator[None]:
        self._signed_in += 1
        try:
            yield
        finally:
            self._signed_in -= 1

    async def say_goodbye(self) -> None:
        """Close all connections, and accept no new ones. Called when the service stops."""
        self._stopping = True
        async with trio.open_nursery() as nursery:
            for session in tuple(self.sessions):
                nursery.start_soon(
                    session.close, m.GOING_AWAY, "the service stops: reconnect later"
                )

    async def serve(self, listeners: Sequence[socket.socket]) -> None:
        """Serve all who connect, until cancelled."""
        await accept_all(listeners, Lobby(self.connections, most=self._most_waiting), self.welcome)


_BROKEN: Final = (trio.BrokenResourceError, trio.ClosedResourceError)


def _too_many(guest: Guest, client: str) -> tuple[int, str] | None:
    """Count a connection for the client that a proxy names, or say why it is refused."""
    try:
        guest.admitted.count_for(client)
    except TooManyConnections as refused:
        return refused.http_status, str(refused)
    return None


async def _watch_budget(stream: MeteredStream, session: Session) -> None:
    await stream.overspent.wait()
    await session.close(m.NOT_SIGNED_IN, "sent too much before authenticate", within_s=GOODBYE_S)


async def _hang_up(stream: trio.abc.Stream) -> None:
    """Close a stream once the client has closed its side.

    Closing with unread data would send a TCP reset, and the client could lose our last message.
    """
    try:
        with trio.move_on_after(GOODBYE_S):
            if isinstance(stream, trio.abc.HalfCloseableStream):
                await stream.send_eof()
            while await stream.receive_some(READ_BYTES):
                pass
    except _BROKEN:
        pass  # the client has closed it


def peer_of(stream: trio.abc.Stream) -> str:
    """The address that a connection comes from; empty if it is none of the Internet.

    Raises:
        OSError: the client is gone.
    """
    return str(stream.socket.getpeername()[0]) if isinstance(stream, trio.SocketStream) else ""
