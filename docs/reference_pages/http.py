"""The page about the HTTP API, generated from its OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import msgspec

from hookflash.api import answers
from hookflash.api.requests import ListedTarget
from hookflash.server.http import envelope, health, sign_in
from hookflash.server.http.document import openapi_document
from reference_pages.markdown import grid, page, paragraphs, sentence
from reference_pages.shapes import shape_section


def http_page() -> str:
    """The HTTP API."""
    document = openapi_document()
    by_tag: dict[str, list[str]] = {}
    wrong: dict[str, str] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if "responses" in operation:
                tag = operation["tags"][0]
                by_tag.setdefault(tag, []).append(
                    http_operation(method, path, operation, document["components"]["schemas"])
                )
                wrong |= {
                    status: one["description"]
                    for status, one in operation["responses"].items()
                    if status >= "400" and tag != "health"
                }
    names = sorted(document["components"]["schemas"])
    return page(
        "The HTTP API",
        document["info"]["description"],
        "[Transfer by HTTP](../how-to/transfer-by-http.md) shows it at work. "
        "[openapi.json](openapi.json) is the same for programs; a running service has it at "
        "`/openapi.json`, and as a page at `/`. An unknown field is rejected, so that nothing "
        "is ignored silently.",
        "Every answer is an object: `data`, a `request_id`, and `status`, which is `success` or "
        "`error`.",
        *(part for tag, asked in by_tag.items() for part in (f"## {tag.capitalize()}", *asked)),
        "## Errors",
        grid(("status", "meaning"), sorted(wrong.items())),
        "The answer is an [ErrorEnvelope](#errorenvelope).",
        "## Shapes",
        *(part for name in names for part in http_shape(name, document["components"]["schemas"])),
        *shape_section(ListedTarget.__name__, ListedTarget, level=3),
    )


def http_shape(name: str, schemas: Mapping[str, Any]) -> Iterator[str]:
    """A shape: a struct, or what the body says for one action."""
    if name.endswith("Action"):
        yield from action_section(name, schemas[name])
    for module in _HTTP_SHAPES:
        kind = getattr(module, name, None)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            yield from shape_section(name, kind, level=3)
            return


_HTTP_SHAPES = (answers, envelope, health, sign_in)


def action_section(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    """What a body has for one action."""
    yield f"### {name}"
    yield str(schema["description"])
    rows = (
        (
            f"`{key}`",
            schema_in_words(one),
            "*must be there*" if key in schema["required"] else "",
            meaning_of(one),
        )
        for key, one in schema["properties"].items()
    )
    yield grid(("key", "value", "default", "meaning"), rows)


def meaning_of(schema: Mapping[str, Any]) -> str:
    """What a key means, as its type says."""
    choices = (schema, *schema.get("anyOf", ()))
    return next((str(one["description"]) for one in choices if "description" in one), "")


def http_operation(
    method: str, path: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]
) -> str:
    """One operation."""
    parameters = [
        (f"`{one['name']}`", one["in"], one.get("description", ""))
        for one in operation.get("parameters", ())
        if one["name"] not in {"account_id", "call_id", "transfer_id"}
    ]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    responses = sorted(operation["responses"].items())
    good = [answer_in_words(one, schemas, status) for status, one in responses if status < "400"]
    bad = ", ".join(status for status, _ in responses if status >= "400")
    answers = " ".join([*good, *([f"Or {bad}."] if bad else ())])
    return paragraphs(
        f"### {method.upper()} {path}",
        sentence(str(operation.get("summary", ""))),
        *([grid(("parameter", "in", "meaning"), parameters)] if parameters else ()),
        *([body_in_words(body["schema"])] if body else ()),
        answers,
    )


def body_in_words(schema: Mapping[str, Any]) -> str:
    """What the body is."""
    data = schema.get("properties", {}).get("data")
    if data is None:
        return f"The body is {schema_in_words(schema)}."
    return f"The body is an object, whose `data` is {schema_in_words(data)}."


def answer_in_words(answer: Mapping[str, Any], schemas: Mapping[str, Any], status: str) -> str:
    """A successful answer, in words."""
    content = answer.get("content", {}).get("application/json", {}).get("schema", {})
    whole = schemas.get(str(content.get("$ref", "")).rpartition("/")[2], content)
    data = whole.get("properties", {}).get("data")
    if data is not None:
        return f"Answers {status}; `data` is {schema_in_words(data)}."
    return f"Answers {status}{', ' + schema_in_words(content) if content else ''}."


def schema_in_words(schema: Mapping[str, Any]) -> str:  # noqa: PLR0911 - a case each
    """What a schema allows, in words."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return "[feature codes](metaflows.md)" if name == "Metaflows" else named_shape(name)
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return " or ".join(dict.fromkeys(map(schema_in_words, choices)))
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    match schema.get("type"):
        case "array":
            return f"list of {schema_in_words(schema.get('items', {}))}"
        case list():
            several = cast("list[str]", schema["type"])
            return " or ".join(schema_in_words({**schema, "type": one}) for one in several)
        case kind:
            words = {"string": "text", "integer": "whole number", "object": "table"}
            return words.get(str(kind), str(kind or "anything"))


def named_shape(name: str) -> str:
    """A link to a shape that is described on the same page."""
    return f"`{name}`" if "." in name else f"[{name}](#{name.lower()})"
