"""`hookflash journal` and `hookflash replay JOURNAL`: what they print, and how they end."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest
from shipped import SCENARIOS

from hookflash.cli import main
from hookflash.engine.record import Record, record_from
from hookflash.events import DigitPressed, Kind, TransferOptions
from hookflash.journal import history, registry, transfers
from hookflash.journal.claim import Claim
from hookflash.journal.database import open_database
from hookflash.journal.pruning_clock import Belief, store_belief
from hookflash.journal.step import step_of
from hookflash.scenarios.run import run_scenario

ROOT = Path(__file__).resolve().parent.parent
NOON = 1_795_953_600.0
"""2026-11-29, 12:00 UTC."""


class Told:
    """How a command ended, and what it said."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Say = Callable[..., Told]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    def run(*arguments: str | Path) -> Told:
        status = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Told(status, out, err)

    return run


def journal_with(folder: Path, *scenarios: str) -> Path:
    """A journal in which scenarios have happened, one after the other."""
    file = folder / "hookflash.sqlite"
    connection = open_database(file)
    for index, name in enumerate(scenarios):
        run = run_scenario(next(SCENARIOS[name].orders()))
        last = history.last_number(connection)
        written = [
            attrs.evolve(
                renamed(record, f"t-{index + 1}", last), at=NOON + record.at_s, switch="sim"
            )
            for record in run.records
        ]
        history.write(connection, [step_of(record) for record in written])
    connection.close()
    return file


def renamed(record: Record, transfer: str, last: int) -> Record:
    """A record as if its transfer had another id, and others had been there before."""
    text = json.dumps(record.to_document()).replace("transfer-1", transfer)
    moved = record_from(json.loads(text) | {"number": last + record.number})
    begins = record.begins
    if begins is not None:
        target = attrs.evolve(begins.target, leg=f"{transfer}-target")
        begins = attrs.evolve(begins, id=transfer, target=target)
    return attrs.evolve(moved, begins=begins)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return journal_with(tmp_path, "complete", "busy")


def assert_refused(told: Told, *words: str) -> None:
    """One clear message, and status 2."""
    assert told.status == 2, told.err
    assert told.out == ""
    assert told.err.startswith("hookflash: ")
    assert told.err.count("\n") == 1, told.err
    for word in words:
        assert word in told.err


# --------------------------------------------------------------------------- show


def test_show_prints_a_line_a_step(say: Say, journal: Path) -> None:
    told = say("journal", "show", "--file", journal)
    lines = told.out.splitlines()
    assert told.status == 0
    assert [int(line.split()[0]) for line in lines] == list(range(1, len(lines) + 1))
    assert "2026-11-29T12:00:00.000Z sim" in lines[0]
    (ended,) = [line for line in lines if "transfer.ended t-2" in line]
    assert "failed_reconnect → idle · reconnected USER_BUSY" in ended


def test_show_prints_the_last_ones(say: Say, journal: Path) -> None:
    everything = say("journal", "show", "--file", journal).out.splitlines()
    assert (
        say("journal", "show", "--file", journal, "--last", "3").out.splitlines()
        == (everything[-3:])
    )


def test_show_finds_the_journal_by_the_config(say: Say, journal: Path, tmp_path: Path) -> None:
    config = tmp_path / "hookflash.toml"
    config.write_text('[journal]\nfile = "hookflash.sqlite"\n', encoding="utf-8")
    by_config = say("journal", "show", "--config", config)
    assert by_config.out == say("journal", "show", "--file", journal).out
    assert_refused(
        say("journal", "show", "--config", config, "--file", journal), "two journals are named"
    )


def test_show_tells_a_transfer_with_what_was_ordered_and_why(say: Say, journal: Path) -> None:
    told = say("journal", "show", "--transfer", "t-1", "--file", journal)
    assert told.status == 0
    head, *rest = told.out.splitlines()
    assert head.startswith("attended of default, 2026-11-29T12:00:10.500Z")
    assert "1001 with 1002, to 2600, by digits: transferred at" in head
    text = "\n".join(rest)
    assert "0.000 s" in text
    assert "dialing → consulting" in text
    assert "complete." in text
    assert "USER_BUSY" not in text


