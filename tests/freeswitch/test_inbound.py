"""What the switch says, in our words: the recordings first, then each kind of event by itself."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookflash.backends.freeswitch.inbound import EVENT_NAMES, Inbound
from hookflash.backends.freeswitch.recording import Way, read_recording
from hookflash.backends.freeswitch.wire import Frame, Wire
from hookflash.events import (
    CallEvent,
    CommandFailed,
    DigitPressed,
    Direction,
    EndedBy,
    LegAnswered,
    LegCreated,
    LegHungUp,
    LegIdentified,
    LegParked,
    LegProgressed,
    LegsJoined,
    LegsSeen,
    LegsSeparated,
    PairFact,
    SoundStarted,
    SoundStopped,
    SwitchFound,
    SwitchLost,
)
from hookflash.sounds import Conversation, parse_sound

RECORDINGS = Path(__file__).parent / "recordings"
STORIES = sorted(path.name.removesuffix(".json.jsonl.gz") for path in RECORDINGS.glob("*.json.*"))
WIRETAPS = [f"{story}.{form}" for story in STORIES for form in ("json", "plain")]
MUSIC = parse_sound("tone:300/500,0/500")
RINGBACK = parse_sound("tone:440+480/2000,0/4000")

MakeFrame: TypeAlias = Callable[[Mapping[str, str]], Frame]


def received(wiretap: str) -> bytes:
    """All that the switch sent in a recording."""
    entries = read_recording(RECORDINGS / f"{wiretap}.jsonl.gz")
    return b"".join(entry.raw() for entry in entries if entry.direction is Way.RECV)


def told(chunks: list[bytes], inbound: Inbound | None = None) -> list[CallEvent]:
    wire, inbound = Wire(), inbound or Inbound()
    facts: list[CallEvent] = []
    for chunk in chunks:
        wire.receive(chunk)
        for frame in wire.frames():
            facts += inbound.receive(frame)
    return facts


def legs_of(fact: CallEvent) -> tuple[str, ...]:
    if isinstance(fact, PairFact):
        return fact.first, fact.second
    assert not isinstance(fact, CommandFailed | LegsSeen | SwitchLost | SwitchFound)
    return (fact.leg,)


def as_story(facts: list[CallEvent]) -> dict[str, list[str]]:
    """What happened to each leg, by its number; the switch's names of legs differ each time."""
    numbers = {fact.leg: fact.number for fact in facts if isinstance(fact, LegCreated)}
    story: defaultdict[str, list[str]] = defaultdict(list)
    for fact in facts:
        for leg in legs_of(fact):
            story[numbers.get(leg, leg)].append(type(fact).__name__)
    return story


def frame_of_json(headers: Mapping[str, object]) -> Frame:
    body = json.dumps(headers).encode()
    return Frame(content_type="text/event-json", head=b"", body=body)


def frame_of_plain(headers: Mapping[str, str]) -> Frame:
    lines = [f"{name}: {quote(value)}" for name, value in headers.items() if name != "_body"]
    body = "\n".join(lines) + "\n\n" + headers.get("_body", "")
    return Frame(content_type="text/event-plain", head=b"", body=body.encode())


@pytest.fixture(params=[frame_of_json, frame_of_plain], ids=["json", "plain"])
def frame(request: pytest.FixtureRequest) -> MakeFrame:
    """Make an event's frame of its headers, in either form."""
    return request.param


# ----------------------------------------------------------------------------- recordings


@pytest.mark.exhaustive
@pytest.mark.parametrize("wiretap", WIRETAPS)
def test_a_recording_gives_the_same_facts_whatever_the_cut(wiretap: str) -> None:
    """That the frames are the same, byte by byte too, is the wire's own test for all of them."""
    stream = received(wiretap)
    inbound = Inbound()
    whole = told([stream], inbound)
    assert whole
    assert inbound.skipped == 0
    for size in (1, 61, 1448) if wiretap.startswith(("errors", "busy")) else (61, 1448):
        chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert told(chunks) == whole


@pytest.mark.exhaustive
@given(wiretap=st.sampled_from(WIRETAPS), data=st.data())
def test_random_cuts(wiretap: str, data: st.DataObject) -> None:
    stream = received(wiretap)
    places = data.draw(st.lists(st.integers(0, len(stream)), max_size=40))
    edges = [0, *sorted(places), len(stream)]
    chunks = [stream[a:b] for a, b in pairwise(edges)]
    assert told(chunks) == told([stream])


