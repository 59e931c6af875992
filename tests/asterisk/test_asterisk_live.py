"""The backend on a real Asterisk: real SIP, real RTP, real digits, in every test run."""

from __future__ import annotations

import os
from functools import partial

import pytest
from asterisk_crowd import run_crowd
from asterisk_lab import needs_asterisk
from live_asterisk import (
    DIALPLAN,
    DIRECT,
    nothing_stays_behind,
    open_live_lab,
)
from live_rig import play_all, playable

from hookflash.backends.asterisk.procedures import AsteriskDialling
from hookflash.backends.simulator.character import Character
from hookflash.pbx.pair import Pair
from hookflash.testing import check_backend

pytestmark = needs_asterisk

WAYS = pytest.mark.parametrize("dialling", [DIALPLAN, DIRECT], ids=["dialplan", "direct"])

CROWD = int(os.environ.get("HOOKFLASH_CROWD", "20"))
"""How many transfers at once. 200 want a machine to themselves."""

STEP = int(os.environ.get("HOOKFLASH_STEP", "2"))
"""1: every scenario is played; 2: every second one, and so on."""

UNCHECKED = {"Keys can be withheld"}
"""What Asterisk can't do."""


@WAYS
async def test_the_real_switch_keeps_every_promise_of_a_backend(
    pair: Pair, dialling: AsteriskDialling
) -> None:
    report = await check_backend(partial(open_live_lab, pair, dialling), races=1)
    unchecked = {one.promise for one in report.unchecked}
    assert unchecked <= UNCHECKED | (
        {"An outside party is reported"} if dialling is DIRECT else set()
    )


@pytest.mark.exhaustive
@WAYS
async def test_the_scenarios_that_ship(pair: Pair, dialling: AsteriskDialling) -> None:
    """Many at once, with real digits, and what is expected in the simulator.

    By direct dialling every second, through the dialplan every fourth: all of them take minutes.
    """
    direct = dialling is DIRECT
    scenarios = playable(Character.ASTERISK, direct=direct)[:: STEP if direct else 2 * STEP]
    async with open_live_lab(pair, dialling) as lab:
        wrong = await play_all(lab, scenarios)
        assert wrong == {}, "\n".join(f"{name}: {told}" for name, told in wrong.items())
        await nothing_stays_behind(lab)


async def test_a_crowd_is_transferred_at_once_and_everybody_as_scripted(pair: Pair) -> None:
    report = await run_crowd(pair, CROWD)
    assert report.wrong == ()
    assert report.in_flight == CROWD
    assert report.left == (0, 0)
