"""`hookflash.toml`: the keys that an operator may write, each with its meaning and its default.

An empty file is a config. `read_config` reads one; the reference of the keys is made from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import attrs
import msgspec
from msgspec import Meta, Struct

from hookflash.backends.asterisk.inbound import DEFAULT_OUTSIDE_CONTEXTS
from hookflash.dialling.metaflows import DEFAULT_METAFLOWS, Metaflows, parse_metaflows
from hookflash.engine.legs import Account
from hookflash.engine.rules import Rules
from hookflash.fsm.policy import SOUND_CHOICES, Policy
from hookflash.journal.database import Sync
from hookflash.journal.step import DEFAULT_ACCOUNT
from hookflash.sounds import Sound, parse_sound

Text: TypeAlias = Annotated[str, Meta(max_length=500)]
Seconds: TypeAlias = Annotated[float, Meta(gt=0, le=10 * 366 * 86_400)]
Count: TypeAlias = Annotated[int, Meta(ge=1, le=1_000_000_000)]


class Listen(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where programs find us."""

    http: Text = "127.0.0.1:8080"
    """HOST:PORT for HTTP; port 0 for any that is free."""
    websocket: Text = "127.0.0.1:8081"
    """HOST:PORT for WebSocket."""
    tls_certificate: Text = ""
    """A file with the certificate (and its chain), PEM. With it, both doors speak TLS only."""
    tls_key: Text = ""
    """A file with its private key, PEM."""
    origins: tuple[Text, ...] = ()
    """The origins of web pages that may open a WebSocket (`https://desk.example.org`). A program
    that is no browser sends none, and is not asked."""


class Digits(StrEnum):
    """What is written down of the keys that people press."""

    MASKED = "masked"
    """That one was pressed, and not which."""
    KEPT = "kept"
    """All of them: PINs and card numbers, too."""