@pytest.mark.parametrize("story", STORIES)
def test_json_and_plain_tell_the_same_story(story: str) -> None:
    """The order between legs is a matter of luck, so a fact about two counts without order."""
    by_json = as_story(told([received(f"{story}.json")]))
    by_plain = as_story(told([received(f"{story}.plain")]))
    assert by_json.keys() == by_plain.keys()
    for number in by_json:
        assert Counter(by_json[number]) == Counter(by_plain[number])
        pairs = ("LegsJoined", "LegsSeparated")
        assert [name for name in by_json[number] if name not in pairs] == [
            name for name in by_plain[number] if name not in pairs
        ]


@pytest.mark.parametrize("wiretap", WIRETAPS)
def test_a_leg_is_created_first_and_hangs_up_last_and_once(wiretap: str) -> None:
    for number, names in as_story(told([received(wiretap)])).items():
        assert names[-1] == "LegHungUp", number
        assert names.count("LegHungUp") == 1
        if number != "e1":  # refused before it had a channel
            assert names[0] == "LegCreated"
            assert names.count("LegCreated") == 1


@pytest.mark.parametrize("wiretap", [name for name in WIRETAPS if "errors" not in name])
def test_who_is_who(wiretap: str) -> None:
    created = [fact for fact in told([received(wiretap)]) if isinstance(fact, LegCreated)]
    alice, bob, carol = created
    assert (alice.number, alice.direction) == ("1001", Direction.INBOUND)
    assert (bob.number, bob.direction) == ("1002", Direction.OUTBOUND)
    dialled = {
        "noanswer": "2601",
        "takeback": "2601",
        "busy": "2602",
        "bridge-race": "2605",
        "target-drops": "2605",
    }
    story = wiretap.partition(".")[0]
    assert (carol.leg, carol.number) == (f"carol-{story}", dialled.get(story, "2600"))
    assert carol.direction is Direction.OUTBOUND


@pytest.mark.parametrize("form", ["json", "plain"])
def test_a_whole_transfer(form: str) -> None:
    facts = told([received(f"complete.{form}")])
    alice, bob = (fact.leg for fact in facts[:2] if isinstance(fact, LegCreated))
    carol = "carol-complete"
    digits = [fact for fact in facts if isinstance(fact, DigitPressed)]
    assert "".join(fact.digit for fact in digits) == "*22600"
    assert {fact.leg for fact in digits} == {alice}
    serials = [fact.serial for fact in digits]
    assert serials == sorted(set(serials))
    assert serials[0] > 0
    pairs = [fact for fact in facts if isinstance(fact, LegsJoined | LegsSeparated)]
    assert pairs[:3] == [
        LegsJoined(first=alice, second=bob),
        LegsSeparated(first=alice, second=bob),
        LegsJoined(first=alice, second=carol),
    ]
    assert pairs[-1] == LegsJoined(first=bob, second=carol)
    for fact in (
        SoundStarted(leg=bob, sound=MUSIC),
        SoundStarted(leg=alice, sound=RINGBACK),
        SoundStopped(leg=alice, sound=RINGBACK),
        LegProgressed(leg=alice, early_media=True),
        LegProgressed(leg=carol),
        LegAnswered(leg=carol),
    ):
        assert facts.count(fact) == 1
    assert facts.index(LegAnswered(leg=carol)) < facts.index(LegParked(leg=carol))


@pytest.mark.parametrize("form", ["json", "plain"])
@pytest.mark.parametrize(
    ("story", "cause", "sip_status", "by"),
    [
        ("busy", "USER_BUSY", 486, EndedBy.PARTY),
        ("noanswer", "NO_ANSWER", None, EndedBy.SWITCH),
        ("takeback", "ORIGINATOR_CANCEL", None, EndedBy.SWITCH),
        ("target-drops", "NORMAL_CLEARING", None, EndedBy.PARTY),
        ("complete", "NORMAL_CLEARING", None, EndedBy.SWITCH),
    ],
)
def test_why_carol_is_gone(
    story: str, cause: str, sip_status: int | None, by: EndedBy, form: str
) -> None:
    facts = told([received(f"{story}.{form}")])
    (ended,) = (
        fact for fact in facts if isinstance(fact, LegHungUp) and fact.leg == f"carol-{story}"
    )
    assert (ended.cause, ended.sip_status, ended.ended_by) == (cause, sip_status, by)


