"""The HTTP handlers of all operations, made from the table."""

from __future__ import annotations

from collections.abc import Iterator

from litestar import Response, route
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler

from hookflash.api.answers import Accepted
from hookflash.server.api import ServiceApi
from hookflash.server.http.envelope import JsonRequest, success
from hookflash.server.http.reading import Routes, read_request
from hookflash.server.http.sign_in import CallerOf
from hookflash.server.operations import operations_by_place

ACCOUNT: str = "/v2/accounts/{account_id}"


def operation_handlers() -> Iterator[HTTPRouteHandler]:
    """One handler for each method and path of the table."""
    for (method, path), routes in operations_by_place().items():
        yield _handler(method, path, routes)


def _handler(method: str, path: str, routes: Routes) -> HTTPRouteHandler:
    status = routes[0][0].status

    @route(
        f"{ACCOUNT}{path}".replace("}", ":str}"),
        http_method=[method],  # pyright: ignore[reportArgumentType] - the table has no others
        status_code=status,
        include_in_schema=False,  # `document` makes the document from the table
    )
    async def perform(request: JsonRequest, state: State, caller: CallerOf) -> Response[bytes]:
        api: ServiceApi = state.api
        request.scope["state"]["operation"] = routes[0][0].name
        operation, asked = await read_request(request, routes)
        request.scope["state"]["operation"] = operation.name
        answer = await api.perform(caller, operation, asked)
        url = answer.url if isinstance(answer, Accepted) else None
        return success(request, answer, status, {"Location": url} if url else {})

    return perform
