"""The time of day, as far as it may be believed for deleting history.

A wrong clock must not cost the history. So the time of day is compared with a clock that only runs
(the monotonic one), beginning at the time that was believed last. That time is stored in the
journal: steps are no proof of a time, because those of a wrong clock have the wrong time. A time of
day that is off is believed after a day of running in which it stayed so: then the machine has been
off, or its clock has been set right. Until then the earlier of the two counts.
"""

from __future__ import annotations

import logging
import sqlite3
from typing import Final

import attrs
import structlog

from hookflash.journal import history
from hookflash.journal.rows import is_time

log = structlog.wrap_logger(logging.getLogger("hookflash.journal"))

DAY_S: Final = 86_400.0

TOLERANCE_S: Final = 3600.0
"""How far the two clocks may differ, from one look to the next an hour later."""

MARGIN_S: Final = 3600.0
"""How far the time may have gone on since it was stored, while a service runs."""

BELIEVED_AFTER_S: Final = DAY_S


@attrs.frozen(kw_only=True)
class Belief:
    """The time of day that was believed last, and what speaks against it."""

    time: float
    """In seconds since 1970."""
    off_s: float = 0.0
    """How far this machine's clock is ahead of it; 0: the clock is believed."""
    off_for_s: float = 0.0
    """How long a service has run while it was off by so much."""


class PruningClock:
    """Tells up to which time of day history may be counted as past."""

    def __init__(self, belief: Belief, *, running_s: float) -> None:
        """Begin to compare.

        Args:
            belief: what was believed last.
            running_s: the time of a clock that is never set.
        """
        self.belief = belief
        self._looked_s = running_s

    def believed(self, now: float, *, running_s: float) -> float:
        """The time of day that may be believed: now, or less.

        Args:
            now: what this machine's clock says, in seconds since 1970.
            running_s: the time of a clock that is never set.
        """
        passed_s, self._looked_s = running_s - self._looked_s, running_s
        self.belief = _later(self.belief, now, passed_s)
        return min(now, self.belief.time)


def _later(belief: Belief, now: float, passed_s: float) -> Belief:
    expected = belief.time + passed_s
    off_s = now - expected
    if abs(off_s) <= TOLERANCE_S:
        return Belief(time=now)
    is_known = abs(off_s - belief.off_s) <= TOLERANCE_S
    off_for_s = belief.off_for_s + passed_s if is_known else 0.0
    if off_for_s >= BELIEVED_AFTER_S:
        return Belief(time=now)
    if not is_known:
        log.warning(
            "journal.clock_not_believed",
            ahead_s=round(off_s),
            why="the time of day is not what the last one and the time since then make it",
            effect=f"nothing is deleted by it for {BELIEVED_AFTER_S / 3600:.0f} h",
        )
    return Belief(time=expected, off_s=off_s, off_for_s=off_for_s)


def stored_belief(connection: sqlite3.Connection) -> Belief | None:
    """What a journal knows of the time; `None`: nothing, it is empty.

    A journal in which no time is stored was written by an earlier release: its newest step tells.
    """
    row = connection.execute("SELECT believed, off, off_for FROM clock").fetchone()
    if row is not None and is_time(row[0]):
        return Belief(time=row[0], off_s=row[1], off_for_s=row[2])
    newest = history.newest_time(connection)
    return None if newest is None else Belief(time=newest)


def store_belief(connection: sqlite3.Connection, belief: Belief) -> None:
    """Store what is believed now."""
    connection.execute(
        "INSERT OR REPLACE INTO clock VALUES (1, ?, ?, ?)",
        (belief.time, belief.off_s, belief.off_for_s),
    )
