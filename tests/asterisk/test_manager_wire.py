"""Bytes of a manager interface in, messages out."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookflash.backends.asterisk.manager_wire import (
    HeaderValue,
    ManagerWire,
    ManagerWireError,
    Message,
    render,
)
from hookflash.errors import InputError

GREETING = b"Asterisk Call Manager/11.0.0\r\n"
RESPONSE = b"Response: Success\r\nActionID: hookflash-1\r\nMessage: Updated\r\n\r\n"
EVENT = (
    b"Event: DialBegin\r\nPrivilege: call,all\r\nChannel: PJSIP/1001-00000001\r\n"
    b"ChanVariable: A=1\r\nChanVariable: B=x=y\r\nDestChanVariable: A=2\r\n"
    b"ConnectedLineName: \r\nOdd\r\nDestination: caf\xc3\xa9 \xff\r\n\r\n"
)
STREAM = GREETING + RESPONSE + EVENT + RESPONSE


def parse(*chunks: bytes, most_bytes: int = 4096) -> tuple[list[Message], str]:
    wire = ManagerWire(max_message_bytes=most_bytes)
    found: list[Message] = []
    for chunk in chunks:
        try:
            wire.receive(chunk)
            for message in wire.messages():
                found.append(message)  # noqa: PERF402 - those before the fault count
        except ManagerWireError as error:
            return found, str(error)
    return found, ""


def test_responses_and_events_are_read() -> None:
    (response, event, _), error = parse(STREAM)
    assert not error
    assert (response.ok, response.event, response.action_id) == (True, "", "hookflash-1")
    assert response.get("message") == "Updated"
    assert (event.ok, event.event) == (False, "DialBegin")
    assert event.get("CHANNEL") == event.get("channel") == "PJSIP/1001-00000001"
    assert event.all("ChanVariable") == ("A=1", "B=x=y")
    assert event.variables() == {"A": "1", "B": "x=y"}
    assert event.variables("Dest") == {"A": "2"}
    assert event.get("odd") == event.get("ConnectedLineName") == event.get("nothing") == ""
    assert event.get("Destination") == "café \ufffd"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_the_cut_does_not_matter(size: int) -> None:
    chunks = [STREAM[place : place + size] for place in range(0, len(STREAM), size)]
    assert parse(*chunks) == parse(STREAM)


@given(
    st.binary(max_size=300),
    st.lists(st.integers(0, 600), max_size=8),
    st.sampled_from([GREETING, b""]),
)
def test_neither_the_messages_nor_the_error_depend_on_the_cut(
    noise: bytes, cuts: list[int], greeting: bytes
) -> None:
    data = greeting + noise + RESPONSE + noise
    places = [0, *sorted(cuts), len(data)]
    chunks = [data[one:other] for one, other in itertools.pairwise(places)]
    assert parse(*chunks, most_bytes=200) == parse(data, most_bytes=200)


def test_empty_lines_between_messages_mean_nothing() -> None:
    assert parse(GREETING + b"\r\n\r\n" + RESPONSE)[0] == parse(GREETING + RESPONSE)[0]


def test_memory_is_bounded() -> None:
    found, error = parse(GREETING + RESPONSE, b"A" * 4096)
    assert len(found) == 1
    assert error == "manager interface: a message is too long (at most 4096 bytes are accepted)"


def test_a_stranger_is_noticed_by_the_greeting() -> None:
    assert "its port is 5038" in parse(b"HTTP/1.1 400 Bad Request\r\n")[1]
    assert "the greeting is too long" in parse(b"x" * 300)[1]


def test_an_error_is_final() -> None:
    wire = ManagerWire()
    wire.receive(b"SSH-2.0\r\n")
    with pytest.raises(ManagerWireError):
        list(wire.messages())
    with pytest.raises(ManagerWireError):
        list(wire.messages())
    with pytest.raises(ManagerWireError):
        wire.receive(GREETING)


def test_an_action_is_rendered_with_repeated_headers() -> None:
    data = render("Originate", "x1", {"Priority": 1, "Variable": ["A=1", "B=é"], "Data": ""})
    assert data.decode() == (
        "Action: Originate\r\nActionID: x1\r\nPriority: 1\r\n"
        "Variable: A=1\r\nVariable: B=é\r\nData: \r\n\r\n"
    )


@pytest.mark.parametrize("value", ["a\r\nAction: Originate", "a\n", "\r", "\0", ["a", "b\n"]])
def test_a_value_can_not_smuggle_in_another_header(value: HeaderValue) -> None:
    with pytest.raises(InputError) as caught:
        render("Setvar", "x1", {"Value": value})
    assert "Setvar, 'Value'" in str(caught.value)
    assert "Originate" not in str(caught.value), "it may be a secret"
