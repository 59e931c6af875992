"""The code first, the number afterwards: what people and programs may give, and what is refused."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from hookflash.backends.simulator.backend import SimulatedBackend, open_simulator
from hookflash.backends.simulator.people import Answers, NeverAnswers
from hookflash.backends.simulator.world import World
from hookflash.dialling.metaflows import parse_metaflows
from hookflash.engine.engine import Engine, open_engine
from hookflash.engine.handles import Follower
from hookflash.engine.legs import Account
from hookflash.engine.record import Record
from hookflash.engine.rules import Rules
from hookflash.errors import RequestRefused
from hookflash.events import Event, Kind, NumberGiven, NumberRejected
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Outcome, State, Transfer

CODES = parse_metaflows({"patterns": {r"2(\d*)": {"module": "transfer"}}})
ACME = Account(metaflows=CODES, rules=Rules(targets_denied=("0900*",)))


@pytest.fixture
def autojump_clock() -> MockClock:
    return MockClock(autojump_threshold=0)


@asynccontextmanager
async def call(account: Account = ACME) -> AsyncGenerator[tuple[SimulatedBackend, Engine, str]]:
    world = World(seed=1)
    world.add_phone("2600", Answers(), "carol")
    world.add_phone("2601", NeverAnswers(), "never")
    async with (
        open_simulator(world=world) as backend,
        open_engine(backend, account=account) as engine,
    ):
        alice, _bob = await backend.call("1001", "1002")
        yield backend, engine, alice


def press(backend: SimulatedBackend, leg: str, keys: str) -> None:
    backend.world.press(leg, keys, gap_s=0.2)
    backend.nudge()


async def _until_an_outcome(follower: Follower) -> AsyncIterator[Record]:
    async for record in follower:
        yield record
        if record.outcome is not None:
            return


def state_of(engine: Engine, leg: str) -> State:
    transfer = engine.switchboard.transfer_of(leg)
    return transfer.state if transfer else State.IDLE


def transfer_of(engine: Engine, leg: str) -> Transfer:
    transfer = engine.switchboard.transfer_of(leg)
    assert transfer is not None
    return transfer


async def test_a_program_asks_first_and_gives_the_number_later(autojump_clock: MockClock) -> None:
    async with call() as (_backend, engine, alice):
        transfer = await engine.transfer(alice)
        await trio.sleep(1)
        assert state_of(engine, alice) is State.ASKING
        for wrong, why in (
            ("0900123", "not allowed"),
            ("1002", "already a party"),
            ("sip:2600@example.net", "domain"),
        ):
            with pytest.raises(RequestRefused, match=why):
                await transfer.give_number(wrong)
        assert transfer_of(engine, alice).questions == 1, "a program's mistake is no attempt"
        await transfer.give_number("26-00")
        assert transfer_of(engine, alice).target.number == "2600"
        await trio.sleep(5)
        with pytest.raises(RequestRefused, match="no number is asked for now"):
            await transfer.give_number("2601")
        await transfer.complete()
        assert (await transfer.outcome()).outcome is Outcome.TRANSFERRED


async def test_a_number_that_comes_while_the_two_are_separated_is_not_lost(
    autojump_clock: MockClock,
) -> None:
    async with call() as (_backend, engine, alice):
        transfer = await engine.transfer(alice)
        assert state_of(engine, alice) is State.HOLDING
        await transfer.give_number("2600")
        assert state_of(engine, alice) is State.HOLDING
        await trio.sleep(5)
        assert state_of(engine, alice) is State.CONSULTING


async def test_a_number_that_is_refused_counts_as_an_attempt(autojump_clock: MockClock) -> None:
    async with call() as (backend, engine, alice), engine.follow() as records:
        press(backend, alice, "*2")
        await trio.sleep(5)
        for attempt, keys in enumerate(("09001#", "26A", "1002#"), start=1):
            assert transfer_of(engine, alice).questions == attempt
            press(backend, alice, keys)
            await trio.sleep(3)
        ended = [(one.outcome, one.cause) async for one in _until_an_outcome(records)][-1]
        assert ended == (Outcome.RECONNECTED, "NO_NUMBER")


async def test_whoever_may_not_transfer_is_not_asked(autojump_clock: MockClock) -> None:
    nobody = Account(metaflows=CODES, rules=Rules(targets_allowed=("26*",)))
    async with call(nobody) as (backend, engine, alice), engine.follow() as records:
        press(backend, alice, "*2")
        await trio.sleep(5)
        assert state_of(engine, alice) is State.ASKING, "the number is checked when it comes"
        press(backend, alice, "1003#")
        await trio.sleep(2)
        events: list[Event] = []
        async for record in records:
            events.append(record.event)
            if isinstance(record.event, NumberRejected):
                break
        why = "calls to 1003 are not allowed for this account"
        transfer = transfer_of(engine, alice).id
        assert events[-2:] == [
            NumberGiven(transfer=transfer, target="1003"),
            NumberRejected(transfer=transfer, why=why),
        ]


async def test_the_question_is_heard_again_each_time(autojump_clock: MockClock) -> None:
    async with call() as (backend, engine, alice):
        press(backend, alice, "*2")
        await trio.sleep(5)
        heard = [transfer_of(engine, alice).transferor.sound]
        for _ in range(2):
            press(backend, alice, "26A")
            await trio.sleep(3)
            party = transfer_of(engine, alice).transferor
            assert party.hears, "it was ordered and has started"
            heard.append(party.sound)
        policy = Policy()
        assert heard == [policy.dial_tone, policy.wrong_number_tone, policy.wrong_number_tone]


async def test_a_hold_has_no_number(autojump_clock: MockClock) -> None:
    async with call() as (_backend, engine, alice):
        hold = await engine.transfer(alice, kind=Kind.HOLD)
        await trio.sleep(1)
        with pytest.raises(RequestRefused, match="no number is asked for now"):
            await hold.give_number("2600")
