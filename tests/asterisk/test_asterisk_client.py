"""One Asterisk over ARI and AMI: what becomes of a line, in every way that it can end.

The switch is `fake_asterisk`, its network is memory, and the clock is virtual: it jumps as soon as
everybody waits.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise

import attrs
import msgspec
import pytest
import trio
import trustme
from certificates import showing, trusting
from fake_asterisk import (
    AMI_PORT,
    ARI_PORT,
    FakeAsterisk,
    FakeNetwork,
    Json,
    channel,
    event,
    parked,
)
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked
from trio_websocket import ConnectionClosed, WebSocketConnection

from hookflash.backends.asterisk.ari import AriLogin, AriLost, open_ari
from hookflash.backends.asterisk.ari_messages import AriChannel, read_body, read_message
from hookflash.backends.asterisk.client import AsteriskBackend, open_asterisk
from hookflash.backends.asterisk.primitives import TOO_LATE
from hookflash.backends.asterisk.readiness import HIDES_DIGITS
from hookflash.backends.asterisk.requests import WANTED_EVENTS, filter_request
from hookflash.backends.asterisk.settings import Asterisk
from hookflash.backends.base import ID_IN_USE, LOST_TRACK, LegSnapshot, Rejected
from hookflash.commands import (
    Afterwards,
    Arm,
    Dial,
    Forget,
    HangUp,
    HoldWithMusic,
    Join,
    Look,
    Park,
    PassKeys,
    PlayTone,
    Release,
    Split,
    SwitchCommand,
)
from hookflash.errors import BackendClosed, InputError
from hookflash.events import (
    CallEvent,
    CommandFailed,
    Direction,
    LegAnswered,
    LegCreated,
    LegHungUp,
    LegMovedAway,
    LegParked,
    LegsJoined,
    LegsReleased,
    LegsSeen,
    LegsSeparated,
    SoundStarted,
    SwitchFound,
    SwitchLost,
)
from hookflash.sounds import Burst, Music, Tone

SECRET = "s3cret-0f-the-switch"  # noqa: S105 - of a switch in this file
DIAL = Dial(leg="t", target="1003", on_behalf_of="a", ring_timeout_s=20)
JOIN = Join(first="a", second="b", afterwards=Afterwards.END)
BEEP = Tone((Burst((440,), 200),), times=1)
FOUND = SwitchFound()


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> FakeNetwork:
    network = FakeNetwork()
    monkeypatch.setattr(trio, "open_tcp_stream", network.connect)
    return network


@pytest.fixture
async def switch(network: FakeNetwork, nursery: trio.Nursery) -> AsyncGenerator[FakeAsterisk]:
    network.switches["127.0.0.1"] = switch = FakeAsterisk(nursery)
    yield switch
    nursery.cancel_scope.cancel()
    assert not switch.open  # whatever was opened was closed


@attrs.define
class Client:
    backend: AsteriskBackend
    seen: list[CallEvent]

    def news(self) -> list[CallEvent]:
        """What has come since the last time."""
        news, self.seen[:] = self.seen.copy(), []
        return news

    async def perform(self, *commands: SwitchCommand) -> list[CallEvent]:
        for command in commands:
            await self.backend.perform(command)
        await wait_all_tasks_blocked()
        return self.news()


@asynccontextmanager
async def opened(settings: Asterisk | None = None) -> AsyncGenerator[Client]:
    """A backend, and somebody who takes its events."""
    async with open_asterisk(settings or Asterisk()) as backend, trio.open_nursery() as taking:
        client = Client(backend, [])
        taking.start_soon(take, client)
        await wait_all_tasks_blocked()
        yield client
        taking.cancel_scope.cancel()


async def take(client: Client) -> None:
    async for happened in client.backend.events():
        client.seen.append(happened)


def two_who_talk(switch: FakeAsterisk) -> None:
    switch.channels = {
        "a": channel("a"),
        "b": channel("b", number="1002", app="AppDial", data="(Outgoing Line)"),
    }
    switch.bridges = {"bridge": ["a", "b"]}


def two_who_are_parked(switch: FakeAsterisk) -> None:
    switch.channels = {"a": parked("a"), "b": parked("b", number="1002")}


# ------------------------------------------------------------ being let in


async def test_it_logs_in_asks_for_events_checks_the_switch_and_asks_what_lives(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    async with opened() as client:
        assert client.news() == [FOUND]
        assert client.backend.is_up
    assert not client.backend.is_up
    said = switch.said
    assert said[:2] == ["Challenge", "Login hookflash"]
    request, _, body = said[2].partition("eventFilter ")
    assert request == "PUT applications/hookflash/"
    assert [one["type"] for one in json.loads(body)["allowed"]] == [*WANTED_EVENTS]
    assert said[3:-9] == [
        f"GET asterisk/modules/{name}" for name in (*sorted(switch.modules), HIDES_DIGITS)
    ]
    assert said[-9:] == [
        "Redirect hookflash-nobody park",
        "Setvar hookflash-nobody HOOKFLASH_WHY=",
        "Getvar hookflash-nobody HOOKFLASH_WHY",
        "Getvar DIALPLAN_EXISTS(hookflash,park,1)",
        "Getvar DIALPLAN_EXISTS(hookflash,park,brief)",
        *["GET channels", "GET bridges"] * 2,  # who waits for a controller, then all
    ]


async def test_a_password_that_ami_refuses(autojump_clock: MockClock, switch: FakeAsterisk) -> None:
    switch.password = "another"  # noqa: S105 - of a switch in this file
    await expect_rejection(
        switch,
        "AMI at 127.0.0.1:5038 does not accept the user 'hookflash' or its password:"
        " Login: Authentication failed",
    )


async def test_a_password_that_ari_refuses(autojump_clock: MockClock, switch: FakeAsterisk) -> None:
    switch.password, switch.ami_password = "another", SECRET
    await expect_rejection(
        switch, "ARI at 127.0.0.1:8088 does not accept the user 'hookflash' or its password"
    )


async def expect_rejection(switch: FakeAsterisk, why: str) -> None:
    with capture_logs() as logs, pytest.raises(Rejected) as rejected:
        async with opened(Asterisk(password=SECRET)):
            raise AssertionError("let in")
    assert str(rejected.value) == why
    assert SECRET not in str(logs)
    assert [len(times) for times in switch.tried_s.values()] in ([1, 1], [0, 1])  # never again


async def test_a_rejection_later_on_is_reported_once_and_outlived(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    async with opened() as client:
        client.news()
        with capture_logs() as logs:
            switch.password = "another"  # noqa: S105 - of a switch in this file
            await switch.close_ari()
            await trio.sleep(600)
            lost, rejected = client.news()
            assert isinstance(lost, SwitchLost)
            assert isinstance(rejected, SwitchLost)
            assert "Login: Authentication failed" in rejected.reason
            assert 8 < len(switch.tried_s[AMI_PORT]) < 20  # not once a second
        rejections = [entry["why"] for entry in logs if entry["event"] == "switch.rejected"]
        assert rejections == [rejected.reason]
        switch.password = ""
        await trio.sleep(62)
        assert client.news() == [FOUND]


async def test_a_frozen_switch_is_lost_within_ten_seconds_and_found_soon(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    async with opened() as client:
        client.news()
        await trio.sleep(100)
        assert client.news() == []  # idle, and alive
        switch.goes_on = trio.Event()
        await trio.sleep(10)
        (lost,) = client.news()
        assert isinstance(lost, SwitchLost)
        assert "no response to" in lost.reason
        assert await client.perform(HangUp(leg="a")) == []
        await trio.sleep(1000)
        switch.goes_on.set()
        await trio.sleep(7)
        assert client.backend.is_up
        client.news()
        await client.perform(HangUp(leg="b"))
    assert switch.orders == ["DELETE channels/b?reason_code=16"]


async def test_a_switch_that_is_slow_is_not_lost(
    autojump_clock: MockClock, switch: FakeAsterisk, nursery: trio.Nursery
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


@pytest.mark.parametrize(
    ("lacks", "what"),
    [
        (
            {"app_stasis.so", "func_timeout.so"},
            "write `load = app_stasis.so`, `load = func_timeout.so` into modules.conf",
        ),
        (set[str](), "write `noload = bridge_native_rtp.so` into modules.conf"),
    ],
)
async def test_what_is_missing_on_the_switch_is_named_with_the_fix(
    autojump_clock: MockClock, switch: FakeAsterisk, lacks: set[str], what: str
) -> None:
    switch.modules = switch.modules - lacks if lacks else switch.modules | {"bridge_native_rtp.so"}
    with pytest.raises(Rejected, match=what):
        async with opened():
            raise AssertionError("let in")


async def test_a_switch_without_our_dialplan(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    switch.values.clear()
    with pytest.raises(Rejected, match=r"no context \[hookflash\]: include what `hookflash aster"):
        async with opened():
            raise AssertionError("let in")


async def test_a_dialplan_of_an_older_version(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    del switch.values["DIALPLAN_EXISTS(hookflash,park,brief)"]
    with pytest.raises(Rejected, match=r"\[hookflash\] .* older hookflash: replace it by what"):
        async with opened():
            raise AssertionError("let in")


async def test_a_manager_user_that_may_not_ask(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    """It is not the dialplan that is missing."""
    switch.replies["Getvar"] = "Permission denied"
    with pytest.raises(Rejected, match=r"may not use Getvar: in manager.conf, give it `write = c"):
        async with opened():
            raise AssertionError("let in")


async def test_a_manager_user_that_may_ask_and_not_move_anybody(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    """`write = reporting`: it would be noticed in the middle of a call."""
    switch.password = SECRET
    switch.replies |= dict.fromkeys(("Redirect", "Setvar"), "Permission denied")
    await expect_rejection(
        switch,
        "the manager user of hookflash on 127.0.0.1 may not use Redirect, Setvar: in manager.conf,"
        " give it `write = call`, then `manager reload`",
    )
    assert switch.orders == []


async def test_an_ari_that_sends_no_events(autojump_clock: MockClock, switch: FakeAsterisk) -> None:
    switch.replies["PUT"] = (403, '{"message":"read only"}')
    with pytest.raises(Rejected, match="ARI sends no events: 403 .*read only"):
        async with opened():
            raise AssertionError("let in")


async def test_what_was_checked_once_is_not_checked_again(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    async with opened() as client:
        switch.modules.clear()
        await switch.close_ari()
        await trio.sleep(1)
        assert client.backend.is_up


async def test_the_password_is_never_shown(autojump_clock: MockClock, switch: FakeAsterisk) -> None:
    switch.password = SECRET
    settings = Asterisk(password=SECRET)
    with capture_logs() as logs:
        async with opened(settings) as client:
            await switch.close_ami()
            await trio.sleep(5)
            assert client.backend.is_up
    assert [entry["event"] for entry in logs if entry["event"].startswith("switch.")] == [
        "switch.connected",
        "switch.disconnected",
        "switch.connected",
    ]
    for shown in (logs, settings, str(settings), client.backend, client.seen, switch.said):
        assert SECRET not in repr(shown)
    assert SECRET not in repr(AriLogin(username="hookflash", password=SECRET))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_on_this_machine_no_password_is_needed(host: str) -> None:
    assert not Asterisk(host=host).password


@pytest.mark.parametrize("host", ["192.0.2.1", "pbx.example", "localhost.example", ""])
def test_another_machine_needs_a_password(host: str) -> None:
    with pytest.raises(InputError, match="needs a password"):
        Asterisk(host=host)
    assert Asterisk(host=host, password=SECRET).host == host


@pytest.mark.parametrize("secret", ["a\r\nAction: Command", "a\r", "\0", "a\tb"])
def test_a_login_with_a_control_character_is_refused(secret: str) -> None:
    for make in (lambda: Asterisk(password=secret), lambda: Asterisk(username=secret)):
        with pytest.raises(InputError, match="control character") as refused:
            make()
        assert secret not in str(refused.value)


@pytest.mark.parametrize("name", ["", "a\nb", "a b", "a]", "a,b", "${x}", "x" * 80])
def test_names_that_a_dialplan_can_not_have(name: str) -> None:
    for make in (
        lambda: Asterisk(context=name),
        lambda: Asterisk(application=name),
        lambda: Asterisk(account_variable=name),
    ):
        with pytest.raises(InputError, match="is not allowed"):
            make()


# ---------------------------------------------------------------- commands


async def test_commands_for_one_leg_go_in_order_and_others_overtake(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    two_who_are_parked(switch)
    switch.replies["POST channels/a/moh"] = None
    async with opened() as client:
        client.news()
        hold = HoldWithMusic(leg="a", music=Music())
        assert await client.perform(hold, Park(leg="a"), HangUp(leg="b")) == []
        assert sorted(switch.orders) == [
            "DELETE channels/b?reason_code=16",
            "POST channels/a/moh?mohClass=default",
            "Setvar a HOOKFLASH_SOUND=music music:default",
        ]


async def test_a_command_waits_for_all_that_concern_its_legs(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    two_who_are_parked(switch)
    async with opened() as client:
        await client.perform(
            HoldWithMusic(leg="a", music=Music()),
            PlayTone(leg="b", tone=BEEP),
            JOIN,
            HangUp(leg="b"),
        )
    *before, join, hang_up = switch.orders
    assert (join, hang_up) == ("Redirect a join", "DELETE channels/b?reason_code=16")
    assert "DELETE channels/a/moh" in before
    assert any(order.startswith("DELETE playbacks/b-s1-") for order in before)


async def test_what_plays_is_noted_on_the_leg_first(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    two_who_are_parked(switch)
    async with opened() as client:
        await client.perform(
            HoldWithMusic(leg="a", music=Music("jazz")), PlayTone(leg="a", tone=BEEP)
        )
    note, music, stop, other_note, tone = switch.orders
    assert note == "Setvar a HOOKFLASH_SOUND=music music:jazz"
    assert music == "POST channels/a/moh?mohClass=jazz"
    assert stop == "DELETE channels/a/moh"
    name = other_note.removeprefix("Setvar a HOOKFLASH_SOUND=")
    assert tone == f'POST channels/a/play/{name} {{"media":["tone:!440/200"]}}'


async def test_a_tone_that_has_been_played_often_enough_is_ended(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    """It falls silent by itself, but does not end."""
    two_who_are_parked(switch)
    async with opened() as client:
        client.news()
        for stays in (True, False):
            await client.perform(PlayTone(leg="a", tone=attrs.evolve(BEEP, times=10)))
            name = switch.orders[-1].split()[1].rpartition("/")[2]
            media = f"tone:{','.join(['!440/200'] * 10)}"
            playback = {"id": name, "media_uri": media, "target_uri": "channel:a"}
            await switch.tell(event("PlaybackStarted", playback=playback))
            assert isinstance(client.news()[0], SoundStarted)
            if not stays:
                await client.perform(HoldWithMusic(leg="a", music=Music()))
            before = switch.said.count(f"DELETE playbacks/{name}")
            await trio.sleep(1.9)
            assert switch.said.count(f"DELETE playbacks/{name}") == before
            await trio.sleep(0.2)
            assert switch.said.count(f"DELETE playbacks/{name}") == before + stays
        endless = {**playback, "media_uri": "tone:440/200"}
        await switch.tell(event("PlaybackStarted", playback=endless))
        music = {**playback, "media_uri": "sound:hello"}
        await switch.tell(event("PlaybackStarted", playback=music))
        said = len(switch.said)
        await trio.sleep(10)
        assert len(switch.said) == said


async def test_a_tone_whose_end_is_never_answered(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    two_who_are_parked(switch)
    async with opened() as client:
        await client.perform(PlayTone(leg="a", tone=BEEP))
        name = switch.orders[-1].split()[1].rpartition("/")[2]
        playback = {"id": name, "media_uri": "tone:!440/200", "target_uri": "channel:a"}
        switch.replies["DELETE"] = None
        await switch.tell(event("PlaybackStarted", playback=playback))
        client.news()
        await trio.sleep(5.3)
        (lost,) = client.news()
        assert isinstance(lost, SwitchLost)
        assert "no response to DELETE" in lost.reason


async def test_a_leg_on_which_nothing_can_be_noted_plays_nothing(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    switch.replies["Setvar a"] = "No such channel"
    command = PlayTone(leg="a", tone=BEEP)
    async with opened() as client:
        client.news()
        failed = CommandFailed(command=command, reason="No such channel")
        assert await client.perform(command) == [failed]
    assert not any(line.startswith("POST channels") for line in switch.said)


async def test_the_first_refusal_is_told_and_the_rest_is_not_done(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    two_who_are_parked(switch)
    switch.replies = {
        "Setvar b HOOKFLASH_RESCUE": "the first",
        "Setvar b HOOKFLASH_ARMED": "the second",
    }
    async with opened() as client:
        client.news()
        news = await client.perform(Park(leg="b"))
    assert news == [CommandFailed(command=Park(leg="b"), reason="the first")]
    assert not any(line.startswith("Redirect") for line in switch.orders)


async def test_a_music_class_that_is_not_there_is_warned_of_once(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    """The switch plays its default music in its place, and says nothing."""
    two_who_are_parked(switch)
    jazz = HoldWithMusic(leg="a", music=Music("jazz"))
    async with opened() as client:
        client.news()
        with capture_logs() as logs:
            for _ in range(2):
                await client.perform(jazz)
                await switch.tell_ami("MusicOnHoldStart", "a", Class="default")
        assert client.news()[0] == SoundStarted(leg="a", sound=Music("default"))
        (warning,) = logs
        assert (warning["log_level"], warning["music"], warning["plays"]) == (
            "warning",
            "jazz",
            "default",
        )
        with capture_logs() as logs:
            await client.perform(HoldWithMusic(leg="a", music=Music()))
            await client.perform(HoldWithMusic(leg="a", music=Music("blues")))
            await switch.tell_ami("MusicOnHoldStart", "a", Class="default")  # of the first
            await switch.tell_ami("MusicOnHoldStart", "a", Class="Blues")
            await switch.tell_ami("MusicOnHoldStart", "a", Class="other")  # another program's
            await switch.tell_ami("MusicOnHoldStart", "b", Class="other")
        assert logs == []


async def test_a_refusal_of_ari_is_told_with_its_status(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    two_who_are_parked(switch)
    switch.replies["POST channels/a/moh"] = (409, '{"message":"Channel not in Stasis"}')
    hold = HoldWithMusic(leg="a", music=Music())
    async with opened() as client:
        client.news()
        (failed,) = await client.perform(hold)
    assert failed == CommandFailed(command=hold, reason='409 {"message":"Channel not in Stasis"}')


async def test_what_may_fail_fails_in_silence(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    switch.replies = {"Setvar": "No such channel", "DELETE": (404, "{}")}
    async with opened() as client:
        client.news()
        assert await client.perform(Forget(legs=("a", "b")), PassKeys(leg="a")) == []
    assert switch.said[-1].startswith("Setvar b ")


async def test_a_hang_up_of_nobody_is_a_hang_up(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    async with opened() as client:
        client.news()
        news = await client.perform(HangUp(leg="ghost"))
        assert news == [LegHungUp(leg="ghost", cause="INVALID_CALL_REFERENCE")]
        switch.replies["DELETE"] = (500, "{}")
        (failed,) = await client.perform(HangUp(leg="ghost"))
        assert failed == CommandFailed(command=HangUp(leg="ghost"), reason="500 {}")


async def test_a_dial_that_is_refused_is_a_leg_that_ended(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    switch.replies["POST channels"] = (400, '{"message":"Invalid endpoint"}')
    switch.replies["GET channels/t"] = (404, '{"message":"Channel not found"}')
    async with opened() as client:
        client.news()
        ended = LegHungUp(leg="t", cause="INVALID_NUMBER_FORMAT")
        assert await client.perform(DIAL) == [ended]
        said = len(switch.said)
        assert await client.perform(attrs.evolve(DIAL, target="1,2")) == [ended]
    assert len(switch.said) == said


async def test_a_dial_under_an_id_that_is_in_use_ends_nobody(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    two_who_talk(switch)
    async with opened() as client:
        client.news()
        for target in ("1003", "1,2"):
            dial = attrs.evolve(DIAL, leg="b", target=target)
            (failed,) = await client.perform(dial)
            assert isinstance(failed, CommandFailed)
            assert failed.command == dial
        assert switch.orders == []
        # nobody has told of this one; that it is there is asked when the call is refused
        switch.replies["POST channels"] = (409, '{"message":"exists"}')
        switch.replies["GET channels/t"] = (200, "{}")
        assert await client.perform(DIAL) == [CommandFailed(command=DIAL, reason=ID_IN_USE)]
        switch.replies["GET channels/t"] = (404, "{}")
        ended = LegHungUp(leg="t", cause="INVALID_NUMBER_FORMAT")
        assert await client.perform(DIAL) == [ended]


async def test_a_dial_shows_on_whose_behalf_it_is_and_tells_whom_it_calls(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    async with opened() as client:
        await switch.tell(event("ChannelCreated", channel("a", state="Ring")))
        client.news()
        assert await client.perform(DIAL) == []
        (order,) = switch.orders
        body = json.loads(order.removeprefix("POST channels "))
        assert (body["channelId"], body["otherChannelId"]) == ("t", "t.far")
        assert (body["callerId"], body["extension"]) == ('"1001" <1001>', "park")
        target = channel("t", state="Down", name="Local/1003@default-00000001;1")
        await switch.tell(event("ChannelCreated", target), event("Dial", peer=target))
        (begun,) = client.news()
        assert begun == LegCreated(leg="t", number="1003", direction=Direction.OUTBOUND)
        await switch.tell(event("ChannelStateChange", {**target, "state": "Up"}))
        await switch.tell(event("ChannelDestroyed", target, cause=16))
        assert client.news() == [LegAnswered(leg="t"), LegHungUp(leg="t")]
        await switch.tell(event("ChannelDestroyed", channel("a"), cause=16))
        await client.perform(DIAL)  # who has left is forgotten
        assert json.loads(switch.orders[-1].removeprefix("POST channels "))["callerId"] == '"" <0>'


async def test_a_release_is_told_by_its_answer(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    release = Release(first="a", second="b")
    two_who_talk(switch)
    names = [switch.channels[leg]["name"] for leg in ("a", "b")]
    async with opened() as client:
        client.news()
        assert await client.perform(release) == [CommandFailed(command=release, reason=TOO_LATE)]
        switch.values |= {"a BRIDGEPEER": names[1], "b BRIDGEPEER": names[0]}
        assert await client.perform(release) == [LegsReleased(first="a", second="b")]
        switch.replies["Setvar b"] = "No such channel"
        news = await client.perform(release)
    assert news == [CommandFailed(command=release, reason="No such channel")]


async def test_a_join_of_legs_that_are_not_known_is_refused(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    async with opened() as client:
        client.news()
        with capture_logs() as logs:
            (failed,) = await client.perform(JOIN)
    assert failed == CommandFailed(command=JOIN, reason="there is no leg b")
    assert [entry["log_level"] for entry in logs] == ["warning"]


@pytest.mark.parametrize(
    ("leg", "peer", "exten", "joins"),
    [
        ("a", "PJSIP/b-00000001", "join", 0),  # it is joining them already
        ("b", "PJSIP/a-00000001", "join", 0),  # by the other's doing
        ("a", "PJSIP/b-00000001", "park", 1),  # it fell through
        ("a", "PJSIP/c-00000001", "join", 1),  # it is joining another
    ],
)
async def test_an_order_that_is_repeated_is_carried_out_once(  # noqa: PLR0917 - pytest names them
    autojump_clock: MockClock, switch: FakeAsterisk, leg: str, peer: str, exten: str, joins: int
) -> None:
    two_who_are_parked(switch)
    switch.values |= {f"{leg} EXTEN": exten, f"{leg} HOOKFLASH_PEER": peer}
    async with opened() as client:
        await client.perform(attrs.evolve(JOIN, attempt=2, repeated=True))
    assert switch.said.count("Redirect a join") == joins
    assert not any(line.startswith("Setvar") for line in switch.orders) or joins


@pytest.mark.parametrize(
    ("exten", "news", "moved"),
    [
        ("1002", [LegsSeparated(first="a", second="b"), LegsJoined(first="a", second="b")], 0),
        ("park", [], 1),  # it was sent away
    ],
)
async def test_two_who_talk_already_are_not_joined_again(
    autojump_clock: MockClock,
    switch: FakeAsterisk,
    exten: str,
    news: list[CallEvent],
    moved: int,
) -> None:
    two_who_talk(switch)
    name = switch.channels["b"]["name"]
    switch.values |= {"a BRIDGEPEER": name, "a EXTEN": exten}
    async with opened() as client:
        client.news()
        assert await client.perform(JOIN) == news
    assert switch.said.count("Redirect a join") == moved
    # their orders have changed for all that
    assert f"Setvar a HOOKFLASH_PEER={name}" in switch.said


async def test_a_split_that_is_repeated_parts_only_who_is_together(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    two_who_talk(switch)
    again = Split(first="a", second="b", repeated=True)
    async with opened() as client:
        await client.perform(again)
        await trio.sleep(0.06)  # the order that it repeats may be on its way
        assert switch.orders == []
        switch.values["a BRIDGEPEER"] = "PJSIP/b-00000001"
        await client.perform(again)
        await trio.sleep(0.06)  # the order that it repeats may be on its way
        assert switch.orders[-1] == "Redirect a park b"
        switch.replies["Getvar a"] = "No such channel"  # no proof of anything
        switch.said.clear()
        await client.perform(again)
        await trio.sleep(0.06)  # the order that it repeats may be on its way
        assert switch.orders[-1] == "Redirect a park b"


async def test_a_join_that_finds_nobody_has_failed(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    two_who_are_parked(switch)
    async with opened() as client:
        client.news()
        assert await client.perform(JOIN) == []
        await switch.tell(event("StasisEnd", parked("a")))
        await switch.tell(event("StasisStart", parked("a", said="unjoined")))
        failed, again = client.news()
        assert isinstance(failed, CommandFailed)
        assert (failed.command, "the other leg is gone" in failed.reason) == (JOIN, True)
        assert again == LegParked(leg="a")
        await switch.tell(event("StasisStart", parked("a", said="unjoined")))
        assert client.news() == [LegParked(leg="a")]  # it is told once


async def test_how_long_it_took_is_told(autojump_clock: MockClock, switch: FakeAsterisk) -> None:
    told: list[tuple[SwitchCommand, float]] = []
    async with opened() as client:
        client.backend.on_answer = lambda command, took_s: told.append((command, took_s))
        await client.perform(HangUp(leg="a"), Look(legs=("a",)), PassKeys(leg="a"))
        switch.replies["DELETE"] = None
        await client.perform(HangUp(leg="b"))
        await trio.sleep(10)
    assert told == [(HangUp(leg="a"), 0.0), (Look(legs=("a",)), 0.0)]  # that which was answered


async def test_commands_that_this_switch_does_not_need_are_left_out(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    async with opened() as client:
        said = len(switch.said)
        assert not client.backend.capabilities.withholds_keys
        await client.perform(PassKeys(leg="a", digits="1"))
        assert len(switch.said) == said


@pytest.mark.parametrize("leg", ["a\r\nAction: Command", "${SHELL(ls)}", "a b", "a/../b", ""])
async def test_what_is_not_allowed_is_never_sent(
    autojump_clock: MockClock, switch: FakeAsterisk, leg: str
) -> None:
    async with opened() as client:
        client.news()
        with capture_logs() as logs:
            (failed,) = await client.perform(Park(leg=leg))
        assert isinstance(failed, CommandFailed)
        assert "is not allowed" in failed.reason
    assert switch.orders == []
    assert [entry["log_level"] for entry in logs] == ["warning"]


# ------------------------------------------------------------- what lives


async def test_the_snapshot_says_what_lives_and_so_do_the_first_facts(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    two_who_talk(switch)
    ringback = Tone((Burst((440, 480), 2000), Burst((), 4000)))
    switch.channels["c"] = parked(
        "c",
        HOOKFLASH_SOUND=f"c-s1-00000000 {ringback}",
        HOOKFLASH_TRANSFER="x1",
        HOOKFLASH_ROLE="transferor",
        HOOKFLASH_KIND="attended",
    )
    switch.channels["d"] = channel("d", state="Ring", HOOKFLASH_ACCOUNT="acme")
    inbound, outbound = Direction.INBOUND, Direction.OUTBOUND
    expected = (
        LegSnapshot(leg="a", number="1001", direction=inbound, answered=True, peer="b"),
        LegSnapshot(leg="b", number="1002", direction=outbound, answered=True, peer="a"),
        LegSnapshot(
            leg="c",
            number="1001",
            direction=inbound,
            answered=True,
            parked=True,
            hears=ringback,
            transfer="x1",
            role="transferor",
            kind="attended",
        ),
        LegSnapshot(leg="d", number="1001", direction=inbound, account="acme"),
    )
    async with opened() as client:
        assert await client.backend.snapshot() == expected
        assert client.news() == [
            LegCreated(leg="a", number="1001"),
            LegAnswered(leg="a"),
            LegCreated(leg="b", number="1002", direction=outbound),
            LegAnswered(leg="b"),
            LegCreated(leg="c", number="1001"),
            LegAnswered(leg="c"),
            LegCreated(leg="d", number="1001", account="acme"),
            LegsJoined(first="a", second="b"),
            LegParked(leg="c"),
            SoundStarted(leg="c", sound=ringback),
            FOUND,
        ]
        # what the controller before us has begun is stopped by its name
        await client.perform(PlayTone(leg="c", tone=BEEP))
        assert switch.orders[0] == "DELETE playbacks/c-s1-00000000"


async def test_who_is_on_an_outside_line_is_asked_of_legs_that_are_older_than_we_are(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    two_who_talk(switch)
    switch.channels["c"] = channel("c", name="PJSIP/b-00000002")
    switch.channels["l"] = channel("l", name="Local/1@default-00000003;1")
    switch.channels["z"] = channel("z", name="AsyncGoto/PJSIP/a-00000004")
    switch.channels["i"] = channel("i", name="IAX2/b-00000005")
    switch.values["PJSIP_ENDPOINT(b,context)"] = "from-trunk"
    async with opened() as client:
        legs = {leg.leg: leg.outside for leg in await client.backend.snapshot()}
        assert legs == {"a": False, "b": True, "c": True, "l": False, "i": True}
    asked = [line for line in switch.said if "PJSIP_ENDPOINT" in line]
    assert sorted(asked) == [f"Getvar PJSIP_ENDPOINT({one},context)" for one in "ab"]


async def test_legs_that_wait_for_a_controller_are_handed_in(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    switch.channels = {"a": parked("a"), "b": parked("b", app="Wait"), "c": channel("c")}
    switch.happens["Redirect b park"] = lambda: switch.channels.update(b=parked("b"))
    async with opened() as client:
        assert LegParked(leg="b") in client.news()
    assert switch.orders == ["Redirect b park"]


async def test_what_happens_during_the_look_is_told_after_it(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    """A leg that ends after it was seen: its end stays its last fact."""
    two_who_talk(switch)

    def meanwhile() -> None:
        switch.nursery.start_soon(
            switch.tell,
            event("ChannelDestroyed", channel("a"), cause=16),
            event("ChannelCreated", channel("c", state="Ring")),
        )

    switch.happens["Getvar PJSIP_ENDPOINT"] = meanwhile
    async with opened() as client:
        news = client.news()
    assert [one for one in news if getattr(one, "leg", "") == "a"][-1] == LegHungUp(leg="a")
    after = news[news.index(FOUND) + 1 :]
    assert LegHungUp(leg="a") in after
    assert LegCreated(leg="c", number="1001") in after


async def test_what_is_behind_a_call_through_the_dialplan_is_not_told(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    near, far = (f"Local/1003@default-00000001;{half}" for half in "12")
    switch.channels = {
        "phone": channel("phone", number="1003", app="AppDial"),
        "t.far": channel("t.far", name=far),
        "t": parked("t", name=near),
    }
    switch.bridges = {"bridge": ["phone", "t.far"]}
    async with opened() as client:
        (target,) = await client.backend.snapshot()
        assert (target.leg, target.number, target.parked) == ("t", "1003", True)
        news = client.news()
        assert {getattr(one, "leg", "t") for one in news} == {"t"}


@pytest.mark.parametrize("answer", ["", "{}", '[{"name":1}]', "["])
async def test_a_snapshot_that_cannot_be_read(
    autojump_clock: MockClock, switch: FakeAsterisk, answer: str
) -> None:
    async with opened() as client:
        switch.replies["GET channels"] = (200, answer)
        with pytest.raises(BackendClosed, match="a response can't be read"):
            await client.backend.snapshot()
        assert client.backend.is_up


async def test_a_switch_of_which_nothing_can_be_learned_is_tried_again(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    switch.replies["GET bridges"] = (500, "")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fix_after, switch, 30)
        async with opened() as client:
            assert client.news() == [FOUND]
    assert 6 < len(switch.sockets_s) < 14


async def fix_after(switch: FakeAsterisk, delay_s: float) -> None:
    await trio.sleep(delay_s)
    switch.replies.clear()
    switch.status = None
    switch.tls.clear()


# --------------------------------------------------------------------- being asked


async def test_a_question_is_answered_with_whoever_lives_and_whom_they_talk_with(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    async with opened() as client:
        client.news()
        two_who_talk(switch)
        switch.channels |= {"c": parked("c"), "d": channel("d")}
        look = Look(legs=("a", "c", "ghost"), transfer="x", number=7)
        (seen,) = await client.perform(look)
        assert isinstance(seen, LegsSeen)
        assert seen.look == look
        assert [(leg.leg, leg.peer) for leg in seen.living] == [
            ("a", "b"),
            ("b", "a"),
            ("c", None),
        ]
        # what is late of a leg that is gone is no news
        await switch.tell(event("ChannelDestroyed", channel("ghost"), cause=16))
        assert client.news() == []


async def test_an_answer_comes_behind_what_the_switch_has_said_before(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    async with opened() as client:
        client.news()

        def before() -> None:
            switch.nursery.start_soon(switch.tell, event("StasisStart", parked("a")))

        switch.happens["POST events/user"] = before
        switch.channels["a"] = parked("a")
        *facts, seen = await client.perform(Look(legs=("a",)))
        assert isinstance(seen, LegsSeen)
        assert facts[-1] == LegParked(leg="a")
        begin = switch.said.index("POST events/user/hookflash-1?application=hookflash")
        assert switch.said[begin + 1 : begin + 3] == ["GET channels", "GET bridges"]


async def test_a_look_is_repeated_if_something_is_heard_of_the_leg_meanwhile(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    """A list may be older than the events that come while it is on its way."""
    two_who_are_parked(switch)
    async with opened() as client:
        client.news()

        def meanwhile() -> None:
            switch.nursery.start_soon(switch.tell, *they_join())
            switch.happens["GET channels"] = lambda: switch.bridges.update(x=["a", "b"])

        switch.happens["GET channels"] = meanwhile
        switch.said.clear()
        news = await client.perform(Look(legs=("a",)))
        assert news[0] == LegsJoined(first="b", second="a")
        (seen,) = news[1:]
        assert isinstance(seen, LegsSeen)
        assert {leg.leg: leg.peer for leg in seen.living} == {"a": "b", "b": "a"}
        assert switch.said.count("GET channels") == 2


def they_join() -> list[Json]:
    bridge = {"id": "x"}
    return [
        event("ChannelEnteredBridge", channel("b"), bridge=bridge),
        event("ChannelEnteredBridge", channel("a"), bridge=bridge),
    ]


async def test_a_leg_that_ends_while_it_is_listed_does_not_live_on(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    two_who_are_parked(switch)
    async with opened() as client:
        client.news()

        def meanwhile() -> None:
            gone = event("ChannelDestroyed", channel("a"), cause=16)
            switch.nursery.start_soon(switch.tell, gone)

        switch.happens["GET bridges"] = meanwhile
        look = Look(legs=("a",))
        assert await client.perform(look) == [LegHungUp(leg="a"), LegsSeen(look=look, living=())]


@pytest.mark.parametrize("command", [Look(legs=("a",)), HangUp(leg="a")])
async def test_an_answer_that_overtakes_the_end_of_a_leg_waits_for_it(
    autojump_clock: MockClock, switch: FakeAsterisk, command: Look | HangUp
) -> None:
    """Else the end would be told without its cause, or never: the leg would be there for ever."""
    two_who_are_parked(switch)
    switch.replies["DELETE channels/a"] = (404, "{}")
    async with opened() as client:
        del switch.channels["a"]
        client.news()
        assert await client.perform(command) == []
        await trio.sleep(0.1)
        await switch.tell(event("ChannelDestroyed", channel("a"), cause=17))
        await trio.sleep(0.1)
        ended, seen = client.news()
        assert ended == LegHungUp(leg="a", cause="USER_BUSY")
        assert isinstance(seen, LegsSeen)
        assert seen.living == ()


async def test_an_end_whose_event_is_lost_is_told_once(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    two_who_are_parked(switch)
    async with opened() as client:
        del switch.channels["a"]
        client.news()
        assert await client.perform(Look(legs=("a",))) == []
        await trio.sleep(1)
        ended, seen = client.news()
        assert ended == LegHungUp(leg="a", cause=LOST_TRACK)
        assert isinstance(seen, LegsSeen)
        await switch.tell(event("ChannelDestroyed", channel("a"), cause=17))
        assert client.news() == []


async def test_an_end_that_is_learned_from_the_list_is_told_once(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    """The event of the end may come after the connection is back."""
    two_who_are_parked(switch)
    async with opened() as client:
        client.news()
        del switch.channels["a"]
        client.backend.break_line()
        await trio.sleep(1)
        ended = [one for one in client.news() if getattr(one, "leg", "") == "a"]
        assert ended == [LegHungUp(leg="a", cause=LOST_TRACK)]
        await switch.tell(event("ChannelDestroyed", channel("a"), cause=17))
        assert client.news() == []


async def test_those_who_look_at_the_same_time_share_a_list(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    switch.channels = {leg: parked(leg) for leg in "abcdefgh"}
    async with opened() as client:
        switch.said.clear()
        looks = [Look(legs=(leg,)) for leg in switch.channels]
        news = await client.perform(*looks)
        assert {one.look for one in news if isinstance(one, LegsSeen)} == {*looks}
        assert switch.said.count("GET channels") == 2  # one for the first, one for all others


async def test_more_than_can_be_put_off_is_dropped_and_told_anew(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    def meanwhile() -> None:
        new = [event("ChannelCreated", channel(f"c{n}", state="Ring")) for n in range(9)]
        switch.nursery.start_soon(switch.tell, *new)
        switch.channels = {f"c{n}": channel(f"c{n}", state="Ring") for n in range(9)}

    switch.happens["GET bridges"] = meanwhile
    async with opened(Asterisk(event_buffer=3)) as client:
        assert client.backend.dropped >= 6
        await trio.sleep(3)
        created = {one.leg for one in client.news() if isinstance(one, LegCreated)}
    assert created == {f"c{n}" for n in range(9)}


async def test_who_has_just_been_joined_is_not_parted_at_once(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    two_who_are_parked(switch)
    async with opened() as client:
        await client.backend.perform(JOIN)
        await wait_all_tasks_blocked()
        await switch.tell(*they_join())
        await trio.sleep(0.01)
        await client.perform(Split(first="a", second="b"))
        await trio.sleep(0.03)
        assert "Redirect a park b" not in switch.said
        await trio.sleep(0.02)
        assert "Redirect a park b" in switch.said


async def test_an_answer_about_one_leg_keeps_no_news_of_others_back(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    """The list may say already that two talk of whom the events are still to come."""
    two_who_are_parked(switch)
    switch.channels["c"] = parked("c", number="1003")
    async with opened() as client:
        client.news()
        switch.bridges = {"bridge": ["a", "b"]}
        (seen,) = await client.perform(Look(legs=("c",)))
        assert isinstance(seen, LegsSeen)
        bridge = {"id": "bridge", "channels": ["a", "b"]}
        for leg in ("a", "b"):
            await switch.tell(event("ChannelEnteredBridge", channel(leg), bridge=bridge))
        assert client.news() == [LegsJoined(first="a", second="b")]


async def test_a_barrier_of_somebody_else_is_none_of_ours(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    async with opened() as client:
        client.news()
        await switch.tell(event("ChannelUserevent", eventname="hookflash-1"))
        (seen,) = await client.perform(Look(legs=()))
        assert isinstance(seen, LegsSeen)


async def test_where_events_do_not_come_any_more_the_line_is_cut(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    async with opened() as client:
        client.news()
        switch.replies["POST events"] = (404, "{}")
        assert await client.perform(Look(legs=("a",))) == []
        await trio.sleep(5.05)
        assert client.news() == [SwitchLost(reason="ARI: events no longer come")]
        await trio.sleep(1)
        assert client.news() == [FOUND]


# ------------------------------------------------------------------ taken away


async def test_a_leg_that_somebody_else_takes_out_of_the_park(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    two_who_are_parked(switch)
    async with opened() as client:
        client.news()
        switch.channels["a"] = channel("a", exten="7000", app="Queue")
        await switch.tell(event("StasisEnd", channel("a")), event("StasisEnd", parked("b")))
        await trio.sleep(1)
        assert client.news() == [LegMovedAway(leg="a")]


async def test_a_leg_that_leaves_the_park_by_our_order_is_not_asked(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    two_who_are_parked(switch)
    async with opened() as client:
        await client.perform(JOIN)
        switch.said.clear()
        await switch.tell(event("StasisEnd", parked("a")))
        await trio.sleep(1)
        assert switch.said == []
        bridge = {"id": "bridge", "channels": ["a", "b"]}
        await switch.tell(event("StasisEnd", parked("b")))
        await switch.tell(event("ChannelEnteredBridge", channel("a"), bridge=bridge))
        await switch.tell(event("ChannelEnteredBridge", channel("b"), bridge=bridge))
        await trio.sleep(1)
        assert switch.said == []  # they talk: there is nothing to ask
        assert client.news()[-1] == LegsJoined(first="a", second="b")


async def test_a_leg_that_could_not_be_moved_is_watched_as_before(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    """Of two, none moves if one is gone."""
    two_who_are_parked(switch)
    switch.replies["Redirect a park b"] = "No such channel"
    async with opened() as client:
        await client.perform(Split(first="a", second="b"))
        client.news()
        switch.channels["a"] = channel("a", exten="7000", app="Queue")
        await switch.tell(event("StasisEnd", channel("a")))
        await trio.sleep(1)
        assert client.news() == [LegMovedAway(leg="a")]


async def test_where_a_leg_has_gone_can_not_be_asked(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    two_who_are_parked(switch)
    async with opened() as client:
        client.news()
        switch.replies["GET channels"] = (500, "")
        await switch.tell(event("StasisEnd", channel("a")))
        await trio.sleep(0.06)
        (lost,) = client.news()
        assert isinstance(lost, SwitchLost)
        assert "lists no channels or bridges: 500" in lost.reason


# ------------------------------------------------------------- losing the line


async def test_a_line_that_is_lost_comes_back_and_everything_is_told_anew(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    switch.channels = {"a": channel("a"), "b": channel("b")}
    async with opened() as client:
        client.news()
        await switch.close_ari()
        assert not client.backend.is_up
        assert client.news() == [SwitchLost(reason="ARI: the switch has closed the connection")]
        del switch.channels["a"]
        await trio.sleep(1)
        assert client.backend.is_up
        assert client.news() == [
            LegHungUp(leg="a", cause=LOST_TRACK),
            LegCreated(leg="b", number="1001"),
            LegAnswered(leg="b"),
            FOUND,
        ]
        assert client.backend.reconnects == 1
        assert len(switch.open) == 2


async def test_where_ami_is_lost_ari_is_cut(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    async with opened(Asterisk(name="east")) as client:
        client.news()
        await switch.close_ami()
        why = "ARI: manager interface: the switch has closed the connection"
        assert client.news() == [SwitchLost(switch="east", reason=why)]
        assert not switch.open
        await trio.sleep(1)
        assert client.news() == [SwitchFound(switch="east")]


async def test_a_ghost_is_left_for_another_connection(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    """A WebSocket on which nothing ever comes: without an answer within 0.5 s it is one."""
    async with opened() as client:
        client.news()
        switch.ghosts = 2
        await switch.close_ari()
        began_s = trio.current_time()
        client.news()
        while not client.backend.is_up:
            await trio.sleep(0.01)
        assert trio.current_time() - began_s < 2.5
        await wait_all_tasks_blocked()
        lost, found = client.news()
        assert isinstance(lost, SwitchLost)
        assert found == FOUND
        assert len(switch.open) == 2  # the ghosts are closed
    waits = [later - sooner for sooner, later in pairwise(switch.sockets_s)]
    assert [0.6 <= wait < 1.0 for wait in waits[1:]] == [True, True]


async def test_it_comes_back_with_back_off_and_for_ever(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    async with opened() as client:
        switch.refusals = {ARI_PORT: 10, AMI_PORT: 10}
        await switch.close_ari()
        await trio.sleep(600)
        assert client.backend.is_up
    waits = [later - sooner for sooner, later in pairwise(switch.tried_s[AMI_PORT])]
    assert len(waits) == 21
    assert all(0.1 <= wait <= 5.2 for wait in waits)
    assert 0.4 <= waits[2] <= 0.6  # after the second refusal, and a little jitter
    assert min(waits[-10:]) == pytest.approx(5.0, abs=0.2)
    assert len(set(waits[:6])) == 6


async def test_a_line_that_lived_long_is_tried_soon(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    async with opened() as client:
        for _ in range(10):
            await trio.sleep(60)
            await switch.close_ami()
            await trio.sleep(0.5)
            assert client.backend.is_up
        assert client.backend.reconnects == 10


@pytest.mark.parametrize("status", [404, 500, 503])
async def test_an_ari_that_is_not_ready_is_tried_again(
    autojump_clock: MockClock, switch: FakeAsterisk, status: int
) -> None:
    switch.status = status
    with capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fix_after, switch, 5)
            async with opened() as client:
                assert client.news() == [FOUND]
    assert logs[0]["why"] == f"ARI at 127.0.0.1:8088 answers {status}"


@pytest.mark.parametrize(
    ("stuck", "order"),
    [
        ("DELETE", HangUp(leg="a")),
        ("Setvar", Arm(leg="a", rescue="b")),
        ("GET channels", Look(legs=("a",))),
    ],
)
async def test_a_request_that_hangs_ends_the_line(
    autojump_clock: MockClock, switch: FakeAsterisk, stuck: str, order: SwitchCommand
) -> None:
    two_who_are_parked(switch)
    async with opened(Asterisk(request_timeout_s=3)) as client:
        client.news()
        switch.replies[stuck] = None
        await client.perform(order)
        client.news()
        await trio.sleep(2.9)
        assert client.news() == []
        await trio.sleep(0.15)
        (lost,) = client.news()
        assert isinstance(lost, SwitchLost)
        assert ("no list of" if stuck.startswith("GET") else "no response to") in lost.reason
        switch.replies.clear()
        said = len(switch.said)
        await trio.sleep(2)
        assert client.news()[-1] == FOUND
        # neither repeated nor reported
        assert not any(line.startswith(("DELETE", "Setvar")) for line in switch.said[said:])


async def test_an_ami_that_hangs_is_told_by_its_deadline(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    switch.replies["Challenge"] = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fix_after, switch, 12)
        async with opened() as client:
            assert client.news() == [FOUND]
    assert len(switch.tried_s[AMI_PORT]) == 4


async def test_a_connection_that_is_never_made_is_given_up(
    autojump_clock: MockClock,
    switch: FakeAsterisk,
    network: FakeNetwork,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def hang(host: str, port: int) -> trio.abc.Stream:
        if port == AMI_PORT:
            return await network.connect(host, port)
        monkeypatch.setattr(trio, "open_tcp_stream", network.connect)
        await trio.sleep_forever()
        raise AssertionError

    monkeypatch.setattr(trio, "open_tcp_stream", hang)
    with capture_logs() as logs:
        async with opened(Asterisk(request_timeout_s=4)) as client:
            assert client.news() == [FOUND]
            assert 4 < trio.current_time() < 5
    assert logs[0]["why"] == "ARI at 127.0.0.1:8088 can't be reached: no answer in time"


async def test_an_ari_that_takes_the_connection_and_says_nothing(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    switch.mute = True
    with capture_logs() as logs:
        async with opened(Asterisk(request_timeout_s=4)) as client:
            assert client.news() == [FOUND]
    assert logs[0]["why"] == "ARI at 127.0.0.1:8088 does not answer"


async def test_another_controller_takes_the_application_and_leaves(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    """It is not taken back: the two would take it from each other for ever."""
    async with opened() as client:
        client.news()
        switch.is_taken = True
        await switch.tell(event("ApplicationReplaced"))
        await trio.sleep(300)
        (lost,) = client.news()
        assert isinstance(lost, SwitchLost)
        assert "another controller has registered with 127.0.0.1 as 'hookflash'" in lost.reason
        assert len(switch.sockets_s) == 1
        switch.is_taken = False
        await trio.sleep(62)
        assert client.news() == [FOUND]


async def test_another_controller_takes_the_application_while_it_is_being_greeted(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    def replace() -> None:
        switch.nursery.start_soon(switch.tell, event("ApplicationReplaced"))

    switch.happens["GET channels"] = replace
    with pytest.raises(Rejected, match="another controller"):
        async with opened():
            await trio.sleep(60)


async def test_garbage_ends_the_line(autojump_clock: MockClock, switch: FakeAsterisk) -> None:
    async with opened() as client:
        client.news()
        assert switch.socket is not None
        await switch.socket.send_message("{]")
        await wait_all_tasks_blocked()
        (lost,) = client.news()
        assert isinstance(lost, SwitchLost)
        assert "a message can't be read" in lost.reason
        await trio.sleep(1)
        assert client.news() == [FOUND]
        await switch.send_ami(b"x" * 2_000_000)
        (lost,) = client.news()
        assert isinstance(lost, SwitchLost)
        assert "a message is too long" in lost.reason


async def test_what_means_nothing_does_not_matter(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    async with opened() as client:
        client.news()
        await switch.tell({"type": "RESTResponse", "request_id": "stranger", "status_code": 200})
        await switch.tell({"type": "Novelty"}, {}, event("StasisEnd"), event("StasisStart"))
        await switch.tell_ami("Newexten", "a")
        await switch.tell_ami("MusicOnHoldStart", "nobody", Class="default")
        assert client.news() == []
        assert client.backend.is_up


async def test_music_is_told_by_ami(autojump_clock: MockClock, switch: FakeAsterisk) -> None:
    two_who_are_parked(switch)
    async with opened() as client:
        client.news()
        await switch.tell_ami("MusicOnHoldStart", "a", Class="jazz")
        assert client.news() == [SoundStarted(leg="a", sound=Music("jazz"))]


async def test_whoever_waits_for_an_answer_is_told_that_the_line_died(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    async with opened() as client, trio.open_nursery() as nursery:
        switch.replies["GET channels"] = None
        why: list[str] = []
        for _ in range(3):
            nursery.start_soon(ask, client.backend, why)
        await wait_all_tasks_blocked()
        began = trio.current_time()
        await switch.close_ari()
        assert why == ["ARI: the switch has closed the connection"] * 3
        assert trio.current_time() == began
        switch.replies.clear()


async def ask(backend: AsteriskBackend, why: list[str]) -> None:
    try:
        await backend.snapshot()
    except BackendClosed as closed:
        why.append(str(closed))


async def test_who_stops_waiting_does_not_mix_up_the_answers(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    switch.channels = {"a": channel("a")}
    async with opened() as client:
        with trio.CancelScope() as impatient:
            impatient.cancel()
            await client.backend.snapshot()
        assert [leg.leg for leg in await client.backend.snapshot()] == ["a"]


async def test_commands_are_dropped_while_the_line_is_down(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    async with opened() as client:
        switch.refusals[AMI_PORT] = 3
        await switch.close_ari()
        client.news()
        assert await client.perform(HangUp(leg="a"), DIAL) == []
        with pytest.raises(BackendClosed, match="not connected"):
            await client.backend.snapshot()
        client.backend.break_line()  # there is none
        await trio.sleep(10)
        unreachable = "manager interface 127.0.0.1:5038 can't be reached: connection refused"
        assert client.news() == [SwitchLost(reason=unreachable), FOUND]
        await client.perform(HangUp(leg="b"))
    assert switch.orders == ["DELETE channels/b?reason_code=16"]


async def test_commands_may_be_given_at_any_moment_of_a_lines_death(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    async with opened() as client:
        for delay in range(12):
            client.backend.break_line()
            for _ in range(delay):
                await trio.lowlevel.checkpoint()
            await client.backend.perform(HangUp(leg="a"))
            await trio.sleep(60)
            assert client.backend.is_up


async def test_orders_that_are_in_flight_do_not_hold_up_those_of_the_next_line(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    two_who_are_parked(switch)
    async with opened() as client:
        switch.replies["POST channels/a/moh"] = None
        await client.perform(HoldWithMusic(leg="a", music=Music()), Park(leg="a"))
        await switch.close_ari()
        await trio.sleep(1)
        switch.replies.clear()
        switch.said.clear()
        await client.perform(Park(leg="a"))
        assert switch.orders[-1] == "Redirect a park"


async def test_the_line_can_be_broken_from_here(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    async with opened(Asterisk(name="east")) as client:
        assert client.news() == [SwitchFound(switch="east")]
        client.backend.break_line()
        await wait_all_tasks_blocked()
        assert client.news() == [SwitchLost(switch="east", reason="ARI: the line was cut")]
        await trio.sleep(1)
        assert client.news() == [SwitchFound(switch="east")]


async def test_after_the_end_there_is_nothing(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    async with opened() as client:
        pass
    with pytest.raises(BackendClosed, match="closed"):
        await client.backend.perform(HangUp(leg="a"))
    with pytest.raises(BackendClosed, match="not connected"):
        await client.backend.snapshot()
    assert [happened async for happened in client.backend.events()] == []


async def test_an_error_of_whoever_uses_it_ends_everything(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(ZeroDivisionError)):
        async with open_asterisk(Asterisk()):
            raise ZeroDivisionError


# ------------------------------------------------------------------ overflow


async def test_when_nobody_takes_events_they_are_dropped_and_told_anew(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    switch.channels = {"a": channel("a")}
    async with open_asterisk(Asterisk(event_buffer=5)) as backend:
        await wait_all_tasks_blocked()
        with capture_logs() as logs:
            for number in range(10):
                await switch.tell(event("ChannelCreated", channel(f"new{number}", state="Ring")))
            await switch.tell(event("ChannelDestroyed", channel("a"), cause=16))
        assert backend.dropped == 9  # three facts were in it already
        assert [entry["log_level"] for entry in logs] == ["error"]
        switch.channels = {"new1": channel("new1"), "new9": channel("new9")}
        await backend.perform(HangUp(leg="new9"))  # commands go on meanwhile
        await trio.sleep(10)
        assert switch.orders == ["DELETE channels/new9?reason_code=16"]
        client = Client(backend, [])
        async with trio.open_nursery() as taking:
            taking.start_soon(take, client)
            await wait_all_tasks_blocked()
            assert client.news()[-1] == LegCreated(leg="new1", number="1001")
            await trio.sleep(5)
            news = client.news()
            assert news[0] == LegHungUp(leg="a", cause=LOST_TRACK)
            assert news[-3:] == [
                LegCreated(leg="new9", number="1001"),
                LegAnswered(leg="new9"),
                FOUND,
            ]
            await switch.tell(event("ChannelDestroyed", channel("new9"), cause=16))
            assert client.news() == [LegHungUp(leg="new9")]
            taking.cancel_scope.cancel()


async def test_more_legs_than_the_buffer_holds(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    """Who opens a backend can't take its events before it is open."""
    switch.channels = {f"leg{number}": channel(f"leg{number}") for number in range(10)}
    async with opened(Asterisk(event_buffer=3)) as client:
        await trio.sleep(5)
        news = client.news()
        assert sum(isinstance(one, LegAnswered) for one in news) >= 10
        assert FOUND in news


