"""Swap and completion by key, live: the transferor changes between transferee and target."""

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
    needs_freeswitch,
    open_live_lab,
    settings,
    talking,
    variables,
)

from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.engine.engine import Engine, open_engine
from hookflash.engine.handles import TransferHandle
from hookflash.engine.legs import Account
from hookflash.events import LegId
from hookflash.fsm.transfer import Outcome, State

pytestmark = needs_freeswitch

both_ways = pytest.mark.parametrize("dialling", [DIALPLAN, DIRECT], ids=["dialplan", "direct"])

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

    async def press(self, keys: str) -> None:
        for key in keys:
            await self.lab.press(self.alice, key)

    async def ends(self) -> Outcome:
        with trio.fail_after(20):
            return (await self.transfer.outcome()).outcome

    async def in_state(self, state: State) -> None:
        with trio.fail_after(20):
            while (now := self.transfer.transfer) is None or now.state is not state:
                await trio.sleep(0.01)

    async def waits_with_music(self, leg: LegId) -> None:
        with trio.fail_after(10):
            while True:
                parties = self.transfer.transfer.parties if self.transfer.transfer else ()
                if any(p.leg == leg and p.hears for p in parties):
                    return
                await trio.sleep(0.02)

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


@asynccontextmanager
async def open_scene(
    dialling: Dialling, number: str = ANSWERS, **choices: str
) -> AsyncGenerator[_Scene]:
    async with (
        open_live_lab(settings(dialling)) as lab,
        open_engine(lab.backend, account=Account(**choices)) as engine,  # type: ignore[arg-type]
    ):
        alice, bob = await lab.call()
        await both_known(engine, (alice, bob))
        transfer = await engine.transfer(alice, number)
        yield _Scene(lab, engine, alice, bob, transfer)


async def _swapped(at: _Scene) -> None:
    await talking(at.engine, at.alice, at.carol)
    await trio.sleep(0.5)
    await at.press("*4")
    await talking(at.engine, at.alice, at.bob)
    await at.waits_with_music(at.carol)


async def _swapped_while_ringing(at: _Scene) -> None:
    await at.in_state(State.DIALING)
    await trio.sleep(0.5)
    await at.transfer.swap()
    await talking(at.engine, at.alice, at.bob)


@both_ways
async def test_to_bob_and_back_by_digits_and_handed_over(dialling: Dialling) -> None:
    async with open_scene(dialling) as at:
        await _swapped(at)
        await at.press("*4")
        await talking(at.engine, at.alice, at.carol)
        await at.waits_with_music(at.bob)
        await at.lab.hang_up(at.alice)
        assert await at.ends() is Outcome.TRANSFERRED
        await at.alone_together(at.bob, at.carol)


@both_ways
@pytest.mark.parametrize("end", ["hangs up", "completes", "takes back", "transferee", "target"])
async def test_every_way_out_of_it(dialling: Dialling, end: str) -> None:
    async with open_scene(dialling) as at:
        await _swapped(at)
        match end:
            case "hangs up":
                await at.lab.hang_up(at.alice)
            case "completes":
                await at.transfer.complete()
            case "takes back":
                await at.press("*1")
            case "transferee":
                await at.lab.hang_up(at.bob)
            case _:
                await at.lab.hang_up(at.carol)
        outcome, pair = {
            "hangs up": (Outcome.TRANSFERRED, (at.bob, at.carol)),
            "completes": (Outcome.TRANSFERRED, (at.bob, at.carol)),
            "takes back": (Outcome.TAKEN_BACK, (at.alice, at.bob)),
            "transferee": (Outcome.ABANDONED, (at.alice, at.carol)),
            "target": (Outcome.RECONNECTED, (at.alice, at.bob)),
        }[end]
        assert await at.ends() is outcome
        await at.alone_together(*pair)


@both_ways
@pytest.mark.parametrize("turns", [True, False], ids=["turns-to-her", "hangs-up"])
async def test_carol_answers_while_alice_talks_with_bob(dialling: Dialling, *, turns: bool) -> None:
    async with open_scene(dialling, RINGS) as at:
        await _swapped_while_ringing(at)
        await trio.sleep(0.5)
        await at.lab.answer(at.carol)
        await at.waits_with_music(at.carol)
        if turns:
            await at.press("*4")
            await talking(at.engine, at.alice, at.carol)
        await at.lab.hang_up(at.alice)
        assert await at.ends() is Outcome.TRANSFERRED
        await at.alone_together(at.bob, at.carol)


@both_ways
async def test_alice_waits_for_carol_again(dialling: Dialling) -> None:
    async with open_scene(dialling, RINGS) as at:
        await _swapped_while_ringing(at)
        await at.transfer.swap()
        await at.in_state(State.DIALING)
        await trio.sleep(0.5)
        await at.lab.answer(at.carol)
        await talking(at.engine, at.alice, at.carol)
        await at.lab.hang_up(at.alice)
        assert await at.ends() is Outcome.TRANSFERRED
        await at.alone_together(at.bob, at.carol)


@both_ways
async def test_alice_hangs_up_while_carol_still_rings(dialling: Dialling) -> None:
    async with open_scene(dialling, RINGS) as at:
        await _swapped_while_ringing(at)
        await trio.sleep(0.5)
        await at.lab.hang_up(at.alice)
        await at.in_state(State.PARTIAL)
        await trio.sleep(0.5)
        await at.lab.answer(at.carol)
        assert await at.ends() is Outcome.TRANSFERRED
        await at.alone_together(at.bob, at.carol)


@both_ways
async def test_completion_by_key(dialling: Dialling) -> None:
    async with open_scene(dialling, complete_digits="*5") as at:
        await talking(at.engine, at.alice, at.carol)
        await trio.sleep(0.5)
        await at.press("*5")
        assert await at.ends() is Outcome.TRANSFERRED
        await at.alone_together(at.bob, at.carol)


@both_ways
@pytest.mark.parametrize("leaver", ["transferor", "transferee"])
async def test_the_switch_joins_who_is_left_with_carol_while_the_controller_is_dead(
    dialling: Dialling, leaver: str
) -> None:
    async with open_live_lab(settings(dialling)) as lab:
        async with open_engine(lab.backend) as engine:
            alice, bob = await lab.call()
            await both_known(engine, (alice, bob))
            at = _Scene(lab, engine, alice, bob, await engine.transfer(alice, ANSWERS))
            await _swapped(at)
            await trio.sleep(0.5)
        await lab.hang_up(alice if leaver == "transferor" else bob)
        await trio.sleep(5.0)
        left = bob if leaver == "transferor" else alice
        living = {leg.leg: leg.peer for leg in await lab.backend.snapshot()}
        assert living == {left: at.carol, at.carol: left}
