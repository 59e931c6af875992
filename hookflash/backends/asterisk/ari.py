"""One WebSocket to Asterisk's REST interface (ARI): events come in, requests go out by it, too.

The switch carries out the requests of one WebSocket strictly one after the other. So each has a
time limit, and where one passes, the connection is over: only a new one shows whether the switch
still does what it is asked.
"""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Final
from urllib.parse import quote

import attrs
import msgspec
import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    HandshakeError,
    WebSocketConnection,
    connect_websocket,
)

from hookflash.backends.asterisk.requests import Request
from hookflash.backends.asterisk.told import Told, read_told
from hookflash.errors import BackendError

MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
"""The list of all channels is one message: some 600 bytes each."""

QUEUE: Final = 256
"""How many messages may wait for the reader, which never waits itself."""

CLOSE_S: Final = 0.2
"""How long a close may take: a switch that does not answer must not hold up the next try."""

RESPONSE: Final = "RESTResponse"


class AriLost(BackendError):
    """The connection ended before the response came."""


class AriRefused(BackendError):
    """The switch does not let us in."""


@attrs.frozen(kw_only=True)
class AriLogin:
    """Where ARI is, and who logs in."""

    host: str = "127.0.0.1"
    port: int = 8088
    username: str
    password: str = attrs.field(repr=False)
    application: str = "hookflash"
    timeout_s: float = 5.0
    """For connecting, and for every request."""
    tls: ssl.SSLContext | None = attrs.field(default=None, repr=False)


@attrs.define(eq=False)
class _Asked:
    """A request whose response is awaited."""

    request: Request
    come: trio.Event = attrs.field(factory=trio.Event)
    told: Told | None = None


class Ari:
    """One connection. `open_ari` opens it."""

    def __init__(self, socket: WebSocketConnection, timeout_s: float) -> None:
        """Take a WebSocket that is open. `read` must run beside the rest."""
        self.dead: AriLost | None = None
        """Why the connection ended; `None` while it has not."""
        self._socket = socket
        self._timeout_s = timeout_s
        self._asked: dict[str, _Asked] = {}
        self._numbers = count(1)
        self._scope = trio.CancelScope()

    async def read(self, take: Callable[[Told], None]) -> None:
        """Read until the connection ends. Events go to `take`, which must not block."""
        try:
            with self._scope:
                while True:
                    told = read_told(await self._socket.get_message())
                    if told.type == RESPONSE:
                        self._answer(told)
                    else:
                        take(told)
        except ConnectionClosed:
            self.die("the switch has closed the connection")
        except msgspec.DecodeError as error:
            self.die(f"a message can't be read: {error}")
        finally:
            self.die("the connection was closed")

    def _answer(self, told: Told) -> None:
        asked = self._asked.pop(told.request_id, None)
        if asked is not None:
            asked.told = told
            asked.come.set()

    async def ask(self, request: Request, timeout_s: float | None = None) -> Told:
        """Send a request, and wait for its response.

        Args:
            request: what is asked.
            timeout_s: how long to wait, where it is not as long as usual.

        Raises:
            AriLost: there will be none.
        """
        number = f"h{next(self._numbers)}"
        asked = self._asked[number] = _Asked(request)
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        with trio.move_on_after(limit_s):
            if self.dead is not None:
                raise self.dead
            try:
                await self._socket.send_message(request.encoded(number))
            except ConnectionClosed as error:
                raise self.die("the switch has closed the connection") from error
            await asked.come.wait()
        if asked.told is not None:
            return asked.told
        if self.dead is None:
            self.die(f"no response to {request.method} {request.uri} within {limit_s:g} s")
        raise self.die("")

    def die(self, why: str) -> AriLost:
        """End the connection. The first reason is kept."""
        if self.dead is None:
            self.dead = AriLost(f"ARI: {why}")
            self._scope.cancel()
        for asked in self._asked.values():
            asked.come.set()
        self._asked.clear()
        return self.dead


@asynccontextmanager
async def open_ari(login: AriLogin, take: Callable[[Told], None]) -> AsyncGenerator[Ari]:
    """Connect, and read. The connection is closed at the end of the block.

    If the connection ends before that, whoever asks gets `AriLost`, and `read` ends the block.

    Raises:
        AriRefused: the switch does not accept the login.
        AriLost: it can't be reached, or the connection ended.
    """
    failed: Exception | None = None
    async with trio.open_nursery() as nursery:
        try:
            socket = await _connect(nursery, login)
            try:
                ari = Ari(socket, login.timeout_s)
                nursery.start_soon(_read, ari, take, nursery.cancel_scope)
                yield ari
            finally:
                await _close(socket)
        except Exception as error:  # noqa: BLE001 - raised outside: a nursery wraps it in a group
            failed = error
        finally:
            nursery.cancel_scope.cancel()
    if failed is not None:
        raise failed


async def _read(ari: Ari, take: Callable[[Told], None], scope: trio.CancelScope) -> None:
    await ari.read(take)
    scope.cancel()


async def _close(socket: WebSocketConnection) -> None:
    """Close a WebSocket; if the switch does not answer at once, without it."""
    with trio.move_on_after(CLOSE_S, shield=True):
        await socket.aclose()


async def _connect(nursery: trio.Nursery, login: AriLogin) -> WebSocketConnection:
    place = f"{login.host}:{login.port}"
    said = b64encode(f"{login.username}:{login.password}".encode())
    resource = f"/ari/events?app={quote(login.application)}&subscribeAll=true"
    try:
        with trio.fail_after(login.timeout_s):
            return await connect_websocket(
                nursery,
                login.host,
                login.port,
                resource,
                use_ssl=login.tls or False,
                extra_headers=[(b"Authorization", b"Basic " + said)],
                message_queue_size=QUEUE,
                max_message_size=MAX_MESSAGE_BYTES,
                receive_buffer_size=None,
            )
    except ConnectionRejected as error:
        if error.status_code in (401, 403):
            raise AriRefused(
                f"ARI at {place} does not accept the user {login.username!r} or its password"
            ) from None
        raise AriLost(f"ARI at {place} answers {error.status_code}") from None
    except (HandshakeError, OSError, trio.TooSlowError, trio.BrokenResourceError) as error:
        why = str(error) or type(error).__name__
        raise AriLost(f"ARI at {place} can't be reached: {why}") from error
