"""Recordings: what is read, and how whatever is wrong with one is told."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookflash.backends.freeswitch.recording import (
    MAX_LINE_BYTES,
    RecordedLine,
    Way,
    read_recording,
)
from hookflash.errors import InputError

RECORDINGS = sorted((Path(__file__).parent / "recordings").glob("*.jsonl.gz"))
GOOD = b'{"t": 0.5, "dir": "recv", "data": "Content-Type: auth/request\\n\\n"}\n'
SHAPE = 'a line is {"t": seconds, "dir": "recv", "send" or "note", "data": text}'


def fault_of(path: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        list(read_recording(path))
    return caught.value


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name)
def test_a_real_recording(path: Path) -> None:
    entries = list(read_recording(path))
    with gzip.open(path, "rt", encoding="utf-8") as text:
        expected = [json.loads(line) for line in text]
    assert [{"t": e.at_s, "dir": e.direction, "data": e.data} for e in entries] == expected
    assert [entry.line for entry in entries] == list(range(1, len(entries) + 1))
    assert entries[0].raw() == b"Content-Type: auth/request\n\n"


def test_plain_text_is_read_too_and_blanks_at_the_end_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(GOOD[:-1] + b" \r\n" + '{"t":1,"dir":"note","data":"schön","x":[1]}'.encode())
    assert list(read_recording(str(path))) == [
        RecordedLine(at_s=0.5, direction=Way.RECV, data="Content-Type: auth/request\n\n", line=1),
        RecordedLine(at_s=1.0, direction=Way.NOTE, data="schön", line=2),
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"nonsense", "not an entry: "),
        (b"", "not an entry: "),
        (b"\x00", "not an entry: "),
        (b"[]", "not an entry: Expected `object`, got `array`"),
        (b'{"t": 1, "dir": "recv"}', "not an entry: Object missing required field `data`"),
        (b'{"t": 1, "dir": "sent", "data": ""}', "not an entry: Invalid enum value 'sent'"),
        (b'{"t": "1", "dir": "recv", "data": ""}', "not an entry: Expected `float`, got `str`"),
        (b'{"t": true, "dir": "recv", "data": ""}', "not an entry: Expected `float`, got `bool`"),
        (b'{"t": 1e999, "dir": "recv", "data": ""}', "not an entry: Number out of range"),
        (b'{"t": NaN, "dir": "recv", "data": ""}', "not an entry: "),
        (b'{"t": 1, "dir": "recv", "data": 5}', "not an entry: Expected `str`, got `int`"),
        (b'{"t": 1, "dir": "recv", "data": "\xff"}', "not an entry: 'utf-8' codec can't decode"),
        (b'{"t": 1, "dir": "recv", "data": "\\ud800"}', "not an entry: "),
        (b'{"t": 1, "x": ' + b"[" * 200_000, "not an entry: maximum recursion depth"),
        (b'{"t": 0.4, "dir": "recv", "data": ""}', "the time goes back to 0.4 s"),
        (b" " * (MAX_LINE_BYTES + 1), "the line is too long"),
    ],
    ids=lambda value: repr(value)[:60],
)
@pytest.mark.parametrize("packed", [True, False], ids=["gz", "plain"])
def test_a_bad_line(tmp_path: Path, line: bytes, words: str, *, packed: bool) -> None:
    content = GOOD + line + b"\n" + GOOD
    path = tmp_path / "a.jsonl.gz" if packed else tmp_path / "a.jsonl"
    path.write_bytes(gzip.compress(content, 1) if packed else content)
    fault = fault_of(path)
    assert fault.what.startswith(words)
    assert fault.where == f"{path}:2"
    assert fault.hint
    read = read_recording(path)
    assert next(read).line == 1


def test_the_time_begins_with_the_connection(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"t": -0.1, "dir": "recv", "data": ""}')
    assert str(fault_of(path)) == (
        f"{path}:1: the time goes back to -0.1 s (at least 0.0 s, the time of the line before)"
    )


def test_the_longest_line_that_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b" " * (MAX_LINE_BYTES - len(GOOD)) + GOOD)
    assert [entry.at_s for entry in read_recording(path)] == [0.5]


def test_a_bomb_of_one_endless_line_costs_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as bomb:
        for _ in range(64):
            bomb.write(b" " * 2**20)
    tracemalloc.start()
    try:
        assert fault_of(path).what == "the line is too long"
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_LINE_BYTES
    finally:
        tracemalloc.stop()


def test_not_gzip(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(GOOD)
    assert str(fault_of(path)) == (
        f"{path}:1: not a gzip file, in spite of its name (gzip it, or take the .gz off its name)"
    )


@pytest.mark.parametrize("name", ["empty.jsonl", "empty.jsonl.gz"])
def test_empty(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(b"") if name.endswith(".gz") else b"")
    assert str(fault_of(path)) == f"{path}:1: the recording is empty ({SHAPE})"


def test_a_gzip_file_cut_short_or_damaged_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    whole = gzip.compress(GOOD * 3)
    for end in range(2, len(whole)):
        path.write_bytes(whole[:end])
        fault = fault_of(path)
        assert fault.what == "the gzip file is cut short"
        assert fault.where.startswith(f"{path}:")
    for place in range(2, len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            list(read_recording(path))
        except InputError as known:
            assert known.where.startswith(f"{path}:")  # noqa: PT017 - some bytes mean nothing
    path.write_bytes(whole + b"tail")
    assert fault_of(path).what.startswith("the gzip file is damaged: ")


@pytest.mark.parametrize("name", ["missing", ".", "a\x00b", "n" * 5000])
def test_no_file(tmp_path: Path, name: str) -> None:
    fault = fault_of(tmp_path / name)
    assert fault.what.startswith("can't read the recording: ")
    assert fault.hint == "name a file of JSON lines, gzipped or not"


@given(content=st.binary(max_size=300))
def test_garbage_is_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "garbage"
    path.write_bytes(GOOD + content)
    try:
        list(read_recording(path))
    except InputError as known:
        assert known.where.startswith(f"{path}:")  # noqa: PT017 - some garbage is no fault
    path.write_bytes(gzip.compress(GOOD)[:2] + content)
    assert fault_of(path).hint
