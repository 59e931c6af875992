"""A service that carries calls on the emulator, and honest people and programs who use it."""

from __future__ import annotations

import json
import math
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import httpx
import trio
from processes import (
    JOURNAL,
    Process,
    command_of,
    doors_of,
    make_key,
    serving,
    write_config,
)

from hookflash.emulator.server import Listening
from hookflash.journal import history, registry
from hookflash.journal.database import open_database, open_for_reading
from hookflash.journal.pruning_clock import DAY_S
from hookflash.server.tokens import sign_token, token_for

HERE: Final = Path(__file__).parent
CODES: Final = r"""
patterns = {'2(\d{4})' = {module = "transfer"}}
"""
"""A code of fixed length, so that the last key completes it and nobody waits for another."""

LIMITS: Final = """
drain_s = 2.0
connections_per_address = 600
requests_per_second = 2000
account_requests_per_second = 5000
"""
"""All readers and programs come from one address, with one key."""
LOOK_S: Final = 0.001
JOIN_LIMIT_S: Final = 15.0
"""Who is not joined by then is lost."""


@attrs.define
class Tally:
    """What was seen of the honest."""

    waited_s: list[float] = attrs.field(factory=list[float])
    """From the last key to the join, of calls that nothing disturbed."""
    calls: int = 0
    transfers: int = 0
    unheard: int = 0
    """Codes that had to be dialled again, or were given up: while the service is away."""
    unheard_undisturbed: int = 0
    lost: list[str] = attrs.field(factory=list[str])
    asked_s: list[float] = attrs.field(factory=list[float])
    """How long honest programs waited for sign-in and list, when nothing was disturbed."""
    refused: list[str] = attrs.field(factory=list[str])
    """Answers to honest programs that were none, when nothing was disturbed."""


@attrs.define
class Scene:
    """The service, and the switch."""

    folder: Path
    config: Path
    listening: Listening
    key: str
    process: Process
    """The service; another one after each time that it was killed."""
    has_own_disk: bool = False
    """Whether the folder is a file system that may be filled."""
    tally: Tally = attrs.field(factory=Tally)
    disturbances: int = 0
    """Grows with each disturbance's begin and end."""
    disturbed: bool = False
    is_over: bool = False
    """Whether a service that ends stays away."""

    async def keep_serving(self) -> None:
        """Start the service again whenever it ends, as systemd does."""
        await self.process.process.wait()
        while not self.is_over:
            try:
                async with serving(self.config, patience_s=math.inf) as self.process:
                    await self.process.process.wait()
            except* trio.EndOfChannel:
                self.tally.refused.append("the service did not start again")
                await trio.sleep(1)

    # ------------------------------------------------------------------- people

    async def lane(self, number: int) -> None:
        """Have calls transferred, one after the other, until cancelled."""
        alice, bob, carol = (str(1100 + 3 * number + one) for one in range(3))
        while True:
            await self._call(alice, bob, carol)
            await trio.sleep(0.2)

    async def _call(self, alice: str, bob: str, carol: str) -> None:
        emulator, tally = self.listening.emulator, self.tally
        mine, theirs = emulator.call(alice, bob, account="acme")
        tally.calls += 1
        await trio.sleep(0.3)
        for _ in range(3):
            before = self._mark()
            emulator.press(mine, f"*2{carol}", gap_s=0.0)
            began_s = trio.current_time()
            if await self._until_other(mine, {None, theirs}, within_s=5.0):
                if before == self._mark() >= 0:
                    tally.waited_s.append(trio.current_time() - began_s)
                break
            tally.unheard += 1
            tally.unheard_undisturbed += before == self._mark() >= 0
        else:
            return await self._hang_up(mine, theirs)
        tally.transfers += 1
        target = self._peers()[mine]
        await trio.sleep(0.2)
        await self._hang_up(mine)
        if not await self._until_other(theirs, {None, mine}, within_s=JOIN_LIMIT_S):
            tally.lost.append(f"{bob} is not joined with {carol}: {self._peers()}")
        await trio.sleep(0.1)
        return await self._hang_up(theirs, *([target] if target else []))

    def _mark(self) -> int:
        return -1 - self.disturbances if self.disturbed else self.disturbances

    def _peers(self) -> dict[str, str | None]:
        return {leg.leg: leg.peer for leg in self.listening.emulator.world.snapshot()}

    async def _until_other(self, leg: str, than: set[str | None], *, within_s: float) -> bool:
        with trio.move_on_after(within_s):
            while self._peers().get(leg) in than:
                await trio.sleep(LOOK_S)
            return True
        return False

    async def _hang_up(self, *legs: str) -> None:
        for leg in legs:
            if leg in self._peers():
                self.listening.emulator.hang_up(leg)
        await trio.lowlevel.checkpoint()

    # ----------------------------------------------------------------- programs

    async def program(self) -> None:
        """Sign in and list calls, again and again, until cancelled."""
        while True:
            before, began_s = self._mark(), trio.current_time()
            try:
                async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
                    root = f"{self.process.http}/v2"
                    body = {"data": {"api_key": self.key}}
                    signed = await client.put(f"{root}/api_auth", json=body)
                    token = {"X-Auth-Token": signed.json().get("auth_token", "")}
                    asked = await client.get(f"{root}/accounts/acme/channels", headers=token)
                    answer = f"{signed.status_code} {asked.status_code}"
            except (httpx.HTTPError, ValueError) as error:
                answer = repr(error)
            if before == self._mark() >= 0:
                if answer == "201 200":
                    self.tally.asked_s.append(trio.current_time() - began_s)
                else:
                    self.tally.refused.append(answer)
            await trio.sleep(0.5)

    # -------------------------------------------------------------- disturbances

    @asynccontextmanager
    async def disturbance(self, after_s: float) -> AsyncGenerator[None]:
        """Calls and requests within are not measured; nobody may be lost all the same.

        Args:
            after_s: how long it is felt after it has ended.
        """
        self.disturbed = True
        self.disturbances += 1
        try:
            yield
            await trio.sleep(after_s)
        finally:
            self.disturbed = False
            self.disturbances += 1

    async def kill_doors(self) -> None:
        """Kill the doors' process."""
        async with self.disturbance(8.0):
            os.kill(doors_of(self.process.process.pid), signal.SIGKILL)

    async def kill_engine(self) -> None:
        """Kill the engine's process: its doors end with it, and it is started again."""
        async with self.disturbance(12.0):
            killed = self.process
            doors = doors_of(killed.process.pid)
            killed.kill()
            await killed.process.wait()
            with trio.move_on_after(5):
                while command_of(doors):
                    await trio.sleep(0.05)
            if command_of(doors):
                self.tally.refused.append("the doors outlived the engine")
            while self.process is killed:
                await trio.sleep(0.05)

    async def fill_disk(self) -> None:
        """Let the journal grow no more for some seconds."""
        async with self.disturbance(5.0):
            if self.has_own_disk:
                ballast = self.folder / "ballast"
                await trio.to_thread.run_sync(fill, ballast)
                await trio.sleep(4)
                ballast.unlink()
                return
            pid = self.process.process.pid
            limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, limits[1]))
            await trio.sleep(4)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)

    async def freeze_switch(self) -> None:
        """Freeze the switch for longer than its heartbeat."""
        async with self.disturbance(8.0):
            self.listening.process.freeze()
            await trio.sleep(12)
            self.listening.process.thaw()

    def number(self) -> int:
        """The number of the last step in the journal."""
        connection = open_for_reading(self.folder / "hookflash.sqlite")
        try:
            return history.last_number(connection)
        finally:
            connection.close()


