"""The table of operations: all that programs can ask, by HTTP and WebSocket alike.

A row names the request (with its documentation), the function that performs it, the answer, and the
HTTP routes. Both APIs, both documents (OpenAPI, AsyncAPI) and the Python client come from it. To
add an operation: a value in `hookflash.api.requests`, a function, a row here, and a line in
`hookflash.client`.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

import attrs

from hookflash.api import requests as r
from hookflash.api.answers import Accepted, LegView, TransferPage, TransferView
from hookflash.server import calls, metaflows, transfers
from hookflash.server.caller import Caller
from hookflash.server.context import Context

Act: TypeAlias = Callable[[Context, str, Caller, Any], Awaitable[Any]]
"""Performs a request: context, account, caller, request."""


@attrs.frozen
class Route:
    """How an operation is called by HTTP."""

    method: str
    path: str
    """Below the account's path."""
    action: str = attrs.field(default="", kw_only=True)
    """The `action` in the body's `data`, if several operations share a path."""
    body: str = attrs.field(default="", kw_only=True)
    """The request's field that is the body's whole `data`."""
    without: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    """The request's fields that this route does not have."""

    @property
    def has_body(self) -> bool:
        """Whether a request has a body."""
        return bool(self.action or self.body)


@attrs.frozen(kw_only=True)
class Operation:
    """One row of the table."""

    request: type[r.ApiRequest]
    act: Act
    answer: Any
    """The type of the answer."""
    tag: str
    """The section of the documents."""
    routes: tuple[Route, ...]
    cost: int = 1
    """How many requests it counts as."""
    errors: tuple[int, ...] = ()
    """HTTP statuses of its own errors, besides those of every operation."""

    @property
    def name(self) -> str:
        """The WebSocket `action`, the client's method, and the label in the metrics."""
        return r.name_of(self.request)

    @property
    def changes(self) -> bool:
        """Whether it changes something, and so takes an idempotency key."""
        return issubclass(self.request, r.ApiCommand)

    @property
    def status(self) -> int:
        """The HTTP status of success: 202 if the effects follow as events."""
        return 202 if self.answer is Accepted else 200

    @property
    def sentences(self) -> tuple[str, str]:
        """The summary, and the whole documentation."""
        text = inspect.getdoc(self.request) or ""
        return text.partition("\n\n")[0].removesuffix("."), text

    @property
    def statuses(self) -> tuple[int, ...]:
        """The HTTP statuses of all errors."""
        bodies = (413,) if any(route.has_body for route in self.routes) else ()
        repeats = (422,) if self.changes else ()
        return tuple(sorted({*COMMON_ERRORS, *bodies, *repeats, *self.errors}))


PARSING: Final = 40
"""The cost of parsing feature codes: it takes some 40 times as long as a plain request."""
COMMON_ERRORS: Final = (400, 401, 403, 429, 500, 503)
CALL: Final = "/channels/{call_id}"
TRANSFER: Final = "/transfers/{transfer_id}"
CODES: Final = "/metaflows"
BY_CALL: Final = ("transfer_id",)
BY_TRANSFER: Final = ("call_id", "switch")

OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        request=r.ListCallsRequest,
        act=calls.list_calls,
        answer=list[LegView],
        cost=5,
        tag="calls",
        routes=(Route("GET", "/channels"),),
    ),
    Operation(
        request=r.GetCallRequest,
        act=calls.get_call,
        answer=LegView,
        tag="calls",
        routes=(Route("GET", CALL),),
        errors=(404, 409),
    ),
    Operation(
        request=r.TransferRequest,
        act=calls.transfer,
        answer=Accepted,
        cost=2,
        tag="calls",
        routes=(Route("POST", CALL, action="transfer"),),
        errors=(404, 409),
    ),
    Operation(
        request=r.HoldRequest,
        act=calls.hold,
        answer=Accepted,
        tag="calls",
        routes=(Route("POST", CALL, action="hold"),),
        errors=(404, 409),
    ),
    Operation(
        request=r.ParkRequest,
        act=calls.park,
        answer=Accepted,
        tag="calls",
        routes=(Route("POST", CALL, action="park"),),
        errors=(404, 409),
    ),
    Operation(
        request=r.PickUpRequest,
        act=calls.pick_up,
        answer=Accepted,
        tag="calls",
        routes=(Route("POST", CALL, action="pick_up"),),
        errors=(404, 409),
    ),
    Operation(
        request=r.TakeBackRequest,
        act=calls.take_back,
        answer=Accepted,
        tag="transfers",
        routes=(
            Route("DELETE", TRANSFER, without=BY_TRANSFER),
            Route("POST", CALL, action="takeback", without=BY_CALL),
        ),
        errors=(404, 409),
    ),
    Operation(
        request=r.CompleteRequest,
        act=calls.complete,
        answer=Accepted,
        tag="transfers",
        routes=(
            Route("POST", f"{TRANSFER}/complete", without=BY_TRANSFER),
            Route("POST", CALL, action="complete", without=BY_CALL),
        ),
        errors=(404, 409),
    ),
    Operation(
        request=r.GiveNumberRequest,
        act=calls.give_number,
        answer=Accepted,
        cost=2,
        tag="transfers",
        routes=(
            Route("POST", TRANSFER, action="number", without=BY_TRANSFER),
            Route("POST", CALL, action="number", without=BY_CALL),
        ),
        errors=(404, 409),
    ),
    Operation(
        request=r.SwapRequest,
        act=calls.swap,
        answer=Accepted,
        tag="transfers",
        routes=(
            Route("POST", f"{TRANSFER}/swap", without=BY_TRANSFER),
            Route("POST", CALL, action="swap", without=BY_CALL),
        ),
        errors=(404, 409),
    ),
    Operation(
        request=r.AcceptRequest,
        act=calls.accept,
        answer=Accepted,
        tag="transfers",
        routes=(
            Route("POST", f"{TRANSFER}/accept", without=BY_TRANSFER),
            Route("POST", CALL, action="accept", without=BY_CALL),
        ),
        errors=(404, 409),
    ),
    Operation(
        request=r.DeclineRequest,
        act=calls.decline,
        answer=Accepted,
        tag="transfers",
        routes=(
            Route("POST", f"{TRANSFER}/decline", without=BY_TRANSFER),
            Route("POST", CALL, action="decline", without=BY_CALL),
        ),
        errors=(404, 409),
    ),
    Operation(
        request=r.ThreeWayRequest,
        act=calls.three_way,
        answer=Accepted,
        tag="transfers",
        routes=(
            Route("POST", f"{TRANSFER}/three_way", without=BY_TRANSFER),
            Route("POST", CALL, action="three_way", without=BY_CALL),
        ),
        errors=(404, 409),
    ),
    Operation(
        request=r.HangUpRequest,
        act=calls.hang_up,
        answer=Accepted,
        tag="calls",
        routes=(Route("POST", CALL, action="hangup"),),
        errors=(404, 409),
    ),
    Operation(
        request=r.ListTransfersRequest,
        act=transfers.list_transfers,
        answer=TransferPage,
        cost=5,
        tag="transfers",
        routes=(Route("GET", "/transfers"),),
    ),
    Operation(
        request=r.GetTransferRequest,
        act=transfers.get_transfer,
        answer=TransferView,
        tag="transfers",
        routes=(Route("GET", TRANSFER),),
        errors=(404,),
    ),
    Operation(
        request=r.GetMetaflowsRequest,
        act=metaflows.get_metaflows,
        answer=r.FeatureCodes,
        tag="feature codes",
        routes=(Route("GET", CODES),),
    ),
    Operation(
        request=r.SetMetaflowsRequest,
        act=metaflows.set_metaflows,
        answer=r.FeatureCodes,
        cost=PARSING,
        tag="feature codes",
        routes=(Route("POST", CODES, body="metaflows"),),
    ),
    Operation(
        request=r.PatchMetaflowsRequest,
        act=metaflows.patch_metaflows,
        answer=r.FeatureCodes,
        cost=PARSING,
        tag="feature codes",
        routes=(Route("PATCH", CODES, body="metaflows"),),
    ),
    Operation(
        request=r.ResetMetaflowsRequest,
        act=metaflows.reset_metaflows,
        answer=r.FeatureCodes,
        cost=5,
        tag="feature codes",
        routes=(Route("DELETE", CODES),),
    ),
)

OPERATION_OF: Final[Mapping[str, Operation]] = {one.name: one for one in OPERATIONS}
"""All operations, by name."""

Place: TypeAlias = tuple[str, str]
"""A method and a path."""


def operations_by_place() -> dict[Place, tuple[tuple[Operation, Route], ...]]:
    """All HTTP routes, by method and path."""
    found: dict[Place, tuple[tuple[Operation, Route], ...]] = {}
    for operation in OPERATIONS:
        for route in operation.routes:
            place = (route.method, route.path)
            found[place] = (*found.get(place, ()), (operation, route))
    return found
