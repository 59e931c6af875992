"""`hookflash emulate`: a FreeSWITCH to test against, on a port.

The glue between the emulator, which knows no scenario, and a scenario's people: they call, answer,
dial and hang up as their file says, while whatever program is connected controls the calls. What
the file says of transfers asked for by a program, and what it expects, is left to that program.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import trio
from cyclopts import Parameter

from hookflash.backends.simulator.world import World
from hookflash.emulator.emulator import STOCK_PASSWORD, Emulator
from hookflash.emulator.server import Listening, serve_emulator
from hookflash.errors import InputError
from hookflash.events import (
    CallEvent,
    LegAnswered,
    LegCreated,
    LegHungUp,
    LegId,
    LegParked,
    LegProgressed,
    LegsJoined,
    SoundStarted,
)
from hookflash.scenarios.format import CLOCK, Deed, Scenario, load_scenario

_VERBS: Final[Mapping[type, str]] = {
    LegProgressed: "rings",
    LegAnswered: "answers",
    LegParked: "is parked",
    LegHungUp: "hangs up",
    SoundStarted: "hears a sound",
}
"""What a fact is called in a scenario's `when`."""

_BEGIN_S: Final = 1.0
"""After a program has asked for events, its people wait so long before they call."""

_MOST_PORT: Final = 65_535


def emulate(
    *,
    listen: Annotated[str, Parameter(help="HOST:PORT; port 0 for any that is free.")] = (
        "127.0.0.1:8021"
    ),
    scenario: Annotated[
        Path | None, Parameter(help="Whose people call, once a program has asked for events.")
    ] = None,
    password: Annotated[str, Parameter(help="Of the event socket.")] = STOCK_PASSWORD,
    seed: Annotated[int | None, Parameter(help="Fixes what chance decides.")] = None,
) -> int:
    """Run an emulated FreeSWITCH with people at its phones, to test programs against.

    1xxx answers at once, 2600 after 1.5 s, 2601 never, 2602 is busy, 2603 refuses, 2604 plays early
    media, 2605 answers and leaves after 2.5 s, 2650 to 2699 ring.
    """
    host, port = read_address(listen)
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
        people.come()
    await serve_emulator(emulator, host=host, port=port, task_status=Announcement())


class Announcement(trio.TaskStatus[Listening]):
    """Says where the emulator listens."""

    def started(self, value: Listening | None = None) -> None:
        """Say it."""
        if value is not None:
            where = f"[{value.host}]" if ":" in value.host else value.host
            sys.stdout.write(f"a FreeSWITCH event socket listens on {where}:{value.port}\n")
            sys.stdout.flush()


