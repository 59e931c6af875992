"""Checks of joins and parks: who talks with whom, and what happens to the remaining legs."""

from __future__ import annotations

import attrs
import trio

from hookflash import commands as c
from hookflash import events as e
from hookflash.testing.observer import A_WHILE_S, END, PARK, TALK_S, Check, Scene
from hookflash.testing.reported import require


async def _a_consultation(scene: Scene) -> None:
    first, second = await scene.part()
    target = await scene.target(first)
    await scene.agree()
    await scene.join(first, target, PARK)
    moved = (e.LegsJoined, e.LegsSeparated, e.LegParked, e.LegHungUp)
    await scene.watch(A_WHILE_S, "joined legs stay joined", *moved)
    await scene.agree()
    await scene.hang_up(first)
    await scene.proof(e.LegHungUp, "a hang-up is reported", leg=first)
    await scene.proof(e.LegParked, "afterwards PARK: the remaining leg is parked", leg=target)
    await scene.agree()
    await scene.join(second, target, END, "a parked leg can be joined", attempt=2)
    await trio.sleep(TALK_S)
    await scene.agree()
    await scene.hang_up(second)
    await scene.proof(e.LegHungUp, "afterwards END: the call ends for both", leg=target)


async def _the_other_leaves(scene: Scene) -> None:
    first, second = await scene.part()
    target = await scene.target(first)
    await scene.join(first, target, PARK)
    await trio.sleep(TALK_S)
    await scene.hang_up(target)
    await scene.proof(e.LegHungUp, "a hang-up is reported", leg=target)
    await scene.proof(e.LegParked, "afterwards PARK: the remaining leg is parked", leg=first)
    await scene.agree()
    await scene.join(first, second, PARK, "a parked leg can be joined", attempt=2)
    await trio.sleep(TALK_S)
    await scene.split(second, first)
    await scene.proof(e.LegsSeparated, "Split separates the pair")
    await scene.agree()


async def _repeated_orders(scene: Scene) -> None:
    first, second = await scene.part()
    await scene.perform(c.HoldWithMusic(leg=second, music=scene.lab.music))
    await scene.proof(e.SoundStarted, "music is reported when it plays", leg=second)
    target = await scene.target(first)
    scene.forget()
    await scene.perform(c.Split(first=first, second=second, repeated=True))
    moved = (e.LegParked, e.SoundStopped, e.LegHungUp, e.CommandFailed)
    await scene.watch(A_WHILE_S, "a repeated Split of two parked legs has no effect", *moved)
    join = c.Join(first=first, second=target, transfer="check", afterwards=PARK)
    again = attrs.evolve(join, attempt=2, repeated=True)
    await scene.perform(join, again)
    await trio.sleep(A_WHILE_S)
    disturbed = [
        fact
        for fact in scene.news()
        if isinstance(fact, e.LegParked | e.LegHungUp | e.CommandFailed)
    ]
    require(not disturbed, f"a repeated order does no harm, but {disturbed}")
    await scene.joined(first, target, "a join that is repeated at once still joins")
    lost = c.Join(
        first=first,
        second=second,
        transfer="check",
        attempt=4,
        repeated=True,
        afterwards=END,
    )
    await scene.perform(lost)
    await scene.joined(first, second, "a repeated join is executed if the first was lost")
    await scene.agree()


async def _taking_out_of_a_bridge(scene: Scene) -> None:
    first, second = await scene.part()
    target = await scene.target(first)
    await scene.join(first, target, PARK)
    await trio.sleep(0.5)
    await scene.join(first, second, END, "Join takes a leg out of a bridge", attempt=2)
    promise = "afterwards PARK: the leg that a join leaves behind is parked"
    await scene.proof(e.LegParked, promise, leg=target)
    promise = "the leg that a join has left behind stays parked"
    await scene.watch(A_WHILE_S, promise, e.LegHungUp, e.LegsJoined, e.LegParked)
    await scene.agree()
    await scene.perform(c.HangUp(leg=target))
    await scene.proof(e.LegHungUp, "HangUp ends a leg", leg=target)
    await scene.hang_up(first)
    await scene.proof(e.LegHungUp, "afterwards END: the call ends for both", leg=second)


async def _refusals(scene: Scene) -> None:
    first, second = await scene.part()
    join = c.Join(first=first, second="check-nobody", afterwards=END)
    await scene.perform(join)
    await scene.failed(join, "a refused command is reported")
    for number in (scene.lab.answering, "no number"):
        dial = c.Dial(leg=second, target=number, on_behalf_of=first, ring_timeout_s=5.0)
        await scene.perform(dial)
        await scene.failed(dial, "a Dial whose id is in use is refused, and no leg ends")
    await trio.sleep(TALK_S)
    scene.forget()
    await scene.perform(c.Park(leg=first))
    await scene.proof(e.LegParked, "Park parks", leg=first)
    await scene.agree()
    await scene.join(first, second, END, "after a refused join the next one joins", attempt=2)
    await trio.sleep(2.5 * A_WHILE_S)  # a failure that is reported again would stop what works


async def _withheld_keys(scene: Scene) -> None:
    first, second = await scene.part()
    await scene.join(first, second, END)
    before = await scene.lab.keys_heard(second)
    await trio.sleep(A_WHILE_S)
    await scene.perform(c.WithholdKeys(leg=second, limit_s=20.0))
    await trio.sleep(1.5 * A_WHILE_S)  # halfway between two seconds, so that no mutant is in time
    await scene.press(first, "7")
    await trio.sleep(A_WHILE_S)
    heard = await scene.lab.keys_heard(second)
    require(heard == before, f"a key that is withheld is not heard: {before}, but {heard}")
    await scene.perform(c.PassKeys(leg=second, digits="7"))
    await trio.sleep(A_WHILE_S)
    heard = await scene.lab.keys_heard(second)
    require(heard == before + "7", f"PassKeys sends the missed keys: {before}7, but {heard}")
    await scene.press(first, "8")
    await trio.sleep(A_WHILE_S)
    heard = await scene.lab.keys_heard(second)
    require(heard == before + "78", f"after PassKeys keys are heard: {before}78, but {heard}")
    await scene.perform(c.WithholdKeys(leg=second, limit_s=1.0))
    await trio.sleep(3 * A_WHILE_S)
    await scene.press(first, "9")
    await trio.sleep(A_WHILE_S)
    heard = await scene.lab.keys_heard(second)
    require(heard == before + "789", f"after limit_s keys are heard: {before}789, but {heard}")


CHECKS = (
    Check("Two legs are joined, and the remaining one is parked", _a_consultation),
    Check("Either leg may leave; a pair can be split again", _the_other_leaves),
    Check("A repeated order does no harm", _repeated_orders),
    Check(
        "A join takes a leg out of a bridge, and parks the remaining one", _taking_out_of_a_bridge
    ),
    Check("A command that can't be executed comes back", _refusals),
    Check("Keys can be withheld", _withheld_keys, ("withholds_keys", "reports_keys_in_calls")),
)
