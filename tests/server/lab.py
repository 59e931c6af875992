"""A service on a simulated switch, under the virtual clock, and programs that ask it.

No socket, no thread, no wall clock. `autojump_clock` must be among the test's own parameters: the
runner does not see the clocks that fixtures ask for. `1xxx` answers at once, `2600` after 1.5 s,
`2601` never, `2602` is busy, `2603` refuses, `2605` answers and leaves.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import attrs
import httpx
import trio
from doors_here import open_doors_of, transport_to
from trio.testing import MockClock

from hookflash.backends.base import Backend
from hookflash.backends.simulator.backend import SimulatedBackend, open_simulator
from hookflash.journal import registry
from hookflash.server.config import Config
from hookflash.server.doors.doors import Doors
from hookflash.server.read_config import parse_config
from hookflash.server.service import Service, open_service
from hookflash.server.switches import simulated_world

NOON: Final = 1_795_953_600.0
"""2026-11-29, 12:00 UTC: when the virtual clock stands at zero."""

SWITCH: Final = "sim"
"""The name of the one switch."""

Found = TypeVar("Found")


def now() -> float:
    """The time of day, by the virtual clock."""
    return NOON + trio.current_time()


async def inline(work: Callable[[], Found], /) -> Found:
    """Do work at once: a thread would fool the virtual clock."""
    await trio.lowlevel.checkpoint()
    return work()


@attrs.frozen
class Program:
    """A program that asks by HTTP, with a token or without one."""

    client: httpx.AsyncClient
    service: Service
    account: str = "acme"
    """Under whose path it asks."""
    token: str | None = None

    async def ask(
        self,
        method: str,
        path: str,
        data: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        **how: Any,
    ) -> httpx.Response:
        """Ask something.

        Args:
            method: `GET` and so on.
            path: below the account's, or, with a slash in front, below the root.
            data: what goes into the envelope's `data`, if anything.
            headers: beside the token's.
            how: whatever else httpx knows.
        """
        url = path if path.startswith("/") else f"/v2/accounts/{self.account}/{path}"
        token = {"X-Auth-Token": self.token} if self.token is not None else {}
        if data is not None:
            how["json"] = {"data": data}
        return await self.client.request(method, url, headers={**token, **(headers or {})}, **how)

    async def act(
        self, call: str, action: str, *, headers: Mapping[str, str] | None = None, **fields: object
    ) -> httpx.Response:
        """Have something done to a call."""
        data = {"action": action, **fields}
        return await self.ask("POST", f"channels/{call}", data, headers=headers)

    async def transfer(self, call: str, target: str, **fields: Any) -> str:
        """Transfer a call; the transfer's id."""
        answered = await self.act(call, "transfer", target=target, **fields)
        assert answered.status_code == 202, answered.text
        return str(answered.json()["data"]["transfer_id"])

    async def look(self, path: str, **params: Any) -> Any:
        """Look something up: what the envelope's `data` holds."""
        answered = await self.ask("GET", path, params=params)
        assert answered.status_code == 200, answered.text
        return answered.json()["data"]

    async def until(self, transfer: str, *states: str) -> dict[str, Any]:
        """Wait until a transfer is in one of these states (`idle`: it is over)."""
        board = self.service.group.engines[SWITCH].switchboard
        with trio.fail_after(3600):
            while True:
                running = board.transfer(transfer)
                if (running.state.value if running else "idle") in states:
                    break
                await trio.sleep(0.02)
        await self.service.journal.settled(self.service.journal.written)
        return cast("dict[str, Any]", await self.look(f"transfers/{transfer}"))

    async def ended(self, transfer: str) -> dict[str, Any]:
        """Wait until a transfer is over."""
        return await self.until(transfer, "idle")


@attrs.frozen(kw_only=True)
class Lab:
    """All that a test needs."""

    service: Service
    doors: Doors
    backend: SimulatedBackend
    client: httpx.AsyncClient
    acme: Program
    """Has a key of the account `acme`."""
    globex: Program
    """Has a key of the account `globex`."""
    admin: Program
    """Has an administrator's key, and asks under `acme`."""
    nobody: Program
    """Has no key."""

    async def make_key(self, account: str | None) -> str:
        """Make a key; its text."""
        journal = self.service.journal
        make = partial(registry.make_key, account=account, label="test", now=journal.now())
        _, text = await journal.change(make)
        return text

    async def call(
        self, caller: str = "1001", callee: str = "1002", *, account: str = "acme", **how: Any
    ) -> tuple[str, str]:
        """Have two people talk; their legs."""
        legs = await self.backend.call(caller, callee, account=account, **how)
        lines = self.service.group.engines[SWITCH].switchboard.legs
        with trio.fail_after(60):
            while any(leg not in lines or lines[leg].peer is None for leg in legs):
                await trio.sleep(0.01)
        return legs

    def hang_up(self, leg: str) -> None:
        """Have somebody hang up."""
        self.backend.world.hang_up(leg)
        self.backend.nudge()

    def press(self, leg: str, digits: str, *, gap_s: float = 0.2) -> None:
        """Have somebody press keys."""
        self.backend.world.press(leg, digits, gap_s=gap_s)
        self.backend.nudge()

    def hears(self, leg: str) -> str:
        """What somebody hears now: the name of a sound, or of a party."""
        party = self.backend.world.party_on(leg)
        assert party is not None
        return party.hears.what


def client_of(doors: Doors, address: str = "127.0.0.1") -> httpx.AsyncClient:
    """What asks a service, from this address, without a socket."""
    return httpx.AsyncClient(transport=transport_to(doors, address), base_url="http://lab")


async def token_of(client: httpx.AsyncClient, key: str) -> str:
    """Sign in with a key."""
    answered = await client.put("/v2/api_auth", json={"data": {"api_key": key}})
    assert answered.status_code == 201, answered.text
    return str(answered.json()["auth_token"])


def config_of(**tables: Any) -> Config:
    """Read a config, as if somebody had written it."""
    return parse_config(tables)


@asynccontextmanager
async def open_lab(
    folder: Path,
    *,
    backend: Backend | None = None,
    more: Mapping[str, Backend] | None = None,
    **tables: Any,
) -> AsyncGenerator[Lab]:
    """Open a service, and give three programs a token.

    Args:
        folder: where the journal is; the same folder again is a restart.
        backend: the way to the switch, in place of a simulator of the lab's own.
        more: ways to other switches.
        tables: the config's (`accounts={…}`, `limits={…}`).
    """
    assert isinstance(trio.lowlevel.current_clock(), MockClock), "ask for autojump_clock"
    config = config_of(**tables)
    async with open_simulator(world=simulated_world(seed=1)) as simulator:
        backends = {SWITCH: backend or simulator, **(more or {})}
        async with (
            open_service(config, beside=folder, backends=backends, now=now, run=inline) as service,
            open_doors_of(service, now=now, run=inline) as doors,
            client_of(doors) as client,
        ):
            nobody = Program(client, service)
            lab = Lab(
                service=service,
                doors=doors,
                backend=backend if isinstance(backend, SimulatedBackend) else simulator,
                client=client,
                acme=nobody,
                globex=nobody,
                admin=nobody,
                nobody=nobody,
            )
            tokens = {
                account: await token_of(client, await lab.make_key(account))
                for account in ("acme", "globex", None)
            }
            yield attrs.evolve(
                lab,
                acme=Program(client, service, "acme", tokens["acme"]),
                globex=Program(client, service, "globex", tokens["globex"]),
                admin=Program(client, service, "acme", tokens[None]),
            )
