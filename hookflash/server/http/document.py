"""The OpenAPI document: operations from the table, and the few paths beside it.

Schemas come from msgspec, which checks the requests; feature codes have a schema of their own. So
the document is as exact as the checks.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final, cast

import msgspec

from hookflash.api.answers import Accepted, TransferPage, TransferView
from hookflash.api.requests import ListedTarget
from hookflash.dialling.metaflows import SCHEMA
from hookflash.server.http.envelope import MEANING, ErrorEnvelope
from hookflash.server.http.handlers import ACCOUNT
from hookflash.server.http.health import Alive, Health, Ready
from hookflash.server.http.reading import KAZOO_FIELDS, KEY_HEADER, KazooEnvelope, Routes, fields_in
from hookflash.server.http.sign_in import SignedInEnvelope, SignIn, sign_in
from hookflash.server.operations import OPERATIONS, Operation, Route, operations_by_place
from hookflash.version import version

DESCRIPTION: Final = (
    "Transfer calls from any program. Get a token for an API key (PUT /v2/api_auth), list the "
    "calls, and act on one of them. Events are published by WebSocket; transfers and their "
    "timelines are available here."
)

PLACE: Final = "#/components/schemas/"
CODES: Final = "Metaflows"
SHAPES: Final = (
    *(one.answer for one in OPERATIONS if one.tag != "feature codes"),
    TransferView,
    ErrorEnvelope,
    Alive,
    Ready,
    SignIn,
    SignedInEnvelope,
    ListedTarget,
)
Schema = dict[str, Any]


def openapi_document() -> Schema:
    """Make the OpenAPI document of the HTTP API."""
    _, shapes = msgspec.json.schema_components(SHAPES, ref_template=PLACE + "{name}")
    shapes.pop(TransferPage.__name__)  # which is laid out in the envelope
    shapes[CODES] = _feature_codes()
    paths = dict(_beside_the_table())
    for (method, path), routes in operations_by_place().items():
        described = _described(method, routes, shapes)
        paths.setdefault(ACCOUNT + path, {})[method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {"title": "hookflash", "version": version(), "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": shapes,
            "securitySchemes": {
                "token": {"type": "apiKey", "name": "X-Auth-Token", "in": "header"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
        "security": [{"token": []}, {"bearer": []}],
    }


def _beside_the_table() -> Iterator[tuple[str, Schema]]:
    """The paths that need no token."""
    signed_in = {"201": _with("Success.", SignedInEnvelope), **_failures(400, 401, 413, 429, 503)}
    described = _open_to_all("sign in", "signIn", "Get a token for an API key", sign_in, signed_in)
    described["requestBody"] = {"required": True, **_json({"$ref": PLACE + SignIn.__name__})}
    yield "/v2/api_auth", {"put": described}
    alive = {"200": _with("Success.", Alive)}
    ready = {
        "200": _with("Everything works.", Ready),
        "503": _with("Something does not work.", Ready),
    }
    text = {"text/plain": {"schema": {"type": "string"}}}
    metrics = {"200": {"description": "Success.", "content": text}}
    for path, name, summary, handler, answers in (
        ("/healthz", "isAlive", "Whether the service is alive", Health.is_alive, alive),
        ("/readyz", "isReady", "Whether everything works", Health.is_ready, ready),
        ("/metrics", "getMetrics", "Metrics, for Prometheus", Health.get_metrics, metrics),
    ):
        yield path, {"get": _open_to_all("health", name, summary, handler, answers)}


def _open_to_all(
    tag: str, name: str, summary: str, handler: Callable[..., Awaitable[Any]], answers: Schema
) -> Schema:
    description = (inspect.getdoc(handler) or "").partition("\n\nRaises:")[0]
    return {
        "tags": [tag],
        "summary": summary,
        "description": description,
        "operationId": name,
        "responses": answers,
        "security": [{}],
    }


def _with(description: str, shape: type[msgspec.Struct]) -> Schema:
    return {"description": description, **_json({"$ref": PLACE + shape.__name__})}


def _failures(*statuses: int) -> Schema:
    every = sorted({*statuses, 500})
    return {str(status): _with(MEANING[status], ErrorEnvelope) for status in every}


def _described(method: str, routes: Routes, shapes: Schema) -> Schema:
    """One method of a path; several operations may share it."""
    operations = [operation for operation, _ in routes]
    first, route = routes[0]
    statuses = sorted({status for one in operations for status in one.statuses})
    # 413: the body is too large
    failed = _failures(*(status for status in statuses if status != 413 or route.has_body))  # noqa: PLR2004
    described: Schema = {
        "tags": [first.tag],
        "summary": _summary(routes),
        "description": "\n\n".join(one.sentences[1] for one in operations),
        "operationId": first.name if len(routes) == 1 else f"{method.lower()}_call",
        "parameters": [*_parameters(routes)],
        "responses": {str(first.status): _answer(first), **failed},
    }
    if route.has_body:
        described["requestBody"] = {"required": True, **_json(_body(routes, shapes))}
    return described


def _summary(routes: Routes) -> str:
    if len(routes) == 1:
        return routes[0][0].sentences[0]
    return f"Act on a leg: {', '.join(route.action for _, route in routes)}"


def _json(schema: Mapping[str, Any]) -> Schema:
    return {"content": {"application/json": {"schema": schema}}}


def _answer(operation: Operation) -> Schema:
    envelope: Schema = {"request_id": {"type": "string"}, "status": {"const": "success"}}
    if operation.answer is TransferPage:
        data: Schema = {"type": "array", "items": {"$ref": PLACE + "TransferView"}}
        envelope["page_size"] = {"type": "integer", "description": "How many are on this page."}
        envelope["next_start_key"] = {
            "type": ["string", "null"],
            "description": "The `start_key` of the next page; null on the last one.",
        }
    elif operation.tag == "feature codes":
        data = {"$ref": PLACE + CODES}
    else:
        (data,), _ = msgspec.json.schema_components(
            [operation.answer], ref_template=PLACE + "{name}"
        )
    properties = {"data": data, **envelope}
    shape = {"type": "object", "properties": properties, "required": [*properties]}
    answer: Schema = {"description": "Success.", **_json(shape)}
    if operation.answer is Accepted:
        answer["description"] = "Accepted; the effects come as events."
        answer["headers"] = {
            "Location": {"description": "The path of the transfer.", "schema": {"type": "string"}}
        }
    return answer


def _parameters(routes: Routes) -> Iterator[Schema]:
    seen: set[str] = set()
    for operation, route in routes:
        shape = _shape_of(operation)
        for name, place in fields_in(operation, route).items():
            if place == "body" or name in seen:
                continue
            seen.add(name)
            schema = _without_null(shape["properties"][name])
            yield {
                "name": KEY_HEADER if place == "header" else name,
                "in": place,
                "required": place == "path",
                "description": schema.pop("description", ""),
                "schema": schema,
            }


def _body(routes: Routes, shapes: Schema) -> Schema:
    """The body: an envelope, whose `data` has one schema for each possible operation."""
    choices: list[Schema] = []
    for operation, route in routes:
        if route.body == "metaflows":
            is_patch = route.method == "PATCH"
            choices.append({"type": "object"} if is_patch else {"$ref": PLACE + CODES})
            continue
        name = f"{operation.request.__name__.removesuffix('Request')}Action"
        shapes[name] = _action_shape(operation, route)
        choices.append({"$ref": PLACE + name})
    data = choices[0] if len(choices) == 1 else {"oneOf": choices}
    return {
        "type": "object",
        "properties": {"data": data, **_beside_data()},
        "required": ["data"],
        "additionalProperties": False,
    }


def _beside_data() -> Schema:
    """What Kazoo's clients send beside `data`."""
    _, shapes = msgspec.json.schema_components([KazooEnvelope])
    properties: Schema = shapes[KazooEnvelope.__name__]["properties"]
    return properties


