"""A program's end of event control: follow calls and steer them, on one connection that heals.

    async with connect("ws://127.0.0.1:8081/v2/events", api_key=key) as switchboard:
        transfer = await switchboard.transfer(call_id, "2600")
        async for happening in switchboard.events(transfer_id=transfer["transfer_id"]):
            print(happening["kind"], happening.get("state"))

A line that is lost is opened again, with back-off and jitter; whoever follows events goes on after
the last one it has seen, without a gap or a repeat. A command whose line dies before its answer
came raises `LineLost`: nobody knows whether it was done. (`transfer` is asked again by itself,
under its idempotency key: the service does it once.)
"""

from __future__ import annotations

import random
import ssl
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, cast

import attrs
import msgspec
import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    HandshakeError,
    WebSocketConnection,
    connect_websocket_url,
)

from hookflash.errors import BackendError, InternalError, RequestRefused, first_of

PROTOCOL: Final = "hookflash.v1"

BUFFER: Final = 10_000
"""Events that a reader of ours may leave unread before the line is slowed down."""

LONGEST_MESSAGE_BYTES: Final = 16_000_000
"""Two hundred events in one message, each as long as they come."""

_DICE: Final = random.SystemRandom()
_REFUSED_FOR_GOOD: Final = frozenset({400, 401, 403, 404, 410, 422})


class LineLost(BackendError):
    """The line died before the answer came: nobody knows whether it was done."""


class Refused(RequestRefused):
    """The service says no."""

    def __init__(self, status: int, fault: Mapping[str, Any]) -> None:
        """Take over what it says."""
        super().__init__(str(fault.get("message", "")))
        self.http_status = status
        self.word: str | None = fault.get("refusal")
        """Why, in a word (see `hookflash.errors.Refusal`)."""
        self.where: str | None = fault.get("where")
        """The field that is at fault."""


