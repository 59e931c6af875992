"""A run, told: what must be said is said, and no name breaks a line, a table or a picture."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, get_args
from xml.etree import ElementTree as ET

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from hookflash.commands import (
    Afterwards,
    Announce,
    Arm,
    CancelTimer,
    Command,
    Dial,
    Fetch,
    Forget,
    HangUp,
    HoldWithMusic,
    Introduce,
    Join,
    Look,
    Park,
    PassKeys,
    PlayRingback,
    PlayTone,
    Release,
    SendBack,
    SetTimer,
    Split,
    TakePart,
    Trigger,
    WithholdKeys,
)
from hookflash.engine.record import Record
from hookflash.engine.switchboard import Switchboard
from hookflash.events import (
    CommandFailed,
    CompleteRequested,
    DigitPressed,
    Direction,
    Event,
    HangUpRequested,
    Kind,
    LegAnswered,
    LegCreated,
    LegHungUp,
    LegParked,
    LegProgressed,
    LegsJoined,
    LegsReleased,
    LegsSeparated,
    SoundStarted,
    SoundStopped,
    TakebackRequested,
    TimerFired,
    TransferRequested,
)
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Outcome, State
from hookflash.sounds import Recording
from hookflash.story import (
    ENGINE,
    LONGEST,
    Arrow,
    Note,
    NoteKind,
    SequenceDiagram,
    sequence,
    sequence_mermaid,
    sequence_svg,
    sequence_text,
    steps_table,
    story_lines,
)
from hookflash.story import words as story_words

CAROL = "transfer-1-target"
NAMES = {"a": "alice", "b": "bob", CAROL: "carol"}
MUSIC, RINGBACK = Policy().music, Policy().ringback

Script = list[tuple[float, Event]]


def dial(leg: str, keys: str, at_s: float, serial: int = 1) -> Script:
    return [
        (at_s + 0.25 * n, DigitPressed(leg=leg, digit=key, serial=serial + n))
        for n, key in enumerate(keys)
    ]


CALL: Script = [
    (0.0, LegCreated(leg="a", number="1001")),
    (0.1, LegCreated(leg="b", number="1002", direction=Direction.OUTBOUND)),
    (0.2, LegProgressed(leg="b")),
    (2.0, LegAnswered(leg="b")),
    (2.0, LegAnswered(leg="a")),
    (2.125, LegsJoined(first="a", second="b")),
]
HELD: Script = [
    *CALL,
    *dial("a", "*22600", 12.5),
    (16.0, TimerFired(timer="digits~6")),
    (16.02, LegsSeparated(first="a", second="b")),
    (16.03, LegParked(leg="b")),
    (16.04, LegParked(leg="a")),
    (16.1, SoundStarted(leg="b", sound=MUSIC)),
    (16.1, SoundStarted(leg="b", sound=MUSIC)),  # told twice
    (16.1, LegCreated(leg=CAROL, number="2600", direction=Direction.OUTBOUND)),
    (16.2, SoundStarted(leg="a", sound=RINGBACK)),
    (16.5, LegProgressed(leg=CAROL)),
]
WHOLE: Script = [
    *HELD,
    (19.0, LegAnswered(leg=CAROL)),
    (19.01, LegParked(leg=CAROL)),
    (19.05, LegsJoined(first="a", second=CAROL)),
    (19.05, SoundStopped(leg="a", sound=RINGBACK)),
    (20.0, TransferRequested(leg="a", transfer="another", target="1")),
    (30.0, LegHungUp(leg="a")),
    (30.01, LegParked(leg=CAROL)),
    (30.05, LegsJoined(first="b", second=CAROL)),
    (30.06, LegsReleased(first="b", second=CAROL)),
    (60.0, LegHungUp(leg=CAROL)),
    (60.01, LegHungUp(leg="b")),
]
BUSY: Script = [
    *HELD,
    (17.0, LegHungUp(leg=CAROL, cause="USER_BUSY")),
    (17.5, LegsJoined(first="a", second="b")),
]
BACK: Script = [
    *HELD,
    *dial("a", "*1", 17.0, serial=7),
    (17.5, LegHungUp(leg=CAROL, cause="ORIGINATOR_CANCEL")),
    (17.6, LegsJoined(first="a", second="b")),
]


def records_of(script: Iterable[tuple[float, Event]]) -> list[Record]:
    switchboard = Switchboard()
    return [record for at_s, event in script for record in switchboard.handle(event, at_s)]


def told(script: Script) -> list[str]:
    return story_lines(records_of(script), NAMES)


def drawn(script: Script) -> SequenceDiagram:
    return sequence(records_of(script), NAMES)


def single(event: Event, *commands: Command) -> Record:
    return Record(number=1, at_s=0.0, event=event, commands=commands)


def tale(records: Iterable[Record]) -> str:
    """The last line of a story, without its time."""
    return story_lines(list(records), NAMES)[-1].partition(" s  ")[2]


# ----------------------------------------------------------------------- lines


def test_a_transfer_is_a_story() -> None:
    assert told(WHOLE) == [
        "  0.000 s  alice calls",
        "  0.100 s  bob is called",
        "  0.200 s  bob's phone rings",
        "  2.000 s  bob answers",
        "  2.000 s  alice is answered",
        "  2.125 s  alice and bob talk",
        " 12.500 s  alice presses *",
        " 12.750 s  alice presses 2",
        " 13.000 s  alice presses 2",
        " 13.250 s  alice presses 6",
        " 13.500 s  alice presses 0",
        " 13.750 s  alice presses 0",
        " 16.000 s  alice asks to transfer bob to 2600 · idle → holding · part alice and bob",
        " 16.020 s  alice and bob are parted",
        " 16.030 s  bob is parked · play music to bob",
        (
            " 16.040 s  alice is parked · holding → dialing"
            " · play ringback to alice, call carol at 2600"
        ),
        " 16.100 s  bob hears music",
        " 16.100 s  carol is called",
        " 16.200 s  alice hears ringback",
        " 16.500 s  carol's phone rings",
        " 19.000 s  carol answers · dialing → consulting",
        " 19.010 s  carol is parked · join alice and carol",
        " 19.050 s  alice and carol talk",
        (
            " 20.000 s  alice asks to transfer carol to 1"
            " · refused: a transfer of this call is already in progress"
        ),
        " 30.000 s  alice hangs up · consulting → completing",
        " 30.010 s  carol is parked · join bob and carol",
        " 30.050 s  bob and carol talk · let bob and carol be an ordinary call",
        " 30.060 s  bob and carol are an ordinary call · completing → idle · transferred",
        " 60.000 s  carol hangs up",
        " 60.010 s  bob's call ends",
    ]


def test_the_end_names_its_cause() -> None:
    lines = told(BUSY)
    assert " 17.000 s  carol is busy · dialing → failed_reconnect · join alice and bob" in lines
    assert lines[-1].endswith(
        " alice and bob talk · failed_reconnect → idle · reconnected (USER_BUSY)"
    )


def test_whoever_asks_for_the_other_is_named() -> None:
    lines = told(BACK)
    assert any(
        "alice wants bob back · dialing → takeback · hang up carol" in line for line in lines
    )
    assert " 17.500 s  carol is hung up" in lines
    assert lines[-1].endswith("takeback → idle · taken back")


def test_what_is_told_twice_is_told_once() -> None:
    again: Script = [
        pair for pair in WHOLE for _ in range(2) if not isinstance(pair[1], TransferRequested)
    ]
    once: Script = [pair for pair in WHOLE if not isinstance(pair[1], TransferRequested)]
    assert told(again) == told(once)


def test_a_digit_without_a_serial_may_come_twice() -> None:
    press = DigitPressed(leg="a", digit="5")
    assert len(told([*CALL, (3.0, press), (3.5, press)])) == len(told(CALL)) + 2


def test_pairs_told_the_other_way_round_are_still_the_same() -> None:
    other_way: Script = [
        *CALL,
        (3.0, LegsJoined(first="b", second="a")),
        (4.0, LegsSeparated(first="b", second="a")),
        (4.1, LegsSeparated(first="a", second="b")),
    ]
    assert told(other_way)[len(CALL) :] == ["  4.000 s  bob and alice are parted"]


def test_a_leg_without_a_name_keeps_its_id() -> None:
    assert tale([single(LegAnswered(leg="leg-7"))]) == "leg-7 answers"
    assert story_lines([single(LegAnswered(leg="x"))], {"x": " \n"})[0].endswith("  x answers")
    assert story_lines([single(LegAnswered(leg="\x00"))], {})[0].endswith("  ? answers")


def test_a_caller_may_be_called_like_the_engine() -> None:
    diagram = sequence([single(LegAnswered(leg="x"))], {"x": ENGINE})
    assert diagram.participants == ("hookflash (a caller)", ENGINE)


def test_several_transfers_are_told_apart() -> None:
    more: Script = [
        *WHOLE[:-2],
        (61.0, TransferRequested(leg="b", transfer="second", target="3", by="helpdesk")),
    ]
    lines = told(more)
    assert lines[-1].endswith(
        " bob asks to transfer carol to 3 (by helpdesk)"
        " · second: idle → holding · part bob and carol"
    )
    assert any(
        line.endswith("transfer-1: completing → idle · transfer-1: transferred") for line in lines
    )


# ----------------------------------------------------------------------- words


COMMANDS: tuple[tuple[Command, str], ...] = (
    (Forget(legs=("a",)), "take the marks off"),
    (
        Introduce(first="a", second="b", first_number="1001", second_number="1002"),
        "let the phones of alice and bob show it",
    ),
    (Split(first="a", second="b"), "part alice and bob"),
    (Park(leg="b"), "park bob"),
    (Fetch(leg="b"), "take bob out of its application"),
    (SendBack(leg="b", to="origin"), "send bob back"),
    (TakePart(leg="b", of="a"), "let bob take part in the conversation of alice"),
    (HoldWithMusic(leg="b", music=Recording("m")), "play music to bob"),
    (PlayRingback(leg="a", ringback=Recording("r")), "play ringback to alice"),
    (PlayTone(leg="a", tone=Recording("t")), "play a tone to alice"),
    (Announce(leg="a", sound=Recording("t")), "play file:t to alice"),
    (Dial(leg="x", target="2600", on_behalf_of="a", ring_timeout_s=20), "call 2600"),
    (Dial(leg=CAROL, target="2600", on_behalf_of="a", ring_timeout_s=20), "call carol at 2600"),
    (Join(first="a", second="b", afterwards=Afterwards.END), "join alice and bob"),
    (Arm(leg=CAROL, rescue="b"), "have carol joined with bob on answer"),
    (
        Arm(leg="a", rescue="b", when=Trigger.LEFT_ALONE),
        "have alice joined with bob if it is left alone",
    ),
    (WithholdKeys(leg="b", limit_s=30.0), "spare bob the keys"),
    (PassKeys(leg="b"), "let bob hear keys again"),
    (Look(legs=("a", "b")), "ask about alice, bob"),
    (Look(legs=()), "ask about everybody"),
    (Release(first="a", second=CAROL), "let alice and carol be an ordinary call"),
    (HangUp(leg="b"), "hang up bob"),
    (SetTimer(timer="t", after_s=2.5), "wait at most 2.5 s"),
    (CancelTimer(timer="t"), "stop waiting"),
)


@pytest.mark.parametrize(("command", "words"), COMMANDS, ids=lambda value: str(value)[:24])
def test_every_command_has_words(command: Command, words: str) -> None:
    failure = CommandFailed(command=command, reason="-ERR no\nsuch channel")
    assert tale([single(failure)]) == f"the switch refuses to {words} (-ERR no such channel)"


def test_no_type_is_without_words() -> None:
    words = vars(story_words)
    assert set(words["_EVENTS"]) == set(get_args(Event))
    assert set(words["_COMMANDS"]) == set(get_args(Command)) == {type(c) for c, _ in COMMANDS}


def asked(kind: Kind, **more: Any) -> Record:
    request = TransferRequested(leg="a", transfer="t", kind=kind, **more)
    return attrs.evolve(single(request), transfer="t", before=State.IDLE, after=State.HOLDING)


TALK = single(LegsJoined(first="a", second="b"))
ASKED = asked(Kind.ATTENDED, target="2600")


CALLS = single(LegCreated(leg="a", number="1001"))


@pytest.mark.parametrize(
    ("before", "event", "words"),
    [
        ([], CompleteRequested(transfer="t"), "somebody hands the other party over"),
        ([], TakebackRequested(transfer="t", by="k"), "somebody wants the other party back (by k)"),
        ([TALK, ASKED], CompleteRequested(transfer="t"), "alice hands bob over"),
        ([ASKED], TakebackRequested(transfer="t"), "alice wants the other party back"),
        ([], HangUpRequested(leg="b", by="helpdesk"), "bob asks to hang up (by helpdesk)"),
        ([], LegsReleased(first="a", second="b"), "alice and bob are an ordinary call"),
        ([CALLS], LegProgressed(leg="a"), "alice hears ringing"),
        ([], LegHungUp(leg="b", cause="NO_ANSWER"), "bob does not answer"),
        ([], LegHungUp(leg="b", cause="WEIRD"), "bob is gone (WEIRD)"),
        ([], SoundStarted(leg="b", sound=Recording("what")), "bob hears a sound"),
    ],
)
def test_words_of_an_event(before: list[Record], event: Event, words: str) -> None:
    assert tale([*before, single(event)]) == words


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (asked(Kind.BLIND, target="9"), "alice asks to send bob to 9 at once · idle → holding"),
        (asked(Kind.HOLD), "alice asks to hold bob · idle → holding"),
        (
            asked(Kind.ATTENDED),
            "alice asks to transfer bob to a number that is still to come · idle → holding",
        ),
    ],
)
def test_words_of_a_wish(record: Record, words: str) -> None:
    assert tale([TALK, record]) == words


def test_a_timer_is_told_when_something_comes_of_it() -> None:
    armed = single(LegParked(leg="a"), SetTimer(timer="t", after_s=25.0))
    fired = single(TimerFired(timer="t"))
    assert story_lines([armed, fired], NAMES) == []
    ends = attrs.evolve(fired, commands=(HangUp(leg="b"),))
    assert tale([armed, ends]) == "the wait of 25 s is over · hang up bob"
    assert tale([ends]) == "a wait is over · hang up bob"


def test_a_sound_that_breaks_off_is_told_when_something_comes_of_it() -> None:
    plays = single(LegParked(leg="b"), HoldWithMusic(leg="b", music=Recording("m")))
    ends = single(SoundStopped(leg="b", sound=Recording("m")))
    assert len(story_lines([plays, ends], NAMES)) == 1
    again = attrs.evolve(ends, commands=(PlayTone(leg="b", tone=Recording("t")),))
    assert tale([plays, again]) == "bob no longer hears music · play a tone to bob"


# ----------------------------------------------------------------------- table


def printed(script: Script, width: int = 140, *, colour: bool = False) -> str:
    console = Console(
        width=width, force_terminal=colour, color_system="standard" if colour else None
    )
    with console.capture() as capture:
        console.print(steps_table(records_of(script), NAMES))
    return capture.get()


def test_the_table_has_every_step_and_its_reason() -> None:
    records = records_of(WHOLE)
    assert steps_table(records, NAMES).row_count == len(records)
    text = printed(WHOLE)
    line = next(line for line in text.splitlines() if "holding → dialing" in line)
    assert re.split(r"  +", line.strip()) == [
        *("16.040 s", "holding → dialing", "alice is parked", "play ringback to alice"),
        "The two are separated. The",
    ]
    assert "wait at most 25 s" in text
    assert "stop waiting" not in text


def test_the_table_shows_refusals_in_red_and_the_outcome_in_bold() -> None:
    text = printed(WHOLE, colour=True)
    assert "\x1b[31mrefused: a transfer of this" in text
    assert "\x1b[1mtransferred" in text


def test_the_table_takes_markup_as_text() -> None:
    record = attrs.evolve(single(LegAnswered(leg="x")), why="[bold]why\x1b[2J")
    console = Console(width=100, color_system=None)
    with console.capture() as capture:
        console.print(steps_table([record], {"x": "[red]al[/red]"}))
    assert "[red]al[/red] answers" in capture.get()
    assert "[bold]why[2J" in capture.get()


# -------------------------------------------------------------------- diagram


def test_the_diagram_has_people_in_order_and_the_engine_in_their_middle() -> None:
    assert drawn(WHOLE).participants == ("alice", ENGINE, "bob", "carol")
    assert drawn([]).participants == (ENGINE,)


def test_digits_in_a_row_are_one_arrow() -> None:
    arrows = [s for s in drawn(WHOLE).steps if isinstance(s, Arrow) and s.text.startswith("*")]
    assert arrows == [Arrow(at_s=12.5, tail="alice", head=ENGINE, text="*22600")]


def test_digits_of_two_people_are_two_arrows() -> None:
    script = [*CALL, *dial("a", "12", 3.0), *dial("b", "3", 4.0, serial=9), *dial("a", "4", 5.0, 7)]
    texts = [s.text for s in drawn(script).steps[-3:]]
    assert texts == ["12", "3", "4"]


def test_facts_come_from_people_and_orders_go_to_them() -> None:
    arrows = {(s.tail, s.text, s.head) for s in drawn(WHOLE).steps if isinstance(s, Arrow)}
    assert {
        ("alice", "transfer bob to 2600", ENGINE),
        ("carol", "answers", ENGINE),
        ("alice", "hangs up", ENGINE),
        (ENGINE, "music", "bob"),
        (ENGINE, "ringback", "alice"),
        (ENGINE, "call 2600", "carol"),
        (ENGINE, "call ends", "bob"),
        (ENGINE, "answered", "alice"),
    } <= arrows


def test_joins_changes_refusals_and_the_end_are_notes() -> None:
    notes = [s for s in drawn(WHOLE).steps if isinstance(s, Note)]
    assert [(n.kind.value, n.text, n.over) for n in notes] == [
        ("talk", "alice and bob talk", ("alice", "bob")),
        ("state", "idle → holding", ()),
        ("parted", "alice and bob are parted", ("alice", "bob")),
        ("state", "holding → dialing", ()),
        ("state", "dialing → consulting", ()),
        ("talk", "alice and carol talk", ("alice", "carol")),
        ("refused", "refused: a transfer of this call is already in progress", (ENGINE,)),
        ("state", "consulting → completing", ()),
        ("talk", "bob and carol talk", ("bob", "carol")),
        ("state", "completing → idle", ()),
        ("outcome", "transferred", ()),
    ]


def test_an_end_that_was_ordered_has_one_arrow() -> None:
    carols = [s for s in drawn(BACK).steps if isinstance(s, Arrow) and "carol" in (s.tail, s.head)]
    assert [(s.tail, s.text) for s in carols[-2:]] == [
        ("carol", "phone rings"),
        (ENGINE, "hang up"),
    ]


def test_what_is_nobodys_doing_is_a_note_over_the_engine() -> None:
    events: tuple[Event, ...] = (
        CommandFailed(command=Split(first="a", second="b"), reason="no"),
        TakebackRequested(transfer="unknown"),
    )
    for event in events:
        (note,) = sequence([single(event)], NAMES).steps
        assert isinstance(note, Note)
        assert (note.kind, note.over) == (NoteKind.EVENT, (ENGINE,))


# ------------------------------------------------------------------- renderers


@pytest.mark.parametrize("width", [80, 100])
def test_the_text_keeps_to_its_width(width: int) -> None:
    lines = sequence_text(drawn(WHOLE), width).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert lines[0].split() == ["alice", ENGINE, "bob", "carol"]
    assert any(re.fullmatch(r" 12\.500 s +├─+ \*22600 ─+▶│ +│ +│", line) for line in lines)
    assert any(re.fullmatch(r" 16\.030 s +│ +├─+ music ─+▶│ +│", line) for line in lines)
    assert any(re.fullmatch(r" 19\.050 s +╞═+ alice and carol talk ═+╡", line) for line in lines)
    assert any(re.fullmatch(r" +╌+ idle → holding ╌+", line) for line in lines)
    assert any(re.fullmatch(r" +━+ transferred ━+", line) for line in lines)
    assert any(
        "[ refused: a transfer of this call is already in progress ]" in line for line in lines
    )


def test_a_label_that_does_not_fit_stands_above_its_arrow() -> None:
    lines = sequence_text(drawn(WHOLE), 70).splitlines()
    at = next(n for n, line in enumerate(lines) if "transfer bob to 2600" in line)
    assert re.fullmatch(r" +├─+▶│ +│ +│", lines[at + 1])


def test_a_note_that_does_not_fit_stands_in_brackets() -> None:
    names = NAMES | {CAROL: "carol of the far too long name"}
    lines = sequence_text(sequence(records_of(WHOLE), names), 70).splitlines()
    assert any("[ bob and carol of the far too long name talk ]" in line for line in lines)
    assert max(map(cell_len, lines)) <= 70


def test_an_arrow_crosses_the_lanes_between() -> None:
    steps = (
        Arrow(at_s=0, tail="d", head=ENGINE, text="x"),
        Arrow(at_s=0, tail="a", head="d", text="y"),
    )
    diagram = SequenceDiagram(participants=("a", ENGINE, "c", "d"), steps=steps)
    *_, back, forth = sequence_text(diagram).splitlines()
    assert re.search(r"│ +│◀[─ x]+┼[─ x]+┤$", back)
    assert re.search(r"├─+┼[─ y]+┼─+▶│$", forth)


def test_too_many_people_make_the_text_wider() -> None:
    script = [single(LegAnswered(leg=f"person-{n}")) for n in range(20)]
    text = sequence_text(sequence(script, {}), 80)
    assert max(map(cell_len, text.splitlines())) > 80
    assert text.count("answers") == 20


def test_nothing_to_tell_is_drawn_too() -> None:
    empty = sequence([], {})
    assert sequence_text(empty).split() == [ENGINE, "│"]
    assert sequence_mermaid(empty) == "sequenceDiagram\n    participant p0 as hookflash\n"
    assert "hookflash" in texts_of(sequence_svg(empty))
    assert story_lines([], {}) == []


MERMAID_TEXT = r"(?:[\w ,.*+()'→…-]|#\d+;)*"
MERMAID_LINE = re.compile(
    rf"    (?:(?:actor|participant) p\d+ as {MERMAID_TEXT}"
    rf"|(?:p\d+->>p\d+|Note over p\d+(?:,p\d+)?): {MERMAID_TEXT})"
)


def check_mermaid(text: str) -> None:
    """What Mermaid's grammar asks of a sequence diagram, as far as ours uses it."""
    first, *lines = text.splitlines()
    assert first == "sequenceDiagram"
    assert text.endswith("\n")
    assert not [line for line in lines if not MERMAID_LINE.fullmatch(line)]
    known = {line.split()[1] for line in lines if " as " in line and "->>" not in line}
    assert set(re.findall(r"\bp\d+(?=->>|:|,p)", text)) <= known