@pytest.mark.parametrize(
    ("variables", "sip_status", "by"),
    [
        ({}, None, None),  # not a leg of SIP
        ({"sip_call_id": "x"}, None, EndedBy.SWITCH),
        ({"sip_call_id": "x", "other_loopback_leg_uuid": "far"}, None, None),
        ({"sip_call_id": "x", "sip_term_status": "200"}, None, EndedBy.PARTY),
        (
            {"sip_call_id": "x", "sip_hangup_disposition": "recv_refuse", "sip_term_status": "603"},
            603,
            EndedBy.PARTY,
        ),
        (
            {"sip_call_id": "x", "sip_hangup_disposition": "recv_cancel", "sip_term_status": "487"},
            None,
            EndedBy.PARTY,
        ),
        (
            {"sip_call_id": "x", "sip_hangup_disposition": "send_cancel", "sip_term_status": "487"},
            None,
            EndedBy.SWITCH,
        ),
        ({"sip_call_id": "x", "sip_term_status": "busy"}, None, EndedBy.PARTY),
    ],
)
def test_who_ended_a_leg(
    variables: dict[str, Any], sip_status: int | None, by: EndedBy | None, frame: MakeFrame
) -> None:
    named = {f"variable_{name}": value for name, value in variables.items()}
    (ended,) = Inbound().receive(frame({**HUNG_UP, **named}))
    assert ended == LegHungUp(leg="c", cause="USER_BUSY", sip_status=sip_status, ended_by=by)


def test_one_life_after_another_under_the_same_name() -> None:
    """The two recordings of a story use the same name for Carol's leg."""
    inbound = Inbound()
    by_json = told([received("busy.json")], inbound)
    by_plain = told([received("busy.plain")], inbound)
    busy = LegHungUp(leg="carol-busy", cause="USER_BUSY", sip_status=486, ended_by=EndedBy.PARTY)
    assert by_json.count(busy) == 1
    assert by_plain.count(busy) == 1


# -------------------------------------------------------------------------------- one event


CREATED = {
    "Event-Name": "CHANNEL_CREATE",
    "Unique-ID": "a",
    "Call-Direction": "inbound",
    "Caller-Caller-ID-Number": "+49 30\n1",
    "Caller-Destination-Number": "1002",
    "variable_hookflash_account": "acme & söhne",
    "variable_owner": "smith",
}
ANSWERED = {"Event-Name": "CHANNEL_ANSWER", "Unique-ID": "c"}
HUNG_UP = {"Event-Name": "CHANNEL_HANGUP", "Unique-ID": "c", "Hangup-Cause": "USER_BUSY"}
JOB = {
    "Event-Name": "BACKGROUND_JOB",
    "Job-Command": "originate",
    "Job-Command-Arg": "{x=1,origination_uuid=c,y='2'}sofia/internal/2600@h &park()",
    "_body": "-ERR ORIGINATOR_CANCEL\n",
}


def test_whose_leg_it_is(frame: MakeFrame) -> None:
    (fact,) = Inbound().receive(frame(CREATED))
    assert fact == LegCreated(leg="a", number="+49 30\n1", account="acme & söhne")
    (fact,) = Inbound(account_variable="owner").receive(frame(CREATED))
    assert fact == LegCreated(leg="a", number="+49 30\n1", account="smith")
    (fact,) = Inbound(account_variable="none").receive(frame(CREATED))
    assert fact == LegCreated(leg="a", number="+49 30\n1", account="")
    (fact,) = Inbound(owner_variable="owner").receive(frame(CREATED))
    assert fact == LegCreated(leg="a", number="+49 30\n1", account="acme & söhne", owner_id="smith")


def test_the_dialplan_sets_an_account_and_an_owner_that_are_known_from_the_answer_on(
    frame: MakeFrame,
) -> None:
    plain = {name: value for name, value in CREATED.items() if not name.startswith("variable_")}
    acme = {"variable_hookflash_account": "acme"}
    boss = {"variable_hookflash_owner": "boss"}
    answered = {"Event-Name": "CHANNEL_ANSWER", "Unique-ID": "a"}
    for at_first, later, account, owner in (
        ({}, acme | boss, "acme", "boss"),
        (acme, acme | boss, "acme", "boss"),
        (boss, acme | boss, "acme", "boss"),
        ({}, acme, "acme", ""),
        (acme, {"variable_hookflash_account": "other"} | boss, "acme", "boss"),
    ):
        inbound = Inbound()
        inbound.receive(frame(plain | at_first))
        told = LegIdentified(leg="a", account=account, owner_id=owner)
        assert inbound.receive(frame(answered | later)) == (told, LegAnswered(leg="a"))
    for known in ({}, acme, acme | boss):
        inbound = Inbound()
        inbound.receive(frame(plain | known))
        assert inbound.receive(frame(answered | known)) == (LegAnswered(leg="a"),)
    lists = {"variable_hookflash_owner": ["x", "y"]}
    (fact,) = Inbound().receive(frame_of_json(CREATED | lists))
    assert isinstance(fact, LegCreated)
    assert fact.owner_id == ""


