"""`hookflash simulate` and `hookflash replay`: calls that were made up, and calls that happened."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import attrs
from cyclopts import Parameter
from rich.table import Table

from hookflash.backends.simulator.character import Character
from hookflash.backends.simulator.faults import parse_faults
from hookflash.cli.config import read_metaflows
from hookflash.cli.terminal import plain, terminal
from hookflash.engine.legs import Account
from hookflash.engine.record import Record, states_of
from hookflash.errors import InputError
from hookflash.fsm.transfer import Outcome
from hookflash.journal import history, transfers
from hookflash.journal.database import JournalError, open_for_reading
from hookflash.journal.replay import Rerun, names_of, rerun
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
        Parameter(help="Scenario files, or folders of them; those that ship by default."),
    ] = None,
    /,
    *,
    seed: Annotated[int | None, Parameter(help="Replaces the seed of each scenario.")] = None,
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
    story: Annotated[
        bool, Parameter(negative="", help="Print who did what, as a diagram.")
    ] = False,
    diagram: Diagram = None,
    json_output: Json = False,
) -> int:
    """Run scenario files in the simulator, and check the results.

    Example: `hookflash simulate my-scenarios/ --story`.
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
            f"{scenarios[0].name} makes no sense with --character {character}",
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
    """The scenario files that are given, and those in the folders that are.

    Raises:
        InputError: a folder without any.
    """
    found: list[Path] = []
    for file in given:
        inside = sorted(file.rglob("*.toml")) if file.is_dir() else [file]
        if not inside:
            raise InputError(
                "no scenario is in it", where=str(file), hint="name a folder of *.toml"
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
                f"a diagram can't be written as {other!r}", where=str(file), hint=".svg, .mmd, .txt"
            )
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"can't be written: {error.strerror}", where=str(file), hint="name another file"
        ) from error


# --------------------------------------------------------------------- replay


SQLITE = b"SQLite format 3\0"
"""By this, a journal is known from a recording."""


def replay(
    recording: Annotated[
        Path, Parameter(help="A recorded event-socket session, .jsonl or .gz; or a journal.")
    ],
    /,
    *,
    transfer: Annotated[
        str | None, Parameter(help="Which one of the journal's; all of them by default.")
    ] = None,
    config: Annotated[
        Path | None, Parameter(help="The feature codes that were in effect, as for check-config.")
    ] = None,
    diagram: Diagram = None,
    json_output: Json = False,
) -> int:
    """Replay offline what has happened: a recorded session, or the transfers of a journal.

    A recording goes through wire, feature codes and tables. A journal's transfers go through the
    tables; any difference from what was written is reported, with exit status 1. Example:
    `hookflash replay journal.db --transfer 4f2c`.
    """
    if is_journal(recording):
        if config is not None:
            raise InputError("a journal knows what held", where="--config", hint="leave it out")
        return _replay_journal(recording, transfer, diagram, json_output=json_output)
    if transfer is not None:
        raise InputError("is no journal", where=str(recording), hint="leave --transfer out")
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
    console.print(" → ".join(state.value for state in played.states))
    console.print(_ended(played.outcome, played.cause))
    if played.skipped:
        console.print(f"{played.skipped} frames could not be used")
    return 0


def _ended(outcome: Outcome | None, cause: str | None) -> str:
    told = outcome.value if outcome else "no outcome"
    return f"[bold]{told}[/bold]" + (f" ({plain(cause)})" if cause else "")


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


# ----------------------------------------------------------- replay of a journal


def is_journal(file: Path) -> bool:
    """Whether a file is a journal; a recording, if not. One that can't be read is neither."""
    try:
        with file.open("rb") as opened:
            return opened.read(len(SQLITE)) == SQLITE
    except OSError:
        return False


def _replay_journal(
    file: Path, transfer: str | None, diagram: Path | None, *, json_output: bool
) -> int:
    connection = open_for_reading(file)
    try:
        if transfer is None:
            if diagram is not None:
                raise InputError("a diagram of what?", where="--diagram", hint="--transfer ID")
            return _replay_all(connection, json_output=json_output)
        return _replay_one(connection, transfer, diagram, json_output=json_output)
    except sqlite3.Error as error:
        raise JournalError(f"{file}: {error}") from error
    finally:
        connection.close()


def _replay_one(
    connection: sqlite3.Connection, transfer: str, diagram: Path | None, *, json_output: bool
) -> int:
    steps = history.steps_of(connection, transfer)
    if not steps:
        raise InputError(f"no transfer {transfer!r} is in it", hint="hookflash journal show")
    run = rerun(steps)
    records = [
        attrs.evolve(record, at_s=step.at - steps[0].at)
        for record, step in zip(run.records, steps, strict=True)
    ]
    names = names_of(next((r.parties for r in records if r.parties is not None), None))
    if diagram is not None:
        write_diagram(diagram, records, names)
    if json_output:
        told = [record.to_document() for record in run.records]
        print(json.dumps(rerun_document(transfer, run) | {"steps": told}))
        return 1 if run.differences else 0
    console = terminal()
    console.print(steps_table(records, names))
    console.print(" → ".join(state.value for state in states_of(list(run.records))))
    console.print(_ended(run.records[-1].outcome, run.records[-1].cause))
    for difference in run.differences:
        console.print(f"[red]otherwise[/red] {plain(str(difference))}", soft_wrap=True)
    if not run.differences:
        console.print("all as it was written")
    return 1 if run.differences else 0


def _replay_all(connection: sqlite3.Connection, *, json_output: bool) -> int:
    runs = {
        transfer: rerun(history.steps_of(connection, transfer))
        for transfer in transfers.transfer_ids(connection)
    }
    wrong = {transfer: run for transfer, run in runs.items() if run.differences}
    if json_output:
        told = [rerun_document(transfer, run) for transfer, run in runs.items()]
        print(json.dumps({"ok": not wrong, "transfers": told}))
        return 1 if wrong else 0
    console = terminal()
    for transfer, run in wrong.items():
        for difference in run.differences:
            told_of = f"[red]{plain(transfer)}[/red] {plain(str(difference))}"
            console.print(told_of, soft_wrap=True)
    count = "1 transfer" if len(runs) == 1 else f"{len(runs)} transfers"
    console.print(f"{count}, {len(runs) - len(wrong)} as written, {len(wrong)} otherwise")
    return 1 if wrong else 0


def rerun_document(transfer: str, run: Rerun) -> dict[str, Any]:
    """What came of running a transfer of a journal again, as JSON's types."""
    last = run.records[-1]
    return {
        "transfer": transfer,
        "ok": not run.differences,
        "outcome": last.outcome.value if last.outcome else None,
        "cause": last.cause,
        "states": [state.value for state in states_of(list(run.records))],
        "differences": [attrs.asdict(difference) for difference in run.differences],
        "untried": list(run.untried),
    }
