"""A connection that is opened again when it is lost, and the subscriptions on it.

Reconnecting has a back-off with jitter. Each subscription resumes after the last event that came,
without a gap or a repeat. Events are kept for a busy reader, up to a number; beyond that the
subscription is ended, and made again when the reader has read them.
"""

from __future__ import annotations

import random
import ssl
from collections.abc import Mapping
from typing import Any, Final, cast
from urllib.parse import urlsplit

import attrs
import msgspec
import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    HandshakeError,
    WebSocketConnection,
    wrap_client_stream,
)
from wsproto.utilities import ProtocolError

from hookflash.client.errors import ConnectionLost, RefusedByService
from hookflash.client.events import ClientSubscription
from hookflash.client.stream import Stream, open_stream
from hookflash.errors import BackendError, InternalError, first_of

PROTOCOL: Final = "hookflash.v1"

BUFFER: Final = 10_000
"""Events that are kept until the program reads them."""

LONGEST_MESSAGE_BYTES: Final = 16_000_000
"""Two hundred events in one message, each of the greatest length."""

OPENING_S: Final = 10.0
"""How long the service may take to accept a connection."""

HEARTBEAT_S: Final = 20.0
"""How often the client sends a ping, and how long the answer may take."""

GOODBYE_S: Final = 1.0
"""How long the client waits for the service's close frame."""

FIRST_PAUSE_S: Final = 0.1
"""The back-off before the first attempt to reconnect."""

_DICE: Final = random.SystemRandom()
_LOST: Final = (
    OSError,
    trio.BrokenResourceError,
    HandshakeError,
    ConnectionClosed,
    ProtocolError,  # theirs; or a ping that crosses our close frame
)


