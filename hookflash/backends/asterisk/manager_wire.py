"""Framing of Asterisk's manager interface (AMI), without a socket: bytes in, messages out.

The switch greets with one line. After that it sends messages: headers, one per line, ended by an
empty line. Lines end with CR LF. A message is the response to an action, or an event; there are no
bodies. A header may be repeated (`ChanVariable`, `Output`): every value is kept, in order.

The messages, and the error that ends them, depend only on the bytes, never on how they were cut.
Memory is bounded: at most one unfinished message is kept, and its size has a limit. An error is
final: only a new connection helps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import attrs

from hookflash.errors import InputError

DEFAULT_MAX_MESSAGE_BYTES: Final = 1024 * 1024
"""An event has about 1 KB. Only the output of a command is long: 1 MiB holds some 10,000 lines."""

_GREETING: Final = b"Asterisk Call Manager"
_END_OF_LINE: Final = b"\r\n"
_END: Final = b"\r\n\r\n"
_MAX_GREETING_BYTES: Final = 200

HeaderValue = str | int | Sequence[str]
"""What a header of an action may be; a sequence repeats the header."""


class ManagerWireError(InputError):
    """The bytes are not those of a manager interface. The connection is unusable."""


@attrs.frozen
class Message:
    """A response or an event. Names of headers are matched in any case."""

    headers: Mapping[str, tuple[str, ...]]
    """The values of each header, by its name in lower case."""

    def get(self, name: str) -> str:
        """Return the first value of a header; empty if there is none."""
        values = self.headers.get(name.lower())
        return values[0] if values else ""

    def all(self, name: str) -> tuple[str, ...]:
        """Return all values of a header, in order."""
        return self.headers.get(name.lower(), ())

    @property
    def event(self) -> str:
        """The name of the event; empty for a response."""
        return self.get("event")

    @property
    def action_id(self) -> str:
        """The `ActionID` of the action that it answers; empty if there is none."""
        return self.get("actionid")

    @property
    def ok(self) -> bool:
        """Whether it is a response to a successful action."""
        return self.get("response") in {"Success", "Goodbye"}

    def variables(self, prefix: str = "") -> dict[str, str]:
        """Return the channel variables that it carries.

        Args:
            prefix: which channel's, in events of several channels, for example `Dest`.
        """
        pairs = (value.partition("=") for value in self.all(f"{prefix}ChanVariable"))
        return {name: value for name, _, value in pairs}


def render(action: str, action_id: str, headers: Mapping[str, HeaderValue]) -> bytes:
    """Render an action.

    Raises:
        InputError: a value, or a header's name, can't be sent.
    """
    lines = [f"Action: {action}", f"ActionID: {action_id}"]
    for name, value in headers.items():
        values = (str(value),) if isinstance(value, (str, int)) else value
        lines += [f"{name}: {each}" for each in values]
    for line in lines:
        if "\r" in line or "\n" in line or "\0" in line:
            # the value stays out of the message: it may be a secret
            raise InputError(
                "the value holds a line break or a NUL",
                where=f"{action}, {line.partition(':')[0]!r}",
                hint="one line of text is allowed",
            )
    return ("\r\n".join(lines) + "\r\n\r\n").encode(errors="replace")


class ManagerWire:
    """The receiving side of one connection.

    Feed it received bytes, then take all complete messages:

        wire.receive(data)
        for message in wire.messages():
            ...
    """

    __slots__ = ("_buffer", "_failure", "_max_bytes", "_searched", "greeting")

    def __init__(self, *, max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES) -> None:
        """Start at the first byte of a connection.

        Args:
            max_message_bytes: the longest message that is accepted, its end included.
        """
        self.greeting = ""
        self._max_bytes = max_message_bytes
        self._buffer = bytearray()
        self._searched = 0
        self._failure: ManagerWireError | None = None

    def receive(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes from the switch, cut anywhere.

        Raises:
            ManagerWireError: the wire has failed before.
        """
        if self._failure is not None:
            raise self._failure
        self._buffer += data

    def messages(self) -> Iterator[Message]:
        """Yield every message that is complete.

        Raises:
            ManagerWireError: no greeting, or a message that is too long. The messages before it
                are yielded first.
        """
        while (message := self._next()) is not None:
            yield message

    def _next(self) -> Message | None:
        if self._failure is not None:
            raise self._failure
        if not self.greeting and not self._take_greeting():
            return None
        while True:
            block = self._take(_END, self._max_bytes, "a message is too long")
            if block is None:
                return None
            if block:  # else an empty line that means nothing
                return _read(block)

    def _take_greeting(self) -> bool:
        line = self._take(_END_OF_LINE, _MAX_GREETING_BYTES, "the greeting is too long")
        if line is None:
            return False
        if not line.startswith(_GREETING):
            raise self._fail(
                "the greeting is not that of a manager interface", "its port is 5038, by default"
            )
        self.greeting = line.decode("utf-8", "replace")
        return True

    def _take(self, end: bytes, most_bytes: int, too_long: str) -> bytes | None:
        """Take the bytes before the next `end`; `None` if it has not come yet."""
        place = self._buffer.find(end, self._searched)
        size = place + len(end) if place >= 0 else len(self._buffer) + 1
        if size > most_bytes:
            raise self._fail(too_long, f"at most {most_bytes} bytes are accepted")
        if place < 0:
            self._searched = max(0, len(self._buffer) - len(end) + 1)
            return None
        block = bytes(self._buffer[:place])
        del self._buffer[:size]
        self._searched = 0
        return block.lstrip(_END_OF_LINE)

    def _fail(self, what: str, hint: str) -> ManagerWireError:
        self._failure = ManagerWireError(what, where="manager interface", hint=hint)
        self._buffer.clear()
        return self._failure


def _read(block: bytes) -> Message:
    headers: dict[str, list[str]] = {}
    for line in block.decode("utf-8", "replace").split("\r\n"):
        name, _, value = line.partition(":")
        headers.setdefault(name.strip().lower(), []).append(value.removeprefix(" "))
    return Message({name: tuple(values) for name, values in headers.items()})
