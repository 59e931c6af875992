"""How every request is answered: Kazoo's envelope, for success and for errors."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec
import structlog
from litestar import Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException, SerializationException, ValidationException
from litestar.openapi import ResponseSpec
from msgspec import Struct

from hookflash.api.answers import TransferPage
from hookflash.errors import HookflashError, InputError, RequestRefused, Unauthorized

log = structlog.wrap_logger(logging.getLogger("hookflash.http"))

AnyRequest: TypeAlias = Request[Any, Any, State]

OURS: Final = 500
"""From this status on it is the service's fault."""

AT_FAULT: Final = "internal error; please report it, with the request's ID"


class JsonRequest(Request[Any, Any, State]):
    """A request whose body is JSON and nothing else."""

    async def json(self) -> Any:
        """Read the body.

        Raises:
            InputError: it is not JSON.
        """
        try:
            return await super().json()
        except (SerializationException, RecursionError) as error:
            why = str(error) or "it is nested too deeply"
            raise InputError(f"is not JSON: {why}", where="$", hint="one JSON object") from error


class ErrorEnvelope(Struct, frozen=True, kw_only=True):
    """Why a request failed. Nothing has changed."""

    data: dict[str, Any]
    """The invalid fields, each with a `message` and a `hint`; or the key of a `refusal`."""
    error: str
    """The HTTP status, as text."""
    message: str
    request_id: str
    status: Literal["error"] = "error"


def request_id_of(request: AnyRequest) -> str:
    """The request's ID in the logs, and in its answer."""
    return str(request.scope["state"].get("request_id", ""))


def success(
    request: AnyRequest, answer: object, status: int, headers: Mapping[str, str]
) -> Response[bytes]:
    """Answer a request that succeeded."""
    body: dict[str, Any] = {"data": answer}
    if isinstance(answer, TransferPage):
        found = answer.transfers
        body = {
            "data": found,
            "page_size": len(found),
            "next_start_key": answer.next_start_key,
        }
    body |= {"request_id": request_id_of(request), "status": "success"}
    return _response(msgspec.json.encode(body), status, headers)


MEANING: Final = {
    400: "Something in the request is invalid; `data` names the field.",
    401: "The token is missing, invalid or expired.",
    403: "The key is for another account.",
    404: "Not found, or it belongs to another account.",
    405: "The method is not allowed.",
    409: "Not possible now: a transfer is in flight, the call is not bridged, or it is too late.",
    413: "The body is too large.",
    422: "The target is not allowed, the call was transferred too often, or the idempotency key "
    "was used with another request.",
    429: "Too many requests, transfers, or wrong keys.",
    500: "Internal error.",
    503: "The switch is away, the journal can't be used, or the service is about to stop.",
}


def failures(*statuses: int) -> dict[int, ResponseSpec]:
    """The errors of a handler, for the OpenAPI document."""
    return {
        status: ResponseSpec(ErrorEnvelope, description=MEANING[status], generate_examples=False)
        for status in (*statuses, OURS)
    }


# ----------------------------------------------------------------------- errors


def on_refusal(request: AnyRequest, error: HookflashError) -> Response[bytes]:
    """Answer with an error of hookflash's tree."""
    data: dict[str, Any] = {}
    message = str(error)
    if isinstance(error, InputError):
        place = _place_of(error)
        data[place] = {"message": error.what, "hint": error.hint}
        message = f"{place}: {error.what}" + (f" ({error.hint})" if error.hint else "")
    elif isinstance(error, RequestRefused):
        data["refusal"] = error.refusal.value
    if error.http_status == OURS:
        log.error("request.failed", request_id=request_id_of(request), why=message)
        message = AT_FAULT
    headers: dict[str, str] = {}
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = 'Bearer realm="hookflash"'
    return _error(request, error.http_status, message, data, headers)


_SPELLED: Final = {"idempotency_key": "Idempotency-Key"}
"""Fields with another name in HTTP."""


def _place_of(error: InputError) -> str:
    """The invalid field, as the program wrote it."""
    place = error.where.removeprefix("$").removeprefix(".")
    place = place.removeprefix("metaflows.") if place != "metaflows" else ""
    if place.startswith("data."):
        place = place.removeprefix("data.")
    return _SPELLED.get(place, place) or "data"


FAULTS_SHOWN: Final = 3
"""How many faults the message names; `data` has all of them."""


def on_http_error(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """Answer with an error of the framework."""
    data: dict[str, Any] = {}
    if isinstance(error, ValidationException):
        found = error.extra if isinstance(error.extra, list) else []
        for one in found:
            what = str(one.get("message", ""))
            what = "is missing: a body of JSON" if what == "'data'" else what
            data[str(one.get("key", "data"))] = {"message": what}
    faults = [f"{field}: {fault['message']}" for field, fault in data.items()]
    message = "; ".join(faults[:FAULTS_SHOWN]) or error.detail
    return _error(request, error.status_code, message, data, dict(error.headers or {}))


def on_bug(request: AnyRequest, error: Exception) -> Response[bytes]:
    """Answer after a bug, and log the traceback."""
    log.error("request.failed", request_id=request_id_of(request), exc_info=error)
    return _error(request, OURS, AT_FAULT, {}, {})


def _error(
    request: AnyRequest,
    status: int,
    message: str,
    data: dict[str, Any],
    headers: Mapping[str, str],
) -> Response[bytes]:
    body = failure_body(status, message, request_id_of(request), data)
    return _response(body, status, headers)


def failure_body(
    status: int, message: str, request_id: str, data: Mapping[str, Any] | None = None
) -> bytes:
    """The body of an error."""
    envelope = ErrorEnvelope(
        data=dict(data or {}), error=str(status), message=message, request_id=request_id
    )
    return msgspec.json.encode(envelope)


def _response(body: bytes, status: int, headers: Mapping[str, str]) -> Response[bytes]:
    return Response(
        body,
        status_code=status,
        media_type="application/json",
        headers=headers,
    )
