"""Dialling, live: real keys, and a switch that plays dial tones. See `live` for what it takes."""

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
    noting,
    open_live_lab,
    settings,
)

from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.dialling.metaflows import parse_metaflows
from hookflash.engine.engine import Engine, open_engine
from hookflash.engine.legs import Account
from hookflash.engine.record import Record
from hookflash.events import DigitPressed, LegId, NumberGiven
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Outcome, State

pytestmark = needs_freeswitch

both_ways = pytest.mark.parametrize("dialling", [DIALPLAN, DIRECT], ids=["dialplan", "direct"])

ASKS = {"module": "transfer"}
CODES = parse_metaflows(
    {
        "numbering": [r"[1-9]\d{3}"],
        "patterns": {
            r"2(\d*)": ASKS,
            r"3(\d*)": {**ASKS, "data": {"transfer_type": "blind"}},
        },
    }
)
ACME = Account(metaflows=CODES, policy=Policy(recall_attempts=0, number_timeout_s=5.0))


@attrs.frozen
class _Scene:
    lab: LiveLab
    engine: Engine
    records: list[Record]
    alice: LegId
    bob: LegId

    async def dial(self, keys: str) -> None:
        """Alice presses keys: real tones, a quarter of a second each."""
        await self.lab.phones.api(f"uuid_send_dtmf {await self.lab.phone(self.alice)} {keys}")

    async def until(self, state: State) -> None:
        with trio.fail_after(20):
            while not any(record.after is state for record in self.records):
                await trio.sleep(0.02)

    async def outcome(self) -> Outcome:
        with trio.fail_after(30):
            while not (ended := [one for one in self.records if one.outcome is not None]):
                await trio.sleep(0.02)
        assert ended[0].outcome is not None
        return ended[0].outcome

    def states(self) -> list[State]:
        """The states in the order in which they were entered."""
        return [r.after for r in self.records if r.after is not None and r.after is not r.before]


@asynccontextmanager
async def _call(dialling: Dialling) -> AsyncGenerator[_Scene]:
    async with (
        open_live_lab(settings(dialling)) as lab,
        open_engine(lab.backend, account=ACME) as engine,
        noting(engine) as records,
    ):
        legs = await lab.call()
        await both_known(engine, legs)
        yield _Scene(lab, engine, records, *legs)


@both_ways
async def test_a_complete_number_acts_with_its_last_key(dialling: Dialling) -> None:
    async with _call(dialling) as scene:
        await scene.dial("*22600")
        await scene.until(State.DIALING)
        (last, *_) = (n for n, one in enumerate(scene.records) if one.after is State.HOLDING)
        assert isinstance(scene.records[last - 1].event, DigitPressed), "no timer had to pass"
        await scene.until(State.CONSULTING)
        await trio.sleep(0.5)
        await scene.lab.hang_up(scene.alice)
        assert await scene.outcome() is Outcome.TRANSFERRED


@both_ways
@pytest.mark.parametrize("code", ["*2", "*3"])
async def test_the_code_first_and_the_number_afterwards(dialling: Dialling, code: str) -> None:
    async with _call(dialling) as scene:
        await scene.dial(code)
        await scene.until(State.ASKING)
        await trio.sleep(1.0)
        heard = {leg.leg: leg.hears for leg in await scene.lab.backend.snapshot()}
        assert heard[scene.alice] == ACME.policy.dial_tone
        assert heard[scene.bob] is not None
        await scene.dial("2600")
        await scene.until(State.DIALING if code == "*2" else State.PARTIAL)
        given = [one.event for one in scene.records if isinstance(one.event, NumberGiven)]
        assert [event.target for event in given] == ["2600"]
        if code == "*2":
            await scene.until(State.CONSULTING)
            await trio.sleep(0.5)
            await scene.lab.hang_up(scene.alice)
        assert await scene.outcome() is Outcome.TRANSFERRED


@both_ways
async def test_a_number_that_does_not_exist_is_asked_for_again(dialling: Dialling) -> None:
    async with _call(dialling) as scene:
        await scene.dial("*2")
        await scene.until(State.ASKING)
        await scene.dial("9999")
        await scene.until(State.DIALING)
        with trio.fail_after(10):
            while scene.states()[-1] is not State.ASKING:
                await trio.sleep(0.02)
        await trio.sleep(1.0)
        await scene.dial("2600")
        await scene.until(State.CONSULTING)
        await scene.lab.hang_up(scene.alice)
        assert await scene.outcome() is Outcome.TRANSFERRED


@both_ways
async def test_a_star_cancels_and_so_does_silence(dialling: Dialling) -> None:
    for keys, outcome in (("26*", Outcome.TAKEN_BACK), ("", Outcome.RECONNECTED)):
        async with _call(dialling) as scene:
            await scene.dial("*2")
            await scene.until(State.ASKING)
            if keys:
                await scene.dial(keys)
            assert await scene.outcome() is outcome
            assert scene.engine.switchboard.legs[scene.alice].peer == scene.bob


@both_ways
async def test_a_program_gives_the_number(dialling: Dialling) -> None:
    async with _call(dialling) as scene:
        transfer = await scene.engine.transfer(scene.alice)
        await scene.until(State.ASKING)
        await transfer.give_number("2600")
        await scene.until(State.CONSULTING)
        await trio.sleep(0.5)
        await transfer.complete()
        assert (await transfer.outcome()).outcome is Outcome.TRANSFERRED


@both_ways
async def test_whoever_hangs_up_before_the_number_ends_it(dialling: Dialling) -> None:
    for leaves, outcome in ((0, Outcome.FAILED), (1, Outcome.ABANDONED)):
        async with _call(dialling) as scene:
            await scene.dial("*2")
            await scene.until(State.ASKING)
            await scene.lab.hang_up((scene.alice, scene.bob)[leaves])
            assert await scene.outcome() is outcome
