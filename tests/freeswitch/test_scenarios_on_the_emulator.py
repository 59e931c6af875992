"""Every scenario once more, over TCP: our backend, and the emulator in place of the simulator.

The same is expected, and the same eight promises are watched, on the emulator's own side of the
line. What is left out says `why_not`. Of a race only the promises are checked, for what is one
instant in the simulator is not one on a line.
"""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from hookflash.backends.freeswitch import channels, looking
from hookflash.backends.freeswitch.client import open_freeswitch
from hookflash.backends.freeswitch.primitives import CHANGED, OURS, Procedure, SetVariables
from hookflash.backends.freeswitch.procedures import Procedures
from hookflash.backends.freeswitch.settings import FreeSwitch
from hookflash.backends.simulator.people import Behaviour, Unreachable
from hookflash.backends.simulator.world import World
from hookflash.commands import Forget
from hookflash.emulator.emulator import Emulator
from hookflash.emulator.server import Listening, open_emulator
from hookflash.engine.engine import Engine, TransferHandle, open_engine
from hookflash.engine.record import Record
from hookflash.engine.switchboard import Switchboard
from hookflash.errors import BackendClosed, NotFound, RequestRefused
from hookflash.events import (
    CallEvent,
    Kind,
    LegCreated,
    LegHungUp,
    LegId,
    LegsJoined,
    LegSnapshot,
    TimerFired,
)
from hookflash.promises.run import RunWatch
from hookflash.scenarios.check import failures
from hookflash.scenarios.format import CLOCK, CONTROLLER, SWITCH, Deed, Scenario, load_scenario
from hookflash.scenarios.run import Run, what_came
from hookflash.scenarios.simulation import ended_of, unfinished_of
from hookflash.scenarios.stage import (
    CALL_UP_S,
    FAULTY_SILENCE_LIMIT_S,
    SILENCE_LIMIT_S,
    VERB_FOR,
    is_far_half,
)

FILES = sorted((Path(__file__).parents[2] / "hookflash/specs/scenarios").glob("*.toml"))
SCENARIOS = {file.stem: load_scenario(file) for file in FILES}

EVENT_NAMES: Mapping[str, str] = {
    "LegCreated": "CHANNEL_CREATE",
    "LegProgressed": "CHANNEL_PROGRESS",
    "LegAnswered": "CHANNEL_ANSWER",
    "LegParked": "CHANNEL_PARK",
    "LegsJoined": "CHANNEL_BRIDGE",
    "LegsSeparated": "CHANNEL_UNBRIDGE",
    "LegHungUp": "CHANNEL_HANGUP",
    "SoundStarted": "PLAYBACK_START",
    "SoundStopped": "PLAYBACK_STOP",
}
"""What a fact is called on the line."""

LINE_S = 0.1
"""How much later than in the simulator an order may come to the switch, and a fact to us."""

AT_REST_S = 60.0
"""So long after the last transfer nothing moves any more, and who was left alone has heard why."""


def why_not(scenario: Scenario) -> str:
    """Why a scenario can't be played here; empty if it can."""
    if str(scenario.faults) not in ("", "seed=7"):
        return "a TCP connection neither loses, repeats nor reorders single lines"
    if any(deed.loses is not None and deed.loses not in EVENT_NAMES for deed in scenario.deeds):
        return "each order is answered: one that was taken and lost looks like one that waits"
    if any(deed.does == "is suspended" for deed in scenario.deeds):
        return "switch and controller are one process here (`make kill KILL='--blows freeze'`)"
    return ""


def _plays() -> Iterator[object]:
    for file in FILES:
        scenario = SCENARIOS[file.stem]
        for order in list(scenario.orders())[:6]:  # of a race, some orders: it is no instant here
            if not why_not(order):
                yield pytest.param(order, scenario.race is not None, id=order.name)


