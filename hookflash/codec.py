"""JSON for events, commands and records: only at the edges, and the same in both directions.

Each value becomes an object whose `type` is the name of its class (`{"type": "LegParked", "leg":
…}`), so that a mixed stream can be read. A sound is written as its text (see `hookflash.sounds`);
FreeSWITCH's texts, which older journals contain, can be read too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast, get_args

from cattrs import BaseValidationError, Converter, transform_error
from cattrs.preconf.json import JsonConverter, make_converter
from cattrs.strategies import configure_tagged_union
from cattrs.v import format_exception

from hookflash.commands import Command
from hookflash.errors import InputError
from hookflash.events import Event
from hookflash.sounds import (
    AskedSound,
    Conversation,
    HeardSound,
    Media,
    Music,
    OptionalSound,
    OtherSound,
    Recording,
    Sound,
    Tone,
    heard_sound,
    parse_asked_sound,
    parse_optional_sound,
    parse_sound,
)
from hookflash.transfer_context import ProgramData, program_data

Value = TypeVar("Value")


def json_converter() -> JsonConverter:
    """A converter for the vocabulary. Programs can register types of their own with it."""
    converter = make_converter(forbid_extra_keys=True)
    teach_values(converter)
    configure_tagged_union(Command, converter, tag_name="type")
    configure_tagged_union(Event, converter, tag_name="type")
    return converter


def teach_values(converter: Converter) -> None:
    """Make a converter write sounds as text, and a program's data as an object."""
    converter.register_unstructure_hook(ProgramData, lambda data: data.value)
    converter.register_structure_hook(ProgramData, lambda value, _: program_data(value))
    for kind in (Music, Tone, Recording, OtherSound, Conversation, Media):
        converter.register_unstructure_hook(kind, str)
    for union, reader in (
        (Sound, parse_sound),
        (AskedSound, parse_asked_sound),
        (OptionalSound, parse_optional_sound),
        (HeardSound, _heard),
        (Sound | Conversation, _heard),
    ):
        converter.register_structure_hook(union, _read_text_with(reader))
        converter.register_structure_hook(union | None, _read_text_with(reader, or_none=True))


def _heard(text: str) -> HeardSound:
    is_part = text.startswith("conversation:")
    return Conversation(text.partition(":")[2]) if is_part else heard_sound(text)


def _read_text_with(
    reader: Callable[[str], HeardSound | OptionalSound], *, or_none: bool = False
) -> Callable[[object, Any], HeardSound | OptionalSound | None]:
    def read(text: object, _: Any) -> HeardSound | OptionalSound | None:
        if text is None and or_none:
            return None
        if not isinstance(text, str):
            raise InputError(f"{text!r} is not a sound", hint="a text, such as music:default")
        return reader(text)

    return read


def _in_words(error: BaseException, kind: type[Any] | None) -> str:
    return str(error) if isinstance(error, InputError) else format_exception(error, kind)


_CONVERTER = json_converter()
_COMMANDS = frozenset(cls.__name__ for cls in get_args(Command))


def to_document(value: Event | Command) -> dict[str, Any]:
    """Convert an event or a command to JSON types."""
    union: Any = Command if type(value).__name__ in _COMMANDS else Event
    return cast("dict[str, Any]", _CONVERTER.unstructure(value, union))


def event_from(document: Mapping[str, Any], *, where: str = "$") -> Event:
    """Read an event.

    Raises:
        InputError: the document is not an event; the message names the location in it.
    """
    return _read(document, Event, where)


def command_from(document: Mapping[str, Any], *, where: str = "$") -> Command:
    """Read a command.

    Raises:
        InputError: the document is not a command; the message names the location in it.
    """
    return _read(document, Command, where)


def _read(document: Mapping[str, Any], union: Any, where: str) -> Any:
    kind = document.get("type")
    allowed = sorted(cls.__name__ for cls in get_args(union))
    if kind not in allowed:
        raise InputError(
            f"{kind!r} is no known type", where=f"{where}.type", hint="one of " + ", ".join(allowed)
        )
    try:
        return _CONVERTER.structure(document, union)
    except (BaseValidationError, ValueError, TypeError, KeyError) as error:
        what = "; ".join(transform_error(error, where, _in_words))
        raise InputError(what, where=where) from error
