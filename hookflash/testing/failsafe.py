"""Checks of the failsafe: what the switch does by itself, and what it must no longer do."""

from __future__ import annotations

import trio

from hookflash import commands as c
from hookflash.events import LegHungUp, LegId, LegParked, LegsJoined, LegsReleased
from hookflash.testing.observer import END, FAILSAFE_S, PARK, TALK_S, Check, Scene
from hookflash.testing.reported import TIMEOUT_S, require

_LEFT = ("rescues_when_left",)
_ANSWER = ("rescues_on_answer",)


async def _consult(scene: Scene) -> tuple[LegId, LegId, LegId]:
    """A consultation whose target is armed."""
    first, second = await scene.part()
    target = await scene.target(first)
    await scene.join(first, target, PARK, rescue=second)
    await trio.sleep(TALK_S)
    return first, second, target


async def _rescued(scene: Scene, one: LegId, other: LegId, promise: str) -> None:
    await scene.joined(one, other, promise, within_s=TIMEOUT_S)
    await trio.sleep(TALK_S)
    await scene.agree()
    await scene.hang_up(other)
    # at once, or after its own failsafe has found no leg
    promise = "a call that the failsafe has joined ends for both"
    await scene.proof(LegHungUp, promise, within_s=TIMEOUT_S, leg=one)


async def _is_left_alone(scene: Scene, leg: LegId, promise: str) -> None:
    """Require that no failsafe fetches a leg."""
    await scene.watch(FAILSAFE_S, promise, LegsJoined)
    living = await scene.living()
    require(leg in living, f"{promise}: it stays parked, but is gone")
    require(living[leg].parked, f"{promise}: it stays parked, but {living[leg]}")


async def _the_failsafe(scene: Scene) -> None:
    first, second, target = await _consult(scene)
    await scene.hang_up(first)
    await _rescued(scene, target, second, "the failsafe joins the two by itself")


async def _a_first_that_is_armed(scene: Scene) -> None:
    first, second, target = await _consult(scene)
    await scene.perform(c.Arm(leg=first, rescue=second, when=c.Trigger.LEFT_ALONE))
    await trio.sleep(TALK_S)
    await scene.hang_up(target)
    promise = "a leg armed by Arm LEFT_ALONE takes the other when its partner leaves"
    await _rescued(scene, first, second, promise)


async def _an_armed_target(scene: Scene) -> None:
    first, second = await scene.part()
    target = await scene.dial(first)
    await scene.perform(c.Arm(leg=target, rescue=second))
    await _rescued(scene, target, second, "an armed target takes the other on its answer")


async def _a_takeback(scene: Scene) -> None:
    first, second, target = await _consult(scene)
    await scene.join(
        first,
        second,
        END,
        "Join takes a leg with a failsafe out of a bridge",
        attempt=2,
        disarm=(first, target),
        rescued=second,
    )
    await scene.proof(LegParked, "the leg that a takeback leaves behind is parked", leg=target)
    promise = "a disarmed leg takes no other leg"
    await scene.watch(FAILSAFE_S, promise, LegsJoined, LegHungUp)
    await scene.agree()
    await scene.perform(c.HangUp(leg=target))
    await scene.proof(LegHungUp, "HangUp ends a leg", leg=target)
    await scene.hang_up(first)
    await scene.proof(LegHungUp, "the call is an ordinary one", leg=second)


async def _a_released_pair(scene: Scene) -> None:
    first, second, target = await _consult(scene)
    # in this order: after the release no leg is armed
    await scene.perform(c.Arm(leg=first, rescue=second, when=c.Trigger.LEFT_ALONE))
    await scene.perform(c.Release(first=first, second=target))
    await scene.proof(LegsReleased, "Release is proven", first=first, second=target)
    await scene.hang_up(target)
    await scene.proof(LegHungUp, "a released pair ends together", leg=first)
    await _is_left_alone(scene, second, "a released pair takes no other leg")


async def _a_pair_released_by_its_first(scene: Scene) -> None:
    first, second, target = await _consult(scene)
    await scene.perform(c.Release(first=first, second=target))
    await scene.proof(LegsReleased, "Release is proven", first=first, second=target)
    await scene.hang_up(first)
    await scene.proof(LegHungUp, "a released pair ends together", leg=target)
    await _is_left_alone(scene, second, "a released pair takes no other leg")


async def _a_forgotten_pair(scene: Scene) -> None:
    first, second, target = await _consult(scene)
    await scene.perform(c.Forget(legs=(first, target)))
    await trio.sleep(TALK_S)
    await scene.hang_up(first)
    await scene.proof(LegHungUp, "a hang-up is reported", leg=first)
    await _is_left_alone(scene, second, "a forgotten leg takes no other leg")


CHECKS = (
    Check("The failsafe joins the remaining legs", _the_failsafe, _LEFT),
    Check("Arm LEFT_ALONE arms a joined leg", _a_first_that_is_armed, _LEFT),
    Check("Arm arms a ringing target", _an_armed_target, _ANSWER),
    Check("A takeback disarms", _a_takeback, _LEFT),
    Check("Release disarms; the last order counts", _a_released_pair, _LEFT),
    Check("Release disarms the second", _a_pair_released_by_its_first, _LEFT),
    Check("Forget disarms", _a_forgotten_pair, _LEFT),
)
