"""Callers without a transferor on a real Asterisk: from an extension to a target, and back."""

from __future__ import annotations

import attrs
import pytest
import trio
from asterisk_lab import needs_asterisk
from live_asterisk import (
    DIALPLAN,
    DIRECT,
    AsteriskLab,
    both_known,
    nothing_stays_behind,
    open_live_lab,
    settings_for,
    talking,
)

from hookflash.backends.asterisk.client import open_asterisk
from hookflash.backends.asterisk.procedures import AsteriskDialling
from hookflash.engine.engine import Engine, open_engine
from hookflash.engine.handles import TransferHandle
from hookflash.engine.legs import Account
from hookflash.errors import RequestRefused
from hookflash.events import Kind, LegId, TransferOptions
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Outcome, State
from hookflash.pbx.pair import Pair
from hookflash.pbx.phones import get_variable

pytestmark = needs_asterisk

AWAY = ("default", "away", "1")
"""Where another program has sent the caller."""

both_ways = pytest.mark.parametrize("dialling", [DIALPLAN, DIRECT], ids=["dialplan", "direct"])


async def a_caller(lab: AsteriskLab, engine: Engine) -> LegId:
    """A leg that talks with nobody: in an application of the dialplan."""
    alice, bob = await lab.call()
    await both_known(engine, (alice, bob))
    await lab.take_away(bob)
    await is_away(lab, bob)
    with trio.fail_after(10):
        while alice in engine.switchboard.legs:
            await trio.sleep(0.02)
    return bob


async def is_away(lab: AsteriskLab, leg: LegId, within_s: float = 5.0) -> None:
    with trio.fail_after(within_s):
        while await place(lab, leg) != AWAY:
            await trio.sleep(0.05)


async def place(lab: AsteriskLab, leg: LegId) -> tuple[str, ...]:
    names = ("CONTEXT", "EXTEN", "PRIORITY")
    return tuple([await get_variable(lab.switch, leg, name) for name in names])


async def ends(transfer: TransferHandle) -> tuple[Outcome, str | None]:
    with trio.fail_after(40):
        end = await transfer.outcome()
    return end.outcome, end.cause


async def in_state(engine: Engine, transfer: TransferHandle, state: State) -> None:
    with trio.fail_after(20):
        while (now := engine.switchboard.transfer(transfer.id)) and now.state is not state:
            await trio.sleep(0.01)


@both_ways
async def test_the_target_gets_the_caller(pair: Pair, dialling: AsteriskDialling) -> None:
    async with open_live_lab(pair, dialling) as lab, open_engine(lab.backend) as engine:
        caller = await a_caller(lab, engine)
        transfer = await engine.transfer(caller, "2600")
        assert await ends(transfer) == (Outcome.TRANSFERRED, None)
        await talking(engine, caller, f"{transfer.id}-target")
        await nothing_stays_behind(lab)


@both_ways
@pytest.mark.parametrize(
    ("target", "cause"), [("2602", "USER_BUSY"), ("2603", "CALL_REJECTED"), ("2601", "NO_ANSWER")]
)
async def test_who_can_not_be_given_away_is_back(
    pair: Pair, dialling: AsteriskDialling, target: str, cause: str
) -> None:
    account = Account(policy=attrs.evolve(Policy(), ring_timeout_s=2.0))
    async with (
        open_live_lab(pair, dialling) as lab,
        open_engine(lab.backend, account=account) as engine,
    ):
        caller = await a_caller(lab, engine)
        for _ in range(2):
            transfer = await engine.transfer(caller, target)
            assert await ends(transfer) == (Outcome.RETURNED, cause)
            await is_away(lab, caller)
            await nothing_stays_behind(lab)
        transfer = await engine.transfer(caller, "1004")
        assert await ends(transfer) == (Outcome.TRANSFERRED, None)