def test_show_draws_a_transfer(say: Say, journal: Path, tmp_path: Path) -> None:
    told = say("journal", "show", "--transfer", "t-1", "--story", "--file", journal)
    for word in ("1001", "1002", "2600", "holding → dialing", "transferred"):
        assert word in told.out
    svg, text = tmp_path / "t.svg", tmp_path / "t.txt"
    for drawn in (svg, text):
        say("journal", "show", "--transfer", "t-1", "--diagram", drawn, "--file", journal)
    assert svg.read_text("utf-8").startswith("<svg")
    assert "1002" in text.read_text("utf-8")
    nothing = say("journal", "show", "--diagram", tmp_path / "t.doc", "--file", journal)
    assert_refused(nothing, ".svg")


def test_show_draws_all_that_there_is(say: Say, journal: Path) -> None:
    told = say("journal", "show", "--story", "--file", journal)
    assert told.status == 0
    assert "1001" in told.out


def test_show_keeps_accounts_apart(say: Say, journal: Path) -> None:
    assert say("journal", "show", "--account", "nobody", "--file", journal).out == ""
    assert say("journal", "show", "--account", "default", "--file", journal).out != ""


def test_what_is_not_there_is_said(say: Say, journal: Path, tmp_path: Path) -> None:
    assert_refused(
        say("journal", "show", "--transfer", "none", "--file", journal), "no transfer 'none'"
    )
    assert_refused(
        say("journal", "show", "--file", tmp_path / "none.sqlite"), "there is no such journal"
    )
    assert_refused(say("journal", "show", "--file", __file__), "is not a journal")
    assert_refused(say("journal", "show", "--last", "0", "--file", journal), "--last")


def test_a_number_that_steers_a_terminal_does_not(say: Say, tmp_path: Path) -> None:
    file = tmp_path / "journal.sqlite"
    connection = open_database(file)
    record = run_scenario(SCENARIOS["complete"]).records[0]
    steers = attrs.evolve(record, at=NOON, switch="\x1b[31m[red]")
    history.write(connection, [step_of(steers)])
    connection.close()
    told = say("journal", "show", "--file", file)
    assert "\x1b" not in told.out
    assert "[31m[red]" in told.out


# ------------------------------------------------------------------------- export


def test_export_writes_every_step_as_a_json_object_a_line(say: Say, journal: Path) -> None:
    told = say("journal", "export", "--file", journal)
    steps = [json.loads(line) for line in told.out.splitlines()]
    assert [step["number"] for step in steps] == list(range(1, len(steps) + 1))
    for step in steps:
        record = record_from(step["record"])
        assert record.number == step["number"]
        assert record.transfer == step["transfer"]
    assert steps[0]["at"] == "2026-11-29T12:00:00.000Z"
    pressed = [s["record"]["event"]["digit"] for s in steps if s["kind"] == "call.digit"]
    assert pressed
    assert set(pressed) == {"•"}


def test_export_of_a_transfer_and_of_an_account(say: Say, journal: Path) -> None:
    of_one = say("journal", "export", "--transfer", "t-2", "--file", journal).out.splitlines()
    assert {json.loads(line)["transfer"] for line in of_one} == {"t-2"}
    assert say("journal", "export", "--account", "nobody", "--file", journal).out == ""
    of_account = say("journal", "export", "--account", "default", "--file", journal).out
    assert all("default" in json.loads(line)["accounts"] for line in of_account.splitlines())
    assert of_account


# -------------------------------------------------------------------------- prune


