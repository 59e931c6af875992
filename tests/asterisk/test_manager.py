"""A connection to a manager interface, with a switch that only pretends."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
import trio.testing
import trustme

from hookflash.backends.asterisk.manager import (
    Manager,
    ManagerAction,
    ManagerLogin,
    ManagerLost,
    ManagerRefused,
    open_manager,
)
from hookflash.backends.asterisk.manager_wire import Message
from hookflash.backends.base import Rejected
from hookflash.errors import InputError

GREETING = b"Asterisk Call Manager/11.0.0\r\n"
LOGIN = ManagerLogin(username="hookflash", secret="swordfish", timeout_s=2)  # noqa: S106 - a test's


class Peer:
    """The switch's end: what was asked, and what is answered."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._text = ""

    async def asked(self) -> dict[str, str]:
        while "\r\n\r\n" not in self._text:
            data = await self.stream.receive_some()
            if not data:
                return {}
            self._text += data.decode()
        block, _, self._text = self._text.partition("\r\n\r\n")
        return {k: v for k, _, v in (line.partition(": ") for line in block.split("\r\n"))}

    async def say(self, **headers: str) -> None:
        text = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        await self.stream.send_all(f"{text}\r\n".encode())


@asynccontextmanager
async def open_line(timeout_s: float = 5.0) -> AsyncGenerator[tuple[Manager, Peer, list[Message]]]:
    ours, theirs = trio.testing.memory_stream_pair()
    events: list[Message] = []
    manager = Manager(ours, events.append, timeout_s=timeout_s)
    await theirs.send_all(GREETING)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(manager.read)
        yield manager, Peer(theirs), events
        nursery.cancel_scope.cancel()


async def test_responses_find_their_actions_in_any_order() -> None:
    async with open_line() as (manager, peer, events):
        one, two = await manager.send(
            ManagerAction("Setvar", {"Value": "1"}), ManagerAction("Setvar", {"Value": "2"})
        )
        first, second = await peer.asked(), await peer.asked()
        await peer.say(Event="FullyBooted")
        await peer.say(Response="Success", ActionID=second["ActionID"], Message="2")
        assert (await two.response()).get("message") == "2"
        await peer.say(Response="Error", ActionID=first["ActionID"], Message="1")
        assert not (await one.response()).ok
        await peer.say(Event="OriginateResponse", ActionID=first["ActionID"])
        await trio.testing.wait_all_tasks_blocked()
        assert [event.event for event in events] == ["FullyBooted", "OriginateResponse"]


async def test_a_refusal_is_an_error_for_who_demands() -> None:
    async with open_line() as (manager, peer, _), trio.open_nursery() as nursery:

        async def demand() -> None:
            with pytest.raises(ManagerRefused, match="Redirect: Channel does not exist") as caught:
                await manager.demand("Redirect", Channel="PJSIP/1001-00000001")
            assert caught.value.response.get("response") == "Error"

        nursery.start_soon(demand)
        action_id = (await peer.asked())["ActionID"]
        await peer.say(Response="Error", ActionID=action_id, Message="Channel does not exist")


@pytest.mark.parametrize("end", ["Complete", "Cancelled"])
async def test_a_list_is_collected(end: str) -> None:
    async with open_line() as (manager, peer, events), trio.open_nursery() as nursery:

        async def answer() -> None:
            action_id = (await peer.asked())["ActionID"]
            await peer.say(Response="Success", ActionID=action_id, EventList="start")
            await peer.say(Event="CoreShowChannel", ActionID=action_id, Channel="a")
            await peer.say(Event="Newchannel", Channel="c")
            await peer.say(Event="CoreShowChannel", ActionID=action_id, Channel="b")
            await peer.say(Event="CoreShowChannelsComplete", ActionID=action_id, EventList=end)

        nursery.start_soon(answer)
        listed = await manager.listing("CoreShowChannels")
        assert [event.get("channel") for event in listed] == ["a", "b"]
        assert [event.event for event in events] == ["Newchannel"]


async def test_a_list_may_be_refused() -> None:
    async with open_line() as (manager, peer, _), trio.open_nursery() as nursery:

        async def answer() -> None:
            action_id = (await peer.asked())["ActionID"]
            await peer.say(Response="Error", ActionID=action_id, Message="no such endpoint")

        nursery.start_soon(answer)
        with pytest.raises(ManagerRefused, match="no such endpoint"):
            await manager.listing("PJSIPShowEndpoint", Endpoint="none")


async def lose(manager: Manager, why: str) -> None:
    with pytest.raises(ManagerLost, match=why):
        await manager.action("Ping")


async def test_everybody_who_waits_learns_that_the_line_died() -> None:
    async with open_line() as (manager, peer, _):
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(lose, manager, "the switch has closed the connection")
            await trio.testing.wait_all_tasks_blocked()
            await peer.stream.aclose()
        await lose(manager, "the switch has closed the connection")
        assert await manager.lost() is manager.dead


async def test_nonsense_ends_the_line() -> None:
    async with open_line() as (manager, peer, _), trio.open_nursery() as nursery:
        nursery.start_soon(lose, manager, "a message is too long")
        await peer.asked()
        await peer.stream.send_all(b"x" * (1024 * 1024 + 1))


