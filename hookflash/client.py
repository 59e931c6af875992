"""A program's end of event control: follow calls and steer them, on one connection that heals.

    async with connect("ws://127.0.0.1:8081/v2/events", api_key=key) as switchboard:
        transfer = await switchboard.transfer(call_id, "2600")
        async for happening in switchboard.events(transfer_id=transfer["transfer_id"]):
            print(happening["kind"], happening.get("state"))

A line that is lost is opened again, with back-off and jitter; whoever follows events goes on after
the last one it has seen, without a gap or a repeat. A command whose line dies before its answer
came raises `LineLost`: nobody knows whether it was done. (`transfer` is asked again by itself,
under its idempotency key: the service does it once.)

Events are kept for a reader that is busy, up to a number; what comes beyond that is fetched when it
has read them. So a reader may take its time, and give commands in between.
"""

from __future__ import annotations

import random
import ssl
import uuid
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Self, TypeAlias, cast
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

from hookflash.errors import (
    BackendError,
    HookflashError,
    InputError,
    InternalError,
    RequestRefused,
    first_of,
)

PROTOCOL: Final = "hookflash.v1"

BUFFER: Final = 10_000
"""Events that are kept for a reader of ours that has not read them yet."""

LONGEST_MESSAGE_BYTES: Final = 16_000_000
"""Two hundred events in one message, each as long as they come."""

OPENING_S: Final = 10.0
"""How long the service may take to open a line."""

HEARTBEAT_S: Final = 20.0
"""How often we ask whether the service is still there, and how long it may take to say so."""

GOODBYE_S: Final = 1.0
"""How long we wait for the service's goodbye."""

FIRST_PAUSE_S: Final = 0.1
"""How long we wait before the first try to come back."""

Stream: TypeAlias = trio.SocketStream | trio.SSLStream[trio.SocketStream]

_DICE: Final = random.SystemRandom()
_LOST: Final = (
    OSError,
    trio.BrokenResourceError,
    HandshakeError,
    ConnectionClosed,
    ProtocolError,  # theirs; or a ping that crosses our goodbye, which trio-websocket would answer
)
_TOO_MANY: Final = 429
_THEIR_FAULT: Final = 500


class LineLost(BackendError):
    """The line died before the answer came: nobody knows whether it was done."""


class Refused(RequestRefused):
    """The service says no."""

    def __init__(self, status: int, fault: Mapping[str, Any]) -> None:
        """Take over what it says."""
        self.where: str | None = fault.get("where")
        """The field that is at fault."""
        what = str(fault.get("message", ""))
        super().__init__(f"{self.where}: {what}" if self.where else what)
        self.http_status = status
        self.word: str | None = fault.get("refusal")
        """Why, in a word (see `hookflash.errors.Refusal`)."""

    @property
    def is_for_now(self) -> bool:
        """Whether the same may be granted a while later."""
        return self.http_status == _TOO_MANY or self.http_status >= _THEIR_FAULT


@attrs.define(eq=False)
class _Follower:
    """One stream of events, over however many lines."""

    ask: dict[str, Any]
    up_to: int | None = None
    """Up to which number everything has come; `None` before the first line."""
    name: str | None = None
    """What the service calls it on this line."""
    come: deque[dict[str, Any]] = attrs.field(factory=deque[dict[str, Any]])
    """Events that nobody has read yet."""
    news: trio.Event = attrs.field(factory=trio.Event)
    fault: Exception | None = None
    """Why nothing more comes."""
    left: bool = False
    """Whether nobody reads it any more."""

    def wake(self) -> None:
        """Let its reader look again."""
        self.news.set()
        self.news = trio.Event()


