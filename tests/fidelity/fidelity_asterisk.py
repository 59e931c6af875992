"""Run the same programs on a real Asterisk and on the simulated one, and report every difference.

It obtains an Asterisk by itself (see `hookflash.pbx`). A program without races differs between two
runs only by the switch's own chance; of one with races, the simulated switch must be able to draw
what the real one did. The exit status is 1 if a program differs.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable
from multiprocessing import Pool
from pathlib import Path

import attrs
import trio
from asterisk_programs import Program, Step, draw
from asterisk_real import Lab, Live, open_lab
from asterisk_simulated import simulate
from fidelity_outcome import Outcome

from hookflash.pbx.instance import InstanceDied

KEPT = Path(__file__).parent / "kept" / "asterisk.jsonl.gz"
MOST_DRAWS = 2000
MOST_LATE_MS = 25.0
TRIES = 3


@attrs.frozen
class Answered:
    """One program, and what became of it on the real switch."""

    seed: int
    program: Program
    sent_ms: list[float]
    real: Outcome

    def draws(self) -> int:
        """How often the simulated switch must be tried until it does the same; 0: never."""
        for seed in range(MOST_DRAWS):
            if simulate(self.program, seed, self.sent_ms) == self.real:
                return seed + 1
        return 0

    def nearest(self) -> list[str]:
        """What differs in the life that differs least."""
        lives = (
            simulate(self.program, seed, self.sent_ms).against(self.real) for seed in range(60)
        )
        return min(lives, key=len)

    def as_row(self) -> str:
        row = {"seed": self.seed, "program": self.program.as_json(), "sent_ms": self.sent_ms}
        return json.dumps(row | {"real": self.real.as_json()}, separators=(",", ":"))

    @classmethod
    def from_row(cls, text: str) -> Answered:
        row = json.loads(text)
        return cls(
            row["seed"],
            Program.from_json(row["program"]),
            row["sent_ms"],
            Outcome.from_json(row["real"]),
        )


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


@attrs.frozen
class Suspect:
    """A program that ran when the switch died."""

    seed: int
    program: Program
    for_ms: float
    """For how long it had run."""
    last: Step | None
    """The last step that was done, and how long before."""
    last_ms: float


class Asking:
    """Programs that are run on the real switch."""

    def __init__(self, seeds: Iterable[int], at_once: int) -> None:
        self.answered: list[Answered] = []
        self.suspects: list[Suspect] = []
        self.deaths: list[str] = []
        self._seeds = iter(seeds)
        self._at_once = at_once
        self._done = False

    async def run(self) -> None:
        """Run them all; when the switch dies, with another one."""
        while not self._done:
            try:
                await self._run()
            except* InstanceDied as died:
                self.deaths.append(str(died.exceptions[0]))
        self.answered.sort(key=lambda one: one.seed)

    async def _run(self) -> None:
        async with open_lab() as lab, trio.open_nursery() as nursery:
            try:
                async with trio.open_nursery() as workers:
                    for _ in range(self._at_once):
                        workers.start_soon(self._work, lab)
                        await trio.sleep(0.1)
                self._done = True
            except trio.Cancelled:
                self.suspects += map(_suspect, lab.callers.values())
                raise
            nursery.cancel_scope.cancel()

    async def _work(self, lab: Lab) -> None:
        for seed in self._seeds:
            one = await _ask(lab, seed, draw(seed))
            if one is not None:
                self.answered.append(one)


def _suspect(life: Live) -> Suspect:
    now_ms = (trio.current_time() - life.began_s) * 1000
    done = len(life.sent_ms)
    last = life.program.steps[done - 1] if done else None
    last_ms = now_ms - life.sent_ms[-1] if done else 0.0
    return Suspect(0, life.program, now_ms, last, last_ms)


async def tally(program: Program, times: int, at_once: int) -> None:
    """Run one program many times on both, and count what comes of it."""
    print(program.story())
    real: Counter[str] = Counter()

    async def once() -> None:
        for _ in range(times // at_once):
            outcome, _sent_ms = await lab.live(program)
            real[_told(outcome)] += 1

    async with open_lab() as lab, trio.open_nursery() as nursery:
        for _ in range(at_once):
            nursery.start_soon(once)
            await trio.sleep(0.1)
    simulated = Counter(_told(simulate(program, seed)) for seed in range(400))
    for text in real | simulated:
        print(f"\n{real[text]:4d} of {times}, simulated {simulated[text] / 4:.1f} %")
        print(text)


def _told(outcome: Outcome) -> str:
    lines = [f"    {leg}: {' · '.join(facts)}" for leg, facts in sorted(outcome.facts.items())]
    lines += [
        f"    {leg} with {rest.peer or 'nobody'}" for leg, rest in sorted(outcome.rest.items())
    ]
    return "\n".join(lines)


def _main(options: argparse.Namespace) -> int:
    began_s = time.monotonic()
    if options.program:
        program = Program.from_json(json.loads(options.program))
        trio.run(tally, program, options.programs, options.at_once)
        return 0
    file = Path(options.answers) if options.answers else None
    if file is not None and file.exists():
        answered = [*map(Answered.from_row, file.read_text().splitlines())]
    else:
        asking = Asking(range(options.first, options.first + options.programs), options.at_once)
        trio.run(asking.run)
        answered = asking.answered
        _tell_deaths(asking)
        if file is not None:
            file.write_text("".join(f"{one.as_row()}\n" for one in answered))
    asked_s = time.monotonic() - began_s
    with Pool(2) as pool:
        draws = pool.map(Answered.draws, answered, chunksize=3)
    equal = [one for one in draws if one]
    racing = sum(one.program.races for one in answered)
    print(
        f"{len(answered)} programs ({racing} with races) in {asked_s:.0f} s:"
        f" {sum(one == 1 for one in equal)} equal at once, {sum(one > 1 for one in equal)} equal by"
        f" chance, {len(draws) - len(equal)} differing;"
        f" {options.programs - len(answered)} failed to start or were too late"
    )
    differing = [one for one, count in zip(answered, draws, strict=True) if not count]
    for one in sorted(differing, key=lambda one: one.program.races)[: options.show]:
        print(f"\nseed {one.seed}: {'racing' if one.program.races else 'not racing'}")
        print(one.program.story())
        print(f"    --program '{json.dumps(one.program.as_json())}'")
        for line in one.nearest():
            print(f"    {line}")
    if options.keep:
        _keep([one for one, count in zip(answered, draws, strict=True) if count][: options.keep])
    return 1 if differing else 0


def _tell_deaths(asking: Asking) -> None:
    for death in asking.deaths:
        print(f"the switch died: {death}")
    for one in asking.suspects:
        if one.last is not None:
            print(f"    {one.last_ms:.0f} ms after {one.last}: {json.dumps(one.program.as_json())}")


def _keep(answered: list[Answered]) -> None:
    rows = "".join(f"{one.as_row()}\n" for one in answered)
    KEPT.write_bytes(gzip.compress(rows.encode(), 9, mtime=0))
    print(f"{len(answered)} programs kept as test data")


def main() -> int:
    """Compare the two switches."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=120)
    parser.add_argument("--first", type=int, default=0, help="the seed of the first program")
    parser.add_argument("--at-once", type=int, default=12)
    parser.add_argument(
        "--show", type=int, default=10, help="how many differences to print as stories"
    )
    parser.add_argument(
        "--program", help="run this program (JSON) many times, and count its results"
    )
    parser.add_argument(
        "--keep", type=int, default=0, help="how many programs to keep as test data"
    )
    parser.add_argument(
        "--answers", help="a file of recorded answers: read if it exists, else written"
    )
    return _main(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
