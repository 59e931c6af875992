"""Recall, live: who has left a transfer that fails is called back, and then the fallback is.

The number of the transferor decides what happens when it is called back: see `live` for what the
phones of the lab do.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from live import (
    DIALPLAN,
    DIRECT,
    LiveLab,
    both_known,
    consult,
    needs_freeswitch,
    open_live_lab,
    settings,
    talking,
)

from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.called import name_of_fallback, name_of_recall, name_of_redial
from hookflash.engine.engine import Engine, open_engine
from hookflash.engine.handles import TransferHandle
from hookflash.engine.legs import Account
from hookflash.events import Kind, LegId, TransferOptions
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Outcome, State

pytestmark = needs_freeswitch

ANSWERS, RINGS_FIRST, NEVER, BUSY, REFUSES = "1001", "2600", "2601", "2602", "2603"

both_ways = pytest.mark.parametrize("dialling", [DIALPLAN, DIRECT], ids=["dialplan", "direct"])
both_kinds = pytest.mark.parametrize("kind", [Kind.ATTENDED, Kind.BLIND], ids=str)


@attrs.frozen
class _Scene:
    lab: LiveLab
    engine: Engine
    alice: LegId
    bob: LegId

    async def leave(
        self, target: str, kind: Kind = Kind.ATTENDED, options: TransferOptions | None = None
    ) -> TransferHandle:
        """Alice transfers Bob to a number, and leaves at once."""
        asked = options or TransferOptions()
        transfer = await self.engine.transfer(self.alice, target, kind=kind, options=asked)
        if kind is Kind.ATTENDED:
            await trio.sleep(0.1)
            await self.lab.hang_up(self.alice)
        return transfer

    async def ends(self, transfer: TransferHandle) -> tuple[Outcome, str | None]:
        with trio.fail_after(40):
            end = await transfer.outcome()
        return end.outcome, end.cause

    async def in_state(self, transfer: TransferHandle, state: State) -> None:
        with trio.fail_after(20):
            while (now := self.engine.switchboard.transfer(transfer.id)) and now.state is not state:
                await trio.sleep(0.01)


@asynccontextmanager
async def open_scene(
    dialling: Dialling, caller: str = ANSWERS, **choices: object
) -> AsyncGenerator[_Scene]:
    policy = attrs.evolve(Policy(), **choices)
    async with (
        open_live_lab(settings(dialling)) as lab,
        open_engine(lab.backend, account=Account(policy=policy)) as engine,
    ):
        alice, bob = await lab.call(caller=caller)
        await both_known(engine, (alice, bob))
        yield _Scene(lab, engine, alice, bob)


@both_ways
@both_kinds
async def test_who_has_left_is_called_back_and_can_transfer_again(
    dialling: Dialling, kind: Kind
) -> None:
    async with open_scene(dialling) as at:
        transfer = await at.leave(BUSY, kind)
        assert await at.ends(transfer) == (Outcome.RECALLED, "USER_BUSY")
        recalled = name_of_recall(transfer.id, 1)
        await talking(at.engine, recalled, at.bob)
        await trio.sleep(1.0)
        assert await at.lab.shown(recalled) == ("1002", "1002")
        for key in "*22600#":
            await at.lab.press(recalled, key)
        with trio.fail_after(20):
            while not (again := at.engine.transfers()):
                await trio.sleep(0.05)
        target = f"{again[0].id}-target"
        await talking(at.engine, recalled, target)
        await at.lab.hang_up(recalled)
        await talking(at.engine, at.bob, target)


@both_ways
async def test_bob_hears_ringback_while_the_transferor_is_called_back_and_has_her(
    dialling: Dialling,
) -> None:
    async with open_scene(dialling, caller=RINGS_FIRST) as at:
        transfer = await at.leave(BUSY)
        await at.in_state(transfer, State.RECALL)
        with trio.fail_after(5):
            while not ((now := transfer.transfer) and now.transferee.hears):
                await trio.sleep(0.02)
        assert now.transferee.sound == now.policy.ringback
        assert await at.lab.shown(name_of_recall(transfer.id, 1)) == ("Recall 1002", "1002")
        assert await at.ends(transfer) == (Outcome.RECALLED, "USER_BUSY")
        await talking(at.engine, name_of_recall(transfer.id, 1), at.bob)


@both_ways
@pytest.mark.parametrize(("caller", "rings_s"), [(BUSY, 20.0), (NEVER, 2.0)], ids=["busy", "rings"])
async def test_the_fallback_gets_whom_the_transferor_can_not_have(
    dialling: Dialling, caller: str, rings_s: float
) -> None:
    choices = {"recall_ring_timeout_s": rings_s, "fallback_target": "2600", "recall_attempts": 2}
    choices |= {"recall_attempts": 1} if caller == NEVER else {}
    async with open_scene(dialling, caller, **choices) as at:
        transfer = await at.leave(REFUSES)
        assert await at.ends(transfer) == (Outcome.FELL_BACK, "CALL_REJECTED")
        await talking(at.engine, at.bob, name_of_fallback(transfer.id))


@both_ways
async def test_a_request_chooses_its_own_fallback_and_no_recall(dialling: Dialling) -> None:
    async with open_scene(dialling) as at:
        options = TransferOptions(recall_attempts=0, fallback_target="2600")
        transfer = await at.leave(BUSY, options=options)
        assert await at.ends(transfer) == (Outcome.FELL_BACK, "USER_BUSY")
        await talking(at.engine, at.bob, name_of_fallback(transfer.id))


@both_ways
async def test_nobody_can_be_had(dialling: Dialling) -> None:
    async with open_scene(dialling, BUSY, fallback_target=BUSY, tone_s=1.0) as at:
        transfer = await at.leave(REFUSES)
        assert await at.ends(transfer) == (Outcome.FAILED, "CALL_REJECTED")
        with trio.fail_after(10):
            while await at.lab.switch.channels():
                await trio.sleep(0.1)


@both_ways
async def test_the_target_is_called_once_more_between_two_recalls(dialling: Dialling) -> None:
    choices = {"recall_attempts": 2, "recall_delay_s": 0.5, "recall_redials": True}
    async with open_scene(dialling, BUSY, **choices) as at:
        transfer = await at.leave("2650")
        await at.in_state(transfer, State.PARTIAL)
        await at.lab.refuse(f"{transfer.id}-target", busy=True)
        again = name_of_redial(transfer.id, 1)
        with trio.fail_after(20):
            while again not in at.engine.switchboard.legs:
                await trio.sleep(0.02)
        await at.lab.answer(again)
        assert await at.ends(transfer) == (Outcome.TRANSFERRED, None)
        await talking(at.engine, at.bob, again)


@both_ways
async def test_the_transferee_leaves_while_the_transferor_is_called_back(
    dialling: Dialling,
) -> None:
    async with open_scene(dialling, NEVER) as at:
        transfer = await at.leave(BUSY)
        await at.in_state(transfer, State.RECALL)
        await trio.sleep(0.5)
        await at.lab.hang_up(at.bob)
        assert await at.ends(transfer) == (Outcome.ABANDONED, "TRANSFEREE_LEFT")
        with trio.fail_after(10):
            while await at.lab.switch.channels():
                await trio.sleep(0.1)


@both_ways
async def test_the_switch_joins_the_two_while_the_controller_is_dead(dialling: Dialling) -> None:
    async with open_live_lab(settings(dialling)) as lab:
        async with open_engine(lab.backend) as engine:
            alice, bob = await lab.call(caller=RINGS_FIRST)
            await both_known(engine, (alice, bob))
            at = _Scene(lab, engine, alice, bob)
            transfer = await at.leave(BUSY)
            await at.in_state(transfer, State.RECALL)
            await trio.sleep(0.3)
        await trio.sleep(4.0)
        recalled = name_of_recall(transfer.id, 1)
        living = {leg.leg: leg.peer for leg in await lab.backend.snapshot()}
        assert living == {bob: recalled, recalled: bob}
        async with lab.second() as backend, open_engine(backend) as engine:
            await talking(engine, recalled, bob)
            with trio.fail_after(10):  # the next one takes the marks away
                while engine.transfers():
                    await trio.sleep(0.02)
            again, target = await consult(engine, recalled, "1004")
            await lab.hang_up(recalled)
            with trio.fail_after(20):
                assert (await again.outcome()).outcome is Outcome.TRANSFERRED
            await talking(engine, bob, target)


@both_ways
async def test_the_next_controller_goes_on_with_the_recall(dialling: Dialling) -> None:
    async with open_live_lab(settings(dialling)) as lab:
        async with open_engine(lab.backend) as engine:
            alice, bob = await lab.call(caller=NEVER)
            await both_known(engine, (alice, bob))
            at = _Scene(lab, engine, alice, bob)
            transfer = await at.leave(BUSY)
            await at.in_state(transfer, State.RECALL)
            await trio.sleep(0.5)
        account = Account(policy=attrs.evolve(Policy(), fallback_target="2600"))
        async with lab.second() as backend, open_engine(backend, account=account) as engine:
            with trio.fail_after(10):
                while not (found := engine.transfers()):
                    await trio.sleep(0.02)
            assert found[0].id == transfer.id
            recalled = name_of_recall(transfer.id, 1)
            await lab.refuse(recalled)
            await talking(engine, bob, name_of_fallback(transfer.id))


TRIES = 30


@both_ways
async def test_a_target_that_leaves_as_it_is_joined_takes_nobody_along(dialling: Dialling) -> None:
    """Some 0 to 90 ms after its answer: before they talk the transferor is called back.

    Where neither leg parks, FreeSWITCH ends the other one too (DESTINATION_OUT_OF_ORDER).
    """
    policy = attrs.evolve(Policy(), recall_ring_timeout_s=5.0)
    seen: list[Outcome] = []
    async with (
        open_live_lab(settings(dialling)) as lab,
        open_engine(lab.backend, account=Account(policy=policy)) as engine,
    ):
        for number in range(TRIES):
            legs = await lab.call(caller=ANSWERS)
            await both_known(engine, legs)
            transfer = await engine.transfer(legs[0], lab.ringing, kind=Kind.BLIND)
            target = f"{transfer.id}-target"
            await lab.phone(target)
            await trio.sleep(0.3)  # it rings
            await lab.answer(target)
            await trio.sleep(0.003 * number)
            await lab.hang_up(target)
            with trio.fail_after(20):
                seen.append((await transfer.outcome()).outcome)
            await lab.switch.api("hupall")
            with trio.fail_after(10):
                while await lab.switch.channels():
                    await trio.sleep(0.05)
    assert {*seen} <= {Outcome.RECALLED, Outcome.TRANSFERRED}, seen
    assert Outcome.RECALLED in seen, seen