async def test_an_overdue_response_ends_the_line(autojump_clock: trio.testing.MockClock) -> None:
    async with open_line() as (manager, _, _):
        await lose(manager, "no response to Ping in time")
        assert trio.current_time() == pytest.approx(5)
        await lose(manager, "no response to Ping in time")


async def test_who_stops_waiting_disturbs_nobody() -> None:
    async with open_line() as (manager, peer, events):
        with trio.move_on_after(0.01):
            await manager.action("Slow")
        action_id = (await peer.asked())["ActionID"]
        await peer.say(Response="Success", ActionID=action_id)
        (pending,) = await manager.send(ManagerAction("Ping"))
        await peer.say(Response="Success", ActionID=(await peer.asked())["ActionID"])
        assert (await pending.response()).ok
        assert not events


class Deaf(trio.abc.Stream):
    """A connection whose other end reads nothing."""

    async def send_all(self, data: object) -> None:
        await trio.sleep_forever()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.sleep_forever()
        return b""

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def test_a_switch_that_does_not_read_is_lost(autojump_clock: trio.testing.MockClock) -> None:
    await lose(Manager(Deaf(), print), "does not read what is sent")
    manager = Manager(Deaf(), print)
    with trio.move_on_after(1):
        await manager.action("Ping")
    await lose(manager, "cut off while it was sent")


async def test_what_can_not_be_sent_harms_nobody() -> None:
    async with open_line() as (manager, peer, _):
        with pytest.raises(InputError):
            await manager.send(ManagerAction("Ping"), ManagerAction("Setvar", {"Value": "a\r\nb"}))
        await manager.send(ManagerAction("Ping"))
        assert (await peer.asked())["Action"] == "Ping"
        await peer.stream.aclose()
        await manager.lost()
        with pytest.raises(ManagerLost):
            await manager.send(ManagerAction("Ping"))


Serve = Callable[[Peer], Awaitable[None]]


async def let_in(peer: Peer) -> None:
    await peer.stream.send_all(GREETING)
    asked = await peer.asked()
    assert (asked["Action"], asked["AuthType"]) == ("Challenge", "MD5")
    await peer.say(Response="Success", ActionID=asked["ActionID"], Challenge="4711")
    asked = await peer.asked()
    key = hashlib.md5(b"4711swordfish", usedforsecurity=False).hexdigest()
    right = asked["Username"] == "hookflash" and asked["Key"] == key
    answer = "Success" if right else "Error"
    await peer.say(Response=answer, ActionID=asked["ActionID"], Message=f"login {answer}")
    await peer.say(Event="FullyBooted")
    asked = await peer.asked()
    if asked:
        await peer.say(Response="Success", ActionID=asked["ActionID"], Ping="Pong")
        await peer.asked()


async def shut_the_door(peer: Peer) -> None:
    await peer.stream.send_all(GREETING)
    await peer.asked()


@asynccontextmanager
async def serving(
    serve: Serve, context: ssl.SSLContext | None = None
) -> AsyncGenerator[ManagerLogin]:
    async def handle(stream: trio.abc.Stream) -> None:
        if context is not None:
            stream = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        try:
            async with stream:
                await serve(Peer(stream))
        except trio.BrokenResourceError:
            assert context is not None

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, handle, [listener])
        yield attrs.evolve(LOGIN, port=port)
        nursery.cancel_scope.cancel()


async def test_the_login_does_not_send_the_secret_and_events_are_heard() -> None:
    events: list[Message] = []
    async with serving(let_in) as login, open_manager(login, events.append) as manager:
        assert (await manager.action("Ping")).get("ping") == "Pong"
        assert [event.event for event in events] == ["FullyBooted"]
    with pytest.raises(ManagerLost, match="the connection was closed"):
        await manager.action("Ping")


async def test_a_wrong_secret_is_refused_and_never_shown() -> None:
    async with serving(let_in) as login:
        wrong = attrs.evolve(login, secret="clownfish")  # noqa: S106 - a test's
        with pytest.raises(ManagerRefused, match="Login: login Error"):
            async with open_manager(wrong):
                pass
    assert "fish" not in repr((login, wrong))


async def test_a_switch_that_closes_or_is_not_there_is_lost() -> None:
    async with serving(shut_the_door) as login:
        with pytest.raises(ManagerLost, match="the switch has closed the connection"):
            async with open_manager(login):
                pass
    with pytest.raises(ManagerLost, match=f"127.0.0.1:{login.port} can't be reached"):
        async with open_manager(login):
            pass


async def test_an_error_of_the_block_comes_out_as_it_is() -> None:
    async with serving(let_in) as login:
        with pytest.raises(ZeroDivisionError):
            async with open_manager(login):
                await fail()


async def fail() -> None:
    raise ZeroDivisionError


async def test_the_connection_may_be_encrypted() -> None:
    authority: Any = trustme.CA()  # its methods are typed for another library, too
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    async with serving(let_in, server) as login:
        async with open_manager(attrs.evolve(login, tls=client)) as manager:
            assert (await manager.action("Ping")).ok
        with pytest.raises(Rejected, match="is not trusted: .*certificate"):
            async with open_manager(attrs.evolve(login, tls=ssl.create_default_context())):
                pass
