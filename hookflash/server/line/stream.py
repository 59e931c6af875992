"""Carries messages over a stream: four bytes of length, and MessagePack.

What waits to be sent is limited. The sender never waits for the other end: if that does not read,
the line is given up, and its owner opens another one.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Generic, TypeVar

import msgspec
import trio

from hookflash.errors import InternalError
from hookflash.server.line.messages import ENCODER

LENGTH_BYTES: Final = 4
MOST_IN_MESSAGE: Final = 256 * 1024 * 1024
MOST_WAITING_BYTES: Final = 256 * 1024 * 1024
"""A hundred thousand steps with their bodies: as many as the journal keeps in memory."""
RECEIVE_BYTES: Final = 262_144
SEND_BYTES: Final = 262_144
"""Sent at once, so that the loop has a checkpoint in between."""

Message = TypeVar("Message")


class LineBroken(InternalError):
    """The line can't be used any more."""


class Line(Generic[Message]):
    """One end of a line."""

    def __init__(
        self,
        stream: trio.abc.Stream,
        decoder: msgspec.msgpack.Decoder[Message],
        *,
        most_waiting_bytes: int = MOST_WAITING_BYTES,
        most_in_message: int = MOST_IN_MESSAGE,
    ) -> None:
        """Use a stream.

        Args:
            stream: to the other end.
            decoder: of the messages that the other end sends.
            most_waiting_bytes: what may wait to be sent.
            most_in_message: how long a message of the other end may be, in bytes.
        """
        self._stream = stream
        self._decoder = decoder
        self._most_waiting = most_waiting_bytes
        self._most_in_message = most_in_message
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._come = trio.Event()
        self._overrun = trio.Event()
        self._received = bytearray()

    def put(self, message: object) -> None:
        """Send a message, as soon as the other end takes it. Never waits and never fails."""
        if self._overrun.is_set():
            return
        encoded = ENCODER.encode(message)
        self._waiting_bytes += LENGTH_BYTES + len(encoded)
        if self._waiting_bytes > self._most_waiting:
            self._overrun.set()
            return
        self._waiting.append(len(encoded).to_bytes(LENGTH_BYTES, "big") + encoded)
        self._come.set()

    async def send(self) -> None:
        """Send what is put, until cancelled.

        Raises:
            LineBroken: the other end is gone, or has not read for too long.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send_all)
            await self._overrun.wait()
            raise LineBroken("the other end has not read for too long")

    async def _send_all(self) -> None:
        try:
            while True:
                while self._waiting:
                    await self._stream.send_all(self._next_bytes())
                self._come = trio.Event()
                await self._come.wait()
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise LineBroken("the other end is gone") from error

    def _next_bytes(self) -> bytes:
        some: list[bytes] = []
        size = 0
        while self._waiting and size < SEND_BYTES:
            some.append(self._waiting.popleft())
            size += len(some[-1])
        self._waiting_bytes -= size
        return b"".join(some)

    async def receive(self) -> Message:
        """Wait for the next message.

        Raises:
            LineBroken: the other end is gone, or talks nonsense.
        """
        size = int.from_bytes(await self._bytes(LENGTH_BYTES), "big")
        if size > self._most_in_message:
            raise LineBroken(f"a message of {size} bytes")
        try:
            return self._decoder.decode(await self._bytes(size))
        except msgspec.DecodeError as error:
            raise LineBroken(f"the other end talks nonsense: {error}") from error

    async def _bytes(self, count: int) -> bytes:
        while len(self._received) < count:
            try:
                some = await self._stream.receive_some(RECEIVE_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise LineBroken("the other end is gone") from error
            if not some:
                raise LineBroken("the other end is gone")
            self._received += some
        found = bytes(self._received[:count])
        del self._received[:count]
        return found
