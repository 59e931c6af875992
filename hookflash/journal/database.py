"""One SQLite file: opened and migrated.

All migrations run in one transaction together with the version number (SQLite's `user_version`), so
that a crash leaves the file unchanged. A file of a newer hookflash is refused.
"""

from __future__ import annotations

import logging
import mmap
import os
import sqlite3
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from enum import StrEnum
from functools import cache
from pathlib import Path
from stat import S_ISREG
from typing import Final

import stamina
import structlog

from hookflash.errors import HookflashError, InputError
from hookflash.journal.rows import JournalConnection
from hookflash.journal.schema import MIGRATIONS

log = structlog.wrap_logger(logging.getLogger("hookflash.journal"))


class JournalError(HookflashError):
    """The journal can't be read or written now: the disk is full, for example."""

    http_status = 503


class DamagedJournal(JournalError):
    """A journal that SQLite can't read any more, or only in part."""

    def __init__(self, path: Path, why: str, *, hides_steps: bool = False) -> None:
        """Name the file and the damage.

        Args:
            path: the file.
            why: what is wrong.
            hides_steps: whether SQLite reads it without a hint that steps are missing at its end.
        """
        super().__init__(
            f"{path}: {why}",
        )
        self.why = why
        self.hides_steps = hides_steps


class Sync(StrEnum):
    """When a written step counts as safe."""

    FULL = "full"
    """When the disk has confirmed it: it survives a power cut."""
    NORMAL = "normal"
    """When the operating system has it: it survives a crash of our process."""


BUSY_TIMEOUT_S: Final = 5.0
"""How long to wait for another process that is writing, such as `hookflash keys`."""


def open_database(path: Path, *, sync: Sync = Sync.FULL) -> sqlite3.Connection:
    """Open a journal for writing; create or migrate it if needed.

    Args:
        path: the file.
        sync: when a written step counts as safe.

    Raises:
        InputError: the file is not a journal, or of a newer hookflash.
        DamagedJournal: it is damaged.
        JournalError: it can't be opened or written.
    """
    path = real_path(path)
    with _errors_of(path), ExitStack() as undo:
        if not path.exists():  # private: it says who called whom
            with suppress(OSError):
                path.touch(mode=0o600)
        connection = _connect(path)
        undo.callback(connection.close)
        _check_is_journal(connection, path)  # before anything is changed
        _write_ahead(connection)
        connection.execute(f"PRAGMA synchronous = {sync.value}")
        connection.execute("PRAGMA foreign_keys = ON")
        _migrate(connection, path)
        _check_tables(connection, path)
        undo.pop_all()
        return connection


@contextmanager
def _errors_of(path: Path) -> Generator[None]:
    """Translate SQLite's errors.

    Raises:
        DamagedJournal: the file was a journal.
        JournalError: the disk, or another process, is at fault.
        InputError: the file is another program's, or none.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise JournalError(f"{path}: {error}") from error
        if is_ours(path):
            raise DamagedJournal(path, str(error)) from error
        raise InputError(
            f"is not a journal: {error}", where=str(path), hint="name a journal, or a new file"
        ) from error


def is_damage(error: Exception) -> bool:
    """Whether SQLite has found a file that is damaged, or none of its own."""
    code = error.sqlite_errorcode if isinstance(error, sqlite3.Error) else 0
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


_OUR_SCHEMA: Final = MIGRATIONS[0].strip().split("\n        at ")[0].encode()
"""The schema is in the file as text: this is the beginning of its first table."""

_LOOKED_AT: Final = 8192
"""Bytes at the beginning of a file that show whether it is a text."""


def is_ours(path: Path) -> bool:
    """Whether a file that SQLite can't read was a journal.

    It was one if our schema is in it, or if our lock beside it says that it was used as one. A text
    never was.
    """
    try:
        with path.open("rb") as file:
            if b"\0" not in file.read(_LOOKED_AT):
                return False
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                if content.find(_OUR_SCHEMA) >= 0:
                    return True
        return bool(lock_of(path).read_bytes())
    except (OSError, ValueError):
        return False


def real_path(path: Path) -> Path:
    """The one path of a journal, by whatever name it is opened: so its companions are the same."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # links in a circle
        return path.absolute()


