"""One FreeSWITCH over its event socket: what becomes of a line, in every way that it can end.

The switch is a script of this file, its network is memory, and the clock is virtual: it jumps as
soon as everybody waits.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any, Final

import attrs
import pytest
import trio
import trustme
from certificates import showing, trusting
from structlog.testing import capture_logs
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair, wait_all_tasks_blocked

from hookflash.backends.base import ID_IN_USE, LOST_TRACK, LegSnapshot, Rejected
from hookflash.backends.freeswitch import prompting
from hookflash.backends.freeswitch.client import FreeSwitchBackend, open_freeswitch
from hookflash.backends.freeswitch.inbound import EVENT_NAMES
from hookflash.backends.freeswitch.prompting import NUDGED_EVERY_S
from hookflash.backends.freeswitch.settings import STOCK_PASSWORD, FreeSwitch
from hookflash.commands import (
    Afterwards,
    Arm,
    Dial,
    Forget,
    HangUp,
    Join,
    Look,
    Park,
    PlayTone,
    Release,
    Split,
    Trigger,
)
from hookflash.errors import BackendClosed, InputError
from hookflash.events import (
    CallEvent,
    CommandFailed,
    Direction,
    LegAnswered,
    LegCreated,
    LegHungUp,
    LegIdentified,
    LegParked,
    LegsJoined,
    LegsReleased,
    LegsSeen,
    SwitchFound,
    SwitchLost,
)
from hookflash.sounds import Recording

SECRET = "s3cret-0f-the-switch"  # noqa: S105 - of a switch in this file
DIAL = Dial(leg="t", target="1003", on_behalf_of="a", ring_timeout_s=20)


def alice(**more: object) -> dict[str, Any]:
    return {
        "Answer-State": "answered",
        "Call-Direction": "inbound",
        "Caller-Caller-ID-Number": "1001",
        "Caller-Destination-Number": "1002",
        "variable_hookflash_account": "acme",
        **more,
    }


def bob(**more: object) -> dict[str, Any]:
    return alice(**{"Call-Direction": "outbound", **more})


BRIDGED = {"Channel-State": "CS_EXCHANGE_MEDIA", "Channel-State-Number": "5"}
PARKED = {"Channel-State": "CS_PARK", "Channel-State-Number": "6"}


# --------------------------------------------------------------- a fake switch


class FakeSwitch:
    """Does what it is told, and says what a FreeSWITCH would say."""

    def __init__(self) -> None:
        self.password = STOCK_PASSWORD
        self.legs: dict[str, dict[str, Any]] = {}
        self.lists_later: dict[str, int] = {}
        """So many lists do not have a leg yet."""
        self.replies: dict[str, str | None] = {}
        """Answers to commands that begin so; `None`: no answer at all."""
        self.happens: dict[str, bytes] = {}
        """What is sent after the answer to a command that begins so."""
        self.said: list[str] = []
        self.tried_s: list[float] = []
        self.refusals = 0
        self.nudges = 0
        """Empty lines between commands."""
        self.closes_at: str | None = None
        self.greeting = b"Content-Type: auth/request\n\n"
        self.tls: ssl.SSLContext | None = None
        self.lockstep = False
        self.goes_on = trio.Event()
        """Not set while it is frozen: its kernel still accepts connections and data."""
        self.goes_on.set()
        self.nursery: trio.Nursery | None = None
        self.stream: trio.abc.Stream | None = None

    async def connect(self) -> trio.abc.Stream:
        self.tried_s.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        if self.refusals:
            self.refusals -= 1
            raise OSError("connection refused")
        near, far = lockstep_stream_pair() if self.lockstep else memory_stream_pair()
        assert self.nursery is not None
        self.nursery.start_soon(self._serve, far)
        return near

    async def _serve(self, stream: trio.abc.Stream) -> None:
        if self.tls is not None:
            stream = trio.SSLStream(stream, self.tls, server_side=True, https_compatible=True)
        try:
            async with stream:
                await self.goes_on.wait()
                await stream.send_all(self.greeting)
                await self._answer_all(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the other side has gone

    async def _answer_all(self, stream: trio.abc.Stream) -> None:
        buffer = ""
        while data := await stream.receive_some(65_536):
            self.stream = stream  # not that of a connection that only looks whether it lives
            buffer += data.decode(errors="replace")
            self.nudges += len(buffer) - len(buffer := buffer.lstrip("\n"))
            while "\n\n" in buffer:
                await self.goes_on.wait()
                command, _, buffer = buffer.partition("\n\n")
                self.said.append(command)
                if self.closes_at is not None and command.startswith(self.closes_at):
                    return
                if answer := self._answer(command):
                    await stream.send_all(answer)
                for begin, what in list(self.happens.items()):
                    if command.startswith(begin):
                        del self.happens[begin]
                        await stream.send_all(what)

    def _answer(self, command: str) -> bytes | None:
        for begin, reply in self.replies.items():
            if command.startswith(begin):
                return None if reply is None else self._frame(command, reply)
        word, _, rest = command.partition(" ")
        if word == "auth":
            return self._frame(command, "+OK" if rest == self.password else "-ERR invalid")
        if rest == "show channels as json":
            rows = [{"uuid": leg} for leg in self.legs if not self.lists_later.get(leg)]
            self.lists_later = {leg: left - 1 for leg, left in self.lists_later.items() if left}
            return self._frame(
                command, json.dumps({"row_count": len(rows), **({"rows": rows} if rows else {})})
            )
        if rest.startswith("uuid_dump "):
            leg = self.legs.get(rest.split()[1])
            return self._frame(command, json.dumps(leg) if leg else "-ERR No such channel!\n")
        return self._frame(command, "+OK\n")

    @staticmethod
    def _frame(command: str, reply: str) -> bytes:
        if not command.startswith("api"):
            return f"Content-Type: command/reply\nReply-Text: {reply}\n\n".encode()
        body = reply.encode()
        return b"Content-Type: api/response\nContent-Length: %d\n\n%s" % (len(body), body)

    async def send(self, data: bytes) -> None:
        assert self.stream is not None
        await self.stream.send_all(data)
        await wait_all_tasks_blocked()

    async def tell(self, *events: bytes) -> None:
        await self.send(b"".join(events))

    async def close(self) -> None:
        assert self.stream is not None
        await self.stream.aclose()
        await wait_all_tasks_blocked()

    @property
    def scripts(self) -> list[str]:
        """What it was told to do: not what it was asked."""
        asked = ("auth", "event", "api show", "api status", "api uuid_dump", "api echo")
        return [line for line in self.said if not line.startswith(asked)]


def event(name: str, leg: str = "", **headers: str) -> bytes:
    told = {"Event-Name": name, "Unique-ID": leg}
    told |= {header.replace("_", "-"): value for header, value in headers.items()}
    body = json.dumps(told).encode()
    return b"Content-Type: text/event-json\nContent-Length: %d\n\n%s" % (len(body), body)


def created(leg: str, number: str = "1001") -> bytes:
    headers = {"Call_Direction": "inbound", "Caller_Caller_ID_Number": number}
    return event("CHANNEL_CREATE", leg, **headers)


def hung_up(leg: str) -> bytes:
    return event("CHANNEL_HANGUP", leg, Hangup_Cause="NORMAL_CLEARING")


class Network:
    """Where the switches are."""

    def __init__(self) -> None:
        self.switches: dict[str, FakeSwitch] = {}

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        assert port == 8021
        return await self.switches[host].connect()


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    network = Network()
    monkeypatch.setattr(trio, "open_tcp_stream", network.connect)
    return network


@pytest.fixture
def switch(network: Network, nursery: trio.Nursery) -> Iterator[FakeSwitch]:
    yield (switch := add_switch(network, nursery, "127.0.0.1"))
    nursery.cancel_scope.cancel()
    assert all("\n" not in line or line.startswith("bgapi ") for line in switch.said)


def add_switch(network: Network, nursery: trio.Nursery, host: str) -> FakeSwitch:
    network.switches[host] = switch = FakeSwitch()
    switch.nursery = nursery
    return switch


@attrs.define
class Client:
    backend: FreeSwitchBackend
    seen: list[CallEvent]

    def news(self) -> list[CallEvent]:
        """What has come since the last time."""
        news, self.seen[:] = self.seen.copy(), []
        return news

    async def perform(self, *commands: Any) -> list[CallEvent]:
        for command in commands:
            await self.backend.perform(command)
        await wait_all_tasks_blocked()
        return self.news()


@asynccontextmanager
async def opened(settings: FreeSwitch | None = None) -> AsyncGenerator[Client]:
    """A backend, and somebody who takes its events."""
    async with open_freeswitch(settings or FreeSwitch()) as backend, trio.open_nursery() as taking:
        client = Client(backend, [])
        taking.start_soon(take, client)
        await wait_all_tasks_blocked()
        yield client
        taking.cancel_scope.cancel()


async def take(client: Client) -> None:
    async for happened in client.backend.events():
        client.seen.append(happened)


FOUND = SwitchFound()
REFUSED = "127.0.0.1:8021 can't be reached: connection refused"


async def test_legs_with_unusable_names_are_logged_once_a_minute(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    switch.legs = {
        "a": alice(**BRIDGED, variable_bridge_to="b;c"),  # its partner is named, and not asked for
        "b;c": alice(**BRIDGED, variable_bridge_to="a"),
    }
    async with opened() as client:
        assert client.news()[-1] == FOUND
        assert [leg.leg for leg in await client.backend.snapshot()] == ["a"]
        with capture_logs() as logs:
            for second in range(70):
                await switch.tell(created(f"x y {second}" + "z" * 500))
                await trio.sleep(1)
        first, later = [entry for entry in logs if entry["event"] == "leg.unusable"]
        assert first["leg"].startswith("x y 0z")
        assert len(first["leg"]) == 100
        assert (first["others"], later["others"]) == (0, 59)
        assert client.news() == []
        assert not [line for line in switch.said if "x y" in line or "b;c" in line]


# ------------------------------------------------------------ being let in


async def test_it_says_the_password_subscribes_and_asks_what_lives(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    async with opened() as client:
        assert client.news() == [FOUND]
        assert client.backend.is_up
    assert switch.said == [
        f"auth {STOCK_PASSWORD}",
        "event json " + " ".join(EVENT_NAMES),
        "api show channels as json",
        "api status",
    ]
    assert not client.backend.is_up


async def test_a_wrong_password_is_told_at_once_and_never_shown(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    with capture_logs() as logs, pytest.raises(Rejected, match="-ERR invalid") as rejected:
        async with opened(FreeSwitch(password=SECRET)):
            raise AssertionError("let in")
    assert SECRET not in str(rejected.value)
    assert SECRET not in str(logs)
    assert len(switch.tried_s) == 1  # trying again is vain


async def test_the_access_list_rejects(autojump_clock: MockClock, switch: FakeSwitch) -> None:
    switch.greeting = (
        b"Content-Type: text/rude-rejection\nContent-Length: 24\n\nAccess Denied, go away.\n"
    )
    with pytest.raises(Rejected, match="Access Denied, go away"):
        async with opened():
            raise AssertionError("let in")
    assert len(switch.tried_s) == 1


async def test_a_rejection_later_on_is_reported_once_and_outlived(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    why = "127.0.0.1:8021 refuses the login: -ERR invalid"
    async with opened() as client:
        client.news()
        with capture_logs() as logs:
            switch.password = "another"  # noqa: S105 - of a switch in this file
            await switch.close()
            await trio.sleep(600)
            assert client.news() == [
                SwitchLost(reason="the switch has closed the connection"),
                SwitchLost(reason=why),
            ]
            assert 8 < len(switch.tried_s) < 20  # not once a second
        rejections = [entry["why"] for entry in logs if entry["event"] == "switch.rejected"]
        assert rejections == [why]
        switch.password = STOCK_PASSWORD
        await trio.sleep(62)
        assert client.news() == [FOUND]
        assert client.backend.reconnects == 1


async def test_a_service_outlives_rejections_from_the_beginning(
    autojump_clock: MockClock, switch: FakeSwitch, nursery: trio.Nursery
) -> None:
    """It says what is wrong, one reason after the other, and goes on trying."""
    rude = b"Content-Type: text/rude-rejection\nContent-Length: 24\n\nAccess Denied, go away.\n"
    greeting, switch.greeting = switch.greeting, rude
    switch.refusals = 3
    backend = FreeSwitchBackend(FreeSwitch(password=SECRET))
    client = Client(backend, [])
    nursery.start_soon(backend.run)
    nursery.start_soon(take, client)
    await trio.sleep(20)
    switch.greeting = greeting
    await trio.sleep(60)
    switch.password = SECRET
    await trio.sleep(62)
    assert client.news() == [
        SwitchLost(reason=REFUSED),
        SwitchLost(reason="127.0.0.1:8021 refuses the login: Access Denied, go away."),
        SwitchLost(reason="127.0.0.1:8021 refuses the login: -ERR invalid"),
        FOUND,
    ]
    assert backend.reconnects == 0  # nothing was up before: nothing was lost


async def test_a_switch_that_tells_nothing_is_tried_again(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    switch.replies["event json"] = "-ERR no keywords supplied"
    with trio.move_on_after(5) as patience:
        async with opened():
            raise AssertionError("let in")
    assert patience.cancelled_caught
    assert len(switch.tried_s) > 2


async def test_the_password_is_never_shown(autojump_clock: MockClock, switch: FakeSwitch) -> None:
    switch.password = SECRET
    settings = FreeSwitch(password=SECRET)
    with capture_logs() as logs:
        async with opened(settings) as client:
            await switch.close()
            await trio.sleep(5)
            assert client.backend.is_up
    assert [entry["event"] for entry in logs if entry["event"].startswith("switch.")] == [
        "switch.connected",
        "switch.disconnected",
        "switch.connected",
    ]
    for shown in (logs, settings, str(settings), client.backend, client.seen):
        assert SECRET not in repr(shown)
    assert f"auth {SECRET}" in switch.said


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_the_stock_password_is_good_for_this_machine(host: str) -> None:
    assert FreeSwitch(host=host).password == STOCK_PASSWORD


HOSTS = ["192.0.2.1", "pbx.example", "localhost.example", "0.0.0.0", ""]  # noqa: S104 - refused


@pytest.mark.parametrize("host", HOSTS)
def test_the_stock_password_is_refused_for_another(host: str) -> None:
    with pytest.raises(InputError, match="stock password"):
        FreeSwitch(host=host)
    assert FreeSwitch(host=host, password=SECRET).host == host


@pytest.mark.parametrize("password", ["a\n\napi system ls", "a\r", "\0", "a\tb"])
def test_a_password_with_a_control_character_is_refused(password: str) -> None:
    with pytest.raises(InputError, match="control character") as refused:
        FreeSwitch(password=password)
    assert password not in str(refused.value)


# ---------------------------------------------------------------- commands


async def test_commands_go_in_order(
    autojump_clock: MockClock,
    switch: FakeSwitch,
) -> None:
    switch.replies["api uuid_getvar"] = "nothing"
    async with opened() as client:
        client.news()
        news = await client.perform(
            Park(leg="a"), HangUp(leg="b"), PlayTone(leg="a", tone=Recording("beep.wav"))
        )
    assert news == []  # that they were taken is never reported
    first, ordered = switch.scripts[:12], switch.scripts[12:]
    assert all(line.startswith("api uuid_getvar a ") for line in first)  # what is to be kept
    assert ordered == [
        "api uuid_setvar_multi a park_timeout=1860;playback_timeout_sec=1860",
        "api uuid_transfer a park inline",
        "api uuid_kill b NORMAL_CLEARING",
        "api uuid_break a all",
        "api uuid_broadcast a beep.wav aleg",
    ]


async def test_the_first_refusal_is_told_and_the_rest_comes_to_nothing(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    switch.replies["api uuid_setvar_multi b"] = "-ERR No such channel!\n"
    join = Join(first="a", second="b", afterwards=Afterwards.PARK)
    async with opened() as client:
        client.news()
        news = await client.perform(join)
    assert news == [CommandFailed(command=join, reason="-ERR No such channel!")]
    assert switch.scripts[-1] == "api uuid_bridge a b"  # nothing waits; the switch refuses it too


async def test_a_repetition_of_what_waits_to_be_sent_is_not_sent(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    switch.lockstep = True  # so that what is ordered has to wait
    join = Join(first="a", second="b", transfer="x", afterwards=Afterwards.PARK)
    again = attrs.evolve(join, attempt=2, repeated=True)
    async with opened() as client:
        await client.perform(HangUp(leg="c"), join, again, attrs.evolve(again, attempt=3))
        await trio.sleep(1)
    assert switch.scripts.count("api uuid_bridge a b") == 1
    assert switch.scripts[-5].endswith(";hookflash_join=x.3")
    assert not any("uuid_getvar" in line for line in switch.scripts)


async def test_a_misuse_is_a_refusal_too(autojump_clock: MockClock, switch: FakeSwitch) -> None:
    switch.replies["api uuid_transfer"] = "-USAGE: <uuid> …\n"
    async with opened() as client:
        client.news()
        news = await client.perform(Park(leg="a"))
    assert news == [CommandFailed(command=Park(leg="a"), reason="-USAGE: <uuid> …")]


async def test_optional_lines_may_fail(autojump_clock: MockClock, switch: FakeSwitch) -> None:
    switch.replies = {"api uuid_break": "-ERR\n", "api sched_del": "-ERR none\n"}
    switch.replies |= {"api uuid_getvar": "_undef_", "api uuid_setvar_multi": "-ERR gone\n"}
    async with opened() as client:
        client.news()
        tone = PlayTone(leg="a", tone=Recording("beep.wav"))
        assert await client.perform(tone, Forget(legs=("a", "b"))) == []
    assert [line.split()[1] for line in switch.scripts] == [
        "uuid_break",
        "uuid_broadcast",
        # one leg after the other
        *["uuid_getvar", "uuid_getvar", "uuid_getvar", "uuid_setvar_multi"] * 2,
        *["sched_del"] * 4,
    ]


async def test_what_a_transfer_changes_is_kept_before_and_given_back_after_it(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    switch.replies = {
        "api uuid_getvar a hookflash_before": "_undef_",
        "api uuid_getvar a hangup_after_bridge": "true",
        "api uuid_getvar b hookflash_before": "-",  # kept by a transfer before
        "api uuid_getvar": "_undef_",
    }
    async with opened() as client:
        client.news()
        assert await client.perform(Split(first="a", second="b", transfer="x")) == []
        sets = [line for line in switch.scripts if "uuid_setvar" in line]
        assert [line.split()[2] for line in sets] == ["a", "b"]
        # in one order with the marks: at no instant does a leg have the one without the other
        assert sets[0].startswith(
            "api uuid_setvar_multi a hookflash_before=hangup_after_bridge:true;"
        )
        assert ";hookflash_transfer=x;" in sets[0]
        assert "hookflash_before" not in sets[1]
        switch.said.clear()
        switch.replies["api uuid_getvar a hookflash_before"] = "hangup_after_bridge:true"
        assert await client.perform(Forget(legs=("a", "b"))) == []
    one, other = (line for line in switch.scripts if "uuid_setvar" in line)
    assert ";hangup_after_bridge=true;" in one
    assert ";hangup_after_bridge=;" in other
    for line in (one, other):
        assert ";hookflash_before=;" in line
        assert line.endswith(";hookflash_transfer=")


async def test_a_caller_whom_the_switch_has_sent_back_keeps_before_a_join_what_it_has(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    """The switch has done that on its own, and given it back what was kept before."""
    switch.replies = {
        "api uuid_getvar b hangup_after_bridge": "true",
        "api uuid_getvar": "_undef_",
    }
    async with opened() as client:
        await client.perform(
            Join(first="b", second="t", transfer="x", afterwards=Afterwards.END, stays="b")
        )
    sets = [line for line in switch.scripts if "uuid_setvar" in line]
    assert [line.split()[2] for line in sets] == ["b", "t"]
    assert "hookflash_before=hangup_after_bridge:true;" in sets[0]
    assert "hookflash_before" not in sets[1]


async def test_a_leg_that_is_gone_keeps_nothing_and_gets_nothing_back(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    switch.replies["api uuid_getvar"] = "-ERR No such channel!\n"
    async with opened() as client:
        await client.perform(Split(first="a", second="b"), Forget(legs=("a",)))
    sets = [line for line in switch.scripts if "uuid_setvar" in line]
    assert not any("hookflash_before" in line for line in sets)
    assert len(sets) == 2  # the split's own, which are refused


@pytest.mark.parametrize(
    ("taken", "bonds", "ordered"),
    [
        ("x.1", "ba", []),  # joined, or about to be: another order would end a leg
        (
            "x.1",
            "b-",
            ["uuid_break", "uuid_break", "uuid_bridge"],
        ),  # the other has died, or is elsewhere
        ("x.1", "--", ["uuid_break", "uuid_break", "uuid_bridge"]),  # it fell through
        (
            "_undef_",
            "ba",
            ["uuid_break", "uuid_break", "uuid_bridge"],
        ),  # together from before: the order was lost
    ],
)
async def test_an_order_that_is_repeated_is_carried_out_once(
    autojump_clock: MockClock, switch: FakeSwitch, taken: str, bonds: str, ordered: list[str]
) -> None:
    switch.replies["api uuid_getvar a hookflash_join"] = taken
    switch.replies["api uuid_getvar a signal_bond"] = bonds[0]
    switch.replies["api uuid_getvar b signal_bond"] = bonds[1]
    join = Join(
        first="a",
        second="b",
        transfer="x",
        attempt=2,
        repeated=True,
        afterwards=Afterwards.PARK,
    )
    async with opened() as client:
        await client.perform(join)
    asked = [line.split()[1] for line in switch.scripts]
    assert asked[-2 - len(ordered) :] == ["uuid_setvar_multi"] * 2 + ordered


@pytest.mark.parametrize(
    ("bonds", "history", "ordered"),
    [
        ("--", "_undef_", ["uuid_break", "uuid_break", "uuid_bridge"]),
        ("tb", "_undef_", []),  # the failsafe has joined them
        (
            "t-",
            "_undef_",
            ["uuid_break", "uuid_break", "uuid_bridge"],
        ),  # one of them says so, and may name the dead
        ("--", "1795000000:9c1f:bl_xfer:intercept:b/default/inline", []),  # or is about to
        (
            "--",
            "1795000000:9c1f:bl_xfer:park/default/inline",
            ["uuid_break", "uuid_break", "uuid_bridge"],
        ),
    ],
)
async def test_a_join_of_whom_the_failsafe_is_joining_is_left_to_it(
    autojump_clock: MockClock, switch: FakeSwitch, bonds: str, history: str, ordered: list[str]
) -> None:
    switch.replies["api uuid_getvar b signal_bond"] = bonds[0]
    switch.replies["api uuid_getvar t signal_bond"] = bonds[1]
    switch.replies["api uuid_getvar t transfer_source"] = history
    switch.replies["api sched_del"] = "+OK Deleted: 0\n"
    join = Join(first="b", second="t", transfer="x", afterwards=Afterwards.END, disarm=("t",))
    async with opened() as client:
        client.news()
        assert await client.perform(join) == []
    said = [line.split()[1] for line in switch.scripts]
    assert said[:2] == ["uuid_setvar_multi", "sched_del"]  # before anything is asked
    assert said[2] == "uuid_getvar"
    assert said[-2 - len(ordered) :] == ["uuid_setvar_multi"] * 2 + ordered


async def test_a_join_arms_its_second_leg_and_the_first_by_an_order_of_its_own(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    """An armed first leg of a join is hung up when the second dies in it."""
    join = Join(first="a", second="t", afterwards=Afterwards.PARK, rescue="b")
    async with opened() as client:
        await client.perform(join)
        talk = {"Bridge_A_Unique_ID": "a", "Bridge_B_Unique_ID": "t"}
        await switch.tell(event("CHANNEL_BRIDGE", "a", **talk))
        await trio.sleep(10)
        assert [line.split()[2] for line in switch.scripts if "intercept:b" in line] == ["t"]
        await client.perform(Arm(leg="a", rescue="b", when=Trigger.LEFT_ALONE))
    assert switch.scripts[-1] == (
        "api uuid_setvar_multi a park_after_bridge=false;hangup_after_bridge=false;"
        "exec_after_bridge_app=execute_extension;"
        r"exec_after_bridge_arg=sched_transfer:+2\\sintercept:b\\sinline,park inline"
    )


async def test_a_split_that_is_repeated_in_vain_tells_the_legs_nothing(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    switch.replies["api uuid_getvar a signal_bond"] = "_undef_"
    async with opened() as client:
        await client.perform(Split(first="a", second="b", repeated=True))
    assert switch.scripts[-1] == "api uuid_getvar a signal_bond"
    assert all(line.startswith("api uuid_getvar ") for line in switch.scripts)


async def test_a_hang_up_of_nobody_is_a_hang_up(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    switch.replies["api uuid_kill"] = "-ERR No such channel!\n"
    async with opened() as client:
        client.news()
        news = await client.perform(HangUp(leg="ghost"))
    assert news == [LegHungUp(leg="ghost", cause="INVALID_CALL_REFERENCE")]


async def test_a_release_is_told_by_its_answer(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    async with opened() as client:
        client.news()
        news = await client.perform(Release(first="a", second="b"))
        assert news == [LegsReleased(first="a", second="b")]
        switch.replies["api uuid_setvar_multi b"] = "-ERR No such channel!\n"
        release = Release(first="a", second="b")
        news = await client.perform(release)
    assert news == [CommandFailed(command=release, reason="-ERR No such channel!")]


async def test_a_dial_goes_as_a_job_with_the_callers_number(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    async with opened() as client:
        await switch.tell(created("a", "1001"))
        client.news()
        assert await client.perform(DIAL, attrs.evolve(DIAL, leg="u")) == []
        await switch.tell(hung_up("a"))
        await client.perform(attrs.evolve(DIAL, leg="v"))
    scripts = [line for line in switch.scripts if line.startswith("bgapi ")]
    jobs = [line.partition("\nJob-UUID: ")[::2] for line in scripts]
    assert [job for _, job in jobs] == ["hookflash-1", "hookflash-2", "hookflash-3"]
    assert jobs[0][0].startswith("bgapi originate {origination_uuid=t,")
    shown = ["origination_caller_id_number=1001," in line for line, _ in jobs]
    assert shown == [True, True, False]  # who has left is forgotten


async def test_a_dial_that_is_refused_is_a_leg_that_ended(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    switch.replies["bgapi"] = "-ERR no threads"
    async with opened() as client:
        client.news()
        news = await client.perform(DIAL)
        assert news == [LegHungUp(leg="t", cause="INVALID_NUMBER_FORMAT")]
        said = len(switch.said)
        news = await client.perform(attrs.evolve(DIAL, target="1,2"))
    assert news == [LegHungUp(leg="t", cause="INVALID_NUMBER_FORMAT")]
    assert len(switch.said) == said


async def test_a_dial_under_an_id_that_is_in_use_ends_nobody(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    async with opened() as client:
        await switch.tell(created("a", "1001"))
        client.news()
        said = len(switch.said)
        for target in ("1003", "1,2"):
            dial = attrs.evolve(DIAL, leg="a", target=target)
            assert await client.perform(dial) == [CommandFailed(command=dial, reason=ID_IN_USE)]
        assert len(switch.said) == said


@pytest.mark.parametrize("leg", ["a\n\napi system ls", "${system(ls)}", "a b", ""])
async def test_what_is_not_allowed_is_never_sent(
    autojump_clock: MockClock, switch: FakeSwitch, leg: str
) -> None:
    async with opened() as client:
        client.news()
        with capture_logs() as logs:
            (failed,) = await client.perform(Park(leg=leg))
    assert isinstance(failed, CommandFailed)
    assert "is not allowed" in failed.reason
    assert switch.scripts == []
    assert [entry["log_level"] for entry in logs] == ["warning"]


# ------------------------------------------------------------- what lives


async def test_the_snapshot_says_what_lives(autojump_clock: MockClock, switch: FakeSwitch) -> None:
    switch.legs = {
        "a": alice(**BRIDGED, variable_bridge_to="b"),
        "b": bob(
            **BRIDGED,
            variable_bridge_to="a",
            variable_hookflash_transfer="x1",
            variable_hookflash_role="transferee",
            variable_hookflash_kind="attended",
        ),
        "c": alice(**PARKED, variable_hookflash_account=["a", "b"]),
        "d": alice(**{"Answer-State": "ringing"}),
        "gone": alice(**{"Answer-State": "hangup"}),
        "no leg; of ours": alice(),
        "e": bob(**PARKED),
    }
    switch.replies["api uuid_dump e"] = "-ERR No such channel!\n"
    async with opened() as client:
        a, b, c, d = await client.backend.snapshot()
    inbound, outbound = Direction.INBOUND, Direction.OUTBOUND
    assert a == LegSnapshot(
        leg="a", number="1001", direction=inbound, account="acme", answered=True, peer="b"
    )
    assert b == LegSnapshot(
        leg="b",
        number="1002",
        direction=outbound,
        account="acme",
        answered=True,
        peer="a",
        transfer="x1",
        role="transferee",
        kind="attended",
    )
    assert c == LegSnapshot(leg="c", number="1001", direction=inbound, answered=True, parked=True)
    assert d == LegSnapshot(leg="d", number="1001", direction=inbound, account="acme")
    assert "of ours" not in str(switch.said)
    assert client.news() == [
        LegCreated(leg="a", number="1001", account="acme"),
        LegAnswered(leg="a"),
        LegCreated(leg="b", number="1002", direction=outbound, account="acme"),
        LegAnswered(leg="b"),
        LegCreated(leg="c", number="1001"),
        LegAnswered(leg="c"),
        LegCreated(leg="d", number="1001", account="acme"),
        LegsJoined(first="a", second="b"),
        LegParked(leg="c"),
        FOUND,
    ]


async def test_a_mark_counts_only_on_the_leg_that_it_names(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    mark = {"variable_hookflash_transfer": "x1", "variable_hookflash_role": "target:t"}
    switch.legs = {"t": bob(**mark), "far-side": alice(**mark)}
    async with opened() as client:
        target, far_side = await client.backend.snapshot()
    assert (target.role, target.transfer) == ("target", "x1")
    assert (far_side.role, far_side.transfer) == ("", "")


async def test_the_target_of_a_transfer_that_is_found_is_asked_though_no_list_has_it(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    """The list of channels lags behind, on a busy switch for long: marks tell the target's name."""
    mark = {"variable_hookflash_transfer": "x1"}
    switch.legs = {
        "a": alice(**PARKED, **mark, variable_hookflash_role="transferor"),
        "x1-target": bob(**mark, variable_hookflash_role="target:x1-target"),
    }
    switch.lists_later = {"x1-target": 99}
    async with opened() as client:
        seen = {leg.leg: leg.role for leg in await client.backend.snapshot()}
    assert seen == {"a": "transferor", "x1-target": "target"}


