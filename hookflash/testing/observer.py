"""A scene: one check at work in a lab, what it orders, and what it sees.

Several checks may share a lab. Each has a scene of its own, which sees only the facts of its own
legs. `Scene.review` holds all of them to the rules of `hookflash.events`; `Scene.agree` compares
them with what the switch answers: a backend that keeps its promises tells the same in both ways.
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
"""How long two talk at least. People do; and a hang-up within 50 ms of the news of a join can leave
the other leg out of reach (seen on FreeSWITCH 1.10.12, on a busy machine)."""

A_WHILE_S: Final = 1.0
"""How long a check watches whether something happens that must not: a switch needs 40 ms."""

FAILSAFE_S: Final = 4.0
"""How long a check watches whether a failsafe acts that must not: FreeSWITCH waits two seconds."""

_STEP_S: Final = 0.05
"""How often a check asks for what is not reported."""


Fact = TypeVar("Fact", bound=e.CallEvent)


class Scene:
    """One check at work: its legs, what it ordered, and what it was told of them."""

    def __init__(self, lab: Lab, log: Log, name: str, lock: trio.Lock) -> None:
        self.lab = lab
        self.backend = lab.backend
        self.can: Capabilities = lab.backend.capabilities
        self.name = name
        """What its targets and transfers are named after."""
        self.legs: dict[e.LegId, None] = {}
        self.ordered: list[c.SwitchCommand] = []
        self.pressed: list[tuple[e.LegId, str]] = []
        self.left: set[e.LegId] = set()
        """Legs whose parties have hung up by themselves."""
        self.unchecked: dict[str, str] = {}
        self.is_raced = False
        """Whether somebody may have hung up in the moment of an order: then it may be refused."""
        self.is_retold = False
        """Whether the line was cut: then every fact comes anew."""
        self._log = log
        self._calls = lock
        self._numbers = count(1)
        self._own: list[tuple[int, e.CallEvent]] = []
        """What is ours of the log, sorted out as far as `_sorted`, for so many legs."""
        self._sorted_for = 0
        self._begin = self._sorted = len(log.told)
        self._read = self._begin
        self._spent: set[int] = set()
        self._failures: list[c.SwitchCommand] = []

    # ------------------------------------------------------------------- what is told

    def facts(self, begin: int | None = None) -> Iterator[tuple[int, e.CallEvent]]:
        """Everything that was told of this scene's legs, with its place in the log."""
        if self._sorted_for != len(self.legs):  # what was told of a leg before it became ours
            self._own.clear()
            self._sorted_for, self._sorted = len(self.legs), self._begin
        for index in range(self._sorted, len(self._log.told)):
            event = self._log.told[index]
            legs = legs_of(event)
            if not legs or any(leg in self.legs for leg in legs):
                self._own.append((index, event))
        self._sorted = len(self._log.told)
        return iter([own for own in self._own if begin is None or own[0] >= begin])

    def news(self) -> list[e.CallEvent]:
        """What was told since `forget`."""
        return [event for _, event in self.facts(self._read)]

    def forget(self) -> None:
        """What has been told so far proves nothing from now on."""
        self._read = len(self._log.told)

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
            kind: what it is.
            promise: what is promised, in words.
            within_s: how long it may take; by default, as long as the lab says for every order.
            fields: what it must say.
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
        """Wait until two hear each other, whichever of them is named first."""
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
        """What was told of two before they were joined proves nothing from now on."""
        self._spent |= {
            place for place, event in self.facts() if place <= index and legs >= {*legs_of(event)}
        }

    async def failed(self, command: c.SwitchCommand, promise: str) -> None:
        """Wait until a command comes back."""
        self._failures.append(command)
        failed = await self.proof(e.CommandFailed, promise)
        require(failed.command == command, "CommandFailed carries the command as it was given")

    async def watch(self, for_s: float, promise: str, *kinds: type[e.CallEvent]) -> None:
        """Require that for a while nothing of these kinds is told."""
        begin = len(self._log.told)
        await trio.sleep(for_s)
        came = [event for _, event in self.facts(begin) if isinstance(event, kinds)]
        require(not came, f"{promise}, but {came}")

    # ------------------------------------------------------------------- what is done

    async def call(self) -> tuple[e.LegId, e.LegId]:
        """Place a call, and see it told."""
        async with self._calls:  # a lab may find a new call by the legs that were not there before
            legs = await self.lab.call()
        self.legs |= dict.fromkeys(legs)
        await self.joined(*legs, "an ordinary call is told")
        return legs

    async def part(self, *, transfer: str = "", kind: str = "") -> tuple[e.LegId, e.LegId]:
        """Place a call, and part the two: both are parked."""
        first, second = await self.call()
        await self.perform(c.Split(first=first, second=second, transfer=transfer, kind=kind))
        await self.proof(e.LegParked, "Split parks the first", leg=first)
        await self.proof(e.LegParked, "Split parks the second", leg=second)
        return first, second

    async def dial(
        self,
        on_behalf_of: e.LegId,
        *,
        number: str = "",
        ring_timeout_s: float = 15.0,
        rescue: e.LegId | None = None,
        transfer: str = "",
    ) -> e.LegId:
        """Call somebody, and see the leg begin."""
        leg = f"{self.name}-target-{next(self._numbers)}"
        self.legs[leg] = None
        await self.perform(
            c.Dial(
                leg=leg,
                target=number or self.lab.answering,
                on_behalf_of=on_behalf_of,
                ring_timeout_s=ring_timeout_s,
                rescue=rescue,
                transfer=transfer,
            )
        )
        await self.proof(
            e.LegCreated, "Dial creates the leg under the id that it was given", leg=leg
        )
        return leg

    async def target(self, on_behalf_of: e.LegId) -> e.LegId:
        """A target that has answered, and is parked."""
        leg = await self.dial(on_behalf_of)
        await self.proof(e.LegAnswered, "Dial tells of the answer", within_s=TIMEOUT_S, leg=leg)
        await self.proof(e.LegParked, "Dial parks the leg that has answered", leg=leg)
        return leg

    async def perform(self, *commands: c.SwitchCommand) -> None:
        """Give orders, each of which must be taken at once."""
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
        seen = await self.proof(e.LegsSeen, "Look is answered, and says what was asked", look=look)
        return NamedLegs({leg.leg: leg for leg in seen.living})

    async def living(self) -> NamedLegs[LegSnapshot]:
        """What the snapshot says of this scene's legs."""
        with trio.move_on_after(self.lab.prompt_s):
            living = await self.backend.snapshot()
            require(
                len({leg.leg for leg in living}) == len(living), "the snapshot has no leg twice"
            )
            return NamedLegs({leg.leg: leg for leg in living if leg.leg in self.legs})
        raise AssertionError("the switch answers: no snapshot")

    async def eventually(self, leg: e.LegId, promise: str, **fields: object) -> None:
        """Wait until the snapshot says something of a leg."""
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

    # ------------------------------------------------------------------- what must be true

    def said(self) -> NamedLegs[ReportedLeg]:
        """What the facts come to: each leg that lives, and how it is."""
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
        """Require that facts, snapshot and the answer to a question come to the same."""
        told: object = None
        seen: object = None
        with trio.move_on_after(self.lab.prompt_s):
            while True:
                seen = self._comparable(
                    {leg: self._seen(living) for leg, living in (await self.living()).items()}
                )
                told = self._comparable(self.said())
                if told == seen:
                    break
                await trio.sleep(_STEP_S)
        require(
            told == seen, f"facts and snapshot agree: told {told}, but the snapshot says {seen}"
        )
        asked = living = None
        with trio.move_on_after(self.lab.prompt_s):
            while True:  # the second may be asked when more has happened
                asked = await self.look(*self.legs)
                living = await self.living()
                if asked == living:
                    break
                await trio.sleep(_STEP_S)
        require(
            asked == living,
            f"Look is answered as the snapshot is: {asked}, but the snapshot says {living}",
        )

    def review(self) -> None:
        """Hold everything that was told to the rules of `hookflash.events`."""
        for leg in self.legs:
            review_leg(
                leg,
                [fact for _, fact in self.facts() if leg in legs_of(fact)],
                ordered=self.ordered,
                pressed=self.pressed,
                numbers_keys=self.can.numbers_keys,
                is_retold=self.is_retold,
            )
        strangers = [
            event
            for _, event in self.facts()
            if isinstance(event, e.LegsJoined | e.LegsSeparated | e.LegsReleased)
            and not all(leg in self.legs for leg in legs_of(event))
        ]
        require(not strangers, f"nobody is joined with a stranger, but {strangers}")
        failed = [fact.command for _, fact in self.facts() if isinstance(fact, e.CommandFailed)]
        often = [command for command in failed if failed.count(command) > 1]
        require(not often, f"a command fails once, but {often}")
        unexpected = [command for command in failed if command not in self._failures]
        unexpected = [] if self.is_raced else unexpected
        require(not unexpected, f"what can be done is not refused, but {unexpected}")
        looks = Counter(event.look for _, event in self.facts() if isinstance(event, e.LegsSeen))
        twice = [look for look, times in looks.items() if times > 1]
        require(not twice, f"a question is answered once, but {twice}")
        if not self.is_retold:
            line = [
                fact for _, fact in self.facts() if isinstance(fact, e.SwitchLost | e.SwitchFound)
            ]
            require(not line, f"a line that stays up is neither lost nor found, but {line}")

    async def clear(self) -> None:
        """Hang up everybody who is left."""
        living = await self.living()
        for leg in living:
            await self.perform(c.HangUp(leg=leg))
        with trio.move_on_after(self.lab.prompt_s):
            while await self.living() or self.said():  # noqa: ASYNC110 - a snapshot has no event
                await trio.sleep(_STEP_S)
            return
        raise AssertionError(f"HangUp ends a leg: {await self.living()}, told {self.said()}")


@attrs.frozen(eq=False)
class Check:
    """One thing that a backend is held to."""

    promise: str
    run: Any
    needs: tuple[str, ...] = ()
    """Capabilities without which it is not demanded."""
    is_alone: bool = False
    """Whether it disturbs others in the same lab."""
