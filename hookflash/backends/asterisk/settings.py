"""Where an Asterisk is, and how it is used."""

from __future__ import annotations

import ssl

import attrs

from hookflash.backends.asterisk.dialplan import (
    DEFAULT_APPLICATION,
    DEFAULT_CONTEXT,
    PARK_LIMIT_S,
    checked_setting,
)
from hookflash.backends.asterisk.inbound import DEFAULT_OUTSIDE_CONTEXTS
from hookflash.backends.asterisk.primitives import DEFAULT_ACCOUNT_VARIABLE
from hookflash.backends.asterisk.procedures import AsteriskDialling
from hookflash.backends.endpoints import is_loopback
from hookflash.errors import InputError


@attrs.frozen(kw_only=True)
class Asterisk:
    """Where an Asterisk is, and how it is used.

    Raises:
        InputError: a password with a control character, or no password for another machine; a
            name that can't stand in a dialplan.
    """

    host: str = "127.0.0.1"
    ari_port: int = 8088
    ami_port: int = 5038
    username: str = "hookflash"
    """Of both, ARI and AMI."""
    password: str = attrs.field(default="", repr=False)
    name: str = ""
    """What events call it; for programs that have several."""
    tls: ssl.SSLContext | None = attrs.field(default=None, repr=False)
    """For both connections: a context that checks the switch's certificate and host name."""
    dialling: AsteriskDialling = attrs.field(factory=AsteriskDialling)
    account_variable: str = DEFAULT_ACCOUNT_VARIABLE
    """The channel variable that says whose leg it is, where it is not `accountcode`."""
    outside_contexts: frozenset[str] = DEFAULT_OUTSIDE_CONTEXTS
    """The contexts of endpoints that are outside lines: a party that calls in there, or is called
    over such an endpoint, may not transfer, unless the account's rules say so."""
    context: str = DEFAULT_CONTEXT
    """The context of the dialplan that hookflash brings."""
    application: str = DEFAULT_APPLICATION
    """Under which name it registers with ARI. A second controller of the same name takes the
    switch away from the first."""
    park_limit_s: float = PARK_LIMIT_S
    """After so long the switch itself ends a parked leg that nobody fetches; longer than any
    hold limit."""
    request_timeout_s: float = 5.0
    """A response that takes longer means a dead line."""
    reconnect_first_s: float = 0.1
    """How long before the first try to come back; then twice as long each time, with jitter, …"""
    reconnect_longest_s: float = 15.0
    """… up to this."""
    event_buffer: int = 20_000
    """How many events may wait for the engine: some seconds of a busy switch."""

    def __attrs_post_init__(self) -> None:
        if any(ord(char) < ord(" ") for char in self.password + self.username):
            raise InputError("the user or the password has a control character in it")
        checked_setting(self.context, "the context")
        checked_setting(self.application, "the application")
        checked_setting(self.account_variable, "the account's variable")
        if not self.password and not is_loopback(self.host):
            raise InputError(
                "a switch that is not on this machine needs a password",
                where=self.host,
                hint="set one in ari.conf and manager.conf, and here",
            )
