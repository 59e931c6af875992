"""One WebSocket to Asterisk's REST interface (ARI), for events and requests.

The switch executes the requests of one WebSocket strictly one after the other. So each has a
timeout, and after a timeout the connection is given up: only a new one shows whether the switch
still responds.

Lists are fetched by HTTP. Asterisk copies what it sends over a WebSocket to the stack of a thread
first, and half a megabyte, the list of about 600 channels, crashes the process (seen on 22.10.1).
"""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from typing import Any, Final
from urllib.parse import quote

import attrs
import h11
import msgspec
import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    WebSocketConnection,
    wrap_client_stream,
)

from hookflash.backends.asterisk.ari_messages import AriMessage, read_message
from hookflash.backends.asterisk.requests import Request
from hookflash.backends.endpoints import cause_of, connect
from hookflash.errors import BackendError, first_of

MAX_MESSAGE_BYTES: Final = 1024 * 1024
"""No event or response is longer."""

RECEIVE_BYTES: Final = 262_144
"""Bytes per read of a list."""
MOST_LISTED_BYTES: Final = 64 * 1024 * 1024
"""No list is longer: a channel has some 1.2 KB."""

QUEUE: Final = 256
"""How many messages may wait for the reader, which itself never waits."""

UNREACHABLE: Final = (OSError, trio.BrokenResourceError, h11.RemoteProtocolError)
"""The errors of a request by HTTP."""

RESPONSE: Final = "RESTResponse"


class AriLost(BackendError):
    """The connection ended before the response came."""


class AriRefused(BackendError):
    """The switch refuses the login."""


@attrs.frozen(kw_only=True)
class AriLogin:
    """The address of ARI, and the login."""

    host: str = "127.0.0.1"
    port: int = 8088
    username: str
    password: str = attrs.field(repr=False)
    application: str = "hookflash"
    timeout_s: float = 5.0
    """Timeout for connecting, and for every request."""
    tls: ssl.SSLContext | None = attrs.field(default=None, repr=False)

    @property
    def authorization(self) -> str:
        """The `Authorization` header of a request (RFC 7617)."""
        said = b64encode(f"{self.username}:{self.password}".encode())
        return f"Basic {said.decode()}"


@attrs.define(eq=False)
class _PendingRequest:
    """A request whose response is awaited."""

    request: Request
    come: trio.Event = attrs.field(factory=trio.Event)
    response: AriMessage | None = None


class Ari:
    """One connection. `open_ari` opens it."""

    def __init__(self, socket: WebSocketConnection, login: AriLogin) -> None:
        """Use an open WebSocket. `read` must run in a task."""
        self.dead: AriLost | None = None
        """Why the connection ended; `None` while it has not."""
        self._socket = socket
        self._login = login
        self._timeout_s = login.timeout_s
        self._asked: dict[str, _PendingRequest] = {}
        self._numbers = count(1)
        self.heard_s = trio.current_time()
        """When the switch has last sent something."""
        self._scopes: set[trio.CancelScope] = set()
        """The cancel scopes of all tasks that wait for the switch."""

    async def read(self, take: Callable[[AriMessage], None]) -> None:
        """Read until the connection ends. Events go to `take`, which must not block."""
        try:
            with self._while_it_lives():
                while True:
                    message = read_message(await self._socket.get_message())
                    self.heard_s = trio.current_time()
                    if message.type == RESPONSE:
                        self._answer(message)
                    else:
                        take(message)
        except ConnectionClosed:
            self.die("the switch has closed the connection")
        except msgspec.DecodeError as error:
            self.die(f"a message can't be read: {error}")
        finally:
            self.die("the connection was closed")

    def _answer(self, response: AriMessage) -> None:
        asked = self._asked.pop(response.request_id, None)
        if asked is not None:
            asked.response = response
            asked.come.set()

    async def ask(self, request: Request, timeout_s: float | None = None) -> AriMessage:
        """Send a request, and wait for its response.

        Args:
            request: the request.
            timeout_s: the timeout, if it differs from the usual one.

        Raises:
            AriLost: the response will not come.
        """
        number = f"h{next(self._numbers)}"
        asked = self._asked[number] = _PendingRequest(request)
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        with trio.move_on_after(limit_s):
            if self.dead is not None:
                raise self.dead
            try:
                await self._socket.send_message(request.encoded(number))
            except ConnectionClosed as error:
                raise self.die("the switch has closed the connection") from error
            await asked.come.wait()
        if asked.response is not None:
            return asked.response
        if self.dead is None:
            self.die(f"no response to {request.method} {request.uri} within {limit_s:g} s")
        raise self.die("")

    async def list(self, what: str) -> AriMessage:
        """Get a list, by HTTP.

        Args:
            what: `channels` or `bridges`.

        Raises:
            AriLost: the list will not come.
        """
        why = f"no list of {what} within {self._timeout_s:g} s"
        try:
            with self._while_it_lives(), trio.move_on_after(self._timeout_s):
                status, body = await get(self._login, f"/ari/{what}")
                return AriMessage(status_code=status, message_body=body.decode(errors="replace"))
        except UNREACHABLE as error:
            why = f"no list of {what}: {cause_of(error)}"
        raise self.die(why)

    @contextmanager
    def _while_it_lives(self) -> Generator[None]:
        """Cancel the block when the connection ends."""
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            if self.dead is not None:
                scope.cancel()
            try:
                yield
            finally:
                self._scopes.discard(scope)

    def die(self, why: str) -> AriLost:
        """End the connection. The first reason is kept."""
        if self.dead is None:
            self.dead = AriLost(f"ARI: {why}")
            for scope in self._scopes:
                scope.cancel()
        for asked in self._asked.values():
            asked.come.set()
        self._asked.clear()
        return self.dead


