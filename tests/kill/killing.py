"""The service, and what is done to it: two kinds of service, and a proxy that can be cut.

**ProcessService** is `hookflash serve`, a real process, killed with SIGKILL, stopped with SIGSTOP.
It is started as anybody starts it, or (`Forker`) forked off one that has imported what it needs.

**InProcessService** is the service within the process of the harness, for trio's virtual clock: it
is cut off between any two steps of any two tasks, and comes back on the journal's file as it lay on
the disk at that moment. That is the same death, but for what the kernel still had in its pipes; it
takes no process and no time, so that there can be thousands.

Both know the service by its config, HTTP and its journal. (The second one has to open it.)
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import Any, Final, Protocol, TypeVar

import attrs
import httpx
import trio
from doors_here import open_doors_of, transport_to

from hookflash.server.read_config import parse_config
from hookflash.server.service import open_service

JOURNAL: Final = "hookflash.sqlite"
ACCOUNT: Final = "default"

START_S: Final = 60.0
"""How long a service may take to open its doors: the machine may have other things to do."""

Found = TypeVar("Found")


@attrs.frozen(kw_only=True)
class Wishes:
    """What the config says."""

    host: str
    port: int
    ring_timeout_s: float
    template: str = ""
    """How targets are called; the default goes through the dialplan."""
    account: str = ACCOUNT
    """Whose calls they are."""
    asterisk: str = ""
    """The keys of an Asterisk, in place of a FreeSWITCH with silent sounds."""

    def text(self) -> str:
        template = f'template = "{self.template}"\n' if self.template else ""
        silence = 'music = "tone:0/1000"\nringback = "tone:0/1000"\n'
        switch = (
            f'[switches.fs]\nkind = "freeswitch"\nhost = "{self.host}"\nport = {self.port}\n'
            'password = "ClueCon"\n'
        )
        if self.asterisk:
            silence = ""
            switch = f'[switches.asterisk]\nkind = "asterisk"\nhost = "{self.host}"\n'
            switch += self.asterisk
        return (
            '[listen]\nhttp = "127.0.0.1:0"\nwebsocket = "127.0.0.1:0"\n'
            '[journal]\nsync = "normal"\n'
            "[limits]\ntoken_lifetime_s = 1000000\nrequests_per_second = 100000\n"
            '[defaults.rules]\nmay_transfer = "anybody"\n'
            f"[defaults.policy]\nring_timeout_s = {self.ring_timeout_s}\n"
            f"recall_ring_timeout_s = {self.ring_timeout_s}\n{silence}"
            f"{switch}{template}"
        )


def write_config(folder: Path, wishes: Wishes) -> Path:
    file = folder / "hookflash.toml"
    file.write_text(wishes.text(), encoding="utf-8")
    return file


def make_key(config: Path, account: str = ACCOUNT) -> str:
    """Make a key, as an operator does."""
    command = [sys.executable, "-m", "hookflash", "keys", "make", "--account", account]
    command += ["--label", "kill", "--config", str(config)]
    made = subprocess.run(command, check=True, capture_output=True, text=True)
    return made.stdout.split()[0]


class Service(Protocol):
    """A service that can be killed."""

    client: httpx.AsyncClient | None
    works_since_s: float | None
    folder: Path
    epoch_s: float
    """The time of day when the clock of the harness stands at 0."""

    async def begin_round(self) -> None: ...
    async def start(self) -> None: ...
    async def kill(self) -> None: ...
    async def stop(self) -> None: ...


async def sign_in(client: httpx.AsyncClient, key: str) -> str:
    """A token. It outlives the service, being in the journal."""
    answered = await client.put("/v2/api_auth", json={"data": {"api_key": key}})
    answered.raise_for_status()
    return str(answered.json()["auth_token"])


class Forker:
    """Starts services by forking them off (see `forking`)."""

    def __init__(self) -> None:
        self._turn = trio.StrictFIFOLock()
        self._process: trio.Process | None = None

    async def fork(self, config: Path, out: Path, log: Path) -> int:
        async with self._turn:
            if self._process is None:
                self._process = await trio.lowlevel.open_process(
                    [sys.executable, str(Path(__file__).with_name("forking.py"))],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            process = self._process
            assert process.stdin is not None
            assert process.stdout is not None
            await process.stdin.send_all(f"{config}\t{out}\t{log}\n".encode())
            told = b""
            while not told.endswith(b"\n"):
                told += await process.stdout.receive_some(100)
            return int(told)

    async def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            with trio.CancelScope(shield=True):
                await self._process.wait()
                for stream in (self._process.stdin, self._process.stdout):
                    if stream is not None:
                        await stream.aclose()


class ProcessService:
    """`hookflash serve`, a process."""

    def __init__(self, folder: Path, wishes: Wishes, forker: Forker | None = None) -> None:
        self.folder = folder
        self.client: httpx.AsyncClient | None = None
        self.works_since_s: float | None = None
        self.epoch_s = time.time() - trio.current_time()
        self._config = write_config(folder, wishes)
        self._account = wishes.account
        self._key = make_key(self._config, wishes.account)
        self._token = ""
        self._forker = forker
        self._child: trio.Process | None = None
        self._process: int | None = None
        self._log = folder / "log"
        self._out = folder / "out"

    async def begin_round(self) -> None:
        """Start, if it is not at work."""
        if self.works_since_s is None:
            await self.start()

    async def start(self) -> None:
        self._out.unlink(missing_ok=True)
        if self._forker is not None:
            self._process = await self._forker.fork(self._config, self._out, self._log)
        else:
            command = [sys.executable, "-m", "hookflash", "serve", "--config", str(self._config)]
            with self._out.open("wb") as out, self._log.open("ab") as log:
                self._child = await trio.lowlevel.open_process(command, stdout=out, stderr=log)
            self._process = self._child.pid
        with trio.fail_after(START_S):
            base = await self._address()
        if not self._token:
            async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=30) as client:
                self._token = await sign_in(client, self._key)
        self.client = httpx.AsyncClient(
            base_url=f"{base}/v2/accounts/{self._account}",
            headers={"X-Auth-Token": self._token, "Content-Type": "application/json"},
            trust_env=False,
            timeout=10,
        )
        self.works_since_s = trio.current_time()

    async def _address(self) -> str:
        while True:
            told = self._out.read_text(encoding="utf-8") if self._out.exists() else ""
            if "\n" in told:
                return told.split("\n")[0].removeprefix("HTTP on ")
            if self._process is None or not _lives(self._process):
                log = self._log.read_text(encoding="utf-8")
                raise RuntimeError(f"the service ended before it was up: {log[-2000:]}")
            await trio.sleep(0.01)

    async def kill(self) -> None:
        process, client = self._process, self.client
        self._process, self.client, self.works_since_s = None, None, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        with trio.CancelScope(shield=True):
            if self._child is not None:
                await self._child.wait()
            while _lives(process):
                await trio.sleep(0.002)
            if client is not None:
                await client.aclose()

    async def stop(self) -> None:
        await self.kill()

    async def freeze(self, for_s: float) -> None:
        """Stop the process for a while, as a machine does that has too much to do."""
        process = self._process
        assert process is not None
        since_s, self.works_since_s = self.works_since_s, None
        os.kill(process, signal.SIGSTOP)
        try:
            await trio.sleep(for_s)
        finally:
            os.kill(process, signal.SIGCONT)
            self.works_since_s = since_s and trio.current_time()


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


NOON: Final = 1_795_953_600.0
"""The time of day when the virtual clock stands at 0."""


async def _inline(work: Callable[[], Found], /) -> Found:
    """Do work at once: a thread would fool the virtual clock."""
    await trio.lowlevel.checkpoint()
    return work()


class _Steps(trio.abc.Instrument):
    """Does something once, after so many steps of tasks."""

    def __init__(self, left: int, do: Callable[[], None]) -> None:
        self._left = left
        self._do = do

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self._left -= 1
        if self._left < 0:
            self.stop()
            self._do()

    def stop(self) -> None:
        with suppress(KeyError):
            trio.lowlevel.remove_instrument(self)


class InProcessService:
    """The service in this process, on the virtual clock."""

    MOST_STEPS: Final = 300
    LONGEST_S: Final = 1.0
    LARGE: Final = 2_000_000
    """A journal of so many bytes is replaced before the next round: each death copies it."""

    def __init__(self, folder: Path, wishes: Wishes, tasks: trio.Nursery, seed: int) -> None:
        self.client: httpx.AsyncClient | None = None
        self.works_since_s: float | None = None
        self.epoch_s = NOON
        self._home = folder
        self._lives = 0
        self._dice = Random(f"steps {seed}")
        self._config = parse_config(tomllib.loads(wishes.text()))
        self.folder = folder / "0"
        self.folder.mkdir()
        self._key = make_key(write_config(self.folder, wishes))
        self._blank = folder / f"blank-{JOURNAL}"
        """A journal with a key and a token, and no history."""
        self._token = ""
        self._tasks = tasks
        self._scope = trio.CancelScope()
        self._over = trio.Event()

    async def begin_round(self) -> None:
        """Start, if it is not at work; with a new journal, if this one is large."""
        if (self.folder / JOURNAL).stat().st_size > self.LARGE:
            self._scope.cancel()
            await self._over.wait()
            self.works_since_s = None
            shutil.rmtree(self.folder)
            self.folder = self._next_folder()
            shutil.copy(self._blank, self.folder / JOURNAL)
        if self.works_since_s is None:
            await self.start()

    def _next_folder(self) -> Path:
        self._lives += 1
        folder = self._home / str(self._lives)
        folder.mkdir()
        return folder

    async def start(self) -> None:
        self._scope, self._over = trio.CancelScope(), trio.Event()
        await self._tasks.start(self._live)
        self.works_since_s = trio.current_time()

    async def _live(self, *, task_status: trio.TaskStatus[None]) -> None:
        try:
            with self._scope:
                async with (
                    open_service(
                        self._config,
                        beside=self.folder,
                        now=lambda: NOON + trio.current_time(),
                        run=_inline,
                    ) as service,
                    open_doors_of(service, now=service.journal.now, run=_inline) as doors,
                ):
                    transport = transport_to(doors)
                    root = httpx.AsyncClient(transport=transport, base_url="http://kill")
                    if not self._token:
                        self._token = await sign_in(root, self._key)
                        Journal(self.folder).copy(self._blank)
                    self.client = httpx.AsyncClient(
                        transport=transport,
                        base_url=f"http://kill/v2/accounts/{ACCOUNT}",
                        headers={"X-Auth-Token": self._token, "Content-Type": "application/json"},
                    )
                    task_status.started()
                    await trio.sleep_forever()
        finally:
            self._over.set()

    def _die(self) -> None:
        """Keep the files as they are, and end whatever runs."""
        self.client, self.works_since_s = None, None
        after = self._next_folder()
        for file in self.folder.glob(f"{JOURNAL}*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, after)
        self._dead, self.folder = self.folder, after
        self._scope.cancel()

    async def kill(self) -> None:
        steps = _Steps(self._dice.randrange(self.MOST_STEPS), self._die)
        trio.lowlevel.add_instrument(steps)
        with trio.move_on_after(self.LONGEST_S):
            await self._over.wait()
        if not self._over.is_set():  # so little happens
            steps.stop()
            self._die()
            await self._over.wait()
        shutil.rmtree(self._dead, ignore_errors=True)

    async def stop(self) -> None:
        self._scope.cancel()
        await self._over.wait()


class Proxy:
    """Stands between the service and the switch, so that the line can be cut."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self.port = 0
        self._scopes: set[trio.CancelScope] = set()
        self._is_cut = False

    async def serve(self, *, task_status: trio.TaskStatus[None]) -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = int(listeners[0].socket.getsockname()[1])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, self._pass_on, listeners)
            task_status.started()

    async def cut(self, for_s: float) -> None:
        """Cut every line, and let nobody through for a while."""
        self._is_cut = True
        for scope in list(self._scopes):
            scope.cancel()
        await trio.sleep(for_s)
        self._is_cut = False

    async def _pass_on(self, near: trio.SocketStream) -> None:
        if self._is_cut:
            await trio.aclose_forcefully(near)
            return
        with suppress(OSError):
            far = await trio.open_tcp_stream(*self._to)
            scope = trio.CancelScope()
            self._scopes.add(scope)
            async with near, far:
                with scope:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(_pump, near, far, scope)
                        nursery.start_soon(_pump, far, near, scope)
            self._scopes.discard(scope)


