"""The HTTP handlers of all operations, made from the table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Final, TypeAlias

import attrs

from hookflash.api.answers import Accepted
from hookflash.server.api import ServiceApi
from hookflash.server.http.envelope import success
from hookflash.server.http.message import HttpAnswer, HttpRequest
from hookflash.server.http.reading import Routes, read_request
from hookflash.server.http.sign_in import caller_of
from hookflash.server.operations import operations_by_place

ACCOUNT: Final = "/v2/accounts/{account_id}"

Handler: TypeAlias = Callable[[HttpRequest], Awaitable[HttpAnswer]]


@attrs.frozen
class Endpoint:
    """A method of a path, and what answers it."""

    method: str
    path: str
    name: str
    """Its name in the metrics, unless the handler knows better."""
    handler: Handler


def operation_endpoints(api: ServiceApi) -> Iterator[Endpoint]:
    """One endpoint for each method and path of the table."""
    for (method, path), routes in operations_by_place().items():
        handler = partial(_perform, api, routes)
        yield Endpoint(method, ACCOUNT + path, routes[0][0].name, handler)


async def _perform(api: ServiceApi, routes: Routes, request: HttpRequest) -> HttpAnswer:
    caller = await caller_of(api, request)  # before the body is read
    operation, asked = await read_request(request, routes)
    request.operation = operation.name
    answer = await api.perform(caller, operation, asked)
    url = answer.url if isinstance(answer, Accepted) else None
    return success(request, answer, operation.status, {"Location": url} if url else {})
