"""The settings of an Asterisk: its address, and how to use it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

import attrs

from hookflash.backends.asterisk.dialplan import (
    DEFAULT_APPLICATION,
    DEFAULT_CONTEXT,
    PARK_LIMIT_S,
    checked_setting,
)
from hookflash.backends.asterisk.inbound import DEFAULT_OUTSIDE_CONTEXTS
from hookflash.backends.asterisk.primitives import (
    DEFAULT_ACCOUNT_VARIABLE,
    DEFAULT_OWNER_VARIABLE,
)
from hookflash.backends.asterisk.procedures import AsteriskDialling
from hookflash.backends.endpoints import is_loopback
from hookflash.backends.heartbeat import HEARTBEAT_S
from hookflash.errors import InputError


@attrs.frozen(kw_only=True)
class Asterisk:
    """The address of an Asterisk, and how to use it.

    Raises:
        InputError: a password with a control character, or no password for another machine; a
            name that is not allowed in a dialplan.
    """

    host: str = "127.0.0.1"
    ari_port: int = 8088
    ami_port: int = 5038
    username: str = "hookflash"
    """For both ARI and AMI."""
    password: str = attrs.field(default="", repr=False)
    name: str = ""
    """Its name in events; for programs with several switches."""
    tls: ssl.SSLContext | None = attrs.field(default=None, repr=False)
    """For both connections: a context that checks the switch's certificate and host name."""
    dialling: AsteriskDialling = attrs.field(factory=AsteriskDialling)
    account_dialling: Mapping[str, AsteriskDialling] = attrs.field(
        factory=dict[str, AsteriskDialling]
    )
    """How targets are called for accounts that differ: the account of the call decides."""
    account_variable: str = DEFAULT_ACCOUNT_VARIABLE
    """The channel variable that holds a leg's account, if it is not in `accountcode`."""
    owner_variable: str = DEFAULT_OWNER_VARIABLE
    """The channel variable that holds the user or device that a leg belongs to."""
    outside_contexts: frozenset[str] = DEFAULT_OUTSIDE_CONTEXTS
    """The contexts of outside lines: a party that calls in by such an endpoint, or is called over
    one, may not transfer, unless the account's rules say so."""
    context: str = DEFAULT_CONTEXT
    """The context of hookflash's dialplan."""
    application: str = DEFAULT_APPLICATION
    """The name under which hookflash registers with ARI. A second controller with the same name
    takes the switch away from the first."""
    park_limit_s: float = PARK_LIMIT_S
    """After this time the switch itself hangs up a parked leg, in case no controller ever comes
    back; longer than any hold limit."""
    request_timeout_s: float = 5.0
    """A longer wait for a response means a dead connection."""
    heartbeat_s: float = HEARTBEAT_S
    """After so much silence, the switch is asked for a sign of life."""
    reconnect_first_s: float = 0.1
    """The pause before the first reconnection; then twice as long each time, with jitter, …"""
    reconnect_longest_s: float = 5.0
    """… up to this."""
    event_buffer: int = 20_000
    """How many events may wait for the engine: a few seconds of a busy switch."""

    def __attrs_post_init__(self) -> None:
        if any(ord(char) < ord(" ") for char in self.password + self.username):
            raise InputError("the user or the password contains a control character")
        checked_setting(self.context, "the context")
        checked_setting(self.application, "the application")
        checked_setting(self.account_variable, "the account's variable")
        checked_setting(self.owner_variable, "the owner's variable")
        if not self.password and not is_loopback(self.host):
            raise InputError(
                "a switch that is not on this machine needs a password",
                where=self.host,
                hint="set one in ari.conf and manager.conf, and here",
            )
