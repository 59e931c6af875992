"""A briefing for the target, and an announcement to the transferee, live."""

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
from hookflash.engine.handles import TransferHandle
from hookflash.engine.legs import Account
from hookflash.engine.record import Record
from hookflash.events import NO_OPTIONS, Kind, LegId, SoundStarted, TransferOptions
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Outcome, State
from hookflash.sounds import Sound, parse_sound

pytestmark = needs_freeswitch

both_ways = pytest.mark.parametrize("dialling", [DIALPLAN, DIRECT], ids=["dialplan", "direct"])

ANSWERS, RINGS = "2600", "2650"
SAID = parse_sound("tone:700/1500*1")


@attrs.frozen
class _Scene:
    lab: LiveLab
    engine: Engine
    alice: LegId
    bob: LegId
    transfer: TransferHandle
    records: list[Record]

    @property
    def carol(self) -> LegId:
        return f"{self.transfer.id}-target"

    async def in_state(self, state: State) -> None:
        with trio.fail_after(20):
            while (now := self.transfer.transfer) is None or now.state is not state:
                await trio.sleep(0.01)

    def heard(self, leg: LegId) -> list[Sound]:
        events = (record.event for record in self.records)
        started = (one for one in events if isinstance(one, SoundStarted) and one.leg == leg)
        return [one.sound for one in started if not str(one.sound).startswith("other:")]  # type: ignore[misc]

    async def is_transferred(self) -> None:
        with trio.fail_after(30):
            assert (await self.transfer.outcome()).outcome is Outcome.TRANSFERRED
        await talking(self.engine, self.bob, self.carol)
        with trio.fail_after(5):
            while {leg.leg for leg in await self.lab.backend.snapshot()} != {self.bob, self.carol}:
                await trio.sleep(0.05)
        await trio.sleep(0.5)
        for leg in (self.bob, self.carol):
            left = await variables(self.lab, leg)
            assert not [name for name in left if name.startswith("hookflash_")], left


@asynccontextmanager
async def open_scene(
    dialling: Dialling,
    number: str,
    kind: Kind,
    options: TransferOptions = NO_OPTIONS,
    **choices: Any,
) -> AsyncGenerator[_Scene]:
    account = Account(policy=attrs.evolve(Policy(), **choices))
    async with (
        open_live_lab(settings(dialling)) as lab,
        open_engine(lab.backend, account=account) as engine,
        noting(engine) as records,
    ):
        alice, bob = await lab.call()
        await both_known(engine, (alice, bob))
        transfer = await engine.transfer(alice, number, kind=kind, options=options)
        yield _Scene(lab, engine, alice, bob, transfer, records)


@both_ways
async def test_carol_is_briefed_before_she_gets_bob(dialling: Dialling) -> None:
    async with open_scene(dialling, ANSWERS, Kind.BLIND, briefing=SAID) as at:
        await at.in_state(State.ACCEPTING)
        await trio.sleep(0.7)
        assert at.transfer.transfer is not None
        assert at.transfer.transfer.target.peer is None
        await at.is_transferred()
        assert at.heard(at.carol) == [SAID]


@both_ways
async def test_carol_is_briefed_when_alice_has_left_early(dialling: Dialling) -> None:
    async with open_scene(dialling, RINGS, Kind.ATTENDED, briefing=SAID) as at:
        await at.in_state(State.DIALING)
        await trio.sleep(0.5)
        await at.lab.hang_up(at.alice)
        await at.in_state(State.PARTIAL)
        await trio.sleep(0.5)
        await at.lab.answer(at.carol)
        await at.is_transferred()
        assert at.heard(at.carol) == [SAID]


@both_ways
async def test_a_briefing_that_is_not_there_keeps_nobody_waiting(dialling: Dialling) -> None:
    missing = parse_sound("file:no-such-briefing.wav")
    choices: dict[str, Any] = {"briefing": missing, "briefing_limit_s": 4.0}
    async with open_scene(dialling, ANSWERS, Kind.BLIND, **choices) as at:
        await at.is_transferred()
        assert missing not in at.heard(at.carol)


