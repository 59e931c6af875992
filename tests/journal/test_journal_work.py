"""The journal at work: beside the engine, never in its way, and when the disk is at its worst."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
import trio
from disks import Disk
from histories import NOON, Found, dated_records, inline, news, noon, numbers_in, played
from trio.testing import MockClock

from hookflash.errors import InputError
from hookflash.journal import history
from hookflash.journal import journal as at_work
from hookflash.journal.database import JournalError
from hookflash.journal.history import Wanted
from hookflash.journal.journal import Journal, JournalSettings, open_journal
from hookflash.journal.pruning_clock import stored_belief
from hookflash.journal.step import StoredStep, step_of


class Reader:
    """Somebody who follows the history."""

    def __init__(self, journal: Journal) -> None:
        self.told: list[int] = []
        self.safe: list[int] = []
        """Up to which number the journal was safe when each step was told."""
        self._journal = journal
        journal.subscribe(self.hear)

    def hear(self, steps: tuple[StoredStep, ...]) -> None:
        self.told += [step.number for step in steps]
        self.safe += [self._journal.written] * len(steps)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def settings_of(file: Path) -> JournalSettings:
    return JournalSettings(file=file)


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(60):
        while not condition():
            await trio.sleep(0.01)


# --------------------------------------------------------------- when all is well


async def test_what_is_settled_is_in_the_file(file: Path) -> None:
    async with open_journal(settings_of(file), now=noon) as journal:
        for number in range(1, 101):
            journal.take(news(number))
        await journal.settled(100)
        assert numbers_in(file) == list(range(1, 101))
        assert (journal.written, journal.waiting, journal.fault) == (100, 0, None)


async def test_settled_waits_for_the_commit(file: Path, autojump_clock: MockClock) -> None:
    disk = Disk()
    async with open_journal(settings_of(file), now=noon, run=disk.run) as journal:
        disk.hangs = trio.Event()
        journal.take(news(1))
        with trio.move_on_after(1) as patience:
            await journal.settled(1)
        assert patience.cancelled_caught
        assert numbers_in(file) == []
        disk.hangs.set()
        await journal.settled(1)
        assert numbers_in(file) == [1]


async def test_taking_never_waits(file: Path, autojump_clock: MockClock) -> None:
    disk = Disk()
    async with open_journal(settings_of(file), now=noon, run=disk.run) as journal:
        disk.hangs = trio.Event()
        before_s = trio.current_time()
        for number in range(1, 1001):
            journal.take(news(number))  # no await: it can't wait
        assert trio.current_time() == before_s
        assert journal.waiting == 1000
        disk.hangs.set()
        await journal.settled(1000)


async def test_followers_are_told_after_the_write_in_order_and_once(file: Path) -> None:
    records = dated_records(played("complete")[0].records)
    async with open_journal(settings_of(file), now=noon) as journal:
        one, other = Reader(journal), Reader(journal)
        for record in records:
            journal.take(record)
            await trio.lowlevel.checkpoint()
        await journal.settled(records[-1].number)
    numbers = [record.number for record in records]
    assert one.told == other.told == numbers
    assert all(safe >= number for number, safe in zip(one.told, one.safe, strict=True))


async def test_what_comes_together_is_written_together(
    file: Path, autojump_clock: MockClock
) -> None:
    disk = Disk()
    async with open_journal(settings_of(file), now=noon, run=disk.run) as journal:
        await trio.sleep(1)  # the believed time is stored
        before = disk.works
        for number in range(1, 501):
            journal.take(news(number))
        await journal.settled(500)
        assert disk.works == before + 1


@pytest.mark.slow
async def test_a_stop_writes_what_still_waits(file: Path) -> None:
    async with open_journal(settings_of(file), now=noon) as journal:
        for number in range(1, 5001):
            journal.take(news(number))
    assert numbers_in(file) == list(range(1, 5001))


async def test_a_stop_while_the_disk_works_loses_nothing_and_tells_it(
    file: Path, autojump_clock: MockClock
) -> None:
    disk = Disk()
    async with (
        trio.open_nursery() as nursery,
        open_journal(settings_of(file), now=noon, run=disk.run) as journal,
    ):
        reader = Reader(journal)
        disk.hangs = trio.Event()
        journal.take(news(1))
        await trio.testing.wait_all_tasks_blocked()
        journal.take(news(2))
        nursery.start_soon(_set_after, disk.hangs, 1.0)
    assert numbers_in(file) == [1, 2]
    assert reader.told == [1, 2]


async def _set_after(event: trio.Event, delay_s: float) -> None:
    await trio.sleep(delay_s)
    event.set()


async def test_numbers_go_on_where_they_were(file: Path) -> None:
    async with open_journal(settings_of(file), now=noon) as journal:
        assert journal.written == 0
        journal.take(news(41))
    async with open_journal(settings_of(file), now=noon) as journal:
        assert (journal.written, journal.published) == (41, 41)


async def test_a_journal_that_is_open_is_refused_to_another(file: Path) -> None:
    async with open_journal(settings_of(file), now=noon) as journal:
        with pytest.raises(InputError, match="another hookflash process uses this journal"):
            Journal(settings_of(file), now=noon)
        journal.take(news(1))
    async with open_journal(settings_of(file), now=noon):
        pass


async def test_a_journal_that_could_not_be_opened_is_not_held(file: Path) -> None:
    await trio.Path(file).write_text("no journal, " * 100, encoding="utf-8")
    with pytest.raises(InputError, match="is not a journal"):
        Journal(settings_of(file), now=noon)
    await trio.Path(file).unlink()
    async with open_journal(settings_of(file), now=noon):
        pass


class WallClock:
    """A clock on the wall, which somebody may set."""

    def __init__(self, ahead_s: float = 0.0) -> None:
        self.ahead_s = ahead_s

    def __call__(self) -> float:
        return NOON + trio.current_time() + self.ahead_s


@pytest.fixture
def at_leisure(monkeypatch: pytest.MonkeyPatch) -> None:
    """In days of virtual time, nobody looks at the file every few seconds."""
    monkeypatch.setattr(at_work, "LOOK_AFTER_EVERY_S", 3600.0)


async def take_every_hour(journal: Journal, hours: int, first: int, clock: WallClock) -> None:
    """Let a step happen every hour, as the clock on the wall says."""
    for number in range(first, first + hours):
        journal.take(attrs.evolve(news(number), at=clock()))
        await trio.sleep(3600)


@pytest.mark.usefixtures("at_leisure")
async def test_what_is_old_is_forgotten_from_time_to_time(
    file: Path, autojump_clock: MockClock
) -> None:
    settings, clock = JournalSettings(file=file, keep_days=1), WallClock()
    async with open_journal(settings, now=clock, run=inline) as journal:
        await take_every_hour(journal, 20, 1, clock)
        assert numbers_in(file) == list(range(1, 21))
        await take_every_hour(journal, 20, 21, clock)
        kept = numbers_in(file)
        assert kept == list(range(kept[0], 41))
        assert 24 <= len(kept) <= 26


YEAR_S = 365 * 86_400.0


@pytest.mark.usefixtures("at_leisure")
async def test_a_clock_that_is_wrong_for_some_hours_erases_nothing(
    file: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    settings, clock = JournalSettings(file=file, keep_days=1), WallClock()
    async with open_journal(settings, now=clock, run=inline) as journal:
        await take_every_hour(journal, 20, 1, clock)
        clock.ahead_s = YEAR_S
        await take_every_hour(journal, 3, 21, clock)
        clock.ahead_s = 0.0
        await take_every_hour(journal, 1, 24, clock)
        assert numbers_in(file) == list(range(1, 25))
        assert caplog.text.count("journal.clock_not_believed") == 1
    async with open_journal(settings, now=clock, run=inline):
        await trio.sleep(2 * 3600)
        assert numbers_in(file)[-23:] == list(range(2, 25))


@pytest.mark.usefixtures("at_leisure")
async def test_a_service_that_starts_with_a_wrong_clock_erases_nothing(
    file: Path, autojump_clock: MockClock
) -> None:
    settings, clock = JournalSettings(file=file, keep_days=1), WallClock()
    async with open_journal(settings, now=clock, run=inline) as journal:
        await take_every_hour(journal, 5, 1, clock)
    clock.ahead_s = YEAR_S
    async with open_journal(settings, now=clock, run=inline) as journal:
        await take_every_hour(journal, 10, 6, clock)
        assert numbers_in(file) == list(range(1, 16))


@pytest.mark.usefixtures("at_leisure")
async def test_steps_of_a_wrong_clock_are_no_proof_of_it(
    file: Path, autojump_clock: MockClock
) -> None:
    settings, clock = JournalSettings(file=file, keep_days=1), WallClock()
    async with open_journal(settings, now=clock, run=inline) as journal:
        await take_every_hour(journal, 5, 1, clock)
    clock.ahead_s = YEAR_S
    for start in range(10):  # each writes a step
        async with open_journal(settings, now=clock, run=inline) as journal:
            await take_every_hour(journal, 1, 6 + start, clock)
            assert numbers_in(file) == list(range(1, 7 + start))


@pytest.mark.usefixtures("at_leisure")
async def test_a_service_that_dies_again_and_again_does_not_talk_itself_into_a_wrong_clock(
    file: Path, autojump_clock: MockClock
) -> None:
    settings, clock = JournalSettings(file=file, keep_days=1), WallClock()
    async with open_journal(settings, now=clock, run=inline) as journal:
        await take_every_hour(journal, 2, 1, clock)
    clock.ahead_s = 2 * 86_400.0
    for _ in range(100):
        async with open_journal(settings, now=clock, run=inline):
            await trio.sleep(1)
    assert numbers_in(file) == [1, 2]


@pytest.mark.usefixtures("at_leisure")
async def test_the_day_in_which_a_clock_is_doubted_goes_on_after_a_restart(
    file: Path, autojump_clock: MockClock
) -> None:
    settings, clock = JournalSettings(file=file, keep_days=1), WallClock()
    async with open_journal(settings, now=clock, run=inline) as journal:
        await take_every_hour(journal, 5, 1, clock)
    clock.ahead_s = 40 * 86_400.0  # the machine was off so long, and is started each morning
    first = 6
    for _ in range(3):
        async with open_journal(settings, now=clock, run=inline) as journal:
            await take_every_hour(journal, 10, first, clock)
            first += 10
    assert numbers_in(file)[0] > 5


@pytest.mark.usefixtures("at_leisure")
async def test_a_clock_that_wanders_is_not_believed(file: Path, autojump_clock: MockClock) -> None:
    settings, clock = JournalSettings(file=file, keep_days=1), WallClock()
    async with open_journal(settings, now=clock, run=inline) as journal:
        await take_every_hour(journal, 5, 1, clock)
        for days in range(1, 10):
            clock.ahead_s = days * YEAR_S
            await take_every_hour(journal, 5, 1 + 5 * days, clock)
        clock.ahead_s = 0.0
        await take_every_hour(journal, 1, 51, clock)
        kept = numbers_in(file)
        assert len(kept) >= 24


@pytest.mark.usefixtures("at_leisure")
async def test_a_machine_whose_clock_begins_in_1970_at_each_start_forgets_what_is_old(
    file: Path, autojump_clock: MockClock
) -> None:
    settings, clock = JournalSettings(file=file, keep_days=1), WallClock()
    async with open_journal(settings, now=clock, run=inline) as journal:
        await take_every_hour(journal, 5, 1, clock)
    for day in range(3):
        clock.ahead_s = -NOON
        async with open_journal(settings, now=clock, run=inline) as journal:
            await trio.sleep(10)
            clock.ahead_s = 0.0  # the network is there, and tells the time
            await take_every_hour(journal, 22, 6 + 22 * day, clock)
    assert numbers_in(file)[0] > 5


@pytest.mark.usefixtures("at_leisure")
async def test_the_believed_time_is_kept_though_nothing_is_deleted(
    file: Path, autojump_clock: MockClock
) -> None:
    clock = WallClock()
    async with open_journal(settings_of(file), now=clock, run=inline) as journal:
        await take_every_hour(journal, 2, 1, clock)
    clock.ahead_s = YEAR_S
    async with open_journal(settings_of(file), now=clock, run=inline) as journal:
        await take_every_hour(journal, 2, 3, clock)
        belief = await journal.read(stored_belief)
        assert belief is not None
        assert belief.time < NOON + 5 * 3600


@pytest.mark.usefixtures("at_leisure")
async def test_a_clock_that_stays_ahead_for_a_day_is_believed(
    file: Path, autojump_clock: MockClock
) -> None:
    settings, clock = JournalSettings(file=file, keep_days=1), WallClock()
    async with open_journal(settings, now=clock, run=inline) as journal:
        await take_every_hour(journal, 5, 1, clock)
    clock.ahead_s = YEAR_S  # the machine was off for a year
    async with open_journal(settings, now=clock, run=inline) as journal:
        await take_every_hour(journal, 30, 6, clock)
        assert numbers_in(file)[0] > 5


@pytest.mark.usefixtures("at_leisure")
async def test_a_clock_that_was_behind_erases_nothing_later(
    file: Path, autojump_clock: MockClock
) -> None:
    settings, clock = JournalSettings(file=file, keep_days=1), WallClock()
    async with open_journal(settings, now=clock, run=inline) as journal:
        await take_every_hour(journal, 2, 1, clock)
        clock.ahead_s = -40 * YEAR_S
        await take_every_hour(journal, 2, 3, clock)
        clock.ahead_s = 0.0
        await take_every_hour(journal, 5, 5, clock)
        assert numbers_in(file) == list(range(1, 10))


@pytest.mark.usefixtures("at_leisure")
async def test_what_can_not_be_forgotten_now_is_forgotten_later(
    file: Path, autojump_clock: MockClock
) -> None:
    disk = Disk()

    settings, clock = JournalSettings(file=file, keep_days=1), WallClock()
    async with open_journal(settings, now=clock, run=disk.run) as journal:
        journal.take(news(1))
        journal.take(news(2))
        await journal.settled(2)
        disk.fail()
        await trio.sleep(30 * 3600)
        assert numbers_in(file) == [1, 2]
        disk.fault = None
        await trio.sleep(2 * 3600)
        assert numbers_in(file) == [2]


# -------------------------------------------------------------- when the disk fails


async def test_when_the_disk_fails_nobody_waits_and_it_is_said(
    file: Path, autojump_clock: MockClock
) -> None:
    disk = Disk()
    async with open_journal(settings_of(file), now=noon, run=disk.run) as journal:
        reader = Reader(journal)
        journal.take(news(1))
        await journal.settled(1)
        disk.fail("database or disk is full")
        for number in range(2, 6):
            journal.take(news(number))
            with trio.fail_after(0.5):
                await journal.settled(number)
        assert journal.fault == "the journal can't be written: database or disk is full"
        assert reader.told == [1, 2, 3, 4, 5]
        assert (journal.written, journal.published, journal.waiting) == (1, 5, 4)
        assert [step.number for step in journal.unwritten()] == [2, 3, 4, 5]
        assert numbers_in(file) == [1]
        disk.fault = None


async def test_a_disk_that_comes_back_gets_what_waited_in_order_and_once(
    file: Path, autojump_clock: MockClock
) -> None:
    disk = Disk()
    async with open_journal(settings_of(file), now=noon, run=disk.run) as journal:
        reader = Reader(journal)
        disk.fail()
        for number in range(1, 11):
            journal.take(news(number))
            await trio.sleep(0.7)
        disk.fault = None
        await until(lambda: journal.fault is None)
        journal.take(news(11))
        await journal.settled(11)
        assert numbers_in(file) == list(range(1, 12))
        assert reader.told == list(range(1, 12))
        assert (journal.lost, journal.unwritten(), journal.waiting) == (0, (), 0)


@pytest.mark.slow
async def test_a_disk_that_flickers_loses_nothing(file: Path, autojump_clock: MockClock) -> None:
    disk = Disk()
    async with open_journal(settings_of(file), now=noon, run=disk.run) as journal:
        reader = Reader(journal)
        for number in range(1, 201):
            if number % 7 == 0:
                disk.fail()
            elif number % 7 == 3:
                disk.fault = None
            journal.take(news(number))
            await trio.sleep(0.3)
        disk.fault = None
    assert numbers_in(file) == list(range(1, 201))
    assert reader.told == list(range(1, 201))


async def test_a_write_that_was_done_though_it_is_said_to_have_failed_is_not_done_twice(
    file: Path, autojump_clock: MockClock
) -> None:
    class Liar(Disk):
        lies = False

        async def run(self, work: Callable[[], Found], /) -> Found:
            done = await super().run(work)
            if self.lies:
                self.lies = False
                raise sqlite3.OperationalError("disk I/O error")
            return done

    disk = Liar()
    async with open_journal(settings_of(file), now=noon, run=disk.run) as journal:
        await trio.sleep(1)  # the believed time is stored
        disk.lies = True
        journal.take(news(1))
        await until(lambda: journal.fault is not None)
        journal.take(news(2))
        await until(lambda: journal.fault is None)
    assert numbers_in(file) == [1, 2]


async def test_a_disk_that_hangs_makes_nobody_wait_for_long(
    file: Path, autojump_clock: MockClock
) -> None:
    disk = Disk()
    async with open_journal(settings_of(file), now=noon, run=disk.run) as journal:
        reader = Reader(journal)
        disk.hangs = trio.Event()
        journal.take(news(1))
        with trio.fail_after(at_work.STALLED_S + 0.1):
            await journal.settled(1)
        assert journal.fault == "the disk has not answered for 5 s"
        journal.take(news(2))
        with trio.fail_after(0.1):
            await journal.settled(2)
        assert [step.number for step in journal.unwritten()] == [1, 2]
        assert journal.waiting == 2
        disk.hangs.set()
        await until(lambda: journal.fault is None)
    assert numbers_in(file) == [1, 2]
    assert reader.told == [1, 2]


@pytest.mark.parametrize("hangs", [False, True])
async def test_memory_is_bounded_and_what_is_given_up_is_counted(
    file: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    monkeypatch.setattr(at_work, "MOST_WAITING", 50)
    monkeypatch.setattr(at_work, "MOST_AT_ONCE", 10)
    disk = Disk()
    async with open_journal(settings_of(file), now=noon, run=disk.run) as journal:
        reader = Reader(journal)
        disk.hangs = back = trio.Event()
        if not hangs:
            back.set()
            disk.fail()
        for number in range(1, 201):
            journal.take(news(number))
            assert journal.waiting <= 60  # and ten that are being written
            await trio.sleep(0.1)
        assert journal.lost >= 140
        assert reader.told == list(range(1, 201))  # who listens hears of them nevertheless
        disk.fault = None
        back.set()
        await until(lambda: journal.fault is None)
        lost = journal.lost
    kept = numbers_in(file)
    assert kept[-50:] == list(range(151, 201))  # the newest stay
    assert len(kept) == 200 - lost


@pytest.mark.slow
async def test_a_full_disk_of_sqlites_own(file: Path) -> None:
    async with open_journal(settings_of(file), now=noon) as journal:
        reader = Reader(journal)
        journal.take(news(1))
        await journal.settled(1)
        pages = await journal.change(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
        await journal.change(lambda c: c.execute(f"PRAGMA max_page_count = {pages}"))
        for number in range(2, 502):
            journal.take(news(number))
        with trio.fail_after(30):
            await journal.settled(501)
        assert journal.fault == "the journal can't be written: database or disk is full"
        assert reader.told == list(range(1, 502))
        with pytest.raises(JournalError, match="full"):
            await journal.change(
                lambda c: history.write(c, [step_of(news(900 + n)) for n in range(200)])
            )
        found = await journal.read(lambda c: list(history.all_steps(c, Wanted(), most=1)))
        assert found != []  # who looks at what is there still can
        await journal.change(lambda c: c.execute("PRAGMA max_page_count = 1000000"))
        await until(lambda: journal.fault is None)
    assert numbers_in(file) == list(range(1, 502))


@pytest.mark.slow
async def test_a_file_that_may_not_be_written_any_more(file: Path) -> None:
    async with open_journal(settings_of(file), now=noon) as journal:
        await journal.change(lambda c: c.execute("PRAGMA query_only = ON"))
        journal.take(news(1))
        with trio.fail_after(30):
            await journal.settled(1)
        assert journal.fault == "the journal can't be written: attempt to write a readonly database"
        await journal.change(lambda c: c.execute("PRAGMA query_only = OFF"))
        await until(lambda: journal.fault is None)
    assert numbers_in(file) == [1]


@pytest.mark.slow
async def test_another_program_that_writes_for_long_is_waited_for(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hookflash.journal.database.BUSY_TIMEOUT_S", 0.01)
    async with open_journal(settings_of(file), now=noon) as journal:
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        journal.take(news(1))
        await journal.settled(1)
        assert journal.fault == "the journal can't be written: database is locked"
        other.execute("COMMIT")
        other.close()
        await until(lambda: journal.fault is None)
    assert numbers_in(file) == [1]


async def test_what_can_not_be_read_is_said(file: Path, autojump_clock: MockClock) -> None:
    disk = Disk()
    async with open_journal(settings_of(file), now=noon, run=disk.run) as journal:
        disk.fail("disk I/O error")
        with pytest.raises(JournalError, match="can't be read: disk I/O error"):
            await journal.read(history.last_number)
        disk.fault = None
        assert await journal.read(history.last_number) == 0


async def test_the_waiting_steps_of_a_transfer_are_found_without_the_others(
    file: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(at_work, "MOST_WAITING", 20)
    disk = Disk()
    async with open_journal(settings_of(file), now=noon, run=disk.run) as journal:
        disk.fail()
        for number in range(1, 31):
            journal.take(attrs.evolve(news(number), transfer=f"t{number % 3}"))
        await journal.settled(30)
        assert [step.number for step in journal.unwritten()] == list(range(11, 31))
        assert [step.number for step in journal.unwritten_of("t1")] == [13, 16, 19, 22, 25, 28]
        assert journal.unwritten_of("t9") == ()
        disk.fault = None
        await until(lambda: journal.fault is None)
        assert [journal.unwritten_of(f"t{n}") for n in range(3)] == [(), (), ()]
