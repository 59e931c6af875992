"""Things in the order in which they came, by whose they are: by crowd.

The crowds are sorted by size, so that the largest one is found at once, however many there are.
"""

from __future__ import annotations

from collections.abc import Hashable
from ipaddress import ip_address
from typing import Generic, TypeVar

One = TypeVar("One", bound=Hashable)


class Crowds(Generic[One]):
    """Things by crowd. Nothing is in it twice."""

    def __init__(self) -> None:
        self._crowds: dict[str, dict[One, None]] = {}
        self._of_size: list[dict[str, None]] = [{}]

    def __bool__(self) -> bool:
        return bool(self._crowds)

    def enter(self, crowd: str, one: One) -> None:
        """One more of a crowd, its newest."""
        ones = self._crowds.setdefault(crowd, {})
        ones[one] = None
        self._resize(crowd, len(ones) - 1, len(ones))

    def leave(self, crowd: str, one: One) -> None:
        """One less, if it is there."""
        ones = self._crowds.get(crowd)
        if ones is None or one not in ones:
            return
        del ones[one]
        self._resize(crowd, len(ones) + 1, len(ones))
        if not ones:
            del self._crowds[crowd]

    def _resize(self, crowd: str, before: int, size: int) -> None:
        self._of_size[before].pop(crowd, None)
        if size == len(self._of_size):
            self._of_size.append({})
        if size:
            self._of_size[size][crowd] = None
        while len(self._of_size) > 1 and not self._of_size[-1]:
            self._of_size.pop()

    @property
    def largest(self) -> int:
        """The size of the largest crowd."""
        return len(self._of_size) - 1

    def of(self, crowd: str) -> tuple[One, ...]:
        """All of a crowd, oldest first."""
        return tuple(self._crowds.get(crowd, ()))

    def oldest(self, crowd: str | None = None) -> One | None:
        """The oldest of a crowd, or of the largest one."""
        if crowd is None:
            crowd = next(iter(self._of_size[-1]), "")
        return next(iter(self._crowds.get(crowd, ())), None)

    def take_of_largest(self) -> One:
        """Remove the oldest of the largest crowd. There must be one."""
        return self._take(next(iter(self._of_size[-1])))

    def take_in_turn(self) -> One:
        """Remove the oldest of the crowd whose turn it is. There must be one."""
        crowd = next(iter(self._crowds))
        one = self._take(crowd)
        if crowd in self._crowds:
            self._crowds[crowd] = self._crowds.pop(crowd)
        return one

    def _take(self, crowd: str) -> One:
        one = next(iter(self._crowds[crowd]))
        self.leave(crowd, one)
        return one


def crowd_of(address: str) -> str:
    """Who is counted together: the address, or its network of IPv6."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return address  # not of the Internet
    if ip.version == 4:  # noqa: PLR2004 - the Internet Protocol, version 4
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return ip.packed[:8].hex()
