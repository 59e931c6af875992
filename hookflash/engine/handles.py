"""What an engine gives to programs: transfer handles, and followers of its records."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

import attrs
import trio

from hookflash.engine.record import Record
from hookflash.errors import BackendClosed, InternalError, RequestRefused
from hookflash.events import EndedBy
from hookflash.fsm.transfer import Outcome, Transfer

FOLLOWER_BUFFER = 4096
"""How many records (those of 100 transfers) a follower may fall behind."""


class FellBehind(RequestRefused):
    """A follower read too slowly, and was closed."""

    http_status = 429


@attrs.frozen(kw_only=True)
class Result:
    """How a transfer ended."""

    outcome: Outcome
    cause: str | None = None
    sip_status: int | None = None
    """The SIP status beside the cause, if the switch has reported one."""
    ended_by: EndedBy | None = None
    """The side that ended the leg whose cause it is, if the switch has reported it."""

    @classmethod
    def of(cls, record: Record, outcome: Outcome) -> Result:
        """The result in the record that ends a transfer."""
        return cls(
            outcome=outcome,
            cause=record.cause,
            sip_status=record.sip_status,
            ended_by=record.ended_by,
        )


class Controls(Protocol):
    """What a handle needs of its engine."""

    def transfer_in_flight(self, transfer: str) -> Transfer | None:
        """A transfer; `None` if it is not in flight."""
        ...

    async def take_back(self, transfer: str) -> Record:
        """Take the transferee back."""
        ...

    async def complete(self, transfer: str) -> Record:
        """Complete a transfer now."""
        ...

    async def give_number(self, transfer: str, target: str) -> Record:
        """Give the number of a transfer that was requested without one."""
        ...

    async def swap(self, transfer: str) -> Record:
        """Change between transferee and target."""
        ...

    async def accept(self, transfer: str) -> Record:
        """Accept the call in the target's place."""
        ...

    async def decline(self, transfer: str) -> Record:
        """Decline the call in the target's place."""
        ...

    async def three_way(self, transfer: str) -> Record:
        """Bring all three into one conversation."""
        ...


class TransferHandle:
    """A requested transfer: follow it, control it, wait for its end."""

    def __init__(self, engine: Controls, transfer: str) -> None:
        self._engine = engine
        self._ended = trio.Event()
        self._result: Result | BackendClosed | None = None
        self.id = transfer
        self.asked: Record | None = None
        """The record of the request."""

    @property
    def transfer(self) -> Transfer | None:
        """The transfer while it is in flight."""
        return self._engine.transfer_in_flight(self.id)

    async def outcome(self) -> Result:
        """Wait for the end of the transfer.

        Raises:
            BackendClosed: the backend was closed first.
        """
        await self._ended.wait()
        if isinstance(self._result, Result):
            return self._result
        raise self._result or InternalError("a transfer ended without a result")

    async def take_back(self) -> None:
        """Take the transferee back.

        Raises:
            RequestRefused: it is too late, or there is nobody to take back.
        """
        await self._engine.take_back(self.id)

    async def complete(self) -> None:
        """Complete the transfer now.

        Raises:
            RequestRefused: the target is not being called yet, or it is too late.
        """
        await self._engine.complete(self.id)

    async def give_number(self, target: str) -> None:
        """Give the number, if the transfer was requested without one.

        Raises:
            RequestRefused: the transfer has a number, or may not call this one.
        """
        await self._engine.give_number(self.id, target)

    async def swap(self) -> None:
        """Let the transferor change between transferee and target.

        Raises:
            RequestRefused: there is nobody to change to.
        """
        await self._engine.swap(self.id)

    async def accept(self) -> None:
        """Accept the call in the target's place.

        Raises:
            RequestRefused: no target has to accept now.
        """
        await self._engine.accept(self.id)

    async def decline(self) -> None:
        """Decline the call in the target's place: a machine has answered, for example.

        Raises:
            RequestRefused: no target has to accept now.
        """
        await self._engine.decline(self.id)

    async def three_way(self) -> None:
        """Bring all three into one conversation; asked again, the transferee hears music.

        Raises:
            RequestRefused: there are no three.
        """
        await self._engine.three_way(self.id)

    def end(self, result: Result | BackendClosed) -> None:
        """Wake the waiting tasks. For the engine."""
        self._result = result
        self._ended.set()


class Follower:
    """A reader of records, from the time when it was opened."""

    def __init__(self, transfer: str | None, forget: Callable[[Follower], None]) -> None:
        self._transfer = transfer
        self._forget = forget
        self._send, self._receive = trio.open_memory_channel[Record](FOLLOWER_BUFFER)
        self._fell_behind = False

    def offer(self, record: Record) -> None:
        """Pass on a record without waiting. For the engine."""
        if self._transfer is not None and record.transfer != self._transfer:
            return
        try:
            self._send.send_nowait(record)
        except trio.WouldBlock:
            self._fell_behind = True
            self.close()

    def close(self) -> None:
        """End it: no more records come."""
        self._forget(self)
        self._send.close()

    def __aiter__(self) -> Follower:
        return self

    async def __anext__(self) -> Record:
        try:
            return await self._receive.receive()
        except trio.EndOfChannel:
            if self._fell_behind:
                raise FellBehind("too many unread records: follow again") from None
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()
