"""What the author of a backend runs: `check_backend` holds it to every promise of `Backend`.

The check plays both sides. It steers the backend by commands, and it steers the people by what
the author gives it: a `Lab`, which places a call and lets a phone hang up or press a key. It needs
four kinds of number in that lab: two that talk, one that answers, one that is busy, and one that
never answers.

    async def test_my_backend():
        await check_backend(open_my_lab)

The check is over when every promise was kept; the first that was not raises `AssertionError` with
the promise in words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

import attrs
import trio
import trio.testing

from hookflash.backends.base import Backend, LegSnapshot
from hookflash.commands import (
    Afterwards,
    Arm,
    Dial,
    HangUp,
    HoldWithMusic,
    Introduce,
    Join,
    Park,
    PlayRingback,
    Release,
    Split,
    SwitchCommand,
)
from hookflash.events import (
    CallEvent,
    CommandFailed,
    DigitPressed,
    LegAnswered,
    LegCreated,
    LegHungUp,
    LegId,
    LegParked,
    LegsJoined,
    LegsReleased,
    LegsSeparated,
    SoundStarted,
)
from hookflash.sounds import Sound, parse_sound

PATIENCE_S = 20.0
"""How long the check waits for a proof before it says that it did not come."""


TALK_S = 0.3
"""How long two talk at least. People do; and a hang-up within 50 ms of the news of a join can leave
the other leg out of reach (seen on FreeSWITCH 1.10.12, on a busy machine)."""

A_WHILE_S = 1.0
"""How long the check looks whether something happens that must not: a switch needs 40 ms."""


class Lab(Protocol):
    """A backend under test, and the people on its switch."""

    @property
    def backend(self) -> Backend:
        """The backend, open."""
        ...

    answering: str
    """A number that answers within a few seconds."""
    busy: str
    """A number that is busy."""
    never: str
    """A number that rings for ever."""
    music: Sound
    """A sound that the switch has, and that goes on for ever."""

    async def call(self) -> tuple[LegId, LegId]:
        """Place an ordinary call; return when the two talk."""
        ...

    async def hang_up(self, leg: LegId) -> None:
        """Let the party on a leg hang up."""
        ...

    async def press(self, leg: LegId, digit: str) -> None:
        """Let the party on a leg press one key."""
        ...


Fact = TypeVar("Fact", bound=CallEvent)


class _Observer:
    """Collects what the backend yields, and waits for what was promised."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.seen: list[CallEvent] = []
        self._more = trio.Event()

    async def listen(self) -> None:
        async for event in self.lab.backend.events():
            self.seen.append(event)
            self._more.set()
            self._more = trio.Event()

    async def perform(self, *commands: SwitchCommand) -> None:
        for command in commands:
            await self.lab.backend.perform(command)

    async def proof(self, kind: type[Fact], promise: str, **fields: Any) -> Fact:
        """Wait for a fact that has not served as a proof before.

        Args:
            kind: what it is.
            promise: what is promised, in words.
            fields: what it must say.
        """
        with trio.move_on_after(PATIENCE_S):
            while True:
                for index, event in enumerate(self.seen):
                    if isinstance(event, kind) and all(
                        getattr(event, name) == value for name, value in fields.items()
                    ):
                        self.seen[index] = _spent(event)
                        return event
                await self._more.wait()
        raise AssertionError(f"{promise}: no {kind.__name__} {fields}, but {self.seen[-10:]}")

    async def joined(self, one: LegId, other: LegId, promise: str) -> None:
        """Wait until two hear each other, whichever of them is named first."""
        with trio.move_on_after(PATIENCE_S):
            while not any(
                isinstance(event, LegsJoined) and {event.first, event.second} == {one, other}
                for event in self.seen
            ):
                await self._more.wait()
            self.forget()
            return
        raise AssertionError(f"{promise}: never joined, but {self.seen[-10:]}")

    def forget(self) -> None:
        """What has been seen so far proves nothing from now on."""
        self.seen.clear()


def _spent(event: CallEvent) -> Any:
    """A fact that has served as a proof, and can't serve again."""
    return ("spent", event)


def _require(kept: bool, promise: str) -> None:  # noqa: FBT001 - a fact, not a switch
    if not kept:
        raise AssertionError(promise)


def _living(snapshot: Sequence[LegSnapshot]) -> dict[LegId, LegSnapshot]:
    return {leg.leg: leg for leg in snapshot}