class JournalKeys(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is written down, and for how long."""

    file: Annotated[str, Meta(min_length=1, max_length=500)] = "hookflash.sqlite"
    """The journal's file; beside the config, unless it begins with a slash."""
    sync: Sync = Sync.FULL
    """When a step is safe: `full`, when the disk says so; `normal`, when the operating system has
    it, which a power cut may undo."""
    keep_days: Annotated[float, Meta(ge=0, le=36_600)] = 0.0
    """After so many days a step is forgotten, and a transfer that has ended; 0: never."""
    digits: Digits = Digits.MASKED
    """What is written down of the keys that people press: `masked`, or `kept`."""


class Simulator(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="simulator"
):
    """A simulated switch, to try things out: its phones are those of `hookflash emulate`."""

    seed: int = 0
    """Fixes what chance decides."""
    calls: tuple[tuple[Text, Text], ...] = ()
    """Who talks with whom when it starts: `[["1001", "1002"]]`."""
    account: Text = ""
    """Whose calls they are."""


class FreeSwitchKeys(
    Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="freeswitch",
):
    """A FreeSWITCH, by its event socket."""

    host: Text = "127.0.0.1"
    """Where its event socket listens."""
    port: Annotated[int, Meta(ge=1, le=65_535)] = 8021
    """At which port."""
    password: Text = ""
    """The event socket's. The stock one is taken on this machine only."""
    password_file: Text = ""
    """A file that holds the password, in place of `password`."""
    tls: bool = False
    """Whether the switch is behind a TLS proxy."""
    tls_ca: Text = ""
    """A file with the certificates to trust, PEM; the system's by default."""
    account_variable: Text = "hookflash_account"
    """The channel variable that says whose leg it is."""
    outside_contexts: tuple[Text, ...] = ("public",)
    """The dialplan contexts in which outside parties call in."""
    outside_profiles: tuple[Text, ...] = ("external",)
    """The SIP profiles on which outside parties are called, besides gateways."""
    park_limit_s: Seconds = 1860.0
    """After so long the switch itself ends a parked leg that nobody fetches."""
    template: Text = "loopback/{number}/{context}"
    """The dial string by which targets are called."""
    context: Text = "default"
    """The dialplan context in which targets are looked up."""
    variables: dict[str, str] = {}
    """Channel variables for every target's leg."""

    def __repr__(self) -> str:
        """Say where it is, and not its password."""
        return f"FreeSwitchKeys(host={self.host!r}, port={self.port})"


class AsteriskKeys(
    Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="asterisk",
):
    """An Asterisk, by its REST interface (ARI) and its manager interface (AMI)."""

    host: Text = "127.0.0.1"
    """Where both listen."""
    ari_port: Annotated[int, Meta(ge=1, le=65_535)] = 8088
    """The port of http.conf."""
    ami_port: Annotated[int, Meta(ge=1, le=65_535)] = 5038
    """The port of manager.conf."""
    username: Text = "hookflash"
    """The user in ari.conf and in manager.conf."""
    password: Text = ""
    """That user's password, the same in both files."""
    password_file: Text = ""
    """A file that holds the password, in place of `password`."""
    tls: bool = False
    """Whether both connections are encrypted."""
    tls_ca: Text = ""
    """A file with the certificates to trust, PEM; the system's by default."""
    application: Text = "hookflash"
    """The name under which the service registers with ARI. Each controller needs its own."""
    context: Text = "hookflash"
    """The context of the dialplan that `hookflash asterisk dialplan` prints."""
    template: Text = "Local/{number}@{context}/n"
    """What is dialled to reach a target, as `Dial` names it."""
    dialplan_context: Text = "default"
    """The dialplan context in which targets are looked up."""
    account_variable: Text = "HOOKFLASH_ACCOUNT"
    """The channel variable that says whose leg it is, where it is not `accountcode`."""
    outside_contexts: tuple[Text, ...] = tuple(sorted(DEFAULT_OUTSIDE_CONTEXTS))
    """The contexts of endpoints that are outside lines."""
    park_limit_s: Seconds = 1860.0
    """After so long the switch itself ends a parked leg that nobody fetches."""
    variables: dict[str, str] = {}
    """Channel variables for every target's leg."""

    def __repr__(self) -> str:
        """Say where it is, and not its password."""
        return f"AsteriskKeys(host={self.host!r}, ari_port={self.ari_port})"


def _keys_of(kind: type[Any], name: str) -> type[Struct]:
    """Make a table whose keys are the fields of a value, each of which may be left out."""
    attrs.resolve_types(kind)
    fields = [
        (
            field.name,
            (Text if field.type == Sound else field.type) | msgspec.UnsetType,
            msgspec.UNSET,
        )
        for field in attrs.fields(kind)
    ]
    return msgspec.defstruct(name, fields, frozen=True, kw_only=True, forbid_unknown_fields=True)


if TYPE_CHECKING:

    class PolicyKeys(Struct):
        """The choices of `Policy`."""

    class RulesKeys(Struct):
        """The rules of `Rules`."""

else:
    PolicyKeys = _keys_of(Policy, "PolicyKeys")
    RulesKeys = _keys_of(Rules, "RulesKeys")


def policy_choices(keys: PolicyKeys, where: str = "policy") -> dict[str, Any]:
    """The keys of a policy that are not left out, as the policy has them: sounds are read.

    Raises:
        InputError: one is not a sound.
    """
    return {
        name: parse_sound(value, f"{where}.{name}") if name in SOUND_CHOICES else value
        for name, value in given(keys).items()
    }


def given(keys: Struct) -> dict[str, Any]:
    """The keys of a table that are not left out."""
    told = {name: getattr(keys, name) for name in keys.__struct_fields__}
    return {name: value for name, value in told.items() if value is not msgspec.UNSET}


class AccountKeys(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an account has chosen. What it leaves out is as in `[defaults]`."""

    takeback_digits: Text | None = None
    """What a transferor dials to have the transferee back."""
    policy: PolicyKeys = PolicyKeys()
    """See the policy."""
    rules: RulesKeys = RulesKeys()
    """See the rules."""
    metaflows: dict[str, Any] | None = None
    """Feature codes, in Kazoo's shape."""


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of everything."""

    token_lifetime_s: Seconds = 3600.0
    """How long a token counts."""
    wrong_keys_per_minute: Count = 10
    """After so many wrong keys or tokens from one address within a minute, it gets no token. Those
    that it has go on counting."""
    request_bytes: Count = 65_536
    """The longest body of a request."""
    requests_per_second: Count = 200
    """How many requests, or commands by WebSocket, one key may send a second."""
    websocket_connections: Count = 5_000
    """How many WebSockets may be open."""
    websocket_message_bytes: Count = 65_536
    """The longest message that a WebSocket client may send."""
    websocket_buffer: Count = 2_000
    """How many events a reader may fall behind before it is cut off."""
    heartbeat_s: Seconds = 20.0
    """How often a silent WebSocket is asked whether it is still there."""
    drain_s: Seconds = 30.0
    """How long a stop waits for the transfers that are in flight."""


SwitchKeys: TypeAlias = Simulator | FreeSwitchKeys | AsteriskKeys


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole config."""

    listen: Listen = Listen()
    journal: JournalKeys = JournalKeys()
    limits: Limits = Limits()
    defaults: AccountKeys = AccountKeys()
    accounts: dict[str, AccountKeys] = {}
    switches: dict[str, SwitchKeys] = {}

    def accounts_chosen(self, stored: Mapping[str, Mapping[str, Any]]) -> dict[str, Account]:
        """What each account has chosen, by the name that its legs carry.

        Args:
            stored: feature codes that were set by programs, which go before those written here.
        """
        names = {*self.accounts, *stored}
        return {
            name: self.account(name, stored.get(name)) for name in names if name != DEFAULT_ACCOUNT
        }

    def account(self, name: str, stored: Mapping[str, Any] | None = None) -> Account:
        """What one account has chosen, or has by default."""
        own = self.accounts.get(name, AccountKeys())
        takeback = own.takeback_digits or self.defaults.takeback_digits or "*1"
        written = own.metaflows if own.metaflows is not None else self.defaults.metaflows
        document = stored if stored is not None else written
        return Account(
            metaflows=_metaflows(document, takeback),
            policy=attrs.evolve(
                Policy(),
                **{**policy_choices(self.defaults.policy), **policy_choices(own.policy)},
            ),
            rules=attrs.evolve(Rules(), **{**given(self.defaults.rules), **given(own.rules)}),
            takeback_digits=takeback,
        )


def _metaflows(document: Mapping[str, Any] | None, takeback_digits: str) -> Metaflows:
    if document is None:
        document = DEFAULT_METAFLOWS_DOCUMENT
    return _parsed(msgspec.json.encode(document), takeback_digits)


@lru_cache(maxsize=4096)
def _parsed(document: bytes, takeback_digits: str) -> Metaflows:
    """Read a document once: a change of one account's must not cost as much as all of them."""
    return parse_metaflows(msgspec.json.decode(document), takeback_digits=takeback_digits)


DEFAULT_METAFLOWS_DOCUMENT: Final[Mapping[str, Any]] = {
    "numbers": {"1": {"module": "resume"}},
    "patterns": {r"2(\d+)": {"module": "transfer"}},
}
"""`*2` and a number transfers to it; `*1` resumes."""

assert parse_metaflows(DEFAULT_METAFLOWS_DOCUMENT) == DEFAULT_METAFLOWS  # noqa: S101 - the same twice, for a reason: this one takes the operator's takeback
