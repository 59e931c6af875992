"""One SQLite file: opened and migrated.

All migrations run in one transaction together with the version number (SQLite's `user_version`), so
that a crash leaves the file unchanged. A file of a newer hookflash is refused.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import IO, Final

import stamina

from hookflash.errors import HookflashError, InputError


class JournalError(HookflashError):
    """The journal can't be read or written now: the disk is full, for example."""

    http_status = 503


class Sync(StrEnum):
    """When a written step counts as safe."""

    FULL = "full"
    """When the disk has confirmed it: it survives a power cut."""
    NORMAL = "normal"
    """When the operating system has it: it survives a crash of our process."""


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
    """
    DROP TABLE tokens;
    ALTER TABLE keys ADD COLUMN read_only INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE secrets (
        name TEXT PRIMARY KEY,
        secret BLOB NOT NULL
    ) STRICT;
    """,
    """
    UPDATE steps SET accounts = '['  -- "|acme|other|" becomes ["acme", "other"]
        || CASE accounts WHEN '||' THEN ''
        ELSE replace(json_quote(substr(accounts, 2, length(accounts) - 2)), '|', '","') END
        || ']';
    CREATE TABLE accounts (
        id INTEGER PRIMARY KEY,
        name TEXT UNIQUE  -- NULL: every account
    ) STRICT;
    INSERT INTO accounts VALUES (0, NULL);
    INSERT INTO accounts (name) SELECT DISTINCT value FROM steps, json_each(steps.accounts);
    CREATE TABLE steps_of_account (
        account INTEGER NOT NULL REFERENCES accounts (id),
        number INTEGER NOT NULL,
        PRIMARY KEY (account, number)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO steps_of_account SELECT accounts.id, steps.number
        FROM steps, json_each(steps.accounts) AS one JOIN accounts ON accounts.name = one.value
        GROUP BY accounts.id, steps.number;
    INSERT INTO steps_of_account SELECT 0, number FROM steps WHERE kind LIKE 'switch.%';
    CREATE TABLE numbering (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        whole_from INTEGER NOT NULL  -- no step is missing from here on
    ) STRICT;
    INSERT INTO numbering SELECT 1, coalesce(max(number), 1) FROM steps AS step
        WHERE NOT EXISTS (SELECT 1 FROM steps AS before WHERE before.number = step.number - 1);
    CREATE TRIGGER step_added AFTER INSERT ON steps BEGIN
        INSERT OR IGNORE INTO accounts (name) SELECT value FROM json_each(new.accounts);
        INSERT OR IGNORE INTO steps_of_account SELECT accounts.id, new.number
            FROM json_each(new.accounts) AS one JOIN accounts ON accounts.name = one.value;
        INSERT INTO steps_of_account SELECT 0, new.number WHERE new.kind LIKE 'switch.%';
        UPDATE numbering SET whole_from = new.number WHERE whole_from < new.number
            AND NOT EXISTS (SELECT 1 FROM steps WHERE number = new.number - 1);
        END;
    CREATE TRIGGER step_deleted AFTER DELETE ON steps BEGIN
        DELETE FROM steps_of_account WHERE number = old.number AND account IN (SELECT accounts.id
            FROM json_each(old.accounts) AS one JOIN accounts ON accounts.name = one.value
            UNION SELECT 0);
        UPDATE numbering SET whole_from = old.number + 1 WHERE whole_from <= old.number;
        END;
    """,
)
"""Scripts that migrate a file from each version to the next. Each statement ends at the end of a
line. Never change a script; append a new one."""

BUSY_TIMEOUT_S: Final = 5.0
"""How long to wait for another process that is writing, such as `hookflash keys`."""


def open_database(path: Path, *, sync: Sync = Sync.FULL) -> sqlite3.Connection:
    """Open a journal for writing; create or migrate it if needed.

    Args:
        path: the file.
        sync: when a written step counts as safe.

    Raises:
        InputError: the file is not a journal, or of a newer hookflash.
        JournalError: it can't be opened or written.
    """
    with _errors_of(path), ExitStack() as undo:
        if not path.exists():  # private: it says who called whom
            with suppress(OSError):
                path.touch(mode=0o600)
        connection = _connect(path)
        undo.callback(connection.close)
        _write_ahead(connection)
        connection.execute(f"PRAGMA synchronous = {sync.value}")
        connection.execute("PRAGMA foreign_keys = ON")
        _check_is_journal(connection, path)
        _migrate(connection, path)
        undo.pop_all()
        return connection


