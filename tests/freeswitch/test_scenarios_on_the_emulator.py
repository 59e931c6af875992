"""Every scenario once more, over TCP: our backend, and the emulator in place of the simulator.

Left out is what a scenario can't do to a switch: bend the line to it (`faults`), and let our own
deadlines pass before their time (the clock's deeds). Of a race only the promises are checked, for
what is one instant in the simulator is not one on a line.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from hookflash.backends.freeswitch.client import FreeSwitch, open_freeswitch
from hookflash.backends.freeswitch.emulator.emulator import Emulator
from hookflash.backends.freeswitch.emulator.server import open_emulator
from hookflash.backends.simulator.executor import DIRECT
from hookflash.backends.simulator.world import World
from hookflash.engine.engine import Engine, TransferHandle, open_engine
from hookflash.engine.record import Record
from hookflash.errors import RequestRefused
from hookflash.events import (
    CallEvent,
    Kind,
    LegAnswered,
    LegCreated,
    LegHungUp,
    LegId,
    LegParked,
    LegProgressed,
    LegsJoined,
    SoundStarted,
    TransferRequested,
)
from hookflash.scenarios.format import CLOCK, Deed, Scenario, load_scenario

FILES = sorted((Path(__file__).parents[2] / "hookflash/specs/scenarios").glob("*.toml"))
VERBS: dict[type, str] = {
    LegProgressed: "rings",
    LegAnswered: "answers",
    LegParked: "is parked",
    LegHungUp: "hangs up",
    SoundStarted: "hears a sound",
}


def _playable(scenario: Scenario) -> bool:
    return str(scenario.faults) in ("", "seed=7") and not any(
        deed.who == CLOCK for deed in scenario.deeds
    )


def _plays() -> Iterator[object]:
    for file in FILES:
        scenario = load_scenario(file)
        for order in list(scenario.orders())[:6]:  # of a race, some orders: it is no instant here
            if _playable(order):
                yield pytest.param(order, scenario.race is not None, id=order.name)


@attrs.define
class Play:
    """One scenario, on its way."""

    scenario: Scenario
    emulator: Emulator
    engine: Engine
    legs: dict[str, LegId] = attrs.field(factory=dict[str, LegId])
    names: dict[LegId, str] = attrs.field(factory=dict[LegId, str])
    happened: list[str] = attrs.field(factory=list[str])
    records: list[Record] = attrs.field(factory=list[Record])
    handles: dict[str, TransferHandle] = attrs.field(factory=dict[str, TransferHandle])

    def fact(self, fact: CallEvent) -> None:
        if isinstance(fact, LegCreated):
            for party in self.scenario.parties:
                if party.number == fact.number:
                    self.legs[party.name] = fact.leg
                    self.names[fact.leg] = party.name
        if isinstance(fact, LegsJoined):
            one, other = self.names.get(fact.first), self.names.get(fact.second)
            self.happened += [f"{one} and {other} talk", f"{other} and {one} talk"]
        elif type(fact) in VERBS:
            self.happened.append(f"{self.names.get(fact.leg)} {VERBS[type(fact)]}")  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType, reportUnknownMemberType]
        if isinstance(fact, LegHungUp) and self.legs.get(self.names.get(fact.leg, "")) == fact.leg:
            del self.legs[self.names[fact.leg]]

    async def follow(self) -> None:
        async for record in self.engine.follow():
            self.records.append(record)
            if record.after is not None and record.after is not record.before:
                self.happened.append(f"the transfer is {record.after.value}")

    async def do(self, deed: Deed, began_s: float, since: int) -> None:
        if deed.when is not None:
            with trio.move_on_after(90):
                while deed.when not in self.happened[since:]:
                    await trio.sleep(0.001)
        if deed.at_s is not None:
            await trio.sleep_until(began_s + deed.at_s)
        await trio.sleep(deed.after_s)
        if deed.dials is not None:
            for place, digit in enumerate(deed.dials):
                await trio.sleep(deed.every_s if place else 0)
                if deed.who in self.legs:
                    self.emulator.press(self.legs[deed.who], digit)
        elif deed.asks is not None:
            with suppress(RequestRefused):
                await self._ask(deed)
        elif deed.who in self.legs:
            leg = self.legs[deed.who]
            does = {"hangs up": self.emulator.hang_up, "answers": self.emulator.answer}
            does.get(deed.does or "", self.emulator.refuse)(leg)

    async def _ask(self, deed: Deed) -> None:
        leg = self.legs.get(deed.who, "")
        match deed.asks:
            case "transfer" | "hold":
                kind = Kind.HOLD if deed.asks == "hold" else deed.kind
                handle = await self.engine.transfer(leg, deed.target, kind=kind)
                self.handles[deed.who] = handle
            case "takeback" if deed.who in self.handles:
                await self.handles[deed.who].take_back()
            case "complete" if deed.who in self.handles:
                await self.handles[deed.who].complete()
            case _:
                await self.engine.hang_up(leg)


@pytest.mark.parametrize(("scenario", "race"), list(_plays()))
async def test_a_scenario(
    scenario: Scenario,
    race: bool,
    autojump_clock: MockClock,
) -> None:
    world = World(seed=scenario.seed, missing_sounds=scenario.missing_sounds)
    for party in scenario.parties:
        world.add_phone(party.number, party.behaviour, party.name)
    async with open_emulator(Emulator(world=world)) as listening:
        settings = FreeSwitch(host=listening.host, port=listening.port, dialling=DIRECT)
        async with (
            open_freeswitch(settings) as backend,
            open_engine(backend, account=scenario.account) as engine,
            trio.open_nursery() as nursery,
        ):
            play = Play(scenario, listening.emulator, engine)
            listening.emulator.on_fact = play.fact
            nursery.start_soon(play.follow)
            await _perform(play)
            await trio.sleep(5)  # the last keys may still become a code
            with trio.fail_after(3600):
                while engine.transfers():
                    await trio.sleep(1)
            await trio.sleep(5)
            alone = [play.names.get(leg.leg) for leg in await backend.snapshot() if not leg.peer]
            assert alone == [], "promise 1: somebody is forgotten"
            _check(play, race=race)
            nursery.cancel_scope.cancel()


async def _perform(play: Play) -> None:
    number = {party.name: party.number for party in play.scenario.parties}
    for caller, called in play.scenario.calls:
        legs = play.emulator.call(number[caller], number[called])
        play.legs |= dict(zip((caller, called), legs, strict=True))
        play.names |= dict(zip(legs, (caller, called), strict=True))
    await trio.sleep(5)
    began_s = trio.current_time()
    since = len(play.happened)
    for deed in play.scenario.deeds:
        before = len(play.happened)
        await play.do(deed, began_s, since)
        since = before if deed.when is None else since


def _check(play: Play, *, race: bool) -> None:
    asked = [r for r in play.records if isinstance(r.event, TransferRequested) and r.row]
    outcomes = [r.outcome.value for r in play.records if r.outcome is not None]
    assert len(outcomes) == len(asked), "promise 3: one transfer, one outcome"
    expect = play.scenario.expect
    if race:
        return
    if expect.outcome is not None:
        assert (outcomes or ["none"])[0] in expect.outcome
    if expect.outcomes is not None:
        assert tuple(outcomes) == expect.outcomes
    if expect.refused is not None:
        assert any(expect.refused in r.why for r in play.records if r.refused)
    assert not expect.gone & play.legs.keys()
    if expect.talk is not None:
        living = {leg for pair in expect.talk for leg in pair}
        assert play.legs.keys() >= living