def read_address(text: str) -> tuple[str, int]:
    """Read HOST:PORT.

    Raises:
        InputError: it is none.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or int(port) > _MOST_PORT:
        raise InputError(f"{text!r} is no address", where="--listen", hint="127.0.0.1:8021, say")
    return host, int(port)


def prepare(
    file: Path | None, *, password: str = STOCK_PASSWORD, seed: int | None = None
) -> tuple[Emulator, People | None]:
    """Set an emulator up, and a scenario's people, if there is one.

    Args:
        file: of the scenario.
        password: of the event socket.
        seed: of the dice; by default the scenario's.

    Raises:
        InputError: the scenario can't be used.
    """
    scenario = None if file is None else next(load_scenario(file).orders())
    chosen = seed if seed is not None else (0 if scenario is None else scenario.seed)
    missing = () if scenario is None else scenario.missing_sounds
    world = World(seed=chosen, missing_sounds=missing)
    emulator = Emulator(world=world, seed=chosen, password=password, epoch_s=time.time())
    return emulator, None if scenario is None else People(emulator, scenario)


class People:
    """A scenario's people, at the phones of an emulator."""

    def __init__(self, emulator: Emulator, scenario: Scenario) -> None:
        """Give everybody a phone.

        Args:
            emulator: whose phones they are.
            scenario: who they are, and what they do.
        """
        self._emulator = emulator
        self._scenario = scenario
        self._plans = {plan.name: plan for plan in scenario.parties}
        self._deeds = [deed for deed in scenario.deeds if deed.asks is None and deed.who != CLOCK]
        self._legs: dict[str, LegId] = {}
        self._names: dict[LegId, str] = {}
        self._waits_for: tuple[str, Deed, int] | None = None
        self._began_s = 0.0
        self._talking = 0
        for plan in scenario.parties:
            emulator.world.add_phone(plan.number, plan.behaviour, plan.name)

    def come(self) -> None:
        """Have them call as soon as a program has asked for events."""
        self._emulator.on_fact = self._happened
        self._emulator.bus.on_subscription = self._somebody_listens

    def _somebody_listens(self) -> None:
        self._emulator.bus.on_subscription = _nothing
        self._emulator.world.after(_BEGIN_S, self._call)

    def _call(self) -> None:
        for caller, called in self._scenario.calls:
            one, other = self._plans[caller], self._plans[called]
            self._emulator.call(one.number, other.number, name=one.name, account=one.account)

    # ---- what they do, in its order

    def _begin(self) -> None:
        """Their calls are up: the scenario's time begins."""
        self._began_s = self._emulator.world.now_s
        self._next(0)

    def _next(self, index: int) -> None:
        if index >= len(self._deeds):
            return
        deed = self._deeds[index]
        if deed.when is not None:
            self._waits_for = (deed.when, deed, index)
            return
        now_s = self._emulator.world.now_s
        due_s = now_s + deed.after_s if deed.at_s is None else self._began_s + deed.at_s
        self._emulator.world.after(max(0.0, due_s - now_s), partial(self._do, deed, index))

    def _do(self, deed: Deed, index: int) -> None:
        following = self._deeds[index + 1 : index + 2]
        waits = bool(following) and following[0].when is not None
        if waits:
            self._next(index + 1)  # first: its cue may come from this very deed
        self._act(deed)
        if not waits:
            dialled_s = deed.every_s * max(0, len(deed.dials or "") - 1)
            self._emulator.world.after(dialled_s, partial(self._next, index + 1))

    def _act(self, deed: Deed) -> None:
        leg = self._legs.get(deed.who)
        if leg is None:
            return  # nobody has called yet, or they have hung up already
        if deed.dials is not None:
            self._emulator.world.press(leg, deed.dials, gap_s=deed.every_s)
        elif deed.does == "hangs up":
            self._emulator.world.hang_up(leg)
        elif deed.does == "answers":
            self._emulator.world.answer(leg)
        else:
            self._emulator.world.refuse(leg)

    # ---- what they notice

    def _happened(self, fact: CallEvent) -> None:
        if isinstance(fact, LegCreated):
            self._meet(fact)
        elif isinstance(fact, LegsJoined):
            self._count_calls()
        for happening in self._words(fact):
            self._notice(happening)
        if isinstance(fact, LegHungUp):
            name = self._names.get(fact.leg, "")
            if self._legs.get(name) == fact.leg:
                del self._legs[name]

    def _meet(self, fact: LegCreated) -> None:
        for plan in self._plans.values():
            if plan.number == fact.number:
                self._legs[plan.name] = fact.leg
                self._names[fact.leg] = plan.name

    def _count_calls(self) -> None:
        self._talking += 1
        if self._talking == len(self._scenario.calls):
            self._emulator.world.after(0.0, self._begin)

    def _words(self, fact: CallEvent) -> tuple[str, ...]:
        """What has happened, in the words of a scenario's `when`."""
        if isinstance(fact, LegsJoined):
            one, other = self._names.get(fact.first, ""), self._names.get(fact.second, "")
            return (f"{one} and {other} talk", f"{other} and {one} talk")
        verb = _VERBS.get(type(fact))
        leg = getattr(fact, "leg", None)
        return (f"{self._names.get(leg)} {verb}",) if verb and leg else ()

    def _notice(self, happening: str) -> None:
        if self._waits_for is None or self._waits_for[0] != happening:
            return
        _, deed, index = self._waits_for
        self._waits_for = None
        # never within the happening itself: people take their cue from what is over
        self._emulator.world.after(deed.after_s, partial(self._do, deed, index))


def _nothing() -> None:
    return
