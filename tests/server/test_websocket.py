"""Event control by WebSocket: what a program may ask, and how it is parted with."""

# a test may look inside
# pyright: reportPrivateUsage=false

from __future__ import annotations

import json
import struct
import tempfile
from contextlib import ExitStack, suppress
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any, cast

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from lab import Lab, open_lab
from talk import Connection, code_of, knock, open_line, open_port, open_rig, shout, tls_pair
from trio.testing import MockClock, wait_all_tasks_blocked
from trio_websocket import ConnectionClosed, open_websocket_url
from wsproto.frame_protocol import FrameProtocol

from hookflash.journal.database import JournalError
from hookflash.journal.registry import make_key, revoke_key
from hookflash.journal.step import KINDS
from hookflash.server.arrivals import Arrivals
from hookflash.server.config import Limits
from hookflash.server.connections import Connections, TooManyConnections
from hookflash.server.operations import OPERATION_OF
from hookflash.server.proxies import Proxies
from hookflash.server.websocket import messages as m
from hookflash.server.websocket.asyncapi import CLOSE_CODES, asyncapi_document, requests
from hookflash.server.websocket.budget import FRAMES_PER_S, FrameCount
from hookflash.server.websocket.listener import KNOCKING
from hookflash.server.websocket.session import MOST_REPLIES, MOST_SUBSCRIPTIONS, Session

# ------------------------------------------------------------------ who is let in


async def test_the_first_word_is_ours(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with open_rig(tmp_path) as rig, open_line(rig.listener) as line:
        assert line.socket.subprotocol == "hookflash.v1"
        assert (await line.get("authenticate", api_key=await rig.key())) == {"account_id": "acme"}


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (knock(), 101),
        (knock("/"), 101),
        (knock("/v2/events?a=b"), 101),
        (knock(protocol=None), 101),
        (knock(protocol="mqtt, hookflash.v1"), 101),
        (knock(origin="https://desk.example.org"), 101),
        (knock(origin="https://evil.example.org"), 403),
        (knock(origin="null"), 403),
        (knock("/v2/elsewhere"), 404),
        (knock(protocol="hookflash.v2"), 400),
    ],
)
async def test_a_handshake_is_answered_by_path_origin_and_protocol(
    autojump_clock: MockClock, tmp_path: Path, said: bytes, status: int
) -> None:
    async with open_rig(tmp_path, origins=("https://desk.example.org",)) as rig:
        heard = await shout(rig.listener, said)
        assert heard.startswith(b"HTTP/1.1 %d" % status)


async def test_more_connections_than_there_may_be_are_told_503(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path, Limits(websocket_connections=2)) as rig:
        key = await rig.key()
        async with open_line(rig.listener, key), open_line(rig.listener, key):
            assert (await shout(rig.listener, knock())).startswith(b"HTTP/1.1 503")
        await trio.sleep(1)
        assert (await shout(rig.listener, knock())).startswith(b"HTTP/1.1 101")


async def test_who_knocks_and_says_nothing_is_hung_up_on(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path) as rig:
        before_s = trio.current_time()
        assert await shout(rig.listener, b"GET /v2/ev", stays=True) == b""
        assert trio.current_time() - before_s == pytest.approx(5)


