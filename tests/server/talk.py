"""Programs that talk by WebSocket, and a history that happens as a test likes.

`Connection` is the end of a program, over memory: no socket, and the virtual clock holds.
`open_rig` is a service without a switch: a journal, its followers, and the door.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import attrs
import msgspec
import pytest
import trio
import trustme
from doors_here import open_doors_here
from lab import inline
from trio.testing import lockstep_stream_pair, memory_stream_pair
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from hookflash.engine.group import EngineGroup
from hookflash.engine.record import Record
from hookflash.events import DigitPressed, Event, LegAnswered, SwitchLost
from hookflash.journal import history, registry
from hookflash.journal.history import Wanted
from hookflash.journal.journal import Journal, JournalSettings, open_journal
from hookflash.journal.step import StoredStep
from hookflash.journal.threads import InThread
from hookflash.server.access import Access
from hookflash.server.codes import CodeStore
from hookflash.server.config import Limits, Listen
from hookflash.server.context import Context
from hookflash.server.desk import Desk
from hookflash.server.doors.doors import Doors
from hookflash.server.idempotency import IdempotencyStore
from hookflash.server.line.messages import Settings
from hookflash.server.metrics import Metrics
from hookflash.server.publisher import Publisher
from hookflash.server.websocket import messages as m
from hookflash.server.websocket.listener import Listener

PATIENCE_S: Final = 3600.0
"""Of the virtual clock: how long a test waits for what must come."""


class Connection:
    """A program's end of a WebSocket."""

    def __init__(self, socket: WebSocketConnection) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []
        """Messages of events that have come."""
        self._count = 0

    async def hear(self) -> dict[str, Any]:
        """The next message."""
        with trio.fail_after(PATIENCE_S):
            return cast("dict[str, Any]", msgspec.json.decode(await self.socket.get_message()))

    async def say(self, action: str, **what: object) -> str:
        """Ask something; the id of the question."""
        self._count += 1
        name = f"q{self._count}"
        await self.socket.send_message(
            msgspec.json.encode({"action": action, "id": name, **what}).decode()
        )
        return name

    async def reply(self) -> dict[str, Any]:
        """The next reply."""
        while True:
            message = await self.hear()
            if message["type"] == "reply":
                return message
            if message["type"] == "events":
                self.events.append(message)

    async def ask(self, action: str, **what: object) -> dict[str, Any]:
        """Ask something, and hear the reply."""
        name = await self.say(action, **what)
        reply = await self.reply()
        assert reply["id"] == name
        return reply

    async def get(self, action: str, **what: object) -> Any:
        """Ask something that is granted; the data."""
        reply = await self.ask(action, **what)
        assert "error" not in reply, reply
        return reply["data"]

    async def follow(self, after: int | None = None, **what: object) -> str:
        """Subscribe; the subscription's name."""
        asked = what if after is None else {"after": after, **what}
        return str((await self.get("subscribe", **asked))["subscription"])

    async def until(self, number: int) -> list[dict[str, Any]]:
        """All events up to a number, once they have come; nothing may be missing between them."""
        while not self.events or self.events[-1]["up_to"] < number:
            message = await self.hear()
            assert message["type"] == "events"
            self.events.append(message)
        for one, next_one in zip(self.events, self.events[1:], strict=False):
            assert one["up_to"] == next_one["after"]
        return [event for message in self.events for event in message["events"]]

    async def closed(self) -> tuple[int, str]:
        """Wait until it is closed; the code and the reason."""
        with trio.fail_after(PATIENCE_S):
            while True:
                try:
                    await self.socket.get_message()
                except ConnectionClosed as closed:
                    return code_of(closed)


def code_of(closed: ConnectionClosed) -> tuple[int, str]:
    """With which code and reason a connection was closed."""
    return (closed.reason.code, closed.reason.reason or "") if closed.reason else (0, "")


