"""Framing of the FreeSWITCH event socket, without a socket: bytes in, frames out.

Frames look like mail messages. A block of headers, one per line, ends with an empty line; if there
is a `Content-Length`, a body of that many bytes follows. The switch sends
`auth/request`, `command/reply`, `api/response`, `text/event-plain`, `text/event-json`, `log/data`,
`text/disconnect-notice` and `text/rude-rejection`, all in the same framing.

Guarantees:

1. **The cut does not matter.** The frames, and the error that ends them, depend only on the bytes,
   never on how `recv()` cut them.
2. **The work is linear** in the bytes for every cut: the search for the empty line continues where
   it stopped, and a body is not touched before it is complete.
3. **Memory is bounded.** Between two calls of `next_frame` that return `None`, at most one header
   block and one body are kept, and both have a limit that is checked before anything is stored
   for it.
4. **An error is final.** Once the start of the next frame is uncertain, every later byte is
   meaningless: the wire stays failed, and only a new connection helps.

Header names are matched without regard to case; values are returned as the switch sent them. Bytes
that are not UTF-8 become U+FFFD in the values that are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from hookflash.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_MAX_HEADER_BYTES: Final = 64 * 1024
"""A frame's own headers are two lines; only the reply to an outbound `connect` carries all of a
channel's data there. The largest such set in the recordings has 12 KB."""

DEFAULT_MAX_BODY_BYTES: Final = 16 * 1024 * 1024
"""`show channels as json` takes some 600 bytes a channel: 16 MiB hold the answer of a switch with
25,000 of them."""

_MAX_LENGTH_DIGITS: Final = 18
"""More digits than any length has. Keeps `int()` from parsing a megabyte of them."""


class WireError(InputError):
    """The event socket's bytes can't be framed. The connection is unusable."""


@attrs.frozen(kw_only=True)
class Frame:
    """One message of the switch: its type, its headers, its body."""

    content_type: str
    """`text/event-json`, `command/reply`, …; in lower case, without parameters."""
    head: bytes
    """The block of headers as received, without the empty line that ends it."""
    body: bytes = b""

    def header(self, name: str) -> str:
        """Return the value of the first header of this name, as the switch sent it.

        The values of `command/reply` are plain, but those of a reply to `connect` are
        percent-encoded: the caller, who knows the command, unquotes them.

        Args:
            name: the header's name, in any case.

        Returns:
            The value without surrounding space; empty if there is no such header.
        """
        needle = b"\n" + name.lower().encode() + b":"
        raw = _find_header(self.head, b"\n" + self.head.lower(), needle)
        return "" if raw is None else raw.decode("utf-8", "replace")

    def text(self) -> str:
        """Return the body as text."""
        return self.body.decode("utf-8", "replace")


