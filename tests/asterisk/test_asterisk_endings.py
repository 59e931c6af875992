"""Who ended a leg, and with which SIP status: what a real Asterisk says."""

from __future__ import annotations

import pytest
import trio
from asterisk_lab import needs_another_asterisk
from live_asterisk import DIALPLAN, DIRECT, both_known, consult, open_live_lab

from hookflash.backends.asterisk.procedures import AsteriskDialling
from hookflash.engine.engine import open_engine
from hookflash.engine.handles import Result
from hookflash.events import EndedBy, TransferOptions
from hookflash.fsm.transfer import Outcome
from hookflash.pbx.pair import Pair

pytestmark = needs_another_asterisk

BY_PARTY = EndedBy.PARTY
both_ways = pytest.mark.parametrize("dialling", [DIRECT, DIALPLAN], ids=["direct", "dialplan"])


def failed(cause: str, status: int | None, by: EndedBy | None) -> Result:
    return Result(outcome=Outcome.RECONNECTED, cause=cause, sip_status=status, ended_by=by)


@both_ways
async def test_why_a_target_failed(pair: Pair, dialling: AsteriskDialling) -> None:
    async with open_live_lab(pair, dialling) as lab, open_engine(lab.backend) as engine:
        legs = await lab.call()
        await both_known(engine, legs)
        for number, expected in (
            ("2602", failed("USER_BUSY", 486, BY_PARTY)),
            ("2603", failed("CALL_REJECTED", 603, BY_PARTY)),
        ):
            transfer = await engine.transfer(legs[0], number)
            with trio.fail_after(20):
                assert await transfer.outcome() == expected
        hurried = TransferOptions(ring_timeout_s=1)
        transfer = await engine.transfer(legs[0], "2601", options=hurried)
        with trio.fail_after(20):
            result = await transfer.outcome()
        assert (result.cause, result.sip_status) == ("NO_ANSWER", None)
        assert result.ended_by is None


@both_ways
async def test_who_hung_up(pair: Pair, dialling: AsteriskDialling) -> None:
    async with open_live_lab(pair, dialling) as lab, open_engine(lab.backend) as engine:
        legs = await lab.call()
        await both_known(engine, legs)
        transfer, target = await consult(engine, legs[0])
        await lab.hang_up(target)
        with trio.fail_after(20):
            assert await transfer.outcome() == failed("NORMAL_CLEARING", None, BY_PARTY)
