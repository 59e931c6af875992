"""One SQLite file: opened, and brought up to date.

Each migration is run once, in a transaction together with the number that says so (SQLite's
`user_version`): a program that dies in the middle has changed nothing. A file of a newer hookflash
is refused, not guessed at.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import IO, Final

import stamina

from hookflash.errors import HookflashError, InputError


class JournalError(HookflashError):
    """The journal can't be read or written now: a full disk, a file that is no journal."""

    http_status = 503


class Sync(StrEnum):
    """When a step that was written is safe."""

    FULL = "full"
    """When the disk says so: from a power cut, too."""
    NORMAL = "normal"
    """When the operating system has it: from the end of our process, however violent."""


MIGRATIONS: Final = (
    """
    CREATE TABLE steps (
        number INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        switch TEXT NOT NULL,
        accounts TEXT NOT NULL,  -- |acme|other|
        kind TEXT NOT NULL,
        call TEXT,
        other_call TEXT,
        transfer TEXT,
        body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX steps_of_transfer ON steps (transfer, number) WHERE transfer IS NOT NULL;
    CREATE TABLE transfers (
        id TEXT PRIMARY KEY,
        account TEXT NOT NULL,
        switch TEXT NOT NULL,
        kind TEXT NOT NULL,
        asked_by TEXT NOT NULL,
        target TEXT NOT NULL,
        transferor_call TEXT NOT NULL,
        transferor_number TEXT NOT NULL,
        transferee_call TEXT NOT NULL,
        transferee_number TEXT NOT NULL,
        target_call TEXT NOT NULL,
        request TEXT NOT NULL,
        policy TEXT NOT NULL,
        begun REAL NOT NULL,
        first_step INTEGER NOT NULL,
        state TEXT NOT NULL,
        ended REAL,
        last_step INTEGER NOT NULL,
        outcome TEXT,
        cause TEXT
    ) STRICT;
    CREATE INDEX transfers_of_account ON transfers (account, begun);
    CREATE INDEX transfers_in_flight ON transfers (switch) WHERE outcome IS NULL;
    CREATE TABLE keys (
        id TEXT PRIMARY KEY,
        account TEXT,  -- NULL: all accounts
        label TEXT NOT NULL,
        hash TEXT NOT NULL,
        made REAL NOT NULL,
        revoked REAL
    ) STRICT;
    CREATE TABLE tokens (
        hash TEXT PRIMARY KEY,
        key TEXT NOT NULL REFERENCES keys (id),
        expires REAL NOT NULL
    ) STRICT;
    CREATE TABLE metaflows (
        account TEXT PRIMARY KEY,
        document TEXT NOT NULL,
        changed REAL NOT NULL
    ) STRICT;
    CREATE TABLE answers (
        caller TEXT NOT NULL,
        key TEXT NOT NULL,
        request TEXT NOT NULL,
        status INTEGER NOT NULL,
        body TEXT NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY (caller, key)
    ) STRICT;
    """,
    """
    ALTER TABLE steps ADD COLUMN begins TEXT;
    """,
)
"""What makes a file of one version into one of the next: statements, each of which ends with the
line that it ends in. Only ever add to them."""

BUSY_TIMEOUT_S: Final = 5.0
"""How long to wait for another process that writes: `hookflash keys`, say."""


def open_database(path: Path, *, sync: Sync = Sync.FULL) -> sqlite3.Connection:
    """Open a journal's file, make it if there is none, and bring it up to date.

    Args:
        path: the file.
        sync: when a step that was written is safe.

    Raises:
        InputError: the file is of a newer hookflash, or no journal.
        JournalError: it can't be opened or written.
    """
    with _told_of(path), ExitStack() as undo:
        if not path.exists():  # who called whom is for nobody else to read
            with suppress(OSError):
                path.touch(mode=0o600)
        connection = _connect(path)
        undo.callback(connection.close)
        _write_ahead(connection)
        connection.execute(f"PRAGMA synchronous = {sync.value}")
        connection.execute("PRAGMA foreign_keys = ON")
        _check_that_it_is_one(connection, path)
        _migrate(connection, path)
        undo.pop_all()
        return connection


