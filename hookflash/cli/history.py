"""`hookflash journal`: show, export, prune, check and repair the history of a service."""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import attrs
import msgspec
from cyclopts import App, Parameter, validators

from hookflash.cli.diagram import Diagram, write_diagram
from hookflash.cli.keys import journal_of
from hookflash.cli.terminal import counted, plain, printable, terminal
from hookflash.engine.record import Parties, Record
from hookflash.errors import InputError
from hookflash.events import LegCreated, LegId
from hookflash.journal import history, transfers
from hookflash.journal.claim import Claim
from hookflash.journal.database import lock_of, open_database, open_for_reading, using
from hookflash.journal.history import Wanted
from hookflash.journal.pruning_clock import DAY_S, MARGIN_S, stored_belief
from hookflash.journal.repair import check_journal, repair_journal
from hookflash.journal.replay import names_of
from hookflash.journal.step import StoredStep
from hookflash.journal.transfers import Past
from hookflash.server.views import iso
from hookflash.story import sequence, sequence_text, steps_table

app = App(name="journal", help="Show, export, prune, check and repair a journal.")

CONFIG: Final = Path("hookflash.toml")

Config = Annotated[
    Path | None, Parameter(help=f"Configuration that names the journal; default {CONFIG}.")
]
File = Annotated[Path | None, Parameter(help="The journal file, instead of a configuration.")]
TransferId = Annotated[str | None, Parameter(name="--transfer", help="Only this transfer.")]
AccountId = Annotated[str | None, Parameter(name="--account", help="Only this account.")]
Count = Annotated[
    int | None, Parameter(validator=validators.Number(gte=1), help="Only the last N steps.")
]


@app.command
def show(
    *,
    transfer: TransferId = None,
    account: AccountId = None,
    story: Annotated[bool, Parameter(negative="", help="Draw a sequence diagram.")] = False,
    diagram: Diagram = None,
    last: Count = None,
    config: Config = None,
    file: File = None,
) -> int:
    """Show the history, one line per step; with --transfer also the commands and reasons.

    Example: hookflash journal show --account default --last 20
    """
    wanted = Wanted(account=account, transfer=transfer)
    with _journal(config, file) as connection:
        steps = list(history.all_steps(connection, wanted, most=last))
        past = transfers.find_transfer(connection, transfer) if transfer is not None else None
        if transfer is not None and not steps:
            raise InputError(
                f"there is no transfer {transfer!r}", hint="see hookflash journal show"
            )
        records = _since_the_first(steps)
    console = terminal()
    names = names_of(_parties_of(records)) if transfer is not None else _numbers_in(records)
    if diagram is not None:
        write_diagram(diagram, records, names)
    if past is not None:
        console.print(plain(_in_short(past)), soft_wrap=True)
    if story:
        drawn = sequence_text(sequence(records, names), width=console.width - 1)
        console.print(plain(drawn))
    elif transfer is not None:
        console.print(steps_table(records, names))
    else:
        for step, record in zip(steps, records, strict=True):
            console.print(plain(_line(step, record)), soft_wrap=True)
    return 0


@app.command
def export(
    *,
    transfer: TransferId = None,
    account: AccountId = None,
    config: Config = None,
    file: File = None,
) -> int:
    """Write the steps to standard output, one JSON object per line.

    Example: hookflash journal export > steps.jsonl
    """
    wanted = Wanted(account=account, transfer=transfer)
    with _journal(config, file) as connection:
        for step in history.all_steps(connection, wanted):
            sys.stdout.write(msgspec.json.encode(_document(step)).decode() + "\n")
    return 0


@app.command
def prune(
    *,
    older_than_days: Annotated[
        float, Parameter(validator=validators.Number(gte=0), help="Delete what is older than this.")
    ],
    trust_clock: Annotated[
        bool, Parameter(help="Believe this machine's clock, even if a service has not.")
    ] = False,
    config: Config = None,
    file: File = None,
) -> int:
    """Delete old history. Transfers in progress are kept; the service may be running.

    Days are counted from now, or from an hour after the time that a service last believed, if that
    is earlier: a clock that is wrong must not cost the history.

    Example: hookflash journal prune --older-than-days 30
    """
    steps = transfers = 0
    with _to_be_changed(_file(config, file)) as connection:
        before = _now(connection, trust_clock=trust_clock) - older_than_days * DAY_S
        while True:
            pruned = history.prune(connection, before=before)
            steps += pruned.steps
            transfers += pruned.transfers
            if pruned.is_all:
                break
    print(f"deleted: {counted(steps, 'step')}, {counted(transfers, 'transfer')}")
    return 0


def _now(connection: sqlite3.Connection, *, trust_clock: bool) -> float:
    """The time of day that days are counted from; said if it is not the clock's."""
    now, belief = time.time(), stored_belief(connection)
    if trust_clock or belief is None or now <= belief.time + MARGIN_S:
        return now
    latest = belief.time + MARGIN_S
    print(
        f"counted from {iso(latest)}, an hour after the time that was last believed, and not from"
        f" {iso(now)}; if the clock is right and all that is to go: --trust-clock"
    )
    return latest


