"""The journal's file: made, brought up to date, claimed, and refused where it is none."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from histories import dated_records, news, played, write

from hookflash.errors import InputError
from hookflash.journal import database, history
from hookflash.journal.claim import Claim
from hookflash.journal.database import (
    MIGRATIONS,
    JournalError,
    Sync,
    open_database,
    open_for_reading,
)
from hookflash.journal.step import step_of

VERSION = len(MIGRATIONS)


def version_of(file: Path) -> int:
    connection = sqlite3.connect(file)
    try:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    finally:
        connection.close()


def schema_of(file: Path) -> list[str]:
    connection = sqlite3.connect(file)
    try:
        rows = connection.execute("SELECT type || ' ' || name FROM sqlite_schema ORDER BY 1")
        return [str(row[0]) for row in rows]
    finally:
        connection.close()


def of_version(file: Path, version: int) -> None:
    """Make a file as an older hookflash left it."""
    connection = sqlite3.connect(file, isolation_level=None)
    for script in MIGRATIONS[:version]:
        connection.executescript(script)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()


def test_a_file_that_is_not_there_is_made(tmp_path: Path) -> None:
    file = tmp_path / "new.sqlite"
    open_database(file).close()
    assert version_of(file) == VERSION
    connection = open_for_reading(file)
    assert history.last_number(connection) == 0
    connection.close()


def test_an_empty_file_becomes_a_journal(tmp_path: Path) -> None:
    file = tmp_path / "empty.sqlite"
    file.touch()
    open_database(file).close()
    assert version_of(file) == VERSION


@pytest.mark.parametrize("version", range(VERSION))
def test_a_file_of_every_older_version_is_brought_up_to_date(tmp_path: Path, version: int) -> None:
    file, fresh = tmp_path / "old.sqlite", tmp_path / "fresh.sqlite"
    of_version(file, version)
    open_database(fresh).close()
    connection = open_database(file)
    assert version_of(file) == VERSION
    assert schema_of(file) == schema_of(fresh)
    write(connection, dated_records(played("complete")[0].records))
    connection.close()


def test_what_an_older_version_wrote_is_still_read(tmp_path: Path) -> None:
    file = tmp_path / "old.sqlite"
    of_version(file, 1)
    old = sqlite3.connect(file, isolation_level=None)
    step = step_of(news(7))
    old.execute(
        "INSERT INTO steps VALUES (?, ?, ?, '|acme|', ?, ?, NULL, NULL, ?)",
        (step.number, step.at, step.switch, step.kind, step.call, step.body.decode()),
    )
    old.close()
    connection = open_database(file)
    assert list(history.all_steps(connection, history.Wanted())) == [step]
    connection.close()


def test_the_accounts_of_older_steps_are_found_again(tmp_path: Path) -> None:
    file = tmp_path / "old.sqlite"
    of_version(file, 3)
    old = sqlite3.connect(file, isolation_level=None)
    for number, accounts, kind in (
        (5, "|acme|other|", "call.answered"),
        (6, "||", "call.answered"),
        (7, "||", "switch.lost"),
        (8, '|o"brien\\|', "call.answered"),
        (11, "|acme|", "call.answered"),
    ):
        body = step_of(news(number)).body.decode()
        row = (number, 0.0, "sim", accounts, kind, None, None, None, body, None)
        old.execute("INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    old.close()
    connection = open_database(file)

    def of(account: str) -> list[int]:
        wanted = history.Wanted(account=account)
        return [step.number for step in history.read_after(connection, 0, wanted)[0]]

    assert of("acme") == [5, 7, 11]
    assert of("other") == [5, 7]
    assert of('o"brien\\') == [7, 8]
    assert of("nobody") == [7]
    assert (history.whole_from(connection), history.last_number(connection)) == (11, 11)
    connection.close()


def test_who_dies_in_the_middle_of_a_migration_has_changed_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "journal.sqlite"
    open_database(file).close()
    before = schema_of(file)
    broken = ("CREATE TABLE more (a TEXT) STRICT;\nCREATE TABLE steps (never TEXT);\n",)
    monkeypatch.setattr(database, "MIGRATIONS", (*MIGRATIONS, *broken))
    with pytest.raises(JournalError, match="already exists"):
        open_database(file)
    assert version_of(file) == VERSION
    assert schema_of(file) == before


def test_who_is_killed_in_the_middle_of_a_migration_has_changed_nothing(tmp_path: Path) -> None:
    file = tmp_path / "journal.sqlite"
    program = """
import os, sqlite3, sys
from pathlib import Path
from hookflash.journal import database

class Deadly(database.JournalConnection):
    def execute(self, statement, *rest):
        if statement.startswith("PRAGMA user_version = "):
            os.kill(os.getpid(), 9)
        return super().execute(statement, *rest)