class Happenings(AsyncIterator[dict[str, Any]]):
    """Events, as they come. Leave it when you like: the service is then told to send no more."""

    def __init__(
        self, client: Client, what: Mapping[str, Any], after: int | None, transfer: str | None
    ) -> None:
        """Begin with nothing asked for: that is done when the first event is."""
        self._client = client
        self._follower = _Follower(dict(what), up_to=after)
        self._transfer = transfer
        self._looks_back = transfer is not None and after is None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> dict[str, Any]:
        """The next event.

        Raises:
            StopAsyncIteration: there are no more: the transfer has ended.
            Refused: the service does not tell that.
            LineLost: the client was closed.
        """
        follower = self._follower
        while not follower.come:
            if follower.left:
                raise StopAsyncIteration
            if follower.fault is not None:
                raise follower.fault
            if self._looks_back:
                await self._look_back()
            elif await self._client.follow(follower):
                await follower.news.wait()
        await trio.lowlevel.checkpoint()
        happening = follower.come.popleft()
        if self._transfer is not None and happening["kind"] == "transfer.ended":
            follower.come.clear()
            self._client.leave(follower)
        return happening

    async def _look_back(self) -> None:
        """Begin where the transfer began."""
        past = await self._client.ask(
            "get_transfer",
            transfer_id=self._transfer,
            account_id=self._follower.ask["account_id"],
        )
        timeline = past.get("timeline")
        self._follower.up_to = timeline[0]["number"] - 1 if timeline else None
        self._looks_back = False

    async def aclose(self) -> None:
        """Follow no more."""
        await trio.lowlevel.checkpoint()
        self._client.leave(self._follower)

    def __del__(self) -> None:
        # nobody can be told from here: the line's reader does it, when the next event comes
        self._follower.left = True


