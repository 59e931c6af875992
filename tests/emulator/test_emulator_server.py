"""The emulator on a port: over real sockets, on a clock that jumps as soon as everybody waits."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from hookflash.backends.freeswitch.wire import Frame, Wire
from hookflash.emulator.emulator import Emulator
from hookflash.emulator.server import (
    AUTH_LIMIT_S,
    LAST_WORDS_S,
    Listening,
    open_emulator,
    serve_emulator,
)
from hookflash.emulator.session import ConnectionLimits

pytestmark = pytest.mark.usefixtures("autojump_clock")


class Client:
    """A plain client."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._wire = Wire()

    async def frame(self) -> Frame | None:
        """The next frame; None at the end."""
        while (frame := self._wire.next_frame()) is None:
            data = await self.stream.receive_some(65_536)
            if not data:
                return None
            self._wire.receive(data)
        return frame

    async def ask(self, line: str) -> str:
        """Send a command; its answer, events passed over."""
        await self.stream.send_all(f"{line}\n\n".encode())
        while (frame := await self.frame()) is not None:
            if frame.content_type == "api/response":
                return frame.text()
            if frame.content_type == "command/reply":
                return frame.header("Reply-Text")
        return "(closed)"

    async def event(self, name: str) -> str:
        """Wait for an event of this name."""
        while (frame := await self.frame()) is not None:
            if f'"Event-Name":"{name}"' in frame.text():
                return frame.text()
        return "(closed)"


@asynccontextmanager
async def connect(listening: Listening, *, auth: bool = True) -> AsyncGenerator[Client]:
    stream = await trio.open_tcp_stream(listening.host, listening.port)
    async with stream:
        client = Client(stream)
        if auth:
            assert await client.ask("auth ClueCon") == "+OK accepted"
        yield client


async def test_a_client_and_the_people(autojump_clock: MockClock) -> None:
    async with open_emulator() as listening, connect(listening) as client:
        await client.ask("event json all")
        alice, bob = listening.emulator.call("1001", "1002")
        assert f'"Bridge-A-Unique-ID":"{alice}"' in await client.event("CHANNEL_BRIDGE")
        listening.emulator.press("1001", "*1")
        assert '"DTMF-Digit":"*"' in await client.event("DTMF")
        assert '"DTMF-Digit":"1"' in await client.event("DTMF")
        await trio.sleep(3600.0)
        assert await client.ask("api uptime") == f"{3600}\n"
        listening.emulator.hang_up(bob)
        assert '"Hangup-Cause":"NORMAL_CLEARING"' in await client.event("CHANNEL_DESTROY")
        assert await client.ask("api show channels count") in {"\n0 total.\n", "\n1 total.\n"}


async def test_several_clients_at_once(autojump_clock: MockClock) -> None:
    async with (
        open_emulator() as listening,
        connect(listening) as one,
        connect(listening) as other,
    ):
        await one.ask("event json CHANNEL_PARK")
        await other.ask("event json CHANNEL_PARK")
        reply = await one.ask("api originate {origination_uuid=c}user/2600 &park()")
        assert reply == "+OK c\n"
        assert '"Unique-ID":"c"' in await one.event("CHANNEL_PARK")
        assert '"Unique-ID":"c"' in await other.event("CHANNEL_PARK")
        assert len(listening.emulator.bus.listeners) == 2
    assert listening.emulator.bus.listeners == []


async def test_a_client_says_goodbye(autojump_clock: MockClock) -> None:
    async with open_emulator() as listening, connect(listening) as client:
        assert await client.ask("exit") == "+OK bye"
        last = await client.frame()
        assert last is not None
        assert last.content_type == "text/disconnect-notice"
        assert await client.frame() is None


async def test_a_client_just_goes(autojump_clock: MockClock) -> None:
    async with open_emulator() as listening:
        async with connect(listening) as client:
            await client.ask("event json all")
        await trio.sleep(1)
        assert listening.emulator.bus.listeners == []


async def test_a_client_that_goes_while_it_is_told_something(autojump_clock: MockClock) -> None:
    async with open_emulator() as listening:
        async with connect(listening) as client:
            await client.ask("event json all")
            for _ in range(30):
                listening.emulator.call("1001", "1002")
            await trio.sleep(1)  # closing with bytes unread resets the connection
        listening.emulator.call("1001", "1002")
        await trio.sleep(1)
        assert listening.emulator.bus.listeners == []


async def test_a_client_that_says_nothing_is_let_go(autojump_clock: MockClock) -> None:
    async with open_emulator() as listening, connect(listening, auth=False) as silent:
        began_s = trio.current_time()
        assert await silent.frame() is not None
        assert await silent.frame() is None
        assert trio.current_time() - began_s == pytest.approx(AUTH_LIMIT_S)


async def test_a_client_that_has_said_something_may_be_silent(autojump_clock: MockClock) -> None:
    async with open_emulator() as listening, connect(listening) as client:
        await trio.sleep(10 * AUTH_LIMIT_S)
        assert await client.ask("api uuid_exists x") == "false"


async def test_a_client_that_does_not_read_is_cut_off(autojump_clock: MockClock) -> None:
    emulator = Emulator(limits=ConnectionLimits(backlog_bytes=100_000))
    async with open_emulator(emulator) as listening, connect(listening) as client:
        await client.ask("event json all")
        for _ in range(100):  # some 10 MB: more than two kernels hold for anybody
            emulator.call("1001", "1002")
            await trio.sleep(0.5)
            emulator.hang_up("1001")
            await trio.sleep(0.5)
        assert emulator.bus.listeners == []
        with pytest.raises(trio.BrokenResourceError):  # noqa: PT012 - how much came is luck
            while await client.stream.receive_some(1_000_000):
                pass
            raise trio.BrokenResourceError  # the end came in order


async def test_a_client_that_does_not_hear_the_last_word(autojump_clock: MockClock) -> None:
    emulator = Emulator()
    async with open_emulator(emulator) as listening, connect(listening) as client:
        await client.ask("event json all")
        for _ in range(100):
            emulator.call("1001", "1002")
        await trio.sleep(1)
        await client.stream.send_all(b"exit\n\n")
        await trio.sleep(2 * LAST_WORDS_S)
        assert emulator.bus.listeners == []


async def test_one_client_too_many(autojump_clock: MockClock) -> None:
    emulator = Emulator(limits=ConnectionLimits(sessions=1))
    async with (
        open_emulator(emulator) as listening,
        connect(listening),
        connect(listening, auth=False) as second,
    ):
        rejection = await second.frame()
        assert rejection is not None
        assert rejection.content_type == "text/rude-rejection"
        assert rejection.text() == "Access Denied, go away.\n"
        assert await second.frame() is None


async def test_a_client_that_leaves_while_a_phone_rings(autojump_clock: MockClock) -> None:
    async with open_emulator() as listening:
        async with connect(listening) as client:
            await client.stream.send_all(b"api originate user/2600 &park()\n\n")
            await trio.sleep(0.5)
        await trio.sleep(5)
        assert listening.emulator.bus.listeners == []


async def test_a_port_that_is_taken(autojump_clock: MockClock) -> None:
    async with open_emulator() as listening:
        with pytest.raises(OSError, match="in use"):
            await serve_emulator(Emulator(), port=listening.port)
