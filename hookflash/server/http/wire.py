"""One HTTP/1.1 connection as h11 reads and writes it, each wait for the client with a deadline.

h11 parses strictly, but repairs what has one meaning to itself. This module adds what it can't
know: how long a head, a body or the reader of an answer may take, and which requests are ambiguous
to a proxy in front of us. Some of that is gone once h11 has read it, so the bytes are looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, TypeAlias

import attrs
import h11
import trio

Headers: TypeAlias = Iterable[tuple[bytes, bytes]]

RECEIVE_BYTES: Final = 16_384
HEAD_BYTES: Final = 16_384
"""Largest head of a request: its line and all headers."""
BROKEN: Final = (trio.BrokenResourceError, trio.ClosedResourceError)
BODILESS: Final = frozenset({204, 304})
"""Statuses whose answers have no body."""
BARE_LF: Final = re.compile(rb"(?:\A|[^\r])\n")
UNENDED: Final = re.compile(rb"[^\r]\n")
"""The same, where the CR of a first LF may have been read before."""
FOLDED: Final = re.compile(rb"\r\n[ \t]")
LENGTHS: Final = re.compile(rb"(?i)\r\ncontent-length[ \t]*:([^\r\n]*)")
OVERHEAD: Final = 8
"""A chunked body may take this many times its own size."""


@attrs.frozen(kw_only=True)
class Patience:
    """How long strangers may take."""

    head_s: float = 10.0
    """From the connection, or from a request's first byte, to the end of its head."""
    idle_s: float = 60.0
    """Between two requests."""
    crowded_idle_s: float = 5.0
    """Between two requests, while more than half of all connections are open."""
    transfer_s: float = 10.0
    """For a body or an answer, besides the time by `bytes_per_s`."""
    bytes_per_s: float = 4_096.0
    """The slowest pace of a body, and of the reader of an answer."""
    request_s: float = 60.0
    """From the end of the head to the end of the answer."""
    farewell_s: float = 1.0
    """For the client to read the last answer and to close the connection."""


class ClientLeft(Exception):
    """The client has left, or does not read: there is nobody to answer."""


class BadRequest(Exception):
    """The request gets an error, and the connection ends."""

    def __init__(self, status: int, why: str) -> None:
        self.status = status
        self.why = why
        super().__init__(status, why)