@both_ways
@pytest.mark.parametrize("kind", [Kind.ATTENDED, Kind.BLIND])
async def test_bob_hears_the_announcement_once_and_what_follows(
    dialling: Dialling, kind: Kind
) -> None:
    async with open_scene(dialling, RINGS, kind, announcement=SAID) as at:
        await at.in_state(State.DIALING if kind is Kind.ATTENDED else State.PARTIAL)
        await trio.sleep(3.5)
        policy = Policy()
        follows = policy.music if kind is Kind.ATTENDED else policy.ringback
        assert at.heard(at.bob) == [SAID, follows]
        await at.lab.answer(at.carol)
        if kind is Kind.ATTENDED:
            await talking(at.engine, at.alice, at.carol)
            await trio.sleep(0.5)
            await at.lab.hang_up(at.alice)
        await at.is_transferred()


@both_ways
@pytest.mark.parametrize("how", ["listens", "takes back", "hangs up", "transferee"])
async def test_alice_hears_that_carol_is_busy(dialling: Dialling, how: str) -> None:
    choices: dict[str, Any] = {"failure_sound": SAID, "recall_attempts": 0, "tone_s": 1.0}
    async with open_scene(dialling, "2602", Kind.ATTENDED, **choices) as at:
        await at.in_state(State.FAILURE_HEARD)
        with trio.fail_after(5):
            while SAID not in at.heard(at.alice):
                await trio.sleep(0.02)
        match how:
            case "takes back":
                for key in "*1":
                    await at.lab.press(at.alice, key)
            case "hangs up":
                await at.lab.hang_up(at.alice)
            case "transferee":
                await at.lab.hang_up(at.bob)
            case _:
                pass
        with trio.fail_after(20):
            result = await at.transfer.outcome()
        expected = {"hangs up": Outcome.FAILED, "transferee": Outcome.ABANDONED}
        assert result.outcome is expected.get(how, Outcome.RECONNECTED)
        if result.outcome is Outcome.RECONNECTED:
            assert result.cause == "USER_BUSY"
            await talking(at.engine, at.alice, at.bob)
            await trio.sleep(0.5)
            for leg in (at.alice, at.bob):
                left = await variables(at.lab, leg)
                assert not [name for name in left if name.startswith("hookflash_")], left
        else:
            with trio.fail_after(10):
                while await at.lab.backend.snapshot():
                    await trio.sleep(0.05)


LONG = parse_sound("tone:700/3500*1")
"""It outlasts the failsafe of the consultation."""


@both_ways
async def test_alice_hears_that_carol_has_left_the_consultation(dialling: Dialling) -> None:
    async with open_scene(dialling, ANSWERS, Kind.ATTENDED, failure_sound=LONG) as at:
        await talking(at.engine, at.alice, at.carol)
        await trio.sleep(0.5)  # until the failsafe is set
        await at.lab.hang_up(at.carol)
        await at.in_state(State.FAILURE_HEARD)
        left_s = trio.current_time()
        with trio.fail_after(20):
            assert (await at.transfer.outcome()).outcome is Outcome.RECONNECTED
        assert trio.current_time() - left_s > 3.4
        assert at.heard(at.alice).count(LONG) == 1
        await talking(at.engine, at.alice, at.bob)
        await trio.sleep(0.5)
        for leg in (at.alice, at.bob):
            left = await variables(at.lab, leg)
            assert not [name for name in left if name.startswith("hookflash_")], left


@both_ways
async def test_a_request_does_without_the_sounds_of_its_account(dialling: Dialling) -> None:
    choices: dict[str, Any] = {"failure_sound": LONG, "announcement": SAID}
    none = TransferOptions(failure_sound="", announcement="")
    async with open_scene(dialling, "2602", Kind.ATTENDED, options=none, **choices) as at:
        with trio.fail_after(20):
            assert (await at.transfer.outcome()).outcome is Outcome.RECONNECTED
        await talking(at.engine, at.alice, at.bob)
        assert LONG not in at.heard(at.alice)
        assert SAID not in at.heard(at.bob)
