"""features.conf becomes a config of ours, whatever it says; what Asterisk refuses is a fault."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookflash.cli import main
from hookflash.dialling.asterisk_file import MAX_INHERITED, MAX_LINE, read_asterisk_file
from hookflash.dialling.digits import UNARMED, Matched, digit_timeout, press
from hookflash.dialling.features_conf import (
    KNOWN,
    Features,
    convert_features,
    features_faults,
    parse_features,
)
from hookflash.errors import InputError
from hookflash.events import Kind
from hookflash.server.config import Config
from hookflash.server.read_config import parse_config

ENTRY = "[applicationmap]\nx = *5,self,NoOp\n"

OFFICE = r"""
; what an office may have
[general](+)
[general]
transferdigittimeout => 4      ; seconds
featuredigittimeout = 800
atxfernoanswertimeout = 25
atxferdropcall = no
atxfercallbackretries = 3
xfersound = beep
atxferabort = *7
pickupexten = *8
;-- a block ;-- within --; comment
atxferabort = *9
--;

[featuremap]
atxfer => *2
blindxfer => *21
disconnect => *0
automixmon => *3
parkcall => #72
#include "more.conf"
""".replace("[general](+)\n", "")


def convert(text: str) -> str:
    return convert_features(parse_features(text))


def config(text: str) -> Config:
    return parse_config(tomllib.loads(convert(text)))


def what(text: str, digits: str) -> Matched | None:
    table = config(text).account("acme").metaflows.table
    collector = UNARMED
    for digit in digits:
        pressed = press(table, collector, digit)
        collector = pressed.collector
        if pressed.outcome is not None:
            break
    else:
        pressed = digit_timeout(table, collector)
    return pressed.outcome if isinstance(pressed.outcome, Matched) else None


def test_an_office_is_converted() -> None:
    account = config(OFFICE).account("acme")
    assert account.policy.ring_timeout_s == 25
    assert account.takeback_digits == "*7"
    assert account.metaflows.binding_digit == "*"
    assert account.metaflows.digit_timeout_s == 4
    attended, blind, end = (what(OFFICE, digits) for digits in ("*22600", "*212600", "*0"))
    assert attended is not None
    assert (attended.target, attended.action.kind) == ("2600", Kind.ATTENDED)
    assert blind is not None
    assert (blind.target, blind.action.kind) == ("2600", Kind.BLIND)
    assert end is not None
    assert end.action.module == "hangup"
    assert what(OFFICE, "*9") is None


def test_each_line_is_accounted_for() -> None:
    text = convert(OFFICE)
    lines = OFFICE.splitlines()
    for number, line in enumerate(lines, 1):
        is_setting = "=" in line and not line.startswith(";") and "*9" not in line
        if is_setting or line.startswith("#"):
            assert f"line {number}: " in text, line
    assert "*9" not in text
    assert "not followed" in text


def test_what_the_file_does_not_say_is_asterisks_default() -> None:
    account = config("[featuremap]\natxfer = *2\n").account("acme")
    assert account.policy.ring_timeout_s == 15
    assert account.metaflows.digit_timeout_s == 3
    assert account.takeback_digits == "*1"


def test_without_a_code_for_transfers_ours_stay() -> None:
    for text in ("", "[featuremap]\natxfer =\n", "[featuremap]\ndisconnect = *0\n"):
        assert "metaflows]" not in convert(text)
        transfer = what(text, "*22600")
        assert transfer is not None
        assert transfer.target == "2600"
    assert "switched off" in convert("[featuremap]\natxfer =\n")
    assert "line 2: disconnect = *0: codes are not" in convert("[featuremap]\ndisconnect = *0\n")


def test_codes_that_can_not_be_are_listed_with_the_reason() -> None:
    text = convert("[featuremap]\natxfer = *2\nblindxfer = #1\ndisconnect = *\n")
    assert "line 3: blindxfer = #1: all codes of an account begin with the same key" in text
    assert "line 4: disconnect = *: all codes begin with *" in text
    text = convert("[featuremap]\natxfer = *2\nblindxfer = *2\n")
    assert "line 3: blindxfer = *2: atxfer has the same code, in line 2" in text


def test_a_code_of_asterisk_that_hookflash_hears_too_is_told() -> None:
    text = "[featuremap]\natxfer = *2\nautomixmon = *21\nparkcall = *3\n"
    assert "CHANGE IT: *21 is also heard" in convert(text)
    assert "*3: parking is not a transfer\n" in convert(text)
    hangs_up = "[featuremap]\natxfer = *2\ndisconnect = *0\n[applicationmap]\nx = *0,self,NoOp\n"
    assert "CHANGE IT: *0" in convert(hangs_up)


def test_times_out_of_range_are_cut_and_told() -> None:
    text = "[general]\natxfernoanswertimeout = 9999\ntransferdigittimeout = 0\n"
    text += "[featuremap]\natxfer = *2\n"
    account = config(text).account("acme")
    assert (account.policy.ring_timeout_s, account.metaflows.digit_timeout_s) == (600, 0.1)
    assert convert(text).count("out of hookflash's range") == 2


def test_a_takeback_that_can_not_be_leaves_ours() -> None:
    for value in ("", "*123456789"):
        text = f"[general]\natxferabort = {value}\n"
        assert config(text).account("acme").takeback_digits == "*1"
        assert "line 2: atxferabort" in convert(text)


def test_the_application_map_stays_with_asterisk() -> None:
    text = "[applicationmap]\nping => #9,peer/both,Playback(a,b),default\n"
    text += "[group]\nping => #8\nping =>\n"
    shown = convert(text)
    for line in (2, 4, 5):
        assert f"line {line}: ping: an application of your own" in shown


def test_later_settings_replace_earlier_ones_and_templates_count() -> None:
    text = """\
