"""One command, `hookflash`: simulate, replay, show the tables, check what people wrote.

Exit status: 0 all is well; 1 something is not as expected; 2 the input can't be used.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from cyclopts import App, CycloptsError, Parameter, validators
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hookflash.backends.simulator.faults import Faults, parse_faults
from hookflash.cli_emulate import emulate
from hookflash.engine.record import Record
from hookflash.engine.switchboard import Account
from hookflash.errors import HookflashError, InputError
from hookflash.events import Kind
from hookflash.fsm.render import render
from hookflash.replay import Replay, names_in, replay_recording
from hookflash.scenarios.check import failures
from hookflash.scenarios.format import load_scenario
from hookflash.scenarios.prove import HARDSHIPS, NO_HARDSHIPS, Rows, run_many, search_tables
from hookflash.scenarios.run import Run, run_scenario
from hookflash.specs.catalog import SPEC_FOR, SPECS
from hookflash.specs.metaflows import Metaflows, lint_metaflows, metaflows_faults, parse_metaflows
from hookflash.story import (
    sequence,
    sequence_mermaid,
    sequence_svg,
    sequence_text,
    steps_table,
)

USAGE = 2
"""The exit status for input that can't be used."""

INTERRUPTED = 130
"""The exit status after Ctrl-C, as shells have it: 128 and the signal's number."""

MOST_TOLD = 50
"""Failures that are told one by one."""

SCENARIOS = Path(__file__).parent / "specs" / "scenarios"
"""The scenarios that ship."""

MAX_CONFIG_BYTES = 1_000_000
"""No config that a person wrote is longer."""

app = App(
    name="hookflash",
    help="Attended transfer for any phone: simulate, replay, look inside.",
    suppress_keyboard_interrupt=False,
)
spec = App(name="spec", help="The transfer tables.")
app.command(spec)
app.command(emulate)

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object.")]
Diagram = Annotated[
    Path | None,
    Parameter(help="Write a sequence diagram to this file: .svg, .mmd (Mermaid) or .txt."),
]


def _console() -> Console:
    """Where people read: coloured where a terminal is, never cut short where none is."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=120)


# ------------------------------------------------------------------- simulate


@app.command
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
    scenarios = [load_scenario(file) for file in _files(files or [SCENARIOS])]
    runs = [
        run_scenario(order, seed=seed, faults=chosen)
        for scenario in scenarios
        for order in scenario.orders()
    ]
    if diagram is not None:
        _write_diagram(diagram, runs[0].records, runs[0].names)
    if json_output:
        documents = [run_document(run) for run in runs]
        print(json.dumps(documents[0] if len(documents) == 1 else _together(documents)))
    else:
        _show_runs(runs, trace=trace, story=story)
    return 0 if not any(failures(run) for run in runs) else 1


def _files(given: Sequence[Path]) -> list[Path]:
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
    console = _console()
    for run in runs:
        if trace:
            console.print(steps_table(run.records, run.names))
        if story:
            console.print(f"[bold]{_plain(run.scenario.title)}[/bold]")
            drawn = sequence_text(sequence(run.records, run.names), width=console.width - 1)
            console.print(_plain(drawn))
    table = Table(box=None, pad_edge=False)
    for column in ("", "scenario", "outcome", "states"):
        table.add_column(column, overflow="fold")
    for run in runs:
        failed = failures(run)
        mark = "[red]FAILED[/red]" if failed else "[green]ok[/green]"
        outcome = ", ".join(outcome.value for outcome in run.outcomes) or "none"
        table.add_row(
            mark, _plain(run.scenario.name), outcome, " → ".join(s.value for s in run.states)
        )
    console.print(table)
    for run in runs:
        for failure in failures(run):
            name = f"[red]{_plain(run.scenario.name)}[/red]"
            console.print(f"{name} (seed {run.seed}): {_plain(failure)}", soft_wrap=True)
    wrong = sum(bool(failures(run)) for run in runs)
    runs_told = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    console.print(f"{runs_told}, {len(runs) - wrong} ok, {wrong} failed")


def _plain(text: str) -> str:
    """Text in which nothing is markup, and nothing steers a terminal."""
    return escape("".join(c if c.isprintable() or c == "\n" else "�" for c in text))


def _write_diagram(file: Path, records: Sequence[Record], names: dict[str, str]) -> None:
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


@app.command
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
    account = None if config is None else Account(metaflows=_config(config))
    played = replay_recording(recording, account=account)
    names = names_in(played.records)
    if diagram is not None:
        _write_diagram(diagram, played.records, names)
    if json_output:
        print(json.dumps(replay_document(played)))
        return 0
    console = _console()
    console.print(steps_table(played.records, names))
    outcome = played.outcome.value if played.outcome else "no outcome"
    cause = f" ({_plain(played.cause)})" if played.cause else ""
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


# ----------------------------------------------------------------------- spec


@spec.command
def show(
    name: Annotated[Literal["attended", "blind", "hold"], Parameter(help="Which table.")],
    /,
    *,
    format: Annotated[  # noqa: A002 - the option's name is --format, as people expect it
        Literal["table", "mermaid", "dot", "json"], Parameter(help="As what.")
    ] = "table",
) -> int:
    """Print a transfer table."""
    print(render(SPECS[name], format), end="")
    return 0


# --------------------------------------------------------------- check-config


@app.command(name="check-config")
def check_config(
    file: Annotated[Path, Parameter(help="Feature codes: JSON in Kazoo's shape, or TOML.")],
    /,
    *,
    json_output: Json = False,
) -> int:
    """Check an account's feature codes, and warn of those that will annoy people."""
    document = _document(file)
    faults = metaflows_faults(document, f"{file}: $")
    advice = () if faults else lint_metaflows(parse_metaflows(document), f"{file}: $")
    if json_output:
        print(
            json.dumps(
                {
                    "ok": not faults,
                    "faults": [str(fault) for fault in faults],
                    "advice": [str(one) for one in advice],
                }
            )
        )
        return USAGE if faults else 0
    console = _console()
    for fault in faults:
        console.print(f"[red]wrong[/red]  {_plain(str(fault))}", soft_wrap=True)
    for one in advice:
        console.print(f"[yellow]advice[/yellow] {_plain(str(one))}", soft_wrap=True)
    if not faults and not advice:
        console.print(f"{_plain(str(file))}: all is well", soft_wrap=True)
    return USAGE if faults else 0


