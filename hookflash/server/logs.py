"""The log of both processes: one line per event, to standard error.

Nobody can flood it: of each kind of event, so many a minute are logged in full, and the rest is
counted. The next event of that kind says how many there were.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

import attrs
import structlog
from structlog.typing import EventDict, WrappedLogger

LogFormat: TypeAlias = Literal["text", "json"]

MINUTE_S: Final = 60.0
MOST_LOGGED: Final = 200
"""Events of each kind in a minute."""
LONGEST_LOGGED: Final = 8_000
"""Characters of one text: of a long traceback, for example."""
MOST_KINDS: Final = 1_000
"""Kinds beyond these are counted together."""


@attrs.define
class _Kind:
    since_s: float
    logged: int = 0
    suppressed: int = 0


class LogThrottle:
    """Limits the events of each kind: a processor for structlog, and a filter for other loggers."""

    def __init__(self, most: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Limit the events.

        Args:
            most: events of each kind in a minute.
            clock: tells seconds.
        """
        self._most = most
        self._clock = clock
        self._kinds: dict[tuple[str, str], _Kind] = {}

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> EventDict:
        """Pass an event on, or drop it.

        Raises:
            DropEvent: there were too many of its kind.
        """
        suppressed = self._count((str(event.get("logger", "")), str(event.get("event", ""))))
        if suppressed is None:
            raise structlog.DropEvent
        if suppressed:
            event["suppressed"] = suppressed
        return event

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record of a library is logged. Those of structlog were counted before."""
        if record.name.startswith("hookflash"):
            return True
        suppressed = self._count((record.name, str(record.msg)))
        if suppressed:
            record.msg = f"{record.msg} (and {suppressed} more like it)"
        return suppressed is not None

    def _count(self, key: tuple[str, str]) -> int | None:
        """Count one event.

        Returns:
            How many were dropped before it; nothing, if it is to be dropped, too.
        """
        now_s = self._clock()
        if key not in self._kinds and len(self._kinds) >= MOST_KINDS:
            key = ("", "")
        kind = self._kinds.setdefault(key, _Kind(now_s))
        before = 0
        if now_s - kind.since_s >= MINUTE_S:
            before = kind.suppressed
            kind.since_s, kind.logged, kind.suppressed = now_s, 0, 0
        if kind.logged >= self._most:
            kind.suppressed += 1
            return None
        kind.logged += 1
        return before


def in_short(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Cut long texts: others may have written them. A processor for structlog."""
    for field, value in event.items():
        if isinstance(value, str) and len(value) > LONGEST_LOGGED:
            event[field] = f"{value[:LONGEST_LOGGED]}… ({len(value)} characters)"
    return event


def log_to_stderr(log_format: LogFormat, *, most_per_minute: int = MOST_LOGGED) -> None:
    """Configure the log: one line per event, as text or JSON, never with passwords.

    Args:
        log_format: `text` or `json`.
        most_per_minute: how many events of each kind are logged in full.
    """
    renderer = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    throttle = LogThrottle(most_per_minute)
    structlog.configure(
        processors=[
            structlog.stdlib.add_logger_name,
            throttle,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            in_short,
            renderer,
        ],
        # libraries such as stamina use structlog too, and need named loggers
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(throttle.filter)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, format="%(message)s")
    logging.getLogger("hookflash").setLevel(logging.INFO)
