"""Both hear that they are connected, live: in their conversation, which goes on."""

from __future__ import annotations

import attrs
import pytest
import trio
from live import (
    DIALPLAN,
    DIRECT,
    both_known,
    consult,
    needs_freeswitch,
    noting,
    open_live_lab,
    settings,
    talking,
    variables,
)

from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.engine.engine import open_engine
from hookflash.engine.legs import Account
from hookflash.engine.record import Record
from hookflash.events import Kind, LegId, LegsJoined, SoundStarted
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Outcome
from hookflash.sounds import Sound, parse_sound

pytestmark = needs_freeswitch

both_ways = pytest.mark.parametrize("dialling", [DIALPLAN, DIRECT], ids=["dialplan", "direct"])
SAID = parse_sound("tone:700/1500*1")
LONG = parse_sound("tone:700/9000*1")


def hearing(sound: Sound) -> Account:
    return Account(policy=attrs.evolve(Policy(), connected_sound=sound))


def heard(records: list[Record], sound: Sound) -> list[LegId]:
    events = (record.event for record in records)
    return sorted(one.leg for one in events if isinstance(one, SoundStarted) and one.sound == sound)


@both_ways
@pytest.mark.parametrize("kind", [Kind.ATTENDED, Kind.BLIND])
async def test_bob_and_carol_hear_that_they_are_connected(dialling: Dialling, kind: Kind) -> None:
    async with (
        open_live_lab(settings(dialling)) as lab,
        open_engine(lab.backend, account=hearing(SAID)) as engine,
        noting(engine) as records,
    ):
        alice, bob = await lab.call()
        await both_known(engine, (alice, bob))
        transfer = await engine.transfer(alice, "2600", kind=kind)
        carol = f"{transfer.id}-target"
        if kind is Kind.ATTENDED:
            await talking(engine, alice, carol)
            await trio.sleep(0.5)
            assert heard(records, SAID) == []
            await lab.hang_up(alice)
        with trio.fail_after(20):
            assert (await transfer.outcome()).outcome is Outcome.TRANSFERRED
        await talking(engine, bob, carol)
        await trio.sleep(0.5)
        assert heard(records, SAID) == sorted((bob, carol))
        await trio.sleep(2.0)
        for leg in (bob, carol):
            left = await variables(lab, leg)
            assert not [name for name in left if name.startswith("hookflash_")], left
        joins = [one for one in records if isinstance(one.event, LegsJoined)]
        assert {joins[-1].event.first, joins[-1].event.second} == {bob, carol}  # type: ignore[union-attr]


@both_ways
async def test_the_next_transfer_begins_while_it_is_heard(dialling: Dialling) -> None:
    async with (
        open_live_lab(settings(dialling)) as lab,
        open_engine(lab.backend, account=hearing(LONG)) as engine,
        noting(engine) as records,
    ):
        alice, bob = await lab.call()
        await both_known(engine, (alice, bob))
        first = await engine.transfer(alice, "2600", kind=Kind.BLIND)
        with trio.fail_after(20):
            assert (await first.outcome()).outcome is Outcome.TRANSFERRED
        carol = f"{first.id}-target"
        await talking(engine, bob, carol)
        await trio.sleep(0.3)
        second, dave = await consult(engine, carol, "1003")
        await trio.sleep(0.5)
        await lab.hang_up(carol)
        with trio.fail_after(20):
            assert (await second.outcome()).outcome is Outcome.TRANSFERRED
        await talking(engine, bob, dave)
        await trio.sleep(0.5)
        assert heard(records, LONG).count(dave) == 1


@both_ways
async def test_a_sound_that_is_not_there_harms_nobody(dialling: Dialling) -> None:
    missing = parse_sound("file:no-such-sound.wav")
    async with (
        open_live_lab(settings(dialling)) as lab,
        open_engine(lab.backend, account=hearing(missing)) as engine,
        noting(engine) as records,
    ):
        alice, bob = await lab.call()
        await both_known(engine, (alice, bob))
        transfer, carol = await consult(engine, alice)
        await lab.hang_up(alice)
        with trio.fail_after(20):
            assert (await transfer.outcome()).outcome is Outcome.TRANSFERRED
        await talking(engine, bob, carol)
        await trio.sleep(1.0)
        assert heard(records, missing) == []
        living = {leg.leg: leg.peer for leg in await lab.backend.snapshot()}
        assert living == {bob: carol, carol: bob}


@both_ways
async def test_the_next_controller_plays_it_to_nobody_who_talks_already(dialling: Dialling) -> None:
    async with open_live_lab(settings(dialling)) as lab:
        async with open_engine(lab.backend, account=hearing(SAID)) as engine:
            alice, bob = await lab.call()
            await both_known(engine, (alice, bob))
            _, carol = await consult(engine, alice)
            await trio.sleep(0.5)
        await lab.hang_up(alice)  # the failsafe connects the two
        await trio.sleep(4.0)
        async with (
            lab.second() as backend,
            open_engine(backend, account=hearing(SAID)) as engine,
            noting(engine) as records,
        ):
            await talking(engine, bob, carol)
            await trio.sleep(1.0)
            assert heard(records, SAID) == []