# ------------------------------------------------------------- several, and TLS


async def test_several_at_once(
    autojump_clock: MockClock, network: FakeNetwork, nursery: trio.Nursery
) -> None:
    hosts = ["127.0.0.1", "127.0.0.2"]
    network.switches = {host: FakeAsterisk(nursery) for host in hosts}
    first, second = network.switches.values()
    settings = [Asterisk(host=host, name=host[-1]) for host in hosts]
    async with opened(settings[0]) as one, opened(settings[1]) as two:
        one.news()
        two.news()
        await second.close_ami()
        await first.tell(event("ChannelCreated", channel("a", state="Ring")))
        assert one.news() == [LegCreated(leg="a", number="1001")]
        (lost,) = two.news()
        assert isinstance(lost, SwitchLost)
        assert lost.switch == "2"
        assert [client.backend.is_up for client in (one, two)] == [True, False]
    nursery.cancel_scope.cancel()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def far_away(tls: ssl.SSLContext) -> Asterisk:
    return Asterisk(host="pbx.example", password=SECRET, tls=tls)


@pytest.fixture
def remote(network: FakeNetwork, nursery: trio.Nursery) -> Iterator[FakeAsterisk]:
    network.switches["pbx.example"] = switch = FakeAsterisk(nursery, SECRET)
    yield switch
    nursery.cancel_scope.cancel()


