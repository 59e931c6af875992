"""What a program holds of an engine: a transfer that it asked for, and records that it follows."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

import attrs
import trio

from hookflash.engine.record import Record
from hookflash.errors import BackendClosed, InternalError, RequestRefused
from hookflash.fsm.transfer import Outcome, Transfer

FOLLOWER_BUFFER = 4096
"""Records that a follower may fall behind: those of 100 transfers. Then it gets `FellBehind`."""


class FellBehind(RequestRefused):
    """A follower read so slowly that records would have been lost on it."""

    http_status = 429


@attrs.frozen(kw_only=True)
class Result:
    """How a transfer ended."""

    outcome: Outcome
    cause: str | None = None


class Controls(Protocol):
    """What a handle needs of its engine."""

    def transfer_in_flight(self, transfer: str) -> Transfer | None:
        """A transfer as it stands; `None`: it is not in flight."""
        ...

    async def take_back(self, transfer: str) -> Record:
        """Have the transferee back."""
        ...

    async def complete(self, transfer: str) -> Record:
        """Hand over now."""
        ...


class TransferHandle:
    """One transfer that was asked for: follow it, steer it, await its end."""

    def __init__(self, engine: Controls, transfer: str) -> None:
        self._engine = engine
        self._ended = trio.Event()
        self._result: Result | BackendClosed | None = None
        self.id = transfer
        self.asked: Record | None = None
        """The record of the request."""

    @property
    def transfer(self) -> Transfer | None:
        """Its record while it is in flight."""
        return self._engine.transfer_in_flight(self.id)

    async def outcome(self) -> Result:
        """Wait for its end.

        Raises:
            BackendClosed: the way to the switch is gone, so that nobody here will ever know.
        """
        await self._ended.wait()
        if isinstance(self._result, Result):
            return self._result
        raise self._result or InternalError("a transfer ended without a result")

    async def take_back(self) -> None:
        """Have the transferee back.

        Raises:
            RequestRefused: too late, or nobody to take back; it says which.
        """
        await self._engine.take_back(self.id)

    async def complete(self) -> None:
        """Hand over now.

        Raises:
            RequestRefused: the target is not being called yet, or it is too late.
        """
        await self._engine.complete(self.id)

    def end(self, result: Result | BackendClosed) -> None:
        """Wake the tasks that wait. For the engine."""
        self._result = result
        self._ended.set()


class Follower:
    """A reader of records, from the moment at which it was opened."""

    def __init__(self, transfer: str | None, forget: Callable[[Follower], None]) -> None:
        self._transfer = transfer
        self._forget = forget
        self._send, self._receive = trio.open_memory_channel[Record](FOLLOWER_BUFFER)
        self._fell_behind = False

    def offer(self, record: Record) -> None:
        """Hand it a record, without ever waiting for it. For the engine."""
        if self._transfer is not None and record.transfer != self._transfer:
            return
        try:
            self._send.send_nowait(record)
        except trio.WouldBlock:
            self._fell_behind = True
            self.close()

    def close(self) -> None:
        """No more records."""
        self._forget(self)
        self._send.close()

    def __aiter__(self) -> Follower:
        return self

    async def __anext__(self) -> Record:
        try:
            return await self._receive.receive()
        except trio.EndOfChannel:
            if self._fell_behind:
                raise FellBehind("too many records were left unread: follow anew") from None
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