async def _pump(one: trio.SocketStream, other: trio.SocketStream, scope: trio.CancelScope) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        while data := await one.receive_some(65_536):
            await other.send_all(data)
    scope.cancel()


# ------------------------------------------------------------------ what was written down


@attrs.frozen
class Written:
    """A transfer, as the journal has it."""

    id: str
    legs: tuple[str, str]
    state: str
    outcome: str | None
    cause: str | None
    ends: int
    """How many steps of the history say that it ended."""


class Journal:
    """Reads the file of a service, alive or dead."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / JOURNAL

    def _read(self, what: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self._file}?mode=ro", uri=True)) as connection:
            return connection.execute(what, values).fetchall()

    def copy(self, file: Path) -> None:
        """Copy it as it is now, in one file."""
        self._read("VACUUM INTO ?", str(file))

    def in_flight(self) -> dict[str, str]:
        """The transfers that have no outcome, and their states."""
        return dict(self._read("SELECT id, state FROM transfers WHERE outcome IS NULL"))

    def transfers(self, legs: set[str]) -> list[Written]:
        """The transfers of these legs."""
        rows = self._read(
            "SELECT id, transferor_call, transferee_call, state, outcome, cause,"
            " (SELECT count(*) FROM steps WHERE transfer = id AND kind = 'transfer.ended')"
            " FROM transfers"
        )
        return [
            Written(row[0], (row[1], row[2]), *row[3:]) for row in rows if {row[1], row[2]} & legs
        ]

    def gap(self) -> str:
        """What is wrong with the numbers of the history, if anything is."""
        ((first, last, count),) = self._read("SELECT min(number), max(number), count(*) FROM steps")
        if count and last - first + 1 != count:
            return f"steps {first} to {last} are {count}"
        return ""

    def steps(self, legs: set[str], transfers: set[str]) -> list[tuple[float, str]]:
        """What the history says of legs and transfers."""
        rows = self._read(
            "SELECT at, number, kind, call, other_call, transfer, body FROM steps ORDER BY number"
        )
        return [
            (at, f"journal {number} {kind} {call or ''} {other or ''} {_why(body)}")
            for at, number, kind, call, other, transfer, body in rows
            if {call, other} & legs or transfer in transfers
        ]


def _why(body: str) -> str:
    document = json.loads(body)
    told = [str(document.get(name)) for name in ("before", "after", "why", "outcome", "cause")]
    return " ".join(text for text in told if text != "None")
