"""Following the history from any number on: whatever is cut, and whenever, none is missed."""

# a test may look inside
# pyright: reportPrivateUsage=false

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from lab import inline
from talk import EVENTS, PATIENCE_S, Connection, Rig, open_line, open_rig
from trio.testing import MockClock, wait_all_tasks_blocked

from hookflash.journal import history
from hookflash.journal import journal as journal_module
from hookflash.journal.database import JournalError
from hookflash.journal.history import Wanted
from hookflash.server.config import Limits
from hookflash.server.publisher import MOST_PAGES, Gone, Subscription
from hookflash.server.turns import Turns

Found = TypeVar("Found")


def subscription(rig: Rig, *, buffer: int = 10, **wanted: Any) -> Subscription:
    return Subscription(
        name="s1",
        wanted=Wanted(**wanted),
        account=None,
        buffer=buffer,
        key="k",
        wake=lambda: None,
    )


async def at_once() -> None:
    await trio.lowlevel.checkpoint()


async def test_a_reader_of_what_is_new_is_told_nothing_old(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path) as rig:
        await rig.settled(rig.many(3))
        reader = subscription(rig)
        assert await rig.publisher.begin(reader, after=None) == 3
        await rig.publisher.follow(reader, drained=at_once)
        await rig.settled(rig.happen("acme"))
        assert reader.up_to == 4
        assert len(reader.pending) == 1
        rig.publisher.drop(reader)


async def test_a_number_ahead_of_the_history_is_refused(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path) as rig, open_line(rig.listener, await rig.key()) as line:
        await rig.settled(rig.many(3))
        reply = await line.ask("subscribe", after=4)
        assert reply["status"] == 409
        assert "another journal" in reply["error"]["message"]
        assert (await line.ask("subscribe", after=10**30))["status"] == 409


async def test_what_is_not_kept_any_more_is_410_and_says_from_where_on_there_is_some(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path) as rig, open_line(rig.listener, await rig.key()) as line:
        await rig.settled(rig.many(10))
        await rig.journal.change(lambda connection: history.prune(connection, before=6.0))
        reply = await line.ask("subscribe", after=4)
        assert reply["status"] == 410
        assert "subscribe after 5" in reply["error"]["message"]
        await line.follow(after=5)
        assert [event["number"] for event in await line.until(10)] == [6, 7, 8, 9, 10]


async def test_what_was_given_up_while_the_disk_failed_is_410_and_not_passed_over(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_change: object) -> None:
        raise JournalError("the disk is full")

    async with open_rig(tmp_path) as rig:
        await rig.settled(rig.many(3))
        works = rig.journal.change
        monkeypatch.setattr(rig.journal, "change", fail)
        monkeypatch.setattr(journal_module, "MOST_WAITING", 50)
        await rig.settled(rig.many(100))
        assert rig.journal.lost
        reader = subscription(rig)
        await rig.publisher.begin(reader, after=3)
        with pytest.raises(Gone):
            await rig.publisher.follow(reader, drained=at_once)
        first = rig.journal.unwritten()[0].number
        reader = subscription(rig, buffer=1000)
        await rig.publisher.begin(reader, after=first - 1)
        await rig.publisher.follow(reader, drained=at_once)
        assert len(reader.pending) == 103 - (first - 1)
        rig.publisher.drop(reader)
        monkeypatch.setattr(rig.journal, "change", works)


async def test_an_old_step_that_is_kept_does_not_hide_that_those_behind_it_are_not(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path) as rig, open_line(rig.listener, await rig.key()) as line:
        await rig.settled(rig.many(10))
        # as `prune` leaves it while a long transfer runs: its steps stay
        await rig.journal.change(
            lambda connection: connection.execute("DELETE FROM steps WHERE number IN (3, 4, 5)")
        )
        assert (await line.ask("subscribe", after=1))["status"] == 410
        assert (await line.ask("subscribe", after=5))["status"] == 200


async def test_a_reader_of_old_history_that_is_overtaken_by_its_end_is_cut_off_and_not_lied_to(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path) as rig:
        await rig.settled(rig.many(1_500))
        async with open_line(rig.listener, await rig.key(), lockstep=True) as line:
            await line.follow(after=0)
            await wait_all_tasks_blocked()
            await rig.journal.change(lambda connection: history.prune(connection, before=1_200.0))
            code, why = await line.closed()
            assert code == 4010
            assert "subscribe after" in why


