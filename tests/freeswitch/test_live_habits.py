"""What a real switch has shown, one habit after another, and that it costs nobody a call.

Some want numbers in the dialplan that not every lab has (7N, 8N, 9N: see `live`).
"""

from __future__ import annotations

import json
import wave
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio
from live import (
    DIALPLAN,
    DIRECT,
    HOST,
    PHONES,
    SWITCH,
    LiveLab,
    Socket,
    both_known,
    consult,
    needs,
    needs_freeswitch,
    noting,
    open_live_lab,
    settings,
    talking,
    variables,
)

from hookflash.backends.freeswitch.client import open_freeswitch
from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.backends.freeswitch.wire import Wire
from hookflash.called import name_of_target
from hookflash.commands import Look
from hookflash.engine.engine import Engine, open_engine
from hookflash.engine.handles import TransferHandle
from hookflash.engine.legs import Account
from hookflash.errors import Refusal
from hookflash.events import Kind, LegHungUp, LegId, SoundStarted, TransferRequested
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Outcome, State
from hookflash.sounds import Recording

pytestmark = needs_freeswitch

both_ways = pytest.mark.parametrize("dialling", [DIRECT, DIALPLAN], ids=["direct", "dialplan"])


async def reached(transfer: TransferHandle, state: State) -> None:
    with trio.fail_after(10):
        while (now := transfer.transfer) is None or now.state is not state:
            await trio.sleep(0.005)


@both_ways
async def test_a_target_that_has_just_begun_to_ring_is_found(dialling: Dialling) -> None:
    """The list of channels lags by 80 to 190 ms; a controller that comes then must see it."""
    async with open_live_lab(settings(dialling)) as lab, open_engine(lab.backend) as engine:
        legs = await lab.call()
        await both_known(engine, legs)
        transfer = await engine.transfer(legs[0], lab.never)
        await reached(transfer, State.DIALING)
        target = name_of_target(transfer.id)
        with trio.fail_after(5):
            while await lab.switch.api(f"uuid_exists {target}") != "true":
                await trio.sleep(0.002)
        listed = [row["uuid"] for row in await lab.switch.channels()]
        async with open_freeswitch(settings(dialling)) as another:
            seen = {leg.leg: leg.role for leg in await another.snapshot()}
        assert target not in listed, "this came too late to show anything"
        assert seen[target] == "target"


@both_ways
@pytest.mark.parametrize("leaver", ["transferor", "target"])
async def test_nothing_stays_behind_when_the_switch_itself_has_joined_them(
    dialling: Dialling, leaver: str
) -> None:
    async with open_live_lab(settings(dialling)) as lab, open_engine(lab.backend) as engine:
        legs = await lab.call()
        await both_known(engine, legs)
        before = {leg: await variables(lab, leg) for leg in legs}
        transfer, target = await consult(engine, legs[0])
        await lab.hang_up(legs[0] if leaver == "transferor" else target)
        await transfer.outcome()
        left = (legs[1], target) if leaver == "transferor" else legs
        await talking(engine, *left)
        await trio.sleep(0.5)
        for leg in left:
            assert await variables(lab, leg) == before.get(leg, {})
        # and the next transfer goes as the first
        again, third = await consult(engine, left[1], "2604")
        await lab.hang_up(left[1])
        assert (await again.outcome()).outcome is Outcome.TRANSFERRED
        await talking(engine, left[0], third)


@both_ways
async def test_nothing_stays_behind_when_the_target_takes_the_transferee(
    dialling: Dialling,
) -> None:
    """Nor on the far half of a loopback leg, which keeps only what the dialplan has set."""
    async with open_live_lab(settings(dialling)) as lab, open_engine(lab.backend) as engine:
        legs = await lab.call()
        await both_known(engine, legs)
        before = await variables(lab, legs[1])
        transfer = await engine.transfer(legs[0], "2600", kind=Kind.BLIND)
        assert (await transfer.outcome()).outcome is Outcome.TRANSFERRED
        target = name_of_target(transfer.id)
        await talking(engine, legs[1], target)
        await trio.sleep(0.5)
        assert await variables(lab, legs[1]) == before
        own, *behind = await lab.chain(target)
        assert await variables(lab, own) == {}
        assert len(behind) == (0 if dialling is DIRECT else 2)
        for leg in behind:
            assert (await variables(lab, leg)).keys() <= {"hangup_after_bridge"}


