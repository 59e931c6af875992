"""A journal belongs to one process at a time."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import IO

from hookflash.errors import InUse
from hookflash.journal.database import JournalError, check_regular, lock_of, real_path


class Claim:
    """A journal locked for this process: two writers would number the steps twice.

    There are two locks, held until they are closed or the process ends: that of the file beside the
    journal, which also holds while the journal is replaced, and that of the journal itself, which
    holds by whatever name it is opened.
    """

    def __init__(self, path: Path) -> None:
        """Lock it.

        Raises:
            InUse: another process has the lock.
            JournalError: the lock file can't be written, or the journal is not a file.
        """
        self._path = real_path(path)
        check_regular(self._path)
        self._journal: IO[bytes] | None = None
        self._beside = self._lock(lock_of(path), "a+b")
        try:
            self.hold_file()
        except BaseException:
            self._beside.close()
            raise

    def hold_file(self) -> None:
        """Lock the journal itself, if there is one now."""
        if self._journal is None and self._path.exists():
            self._journal = self._lock(self._path, "rb")

    def first_bytes(self, count: int) -> bytes | None:
        """How the locked journal begins now; `None` if that is not known.

        It is read here, because SQLite's own locks on a file end when anybody in its process closes
        it, and because SQLite itself does not look at the disk for what it has in memory.
        """
        try:
            return os.pread(self._journal.fileno(), count, 0) if self._journal else None
        except OSError:
            return None

    def let_file_go(self) -> None:
        """Unlock the journal itself, to set it aside. SQLite must have closed it before."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def mark(self) -> None:
        """Note in the lock file that there was a journal of ours (see `is_ours`)."""
        if not self._beside.tell():
            with suppress(OSError):
                self._beside.write(b"hookflash journal\n")
                self._beside.flush()

    def close(self) -> None:
        """Unlock it."""
        self.let_file_go()
        self._beside.close()

    def _lock(self, file: Path, mode: str) -> IO[bytes]:
        try:
            held = file.open(mode)
        except OSError as error:
            raise JournalError(f"{file}: {error.strerror}") from error
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            held.close()
            raise InUse(
                "another hookflash process uses this journal",
                where=str(self._path),
                hint="stop it, or name another file",
            ) from error
        return held