@asynccontextmanager
async def open_ari(login: AriLogin, take: Callable[[AriMessage], None]) -> AsyncGenerator[Ari]:
    """Connect, and read. The connection is closed at the end of the block.

    If the connection ends before that, requests raise `AriLost`, and `read` ends the block.

    Raises:
        AriRefused: the switch does not accept the login.
        AriLost: it can't be reached, or the connection ended.
        Rejected: its certificate is not trusted.
    """
    stream = await _connect(login)
    failed: Exception | None = None
    try:
        # closed without a handshake: the switch may hang, or be gone
        async with stream, trio.open_nursery() as nursery:
            try:
                ari = Ari(await _upgrade(nursery, stream, login), login)
                nursery.start_soon(_read, ari, take, nursery.cancel_scope)
                yield ari
            except Exception as error:  # noqa: BLE001 - raised outside: a nursery wraps it
                failed = error
            finally:
                nursery.cancel_scope.cancel()
    except* ConnectionRejected as rejected:  # by the task that reads for the WebSocket
        failed = _refusal(login, first_of(rejected))
    if failed is not None:
        raise failed


async def _read(ari: Ari, take: Callable[[AriMessage], None], scope: trio.CancelScope) -> None:
    await ari.read(take)
    scope.cancel()


async def _connect(login: AriLogin) -> trio.abc.Stream:
    try:
        with trio.fail_after(login.timeout_s):
            return await connect(login.host, login.port, login.tls)
    except (OSError, trio.TooSlowError, trio.BrokenResourceError) as error:
        raise AriLost(f"ARI at {_place(login)} can't be reached: {cause_of(error)}") from error


async def get(login: AriLogin, path: str) -> tuple[int, bytes]:
    """Get a path on a connection of its own: the status and the body.

    Raises:
        OSError: it can't be reached.
        trio.BrokenResourceError: the connection broke.
        h11.RemoteProtocolError: the answer is not HTTP, ends too soon, or does not end.
    """
    http = h11.Connection(h11.CLIENT)
    headers = [
        ("Host", login.host),
        ("Authorization", login.authorization),
        ("Connection", "close"),
    ]
    asked = h11.Request(method="GET", target=path, headers=headers)
    status, body = 0, bytearray()
    async with await connect(login.host, login.port, login.tls) as stream:
        await stream.send_all((http.send(asked) or b"") + (http.send(h11.EndOfMessage()) or b""))
        while True:
            match http.next_event():
                case h11.NEED_DATA:
                    http.receive_data(bytes(await stream.receive_some(RECEIVE_BYTES)))
                case h11.Response(status_code=status):
                    pass
                case h11.Data(data=data):
                    body += data
                    if len(body) > MOST_LISTED_BYTES:
                        raise h11.RemoteProtocolError("the answer is too long")
                case h11.EndOfMessage():
                    return status, bytes(body)
                case _:
                    pass  # an interim response: another follows


async def _upgrade(
    nursery: trio.Nursery, stream: trio.abc.Stream, login: AriLogin
) -> WebSocketConnection:
    carrier: Any = stream  # typed for sockets, and works with any stream
    resource = f"/ari/events?app={quote(login.application)}&subscribeAll=true"
    try:
        with trio.fail_after(login.timeout_s):
            return await wrap_client_stream(
                nursery,
                carrier,
                _place(login),
                resource,
                extra_headers=[(b"Authorization", login.authorization.encode())],
                message_queue_size=QUEUE,
                max_message_size=MAX_MESSAGE_BYTES,
                receive_buffer_size=None,
            )
    except trio.TooSlowError:
        raise AriLost(f"ARI at {_place(login)} does not answer") from None


def _refusal(login: AriLogin, rejected: BaseException) -> AriRefused | AriLost:
    status = getattr(rejected, "status_code", 0)
    if status in (401, 403):
        return AriRefused(
            f"ARI at {_place(login)} does not accept the user {login.username!r} or its password"
        )
    return AriLost(f"ARI at {_place(login)} answers {status}")


def _place(login: AriLogin) -> str:
    return f"{login.host}:{login.port}"
