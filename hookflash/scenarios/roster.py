"""The roster: the party on each leg, and events in the terms of a script's `when`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from hookflash import events as e
from hookflash.engine.record import Record

HAPPENINGS: Final[Mapping[type[e.CallEvent], str]] = {
    e.LegProgressed: "rings",
    e.LegAnswered: "answers",
    e.LegParked: "is parked",
    e.LegHungUp: "hangs up",
    e.SoundStarted: "hears a sound",
    e.SoundStopped: "hears it no more",
}
"""The name of a fact about one party."""


class Roster:
    """The parties and their legs."""

    def __init__(self, numbers: Mapping[str, str]) -> None:
        """Begin without calls.

        Args:
            numbers: the party of each number; with `@` and an account, of that account only.
        """
        self._numbers = numbers
        self.legs: dict[str, e.LegId] = {}
        """The leg of each party that talks, or whose phone rings."""
        self.names: dict[e.LegId, str] = {}
        """The party on each leg, current or past."""

    def seat(self, names: Iterable[str], legs: Iterable[e.LegId]) -> None:
        """Note the parties on these legs."""
        for name, leg in zip(names, legs, strict=True):
            self.legs[name] = leg
            self.names[leg] = name

    def note(self, fact: e.CallEvent) -> tuple[str, ...]:
        """Note a fact, and name it in the terms of `when`."""
        if isinstance(fact, e.LegCreated) and not _is_far(fact):
            own = self._numbers.get(f"{fact.number}@{fact.account}")
            name = own or self._numbers.get(fact.number)
            self.seat([name] if name else [], [fact.leg] if name else [])
        words = tuple(self._words(fact))
        if isinstance(fact, e.LegHungUp):
            name = self.names.get(fact.leg, "")
            if self.legs.get(name) == fact.leg:
                del self.legs[name]
        return words

    def _words(self, fact: e.CallEvent) -> Iterator[str]:
        if isinstance(fact, e.LegsJoined):
            one, other = self.names.get(fact.first), self.names.get(fact.second)
            yield f"{one} and {other} talk"
            yield f"{other} and {one} talk"
        elif type(fact) in HAPPENINGS:
            leg: e.LegId = getattr(fact, "leg", "")
            yield f"{self.names.get(leg)} {HAPPENINGS[type(fact)]}"


def words_of(record: Record) -> tuple[str, ...]:
    """A record in the terms of `when`."""
    if record.after is None or record.after is record.before:
        return ()
    return (f"the transfer is {record.after.value}",)


def _is_far(leg: e.LegCreated) -> bool:
    """Whether the number is the caller's, because the switch is only calling itself."""
    return bool(leg.other_half) and leg.direction is e.Direction.INBOUND
