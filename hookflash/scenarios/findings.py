"""The faults that a proof or a soak has found: the shortest of each kind, and their number."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import attrs

from hookflash.engine.record import Parties, Record
from hookflash.events import LegId
from hookflash.fsm.explore import Violation

_NUMBER = re.compile(r"\d+(\.\d+)?")
_PROMISE = re.compile(r"promise \d+ \(\w+\)")


@attrs.frozen(kw_only=True)
class ProofFinding:
    """One fault."""

    what: str
    where: str
    """The scenario or table."""
    replay: str = ""
    """The command that reproduces it."""
    records: Sequence[Record] = ()
    """The events that led to it."""
    names: Mapping[LegId, str] = attrs.field(factory=dict[LegId, str])

    @property
    def kind(self) -> str:
        """Its kind: the promise, or the sentence without its numbers."""
        promise = _PROMISE.match(self.what)
        return _NUMBER.sub("N", self.what) if promise is None else promise[0]

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f" ({self.replay})" if self.replay else "")


class ProofFindings:
    """All faults. Only the shortest finding of each kind is kept."""

    def __init__(self) -> None:
        self._times: Counter[str] = Counter()
        self._shortest: dict[str, ProofFinding] = {}

    def add(self, finding: ProofFinding, times: int = 1) -> None:
        """Add a finding.

        Args:
            finding: the shortest of its kind, in that place.
            times: how often it was found there.
        """
        self._times[finding.kind] += times
        kept = self._shortest.setdefault(finding.kind, finding)
        if len(finding.records) < len(kept.records):
            self._shortest[finding.kind] = finding

    def add_all(self, others: ProofFindings) -> None:
        """Add the findings of another search."""
        for finding, times in others.kinds():
            self.add(finding, times)

    def __len__(self) -> int:
        return self._times.total()

    def kinds(self) -> list[tuple[ProofFinding, int]]:
        """The shortest finding of each kind, and the number of that kind."""
        return [(finding, self._times[kind]) for kind, finding in self._shortest.items()]


def finding_of(violation: Violation, where: str) -> ProofFinding:
    """The result of a search of a table, as a story of Alice, Bob and Carol."""
    records = [
        Record(
            number=number,
            at_s=float(number),
            event=event,
            transfer=step.after.id,
            parties=Parties.of(step.after),
            before=step.before.state,
            after=step.after.state,
            row=step.row_keys,
            why=step.why,
            commands=step.commands,
            outcome=step.after.outcome if step.after.outcome is not step.before.outcome else None,
            cause=step.after.cause,
        )
        for number, (event, step) in enumerate(violation.steps, 1)
    ]
    parties = violation.steps[-1][1].after.parties
    names = zip(("alice", "bob", "carol"), parties, strict=True)
    return ProofFinding(
        what=violation.promise,
        where=where,
        records=records,
        names={party.leg: name for name, party in names},
    )
