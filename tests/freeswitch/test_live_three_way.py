"""Three-way, live: all three in one conversation, and who hears whom."""

from __future__ import annotations

import math
import wave
from array import array
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

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
from hookflash.events import LegId
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Outcome, State
from hookflash.sounds import parse_sound

pytestmark = needs_freeswitch

both_ways = pytest.mark.parametrize("dialling", [DIALPLAN, DIRECT], ids=["dialplan", "direct"])
each_of_them_leaves = pytest.mark.parametrize("leaver", ["alice", "bob", "carol"])

ANSWERS: Final = "2600"
TONES_HZ: Final = {"alice": 620, "bob": 350, "carol": 450, "music": 800}
"""What the phones play: Alice's by our order, the others for one second in two."""
MUSIC: Final = parse_sound(f"tone:{TONES_HZ['music']}/1000")
"""Without a pause: of a phone that receives nothing its last packet would be recorded again."""
HEARD: Final = 1_000
"""The level from which a tone is heard: it is 10,000 if its phone is in the conversation, and less
than 150 if not (measured)."""
OUTCOMES: Final = {
    "alice": Outcome.TRANSFERRED,
    "bob": Outcome.ABANDONED,
    "carol": Outcome.RECONNECTED,
}


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

    @property
    def legs(self) -> dict[str, LegId]:
        return {"alice": self.alice, "bob": self.bob, "carol": self.carol}

    def others(self, leaver: str) -> tuple[LegId, LegId]:
        one, other = (leg for name, leg in self.legs.items() if name != leaver)
        return one, other

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

    async def all_three_talk(self) -> None:
        await self.in_state(State.THREE_WAY)
        with trio.fail_after(10):
            while True:
                now = self.transfer.transfer
                if now and now.transferee.takes_part and now.transferee.hears:
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

    async def who_hears_whom(self, folder: Path) -> dict[str, set[str]]:
        """Record what each living phone receives, and look for the tones of the others."""
        living = {leg.leg for leg in await self.lab.backend.snapshot()}
        files = {
            name: (await self.lab.phone(leg), folder / f"{name}.wav")
            for name, leg in self.legs.items()
            if leg in living
        }
        for phone, file in files.values():
            file.unlink(missing_ok=True)
            await self.lab.phones.api(f"uuid_setvar {phone} RECORD_READ_ONLY true")
            await self.lab.phones.api(f"uuid_record {phone} start {file}")
        await trio.sleep(2.5)
        for phone, file in files.values():
            await self.lab.phones.api(f"uuid_record {phone} stop {file}")
        await trio.sleep(0.3)
        return {
            name: {other for other, level in _levels(file).items() if level > HEARD}
            for name, (_, file) in files.items()
        }


def _levels(file: Path) -> Mapping[str, float]:
    """The highest level of each phone's tone in a quarter of a second."""
    with wave.open(str(file)) as recording:
        rate = recording.getframerate()
        samples = array("h", recording.readframes(recording.getnframes()))
    size = rate // 4
    parts = [samples[at : at + size] for at in range(0, len(samples) - size, size)]
    return {
        name: max(_goertzel(part, 2 * math.pi * hz / rate) for part in parts)
        for name, hz in TONES_HZ.items()
    }


def _goertzel(samples: array[int], omega: float) -> float:
    """The amplitude of one frequency."""
    factor, one, two = 2 * math.cos(omega), 0.0, 0.0
    for sample in samples:
        one, two = sample + factor * one - two, one
    return math.sqrt(max(0.0, one * one + two * two - factor * one * two)) * 2 / len(samples)


async def _call(lab: LiveLab, engine: Engine) -> _Scene:
    alice, bob = await lab.call()
    await lab.phones.api(
        f"uuid_broadcast {await lab.phone(alice)}"
        f" tone_stream://%(1000,0,{TONES_HZ['alice']});loops=-1 aleg"
    )
    await both_known(engine, (alice, bob))
    at = _Scene(lab, engine, alice, bob, await engine.transfer(alice, ANSWERS))
    await talking(engine, alice, at.carol)
    await trio.sleep(0.5)
    return at


@asynccontextmanager
async def open_scene(dialling: Dialling) -> AsyncGenerator[_Scene]:
    async with (
        open_live_lab(settings(dialling)) as lab,
        open_engine(lab.backend, account=Account(policy=Policy(music=MUSIC))) as engine,
    ):
        yield await _call(lab, engine)


async def _three(at: _Scene, start: str = "consulting") -> None:
    if start == "swapped":
        await at.transfer.swap()
        await talking(at.engine, at.alice, at.bob)
        await trio.sleep(0.5)
    await at.press("*3")
    await at.all_three_talk()


EVERYBODY: Final = {
    "alice": {"bob", "carol"},
    "bob": {"alice", "carol"},
    "carol": {"alice", "bob"},
}


