"""The target accepts, live: it hears a prompt, and is connected with nobody before."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from live import (
    DIALPLAN,
    DIRECT,
    LiveLab,
    both_known,
    needs_freeswitch,
    noting,
    open_live_lab,
    settings,
    talking,
    variables,
)

from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.engine.engine import Engine, open_engine
from hookflash.engine.handles import Result, TransferHandle
from hookflash.engine.legs import Account
from hookflash.events import AcceptRequested, Kind, LegId
from hookflash.fsm.policy import Choice, Policy
from hookflash.fsm.transfer import Outcome, State

pytestmark = needs_freeswitch

both_ways = pytest.mark.parametrize("dialling", [DIALPLAN, DIRECT], ids=["dialplan", "direct"])
of_each_kind = pytest.mark.parametrize("kind", [Kind.ATTENDED, Kind.BLIND])

ANSWERS, RINGS = "2600", "2650"


@attrs.frozen
class _Scene:
    lab: LiveLab
    engine: Engine
    alice: LegId
    bob: LegId
    transfer: TransferHandle

    @property
    def carol(self) -> LegId:
        return f"{self.transfer.id}-target"

    async def ends(self) -> Result:
        with trio.fail_after(40):
            return await self.transfer.outcome()

    async def in_state(self, state: State) -> None:
        with trio.fail_after(20):
            while (now := self.transfer.transfer) is None or now.state is not state:
                await trio.sleep(0.01)

    async def is_asked(self) -> None:
        """Carol hears the prompt, and talks with nobody."""
        await self.in_state(State.ACCEPTING)
        with trio.fail_after(10):
            while (now := self.transfer.transfer) is None or not now.target.hears:
                await trio.sleep(0.02)
        assert now.target.sound == now.policy.accept_prompt
        assert now.target.peer is None

    async def alone_together(self, *pair: LegId) -> None:
        """These two talk, nobody else is there, and nothing stays behind on them."""
        await talking(self.engine, *pair)
        with trio.fail_after(5):
            while {leg.leg for leg in await self.lab.backend.snapshot()} != {*pair}:
                await trio.sleep(0.05)
        await trio.sleep(0.5)
        for leg in pair:
            left = await variables(self.lab, leg)
            assert not [name for name in left if name.startswith("hookflash_")], left
            assert "exec_after_bridge_app" not in left


def account_with(**choices: Any) -> Account:
    return Account(policy=attrs.evolve(Policy(), target_accepts=True, **choices))


@asynccontextmanager
async def open_scene(
    dialling: Dialling,
    number: str = ANSWERS,
    kind: Kind = Kind.ATTENDED,
    *,
    caller: str = "1001",
    **choices: Any,
) -> AsyncGenerator[_Scene]:
    async with (
        open_live_lab(settings(dialling)) as lab,
        open_engine(lab.backend, account=account_with(**choices)) as engine,
    ):
        alice, bob = await lab.call(caller=caller)
        await both_known(engine, (alice, bob))
        transfer = await engine.transfer(alice, number, kind=kind)
        yield _Scene(lab, engine, alice, bob, transfer)


@both_ways
async def test_carol_accepts_by_a_key_which_counts_once(dialling: Dialling) -> None:
    async with open_scene(dialling) as at, noting(at.engine) as records:
        await at.is_asked()
        await at.lab.press(at.carol, "1")
        await talking(at.engine, at.alice, at.carol)
        await trio.sleep(0.5)
        await at.lab.hang_up(at.alice)
        assert (await at.ends()).outcome is Outcome.TRANSFERRED
        await at.alone_together(at.bob, at.carol)
    assert len([one for one in records if isinstance(one.event, AcceptRequested)]) == 1


@both_ways
async def test_keys_of_others_do_not_accept(dialling: Dialling) -> None:
    async with open_scene(dialling) as at:
        await at.is_asked()
        await at.lab.press(at.alice, "1")
        await at.lab.press(at.bob, "1")
        await at.lab.press(at.carol, "3")
        await trio.sleep(1.0)
        await at.is_asked()
        await at.transfer.accept()
        await talking(at.engine, at.alice, at.carol)
        await at.lab.hang_up(at.alice)
        assert (await at.ends()).outcome is Outcome.TRANSFERRED
        await at.alone_together(at.bob, at.carol)


@both_ways
@pytest.mark.parametrize("how", ["key", "program", "limit", "hangs up"])
async def test_carol_does_not_accept(dialling: Dialling, how: str) -> None:
    async with open_scene(dialling, accept_limit_s=3.0 if how == "limit" else 20.0) as at:
        await at.is_asked()
        match how:
            case "key":
                await at.lab.press(at.carol, "2")
            case "program":
                await at.transfer.decline()
            case "hangs up":
                await at.lab.hang_up(at.carol)
            case _:
                pass
        result = await at.ends()
        assert result.outcome is Outcome.RECONNECTED
        causes = {"limit": "NOT_ACCEPTED", "hangs up": "NORMAL_CLEARING"}
        assert result.cause == causes.get(how, "DECLINED")
        await at.alone_together(at.alice, at.bob)


@both_ways
@pytest.mark.parametrize("leaver", ["transferor", "transferee", "takes back"])
async def test_somebody_leaves_while_carol_is_asked(dialling: Dialling, leaver: str) -> None:
    async with open_scene(dialling) as at:
        await at.is_asked()
        if leaver == "takes back":
            for key in "*1":
                await at.lab.press(at.alice, key)
        else:
            await at.lab.hang_up(at.alice if leaver == "transferor" else at.bob)
            await trio.sleep(1.5)
            await at.is_asked()
            await at.lab.press(at.carol, "1")
        outcome, pair = {
            "transferor": (Outcome.TRANSFERRED, (at.bob, at.carol)),
            "transferee": (Outcome.ABANDONED, (at.alice, at.carol)),
            "takes back": (Outcome.TAKEN_BACK, (at.alice, at.bob)),
        }[leaver]
        assert (await at.ends()).outcome is outcome
        await at.alone_together(*pair)


@both_ways
async def test_a_blind_transfer_is_accepted(dialling: Dialling) -> None:
    async with open_scene(dialling, kind=Kind.BLIND) as at:
        await at.is_asked()
        await at.lab.press(at.carol, "1")
        assert (await at.ends()).outcome is Outcome.TRANSFERRED
        await at.alone_together(at.bob, at.carol)


@both_ways
async def test_alice_is_called_back_when_carol_declines_a_blind_transfer(
    dialling: Dialling,
) -> None:
    async with open_scene(dialling, kind=Kind.BLIND) as at:
        await at.is_asked()
        await at.lab.press(at.carol, "2")
        result = await at.ends()
        assert (result.outcome, result.cause) == (Outcome.RECALLED, "DECLINED")
        await at.alone_together(at.bob, f"{at.transfer.id}-recall-1")


@both_ways
async def test_alice_leaves_and_partial_transfers_are_disabled(dialling: Dialling) -> None:
    async with open_scene(dialling, transferor_leaves_ringing=Choice.END, tone_s=1.0) as at:
        await at.is_asked()
        await at.lab.hang_up(at.alice)
        assert (await at.ends()).outcome is Outcome.FAILED
        with trio.fail_after(10):
            while await at.lab.backend.snapshot():
                await trio.sleep(0.05)


@both_ways
@of_each_kind
async def test_carol_answers_while_the_controller_is_dead_and_is_connected_with_nobody_unasked(
    dialling: Dialling, kind: Kind
) -> None:
    async with open_live_lab(settings(dialling)) as lab:
        async with open_engine(lab.backend, account=account_with()) as engine:
            alice, bob = await lab.call()
            await both_known(engine, (alice, bob))
            at = _Scene(lab, engine, alice, bob, await engine.transfer(alice, RINGS, kind=kind))
            if kind is Kind.ATTENDED:
                await at.in_state(State.DIALING)
                await trio.sleep(0.5)
                await lab.hang_up(alice)
            await at.in_state(State.PARTIAL)
            await trio.sleep(1.0)
        await lab.answer(at.carol)
        await trio.sleep(5.0)
        living = {leg.leg: leg.peer for leg in await lab.backend.snapshot()}
        assert living == {bob: None, at.carol: None}
        await _the_next_one_asks(lab, at)


@both_ways
@of_each_kind
async def test_the_controller_dies_while_carol_is_asked(dialling: Dialling, kind: Kind) -> None:
    async with open_live_lab(settings(dialling)) as lab:
        async with open_engine(lab.backend, account=account_with()) as engine:
            alice, bob = await lab.call()
            await both_known(engine, (alice, bob))
            at = _Scene(lab, engine, alice, bob, await engine.transfer(alice, ANSWERS, kind=kind))
            await at.is_asked()
            await trio.sleep(0.5)
        if kind is Kind.ATTENDED:
            await lab.hang_up(alice)
        await trio.sleep(3.0)
        await _the_next_one_asks(lab, at)


async def _the_next_one_asks(lab: LiveLab, before: _Scene) -> None:
    async with (
        lab.second() as backend,
        open_engine(backend, account=account_with()) as engine,
    ):
        with trio.fail_after(10):
            while not engine.transfers():
                await trio.sleep(0.02)
        handle = TransferHandle(engine, before.transfer.id)
        at = attrs.evolve(before, engine=engine, transfer=handle)
        await at.is_asked()
        await lab.press(at.carol, "1")
        await talking(engine, at.bob, at.carol)
        await at.alone_together(at.bob, at.carol)