@asynccontextmanager
async def open_scene(
    folder: Path, listening: Listening, *, has_own_disk: bool = False
) -> AsyncGenerator[Scene]:
    """Serve, until the block is left; a service that is killed is started again."""
    switch = (
        f'kind = "freeswitch"\nhost = "{listening.host}"\nport = {listening.port}\n'
        'password = "ClueCon"'
    )
    key = make_key(folder)
    listen = "\n".join(f'{door} = "127.0.0.1:{free_port()}"' for door in ("http", "websocket"))
    config = write_config(
        folder,
        switch,
        listen=listen,
        limits=LIMITS.strip(),
        **{"defaults.metaflows": CODES.strip()},
    )
    async with (
        serving(config, patience_s=math.inf) as process,
        trio.open_nursery() as nursery,
    ):
        scene = Scene(folder, config, listening, key, process, has_own_disk=has_own_disk)
        nursery.start_soon(scene.keep_serving)
        yield scene
        nursery.cancel_scope.cancel()


def tokens_to_replay(folder: Path) -> dict[str, str]:
    """Tokens that somebody got hold of, and that are good for nothing, by what is wrong."""
    connection = open_database(folder / JOURNAL)
    try:
        secret = registry.stored_secret(connection)
        assert secret is not None, "the service has made one"
        now = time.time()
        key = registry.make_key(connection, account="acme", label="here", now=now)[0]
        revoked = registry.make_key(connection, account="acme", label="revoked", now=now)[0]
        registry.revoke_key(connection, revoked.id, now=now)
        other = registry.make_key(connection, account="other", label="other", now=now)[0]
    finally:
        connection.close()
    good = sign_token(token_for(key, expires=now + DAY_S), secret)
    said, _, signature = good.partition(".")
    return {
        "expired": sign_token(token_for(key, expires=now - 1), secret),
        "revoked": sign_token(token_for(revoked, expires=now + DAY_S), secret),
        "of another service": sign_token(token_for(key, expires=now + DAY_S), bytes(len(secret))),
        "of another account": sign_token(token_for(other, expires=now + DAY_S), secret),
        "changed": f"{said[:-1]}{'A' if said[-1] != 'A' else 'B'}.{signature}",
        "unsigned": f"{said}.",
    }


def fill(file: Path) -> None:
    """Write into a file until the disk is full."""
    free = os.statvfs(file.parent)
    with file.open("wb", buffering=0) as ballast:
        with suppress(OSError):
            os.posix_fallocate(ballast.fileno(), 0, free.f_bavail * free.f_frsize)
        ballast.seek(0, os.SEEK_END)
        for size in (1 << 20, 1 << 12, 1):
            with suppress(OSError):
                while True:
                    ballast.write(bytes(size))


def free_port() -> int:
    """A TCP port that nobody listens on, and that the system gives to nobody who connects."""
    for port in random.sample(range(20_000, 30_000), 100):
        with socket.socket() as one, suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port
    raise LookupError("no port is free")


def size_of(pid: int) -> tuple[int, int]:
    """A process's descriptors, and its resident memory in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return len(list(Path(f"/proc/{pid}/fd").iterdir())), pages * 4096 // 1_000_000


def place_of(url: str) -> tuple[str, int]:
    """The address in a URL."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


@asynccontextmanager
async def helper(script: str, **told: Any) -> AsyncGenerator[trio.Process]:
    """Another process of ours, killed at the end of the block."""
    process = await trio.lowlevel.open_process(
        [sys.executable, str(HERE / script), json.dumps(told)], stdout=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
