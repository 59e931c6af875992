"""What msgspec finds wrong, as an error that names the field."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from hookflash.errors import InputError

_FIELD: Final = re.compile(
    r"Object (?P<what>contains unknown|missing required) field `(?P<name>.+)`"
)
_WORDS: Final = {"contains unknown": "is not a known field", "missing required": "is missing"}


def input_error(error: msgspec.ValidationError) -> InputError:
    """Make an `InputError` of what msgspec has found."""
    what, _, place = str(error).partition(" - at `")
    where = place.rstrip("`") or "$"
    named = _FIELD.fullmatch(what)
    if named is not None:
        what, where = _WORDS[named["what"]], f"{where}.{named['name']}"
    return InputError(what, where=where, hint="see the reference")
