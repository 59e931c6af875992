r"""Recorded event-socket sessions: the bytes that crossed a connection, and when.

A recording is a text of JSON lines, plain or gzipped:

    {"t": 0.1011, "dir": "recv", "data": "Content-Type: command/reply\nReply-Text: +OK …\n\n"}

`t` is in seconds since the connection was made, and never decreases. `dir` is `recv` (from the
switch), `send` (to it) or `note` (what people did meanwhile). `data` is the bytes as text, cut
where `recv()` cut them.

Recordings come by mail and from bug reports, so they are untrusted: a file of any size, even a gzip
bomb of one endless line, needs no more memory than one line may have, and every fault is an
`InputError` that names the file and the line.
"""

from __future__ import annotations

import gzip
import math
import zlib
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, cast

import attrs
import msgspec

from hookflash.errors import InputError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

MAX_LINE_BYTES: Final = 4 * 1024 * 1024
"""The longest line that is read. A line holds the result of one `recv()`, at most some 64 KiB."""

_GZIP_MAGIC: Final = b"\x1f\x8b"
_HINT_LINE: Final = 'a line is {"t": seconds, "dir": "recv", "send" or "note", "data": text}'


class Way(StrEnum):
    """The direction of an entry."""

    RECV = "recv"
    """From the switch to us."""
    SEND = "send"
    """From us to the switch."""
    NOTE = "note"
    """Neither: a note about what people did."""


@attrs.frozen(kw_only=True)
class RecordedLine:
    """One line of a recording."""

    at_s: float
    """Time since the connection was made."""
    direction: Way
    data: str
    line: int
    """Its number in the file, from 1."""

    def raw(self) -> bytes:
        """Return the bytes that crossed the socket."""
        return self.data.encode()


class _StoredLine(msgspec.Struct, frozen=True, gc=False):
    t: float
    dir: Way
    data: str


_decode: Final = msgspec.json.Decoder(_StoredLine).decode


def read_recording(path: str | os.PathLike[str]) -> Iterator[RecordedLine]:
    """Read a recording, one entry at a time.

    Args:
        path: a file of JSON lines, gzipped or not; its first bytes tell which.

    Yields:
        The entries, in order. The file is open until the last one, or until the iterator is closed.

    Raises:
        InputError: the file can't be opened or read, or a line is not an entry.
    """
    name = str(path)
    before_s = 0.0
    number = 0
    for number, line in enumerate(_lines(Path(path)), start=1):
        entry = _entry(line, number, f"{name}:{number}", before_s)
        before_s = entry.at_s
        yield entry
    if number == 0:
        raise InputError("the recording is empty", where=f"{name}:1", hint=_HINT_LINE)


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, none of them longer than allowed."""
    number = 0
    try:
        with path.open("rb") as file, _unpacked(file, str(path)) as text:
            while line := text.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES:
                    raise InputError(
                        "the line is too long",
                        where=f"{path}:{number}",
                        hint=f"at most {MAX_LINE_BYTES} bytes",
                    )
                yield line
    except EOFError:
        raise InputError(
            "the gzip file is cut short",
            where=f"{path}:{number + 1}",
            hint="copy it again, whole",
        ) from None
    except (gzip.BadGzipFile, zlib.error) as fault:
        raise InputError(
            f"the gzip file is damaged: {fault}",
            where=f"{path}:{number + 1}",
            hint="copy it again",
        ) from None
    except (OSError, ValueError) as fault:  # a ValueError is a NUL in the path
        why = fault.strerror if isinstance(fault, OSError) else fault
        raise InputError(
            f"can't read the recording: {why}",
            where=str(path),
            hint="name a file of JSON lines, gzipped or not",
        ) from None


def _unpacked(file: IO[bytes], name: str) -> IO[bytes]:
    """Unpack the file if it is gzipped."""
    magic = file.read(len(_GZIP_MAGIC))
    file.seek(0)
    if magic == _GZIP_MAGIC:
        return cast("IO[bytes]", gzip.GzipFile(fileobj=file, mode="rb"))
    if name.endswith(".gz"):
        raise InputError(
            "not a gzip file, in spite of its name",
            where=f"{name}:1",
            hint="gzip it, or take the .gz off its name",
        )
    return file


def _entry(line: bytes, number: int, where: str, before_s: float) -> RecordedLine:
    try:
        entry = _decode(line)
        entry.data.encode()  # half a surrogate pair is JSON, but no text that a socket carries
    except (msgspec.DecodeError, UnicodeError, RecursionError) as fault:
        raise InputError(f"not an entry: {fault}", where=where, hint=_HINT_LINE) from None
    if not math.isfinite(entry.t) or entry.t < before_s:
        raise InputError(
            f"the time goes back to {entry.t} s",
            where=where,
            hint=f"at least {before_s} s, the time of the line before",
        )
    return RecordedLine(at_s=entry.t, direction=entry.dir, data=entry.data, line=number)
