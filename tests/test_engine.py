"""The engine on a simulated switch, under trio's mock clock: no test waits for real time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from simulated_lab import SimulatedLab, open_simulated_lab
from trio.testing import MockClock, wait_all_tasks_blocked

from hookflash.backends.base import Capabilities, LegSnapshot
from hookflash.backends.simulator.backend import SimulatedBackend, open_simulator
from hookflash.backends.simulator.people import Answers, Busy, NeverAnswers
from hookflash.backends.simulator.world import World
from hookflash.commands import Look, SwitchCommand
from hookflash.engine import handles
from hookflash.engine.engine import Engine, open_engine
from hookflash.engine.handles import FellBehind, Follower, TransferHandle
from hookflash.engine.inbox import MOST_QUEUED
from hookflash.engine.legs import Account
from hookflash.engine.record import Record
from hookflash.engine.timers import LATE, LATE_S
from hookflash.errors import BackendClosed, InternalError, NotFound, RequestRefused
from hookflash.events import (
    CallEvent,
    Direction,
    Event,
    Kind,
    LegAnswered,
    LegCreated,
    LegId,
    LegParked,
    LegsJoined,
    LegsSeen,
    SwitchFound,
    SwitchLost,
    TakebackRequested,
    TransferOptions,
)
from hookflash.fsm.machine import Rulebook, Step
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Outcome, State, Transfer
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
        assert {leg.id for leg in engine.legs()} == {bob, f"{transfer.id}-target"}


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
        with pytest.raises(RequestRefused, match="already a party of this call"):
            await engine.transfer(alice, "1002")
        with pytest.raises(RequestRefused, match="is not a number"):
            await engine.transfer(alice, "26\n00")
        assert engine.transfers() == ()
        transfer = await engine.transfer(alice, "2601", transfer="mine")
        with pytest.raises(RequestRefused, match="already a transfer with this ID"):
            await engine.transfer(alice, "2600", transfer="mine")
        with pytest.raises(RequestRefused, match="already in progress"):
            await engine.transfer(alice, "2600")
        assert transfer.transfer is not None
        with pytest.raises(RequestRefused, match="no such call"):
            await engine.hang_up("nobody")
        await engine.hang_up(alice)


async def test_followers(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handles, "FOLLOWER_BUFFER", 3)
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
                await engine.transfer(alice, "2601", options=TransferOptions(**wrong))
        transfer = await engine.transfer(alice, "2602")
        assert (await transfer.outcome()).outcome is Outcome.RECONNECTED


async def test_an_id_that_comes_again_has_timers_of_its_own(autojump_clock: MockClock) -> None:
    """The first transfer's deadline is cancelled, and must not end the second one's early."""
    async with calls() as (backend, engine):
        alice, _bob = await backend.call("1001", "1002")
        for _ in range(2):
            transfer = await engine.transfer(
                alice, "2601", transfer="mine", options=TransferOptions(ring_timeout_s=30.0)
            )
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

    capabilities = Capabilities()

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

    capabilities = Capabilities()

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


# ------------------------------------------------------------- asking the switch first


class Scripted:
    """A backend that says what the test says, and keeps what it is ordered."""

    capabilities = Capabilities()

    def __init__(self) -> None:
        self.send, self._receive = trio.open_memory_channel[CallEvent](100)
        self.orders: list[SwitchCommand] = []
        self.closed = False

    def events(self) -> AsyncIterator[CallEvent]:
        return self._receive

    async def perform(self, command: SwitchCommand) -> None:
        await trio.lowlevel.checkpoint()
        if self.closed:
            raise BackendClosed("it is closed")
        self.orders.append(command)

    async def snapshot(self) -> tuple[LegSnapshot, ...]:
        await trio.lowlevel.checkpoint()
        return ()

    async def tell(self, *events: CallEvent) -> None:
        for event in events:
            await self.send.send(event)
        await wait_all_tasks_blocked()

    def looks(self) -> list[Look]:
        return [order for order in self.orders if isinstance(order, Look)]


def both_talk() -> tuple[CallEvent, ...]:
    legs = (LegCreated(leg="a", number="1001"), LegCreated(leg="b", number="1002"))
    return (*legs, LegsJoined(first="a", second="b"))


@asynccontextmanager
async def holding() -> AsyncGenerator[tuple[Scripted, Engine]]:
    """A transfer that has ordered its split, of which nothing is heard."""
    backend = Scripted()
    async with open_engine(backend, new_id=lambda: "t") as engine:
        await backend.tell(SwitchFound(), *both_talk())
        await engine.transfer("a", "2600")
        await wait_all_tasks_blocked()
        yield backend, engine


async def test_a_timer_that_is_late_waits_for_what_lies_unread(mock_clock: MockClock) -> None:
    """We were asleep: whatever happened meanwhile comes before the deadline that has passed."""
    async with holding() as (backend, engine):
        mock_clock.jump(Policy().split_timeout_s + 2 * LATE_S)
        await wait_all_tasks_blocked()
        (late,) = backend.looks()
        assert (late.transfer, late.legs) == (LATE, ())
        await backend.tell(LegParked(leg="a"), LegParked(leg="b"))
        assert engine.transfers()[0].state is State.DIALING
        await backend.tell(LegsSeen(look=late, living=()))
        assert engine.transfers()[0].state is State.DIALING  # that timer was cancelled
        assert len(backend.looks()) == 1


async def test_a_timer_that_is_late_counts_when_the_switch_has_nothing_to_say(
    mock_clock: MockClock,
) -> None:
    async with holding() as (backend, engine):
        mock_clock.jump(Policy().split_timeout_s + 2 * LATE_S)
        await wait_all_tasks_blocked()
        (late,) = backend.looks()
        await backend.tell(LegsSeen(look=late, living=()))
        _, asked = backend.looks()  # now the transfer asks, as after any deadline
        assert (asked.transfer, asked.legs) == ("t", ("a", "b"))
        assert engine.transfers()[0].state is State.HOLDING


async def test_a_timer_that_is_on_time_needs_no_such_question(mock_clock: MockClock) -> None:
    async with holding() as (backend, _):
        mock_clock.jump(Policy().split_timeout_s + LATE_S / 2)
        await wait_all_tasks_blocked()
        assert [look.transfer for look in backend.looks()] == ["t"]


@pytest.mark.parametrize("lost", [True, False])
async def test_a_late_timer_counts_though_the_answer_is_lost(
    mock_clock: MockClock, *, lost: bool
) -> None:
    """With the line, or among events that were dropped: then all is told anew."""
    async with holding() as (backend, _):
        mock_clock.jump(Policy().split_timeout_s + 2 * LATE_S)
        await wait_all_tasks_blocked()
        if lost:
            await backend.tell(SwitchLost(reason="a cut"))
        assert [look.transfer for look in backend.looks()] == [LATE]
        await backend.tell(SwitchFound())
        mock_clock.jump(0.01)
        await wait_all_tasks_blocked()
        assert [look.transfer for look in backend.looks()] == [LATE, "t"]


async def test_a_late_timer_counts_though_nobody_can_be_asked(mock_clock: MockClock) -> None:
    async with holding() as (backend, engine):
        backend.closed = True
        mock_clock.jump(Policy().split_timeout_s + 2 * LATE_S)
        await wait_all_tasks_blocked()
        assert engine.transfers()[0].looks == 1


async def ask_for(engine: Engine, leg: LegId, came: list[object]) -> None:
    """Ask to transfer whom a leg talks with, and write down what comes of it."""
    try:
        came.append(await engine.transfer(leg, "2600"))
    except (RequestRefused, BackendClosed) as refused:
        came.append(refused)


@asynccontextmanager
async def alone() -> AsyncGenerator[tuple[Scripted, Engine, list[object]]]:
    """Somebody asks for a leg of which no partner is known; what comes of it is in the list."""
    backend, came = Scripted(), list[object]()
    async with trio.open_nursery() as nursery, open_engine(backend, new_id=lambda: "t") as engine:
        await backend.tell(SwitchFound(), LegCreated(leg="a", number="1001"))
        await backend.tell(LegAnswered(leg="a"))
        nursery.start_soon(ask_for, engine, "a", came)
        await wait_all_tasks_blocked()
        assert came == []
        yield backend, engine, came
        await wait_all_tasks_blocked()
        assert len(came) == 1
        assert not engine._deferred  # pyright: ignore[reportPrivateUsage]


def stands(leg: str, peer: str | None) -> LegSnapshot:
    inbound = Direction.INBOUND
    return LegSnapshot(leg=leg, number=leg, direction=inbound, answered=True, peer=peer)


async def test_who_asks_waits_until_the_switch_has_said_where_the_leg_is(
    mock_clock: MockClock,
) -> None:
    async with alone() as (backend, engine, came):
        (look,) = backend.looks()
        await backend.tell(LegsSeen(look=look, living=(stands("a", "b"), stands("b", "a"))))
        (handle,) = came
        assert isinstance(handle, TransferHandle)
        assert handle.transfer is engine.transfers()[0]


async def test_who_asks_hands_over_when_the_switch_knows_of_no_partner_either(
    mock_clock: MockClock,
) -> None:
    async with alone() as (backend, engine, came):
        (look,) = backend.looks()
        await backend.tell(LegsSeen(look=look, living=(stands("a", None),)))
        (handle,) = came
        assert isinstance(handle, TransferHandle)
        assert engine.transfers()[0].kind is Kind.HANDOVER


@pytest.mark.parametrize("event", [SwitchLost(reason="a cut"), SwitchFound()])
async def test_who_asks_is_told_that_no_answer_will_come(
    mock_clock: MockClock, event: CallEvent
) -> None:
    async with alone() as (backend, engine, came):
        await backend.tell(event)
        assert isinstance(came[0], BackendClosed)
        assert not engine._handles  # pyright: ignore[reportPrivateUsage]


async def test_who_asks_is_told_that_the_backend_has_ended(mock_clock: MockClock) -> None:
    async with alone() as (backend, _, came):
        await backend.send.aclose()
        await wait_all_tasks_blocked()
        assert isinstance(came[0], BackendClosed)


async def test_two_who_ask_for_the_same_transfer_are_both_answered(mock_clock: MockClock) -> None:
    also = list[object]()
    async with alone() as (backend, engine, came), trio.open_nursery() as nursery:
        await backend.tell(LegCreated(leg="x", number="1"), LegAnswered(leg="x"))
        nursery.start_soon(ask_for, engine, "x", also)
        await wait_all_tasks_blocked()
        one, other = backend.looks()
        await backend.tell(LegsSeen(look=one, living=(stands("a", "b"), stands("b", "a"))))
        await backend.tell(LegsSeen(look=other, living=(stands("x", "y"), stands("y", "x"))))
        assert isinstance(came[0], TransferHandle)
        assert isinstance(also[0], RequestRefused)


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
    assert "listener.failed" in caplog.text


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
        with pytest.raises(RequestRefused, match="Internal error"):
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


@pytest.mark.slow
async def test_the_simulator_keeps_every_promise_of_a_backend(autojump_clock: MockClock) -> None:
    report = await check_backend(open_simulated_lab)
    assert not report.unchecked
    assert "promises kept, 48 races survived" in str(report)


class _Deaf(SimulatedLab):
    """Its people press keys that nobody hears."""

    async def press(self, leg: LegId, digit: str) -> None:
        pass


@asynccontextmanager
async def _open_deaf_lab() -> AsyncGenerator[SimulatedLab]:
    async with open_simulator(seed=1) as switch:
        yield _Deaf(switch)


async def test_a_broken_promise_is_named(autojump_clock: MockClock) -> None:
    with pytest.raises(AssertionError, match="a key is reported"):
        await check_backend(_open_deaf_lab)


# ----------------------------------------------------------------- the queue has a bound


class Flood(Broken):
    """A backend that has more to report than anybody can take, and is slow to say what lives."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self.taken = 0
        self.answers = trio.Event()

    async def events(self) -> AsyncIterator[CallEvent]:
        yield SwitchFound()
        for number in range(self.count):
            yield LegCreated(leg=f"leg-{number}", number="1001")
            self.taken += 1
        await trio.sleep_forever()

    async def snapshot(self) -> tuple[LegSnapshot, ...]:
        await self.answers.wait()
        return ()


async def test_a_backend_waits_while_the_queue_is_full_and_nothing_is_lost(
    autojump_clock: MockClock,
) -> None:
    backend = Flood(MOST_QUEUED + 500)
    async with open_engine(backend) as engine:
        await trio.sleep(10)
        assert (backend.taken, engine.legs()) == (MOST_QUEUED, ())
        assert engine.queued == MOST_QUEUED + 1  # and the one that the backend waits with
        backend.answers.set()
        await trio.sleep(10)
        assert [leg.id for leg in engine.legs()] == [f"leg-{n}" for n in range(backend.count)]
        assert engine.queued == 0


async def test_requests_that_wait_for_room_are_answered_when_the_engine_ends(
    autojump_clock: MockClock,
) -> None:
    backend, refused = Flood(MOST_QUEUED + 500), list[BackendClosed]()

    async def ask() -> None:
        try:
            await engine.hang_up("leg-1")
        except BackendClosed as closed:
            refused.append(closed)

    async with trio.open_nursery() as nursery, open_engine(backend) as engine:
        await trio.sleep(1)
        for _ in range(3):
            nursery.start_soon(ask)
        await trio.sleep(1)
        assert refused == []
    assert len(refused) == 3
