"""Whose word counts about where a request comes from: trusted proxies, and nobody else.

A client can write anything into `X-Forwarded-For`; each proxy appends the address that it sees. So
the list is read from its end, and the first address that is not a trusted proxy's is the client's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

import attrs

from hookflash.errors import InputError
from hookflash.server.config import Listen

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

FORWARDED: Final = b"x-forwarded-for"

MOST_HOPS: Final = 32
"""Proxies in a row. A longer list is made up."""

_WITH_PORT: Final = re.compile(r"\[(?P<v6>[^\]]+)\](?::\d+)?|(?P<v4>[0-9.]+):\d+")


@attrs.frozen
class Proxies:
    """The trusted proxies."""

    networks: tuple[Network, ...] = ()

    def trusts(self, address: str) -> bool:
        """Whether an address is a trusted proxy's."""
        known = parse_address(address)
        return known is not None and any(known in network for network in self.networks)

    def client_in(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The address of the client that sent a request.

        Args:
            peer: the address that the connection comes from.
            headers: those of the request, their names in lower case. Repeated ones are one list.
        """
        lines = [value.decode("latin-1") for name, value in headers if name == FORWARDED]
        return self.client_of(peer, ", ".join(lines))

    def client_of(self, peer: str, forwarded: str | None) -> str:
        """The address of the client.

        Args:
            peer: the address that the connection comes from.
            forwarded: the header `X-Forwarded-For`, if there is one.
        """
        if not forwarded or not self.trusts(peer):
            return peer
        client = peer
        for hop in forwarded.split(",")[: -MOST_HOPS - 1 : -1]:
            address = parse_address(hop.strip())
            if address is None:
                return client  # nothing before it can be trusted
            client = str(address)
            if not self.trusts(client):
                return client
        return client


def parse_address(text: str) -> Address | None:
    """Read an IP address, with or without a port. An IPv4 address within IPv6 is IPv4."""
    ported = _WITH_PORT.fullmatch(text)
    if ported is not None:
        text = ported["v6"] or ported["v4"]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def proxies_of(listen: Listen, *, where: str = "$.listen") -> Proxies:
    """The trusted proxies of a configuration.

    Raises:
        InputError: one is not a network.
    """
    found: list[Network] = []
    for number, text in enumerate(listen.trusted_proxies):
        try:
            found.append(ip_network(text))
        except ValueError as error:
            raise InputError(
                f"{text!r} is not a network: {error}",
                where=f"{where}.trusted_proxies[{number}]",
                hint="such as 10.0.0.0/8, or one address",
            ) from error
    return Proxies(tuple(found))
