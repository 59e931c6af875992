"""Health checks and metrics."""

from __future__ import annotations

from typing import Final

import msgspec
import trio
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST

from hookflash.server.api import ServiceApi
from hookflash.server.doors.metrics import DoorMetrics
from hookflash.server.http.message import HttpAnswer, HttpRequest

METRICS_EVERY_S: Final = 1.0
"""The metrics are collected at most this often, however many ask."""


class Alive(Struct, frozen=True, kw_only=True):
    """The process is alive."""

    status: str = "ok"


class Ready(Struct, frozen=True, kw_only=True):
    """Whether everything works, and the faults."""

    status: str
    trouble: dict[str, str]
    """The fault of each failing part (a switch, the journal)."""


class Health:
    """Answers monitoring systems, which need no token."""

    def __init__(self, api: ServiceApi, metrics: DoorMetrics) -> None:
        self._api = api
        self._metrics = metrics
        self._collecting = trio.Lock()
        self._collected = b""
        self._collected_s = float("-inf")

    async def is_alive(self, _: HttpRequest) -> HttpAnswer:
        """Check that the process answers."""
        return HttpAnswer(body=msgspec.json.encode(Alive()))

    async def is_ready(self, _: HttpRequest) -> HttpAnswer:
        """Report faults; the status is 503 if there are any. Calls go on in any case."""
        trouble = await self._api.engine.faults()
        ready = Ready(status="trouble" if trouble else "ok", trouble=trouble)
        return HttpAnswer(status=503 if trouble else 200, body=msgspec.json.encode(ready))

    async def get_metrics(self, _: HttpRequest) -> HttpAnswer:
        """Get the metrics, in Prometheus' text format."""
        async with self._collecting:
            if trio.current_time() - self._collected_s >= METRICS_EVERY_S:
                self._collected = await self._metrics.exposition()
                self._collected_s = trio.current_time()
        return HttpAnswer(body=self._collected, content_type=CONTENT_TYPE_LATEST)
