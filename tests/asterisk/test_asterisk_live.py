"""The backend on a real Asterisk: real SIP, real RTP, real digits, in every test run."""

from __future__ import annotations

from functools import partial

import pytest
import trio
from asterisk_lab import needs_asterisk
from live_asterisk import (
    DIALPLAN,
    DIRECT,
    AsteriskLab,
    both_known,
    everybody_talks,
    open_live_lab,
)
from live_stories import STORIES

from hookflash.backends.asterisk.procedures import Dialling
from hookflash.engine.engine import open_engine
from hookflash.engine.record import Record
from hookflash.engine.switchboard import states_of
from hookflash.events import LegId
from hookflash.pbx.pair import Pair
from hookflash.testing import check_backend

pytestmark = needs_asterisk

WAYS = pytest.mark.parametrize("dialling", [DIALPLAN, DIRECT], ids=["dialplan", "direct"])


@WAYS
async def test_the_real_switch_keeps_every_promise_of_a_backend(
    pair: Pair, dialling: Dialling
) -> None:
    await check_backend(partial(open_live_lab, pair, dialling))


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("by", ["digits", "request"])
@pytest.mark.parametrize("side", ["caller", "called"])
async def test_a_recorded_story(pair: Pair, story: str, by: str, side: str) -> None:
    number, cue, outcome, states = STORIES[story]
    async with open_live_lab(pair) as lab, open_engine(lab.backend) as engine:
        legs = await lab.call()
        await both_known(engine, legs)
        transferor, transferee = legs if side == "caller" else legs[::-1]
        follower = engine.follow()
        if by == "digits":
            await lab.press(transferor, f"*2{number}")
        else:
            await engine.transfer(transferor, number, ring_timeout_s=3.0)
        told: list[Record] = []
        with trio.fail_after(45):
            async for record in follower:
                if record.transfer is not None:
                    told.append(record)
                if cue is not None and (record.after, type(record.event)) == cue[:2]:
                    await _act(lab, cue[2], transferor, transferee)
                    cue = None
                if record.outcome is not None:
                    break
        assert told[-1].outcome is outcome
        assert states_of(told) == states
        await everybody_talks(lab)


async def _act(lab: AsteriskLab, what: str, transferor: LegId, transferee: LegId) -> None:
    await trio.sleep(0.3)  # people are slower than switches
    match what:
        case "transferor leaves":
            await lab.hang_up(transferor)
        case "transferee leaves":
            await lab.hang_up(transferee)
        case _:
            await lab.press(transferor, "*1")
