"""`hookflash.toml`: all keys, with their meaning and default.

An empty file is valid. `read_config` reads it; the reference of the keys is generated from here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias
from weakref import WeakValueDictionary

import attrs
import msgspec
from msgspec import Meta, Struct

from hookflash.accounts import DEFAULT_ACCOUNT
from hookflash.backends.asterisk.inbound import DEFAULT_OUTSIDE_CONTEXTS
from hookflash.dialling.metaflows import DEFAULT_METAFLOWS, Metaflows, parse_metaflows
from hookflash.dialling.numbering import parse_numbering
from hookflash.dialling.numbers import NumberRules, Rewrite, parse_rewrites
from hookflash.document import place_in
from hookflash.engine.legs import DEFAULT_SWAP_DIGITS, DEFAULT_THREE_WAY_DIGITS, Account
from hookflash.engine.rules import Rules
from hookflash.errors import InputError
from hookflash.fsm.policy import OPTIONAL_SOUNDS, SOUND_CHOICES, Policy
from hookflash.journal.database import Sync
from hookflash.sounds import AskedSound, Media, MediaList, Sound, parse_asked_sound, parse_sound

Text: TypeAlias = Annotated[str, Meta(max_length=500)]
Seconds: TypeAlias = Annotated[float, Meta(gt=0, le=10 * 366 * 86_400)]
Count: TypeAlias = Annotated[int, Meta(ge=1, le=1_000_000_000)]


class Listen(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The addresses of the APIs."""

    http: Text = "127.0.0.1:8080"
    """HOST:PORT for HTTP; port 0: any free port."""
    websocket: Text = "127.0.0.1:8081"
    """HOST:PORT for WebSocket; port 0: any free port."""
    tls_certificate: Text = ""
    """PEM file with the certificate and its chain. If set, both APIs use TLS only."""
    tls_key: Text = ""
    """PEM file with the certificate's private key."""
    trusted_proxies: tuple[Text, ...] = ()
    """Networks of the proxies in front of the service, such as `10.0.0.0/8`. Only they are believed
    about a client's address: limits and throttles count by it."""
    proxy_protocol: bool = False
    """Whether the trusted proxies begin each connection with a PROXY header (version 1 or 2). If
    not, the address is taken from their `X-Forwarded-For`."""
    origins: tuple[Text, ...] = ()
    """Origins of web pages that may open a WebSocket, such as `https://desk.example.org`. Programs
    other than browsers send no origin and are not restricted."""


class Digits(StrEnum):
    """How the journal stores the keys that people press."""

    MASKED = "masked"
    """Only that a key was pressed."""
    KEPT = "kept"
    """The keys, including PINs and card numbers."""


