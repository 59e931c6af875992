"""Park and pick up, live: by keys and by requests, from any phone, and back if nobody does."""

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
    needs,
    needs_freeswitch,
    noting,
    open_live_lab,
    settings,
    talking,
    variables,
)

from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.called import name_of_fallback, name_of_recall
from hookflash.dialling.metaflows import parse_metaflows
from hookflash.engine.engine import Engine, open_engine
from hookflash.engine.handles import TransferHandle
from hookflash.engine.legs import Account
from hookflash.errors import RequestRefused
from hookflash.events import Kind, LegHungUp, LegId, TransferOptions
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Outcome, State, Transfer
from hookflash.sounds import parse_sound

pytestmark = needs_freeswitch

both_ways = pytest.mark.parametrize("dialling", [DIALPLAN, DIRECT], ids=["dialplan", "direct"])

CODES = parse_metaflows(
    {"numbers": {"4": {"module": "park"}}, "patterns": {r"4(7\d\d)": {"module": "park"}}}
)
MUSIC = "tone_stream://%(300,300,425);loops=-1"
MENU = "5000"


@attrs.frozen
class _Scene:
    lab: LiveLab
    engine: Engine
    alice: LegId
    bob: LegId

    async def park(self, slot: str = "", limit_s: float | None = None) -> TransferHandle:
        options = TransferOptions(slot=slot, parking_limit_s=limit_s)
        handle = await self.engine.transfer(self.alice, kind=Kind.PARK, options=options)
        await self.in_state(handle.id, State.PARKED)
        return handle

    async def in_state(self, transfer: str, state: State) -> None:
        with trio.fail_after(30):
            while (now := self.engine.switchboard.transfer(transfer)) and now.state is not state:
                await trio.sleep(0.01)

    async def parked(self) -> Transfer:
        """The transfer that somebody has begun by keys."""
        with trio.fail_after(20):
            while not (now := self.engine.transfers()) or now[0].state is not State.PARKED:
                await trio.sleep(0.02)
        return now[0]

    async def ends(self, transfer: TransferHandle) -> tuple[Outcome, str | None]:
        with trio.fail_after(60):
            end = await transfer.outcome()
        return end.outcome, end.cause

    async def is_ordinary(self, leg: LegId) -> None:
        """The two talk, carry nothing of ours, and end together."""
        await trio.sleep(2.5)
        for one in (leg, self.bob):
            left = await variables(self.lab, one)
            left.pop("park_timeout", None)  # the operator's own, of the number that was called
            assert set(left.values()) <= {"true", "false"}, left
        await self.lab.hang_up(self.bob)
        with trio.fail_after(10):
            while await self.lab.switch.channels():
                await trio.sleep(0.1)


@asynccontextmanager
async def open_scene(dialling: Dialling = DIRECT, **choices: object) -> AsyncGenerator[_Scene]:
    policy = attrs.evolve(Policy(music=parse_sound("tone:425/300,0/300")), **choices)
    account = Account(metaflows=CODES, policy=policy)
    async with (
        open_live_lab(settings(dialling)) as lab,
        open_engine(lab.backend, account=account) as engine,
    ):
        await needs(lab, "701")
        alice, bob = await lab.call()
        await both_known(engine, (alice, bob))
        yield _Scene(lab, engine, alice, bob)


def is_end_of(leg: LegId, event: object) -> bool:
    return isinstance(event, LegHungUp) and event.leg == leg


async def is_gone(lab: LiveLab, leg: LegId, within_s: float = 10.0) -> None:
    with trio.fail_after(within_s):
        while leg in {row["uuid"] for row in await lab.switch.channels()}:
            await trio.sleep(0.05)


async def hears_music(lab: LiveLab, leg: LegId) -> None:
    with trio.fail_after(5):
        while await lab.variable(leg, "current_application_data") != MUSIC:
            await trio.sleep(0.05)


@pytest.mark.parametrize(("keys", "slot"), [("*4703", "703"), ("*4#", "701")])
async def test_a_phone_parks_by_a_code_and_any_phone_picks_up(keys: str, slot: str) -> None:
    async with open_scene() as at:
        for key in keys:
            await at.lab.press(at.alice, key)
            await trio.sleep(0.3)
        parked = await at.parked()
        assert parked.slot == slot
        await is_gone(at.lab, at.alice)
        await hears_music(at.lab, at.bob)
        carol = await at.lab.call_in(slot, caller="1003")
        await talking(at.engine, at.bob, carol)
        assert (await at.lab.shown(carol))[1] == "1002"
        assert await at.lab.variable(carol, "hookflash_pick_up") == ""
        await at.is_ordinary(carol)


