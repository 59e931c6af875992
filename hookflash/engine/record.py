"""What one event did, as everybody downstream reads it: streams, logs, history, replay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from hookflash.codec import command_from, event_from, to_document
from hookflash.commands import Command
from hookflash.errors import InputError, Refusal
from hookflash.events import Event, LegId
from hookflash.fsm.transfer import Outcome, State, Transfer


@attrs.frozen
class Named:
    """A party of a transfer, as somebody outside may look for it."""

    leg: LegId
    number: str


@attrs.frozen(kw_only=True)
class Parties:
    """Who is who in a transfer."""

    transferor: Named
    transferee: Named
    target: Named

    @classmethod
    def of(cls, transfer: Transfer) -> Parties:
        """Name the parties of a transfer."""
        one, other, third = (Named(party.leg, party.number) for party in transfer.parties)
        return cls(transferor=one, transferee=other, target=third)

    def to_document(self) -> dict[str, Any]:
        """The parties as JSON's types."""
        return {
            role: {"leg": named.leg, "number": named.number}
            for role, named in (
                ("transferor", self.transferor),
                ("transferee", self.transferee),
                ("target", self.target),
            )
        }


@attrs.frozen(kw_only=True)
class Record:
    """One step of the engine: numbered, in the order of history."""

    number: int
    at_s: float
    """When, in seconds of the engine's clock."""
    event: Event
    at: float = 0.0
    """When, in seconds since 1970 (POSIX); 0 where no time of day is known, as in a simulation."""
    switch: str = ""
    """The name of the switch; empty if there is only one."""
    transfer: str | None = None
    """The transfer that it was about; `None` where it was about none."""
    parties: Parties | None = None
    """Who is who in that transfer."""
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
    account: str = ""
    """Whose it is: the transfer's account, or else that of the leg that it is about."""
    accounts: tuple[str, ...] = ()
    """Every account that it concerns: those of all the legs that it names, and the transfer's."""
    begins: Transfer | None = attrs.field(default=None, eq=False, repr=False)
    """The transfer as it stood before this step, where the step is its first, or the first after a
    controller's death. Whoever keeps it can run the transfer again. It is in no document."""

    @property
    def refused(self) -> bool:
        """Whether a person asked for something that could not be."""
        return self.refusal is not None

    def to_document(self) -> dict[str, Any]:
        """The record as JSON's types."""
        return {
            "number": self.number,
            "at_s": round(self.at_s, 6),
            "at": self.at,
            "switch": self.switch,
            "transfer": self.transfer,
            "parties": self.parties.to_document() if self.parties else None,
            "event": to_document(self.event),
            "before": self.before.value if self.before else None,
            "after": self.after.value if self.after else None,
            "row": self.row,
            "why": self.why,
            "refusal": self.refusal.value if self.refusal else None,
            "commands": [to_document(command) for command in self.commands],
            "outcome": self.outcome.value if self.outcome else None,
            "cause": self.cause,
            "account": self.account,
            "accounts": list(self.accounts),
        }


def record_from(document: Mapping[str, Any], *, where: str = "$") -> Record:
    """Read a record that `Record.to_document` has written.

    Raises:
        InputError: it is none; the message names the place.
    """
    try:
        before, after, outcome = (document[name] for name in ("before", "after", "outcome"))
        refusal, parties = document["refusal"], document["parties"]
        return Record(
            number=document["number"],
            at_s=document["at_s"],
            at=document.get("at", 0.0),  # older records have neither
            switch=document.get("switch", ""),
            event=event_from(document["event"], where=f"{where}.event"),
            transfer=document["transfer"],
            parties=_parties_from(parties) if parties else None,
            before=State(before) if before else None,
            after=State(after) if after else None,
            row=document["row"],
            why=document["why"],
            refusal=Refusal(refusal) if refusal else None,
            commands=tuple(
                command_from(command, where=f"{where}.commands") for command in document["commands"]
            ),
            outcome=Outcome(outcome) if outcome else None,
            cause=document["cause"],
            account=document["account"],
            accounts=tuple(document["accounts"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"is no record: {error!r}", where=where) from error


def _parties_from(document: Mapping[str, Mapping[str, str]]) -> Parties:
    return Parties(**{role: Named(**named) for role, named in document.items()})


def states_of(records: Iterable[Record]) -> list[State]:
    """The states that a transfer went through, in order, each change once."""
    states: list[State] = []
    for record in records:
        if record.before is not None and not states:
            states.append(record.before)
        ends = record.outcome is not None and states[-1:] != [record.after]  # as it is found
        if record.after is not None and (record.after is not record.before or ends):
            states.append(record.after)
    return states