async def test_steps_that_the_disk_does_not_take_are_told_all_the_same(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path) as rig:
        await rig.settled(rig.many(3))
        good, rig.journal._run = rig.journal._run, _failing
        rig.many(3)
        with trio.fail_after(PATIENCE_S):
            await rig.settled(6)
        assert rig.journal.written == 3
        rig.journal._run = good
        reader = subscription(rig)
        await rig.publisher.begin(reader, after=0)
        await rig.publisher.follow(reader, drained=at_once)
        assert (len(reader.pending), reader.up_to) == (6, 6)
        rig.publisher.drop(reader)


async def _failing(work: Callable[[], Found], /) -> Found:
    await trio.lowlevel.checkpoint()
    raise sqlite3.OperationalError("the disk is full")


async def test_what_is_written_while_the_file_is_looked_at_is_not_passed_over(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path) as rig:
        await rig.settled(rig.many(3))
        rig.journal._run = _failing
        rig.many(3)
        await rig.settled(6)
        looked = 0

        async def written_meanwhile(work: Callable[[], Found], /) -> Found:
            nonlocal looked
            found = await inline(work)
            looked += 1
            if looked == 1:  # the reader has looked, and has not been told yet what it saw
                await rig.journal._write_some()
                await rig.settled(6)
                await trio.sleep(2)  # a beat tells what is written
            return found

        rig.journal._run = inline
        rig.publisher._journal._run = written_meanwhile
        reader = subscription(rig)
        reader.up_to = reader.sent_up_to = 3
        await rig.publisher.follow(reader, drained=at_once)
        assert (len(reader.pending), reader.up_to) == (3, 6)
        rig.publisher.drop(reader)


async def test_what_was_read_before_it_was_told_is_not_told_again(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path) as rig:
        await rig.settled(rig.many(3))

        async def late(work: Callable[[], Found], /) -> Found:
            found = work()  # it is in the file now
            await trio.sleep(1)
            return found

        rig.journal._run = late
        rig.many(3)
        await wait_all_tasks_blocked()
        rig.journal._run = inline
        assert rig.journal.published == 3
        reader = subscription(rig)
        reader.up_to = reader.sent_up_to = 2
        await rig.publisher.follow(reader, drained=at_once)
        assert (len(reader.pending), reader.up_to) == (4, 6)
        await rig.settled(6)
        assert (len(reader.pending), reader.up_to) == (4, 6)
        rig.publisher.drop(reader)


async def test_a_reader_that_falls_behind_is_not_said_to_have_what_it_has_not(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path) as rig:
        reader = subscription(rig, buffer=5)
        await rig.publisher.begin(reader, after=None)
        await rig.publisher.follow(reader, drained=at_once)
        await rig.settled(rig.many(9))
        assert reader.fell_behind
        assert (len(reader.pending), reader.up_to) == (5, 5)
        rig.publisher.drop(reader)


