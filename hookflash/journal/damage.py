"""A damaged journal: how it is recognized, and how it is set aside.

A file is set aside by renaming it, with its `-wal` and `-shm`, so that SQLite can still read it
under its new name. It is never deleted or overwritten. A file that is not ours is never renamed.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from hookflash.journal import history, registry, transfers
from hookflash.journal.database import (
    DamagedJournal,
    JournalError,
    check_regular,
    companions,
    is_damage,
    is_ours,
)

SQLITE_HEADER: Final = b"SQLite format 3\0"
"""How every SQLite file begins."""

WAL_HEADERS: Final = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
"""How every `-wal` begins. SQLite empties one that begins otherwise."""


def check_file(path: Path) -> None:
    """Check what SQLite does not: the first bytes of a journal and of its `-wal`.

    Raises:
        DamagedJournal: they are not those of a database, and the file is ours.
        JournalError: it can't be read.
    """
    check_regular(path)
    if not path.exists():
        return
    begins, wal_begins = _first_bytes(path), _first_bytes(companions(path)[0])
    if begins and not begins.startswith(SQLITE_HEADER) and is_ours(path):
        raise DamagedJournal(path, "it does not begin like a database")
    if wal_begins and not wal_begins.startswith(WAL_HEADERS) and is_ours(path):
        raise DamagedJournal(path, "its -wal does not begin like one", hides_steps=True)


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(32)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror}") from error


def set_aside(path: Path, *, now: float, only_companions: bool = False) -> Path:
    """Rename a journal, with its `-wal` and `-shm`. Nobody in this process may have it open.

    Args:
        path: the journal.
        now: the time of day, in seconds since 1970.
        only_companions: leave what is there now under the journal's name.

    Returns:
        Its new name.

    Raises:
        JournalError: it can't be renamed.
    """
    aside = _free_name(path, now)
    # the file last: if that fails, it is still found here
    renamed = [*zip(companions(path), companions(aside), strict=True), (path, aside)]
    try:
        for old, new in renamed[:-1] if only_companions else renamed:
            with suppress(FileNotFoundError):
                old.rename(new)
    except OSError as error:
        raise JournalError(f"{path} can't be set aside: {error.strerror}") from error
    return aside


def _free_name(path: Path, now: float) -> Path:
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    name, count = f"{path.name}.set-aside-{stamp}", 1
    while any(one.exists() for one in (path.with_name(name), *companions(path.with_name(name)))):
        count += 1
        name = f"{path.name}.set-aside-{stamp}-{count}"
    return path.with_name(name)


def is_intact(connection: sqlite3.Connection) -> bool:
    """Whether SQLite finds all pages in order. Takes a second for each 500 MB."""
    try:
        return connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    except sqlite3.Error as error:
        return not is_damage(error)  # else it is the disk, or another process


def check_contents(connection: sqlite3.Connection, path: Path) -> None:
    """Read all that a service begins with. Single rows that can't be read are left out.

    Raises:
        DamagedJournal: what is in its tables makes no sense.
        sqlite3.Error: it can't be read.
    """
    try:
        registry.list_keys(connection)
        registry.stored_secret(connection)
        registry.stored_metaflows(connection)
        transfers.unfinished(connection)
        transfers.ended_lately(connection)
        history.whole_from(connection)
        history.last_number(connection)
    except sqlite3.Error:
        raise
    except Exception as error:
        raise DamagedJournal(path, f"its tables make no sense: {error}") from error
