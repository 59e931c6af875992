"""How often somebody may do something: a sliding window, by the clock that it is told."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable


class Allowance:
    """So many times within so many seconds, for each of many."""

    def __init__(self, most: int, *, within_s: float) -> None:
        """Begin with everybody's allowance whole.

        Args:
            most: how often each may.
            within_s: in how long.
        """
        self.most = most
        self.within_s = within_s
        self._used_s: dict[Hashable, deque[float]] = {}

    def is_used_up(self, who: Hashable, now_s: float) -> bool:
        """Whether they may not once more."""
        used = self._recent(who, now_s)
        return used is not None and len(used) >= self.most

    def use(self, who: Hashable, now_s: float) -> None:
        """Count one."""
        used = self._recent(who, now_s)
        if used is None:
            used = self._used_s[who] = deque()
        used.append(now_s)

    def used(self, who: Hashable, now_s: float) -> int:
        """How often they have lately."""
        return len(self._recent(who, now_s) or ())

    def takes(self, who: Hashable, now_s: float) -> bool:
        """Count one if they may; whether they may."""
        if self.is_used_up(who, now_s):
            return False
        self.use(who, now_s)
        return True

    def _recent(self, who: Hashable, now_s: float) -> deque[float] | None:
        """What somebody has used lately. Those who have used nothing lately are forgotten."""
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
        """Forget whoever has used nothing lately: for the sake of memory, from time to time."""
        for who in tuple(self._used_s):
            self._recent(who, now_s)
