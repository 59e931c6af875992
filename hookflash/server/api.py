"""What the HTTP and the WebSocket API work with, in the doors' process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable
from typing import Any, Final, Protocol

import attrs

from hookflash.api.requests import ApiRequest
from hookflash.errors import Refusal, RequestRefused
from hookflash.server.access import Access
from hookflash.server.caller import Caller
from hookflash.server.config import Limits
from hookflash.server.operations import Operation
from hookflash.server.publisher import Publisher
from hookflash.server.unsent import Unsent

MOST_AT_ONCE: Final = 32
"""Requests of one key that are performed at the same time."""


class EngineSide(Protocol):
    """The way to the engine."""

    def perform(self, caller: Caller, operation: Operation, request: ApiRequest) -> Awaitable[Any]:
        """Perform an operation (see `hookflash.server.desk`)."""
        ...

    def faults(self) -> Awaitable[dict[str, str]]:
        """The current faults, by part."""
        ...

    def exposition(self) -> Awaitable[bytes]:
        """The engine's metrics, in Prometheus' text format."""
        ...


@attrs.frozen(kw_only=True)
class ServiceApi:
    """What the HTTP and the WebSocket API work with."""

    engine: EngineSide
    access: Access
    publisher: Publisher
    limits: Limits
    server: str
    """The service's name and version."""
    unsent: Unsent = attrs.field(factory=Unsent, init=False)
    _busy: Counter[str] = attrs.field(factory=Counter[str], init=False)
    """How many requests are being performed, by key."""

    async def perform(self, caller: Caller, operation: Operation, request: ApiRequest) -> Any:
        """Perform an operation; a command with an idempotency key only once.

        Raises:
            InputError: something in the request is invalid.
            RequestRefused: it can't be done now, or the key is for another account.
            HookflashError: the switch is away, or the journal can't be read or written.
        """
        self.access.count(caller, operation.cost - 1)  # one was counted as it came
        account = request.account_id or caller.account
        if account is not None:
            caller.check(account)  # first: nobody spends the budget of another account
            self.access.count_account(account, operation.cost)
        if self._busy[caller.key] >= MOST_AT_ONCE:
            raise RequestRefused(
                f"{MOST_AT_ONCE} requests of this key are in progress: wait for an answer",
                Refusal.TOO_MANY,
            )
        self._busy[caller.key] += 1
        try:
            return await self.engine.perform(caller, operation, request)
        finally:
            self._busy[caller.key] -= 1
            if not self._busy[caller.key]:
                del self._busy[caller.key]
