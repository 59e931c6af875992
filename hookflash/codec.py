"""JSON for events, commands and records: only at the edge, and the same way in and out.

Each value becomes an object whose `type` is its class's name (`{"type": "LegParked", "leg": …}`),
so that a stream of them can be read without knowing what comes next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast, get_args

from cattrs import BaseValidationError, transform_error
from cattrs.preconf.json import JsonConverter, make_converter
from cattrs.strategies import configure_tagged_union

from hookflash.commands import Command
from hookflash.errors import InputError
from hookflash.events import Event

Value = TypeVar("Value")


def json_converter() -> JsonConverter:
    """A converter that knows the vocabulary. Programs may teach it their own types."""
    converter = make_converter(forbid_extra_keys=True)
    configure_tagged_union(Command, converter, tag_name="type")
    configure_tagged_union(Event, converter, tag_name="type")
    return converter


_CONVERTER = json_converter()
_COMMANDS = frozenset(cls.__name__ for cls in get_args(Command))


def to_document(value: Event | Command) -> dict[str, Any]:
    """An event or a command as JSON's types."""
    union: Any = Command if type(value).__name__ in _COMMANDS else Event
    return cast("dict[str, Any]", _CONVERTER.unstructure(value, union))


def event_from(document: Mapping[str, Any], *, where: str = "$") -> Event:
    """Read an event.

    Raises:
        InputError: it is none; the message names the place in the document.
    """
    return _read(document, Event, where)


def command_from(document: Mapping[str, Any], *, where: str = "$") -> Command:
    """Read a command.

    Raises:
        InputError: it is none; the message names the place in the document.
    """
    return _read(document, Command, where)


def _read(document: Mapping[str, Any], union: Any, where: str) -> Any:
    kind = document.get("type")
    allowed = sorted(cls.__name__ for cls in get_args(union))
    if kind not in allowed:
        raise InputError(
            f"{kind!r} is no known type", where=f"{where}.type", mend="one of " + ", ".join(allowed)
        )
    try:
        return _CONVERTER.structure(document, union)
    except (BaseValidationError, ValueError, TypeError, KeyError) as error:
        raise InputError("; ".join(transform_error(error, path=where)), where=where) from error
