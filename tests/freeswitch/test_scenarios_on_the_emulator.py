"""Every scenario once more, over TCP: our backend, and the emulator in place of the simulator.

The same is expected, and the same eight promises are watched, on the emulator's own side of the
line. `LACKS` says what is left out, and why. Of a race only the promises are checked, for what is
one instant in the simulator is not one on a line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import attrs
import pytest
import trio
from line_rig import Controller, LineRig
from shipped import SCENARIOS
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
from hookflash.engine.record import Record
from hookflash.engine.switchboard import Switchboard
from hookflash.events import CallEvent, LegId, LegSnapshot
from hookflash.promises.run import RunWatch
from hookflash.scenarios import script
from hookflash.scenarios.check import failures
from hookflash.scenarios.rig import (
    CALL_UP_S,
    FAULTY_SILENCE_LIMIT_S,
    SILENCE_LIMIT_S,
    SimulatedPhones,
)
from hookflash.scenarios.run import Run, ending_of, shown_to, what_came
from hookflash.scenarios.scenario import Feature, Scenario
from hookflash.scenarios.script import ScriptLine, Verb

pytestmark = [pytest.mark.slow, pytest.mark.exhaustive]


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


LACKS: Mapping[Verb | Feature, str] = {
    Feature.FAULTS: "a TCP connection neither loses, repeats nor reorders single lines",
    script.LOSES_ORDER: "an order that was taken and lost looks like one that waits",
    script.IS_SUSPENDED: "switch and controller are one process here (see `make kill`)",
}


def _plays() -> Iterator[object]:
    for scenario in SCENARIOS.values():
        for order in list(scenario.orders())[:3]:  # of a race, some orders: it is no instant here
            if not order.why_not(LACKS):
                yield pytest.param(order, scenario.race is not None, id=order.name)


class EmulatedRig(LineRig):
    """One scenario on an emulator of its own."""

    # hours pass at once, but each look takes its moment
    never_s = 3600.0
    limit_s = 2 * 3600.0
    looks_every_s = 2.0
    lacks = LACKS

    def __init__(self, scenario: Scenario, listening: Listening, nursery: trio.Nursery) -> None:
        self.emulator = listening.emulator
        settings = FreeSwitch(host=listening.host, port=listening.port, dialling=scenario.dialling)
        controller = Controller(partial(open_freeswitch, settings), scenario.account)
        super().__init__(scenario, controller, nursery)
        limit_s = FAULTY_SILENCE_LIMIT_S if scenario.is_harsh else SILENCE_LIMIT_S
        self.watch = RunWatch(self, silence_limit_s=lambda: limit_s + LINE_S)
        self.emulator.on_fact = self._fact
        self._phones = SimulatedPhones(self.emulator, self.roster.legs)
        self.verbs |= {
            script.IS_SENT_AWAY: lambda line: self._by_another_program(
                "uuid_transfer", line.who, "playback:announcement.wav inline"
            ),
            script.IS_SENT_TO_MENU: lambda line: self._by_another_program(
                "uuid_transfer", line.who, "5000 XML default"
            ),
            script.IS_PARKED: lambda line: self._by_another_program("uuid_park", line.who),
            script.CALLS_SLOT: self._call_slot,
            script.LOSES_EVENT: self._lose,
        }

    @property
    def world(self) -> World:
        return self.emulator.world

    @property
    def switchboard(self) -> Switchboard:
        return self.controller.switchboard

    @property
    def names(self) -> Mapping[LegId, str]:
        return self.roster.names

    def record(self, record: Record) -> None:
        self.watch.record(record)
        super().record(record)

    def _fact(self, fact: CallEvent) -> None:
        told = self.roster.note(fact)
        self.watch.fact(fact)
        self.player.happens(*told)

    # ---- what is done

    async def press(self, who: str, key: str) -> None:
        self._phones.press(who, key)

    async def hang_up(self, who: str) -> None:
        self._phones.hang_up(who)

    async def answer(self, who: str) -> None:
        self._phones.answer(who)

    async def refuse(self, who: str) -> None:
        self._phones.refuse(who)

    async def _call_slot(self, line: ScriptLine) -> None:
        party = next(one for one in self.scenario.parties if one.name == line.who)
        leg = self.world.call_slot(
            party.address, line.slot, account=party.account, owner_id=party.owner_id
        )
        self.roster.seat((line.who,), (leg,))

    async def _by_another_program(self, command: str, who: str, how: str = "") -> None:
        """Have another program give an order."""
        if who in self.roster.legs:
            self.emulator.host.before()
            self.emulator.api.execute(command, f"{self.roster.legs[who]} {how}".rstrip())
            self.emulator.host.afterwards()

    async def _lose(self, line: ScriptLine) -> None:
        self.emulator.bus.lose(EVENT_NAMES[line.loses or ""])


@pytest.mark.parametrize(("scenario", "race"), list(_plays()))
async def test_a_scenario(scenario: Scenario, race: bool, autojump_clock: MockClock) -> None:
    run, left_behind = await _play(scenario)
    assert left_behind == ()
    assert (run.broken if race else failures(run)) == ()


async def _play(scenario: Scenario) -> tuple[Run, tuple[str, ...]]:
    """Play a scenario: its result, and what is left on somebody's leg at the end."""
    world = World(
        seed=scenario.seed, missing_sounds=scenario.missing_sounds, file_s=scenario.sound_s
    )
    for party in scenario.parties:
        world.add_phone(party.address, party.behaviour, party.name, outside=party.outside)
    async with (
        open_emulator(Emulator(world=world, phones=_nobody_else)) as listening,
        trio.open_nursery() as nursery,
    ):
        rig = EmulatedRig(scenario, listening, nursery)
        await nursery.start(rig.controller.run)
        run = await _perform(rig)
        left_behind = tuple(_left_behind(rig))
        nursery.cancel_scope.cancel()
    return run, left_behind


