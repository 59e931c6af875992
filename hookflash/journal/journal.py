"""The journal at work: it writes in the background and never blocks the engine.

The engine hands over a record and goes on. A background task writes all records that have
accumulated in one transaction, in a worker thread. The busier the engine, the larger the
transactions, so the journal always catches up.

A caller that needs certainty waits until a number is `settled`. A step is published only after it
was written, so a crash never revokes what a subscriber has seen.

**When the disk fails or hangs, calls go on.** Unwritten steps are kept in memory up to a limit, and
writing is retried once a second. Meanwhile steps are published as they come, transfer requests do
not wait, and `fault` describes the problem. Beyond the limit the oldest steps are dropped and
counted.
"""

from __future__ import annotations

import itertools
import logging
import sqlite3
from collections import deque
from collections.abc import AsyncGenerator, Callable, Reversible, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import attrs
import structlog
import trio

from hookflash.engine.record import Record
from hookflash.errors import InputError
from hookflash.journal import history
from hookflash.journal.database import JournalError, Sync
from hookflash.journal.file import JournalFile, SetAside, check_writable
from hookflash.journal.pruning_clock import (
    DAY_S,
    Belief,
    PruningClock,
    store_belief,
    stored_belief,
)
from hookflash.journal.step import StoredStep, step_of
from hookflash.journal.threads import InThread, in_thread

log = structlog.wrap_logger(logging.getLogger("hookflash.journal"))

MOST_AT_ONCE: Final = 2_000
"""Steps in one transaction: about 20 ms of work."""

MOST_WAITING: Final = 100_000
"""Steps kept in memory while the disk fails: about 100 MB, or half an hour of a busy service."""

RETRY_S: Final = 1.0
"""Time until a failed write is retried."""

FINISH_LIMIT_S: Final = 30.0
"""How long a stop waits for the last steps to be written."""

STALLED_S: Final = 5.0
"""A write that takes longer is reported as a hanging disk. A busy disk needs half a second; callers
do not notice a wait of up to 5 s."""

LOOK_AFTER_EVERY_S: Final = 5.0
"""How often the file is looked after while nothing is written."""

EXAMINE_EVERY_S: Final = 6 * 3600.0
"""How often the whole file is read to find damage: about a second for each 500 MB."""

PRUNE_EVERY_S: Final = 3600.0

Found = TypeVar("Found")


@attrs.frozen(kw_only=True)
class JournalSettings:
    """The journal's file and options."""

    file: Path
    sync: Sync = Sync.FULL
    keep_days: float = 0.0
    """Steps and ended transfers older than this are deleted; 0: never."""
    masks_digits: bool = True
    """Whether the keys that people press are masked."""


