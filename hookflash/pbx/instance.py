"""One running Asterisk: started, watched and ended by its process ID."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Final

import attrs
import trio

from hookflash.backends.asterisk.manager import (
    Manager,
    ManagerLogin,
    ManagerLost,
    open_manager,
)
from hookflash.errors import BackendError, first_of
from hookflash.pbx.config import USER, Setup
from hookflash.pbx.obtain import Installation

START_TIMEOUT_S: Final = 30.0
"""Usually 0.3 s; a loaded machine takes longer."""
STOP_TIMEOUT_S: Final = 5.0
"""From SIGTERM to SIGKILL. Usually 0.2 s."""
_POLL_S: Final = 0.02
_LAST_LINES: Final = 12


class InstanceDied(BackendError):
    """An instance ended unexpectedly. The message has the last lines of its log."""


@attrs.define(eq=False)
class Instance:
    """A running Asterisk."""

    setup: Setup
    process: subprocess.Popen[bytes]
    stopping: bool = False
    """Whether its end is expected."""

    @classmethod
    def start(cls, installation: Installation, setup: Setup) -> Instance:
        """Write the configuration, and start the program. It is not ready yet.

        If the system has `setpriv`, the program ends with the thread that starts it: do not call
        this in a worker thread.
        """
        setup.write(installation)
        command = installation.command("-f", "-n", "-C", str(setup.conf / "asterisk.conf"))
        if shutil.which("setpriv"):  # so that nothing is left behind when we are killed
            command = ["setpriv", "--pdeathsig", "TERM", *command]
        with (setup.directory / "log" / "console.log").open("wb") as console:
            process = subprocess.Popen(
                command,
                cwd=setup.directory,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env={**os.environ, "LC_ALL": "C.UTF-8"},
                start_new_session=True,  # Ctrl-C must not reach it
            )
        return cls(setup, process)

    @property
    def login(self) -> ManagerLogin:
        """The login to its manager interface."""
        return ManagerLogin(port=self.setup.ports.ami, username=USER, secret=self.setup.secret)

    @property
    def running(self) -> bool:
        """Whether the process is running."""
        return self.process.poll() is None

    @property
    def death(self) -> InstanceDied | None:
        """How it ended, if it ended unexpectedly."""
        status = self.process.poll()
        if status is None or self.stopping:
            return None
        how = f"signal {-status}" if status < 0 else f"status {status}"
        last = "\n".join(self.last_lines()) or "its log is empty"
        return InstanceDied(f"the {self.setup.name} (Asterisk) ended with {how}:\n{last}")

    def last_lines(self, count: int = _LAST_LINES) -> list[str]:
        """Return the last lines of its console and its log."""
        lines: list[str] = []
        for path in (self.setup.directory / "log" / "console.log", self.setup.log):
            with suppress(OSError):
                text = path.read_text(encoding="utf-8", errors="replace")
                lines += [line for line in text.splitlines() if line.strip()][-count:]
        return lines

    async def ready(self) -> None:
        """Wait until it has loaded everything and takes calls.

        Raises:
            InstanceDied: it ended instead, or it did not get ready in time.
        """
        with trio.move_on_after(START_TIMEOUT_S):
            while not await self._booted():
                if (death := self.death) is not None:
                    raise death
                await trio.sleep(_POLL_S)
            return
        raise InstanceDied(f"the {self.setup.name} (Asterisk) was not ready in {START_TIMEOUT_S} s")

    async def _booted(self) -> bool:
        booted = trio.Event()

        def look(message: object) -> None:
            if getattr(message, "event", "") == "FullyBooted":
                booted.set()

        try:
            async with open_manager(self.login, look) as manager:
                with trio.move_on_after(START_TIMEOUT_S):
                    await _either(booted, manager)
        except ManagerLost:
            return False
        return booted.is_set()

    def stop(self) -> None:
        """End it: SIGTERM, then SIGKILL if it does not end. May be called again."""
        self.stopping = True
        if not self.running:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    async def watch(self) -> None:
        """Wait until it ends.

        Raises:
            InstanceDied: it ended unexpectedly.
        """
        if self.running:
            descriptor = os.pidfd_open(self.process.pid)
            try:
                await trio.lowlevel.wait_readable(descriptor)
            finally:
                os.close(descriptor)
        if (death := self.death) is not None:
            raise death


async def _either(booted: trio.Event, manager: Manager) -> None:
    """Wait until it has booted, or the connection ends."""
    async with trio.open_nursery() as nursery:

        async def lost() -> None:
            await manager.lost()
            nursery.cancel_scope.cancel()

        nursery.start_soon(lost)
        await booted.wait()
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_instance(installation: Installation, setup: Setup) -> AsyncGenerator[Instance]:
    """Run an Asterisk while the block runs.

    Yields:
        The instance, once it takes calls.

    Raises:
        InstanceDied: it ended first, and the block was cancelled.
    """
    instance = Instance.start(installation, setup)
    failed: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(instance.watch)
            try:
                await instance.ready()
                yield instance
            except Exception as error:  # noqa: BLE001 - raised outside: a nursery wraps it in a group
                failed = error
            nursery.cancel_scope.cancel()
    except* InstanceDied as died:
        failed = first_of(died)
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(instance.stop)
    if failed is not None:
        raise failed
