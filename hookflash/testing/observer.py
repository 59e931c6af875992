"""What a check sees: the log of a lab, one scene in it, and the rules that every fact keeps.

Several checks may share a lab. Each has a scene of its own, which sees only the facts of its own
legs. `Scene.review` holds all of them to the rules of `hookflash.events`; `Scene.agree` compares
them with what the switch answers: a backend that keeps its promises tells the same in both ways.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any, Final, NamedTuple, TypeVar

import attrs
import trio

from hookflash import commands as c
from hookflash import events as e
from hookflash.backends.base import Capabilities, LegSnapshot
from hookflash.testing.lab import Lab

PATIENCE_S: Final = 20.0
"""How long a check waits for what takes its time: an answer, a failsafe, a line that comes back."""

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
    """Everything that a backend has told since its lab was opened."""

    def __init__(self) -> None:
        self.told: list[e.CallEvent] = []
        self._more = trio.Event()

    async def listen(self, lab: Lab) -> None:
        """Write down what the backend tells, until cancelled."""
        async for event in lab.backend.events():
            self.told.append(event)
            self._more.set()
            self._more = trio.Event()

    async def more(self) -> None:
        """Wait for the next event."""
        await self._more.wait()

    async def found(self) -> None:
        """Wait for the first `SwitchFound`."""
        promise = "first come the facts about what lives, then SwitchFound"
        with trio.move_on_after(PATIENCE_S):
            while not any(isinstance(event, e.SwitchFound) for event in self.told):
                await self.more()
            return
        raise AssertionError(f"{promise}: no SwitchFound, but {self.told[-10:]}")


Fact = TypeVar("Fact", bound=e.CallEvent)


class ReportedLeg(NamedTuple):
    """What the facts of a leg come to."""

    number: str
    direction: e.Direction
    answered: bool = False
    parked: bool = False
    peer: e.LegId | None = None
    hears: bool = False


Leg = TypeVar("Leg")


class NamedLegs(dict[e.LegId, Leg]):
    """What is known of the legs that live."""

    def __missing__(self, leg: e.LegId) -> Leg:
        """Say of which leg nothing is known."""
        raise AssertionError(f"{leg} lives, but only these are known: {[*self]}")


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
        await self.proof(e.LegAnswered, "Dial tells of the answer", within_s=PATIENCE_S, leg=leg)
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

    def said(self) -> NamedLegs[ReportedLeg]:  # noqa: C901, PLR0912 - one case for each fact
        """What the facts come to: each leg that lives, and how it is."""
        legs: NamedLegs[ReportedLeg] = NamedLegs()

        def alter(leg: e.LegId, **changes: object) -> None:
            if leg in legs:
                legs[leg] = legs[leg]._replace(**changes)

        for _, event in self.facts():
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
            _review_leg(self, leg, [fact for _, fact in self.facts() if leg in legs_of(fact)])
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


_ONCE: Final = (e.LegCreated, e.LegAnswered)
"""What happens once in the life of a leg."""


def _review_leg(scene: Scene, leg: e.LegId, told: list[e.CallEvent]) -> None:
    facts = list(
        _without_repeats(
            fact for fact in told if not isinstance(fact, e.LegsSeen | e.CommandFailed)
        )
    )
    kinds = [type(fact) for fact in facts]
    if e.LegHungUp in kinds:
        late = facts[kinds.index(e.LegHungUp) + 1 :]
        require(not late, f"a leg's last fact is LegHungUp, but then came {late}")
    own = [fact for fact in facts if len(legs_of(fact)) == 1]
    if own and not isinstance(own[0], e.LegHungUp):
        require(isinstance(own[0], e.LegCreated), f"a leg's first fact is LegCreated, not {own[0]}")
    keys = [fact.digit for fact in told if isinstance(fact, e.DigitPressed)]
    pressed = [digit for by, digit in scene.pressed if by == leg]
    # a capability may be missing: then fewer are told, but none is told twice
    require(
        not Counter(keys) - Counter(pressed), f"each key is told once: {pressed}, told as {keys}"
    )
    serials = [fact.serial for fact in told if isinstance(fact, e.DigitPressed)]
    if scene.can.numbers_keys:
        require(
            all(serials) and len(set(serials)) == len(serials),
            f"each key has a serial number of its own, but {serials}",
        )
    if scene.is_retold:
        return
    for kind in _ONCE:
        require(kinds.count(kind) <= 1, f"{kind.__name__} is told once, but {facts}")
    if e.LegAnswered in kinds:
        answered = kinds.index(e.LegAnswered)
        require(
            not any(kind is e.LegProgressed for kind in kinds[answered:]),
            f"what rings has not answered, but {facts}",
        )
    else:
        answered = len(kinds)
    for kind in (e.LegParked, e.LegsJoined, e.SoundStarted):
        require(
            kind not in kinds[:answered], f"LegAnswered is told before {kind.__name__}, but {facts}"
        )
    _review_whereabouts(scene, leg, facts)


def _review_whereabouts(scene: Scene, leg: e.LegId, facts: list[e.CallEvent]) -> None:
    """Hold the facts about one leg to sense: what is told is news, or an immediate repeat."""
    parks = sum(
        isinstance(command, c.Park | c.Split) and leg in legs_ordered(command)
        for command in scene.ordered
    )
    sounds = sum(
        isinstance(command, c.HoldWithMusic | c.PlayRingback | c.PlayTone) and command.leg == leg
        for command in scene.ordered
    )
    started = sum(isinstance(fact, e.SoundStarted) for fact in facts)
    # without an order it is another program's sound
    require(not sounds or started <= sounds, f"an order starts one sound, but {facts}")
    is_parked = False
    plays = False
    peer: e.LegId | None = None
    for fact in facts:
        match fact:
            case e.LegParked():
                parks -= is_parked
                require(parks >= 0, f"LegParked is told when a leg is parked, but {facts}")
                is_parked, peer = True, None
            case e.LegsJoined(first=first, second=second):
                other = second if first == leg else first
                require(peer != other, f"LegsJoined is told when two are joined, but {facts}")
                is_parked, peer = False, other
            case e.LegsSeparated(first=first, second=second):
                other = second if first == leg else first
                require(
                    peer == other or peer is None or is_parked,
                    f"LegsSeparated names two who were joined, but {facts}",
                )
                peer = None
            case e.SoundStarted():
                require(not plays, f"a sound stops before the next starts, but {facts}")
                plays = True
            case e.SoundStopped():
                require(plays, f"only what started can stop, but {facts}")
                plays = False
            case _:
                pass


def _without_repeats(facts: Iterable[e.CallEvent]) -> Iterator[e.CallEvent]:
    """Leave out what follows its original at once: that is allowed."""
    before: e.CallEvent | None = None
    for fact in facts:
        if fact != before:
            yield fact
        before = fact


@attrs.frozen(eq=False)
class Check:
    """One thing that a backend is held to."""

    promise: str
    run: Any
    needs: tuple[str, ...] = ()
    """Capabilities without which it is not demanded."""
    is_alone: bool = False
    """Whether it disturbs others in the same lab."""
