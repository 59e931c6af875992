"""Publishes steps to subscriptions that begin at any number, without a gap or a repeat.

A subscription first reads the stored steps page by page, at its reader's pace. At the end it goes
*live*: from then on it gets each step as soon as that is safe. The change happens between two
steps, so none is missed or repeated.

A live reader that falls too far behind is disconnected, and can resume. Nobody waits for it, and no
memory fills up.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, Protocol

import attrs
import msgspec
import trio

from hookflash.errors import RequestRefused
from hookflash.journal import history
from hookflash.journal.history import Wanted
from hookflash.journal.reader import JournalReader
from hookflash.journal.step import StoredStep
from hookflash.server.turns import Turns
from hookflash.server.views import event_view

PAGE: Final = 500
"""Steps read from the journal at once."""

MOST_PAGES: Final = 32
"""Pages that all readers with one key may have unread at a time."""


class Gone(RequestRefused):
    """The requested steps were deleted."""

    def __init__(self, oldest: int) -> None:
        """Name the oldest step that is available."""
        super().__init__(f"steps before {oldest} were deleted: subscribe after {oldest - 1}")
        self.http_status = 410
        self.oldest = oldest


@attrs.define(eq=False)
class Subscription:
    """A reader's subscription."""

    name: str
    wanted: Wanted
    account: str | None
    """The account of the reader; `None`: an administrator."""
    buffer: int
    """How many steps it may fall behind."""
    key: str
    """Whose budget for old steps it spends."""
    wake: Callable[[], None]
    """Called when there is something to send."""
    pending: list[tuple[int, bytes]] = attrs.field(factory=list[tuple[int, bytes]])
    """Number and JSON of each step to send."""
    sent_up_to: int = 0
    """All matching steps up to this number were sent."""
    up_to: int = 0
    """All matching steps up to this number were sent or are pending."""
    live: bool = False
    fell_behind: bool = False

    def offer(self, step: StoredStep, encoded: EncodedStep) -> None:
        """Add a step if it matches. A reader that fell behind gets nothing more."""
        if step.number <= self.up_to or self.fell_behind:
            return
        if self.wanted.wants(step):
            if self.live and len(self.pending) >= self.buffer:
                self.fell_behind = True  # `up_to` stays: this step is not pending
                return
            self.pending.append((step.number, encoded.for_account(self.account)))
            self.wake()
        self.up_to = step.number


class EncodedStep:
    """One step as JSON, encoded once for all readers of an account."""

    __slots__ = ("_encoded", "_step")

    def __init__(self, step: StoredStep) -> None:
        self._step = step
        self._encoded: dict[str | None, bytes] = {}

    def for_account(self, account: str | None) -> bytes:
        """What a program of this account may read."""
        encoded = self._encoded.get(account)
        if encoded is None:
            encoded = self._encoded[account] = msgspec.json.encode(event_view(self._step, account))
        return encoded


class NewestSteps(Protocol):
    """The newest part of the history."""

    @property
    def published(self) -> int:
        """The number of the last published step."""
        ...

    @property
    def written(self) -> int:
        """The number of the last step that can be read from the journal."""
        ...

    def unwritten(self) -> tuple[StoredStep, ...]:
        """Steps that are published but can't be read from the journal."""
        ...

    def subscribe(self, receive: Callable[[tuple[StoredStep, ...]], None]) -> None:
        """Call `receive` with all new steps, in order."""
        ...


@attrs.define(eq=False)
class _CatchUps:
    """The subscriptions of a key that read old steps."""

    pages: trio.Semaphore = attrs.field(factory=lambda: trio.Semaphore(MOST_PAGES))
    going_on: int = 0


