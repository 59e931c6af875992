"""Turns: who asks for much at once waits for itself, and not everybody for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs
import trio


@attrs.frozen
class Turns:
    """Lets each key do one thing at a time, while other keys do theirs."""

    _taken: dict[str, trio.Lock] = attrs.field(factory=dict[str, trio.Lock], init=False)

    @asynccontextmanager
    async def of(self, key: str) -> AsyncGenerator[None]:
        """Wait until a key does nothing else."""
        lock = self._taken.setdefault(key, trio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked():
                self._taken.pop(key, None)
