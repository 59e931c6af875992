"""The time of day, as far as it may be believed for deleting history.

A clock that is wrong for some seconds must not cost the history. So the time of day is compared
with a clock that only runs (the monotonic one), and with the newest step in the journal. A time
that is ahead of both is believed after a day in which it stayed so: then the machine has been off,
or its clock has been set right.
"""

from __future__ import annotations

import logging
from typing import Final

import structlog

log = structlog.wrap_logger(logging.getLogger("hookflash.journal"))

DAY_S: Final = 86_400.0

TOLERANCE_S: Final = 3600.0
"""How far the two clocks may differ, from one look to the next an hour later."""

MARGIN_S: Final = 3600.0
"""How far time may be ahead of the newest step at the start."""

BELIEVED_AFTER_S: Final = DAY_S


class PruningClock:
    """Tells up to which time of day history may be counted as past."""

    def __init__(self, now: float, *, running_s: float, newest: float | None) -> None:
        """Begin to compare.

        Args:
            now: the time of day, in seconds since 1970.
            running_s: the time of a clock that is never set.
            newest: the time of the newest step; `None`: there is none.
        """
        self._ahead_since_s: float | None = None
        self._base = now if newest is None else min(now, newest + MARGIN_S)
        self._base_s = running_s

    def believed(self, now: float, *, running_s: float) -> float:
        """The time of day that may be believed: now, or less."""
        expected = self._base + running_s - self._base_s
        if now > expected + TOLERANCE_S:
            if self._ahead_since_s is None:
                self._ahead_since_s = running_s
                self._report(now - expected)
            if running_s - self._ahead_since_s < BELIEVED_AFTER_S:
                return expected
        self._ahead_since_s = None
        self._base, self._base_s = now, running_s
        return now

    def _report(self, ahead_s: float) -> None:
        log.warning(
            "journal.clock_not_believed",
            ahead_s=round(ahead_s),
            why="the time of day is ahead of what passed since the newest step",
            effect=f"nothing is deleted by it for {BELIEVED_AFTER_S / 3600:.0f} h",
        )
