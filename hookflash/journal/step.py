"""One step of the history: a record, as it is stored and as it is published.

A record is encoded when the step is made, and never again: the journal writes the text, and those
who follow the history get the parts of it that they may read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, cast

import attrs
import cattrs
import msgspec

from hookflash import events as e
from hookflash.codec import teach_sounds
from hookflash.engine.record import Record, record_from
from hookflash.errors import InputError
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Transfer

DEFAULT_ACCOUNT: Final = "default"
"""What the account of legs that are nobody's is called outside: there, a name can't be empty."""

MASK: Final = "•"
"""What is written instead of a digit: people press PINs and card numbers, too."""

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
"""Every kind of step, as programs that follow the history name it."""


def kind_of(record: Record) -> str:
    """What kind of step a record is."""
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


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Of a record's document, what is published."""

    event: msgspec.Raw
    before: str | None = None
    after: str | None = None
    why: str | None = None
    outcome: str | None = None
    cause: str | None = None
    refusal: str | None = None
    parties: dict[str, dict[str, str]] | None = None


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
    """The transfer that begins with it, as it stood before, as JSON: what a replay begins with."""
    source: Record | None = attrs.field(default=None, eq=False, repr=False)
    """The record that it was made of, its digits masked; `None`: it was read from a file."""
    _summary: Summary | None = attrs.field(default=None, eq=False, repr=False, alias="summary")

    @property
    def summary(self) -> Summary:
        """What is published of the record."""
        return self._summary or _SUMMARY.decode(self.body)

    def record(self) -> Record:
        """The record that it was made of (its digits masked, if they were).

        Raises:
            InputError: what is stored is no record.
        """
        if self.source is not None:
            return self.source
        where = f"step {self.number}"
        try:
            document = msgspec.json.decode(self.body)
        except msgspec.DecodeError as error:
            raise InputError(f"is no JSON: {error}", where=where) from error
        return record_from(document, where=where)

    def transfer_before(self) -> Transfer | None:
        """The transfer that begins with this step, as it stood before.

        Raises:
            InputError: what is stored is no transfer.
        """
        if self.begins is None:
            return None
        where = f"step {self.number}: begins"
        try:
            return VALUES.structure(msgspec.json.decode(self.begins), Transfer)
        except (
            cattrs.BaseValidationError,
            msgspec.DecodeError,
            KeyError,
            TypeError,
            ValueError,
        ) as error:
            raise InputError(f"is no transfer: {error!r}", where=where) from error


def step_of(record: Record, *, masks_digits: bool = True) -> StoredStep:
    """Make a step of a record. This is where it is encoded, once for all who read it.

    Args:
        record: what the engine did.
        masks_digits: whether to hide which keys people press, but for those of feature codes.
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


def records_of(steps: Iterable[StoredStep]) -> list[Record]:
    """The records that steps were made of."""
    return [step.record() for step in steps]


# ------------------------------------------------------------ what a transfer began with

VALUES: Final = cattrs.Converter(omit_if_default=True)
teach_sounds(VALUES)


def document_of(value: Policy | Transfer | None) -> bytes:
    """What differs from the defaults, as JSON."""
    return b"{}" if value is None else msgspec.json.encode(VALUES.unstructure(value))