class Connection:
    """A connection that heals."""

    def __init__(
        self,
        url: str,
        credentials: Mapping[str, str],
        *,
        tls: ssl.SSLContext | None,
        longest_pause_s: float,
    ) -> None:
        self._url = url
        self._credentials = dict(credentials)
        self._tls = tls
        self._longest_pause_s = longest_pause_s
        self._socket: WebSocketConnection | None = None
        self._up = trio.Event()
        self._leaving = trio.Event()
        self._is_closed = False
        self._replies: dict[str, _Reply] = {}
        self._followers: dict[ClientSubscription, None] = {}
        self._by_name: dict[str, ClientSubscription] = {}
        self._count = 0
        self._connected = 0
        self._nursery: trio.Nursery

    @property
    def reconnects(self) -> int:
        """How often a lost connection was opened again."""
        return max(self._connected - 1, 0)

    async def ask(self, action: str, fields: Mapping[str, Any]) -> Any:
        """Send a request, again if the connection is lost, until its reply comes.

        Raises:
            RefusedByService: the service refuses it.
            ConnectionLost: the client is closed.
        """
        while True:
            await self._until_up()
            try:
                return await self._ask(action, fields)
            except ConnectionLost:
                continue  # safe: a repeated command has the same idempotency key

    async def follow(self, follower: ClientSubscription) -> bool:
        """Make sure that a follower is subscribed.

        Returns:
            Whether it was before; if not, events may have come meanwhile.
        """
        if follower in self._followers:
            return True
        await self._until_up()
        self._followers[follower] = None  # from now on, every new connection resumes it
        try:
            await self._subscribe(follower)
        except ConnectionLost:
            return False
        except BaseException:
            self._forget(follower)
            raise
        return False

    def leave(self, follower: ClientSubscription) -> None:
        """End a subscription."""
        follower.left = True
        self._forget(follower)

    def _forget(self, follower: ClientSubscription) -> None:
        self._followers.pop(follower, None)
        name, follower.name = follower.name, None
        if name is not None and self._by_name.pop(name, None) is not None:
            self._give_up(name)

    def _give_up(self, name: str) -> None:
        """End a subscription, by its name on this connection."""
        if self._socket is not None and not self._leaving.is_set():
            self._nursery.start_soon(self._unsubscribe, name)

    async def _unsubscribe(self, name: str) -> None:
        try:
            await self._ask("unsubscribe", {"subscription": name})
        except (ConnectionLost, RefusedByService):
            return

    async def _subscribe(self, follower: ClientSubscription) -> None:
        """Subscribe: for the first time, or where it left off."""
        await self._ask("subscribe", {**follower.wanted, "after": follower.up_to}, follower)

    async def _resume(self, follower: ClientSubscription) -> None:
        """Resume a subscription on a new connection."""
        if follower.left:
            self._forget(follower)
            return
        try:
            await self._subscribe(follower)
        except RefusedByService as refused:
            if refused.is_temporary:
                raise ConnectionLost(f"can't resume now: {refused}") from refused
            self._end(follower, refused)

    def _end(self, follower: ClientSubscription, fault: Exception) -> None:
        follower.fault = fault
        self._followers.pop(follower, None)
        follower.wake()

    # ---------------------------------------------------------- one connection after another

    async def _until_up(self) -> None:
        """Wait for a connection.

        Raises:
            ConnectionLost: the client is closed.
        """
        await self._up.wait()
        if self._is_closed:
            raise ConnectionLost("the client is closed")

    async def _ask(
        self, action: str, what: Mapping[str, Any], follower: ClientSubscription | None = None
    ) -> Any:
        socket = self._socket
        if socket is None:
            raise ConnectionLost("not connected")
        self._count += 1
        name = str(self._count)
        reply = self._replies[name] = _Reply(follower)
        fields = {key: value for key, value in what.items() if value is not None}
        try:
            await socket.send_message(
                msgspec.json.encode({"action": action, "id": name, **fields}).decode()
            )
            await reply.come.wait()
        except ConnectionClosed as closed:
            raise ConnectionLost(f"the connection was closed: {_why(closed)}") from closed
        finally:
            self._replies.pop(name, None)
        if reply.message is None:
            raise ConnectionLost("the connection was lost before the reply came")
        if "error" in reply.message:
            raise RefusedByService(reply.message["status"], reply.message["error"])
        return reply.message.get("data")

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Stay connected, until closed or cancelled.

        Raises:
            BackendError: the first connection failed.
            RefusedByService: the key or token is invalid.
        """
        pause_s = FIRST_PAUSE_S
        try:
            async with trio.open_nursery() as self._nursery:
                while not self._leaving.is_set():
                    began_s, lost = trio.current_time(), None
                    try:
                        await self._serve(task_status)
                    except* (*_LOST, ConnectionLost) as errors:
                        lost = first_of(errors)
                    except* trio.TooSlowError:
                        lost = ConnectionLost(f"no answer within {OPENING_S:g} s")
                    if lost is not None and not self._connected:
                        raise BackendError(
                            f"{self._url} can't be reached: {_in_words(lost)}"
                        ) from lost
                    if trio.current_time() - began_s > self._longest_pause_s:
                        pause_s = FIRST_PAUSE_S
                    with trio.move_on_after(pause_s + _DICE.uniform(0, pause_s)):
                        await self._leaving.wait()
                    pause_s = min(2 * pause_s, self._longest_pause_s)
        finally:
            self._is_closed = True
            self._up.set()  # wakes those who wait for it
            for follower in tuple(self._followers):
                self._end(follower, ConnectionLost("the client is closed"))

    def close(self) -> bool:
        """Close the connection; return whether there is one to close."""
        self._leaving.set()
        return self._up.is_set()

    async def _serve(self, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as nursery:
            stream: Stream | None = None
            try:
                with trio.fail_after(OPENING_S):
                    stream = await open_stream(self._url, self._tls)
                    socket = await self._shake_hands(nursery, stream)
                await self._use(nursery, socket, task_status)
            finally:
                self._lose()
                if stream is not None:
                    # shielded: what it raises must not replace the error that is being raised
                    with trio.CancelScope(shield=True):
                        await trio.aclose_forcefully(stream)
            nursery.cancel_scope.cancel()

    async def _shake_hands(self, nursery: trio.Nursery, stream: Stream) -> WebSocketConnection:
        where = urlsplit(self._url)
        return await wrap_client_stream(
            nursery,
            stream,
            where.netloc.rpartition("@")[2],
            (where.path or "/") + (f"?{where.query}" if where.query else ""),
            subprotocols=[PROTOCOL],
            max_message_size=LONGEST_MESSAGE_BYTES,
            message_queue_size=16,
        )

    async def _use(
        self,
        nursery: trio.Nursery,
        socket: WebSocketConnection,
        task_status: trio.TaskStatus[None],
    ) -> None:
        self._socket = socket
        nursery.start_soon(self._read, socket)
        nursery.start_soon(self._heartbeat, socket)
        await self._sign_in()
        for follower in tuple(self._followers):
            await self._resume(follower)
        self._connected += 1
        self._up.set()
        if self._connected == 1:
            task_status.started()
        await self._leaving.wait()
        with trio.move_on_after(GOODBYE_S):
            await socket.aclose()

    def _lose(self) -> None:
        self._socket = None
        if self._up.is_set():
            self._up = trio.Event()
        self._by_name.clear()
        for reply in self._replies.values():
            reply.come.set()

    async def _sign_in(self) -> None:
        try:
            await self._ask("authenticate", self._credentials)
        except RefusedByService as refused:
            if self._connected and refused.is_temporary:
                raise ConnectionLost(f"can't sign in now: {refused}") from refused
            raise

    async def _heartbeat(self, socket: WebSocketConnection) -> None:
        """Ping the service: a dead connection may look like a silent one."""
        while True:
            await trio.sleep(HEARTBEAT_S)
            with trio.move_on_after(HEARTBEAT_S) as scope:
                await socket.ping()
            if scope.cancelled_caught:
                raise ConnectionLost(f"the service did not answer a ping within {HEARTBEAT_S:g} s")

    async def _read(self, socket: WebSocketConnection) -> None:
        """Distribute messages, until the connection is closed."""
        while True:
            try:
                message = _read_message(await socket.get_message())
            except ConnectionClosed as closed:
                if self._leaving.is_set():
                    return
                raise ConnectionLost(f"the connection was closed: {_why(closed)}") from closed
            if message.get("type") == "reply":
                self._take_reply(message)
            elif message.get("type") == "events":
                self._sort(message)

    def _take_reply(self, message: dict[str, Any]) -> None:
        reply = self._replies.get(message["id"] or "")
        data = message.get("data")
        if reply is None:
            self._give_up_late(data)
            return
        reply.message = message
        reply.come.set()
        follower = reply.follower
        if follower is not None and data is not None:
            # here, and not where it was asked for: its events may be the next message
            follower.name, follower.up_to = data["subscription"], data["after"]
            self._by_name[data["subscription"]] = follower

    def _give_up_late(self, data: Any) -> None:
        """End a subscription whose reader has left meanwhile."""
        if isinstance(data, dict) and "after" in data:
            self._give_up(cast("dict[str, Any]", data)["subscription"])

    def _sort(self, message: Mapping[str, Any]) -> None:
        """Hand events to their follower: all of a message or nothing, so that none repeat."""
        follower = self._by_name.get(message["subscription"])
        if follower is None:
            return  # unsubscribed meanwhile
        if message["after"] != follower.up_to:
            raise InternalError(f"events are missing after {follower.up_to}")
        if follower.left or (follower.events and len(follower.events) >= BUFFER):
            self._forget(follower)  # when it reads on, it subscribes for the rest
            return
        follower.events.extend(message["events"])
        follower.up_to = message["up_to"]
        if message["events"]:
            follower.wake()


@attrs.define
class _Reply:
    follower: ClientSubscription | None = None
    """The follower that the reply subscribes."""
    come: trio.Event = attrs.field(factory=trio.Event)
    message: dict[str, Any] | None = None


def _read_message(text: str | bytes) -> dict[str, Any]:
    """Read a message of the service.

    Raises:
        ConnectionLost: it is not JSON, so it is not our service that answers.
    """
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ConnectionLost(f"this is not a message of the service: {error}") from error


def _why(closed: ConnectionClosed) -> str:
    reason = closed.reason
    return f"{reason.code} {reason.reason or ''}".strip() if reason is not None else "it broke"


def _in_words(lost: BaseException) -> str:
    """Why the connection failed, in words."""
    if isinstance(lost, ConnectionRejected):
        said = (lost.body or b"").decode(errors="replace")[:200]
        return f"HTTP {lost.status_code} {said}".strip()
    return str(lost) or str(lost.__cause__ or "") or type(lost).__name__
