"""What an operator's machines ask: is it alive, is it ready, how is it; and what we speak."""

from __future__ import annotations

from typing import Any

from litestar import MediaType, Response, get
from litestar.datastructures import State
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST

from hookflash.server.http.envelope import AnyRequest
from hookflash.server.http.page import page_of
from hookflash.server.metrics import Metrics
from hookflash.server.websocket.session import Doors


class Alive(Struct, frozen=True, kw_only=True):
    """It is."""

    status: str = "ok"


class Ready(Struct, frozen=True, kw_only=True):
    """Whether all is as it should be, and what is not."""

    status: str
    trouble: dict[str, str]
    """By part (a switch, the journal): what is wrong."""


@get(
    "/healthz",
    tags=["health"],
    operation_id="isAlive",
    summary="Whether the service is alive",
    security=[{}],
)
async def is_alive() -> Alive:
    """Answer, which is all that there is to it."""
    return Alive()


@get(
    "/readyz",
    tags=["health"],
    operation_id="isReady",
    summary="Whether all is as it should be",
    security=[{}],
    raises=[],
)
async def is_ready(state: State) -> Response[Ready]:
    """Say what is not as it should be; 503 if there is anything. Calls go on in any case."""
    doors: Doors = state.doors
    trouble = doors.desk.trouble()
    if state.stopping:
        trouble["service"] = "is about to stop"
    ready = Ready(status="trouble" if trouble else "ok", trouble=trouble)
    return Response(ready, status_code=503 if trouble else 200)


@get(
    "/metrics",
    tags=["health"],
    operation_id="getMetrics",
    summary="Metrics, for Prometheus",
    security=[{}],
    media_type=MediaType.TEXT,
)
async def get_metrics(state: State) -> Response[bytes]:
    """Count."""
    metrics: Metrics = state.metrics
    return Response(metrics.exposition(), headers={"content-type": CONTENT_TYPE_LATEST})


@get("/openapi.json", include_in_schema=False)
async def openapi_document(request: AnyRequest) -> dict[str, Any]:
    """The OpenAPI document of this API."""
    return request.app.openapi_schema.to_schema()


@get("/", include_in_schema=False, media_type=MediaType.HTML)
async def openapi_page(request: AnyRequest) -> str:
    """The same, to be read."""
    return page_of(request.app.openapi_schema.to_schema())
