"""`[accounts.X.owners.NAME]`: what it may say, and what it must not."""

from __future__ import annotations

from typing import Any

import pytest

from hookflash.engine.rules import Rights
from hookflash.errors import InputError
from hookflash.events import Kind
from hookflash.server.config import Config
from hookflash.server.read_config import parse_config

TRANSFER = {"module": "transfer"}


def config_with(owner: dict[str, Any], **account: Any) -> Config:
    return parse_config({"accounts": {"acme": {**account, "owners": {"boss": owner}}}})


def test_what_an_owner_leaves_out_is_as_for_its_account() -> None:
    config = config_with(
        {
            "takeback_digits": "*9",
            "rules": {"may_transfer": "nobody", "kinds_allowed": ["attended"]},
            "policy": {"ring_timeout_s": 5},
        },
        policy={"music": "music:acme"},
        rules={"targets_denied": ["0900*"], "transfers_at_once": 3},
        swap_digits="*5",
    )
    account = config.account("acme")
    boss = account.owners["boss"]
    assert (boss.takeback_digits, boss.swap_digits) == ("*9", "*5")
    assert boss.policy.ring_timeout_s == 5
    assert boss.policy.music == account.policy.music
    assert boss.rules.may_transfer is Rights.NOBODY
    assert boss.rules.kinds_allowed == (Kind.ATTENDED,)
    assert (boss.rules.targets_denied, boss.rules.transfers_at_once) == (("0900*",), 3)
    assert account.rules.may_transfer is Rights.USERS
    assert account.takeback_digits == "*1"


def test_the_codes_of_an_owner_go_before_those_of_its_account() -> None:
    config = config_with(
        {"metaflows": {"numbers": {"7": TRANSFER | {"data": {"target": "2600"}}}}},
        metaflows={"numbers": {"7": {"module": "hangup"}, "1": {"module": "resume"}}},
    )
    codes = config.account("acme").owners["boss"].metaflows
    assert [digits for digits, _ in codes.numbers] == ["7", "1"]
    assert codes.numbers[0][1].target == "2600"
    assert config.account("acme").metaflows.numbers[0][1].target is None


def test_codes_that_a_program_has_set_for_the_account_are_behind_those_of_the_owner() -> None:
    config = config_with({"metaflows": {"numbers": {"7": {"module": "hangup"}}}})
    stored = {"numbers": {"8": {"module": "resume"}}}
    assert [
        digits for digits, _ in config.account("acme", stored).owners["boss"].metaflows.numbers
    ] == ["7", "8"]


def test_an_owner_without_codes_has_the_stock_ones_with_its_own_takeback() -> None:
    codes = config_with({"takeback_digits": "*9"}).account("acme").owners["boss"].metaflows
    assert [pattern for pattern, _ in codes.patterns] == [r"2(\d+)"]
    assert codes.patterns[0][1].options.takeback_digits == "*9"


BOSS = "$.accounts.acme.owners.boss"

FAULTS: list[tuple[dict[str, Any], str, str]] = [
    ({"rules": {"transfers_at_once": 1}}, f"{BOSS}.rules.transfers_at_once", "is not known"),
    ({"rules": {"transfers_per_minute": 1}}, f"{BOSS}.rules.transfers_per_minute", "is not known"),
    ({"rules": {"may_transfer": "yes"}}, f"{BOSS}.rules.may_transfer", "invalid"),
    ({"rules": {"kinds_allowed": ["warm"]}}, f"{BOSS}.rules.kinds_allowed[0]", "invalid"),
    ({"rules": {"headers_allowed": ["Via"]}}, f"{BOSS}.rules.headers_allowed", "matches no header"),
    ({"takeback_digits": "x"}, f"{BOSS}.takeback_digits", "can't be dialled"),
    ({"swap_digits": "x"}, f"{BOSS}.swap_digits", "can't be dialled"),
    ({"policy": {"ring_timeout_s": 0}}, f"{BOSS}.policy.ring_timeout_s", "is too small"),
    ({"policy": {"music": "a b"}}, f"{BOSS}.policy.music", ""),
    ({"numbering": ["("]}, f"{BOSS}.numbering", ""),
    ({"metaflows": {"numbers": {"7": {"module": "fly"}}}}, f"{BOSS}.metaflows", ""),
    ({"dialling": {"context": "x"}}, f"{BOSS}.dialling", "is not known"),
    ({"media": {}}, f"{BOSS}.media", "is not known"),
]


@pytest.mark.parametrize(("owner", "where", "what"), FAULTS, ids=[str(f[0]) for f in FAULTS])
def test_a_fault_is_told_with_its_place(owner: dict[str, Any], where: str, what: str) -> None:
    with pytest.raises(InputError) as told:
        config_with(owner)
    assert (told.value.where or "").startswith(where)
    assert what in told.value.what


def test_a_sound_that_the_account_does_not_have() -> None:
    with pytest.raises(InputError, match="unknown media ID"):
        config_with({"policy": {"music": "greeting"}})
    assert config_with({"policy": {"music": "greeting"}}, media={"greeting": "file:/x.wav"})


def test_a_code_that_asks_for_what_the_account_does_not_have() -> None:
    with pytest.raises(InputError, match="unknown media ID") as told:
        config_with({"metaflows": {"numbers": {"7": TRANSFER | {"data": {"moh": "greeting"}}}}})
    assert (told.value.where or "").startswith(f"{BOSS}.metaflows.numbers")


def test_the_name_of_an_owner_is_an_allowed_one() -> None:
    with pytest.raises(InputError, match="is not a valid name") as told:
        parse_config({"accounts": {"acme": {"owners": {"a b": {}}}}})
    assert told.value.where == '$.accounts.acme.owners."a b"'


def test_owners_belong_to_an_account() -> None:
    with pytest.raises(InputError, match="owners belong to an account") as told:
        parse_config({"defaults": {"owners": {"boss": {"x": 1}}}})
    assert told.value.where == "$.defaults.owners"
    config = parse_config(
        {"accounts": {"default": {"owners": {"boss": {"takeback_digits": "*9"}}}}}
    )
    assert config.account("default").owners["boss"].takeback_digits == "*9"


@pytest.mark.parametrize("kind", ["freeswitch", "asterisk"])
def test_the_owner_has_a_variable_of_its_own(kind: str) -> None:
    for variable, what in (("a b", "not a valid channel variable"), ("tenant", "is the account's")):
        keys = {"kind": kind, "account_variable": "tenant", "owner_variable": variable}
        with pytest.raises(InputError, match=what) as told:
            parse_config({"switches": {"east": keys}})
        assert told.value.where == "$.switches.east.owner_variable"
