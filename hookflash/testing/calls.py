"""Checks of reports: the life of a call, a target's call, questions, marks, and sounds."""

from __future__ import annotations

import trio

from hookflash import commands as c
from hookflash import events as e
from hookflash.backends.base import LOST_TRACK
from hookflash.testing.lab import NotInThisLab
from hookflash.testing.observer import A_WHILE_S, END, Check, Scene
from hookflash.testing.reported import TIMEOUT_S, require

NOBODY = "check-nobody"
"""A leg that does not exist."""


async def _the_life_of_a_call(scene: Scene) -> None:
    first, second = await scene.call()
    living = await scene.living()
    require(living.keys() == {first, second}, "the snapshot lists every living leg")
    require(living[first].peer == second, "the snapshot has each leg's partner")
    require(living[first].answered, "the snapshot has the answered legs")
    seen = scene.said()
    for leg, direction, number in (
        (first, e.Direction.INBOUND, scene.lab.caller),
        (second, e.Direction.OUTBOUND, scene.lab.called),
    ):
        promise = f"LegCreated has the leg's direction: {direction}, not {seen[leg]}"
        require(seen[leg].direction is direction, promise)
        if number:
            require(seen[leg].number == number, f"the number is right: {number}, not {seen[leg]}")
        else:
            scene.skip("the numbers of an ordinary call", "the lab does not give them")
    await scene.agree()
    if scene.can.reports_keys_in_calls:
        for leg, digit in ((first, "5"), (second, "#")):
            await scene.press(leg, digit)
            await scene.proof(e.DigitPressed, "a key is reported", leg=leg, digit=digit)
    await scene.hang_up(first)
    await scene.proof(e.LegHungUp, "a hang-up is reported", leg=first)
    await scene.proof(e.LegHungUp, "an ordinary call ends for both", leg=second)
    require(not await scene.living(), "the snapshot omits ended legs")


async def _keys_of_the_parked(scene: Scene) -> None:
    first, second = await scene.part()
    for digit, leg in (("*", first), ("2", second)):
        await scene.press(leg, digit)
        await scene.proof(e.DigitPressed, "keys of a parked leg are reported", leg=leg, digit=digit)


async def _a_target(scene: Scene) -> None:
    first, _ = await scene.part()
    leg = await scene.dial(first)
    if scene.can.reports_ringing:
        await scene.proof(e.LegProgressed, "Dial reports that the phone rings", leg=leg)
        require(not (await scene.living())[leg].answered, "a ringing leg has not answered")
    await scene.agree()
    await scene.proof(e.LegAnswered, "Dial reports the answer", within_s=TIMEOUT_S, leg=leg)
    await scene.proof(e.LegParked, "Dial parks the answered leg", leg=leg)
    seen = scene.said()[leg]
    promise = f"a target has the number that was called, not {seen.number}"
    require(seen.number == scene.lab.answering, promise)
    promise = f"a target is called by the switch, not {seen.direction}"
    require(seen.direction is e.Direction.OUTBOUND, promise)
    await scene.agree()
    await scene.hang_up(leg)
    await scene.proof(e.LegHungUp, "a hang-up is reported", leg=leg)
    await scene.agree()


async def _calls_that_fail(scene: Scene) -> None:
    first, _ = await scene.part()
    busy = await scene.dial(first, number=scene.lab.busy)
    never = await scene.dial(first, number=scene.lab.never, ring_timeout_s=3.0)
    for leg, wanted in ((busy, "USER_BUSY"), (never, "NO_ANSWER")):
        promise = "a failed Dial ends its leg"
        ended = await scene.proof(e.LegHungUp, promise, within_s=TIMEOUT_S, leg=leg)
        require(ended.cause == wanted, f"the cause is reported: {wanted}, not {ended.cause}")
    await scene.agree()


