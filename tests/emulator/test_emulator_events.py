"""The emulator beside the recordings: the bytes that were sent to a real switch are sent to it.

Each recording's commands come at their recorded times, and so does what the people did. Everything
else must come of itself: for each leg the same events in the same order, with the same headers but
for those whose absence has a reason here.
"""

from __future__ import annotations

import json
from functools import cache, partial
from pathlib import Path
from urllib.parse import unquote

import pytest

from hookflash.backends.freeswitch.inbound import Inbound
from hookflash.backends.freeswitch.recording import Way, read_recording
from hookflash.backends.freeswitch.wire import Wire
from hookflash.emulator.emulator import Emulator
from hookflash.emulator.events import (
    EVENT_NAMES,
    ORIGINS,
    PUBLISHED,
    FreeSwitchEvent,
    percent_encoded,
    read_event_name,
)

RECORDINGS = Path(__file__).parent.with_name("freeswitch") / "recordings"
NAMES = {
    "complete": 60.0,
    "partial": 60.0,
    "busy": 60.0,
    "noanswer": 60.0,
    "takeback": 60.0,
    "takeback-consult": 60.0,
    "target-drops": 60.0,
    "bridge-race": 60.0,
    "failsafe": 60.0,
    "swap-threeway": 5.55,  # then there is a conference, which the emulator has not
}
"""The recordings, and until when they are compared."""

Headers = list[tuple[str, str]]

LEFT_OUT = {
    "variable_rtp_audio_": "counts packets, and there are none",
}
"""Headers that only the real switch tells, by how they begin."""

ADDED = {
    ("CHANNEL_ANSWER", "variable_hangup_after_bridge"): "the simulator sets it on both legs",
}
"""Headers that only the emulator tells."""


def plain(body: bytes) -> Headers:
    head = body.decode().partition("\n\n")[0]
    pairs = (line.split(": ", 1) for line in head.split("\n"))
    return [(name, unquote(value)) for name, value in pairs]


class Recorded:
    """What a recording says."""

    def __init__(self, name: str, form: str = "plain") -> None:
        self.events: list[tuple[float, Headers]] = []
        self.sent: list[tuple[float, str]] = []
        self.notes: list[tuple[float, str]] = []
        self.bodies: list[bytes] = []
        wire = Wire()
        for entry in read_recording(RECORDINGS / f"{name}.{form}.jsonl.gz"):
            if entry.direction is Way.SEND:
                self.sent.append((entry.at_s, entry.data))
            elif entry.direction is Way.NOTE:
                self.notes.append((entry.at_s, entry.data))
            else:
                wire.receive(entry.raw())
                for frame in wire.frames():
                    if frame.content_type == "text/event-plain":
                        self.events.append((entry.at_s, plain(frame.body)))
                    if frame.content_type == f"text/event-{form}":
                        self.bodies.append(frame.body)

    def first_legs(self) -> list[str]:
        """Alice's leg and Bob's."""
        created = (dict(event) for _, event in self.events)
        legs = [e["Unique-ID"] for e in created if e["Event-Name"] == "CHANNEL_CREATE"]
        return legs[:2]


