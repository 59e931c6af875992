"""Checks of what is told: the life of a call, a target's call, questions, marks, and sounds."""

from __future__ import annotations

import trio

from hookflash import commands as c
from hookflash import events as e
from hookflash.testing.lab import NotInThisLab
from hookflash.testing.observer import A_WHILE_S, Check, Scene
from hookflash.testing.reported import TIMEOUT_S, require

NOBODY = "check-nobody"
"""A leg that does not exist."""


async def _the_life_of_a_call(scene: Scene) -> None:
    first, second = await scene.call()
    living = await scene.living()
    require(living.keys() == {first, second}, "the snapshot lists every leg that lives")
    require(living[first].peer == second, "the snapshot says who talks with whom")
    require(living[first].answered, "the snapshot says who has answered")
    told = scene.said()
    for leg, direction, number in (
        (first, e.Direction.INBOUND, scene.lab.caller),
        (second, e.Direction.OUTBOUND, scene.lab.called),
    ):
        promise = f"LegCreated says who calls and who is called: {direction}, not {told[leg]}"
        require(told[leg].direction is direction, promise)
        if number:
            require(told[leg].number == number, f"the number is told: {number}, not {told[leg]}")
        else:
            scene.skip("the numbers of an ordinary call", "the lab does not say them")
    await scene.agree()
    if scene.can.reports_keys_in_calls:
        for leg, digit in ((first, "5"), (second, "#")):
            await scene.press(leg, digit)
            await scene.proof(e.DigitPressed, "keys are told on their leg", leg=leg, digit=digit)
    await scene.hang_up(first)
    await scene.proof(e.LegHungUp, "a hang-up is told", leg=first)
    await scene.proof(e.LegHungUp, "an ordinary call ends for both", leg=second)
    require(not await scene.living(), "the snapshot leaves out whoever is gone")


async def _keys_of_the_parked(scene: Scene) -> None:
    first, second = await scene.part()
    for digit, leg in (("*", first), ("2", second)):
        await scene.press(leg, digit)
        await scene.proof(e.DigitPressed, "keys of a parked leg are told", leg=leg, digit=digit)


async def _a_target(scene: Scene) -> None:
    first, _ = await scene.part()
    leg = await scene.dial(first)
    if scene.can.reports_ringing:
        await scene.proof(e.LegProgressed, "Dial tells that the phone rings", leg=leg)
        require(not (await scene.living())[leg].answered, "who rings has not answered")
    await scene.agree()
    await scene.proof(e.LegAnswered, "Dial tells of the answer", within_s=TIMEOUT_S, leg=leg)
    await scene.proof(e.LegParked, "Dial parks the leg that has answered", leg=leg)
    told = scene.said()[leg]
    promise = f"a target has the number that was called, not {told.number}"
    require(told.number == scene.lab.answering, promise)
    promise = f"a target is called by the switch, not {told.direction}"
    require(told.direction is e.Direction.OUTBOUND, promise)
    await scene.agree()
    await scene.hang_up(leg)
    await scene.proof(e.LegHungUp, "a hang-up is told", leg=leg)
    await scene.agree()


async def _calls_that_fail(scene: Scene) -> None:
    first, _ = await scene.part()
    busy = await scene.dial(first, number=scene.lab.busy)
    never = await scene.dial(first, number=scene.lab.never, ring_timeout_s=3.0)
    for leg, wanted in ((busy, "USER_BUSY"), (never, "NO_ANSWER")):
        promise = "a Dial that fails ends its leg"
        ended = await scene.proof(e.LegHungUp, promise, within_s=TIMEOUT_S, leg=leg)
        require(ended.cause == wanted, f"the cause is told: {wanted}, not {ended.cause}")
    await scene.agree()


async def _hang_ups(scene: Scene) -> None:
    first, second = await scene.part()
    ringing = await scene.dial(first, number=scene.lab.never)
    for leg, cause, promise in (
        (ringing, "ORIGINATOR_CANCEL", "HangUp ends a leg that rings"),
        (second, "CALL_REJECTED", "HangUp ends a parked leg"),
    ):
        await scene.perform(c.HangUp(leg=leg, cause=cause))
        ended = await scene.proof(e.LegHungUp, promise, leg=leg)
        require(ended.cause == cause, f"the cause is kept: {cause}, not {ended.cause}")
    scene.legs[NOBODY + scene.name] = None
    await scene.perform(c.HangUp(leg=NOBODY + scene.name))
    promise = "HangUp of nobody tells that there is nobody"
    await scene.proof(e.LegHungUp, promise, leg=NOBODY + scene.name)
    await scene.watch(A_WHILE_S, "HangUp ends one leg, once", e.LegHungUp)
    await scene.agree()


