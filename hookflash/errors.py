"""One tree of errors. Each says whose it is, and how to answer it.

* `InputError`: what a person or a program gave us is wrong; the message names the place and the
  fix. A command line ends with status 2, a server answers 4xx.
* `RequestRefused`: well formed, but not now, or not so. The call goes on as it was.
* `BackendError`: the switch, or the way to it, is at fault.
* `InternalError`: we are at fault; please report it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar, cast


class HookflashError(Exception):
    """Everything that hookflash raises on purpose."""

    http_status: int = 500
    """How a server answers it."""
    exit_status: ClassVar[int] = 1
    """How a command line ends on it."""


class InputError(HookflashError):
    """An invalid configuration, scenario, recording, frame or number."""

    http_status = 400
    exit_status = 2

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        """Describe the fault.

        Args:
            what: what is wrong, in a clause.
            where: the file and line, or the path within a document.
            hint: what would be allowed, or what to do.
        """
        self.what = what
        self.where = where
        self.hint = hint
        super().__init__(what, where, hint)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}{self.what}{hint}"


class InputErrors(InputError):
    """Several faults of one file. As one error, it is the first of them."""

    def __init__(self, faults: tuple[InputError, ...]) -> None:
        """Hold the faults.

        Args:
            faults: all that were found; at least one.
        """
        self.faults = faults
        first = faults[0]
        super().__init__(first.what, where=first.where, hint=first.hint)


class InUse(InputError):
    """What another process has: an address, or a journal.

    It may be so for a moment only, so a supervisor may start the service again.
    """

    exit_status = 1


class Refusal(StrEnum):
    """Why a request is refused: the word for programs."""

    NOT_NOW = "not_now"
    """The call, or the transfer, is not in a state for it: the other party is in a transfer,
    nobody is there to be transferred, it is too late."""
    NO_SUCH_CALL = "no_such_call"
    """There is no such call, leg or transfer."""
    MALFORMED = "malformed"
    """Something in it is invalid."""
    NOT_ENTITLED = "not_entitled"
    """The party or program has no right to do so."""
    TARGET_REFUSED = "target_refused"
    """The account may not call this target, or this call may not be transferred once more."""
    CONTEXT_REFUSED = "context_refused"
    """The account may not set this variable or header, or not show this number."""
    TOO_MANY = "too_many"
    """The account has reached its limit of transfers, at once or in a minute."""
    CLOSING = "closing"
    """The service is about to stop and accepts nothing new."""
    FAULT = "fault"
    """Internal error. Nothing has changed; please report it."""


_STATUS_OF: Mapping[Refusal, int] = {
    Refusal.NOT_NOW: 409,
    Refusal.NO_SUCH_CALL: 404,
    Refusal.MALFORMED: 400,
    Refusal.NOT_ENTITLED: 403,
    Refusal.TARGET_REFUSED: 422,
    Refusal.CONTEXT_REFUSED: 422,
    Refusal.TOO_MANY: 429,
    Refusal.CLOSING: 503,
    Refusal.FAULT: 500,
}


class RequestRefused(HookflashError):
    """A person's request that can't be met now. Nothing has changed."""

    http_status = 409

    def __init__(self, why: str, refusal: Refusal = Refusal.NOT_NOW) -> None:
        """Say why, in a sentence that can be shown to whoever asked, and in a word."""
        self.why = why
        self.refusal = refusal
        self.http_status = _STATUS_OF[refusal]
        super().__init__(why)


class NotFound(RequestRefused):
    """There is no such call, leg or transfer."""

    http_status = 404

    def __init__(self, why: str) -> None:
        """Say what there is not."""
        super().__init__(why, Refusal.NO_SUCH_CALL)


class Unauthorized(HookflashError):
    """A program that is not authenticated."""

    http_status = 401


class Forbidden(RequestRefused):
    """A program that asks for something of another account."""

    http_status = 403

    def __init__(self, why: str = "this key is for another account") -> None:
        """Say why not."""
        super().__init__(why, Refusal.NOT_ENTITLED)


class BackendError(HookflashError):
    """The switch, or the way to it, failed."""

    http_status = 503


class BackendClosed(BackendError):
    """The backend is closed, or its connection is gone: nothing can be sent."""


class SpecError(HookflashError):
    """A transfer table that is not sound. Found when it is built, never in a call."""


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error in a group of groups: what several tasks at once make of one fault."""
    first = group.exceptions[0]
    if isinstance(first, BaseExceptionGroup):
        return first_of(cast("BaseExceptionGroup[BaseException]", first))
    return first


class InternalError(HookflashError):
    """A promise of ours is broken. Please report it, with the seed or the journal."""
