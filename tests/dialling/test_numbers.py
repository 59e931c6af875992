"""Numbers as people write them: every spelling of one number is the same number."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookflash.dialling.numbers import (
    INVISIBLE,
    MAX_NUMBER,
    MAX_REWRITES,
    NUMBER_PATTERN,
    PLAIN_NUMBERS,
    SEPARATORS,
    NumberRules,
    parse_rewrites,
    plain_number,
    rewrite_faults,
)
from hookflash.document import load_schema
from hookflash.errors import InputError, Refusal, RequestRefused

OURS = NumberRules(domains=("example.org", "[::1]"))
GERMANY = NumberRules(
    rewrites=parse_rewrites(("; Germany", "00... -> +...", "", "0... -> +49...  ; national"))
)


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("2600", "2600"),
        ("+49 (30) 123-45", "+493012345"),
        ("+49 (0)30 123-45", "+493012345"),
        ("0049 ( 0 ) 30/12345", "00493012345"),
        ("(+49) (0)30 12345", "+493012345"),
        ("+(49)-(0)30 12345", "+493012345"),
        ("+49 (30) 1 (0) 5", "+4930105"),  # not behind a country code
        ("(0) 30 12345", "03012345"),  # no country code: it is dialled
        ("\u202a+49\u00a030\u202f12\u201145\u202c", "+49301245"),
        ("1-800-FLOWERS", "1800FLOWERS"),
        ("*97", "*97"),
        ("#31#2600", "#31#2600"),
        ("sales-queue", "sales-queue"),
        ("tel:+49-30-12345", "+493012345"),
        ("TEL:2600;phone-context=example.org", "2600"),
        ("tel:%2B49.30", "+4930"),
        ("sip:2600", "2600"),
        ("sip:2600;user=phone", "2600"),
        ("sip:2600@example.org", "2600"),
        ("SIP:+49-30-123;isdn=x@EXAMPLE.org.:5060;user=phone;transport=tcp", "+4930123"),
        ("2600@example.org", "2600"),
        ("sip:carol@[::1]:5060", "carol"),
    ],
)
def test_what_people_write(written: str, number: str) -> None:
    assert OURS.number(written) == number
    assert OURS.number(number) == number


@pytest.mark.parametrize(
    "written",
    [
        "",
        "()",
        "+",
        "++49",
        "49+30",
        "a b",
        "-carol",
        "2600\n",
        "26\r\n00",
        "\u0662\u0666",  # digits, but not those of a telephone
        "sip:",
        "sip:2600:secret@example.org",
        "sip:2600@example.org?Replaces=1",
        "sip:2600@user@example.org",
        "sips:2600@example.org",
        "mailto:2600",
        "sip:%2532600",  # unescaped once
        "sip:%0a2600",
        "sip:alice.smith@example.org",
        "tel:2600;ext=5",
        "${2600}",
        "9" * (MAX_NUMBER + 1),
        "9 " * 200,
    ],
)
def test_what_is_no_number(written: str) -> None:
    with pytest.raises(InputError, match="not a number|can't be dialled|too long"):
        OURS.number(written)


@pytest.mark.parametrize(
    ("rules", "told"),
    [(OURS, r"allowed are example\.org, \[::1\]"), (PLAIN_NUMBERS, "none is configured")],
)
def test_another_domain_is_refused_with_those_that_are_allowed(
    rules: NumberRules, told: str
) -> None:
    for written in ("sip:2600@example.com", "sip:2600@sub.example.org", "2600@example.com"):
        with pytest.raises(RequestRefused, match=told) as caught:
            rules.number(written)
        assert caught.value.refusal is Refusal.TARGET_REFUSED


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("030 123", "+4930123"),
        ("0044 20 7946", "+44207946"),
        ("0", "0"),  # the rest is at least one key
        ("2600", "2600"),
        ("+030", "+030"),
        ("tel:030-123", "+4930123"),
    ],
)
def test_the_first_rule_that_matches_applies_once(written: str, number: str) -> None:
    assert GERMANY.number(written) == number


@pytest.mark.parametrize(
    ("rule", "written", "number"),
    [
        ("9... -> ...", "99600", "9600"),
        (r"\*21... → ...", "*212600", "2600"),
        (r"+49(\d+) -> 0$1", "+4930", "030"),
        (r"(\d{2})(\d{2}) -> $2$1", "1234", "3412"),
        (r"9|8... -> 7", "9", "7"),
        ("0 -> reception", "0", "reception"),
        ("0… -> +49…", "030", "+4930"),
        ("+... -> 00...", "+4930", "004930"),
    ],
)
def test_rules(rule: str, written: str, number: str) -> None:
    rules = NumberRules(rewrites=parse_rewrites([rule]))
    assert rules.number(written) == number


def test_a_rule_can_t_make_what_is_no_number() -> None:
    long = NumberRules(rewrites=parse_rewrites(["1... -> ......"]))
    empty = NumberRules(rewrites=parse_rewrites([r"", r"1(\d*) -> $1"]))
    with pytest.raises(InputError, match="line 1 makes"):
        long.number("1" + "2" * 40)
    with pytest.raises(InputError, match="line 2 makes '' of 1"):
        empty.number("1")


def test_all_faults_of_a_rule_file_are_reported_with_their_lines() -> None:
    lines = [
        "; fine: a comment",
        "0... to +49...",
        "0... -> a b",
        "0 -> ...",
        "0(1) -> $2",
        "* -> 5",
        "-> 5",
        "0 -> 4+9",
        "00... -> +...",
    ]
    faults = {fault.where: fault.what for fault in rewrite_faults(lines, "site.rules")}
    assert list(faults) == [f"site.rules:{line}" for line in (2, 3, 4, 5, 6, 7, 8)]
    with pytest.raises(InputError, match=r"^site\.rules:2: '0\.\.\. to \+49\.\.\.' is not a rule"):
        parse_rewrites(lines, "site.rules")


@pytest.mark.parametrize(
    "lines",
    [[f"{number} -> 1" for number in range(MAX_REWRITES + 1)], [r"\d{900} -> 1"] * 12],
)
def test_rules_are_bounded(lines: list[str]) -> None:
    (fault,) = rewrite_faults(lines, "site.rules")
    assert fault.where == "site.rules"
    assert "at most" in fault.hint


NUMBERS = st.from_regex(r"\+?[0-9*#][0-9*#A-D]{0,20}", fullmatch=True)


@given(NUMBERS, st.data())
def test_spellings_of_one_number_are_one_number(number: str, data: Any) -> None:
    for rules in (OURS, GERMANY):
        assert answer(rules, spelled(number, data)) == answer(rules, number)


def answer(rules: NumberRules, written: str) -> str | None:
    try:
        return rules.number(written)
    except InputError:
        return None


def spelled(number: str, data: Any) -> str:
    """Write a number in another way."""
    between = st.text(SEPARATORS + INVISIBLE, max_size=2).filter(lambda text: "(" not in text)
    text = number[:1] + "".join(data.draw(between) + char for char in number[1:])
    if data.draw(st.booleans()):
        escape = data.draw(st.booleans())
        user = text.replace("+", "%2B") if escape else text
        return f"{data.draw(st.sampled_from(['tel:', 'sip:', 'SIP:']))}{user}"
    return text


@given(st.text(max_size=40) | st.from_regex(NUMBER_PATTERN.replace(r"(?![\s\S])", "")))
def test_whatever_is_written_is_read_or_refused(written: str) -> None:
    try:
        number = OURS.number(written)
    except (InputError, RequestRefused):
        return
    assert re.fullmatch(r"[0-9A-Za-z+*#_-]{1,64}", number)  # what a backend dials
    assert plain_number(number) == number


def test_the_schema_and_the_code_agree_what_a_number_is() -> None:
    transfer = load_schema("dialling/metaflows.schema.json")["$defs"]["transfer"]
    assert transfer["properties"]["target"]["pattern"] == NUMBER_PATTERN
