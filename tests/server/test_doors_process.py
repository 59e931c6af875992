"""The doors' process: it may die, and the engine may; neither takes the other's people along."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Generator
from contextlib import contextmanager
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
from trio.testing import MockClock

from hookflash.errors import InUse
from hookflash.server.config import Listen
from hookflash.server.doors.listening import bind

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


@pytest.mark.slow
async def test_a_service_that_was_killed_listens_again_at_its_addresses(tmp_path: Path) -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    listen = f'http = "127.0.0.1:{port}"\nwebsocket = "127.0.0.1:0"'
    config = write_config(tmp_path, SIMULATOR, listen=listen)
    with trio.fail_after(PATIENCE_S):
        async with serving(config) as process:
            strangers = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(50)]
            process.kill()
            await process.process.wait()
            async with serving(config) as again, httpx.AsyncClient(trust_env=False) as client:
                assert again.http == process.http
                assert (await client.get(f"{again.http}/healthz")).status_code == 200
            for stream in strangers:
                await stream.aclose()


@contextmanager
def somebody_listening() -> Generator[socket.socket]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other


def listen_where(other: socket.socket) -> Listen:
    """The second of our addresses is taken, so that the first must be given up again."""
    return Listen(http="127.0.0.1:0", websocket=f"127.0.0.1:{other.getsockname()[1]}")


async def test_an_address_that_is_taken_for_a_moment_is_waited_for(
    autojump_clock: MockClock,
) -> None:
    with somebody_listening() as other:
        listen = listen_where(other)

        async def leave() -> None:
            await trio.sleep(2)
            other.close()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(leave)
            bound = await bind(listen)
    assert bound.addresses.websocket == f"ws://{listen.websocket}/v2/events"
    assert trio.current_time() < 4
    bound.close()


async def test_a_supervisor_may_try_again_where_an_address_stays_taken(
    autojump_clock: MockClock,
) -> None:
    with (
        somebody_listening() as other,
        pytest.raises(InUse, match="Address already in use") as caught,
    ):
        await bind(listen_where(other))
    assert caught.value.exit_status == 1  # 2 tells systemd that the configuration is wrong
    assert trio.current_time() >= 5
    nowhere = Listen(http="192.0.2.1:0")  # as of an interface that has no address yet
    with pytest.raises(InUse, match="assign") as caught:
        await bind(nowhere)
    assert caught.value.exit_status == 1
