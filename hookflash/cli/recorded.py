"""`hookflash simulate` and `hookflash replay`: invented calls, and calls that happened."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import attrs
from cyclopts import Parameter
from rich.table import Table

from hookflash.backends.simulator.character import Character
from hookflash.backends.simulator.faults import parse_faults
from hookflash.cli.config import read_metaflows
from hookflash.cli.terminal import counted, plain, terminal
from hookflash.engine.legs import Account
from hookflash.engine.record import Record, states_of
from hookflash.errors import InputError
from hookflash.fsm.transfer import Outcome
from hookflash.journal import history, transfers
from hookflash.journal.database import open_for_reading, using
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
"""The scenarios that ship with hookflash."""

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object.")]
Diagram = Annotated[
    Path | None,
    Parameter(help="Write a sequence diagram to this file: .svg, .mmd (Mermaid) or .txt."),
]

# ------------------------------------------------------------------- simulate


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


def write_diagram(file: Path, records: Sequence[Record], names: dict[str, str]) -> None:
    """Write a sequence diagram; the file's suffix selects the format.

    Raises:
        InputError: the suffix is unknown, or the file can't be written.
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
"""The first bytes of a journal."""


def replay(
    recording: Annotated[
        Path, Parameter(help="A recorded event-socket session (.jsonl or .gz), or a journal.")
    ],
    /,
    *,
    transfer: Annotated[
        str | None, Parameter(help="ID of one transfer of the journal; default: all.")
    ] = None,
    config: Annotated[
        Path | None, Parameter(help="Feature codes to replay a recorded session with.")
    ] = None,
    diagram: Diagram = None,
    json_output: Json = False,
) -> int:
    """Replay a recorded session, or the transfers of a journal, offline.

    A session goes through the parser, the feature codes and the tables. A journal's transfers go
    through the tables; any difference from the journal is reported, with exit status 1.

    Example: hookflash replay hookflash.sqlite --transfer 4f2c
    """
    if is_journal(recording):
        if config is not None:
            what = "a journal needs no feature codes"
            raise InputError(what, where="--config", hint="leave it out")
        return _replay_journal(recording, transfer, diagram, json_output=json_output)
    if transfer is not None:
        raise InputError("is not a journal", where=str(recording), hint="leave --transfer out")
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
    shown = outcome.value if outcome else "no outcome"
    return f"[bold]{shown}[/bold]" + (f" ({plain(cause)})" if cause else "")


def replay_document(played: Replay) -> dict[str, Any]:
    """A replay as a JSON document."""
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
    """Whether a file is a journal."""
    try:
        with file.open("rb") as opened:
            return opened.read(len(SQLITE)) == SQLITE
    except OSError:
        return False


def _replay_journal(
    file: Path, transfer: str | None, diagram: Path | None, *, json_output: bool
) -> int:
    if transfer is None and diagram is not None:
        raise InputError("a diagram needs one transfer", where="--diagram", hint="--transfer ID")
    with using(open_for_reading(file), file) as connection:
        chosen = transfers.transfer_ids(connection) if transfer is None else [transfer]
        runs = {one: rerun(history.steps_of(connection, one)) for one in chosen}
        if transfer is not None and not runs[transfer].records:
            raise InputError(
                f"there is no transfer {transfer!r}", hint="see hookflash journal show"
            )
    if transfer is not None:
        _show_rerun(transfer, runs[transfer], diagram, json_output=json_output)
    else:
        _show_reruns(runs, json_output=json_output)
    return 1 if any(run.differences for run in runs.values()) else 0


def _show_rerun(transfer: str, run: Rerun, diagram: Path | None, *, json_output: bool) -> None:
    records = [attrs.evolve(r, at_s=r.at - run.records[0].at) for r in run.records]
    names = names_of(next((r.parties for r in records if r.parties is not None), None))
    if diagram is not None:
        write_diagram(diagram, records, names)
    if json_output:
        steps = [record.to_document() for record in run.records]
        print(json.dumps(rerun_document(transfer, run) | {"steps": steps}))
        return
    console = terminal()
    console.print(steps_table(records, names))
    console.print(" → ".join(state.value for state in states_of(records)))
    console.print(_ended(records[-1].outcome, records[-1].cause))
    for difference in run.differences:
        console.print(f"[red]differs[/red] {plain(str(difference))}", soft_wrap=True)
    if not run.differences:
        console.print("no differences")


def _show_reruns(runs: dict[str, Rerun], *, json_output: bool) -> None:
    wrong = {transfer: run for transfer, run in runs.items() if run.differences}
    if json_output:
        documents = [rerun_document(transfer, run) for transfer, run in runs.items()]
        print(json.dumps({"ok": not wrong, "transfers": documents}))
        return
    console = terminal()
    for transfer, run in wrong.items():
        for difference in run.differences:
            line = f"[red]{plain(transfer)}[/red] {plain(str(difference))}"
            console.print(line, soft_wrap=True)
    count = counted(len(runs), "transfer")
    console.print(f"{count}, {len(runs) - len(wrong)} as recorded, {len(wrong)} different")


def rerun_document(transfer: str, run: Rerun) -> dict[str, Any]:
    """A rerun as a JSON document."""
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
