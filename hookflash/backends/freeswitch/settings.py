"""The settings of a FreeSWITCH: its address, and how to use it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Final

import attrs

from hookflash.backends.endpoints import is_loopback
from hookflash.backends.freeswitch.inbound import DEFAULT_OUTSIDE_CONTEXTS, DEFAULT_OUTSIDE_PROFILES
from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.backends.heartbeat import HEARTBEAT_S
from hookflash.errors import InputError

STOCK_PASSWORD: Final = "ClueCon"  # noqa: S105 - it is everybody's, and therefore nobody's
"""FreeSWITCH's default password."""


@attrs.frozen(kw_only=True)
class FreeSwitch:
    """The address of a FreeSWITCH, and how to use it.

    Raises:
        InputError: the stock password for a host that is not this machine.
    """

    host: str = "127.0.0.1"
    port: int = 8021
    password: str = attrs.field(default=STOCK_PASSWORD, repr=False)
    name: str = ""
    """Its name in events; for programs with several switches."""
    tls: ssl.SSLContext | None = attrs.field(default=None, repr=False)
    """For a switch behind a TLS proxy: a context that checks its certificate and host name."""
    dialling: Dialling = attrs.field(factory=Dialling)
    account_dialling: Mapping[str, Dialling] = attrs.field(factory=dict[str, Dialling])
    """How targets are called for accounts that differ: the account of the call decides."""
    account_variable: str = "hookflash_account"
    """The channel variable that holds a leg's account."""
    owner_variable: str = "hookflash_owner"
    """The channel variable that holds the user or device that a leg belongs to."""
    outside_contexts: frozenset[str] = DEFAULT_OUTSIDE_CONTEXTS
    """The dialplan contexts in which outside parties call in; they may not transfer, unless their
    account's rules say so."""
    outside_profiles: frozenset[str] = DEFAULT_OUTSIDE_PROFILES
    """The SIP profiles on which outside parties are called, besides gateways."""
    park_limit_s: float = 1860.0
    """After this time the switch itself hangs up a parked leg, in case no controller ever comes
    back; longer than any hold limit."""
    reply_timeout_s: float = 30.0
    """A longer wait for an answer means a dead connection. On two overloaded cores it takes 2 s."""
    heartbeat_s: float = HEARTBEAT_S
    """After so much silence, the switch is asked for a sign of life."""
    silence_limit_s: float = 6.0
    """If none comes for so long, on this connection or on a new one, the switch counts as lost."""
    connect_timeout_s: float = 10.0
    reconnect_first_s: float = 0.1
    """The pause before the first reconnection; then twice as long each time, with jitter, …"""
    reconnect_longest_s: float = 5.0
    """… up to this: several attempts a second can overload a switch."""
    event_buffer: int = 20_000
    """How many events may wait for the engine: a few seconds of a busy switch."""

    def __attrs_post_init__(self) -> None:
        if self.password == STOCK_PASSWORD and not is_loopback(self.host):
            raise InputError(
                "the stock password is refused for a switch that is not on this machine",
                where=f"{self.host}:{self.port}",
                hint="set another in event_socket.conf.xml, and here",
            )
        if any(ord(char) < ord(" ") for char in self.password):
            raise InputError("the password contains a control character", hint="set another")
