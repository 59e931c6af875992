"""One connection to the emulator: every answer as a FreeSWITCH 1.10.12 gave it, and the limits."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookflash.backends.freeswitch.wire import Frame, Wire
from hookflash.emulator.emulator import Emulator
from hookflash.emulator.session import ConnectionLimits, EventSocketSession

GOODBYE = "Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n"
LEAVES = f"Content-Type: text/disconnect-notice\nContent-Length: 67\n\n{GOODBYE}"


def reply(text: str) -> str:
    return f"Content-Type: command/reply\nReply-Text: {text}\n\n"


def connect(emulator: Emulator | None = None) -> EventSocketSession:
    """A connection that has been greeted, and has authenticated."""
    session = (emulator or Emulator()).connect()
    session.receive(b"auth ClueCon\n\n")
    session.take()
    return session


def say(session: EventSocketSession, line: str) -> str:
    session.receive(f"{line}\n\n".encode())
    return session.take().decode()


def frames(data: bytes) -> list[Frame]:
    wire = Wire()
    wire.receive(data)
    return list(wire.frames())


def events(data: bytes) -> list[dict[str, str]]:
    return [json.loads(f.body) for f in frames(data) if f.content_type == "text/event-json"]


# ------------------------------------------------------------------- the door


def test_it_greets() -> None:
    session = Emulator().connect()
    assert session.take() == b"Content-Type: auth/request\n\n"
    assert session.take() == b""


@pytest.mark.parametrize(
    ("line", "answer", "is_over"),
    [
        ("auth ClueCon", reply("+OK accepted"), False),
        ("AUTH ClueCon", reply("+OK accepted"), False),
        ("auth ClueCon\r", reply("+OK accepted"), False),
        ("\n\nauth ClueCon", reply("+OK accepted"), False),
        ("auth wrong", reply("-ERR invalid") + LEAVES, True),
        ("auth ClueCon ", reply("-ERR invalid") + LEAVES, True),
        ("userauth x@y:z", reply("-ERR invalid") + LEAVES, True),
        ("auth", reply("-ERR command not found"), False),
        ("api status", reply("-ERR command not found"), False),
        ("event plain all", reply("-ERR command not found"), False),
        ("exit", reply("+OK bye") + LEAVES, True),
    ],
)
def test_before_anybody_is_let_in(line: str, answer: str, *, is_over: bool) -> None:
    emulator = Emulator()
    session = emulator.connect()
    session.take()
    assert say(session, line) == answer
    assert session.is_over is is_over
    assert emulator.bus.listeners == ([] if is_over else [session])
    assert say(session, "api uuid_exists x") == "" if is_over else session.has_spoken


def test_another_password() -> None:
    emulator = Emulator(password="s3cret")  # noqa: S106 - of an emulator
    session = emulator.connect()
    session.take()
    assert say(session, "auth s3cret") == reply("+OK accepted")
    assert say(session, "auth s3cret") == reply("-ERR command not found")


# ------------------------------------------------------------------- commands

NOBODYS = "-ERR not controlling a session"
ENABLED = "+OK event listener enabled plain"
NO_WORDS = "-ERR no keywords supplied"


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("nonsense", "-ERR command not found"),
        ("ex", "-ERR command not found"),
        ("api", "-ERR command not found"),
        ("bgapi", "-ERR command not found"),
        ("filter", "-ERR command not found"),
        ("myevents", "-ERR command not found"),
        ("getvar x", "-ERR command not found"),
        ("connect", "-ERR command not found"),
        ("event", NO_WORDS),
        ("event plain", NO_WORDS),
        ("event json", NO_WORDS),
        ("event plain NO_SUCH_EVENT", NO_WORDS),
        ("event xml all", "-ERR xml is not emulated"),
        ("event plain CHANNEL_ANSWER NOSUCH", ENABLED),
        ("event CHANNEL_ANSWER", ENABLED),
        ("event json channel_answer", "+OK event listener enabled json"),
        ("events plain ALL", ENABLED),
        ("eventfoo plain CHANNEL_ANSWER", ENABLED),
        ("event plain CUSTOM a::b c::d", ENABLED),
        ("nixevent CHANNEL_ANSWER", "+OK events nixed"),
        ("nixevent all", "+OK events nixed"),
        ("nixevent", NO_WORDS),
        ("nixevent NOSUCH", NO_WORDS),
        ("noevents", "-ERR not listening for events"),
        ("filter Unique-ID", "-ERR invalid syntax"),
        ("filter Unique-ID x", "+OK filter added. [Unique-ID]=[x]"),
        ("filter  a b", "+OK filter added. [a]=[b]"),
        ("filter add Unique-ID y z", "+OK filter added. [Unique-ID]=[y z]"),
        ("filter delete", "-ERR invalid syntax"),
        ("filter delete all", "+OK filter deleted. [all][]"),
        ("filter delete Unique-ID", "+OK filter deleted. [Unique-ID][]"),
        ("filter delete Unique-ID x", "+OK filter deleted. [Unique-ID][x]"),
        ("sendmsg", "-ERR invalid session id []"),
        ("sendmsg nope", "-ERR invalid session id [nope]"),
        ("sendmsg\nsession-id: foo", "-ERR invalid session id [foo]"),
        ("linger", NOBODYS),
        ("linger 5", NOBODYS),
        ("nolinger", NOBODYS),
        ("divert_events on", f"{NOBODYS}."),
        ("log", "+OK log level  [7]"),
        ("log info", "+OK log level info [6]"),
        ("log 3", "+OK log level 3 [3]"),
        ("log nope", "-ERR invalid log level"),
        ("log 99", "-ERR invalid log level"),
        ("logging", "-ERR invalid log level"),
        ("nolog", "-ERR not loging"),
        ("myevents nope", "+OK Events Enabled"),
        ("myevents nope plain", "-ERR invalid uuid"),
    ],
)
def test_answers(line: str, answer: str) -> None:
    assert say(connect(), line) == reply(answer)


def test_answers_that_hang_on_what_was_said_before() -> None:
    session = connect()
    say(session, "event plain all")
    assert say(session, "noevents") == reply("+OK no longer listening for events")
    assert say(session, "noeventsfoo") == reply("-ERR not listening for events")
    say(session, "log")
    assert say(session, "nolog") == reply("+OK no longer logging")
    assert say(session, "nologfoo") == reply("-ERR not loging")
    say(session, "myevents nope")
    assert say(session, "myevents nope") == reply("-ERR aready enabled.")
    assert say(session, "EXITnow") == reply("+OK bye") + LEAVES


@pytest.mark.parametrize(
    ("line", "body"),
    [
        ("api uuid_exists", "false"),
        ("aPi uuid_exists a", "false"),
        ("api ", "-ERR  Command not found!\n"),
        ("api  status", "-ERR  Command not found!\n"),
        ("api nosuchcommand x", "-ERR nosuchcommand Command not found!\n"),
        ("api global_getvar nosuch", "-ERR no reply\n"),
        ("api echo hä", "hä"),
    ],
)
def test_api(line: str, body: str) -> None:
    size = len(body.encode())
    head = f"Content-Type: api/response\nContent-Length: {size}\n\n"
    assert say(connect(), line) == head + body


def test_bgapi_answers_with_its_job_and_tells_the_result() -> None:
    session = connect()
    say(session, "event json BACKGROUND_JOB")
    said = say(session, "bgapi uuid_exists x\njob-uuid: abc")
    assert said.startswith(reply("+OK Job-UUID: abc\nJob-UUID: abc"))
    [job] = events(said.encode())
    assert (job["Job-UUID"], job["Job-Command"]) == ("abc", "uuid_exists")
    assert (job["Job-Command-Arg"], job["_body"]) == ("x", "false")
    [job] = events(say(session, "bgapi global_getvar nosuch").encode())
    assert len(job["Job-UUID"]) == 36
    assert job["_body"] == ""
    [job] = events(say(session, "bgapi hostname").encode())
    assert "Job-Command-Arg" not in job


def test_commands_in_one_packet_and_byte_by_byte() -> None:
    whole, bytewise = connect(), connect()
    text = (
        b"api uuid_exists x\n\n\r\n\nsendevent CUSTOM\nA: b\ncontent-length: 3\n\nabcnolog\r\n\r\n"
    )
    whole.receive(text)
    for byte in text:
        bytewise.receive(bytes([byte]))
    said = whole.take()
    assert said == bytewise.take()
    assert [frame.content_type for frame in frames(said)] == [
        "api/response",
        "command/reply",
        "command/reply",
    ]


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_no_bytes_do_harm(chunks: list[bytes]) -> None:
    emulator = Emulator()
    session = connect(emulator)
    for chunk in chunks:
        session.receive(chunk)
    emulator.world.run(100.0)
    assert session.is_over or say(session, "\n\nnolog").endswith("loging\n\n") or session.is_busy


# --------------------------------------------------------------------- events


def listening(line: str = "event json all") -> tuple[Emulator, EventSocketSession, str, str]:
    """Alice and Bob talk, and somebody listens."""
    emulator = Emulator()
    session = connect(emulator)
    say(session, line)
    alice, bob = emulator.call("1001", "1002")
    emulator.world.run(1.0)
    session.take()
    return emulator, session, alice, bob


def test_events_come_behind_the_answer_that_causes_them() -> None:
    _, session, alice, _ = listening()
    said = say(session, f"api uuid_kill {alice}")
    first, *rest = frames(said.encode())
    assert first.content_type == "api/response"
    assert [event["Event-Name"] for event in events(said.encode())] == ["CHANNEL_HANGUP"]
    assert len(rest) == 1


def test_only_what_was_asked_for() -> None:
    emulator, session, alice, bob = listening("event json DTMF")
    emulator.press(alice, "1")
    assert [event["DTMF-Digit"] for event in events(session.take())] == ["1"]
    say(session, "nixevent DTMF")
    say(session, "event json CHANNEL_HANGUP")
    emulator.press(alice, "2")
    emulator.hang_up(bob)
    assert [event["Event-Name"] for event in events(session.take())] == ["CHANNEL_HANGUP"]


def test_filters_let_through_what_matches_any_and_nothing_unwanted() -> None:
    emulator, session, alice, bob = listening("event json DTMF")

    def pressed(who: str, digit: str) -> bool:
        emulator.press(who, digit)
        return bool(events(session.take()))

    say(session, f"filter Unique-ID {bob.upper()}")
    assert not pressed(alice, "1")
    assert pressed(bob, "2")
    say(session, "filter DTMF-Digit /^[3]$/")
    assert pressed(alice, "3")
    assert not pressed(alice, "4")
    say(session, "filter DTMF-Digit -9")
    assert not pressed(bob, "9")
    say(session, "filter delete DTMF-Digit -9")
    assert pressed(bob, "9")
    say(session, "filter DTMF-Digit /(/")  # no regular expression: matches nothing
    assert not pressed(alice, "4")
    say(session, "filter delete all")
    assert pressed(alice, "4")


def test_filters_have_a_limit() -> None:
    session = connect()
    for place in range(1000):
        session.receive(b"filter a %d\n\n" % place)
    assert say(session, "filter a b").endswith(reply("-ERR too many filters"))


def test_custom_events_by_their_subclass() -> None:
    emulator = Emulator()
    speaker, one, other, everything = (connect(emulator) for _ in range(4))
    say(one, "event json CUSTOM my::event")
    say(other, "event json CUSTOM your::event")
    say(everything, "event json all")
    said = say(
        speaker,
        "sendevent CUSTOM\nEvent-Subclass: my::event\nX-Foo: a b\ncontent-length: 4\n\nbody",
    )
    assert said.startswith("Content-Type: command/reply\nReply-Text: +OK ")
    [event] = events(one.take())
    assert list(event)[:2] == ["Event-Subclass", "Event-Name"]
    assert (event["X-Foo"], event["_body"], event["Event-Name"]) == ("a b", "body", "CUSTOM")
    assert not events(other.take())
    assert events(everything.take())
    say(speaker, "sendevent")
    assert events(everything.take())[0]["Event-Name"] == "CLONE"


def test_myevents_follows_one_leg_to_its_end() -> None:
    emulator, session, alice, bob = listening("event json CUSTOM")
    assert say(session, f"myevents {alice} json") == reply("+OK Events Enabled")
    assert say(session, "divert_events") == reply("-ERR missing value.")
    assert say(session, "divert_events on") == reply("+OK events diverted")
    assert say(session, "divert_events off") == reply("+OK events not diverted")
    emulator.press(bob, "1")
    emulator.press(alice, "2")
    emulator.hang_up(bob)
    emulator.world.run(2.0)
    said = session.take()
    told = [event["Event-Name"] for event in events(said)]
    assert told[0] == "DTMF"
    assert told[-2:] == ["CHANNEL_DESTROY", "CHANNEL_STATE"]
    assert said.decode().endswith(LEAVES)
    assert session.is_over


def test_a_session_may_linger() -> None:
    emulator, session, alice, _ = listening("event json CUSTOM")
    say(session, f"myevents {alice}")
    assert say(session, "linger") == reply("+OK will linger")
    assert say(session, "nolinger") == reply("+OK will not linger")
    assert say(session, "linger 3") == reply("+OK will linger 3 seconds")
    emulator.hang_up(alice)
    emulator.world.run(2.0)
    assert b"Content-Disposition: linger\n" in session.take()
    assert not session.is_over
    emulator.world.run(10.0)
    assert session.take().decode() == LEAVES
    assert session.is_over


def test_a_session_may_linger_for_ever_and_be_closed_meanwhile() -> None:
    emulator, session, alice, bob = listening("event json CUSTOM")
    other = connect(emulator)
    say(other, f"myevents {bob}")
    say(other, "linger 3")
    say(session, f"myevents {alice}")
    say(session, "linger")
    emulator.hang_up(alice)
    emulator.world.run(2.0)
    other.close()
    emulator.world.run(100.0)
    assert not session.is_over
    assert b"Linger-Time: -1\n" in session.take()
    session.close()
    emulator.bus.remove(session)
    assert emulator.bus.listeners == []


# ------------------------------------------------------------------- sendmsg


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ("", "-ERR call-command  is not emulated"),
        ("call-command: nomedia", "-ERR call-command nomedia is not emulated"),
        (
            "call-command: execute\nexecute-app-name: conference",
            "-ERR application conference is not emulated",
        ),
        ("call-command: execute\nexecute-app-name: answer", "+OK"),
        ("call-command: HANGUP\nhangup-cause: 17", "+OK"),
    ],
)
def test_sendmsg(message: str, answer: str) -> None:
    _, session, alice, _ = listening("event json CUSTOM")
    assert say(session, f"sendmsg {alice}\n{message}") == reply(answer)


def test_sendmsg_takes_its_argument_from_the_body_too() -> None:
    emulator, session, alice, _ = listening("event json CUSTOM")
    say(
        session,
        f"sendmsg\nsession-id: {alice}\ncall-command: execute\nexecute-app-name: set\n"
        "content-type: text/plain\ncontent-length: 8\n\nfoo=body",
    )
    assert emulator.api.execute("uuid_getvar", f"{alice} foo") == "body"


def test_runs_are_told_by_their_ids() -> None:
    emulator, session, alice, _ = listening("event json CHANNEL_EXECUTE CHANNEL_EXECUTE_COMPLETE")
    for app, argument, run in (
        ("set", "foo=bar", "run-1"),
        ("playback", "tone_stream://%(300,0,440)", "run-2"),
    ):
        session.receive(
            f"sendmsg {alice}\ncall-command: execute\nexecute-app-name: {app}\n"
            f"execute-app-arg: {argument}\nEvent-UUID: {run}\n\n".encode()
        )
    emulator.world.run(3.0)
    told = [
        (e["Event-Name"], e["Application"], e["Application-UUID"], e.get("Application-Response"))
        for e in events(session.take())
    ]
    assert told == [
        ("CHANNEL_EXECUTE", "set", "run-1", None),
        ("CHANNEL_EXECUTE_COMPLETE", "set", "run-1", "_none_"),
        ("CHANNEL_EXECUTE", "playback", "run-2", None),
        ("CHANNEL_EXECUTE_COMPLETE", "playback", "run-2", "FILE PLAYED"),
    ]


# -------------------------------------------------------- api originate blocks


def test_api_originate_holds_everything_back_until_it_is_done() -> None:
    emulator = Emulator()
    session = connect(emulator)
    ready: list[bool] = []
    session.on_ready = lambda: ready.append(True)
    say(session, "event json all")
    assert say(session, "api originate {origination_uuid=c}user/2600 &park()") == ""
    assert session.is_busy
    assert say(session, "api uuid_exists c") == ""
    emulator.world.run(1.0)
    assert session.take() == b""
    emulator.world.run(3.0)
    told = frames(session.take())
    assert told[0].text() == "+OK c\n"
    assert json.loads(told[1].body)["Event-Name"] == "CHANNEL_STATE"
    assert "true" in [frame.text() for frame in told if frame.content_type == "api/response"]
    assert ready == [True]
    assert not session.is_busy


def test_a_client_that_leaves_while_it_waits() -> None:
    emulator = Emulator()
    session = connect(emulator)
    say(session, "api originate user/2600 &park()")
    session.close()
    emulator.world.run(3.0)
    assert session.take() == b""


# --------------------------------------------------------------------- limits

LIMITS = ConnectionLimits(packet_bytes=200, body_bytes=100, backlog_bytes=20_000)


@pytest.mark.parametrize(
    "packet",
    [
        b"api echo " + b"x" * 300,
        b"api echo " + b"x" * 300 + b"\n\n",
        b"sendevent CUSTOM\ncontent-length: 101\n\n",
        b"sendevent CUSTOM\ncontent-length: 99999999999999999999999\n\n",
    ],
)
def test_a_packet_that_is_too_long_ends_the_session(packet: bytes) -> None:
    session = connect(Emulator(limits=LIMITS))
    session.receive(packet)
    assert session.is_over
    assert session.take().decode() == LEAVES
    session.receive(b"api status\n\n")
    assert session.take() == b""


def test_a_length_that_is_no_number_is_none() -> None:
    session = connect()
    assert "+OK" in say(session, "sendevent CUSTOM\ncontent-length: -5\nno colon here")


def test_who_does_not_read_is_cut_off() -> None:
    emulator = Emulator(limits=LIMITS)
    session = connect(emulator)
    outputs: list[bool] = []
    session.on_output = lambda: outputs.append(session.is_cut_off)
    session.receive(b"event plain all\n\n")
    emulator.call("1001", "1002")
    emulator.world.run(1.0)
    assert session.is_cut_off
    assert session.is_over
    assert session.take() == b""
    assert outputs[-1]
    assert emulator.bus.listeners == []


def test_who_does_not_read_while_it_waits_is_cut_off() -> None:
    emulator = Emulator(limits=LIMITS)
    session = connect(emulator)
    session.receive(b"event plain all\n\napi originate user/2600 &park()\n\n")
    emulator.call("1001", "1002")
    emulator.world.run(5.0)
    assert session.is_cut_off
    assert session.take() == b""
