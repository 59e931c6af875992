"""Metaflows: what can be written, what is refused and how, and what is unwise."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from hookflash.dialling import advice as advice_module
from hookflash.dialling.advice import Advice, lint_metaflows
from hookflash.dialling.digits import UNARMED, FeatureAction, Matched, Module, digit_timeout, press
from hookflash.dialling.metaflows import (
    DEFAULT_METAFLOWS,
    MAX_FAULTS,
    SCHEMA,
    ListenOn,
    Metaflows,
    metaflows_faults,
    parse_metaflows,
)
from hookflash.dialling.pattern_language import ALPHABET
from hookflash.document import load_schema
from hookflash.errors import InputError
from hookflash.events import Kind, TransferOptions
from hookflash.sounds import ASKED_SOUND_PATTERN, Music, Recording, parse_asked_sound, parse_sound

EXAMPLE = r"""
{
    "binding_digit": "*",
    "digit_timeout": 1500,
    "incomplete_timeout": 4000,
    "listen_on": "self",
    "numbering": ["2600", "3\\d{3}", 5],
    "numbers": {"1": {"module": "resume"}, "0": {"module": "hangup", "data": {}},
                "3": {"module": "hold", "data": {"moh": "music:default"}}},
    "patterns": {
        "2(\\d+)": {"module": "transfer", "data": {"takeback_dtmf": "*9",
            "moh": "file:/var/sounds/a.wav",
            "ringback": "tone:440+480/2000,0/4000",
            "transfer_type": "blind", "timeout": 20.5}},
        "4": {"module": "transfer", "data": {"target": "reception", "timeout": 20}}
    }
}
"""


def in_transfer(**data: object) -> dict[str, object]:
    return {"patterns": {r"2(\d+)": {"module": "transfer", "data": data}}}


def where_and_what(document: object) -> list[tuple[str, str]]:
    return [(fault.where, fault.what) for fault in metaflows_faults(document)]


# ----------------------------------------------------------------------- reading


def test_a_document_is_read_into_actions() -> None:
    metaflows = parse_metaflows(json.loads(EXAMPLE))
    assert metaflows.digit_timeout_s == 1.5
    assert metaflows.listen_on is ListenOn.SELF
    assert dict(metaflows.numbers) == {
        "1": FeatureAction(module=Module.RESUME),
        "0": FeatureAction(module=Module.HANGUP),
        "3": FeatureAction(
            module=Module.HOLD, kind=Kind.HOLD, options=TransferOptions(music=Music())
        ),
    }
    assert dict(metaflows.patterns) == {
        r"2(\d+)": FeatureAction(
            module=Module.TRANSFER,
            kind=Kind.BLIND,
            options=TransferOptions(
                takeback_digits="*9",
                music=Recording("/var/sounds/a.wav"),
                ringback=parse_sound("tone:440+480/2000,0/4000"),
                ring_timeout_s=20.5,
            ),
        ),
        "4": FeatureAction(
            module=Module.TRANSFER,
            target="reception",
            options=TransferOptions(takeback_digits="*1", ring_timeout_s=20.0),
        ),
    }


def test_what_is_not_written_has_defaults() -> None:
    metaflows = parse_metaflows({})
    assert metaflows == Metaflows()
    assert metaflows.binding_digit == "*"
    assert metaflows.digit_timeout_s == 3.0
    assert metaflows.listen_on is ListenOn.BOTH
    assert metaflows.table.codes == ()


def test_the_default_transfers_and_takes_back() -> None:
    metaflows = DEFAULT_METAFLOWS
    collector = UNARMED
    for digit in "*22600":
        collector = press(metaflows.table, collector, digit).collector
    outcome = digit_timeout(metaflows.table, collector).outcome
    assert isinstance(outcome, Matched)
    assert (outcome.target, outcome.action.options.takeback_digits) == ("2600", "*1")
    armed = press(metaflows.table, UNARMED, "*").collector
    resumed = press(metaflows.table, armed, "1").outcome
    assert isinstance(resumed, Matched)
    assert resumed.action.module is Module.RESUME
    assert lint_metaflows(metaflows) == ()


def test_numbers_come_before_patterns() -> None:
    metaflows = parse_metaflows(
        {"patterns": {"2[1]": {"module": "hangup"}}, "numbers": {"21": {"module": "hold"}}}
    )
    assert [code.action.module for code in metaflows.table.codes] == [Module.HOLD, Module.HANGUP]


# -------------------------------------------------------------------- there and back

KEYS = st.text(ALPHABET, min_size=1, max_size=5)
SOUNDS = st.sampled_from(
    ["%(2000,4000,440,480)", "local_stream://moh", "a/b.wav", "music:jazz", "tone:425/200,0/400*3"]
)
TRANSFERS = st.fixed_dictionaries(
    {},
    optional={
        "target": st.one_of(
            st.text("0123456789*#", min_size=1, max_size=5),
            st.sampled_from(["reception", "b-1", "+49 30 12345", "tel:+49-30-1", "sip:2600"]),
        ),
        "transfer_type": st.sampled_from(["attended", "blind"]),
        "takeback_dtmf": KEYS,
        "moh": SOUNDS,
        "ringback": SOUNDS,
        "timeout": st.one_of(st.integers(1, 600), st.floats(1, 600)),
    },
)
HOLDS = st.fixed_dictionaries({}, optional={"takeback_dtmf": KEYS, "moh": SOUNDS})
EMPTY = st.just(dict[str, object]())


def _entries(name: str, data: st.SearchStrategy[Mapping[str, object]]) -> st.SearchStrategy[object]:
    return st.fixed_dictionaries({"module": st.just(name)}, optional={"data": data})


ACTIONS = st.one_of(
    _entries("transfer", TRANSFERS),
    _entries("hold", HOLDS),
    _entries("resume", EMPTY),
    _entries("hangup", EMPTY),
)
PATTERNS = st.sampled_from([r"2(\d+)", "3", r"4(\d{3,5})", "[56]", r"7\*(.)", "^8$"])
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "binding_digit": st.sampled_from(ALPHABET),
        "digit_timeout": st.integers(100, 60_000),
        "incomplete_timeout": st.integers(100, 60_000),
        "listen_on": st.sampled_from(["both", "self", "peer"]),
        "numbering": st.lists(st.one_of(st.integers(1, 30), PATTERNS), max_size=3),
        "numbers": st.dictionaries(KEYS, ACTIONS, max_size=3),
        "patterns": st.dictionaries(PATTERNS, ACTIONS, max_size=3),
    },
)


@given(DOCUMENTS)
def test_there_and_back(document: object) -> None:
    metaflows = parse_metaflows(document)
    written = json.loads(json.dumps(metaflows.to_document()))
    again = parse_metaflows(written)
    assert again == metaflows
    assert again.table == metaflows.table
    assert again.to_document() == written
    lint_metaflows(metaflows)


def test_a_whole_document_comes_back_as_it_was() -> None:
    document = json.loads(EXAMPLE)
    written = parse_metaflows(document).to_document()
    del document["numbers"]["0"]["data"]
    document["patterns"]["4"]["data"] |= {"transfer_type": "attended", "takeback_dtmf": "*1"}
    assert written == document


# ------------------------------------------------------------------------- faults


def test_the_schema_is_one_and_describes_all_that_it_allows() -> None:
    Draft202012Validator.check_schema(SCHEMA)

    def silent(schema: dict[str, object], path: str) -> list[str]:
        found: list[str] = []
        for key, value in schema.items():
            if key in {"properties", "$defs"}:
                children = cast("dict[str, dict[str, object]]", value)
                for name, child in children.items():
                    if "description" not in child and "$ref" not in child:
                        found.append(f"{path}.{name}")
                    found += silent(child, f"{path}.{name}")
        return found

    assert silent(dict(SCHEMA), "$") == []


@pytest.mark.parametrize(
    ("document", "where", "words", "hint"),
    [
        ([], "$", "a list is not an object", "feature codes"),
        (None, "$", "null is not an object", "feature codes"),
        ("x", "$", '"x" is not an object', "feature codes"),
        ({"binding_key": "*"}, "$.binding_key", "not known", "did you mean binding_digit?"),
        ({"zzz": 1}, "$.zzz", "not known", "binding_digit, digit_timeout, incomplete_timeout"),
        ({"a b": 1}, '$."a b"', "not known", "allowed are"),
        ({"binding_digit": "**"}, "$.binding_digit", '"**"', "one key"),
        ({"binding_digit": "*\n"}, "$.binding_digit", "not allowed", "one key"),
        ({"binding_digit": {}}, "$.binding_digit", "an object is not a text", "one key"),
        ({"binding_digit": 1}, "$.binding_digit", "1 is not a text", "one key"),
        ({"digit_timeout": "2s"}, "$.digit_timeout", '"2s" is not a whole', "milliseconds"),
        ({"digit_timeout": 2}, "$.digit_timeout", "2 is too small", "100 to 60000"),
        ({"digit_timeout": 90_000}, "$.digit_timeout", "too large", "milliseconds"),
        ({"digit_timeout": True}, "$.digit_timeout", "true is not a whole", "milliseconds"),
        ({"digit_timeout": math.nan}, "$.digit_timeout", "nan is not a number", "finite"),
        ({"listen_on": "me"}, "$.listen_on", '"me"', "self"),
        ({"numbers": []}, "$.numbers", "a list is not an object", "fixed digits"),
        ({"numbers": {"1x": {"module": "hold"}}}, '$.numbers."1x"', "not allowed", "1 to 31 keys"),
        ({"numbers": {"": {"module": "hold"}}}, '$.numbers.""', "not allowed", "1 to 31 keys"),
        ({"numbers": {"1\n": {"module": "hold"}}}, r'$.numbers."1\n"', "not allowed", "1 to 31"),
        ({"numbers": {1: {"module": "hold"}}}, '$.numbers."1"', "not a text", "quotes"),
        ({"numbers": {"1": {}}}, '$.numbers."1"', 'no "module"', "transfer, resume, hangup, hold"),
        ({"numbers": {"1": 7}}, '$.numbers."1"', "7 is not an object", "module"),
        ({"numbers": {"1": {"module": "barge"}}}, '$.numbers."1".module', '"barge"', "transfer"),
        (
            {"numbers": {"1": {"module": "resume", "data": {"moh": "x"}}}},
            '$.numbers."1".data.moh',
            "not known",
            "nothing is allowed here",
        ),
        (
            {"numbers": {"1": {"module": "hold", "data": {"ringback": "x"}}}},
            '$.numbers."1".data.ringback',
            "not known",
            "allowed are takeback_dtmf, moh",
        ),
        (
            {"numbers": {"1": {"module": "hold", "data": 5}}},
            '$.numbers."1".data',
            "5 is not an object",
            "an object",
        ),
        (
            {"patterns": {"2(": {"module": "hold"}}},
            '$.patterns."2("',
            "in the pattern 2(, at character 2: nothing closes this group",
            "put a )",
        ),
        (
            {"patterns": {r"\d{1990}": {"module": "hold"}, r"\d{19}x": {"module": "hold"}}},
            r'$.patterns."\\d{19}x"',
            "at character 7",
            "allowed are",
        ),
        (
            {"patterns": {rf"\d{{1990}}{n}": {"module": "hold"} for n in range(5)}},
            "$",
            "instructions together",
            "at most 8000",
        ),
        (
            {
                "numbers": {f"{n:02}": {"module": "hold"} for n in range(40)},
                "patterns": {f"{n:02}1": {"module": "hold"} for n in range(40)},
            },
            "$",
            "80 feature codes",
            "at most 64",
        ),
        (
            {"numbers": {f"{n:02}": {"module": "hold"} for n in range(65)}},
            "$.numbers",
            "65 keys",
            "at most 64",
        ),
        (in_transfer(timeout="20"), r'$.patterns."2(\\d+)".data.timeout', '"20"', "seconds"),
        (in_transfer(timeout=0), r'$.patterns."2(\\d+)".data.timeout', "too small", "1 to 600"),
        (in_transfer(timeout=20_000), r'$.patterns."2(\\d+)".data.timeout', "too large", "seconds"),
        (in_transfer(timeout=math.inf), r'$.patterns."2(\\d+)".data.timeout', "inf", "finite"),
        (
            in_transfer(**{"Transfer-Type": "blind"}),
            r'$.patterns."2(\\d+)".data."Transfer-Type"',
            "not known",
            "did you mean transfer_type?",
        ),
        (
            in_transfer(transfer_type="hold"),
            r'$.patterns."2(\\d+)".data.transfer_type',
            "not allowed",
            "attended",
        ),
        (
            in_transfer(takeback_dtmf="*12345678"),
            r'$.patterns."2(\\d+)".data.takeback_dtmf',
            "not allowed",
            "1 to 8 keys",
        ),
        (
            in_transfer(moh="x" * 300),
            r'$.patterns."2(\\d+)".data.moh',
            "…",
            "1 to 200 letters",
        ),
    ],
)
def test_a_fault_says_where_it_is_and_what_is_allowed(
    document: object, where: str, words: str, hint: str
) -> None:
    with pytest.raises(InputError) as caught:
        parse_metaflows(document)
    assert caught.value.where == where
    assert words in caught.value.what
    assert hint in caught.value.hint


def test_all_faults_are_told_at_once_but_not_without_end() -> None:
    document = {
        "digit_timeout": 1,
        "bindingdigit": "#",
        "numbers": {"1": {}, "x": {"module": "hold"}},
    }
    assert {where for where, _ in where_and_what(document)} == {
        "$.digit_timeout",
        "$.bindingdigit",
        '$.numbers."1"',
        '$.numbers."x"'.replace('"', ""),
    }
    many = {"numbers": {f"{n}": {"a": 1, "b": 2, "c": 3} for n in range(64)}}
    assert len(metaflows_faults(many)) == MAX_FAULTS
    many = {"patterns": {"(" * n: {"module": "hold"} for n in range(1, 60)}}
    assert len(metaflows_faults(many)) == 59


def test_the_documents_own_place_comes_first() -> None:
    with pytest.raises(InputError, match=r"^accounts\.json:\$\.listen_on: "):
        parse_metaflows({"listen_on": ""}, "accounts.json:$")


BAD_SOUNDS = [
    "",
    "a b",
    "a\nb",
    "a\n",
    "a\x00",
    "${system(reboot)}",
    "$${hold_music}",
    "{a=b}x",
    "a'b",
    'a"b',
    "a`b",
    "a\\b",
    "a|b",
    "a&b",
    "a!b",
    "a^^b",
    "[a]",
    "<a>",
    "hangup::USER_BUSY",
    "system::reboot",
    "http://x::y",
    "local_stream://a\n",
    "shell_stream://reboot",
    "tts://flite",
    "say://1",
    "http:",
    "http://",
    "https://example.org:8443/a/b%20c.wav?x=1",
    "../secret",
    "tone:",
    "tone:440",
    "tone:440/0",
    "tone:" + "440/1," * 16 + "440/1",
    "music:",
    "music:a b",
    "other:a",
    "x" * 201,
    "ü",
]
GOOD_SOUNDS = [
    "%(2000,4000,440,480)",
    "v=-7;%(100,0,350,440);loops=-1",
    "tone_stream://%(2000,4000,440,480);loops=-1",
    "silence_stream://-1",
    "local_stream://moh/8000",
    "/var/sounds/music_on-hold.wav",
    "music:jazz",
    "tone:440+480/2000,0/4000",
    "file:ivr/one-moment",
    "0123456789abcdef0123456789abcdef",
    "x" * 200,
]


@pytest.mark.parametrize("key", ["moh", "ringback"])
@pytest.mark.parametrize("sound", BAD_SOUNDS)
def test_sounds_that_a_switch_might_obey_are_refused(key: str, sound: str) -> None:
    with pytest.raises(InputError):
        parse_metaflows(in_transfer(**{key: sound}))


@pytest.mark.parametrize("sound", GOOD_SOUNDS)
def test_sounds_that_people_use_are_allowed(sound: str) -> None:
    (entry,) = parse_metaflows(in_transfer(moh=sound, ringback=sound)).patterns
    assert (entry[1].options.music, entry[1].options.ringback) == (
        parse_asked_sound(sound),
        parse_asked_sound(sound),
    )


def test_the_schema_and_the_code_agree_what_a_sound_is() -> None:
    assert (
        load_schema("dialling/metaflows.schema.json")["$defs"]["sound"]["pattern"]
        == ASKED_SOUND_PATTERN
    )


def test_a_tone_that_is_too_long_for_the_schema_is_told_with_its_place() -> None:
    burst = "%(1,1,440)"
    with pytest.raises(InputError, match="18 bursts is not allowed") as caught:
        parse_metaflows(in_transfer(ringback=burst * 9))
    assert caught.value.where == r'$.patterns."2(\\d+)".data.ringback'


def test_a_sound_is_written_in_our_notation() -> None:
    document = parse_metaflows(in_transfer(moh="local_stream://moh", ringback="%(1,2,3)"))
    (entry,) = cast("dict[str, Any]", document.to_document()["patterns"]).values()
    assert (entry["data"]["moh"], entry["data"]["ringback"]) == ("music:default", "tone:3/1,0/2")


@pytest.mark.parametrize("target", ["", "a b", "1\n", "1\n2", "x" * 65, "${a}", "a,b", "a/b", "ü"])
def test_targets_that_a_switch_might_obey_are_refused(target: str) -> None:
    with pytest.raises(InputError, match="the number to transfer to"):
        parse_metaflows(in_transfer(target=target))


@pytest.mark.parametrize("digits", ["", "*1\n", "1x", " *1", "*١", "123456789"])
def test_takebacks_are_keys(digits: str) -> None:
    with pytest.raises(InputError, match="1 to 8 keys"):
        parse_metaflows(in_transfer(takeback_dtmf=digits))


ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(
            st.one_of(
                st.sampled_from(["numbers", "patterns", "module", "data", "timeout", "moh", "1"]),
                st.integers(0, 3),
                st.text(max_size=2),
            ),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=8,
)


@given(ANYTHING)
def test_anything_at_all_is_metaflows_or_an_input_error(document: object) -> None:
    try:
        metaflows = parse_metaflows(document)
    except InputError as error:
        assert error.where.startswith("$")  # noqa: PT017  # the other branch is as good
        assert error.hint  # noqa: PT017
    else:
        lint_metaflows(metaflows)


# ------------------------------------------------------------------------- advice

TRANSFER = {"module": "transfer"}
HANGUP = {"module": "hangup"}
RESUME = {"module": "resume"}


def advice(
    numbers: dict[str, object] | None = None,
    patterns: dict[str, object] | None = None,
    **more: object,
) -> tuple[Advice, ...]:
    return lint_metaflows(
        parse_metaflows({"numbers": numbers or {}, "patterns": patterns or {}, **more})
    )


def only(found: tuple[Advice, ...]) -> tuple[str, str]:
    assert len(found) == 1, found
    assert found[0].hint
    return found[0].path, found[0].sentence


@pytest.mark.parametrize("digit", ["0", "5"])
def test_a_digit_that_binds_fights_with_menus(digit: str) -> None:
    path, sentence = only(advice(binding_digit=digit))
    assert path == "$.binding_digit"
    assert f"pressing {digit} in a menu" in sentence


def test_a_hash_that_binds_ends_things_too() -> None:
    assert only(advice(binding_digit="#"))[0] == "$.binding_digit"
    assert advice(binding_digit="A") == ()


@pytest.mark.parametrize(
    ("timeout_ms", "words"),
    [(499, "fingers"), (500, "phones"), (640, "phones"), (10_001, "wait 10.001 seconds")],
)
def test_a_digit_timeout_may_be_too_short_or_too_long(timeout_ms: int, words: str) -> None:
    path, sentence = only(advice(digit_timeout=timeout_ms))
    assert path == "$.digit_timeout"
    assert words in sentence


@pytest.mark.parametrize("timeout_ms", [641, 800, 2000, 10_000])
def test_usual_digit_timeouts_are_fine(timeout_ms: int) -> None:
    assert advice(digit_timeout=timeout_ms) == ()


def test_a_code_that_begins_another_one_waits() -> None:
    path, sentence = only(advice({"1": RESUME, "12": HANGUP}))
    assert path == '$.numbers."1"'
    assert sentence.startswith("*1 waits for the digit timeout")
    assert "*12" in sentence
    path, sentence = only(advice({"12": HANGUP}, {"1": RESUME}))
    assert path == '$.patterns."1"'
    path, sentence = only(advice({"2": HANGUP}, {r"2(\d{3})": TRANSFER}))
    assert (path, sentence.split()[0]) == ('$.numbers."2"', "*2")
    # two that look alike and are not
    assert advice({"1": RESUME}, {r"2(\d+)": TRANSFER, r"3(\d+)": TRANSFER}) == ()


def test_of_two_that_match_the_same_digits_the_second_may_lose_or_never_win() -> None:
    path, sentence = only(advice(patterns={r"4\d": HANGUP, "4[5-7]": RESUME}))
    assert path == '$.patterns."4[5-7]"'
    assert sentence == r"it never acts: all that it matches is *4\d already"
    path, sentence = only(advice({"45": RESUME}, {r"4\d": HANGUP}))
    assert path == r'$.patterns."4\\d"'
    assert sentence.startswith("*45 is *45 too")
    assert only(advice({"45": RESUME}, {"4[5]": RESUME}))[1].startswith("it never acts")


def test_a_takeback_that_is_a_code_too() -> None:
    path, sentence = only(advice({"1": HANGUP}, {r"2(\d+)": TRANSFER}))
    assert path == r'$.patterns."2(\\d+)".data.takeback_dtmf'
    assert "*1 is also the code *1 (hangup)" in sentence
    matched = advice(patterns={r"([12]\d*)": TRANSFER})
    assert ["also the code" in one.sentence for one in matched] == [True, False]
    assert "*1 waits" in matched[1].sentence
    # a resume means the same
    assert advice({"1": RESUME}, {r"2(\d+)": TRANSFER}) == ()
    # and a blind transfer can't be taken back
    blind = {"module": "transfer", "data": {"transfer_type": "blind"}}
    assert advice({"1": HANGUP}, {r"2(\d+)": blind}) == ()


def test_a_takeback_that_begins_a_code_or_is_begun_by_one() -> None:
    path, sentence = only(advice({"12": HANGUP}, {r"2(\d+)": TRANSFER}))
    assert path.endswith("takeback_dtmf")
    assert sentence.startswith("*1 waits")
    long = {"module": "transfer", "data": {"takeback_dtmf": "*12"}}
    path, sentence = only(advice({"1": RESUME}, {r"2(\d+)": long}))
    assert path.endswith("takeback_dtmf")
    assert sentence.startswith("while a transfer runs, *1 waits")


@pytest.mark.parametrize("digits", ["5", "12", "#", "#1", "*", "A"])
def test_a_takeback_that_menus_want(digits: str) -> None:
    entry = {"module": "transfer", "data": {"takeback_dtmf": digits}}
    found = advice(patterns={r"2(\d+)": entry})
    assert f"pressing {digits} in a menu" in found[0].sentence


def test_a_code_of_a_single_key() -> None:
    found = advice(patterns={"(?:12)?": HANGUP})
    assert "the single key * is a code" in only(found)[1]


def test_digits_that_are_not_called() -> None:
    assert "the digits behind *20 are not called" in only(advice(patterns={r"2\d+": TRANSFER}))[1]
    assert advice({"7": TRANSFER}) == (), "the transferor is asked for the number"
    assert advice(patterns={r"2(\d*)": TRANSFER}) == ()
    fixed = {"module": "transfer", "data": {"target": "2600"}}
    assert advice({"7": fixed}) == ()


def test_a_code_that_nobody_can_dial() -> None:
    found = advice(patterns={r"\d{32}": HANGUP, r"\d{31}": HANGUP})
    assert "needs 33 keys at least" in only(found)[1]


def test_a_hash_that_does_not_end_the_code() -> None:
    path, sentence = only(advice(patterns={"2(.+)": TRANSFER}))
    assert path == '$.patterns."2(.+)"'
    assert sentence.startswith("# does not end this code: after *20 ")


@pytest.mark.slow
def test_questions_too_intricate_are_told_and_bounded() -> None:
    steep = {rf"{n}(\d*)*\d{{1,90}}{n}": TRANSFER for n in range(9)}
    found = advice(patterns=cast("dict[str, object]", steep))
    assert found[-1].path == "$"
    assert "checks of codes were too complex" in found[-1].sentence
    lengths = {rf"(?:\d{{{n}}})+": HANGUP for n in (211, 223, 227)}
    found = advice(patterns=cast("dict[str, object]", lengths))
    assert "needs 212 keys" in found[0].sentence
    # two counters of different lengths: their product is too large to be walked through
    lengths = {rf"1|(?:\d{{{n}}})+": HANGUP for n in (211, 223)}
    found = advice(patterns=cast("dict[str, object]", lengths))
    assert "1 checks of codes" in found[-1].sentence
    assert "the first for *1|" in found[-1].sentence


def test_all_questions_share_one_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = cast("dict[str, object]", {f"{n:02}": HANGUP for n in range(20)})
    assert advice(codes) == ()
    monkeypatch.setattr(advice_module, "LINT_STEPS", 3_000)
    assert "checks of codes" in only(advice(codes))[1]


def test_the_advice_begins_with_the_documents_own_place() -> None:
    metaflows = parse_metaflows({"binding_digit": "0"})
    assert lint_metaflows(metaflows, "acme.json:$")[0].path == "acme.json:$.binding_digit"
