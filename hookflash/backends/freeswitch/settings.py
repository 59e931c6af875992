"""Where a FreeSWITCH is, and how it is used."""

from __future__ import annotations

import ssl
from typing import Final

import attrs

from hookflash.backends.endpoints import is_loopback
from hookflash.backends.freeswitch.inbound import DEFAULT_OUTSIDE_CONTEXTS, DEFAULT_OUTSIDE_PROFILES
from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.errors import InputError

STOCK_PASSWORD: Final = "ClueCon"  # noqa: S105 - it is everybody's, and therefore nobody's
"""The password with which FreeSWITCH is installed."""


@attrs.frozen(kw_only=True)
class FreeSwitch:
    """Where a FreeSWITCH is, and how it is used.

    Raises:
        InputError: the stock password for a host that is not this machine.
    """

    host: str = "127.0.0.1"
    port: int = 8021
    password: str = attrs.field(default=STOCK_PASSWORD, repr=False)
    name: str = ""
    """What events call it; for programs that have several."""
    tls: ssl.SSLContext | None = attrs.field(default=None, repr=False)
    """For a switch behind a TLS proxy: a context that checks its certificate and host name."""
    dialling: Dialling = attrs.field(factory=Dialling)
    account_variable: str = "hookflash_account"
    """The channel variable that says whose leg it is."""
    outside_contexts: frozenset[str] = DEFAULT_OUTSIDE_CONTEXTS
    """The dialplan contexts in which outside parties call in; they may not transfer, unless their
    account's rules say so."""
    outside_profiles: frozenset[str] = DEFAULT_OUTSIDE_PROFILES
    """The SIP profiles on which outside parties are called, besides gateways."""
    park_limit_s: float = 1860.0
    """After so long the switch itself ends a parked leg that nobody fetches; longer than any
    hold limit."""
    reply_timeout_s: float = 30.0
    """An answer that takes longer means a dead line. On two overloaded cores it takes two."""
    connect_timeout_s: float = 10.0
    reconnect_first_s: float = 0.1
    """How long before the first try to come back; then twice as long each time, with jitter, …"""
    reconnect_longest_s: float = 15.0
    """… up to this: several tries a second have sunk a switch before."""
    event_buffer: int = 20_000
    """How many events may wait for the engine: some seconds of a busy switch."""

    def __attrs_post_init__(self) -> None:
        if self.password == STOCK_PASSWORD and not is_loopback(self.host):
            raise InputError(
                "the stock password is refused for a switch that is not on this machine",
                where=f"{self.host}:{self.port}",
                hint="set another in event_socket.conf.xml, and here",
            )
        if any(ord(char) < ord(" ") for char in self.password):
            raise InputError("the password has a control character in it", hint="set another")