class Played:
    """A recording, played to an emulator."""

    def __init__(self, name: str, seed: int = 1) -> None:
        self.recorded = recorded = Recorded(name)
        self.until_s = NAMES[name]
        self.emulator = Emulator(seed=seed)
        self.emulator.world.switch.draws_rare_things = False  # none is in the recordings
        self.session = self.emulator.connect()
        self.old = recorded.first_legs()
        self.new: list[str] = []
        world = self.emulator.world
        world.at(recorded.events[0][0], self._call)
        for at_s, text in recorded.sent:
            if at_s < self.until_s:
                world.at(at_s, partial(self._say, text))
        for at_s, event in recorded.events:
            if at_s < self.until_s:
                self._have_done(at_s, dict(event))
        world.run(self.until_s)
        self.sent = self.session.take()

    def _call(self) -> None:
        self.new += self.emulator.call("1001", "1002", name="Alice")

    def _say(self, text: str) -> None:
        for old, new in zip(self.old, self.new, strict=False):
            text = text.replace(old, new)
        self.session.receive(text.encode())

    def _leg(self, old: str) -> str:
        return dict(zip(self.old, self.new, strict=True)).get(old, old)

    def _have_done(self, at_s: float, event: dict[str, str]) -> None:
        """Let the people do what they did: they pressed, they hung up."""
        world, leg = self.emulator.world, event.get("Unique-ID", "")
        if event["Event-Name"] == "DTMF":
            digit = event["DTMF-Digit"]
            world.at(at_s, lambda: self.emulator.press(self._leg(leg), digit))
        if event["Event-Name"] == "CHANNEL_HANGUP" and self._was_left(at_s, leg):
            world.at(at_s, lambda: self.emulator.hang_up(self._leg(leg)))

    def _was_left(self, at_s: float, leg: str) -> bool:
        notes = [note for note_s, note in self.recorded.notes if at_s - 0.2 < note_s < at_s]
        leaving = [note for note in notes if note.startswith(("alice h", "bob h", "carol h"))]
        if not leaving:
            return False
        who = {"alice": self.old[:1], "bob": self.old[1:]}.get(leaving[-1].split()[0])
        return leg in who if who else leg not in self.old

    def events(self) -> list[Headers]:
        wire = Wire()
        wire.receive(self.sent)
        back = dict(zip(self.new, self.old, strict=True))
        return [
            [(name, back.get(value, value)) for name, value in plain(frame.body)]
            for frame in wire.frames()
            if frame.content_type == "text/event-plain"
        ]

    def expected(self) -> list[Headers]:
        return [event for at_s, event in self.recorded.events if at_s < self.until_s]


@cache
def play(name: str) -> Played:
    return Played(name)


def by_leg(events: list[Headers]) -> dict[str, list[tuple[str, str]]]:
    """Names and causes of the events of each leg, and of the jobs."""
    legs: dict[str, list[tuple[str, str]]] = {}
    for event in map(dict, events):
        told = event.get("Hangup-Cause") or event.get("DTMF-Digit") or event.get("Job-Command", "")
        legs.setdefault(event.get("Unique-ID", "jobs"), []).append((event["Event-Name"], told))
    return legs


@pytest.mark.parametrize("name", NAMES)
def test_the_same_bytes_give_the_same_events(name: str) -> None:
    played = play(name)
    assert by_leg(played.events()) == by_leg(played.expected())