@both_ways
@pytest.mark.parametrize("start", ["consulting", "swapped"])
async def test_all_three_hear_each_other_and_no_longer(
    dialling: Dialling, start: str, tmp_path: Path
) -> None:
    async with open_scene(dialling) as at:
        await _three(at, start)
        assert await at.who_hears_whom(tmp_path) == EVERYBODY
        await at.press("*3")
        await at.in_state(State.CONSULTING)
        await trio.sleep(1)
        heard = await at.who_hears_whom(tmp_path)
        assert heard == {"alice": {"carol"}, "bob": {"music"}, "carol": {"alice"}}
        await at.press("*3")
        await at.all_three_talk()
        assert await at.who_hears_whom(tmp_path) == EVERYBODY
        await at.lab.hang_up(at.alice)
        assert await at.ends() is Outcome.TRANSFERRED
        await at.alone_together(at.bob, at.carol)
        heard = await at.who_hears_whom(tmp_path)
        assert heard == {"bob": {"carol"}, "carol": {"bob"}}


@both_ways
@each_of_them_leaves
@pytest.mark.parametrize("start", ["consulting", "swapped"])
async def test_who_leaves_leaves_the_others_together(
    dialling: Dialling, start: str, leaver: str
) -> None:
    async with open_scene(dialling) as at:
        await _three(at, start)
        await trio.sleep(0.5)
        await at.lab.hang_up(at.legs[leaver])
        assert await at.ends() is OUTCOMES[leaver]
        await at.alone_together(*at.others(leaver))


@both_ways
@pytest.mark.parametrize("end", ["takes back", "completes", "swaps"])
async def test_what_the_transferor_may_do(dialling: Dialling, end: str) -> None:
    async with open_scene(dialling) as at:
        await _three(at)
        await trio.sleep(0.5)
        match end:
            case "takes back":
                await at.press("*1")
                assert await at.ends() is Outcome.TAKEN_BACK
                await at.alone_together(at.alice, at.bob)
                return
            case "swaps":
                await at.transfer.swap()
                await at.in_state(State.CONSULTING)
                await at.transfer.swap()
                await talking(at.engine, at.alice, at.bob)
            case _:
                pass
        await at.transfer.complete()
        assert await at.ends() is Outcome.TRANSFERRED
        await at.alone_together(at.bob, at.carol)


@both_ways
@each_of_them_leaves
@pytest.mark.parametrize("start", ["consulting", "swapped"])
async def test_the_switch_keeps_the_others_together_while_the_controller_is_dead(
    dialling: Dialling, start: str, leaver: str
) -> None:
    async with open_live_lab(settings(dialling)) as lab:
        async with open_engine(lab.backend) as engine:
            at = await _call(lab, engine)
            await _three(at, start)
            await trio.sleep(0.5)
        await lab.hang_up(at.legs[leaver])
        await trio.sleep(5.0)
        one, other = at.others(leaver)
        living = {leg.leg: leg.peer for leg in await lab.backend.snapshot()}
        assert living == {one: other, other: one}


@both_ways
@each_of_them_leaves
async def test_another_controller_goes_on(dialling: Dialling, leaver: str, tmp_path: Path) -> None:
    async with open_live_lab(settings(dialling)) as lab:
        async with open_engine(lab.backend) as engine:
            at = await _call(lab, engine)
            await _three(at)
            await trio.sleep(0.5)
        async with (
            lab.second() as backend,
            open_engine(backend) as engine,
            noting(engine) as records,
        ):
            with trio.fail_after(10):
                while not [one for one in engine.transfers() if one.transferee.hears]:
                    await trio.sleep(0.02)
            assert [one.state for one in engine.transfers()] == [State.THREE_WAY]
            await trio.sleep(0.5)
            assert await at.who_hears_whom(tmp_path) == EVERYBODY
            await lab.hang_up(at.legs[leaver])
            with trio.fail_after(20):
                while not [one for one in records if one.outcome]:
                    await trio.sleep(0.02)
            assert [one.outcome for one in records if one.outcome] == [OUTCOMES[leaver]]
            again = attrs.evolve(at, engine=engine)
            await again.alone_together(*at.others(leaver))


@both_ways
async def test_she_hangs_up_in_the_instant_in_which_he_is_brought_in(dialling: Dialling) -> None:
    async with open_scene(dialling) as at:
        await at.transfer.three_way()
        await at.lab.hang_up(at.alice)
        assert await at.ends() is Outcome.TRANSFERRED
        await at.alone_together(at.bob, at.carol)


async def test_keys_of_the_transferee_in_the_conversation_do_nothing_later() -> None:
    async with open_scene(DIRECT) as at:
        await _three(at)
        for key in "*22650":
            await at.lab.press(at.bob, key)
        await at.lab.hang_up(at.alice)
        assert await at.ends() is Outcome.TRANSFERRED
        await at.alone_together(at.bob, at.carol)
        await trio.sleep(3)
        assert not at.engine.transfers()
