"""Describes the files that people write, from their JSON schemas."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from hookflash.document import load_schema
from reference_pages.markdown import grid, paragraphs, sentence


class Schema:
    """A JSON Schema, described for readers."""

    def __init__(
        self,
        name: str,
        *,
        units: Mapping[str, str] | None = None,
        defaults: Mapping[str, str] | None = None,
    ) -> None:
        """Read a schema of the package.

        Args:
            name: the name of the file.
            units: of keys whose name does not contain it.
            defaults: of keys whose description does not contain it.
        """
        self.top = load_schema(name)
        self.parts: Mapping[str, Mapping[str, Any]] = self.top["$defs"]
        self.units = units or {}
        self.defaults = defaults or {}

    def section(self, title: str, part: str = "", *, level: int = 2) -> str:
        """A heading, and the keys below it."""
        schema = self.parts[part] if part else self.top
        text = sentence(str(schema.get("description", "")))
        return paragraphs(f"{'#' * level} {title}", text, self._keys(schema))

    def _keys(self, schema: Mapping[str, Any]) -> str:
        """The keys of a table, each with its unit and its default."""
        needed = schema.get("required", ())

        def row(key: str, value: Mapping[str, Any]) -> tuple[str, ...]:
            text, default = self._default(value)
            unit = self.units.get(key, "seconds" if key.endswith("_s") else "")
            default = "*required*" if key in needed else default or self.defaults.get(key, "")
            return (f"`{key}`", self._allowed(value), unit, default, text)

        properties = cast("Mapping[str, Mapping[str, Any]]", schema["properties"])
        head = ("key", "value", "unit", "default", "meaning")
        return grid(head, (row(key, value) for key, value in properties.items()))

    def _default(self, schema: Mapping[str, Any]) -> tuple[str, str]:
        """The meaning of a key, and its default, which is part of the description."""
        text = str(self._whole(schema).get("description", ""))
        found = re.search(r"[;,] (?P<default>[^;,]+) by default", text)
        if found is None:
            return text, f"`{schema['default']}`" if "default" in schema else ""
        return text[: found.start()] + text[found.end() :], f"`{found['default']}`"

    def _whole(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """A schema, with its `$ref` resolved."""
        if "$ref" not in schema:
            return schema
        return {**self.parts[schema["$ref"].rpartition("/")[2]], **schema}

    def _allowed(self, schema: Mapping[str, Any]) -> str:
        """What it allows, in words."""
        whole = self._whole(schema)
        if "enum" in whole:
            return ", ".join(f"`{choice}`" for choice in whole["enum"])
        if "anyOf" in whole:
            return " or ".join(map(self._allowed, whole["anyOf"]))
        if "properties" in whole and "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            return f"[{name}](#{name})"
        match whole.get("type"):
            case "array":
                return f"list of {self._allowed(whole.get('items', {})) or 'anything'}"
            case "object":
                inside = cast("Mapping[str, Any]", whole.get("additionalProperties") or {})
                return f"table of {self._allowed(inside)}" if inside else "table"
            case kind:
                word = {"string": "text", "integer": "whole number"}.get(str(kind), str(kind or ""))
                return word + _span(whole)


def _span(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None or high is None:
        return "" if low is None else f", {low} or more"
    return f", {low} to {high}"
