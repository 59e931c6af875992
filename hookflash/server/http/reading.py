"""Reads HTTP requests: path, query, header and body become one request of the table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec

from hookflash.api.requests import ApiRequest
from hookflash.errors import InputError
from hookflash.server.http.message import HttpRequest
from hookflash.server.invalid import input_error
from hookflash.server.operations import Operation, Route

Routes: TypeAlias = tuple[tuple[Operation, Route], ...]
"""The operations that share a method and a path."""

KEY_HEADER: Final = "Idempotency-Key"
IN_QUERY: Final = frozenset(("switch", "apply_to"))
"""Fields that are in the query even if there is a body."""

KAZOO_ACTIONS: Final = {"resume": "takeback"}
KAZOO_FIELDS: Final = {"transfer-type": "transfer_type"}
"""Kazoo's names, which are also accepted."""


def fields_in(operation: Operation, route: Route) -> dict[str, str]:
    """Where each field of a request is: in `path`, `query`, `header` or `body`."""
    found: dict[str, str] = {}
    for name in operation.request.__struct_fields__:
        if name in route.without:
            continue
        if name == "account_id" or f"{{{name}}}" in route.path:
            found[name] = "path"
        elif name == "idempotency_key":
            found[name] = "header"
        elif route.has_body and name not in IN_QUERY:
            found[name] = "body"
        else:
            found[name] = "query"
    return found


async def read_request(request: HttpRequest, routes: Routes) -> tuple[Operation, ApiRequest]:
    """Read a request.

    Raises:
        InputError: a field is invalid.
    """
    body = await _body(request) if routes[0][1].has_body else {}
    operation, route = _chosen(routes, body)
    places = fields_in(operation, route)
    fields: dict[str, Any] = {"account_id": request.fields["account_id"]}
    fields |= {name: request.fields[name] for name, in_ in places.items() if in_ == "path"}
    fields |= _query(request.parameters(), operation, places)
    if "header" in places.values() and KEY_HEADER.lower() in request.headers:
        fields["idempotency_key"] = request.headers[KEY_HEADER.lower()]
    if route.body:
        fields[route.body] = body
    else:
        _check_known(body, {name for name, in_ in places.items() if in_ == "body"}, operation.name)
        fields |= body
    return operation, convert(fields, operation.request)


def convert(fields: Mapping[str, Any], kind: type[ApiRequest]) -> ApiRequest:
    """Make a request from its fields.

    Raises:
        InputError: a field is invalid or missing.
    """
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise input_error(error, kind) from error


async def _body(request: HttpRequest) -> dict[str, Any]:
    try:
        envelope = msgspec.convert(await request.json(), _Envelope)
    except msgspec.ValidationError as error:
        raise input_error(error, _Envelope) from error
    if envelope.verb is not None and envelope.verb.upper() != request.method:
        what = f"is not the method of this request, which is {request.method}"
        raise InputError(what, where="$.verb", hint="send the request with that method")
    return envelope.data


class KazooEnvelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What Kazoo's clients put beside `data`. Only `verb` is read."""

    verb: str | None = None
    """Kazoo lets a POST carry another method here. That is refused: `verb` must be the method."""
    auth_token: str | None = None
    """Ignored: the token is in a header."""
    ui_metadata: dict[str, Any] | None = None
    accept_charset: str | None = None


class _Envelope(KazooEnvelope, frozen=True, kw_only=True, forbid_unknown_fields=True):
    data: dict[str, Any]


def _chosen(routes: Routes, body: dict[str, Any]) -> tuple[Operation, Route]:
    """Choose among the operations that share a path; remove `action` from the body."""
    if not routes[0][1].action:
        return routes[0]
    for theirs, ours in KAZOO_FIELDS.items():
        if theirs in body:
            if body.get(ours, body[theirs]) != body[theirs]:
                what = f"is given twice, also as {theirs}"
                raise InputError(what, where=f"$.data.{ours}", hint="give one")
            body[ours] = body.pop(theirs)
    actions = {route.action: (operation, route) for operation, route in routes}
    action = body.pop("action", None)
    chosen = actions.get(KAZOO_ACTIONS.get(action, action)) if isinstance(action, str) else None
    if chosen is None:
        what = "is missing" if action is None else f"{str(action)[:20]!r} is not an action"
        raise InputError(what, where="$.data.action", hint=f"one of {', '.join(actions)}")
    return chosen


def _check_known(given: Mapping[str, Any], known: set[str], name: str) -> None:
    for field in given:
        if field not in known:
            hint = f"known are {', '.join(sorted(known))}" if known else "there are none"
            raise InputError(f"is not a field of {name}", where=f"$.data.{field}", hint=hint)


def _query(
    query: list[tuple[str, str]], operation: Operation, places: Mapping[str, str]
) -> dict[str, Any]:
    """Read the fields in the query, and convert numbers."""
    kinds = {one.name: one.type for one in msgspec.structs.fields(operation.request)}
    known = [name for name, in_ in places.items() if in_ == "query"]
    fields: dict[str, Any] = {}
    for name, text in query:
        if name not in known:
            hint = f"known are {', '.join(known)}" if known else "there are none"
            raise InputError("is not a parameter", where=f"$.{name}", hint=hint)
        if name in fields:
            raise InputError("is given twice", where=f"$.{name}", hint="give it once")
        try:
            fields[name] = msgspec.convert(text, kinds[name], strict=False)
        except msgspec.ValidationError as error:
            raise InputError(str(error), where=f"$.{name}", hint="see the reference") from error
        if fields[name] is None:  # msgspec converts the text `null`
            raise InputError("is not a value", where=f"$.{name}", hint="leave it out")
    return fields
