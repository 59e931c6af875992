"""Which rows of the tables have answered, and which followed which.

Searches and scenario runs check each other here. Rows that follow one another in the simulator must
be able to do so in the search; otherwise the adversary was too weak.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import attrs

from hookflash.engine.record import Record
from hookflash.events import Kind, TransferFound, TransferRequested
from hookflash.fsm.explore import Exploration
from hookflash.fsm.machine import AND_THEN
from hookflash.specs.catalog import SPEC_FOR

Pair = tuple[str, str]


@attrs.define
class Rows:
    """The rows of the tables that have answered, and their successions."""

    rows: dict[Kind, Counter[str]] = attrs.field(factory=dict[Kind, Counter[str]])
    pairs: dict[Kind, Counter[Pair]] = attrs.field(factory=dict[Kind, Counter[Pair]])

    def note(self, records: Iterable[Record]) -> None:
        """Count the rows of one run."""
        kinds: dict[str, Kind] = {}
        before: dict[str, str] = {}
        for record in records:
            if record.transfer is None or record.row is None:
                continue
            if isinstance(record.event, TransferRequested):
                kinds[record.transfer] = record.event.kind
            if isinstance(record.event, TransferFound):
                # a new controller begins with the switch's current state: no row came before
                before.pop(record.transfer, None)
            kind = kinds[record.transfer]
            for row in record.row.split(AND_THEN):
                came_by = before.get(record.transfer)
                self.rows.setdefault(kind, Counter())[row] += 1
                if came_by is not None:
                    self.pairs.setdefault(kind, Counter())[came_by, row] += 1
                before[record.transfer] = row

    def note_search(self, kind: Kind, found: Exploration) -> None:
        """Count the rows that a search has reached."""
        self.rows.setdefault(kind, Counter()).update(found.rows)
        self.pairs.setdefault(kind, Counter()).update(found.pairs)

    def add(self, others: Rows) -> None:
        """Count the rows of other runs."""
        for kind, rows in others.rows.items():
            self.rows.setdefault(kind, Counter()).update(rows)
        for kind, pairs in others.pairs.items():
            self.pairs.setdefault(kind, Counter()).update(pairs)

    def untouched(self, kind: Kind) -> list[str]:
        """The rows that have never answered."""
        return sorted({row.key for row in SPEC_FOR[kind].rows}.difference(self.rows.get(kind, ())))

    def unforeseen(self, kind: Kind, search: Rows) -> list[Pair]:
        """Rows that followed one another here, but can't in a search."""
        return sorted(set(self.pairs.get(kind, ())).difference(search.pairs.get(kind, ())))
