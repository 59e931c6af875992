"""Histories to write down: those of the scenarios that ship, and small ones made up."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Final, TypeVar

import attrs
import trio
from shipped import SCENARIOS

from hookflash.engine.record import Record
from hookflash.events import LegAnswered, SwitchLost
from hookflash.journal import history
from hookflash.journal.step import step_of
from hookflash.scenarios.run import Run, run_scenario

NOON: Final = 1_795_953_600.0

Found = TypeVar("Found")


async def inline(work: Callable[[], Found], /) -> Found:
    """Do work at once: a thread would fool the virtual clock."""
    await trio.lowlevel.checkpoint()
    return work()


def noon() -> float:
    return NOON


@cache
def played(name: str) -> tuple[Run, ...]:
    """A scenario that ships, in all its orders."""
    scenario = SCENARIOS[name]
    return tuple(run_scenario(order) for order in scenario.orders())


def scenario_names() -> list[str]:
    """A quarter of those that ship: what a journal must be able to keep is in these already."""
    return [*SCENARIOS][::4]


def dated_records(
    records: Iterable[Record], *, switch: str = "sim", begun: float = NOON
) -> list[Record]:
    """The records of a run, as if it had been on a switch at a time."""
    return [attrs.evolve(one, at=begun + one.at_s, switch=switch) for one in records]


def write(connection: sqlite3.Connection, records: Iterable[Record], *, masks: bool = True) -> None:
    history.write(connection, [step_of(record, masks_digits=masks) for record in records])


def news(number: int, *, leg: str = "a", accounts: tuple[str, ...] = ("acme",)) -> Record:
    """A step that is about no transfer."""
    return Record(
        number=number,
        at_s=float(number),
        at=NOON + number,
        switch="sim",
        event=LegAnswered(leg=leg),
        why="so it was",
        accounts=accounts,
    )


def switch_lost(number: int) -> Record:
    lost = SwitchLost(reason="a cable")
    return Record(number=number, at_s=0.0, at=NOON + number, switch="sim", event=lost)


def numbers_in(file: Path) -> list[int]:
    """The steps that are in a file, whoever writes to it."""
    connection = sqlite3.connect(file)
    try:
        return [n for (n,) in connection.execute("SELECT number FROM steps ORDER BY number")]
    finally:
        connection.close()
