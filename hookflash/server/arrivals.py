"""How a connection begins, at both doors: the PROXY header, then TLS, each with a deadline.

The PROXY protocol (versions 1 and 2) lets a proxy that passes on bytes say who the client is. It is
read only from trusted proxies, before TLS, to its last byte and no further, so that the stream can
be used as it is.
"""

from __future__ import annotations

import ssl
from ipaddress import ip_address
from typing import Final

import attrs
import trio

from hookflash.errors import HookflashError
from hookflash.server.proxies import Proxies

WITHIN_S: Final = 10.0
"""Time limit of a PROXY header, and of a TLS handshake."""

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
"""How version 2 begins."""
TEXT_BYTES: Final = 107
"""Longest header of version 1."""
MORE_BYTES: Final = 2_048
"""Longest header of version 2, without its first 16 bytes. The standard needs 216 for addresses;
the rest is for extensions, which are skipped."""
ADDRESS_BYTES: Final = {0x11: 4, 0x21: 16}
"""Length of an address, by version 2's code of TCP over IPv4 and IPv6."""

_BROKEN: Final = (trio.BrokenResourceError, trio.ClosedResourceError)


class BadArrival(HookflashError):
    """A connection that did not begin as it must. It is closed."""

    http_status = 400


@attrs.frozen(kw_only=True)
class Arrivals:
    """How connections begin."""

    tls: ssl.SSLContext | None = None
    proxies: Proxies = attrs.field(factory=Proxies)
    proxy_protocol: bool = False
    """Whether trusted proxies send a PROXY header."""

    async def address_of(self, stream: trio.abc.ReceiveStream, peer: str) -> str:
        """Find the client's address, before anything else is read.

        Args:
            stream: the connection, without TLS.
            peer: the address that it comes from.

        Returns:
            The address in the PROXY header, or the peer's.

        Raises:
            BadArrival: the PROXY header of a trusted proxy is missing or invalid.
        """
        if not self.proxy_protocol or not self.proxies.trusts(peer):
            return peer
        try:
            with trio.move_on_after(WITHIN_S):
                return await read_proxy_header(stream) or peer
        except _BROKEN as error:
            raise BadArrival("the connection broke in the PROXY header") from error
        raise BadArrival("the PROXY header took too long")

    async def secure(self, stream: trio.abc.Stream) -> trio.abc.Stream:
        """Begin TLS, if it is configured.

        Raises:
            BadArrival: the client speaks no TLS, or too slowly.
        """
        if self.tls is None:
            return stream
        secure = trio.SSLStream(stream, self.tls, server_side=True, https_compatible=True)
        try:
            with trio.move_on_after(WITHIN_S):
                await secure.do_handshake()
                return secure
        except _BROKEN as error:
            raise BadArrival("the TLS handshake failed") from error
        raise BadArrival("the TLS handshake took too long")


async def read_proxy_header(stream: trio.abc.ReceiveStream) -> str | None:
    """Read the PROXY header, and nothing behind it.

    Returns:
        The client's address; nothing, if the proxy speaks for itself or does not know.

    Raises:
        BadArrival: it is missing or invalid.
    """
    begun = await _exactly(stream, len(SIGNATURE))
    if begun == SIGNATURE:
        return await _binary(stream)
    if begun.startswith(b"PROXY "):
        return await _text(stream, begun)
    raise BadArrival("there is no PROXY header")


async def _text(stream: trio.abc.ReceiveStream, line: bytes) -> str | None:
    while not line.endswith(b"\n"):
        if len(line) >= TEXT_BYTES:
            raise BadArrival("the PROXY header is too long")
        line += await _exactly(stream, 1)
    match line.removesuffix(b"\r\n").split(b" "):
        case [b"PROXY", b"UNKNOWN", *_]:
            return None
        case [b"PROXY", b"TCP4" | b"TCP6", source, _, _, _] if line.endswith(b"\r\n"):
            try:
                return str(ip_address(source.decode("ascii")))
            except ValueError as error:
                raise BadArrival("the PROXY header has no valid address") from error
        case _:
            raise BadArrival("the PROXY header is invalid")


async def _binary(stream: trio.abc.ReceiveStream) -> str | None:
    version_and_command, family, *length = await _exactly(stream, 4)
    size = int.from_bytes(bytes(length))
    if version_and_command not in {0x20, 0x21} or size > MORE_BYTES:
        raise BadArrival("the PROXY header is invalid")
    rest = await _exactly(stream, size)
    address_bytes = ADDRESS_BYTES.get(family)
    if version_and_command == 0x20 or address_bytes is None:  # noqa: PLR2004 - version 2, LOCAL
        return None
    if size < 2 * address_bytes + 4:  # both addresses and both ports
        raise BadArrival("the PROXY header is too short")
    return str(ip_address(rest[:address_bytes]))


async def _exactly(stream: trio.abc.ReceiveStream, count: int) -> bytes:
    read = b""
    while len(read) < count:
        some = await stream.receive_some(count - len(read))
        if not some:
            raise BadArrival("the connection ended in the PROXY header")
        read += some
    return read
