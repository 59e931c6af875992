"""Checks of what survives: a line that breaks, another controller, another program."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final

import trio

from hookflash import events as e
from hookflash.commands import Look
from hookflash.errors import BackendClosed
from hookflash.testing.observer import Check, Scene
from hookflash.testing.reported import TIMEOUT_S, legs_of, require

SILENCE_S: Final = 2.5
"""How long it is watched whether a line that is back is lost or found again."""


async def _a_line_that_breaks(scene: Scene) -> None:
    first, second = await scene.part()
    talking = await scene.call()
    leaving = await scene.call()
    scene.forget()
    promise = "after a line that broke everything is told anew"
    await scene.lab.cut_line()
    scene.is_retold = True
    await scene.hang_up(leaving[0])
    await scene.proof(e.SwitchLost, "SwitchLost is told when the line breaks")
    await _is_back(scene)
    await scene.proof(e.SwitchFound, "SwitchFound is told when the line is back")
    told = scene.news()
    kinds = [type(event) for event in told]
    anew = told[kinds.index(e.SwitchLost) : kinds.index(e.SwitchFound)]
    for leg in (first, second, *talking):
        require(_is_told(anew, e.LegCreated, leg), f"{promise}: {leg} lives, but {anew}")
    for leg in (first, second):
        require(_is_told(anew, e.LegParked, leg), f"{promise}: {leg} is parked, but {anew}")
    require(_is_told(anew, e.LegsJoined, talking[0]), f"{promise}: who talks, but {anew}")
    for leg in leaving:
        # a hang-up may be slower than the line is to come back
        await scene.proof(e.LegHungUp, f"{promise}: who has left meanwhile", leg=leg)
    await scene.agree()
    await scene.press(talking[0], "4")
    if scene.can.reports_keys_in_calls:
        await scene.proof(
            e.DigitPressed, "a line that is back is in use", leg=talking[0], digit="4"
        )
    await trio.sleep(SILENCE_S)
    line = [fact for _, fact in scene.facts() if isinstance(fact, e.SwitchLost | e.SwitchFound)]
    kinds = [type(event) for event in line]
    promise = "a line that broke once is lost once and found once"
    require(kinds == [e.SwitchLost, e.SwitchFound], f"{promise}, but {line}")


async def _is_back(scene: Scene) -> None:
    """Wait until the switch can be asked again."""
    with trio.move_on_after(TIMEOUT_S):
        while True:
            try:
                await scene.backend.snapshot()
            except BackendClosed:
                await trio.sleep(0.02)
            else:
                return
    raise AssertionError("a line that broke comes back: the switch can't be asked")


def _is_told(events: list[e.CallEvent], kind: type[e.CallEvent], leg: e.LegId) -> bool:
    return any(isinstance(event, kind) and leg in legs_of(event) for event in events)


async def _another_controller(scene: Scene) -> None:
    promise = "another controller finds everything that lives, marks and all"
    first, second = await scene.part(transfer=scene.name, kind="attended")
    talking = await scene.call()
    marked = await scene.living()
    async with scene.lab.second() as backend:
        told: list[e.CallEvent] = []
        events = backend.events()
        with trio.move_on_after(TIMEOUT_S):
            async for event in events:
                told.append(event)
                if isinstance(event, e.SwitchFound):
                    break
        if isinstance(events, AsyncGenerator):
            await events.aclose()
        require(bool(told) and isinstance(told[-1], e.SwitchFound), f"{promise}, but {told}")
        for leg in (first, second, *talking):
            require(_is_told(told, e.LegCreated, leg), f"{promise}: {leg} lives, but {told}")
        for leg in (first, second):
            require(_is_told(told, e.LegParked, leg), f"{promise}: {leg} is parked, but {told}")
        require(_is_told(told, e.LegsJoined, talking[0]), f"{promise}: who talks, but {told}")
        found = {leg.leg: leg for leg in await backend.snapshot() if leg.leg in scene.legs}
        require(found == marked, f"{promise}: {marked}, but {found}")
        if scene.can.marks_legs:
            require(found[first].transfer == scene.name, f"{promise}, but {found[first]}")


async def _another_program(scene: Scene) -> None:
    promise = "a leg that another program took away is not said to be parked"
    first, second = await scene.part()
    await scene.lab.take_away(second)
    await scene.eventually(second, promise, parked=False, elsewhere=True)
    look = Look(legs=(first, second), transfer=scene.name, number=0)
    await scene.perform(look)
    seen = await scene.proof(e.LegsSeen, "Look is answered", look=look)
    away = [leg.leg for leg in seen.living if leg.elsewhere]
    require(away == [second], f"{promise}, but {seen}")


CHECKS = (
    Check("After a line that broke everything is told anew", _a_line_that_breaks, is_alone=True),
    Check("Another controller finds everything", _another_controller, is_alone=True),
    Check("What another program does is seen", _another_program, ("reports_moves",)),
)