@both_ways
async def test_the_caller_leaves_while_the_target_rings(
    pair: Pair, dialling: AsteriskDialling
) -> None:
    async with open_live_lab(pair, dialling) as lab, open_engine(lab.backend) as engine:
        caller = await a_caller(lab, engine)
        transfer = await engine.transfer(caller, "2601")
        await in_state(engine, transfer, State.PARTIAL)
        await trio.sleep(0.5)
        await lab.hang_up(caller)
        assert await ends(transfer) == (Outcome.ABANDONED, "TRANSFEREE_LEFT")
        with trio.fail_after(10):
            while await lab.channels():
                await trio.sleep(0.1)


@both_ways
async def test_the_next_controller_goes_on(pair: Pair, dialling: AsteriskDialling) -> None:
    settings = settings_for(pair, dialling)
    async with open_live_lab(pair, dialling, application="looks-on") as lab:
        async with open_asterisk(settings) as backend, open_engine(backend) as engine:
            caller = await a_caller(lab, engine)
            transfer = await engine.transfer(caller, "2601")
            await in_state(engine, transfer, State.PARTIAL)
            await trio.sleep(0.5)
        async with open_asterisk(settings) as backend, open_engine(backend) as engine:
            with trio.fail_after(10):
                while not engine.transfers():
                    await trio.sleep(0.02)
            assert engine.transfers()[0].kind is Kind.HANDOVER
            await lab.refuse(f"{transfer.id}-target", busy=True)
            await is_away(lab, caller)
            await nothing_stays_behind(lab)


@both_ways
async def test_the_switch_acts_while_the_controller_is_dead(
    pair: Pair, dialling: AsteriskDialling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hookflash.fsm.arrange.ALONE_S", 3.0)
    account = Account(policy=attrs.evolve(Policy(), ring_timeout_s=2.0))
    settings = settings_for(pair, dialling)
    async with open_live_lab(pair, dialling, application="looks-on") as lab:
        async with (
            open_asterisk(settings) as backend,
            open_engine(backend, account=account) as engine,
        ):
            caller = await a_caller(lab, engine)
            transfer = await engine.transfer(caller, "2601")
            await in_state(engine, transfer, State.PARTIAL)
            await trio.sleep(0.5)
        await is_away(lab, caller, within_s=10.0)
        await nothing_stays_behind(lab)
        account = Account()
        async with (
            open_asterisk(settings) as backend,
            open_engine(backend, account=account) as engine,
        ):
            with trio.fail_after(10):
                while caller not in engine.switchboard.legs:
                    await trio.sleep(0.02)
            assert not engine.transfers()
            transfer = await engine.transfer(caller, "2601")
            await in_state(engine, transfer, State.PARTIAL)
            await trio.sleep(0.5)
        target = f"{transfer.id}-target"
        await lab.answer(target)
        await trio.sleep(26.0)  # longer than the caller's time in the park
        living = {leg.leg: leg.peer for leg in await lab.backend.snapshot()}
        assert living == {caller: target, target: caller}


async def test_where_the_caller_goes_is_chosen(pair: Pair) -> None:
    account = Account(returns={"away": "away@default", "nowhere": "nobody@default"})
    async with (
        open_live_lab(pair, DIRECT) as lab,
        open_engine(lab.backend, account=account) as engine,
    ):
        caller = await a_caller(lab, engine)
        with pytest.raises(RequestRefused, match="origin, park, none, away, nowhere"):
            await engine.transfer(caller, "2602", options=TransferOptions(return_to="else"))
        transfer = await engine.transfer(caller, "2602", options=TransferOptions(return_to="away"))
        assert await ends(transfer) == (Outcome.RETURNED, "USER_BUSY")
        for choice in ("park", "nowhere"):  # it is not moved before it is known where it goes back
            options = TransferOptions(return_to=choice)
            transfer = await engine.transfer(caller, "2602", options=options)
            assert await ends(transfer) == (Outcome.FAILED, "SPLIT_FAILED")
            assert await place(lab, caller) == AWAY
            await nothing_stays_behind(lab)
