"""Steps and transfers in the file: written as they were, summed up, looked for, forgotten."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest
from histories import NOON, dated_records, news, played, scenario_names, switch_lost, write
from hypothesis import given
from hypothesis import strategies as st

from hookflash.engine.record import Record, states_of
from hookflash.errors import InputError
from hookflash.events import (
    CommandFailed,
    DigitPressed,
    Kind,
    TimerFired,
    TransferFound,
    TransferOptions,
    TransferRequested,
)
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Outcome
from hookflash.journal import history, transfers
from hookflash.journal.database import Sync, open_database, open_in_memory
from hookflash.journal.history import Wanted
from hookflash.journal.replay import rerun
from hookflash.journal.step import KINDS, MASK, kind_of, step_of
from hookflash.sounds import Music


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def connection(file: Path) -> Iterator[sqlite3.Connection]:
    opened = open_database(file, sync=Sync.NORMAL)
    yield opened
    opened.close()


def unmasked(record: Record) -> Record:
    """A record but for what is masked in it, and for its time, which is kept to the microsecond."""
    event = record.event
    if isinstance(event, DigitPressed):
        event = attrs.evolve(event, digit=MASK)
    return attrs.evolve(record, event=event, at_s=round(record.at_s, 6), why="")


# ---------------------------------------------------------- over all the scenarios


@pytest.mark.slow
@pytest.mark.parametrize("name", scenario_names())
def test_steps_are_read_back_as_the_very_records(name: str, connection: sqlite3.Connection) -> None:
    for index, run in enumerate(played(name)):
        connection.execute("DELETE FROM steps")
        given = dated_records(run.records)
        write(connection, given, masks=bool(index))
        read = [step.record() for step in history.all_steps(connection, Wanted())]
        if index:
            assert list(map(unmasked, read)) == list(map(unmasked, given))
        else:
            rounded = [attrs.evolve(r, at_s=round(r.at_s, 6)) for r in given]
            assert read == rounded


@pytest.mark.parametrize("name", scenario_names())
def test_a_transfer_sums_up_its_steps_and_runs_again_as_it_was_written(
    name: str, connection: sqlite3.Connection
) -> None:
    for run in played(name):
        connection.execute("DELETE FROM steps")
        connection.execute("DELETE FROM transfers")
        write(connection, dated_records(run.records))
        seen: list[Outcome | None] = []
        for transfer in transfers.transfer_ids(connection):
            about = [r for r in run.records if r.transfer == transfer]
            begun = next(r for r in about if r.before is not r.after)
            past = transfers.find_transfer(connection, transfer)
            assert past is not None
            ended = [r for r in about if r.outcome is not None]
            last = ended[0] if ended else None
            assert past.outcome == (last.outcome if last else None)
            assert past.cause == (last.cause if last else None)
            assert past.state == states_of(about)[-1].value
            assert past.begun == NOON + begun.at_s
            assert past.ended == (NOON + last.at_s if last else None)
            reached = last if last is not None and last.parties is not None else begun
            assert reached.parties is not None
            assert begun.parties is not None
            assert past.parties == attrs.evolve(begun.parties, target=reached.parties.target)
            seen.append(last.outcome if last else None)
            told: transfers.Past | None = None
            for record in dated_records(about):
                told = transfers.past_after(told, record)
            assert told == past  # what is not written yet is told as it will be
            again = rerun(history.steps_of(connection, transfer))
            assert again.differences == ()
            # one that is not found any more is closed by the switchboard, and no table is asked
            closed = [r for r in about if isinstance(r.event, TransferFound) and r.row is None]
            assert again.untried == tuple(r.number for r in closed)
            assert states_of(list(again.records)) == states_of(about)
        assert sorted(o for o in seen if o is not None) == sorted(run.outcomes)


@pytest.mark.slow
def test_every_step_of_the_scenarios_has_a_kind_that_is_documented() -> None:
    kinds = {kind_of(r) for name in scenario_names() for run in played(name) for r in run.records}
    assert kinds <= set(KINDS)
    assert {kind for kind in KINDS if kind.startswith("transfer.")} <= kinds


# ------------------------------------------------------------------------- digits

PRESSED = "4711"


def record_at(at: float, record: Record, switch: str = "sim") -> Record:
    return attrs.evolve(record, at=at, switch=switch)


def pressed(number: int, digit: str) -> Record:
    event = DigitPressed(leg="a", digit=digit, serial=number)
    return record_at(NOON, Record(number=number, at_s=0.0, event=event, why="No feature code."))


def pin(first: int) -> list[Record]:
    """Somebody presses a PIN within a call, and it is no feature code."""
    entries = [pressed(first + index, digit) for index, digit in enumerate(PRESSED)]
    why = f"{PRESSED} is no feature code of this leg."
    told = Record(
        number=first + len(PRESSED), at_s=0.0, event=TimerFired(timer="digits~1"), why=why
    )
    last = pressed(first + len(PRESSED) + 1, "#")
    also = attrs.evolve(last, why=f"{PRESSED}# is no feature code of this leg.")
    return [*entries, record_at(NOON, told), also]


def everything_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


def test_a_pin_is_never_in_the_file(connection: sqlite3.Connection, tmp_path: Path) -> None:
    write(connection, pin(100))
    assert b"What was dialled is no feature code" in everything_in(tmp_path)
    assert PRESSED.encode() not in everything_in(tmp_path)
    digits = [
        event.digit
        for step in history.all_steps(connection, Wanted())
        if isinstance(event := step.record().event, DigitPressed)
    ]
    assert digits == [MASK] * 5


def test_an_operator_who_wants_digits_has_them(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    write(connection, pin(100), masks=False)
    assert PRESSED.encode() in everything_in(tmp_path)


def test_a_transfer_by_digits_runs_again_without_them(connection: sqlite3.Connection) -> None:
    run = played("complete")[0]
    write(connection, dated_records(run.records))
    (transfer,) = transfers.transfer_ids(connection)
    assert not any(
        isinstance(step.record().event, DigitPressed)
        for step in history.steps_of(connection, transfer)
    )
    assert rerun(history.steps_of(connection, transfer)).records[-1].outcome == run.outcomes[0]


# ------------------------------------------------------------------- what is written


def test_a_batch_is_written_as_a_whole_or_not_at_all(connection: sqlite3.Connection) -> None:
    write(connection, [news(1)])
    bad = attrs.evolve(step_of(news(3)), at=None)
    with pytest.raises(sqlite3.IntegrityError):
        history.write(connection, [step_of(news(2)), bad])
    assert history.last_number(connection) == 1
    assert not connection.in_transaction


def test_what_was_written_after_all_is_not_written_twice(connection: sqlite3.Connection) -> None:
    records = dated_records(played("complete")[0].records)
    write(connection, records[:20])
    write(connection, records)
    steps = list(history.all_steps(connection, Wanted()))
    assert [step.number for step in steps] == [record.number for record in records]
    (past,) = transfers.find_transfers(connection)
    assert past.outcome == "transferred"


def test_a_transfer_has_one_outcome_whatever_comes_later(connection: sqlite3.Connection) -> None:
    records = list(played("complete")[0].records)
    ended = next(r for r in records if r.outcome is not None)
    again = attrs.evolve(ended, number=9000, outcome=Outcome.FAILED, cause="LOST_TRACK")
    write(connection, dated_records([*records, again]))
    (past,) = transfers.find_transfers(connection)
    assert (past.outcome, past.cause) == ("transferred", None)


def test_a_step_keeps_the_transfer_as_it_stood_before(connection: sqlite3.Connection) -> None:
    record = next(r for r in played("complete")[0].records if r.begins is not None)
    assert record.begins is not None
    policy = Policy(ring_timeout_s=7.5, music=Music("jazz"), hop_limit=2)
    begins = attrs.evolve(record.begins, policy=policy)
    write(connection, dated_records([attrs.evolve(record, begins=begins)]))
    (step,) = history.all_steps(connection, Wanted())
    assert step.transfer_before() == begins


def test_a_transfer_that_nobody_remembers_is_of_the_kind_that_its_marks_tell(
    connection: sqlite3.Connection,
) -> None:
    record = next(r for r in played("complete")[0].records if r.begins is not None)
    assert record.begins is not None
    found = attrs.evolve(
        record,
        event=TransferFound(transfer=record.transfer or ""),
        begins=attrs.evolve(record.begins, kind=Kind.BLIND),
    )
    write(connection, dated_records([found]))
    (past,) = transfers.find_transfers(connection)
    assert (past.kind, past.by) == ("blind", "found")


def test_a_step_is_about_the_call_of_the_command_that_failed() -> None:
    run = played("complete")[0]
    command = next(c for r in run.records for c in r.commands if getattr(c, "leg", None))
    record = Record(number=1, at_s=0.0, event=CommandFailed(command=command, reason="no"))
    assert step_of(record).call == getattr(command, "leg", None)


def test_what_is_published_of_a_step_is_the_same_live_and_from_the_file(
    connection: sqlite3.Connection,
) -> None:
    given = dated_records(played("complete")[0].records)
    write(connection, given)
    for record, stored in zip(given, history.all_steps(connection, Wanted()), strict=True):
        assert stored.source is None
        assert stored.summary == step_of(record).summary


@pytest.mark.parametrize("body", [b"{", b"{}", b'{"number": 1}', b'"x"', b"[]"])
def test_a_step_that_is_none_is_refused_with_its_number(body: bytes) -> None:
    with pytest.raises(InputError, match="step 7"):
        attrs.evolve(step_of(news(7)), body=body, source=None).record()


@pytest.mark.parametrize("body", [b"{", b"{}", b'{"id": 1}', b'"x"', b"[]"])
def test_a_beginning_that_is_none_is_refused_with_its_number(body: bytes) -> None:
    with pytest.raises(InputError, match="step 7"):
        attrs.evolve(step_of(news(7)), begins=body).transfer_before()


# ---------------------------------------------------------------------- looking for


def test_steps_are_looked_for_by_whom_and_what_they_concern(connection: sqlite3.Connection) -> None:
    write(
        connection,
        [news(1), news(2, leg="b", accounts=("globex",)), news(3, accounts=("acme", "globex"))],
    )
    write(connection, [news(4, accounts=("",)), switch_lost(5)])

    def numbers(**wanted: object) -> list[int]:
        wants = Wanted(**wanted)  # pyright: ignore[reportArgumentType] - the test's own words
        return [step.number for step in history.all_steps(connection, wants)]

    assert numbers() == [1, 2, 3, 4, 5]
    assert numbers(account="acme") == [1, 3, 5]
    assert numbers(account="globex") == [2, 3, 5]
    assert numbers(account="default") == [4, 5]
    assert numbers(account="acm") == [5]
    assert numbers(call="b") == [2]
    assert numbers(kinds=("switch.*",)) == [5]
    assert numbers(kinds=("call.answered", "switch.lost"), account="acme") == [1, 3, 5]
    assert numbers(kinds=("call.",)) == []


def test_reading_on_passes_over_what_is_not_wanted(connection: sqlite3.Connection) -> None:
    write(connection, [news(n, leg="b" if n % 10 == 0 else "a") for n in range(1, 101)])
    found, seen = history.read_after(connection, 0, Wanted(call="b"), most=3)
    assert ([step.number for step in found], seen) == ([10, 20, 30], 30)
    found, seen = history.read_after(connection, seen, Wanted(call="b"), most=100)
    assert ([step.number for step in found], seen) == ([40, 50, 60, 70, 80, 90, 100], 100)
    assert history.read_after(connection, seen, Wanted()) == ([], 100)


def test_the_last_steps_come_in_their_order(connection: sqlite3.Connection) -> None:
    write(connection, [news(n, leg="b" if n % 2 else "a") for n in range(1, 11)])
    last = history.all_steps(connection, Wanted(call="b"), most=2)
    assert [step.number for step in last] == [7, 9]


def transfer_at(number: int, begun: float, *, outcome: Outcome | None = None) -> list[Record]:
    """A transfer that begins at a time, and may end ten seconds later."""
    record = next(r for r in played("complete")[0].records if r.begins is not None)
    name = f"t-{number}"
    assert isinstance(record.event, TransferRequested)
    event = attrs.evolve(record.event, transfer=name)
    first = attrs.evolve(record, number=2 * number, transfer=name, event=event)
    entries = [record_at(begun, first)]
    if outcome is not None:
        last = attrs.evolve(first, number=2 * number + 1, event=TransferFound(transfer=name))
        last = attrs.evolve(last, outcome=outcome, begins=None)
        entries.append(record_at(begun + 10, last))
    return entries


def test_transfers_are_looked_for_by_time_and_outcome_page_by_page(
    connection: sqlite3.Connection,
) -> None:
    for number in range(1, 8):
        ended = None if number == 7 else Outcome.FAILED if number % 2 else Outcome.TRANSFERRED
        write(connection, transfer_at(number, NOON + 100 * (number // 2), outcome=ended))

    assert_found(partial(transfers.find_transfers, connection))


def assert_found(find: Callable[..., list[transfers.Past]]) -> None:
    """Seven transfers, the last of them in flight."""

    def found(*, most: int = 50, **wanted: Any) -> list[str]:
        return [t.id for t in find(transfers.TransferSearch(**wanted), most=most)]

    assert found() == ["t-7", "t-6", "t-5", "t-4", "t-3", "t-2", "t-1"]
    assert found(outcome="failed") == ["t-5", "t-3", "t-1"]
    assert found(outcome="running") == ["t-7"]
    assert found(begun_from=NOON + 200, begun_before=NOON + 300) == ["t-5", "t-4"]
    assert found(account="nobody") == []
    first = found(most=3)
    second = found(most=3, older_than=(NOON + 200, first[-1]))  # t-5 and t-4 began together
    assert (first, second) == (["t-7", "t-6", "t-5"], ["t-4", "t-3", "t-2"])


@pytest.mark.parametrize("written", range(14))
def test_transfers_whose_steps_wait_for_the_disk_are_listed_with_the_others(
    connection: sqlite3.Connection, written: int
) -> None:
    records: list[Record] = []
    for number in range(1, 8):
        ended = None if number == 7 else Outcome.FAILED if number % 2 else Outcome.TRANSFERRED
        records += transfer_at(number, NOON + 100 * (number // 2), outcome=ended)
    write(connection, records[:written])
    waiting = tuple(map(step_of, records[written:]))
    assert_found(partial(transfers.find_transfers, connection, unwritten=waiting))


def test_what_was_in_flight_is_known_as_it_was_asked_for(connection: sqlite3.Connection) -> None:
    asked = next(r for r in played("complete")[0].records if r.begins is not None)
    assert isinstance(asked.event, TransferRequested)
    event = attrs.evolve(
        asked.event,
        options=TransferOptions(music=Music("jazz"), takeback_digits="*9", ring_timeout_s=7.0),
    )
    entries = dated_records([attrs.evolve(asked, event=event, account="")], switch="east")
    write(connection, [*entries, *transfer_at(50, NOON, outcome=Outcome.FAILED)])
    unfinished = transfers.unfinished(connection)
    assert list(unfinished) == ["east"]
    (left,) = unfinished["east"].values()
    assert left.request == event
    assert left.parties == asked.parties
    assert left.account == ""


def test_of_the_last_transfers_it_is_known_that_they_have_ended(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert transfers.ended_lately(connection) == {}
    for number in (1, 2, 3):
        write(connection, transfer_at(number, NOON, outcome=Outcome.TRANSFERRED))
    write(connection, transfer_at(4, NOON))  # in flight
    (east,) = transfer_at(5, NOON)
    failed = attrs.evolve(east, number=50, outcome=Outcome.FAILED, begins=None)
    write(connection, [attrs.evolve(one, switch="east") for one in (east, failed)])
    assert transfers.ended_lately(connection) == {
        "sim": frozenset({"t-1", "t-2", "t-3"}),
        "east": frozenset({"t-5"}),
    }
    monkeypatch.setattr(transfers, "MOST_ENDED", 2)
    assert transfers.ended_lately(connection) == {"sim": {"t-3"}, "east": {"t-5"}}


# ------------------------------------------------------------------------ forgetting


def test_what_is_old_is_forgotten_but_not_what_goes_on(connection: sqlite3.Connection) -> None:
    write(connection, transfer_at(1, NOON, outcome=Outcome.FAILED))  # 2, 3
    write(connection, transfer_at(2, NOON))  # 4: in flight
    write(connection, [record_at(NOON + 10, news(5))])
    write(connection, transfer_at(3, NOON + 95, outcome=Outcome.FAILED))  # 6, 7: ends at 105
    write(connection, [record_at(NOON + 200, news(9))])
    pruned = history.prune(connection, before=NOON + 100)
    assert (pruned.steps, pruned.transfers, pruned.is_all) == (3, 1, True)
    kept = [step.number for step in history.all_steps(connection, Wanted())]
    assert kept == [4, 6, 7, 9]  # a transfer is forgotten as a whole
    assert [t.id for t in transfers.find_transfers(connection)] == ["t-3", "t-2"]


def test_a_transfer_that_ended_by_a_wrong_clock_is_kept_with_its_steps(
    connection: sqlite3.Connection,
) -> None:
    write(connection, [record_at(NOON, news(1))])
    write(connection, transfer_at(2, NOON - 10**9, outcome=Outcome.FAILED))
    assert history.prune(connection, before=NOON - 100).transfers == 0
    assert [t.id for t in transfers.find_transfers(connection)] == ["t-2"]


def test_the_last_number_is_never_forgotten(connection: sqlite3.Connection) -> None:
    write(connection, [news(n) for n in range(1, 4)])
    assert history.prune(connection, before=NOON + 10_000).steps == 2
    assert history.last_number(connection) == 3
    assert [step.number for step in history.all_steps(connection, Wanted())] == [3]


def test_much_is_forgotten_in_pieces(connection: sqlite3.Connection) -> None:
    write(connection, [news(n) for n in range(1, 102)])
    pieces: list[int] = []
    while True:
        pruned = history.prune(connection, before=NOON + 10_000, most=40)
        pieces.append(pruned.steps)
        if pruned.is_all:
            break
    assert pieces == [40, 40, 20]


def test_who_can_not_forget_has_forgotten_nothing(connection: sqlite3.Connection) -> None:
    write(connection, [news(n) for n in range(1, 4)])
    connection.execute("ALTER TABLE answers RENAME TO elsewhere")
    with pytest.raises(sqlite3.OperationalError):
        history.prune(connection, before=NOON + 10_000)
    assert not connection.in_transaction
    assert next(history.all_steps(connection, Wanted())).number == 1


def test_a_step_fits_what_programs_read(connection: sqlite3.Connection) -> None:
    write(connection, dated_records(played("busy")[0].records))
    for step in history.all_steps(connection, Wanted()):
        assert msgspec.json.decode(step.body)["number"] == step.number
        assert step.kind in KINDS


# ------------------------------------------------------------------------ accounts


def read_by_pages(connection: sqlite3.Connection, wanted: Wanted, most: int = 3) -> list[int]:
    """The numbers of the steps that a reader gets, page by page."""
    found: list[int] = []
    after = 0
    while True:
        steps, seen = history.read_after(connection, after, wanted, most=most)
        found += [step.number for step in steps]
        if seen == after:
            return found
        after = seen


def test_no_account_reads_what_is_another_s_whatever_its_name(
    connection: sqlite3.Connection,
) -> None:
    names = ["acme", "globex", "acme|globex", '"acme"', 'acme","globex', "|acme|", "%", "ac_e"]
    write(connection, [news(n, accounts=(name,)) for n, name in enumerate(names, 1)])
    for number, name in enumerate(names, 1):
        assert read_by_pages(connection, Wanted(account=name)) == [number], name
    (step,) = history.read_after(connection, 2, Wanted(), most=1)[0]
    assert step.accounts == ("acme|globex",)
    assert read_by_pages(connection, Wanted(account="nobody")) == []


@given(
    st.lists(st.sampled_from([(), ("a",), ("b",), ("a", "b"), ("a", "a"), None]), max_size=30),
    st.integers(1, 5),
    st.integers(1, 4),
)
def test_pages_of_an_account_are_its_part_of_the_history(
    said: list[tuple[str, ...] | None], most: int, scanned: int
) -> None:
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory() as folder,
        closing(open_database(Path(folder) / "journal.sqlite", sync=Sync.NORMAL)) as connection,
    ):
        patch.setattr(history, "_SCANNED_AT_ONCE", scanned)
        records = [
            switch_lost(n) if accounts is None else news(n, accounts=accounts)
            for n, accounts in enumerate(said, 1)
        ]
        write(connection, records)
        for account in ("a", "b", "c", None):
            wanted = Wanted(account=account)
            expected = [step.number for step in history.all_steps(connection, wanted)]
            assert read_by_pages(connection, wanted, most) == expected


def test_what_is_forgotten_is_forgotten_of_each_account(connection: sqlite3.Connection) -> None:
    both = ("acme", "globex")
    write(connection, [news(1, accounts=both), switch_lost(2), news(3, accounts=both)])
    write(connection, [news(4)])
    history.prune(connection, before=NOON + 3)
    indexed = connection.execute("SELECT DISTINCT number FROM steps_of_account ORDER BY 1")
    assert indexed.fetchall() == [(3,), (4,)]
    assert read_by_pages(connection, Wanted(account="globex")) == [3]


def test_an_account_catches_up_without_a_look_at_what_is_another_s(
    connection: sqlite3.Connection,
) -> None:
    others = [news(n, accounts=("globex",)) for n in range(2, 3_001)]
    write(connection, [news(1), *others, news(3_001), switch_lost(3_002)])
    looked: list[str] = []
    connection.set_progress_handler(lambda: looked.append("1000 instructions"), 1_000)
    steps, seen = history.read_after(connection, 0, Wanted(account="acme"))
    connection.set_progress_handler(None, 0)
    assert [step.number for step in steps] == [1, 3_001, 3_002]
    assert seen == 3_002
    assert looked == []


@pytest.mark.parametrize(
    ("numbers", "deleted", "whole_from", "last"),
    [
        ([], [], 1, 0),
        ([1, 2, 3], [], 1, 3),
        ([1, 2, 3], [1], 2, 3),
        ([1, 2, 3, 4], [2], 3, 4),
        ([1, 2, 3], [1, 2, 3], 4, 3),
        ([41], [], 41, 41),
        ([1, 2, 5, 6], [], 5, 6),
        ([1, 2, 5, 6], [1], 5, 6),
    ],
)
def test_it_is_known_from_where_on_nothing_is_missing(
    connection: sqlite3.Connection,
    numbers: list[int],
    deleted: list[int],
    whole_from: int,
    last: int,
) -> None:
    write(connection, map(news, numbers))
    connection.executemany("DELETE FROM steps WHERE number = ?", [(n,) for n in deleted])
    assert history.whole_from(connection) == whole_from
    assert history.last_number(connection) == last


@pytest.mark.parametrize("outcome", ["failed", transfers.RUNNING])
def test_a_rare_outcome_is_found_without_a_look_at_the_others(outcome: str) -> None:
    """One such list took 0.2 s for 200,000 transfers, and everybody waited for it."""
    connection = open_in_memory()
    search = transfers.TransferSearch(account="acme", outcome=outcome, older_than=(2.0, "b"))
    plans: list[str] = []
    connection.set_trace_callback(plans.append)
    transfers.find_transfers(connection, search)
    connection.set_trace_callback(None)
    (query,) = plans
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}")]
    assert len(plan) == 1
    assert "USING INDEX transfers_by_outcome (account=? AND outcome=?" in plan[0]
    connection.close()
