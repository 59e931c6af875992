"""Random programs for a switch: what programs order and what people do, at random instants.

Each begins with A and B, who talk: A called, and is the first leg of their bridge. C, D and E are
called in the program itself, directly or through `loopback/`; `C.b` and `C.p` are then the other
half of C and the leg of the phone behind it. Steps are well apart, or race with each other.

A program is a value: drawn from a seed, written as JSON, made smaller by leaving out steps.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import attrs

MUSIC: Final = "tone_stream://%(500,500,300);loops=-1"
BEEP: Final = "tone_stream://%(300,100,400)"
IVR: Final = "tone_stream://%(300,300,450);loops=-1"

STAYS: Final = {"park_after_bridge": "true", "hangup_after_bridge": "false"}
ENDS: Final = {"park_after_bridge": "false", "hangup_after_bridge": "true"}
DOES_NEITHER: Final = {"park_after_bridge": "false", "hangup_after_bridge": "false"}
CANCEL: Final = {"uuid_bridge_park_on_cancel": "true"}
LIMITS: Final = {"park_timeout": "1860", "playback_timeout_sec": "1860"}
DISARMED: Final = {"exec_after_bridge_app": "", "exec_after_bridge_arg": ""}
TO_REST_MS: Final = 1200
"""From the last step to the comparison: everything has come to rest by then."""
RACE_MS: Final = 30
MOVES: Final = frozenset({"bridge", "park", "ivr", "phone", "park both", "park in place"})
"""Orders that send a leg somewhere else."""
TARGETS: Final = ("C", "D", "E")
WATCHED: Final = (
    "signal_bond",
    "bridge_uuid",
    "park_after_bridge",
    "hangup_after_bridge",
    "exec_after_bridge_app",
    "exec_after_bridge_arg",
    "park_timeout",
    "playback_timeout_sec",
    "uuid_bridge_park_on_cancel",
)
"""The variables that are compared when everything is at rest."""


@attrs.frozen
class Step:
    """Something that is done to a leg, or by somebody at a phone."""

    at_ms: int
    does: str
    leg: str
    what: str = ""

    @property
    def moved(self) -> frozenset[str]:
        """The legs that an order moves, each with the other half and the phone behind it."""
        legs = (self.leg, self.what if self.does == "bridge" else "")
        pair = {"A", "B"} if self.does == "park both" else set[str]()
        return frozenset({leg.partition(".")[0] for leg in legs if leg} | pair)


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

    @property
    def is_sound(self) -> bool:
        """Whether a leg is called once at most, and ordered only after it has answered."""
        answered = {"A", "B"}
        dialled: set[str] = set()
        for step in self.steps:
            leg = step.leg.partition(".")[0]
            if step.does == "dial":
                if leg in dialled:
                    return False
                dialled.add(leg)
            elif step.does in ("answers", "refuses"):
                if leg not in dialled:
                    return False
                answered.add(leg)
            elif leg not in answered:
                return False
            if step.does == "bridge" and step.what not in answered:
                return False
        return True

    def smaller(self) -> Iterator[Program]:
        """Every sound program that lacks one step of this."""
        for place in range(len(self.steps)):
            lacking = Program(self.steps[:place] + self.steps[place + 1 :])
            if lacking.is_sound:
                yield lacking

    def story(self) -> str:
        return "\n".join(
            f"  {step.at_ms:5d} ms  {step.leg} {step.does} {step.what}" for step in self.steps
        )


def variables_of(kind: str, rescue: str) -> dict[str, str]:
    """What a step `set` sets, as the procedures do it."""
    takes = {"exec_after_bridge_app": "intercept", "exec_after_bridge_arg": rescue}
    # so late that nothing comes of it within the program: the question is where the leg is parked
    later = f"sched_transfer:+60\\sintercept:{rescue}\\sinline,park inline"
    parks = {"exec_after_bridge_app": "execute_extension", "exec_after_bridge_arg": later}
    kinds = {
        "stays": STAYS | CANCEL,
        "limits": STAYS | CANCEL | LIMITS,
        "ends": ENDS,
        "armed": DOES_NEITHER | takes,
        "armed, and stays": STAYS | takes,
        "armed from the park": DOES_NEITHER | parks,
    }
    return kinds.get(kind, DISARMED)


class _Draw:
    """Draws one program, and keeps in mind what is likely to live."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(f"fidelity {seed}")
        self.at_ms = 0
        self.steps: list[Step] = []
        self.legs = ["A", "B"]
        self.ringing: dict[str, int] = {}
        self.loops: set[str] = set()
        self.busy_until_ms = 0
        self.dialled: set[str] = set()
        self.racing = self.dice.choice((0.0, 0.1, 0.3, 0.5))

    def crowded(self, *legs: str) -> bool:
        """Whether two orders have moved these legs, or legs that were moved with them, just now.

        A third within that time is not drawn: no controller of ours gives it, for we order a leg
        again only when the switch has told what became of the order before; and two programs that
        give three orders contradict each other. What people do, and a leg's end, may always come.
        """
        near = [
            step
            for step in self.steps
            if step.does in MOVES and self.at_ms - step.at_ms <= 2 * RACE_MS
        ]
        touched = {leg.partition(".")[0] for leg in legs}
        orders = -1
        found: list[Step] = []
        while len(found) > orders:
            orders = len(found)
            found = [step for step in near if step.moved & touched]
            touched |= {leg for step in found for leg in step.moved}
        return orders > 1

    def add(self, does: str, leg: str, what: str = "") -> None:
        if does in MOVES and self.crowded(leg, what):
            self.at_ms += self.dice.randint(160, 320)
        self.steps.append(Step(self.at_ms, does, leg, what))

    def wait(self) -> None:
        races = self.dice.random() < self.racing and self.steps and self.at_ms >= self.busy_until_ms
        self.at_ms += self.dice.randint(0, RACE_MS) if races else self.dice.randint(160, 320)
        self.at_ms = max(self.at_ms, self.busy_until_ms)

    def another(self, leg: str) -> str:
        return self.dice.choice([other for other in self.legs if other != leg] or ["B"])

    def any_leg(self) -> str:
        leg = self.dice.choice(self.legs)
        if leg in self.loops and self.dice.random() < 0.15:
            return leg + self.dice.choice((".b", ".p"))
        return leg

    def dial(self) -> bool:
        free = [leg for leg in TARGETS if leg not in self.dialled]
        if not free:
            return False
        self.dialled.add(free[0])
        through = self.dice.random() < 0.35
        self.add("dial", free[0], "loopback" if through else "direct")
        self.ringing[free[0]] = self.at_ms
        if through:
            self.loops.add(free[0])
        return True

    def answer(self) -> bool:
        ready = [leg for leg, at_ms in self.ringing.items() if self.at_ms - at_ms > 150]
        if not ready:
            return False
        leg = ready[0]
        del self.ringing[leg]
        if self.dice.random() < 0.12:
            self.add("refuses", leg)
        else:
            self.add("answers", leg)
            self.legs.append(leg)
            # nobody orders a leg before it is known to have answered
            self.busy_until_ms = self.at_ms + 150
        return True

    def step(self) -> None:  # noqa: C901 - a table
        self.wait()
        roll = self.dice.random()
        leg = self.any_leg()
        if roll < 0.14 and self.dial():
            return
        if roll < 0.34 and self.answer():
            return
        other = self.another(leg.partition(".")[0])
        if roll < 0.54:
            self.add("bridge", leg, other)
        elif roll < 0.66:
            self.add("park", leg)
        elif roll < 0.74:
            kinds = ("stays", "limits", "ends", "armed", "armed, and stays", "disarmed")
            kinds += ("armed from the park", "armed from the park")
            self.add("set", leg.partition(".")[0], f"{self.dice.choice(kinds)}:{other}")
        elif roll < 0.80:
            self.add("hangs up", leg.partition(".")[0])
        elif roll < 0.84:
            self.add("kill", leg, self.dice.choice(("NORMAL_CLEARING", "USER_BUSY")))
        elif roll < 0.89:
            self.add("play", leg, self.dice.choice((MUSIC, BEEP)))
        elif roll < 0.91:
            self.add("break", leg)
        elif roll < 0.94:
            self.add("presses", leg.partition(".")[0], self.dice.choice("15#*"))
            self.busy_until_ms = self.at_ms + 450
        else:
            self.add(self.dice.choice(("ivr", "park in place", "park both", "phone")), leg)


def draw(seed: int) -> Program:
    """Draw a program of six to fourteen steps."""
    one = _Draw(seed)
    for leg in ("A", "B"):
        if one.dice.random() < 0.7:
            kind = one.dice.choice(("stays", "stays", "limits", "ends"))
            one.add("set", leg, f"{kind}:")
    one.wait()
    wanted = one.dice.randint(6, 14)
    while len(one.steps) < wanted:
        if one.dice.random() < 0.5 and len(one.legs) < 3 and (one.answer() or one.dial()):
            one.wait()
        else:
            one.step()
    # a leg that rings at the end is left ringing
    return Program(tuple(one.steps))