def test_mermaid_has_the_same_steps() -> None:
    diagram = drawn(WHOLE)
    text = sequence_mermaid(diagram)
    check_mermaid(text)
    assert len(text.splitlines()) == 1 + len(diagram.participants) + len(diagram.steps)
    assert "    actor p0 as alice\n    participant p1 as hookflash\n    actor p2 as bob\n" in text
    assert "    p0->>p1: *22600\n" in text
    assert "    Note over p0,p2: alice and bob talk\n" in text
    assert "    Note over p1: refused#58; a transfer of this call is already in progress\n" in text
    assert text.index("Note over p0,p3: transferred") > text.index("completing → idle")


def texts_of(svg: str) -> list[str]:
    """What a picture says. Raises if it is not well formed."""
    root = ET.fromstring(svg)  # noqa: S314 - our own, and made here
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    return [node.text or "" for node in root.iter("{http://www.w3.org/2000/svg}text")]


def test_the_picture_says_it_all_and_needs_nothing_else() -> None:
    diagram = drawn(WHOLE)
    svg = sequence_svg(diagram)
    texts = texts_of(svg)
    assert {*diagram.participants, *(step.text for step in diagram.steps)} <= set(texts)
    assert {"12.500 s", "30.000 s"} <= set(texts)
    assert svg.count("http") == 1  # the name of the format itself
    assert "<script" not in svg
    assert "prefers-color-scheme: dark" in svg


