"""Performs operations, in the engine's process.

A program sees only the calls of its own account. A command is confirmed when the engine has
accepted it *and* its step is safe in the journal, so that a crash never revokes a confirmation.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final, Protocol

import attrs
import msgspec
import trio

from hookflash.accounts import DEFAULT_ACCOUNT
from hookflash.api.requests import ApiCommand, ApiRequest
from hookflash.errors import InputError
from hookflash.server.caller import Caller
from hookflash.server.context import Context
from hookflash.server.idempotency import IdempotencyStore
from hookflash.server.operations import Operation

GOODBYE_S: Final = 8.0


class DoorsLine(Protocol):
    """A line to the doors."""

    async def say_goodbye(self) -> None:
        """Have the doors take leave of everybody, and wait until they have."""
        ...


@attrs.define(kw_only=True, eq=False)
class Desk:
    """Where the doors bring the requests of programs."""

    context: Context
    idempotency: IdempotencyStore
    is_stopping: bool = False
    ends: set[DoorsLine] = attrs.field(factory=set["DoorsLine"], init=False)
    """The lines to the doors."""

    async def perform(self, caller: Caller, operation: Operation, request: ApiRequest) -> Any:
        """Perform an operation; a command with an idempotency key only once.

        Raises:
            InputError: something in the request is invalid.
            Forbidden: the key is for another account, or read-only.
            RequestRefused: it can't be done now.
            BackendClosed: the switch is away.
            JournalError: the journal can't be read or written.
        """
        account = request.account_id or caller.account
        if account is None:
            raise InputError(
                "is missing", where="$.account_id", hint=f"such as {DEFAULT_ACCOUNT!r}"
            )
        caller.check(account)
        if operation.changes:
            caller.check_change()
        request = msgspec.structs.replace(request, account_id=account)
        act = partial(operation.act, self.context, account, caller, request)
        if not isinstance(request, ApiCommand) or request.idempotency_key is None:
            return await act()
        asked = (operation.name, request)
        return await self.idempotency.once(
            caller, request.idempotency_key, asked, operation.answer, act
        )

    async def say_goodbye(self) -> None:
        """Take leave of all programs. It takes `GOODBYE_S` at most, whatever they do."""
        with trio.move_on_after(GOODBYE_S):
            async with trio.open_nursery() as nursery:
                for end in self.ends:
                    nursery.start_soon(end.say_goodbye)

    def faults(self) -> dict[str, str]:
        """The current faults, by part."""
        found = self.context.faults()
        if self.is_stopping:
            found["service"] = "is about to stop"
        return found
