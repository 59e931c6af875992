"""A program on the simulated switch."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import partial

from fidelity_outcome import AtRest, Names, Outcome, Told
from fidelity_programs import BEEP, IVR, TO_REST_MS, WATCHED, Program, Step, variables_of

from hookflash.backends.freeswitch.primitives import (
    BreakSounds,
    Bridge,
    Broadcast,
    Kill,
    Originate,
    Primitive,
    SendToPark,
    SetVariables,
)
from hookflash.backends.simulator.executor import Executor
from hookflash.backends.simulator.people import Answers
from hookflash.backends.simulator.switch import ToPark, ToPhone, ToSound
from hookflash.backends.simulator.world import World
from hookflash.commands import Look
from hookflash.events import CallEvent, LegCreated, LegId, LegsSeen
from hookflash.sounds import parse_sound

PHONE = "2650"
NONE = "none"
JITTER_S = (0.0, 0.004)
"""From an order's instant to the switch's taking it."""
PERSON_S = (0.001, 0.024)
"""From what a person does to the switch's knowing it: it goes by SIP."""
KEY_S = (0.06, 0.44)
"""From the beginning of a key to the switch's knowing it."""
KEY_LOST = 0.15
"""How often a key never arrives: its packets are few, and a leg on its way listens to none."""
BUSY = 6.0
"""So many times as long it may take on a busy machine: in every third life."""
VERY_BUSY = 12.0
"""The same for orders, in one of twelve."""


def primitive_of(  # noqa: PLR0911 - a table
    step: Step, ids: Mapping[str, LegId], **dialling: str
) -> Primitive | None:
    """The operation that a step is; None if it is something else."""
    leg = ids.get(step.leg, NONE)
    match step.does:
        case "set":
            kind, _, rescue = step.what.partition(":")
            return SetVariables(leg, tuple(variables_of(kind, ids.get(rescue, NONE)).items()))
        case "park":
            return SendToPark(leg)
        case "bridge":
            return Bridge(leg, ids.get(step.what, NONE))
        case "play":
            return Broadcast(leg, parse_sound(step.what), "tone" if step.what == BEEP else "music")
        case "break":
            return BreakSounds(leg)
        case "kill":
            return Kill(leg, step.what)
        case "dial":
            variables = {
                "origination_uuid": dialling["leg"],
                "origination_caller_id_number": dialling["caller"],
                "originate_timeout": "20",
                "ignore_early_media": "true",
                "loopback_bowout": "false",
                "loopback_bowout_on_execute": "false",
                "media_mix_inbound_outbound_codecs": "true",
                "export_vars": "media_mix_inbound_outbound_codecs",
            }
            return Originate(
                leg=dialling["leg"],
                number=PHONE,
                dial_string=dialling[step.what],
                variables=tuple(variables.items()),
            )
        case _:
            return None


class Simulated:
    """One life of a program."""

    def __init__(self, program: Program, seed: int, sent_ms: list[float] | None = None) -> None:
        self.program = program
        self.world = World(seed)
        self.dice = random.Random(f"jitter {seed}")
        self.lag = BUSY if seed % 3 == 2 else 1.0
        self.orders_lag = VERY_BUSY if seed % 12 == 11 else self.lag
        self.sent_ms = sent_ms or [float(step.at_ms) for step in program.steps]
        self.world.raw = True
        self._begin(self.world)
        self.executor = Executor(self.world.switch, self._ignore, self._sees_nothing)
        self.world.add_phone("1001")
        self.world.add_phone("1002", Answers(after_s=0.0))
        self.world.add_phone(PHONE)
        a, b = self.world.call("1001", "1002")
        self.world.run(1.0)
        self.names = Names({a: "A", b: "B"})
        self.told = Told(self.names)
        self._connect()

    def _begin(self, world: World) -> None:
        """Stand between, before there are calls."""

    def _connect(self) -> None:
        self.world.on_event = self._hear

    def _ignore(self, _event: CallEvent) -> None:
        return

    def _sees_nothing(self, look: Look) -> LegsSeen:
        return LegsSeen(look=look, living=())

    def _hear(self, event: CallEvent) -> None:
        if isinstance(event, LegCreated):
            self.names.learn(event.leg, event.other_half, event.called_for)
        self.told.hear(event)

    def run(self) -> Outcome:
        began_s = self.world.now_s
        last_s = began_s
        for step, at_ms in zip(self.program.steps, self.sent_ms, strict=True):
            # orders are taken one after the other
            by_person = step.does in ("answers", "refuses", "hangs up", "presses")
            at_s = began_s + at_ms / 1000
            if by_person:
                span = KEY_S if step.does == "presses" else PERSON_S
                self.world.at(at_s + self._late(span), partial(self._do, step))
            else:
                last_s = max(last_s, at_s + self._late(JITTER_S))
                self.world.at(last_s, partial(self._do, step))
        ends_ms = max([self.program.lasts_ms, *(ms + TO_REST_MS for ms in self.sent_ms)])
        assert self.world.run(began_s + ends_ms / 1000)
        return self.told.outcome(self._rest())

    def _late(self, span: tuple[float, float]) -> float:
        shortest, longest = span
        lag = 1.0 if span is KEY_S else self.orders_lag if span is JITTER_S else self.lag
        return self.dice.uniform(shortest, longest * lag)

    def _do(self, step: Step) -> None:
        ids = self.names.by_name
        leg = ids.get(step.leg, NONE)
        if step.does == "dial":
            self.names.by_leg[step.leg] = step.leg
        primitive = primitive_of(
            step,
            ids,
            leg=step.leg,
            caller="1001",
            direct=f"user/{PHONE}",
            loopback=f"loopback/{PHONE}/default",
        )
        if primitive is not None:
            self._order(primitive)
        elif step.does in ("ivr", "phone", "park both", "park in place"):
            self._other_program(step.does, leg)
        else:
            self._person(step, leg)

    def _order(self, primitive: Primitive) -> None:
        self.executor.execute(primitive)

    def _person(self, step: Step, leg: LegId) -> None:
        leg = self.names.by_name.get(f"{step.leg}.p", leg)  # who is at the end of a loopback leg
        match step.does:
            case "answers":
                self.world.answer(leg)
            case "refuses":
                self.world.refuse(leg, "USER_BUSY")
            case "hangs up":
                self.world.hang_up(leg)
            case "presses":
                if self.dice.random() >= KEY_LOST:
                    self.world.press(leg, step.what)
            case _:
                raise AssertionError(step)

    def _other_program(self, does: str, leg: LegId) -> None:
        switch = self.world.switch
        match does:
            case "ivr":
                switch.transfer(leg, ToSound(parse_sound(IVR)))
            case "phone":
                switch.transfer(leg, ToPhone(PHONE))
            case "park both":
                switch.transfer(leg, ToPark(), both=True)
            case _:
                switch.park_in_place(leg)

    def _rest(self) -> dict[str, AtRest]:
        rest: dict[str, AtRest] = {}
        for channel in self.world.switch.channels():
            get = partial(self.world.switch.getvar, channel.id)
            told = ((name, self.names.in_text(get(name))) for name in WATCHED)
            variables = tuple(sorted((name, value) for name, value in told if value != "_undef_"))
            peer = "" if channel.bridged_to is None else self.names.of(channel.bridged_to.id)
            rest[self.names.of(channel.id)] = AtRest(peer, variables)
        return rest


def simulate(program: Program, seed: int, sent_ms: list[float] | None = None) -> Outcome:
    """Let a program run once; the same seed gives the same outcome."""
    return Simulated(program, seed, sent_ms).run()
