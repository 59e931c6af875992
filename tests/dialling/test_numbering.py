"""A numbering: which numbers are complete, and what that changes."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hookflash.dialling.digits import (
    UNARMED,
    Code,
    CodeTable,
    Collector,
    FeatureAction,
    Matched,
    Module,
    Outcome,
    Pause,
    code,
    digit_timeout,
    literal_code,
    press,
)
from hookflash.dialling.metaflows import parse_metaflows
from hookflash.dialling.numbering import (
    MAX_NUMBERING_PROGRAM,
    MAX_NUMBERS,
    NO_NUMBERING,
    Entry,
    Numbering,
    parse_numbering,
)
from hookflash.dialling.overlaps import digits_before_number
from hookflash.dialling.patterns import compile_pattern
from hookflash.dialling.timing import explain_timing
from hookflash.errors import InputError

TRANSFER = FeatureAction(module=Module.TRANSFER)
RESUME = FeatureAction(module=Module.RESUME)
USUAL = (literal_code("*1", RESUME), code("*", r"2(\d+)", TRANSFER))


def usual(*entries: Entry) -> CodeTable:
    return CodeTable(codes=USUAL, numbering=parse_numbering(entries))


def dial(table: CodeTable, keys: str) -> tuple[Outcome, Collector, Pause | None]:
    """Press keys until the first outcome."""
    pressed = press(table, UNARMED, keys[0])
    for key in keys[1:]:
        assert pressed.outcome is None, "it acted before"
        pressed = press(table, pressed.collector, key)
    return pressed.outcome, pressed.collector, pressed.pause


# ------------------------------------------------------------------- what it changes


@pytest.mark.parametrize("entries", [("2600",), (r"2\d{3}",), (4,), ("2600", "2601", "110")])
def test_a_complete_number_acts_with_its_last_key(entries: tuple[Entry, ...]) -> None:
    outcome, collector, pause = dial(usual(*entries), "*22600")
    assert outcome == Matched(action=TRANSFER, digits="*22600", captures=("2600",))
    assert (collector, pause) == (UNARMED, None)


def test_a_number_that_is_also_the_beginning_of_a_longer_one_waits() -> None:
    table = usual("2600", "26001", "260")
    for number in ("260", "2600"):
        outcome, collector, pause = dial(table, f"*2{number}")
        assert outcome is None
        assert pause is Pause.COMPLETE
        over = digit_timeout(table, collector).outcome
        assert isinstance(over, Matched)
        assert over.target == number
    assert isinstance(dial(table, "*226001")[0], Matched)


def test_a_number_that_is_only_the_beginning_of_one_waits_longer() -> None:
    table = usual("2600")
    assert dial(table, "*226")[2] is Pause.INCOMPLETE
    assert dial(table, "*2")[2] is Pause.INCOMPLETE
    assert dial(table, "*227")[2] is Pause.COMPLETE, "the numbering does not know it"
    assert dial(usual(), "*226")[2] is Pause.COMPLETE


def test_numbers_that_the_numbering_does_not_know_are_dialled_as_ever() -> None:
    table = usual(r"[1-9]\d{3}")
    outcome, collector, _ = dial(table, "*20301234567")
    assert outcome is None
    assert dial(table, "*20301234567#")[0] == digit_timeout(table, collector).outcome


def test_another_code_that_could_be_meant_is_waited_for() -> None:
    longer = literal_code("*226005", RESUME)
    table = CodeTable(codes=(longer, *USUAL), numbering=parse_numbering([4]))
    assert dial(table, "*22600")[0] is None
    assert dial(table, "*226005#")[0] == Matched(action=RESUME, digits="*226005")
    assert isinstance(dial(table, "*22601")[0], Matched)


def test_a_second_number_code_only_waits_for_numbers_that_there_are() -> None:
    both = (code("*", r"2(\d+)", TRANSFER), code("*", r"22(\d+)", TRANSFER))
    assert isinstance(
        dial(CodeTable(codes=both, numbering=parse_numbering(["2600"])), "*22600")[0], Matched
    )
    two = CodeTable(codes=both, numbering=parse_numbering(["2600", "6001"]))
    assert dial(two, "*22600")[0] is None


def test_a_fixed_target_is_no_number() -> None:
    fixed = FeatureAction(module=Module.TRANSFER, target="reception")
    table = CodeTable(codes=(code("*", r"9(\d*)", fixed),), numbering=parse_numbering([1, 2]))
    assert dial(table, "*9")[0] is None
    assert dial(table, "*91")[0] is None


def test_during_a_transfer_the_numbering_counts_too() -> None:
    from hookflash.engine.legs import Account  # noqa: PLC0415 - the only use of the engine here

    metaflows = parse_metaflows({"numbering": [4], "patterns": {r"2(\d+)": {"module": "transfer"}}})
    table = Account(metaflows=metaflows).codes_in_transfer()
    assert isinstance(dial(table, "*22600")[0], Matched)


# ------------------------------------------------------------------- for all tables

PARTS = st.sampled_from(
    [
        "1",
        "2",
        r"\d",
        r"\*",
        "#",
        r"(\d+)",
        r"(\d*)",
        r"(1\d?)",
        "1?",
        r"(?:1(\d+)|2(\d+))",
        r"((\d)2*)",
        r"(?:(\d+)\*)+",
        r"(\d{2})\d*",
        r"(?:(2\d+))?",
        r"(\d)(\d+)",
    ]
)
PATTERNS = st.lists(PARTS, min_size=1, max_size=3).map("".join)
ACTIONS = st.sampled_from(
    [TRANSFER, TRANSFER, TRANSFER, RESUME, FeatureAction(module=Module.TRANSFER, target="7")]
)
TABLES = st.lists(st.tuples(PATTERNS, ACTIONS), min_size=1, max_size=3).map(
    lambda written: tuple(code("*", pattern, action) for pattern, action in written)
)
NUMBERINGS = st.lists(
    st.one_of(
        st.text("12", min_size=1, max_size=4),
        st.integers(1, 4),
        st.sampled_from([r"1\d+", "2?1", "12*"]),
    ),
    min_size=1,
    max_size=4,
).map(parse_numbering)
SHORT = ["*" + "".join(keys) for n in range(6) for keys in itertools.product("12", repeat=n)]
"""All that can be dialled with two keys, up to five of them."""
KEYS = st.text("12*#", min_size=1, max_size=9)


def _first(table: CodeTable, keys: str) -> tuple[int, Outcome]:
    """After how many keys the first collection ends, and how; a pause follows the last key."""
    collector = UNARMED
    for count, key in enumerate(keys, start=1):
        pressed = press(table, collector, key)
        if pressed.outcome is not None:
            return count, pressed.outcome
        collector = pressed.collector
    return len(keys) + 1, digit_timeout(table, collector).outcome


@given(TABLES, NUMBERINGS, KEYS)
@example((code("*", r"2(\d+)", TRANSFER),), parse_numbering([2]), "*212")
@example((code("*", r"(?:(\d+)\*)+", TRANSFER),), parse_numbering(["1"]), "*1*12*")
def test_a_numbering_ends_a_code_earlier_and_never_otherwise(
    codes: tuple[Code, ...], numbering: Numbering, keys: str
) -> None:
    """The outcome is what a pause at the same key leads to without the numbering."""
    without = CodeTable(codes=codes)
    earlier, outcome = _first(_numbered(without, numbering), keys)
    ended, expected = _first(without, keys)
    assert earlier <= ended
    if earlier < ended:
        assert isinstance(outcome, Matched)
        assert outcome.number is not None
        assert numbering.has(outcome.number)
        assert _first(without, keys[:earlier])[1] == outcome
    else:
        assert outcome == expected


@pytest.mark.slow
@given(TABLES, NUMBERINGS)
@example((code("*", r"2(\d{2})\d*", TRANSFER),), parse_numbering([2]))
def test_a_numbering_cuts_no_number_of_its_own_short_and_no_other_code(
    codes: tuple[Code, ...], numbering: Numbering
) -> None:
    without = CodeTable(codes=codes)
    with_it = _numbered(without, numbering)
    for keys in SHORT:
        expected = _first(without, keys)[1]
        if isinstance(expected, Matched) and expected.digits == keys:
            number = expected.number
            if number is None or numbering.has(number):
                assert _first(with_it, keys)[1] == expected


def _numbered(table: CodeTable, numbering: Numbering) -> CodeTable:
    return CodeTable(codes=table.codes, numbering=numbering)


@given(NUMBERINGS, st.text("12", max_size=6))
def test_a_numbering_is_what_its_expressions_say(numbering: Numbering, digits: str) -> None:
    def expression(entry: Entry) -> str:
        return entry if isinstance(entry, str) else rf"\d{{{entry}}}"

    matches = [re.fullmatch(expression(one), digits) for one in numbering.entries]
    assert numbering.has(digits) == any(matches)
    longer = [digits + more for more in ("1", "2", "11", "12", "21", "22", "111", "1111", "2222")]
    if any(numbering.has(one) for one in longer):
        assert numbering.continues(digits)


@given(
    st.lists(st.text("12", min_size=1, max_size=4), min_size=1, max_size=6),
    st.text("12", max_size=5),
)
def test_a_list_of_numbers_continues_exactly_with_its_longer_numbers(
    numbers: list[str], digits: str
) -> None:
    numbering = parse_numbering(numbers)
    longer = [one for one in numbers if one.startswith(digits) and one != digits]
    assert numbering.continues(digits) == bool(longer)


# --------------------------------------------------------------------------- reading


@pytest.mark.parametrize(
    ("written", "where", "words"),
    [
        ("2600", "numbering", "is not a list"),
        ({"2600": 1}, "numbering", "is not a list"),
        ([0], "numbering[0]", "0 is not a length"),
        ([4, 2600], "numbering[1]", "2600 is not a length"),
        ([True], "numbering[0]", "True is no entry"),
        ([""], "numbering[0]", "is no entry"),
        ([None], "numbering[0]", "None is no entry"),
        (["26(0"], "numbering[0]", "nothing closes this group"),
        (["2" * 31], "numbering[0]", "31 keys"),
        (["26x0"], "numbering[0]", "'x' is not a key"),
        ([r"\d{3}(?:1{200})"] * 3, "numbering", "instructions together"),
        (["1"] * (MAX_NUMBERS + 1), "numbering", "5001 entries"),
    ],
)
def test_a_fault_of_a_numbering_has_a_place(written: object, where: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_numbering(written)
    assert caught.value.where == where
    assert words in caught.value.what
    assert caught.value.hint


def test_a_numbering_is_bounded() -> None:
    assert parse_numbering([r"2\d{3}"] * (MAX_NUMBERING_PROGRAM // 5)).patterns
    assert len(parse_numbering([f"{n:04}" for n in range(MAX_NUMBERS)]).numbers) == MAX_NUMBERS
    assert not NO_NUMBERING
    assert not parse_numbering([]).continues("")


def test_a_documents_own_numbering_takes_precedence() -> None:
    ours = parse_numbering(["1001"])
    assert parse_metaflows({}, numbering=ours).numbering == ours
    own = parse_metaflows({"numbering": [4]}, numbering=ours)
    assert own.numbering.entries == (4,)
    assert parse_metaflows({"numbering": []}, numbering=ours).numbering == NO_NUMBERING
    assert parse_metaflows(own.to_document()) == own


def test_kazoos_one_timeout_counts_after_each_key() -> None:
    kazoos = parse_metaflows({"digit_timeout": 800})
    assert [kazoos.pause_s(pause) for pause in Pause] == [0.8, 0.8]
    both = parse_metaflows({"digit_timeout": 800, "incomplete_timeout": 4000})
    assert both.pause_s(Pause.INCOMPLETE) == 4.0
    assert both.pause_s(Pause.COMPLETE) == 0.8
    assert [parse_metaflows({}).pause_s(pause) for pause in Pause] == [5.0, 3.0]


# ------------------------------------------------------------------------- explaining


def test_each_code_says_when_it_acts() -> None:
    document = {
        "numbering": [r"[1-9]\d{3}", "1001"],
        "numbers": {"1": {"module": "resume"}, "5": {"module": "hangup"}, "55": {"module": "hold"}},
        "patterns": {
            r"2(\d+)": {"module": "transfer"},
            r"3(\d{4})": {"module": "transfer"},
            r"4\d+": {"module": "transfer", "data": {"target": "2600"}},
            r"6(\d*)": {"module": "transfer"},
            "7": {"module": "transfer"},
        },
    }
    said = {one.spelled: one.sentence for one in explain_timing(parse_metaflows(document))}
    pause = "after 3 s without a key, or with #"
    assert said == {
        "*1": "acts at once",
        "*5": f"acts {pause}",
        "*55": "acts at once",
        r"*2(\d+)": f"acts at once if the number is complete, such as *21000; else {pause}",
        r"*3(\d{4})": "acts at once",
        r"*4\d+": f"acts {pause}",
        r"*6(\d*)": "acts at once if the number is complete, such as *61000; "
        f"else {pause}; *6 alone asks for the number",
        "*7": "asks for the number at once",
    }


def test_a_numbering_without_a_certain_number_says_so() -> None:
    document = {"numbering": [r"\d+"], "patterns": {r"2(\d+)": {"module": "transfer"}}}
    (said,) = explain_timing(parse_metaflows(document), "acme")
    assert str(said).endswith("since no number of the numbering is certain to be complete")
    assert said.where == "acme"


@pytest.mark.parametrize(
    ("pattern", "digits"),
    [
        (r"2(\d+)", "2"),
        (r"\d\*(1)", "0*"),
        (r"(?:(1)|22)", ""),
        (r"(?:(\d)\*)+", None),
        ("12", None),
    ],
)
def test_the_digits_before_a_number(pattern: str, digits: str | None) -> None:
    assert digits_before_number(compile_pattern(pattern)) == digits