async def test_a_door_full_of_strangers_makes_room_and_keeps_who_has_signed_in(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    most = 3
    async with (
        open_rig(tmp_path, Limits(websocket_connections=most)) as rig,
        open_line(rig.listener, await rig.key()) as first,
    ):
        ends: list[trio.abc.Stream] = []
        async with trio.open_nursery() as nursery:
            for _ in range(2 * KNOCKING):
                ours, theirs = trio.testing.memory_stream_pair()
                ends.append(ours)
                nursery.start_soon(rig.listener.welcome, theirs)
            await wait_all_tasks_blocked()
            connections = rig.listener.connections
            assert connections.total == most + KNOCKING
            assert connections.evicted == KNOCKING + 1 - most
            async with open_line(rig.listener, await rig.key()) as second:
                await second.get("list_calls")
            await first.get("list_calls")
            for end in ends:
                await end.aclose()


@pytest.mark.parametrize(
    ("said", "client"),
    [
        (b"PROXY TCP4 10.1.2.3 127.0.0.1 5 6\r\n" + knock(), "10.1.2.3"),
        (b"PROXY UNKNOWN\r\n" + knock(), "127.0.0.1"),
        (b"PROXY TCP4 10.1.2.3 127.0.0.1 5 6\r\n" + knock(forwarded="10.9.9.9"), "10.1.2.3"),
        (b"PROXY UNKNOWN\r\n" + knock(forwarded="6.6.6.6, 10.9.9.9"), "10.9.9.9"),
        (
            b"PROXY UNKNOWN\r\n"
            + knock(forwarded="6.6.6.6, 10.9.9.9\r\nX-Forwarded-For: 127.0.0.1"),
            "10.9.9.9",
        ),
        (knock(), None),
    ],
    ids=["v1", "unknown", "the header counts", "forwarded", "two lines", "no header"],
)
async def test_a_trusted_proxy_says_who_the_client_is(
    tmp_path: Path, said: bytes, client: str | None
) -> None:
    async with open_rig(tmp_path) as rig, trio.open_nursery() as nursery:
        port = await open_port(rig.listener, nursery)
        proxies = Proxies((ip_network("127.0.0.1/32"),))
        rig.listener.arrivals = Arrivals(proxies=proxies, proxy_protocol=True)
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(said)
            heard = bytearray()
            with trio.fail_after(30), suppress(trio.BrokenResourceError):
                while b"hello" not in heard and (some := await stream.receive_some()):
                    heard += some
            assert (b"hello" in heard) == (client is not None)
            assert [session._address for session in rig.listener.sessions] == (
                [client] if client else []
            )
            counted = client or "127.0.0.1"
            assert rig.listener.connections.of(counted) == rig.listener.connections.total
        nursery.cancel_scope.cancel()


async def test_an_address_from_which_somebody_signed_in_is_not_a_strangers(
    autojump_clock: MockClock,
) -> None:
    connections = Connections(most=6, most_per_address=10)
    with ExitStack() as stack:
        desk = [stack.enter_context(connections.admit("10.0.0.1")) for _ in range(4)]
        for last in (2, 3):
            stack.enter_context(connections.admit(f"10.0.0.{last}"))
        desk[0].prove()
        stack.enter_context(desk[0].working())
        for last in range(4, 8):  # each takes the place of another stranger
            stack.enter_context(connections.admit(f"10.0.0.{last}"))
        desk.append(stack.enter_context(connections.admit("10.0.0.1")))
        assert not any(one.evicted for one in desk)
        assert connections.total == 6
        stack.enter_context(connections.admit("10.0.0.1"))
        with pytest.raises(TooManyConnections):
            stack.enter_context(connections.admit("10.0.0.9"))  # no stranger is left


async def test_a_stranger_may_say_little_before_it_says_who_it_is(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path) as rig:
        for said in (
            frame(0xA, b"") * 100_000,  # pongs that nobody asked for
            frame(0x9, b"") * 1_000,
            frame(0x2, b"", last=False) + frame(0x0, b"", last=False) * 10_000,
            frame(0x1, b"x" * 60_000),
        ):
            heard = await shout(rig.listener, knock(), said, stays=True)
            assert close_codes(heard) == [4001]
            assert b"sent too much" in heard
            assert heard.count(b"\x8a\x00") <= 700  # one read of pings
        assert await shout(rig.listener, b"GET / HTTP/1.1\r\nx: " + b"x" * 1_000_000) == b""


async def test_who_is_signed_in_is_read_as_fast_as_its_budget_allows(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path) as rig:
        me = frame(
            0x1, b'{"action":"authenticate","id":"a","api_key":"%s"}' % (await rig.key()).encode()
        )
        count = 5 * int(FRAMES_PER_S)
        began_s = trio.current_time()
        heard = await shout(rig.listener, knock(), me, frame(0x9, b"") * count)
        assert heard.count(b"\x8a\x00") == count
        assert trio.current_time() - began_s == pytest.approx(4, abs=1)


@given(
    payloads=st.lists(
        st.tuples(st.sampled_from([0, 1, 125, 126, 127, 70_000]), st.booleans()), max_size=6
    ),
    cut=st.integers(1, 5_000),
)
def test_frames_are_counted_however_they_are_cut(
    payloads: list[tuple[int, bool]], cut: int
) -> None:
    said = b"".join(
        frame(0x2, b"y" * size) if masked else unmasked(size) for size, masked in payloads
    )
    count = FrameCount()
    pieces = (said[at : at + cut] for at in range(0, len(said), cut))
    assert sum(map(count.count, pieces)) == len(payloads)


def unmasked(size: int) -> bytes:
    if size < 126:
        return bytes([0x82, size]) + b"y" * size
    if size < 65_536:
        return bytes([0x82, 126]) + size.to_bytes(2, "big") + b"y" * size
    return bytes([0x82, 127]) + size.to_bytes(8, "big") + b"y" * size


async def test_a_connection_ends_with_its_token_unless_it_is_renewed(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    limits = Limits(token_lifetime_s=100)
    async with open_rig(tmp_path, limits) as rig, open_line(rig.listener) as line:
        _, first = await rig.access.sign_in(await rig.key(), "there")
        await line.get("authenticate", token=first)
        await trio.sleep(90)
        _, second = await rig.access.sign_in(await rig.key(), "there")
        await line.get("authenticate", token=second)
        other = await line.ask("authenticate", api_key=await rig.key("globex"))
        assert (other["status"], "another program" in other["error"]["message"]) == (409, True)
        await trio.sleep(90)
        await line.get("list_calls")
        began_s = trio.current_time()
        assert (await line.closed())[0] == 4001
        assert trio.current_time() - began_s == pytest.approx(10, abs=0.1)


@pytest.mark.parametrize("account", [None, "acme", "longest." * 16])
async def test_a_token_does_as_well_as_a_key(
    autojump_clock: MockClock, tmp_path: Path, account: str | None
) -> None:
    async with open_rig(tmp_path) as rig, open_line(rig.listener) as line:
        _, token = await rig.access.sign_in(await rig.key(account), "there")
        assert await line.get("authenticate", token=token) == {"account_id": account}


@pytest.mark.parametrize("shown", [{"token": "x"}, {"api_key": "x"}, {"api_key": "hookflash_a_b"}])
async def test_a_wrong_key_is_answered_and_then_hung_up_on(
    autojump_clock: MockClock, tmp_path: Path, shown: dict[str, str]
) -> None:
    async with open_rig(tmp_path) as rig, open_line(rig.listener) as line:
        assert (await line.ask("authenticate", **shown))["status"] == 401
        assert (await line.closed())[0] == 4001


async def test_too_many_wrong_keys_are_told_to_wait(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with (
        open_rig(tmp_path, Limits(wrong_keys_per_minute=1)) as rig,
        open_line(rig.listener) as first,
    ):
        assert (await first.ask("authenticate", api_key="x"))["status"] == 401
        async with open_line(rig.listener) as line:
            for session in rig.listener.sessions:
                session._address = "there"
            rig.access._wrong.use("there", trio.current_time())
            assert (await line.ask("authenticate", api_key="x"))["status"] == 429


async def test_who_does_not_say_who_it_is_in_time_is_hung_up_on(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path) as rig, open_line(rig.listener) as line:
        before_s = trio.current_time()
        assert (await line.closed())[0] == 4001
        assert trio.current_time() - before_s == pytest.approx(5)


async def test_nothing_is_done_for_who_has_not_said_who_it_is(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path) as rig, open_line(rig.listener) as line:
        assert (await line.ask("list_calls"))["status"] == 401
        assert (await line.closed())[0] == 4001


async def test_authenticate_without_either_says_what_is_missing(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path) as rig, open_line(rig.listener) as line:
        reply = await line.ask("authenticate")
        assert (reply["status"], reply["error"]["where"]) == (400, "$.token")


async def test_nobody_becomes_somebody_else_on_the_way(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path) as rig, open_line(rig.listener, await rig.key()) as line:
        assert (await line.ask("authenticate", api_key=await rig.key(None)))["status"] == 409


# ------------------------------------------------------------------ who hears what


async def test_an_account_hears_its_own_and_the_switch_and_nobody_elses(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path) as rig, open_line(rig.listener, await rig.key("acme")) as line:
        await line.follow()
        for accounts in (("acme",), ("globex",), ("globex", "acme"), ()):
            last = rig.happen(*accounts)
        last = rig.happen("acme")
        heard = await line.until(last)
        assert [event["number"] for event in heard] == [1, 3, 5]
        assert {event["account_id"] for event in heard} == {"acme"}
        for what in ({"account_id": "globex"}, {"account_id": "globex", "after": 0}):
            assert (await line.ask("subscribe", **what))["status"] == 403


async def test_an_administrator_hears_all_or_what_it_chooses(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path) as rig:
        rig.happen("acme", leg="a")
        rig.happen("globex", leg="b", transfer="t1")
        last = rig.happen("acme", leg="b")
        for what, numbers in (
            ({}, [1, 2, 3]),
            ({"account_id": "acme"}, [1, 3]),
            ({"call_id": "b"}, [2, 3]),
            ({"transfer_id": "t1"}, [2]),
            ({"kinds": ["call.digit"]}, [1, 2, 3]),
            ({"kinds": ["call.d*"], "call_id": "a"}, [1]),
        ):
            async with open_line(rig.listener, await rig.key(None)) as line:
                await line.follow(after=0, **what)
                assert [event["number"] for event in await line.until(last - 1)] == numbers


@pytest.mark.parametrize(
    "kinds", [["call.digits"], ["x*"], ["transfer"], [""], ["a" * 50], "call.*"]
)
async def test_a_kind_that_there_is_not_is_refused(
    autojump_clock: MockClock, tmp_path: Path, kinds: object
) -> None:
    async with open_rig(tmp_path) as rig, open_line(rig.listener, await rig.key()) as line:
        reply = await line.ask("subscribe", kinds=kinds)
        assert reply["status"] == 400
        assert reply["error"]["where"].startswith("$.kinds")


async def test_every_kind_and_every_beginning_of_one_may_be_asked_for(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path) as rig, open_line(rig.listener, await rig.key()) as line:
        for kind in KINDS:
            await line.follow(kinds=[kind, f"{kind[:4]}*"])


async def test_two_subscriptions_of_one_line_do_not_mix(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path) as rig, open_line(rig.listener, await rig.key()) as line:
        one, other = await line.follow(call_id="a"), await line.follow(call_id="b")
        rig.happen("acme", leg="a")
        rig.happen("acme", leg="b")
        heard = [await line.hear(), await line.hear()]
        by_name = {h["subscription"]: [event["call_id"] for event in h["events"]] for h in heard}
        assert by_name == {one: ["a"], other: ["b"]}


async def test_after_unsubscribing_nothing_more_is_said(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path) as rig, open_line(rig.listener, await rig.key()) as line:
        name = await line.follow()
        await wait_all_tasks_blocked()
        assert rig.publisher.readers == 1
        assert await line.get("unsubscribe", subscription=name) == {"subscription": name}
        assert rig.publisher.readers == 0
        rig.happen("acme")
        with trio.move_on_after(5) as scope:
            await line.hear()
        assert scope.cancelled_caught
        assert (await line.ask("unsubscribe", subscription=name))["status"] == 409


@pytest.mark.slow
async def test_who_gives_up_while_it_catches_up_leaves_no_task_behind(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path) as rig:
        await rig.settled(rig.many(3_000))
        async with open_line(rig.listener, await rig.key()) as line:
            for _ in range(20):
                name = await line.follow(after=0)
                await line.get("unsubscribe", subscription=name)
                line.events.clear()
            await wait_all_tasks_blocked()
            (session,) = rig.listener.sessions
            assert session._catching_up == {}
            assert len(session._running.child_tasks) == 4
            assert rig.publisher.readers == 0


async def test_a_line_has_so_many_subscriptions_and_no_more(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with (
        open_rig(tmp_path, Limits(requests_per_second=1_000)) as rig,
        open_line(rig.listener, await rig.key()) as line,
    ):
        name = await line.follow()
        for _ in range(MOST_SUBSCRIPTIONS - 1):
            await line.follow()
        assert (await line.ask("subscribe"))["status"] == 409
        await line.get("unsubscribe", subscription=name)
        await line.follow()


async def test_who_wants_little_is_told_from_time_to_time_how_far_that_is_true(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path) as rig, open_line(rig.listener, await rig.key()) as line:
        await line.follow(kinds=["switch.*"])
        last = rig.many(5)
        assert await line.until(last) == []
        assert (line.events[0]["after"], line.events[0]["up_to"]) == (0, 5)


# ------------------------------------------------------------------ commands


async def test_a_transfer_with_all_its_fields_and_its_story(
    autojump_clock: MockClock, lab: Lab
) -> None:
    alice, bob = await lab.call()
    async with open_line(lab.doors.listener, await lab.make_key("acme")) as line:
        await line.follow(kinds=["transfer.*"])
        taken = await line.ask(
            "transfer",
            call_id=alice,
            target="2601",
            transfer_type="attended",
            takeback_dtmf="*7",
            moh="music:jazz",
            ringback="tone:425/1000,0/4000",
            timeout=5,
            switch="sim",
            account_id="acme",
        )
        assert taken["status"] == 202, taken
        transfer = taken["data"]["transfer_id"]
        assert taken["data"]["url"] == f"/v2/accounts/acme/transfers/{transfer}"
        before_s = trio.current_time()
        while "outcome" not in (event := await _next_event(line)):
            if event["state"] == "dialing":
                await trio.sleep(0.5)
                assert lab.hears(bob) == "music:jazz"
        assert event["outcome"] == "reconnected"
        assert trio.current_time() - before_s == pytest.approx(5, abs=1)
        view = await line.get("get_transfer", transfer_id=transfer)
        assert (view["outcome"], view["timeline"][-1]["number"]) == ("reconnected", event["number"])
        found = await line.get("list_transfers", outcome="reconnected", page_size=1)
        assert [one["id"] for one in found["transfers"]] == [transfer]
        assert found["next_start_key"] is None


async def _next_event(line: Connection) -> dict[str, Any]:
    if not line.events:
        line.events.append(await line.hear())
    event: dict[str, Any] = line.events[0]["events"].pop(0)
    if not line.events[0]["events"]:
        line.events.pop(0)
    return event


async def test_the_takeback_digits_of_a_request_count(autojump_clock: MockClock, lab: Lab) -> None:
    alice, _ = await lab.call()
    async with open_line(lab.doors.listener, await lab.make_key("acme")) as line:
        taken = await line.get("transfer", call_id=alice, target="2601", takeback_dtmf="*7")
        await trio.sleep(1)
        lab.press(alice, "*7")
        await trio.sleep(3)
        view = await line.get("get_transfer", transfer_id=taken["transfer_id"])
        assert view["outcome"] == "taken_back"


@pytest.mark.parametrize("by", ["transfer_id", "call_id"])
@pytest.mark.parametrize(
    ("action", "outcome"), [("take_back", "taken_back"), ("complete", "transferred")]
)
async def test_a_transfer_is_ended_by_its_id_or_by_a_call_in_it(
    autojump_clock: MockClock, lab: Lab, action: str, outcome: str, by: str
) -> None:
    alice, _ = await lab.call()
    async with open_line(lab.doors.listener, await lab.make_key("acme")) as line:
        taken = await line.get("transfer", call_id=alice, target="2600")
        await trio.sleep(5)
        which = {"call_id": alice, "transfer_id": taken["transfer_id"]}
        assert (await line.ask(action, **{by: which[by]}))["status"] == 202
        await trio.sleep(5)
        view = await line.get("get_transfer", transfer_id=taken["transfer_id"])
        assert view["outcome"] == outcome
        assert (await line.ask(action, transfer_id=taken["transfer_id"]))["status"] == 409


async def test_a_read_only_key_looks_and_changes_nothing_here_either(
    autojump_clock: MockClock, lab: Lab
) -> None:
    alice, _ = await lab.call()
    make = partial(make_key, account="acme", label="", now=0.0, read_only=True)
    _, key = await lab.service.journal.change(make)
    async with open_line(lab.doors.listener) as line:
        await line.get("authenticate", api_key=key)
        refused = await line.ask("transfer", call_id=alice, target="2600")
        assert (refused["status"], refused["error"]["refusal"]) == (403, "not_entitled")
        assert len(await line.get("list_calls")) == 2
        assert (await line.ask("subscribe"))["status"] == 200


async def test_hold_hang_up_and_the_lists(autojump_clock: MockClock, lab: Lab) -> None:
    alice, bob = await lab.call()
    async with open_line(lab.doors.listener, await lab.make_key("acme")) as line:
        calls = await line.get("list_calls")
        assert {call["call_id"] for call in calls} == {alice, bob}
        seen = await line.get("get_call", call_id=alice, switch="sim")
        assert (seen["bridged"], seen["other_leg_call_id"]) == (True, bob)
        held = await line.ask("hold", call_id=alice, moh="file:wait")
        assert held["status"] == 202
        await trio.sleep(2)
        assert lab.hears(bob) == "file:wait"
        assert (await line.ask("take_back", call_id=alice))["status"] == 202
        await trio.sleep(2)
        assert (await line.ask("hang_up", call_id=alice))["status"] == 202
        await trio.sleep(2)
        assert await line.get("list_calls") == []
        assert (await line.ask("get_call", call_id=alice))["status"] == 404


async def test_feature_codes_are_read_set_and_changed(autojump_clock: MockClock, lab: Lab) -> None:
    async with open_line(lab.doors.listener, await lab.make_key("acme")) as line:
        assert (await line.get("get_metaflows"))["numbers"]["1"]["module"] == "resume"
        codes = {"numbers": {"9": {"module": "hangup"}}}
        told = await line.get("set_metaflows", metaflows=codes)
        assert list(told["numbers"]) == ["9"]
        more = {"numbers": {"8": {"module": "hangup"}}}
        told = await line.get("patch_metaflows", metaflows=more, apply_to="all")
        assert sorted(told["numbers"]) == ["8", "9"]
        told = await line.get("reset_metaflows")
        assert told["numbers"]["1"]["module"] == "resume"
        reply = await line.ask("set_metaflows", metaflows={"numbers": {"x": 5}})
        assert reply["status"] == 400


async def test_the_same_key_twice_is_one_transfer(autojump_clock: MockClock, lab: Lab) -> None:
    alice, _ = await lab.call()
    async with open_line(lab.doors.listener, await lab.make_key("acme")) as line:
        ask = {"call_id": alice, "target": "2601", "idempotency_key": "once"}
        first = await line.ask("transfer", **ask)
        second = await line.ask("transfer", **ask)
        assert (first["status"], first["data"]) == (second["status"], second["data"])
        other = await line.ask("transfer", **{**ask, "target": "2600"})
        assert other["status"] == 422
        assert len((await line.get("list_transfers"))["transfers"]) == 1


async def test_anothers_calls_and_transfers_do_not_exist(
    autojump_clock: MockClock, lab: Lab
) -> None:
    alice, _ = await lab.call(account="globex")
    transfer = await lab.globex.transfer(alice, "2601")
    async with open_line(lab.doors.listener, await lab.make_key("acme")) as line:
        for action, what in (
            ("get_call", {"call_id": alice}),
            ("hold", {"call_id": alice}),
            ("hang_up", {"call_id": alice}),
            ("transfer", {"call_id": alice, "target": "2600"}),
            ("take_back", {"call_id": alice}),
            ("complete", {"call_id": alice}),
            ("take_back", {"transfer_id": transfer}),
            ("complete", {"transfer_id": transfer}),
            ("get_transfer", {"transfer_id": transfer}),
        ):
            reply, none = await line.ask(action, **what), await line.ask(action, **_nothing(what))
            assert (reply["status"], reply["error"]) == (404, none["error"]), action
            assert (await line.ask(action, account_id="globex", **what))["status"] == 403
        assert await line.get("list_calls") == []
    async with open_line(lab.doors.listener, await lab.make_key(None)) as line:
        assert (await line.ask("list_calls"))["error"]["where"] == "$.account_id"
        listed = await line.get("list_calls", account_id="globex")
        assert alice in {call["call_id"] for call in listed}
        await line.get("take_back", transfer_id=transfer, account_id="globex")


def _nothing(what: dict[str, str]) -> dict[str, str]:
    return {name: "nothing" if name.endswith("_id") else value for name, value in what.items()}


async def test_take_back_of_nothing_in_particular_says_what_is_missing(
    autojump_clock: MockClock, lab: Lab
) -> None:
    async with open_line(lab.doors.listener, await lab.make_key("acme")) as line:
        for action in ("take_back", "complete"):
            assert (await line.ask(action))["error"]["where"] == "$.transfer_id"


async def test_a_refusal_says_why_in_a_word_too(autojump_clock: MockClock, lab: Lab) -> None:
    alice, _ = await lab.call()
    async with open_line(lab.doors.listener, await lab.make_key("acme")) as line:
        await line.get("transfer", call_id=alice, target="2601")
        reply = await line.ask("transfer", call_id=alice, target="2600")
        assert (reply["status"], reply["error"]["refusal"]) == (409, "not_now")


async def test_replies_come_in_the_order_of_the_questions(
    autojump_clock: MockClock, lab: Lab
) -> None:
    alice, _ = await lab.call()
    async with open_line(lab.doors.listener, await lab.make_key("acme")) as line:
        await line.follow()
        asked = [await line.say("transfer", call_id=alice, target="2600")]
        for _ in range(20):
            asked.append(await line.say("list_calls"))
            asked.append(await line.say("get_transfer", transfer_id="none"))
        assert [(await line.reply())["id"] for _ in asked] == asked


async def test_a_key_that_asks_too_often_is_told_429_and_goes_on_later(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with (
        open_rig(tmp_path, Limits(requests_per_second=5)) as rig,
        open_line(rig.listener, await rig.key()) as line,
    ):
        statuses = [(await line.ask("unsubscribe", subscription="x"))["status"] for _ in range(7)]
        assert statuses == [409] * 5 + [429] * 2
        assert (await line.ask("nonsense"))["status"] == 429
        await trio.sleep(1.1)
        assert (await line.ask("unsubscribe", subscription="x"))["status"] == 409


# ------------------------------------------------------------------ nonsense


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("", None),
        ("{", None),
        ("null", None),
        ("[]", None),
        ("{}", None),
        ('"authenticate"', None),
        ('{"action":"subscribe"}', None),
        ('{"action":"subscribe","id":""}', ""),
        ('{"action":"subscribe","id":5}', None),
        ('{"action":"subscribe","id":"' + "x" * 65 + '"}', "x" * 64),
        ('{"action":"fly","id":"1"}', "1"),
        ('{"id":"1"}', "1"),
        ('{"action":"subscribe","id":"1","transfr_id":"x"}', "1"),
        ('{"action":"subscribe","id":"1","after":-1}', "1"),
        ('{"action":"subscribe","id":"1","after":1.5}', "1"),
        ('{"action":"subscribe","id":"1","after":"1"}', "1"),
        ('{"action":"subscribe","id":"1","kinds":5}', "1"),
        ('{"action":"transfer","id":"1","call_id":"a","target":"; rm"}', "1"),
        ('{"action":"transfer","id":"1","call_id":"a","target":"1","timeout":0}', "1"),
        ('{"action":"give_number","id":"1","call_id":"a"}', "1"),
        ('{"action":"subscribe","id":"\\ud800"}', None),
        ("[" * 30_000, None),
        ('{"id":"1","action":' + "[" * 30_000, None),
        ('{"action":"set_metaflows","id":"1","metaflows":' + '{"a":' * 10_000, None),
    ],
)
async def test_what_can_not_be_used_is_answered_with_400_and_the_line_stays(
    autojump_clock: MockClock, tmp_path: Path, said: str, told: str | None
) -> None:
    async with open_rig(tmp_path) as rig, open_line(rig.listener, await rig.key()) as line:
        await line.socket.send_message(said)
        reply = await line.reply()
        assert (reply["status"], reply["id"]) == (400, told)
        assert "where" in reply["error"]
        await line.follow()


async def test_the_field_that_is_at_fault_is_named(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path) as rig, open_line(rig.listener, await rig.key()) as line:
        reply = await line.ask("transfer", call_id="a", target="; rm")
        assert reply["error"]["where"] == "$.target"


@pytest.mark.slow
@pytest.mark.parametrize("depth", [50, 300, 900])
async def test_feature_codes_nested_deeply_are_refused_and_hurt_nobody(
    autojump_clock: MockClock, lab: Lab, depth: int
) -> None:
    codes = '{"numbers":{"1":' * depth + "{}" + "}}" * depth
    async with open_line(lab.doors.listener, await lab.make_key("acme")) as line:
        for action in ("set_metaflows", "patch_metaflows"):
            await line.socket.send_message(f'{{"action":"{action}","id":"x","metaflows":{codes}}}')
            reply = await line.reply()
            assert reply["status"] == 400
        await line.get("get_metaflows")


async def test_a_binary_frame_is_refused(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with open_rig(tmp_path) as rig, open_line(rig.listener, await rig.key()) as line:
        await line.socket.send_message(b'{"action":"subscribe","id":"1"}')
        assert (await line.reply())["status"] == 400


async def test_a_message_that_is_too_long_closes_with_1009(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    limits = Limits(websocket_message_bytes=1_000)
    async with open_rig(tmp_path, limits) as rig:
        async with open_line(rig.listener, await rig.key()) as line:
            await line.socket.send_message(" " * 1_001)
            assert (await line.closed())[0] == 1009
        # two at once, and a ping behind them: the library would fall over them
        said = frame(0x1, b" " * 1_001) + frame(0x1, b" " * 1_001) + frame(0x9, b"ping")
        heard = await shout(rig.listener, knock(), said, stays=True)
        assert close_codes(heard) == [1009]


async def test_who_does_not_hang_up_after_1009_is_hung_up_on(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path, Limits(websocket_message_bytes=1_000)) as rig:
        before_s = trio.current_time()
        await shout(rig.listener, knock(), frame(0x1, b" " * 1_001), stays=True)
        assert trio.current_time() - before_s < 10


async def test_a_ping_that_crosses_our_goodbye_hurts_nobody_and_is_no_fault(
    autojump_clock: MockClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_rig(tmp_path) as rig, open_line(rig.listener, await rig.key()) as line:
        wrong = frame(0x1, b'{"action":"list_calls","id":"1"}')
        heard = await shout(rig.listener, knock(), wrong, frame(0x9, b"ping"), stays=True)
        assert close_codes(heard) == [4001]
        await line.follow()
    assert "failed" not in caplog.text


@pytest.mark.slow
async def test_thousands_of_tiny_frames_and_pings_are_answered_each(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path) as rig, open_line(rig.listener, await rig.key()) as line:
        pieces = b"".join(frame(0x0, b" ", last=False) for _ in range(3_000))
        pings = b"".join(frame(0x9, b"x") for _ in range(2_000))
        said = frame(0x1, b"{", last=False) + pieces + frame(0x0, b"}") + pings
        me = b'{"action":"authenticate","id":"a","api_key":"%s"}' % (await rig.key()).encode()
        heard = await shout(rig.listener, knock(), frame(0x1, me), said)
        assert heard.count(b'"status":400') == 1
        assert heard.count(b"\x8a\x01x") == 2_000
        await line.follow()


async def test_who_asks_and_does_not_read_the_answers_is_not_answered_without_end(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with (
        open_rig(tmp_path) as rig,
        open_line(rig.listener, await rig.key(), lockstep=True) as line,
    ):
        await wait_all_tasks_blocked()
        (session,) = rig.listener.sessions
        with trio.move_on_after(5):
            for _ in range(10 * MOST_REPLIES):
                await line.socket.send_message("{")
        assert len(session._replies) <= MOST_REPLIES
        with trio.fail_after(120):  # and in the end its heart is not heard
            while rig.listener.sessions:
                await trio.sleep(1)


def frame(opcode: int, payload: bytes, *, last: bool = True) -> bytes:
    """A client's frame, masked with zeros (RFC 6455, section 5.2)."""
    head = bytes([opcode | (0x80 if last else 0)])
    if len(payload) < 126:
        head += bytes([0x80 | len(payload)])
    elif len(payload) < 65_536:
        head += bytes([0x80 | 126]) + struct.pack("!H", len(payload))
    else:
        head += bytes([0x80 | 127]) + struct.pack("!Q", len(payload))
    return head + bytes(4) + payload


def close_codes(heard: bytes) -> list[int]:
    """The codes of the close frames in what a server has said."""
    protocol = FrameProtocol(client=True, extensions=[])
    protocol.receive_bytes(heard.partition(b"\r\n\r\n")[2])
    found = list(protocol.received_frames())
    return [int(one.payload[0]) for one in found if one.opcode == 0x8]


VALID = [
    json.dumps({"action": "authenticate", "id": "1", "api_key": "KEY"}).encode(),
    json.dumps({"action": "subscribe", "id": "2", "after": 0}).encode(),
    json.dumps({"action": "unsubscribe", "id": "3", "subscription": "s1"}).encode(),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


def _question(action: str, more: dict[str, object]) -> bytes:
    return json.dumps({**more, "action": action, "id": "9"}).encode()


MESSAGES = st.one_of(
    st.sampled_from(VALID),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.builds(
        _question,
        st.sampled_from([*m.SESSION_REQUESTS]),
        st.dictionaries(
            st.sampled_from(["account_id", "after", "kinds", "call_id", "token", "subscription"]),
            JSON,
        ),
    ),
    st.binary(max_size=40),
)
FRAMES = st.one_of(
    st.builds(
        frame,
        st.sampled_from([0x1, 0x1, 0x1, 0x0, 0x2, 0x8, 0x9, 0xA, 0x3, 0xF]),
        MESSAGES,
        last=st.sampled_from([True, True, True, False]),
    ),
    st.binary(max_size=60),
)


async def _say_anything(folder: Path, before: bytes, shakes: bool, said: list[bytes]) -> None:
    async with open_rig(folder, Limits(websocket_message_bytes=300)) as rig:
        key = await rig.key()
        rig.many(3)
        heard = await shout(rig.listener, before, *([knock()] if shakes else []), *said)
        if shakes and not before:
            assert heard.startswith(b"HTTP/1.1 101")
        async with open_line(rig.listener, key) as line:  # the service goes on
            await line.follow(after=0)
            assert len(await line.until(3)) == 3


@pytest.mark.exhaustive
@given(
    before=st.just(b"") | st.binary(max_size=200),
    shakes=st.booleans(),
    said=st.lists(FRAMES, max_size=8),
)
@settings(max_examples=150)
def test_whatever_comes_on_a_connection_the_service_goes_on_and_nothing_of_it_stays(
    before: bytes, shakes: bool, said: list[bytes]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        clock = MockClock(autojump_threshold=0)
        trio.run(_say_anything, Path(folder), before, shakes, said, clock=clock)


# ------------------------------------------------------------------ parting


async def test_a_living_reader_that_says_nothing_stays(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path) as rig, open_line(rig.listener, await rig.key()) as line:
        await line.follow()
        await trio.sleep(1_000)
        rig.happen("acme")
        assert len(await line.until(1)) == 1


async def test_a_key_that_is_revoked_is_shown_the_door(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path, Limits(heartbeat_s=7)) as rig:
        key = await rig.key()
        async with (
            open_line(rig.listener, key) as line,
            open_line(rig.listener, await rig.key("other")),
        ):
            await trio.sleep(20)
            await rig.journal.change(partial(revoke_key, key_id=key.split("_")[1], now=0.0))
            with pytest.raises(ConnectionClosed) as closed, trio.fail_after(8):
                await line.socket.get_message()
            assert code_of(closed.value) == (m.NOT_SIGNED_IN, "this key was revoked")
            await trio.sleep(1)
            assert len(rig.listener.sessions) == 1  # the other stays


async def test_a_disk_that_fails_keeps_nobody_out(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_change: object) -> None:
        raise JournalError("attempt to write a readonly database")

    async with open_rig(tmp_path) as rig:
        key = await rig.key()
        works = rig.journal.change
        monkeypatch.setattr(rig.journal, "change", fail)
        async with open_line(rig.listener) as line:
            assert await line.get("authenticate", api_key=key) == {"account_id": "acme"}
        monkeypatch.setattr(rig.journal, "change", works)


async def test_a_disk_that_fails_cuts_nobody_off(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_caller: object) -> None:
        raise JournalError("disk I/O error")

    async with (
        open_rig(tmp_path, Limits(heartbeat_s=7)) as rig,
        open_line(rig.listener, await rig.key()),
    ):
        monkeypatch.setattr(rig.access, "check", fail)
        await trio.sleep(100)
        assert len(rig.listener.sessions) == 1


async def test_a_peer_whose_heart_is_not_heard_is_dropped(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path, Limits(heartbeat_s=7)) as rig:
        key = await rig.key()
        sign_in = json.dumps({"action": "authenticate", "id": "1", "api_key": key}).encode()
        before_s = trio.current_time()
        heard = await shout(rig.listener, knock(), frame(0x1, sign_in), stays=True)
        assert b'"status":200' in heard
        assert trio.current_time() - before_s == pytest.approx(16, abs=2)


async def test_who_vanishes_in_the_middle_leaves_nothing(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path) as rig:
        await rig.settled(rig.many(2_000))
        for lockstep in (False, True):
            async with open_line(rig.listener, await rig.key(), lockstep=lockstep) as line:
                await line.follow(after=0)
                await trio.aclose_forcefully(line.socket._stream)
        with trio.fail_after(100):
            while rig.listener.sessions:
                await trio.sleep(0.1)
        assert rig.publisher.readers == 0


async def test_a_slow_reader_is_cut_off_told_so_and_can_resume_without_a_gap(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path, Limits(websocket_buffer=50)) as rig:
        key = await rig.key()
        async with (
            open_line(rig.listener, key, queue=10_000) as quick,
            open_line(rig.listener, key, lockstep=True) as slow,
        ):
            await quick.follow()
            await slow.follow()
            for _ in range(30):
                await rig.settled(rig.many(10))
                await wait_all_tasks_blocked()
            assert len(await quick.until(300)) == 300  # who is slow slows nobody
            code, why = 0, ""
            try:
                while True:
                    slow.events.append(await slow.hear())
            except ConnectionClosed as closed:
                code, why = code_of(closed)
            assert code == 4008
            up_to = slow.events[-1]["up_to"]
            assert why == f"too slow: subscribe again after {up_to}"
        heard = [event["number"] for one in slow.events for event in one["events"]]
        async with open_line(rig.listener, key) as again:
            await again.follow(after=up_to)
            heard += [event["number"] for event in await again.until(300)]
        assert heard == list(range(1, 301))


async def test_a_reader_that_never_reads_is_dropped_in_the_end(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with (
        open_rig(tmp_path, Limits(websocket_buffer=50)) as rig,
        open_line(rig.listener, await rig.key(), lockstep=True) as line,
    ):
        await line.follow()
        await rig.settled(rig.many(1_000))
        await trio.sleep(60)
        assert not rig.listener.sessions
        assert rig.publisher.readers == 0


async def test_the_end_of_the_service_is_said_with_1001_and_nobody_is_let_in_any_more(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path) as rig, open_line(rig.listener, await rig.key()) as line:
        await line.follow()
        assert len(await line.until(rig.many(5))) == 5
        await rig.listener.say_goodbye()
        assert (await line.closed())[0] == 1001
        assert (await shout(rig.listener, knock())).startswith(b"HTTP/1.1 503")


async def test_a_drained_service_has_told_every_reader(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with (
        open_lab(tmp_path) as lab,
        open_line(lab.doors.listener, await lab.make_key("acme")) as line,
    ):
        assert await lab.service.drain() == 0
        assert (await line.closed())[0] == 1001


async def test_what_is_wrong_with_one_session_is_told_and_hurts_no_other(
    autojump_clock: MockClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with open_rig(tmp_path) as rig:
        key = await rig.key()
        async with open_line(rig.listener, key) as good, open_line(rig.listener, key) as bad:
            await good.follow()

            def broken(*_: object) -> None:
                raise ZeroDivisionError("a fault of ours")

            with monkeypatch.context() as patch:
                patch.setattr(Session, "_unsubscribe", broken)
                await bad.say("unsubscribe", subscription="x")
                assert (await bad.closed())[0] == 1011
            assert "session.failed" in caplog.text
            rig.happen("acme")
            assert len(await good.until(1)) == 1


async def test_a_history_that_can_not_be_read_closes_with_1011(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path) as rig:
        await rig.settled(rig.many(1_500))
        async with open_line(rig.listener, await rig.key(), lockstep=True) as line:
            await line.follow(after=0)
            await wait_all_tasks_blocked()
            await rig.journal.change(lambda connection: connection.execute("DROP TABLE steps"))
            assert (await line.closed())[0] == 1011


# ------------------------------------------------------------------ a real socket


async def test_over_tls_it_is_the_same(tmp_path: Path) -> None:
    here, there = tls_pair()
    async with open_rig(tmp_path) as rig, trio.open_nursery() as nursery:
        port = await open_port(rig.listener, nursery, here)
        async with open_websocket_url(f"wss://127.0.0.1:{port}/v2/events", there) as socket:
            line = Connection(socket)
            assert (await line.hear())["type"] == "hello"
            await line.get("authenticate", api_key=await rig.key())
            await line.follow()
            rig.happen("acme")
            assert len(await line.until(1)) == 1
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("signs_in", "frames", "code"), [(True, 40, 1009), (False, 1, 4001)])
async def test_a_close_code_is_heard_though_more_was_on_its_way_to_us(
    tmp_path: Path, *, signs_in: bool, frames: int, code: int
) -> None:
    async with open_rig(tmp_path) as rig, trio.open_nursery() as nursery:
        port = await open_port(rig.listener, nursery)
        me = b'{"action":"authenticate","id":"a","api_key":"%s"}' % (await rig.key()).encode()
        for _ in range(5):
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            await stream.send_all(knock())
            heard = bytearray()
            while b"hello" not in heard:
                heard += await stream.receive_some()
            if signs_in:
                await stream.send_all(frame(0x1, me))
                while b"account_id" not in heard:
                    heard += await stream.receive_some()
            await stream.send_all(
                frame(0x1, b"", last=False) + frame(0x0, b" " * 60_000, last=False) * frames
            )
            with trio.fail_after(30):
                while some := await stream.receive_some():
                    heard += some
            assert close_codes(bytes(heard)) == [code]
            await stream.aclose()
        nursery.cancel_scope.cancel()


# ------------------------------------------------------------------ the document


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        inner = cast("dict[str, Any]", node)
        own = [str(inner["$ref"])] if "$ref" in inner else []
        return own + [found for value in inner.values() for found in _references(value)]
    if isinstance(node, list):
        return [found for value in cast("list[Any]", node) for found in _references(value)]
    return []


def test_the_document_has_the_shape_of_asyncapi_3() -> None:
    document = json.loads(json.dumps(asyncapi_document()))
    assert document["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= set(document["info"])
    for server in document["servers"].values():
        assert {"host", "protocol"} <= set(server)
    for reference in _references(document):
        node: Any = document
        assert reference.startswith("#/")
        for step in reference[2:].split("/"):
            node = node[step]
    on_the_channel = document["channels"]["events"]["messages"]
    for operation in document["operations"].values():
        assert operation["action"] in {"send", "receive"}
        assert operation["channel"] == {"$ref": "#/channels/events"}
        for message in operation["messages"]:
            assert message["$ref"].rpartition("/")[2] in on_the_channel


def test_every_question_and_every_message_of_ours_is_in_the_document() -> None:
    document = asyncapi_document()
    asked = requests()
    assert set(asked) == {*m.SESSION_REQUESTS, *OPERATION_OF}
    for kind in (*asked.values(), m.Hello, m.Reply, m.EventBatch):
        name = kind.__name__
        payload = document["components"]["messages"][name]["payload"]["$ref"]
        schema = document["components"]["schemas"][payload.rpartition("/")[2]]
        tag = kind.__struct_config__.tag_field
        fields = {*kind.__struct_fields__, *([tag] if tag else ["action", "id"])}
        assert set(schema["properties"]) == fields
    assert set(document["operations"]) == {*asked, "greet", "publish_events"}


def test_the_document_says_what_every_close_code_means_and_how_to_resume() -> None:
    document = asyncapi_document()
    ours = {value for name, value in vars(m).items() if name.isupper() and isinstance(value, int)}
    ours.discard(m.LONGEST_TOKEN)
    assert ours <= set(CLOSE_CODES)
    for code in CLOSE_CODES:
        assert str(code) in document["x-close-codes"]
        assert f"`{code}`" in document["info"]["description"]
    assert "`up_to`" in document["info"]["description"]
