"""Where programs knock for a WebSocket: who is let in, and as what.

Whatever comes of a connection, it ends here: what is wrong with one of them hurts no other, and its
socket is closed in the end, whichever of the many ways of parting its program, the network or the
library has found.
"""

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
    wrap_server_stream,
)
from wsproto.utilities import ProtocolError

from hookflash.server.websocket import messages as m
from hookflash.server.websocket.session import Doors, Session

log = structlog.wrap_logger(logging.getLogger("hookflash.websocket"))

PATHS: Final = frozenset({"/", "/v2/events"})
GOODBYE_S: Final = 2.0
"""How long a client has to hear the last of what we say."""
HANDSHAKE_S: Final = 10.0
"""How long a client may take for its opening handshake."""
RECEIVE_BYTES: Final = 65_536


class Listener:
    """All WebSocket connections."""

    def __init__(self, doors: Doors, origins: tuple[str, ...] = ()) -> None:
        self._doors = doors
        self._origins = frozenset(origins)
        self.sessions: dict[Session, None] = {}
        self._knocking = 0
        self._stopping = False

    async def welcome(self, stream: trio.abc.Stream) -> None:
        """Serve whoever is at the other end of a stream, and leave nothing of it behind."""
        try:
            await self._welcome(stream)
        except* (ConnectionClosed, ProtocolError, OSError, *_BROKEN):
            pass  # it, or the line to it, is no good: nothing that we could fix
        except* Exception:
            log.exception("a WebSocket connection failed")
        finally:
            await _hang_up(stream)

    async def _welcome(self, stream: trio.abc.Stream) -> None:
        limits = self._doors.limits
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
        if self._stopping:
            return 503, "the service stops: come back"
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
        """End all connections, and take no new ones: the service stops."""
        self._stopping = True
        async with trio.open_nursery() as nursery:
            for session in tuple(self.sessions):
                nursery.start_soon(session.close, m.GOING_AWAY, "the service stops: come back")

    async def serve(
        self,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        *,
        task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Listen, until cancelled; `task_status` is told the port."""
        listeners = await trio.open_tcp_listeners(port, host=host)
        bound_to: int = listeners[0].socket.getsockname()[1]
        doors = (
            listeners
            if tls is None
            else [trio.SSLListener(one, tls, https_compatible=True) for one in listeners]
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(trio.serve_listeners, self.welcome, doors)
            task_status.started(bound_to)


_BROKEN: Final = (trio.BrokenResourceError, trio.ClosedResourceError)


async def _hang_up(stream: trio.abc.Stream) -> None:
    """Close a stream, once the other side has heard all of it.

    To hang up while it still talks would make the network forget what we said last.
    """
    try:
        with trio.move_on_after(GOODBYE_S):
            if isinstance(stream, trio.abc.HalfCloseableStream):
                await stream.send_eof()
            while await stream.receive_some(RECEIVE_BYTES):
                pass
    except _BROKEN:
        pass  # it has hung up
    finally:
        await trio.aclose_forcefully(stream)


def _address_of(request: WebSocketRequest) -> str:
    """Where a client is; what it is called where that is no address."""
    return str(getattr(request.remote, "address", request.remote))
