"""One step of the history: a record, as it is stored and as it is published.

A record is encoded once, when its step is made: the journal writes the text, and subscribers get
the parts of it that they may read.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypedDict, cast

import attrs
import cattrs
import msgspec
from cattrs import BaseValidationError, transform_error

from hookflash import events as e
from hookflash.accounts import DEFAULT_ACCOUNT
from hookflash.codec import teach_values
from hookflash.engine.record import Record, record_from
from hookflash.errors import InputError
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Transfer

MASK: Final = "•"
"""Written in place of a digit: people also dial PINs and card numbers."""

_KIND_OF_FACT: Final[Mapping[type, str]] = {
    e.LegCreated: "call.created",
    e.LegProgressed: "call.progressed",
    e.LegAnswered: "call.answered",
    e.LegParked: "call.parked",
    e.LegsJoined: "call.joined",
    e.LegsSeparated: "call.separated",
    e.LegsReleased: "call.released",
    e.SoundStarted: "call.sound_started",
    e.SoundStopped: "call.sound_stopped",
    e.DigitPressed: "call.digit",
    e.LegHungUp: "call.ended",
    e.SwitchLost: "switch.lost",
    e.SwitchFound: "switch.found",
    e.CommandFailed: "engine.command_failed",
    e.TimerFired: "engine.timer",
}

KINDS: Final = (
    "transfer.requested",
    "transfer.refused",
    "transfer.found",
    "transfer.changed",
    "transfer.ended",
    "request.refused",
    "request.taken",
    *_KIND_OF_FACT.values(),
)
"""Every kind of step, as subscribers name it."""


def kind_of(record: Record) -> str:
    """The kind of step that a record becomes."""
    if record.refusal is not None:
        return "transfer.refused" if record.transfer else "request.refused"
    if record.transfer is not None:
        if record.outcome is not None:
            return "transfer.ended"
        if isinstance(record.event, e.TransferRequested):
            return "transfer.requested"
        if isinstance(record.event, e.TransferFound):
            return "transfer.found"
        if record.before is not record.after:
            return "transfer.changed"
    return _KIND_OF_FACT.get(type(record.event), "request.taken")


class PartyText(TypedDict):
    """A party, in a record's document."""

    leg: str
    number: str


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The published part of a record's document."""

    event: msgspec.Raw
    before: str | None = None
    after: str | None = None
    why: str | None = None
    outcome: str | None = None
    cause: str | None = None
    sip_status: int | None = None
    ended_by: str | None = None
    refusal: str | None = None
    parties: dict[str, PartyText] | None = None
    data: dict[str, Any] | None = None
    account: str = ""


_SUMMARY: Final = msgspec.json.Decoder(Summary)


@attrs.frozen(kw_only=True)
class StoredStep:
    """One step of the history, as it is stored and as it is published."""

    number: int
    at: float
    """In seconds since 1970."""
    switch: str
    accounts: tuple[str, ...]
    kind: str
    call: str | None
    other_call: str | None
    transfer: str | None
    body: bytes
    """The record, as JSON."""
    begins: bytes | None = None
    """The transfer as it stood before this step, as JSON, if a replay can begin here."""
    source: Record | None = attrs.field(default=None, eq=False, repr=False)
    """The record that it was made from, with masked digits; `None`: read from a file."""
    _summary: Summary | None = attrs.field(default=None, eq=False, repr=False, alias="summary")

    @property
    def summary(self) -> Summary:
        """The published part of the record."""
        return self._summary or _SUMMARY.decode(self.body)

    def with_summary(self) -> StoredStep:
        """This step, with its published part decoded.

        Raises:
            InputError: this release can't read it.
        """
        with reading(f"step {self.number}"):
            return attrs.evolve(self, summary=self.summary)

    def record(self) -> Record:
        """The record that it was made from.

        Raises:
            InputError: this release can't read it.
        """
        if self.source is not None:
            return self.source
        with reading(f"step {self.number}"):
            return record_from(msgspec.json.decode(self.body))

    def transfer_before(self) -> Transfer | None:
        """The transfer as it stood before this step, if a replay can begin here.

        Raises:
            InputError: this release can't read it.
        """
        if self.begins is None:
            return None
        with reading(f"step {self.number}: begins"):
            return transfer_from(self.begins)


def transfer_from(begins: bytes) -> Transfer:
    """Read a transfer that was stored as JSON."""
    return VALUES.structure(msgspec.json.decode(begins), Transfer)


@contextmanager
def reading(where: str) -> Generator[None]:
    """Report a stored value that this release can't read: of another release, or damaged.

    Raises:
        InputError: with the location, and what to do.
    """
    try:
        yield
    except Exception as error:
        why = error.what if isinstance(error, InputError) else str(error) or type(error).__name__
        if isinstance(error, BaseValidationError):
            why = "; ".join(transform_error(error))
        raise InputError(
            f"this release can't read it: {why}",
            where=where,
            hint="use the release that wrote it; or keep the file, and configure a new journal",
        ) from error


def step_of(record: Record, *, masks_digits: bool = True) -> StoredStep:
    """Make a step from a record, and encode it.

    Args:
        record: what the engine did.
        masks_digits: whether to hide the keys that people press, except in feature codes.
    """
    record = _masked(record) if masks_digits else record
    call, other = _calls_of(record.event)
    document = record.to_document()
    document["event"] = msgspec.Raw(msgspec.json.encode(document["event"]))
    return StoredStep(
        number=record.number,
        at=record.at,
        switch=record.switch,
        accounts=tuple(account or DEFAULT_ACCOUNT for account in record.accounts),
        kind=kind_of(record),
        call=call,
        other_call=other,
        transfer=record.transfer,
        body=msgspec.json.encode(document),
        begins=None if record.begins is None else document_of(record.begins),
        source=record,
        summary=Summary(**{name: document[name] for name in Summary.__struct_fields__}),
    )


_DIALLED: Final = re.compile(r"^[0-9A-D*#]+ is no ")


def _masked(record: Record) -> Record:
    if isinstance(record.event, e.DigitPressed):
        event: e.Event = attrs.evolve(record.event, digit=MASK)
    elif isinstance(record.event, e.TimerFired):
        event = record.event
    else:
        return record
    return attrs.evolve(
        record, event=event, why=_DIALLED.sub("What was dialled is no ", record.why)
    )


def _calls_of(event: e.Event) -> tuple[str | None, str | None]:
    if isinstance(event, e.CommandFailed):
        return _calls_of(cast("e.Event", event.command))
    leg = getattr(event, "leg", None) or getattr(event, "first", None)
    return leg, getattr(event, "second", None)


VALUES: Final = cattrs.Converter(omit_if_default=True)
teach_values(VALUES)


def document_of(value: Policy | Transfer | None) -> bytes:
    """The fields that differ from their defaults, as JSON."""
    return b"{}" if value is None else msgspec.json.encode(VALUES.unstructure(value))