@asynccontextmanager
async def open_line(
    listener: Listener, key: str | None = None, *, lockstep: bool = False, queue: int = 1
) -> AsyncGenerator[Connection]:
    """Open a WebSocket to a service, over memory.

    Args:
        listener: the door.
        key: signs in with it; `None`: nobody does.
        lockstep: whether the line holds nothing: what is sent waits until it is received.
        queue: how many messages it takes that nobody has read.
    """
    ours, theirs = lockstep_stream_pair() if lockstep else memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.welcome, theirs)
        socket = await wrap_client_stream(
            nursery,
            cast("trio.SocketStream", ours),  # any stream will do
            "rig",
            "/v2/events",
            subprotocols=[m.PROTOCOL],
            message_queue_size=queue,
        )
        line = Connection(socket)
        assert (await line.hear())["type"] == "hello"
        if key is not None:
            await line.get("authenticate", api_key=key)
        yield line
        with trio.move_on_after(1):
            await socket.aclose()
        await trio.aclose_forcefully(ours)


def knock(
    path: str = "/v2/events",
    *,
    origin: str | None = None,
    protocol: str | None = m.PROTOCOL,
    forwarded: str | None = None,
) -> bytes:
    """An opening handshake (RFC 6455, section 1.2)."""
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: rig",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ]
    if origin is not None:
        lines.append(f"Origin: {origin}")
    if protocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {protocol}")
    if forwarded is not None:
        lines.append(f"X-Forwarded-For: {forwarded}")
    return "\r\n".join([*lines, "", ""]).encode()


async def shout(listener: Listener, *said: bytes, stays: bool = False) -> bytes:
    """Send bytes to a service, whatever they are; what it says until it hangs up.

    Args:
        listener: the door.
        said: each is sent when the one before was taken.
        stays: whether to wait for the service to hang up, and not do it ourselves.
    """
    ours, theirs = memory_stream_pair()
    heard = bytearray()
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.welcome, theirs)
            for one in said:
                try:
                    await ours.send_all(one)
                except trio.BrokenResourceError:
                    break
                await trio.testing.wait_all_tasks_blocked()
            if not stays:
                await ours.send_eof()
            while some := await ours.receive_some():
                heard += some
            await trio.aclose_forcefully(ours)
    return bytes(heard)


@attrs.define
class Rig:
    """A service without a switch."""

    journal: Journal
    publisher: Publisher
    access: Access
    listener: Listener
    doors: Doors
    keys: dict[str | None, str] = attrs.field(factory=dict[str | None, str])
    count: int = 0

    async def key(self, account: str | None = "acme") -> str:
        """A key for an account; `None`: an administrator's."""
        if account not in self.keys:
            make = partial(registry.make_key, account=account, label="", now=0.0)
            _, self.keys[account] = await self.journal.change(make)
        return self.keys[account]

    def happen(self, *accounts: str, leg: str = "a", transfer: str | None = None) -> int:
        """Have something happen: somebody presses a key. The step's number."""
        return self.tell(DigitPressed(leg=leg, digit="1"), accounts, transfer)

    def tell(self, event: Event, accounts: Sequence[str] = (), transfer: str | None = None) -> int:
        """Have a certain thing happen. The step's number."""
        self.count += 1
        record = Record(
            number=self.count,
            at_s=float(self.count),
            at=float(self.count),
            switch="sim",
            event=event,
            accounts=tuple(accounts),
            transfer=transfer,
        )
        self.journal.take(record)
        return self.count

    def many(self, count: int, account: str = "acme") -> int:
        """Have the same happen many times. The last step's number."""
        for _ in range(count):
            self.happen(account)
        return self.count

    async def settled(self, number: int) -> None:
        """Wait until a step is safe, and the doors were told of it."""
        await self.journal.settled(number)
        with trio.fail_after(PATIENCE_S):
            while self.publisher.newest.published < number:
                await trio.sleep(0.001)

    async def history(self, wanted: Wanted, after: int = 0) -> list[int]:
        """The numbers of the steps that somebody wants, by the journal."""
        await self.journal.settled(self.count)
        steps: Iterable[StoredStep] = await self.journal.read(
            lambda connection: list(history.all_steps(connection, wanted))
        )
        return [step.number for step in steps if step.number > after]


