"""From the target's answer to the conversation, live: the switch has nothing left to do by then."""

from __future__ import annotations

import statistics

import pytest
import trio
from crowd import FreeSwitchCrowd, open_crowd
from crowds import COMPLETE, Trio
from live import (
    DIALPLAN,
    DIRECT,
    SWITCH,
    LiveLab,
    both_known,
    hearing,
    needs_freeswitch,
    open_live_lab,
    settings,
)

from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.engine.engine import Engine, open_engine
from hookflash.engine.handles import TransferHandle
from hookflash.events import TransferOptions
from hookflash.fsm.transfer import Outcome

pytestmark = needs_freeswitch

both_ways = pytest.mark.parametrize("dialling", [DIALPLAN, DIRECT], ids=["dialplan", "direct"])

RINGS = "2650"
JOINS = 10


async def _tasks(lab: LiveLab, transfer: TransferHandle) -> int:
    return (await lab.switch.api("show tasks")).count(f"hookflash-rings-{transfer.id}-target")


async def _ringing(lab: LiveLab, engine: Engine, *, rings_s: float) -> TransferHandle:
    alice, bob = await lab.call()
    await both_known(engine, (alice, bob))
    transfer = await engine.transfer(alice, RINGS, options=TransferOptions(ring_timeout_s=rings_s))
    with trio.fail_after(10):
        while (now := transfer.transfer) is None or not now.target.called:
            await trio.sleep(0.01)
    await trio.sleep(0.5)
    return transfer


async def test_a_target_is_parked_while_it_rings_and_its_answer_cancels_the_timeout() -> None:
    async with (
        open_live_lab(settings(DIRECT)) as lab,
        open_engine(lab.backend) as engine,
        hearing(SWITCH, "CHANNEL_PARK", "CHANNEL_ANSWER") as events,
    ):
        transfer = await _ringing(lab, engine, rings_s=3)
        target = f"{transfer.id}-target"
        told = [(one["Event-Name"], one["Answer-State"]) for one in events]
        of_target = [one for one in events if one["Unique-ID"] == target]
        assert [(one["Event-Name"], one["Answer-State"]) for one in of_target] == [
            ("CHANNEL_PARK", "ringing")
        ], told
        assert await _tasks(lab, transfer) == 1
        snapshot = {leg.leg: leg for leg in await lab.backend.snapshot()}
        assert not snapshot[target].answered
        assert not snapshot[target].parked
        await lab.answer(target)
        with trio.fail_after(5):
            while (now := transfer.transfer) is None or now.target.peer is None:
                await trio.sleep(0.01)
        await trio.sleep(4.0)  # longer than it would have rung
        assert await _tasks(lab, transfer) == 0
        assert transfer.transfer is not None
        assert transfer.transfer.target.peer is not None


@both_ways
async def test_the_switch_ends_a_call_that_nobody_answers(dialling: Dialling) -> None:
    async with (
        open_live_lab(settings(dialling)) as lab,
        open_engine(lab.backend) as engine,
        hearing(SWITCH, "CHANNEL_HANGUP") as hangups,
    ):
        transfer = await _ringing(lab, engine, rings_s=2)
        with trio.fail_after(15):
            result = await transfer.outcome()
        assert (result.outcome, result.cause) == (Outcome.RECONNECTED, "NO_ANSWER")
        ends = [one["Hangup-Cause"] for one in hangups if "-target" in one["Unique-ID"]]
        assert ends == ["NO_ANSWER"]


async def _join_ms(crowd: FreeSwitchCrowd, number: int, events: list[dict[str, str]]) -> float:
    three = Trio(str(number), COMPLETE)
    with trio.fail_after(30):
        await crowd.call(three)
        await crowd.ask(three)
        await crowd.until(lambda: crowd.is_ringing(three))
        await trio.sleep(0.3)
        events.clear()
        await crowd.answer(three.target)
        await crowd.until(lambda: three.talks)
        await trio.sleep(0.2)
    target = f"{three.transfer}-target"
    times = {
        one["Event-Name"]: int(one["Event-Date-Timestamp"])
        for one in events
        if target in (one["Unique-ID"], one.get("Bridge-B-Unique-ID"))
    }
    for phone in (three.transferee, three.target, three.alice):
        await crowd.hang_up(phone)
    return (times["CHANNEL_BRIDGE"] - times["CHANNEL_ANSWER"]) / 1000


@pytest.mark.parametrize(
    ("dialling", "mean_ms"), [(DIALPLAN, 75.0), (DIRECT, 57.0)], ids=["dialplan", "direct"]
)
async def test_the_two_talk_soon_after_the_answer(dialling: Dialling, mean_ms: float) -> None:
    """Directly some 35 to 50 ms; through the dialplan, where it is parked afterwards, 65 ms."""
    means: list[float] = []
    async with (
        open_crowd(dialling) as crowd,
        hearing(SWITCH, "CHANNEL_ANSWER", "CHANNEL_BRIDGE") as events,
    ):
        for attempt in range(3):  # the machine may be busy
            waits = [
                await _join_ms(crowd, 41_000 + 100 * attempt + n, events) for n in range(JOINS)
            ]
            means.append(statistics.mean(waits))
            if means[-1] <= mean_ms:
                break
    assert min(means) <= mean_ms, means
