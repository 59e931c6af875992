"""A program on the simulated switch with Asterisk's habits."""

from __future__ import annotations

import random
from functools import partial

from asterisk_outcome import AsteriskTold, Names, said
from asterisk_programs import (
    BEEP,
    PEOPLE,
    TO_REST_MS,
    WATCHED,
    EitherWay,
    Program,
    Step,
    command_of,
)
from fidelity_outcome import AtRest, Outcome

from hookflash.backends.simulator.channel import ToPhone, ToSound
from hookflash.backends.simulator.character import Character
from hookflash.backends.simulator.people import Answers
from hookflash.backends.simulator.world import World
from hookflash.events import CallEvent, LegCreated, LegId

PHONE = "2601"
JITTER_S = (0.0, 0.004)
"""From an order's instant to the switch's taking it."""
PERSON_S = (0.0, 0.012)
"""From what a person does to the switch's knowing it: it goes by SIP."""
KEY_S = (0.05, 0.35)
BUSY = 5.0
"""So many times as long the switch takes on a busy machine: in every third life."""
VERY_BUSY = 12.0
"""The same, in one of twelve."""


class Simulated:
    """One life of a program."""

    def __init__(self, program: Program, seed: int, sent_ms: list[float] | None = None) -> None:
        self.program = program
        self.dice = random.Random(f"jitter {seed}")
        self.sent_ms = sent_ms or [float(step.at_ms) for step in program.steps]
        self.world = World(seed, character=Character.ASTERISK)
        self.world.raw = True
        pbx = self.world.asterisk
        pbx.switch.slowness = VERY_BUSY if seed % 12 == 11 else BUSY if seed % 3 == 2 else 1.0
        self.procedures = EitherWay(pbx.executor.party_of)
        pbx.executor.procedures = self.procedures
        self.world.add_phone("1001")
        self.world.add_phone("1002", Answers(after_s=0.0))
        self.world.add_phone(PHONE)
        a, b = self.world.call("1001", "1002")
        self.world.run(1.0)
        self.names = Names({a: "A", b: "B"})
        self.told = AsteriskTold(self.names)
        self.world.on_event = self._hear

    def _hear(self, event: CallEvent) -> None:
        if isinstance(event, LegCreated):
            self.names.learn(event.leg, event.other_half, event.called_for)
        self.told.hear(event)

    def run(self) -> Outcome:
        began_s = self.world.now_s
        last_s = began_s
        for step, at_ms in zip(self.program.steps, self.sent_ms, strict=True):
            at_s = began_s + at_ms / 1000
            if step.does in PEOPLE:
                span = KEY_S if step.does == "presses" else PERSON_S
                self.world.at(at_s + self.dice.uniform(*span), partial(self._person, step))
            else:
                last_s = max(last_s, at_s + self.dice.uniform(*JITTER_S))
                self.world.at(last_s, partial(self._order, step))
        ends_ms = max([self.program.lasts_ms, *(ms + TO_REST_MS for ms in self.sent_ms)])
        assert self.world.run(began_s + ends_ms / 1000)
        return self.told.outcome(self._rest())

    def _order(self, step: Step) -> None:
        if step.does == "dial":
            self.names.by_leg[step.leg] = step.leg
        ids = self.names.by_name
        if step.does == "ivr":
            self.world.asterisk.move(ids[step.leg], ToSound(BEEP))
        elif step.does == "phone":
            self.world.asterisk.move(ids[step.leg], ToPhone(PHONE))
        else:
            if step.what.startswith("direct"):
                self.procedures.directly.add(step.leg)
            pbx = self.world.asterisk
            pbx.executor.perform(command_of(step, ids, caller="1001", phone=PHONE))

    def _person(self, step: Step) -> None:
        ids = self.names.by_name
        leg: LegId = ids.get(f"{step.leg}.p", ids.get(step.leg, ""))
        match step.does:
            case "answers":
                self.world.answer(leg)
            case "refuses":
                self.world.refuse(leg, "USER_BUSY")
            case "hangs up":
                self.world.hang_up(leg)
            case _:
                self.world.press(leg, step.what)

    def _rest(self) -> dict[str, AtRest]:
        rest: dict[str, AtRest] = {}
        switch = self.world.asterisk.switch
        called = {one.name: self.names.of(one.id) for one in switch.channels()}
        for channel in switch.channels():
            told = ((name, channel.variables.get(name, "")) for name in WATCHED)
            variables = tuple(sorted((n, said(v, called, self.names)) for n, v in told if v))
            peer = "" if channel.peer is None else self.names.of(channel.peer.id)
            rest[self.names.of(channel.id)] = AtRest(peer, variables)
        return rest


def simulate(program: Program, seed: int, sent_ms: list[float] | None = None) -> Outcome:
    """Let a program run once; the same seed gives the same outcome."""
    return Simulated(program, seed, sent_ms).run()
