"""What one event did, as everybody downstream reads it: streams, logs, history, replay."""

from __future__ import annotations

from typing import Any

import attrs

from hookflash.codec import to_document
from hookflash.commands import Command
from hookflash.events import Event
from hookflash.fsm.transfer import Outcome, State


@attrs.frozen(kw_only=True)
class Record:
    """One step of the engine: numbered, in the order of history."""

    number: int
    at_s: float
    """When, in seconds of the engine's clock."""
    event: Event
    transfer: str | None = None
    """The transfer that it was about; `None` where it was about none."""
    before: State | None = None
    after: State | None = None
    row: str | None = None
    """The row of the table that answered."""
    why: str = ""
    """The sentence that explains it."""
    refused: bool = False
    """A person asked for something that could not be; `why` says why."""
    commands: tuple[Command, ...] = ()
    outcome: Outcome | None = None
    """Set in the one record that ends the transfer."""
    cause: str | None = None

    def to_document(self) -> dict[str, Any]:
        """The record as JSON's types."""
        return {
            "number": self.number,
            "at_s": round(self.at_s, 6),
            "transfer": self.transfer,
            "event": to_document(self.event),
            "before": self.before.value if self.before else None,
            "after": self.after.value if self.after else None,
            "row": self.row,
            "why": self.why,
            "refused": self.refused,
            "commands": [to_document(command) for command in self.commands],
            "outcome": self.outcome.value if self.outcome else None,
            "cause": self.cause,
        }
