"""Frames that nobody would send, by the million: the event socket's framing, and the WebSocket's.

python tests/hostile/fuzz.py --frames 10000000 --seed 1

Most frames are good ones with a fault in them, since pure noise ends at the first check. Every
parser must end each stream with frames or with its own error, in bounded time and memory.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Final

from wsproto.frame_protocol import FrameProtocol, ParseFailed

from hookflash.backends.freeswitch.inbound import Inbound
from hookflash.backends.freeswitch.wire import Wire, WireError
from hookflash.errors import HookflashError
from hookflash.server.websocket.budget import FrameCount
from hookflash.server.websocket.reading import id_in, read_message

STREAM: Final = 50
"""Frames of one connection."""
MOST_GROWTH_MB: Final = 50
SLOWEST_S: Final = 5.0
"""For one stream of frames; a busy machine pauses."""

EVENT: Final = (
    b'{"Event-Name":"CHANNEL_ANSWER","Unique-ID":"a1","Event-Date-Timestamp":"1","variable_x":"1"}'
)
REQUESTS: Final = (
    b'{"action":"authenticate","id":"1","api_key":"hookflash_a_b"}',
    b'{"action":"subscribe","id":"2","after":0,"kinds":["transfer.*"]}',
    b'{"action":"transfer","id":"3","call_id":"a","target":"2600"}',
    b"[" * 200,
    b'{"action":"subscribe","id":"4","after":1e999}',
    b"\xff\xfe",
)


def spoiled(dice: Random, data: bytes) -> bytes:
    """The bytes with some faults in them."""
    spoilt = bytearray(data)
    for _ in range(dice.choice((0, 0, 1, 1, 3, 10))):
        at = dice.randrange(len(spoilt) + 1)
        how = dice.randrange(4)
        if how == 0 and at < len(spoilt):
            spoilt[at] = dice.randrange(256)
        elif how == 1:
            spoilt[at:at] = dice.randbytes(dice.randrange(1, 9))
        elif how == 2:
            del spoilt[at : at + dice.randrange(1, 9)]
        else:
            spoilt[at:at] = spoilt[: dice.randrange(1, 30)]
    return bytes(spoilt)


def event_socket_frame(dice: Random) -> bytes:
    """A frame of the event socket, more or less."""
    body = spoiled(dice, EVENT) if dice.random() < 0.5 else EVENT
    length = len(body) + dice.choice((0, 0, 0, 0, -1, 1, 10**18, -5))
    kind = dice.choice((b"text/event-json", b"api/response", b"command/reply", b"x"))
    head = b"Content-Length: %d\nContent-Type: %s\n\n" % (length, kind)
    return (spoiled(dice, head) if dice.random() < 0.2 else head) + body


def websocket_frame(dice: Random) -> bytes:
    """A client's frame, more or less, with a mask of zeros."""
    payload = spoiled(dice, dice.choice(REQUESTS))[: dice.choice((5, 125, 300))]
    first = dice.choice((0x81, 0x81, 0x81, 0x01, 0x80, 0x00, 0x88, 0x89, 0x8A, 0x82, 0xF1, 0x83))
    if len(payload) < 126:
        head = bytes([first, 0x80 | len(payload)])
    else:
        head = bytes([first, 0x80 | 126]) + len(payload).to_bytes(2, "big")
    frame = head + bytes(4) + payload
    return spoiled(dice, frame) if dice.random() < 0.2 else frame


def cut(dice: Random, data: bytes) -> Iterator[bytes]:
    """The bytes as a network may bring them."""
    at = 0
    while at < len(data):
        size = dice.choice((1, 7, 100, 4096, 65_536))
        yield data[at : at + size]
        at += size


def hear_switch(dice: Random) -> None:
    """What a client of the event socket makes of a stream."""
    wire, inbound = Wire(), Inbound()
    stream = b"".join(event_socket_frame(dice) for _ in range(STREAM))
    for piece in cut(dice, stream):
        try:
            wire.receive(piece)
            for frame in wire.frames():
                inbound.receive(frame)
        except WireError:
            return


def hear_client(dice: Random) -> None:
    """What the WebSocket's door makes of a stream."""
    protocol, counted = FrameProtocol(client=False, extensions=[]), FrameCount()
    stream = b"".join(websocket_frame(dice) for _ in range(STREAM))
    for piece in cut(dice, stream):
        counted.count(piece)
        try:
            protocol.receive_bytes(piece)
            for frame in protocol.received_frames():
                _read(frame.payload)
        except ParseFailed:
            return


def _read(payload: object) -> None:
    if isinstance(payload, str | bytes):
        try:
            read_message(payload)
        except HookflashError:
            id_in(payload)


HEARERS: Final[tuple[Callable[[Random], None], ...]] = (hear_switch, hear_client)


def fuzz(frames: int, seed: int) -> None:
    """Send frames to each parser.

    Raises:
        AssertionError: a stream took too long, or the memory grew.
    """
    for hear in HEARERS:
        dice = Random(f"{hear.__name__} {seed}")
        hear(dice)
        before_mb = _memory_mb()
        for stream in range(frames // STREAM):
            began_s = time.monotonic()
            try:
                hear(dice)
            except Exception as error:
                error.add_note(f"{hear.__name__}, seed {seed}, stream {stream}")
                raise
            took_s = time.monotonic() - began_s
            assert took_s < SLOWEST_S, f"{hear.__name__}: stream {stream} took {took_s:.1f} s"
        grown_mb = _memory_mb() - before_mb
        assert grown_mb < MOST_GROWTH_MB, f"{hear.__name__}: the memory grew by {grown_mb} MB"


def _memory_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python tests/hostile/fuzz.py")
    parser.add_argument("--frames", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    fuzz(options.frames, options.seed)
    sys.stdout.write(
        f"{options.frames} frames for each of {len(HEARERS)} parsers, seed {options.seed}:"
        f" no crash, no hang, {time.monotonic() - began:.0f} s, {_memory_mb()} MB\n"
    )
