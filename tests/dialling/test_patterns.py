"""The pattern engine against Python's `re`, which answers the same question more slowly."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from hookflash.dialling.overlaps import SearchResult, compare, shortest
from hookflash.dialling.pattern_language import ALPHABET, MAX_PROGRAM, parse_pattern
from hookflash.dialling.pattern_program import size_of
from hookflash.dialling.patterns import Matcher, Pattern, compile_pattern
from hookflash.errors import InputError

FEW = "12*#"
"""Few keys make many coincidences."""

ATOMS = st.sampled_from(
    ["1", "2", "A", "#", r"\*", r"\#", ".", r"\d", "[12]", "[^1]", "[2-5A-B]", "[*#]", r"[\d#]"]
)
QUANTIFIERS = st.sampled_from(["*", "+", "?", "{2}", "{0}", "{1,}", "{0,2}", "{1,3}", "{2,3}"])


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    group = st.one_of(inner.map("({})".format), inner.map("(?:{})".format))
    lazy = st.sampled_from(["", "?"])
    repeated = st.tuples(st.one_of(ATOMS, group), QUANTIFIERS, lazy).map("".join)
    some = st.lists(st.one_of(group, repeated, ATOMS), max_size=3)
    return st.one_of(
        group,
        repeated,
        some.map("".join),
        st.lists(inner, min_size=2, max_size=3).map("|".join).map("({})".format),
    )


PATTERNS = st.recursive(ATOMS, _grow, max_leaves=6)
STRINGS = st.text(FEW, max_size=6)


def compiled(text: str) -> Pattern:
    """A generated pattern, if it is within our limits."""
    try:
        return compile_pattern(text)
    except InputError as error:
        assume("too large" not in error.what and "too many" not in error.what)
        raise


def all_strings(longest: int, keys: str = FEW) -> Iterable[str]:
    for length in range(longest + 1):
        yield from map("".join, itertools.product(keys, repeat=length))


# ---------------------------------------------------------------- against Python's re


@pytest.mark.exhaustive
@given(PATTERNS, STRINGS)
@settings(max_examples=5 * settings().max_examples)
@example("(1*)*", "1")
@example("(|1)*", "11")
@example("(|1){0,3}", "11")
@example("(1*){2,}", "1")
@example("(|1)+?", "11")
@example("(?:(1)|2)*", "12")
@example("((1)|2)*?", "12")
@example("(1|12)(2*)(.*)", "122")
@example("(?:(1*)|2)*", "1212")
@example("((1?)*|2){1,3}", "112")
def test_matches_and_captures_as_re_does(text: str, digits: str) -> None:
    matcher = compiled(text).run(digits)
    found = re.fullmatch(text, digits)
    assert matcher.matches == (found is not None)
    if found is not None:
        assert matcher.captures == found.groups()
    else:
        assert set(matcher.captures) <= {None}


@pytest.mark.exhaustive
@given(PATTERNS, st.text(FEW, max_size=3))
def test_viable_and_extendable_are_what_trying_all_strings_says(text: str, digits: str) -> None:
    matcher = compiled(text).run(digits)
    expression = re.compile(text)
    longer = [digits + tail for tail in all_strings(3) if tail]
    # beyond three keys we trust the matcher's own example, which re then confirms
    if any(map(expression.fullmatch, longer)):
        assert matcher.extendable
    if matcher.extendable:
        example_of_it = shortest(matcher.pattern, after=digits).digits
        assert example_of_it is not None
        assert len(example_of_it) > len(digits)
        assert example_of_it.startswith(digits)
        assert expression.fullmatch(example_of_it)
    assert matcher.viable == (matcher.matches or matcher.extendable)


@given(PATTERNS)
def test_a_dead_matcher_stays_dead_and_costs_nothing(text: str) -> None:
    matcher = compiled(text).run("*#1" * 20)
    if not matcher.viable:
        assert matcher.feed("1").steps == 0
        assert not matcher.feed("1").viable


@pytest.mark.parametrize("key", ALPHABET)
def test_each_atom_allows_the_keys_that_re_says(key: str) -> None:
    for text in (".", r"\d", "[2-5]", "[^1]", "[A-C]", "[*]", r"[^\d]", "#", r"\*", r"\#", "D"):
        assert compile_pattern(text).run(key).matches == bool(re.fullmatch(text, key)), text


# ----------------------------------------------------------------------- what it means


def test_the_whole_of_what_was_dialled_matches() -> None:
    pattern = compile_pattern(r"2(\d+)")
    assert not pattern.run("921").viable
    assert pattern.run("2600").captures == ("600",)
    assert not pattern.run("2").matches
    assert pattern.run("2").extendable


@pytest.mark.parametrize("text", ["^12$", "^12", "12$", "^3|12$", "^12$|^3$"])
def test_anchors_at_the_ends_change_nothing(text: str) -> None:
    assert compile_pattern(text).run("12").matches
    assert not compile_pattern(text).run("1").matches


def test_complete_only_when_nothing_longer_can_match() -> None:
    pattern = compile_pattern("1(?:23)?")
    one = pattern.run("1")
    assert (one.matches, one.extendable, one.viable) == (True, True, True)
    all_of_it = pattern.run("123")
    assert (all_of_it.matches, all_of_it.extendable, all_of_it.viable) == (True, False, True)
    dead = pattern.run("14")
    assert (dead.matches, dead.extendable, dead.viable) == (False, False, False)


def test_nothing_fed_yet_may_match_already() -> None:
    assert compile_pattern("").start().matches
    assert not compile_pattern("").start().extendable
    assert compile_pattern("(1*)").start().captures == ("",)


def test_a_matcher_is_a_value() -> None:
    start = compile_pattern(r"2(\d+)").start()
    one, other = start.feed("2"), start.feed("3")
    assert (one.viable, other.viable, start.digits) == (True, False, "")
    assert start.feed("2") == one
    assert compile_pattern("12") == compile_pattern("12") != compile_pattern("1(?:2)")


def test_a_wrong_key_is_refused() -> None:
    for wrong in ("x", "", "12", "a", "\n", "²"):
        with pytest.raises(InputError, match="is not a key"):
            compile_pattern("1").start().feed(wrong)


@given(st.text(ALPHABET, max_size=8))
def test_keys_that_come_before_mean_themselves(digits: str) -> None:
    pattern = compile_pattern("", before=digits)
    assert pattern.run(digits).matches
    assert not pattern.run(digits).extendable
    assert shortest(pattern).digits == digits
    assert compile_pattern("^(1)|2$", before=digits).run(f"{digits}1").captures == ("1",)
    assert compile_pattern("1", before=digits) != compile_pattern("1", before=f"{digits}1")
    with pytest.raises(InputError, match="is not a key"):
        compile_pattern("1", before=f"{digits}x")


# ---------------------------------------------------------------------------- bounded


@pytest.mark.parametrize(
    "text",
    [r"(\d*)*\d{1,30}5", "((1|1)*)*2", "(1?){50}1{50}", "((1*)*)*", "(?:(?:(?:1?)+)*){1,5}2"],
)
def test_steep_patterns_cost_no_more_than_their_size(text: str) -> None:
    pattern = compile_pattern(text)
    loops = text.count("*") + text.count("+") + text.count("{") + text.count("?")
    matcher = pattern.start()
    worst = matcher.steps
    for _ in range(200):
        matcher = matcher.feed("1")
        worst = max(worst, matcher.steps)
    assert worst <= pattern.size * (loops + 1)
    late = [matcher.steps, matcher.feed("1").steps]
    assert late[0] == late[1], "the two-hundredth key costs what the next one does"


@given(PATTERNS, STRINGS)
def test_a_key_costs_at_most_a_visit_for_each_loop_around(text: str, digits: str) -> None:
    pattern = compiled(text)
    deepest = text.count("(") + 1
    matcher = pattern.start()
    for digit in digits:
        matcher = matcher.feed(digit)
        assert matcher.steps <= pattern.size * (deepest + 1)
        assert len(matcher.threads) <= pattern.size


@pytest.mark.parametrize(
    "text", [r"\d{2000}", "((1{1,30}){1,30}){1,30}", "(?:(?:(?:){999}){999}){999}", "(1{50}2?){50}"]
)
def test_a_program_that_would_be_too_large_is_refused_before_it_is_made(text: str) -> None:
    with pytest.raises(InputError, match=rf"too large.*at most {MAX_PROGRAM}"):
        compile_pattern(text)


@given(PATTERNS)
def test_the_size_foretold_is_never_too_small(text: str) -> None:
    foretold = size_of(parse_pattern(text, "")[0])
    assert compiled(text).size <= foretold + 1


# ----------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        (r"2(\d+", 2, "nothing closes this group"),
        (r"2\d+)", 5, "closes nothing"),
        ("12x", 3, "not a key"),
        ("1a", 2, "not a key"),
        ("*1", 1, "nothing to repeat"),
        ("1(+2)", 3, "nothing to repeat"),
        ("1**", 3, "repeats a repetition"),
        ("1{2}{3}", 5, "repeats a repetition"),
        ("1*??", 4, "repeats a repetition"),
        ("1{3", 2, "can't be read"),
        ("1{,3}", 2, "can't be read"),
        ("1{a}", 2, "can't be read"),
        ("1{5,3}", 2, "upside down"),
        ("1{99999}", 3, "too large"),
        (r"1\w", 2, "escape"),
        (r"(1)\1", 4, "escape"),
        ("1\\", 2, "escape"),
        ("(?=1)", 1, "kind of group"),
        ("(?P<a>1)", 1, "kind of group"),
        ("1^2", 2, "in the middle"),
        ("1$2", 2, "in the middle"),
        ("(1$)", 3, "in the middle"),
        ("^*", 2, "nothing to repeat"),
        ("1[23", 2, "nothing closes this class"),
        ("1[]", 2, "no key at all"),
        ("1[^]", 2, "no key at all"),
        ("[^0-9A-D*#]", 1, "no key at all"),
        ("[5-2]", 2, "range"),
        ("[0-D]", 2, "range"),
        ("[*-9]", 2, "range"),
        (r"[\d-9]", 2, "range"),
        ("[2-", 2, "range"),
        ("[+]", 2, "not a key"),
        ("1 2", 2, "not a key"),
        ("1\n", 2, "not a key"),
        ("1²", 2, "not a key"),
        ("()" * 17, 33, "too many groups"),
        ("(?:" * 17 + ")" * 17, 49, "nested too deep"),
    ],
)
def test_a_pattern_that_cannot_be_read_says_where_and_what_is_allowed(
    text: str, position: int, words: str
) -> None:
    with pytest.raises(InputError) as caught:
        compile_pattern(text, where="$.patterns")
    assert f"at character {position}:" in caught.value.what
    assert words in caught.value.what
    assert caught.value.hint
    assert caught.value.where == "$.patterns"


def test_a_pattern_of_endless_text_is_refused() -> None:
    with pytest.raises(InputError, match="at most 2000"):
        compile_pattern("1" * 2001)


@given(st.text("12()[]{}|*+?.^$-,\\d#A:", max_size=12))
def test_any_text_is_a_pattern_or_an_input_error(text: str) -> None:
    try:
        pattern = compile_pattern(text)
    except InputError:
        pass
    else:
        assert pattern.start().viable
        assert shortest(pattern).digits is not None


# ---------------------------------------------------------------------------- searches


def _language(text: str, longest: int = 4) -> set[str]:
    return {digits for digits in all_strings(longest) if re.fullmatch(text, digits)}


def _beginnings(digits: str) -> set[str]:
    return {digits[:length] for length in range(len(digits))}


@pytest.mark.exhaustive
@given(PATTERNS, PATTERNS)
def test_compare_tells_what_the_languages_tell(one: str, other: str) -> None:
    first, second = compiled(one), compiled(other)
    comparison = compare(first, second)
    assume(comparison.complete)
    ones, others = _language(one), _language(other)
    if comparison.both is None:
        assert not ones & others
    else:
        assert first.run(comparison.both).matches
        assert second.run(comparison.both).matches
    begins = {short for short in ones for long in others if short in _beginnings(long)}
    own = {short for short in begins if first.run(short).extendable}
    assert comparison.first_waits is not None or begins == own
    if comparison.first_waits is not None:
        assert re.fullmatch(one, comparison.first_waits)
        assert shortest(first, after=comparison.first_waits).digits is None
        longer = shortest(second, after=comparison.first_waits).digits
        assert longer is not None
        assert re.fullmatch(other, longer)
    if comparison.covered:
        assert others <= ones
    turned = compare(second, first)
    assert turned.first_waits == comparison.second_waits
    if comparison.covered and turned.covered:
        assert ones == others


@pytest.mark.parametrize(
    ("one", "other", "covered"),
    [
        (r"\d+", "1", True),
        ("1", r"\d+", False),
        ("1|2", "[12]", True),
        ("1", "1", True),
        ("1", "2", False),
        ("(?:1*)*", "1{3,}|", True),
        ("11", "1|11", False),
    ],
)
def test_covered_means_that_the_second_has_nothing_of_its_own(
    *, one: str, other: str, covered: bool
) -> None:
    assert compare(compile_pattern(one), compile_pattern(other)).covered is covered


def test_a_search_gives_up_in_bounded_time_and_says_so() -> None:
    # the product of two counters has as many situations as the product of their lengths
    one, other = compile_pattern(r"(?:\d{41})*"), compile_pattern(r"(?:\d{43})+")
    given_up = compare(one, other, steps=500)
    assert not given_up.complete
    assert not given_up.covered
    assert given_up.steps == 500
    searched = shortest(other, lambda matcher: bool(matcher.captures), steps=50)
    assert searched == SearchResult(digits=None, complete=False, steps=50)


def test_shortest_may_ask_for_captures() -> None:
    def first_is_empty(matcher: Matcher) -> bool:
        return not matcher.captures[0]

    assert shortest(compile_pattern(r"2(\d*)"), first_is_empty).digits == "2"
    never = shortest(compile_pattern(r"2(\d+)"), first_is_empty)
    assert (never.digits, never.complete) == (None, True)
    assert shortest(compile_pattern(r"2(?:(\d)|#)"), first_is_empty).digits == "2#"
    # the group may be empty in its last round, though it held something before
    assert shortest(compile_pattern(r"2(?:1(\d?)){2}"), first_is_empty).digits == "211"
    # by priority the greedy group takes the digit, so it is never empty
    assert shortest(compile_pattern(r"2(\d?)\d?[12]"), first_is_empty).digits == "21"
    assert shortest(compile_pattern(r"(1|)1|(1)11"), first_is_empty).digits == "1"
    # after 2 and after 12 the threads wait alike, but the group holds something else
    again = shortest(compile_pattern("(?:(1?)2)+3"), lambda matcher: bool(matcher.captures[0]))
    assert again.digits == "123"


@given(PATTERNS.filter(lambda text: "(" in text.replace("(?:", "")))
def test_an_empty_capture_is_found_if_there_is_one(text: str) -> None:
    pattern = compiled(text)
    found = shortest(pattern, lambda matcher: not matcher.captures[0]).digits
    matches = [re.fullmatch(text, digits) for digits in all_strings(4)]
    empty = [match for match in matches if match and not match[1]]
    if found is None:
        assert not empty
    else:
        match = re.fullmatch(text, found)
        assert match is not None
        assert not match[1]
