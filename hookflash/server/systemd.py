"""Tells systemd how the service is: ready, stopping, reloading, alive (`Type=notify`).

The protocol is one datagram of `NAME=value` lines to the socket that `NOTIFY_SOCKET` names (see
sd_notify(3)). That is less code than any of the libraries for it would need, and none of them is
looked after.

The watchdog is fed by the process that has the engines, from their own loop. If the loop hangs, or
an engine has events and handles none, it is not fed, and systemd starts the service again. That
harms no call: the new one finds the transfers in flight. The doors are another process, which is
watched from here (see `doors.keeper`).
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import MutableMapping
from typing import Final

import attrs
import structlog
import trio

from hookflash.engine.group import EngineGroup
from hookflash.server.service import Service

log = structlog.wrap_logger(logging.getLogger("hookflash.service"))

REPORT_S: Final = 5.0
"""How often the status is reported, unless the watchdog wants to hear more often."""

STUCK_S: Final = 60.0
"""An engine that has events, and has handled none for so long, is stuck. It may wait for a list of
the living legs for half of that."""

EXTENDED_S: Final = 15.0
"""While a stop waits for transfers, each report extends systemd's timeout by this."""

_PER_S: Final = 1_000_000
LONGEST_STATUS: Final = 2_000
"""Characters."""


@attrs.frozen
class Systemd:
    """The way to systemd; without an address, nothing is sent."""

    address: str = ""
    watchdog_s: float | None = None
    """systemd restarts the service if it hears nothing for so long."""

    @classmethod
    def from_environ(cls, environ: MutableMapping[str, str] = os.environ) -> Systemd:
        """Read what systemd has set, and remove it: child processes have nothing to report."""
        address = environ.pop("NOTIFY_SOCKET", "")
        limit, process = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        is_ours = process in ("", str(os.getpid()))
        watched = is_ours and limit.isascii() and limit.isdigit() and int(limit) > 0
        return cls(address, int(limit) / _PER_S if watched else None)

    def tell(self, **fields: str) -> None:
        """Send a message. A failure is logged: the service goes on without systemd."""
        if not self.address:
            return
        where = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        text = "\n".join(f"{name}={value}" for name, value in fields.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(0)
                sender.sendto(text.encode(errors="replace"), where)
        except OSError as error:
            log.warning("systemd.unreachable", why=str(error), address=self.address)

    def ready(self) -> None:
        """The service listens; or it has reloaded its configuration."""
        self.tell(READY="1")

    def reloading(self) -> None:
        """A reload begins; `ready` ends it."""
        self.tell(RELOADING="1", MONOTONIC_USEC=str(time.monotonic_ns() // 1000))

    def stopping(self) -> None:
        """The stop begins."""
        self.tell(STOPPING="1")


@attrs.define(eq=False)
class Reporter:
    """Reports the status of a service, and feeds the watchdog while its engines work."""

    _systemd: Systemd
    _service: Service
    _handled: dict[str, tuple[int, float]] = attrs.field(
        factory=dict[str, tuple[int, float]], init=False
    )
    """How many events each engine had handled, and since when."""

    async def run(self) -> None:
        """Report, until cancelled."""
        limit_s = self._systemd.watchdog_s
        every_s = REPORT_S if limit_s is None else min(REPORT_S, limit_s / 2)
        while True:
            self.report()
            await trio.sleep(every_s)

    def report(self) -> None:
        """Report once; what the service lives by comes first, and in a message of its own."""
        stuck = self._stuck()
        if stuck:
            log.error("engine.stuck", switches=stuck, effect="the watchdog is not fed")
        elif self._systemd.watchdog_s is not None:
            self._systemd.tell(WATCHDOG="1")
        if self._service.is_stopping:
            self._systemd.tell(EXTEND_TIMEOUT_USEC=str(int(EXTENDED_S * _PER_S)))
        self._systemd.tell(STATUS=status_of(self._service.group))

    def _stuck(self) -> list[str]:
        """The engines that have events, and handle none."""
        now_s = trio.current_time()
        for name, engine in self._service.group.engines.items():
            before, _ = self._handled.get(name, (-1, 0.0))
            idle = not engine.queued or engine.failure is not None
            if idle or engine.handled != before:
                self._handled[name] = (engine.handled, now_s)
        return [name for name, (_, since_s) in self._handled.items() if now_s - since_s > STUCK_S]


def status_of(group: EngineGroup) -> str:
    """One line for `systemctl status`, short enough for one message."""
    away = group.away()
    up = [name for name in group.engines if name not in away]
    switches = [f"up: {', '.join(up)}"] if up else []
    switches += [f"{name} away: {why}" for name, why in away.items()]
    transfers = sum(1 for _ in group.transfers())
    parts = (*switches, f"transfers in flight: {transfers}")
    return "; ".join(parts).replace("\n", " ")[:LONGEST_STATUS]
