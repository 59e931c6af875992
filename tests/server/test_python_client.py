"""The Python client: a connection that heals. And the terminal, which is one of its programs."""

# a test may look inside
# pyright: reportPrivateUsage=false

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from lab import Lab
from talk import PATIENCE_S, Net, Rig, open_net, open_port, open_rig, tls_pair
from trio.testing import MockClock, wait_all_tasks_blocked
from trio_websocket import WebSocketConnection, wrap_server_stream
from wsproto.events import CloseConnection

from hookflash.api.answers import Accepted
from hookflash.client import Client, ConnectionLost, RefusedByService, connect
from hookflash.client import connection as connection_module
from hookflash.errors import BackendError, InputError
from hookflash.journal import history, registry
from hookflash.journal.history import Wanted
from hookflash.server.api import ServiceApi
from hookflash.server.config import Limits
from hookflash.server.context import Context
from hookflash.server.websocket import session as session_module

URL = "ws://net/v2/events"


@asynccontextmanager
async def client_of(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, account: str | None = "acme"
) -> AsyncGenerator[tuple[Client, Net]]:
    async with (
        open_net(lab.doors.listener, monkeypatch) as net,
        connect(URL, api_key=await lab.make_key(account)) as client,
    ):
        yield client, net


@asynccontextmanager
async def client_of_rig(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[tuple[Client, Net]]:
    async with (
        open_net(rig.listener, monkeypatch) as net,
        connect(URL, api_key=await rig.key()) as client,
    ):
        yield client, net


async def numbers_of(client: Client, count: int, **what: Any) -> list[int]:
    heard: list[int] = []
    with trio.fail_after(PATIENCE_S):
        async for event in client.events(**what):
            heard.append(event["number"])
            if len(heard) == count:
                break
    return heard


# ------------------------------------------------------------------ to get in


async def test_a_key_or_a_token_lets_in(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_rig(tmp_path) as rig, open_net(rig.listener, monkeypatch):
        key = await rig.key()
        _, token = await rig.access.sign_in(key, "there")
        for shown in (partial(connect, api_key=key), partial(connect, token=token)):
            before_s = trio.current_time()
            async with shown(URL) as client:
                assert client.reconnects == 0
            assert (
                trio.current_time() == before_s
            )  # the close frame is sent, and no answer is waited for


WRONG = "wrong"


@pytest.mark.parametrize(
    "shown", [partial(connect, api_key=WRONG), partial(connect, token=WRONG), connect]
)
async def test_a_wrong_key_is_refused(
    autojump_clock: MockClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shown: Callable[[str], AbstractAsyncContextManager[Client]],
) -> None:
    async with open_rig(tmp_path) as rig, open_net(rig.listener, monkeypatch):
        with pytest.raises(RefusedByService) as refused:
            async with shown(URL):
                raise AssertionError
        assert refused.value.http_status == 401


async def test_a_service_that_can_not_be_reached_is_a_backend_error(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="can't be reached"):
        async with connect("ws://127.0.0.1:1/v2/events", api_key="x"):
            raise AssertionError


async def test_a_service_that_does_not_let_us_in_says_why(tmp_path: Path) -> None:
    async with open_rig(tmp_path) as rig, trio.open_nursery() as nursery:
        port = await open_port(rig.listener, nursery)
        with pytest.raises(BackendError, match="HTTP 404 events are at /v2/events"):
            async with connect(f"ws://127.0.0.1:{port}/elsewhere", api_key="x"):
                raise AssertionError
        nursery.cancel_scope.cancel()


async def test_a_service_that_never_answers_is_waited_for_so_long_and_no_longer(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def say_nothing(stream: trio.abc.Stream) -> None:
        await trio.sleep(1_000)

    async with open_rig(tmp_path) as rig, open_net(rig.listener, monkeypatch) as net:
        net.welcome = say_nothing
        with pytest.raises(BackendError, match="no answer within 10 s"):
            async with connect(URL, api_key="x"):
                raise AssertionError
        assert trio.current_time() == pytest.approx(10)


@pytest.mark.parametrize("junk", [b"\xff", "{", "[]", "9" * 5_000, "[" * 5_000])
async def test_a_server_that_talks_something_else_is_no_traceback(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, junk: str | bytes
) -> None:
    async def talk(stream: trio.abc.Stream) -> None:
        async with trio.open_nursery() as nursery:
            request = await wrap_server_stream(nursery, stream)
            socket = await request.accept()
            await socket.send_message(junk)
            await trio.sleep(1_000)

    async with open_rig(tmp_path) as rig, open_net(rig.listener, monkeypatch) as net:
        net.welcome = talk
        with pytest.raises(BackendError, match="not a message of the service"):
            async with connect(URL, api_key="x"):
                raise AssertionError


async def test_over_tls_and_a_real_socket(tmp_path: Path) -> None:
    here, there = tls_pair()
    async with open_rig(tmp_path) as rig, trio.open_nursery() as nursery:
        port = await open_port(rig.listener, nursery, here)
        url = f"wss://127.0.0.1:{port}/v2/events"
        rig.many(3)
        async with connect(url, api_key=await rig.key(), tls=there) as client:
            assert await numbers_of(client, 3, after=0) == [1, 2, 3]
        with pytest.raises(BackendError, match="certificate"):
            async with connect(url, api_key=await rig.key()):
                raise AssertionError
        nursery.cancel_scope.cancel()


# ------------------------------------------------------------------ commands


async def test_a_transfer_and_its_story_to_the_end(
    autojump_clock: MockClock, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = await lab.call()
    async with client_of(lab, monkeypatch) as (client, _):
        assert {call["call_id"] for call in await client.list_calls()} == {alice, bob}
        taken = await client.transfer(call_id=alice, target="2600", moh="music:x", timeout=20)
        states: list[str] = []
        event: dict[str, Any] = {}
        with trio.fail_after(PATIENCE_S):
            async for event in client.events(transfer_id=taken["transfer_id"]):
                if event["kind"] == "transfer.changed":
                    states.append(event["state"])
                if event.get("state") == "consulting":
                    lab.hang_up(alice)
        assert event["outcome"] == "transferred"
        assert states[:3] == ["dialing", "consulting", "completing"]
        again = [one async for one in client.events(transfer_id=taken["transfer_id"])]
        assert again[0]["kind"] == "transfer.requested"
        assert again[-1] == event


@pytest.mark.parametrize(
    ("action", "outcome"), [("take_back", "taken_back"), ("complete", "transferred")]
)
async def test_a_transfer_is_taken_back_or_completed(
    autojump_clock: MockClock, lab: Lab, monkeypatch: pytest.MonkeyPatch, action: str, outcome: str
) -> None:
    alice, _ = await lab.call()
    async with client_of(lab, monkeypatch) as (client, _):
        transfer = (await client.transfer(call_id=alice, target="2600"))["transfer_id"]
        await trio.sleep(5)
        assert (await getattr(client, action)(transfer_id=transfer))["transfer_id"] == transfer
        last = [one async for one in client.events(transfer_id=transfer)][-1]
        assert last["outcome"] == outcome


async def test_a_refusal_says_which_field_and_why(
    autojump_clock: MockClock, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, _ = await lab.call()
    async with client_of(lab, monkeypatch) as (client, _):
        with pytest.raises(RefusedByService) as refused:
            await client.transfer(call_id=alice, target="no number")
        assert (refused.value.http_status, refused.value.where) == (400, "$.target")
        with pytest.raises(RefusedByService) as refused:
            await client.take_back(transfer_id="none")
        assert (refused.value.http_status, refused.value.word) == (404, "no_such_call")
        await client.hang_up(call_id=alice)
        with pytest.raises(RefusedByService, match="another account"):
            await client.list_calls(account_id="globex")
        with pytest.raises(RefusedByService):
            await anext(client.events(account_id="globex"))
        with pytest.raises(RefusedByService):
            await anext(client.events(transfer_id="none"))


async def test_a_request_whose_connection_dies_is_sent_again(
    autojump_clock: MockClock, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with client_of(lab, monkeypatch) as (client, net):
        perform, asked = ServiceApi.perform, 0

        async def never_at_first(*what: Any) -> Any:
            nonlocal asked
            asked += 1
            if asked > 1:
                return await perform(*what)
            await net.cut()
            return await trio.sleep_forever()

        monkeypatch.setattr(ServiceApi, "perform", never_at_first)
        with trio.fail_after(PATIENCE_S):
            assert await client.list_calls() == []
        assert (asked, client.reconnects) == (2, 1)


@pytest.mark.parametrize("lost_after_s", [0, 22])
async def test_a_transfer_whose_answer_is_lost_is_asked_again_and_done_once(
    autojump_clock: MockClock, lab: Lab, monkeypatch: pytest.MonkeyPatch, lost_after_s: float
) -> None:
    """Also where the service sees that the line is dead before the transfer is safe."""
    alice, _ = await lab.call()
    async with client_of(lab, monkeypatch) as (client, net):
        accept, asked = Context.accept, 0

        async def lose_the_answer(*what: Any) -> Accepted:
            nonlocal asked
            asked += 1
            await net.cut()
            await trio.sleep(lost_after_s)
            return await accept(*what)

        monkeypatch.setattr(Context, "accept", lose_the_answer)
        with trio.fail_after(PATIENCE_S):
            taken = await client.transfer(call_id=alice, target="2601")
        assert (asked, client.reconnects) == (1, 1)
        found = (await client.list_transfers())["transfers"]
        assert [one["id"] for one in found] == [taken["transfer_id"]]


# ------------------------------------------------------------------ cuts


async def _follow_over_cuts(folder: Path, steps: list[tuple[int, int]]) -> None:
    """Happenings, and cuts after some moments, while one follower reads all and one a part."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        async with (
            open_rig(folder, Limits(websocket_buffer=20)) as rig,
            client_of_rig(rig, monkeypatch) as (client, net),
            trio.open_nursery() as nursery,
        ):
            heard: dict[str, list[int]] = {"all": [], "part": []}

            async def follow(name: str, **what: Any) -> None:
                async for event in client.events(after=0, **what):
                    heard[name].append(event["number"])

            nursery.start_soon(partial(follow, "all"))
            nursery.start_soon(partial(follow, "part", call_id="b", kinds=("call.*",)))
            for many, moments in steps:
                for _ in range(many):
                    rig.happen("acme", leg="ab"[rig.count % 2])
                for _ in range(moments):
                    await trio.lowlevel.checkpoint()
                await net.cut()
                if moments > 40:
                    await trio.sleep(1)
            await rig.settled(rig.count)
            await trio.sleep(100)
            assert heard["all"] == await rig.history(Wanted())
            assert heard["part"] == await rig.history(Wanted(call="b"))
            assert client.reconnects >= 1
            nursery.cancel_scope.cancel()


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 700), st.integers(0, 60)), min_size=1, max_size=6))
@settings(max_examples=15)
def test_whenever_the_line_is_cut_whoever_follows_misses_nothing_and_hears_nothing_twice(
    steps: list[tuple[int, int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        trio.run(_follow_over_cuts, Path(folder), steps, clock=MockClock(autojump_threshold=0))


async def test_a_line_that_stays_away_for_long_comes_back_with_all_that_was_missed(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_rig(tmp_path) as rig, client_of_rig(rig, monkeypatch) as (client, net):
        events = client.events()
        with trio.move_on_after(1):
            await anext(events)
        net.is_down = True
        await net.cut()
        rig.many(5)
        await trio.sleep(600)
        net.is_down = False
        with trio.fail_after(60):
            assert [(await anext(events))["number"] for _ in range(5)] == [1, 2, 3, 4, 5]
        assert client.reconnects == 1
        await events.aclose()


async def test_whoever_asks_while_the_line_is_away_is_answered_though_it_fails_once_more(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slam(stream: trio.abc.Stream) -> None:
        await stream.aclose()

    async with (
        open_rig(tmp_path) as rig,
        client_of_rig(rig, monkeypatch) as (client, net),
        trio.open_nursery() as nursery,
    ):
        net.is_down = True
        await net.cut()
        await trio.sleep(1)
        nursery.start_soon(client._connection.ask, "subscribe", {"after": 0})
        await trio.sleep(1)
        net.welcome, welcome, net.is_down = slam, net.welcome, False
        await trio.sleep(60)
        net.welcome = welcome
        with trio.fail_after(120):
            while not rig.publisher.readers:
                await trio.sleep(1)


async def test_a_service_that_stops_and_comes_back_is_followed_on(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_rig(tmp_path) as rig, client_of_rig(rig, monkeypatch) as (client, _):
        events = client.events(after=0)
        rig.many(1)
        await anext(events)
        await rig.listener.say_goodbye()
        rig.many(1)
        await trio.sleep(30)
        rig.listener._stopping = False
        assert (await anext(events))["number"] == 2
        await events.aclose()


async def test_a_service_that_is_silently_gone_is_noticed(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_rig(tmp_path) as rig, client_of_rig(rig, monkeypatch) as (client, _):
        (session,) = rig.listener.sessions
        monkeypatch.setattr(session._socket, "_send", _swallow)
        with trio.fail_after(60):
            while not client.reconnects:
                await trio.sleep(1)


async def _swallow(event: object) -> None:
    await trio.lowlevel.checkpoint()


async def test_a_client_that_was_left_says_so(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_rig(tmp_path) as rig, client_of_rig(rig, monkeypatch) as (client, _):
        pass
    with trio.fail_after(1):
        with pytest.raises(ConnectionLost, match="closed"):
            await client.list_calls()
        with pytest.raises(ConnectionLost, match="closed"):
            await client.transfer(call_id="a", target="2600")
        with pytest.raises(ConnectionLost, match="closed"):
            await anext(client.events())


async def test_a_heartbeat_that_crosses_our_goodbye_is_no_fault(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    say_goodbye = WebSocketConnection._handle_close_connection_event

    async def ask_first(self: WebSocketConnection, event: CloseConnection) -> None:
        if not self.is_client:
            await self._stream.send_all(b"\x89\x00")  # a ping: it was on its way
        await say_goodbye(self, event)

    monkeypatch.setattr(WebSocketConnection, "_handle_close_connection_event", ask_first)
    async with open_rig(tmp_path) as rig, client_of_rig(rig, monkeypatch) as (client, _):
        assert client.reconnects == 0
    assert not rig.listener.sessions


async def test_a_key_that_is_revoked_meanwhile_ends_the_client_when_it_comes_back(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_rig(tmp_path) as rig, open_net(rig.listener, monkeypatch) as net:
        key = await rig.key()
        with pytest.raises(RefusedByService) as refused:  # noqa: PT012 - all of the block is what must fail
            async with connect(URL, api_key=key):
                revoke = partial(registry.revoke_key, key_id=key.split("_")[1], now=0.0)
                await rig.journal.change(revoke)
                await net.cut()
                await trio.sleep(100)
        assert refused.value.http_status == 401


@pytest.mark.parametrize("url", ["", "http://x/", "ws://", "ws://x:99999/", "ws://x:0", "ws://[x/"])
async def test_what_is_no_url_is_said_so(url: str) -> None:
    with pytest.raises(InputError, match="is not the URL of a WebSocket"):
        async with connect(url, api_key="x"):
            raise AssertionError


async def test_too_many_requests_while_it_comes_back_only_delay_it(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = Limits(requests_per_second=2)
    async with (
        open_rig(tmp_path, limits) as rig,
        client_of_rig(rig, monkeypatch) as (client, net),
        trio.open_nursery() as nursery,
    ):
        heard: list[int] = []

        async def follow() -> None:
            async for event in client.events(after=0):
                heard.append(event["number"])  # noqa: PERF401 - it does not end by itself

        nursery.start_soon(follow)
        nursery.start_soon(follow)
        await trio.sleep(5)
        budgets = rig.access._by_key
        await net.cut()
        for _ in range(30):
            for budget in budgets._budgets.values():
                budget.spend(1, trio.current_time())
            await trio.sleep(0.1)
        rig.many(3)
        await trio.sleep(100)
        assert sorted(heard) == [1, 1, 2, 2, 3, 3]
        nursery.cancel_scope.cancel()


async def test_what_is_not_kept_any_more_after_a_cut_is_said_and_not_passed_over(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_rig(tmp_path) as rig, client_of_rig(rig, monkeypatch) as (client, net):
        events = client.events(after=0)
        rig.many(1)
        await anext(events)
        net.is_down = True
        await net.cut()
        await rig.settled(rig.many(9))
        await rig.journal.change(lambda connection: history.prune(connection, before=8.0))
        net.is_down = False
        with pytest.raises(RefusedByService) as refused, trio.fail_after(60):
            await anext(events)
        assert refused.value.http_status == 410


# ------------------------------------------------------------------ leaving


async def test_whoever_leaves_the_events_is_sent_no_more(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_rig(tmp_path) as rig, client_of_rig(rig, monkeypatch) as (client, _):
        rig.many(3)
        async for event in client.events(after=0):
            assert event["number"] == 1
            break
        await wait_all_tasks_blocked()
        rig.many(1)
        await rig.settled(4)
        await wait_all_tasks_blocked()
        assert rig.publisher.readers == 0
        events = client.events(after=3)
        assert (await anext(events))["number"] == 4
        await events.aclose()
        await wait_all_tasks_blocked()
        assert rig.publisher.readers == 0
        with pytest.raises(StopAsyncIteration):
            await anext(events)


async def test_whoever_loses_patience_with_the_first_event_can_ask_again(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_rig(tmp_path) as rig, client_of_rig(rig, monkeypatch) as (client, _):
        rig.many(2)
        for checkpoints in range(12):
            events = client.events(after=0)
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:

                    async def cancel(scope: trio.CancelScope, after: int) -> None:
                        for _ in range(after):
                            await trio.lowlevel.checkpoint()
                        scope.cancel()

                    nursery.start_soon(cancel, scope, checkpoints)
                    await anext(events)
                    await trio.sleep_forever()
            with trio.fail_after(60):
                rest = await anext(events)
            assert rest["number"] in {1, 2}
            await events.aclose()
        await wait_all_tasks_blocked()
        assert rig.publisher.readers == 0


@pytest.mark.slow
async def test_a_reader_may_give_commands_between_more_events_than_are_kept(
    autojump_clock: MockClock, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "BUFFER", 5)
    monkeypatch.setattr(session_module, "EVENTS_AT_ONCE", 3)
    for _ in range(10):
        await lab.call()
    told = lab.service.journal.published
    async with client_of(lab, monkeypatch) as (client, _):
        heard: list[int] = []
        with trio.fail_after(PATIENCE_S):
            async for event in client.events(after=0):
                heard.append(event["number"])
                await client.get_metaflows()
                if event["number"] == told:
                    break
        assert heard == list(range(heard[0], told + 1))


@pytest.mark.parametrize(
    "error", [KeyError("k"), OSError("o"), ConnectionLost("l"), trio.TooSlowError()]
)
async def test_an_error_in_the_callers_own_block_is_raised_as_it_was(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async with open_rig(tmp_path) as rig, open_net(rig.listener, monkeypatch):
        key = await rig.key()
        with pytest.raises(type(error)) as raised:
            async with connect(URL, api_key=key):
                raise error
        assert raised.value is error


async def test_a_client_that_is_left_while_the_line_is_away_is_left_at_once(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_rig(tmp_path) as rig:
        async with client_of_rig(rig, monkeypatch) as (_, net):
            net.is_down = True
            await net.cut()
            await trio.sleep(100)
            before_s = trio.current_time()
        assert trio.current_time() == before_s


async def test_whoever_reads_after_the_client_is_closed_is_told_so(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_rig(tmp_path) as rig:
        async with client_of_rig(rig, monkeypatch) as (client, _):
            rig.many(1)
            events = client.events(after=0)
            await anext(events)
        with pytest.raises(ConnectionLost, match="closed"):
            await anext(events)


# ------------------------------------------------------------------ the terminal


CONFIG = """
[listen]
http = "127.0.0.1:0"
websocket = "127.0.0.1:0"

[switches.sim]
kind = "simulator"
calls = [["1001", "1002"], ["1003", "1004"], ["1005", "1006"]]
account = "acme"
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A service in a process of its own; how to run a command against it."""
    folder = tmp_path_factory.mktemp("served")
    config = folder / "hookflash.toml"
    config.write_text(CONFIG)
    key = _hookflash("keys", "make", "--account", "acme", "--config", str(config)).strip()
    with subprocess.Popen(
        [sys.executable, "-m", "hookflash", "serve", "--config", str(config)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline() + process.stdout.readline()
        found = re.search(r"WebSocket on (\S+)", said)
        assert found, said
        env = {"HOOKFLASH_URL": found[1], "HOOKFLASH_KEY": key}
        yield partial(_hookflash, env=env)
        process.terminate()
        assert "stopped" in process.stdout.read()
    assert process.returncode == 0


def _hookflash(*words: str, env: dict[str, str] | None = None, status: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "hookflash", *words],
        capture_output=True,
        text=True,
        env={**os.environ, **(env or {})},
        timeout=120,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done.stdout if status == 0 else done.stderr


def _calls(served: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in served("calls").splitlines()]


def _transferor(served: Any, number: str) -> str:
    (found,) = [call["call_id"] for call in _calls(served) if call["number"] == number]
    return str(found)


@pytest.mark.slow
def test_the_terminal_transfers_and_tells_what_comes_of_it(served: Any) -> None:
    story = served("transfer", _transferor(served, "1001"), "2602")
    assert re.match(r"transfer \S+\n", story)
    assert "transfer.requested" in story
    assert "reconnected (USER_BUSY)" in story.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "action", "outcome"),
    [("1003", "takeback", "taken_back"), ("1005", "complete", "transferred")],
)
def test_the_terminal_takes_back_and_completes(
    served: Any, number: str, action: str, outcome: str
) -> None:
    target = "2600" if action == "complete" else "2601"
    told = served("transfer", _transferor(served, number), target, "--no-follow")
    transfer, awaited = told.split()[1], "consulting" if action == "complete" else "dialing"
    with subprocess.Popen(
        [sys.executable, "-m", "hookflash", "watch", "--transfer", transfer, "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **served.keywords["env"]},
    ) as watching:
        assert watching.stdout is not None
        event: dict[str, Any] = {}
        for line in watching.stdout:
            event = json.loads(line)
            if event["kind"] == "transfer.changed" and event["state"] == awaited:
                served(action, transfer)
    assert (event["kind"], event["outcome"]) == ("transfer.ended", outcome)
    assert watching.returncode == 0


@pytest.mark.slow
def test_the_terminal_watches_from_a_number_on(served: Any) -> None:
    told = served("watch", "--after", "0", "--count", "3")
    numbers = [int(line.split()[0]) for line in told.splitlines()]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 3


@pytest.mark.slow
def test_the_terminal_says_what_is_wrong(served: Any) -> None:
    assert "there is no such call" in served("transfer", "nobody", "2600", status=1)
    assert "invalid or revoked API key" in served("calls", "--key", "wrong", status=1)
    assert "can't be reached" in served("calls", "--url", "ws://127.0.0.1:1/v2/events", status=1)
    assert "HOOKFLASH_KEY" in served("calls", "--key", "", status=2)
