"""What became of a program's legs, in names that the real switch and the simulated one share."""

from __future__ import annotations

from typing import Final

import attrs

from hookflash.backends.freeswitch.sounds import path_heard
from hookflash.events import (
    CallEvent,
    DigitPressed,
    LegAnswered,
    LegCreated,
    LegHungUp,
    LegId,
    LegParked,
    LegProgressed,
    LegsJoined,
    LegsSeparated,
    SoundStarted,
    SoundStopped,
)

_SIMPLE: Final[dict[type, str]] = {
    LegAnswered: "answers",
    LegParked: "is parked",
}


@attrs.frozen
class AtRest:
    """A leg that lives at the end."""

    peer: str
    variables: tuple[tuple[str, str], ...]


@attrs.frozen
class Outcome:
    """Each leg's facts in their order, and what lives at the end."""

    facts: dict[str, tuple[str, ...]]
    rest: dict[str, AtRest]

    def as_json(self) -> dict[str, object]:
        return {
            "facts": {leg: list(facts) for leg, facts in self.facts.items()},
            "rest": {leg: [rest.peer, dict(rest.variables)] for leg, rest in self.rest.items()},
        }

    @classmethod
    def from_json(cls, text: dict[str, dict[str, list[object]]]) -> Outcome:
        rest: dict[str, AtRest] = {}
        for leg, (peer, variables) in text["rest"].items():
            assert isinstance(variables, dict)
            pairs = sorted((str(name), str(value)) for name, value in variables.items())  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            rest[leg] = AtRest(str(peer), tuple(pairs))
        facts = {leg: tuple(map(str, told)) for leg, told in text["facts"].items()}
        return cls(facts, rest)

    def against(self, other: Outcome) -> list[str]:
        """Where the two differ, one line each."""
        lines: list[str] = []
        for leg in sorted(self.facts.keys() | other.facts.keys()):
            mine, theirs = self.facts.get(leg, ()), other.facts.get(leg, ())
            if mine != theirs:
                lines.append(f"{leg}: {' · '.join(mine)}   BUT   {' · '.join(theirs)}")
        for leg in sorted(self.rest.keys() | other.rest.keys()):
            one, two = self.rest.get(leg), other.rest.get(leg)
            if one != two:
                lines.append(f"{leg} at rest: {_said(one, two)}   BUT   {_said(two, one)}")
        return lines


def _said(rest: AtRest | None, beside: AtRest | None) -> str:
    if rest is None:
        return "gone"
    known = set(beside.variables) if beside else set[tuple[str, str]]()
    told = [f"{name}={value}" for name, value in rest.variables if (name, value) not in known]
    return " ".join([f"with {rest.peer or 'nobody'}", *told])


class Names:
    """What the legs of one program are called."""

    def __init__(self, known: dict[LegId, str]) -> None:
        self.by_leg = dict(known)

    @property
    def by_name(self) -> dict[str, LegId]:
        return {name: leg for leg, name in self.by_leg.items()}

    def learn(self, leg: LegId, other_half: LegId, called_for: LegId) -> bool:
        """Name a leg after that to which it belongs; false if that is none of ours."""
        if leg in self.by_leg:
            return True
        if other_half in self.by_leg:
            self.by_leg[leg] = f"{self.by_leg[other_half]}.b"
            return True
        if called_for in self.by_leg:
            caller = self.by_leg[called_for]
            if caller.endswith(".b"):
                name = f"{caller[:-2]}.p"
            else:
                calls = sum(other.startswith(f"{caller}>") for other in self.by_leg.values())
                name = f"{caller}>{calls + 1}"
            self.by_leg[leg] = name if name not in self.by_leg.values() else f"{name}'"
            return True
        return False

    def of(self, leg: LegId) -> str:
        return self.by_leg.get(leg, leg and "?")

    def in_text(self, text: str) -> str:
        for leg, name in self.by_leg.items():
            text = text.replace(leg, name)
        return text


class Told:
    """The facts of one program, leg by leg, in the order in which they came."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.facts: dict[str, list[str]] = {}

    def hear(self, event: CallEvent) -> None:
        of = self.names.of
        match event:
            case LegsJoined(first=first, second=second):
                self._add(first, f"joins {of(second)}")
                self._add(second, f"is joined by {of(first)}")
            case LegsSeparated(first=first, second=second):
                self._add(first, f"parts from {of(second)}")
                self._add(second, f"is parted from {of(first)}")
            case LegCreated(leg=leg, direction=direction):
                self._add(leg, f"is created {direction.value}")
            case LegProgressed(leg=leg, early_media=early):
                self._add(leg, "is early" if early else "rings")
            case SoundStarted(leg=leg, sound=sound):
                self._add(leg, f"plays {path_heard(sound)}")
            case SoundStopped(leg=leg, sound=sound):
                self._add(leg, f"stops {path_heard(sound)}")
            case DigitPressed(leg=leg, digit=digit):
                self._add(leg, f"presses {digit}")
            case LegHungUp(leg=leg, cause=cause):
                self._add(leg, f"hangs up {cause}")
            case LegAnswered(leg=leg) | LegParked(leg=leg):
                self._add(leg, _SIMPLE[type(event)])
            case _:
                pass

    def _add(self, leg: LegId, text: str) -> None:
        self.facts.setdefault(self.names.of(leg), []).append(text)

    def outcome(self, rest: dict[str, AtRest]) -> Outcome:
        return Outcome({leg: tuple(told) for leg, told in self.facts.items()}, rest)
