"""`[accounts.X.dialling]`: whose targets are called how, and what the operator must not write."""

from __future__ import annotations

from typing import Any

import pytest

from hookflash.backends.asterisk.procedures import AsteriskDialling
from hookflash.backends.freeswitch.client import FreeSwitchBackend
from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.backends.freeswitch.settings import FreeSwitch
from hookflash.errors import InputError
from hookflash.server.config import AsteriskKeys, Config, FreeSwitchKeys
from hookflash.server.read_config import parse_config
from hookflash.server.tenants import asterisk_tenants, choose_dialling, freeswitch_tenants

FREESWITCH = {"kind": "freeswitch"}
ASTERISK = {"kind": "asterisk"}


def config_with(
    acme: dict[str, Any], defaults: dict[str, Any] | None = None, **switches: dict[str, Any]
) -> Config:
    return parse_config(
        {
            "switches": switches or {"east": FREESWITCH},
            "accounts": {"acme": {"dialling": acme}, "globex": {}},
            "defaults": {"dialling": defaults or {}},
        }
    )


def on_freeswitch(config: Config, account: str) -> Dialling:
    keys = config.switches["east"]
    assert isinstance(keys, FreeSwitchKeys)
    return freeswitch_tenants(config, keys).of(account)


def test_an_account_has_a_context_of_its_own_and_the_rest_as_the_switch_has_it() -> None:
    east = {**FREESWITCH, "variables": {"crm": "on", "lang": "en"}}
    config = config_with({"context": "acme-phones", "variables": {"lang": "de"}}, east=east)
    assert on_freeswitch(config, "acme") == Dialling(
        context="acme-phones", variables={"crm": "on", "lang": "de"}
    )
    for others in ("globex", "nobody-knows", ""):
        assert on_freeswitch(config, others) == Dialling(variables={"crm": "on", "lang": "en"})


def test_what_an_account_leaves_out_is_as_in_the_defaults_and_then_as_the_switch_has_it() -> None:
    defaults = {"context": "{account}", "variables": {"lang": "en"}}
    config = config_with({"template": "user/{number}@{account}"}, defaults)
    acme, globex = on_freeswitch(config, "acme"), on_freeswitch(config, "globex")
    assert acme.dial_string("2600", "acme") == "user/2600@acme"
    assert globex.dial_string("2600", "globex.example.org") == "loopback/2600/globex.example.org"
    assert acme.variables == globex.variables == {"lang": "en"}


def test_the_table_of_the_account_default_is_for_calls_without_an_account() -> None:
    config = parse_config(
        {
            "switches": {"east": FREESWITCH},
            "accounts": {"default": {"dialling": {"context": "lobby"}}},
        }
    )
    assert on_freeswitch(config, "").context == "lobby"


def test_the_same_on_an_asterisk() -> None:
    config = config_with({"context": "acme-phones"}, west={**ASTERISK, "dialplan_context": "all"})
    keys = config.switches["west"]
    assert isinstance(keys, AsteriskKeys)
    tenants = asterisk_tenants(config, keys)
    assert tenants.of("acme") == AsteriskDialling(context="acme-phones")
    assert tenants.of("globex") == AsteriskDialling(context="all")


def test_a_context_may_stand_beside_switches_of_both_kinds() -> None:
    assert config_with({"context": "acme"}, east=FREESWITCH, west=ASTERISK)


