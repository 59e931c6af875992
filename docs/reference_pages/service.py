"""The pages about a running service: WebSocket messages, metrics, promises."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator, Mapping

import msgspec

from hookflash.api.answers import (
    Accepted,
    EventView,
    LegView,
    PartyView,
    TimelineEntry,
    TransferPage,
    TransferView,
)
from hookflash.api.requests import ListedTarget
from hookflash.journal.step import KINDS
from hookflash.promises.names import PROMISES
from hookflash.promises.production import CHECKED
from hookflash.server.websocket import messages
from hookflash.server.websocket.asyncapi import answer_in_words, asyncapi_document, requests
from reference_pages.markdown import grid, page
from reference_pages.shapes import shape_section
from reference_pages.source import module_of


def websocket_page() -> str:
    """The WebSocket protocol."""
    description = str(asyncapi_document()["info"]["description"])
    ours = (messages.Hello, messages.Reply, messages.Fault, messages.EventBatch)
    kinds = ", ".join(f"`{kind}`" for kind in KINDS)
    return page(
        "The WebSocket protocol",
        "[Transfer by WebSocket](../how-to/transfer-by-websocket.md) shows it at work, and has a "
        "client. [websocket.asyncapi.json](websocket.asyncapi.json) is the same for programs.",
        description.rstrip("\n"),
        "## Requests",
        *(part for named in requests().items() for part in websocket_message(*named)),
        "## Messages of the service",
        *(part for kind in ours for part in shape_section(kind.__name__, kind, level=3)),
        f"Kinds of events are {kinds}.",
        *shape_section(ListedTarget.__name__, ListedTarget, level=3),
        "## Answers and events",
        *(
            part
            for kind in (
                EventView,
                Accepted,
                LegView,
                TransferView,
                TransferPage,
                PartyView,
                TimelineEntry,
            )
            for part in shape_section(kind.__name__, kind, level=3)
        ),
    )


def websocket_message(action: str, kind: type[msgspec.Struct]) -> Iterator[str]:
    """One message from a program, with its reply."""
    yield from shape_section(action, kind, level=3)
    yield f"The reply: {answer_in_words(action)}"


def metrics_page() -> str:
    """The metrics."""
    found = sorted(metrics())
    return page(
        "Metrics",
        "The metrics of a service at `/metrics`, for Prometheus. [Run the "
        "service](../how-to/run-the-service.md#alarms) recommends alarms. A histogram has the "
        "suffixes `_bucket`, `_sum` and `_count`.",
        grid(("metric", "kind", "labels", "meaning"), found),
    )


def promises_page() -> str:
    """The promises."""
    return page(
        "Promises",
        "What hookflash promises of every transfer. [The design](../explanation/design.md"
        "#the-eight-promises) says what checks each. A running service counts how often one of "
        "those marked was broken (`hookflash_promises_broken_total`, with the key as the label "
        "`promise`), and logs an error with the key. These counters must stay 0; alert on any "
        "increase.",
        grid(
            ("number", "key", "promise", "counted by a service"),
            (
                (str(one.number), f"`{one.key}`", one.sentence, "yes" if one in CHECKED else "")
                for one in PROMISES
            ),
        ),
    )


_COUNTED: Mapping[str, str] = {
    "Counter": "counter",
    "CounterMetricFamily": "counter",
    "GaugeMetricFamily": "gauge",
    "Histogram": "histogram",
}


def metrics() -> Iterator[tuple[str, ...]]:
    """Every metric, from the code that creates it."""
    engine, doors = module_of("server/metrics.py"), module_of("server/doors/metrics.py")
    for node in itertools.chain(ast.walk(engine), ast.walk(doors)):
        match node:
            case ast.Call(
                func=ast.Name(id=made), args=[ast.Constant(name), ast.Constant(text), *rest]
            ) if made in _COUNTED:
                given = [one.value for one in node.keywords if one.arg == "labels"]
                labels = [*rest, *given][:1] if made.startswith(("Counter", "Hist")) else given
                names = [
                    f"`{ast.literal_eval(one)}`"
                    for group in labels
                    if isinstance(group, ast.Tuple | ast.List)
                    for one in group.elts
                ]
                total = "_total" if _COUNTED[made] == "counter" else ""
                yield (f"`{name}{total}`", _COUNTED[made], ", ".join(names), str(text))
            case _:
                pass
