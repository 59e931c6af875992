"""What is counted, for Prometheus.

Most of it is looked up when it is asked for (how many transfers in which state, how long the queues
are); what can't be looked up afterwards (how long a transfer stayed in a state, how long an event
waited) is counted when it happens.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hookflash.backends.base import Backend, SwitchBackend
from hookflash.commands import SwitchCommand
from hookflash.engine.engine import Timing
from hookflash.engine.group import EngineGroup
from hookflash.engine.record import Record
from hookflash.fsm.transfer import State
from hookflash.journal.journal import Journal
from hookflash.promises.production import CHECKED, ProductionWatch
from hookflash.server.access import Access
from hookflash.server.publisher import Publisher

SHORT_S: Final = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
"""Buckets for what a machine does."""
LONG_S: Final = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 300.0, 1800.0)
"""Buckets for what people wait for."""


class Metrics:
    """All that is counted."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._begun = Counter(
            "hookflash_transfers_begun",
            "Transfers that were taken.",
            ("switch", "kind"),
            registry=self.registry,
        )
        self._ended = Counter(
            "hookflash_transfers_ended",
            "Transfers that have ended, by how.",
            ("switch", "outcome"),
            registry=self.registry,
        )
        self._refused = Counter(
            "hookflash_requests_refused",
            "Requests of people and programs that could not be met, by why.",
            ("switch", "refusal"),
            registry=self.registry,
        )
        self._in_state = Histogram(
            "hookflash_state_seconds",
            "How long transfers stay in a state.",
            ("state",),
            buckets=LONG_S,
            registry=self.registry,
        )
        self._waited = Histogram(
            "hookflash_event_wait_seconds",
            "From an event's coming until its turn.",
            ("switch",),
            buckets=SHORT_S,
            registry=self.registry,
        )
        self._took = Histogram(
            "hookflash_event_work_seconds",
            "From an event's turn until its last command was on its way.",
            ("switch",),
            buckets=SHORT_S,
            registry=self.registry,
        )
        self._commands = Histogram(
            "hookflash_command_seconds",
            "From a command's being sent until the switch has answered that it took it.",
            ("switch", "command"),
            buckets=SHORT_S,
            registry=self.registry,
        )
        self._requests = Histogram(
            "hookflash_http_request_seconds",
            "HTTP requests, by what was asked and how it was answered.",
            ("operation", "status"),
            buckets=SHORT_S,
            registry=self.registry,
        )
        self._entered: dict[str, tuple[State, float]] = {}

    def take(self, record: Record) -> None:
        """Count what a record says."""
        if record.refusal is not None:
            self._refused.labels(record.switch, record.refusal.value).inc()
            return
        if record.transfer is None:
            return
        if record.before is State.IDLE and record.after is not State.IDLE:
            kind = getattr(record.event, "kind", None)
            self._begun.labels(record.switch, kind.value if kind else "found").inc()
        if record.after is not None and record.after is not record.before:
            state, since_s = self._entered.get(record.transfer, (State.IDLE, record.at_s))
            if state is not State.IDLE:
                self._in_state.labels(state.value).observe(record.at_s - since_s)
            self._entered[record.transfer] = (record.after, record.at_s)
        if record.outcome is not None:
            self._entered.pop(record.transfer, None)
            self._ended.labels(record.switch, record.outcome.value).inc()

    def time_event(self, switch: str, timing: Timing) -> None:
        """Count how long an event took."""
        self._waited.labels(switch).observe(timing.waited_s)
        self._took.labels(switch).observe(timing.took_s)

    def time_command(self, switch: str, command: SwitchCommand, took_s: float) -> None:
        """Count how long a switch took to answer a command."""
        self._commands.labels(switch, type(command).__name__).observe(took_s)

    def time_request(self, operation: str, status: int, took_s: float) -> None:
        """Count a request."""
        self._requests.labels(operation, str(status)).observe(took_s)

    def exposition(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self.registry)


class Looked(Collector):
    """What is looked up when it is asked for."""

    def __init__(
        self,
        *,
        group: EngineGroup,
        backends: dict[str, Backend],
        journal: Journal,
        publisher: Publisher,
        access: Access,
        watches: dict[str, ProductionWatch],
    ) -> None:
        self._group = group
        self._backends = backends
        self._journal = journal
        self._publisher = publisher
        self._access = access
        self._watches = watches

    def collect(self) -> Iterator[Metric]:
        """Look."""
        yield from self._switches()
        yield from self._lines()
        yield from self._promises()
        yield from self._rest()

    def _switches(self) -> Iterator[Metric]:
        up = GaugeMetricFamily(
            "hookflash_switch_up", "Whether a switch can be reached.", labels=["switch"]
        )
        queued = GaugeMetricFamily(
            "hookflash_events_waiting", "Events that wait for their turn.", labels=["switch"]
        )
        again = CounterMetricFamily(
            "hookflash_switch_reconnects", "Lines to a switch that have died.", labels=["switch"]
        )
        dropped = CounterMetricFamily(
            "hookflash_events_dropped", "Events that nobody took in time.", labels=["switch"]
        )
        for name, engine in self._group.engines.items():
            up.add_metric([name], engine.away is None)
            queued.add_metric([name], engine.queued)
            backend = self._backends[name]
            if isinstance(backend, SwitchBackend):
                again.add_metric([name], backend.reconnects)
                dropped.add_metric([name], backend.dropped)
        yield from (up, queued, again, dropped)

    def _lines(self) -> Iterator[Metric]:
        legs = GaugeMetricFamily("hookflash_legs", "Legs that are known.", labels=["switch"])
        for name, engine in self._group.engines.items():
            legs.add_metric([name], len(engine.switchboard.legs))
        yield legs
        running = GaugeMetricFamily(
            "hookflash_transfers", "Transfers in flight, by state.", labels=["switch", "state"]
        )
        tally = Tally((name, transfer.state) for name, transfer in self._group.transfers())
        for name in self._group.engines:
            for state in State:
                if state is not State.IDLE:
                    running.add_metric([name, state.value], tally[name, state])
        yield running

    def _promises(self) -> Iterator[Metric]:
        broken = CounterMetricFamily(
            "hookflash_promises_broken",
            "Promises that were broken, by key. Must stay 0.",
            labels=["switch", "promise"],
        )
        for name, watch in self._watches.items():
            for promise in CHECKED:
                broken.add_metric([name, promise.key], watch.broken[promise])
        yield broken

    def _rest(self) -> Iterator[Metric]:
        journal, publisher, access = self._journal, self._publisher, self._access
        yield GaugeMetricFamily(
            "hookflash_journal_waiting", "Steps that wait to be written.", journal.waiting
        )
        yield GaugeMetricFamily(
            "hookflash_journal_ok", "Whether the journal can be written.", journal.fault is None
        )
        yield CounterMetricFamily(
            "hookflash_journal_lost", "Steps that were given up, unwritten.", journal.lost
        )
        yield GaugeMetricFamily(
            "hookflash_journal_number", "The number of the last step that is safe.", journal.written
        )
        yield GaugeMetricFamily(
            "hookflash_readers", "Subscriptions that are live.", publisher.readers
        )
        yield CounterMetricFamily(
            "hookflash_events_told",
            "Steps that were published, counted for each subscription.",
            publisher.published,
        )
        yield CounterMetricFamily(
            "hookflash_wrong_keys", "Wrong keys and tokens that were shown.", access.wrong_keys
        )
        yield CounterMetricFamily(
            "hookflash_requests_turned_away", "Requests that were too many.", access.rejected
        )
