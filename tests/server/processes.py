"""`hookflash serve` as a process of its own, and a program that follows what it tells."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import attrs
import httpx
import trio

from hookflash.client import connect
from hookflash.journal import history, registry
from hookflash.journal.database import open_database, open_for_reading
from hookflash.journal.history import Wanted
from hookflash.journal.step import StoredStep

JOURNAL: Final = "hookflash.sqlite"

PATIENCE_S: Final = 120.0
"""For a machine that has other things to do."""


@attrs.define
class Process:
    """`hookflash serve`."""

    process: trio.Process
    lines: trio.MemoryReceiveChannel[str]
    http: str
    websocket: str

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)


async def read_lines(stream: trio.abc.ReceiveStream, lines: trio.MemorySendChannel[str]) -> None:
    rest = b""
    async with lines, stream:
        async for chunk in stream:
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                await lines.send(line.decode())


@asynccontextmanager
async def serving(config: Path, *, patience_s: float = PATIENCE_S) -> AsyncGenerator[Process]:
    """Serve, until the block is left, or the process is killed."""
    command = [sys.executable, "-m", "hookflash", "serve", "--config", str(config)]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    send, receive = trio.open_memory_channel[str](1000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(read_lines, process.stdout, send)
        try:
            with trio.fail_after(patience_s):
                http = (await receive.receive()).removeprefix("HTTP on ")
                websocket = (await receive.receive()).removeprefix("WebSocket on ")
                yield Process(process, receive, http, websocket)
        finally:
            if process.returncode is None:
                process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
            nursery.cancel_scope.cancel()


def doors_of(pid: int) -> int:
    """The doors' process of a service."""
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if (
                folder.name.isdecimal()
                and "hookflash.server.doors" in command_of(int(folder.name))
                and f"PPid:\t{pid}\n" in (folder / "status").read_text(encoding="utf-8")
            ):
                return int(folder.name)
    raise LookupError(f"process {pid} has no doors")


def command_of(pid: int) -> str:
    """What a process runs; empty if it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").replace("\0", " ")
    return ""


def write_config(folder: Path, switch: str, **more: str) -> Path:
    file = folder / "hookflash.toml"
    listen = 'http = "127.0.0.1:0"\nwebsocket = "127.0.0.1:0"'
    tables = {"listen": listen, **more, "switches.fs": switch}
    text = "\n".join(f"[{name}]\n{keys}" for name, keys in tables.items())
    file.write_text(text, encoding="utf-8")
    return file


def make_key(folder: Path, account: str = "acme") -> str:
    connection = open_database(folder / JOURNAL)
    try:
        return registry.make_key(connection, account=account, label="test", now=0.0)[1]
    finally:
        connection.close()


@asynccontextmanager
async def asking(
    process: Process, key: str, account: str = "acme"
) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=f"{process.http}/v2/accounts/{account}", trust_env=False, timeout=PATIENCE_S
    ) as client:
        url = f"{process.http}/v2/api_auth"
        signed = await client.put(url, json={"data": {"api_key": key}})
        client.headers["X-Auth-Token"] = signed.json()["auth_token"]
        yield client


@attrs.define
class Notes:
    """What a program was told, by number."""

    told: dict[int, dict[str, Any]] = attrs.field(factory=dict[int, dict[str, Any]])
    changed: trio.Event = attrs.field(factory=trio.Event)

    async def follow(
        self, process: Process, key: str, *, task_status: trio.TaskStatus[None]
    ) -> None:
        async with (
            connect(process.websocket, api_key=key) as client,
            aclosing(client.events(after=0)) as events,
        ):
            task_status.started()
            async for happening in events:
                assert happening["number"] not in self.told, "told twice"
                self.told[happening["number"]] = happening
                self.changed.set()
                self.changed = trio.Event()

    async def until(self, what: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until something was told."""
        while True:
            for happening in self.told.values():
                if what(happening):
                    return happening
            await self.changed.wait()


def enters(state: str) -> Callable[[dict[str, Any]], bool]:
    return lambda told: told.get("state") == state and told.get("state_before") != state


def steps_in(folder: Path, wanted: Wanted | None = None) -> list[StoredStep]:
    connection = open_for_reading(folder / JOURNAL)
    try:
        return list(history.all_steps(connection, wanted or Wanted()))
    finally:
        connection.close()
