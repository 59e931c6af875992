"""Reads `hookflash.toml`. An invalid file is refused as a whole, with the location and the fix."""

from __future__ import annotations

import re
import ssl
import tomllib
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from types import NoneType
from typing import Any, Final, cast, get_args

import msgspec
from msgspec import Struct

from hookflash.accounts import ACCOUNT_HINT, ALLOWED_ACCOUNT, DEFAULT_ACCOUNT
from hookflash.backends.asterisk.procedures import AsteriskDialling
from hookflash.backends.asterisk.settings import Asterisk
from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.backends.freeswitch.settings import STOCK_PASSWORD, FreeSwitch
from hookflash.called import ALLOWED_NUMBER, MOST_QUESTIONS, MOST_RECALLS, MOST_TARGETS
from hookflash.dialling.metaflows import parse_metaflows
from hookflash.dialling.numbering import parse_numbering
from hookflash.dialling.numbers import rewrite_faults
from hookflash.document import faults_of_numbers, meant, place_in, read_limited
from hookflash.engine.account_faults import account_faults
from hookflash.engine.legs import Account
from hookflash.errors import InputError, InputErrors, RequestRefused
from hookflash.parking import parse_slots
from hookflash.returns import check_returns, place_for
from hookflash.server.addresses import check_listen, in_folder
from hookflash.server.config import (
    AccountKeys,
    AsteriskKeys,
    Config,
    FreeSwitchKeys,
    NumberKeys,
    OwnerKeys,
    Simulator,
    SwitchKeys,
    given,
    media_sounds,
    policy_choices,
)
from hookflash.server.tenants import check_dialling
from hookflash.transfer_context import check_caller

ALLOWED_NAME: Final = re.compile(r"[0-9A-Za-z_.-]{1,64}")
"""Names of switches; they appear in URLs, logs and metrics."""

NAME_HINT: Final = "letters, digits and _ . -, at most 64"

_NAMES: Final = {
    "accounts": (ALLOWED_ACCOUNT, ACCOUNT_HINT),
    "owners": (ALLOWED_ACCOUNT, ACCOUNT_HINT),
    "switches": (ALLOWED_NAME, NAME_HINT),
}

ALLOWED_KEYS: Final = re.compile(r"[0-9A-D*#]{1,8}")
ALLOWED_DOMAIN: Final = re.compile(r"[0-9A-Za-z.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]")
ALLOWED_PREFIX: Final = re.compile(r"[0-9A-Za-z .()+*#_-]{0,32}")
ALLOWED_HEADER_PATTERN: Final = re.compile(r"\*|[Xx]-?[0-9A-Za-z*?\[\]!-]*")
ALLOWED_VARIABLE: Final = re.compile(r"[0-9A-Za-z_.:-]{1,128}")


