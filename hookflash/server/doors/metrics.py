"""Metrics of the doors: requests, readers, and what was refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hookflash.server.api import ServiceApi
from hookflash.server.connections import Connections
from hookflash.server.metrics import SHORT_S


class DoorMetrics(Collector):
    """The doors' metrics. Those of the engine are asked for and put in front."""

    def __init__(self, api: ServiceApi) -> None:
        self.doors: Mapping[str, Connections] = {}
        """The connections of each door."""
        self._api = api
        self._registry = CollectorRegistry()
        self._requests = Histogram(
            "hookflash_http_request_seconds",
            "HTTP requests, by operation and status.",
            ("operation", "status"),
            buckets=SHORT_S,
            registry=self._registry,
        )
        self._registry.register(self)

    def time_request(self, operation: str, status: int, took_s: float) -> None:
        """Record an HTTP request."""
        self._requests.labels(operation, str(status)).observe(took_s)

    async def exposition(self) -> bytes:
        """All metrics, in Prometheus' text format."""
        return await self._api.engine.exposition() + generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Collect what can be looked up."""
        yield from self._connections()
        api = self._api
        yield GaugeMetricFamily("hookflash_readers", "Live subscriptions.", api.publisher.readers)
        yield CounterMetricFamily(
            "hookflash_events_published",
            "Steps published, counted once per subscription.",
            api.publisher.published,
        )
        yield CounterMetricFamily(
            "hookflash_wrong_keys", "Wrong keys and tokens.", api.access.wrong_keys
        )
        yield CounterMetricFamily(
            "hookflash_requests_rejected", "Requests over a limit.", api.access.rejected
        )

    def _connections(self) -> Iterator[Metric]:
        opened = GaugeMetricFamily(
            "hookflash_connections", "Open connections of clients.", labels=["door"]
        )
        refused = CounterMetricFamily(
            "hookflash_connections_refused",
            "Connections closed at once: there were too many.",
            labels=["door"],
        )
        evicted = CounterMetricFamily(
            "hookflash_connections_evicted",
            "Idle connections closed to make room for others.",
            labels=["door"],
        )
        for name, connections in self.doors.items():
            opened.add_metric([name], connections.total)
            refused.add_metric([name], connections.refused)
            evicted.add_metric([name], connections.evicted)
        yield from (opened, refused, evicted)
