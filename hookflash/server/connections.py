"""Limits the connections of a door: how many there may be, in all and for each address.

A limit alone would lock out honest clients as soon as strangers have filled it. So a full door
makes room: the connection that is closed has no request in progress, is the oldest of its address,
and its address has more of them than any other. The address with most connections itself can only
replace its own. An address from which somebody has signed in is no stranger's: many programs may
share it, so its connections are not closed for those of others. Addresses of IPv6 count by their
network of 64 bits, which is what one subscriber gets. A connection of a trusted proxy counts for
the client that its last request named.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

import attrs
import trio

from hookflash.errors import HookflashError
from hookflash.server.crowds import Crowds, crowd_of

FEW: Final = 4
"""An address with fewer connections than this is always admitted, if any can be closed for it."""

MOST_PROVEN: Final = 10_000
"""Addresses that are remembered because somebody has signed in from them."""

RESERVED_DESCRIPTORS: Final = 256
"""Descriptors that no stranger gets: for switches, the journal, listening sockets and the log."""

UNLIMITED_DESCRIPTORS: Final = 1_000_000
"""How many there are where the system has no limit."""


class TooManyConnections(HookflashError):
    """A connection that is refused, because there are too many."""

    http_status = 503


@attrs.define(eq=False)
class Admitted:
    """A connection that may stay, until its address or the whole door has too many."""

    crowd: str
    """Whose connections are counted together with it."""
    _connections: Connections
    _scope: trio.CancelScope
    evicted: bool = attrs.field(default=False, init=False)
    """Whether it was closed to make room for another."""

    @contextmanager
    def working(self) -> Generator[None]:
        """A program that has signed in is being served: it is not closed for others."""
        waiting = self._connections.waiting_like(self.crowd)
        waiting.leave(self.crowd, self)
        try:
            yield
        finally:
            if not self._scope.cancel_called:
                self._connections.waiting_like(self.crowd).enter(self.crowd, self)

    def prove(self) -> None:
        """Somebody has signed in: the address is no stranger's from now on."""
        self._connections.prove(self.crowd)

    def count_for(self, address: str) -> None:
        """Count it for another address from now on: a proxy passes on somebody's request.

        Raises:
            TooManyConnections: that address has too many.
        """
        self._connections.move(self, address)

    def evict(self) -> None:
        """Close it, to make room."""
        self.evicted = True
        self._connections.waiting_like(self.crowd).leave(self.crowd, self)
        self._scope.cancel()


class Connections:
    """The connections of one door."""

    def __init__(
        self,
        *,
        most: int,
        most_per_address: int,
        is_exempt: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """Limit the connections.

        Args:
            most: in all.
            most_per_address: from one address.
            is_exempt: whether an address (a proxy's) may have any number of them.
        """
        self.most = most
        self.most_per_address = most_per_address
        self.refused = 0
        """How many connections were closed at once."""
        self.evicted = 0
        """How many idle connections were closed to make room for others."""
        self._is_exempt = is_exempt
        self._open: dict[str, int] = {}
        self._waiting = Crowds[Admitted]()
        self._proven_waiting = Crowds[Admitted]()
        self._proven: dict[str, None] = {}
        """Addresses from which somebody has signed in."""
        self._total = 0

    @property
    def total(self) -> int:
        """How many are open."""
        return self._total

    def of(self, address: str) -> int:
        """How many are open from an address."""
        return self._open.get(crowd_of(address), 0)

    def prove(self, crowd: str) -> None:
        """Somebody has signed in from an address."""
        if crowd in self._proven:
            return
        if len(self._proven) >= MOST_PROVEN:
            return  # its connections wait as strangers' do
        connections = self._waiting.of(crowd)
        for one in connections:
            self._waiting.leave(crowd, one)
        self._proven[crowd] = None
        for one in connections:
            self._proven_waiting.enter(crowd, one)

    def goes_first(self, address: str) -> bool:
        """Whether an address is no stranger's: somebody has signed in from it, or it is exempt."""
        return crowd_of(address) in self._proven or self._is_exempt(address)

    def waiting_like(self, crowd: str) -> Crowds[Admitted]:
        """The connections that wait, of addresses such as this one."""
        return self._proven_waiting if crowd in self._proven else self._waiting

    @contextmanager
    def admit(self, address: str) -> Generator[Admitted]:
        """Admit a connection for as long as the block lasts.

        The block ends early, without an error, when the connection is closed to make room.

        Raises:
            TooManyConnections: it must be closed at once.
        """
        crowd = crowd_of(address)
        self._make_room(crowd, address)
        with trio.CancelScope() as scope:
            connection = Admitted(crowd, self, scope)
            self._count(connection)
            try:
                yield connection
            finally:
                self.waiting_like(connection.crowd).leave(connection.crowd, connection)
                if not connection.evicted:
                    self._forget(connection.crowd)

    def move(self, connection: Admitted, address: str) -> None:
        """Count a connection that waits for another address.

        Raises:
            TooManyConnections: that address has too many.
        """
        crowd = crowd_of(address)
        if crowd == connection.crowd or connection.evicted:
            return
        self._make_room_of_its_own(crowd, address)
        self.waiting_like(connection.crowd).leave(connection.crowd, connection)
        self._forget(connection.crowd)
        connection.crowd = crowd
        self._count(connection)

    def _count(self, connection: Admitted) -> None:
        self._open[connection.crowd] = self._open.get(connection.crowd, 0) + 1
        self._total += 1
        self.waiting_like(connection.crowd).enter(connection.crowd, connection)

    def _make_room_of_its_own(self, crowd: str, address: str) -> bool:
        """Whether an address had too many connections, so that one of them was closed."""
        if self._open.get(crowd, 0) < self.most_per_address or self._is_exempt(address):
            return False
        victim = self.waiting_like(crowd).oldest(crowd)
        self._evict(victim, "this address has too many connections")
        return True

    def _make_room(self, crowd: str, address: str) -> None:
        of_its_own = self._open.get(crowd, 0)
        if not self._make_room_of_its_own(crowd, address) and self._total >= self.most:
            has_few = crowd in self._proven or of_its_own < max(FEW, self._waiting.largest)
            victim = self._waiting.oldest(None if has_few else crowd)
            if victim is None and crowd in self._proven:
                victim = self._proven_waiting.oldest(crowd)
            self._evict(victim, "too many connections are open")

    def _evict(self, victim: Admitted | None, why: str) -> None:
        if victim is None:
            self.refused += 1
            raise TooManyConnections(why)
        self.evicted += 1
        victim.evict()
        self._forget(victim.crowd)

    def _forget(self, crowd: str) -> None:
        """Count a connection no more: an evicted one makes room at once, not when it has ended."""
        self._total -= 1
        self._open[crowd] -= 1
        if not self._open[crowd]:
            del self._open[crowd]


def raise_descriptor_limit() -> int:
    """Allow this process as many descriptors as the system permits.

    Returns:
        How many of them strangers may have.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and soft < hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):  # macOS has a limit below the one that it reports
            pass
        else:
            soft = hard
    if soft == resource.RLIM_INFINITY:
        return UNLIMITED_DESCRIPTORS
    return max(soft - RESERVED_DESCRIPTORS, soft // 2)


def within_descriptors(*wanted: int, available: int) -> tuple[int, ...]:
    """Reduce limits of connections so that all together have a descriptor each."""
    total = sum(wanted)
    if total <= available:
        return wanted
    return tuple(max(1, one * available // total) for one in wanted)