@app.command
def check(file: Annotated[Path, Parameter(help="The journal file.")], /) -> int:
    """Check a whole journal: its pages, rows and numbers. The service may be running.

    The exit status is 1 if anything is wrong.

    Example: hookflash journal check hookflash.sqlite
    """
    if not file.is_file():
        raise InputError("there is no such journal", where=str(file), hint="name a journal")
    checked = check_journal(file)
    for problem in checked.problems:
        print(printable(f"{file}: {problem}"))
    if checked.problems:
        print(f"{counted(len(checked.problems), 'problem')}: see hookflash journal repair")
        return 1
    print(f"ok: {counted(checked.steps, 'step')}, {counted(checked.keys, 'key')}")
    return 0


@app.command
def repair(file: Annotated[Path, Parameter(help="The journal file.")], /) -> int:
    """Write all that can be read of a damaged journal into a new file beside it.

    The damaged file is not changed. No service may be using it.

    Example: hookflash journal repair hookflash.sqlite.set-aside-20261129T120000Z
    """
    if not file.is_file():
        raise InputError("there is no such journal", where=str(file), hint="name a journal")
    repaired = file.with_name(f"{file.name}.repaired")
    if repaired.exists():
        raise InputError("there is one already", where=str(repaired), hint="move it elsewhere")
    lock = lock_of(file)
    was_locked = lock.exists()
    with closing(Claim(file)):
        done = repair_journal(file, repaired)
    if not was_locked:
        lock.unlink(missing_ok=True)
    print(
        f"written: {repaired}: {counted(done.steps, 'step')},"
        f" {counted(done.transfers, 'transfer')}, {counted(done.keys, 'key')}"
    )
    if done.left_out:
        print(f"left out: {done.left_out} rows or pages that can't be read")
    return 0


# --------------------------------------------------------------------- the file


def _file(config: Path | None, file: Path | None) -> Path:
    if config is not None and file is not None:
        raise InputError("two journals are named", hint="give either --config or --file")
    return file if file is not None else journal_of(config or CONFIG)


@contextmanager
def _journal(config: Path | None, file: Path | None) -> Generator[sqlite3.Connection]:
    path = _file(config, file)
    with using(open_for_reading(path), path) as connection:
        yield connection


@contextmanager
def _to_be_changed(path: Path) -> Generator[sqlite3.Connection]:
    if not path.is_file():
        raise InputError("there is no such journal", where=str(path), hint="name a journal")
    with using(open_database(path), path) as connection:
        yield connection


# ------------------------------------------------------------------ formatting


def _since_the_first(steps: Sequence[StoredStep]) -> list[Record]:
    """The records, with times relative to the first: each controller has a clock of its own."""
    return [
        attrs.evolve(step.record(), at_s=step.at - steps[0].at if index else 0.0)
        for index, step in enumerate(steps)
    ]


def _parties_of(records: Iterable[Record]) -> Parties | None:
    return next((record.parties for record in records if record.parties is not None), None)


def _numbers_in(records: Iterable[Record]) -> dict[LegId, str]:
    """Name each leg by its number, plus its ID if the number appeared before."""
    names: dict[LegId, str] = {}
    for record in records:
        if isinstance(record.event, LegCreated) and record.event.number:
            event = record.event
            taken = event.number in names.values()
            names.setdefault(event.leg, f"{event.number} ({event.leg})" if taken else event.number)
    return names


def _in_short(past: Past) -> str:
    parties = past.parties
    who = f"{parties.transferor.number or '?'} with {parties.transferee.number or '?'}"
    to = f", to {past.target}" if past.target else ""
    cause = f" ({past.cause})" if past.cause else ""
    ended = f"{past.outcome}{cause} at {iso(past.ended)}" if past.ended is not None else past.state
    return f"{past.kind} of {past.account}, {iso(past.begun)}: {who}{to}, by {past.by}: {ended}"


def _line(step: StoredStep, record: Record) -> str:
    about = step.transfer or step.call or "-"
    change = (
        f"{record.before.value} → {record.after.value}"
        if record.before and record.after and record.before is not record.after
        else ""
    )
    outcome = f"{record.outcome.value} {record.cause or ''}".strip() if record.outcome else ""
    accounts = ",".join(step.accounts) or "-"
    head = f"{step.number} {iso(step.at)} {step.switch} {accounts} {step.kind} {about}"
    return " · ".join(part for part in (head, change, outcome, record.why) if part)


def _document(step: StoredStep) -> dict[str, Any]:
    return {
        "number": step.number,
        "at": iso(step.at),
        "switch": step.switch,
        "accounts": step.accounts,
        "kind": step.kind,
        "call": step.call,
        "other_call": step.other_call,
        "transfer": step.transfer,
        "record": msgspec.Raw(step.body),
    }