real = sqlite3.connect
database.sqlite3.connect = lambda *a, **k: real(*a, **(k | {"factory": Deadly}))
database.open_database(Path(sys.argv[1]))
"""
    died = subprocess.run([sys.executable, "-c", program, file], check=False)
    assert died.returncode == -9
    assert version_of(file) == 0
    assert schema_of(file) == []
    open_database(file).close()
    assert version_of(file) == VERSION


@pytest.mark.slow
def test_two_programs_that_bring_a_file_up_to_date_at_once_do_it_once(tmp_path: Path) -> None:
    file = tmp_path / "journal.sqlite"
    code = "import sys; from pathlib import Path; from hookflash.journal.database import *; "
    code += "open_database(Path(sys.argv[1])).close()"
    both = [subprocess.Popen([sys.executable, "-c", code, file]) for _ in range(2)]
    assert [program.wait() for program in both] == [0, 0]
    assert version_of(file) == VERSION


def test_a_file_that_another_just_writes_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "journal.sqlite"
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    is_locked = database.is_locked

    def found_locked(error: Exception) -> bool:
        other.close()  # the other is done in the very moment in which we are refused
        return is_locked(error)

    monkeypatch.setattr(database, "is_locked", found_locked)
    open_database(file).close()
    assert version_of(file) == VERSION


def test_a_file_of_a_newer_version_is_refused_not_guessed_at(tmp_path: Path) -> None:
    file = tmp_path / "newer.sqlite"
    open_database(file).close()
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    for opening in (open_database, open_for_reading):
        with pytest.raises(InputError, match=f"version {VERSION + 1}") as refused:
            opening(file)
        assert str(file) in str(refused.value)
        assert "newer hookflash" in str(refused.value)
    assert version_of(file) == VERSION + 1


def test_an_older_file_is_not_read_before_it_is_brought_up_to_date(tmp_path: Path) -> None:
    file = tmp_path / "older.sqlite"
    of_version(file, 1)
    with pytest.raises(InputError, match="run hookflash serve once to migrate it"):
        open_for_reading(file)


@pytest.mark.parametrize("opening", [open_database, open_for_reading])
def test_what_is_no_journal_is_said_to_be_none(tmp_path: Path, opening: object) -> None:
    assert callable(opening)
    text, other = tmp_path / "shopping.txt", tmp_path / "other.sqlite"
    text.write_text("milk, eggs, and a telephone\n" * 100, encoding="utf-8")
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE contacts (name TEXT)")
    connection.commit()
    connection.close()
    with pytest.raises(InputError, match="is not a journal"):
        opening(text)
    with pytest.raises(InputError, match="another program's file"):
        opening(other)
    assert schema_of(other) == ["table contacts"]


def test_a_journal_that_is_not_there_can_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such journal"):
        open_for_reading(tmp_path / "none.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_a_place_where_nothing_can_be_written_is_the_disks_fault(tmp_path: Path) -> None:
    nowhere = tmp_path / "no such folder" / "journal.sqlite"
    with pytest.raises(JournalError, match="unable to open"):
        open_database(nowhere)
    with pytest.raises(JournalError, match="No such file or directory"):
        Claim(nowhere)


def test_a_journal_is_for_its_owner_to_read(tmp_path: Path) -> None:
    file = tmp_path / "journal.sqlite"
    open_database(file).close()
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("sync", "told"), [(Sync.FULL, 2), (Sync.NORMAL, 1)])
def test_a_step_is_as_safe_as_the_operator_wants(tmp_path: Path, sync: Sync, told: int) -> None:
    connection = open_database(tmp_path / "journal.sqlite", sync=sync)
    assert connection.execute("PRAGMA synchronous").fetchone() == (told,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


@pytest.mark.slow
def test_a_journal_belongs_to_one_process_at_a_time(tmp_path: Path) -> None:
    file = tmp_path / "journal.sqlite"
    code = "import sys; from pathlib import Path; from hookflash.journal.claim import Claim; "
    code += "held = Claim(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    with holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match="another hookflash process uses this journal"):
            Claim(file)
        holder.kill()
    Claim(file).close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["symlink", "hard link", "linked folder"])
@pytest.mark.parametrize("held_by_its_name", [True, False])
def test_another_name_of_a_journal_does_not_defeat_its_lock(
    tmp_path: Path, kind: str, held_by_its_name: bool
) -> None:
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    folder.mkdir()
    file = folder / "journal.sqlite"
    open_database(file).close()
    if kind == "linked folder":
        elsewhere.symlink_to(folder)
        other = elsewhere / "journal.sqlite"
    else:
        elsewhere.mkdir()
        other = elsewhere / "other.sqlite"
        (other.symlink_to if kind == "symlink" else other.hardlink_to)(file)
    code = "import sys; from pathlib import Path; from hookflash.journal.claim import Claim; "
    code += "held = Claim(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    first, second = (file, other) if held_by_its_name else (other, file)
    holder = subprocess.Popen(
        [sys.executable, "-c", code, first], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    with holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match="another hookflash process uses this journal"):
            Claim(second)
        holder.kill()
    Claim(second).close()
