"""Legs whose names can't stand in an order: they are not reported, but logged.

Strangers choose such names, so they can't flood the log: one line a minute, with the number of
those that were left out.
"""

from __future__ import annotations

import math
from typing import Any, Final

import trio

from hookflash.events import LegId

LOG_EVERY_S: Final = 60.0
SHOWN: Final = 100
"""How many characters of a name are logged."""


class UnusableLegs:
    """Logs legs that are not reported."""

    def __init__(self, allowed: str, log: Any) -> None:
        """Begin without any.

        Args:
            allowed: the allowed names, in words.
            log: receives warnings.
        """
        self._allowed = allowed
        self._log = log
        self._logged_s = -math.inf
        self._left_out = 0

    def note(self, leg: LegId) -> None:
        """Log a leg that is not reported."""
        now_s = trio.current_time()
        if now_s < self._logged_s + LOG_EVERY_S:
            self._left_out += 1
            return
        self._log.warning(
            "leg.unusable",
            leg=leg[:SHOWN],
            why="its name can't stand in an order: the leg is ignored, and can't be transferred",
            allowed=self._allowed,
            others=self._left_out,
        )
        self._logged_s, self._left_out = now_s, 0
