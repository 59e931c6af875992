"""A scene: one running check in a lab, with its commands and observations.

Several checks may share a lab. Each has a scene of its own, which sees only the facts of its own
legs. `Scene.review` checks all of them against the rules of `hookflash.events`; `Scene.agree`
compares them with the snapshot and with the answer to `Look`, which must agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import Any, Final, TypeVar

import attrs
import trio

from hookflash import commands as c
from hookflash import events as e
from hookflash.backends.base import Capabilities, LegSnapshot
from hookflash.testing.lab import Lab
from hookflash.testing.reported import (
    TIMEOUT_S,
    Log,
    NamedLegs,
    ReportedLeg,
    legs_of,
    reported,
    require,
)
from hookflash.testing.rules import review_leg

PERFORM_S: Final = 1.0
"""How long `perform` may take: it does not wait for the effect."""

TALK_S: Final = 0.3
"""How long two parties talk at least, as people do. A hang-up within 50 ms of a reported join can
leave the other leg out of reach (seen on FreeSWITCH 1.10.12, on a busy machine)."""

A_WHILE_S: Final = 1.0
"""How long a check watches for a forbidden event: a switch needs 40 ms."""

FAILSAFE_S: Final = 4.0
"""How long a check watches for a forbidden failsafe: FreeSWITCH waits two seconds."""

END, PARK = c.Afterwards.END, c.Afterwards.PARK

_STEP_S: Final = 0.05
"""How often a check polls what is not reported."""


Fact = TypeVar("Fact", bound=e.CallEvent)


class Scene:
    """One running check: its legs, its commands, and the events about its legs."""

    def __init__(self, lab: Lab, log: Log, name: str, lock: trio.Lock) -> None:
        self.lab = lab
        self.backend = lab.backend
        self.can: Capabilities = lab.backend.capabilities
        self.name = name
        """The prefix of its targets' and transfers' names."""
        self.legs: dict[e.LegId, None] = {}
        self.ordered: list[c.SwitchCommand] = []
        self.pressed: list[tuple[e.LegId, str]] = []
        self.left: set[e.LegId] = set()
        """Legs whose parties have hung up."""
        self.unchecked: dict[str, str] = {}
        self.is_raced = False
        """Whether a party may hang up at the moment of a command, which may then be refused."""
        self.was_cut = False
        """Whether the connection was cut: then every fact is reported again."""
        self._log = log
        self._calls = lock
        self._numbers = count(1)
        self._own: list[tuple[int, e.CallEvent]] = []
        """The scene's part of the log, up to `_sorted`, for the first `_sorted_for` legs."""
        self._sorted_for = 0
        self._begin = self._sorted = len(log.events)
        self._read = self._begin
        self._spent: set[int] = set()
        self._failures: list[c.SwitchCommand] = []

    # ------------------------------------------------------------------- events

    def facts(self, begin: int | None = None) -> Iterator[tuple[int, e.CallEvent]]:
        """The events about this scene's legs, with their positions in the log."""
        if self._sorted_for != len(self.legs):  # a new leg of ours may have earlier events
            self._own.clear()
            self._sorted_for, self._sorted = len(self.legs), self._begin
        for index in range(self._sorted, len(self._log.events)):
            event = self._log.events[index]
            legs = legs_of(event)
            if not legs or any(leg in self.legs for leg in legs):
                self._own.append((index, event))
        self._sorted = len(self._log.events)
        return iter([own for own in self._own if begin is None or own[0] >= begin])

    def news(self) -> list[e.CallEvent]:
        """The events since `forget`."""
        return [event for _, event in self.facts(self._read)]

    def forget(self) -> None:
        """From now on earlier events prove nothing."""
        self._read = len(self._log.events)

    async def proof(
        self,
        kind: type[Fact],
        promise: str,
        *,
        within_s: float | None = None,
        **fields: Any,
    ) -> Fact:
        """Wait for a fact that has not served as a proof before.

        Args:
            kind: its class.
            promise: the promise in words.
            within_s: how long it may take; by default, the lab's time for every command.
            fields: its required fields.
        """
        with trio.move_on_after(self.lab.prompt_s if within_s is None else within_s):
            while True:
                for index, event in self.facts(self._read):
                    if (
                        index not in self._spent
                        and isinstance(event, kind)
                        and all(getattr(event, name) == value for name, value in fields.items())
                    ):
                        self._spent.add(index)
                        return event
                await self._log.more()
        raise AssertionError(f"{promise}: no {kind.__name__} {fields}, but {self.news()[-10:]}")

    async def joined(
        self, one: e.LegId, other: e.LegId, promise: str, *, within_s: float | None = None
    ) -> None:
        """Wait until two legs are joined, in either order."""
        with trio.move_on_after(self.lab.prompt_s if within_s is None else within_s):
            while True:
                for index, event in self.facts(self._read):
                    is_theirs = isinstance(event, e.LegsJoined) and index not in self._spent
                    if is_theirs and set(legs_of(event)) == {one, other}:
                        self._is_past(index, {one, other})
                        return
                await self._log.more()
        raise AssertionError(f"{promise}: never joined, but {self.news()[-10:]}")

    def _is_past(self, index: int, legs: set[e.LegId]) -> None:
        """From now on the events of two legs before their join prove nothing."""
        self._spent |= {
            place for place, event in self.facts() if place <= index and legs >= {*legs_of(event)}
        }

    async def failed(self, command: c.SwitchCommand, promise: str) -> None:
        """Wait until a command fails."""
        self._failures.append(command)
        failed = await self.proof(e.CommandFailed, promise)
        require(failed.command == command, "CommandFailed carries the unchanged command")

    async def watch(self, for_s: float, promise: str, *kinds: type[e.CallEvent]) -> None:
        """Require that no event of these kinds is reported for a while."""
        begin = len(self._log.events)
        await trio.sleep(for_s)
        came = [event for _, event in self.facts(begin) if isinstance(event, kinds)]
        require(not came, f"{promise}, but {came}")

    # ------------------------------------------------------------------- actions

    async def call(self) -> tuple[e.LegId, e.LegId]:
        """Place a call, and wait until it is reported."""
        async with self._calls:  # a lab may recognize a new call by its new legs
            legs = await self.lab.call()
        self.legs |= dict.fromkeys(legs)
        await self.joined(*legs, "an ordinary call is reported")
        return legs

    async def part(self, **marks: Any) -> tuple[e.LegId, e.LegId]:
        """Place a call, and split it."""
        legs = await self.call()
        await self.split(*legs, **marks)
        return legs

    async def split(self, first: e.LegId, second: e.LegId, **marks: Any) -> None:
        """Split a pair, and wait until both legs are parked."""
        await self.perform(c.Split(first=first, second=second, **marks))
        await self.proof(e.LegParked, "Split parks the first", leg=first)
        await self.proof(e.LegParked, "Split parks the second", leg=second)

    async def join(
        self,
        first: e.LegId,
        second: e.LegId,
        afterwards: c.Afterwards,
        promise: str = "Join joins",
        **fields: Any,
    ) -> None:
        """Join two legs, and wait until they hear each other."""
        await self.perform(c.Join(first=first, second=second, afterwards=afterwards, **fields))
        await self.joined(first, second, promise)

    async def dial(
        self,
        on_behalf_of: e.LegId,
        *,
        number: str = "",
        ring_timeout_s: float = 15.0,
        transfer: str = "",
    ) -> e.LegId:
        """Call a target, and wait until its leg is created."""
        leg = f"{self.name}-target-{next(self._numbers)}"
        self.legs[leg] = None
        await self.perform(
            c.Dial(
                leg=leg,
                target=number or self.lab.answering,
                on_behalf_of=on_behalf_of,
                ring_timeout_s=ring_timeout_s,
                transfer=transfer,
            )
        )
        await self.proof(e.LegCreated, "Dial creates the leg with the given id", leg=leg)
        return leg

    async def target(self, on_behalf_of: e.LegId) -> e.LegId:
        """Call a target, and wait until it has answered and is parked."""
        leg = await self.dial(on_behalf_of)
        await self.proof(e.LegAnswered, "Dial reports the answer", within_s=TIMEOUT_S, leg=leg)
        await self.proof(e.LegParked, "Dial parks the answered leg", leg=leg)
        return leg

    async def perform(self, *commands: c.SwitchCommand) -> None:
        """Send commands, each of which must be accepted at once."""
        for command in commands:
            self.ordered.append(command)
            with trio.move_on_after(PERFORM_S):
                await self.backend.perform(command)
                continue
            raise AssertionError(f"perform does not wait for the effect: {command}")

    async def hang_up(self, leg: e.LegId) -> None:
        """Let a party hang up."""
        self.left.add(leg)
        await self.lab.hang_up(leg)

    async def press(self, leg: e.LegId, digit: str) -> None:
        """Let a party press a key."""
        self.pressed.append((leg, digit))
        await self.lab.press(leg, digit)

    async def look(self, *legs: e.LegId) -> NamedLegs[LegSnapshot]:
        """Ask where legs are."""
        look = c.Look(legs=legs, transfer=self.name, number=next(self._numbers))
        await self.perform(look)
        seen = await self.proof(e.LegsSeen, "Look is answered", look=look)
        return NamedLegs({leg.leg: leg for leg in seen.living})

    async def living(self) -> NamedLegs[LegSnapshot]:
        """This scene's legs in the snapshot."""
        with trio.move_on_after(self.lab.prompt_s):
            living = await self.backend.snapshot()
            require(
                len({leg.leg for leg in living}) == len(living), "the snapshot has no leg twice"
            )
            return NamedLegs({leg.leg: leg for leg in living if leg.leg in self.legs})
        raise AssertionError("the switch answers: no snapshot")

    async def eventually(self, leg: e.LegId, promise: str, **fields: object) -> None:
        """Wait until the snapshot shows a leg with these fields."""
        living: NamedLegs[LegSnapshot] = NamedLegs()
        with trio.move_on_after(self.lab.prompt_s):
            while True:
                living = await self.living()
                if leg in living and all(
                    getattr(living[leg], name) == value for name, value in fields.items()
                ):
                    return
                await trio.sleep(_STEP_S)
        raise AssertionError(f"{promise}: not {fields}, but {living.get(leg)}")

    def skip(self, promise: str, why: str) -> None:
        """Note that a promise is not checked."""
        self.unchecked[promise] = why

    # ------------------------------------------------------------------- requirements

    def said(self) -> NamedLegs[ReportedLeg]:
        """The state of each living leg according to the facts."""
        return reported(fact for _, fact in self.facts())

    def _seen(self, leg: LegSnapshot) -> ReportedLeg:
        return ReportedLeg(
            number=leg.number,
            direction=leg.direction,
            answered=leg.answered,
            parked=leg.parked,
            peer=leg.peer,
            hears=leg.parked and leg.hears is not None,
        )

    def _comparable(self, legs: dict[e.LegId, ReportedLeg]) -> dict[e.LegId, ReportedLeg]:
        return {
            leg: said._replace(hears=said.parked and said.hears and self.can.lists_sounds)
            for leg, said in legs.items()
        }

    async def agree(self) -> None:
        """Require that facts, snapshot and the answer to `Look` agree."""
        facts: object = None
        seen: object = None
        with trio.move_on_after(self.lab.prompt_s):
            while True:
                seen = self._comparable(
                    {leg: self._seen(living) for leg, living in (await self.living()).items()}
                )
                facts = self._comparable(self.said())
                if facts == seen:
                    break
                await trio.sleep(_STEP_S)
        require(facts == seen, f"facts and snapshot agree: {facts}, but {seen}")
        asked = living = None
        with trio.move_on_after(self.lab.prompt_s):
            while True:  # more may happen between the two queries
                asked = await self.look(*self.legs)
                living = await self.living()
                if asked == living:
                    break
                await trio.sleep(_STEP_S)
        require(asked == living, f"Look and snapshot agree: {asked}, but {living}")

    def review(self) -> None:
        """Check all events against the rules of `hookflash.events`."""
        for leg in self.legs:
            review_leg(
                leg,
                [fact for _, fact in self.facts() if leg in legs_of(fact)],
                ordered=self.ordered,
                pressed=self.pressed,
                numbers_keys=self.can.numbers_keys,
                was_cut=self.was_cut,
            )
        strangers = [
            event
            for _, event in self.facts()
            if isinstance(event, e.LegsJoined | e.LegsSeparated | e.LegsReleased)
            and not all(leg in self.legs for leg in legs_of(event))
        ]
        require(not strangers, f"no leg is joined with a stranger, but {strangers}")
        failed = [fact.command for _, fact in self.facts() if isinstance(fact, e.CommandFailed)]
        often = [command for command in failed if failed.count(command) > 1]
        require(not often, f"a command fails once, but {often}")
        unexpected = [command for command in failed if command not in self._failures]
        unexpected = [] if self.is_raced else unexpected
        require(not unexpected, f"a possible command is not refused, but {unexpected}")
        looks = Counter(event.look for _, event in self.facts() if isinstance(event, e.LegsSeen))
        twice = [look for look, times in looks.items() if times > 1]
        require(not twice, f"a question is answered once, but {twice}")
        if not self.was_cut:
            line = [
                fact for _, fact in self.facts() if isinstance(fact, e.SwitchLost | e.SwitchFound)
            ]
            require(not line, f"a connection that stays up is neither lost nor found, but {line}")

    async def clear(self) -> None:
        """Hang up all remaining legs."""
        living = await self.living()
        for leg in living:
            await self.perform(c.HangUp(leg=leg))
        with trio.move_on_after(self.lab.prompt_s):
            while await self.living() or self.said():  # noqa: ASYNC110 - a snapshot has no event
                await trio.sleep(_STEP_S)
            return
        raise AssertionError(f"HangUp ends a leg: {await self.living()}, reported {self.said()}")


@attrs.frozen(eq=False)
class Check:
    """One check of a backend."""

    promise: str
    run: Any
    needs: tuple[str, ...] = ()
    """The capabilities that it requires."""
    is_alone: bool = False
    """Whether it disturbs other checks in the same lab."""