@both_ways
async def test_one_code_of_a_target_starts_one_transfer(dialling: Dialling) -> None:
    async with open_live_lab(settings(dialling)) as lab, open_engine(lab.backend) as engine:
        legs = await lab.call()
        await both_known(engine, legs)
        transfer, target = await consult(engine, legs[0])
        await lab.press(target, "*22601#")  # within Alice's consultation: it is nobody's business
        await trio.sleep(5)
        assert len(engine.transfers()) == 1
        await lab.hang_up(legs[0])
        await transfer.outcome()
        await talking(engine, legs[1], target)
        shown = await lab.backend.snapshot()
        assert {leg.leg for leg in shown} == {legs[1], target}
        async with noting(engine) as records:
            await lab.press(target, "*22601#")
            await trio.sleep(6)
        asked = [r for r in records if isinstance(r.event, TransferRequested)]
        assert len(asked) == 1
        assert len(engine.transfers()) == 1


async def test_a_sound_that_waits_is_not_heard_in_the_conversation() -> None:
    async with open_live_lab(settings()) as lab, open_engine(lab.backend) as engine:
        legs = await lab.call()
        await both_known(engine, legs)
        transfer = await engine.transfer(legs[0], lab.never)
        await reached(transfer, State.DIALING)
        await trio.sleep(1)
        for leg in legs:  # behind the ringback and the music, which do not end
            await lab.switch.api(f"uuid_broadcast {leg} tone_stream://%(200,100,440);loops=-1 aleg")
        async with noting(engine) as records:
            await transfer.take_back()
            assert (await transfer.outcome()).outcome is Outcome.TAKEN_BACK
            await trio.sleep(1)
            assert not [r for r in records if isinstance(r.event, SoundStarted)]
        await lab.hang_up(legs[1])
        with trio.fail_after(5):
            while await lab.switch.channels():
                await trio.sleep(0.05)


@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.1])
async def test_ringback_replaces_music_that_has_not_begun(after_s: float) -> None:
    async with open_live_lab(settings()) as lab, open_engine(lab.backend) as engine:
        legs = await lab.call()
        await both_known(engine, legs)
        phone = await lab.phone(legs[0])
        async with noting(engine) as records:
            transfer = await engine.transfer(legs[0], lab.never)
            await reached(transfer, State.DIALING)
            await trio.sleep(after_s)
            await lab.phones.api(f"uuid_kill {phone}")
            await reached(transfer, State.PARTIAL)
            await trio.sleep(1.5)
            heard = [r.event for r in records if isinstance(r.event, SoundStarted)]
        ringback = Policy().ringback
        assert [sound.sound for sound in heard if sound.leg == legs[1]][-1] == ringback


async def _call_with_account(lab: LiveLab, number: str) -> tuple[LegId, LegId]:
    await needs(lab, number)
    return await lab.call(number)


async def test_rights_do_not_follow_the_present_partner() -> None:
    async with open_live_lab(settings(DIALPLAN)) as lab, open_engine(lab.backend) as engine:
        legs = await _call_with_account(lab, "71002")  # the called party has no account
        await both_known(engine, legs)
        transfer, target = await consult(engine, legs[0])
        await lab.hang_up(legs[0])
        await transfer.outcome()
        await talking(engine, legs[1], target)
        assert engine.switchboard.legs[target].account == "acme"
        async with noting(engine) as records:
            await lab.press(legs[1], "*22601#")
            await trio.sleep(5)
        assert [r.refusal for r in records if r.refused] == [Refusal.NOT_ENTITLED]
        await lab.press(target, "*22601#")
        with trio.fail_after(10):
            while not engine.transfers():
                await trio.sleep(0.1)


async def test_an_outside_party_behind_a_loopback_gains_no_right() -> None:
    async with open_live_lab(settings(DIALPLAN)) as lab, open_engine(lab.backend) as engine:
        legs = await _call_with_account(lab, "81002")
        await needs(lab, "92600")
        await both_known(engine, legs)
        transfer, target = await consult(engine, legs[0], "92600")
        await lab.hang_up(legs[0])
        await transfer.outcome()
        await talking(engine, legs[1], target)
        assert engine.switchboard.legs[target].outside
        shown = await lab.shown(target)
        await lab.press(target, "*22601#")
        await trio.sleep(5)
        assert not engine.transfers()
        assert await lab.shown(target) == shown
        assert "1002" not in shown[1]


