"""The HTTP application: all handlers, one error tree, and an ID for every request."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator
from functools import cache, partial
from typing import Final, cast

import trio
from litestar import Litestar, Response, route
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from hookflash.errors import HookflashError
from hookflash.server.api import ServiceApi
from hookflash.server.doors.metrics import DoorMetrics
from hookflash.server.http.document import document_of
from hookflash.server.http.envelope import JsonRequest, on_bug, on_http_error, on_refusal
from hookflash.server.http.handlers import operation_handlers
from hookflash.server.http.health import (
    get_metrics,
    is_alive,
    is_ready,
    openapi_document,
    openapi_page,
)
from hookflash.server.http.sign_in import OPEN_TO_ALL, caller_of, sign_in, signed_in
from hookflash.version import version

ALLOWED_REQUEST_ID: Final = re.compile(r"[0-9A-Za-z_.:-]{1,64}")

DESCRIPTION: Final = (
    "Transfer calls from any program. Get a token for an API key (PUT /v2/api_auth), list the "
    "calls, and act on one of them. Events are published by WebSocket; transfers and their "
    "timelines are available here."
)


def build_app(api: ServiceApi, metrics: DoorMetrics) -> Litestar:
    """Build the HTTP application.

    Args:
        api: performs the operations.
        metrics: counts requests.
    """
    handlers = (
        sign_in,
        *operation_handlers(),
        is_alive,
        is_ready,
        get_metrics,
        openapi_document,
        openapi_page,
    )
    app = Litestar(
        [*_options_of(handlers), *handlers],
        guards=[signed_in],
        request_class=JsonRequest,
        dependencies={"caller": Provide(caller_of, sync_to_thread=False)},
        exception_handlers={
            HookflashError: on_refusal,
            HTTPException: on_http_error,
            Exception: on_bug,
        },
        openapi_config=openapi_config(),
        request_max_body_size=api.limits.request_bytes,
        state=State({"api": api, "metrics": metrics}),
        logging_config=None,  # the framework must not change the program's logging
    )
    # around the routes, so that requests that fail have an ID and are counted, too
    app.asgi_handler = _named(app.asgi_handler)
    app.state.document = cache(partial(document_of, app))  # slow, so made on the first request
    return app


def _options_of(handlers: Iterable[HTTPRouteHandler]) -> Iterator[HTTPRouteHandler]:
    """Answer OPTIONS for each path (the framework's own answer knows one method of each path)."""
    methods: dict[str, set[str]] = {}
    for handler in handlers:
        for path in handler.paths:
            methods.setdefault(path, {"OPTIONS"}).update(map(str, handler.http_methods))
    for path, allowed in methods.items():
        yield _options(path, ", ".join(sorted(allowed)))


def _options(path: str, allowed: str) -> HTTPRouteHandler:
    @route(path, http_method=["OPTIONS"], include_in_schema=False, opt=OPEN_TO_ALL, status_code=204)
    async def allowed_methods() -> Response[None]:
        return Response(None, status_code=204, headers={"Allow": allowed})

    return allowed_methods


def openapi_config() -> OpenAPIConfig:
    """The parts of the OpenAPI document that are not about one operation."""
    return OpenAPIConfig(
        title="hookflash",
        version=version(),
        description=DESCRIPTION,
        path="/_openapi",  # the framework's own pages would fetch scripts from elsewhere
        render_plugins=[JsonRenderPlugin(path="/openapi.json")],
        components=Components(
            security_schemes={
                "token": SecurityScheme(
                    type="apiKey", name="X-Auth-Token", security_scheme_in="header"
                ),
                "bearer": SecurityScheme(type="http", scheme="bearer"),
            }
        ),
        security=[{"token": []}, {"bearer": []}],
    )


def _named(app: ASGIApp) -> ASGIApp:
    """Give every request an ID for its answer and the logs, and measure its duration."""

    async def named(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        name = given if ALLOWED_REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        scope["state"]["request_id"] = name
        began_s = trio.current_time()

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), (b"x-request-id", name.encode())]
                message["headers"] = headers
                _count(scope, message["status"], trio.current_time() - began_s)
            await send(message)

        await app(scope, receive, send_named)

    return named


def _count(scope: Scope, status: int, took_s: float) -> None:
    known = cast("dict[str, object]", scope)
    handler = getattr(known.get("route_handler"), "handler_name", "none")
    operation = str(scope["state"].get("operation", handler))
    metrics: DoorMetrics = scope["litestar_app"].state.metrics
    metrics.time_request(operation, status, took_s)