async def test_the_pages_that_a_key_does_not_read_are_limited(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(tmp_path) as rig, trio.open_nursery() as nursery:
        await rig.settled(rig.many(3))
        readers = [subscription(rig) for _ in range(MOST_PAGES + 8)]
        other = attrs.evolve(subscription(rig), key="other")
        gate = trio.Event()
        for one in (*readers, other):
            await rig.publisher.begin(one, after=0)
            nursery.start_soon(partial(rig.publisher.follow, one, drained=gate.wait))
        await trio.sleep(1)
        assert sum(bool(one.pending) for one in readers) == MOST_PAGES
        assert other.pending
        gate.set()
        await trio.sleep(1)
        assert all(one.live and len(one.pending) == 3 for one in (*readers, other))
        assert not rig.publisher._catch_ups
        for one in (*readers, other):
            rig.publisher.drop(one)


async def test_gone_names_the_oldest(autojump_clock: MockClock) -> None:
    gone = Gone(7)
    assert (gone.http_status, gone.oldest) == (410, 7)


# --------------------------------------------------------------- any cut, any filter


@attrs.frozen
class Filter:
    account: str | None
    call: str | None
    transfer: str | None
    kinds: tuple[str, ...]

    @property
    def wanted(self) -> Wanted:
        return Wanted(
            account=self.account, call=self.call, transfer=self.transfer, kinds=self.kinds
        )

    @property
    def asked(self) -> dict[str, object]:
        asked = {"account_id": self.account, "call_id": self.call, "transfer_id": self.transfer}
        told: dict[str, object] = {name: value for name, value in asked.items() if value}
        return {**told, "kinds": list(self.kinds)}


FILTERS = st.builds(
    Filter,
    account=st.sampled_from([None, "acme", "globex"]),
    call=st.sampled_from([None, None, "a", "b"]),
    transfer=st.sampled_from([None, None, "t1"]),
    kinds=st.sampled_from([(), ("call.*",), ("call.digit", "switch.*"), ("switch.lost",)]),
)
HAPPENINGS = st.lists(
    st.tuples(
        st.sampled_from(EVENTS),
        st.lists(st.sampled_from(["acme", "globex"]), max_size=2, unique=True),
        st.sampled_from([None, "t1", "t2"]),
    ),
    max_size=12,
)
ROUNDS = st.lists(
    st.tuples(HAPPENINGS, HAPPENINGS, st.integers(0, 4), st.booleans()), min_size=1, max_size=6
)
"""What happens before a line is opened, and while it catches up; how many messages are read of it;
and whether it is a slow one."""


async def _cut_and_resume(folder: Path, wanted: Filter, rounds: list[Any]) -> None:
    async with open_rig(folder, Limits(websocket_buffer=8)) as rig:
        key, up_to, heard = await rig.key(None), 0, list[int]()

        def take(line: Connection) -> None:
            nonlocal up_to
            for message in line.events:
                assert message["after"] == up_to
                up_to = message["up_to"]
                heard.extend(event["number"] for event in message["events"])
            line.events.clear()

        for before, during, messages, lockstep in rounds:
            for event, accounts, transfer in before:
                rig.tell(event, accounts, transfer)
            await rig.settled(rig.count)
            async with open_line(rig.listener, key, lockstep=lockstep) as line:
                await line.follow(after=up_to, **wanted.asked)
                for event, accounts, transfer in during:
                    rig.tell(event, accounts, transfer)
                    await trio.lowlevel.checkpoint()
                for _ in range(messages):
                    with trio.move_on_after(1):
                        line.events.append(await line.hear())
                take(line)
        expected = await rig.history(wanted.wanted)
        assert heard == [number for number in expected if number <= up_to]
        async with open_line(rig.listener, key) as line:
            await line.follow(after=up_to, **wanted.asked)
            with trio.move_on_after(1):
                while True:
                    line.events.append(await line.hear())
            take(line)
        assert heard == expected


@pytest.mark.exhaustive
@given(wanted=FILTERS, rounds=ROUNDS)
@settings(max_examples=60)
def test_whoever_is_cut_and_resumes_hears_exactly_what_an_uncut_reader_hears(
    wanted: Filter, rounds: list[Any]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        trio.run(
            _cut_and_resume, Path(folder), wanted, rounds, clock=MockClock(autojump_threshold=0)
        )


@pytest.mark.slow
@pytest.mark.parametrize("steps", [0, 1, 499, 500, 501, 5_000, 5_001, 12_000])
async def test_a_long_history_is_caught_up_with_to_the_last_step(
    autojump_clock: MockClock, tmp_path: Path, steps: int
) -> None:
    async with open_rig(tmp_path) as rig:
        rig.many(steps)
        await rig.settled(steps)
        async with open_line(rig.listener, await rig.key()) as line:
            await line.follow(after=0)
            rig.many(3)
            numbers = [event["number"] for event in await line.until(steps + 3)]
            assert numbers == list(range(1, steps + 4))


async def test_a_key_waits_for_itself_and_not_for_others(autojump_clock: MockClock) -> None:
    turns, done = Turns(), list[tuple[str, float]]()

    async def work(key: str) -> None:
        async with turns.of(key):
            await trio.sleep(1)
        done.append((key, trio.current_time()))

    begun = trio.current_time()
    async with trio.open_nursery() as nursery:
        for key in ("a", "a", "a", "b"):
            nursery.start_soon(work, key)
    assert sorted((key, at - begun) for key, at in done) == [("a", 1), ("a", 2), ("a", 3), ("b", 1)]