@attrs.define
class Losing:
    """A proxy before the event socket that loses one event."""

    name: str
    names: Callable[[dict[str, str]], bool]
    lost: int = 0

    async def serve(self, client: trio.SocketStream) -> None:
        host, _, port = SWITCH.partition(":")
        switch = await trio.open_tcp_stream(host, int(port))
        async with client, switch, trio.open_nursery() as nursery:
            nursery.start_soon(self._pass_on, client, switch)
            await self._sift(switch, client)
            nursery.cancel_scope.cancel()

    @staticmethod
    async def _pass_on(source: trio.SocketStream, sink: trio.SocketStream) -> None:
        async for data in source:
            await sink.send_all(data)

    async def _sift(self, source: trio.SocketStream, sink: trio.SocketStream) -> None:
        wire = Wire()
        async for data in source:
            wire.receive(data)
            for frame in wire.frames():
                event = frame.content_type == "text/event-json"
                told: dict[str, str] = json.loads(frame.text()) if event else {}
                if not self.lost and told.get("Event-Name") == self.name and self.names(told):
                    self.lost += 1
                    continue
                await sink.send_all(frame.head + b"\n\n" + frame.body)


@asynccontextmanager
async def losing(
    name: str, names: Callable[[dict[str, str]], bool]
) -> AsyncGenerator[tuple[Losing, int]]:
    proxy = Losing(name, names)
    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, proxy.serve, 0, host=HOST)
        listeners = await nursery.start(serve)
        yield proxy, listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


LOST: dict[str, tuple[str, Callable[[dict[str, str]], bool]]] = {
    "the join of the consultation": (
        "CHANNEL_BRIDGE",
        lambda told: told.get("Bridge-B-Unique-ID", "").endswith("-target"),
    ),
    "the join of the handover": (
        "CHANNEL_BRIDGE",
        lambda told: (
            told.get("Bridge-B-Unique-ID", "").endswith("-target")
            and told["Call-Direction"] == "outbound"
        ),
    ),
    "the park after the consultation": (
        "CHANNEL_PARK",
        lambda told: told["Unique-ID"].endswith("-target") and "variable_last_bridge_to" in told,
    ),
    "the answer": ("CHANNEL_ANSWER", lambda told: told["Unique-ID"].endswith("-target")),
    "the park of the target": ("CHANNEL_PARK", lambda told: told["Unique-ID"].endswith("-target")),
    "a park of the split": ("CHANNEL_PARK", lambda told: told["Call-Direction"] == "outbound"),
    "the beginning of the target": (
        "CHANNEL_CREATE",
        lambda told: told["Unique-ID"].endswith("-target"),
    ),
}


@pytest.mark.parametrize("what", LOST)
async def test_an_event_is_lost_and_nobody_is_blamed(what: str) -> None:
    async with (
        losing(*LOST[what]) as (proxy, port),
        open_live_lab(settings(DIRECT, port)) as lab,
        open_engine(lab.backend) as engine,
    ):
        legs = await lab.call()
        await both_known(engine, legs)
        transfer, target = await consult(engine, legs[0])
        assert engine.switchboard.transfer(transfer.id) is not None
        await lab.hang_up(legs[0])
        with trio.fail_after(30):
            assert (await transfer.outcome()).outcome is Outcome.TRANSFERRED
        assert proxy.lost == 1
        living = {leg.leg: leg.peer for leg in await lab.backend.snapshot()}
        assert living == {legs[1]: target, target: legs[1]}


@asynccontextmanager
async def many_events() -> AsyncGenerator[None]:
    """So many events of other programs that the switch's own lag behind its answers."""
    news = "sendevent CUSTOM\nEvent-Subclass: hookflash::test\n" + "Filler: " + "x" * 6000 + "\n\n"

    async def drain(socket: Socket) -> None:
        while True:
            await socket.frame()

    async def flood(socket: Socket) -> None:
        while True:
            await socket.stream.send_all(news.encode() * 20)
            await trio.sleep(0.02)

    async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
        sockets = [await Socket.open(SWITCH) for _ in range(4)]
        for socket in sockets:
            await stack.enter_async_context(socket.stream)
        for socket in sockets[1:]:
            await socket.ask("event plain ALL")
        for socket in sockets:
            nursery.start_soon(drain, socket)
        nursery.start_soon(flood, sockets[0])
        yield
        nursery.cancel_scope.cancel()


