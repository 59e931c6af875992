"""`hookflash simulate`: invented calls."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.table import Table

from hookflash.backends.simulator.character import Character
from hookflash.backends.simulator.faults import parse_faults
from hookflash.cli.diagram import Diagram, Json, write_diagram
from hookflash.cli.terminal import counted, plain, terminal
from hookflash.errors import InputError
from hookflash.scenarios.check import failures
from hookflash.scenarios.format import load_scenario
from hookflash.scenarios.run import Run, run_scenario
from hookflash.story import sequence, sequence_text, steps_table

SCENARIOS = Path(__file__).parent.parent / "specs" / "scenarios"
"""The scenarios that ship with hookflash."""


def simulate(
    files: Annotated[
        list[Path] | None,
        Parameter(help="Scenario files or folders; default: those that ship with hookflash."),
    ] = None,
    /,
    *,
    seed: Annotated[int | None, Parameter(help="Seed, in place of each scenario's own.")] = None,
    faults: Annotated[
        str | None,
        Parameter(
            help='Faults between switch and engine, such as "lose_command=0.1,duplicate=0.2".'
        ),
    ] = None,
    character: Annotated[
        Character, Parameter(help="The switch whose behaviour is simulated.")
    ] = Character.FREESWITCH,
    trace: Annotated[bool, Parameter(negative="", help="Show every step.")] = False,
    story: Annotated[bool, Parameter(negative="", help="Print sequence diagrams.")] = False,
    diagram: Diagram = None,
    json_output: Json = False,
) -> int:
    """Run scenario files in the simulator, and check the results.

    Example: hookflash simulate my-scenarios/ --story
    """
    chosen = parse_faults(faults) if faults is not None else None
    scenarios = [load_scenario(file) for file in scenario_files(files or [SCENARIOS])]
    runs = [
        run_scenario(order, seed=seed, faults=chosen, character=character)
        for scenario in scenarios
        if scenario.is_for(character)
        for order in scenario.orders()
    ]
    if not runs:
        raise InputError(
            f"{scenarios[0].name} can't run with --character {character}",
            where=scenarios[0].because,
            hint=f"--character {scenarios[0].character}",
        )
    if diagram is not None:
        write_diagram(diagram, runs[0].records, runs[0].names)
    if json_output:
        documents = [run_document(run) for run in runs]
        print(json.dumps(documents[0] if len(documents) == 1 else _together(documents)))
    else:
        _show_runs(runs, trace=trace, story=story)
    return 0 if not any(failures(run) for run in runs) else 1


def scenario_files(given: Sequence[Path]) -> list[Path]:
    """The given scenario files, and those in the given folders.

    Raises:
        InputError: a folder has no scenario.
    """
    found: list[Path] = []
    for file in given:
        inside = sorted(file.rglob("*.toml")) if file.is_dir() else [file]
        if not inside:
            raise InputError(
                "has no scenarios", where=str(file), hint="name a folder with *.toml files"
            )
        found += inside
    return found


def run_document(run: Run) -> dict[str, Any]:
    """A run as a JSON document."""
    failed = failures(run)
    return {
        "scenario": run.scenario.name,
        "title": run.scenario.title,
        "seed": run.seed,
        "ok": not failed,
        "failures": list(failed),
        "outcome": run.outcomes[0].value if run.outcomes else None,
        "outcomes": [outcome.value for outcome in run.outcomes],
        "cause": run.cause,
        "states": [state.value for state in run.states],
        "talk": sorted(sorted(pair) for pair in run.talk),
        "heard": {who: list(sounds) for who, sounds in run.heard.items()},
        "refused": list(run.refused),
        "took_s": round(run.took_s, 6),
    }


def _together(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Several runs as one JSON document."""
    first = documents[0]
    return {
        "seed": first["seed"],
        "ok": all(document["ok"] for document in documents),
        "failures": [
            f"{document['scenario']}: {failure}"
            for document in documents
            for failure in document["failures"]
        ],
        "outcome": first["outcome"],
        "states": first["states"],
        "runs": documents,
    }


def _show_runs(runs: list[Run], *, trace: bool, story: bool) -> None:
    console = terminal()
    for run in runs:
        if trace:
            console.print(steps_table(run.records, run.names))
        if story:
            console.print(f"[bold]{plain(run.scenario.title)}[/bold]")
            drawn = sequence_text(sequence(run.records, run.names), width=console.width - 1)
            console.print(plain(drawn))
    table = Table(box=None, pad_edge=False)
    for column in ("", "scenario", "outcome", "states"):
        table.add_column(column, overflow="fold")
    for run in runs:
        failed = failures(run)
        mark = "[red]FAILED[/red]" if failed else "[green]ok[/green]"
        outcome = ", ".join(outcome.value for outcome in run.outcomes) or "none"
        table.add_row(
            mark, plain(run.scenario.name), outcome, " → ".join(s.value for s in run.states)
        )
    console.print(table)
    for run in runs:
        for failure in failures(run):
            name = f"[red]{plain(run.scenario.name)}[/red]"
            console.print(f"{name} (seed {run.seed}): {plain(failure)}", soft_wrap=True)
    wrong = sum(bool(failures(run)) for run in runs)
    console.print(f"{counted(len(runs), 'run')}, {len(runs) - wrong} ok, {wrong} failed")
