"""What goes over the line between the engine's process and the doors' process.

Both ends are of one release: the engine's process starts the doors.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from hookflash.errors import HookflashError, InputError, Refusal, RequestRefused
from hookflash.journal.step import StoredStep
from hookflash.server.caller import Caller
from hookflash.server.config import Limits, Listen


class ToldStep(Struct, frozen=True, array_like=True):
    """A step of the history, as far as it is published."""

    number: int
    at: float
    switch: str
    accounts: tuple[str, ...]
    kind: str
    call: str | None
    other_call: str | None
    transfer: str | None
    body: bytes

    @classmethod
    def of(cls, step: StoredStep) -> ToldStep:
        """Prepare a step for the line."""
        return cls(
            step.number,
            step.at,
            step.switch,
            step.accounts,
            step.kind,
            step.call,
            step.other_call,
            step.transfer,
            step.body,
        )

    def stored(self) -> StoredStep:
        """The step, for subscriptions."""
        return StoredStep(
            number=self.number,
            at=self.at,
            switch=self.switch,
            accounts=self.accounts,
            kind=self.kind,
            call=self.call,
            other_call=self.other_call,
            transfer=self.transfer,
            body=self.body,
        )


# ---------------------------------------------------------------- from the engine


class Settings(Struct, frozen=True, kw_only=True):
    """What the doors need to know to open."""

    server: str
    """The service's name and version."""
    listen: Listen
    limits: Limits
    journal: str
    """The journal's file."""
    secret: bytes
    """Signs the tokens."""
    beside: str | None = None
    """The configuration's folder."""
    http: tuple[int, ...] = ()
    """Descriptors of the sockets that listen for HTTP."""
    websocket: tuple[int, ...] = ()
    log_format: Literal["text", "json"] = "text"


class Opening(Struct, frozen=True, kw_only=True, tag=True):
    """The first message."""

    settings: Settings
    published: int
    written: int
    unwritten: tuple[ToldStep, ...]
    """Steps that are published but not in the file."""


class Published(Struct, frozen=True, tag=True):
    """New steps of the history."""

    steps: tuple[ToldStep, ...]
    written: int


class Beat(Struct, frozen=True, tag=True):
    """Sent once a second: the engine is alive."""

    written: int


class Answered(Struct, frozen=True, tag=True):
    """The answer to a question."""

    number: int
    data: bytes


class LineFault(Struct, frozen=True, kw_only=True):
    """An error of hookflash's tree."""

    message: str
    status: int
    what: str | None = None
    """Set if it is an `InputError`."""
    where: str = ""
    hint: str = ""
    refusal: Refusal | None = None
    """Set if it is a `RequestRefused`."""


class Failed(Struct, frozen=True, tag=True):
    """A question was refused, or failed."""

    number: int
    fault: LineFault


class Goodbye(Struct, frozen=True, tag=True):
    """The service stops: take leave of everybody."""


FromEngine: TypeAlias = Opening | Published | Beat | Answered | Failed | Goodbye


# ----------------------------------------------------------------- from the doors


class Perform(Struct, frozen=True, tag=True):
    """Perform an operation."""

    number: int
    operation: str
    caller: Caller
    request: bytes
    """As JSON."""


class LookUp(Struct, frozen=True, tag=True):
    """Look up what does not work (`faults`), or the metrics (`metrics`)."""

    number: int
    what: str


class DoorsAlive(Struct, frozen=True, tag=True):
    """Sent once a second: the doors are alive."""


class Left(Struct, frozen=True, tag=True):
    """Everybody has been taken leave of."""


FromDoors: TypeAlias = Perform | LookUp | DoorsAlive | Left

ENCODER: Final = msgspec.msgpack.Encoder()
FROM_ENGINE: Final = msgspec.msgpack.Decoder(FromEngine)
FROM_DOORS: Final = msgspec.msgpack.Decoder(FromDoors)


# ------------------------------------------------------------------------- errors


def fault_of(error: HookflashError) -> LineFault:
    """Prepare an error for the line."""
    if isinstance(error, InputError):
        return LineFault(
            message=str(error),
            status=error.http_status,
            what=error.what,
            where=error.where,
            hint=error.hint,
        )
    refusal = error.refusal if isinstance(error, RequestRefused) else None
    return LineFault(message=str(error), status=error.http_status, refusal=refusal)


def error_of(fault: LineFault) -> HookflashError:
    """The error that a fault was made of: of the same kind, text and status."""
    error: HookflashError
    if fault.what is not None:
        error = InputError(fault.what, where=fault.where, hint=fault.hint)
    elif fault.refusal is not None:
        error = RequestRefused(fault.message, fault.refusal)
    else:
        error = HookflashError(fault.message)
    error.http_status = fault.status
    return error