def test_prune_forgets_what_is_old(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = journal_with(tmp_path, "complete")
    monkeypatch.setattr("hookflash.cli.history.time.time", lambda: NOON + 10 * 86_400.0)
    kept = say("journal", "prune", "--older-than-days", "20", "--file", file)
    assert kept.out.endswith("deleted: 0 steps, 0 transfers\n")
    before = len(say("journal", "export", "--file", file).out.splitlines())
    old = ("--older-than-days", "5")
    doubted = say("journal", "prune", *old, "--file", file)  # the newest step is ten days older
    assert doubted.status == 0
    assert "an hour after the time that was last believed" in doubted.out
    assert doubted.out.endswith("deleted: 0 steps, 0 transfers\n")
    told = say("journal", "prune", *old, "--trust-clock", "--file", file)
    assert told.status == 0
    assert told.out == f"deleted: {before - 1} steps, 1 transfer\n"
    left = say("journal", "export", "--file", file).out.splitlines()
    assert [json.loads(line)["number"] for line in left] == [before]


def test_prune_does_not_believe_the_steps_of_a_wrong_clock(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, wrong = journal_with(tmp_path, "complete"), NOON + 60 * 86_400.0
    with closing(open_database(file)) as connection:
        store_belief(connection, Belief(time=NOON))
        connection.execute(
            "INSERT INTO steps SELECT number + 1, ?, switch, accounts, kind, call, other_call,"
            " NULL, body, NULL FROM steps ORDER BY number DESC LIMIT 1",
            (wrong,),
        )
    monkeypatch.setattr("hookflash.cli.history.time.time", lambda: wrong)
    doubted = say("journal", "prune", "--older-than-days", "30", "--file", file)
    assert doubted.out.endswith("deleted: 0 steps, 0 transfers\n")


def test_prune_makes_no_journal_and_wants_a_number(say: Say, tmp_path: Path, journal: Path) -> None:
    none = tmp_path / "none.sqlite"
    assert_refused(
        say("journal", "prune", "--older-than-days", "1", "--file", none), "no such journal"
    )
    assert not none.exists()
    assert_refused(say("journal", "prune", "--file", journal), "--older-than-days")
    assert_refused(
        say("journal", "prune", "--older-than-days", "-1", "--file", journal), "older-than-days"
    )


def test_a_journal_that_can_not_be_changed_now_is_said(
    say: Say, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hookflash.journal.database.BUSY_TIMEOUT_S", 0.01)
    other = sqlite3.connect(journal, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    told = say("journal", "prune", "--older-than-days", "1", "--file", journal)
    other.execute("ROLLBACK")
    other.close()
    assert told.status != 0
    assert "database is locked" in told.err
    assert "Traceback" not in told.err


# ------------------------------------------------------- the journal of an older release


@pytest.fixture
def older(journal: Path) -> Path:
    """In it, the options of a transfer are fields of the request itself."""
    connection = sqlite3.connect(journal)
    for read, write in (
        ("SELECT number, body FROM steps", "UPDATE steps SET body = ? WHERE number = ?"),
        ("SELECT id, request FROM transfers", "UPDATE transfers SET request = ? WHERE id = ?"),
    ):
        for row, text in connection.execute(read).fetchall():
            document = json.loads(text)
            request = document.get("event", document)
            if request["type"] == "TransferRequested":
                request |= request.pop("options")
            connection.execute(write, (json.dumps(document), row))
    connection.commit()
    connection.close()
    return journal


@pytest.mark.parametrize(
    "arguments",
    [
        ("replay",),
        ("replay", "--transfer", "t-1"),
        ("journal", "show", "--file"),
        ("journal", "show", "--transfer", "t-1", "--file"),
    ],
)
def test_steps_of_an_older_release_are_refused_with_what_to_do(
    say: Say, older: Path, arguments: tuple[str, ...]
) -> None:
    connection = sqlite3.connect(older)
    ((step,),) = connection.execute("SELECT min(number) FROM steps WHERE kind LIKE 'transfer.%'")
    connection.close()
    words = f"{older}: step {step}: this release can't read it:", "ring_timeout_s", "new journal"
    assert_refused(say(*arguments, older), *words, "keep the file")


def test_steps_of_an_older_release_can_be_exported(say: Say, older: Path) -> None:
    lines = say("journal", "export", "--file", older).out.splitlines()
    assert any("ring_timeout_s" in json.loads(line)["record"]["event"] for line in lines)


def test_a_transfer_in_flight_of_an_older_release_goes_on_with_the_default_options(
    older: Path, caplog: pytest.LogCaptureFixture
) -> None:
    connection = sqlite3.connect(older)
    connection.execute("UPDATE transfers SET outcome = NULL WHERE id = 't-2'")
    (left,) = (one for of in transfers.unfinished(connection).values() for one in of.values())
    connection.close()
    assert (left.request.transfer, left.request.kind) == ("t-2", Kind.ATTENDED)
    assert (left.request.leg, left.request.target) == (left.parties.transferor.leg, "2600")
    assert left.request.options == TransferOptions()
    assert "journal.request_unreadable" in caplog.text


# ------------------------------------------------------------------------- replay


def test_replay_runs_a_transfer_again_from_the_journal(
    say: Say, journal: Path, tmp_path: Path
) -> None:
    told = say("replay", journal, "--transfer", "t-1")
    assert told.status == 0, told.out
    assert "idle → holding → dialing → consulting → completing → idle" in told.out
    assert told.out.endswith("transferred\nno differences\n")
    drawn = tmp_path / "t.txt"
    document = say("replay", journal, "--transfer", "t-2", "--json", "--diagram", drawn).document
    assert (document["ok"], document["outcome"], document["cause"]) == (
        True,
        "reconnected",
        "USER_BUSY",
    )
    assert document["differences"] == document["untried"] == []
    assert document["states"][:3] == ["idle", "holding", "dialing"]
    assert document["steps"][0]["event"]["type"] == "TransferRequested"
    assert "reconnected (USER_BUSY)" in drawn.read_text("utf-8")


def test_replay_of_a_whole_journal(say: Say, journal: Path) -> None:
    assert say("replay", journal).out == "2 transfers, 2 as recorded, 0 different\n"
    document = say("replay", journal, "--json").document
    assert document["ok"]
    assert [one["transfer"] for one in document["transfers"]] == ["t-1", "t-2"]


def change(journal: Path, kind: str, transfer: str, **fields: object) -> int:
    """Let something be written otherwise than it was; the number of the step."""
    connection = sqlite3.connect(journal)
    number, body = connection.execute(
        "SELECT number, body FROM steps WHERE kind = ? AND transfer = ?", (kind, transfer)
    ).fetchone()
    changed = json.dumps(json.loads(body) | fields)
    connection.execute("UPDATE steps SET body = ? WHERE number = ?", (changed, number))
    connection.commit()
    connection.close()
    return int(number)


def test_replay_tells_what_comes_out_otherwise(say: Say, journal: Path) -> None:
    number = change(journal, "transfer.ended", "t-2", outcome="failed", cause="A_BUG")
    told = say("replay", journal, "--transfer", "t-2")
    assert told.status == 1
    assert f"differs step {number}: outcome: recorded failed, now reconnected" in told.out
    assert f"differs step {number}: cause: recorded A_BUG, now USER_BUSY" in told.out
    assert "no differences" not in told.out
    document = say("replay", journal, "--json").document
    assert [one["ok"] for one in document["transfers"]] == [True, False]
    everything = say("replay", journal)
    assert everything.status == 1
    assert everything.out.endswith("2 transfers, 1 as recorded, 1 different\n")
    assert say("replay", journal, "--transfer", "t-1").status == 0


@pytest.mark.parametrize(
    ("what", "fields"),
    [
        ("row", {"row": "idle · asked for → nowhere"}),
        ("state", {"after": "partial"}),
        ("orders", {"commands": []}),
        ("refusal", {"refusal": "not_now"}),
    ],
)
def test_replay_finds_every_kind_of_difference(
    say: Say, journal: Path, what: str, fields: dict[str, object]
) -> None:
    number = change(journal, "transfer.requested", "t-1", **fields)
    document = say("replay", journal, "--transfer", "t-1", "--json").document
    assert [(d["number"], d["what"]) for d in document["differences"]] == [(number, what)]


def test_replay_needs_no_digits(say: Say, journal: Path) -> None:
    connection = sqlite3.connect(journal)
    connection.execute("DELETE FROM steps WHERE kind = 'call.digit'")
    connection.commit()
    connection.close()
    assert say("replay", journal).status == 0
    assert DigitPressed.__name__ not in say("replay", journal, "--transfer", "t-1", "--json").out


def test_replay_of_what_is_no_longer_whole_is_refused(say: Say, journal: Path) -> None:
    connection = sqlite3.connect(journal)
    connection.execute("UPDATE steps SET begins = NULL WHERE transfer = 't-1'")
    connection.commit()
    connection.close()
    assert_refused(say("replay", journal, "--transfer", "t-1"), "were deleted")


def test_replay_wants_what_goes_together(say: Say, journal: Path, tmp_path: Path) -> None:
    recording = ROOT / "tests" / "freeswitch" / "recordings" / "busy.plain.jsonl.gz"
    assert_refused(say("replay", recording, "--transfer", "t-1"), "is not a journal")
    assert_refused(say("replay", journal, "--transfer", "none"), "no transfer 'none'")
    assert_refused(say("replay", journal, "--config", "x.toml"), "--config")
    assert_refused(say("replay", journal, "--diagram", tmp_path / "x.svg"), "--transfer ID")
    connection = sqlite3.connect(tmp_path / "other.sqlite")
    connection.execute("CREATE TABLE t (a)")
    connection.close()
    assert_refused(say("replay", tmp_path / "other.sqlite"), "another program's file")


# -------------------------------------------------------------------------- check and repair


def test_a_journal_without_a_fault_is_ok(say: Say, journal: Path) -> None:
    told = say("journal", "check", journal)
    assert (told.status, told.err) == (0, "")
    assert told.out.startswith("ok: ")
    assert not [*journal.parent.glob("*.lock")]


FAULTS = [
    ("UPDATE steps SET body = '{' WHERE number = 7", "step 7"),
    ("UPDATE steps SET accounts = '|acme|' WHERE number = 7", "step 7"),
    ("INSERT INTO metaflows VALUES ('acme', '{', 0)", "feature codes of acme"),
    ("INSERT INTO metaflows VALUES ('acme', '{\"numbers\": 5}', 0)", "feature codes of acme"),
    ("UPDATE numbering SET whole_from = 0", "steps 1 to 4 are missing"),
]


@pytest.mark.parametrize(("statement", "word"), FAULTS)
def test_check_says_what_is_wrong_and_repair_reads_the_rest(
    say: Say, journal: Path, statement: str, word: str
) -> None:
    connection = sqlite3.connect(journal, isolation_level=None)
    connection.execute("DELETE FROM steps WHERE number < 5")
    connection.execute(statement)
    connection.close()
    told = say("journal", "check", journal)
    assert told.status == 1
    assert word in told.out
    assert "1 problem" in told.out
    before = journal.read_bytes()
    assert say("journal", "repair", journal).status == 0
    assert journal.read_bytes() == before


def test_repair_reads_what_is_behind_a_bad_page(say: Say, tmp_path: Path) -> None:
    file = journal_with(tmp_path, *["complete", "busy"] * 6)
    connection = open_database(file)
    registry.make_key(connection, account="acme", label="", now=NOON)
    steps = history.last_number(connection)
    connection.close()
    page = file.read_bytes().index(b'"number":150,') // 4096
    with file.open("r+b") as opened:
        opened.seek(4096 * page)
        opened.write(b"\xa5" * 4096)
    before = file.read_bytes()
    assert say("journal", "check", file).status == 1
    told = say("journal", "repair", file)
    assert told.status == 0
    assert "left out: " in told.out
    assert file.read_bytes() == before
    repaired = file.with_name(f"{file.name}.repaired")
    found = say("journal", "export", "--file", repaired).out.splitlines()
    numbers = [json.loads(line)["number"] for line in found]
    assert steps - 20 < len(numbers) < steps
    assert (numbers[0], numbers[-1]) == (1, steps)
    assert say("journal", "check", repaired).status == 0
    again = open_database(repaired)
    assert len(registry.list_keys(again)) == 1
    again.close()
    assert_refused(say("journal", "repair", file), "there is one already")


def test_what_is_damaged_in_a_row_does_not_reach_the_terminal_or_the_new_file(
    say: Say, journal: Path
) -> None:
    with closing(sqlite3.connect(journal)) as connection:
        steps = connection.execute("SELECT count(*) FROM steps").fetchone()[0]
        deep = '{"event":' + "[" * 5_000 + "]" * 5_000 + "}"
        connection.execute("UPDATE steps SET body = ? WHERE number = 2", (deep,))
        connection.execute("UPDATE steps SET at = 1e300 WHERE number = 3")
        connection.execute("INSERT INTO metaflows VALUES (?, '[]', 1.0)", ("\x1b[2Jacme",))
        connection.commit()
    told = say("journal", "check", journal)
    assert told.status == 1
    for problem in ("step 2: ", "step 3: ", "�[2Jacme"):
        assert problem in told.out
    assert "\x1b" not in told.out
    assert_refused(say("journal", "show", "--file", journal), "this release can't read it")
    told = say("journal", "export", "--file", journal)
    assert told.status == 2
    assert "step 3: this release can't read it" in told.err
    told = say("journal", "repair", journal)
    assert "left out: 2 rows" in told.out
    assert f": {steps - 2} steps," in told.out


def test_repair_reads_a_journal_without_its_header(say: Say, journal: Path) -> None:
    before = say("journal", "export", "--file", journal).out
    with journal.open("r+b") as opened:
        opened.write(bytes(100))
    told = say("journal", "check", journal)
    assert told.status == 1
    assert "does not begin like a database" in told.out
    assert say("journal", "repair", journal).status == 0
    repaired = journal.with_name(f"{journal.name}.repaired")
    assert say("journal", "export", "--file", repaired).out == before


def test_a_journal_in_use_is_not_repaired_and_a_text_never(
    say: Say, journal: Path, tmp_path: Path
) -> None:
    held = Claim(journal)
    told = say("journal", "repair", journal)
    assert (told.status, "another hookflash process uses" in told.err) == (1, True)
    assert say("journal", "check", journal).status == 0
    held.close()
    text = tmp_path / "text"
    text.write_text("no journal", encoding="utf-8")
    for command in ("check", "repair"):
        assert_refused(say("journal", command, text), "is not a journal")
        assert_refused(say("journal", command, tmp_path / "none"), "there is no such journal")
    assert not text.with_name("text.repaired").exists()
