"""Run a transfer of the journal again, offline, through the same tables.

The journal has the transfer as it stood at first, and every event that it received, in order. The
tables look at nothing else, so each step must come out as it was recorded. A difference means that
the tables have changed, or that there is a bug; it names the step. Masked digits do not matter.

A controller that died may have left steps out. Where the next controller found the transfer on the
switch, the journal has it as it was found, and the run continues from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import attrs

from hookflash.commands import Announce, CancelTimer, SetTimer
from hookflash.engine.record import Named, Parties, Record
from hookflash.errors import InputError, InternalError, RequestRefused
from hookflash.events import Kind, LegId, TransferFound
from hookflash.fsm.machine import Rulebook
from hookflash.fsm.transfer import Role, Transfer
from hookflash.journal.step import StoredStep
from hookflash.specs.catalog import SPEC_FOR

_RULEBOOKS: Final[Mapping[Kind, Rulebook]] = {
    kind: Rulebook(spec) for kind, spec in SPEC_FOR.items()
}


@attrs.frozen(kw_only=True)
class Difference:
    """A step that came out differently."""

    number: int
    """The step's number."""
    what: str
    """What differs: its row, its state, its outcome."""
    written: str
    now: str

    def __str__(self) -> str:
        return f"step {self.number}: {self.what}: recorded {self.written}, now {self.now}"


@attrs.frozen(kw_only=True)
class Rerun:
    """The result of running a transfer again."""

    records: tuple[Record, ...]
    """Its steps as they came out now."""
    differences: tuple[Difference, ...]
    untried: tuple[int, ...]
    """Steps that no table decided: what the switch showed after a controller died."""


def rerun(steps: Iterable[StoredStep]) -> Rerun:
    """Run a transfer again.

    Args:
        steps: all its steps in the journal, in order.

    Raises:
        InputError: a step can't be read, or the first ones were deleted.
    """
    records: list[Record] = []
    differences: list[Difference] = []
    untried: list[int] = []
    transfer: Transfer | None = None
    for step in steps:
        written = step.record()
        begun = step.transfer_before()
        if begun is not None or isinstance(written.event, TransferFound):
            transfer = begun  # a controller that finds a transfer knows nothing of its past
        if transfer is None:
            _check_undecided(written)
            untried.append(step.number)
            records.append(written)
            continue
        now, transfer = _again(transfer, written)
        records.append(now)
        differences += _differences(written, now)
    return Rerun(records=tuple(records), differences=tuple(differences), untried=tuple(untried))


def _check_undecided(written: Record) -> None:
    """A step without a transfer must be one that no table decided."""
    if written.row is not None or written.before is not None:
        raise InputError(
            "the steps before it were deleted",
            where=f"step {written.number}",
            hint="replay a later transfer",
        )


def _again(transfer: Transfer, written: Record) -> tuple[Record, Transfer | None]:
    """Let the table decide one event again.

    Returns:
        The step as it comes out now, and the transfer after it; `None` if it is over.
    """
    before = transfer.state
    try:
        step = _RULEBOOKS[transfer.kind].step(transfer, written.event)
    except RequestRefused as refused:
        now = attrs.evolve(
            written,
            before=before,
            after=before,
            row=None,
            why=refused.why,
            refusal=refused.refusal,
            commands=(),
            outcome=None,
            cause=None,
        )
        return now, transfer
    except InternalError as error:
        return attrs.evolve(written, before=before, after=None, row=None, why=str(error)), transfer
    after = step.after
    now = attrs.evolve(
        written,
        before=before,
        after=after.state,
        row=step.row_keys,
        why=step.why,
        refusal=None,
        commands=step.commands,
        outcome=after.outcome if after.over else None,
        cause=after.cause if after.over else None,
    )
    return now, None if after.over else after


def _differences(written: Record, now: Record) -> Iterator[Difference]:
    for what, old, new in (
        ("row", written.row, now.row),
        ("state before", written.before, now.before),
        ("state", written.after, now.after),
        ("refusal", written.refusal, now.refusal),
        ("outcome", written.outcome, now.outcome),
        ("cause", written.cause, now.cause),
        ("orders", _orders(written) or None, _orders(now) or None),
    ):
        if old != new:
            yield Difference(number=written.number, what=what, written=_shown(old), now=_shown(new))


def _orders(record: Record) -> str:
    """The commands of the table: without the switchboard's timers, and its tone of a refusal."""
    return ", ".join(
        str(command)
        for command in record.commands
        if not (
            isinstance(command, SetTimer | CancelTimer)
            and command.timer.startswith(("digits~", "alone~"))
        )
        and not (isinstance(command, Announce) and record.refusal is not None)
    )


def _shown(value: object) -> str:
    return "none" if value is None else str(getattr(value, "value", value))


def names_of(parties: Parties | None) -> dict[LegId, str]:
    """Name each party by its number; where two share a number, also by role."""
    if parties is None:
        return {}
    named: dict[Role, Named] = {role: getattr(parties, role) for role in Role}
    numbers = [one.number for one in named.values()]
    return {
        one.leg: (
            one.number if one.number and numbers.count(one.number) == 1 else f"{one.number} {role}"
        ).strip()
        for role, one in named.items()
    }
