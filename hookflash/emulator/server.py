"""The emulator on a TCP port, on trio.

Its world keeps time with trio's clock: real time in a process of its own, and no time at all under
`trio.testing.MockClock` with autojump, over loopback sockets too (data on such a socket arrives
before the clock can jump).

A client that does not read is disconnected when too much is waiting for it
(`ConnectionLimits.backlog_bytes`), and one that sends no command after FreeSWITCH's 25 seconds.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import attrs
import trio

from hookflash.backends.simulator.clock import WorldClock
from hookflash.emulator.emulator import Emulator
from hookflash.emulator.session import EventSocketSession

RECEIVE_BYTES: Final = 16_384
"""Bytes per read."""

AUTH_LIMIT_S: Final = 25.0
"""Time limit for a client's first command (mod_event_socket.c: `read_packet(…, 25)`)."""

LAST_WORDS_S: Final = 5.0
"""Time limit for a client to read the end of its session."""

_REJECTION: Final = (
    b"Content-Type: text/rude-rejection\nContent-Length: 24\n\nAccess Denied, go away.\n"
)


@attrs.define
class Process:
    """Whether the emulated process runs, or is frozen, as by SIGSTOP.

    A frozen one reads and sends nothing; the kernel still accepts connections and data for it.
    """

    _runs: trio.Event = attrs.field(factory=trio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self._runs.set()

    def freeze(self) -> None:
        """Freeze it."""
        self._runs = trio.Event()

    def thaw(self) -> None:
        """Let it go on."""
        self._runs.set()

    async def running(self) -> None:
        """Wait until it runs."""
        await self._runs.wait()


@attrs.frozen(kw_only=True)
class Listening:
    """An emulator on its port."""

    emulator: Emulator
    host: str
    port: int
    process: Process = attrs.field(factory=Process)


async def serve_emulator(
    emulator: Emulator,
    *,
    host: str = "127.0.0.1",
    port: int = 8021,
    task_status: trio.TaskStatus[Listening] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve an emulator, until cancelled.

    Args:
        emulator: the emulator. Its clock begins to run now.
        host: the address to listen on; every program that can reach it controls the calls.
        port: the TCP port; 0 for any free one.
        task_status: receives the address and the port.
    """
    clock = WorldClock(emulator.world)
    emulator.host.before = clock.catch_up
    emulator.host.afterwards = clock.nudge
    listeners = await trio.open_tcp_listeners(port, host=host)
    bound: int = listeners[0].socket.getsockname()[1]

    process = Process()

    async def handle(stream: trio.SocketStream) -> None:
        await _Connection(emulator, stream, process).serve()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(clock.run)
        nursery.start_soon(trio.serve_listeners, handle, listeners)
        await trio.lowlevel.checkpoint()
        task_status.started(Listening(emulator=emulator, host=host, port=bound, process=process))


@asynccontextmanager
async def open_emulator(
    emulator: Emulator | None = None, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncGenerator[Listening]:
    """Open an emulator on a port, for a test.

    Args:
        emulator: the emulator; by default a new one, with the lab's phones.
        host: the address to listen on.
        port: the TCP port; 0 for any free one.

    Yields:
        The emulator and its port; it runs until the block is left.
    """
    async with trio.open_nursery() as nursery:

        async def serve(*, task_status: trio.TaskStatus[Listening]) -> None:
            await serve_emulator(
                emulator or Emulator(), host=host, port=port, task_status=task_status
            )

        listening: Listening = await nursery.start(serve)
        yield listening
        nursery.cancel_scope.cancel()


class _Connection:
    """One client's TCP connection."""

    def __init__(self, emulator: Emulator, stream: trio.SocketStream, process: Process) -> None:
        self._emulator = emulator
        self._process = process
        self._stream = stream
        self._scope = trio.CancelScope()
        self._output = trio.Event()
        self._ready = trio.Event()

    async def serve(self) -> None:
        """Serve it until either side ends it."""
        async with self._stream:
            try:
                with self._scope:
                    await self._process.running()
                    await self._serve()
            except* (trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # the client has gone

    async def _serve(self) -> None:
        if len(self._emulator.bus.listeners) >= self._emulator.limits.sessions:
            self._scope.deadline = trio.current_time() + LAST_WORDS_S
            await self._stream.send_all(_REJECTION)
            return
        session = self._emulator.connect()
        session.on_output = partial(self._has_output, session)
        session.on_ready = self._is_ready
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, session)
                await self._read(session)
                if not session.is_over:
                    self._scope.cancel()
        finally:
            session.close()

    def _has_output(self, session: EventSocketSession) -> None:
        self._output.set()
        if session.is_cut_off:
            self._scope.cancel()
        elif session.is_over:
            self._scope.deadline = trio.current_time() + LAST_WORDS_S

    def _is_ready(self) -> None:
        self._ready.set()

    async def _read(self, session: EventSocketSession) -> None:
        """Read until the session or the client ends it."""
        with trio.move_on_after(AUTH_LIMIT_S) as first_command:
            while not session.is_over:
                data = await self._stream.receive_some(RECEIVE_BYTES)
                await self._process.running()
                if not data:
                    return
                session.receive(data)
                if session.has_spoken:
                    first_command.deadline = math.inf
                while session.is_busy and not session.is_over:
                    self._ready = trio.Event()
                    await self._ready.wait()

    async def _write(self, session: EventSocketSession) -> None:
        """Send what is waiting, up to the end of the session."""
        while True:
            await self._process.running()
            self._output = trio.Event()
            data = session.take()
            if data:
                await self._stream.send_all(data)
            elif session.is_over:
                self._scope.cancel()
                return
            else:
                await self._output.wait()
