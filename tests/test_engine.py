"""The engine on a simulated switch, under trio's mock clock: no test waits for real time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from hookflash.backends.base import LegSnapshot
from hookflash.backends.simulator.backend import SimulatedBackend, open_simulator
from hookflash.backends.simulator.people import Answers, Busy, NeverAnswers
from hookflash.backends.simulator.world import World
from hookflash.commands import SwitchCommand
from hookflash.engine import engine as engine_module
from hookflash.engine.engine import Engine, FellBehind, Follower, open_engine
from hookflash.engine.record import Record
from hookflash.engine.switchboard import Account
from hookflash.errors import BackendClosed, InternalError, NotFound, RequestRefused
from hookflash.events import (
    CallEvent,
    Event,
    Kind,
    LegId,
    LegsJoined,
    SwitchFound,
    SwitchLost,
    TakebackRequested,
)
from hookflash.fsm.machine import Rulebook, Step
from hookflash.fsm.transfer import Outcome, Policy, State, Transfer
from hookflash.testing import check_backend


@pytest.fixture
def autojump_clock() -> MockClock:
    return MockClock(autojump_threshold=0)


@asynccontextmanager
async def calls(**phones: object) -> AsyncGenerator[tuple[SimulatedBackend, Engine]]:
    world = World(seed=1)
    world.add_phone("2600", Answers(), "carol")
    world.add_phone("2602", Busy(), "busy")
    world.add_phone("2601", NeverAnswers(), "never")
    async with open_simulator(world=world) as backend, open_engine(backend) as engine:
        yield backend, engine


async def _until_an_outcome(follower: Follower) -> AsyncIterator[Record]:
    async for record in follower:
        yield record
        if record.outcome is not None:
            return


async def test_a_transfer_from_request_to_outcome(autojump_clock: MockClock) -> None:
    async with calls() as (backend, engine):
        alice, bob = await backend.call("1001", "1002")
        follower = engine.follow()
        transfer = await engine.transfer(alice, "2600")
        assert transfer.transfer is not None
        states: list[State] = []
        async for record in follower:
            if record.after is not None and record.after not in states[-1:]:
                states.append(record.after)
            if isinstance(record.event, LegsJoined) and record.after is State.CONSULTING:
                backend.world.hang_up(alice)
                backend.nudge()
            if record.outcome is not None:
                break
        result = await transfer.outcome()
        assert result.outcome is Outcome.TRANSFERRED
        assert states == [
            State.HOLDING,
            State.DIALING,
            State.CONSULTING,
            State.COMPLETING,
            State.IDLE,
        ]
        assert transfer.transfer is None
        assert engine.transfers() == ()
        assert {line.leg for line in engine.lines()} == {bob, f"{transfer.id}-target"}


async def test_by_digits(autojump_clock: MockClock) -> None:
    async with calls() as (backend, engine):
        alice, _bob = await backend.call("1001", "1002")
        async with engine.follow() as follower:
            backend.world.press(alice, "*22602", gap_s=0.3)
            backend.nudge()
            ended = [record async for record in _until_an_outcome(follower)][-1]
        assert ended.outcome is Outcome.RECONNECTED
        assert ended.cause == "USER_BUSY"


async def test_take_back_and_complete(autojump_clock: MockClock) -> None:
    async with calls() as (backend, engine):
        alice, bob = await backend.call("1001", "1002")
        first = await engine.transfer(alice, "2601")
        await trio.sleep(1)
        await first.take_back()
        assert (await first.outcome()).outcome is Outcome.TAKEN_BACK
        second = await engine.transfer(bob, "2600", kind=Kind.ATTENDED)
        with pytest.raises(RequestRefused, match="not being called yet"):
            await second.complete()
        await trio.sleep(5)
        await second.complete()
        assert (await second.outcome()).outcome is Outcome.TRANSFERRED


async def test_refusals(autojump_clock: MockClock) -> None:
    async with calls() as (backend, engine):
        alice, _bob = await backend.call("1001", "1002")
        with pytest.raises(NotFound):
            await engine.transfer("nobody", "2600")
        with pytest.raises(RequestRefused, match="already in this call"):
            await engine.transfer(alice, "1002")
        with pytest.raises(RequestRefused, match="the target may have only"):
            await engine.transfer(alice, "26\n00")
        assert engine.transfers() == ()
        transfer = await engine.transfer(alice, "2601", transfer="mine")
        with pytest.raises(RequestRefused, match="already a transfer with this id"):
            await engine.transfer(alice, "2600", transfer="mine")
        with pytest.raises(RequestRefused, match="already running"):
            await engine.transfer(alice, "2600")
        assert transfer.transfer is not None
        with pytest.raises(RequestRefused, match="no such call"):
            await engine.hang_up("nobody")
        await engine.hang_up(alice)


async def test_followers(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "FOLLOWER_BUFFER", 3)
    async with calls() as (backend, engine):
        slow = engine.follow()
        closed = engine.follow()
        closed.close()
        only = engine.follow("mine")
        alice, _bob = await backend.call("1001", "1002")
        transfer = await engine.transfer(alice, "2602", transfer="mine")
        first = await only.__anext__()
        assert first.transfer == "mine"
        await transfer.outcome()
        with pytest.raises(FellBehind):
            async for _record in slow:
                pass
        assert [record async for record in closed] == []


async def test_a_backend_that_ends_leaves_nobody_waiting(autojump_clock: MockClock) -> None:
    async with calls() as (backend, engine):
        alice, _bob = await backend.call("1001", "1002")
        follower = engine.follow()
        backend.close()
        assert [record async for record in follower] == []
        with pytest.raises(BackendClosed):
            await engine.transfer(alice, "2600")


async def test_whoever_waits_for_an_outcome_learns_that_none_will_come(
    autojump_clock: MockClock,
) -> None:
    async with calls() as (backend, engine):
        alice, _bob = await backend.call("1001", "1002")
        transfer = await engine.transfer(alice, "2601")
        backend.close()
        with trio.fail_after(60), pytest.raises(BackendClosed):
            await transfer.outcome()


async def test_followers_that_have_left_are_forgotten(autojump_clock: MockClock) -> None:
    async with calls() as (backend, engine):
        for _ in range(3):
            async with engine.follow() as follower:
                await backend.call("1001", "1002")
                assert (await follower.__anext__()).number > 0
        assert engine.followed_by == 0


async def test_what_is_asked_wrongly_harms_nobody(autojump_clock: MockClock) -> None:
    async with calls() as (backend, engine):
        alice, _bob = await backend.call("1001", "1002")
        wishes: list[dict[str, Any]] = [
            {"takeback_digits": "one"},
            {"ring_timeout_s": -1.0},
            {"music": "a\nb"},
        ]
        for wrong in wishes:
            with pytest.raises(RequestRefused):
                await engine.transfer(alice, "2601", **wrong)
        transfer = await engine.transfer(alice, "2602")
        assert (await transfer.outcome()).outcome is Outcome.RECONNECTED


async def test_an_id_that_comes_again_has_timers_of_its_own(autojump_clock: MockClock) -> None:
    """The first transfer's deadline is cancelled, and must not end the second one's early."""
    async with calls() as (backend, engine):
        alice, _bob = await backend.call("1001", "1002")
        for _ in range(2):
            transfer = await engine.transfer(alice, "2601", transfer="mine", ring_timeout_s=30.0)
            began_s = trio.current_time()
            await trio.sleep(20)
            assert transfer.transfer is not None
            assert transfer.transfer.state is State.DIALING
            await transfer.take_back()
            assert (await transfer.outcome()).outcome is Outcome.TAKEN_BACK
            assert trio.current_time() - began_s < 22


@attrs.define
class Broken:
    """A backend whose line to the switch is lost for good."""

    reason: str = "the line is dead"

    async def events(self) -> AsyncIterator[CallEvent]:
        await trio.sleep(1)
        raise BackendClosed(self.reason)
        yield

    async def perform(self, command: SwitchCommand) -> None:
        raise BackendClosed(self.reason)

    async def snapshot(self) -> tuple[LegSnapshot, ...]:
        raise BackendClosed(self.reason)


class Flickering:
    """A backend whose switch can be lost and found, and does what a simulated one does."""

    def __init__(self, switch: SimulatedBackend) -> None:
        self._switch = switch
        self.send, self._receive = trio.open_memory_channel[CallEvent](1000)

    async def events(self) -> AsyncIterator[CallEvent]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._carry)
            async for event in self._receive:
                yield event

    async def _carry(self) -> None:
        async for event in self._switch.events():
            await self.send.send(event)

    async def perform(self, command: SwitchCommand) -> None:
        await self._switch.perform(command)

    async def snapshot(self) -> tuple[LegSnapshot, ...]:
        return await self._switch.snapshot()


async def test_no_deadline_passes_while_the_switch_is_away(autojump_clock: MockClock) -> None:
    world = World(seed=1)
    world.add_phone("2600", Answers(), "carol")
    policy = Policy(hold_limit_s=10.0)
    async with open_simulator(world=world) as switch:
        backend = Flickering(switch)
        async with open_engine(backend, account=Account(policy=policy)) as engine:
            legs = [await switch.call(f"10{n}1", f"10{n}2") for n in range(2)]
            for first, _ in legs:
                await engine.transfer(first, "2600")
                await trio.sleep(0.5)
            await trio.sleep(4)
            await backend.send.send(SwitchLost(switch="", reason="a cut"))
            await trio.sleep(100)
            states = [transfer.state for transfer in engine.transfers()]
            assert states == [State.CONSULTING] * 2
            await backend.send.send(SwitchFound(switch=""))
            await trio.sleep(10)
            assert engine.transfers() == ()  # held for long enough


async def test_requests_that_come_to_nothing_leave_nothing(autojump_clock: MockClock) -> None:
    async with open_simulator() as switch:
        backend = Flickering(switch)
        async with open_engine(backend) as engine:
            alice, _ = await switch.call("1001", "1002")
            await trio.sleep(1)
            await backend.send.send(SwitchLost(switch="", reason="a cut"))
            await trio.sleep(1)
            for _ in range(3):
                with pytest.raises(BackendClosed):
                    await engine.transfer(alice, "2600")
            assert not engine._handles  # pyright: ignore[reportPrivateUsage]


async def test_a_listener_at_fault_ends_no_call(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_told: object) -> None:
        raise RuntimeError("a bug")

    async with calls() as (backend, engine):
        engine.tap(fail)
        engine.on_timing = fail
        alice, _ = await backend.call("1001", "1002")
        transfer = await engine.transfer(alice, "2602")
        assert (await transfer.outcome()).outcome is Outcome.RECONNECTED
    assert "at fault" in caplog.text


async def test_a_fault_in_one_transfer_leaves_the_others_alone(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Rulebook.step

    def fail(self: Rulebook, transfer: Transfer, event: Event) -> Step:
        if transfer.id == "bad" and isinstance(event, TakebackRequested):
            raise InternalError("a bug")
        return step(self, transfer, event)

    monkeypatch.setattr(Rulebook, "step", fail)
    async with calls() as (backend, engine):
        alice, _ = await backend.call("1001", "1002")
        other, _ = await backend.call("1003", "1004")
        bad = await engine.transfer(alice, "2601", transfer="bad")
        good = await engine.transfer(other, "2601")
        await trio.sleep(1)
        with pytest.raises(RequestRefused, match="fault of ours"):
            await bad.take_back()
        await good.take_back()
        assert (await good.outcome()).outcome is Outcome.TAKEN_BACK
        assert (await bad.outcome()).outcome is Outcome.RECONNECTED  # nobody answered
    assert "InternalError: a bug" in caplog.text


async def test_a_line_that_is_lost_is_told_to_whoever_asks(autojump_clock: MockClock) -> None:
    async with open_engine(Broken()) as engine:
        await trio.sleep(2)
        with pytest.raises(BackendClosed, match="the line is dead"):
            await engine.hang_up("anybody")


class _Lab:
    """The simulator, as the conformance check wants it."""

    answering, busy, never, music = "2600", "2602", "2601", "local_stream://moh"

    def __init__(self, backend: SimulatedBackend) -> None:
        self.backend = backend

    async def call(self) -> tuple[LegId, LegId]:
        return await self.backend.call("1001", "1002")

    async def hang_up(self, leg: LegId) -> None:
        self.backend.world.hang_up(leg)
        self.backend.nudge()

    async def press(self, leg: LegId, digit: str) -> None:
        self.backend.world.press(leg, digit)
        self.backend.nudge()


@asynccontextmanager
async def _open_lab() -> AsyncGenerator[_Lab]:
    world = World(seed=1)
    world.add_phone("2600", Answers(), "carol")
    world.add_phone("2602", Busy(), "busy")
    world.add_phone("2601", NeverAnswers(), "never")
    async with open_simulator(world=world) as backend:
        yield _Lab(backend)


async def test_the_simulator_keeps_every_promise_of_a_backend(autojump_clock: MockClock) -> None:
    await check_backend(_open_lab)


class _Deaf(_Lab):
    """A backend that forgets to tell of keys."""

    async def press(self, leg: LegId, digit: str) -> None:
        pass


@asynccontextmanager
async def _open_deaf_lab() -> AsyncGenerator[_Lab]:
    async with _open_lab() as lab:
        yield _Deaf(lab.backend)


async def test_a_broken_promise_is_named(autojump_clock: MockClock) -> None:
    with pytest.RaisesGroup(
        pytest.RaisesExc(AssertionError, match="keys are told on their leg"), flatten_subgroups=True
    ):
        await check_backend(_open_deaf_lab)