def read_config(file: Path) -> Config:
    """Read a configuration.

    Raises:
        InputError: it is invalid.
    """
    try:
        document = tomllib.loads(read_limited(file).decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        what = f"is not valid TOML: {error}"
        raise InputError(what, where=str(file), hint="write TOML") from error
    return parse_config(document, where=f"{file}: $", beside=file.parent)


def parse_config(
    document: Mapping[str, Any], *, where: str = "$", beside: Path | None = None
) -> Config:
    """Read a configuration from a parsed TOML document.

    Args:
        document: the document.
        where: its location, for errors.
        beside: the folder of relative paths.

    Raises:
        InputError: it is invalid.
    """
    for fault in faults_of_numbers(document, where):
        raise fault
    accounts = {
        name: _account(table, place, beside)
        for name, table, place in _entries(document, "accounts", where)
    }
    switches = {
        name: _switch(table, name, place, beside)
        for name, table, place in _entries(document, "switches", where)
    }
    rest = {key: value for key, value in document.items() if key not in ("accounts", "switches")}
    if isinstance(rest.get("defaults"), dict) and "owners" in rest["defaults"]:
        raise InputError(
            "owners belong to an account",
            where=f"{where}.defaults.owners",
            hint="for legs without an account: [accounts.default.owners.NAME]",
        )
    config = cast("Config", _convert(rest, Config, where))
    defaults = _checked_account(config.defaults, f"{where}.defaults", beside)
    config = msgspec.structs.replace(
        config, accounts=accounts, switches=switches, defaults=defaults
    )
    check_listen(config.listen, f"{where}.listen", beside)
    _check_codes(config, where)
    check_dialling(config, where)
    return config


def _check_codes(config: Config, where: str) -> None:
    """Check what feature codes ask for against the other settings of their account."""
    named = [(name, f"{where}.accounts.{name}.metaflows") for name in config.accounts]
    for name, place in [(DEFAULT_ACCOUNT, f"{where}.defaults.metaflows"), *named]:
        with _placed(place.removesuffix(".metaflows"), inside=True):
            account = config.account(name)
        for fault in account_faults(account, name, place):
            raise fault
        place_of = place.removesuffix(".metaflows")
        place_for(account.policy.return_to, account.returns, f"{place_of}.policy.return_to")
        for owner, choices in account.owners.items():
            inside = place_in(place_of, ["owners", owner])
            for fault in account_faults(choices, name, f"{inside}.metaflows"):
                raise fault
            place_for(choices.policy.return_to, choices.returns, f"{inside}.policy.return_to")
            _check_devices(choices, f"{inside}.move_to")


def _entries(
    document: Mapping[str, Any], key: str, where: str
) -> Iterator[tuple[str, object, str]]:
    """The entries of a table of tables: name, table and location of each."""
    table = document.get(key, {})
    if not isinstance(table, dict):
        raise InputError("is not a table", where=f"{where}.{key}", hint=f"[{key}.NAME]")
    for name, entry in cast("dict[str, object]", table).items():
        place = place_in(where, [key, name])
        allowed, hint = _NAMES[key]
        if not allowed.fullmatch(name):
            raise InputError("is not a valid name", where=place, hint=hint)
        yield name, entry, place


# ----------------------------------------------------------------- one table


_AT: Final = re.compile(r"(?P<what>.*) - at `\$(?P<path>[^`]*)`", re.DOTALL)
_TYPE: Final = re.compile(r"`(?P<types>[a-z]+(?: \| [a-z]+)*)`")
_IN_WORDS: Final = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}
"""How messages name the types of TOML."""
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<key>.*)`", re.DOTALL)


def _convert(table: object, kind: type[Struct], where: str) -> Struct:
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        raise _input_error(str(error), kind, where) from error


def _input_error(message: str, kind: type[Struct], where: str) -> InputError:
    """Translate a message of msgspec for people who write a configuration."""
    found = _AT.fullmatch(message)
    what, path = (found["what"], found["path"]) if found else (message, "")
    unknown = _UNKNOWN.fullmatch(what)
    if unknown is None:
        what = _TYPE.sub(_in_words, what)
        return InputError(
            what[:1].lower() + what[1:], where=where + path, hint=_choices(kind, path)
        )
    known = [field.encode_name for field in msgspec.structs.fields(_type_at(kind, path))]
    return InputError(
        "this key is not known",
        where=place_in(where + path, [unknown["key"]]),
        hint=meant(unknown["key"], known) + f"allowed are {', '.join(known)}",
    )


def _in_words(types: re.Match[str]) -> str:
    names = [_IN_WORDS.get(one, one) for one in types["types"].split(" | ") if one != "null"]
    return " or ".join(names) or "nothing"


def _type_at(kind: type[Any], path: str) -> type[Any]:
    """The type of the value at a path within a table."""
    for part in filter(None, path.partition("[")[0].split(".")):
        kind = next(f.type for f in msgspec.structs.fields(kind) if f.encode_name == part)
        choices = [one for one in get_args(kind) if one not in (msgspec.UnsetType, NoneType)]
        kind = choices[0] if choices and isinstance(choices[0], type) else kind
    return kind


def _choices(kind: type[Any], path: str) -> str:
    """The allowed values at a path, if they can be listed."""
    wanted = cast("object", _type_at(kind, path))  # a union is not a type
    if not isinstance(wanted, type) or not issubclass(wanted, StrEnum):
        return ""
    return "one of " + ", ".join(choice.value for choice in wanted)


# --------------------------------------------------------------------- accounts


def _account(table: object, where: str, beside: Path | None) -> AccountKeys:
    inside = cast("dict[str, object]", table) if isinstance(table, dict) else {}
    owners = {
        name: cast("OwnerKeys", _convert(own, OwnerKeys, place))
        for name, own, place in _entries(inside, "owners", where)
    }
    rest = {key: value for key, value in inside.items() if key != "owners"}
    written = rest if isinstance(table, dict) else table
    keys = cast("AccountKeys", _convert(written, AccountKeys, where))
    return _checked_account(msgspec.structs.replace(keys, owners=owners), where, beside)


def _checked_account(keys: AccountKeys, where: str, beside: Path | None) -> AccountKeys:
    _check_account(keys, where)
    numbers = _numbers(keys.numbers, f"{where}.numbers", beside)
    return msgspec.structs.replace(keys, numbers=numbers)


def _numbers(keys: NumberKeys, where: str, beside: Path | None) -> NumberKeys:
    """Check how numbers are read, and read the file of rewrites.

    Raises:
        InputError: something is invalid.
    """
    for domain in keys.domains or ():
        if not ALLOWED_DOMAIN.fullmatch(domain):
            what, hint = f"{domain[:80]!r} is not a domain", "such as example.org, without a port"
            raise InputError(what, where=f"{where}.domains", hint=hint)
    lines, place = keys.rewrites, f"{where}.rewrites"
    if keys.rewrites_file:
        if keys.rewrites is not None:
            hint = "give either rewrites or rewrites_file"
            raise InputError("is given twice", where=place, hint=hint)
        file = in_folder(keys.rewrites_file, beside)
        lines, place = _lines(file, f"{where}.rewrites_file"), str(file)
    if faults := tuple(rewrite_faults(lines or (), place)):
        raise InputErrors(faults)
    return msgspec.structs.replace(keys, rewrites=lines, rewrites_file="")


def _lines(file: Path, where: str) -> tuple[str, ...]:
    try:
        return tuple(read_limited(file, "rule file").decode("utf-8-sig").splitlines())
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8", where=where, hint="name a readable text file") from error


def _check_devices(choices: Account, where: str) -> None:
    """Check the numbers to which a call may be moved: all may ring at once."""
    try:
        devices = [choices.numbers.number(one) for one in choices.move_to]
    except InputError as fault:
        raise InputError(fault.what, where=where, hint=fault.hint) from fault
    except RequestRefused as refused:
        raise InputError(str(refused), where=where, hint="a domain of the account") from refused
    if len(set(devices)) < len(devices):
        raise InputError("names a number twice", where=where, hint="each device once")
    if len(devices) > MOST_TARGETS:
        what = f"names {len(devices)} devices"
        raise InputError(what, where=where, hint=f"at most {MOST_TARGETS} ring at once")


def _check_account(keys: AccountKeys, where: str) -> None:
    _check_choices(keys, where)
    media_sounds(keys.media, f"{where}.media")
    check_returns(keys.returns, f"{where}.returns")
    for owner, own in keys.owners.items():
        place = place_in(where, ["owners", owner])
        _check_choices(own, place)
        if own.metaflows is not None:
            try:
                Config(accounts={"x": AccountKeys(owners={owner: own})}).account("x")
            except InputError as fault:
                raise InputError(fault.what, where=place, hint=fault.hint) from fault


def _check_choices(keys: AccountKeys | OwnerKeys, where: str) -> None:
    for key in ("takeback_digits", "swap_digits", "three_way_digits", "complete_digits"):
        digits = getattr(keys, key)
        may_be_none = key != "takeback_digits" and digits == ""
        if digits is not None and not may_be_none and not ALLOWED_KEYS.fullmatch(digits):
            raise InputError(
                f"{digits[:20]!r} can't be dialled",
                where=f"{where}.{key}",
                hint="1 to 8 of 0-9, A-D, * and #",
            )
    for key, value in policy_choices(keys.policy, f"{where}.policy").items():
        _check_choice(value, f"{where}.policy.{key}")
    for pattern in given(keys.rules).get("headers_allowed", ()):
        if not ALLOWED_HEADER_PATTERN.fullmatch(pattern):
            what, hint = f"{pattern[:80]!r} matches no header", "headers begin with X-, such as X-*"
            raise InputError(what, where=f"{where}.rules.headers_allowed", hint=hint)
    for key, value in given(keys.rules).items():
        if isinstance(value, int) and value < 0:
            what = f"{value} is too small"
            raise InputError(what, where=f"{where}.rules.{key}", hint="0 or more")
    if keys.numbering is not None:
        parse_numbering(keys.numbering, f"{where}.numbering")
    if keys.metaflows is not None:
        parse_metaflows(keys.metaflows, f"{where}.metaflows")


def _check_choice(value: object, where: str) -> None:
    key = where.rpartition(".")[2]
    if key in _COUNTS:
        least, most = _COUNTS[key]
        if not least <= int(str(value)) <= most:
            raise InputError(f"{value} is not allowed", where=where, hint=f"{least} to {most}")
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and value <= 0:
        raise InputError(f"{value} is too small", where=where, hint="more than 0")
    if key == "parking_slots":
        parse_slots(str(value), where)
    if key == "caller_name":
        check_caller("", str(value), where=where)
    if key in _TEXTS:
        pattern, what, hint = _TEXTS[key]
        if not pattern.fullmatch(str(value)):
            raise InputError(f"{str(value)[:80]!r} {what}", where=where, hint=hint)


_COUNTS: Final = {"recall_attempts": (0, MOST_RECALLS), "number_attempts": (1, MOST_QUESTIONS)}
_NUMBER: Final = (
    re.compile(rf"(?:{ALLOWED_NUMBER.pattern})?"),
    "is not a valid number",
    "letters, digits and + * # _ -, at most 64",
)
_KEYS_HINT: Final = "1 to 8 of 0-9, A-D, * and #"
_TEXTS: Final[Mapping[str, tuple[re.Pattern[str], str, str]]] = {
    "accept_digits": (ALLOWED_KEYS, "can't be pressed", _KEYS_HINT),
    "decline_digits": (
        re.compile(rf"(?:{ALLOWED_KEYS.pattern})?"),
        "can't be pressed",
        f"{_KEYS_HINT}, or none",
    ),
    "recall_prefix": (
        ALLOWED_PREFIX,
        "is not a valid prefix of a name",
        "letters, digits, blanks and . ( ) + * # _ -, at most 32",
    ),
    "outside_number": _NUMBER,
    "fallback_target": _NUMBER,
    "caller_number": _NUMBER,
}
"""The choices that are texts: what is allowed, and how errors say so."""


# --------------------------------------------------------------------- switches


_KINDS: Final[Mapping[str, type[SwitchKeys]]] = {
    "asterisk": AsteriskKeys,
    "freeswitch": FreeSwitchKeys,
    "simulator": Simulator,
}


def _switch(table: object, name: str, where: str, beside: Path | None) -> SwitchKeys:
    inside = cast("dict[str, object]", table) if isinstance(table, dict) else {}
    kind = inside.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        what = "the kind of switch is missing" if kind is None else f"unknown kind {kind!r}"
        raise InputError(what, where=f"{where}.kind", hint=f"one of {', '.join(_KINDS)}")
    keys = cast("SwitchKeys", _convert(inside, _KINDS[kind], where))
    if isinstance(keys, FreeSwitchKeys):
        freeswitch_settings(keys, name, where=where, beside=beside)
    elif isinstance(keys, AsteriskKeys):
        asterisk_settings(keys, name, where=where, beside=beside)
    return keys


def freeswitch_settings(
    keys: FreeSwitchKeys, name: str, *, where: str = "$", beside: Path | None = None
) -> FreeSwitch:
    """The settings of a FreeSWITCH.

    Raises:
        InputError: they are invalid.
    """
    _check_variables(keys, where)
    password = _password(keys, where, beside)
    tls = _client_tls(keys, where, beside) if keys.tls else None
    with _placed(where):
        return FreeSwitch(
            host=keys.host,
            port=keys.port,
            password=password or STOCK_PASSWORD,
            name=name,
            account_variable=keys.account_variable,
            owner_variable=keys.owner_variable,
            outside_contexts=frozenset(keys.outside_contexts),
            outside_profiles=frozenset(keys.outside_profiles),
            park_limit_s=keys.park_limit_s,
            tls=tls,
            dialling=Dialling(
                template=keys.template, context=keys.context, variables=keys.variables
            ),
        )


def asterisk_settings(
    keys: AsteriskKeys, name: str, *, where: str = "$", beside: Path | None = None
) -> Asterisk:
    """The settings of an Asterisk.

    Raises:
        InputError: they are invalid.
    """
    _check_variables(keys, where)
    for key in ("application", "context", "dialplan_context"):
        if not ALLOWED_NAME.fullmatch(getattr(keys, key)):
            what = f"{getattr(keys, key)[:60]!r} is not a valid name"
            raise InputError(what, where=f"{where}.{key}", hint=NAME_HINT)
    password = _password(keys, where, beside)
    tls = _client_tls(keys, where, beside) if keys.tls else None
    with _placed(where):
        return Asterisk(
            host=keys.host,
            ari_port=keys.ari_port,
            ami_port=keys.ami_port,
            username=keys.username,
            password=password,
            name=name,
            application=keys.application,
            context=keys.context,
            account_variable=keys.account_variable,
            owner_variable=keys.owner_variable,
            outside_contexts=frozenset(keys.outside_contexts),
            park_limit_s=keys.park_limit_s,
            tls=tls,
            dialling=AsteriskDialling(
                template=keys.template, context=keys.dialplan_context, variables=keys.variables
            ),
        )


@contextmanager
def _placed(where: str, *, inside: bool = False) -> Generator[None]:
    """Add the location to errors.

    Args:
        where: the location of the table.
        inside: whether errors have their location within it.

    Raises:
        InputError: with the location.
    """
    try:
        yield
    except InputError as fault:
        place = f"{where}.{fault.where}" if inside and fault.where else where
        raise InputError(fault.what, where=place, hint=fault.hint) from fault


def _check_variables(keys: FreeSwitchKeys | AsteriskKeys, where: str) -> None:
    for key, variable in (
        ("account_variable", keys.account_variable),
        ("owner_variable", keys.owner_variable),
        *(("variables", variable) for variable in keys.variables),
    ):
        if not ALLOWED_VARIABLE.fullmatch(variable):
            raise InputError(
                f"{variable[:60]!r} is not a valid channel variable",
                where=f"{where}.{key}",
                hint="letters, digits and _ . : -, at most 128",
            )
    if keys.owner_variable == keys.account_variable:
        hint = "read the owner of a leg from a variable of its own"
        raise InputError("is the account's variable", where=f"{where}.owner_variable", hint=hint)


def _password(keys: FreeSwitchKeys | AsteriskKeys, where: str, beside: Path | None) -> str:
    if not keys.password_file:
        return keys.password
    if keys.password:
        hint = "give either password or password_file"
        raise InputError("is given twice", where=f"{where}.password", hint=hint)
    return _secret(in_folder(keys.password_file, beside), f"{where}.password_file")


def _secret(file: Path, where: str) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        hint = "name a readable text file"
        raise InputError(f"can't be read: {why}", where=where, hint=hint) from error


def _client_tls(
    keys: FreeSwitchKeys | AsteriskKeys, where: str, beside: Path | None
) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(
            cafile=in_folder(keys.tls_ca, beside) if keys.tls_ca else None
        )
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            f"can't be used: {error.strerror or error}",
            where=f"{where}.tls_ca",
            hint="name a PEM file",
        ) from error