@pytest.mark.parametrize(("hides", "withheld"), [("true", True), ("false", False)])
def test_how_a_caller_wants_to_be_shown(frame: MakeFrame, hides: str, withheld: bool) -> None:
    shown = {"Caller-Caller-ID-Name": "Zoë", "Caller-Privacy-Hide-Number": hides}
    (fact,) = Inbound().receive(frame(CREATED | shown))
    assert isinstance(fact, LegCreated)
    assert (fact.name, fact.withheld) == ("Zoë", withheld)
    (fact,) = Inbound().receive(frame(CREATED | shown | {"Call-Direction": "outbound"}))
    assert isinstance(fact, LegCreated)
    assert (fact.name, fact.withheld) == ("", False)  # these are the caller's, not the called one's


def test_who_is_called(frame: MakeFrame) -> None:
    (fact,) = Inbound().receive(frame(CREATED | {"Call-Direction": "outbound"}))
    assert isinstance(fact, LegCreated)
    assert (fact.number, fact.direction) == ("1002", Direction.OUTBOUND)


@pytest.mark.parametrize(
    ("headers", "outside"),
    [
        ({"Caller-Context": "public"}, True),
        ({"Caller-Context": "default"}, False),
        ({"variable_sofia_profile_name": "external"}, False),
        ({"Call-Direction": "outbound", "Caller-Context": "public"}, False),
        ({"Call-Direction": "outbound", "variable_sip_gateway_name": "carrier"}, True),
        ({"Call-Direction": "outbound", "variable_sofia_profile_name": "external"}, True),
        ({"Call-Direction": "outbound", "variable_sofia_profile_name": "internal"}, False),
    ],
)
def test_who_is_outside(frame: MakeFrame, headers: dict[str, str], *, outside: bool) -> None:
    (fact,) = Inbound().receive(frame(CREATED | headers))
    assert isinstance(fact, LegCreated)
    assert fact.outside is outside
    contexts = Inbound(outside_contexts={"default"}, outside_profiles={"internal"})
    (fact,) = contexts.receive(frame(CREATED | headers))
    assert isinstance(fact, LegCreated)
    theirs = "variable_sip_gateway_name" in headers or "internal" in headers.values()
    calls_in = headers.get("Caller-Context") == "default"
    assert fact.outside is (theirs or calls_in)


def test_whose_half_and_for_whom(frame: MakeFrame) -> None:
    said = {"variable_other_loopback_leg_uuid": "near", "variable_originating_leg_uuid": "far"}
    (fact,) = Inbound().receive(frame(CREATED | said))
    assert isinstance(fact, LegCreated)
    assert (fact.other_half, fact.called_for) == ("near", "far")


PARKED = {"Event-Name": "CHANNEL_PARK", "Unique-ID": "a", "Answer-State": "answered"}


def test_a_park_says_that_it_has_answered_if_that_was_lost(frame: MakeFrame) -> None:
    inbound = Inbound()
    inbound.receive(frame(CREATED))
    ringing = inbound.receive(frame(PARKED | {"Answer-State": "early"}))
    assert ringing == (LegParked(leg="a"),)
    assert inbound.receive(frame(PARKED)) == (LegAnswered(leg="a"), LegParked(leg="a"))
    assert inbound.receive(frame(PARKED)) == (LegParked(leg="a"),)  # that is known now


def test_a_park_says_no_more_where_its_answer_was_heard(frame: MakeFrame) -> None:
    inbound = Inbound()
    answer = {"Event-Name": "CHANNEL_ANSWER", "Unique-ID": "a"}
    for told in (CREATED, answer):
        inbound.receive(frame(told))
    assert inbound.receive(frame(PARKED)) == (LegParked(leg="a"),)
    # of a leg that is older than we are, nothing is concluded
    assert Inbound().receive(frame(PARKED)) == (LegParked(leg="a"),)


