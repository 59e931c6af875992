"""Limits what a WebSocket client may send: bytes, and frames.

trio-websocket handles all frames of one read without a pause, and answers pings by itself. A tiny
frame has six bytes. So reads are small, and frames are counted here, before they are handled. A
client that has not signed in may send little in all; one that has is read as fast as its budget
allows.
"""

from __future__ import annotations

from typing import Final

import trio

from hookflash.server.rates import Budget

READ_BYTES: Final = 4_096
"""Bytes of one read."""

HEAD_BYTES: Final = 8_192
"""Largest opening handshake."""

STRANGER_BYTES: Final = 8_192
STRANGER_FRAMES: Final = 32
"""What a client may send before it has signed in."""

BYTES_PER_S: Final = 262_144.0
FRAMES_PER_S: Final = 500.0
"""What a client may send after that. As much may come at once."""

_END_OF_HEAD: Final = b"\r\n\r\n"
_SHORT: Final = 2
"""Bytes of the shortest frame header (RFC 6455, section 5.2)."""


class FrameCount:
    """Counts frames by their headers, however the bytes are cut."""

    def __init__(self) -> None:
        self._header = bytearray()
        self._payload = 0
        """Bytes of the current frame that are still to come."""

    def count(self, data: bytes | bytearray) -> int:
        """How many frames begin in these bytes."""
        frames, at = 0, 0
        while at < len(data):
            if self._payload:
                skipped = min(self._payload, len(data) - at)
                self._payload -= skipped
                at += skipped
                continue
            self._header.append(data[at])
            at += 1
            if self._is_whole():
                frames += 1
        return frames

    def _is_whole(self) -> bool:
        header = self._header
        if len(header) < _SHORT:
            return False
        length, masked = header[1] & 0x7F, bool(header[1] & 0x80)
        extended = {126: 2, 127: 8}.get(length, 0)
        if len(header) < _SHORT + extended:
            return False
        if extended:
            length = int.from_bytes(header[_SHORT : _SHORT + extended], "big")
        self._payload = length + (4 if masked else 0)
        header.clear()
        return True


class MeteredStream(trio.abc.Stream):
    """A client's stream, read within a budget."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.overspent = trio.Event()
        """Set when a client that has not signed in has sent too much. It is not read any more."""
        self.is_signed_in = False
        self._stream = stream
        self._begun: bytes | bytearray | None = None
        self._head: bytearray | None = bytearray()
        self._frames = FrameCount()
        self._stranger_bytes = STRANGER_BYTES
        self._stranger_frames = STRANGER_FRAMES
        now_s = trio.current_time()
        self._bytes_budget = Budget(BYTES_PER_S, burst=BYTES_PER_S, now_s=now_s)
        self._frames_budget = Budget(FRAMES_PER_S, burst=FRAMES_PER_S, now_s=now_s)

    async def begin(self) -> None:
        """Wait for the first bytes. They are kept: who says nothing needs no more than this."""
        self._begun = await self._receive(READ_BYTES)

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive within the budget."""
        begun, self._begun = self._begun, None
        return await self._receive(max_bytes) if begun is None else begun

    async def _receive(self, max_bytes: int | None) -> bytes | bytearray:
        data = await self._stream.receive_some(min(max_bytes or READ_BYTES, READ_BYTES))
        frames = self._frames_in(data)
        if self.is_signed_in:
            now_s = trio.current_time()
            owed_s = max(
                self._bytes_budget.spend(len(data), now_s),
                self._frames_budget.spend(frames, now_s),
            )
            if owed_s:
                await trio.sleep(owed_s)
        else:
            self._stranger_frames -= frames
            if self._head is None:
                self._stranger_bytes -= len(data)
            if min(self._stranger_frames, self._stranger_bytes) < 0:
                self.overspent.set()
                await trio.sleep_forever()
        return data

    def _frames_in(self, data: bytes | bytearray) -> int:
        """How many frames begin; before them comes the head of the opening handshake.

        Raises:
            BrokenResourceError: the head is too large.
        """
        if self._head is None:
            return self._frames.count(data)
        seen = len(self._head)
        self._head += data
        end = self._head.find(_END_OF_HEAD, max(0, seen - len(_END_OF_HEAD)))
        if end < 0:
            if len(self._head) > HEAD_BYTES:
                raise trio.BrokenResourceError
            return 0
        rest = self._head[end + len(_END_OF_HEAD) :]
        self._head = None
        return self._frames.count(rest)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the client reads."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Leave it to the listener: a close with unread data would lose our last words."""
        await trio.lowlevel.checkpoint()