def _nobody_else(_number: str) -> Behaviour:
    return Unreachable(cause="UNALLOCATED_NUMBER")


async def _perform(rig: EmulatedRig) -> Run:
    scenario = rig.scenario
    parties = {party.name: party for party in scenario.parties}
    for caller, called in scenario.calls:
        one, other = parties[caller], parties[called]
        legs = rig.emulator.call(
            one.address,
            other.address,
            account=one.account,
            callee_account=other.account,
            owner_id=one.owner_id,
            through_loopback=(caller, called) in scenario.through,
        )
        rig.roster.seat((caller, called), legs)
    await trio.sleep(CALL_UP_S)
    before = shown_to(scenario, rig.world, rig.names)
    await rig.play()
    assert not rig.is_busy()
    await trio.sleep(AT_REST_S)
    end = ending_of(scenario, rig.world, rig.watch, before)
    return what_came(scenario, scenario.seed, rig.controller.records, rig.names, end)


def _left_behind(rig: EmulatedRig) -> Iterator[str]:
    """Promise 8, as a program sees it that asks the switch for everything that a leg carries."""
    for channel in rig.world.switch.channels():
        dump = rig.emulator.api.execute("uuid_dump", channel.id)
        assert isinstance(dump, str)
        said = dict(line.split(": ", 1) for line in dump.splitlines() if ": " in line)
        for name in (*OURS, *CHANGED):
            value = said.get(f"variable_{name}", "")
            if value and not (
                name == "hangup_after_bridge" and said["Call-Direction"] == "inbound"
            ):
                yield f"{name}={value} is left on {rig.names.get(channel.id, channel.id)}"


def test_what_is_left_out_has_a_reason() -> None:
    left_out = {
        name: why for name, scenario in SCENARIOS.items() if (why := scenario.why_not(LACKS))
    }
    assert len({*left_out.values()}) == 3
    assert len(left_out) <= len(SCENARIOS) // 8


# -------------------------------------------------------------- it can also fail


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("restart-while-the-tone-plays-after-a-join", "bob still has a leg at the end"),
        ("restart-between-join-and-proof", "the outcome is recalled, expected reconnected"),
        ("restart-before-a-failsafe", "the outcome is recalled, expected transferred"),
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
