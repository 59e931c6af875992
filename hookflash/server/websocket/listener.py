"""Listens for WebSocket connections: handshakes, refusals, and the end of every connection.

A fault in one connection does not affect the others; its socket is closed.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Sequence
from typing import Final

import structlog
import trio
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    wrap_server_stream,
)
from wsproto.utilities import ProtocolError

from hookflash.server.api import ServiceApi
from hookflash.server.websocket import messages as m
from hookflash.server.websocket.session import Session

log = structlog.wrap_logger(logging.getLogger("hookflash.websocket"))

PATHS: Final = frozenset({"/", "/v2/events"})
GOODBYE_S: Final = 2.0
"""Time for a client to receive the close frame."""
HANDSHAKE_S: Final = 10.0
"""Time limit of the opening handshake."""
RECEIVE_BYTES: Final = 65_536


class Listener:
    """All WebSocket connections."""

    def __init__(self, api: ServiceApi, origins: tuple[str, ...] = ()) -> None:
        self._api = api
        self._origins = frozenset(origins)
        self.sessions: dict[Session, None] = {}
        self._knocking = 0
        self._stopping = False

    async def welcome(self, stream: trio.abc.Stream) -> None:
        """Serve a stream, and close it."""
        try:
            await self._welcome(stream)
        except* (ConnectionClosed, ProtocolError, OSError, *_BROKEN):
            pass  # the client or the network is at fault
        except* Exception:
            log.exception("connection.failed")
        finally:
            await _hang_up(stream)

    async def _welcome(self, stream: trio.abc.Stream) -> None:
        limits = self._api.limits
        if self._knocking >= limits.websocket_connections:
            return
        async with trio.open_nursery() as nursery:
            request: WebSocketRequest | None = None
            self._knocking += 1
            try:
                with trio.move_on_after(HANDSHAKE_S):
                    request = await wrap_server_stream(
                        nursery,
                        stream,
                        max_message_size=limits.websocket_message_bytes,
                        receive_buffer_size=RECEIVE_BYTES,
                    )
            finally:
                self._knocking -= 1
            if request is not None:
                await self.meet(request)
            nursery.cancel_scope.cancel()

    async def meet(self, request: WebSocketRequest) -> None:
        """Accept or refuse a client, and serve it."""
        try:
            await self._meet(request)
        except (ConnectionClosed, OSError):
            return  # it left during the handshake

    async def _meet(self, request: WebSocketRequest) -> None:
        refused = self._refusal(request)
        if refused is not None:
            status, why = refused
            await request.reject(status, body=why.encode())
            return
        offered = request.proposed_subprotocols
        socket = await request.accept(subprotocol=m.PROTOCOL if offered else None)
        await self._serve(socket, _address_of(request))

    def _refusal(self, request: WebSocketRequest) -> tuple[int, str] | None:
        """Why a client is refused: an HTTP status and a sentence."""
        origin = dict(request.headers).get(b"origin")
        if request.path.partition("?")[0] not in PATHS:
            return 404, "events are at /v2/events"
        if origin is not None and origin.decode("latin-1") not in self._origins:
            return 403, "this origin is not in listen.origins"
        if request.proposed_subprotocols and m.PROTOCOL not in request.proposed_subprotocols:
            return 400, f"the subprotocol is {m.PROTOCOL}"
        if self._stopping:
            return 503, "the service stops: reconnect later"
        if len(self.sessions) >= self._api.limits.websocket_connections:
            return 503, "too many connections are open"
        return None

    async def _serve(self, socket: WebSocketConnection, address: str) -> None:
        session = Session(socket, self._api, address)
        self.sessions[session] = None
        try:
            await session.run()
        except Exception:  # the other sessions go on
            log.exception("session.failed")
            with trio.move_on_after(GOODBYE_S):
                await socket.aclose(m.OUT_OF_ORDER, "internal error; please report it")
        finally:
            del self.sessions[session]

    async def say_goodbye(self) -> None:
        """Close all connections, and accept no new ones. Called when the service stops."""
        self._stopping = True
        async with trio.open_nursery() as nursery:
            for session in tuple(self.sessions):
                nursery.start_soon(
                    session.close, m.GOING_AWAY, "the service stops: reconnect later"
                )

    async def serve(
        self, listeners: Sequence[trio.SocketListener], tls: ssl.SSLContext | None
    ) -> None:
        """Serve all who connect, until cancelled."""
        if tls is None:
            await trio.serve_listeners(self.welcome, list(listeners))
        secure = [trio.SSLListener(one, tls, https_compatible=True) for one in listeners]
        await trio.serve_listeners(self.welcome, secure)


_BROKEN: Final = (trio.BrokenResourceError, trio.ClosedResourceError)


async def _hang_up(stream: trio.abc.Stream) -> None:
    """Close a stream once the client has closed its side.

    Closing with unread data would send a TCP reset, and the client could lose our last message.
    """
    try:
        with trio.move_on_after(GOODBYE_S):
            if isinstance(stream, trio.abc.HalfCloseableStream):
                await stream.send_eof()
            while await stream.receive_some(RECEIVE_BYTES):
                pass
    except _BROKEN:
        pass  # the client has closed it
    finally:
        await trio.aclose_forcefully(stream)


def _address_of(request: WebSocketRequest) -> str:
    """The client's IP address, or the name of its endpoint."""
    return str(getattr(request.remote, "address", request.remote))
