"""The HTTP application: all endpoints, one tree of errors, and an ID for every request.

An ASGI callable, as plain as the API: a request is matched to an endpoint by its method and path,
and every answer, whatever happens, is in the envelope. The operations come from the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

import trio

from hookflash.errors import HookflashError
from hookflash.server.api import ServiceApi
from hookflash.server.doors.metrics import DoorMetrics
from hookflash.server.http.envelope import failure, on_bug, on_refusal
from hookflash.server.http.handlers import Endpoint, operation_endpoints
from hookflash.server.http.health import Health
from hookflash.server.http.message import (
    AsgiMessage,
    AsgiReceive,
    AsgiSend,
    HttpAnswer,
    HttpRequest,
    parts_of,
    request_of,
    send_answer,
)
from hookflash.server.http.pages import get_document, get_page
from hookflash.server.http.sign_in import sign_in

SAFE: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
"""Headers of every answer: browsers guess nothing, embed nothing and keep nothing."""

ONLY_TLS: Final = {"Strict-Transport-Security": "max-age=31536000"}


class HttpApp:
    """The HTTP application, an ASGI callable."""

    def __init__(self, api: ServiceApi, metrics: DoorMetrics) -> None:
        """Build the application.

        Args:
            api: performs the operations.
            metrics: counts requests.
        """
        self._metrics = metrics
        self._most_body_bytes = api.limits.request_bytes
        self._places = Places(_endpoints(api, Health(api, metrics)))

    async def __call__(self, scope: AsgiMessage, receive: AsgiReceive, send: AsgiSend) -> None:
        """Answer one request."""
        began_s = trio.current_time()
        request = request_of(scope, receive, most_body_bytes=self._most_body_bytes)
        answer = await self._answer(request)
        named = {"X-Request-ID": request.id, **(ONLY_TLS if request.is_secure else {})}
        complete = HttpAnswer(
            status=answer.status,
            body=answer.body,
            content_type=answer.content_type,
            headers={**SAFE, **named, **answer.headers},
        )
        took_s = trio.current_time() - began_s
        self._metrics.time_request(request.operation, answer.status, took_s)
        await send_answer(send, request, complete)

    async def _answer(self, request: HttpRequest) -> HttpAnswer:
        try:
            found = self._places.find(parts_of(request.path))
            if found is None:
                return failure(request, 404, "there is nothing at this path")
            endpoints, request.fields = found
            return await _by_method(request, endpoints)
        except HookflashError as error:
            return on_refusal(request, error)
        except Exception as error:  # noqa: BLE001 - logged, and answered by the request's ID
            return on_bug(request, error)


async def _by_method(request: HttpRequest, endpoints: Mapping[str, Endpoint]) -> HttpAnswer:
    """Choose among the methods of a path. HEAD is GET without the body."""
    method = "GET" if request.method == "HEAD" else request.method
    endpoint = endpoints.get(method)
    if endpoint is not None:
        request.operation = endpoint.name
        return await endpoint.handler(request)
    allowed = {*endpoints, "OPTIONS", *({"HEAD"} if "GET" in endpoints else ())}
    headers = {"Allow": ", ".join(sorted(allowed))}
    if method == "OPTIONS":
        request.operation = "options"
        return HttpAnswer(status=204, headers=headers)
    return failure(request, 405, f"{method[:20]} is not allowed here", headers=headers)


class Places:
    """All endpoints, by path and method. A part of a path in braces matches any text."""

    def __init__(self, endpoints: Iterator[Endpoint]) -> None:
        self._by_parts: dict[tuple[str, ...], dict[str, Endpoint]] = {}
        for endpoint in endpoints:
            parts = tuple(endpoint.path.strip("/").split("/"))
            self._by_parts.setdefault(parts, {})[endpoint.method] = endpoint

    def find(
        self, parts: tuple[str, ...]
    ) -> tuple[Mapping[str, Endpoint], Mapping[str, str]] | None:
        """The endpoints of a path, and its variable parts."""
        for wanted, endpoints in self._by_parts.items():
            fields = _matched(wanted, parts)
            if fields is not None:
                return endpoints, fields
        return None


def _matched(wanted: tuple[str, ...], parts: tuple[str, ...]) -> dict[str, str] | None:
    if len(wanted) != len(parts):
        return None
    fields: dict[str, str] = {}
    for want, part in zip(wanted, parts, strict=True):
        if want.startswith("{") and part:
            fields[want[1:-1]] = part
        elif want != part:
            return None
    return fields


def _endpoints(api: ServiceApi, health: Health) -> Iterator[Endpoint]:
    yield Endpoint("PUT", "/v2/api_auth", "sign_in", partial(sign_in, api))
    yield from operation_endpoints(api)
    yield Endpoint("GET", "/healthz", "is_alive", health.is_alive)
    yield Endpoint("GET", "/readyz", "is_ready", health.is_ready)
    yield Endpoint("GET", "/metrics", "get_metrics", health.get_metrics)
    yield Endpoint("GET", "/openapi.json", "openapi_document", get_document)
    yield Endpoint("GET", "/", "openapi_page", get_page)