class Journal:
    """A journal. Open it with `open_journal`."""

    def __init__(
        self, settings: JournalSettings, *, now: Callable[[], float], run: InThread = in_thread
    ) -> None:
        self.settings = settings
        self.now = now
        """The time of day, in seconds since 1970."""
        self._run = run
        self._file = JournalFile(settings.file, sync=settings.sync, now=now)
        self._writing = trio.Lock()
        self._reading = trio.Lock()
        self._waiting: deque[StoredStep] = deque()
        self._batch: list[StoredStep] = []
        """The steps that are being written."""
        self._of_transfers: dict[str, deque[StoredStep]] = {}
        """The same and the waiting ones, by transfer."""
        self._come = trio.Event()
        self._settled = trio.Event()
        self._subscribers: list[Callable[[tuple[StoredStep, ...]], None]] = []
        self.fault: str | None = None
        """Why nothing can be written now; `None`: the journal works."""
        if self._file.fault is not None:
            self._report_fault(self._file.fault)
        self.lost = 0
        """How many steps were dropped because the disk failed for too long."""
        self.written = self._file.last
        """The number of the last safe step."""
        self.published = self.written
        """The number of the last published step."""

    # ------------------------------------------------------------------ the engine's side

    def take(self, record: Record) -> None:
        """Accept a record. Returns at once, whatever the disk does."""
        step = step_of(record, masks_digits=self.settings.masks_digits)
        self._waiting.append(step)
        if step.transfer is not None:
            self._of_transfers.setdefault(step.transfer, deque()).append(step)
        self._come.set()
        if len(self._waiting) > MOST_WAITING:
            self._waits_no_more(self._waiting.popleft())
            self.lost += 1

    def _waits_no_more(self, step: StoredStep) -> None:
        steps = self._of_transfers.get(step.transfer or "")
        while steps and steps[0].number <= step.number:
            steps.popleft()
        if step.transfer is not None and not steps:
            self._of_transfers.pop(step.transfer, None)

    def subscribe(self, receive: Callable[[tuple[StoredStep, ...]], None]) -> None:
        """Call `receive` with all steps, in order, as soon as they are safe."""
        self._subscribers.append(receive)

    def unsubscribe(self, receive: Callable[[tuple[StoredStep, ...]], None]) -> None:
        """Call `receive` no more."""
        self._subscribers.remove(receive)

    async def settled(self, number: int) -> None:
        """Wait until a step is safe, or until the disk has failed."""
        while self.published < number:
            await self._settled.wait()

    def unwritten(self) -> tuple[StoredStep, ...]:
        """Steps that were published but are not in the file."""
        steps = (*self._batch, *self._waiting)
        new = itertools.takewhile(lambda step: step.number > self.published, reversed(steps))
        return steps[: len(steps) - sum(1 for _ in new)]  # most often that is nothing

    def unwritten_of(self, transfer: str) -> tuple[StoredStep, ...]:
        """Those of a transfer, however many others there are."""
        steps = self._of_transfers.get(transfer, ())
        return tuple(step for step in steps if step.number <= self.published)

    @property
    def set_aside(self) -> tuple[SetAside, ...]:
        """The journals that were set aside since the start, because they could not be used."""
        return self._file.set_aside

    @property
    def unreadable(self) -> dict[str, str]:
        """The rows that were left out because they can't be read, and why."""
        return self._file.unreadable

    @property
    def waiting(self) -> int:
        """How many steps wait to be written."""
        return len(self._batch) + len(self._waiting)

    # ------------------------------------------------------------------ the service's side

    async def read(self, look: Callable[[sqlite3.Connection], Found]) -> Found:
        """Run a query.

        Raises:
            JournalError: the journal, or something in it, can't be read.
        """
        async with self._reading:
            try:
                return await self._run(lambda: self._file.read(look))
            except sqlite3.Error as error:
                raise JournalError(f"the journal can't be read: {error}") from error
            except InputError as error:
                raise JournalError(f"{self.settings.file}: {error}") from error

    async def change(self, change: Callable[[sqlite3.Connection], Found]) -> Found:
        """Run a write: steps, keys, feature codes or answers.

        Raises:
            JournalError: it can't be written.
        """
        async with self._writing:
            try:
                return await self._run(lambda: self._file.change(change))
            except sqlite3.Error as error:
                raise JournalError(f"the journal can't be written: {error}") from error

    # ------------------------------------------------------------------ background tasks

    async def run(self) -> None:
        """Write steps as they come, until cancelled."""
        while True:
            await self._come.wait()
            self._come = trio.Event()
            while self._waiting and await self._write_some():
                pass
            if self._waiting:
                await self._wait_for_the_disk()

    async def _wait_for_the_disk(self) -> None:
        """Publish steps without writing them, until it is time to retry."""
        with trio.move_on_after(RETRY_S):
            await self._publish_what_comes()
        self._come.set()

    async def _write_some(self) -> bool:
        """Write one batch of the waiting steps.

        Returns:
            Whether it was written.
        """
        self._batch = [
            self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_AT_ONCE))
        ]
        written = False
        try:
            async with trio.open_nursery() as beside:
                beside.start_soon(self._watch_the_disk)
                written = await self._write(self._batch)
                beside.cancel_scope.cancel()
        finally:
            batch, self._batch = self._batch, []
            if written:
                self._have_written(batch)
            else:
                self._waiting.extendleft(reversed(batch))
        return written

    def _have_written(self, batch: Sequence[StoredStep]) -> None:
        self._report_recovery()
        self.written = self._file.last = batch[-1].number
        for step in batch:
            self._waits_no_more(step)
        self._publish(batch)

    async def _write(self, batch: Sequence[StoredStep]) -> bool:
        try:
            await self.change(partial(history.write, steps=batch))
        except JournalError as error:
            self._report_fault(str(error))
            return False
        return True

    async def _watch_the_disk(self) -> None:
        """If a write takes too long, publish without waiting for it."""
        await trio.sleep(STALLED_S)
        self._report_fault(f"the disk has not answered for {STALLED_S:.0f} s")
        await self._publish_what_comes()

    def _report_fault(self, why: str) -> None:
        if self.fault is None:
            log.error("journal.failed", why=why, effect="calls go on; steps are kept in memory")
        self.fault = why

    def _report_recovery(self) -> None:
        if self.fault is not None:
            log.warning("journal.recovered", lost=self.lost)
            self.fault = None

    async def look_after(self) -> None:
        """Notice what happens to the file while nothing is written, until cancelled."""
        while True:
            await trio.sleep(LOOK_AFTER_EVERY_S)
            try:
                await self.change(check_writable if self.fault is not None else _look)
            except JournalError as error:
                if not self.waiting:  # else the writer reports it
                    self._report_fault(str(error))
            else:
                if not self.waiting:
                    self._report_recovery()

    async def examine(self) -> None:
        """Look for damage in the whole file once in a while, until cancelled."""
        while True:
            await trio.sleep(EXAMINE_EVERY_S)
            with suppress(sqlite3.Error):
                await self._run(self._file.examine)

    async def _publish_what_comes(self) -> None:
        """Publish steps as they come, unwritten."""
        while True:
            self._publish(
                self._waiting if self._is_published(self._batch) else [*self._batch, *self._waiting]
            )
            await self._come.wait()
            self._come = trio.Event()

    def _is_published(self, steps: Sequence[StoredStep]) -> bool:
        return not steps or steps[-1].number <= self.published

    def _publish(self, unread: Reversible[StoredStep]) -> None:
        """Publish steps, except those that were published before."""
        new = itertools.takewhile(lambda step: step.number > self.published, reversed(unread))
        steps = tuple(new)[::-1]
        if not steps:
            return
        self.published = steps[-1].number
        for receive in tuple(self._subscribers):
            receive(steps)
        self._settled.set()
        self._settled = trio.Event()

    async def prune(self) -> None:
        """Delete what is older than `keep_days` once an hour, until cancelled.

        The time that is believed is stored in any case: `hookflash journal prune` needs it, too.
        """
        clock: PruningClock | None = None
        while True:
            try:
                clock = clock or await self._pruning_clock()
                await self._prune(clock)
            except JournalError as error:
                log.warning("journal.prune_failed", why=str(error))
            await trio.sleep(PRUNE_EVERY_S)

    async def _prune(self, clock: PruningClock) -> None:
        now = clock.believed(self.now(), running_s=trio.current_time())
        await self.change(partial(store_belief, belief=clock.belief))
        keep_s = self.settings.keep_days * DAY_S
        prune = partial(history.prune, before=now - keep_s)
        while keep_s and not (await self.change(prune)).is_all:
            pass

    async def _pruning_clock(self) -> PruningClock:
        """A clock that goes on from the time that was believed last.

        Raises:
            JournalError: that can't be read now.
        """
        belief = await self.read(stored_belief) or Belief(time=self.now())
        return PruningClock(belief, running_s=trio.current_time())

    async def finish(self) -> None:
        """Write the waiting steps, without a retry, and close the file."""
        try:
            while self._waiting and await self._write_some():
                pass
        finally:
            self._file.close()


def _look(_: sqlite3.Connection) -> None:
    """Change nothing: whoever changes something has a look at the file first."""


@asynccontextmanager
async def open_journal(
    settings: JournalSettings, *, now: Callable[[], float], run: InThread = in_thread
) -> AsyncGenerator[Journal]:
    """Open a journal, and write its records in the background until the block is left.

    Args:
        settings: the file and options.
        now: the time of day, in seconds since 1970.
        run: runs blocking disk work.

    Raises:
        InputError: the file is not a journal, is of a newer release, or is in use.
    """
    journal = Journal(settings, now=now, run=run)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal.run)
            nursery.start_soon(journal.look_after)
            nursery.start_soon(journal.examine)
            nursery.start_soon(journal.prune)
            try:
                yield journal
            finally:
                nursery.cancel_scope.cancel()
    finally:  # after its tasks have ended, so that two writes never overlap
        with trio.move_on_after(FINISH_LIMIT_S, shield=True):
            await journal.finish()
