"""Reads JSON of strangers, and translates msgspec's errors: the message names the field."""

from __future__ import annotations

import re
from typing import Any, Final, get_args

import msgspec

from hookflash.errors import InputError

_NAMED: Final = re.compile(
    r"Object (?P<what>contains unknown|missing required) field `(?P<name>.+)`"
)
_WORDS: Final = {"contains unknown": "is not a known field", "missing required": "is missing"}


def input_error(error: msgspec.ValidationError, kind: type[msgspec.Struct]) -> InputError:
    """Translate a validation error of a value of this kind."""
    what, _, place = str(error).partition(" - at `")
    where = place.rstrip("`") or "$"
    named = _NAMED.fullmatch(what)
    if named is not None:
        what, where = _WORDS[named["what"]], f"{where}.{named['name']}"
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    meant = _description(fields.get(where.removeprefix("$.")))
    known = f"known are {', '.join(sorted(fields))}"
    return InputError(what, where=where, hint=meant or known)


def decode_json(text: str | bytes) -> Any:
    """Decode JSON that a stranger has sent.

    Raises:
        InputError: it is not JSON, or not even text.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        why = "it is not UTF-8" if isinstance(error, UnicodeError) else str(error)
        why = why or "it is nested too deeply"
        raise InputError(f"is not JSON: {why}", where="$", hint="one JSON object") from error


def _description(kind: Any) -> str:
    """The description of a type, which may be in a union."""
    for part in (kind, *get_args(kind)):
        for extra in (part, *getattr(part, "__metadata__", ())):
            if isinstance(extra, msgspec.Meta) and extra.description is not None:
                return extra.description.removesuffix(".")
    return ""
