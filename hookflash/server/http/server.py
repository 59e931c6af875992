"""The HTTP server: HTTP/1.1 by h11, on trio, for strangers.

Every wait for a client has a deadline (`Patience`), the number of connections has a limit
(`Connections`), and nothing is shielded: when the server is cancelled, all connections end at once,
whatever the clients do. HTTP/2 is not spoken, and no upgrade is accepted. To the application, an
ASGI callable, a client that leaves or is too slow looks like a cancellation.
"""

from __future__ import annotations

import logging
import socket
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, Final
from urllib.parse import unquote

import attrs
import h11
import structlog
import trio

from hookflash.server.accepting import MOST_WAITING, Lobby, accept_all
from hookflash.server.arrivals import Arrivals, BadArrival
from hookflash.server.connections import Admitted, Connections, TooManyConnections
from hookflash.server.http.envelope import failure_body
from hookflash.server.http.message import SIGNED_IN, AsgiApp, AsgiMessage
from hookflash.server.http.wire import BROKEN, BadRequest, ClientLeft, HttpWire, Patience
from hookflash.server.unsent import NOBODY, Unsent

log = structlog.wrap_logger(logging.getLogger("hookflash.http"))

REQUESTS_PER_CONNECTION: Final = 1_000
REFUSAL_S: Final = 0.1
JSON_TYPE: Final = (b"content-type", b"application/json")

FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)


@attrs.frozen(kw_only=True)
class HttpServer:
    """What all connections share."""

    app: AsgiApp
    connections: Connections
    patience: Patience = attrs.field(factory=Patience)
    most_waiting: int = MOST_WAITING
    """Connections that may wait until they are served."""
    most_body_bytes: int = 65_536
    arrivals: Arrivals = attrs.field(factory=Arrivals)
    """How connections begin: the PROXY header, and TLS."""
    unsent: Unsent = attrs.field(factory=Unsent)
    """Shared with the other door."""


async def serve_http(server: HttpServer, listeners: Sequence[socket.socket]) -> None:
    """Serve until cancelled; then all connections end at once.

    Args:
        server: how to serve.
        listeners: listening sockets, without TLS.
    """
    lobby = Lobby(server.connections, most=server.most_waiting)
    await accept_all(listeners, lobby, partial(_serve_socket, server))


async def _serve_socket(server: HttpServer, stream: trio.SocketStream) -> None:
    try:
        address: str = stream.socket.getpeername()[0]
    except OSError:
        await trio.aclose_forcefully(stream)  # it has left already
    else:
        await serve_stream(server, stream, address)


async def serve_stream(server: HttpServer, stream: trio.abc.Stream, address: str) -> None:
    """Serve one connection, and close it. A fault in it does not affect the others."""
    try:
        address = await server.arrivals.address_of(stream, address)
        with server.connections.admit(address) as admitted:
            secure = await server.arrivals.secure(stream)
            await HttpConnection(server, secure, address, admitted).serve()
    except TooManyConnections:
        await _refuse(server, stream)
    except (ClientLeft, BadArrival, *BROKEN):
        pass  # the client or the network is at fault
    except Exception:
        log.exception("connection.failed")
    finally:
        await trio.aclose_forcefully(stream)


async def _refuse(server: HttpServer, stream: trio.abc.Stream) -> None:
    """Say that there are too many connections, if that can be said at once."""
    if server.arrivals.tls is None:
        with trio.move_on_after(REFUSAL_S), suppress(*BROKEN):
            await stream.send_all(FULL)