async def test_an_answer_that_overtakes_the_end_of_a_leg_hides_nothing() -> None:
    """The event of the end was dropped then, and with it the cause (9 of 96)."""
    async with (
        open_live_lab(settings()) as lab,
        open_engine(lab.backend) as engine,
        noting(engine) as records,
        many_events(),
    ):
        for _ in range(10):
            legs = await lab.call()
            await both_known(engine, legs)
            await lab.hang_up(legs[0])
            with trio.fail_after(5):
                while engine.switchboard.leg(legs[0]) or engine.switchboard.leg(legs[1]):
                    await lab.backend.perform(Look(legs=legs))
                    await trio.sleep(0.002)
    causes: dict[LegId, str] = {}
    for record in records:
        if isinstance(record.event, LegHungUp):
            causes.setdefault(record.event.leg, record.event.cause)
    assert [*causes.values()] == ["NORMAL_CLEARING"] * 20


async def test_music_from_a_file_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "music.wav"
    with wave.open(str(file), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(2 * 8000 * 2))
    account = Account(policy=Policy(music=Recording(str(file))))
    async with (
        open_live_lab(settings()) as lab,
        open_engine(lab.backend, account=account) as engine,
    ):
        legs = await lab.call()
        await both_known(engine, legs)
        async with noting(engine) as records:
            await engine.transfer(legs[0], "2601")
            await trio.sleep(10)
        heard = [
            record.event.sound
            for record in records
            if isinstance(record.event, SoundStarted) and record.event.leg == legs[1]
        ]
        assert len(heard) >= 3
        assert set(heard) == {Recording(str(file))}


async def test_a_held_party_that_is_sent_elsewhere_is_left_alone() -> None:
    async with open_live_lab(settings()) as lab, open_engine(lab.backend) as engine:
        legs = await lab.call()
        await both_known(engine, legs)
        transfer, target = await consult(engine, legs[0])
        await lab.switch.api(f"uuid_transfer {legs[1]} sleep:20000 inline")
        with trio.fail_after(20):
            assert (await transfer.outcome()).outcome is Outcome.ABANDONED
        assert await variables(lab, legs[1]) == {}
        await talking(engine, legs[0], target)
        await lab.hang_up(legs[0])
        await trio.sleep(1.0)
        living = {leg.leg for leg in await lab.backend.snapshot()}
        assert living == {legs[1]}, "an armed leg has fetched it back"


async def test_the_far_end_is_spared_a_code() -> None:
    account = Account(policy=Policy(hides_codes=True))
    async with (
        open_live_lab(settings()) as lab,
        open_engine(lab.backend, account=account) as engine,
        trio.open_nursery() as nursery,
    ):
        legs = await lab.call()
        await both_known(engine, legs)
        heard = await nursery.start(_listen_to_keys)
        await lab.press(legs[0], "5*8#")
        await trio.sleep(6)
        assert "".join(heard) == "5*8#", "what is no code is passed on"
        heard.clear()
        await lab.press(legs[0], "*22600#")
        await talking_with_target(engine)
        assert "".join(heard) == "*"
        assert "drop_dtmf" not in await variables(lab, legs[1])
        nursery.cancel_scope.cancel()


async def talking_with_target(engine: Engine) -> None:
    with trio.fail_after(30):
        while not any(t.state is State.CONSULTING for t in engine.transfers()):
            await trio.sleep(0.1)


async def _listen_to_keys(*, task_status: trio.TaskStatus[list[str]]) -> None:
    """The keys that the called phone hears."""
    heard: list[str] = []
    socket = await Socket.open(PHONES)
    async with socket.stream:
        await socket.ask("event json DTMF")
        task_status.started(heard)
        while True:
            frame = await socket.frame()
            if frame.content_type == "text/event-json":
                told = json.loads(frame.text())
                if told.get("Caller-Destination-Number") == "1002":
                    heard.append(told["DTMF-Digit"])
