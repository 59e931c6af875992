"""Addresses that the service listens on, and the TLS of its servers."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Final

from hookflash.errors import InputError
from hookflash.server.config import Listen
from hookflash.server.proxies import proxies_of

ALLOWED_HOST: Final = re.compile(r"[0-9A-Za-z_.:%-]{1,255}")
HIGHEST_PORT: Final = 65_535


def check_listen(listen: Listen, where: str, beside: Path | None) -> None:
    """Check the addresses, and that the certificate and its key can be used.

    Raises:
        InputError: something is invalid.
    """
    read_address(listen.http, where=f"{where}.http")
    read_address(listen.websocket, where=f"{where}.websocket")
    proxies_of(listen, where=where)
    if listen.proxy_protocol and not listen.trusted_proxies:
        raise InputError(
            "needs trusted_proxies",
            where=f"{where}.proxy_protocol",
            hint="name the networks of the proxies that send the header",
        )
    if bool(listen.tls_certificate) != bool(listen.tls_key):
        raise InputError(
            "a certificate needs its key, and a key its certificate",
            where=where,
            hint="give both tls_certificate and tls_key, or neither",
        )
    if listen.tls_certificate:
        server_tls(listen, where=where, beside=beside)


def read_address(text: str, *, where: str) -> tuple[str, int]:
    """Read HOST:PORT.

    Raises:
        InputError: the text is not an address.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    is_port = port.isascii() and port.isdecimal() and int(port) <= HIGHEST_PORT
    if not colon or not ALLOWED_HOST.fullmatch(host) or not is_port:
        hint = "HOST:PORT, such as 127.0.0.1:8080"
        raise InputError(f"{text!r} is not an address", where=where, hint=hint)
    return host, int(port)


def in_folder(name: str, beside: Path | None) -> Path:
    """Resolve a path relative to the configuration's folder."""
    return Path(name) if beside is None else beside / name


def server_tls(listen: Listen, *, where: str, beside: Path | None) -> ssl.SSLContext:
    """The TLS context of both servers.

    Raises:
        InputError: the certificate or its key can't be used.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    # RFC 8996; Python accepts older versions if OpenSSL has no configuration
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(
            in_folder(listen.tls_certificate, beside), in_folder(listen.tls_key, beside)
        )
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            f"can't be used: {error.strerror or error}",
            where=f"{where}.tls_certificate",
            hint="name PEM files of a certificate and its key",
        ) from error
    return context
