"""Checks of survival: a broken connection, another controller, another program."""

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
"""How long to check that a restored connection is neither lost nor found again."""


async def _a_line_that_breaks(scene: Scene) -> None:
    first, second = await scene.part()
    talking = await scene.call()
    leaving = await scene.call()
    scene.forget()
    promise = "after a broken connection everything is reported again"
    await scene.lab.cut_line()
    scene.was_cut = True
    await scene.hang_up(leaving[0])
    await scene.proof(e.SwitchLost, "SwitchLost is reported when the connection breaks")
    await _is_back(scene)
    await scene.proof(e.SwitchFound, "SwitchFound is reported when the connection is back")
    events = scene.news()
    kinds = [type(event) for event in events]
    anew = events[kinds.index(e.SwitchLost) : kinds.index(e.SwitchFound)]
    for leg in (first, second, *talking):
        require(_has(anew, e.LegCreated, leg), f"{promise}: {leg} lives, but {anew}")
    for leg in (first, second):
        require(_has(anew, e.LegParked, leg), f"{promise}: {leg} is parked, but {anew}")
    require(_has(anew, e.LegsJoined, talking[0]), f"{promise}: {talking[0]} talks, but {anew}")
    for leg in leaving:
        # a hang-up may take longer than the reconnection
        await scene.proof(e.LegHungUp, f"{promise}: {leg} has left meanwhile", leg=leg)
    await scene.agree()
    await scene.press(talking[0], "4")
    if scene.can.reports_keys_in_calls:
        await scene.proof(e.DigitPressed, "a restored connection works", leg=talking[0], digit="4")
    await trio.sleep(SILENCE_S)
    line = [fact for _, fact in scene.facts() if isinstance(fact, e.SwitchLost | e.SwitchFound)]
    kinds = [type(event) for event in line]
    promise = "a connection that broke once is lost once and found once"
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
    raise AssertionError("a broken connection comes back: the switch does not answer")


def _has(events: list[e.CallEvent], kind: type[e.CallEvent], leg: e.LegId) -> bool:
    return any(isinstance(event, kind) and leg in legs_of(event) for event in events)


async def _another_controller(scene: Scene) -> None:
    promise = "another controller finds all living legs and their marks"
    first, second = await scene.part(transfer=scene.name, kind="attended")
    talking = await scene.call()
    marked = await scene.living()
    async with scene.lab.second() as backend:
        events: list[e.CallEvent] = []
        stream = backend.events()
        with trio.move_on_after(TIMEOUT_S):
            async for event in stream:
                events.append(event)
                if isinstance(event, e.SwitchFound):
                    break
        if isinstance(stream, AsyncGenerator):
            await stream.aclose()
        require(bool(events) and isinstance(events[-1], e.SwitchFound), f"{promise}, but {events}")
        for leg in (first, second, *talking):
            require(_has(events, e.LegCreated, leg), f"{promise}: {leg} lives, but {events}")
        for leg in (first, second):
            require(_has(events, e.LegParked, leg), f"{promise}: {leg} is parked, but {events}")
        require(_has(events, e.LegsJoined, talking[0]), f"{promise}: two talk, but {events}")
        found = {leg.leg: leg for leg in await backend.snapshot() if leg.leg in scene.legs}
        require(found == marked, f"{promise}: {marked}, but {found}")
        if scene.can.marks_legs:
            require(found[first].transfer == scene.name, f"{promise}, but {found[first]}")


async def _another_program(scene: Scene) -> None:
    promise = "a leg that another program took away is not reported as parked"
    first, second = await scene.part()
    await scene.lab.take_away(second)
    await scene.eventually(second, promise, parked=False, elsewhere=True)
    look = Look(legs=(first, second), transfer=scene.name, number=0)
    await scene.perform(look)
    seen = await scene.proof(e.LegsSeen, "Look is answered", look=look)
    away = [leg.leg for leg in seen.living if leg.elsewhere]
    require(away == [second], f"{promise}, but {seen}")


CHECKS = (
    Check(
        "After a broken connection everything is reported again", _a_line_that_breaks, is_alone=True
    ),
    Check("Another controller finds everything", _another_controller, is_alone=True),
    Check("Moves by another program are reported", _another_program, ("reports_moves",)),
)