@contextmanager
def _told_of(path: Path) -> Generator[None]:
    """Say of SQLite's errors whose they are: the disk's, or the file's."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise JournalError(f"{path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise InputError(
            f"is no journal: {error}", where=str(path), hint="name a journal's file, or a new one"
        ) from error


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Put the file into WAL mode, also where another process is just doing it.

    SQLite waits for others (`BUSY_TIMEOUT_S`) everywhere but here: of two that change the mode at
    once, one is told at once that the file is locked.
    """
    for attempt in stamina.retry_context(
        on=is_locked, attempts=None, timeout=BUSY_TIMEOUT_S, wait_initial=0.01, wait_max=0.1
    ):
        with attempt:
            connection.execute("PRAGMA journal_mode = WAL")


def is_locked(error: Exception) -> bool:
    """Whether SQLite says that somebody else has the file."""
    code = error.sqlite_errorcode if isinstance(error, sqlite3.Error) else 0
    return code & 0xFF == sqlite3.SQLITE_BUSY  # the bits above say why


def _check_that_it_is_one(connection: sqlite3.Connection, path: Path) -> None:
    """Leave the SQLite files of other programs alone, whatever they are."""
    tables = {str(name) for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    if tables and "steps" not in tables:
        raise InputError(
            "is another program's file", where=str(path), hint="name a journal's file, or a new one"
        )


def claim(path: Path) -> IO[bytes]:
    """Claim a journal for this process: two that number one history would spoil it.

    Returns:
        What holds the claim, until it is closed or the process ends, however it ends.

    Raises:
        InputError: another process has it.
        JournalError: the file beside the journal that holds the claim can't be written.
    """
    lock = path.with_name(path.name + ".lock")
    if not path.parent.is_dir():
        raise InputError(
            f"the folder {path.parent} does not exist",
            where=str(path),
            hint="make it, or name another file",
        )
    try:
        held = lock.open("ab")
    except OSError as error:
        raise JournalError(f"{lock}: {error.strerror}") from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        held.close()
        raise InputError(
            "another hookflash writes this journal",
            where=str(path),
            hint="stop it, or name another file",
        ) from error
    return held


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open a journal's file to look at it, whoever writes to it meanwhile.

    Raises:
        InputError: there is none, or it is no journal.
        JournalError: it can't be opened.
    """
    if not path.is_file():
        raise InputError("there is no such journal", where=str(path), hint="name a journal's file")
    with _told_of(path), ExitStack() as undo:
        connection = _connect(path)
        undo.callback(connection.close)
        connection.execute("PRAGMA query_only = ON")
        _check_that_it_is_one(connection, path)
        version = _version(connection)
        if version != len(MIGRATIONS):
            raise InputError(
                f"is a journal of version {version}; this hookflash reads {len(MIGRATIONS)}",
                where=str(path),
                hint="let hookflash serve bring it up to date, or take a newer hookflash",
            )
        undo.pop_all()
        return connection


@contextmanager
def using(connection: sqlite3.Connection, path: Path) -> Generator[sqlite3.Connection]:
    """Use an open journal for a moment; then it is closed.

    Raises:
        JournalError: it can't be read or written now: another process has it for too long, say.
    """
    try:
        yield connection
    except sqlite3.Error as error:
        raise JournalError(f"{path}: {error}") from error
    finally:
        connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    # it is used from worker threads, one at a time: whoever owns it sees to that
    return sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring a file up to date; whoever else wants to, waits, and finds that it is done."""
    version = _version(connection)
    if version > len(MIGRATIONS):
        raise InputError(
            f"is a journal of version {version}; this hookflash knows up to {len(MIGRATIONS)}",
            where=str(path),
            hint="take a newer hookflash, or another file",
        )
    if version == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    for number, script in enumerate(MIGRATIONS, 1):
        if number > _version(connection):
            for statement in script.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
    connection.execute("COMMIT")
