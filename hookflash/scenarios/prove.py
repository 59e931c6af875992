"""The proof and the soak: all that a table can meet, and scenarios by the thousand.

Two searches complete one another. The **tables** are exhausted: an adversary lets anything happen
at any moment, until no record is new. The **scenarios** run in the simulator, where things happen
as on a switch: in every order of their races, under many seeds, without faults and with them; and
every promise is watched in every moment.

The two are held against each other as well. Rows that follow one another in the simulator must be
able to do so in the search, or the adversary was not bad enough.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from hookflash.backends.simulator.faults import Faults, parse_faults
from hookflash.engine.record import Record
from hookflash.events import Kind, TransferRequested
from hookflash.fsm.explore import Exploration, explore
from hookflash.fsm.machine import Rulebook
from hookflash.fsm.transfer import Choice, Policy, new_transfer
from hookflash.scenarios.check import failures
from hookflash.scenarios.format import Scenario
from hookflash.scenarios.run import run_scenario
from hookflash.specs.catalog import SPEC_FOR

HARDSHIPS: Mapping[str, Faults] = {
    name: parse_faults(text)
    for name, text in {
        "late": "latency=0.0..0.3",
        "jumbled": "reorder=0.5,duplicate=0.5,event_latency=0.0..0.05",
        "lossy": "lose_command=0.3,lose_at_most=2",
        "refused": "fail_command=0.3,lose_at_most=2",
        "everything": "latency=0.0..0.1,reorder=0.3,duplicate=0.3,"
        "lose_command=0.15,fail_command=0.15,lose_at_most=2",
    }.items()
}
"""What the way between switch and switchboard may do to a run. Fewer commands fall than a join has
attempts: who loses every order can keep no promise."""

NO_HARDSHIPS: Mapping[str, Faults] = {}

POLICIES: Mapping[str, Policy] = {
    "as delivered": Policy(),
    "strict": Policy(
        transferor_leaves_ringing=Choice.END,
        transferee_leaves_ringing=Choice.END,
        transferee_leaves_consulting=Choice.END,
    ),
}
"""The choices of operators by which the tables branch."""


# ------------------------------------------------------------------------ rows


Pair = tuple[str, str]


@attrs.define
class Rows:
    """Which rows of the tables have answered, and which of them one after the other."""

    rows: dict[Kind, Counter[str]] = attrs.field(factory=dict[Kind, Counter[str]])
    pairs: dict[Kind, Counter[Pair]] = attrs.field(factory=dict[Kind, Counter[Pair]])

    def note(self, records: Iterable[Record]) -> None:
        """Count the rows of one run."""
        kinds: dict[str, Kind] = {}
        before: dict[str, str] = {}
        for record in records:
            if record.transfer is None or record.row is None:
                continue
            if isinstance(record.event, TransferRequested):
                kinds[record.transfer] = record.event.kind
            kind, came_by = kinds[record.transfer], before.get(record.transfer)
            self.rows.setdefault(kind, Counter())[record.row] += 1
            if came_by is not None:
                self.pairs.setdefault(kind, Counter())[came_by, record.row] += 1
            before[record.transfer] = record.row

    def note_search(self, kind: Kind, found: Exploration) -> None:
        """Count the rows that a search has reached."""
        self.rows.setdefault(kind, Counter()).update(found.rows)
        self.pairs.setdefault(kind, Counter()).update(found.pairs)

    def untouched(self, kind: Kind) -> list[str]:
        """The rows that have never answered."""
        return sorted({row.key for row in SPEC_FOR[kind].rows}.difference(self.rows.get(kind, ())))

    def unforeseen(self, kind: Kind, search: Rows) -> list[Pair]:
        """Rows that followed one another here, and could not in a search."""
        return sorted(set(self.pairs.get(kind, ())).difference(search.pairs.get(kind, ())))


# ---------------------------------------------------------------------- tables


@attrs.frozen(kw_only=True)
class Search:
    """One table, exhausted under one policy."""

    kind: Kind
    policy: str
    found: Exploration
    complete: bool
    """Whether no record was left over."""
    took_s: float


def search_tables(
    *, join_attempts: int, sounds: bool, max_records: int, kinds: Iterable[Kind] = Kind
) -> Iterator[Search]:
    """Exhaust tables, each under every policy.

    Args:
        join_attempts: how often a join is ordered; more multiply the records.
        sounds: whether sounds start, stop and fail, too.
        max_records: where to stop if there are more.
        kinds: whose tables; all of them by default.
    """
    for kind, (name, policy) in itertools.product(kinds, POLICIES.items()):
        start = new_transfer(
            transfer="t1",
            kind=kind,
            policy=attrs.evolve(policy, join_attempts=join_attempts, sound_attempts=2),
            transferor=("a", "1001"),
            transferee=("b", "1002"),
            target=("c", "2600"),
        )
        began = time.perf_counter()
        rules = Rulebook(SPEC_FOR[kind])
        found = explore(rules, start, sounds=sounds, max_records=max_records)
        took_s = time.perf_counter() - began
        complete = found.records <= max_records
        yield Search(kind=kind, policy=name, found=found, complete=complete, took_s=took_s)


# ------------------------------------------------------------------- scenarios


@attrs.define(kw_only=True)
class Tally:
    """What many runs came to."""

    runs: int = 0
    steps: int = 0
    outcomes: Counter[str] = attrs.field(factory=Counter[str])
    failures: list[str] = attrs.field(factory=list[str])


def run_many(
    scenarios: Sequence[Scenario],
    seeds: Iterable[int],
    *,
    hardships: Mapping[str, Faults],
    rows: Rows,
) -> Tally:
    """Run scenarios, in every order of their races, under every seed.

    With no hardships, scenarios run under the faults of their own, and must come to what they
    expect. Else each seed meets one hardship, in turn, and only the promises count: what comes of
    a call is then another thing than what its author expected.

    Args:
        scenarios: what to run.
        seeds: each in place of the scenarios' own.
        hardships: faults by name; the seeds go through them in turn.
        rows: where the rows that answer are counted.
    """
    tally = Tally()
    orders = [order for scenario in scenarios for order in scenario.orders()]
    for seed in seeds:
        name, faults = _hardship(hardships, seed)
        for order in orders:
            run = run_scenario(order, seed=seed, faults=faults)
            tally.runs += 1
            tally.steps += len(run.records)
            tally.outcomes.update(outcome.value for outcome in run.outcomes)
            rows.note(run.records)
            broken = failures(run) if faults is None else run.broken
            told = f' --faults "{faults}"' if faults is not None else ""
            tally.failures += [
                f"{order.name}{name}: {failure} (hookflash simulate --seed {seed}{told})"
                for failure in broken
            ]
    return tally


def _hardship(hardships: Mapping[str, Faults], seed: int) -> tuple[str, Faults | None]:
    if not hardships:
        return "", None
    names = sorted(hardships)
    name = names[seed % len(names)]
    return f", {name}", attrs.evolve(hardships[name], seed=seed)
