"""Publishes the history: subscriptions, from any number on, without a gap or a repeat.

A subscription first reads what is written already, page by page, as fast as its reader reads. At
the end of the history it goes *live*: from then on it gets each step as soon as that is safe. The
change from one to the other happens between two steps, so none is missed and none comes twice.

A live reader that falls too far behind is cut off, and can come back to where it was. Nobody waits
for it, and nothing piles up for it.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import attrs
import msgspec

from hookflash.errors import RequestRefused
from hookflash.journal import history
from hookflash.journal.history import Wanted
from hookflash.journal.journal import Journal
from hookflash.journal.step import StoredStep
from hookflash.server.views import event_view

PAGE: Final = 500
"""Steps that are read at once from the journal."""


class Gone(RequestRefused):
    """Steps that are not kept any more."""

    def __init__(self, oldest: int) -> None:
        """Say from where on there are some."""
        super().__init__(f"steps before {oldest} are not kept: subscribe after {oldest - 1}")
        self.http_status = 410
        self.oldest = oldest


@attrs.define(eq=False)
class Subscription:
    """What one reader follows."""

    name: str
    wanted: Wanted
    account: str | None
    """The account of the reader; `None`: an administrator."""
    buffer: int
    """How many steps it may fall behind."""
    wake: Callable[[], None]
    """Called when there is something to send."""
    pending: list[tuple[int, bytes]] = attrs.field(factory=list[tuple[int, bytes]])
    """What is to be sent, as JSON, each with the number of its step."""
    sent_up_to: int = 0
    """Up to which number the reader has been sent all that it wants."""
    up_to: int = 0
    """Up to which number everything that it wants is sent or pending."""
    live: bool = False
    fell_behind: bool = False

    def offer(self, step: StoredStep, encoded: EncodedStep) -> None:
        """Add a step, if the reader wants it. A reader that fell behind gets nothing more."""
        if step.number <= self.up_to or self.fell_behind:
            return
        if self.wanted.wants(step):
            if self.live and len(self.pending) >= self.buffer:
                self.fell_behind = True  # and `up_to` stays: what comes now is not pending
                return
            self.pending.append((step.number, encoded.for_account(self.account)))
            self.wake()
        self.up_to = step.number


class EncodedStep:
    """One step as JSON: encoded once for all subscribers that may read the same of it."""

    __slots__ = ("_encoded", "_step")

    def __init__(self, step: StoredStep) -> None:
        self._step = step
        self._encoded: dict[str | None, bytes] = {}

    def for_account(self, account: str | None) -> bytes:
        """What a program of this account may read of it."""
        encoded = self._encoded.get(account)
        if encoded is None:
            encoded = self._encoded[account] = msgspec.json.encode(event_view(self._step, account))
        return encoded


class Publisher:
    """All subscriptions."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._live: dict[Subscription, None] = {}
        self.published = 0
        """How many steps were published, counted once for each live subscription."""
        journal.subscribe(self._publish)

    @property
    def readers(self) -> int:
        """How many follow live."""
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
            after: the last number that its reader has; `None`: only what is new.

        Returns:
            The number after which it begins.

        Raises:
            Gone: the history does not reach back so far.
            RequestRefused: the number is ahead of the history.
            JournalError: the history can't be read.
        """
        if after is None:
            after = self._journal.published
        else:
            await self._check(after)
        subscription.up_to = subscription.sent_up_to = after
        return after

    async def follow(
        self, subscription: Subscription, *, drained: Callable[[], Awaitable[None]]
    ) -> None:
        """Read a subscription to the end of the history, and make it live.

        Args:
            subscription: the subscription.
            drained: waits until the reader has read what is pending.

        Raises:
            Gone: what comes next has been forgotten meanwhile.
            JournalError: the history can't be read.
        """
        await self._read_on(subscription, drained)
        subscription.live = True
        self._live[subscription] = None
        subscription.wake()

    async def _check(self, after: int) -> None:
        if after > self._journal.published:
            raise RequestRefused(
                f"the history has come to {self._journal.published}, and not to {after}: this is"
                " another journal, or a newer one is lost"
            )
        if after < self._journal.published:
            await self._journal.read(partial(_check_whole, after=after))

    async def _read_on(
        self, subscription: Subscription, drained: Callable[[], Awaitable[None]]
    ) -> None:
        while subscription.up_to < self._journal.published:
            written = self._journal.written
            read = partial(_page, after=subscription.up_to, wanted=subscription.wanted)
            steps, seen = await self._journal.read(read)
            if seen == subscription.up_to:
                if self._journal.written != written:
                    continue  # written just now, while we looked
                steps = self._unwritten_after(seen)
                seen = steps[-1].number if steps else self._journal.published
            for step in steps:
                subscription.offer(step, EncodedStep(step))
            subscription.up_to = max(subscription.up_to, seen)
            await drained()

    def _unwritten_after(self, number: int) -> list[StoredStep]:
        """Some steps that were published and can't be written.

        Raises:
            Gone: those that come first have been given up: there were too many to remember.
        """
        later = (step for step in self._journal.unwritten() if step.number > number)
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
    """Read on from a number, and see that nothing is missing on the way.

    Raises:
        Gone: something is.
    """
    steps, seen = history.read_after(connection, after, wanted, most=PAGE)
    kept = connection.execute(
        "SELECT count(*) FROM steps WHERE number > ? AND number <= ?", (after, seen)
    ).fetchone()[0]
    if kept != seen - after:
        raise Gone(_oldest_of_the_whole(connection))
    return steps, seen


def _check_whole(connection: sqlite3.Connection, after: int) -> None:
    """See that every step after a number is kept.

    The oldest that is kept does not tell: of transfers in flight, older ones stay.

    Raises:
        Gone: some are not.
    """
    kept, last = connection.execute(
        "SELECT count(*), max(number) FROM steps WHERE number > ?", (after,)
    ).fetchone()
    if kept and kept != last - after:
        raise Gone(_oldest_of_the_whole(connection))


def _oldest_of_the_whole(connection: sqlite3.Connection) -> int:
    """The oldest step from which on all are kept."""
    return int(
        connection.execute(
            "SELECT max(number) FROM steps AS step WHERE NOT EXISTS"
            " (SELECT 1 FROM steps AS before WHERE before.number = step.number - 1)"
        ).fetchone()[0]
    )
