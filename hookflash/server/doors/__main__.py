"""The doors' process: `python -m hookflash.server.doors DESCRIPTOR`, started by `keeper`.

It ends when the engine's process does, or says goodbye. Signals are for the engine: a terminal and
systemd send them to both.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import trio

from hookflash.journal.threads import in_thread
from hookflash.server.doors.doors import open_doors
from hookflash.server.doors.listening import serve
from hookflash.server.line.stream import LineBroken
from hookflash.server.logs import log_to_stderr

NICER: Final = 5
"""The engine goes first when processors are scarce."""

SWITCH_INTERVAL_S: Final = 0.000_5
"""How soon a thread that reads the journal gets its turn. It needs one for each row: with the 5 ms
that are usual, a page of 500 rows takes seconds while strangers keep us busy."""

OOM_ADJUSTMENT: Final = "500"
"""If memory is scarce, the kernel ends the doors before the engine."""

LOGGED_OF_STRANGERS: Final = 10
"""Events of each kind in a minute: what is logged here, strangers can cause."""

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(descriptor: int) -> None:
    """Open the doors.

    Args:
        descriptor: of the socket to the engine's process.
    """
    for one in SIGNALS:
        signal.signal(one, signal.SIG_IGN)
    step_back()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        trio.run(_open, socket.socket(fileno=descriptor))
    except* LineBroken:
        pass  # the engine's process is gone


def step_back() -> None:
    """Leave processor and memory to the engine."""
    os.nice(NICER)
    with suppress(OSError):  # no Linux
        Path("/proc/self/oom_score_adj").write_text(OOM_ADJUSTMENT, encoding="ascii")


async def _open(engine: socket.socket) -> None:
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(engine))
    async with open_doors(stream, now=time.time, run=in_thread, on_broken=_end) as doors:
        log_to_stderr(doors.settings.log_format, most_per_minute=LOGGED_OF_STRANGERS)
        await serve(doors)


def _end() -> None:
    """End at once.

    To close ten thousand connections one by one takes seconds, and an engine that is started again
    needs the addresses that we listen on.
    """
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
