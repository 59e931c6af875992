"""A journal that is damaged, at the start or under way: set aside, and telephones go on."""

from __future__ import annotations

import os
import random
import socket
import sqlite3
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
import trio
from disks import Disk
from histories import NOON, dated_records, inline, news, noon, numbers_in, played
from trio.testing import MockClock

from hookflash.errors import InputError
from hookflash.journal import history, registry, transfers
from hookflash.journal import journal as at_work
from hookflash.journal.database import DamagedJournal, JournalError, open_database, open_for_reading
from hookflash.journal.file import JournalFile
from hookflash.journal.journal import Journal, JournalSettings, open_journal
from hookflash.journal.pruning_clock import Belief, store_belief, stored_belief
from hookflash.journal.repair import check_journal, repair_journal
from hookflash.journal.salvage import Holes, open_damaged, readable_rows, salvage
from hookflash.journal.step import step_of
from hookflash.server import views

BY_THE_CLOCK = NOON * 1000
CODES = {"numbers": {"1": {"module": "resume"}}}
STEPS = 400


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def settings_of(file: Path) -> JournalSettings:
    return JournalSettings(file=file)


def opened(file: Path) -> JournalFile:
    return JournalFile(file, sync=JournalSettings(file=file).sync, now=noon)


def fill(file: Path, steps: int = STEPS) -> str:
    """A journal with a key, feature codes, a history, and a transfer in flight. The key's text."""
    with closing(open_database(file)) as connection:
        _, text = registry.make_key(connection, account="acme", label="desk", now=NOON)
        registry.store_secret(connection, b"s" * 32)
        registry.store_metaflows(connection, "acme", CODES, now=NOON)
        store_belief(connection, Belief(time=NOON))
        records = dated_records(played("complete")[0].records)
        part = [step_of(record) for record in records[: len(records) // 2]]
        history.write(connection, part)
        history.write(connection, [step_of(news(n)) for n in range(part[-1].number + 1, steps + 1)])
    return text


def set_aside_in(folder: Path) -> list[Path]:
    return sorted(one for one in folder.iterdir() if ".set-aside-" in one.name)


def overwrite(file: Path, at: int, data: bytes) -> None:
    with file.open("r+b") as opened:
        opened.seek(at)
        opened.write(data)


def page_of(file: Path, what: str) -> int:
    """The first page of a table."""
    with closing(sqlite3.connect(file)) as connection:
        query = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        return int(connection.execute(query, (what,)).fetchone()[0])


def junk(count: int) -> bytes:
    return random.Random(11).randbytes(count)


# ------------------------------------------------------------------ damaged before the start


def zero_the_header(file: Path) -> None:
    overwrite(file, 0, bytes(100))


def zero_the_first_page(file: Path) -> None:
    overwrite(file, 0, bytes(4096))


def junk_header(file: Path) -> None:
    overwrite(file, 0, junk(100))


def cut_in_half(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size // 2)


def cut_to_a_few_bytes(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.truncate(57)


def junk_everywhere(file: Path) -> None:
    overwrite(file, 0, junk(file.stat().st_size))


def junk_keys(file: Path) -> None:
    overwrite(file, 4096 * (page_of(file, "keys") - 1), junk(4096))


def junk_in_the_schema(file: Path) -> None:
    overwrite(file, 100, junk(900))


def junk_wal(file: Path) -> None:
    file.with_name(f"{file.name}-wal").write_bytes(junk(9000))


def damage_history(file: Path) -> None:
    """Overwrite the page on which step 1500 is."""
    page = file.read_bytes().index(b'"number":1500,') // 4096
    overwrite(file, 4096 * page, junk(4096))


DAMAGES: list[Callable[[Path], None]] = [
    zero_the_header,
    zero_the_first_page,
    junk_header,
    cut_in_half,
    cut_to_a_few_bytes,
    junk_everywhere,
    junk_keys,
    junk_in_the_schema,
    junk_wal,
]


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_journal_is_set_aside_and_the_service_starts(
    file: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    fill(file)
    async with open_journal(settings_of(file), now=noon):  # it was ours
        pass
    damage(file)
    before = {one.name[len(file.name) :]: one.read_bytes() for one in file.parent.iterdir()}
    async with open_journal(settings_of(file), now=noon) as journal:
        (one,) = journal.set_aside
        assert one.file is not None
        assert one.file.name == "journal.sqlite.set-aside-20261129T120000Z"
        assert one.file.read_bytes() == before[""]  # not a byte of it was changed
        if "-wal" in before:
            assert one.file.with_name(f"{one.file.name}-wal").read_bytes() == before["-wal"]
        assert "journal.set_aside" in caplog.text
        number = journal.published + 1
        assert number > STEPS  # no number is given twice
        journal.take(news(number))
        await journal.settled(number)
        assert journal.fault is None
        assert await journal.read(history.whole_from) == number
    assert numbers_in(file) == [number]
    assert not list(file.parent.glob("*.with-a-header*"))
    async with open_journal(settings_of(file), now=noon) as journal:
        assert (journal.set_aside, journal.published) == ((), number)


@pytest.mark.parametrize("damage", [zero_the_header, junk_header, junk_wal])
def test_keys_and_feature_codes_survive(file: Path, damage: Callable[[Path], None]) -> None:
    key = fill(file)
    damage(file)
    journal = opened(file)
    assert len(journal.set_aside) == 1
    found = journal.read(partial(registry.check_key, text=key))
    assert found is not None
    assert found.account == "acme"
    assert journal.read(registry.stored_metaflows) == {"acme": CODES}
    assert journal.read(registry.stored_secret) == b"s" * 32
    assert journal.read(stored_belief) == Belief(time=NOON)
    (unfinished,) = journal.read(transfers.unfinished)["sim"].values()
    assert unfinished.request.target == "2600"
    journal.close()


def test_a_bad_page_of_history_costs_no_keys(file: Path) -> None:
    key = fill(file, 3_000)
    damage_history(file)
    journal = opened(file)
    with pytest.raises(sqlite3.DatabaseError):
        journal.read(lambda c: list(history.all_steps(c, history.Wanted())))
    journal.change(history.last_number)  # the writer replaces it
    assert len(journal.set_aside) == 1
    assert journal.read(partial(registry.check_key, text=key)) is not None
    assert journal.read(history.last_number) == 3_000
    journal.close()


def test_numbers_continue_where_the_end_of_a_damaged_journal_can_be_read(file: Path) -> None:
    fill(file)
    zero_the_header(file)
    journal = opened(file)
    assert journal.last == STEPS
    journal.close()


def test_where_it_cant_be_read_they_continue_by_the_clock(file: Path) -> None:
    fill(file)
    cut_in_half(file)
    journal = opened(file)
    assert journal.last == BY_THE_CLOCK
    journal.close()


def test_nothing_that_was_set_aside_is_overwritten(file: Path) -> None:
    for _ in range(3):
        fill(file)
        zero_the_header(file)
        opened(file).close()
        file.unlink()
    names = [one.name for one in set_aside_in(file.parent)]
    stamp = "journal.sqlite.set-aside-20261129T120000Z"
    assert names == [stamp, f"{stamp}-2", f"{stamp}-3"]


# ------------------------------------------------------------------ what is not ours


def a_text(file: Path) -> None:
    file.write_text("no journal, " * 1000, encoding="utf-8")


def our_own_source(file: Path) -> None:
    file.write_bytes(Path(history.__file__).with_name("schema.py").read_bytes())


def a_picture(file: Path) -> None:
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100) + junk(5000))


def an_address_book(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE contacts (name TEXT)")


@pytest.mark.parametrize("write", [a_text, our_own_source, a_picture, an_address_book])
def test_a_file_of_somebody_else_is_refused_and_never_renamed(
    file: Path, write: Callable[[Path], None]
) -> None:
    write(file)
    before = file.read_bytes()
    for _ in range(2):  # what the first refusal leaves behind makes it no more ours
        with pytest.raises(InputError, match=r"is not a journal|another program's file"):
            opened(file)
    assert file.read_bytes() == before
    assert set_aside_in(file.parent) == []


def test_a_text_in_place_of_a_journal_is_no_journal_either(file: Path) -> None:
    fill(file)
    opened(file).close()
    a_text(file)
    with pytest.raises(InputError, match="is not a journal"):
        opened(file)


def test_a_damaged_journal_is_refused_by_commands(file: Path) -> None:
    fill(file)
    zero_the_header(file)
    for opening in (open_database, open_for_reading):
        with pytest.raises(DamagedJournal, match="file is not a database"):
            opening(file)
    assert set_aside_in(file.parent) == []


# ------------------------------------------------------------------ damaged under way


def delete(file: Path) -> None:
    file.unlink()


def delete_with_wal(file: Path) -> None:
    for one in (file, *file.parent.glob("*-wal"), *file.parent.glob("*-shm")):
        one.unlink()


def delete_the_wal(file: Path) -> None:
    file.with_name(f"{file.name}-wal").unlink()


def put_an_older_one_there(file: Path) -> None:
    older = file.with_name("older.sqlite")
    fill(older, 50)
    older.replace(file)


def put_nothing_there(file: Path) -> None:
    empty = file.with_name("empty")
    empty.touch()
    empty.replace(file)


def truncate(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.truncate(4096 * 3)


def truncate_to_nothing(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.truncate(0)


UNDER_WAY: list[Callable[[Path], None]] = [
    delete,
    delete_with_wal,
    delete_the_wal,
    put_an_older_one_there,
    put_nothing_there,
    truncate,
    truncate_to_nothing,
    zero_the_first_page,
    junk_everywhere,
]


@pytest.mark.parametrize("is_idle", [False, True])
@pytest.mark.parametrize("damage", UNDER_WAY)
async def test_what_happens_to_a_journal_under_way_is_noticed_and_nothing_is_lost(
    file: Path, autojump_clock: MockClock, damage: Callable[[Path], None], is_idle: bool
) -> None:
    key = fill(file)
    told: list[int] = []
    async with open_journal(settings_of(file), now=noon, run=inline) as journal:
        journal.subscribe(lambda steps: told.extend(step.number for step in steps))
        journal.take(news(STEPS + 1))
        await journal.settled(STEPS + 1)
        damage(file)
        if is_idle:
            await trio.sleep(6)
            assert len(journal.set_aside) == 1
        for number in range(STEPS + 2, STEPS + 12):
            journal.take(news(number))
            await journal.settled(number)
            await trio.sleep(1)
        assert len(journal.set_aside) == 1, journal.set_aside
        assert (journal.fault, journal.lost, journal.waiting) == (None, 0, 0)
        assert told == list(range(STEPS + 1, STEPS + 12))
        assert numbers_in(file)[-10:] == list(range(STEPS + 2, STEPS + 12))
        assert await journal.read(partial(registry.check_key, text=key)) is not None
        assert await journal.read(registry.stored_metaflows) == {"acme": CODES}
    async with open_journal(settings_of(file), now=noon) as journal:
        assert (journal.set_aside, journal.published) == ((), STEPS + 11)


async def test_damage_that_nobody_has_met_is_found_in_a_while(
    file: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(at_work, "EXAMINE_EVERY_S", 60.0)
    key = fill(file, 3_000)
    async with open_journal(settings_of(file), now=noon, run=inline) as journal:
        await trio.sleep(130)
        assert journal.set_aside == ()
        damage_history(file)
        await trio.sleep(70)
        assert len(journal.set_aside) == 1
        assert await journal.read(partial(registry.check_key, text=key)) is not None


@pytest.fixture
def their_file(file: Path) -> Iterator[Path]:
    yield file
    assert file.read_text("utf-8").startswith("no journal")


async def test_a_file_of_somebody_else_in_its_place_stays_and_steps_wait_in_memory(
    their_file: Path, autojump_clock: MockClock
) -> None:
    file = their_file
    key = fill(file)
    async with open_journal(settings_of(file), now=noon, run=inline) as journal:
        file.unlink()
        a_text(file)
        journal.take(news(STEPS + 1))
        await journal.settled(STEPS + 1)
        assert "is not a journal" in str(journal.fault)
        assert await journal.read(partial(registry.check_key, text=key)) is not None
        text = file.read_bytes()
        file.unlink()
        await trio.sleep(6)
        assert journal.fault is None
        assert numbers_in(file) == [STEPS + 1]
        await trio.sleep(1)
    file.write_bytes(text)


async def test_a_reader_of_a_replaced_journal_does_not_tidy_up_in_the_new_one(
    file: Path, autojump_clock: MockClock
) -> None:
    fill(file)
    async with open_journal(settings_of(file), now=noon, run=inline) as journal:
        reader = open_for_reading(file)
        zero_the_first_page(file)
        journal.take(news(STEPS + 1))
        await journal.settled(STEPS + 1)
        wal = file.with_name(f"{file.name}-wal")
        before = wal.stat().st_ino
        reader.close()
        assert wal.stat().st_ino == before
        assert numbers_in(file) == [STEPS + 1]


# ------------------------------------------------------------------ no file can be opened


class Unwritable:
    """A folder in which nothing can be written, for a while."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_so = True
        for name in ("open_database", "Claim"):
            real = getattr(__import__("hookflash.journal.file", fromlist=[name]), name)
            monkeypatch.setattr(f"hookflash.journal.file.{name}", partial(self._maybe, real))

    def _maybe(self, real: Callable[..., object], path: Path, **how: object) -> object:
        if self.is_so:
            raise JournalError(f"{path}: Read-only file system")
        return real(path, **how)


@pytest.mark.parametrize("before", ["a journal", "a damaged journal", "none"])
async def test_a_service_starts_where_nothing_can_be_written_and_tries_again(
    file: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    key = fill(file) if before != "none" else ""
    if before == "a damaged journal":
        zero_the_header(file)
    disk = Unwritable(monkeypatch)
    async with open_journal(settings_of(file), now=noon, run=inline) as journal:
        assert "Read-only file system" in str(journal.fault)
        if key:
            assert await journal.read(partial(registry.check_key, text=key)) is not None
        with pytest.raises(JournalError):
            await journal.change(lambda c: registry.store_secret(c, b"x" * 32))
        first = journal.published + 1
        assert first > STEPS or before == "none"
        journal.take(news(first))
        await journal.settled(first)
        assert [step.number for step in journal.unwritten()] == [first]
        disk.is_so = False
        await trio.sleep(6)
        assert (journal.fault, journal.waiting) == (None, 0)
        if key:
            assert await journal.read(partial(registry.check_key, text=key)) is not None
        assert len(journal.set_aside) == (before == "a damaged journal")
    assert numbers_in(file)[-1] == first


async def test_without_a_step_it_is_tried_again_too(
    file: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Unwritable(monkeypatch)
    async with open_journal(settings_of(file), now=noon, run=inline) as journal:
        assert journal.fault is not None
        disk.is_so = False
        await trio.sleep(6)
        assert journal.fault is None


async def test_a_journal_that_turns_up_later_with_our_numbers_is_set_aside(
    file: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if its disk had been mounted too late."""
    disk = Unwritable(monkeypatch)
    async with open_journal(settings_of(file), now=noon, run=inline) as journal:
        journal.take(news(1))
        await journal.settled(1)
        elsewhere = file.with_name("elsewhere.sqlite")
        key = fill(elsewhere)
        elsewhere.rename(file)
        disk.is_so = False
        await trio.sleep(6)
        (one,) = journal.set_aside
        assert "numbers" in one.why
        assert await journal.read(partial(registry.check_key, text=key)) is not None
    assert numbers_in(file) == [1]
    assert one.file is not None
    assert numbers_in(one.file)[-1] == STEPS


@pytest.mark.parametrize("in_its_place", ["nothing", "a file"])
async def test_a_folder_that_is_not_there_yet_keeps_nobody_waiting_and_its_journal_is_continued(
    file: Path, autojump_clock: MockClock, in_its_place: str
) -> None:
    key = fill(file)
    folder, elsewhere = file.parent, file.parent.with_name("not mounted")
    folder.rename(elsewhere)
    if in_its_place == "a file":
        folder.touch()
    async with open_journal(settings_of(file), now=noon, run=inline) as journal:
        assert journal.fault is not None
        first = journal.published + 1
        journal.take(news(first))
        await journal.settled(first)
        if in_its_place == "a file":
            folder.unlink()
        elsewhere.rename(folder)
        await trio.sleep(6)
        assert (journal.fault, journal.set_aside) == (None, ())
        assert await journal.read(partial(registry.check_key, text=key)) is not None
    assert numbers_in(file) == [*range(1, STEPS + 1), first]


async def test_a_disk_that_fails_under_way_is_not_damage(
    file: Path, autojump_clock: MockClock
) -> None:
    disk = Disk()
    async with open_journal(settings_of(file), now=noon, run=disk.run) as journal:
        disk.fail()
        journal.take(news(1))
        await trio.sleep(30)
        disk.fault = None
        await trio.sleep(6)
        assert journal.set_aside == ()
    assert numbers_in(file) == [1]


def test_a_vacuum_of_somebody_is_no_damage(file: Path) -> None:
    fill(file, 3_000)
    journal = opened(file)
    journal.change(lambda c: c.execute("DELETE FROM steps WHERE number < 2900"))
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        before = file.stat().st_size
        other.execute("VACUUM")
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert file.stat().st_size < before
    journal.change(history.last_number)
    assert journal.set_aside == ()
    journal.close()


# ------------------------------------------------------------------ reading behind damage


def test_all_rows_before_and_behind_a_bad_page_are_found(file: Path) -> None:
    fill(file, 3_000)
    damage_history(file)
    holes = Holes()
    with open_damaged(file) as connection:
        assert connection is not None
        found = [row["number"] for row in readable_rows(connection, "steps", holes)]
        assert salvage(connection).last == 3_000
    missing = set(range(1, 3_001)) - set(found)
    assert holes.count >= 1
    assert 0 < len(missing) < 30
    assert found == sorted(found)
    assert (found[0], found[-1]) == (1, 3_000)


def test_a_journal_is_claimed_once_it_is_new(file: Path) -> None:
    fill(file)
    zero_the_header(file)
    journal = opened(file)
    with pytest.raises(InputError, match="another hookflash process"):
        Journal(settings_of(file), now=noon)
    journal.close()


# ------------------------------------------------------------------ rows that make no sense

DEEP = "[" * 5_000 + "]" * 5_000
STEP = (
    "INSERT INTO steps (number, at, switch, accounts, kind, transfer, body)"
    " VALUES (900, {at}, 's', '[\"acme\"]', 'transfer.changed', 't1', '{body}')"
)
TRANSFER = (
    "INSERT INTO transfers (id, account, switch, kind, asked_by, target, transferor_call,"
    " transferor_number, transferee_call, transferee_number, target_call, request, policy, begun,"
    " first_step, state, ended, last_step, outcome, cause) VALUES"
    " ('t1', 'acme', 'sim', '{kind}', 'key', '2600', 'a', '1', 'b', '2', 'c',"
    " '{request}', '{{}}', {begun}, 1, 'idle', NULL, 1, {outcome}, NULL)"
)
CODES_OF_T = "INSERT INTO metaflows VALUES ('t', '{}', 1.0)"
GOOD = {"kind": "attended", "request": "{}", "begun": "1.0", "outcome": "'failed'"}

BAD_ROWS = {
    "step, deep": STEP.format(at=1.0, body=f'{{"event":{DEEP}}}'),
    "step, far in the future": STEP.format(at=1e300, body='{"event":{}}'),
    "step, endless": STEP.format(at="9e999", body='{"event":{}}'),
    "step, parties without legs": STEP.format(at=1.0, body='{"event":{},"parties":{"x":{}}}'),
    "step, no object": STEP.format(at=1.0, body="null"),
    "transfer, far in the future": TRANSFER.format(**GOOD | {"begun": "1e300"}),
    "transfer in flight, no kind": TRANSFER.format(**GOOD | {"kind": "zzz", "outcome": "NULL"}),
    "transfer in flight, never begun": TRANSFER.format(**GOOD | {"begun": -1e9, "outcome": "NULL"}),
    "feature codes, deep": CODES_OF_T.format(f'{{"numbers":{DEEP}}}'),
    "feature codes, huge": CODES_OF_T.format('{"x":1e' + "9" * 5_000 + "}"),
    "key, made at no time": "INSERT INTO keys VALUES ('zz', NULL, 'l', 'hash', 9e999, NULL, 0)",
}


@pytest.mark.parametrize("bad", BAD_ROWS)
def test_a_row_that_cant_be_read_is_left_out_by_every_reader(file: Path, bad: str) -> None:
    key = fill(file)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(BAD_ROWS[bad])
        connection.commit()
    journal = opened(file)
    assert journal.set_aside == ()
    steps, seen = journal.read(lambda c: history.read_after(c, 0, history.Wanted(account="acme")))
    assert (seen, {step.number for step in steps} & {900}) == (journal.last, set())
    assert views.event_view(steps[-1], "acme").number == steps[-1].number
    assert journal.read(partial(history.readable_steps_of, transfer="t1")) == []
    (past,) = (past for past in journal.read(transfers.find_transfers) if past.id != "t1")
    assert views.past_transfer(past).begun
    assert len(journal.read(partial(transfers.find_transfers, most=1))) == 1
    found = journal.read(partial(transfers.find_transfer, transfer="t1"))
    assert found is None or views.past_transfer(found).begun
    assert journal.read(registry.stored_metaflows) == {"acme": CODES}
    assert journal.read(partial(registry.check_key, text=key)) is not None
    assert len(journal.read(registry.list_keys)) == 1
    (row,) = journal.unreadable
    assert bad.split(",", maxsplit=1)[0].split(maxsplit=1)[0] in row
    journal.close()


def test_a_request_that_cant_be_read_loses_its_options_only(file: Path) -> None:
    with closing(open_database(file)) as connection:
        request = f'{{"x":{DEEP}}}'
        connection.execute(TRANSFER.format(**GOOD | {"request": request, "outcome": "NULL"}))
    journal = opened(file)
    assert journal.read(transfers.unfinished)["sim"]["t1"].request.target == "2600"
    journal.close()


@pytest.mark.parametrize(
    "nonsense",
    [
        "UPDATE numbering SET whole_from = 9223372036854775807",
        "DELETE FROM numbering",
        STEP.format(at=1.0, body="{}").replace("900", "9223372036854775807"),
        "DROP TABLE answers",
        "ALTER TABLE transfers RENAME TO other; CREATE VIEW transfers AS SELECT * FROM other",
        "DROP TRIGGER step_added",
    ],
)
def test_tables_that_make_no_sense_are_damage(file: Path, nonsense: str) -> None:
    key = fill(file)
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(nonsense)
    with closing(opened(file)) as journal:
        assert len(journal.set_aside) == 1
        assert journal.fault is None
        assert journal.last >= STEPS
        journal.change(partial(history.write, steps=[step_of(news(journal.last + 1))]))
        assert journal.read(partial(registry.check_key, text=key)) is not None
    with closing(opened(file)) as journal:
        assert journal.set_aside == ()


def test_a_view_without_end_stops_nobody(file: Path) -> None:
    fill(file)
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(
            "ALTER TABLE answers RENAME TO other; CREATE VIEW answers AS WITH RECURSIVE endless (x)"
            " AS (SELECT 1 UNION ALL SELECT x + 1 FROM endless) SELECT x AS key, 1 AS rowid"
            " FROM endless WHERE x < 0"
        )
    assert any("answers" in problem for problem in check_journal(file).problems)
    repaired = repair_journal(file, file.with_name("repaired.sqlite"))
    assert (repaired.keys, repaired.steps) == (1, STEPS)
    with closing(opened(file)) as journal:
        assert len(journal.set_aside) == 1


def test_salvage_keeps_little_of_many_transfers_in_memory(file: Path) -> None:
    with closing(open_database(file)) as connection:
        row = TRANSFER.format(**GOOD).replace("'t1'", "?")
        connection.execute("BEGIN")
        connection.executemany(row, ((f"{n:032x}",) for n in range(20_000)))
        connection.execute("COMMIT")
        tracemalloc.start()
        found = salvage(connection)
        _, most_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert len(found.rows["transfers"]) == 1_000
    assert found.rows["transfers"][-1]["id"] == f"{19_999:032x}"
    assert most_bytes < 8e6


# ------------------------------------------------------------------ what is no file


def pipe(place: Path) -> None:
    os.mkfifo(place)


def folder(place: Path) -> None:
    place.mkdir()


def socket_file(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(place))


def endless_device(place: Path) -> None:
    place.symlink_to("/dev/zero")


def circle(place: Path) -> None:
    place.symlink_to(place.name)


@pytest.mark.parametrize("make", [pipe, folder, socket_file, endless_device, circle])
@pytest.mark.parametrize("suffix", ["", "-wal", ".lock"])
def test_what_is_no_file_is_not_opened_and_the_service_starts(
    file: Path, make: Callable[[Path], None], suffix: str
) -> None:
    if suffix:
        fill(file)
    place = file.with_name(file.name + suffix)
    place.unlink(missing_ok=True)
    make(place)
    with closing(opened(file)) as journal:
        assert journal.fault is not None
        assert str(file.name) in journal.fault or "/dev/zero" in journal.fault
        journal.examine()
        with pytest.raises(JournalError):
            journal.change(history.last_number)
    with pytest.raises((JournalError, InputError)):
        open_for_reading(file).close()
    place.rmdir() if make is folder else place.unlink()
    with closing(opened(file)) as journal:
        assert journal.fault is None
