"""Attack the service for an hour, while people are transferred. `make hostile`.

python tests/hostile --attack-s 3600
python tests/hostile --attack-s 60 --waiting 10000
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import trio
from hour import Setting, play


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/hostile")
    parser.add_argument("--idle-s", type=float, default=60.0)
    parser.add_argument("--attack-s", type=float, default=3600.0)
    parser.add_argument("--crowd", type=int, default=10, help="strangers for each kind of attack")
    parser.add_argument("--waiting", type=int, default=3_000, help="idle connections at each door")
    parser.add_argument("--honest", type=int, default=480, help="readers of the history")
    parser.add_argument("--deaf", type=int, default=20, help="subscribers that never read")
    parser.add_argument("--disturb-every-s", type=float, default=60.0)
    parser.add_argument(
        "--disk", type=Path, help="a small file system for the journal, to be filled now and then"
    )
    options = parser.parse_args()
    setting = Setting(
        idle_s=options.idle_s,
        attack_s=options.attack_s,
        crowd=options.crowd,
        waiting=options.waiting,
        honest=options.honest,
        deaf=options.deaf,
        disturb_every_s=options.disturb_every_s,
        disk=options.disk,
    )
    report = trio.run(play, setting, say)
    for line in report.lines():
        say(line)
    findings = report.findings()
    for finding in findings:
        say(f"FAILED: {finding}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
