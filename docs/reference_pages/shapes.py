"""Describes what programs exchange: the keys of a msgspec struct, with types in words."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import msgspec
from msgspec import inspect as shapes

from reference_pages.markdown import grid, sentence
from reference_pages.source import PACKAGE, class_of, fields_of


def shape_section(
    title: str, kind: type[msgspec.Struct], *, level: int = 2, before: str = ""
) -> Iterator[str]:
    """A shape: a heading, and its keys."""
    yield f"{'#' * level} {title}"
    yield before + (inspect.getdoc(kind) or "")
    yield struct_keys(kind)


def struct_keys(kind: type[msgspec.Struct]) -> str:
    """The keys of a shape: types from the validator, meanings from the docstrings."""
    path = str(Path(inspect.getfile(kind)).relative_to(PACKAGE))
    texts = {field.name: field.text for field in fields_of(class_of(path, kind.__name__))}
    found = cast("shapes.StructType", shapes.type_info(kind))

    def row(field: shapes.Field) -> tuple[str, ...]:
        allowed, meant = type_in_words(field.type)
        name = f"`{field.encode_name}`"
        return (name, allowed, default_of(field), meaning(texts.get(field.name) or meant))

    return grid(("key", "value", "default", "meaning"), map(row, found.fields))


def meaning(text: str) -> str:
    """A meaning as a sentence; some names need none."""
    return sentence(text) if text else ""


def default_of(field: shapes.Field) -> str:
    """The default of a key."""
    if field.required:
        return "*required*"
    value = field.default
    if value is msgspec.NODEFAULT or value is None or isinstance(value, msgspec.Struct):
        return ""
    return f"`{msgspec.json.encode(value).decode()}`"


_WORDS: Mapping[str, str] = {
    "StrType": "text",
    "IntType": "whole number",
    "FloatType": "number",
    "BoolType": "true or false",
    "AnyType": "anything",
    "NoneType": "null",
    "RawType": "anything",
}


def type_in_words(kind: shapes.Type) -> tuple[str, str]:  # noqa: PLR0911 - a case each
    """What a type allows, and its meaning if the type has one."""
    match kind:
        case shapes.Metadata():
            words, meant = type_in_words(kind.type)
            extra = cast("Mapping[str, str]", kind.extra_json_schema or {})
            words = "table of anything" if extra.get("type") == "object" else words
            return words, extra.get("description", meant)
        case shapes.EnumType():
            return ", ".join(f"`{one.value}`" for one in kind.cls), ""
        case shapes.LiteralType():
            return ", ".join(f"`{one}`" for one in kind.values), ""
        case shapes.UnionType():
            each = [type_in_words(one) for one in kind.types]
            meant = next((text for _, text in each if text), "")
            return " or ".join(dict.fromkeys(words for words, _ in each)), meant
        case shapes.VarTupleType() | shapes.ListType():
            return f"list of {type_in_words(kind.item_type)[0]}", ""
        case shapes.TupleType():
            return f"[{', '.join(type_in_words(one)[0] for one in kind.item_types)}]", ""
        case shapes.DictType():
            return f"table of {type_in_words(kind.value_type)[0]}", ""
        case shapes.StructType():
            return struct_in_words(kind), ""
        case _:
            return _WORDS[type(kind).__name__] + bounds(kind), ""


def struct_in_words(kind: shapes.StructType) -> str:
    """A shape within another."""
    name = kind.cls.__name__
    return "table" if name.endswith("Keys") else f"[{name}](#{name.lower()})"


_MORE_THAN_ENOUGH = 100_000_000
"""A larger limit is technical, and not shown."""


_LONG_TEXT = 500
"""A longer limit of a text is technical too."""


def bounds(kind: shapes.Type) -> str:
    """The range of a number, or the length of a text."""
    low, above = getattr(kind, "ge", None), getattr(kind, "gt", None)
    high, longest = getattr(kind, "le", None), getattr(kind, "max_length", None)
    if longest is not None and longest < _LONG_TEXT:
        return f" of at most {longest} characters"
    from_on = f", {low} or more" if low is not None else ""
    from_on = f", more than {above}" if above is not None else from_on
    if high is None or high >= _MORE_THAN_ENOUGH:
        return from_on
    return f", {low} to {high}" if low is not None else f"{from_on}, at most {high}"