def headers_by_event(all_events: list[list[Headers]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for events in all_events:
        for event in events:
            names = {name for name, _ in event}
            found.setdefault(dict(event)["Event-Name"], set()).update(names)
    return found


def test_an_event_has_the_headers_of_the_recorded_ones() -> None:
    played = [play(name) for name in NAMES]
    expected = headers_by_event([one.expected() for one in played])
    told = headers_by_event([one.events() for one in played])
    assert told.keys() == expected.keys()
    missing = {
        (name, header)
        for name, headers in expected.items()
        for header in headers - told[name]
        if not header.startswith(tuple(LEFT_OUT))
    }
    added = {(name, header) for name in told for header in told[name] - expected[name]}
    assert not missing
    assert added <= ADDED.keys()


FIXED = (
    "Event-Calling-File",
    "Event-Calling-Function",
    "Event-Calling-Line-Number",
    "Channel-State",
    "Channel-Call-State",
    "Answer-State",
    "Call-Direction",
    "Caller-Direction",
    "Caller-Caller-ID-Number",
    "Caller-Destination-Number",
    "Caller-Orig-Caller-ID-Name",
    "Bridge-A-Unique-ID",
    "Bridge-B-Unique-ID",
    "Other-Type",
    "Other-Leg-Unique-ID",
    "Playback-File-Path",
    "Playback-File-Type",
    "DTMF-Source",
    "DTMF-Duration",
    "variable_hangup_cause_q850",
    "variable_endpoint_disposition",
    "variable_originate_disposition",
    "variable_signal_bond",
    "variable_DP_MATCH",
    "variable_park_after_bridge",
    "variable_digits_dialed",
)
"""Headers at which programs look, and whose values must be the same."""


@pytest.mark.parametrize("name", ["complete", "busy", "takeback"])
def test_the_headers_at_which_programs_look_say_the_same(name: str) -> None:
    def said(events: list[Headers]) -> dict[str, list[dict[str, str]]]:
        legs: dict[str, list[dict[str, str]]] = {}
        for event in map(dict, events):
            told = {header: event.get(header, "") for header in FIXED}
            legs.setdefault(event.get("Unique-ID", "jobs"), []).append(told)
        return legs

    played = play(name)
    assert said(played.events()) == said(played.expected())


def test_a_header_comes_where_the_recorded_one_does() -> None:
    """The parts of an event in their order: all, its own, channel, caller, other, variables."""

    def parts(event: Headers) -> list[str]:
        seen = [name.split("-")[0].split("_")[0] for name, _ in event]
        return [part for i, part in enumerate(seen) if i == 0 or seen[i - 1] != part]

    played = play("complete")
    expected = {dict(event)["Event-Name"]: parts(event) for event in played.expected()}
    told = {dict(event)["Event-Name"]: parts(event) for event in played.events()}
    assert told == expected


def test_a_hangup_cause_comes_twice_in_hangup_complete() -> None:
    ends = [e for e in play("complete").events() if dict(e)["Event-Name"].endswith("_COMPLETE")]
    assert ends
    for event in ends:
        assert [name for name, _ in event].count("Hangup-Cause") == 2


def test_the_facts_are_the_recorded_ones_too() -> None:
    """What our own backend reads from both."""

    def facts(data: bytes) -> list[str]:
        wire, inbound = Wire(), Inbound()
        wire.receive(data)
        found = [fact for frame in wire.frames() for fact in inbound.receive(frame)]
        assert inbound.skipped == 0
        return sorted(type(fact).__name__ for fact in found)

    recorded = b"".join(
        b"Content-Length: %d\nContent-Type: text/event-plain\n\n%b" % (len(body), body)
        for body in Recorded("complete").bodies
    )
    assert facts(play("complete").sent) == facts(recorded)


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert Played("partial", seed=7).sent == Played("partial", seed=7).sent
    assert Played("partial", seed=7).sent != Played("partial", seed=8).sent


# ------------------------------------------------------------------- encodings


def test_json_has_the_types_of_the_recorded_one() -> None:
    emulator = Emulator()
    session = emulator.connect()
    session.receive(b"auth ClueCon\n\nevent json all\n\n")
    emulator.call("1001", "1002", name="Alice")
    emulator.world.run(1.0)
    emulator.press("1001", "*1")
    session.receive(b"bgapi uuid_exists x\n\n")
    emulator.hang_up("1001")
    emulator.world.run(2.0)
    wire = Wire()
    wire.receive(session.take())
    events = [json.loads(f.body) for f in wire.frames() if f.content_type == "text/event-json"]
    recorded = [json.loads(body) for body in Recorded("complete", "json").bodies]
    for event in (*events, *recorded):
        for name, value in event.items():
            lists = {"variable_DP_MATCH", "variable_transfer_history"}
            assert isinstance(value, str) or (isinstance(value, list) and name in lists)
    assert [e for e in events if e.get("variable_DP_MATCH") == ["1002", "1002"]]
    assert [e["_body"] for e in events if e["Event-Name"] == "BACKGROUND_JOB"] == ["false"]


def test_values_are_encoded_as_the_real_switch_does() -> None:
    for body in Recorded("complete").bodies[:40]:
        for line in body.decode().partition("\n\n")[0].split("\n"):
            value = line.split(": ", 1)[1]
            assert percent_encoded(unquote(value)) == value


def test_an_event_in_both_forms() -> None:
    event = FreeSwitchEvent("CUSTOM", [("A", 'x "ü"\n'), ("L", ("1", "2")), ("A", "y")], "body")
    assert event.plain() == (
        b"A: x%20%22%C3%BC%22%0A\nL: ARRAY%3A%3A1%7C%3A2\nA: y\nContent-Length: 4\n\nbody"
    )
    assert event.plain() is event.plain()
    assert event.plain(encoded=False).startswith('A: x "ü"\n\nL: ARRAY::1|:2\n'.encode())
    assert event.json().decode() == (
        '{"A":"x \\"ü\\"\\n","L":["1","2"],"A":"y","Content-Length":"4","_body":"body"}'
    )
    assert event.json() is event.json()
    assert event.get("l") == "ARRAY::1|:2"
    assert event.get("missing") == ""


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("dtmf", "DTMF"),
        ("SWITCH_EVENT_DTMF", "DTMF"),
        ("All", "ALL"),
        ("NOPE", ""),
        ("", ""),
    ],
)
def test_names_of_events(word: str, name: str) -> None:
    assert read_event_name(word) == name


def test_what_is_told_is_known_and_has_an_origin() -> None:
    assert PUBLISHED <= EVENT_NAMES
    assert ORIGINS.keys() >= PUBLISHED
