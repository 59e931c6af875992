"""The soak: thousands of scenario runs in the simulator.

There events occur as on a switch: in every order of their races, under many seeds, with and without
faults; and every promise is checked at every moment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import attrs

from hookflash.backends.simulator.character import Character
from hookflash.backends.simulator.faults import Faults, parse_faults
from hookflash.scenarios.check import failures
from hookflash.scenarios.findings import ProofFinding, ProofFindings
from hookflash.scenarios.rows import Rows
from hookflash.scenarios.run import run_scenario
from hookflash.scenarios.scenario import Scenario

HARDSHIPS: Mapping[str, Faults] = {
    name: parse_faults(text)
    for name, text in {
        "late": "latency=0.0..0.3",
        "jumbled": "reorder=0.5,duplicate=0.5,event_latency=0.0..0.05",
        "slow": "command_latency=5.0..25.0",
        "lossy": "lose_command=0.3,lose_at_most=2",
        "unheard": "lose_event=0.15,lose_events_at_most=1",
        "refused": "fail_command=0.3,lose_at_most=2",
        "everything": "latency=0.0..0.1,reorder=0.3,duplicate=0.3,"
        "lose_command=0.15,fail_command=0.15,lose_at_most=2",
    }.items()
}
"""The faults between switch and switchboard. Fewer commands are lost than a join has attempts: no
promise can be kept if every command is lost."""

NO_HARDSHIPS: Mapping[str, Faults] = {}


@attrs.define(kw_only=True)
class Tally:
    """The result of many runs."""

    runs: int = 0
    steps: int = 0
    outcomes: Counter[str] = attrs.field(factory=Counter[str])
    findings: ProofFindings = attrs.field(factory=ProofFindings)

    def add(self, other: Tally) -> None:
        """Add the result of other runs."""
        self.runs += other.runs
        self.steps += other.steps
        self.outcomes.update(other.outcomes)
        self.findings.add_all(other.findings)


def run_many(
    scenarios: Sequence[Scenario],
    seeds: Iterable[int],
    *,
    hardships: Mapping[str, Faults],
    rows: Rows,
    character: Character = Character.FREESWITCH,
) -> Tally:
    """Run scenarios, in every order of their races, under every seed.

    Without hardships, scenarios run with their own faults, and must meet their expectations.
    Otherwise each seed gets one hardship, in turn, and only the promises count: the result may then
    differ from the author's expectations.

    Args:
        scenarios: the scenarios.
        seeds: each replaces the scenarios' own.
        hardships: faults by name; the seeds use them in turn.
        rows: counts the rows that answer.
        character: the simulated switch. Scenarios for another one are omitted.
    """
    tally = Tally()
    chosen = [scenario for scenario in scenarios if scenario.is_for(character)]
    orders = [order for scenario in chosen for order in scenario.orders()]
    for seed in seeds:
        name, faults = _hardship(hardships, seed)
        for order in orders:
            run = run_scenario(order, seed=seed, faults=faults, character=character)
            tally.runs += 1
            tally.steps += len(run.records)
            tally.outcomes.update(outcome.value for outcome in run.outcomes)
            rows.note(run.records)
            broken = failures(run) if faults is None else run.broken
            options = "" if character is Character.FREESWITCH else f" --character {character}"
            options += f' --faults "{faults}"' if faults is not None else ""
            for failure in broken:
                finding = ProofFinding(
                    what=failure,
                    where=f"{order.name}{name}",
                    replay=f"hookflash simulate --seed {seed}{options}",
                    records=run.records,
                    names=run.names,
                )
                tally.findings.add(finding)
    return tally


def run_in_processes(
    scenarios: Sequence[Scenario],
    seeds: Sequence[int],
    processes: int,
    *,
    hardships: Mapping[str, Faults],
    rows: Rows,
    character: Character = Character.FREESWITCH,
) -> Tally:
    """Run scenarios as `run_many` does, some of the seeds in each of several processes."""
    if processes == 1:
        return run_many(scenarios, seeds, hardships=hardships, rows=rows, character=character)
    shares = [seeds[first::processes] for first in range(processes)]
    run = partial(_share, scenarios, dict(hardships), character)
    tally = Tally()
    with ProcessPoolExecutor(processes) as pool:
        for share, seen in pool.map(run, shares):
            rows.add(seen)
            tally.add(share)
    return tally


def _share(
    scenarios: Sequence[Scenario],
    hardships: Mapping[str, Faults],
    character: Character,
    seeds: Sequence[int],
) -> tuple[Tally, Rows]:
    rows = Rows()
    tally = run_many(scenarios, seeds, hardships=hardships, rows=rows, character=character)
    return tally, rows


def _hardship(hardships: Mapping[str, Faults], seed: int) -> tuple[str, Faults | None]:
    if not hardships:
        return "", None
    names = sorted(hardships)
    name = names[seed % len(names)]
    return f", {name}", attrs.evolve(hardships[name], seed=seed)