class JournalKeys(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The journal: what is stored, and for how long."""

    file: Annotated[str, Meta(min_length=1, max_length=500)] = "hookflash.sqlite"
    """The journal's file; a relative path begins at the configuration's folder."""
    sync: Sync = Sync.FULL
    """When a step counts as safe: `full`: once it is on the disk; `normal`: once the operating
    system has it, so that a power cut may lose it."""
    keep_days: Annotated[float, Meta(ge=0, le=36_600)] = 0.0
    """Steps and ended transfers older than this are deleted; 0: never."""
    digits: Digits = Digits.MASKED
    """How the keys that people press are stored: `masked` or `kept`."""


class Simulator(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="simulator"
):
    """A simulated switch, with the phones of `hookflash emulate`."""

    seed: int = 0
    """Seed of the random numbers."""
    calls: tuple[tuple[Text, Text], ...] = ()
    """Calls at the start, as pairs of caller and callee: `[["1001", "1002"]]`."""
    account: Text = ""
    """The account of these calls."""


class FreeSwitchKeys(
    Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="freeswitch",
):
    """A FreeSWITCH, controlled through its event socket."""

    host: Text = "127.0.0.1"
    """Host of the event socket."""
    port: Annotated[int, Meta(ge=1, le=65_535)] = 8021
    """Port of the event socket."""
    password: Text = ""
    """Password of the event socket. The stock password is accepted on this machine only."""
    password_file: Text = ""
    """A file with the password, in place of `password`."""
    tls: bool = False
    """Whether the switch is behind a TLS proxy."""
    tls_ca: Text = ""
    """PEM file with the trusted certificates; default: those of the system."""
    account_variable: Text = "hookflash_account"
    """Channel variable with the account of a leg."""
    owner_variable: Text = "hookflash_owner"
    """Channel variable with the owner of a leg: the user or device that it belongs to."""
    outside_contexts: tuple[Text, ...] = ("public",)
    """Dialplan contexts of calls from outside parties."""
    outside_profiles: tuple[Text, ...] = ("external",)
    """SIP profiles of calls to outside parties, besides gateways."""
    park_limit_s: Seconds = 1860.0
    """After this time the switch itself hangs up a parked leg."""
    template: Text = "loopback/{number}/{context}"
    """Dial string for targets. `{account}` is the account of the call."""
    context: Text = "default"
    """Dialplan context for targets; `{account}`: each account has a context of its name."""
    variables: dict[str, str] = {}
    """Channel variables for every target's leg, and for the legs that the dialplan calls for it."""

    def __repr__(self) -> str:
        """Hide the password."""
        return f"FreeSwitchKeys(host={self.host!r}, port={self.port})"


class AsteriskKeys(
    Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="asterisk",
):
    """An Asterisk, controlled through its REST interface (ARI) and manager interface (AMI)."""

    host: Text = "127.0.0.1"
    """Host of both interfaces."""
    ari_port: Annotated[int, Meta(ge=1, le=65_535)] = 8088
    """The port in http.conf."""
    ami_port: Annotated[int, Meta(ge=1, le=65_535)] = 5038
    """The port in manager.conf."""
    username: Text = "hookflash"
    """The user in ari.conf and manager.conf."""
    password: Text = ""
    """That user's password, the same in both files."""
    password_file: Text = ""
    """A file with the password, in place of `password`."""
    tls: bool = False
    """Whether both connections use TLS."""
    tls_ca: Text = ""
    """PEM file with the trusted certificates; default: those of the system."""
    application: Text = "hookflash"
    """The name under which the service registers with ARI. Each controller needs its own."""
    context: Text = "hookflash"
    """The dialplan context that `hookflash asterisk dialplan` prints."""
    template: Text = "Local/{number}@{context}/n"
    """Dial string for targets, as in `Dial()`. `{account}` is the account of the call."""
    dialplan_context: Text = "default"
    """Dialplan context for targets; `{account}`: each account has a context of its name."""
    account_variable: Text = "HOOKFLASH_ACCOUNT"
    """Channel variable with the account of a leg, if it is not `accountcode`."""
    owner_variable: Text = "HOOKFLASH_OWNER"
    """Channel variable with the owner of a leg: the user or device that it belongs to."""
    outside_contexts: tuple[Text, ...] = tuple(sorted(DEFAULT_OUTSIDE_CONTEXTS))
    """Contexts of the endpoints of outside parties."""
    park_limit_s: Seconds = 1860.0
    """After this time the switch itself hangs up a parked leg."""
    variables: dict[str, str] = {}
    """Channel variables for every target's leg."""

    def __repr__(self) -> str:
        """Hide the password."""
        return f"AsteriskKeys(host={self.host!r}, ari_port={self.ari_port})"


LIMITS: Final = frozenset({"transfers_at_once", "transfers_per_minute"})
"""Rules that count the transfers of a whole account."""


def _keys_of(kind: type[Any], name: str, *, without: Collection[str] = frozenset()) -> type[Struct]:
    """Make a table whose optional keys are the fields of a value."""
    attrs.resolve_types(kind)
    fields = [
        (
            field.name,
            (Text if field.type in (Sound, Sound | None) else field.type) | msgspec.UnsetType,
            msgspec.UNSET,
        )
        for field in attrs.fields(kind)
        if field.name not in without
    ]
    return msgspec.defstruct(name, fields, frozen=True, kw_only=True, forbid_unknown_fields=True)


if TYPE_CHECKING:

    class PolicyKeys(Struct):
        """The choices of `Policy`."""

    class RulesKeys(Struct):
        """The rules of `Rules`."""

    class OwnerRulesKeys(Struct):
        """The rules of `Rules`, without the limits of an account."""

else:
    PolicyKeys = _keys_of(Policy, "PolicyKeys")
    RulesKeys = _keys_of(Rules, "RulesKeys")
    OwnerRulesKeys = _keys_of(Rules, "OwnerRulesKeys", without=LIMITS)


def policy_choices(keys: PolicyKeys, where: str = "policy") -> dict[str, Any]:
    """The policy keys that are set; sounds are parsed, and may be IDs of the media list.

    Raises:
        InputError: a sound is invalid.
    """
    return {
        name: _sound(name, value, f"{where}.{name}") if name in SOUND_CHOICES else value
        for name, value in given(keys).items()
    }


def _sound(name: str, text: str, where: str) -> AskedSound | None:
    """Read a sound. Some may be none: their text is empty then."""
    return None if text == "" and name in OPTIONAL_SOUNDS else parse_asked_sound(text, where)


def media_sounds(media: Mapping[str, str], where: str = "media") -> dict[str, Sound]:
    """The sounds of a media list.

    Raises:
        InputError: an ID or a sound is invalid.
    """
    sounds: dict[str, Sound] = {}
    for name, text in media.items():
        place = place_in(where, [name])
        if Media.is_entry(name):
            sounds[name] = parse_sound(text, place)
        else:
            hint = "letters, digits and _ -, at most 64"
            raise InputError("is not a valid ID", where=place, hint=hint)
    return sounds


def given(keys: Struct) -> dict[str, Any]:
    """The keys of a table that are set."""
    values = {name: getattr(keys, name) for name in keys.__struct_fields__}
    return {name: value for name, value in values.items() if value is not msgspec.UNSET}


class NumberKeys(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How numbers are read that people and programs write."""

    domains: tuple[Text, ...] | None = None
    """Domains whose SIP addresses are numbers of this account, such as `["example.org"]`. A SIP
    address with another domain is refused."""
    rewrites: tuple[Text, ...] | None = None
    """Rules that replace numbers, in order: `["00... -> +...", "0... -> +49..."]`. The first one
    that matches the whole number applies, once."""
    rewrites_file: Text = ""
    """A file with such rules, one a line, in place of `rewrites`; a relative path begins at the
    configuration's folder."""


class DiallingKeys(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the targets of an account are called: its own dialplan context, for example.

    Keys that are not set are as in `[defaults.dialling]`, or else as for the switch.
    """

    context: Text | None = None
    """Dialplan context in which the account's targets are looked up, recalls and fallback targets
    included. `{account}` is the account."""
    template: Text | None = None
    """Dial string for the account's targets, such as `user/{number}@{account}`. It is for one kind
    of switch: a configuration with both kinds can't have it here."""
    variables: dict[str, str] | None = None
    """Channel variables for the account's targets, besides those of the switch."""


class OwnerKeys(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a user or device. Keys that are not set are as for its account."""

    takeback_digits: Text | None = None
    """What it dials to take the transferee back."""
    swap_digits: Text | None = None
    """What it dials to change between transferee and target; empty: nothing."""
    three_way_digits: Text | None = None
    """What a transferor dials to talk with both; empty: nothing."""
    complete_digits: Text | None = None
    """What it dials to hand over without hanging up; empty: nothing."""
    move_to: tuple[Text, ...] = ()
    """The numbers of its devices, at most 8: a call that is moved (`transfer_type: move`) rings at
    all of them, except the one that is talked on. By default, at the number of the leg itself."""
    policy: PolicyKeys = PolicyKeys()
    """See the policy."""
    rules: OwnerRulesKeys = OwnerRulesKeys()
    """See the rules; limits are those of the account."""
    metaflows: dict[str, Any] | None = None
    """Feature codes, in Kazoo's format. They go before those of the account, which it has, too."""
    numbering: tuple[int | str, ...] | None = None
    """The numbers that are complete behind a code."""


class AccountKeys(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of an account. Keys that are not set are as in `[defaults]`."""

    takeback_digits: Text | None = None
    """What a transferor dials to take the transferee back."""
    swap_digits: Text | None = None
    """What a transferor dials to change between transferee and target: by default `*4`, as in
    Asterisk; empty: nothing."""
    three_way_digits: Text | None = None
    """What a transferor dials to bring all three into one conversation, and to leave it: by default
    `*3`, as in Asterisk; empty: nothing."""
    complete_digits: Text | None = None
    """What a transferor dials to hand over without hanging up; by default nothing."""
    policy: PolicyKeys = PolicyKeys()
    """See the policy."""
    rules: RulesKeys = RulesKeys()
    """See the rules."""
    numbers: NumberKeys = NumberKeys()
    """How numbers are read."""
    dialling: DiallingKeys = DiallingKeys()
    """How targets are called."""
    owners: dict[str, OwnerKeys] = {}
    """The settings of users and devices that differ: `[accounts.X.owners.NAME]`. NAME is what the
    switch's `owner_variable` has."""
    media: dict[Text, Text] = {}
    """The media list: sounds that may be asked for by ID, such as
    `greeting = "file:ivr/one-moment"`. An ID has letters, digits and _ -, at most 64. The entries
    of `[defaults.media]` belong to every account's list."""
    returns: dict[Text, Text] = {}
    """Names for extensions of the dialplan to which a caller may be sent back whom nobody could
    take over from a menu, a queue or a bot: `bot = "7000@default"`. Requests and
    `policy.return_to` choose one of them. Those of `[defaults.returns]` belong to every account."""
    metaflows: dict[str, Any] | None = None
    """Feature codes, in Kazoo's format."""
    numbering: tuple[int | str, ...] | None = None
    r"""The numbers that are complete behind a code, and act with their last key: a list of numbers
    (`"2600"`), patterns (`'2\d{3}'`) and lengths (`4`). Feature codes with a `numbering` of their
    own take precedence."""


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of the service."""

    token_lifetime_s: Seconds = 3600.0
    """How long a token is valid."""
    wrong_keys_per_minute: Count = 10
    """After this many wrong keys or tokens within a minute, further wrong ones of the same address
    are refused at once. Right ones are not limited, except that guesses at one key keep it from
    signing in for the first time from their address."""
    request_bytes: Count = 65_536
    """Largest body of an HTTP request."""
    requests_per_second: Count = 200
    """How many HTTP requests and WebSocket messages one key may send per second. A list counts as
    5, setting feature codes as 40."""
    account_requests_per_second: Count = 500
    """The same for all keys that act for one account together."""
    http_connections: Count = 2_000
    """How many connections to the HTTP API may be open. When there are more, those that are idle,
    have not signed in or are still sending are closed, first those of the address that has most."""
    websocket_connections: Count = 5_000
    """How many WebSockets may be open."""
    connections_per_address: Count = 500
    """How many connections to each API may be open from one address (of IPv6: from one network of
    64 bits). Behind a trusted proxy, the client's address counts."""
    websocket_message_bytes: Count = 65_536
    """Largest message of a WebSocket client."""
    websocket_buffer: Count = 2_000
    """How many events a reader may fall behind before it is disconnected."""
    heartbeat_s: Seconds = 20.0
    """Interval of the pings on a WebSocket."""
    drain_s: Seconds = 30.0
    """How long a stop waits for transfers in flight."""


SwitchKeys: TypeAlias = Simulator | FreeSwitchKeys | AsteriskKeys


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole configuration."""

    listen: Listen = Listen()
    journal: JournalKeys = JournalKeys()
    limits: Limits = Limits()
    defaults: AccountKeys = AccountKeys()
    accounts: dict[str, AccountKeys] = {}
    switches: dict[str, SwitchKeys] = {}

    def accounts_chosen(self, stored: Mapping[str, Mapping[str, Any]]) -> dict[str, Account]:
        """The settings of all accounts, by name.

        Args:
            stored: feature codes that programs have set; they take precedence.
        """
        names = {*self.accounts, *stored}
        return {
            name: self.account(name, stored.get(name)) for name in names if name != DEFAULT_ACCOUNT
        }

    def dialling(self, name: str) -> DiallingKeys:
        """How the targets of an account are called, as far as it differs from the switch."""
        own, others = self.accounts.get(name, AccountKeys()).dialling, self.defaults.dialling
        return DiallingKeys(
            context=others.context if own.context is None else own.context,
            template=others.template if own.template is None else own.template,
            variables={**(others.variables or {}), **(own.variables or {})},
        )

    def account(self, name: str, stored: Mapping[str, Any] | None = None) -> Account:
        """The settings of one account, or the defaults."""
        own = self.accounts.get(name, AccountKeys())
        takeback = own.takeback_digits or self.defaults.takeback_digits or "*1"
        written = own.metaflows if own.metaflows is not None else self.defaults.metaflows
        document = stored if stored is not None else written
        numbering = own.numbering if own.numbering is not None else self.defaults.numbering
        media = MediaList({**media_sounds(self.defaults.media), **media_sounds(own.media)})
        choices = {**policy_choices(self.defaults.policy), **policy_choices(own.policy)}
        _look_up_sounds(choices, media, name)
        rules = attrs.evolve(Rules(), **{**given(self.defaults.rules), **given(own.rules)})
        account = Account(
            metaflows=_metaflows(document, takeback, numbering or ()),
            policy=attrs.evolve(Policy(), **choices),
            media=media,
            rules=rules,
            numbers=_number_rules(own.numbers, self.defaults.numbers),
            takeback_digits=takeback,
            swap_digits=_chosen(own.swap_digits, self.defaults.swap_digits, DEFAULT_SWAP_DIGITS),
            three_way_digits=_chosen(
                own.three_way_digits, self.defaults.three_way_digits, DEFAULT_THREE_WAY_DIGITS
            ),
            complete_digits=_chosen(own.complete_digits, self.defaults.complete_digits, ""),
            returns={**self.defaults.returns, **own.returns},
        )
        base = DEFAULT_METAFLOWS_DOCUMENT if document is None else document
        owners = {
            owner: _of_owner(account, keys, name, base, keys.numbering or numbering or ())
            for owner, keys in own.owners.items()
        }
        return attrs.evolve(account, owners=owners) if owners else account


def _look_up_sounds(choices: dict[str, Any], media: MediaList, account: str) -> None:
    """Replace media IDs by their sounds. Some sounds may be none."""
    for key in SOUND_CHOICES & choices.keys():
        if choices[key] is not None:
            choices[key] = media.sound(choices[key], account, f"policy.{key}")


def _of_owner(
    account: Account,
    keys: OwnerKeys,
    name: str,
    base: Mapping[str, Any],
    numbering: tuple[int | str, ...],
) -> Account:
    """The settings of a user or device: its own, and for the rest those of its account.

    Args:
        account: its account's.
        keys: its own.
        name: the account's ID.
        base: the account's feature codes, as written.
        numbering: the numbers that are complete.
    """
    takeback = keys.takeback_digits or account.takeback_digits
    choices = policy_choices(keys.policy)
    _look_up_sounds(choices, account.media, name)
    return attrs.evolve(
        account,
        metaflows=_metaflows(_before(keys.metaflows or {}, base), takeback, numbering),
        policy=attrs.evolve(account.policy, **choices),
        rules=attrs.evolve(account.rules, **given(keys.rules)),
        takeback_digits=takeback,
        swap_digits=_chosen(keys.swap_digits, None, account.swap_digits),
        three_way_digits=_chosen(keys.three_way_digits, None, account.three_way_digits),
        complete_digits=_chosen(keys.complete_digits, None, account.complete_digits),
        move_to=keys.move_to,
    )


def _before(own: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """Feature codes, and behind them those of the account that they do not replace."""
    merged: dict[str, Any] = {**base, **own}
    for part in ("numbers", "patterns"):
        mine: Mapping[str, Any] = own.get(part, {})
        others: Mapping[str, Any] = base.get(part, {})
        rest = {code: action for code, action in others.items() if code not in mine}
        if mine or rest:
            merged[part] = {**mine, **rest}
    return merged


def _chosen(own: str | None, others: str | None, otherwise: str) -> str:
    """An account's own choice, or else that of all accounts."""
    return next((choice for choice in (own, others) if choice is not None), otherwise)


def _number_rules(own: NumberKeys, others: NumberKeys) -> NumberRules:
    domains = others.domains if own.domains is None else own.domains
    rewrites = others.rewrites if own.rewrites is None else own.rewrites
    return NumberRules(domains=domains or (), rewrites=_rewrites(rewrites or ()))


@lru_cache(maxsize=64)
def _rewrites(lines: tuple[str, ...]) -> tuple[Rewrite, ...]:
    """Parse rules; accounts that have those of `[defaults]` share them."""
    return parse_rewrites(lines, "rewrites")


def _metaflows(
    document: Mapping[str, Any] | None, takeback_digits: str, numbering: tuple[int | str, ...]
) -> Metaflows:
    if document is None:
        document = DEFAULT_METAFLOWS_DOCUMENT
    written = msgspec.json.encode(document)
    place = (hashlib.blake2b(written).digest(), takeback_digits, numbering)
    parsed = _in_use.get(place)
    if parsed is None:
        document = msgspec.json.decode(written)
        parsed = parse_metaflows(
            document,
            "metaflows",
            takeback_digits=takeback_digits,
            numbering=parse_numbering(numbering),
        )
        _in_use[place] = parsed
    return parsed


_in_use: Final[WeakValueDictionary[tuple[bytes, str, tuple[int | str, ...]], Metaflows]] = (
    WeakValueDictionary()
)
"""Parsed feature codes, as long as an account or a call has them.

A reload does not parse those of all accounts again, and replaced ones do not fill the memory: some
hundred bytes of JSON become hundreds of kilobytes.
"""


DEFAULT_METAFLOWS_DOCUMENT: Final[Mapping[str, Any]] = {
    "numbers": {"1": {"module": "resume"}},
    "patterns": {r"2(\d+)": {"module": "transfer"}},
}
"""`*2` and a number transfers to it; `*1` resumes."""

assert parse_metaflows(DEFAULT_METAFLOWS_DOCUMENT) == DEFAULT_METAFLOWS  # noqa: S101 - twins: this one uses the operator's takeback digits
