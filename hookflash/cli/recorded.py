"""`hookflash replay`: calls that happened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import attrs
from cyclopts import Parameter

from hookflash.cli.diagram import Diagram, Json, write_diagram
from hookflash.cli.terminal import counted, plain, terminal
from hookflash.dialling.metaflows import parse_metaflows
from hookflash.document import read_document
from hookflash.engine.legs import Account
from hookflash.engine.record import states_of
from hookflash.errors import InputError
from hookflash.fsm.transfer import Outcome
from hookflash.journal import history, transfers
from hookflash.journal.database import open_for_reading, using
from hookflash.journal.replay import Rerun, names_of, rerun
from hookflash.replay import Replay, names_in, replay_recording
from hookflash.story import steps_table

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
    account = None
    if config is not None:
        account = Account(metaflows=parse_metaflows(read_document(config), f"{config}: $"))
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
