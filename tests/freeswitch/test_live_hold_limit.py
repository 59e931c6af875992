"""The limit of a hold, live: then back, or to the fallback target."""

from __future__ import annotations

import pytest
import trio
from live import DIALPLAN, DIRECT, both_known, needs_freeswitch, open_live_lab, settings, talking

from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.called import name_of_fallback
from hookflash.engine.engine import open_engine
from hookflash.events import AtLimit, Kind, TransferOptions
from hookflash.fsm.transfer import Outcome, State

pytestmark = needs_freeswitch

both_ways = pytest.mark.parametrize("dialling", [DIALPLAN, DIRECT], ids=["dialplan", "direct"])

ANSWERS, BUSY, RINGS = "2600", "2602", "2650"


@both_ways
@pytest.mark.parametrize(
    ("number", "does", "outcome"),
    [
        (ANSWERS, "waits", Outcome.FELL_BACK),
        (BUSY, "waits", Outcome.RECONNECTED),
        (RINGS, "resumes", Outcome.TAKEN_BACK),
        (RINGS, "leaves", Outcome.FELL_BACK),
        ("", "waits", Outcome.RECONNECTED),
    ],
)
async def test_a_hold_that_has_lasted_too_long(
    dialling: Dialling, number: str, does: str, outcome: Outcome
) -> None:
    options = TransferOptions(
        hold_limit_s=2.0, at_hold_limit=AtLimit.FALLBACK, fallback_target=number
    )
    async with open_live_lab(settings(dialling)) as lab, open_engine(lab.backend) as engine:
        alice, bob = await lab.call()
        await both_known(engine, (alice, bob))
        hold = await engine.transfer(alice, kind=Kind.HOLD, options=options)
        dora = name_of_fallback(hold.id)
        with trio.fail_after(30):
            if does != "waits":
                while (now := hold.transfer) is None or now.state is not State.FALLBACK:
                    await trio.sleep(0.05)
                await trio.sleep(1)
            if does == "resumes":
                await hold.take_back()
            if does == "leaves":
                await lab.hang_up(alice)
                await trio.sleep(0.5)
                await lab.answer(dora)
            assert (await hold.outcome()).outcome is outcome
        pair = (bob, dora) if outcome is Outcome.FELL_BACK else (alice, bob)
        await talking(engine, *pair)
        with trio.fail_after(5):
            while {leg.leg for leg in await lab.backend.snapshot()} != {*pair}:
                await trio.sleep(0.05)