async def _hang_ups(scene: Scene) -> None:
    first, second = await scene.part()
    ringing = await scene.dial(first, number=scene.lab.never)
    for leg, cause, promise in (
        (ringing, "ORIGINATOR_CANCEL", "HangUp ends a ringing leg"),
        (second, "CALL_REJECTED", "HangUp ends a parked leg"),
    ):
        await scene.perform(c.HangUp(leg=leg, cause=cause))
        ended = await scene.proof(e.LegHungUp, promise, leg=leg)
        require(ended.cause == cause, f"the cause is kept: {cause}, not {ended.cause}")
    scene.legs[NOBODY + scene.name] = None
    await scene.perform(c.HangUp(leg=NOBODY + scene.name))
    promise = "HangUp of a leg that does not exist is answered by LegHungUp"
    await scene.proof(e.LegHungUp, promise, leg=NOBODY + scene.name)
    await scene.watch(A_WHILE_S, "HangUp ends one leg, once", e.LegHungUp)
    await scene.agree()


async def _a_hang_up_in_a_call(scene: Scene) -> None:
    first, second = await scene.call()
    await scene.perform(c.HangUp(leg=second))
    await scene.proof(e.LegHungUp, "HangUp ends a joined leg", leg=second)
    await scene.proof(e.LegHungUp, "an ordinary call ends for both", leg=first)


async def _early_media(scene: Scene) -> None:
    number = scene.lab.early_media
    if not number:
        raise NotInThisLab("a number that sends early media")
    first, _ = await scene.part()
    leg = await scene.dial(first, number=number)
    promise = "early media is reported"
    await scene.proof(e.LegProgressed, promise, within_s=TIMEOUT_S, leg=leg, early_media=True)


async def _outside(scene: Scene) -> None:
    number = scene.lab.outside
    if not number:
        raise NotInThisLab("a number that is reached over a trunk")
    first, _ = await scene.part()
    leg = await scene.dial(first, number=number)
    await scene.eventually(leg, "the snapshot marks outside parties", outside=True)
    seen = [getattr(event, "outside", None) for _, event in scene.facts() if _is_of(event, leg)]
    require(True in seen, "LegCreated or LegIdentified marks outside parties")
    await scene.agree()


def _is_of(event: object, leg: e.LegId) -> bool:
    return getattr(event, "leg", None) == leg


async def _questions(scene: Scene) -> None:
    first, second = await scene.call()
    seen = await scene.look(first)
    require(seen.keys() == {first, second}, "LegsSeen has the requested leg and its partner")
    require(seen[first].peer == second, "LegsSeen has each leg's partner")
    await scene.agree()
    await scene.split(first, second)
    seen = await scene.look(first, second, NOBODY)
    require(seen.keys() == {first, second}, "LegsSeen omits legs that do not exist")
    require(all(leg.parked for leg in seen.values()), "LegsSeen has the parked legs")
    seen = await scene.look(second)
    require(seen.keys() == {second}, "LegsSeen has only the requested legs and their partners")
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
    promise = "LegsSeen comes after every earlier event of the switch"
    require(e.LegHungUp in kinds[: kinds.index(e.LegsSeen) + 1], promise)
    await scene.agree()


async def _an_end_that_is_looked_at(scene: Scene) -> None:
    legs = await scene.call()
    await scene.hang_up(legs[0])
    with trio.move_on_after(scene.lab.prompt_s):
        while scene.said():
            await scene.look(*legs)
            await trio.sleep(0.001)
    causes = {fact.leg: fact.cause for _, fact in scene.facts() if isinstance(fact, e.LegHungUp)}
    require(causes.keys() == {*legs}, "LegHungUp comes, even if a leg is looked at as it ends")
    promise = f"LegHungUp has its cause, even if a leg is looked at as it ends: {causes}"
    require(LOST_TRACK not in causes.values(), promise)


async def _marks(scene: Scene) -> None:
    first, second = await scene.call()
    transfer = scene.name
    await scene.split(first, second, transfer=transfer, kind="attended")
    target = await scene.dial(first, number=scene.lab.never, transfer=transfer)
    roles = {first: "transferor", second: "transferee", target: "target"}
    for leg, role in roles.items():
        promise = f"the {role}'s mark is in the snapshot"
        kind = {} if leg == target else {"kind": "attended"}
        await scene.eventually(leg, promise, transfer=transfer, role=role, **kind)
    marked = {leg: _marks_on(seen) for leg, seen in (await scene.look(*roles)).items()}
    listed = {leg: _marks_on(seen) for leg, seen in (await scene.living()).items()}
    require(marked == listed, f"the marks are in LegsSeen: {listed}, but {marked}")
    await scene.perform(c.HangUp(leg=target))
    await scene.join(first, second, END)
    await scene.eventually(first, "a join keeps the marks", transfer=transfer)
    await scene.perform(c.Forget(legs=(first, second)))
    for leg in (first, second):
        await scene.eventually(leg, "Forget removes the marks", transfer="", role="")
    await scene.agree()
    await scene.hang_up(second)
    await scene.proof(e.LegHungUp, "after Forget the call is an ordinary one", leg=first)


