"""Framing: the same frames whatever the cut, and a clear end to whatever is no frame."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookflash.backends.freeswitch.recording import Way, read_recording
from hookflash.backends.freeswitch.wire import Frame, Wire, WireError
from hookflash.errors import InputError

RECORDINGS = sorted((Path(__file__).parent / "recordings").glob("*.jsonl.gz"))
RECORDING_IDS = [path.name.removesuffix(".jsonl.gz") for path in RECORDINGS]
CHUNK_BYTES = (1, 5, 89, 1448, 4096, 65536)

AUTH_REQUEST = b"Content-Type: auth/request\n\n"
REPLY = b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n"
API_RESPONSE = b"Content-Type: api/response\nContent-Length: 18\n\n-ERR Invalid uuid\n"
PLAIN = b"Content-Length: 23\nContent-Type: text/event-plain\n\nEvent-Name: HEARTBEAT\n\n"
JSON = b'Content-Length: 26\nContent-Type: text/event-json\n\n{"Event-Name":"HEARTBEAT"}'
LOG = b"Content-Type: log/data\nContent-Length: 6\nLog-Level: 7\n\nhello\n"
NOTICE = b"Content-Type: text/disconnect-notice\nContent-Length: 7\n\nbye!\n\n\n"
REJECTION = b"Content-Type: text/rude-rejection\nContent-Length: 24\n\nAccess Denied, go away.\n"
ALL_KINDS = (AUTH_REQUEST, REPLY, API_RESPONSE, PLAIN, JSON, LOG, NOTICE, REJECTION)


def received(path: Path) -> bytes:
    """All that the switch sent in a recording."""
    return b"".join(e.raw() for e in read_recording(path) if e.direction is Way.RECV)


def cut_every(stream: bytes, chunk_bytes: int) -> list[bytes]:
    return [stream[at : at + chunk_bytes] for at in range(0, len(stream), chunk_bytes)]


def framed(chunks: list[bytes], wire: Wire | None = None) -> list[Frame]:
    wire = wire or Wire()
    frames: list[Frame] = []
    for chunk in chunks:
        wire.receive(chunk)
        frames += wire.frames()
    return frames


def failure_of(chunks: list[bytes], wire: Wire) -> tuple[int, str]:
    """Feed until it fails; say after how many bytes, and with what words."""
    fed = 0
    for chunk in chunks:
        fed += len(chunk)
        try:
            framed([chunk], wire)
        except WireError as failure:
            return fed, str(failure)
    pytest.fail("the wire took it all")


# --------------------------------------------------------------------------------- frames


def test_every_kind_of_frame() -> None:
    frames = framed([b"".join(ALL_KINDS)])
    assert [(frame.content_type, frame.body) for frame in frames] == [
        ("auth/request", b""),
        ("command/reply", b""),
        ("api/response", b"-ERR Invalid uuid\n"),
        ("text/event-plain", b"Event-Name: HEARTBEAT\n\n"),
        ("text/event-json", b'{"Event-Name":"HEARTBEAT"}'),
        ("log/data", b"hello\n"),
        ("text/disconnect-notice", b"bye!\n\n\n"),
        ("text/rude-rejection", b"Access Denied, go away.\n"),
    ]


def test_headers_are_looked_up_without_regard_to_case() -> None:
    (frame,) = framed([b"content-TYPE:  Command/Reply ; x=1\nReply-Text: +OK %3A\nJob-UUID:j\n\n"])
    assert frame.content_type == "command/reply"
    assert frame.header("reply-text") == "+OK %3A"
    assert frame.header("Job-UUID") == "j"
    assert frame.header("UUID") == ""
    assert frame.header("") == ""


def test_the_first_of_two_headers_counts() -> None:
    (frame,) = framed([b"Content-Type: a/b\nX: 1\nX: 2\n\n"])
    assert frame.header("X") == "1"


def test_what_is_not_utf_8_is_replaced() -> None:
    (frame,) = framed([b"Content-Type: a/\xff\nX: \xc3\x28\nContent-Length: 2\n\n\xfe\x00"])
    assert frame.content_type == "a/\ufffd"
    assert frame.header("X") == "\ufffd("
    assert frame.text() == "\ufffd\x00"
    assert frame.body == b"\xfe\x00"


def test_stray_empty_lines_mean_nothing() -> None:
    assert framed([b"\n\n\n" + REPLY + b"\n\n\n\n\n" + AUTH_REQUEST]) == framed(
        [REPLY, AUTH_REQUEST]
    )


def test_a_buffer_may_be_used_again() -> None:
    wire = Wire()
    data = bytearray(API_RESPONSE)
    wire.receive(memoryview(data)[:30])
    wire.receive(data[30:])
    data[:] = bytes(len(data))
    assert framed([], wire) == []
    frame = wire.next_frame()
    assert frame is not None
    assert frame.body == b"-ERR Invalid uuid\n"
    assert wire.next_frame() is None


# ---------------------------------------------------------------------------------- cuts


@pytest.mark.exhaustive
@pytest.mark.parametrize("path", RECORDINGS, ids=RECORDING_IDS)
def test_a_recording_gives_the_same_frames_whatever_the_cut(path: Path) -> None:
    stream = received(path)
    whole = framed([stream])
    assert whole[0].content_type == "auth/request"
    assert whole[-1].content_type == "text/disconnect-notice"
    for chunk_bytes in CHUNK_BYTES:
        assert framed(cut_every(stream, chunk_bytes)) == whole


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["errors.json", "errors.plain"])
def test_chunks_of_every_length_and_two_parts_at_every_place(name: str) -> None:
    stream = received(Path(__file__).parent / "recordings" / f"{name}.jsonl.gz")
    whole = framed([stream])
    for at in range(1, len(stream)):
        assert framed(cut_every(stream, at)) == whole
        assert framed([stream[:at], stream[at:]]) == whole


@given(
    st.lists(st.sampled_from((*ALL_KINDS, b"\n", b"\n\n")), max_size=8),
    st.lists(st.integers(0, 400), max_size=12),
)
def test_random_cuts(parts: list[bytes], places: list[int]) -> None:
    stream = b"".join(parts)
    edges = [0, *sorted(min(place, len(stream)) for place in places), len(stream)]
    chunks = [stream[a:b] for a, b in pairwise(edges)]
    assert framed(chunks) == framed([stream])


@given(st.binary(max_size=200), st.integers(1, 30))
def test_garbage_ends_the_same_way_whatever_the_cut(garbage: bytes, chunk_bytes: int) -> None:
    def outcome(chunks: list[bytes]) -> tuple[list[Frame], str]:
        wire = Wire(max_header_bytes=40, max_body_bytes=20)
        frames: list[Frame] = []
        try:
            for chunk in chunks:
                wire.receive(chunk)
                frames += wire.frames()
        except WireError as failure:
            return frames, str(failure)
        return frames, ""

    stream = REPLY[:28] + garbage + b"\n\n" + API_RESPONSE
    whole, why = outcome([stream])
    parts, same_why = outcome(cut_every(stream, chunk_bytes))
    assert same_why == why
    assert parts == whole[: len(parts)]


@pytest.mark.exhaustive
def test_a_large_frame_byte_by_byte_takes_linear_time() -> None:
    """With a search or a copy anew for each byte, this would take minutes."""
    head = b"Content-Type: api/response\nContent-Length: 400000\nX: " + b"x" * 100_000
    wire = Wire(max_header_bytes=200_000)
    (frame,) = framed(cut_every(head + b"\n\n" + b"y" * 400_000, 1), wire)
    assert (len(frame.head), len(frame.body)) == (len(head), 400_000)


# -------------------------------------------------------------------------------- faults


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (b"1000000000000", "a frame's Content-Length is 1000000000000 (a number from 0 to 1000"),
        (b"9" * 100_000, "Content-Length is 9999999999999999999999999999999999999999 (a num"),
        (b"1001", "a frame's Content-Length is 1001 (a number from 0 to 1000 is allowed)"),
        (b"-1", "Content-Length is '-1', not a number of bytes (a number from 0 to 1000"),
        (b"+1", "Content-Length is '+1', not a number"),
        (b"1_0", "Content-Length is '1_0', not a number"),
        (b"0x10", "Content-Length is '0x10', not a number"),
        (b"", "Content-Length is '', not a number"),
        (b"\xff\x00", "Content-Length is '\ufffd\\x00', not a number"),
        ("٣".encode(), "Content-Length is '٣', not a number"),
    ],
)
def test_an_impossible_length(length: bytes, words: str) -> None:
    wire = Wire(max_header_bytes=200_000, max_body_bytes=1000)
    stream = AUTH_REQUEST + b"Content-Type: api/response\nContent-Length: " + length + b"\n\n"
    wire.receive(stream)
    assert wire.next_frame() is not None
    with pytest.raises(WireError) as caught:
        wire.next_frame()
    assert words in str(caught.value)
    assert str(caught.value).startswith("event socket, byte 28: ")


def test_the_longest_that_is_allowed() -> None:
    head = b"Content-Type: x/y\nContent-Length: 10"
    assert framed(
        [head + b"\n\n" + b"0123456789"], Wire(max_header_bytes=len(head), max_body_bytes=10)
    )
    fed, why = failure_of(
        cut_every(head + b"\n\n" + b"0123456789", 1), Wire(max_header_bytes=len(head) - 1)
    )
    assert fed == len(head) + 1
    assert why == f"event socket, byte 0: a frame's headers are too long (at most {fed - 2} bytes)"


@pytest.mark.parametrize(
    "endless", [b"X-Header: 1\n", b"x", b"\x00", b"\xff", b"HTTP/1.1 200 OK\r\n\r\n"]
)
def test_headers_without_end_are_bounded(endless: bytes) -> None:
    million = endless * 1_000_000
    fed, why = failure_of(cut_every(million, 1000), Wire())
    assert fed <= 64 * 1024 + 2000
    assert "too long (at most 65536 bytes)" in why
    assert failure_of([million], Wire())[1] == why


def test_no_event_socket() -> None:
    _, why = failure_of([b"220 mail ESMTP\nhello\n\n"], Wire())
    assert why == (
        "event socket, byte 0: a frame has no Content-Type "
        "(is this the event socket of a FreeSWITCH? Its port is 8021, by default)"
    )


def test_a_failed_wire_stays_failed() -> None:
    wire = Wire()
    wire.receive(REPLY + b"Content-Type: a/b\nContent-Length: x\n\n" + REPLY)
    assert wire.next_frame() is not None
    for _ in range(2):
        with pytest.raises(WireError, match="byte 54: Content-Length is 'x'"):
            wire.next_frame()
    with pytest.raises(InputError):
        wire.receive(REPLY)
    with pytest.raises(WireError):
        list(wire.frames())
