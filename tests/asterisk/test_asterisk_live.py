"""The backend on a real Asterisk: real SIP, real RTP, real digits, in every test run."""

from __future__ import annotations

import os
from functools import partial
from itertools import count, product

import attrs
import pytest
import trio
from asterisk_crowd import run_crowd
from asterisk_lab import needs_asterisk
from live_asterisk import (
    DIALPLAN,
    DIRECT,
    AsteriskLab,
    both_known,
    everybody_talks,
    nothing_stays_behind,
    open_live_lab,
)
from live_stories import STORIES

from hookflash.backends.asterisk.procedures import AsteriskDialling
from hookflash.engine.engine import Engine, open_engine
from hookflash.engine.legs import Account
from hookflash.engine.record import Record, states_of
from hookflash.events import LegId
from hookflash.fsm.policy import Policy
from hookflash.pbx.pair import Pair
from hookflash.testing import check_backend

pytestmark = needs_asterisk

WAYS = pytest.mark.parametrize("dialling", [DIALPLAN, DIRECT], ids=["dialplan", "direct"])

CROWD = int(os.environ.get("HOOKFLASH_CROWD", "20"))
"""How many transfers at once. 200 want a machine to themselves."""


UNCHECKED = {"Keys can be withheld"}
"""What Asterisk can't do."""

RING_S = 4.0
"""How long a target may ring: longer than any that answers takes, and no longer."""


@WAYS
async def test_the_real_switch_keeps_every_promise_of_a_backend(
    pair: Pair, dialling: AsteriskDialling
) -> None:
    report = await check_backend(partial(open_live_lab, pair, dialling), races=1)
    unchecked = {one.promise for one in report.unchecked}
    assert unchecked <= UNCHECKED | ({"An outside party is told"} if dialling is DIRECT else set())


@attrs.frozen
class _Story:
    """A recorded story, and who tells it how, with a call of its own."""

    name: str
    by: str
    caller: int
    transferor: str


@pytest.mark.parametrize("transferor", ["caller", "called"])
async def test_the_recorded_stories(pair: Pair, transferor: str) -> None:
    """All of them at once, by digits and by request."""
    account = Account(policy=Policy(ring_timeout_s=RING_S))
    told = product(STORIES, ("digits", "request"))
    async with (
        open_live_lab(pair) as lab,
        open_engine(lab.backend, account=account) as engine,
    ):
        async with trio.open_nursery() as nursery:
            for (name, by), caller in zip(told, count(1201, 2), strict=False):
                story = _Story(name, by, caller, transferor)
                nursery.start_soon(_tell, lab, engine, story)
        await everybody_talks(lab)
        await nothing_stays_behind(lab)


async def _tell(lab: AsteriskLab, engine: Engine, story: _Story) -> None:
    number, cue, outcome, states = STORIES[story.name]
    legs = await lab.call(str(story.caller + 1), caller=str(story.caller))
    await both_known(engine, legs)
    transferor, transferee = legs if story.transferor == "caller" else legs[::-1]
    follower = engine.follow()
    if story.by == "digits":
        await lab.press(transferor, f"*2{number}")
    else:
        await engine.transfer(transferor, number)
    told: list[Record] = []
    name = ""
    with trio.fail_after(45):
        async for record in follower:
            running = engine.switchboard.transfer(record.transfer) if record.transfer else None
            if running is not None and running.transferor.leg == transferor:
                name = running.id
            if not name or record.transfer != name:
                continue
            told.append(record)
            if cue is not None and (record.after, type(record.event)) == cue[:2]:
                await _act(lab, cue[2], transferor, transferee)
                cue = None
            if record.outcome is not None:
                break
    assert told[-1].outcome is outcome, story
    assert states_of(told) == states, story


async def _act(lab: AsteriskLab, what: str, transferor: LegId, transferee: LegId) -> None:
    await trio.sleep(0.3)  # people are slower than switches
    match what:
        case "transferor leaves":
            await lab.hang_up(transferor)
        case "transferee leaves":
            await lab.hang_up(transferee)
        case _:
            await lab.press(transferor, "*1")


async def test_a_crowd_is_transferred_at_once_and_everybody_as_scripted(pair: Pair) -> None:
    report = await run_crowd(pair, CROWD)
    assert report.wrong == ()
    assert report.in_flight == CROWD
    assert report.left == (0, 0)
