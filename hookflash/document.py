"""Reads documents that people write (TOML, JSON), and checks them against a JSON Schema.

Faults are readable: each names its place, what is allowed, and the fix.
"""

from __future__ import annotations

import difflib
import itertools
import json
import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, cast

from jsonschema import Draft202012Validator, ValidationError

from hookflash.errors import InputError

MAX_FAULTS = 100
"""How many faults are reported at once."""

_KINDS = {
    "integer": "a whole number",
    "string": "a text",
    "object": "an object",
    "array": "a list",
    "boolean": "true or false",
}
"""JSON Schema's types in plain words."""

_SHOWN = 60
"""How many characters of an invalid value an error repeats."""

MAX_CONFIG_BYTES: Final = 1_000_000
"""No file that a person wrote is larger."""


def read_limited(file: Path, kind: str = "configuration file") -> bytes:
    """Read a file of at most `MAX_CONFIG_BYTES`.

    Raises:
        InputError: it can't be read, or is too large.
    """
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        what = f"can't be read: {error.strerror}"
        raise InputError(what, where=str(file), hint=f"name a {kind}") from error
    if len(data) > MAX_CONFIG_BYTES:
        raise InputError("is too large", where=str(file), hint=f"at most {MAX_CONFIG_BYTES} bytes")
    return data


def read_document(file: Path) -> object:
    """Read a JSON or TOML file.

    Raises:
        InputError: it can't be read, or is invalid.
    """
    text = read_limited(file)
    try:
        if file.suffix == ".toml":
            return tomllib.loads(text.decode("utf-8-sig"))
        return cast("object", json.loads(text, object_pairs_hook=_no_key_twice))
    except InputError as error:
        raise InputError(error.what, where=str(file), hint=error.hint) from error
    except (ValueError, RecursionError) as error:
        kind = "TOML" if file.suffix == ".toml" else "JSON"
        what = f"is not valid {kind}: {error}"
        raise InputError(what, where=str(file), hint=f"write {kind}") from error


def _no_key_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Refuse duplicate keys, of which Python's JSON parser silently drops the first."""
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise InputError(f"the key {key!r} is given twice", hint="give it once")
        found[key] = value
    return found


def load_schema(name: str) -> Mapping[str, Any]:
    """Read a schema that ships with hookflash, named by its path within the package."""
    text = files("hookflash").joinpath(name).read_text(encoding="utf-8")
    return cast("Mapping[str, Any]", json.loads(text))


def faults_of(document: object, schema: Mapping[str, Any], where: str) -> Iterator[InputError]:
    """Find what the schema forbids, each fault with its location and what is allowed."""
    # The validator's types know JSON only; what people write comes unchecked.
    validator = cast("Any", Draft202012Validator(schema))
    errors = cast("Iterable[ValidationError]", validator.iter_errors(document))
    for error in itertools.islice(errors, MAX_FAULTS):
        yield from _told(error, where)


def faults_of_numbers(document: object, where: str) -> Iterator[InputError]:
    """Find numbers that no schema can forbid but TOML and some JSON allow: NaN and infinities."""
    todo: list[tuple[str, object]] = [(where, document)]
    while todo:
        place, value = todo.pop()
        if isinstance(value, float) and not math.isfinite(value):
            yield InputError(f"{value} is not a number", where=place, hint="a finite number")
        elif isinstance(value, dict):
            inside = cast("dict[object, object]", value)
            todo += [(place_in(place, [key]), one) for key, one in inside.items()]
        elif isinstance(value, list):
            items = cast("list[object]", value)
            todo += [(place_in(place, [i]), one) for i, one in enumerate(items)]


def place_in(where: str, parts: Iterable[object]) -> str:
    r"""Format a location within a document: ``$.patterns."2(\\d+)".data``."""
    for part in parts:
        if isinstance(part, int):
            where += f"[{part}]"
        elif isinstance(part, str) and part.isidentifier() and part.isascii():
            where += f".{part}"
        else:
            where += f".{json.dumps(part)}"
    return where


def _told(error: ValidationError, where: str) -> Iterator[InputError]:
    """Translate a schema's error into plain words, with what is allowed."""
    schema = cast("dict[str, Any]", error.schema)
    place = place_in(where, error.absolute_path)
    hint = _hint(schema)
    shown = _shown(error.instance)
    match error.validator:
        case "additionalProperties":
            yield from _strange_keys(error, schema, place)
            return
        case "required":
            missing = [key for key in schema["required"] if key not in cast("Any", error.instance)]
            what = f"there is no {' and no '.join(json.dumps(key) for key in missing)}"
            hint = _hint(schema.get("properties", {}).get(missing[0], {})) or hint
        case "type":
            kind = str(schema["type"])
            what = f"{shown} is not {_KINDS.get(kind, f'a {kind}')}"
        case "oneOf":
            choices = [str(one["required"][0]) for one in schema["oneOf"]]
            what = f"exactly one of {', '.join(choices)} is wanted"
        case "minimum" | "maximum":
            what = f"{shown} is too {'small' if error.validator == 'minimum' else 'large'}"
        case "minItems" | "minProperties" | "maxItems" | "maxProperties":
            what = f"there are too {'few' if str(error.validator).startswith('min') else 'many'}"
        case _:  # enum, pattern and the like
            what = f"{shown} is not allowed"
            if "propertyNames" in error.absolute_schema_path:
                place = place_in(place, [error.instance])
    yield InputError(what, where=place, hint=hint)


def _hint(schema: Mapping[str, Any]) -> str:
    """What a schema allows, in words."""
    if "enum" in schema:
        return "one of " + ", ".join(str(choice) for choice in schema["enum"])
    return str(schema.get("description", ""))


def _strange_keys(
    error: ValidationError, schema: dict[str, Any], place: str
) -> Iterator[InputError]:
    """Report each unknown key, with the one that was probably meant."""
    known = list(cast("dict[str, object]", schema.get("properties", {})))
    allowed = f"allowed are {', '.join(known)}" if known else "nothing is allowed here"
    for key in cast("dict[str, object]", error.instance):
        if key not in known:
            yield InputError(
                "this key is not known",
                where=place_in(place, [key]),
                hint=meant(key, known) + allowed,
            )


def meant(written: str, known: Iterable[str]) -> str:
    """Suggest the known word that was probably meant; empty if no known word is close."""
    close = difflib.get_close_matches(str(written).lower(), known, n=1)
    return f"did you mean {close[0]}? " if close else ""


def _shown(value: object) -> str:
    """Repeat an invalid value if it is short enough."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, str):
        return json.dumps(value[:_SHOWN], ensure_ascii=False) + "…" * (len(value) > _SHOWN)
    return {"None": "null", "True": "true", "False": "false"}.get(repr(value), str(value)[:_SHOWN])
