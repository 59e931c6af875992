"""Connections to the network endpoints of a switch, with or without TLS."""

from __future__ import annotations

import ipaddress
import ssl
from typing import cast

import trio

from hookflash.backends.base import Rejected
from hookflash.errors import first_of


async def connect(host: str, port: int, tls: ssl.SSLContext | None) -> trio.abc.Stream:
    """Connect; with `tls`, the certificate must be valid for the host.

    Raises:
        Rejected: the context does not trust the certificate.
        OSError: the switch can't be reached.
        trio.BrokenResourceError: the other side does not speak TLS.
    """
    plain = await trio.open_tcp_stream(host, port)
    if tls is None:
        return plain
    stream = trio.SSLStream(plain, tls, server_hostname=host, https_compatible=True)
    try:
        await stream.do_handshake()
    except BaseException as error:
        await trio.aclose_forcefully(plain)
        if isinstance(error.__cause__, ssl.SSLCertVerificationError):
            why = error.__cause__.verify_message
            raise Rejected(f"{host}:{port} is not trusted: {why}") from error
        raise
    return stream


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def cause_of(error: BaseException) -> str:
    """Why a connection was not made, or broke, in a few words."""
    cause = error.__cause__ or error
    if isinstance(cause, BaseExceptionGroup):
        cause = first_of(cast("BaseExceptionGroup[BaseException]", cause))
    if isinstance(cause, TimeoutError | trio.TooSlowError):
        return "no answer in time"
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
