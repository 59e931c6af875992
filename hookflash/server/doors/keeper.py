"""Starts the doors' process, and starts it again if it dies or freezes."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import attrs
import msgspec
import structlog
import trio

from hookflash.errors import first_of
from hookflash.server.doors.listening import Addresses, Bound, bind
from hookflash.server.line.desk_end import DeskEnd, DeskWork
from hookflash.server.line.messages import Settings
from hookflash.server.line.stream import LineBroken
from hookflash.server.logs import LogFormat
from hookflash.server.service import Service

log = structlog.wrap_logger(logging.getLogger("hookflash.service"))

AGAIN_S: Final = (0.0, 0.2, 1.0, 5.0)
"""How long to wait before the doors are started again; the longest from then on."""

LASTED_S: Final = 60.0
"""Doors that were open for so long are started again at once."""

OPENING_S: Final = 20.0
"""How long a start waits for the doors. Calls are looked after meanwhile."""


@attrs.define(eq=False)
class Keeper:
    """Keeps the doors open."""

    _service: Service
    _bound: Bound
    _settings: Settings
    opened: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Set once they were open for the first time."""

    @property
    def addresses(self) -> Addresses:
        """The URLs of both APIs."""
        return self._bound.addresses

    async def run(self) -> None:
        """Keep them open, until cancelled."""
        failed = 0
        async with trio.open_nursery() as nursery:
            work = DeskWork(nursery)
            while True:
                began_s = trio.current_time()
                why = await self._open(work)
                failed = 0 if trio.current_time() - began_s > LASTED_S else failed + 1
                wait_s = AGAIN_S[min(failed, len(AGAIN_S) - 1)]
                log.error("doors.ended", why=why, effect="calls go on", again_in_s=wait_s)
                await trio.sleep(wait_s)

    async def _open(self, work: DeskWork) -> str:
        """Open them, until they end.

        Returns:
            Why they ended.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await self._start(theirs.fileno())
            except OSError as error:
                ours.close()
                return str(error)
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
        end = DeskEnd(
            stream,
            self._service.desk,
            self._service.metrics,
            self._settings,
            work,
            opened=self.opened,
        )
        try:
            return await _until_it_ends(end)
        finally:
            process.kill()
            with trio.CancelScope(shield=True):  # it dies of SIGKILL at once
                await trio.aclose_forcefully(stream)
                await process.wait()

    async def _start(self, line: int) -> trio.Process:
        listening = (*self._settings.http, *self._settings.websocket)
        return await trio.lowlevel.open_process(
            # -P: whatever lies in the working directory is not imported
            [sys.executable, "-P", "-m", "hookflash.server.doors", str(line)],
            stdin=subprocess.DEVNULL,
            pass_fds=(line, *listening),
        )


async def _until_it_ends(end: DeskEnd) -> str:
    why = ""
    try:
        await end.run()
    except* LineBroken as errors:
        why = str(first_of(errors))
    except* Exception as errors:  # whatever it is: calls go on, and the doors are opened again
        log.exception("doors.failed")
        why = repr(first_of(errors))
    return why


@asynccontextmanager
async def open_keeper(
    service: Service, *, beside: Path | None = None, log_format: LogFormat = "text"
) -> AsyncGenerator[Keeper]:
    """Listen for HTTP and WebSocket, in a process of its own.

    Args:
        service: performs the requests.
        beside: the configuration's folder.
        log_format: `text` or `json`.

    Raises:
        InputError: an address can't be used.
    """
    bound = await bind(service.config.listen)
    settings = msgspec.structs.replace(
        service.settings(beside),
        http=tuple(one.fileno() for one in bound.http),
        websocket=tuple(one.fileno() for one in bound.websocket),
        log_format=log_format,
    )
    keeper = Keeper(service, bound, settings)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.run)
            with trio.move_on_after(OPENING_S):  # if they can't open, the log says why
                await keeper.opened.wait()
            yield keeper
            nursery.cancel_scope.cancel()
    finally:
        bound.close()
