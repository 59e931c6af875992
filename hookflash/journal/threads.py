"""Blocking disk work, and where it is done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import trio

Found = TypeVar("Found")


class InThread(Protocol):
    """Runs blocking disk work: in a thread, or inline in tests."""

    def __call__(self, work: Callable[[], Found], /) -> Awaitable[Found]:
        """Run the work, and return its result."""
        ...


async def in_thread(work: Callable[[], Found], /) -> Found:
    """Run work in one of trio's worker threads."""
    return await trio.to_thread.run_sync(work)
