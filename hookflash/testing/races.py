"""Races: a party hangs up a few milliseconds before or after a command.

The outcome of the call is open: the command may come first, or the hang-up. But in any case the
switch continues to answer, ended legs are reported, the facts and the answer to `Look` agree, and
no leg is left alone and out of reach: a leg without a partner is parked, or the controller can park
or end it.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, TypeAlias

import attrs
import trio

from hookflash import commands as c
from hookflash.events import LegAnswered, LegHungUp, LegId, LegsSeen
from hookflash.testing.observer import END, PARK, TALK_S, Check, Scene
from hookflash.testing.reported import TIMEOUT_S, require

LADDER_S: Final = (0.0, 0.0005, 0.001, 0.002, 0.003, 0.005, -0.0005, -0.001, -0.002, -0.005)
"""The time from a command to the hang-up; negative: the hang-up comes first."""

SETTLES_S: Final = 0.5
"""How long after a race its result is checked."""

OUT_OF_REACH_S: Final = 25.0
"""How long a leg may ignore orders after its partner died during their join: FreeSWITCH, 20 s."""

Race: TypeAlias = Callable[[Scene, float, int], Awaitable[None]]
"""Runs a race, with the delay and the index of the party that hangs up."""


async def _around(
    scene: Scene, order: Callable[[], Awaitable[None]], leg: LegId, after_s: float
) -> None:
    """Send a command, and let a party hang up after a delay."""

    async def leave() -> None:
        if after_s > 0:
            await trio.sleep(after_s)
        await scene.hang_up(leg)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave)
        if after_s < 0:
            await trio.sleep(-after_s)
        await order()


async def _split(scene: Scene, after_s: float, who: int) -> None:
    legs = await scene.call()
    await trio.sleep(TALK_S)
    split = c.Split(first=legs[0], second=legs[1])
    await _around(scene, lambda: scene.perform(split), legs[who], after_s)


async def _join(scene: Scene, after_s: float, who: int) -> None:
    legs = await scene.part()
    await trio.sleep(TALK_S)
    join = c.Join(first=legs[0], second=legs[1], afterwards=PARK)
    await _around(scene, lambda: scene.perform(join), legs[who], after_s)


async def _join_of_a_target(scene: Scene, after_s: float, who: int) -> None:
    first, second = await scene.part()
    target = await scene.target(first)
    rescue = second if scene.can.rescues_when_left else None
    join = c.Join(first=first, second=target, afterwards=PARK, rescue=rescue)
    await _around(scene, lambda: scene.perform(join), (first, target)[who], after_s)


async def _takeback(scene: Scene, after_s: float, who: int) -> None:
    first, second = await scene.part()
    target = await scene.target(first)
    await scene.join(first, target, PARK)
    await trio.sleep(TALK_S)
    join = c.Join(first=first, second=second, attempt=2, afterwards=END)
    await _around(scene, lambda: scene.perform(join), (first, target)[who], after_s)


async def _answer(scene: Scene, after_s: float, who: int) -> None:
    first, second = await scene.part()
    target = await scene.dial(first)
    if scene.can.rescues_on_answer and who == 0:
        await scene.perform(c.Arm(leg=target, rescue=second))
    promise = "Dial reports the answer"
    await scene.proof(LegAnswered, promise, within_s=TIMEOUT_S, leg=target)
    await trio.sleep(abs(after_s))
    await scene.hang_up((second, target)[who])


async def _forget(scene: Scene, after_s: float, who: int) -> None:
    legs = await scene.part(transfer=scene.name)
    await scene.join(*legs, END)
    await trio.sleep(TALK_S)
    await _around(scene, lambda: scene.perform(c.Forget(legs=legs)), legs[who], after_s)


RACES: Final[dict[str, Race]] = {
    "Split": _split,
    "Join": _join,
    "the Join of a target": _join_of_a_target,
    "a takeback": _takeback,
    "an answer": _answer,
    "Forget": _forget,
}


async def _no_leg_is_lost(scene: Scene) -> None:
    """Require what must be true after every race, in either order."""
    await trio.sleep(SETTLES_S)
    await _reach(scene)
    await _hang_ups_arrive(scene)
    gone = scene.legs.keys() - (await scene.living()).keys()
    for leg in gone:
        await _is_reported(scene, leg)
    await scene.agree()
    living = await scene.living()
    alone = [leg for leg in living.values() if leg.answered and not leg.parked and not leg.peer]
    require(not alone, f"no leg is left alone, but {alone}")


async def _hang_ups_arrive(scene: Scene) -> None:
    """A phone may have to send its hang-up again: after half a second, and so on (RFC 3261, 17)."""
    living = await scene.living()
    with trio.move_on_after(TIMEOUT_S):
        while living.keys() & scene.left:
            await trio.sleep(0.1)
            living = await scene.living()
    left = living.keys() & scene.left
    require(not left, f"a leg ends when its party hangs up, but {left} of {living} live")


async def _is_reported(scene: Scene, leg: LegId) -> None:
    with trio.move_on_after(scene.lab.prompt_s):
        while leg not in _reported(scene):  # noqa: ASYNC110 - polled until the timeout
            await trio.sleep(0.02)
        return
    raise AssertionError(f"the end of a leg is reported, but not that of {leg}")


def _reported(scene: Scene) -> set[LegId]:
    return {event.leg for _, event in scene.facts() if isinstance(event, LegHungUp)}


async def _reach(scene: Scene) -> None:
    """Act as a controller: ask, park legs without a partner, and in the end hang up."""
    numbers = iter(range(1000, 2000))
    with trio.move_on_after(OUT_OF_REACH_S):
        while adrift := await _adrift(scene, next(numbers)):
            for leg in adrift:
                await scene.perform(c.Park(leg=leg))
            await trio.sleep(scene.lab.prompt_s)
        return
    for leg in await _adrift(scene, next(numbers)):
        await scene.perform(c.HangUp(leg=leg))
    await trio.sleep(scene.lab.prompt_s)


async def _adrift(scene: Scene, number: int) -> list[LegId]:
    legs = tuple(scene.legs)
    look = c.Look(legs=legs, transfer=scene.name, number=number)
    await scene.perform(look)
    seen = await scene.proof(LegsSeen, "after a race the switch answers", look=look)
    return [
        leg.leg
        for leg in seen.living
        if leg.answered and not leg.parked and leg.peer is None and not leg.elsewhere
    ]


@attrs.frozen
class _Lap:
    """One race, ready to run."""

    race: Race
    after_s: float
    who: int

    async def __call__(self, scene: Scene) -> None:
        scene.is_raced = True
        await self.race(scene, self.after_s, self.who)
        await _no_leg_is_lost(scene)


def laps(tries: int, seed: int) -> Iterator[Check]:
    """Draw races: each kind in turn, for each of the two parties, with drawn delays.

    Args:
        tries: how many of each kind, for each of the two parties that hang up.
        seed: the seed of the draw. The same seed gives the same races.
    """
    dice = random.Random(seed)  # noqa: S311 - a draw that must be repeatable
    for _ in range(tries):
        for name, race in RACES.items():
            for who in (0, 1):
                after_s = dice.choice(LADDER_S)
                side = ("the first", "the second")[who]
                when = f"{abs(after_s) * 1000:g} ms {'before' if after_s < 0 else 'after'}"
                yield Check(f"{side} hangs up {when} {name}", _Lap(race, after_s, who))