async def test_a_program_parks_and_gives_the_call_to_a_leg_in_a_menu() -> None:
    async with open_scene() as at:
        handle = await at.park()
        carol = await at.lab.call_in(MENU, caller="1003")
        with trio.fail_after(10):
            while (leg := at.engine.switchboard.leg(carol)) is None or not leg.answered:
                await trio.sleep(0.02)
        with pytest.raises(RequestRefused, match="no call is parked in 702"):
            await at.engine.pick_up(carol, "702")
        record = await at.engine.pick_up(carol, "701")
        assert record.transfer == handle.id
        assert await at.ends(handle) == (Outcome.TRANSFERRED, None)
        await talking(at.engine, at.bob, carol)
        await trio.sleep(0.5)
        assert await at.lab.variable(carol, "playback_terminators") == "#"
        await at.lab.hang_up(at.bob)
        await is_gone(at.lab, carol)


async def test_an_empty_slot_is_heard_and_the_leg_is_hung_up() -> None:
    async with open_scene() as at:
        carol = await at.lab.call_in("715", caller="1003")
        heard = ""
        with trio.move_on_after(3):
            while "480,620" not in heard:
                heard = await at.lab.variable(carol, "current_application_data")
                await trio.sleep(0.05)
        assert "480,620" in heard
        await is_gone(at.lab, carol)
        assert {at.alice, at.bob} <= {row["uuid"] for row in await at.lab.switch.channels()}


@both_ways
async def test_the_party_that_parked_is_called_back(dialling: Dialling) -> None:
    async with open_scene(dialling) as at:
        handle = await at.park(limit_s=3)
        assert await at.ends(handle) == (Outcome.RECALLED, "PARKING_LIMIT")
        recalled = name_of_recall(handle.id, 1)
        await talking(at.engine, at.bob, recalled)
        assert (await at.lab.shown(recalled))[1] == "1002"
        await at.is_ordinary(recalled)


@both_ways
async def test_the_fallback_target_gets_the_call_in_the_end(dialling: Dialling) -> None:
    async with open_scene(dialling, recall_attempts=0, fallback_target="2600") as at:
        handle = await at.park(limit_s=2)
        assert await at.ends(handle) == (Outcome.FELL_BACK, "PARKING_LIMIT")
        await talking(at.engine, at.bob, name_of_fallback(handle.id))


@both_ways
async def test_the_call_is_picked_up_while_the_recall_rings(dialling: Dialling) -> None:
    """Alice's own number answers at once; so Bob parks Alice, and is called back where it rings."""
    async with open_scene(dialling) as at:
        await at.lab.hang_up(at.alice)
        await is_gone(at.lab, at.bob)
        alice, bob = await at.lab.call(caller="2601")
        await both_known(at.engine, (alice, bob))
        scene = attrs.evolve(at, alice=alice, bob=bob)
        handle = await scene.park(limit_s=2)
        await scene.in_state(handle.id, State.RECALL)
        await trio.sleep(1.0)
        carol = await at.lab.call_in("701", caller="1003")
        assert await scene.ends(handle) == (Outcome.TRANSFERRED, None)
        await talking(at.engine, bob, carol)
        await scene.is_ordinary(carol)


async def test_of_two_that_pick_up_at_once_one_has_the_call() -> None:
    async with open_scene() as at:
        handle = await at.park("705")
        picked: list[LegId] = []

        async def pick_up(caller: str) -> None:
            picked.append(await at.lab.call_in("705", caller=caller))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(pick_up, "1003")
            nursery.start_soon(pick_up, "1004")
        assert await at.ends(handle) == (Outcome.TRANSFERRED, None)
        with trio.fail_after(15):  # the other one hears a tone, and is hung up
            while len(legs := {row["uuid"] for row in await at.lab.switch.channels()}) > 2:
                await trio.sleep(0.1)
        assert at.bob in legs


async def test_carol_hangs_up_as_she_picks_up_and_bob_stays_parked() -> None:
    async with open_scene() as at, noting(at.engine) as records:
        handle = await at.park("706")
        for _ in range(3):
            carol = await at.lab.call_in("706", caller="1003")
            await at.lab.hang_up(carol)
            with trio.fail_after(10):  # the switch lists a leg only after a moment
                while not any(is_end_of(carol, record.event) for record in records):
                    await trio.sleep(0.01)
            now = at.engine.transfer_in_flight(handle.id)
            if now is None:  # she had him for a moment
                break
            await hears_music(at.lab, at.bob)
        if at.engine.transfer_in_flight(handle.id) is not None:
            dave = await at.lab.call_in("706", caller="1004")
            await talking(at.engine, at.bob, dave)


async def test_a_parked_call_waits_without_a_controller_but_not_for_ever() -> None:
    """What the switch itself knows of it: the marks, and a limit of its own."""
    async with open_live_lab(settings()) as lab:
        await needs(lab, "701")
        account = Account(policy=Policy(music=parse_sound("tone:425/300,0/300")))
        async with open_engine(lab.backend, account=account) as engine:
            alice, bob = await lab.call()
            await both_known(engine, (alice, bob))
            await _Scene(lab, engine, alice, bob).park()
            await hears_music(lab, bob)
        assert await lab.variable(bob, "hookflash_kind") == "park"
        assert int(await lab.variable(bob, "playback_timeout_sec")) > 120
