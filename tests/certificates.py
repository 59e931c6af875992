"""Certificates for tests: who shows one, and who trusts it."""

from __future__ import annotations

import ssl
from typing import Any

import trustme


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """A client that trusts whatever this authority has signed."""
    context = ssl.create_default_context()
    ca: Any = authority  # its methods are typed for another library, too
    ca.configure_trust(context)
    return context


def showing(authority: trustme.CA, host: str) -> ssl.SSLContext:
    """A server that shows a certificate for a host."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate: Any = authority.issue_cert(host)
    certificate.configure_cert(context)
    return context