class Client:
    """A connection that heals. Open it with `connect`."""

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
        self._line: WebSocketConnection | None = None
        self._up = trio.Event()
        self._leaving = trio.Event()
        self._is_closed = False
        self._waiting: dict[str, _Reply] = {}
        self._followers: dict[_Follower, None] = {}
        self._by_name: dict[str, _Follower] = {}
        self._count = 0
        self._lines = 0
        self._nursery: trio.Nursery

    @property
    def reconnects(self) -> int:
        """How often a line that was lost has come back."""
        return max(self._lines - 1, 0)

    # ------------------------------------------------------------------ what programs do

    async def ask(self, action: str, **what: Any) -> Any:
        """Send one command, and wait for its answer.

        Args:
            action: the command, by its name in the protocol.
            what: its fields; those that are `None` are left out.

        Returns:
            The `data` of the answer.

        Raises:
            Refused: the service says no.
            LineLost: the line died before the answer came.
        """
        await self._until_up()
        return await self._ask(action, what)

    async def calls(self, account_id: str | None = None) -> list[dict[str, Any]]:
        """The legs of the account's calls.

        Raises:
            Refused: the account is another's.
        """
        return cast("list[dict[str, Any]]", await self.ask("list_calls", account_id=account_id))

    async def transfer(
        self,
        call_id: str,
        target: str,
        *,
        transfer_type: str = "attended",
        takeback_dtmf: str | None = None,
        moh: str | None = None,
        ringback: str | None = None,
        ring_timeout_s: float | None = None,
        account_id: str | None = None,
    ) -> dict[str, Any]:
        """Transfer the party that this call talks with.

        Args:
            call_id: the transferor's leg.
            target: the number to call.
            transfer_type: attended, or blind.
            takeback_dtmf: what the transferor dials to have the transferee back.
            moh: what the held party hears.
            ringback: what is heard while the target rings.
            ring_timeout_s: how long the target may ring.
            account_id: whose; a key of one account may leave it out.

        Returns:
            What was taken: `transfer_id`, `url`, and the `number` of the step.

        Raises:
            Refused: it can't be done; it says why.
        """
        what = {
            "call_id": call_id,
            "target": target,
            "transfer_type": transfer_type,
            "takeback_dtmf": takeback_dtmf,
            "moh": moh,
            "ringback": ringback,
            "timeout": ring_timeout_s,
            "account_id": account_id,
            "idempotency_key": uuid.uuid4().hex,
        }
        while True:
            await self._until_up()
            try:
                return cast("dict[str, Any]", await self._ask("transfer", what))
            except LineLost:
                continue  # asked again under the same key, it is done once

    async def take_back(self, transfer_id: str, *, account_id: str | None = None) -> dict[str, Any]:
        """Have the transferee back.

        Raises:
            Refused: it is too late.
        """
        return cast(
            "dict[str, Any]",
            await self.ask("take_back", transfer_id=transfer_id, account_id=account_id),
        )

    async def complete(self, transfer_id: str, *, account_id: str | None = None) -> dict[str, Any]:
        """Hand over now.

        Raises:
            Refused: it is too early, or too late.
        """
        return cast(
            "dict[str, Any]",
            await self.ask("complete", transfer_id=transfer_id, account_id=account_id),
        )

    async def hang_up(self, call_id: str, *, account_id: str | None = None) -> dict[str, Any]:
        """End a leg.

        Raises:
            Refused: there is no such call.
        """
        return cast(
            "dict[str, Any]", await self.ask("hang_up", call_id=call_id, account_id=account_id)
        )

    def events(
        self,
        *,
        account_id: str | None = None,
        call_id: str | None = None,
        transfer_id: str | None = None,
        kinds: tuple[str, ...] | None = None,
        after: int | None = None,
    ) -> Happenings:
        """Follow what happens, over every cut of the line, without a gap or a repeat.

        Args:
            account_id: whose; an administrator's key may leave it out, for all.
            call_id: of one call only.
            transfer_id: of one transfer only: it ends when the transfer has.
            kinds: of some kinds only (`transfer.*`).
            after: go on after this number; `None`: only what is new (from the moment on in which
                the first event is asked for), or, for a transfer, from its beginning.

        Returns:
            Happenings, in the order of their numbers, to be read with `async for`. It raises
            `Refused` if the service does not tell that.
        """
        ask = {
            "account_id": account_id,
            "call_id": call_id,
            "transfer_id": transfer_id,
            "kinds": list(kinds) if kinds is not None else None,
        }
        return Happenings(self, ask, after, transfer_id)

    # ------------------------------------------------------------------ who follows

    async def follow(self, follower: _Follower) -> bool:
        """See that somebody's events come. For `Happenings`.

        Returns:
            Whether they did before; if not, something may have come meanwhile.
        """
        if follower in self._followers:
            return True
        await self._until_up()
        self._followers[follower] = None  # from now on, every new line takes it up
        try:
            await self._subscribe(follower)
        except LineLost:
            return False
        except BaseException:
            self._forget(follower)
            raise
        return False

    def leave(self, follower: _Follower) -> None:
        """Follow no more. For `Happenings`."""
        follower.left = True
        self._forget(follower)

    def _forget(self, follower: _Follower) -> None:
        self._followers.pop(follower, None)
        name, follower.name = follower.name, None
        if name is not None and self._by_name.pop(name, None) is not None:
            self._give_up(name)

    def _give_up(self, name: str) -> None:
        """Have the service send no more under a name of its own."""
        if self._line is not None and not self._leaving.is_set():
            self._nursery.start_soon(self._unsubscribe, name)

    async def _unsubscribe(self, name: str) -> None:
        try:
            await self._ask("unsubscribe", {"subscription": name})
        except (LineLost, Refused):
            return

    async def _subscribe(self, follower: _Follower) -> None:
        """Ask for a follower's events: for the first time, or where it left off."""
        await self._ask("subscribe", {**follower.ask, "after": follower.up_to}, follower)

    async def _go_on(self, follower: _Follower) -> None:
        """Take a follower up on a new line."""
        if follower.left:
            self._forget(follower)
            return
        try:
            await self._subscribe(follower)
        except Refused as refused:
            if refused.is_for_now:
                raise LineLost(f"can't go on now: {refused}") from refused
            self._end(follower, refused)

    def _end(self, follower: _Follower, fault: Exception) -> None:
        follower.fault = fault
        self._followers.pop(follower, None)
        follower.wake()

    # ------------------------------------------------------------------ one line

    async def _until_up(self) -> None:
        """Wait for a line.

        Raises:
            LineLost: there will be none.
        """
        await self._up.wait()
        if self._is_closed:
            raise LineLost("the client is closed")

    async def _ask(
        self, action: str, what: Mapping[str, Any], follower: _Follower | None = None
    ) -> Any:
        line = self._line
        if line is None:
            raise LineLost("there is no line")
        self._count += 1
        name = str(self._count)
        reply = self._waiting[name] = _Reply(follower)
        told = {key: value for key, value in what.items() if value is not None}
        try:
            await line.send_message(
                msgspec.json.encode({"action": action, "id": name, **told}).decode()
            )
            await reply.come.wait()
        except ConnectionClosed as closed:
            raise LineLost(f"the line was closed: {_why(closed)}") from closed
        finally:
            self._waiting.pop(name, None)
        if reply.message is None:
            raise LineLost("the line died before the answer came")
        if "error" in reply.message:
            raise Refused(reply.message["status"], reply.message["error"])
        return reply.message.get("data")

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep a line, until it is closed or cancelled. For `connect`.

        Raises:
            BackendError: the service can't be reached for the first time.
            Refused: it does not let us in.
        """
        pause_s = FIRST_PAUSE_S
        try:
            async with trio.open_nursery() as self._nursery:
                while not self._leaving.is_set():
                    began_s, lost = trio.current_time(), None
                    try:
                        await self._serve_line(task_status)
                    except* (*_LOST, LineLost) as errors:
                        lost = first_of(errors)
                    except* trio.TooSlowError:
                        lost = LineLost(f"it did not answer within {OPENING_S:g} s")
                    if lost is not None and not self._lines:
                        raise BackendError(f"{self._url} can't be reached: {_told(lost)}") from lost
                    if trio.current_time() - began_s > self._longest_pause_s:
                        pause_s = FIRST_PAUSE_S
                    with trio.move_on_after(pause_s + _DICE.uniform(0, pause_s)):
                        await self._leaving.wait()
                    pause_s = min(2 * pause_s, self._longest_pause_s)
        finally:
            self._is_closed = True
            self._up.set()  # whoever waits for it is told
            for follower in tuple(self._followers):
                self._end(follower, LineLost("the client is closed"))

    def close(self) -> bool:
        """Say goodbye on the line, if there is one; whether there is. For `connect`."""
        self._leaving.set()
        return self._up.is_set()

    async def _serve_line(self, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as nursery:
            stream: Stream | None = None
            try:
                with trio.fail_after(OPENING_S):
                    stream = await open_stream(self._url, self._tls)
                    line = await self._shake_hands(nursery, stream)
                await self._keep_line(nursery, line, task_status)
            finally:
                self._lose_line()
                if stream is not None:
                    # shielded: or else what it raises would stand in for what we are raising
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

    async def _keep_line(
        self,
        nursery: trio.Nursery,
        line: WebSocketConnection,
        task_status: trio.TaskStatus[None],
    ) -> None:
        self._line = line
        nursery.start_soon(self._read, line)
        nursery.start_soon(self._heartbeat, line)
        await self._sign_in()
        for follower in tuple(self._followers):
            await self._go_on(follower)
        self._lines += 1
        self._up.set()
        if self._lines == 1:
            task_status.started()
        await self._leaving.wait()
        with trio.move_on_after(GOODBYE_S):
            await line.aclose()

    def _lose_line(self) -> None:
        self._line = None
        if self._up.is_set():
            self._up = trio.Event()
        self._by_name.clear()
        for reply in self._waiting.values():
            reply.come.set()

    async def _sign_in(self) -> None:
        try:
            await self._ask("authenticate", self._credentials)
        except Refused as refused:
            if self._lines and refused.is_for_now:
                raise LineLost(f"not let in now: {refused}") from refused
            raise

    async def _heartbeat(self, line: WebSocketConnection) -> None:
        """See that the service is there: a line that is dead may look like one that is silent."""
        while True:
            await trio.sleep(HEARTBEAT_S)
            with trio.move_on_after(HEARTBEAT_S) as scope:
                await line.ping()
            if scope.cancelled_caught:
                raise LineLost(f"the service did not answer for {HEARTBEAT_S:g} s")

    async def _read(self, line: WebSocketConnection) -> None:
        """Sort what comes, until the line is closed."""
        while True:
            try:
                message = cast("dict[str, Any]", msgspec.json.decode(await line.get_message()))
            except ConnectionClosed as closed:
                if self._leaving.is_set():
                    return
                raise LineLost(f"the line was closed: {_why(closed)}") from closed
            if message["type"] == "reply":
                self._take_reply(message)
            elif message["type"] == "events":
                self._sort(message)

    def _take_reply(self, message: dict[str, Any]) -> None:
        reply = self._waiting.get(message["id"] or "")
        data = message.get("data")
        if reply is None:
            self._give_up_late(data)
            return
        reply.message = message
        reply.come.set()
        follower = reply.follower
        if follower is not None and data is not None:
            # here, and not by whoever asked: its events may be the next message
            follower.name, follower.up_to = data["subscription"], data["after"]
            self._by_name[data["subscription"]] = follower

    def _give_up_late(self, data: Any) -> None:
        """Give up what was granted to somebody who has left meanwhile."""
        if isinstance(data, dict) and "after" in data:
            self._give_up(cast("dict[str, Any]", data)["subscription"])

    def _sort(self, message: Mapping[str, Any]) -> None:
        """Hand events to whoever follows them: all of a message or nothing, so that none repeat."""
        follower = self._by_name.get(message["subscription"])
        if follower is None:
            return  # unsubscribed meanwhile
        if message["after"] != follower.up_to:
            raise InternalError(f"events are missing after {follower.up_to}")
        if follower.left or (follower.come and len(follower.come) >= BUFFER):
            self._forget(follower)  # whoever comes to read on asks for the rest
            return
        follower.come.extend(message["events"])
        follower.up_to = message["up_to"]
        if message["events"]:
            follower.wake()


async def open_stream(url: str, tls: ssl.SSLContext | None) -> Stream:
    """Open the stream that a WebSocket's URL names.

    Raises:
        OSError: nobody is there.
        trio.BrokenResourceError: somebody is, and TLS can't be agreed upon.
    """
    where = urlsplit(url)
    assert where.hostname is not None  # noqa: S101 - `connect` has seen to it
    if where.scheme == "ws":
        return await trio.open_tcp_stream(where.hostname, where.port or 80)
    stream = await trio.open_ssl_over_tcp_stream(
        where.hostname,
        where.port or 443,
        ssl_context=tls or ssl.create_default_context(),
        https_compatible=True,
    )
    try:
        await stream.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return stream


def _check_url(url: str) -> None:
    try:
        where = urlsplit(url)
        fits = where.scheme in {"ws", "wss"} and where.hostname and where.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise InputError(f"{url[:200]!r} is no WebSocket's URL", hint="ws://HOST:PORT/v2/events")


@attrs.define
class _Reply:
    follower: _Follower | None = None
    """Who is to follow what is answered."""
    come: trio.Event = attrs.field(factory=trio.Event)
    message: dict[str, Any] | None = None


def _why(closed: ConnectionClosed) -> str:
    reason = closed.reason
    return f"{reason.code} {reason.reason or ''}".strip() if reason is not None else "it broke"


def _told(lost: BaseException) -> str:
    """Why there is no line, in words."""
    if isinstance(lost, ConnectionRejected):
        said = (lost.body or b"").decode(errors="replace")[:200]
        return f"HTTP {lost.status_code} {said}".strip()
    return str(lost) or str(lost.__cause__ or "") or type(lost).__name__


@asynccontextmanager
async def connect(
    url: str,
    *,
    api_key: str | None = None,
    token: str | None = None,
    tls: ssl.SSLContext | None = None,
    longest_pause_s: float = 15.0,
) -> AsyncGenerator[Client]:
    """Open a line to a service, and keep it open.

    Args:
        url: of its WebSocket: `ws://127.0.0.1:8081/v2/events`.
        api_key: a key.
        token: a token, in place of the key. It expires, and a line that is lost after that can't
            come back.
        tls: for `wss`: a context that checks the certificate; the system's by default.
        longest_pause_s: how long to wait between two tries to come back, at most.

    Yields:
        The client, once the line is up for the first time.

    Raises:
        Refused: the key or token is none.
        BackendError: the service can't be reached.
        InputError: the URL is none.
    """
    _check_url(url)
    credentials = {"api_key": api_key} if api_key is not None else {"token": token or ""}
    client = Client(url, credentials, tls=tls, longest_pause_s=longest_pause_s)
    failed: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(client.run)
            try:
                yield client
            except Exception as error:  # noqa: BLE001 - whatever it is, it is raised below as it was
                failed = error
            if not client.close():
                nursery.cancel_scope.cancel()
    except* HookflashError as errors:
        failed = first_of(errors) if failed is None else failed
    if failed is not None:
        raise failed
