"""What one event did, as everybody downstream reads it: streams, logs, history, replay."""

from __future__ import annotations

from typing import Any

import attrs

from hookflash.codec import to_document
from hookflash.commands import Command
from hookflash.errors import Refusal
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
    refusal: Refusal | None = None
    """A person asked for something that could not be: why, in a word. `why` says it in a sentence.
    """
    commands: tuple[Command, ...] = ()
    outcome: Outcome | None = None
    """Set in the one record that ends the transfer."""
    cause: str | None = None
    accounts: tuple[str, ...] = ()
    """The accounts that it concerns: those of the legs that it names, and the transfer's."""

    @property
    def refused(self) -> bool:
        """Whether a person asked for something that could not be."""
        return self.refusal is not None

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
            "refusal": self.refusal.value if self.refusal else None,
            "commands": [to_document(command) for command in self.commands],
            "outcome": self.outcome.value if self.outcome else None,
            "cause": self.cause,
            "accounts": list(self.accounts),
        }
