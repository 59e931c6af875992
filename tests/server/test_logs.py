"""A log that nobody can flood."""

from __future__ import annotations

import logging
from typing import Any

import attrs
import pytest
import structlog

from hookflash.server.logs import LONGEST_LOGGED, MOST_KINDS, LogThrottle, in_short


@attrs.define
class Clock:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


def logged(throttle: LogThrottle, event: str, times: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for _ in range(times):
        try:
            told = throttle(None, "error", {"logger": "hookflash.http", "event": event})
        except structlog.DropEvent:
            continue
        found.append(dict(told))
    return found


def test_the_first_of_a_kind_are_logged_and_the_rest_are_counted() -> None:
    clock = Clock()
    throttle = LogThrottle(3, clock=clock)
    assert len(logged(throttle, "request.failed", 1_000)) == 3
    assert len(logged(throttle, "connection.failed", 1)) == 1, "another kind is not affected"
    clock.now_s = 59.0
    assert logged(throttle, "request.failed", 3) == []
    clock.now_s = 60.0
    first, second = logged(throttle, "request.failed", 2)
    assert first["suppressed"] == 1_000
    assert "suppressed" not in second


def test_records_of_libraries_are_counted_by_their_message() -> None:
    clock = Clock()
    throttle = LogThrottle(2, clock=clock)
    make = logging.getLogger("trio.serve_listeners").makeRecord

    def passes(name: str, message: str) -> str | None:
        record = make(name, logging.ERROR, "", 0, message, ("x",), None)
        return record.getMessage() if throttle.filter(record) else None

    texts = [passes("trio.serve_listeners", "accept failed: %s") for _ in range(50)]
    assert texts == ["accept failed: x"] * 2 + [None] * 48
    assert passes("hookflash.http", "counted before: %s") is not None
    clock.now_s = 61.0
    assert passes("trio.serve_listeners", "accept failed: %s") == (
        "accept failed: x (and 48 more like it)"
    )


def test_kinds_that_a_stranger_invents_do_not_fill_the_memory() -> None:
    throttle = LogThrottle(1, clock=Clock())
    for number in range(3 * MOST_KINDS):
        logged(throttle, f"kind {number}", 1)
    assert len(throttle._kinds) == MOST_KINDS + 1  # pyright: ignore[reportPrivateUsage]


def test_the_log_is_set_up_with_a_throttle(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hookflash.server import logs  # noqa: PLC0415 - the handler takes stderr when it is made

    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    before = structlog.get_config()
    try:
        logs.log_to_stderr("json", most_per_minute=2)
        log = structlog.wrap_logger(logging.getLogger("hookflash.test"))
        for _ in range(10):
            log.error("request.failed", why="a bug")
            logging.getLogger("library").error("noise")
    finally:
        structlog.configure(**before)
    lines = capsys.readouterr().err.splitlines()
    assert sum("request.failed" in line for line in lines) == 2
    assert sum("noise" in line for line in lines) == 2


def test_a_long_text_is_cut() -> None:
    event = in_short(None, "error", {"event": "switch.lost", "why": "x" * 1_000_000, "number": 5})
    assert len(event["why"]) < LONGEST_LOGGED + 100
    assert "1000000 characters" in event["why"]
    assert (event["event"], event["number"]) == ("switch.lost", 5)