@attrs.define(eq=False)
class Play:
    """One scenario, on its way."""

    scenario: Scenario
    listening: Listening
    nursery: trio.Nursery
    watch: RunWatch = attrs.field(init=False)
    legs: dict[str, LegId] = attrs.field(factory=dict[str, LegId])
    names: dict[LegId, str] = attrs.field(factory=dict[LegId, str])
    happened: list[str] = attrs.field(factory=list[str])
    records: list[Record] = attrs.field(factory=list[Record])
    handles: dict[str, TransferHandle] = attrs.field(factory=dict[str, TransferHandle])
    engine: Engine | None = None
    """Of the controller that is at work."""
    switchboard: Switchboard = attrs.field(factory=Switchboard)
    _life: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    _is_dead: trio.Event = attrs.field(factory=trio.Event)
    _news: trio.Event = attrs.field(factory=trio.Event)
    """Something happens."""
    _number: itertools.count[int] = attrs.field(factory=lambda: itertools.count(1))

    def __attrs_post_init__(self) -> None:
        harsh = any(deed.who in (CONTROLLER, SWITCH) for deed in self.scenario.deeds)
        limit_s = FAULTY_SILENCE_LIMIT_S if harsh else SILENCE_LIMIT_S
        self.watch = RunWatch(self, silence_limit_s=limit_s + LINE_S)

    @property
    def world(self) -> World:
        return self.listening.emulator.world

    # ---- the controller

    async def control(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Be the controller, until it dies."""
        here = self.listening
        settings = FreeSwitch(host=here.host, port=here.port, dialling=self.scenario.dialling)
        self._is_dead = trio.Event()
        with trio.CancelScope() as self._life:
            async with (
                open_freeswitch(settings) as backend,
                open_engine(
                    backend,
                    account=self.scenario.account,
                    next_number=self._number.__next__,
                    unfinished=unfinished_of(self.records),
                    ended=ended_of(self.records),
                    taps=[self.record],
                ) as self.engine,
            ):
                self.switchboard = self.engine.switchboard
                task_status.started()
                await trio.sleep_forever()
        self.engine = None
        self._is_dead.set()

    async def die(self) -> None:
        self._life.cancel()
        await self._is_dead.wait()

    def record(self, record: Record) -> None:
        self.records.append(record)
        self.watch.record(record)
        if record.after is not None and record.after is not record.before:
            self._happens(f"the transfer is {record.after.value}")

    # ---- the switch

    def fact(self, fact: CallEvent) -> None:
        if isinstance(fact, LegCreated) and not is_far_half(fact):
            for party in self.scenario.parties:
                if party.number == fact.number:
                    self.legs[party.name] = fact.leg
                    self.names[fact.leg] = party.name
        self.watch.fact(fact)
        if isinstance(fact, LegsJoined):
            one, other = self.names.get(fact.first), self.names.get(fact.second)
            self._happens(f"{one} and {other} talk", f"{other} and {one} talk")
        elif type(fact) in VERB_FOR:
            name = self.names.get(getattr(fact, "leg", ""))
            self._happens(f"{name} {VERB_FOR[type(fact)]}")
        if isinstance(fact, LegHungUp) and self.legs.get(self.names.get(fact.leg, "")) == fact.leg:
            del self.legs[self.names[fact.leg]]

    def by_another_program(self, command: str, argument: str) -> None:
        """Have another program give an order."""
        emulator = self.listening.emulator
        emulator.host.before()
        emulator.api.execute(command, argument)
        emulator.host.afterwards()

    # ---- what is done

    def _happens(self, *happenings: str) -> None:
        self.happened += happenings
        self._news.set()
        self._news = trio.Event()

    async def wait_for(self, deed: Deed, began_s: float, since: int) -> None:
        """Wait for the moment of a deed."""
        if deed.when is not None:
            with trio.move_on_after(deed.or_after_s or 90):
                while deed.when not in self.happened[since:]:
                    await self._news.wait()
        if deed.at_s is not None:
            await trio.sleep_until(began_s + deed.at_s)
        await trio.sleep(deed.after_s)

    async def _dial(self, deed: Deed, digits: str) -> None:
        for place, digit in enumerate(digits):
            await trio.sleep(deed.every_s if place else 0)
            if deed.who in self.legs:
                self.listening.emulator.press(self.legs[deed.who], digit)

    async def do(self, deed: Deed) -> None:
        if deed.dials is not None:
            await self._dial(deed, deed.dials)
        elif deed.asks is not None:
            with suppress(RequestRefused, NotFound, BackendClosed):
                await self._ask(deed)
        elif deed.loses is not None:
            self.listening.emulator.bus.lose(EVENT_NAMES[deed.loses])
        elif deed.who == CLOCK:
            await self._let_the_deadline_pass()
        elif deed.who == CONTROLLER:
            await (self.die() if deed.does == "dies" else self.nursery.start(self.control))
        elif deed.who in self.legs:
            self._act(deed, self.legs[deed.who])

    def _act(self, deed: Deed, leg: LegId) -> None:
        emulator = self.listening.emulator
        match deed.does:
            case "hangs up":
                emulator.hang_up(leg)
            case "answers":
                emulator.answer(leg)
            case "is sent to an announcement":
                self.by_another_program("uuid_transfer", f"{leg} playback:announcement.wav inline")
            case "is parked by another program":
                self.by_another_program("uuid_park", leg)
            case _:
                emulator.refuse(leg)

    async def _ask(self, deed: Deed) -> None:
        if self.engine is None:
            return
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

    async def _let_the_deadline_pass(self) -> None:
        for transfer in self.engine.transfers() if self.engine else ():
            if transfer.deadline is not None:
                assert self.engine is not None
                await self.engine._put(TimerFired(timer=transfer.deadline))
                return


@pytest.mark.parametrize(("scenario", "race"), list(_plays()))
async def test_a_scenario(scenario: Scenario, race: bool, autojump_clock: MockClock) -> None:
    run, left_behind = await _play(scenario)
    assert left_behind == ()
    assert (run.broken if race else failures(run)) == ()


async def _play(scenario: Scenario) -> tuple[Run, tuple[str, ...]]:
    """Play a scenario; what came of it, and what is left on somebody's leg at the end."""
    world = World(
        seed=scenario.seed, missing_sounds=scenario.missing_sounds, file_s=scenario.sound_s
    )
    for party in scenario.parties:
        world.add_phone(party.number, party.behaviour, party.name, outside=party.outside)
    async with (
        open_emulator(Emulator(world=world, phones=_nobody_else)) as listening,
        trio.open_nursery() as nursery,
    ):
        play = Play(scenario, listening, nursery)
        listening.emulator.on_fact = play.fact
        await nursery.start(play.control)
        run = await _perform(play)
        left_behind = tuple(_left_behind(play))
        await play.die()
    return run, left_behind


def _nobody_else(_number: str) -> Behaviour:
    return Unreachable(cause="UNALLOCATED_NUMBER")


async def _perform(play: Play) -> Run:
    parties = {party.name: party for party in play.scenario.parties}
    for caller, called in play.scenario.calls:
        one, other = parties[caller], parties[called]
        legs = play.listening.emulator.call(
            one.number,
            other.number,
            account=one.account,
            callee_account=other.account,
            through_loopback=(caller, called) in play.scenario.through,
        )
        play.legs |= dict(zip((caller, called), legs, strict=True))
        play.names |= dict(zip(legs, (caller, called), strict=True))
    await trio.sleep(CALL_UP_S)
    began_s = trio.current_time()
    before = {name: len(_shown(play, name)) for name in parties}
    since = len(play.happened)
    for deed in play.scenario.deeds:
        here = len(play.happened)
        await play.wait_for(deed, began_s, since)
        await play.do(deed)
        since = here if deed.when is None else since
    await trio.sleep(5)  # the last keys may still become a code
    with trio.fail_after(2 * 3600):
        while play.engine is not None and play.engine.transfers():
            await trio.sleep(1)
    await trio.sleep(AT_REST_S)
    return what_came(
        play.scenario,
        play.scenario.seed,
        play.records,
        play.watch,
        world=play.world,
        names=play.names,
        shown={name: _shown(play, name)[before[name] :] for name in parties},
    )


def _shown(play: Play, who: str) -> tuple[str, ...]:
    legs = [leg for leg, name in play.names.items() if name == who]
    return tuple(number for leg in legs for number in play.world.switch.shown(leg))


def _left_behind(play: Play) -> Iterator[str]:
    """Promise 8, as a program sees it that asks the switch for everything that a leg carries."""
    for channel in play.world.switch.channels():
        dump = play.listening.emulator.api.execute("uuid_dump", channel.id)
        assert isinstance(dump, str)
        said = dict(line.split(": ", 1) for line in dump.splitlines() if ": " in line)
        for name in (*OURS, *CHANGED):
            value = said.get(f"variable_{name}", "")
            if value and not (
                name == "hangup_after_bridge" and said["Call-Direction"] == "inbound"
            ):
                yield f"{name}={value} is left on {play.names.get(channel.id, channel.id)}"


def test_what_is_left_out_has_a_reason() -> None:
    left_out = {name: why for name, scenario in SCENARIOS.items() if (why := why_not(scenario))}
    assert len({*left_out.values()}) == 3
    assert len(left_out) <= len(FILES) // 8


# -------------------------------------------------------------- it can also fail


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("restart-while-the-tone-plays-after-a-join", "bob still has a leg at the end"),
        ("restart-between-join-and-proof", "the outcome is failed, expected reconnected"),
        ("restart-before-a-failsafe", "the outcome is failed, expected transferred"),
    ],
)
async def test_a_partner_that_is_believed_from_one_side_loses_a_caller(
    name: str, complaint: str, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`signal_bond` outlives the partner: read alone, it takes who is alone for who talks."""
    read = channels.Reading.read

    def bond(self: channels.Reading, leg: LegId, dump: Mapping[str, Any]) -> LegSnapshot | None:
        seen = read(self, leg, dump)
        peer = dump.get("variable_bridge_to") or dump.get("variable_signal_bond")
        return None if seen is None else attrs.evolve(seen, peer=peer)

    monkeypatch.setattr(channels.Reading, "read", bond)
    monkeypatch.setattr(looking, "pairs_of", tuple)
    run, _ = await _play(SCENARIOS[name])
    assert complaint in failures(run)


async def test_what_stays_behind_is_seen_on_both_sides(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the marks are taken off, as once."""

    def forget(_self: Procedures, command: Forget) -> Procedure:
        marks = tuple((name, "") for name in OURS)
        return Procedure(steps=tuple(SetVariables(leg, marks) for leg in command.legs), optional=9)

    monkeypatch.setattr(Procedures, "_forget", forget)
    run, left_behind = await _play(SCENARIOS["complete"])
    assert "promise 8 (nothing_left): park_after_bridge of bob is false" in run.broken
    assert "park_after_bridge=false is left on bob" in left_behind