[base](!)
atxfer = *5
atxferabort = *6
[featuremap](base)
"""
    assert [str(fault) for fault in features_faults(text)] == [
        "line 3: [featuremap] has no key 'atxferabort' (put it into [general])"
    ]
    text = "[base](!)\natxfer = *5\n[featuremap](base)\n[FeatureMap]\nATXFER = *6\n"
    assert what(text, "*51") is None
    assert what(text, "*61") is not None
    assert "line 2: atxfer = *5: line 5 replaces it" in convert(text)
    text = "[featuremap]\natxfer = *5\n[general]\n[featuremap](+)\nblindxfer = *6\n"
    assert what(text, "*51") is not None
    assert what(text, "*61") is not None


def test_parking_has_a_file_of_its_own_since_asterisk_12() -> None:
    assert "line 2: parkext = 700: Asterisk 12 and later" in convert("[general]\nparkext => 700\n")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "[group]\nx = *5",
            "line 2: the application map has no entry 'x' (add it to [applicationmap])",
        ),
        ("atxfer = *2", "line 1: 'atxfer = *2' stands before any section ([general] above it)"),
        ("[general", "line 1: '[general' has no closing bracket ([name], or [name](!))"),
        ("[general](!", "line 1: '[general](!' has no closing bracket ([name], or [name](!))"),
        ("[general](+)", "line 1: there is no section [general] to add to ([general])"),
        (
            "[general](base)",
            "line 1: there is no section [base] to inherit from (write the template above)",
        ),
        ("[general]\n\nfoo", "line 3: 'foo' is not a setting (key = value)"),
        ("[general]\n= 3", "line 2: '= 3' is not a setting (key = value)"),
        (
            "#exclude x",
            "line 1: '#exclude x' is not a directive (allowed are #include, #tryinclude, #exec)",
        ),
        ("#", "line 1: '#' is not a directive (allowed are #include, #tryinclude, #exec)"),
        (";--\n\n", "line 1: a block comment begins here and never ends (end it with --;)"),
        (
            "[featuremap]\natxfer = 2x",
            "line 2: atxfer can't be '2x' (1 to 10 keys of 0-9, A-D, * and #)",
        ),
        (
            "[general]\natxferloopdelay = soon",
            "line 2: atxferloopdelay can't be 'soon' (a whole number of seconds)",
        ),
        (
            "[general]\natxferdropcall = maybe",
            "line 2: atxferdropcall can't be 'maybe' (yes or no)",
        ),
        (
            "[applicationmap]\nx = *5,self",
            "line 2: '*5,self' is not an application map entry (keys,self or peer,application)",
        ),
        (
            f"{ENTRY}[group]\nx = foo",
            "line 4: x can't be 'foo' (1 to 10 keys of 0-9, A-D, * and #, or nothing)",
        ),
        (f"; {'x' * MAX_LINE}", f"line 1: the line is too long (at most {MAX_LINE} characters)"),
    ],
)
def test_a_line_that_asterisk_would_refuse_is_a_fault(text: str, fault: str) -> None:
    assert [str(one) for one in features_faults(text)] == [fault]
    with pytest.raises(InputError, match="line"):
        parse_features(text)


def test_an_unknown_key_names_what_was_meant() -> None:
    (fault,) = features_faults("[general]\natxfernoanswertimout = 3\n", "features.conf")
    assert str(fault).startswith(
        "features.conf: line 2: [general] has no key 'atxfernoanswertimout'"
        " (did you mean atxfernoanswertimeout? allowed are "
    )


def test_templates_of_templates_do_not_explode() -> None:
    text = "[t0](!)\na = 1\n" + "".join(f"[t{n}](!,t{n - 1},t{n - 1})\n" for n in range(1, 60))
    file = read_asterisk_file(text)
    assert any("templates add too much" in fault.what for fault in file.faults)
    assert len(file.settings) <= MAX_INHERITED


def test_escaped_semicolons_and_dashes() -> None:
    file = read_asterisk_file("[a]\nx = 1\\;2 ; 3\ny = 4 ;--- 5\nz => 6;-- 7 --;8\n")
    assert [(one.key, one.value) for one in file.settings] == [
        ("x", "1;2"),
        ("y", "4"),
        ("z", "68"),
    ]


# ------------------------------------------------------------------ whatever it says

LINES = st.one_of(
    st.sampled_from(
        [
            "[general]",
            "[featuremap]",
            "[featuremap](+)",
            "[applicationmap]",
            "[group]",
            "[t](!)",
            "[general](t)",
            "x => *5,self,NoOp",
            ";--",
            "--;",
            "#include <a>",
        ]
    ),
    st.builds(
        "{} {} {}".format,
        st.sampled_from([key for keys in KNOWN.values() for key in keys]),
        st.sampled_from(["=", "=>", "+="]),
        st.one_of(
            st.text("0123456789*#ABCDabcd", max_size=11),
            st.integers(-1, 10**7).map(str),
            st.sampled_from(["yes", "no", "beep", "'''\\\"\x07", "\u2028x"]),
        ),
    ),
    st.text(max_size=30),
)


@pytest.mark.slow
@given(st.lists(LINES, max_size=25).map("\n".join))
def test_whatever_it_says_the_result_is_a_config_or_a_fault(text: str) -> None:
    if features_faults(text):
        with pytest.raises(InputError):
            parse_features(text)
        return
    features = parse_features(text)
    converted = convert_features(features, text[:20])
    assert all(" " <= char <= "~" or char == "\n" for char in converted)
    account = parse_config(tomllib.loads(converted)).account("acme")
    assert 1 <= account.policy.ring_timeout_s <= 600


CODES = st.integers(1, 4).flatmap(
    # of one length, so that none begins another: there Asterisk decides by time
    lambda length: st.lists(
        st.text("0123456789*", min_size=length, max_size=length),
        min_size=3,
        max_size=3,
        unique=True,
    )
)
BEGINNINGS = st.sampled_from("*#0A")


@given(CODES, BEGINNINGS, BEGINNINGS, st.text("0123456789", min_size=1, max_size=12))
def test_a_code_of_the_file_does_here_what_it_does_there(
    codes: list[str], begin: str, other: str, number: str
) -> None:
    atxfer, blindxfer, disconnect = begin + codes[0], other + codes[1], begin + codes[2]
    text = f"[featuremap]\natxfer={atxfer}\nblindxfer={blindxfer}\ndisconnect={disconnect}\n"
    transfer = what(text, atxfer + number)
    assert transfer is not None
    assert (transfer.target, transfer.action.kind) == (number, Kind.ATTENDED)
    if blindxfer[0] == atxfer[0]:
        transfer = what(text, blindxfer + number)
        assert transfer is not None
        assert (transfer.target, transfer.action.kind) == (number, Kind.BLIND)
    else:
        assert f"line 3: blindxfer = {blindxfer}: all codes" in convert(text)
    end = what(text, disconnect)
    assert end is not None
    assert end.action.module == "hangup"


# ------------------------------------------------------------------ by the command line


def test_the_command_prints_the_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "features.conf"
    file.write_text(OFFICE, encoding="utf-8")
    assert main(["asterisk", "features", str(file)]) == 0
    told = capsys.readouterr()
    assert told.out == convert_features(parse_features(OFFICE), "features.conf")
    assert not told.err


def test_the_command_lists_every_fault_and_prints_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "features.conf"
    file.write_text("[general]\nfoo = 1\nbar\n", encoding="utf-8")
    assert main(["asterisk", "features", str(file)]) == 2
    told = capsys.readouterr()
    assert not told.out
    assert [line.split(": ")[2] for line in told.err.splitlines()] == ["line 2", "line 3"]


def test_files_that_can_not_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["asterisk", "features", str(tmp_path / "none.conf")]) == 2
    assert "can't be read: No such file" in capsys.readouterr().err
    file = tmp_path / "features.conf"
    file.write_bytes(b";" * 1_000_001)
    assert main(["asterisk", "features", str(file)]) == 2
    assert "too large" in capsys.readouterr().err


def test_a_features_is_a_value() -> None:
    assert parse_features("") == Features(settings=(), repeated=(), applications=(), ignored=())
