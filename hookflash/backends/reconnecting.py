"""Connecting and reconnecting, for all backends with a connection of their own."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, Protocol, TypeVar

import trio

from hookflash.backends.base import Rejected
from hookflash.errors import first_of

_JITTER: Final = random.SystemRandom()


class BackOff:
    """How long to wait before the next connection: twice as long each time, with jitter."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        """Begin with the shortest pause."""
        self._first_s = first_s
        self._longest_s = longest_s
        self._pause_s = first_s

    async def wait(self, lasted_s: float) -> None:
        """Wait after a connection of this duration."""
        # a connection that is accepted but dies early is no better than a refused one
        if lasted_s > self._longest_s:
            self._pause_s = self._first_s
        await trio.sleep(self._pause_s + _JITTER.uniform(0, self._first_s))
        self._pause_s = min(2 * self._pause_s, self._longest_s)


class Connecting(Protocol):
    """A backend that keeps a connection."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep a connection to the switch, until cancelled; started after the first success.

        Raises:
            Rejected: the switch refuses the login, or lacks something that is needed.
        """
        ...


_Backend = TypeVar("_Backend", bound=Connecting)


@asynccontextmanager
async def kept_open(backend: _Backend) -> AsyncGenerator[_Backend]:
    """Keep a backend connected until the block is left.

    Yields:
        The backend, once it is connected for the first time.

    Raises:
        Rejected: the switch refuses the login, or lacks something that is needed.
    """
    rejected: Rejected | None = None
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(_run, backend)
            yield backend
            nursery.cancel_scope.cancel()
    except* Rejected as refusal:
        rejected = Rejected(str(first_of(refusal)))
    if rejected is not None:
        raise rejected


async def _run(
    backend: Connecting, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    await backend.run(task_status=task_status)
