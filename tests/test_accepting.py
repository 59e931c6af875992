"""The target accepts: who may say so, by which keys, and when it is refused."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from trio.testing import MockClock

from hookflash.backends.simulator.backend import SimulatedBackend, open_simulator
from hookflash.backends.simulator.people import Answers
from hookflash.backends.simulator.world import World
from hookflash.engine.engine import Engine, open_engine
from hookflash.engine.handles import TransferHandle
from hookflash.engine.legs import Account
from hookflash.errors import RequestRefused
from hookflash.events import Kind, TransferOptions
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Outcome, State

ASKS = Account(policy=attrs.evolve(Policy(), target_accepts=True))


@pytest.fixture
def autojump_clock() -> MockClock:
    return MockClock(autojump_threshold=0)


@asynccontextmanager
async def transfer(
    account: Account = ASKS, **options: object
) -> AsyncGenerator[tuple[SimulatedBackend, Engine, TransferHandle, str]]:
    world = World(seed=1)
    world.add_phone("2600", Answers(after_s=1.0), "carol")
    async with (
        open_simulator(world=world) as backend,
        open_engine(backend, account=account) as engine,
    ):
        alice, bob = await backend.call("1001", "1002")
        chosen = TransferOptions(**options)  # type: ignore[arg-type]
        yield backend, engine, await engine.transfer(alice, "2600", options=chosen), bob


async def until(handle: TransferHandle, state: State) -> None:
    with trio.fail_after(30):
        while handle.transfer is None or handle.transfer.state is not state:
            await trio.sleep(0.01)


def press(backend: SimulatedBackend, leg: str, keys: str) -> None:
    backend.world.press(leg, keys, gap_s=0.2)
    backend.nudge()


@pytest.mark.parametrize("what", ["accept", "decline"])
async def test_nobody_accepts_before_the_answer_or_after_the_acceptance(
    autojump_clock: MockClock, what: str
) -> None:
    async with transfer() as (_, _, handle, _):
        await until(handle, State.DIALING)
        with pytest.raises(RequestRefused, match="no target has to accept now"):
            await getattr(handle, what)()
        await until(handle, State.ACCEPTING)
        await handle.accept()
        await until(handle, State.CONSULTING)
        with pytest.raises(RequestRefused, match="no target has to accept now"):
            await getattr(handle, what)()


async def test_nobody_accepts_where_nobody_is_asked(autojump_clock: MockClock) -> None:
    async with transfer(Account()) as (_, engine, handle, bob):
        await until(handle, State.CONSULTING)
        with pytest.raises(RequestRefused, match="no target has to accept now"):
            await handle.accept()
        alice = handle.transfer.transferor.leg if handle.transfer else ""
        await handle.take_back()
        await handle.outcome()
        hold = await engine.transfer(bob, kind=Kind.HOLD)
        with pytest.raises(RequestRefused, match="no target has to accept now"):
            await hold.accept()
        assert engine.switchboard.leg(alice) is not None


async def test_a_request_asks_though_the_account_does_not_with_keys_of_its_own(
    autojump_clock: MockClock,
) -> None:
    wish = {"target_accepts": True, "accept_digits": "*7", "decline_digits": ""}
    async with transfer(Account(), **wish) as (backend, _, handle, _):
        await until(handle, State.ACCEPTING)
        carol = handle.transfer.target.leg if handle.transfer else ""
        for keys in ("1", "2", "7", "*8"):  # not those
            press(backend, carol, keys)
            await trio.sleep(4.0)
            await until(handle, State.ACCEPTING)
        press(backend, carol, "*7")
        await until(handle, State.CONSULTING)


async def test_a_request_does_not_ask_though_the_account_does(autojump_clock: MockClock) -> None:
    async with transfer(ASKS, target_accepts=False) as (_, _, handle, _):
        await until(handle, State.CONSULTING)


async def test_only_the_target_s_own_keys_count(autojump_clock: MockClock) -> None:
    async with transfer() as (backend, _, handle, bob):
        await until(handle, State.ACCEPTING)
        assert handle.transfer is not None
        press(backend, handle.transfer.transferor.leg, "1")
        press(backend, bob, "1")
        await trio.sleep(5.0)
        await until(handle, State.ACCEPTING)
        press(backend, handle.transfer.target.leg, "2")
        result = await handle.outcome()
        assert (result.outcome, result.cause) == (Outcome.RECONNECTED, "DECLINED")


async def test_afterwards_the_target_s_keys_are_its_partner_s(autojump_clock: MockClock) -> None:
    async with transfer() as (backend, _, handle, _):
        await until(handle, State.ACCEPTING)
        await handle.accept()
        await until(handle, State.CONSULTING)
        assert handle.transfer is not None
        press(backend, handle.transfer.target.leg, "2")
        await trio.sleep(5.0)
        await until(handle, State.CONSULTING)
