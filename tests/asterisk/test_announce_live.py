"""What is heard in a conversation, on a real Asterisk: a refused code, and that both are connected.

A channel of its own whispers it to one leg. Afterwards that channel is gone.
"""

from __future__ import annotations

import attrs
import pytest
import trio
from asterisk_lab import needs_another_asterisk
from live_asterisk import (
    DIALPLAN,
    DIRECT,
    AsteriskLab,
    both_known,
    consult,
    everybody_talks,
    noting,
    open_live_lab,
    talking,
)

from hookflash.backends.asterisk.procedures import AsteriskDialling
from hookflash.engine.engine import open_engine
from hookflash.engine.legs import Account
from hookflash.engine.record import Record
from hookflash.engine.rules import Rules
from hookflash.events import Kind, LegId, SoundStarted
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Outcome
from hookflash.pbx.pair import Pair
from hookflash.pbx.phones import channels
from hookflash.sounds import Sound, parse_sound

pytestmark = needs_another_asterisk

both_ways = pytest.mark.parametrize("dialling", [DIRECT, DIALPLAN], ids=["direct", "dialplan"])
SAID = parse_sound("tone:700/1500*1")
TONE = parse_sound("tone:480+620/100,0/50*2")


def heard(records: list[Record], sound: Sound) -> list[LegId]:
    events = (record.event for record in records)
    return sorted(one.leg for one in events if isinstance(one, SoundStarted) and one.sound == sound)


async def whispers(lab: AsteriskLab) -> int:
    """How many channels whisper."""
    listed = [channel.name for channel in await channels(lab.switch)]
    return len([name for name in listed if name.startswith("Snoop/")])


@both_ways
@pytest.mark.parametrize("kind", [Kind.ATTENDED, Kind.BLIND])
async def test_bob_and_carol_hear_that_they_are_connected(
    pair: Pair, dialling: AsteriskDialling, kind: Kind
) -> None:
    account = Account(policy=attrs.evolve(Policy(), connected_sound=SAID))
    async with (
        open_live_lab(pair, dialling) as lab,
        open_engine(lab.backend, account=account) as engine,
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
        await trio.sleep(0.7)
        assert heard(records, SAID) == sorted((bob, carol))
        assert await whispers(lab) == 2
        await trio.sleep(1.8)
        assert await whispers(lab) == 0
        await everybody_talks(lab)


@both_ways
async def test_a_refused_code_is_heard_and_the_call_goes_on(
    pair: Pair, dialling: AsteriskDialling
) -> None:
    policy = attrs.evolve(Policy(), refusal_tone=TONE)
    account = Account(policy=policy, rules=Rules(targets_denied=("27*",)))
    async with (
        open_live_lab(pair, dialling) as lab,
        open_engine(lab.backend, account=account) as engine,
        noting(engine) as records,
    ):
        alice, bob = await lab.call()
        await both_known(engine, (alice, bob))
        for key in "*22700#":
            await lab.press(alice, key)
        with trio.fail_after(10):
            while not heard(records, TONE):
                await trio.sleep(0.02)
        await trio.sleep(1.0)
        assert heard(records, TONE) == [alice]
        assert await whispers(lab) == 0
        transfer = await engine.transfer(alice, "2600")
        await talking(engine, alice, f"{transfer.id}-target")
        await trio.sleep(0.5)
        await lab.hang_up(alice)
        with trio.fail_after(20):
            assert (await transfer.outcome()).outcome is Outcome.TRANSFERRED
        await everybody_talks(lab)


@both_ways
async def test_the_next_transfer_begins_while_it_is_heard_and_the_controller_dies(
    pair: Pair, dialling: AsteriskDialling
) -> None:
    long = parse_sound("tone:700/6000*1")
    account = Account(policy=attrs.evolve(Policy(), connected_sound=long))
    async with open_live_lab(pair, dialling) as lab:
        async with open_engine(lab.backend, account=account) as engine:
            alice, bob = await lab.call()
            await both_known(engine, (alice, bob))
            first = await engine.transfer(alice, "2600", kind=Kind.BLIND)
            with trio.fail_after(20):
                assert (await first.outcome()).outcome is Outcome.TRANSFERRED
            carol = f"{first.id}-target"
            await talking(engine, bob, carol)
            await trio.sleep(0.5)
            assert await whispers(lab) == 2
            second, dave = await consult(engine, bob, "1003")
            await trio.sleep(0.5)
            await lab.hang_up(bob)
            with trio.fail_after(20):
                assert (await second.outcome()).outcome is Outcome.TRANSFERRED
            await talking(engine, carol, dave)
            await trio.sleep(0.5)
            assert await whispers(lab) >= 1
        await trio.sleep(7.0)
        assert await whispers(lab) == 0
        await everybody_talks(lab)