def test_a_leg_that_is_parked_while_it_rings_is_news_with_its_answer(frame: MakeFrame) -> None:
    rings = {"Call-Direction": "outbound", "Answer-State": "ringing"}
    answer = {"Event-Name": "CHANNEL_ANSWER", "Unique-ID": "a"}
    inbound = Inbound()
    inbound.receive(frame(CREATED | {"Call-Direction": "outbound"}))
    assert inbound.receive(frame(PARKED | rings)) == ()
    inbound.note_living("a", answered=False)  # a look finds it ringing
    assert inbound.receive(frame(answer)) == (LegAnswered(leg="a"), LegParked(leg="a"))
    assert inbound.receive(frame(PARKED)) == (LegParked(leg="a"),)
    active = {"Event-Name": "CHANNEL_CALLSTATE", "Answer-State": "answered"}
    assert inbound.receive(frame(active | {"Unique-ID": "a"})) == ()
    # its beginning was lost, then the first news of its answer
    assert inbound.receive(frame(PARKED | rings | {"Unique-ID": "c"})) == ()
    assert inbound.receive(frame(active | {"Answer-State": "early", "Unique-ID": "c"})) == ()
    heard = inbound.receive(frame(active | {"Unique-ID": "c"}))
    assert heard == (LegAnswered(leg="c"), LegParked(leg="c"))
    inbound.note_waiting("b")
    heard = inbound.receive(frame(PARKED | {"Unique-ID": "b"}))  # the news of the answer was lost
    assert heard == (LegAnswered(leg="b"), LegParked(leg="b"))
    inbound.note_gone("b")
    inbound.note_waiting("b")  # the answer to a look that is older
    assert inbound.receive(frame(answer | {"Unique-ID": "b"})) == ()


def test_what_was_learned_in_another_way_counts(frame: MakeFrame) -> None:
    inbound = Inbound()
    inbound.note_living("a", answered=False)
    assert inbound.receive(frame(PARKED)) == (LegAnswered(leg="a"), LegParked(leg="a"))
    inbound.note_gone("a")
    assert inbound.receive(frame(PARKED)) == ()
    inbound.note_gone("c")
    assert inbound.receive(frame(JOB)) == ()
    # a dump that was asked for before its end is older than that
    inbound.note_living("a", answered=True)
    assert inbound.receive(frame(PARKED)) == ()


def test_an_anonymous_caller(frame: MakeFrame) -> None:
    headers = {name: value for name, value in CREATED.items() if "Number" not in name}
    (fact,) = Inbound().receive(frame(headers))
    assert isinstance(fact, LegCreated)
    assert fact.number == ""


def test_variables_may_be_lists_and_headers_may_come_twice() -> None:
    headers = {**CREATED, "variable_hookflash_account": ["x", "y"], "variable_DP_MATCH": ["1", 2]}
    (fact,) = Inbound().receive(frame_of_json(headers))
    assert isinstance(fact, LegCreated)
    assert fact.account == ""
    names = ("sofia_profile_name", "hookflash_may_transfer", "other_loopback_leg_uuid")
    lists = {f"variable_{name}": ["x", "y"] for name in (*names, "originating_leg_uuid")}
    (fact,) = Inbound().receive(frame_of_json(CREATED | lists | {"Call-Direction": "outbound"}))
    assert isinstance(fact, LegCreated)
    assert (fact.outside, fact.may_transfer) == (False, None)
    assert (fact.other_half, fact.called_for) == ("", "")
    body = b'{"Event-Name":"CHANNEL_DESTROY","Unique-ID":"a","Hangup-Cause":"X","Hangup-Cause":"X"}'
    twice = Frame(content_type="text/event-json", head=b"", body=body)
    assert Inbound().receive(twice) == (LegHungUp(leg="a", cause="X"),)


@pytest.mark.parametrize(
    ("serial", "expected"),
    [("7438", 7438), ("", 0), ("-1", 0), ("x", 0), ("²", 0), ("9" * 5000, 0)],
)
def test_a_digit_and_its_serial(serial: str, expected: int, frame: MakeFrame) -> None:
    headers = {"Event-Name": "DTMF", "Unique-ID": "a", "Event-Sequence": serial, "DTMF-Digit": "#"}
    assert Inbound().receive(frame(headers)) == (DigitPressed(leg="a", digit="#", serial=expected),)
    (fact,) = Inbound().receive(frame(headers | {"DTMF-Digit": "d"}))
    assert isinstance(fact, DigitPressed)
    assert fact.digit == "D"