FAULTS: list[tuple[dict[str, Any], str, str]] = [
    ({"context": "a b"}, "$.accounts.acme.dialling.context", "'a b' is not allowed"),
    ({"context": "{number}"}, "$.accounts.acme.dialling.context", "is not allowed"),
    ({"context": ""}, "$.accounts.acme.dialling.context", "is not allowed"),
    ({"template": "user/1001"}, "$.accounts.acme.dialling", "is not a dial string"),
    ({"template": "user/{number}@{domain}"}, "$.accounts.acme.dialling", "is not a dial string"),
    ({"template": "user/{number"}, "$.accounts.acme.dialling", "is not a dial string"),
    ({"template": "user/{number} &park"}, "$.accounts.acme.dialling.template", "is not allowed"),
    ({"template": "user/{number}${x}"}, "$.accounts.acme.dialling.template", "is not allowed"),
    ({"variables": {"a b": "1"}}, '$.accounts.acme.dialling.variables."a b"', "is not a valid"),
    ({"variables": {"a": "${b}"}}, "$.accounts.acme.dialling.variables.a", "is not allowed"),
    ({"variables": {"a": "x\napi"}}, "$.accounts.acme.dialling.variables.a", "is not allowed"),
    (
        {"variables": {"hookflash_account": "globex"}},
        "$.accounts.acme.dialling.variables.hookflash_account",
        "is set by hookflash itself",
    ),
    (
        {"variables": {"__HOOKFLASH_ACCOUNT": "globex"}},
        "$.accounts.acme.dialling.variables.__HOOKFLASH_ACCOUNT",
        "is set by hookflash itself",
    ),
    (
        {"variables": {"origination_uuid": "x"}},
        "$.accounts.acme.dialling.variables.origination_uuid",
        "is set by hookflash itself",
    ),
    (
        {"variables": {"park_after_bridge": "true"}},
        "$.accounts.acme.dialling.variables.park_after_bridge",
        "is set by hookflash itself",
    ),
    ({"contexts": "x"}, "$.accounts.acme.dialling.contexts", "this key is not known"),
    ({"variables": ["x"]}, "$.accounts.acme.dialling.variables", "expected a table"),
]


@pytest.mark.parametrize(("acme", "where", "what"), FAULTS, ids=[str(fault[0]) for fault in FAULTS])
def test_a_fault_is_told_with_its_place(acme: dict[str, Any], where: str, what: str) -> None:
    with pytest.raises(InputError) as told:
        config_with(acme)
    assert told.value.where == where
    assert what in told.value.what
    assert "variables" in str(acme) or told.value.hint


def test_the_account_variable_of_a_switch_is_none_that_an_account_sets() -> None:
    east = {**FREESWITCH, "account_variable": "domain_name"}
    with pytest.raises(InputError, match="is set by hookflash itself") as told:
        config_with({"variables": {"Domain_Name": "globex"}}, east=east)
    assert told.value.where == "$.accounts.acme.dialling.variables.Domain_Name"


def test_a_dial_string_is_for_one_kind_of_switch() -> None:
    with pytest.raises(InputError, match="for one kind of switch") as told:
        config_with({"template": "user/{number}"}, east=FREESWITCH, west=ASTERISK)
    assert told.value.where == "$.accounts.acme.dialling.template"
    assert "{account}" in (told.value.hint or "")


def test_an_account_that_can_not_stand_in_the_dial_string_is_told() -> None:
    document: dict[str, Any] = {
        "switches": {"east": {**FREESWITCH, "context": "{account}"}},
        "accounts": {"alice@example.org": {}},
    }
    with pytest.raises(InputError, match="can't stand in a dial string") as told:
        parse_config(document)
    assert told.value.where == '$.accounts."alice@example.org".dialling'
    assert parse_config({**document, "accounts": {"example.org": {}}})


def test_a_fault_of_the_defaults_is_told_there() -> None:
    with pytest.raises(InputError) as told:
        config_with({}, {"template": "user/1001"})
    assert told.value.where == "$.defaults.dialling"


def test_a_dial_string_of_an_asterisk_needs_its_n() -> None:
    with pytest.raises(InputError, match="lacks its /n") as told:
        config_with({"template": "Local/{number}@acme"}, west=ASTERISK)
    assert told.value.where == "$.accounts.acme.dialling"


async def test_a_configuration_that_is_read_again_applies_to_the_next_call() -> None:
    backend = FreeSwitchBackend(FreeSwitch())
    assert not backend.capabilities.reports_early_media
    choose_dialling(
        config_with({}, {"template": "user/{number}@{account}"}), {"east": backend, "west": backend}
    )
    assert backend.capabilities.reports_early_media