EVENTS: Final[tuple[Event, ...]] = (
    DigitPressed(leg="a", digit="1"),
    DigitPressed(leg="b", digit="2"),
    LegAnswered(leg="a"),
    SwitchLost(),
)
"""What may happen in a rig, of several kinds."""


@asynccontextmanager
async def open_rig(
    folder: Path,
    limits: Limits | None = None,
    *,
    run: InThread = inline,
    origins: tuple[str, ...] = (),
) -> AsyncGenerator[Rig]:
    """Open a service without a switch; at its end, nothing of anybody may be left in it."""
    settings = JournalSettings(file=folder / "journal.sqlite")
    async with open_journal(settings, now=trio.current_time, run=run) as journal:
        context = Context(group=EngineGroup({}), journal=journal, codes=cast("CodeStore", None))
        desk = Desk(context=context, idempotency=IdempotencyStore(journal))
        told = Settings(
            server="rig",
            listen=Listen(origins=origins),
            limits=limits or Limits(),
            journal=str(settings.file),
            secret=b"rig",
        )
        opening = open_doors_here(desk, Metrics(), told, now=trio.current_time, run=run)
        async with opening as doors:
            rig = Rig(
                journal,
                doors.api.publisher,
                doors.api.access,
                doors.listener,
                doors,
                count=journal.written,
            )
            yield rig
            with trio.fail_after(PATIENCE_S):
                while rig.listener.sessions:
                    await trio.sleep(0.1)
            assert rig.publisher.readers == 0


class Net:
    """What lies between a client and a service, and may be cut: over memory."""

    def __init__(self, listener: Listener, nursery: trio.Nursery) -> None:
        self.welcome: Callable[[trio.abc.Stream], Awaitable[None]] = listener.welcome
        self.is_down = False
        self.lines: list[trio.abc.Stream] = []
        self._nursery = nursery

    async def open_stream(self, url: str, tls: object) -> trio.abc.Stream:
        """Stands in for the client's way to a socket."""
        await trio.lowlevel.checkpoint()
        if self.is_down:
            raise OSError("there is nobody")
        ours, theirs = memory_stream_pair()
        self.lines.append(ours)
        self._nursery.start_soon(self.welcome, theirs)
        return ours

    async def cut(self) -> None:
        """Cut the line, without a word."""
        await trio.aclose_forcefully(self.lines[-1])


@asynccontextmanager
async def open_net(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Net]:
    """Let clients reach a service over memory."""
    async with trio.open_nursery() as nursery:
        net = Net(listener, nursery)
        with monkeypatch.context() as patch:
            patch.setattr("hookflash.client.connection.open_stream", net.open_stream)
            yield net
        while listener.sessions:
            await trio.sleep(0.1)
        nursery.cancel_scope.cancel()


async def open_port(
    listener: Listener, nursery: trio.Nursery, tls: ssl.SSLContext | None = None
) -> int:
    """Have a door listen on a real socket. The port."""
    there = socket.create_server(("127.0.0.1", 0))
    port = int(there.getsockname()[1])
    listener.arrivals = attrs.evolve(listener.arrivals, tls=tls)
    nursery.start_soon(listener.serve, (there,))
    await trio.lowlevel.checkpoint()
    return port


def tls_pair() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What a service on 127.0.0.1 shows, and what whoever trusts it trusts."""
    authority = trustme.CA()
    here = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    there = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.issue_cert("127.0.0.1").configure_cert(here)  # pyright: ignore[reportUnknownMemberType] - it takes pyOpenSSL's contexts as well
    authority.configure_trust(there)  # pyright: ignore[reportUnknownMemberType] - the same
    return here, there
