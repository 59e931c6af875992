"""On a real FreeSWITCH: from the target's answer to the join, and two hundred transfers at once.

HOOKFLASH_FREESWITCH names the switch and the phones, as for the live tests; without it there is
nothing to measure.

* **Answer to join.** Alice talks with Bob, Carol's phone rings, and Carol answers. How long until
  the switch has joined Alice and Carol? It is asked in turn of hookflash, which learns of the
  answer and orders the join over the event socket, and of `att_xfer`, an application of FreeSWITCH,
  which does it within the switch; of both with the target dialled directly, and through the
  dialplan. All are the switch's times: from `CHANNEL_ANSWER` of the target to `CHANNEL_BRIDGE` with
  the transferor, by its own clock, which counts in steps of 20 ms (of 1 ms with `1ms-timer`).
* **A crowd.** Transfers by all scripts at once, three runs. Everybody must end as scripted, and no
  channel may be left.

    python benchmarks/bench_switch.py [--calls 50] [--crowd 200] [--runs 3]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import uuid
from pathlib import Path
from typing import Final

import trio

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "freeswitch"))

from crowd import FreeSwitchCrowd, open_crowd, run_crowd
from crowds import COMPLETE, Trio
from live import DIALPLAN, DIRECT, PHONES, SWITCH, Socket

from hookflash.backends.freeswitch.procedures import Dialling

WAYS: Final = {"direct": DIRECT, "dialplan": DIALPLAN}
TARGETS_MS: Final = (40.0, 60.0)
"""p50 and p99 on an idle machine: a person notices some 100 ms."""
RINGING_S: Final = 0.3
LIMIT_S: Final = 30.0


class Clock:
    """What the switch says of when it answered and bridged."""

    def __init__(self) -> None:
        self.answered_us: dict[str, int] = {}
        self.bridged_us: dict[frozenset[str], int] = {}
        self._news = trio.Event()

    async def listen(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Read the switch's events, for ever."""
        socket = await Socket.open(SWITCH)
        async with socket.stream:
            await socket.ask("event json CHANNEL_ANSWER CHANNEL_BRIDGE")
            task_status.started()
            while True:
                event: dict[str, str] = json.loads((await socket.frame()).text())
                at_us = int(event["Event-Date-Timestamp"])
                if event["Event-Name"] == "CHANNEL_ANSWER":
                    self.answered_us[event["Unique-ID"]] = at_us
                else:
                    pair = frozenset((event["Bridge-A-Unique-ID"], event["Bridge-B-Unique-ID"]))
                    self.bridged_us[pair] = at_us
                self._news.set()
                self._news = trio.Event()

    async def to_join_ms(self, target: str, transferor: str) -> float:
        """From the target's answer to its join with the transferor, once both have happened."""
        pair = frozenset((target, transferor))
        with trio.fail_after(LIMIT_S):
            while target not in self.answered_us or pair not in self.bridged_us:
                await self._news.wait()
        return round((self.bridged_us[pair] - self.answered_us[target]) / 1000)


async def _by_hookflash(crowd: FreeSwitchCrowd, three: Trio) -> str:
    await crowd.ask(three)
    return f"{three.transfer}-target"


async def _by_att_xfer(switch: Socket, three: Trio, dialling: Dialling) -> str:
    target = f"att-{uuid.uuid4().hex}"
    shown = f"origination_uuid={target},origination_caller_id_number={three.number}"
    stays = "loopback_bowout=false,loopback_bowout_on_execute=false"
    dial = f"{{{shown},{stays}}}{dialling.dial_string('2660')}"
    await switch.api(f"uuid_broadcast {three.legs[0]} att_xfer::{dial} aleg")
    return target


async def answer_to_join(calls: int, dialling: Dialling) -> dict[str, list[float]]:
    """Let both join as often, in turn; milliseconds of each."""
    waits: dict[str, list[float]] = {"hookflash": [], "att_xfer": []}
    async with open_crowd(dialling) as crowd, trio.open_nursery() as nursery:
        clock = Clock()
        await nursery.start(clock.listen)
        switch = await Socket.open(SWITCH)
        for n in range(2 * calls):
            who = "hookflash" if n % 2 else "att_xfer"
            three = Trio(str(40_000 + n), COMPLETE)
            with trio.fail_after(LIMIT_S):
                await crowd.call(three)
                target = await (
                    _by_hookflash(crowd, three)
                    if who == "hookflash"
                    else _by_att_xfer(switch, three, dialling)
                )
                await crowd.until(lambda three=three: crowd.is_ringing(three))
                await trio.sleep(RINGING_S)
                await crowd.answer(three.target)
                waits[who].append(await clock.to_join_ms(target, three.legs[0]))
            for phone in (three.transferee, three.target, three.alice):
                await crowd.hang_up(phone)
        await switch.stream.aclose()
        nursery.cancel_scope.cancel()
    return waits


def _p50_p99(waits: list[float]) -> tuple[float, float]:
    """Of times in steps of 20 ms no value in between is made up."""
    ranked = sorted(waits)
    return ranked[(len(ranked) - 1) // 2], ranked[(99 * len(ranked) - 1) // 100]


def _quantiles(waits: list[float]) -> str:
    p50, p99 = _p50_p99(waits)
    mean = statistics.mean(waits)
    return f"p50 {p50:6.1f} ms, p99 {p99:6.1f} ms, mean {mean:6.1f} ms, {len(waits)} calls"


def _judge(way: str, waits: dict[str, list[float]]) -> bool:
    """Print both, and whether hookflash meets its target."""
    for who, each in waits.items():
        print(f"answer to join, {way:8} {who:10} {_quantiles(each)}")
    ours, theirs = (statistics.mean(waits[who]) for who in ("hookflash", "att_xfer"))
    p50, p99 = TARGETS_MS
    reached = zip(_p50_p99(waits["hookflash"]), TARGETS_MS, strict=True)
    met = all(ms <= most for ms, most in reached)
    print(
        f"  {ours - theirs:.1f} ms more than in the switch, {ours / max(theirs, 1.0):.1f} times "
        f"as long; target p50 {p50:g} ms, p99 {p99:g} ms: {'met' if met else 'missed'}"
    )
    return met


async def _version() -> str:
    socket = await Socket.open(SWITCH)
    async with socket.stream:
        return (await socket.api("version")).partition(" git")[0]


def main() -> int:
    """Measure, print, and fail if a target is missed or anybody did not end as scripted."""
    parser = argparse.ArgumentParser(description="hookflash on a real FreeSWITCH")
    parser.add_argument("--calls", type=int, default=50, help="joins of each kind")
    parser.add_argument("--crowd", type=int, default=200, help="transfers at once; 0: none")
    parser.add_argument("--runs", type=int, default=3, help="of the crowd")
    asked = parser.parse_args()
    if not PHONES:
        print("HOOKFLASH_FREESWITCH names no switch and phones: nothing is measured")
        return 0
    print(trio.run(_version))
    good = True
    for way, dialling in WAYS.items() if asked.calls else ():
        good &= _judge(way, trio.run(answer_to_join, asked.calls, dialling))
    for run in range(asked.runs if asked.crowd else 0):
        report = trio.run(run_crowd, asked.crowd)
        p50, p99 = report.to_join_ms
        print(
            f"crowd of {asked.crowd}, run {run + 1}: {len(report.wrong)} not as scripted, "
            f"{report.in_flight} in flight at once, {report.took_s:.0f} s, answer to join "
            f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, channels left {report.left}"
        )
        for wrong in report.wrong:
            print(f"  {wrong}")
        good &= not report.wrong and report.left == (0, 0)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
