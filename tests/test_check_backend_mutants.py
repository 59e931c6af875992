"""Every backend that is broken in one way is caught by `check_backend`.

A mutant stands in front of the simulator and does one thing wrong. The table below lists what: for
each command, that it comes to nothing, comes late or is done twice; for each fact, that it is
missing, late or told of the wrong leg; and whatever else an author may get wrong. A mutant that is
not caught stands in `SURVIVORS`, with the reason.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, Final, TypeAlias

import attrs
import pytest
import trio
from simulated_lab import SimulatedLab
from trio.testing import MockClock

from hookflash.backends.base import LOST_TRACK, Backend, Capabilities
from hookflash.backends.simulator.backend import SimulatedBackend, open_simulator
from hookflash.backends.simulator.world import World
from hookflash.commands import (
    Afterwards,
    Arm,
    Dial,
    Forget,
    HangUp,
    HoldWithMusic,
    Introduce,
    Join,
    Look,
    Park,
    PassKeys,
    PlayRingback,
    PlayTone,
    Release,
    Split,
    SwitchCommand,
    Trigger,
    WithholdKeys,
)
from hookflash.events import (
    CallEvent,
    CommandFailed,
    DigitPressed,
    Direction,
    LegAnswered,
    LegCreated,
    LegHungUp,
    LegId,
    LegParked,
    LegProgressed,
    LegsJoined,
    LegSnapshot,
    LegsReleased,
    LegsSeen,
    LegsSeparated,
    SoundStarted,
    SoundStopped,
    SwitchFound,
    SwitchLost,
)
from hookflash.testing import check_backend

pytestmark = pytest.mark.slow

LATE_S: Final = 2.0

COMMANDS: Final = (
    Split,
    Park,
    Look,
    HoldWithMusic,
    PlayRingback,
    PlayTone,
    Dial,
    Join,
    Arm,
    Release,
    Introduce,
    WithholdKeys,
    PassKeys,
    Forget,
    HangUp,
)
FACTS: Final = (
    LegCreated,
    LegProgressed,
    LegAnswered,
    LegParked,
    LegsJoined,
    LegsSeparated,
    LegsReleased,
    SoundStarted,
    SoundStopped,
    DigitPressed,
    LegHungUp,
    LegsSeen,
    CommandFailed,
    SwitchLost,
    SwitchFound,
)
ABOUT_A_LEG: Final = FACTS[: FACTS.index(LegsSeen)]

Done: TypeAlias = Iterable[tuple[float, SwitchCommand]]
"""What is done in place of a command, and how much later."""
Told: TypeAlias = Iterable[tuple[float, CallEvent]]
"""What is told in place of a fact, and how much later."""


@attrs.define
class Memory:
    """What a mutant keeps in mind."""

    legs: list[LegId] = attrs.field(factory=list[LegId])
    hung_up: set[LegId] = attrs.field(factory=set[LegId])
    hurt: set[LegId] = attrs.field(factory=set[LegId])
    """Legs of commands that failed."""
    looked_at: set[LegId] = attrs.field(factory=set[LegId])
    has_ordered: bool = False
    """Whether any order came this way: not, where another controller gave them."""
    stuck: bool = False
    lost: int = 0
    """How often the line was lost."""
    numbers: itertools.count[int] = attrs.field(factory=lambda: itertools.count(1_000))
    before: tuple[LegSnapshot, ...] | None = None


def _as_ordered(command: SwitchCommand, _memory: Memory) -> Done:
    return [(0, command)]


def _as_told(fact: CallEvent, _memory: Memory) -> Told:
    return [(0, fact)]


def _as_seen(leg: LegSnapshot, _memory: Memory) -> LegSnapshot | None:
    return leg


@attrs.frozen
class Mutant:
    """One way in which a backend may be broken."""

    name: str
    done: Callable[[Any, Memory], Done] = _as_ordered
    told: Callable[[Any, Memory], Told] = _as_told
    listed: Callable[[LegSnapshot, Memory], LegSnapshot | None] = _as_seen
    """What `snapshot` says of a leg."""
    can: Capabilities = attrs.field(factory=Capabilities)
    """What it claims."""
    seen: Callable[[LegSnapshot, Memory], LegSnapshot | None] = _as_seen
    """What `LegsSeen` says of a leg."""
    waits: type | None = None
    """A command whose `perform` waits for its effect."""
    is_stale: bool = False
    """Whether the snapshot is that of the time before."""
    hangs: bool = False
    """Whether it stops answering when a command has failed."""


class Broken:
    """The simulator, with one mutant in front of it."""

    def __init__(
        self, switch: SimulatedBackend, mutant: Mutant, memory: Memory | None = None
    ) -> None:
        self._switch = switch
        self._mutant = mutant
        self._memory = memory or Memory()

    @property
    def capabilities(self) -> Capabilities:
        return self._mutant.can

    async def events(self) -> AsyncIterator[CallEvent]:
        late: dict[int, CallEvent] = {}
        async for fact in self._switch.events():
            if isinstance(fact, _Late):
                yield late.pop(fact.place)
                continue
            self._remember(fact)
            if isinstance(fact, LegsSeen):
                living = (self._mutant.seen(leg, self._memory) for leg in fact.living)
                now = attrs.evolve(fact, living=tuple(leg for leg in living if leg is not None))
            else:
                now = fact
            for after_s, told in self._mutant.told(now, self._memory):
                if after_s:
                    number = next(self._memory.numbers)
                    late[number] = told
                    self._later(after_s, partial(self._tell_late, number))
                else:
                    yield told

    def _remember(self, fact: CallEvent) -> None:
        memory = self._memory
        match fact:
            case LegCreated(leg=leg) if leg not in memory.legs:
                memory.legs.append(leg)
            case LegHungUp(leg=leg):
                memory.hung_up.add(leg)
            case SwitchLost():
                memory.lost += 1
            case CommandFailed(command=command):
                memory.hurt |= {getattr(command, "first", ""), getattr(command, "second", "")}
                memory.stuck = memory.stuck or "check-nobody" not in memory.hurt
            case _:
                pass

    def _tell_late(self, number: int) -> None:
        self._switch._send.send_nowait(_Late(number))  # pyright: ignore[reportPrivateUsage, reportArgumentType]

    def _later(self, after_s: float, thunk: Callable[[], None]) -> None:
        world = self._switch.world
        # its clock may lag behind: it stands still while nothing is due
        self._switch._clock.catch_up()  # pyright: ignore[reportPrivateUsage]
        world.after(after_s, thunk)
        self._switch.nudge()

    async def perform(self, command: SwitchCommand) -> None:
        if self._mutant.hangs and self._memory.stuck:
            return
        self._memory.has_ordered = True
        for after_s, done in self._mutant.done(command, self._memory):
            if after_s:
                self._later(after_s, partial(self._switch.world.perform, done))
            else:
                await self._switch.perform(done)
        if type(command) is self._mutant.waits:
            await trio.sleep(LATE_S)

    async def snapshot(self) -> tuple[LegSnapshot, ...]:
        living = await self._switch.snapshot()
        told = (self._mutant.listed(leg, self._memory) for leg in living)
        now = tuple(leg for leg in told if leg is not None)
        before, self._memory.before = self._memory.before, now
        return before if self._mutant.is_stale and before is not None else now


@attrs.frozen
class _Late:
    """Stands in the line of events for one that is told late."""

    place: int


class BrokenLab(SimulatedLab):
    """People on a switch with a broken backend."""

    def __init__(self, switch: SimulatedBackend, mutant: Mutant) -> None:
        super().__init__(switch)
        self._mutant = mutant
        self.backend = Broken(switch, mutant)

    def second(self) -> AbstractAsyncContextManager[Backend]:
        return _second(self.switch.world, self._mutant)


@asynccontextmanager
async def _second(world: World, mutant: Mutant) -> AsyncGenerator[Backend]:
    yield Broken(SimulatedBackend(world), mutant)


@asynccontextmanager
async def open_broken_lab(mutant: Mutant) -> AsyncGenerator[BrokenLab]:
    async with open_simulator(seed=1) as switch:
        yield BrokenLab(switch, mutant)


# --------------------------------------------------------------------- commands


def _instead(kind: type, *done: tuple[float, object]) -> Callable[[Any, Memory], Done]:
    """Do this in place of commands of a kind: `None` stands for the command itself."""

    def do(command: SwitchCommand, _memory: Memory) -> Done:
        if not isinstance(command, kind):
            return [(0, command)]
        return [(after_s, command) for after_s, _ in done]

    return do


def _with(kind: type, /, **changes: object) -> Callable[[Any, Memory], Done]:
    """Change commands of a kind."""

    def do(command: Any, _memory: Memory) -> Done:
        return [(0, attrs.evolve(command, **changes) if isinstance(command, kind) else command)]

    return do


def _commands() -> Iterable[Mutant]:
    for kind in COMMANDS:
        name = kind.__name__
        yield Mutant(f"{name} does nothing", done=_instead(kind))
        yield Mutant(f"{name} is late", done=_instead(kind, (LATE_S, None)))
        yield Mutant(f"{name} is done twice", done=_instead(kind, (0, None), (0, None)))
        yield Mutant(f"perform waits for {name}", waits=kind)


def _split_one(command: Any, _memory: Memory) -> Done:
    if isinstance(command, Split):
        return [(0, Park(leg=command.first))]
    return [(0, command)]


def _join_the_wrong(command: Any, memory: Memory) -> Done:
    if isinstance(command, Join):
        others = [leg for leg in memory.legs if leg not in {command.first, command.second}]
        living = [leg for leg in others if leg not in memory.hung_up]
        if living:
            return [(0, attrs.evolve(command, second=living[-1]))]
    return [(0, command)]


def _join_ends_the_old_partner(command: Any, memory: Memory) -> Done:
    if isinstance(command, Join) and command.attempt > 1:
        others = [leg for leg in memory.legs if leg.startswith("check")]
        gone = {command.first, command.second} | memory.hung_up
        return [(0, command), *((0.05, HangUp(leg=leg)) for leg in others if leg not in gone)]
    return [(0, command)]


def _arm_only(when: Trigger) -> Callable[[Any, Memory], Done]:
    def do(command: Any, _memory: Memory) -> Done:
        is_ignored = isinstance(command, Arm) and command.when is not when
        return [] if is_ignored else [(0, command)]

    return do


def _forget_one(command: Any, _memory: Memory) -> Done:
    if isinstance(command, Forget):
        return [(0, Forget(legs=command.legs[:1]))]
    return [(0, command)]


def _release_one(command: Any, _memory: Memory) -> Done:
    if isinstance(command, Release):
        return [(0, Release(first=command.first, second=command.first))]
    return [(0, command)]


def _out_of_order(command: Any, _memory: Memory) -> Done:
    # what takes longer to prepare is overtaken
    return [(0.2 if isinstance(command, Arm | Dial) else 0.0, command)]


def _repeats_are_new(command: Any, _memory: Memory) -> Done:
    if isinstance(command, Join | Split) and command.repeated:
        return [(0, attrs.evolve(command, repeated=False))]
    return [(0, command)]


def _repeats_are_ignored(command: Any, _memory: Memory) -> Done:
    is_repeated = isinstance(command, Join | Split) and command.repeated
    return [] if is_repeated else [(0, command)]


COMMANDED: Final = (
    *_commands(),
    Mutant("Split parks one only", done=_split_one),
    Mutant("Split sets no marks", done=_with(Split, transfer="", kind="")),
    Mutant("Split leaves out the kind", done=_with(Split, kind="")),
    Mutant("Dial sets no marks", done=_with(Dial, transfer="")),
    Mutant("Dial ignores the ring timeout", done=_with(Dial, ring_timeout_s=60.0)),
    Mutant("Dial calls another number", done=_with(Dial, target="1003")),
    Mutant("Join joins the wrong two", done=_join_the_wrong),
    Mutant("Join always ends", done=_with(Join, afterwards=Afterwards.END, rescue=None)),
    Mutant("Join always parks", done=_with(Join, afterwards=Afterwards.PARK)),
    Mutant("Join ignores rescue", done=_with(Join, rescue=None)),
    Mutant("Join ignores disarm", done=_with(Join, disarm=())),
    Mutant("Join ignores undisclosed", done=_with(Join, undisclosed=())),
    Mutant("Join ends the old partner", done=_join_ends_the_old_partner),
    Mutant("Arm knows ANSWER only", done=_arm_only(Trigger.ANSWER)),
    Mutant("Arm knows LEFT_ALONE only", done=_arm_only(Trigger.LEFT_ALONE)),
    Mutant("Forget forgets the first only", done=_forget_one),
    Mutant("Release releases the first only", done=_release_one),
    Mutant("HangUp loses the cause", done=_with(HangUp, cause="NORMAL_CLEARING")),
    Mutant("PassKeys loses the keys", done=_with(PassKeys, digits="")),
    Mutant("WithholdKeys ends at once", done=_with(WithholdKeys, limit_s=1.0)),
    Mutant("Introduce tells both the same", done=_with(Introduce, second_number="1771")),
    Mutant("commands overtake each other", done=_out_of_order),
    Mutant("a repeated order is carried out anew", done=_repeats_are_new),
    Mutant("a repeated order is never carried out", done=_repeats_are_ignored),
)

# ------------------------------------------------------------------------- facts


def _of(kind: type, *told: float) -> Callable[[Any, Memory], Told]:
    """Tell facts of a kind after so long, each time."""

    def tell(fact: CallEvent, _memory: Memory) -> Told:
        return [(after_s, fact) for after_s in told] if isinstance(fact, kind) else [(0, fact)]

    return tell


def _changed(kind: type, /, **changes: object) -> Callable[[Any, Memory], Told]:
    def tell(fact: Any, _memory: Memory) -> Told:
        return [(0, attrs.evolve(fact, **changes) if isinstance(fact, kind) else fact)]

    return tell


def _of_the_wrong_leg(kind: type) -> Callable[[Any, Memory], Told]:
    def tell(fact: Any, memory: Memory) -> Told:
        if not isinstance(fact, kind):
            return [(0, fact)]
        name = "second" if kind in {LegsJoined, LegsSeparated, LegsReleased} else "leg"
        wrong = [leg for leg in memory.legs if leg != getattr(fact, name)]
        return [(0, attrs.evolve(fact, **{name: wrong[-1] if wrong else "nobody"}))]

    return tell


def _facts() -> Iterable[Mutant]:
    for kind in FACTS:
        name = kind.__name__
        yield Mutant(f"{name} is not told", told=_of(kind))
        yield Mutant(f"{name} is told late", told=_of(kind, LATE_S))
        yield Mutant(f"{name} is told twice at once", told=_of(kind, 0, 0))
        yield Mutant(f"{name} is told again later", told=_of(kind, 0, LATE_S))
    for kind in ABOUT_A_LEG:
        yield Mutant(f"{kind.__name__} names the wrong leg", told=_of_the_wrong_leg(kind))


def _parked_after_the_end(fact: Any, _memory: Memory) -> Told:
    if isinstance(fact, LegHungUp):
        return [(0, fact), (0, LegParked(leg=fact.leg))]
    return [(0, fact)]


def _keys_twice(fact: Any, memory: Memory) -> Told:
    if isinstance(fact, DigitPressed):
        return [(0, fact), (0, attrs.evolve(fact, serial=next(memory.numbers)))]
    return [(0, fact)]


def _in_use_is_an_end(fact: Any, _memory: Memory) -> Told:
    if isinstance(fact, CommandFailed) and isinstance(fact.command, Dial):
        return [(0, LegHungUp(leg=fact.command.leg, cause="INVALID_NUMBER_FORMAT"))]
    return [(0, fact)]


def _parked_before_the_answer(fact: Any, _memory: Memory) -> Told:
    if isinstance(fact, LegAnswered):
        return [(0, LegParked(leg=fact.leg)), (0, fact)]
    return [(0, fact)]


def _everything_but_answers_is_late(fact: Any, _memory: Memory) -> Told:
    return [(0.0 if isinstance(fact, LegsSeen) else 0.3, fact)]


def _answers_before(fact: Any, _memory: Memory) -> Told:
    return [(0.0 if isinstance(fact, LegsSeen) else 0.03, fact)]


def _look_is_noted(command: SwitchCommand, memory: Memory) -> Done:
    if isinstance(command, Look):
        memory.looked_at.update(command.legs)
    return [(0, command)]


def _who_is_looked_at_ends_without_a_cause(fact: Any, memory: Memory) -> Told:
    if isinstance(fact, LegHungUp) and fact.leg in memory.looked_at:
        return [(0, attrs.evolve(fact, cause=LOST_TRACK))]
    return [(0, fact)]


def _everything_is_late(fact: Any, _memory: Memory) -> Told:
    return [(LATE_S, fact)]


def _found_before(fact: Any, memory: Memory) -> Told:
    """Say SwitchFound at once, and what lives afterwards."""
    if isinstance(fact, SwitchLost):
        return [(0, fact), (0.6, SwitchFound())]
    if isinstance(fact, SwitchFound) and memory.lost:
        return []
    return [(0, fact) if not memory.lost else (1.0, fact)]


def _nothing_anew(fact: Any, memory: Memory) -> Told:
    is_known = memory.lost and isinstance(fact, LegCreated | LegAnswered | LegParked | LegsJoined)
    return [] if is_known else [(0, fact)]


def _ends_are_lost_with_the_line(fact: Any, memory: Memory) -> Told:
    return [] if memory.lost and isinstance(fact, LegHungUp) else [(0, fact)]


def _ends_of_the_hurt_are_lost(fact: Any, memory: Memory) -> Told:
    is_lost = isinstance(fact, LegHungUp) and fact.leg in memory.hurt
    return [] if is_lost else [(0, fact)]


def _looks_are_forgotten(fact: Any, memory: Memory) -> Told:
    return [] if isinstance(fact, LegsSeen) and memory.stuck else [(0, fact)]


TOLD: Final = (
    *_facts(),
    Mutant("LegParked comes after LegHungUp", told=_parked_after_the_end),
    Mutant("a Dial under an id in use is told as an end", told=_in_use_is_an_end),
    Mutant("LegParked comes before LegAnswered", told=_parked_before_the_answer),
    Mutant("keys are told twice, under two numbers", told=_keys_twice),
    Mutant("keys have no number", told=_changed(DigitPressed, serial=0)),
    Mutant("keys have all the same number", told=_changed(DigitPressed, serial=7)),
    Mutant("another key is told", told=_changed(DigitPressed, digit="9")),
    Mutant("the cause of an end is lost", told=_changed(LegHungUp, cause="NORMAL_CLEARING")),
    Mutant("the number of a leg is lost", told=_changed(LegCreated, number="")),
    Mutant("the number of a leg is wrong", told=_changed(LegCreated, number="1003")),
    Mutant("all legs call", told=_changed(LegCreated, direction=Direction.INBOUND)),
    Mutant("all legs are called", told=_changed(LegCreated, direction=Direction.OUTBOUND)),
    Mutant("nobody is outside", told=_changed(LegCreated, outside=False)),
    Mutant("early media is ringing", told=_changed(LegProgressed, early_media=False)),
    Mutant("another command failed", told=_changed(CommandFailed, command=Park(leg="x"))),
    Mutant("LegsSeen overtakes", told=_everything_but_answers_is_late),
    Mutant("LegsSeen overtakes by 30 ms", told=_answers_before),
    Mutant(
        "who is looked at ends without a cause",
        done=_look_is_noted,
        told=_who_is_looked_at_ends_without_a_cause,
    ),
    Mutant("everything is told late", told=_everything_is_late),
    Mutant("SwitchFound comes before what lives", told=_found_before),
    Mutant("nothing is told anew", told=_nothing_anew),
    Mutant("ends are lost with the line", told=_ends_are_lost_with_the_line),
    Mutant("LegsSeen answers another question", told=_changed(LegsSeen, look=Look(legs=()))),
    Mutant("in a race: an end is not told", told=_ends_of_the_hurt_are_lost),
    Mutant("in a race: Look is not answered any more", told=_looks_are_forgotten),
    Mutant("in a race: nothing is carried out any more", hangs=True),
)

# ----------------------------------------------------------------------- answers


def _always(**changes: Any) -> Callable[[LegSnapshot, Memory], LegSnapshot | None]:
    def change(leg: LegSnapshot, _memory: Memory) -> LegSnapshot | None:
        return attrs.evolve(leg, **changes)

    return change


def _no_target(leg: LegSnapshot, _memory: Memory) -> LegSnapshot | None:
    return None if leg.role == "target" or leg.leg.startswith("check") else leg


def _no_peers(leg: LegSnapshot, _memory: Memory) -> LegSnapshot | None:
    return None if leg.peer is not None and leg.direction is Direction.OUTBOUND else leg


def _only_answered(leg: LegSnapshot, _memory: Memory) -> LegSnapshot | None:
    return leg if leg.answered else None


def _marks_from_memory(leg: LegSnapshot, memory: Memory) -> LegSnapshot | None:
    """Marks that the backend keeps in its own head: gone with the controller."""
    return leg if memory.has_ordered else attrs.evolve(leg, transfer="", role="", kind="")


def _only_the_marked(leg: LegSnapshot, _memory: Memory) -> LegSnapshot | None:
    return leg if leg.transfer else None


ANSWERS: Final = {
    "nobody is parked": _always(parked=False),
    "everybody is parked": _always(parked=True),
    "nobody is joined": _always(peer=None),
    "nobody has answered": _always(answered=False),
    "everybody has answered": _always(answered=True),
    "nobody hears a sound": _always(hears=None),
    "nobody is elsewhere": _always(elsewhere=False),
    "the marks are missing": _always(transfer="", role="", kind=""),
    "the roles are missing": _always(role=""),
    "the kind is missing": _always(kind=""),
    "the numbers are missing": _always(number=""),
    "the numbers are wrong": _always(number="1003"),
    "everybody calls": _always(direction=Direction.INBOUND),
    "nobody is outside": _always(outside=False),
    "targets are missing": _no_target,
    "partners are missing": _no_peers,
    "who rings is missing": _only_answered,
    "ordinary calls are missing": _only_the_marked,
}

SEEN: Final = (
    *(Mutant(f"in the snapshot {name}", listed=change) for name, change in ANSWERS.items()),
    *(Mutant(f"in LegsSeen {name}", seen=change) for name, change in ANSWERS.items()),
    *(Mutant(f"in both {name}", listed=change, seen=change) for name, change in ANSWERS.items()),
    Mutant("the marks die with the controller", listed=_marks_from_memory),
    Mutant("the snapshot is stale", is_stale=True),
)

MUTANTS: Final = (*COMMANDED, *TOLD, *SEEN)

_A_REPEAT: Final = "A fact may come twice, right behind the original (hookflash.events, rule 2)."
_SAME_AGAIN: Final = "Done twice, it comes to the same: nobody can tell, and nobody is harmed."
_TOOK_ITS_PLACE: Final = "The second order takes the place of the first before the sound begins."

SURVIVORS: Final[dict[str, str]] = {
    "LegCreated is told twice at once": _A_REPEAT,
    "LegProgressed is told twice at once": _A_REPEAT,
    "LegAnswered is told twice at once": _A_REPEAT,
    "LegParked is told twice at once": _A_REPEAT,
    "LegsSeparated is told twice at once": _A_REPEAT,
    "LegsReleased is told twice at once": _A_REPEAT,
    "LegHungUp is told twice at once": _A_REPEAT,
    "LegHungUp is told again later": "Nothing newer of that leg has come: it is a repeat, too.",
    "Park is done twice": "The leg parks and parks again: LegParked is repeated, which is allowed.",
    "Arm is done twice": _SAME_AGAIN,
    "Release is done twice": _SAME_AGAIN,
    "Introduce is done twice": _SAME_AGAIN,
    "WithholdKeys is done twice": _SAME_AGAIN,
    "Forget is done twice": _SAME_AGAIN,
    "HoldWithMusic is done twice": _TOOK_ITS_PLACE,
    "PlayRingback is done twice": _TOOK_ITS_PLACE,
    "PlayTone is done twice": _TOOK_ITS_PLACE,
}
"""Those that are not caught, and why."""


def test_no_two_mutants_have_the_same_name() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert len(names) == len(set(names))
    assert SURVIVORS.keys() <= set(names)


@pytest.mark.exhaustive
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
async def test_a_broken_backend_is_caught(mutant: Mutant, autojump_clock: MockClock) -> None:
    if mutant.name in SURVIVORS:
        await check_backend(partial(open_broken_lab, mutant))
    else:
        with pytest.raises(AssertionError):
            await check_backend(partial(open_broken_lab, mutant))


@pytest.mark.parametrize("seed", range(5))
async def test_a_backend_that_is_not_broken_passes(seed: int, autojump_clock: MockClock) -> None:
    unbroken = partial(open_broken_lab, Mutant("none"))
    report = await check_backend(unbroken, races=5, seed=seed)
    assert not report.unchecked


_HEARS_NO_KEYS: Final = Capabilities(
    reports_keys_in_calls=False, reports_keys_of_parked=False, numbers_keys=False
)

HONEST: Final = (
    Mutant(
        "no rescue on an answer",
        done=_arm_only(Trigger.LEFT_ALONE),
        can=Capabilities(rescues_on_answer=False),
    ),
    Mutant(
        "no marks",
        listed=ANSWERS["the marks are missing"],
        seen=ANSWERS["the marks are missing"],
        can=Capabilities(marks_legs=False),
    ),
    Mutant("no ringing", told=_of(LegProgressed), can=Capabilities(reports_ringing=False)),
    Mutant("no keys", told=_of(DigitPressed), can=_HEARS_NO_KEYS),
    Mutant("no displays", done=_instead(Introduce), can=Capabilities(introduces=False)),
    Mutant(
        "no numbers of keys",
        told=_changed(DigitPressed, serial=0),
        can=Capabilities(numbers_keys=False),
    ),
    Mutant(
        "no list of sounds",
        listed=ANSWERS["nobody hears a sound"],
        seen=ANSWERS["nobody hears a sound"],
        can=Capabilities(lists_sounds=False),
    ),
)


@pytest.mark.parametrize("mutant", HONEST, ids=lambda mutant: mutant.name)
async def test_what_is_not_claimed_is_not_demanded(
    mutant: Mutant, autojump_clock: MockClock
) -> None:
    await check_backend(partial(open_broken_lab, mutant), races=1)
