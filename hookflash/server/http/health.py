"""Health checks, metrics, and the OpenAPI document."""

from __future__ import annotations

from typing import Any

from litestar import MediaType, Response, get
from litestar.datastructures import State
from litestar.openapi import ResponseSpec
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST

from hookflash.server.api import ServiceApi
from hookflash.server.doors.metrics import DoorMetrics
from hookflash.server.http.page import page_of
from hookflash.server.http.sign_in import OPEN_TO_ALL


class Alive(Struct, frozen=True, kw_only=True):
    """The process is alive."""

    status: str = "ok"


class Ready(Struct, frozen=True, kw_only=True):
    """Whether everything works, and the faults."""

    status: str
    trouble: dict[str, str]
    """The fault of each failing part (a switch, the journal)."""


@get(
    "/healthz",
    tags=["health"],
    operation_id="isAlive",
    summary="Whether the service is alive",
    security=[{}],
    opt=OPEN_TO_ALL,
)
async def is_alive() -> Alive:
    """Check that the process answers."""
    return Alive()


@get(
    "/readyz",
    tags=["health"],
    operation_id="isReady",
    summary="Whether everything works",
    security=[{}],
    opt=OPEN_TO_ALL,
    responses={
        503: ResponseSpec(Ready, description="Something does not work.", generate_examples=False)
    },
)
async def is_ready(state: State) -> Response[Ready]:
    """Report faults; the status is 503 if there are any. Calls go on in any case."""
    api: ServiceApi = state.api
    trouble = await api.engine.faults()
    ready = Ready(status="trouble" if trouble else "ok", trouble=trouble)
    return Response(ready, status_code=503 if trouble else 200)


@get(
    "/metrics",
    tags=["health"],
    operation_id="getMetrics",
    summary="Metrics, for Prometheus",
    security=[{}],
    opt=OPEN_TO_ALL,
    media_type=MediaType.TEXT,
)
async def get_metrics(state: State) -> Response[bytes]:
    """Get the metrics."""
    metrics: DoorMetrics = state.metrics
    return Response(await metrics.exposition(), headers={"content-type": CONTENT_TYPE_LATEST})


@get("/openapi.json", include_in_schema=False, opt=OPEN_TO_ALL)
async def openapi_document(state: State) -> dict[str, Any]:
    """The OpenAPI document of this API."""
    document: dict[str, Any] = state.document()
    return document


@get("/", include_in_schema=False, opt=OPEN_TO_ALL, media_type=MediaType.HTML)
async def openapi_page(state: State) -> str:
    """The OpenAPI document as a page for people."""
    return page_of(state.document())