def check_regular(path: Path) -> None:
    """Check that a journal and what is beside it are files, or not there.

    To open a pipe or a device means to wait for it, and nobody can stop that.

    Raises:
        JournalError: one of them is something else.
    """
    for one in (path, *companions(path), lock_of(path)):
        try:
            is_file = S_ISREG(one.stat().st_mode)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise JournalError(f"{one}: {error.strerror}") from error
        if not is_file:
            raise JournalError(f"{one}: is not a regular file")


def companions(path: Path) -> tuple[Path, Path]:
    """The files that belong to an open database: its `-wal` and its `-shm`."""
    return path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")


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


def lock_of(path: Path) -> Path:
    """The lock file of a journal. It stays when the journal is set aside or deleted."""
    real = real_path(path)
    return real.with_name(f"{real.name}.lock")


def open_for_reading(path: Path) -> JournalConnection:
    """Open a journal read-only; another process may be writing.

    Raises:
        InputError: the file does not exist, is not a journal, or is of another version.
        DamagedJournal: it is damaged.
        JournalError: it can't be opened.
    """
    path = real_path(path)
    if not path.is_file():
        raise InputError("there is no such journal", where=str(path), hint="name a journal")
    with _errors_of(path), ExitStack() as undo:
        # the last one that closes a file tidies up, and must not do so in a journal that has taken
        # its place meanwhile: so nobody may who only reads
        may_tidy_up = not companions(path)[1].exists() and os.access(path.parent, os.W_OK)
        connection = _connect(path) if may_tidy_up else connect_read_only(path)
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
        _check_tables(connection, path)
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


def _connect(path: Path | None, options: str = "") -> JournalConnection:
    """Connect to a file, or to an empty database in memory.

    Raises:
        JournalError: it is not a file.
        sqlite3.Error: it can't be opened.
    """
    if path is not None:
        check_regular(path)
    connection = sqlite3.connect(
        f"{path.as_uri()}?{options}" if path is not None else ":memory:",
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,  # worker threads use it, one at a time
        factory=JournalConnection,
        uri=path is not None,
    )
    connection.unreadable = {}
    connection.text_factory = _text_of  # a damaged row is no error of the whole query
    return connection


def _text_of(data: bytes) -> str:
    return data.decode(errors="replace")


def connect_read_only(path: Path) -> JournalConnection:
    """Open a file that this connection never changes, even if the disk is read-only.

    Raises:
        JournalError: it is not a file.
        sqlite3.Error: it can't be read.
    """
    for options in ("mode=ro", "mode=ro&immutable=1"):  # the second: its -shm can't be made
        connection = _connect(path, options)
        try:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        except sqlite3.OperationalError:
            connection.close()
            if options.endswith("=1"):
                raise
        except BaseException:
            connection.close()
            raise
        else:
            connection.is_frozen = options.endswith("=1")
            return connection
    raise AssertionError


def open_in_memory() -> sqlite3.Connection:
    """An empty journal in memory."""
    connection = _connect(None)
    _migrate(connection, Path(":memory:"))
    return connection


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


def _check_tables(connection: sqlite3.Connection, path: Path) -> None:
    """Check that the tables and triggers of this release are there. There may be others.

    Raises:
        DamagedJournal: one is missing, or is something else, such as a view.
        InputError: the file is another program's.
    """
    missing = _tables_of_this_release() - _tables_in(connection)
    if missing and not is_ours(path):
        raise InputError(
            "is another program's file", where=str(path), hint="name a journal, or a new file"
        )
    if missing:
        raise DamagedJournal(path, f"it has no {', '.join(sorted(missing))} as it should be")


@cache
def _tables_of_this_release() -> frozenset[str]:
    with closing(open_in_memory()) as fresh:
        return _tables_in(fresh)


def _tables_in(connection: sqlite3.Connection) -> frozenset[str]:
    """Tables with their columns, and triggers."""
    query = "SELECT type, name FROM sqlite_schema WHERE type IN ('table', 'trigger')"
    return frozenset(
        f"{kind} {name} ({_columns_of(connection, name)})"
        for kind, name in connection.execute(query)
    )


def _columns_of(connection: sqlite3.Connection, table: str) -> str:
    query = "SELECT name, type FROM pragma_table_info(?)"
    return ", ".join(f"{name} {kind}" for name, kind in connection.execute(query, (table,)))


def _statements(script: str) -> Iterator[str]:
    """The statements of a script. SQLite's own `executescript` would commit."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
