"""What the people of a round do, drawn from a seed.

A `Plan` is a call of two, a transfer that one of them asks for, and the acts of the three: each has
a moment to wait for (`asked`, `ringing`, `talking`: transferor and target talk) and a pause after.
The plans are the same for the emulator and for a real switch.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from enum import StrEnum
from random import Random
from typing import Final

import attrs

from hookflash.scenarios.script import (
    ANSWERS,
    ASKS_COMPLETE,
    ASKS_SWAP,
    ASKS_TAKEBACK,
    HANGS_UP,
    Verb,
)


class Role(StrEnum):
    TRANSFEROR = "transferor"
    TRANSFEREE = "transferee"
    TARGET = "target"
    RECALLED = "recalled transferor"
    """Who has left, and is called back: by another phone, for the harness."""


class Way(StrEnum):
    """How a transfer, a takeback or a completion is asked for."""

    DIGITS = "digits"
    HTTP = "HTTP"


class Moment(StrEnum):
    """What an act waits for."""

    ASKED = "asked"
    RINGING = "ringing"
    TALKING = "talking"
    RECALLED = "recalled"


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
    verb: Verb


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
    "swap",
    "swap while ringing",
    "recall",
    "recall that nobody answers",
    "recall that the transferee does not wait for",
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
        elif kind.startswith("recall"):
            target = Target.REFUSES  # it rings a little before
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
        acts = self._table().get(kind)
        return () if acts is None else acts()  # without any, the phone does all that happens

    def _table(self) -> dict[str, Callable[[], tuple[Act, ...]]]:
        """What is done, by the kind of a plan."""
        soon = self._dice.uniform
        talking, ringing, asked = Moment.TALKING, Moment.RINGING, Moment.ASKED

        def leaves(who: Role, when: Moment, *, most_s: float = 2.0) -> Act:
            return Act(when, soon(0, most_s), who, HANGS_UP)

        def answers(*, most_s: float = 3.0) -> Act:
            return Act(ringing, soon(0.2, most_s), _C, ANSWERS)

        def together(when: Moment, pair: tuple[Role, Role]) -> tuple[Act, Act]:
            one, other = pair
            return leaves(one, when), Act(when, TOGETHER_S, other, HANGS_UP)

        def takes_back(when: Moment) -> Act:
            return Act(when, soon(0, 2.0), _A, ASKS_TAKEBACK)

        def asks(when: Moment, verb: Verb) -> Act:
            return Act(when, soon(0, 1.5), _A, verb)

        def late() -> Act:
            return Act(ringing, self._ring_timeout_s + soon(-1.5, 0.3), _C, ANSWERS)

        def anybody() -> Role:
            return self._dice.choice((_A, _B, _C))

        def recalled() -> Act:
            return Act(Moment.RECALLED, soon(0, 3.0), Role.RECALLED, ANSWERS)

        def callers() -> tuple[Role, Role]:
            return self._dice.choice(((_A, _B), (_B, _A)))

        return {
            "complete": lambda: (answers(), leaves(_A, talking)),
            "two leave in the consultation": lambda: (
                answers(),
                *together(talking, next(self._pairs)),
            ),
            "two leave while ringing": lambda: together(ringing, callers()),
            "partial": lambda: (leaves(_A, ringing), answers()),
            "takeback while ringing": lambda: (takes_back(ringing),),
            "takeback in the consultation": lambda: (answers(), takes_back(talking)),
            "takeback, and somebody is gone": lambda: (
                answers(),
                takes_back(talking),
                leaves(anybody(), talking, most_s=0.1),
            ),
            "target leaves": lambda: (answers(), leaves(_C, talking)),
            "target answers and is gone": lambda: (answers(), leaves(_C, ringing, most_s=0.15)),
            "transferee leaves in the consultation": lambda: (answers(), leaves(_B, talking)),
            "transferee leaves while ringing": lambda: (leaves(_B, ringing), answers()),
            "transferor leaves at once": lambda: (leaves(_A, asked, most_s=0.4), answers()),
            "transferee leaves at once": lambda: (leaves(_B, asked, most_s=0.4), answers()),
            "completed by a program": lambda: (answers(), asks(talking, ASKS_COMPLETE)),
            "completed while ringing": lambda: (asks(ringing, ASKS_COMPLETE), answers()),
            "answers in the last moment": lambda: (late(),),
            "nobody does anything": lambda: (answers(),),
            "phone that answers": lambda: (leaves(_A, talking),),
            "swap": lambda: (
                answers(),
                asks(talking, ASKS_SWAP),
                Act(Moment.ASKED, soon(0, 2.0), anybody(), HANGS_UP),
            ),
            "swap while ringing": lambda: (
                asks(ringing, ASKS_SWAP),
                answers(),
                Act(Moment.ASKED, soon(0, 2.0), anybody(), HANGS_UP),
            ),
            "recall": lambda: (leaves(_A, ringing, most_s=0.5), recalled()),
            "recall that nobody answers": lambda: (leaves(_A, ringing, most_s=0.5),),
            "recall that the transferee does not wait for": lambda: (
                leaves(_A, ringing, most_s=0.5),
                leaves(_B, Moment.RECALLED),
            ),
        }


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
        work_s = dice.choice(
            (
                dice.uniform(0, 0.5),
                dice.uniform(0, 2.5),
                dice.uniform(0, 5),
                dice.uniform(4, 8),  # at a pace of 0.3, time to dial a feature code
            )
        )
        away_s = dice.choice((0.0, dice.uniform(0, 2), dice.uniform(0, 3), dice.uniform(0, 10)))
        return Blow(
            after_s=work_s * self._pace,
            how=how,
            away_s=self._freeze_s if how == "freeze" else away_s * self._pace,
        )
