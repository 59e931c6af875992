"""Legs named by Call-IDs (`inbound-use-callid-as-uuid`), in transfers on a real FreeSWITCH.

Skipped, unless the switch's SIP profile `internal` has that parameter.
"""

from __future__ import annotations

import pytest
import trio
from live import HOST, LiveLab, both_known, consult, needs_freeswitch, open_live_lab, settings
from sip_caller import calling

from hookflash.backends.freeswitch.client import open_freeswitch
from hookflash.engine.engine import Engine, open_engine
from hookflash.events import LegId
from hookflash.fsm.transfer import Outcome

pytestmark = needs_freeswitch

NAMES = [
    "a84b4c76e66710@pc33.atlanta.com",
    "0_3814@[2001:db8::1]:5060",
    "+a-.!%*_+~:/?@=[]%20b",
    "a" * 250 + "@host",
]
HOSTILE = ["a;b@h", "a:_:b@h", "a'b@h", "${domain}@h", "a,b@h", "a}b@h"]


async def _named(lab: LiveLab, call_id: str) -> LegId:
    """The channel of a caller."""
    with trio.fail_after(10):
        while True:
            for row in await lab.switch.channels():
                if row["direction"] == "inbound":
                    if row["uuid"] != call_id:
                        pytest.skip("the profile has no inbound-use-callid-as-uuid")
                    return row["uuid"]
            await trio.sleep(0.05)


async def _talking(engine: Engine, leg: LegId) -> LegId:
    with trio.fail_after(10):
        while (known := engine.switchboard.leg(leg)) is None or known.peer is None:
            await trio.sleep(0.02)
    return known.peer


@pytest.mark.parametrize("call_id", NAMES)
async def test_a_transfer_of_a_leg_with_any_usable_name(call_id: str) -> None:
    """There and back, and there for good."""
    async with (
        open_live_lab(settings()) as lab,
        open_engine(lab.backend) as engine,
        calling(HOST, "1002", call_id),
    ):
        leg = await _named(lab, call_id)
        other = await _talking(engine, leg)
        transfer, _ = await consult(engine, leg)
        await transfer.take_back()
        assert (await transfer.outcome()).outcome is Outcome.TAKEN_BACK
        await both_known(engine, (leg, other))
        # now the one with the name is held, and gets the target
        transfer, target = await consult(engine, other)
        await transfer.complete()
        assert (await transfer.outcome()).outcome is Outcome.TRANSFERRED
        assert await _talking(engine, leg) == target


@pytest.mark.parametrize("call_id", NAMES)
async def test_the_switch_rescues_a_leg_with_any_usable_name(call_id: str) -> None:
    """Without a controller: the transferor leaves, and the target fetches the held party."""
    async with open_live_lab(settings()) as lab, calling(HOST, "1002", call_id):
        leg = await _named(lab, call_id)
        async with open_freeswitch(settings()) as backend, open_engine(backend) as engine:
            other = await _talking(engine, leg)
            _, target = await consult(engine, other)
        await lab.hang_up(other)
        with trio.fail_after(15):
            while await lab.variable(target, "signal_bond") != leg:
                await trio.sleep(0.1)


@pytest.mark.parametrize("call_id", HOSTILE)
async def test_a_leg_with_a_hostile_name_is_in_no_transfer(call_id: str) -> None:
    async with (
        open_live_lab(settings()) as lab,
        open_engine(lab.backend) as engine,
        calling(HOST, "1002", call_id) as caller,
    ):
        await _named(lab, call_id)
        with trio.fail_after(10):
            while not engine.legs():
                await trio.sleep(0.02)
        await trio.sleep(0.5)
        assert caller.status == 200
        (known,) = engine.legs()
        assert known.peer is None
        assert [leg.leg for leg in await lab.backend.snapshot()] == [known.id]
