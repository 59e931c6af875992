"""Opens the TCP or TLS stream that a WebSocket's URL names."""

from __future__ import annotations

import ssl
from typing import TypeAlias
from urllib.parse import urlsplit

import trio

from hookflash.errors import InputError

Stream: TypeAlias = trio.SocketStream | trio.SSLStream[trio.SocketStream]


async def open_stream(url: str, tls: ssl.SSLContext | None) -> Stream:
    """Open the stream that a WebSocket's URL names.

    Raises:
        OSError: the host can't be reached.
        trio.BrokenResourceError: the TLS handshake failed.
    """
    where = urlsplit(url)
    assert where.hostname is not None  # noqa: S101 - `check_url` has seen to it
    if where.scheme == "ws":
        return await trio.open_tcp_stream(where.hostname, where.port or 80)
    stream = await trio.open_ssl_over_tcp_stream(
        where.hostname,
        where.port or 443,
        ssl_context=tls or ssl.create_default_context(),
        https_compatible=True,
    )
    try:
        await stream.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return stream


def check_url(url: str) -> None:
    """Check a URL.

    Raises:
        InputError: it is not the URL of a WebSocket.
    """
    try:
        where = urlsplit(url)
        fits = where.scheme in {"ws", "wss"} and where.hostname and where.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise InputError(
            f"{url[:200]!r} is not the URL of a WebSocket", hint="ws://HOST:PORT/v2/events"
        )
