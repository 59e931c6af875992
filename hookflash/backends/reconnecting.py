"""Connecting and reconnecting, for all backends with a connection of their own.

A backend says how one connection is used until it ends (`Use`). `Reconnection` uses one after the
other, for ever. Three things can be wrong:

* **The switch can't be reached**: try again soon, with back-off and jitter.
* **It sends what nobody expected**, and we fail on it: that is our fault, but the other switches
  must not suffer. It is logged, and treated as a rejection.
* **The switch rejects us** (`Rejected`: a wrong password, an access list, a missing module): only a
  person can fix that, but nobody should have to restart the controller afterwards. So try again,
  but slowly, at most once a minute in the long run.

Each reason is reported once, as `SwitchLost`, and logged once, and not again with each attempt.
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol, TypeVar

import attrs
import trio

from hookflash.backends.base import Rejected
from hookflash.errors import first_of
from hookflash.events import brief

FIRST_REJECTED_S: Final = 1.0
"""The pause after the first rejection; then twice as long each time, …"""
LONGEST_REJECTED_S: Final = 60.0
"""… up to this: a switch may ban an address that tries a wrong password too often."""

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


@attrs.frozen
class Ended:
    """Why a connection ended, or was not made."""

    why: str = attrs.field(converter=brief)
    was_up: bool = attrs.field(default=False, kw_only=True)
    """Whether it was used: the living legs had been listed."""
    is_rejected: bool = attrs.field(default=False, kw_only=True)
    """Whether the switch rejects us, so that somebody must fix something."""


Use = Callable[[], Awaitable[Ended]]
"""Connects, uses the connection until it ends, and says why it ended. It may raise `Rejected`."""


@attrs.define(eq=False, kw_only=True)
class Reconnection:
    """Uses one connection after the other."""

    first_s: float
    """The pause before the first reconnection."""
    longest_s: float
    """The longest pause."""
    report: Callable[[str], Awaitable[None]]
    """Reports that the switch is lost, and why."""
    log: Any
    lost: int = attrs.field(default=0, init=False)
    """How often a connection that was up has been lost."""
    _why: str = attrs.field(default="", init=False)
    """The last reason that was reported."""

    async def run(self, use: Use, *, opening: bool) -> None:
        """Use one connection after the other, until cancelled.

        Args:
            use: connects, and uses the connection.
            opening: whether somebody waits for the first connection (see `Connecting.run`).

        Raises:
            Rejected: only while `opening`, before a connection was up.
        """
        back_off = BackOff(self.first_s, self.longest_s)
        slowly = BackOff(FIRST_REJECTED_S, LONGEST_REJECTED_S)
        while True:
            began_s = trio.current_time()
            ended = await self._used(use)
            opening = opening and not ended.was_up
            if opening and ended.is_rejected:
                raise Rejected(ended.why)
            if self._is_news(ended):
                self._log(ended)
                if not opening:
                    await self.report(ended.why)
            pause = slowly if ended.is_rejected else back_off
            await pause.wait(trio.current_time() - began_s)

    def _is_news(self, ended: Ended) -> bool:
        """Whether this end differs from the last one."""
        is_news = ended.was_up or ended.why != self._why
        self.lost += ended.was_up
        self._why = ended.why
        return is_news

    def _log(self, ended: Ended) -> None:
        if ended.is_rejected:
            self.log.error("switch.rejected", why=ended.why)
        else:
            event = "switch.disconnected" if ended.was_up else "switch.unreachable"
            self.log.warning(event, why=ended.why)

    async def _used(self, use: Use) -> Ended:
        try:
            return await use()
        except Rejected as rejected:
            return Ended(str(rejected), is_rejected=True)
        except Exception as error:  # one switch must not end the service of all
            self.log.exception("switch.fault")
            first = first_of(ExceptionGroup("", [error]))  # it may be a group of them already
            return Ended(f"internal error, please report it: {first!r}", is_rejected=True)


class Connecting(Protocol):
    """A backend that keeps a connection."""

    async def run(
        self,
        *,
        opening: bool = False,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Keep a connection to the switch, until cancelled; started after the first success.

        Args:
            opening: whether somebody waits for the first connection. Until then nothing is
                reported, and a rejection is raised. Otherwise a rejection is reported, and the
                switch is asked again.
            task_status: started once it is connected for the first time.

        Raises:
            Rejected: only while `opening`: the switch refuses the login, or lacks something.
        """
        ...


_Backend = TypeVar("_Backend", bound=Connecting)


@asynccontextmanager
async def kept_open(backend: _Backend) -> AsyncGenerator[_Backend]:
    """Keep a backend connected until the block is left.

    Yields:
        The backend, once it is connected for the first time.

    Raises:
        Rejected: the switch refuses the first login, or lacks something that is needed.
    """
    rejected: Rejected | None = None
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(_open, backend)
            yield backend
            nursery.cancel_scope.cancel()
    except* Rejected as refusal:
        rejected = Rejected(str(first_of(refusal)))
    if rejected is not None:
        raise rejected


async def _open(
    backend: Connecting, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    await backend.run(opening=True, task_status=task_status)
