"""The backend on a real Asterisk: real SIP, real RTP, real digits, in every test run."""

from __future__ import annotations

import os
from functools import partial

import attrs
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
from hookflash.engine.lines import Account
from hookflash.engine.record import Record
from hookflash.engine.switchboard import states_of
from hookflash.events import LegId
from hookflash.fsm.transfer import Policy
from hookflash.pbx.pair import Pair
from hookflash.testing import check_backend

pytestmark = needs_asterisk

WAYS = pytest.mark.parametrize("dialling", [DIALPLAN, DIRECT], ids=["dialplan", "direct"])


UNCHECKED = {"Keys can be withheld"}
"""What Asterisk can't do."""

RING_S = 4.0
"""How long a target may ring: longer than any that answers takes, and no longer."""


@pytest.mark.skipif(
    not os.environ.get("HOOKFLASH_ASTERISK_LONG"),
    reason="a minute each, with races, on a quiet machine: HOOKFLASH_ASTERISK_LONG=1",
)
@WAYS
async def test_the_real_switch_keeps_every_promise_of_a_backend(
    pair: Pair, dialling: Dialling
) -> None:
    report = await check_backend(partial(open_live_lab, pair, dialling), races=1)
    unchecked = {one.promise for one in report.unchecked}
    assert unchecked <= UNCHECKED | ({"An outside party is told"} if dialling is DIRECT else set())


@attrs.define(eq=False)
class Told:
    """One story that is told: who is in it, and what the engine has said of it."""

    name: str
    transferor: LegId
    transferee: LegId
    records: list[Record] = attrs.field(factory=list[Record])
    transfer: str | None = None
    has_acted: bool = False

    @property
    def is_over(self) -> bool:
        return bool(self.records) and self.records[-1].outcome is not None


@pytest.mark.parametrize("by", ["digits", "request"])
@pytest.mark.parametrize("side", ["caller", "called"])
async def test_the_recorded_stories_all_at_once(pair: Pair, by: str, side: str) -> None:
    patient = Account(policy=Policy(ring_timeout_s=RING_S))
    async with (
        open_live_lab(pair) as lab,
        open_engine(lab.backend, account=patient) as engine,
        trio.open_nursery() as nursery,
    ):
        stories: list[Told] = []
        for name in STORIES:
            legs = await lab.call()
            await both_known(engine, legs)
            transferor, transferee = legs if side == "caller" else legs[::-1]
            stories.append(Told(name, transferor, transferee))
        follower = engine.follow()
        for story in stories:
            number = STORIES[story.name][0]
            if by == "digits":
                nursery.start_soon(lab.press, story.transferor, f"*2{number}")
            else:
                await engine.transfer(story.transferor, number)
        with trio.fail_after(60):
            async for record in follower:
                story = await _belongs(record, stories)
                if story is not None:
                    _follow(nursery, lab, story)
                if all(story.is_over for story in stories):
                    break
        for story in stories:
            assert (story.name, story.records[-1].outcome) == (story.name, STORIES[story.name][2])
            assert (story.name, states_of(story.records)) == (story.name, STORIES[story.name][3])
        await everybody_talks(lab)


async def _belongs(record: Record, stories: list[Told]) -> Told | None:
    """The story that a record is of: told by its transfer, which is told by who asked for it."""
    await trio.lowlevel.checkpoint()
    if record.transfer is None or record.parties is None:
        return None
    for story in stories:
        if record.transfer == story.transfer or (
            story.transfer is None and record.parties.transferor.leg == story.transferor
        ):
            story.transfer = record.transfer
            story.records.append(record)
            return story
    return None


def _follow(nursery: trio.Nursery, lab: AsteriskLab, story: Told) -> None:
    """Do what somebody does in this story, when it is time for it."""
    cue = STORIES[story.name][1]
    record = story.records[-1]
    if story.has_acted or cue is None or (record.after, type(record.event)) != cue[:2]:
        return
    story.has_acted = True
    nursery.start_soon(_act, lab, cue[2], story.transferor, story.transferee)


async def _act(lab: AsteriskLab, what: str, transferor: LegId, transferee: LegId) -> None:
    await trio.sleep(0.3)  # people are slower than switches
    match what:
        case "transferor leaves":
            await lab.hang_up(transferor)
        case "transferee leaves":
            await lab.hang_up(transferee)
        case _:
            await lab.press(transferor, "*1")
