"""A refused code is heard, live: by its own party alone, and the call goes on unharmed."""

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
)

from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.engine.engine import open_engine
from hookflash.engine.legs import Account
from hookflash.engine.rules import Rules
from hookflash.events import SoundStarted
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Outcome
from hookflash.sounds import parse_sound

pytestmark = needs_freeswitch

both_ways = pytest.mark.parametrize("dialling", [DIALPLAN, DIRECT], ids=["dialplan", "direct"])
TONE = parse_sound("tone:480+620/100,0/50*2")
ACCOUNT = Account(
    policy=attrs.evolve(Policy(), refusal_tone=TONE), rules=Rules(targets_denied=("27*",))
)


@both_ways
@pytest.mark.parametrize("side", [0, 1], ids=["caller", "called"])
async def test_a_refused_code_is_heard_and_the_call_goes_on(dialling: Dialling, side: int) -> None:
    async with (
        open_live_lab(settings(dialling)) as lab,
        open_engine(lab.backend, account=ACCOUNT) as engine,
        noting(engine) as records,
    ):
        legs = await lab.call()
        await both_known(engine, legs)
        dials, other = legs[side], legs[1 - side]
        for key in "*22700#":
            await lab.press(dials, key)
        with trio.fail_after(10):
            while not [one for one in records if isinstance(one.event, SoundStarted)]:
                await trio.sleep(0.02)
        await trio.sleep(1.0)
        heard = [(one.event.leg, one.event.sound) for one in records
                 if isinstance(one.event, SoundStarted)]  # fmt: skip
        assert heard == [(dials, TONE)]
        living = {leg.leg: leg.peer for leg in await lab.backend.snapshot()}
        assert living == {dials: other, other: dials}
        # keys are heard as before, and the next transfer takes its course, with its failsafes
        transfer, target = await consult(engine, dials)
        for key in "*22700#":  # refused in the consultation, too
            await lab.press(dials, key)
        await trio.sleep(1.5)
        await lab.hang_up(dials)
        with trio.fail_after(20):
            assert (await transfer.outcome()).outcome is Outcome.TRANSFERRED
        await talking(engine, other, target)


@both_ways
async def test_the_failsafes_hold_while_the_tone_plays_and_the_controller_is_dead(
    dialling: Dialling,
) -> None:
    async with open_live_lab(settings(dialling)) as lab:
        long = parse_sound("tone:480+620/3000*1")
        account = attrs.evolve(ACCOUNT, policy=attrs.evolve(Policy(), refusal_tone=long))
        async with open_engine(lab.backend, account=account) as engine:
            alice, bob = await lab.call()
            await both_known(engine, (alice, bob))
            _, carol = await consult(engine, alice)
            for key in "*22601#":  # a second transfer
                await lab.press(alice, key)
            await trio.sleep(1.0)
        await lab.hang_up(alice)
        await trio.sleep(5.0)
        living = {leg.leg: leg.peer for leg in await lab.backend.snapshot()}
        assert living == {bob: carol, carol: bob}