class Publisher:
    """All subscriptions."""

    def __init__(self, newest: NewestSteps, journal: JournalReader) -> None:
        self.newest = newest
        self._journal = journal
        self._live: dict[Subscription, None] = {}
        self._turns = Turns()
        """Keys take turns with their pages, not subscriptions."""
        self._catch_ups: dict[str, _CatchUps] = {}
        """By key."""
        self.published = 0
        """How many steps were published, counted once per live subscription."""
        newest.subscribe(self._publish)

    @property
    def readers(self) -> int:
        """The number of live subscriptions."""
        return len(self._live)

    def _publish(self, steps: tuple[StoredStep, ...]) -> None:
        for step in steps:
            encoded = EncodedStep(step)
            for subscription in self._live:
                subscription.offer(step, encoded)
        self.published += len(steps) * len(self._live)

    async def begin(self, subscription: Subscription, *, after: int | None) -> int:
        """Begin a subscription after a number.

        Args:
            subscription: the subscription.
            after: the last number that its reader has; `None`: only new steps.

        Returns:
            The number after which it begins.

        Raises:
            Gone: later steps were deleted.
            RequestRefused: the number is ahead of the journal.
            JournalError: the journal can't be read.
        """
        if after is None:
            after = self.newest.published
        else:
            await self._check(after)
        subscription.up_to = subscription.sent_up_to = after
        return after

    async def follow(
        self, subscription: Subscription, *, drained: Callable[[], Awaitable[None]]
    ) -> None:
        """Send a subscription all stored steps, and make it live.

        Args:
            subscription: the subscription.
            drained: waits until the reader has read the pending steps.

        Raises:
            Gone: the next steps were deleted meanwhile.
            JournalError: the journal can't be read.
        """
        await self._read_on(subscription, drained)
        subscription.live = True
        self._live[subscription] = None
        subscription.wake()

    async def _check(self, after: int) -> None:
        if after > self.newest.published:
            raise RequestRefused(
                f"the last step is {self.newest.published}, not {after}: this is another"
                " journal, or its newest part was lost"
            )
        if after < self.newest.published:
            await self._journal.read(partial(_check_whole, after=after))

    async def _read_on(
        self, subscription: Subscription, drained: Callable[[], Awaitable[None]]
    ) -> None:
        while subscription.up_to < self.newest.published:
            written = self.newest.written
            read = partial(_page, after=subscription.up_to, wanted=subscription.wanted)
            async with self._room_of(subscription.key):
                async with self._turns.of(subscription.key):
                    steps, seen = await self._journal.read(read)
                if seen == subscription.up_to:
                    if self.newest.written != written:
                        continue  # written meanwhile
                    steps = self._unwritten_after(seen)
                    seen = steps[-1].number if steps else self.newest.published
                for step in steps:
                    subscription.offer(step, EncodedStep(step))
                subscription.up_to = max(subscription.up_to, seen)
                await drained()

    @asynccontextmanager
    async def _room_of(self, key: str) -> AsyncGenerator[None]:
        """Wait until a key may have another page, and hold its room until the page was sent."""
        catch_ups = self._catch_ups.setdefault(key, _CatchUps())
        catch_ups.going_on += 1
        try:
            async with catch_ups.pages:
                yield
        finally:
            catch_ups.going_on -= 1
            if not catch_ups.going_on:
                self._catch_ups.pop(key, None)

    def _unwritten_after(self, number: int) -> list[StoredStep]:
        """Some of the steps that were published but not written.

        Raises:
            Gone: the first of them were dropped, because there were too many.
        """
        later = (step for step in self.newest.unwritten() if step.number > number)
        steps = list(itertools.islice(later, PAGE))
        if steps and steps[0].number != number + 1:
            raise Gone(steps[0].number)
        return steps

    def drop(self, subscription: Subscription) -> None:
        """End a subscription."""
        self._live.pop(subscription, None)


def _page(
    connection: sqlite3.Connection, after: int, wanted: Wanted
) -> tuple[list[StoredStep], int]:
    """Read the next steps after a number, and check that none is missing.

    Raises:
        Gone: steps were deleted.
    """
    steps, seen = history.read_after(connection, after, wanted, most=PAGE)
    _check_whole(connection, after)  # afterwards: they may have been deleted meanwhile
    return steps, seen


def _check_whole(connection: sqlite3.Connection, after: int) -> None:
    """Check that no step after a number was deleted.

    The oldest step says nothing: older steps of transfers in flight are kept.

    Raises:
        Gone: steps were deleted.
    """
    oldest = history.whole_from(connection)
    if after + 1 < oldest:
        raise Gone(oldest)
