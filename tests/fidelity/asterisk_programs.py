"""Random programs for an Asterisk: what a controller orders and people do, at random instants.

Each begins with A and B, who talk: A called. C and D are called in the program itself, directly or
through the dialplan; `C.b` and `C.p` are then the far half of C and the leg of the phone behind it.
Orders are commands, which both switches get as the same primitive operations.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Final

import attrs

from hookflash.backends.asterisk.primitives import AsteriskProcedure
from hookflash.backends.asterisk.procedures import AsteriskDialling, AsteriskProcedures, KnownParty
from hookflash.commands import (
    Afterwards,
    Arm,
    Dial,
    Forget,
    HangUp,
    HoldWithMusic,
    Join,
    Park,
    PlayRingback,
    PlayTone,
    Release,
    Split,
    SwitchCommand,
    Trigger,
)
from hookflash.events import LegId
from hookflash.sounds import Music, parse_sound

MUSIC: Final = Music()
RINGBACK: Final = parse_sound("tone:440+480/2000,0/4000")
BEEP: Final = parse_sound("tone:440/200,0/100*1")
MOVES: Final = frozenset({"split", "park", "join", "ivr", "phone"})
"""Orders that send a leg somewhere else."""
PEOPLE: Final = frozenset({"answers", "refuses", "hangs up", "presses"})
TARGETS: Final = ("C", "D")
TO_REST_MS: Final = 3700
"""From the last step to the comparison: two failsafes one after the other have acted by then."""
RACE_MS: Final = 12

CALLED_MS: Final = 60
"""After this time a called leg is there, and can be armed."""
WATCHED: Final = (
    "HOOKFLASH_AFTER",
    "HOOKFLASH_ARMED",
    "HOOKFLASH_RESCUE",
    "HOOKFLASH_PEER",
    "HOOKFLASH_ROLE",
)
"""The variables that are compared when everything is at rest."""


@attrs.frozen
class Step:
    """Something that is ordered, or done by somebody at a phone."""

    at_ms: int
    does: str
    leg: str
    what: str = ""


@attrs.frozen
class Program:
    """Steps in the order of their instants."""

    steps: tuple[Step, ...]

    def as_json(self) -> list[list[str | int]]:
        return [[step.at_ms, step.does, step.leg, step.what] for step in self.steps]

    @classmethod
    def from_json(cls, rows: list[list[str | int]]) -> Program:
        return cls(tuple(Step(int(at), str(do), str(leg), str(what)) for at, do, leg, what in rows))

    @property
    def races(self) -> bool:
        """Whether two steps are so near each other that chance decides."""
        times = [step.at_ms for step in self.steps]
        return any(b - a <= 2 * RACE_MS for a, b in pairwise(times))

    @property
    def lasts_ms(self) -> int:
        return (self.steps[-1].at_ms if self.steps else 0) + TO_REST_MS

    def smaller(self) -> Iterator[Program]:
        """Every sound program that lacks one step of this."""
        for place in range(len(self.steps)):
            lacking = Program(self.steps[:place] + self.steps[place + 1 :])
            if lacking.is_sound:
                yield lacking

    @property
    def is_sound(self) -> bool:
        """Whether nobody is spoken of before they are called."""
        known = {"A", "B"}
        for step in self.steps:
            if step.does == "dial":
                known.add(step.leg)
            elif step.leg not in known:
                return False
        return True

    def story(self) -> str:
        return "\n".join(
            f"  {step.at_ms:5d} ms  {step.leg} {step.does} {step.what}" for step in self.steps
        )


def command_of(  # noqa: C901, PLR0911 - a table
    step: Step, ids: Mapping[str, LegId], *, caller: str, phone: str
) -> SwitchCommand:
    """The command that a step is."""
    leg = ids[step.leg]
    other, *more = step.what.split(",") if step.what else [""]
    third = ids.get(more[0], "") if more else ""
    match step.does:
        case "dial":
            return Dial(
                leg=leg,
                target=phone,
                on_behalf_of=ids["A"],
                caller=caller,
                ring_timeout_s=20,
                transfer="t",
            )
        case "split":
            return Split(first=leg, second=ids[other], transfer="t", kind="attended")
        case "park":
            return Park(leg=leg)
        case "join":
            return Join(
                first=leg,
                second=ids[other],
                afterwards=Afterwards(more[1]),
                rescue=third or None,
                disarm=(ids[other],) if "disarm" in more else (),
            )
        case "arm":
            return Arm(leg=leg, rescue=ids[other], when=Trigger(more[0]))
        case "release":
            return Release(first=leg, second=ids[other])
        case "forget":
            return Forget(legs=(leg,))
        case "music":
            return HoldWithMusic(leg=leg, music=MUSIC)
        case "ringback":
            return PlayRingback(leg=leg, ringback=RINGBACK)
        case "tone":
            return PlayTone(leg=leg, tone=BEEP)
        case "kill":
            return HangUp(leg=leg, cause=step.what)
        case _:
            raise AssertionError(step)


class EitherWay(AsteriskProcedures):
    """Calls some targets directly, and others through the dialplan."""

    def __init__(self, party_of: Callable[[LegId], KnownParty]) -> None:
        super().__init__(party_of=party_of)
        self.directly: set[LegId] = set()
        self._direct = AsteriskProcedures(
            party_of=party_of, dialling=AsteriskDialling(template="PJSIP/{number}")
        )

    def of(self, command: SwitchCommand) -> AsteriskProcedure | None:
        if isinstance(command, Dial) and command.leg in self.directly:
            return self._direct.of(command)
        return super().of(command)


class _Draw:
    """Draws one program, and keeps in mind what is likely to live."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(f"asterisk fidelity {seed}")
        self.at_ms = 0
        self.steps: list[Step] = []
        self.legs = ["A", "B"]
        self.ringing: dict[str, int] = {}
        self.racing = self.dice.choice((0.0, 0.0, 0.2, 0.5))
        self.busy_until_ms = 0
        self.moved: dict[str, int] = {}

    def add(self, does: str, leg: str, what: str = "") -> None:
        self.steps.append(Step(self.at_ms, does, leg, what))

    def wait(self) -> None:
        races = self.dice.random() < self.racing and self.steps
        self.at_ms += self.dice.randint(0, RACE_MS) if races else self.dice.randint(90, 240)
        self.at_ms = max(self.at_ms, self.busy_until_ms)

    def others(self, leg: str) -> list[str]:
        return [other for other in self.legs if other != leg]

    def dial(self) -> bool:
        free = [leg for leg in TARGETS if not any(s.leg == leg for s in self.steps)]
        if not free:
            return False
        self.add("dial", free[0], self.dice.choice(("direct", "dialplan")))
        self.ringing[free[0]] = self.at_ms
        if self.dice.random() < 0.25:
            self.at_ms += CALLED_MS
            self.add("arm", free[0], f"{self.dice.choice('AB')},{Trigger.ANSWER.value}")
        return True

    def answer(self) -> bool:
        ready = [leg for leg, at_ms in self.ringing.items() if self.at_ms - at_ms > 200]
        if not ready:
            return False
        leg = ready[0]
        del self.ringing[leg]
        if self.dice.random() < 0.12:
            self.add("refuses", leg)
        else:
            self.add("answers", leg)
            self.legs.append(leg)
            self.busy_until_ms = self.at_ms + 60  # nobody orders a leg that has not answered
        return True

    def step(self) -> None:  # noqa: C901, PLR0912 - a table
        self.wait()
        roll = self.dice.random()
        leg = self.dice.choice(self.legs)
        other = self.dice.choice(self.others(leg))
        third = self.dice.choice([*(x for x in self.others(leg) if x != other), ""])
        if roll < 0.13 and self.dial():
            return
        if roll < 0.30 and self.answer():
            return
        if roll < 0.40:
            self.add("split", leg, other)
        elif roll < 0.58:
            afterwards = self.dice.choice(("park", "park", "end"))
            disarm = self.dice.choice(("", ",disarm"))
            self.add(
                "join", leg, f"{other},{third if afterwards == 'park' else ''},{afterwards}{disarm}"
            )
        elif roll < 0.64:
            self.add("park", leg)
        elif roll < 0.70:
            self.add("arm", leg, f"{other},{self.dice.choice((*Trigger,)).value}")
        elif roll < 0.73:
            self.add("release", leg, other)
        elif roll < 0.75:
            self.add("forget", leg)
        elif roll < 0.83:
            self.add(self.dice.choice(("music", "ringback", "tone")), leg)
        elif roll < 0.90:
            self.add("hangs up", leg)
        elif roll < 0.92:
            self.add("kill", leg, self.dice.choice(("NORMAL_CLEARING", "USER_BUSY")))
        elif roll < 0.96:
            self.add("presses", leg, self.dice.choice("15#*"))
            self.busy_until_ms = self.at_ms + 300
        else:
            self.add(self.dice.choice(("ivr", "phone")), leg)


def draw(seed: int) -> Program:
    """Draw a program of five to twelve steps."""
    one = _Draw(seed)
    wanted = one.dice.randint(5, 12)
    while len(one.steps) < wanted:
        one.step()
    return Program(tuple(one.steps))