async def test_over_tls(
    autojump_clock: MockClock, remote: FakeAsterisk, authority: trustme.CA
) -> None:
    remote.tls = dict.fromkeys((ARI_PORT, AMI_PORT), showing(authority, "pbx.example"))
    async with opened(far_away(trusting(authority))) as client:
        await remote.tell(event("ChannelCreated", channel("a", state="Ring")))
        assert client.news() == [FOUND, LegCreated(leg="a", number="1001")]
        await remote.close_ami()
        await trio.sleep(1)
        assert client.backend.is_up
        assert len(remote.open) == 2


@pytest.mark.parametrize("door", [ARI_PORT, AMI_PORT])
@pytest.mark.parametrize(
    ("host", "ours", "why"),
    [("pbx.example", False, "unable to get local issuer"), ("other.example", True, "mismatch")],
)
async def test_a_certificate_that_is_not_trusted(  # noqa: PLR0917 - pytest names them
    autojump_clock: MockClock,
    remote: FakeAsterisk,
    authority: trustme.CA,
    door: int,
    host: str,
    ours: bool,
    why: str,
) -> None:
    remote.tls = dict.fromkeys((ARI_PORT, AMI_PORT), showing(authority, "pbx.example"))
    remote.tls[door] = showing(authority if ours else trustme.CA(), host)
    with pytest.raises(Rejected, match=f"pbx.example:{door} is not trusted: .*{why}"):
        async with opened(far_away(trusting(authority))):
            raise AssertionError("let in")
    assert len(remote.tried_s[door]) == 1
    assert not remote.open


