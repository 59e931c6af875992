"""`hookflash prove` and `hookflash soak`: every order of events, and many seeds."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Annotated

from cyclopts import Parameter, validators
from rich.console import Console

from hookflash.backends.simulator.character import Character
from hookflash.backends.simulator.faults import Faults
from hookflash.cli.recorded import SCENARIOS, scenario_files
from hookflash.cli.terminal import plain, table_of, terminal
from hookflash.events import Kind
from hookflash.scenarios.format import load_scenario
from hookflash.scenarios.prove import HARDSHIPS, NO_HARDSHIPS, Rows, run_many, search_tables
from hookflash.specs.catalog import SPEC_FOR

CharacterOption = Annotated[
    Character | None, Parameter(help="Whose habits the simulated switch has; both by default.")
]

MOST_TOLD = 50
"""Failures that are told one by one."""


def prove(
    *,
    seeds: Annotated[int, Parameter(help="Under how many seeds each scenario runs.")] = 200,
    join_attempts: Annotated[
        int, Parameter(help="How often a join is ordered.", validator=validators.Number(gte=1))
    ] = 3,
    max_records: Annotated[
        int, Parameter(help="How many records of a table are searched.")
    ] = 1_000_000,
    character: CharacterOption = None,
) -> int:
    """Exhaust the tables, and run all scenarios under many seeds, without faults and with them."""
    console = terminal()
    search, wrong = _search(console, join_attempts=join_attempts, max_records=max_records)
    seen = Rows()
    wrong += _run_all(console, range(1, seeds + 1), seen, character)
    wrong += _compare(console, search, seen)
    return _judge(console, wrong)


def soak(
    *,
    seeds: Annotated[int, Parameter(help="Under how many seeds each scenario runs.")] = 100,
    seed: Annotated[
        int | None, Parameter(help="The first of them; a fresh one by default.")
    ] = None,
    character: CharacterOption = None,
) -> int:
    """Run all scenarios under seeds that nobody has tried before, with faults and without."""
    console = terminal()
    first = secrets.randbelow(2**32) if seed is None else seed
    console.print(f"seeds from {first}")
    wrong = _run_all(console, range(first, first + seeds), Rows(), character)
    return _judge(console, wrong)


def _search(console: Console, *, join_attempts: int, max_records: int) -> tuple[Rows, list[str]]:
    """Exhaust the tables: the rows that were reached, and what is wrong."""
    reached, wrong = Rows(), list[str]()
    table = table_of(
        "table", "beginning", "records", "steps", "rows", "pairs", "broken promises", "s"
    )
    found = search_tables(join_attempts=join_attempts, sounds=True, max_records=max_records)
    for one in found:
        reached.note_search(one.kind, one.found)
        wrong += [f"{one.kind.value}, {one.beginning}: {broken}" for broken in one.found.violations]
        if not one.complete:
            wrong.append(
                f"{one.kind.value}, {one.beginning}: cut short, give it more --max-records"
            )
        counts = (one.found.records, one.found.steps, len(one.found.rows), len(one.found.pairs))
        broken, took = str(len(one.found.violations)), f"{one.took_s:.0f}"
        table.add_row(one.kind.value, one.beginning, *(f"{n:,}" for n in counts), broken, took)
    console.print(table)
    return reached, wrong


def _run_all(
    console: Console, seeds: Sequence[int], seen: Rows, character: Character | None
) -> list[str]:
    """Run all scenarios, on a switch of this character or of each, without faults and with them."""
    return [
        failure
        for one in ([*Character] if character is None else [character])
        for hardships in (NO_HARDSHIPS, HARDSHIPS)
        for failure in _run_many(console, seeds, hardships, seen, one)
    ]


def _run_many(
    console: Console,
    seeds: Sequence[int],
    hardships: Mapping[str, Faults],
    seen: Rows,
    character: Character,
) -> list[str]:
    scenarios = [load_scenario(file) for file in scenario_files([SCENARIOS])]
    began = time.perf_counter()
    tally = run_many(scenarios, seeds, hardships=hardships, rows=seen, character=character)
    took_s = time.perf_counter() - began
    came = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(tally.outcomes.items()))
    console.print(
        f"{character}: {tally.runs:,} runs {'with' if hardships else 'without'} faults, "
        f"{tally.steps:,} steps, "
        f"{took_s:.0f} s: {came}; {len(tally.failures)} failures",
        soft_wrap=True,
    )
    return tally.failures


def _compare(console: Console, search: Rows, seen: Rows) -> list[str]:
    """Hold the rows of the search and those of the runs against each other, and say what is off."""
    wrong: list[str] = []
    table = table_of(
        "table", "rows", "in the search", "in runs", "pairs in the search", "in runs", "unforeseen"
    )
    for kind in Kind:
        unforeseen = seen.unforeseen(kind, search)
        wrong += [f"{kind.value}: never reached: {row}" for row in search.untouched(kind)]
        wrong += [f"{kind.value}: never in the search: {' then '.join(p)}" for p in unforeseen]
        counts = (
            len(SPEC_FOR[kind].rows),
            *(len(one.get(kind, ())) for one in (search.rows, seen.rows)),
            *(len(one.get(kind, ())) for one in (search.pairs, seen.pairs)),
            len(unforeseen),
        )
        table.add_row(kind.value, *(f"{count:,}" for count in counts))
    console.print(table)
    return wrong


def _judge(console: Console, wrong: Sequence[str]) -> int:
    for line in wrong[:MOST_TOLD]:
        console.print(f"[red]wrong[/red] {plain(line)}", soft_wrap=True)
    console.print(f"{len(wrong)} faults" if wrong else "every promise is kept")
    return 1 if wrong else 0