def _document(file: Path) -> object:
    try:
        with file.open("rb") as opened:
            text = opened.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"can't be read: {error.strerror}", where=str(file), mend="name a config file"
        ) from error
    if len(text) > MAX_CONFIG_BYTES:
        raise InputError("is too large", where=str(file), mend=f"at most {MAX_CONFIG_BYTES} bytes")
    try:
        if file.suffix == ".toml":
            return tomllib.loads(text.decode("utf-8-sig"))
        return cast("object", json.loads(text, object_pairs_hook=_no_key_twice))
    except InputError as error:
        raise InputError(error.what, where=str(file), mend=error.mend) from error
    except (ValueError, RecursionError) as error:
        kind = "TOML" if file.suffix == ".toml" else "JSON"
        raise InputError(f"is no {kind}: {error}", where=str(file), mend=f"write {kind}") from error


def _no_key_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Refuse what a JSON parser lets pass: the first of two would be lost without a word."""
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise InputError(f"the key {key!r} is given twice", mend="give it once")
        found[key] = value
    return found


def _config(file: Path) -> Metaflows:
    return parse_metaflows(_document(file), f"{file}: $")


# ------------------------------------------------------------- prove and soak


@app.command
def prove(
    *,
    seeds: Annotated[int, Parameter(help="Under how many seeds each scenario runs.")] = 200,
    join_attempts: Annotated[
        int, Parameter(help="How often a join is ordered.", validator=validators.Number(gte=1))
    ] = 3,
    max_records: Annotated[
        int, Parameter(help="How many records of a table are searched.")
    ] = 1_000_000,
) -> int:
    """Exhaust the tables, and run all scenarios under many seeds, without faults and with them."""
    console = _console()
    search, wrong = _search(console, join_attempts=join_attempts, max_records=max_records)
    seen = Rows()
    for hardships in (NO_HARDSHIPS, HARDSHIPS):
        wrong += _run_many(console, range(1, seeds + 1), hardships, seen)
    wrong += _compare(console, search, seen)
    return _judge(console, wrong)


@app.command
def soak(
    *,
    seeds: Annotated[int, Parameter(help="Under how many seeds each scenario runs.")] = 100,
    seed: Annotated[
        int | None, Parameter(help="The first of them; a fresh one unless told.")
    ] = None,
) -> int:
    """Run all scenarios under seeds that nobody has tried before, with faults and without."""
    console = _console()
    first = secrets.randbelow(2**32) if seed is None else seed
    console.print(f"seeds from {first}")
    wrong: list[str] = []
    for hardships in (NO_HARDSHIPS, HARDSHIPS):
        wrong += _run_many(console, range(first, first + seeds), hardships, Rows())
    return _judge(console, wrong)


def _search(console: Console, *, join_attempts: int, max_records: int) -> tuple[Rows, list[str]]:
    """Exhaust the tables: the rows that were reached, and what is wrong."""
    reached, wrong = Rows(), list[str]()
    table = _table(
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


def _run_many(
    console: Console, seeds: Sequence[int], hardships: Mapping[str, Faults], seen: Rows
) -> list[str]:
    scenarios = [load_scenario(file) for file in _files([SCENARIOS])]
    began = time.perf_counter()
    tally = run_many(scenarios, seeds, hardships=hardships, rows=seen)
    took_s = time.perf_counter() - began
    came = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(tally.outcomes.items()))
    console.print(
        f"{tally.runs:,} runs {'with' if hardships else 'without'} faults, {tally.steps:,} steps, "
        f"{took_s:.0f} s: {came}; {len(tally.failures)} failures",
        soft_wrap=True,
    )
    return tally.failures


def _compare(console: Console, search: Rows, seen: Rows) -> list[str]:
    """Hold the rows of the search and those of the runs against each other, and say what is off."""
    wrong: list[str] = []
    table = _table(
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
        console.print(f"[red]wrong[/red] {_plain(line)}", soft_wrap=True)
    console.print(f"{len(wrong)} faults" if wrong else "every promise is kept")
    return 1 if wrong else 0


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left")
    return table


# ----------------------------------------------------------------------- main


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; those of the process by default.

    Returns:
        The exit status.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without arrows gets a question mark
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        status: Any = app(
            sys.argv[1:] if arguments is None else list(arguments),
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
        sys.stdout.flush()
    except CycloptsError as error:
        errors.print(f"[red]hookflash:[/red] {_plain(str(error))} (see hookflash --help)")
        return USAGE
    except HookflashError as error:
        errors.print(f"[red]hookflash:[/red] {_plain(str(error))}")
        return error.exit_status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more
        return 1  # whoever read us has gone
    except OSError as error:
        errors.print(f"[red]hookflash:[/red] can't write: {_plain(error.strerror or str(error))}")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return status if isinstance(status, int) else 0
