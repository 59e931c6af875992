"""Several targets, live: one after the other, or all at once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
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
from hookflash.engine.record import Record
from hookflash.events import FurtherTarget, Kind, LegId, TransferOptions
from hookflash.fsm.transfer import Outcome
from hookflash.scenarios.simulation import unfinished_of

pytestmark = needs_freeswitch

both_ways = pytest.mark.parametrize("dialling", [DIALPLAN, DIRECT], ids=["dialplan", "direct"])

BUSY, REFUSES, ANSWERS, NEVER, RINGS, RINGS_TOO = "2602", "2603", "2600", "2601", "2650", "2651"


@attrs.frozen
class _Scene:
    lab: LiveLab
    engine: Engine
    alice: LegId
    bob: LegId
    transfer: TransferHandle
    records: list[Record]

    def target(self, number: int) -> LegId:
        """The leg of the first, second … target."""
        return f"{self.transfer.id}-target" + ("" if number == 1 else f"-of-list-{number}")

    async def ends(self) -> Outcome:
        with trio.fail_after(30):
            return (await self.transfer.outcome()).outcome

    async def ring(self, *numbers: int) -> None:
        """Wait until the phones of these targets ring."""
        with trio.fail_after(20):
            while {self.target(number) for number in numbers} - {*await self.living()}:
                await trio.sleep(0.05)
        await trio.sleep(0.5)

    async def living(self) -> list[LegId]:
        return [leg.leg for leg in await self.lab.backend.snapshot()]

    async def alone_together(self, *pair: LegId) -> None:
        """These two talk, nobody else is there or rings, and nothing stays behind on them."""
        await talking(self.engine, *pair)
        with trio.fail_after(10):
            while {*await self.living()} != {*pair}:
                await trio.sleep(0.05)
        await trio.sleep(0.5)
        for leg in pair:
            left = await variables(self.lab, leg)
            assert not [name for name in left if name.startswith("hookflash_")], left


@asynccontextmanager
async def open_scene(
    dialling: Dialling,
    numbers: Sequence[str],
    *,
    kind: Kind = Kind.ATTENDED,
    at_once: bool = False,
    ring_timeout_s: float | None = None,
) -> AsyncGenerator[_Scene]:
    records: list[Record] = []
    async with (
        open_live_lab(settings(dialling)) as lab,
        open_engine(lab.backend, taps=[records.append]) as engine,
    ):
        alice, bob = await lab.call()
        await both_known(engine, (alice, bob))
        further = tuple(FurtherTarget(number=number, ring_timeout_s=15) for number in numbers[1:])
        options = TransferOptions(
            further_targets=further, rings_all=at_once, ring_timeout_s=ring_timeout_s
        )
        transfer = await engine.transfer(alice, numbers[0], kind=kind, options=options)
        yield _Scene(lab, engine, alice, bob, transfer, records)


@both_ways
async def test_the_next_one_is_called(dialling: Dialling) -> None:
    async with open_scene(dialling, [BUSY, REFUSES, ANSWERS]) as at:
        await talking(at.engine, at.alice, at.target(3))
        await at.lab.hang_up(at.alice)
        assert await at.ends() is Outcome.TRANSFERRED
        named = [one.parties.target for one in at.records if one.outcome and one.parties]
        assert [(one.leg, one.number) for one in named] == [(at.target(3), ANSWERS)]
        await at.alone_together(at.bob, at.target(3))


@both_ways
async def test_nobody_of_the_list_can_be_had(dialling: Dialling) -> None:
    async with open_scene(dialling, [BUSY, REFUSES]) as at:
        assert await at.ends() is Outcome.RECONNECTED
        await at.alone_together(at.alice, at.bob)


@both_ways
async def test_each_has_its_ring_timeout(dialling: Dialling) -> None:
    async with open_scene(dialling, [NEVER, ANSWERS], ring_timeout_s=2) as at:
        began = trio.current_time()
        await talking(at.engine, at.alice, at.target(2))
        assert trio.current_time() - began < 10
        await at.transfer.complete()
        assert await at.ends() is Outcome.TRANSFERRED
        await at.alone_together(at.bob, at.target(2))


@both_ways
async def test_blind_to_a_list(dialling: Dialling) -> None:
    async with open_scene(dialling, [BUSY, ANSWERS], kind=Kind.BLIND) as at:
        assert await at.ends() is Outcome.TRANSFERRED
        await at.alone_together(at.bob, at.target(2))


@both_ways
async def test_she_leaves_while_the_second_rings(dialling: Dialling) -> None:
    async with open_scene(dialling, [BUSY, RINGS]) as at:
        await at.ring(2)
        await at.lab.hang_up(at.alice)
        await trio.sleep(0.5)
        await at.lab.answer(at.target(2))
        assert await at.ends() is Outcome.TRANSFERRED
        await at.alone_together(at.bob, at.target(2))


@both_ways
async def test_he_is_taken_back_while_the_second_rings(dialling: Dialling) -> None:
    async with open_scene(dialling, [BUSY, RINGS]) as at:
        await at.ring(2)
        await at.transfer.take_back()
        assert await at.ends() is Outcome.TAKEN_BACK
        await at.alone_together(at.alice, at.bob)


@both_ways
@pytest.mark.parametrize("first", [1, 2])
async def test_the_first_answer_wins(dialling: Dialling, first: int) -> None:
    async with open_scene(dialling, [RINGS, RINGS_TOO], at_once=True) as at:
        await at.ring(1, 2)
        await at.lab.answer(at.target(first))
        await talking(at.engine, at.alice, at.target(first))
        await at.lab.hang_up(at.alice)
        assert await at.ends() is Outcome.TRANSFERRED
        await at.alone_together(at.bob, at.target(first))


@both_ways
async def test_both_answer_in_the_same_instant(dialling: Dialling) -> None:
    for _ in range(4):
        async with open_scene(dialling, [RINGS, RINGS_TOO], at_once=True) as at:
            await at.ring(1, 2)
            async with trio.open_nursery() as nursery:
                for number in (1, 2):
                    nursery.start_soon(at.lab.answer, at.target(number))
            with trio.fail_after(10):
                while (leg := at.engine.switchboard.leg(at.alice)) is None or leg.peer is None:
                    await trio.sleep(0.05)
            winner = leg.peer
            await at.lab.hang_up(at.alice)
            assert await at.ends() is Outcome.TRANSFERRED
            await at.alone_together(at.bob, winner)


@both_ways
async def test_one_of_two_can_be_had(dialling: Dialling) -> None:
    async with open_scene(dialling, [BUSY, RINGS], at_once=True) as at:
        await at.ring(2)
        await trio.sleep(1)
        await at.lab.answer(at.target(2))
        await talking(at.engine, at.alice, at.target(2))
        await at.transfer.complete()
        assert await at.ends() is Outcome.TRANSFERRED
        await at.alone_together(at.bob, at.target(2))


@both_ways
async def test_taken_back_from_all(dialling: Dialling) -> None:
    async with open_scene(dialling, [RINGS, RINGS_TOO], at_once=True) as at:
        await at.ring(1, 2)
        await at.transfer.take_back()
        assert await at.ends() is Outcome.TAKEN_BACK
        await at.alone_together(at.alice, at.bob)


@both_ways
@pytest.mark.parametrize("first", [1, 2])
async def test_she_leaves_while_both_ring(dialling: Dialling, first: int) -> None:
    async with open_scene(dialling, [RINGS, RINGS_TOO], at_once=True) as at:
        await at.ring(1, 2)
        await at.lab.hang_up(at.alice)
        await trio.sleep(0.5)
        await at.lab.answer(at.target(first))
        assert await at.ends() is Outcome.TRANSFERRED
        await at.alone_together(at.bob, at.target(first))


@both_ways
async def test_blind_to_two_at_once(dialling: Dialling) -> None:
    async with open_scene(dialling, [RINGS, ANSWERS], kind=Kind.BLIND, at_once=True) as at:
        assert await at.ends() is Outcome.TRANSFERRED
        await at.alone_together(at.bob, at.target(2))


@both_ways
@pytest.mark.parametrize("first", [1, 2])
async def test_a_restart_while_both_ring(dialling: Dialling, first: int) -> None:
    records: list[Record] = []
    async with open_live_lab(settings(dialling)) as lab:
        async with open_engine(lab.backend, taps=[records.append]) as engine:
            alice, bob = await lab.call()
            await both_known(engine, (alice, bob))
            options = TransferOptions(
                further_targets=(FurtherTarget(number=RINGS_TOO),), rings_all=True
            )
            handle = await engine.transfer(alice, RINGS, options=options)
            at = _Scene(lab, engine, alice, bob, handle, records)
            await at.ring(1, 2)
        async with (
            lab.second() as backend,
            open_engine(
                backend, unfinished=unfinished_of(records), taps=[records.append]
            ) as engine,
        ):
            at = attrs.evolve(at, engine=engine)
            with trio.fail_after(10):
                while engine.transfer_in_flight(handle.id) is None:
                    await trio.sleep(0.05)
            await trio.sleep(0.5)
            await lab.answer(at.target(first))
            await talking(engine, alice, at.target(first))
            await lab.hang_up(alice)
            await at.alone_together(bob, at.target(first))
    assert [one.outcome for one in records if one.outcome] == [Outcome.TRANSFERRED]


@both_ways
async def test_the_failsafe_with_two_at_once(dialling: Dialling) -> None:
    """The controller is gone, and so is Alice: the switch on its own joins Bob with the first."""
    records: list[Record] = []
    async with open_live_lab(settings(dialling)) as lab:
        async with open_engine(lab.backend, taps=[records.append]) as engine:
            alice, bob = await lab.call()
            await both_known(engine, (alice, bob))
            options = TransferOptions(
                further_targets=(FurtherTarget(number=RINGS_TOO),), rings_all=True
            )
            handle = await engine.transfer(alice, RINGS, options=options)
            at = _Scene(lab, engine, alice, bob, handle, records)
            await at.ring(1, 2)
            await lab.hang_up(alice)
            await trio.sleep(1)
        await lab.answer(at.target(1))
        with trio.fail_after(10):
            while True:
                legs = {leg.leg: leg for leg in await lab.backend.snapshot()}
                if bob in legs and legs[bob].peer == at.target(1):
                    break
                await trio.sleep(0.1)
