"""Disks for journals: they fail and hang when a test wants it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TypeVar

import trio

Found = TypeVar("Found")


class Disk:
    """A disk that can fail, hang, and be well again."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.hangs: trio.Event | None = None
        self.works = 0

    def fail(self, why: str = "database or disk is full") -> None:
        self.fault = sqlite3.OperationalError(why)

    async def run(self, work: Callable[[], Found], /) -> Found:
        await trio.lowlevel.checkpoint()
        if self.hangs is not None:
            with trio.CancelScope(shield=True):  # nobody calls back a thread that waits for a disk
                await self.hangs.wait()
        if self.fault is not None:
            raise self.fault
        self.works += 1
        return work()
