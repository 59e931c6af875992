"""On a real FreeSWITCH: from the last key of a code to the target's ringing phone.

HOOKFLASH_FREESWITCH names the switch and the phones, as for the live tests; without it there is
nothing to measure.

Alice talks with Bob and dials `*22650`: real tones (RFC 4733), a quarter of a second each. Each way
to end the number has its turn:

* **numbering**: the account's numbering says that 2650 is complete;
* **pattern**: the pattern of the code allows four digits only;
* **#**: the number might go on, and she presses `#`;
* **pause**: the number might go on, and the digit timeout decides.

Both ends are the switch's own times: from `DTMF` of the last key (`#` included) to
`CHANNEL_PROGRESS` of the target's leg.

    python benchmarks/bench_dialling.py [--calls 50]
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import trio

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "freeswitch"))

from live import (
    DIALPLAN,
    DIRECT,
    PHONES,
    SWITCH,
    LiveLab,
    both_known,
    hearing,
    open_live_lab,
    settings,
)

from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.dialling.metaflows import parse_metaflows
from hookflash.engine.engine import Engine, open_engine
from hookflash.engine.legs import Account

TARGET: Final = "2650"
LIMIT_S: Final = 30.0
BETWEEN_S: Final = 0.3
"""After a takeback, before the next code."""

TRANSFER: Final = {"module": "transfer"}
WAYS: Final[Mapping[str, tuple[dict[str, Any], str]]] = {
    "numbering": ({"numbering": [r"[1-9]\d{3}"], "patterns": {r"2(\d+)": TRANSFER}}, ""),
    "pattern": ({"patterns": {r"2(\d{4})": TRANSFER}}, ""),
    "#": ({"patterns": {r"2(\d+)": TRANSFER}}, "#"),
    "pause": ({"patterns": {r"2(\d+)": TRANSFER}}, ""),
}
"""The feature codes of each way, and what ends the number."""


async def measure(dialling: Dialling, calls: int) -> dict[str, list[float]]:
    """Dial as often in each way, in turn; milliseconds of each."""
    waits: dict[str, list[float]] = {way: [] for way in WAYS}
    async with (
        open_live_lab(settings(dialling)) as lab,
        open_engine(lab.backend) as engine,
        hearing(SWITCH, "DTMF", "CHANNEL_PROGRESS", "CHANNEL_PROGRESS_MEDIA") as events,
    ):
        legs = await lab.call()
        await both_known(engine, legs)
        for _ in range(calls):
            for way, (codes, end) in WAYS.items():
                account = Account(metaflows=parse_metaflows(codes))
                engine.switchboard.choose({}, default=account, for_calls_that_are_up=True)
                events.clear()
                with trio.fail_after(LIMIT_S):
                    waits[way].append(await _dial(lab, engine, legs[0], f"*2{TARGET}{end}", events))
                await trio.sleep(BETWEEN_S)
    return waits


async def _dial(
    lab: LiveLab, engine: Engine, alice: str, keys: str, events: list[dict[str, str]]
) -> float:
    """Dial a code, wait until the target rings, and take back; milliseconds."""
    await lab.phones.api(f"uuid_send_dtmf {await lab.phone(alice)} {keys}")
    await _until(lambda: engine.switchboard.transfer_of(alice) is not None)
    transfer = engine.switchboard.transfer_of(alice)
    assert transfer is not None
    target = transfer.target.leg
    await _until(lambda: bool(_times(events, target, "CHANNEL_PROGRESS")))
    rang = _times(events, target, "CHANNEL_PROGRESS")
    pressed = _times(events, alice, "DTMF")
    assert len(pressed) == len(keys)
    await engine.take_back(transfer.id)
    await _until(lambda: engine.switchboard.transfer_of(alice) is None)
    return (rang[0] - pressed[-1]) / 1000


async def _until(so: Callable[[], bool]) -> None:
    while not so():  # noqa: ASYNC110 - an onlooker is not told
        await trio.sleep(0.005)


def _times(events: list[dict[str, str]], leg: str, name: str) -> list[int]:
    """When the switch reported this of a leg, in microseconds."""
    return [
        int(event["Event-Date-Timestamp"])
        for event in events
        if event["Unique-ID"] == leg and event["Event-Name"].startswith(name)
    ]


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="from the last key to the ringing target")
    parser.add_argument("--calls", type=int, default=50, help="in each way")
    asked = parser.parse_args()
    if not PHONES:
        print("HOOKFLASH_FREESWITCH names no switch and phones: nothing is measured")
        return 0
    for name, dialling in (("direct", DIRECT), ("dialplan", DIALPLAN)):
        for way, waits in trio.run(measure, dialling, asked.calls).items():
            cuts = statistics.quantiles(waits, n=100)
            print(
                f"last key to ringing, {name:8} {way:10} p50 {cuts[49]:7.1f} ms, "
                f"p99 {cuts[98]:7.1f} ms, {len(waits)} calls"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
