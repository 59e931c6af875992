"""The service dies at any moment, and comes back on the same journal: nothing is lost.

First on the virtual clock, where it is cut off after each step of a transfer in turn, with the file
as it lay on the disk at that moment, while the (emulated) switch and its people live on. Then as a
process of its own, killed with SIGKILL.
"""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import httpx
import pytest
import trio
from lab import config_of, inline, now
from trio.testing import MockClock

from hookflash.backends.freeswitch.emulator.emulator import Emulator
from hookflash.backends.freeswitch.emulator.server import Listening, open_emulator
from hookflash.backends.simulator.people import Answers, Manual
from hookflash.client import connect
from hookflash.engine.engine import Engine
from hookflash.engine.record import Record
from hookflash.engine.switchboard import LOST_TRACK
from hookflash.errors import BackendClosed
from hookflash.events import LegAnswered, TransferFound
from hookflash.fsm.transfer import Outcome, State
from hookflash.journal import history, registry
from hookflash.journal.database import open_database, open_for_reading
from hookflash.journal.history import Past, Step, Wanted
from hookflash.journal.replay import rerun
from hookflash.server.config import Config
from hookflash.server.service import Service, open_service

SWITCH: Final = "fs"
JAZZ: Final = "tone_stream://%(1000,1000,350);loops=-1"
JOURNAL: Final = "hookflash.sqlite"


def config_on(listening: Listening, **tables: Any) -> Config:
    switch = {
        "kind": "freeswitch",
        "host": listening.host,
        "port": listening.port,
        "password": "ClueCon",
    }
    return config_of(switches={SWITCH: switch}, **tables)


@asynccontextmanager
async def open_controller(listening: Listening, folder: Path) -> AsyncGenerator[Service]:
    """A service on an emulated switch, once it has found it."""
    async with open_service(config_on(listening), beside=folder, now=now, run=inline) as service:
        with trio.fail_after(60):
            while service.exchange.away():
                await trio.sleep(0.01)
        yield service


def engine_of(service: Service) -> Engine:
    return service.exchange.engines[SWITCH]


async def begin_call(listening: Listening, service: Service) -> tuple[str, str]:
    legs = listening.emulator.call("1001", "1002", account="acme")
    lines = engine_of(service).switchboard.lines
    with trio.fail_after(60):
        while any(leg not in lines or lines[leg].peer is None for leg in legs):
            await trio.sleep(0.01)
    return legs


def copy_of(folder: Path) -> Path:
    """The journal as it lies on the disk now, in a folder of its own."""
    after = folder / "after the crash"
    after.mkdir()
    for file in folder.glob(f"{JOURNAL}*"):
        shutil.copy(file, after)
    return after


def steps_in(folder: Path, wanted: Wanted | None = None) -> list[Step]:
    connection = open_for_reading(folder / JOURNAL)
    try:
        return list(history.all_steps(connection, wanted or Wanted()))
    finally:
        connection.close()


def transfers_in(folder: Path) -> list[Past]:
    connection = open_for_reading(folder / JOURNAL)
    try:
        return history.find_transfers(connection)
    finally:
        connection.close()


def check_history(folder: Path) -> None:
    """No number is missing or twice, each transfer has one outcome, and runs again as written."""
    steps = steps_in(folder)
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))
    connection = open_for_reading(folder / JOURNAL)
    try:
        assert history.unfinished(connection) == {}
        for transfer in history.transfer_ids(connection):
            about = history.steps_of(connection, transfer)
            assert [step.kind for step in about].count("transfer.ended") == 1
            assert rerun(about).differences == ()
    finally:
        connection.close()


# ------------------------------------------------------------- on the virtual clock

Story = Callable[[Emulator, tuple[str, str]], list[tuple[float, Callable[[], object]]]]
"""What people do, and how long after the transfer was asked for."""


def alice_hands_over(
    emulator: Emulator, legs: tuple[str, str]
) -> list[tuple[float, Callable[[], object]]]:
    return [(4.0, partial(emulator.hang_up, legs[0]))]


def alice_takes_back(
    emulator: Emulator, legs: tuple[str, str]
) -> list[tuple[float, Callable[[], object]]]:
    return [(4.0, partial(emulator.press, legs[0], "*9"))]


def bob_leaves(
    emulator: Emulator, legs: tuple[str, str]
) -> list[tuple[float, Callable[[], object]]]:
    return [(4.0, partial(emulator.hang_up, legs[1]))]


def alice_leaves_while_it_rings(
    emulator: Emulator, legs: tuple[str, str]
) -> list[tuple[float, Callable[[], object]]]:
    return [(0.7, partial(emulator.hang_up, legs[0]))]


@attrs.define
class Crash:
    """Cuts a service off after so many steps."""

    folder: Path
    after_steps: int
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    left: Path | None = None
    promised: int = 0
    """The last number that anybody outside was told, when it happened."""
    service: Service | None = None

    def tell(self, record: Record) -> None:
        self.after_steps -= 1
        if self.after_steps == 0 and self.service is not None:
            self.left = copy_of(self.folder)
            self.promised = self.service.journal.told
            self.scope.cancel()


async def people(deeds: Sequence[tuple[float, Callable[[], object]]]) -> None:
    """They do what they do, whoever controls their calls."""
    for after_s, deed in deeds:
        await trio.sleep(after_s)
        deed()


async def all_is_settled(service: Service) -> None:
    with trio.fail_after(120):
        while any(True for _ in service.exchange.transfers()):
            await trio.sleep(0.1)
    await trio.sleep(10)  # and hang-ups are done


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        (alice_hands_over, {Outcome.TRANSFERRED}),
        (alice_takes_back, {Outcome.TAKEN_BACK}),
        (bob_leaves, {Outcome.ABANDONED}),
        (alice_leaves_while_it_rings, {Outcome.TRANSFERRED}),
    ],
)
@pytest.mark.parametrize("after_steps", [*range(1, 27)])
async def test_a_service_that_dies_after_any_step_comes_back_and_forgets_nobody(
    story: Story,
    expected: set[Outcome],
    after_steps: int,
    tmp_path: Path,
    autojump_clock: MockClock,
) -> None:
    async with open_emulator() as listening, trio.open_nursery() as nursery:
        crash = Crash(tmp_path, after_steps)
        with crash.scope:
            async with open_controller(listening, tmp_path) as service:
                legs = await begin_call(listening, service)
                crash.service = service
                engine_of(service).tap(crash.tell)
                await engine_of(service).transfer(legs[0], "2600", takeback_digits="*9")
                nursery.start_soon(people, story(listening.emulator, legs))
                await all_is_settled(service)
                pytest.fail("there are fewer steps than that") if False else None
        if crash.left is None:
            crash.left = copy_of(tmp_path)
        await trio.sleep(0.5)  # nobody controls the calls
        async with open_controller(listening, crash.left) as again:
            assert again.exchange.engines
            await all_is_settled(again)
            assert not any(watch.broken for watch in again.watches.values())
            living = listening.emulator.world.snapshot()
            assert [leg for leg in living if leg.peer is None] == []
    assert len(steps_in(crash.left)) > crash.promised
    check_history(crash.left)
    for past in transfers_in(crash.left):
        assert past.outcome in expected or past.cause == "CONTROLLER_RESTARTED", past
