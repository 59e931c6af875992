"""Run the same programs on the real switch and on the simulated one, and report every difference.

`make fidelity` runs it, where HOOKFLASH_FREESWITCH names a switch and its phones (see
`tests/freeswitch/live.py`). A program without races differs between two runs only by the switch's
own chance; of one with races, the simulated switch must be able to draw what the real one did. A
program that differs is run again many times, and printed as a story with how often it differed
then; on request it is also shrunk as long as it differs. The exit status is 1 if one differed
again.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import time
from collections import Counter
from multiprocessing import Pool
from pathlib import Path

import attrs
import trio
from fidelity_outcome import Outcome
from fidelity_programs import Program, draw
from fidelity_real import Lab, open_lab
from fidelity_simulated import simulate

KEPT = Path(__file__).parent / "kept"
MOST_DRAWS = 8000
TRIES = 3
MOST_LATE_MS = 40.0
AGAIN = 40
"""How often a program that differs is run again. What does not come again is reported, too, but is
no failure: it is chance, and too rare to be measured."""
EXACT_SHARE = 0.9
"""In so many of its lives a program without races comes to the same."""


@attrs.frozen
class Compared:
    """One program, and how the two switches agreed on it."""

    seed: int
    program: Program
    sent_ms: list[float]
    real: Outcome
    draws: int
    """Of how many lives of the simulated switch the last one was like it; 0: none was."""


def draws_until_equal(
    program: Program, sent_ms: list[float], real: Outcome, most: int = MOST_DRAWS
) -> int:
    """How often the simulated switch must be tried until it does as the real one did; 0: never."""
    for seed in range(most):
        if simulate(program, seed, sent_ms) == real:
            return seed + 1
    return 0


def nearest(program: Program, sent_ms: list[float], real: Outcome) -> list[str]:
    """What differs in the life that differs least."""
    lives = (simulate(program, seed, sent_ms).against(real) for seed in range(60))
    return min(lives, key=len)


@attrs.frozen
class Answered:
    """One program, and what became of it on the real switch."""

    seed: int
    program: Program
    sent_ms: list[float]
    real: Outcome

    def compare(self) -> Compared:
        draws = draws_until_equal(self.program, self.sent_ms, self.real)
        return Compared(self.seed, self.program, self.sent_ms, self.real, draws)


async def _ask(lab: Lab, seed: int, program: Program) -> Answered | None:
    """Run a program. If orders had to wait for their turn, nobody knows when they came: again."""
    for _ in range(TRIES):
        try:
            real, sent_ms = await lab.live(program)
        except trio.TooSlowError:
            return None
        late_ms = (at - step.at_ms for at, step in zip(sent_ms, program.steps, strict=True))
        if max(late_ms) <= MOST_LATE_MS:
            return Answered(seed, program, sent_ms, real)
    return None


async def _differs(lab: Lab, program: Program, times: int) -> Compared | None:
    for _ in range(times):
        answered = await _ask(lab, -1, program)
        if answered is not None and not (compared := answered.compare()).draws:
            return compared
    return None


async def _again(lab: Lab, program: Program, at_once: int) -> int:
    """Run a program that differed again; return how often it differs."""
    answers: list[Answered] = []

    async def work(times: int) -> None:
        for _ in range(times):
            answered = await _ask(lab, -1, program)
            if answered is not None:
                answers.append(answered)

    async with trio.open_nursery() as nursery:
        for _ in range(at_once):
            nursery.start_soon(work, AGAIN // at_once)
            await trio.sleep(0.037)
    return sum(not answered.compare().draws for answered in answers)


async def _shrunk(lab: Lab, compared: Compared, patience_s: float) -> Compared:
    """Leave out steps as long as the switches differ."""
    until_s = trio.current_time() + patience_s
    smaller = True
    while smaller and trio.current_time() < until_s:
        smaller = False
        for candidate in compared.program.smaller():
            if not candidate.steps or trio.current_time() > until_s:
                continue
            found = await _differs(lab, candidate, 2)
            if found is not None:
                compared, smaller = found, True
                break
    return compared


def _saved(one: Answered) -> str:
    row = {"seed": one.seed, "program": one.program.as_json(), "sent_ms": one.sent_ms}
    return json.dumps(row | {"real": one.real.as_json()}, separators=(",", ":")) + "\n"


def _load(file: Path) -> list[Answered]:
    rows = map(json.loads, file.read_text().splitlines())
    return [
        Answered(
            row["seed"],
            Program.from_json(row["program"]),
            row["sent_ms"],
            Outcome.from_json(row["real"]),
        )
        for row in rows
    ]


class Run:
    """Many programs, some at a time."""

    def __init__(self, lab: Lab, first: int, programs: int, answers: str) -> None:
        self.lab = lab
        self.file = Path(answers) if answers else None
        known = _load(self.file) if self.file is not None and self.file.exists() else []
        self.answered = [one for one in known if first <= one.seed < first + programs]
        asked = {one.seed for one in self.answered}
        self.seeds = iter([seed for seed in range(first, first + programs) if seed not in asked])
        self.compared: list[Compared] = []
        self.failed = 0

    async def ask(self, at_once: int) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(at_once):
                nursery.start_soon(self._work)
                await trio.sleep(0.05)

    def compare(self) -> None:
        """Ask the simulated switch, when all is over: what that costs must delay no step."""
        self.answered.sort(key=lambda one: one.seed)
        with Pool(2) as pool:
            self.compared = pool.map(Answered.compare, self.answered, chunksize=5)

    async def _work(self) -> None:
        for seed in self.seeds:
            answered = await _ask(self.lab, seed, draw(seed))
            if answered is None:
                self.failed += 1
            else:
                self.answered.append(answered)
                self._save(answered)

    def _save(self, one: Answered) -> None:
        if self.file is not None:
            with self.file.open("a") as file:
                file.write(_saved(one))

    def report(self) -> str:
        equal = [one for one in self.compared if one.draws]
        at_once = sum(one.draws == 1 for one in equal)
        racing = sum(one.program.races for one in self.compared)
        long = sum(len(one.program.steps) >= 6 for one in self.compared)
        return (
            f"{len(self.compared)} programs ({long} of six steps or more, {racing} with races):"
            f" {at_once} equal at once, {len(equal) - at_once} equal by chance,"
            f" {len(self.compared) - len(equal)} differing;"
            f" {self.failed} failed to start or were too late"
        )


def _row(one: Compared) -> str:
    row = {"program": one.program.as_json(), "sent_ms": one.sent_ms, "real": one.real.as_json()}
    return json.dumps(row, separators=(",", ":"))


def _keep(compared: list[Compared], most: int) -> None:
    KEPT.mkdir(exist_ok=True)
    rows = [
        _row(one)
        for one in sorted(compared, key=lambda one: one.seed)
        if one.draws and len(one.program.steps) >= 6
    ][:most]
    (KEPT / "programs.jsonl.gz").write_bytes(gzip.compress("\n".join(rows).encode(), 9, mtime=0))
    print(f"{len(rows)} programs kept as test data")


async def _tally(named: str, program: Program, options: argparse.Namespace) -> None:
    """Run one program many times on both, and count what comes of it."""
    print(program.story())
    real: Counter[str] = Counter()

    async def once() -> None:
        for _ in range(options.programs // options.at_once):
            outcome, _sent_ms = await lab.live(program)
            real[_told(outcome)] += 1

    async with open_lab(named) as lab, trio.open_nursery() as nursery:
        for _ in range(options.at_once):
            nursery.start_soon(once)
            await trio.sleep(0.037)
    simulated = Counter(_told(simulate(program, seed)) for seed in range(1000))
    for text in real | simulated:
        print(f"\n{real[text]:4d} of {options.programs}, simulated {simulated[text] / 10:.1f} %")
        print(text)


def _told(outcome: Outcome) -> str:
    lines = [f"    {leg}: {' · '.join(facts)}" for leg, facts in sorted(outcome.facts.items())]
    for leg, rest in sorted(outcome.rest.items()):
        bonds = " ".join(f"{n}={v}" for n, v in rest.variables if n == "signal_bond")
        lines.append(f"    {leg} with {rest.peer or 'nobody'} {bonds}")
    return "\n".join(lines)


async def _main(options: argparse.Namespace) -> int:
    named = os.environ.get("HOOKFLASH_FREESWITCH", "")
    if "/" not in named:
        print(
            "HOOKFLASH_FREESWITCH must be HOST:PORT/HOST:PORT: the switch and the phones",
            file=sys.stderr,
        )
        return 2
    began_s = time.monotonic()
    if options.program:
        await _tally(named, Program.from_json(json.loads(options.program)), options)
        return 0
    async with open_lab(named) as lab:
        run = Run(lab, options.first, options.programs, options.answers)
        await run.ask(options.at_once)
        run.compare()
        print(run.report(), f"in {time.monotonic() - began_s:.0f} s", flush=True)
        differing = sorted(
            (one for one in run.compared if not one.draws),
            key=lambda one: (one.program.races, len(one.program.steps)),
        )
        lasting = len(differing[options.show :])
        for one in differing[: options.show]:
            again = await _again(lab, one.program, options.at_once)
            lasting += again > 0
            found = await _shrunk(lab, one, options.shrink_s) if options.shrink_s else one
            print(f"\nseed {one.seed}: differs in {again} of {AGAIN} more runs")
            print(found.program.story())
            print(f"    --program '{json.dumps(found.program.as_json())}'")
            for line in nearest(found.program, found.sent_ms, found.real):
                print(f"    {line}")
    if options.keep:
        _keep(run.compared, options.keep)
    return 1 if lasting else 0


def main() -> int:
    """Compare the two switches."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="the seed of the first program")
    parser.add_argument("--at-once", type=int, default=20)
    parser.add_argument(
        "--show", type=int, default=10, help="how many differences to print as stories"
    )
    parser.add_argument(
        "--shrink-s", type=float, default=0.0, help="seconds to spend on shrinking each"
    )
    parser.add_argument(
        "--program", help="run this program (JSON) many times, and count its results"
    )
    parser.add_argument(
        "--keep", type=int, default=0, help="how many programs to keep as test data"
    )
    parser.add_argument(
        "--answers", help="a file of recorded answers: programs in it are not run again"
    )
    return trio.run(_main, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