class HttpWire:
    """A connection: requests in, answers out."""

    def __init__(self, stream: trio.abc.Stream, patience: Patience, most_body_bytes: int) -> None:
        """Wrap a stream.

        Args:
            stream: to the client.
            patience: how long the client may take.
            most_body_bytes: the largest body.
        """
        self._stream = stream
        self._patience = patience
        self._most_wire_bytes = OVERHEAD * most_body_bytes + RECEIVE_BYTES
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
        self._body: list[bytes] = []
        self._has_whole_body = False
        self._is_first = True
        self._wants_body = True
        self._deadline_s = 0.0
        self._came = 0

    async def head(self, idle_s: float) -> h11.Request | None:
        """Read the head of the next request.

        Args:
            idle_s: how long the client may wait before it begins, except for the first request.

        Returns:
            The head; nothing, if the client has closed the connection or was idle for too long.

        Raises:
            BadRequest: it is invalid, or took too long.
            ClientLeft: the connection is lost.
        """
        patience = self._patience
        has_begun = bool(self._h11.trailing_data[0])
        head_first = self._is_first or has_begun
        deadline_s = trio.current_time() + (patience.head_s if head_first else idle_s)
        self._is_first = False
        while True:
            event = self._next_event()
            if isinstance(event, h11.Request):
                self._wants_body = event.method != b"HEAD"
                _check(event)
                self._begin_body()
                return event
            if isinstance(event, h11.ConnectionClosed):
                return None
            if not await self._receive(deadline_s):
                if has_begun:
                    raise BadRequest(408, "the request's head took too long")
                return None
            if not has_begun and not head_first:
                deadline_s = trio.current_time() + patience.head_s
            has_begun = True

    def _begin_body(self) -> None:
        """Read what has come together with the head."""
        self._body, self._has_whole_body, self._came = [], False, 0
        self._deadline_s = trio.current_time() + self._patience.transfer_s
        self._take_body()

    @property
    def has_whole_body(self) -> bool:
        """Whether the body of the request was read to its end."""
        return self._has_whole_body

    async def body(self) -> tuple[bytes, bool]:
        """Read a part of the body.

        Returns:
            The part, and whether more follow.

        Raises:
            BadRequest: it is invalid, or took too long.
            ClientLeft: the connection is lost.
        """
        if not self._body and self._h11.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
            await self._write(self._h11.send(go_on) or b"")
        while not self._body and not self._has_whole_body:
            if not await self._receive(self._deadline_s):
                raise BadRequest(408, "the request's body came too slowly")
            if self._came > self._most_wire_bytes:
                raise BadRequest(413, "the request's body is too large")
            self._take_body()
        part = b"".join(self._body)
        self._body.clear()
        return part, not self._has_whole_body

    def _take_body(self) -> None:
        while not self._has_whole_body:
            event = self._next_event()
            if isinstance(event, h11.Data):
                self._body.append(bytes(event.data))
                self._deadline_s += len(event.data) / self._patience.bytes_per_s
            elif isinstance(event, h11.EndOfMessage):
                self._has_whole_body = True
            elif isinstance(event, h11.ConnectionClosed):
                raise ClientLeft
            else:
                return

    def _next_event(self) -> object:
        before, _ = self._h11.trailing_data
        if self._h11.their_state is h11.IDLE:
            _check_bytes(before)
        try:
            event = self._h11.next_event()
        except h11.RemoteProtocolError as error:
            raise BadRequest(error.error_status_hint, str(error)) from error
        if isinstance(event, h11.EndOfMessage):
            after, _ = self._h11.trailing_data
            _check_end(event, before[: len(before) - len(after)])
        return event

    async def _receive(self, deadline_s: float) -> bool:
        """Receive once.

        Returns:
            Whether something came in time: bytes, or the end.
        """
        with trio.move_on_at(deadline_s):
            try:
                received = await self._stream.receive_some(RECEIVE_BYTES)
            except BROKEN as error:
                raise ClientLeft from error
            self._came += len(received)
            self._h11.receive_data(bytes(received))
            return True
        return False

    async def answer(self, status: int, headers: Headers, body: bytes, *, ends: bool) -> None:
        """Send an answer.

        Args:
            status: the HTTP status.
            headers: its headers; `Content-Length` is added.
            body: its body, which is not sent if the request was HEAD.
            ends: whether the connection ends after it.

        Raises:
            ClientLeft: the client did not read it in time.
        """
        lines = [*headers, (b"date", formatdate(usegmt=True).encode())]
        if status not in BODILESS and not any(name == b"content-length" for name, _ in lines):
            lines.append((b"content-length", b"%d" % len(body)))
        if ends:
            lines.append((b"connection", b"close"))
        reason = HTTPStatus(status).phrase.encode()
        parts = [self._h11.send(h11.Response(status_code=status, headers=lines, reason=reason))]
        if body and self._wants_body and status not in BODILESS:
            parts.append(self._h11.send(h11.Data(data=body)))
        parts.append(self._h11.send(h11.EndOfMessage()))
        await self._write(b"".join(part for part in parts if part))

    def begin_next(self) -> bool:
        """Prepare for the next request.

        Returns:
            Whether there may be one.
        """
        if self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
            return False
        self._h11.start_next_cycle()
        return True

    async def say_goodbye(self) -> None:
        """Let the client read the last answer, before the stream is closed.

        Closing with unread data would send a TCP reset, and the client could lose the answer.
        """
        stream = self._stream
        with trio.move_on_after(self._patience.farewell_s), suppress(*BROKEN):
            if isinstance(stream, trio.SocketStream):
                await stream.send_eof()
            while await stream.receive_some(RECEIVE_BYTES):
                pass

    async def _write(self, what: bytes) -> None:
        patience = self._patience
        with trio.move_on_after(patience.transfer_s + len(what) / patience.bytes_per_s) as scope:
            try:
                await self._stream.send_all(what)
            except BROKEN as error:
                raise ClientLeft from error
        if scope.cancelled_caught:
            raise ClientLeft


def _check_bytes(begun: bytes) -> None:
    """Refuse what h11 would repair in the head of a request, as far as it has come.

    Raises:
        BadRequest: it has a line that does not end with CR LF, a folded line, or two lengths.
    """
    head, blank, _ = begun.partition(b"\r\n\r\n")
    if BARE_LF.search(head + blank):
        raise BadRequest(400, "a line does not end with CR LF")
    if FOLDED.search(head):
        raise BadRequest(400, "a header is folded")
    lengths = LENGTHS.findall(head)
    if len(lengths) > 1 or any(b"," in one for one in lengths):
        raise BadRequest(400, "the length of the body is given twice")


def _check_end(event: h11.EndOfMessage, read: bytes) -> None:
    """Refuse a chunked body whose end another reader could see elsewhere.

    Args:
        event: the end.
        read: the bytes of the end that came last.

    Raises:
        BadRequest: it has trailers, or a line that does not end with CR LF.
    """
    bare = UNENDED.search(read) if len(read) > 1 else read == b"\n"
    if bare or list(event.headers):
        raise BadRequest(400, "the end of the body is ambiguous")


def _check(head: h11.Request) -> None:
    """Refuse what h11 can read, but what another reader could understand differently.

    Raises:
        BadRequest: it is ambiguous, or of another version of HTTP.
    """
    if head.http_version not in {b"1.0", b"1.1"}:
        raise BadRequest(505, "this server speaks HTTP/1.1")
    names = [name for name, _ in head.headers]
    if b"transfer-encoding" in names and (
        b"content-length" in names or head.http_version == b"1.0"
    ):
        raise BadRequest(400, "the length of the body is ambiguous")
    if not head.target.startswith(b"/"):
        raise BadRequest(400, "the target must be a path")
