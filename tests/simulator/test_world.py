"""The world: its clock, its doors, and that the same run twice is the same run."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookflash.backends.base import LegSnapshot
from hookflash.backends.simulator.character import Character
from hookflash.backends.simulator.faults import Faults, legs_of
from hookflash.backends.simulator.people import Answers, Manual
from hookflash.backends.simulator.world import What, World
from hookflash.commands import (
    Afterwards,
    Dial,
    HangUp,
    HoldWithMusic,
    Join,
    PlayRingback,
    Release,
    Split,
)
from hookflash.errors import InputError
from hookflash.events import CallEvent, Direction, LegCreated, LegHungUp, LegParked, LegsJoined
from hookflash.sounds import Music, Recording

A, B, C = "leg-1", "leg-2", "carol"


def transfer(
    seed: int,
    faults: Faults | None = None,
    *,
    trace: bool = True,
    character: Character = Character.FREESWITCH,
) -> World:
    """A transfer by the clock: whoever commands here waits for nothing."""
    world = World(seed, faults, trace=trace, character=character)
    world.add_phone("1001", name="Alice")
    world.add_phone("1002", Answers(after_s=0.1), name="Bob")
    world.add_phone("2600", Answers(after_s=1.5), name="Carol")
    world.call("1001", "1002")
    script = {
        1.0: Split(first=A, second=B),
        1.5: HoldWithMusic(leg=B, music=Music()),
        1.6: PlayRingback(leg=A, ringback=Recording("ring")),
        1.7: Dial(leg=C, target="2600", on_behalf_of=A, ring_timeout_s=20.0),
        4.0: Join(first=A, second=C, afterwards=Afterwards.PARK, rescue=B),
        7.5: Join(first=B, second=C, afterwards=Afterwards.END),
        8.0: Release(first=B, second=C),
    }
    for at_s, command in script.items():
        world.at(at_s, partial(world.perform, command))
    world.at(5.0, partial(world.hang_up, A))
    world.at(9.5, partial(world.hang_up, B))
    assert world.run(60.0)
    return world


faults = st.builds(
    Faults,
    seed=st.integers(0, 99),
    event_latency_s=st.floats(0.0, 0.5).map(lambda longest_s: (0.0, longest_s)),
    command_latency_s=st.floats(0.0, 0.5).map(lambda longest_s: (0.0, longest_s)),
    reorder=st.floats(0.0, 1.0),
    duplicate=st.floats(0.0, 1.0),
    lose_command=st.floats(0.0, 0.5),
    fail_command=st.floats(0.0, 0.5),
)


def test_a_transfer_by_the_clock_works() -> None:
    world = transfer(1)
    assert world.trace is not None
    told = [line.detail for line in world.trace if line.what is What.EVENT]
    assert LegsJoined(first=C, second=B) in told
    assert LegsJoined(first=B, second=C) in told
    assert told[-2:] == [LegHungUp(leg=B), LegHungUp(leg=C)]
    assert world.snapshot() == ()


@pytest.mark.slow
@given(st.integers(0, 2**32), faults, st.sampled_from(Character))
def test_the_same_seed_is_the_same_run_to_the_byte(
    seed: int, with_faults: Faults, character: Character
) -> None:
    runs = [transfer(seed, with_faults, character=character).trace for _ in range(2)]
    assert repr(runs[0]) == repr(runs[1])


def test_another_seed_is_another_run() -> None:
    assert len({repr(transfer(seed).trace) for seed in range(20)}) == 20


def test_the_faults_dice_do_not_change_what_the_switch_draws() -> None:
    def a_call(with_faults: Faults | None) -> list[tuple[float, CallEvent]]:
        world = World(3, with_faults)
        told: list[tuple[float, CallEvent]] = []
        world.on_event = lambda event: told.append((world.now_s, event))
        world.call("1", "2")
        world.run(1.0)
        return told

    assert a_call(None) == a_call(Faults(seed=5, fail_command=1.0))


@given(st.integers(0, 99), faults)
def test_of_a_leg_nothing_is_told_after_its_end_but_its_end(seed: int, bent: Faults) -> None:
    world = transfer(seed, bent)
    assert world.trace is not None
    gone: set[str] = set()
    for line in world.trace:
        event = line.detail
        if line.what is not What.EVENT or isinstance(event, str):
            continue
        if isinstance(event, LegHungUp):
            gone.add(event.leg)
        elif not isinstance(event, LegCreated):
            assert not gone.intersection(legs_of(event))  # pyright: ignore[reportArgumentType]


# ------------------------------------------------------------------------ time


def test_things_happen_in_order_and_ties_in_line() -> None:
    world = World()
    done: list[str] = []
    world.after(2.0, lambda: done.append("third"))
    world.after(1.0, lambda: done.append("first"))
    world.at(1.0, lambda: done.append("second"))
    assert world.next_s == 1.0
    assert world.step()
    assert (world.now_s, done) == (1.0, ["first"])
    world.at(0.5, lambda: done.append("at once, though it is late"))
    assert world.run()
    assert done == ["first", "second", "at once, though it is late", "third"]
    assert world.now_s == 2.0
    assert not world.step()
    assert world.next_s is None


def test_a_run_stops_at_its_horizon() -> None:
    world = World()
    done: list[float] = []
    for at_s in (1.0, 2.0, 2.5):
        world.at(at_s, lambda: done.append(world.now_s))
    assert world.run(2.0)
    assert done == [1.0, 2.0]
    assert world.run(2.2)
    assert world.now_s == 2.2
    assert world.run(1.0)
    assert world.now_s == 2.2, "the clock does not go back"


def test_a_run_that_turns_in_a_circle_is_cut_short() -> None:
    world = World()

    def again() -> None:
        world.after(0.0, again)

    again()
    assert not world.run(1.0, max_steps=100)


def test_events_are_delivered_one_by_one_and_never_from_within_the_switch() -> None:
    world = World()
    world.call("1", "2")
    assert world.next_s == 0.0
    told: list[CallEvent] = []
    world.on_event = told.append
    assert world.step()
    assert told == [LegCreated(leg=A, number="1")]


def test_an_onlooker_sees_what_happens_before_the_controller_hears_of_it() -> None:
    world = World(1, Faults(event_latency_s=(0.5, 0.5)))
    seen: list[tuple[float, CallEvent]] = []
    heard: list[tuple[float, CallEvent]] = []
    world.on_fact = lambda event: seen.append((world.now_s, event))
    world.on_event = lambda event: heard.append((world.now_s, event))
    world.call("1", "2")
    assert world.run()
    assert [(at_s + 0.5, event) for at_s, event in seen] == heard


def test_a_controller_may_command_whenever_it_is_told() -> None:
    world = World()
    told: list[CallEvent] = []

    def controller(event: CallEvent) -> None:
        told.append(event)
        if isinstance(event, LegsJoined):
            world.perform(Split(first=A, second=B))
        elif event == LegParked(leg=B):
            world.perform(HangUp(leg=A))
            world.perform(HangUp(leg=B))

    world.on_event = controller
    world.call("1", "2")
    assert world.run()
    assert told[-2:] == [LegHungUp(leg=A), LegHungUp(leg=B)]


# ------------------------------------------------------------------- snapshots


def test_snapshot() -> None:
    world = World()
    world.add_phone("26", Manual())
    world.call("1", "2", account="acme")
    world.run(1.0)
    world.perform(Dial(leg=C, target="26", on_behalf_of=A, account="acme", ring_timeout_s=20.0))
    world.run(2.0)
    alice = LegSnapshot(
        leg=A, number="1", direction=Direction.INBOUND, account="acme", answered=True, peer=B
    )
    bob = LegSnapshot(
        leg=B,
        number="2",
        direction=Direction.OUTBOUND,
        account="acme",
        answered=True,
        peer=A,
        called_for=A,
    )
    carol = LegSnapshot(
        leg=C, number="26", direction=Direction.OUTBOUND, account="acme", role="target"
    )
    assert world.snapshot() == (alice, bob, carol)
    world.perform(Split(first=A, second=B))
    world.perform(HangUp(leg=C))
    world.run(3.0)
    world.perform(HoldWithMusic(leg=B, music=Music()))
    world.run(4.0)
    parked = [(leg.leg, leg.parked, leg.peer, leg.hears) for leg in world.snapshot()]
    assert parked == [(A, True, None, None), (B, True, None, Music())]


def test_whoever_has_just_hung_up_is_nobodys_peer() -> None:
    world = World()
    world.call("1", "2")
    world.run(1.0)
    world.hang_up(A)
    assert [(leg.leg, leg.peer) for leg in world.snapshot()] == [(B, None)]


# ---------------------------------------------------------------------- people


def test_a_number_has_one_phone() -> None:
    world = World()
    world.add_phone("26")
    with pytest.raises(InputError) as caught:
        world.add_phone("26")
    assert str(caught.value) == "the number 26 is given twice (give it to one phone)"


def test_who_is_on_a_leg() -> None:
    world = World()
    world.call("1", "2")
    assert world.party_on(A) is world.parties["1"]
    assert world.party_on(B) is world.parties["2"]
    assert world.party_on("nobody") is None


def test_what_people_do_stands_in_the_trace() -> None:
    world = World(trace=True)
    world.add_phone("26", Manual(), name="Carol")
    world.call("1", "26")
    world.answer(B)
    world.run(1.0)
    world.press(A, "*1")
    world.run(2.0)
    world.refuse("nobody")
    world.hang_up(B)
    assert world.trace is not None
    people = [(line.at_s, line.detail) for line in world.trace if line.what is What.PERSON]
    assert people == [
        (0.0, "1 calls Carol"),
        (0.0, "Carol answers"),
        (1.0, "1 presses *"),
        (pytest.approx(1.64), "1 presses 1"),
        (2.0, "nobody declines"),
        (2.0, "Carol hangs up"),
    ]


def test_a_called_party_may_decline() -> None:
    world = World()
    world.add_phone("26", Manual())
    told: list[CallEvent] = []
    world.on_event = told.append
    world.call("1", "26")
    world.run(1.0)
    world.refuse(B)
    world.run(2.0)
    assert told[-2:] == [
        LegHungUp(leg=B, cause="CALL_REJECTED"),
        LegHungUp(leg=A, cause="CALL_REJECTED"),
    ]


def test_without_a_trace_nothing_is_written_down() -> None:
    assert transfer(1, trace=False).trace is None
