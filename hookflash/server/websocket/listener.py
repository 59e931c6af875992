"""Where programs knock for a WebSocket: who is let in, and as what."""

from __future__ import annotations

import logging
import ssl
from typing import Final

import structlog
import trio
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    WebSocketServer,
    serve_websocket,
)

from hookflash.server.websocket import messages as m
from hookflash.server.websocket.session import Doors, Session

log = structlog.wrap_logger(logging.getLogger("hookflash.websocket"))

PATHS: Final = frozenset({"/", "/v2/events"})
GOODBYE_S: Final = 2.0
"""How long a client has to say goodbye."""
HANDSHAKE_S: Final = 10.0
"""How long a client may take for its opening handshake."""
RECEIVE_BYTES: Final = 65_536


class Listener:
    """All WebSocket connections."""

    def __init__(self, doors: Doors, origins: tuple[str, ...] = ()) -> None:
        self._doors = doors
        self._origins = frozenset(origins)
        self.sessions: dict[Session, None] = {}

    async def meet(self, request: WebSocketRequest) -> None:
        """Let a client in, or not; and serve it."""
        try:
            await self._meet(request)
        except (ConnectionClosed, OSError):
            return  # gone before it was in

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
        """Why a client is not let in, as HTTP says it."""
        origin = dict(request.headers).get(b"origin")
        if request.path.partition("?")[0] not in PATHS:
            return 404, "events are at /v2/events"
        if origin is not None and origin.decode("latin-1") not in self._origins:
            return 403, "pages of this origin may not open a WebSocket here"
        if request.proposed_subprotocols and m.PROTOCOL not in request.proposed_subprotocols:
            return 400, f"the protocol that is spoken here is {m.PROTOCOL}"
        if len(self.sessions) >= self._doors.limits.websocket_connections:
            return 503, "too many connections are open"
        return None

    async def _serve(self, socket: WebSocketConnection, address: str) -> None:
        session = Session(socket, self._doors, address)
        self.sessions[session] = None
        try:
            await session.run()
        except Exception:  # whatever is wrong with one of them, the others go on
            log.exception("a WebSocket session failed")
            with trio.move_on_after(GOODBYE_S):
                await socket.aclose(m.OUT_OF_ORDER, "we are at fault; please report it")
        finally:
            del self.sessions[session]

    async def say_goodbye(self) -> None:
        """End all connections: the service stops."""
        async with trio.open_nursery() as nursery:
            for session in tuple(self.sessions):
                nursery.start_soon(session.close, m.GOING_AWAY, "the service stops: come back")

    async def serve(
        self,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        *,
        task_status: trio.TaskStatus[WebSocketServer] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Listen, until cancelled."""
        await serve_websocket(
            self.meet,
            host,
            port,
            tls,
            max_message_size=self._doors.limits.websocket_message_bytes,
            receive_buffer_size=RECEIVE_BYTES,
            connect_timeout=HANDSHAKE_S,
            disconnect_timeout=GOODBYE_S,
            task_status=task_status,
        )


def _address_of(request: WebSocketRequest) -> str:
    """Where a client is; what it is called where that is no address."""
    return str(getattr(request.remote, "address", request.remote))
