"""JSON both ways, for every word of the vocabulary."""

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookflash.codec import command_from, event_from, to_document
from hookflash.commands import Command
from hookflash.errors import InputError
from hookflash.events import Event, LegAnswered, SoundStarted, TransferOptions, TransferRequested
from hookflash.sounds import Burst, Media, Music, OtherSound, Recording, Tone, parse_sound
from hookflash.transfer_context import ProgramData, program_data

NAMES = st.text("ab0_./-", min_size=1, max_size=9).filter(lambda name: ".." not in name)
BURSTS = st.builds(
    Burst, st.lists(st.integers(1, 9_999), max_size=4).map(tuple), st.integers(1, 999_999)
)
st.register_type_strategy(Music, st.builds(Music, NAMES))
st.register_type_strategy(Recording, st.builds(Recording, NAMES))
st.register_type_strategy(
    Tone,
    st.builds(
        Tone,
        st.lists(BURSTS, min_size=1, max_size=16).map(tuple),
        st.none() | st.integers(1, 99_999_999),
    ),
)
st.register_type_strategy(
    Media, st.builds(Media, st.sampled_from(["a", "b-1", "/acme/a", "f" * 32]))
)
st.register_type_strategy(
    ProgramData, st.dictionaries(st.text(max_size=9), st.text(max_size=9)).map(program_data)
)
st.register_type_strategy(OtherSound, st.builds(OtherSound, st.text(max_size=20)))


def _is_itself(value: Any) -> bool:
    """NaN, which JSON has not, is not."""
    return bool(value == value)  # noqa: PLR0124 - that is the question


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", get_args(Event))
@given(data=st.data())
def test_events_survive(kind: type[Any], data: st.DataObject) -> None:
    event: Any = data.draw(st.from_type(kind).filter(_is_itself))
    assert event_from(json.loads(json.dumps(to_document(event)))) == event


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", get_args(Command))
@given(data=st.data())
def test_commands_survive(kind: type[Any], data: st.DataObject) -> None:
    command: Any = data.draw(st.from_type(kind).filter(_is_itself))
    assert command_from(json.loads(json.dumps(to_document(command)))) == command


def test_a_sound_is_its_text() -> None:
    asked = TransferRequested(leg="a", transfer="t", options=TransferOptions(music=Music("jazz")))
    document = to_document(asked)
    assert (document["options"]["music"], document["options"]["ringback"]) == ("music:jazz", None)


def test_the_texts_of_older_journals_are_read() -> None:
    asked = event_from(
        {
            "type": "TransferRequested",
            "leg": "a",
            "transfer": "t",
            "options": {"music": "local_stream://moh", "ringback": "%(2000,4000,440,480)"},
        }
    )
    assert isinstance(asked, TransferRequested)
    assert asked.options.music == Music()
    assert asked.options.ringback == parse_sound("tone:440+480/2000,0/4000")
    for text in ("say::hello", "other:say::hello"):
        started = event_from({"type": "SoundStarted", "leg": "a", "sound": text})
        assert started == SoundStarted(leg="a", sound=OtherSound("say::hello"))


def test_the_type_comes_with_the_value() -> None:
    assert to_document(LegAnswered(leg="a")) == {"type": "LegAnswered", "leg": "a"}


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({}, r"\$.type: None is no known type"),
        ({"type": "LegFlew", "leg": "a"}, "'LegFlew' is no known type"),
        ({"type": "LegAnswered"}, r"required field missing"),
        ({"type": "LegAnswered", "leg": "a", "wings": 2}, "wings"),
        (
            {
                "type": "TransferRequested",
                "leg": "a",
                "transfer": "t",
                "options": {"music": "http://a/b"},
            },
            r"http: is not allowed, .*file:NAME.* @ \$\.options\.music",
        ),
        ({"type": "SoundStarted", "leg": "a", "sound": 3}, "3 is not a sound .a text"),
    ],
)
def test_what_is_wrong_is_named(document: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        event_from(document)
