"""`hookflash simulate` and `hookflash replay`: calls that were made up, and calls that happened."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.table import Table

from hookflash.backends.simulator.faults import parse_faults
from hookflash.cli.config import read_metaflows
from hookflash.cli.terminal import plain, terminal
from hookflash.engine.record import Record
from hookflash.engine.switchboard import Account
from hookflash.errors import InputError
from hookflash.replay import Replay, names_in, replay_recording
from hookflash.scenarios.check import failures
from hookflash.scenarios.format import load_scenario
from hookflash.scenarios.run import Run, run_scenario
from hookflash.story import (
    sequence,
    sequence_mermaid,
    sequence_svg,
    sequence_text,
    steps_table,
)

SCENARIOS = Path(__file__).parent.parent / "specs" / "scenarios"
"""The scenarios that ship."""

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object.")]
Diagram = Annotated[
    Path | None,
    Parameter(help="Write a sequence diagram to this file: .svg, .mmd (Mermaid) or .txt."),
]

# ------------------------------------------------------------------- simulate


def simulate(
    files: Annotated[
        list[Path] | None,
        Parameter(help="Scenario files, or folders of them; those that ship unless told."),
    ] = None,
    /,
    *,
    seed: Annotated[int | None, Parameter(help="In place of each scenario's own seed.")] = None,
    faults: Annotated[
        str | None,
        Parameter(help='What goes wrong on the way, such as "lose_command=0.1,duplicate=0.2".'),
    ] = None,
    trace: Annotated[bool, Parameter(negative="", help="Show every step.")] = False,
    story: Annotated[bool, Parameter(negative="", help="Show who did what.")] = False,
    diagram: Diagram = None,
    json_output: Json = False,
) -> int:
    """Run scenario files in the simulator, and check what comes of them."""
    chosen = parse_faults(faults) if faults is not None else None
    scenarios = [load_scenario(file) for file in scenario_files(files or [SCENARIOS])]
    runs = [
        run_scenario(order, seed=seed, faults=chosen)
        for scenario in scenarios
        for order in scenario.orders()
    ]
    if diagram is not None:
        write_diagram(diagram, runs[0].records, runs[0].names)
    if json_output:
        documents = [run_document(run) for run in runs]
        print(json.dumps(documents[0] if len(documents) == 1 else _together(documents)))
    else:
        _show_runs(runs, trace=trace, story=story)
    return 0 if not any(failures(run) for run in runs) else 1


def scenario_files(given: Sequence[Path]) -> list[Path]:
    """The scenario files that are given, and those in the folders that are.

    Raises:
        InputError: a folder without any.
    """
    found: list[Path] = []
    for file in given:
        inside = sorted(file.rglob("*.toml")) if file.is_dir() else [file]
        if not inside:
            raise InputError(
                "no scenario is in it", where=str(file), mend="name a folder of *.toml"
            )
        found += inside
    return found


def run_document(run: Run) -> dict[str, Any]:
    """A run as JSON's types."""
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
    """Several runs as one object, whose own keys speak of all of them."""
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
    runs_told = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    console.print(f"{runs_told}, {len(runs) - wrong} ok, {wrong} failed")


def write_diagram(file: Path, records: Sequence[Record], names: dict[str, str]) -> None:
    """Write a sequence diagram, in the format that the file's name tells.

    Raises:
        InputError: it tells none, or can't be written.
    """
    drawn = sequence(records, names)
    match file.suffix:
        case ".svg":
            text = sequence_svg(drawn)
        case ".mmd" | ".md":
            text = sequence_mermaid(drawn)
        case ".txt":
            text = sequence_text(drawn)
        case other:
            raise InputError(
                f"a diagram can't be written as {other!r}", where=str(file), mend=".svg, .mmd, .txt"
            )
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"can't be written: {error.strerror}", where=str(file), mend="name another file"
        ) from error


# --------------------------------------------------------------------- replay


def replay(
    recording: Annotated[Path, Parameter(help="A recorded event-socket session, .jsonl or .gz.")],
    /,
    *,
    config: Annotated[
        Path | None, Parameter(help="The feature codes that held, as in check-config.")
    ] = None,
    diagram: Diagram = None,
    json_output: Json = False,
) -> int:
    """Feed a recorded event-socket session through wire, machine and feature codes."""
    account = None if config is None else Account(metaflows=read_metaflows(config))
    played = replay_recording(recording, account=account)
    names = names_in(played.records)
    if diagram is not None:
        write_diagram(diagram, played.records, names)
    if json_output:
        print(json.dumps(replay_document(played)))
        return 0
    console = terminal()
    console.print(steps_table(played.records, names))
    outcome = played.outcome.value if played.outcome else "no outcome"
    cause = f" ({plain(played.cause)})" if played.cause else ""
    console.print(" → ".join(state.value for state in played.states))
    console.print(f"[bold]{outcome}[/bold]{cause}")
    if played.skipped:
        console.print(f"{played.skipped} frames could not be used")
    return 0


def replay_document(played: Replay) -> dict[str, Any]:
    """A replay as JSON's types."""
    return {
        "outcome": played.outcome.value if played.outcome else None,
        "cause": played.cause,
        "states": [state.value for state in played.states],
        "transfer": played.transfer,
        "skipped": played.skipped,
        "steps": [record.to_document() for record in played.records],
    }