async def _a_hang_up_in_a_call(scene: Scene) -> None:
    first, second = await scene.call()
    await scene.perform(c.HangUp(leg=second))
    await scene.proof(e.LegHungUp, "HangUp ends a leg that talks", leg=second)
    await scene.proof(e.LegHungUp, "an ordinary call ends for both", leg=first)


async def _early_media(scene: Scene) -> None:
    number = scene.lab.early_media
    if not number:
        raise NotInThisLab("a number that sends early media")
    first, _ = await scene.part()
    leg = await scene.dial(first, number=number)
    promise = "early media is told"
    await scene.proof(e.LegProgressed, promise, within_s=TIMEOUT_S, leg=leg, early_media=True)


async def _outside(scene: Scene) -> None:
    number = scene.lab.outside
    if not number:
        raise NotInThisLab("a number that is reached over a trunk")
    first, _ = await scene.part()
    leg = await scene.dial(first, number=number)
    await scene.eventually(leg, "the snapshot says who is outside", outside=True)
    told = [getattr(event, "outside", None) for _, event in scene.facts() if _is_of(event, leg)]
    require(True in told, "LegCreated or LegIdentified says who is outside")
    await scene.agree()


def _is_of(event: object, leg: e.LegId) -> bool:
    return getattr(event, "leg", None) == leg


async def _questions(scene: Scene) -> None:
    first, second = await scene.call()
    seen = await scene.look(first)
    require(seen.keys() == {first, second}, "LegsSeen has who was asked for, and the one's partner")
    require(seen[first].peer == second, "LegsSeen says who talks with whom")
    await scene.agree()
    await scene.perform(c.Split(first=first, second=second))
    await scene.proof(e.LegParked, "Split parks the first", leg=first)
    await scene.proof(e.LegParked, "Split parks the second", leg=second)
    seen = await scene.look(first, second, NOBODY)
    require(seen.keys() == {first, second}, "LegsSeen leaves out who does not exist")
    require(all(leg.parked for leg in seen.values()), "LegsSeen says who is parked")
    seen = await scene.look(second)
    require(seen.keys() == {second}, "LegsSeen has no more than was asked for, and partners")
    await scene.agree()
    scene.forget()
    await scene.hang_up(first)
    with trio.move_on_after(scene.lab.prompt_s):
        while first in await scene.living():  # noqa: ASYNC110 - a snapshot has no event
            await trio.sleep(0.005)
    look = c.Look(legs=(first, second), transfer=scene.name, number=0)
    await scene.perform(look)
    await scene.proof(e.LegsSeen, "Look is answered", look=look)
    kinds = [type(event) for event in scene.news()]
    promise = "LegsSeen comes behind everything that the switch has told before"
    require(e.LegHungUp in kinds[: kinds.index(e.LegsSeen) + 1], promise)
    await scene.agree()


async def _marks(scene: Scene) -> None:
    first, second = await scene.call()
    transfer = scene.name
    await scene.perform(c.Split(first=first, second=second, transfer=transfer, kind="attended"))
    await scene.proof(e.LegParked, "Split parks the first", leg=first)
    await scene.proof(e.LegParked, "Split parks the second", leg=second)
    target = await scene.dial(first, number=scene.lab.never, transfer=transfer)
    roles = {first: "transferor", second: "transferee", target: "target"}
    for leg, role in roles.items():
        promise = f"the {role}'s mark stands in the snapshot"
        kind = {} if leg == target else {"kind": "attended"}
        await scene.eventually(leg, promise, transfer=transfer, role=role, **kind)
    marked = {leg: _marks_on(seen) for leg, seen in (await scene.look(*roles)).items()}
    listed = {leg: _marks_on(seen) for leg, seen in (await scene.living()).items()}
    require(marked == listed, f"the marks stand in LegsSeen: {listed}, but {marked}")
    await scene.perform(c.HangUp(leg=target))
    await scene.perform(c.Join(first=first, second=second, afterwards=c.Afterwards.END))
    await scene.joined(first, second, "Join joins")
    await scene.eventually(first, "a join leaves the marks alone", transfer=transfer)
    await scene.perform(c.Forget(legs=(first, second)))
    for leg in (first, second):
        await scene.eventually(leg, "Forget takes the marks off", transfer="", role="")
    await scene.agree()
    await scene.hang_up(second)
    await scene.proof(e.LegHungUp, "after Forget the call is an ordinary one", leg=first)


def _marks_on(leg: e.LegSnapshot) -> tuple[str, str, str]:
    return leg.transfer, leg.role, leg.kind