async def test_the_list_is_asked_for_again_until_it_has_all(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    switch.legs = {"a": alice(), "b": bob()}
    switch.lists_later = {"b": 2}
    switch.replies["api status"] = "UP 0 years\n7 session(s) since startup\n2 session(s) - peak 3, "
    async with opened() as client:
        assert [fact.leg for fact in client.news() if isinstance(fact, LegCreated)] == ["a", "b"]
    assert switch.said.count("api show channels as json") == 3


async def test_who_has_hung_up_and_is_counted_yet_is_not_waited_for_for_long(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    switch.legs = {"a": alice()}
    switch.replies["api status"] = "2 session(s) - peak 3, last 5min 3 \n"
    async with opened() as client:
        assert [fact.leg for fact in client.news() if isinstance(fact, LegCreated)] == ["a"]
    assert trio.current_time() < 0.5


async def test_a_leg_that_is_known_is_asked_when_the_line_is_back_though_no_list_has_it(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    async with opened() as client:
        await switch.tell(created("a", "1001"))
        client.news()
        switch.legs = {"a": alice()}
        switch.lists_later = {"a": 99}
        await switch.close()
        await trio.sleep(5)
        assert not [fact for fact in client.news() if isinstance(fact, LegHungUp)]


# --------------------------------------------------------------------- being asked


async def test_a_question_is_answered_with_whoever_lives_and_whom_they_talk_with(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    async with opened() as client:
        client.news()
        switch.legs = {
            "a": alice(**BRIDGED, variable_bridge_to="b"),
            "b": bob(**BRIDGED, variable_bridge_to="a"),
            "c": alice(**BRIDGED, variable_bridge_to="gone"),
            "d": alice(),
        }
        look = Look(legs=("a", "c", "ghost"), transfer="x", number=7)
        (seen,) = await client.perform(look)
    assert isinstance(seen, LegsSeen)
    assert seen.look == look
    assert [(leg.leg, leg.peer) for leg in seen.living] == [("a", "b"), ("c", None), ("b", "a")]


async def test_an_answer_comes_behind_what_the_switch_has_said_before(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    """And what is late of a leg whose end was reported is no news."""
    async with opened() as client:
        await switch.tell(created("a", "1001"))
        client.news()
        switch.happens["api uuid_dump a"] = event("CHANNEL_ANSWER", "a")
        await switch.tell(event("CHANNEL_PARK", "a"), hung_up("a"))
        parked, ended, seen = await client.perform(Look(legs=("a",)))
        assert parked == LegParked(leg="a")
        assert isinstance(ended, LegHungUp)
        assert isinstance(seen, LegsSeen)
        assert seen.living == ()
        await switch.tell(event("CHANNEL_PARK", "a"))
        assert client.news() == []


ENDED = event("CHANNEL_HANGUP", "a", Hangup_Cause="USER_BUSY")


@pytest.mark.parametrize("command", [Look(legs=("a",)), HangUp(leg="a")])
async def test_an_answer_that_overtakes_the_end_of_a_leg_waits_for_it(
    autojump_clock: MockClock, switch: FakeSwitch, command: Look | HangUp
) -> None:
    """Else the end would be told without its cause, or never: the leg would be there for ever."""
    switch.replies["api uuid_kill"] = "-ERR No such channel!\n"
    async with opened() as client:
        await switch.tell(created("a"))
        client.news()
        assert await client.perform(command) == []
        await trio.sleep(0.1)
        await switch.tell(ENDED)
        await trio.sleep(0.1)
        ended, seen = client.news()
        assert ended == LegHungUp(leg="a", cause="USER_BUSY")
        assert isinstance(seen, LegsSeen)
        assert seen.living == ()


async def test_an_end_whose_event_is_lost_is_told_once(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    async with opened() as client:
        await switch.tell(created("a"))
        client.news()
        assert await client.perform(Look(legs=("a",)), HangUp(leg="b")) == []
        assert switch.said[-1] == "api uuid_kill b NORMAL_CLEARING"  # nobody else waits
        await trio.sleep(1)
        ended, seen = client.news()
        assert ended == LegHungUp(leg="a", cause=LOST_TRACK)
        assert isinstance(seen, LegsSeen)
        await switch.tell(ENDED)
        assert client.news() == []


async def test_orders_wait_for_the_answer_to_a_question_before_them(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    async with opened() as client:
        await client.perform(HangUp(leg="a"), Look(legs=("b", "no leg; of ours")), HangUp(leg="c"))
    assert switch.said[-3:] == [
        "api uuid_kill a NORMAL_CLEARING",
        "api uuid_dump b json",
        "api uuid_kill c NORMAL_CLEARING",
    ]


async def test_a_leg_whose_beginning_was_lost_is_asked_who_it_is_once(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    async with opened() as client:
        client.news()
        switch.legs = {"a": alice(**PARKED)}
        await switch.tell(event("CHANNEL_ANSWER", "a"), event("CHANNEL_PARK", "a"))
        answered, parked, seen = client.news()
        assert (answered, parked) == (LegAnswered(leg="a"), LegParked(leg="a"))
        assert isinstance(seen, LegsSeen)
        assert [leg.number for leg in seen.living] == ["1001"]
    assert switch.said.count("api uuid_dump a json") == 1


RINGS = {"Answer-State": "ringing", "Channel-State": "CS_EXECUTE", "Channel-State-Number": "4"}


async def test_a_target_that_is_found_ringing_is_parked_with_its_answer(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    switch.legs = {"x-target": bob(**RINGS, variable_current_application="park")}
    async with opened() as client:
        (target,) = await client.backend.snapshot()
        assert (target.answered, target.parked) == (False, False)
        client.news()
        await switch.tell(event("CHANNEL_ANSWER", "x-target"))
        assert client.news() == [LegAnswered(leg="x-target"), LegParked(leg="x-target")]


async def test_the_switch_is_nudged_while_a_target_rings(
    autojump_clock: MockClock, switch: FakeSwitch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompting, "NUDGED_EVERY_S", NUDGED_EVERY_S)
    outbound = {"Call_Direction": "outbound", "Caller_Destination_Number": "1003"}
    async with opened():
        for stranger in ("a", "x-target"):
            await switch.tell(event("CHANNEL_CREATE", stranger, **outbound))
        await switch.tell(event("CHANNEL_PROGRESS", "a"))
        await trio.sleep(1)
        assert switch.nudges == 0  # nobody waits for that
        await switch.tell(event("CHANNEL_PROGRESS", "x-target"))
        await trio.sleep(1)
        assert 0.8 <= switch.nudges * NUDGED_EVERY_S <= 1.01
        await switch.tell(event("CHANNEL_ANSWER", "x-target"))
        await trio.sleep(0.1)
        nudges = switch.nudges
        await trio.sleep(1)
        assert switch.nudges == nudges


async def test_a_switch_that_does_not_answer_is_not_nudged(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    switch.replies["bgapi"] = None
    async with opened() as client:
        await switch.tell(event("CHANNEL_CREATE", "x-target", Call_Direction="outbound"))
        await switch.tell(event("CHANNEL_PROGRESS", "x-target"))
        await client.perform(DIAL)
        nudges = switch.nudges
        await trio.sleep(1)
        assert switch.nudges == nudges


async def test_what_is_behind_a_loopback_is_not_told(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    gateway = {"variable_sip_gateway_name": "carrier", "variable_originating_leg_uuid": "far"}
    switch.legs = {
        "gateway": bob(**BRIDGED, **gateway, variable_bridge_to="far"),
        "far": alice(**BRIDGED, variable_bridge_to="gateway", variable_other_loopback_leg_uuid="t"),
        "t": bob(**PARKED),
    }
    identity = LegIdentified(leg="t", number="1002", account="acme", outside=True)
    async with opened() as client:
        (target,) = await client.backend.snapshot()
        assert (target.leg, target.outside) == ("t", True)
        news = client.news()
        assert {getattr(one, "leg", "t") for one in news} == {"t"}
        assert news[-2:] == [identity, FOUND]  # a leg that was known before is not created anew
        client.backend.break_line()
        await trio.sleep(10)
        assert client.news()[-2:] == [identity, FOUND]


async def test_what_happens_during_the_look_is_told_after_it(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    """A leg that ends after it was seen, and before all were: its end stays its last fact."""
    switch.legs = {"a": alice(), "b": alice()}
    switch.happens["api uuid_dump a"] = hung_up("a") + created("c")
    async with opened() as client:
        news = client.news()
    assert [one for one in news if getattr(one, "leg", "") == "a"] == [
        LegCreated(leg="a", number="1001", account="acme"),
        LegAnswered(leg="a"),
        LegHungUp(leg="a"),
    ]
    assert news[-3:] == [FOUND, LegHungUp(leg="a"), LegCreated(leg="c", number="1001")]


@pytest.mark.parametrize("answer", ["", "-ERR\n", "[]", '{"rows": [{}]}', "{", "\x00"])
async def test_a_snapshot_that_cannot_be_read(
    autojump_clock: MockClock, switch: FakeSwitch, answer: str
) -> None:
    async with opened() as client:
        switch.replies["api show"] = answer
        with pytest.raises(BackendClosed, match="can't be read"):
            await client.backend.snapshot()
        assert client.backend.is_up


async def test_a_switch_of_which_nothing_can_be_learned_is_tried_again(
    autojump_clock: MockClock,
    switch: FakeSwitch,
) -> None:
    switch.replies["api show"] = "-ERR\n"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(repair_after, switch, 30)
        async with opened() as client:
            assert client.news() == [FOUND]
    assert 6 < len(switch.tried_s) < 14


async def repair_after(switch: FakeSwitch, delay_s: float) -> None:
    await trio.sleep(delay_s)
    switch.replies.clear()
    switch.closes_at = None


# ------------------------------------------------------------- losing the line


async def test_a_line_that_is_lost_comes_back(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    switch.legs = {"a": alice(), "b": alice()}
    async with opened() as client:
        client.news()
        await switch.close()
        assert not client.backend.is_up
        assert client.news() == [SwitchLost(reason="the switch has closed the connection")]
        del switch.legs["a"]
        await trio.sleep(1)
        assert client.backend.is_up
        assert client.news() == [
            LegHungUp(leg="a", cause=LOST_TRACK),
            LegCreated(leg="b", number="1001", account="acme"),
            LegAnswered(leg="b"),
            FOUND,
        ]
        assert client.backend.reconnects == 1


async def reconnected(client: Client, switch: FakeSwitch) -> list[CallEvent]:
    """Lose the connection, and get it back."""
    client.news()
    await switch.close()
    await trio.sleep(1)
    assert client.backend.is_up
    return client.news()[1:]


async def test_an_end_that_is_learned_from_the_list_is_told_once(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    """The switch reports the end of a leg in three events: the last may come after the list."""
    async with opened() as client:
        await switch.tell(created("a"))
        assert await reconnected(client, switch) == [LegHungUp(leg="a", cause=LOST_TRACK), FOUND]
        await switch.tell(event("CHANNEL_PARK", "a"), hung_up("a"))
        assert client.news() == []
        await switch.tell(created("a"), hung_up("a"))  # another leg of this name
        assert client.news() == [LegCreated(leg="a", number="1001"), LegHungUp(leg="a")]


async def test_an_end_that_comes_during_the_look_is_told_once_and_with_its_cause(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    async with opened() as client:
        await switch.tell(created("a"), created("b", "1002"))
        parted = event("CHANNEL_UNBRIDGE", Bridge_A_Unique_ID="a", Bridge_B_Unique_ID="b")
        switch.happens["api uuid_dump a"] = parted + ENDED
        assert await reconnected(client, switch) == [
            LegHungUp(leg="a", cause="USER_BUSY"),
            LegHungUp(leg="b", cause=LOST_TRACK),
            FOUND,
        ]
        await switch.tell(hung_up("a"), hung_up("b"))
        assert client.news() == []


async def test_an_end_that_comes_after_the_look_at_its_leg_is_told_once(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    switch.legs = {"a": alice()}
    switch.happens["api uuid_dump a"] = ENDED
    async with opened() as client:
        assert client.news()[-2:] == [FOUND, LegHungUp(leg="a", cause="USER_BUSY")]
        await switch.tell(event("CHANNEL_DESTROY", "a"))
        assert client.news() == []


async def test_it_comes_back_with_back_off_and_for_ever(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    async with opened() as client:
        switch.refusals = 40
        await switch.close()
        await trio.sleep(3600)
        assert client.backend.is_up
    waits = [later - sooner for sooner, later in pairwise(switch.tried_s)]
    assert len(waits) == 41
    assert all(0.1 <= wait <= 5.2 for wait in waits)
    assert 0.4 <= waits[2] <= 0.6  # after the second refusal, and a little jitter
    assert min(waits[-20:]) == pytest.approx(5.0, abs=0.2)
    assert len(set(waits[:6])) == 6


@pytest.mark.parametrize("where", ["auth", "event", "api show"])
async def test_a_line_that_dies_young_is_not_tried_at_once(
    autojump_clock: MockClock, switch: FakeSwitch, where: str
) -> None:
    switch.closes_at = where
    async with trio.open_nursery() as nursery:
        nursery.start_soon(repair_after, switch, 100)
        async with opened() as client:
            assert trio.current_time() >= 100
            assert client.news() == [FOUND]  # nothing was found before: nothing was lost
    assert 20 < len(switch.tried_s) < 30


async def test_a_line_that_lived_long_is_tried_soon(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    async with opened() as client:
        for _ in range(10):
            await trio.sleep(60)
            await switch.close()
            await trio.sleep(0.5)
            assert client.backend.is_up
        assert client.backend.reconnects == 10


async def test_the_switch_says_goodbye(autojump_clock: MockClock, switch: FakeSwitch) -> None:
    async with opened() as client:
        client.news()
        body = b"Disconnected, goodbye.\nSee you at ClueCon!\n"
        await switch.send(
            b"Content-Type: text/disconnect-notice\nContent-Length: %d\n\n%s" % (len(body), body)
        )
        assert client.news() == [SwitchLost(reason="Disconnected, goodbye.")]
        await trio.sleep(1)
        assert client.news() == [FOUND]


@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 400 Bad Request\n\n",
        b"Content-Type: a\nContent-Length: many\n\n",
        b"Content-Type: a\nContent-Length: 99999999999\n\n",
        b"\xff" * 70_000,
    ],
)
async def test_garbage_ends_the_line(
    autojump_clock: MockClock, switch: FakeSwitch, garbage: bytes
) -> None:
    async with opened() as client:
        client.news()
        await switch.send(garbage)
        (lost,) = client.news()
        assert isinstance(lost, SwitchLost)
        assert "can't be read" in lost.reason
        await trio.sleep(1)
        assert client.news() == [FOUND]


async def test_what_means_nothing_does_not_matter(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    async with opened() as client:
        client.news()
        await switch.send(b"Content-Type: api/response\nContent-Length: 2\n\nhi")  # nobody asked
        await switch.send(b"Content-Type: text/event-json\nContent-Length: 2\n\n{]")
        await switch.send(b"Content-Type: log/data\n\n")
        await switch.tell(created("a", "1001"))
        assert client.news() == [LegCreated(leg="a", number="1001")]
        assert await client.backend.snapshot() == ()


async def test_an_answer_that_never_comes_ends_the_line(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    switch.replies["api uuid_kill"] = None
    async with opened(FreeSwitch(reply_timeout_s=7)) as client:
        assert await client.perform(HangUp(leg="a"), HangUp(leg="b")) == [FOUND]
        await trio.sleep(6.9)
        assert client.news() == []
        await trio.sleep(0.05 + 0.1)
        assert client.news() == [SwitchLost(reason="no answer within 7 s")]
        await trio.sleep(1)
        assert client.news() == [FOUND]  # the commands are neither repeated nor reported
    assert switch.scripts == [f"api uuid_kill {leg} NORMAL_CLEARING" for leg in "ab"]


async def test_a_frozen_switch_is_lost_within_ten_seconds_and_found_soon(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    async with opened() as client:
        client.news()
        await trio.sleep(100)
        assert client.news() == []  # idle, and alive
        switch.goes_on = trio.Event()
        await trio.sleep(10)
        assert client.news() == [SwitchLost(reason="no sign of life for 8 s")]
        assert await client.perform(HangUp(leg="a")) == []
        await trio.sleep(1000)
        switch.goes_on.set()
        await trio.sleep(6)
        client.news()
        assert client.backend.is_up
        assert await client.perform(HangUp(leg="b")) == []
    assert switch.scripts[-1:] == ["api uuid_kill b NORMAL_CLEARING"]
    assert "api uuid_kill a NORMAL_CLEARING" not in switch.said  # it was not kept for later


async def test_a_switch_that_is_slow_is_not_lost(
    autojump_clock: MockClock, switch: FakeSwitch, nursery: trio.Nursery
) -> None:
    async def be_slow() -> None:
        while True:
            switch.goes_on = trio.Event()
            await trio.sleep(3)
            switch.goes_on.set()
            await trio.sleep(0.1)

    async with opened() as client:
        client.news()
        nursery.start_soon(be_slow)
        await trio.sleep(300)
        assert client.news() == []
        nursery.cancel_scope.cancel()


async def test_a_command_that_takes_long_does_not_mean_that_the_switch_is_lost(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    """It executes the commands of a connection one after the other, and greets on a new one."""
    switch.replies["api uuid_kill"] = None
    async with opened() as client:
        client.news()
        await client.perform(HangUp(leg="a"))
        await trio.sleep(25)
        assert client.news() == []
        await switch.send(b"Content-Type: api/response\nContent-Length: 3\n\n+OK")
        await trio.sleep(100)
        assert client.news() == []


async def test_a_firewall_that_forgets_the_connection(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    async with opened() as client:
        client.news()
        switch.replies["api echo"] = None  # nothing comes through on this one
        await trio.sleep(31)
        assert client.news() == []
        await trio.sleep(5)
        assert SwitchLost(reason="no sign of life for 33 s") in client.news()


async def test_a_switch_that_never_greets_is_tried_again(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    switch.replies["auth"] = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(repair_after, switch, 15)
        async with opened(FreeSwitch(reply_timeout_s=10)) as client:
            assert client.news() == [FOUND]
    assert len(switch.tried_s) == 3


async def test_a_connection_that_is_never_made_is_given_up(
    autojump_clock: MockClock, switch: FakeSwitch, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(host: str, port: int) -> trio.abc.Stream:
        monkeypatch.setattr(trio, "open_tcp_stream", network.connect)
        await trio.sleep_forever()
        raise AssertionError

    monkeypatch.setattr(trio, "open_tcp_stream", hang)
    async with opened(FreeSwitch(connect_timeout_s=4)) as client:
        assert client.news() == [FOUND]
        assert 4 < trio.current_time() < 5


async def test_whoever_waits_for_an_answer_is_told_that_the_line_died(
    autojump_clock: MockClock,
    switch: FakeSwitch,
) -> None:
    async with opened() as client, trio.open_nursery() as nursery:
        switch.replies["api show"] = None
        why: list[str] = []
        for _ in range(3):
            nursery.start_soon(ask, client.backend, why)
        await wait_all_tasks_blocked()
        began = trio.current_time()
        await switch.close()
        assert why == ["the switch has closed the connection"] * 3
        assert trio.current_time() == began


async def test_whoever_waits_for_an_answer_is_told_that_the_backend_closes(
    autojump_clock: MockClock,
    switch: FakeSwitch,
) -> None:
    why: list[str] = []
    async with trio.open_nursery() as nursery:
        async with opened() as client:
            switch.replies["api show"] = None
            nursery.start_soon(ask, client.backend, why)
            await wait_all_tasks_blocked()
        await wait_all_tasks_blocked()
        assert why == ["the line is closed"]


async def ask(backend: FreeSwitchBackend, why: list[str]) -> None:
    try:
        await backend.snapshot()
    except BackendClosed as closed:
        why.append(str(closed))


async def test_who_stops_waiting_does_not_mix_up_the_answers(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    switch.legs = {"a": alice()}
    async with opened() as client:
        with trio.CancelScope() as impatient:
            impatient.cancel()
            await client.backend.snapshot()
        switch.replies["api show"] = None
        with trio.move_on_after(1):
            await client.backend.snapshot()
        switch.replies.clear()
        late = b'{"row_count":0}'
        await switch.send(
            b"Content-Type: api/response\nContent-Length: %d\n\n%s" % (len(late), late)
        )
        assert [leg.leg for leg in await client.backend.snapshot()] == ["a"]


async def test_commands_are_dropped_while_the_line_is_down(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    async with opened() as client:
        switch.refusals = 3
        await switch.close()
        client.news()
        assert await client.perform(HangUp(leg="a"), DIAL) == []
        with pytest.raises(BackendClosed, match="not connected"):
            await client.backend.snapshot()
        client.backend.break_line()  # there is none
        await trio.sleep(10)
        assert client.news() == [SwitchLost(reason=REFUSED), FOUND]
        await client.perform(HangUp(leg="b"))
    assert switch.scripts == ["api uuid_kill b NORMAL_CLEARING"]


async def test_the_line_can_be_broken_from_here(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    async with opened(FreeSwitch(name="east")) as client:
        assert client.news() == [SwitchFound(switch="east")]
        client.backend.break_line()
        await wait_all_tasks_blocked()
        lost = SwitchLost(switch="east", reason="the line was cut")
        assert client.news() == [lost]
        await trio.sleep(1)
        assert client.news() == [SwitchFound(switch="east")]


async def test_after_the_end_there_is_nothing(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    async with opened() as client:
        pass
    with pytest.raises(BackendClosed, match="closed"):
        await client.backend.perform(HangUp(leg="a"))
    with pytest.raises(BackendClosed, match="not connected"):
        await client.backend.snapshot()
    assert [happened async for happened in client.backend.events()] == []


# ------------------------------------------------- answers that nobody would send

DEEP: Final = "[" * 100_000


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("api uuid_dump a", f'{{"zz": {DEEP}'),
        ("api show", f'{{"row_count": 1, "rows": {DEEP}'),
        ("api status", f"{'9' * 5_000} session(s) - peak 1\n"),
    ],
)
async def test_an_answer_that_can_not_be_read_costs_at_most_the_connection(
    autojump_clock: MockClock, switch: FakeSwitch, command: str, answer: str
) -> None:
    switch.legs = {"a": alice()}
    async with opened() as client:
        client.news()
        switch.replies[command] = answer
        await switch.close()
        await trio.sleep(20)
        del switch.replies[command]
        await trio.sleep(20)
        assert client.news()[-1] == FOUND


# ------------------------------------------------------------------ overflow


async def test_when_nobody_takes_events_they_are_dropped_and_told_anew(
    autojump_clock: MockClock,
    switch: FakeSwitch,
) -> None:
    switch.legs = {"a": alice()}
    async with open_freeswitch(FreeSwitch(event_buffer=5)) as backend:
        await wait_all_tasks_blocked()
        with capture_logs() as logs:
            for number in range(10):
                await switch.tell(created(f"new-{number}"))
            await switch.tell(hung_up("a"))
        assert backend.dropped == 9  # three facts were in it already
        assert [entry["log_level"] for entry in logs] == ["error"]
        assert switch.said[-2:] == ["api uuid_dump a json", "api status"]
        switch.legs = {"new-1": alice(), "new-9": alice()}
        await backend.perform(HangUp(leg="new-9"))  # commands go on meanwhile
        await trio.sleep(10)
        assert switch.scripts == ["api uuid_kill new-9 NORMAL_CLEARING"]
        client = Client(backend, [])
        async with trio.open_nursery() as taking:
            taking.start_soon(take, client)
            await wait_all_tasks_blocked()
            assert client.news()[-1] == LegCreated(leg="new-1", number="1001")
            await trio.sleep(5)
            assert client.news() == [
                LegHungUp(leg="a", cause=LOST_TRACK),
                LegHungUp(leg="new-0", cause=LOST_TRACK),
                LegCreated(leg="new-1", number="1001", account="acme"),
                LegAnswered(leg="new-1"),
                LegCreated(leg="new-9", number="1001", account="acme"),
                LegAnswered(leg="new-9"),
                FOUND,
            ]
            await switch.tell(hung_up("new-9"))
            assert client.news() == [LegHungUp(leg="new-9")]
            taking.cancel_scope.cancel()


async def test_more_legs_than_the_buffer_holds(
    autojump_clock: MockClock, switch: FakeSwitch
) -> None:
    """Who opens a backend can't take its events before it is open."""
    switch.legs = {f"leg-{number}": alice() for number in range(10)}
    switch.happens["api uuid_dump leg-9"] = b"".join(created(f"new-{n}") for n in range(5))
    async with opened(FreeSwitch(event_buffer=3)) as client:
        await trio.sleep(5)
        news = client.news()
        assert sum(isinstance(one, LegAnswered) for one in news) >= 10
        assert news.count(FOUND) == 2  # at first, and after the overflow
        assert client.backend.dropped > 0


# ------------------------------------------------------------- several, and TLS


async def test_several_at_once(
    autojump_clock: MockClock, network: Network, nursery: trio.Nursery
) -> None:
    hosts = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    switches = [add_switch(network, nursery, host) for host in hosts]
    settings = [FreeSwitch(host=host, name=host[-1]) for host in hosts]
    async with opened(settings[0]) as one, opened(settings[1]) as two, opened(settings[2]) as three:
        for client in (one, two, three):
            client.news()
        await switches[1].close()
        await switches[2].tell(created("a"))
        await one.perform(HangUp(leg="b"))
        assert one.news() == []
        (lost,) = two.news()
        assert isinstance(lost, SwitchLost)
        assert lost.switch == "2"
        assert three.news() == [LegCreated(leg="a", number="1001")]
        assert [client.backend.is_up for client in (one, two, three)] == [True, False, True]
    assert [len(switch.scripts) for switch in switches] == [1, 0, 0]
    nursery.cancel_scope.cancel()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def far_away(tls: ssl.SSLContext) -> FreeSwitch:
    return FreeSwitch(host="pbx.example", password=SECRET, tls=tls)


@pytest.fixture
def remote(network: Network, nursery: trio.Nursery) -> Iterator[FakeSwitch]:
    switch = add_switch(network, nursery, "pbx.example")
    switch.password = SECRET
    yield switch
    nursery.cancel_scope.cancel()


async def test_over_tls(
    autojump_clock: MockClock, remote: FakeSwitch, authority: trustme.CA
) -> None:
    remote.tls = showing(authority, "pbx.example")
    async with opened(far_away(trusting(authority))) as client:
        await remote.tell(created("a"))
        assert client.news() == [FOUND, LegCreated(leg="a", number="1001")]
        await remote.close()
        await trio.sleep(1)
        assert client.backend.is_up


@pytest.mark.parametrize(
    ("host", "ours", "why"),
    [("pbx.example", False, "unable to get local issuer"), ("other.example", True, "mismatch")],
)
async def test_a_certificate_that_is_not_trusted(  # noqa: PLR0917 - pytest names them
    autojump_clock: MockClock,
    remote: FakeSwitch,
    authority: trustme.CA,
    host: str,
    ours: bool,
    why: str,
) -> None:
    remote.tls = showing(authority if ours else trustme.CA(), host)
    with pytest.raises(Rejected, match=f"is not trusted: .*{why}"):
        async with opened(far_away(trusting(authority))):
            raise AssertionError("let in")
    assert remote.said == []  # and the password was not said
    assert len(remote.tried_s) == 1


async def test_a_switch_that_does_not_speak_tls_is_tried_again(
    autojump_clock: MockClock, remote: FakeSwitch, authority: trustme.CA
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(secure_after, remote, showing(authority, "pbx.example"), 3)
        async with opened(far_away(trusting(authority))) as client:
            assert client.news() == [FOUND]
    assert len(remote.tried_s) > 2


async def secure_after(switch: FakeSwitch, tls: ssl.SSLContext, delay_s: float) -> None:
    await trio.sleep(delay_s)
    assert not any(SECRET in line for line in switch.said)
    switch.tls = tls