@pytest.mark.parametrize(
    "headers",
    [
        {"Event-Name": "DTMF", "Unique-ID": "a", "DTMF-Digit": "F"},
        {"Event-Name": "DTMF", "Unique-ID": "a", "DTMF-Digit": "12"},
        {"Event-Name": "DTMF", "Unique-ID": "a"},
        {"Event-Name": "DTMF", "DTMF-Digit": "1"},
        {"Event-Name": "CHANNEL_CREATE", "Call-Direction": "inbound"},
        {"Event-Name": "CHANNEL_CREATE", "Unique-ID": "a"},
        {"Event-Name": "CHANNEL_CREATE", "Unique-ID": "a", "Call-Direction": "sideways"},
        {"Event-Name": "CHANNEL_BRIDGE", "Unique-ID": "a", "Bridge-A-Unique-ID": "a"},
        {"Event-Name": "CHANNEL_UNBRIDGE", "Unique-ID": "a", "Bridge-B-Unique-ID": "a"},
        {"Event-Name": "PLAYBACK_START", "Unique-ID": "a"},
        {"Event-Name": "PLAYBACK_STOP", "Unique-ID": "a"},
        {"Event-Name": "CHANNEL_PROGRESS"},
        {"Event-Name": "CHANNEL_PROGRESS_MEDIA"},
        {"Event-Name": "CHANNEL_ANSWER"},
        {"Event-Name": "CHANNEL_PARK"},
        {"Event-Name": "CHANNEL_HANGUP"},
        {"Event-Name": "BACKGROUND_JOB", "_body": "-ERR"},
        {"Unique-ID": "a"},
        {"Event-Name": ""},
    ],
)
def test_an_event_that_lacks_something_is_skipped_and_counted(
    headers: dict[str, str], frame: MakeFrame
) -> None:
    inbound = Inbound()
    assert inbound.receive(frame(headers)) == ()
    assert inbound.skipped == 1
    assert inbound.receive(frame(ANSWERED)) == (LegAnswered(leg="c"),)
    assert inbound.skipped == 1


@pytest.mark.parametrize("name", [*EVENT_NAMES, "CUSTOM", "HEARTBEAT"])
@pytest.mark.parametrize("kind", ["text/event-json", "text/event-plain"])
def test_an_event_cut_short_anywhere_is_no_traceback(name: str, kind: str) -> None:
    headers = {**CREATED, **HUNG_UP, **JOB, "Event-Name": name}
    make = frame_of_json if kind.endswith("json") else frame_of_plain
    body = make(headers).body
    for end in range(len(body)):
        Inbound().receive(Frame(content_type=kind, head=b"", body=body[:end]))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00",
        b"[]",
        b"null",
        b'"x"',
        b"{",
        b"[" * 200_000,
        b'{"x":' + b"[" * 200_000,
        b'{"Event-Name":1}',
        b'{"Event-Name":"CHANNEL_PARK","Unique-ID":["a"]}',
        b'{"Event-Name":"CHANNEL_PARK","Unique-ID":"\xff"}',
        b'{"Event-Name":"CHANNEL_PARK","Unique-ID":"\\ud800"}',
    ],
)
def test_what_is_no_json_event_is_skipped_and_counted(body: bytes) -> None:
    inbound = Inbound()
    event = Frame(content_type="text/event-json", head=b"", body=body)
    assert inbound.receive(event) == ()
    assert inbound.skipped == 1


@given(st.binary(max_size=300), st.sampled_from(["json", "plain", "xml"]))
def test_garbage_is_no_traceback(body: bytes, form: str) -> None:
    event = Frame(content_type=f"text/event-{form}", head=b"", body=b"Event-Name: DTMF\n" + body)
    Inbound().receive(event)
    Inbound().receive(Frame(content_type=f"text/event-{form}", head=b"", body=body))


def test_bytes_that_are_no_text_are_replaced() -> None:
    body = b"Event-Name: CHANNEL_PARK\nUnique-ID: \xff%FE\x00\n\n"
    event = Frame(content_type="text/event-plain", head=b"", body=body)
    unusable: list[str] = []
    assert Inbound(on_unusable=unusable.append).receive(event) == ()
    created = body.replace(b"PARK", b"CREATE").replace(b"\n\n", b"\nCall-Direction: inbound\n\n")
    assert Inbound(on_unusable=unusable.append).receive(attrs.evolve(event, body=created)) == ()
    assert unusable == ["\ufffd\ufffd\x00"]


@pytest.mark.parametrize(
    "leg",
    [
        "a84b4c76e66710@pc33.atlanta.com",
        "f81d4fae-7dec@[2001:db8::1]",
        "0_3814@10.0.0.1:5060",
        "a-.!%*_+~:/?@=[]b",
        "a" * 256,
    ],
)
def test_a_call_id_is_the_name_of_a_leg(frame: MakeFrame, leg: str) -> None:
    """With `inbound-use-callid-as-uuid`."""
    created = {"Event-Name": "CHANNEL_CREATE", "Unique-ID": leg, "Call-Direction": "inbound"}
    inbound = Inbound()
    assert inbound.receive(frame(created)) == (LegCreated(leg=leg, number=""),)
    joined = {"Event-Name": "CHANNEL_BRIDGE", "Bridge-A-Unique-ID": leg, "Bridge-B-Unique-ID": "b"}
    assert inbound.receive(frame(joined)) == (LegsJoined(first=leg, second="b"),)