def test_the_picture_is_as_large_as_its_content() -> None:
    root = ET.fromstring(sequence_svg(drawn(WHOLE)))  # noqa: S314 - our own, and made here
    width, height = int(root.attrib["width"]), int(root.attrib["height"])
    assert root.attrib["viewBox"] == f"0 0 {width} {height}"
    for box in root.iter("{http://www.w3.org/2000/svg}rect"):
        x, y = int(box.attrib.get("x", "0")), int(box.attrib.get("y", "0"))
        assert x >= 0
        assert y >= 0
        assert x + int(box.attrib["width"]) <= width
        assert y + int(box.attrib["height"]) <= height


ODD = st.one_of(
    st.text(max_size=200),
    st.sampled_from(
        [
            'al"ice',
            "<script>alert(1)</script>",
            "a\nb\r\nc",
            "]]>&amp;",
            "%%{init: {}}%%",
            "a;b#c:d",
            "end",
            "愛麗絲",
            "e\u0301\u202eevil",
            "\ud800\ufffe\x1b[31m",
            "x" * 500,
        ]
    ),
)


@pytest.mark.exhaustive
@given(people=st.tuples(ODD, ODD, ODD), number=ODD, reason=ODD, width=st.integers(60, 140))
def test_no_name_breaks_anything(
    people: tuple[str, str, str], number: str, reason: str, width: int
) -> None:
    names: dict[str, str] = dict(zip(("a", "b", CAROL), people, strict=True))
    failed = CommandFailed(
        command=Dial(leg=CAROL, target=number, on_behalf_of="a", ring_timeout_s=1.0), reason=reason
    )
    ended = attrs.evolve(
        single(LegHungUp(leg="b", cause=reason)), outcome=Outcome.FAILED, cause=reason
    )
    asks = single(TransferRequested(leg="a", transfer="t", target=number, by=reason))
    records = [*records_of(WHOLE), single(failed), asks, ended]

    lines = story_lines(records, names)
    assert all(len(line.splitlines()) == 1 and "\x1b" not in line for line in lines)
    with Console(width=100, color_system=None).capture() as capture:
        Console(width=100, color_system=None).print(steps_table(records, names))
    assert "\x1b" not in capture.get()

    diagram = sequence(records, names)
    assert all(
        cell_len(name) <= LONGEST + len("hookflash (a caller)") for name in diagram.participants
    )
    text = sequence_text(diagram, width)
    assert max(map(cell_len, text.splitlines())) <= width
    check_mermaid(sequence_mermaid(diagram))
    texts = texts_of(sequence_svg(diagram))
    assert {name.strip() for name in diagram.participants} <= {text.strip() for text in texts}
