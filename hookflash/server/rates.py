"""Rate limits: with a sliding window, and as budgets that refill. The caller passes the time."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Final

MOST_CLIENTS: Final = 100_000
"""Strangers have many addresses, and must not fill the memory."""


class Allowance:
    """Allows each client a number of uses within a period."""

    def __init__(self, most: int, *, within_s: float, clients: int = MOST_CLIENTS) -> None:
        """Limit the uses.

        Args:
            most: uses of each client.
            within_s: the period, in seconds.
            clients: how many clients are remembered; beyond, the first is forgotten.
        """
        self._clients = clients
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
            used = self._used_s[who] = deque(maxlen=self.most)
            if len(self._used_s) > self._clients:
                del self._used_s[next(iter(self._used_s))]
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


class Budget:
    """Allows a rate, and bursts above it."""

    __slots__ = ("_at_s", "_left", "burst", "per_s")

    def __init__(self, per_s: float, *, burst: float, now_s: float) -> None:
        """Begin with a full budget.

        Args:
            per_s: how much comes back each second.
            burst: the most that can be spent at once.
            now_s: the time.
        """
        self.per_s = per_s
        self.burst = burst
        self._left = burst
        self._at_s = now_s

    def takes(self, cost: float, now_s: float) -> bool:
        """Spend, if there is enough.

        Returns:
            Whether there is.
        """
        self._refill(now_s)
        if cost > self._left:
            return False
        self._left -= cost
        return True

    def spend(self, cost: float, now_s: float) -> float:
        """Spend more than there is, if need be.

        Returns:
            How long to wait until the debt is paid, in seconds.
        """
        self._refill(now_s)
        self._left -= cost
        return max(0.0, -self._left / self.per_s)

    def is_full(self, now_s: float) -> bool:
        """Whether nothing was spent lately."""
        self._refill(now_s)
        return self._left >= self.burst

    def _refill(self, now_s: float) -> None:
        self._left = min(self.burst, self._left + (now_s - self._at_s) * self.per_s)
        self._at_s = now_s


class Budgets:
    """A budget for each client: so much a second, and as much at once."""

    def __init__(self, per_s: float) -> None:
        self.per_s = per_s
        self._budgets: dict[Hashable, Budget] = {}

    def takes(self, who: Hashable, cost: float, now_s: float) -> bool:
        """Spend a client's budget, if there is enough.

        Returns:
            Whether there is.
        """
        budget = self._budgets.get(who)
        if budget is None:
            budget = self._budgets[who] = Budget(self.per_s, burst=self.per_s, now_s=now_s)
        return budget.takes(min(cost, self.per_s), now_s)

    def sweep(self, now_s: float) -> None:
        """Remove clients that spent nothing lately, to free memory. Called from time to time."""
        for who, budget in tuple(self._budgets.items()):
            if budget.is_full(now_s):
                del self._budgets[who]
