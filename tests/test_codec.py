"""JSON both ways, for every word of the vocabulary."""

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookflash.codec import command_from, event_from, to_document
from hookflash.commands import Command
from hookflash.errors import InputError
from hookflash.events import Event, LegParked


def _is_itself(value: Any) -> bool:
    """NaN, which JSON has not, is not."""
    return bool(value == value)  # noqa: PLR0124 - that is the question


@pytest.mark.parametrize("kind", get_args(Event))
@given(data=st.data())
def test_events_survive(kind: type[Any], data: st.DataObject) -> None:
    event: Any = data.draw(st.from_type(kind).filter(_is_itself))
    assert event_from(json.loads(json.dumps(to_document(event)))) == event


@pytest.mark.parametrize("kind", get_args(Command))
@given(data=st.data())
def test_commands_survive(kind: type[Any], data: st.DataObject) -> None:
    command: Any = data.draw(st.from_type(kind).filter(_is_itself))
    assert command_from(json.loads(json.dumps(to_document(command)))) == command


def test_the_type_comes_with_the_value() -> None:
    assert to_document(LegParked(leg="a")) == {"type": "LegParked", "leg": "a"}


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({}, r"\$.type: None is no known type"),
        ({"type": "LegFlew", "leg": "a"}, "'LegFlew' is no known type"),
        ({"type": "LegParked"}, r"required field missing"),
        ({"type": "LegParked", "leg": "a", "wings": 2}, "wings"),
    ],
)
def test_what_is_wrong_is_named(document: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        event_from(document)
