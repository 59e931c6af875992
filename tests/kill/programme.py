"""What the people of a round do, drawn from a seed.

A `Plan` is a call of two, a transfer that one of them asks for, and the acts of the three: each has a
moment to wait for (`asked`, `ringing`, `talking`: transferor and target talk) and a pause after it.
The plans are the same for the emulator and for a real switch.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from enum import StrEnum
from random import Random
from typing import Final

import attrs


class Role(StrEnum):
    TRANSFEROR = "transferor"
    TRANSFEREE = "transferee"
    TARGET = "target"


class Way(StrEnum):
    """How a transfer, a takeback or a completion is asked for."""

    DIGITS = "digits"
    HTTP = "HTTP"


class Moment(StrEnum):
    """What an act waits for."""

    ASKED = "asked"
    RINGING = "ringing"
    TALKING = "talking"


class Deed(StrEnum):
    HANGS_UP = "hangs up"
    ANSWERS = "answers"
    TAKES_BACK = "takes back"
    COMPLETES = "completes"


class Target(StrEnum):
    """How the target's phone behaves: the number that is called on the real switch."""

    ANSWERS = "2600"
    NEVER = "2601"
    BUSY = "2602"
    REFUSES = "2603"
    EARLY_MEDIA = "2604"
    LEAVES = "2605"
    MANUAL = "265"
    """With one more digit. Does what the plan says."""


@attrs.frozen
class Act:
    """What somebody does, and when: so long after the moment, or after the act before it."""

    moment: Moment
    after_s: float
    who: Role
    deed: Deed


@attrs.frozen
class Plan:
    """One call, one transfer, and what everybody does."""

    kind: str
    caller_transfers: bool
    """Whether the caller transfers, or the called party."""
    way: Way
    target: Target
    acts: tuple[Act, ...]
    talks_s: float
    """How long the two talk before."""
    begins_s: float
    """When the call is made, from the beginning of the round."""


_A, _B, _C = Role.TRANSFEROR, Role.TRANSFEREE, Role.TARGET

TOGETHER_S: Final = 0.020
"""Between two people who hang up at the same time."""

PAIRS: Final = tuple(itertools.permutations((_A, _B, _C), 2))

KINDS: Final = (
    "complete",
    "two leave in the consultation",
    "partial",
    "takeback in the consultation",
    "two leave in the consultation",
    "target leaves",
    "takeback while ringing",
    "two leave in the consultation",
    "transferee leaves in the consultation",
    "phone that answers",
    "two leave in the consultation",
    "transferee leaves while ringing",
    "transferor leaves at once",
    "phone that fails",
    "two leave in the consultation",
    "completed by a program",
    "target answers and is gone",
    "two leave in the consultation",
    "takeback, and somebody is gone",
    "nobody does anything",
    "two leave while ringing",
    "transferee leaves at once",
    "phone that leaves",
    "completed while ringing",
    "answers in the last moment",
)