@attrs.define(eq=False)
class _Follower:
    """One stream of events, over however many lines."""

    ask: dict[str, Any]
    send: trio.MemorySendChannel[dict[str, Any]]
    receive: trio.MemoryReceiveChannel[dict[str, Any]]
    up_to: int | None = None
    """Up to which number everything has come; `None` before the first line."""
    name: str | None = None
    """What the service calls it on this line."""
    begun: trio.Event = attrs.field(factory=trio.Event)
    fault: Exception | None = None


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
        self._waiting: dict[str, _Reply] = {}
        self._followers: dict[_Follower, None] = {}
        self._by_name: dict[str, _Follower] = {}
        self._count = 0
        self._nursery: trio.Nursery
        self.reconnects = 0
        """How often the line has died, and come back."""

    # ------------------------------------------------------------------ what programs do

    async def ask(self, do: str, **what: Any) -> Any:
        """Send one command, and wait for its answer.

        Args:
            do: what is to be done, in the protocol's words.
            what: its fields; those that are `None` are left out.

        Returns:
            The `data` of the answer.

        Raises:
            Refused: the service says no.
            LineLost: the line died before the answer came.
        """
        await self._up.wait()
        return await self._ask(do, what)

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
            await self._up.wait()
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

    async def events(
        self,
        *,
        account_id: str | None = None,
        call_id: str | None = None,
        transfer_id: str | None = None,
        kinds: tuple[str, ...] | None = None,
        after: int | None = None,
    ) -> AsyncIterator[dict[str, Any]]:
        """Follow what happens, over every cut of the line, without a gap or a repeat.

        Args:
            account_id: whose; an administrator's key may leave it out, for all.
            call_id: of one call only.
            transfer_id: of one transfer only: it ends when the transfer has.
            kinds: of some kinds only (`transfer.*`).
            after: go on after this number; `None`: only what is new, or, for a transfer, from its
                beginning.

        Yields:
            Happenings, in the order of their numbers.

        Raises:
            Refused: the service does not tell that.
        """
        if transfer_id is not None and after is None:
            past = await self.ask("get_transfer", transfer_id=transfer_id, account_id=account_id)
            after = past["timeline"][0]["number"] - 1 if past.get("timeline") else None
        ask = {
            "account_id": account_id,
            "call_id": call_id,
            "transfer_id": transfer_id,
            "kinds": list(kinds) if kinds is not None else None,
        }
        send, receive = trio.open_memory_channel[dict[str, Any]](BUFFER)
        follower = _Follower(ask, send, receive, up_to=after)
        await self._up.wait()
        self._followers[follower] = None
        await self._follow(follower)
        try:
            async with aclosing(receive):
                async for happening in receive:
                    yield happening
                    if transfer_id is not None and happening["kind"] == "transfer.ended":
                        return
                if follower.fault is not None:
                    raise follower.fault
        finally:
            self._followers.pop(follower, None)
            if follower.name is not None:
                self._by_name.pop(follower.name, None)
                self._nursery.start_soon(self._unsubscribe, follower.name)

    async def _unsubscribe(self, name: str) -> None:
        try:
            await self._ask("unsubscribe", {"subscription": name})
        except (LineLost, Refused):
            return

    # ------------------------------------------------------------------ one line

    async def _ask(
        self, do: str, what: Mapping[str, Any], follower: _Follower | None = None
    ) -> Any:
        line = self._line
        if line is None:
            raise LineLost("there is no line")
        self._count += 1
        name = str(self._count)
        reply = self._waiting[name] = _Reply(follower)
        told = {key: value for key, value in what.items() if value is not None}
        try:
            await line.send_message(msgspec.json.encode({"do": do, "id": name, **told}).decode())
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
        """Keep a line, until cancelled. For `connect`."""
        pause_s = 0.1
        started = False
        async with trio.open_nursery() as self._nursery:
            while True:
                began_s = trio.current_time()
                try:
                    await self._serve_line(task_status if not started else None)
                except (OSError, HandshakeError, ConnectionClosed, LineLost):
                    if not started:
                        raise
                started = True
                self.reconnects += 1
                if trio.current_time() - began_s > self._longest_pause_s:
                    pause_s = 0.1
                await trio.sleep(pause_s + _DICE.uniform(0, pause_s))
                pause_s = min(2 * pause_s, self._longest_pause_s)

    async def _serve_line(self, task_status: trio.TaskStatus[None] | None) -> None:
        async with trio.open_nursery() as nursery:
            line = await connect_websocket_url(
                nursery,
                self._url,
                self._tls,
                subprotocols=[PROTOCOL],
                max_message_size=LONGEST_MESSAGE_BYTES,
                message_queue_size=16,
            )
            self._line = line
            try:
                nursery.start_soon(self._read, line)
                await self._ask("authenticate", self._credentials)
                self._by_name.clear()
                for follower in tuple(self._followers):
                    await self._follow(follower)
                self._up.set()
                if task_status is not None:
                    task_status.started()
                await trio.sleep_forever()
            finally:
                self._up = trio.Event()
                self._line = None
                for reply in self._waiting.values():
                    reply.come.set()
                with trio.move_on_after(1) as scope:
                    scope.shield = True
                    await line.aclose()
                nursery.cancel_scope.cancel()

    async def _follow(self, follower: _Follower) -> None:
        """Subscribe: for the first time, or on a new line."""
        try:
            await self._ask("subscribe", {**follower.ask, "after": follower.up_to}, follower)
        except Refused as refused:
            if refused.http_status not in _REFUSED_FOR_GOOD and follower.up_to is None:
                raise
            follower.fault = refused
            follower.send.close()
            self._followers.pop(follower, None)

    async def _read(self, line: WebSocketConnection) -> None:
        """Sort what comes, until the line is closed."""
        while True:
            try:
                message = cast("dict[str, Any]", msgspec.json.decode(await line.get_message()))
            except ConnectionClosed as closed:
                raise LineLost(f"the line was closed: {_why(closed)}") from closed
            if message["type"] == "reply":
                self._take_reply(message)
            elif message["type"] == "events":
                await self._sort(message)

    def _take_reply(self, message: dict[str, Any]) -> None:
        reply = self._waiting.get(message["id"] or "")
        if reply is None:
            return
        reply.message = message
        reply.come.set()
        follower = reply.follower
        if follower is not None and "error" not in message:
            # here, and not by whoever asked: its events may be the next message
            follower.name, follower.up_to = (
                message["data"]["subscription"],
                message["data"]["after"],
            )
            self._by_name[message["data"]["subscription"]] = follower

    async def _sort(self, message: Mapping[str, Any]) -> None:
        follower = self._by_name.get(message["subscription"])
        if follower is None:
            return  # unsubscribed meanwhile
        if message["after"] != follower.up_to:
            raise InternalError(f"events are missing after {follower.up_to}")
        for happening in message["events"]:
            await follower.send.send(happening)
        follower.up_to = message["up_to"]


@attrs.define
class _Reply:
    follower: _Follower | None = None
    """Who is to follow what is answered."""
    come: trio.Event = attrs.field(factory=trio.Event)
    message: dict[str, Any] | None = None


def _why(closed: ConnectionClosed) -> str:
    reason = closed.reason
    return f"{reason.code} {reason.reason or ''}".strip() if reason is not None else "it broke"


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
    """
    credentials = {"api_key": api_key} if api_key is not None else {"token": token or ""}
    client = Client(url, credentials, tls=tls, longest_pause_s=longest_pause_s)
    failed: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(client.run)
            yield client
            nursery.cancel_scope.cancel()
    except* (OSError, HandshakeError, ConnectionRejected) as errors:
        failed = BackendError(f"{url} can't be reached: {first_of(errors)}")
    except* (LineLost, Refused) as errors:
        failed = first_of(errors)
    if failed is not None:
        raise failed
