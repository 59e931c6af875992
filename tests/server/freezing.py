"""A switch whose process is frozen under `hookflash serve`: TCP stays open, and nothing answers."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import httpx
import trio
from processes import PATIENCE_S, Process, asking, make_key, serving, write_config

LOST_WITHIN_S: Final = 10.0
BACK_WITHIN_S: Final = 7.0
SWITCH: Final = "fs"
"""The name of the switch in the config (see `write_config`)."""


@contextmanager
def frozen(pid: int) -> Generator[None]:
    """Stop a process, and let it go on after the block."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@attrs.define
class Freeze:
    """What was seen."""

    lost_s: float = 0.0
    """From the freeze until `/readyz` says so."""
    back_s: float = 0.0
    """From the end of the freeze until `/readyz` says that all is well."""
    why: str = ""


async def freeze(
    folder: Path,
    switch: str,
    pid: int,
    call: Callable[[], Awaitable[object]],
    *,
    account: str = "default",
    lasts_s: float = 0.0,
) -> Freeze:
    """Serve a switch, freeze it, and check that nobody relies on it until it is back.

    Args:
        folder: of the config and the journal.
        switch: its table in the config.
        pid: its process.
        call: makes a call on it.
        account: whose call that is.
        lasts_s: how long it stays frozen after that was noticed.
    """
    seen = Freeze()
    config = write_config(folder, switch)
    key = make_key(folder, account)
    async with serving(config) as service, asking(service, key, account) as client:
        await _ready(service, 200)
        await call()
        leg = await _talking(client)
        with frozen(pid):
            began_s = trio.current_time()
            early = await _transfer(client, leg)  # nobody can know yet
            assert early.status_code == 202
            trouble = (await _ready(service, 503))["trouble"]
            seen.lost_s = trio.current_time() - began_s
            seen.why = trouble[f"switch {SWITCH}"]
            assert f'hookflash_switch_up{{switch="{SWITCH}"}} 0.0' in await _metrics(service)
            assert (await _transfer(client, leg)).status_code == 503
            assert len((await client.get("transfers")).json()["data"]) == 1
            await trio.sleep(lasts_s)
        began_s = trio.current_time()
        await _ready(service, 200)
        seen.back_s = trio.current_time() - began_s
        # nobody was lost, whenever the orders were executed; and the call can be transferred now
        await _brought_back(client, early.json()["data"]["transfer_id"])
        assert await _talking(client) == leg
        accepted = await _transfer(client, leg)
        assert accepted.status_code == 202, accepted.text
        await _in_state(client, "consulting")
    return seen


async def _ready(service: Process, status: int) -> Any:
    """Wait until `/readyz` answers so."""
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as client:
        with trio.fail_after(60):
            while True:
                answered = await client.get(f"{service.http}/readyz")
                if answered.status_code == status:
                    return answered.json()
                await trio.sleep(0.02)


async def _metrics(service: Process) -> str:
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as client:
        return (await client.get(f"{service.http}/metrics")).text


async def _transfer(client: httpx.AsyncClient, leg: str) -> httpx.Response:
    body = {"data": {"action": "transfer", "target": "2600"}}
    return await client.post(f"channels/{leg}", json=body)


async def _talking(client: httpx.AsyncClient) -> str:
    """The caller of the only call, when the two talk."""
    with trio.fail_after(20):
        while True:
            legs = (await client.get("channels")).json()["data"]
            if len(legs) == 2 and all(leg["other_leg_call_id"] for leg in legs):
                return next(leg["call_id"] for leg in legs if leg["direction"] == "inbound")
            await trio.sleep(0.05)


async def _brought_back(client: httpx.AsyncClient, transfer: str) -> None:
    """Wait until a transfer is over; if it succeeds, take the call back."""
    with trio.fail_after(60):
        while True:
            seen = (await client.get(f"transfers/{transfer}")).json()["data"]
            if seen["outcome"]:
                return
            if seen["state"] == "consulting":
                await client.delete(f"transfers/{transfer}")
            await trio.sleep(0.1)


async def _in_state(client: httpx.AsyncClient, state: str) -> None:
    with trio.fail_after(20):
        while True:
            found = (await client.get("transfers")).json()["data"]
            if any(transfer["state"] == state for transfer in found):
                return
            await trio.sleep(0.05)
