"""Limits the replies that programs have not read, by key, over all connections of both doors.

A program that asks and does not read fills memory: of each reply, what the network does not take
stays here. A limit for each connection would not help, since a key may have many. So when those of
one key have too much together, the connection that is furthest behind is closed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

import attrs

MOST_BYTES: Final = 8_388_608
"""Unread replies of one key: some 80 of the longest lists."""

NOBODY: Final = ""
"""The key of all who have none."""


@attrs.define(eq=False)
class Reader:
    """A connection that replies wait for."""

    key: str
    close: Callable[[], None]
    """Closes the connection: it is too far behind."""
    unread_bytes: int = 0


class Unsent:
    """The replies that programs have not read."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.most_bytes = most_bytes
        self._readers: dict[str, dict[Reader, None]] = {}
        """By key: those that replies wait for."""
        self._bytes: Counter[str] = Counter()

    def of(self, key: str) -> int:
        """How many bytes wait for all connections of a key."""
        return self._bytes[key]

    def add(self, reader: Reader, size: int) -> None:
        """A reply waits; connections that are too far behind are closed."""
        self._readers.setdefault(reader.key, {})[reader] = None
        reader.unread_bytes += size
        self._bytes[reader.key] += size
        while self._bytes[reader.key] > self.most_bytes:
            slowest = max(self._readers[reader.key], key=lambda one: one.unread_bytes)
            self.drop(slowest)
            slowest.close()

    def sent(self, reader: Reader, size: int) -> None:
        """A reply was sent. One of a connection that was closed counts no more."""
        gone = min(size, reader.unread_bytes)
        reader.unread_bytes -= gone
        self._bytes[reader.key] -= gone
        if not reader.unread_bytes:
            self._forget(reader)

    def drop(self, reader: Reader) -> None:
        """Nothing waits for a connection any more."""
        self.sent(reader, reader.unread_bytes)

    def _forget(self, reader: Reader) -> None:
        readers = self._readers.get(reader.key, {})
        readers.pop(reader, None)
        if not readers:
            self._readers.pop(reader.key, None)
            del self._bytes[reader.key]

    @contextmanager
    def waiting(self, key: str, size: int, close: Callable[[], None]) -> Generator[None]:
        """One reply waits until the block ends."""
        reader = Reader(key, close)
        self.add(reader, size)
        try:
            yield
        finally:
            self.drop(reader)
