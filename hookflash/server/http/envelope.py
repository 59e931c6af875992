"""How every request is answered: Kazoo's envelope, for what went well and for what did not."""

from __future__ import annotations

import logging
import re
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

import msgspec
import structlog
from litestar import Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException, SerializationException, ValidationException
from litestar.openapi import ResponseSpec
from msgspec import Struct

from hookflash.errors import HookflashError, InputError, RequestRefused, Unauthorized

log = structlog.wrap_logger(logging.getLogger("hookflash.http"))

Data = TypeVar("Data")
Shape = TypeVar("Shape", bound=Struct)
AnyRequest: TypeAlias = Request[Any, Any, State]

OURS: Final = 500
"""From this status on it is our fault."""


class Asked(Request[Any, Any, State]):
    """A request, whose body is JSON and nothing else."""

    async def json(self) -> Any:
        """Read the body.

        Raises:
            InputError: it is no JSON.
        """
        try:
            return await super().json()
        except (SerializationException, RecursionError) as error:
            why = str(error) or "it is nested too deeply"
            raise InputError(f"is no JSON: {why}", where="$", hint="one JSON object") from error

    async def strictly(self, kind: type[Shape]) -> Shape:
        """Read the body once more, where the framework takes `"5"` for a number.

        Raises:
            InputError: something in it is of another type.
        """
        try:
            return msgspec.convert(await self.json(), kind)
        except msgspec.ValidationError as error:
            what, _, place = str(error).partition(" - at `")
            raise InputError(what, where=place.rstrip("`"), hint="see openapi.json") from error


class Answer(Struct, Generic[Data], frozen=True, kw_only=True):
    """What came of a request that went well."""

    data: Data
    request_id: str
    status: Literal["success"] = "success"


class Listed(Answer[Data], Generic[Data], frozen=True, kw_only=True):
    """A page of a list."""

    page_size: int
    """How many there are on this page."""
    next_start_key: str | None = None
    """What `start_key` shows the next page; null on the last one."""


class ErrorAnswer(Struct, frozen=True, kw_only=True):
    """Why a request was not done. Nothing has changed."""

    data: dict[str, Any]
    """The fields that are at fault, each with a message; a refusal in a word."""
    error: str
    """The status, as text."""
    message: str
    request_id: str
    status: Literal["error"] = "error"


def request_id_of(request: AnyRequest) -> str:
    """What this request is called in the logs, and in its answer."""
    return str(request.scope["state"].get("request_id", ""))


def answer(request: AnyRequest, data: Data) -> Answer[Data]:
    """Wrap what is answered."""
    return Answer(data=data, request_id=request_id_of(request))


_DESCRIBED: Final = {
    400: "Something in the request can't be used; `data` names the field.",
    401: "No token, or one that has expired.",
    403: "The key is for another account.",
    404: "There is no such thing, or it is another account's.",
    405: "Not with this method.",
    409: "Not now: a transfer is running, the call is not bridged, it is too late.",
    413: "The body is too long.",
    422: "The target is not allowed, the call was transferred too often, or an idempotency key has "
    "come with another request before.",
    429: "Too many requests, transfers, or wrong keys.",
    500: "We are at fault.",
    503: "The switch is away, the journal can't be used, or the service is about to stop.",
}


def failures(*statuses: int) -> dict[int, ResponseSpec]:
    """What may go wrong, for the OpenAPI document."""
    return {
        status: ResponseSpec(ErrorAnswer, description=_DESCRIBED[status], generate_examples=False)
        for status in (*statuses, OURS)
    }


# ----------------------------------------------------------------------- errors


_ENVELOPE: Final = re.compile(r"^\$?\.?(?:data(?=[.\[]|$)\.?)?")
"""Of a place in a body, what everybody's begins with."""


def on_refusal(request: AnyRequest, error: HookflashError) -> Response[bytes]:
    """Answer with an error of our tree."""
    data: dict[str, Any] = {}
    message = str(error)
    if isinstance(error, InputError):
        place = _ENVELOPE.sub("", error.where) or "data"
        data[place] = {"message": error.what, "hint": error.hint}
    elif isinstance(error, RequestRefused):
        data["refusal"] = error.refusal.value
    if error.http_status == OURS:
        log.error("a request failed", request_id=request_id_of(request), why=message)
        message = "we are at fault; please report it, with the request's id"
    headers: dict[str, str] = {}
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = 'Bearer realm="hookflash"'
    return _error(request, error.http_status, message, data, headers)


FAULTS_TOLD: Final = 3
"""So many faults of a request stand in the message; all of them in the data."""

_NAMED: Final = re.compile(r"field `(?P<field>[^`]+)`")
_SPELLED: Final = {"idempotency_key": "Idempotency-Key"}
"""What the framework calls by our own names, as programs call it."""


def on_http_error(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """Answer with an error that the framework has found."""
    data: dict[str, Any] = {}
    if isinstance(error, ValidationException):
        found = error.extra if isinstance(error.extra, list) else []
        for one in found:
            what = str(one.get("message", ""))
            named = _NAMED.search(what)
            field = named["field"] if named else str(one.get("key", "data"))
            what = "is missing: a body of JSON" if what == "'data'" else what
            data[_SPELLED.get(field, field)] = {"message": what}
    told = [f"{field}: {fault['message']}" for field, fault in data.items()]
    message = "; ".join(told[:FAULTS_TOLD]) or error.detail
    return _error(request, error.status_code, message, data, dict(error.headers or {}))


def on_bug(request: AnyRequest, error: Exception) -> Response[bytes]:
    """Answer when we are at fault: without a traceback, which goes into the log."""
    log.error("a request failed", request_id=request_id_of(request), exc_info=error)
    return _error(request, OURS, "we are at fault; please report it, with the request's id", {}, {})


def _error(
    request: AnyRequest, status: int, message: str, data: dict[str, Any], headers: dict[str, str]
) -> Response[bytes]:
    body = ErrorAnswer(
        data=data, error=str(status), message=message, request_id=request_id_of(request)
    )
    return Response(
        msgspec.json.encode(body),
        status_code=status,
        media_type="application/json",
        headers=headers,
    )