async def test_a_switch_that_does_not_speak_tls_is_tried_again(
    autojump_clock: MockClock, remote: FakeAsterisk, authority: trustme.CA
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(secure_after, remote, showing(authority, "pbx.example"), 3)
        async with opened(far_away(trusting(authority))) as client:
            assert client.news() == [FOUND]
    assert len(remote.tried_s[AMI_PORT]) > 2


async def secure_after(switch: FakeAsterisk, tls: ssl.SSLContext, delay_s: float) -> None:
    await trio.sleep(delay_s)
    assert switch.said == []
    switch.tls = dict.fromkeys((ARI_PORT, AMI_PORT), tls)


# --------------------------------------------------------------- one connection of ARI


async def test_an_error_of_the_block_comes_out_as_it_is_and_the_connection_is_closed(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with open_ari(AriLogin(username="hookflash", password=""), print):
            raise ZeroDivisionError


async def test_after_the_end_of_a_connection_whoever_asks_is_told_why(
    autojump_clock: MockClock, switch: FakeAsterisk
) -> None:
    async with open_ari(AriLogin(username="hookflash", password=""), print) as ari:
        assert (await ari.list("channels")).message_body == "[]"
    with pytest.raises(AriLost, match="the connection was closed"):
        await ari.list("bridges")
    with pytest.raises(AriLost, match="the connection was closed"):
        await ari.ask(filter_request("hookflash"))


async def test_a_list_that_does_not_end_is_no_list(
    autojump_clock: MockClock, switch: FakeAsterisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hookflash.backends.asterisk.ari.MOST_LISTED_BYTES", 1)
    with pytest.raises(AriLost, match="too long"):
        async with open_ari(AriLogin(username="hookflash", password=""), print) as ari:
            await ari.list("channels")


@pytest.mark.parametrize("nested", ["[" * 100_000, '{"type": ' * 100_000])
def test_what_is_nested_too_deeply_is_no_message(nested: str) -> None:
    for read in (read_message, partial(read_body, kind=AriChannel)):
        with pytest.raises(msgspec.DecodeError):
            read(nested)


async def test_a_connection_that_breaks_while_something_is_sent(
    autojump_clock: MockClock, switch: FakeAsterisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_socket: WebSocketConnection, _message: str) -> None:
        raise ConnectionClosed(None)

    why: list[str] = []
    async with open_ari(AriLogin(username="hookflash", password=""), print) as ari:
        monkeypatch.setattr(WebSocketConnection, "send_message", broken)
        try:
            await ari.ask(filter_request("hookflash"))
        except AriLost as lost:
            why.append(str(lost))
    assert why == ["ARI: the switch has closed the connection"]