async def check_backend(
    open_lab: Callable[[], AbstractAsyncContextManager[Lab]],
) -> None:
    """Hold a backend to its promises.

    Args:
        open_lab: opens a fresh backend, with people on its switch. It is opened once for each
            check, so that no check can spoil another.

    Raises:
        AssertionError: a promise was not kept; the message says which, and what came instead.
    """
    for check in CHECKS:
        async with open_lab() as lab, trio.open_nursery() as nursery:
            observer = _Observer(lab)
            nursery.start_soon(observer.listen)
            await trio.testing.wait_all_tasks_blocked()
            await check(observer)
            nursery.cancel_scope.cancel()


async def _part(observer: _Observer) -> tuple[LegId, LegId]:
    """A call, parted: both parked."""
    first, second = await observer.lab.call()
    await observer.joined(first, second, "an ordinary call is told")
    await observer.perform(Split(first=first, second=second))
    await observer.proof(LegParked, "Split parks the first", leg=first)
    await observer.proof(LegParked, "Split parks the second", leg=second)
    return first, second


async def _target(observer: _Observer, on_behalf_of: LegId, leg: LegId = "check-target") -> LegId:
    """A target that has answered, and is parked."""
    await observer.perform(
        Dial(
            leg=leg,
            target=observer.lab.answering,
            on_behalf_of=on_behalf_of,
            ring_timeout_s=15.0,
        )
    )
    await observer.proof(LegCreated, "Dial creates the leg under the id that it was given", leg=leg)
    await observer.proof(LegAnswered, "Dial tells of the answer", leg=leg)
    await observer.proof(LegParked, "Dial parks the leg that has answered", leg=leg)
    return leg


async def _the_life_of_a_call(observer: _Observer) -> None:
    first, second = await observer.lab.call()
    await observer.joined(first, second, "an ordinary call is told")
    living = _living(await observer.lab.backend.snapshot())
    _require(living[first].peer == second, "the snapshot says who talks with whom")
    _require(living[first].answered, "the snapshot says who has answered")
    await observer.lab.press(first, "5")
    await observer.proof(DigitPressed, "keys are told on their leg", leg=first, digit="5")
    await observer.lab.hang_up(first)
    await observer.proof(LegHungUp, "a hang-up is told", leg=first)
    await observer.proof(LegHungUp, "an ordinary call ends for both", leg=second)
    living = _living(await observer.lab.backend.snapshot())
    _require(not living.keys() & {first, second}, "the snapshot leaves out whoever is gone")


async def _parting_and_sounds(observer: _Observer) -> None:
    first, second = await observer.lab.call()
    await observer.joined(first, second, "an ordinary call is told")
    await observer.perform(Split(first=first, second=second))
    await observer.proof(LegsSeparated, "Split separates the pair")
    await observer.proof(LegParked, "Split parks the first", leg=first)
    await observer.proof(LegParked, "Split parks the second", leg=second)
    music = observer.lab.music
    await observer.perform(HoldWithMusic(leg=second, music=music))
    await observer.proof(SoundStarted, "music is told when it plays", leg=second)
    ringback = parse_sound("tone:440/1000,0/1000")
    await observer.perform(PlayRingback(leg=second, ringback=ringback))
    promise = "a newer sound takes the place of an endless one"
    await observer.proof(SoundStarted, promise, leg=second)
    await observer.perform(Join(first=first, second=second, afterwards=Afterwards.END))
    await observer.joined(first, second, "Join takes parked legs, sounds and all")
    await observer.lab.hang_up(second)
    await observer.proof(LegHungUp, "afterwards END: the call ends for both", leg=first)


async def _a_consultation(observer: _Observer) -> None:
    first, second = await _part(observer)
    target = await _target(observer, first)
    await observer.perform(Join(first=first, second=target, afterwards=Afterwards.PARK))
    await observer.joined(first, target, "Join joins")
    await trio.sleep(TALK_S)
    await observer.lab.hang_up(first)
    await observer.proof(LegHungUp, "the hang-up is told", leg=first)
    await observer.proof(LegParked, "afterwards PARK: who is left is parked", leg=target)
    await observer.perform(Join(first=second, second=target, attempt=2, afterwards=Afterwards.END))
    await observer.joined(second, target, "whoever was parked can be joined")
    await observer.lab.hang_up(second)
    await observer.proof(LegHungUp, "afterwards END: the call ends for both", leg=target)


async def _repeated_orders(observer: _Observer) -> None:
    first, second = await _part(observer)
    await observer.perform(HoldWithMusic(leg=second, music=observer.lab.music))
    await observer.proof(SoundStarted, "music is told when it plays", leg=second)
    target = await _target(observer, first)
    observer.forget()
    await observer.perform(Split(first=first, second=second, repeated=True))
    join = Join(first=first, second=target, transfer="check", afterwards=Afterwards.PARK)
    again = attrs.evolve(join, attempt=2, repeated=True)
    await observer.perform(join, again)
    await trio.sleep(A_WHILE_S)
    disturbed = [e for e in observer.seen if isinstance(e, LegParked | LegHungUp | CommandFailed)]
    _require(not disturbed, f"a repeated order does no harm, but {disturbed}")
    await observer.joined(first, target, "a join that is repeated on its heels still joins")
    lost = Join(
        first=first,
        second=second,
        transfer="check",
        attempt=4,
        repeated=True,
        afterwards=Afterwards.END,
    )
    await observer.perform(lost)
    await observer.joined(first, second, "a repeated join is carried out if the first was lost")