def _action_shape(operation: Operation, route: Route) -> Schema:
    whole = _shape_of(operation)
    in_body = [name for name, place in fields_in(operation, route).items() if place == "body"]
    properties = {name: whole["properties"][name] for name in in_body}
    required = [name for name in whole["required"] if name in in_body]
    if route.action:
        properties = {"action": {"const": route.action}, **properties}
        required = ["action", *required]
    spelled = {theirs: properties[ours] for theirs, ours in KAZOO_FIELDS.items() if ours in in_body}
    return {
        "type": "object",
        "description": operation.sentences[1],
        "properties": {**properties, **spelled},
        "required": required,
        "additionalProperties": False,
    }


def _shape_of(operation: Operation) -> Schema:
    _, shapes = msgspec.json.schema_components([operation.request], ref_template=PLACE + "{name}")
    return {"required": [], **shapes[operation.request.__name__]}


def _without_null(schema: Schema) -> Schema:
    """A parameter that may be left out is never null."""
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    if rest.get("default", "") is None:
        del rest["default"]
    choices = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    return {**rest, **(choices[0] if choices else {})}


def _feature_codes() -> Schema:
    """The core's schema of feature codes, moved to its place in this document."""
    inside = {key: value for key, value in SCHEMA.items() if key not in ("$schema", "$id")}
    text = json.dumps(inside).replace('"#/$defs/', f'"{PLACE}{CODES}/$defs/')
    return cast("Schema", json.loads(text))
