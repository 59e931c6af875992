"""Every benchmark in one run: `make bench`.

It prints one table of figures and targets, and fails when a target is missed by more than the
margin, which is for busy machines: a benchmark says how fast something is, not how idle a machine.

    python benchmarks/run.py [--margin 0.25] [--rounds 3]
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Iterator

import bench_asterisk
import bench_core
import bench_engine
import bench_service
import bench_wire
from bench_core import Figure

MARGIN = 0.25
"""How much of a target may be missed."""


def wire_figures(rounds: int) -> Iterator[Figure]:
    """What an event costs, and how many times more it costs others."""
    costs = bench_wire.measure(rounds=rounds)
    peers = [cost for cost in costs if cost.client != "hookflash"]
    for ours in (cost for cost in costs if cost.client == "hookflash"):
        yield Figure(
            what=f"an event from the socket to a fact, {ours.form}",
            value=ours.cpu_us,
            unit="µs CPU",
            target=bench_wire.TARGETS_US[ours.form],
        )
        for peer in peers:
            yield Figure(
                what=f"… {peer.client} needs ({peer.cpu_us:.0f} µs)",
                value=peer.cpu_us / ours.cpu_us,
                unit="×",
                target=bench_wire.TARGET_RATIOS[ours.form, peer.client],
                at_least=True,
            )
    for client in bench_wire.PEERS:
        if not bench_wire.installed(client):
            print(f"{client.name} is not installed here: it was not measured", file=sys.stderr)


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description="what hookflash costs")
    parser.add_argument("--margin", type=float, default=MARGIN, help="how much may be missed")
    parser.add_argument("--rounds", type=int, default=3, help="of the wire; the best counts")
    asked = parser.parse_args()
    print(f"Python {platform.python_version()} on {platform.machine()}, {platform.system()}")
    figures = [
        *bench_core.measure(),
        *wire_figures(asked.rounds),
        *bench_engine.measure(asked.rounds),
        *bench_service.measure(),
        *bench_asterisk.measure(),
    ]
    bench_core.report(figures)
    missed = [figure for figure in figures if figure.ratio < 1 - asked.margin]
    for figure in missed:
        print(f"missed: {figure.what.lstrip('… ')}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
