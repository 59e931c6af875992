"""Reading the journal while another process writes it: many questions at once."""

from __future__ import annotations

import sqlite3
import threading
from functools import partial
from pathlib import Path

import pytest
import trio
from histories import NOON, news, noon, write

from hookflash.errors import InputError
from hookflash.journal import history
from hookflash.journal.database import JournalError, open_database
from hookflash.journal.history import Wanted
from hookflash.journal.reader import READS_AT_ONCE, JournalReader

SECONDS = 5


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "journal.sqlite3"
    connection = open_database(file)
    write(connection, [news(number) for number in range(1, 31)])
    connection.close()
    return file


async def test_the_questions_of_many_share_a_connection_one_by_one(file: Path) -> None:
    reader = JournalReader(file, now=noon)
    asking, most_asking, most_waiting = 0, 0, 0
    counts: list[int] = []

    def look(connection: sqlite3.Connection) -> int:
        nonlocal asking, most_asking, most_waiting
        asking += 1
        most_asking = max(most_asking, asking)
        most_waiting = max(most_waiting, threading.active_count() - threads)
        count = int(connection.execute("SELECT count(*) FROM steps").fetchone()[0])
        asking -= 1
        return count

    async def ask() -> None:
        counts.append(await reader.read(look))

    threads = threading.active_count()
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(ask)
    reader.close()
    assert counts == [30] * 100
    assert most_asking == 1
    assert most_waiting <= READS_AT_ONCE


async def test_who_fails_keeps_nobody_waiting(file: Path) -> None:
    reader = JournalReader(file, now=noon)

    def fail(_connection: sqlite3.Connection) -> None:
        raise InputError("is damaged")

    with trio.fail_after(SECONDS):
        for _ in range(READS_AT_ONCE + 1):
            with pytest.raises(JournalError, match="damaged"):
                await reader.read(fail)
        assert await reader.read(history.last_number) == 30
    reader.close()


async def test_a_file_that_is_replaced_is_read_anew(file: Path) -> None:
    reader = JournalReader(file, now=noon)
    assert await reader.read(history.last_number) == 30
    other = file.with_name("other.sqlite3")
    connection = open_database(other)
    write(connection, [news(number) for number in range(1, 8)])
    connection.close()
    other.replace(file)
    assert await reader.read(history.last_number) == 7
    reader.close()


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (Wanted(), range(1, 31)),
        (Wanted(account="acme"), range(1, 31)),
        (Wanted(account="other"), ()),
        (Wanted(kinds=("call.*",)), range(1, 31)),
        (Wanted(kinds=("transfer.ended", "switch.*")), ()),
        (Wanted(call="a", kinds=("call.*",)), range(1, 31)),
        (Wanted(call="b"), ()),
        (Wanted(transfer="none"), ()),
    ],
)
async def test_the_database_passes_over_what_nobody_wants(
    file: Path, wanted: Wanted, numbers: range | tuple[int, ...]
) -> None:
    reader = JournalReader(file, now=noon)
    steps, seen = await reader.read(partial(history.read_after, after=0, wanted=wanted))
    assert [step.number for step in steps] == list(numbers)
    assert seen == 30  # nobody asks for the others again
    assert all(step.at >= NOON for step in steps)
    reader.close()
