"""How every request is answered: Kazoo's envelope, for success and for errors."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
import structlog
from msgspec import Struct

from hookflash.api.answers import TransferPage
from hookflash.errors import HookflashError, InputError, RequestRefused, Unauthorized
from hookflash.server.http.message import HttpAnswer, HttpRequest

log = structlog.wrap_logger(logging.getLogger("hookflash.http"))

OURS: Final = 500
"""From this status on it is the service's fault."""

AT_FAULT: Final = "internal error; please report it, with the request's ID"


class ErrorEnvelope(Struct, frozen=True, kw_only=True):
    """Why a request failed. Nothing has changed."""

    data: dict[str, Any]
    """The invalid fields, each with a `message` and a `hint`; or the key of a `refusal`."""
    error: str
    """The HTTP status, as text."""
    message: str
    request_id: str
    status: Literal["error"] = "error"


def success(
    request: HttpRequest, answer: object, status: int, headers: Mapping[str, str]
) -> HttpAnswer:
    """Answer a request that succeeded."""
    body: dict[str, Any] = {"data": answer}
    if isinstance(answer, TransferPage):
        found = answer.transfers
        body = {
            "data": found,
            "page_size": len(found),
            "next_start_key": answer.next_start_key,
        }
    body |= {"request_id": request.id, "status": "success"}
    return HttpAnswer(status=status, body=msgspec.json.encode(body), headers=headers)


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


# ----------------------------------------------------------------------- errors


def failure(
    request: HttpRequest,
    status: int,
    message: str,
    data: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> HttpAnswer:
    """Answer a request that failed."""
    body = failure_body(status, message, request.id, data)
    return HttpAnswer(status=status, body=body, headers=headers or {})


def failure_body(
    status: int, message: str, request_id: str, data: Mapping[str, Any] | None = None
) -> bytes:
    """The body of an error."""
    envelope = ErrorEnvelope(
        data=dict(data or {}), error=str(status), message=message, request_id=request_id
    )
    return msgspec.json.encode(envelope)


def on_refusal(request: HttpRequest, error: HookflashError) -> HttpAnswer:
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
        log.error("request.failed", request_id=request.id, why=message)
        message = AT_FAULT
    headers: dict[str, str] = {}
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = 'Bearer realm="hookflash"'
    return failure(request, error.http_status, message, data, headers)


_SPELLED: Final = {"idempotency_key": "Idempotency-Key"}
"""Fields with another name in HTTP."""


def _place_of(error: InputError) -> str:
    """The invalid field, as the program wrote it."""
    place = error.where.removeprefix("$").removeprefix(".")
    place = place.removeprefix("metaflows.") if place != "metaflows" else ""
    if place.startswith("data."):
        place = place.removeprefix("data.")
    return _SPELLED.get(place, place) or "data"


def on_bug(request: HttpRequest, error: Exception) -> HttpAnswer:
    """Answer after a bug, and log the traceback."""
    log.error("request.failed", request_id=request.id, exc_info=error)
    return failure(request, OURS, AT_FAULT)
