"""`hookflash prove` and `hookflash soak`: search all orders of events, and run many seeds."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

from cyclopts import Parameter, validators
from rich.console import Console

from hookflash.backends.simulator.character import Character
from hookflash.backends.simulator.faults import Faults
from hookflash.cli.simulated import SCENARIOS, scenario_files
from hookflash.cli.terminal import plain, table_of, terminal
from hookflash.events import Kind
from hookflash.scenarios.findings import ProofFinding, ProofFindings, finding_of
from hookflash.scenarios.format import load_scenario
from hookflash.scenarios.rows import Rows
from hookflash.scenarios.searches import Search, search_tables
from hookflash.scenarios.soak import HARDSHIPS, NO_HARDSHIPS, run_in_processes
from hookflash.specs.catalog import SPEC_FOR
from hookflash.story import story_lines

CharacterOption = Annotated[
    Character | None, Parameter(help="The switch whose behaviour is simulated; default: both.")
]

ProcessesOption = Annotated[
    int | None,
    Parameter(
        help="How many processes share the work; default: one for each processor.",
        validator=validators.Number(gte=1),
    ),
]

MOST_KINDS = 20
"""How many kinds of findings are printed, each as a story."""


def prove(
    *,
    seeds: Annotated[int, Parameter(help="Number of seeds per scenario.")] = 50,
    join_attempts: Annotated[
        int,
        Parameter(help="How often to try to join two legs.", validator=validators.Number(gte=1)),
    ] = 2,
    max_records: Annotated[
        int, Parameter(help="Largest number of records to search per table.")
    ] = 1_000_000,
    character: CharacterOption = None,
    processes: ProcessesOption = None,
) -> int:
    """Search the tables exhaustively, and run all scenarios under many seeds.

    Each seed runs with and without faults. The shortest finding of each kind is printed as a story.

    Example: hookflash prove --seeds 50
    """
    console = terminal()
    found, seen = ProofFindings(), Rows()
    at_once = processes or os.cpu_count() or 1
    searches = search_tables(
        join_attempts=join_attempts, max_records=max_records, processes=at_once
    )
    search = _search(console, found, searches)
    _run_all(console, found, range(1, seeds + 1), seen, character, processes=at_once)
    _compare(console, found, search, seen)
    return _report(console, found)


def soak(
    *,
    seeds: Annotated[int, Parameter(help="Number of seeds per scenario.")] = 100,
    seed: Annotated[int | None, Parameter(help="The first seed; default: a random one.")] = None,
    character: CharacterOption = None,
    processes: ProcessesOption = None,
) -> int:
    """Run all scenarios under new random seeds, with and without faults.

    The shortest finding of each kind is printed as a story.

    Example: hookflash soak --seeds 500
    """
    console = terminal()
    first = secrets.randbelow(2**32) if seed is None else seed
    console.print(f"seeds from {first}")
    found = ProofFindings()
    at_once = processes or os.cpu_count() or 1
    _run_all(console, found, range(first, first + seeds), Rows(), character, processes=at_once)
    return _report(console, found)


def _search(console: Console, found: ProofFindings, searches: Iterable[Search]) -> Rows:
    """Search the tables.

    Returns:
        The rows that were reached.
    """
    reached = Rows()
    table = table_of(
        "table", "beginning", "records", "steps", "rows", "pairs", "broken promises", "s"
    )
    for one in searches:
        reached.note_search(one.kind, one.found)
        where = f"{one.kind.value}, {one.beginning}"
        for violation in one.found.violations:
            found.add(finding_of(violation, where), violation.times)
        if not one.complete:
            found.add(ProofFinding(what="cut short; increase --max-records", where=where))
        counts = (one.found.records, one.found.steps, len(one.found.rows), len(one.found.pairs))
        broken = sum(violation.times for violation in one.found.violations)
        columns = *(f"{n:,}" for n in counts), f"{broken:,}", f"{one.took_s:.0f}"
        table.add_row(one.kind.value, one.beginning, *columns)
    console.print(table)
    return reached


def _run_all(
    console: Console,
    found: ProofFindings,
    seeds: Sequence[int],
    seen: Rows,
    character: Character | None,
    *,
    processes: int,
) -> None:
    """Run all scenarios, on one simulated switch or both, with and without faults."""
    for one in [*Character] if character is None else [character]:
        for hardships in (NO_HARDSHIPS, HARDSHIPS):
            found.add_all(_run_many(console, seeds, hardships, seen, one, processes=processes))


def _run_many(
    console: Console,
    seeds: Sequence[int],
    hardships: Mapping[str, Faults],
    seen: Rows,
    character: Character,
    *,
    processes: int,
) -> ProofFindings:
    scenarios = [load_scenario(file) for file in scenario_files([SCENARIOS])]
    began = time.perf_counter()
    tally = run_in_processes(
        scenarios, seeds, processes, hardships=hardships, rows=seen, character=character
    )
    took_s = time.perf_counter() - began
    came = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(tally.outcomes.items()))
    console.print(
        f"{character}: {tally.runs:,} runs {'with' if hardships else 'without'} faults, "
        f"{tally.steps:,} steps, "
        f"{took_s:.0f} s: {came}; {len(tally.findings)} findings",
        soft_wrap=True,
    )
    return tally.findings


def _compare(console: Console, found: ProofFindings, search: Rows, seen: Rows) -> None:
    """Compare the rows of the search and the runs, and note what is missing."""
    table = table_of(
        "table", "rows", "in the search", "in runs", "pairs in the search", "in runs", "unforeseen"
    )
    for kind in Kind:
        unforeseen = seen.unforeseen(kind, search)
        for row in search.untouched(kind):
            found.add(ProofFinding(what=f"never reached: {row}", where=kind.value))
        for pair in unforeseen:
            what = f"never in the search: {' then '.join(pair)}"
            found.add(ProofFinding(what=what, where=kind.value))
        counts = (
            len(SPEC_FOR[kind].rows),
            *(len(one.get(kind, ())) for one in (search.rows, seen.rows)),
            *(len(one.get(kind, ())) for one in (search.pairs, seen.pairs)),
            len(unforeseen),
        )
        table.add_row(kind.value, *(f"{count:,}" for count in counts))
    console.print(table)


def _report(console: Console, found: ProofFindings) -> int:
    """Print the shortest finding of each kind as a story."""
    for finding, times in found.kinds()[:MOST_KINDS]:
        like_it = f", and {times - 1:,} more like it" if times > 1 else ""
        console.print(f"[red]wrong[/red] {plain(str(finding))}{like_it}", soft_wrap=True)
        numbered = not finding.replay
        for line in story_lines(finding.records, finding.names, numbered=numbered):
            console.print(f"    {plain(line)}", soft_wrap=True)
    kinds = len(found.kinds())
    result = f"{len(found):,} findings of {kinds:,} kinds" if found else "every promise is kept"
    console.print(result + (f"; {MOST_KINDS} kinds are shown" if kinds > MOST_KINDS else ""))
    return 1 if found else 0
