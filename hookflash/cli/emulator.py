"""`hookflash emulate`: an emulated FreeSWITCH on a TCP port, to test programs against.

It connects the emulator with a scenario's people: they call, answer, dial and hang up as the file
says, while the connected program controls the calls. The file's API requests and expectations are
ignored.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import trio
from cyclopts import Parameter

from hookflash.backends.simulator.world import World
from hookflash.emulator.emulator import STOCK_PASSWORD, Emulator
from hookflash.emulator.server import Listening, serve_emulator
from hookflash.errors import InputError
from hookflash.events import CallEvent, LegsJoined
from hookflash.scenarios.format import load_scenario
from hookflash.scenarios.player import Player
from hookflash.scenarios.rig import SimulatedPhones
from hookflash.scenarios.roster import Roster
from hookflash.scenarios.scenario import Scenario
from hookflash.scenarios.script import VERBS, ScriptLine, verbs_of_phones
from hookflash.server.addresses import read_address

NOT_HERE: Final = "left to the program that is connected"
"""Why a line that is not about a person at a phone is not played."""

_BEGIN_S: Final = 1.0
"""The delay between a program's subscription to events and the first call."""


def emulate(
    *,
    listen: Annotated[str, Parameter(help="HOST:PORT to listen on; port 0 for any free port.")] = (
        "127.0.0.1:8021"
    ),
    scenario: Annotated[
        Path | None, Parameter(help="Scenario whose people call, once a program has subscribed.")
    ] = None,
    password: Annotated[str, Parameter(help="Password of the event socket.")] = STOCK_PASSWORD,
    seed: Annotated[int | None, Parameter(help="Seed of the random numbers.")] = None,
) -> int:
    """Run an emulated FreeSWITCH with people at its phones, to test programs against.

    1xxx answers at once, 2600 after 1.5 s, 2601 never, 2602 is busy, 2603 refuses, 2604 plays early
    media, 2605 answers and hangs up after 2.5 s, 2650 to 2699 ring.

    Example: hookflash emulate --listen 127.0.0.1:8021 --seed 1
    """
    host, port = read_address(listen, where="--listen")
    emulator, people = prepare(scenario, password=password, seed=seed)
    ended: BaseException | None = None
    try:
        trio.run(_serve, emulator, people, host, port)
    except* OSError as errors:
        why = errors.exceptions[0]
        ended = InputError(f"can't listen: {why}", where=listen, hint="name another address")
    except* KeyboardInterrupt:
        ended = KeyboardInterrupt()
    if ended is not None:
        raise ended
    return 0


async def _serve(emulator: Emulator, people: People | None, host: str, port: int) -> None:
    if people is not None:
        for line, why in people.player.left_out:
            sys.stderr.write(f"not played: {line} ({why})\n")
        people.come()
    await serve_emulator(emulator, host=host, port=port, task_status=Announcement())


class Announcement(trio.TaskStatus[Listening]):
    """Prints the address on which the emulator listens."""

    def started(self, value: Listening | None = None) -> None:
        """Print the address."""
        if value is not None:
            where = f"[{value.host}]" if ":" in value.host else value.host
            sys.stdout.write(f"a FreeSWITCH event socket listens on {where}:{value.port}\n")
            sys.stdout.flush()


def prepare(
    file: Path | None, *, password: str = STOCK_PASSWORD, seed: int | None = None
) -> tuple[Emulator, People | None]:
    """Set up an emulator, and a scenario's people if a scenario is given.

    Args:
        file: the scenario.
        password: of the event socket.
        seed: of the random numbers; by default the scenario's.

    Raises:
        InputError: the scenario is invalid.
    """
    scenario = None if file is None else next(load_scenario(file).orders())
    chosen = seed if seed is not None else (0 if scenario is None else scenario.seed)
    missing = () if scenario is None else scenario.missing_sounds
    world = World(seed=chosen, missing_sounds=missing)
    emulator = Emulator(world=world, seed=chosen, password=password, epoch_s=time.time())
    return emulator, None if scenario is None else People(emulator, scenario)


class People:
    """A scenario's people at the phones of an emulator."""

    def __init__(self, emulator: Emulator, scenario: Scenario) -> None:
        """Give each party a phone.

        Args:
            emulator: the switch.
            scenario: the parties, and what they do.
        """
        self._emulator = emulator
        self._scenario = scenario
        self._plans = {plan.name: plan for plan in scenario.parties}
        self._roster = Roster({plan.number: plan.name for plan in scenario.parties})
        self._verbs = verbs_of_phones(SimulatedPhones(emulator.world, self._roster.legs))
        lacks = dict.fromkeys((verb for verb in VERBS if verb not in self._verbs), NOT_HERE)
        self.player = Player(scenario.script, self, lacks=lacks)
        self._talking = 0
        for plan in scenario.parties:
            emulator.world.add_phone(plan.number, plan.behaviour, plan.name)

    def come(self) -> None:
        """Let them call as soon as a program has subscribed to events."""
        self._emulator.on_fact = self._happened
        self._emulator.bus.on_subscription = self._somebody_listens

    def _somebody_listens(self) -> None:
        self._emulator.bus.on_subscription = _nothing
        self._emulator.world.after(_BEGIN_S, self._call)

    def _call(self) -> None:
        for caller, called in self._scenario.calls:
            one, other = self._plans[caller], self._plans[called]
            self._emulator.call(one.number, other.number, name=one.name, account=one.account)

    def _happened(self, fact: CallEvent) -> None:
        self.player.happens(*self._roster.note(fact))
        if isinstance(fact, LegsJoined):
            self._talking += 1
            if self._talking == len(self._scenario.calls):
                self.after(0.0, self.player.begin)

    # ---- what a player asks for

    @property
    def now_s(self) -> float:
        """The emulator's time."""
        return self._emulator.world.now_s

    def after(self, delay_s: float, do: Callable[[], None], /) -> None:
        """Call `do` after `delay_s` seconds."""
        self._emulator.world.after(delay_s, do)

    def perform(self, line: ScriptLine, done: Callable[[], None]) -> None:
        """Play one line of the script."""
        self._verbs[line.verb](line)
        done()


def _nothing() -> None:
    return
