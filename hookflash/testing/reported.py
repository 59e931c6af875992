"""What a backend has reported: the log of its events, and the resulting state of each leg."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple, TypeVar

import trio

from hookflash import events as e
from hookflash.testing.lab import Lab

TIMEOUT_S: Final = 20.0
"""How long a check waits for slow events: an answer, a failsafe, a reconnection."""


def require(kept: bool, promise: str) -> None:  # noqa: FBT001 - a fact, not a switch
    """Raise `AssertionError` with a promise that was not kept."""
    if not kept:
        raise AssertionError(promise)


def legs_of(event: e.CallEvent) -> tuple[e.LegId, ...]:
    """Name the legs that an event is about."""
    match event:
        case e.LegsJoined() | e.LegsSeparated() | e.LegsReleased():
            return (event.first, event.second)
        case e.LegsSeen():
            return event.look.legs
        case e.CommandFailed():
            return legs_ordered(event.command)
        case e.SwitchLost() | e.SwitchFound():
            return ()
        case _:
            return (event.leg,)


def legs_ordered(command: object) -> tuple[e.LegId, ...]:
    """Name the legs that a command is about."""
    named = (getattr(command, name, ()) for name in ("leg", "first", "second", "legs"))
    return tuple(
        leg for legs in named for leg in ((legs,) if isinstance(legs, str) else tuple(legs))
    )


class Log:
    """All events of a backend since its lab was opened."""

    def __init__(self) -> None:
        self.events: list[e.CallEvent] = []
        self._more = trio.Event()

    async def listen(self, lab: Lab) -> None:
        """Record the backend's events, until cancelled."""
        async for event in lab.backend.events():
            self.events.append(event)
            self._more.set()
            self._more = trio.Event()

    async def more(self) -> None:
        """Wait for the next event."""
        await self._more.wait()

    async def found(self) -> None:
        """Wait for the first `SwitchFound`."""
        promise = "the facts about living legs come first, then SwitchFound"
        with trio.move_on_after(TIMEOUT_S):
            while not any(isinstance(event, e.SwitchFound) for event in self.events):
                await self.more()
            return
        raise AssertionError(f"{promise}: no SwitchFound, but {self.events[-10:]}")


class ReportedLeg(NamedTuple):
    """A leg's state according to its facts."""

    number: str
    direction: e.Direction
    answered: bool = False
    parked: bool = False
    peer: e.LegId | None = None
    hears: bool = False


Leg = TypeVar("Leg")


class NamedLegs(dict[e.LegId, Leg]):
    """The living legs."""

    def __missing__(self, leg: e.LegId) -> Leg:
        """Name the missing leg."""
        raise AssertionError(f"{leg} is expected to live, but only these legs are known: {[*self]}")


def reported(facts: Iterable[e.CallEvent]) -> NamedLegs[ReportedLeg]:  # noqa: C901, PLR0912 - one case for each fact
    """The state of each living leg according to these facts."""
    legs: NamedLegs[ReportedLeg] = NamedLegs()

    def alter(leg: e.LegId, **changes: object) -> None:
        if leg in legs:
            legs[leg] = legs[leg]._replace(**changes)

    for event in facts:
        match event:
            case e.LegCreated(leg=leg, number=number, direction=direction):
                legs.setdefault(
                    leg,
                    ReportedLeg(
                        number, direction, answered=False, parked=False, peer=None, hears=False
                    ),
                )
            case e.LegIdentified(leg=leg, number=number) if number:
                alter(leg, number=number)
            case e.LegAnswered(leg=leg):
                alter(leg, answered=True)
            case e.LegParked(leg=leg):
                alter(leg, parked=True, peer=None)
            case e.LegMovedAway(leg=leg):
                alter(leg, parked=False, peer=None, hears=False)
            case e.LegsJoined(first=first, second=second):
                alter(first, parked=False, peer=second, hears=False)
                alter(second, parked=False, peer=first, hears=False)
            case e.LegsSeparated(first=first, second=second):
                for leg, other in ((first, second), (second, first)):
                    if leg in legs and legs[leg].peer == other:
                        alter(leg, peer=None)
            case e.SoundStarted(leg=leg):
                alter(leg, hears=True)
            case e.SoundStopped(leg=leg):
                alter(leg, hears=False)
            case e.LegHungUp(leg=leg):
                legs.pop(leg, None)
                for other in [other for other, said in legs.items() if said.peer == leg]:
                    alter(other, peer=None)
            case _:
                pass
    return legs