@contextmanager
def _errors_of(path: Path) -> Generator[None]:
    """Translate SQLite's errors.

    Raises:
        JournalError: the disk, or another process, is at fault.
        InputError: the file is not a database.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        raise JournalError(f"{path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise InputError(
            f"is not a journal: {error}", where=str(path), hint="name a journal, or a new file"
        ) from error


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch the file to WAL mode, with retries.

    SQLite's own timeout (`BUSY_TIMEOUT_S`) does not apply here: if two processes change the mode at
    once, one of them fails immediately.
    """
    for attempt in stamina.retry_context(
        on=is_locked, attempts=None, timeout=BUSY_TIMEOUT_S, wait_initial=0.01, wait_max=0.1
    ):
        with attempt:
            connection.execute("PRAGMA journal_mode = WAL")


def is_locked(error: Exception) -> bool:
    """Whether another process has locked the file."""
    code = error.sqlite_errorcode if isinstance(error, sqlite3.Error) else 0
    return code & 0xFF == sqlite3.SQLITE_BUSY  # the higher bits give the reason


def _check_is_journal(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse the SQLite files of other programs.

    Raises:
        InputError: the file has tables, but not ours.
    """
    tables = {str(name) for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    if tables and "steps" not in tables:
        raise InputError(
            "is another program's file", where=str(path), hint="name a journal, or a new file"
        )


def claim(path: Path) -> IO[bytes]:
    """Lock a journal for this process: two writers would number the steps twice.

    Returns:
        The lock file, locked until it is closed or the process ends.

    Raises:
        InputError: another process has the lock, or the folder does not exist.
        JournalError: the lock file can't be written.
    """
    lock = path.with_name(path.name + ".lock")
    if not path.parent.is_dir():
        raise InputError(
            f"the folder {path.parent} does not exist",
            where=str(path),
            hint="create it, or name another file",
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
            "another hookflash process uses this journal",
            where=str(path),
            hint="stop it, or name another file",
        ) from error
    return held


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open a journal read-only; another process may be writing.

    Raises:
        InputError: the file does not exist, is not a journal, or is of another version.
        JournalError: it can't be opened.
    """
    if not path.is_file():
        raise InputError("there is no such journal", where=str(path), hint="name a journal")
    with _errors_of(path), ExitStack() as undo:
        connection = _connect(path)
        undo.callback(connection.close)
        connection.execute("PRAGMA query_only = ON")
        _check_is_journal(connection, path)
        version = _version(connection)
        if version != len(MIGRATIONS):
            raise InputError(
                f"is a journal of version {version}; this hookflash reads {len(MIGRATIONS)}",
                where=str(path),
                hint="run hookflash serve once to migrate it, or install a newer hookflash",
            )
        undo.pop_all()
        return connection


@contextmanager
def using(connection: sqlite3.Connection, path: Path) -> Generator[sqlite3.Connection]:
    """Use an open journal, and close it afterwards. Errors name the file.

    Raises:
        JournalError: it can't be read or written now.
        InputError: something in it can't be read or found.
    """
    try:
        yield connection
    except sqlite3.Error as error:
        raise JournalError(f"{path}: {error}") from error
    except InputError as error:
        where = f"{path}: {error.where}".removesuffix(": ")
        raise InputError(error.what, where=where, hint=error.hint) from error
    finally:
        connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    # worker threads use it, one at a time
    return sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Migrate a file. Other processes wait meanwhile."""
    version = _version(connection)
    if version > len(MIGRATIONS):
        raise InputError(
            f"is a journal of version {version}; this hookflash reads up to {len(MIGRATIONS)}",
            where=str(path),
            hint="install a newer hookflash, or name another file",
        )
    if version == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    for number, script in enumerate(MIGRATIONS, 1):
        if number > _version(connection):
            for statement in _statements(script):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
    connection.execute("COMMIT")


def _statements(script: str) -> Iterator[str]:
    """The statements of a script. SQLite's own `executescript` would commit."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