def _marks_on(leg: e.LegSnapshot) -> tuple[str, str, str]:
    return leg.transfer, leg.role, leg.kind


async def _sounds(scene: Scene) -> None:
    first, second = await scene.call()
    await scene.split(first, second)
    await scene.proof(e.LegsSeparated, "Split separates the pair")
    await scene.perform(c.HoldWithMusic(leg=second, music=scene.lab.music))
    await scene.proof(e.SoundStarted, "music is reported when it plays", leg=second)
    promise = "endless music continues"
    await scene.watch(A_WHILE_S, promise, e.SoundStopped, e.LegParked, e.SoundStarted)
    await scene.agree()
    scene.forget()
    await scene.perform(c.PlayRingback(leg=second, ringback=scene.lab.ringback))
    await scene.proof(e.SoundStopped, "a sound that is cut off is reported", leg=second)
    promise = "a newer sound replaces an endless one"
    await scene.proof(e.SoundStarted, promise, leg=second)
    await scene.watch(A_WHILE_S, "endless ringback continues", e.SoundStopped, e.SoundStarted)
    await scene.agree()
    scene.forget()
    await scene.perform(c.PlayTone(leg=first, tone=scene.lab.tone))
    await scene.proof(e.SoundStarted, "a tone is reported when it plays", leg=first)
    within_s = scene.lab.tone_s + scene.lab.prompt_s
    await scene.proof(e.SoundStopped, "the end of a tone is reported", within_s=within_s, leg=first)
    await scene.watch(A_WHILE_S, "a tone is played once", e.SoundStarted)
    await scene.agree()
    await scene.join(first, second, END, "Join takes parked legs while sounds play")
    await trio.sleep(A_WHILE_S)
    seen = [
        type(fact) for _, fact in scene.facts() if isinstance(fact, e.SoundStarted | e.SoundStopped)
    ]
    promise = "a sound that a join cuts off is reported"
    require(seen.count(e.SoundStarted) == seen.count(e.SoundStopped), promise)
    await scene.agree()
    await scene.hang_up(second)
    await scene.proof(e.LegHungUp, "afterwards END: the call ends for both", leg=first)


async def _displays(scene: Scene) -> None:
    first, second = await scene.part()
    await scene.perform(c.Join(first=first, second=second, afterwards=END))
    # at once: the switch's own display update must not have the last word
    await scene.perform(
        c.Introduce(first=first, second=second, first_number="1771", second_number="1772")
    )
    await scene.joined(first, second, "Join joins")
    promise = "Introduce shows a phone its other party"
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
    join = c.Join(first=second, second=target, afterwards=END, undisclosed=(target,))
    await scene.perform(join)
    await scene.joined(second, target, "Join joins")
    await trio.sleep(A_WHILE_S)
    now = await scene.lab.number_shown(target)
    require(now == shown, f"undisclosed: a phone shows nothing new, but {shown} became {now}")


CHECKS = (
    Check("An ordinary call is reported from beginning to end", _the_life_of_a_call),
    Check("A target is called, and parked when it answers", _a_target),
    Check("A failed call has its cause", _calls_that_fail),
    Check("HangUp ends a leg in any state, with its cause", _hang_ups),
    Check("HangUp ends a call", _a_hang_up_in_a_call),
    Check("Look is answered correctly", _questions),
    Check("Look hides no end", _an_end_that_is_looked_at),
    Check("Sounds play, end, and replace one another", _sounds),
    Check("Marks stay until Forget removes them", _marks, ("marks_legs",)),
    Check("Keys of a parked leg are reported", _keys_of_the_parked, ("reports_keys_of_parked",)),
    Check("Early media is reported", _early_media, ("reports_ringing", "reports_early_media")),
    Check("An outside party is reported", _outside, ("reports_outside",)),
    Check("Phones show their other party", _displays, ("introduces",)),
    Check("A phone in undisclosed shows nothing new", _discretion, ("keeps_discreet",)),
)