@pytest.mark.parametrize(
    "leg", ["a;b", "a,b", "a'b", "a b", "a)b", "a{b", "a}b", "a:_:b", "${x}@b", "-b", "a" * 257]
)
def test_a_leg_whose_name_can_not_stand_in_an_order_does_not_exist(
    frame: MakeFrame, leg: str
) -> None:
    unusable: list[str] = []
    inbound = Inbound(on_unusable=unusable.append)
    for name in ("CREATE", "ANSWER", "PARK", "HANGUP", "DESTROY"):
        headers = {"Event-Name": f"CHANNEL_{name}", "Unique-ID": leg, "Call-Direction": "inbound"}
        assert inbound.receive(frame(headers)) == ()
    key = {"Event-Name": "DTMF", "Unique-ID": leg, "DTMF-Digit": "*"}
    assert inbound.receive(frame(key)) == ()
    for first, second in ((leg, "b"), ("b", leg)):
        pair = {"Bridge-A-Unique-ID": first, "Bridge-B-Unique-ID": second}
        for name in ("BRIDGE", "UNBRIDGE"):
            assert inbound.receive(frame({"Event-Name": f"CHANNEL_{name}", **pair})) == ()
    assert unusable == [leg]
    assert inbound.skipped == 0


def test_headers_do_not_stand_in_values_or_bodies() -> None:
    """What a caller chose (a number, a SIP header) can't forge a header of the event."""
    forged = "x\nUnique-ID: b\n\nUnique-ID: c"
    headers = {"Event-Name": "CHANNEL_PARK", "variable_x": forged, "Unique-ID": "a"}
    assert Inbound().receive(frame_of_plain(headers)) == (LegParked(leg="a"),)
    inbound = Inbound()
    headers = {"Event-Name": "CHANNEL_PARK", "_body": "\nUnique-ID: b\n"}
    assert inbound.receive(frame_of_plain(headers)) == ()
    assert inbound.skipped == 1


@pytest.mark.parametrize("name", ["CUSTOM", "HEARTBEAT", "CHANNEL_UNPARK"])
def test_what_nobody_needs_is_nothing(name: str, frame: MakeFrame) -> None:
    inbound = Inbound()
    assert inbound.receive(frame({"Event-Subclass": "a::b", "Event-Name": name})) == ()
    assert inbound.skipped == 0


@pytest.mark.parametrize("kind", ["command/reply", "api/response", "log/data", "text/event-xml"])
def test_replies_are_the_callers(kind: str) -> None:
    inbound = Inbound()
    assert inbound.receive(Frame(content_type=kind, head=b"", body=b"-ERR\n")) == ()
    assert inbound.skipped == 0


# ------------------------------------------------------------------------------------ fates


@pytest.mark.parametrize("first", ["CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE", "CHANNEL_DESTROY"])
def test_whichever_comes_first_ends_the_leg(first: str, frame: MakeFrame) -> None:
    inbound = Inbound()
    assert inbound.receive(frame(HUNG_UP | {"Event-Name": first})) == (
        LegHungUp(leg="c", cause="USER_BUSY"),
    )
    for name in ("CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE", "CHANNEL_DESTROY"):
        assert inbound.receive(frame(HUNG_UP | {"Event-Name": name})) == ()
    assert inbound.receive(frame(JOB)) == ()
    assert inbound.skipped == 0


def test_an_end_without_a_cause(frame: MakeFrame) -> None:
    (fact,) = Inbound().receive(frame({"Event-Name": "CHANNEL_DESTROY", "Unique-ID": "e"}))
    assert fact == LegHungUp(leg="e", cause="NORMAL_UNSPECIFIED")


