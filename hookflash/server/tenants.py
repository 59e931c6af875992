"""How the targets of each account are called, as the operator has configured it.

What an account's table says is put on top of what the switch's table says. All of it is checked
when the configuration is read: nothing that is not allowed reaches a switch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

from hookflash.accounts import DEFAULT_ACCOUNT
from hookflash.backends.asterisk.client import AsteriskBackend
from hookflash.backends.asterisk.procedures import AsteriskDialling
from hookflash.backends.base import Backend
from hookflash.backends.freeswitch import primitives as freeswitch
from hookflash.backends.freeswitch.client import FreeSwitchBackend
from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.backends.tenants import Tenants
from hookflash.document import place_in
from hookflash.errors import InputError
from hookflash.server.config import AsteriskKeys, Config, DiallingKeys, FreeSwitchKeys, SwitchKeys

ALLOWED_CONTEXT: Final = re.compile(r"(?:[0-9A-Za-z_.@-]|\{account\}){1,128}")
CONTEXT_HINT: Final = "letters, digits and _ . @ -, and {account}, at most 128"
ALLOWED_TEMPLATE: Final = re.compile(r"[0-9A-Za-z_.:;=,@/*+#\[\]{}?%-]{1,500}")
TEMPLATE_HINT: Final = "a dial string without blanks and quotes, such as user/{number}@{account}"
ALLOWED_NAME: Final = re.compile(r"[0-9A-Za-z_.:-]{1,128}")
NAME_HINT: Final = "letters, digits and _ . : -, at most 128"
ALLOWED_VALUE: Final = re.compile(r"[0-9A-Za-z _.,:;=@/+*#~!?()<>%-]{0,256}")
VALUE_HINT: Final = (
    "letters, digits, blanks and _ . , : ; = @ / + * # ~ ! ? ( ) < > % -, at most 256"
)

_TAKEN: Final = frozenset(
    {
        *freeswitch.OURS,
        *freeswitch.CHANGED,
        "origination_uuid",
        "originate_timeout",
        "export_vars",
        "execute_on_answer",
        "loopback_bowout",
        "loopback_bowout_on_execute",
    }
)
"""Variables of a target's leg that a transfer needs for itself."""

_Built = TypeVar("_Built")


def freeswitch_tenants(config: Config, keys: FreeSwitchKeys) -> Tenants[Dialling]:
    """How the targets of each account are called on a FreeSWITCH.

    Raises:
        InputError: something means nothing to the switch.
    """

    def build(own: DiallingKeys) -> Dialling:
        return Dialling(
            template=own.template or keys.template,
            context=own.context or keys.context,
            variables={**keys.variables, **(own.variables or {})},
        )

    return _tenants(config, build)


def asterisk_tenants(config: Config, keys: AsteriskKeys) -> Tenants[AsteriskDialling]:
    """How the targets of each account are called on an Asterisk.

    Raises:
        InputError: something means nothing to the switch.
    """

    def build(own: DiallingKeys) -> AsteriskDialling:
        return AsteriskDialling(
            template=own.template or keys.template,
            context=own.context or keys.dialplan_context,
            variables={**keys.variables, **(own.variables or {})},
        )

    return _tenants(config, build)


def _tenants(config: Config, build: Callable[[DiallingKeys], _Built]) -> Tenants[_Built]:
    named = {name: build(config.dialling(name)) for name in config.accounts}
    default = named.pop(DEFAULT_ACCOUNT, None) or build(config.dialling(DEFAULT_ACCOUNT))
    return Tenants(default, named)


def choose_dialling(config: Config, backends: Mapping[str, Backend]) -> None:
    """Apply the accounts' dialling to the switches: the next call is the first that it is for."""
    for name, keys in config.switches.items():
        backend = backends.get(name)
        if isinstance(keys, FreeSwitchKeys) and isinstance(backend, FreeSwitchBackend):
            backend.choose(freeswitch_tenants(config, keys))
        elif isinstance(keys, AsteriskKeys) and isinstance(backend, AsteriskBackend):
            backend.choose(asterisk_tenants(config, keys))


# ----------------------------------------------------------------------- checks


def check_dialling(config: Config, where: str) -> None:
    """Check how the targets of each account are called, on every switch.

    Raises:
        InputError: something is not allowed, or means nothing to a switch.
    """
    real = [
        keys for keys in config.switches.values() if isinstance(keys, FreeSwitchKeys | AsteriskKeys)
    ]
    mixed = len({type(keys) for keys in real}) > 1
    for name, place, keys in _tables(config, where):
        _check_table(keys, place)
        if keys.template is not None and mixed:
            what = "a dial string is for one kind of switch, and there are two kinds"
            hint = "give each switch a template, with {account} where the account goes"
            raise InputError(what, where=f"{place}.template", hint=hint)
        for switch in real:
            _check_taken(keys.variables or {}, switch, f"{place}.variables")
            _check_built(config, switch, name, place)


def _tables(config: Config, where: str) -> Iterator[tuple[str, str, DiallingKeys]]:
    """The accounts' names, and where their tables are."""
    yield DEFAULT_ACCOUNT, f"{where}.defaults.dialling", config.defaults.dialling
    for name, keys in config.accounts.items():
        yield name, f"{place_in(where, ['accounts', name])}.dialling", keys.dialling


def _check_table(keys: DiallingKeys, where: str) -> None:
    for key, text, allowed, hint in (
        ("context", keys.context, ALLOWED_CONTEXT, CONTEXT_HINT),
        ("template", keys.template, ALLOWED_TEMPLATE, TEMPLATE_HINT),
    ):
        if text is not None and not allowed.fullmatch(text):
            raise InputError(f"{text[:80]!r} is not allowed", where=f"{where}.{key}", hint=hint)
    for name, value in (keys.variables or {}).items():
        place = place_in(where, ["variables", name])
        if not ALLOWED_NAME.fullmatch(name):
            what = f"{name[:60]!r} is not a valid channel variable"
            raise InputError(what, where=place, hint=NAME_HINT)
        if not ALLOWED_VALUE.fullmatch(value):
            raise InputError(f"{value[:80]!r} is not allowed", where=place, hint=VALUE_HINT)


def _check_taken(names: Mapping[str, Any], switch: SwitchKeys, where: str) -> None:
    own = {getattr(switch, key, "").lower() for key in ("account_variable", "owner_variable")}
    for name in names:
        plain = name.lower().lstrip("_")
        if plain.startswith("hookflash_") or plain in own | _TAKEN:
            what, hint = "is set by hookflash itself", "remove it"
            raise InputError(what, where=place_in(where, [name]), hint=hint)


def _check_built(config: Config, switch: SwitchKeys, name: str, where: str) -> None:
    """Check that a switch can use what an account has."""
    alone = Config(
        accounts={name: config.accounts[name]} if name in config.accounts else {},
        defaults=config.defaults,
    )
    try:
        shown = "a" if name == DEFAULT_ACCOUNT else name
        if isinstance(switch, FreeSwitchKeys):
            freeswitch_tenants(alone, switch).of(name).dial_string("1", shown)
        elif isinstance(switch, AsteriskKeys):
            asterisk_tenants(alone, switch).of(name).endpoint("1", shown)
    except InputError as fault:
        raise InputError(fault.what, where=where, hint=fault.hint) from fault
