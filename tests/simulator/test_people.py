"""The people: what they do when they are called, and what they hear."""

from __future__ import annotations

from hookflash.backends.simulator.people import (
    Answers,
    AnswersAndLeaves,
    Behaviour,
    Busy,
    EarlyMedia,
    Manual,
    NeverAnswers,
    Refuses,
    Unreachable,
)
from hookflash.backends.simulator.switch import SILENCE, Audible, Sense
from hookflash.backends.simulator.world import World
from hookflash.commands import Dial, HoldWithMusic, PlayRingback, Split
from hookflash.events import (
    CallEvent,
    LegAnswered,
    LegHungUp,
    LegParked,
    LegProgressed,
)
from hookflash.sounds import Recording


def timeline(behaviour: Behaviour) -> list[tuple[float, CallEvent]]:
    """What the switch tells of a phone that it calls, rounded to tens of milliseconds."""
    world = World()
    told: list[tuple[float, CallEvent]] = []
    world.on_event = lambda event: told.append((round(world.now_s, 2), event))
    world.add_phone("26", behaviour)
    world.perform(Dial(leg="C", target="26", on_behalf_of="", ring_timeout_s=60.0))
    world.run(30.0)
    return [(at_s, event) for at_s, event in told[1:] if not isinstance(event, LegParked)]


def test_what_each_does_when_called() -> None:
    ring, answer = LegProgressed(leg="C"), LegAnswered(leg="C")
    assert timeline(Answers(after_s=1.5)) == [(0.02, ring), (1.5, answer)]
    assert timeline(Answers(after_s=0.0)) == [(0.0, answer)]
    assert timeline(Busy(after_s=0.3)) == [(0.3, LegHungUp(leg="C", cause="USER_BUSY"))]
    assert timeline(Refuses(after_s=0.8)) == [
        (0.02, ring),
        (0.8, LegHungUp(leg="C", cause="CALL_REJECTED")),
    ]
    assert timeline(NeverAnswers()) == [(0.02, ring)]
    assert timeline(Manual()) == [(0.02, ring)]
    assert timeline(Unreachable(cause="NETWORK_OUT_OF_ORDER", after_s=0.1)) == [
        (0.1, LegHungUp(leg="C", cause="NETWORK_OUT_OF_ORDER"))
    ]
    assert timeline(EarlyMedia(after_s=4.0)) == [
        (0.02, LegProgressed(leg="C", early_media=True)),
        (4.0, answer),
    ]
    assert timeline(AnswersAndLeaves(after_s=1.0, talk_s=2.5)) == [
        (0.02, ring),
        (1.0, answer),
        (3.5, LegHungUp(leg="C")),
    ]


def test_what_each_hears() -> None:
    world = World()
    alice, bob = world.add_phone("1001", name="Alice"), world.add_phone("1002", name="Bob")
    bob.behaviour = Answers(after_s=0.5)
    first, second = world.call("1001", "1002")
    assert alice.hears == SILENCE
    world.run(1.0)
    world.press(first, "#")
    world.perform(Split(first=first, second=second))
    world.run(2.0)
    world.perform(HoldWithMusic(leg=second, music=Recording("moh")))
    world.perform(PlayRingback(leg=first, ringback=Recording("ring")))
    world.run(3.0)
    assert (alice.hears, bob.hears) == (
        Audible(Sense.RINGBACK, "file:ring"),
        Audible(Sense.MUSIC, "file:moh"),
    )
    world.hang_up(second)
    world.run(4.0)
    assert [(heard.sense, heard.what) for heard in bob.heard] == [
        (Sense.VOICE, "Alice"),
        (Sense.DIGIT, "#"),
        (Sense.SILENCE, ""),
        (Sense.MUSIC, "file:moh"),
        (Sense.SILENCE, ""),
    ]
    assert bob.digits_heard() == "#"
    assert bob.heard_at(1.0001) == Audible(Sense.VOICE, "Alice")
    assert bob.heard_at(1.5) == SILENCE
    assert bob.heard_at(2.9) == Audible(Sense.MUSIC, "file:moh")
    assert alice.leg == first
