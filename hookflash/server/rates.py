"""Rate limits with a sliding window. The caller passes the time."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable


class Allowance:
    """Allows each client a number of uses within a period."""

    def __init__(self, most: int, *, within_s: float) -> None:
        """Limit the uses.

        Args:
            most: uses of each client.
            within_s: the period, in seconds.
        """
        self.most = most
        self.within_s = within_s
        self._used_s: dict[Hashable, deque[float]] = {}

    def is_used_up(self, who: Hashable, now_s: float) -> bool:
        """Whether a client has reached the limit."""
        used = self._recent(who, now_s)
        return used is not None and len(used) >= self.most

    def use(self, who: Hashable, now_s: float) -> None:
        """Count one use."""
        used = self._recent(who, now_s)
        if used is None:
            used = self._used_s[who] = deque()
        used.append(now_s)

    def used(self, who: Hashable, now_s: float) -> int:
        """The number of recent uses."""
        return len(self._recent(who, now_s) or ())

    def takes(self, who: Hashable, now_s: float) -> bool:
        """Count one use if the limit allows it.

        Returns:
            Whether it does.
        """
        if self.is_used_up(who, now_s):
            return False
        self.use(who, now_s)
        return True

    def _recent(self, who: Hashable, now_s: float) -> deque[float] | None:
        """The times of a client's recent uses; a client without any is removed."""
        used = self._used_s.get(who)
        if used is None:
            return None
        while used and used[0] <= now_s - self.within_s:
            used.popleft()
        if not used:
            del self._used_s[who]
            return None
        return used

    def sweep(self, now_s: float) -> None:
        """Remove clients without recent uses, to free memory. Called from time to time."""
        for who in tuple(self._used_s):
            self._recent(who, now_s)
