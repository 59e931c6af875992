"""The journal's file, kept usable whatever becomes of it.

A file that is damaged, at the start or under way, is set aside, and a new one takes its place, with
the keys, the feature codes and the transfers in flight, and with numbers that continue. While no
file can be opened (a read-only disk, a folder that can't be written), what can be read stays
readable, and each write fails until the file can be opened again.

Everything here blocks; `journal` calls it in worker threads. One thread writes, and one reads.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, TypeVar

import attrs
import structlog

from hookflash.errors import InputError
from hookflash.journal import history
from hookflash.journal.claim import Claim
from hookflash.journal.damage import (
    SQLITE_HEADER,
    check_contents,
    check_file,
    is_intact,
    set_aside,
)
from hookflash.journal.database import (
    DamagedJournal,
    JournalError,
    Sync,
    companions,
    connect_read_only,
    is_damage,
    open_database,
    open_for_reading,
    open_in_memory,
    real_path,
)
from hookflash.journal.rows import JournalConnection
from hookflash.journal.salvage import Salvage, open_damaged, restore, salvage

log = structlog.wrap_logger(logging.getLogger("hookflash.journal"))

MILLISECONDS: Final = 1000

Found = TypeVar("Found")


@attrs.frozen(kw_only=True)
class SetAside:
    """A journal that was set aside."""

    file: Path | None
    """Its new name; `None`: it was deleted by somebody else."""
    why: str

    def __str__(self) -> str:
        kept = f"it is kept as {self.file.name}" if self.file else "nothing of it is left"
        return f"a new journal was begun, because {self.why}; {kept}"


class JournalFile:
    """A journal's file, opened for one writer and one reader."""

    def __init__(self, path: Path, *, sync: Sync, now: Callable[[], float]) -> None:
        """Open it.

        Args:
            path: the file.
            sync: when a written step counts as safe.
            now: the time of day, in seconds since 1970.

        Raises:
            InputError: the file is not a journal, is of a newer release, or is in use.
        """
        self.path = real_path(path)
        self.fault: str | None = None
        """Why it can't be opened; `None`: it is open."""
        self.set_aside: tuple[SetAside, ...] = ()
        """The journals that were set aside since the start."""
        self.last = 0
        """The number of the last safe step; its user keeps it up to date."""
        self._sync, self._now = sync, now
        self._claim: Claim | None = None
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._reading = threading.Lock()
        self._suspicion: str | None = None
        self._carried: Salvage | None = None
        self._is_begun = False
        self._identity: tuple[int, int] | None = None
        self._identity_of_wal: tuple[int, int] | None = None
        self._bytes = 0
        try:
            self._open_or_explain()
        except JournalError:
            pass  # see `fault`; it is retried with every write
        except BaseException:
            self.close()
            raise
        self._is_begun = True

    # ------------------------------------------------------------------ its users

    def change(self, change: Callable[[sqlite3.Connection], Found]) -> Found:
        """Run a write; if the file turns out to be damaged, in the one that takes its place.

        Raises:
            JournalError: it can't be opened.
            sqlite3.Error: it can't be written.
        """
        writer = self._usable_writer()
        try:
            return change(writer)
        except sqlite3.DatabaseError as error:
            if writer.in_transaction:
                with suppress(sqlite3.Error):
                    writer.execute("ROLLBACK")
            if not is_damage(error):
                raise
            self._suspicion = f"it is damaged: {error}"
            return change(self._usable_writer())

    def read(self, look: Callable[[sqlite3.Connection], Found]) -> Found:
        """Run a query.

        Raises:
            JournalError: it can't be opened.
            sqlite3.Error: it can't be read.
        """
        with self._reading:
            if self._reader is None:
                raise JournalError(self.fault or f"{self.path} is closed")
            try:
                return look(self._reader)
            except sqlite3.DatabaseError as error:
                if is_damage(error):  # the writer replaces it
                    self._suspicion = f"it is damaged: {error}"
                raise

    def examine(self) -> None:
        """Read all pages, on a connection of its own. A damaged file is replaced at the next write.

        Readers in other processes can't report what they find.
        """
        with (
            suppress(sqlite3.Error, OSError, JournalError),
            closing(connect_read_only(self.path)) as connection,
        ):
            if not is_intact(connection):
                self._suspicion = "it is damaged: see hookflash journal check"

    @property
    def unreadable(self) -> dict[str, str]:
        """The rows that were left out because they can't be read, and why."""
        both = [one for one in (self._writer, self._reader) if isinstance(one, JournalConnection)]
        return {row: why for one in both for row, why in tuple(one.unreadable.items())}

    def close(self) -> None:
        """Close it, the writer last: it tidies up."""
        with self._reading:
            self._close_reader()
        self._close_writer()
        if self._claim is not None:
            self._claim.close()
            self._claim = None

    # ------------------------------------------------------------------ opening

    def _usable_writer(self) -> sqlite3.Connection:
        if self._writer is not None:
            try:
                why = self._suspicion or self._change_from_outside()
                if why is not None:
                    self._replace(self._writer, why)
            except OSError as error:
                raise JournalError(f"{self.path}: {error}") from error
        return self._writer or self._open_or_explain()

    def _open_or_explain(self) -> sqlite3.Connection:
        """Open the file; if it can't be opened, keep readable what can be read.

        Raises:
            InputError: the file is not a journal, at the start.
            JournalError: it can't be opened.
        """
        try:
            writer = self._open()
        except (JournalError, InputError, OSError) as error:
            if isinstance(error, InputError) and not self._is_begun:
                raise
            self.fault = f"{self.path}: {error}" if isinstance(error, OSError) else str(error)
            if self._reader is None:
                self._read_what_there_is()
            raise JournalError(self.fault) from error
        self.fault = None
        return writer

    def _open(self) -> sqlite3.Connection:
        """Open the file, or a new one in its place."""
        if self._claim is None:
            self._claim = Claim(self.path)
        try:
            check_file(self.path)
            return self._open_writer()
        except DamagedJournal as damage:
            with open_damaged(self.path) as connection:
                found = salvage(connection) if connection is not None else Salvage()
            self._carried = self._carried or found
            if not self._is_begun:
                self.last = found.last
                if damage.hides_steps or not found.is_all:
                    self.last = max(found.last, self._number_by_the_clock())
            self._put_aside(damage.why)
            return self._open_writer()

    def _number_by_the_clock(self) -> int:
        """A number that no step can have yet.

        For a journal whose end can't be read. No service makes a thousand steps a second for years.
        """
        return int(self._now() * MILLISECONDS)

    def _open_writer(self) -> sqlite3.Connection:
        writer = open_database(self.path, sync=self._sync)
        try:
            self._adopt(writer)
        except BaseException as error:
            writer.close()
            if isinstance(error, sqlite3.Error) and is_damage(error):
                raise DamagedJournal(self.path, str(error)) from error
            if isinstance(error, sqlite3.Error):
                raise JournalError(f"{self.path}: {error}") from error
            raise
        return writer

    def _adopt(self, writer: sqlite3.Connection) -> None:
        """Check a file that was opened, put into it what was carried over, and use it."""
        check_contents(writer, self.path)
        check_writable(writer)
        last = history.last_number(writer)
        if self._is_begun and last > self.last:
            raise DamagedJournal(self.path, "it has numbers that were given to other steps")
        if self._carried is not None:
            restore(writer, self._carried, last=self.last)
        self.last = history.last_number(writer)
        with self._reading:
            self._close_reader()
            self._reader = open_for_reading(self.path)
        self._identity, self._bytes = _identity_of(self.path), self.path.stat().st_size
        self._identity_of_wal = _identity_of(companions(self.path)[0])
        self._writer, self._carried, self._suspicion = writer, None, None
        if self._claim is not None:
            self._claim.hold_file()
            self._claim.mark()

    def _read_what_there_is(self) -> None:
        """Without a file that can be written, make readable what can be read of it."""
        with self._reading, suppress(JournalError, InputError, sqlite3.Error):
            self._reader = open_for_reading(self.path)
            check_contents(self._reader, self.path)
            self.last = max(self.last, history.last_number(self._reader))
            return
        with open_damaged(self.path) as connection:
            found = salvage(connection) if connection is not None else Salvage()
        found = self._carried or found
        if not self._is_begun and _may_be_there(self.path):
            self.last = max(self.last, found.last, self._number_by_the_clock())
        with self._reading:
            self._close_reader()
            self._reader = open_in_memory()
            restore(self._reader, found, last=self.last)

    # ------------------------------------------------------------------ replacing

    def _change_from_outside(self) -> str | None:
        """What somebody has done to the file since it was opened."""
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            return "it was deleted"
        except OSError:
            return None  # the disk; the write will say so
        if _identity_of(self.path) != self._identity:
            return "it was replaced by another file"
        if not companions(self.path)[0].exists():
            return "its -wal was deleted"
        return self._damage_from_outside(size)

    def _damage_from_outside(self, size: int) -> str | None:
        before, self._bytes = self._bytes, size
        if size < before and self._writer is not None and not is_intact(self._writer):
            return f"it was truncated from {before} to {size} bytes"  # a VACUUM shrinks it, too
        begins = self._claim.first_bytes(len(SQLITE_HEADER)) if self._claim else None
        if begins and begins != SQLITE_HEADER:
            return "it does not begin like a database any more"
        return None

    def _replace(self, writer: sqlite3.Connection, why: str) -> None:
        """Close a file that can't be used any more, and set it aside."""
        with suppress(sqlite3.Error):  # a -wal that was deleted is still open
            writer.execute("PRAGMA wal_checkpoint")
        self._carried = salvage(writer)
        is_there = _identity_of(self.path) == self._identity
        has_wal = _identity_of(companions(self.path)[0]) == self._identity_of_wal
        # in this order: only the last one that closes a file writes into it, and the reader can't
        self._close_writer()
        with self._reading:
            self._close_reader()
        self._suspicion = None
        if is_there:
            self._put_aside(why)
        else:
            if has_wal:  # it must not be taken for that of the next file
                set_aside(self.path, now=self._now(), only_companions=True)
            self._note(SetAside(file=None, why=why))

    def _put_aside(self, why: str) -> None:
        if self._claim is not None:
            self._claim.let_file_go()
        self._note(SetAside(file=set_aside(self.path, now=self._now()), why=why))

    def _note(self, one: SetAside) -> None:
        self.set_aside = (*self.set_aside, one)
        log.error(
            "journal.set_aside",
            file=str(self.path),
            why=one.why,
            kept_as=str(one.file) if one.file else None,
            carried_over=str(self._carried),
            hint="hookflash journal repair reads what can be read of it",
        )

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def _identity_of(path: Path) -> tuple[int, int] | None:
    """What tells a file from others of the same name; `None` if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _may_be_there(path: Path) -> bool:
    """Whether there is such a file, or may be one: on a volume that is not mounted yet."""
    try:
        path.lstat()
    except FileNotFoundError:
        return _identity_of(path.parent) is None
    except OSError:
        return True
    return True


def check_writable(connection: sqlite3.Connection) -> None:
    """Check that a journal can be written, by writing what is there.

    Raises:
        sqlite3.Error: it can't be written.
    """
    connection.execute("UPDATE numbering SET whole_from = whole_from")
