"""One tree of errors. Each says whose it is, and how to answer it.

* `InputError`: what a person or a program gave us is wrong; the message names the place and the
  mend. A command line ends with status 2, a server answers 4xx.
* `RequestRefused`: well formed, but not now, or not so. The call goes on as it was.
* `BackendError`: the switch, or the way to it, is at fault.
* `InternalError`: we are at fault; please report it.
"""

from __future__ import annotations

from typing import ClassVar


class HookflashError(Exception):
    """Everything that hookflash raises on purpose."""

    http_status: ClassVar[int] = 500
    """How a server answers it."""
    exit_status: ClassVar[int] = 1
    """How a command line ends on it."""


class InputError(HookflashError):
    """A config, scenario, recording, frame or number that can't be used as it is."""

    http_status = 400
    exit_status = 2

    def __init__(self, what: str, *, where: str = "", mend: str = "") -> None:
        """Describe the fault.

        Args:
            what: what is wrong, in a clause.
            where: the file and line, or the path within a document.
            mend: what would be allowed, or what to do.
        """
        self.what = what
        self.where = where
        self.mend = mend
        super().__init__(what, where, mend)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        mend = f" ({self.mend})" if self.mend else ""
        return f"{place}{self.what}{mend}"


class RequestRefused(HookflashError):
    """A person's request that can't be met now. Nothing has changed."""

    http_status = 409

    def __init__(self, why: str) -> None:
        """Say why, in a sentence that can be shown to whoever asked."""
        self.why = why
        super().__init__(why)


class NotFound(RequestRefused):
    """There is no such call, leg or transfer."""

    http_status = 404


class BackendError(HookflashError):
    """The switch, or the way to it, failed."""

    http_status = 503


class BackendClosed(BackendError):
    """The backend is closed, or its connection is gone: nothing can be sent."""


class SpecError(HookflashError):
    """A transfer table that is not sound. Found when it is built, never in a call."""


class InternalError(HookflashError):
    """A promise of ours is broken. Please report it, with the seed or the journal."""