class HttpConnection:
    """One connection: its requests, one after the other."""

    def __init__(
        self, server: HttpServer, stream: trio.abc.Stream, address: str, admitted: Admitted
    ) -> None:
        self._server = server
        self._wire = HttpWire(stream, server.patience, server.most_body_bytes)
        self._peer = address
        self._admitted = admitted

    async def serve(self) -> None:
        """Answer the requests, until the connection ends.

        Raises:
            ClientLeft: the connection is lost.
        """
        for left in reversed(range(REQUESTS_PER_CONNECTION)):
            try:
                head = await self._wire.head(self._idle_s())
                if head is None:
                    return
                with ExitStack() as stays:
                    await self._answer(head, stays, is_last=not left)
            except BadRequest as error:
                await self._fail(error)
                break
            if not self._wire.begin_next():
                break
        await self._wire.say_goodbye()

    def _idle_s(self) -> float:
        connections, patience = self._server.connections, self._server.patience
        is_crowded = connections.total > connections.most // 2
        return patience.crowded_idle_s if is_crowded else patience.idle_s

    async def _answer(self, head: h11.Request, stays: ExitStack, *, is_last: bool) -> None:
        client = self._server.arrivals.proxies.client_in(self._peer, head.headers)
        try:
            self._admitted.count_for(client)
        except TooManyConnections as error:
            raise BadRequest(error.http_status, str(error)) from error
        exchange = Exchange(self._wire, lambda: stays.enter_context(self._admitted.working()))
        status, why = 500, "internal error"
        with trio.CancelScope() as scope:
            scope.deadline = trio.current_time() + self._server.patience.request_s
            exchange.scope = scope
            try:
                scope_of = self._scope_of(head, client, exchange)
                await self._server.app(scope_of, exchange.receive, exchange.send)
            except Exception:
                log.exception("application.failed")
        if exchange.fault is not None:
            raise exchange.fault
        if scope.cancelled_caught:
            status, why = 503, "the answer took too long"
        if not exchange.is_complete:
            raise BadRequest(status, why)
        ends = is_last or not self._wire.has_whole_body or _asks_for_upgrade(head)
        await self._send(exchange, ends=ends)

    async def _send(self, exchange: Exchange, *, ends: bool) -> None:
        """Send an answer.

        Raises:
            ClientLeft: the client does not read it, or too many of its key's wait to be read.
        """
        size = len(exchange.body)
        with (
            trio.CancelScope() as scope,
            self._server.unsent.waiting(exchange.key, size, scope.cancel),
        ):
            await self._wire.answer(exchange.status, exchange.headers, exchange.body, ends=ends)
        if scope.cancelled_caught:
            raise ClientLeft

    async def _fail(self, error: BadRequest) -> None:
        request_id = uuid.uuid4().hex
        headers = (JSON_TYPE, (b"x-request-id", request_id.encode()))
        body = failure_body(error.status, error.why, request_id)
        await self._wire.answer(error.status, headers, body, ends=True)

    def _scope_of(self, head: h11.Request, client: str, exchange: Exchange) -> dict[str, Any]:
        path, _, query = head.target.partition(b"?")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": head.http_version.decode(),
            "method": head.method.decode(),
            "scheme": "http" if self._server.arrivals.tls is None else "https",
            "path": unquote(path),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": list(head.headers),
            "client": (client, 0),
            "server": None,
            "state": {},
            "extensions": {SIGNED_IN: exchange.signed_in},
        }


class Exchange:
    """One request and its answer, between the connection and the application.

    The answer is sent when it is complete. A fault of the client cancels the application. Until
    the program has signed in and the body is whole, a full door may close the connection.
    """

    def __init__(self, wire: HttpWire, protect: Callable[[], object]) -> None:
        self._wire = wire
        self._protect = protect
        self.key = NOBODY
        """The ID of the program's key, once it has signed in."""
        self._is_protected = False
        self.scope = trio.CancelScope()
        self.fault: BadRequest | ClientLeft | None = None
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.is_complete = False

    async def receive(self) -> AsgiMessage:
        """Read a part of the body, for the application."""
        try:
            part, has_more = await self._wire.body()
        except (BadRequest, ClientLeft) as error:
            self.fault = error
            self.scope.cancel()
            await trio.sleep_forever()
        self._protect_if_due()
        return {"type": "http.request", "body": part, "more_body": has_more}

    def signed_in(self, key: str) -> None:
        """The program has signed in. Called by the application."""
        self.key = key
        self._protect_if_due()

    def _protect_if_due(self) -> None:
        if self.key and self._wire.has_whole_body and not self._is_protected:
            self._is_protected = True
            self._protect()

    async def send(self, message: AsgiMessage) -> None:
        """Take a part of the answer from the application."""
        await trio.lowlevel.checkpoint()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = [(name.lower(), value) for name, value in message.get("headers", ())]
        else:
            self.body += message.get("body", b"")
            self.is_complete = not message.get("more_body", False)


def _asks_for_upgrade(head: h11.Request) -> bool:
    """Whether a client wants another protocol (h2c, say): its connection ends with the answer."""
    return any(name == b"upgrade" for name, _ in head.headers)
