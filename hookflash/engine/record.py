"""The record of one event, which streams, logs, the journal and replays read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from hookflash.codec import command_from, event_from, to_document
from hookflash.commands import Command
from hookflash.errors import InputError, Refusal
from hookflash.events import EndedBy, Event, LegId
from hookflash.fsm.transfer import Outcome, State, Transfer
from hookflash.transfer_context import ProgramData, program_data


@attrs.frozen
class Named:
    """A party of a transfer: its leg and number."""

    leg: LegId
    number: str


@attrs.frozen(kw_only=True)
class Parties:
    """The parties of a transfer."""

    transferor: Named
    transferee: Named
    target: Named

    @classmethod
    def of(cls, transfer: Transfer) -> Parties:
        """Name the parties of a transfer."""
        one, other, third = (Named(party.leg, party.number) for party in transfer.parties)
        return cls(transferor=one, transferee=other, target=third)

    def to_document(self) -> dict[str, Any]:
        """The parties as a JSON document."""
        return {
            role: {"leg": named.leg, "number": named.number}
            for role, named in (
                ("transferor", self.transferor),
                ("transferee", self.transferee),
                ("target", self.target),
            )
        }


@attrs.frozen(kw_only=True, slots=False)  # many fields, often made: with slots it takes longer
class Record:
    """One numbered step of the engine."""

    number: int
    at_s: float
    """When, in seconds of the engine's clock."""
    event: Event
    at: float = 0.0
    """When, in seconds since 1970; 0 if there is no time of day, as in a simulation."""
    switch: str = ""
    """The name of the switch; empty if there is only one."""
    transfer: str | None = None
    """The ID of the transfer that the event is about, if any."""
    parties: Parties | None = None
    """The parties of that transfer."""
    before: State | None = None
    after: State | None = None
    row: str | None = None
    """The row of the table that decided."""
    why: str = ""
    """A sentence that explains the step."""
    refusal: Refusal | None = None
    """If a request was refused: the key of the reason. `why` explains it."""
    commands: tuple[Command, ...] = ()
    outcome: Outcome | None = None
    """Set in the record that ends the transfer."""
    cause: str | None = None
    sip_status: int | None = None
    """The SIP status beside the cause, if the switch has reported one."""
    ended_by: EndedBy | None = None
    """The side that ended the leg whose cause it is, if the switch has reported it."""
    data: ProgramData | None = None
    """The program's own data that the transfer was requested with."""
    account: str = ""
    """The transfer's account, or else that of the event's leg."""
    accounts: tuple[str, ...] = ()
    """All accounts concerned: the transfer's, and those of all legs that the event names."""
    begins: Transfer | None = attrs.field(default=None, eq=False, repr=False)
    """The transfer before this step, if this is its first step, or the first after a restart: a
    replay can begin here. It is not part of the document."""

    @property
    def refused(self) -> bool:
        """Whether a request was refused."""
        return self.refusal is not None

    def to_document(self) -> dict[str, Any]:
        """The record as a JSON document."""
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
            "sip_status": self.sip_status,
            "ended_by": self.ended_by.value if self.ended_by else None,
            "data": self.data and self.data.value,
            "account": self.account,
            "accounts": list(self.accounts),
        }


def record_from(document: Mapping[str, Any], *, where: str = "$") -> Record:
    """Read a document of `Record.to_document`.

    Raises:
        InputError: it is not a record.
    """
    try:
        before, after, outcome = (document[name] for name in ("before", "after", "outcome"))
        refusal, parties = document["refusal"], document["parties"]
        ended_by = document.get("ended_by")  # absent in older records
        data = document.get("data")  # absent in older records
        return Record(
            number=document["number"],
            at_s=document["at_s"],
            at=document.get("at", 0.0),  # absent in older records
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
            sip_status=document.get("sip_status"),  # absent in older records
            ended_by=EndedBy(ended_by) if ended_by else None,
            data=program_data(data) if data is not None else None,
            account=document["account"],
            accounts=tuple(document["accounts"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"is not a record: {error!r}", where=where) from error


def _parties_from(document: Mapping[str, Mapping[str, str]]) -> Parties:
    return Parties(**{role: Named(**named) for role, named in document.items()})


def states_of(records: Iterable[Record]) -> list[State]:
    """The states of a transfer, in order."""
    states: list[State] = []
    for record in records:
        if record.before is not None and not states:
            states.append(record.before)
        ends = record.outcome is not None and states[-1:] != [record.after]  # as it is found
        if record.after is not None and (record.after is not record.before or ends):
            states.append(record.after)
    return states
