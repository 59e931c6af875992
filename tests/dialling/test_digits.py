"""Feature codes, key by key."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookflash.dialling.digits import (
    MAX_CODES,
    MAX_DIGITS,
    UNARMED,
    Code,
    CodeTable,
    Collector,
    FeatureAction,
    Matched,
    Module,
    Outcome,
    Pause,
    Press,
    Unmatched,
    code,
    digit_timeout,
    literal_code,
    press,
    takeback_code,
)
from hookflash.dialling.pattern_language import ALPHABET
from hookflash.errors import InputError
from hookflash.events import Kind

TRANSFER = FeatureAction(module=Module.TRANSFER)
RESUME = FeatureAction(module=Module.RESUME)
HANGUP = FeatureAction(module=Module.HANGUP)


def table(*codes: Code) -> CodeTable:
    return CodeTable(codes=codes)


USUAL = table(literal_code("*1", RESUME), code("*", r"2(\d+)", TRANSFER))


def dial(
    codes: CodeTable, keys: str, collector: Collector = UNARMED
) -> tuple[Press, list[Outcome]]:
    """Press one key after the other, without a pause; a blank is a pause."""
    last = Press(collector=collector)
    outcomes: list[Outcome] = []
    for key in keys:
        if key == " ":
            last = digit_timeout(codes, last.collector)
        else:
            last = press(codes, last.collector, key)
        outcomes += [last.outcome] if last.outcome else []
    return last, outcomes


def spelled(outcomes: list[Outcome]) -> list[str]:
    """`!digits` for a match, `?digits` for none."""
    return [("!" if isinstance(o, Matched) else "?") + o.digits for o in outcomes if o]


# ------------------------------------------------------------------- how it ends


def test_a_code_that_nothing_longer_could_match_acts_at_once() -> None:
    first = press(USUAL, UNARMED, "*")
    assert first.collector.armed
    assert first.pause is Pause.INCOMPLETE
    assert first.outcome is None
    second = press(USUAL, first.collector, "1")
    assert second.outcome == Matched(action=RESUME, digits="*1")
    assert second.collector == UNARMED
    assert second.pause is None


def test_a_code_that_could_be_longer_waits_for_the_pause() -> None:
    last, outcomes = dial(USUAL, "*22600")
    assert outcomes == []
    assert last.pause is Pause.COMPLETE
    over = digit_timeout(USUAL, last.collector)
    assert over.outcome == Matched(action=TRANSFER, digits="*22600", captures=("2600",))
    assert isinstance(over.outcome, Matched)
    assert over.outcome.target == "2600"
    assert over.collector == UNARMED
    assert over.pause is None


@pytest.mark.parametrize(
    ("keys", "outcomes"),
    [
        ("*22600#", ["!*22600"]),
        ("*2 ", ["?*2"]),
        ("*2#", ["?*2"]),
        ("* 1", ["?*"]),  # a star now and a one a minute later is no takeback
        ("*#", ["?*"]),
        ("*3", ["?*3"]),
        ("**1", ["?*", "!*1"]),
        ("*2600**1", ["?*2600", "?*", "!*1"]),
        ("*226*22600 ", ["?*226", "!*22600"]),
        ("*22600A", ["?*22600A"]),
        ("123#*1456*1", ["!*1", "!*1"]),
        ("921 ", []),
        ("5", []),
        ("#", []),
        (" ", []),
    ],
)
def test_each_way_to_end(keys: str, outcomes: list[str]) -> None:
    last, found = dial(USUAL, keys)
    assert spelled(found) == outcomes
    assert not last.collector.armed


def test_keys_that_begin_no_code_change_nothing() -> None:
    for key in ALPHABET.replace("*", ""):
        assert press(USUAL, UNARMED, key) == Press(collector=UNARMED)
    assert press(CodeTable(), UNARMED, "*") == Press(collector=UNARMED)
    assert digit_timeout(USUAL, UNARMED) == Press(collector=UNARMED)


def test_a_hash_that_some_code_wants_does_not_end() -> None:
    codes = table(literal_code("*#", HANGUP), code("*", r"2(\d+)#", TRANSFER))
    assert spelled(dial(codes, "*#")[1]) == ["!*#"]
    assert spelled(dial(codes, "*2600#")[1]) == ["!*2600#"]
    assert spelled(dial(codes, "*2#")[1]) == ["?*2"]
    assert spelled(dial(codes, "*2600 ")[1]) == ["?*2600"]


def test_codes_may_begin_with_a_hash() -> None:
    codes = table(literal_code("#1", RESUME), code("#", r"2(\d*)", TRANSFER))
    assert spelled(dial(codes, "##1")[1]) == ["?#", "!#1"]
    # what matches is ended by the hash, which is then used up
    last, outcomes = dial(codes, "#22600#")
    assert spelled(outcomes) == ["!#22600"]
    assert not last.collector.armed


def test_a_code_of_one_key_cuts_off_what_was_begun() -> None:
    codes = table(literal_code("A", HANGUP), code("*", r"2(\d+)", TRANSFER))
    _, outcomes = dial(codes, "*22A")
    assert outcomes == [Matched(action=HANGUP, digits="A", in_vain="*22")]


def test_the_shorter_code_waits_where_a_longer_one_may_come() -> None:
    codes = table(literal_code("*1", RESUME), literal_code("*12", HANGUP))
    assert dial(codes, "*1")[1] == []
    assert spelled(dial(codes, "*1 ")[1]) == ["!*1"]
    assert spelled(dial(codes, "*12")[1]) == ["!*12"]


def test_the_earlier_of_two_that_match_wins() -> None:
    narrow, wide = literal_code("*21", HANGUP), code("*", r"2(\d)", TRANSFER)
    (first,) = dial(table(narrow, wide), "*21")[1]
    assert first == Matched(action=HANGUP, digits="*21")
    (second,) = dial(table(wide, narrow), "*21")[1]
    assert second == Matched(action=TRANSFER, digits="*21", captures=("1",))
    (third,) = dial(table(narrow, wide), "*22")[1]
    assert third == Matched(action=TRANSFER, digits="*22", captures=("2",))


# ------------------------------------------------------------------------ bounds


def test_a_number_too_long_is_nobodys_code_and_never_cut_short() -> None:
    longest = "*2" + "7" * (MAX_DIGITS - 2)
    assert spelled(dial(USUAL, longest + "#")[1]) == ["!" + longest]
    assert spelled(dial(USUAL, longest + " ")[1]) == ["!" + longest]
    last, outcomes = dial(USUAL, longest + "7")
    assert spelled(outcomes) == ["?" + longest + "7"]
    assert not last.collector.armed
    assert spelled(dial(USUAL, longest + "*1")[1]) == ["?" + longest, "!*1"]


def test_a_key_costs_the_same_however_much_was_dialled() -> None:
    codes = table(code("*", r"(\d*)*\d{1,30}5", TRANSFER))
    collector, costs = UNARMED, list[int]()
    for key in "*" + "7" * (MAX_DIGITS - 1):
        collector = press(codes, collector, key).collector
        costs.append(sum(run.steps for run in collector.runs(codes)))
    assert max(costs) <= 4 * codes.codes[0].pattern.size


def test_a_table_is_bounded() -> None:
    one = literal_code("*1", RESUME)
    assert len(table(*[one] * MAX_CODES).codes) == MAX_CODES
    with pytest.raises(InputError, match="65 feature codes"):
        table(*[one] * (MAX_CODES + 1))
    large = code("*", r"\d{1900}", TRANSFER)
    with pytest.raises(InputError, match="instructions together"):
        table(*[large] * 5)


@pytest.mark.parametrize("digit", ["x", "", "a", "12", "E", "\n", "٣"])
def test_a_wrong_digit_is_refused(digit: str) -> None:
    with pytest.raises(InputError, match="is not a key"):
        press(USUAL, UNARMED, digit)


def test_a_code_that_cannot_be_is_refused_where_it_stands() -> None:
    for digits in ("", "1" * 33, "*x"):
        with pytest.raises(InputError) as caught:
            literal_code(digits, RESUME, where="$.takeback")
        assert caught.value.where == "$.takeback"
    with pytest.raises(InputError, match=r"^\$.p: in the pattern 2\(, at character 2: "):
        code("*", "2(", TRANSFER, where="$.p")
    for binding_digit in ("", "**", "x"):
        with pytest.raises(InputError, match="is not a key"):
            code(binding_digit, "2", TRANSFER)


# ------------------------------------------------------------------- what it means


def test_a_pattern_follows_the_binding_digit_as_a_whole() -> None:
    codes = table(code("*", "^1|2$", HANGUP))
    assert spelled(dial(codes, "*2")[1]) == ["!*2"]
    assert spelled(dial(codes, "2")[1]) == []


def test_the_target_is_fixed_or_the_first_capture() -> None:
    fixed = FeatureAction(module=Module.TRANSFER, target="reception")
    assert Matched(action=fixed, digits="*25", captures=("5",)).target == "reception"
    assert Matched(action=TRANSFER, digits="*25", captures=("5", "6")).target == "5"
    assert Matched(action=TRANSFER, digits="*25", captures=(None, "6")).target == "6"
    assert Matched(action=TRANSFER, digits="*2", captures=("",)).target is None
    assert Matched(action=TRANSFER, digits="*2").target is None


def test_a_takeback_is_a_resume() -> None:
    assert takeback_code("*1") == literal_code("*1", FeatureAction(module=Module.RESUME))
    assert RESUME.kind is Kind.ATTENDED


def test_the_table_may_change_between_two_keys() -> None:
    begun = press(USUAL, UNARMED, "*").collector
    later = table(literal_code("*3", HANGUP))
    assert spelled([press(later, begun, "3").outcome]) == ["!*3"]
    assert spelled([press(later, begun, "1").outcome]) == ["?*1"]
    assert spelled([digit_timeout(CodeTable(), begun).outcome]) == ["?*"]


def test_a_collector_is_known_by_its_digits() -> None:
    fed = press(USUAL, UNARMED, "*").collector
    assert fed == Collector("*")
    assert repr(fed) == "Collector(digits='*')"
    assert press(USUAL, fed, "1") == press(USUAL, Collector("*"), "1")


# ----------------------------------------------------------------- for all tables

PARTS = st.sampled_from(["1", "2", r"\d", r"\*", "#", "[12]", "2(1*)", r"(\d+)", "1?", "(?:12|1)"])
BINDINGS = st.sampled_from("**#1")
CODES = st.tuples(BINDINGS, st.lists(PARTS, min_size=1, max_size=3).map("".join))
TABLES = st.lists(CODES, max_size=4)
KEYS = st.text("12*# ", max_size=12)


def _full(binding: str, pattern: str) -> re.Pattern[str]:
    return re.compile(f"{re.escape(binding)}(?:{pattern})")


@given(TABLES, KEYS)
def test_a_match_is_what_the_first_matching_expression_says(
    written: list[tuple[str, str]], keys: str
) -> None:
    actions = [FeatureAction(module=Module.TRANSFER, target=str(n)) for n in range(len(written))]
    codes = table(*[code(*w, action) for w, action in zip(written, actions, strict=True)])
    for outcome in dial(codes, keys)[1]:
        assert outcome is not None
        found = [_full(*w).fullmatch(outcome.digits) for w in written]
        first = next((n for n, match in enumerate(found) if match), None)
        if isinstance(outcome, Unmatched):
            continue  # in a dead end, digits that would have matched are given up on purpose
        assert first is not None
        assert outcome.action == actions[first]
        match = found[first]
        assert match is not None
        assert outcome.captures == match.groups()


@given(TABLES, KEYS)
def test_every_key_is_accounted_for(written: list[tuple[str, str]], keys: str) -> None:
    """What was taken comes back in outcomes, or is still held; only idle keys and # are not."""
    codes = table(*[code(*w, TRANSFER) for w in written])
    collector = UNARMED
    held = ""
    for key in keys:
        if key == " ":
            done = digit_timeout(codes, collector)
        else:
            done = press(codes, collector, key)
            held += key if collector.armed or done.collector.armed or done.outcome else ""
        if done.outcome:
            in_vain = done.outcome.in_vain if isinstance(done.outcome, Matched) else ""
            told = in_vain + done.outcome.digits
            rest = held.removeprefix(told)
            assert held.startswith(told)
            assert rest in {done.collector.digits, "#"}
            held = done.collector.digits
        collector = done.collector
        assert held == collector.digits
        assert (done.pause is not None) == collector.armed


@given(TABLES, KEYS)
def test_the_carried_matchers_never_change_the_answer(
    written: list[tuple[str, str]], keys: str
) -> None:
    codes = table(*[code(*w, TRANSFER) for w in written])
    collector = UNARMED
    for key in keys.replace(" ", ""):
        carried = press(codes, collector, key)
        assert carried == press(codes, Collector(collector.digits), key)
        collector = carried.collector


@given(TABLES, KEYS)
def test_an_armed_collector_can_still_become_a_longer_code(
    written: list[tuple[str, str]], keys: str
) -> None:
    codes = table(*[code(*w, TRANSFER) for w in written])
    last, _ = dial(codes, keys)
    if last.collector.armed:
        assert any(run.extendable for run in last.collector.runs(codes))
