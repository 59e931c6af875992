"""Scenario files: read as written, and every fault named with its place and what is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast, get_args

import attrs
import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from hookflash.backends.simulator.faults import Faults
from hookflash.backends.simulator.people import (
    Answers,
    AnswersAndLeaves,
    Behaviour,
    Busy,
    EarlyMedia,
    Manual,
    NeverAnswers,
    Refuses,
    Unreachable,
)
from hookflash.document import load_schema
from hookflash.errors import InputError
from hookflash.events import AtLimit, Kind
from hookflash.fsm.policy import OPTIONAL_SOUNDS, Choice, PartialSound, Policy
from hookflash.fsm.transfer import Outcome, State
from hookflash.scenarios.format import MAX_FILE_BYTES, load_scenario, parse_scenario
from hookflash.scenarios.run import run_scenario
from hookflash.scenarios.scenario import Scenario
from hookflash.scenarios.script import VERB_KEYS, VERBS, ScriptLine
from hookflash.scenarios.write import scenario_text
from hookflash.sounds import Recording, Sound

SCHEMA = cast("dict[str, Any]", load_schema("specs/scenario.schema.json"))

PARTIES: dict[str, Any] = {
    "alice": {"number": "1001"},
    "bob": {"number": "1002"},
    "carol": {"number": "2600"},
}


def document(**changes: object) -> dict[str, Any]:
    """A scenario that is right, with some keys set anew."""
    return {"title": "t", "parties": PARTIES, "expect": {}, **changes}


def read(what: dict[str, Any] | bytes) -> Scenario:
    text = what if isinstance(what, bytes) else tomli_w.dumps(what).encode()
    return parse_scenario(text, where="x.toml", name="x")


# ------------------------------------------------------------------------ what is read


def test_the_least_that_is_a_scenario() -> None:
    scenario = read(document())
    assert scenario.name == "x"
    assert scenario.calls == (("alice", "bob"),)
    assert scenario.seed == 0
    assert scenario.script == ()
    assert scenario.race is None
    assert scenario.faults == Faults()
    assert scenario.account.policy == Policy()
    assert scenario.expect.within_s == 60.0
    assert [party.behaviour for party in scenario.parties] == [Answers()] * 3


@pytest.mark.parametrize(
    ("plan", "behaviour"),
    [
        ({}, Answers()),
        ({"phone": "answers", "after_s": 3}, Answers(after_s=3)),
        ({"phone": "busy", "after_s": 0.5}, Busy(after_s=0.5)),
        ({"phone": "refuses"}, Refuses()),
        ({"phone": "never_answers"}, NeverAnswers()),
        ({"phone": "unreachable"}, Unreachable(cause="NO_ROUTE_DESTINATION")),
        ({"phone": "unreachable", "cause": "GATEWAY_DOWN"}, Unreachable(cause="GATEWAY_DOWN")),
        ({"phone": "early_media", "after_s": 1.0}, EarlyMedia(after_s=1.0)),
        (
            {"phone": "leaves", "after_s": 1.0, "talk_s": 2.0},
            AnswersAndLeaves(after_s=1.0, talk_s=2.0),
        ),
        ({"phone": "manual"}, Manual()),
    ],
)
def test_phones(plan: dict[str, Any], behaviour: Behaviour) -> None:
    scenario = read(document(parties={**PARTIES, "dave": {"number": "2610", **plan}}))
    assert scenario.parties[-1].behaviour == behaviour


def test_every_phone_of_the_simulator_can_be_written() -> None:
    phones = SCHEMA["$defs"]["party"]["properties"]["phone"]["enum"]
    assert len(phones) == len(get_args(Behaviour))


def test_deeds_and_races() -> None:
    scenario = read(
        document(
            do=[
                {"who": "alice", "at_s": 1, "asks": "transfer", "target": "2600", "kind": "blind"},
                {"who": "clock", "when": "carol rings", "does": "lets the deadline pass"},
                {"who": "alice", "after_s": 0.5, "dials": "*1", "every_s": 0.1},
            ],
            race={
                "when": "alice and bob talk",
                "after_s": 1,
                "do": [
                    {"who": "alice", "does": "hangs up"},
                    {"who": "bob", "asks": "hold"},
                ],
            },
        )
    )
    assert scenario.script == (
        ScriptLine(who="alice", at_s=1, asks="transfer", target="2600", kind=Kind.BLIND),
        ScriptLine(who="clock", when="carol rings", does="lets the deadline pass"),
        ScriptLine(who="alice", after_s=0.5, dials="*1", every_s=0.1),
    )
    assert [str(line) for line in scenario.script] == [
        "alice asks for transfer 2600",
        "clock lets the deadline pass",
        "alice dials *1",
    ]
    assert [order.name for order in scenario.orders()] == [
        "x (alice hangs up, bob asks for hold)",
        "x (bob asks for hold, alice hangs up)",
    ]


def test_a_byte_order_mark_is_no_fault() -> None:
    assert read(b"\xef\xbb\xbf" + tomli_w.dumps(document()).encode()).title == "t"


def test_expectations() -> None:
    scenario = read(
        document(
            expect={
                "outcome": "none",
                "outcomes": [],
                "cause": "X",
                "states": ["idle"],
                "talk": [["alice", "bob"]],
                "gone": ["carol"],
                "heard": {"bob": ["music"]},
                "refused": "no",
                "within_s": 1,
            }
        )
    )
    assert scenario.expect.outcome == ("none",)
    assert scenario.expect.talk == {frozenset({"alice", "bob"})}
    assert scenario.expect.heard == {"bob": ("music",)}
    assert read(document(expect={"outcome": ["failed", "none"]})).expect.outcome == (
        "failed",
        "none",
    )


# -------------------------------------------------------- the schema follows the code


def test_the_policy_of_the_schema_is_the_policy_of_the_code() -> None:
    told = SCHEMA["$defs"]["policy"]["properties"]
    assert list(told) == [field.name for field in attrs.fields(Policy)]
    kinds = {"number": float, "integer": int, "string": str, "boolean": bool}
    for field in attrs.fields(Policy):
        default = field.default
        if isinstance(default, (PartialSound, Choice, AtLimit)):
            assert told[field.name]["enum"] == [choice.value for choice in type(default)]
            assert default.value in told[field.name]["description"]
        elif isinstance(default, Sound) or field.name in OPTIONAL_SOUNDS:
            assert told[field.name]["type"] == "string"
        else:
            assert isinstance(default, kinds[told[field.name]["type"]])
            if not isinstance(default, str):
                word = str(default).lower() if isinstance(default, bool) else f"{default:g}"
                assert f"{word} by default" in told[field.name]["description"]


def test_the_words_of_the_schema_are_the_words_of_the_code() -> None:
    words = SCHEMA["$defs"]
    assert words["state"]["enum"] == [state.value for state in State]
    assert sorted(words["outcome"]["enum"]) == sorted([*Outcome, "none"])
    assert words["line"]["properties"]["kind"]["enum"] == [
        kind.value for kind in (Kind.ATTENDED, Kind.BLIND, Kind.MOVE)
    ]
    for key in VERB_KEYS:
        known = words["line"]["properties"][key].get("enum", [])
        assert known == [word for verb in VERBS if verb.key == key for word in verb.words]
    assert {"required": ["dials"]} in words["line"]["oneOf"]
    assert [one["required"] for one in words["line"]["oneOf"]] == [[key] for key in VERB_KEYS]


def test_every_key_of_the_schema_says_what_it_is() -> None:
    def silent(schema: dict[str, Any], place: str) -> list[str]:
        found: list[str] = []
        for key, inside in schema.get("properties", {}).items():
            here = f"{place}.{key}"
            shared = inside.get("$ref", "").rpartition("/")[2]
            if "description" not in inside and "description" not in SCHEMA["$defs"].get(shared, {}):
                found.append(here)
            found += silent(inside, here)
        return found

    assert silent(SCHEMA, "$") == []
    for name, schema in SCHEMA["$defs"].items():
        assert silent(schema, name) == []


# ------------------------------------------------------------------------ what is wrong


def line(**changes: object) -> dict[str, Any]:
    return document(do=[{"who": "alice", "at_s": 1, **changes}])


def party(**changes: object) -> dict[str, Any]:
    return document(parties={**PARTIES, "carol": {"number": "2600", **changes}})


FAULTS: list[tuple[dict[str, Any], str, str, str]] = [
    (document(titel="x"), "$.titel", "not known", "did you mean title?"),
    (document(title=""), "$.title", '"" is not allowed', "in one sentence"),
    (document(title=7), "$.title", "7 is not a text", "in one sentence"),
    ({"title": "t", "parties": PARTIES}, "$", 'there is no "expect"', "the expected result"),
    ({}, "$", 'there is no "title" and no "parties" and no "expect"', "in one sentence"),
    (document(seed=-1), "$.seed", "-1 is too small", "a whole number"),
    (document(seed=1.5), "$.seed", "1.5 is not a whole number", "the seed of all random numbers"),
    (document(seed=True), "$.seed", "true is not a whole number", "the seed of all random numbers"),
    (document(parties={}), "$.parties", "there are too few", "the people"),
    (document(parties=[]), "$.parties", "a list is not an object", "the people"),
    (
        document(parties={**PARTIES, "Dave": {"number": "1"}}),
        "$.parties.Dave",
        "not allowed",
        "a-z",
    ),
    (document(parties={**PARTIES, "d": {}}), "$.parties.d", 'no "number"', "1 to 32 digits"),
    (
        document(parties={**PARTIES, "clock": {"number": "1"}}),
        "$.parties.clock",
        "",
        "another name",
    ),
    (
        document(parties={**PARTIES, "dave": {"number": "1002"}}),
        "$.parties.dave.number",
        "bob has the number 1002 already",
        "of its own",
    ),
    (party(phone="engaged"), "$.parties.carol.phone", '"engaged" is not allowed', "answers, busy"),
    (party(phon="busy"), "$.parties.carol.phon", "not known", "did you mean phone?"),
    (party(after_s="soon"), "$.parties.carol.after_s", '"soon" is not a number', "seconds"),
    (party(after_s=-1), "$.parties.carol.after_s", "-1 is too small", "from 0 to 86400"),
    (party(after_s=float("nan")), "$.parties.carol.after_s", "nan is not a number", "finite"),
    (party(after_s=float("inf")), "$.parties.carol.after_s", "inf is not a number", "finite"),
    (party(cause="because\n"), "$.parties.carol.cause", "not allowed", "DESTINATION_OUT_OF_ORDER"),
    (party(number="26 00"), "$.parties.carol.number", '"26 00" is not allowed', "1 to 32 digits"),
    (document(calls=[]), "$.calls", "there are too few", "up at the beginning"),
    (document(calls=[{"from": "alice"}]), "$.calls[0]", 'there is no "to"', "called party's name"),
    (
        document(calls=[{"from": "alice", "to": "zoe"}]),
        "$.calls[0].to",
        "unknown party 'zoe'",
        "parties are alice, bob, carol",
    ),
    (
        document(calls=[{"from": "alice", "to": "alice"}]),
        "$.calls[0]",
        "a party can't call itself",
        "two parties",
    ),
    (
        line(dials="*1", does="hangs up"),
        "$.do[0]",
        "exactly one of dials, does, asks",
        "an action, its actor and its time",
    ),
    (
        line(),
        "$.do[0]",
        "exactly one of dials, does, asks, loses is wanted",
        "an action, its actor and its time",
    ),
    (line(dials="12x"), "$.do[0].dials", '"12x" is not allowed', "keys: 1 to 40"),
    (line(does="sings"), "$.do[0].does", '"sings" is not allowed', "one of hangs up, answers"),
    (
        line(does="lets the deadline pass", who="alic"),
        "$.do[0].who",
        "unknown party 'alic'",
        "parties",
    ),
    (
        line(does="hangs up", who="clock"),
        "$.do[0]",
        "clock can't do that",
        "lets the deadline pass",
    ),
    (line(asks="number"), "$.do[0]", "the number is missing", 'target = "2600"'),
    (line(asks="transfer", target="1", kind="hold"), "$.do[0].kind", "", "attended, blind"),
    (line(does="hangs up", when="carol rings"), "$.do[0]", "exclude each other", "one of them"),
    (
        document(do=[{"who": "alice", "does": "hangs up", "when": "carol ring"}]),
        "$.do[0].when",
        "'carol ring' never happens",
        "did you mean carol rings?",
    ),
    (
        document(do=[{"who": "alice", "does": "hangs up", "when": "the transfer is dialling"}]),
        "$.do[0].when",
        "never happens",
        "did you mean the transfer is dialing?",
    ),
    (
        document(do=[{"who": "alice", "does": "hangs up", "when": "alice and alice talk"}]),
        "$.do[0].when",
        "never happens",
        "NAME and NAME talk",
    ),
    (document(do={}), "$.do", "an object is not a list", "line by line"),
    (document(race={"do": []}), "$.race.do", "there are too few", "2 to 5 lines"),
    (
        document(race={"do": [{"who": "alice", "does": "hangs up"}] * 6}),
        "$.race.do",
        "there are too many",
        "2 to 5 lines",
    ),
    (
        document(race={"when": "x", "do": [{"who": "alice", "does": "hangs up"}] * 2}),
        "$.race.when",
        "'x' never happens",
        "NAME rings",
    ),
    (
        document(policy={"ring_timeout": 3}),
        "$.policy.ring_timeout",
        "",
        "did you mean ring_timeout_s?",
    ),
    (document(policy={"ring_timeout_s": 0}), "$.policy.ring_timeout_s", "0 is too small", "0.01"),
    (
        document(policy={"ring_timeout_s": "3"}),
        "$.policy.ring_timeout_s",
        "not a number",
        "seconds",
    ),
    (document(policy={"join_attempts": 0}), "$.policy.join_attempts", "0 is too small", "1 to 100"),
    (document(policy={"hop_limit": True}), "$.policy.hop_limit", "true is not a whole", "0 to 100"),
    (document(policy={"partial_sound": "jazz"}), "$.policy.partial_sound", "", "ringback, music"),
    (document(policy=[]), "$.policy", "a list is not an object", "the settings that differ"),
    (
        document(metaflows={"binding_digit": "**"}),
        "$.metaflows.binding_digit",
        '"**" is not allowed',
        "one key",
    ),
    (document(faults="lose=1"), "$.faults", "unknown fault 'lose'", "lose_command"),
    (
        document(faults="lose_command=2"),
        "$.faults",
        "lose_command=2 is not a probability",
        "0 to 1",
    ),
    (document(expect={"outcom": "x"}), "$.expect.outcom", "not known", "did you mean outcome?"),
    (document(expect={"outcome": "x"}), "$.expect.outcome", '"x" is not allowed', "taken_back"),
    (document(expect={"outcome": []}), "$.expect.outcome", "a list is not allowed", "taken_back"),
    (document(expect={"states": ["idel"]}), "$.expect.states[0]", '"idel"', "one of idle, holding"),
    (
        document(expect={"talk": [["alice", "zoe"]]}),
        "$.expect.talk[0]",
        "unknown party 'zoe'",
        "alice",
    ),
    (document(expect={"talk": [["alice"]]}), "$.expect.talk[0]", "there are too few", ""),
    (document(expect={"gone": ["zoe"]}), "$.expect.gone[0]", "unknown party 'zoe'", "alice"),
    (document(expect={"heard": {"zoe": []}}), "$.expect.heard.zoe", "unknown party 'zoe'", "alice"),
]


@pytest.mark.parametrize(("wrong", "place", "words", "hint"), FAULTS)
def test_a_fault_says_where_it_is_and_what_is_allowed(
    wrong: dict[str, Any], place: str, words: str, hint: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(wrong)
    assert caught.value.where == f"x.toml: {place}"
    assert words in caught.value.what
    assert hint in caught.value.hint
    assert caught.value.hint or place == "$.expect.talk[0]"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"\xff\xfe", "is not valid TOML: 'utf-8' codec can't decode"),
        (b"title = ", "is not valid TOML: Invalid value"),
        (b"a = 1\na = 2\n", "is not valid TOML: Cannot overwrite a value"),
        (b"seed = " + b"1" * 5000, "is not valid TOML: Exceeds the limit"),
        (b"x = " + b"[" * 5000, "is nested too deeply"),
        (b"", 'there is no "title"'),
    ],
)
def test_what_is_no_toml_is_told_with_its_line(text: bytes, told: str) -> None:
    with pytest.raises(InputError) as caught:
        read(text)
    assert told in caught.value.what
    assert caught.value.where.startswith("x.toml")
    assert caught.value.hint


def test_files_that_can_t_be_read(tmp_path: Path) -> None:
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    for path, told in (
        (tmp_path / "nowhere.toml", "can't be read: No such file or directory"),
        (tmp_path, "can't be read: Is a directory"),
        (large, "is too large for a scenario"),
    ):
        with pytest.raises(InputError, match=told) as caught:
            load_scenario(path)
        assert caught.value.where == str(path)


LEAF = st.one_of(
    st.booleans(), st.integers(-5, 5), st.floats(), st.text(max_size=5), st.just([]), st.just({})
)


@given(
    place=st.sampled_from(
        [(), ("parties",), ("parties", "carol"), ("do", 0), ("policy",), ("expect",), ("race",)]
    ),
    key=st.one_of(
        st.sampled_from(sorted({*SCHEMA["properties"], "who", "at_s", "hop_limit", "number"})),
        st.text(max_size=4),
    ),
    value=LEAF,
)
def test_whatever_is_put_somewhere_is_read_or_refused(
    place: tuple[str | int, ...], key: str, value: object
) -> None:
    whole = document(
        parties={name: dict(plan) for name, plan in PARTIES.items()},
        do=[{"who": "alice", "does": "hangs up"}],
        policy={},
        expect={},
        race={"do": [{"who": "alice", "does": "hangs up"}, {"who": "bob", "does": "hangs up"}]},
    )
    inside: Any = whole
    for step in place:
        inside = inside[step]
    inside[key] = value
    try:
        scenario = read(whole)
    except InputError as error:
        refused = error
        assert refused.where.startswith("x.toml: $")
    else:
        run_scenario(next(scenario.orders()))


# --------------------------------------------------------------------------- written


def test_a_scenario_s_faults_and_sounds_are_written() -> None:
    scenario = attrs.evolve(
        read(document(do=[{"who": "alice", "at_s": 1, "asks": "hold"}])),
        faults=Faults(duplicate=0.25),
        missing_sounds=frozenset({Recording("b"), Recording("a")}),
    )
    again = parse_scenario(scenario_text(scenario).encode(), where="w", name="x")
    assert again.faults == Faults(duplicate=0.25)
    assert again.missing_sounds == {Recording("a"), Recording("b")}
    assert again.script == scenario.script
