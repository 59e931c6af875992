"""What people write (TOML, JSON), checked against a JSON Schema, with faults in human words."""

from __future__ import annotations

import difflib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from typing import Any, cast

from jsonschema import Draft202012Validator, ValidationError

from hookflash.errors import InputError

MAX_FAULTS = 100
"""Faults that are told at once."""

_KINDS = {"integer": "a whole number", "string": "a text", "object": "a table", "array": "a list"}


def load_schema(name: str) -> Mapping[str, Any]:
    """Read one of the schemas that ship with hookflash."""
    text = files("hookflash.specs").joinpath(name).read_text(encoding="utf-8")
    return cast("Mapping[str, Any]", json.loads(text))


def faults_of(document: object, schema: Mapping[str, Any], where: str) -> Iterator[InputError]:
    """Find what the schema forbids, each fault with its place and what would be allowed."""
    validator = cast("Any", Draft202012Validator(schema))
    errors = cast("Iterable[ValidationError]", validator.iter_errors(document))
    for error in itertools.islice(errors, MAX_FAULTS):
        yield from _told(error, where)


def path(where: str, parts: Iterable[object]) -> str:
    r"""Spell a place within a document: ``$.patterns."2(\\d+)".data``."""
    for part in parts:
        if isinstance(part, int):
            where += f"[{part}]"
        elif isinstance(part, str) and part.isidentifier() and part.isascii():
            where += f".{part}"
        else:
            where += f".{json.dumps(part)}"
    return where


def _told(error: ValidationError, where: str) -> Iterator[InputError]:
    schema = cast("dict[str, Any]", error.schema)
    place = path(where, error.absolute_path)
    mend = str(schema.get("description", ""))
    match error.validator:
        case "additionalProperties":
            yield from _strange_keys(error, schema, place)
            return
        case "required":
            missing = [key for key in schema["required"] if key not in cast("Any", error.instance)]
            what = f"there is no {' and no '.join(repr(key) for key in missing)}"
        case "type":
            kind = str(schema["type"])
            what = f"{_shown(error.instance)} is not {_KINDS.get(kind, f'a {kind}')}"
        case "oneOf":
            choices = [str(one["required"][0]) for one in schema["oneOf"]]
            what = f"exactly one of {', '.join(choices)} is wanted"
        case "minimum" | "maximum" | "minItems" | "maxItems" | "minProperties" | "maxProperties":
            what = f"{_shown(error.instance)} is out of range"
        case "enum":
            what = f"{_shown(error.instance)} is not allowed"
            mend = "one of " + ", ".join(str(choice) for choice in schema["enum"])
        case _:
            what = f"{_shown(error.instance)} is not allowed"
            if "propertyNames" in error.absolute_schema_path:
                place = path(place, [error.instance])
    yield InputError(what, where=place, mend=mend)


def _strange_keys(
    error: ValidationError, schema: dict[str, Any], place: str
) -> Iterator[InputError]:
    """Name each key that is not known here, and the one that was probably meant."""
    known = list(cast("dict[str, object]", schema.get("properties", {})))
    allowed = f"allowed are {', '.join(known)}" if known else "nothing is allowed here"
    for key in cast("dict[str, object]", error.instance):
        if key not in known:
            close = difflib.get_close_matches(str(key).lower(), known, n=1)
            meant = f"did you mean {close[0]}? " if close else ""
            yield InputError(
                "this key is not known", where=path(place, [key]), mend=meant + allowed
            )


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    limit = 60
    return text if len(text) <= limit else text[:limit] + "…"