class Programme:
    """Draws plans."""

    def __init__(self, seed: int, *, ring_timeout_s: float) -> None:
        self._dice = Random(seed)
        self._ring_timeout_s = ring_timeout_s
        kinds = list(KINDS)
        self._dice.shuffle(kinds)
        self._kinds = itertools.cycle(kinds)
        pairs = list(PAIRS)
        self._dice.shuffle(pairs)
        self._pairs = itertools.cycle(pairs)

    def round(self, size: int, *, over_s: float) -> Iterator[Plan]:
        """The plans of one round."""
        for place in range(size):
            yield self._plan(next(self._kinds), begins_s=over_s * place / size)

    def _plan(self, kind: str, *, begins_s: float) -> Plan:
        dice = self._dice
        target = Target.MANUAL
        if kind == "phone that answers":
            target = dice.choice((Target.ANSWERS, Target.EARLY_MEDIA))
        elif kind == "phone that fails":
            target = dice.choice((Target.NEVER, Target.BUSY, Target.REFUSES))
        elif kind == "phone that leaves":
            target = Target.LEAVES
        return Plan(
            kind=kind,
            caller_transfers=dice.random() < 0.6,
            way=dice.choice((Way.DIGITS, Way.HTTP, Way.HTTP)),
            target=target,
            acts=self._acts(kind),
            talks_s=dice.uniform(0.3, 1.5),
            begins_s=begins_s,
        )

    def _acts(self, kind: str) -> tuple[Act, ...]:
        soon = self._dice.uniform
        answers = Act(Moment.RINGING, soon(0.2, 3.0), _C, Deed.ANSWERS)
        talking, ringing, asked = Moment.TALKING, Moment.RINGING, Moment.ASKED
        match kind:
            case "complete":
                return (answers, Act(talking, soon(0, 2.5), _A, Deed.HANGS_UP))
            case "two leave in the consultation":
                one, other = next(self._pairs)
                return (
                    answers,
                    Act(talking, soon(0, 2.0), one, Deed.HANGS_UP),
                    Act(talking, TOGETHER_S, other, Deed.HANGS_UP),
                )
            case "two leave while ringing":
                one, other = self._dice.choice(((_A, _B), (_B, _A)))
                return (
                    Act(ringing, soon(0, 2.0), one, Deed.HANGS_UP),
                    Act(ringing, TOGETHER_S, other, Deed.HANGS_UP),
                )
            case "partial":
                return (
                    Act(ringing, soon(0, 2.0), _A, Deed.HANGS_UP),
                    attrs.evolve(answers, after_s=soon(0, 3.0)),
                )
            case "takeback while ringing":
                return (Act(ringing, soon(0, 2.5), _A, Deed.TAKES_BACK),)
            case "takeback in the consultation":
                return (answers, Act(talking, soon(0, 2.0), _A, Deed.TAKES_BACK))
            case "takeback, and somebody is gone":
                return (
                    answers,
                    Act(talking, soon(0, 2.0), _A, Deed.TAKES_BACK),
                    Act(talking, soon(0, 0.1), self._dice.choice((_A, _B, _C)), Deed.HANGS_UP),
                )
            case "target leaves":
                return (answers, Act(talking, soon(0, 2.0), _C, Deed.HANGS_UP))
            case "target answers and is gone":
                return (answers, Act(ringing, soon(0, 0.15), _C, Deed.HANGS_UP))
            case "transferee leaves in the consultation":
                return (answers, Act(talking, soon(0, 2.0), _B, Deed.HANGS_UP))
            case "transferee leaves while ringing":
                return (
                    Act(ringing, soon(0, 2.0), _B, Deed.HANGS_UP),
                    attrs.evolve(answers, after_s=soon(0, 2.0)),
                )
            case "transferor leaves at once":
                return (Act(asked, soon(0, 0.4), _A, Deed.HANGS_UP), answers)
            case "transferee leaves at once":
                return (Act(asked, soon(0, 0.4), _B, Deed.HANGS_UP), answers)
            case "completed by a program":
                return (answers, Act(talking, soon(0, 2.0), _A, Deed.COMPLETES))
            case "completed while ringing":
                return (
                    Act(ringing, soon(0, 1.5), _A, Deed.COMPLETES),
                    attrs.evolve(answers, after_s=soon(0, 2.0)),
                )
            case "answers in the last moment":
                around_s = self._ring_timeout_s + soon(-1.5, 0.3)
                return (Act(ringing, around_s, _C, Deed.ANSWERS),)
            case "nobody does anything":
                return (answers,)
            case "phone that answers":
                return (Act(talking, soon(0, 2.0), _A, Deed.HANGS_UP),)
            case _:  # the phone does all that happens
                return ()


@attrs.frozen
class Blow:
    """What happens to the service, and when: after so long of work."""

    after_s: float
    how: str
    """`kill`, `cut`, `freeze`, or `overload`: killed while the switch has too much to do."""
    away_s: float
    """How long until it is started again, or goes on."""


class Blows:
    """Draws blows: most restarts come soon, a few only after 10 s."""

    def __init__(
        self,
        seed: int,
        *,
        hows: tuple[str, ...] = ("kill",),
        freeze_s: float = 30.0,
        pace: float = 1.0,
    ) -> None:
        self._dice = Random(f"blows {seed}")
        self._hows = hows
        self._freeze_s = freeze_s
        self._pace = pace

    def next(self) -> Blow:
        dice = self._dice
        how = dice.choice(self._hows)
        work_s = dice.choice((dice.uniform(0, 0.5), dice.uniform(0, 2.5), dice.uniform(0, 5)))
        away_s = dice.choice((0.0, dice.uniform(0, 2), dice.uniform(0, 3), dice.uniform(0, 10)))
        return Blow(
            after_s=work_s * self._pace,
            how=how,
            away_s=self._freeze_s if how == "freeze" else away_s * self._pace,
        )
