"""Metrics of the engines, for Prometheus.

What can be looked up (transfers by state, lengths of queues) is collected when Prometheus asks.
Durations and counts of events are recorded as they happen.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hookflash.backends.base import Backend, SwitchBackend
from hookflash.commands import SwitchCommand
from hookflash.engine.inbox import Timing
from hookflash.engine.record import Record
from hookflash.fsm.transfer import State
from hookflash.promises.production import CHECKED, ProductionWatch
from hookflash.server.context import Context

SHORT_S: Final = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
"""Buckets for machines."""
LONG_S: Final = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 300.0, 1800.0)
"""Buckets for people."""


class Metrics:
    """The metrics that are recorded as they happen."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._begun = Counter(
            "hookflash_transfers_begun",
            "Transfers begun, by kind.",
            ("switch", "kind"),
            registry=self.registry,
        )
        self._ended = Counter(
            "hookflash_transfers_ended",
            "Transfers ended, by outcome.",
            ("switch", "outcome"),
            registry=self.registry,
        )
        self._refused = Counter(
            "hookflash_requests_refused",
            "Refused requests of people and programs, by reason.",
            ("switch", "refusal"),
            registry=self.registry,
        )
        self._in_state = Histogram(
            "hookflash_state_seconds",
            "Time that transfers stay in a state.",
            ("state",),
            buckets=LONG_S,
            registry=self.registry,
        )
        self._waited = Histogram(
            "hookflash_event_wait_seconds",
            "Time that an event waits in the queue.",
            ("switch",),
            buckets=SHORT_S,
            registry=self.registry,
        )
        self._took = Histogram(
            "hookflash_event_work_seconds",
            "Time to handle an event, until its last command is sent.",
            ("switch",),
            buckets=SHORT_S,
            registry=self.registry,
        )
        self._commands = Histogram(
            "hookflash_command_seconds",
            "Time until the switch acknowledges a command.",
            ("switch", "command"),
            buckets=SHORT_S,
            registry=self.registry,
        )
        self._entered: dict[str, tuple[State, float]] = {}

    def take(self, record: Record) -> None:
        """Count a record."""
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
        """Record how long an event waited and took."""
        self._waited.labels(switch).observe(timing.waited_s)
        self._took.labels(switch).observe(timing.took_s)

    def time_command(self, switch: str, command: SwitchCommand, took_s: float) -> None:
        """Record how long a switch took to acknowledge a command."""
        self._commands.labels(switch, type(command).__name__).observe(took_s)

    def exposition(self) -> bytes:
        """All metrics, in Prometheus' text format."""
        return generate_latest(self.registry)


class CurrentMetrics(Collector):
    """The metrics that are collected when Prometheus asks."""

    def __init__(
        self,
        context: Context,
        backends: Mapping[str, Backend],
        watches: Mapping[str, ProductionWatch],
    ) -> None:
        self._journal = context.journal
        self._group = context.group
        self._backends = backends
        self._watches = watches

    def collect(self) -> Iterator[Metric]:
        """Collect all."""
        yield from self._switches()
        yield from self._legs()
        yield from self._promises()
        yield from self._of_journal()

    def _switches(self) -> Iterator[Metric]:
        up = GaugeMetricFamily(
            "hookflash_switch_up", "1 if the switch is reachable.", labels=["switch"]
        )
        queued = GaugeMetricFamily(
            "hookflash_events_waiting", "Events in the queue.", labels=["switch"]
        )
        again = CounterMetricFamily(
            "hookflash_switch_reconnects", "Lost connections to a switch.", labels=["switch"]
        )
        dropped = CounterMetricFamily(
            "hookflash_events_dropped", "Events dropped: the queue was full.", labels=["switch"]
        )
        for name, engine in self._group.engines.items():
            up.add_metric([name], engine.away is None)
            queued.add_metric([name], engine.queued)
            backend = self._backends[name]
            if isinstance(backend, SwitchBackend):
                again.add_metric([name], backend.reconnects)
                dropped.add_metric([name], backend.dropped)
        yield from (up, queued, again, dropped)

    def _legs(self) -> Iterator[Metric]:
        legs = GaugeMetricFamily("hookflash_legs", "Known legs.", labels=["switch"])
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
            "Broken promises, by key. Must stay 0; alert on any increase.",
            labels=["switch", "promise"],
        )
        for name, watch in self._watches.items():
            for promise in CHECKED:
                broken.add_metric([name, promise.key], watch.broken[promise])
        yield broken

    def _of_journal(self) -> Iterator[Metric]:
        journal = self._journal
        yield GaugeMetricFamily(
            "hookflash_journal_waiting", "Steps waiting to be written.", journal.waiting
        )
        yield GaugeMetricFamily(
            "hookflash_journal_ok", "1 if the journal can be written.", journal.fault is None
        )
        yield CounterMetricFamily(
            "hookflash_journal_lost", "Steps dropped unwritten.", journal.lost
        )
        yield CounterMetricFamily(
            "hookflash_journal_set_aside",
            "Journals set aside because they were damaged, deleted or replaced.",
            len(journal.set_aside),
        )
        yield GaugeMetricFamily(
            "hookflash_journal_unreadable_rows",
            "Rows of the journal that were left out because they can't be read.",
            len(journal.unreadable),
        )
        yield GaugeMetricFamily(
            "hookflash_journal_number", "Number of the last safe step.", journal.written
        )
