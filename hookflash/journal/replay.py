"""A transfer, run again from the journal: offline, through the very tables that ran it.

The journal has every event that a transfer was told, in order, and the transfer as it stood before
the first of them; that is all that the tables look at. So what they answer now must be what they
answered then, row by row. Where it is not, the tables have changed since, or there is a bug, and
the step that shows it is at hand. Which keys people pressed is not needed.

A controller that died has left steps out, or done without them; where the next one found the
transfer on the switch, it is told how, and the run goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import attrs

from hookflash.commands import CancelTimer, SetTimer
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
    """Something that came out otherwise than it was written."""

    number: int
    """Of the step."""
    what: str
    """Of what in it: its row, its state, its outcome."""
    written: str
    now: str

    def __str__(self) -> str:
        return f"step {self.number}: {self.what}: written {self.written}, now {self.now}"


@attrs.frozen(kw_only=True)
class Rerun:
    """What came of running a transfer again."""

    records: tuple[Record, ...]
    """Its steps, as they came out now."""
    differences: tuple[Difference, ...]
    untried: tuple[int, ...]
    """Steps that no table was asked about: what the switch showed after a controller's death."""


def rerun(steps: Iterable[StoredStep]) -> Rerun:
    """Run a transfer again.

    Args:
        steps: all that the journal has of it, in order.

    Raises:
        InputError: they are no steps, or the first ones are no longer kept.
    """
    records: list[Record] = []
    differences: list[Difference] = []
    untried: list[int] = []
    transfer: Transfer | None = None
    for step in steps:
        written = step.record()
        begun = step.transfer_before()
        if begun is not None or isinstance(written.event, TransferFound):
            transfer = begun  # a controller that finds one knows nothing of what was before
        if transfer is None:
            _check_that_it_can_be_told(written)
            untried.append(step.number)
            records.append(written)
            continue
        now, transfer = _again(transfer, written)
        records.append(now)
        differences += _differences(written, now)
    return Rerun(records=tuple(records), differences=tuple(differences), untried=tuple(untried))


def _check_that_it_can_be_told(written: Record) -> None:
    """A step that belongs to no run must be one that no table was asked about."""
    if written.row is not None or written.before is not None:
        raise InputError(
            "the steps before it are not kept any more",
            where=f"step {written.number}",
            hint="replay a later transfer",
        )


def _again(transfer: Transfer, written: Record) -> tuple[Record, Transfer | None]:
    """Let the table answer one event again.

    Returns:
        The step as it comes out now, and the transfer after it; `None` when it is over.
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
    """What was ordered, but for the switchboard's own timers, which are no transfer's."""
    return ", ".join(
        str(command)
        for command in record.commands
        if not (
            isinstance(command, SetTimer | CancelTimer)
            and command.timer.startswith(("digits~", "alone~"))
        )
    )


def _shown(value: object) -> str:
    return "none" if value is None else str(getattr(value, "value", value))


def names_of(parties: Parties | None) -> dict[LegId, str]:
    """Call each party of a transfer by its number, or, where two share it, by its part too."""
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
