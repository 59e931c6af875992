"""The doors' process: it may die, and the engine may; neither takes the other's people along."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Final

import httpx
import pytest
import trio
from processes import (
    PATIENCE_S,
    Notes,
    asking,
    command_of,
    doors_of,
    enters,
    make_key,
    serving,
    write_config,
)

SIMULATOR: Final = 'kind = "simulator"\naccount = "acme"\ncalls = [["1001", "1002"]]'


@pytest.mark.slow
async def test_doors_that_die_are_opened_again_and_nobody_in_a_call_notices(
    tmp_path: Path,
) -> None:
    key, notes = make_key(tmp_path), Notes()
    config = write_config(tmp_path, SIMULATOR, limits="drain_s = 0.2")
    with trio.fail_after(PATIENCE_S):
        async with serving(config) as process, trio.open_nursery() as nursery:
            await nursery.start(notes.follow, process, key)
            async with asking(process, key) as client:
                joined = await notes.until(lambda told: told["kind"] == "call.joined")
                data = {"action": "transfer", "target": "2600", "timeout": 3600}
                path = f"channels/{joined['call_id']}"
                taken = await client.post(path, json={"data": data})
                transfer = taken.json()["data"]["transfer_id"]
                await notes.until(enters("dialing"))
                os.kill(doors_of(process.process.pid), signal.SIGKILL)
                # the reader comes back by itself, and is told what happened meanwhile, once
                await notes.until(enters("consulting"))
                seen = await client.get(f"transfers/{transfer}")  # with the token of before
                assert seen.json()["data"]["state"] == "consulting"
            process.process.terminate()
            assert await process.process.wait() == 0
            nursery.cancel_scope.cancel()


@pytest.mark.slow
async def test_doors_end_with_the_engine(tmp_path: Path) -> None:
    config = write_config(tmp_path, SIMULATOR)
    with trio.fail_after(PATIENCE_S):
        async with serving(config) as process:
            doors = doors_of(process.process.pid)
            async with httpx.AsyncClient(trust_env=False) as client:
                assert (await client.get(f"{process.http}/healthz")).status_code == 200
            for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                os.kill(doors, signum)  # as a terminal or systemd sends them to all
            async with httpx.AsyncClient(trust_env=False) as client:
                assert (await client.get(f"{process.http}/healthz")).status_code == 200
            process.kill()
            while "hookflash.server.doors" in command_of(doors):
                await trio.sleep(0.05)