async def _taking_out_of_a_bridge(observer: _Observer) -> None:
    first, second = await _part(observer)
    target = await _target(observer, first)
    await observer.perform(
        Join(first=first, second=target, afterwards=Afterwards.PARK, rescue=second)
    )
    await observer.joined(first, target, "Join joins")
    await trio.sleep(0.5)
    await observer.perform(
        Join(
            first=first,
            second=second,
            attempt=2,
            afterwards=Afterwards.END,
            disarm=(first, target),
            rescued=second,
        )
    )
    await observer.joined(first, second, "Join takes a leg out of a bridge, failsafe and all")
    await observer.perform(HangUp(leg=target))
    await observer.proof(LegHungUp, "HangUp ends a leg", leg=target)
    await observer.lab.hang_up(first)
    await observer.proof(LegHungUp, "the call is an ordinary one", leg=second)


async def _the_failsafe(observer: _Observer) -> None:
    first, second = await _part(observer)
    target = await _target(observer, first)
    await observer.perform(
        Join(first=first, second=target, afterwards=Afterwards.PARK, rescue=second)
    )
    await observer.joined(first, target, "Join joins")
    await observer.lab.hang_up(first)
    await observer.joined(target, second, "the failsafe joins the two by itself")
    await observer.lab.hang_up(second)
    await observer.proof(LegHungUp, "what the failsafe joined is an ordinary call", leg=target)


async def _an_armed_target(observer: _Observer) -> None:
    first, second = await _part(observer)
    await observer.perform(
        Dial(
            leg="check-armed",
            target=observer.lab.answering,
            on_behalf_of=first,
            ring_timeout_s=15.0,
        )
    )
    await observer.proof(LegCreated, "Dial creates the leg", leg="check-armed")
    await observer.perform(Arm(leg="check-armed", rescue=second))
    await observer.joined("check-armed", second, "an armed target takes the other on its answer")
    await observer.lab.hang_up(second)
    await observer.proof(LegHungUp, "what it took is an ordinary call", leg="check-armed")


async def _a_released_pair(observer: _Observer) -> None:
    first, second = await _part(observer)
    target = await _target(observer, first)
    await observer.perform(
        Join(first=first, second=target, afterwards=Afterwards.PARK, rescue=second)
    )
    await observer.joined(first, target, "Join joins")
    await observer.perform(
        Introduce(first=first, second=target, first_number="1001", second_number="1003")
    )
    await observer.perform(Release(first=first, second=target))
    await observer.proof(LegsReleased, "Release is proven", first=first, second=target)
    await observer.lab.hang_up(target)
    await observer.proof(LegHungUp, "a released pair ends together", leg=first)


async def _failures(observer: _Observer) -> None:
    first, _second = await _part(observer)
    for leg, number, timeout_s in (
        ("check-busy", observer.lab.busy, 15.0),
        ("check-never", observer.lab.never, 3.0),
    ):
        await observer.perform(
            Dial(leg=leg, target=number, on_behalf_of=first, ring_timeout_s=timeout_s)
        )
        ended = await observer.proof(LegHungUp, "a Dial that fails ends its leg", leg=leg)
        wanted = "USER_BUSY" if leg == "check-busy" else "NO_ANSWER"
        _require(ended.cause == wanted, f"the cause is told: {wanted}, not {ended.cause}")
    await observer.perform(HangUp(leg="check-nobody"))
    promise = "HangUp of nobody tells that there is nobody"
    await observer.proof(LegHungUp, promise, leg="check-nobody")
    join = Join(first=first, second="check-nobody", afterwards=Afterwards.END)
    await observer.perform(join)
    failed = await observer.proof(CommandFailed, "an order that is refused is told")
    _require(failed.command == join, "the failed command comes back as it was given")
    await observer.perform(Park(leg=first))
    await observer.proof(LegParked, "Park parks", leg=first)


CHECKS = (
    _the_life_of_a_call,
    _parting_and_sounds,
    _a_consultation,
    _repeated_orders,
    _taking_out_of_a_bridge,
    _the_failsafe,
    _an_armed_target,
    _a_released_pair,
    _failures,
)
"""Each check opens its own lab."""