class Wire:
    """The receiving side of one connection.

    Feed it the result of each `recv()`, then take all complete frames:

        wire.receive(data)
        for frame in wire.frames():
            ...
    """

    __slots__ = (
        "_body_bytes",
        "_buffer",
        "_content_type",
        "_failure",
        "_head",
        "_max_body_bytes",
        "_max_header_bytes",
        "_passed",
        "_searched",
    )

    def __init__(
        self,
        *,
        max_header_bytes: int = DEFAULT_MAX_HEADER_BYTES,
        max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
    ) -> None:
        """Start at the first byte of a connection.

        Args:
            max_header_bytes: the longest block of headers that is accepted.
            max_body_bytes: the longest body that is accepted.
        """
        self._max_header_bytes = max_header_bytes
        self._max_body_bytes = max_body_bytes
        self._buffer = bytearray()
        self._passed = 0  # bytes of the stream that are no longer in the buffer
        self._searched = 0  # no empty line begins before this index of the buffer
        self._head: bytes | None = None  # of the frame whose body is incomplete
        self._content_type = ""
        self._body_bytes = 0
        self._failure: WireError | None = None

    def receive(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes from the switch. The caller may use the buffer again.

        Args:
            data: received bytes, cut anywhere.

        Raises:
            WireError: if the wire has failed before.
        """
        if self._failure is not None:
            raise self._failure
        self._buffer += data

    def frames(self) -> Iterator[Frame]:
        """Yield every frame that is complete.

        Raises:
            WireError: see `next_frame`. The frames before the fault are yielded first.
        """
        while (frame := self.next_frame()) is not None:
            yield frame

    def next_frame(self) -> Frame | None:
        """Return the next frame.

        Returns:
            The frame, or `None` if more bytes are needed.

        Raises:
            WireError: a block of headers or a body is longer than allowed, or the headers are
                not those of an event socket. Raised again on every later call.
        """
        if self._failure is not None:
            raise self._failure
        try:
            return self._take_frame()
        except WireError as failure:
            self._failure = failure
            self._buffer.clear()
            raise

    def _take_frame(self) -> Frame | None:
        if self._head is None and not self._take_head():
            return None
        head, buffer, size = self._head, self._buffer, self._body_bytes
        if head is None or len(buffer) < size:
            return None
        self._head = None
        body = bytes(buffer[:size])
        self._drop(size)
        return Frame(content_type=self._content_type, head=head, body=body)

    def _take_head(self) -> bool:
        """Move the next block of headers out of the buffer, if it is complete."""
        buffer = self._buffer
        while True:
            end = buffer.find(b"\n\n", self._searched)
            # Of an unfinished block, the last byte may be the first half of the empty line.
            size = end if end >= 0 else len(buffer) - 1
            if size > self._max_header_bytes:
                raise self._fault(
                    "a frame's headers are too long", f"at most {self._max_header_bytes} bytes"
                )
            if end < 0:
                self._searched = max(0, size)
                return False
            head = bytes(buffer[:end]).lstrip(b"\n")
            if head:
                self._read_head(head)
            self._drop(end + 2)
            if head:  # else stray empty lines between two frames, which mean nothing
                self._head = head
                return True

    def _read_head(self, head: bytes) -> None:
        folded = b"\n" + head.lower()
        kind = _find_header(head, folded, b"\ncontent-type:")
        if not kind:
            raise self._fault(
                "a frame has no Content-Type",
                "is this the event socket of a FreeSWITCH? Its port is 8021, by default",
            )
        self._content_type = kind.partition(b";")[0].strip().lower().decode("utf-8", "replace")
        length = _find_header(head, folded, b"\ncontent-length:")
        self._body_bytes = 0 if length is None else self._read_length(length)

    def _read_length(self, length: bytes) -> int:
        allowed = f"a number from 0 to {self._max_body_bytes} is allowed"
        if not length.isdigit():
            shown = length[:40].decode("utf-8", "replace")
            raise self._fault(f"Content-Length is {shown!r}, not a number of bytes", allowed)
        size = int(length) if len(length) <= _MAX_LENGTH_DIGITS else self._max_body_bytes + 1
        if size > self._max_body_bytes:
            shown = length[:40].decode("utf-8", "replace")
            raise self._fault(f"a frame's Content-Length is {shown}", allowed)
        return size

    def _drop(self, size: int) -> None:
        del self._buffer[:size]  # bytearray only moves its start: no copy of what follows
        self._passed += size
        self._searched = 0

    def _fault(self, what: str, hint: str) -> WireError:
        return WireError(what, where=f"event socket, byte {self._passed}", hint=hint)


def _find_header(head: bytes, folded: bytes, needle: bytes) -> bytes | None:
    """Find the first header of a name.

    Args:
        head: the headers.
        folded: a newline and the headers, in lower case.
        needle: a newline, the name in lower case, and its colon.
    """
    place = folded.find(needle)
    if place < 0:
        return None
    start = place + len(needle) - 1  # `head` lacks the newline that `folded` begins with
    end = head.find(b"\n", start)
    return head[start : end if end >= 0 else len(head)].strip()
