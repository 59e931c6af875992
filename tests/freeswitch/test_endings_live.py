"""Who ended a leg, and with which SIP status: what a real FreeSWITCH says."""

from __future__ import annotations

import pytest
import trio
from live import (
    DIALPLAN,
    DIRECT,
    HOST,
    LiveLab,
    both_known,
    consult,
    needs_freeswitch,
    noting,
    open_live_lab,
    settings,
)

from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.engine.engine import Engine, open_engine
from hookflash.engine.handles import Result
from hookflash.engine.record import Record
from hookflash.events import EndedBy, LegHungUp, LegId, TransferOptions
from hookflash.fsm.transfer import Outcome

pytestmark = needs_freeswitch

BY_PARTY, BY_SWITCH = EndedBy.PARTY, EndedBy.SWITCH
both_ways = pytest.mark.parametrize("dialling", [DIRECT, DIALPLAN], ids=["direct", "dialplan"])


def failed(cause: str, status: int | None, by: EndedBy | None) -> Result:
    return Result(outcome=Outcome.RECONNECTED, cause=cause, sip_status=status, ended_by=by)


async def result_of(engine: Engine, leg: LegId, number: str, ring_s: float = 20) -> Result:
    options = TransferOptions(ring_timeout_s=ring_s)
    transfer = await engine.transfer(leg, number, options=options)
    with trio.fail_after(20):
        return await transfer.outcome()


def ends(records: list[Record]) -> dict[LegId, tuple[str, int | None, EndedBy | None]]:
    facts = [record.event for record in records if isinstance(record.event, LegHungUp)]
    return {fact.leg: (fact.cause, fact.sip_status, fact.ended_by) for fact in facts}


@both_ways
async def test_why_a_target_failed(dialling: Dialling) -> None:
    async with open_live_lab(settings(dialling)) as lab, open_engine(lab.backend) as engine:
        legs = await lab.call()
        await both_known(engine, legs)
        busy = await result_of(engine, legs[0], "2602")
        refused = await result_of(engine, legs[0], "2603")
        unknown = await result_of(engine, legs[0], "2606")
        unanswered = await result_of(engine, legs[0], "2601", ring_s=2)
    assert busy == failed("USER_BUSY", 486, BY_PARTY)
    assert refused == failed("CALL_REJECTED", 603, BY_PARTY)
    assert (unknown.sip_status, unknown.ended_by) == (404, BY_PARTY)
    by = BY_SWITCH if dialling is DIRECT else None  # of a half, nothing is said
    assert unanswered == failed("NO_ANSWER", None, by)


@both_ways
async def test_who_hung_up(dialling: Dialling) -> None:
    async with open_live_lab(settings(dialling)) as lab, open_engine(lab.backend) as engine:
        legs = await lab.call()
        await both_known(engine, legs)
        transfer, target = await consult(engine, legs[0])
        await lab.hang_up(target)
        with trio.fail_after(20):
            assert await transfer.outcome() == failed("NORMAL_CLEARING", None, BY_PARTY)
        async with noting(engine) as records:
            await lab.hang_up(legs[0])
            with trio.fail_after(10):
                while len(ends(records)) < 2:
                    await trio.sleep(0.02)
        assert ends(records) == {
            legs[0]: ("NORMAL_CLEARING", None, BY_PARTY),
            legs[1]: ("NORMAL_CLEARING", None, BY_SWITCH),
        }


async def test_who_cancelled() -> None:
    async with open_live_lab(settings()) as lab, open_engine(lab.backend) as engine:
        async with noting(engine) as records:
            await ring(lab)
            await lab.phones.api("uuid_kill caller")
            with trio.fail_after(10):
                while len(ends(records)) < 2:
                    await trio.sleep(0.02)
        said = {(status, by) for _, status, by in ends(records).values()}
        assert said == {(None, BY_PARTY), (None, BY_SWITCH)}


async def ring(lab: LiveLab) -> None:
    """A phone calls 2601, which rings."""
    to = f"sofia/internal/2601@{HOST}:5060"
    await lab.phones.ask(f"bgapi originate {{origination_uuid=caller}}{to} &park()")
    with trio.fail_after(10):
        while len(await lab.switch.channels()) < 2:
            await trio.sleep(0.05)
    await trio.sleep(0.5)