def test_nothing_follows_the_end(frame: MakeFrame) -> None:
    inbound = Inbound()
    inbound.receive(frame(HUNG_UP))
    more = {
        "Unique-ID": "c",
        "Bridge-A-Unique-ID": "a",
        "Bridge-B-Unique-ID": "c",
        "Playback-File-Path": "x",
        "DTMF-Digit": "1",
    }
    for name in EVENT_NAMES[1:10]:
        assert inbound.receive(frame({"Event-Name": name, **more})) == (), name
        other_way_round = {"Bridge-A-Unique-ID": "c", "Bridge-B-Unique-ID": "a"}
        assert inbound.receive(frame({"Event-Name": name, **more, **other_way_round})) == ()
    assert inbound.skipped == 0
    again = CREATED | {"Unique-ID": "c"}
    assert len(inbound.receive(frame(again))) == 1
    assert inbound.receive(frame(ANSWERED)) == (LegAnswered(leg="c"),)


@pytest.mark.parametrize(
    ("result", "cause"),
    [
        ("-ERR USER_BUSY\n", "USER_BUSY"),
        ("-ERR  NO_ANSWER", "NO_ANSWER"),
        ("-ERR originate Command not found!\n", "NORMAL_UNSPECIFIED"),
        ("-USAGE: <call url> <exten>|&<application_name>", "NORMAL_UNSPECIFIED"),
        ("-ERR\n", "NORMAL_UNSPECIFIED"),
        ("-ERR USER_BUSY\n\n", "USER_BUSY"),
    ],
)
def test_a_dial_that_came_to_nothing(result: str, cause: str, frame: MakeFrame) -> None:
    inbound = Inbound()
    assert inbound.receive(frame(JOB | {"_body": result})) == (LegHungUp(leg="c", cause=cause),)
    assert inbound.receive(frame(JOB | {"_body": result})) == ()
    assert inbound.receive(frame(HUNG_UP | {"Event-Name": "CHANNEL_DESTROY"})) == ()


@pytest.mark.parametrize(
    "argument",
    [
        "{origination_uuid=c}sofia/x/1 &park()",
        "[a=b,origination_uuid='c']sofia/x/1 &park()",
        "<origination_uuid=c>sofia/x/1 &park()",
    ],
)
def test_the_leg_that_was_dialled(argument: str, frame: MakeFrame) -> None:
    (fact,) = Inbound().receive(frame(JOB | {"Job-Command-Arg": argument}))
    assert fact == LegHungUp(leg="c", cause="ORIGINATOR_CANCEL")


@pytest.mark.parametrize(
    "changed",
    [
        {"_body": "+OK c\n"},
        {"_body": ""},
        {"Job-Command": "uuid_kill"},
        {"Job-Command-Arg": "sofia/internal/2600@h &park()"},
        {"Job-Command-Arg": "{not_origination_uuid=c}sofia/x/1 &park()"},
    ],
)
def test_jobs_that_say_nothing_about_a_leg(changed: dict[str, str], frame: MakeFrame) -> None:
    inbound = Inbound()
    assert inbound.receive(frame(JOB | changed)) == ()
    assert inbound.skipped == 0


def test_a_failed_job_does_not_end_a_leg_that_talks(frame: MakeFrame) -> None:
    inbound = Inbound()
    inbound.receive(frame(ANSWERED))
    assert inbound.receive(frame(JOB)) == ()
    assert inbound.receive(frame(HUNG_UP)) == (LegHungUp(leg="c", cause="USER_BUSY"),)
    assert inbound.receive(frame(JOB)) == ()


def test_fates_are_bounded(frame: MakeFrame) -> None:
    """Of three legs two are remembered: of the oldest, the end is told anew."""
    inbound = Inbound(max_fates=2)
    ends = [HUNG_UP | {"Unique-ID": name} for name in ("a", "b", "c")]
    assert all(inbound.receive(frame(end)) for end in ends)
    assert [len(inbound.receive(frame(end))) for end in reversed(ends)] == [0, 0, 1]


@pytest.mark.parametrize(
    ("name", "fact"),
    [
        ("MEDIA_BUG_START", SoundStarted(leg="b", sound=Conversation("a"))),
        ("MEDIA_BUG_STOP", SoundStopped(leg="b", sound=Conversation("a"))),
    ],
)
def test_who_takes_part_in_a_conversation(
    name: str, fact: SoundStarted | SoundStopped, frame: MakeFrame
) -> None:
    """The switch reports a media bug of the other leg, which names the party."""
    said = {"Event-Name": name, "Unique-ID": "a", "Media-Bug-Function": "eavesdrop"}
    inbound = Inbound()
    assert inbound.receive(frame({**said, "variable_hookflash_part": "b"})) == (fact,)
    assert inbound.receive(frame(said)) == ()
    recorded = {**said, "Media-Bug-Function": "session_record", "variable_hookflash_part": "b"}
    assert inbound.receive(frame(recorded)) == ()
    assert inbound.skipped == 0
