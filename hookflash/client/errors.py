"""What can go wrong for a program that is connected to a service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hookflash.errors import BackendError, RequestRefused

TOO_MANY: Final = 429
INTERNAL: Final = 500


class ConnectionLost(BackendError):
    """The connection was lost, or the client was closed."""


class RefusedByService(RequestRefused):
    """The service refused a request."""

    def __init__(self, status: int, fault: Mapping[str, Any]) -> None:
        """Take the error of the reply."""
        self.where: str | None = fault.get("where")
        """The invalid field."""
        what = str(fault.get("message", ""))
        super().__init__(f"{self.where}: {what}" if self.where else what)
        self.http_status = status
        self.word: str | None = fault.get("refusal")
        """The reason in a word (see `hookflash.errors.Refusal`)."""

    @property
    def is_temporary(self) -> bool:
        """Whether a retry may succeed later."""
        return self.http_status == TOO_MANY or self.http_status >= INTERNAL
