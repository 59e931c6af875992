"""`hookflash.toml`: what can't be used is told with place and hint, and none of it holds."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trustme
from lab import SWITCH, Lab, config_of, open_lab
from trio.testing import MockClock

from hookflash.document import MAX_CONFIG_BYTES
from hookflash.engine.rules import Rights
from hookflash.errors import InputError, RequestRefused
from hookflash.journal.database import Sync
from hookflash.server.addresses import read_address, server_tls
from hookflash.server.config import (
    AccountKeys,
    Config,
    Digits,
    FreeSwitchKeys,
    JournalKeys,
    Limits,
    Listen,
    PolicyKeys,
    RulesKeys,
    Simulator,
)
from hookflash.server.read_config import (
    freeswitch_settings,
    parse_config,
    read_config,
)
from hookflash.sounds import Music, Recording


def written(folder: Path, text: str) -> Path:
    file = folder / "hookflash.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_an_empty_file_is_a_config(tmp_path: Path) -> None:
    assert read_config(written(tmp_path, "")) == Config()


def test_a_whole_config_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n", encoding="utf-8")
    config = read_config(
        written(
            tmp_path,
            """
            [listen]
            http = "0.0.0.0:80"
            websocket = "[::1]:0"
            origins = ["https://desk.example.org"]
            [journal]
            sync = "normal"
            digits = "kept"
            keep_days = 30
            [limits]
            drain_s = 5
            [defaults]
            takeback_digits = "*9"
            [defaults.policy]
            ring_timeout_s = 30
            [accounts.acme.rules]
            may_transfer = "nobody"
            targets_denied = ["0900*"]
            [switches.lab]
            kind = "simulator"
            calls = [["1001", "1002"]]
            account = "acme"
            [switches.east]
            kind = "freeswitch"
            host = "10.0.0.1"
            password_file = "secret"
            variables = { origination_privacy = "screen" }
            """,
        )
    )
    assert config.listen == Listen(
        http="0.0.0.0:80",
        websocket="[::1]:0",
        origins=("https://desk.example.org",),
    )
    assert config.journal == JournalKeys(sync=Sync.NORMAL, digits=Digits.KEPT, keep_days=30)
    assert config.limits.drain_s == 5
    acme = config.account("acme")
    assert (acme.takeback_digits, acme.policy.ring_timeout_s) == ("*9", 30)
    assert acme.rules.may_transfer is Rights.NOBODY
    assert config.switches["lab"] == Simulator(calls=(("1001", "1002"),), account="acme")
    east = config.switches["east"]
    assert isinstance(east, FreeSwitchKeys)
    assert "secret" not in repr(config).replace("password_file", "")


# -------------------------------------------------------------------------- faults

FREESWITCH = '[switches.a]\nkind = "freeswitch"\n'

FAULTS: list[tuple[str, str, str]] = [
    # a key that is not known
    ("[listn]", "$.listn", "did you mean listen?"),
    ("[listen]\nhtp = '127.0.0.1:1'", "$.listen.htp", "did you mean http?"),
    ("[limits]\ndrain = 5", "$.limits.drain", "did you mean drain_s?"),
    ("[defaults]\ntakeback = '*1'", "$.defaults.takeback", "did you mean takeback_digits?"),
    (
        "[defaults.policy]\nring_timeout = 5",
        "$.defaults.policy.ring_timeout",
        "did you mean ring_timeout_s?",
    ),
    (
        "[accounts.a.rules]\nmay_transfr = 'users'",
        "$.accounts.a.rules.may_transfr",
        "did you mean may_transfer?",
    ),
    (FREESWITCH + "hots = 'x'", "$.switches.a.hots", "did you mean host?"),
    ("[switches.a]\nkind = 'simulator'\nport = 5", "$.switches.a.port", "allowed are seed"),
    ("[accounts.a.metaflows]\nnumber = {}", "$.accounts.a.metaflows.number", "numbers"),
    ("[accounts.a]\nx = 1", "$.accounts.a.x", "allowed are takeback_digits"),
    # another type
    ("listen = 5", "$.listen", "expected a table, got a whole number"),
    ("[listen]\nhttp = 5", "$.listen.http", "expected a text, got a whole number"),
    ("[listen]\norigins = 'x'", "$.listen.origins", "expected a list, got a text"),
    ("[listen]\norigins = [5]", "$.listen.origins[0]", "expected a text"),
    ("[limits]\ndrain_s = '30'", "$.limits.drain_s", "expected a number, got a text"),
    ("[limits]\ndrain_s = true", "$.limits.drain_s", "expected a number, got true or false"),
    ("[limits]\nrequest_bytes = 1.5", "$.limits.request_bytes", "expected a whole number"),
    ("accounts = 5", "$.accounts", "[accounts.NAME]"),
    ("[accounts]\na = 5", "$.accounts.a", "expected a table"),
    ("[accounts.a]\nmetaflows = 5", "$.accounts.a.metaflows", "expected a table, got"),
    ("[accounts.a]\ntakeback_digits = 5", "$.accounts.a.takeback_digits", "expected a text, got"),
    ("switches = []", "$.switches", "[switches.NAME]"),
    ("[switches.a]\nkind = 'simulator'\ncalls = ['1']", "$.switches.a.calls[0]", "a list"),
    # a value that is none of those that there are
    ("[journal]\nsync = 'often'", "$.journal.sync", "one of full, normal"),
    ("[journal]\ndigits = 'none'", "$.journal.digits", "one of masked, kept"),
    (
        "[defaults.policy]\npartial_sound = 'x'",
        "$.defaults.policy.partial_sound",
        "one of ringback",
    ),
    ("[defaults.rules]\nmay_transfer = 'all'", "$.defaults.rules.may_transfer", "one of users"),
    ("[switches.a]", "$.switches.a.kind", "one of asterisk, freeswitch, simulator"),
    ("[switches.a]\nkind = 'kazoo'", "$.switches.a.kind", "one of asterisk, freeswitch, simulator"),
    ("[switches.a]\nkind = 'asterisk'\ntemplate = 'Local/{number}@a'", "$.switches.a", "/n"),
    ("[switches.a]\nkind = 'asterisk'\ncontext = 'a b'", "$.switches.a.context", "letters"),
    ("[switches.a]\nkind = 'asterisk'\nhost = '10.0.0.1'", "$.switches.a", "set one in ari.conf"),
    ("[switches.a]\nkind = 'asterisk'\nami_port = 0", "$.switches.a.ami_port", ">= 1"),
    ("[switches.a]\nkind = ['x']", "$.switches.a.kind", "one of asterisk, freeswitch, simulator"),
    # too small, too large, no number
    ("[limits]\ntoken_lifetime_s = 0", "$.limits.token_lifetime_s", "> 0"),
    ("[limits]\nrequests_per_second = 0", "$.limits.requests_per_second", ">= 1"),
    ("[limits]\nheartbeat_s = nan", "$.limits.heartbeat_s", "a finite number"),
    ("[journal]\nkeep_days = -1", "$.journal.keep_days", ">= 0"),
    ("[journal]\nfile = ''", "$.journal.file", ">= 1"),
    ("[defaults.policy]\nhop_limit = 0", "$.defaults.policy.hop_limit", "more than 0"),
    ("[defaults.policy]\nring_timeout_s = -1", "$.defaults.policy.ring_timeout_s", "more than 0"),
    ("[defaults.rules]\ntransfers_at_once = -1", "$.defaults.rules.transfers_at_once", "0 or more"),
    (FREESWITCH + "port = 0", "$.switches.a.port", ">= 1"),
    (FREESWITCH + "park_limit_s = 0", "$.switches.a.park_limit_s", "> 0"),
    # addresses
    ("[listen]\nhttp = '8080'", "$.listen.http", "such as 127.0.0.1:8080"),
    ("[listen]\nhttp = ':8080'", "$.listen.http", "such as 127.0.0.1:8080"),
    ("[listen]\nhttp = 'http://127.0.0.1:80'", "$.listen.http", "such as 127.0.0.1:8080"),
    ("[listen]\nwebsocket = '127.0.0.1:65536'", "$.listen.websocket", "such as 127.0.0.1:8080"),
    ("[listen]\nwebsocket = '127.0.0.1:²'", "$.listen.websocket", "such as 127.0.0.1:8080"),
    # names, digits, sounds, feature codes
    ("[accounts.'a b']", '$.accounts."a b"', "letters, digits and _ . : @ + -"),
    ("[switches.'a/b']\nkind = 'simulator'", '$.switches."a/b"', "letters, digits and _ . -"),
    ("[defaults]\ntakeback_digits = 'x'", "$.defaults.takeback_digits", "1 to 8 of 0-9"),
    ("[defaults]\ntakeback_digits = ''", "$.defaults.takeback_digits", "1 to 8 of 0-9"),
    ("[defaults.policy]\nbriefing = 'shell_stream://x'", "$.defaults.policy.briefing", "file:NAME"),
    ("[defaults.policy]\nannouncement = 5", "$.defaults.policy.announcement", "expected a text"),
    ("[defaults.policy]\nbriefing_limit_s = 0", "$.defaults.policy.briefing_limit_s", "more than"),
    ("[defaults.policy]\naccept_digits = ''", "$.defaults.policy.accept_digits", "1 to 8 of 0-9"),
    ("[defaults.policy]\naccept_digits = '1x'", "$.defaults.policy.accept_digits", "1 to 8 of"),
    ("[defaults.policy]\ndecline_digits = '?'", "$.defaults.policy.decline_digits", "or none"),
    ("[defaults.policy]\naccept_limit_s = 0", "$.defaults.policy.accept_limit_s", "more than 0"),
    ("[defaults.policy]\ntarget_accepts = 1", "$.defaults.policy.target_accepts", ""),
    ("[defaults.policy]\nmusic = 'a b'", "$.defaults.policy.music", "letters, digits and _ . /"),
    ("[defaults.policy]\nmusic = 'shell_stream://x'", "$.defaults.policy.music", "file:NAME"),
    ("[defaults.policy]\nmusic = 5", "$.defaults.policy.music", "expected a text"),
    ("[accounts.a.policy]\nringback = ''", "$.accounts.a.policy.ringback", "or file:NAME"),
    (
        "[defaults.policy]\noutside_number = 'a b'",
        "$.defaults.policy.outside_number",
        "letters, digits and + * # _ -",
    ),
    (
        "[accounts.a.metaflows.patterns]\n'2(' = { module = 'transfer' }",
        '$.accounts.a.metaflows.patterns."2("',
        "put a ) behind it",
    ),
    (
        "[defaults.metaflows.numbers]\n1 = { module = 'fly' }",
        '$.defaults.metaflows.numbers."1".module',
        "one of transfer",
    ),
    # switches
    (FREESWITCH + "host = '10.0.0.1'", "$.switches.a", "the stock password is refused"),
    (
        FREESWITCH + "host = '10.0.0.1'\npassword = 'ClueCon'",
        "$.switches.a",
        "set another in event_socket.conf.xml",
    ),
    (FREESWITCH + "password = 'a'\npassword_file = 'b'", "$.switches.a.password", "password_file"),
    (FREESWITCH + "password_file = 'none'", "$.switches.a.password_file", "No such file"),
    (FREESWITCH + 'password = "a\\nb"', "$.switches.a", "control character"),
    (FREESWITCH + "template = 'user/1001'", "$.switches.a", "write {number}"),
    (FREESWITCH + "variables = { 'a b' = 'c' }", "$.switches.a.variables", "letters, digits"),
    (FREESWITCH + "account_variable = ''", "$.switches.a.account_variable", "letters, digits"),
    (FREESWITCH + "tls = true\ntls_ca = 'none.pem'", "$.switches.a.tls_ca", "name a PEM file"),
    # TLS
    ("[listen]\ntls_certificate = 'a.pem'", "$.listen", "give both"),
    ("[listen]\ntls_key = 'a.pem'", "$.listen", "give both"),
    (
        "[listen]\ntls_certificate = 'none.pem'\ntls_key = 'none.pem'",
        "$.listen.tls_certificate",
        "name PEM files",
    ),
]


def test_who_is_outside_on_a_freeswitch_is_the_operators_to_say() -> None:
    keys = FreeSwitchKeys(outside_contexts=("from-trunk",), outside_profiles=("trunks",))
    settings = freeswitch_settings(keys, "a")
    assert settings.outside_contexts == {"from-trunk"}
    assert settings.outside_profiles == {"trunks"}


@pytest.mark.parametrize(("text", "place", "hint"), FAULTS, ids=[text for text, _, _ in FAULTS])
def test_a_fault_is_told_with_its_place_and_its_hint(
    tmp_path: Path, text: str, place: str, hint: str
) -> None:
    file = written(tmp_path, text)
    with pytest.raises(InputError) as told:
        read_config(file)
    message = str(told.value)
    assert told.value.where == f"{file}: {place}"
    assert message.startswith(f"{file}: {place}: ")
    assert hint in message
    assert "\n" not in message
    assert told.value.exit_status == 2


def test_what_is_no_toml_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not valid TOML: .*at line 2, column 3"):
        read_config(written(tmp_path, "[listen]\n5 5"))
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    with pytest.raises(InputError, match="is not valid TOML"):
        read_config(tmp_path / "bytes.toml")
    with pytest.raises(InputError, match="is not valid TOML"):
        read_config(written(tmp_path, "a = " + "[" * 100_000))


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none.toml: can't be read: No such file"):
        read_config(tmp_path / "none.toml")
    with pytest.raises(InputError, match="can't be read: Is a directory"):
        read_config(tmp_path)
    with pytest.raises(InputError, match="is too large"):
        read_config(written(tmp_path, "#" * (MAX_CONFIG_BYTES + 1)))


STRANGE: tuple[object, ...] = (5, -1, 1.5, "x", "", True, [], [5], [["1", 5]], {}, {"x": 5})


def _places() -> Iterator[tuple[tuple[str, ...], str]]:
    """Every key that there is."""
    tables: list[tuple[tuple[str, ...], type[msgspec.Struct]]] = [
        ((), Config),
        (("listen",), Listen),
        (("journal",), JournalKeys),
        (("limits",), Limits),
        *(
            (inside, kind)
            for where in (("defaults",), ("accounts", "acme"))
            for inside, kind in (
                (where, AccountKeys),
                ((*where, "policy"), PolicyKeys),
                ((*where, "rules"), RulesKeys),
            )
        ),
        (("switches", "a"), Simulator),
        (("switches", "a"), FreeSwitchKeys),
    ]
    for table, kind in tables:
        for field in msgspec.structs.fields(kind):
            yield table, field.encode_name


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["simulator", "freeswitch"])
def test_no_strange_value_of_any_key_is_more_than_a_fault(kind: str, tmp_path: Path) -> None:
    tried = 0
    for table, key in _places():
        for value in STRANGE:
            document: dict[str, Any] = {}
            inside = document
            for name in table:
                inside = inside.setdefault(name, {})
            if table[:1] == ("switches",):
                inside["kind"] = kind
            inside[key] = value
            with contextlib.suppress(InputError):  # anything else is a fault of ours
                parse_config(document, beside=tmp_path)
            tried += 1
    assert tried > 500


# ---------------------------------------------------------------------- what is said twice


def test_what_an_account_leaves_out_is_as_in_the_defaults_key_by_key() -> None:
    config = config_of(
        defaults={
            "takeback_digits": "*9",
            "policy": {"ring_timeout_s": 30.0, "hop_limit": 2},
            "rules": {"transfers_at_once": 7, "targets_denied": ["0*"]},
            "metaflows": {"numbers": {"5": {"module": "hangup"}}},
        },
        accounts={
            "acme": {"policy": {"hop_limit": 3}, "rules": {"targets_denied": []}},
            "globex": {"takeback_digits": "*8", "metaflows": {}},
        },
    )
    acme, globex, other = (config.account(name) for name in ("acme", "globex", "other"))
    assert (acme.policy.ring_timeout_s, acme.policy.hop_limit) == (30.0, 3)
    assert (acme.rules.transfers_at_once, acme.rules.targets_denied) == (7, ())
    assert (acme.takeback_digits, globex.takeback_digits) == ("*9", "*8")
    assert [digits for digits, _ in acme.metaflows.numbers] == ["5"]
    assert globex.metaflows.numbers == globex.metaflows.patterns == ()
    assert (other.policy.hop_limit, other.rules.targets_denied) == (2, ("0*",))


def test_how_numbers_are_read_is_as_in_the_defaults_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "site.rules").write_text("; Germany\n\n0... -> +49...\n", encoding="utf-8")
    config = read_config(
        written(
            tmp_path,
            """
            [defaults.numbers]
            domains = ["example.org"]
            rewrites_file = "site.rules"
            [accounts.acme.numbers]
            domains = ["Acme.example"]
            [accounts.globex.numbers]
            rewrites = []
            """,
        )
    )
    acme, globex, other = (config.account(name).numbers for name in ("acme", "globex", "other"))
    assert [acme.number("030"), globex.number("030"), other.number("030")] == [
        "+4930",
        "030",
        "+4930",
    ]
    assert acme.number("sip:2600@acme.example") == "2600"
    for rules in (globex, other):
        assert rules.number("sip:2600@example.org") == "2600"
        with pytest.raises(RequestRefused, match=r"allowed are example\.org"):
            rules.number("sip:2600@acme.example")


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        (
            {"domains": ["sip:example.org"]},
            r"\$\.accounts\.acme\.numbers\.domains: .* is not a domain",
        ),
        ({"rewrites": ["", "0 to 1"]}, r"\$\.accounts\.acme\.numbers\.rewrites:2: '0 to 1'"),
        ({"rewrites": [], "rewrites_file": "x"}, "give either rewrites or rewrites_file"),
        ({"rewrites_file": "no.rules"}, "name a rule file"),
        ({"rewrites_file": "latin.rules"}, "is not UTF-8"),
    ],
)
def test_rules_of_numbers_that_are_wrong(
    numbers: dict[str, Any], told: str, tmp_path: Path
) -> None:
    (tmp_path / "latin.rules").write_bytes(b"\xff")
    with pytest.raises(InputError, match=told):
        parse_config({"accounts": {"acme": {"numbers": numbers}}}, beside=tmp_path)


def test_a_code_s_fixed_number_must_be_one_that_its_account_can_read() -> None:
    code = {"numbers": {"5": {"module": "transfer", "data": {"target": "sip:2600@example.com"}}}}
    numbers = {"domains": ["example.org"]}
    acme = {"metaflows": code, "numbers": numbers}
    where = r'^\$\.accounts\.acme\.metaflows\.numbers\."5"\.data\.target: .*example\.org'
    with pytest.raises(InputError, match=where):
        config_of(accounts={"acme": acme})
    allowed = {**acme, "numbers": {"domains": ["example.com"]}}
    assert config_of(accounts={"acme": allowed}).account("acme").numbers.domains == ("example.com",)


def test_the_media_list_of_an_account() -> None:
    config = config_of(
        defaults={
            "media": {"hold": "music:jazz", "beep": "tone:440/200"},
            "policy": {"music": "hold"},
        },
        accounts={
            "acme": {
                "media": {"hold": "file:acme.wav", "greeting": "/srv/acme/hello.wav"},
                "policy": {"ringback": "/acme/beep"},
                "metaflows": {
                    "numbers": {"5": {"module": "hold", "data": {"moh": "greeting"}}},
                },
            },
            "globex": {"media": {"secret": "file:globex.wav"}},
        },
    )
    acme, globex, other = (config.account(name) for name in ("acme", "globex", "other"))
    assert sorted(acme.media.entries) == ["beep", "greeting", "hold"]
    assert sorted(globex.media.entries) == ["beep", "hold", "secret"]
    assert sorted(other.media.entries) == ["beep", "hold"]
    assert (acme.policy.music, globex.policy.music) == (Recording("acme.wav"), Music("jazz"))
    assert str(acme.policy.ringback) == "tone:440/200"
    document = acme.metaflows.to_document()
    assert document["numbers"] == {"5": {"module": "hold", "data": {"moh": "media:greeting"}}}


@pytest.mark.parametrize(
    ("acme", "told"),
    [
        ({"media": {"a b": "music:jazz"}}, r'accounts\.acme\.media\."a b": is not a valid ID'),
        ({"media": {"a": "media:b"}}, r"accounts\.acme\.media\.a: 'media:b' is not a sound"),
        ({"media": {"a": "https://example.org/a.wav"}}, r"\.media\.a: .*fetch it.*file:NAME"),
        (
            {"policy": {"music": "b"}},
            r"acme\.policy\.music: unknown media ID 'b' .the IDs are hold",
        ),
        ({"policy": {"music": "/globex/secret"}}, r"unknown media ID '/globex/secret' .*are hold;"),
        (
            {"metaflows": {"numbers": {"5": {"module": "hold", "data": {"moh": "secret"}}}}},
            r'metaflows\.numbers\."5"\.data\.moh: unknown media ID .secret. .the IDs are hold',
        ),
    ],
)
def test_media_ids_that_are_wrong(acme: dict[str, Any], told: str) -> None:
    globex = {"media": {"secret": "file:globex.wav"}}
    with pytest.raises(InputError, match=told):
        config_of(
            defaults={"media": {"hold": "music:jazz"}}, accounts={"globex": globex, "acme": acme}
        )


def test_the_takeback_of_an_account_goes_into_its_stock_codes() -> None:
    config = config_of(accounts={"acme": {"takeback_digits": "*8"}})
    (pattern,) = config.account("acme").metaflows.patterns
    assert pattern[1].options.takeback_digits == "*8"


def test_stored_feature_codes_go_before_written_ones() -> None:
    written_codes = {"numbers": {"5": {"module": "hangup"}}}
    stored = {"numbers": {"6": {"module": "hangup"}}}
    config = config_of(accounts={"acme": {"metaflows": written_codes}})
    assert [one for one, _ in config.account("acme").metaflows.numbers] == ["5"]
    assert [one for one, _ in config.account("acme", stored).metaflows.numbers] == ["6"]
    chosen = config.accounts_chosen({"acme": stored, "initech": stored})
    assert {name: [one for one, _ in chosen[name].metaflows.numbers] for name in chosen} == {
        "acme": ["6"],
        "initech": ["6"],
    }


# --------------------------------------------------------------------------- addresses, TLS


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("[::1]:0", ("::1", 0)),
        ("desk.example.org:65535", ("desk.example.org", 65_535)),
    ],
)
def test_addresses_are_read(text: str, address: tuple[str, int]) -> None:
    assert read_address(text, where="$") == address


def test_a_certificate_and_its_key_are_tried_when_the_config_is_read(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate, other = authority.issue_cert("localhost"), authority.issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    other.private_key_pem.write_to_path(tmp_path / "other.pem")
    good = "[listen]\ntls_certificate = 'both.pem'\ntls_key = 'both.pem'"
    config = read_config(written(tmp_path, good))
    context = server_tls(config.listen, where="$", beside=tmp_path)
    assert context.verify_mode is ssl.CERT_NONE
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    with pytest.raises(InputError, match="tls_certificate: can't be used: .*(MISMATCH|mismatch)"):
        read_config(written(tmp_path, good.replace("tls_key = 'both", "tls_key = 'other")))


# ------------------------------------------------------------------------------- read again


async def test_what_is_read_again_holds_for_calls_that_begin_afterwards(
    autojump_clock: MockClock, lab: Lab
) -> None:
    old, _ = await lab.call("1001", "1002")
    lab.service.reload(config_of(accounts={"acme": {"rules": {"targets_denied": ["2601"]}}}))
    new, _ = await lab.call("1003", "1004")
    assert (await lab.acme.act(new, "transfer", target="2601")).status_code == 422
    assert (await lab.acme.act(old, "transfer", target="2601")).status_code == 202


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"listen": {"http": "127.0.0.1:9"}}, "$.listen"),
        ({"journal": {"sync": "normal"}}, "$.journal"),
        ({"limits": {"drain_s": 1.0}}, "$.limits"),
        ({"switches": {"new": {"kind": "simulator"}}}, "$.switches"),
    ],
)
async def test_what_cannot_change_while_it_is_up_is_refused_with_all_that_comes_with_it(
    autojump_clock: MockClock, lab: Lab, changed: dict[str, Any], place: str
) -> None:
    before = lab.service.config
    accounts = {"acme": {"rules": {"targets_denied": ["*"]}}}
    with pytest.raises(InputError) as told:
        lab.service.reload(config_of(accounts=accounts, **changed))
    assert told.value.where == place
    assert "restart" in told.value.hint
    assert lab.service.config is before
    alice, _ = await lab.call()
    await lab.acme.transfer(alice, "2600")


async def test_a_config_that_is_read_again_leaves_stored_codes_as_they_are(
    autojump_clock: MockClock, lab: Lab
) -> None:
    await lab.acme.ask("POST", "metaflows", {"numbers": {"6": {"module": "hangup"}}})
    codes = {"numbers": {"5": {"module": "hangup"}}}
    lab.service.reload(config_of(defaults={"metaflows": codes}))
    assert list((await lab.acme.look("metaflows"))["numbers"]) == ["6"]
    assert list((await lab.globex.look("metaflows"))["numbers"]) == ["5"]


async def test_the_takeback_of_the_config_is_what_a_transferor_dials(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_lab(tmp_path, defaults={"takeback_digits": "*77"}) as lab:
        alice, _ = await lab.call()
        lab.press(alice, "*22601")
        await trio.sleep(5)
        running = lab.service.group.engines[SWITCH].switchboard.transfer_of(alice)
        assert running is not None
        lab.press(alice, "*77")
        assert (await lab.acme.ended(running.id))["outcome"] == "taken_back"


def test_a_sound_that_may_be_none_is_switched_off_for_one_account() -> None:
    config = parse_config(
        {
            "defaults": {"policy": {"briefing": "file:hello.wav", "announcement": "music:ann"}},
            "accounts": {"acme": {"policy": {"briefing": "", "announcement": ""}}, "globex": {}},
        }
    )
    acme, globex = config.account("acme").policy, config.account("globex").policy
    assert (acme.briefing, acme.announcement) == (None, None)
    assert (globex.briefing, globex.announcement) == (Recording("hello.wav"), Music("ann"))