async def _sounds(scene: Scene) -> None:
    first, second = await scene.call()
    await scene.perform(c.Split(first=first, second=second))
    await scene.proof(e.LegsSeparated, "Split separates the pair")
    await scene.proof(e.LegParked, "Split parks the first", leg=first)
    await scene.proof(e.LegParked, "Split parks the second", leg=second)
    await scene.perform(c.HoldWithMusic(leg=second, music=scene.lab.music))
    await scene.proof(e.SoundStarted, "music is told when it plays", leg=second)
    promise = "endless music goes on"
    await scene.watch(A_WHILE_S, promise, e.SoundStopped, e.LegParked, e.SoundStarted)
    await scene.agree()
    scene.forget()
    await scene.perform(c.PlayRingback(leg=second, ringback=scene.lab.ringback))
    await scene.proof(e.SoundStopped, "a sound that is cut off is told", leg=second)
    promise = "a newer sound takes the place of an endless one"
    await scene.proof(e.SoundStarted, promise, leg=second)
    await scene.watch(A_WHILE_S, "endless ringback goes on", e.SoundStopped, e.SoundStarted)
    await scene.agree()
    scene.forget()
    await scene.perform(c.PlayTone(leg=first, tone=scene.lab.tone))
    await scene.proof(e.SoundStarted, "a tone is told when it plays", leg=first)
    within_s = scene.lab.tone_s + scene.lab.prompt_s
    await scene.proof(e.SoundStopped, "a tone that ends is told", within_s=within_s, leg=first)
    await scene.watch(A_WHILE_S, "a tone is played once", e.SoundStarted)
    await scene.agree()
    await scene.perform(c.Join(first=first, second=second, afterwards=c.Afterwards.END))
    await scene.joined(first, second, "Join takes parked legs, sounds and all")
    await trio.sleep(A_WHILE_S)
    told = [
        type(fact) for _, fact in scene.facts() if isinstance(fact, e.SoundStarted | e.SoundStopped)
    ]
    promise = "a sound that a join cuts off is told"
    require(told.count(e.SoundStarted) == told.count(e.SoundStopped), promise)
    await scene.agree()
    await scene.hang_up(second)
    await scene.proof(e.LegHungUp, "afterwards END: the call ends for both", leg=first)


async def _displays(scene: Scene) -> None:
    first, second = await scene.part()
    await scene.perform(c.Join(first=first, second=second, afterwards=c.Afterwards.END))
    # at once: what the switch lets a phone show by itself must not be the last word
    await scene.perform(
        c.Introduce(first=first, second=second, first_number="1771", second_number="1772")
    )
    await scene.joined(first, second, "Join joins")
    promise = "Introduce lets a phone show whom it talks with"
    for _ in ("soon", "in the end"):
        for leg, number in ((first, "1772"), (second, "1771")):
            await _shows(scene, leg, number, promise)
        await trio.sleep(A_WHILE_S)


async def _shows(scene: Scene, leg: e.LegId, number: str, promise: str) -> None:
    shown = ""
    with trio.move_on_after(scene.lab.prompt_s):
        while shown != number:
            await trio.sleep(0.05)
            shown = await scene.lab.number_shown(leg)
    require(shown == number, f"{promise}: {number}, not {shown}")


async def _discretion(scene: Scene) -> None:
    first, second = await scene.part()
    target = await scene.target(first)
    shown = await scene.lab.number_shown(target)
    join = c.Join(first=second, second=target, afterwards=c.Afterwards.END, undisclosed=(target,))
    await scene.perform(join)
    await scene.joined(second, target, "Join joins")
    await trio.sleep(A_WHILE_S)
    now = await scene.lab.number_shown(target)
    require(now == shown, f"undisclosed: a phone is told nothing, but {shown} became {now}")


CHECKS = (
    Check("An ordinary call is told from beginning to end", _the_life_of_a_call),
    Check("A target is called, and parked when it answers", _a_target),
    Check("A call that fails says why", _calls_that_fail),
    Check("HangUp ends a leg in any state, with its cause", _hang_ups),
    Check("HangUp ends a call", _a_hang_up_in_a_call),
    Check("Look is answered by the truth", _questions),
    Check("Sounds play, end and give way", _sounds),
    Check("Marks stand until Forget takes them off", _marks, ("marks_legs",)),
    Check("Keys of a parked leg are told", _keys_of_the_parked, ("reports_keys_of_parked",)),
    Check("Early media is told", _early_media, ("reports_ringing", "reports_early_media")),
    Check("An outside party is told", _outside, ("reports_outside",)),
    Check("Phones show whom they talk with", _displays, ("introduces",)),
    Check("A phone in undisclosed is told nothing", _discretion, ("keeps_discreet",)),
)
