"""Arrange, from every constellation that the explorer reaches.

Each record that a search reaches is taken by itself, and put on three switches: one that carries
out each order at once, one that answers nothing, and one that refuses everything. Whatever the
record, the arranger asks twice for nothing, and the transfer comes to its end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import cache

import pytest

from hookflash import commands as c
from hookflash import events as e
from hookflash.fsm.arrange import arrange
from hookflash.fsm.arrangement import ORDINARY_CALL
from hookflash.fsm.explore import explore
from hookflash.fsm.machine import Rulebook, Step
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Place, State, Transfer, Wait
from hookflash.fsm.work import Work
from hookflash.scenarios.beginnings import asked_for, found_on_the_switch
from hookflash.specs.catalog import SPEC_FOR

TWICE = Policy(join_attempts=2, sound_attempts=2, dial_attempts=2, split_attempts=2)
MOST_STEPS = 150
UNTIL_PROVEN = frozenset({Wait.ORDINARY, Wait.GONE})
"""What is repeated until the switch proves it, however long that takes."""

Answer = Callable[[Transfer, c.Command], Iterator[e.Event]]


@cache
def rules_of(kind: e.Kind) -> Rulebook:
    return Rulebook(SPEC_FOR[kind])


@cache
def reached(kind: e.Kind) -> tuple[Transfer, ...]:
    """Every record that a search reaches, from a request and from a restart."""
    found = dict[Transfer, None]()

    def note(step: Step) -> None:
        if not step.after.over:
            found.setdefault(step.after)

    explore(rules_of(kind), asked_for(kind, TWICE), max_records=700, check=note)
    for start in found_on_the_switch(kind, TWICE):
        explore(rules_of(kind), start, max_records=8, check=note)
    return tuple(found)


@pytest.mark.exhaustive
def test_there_are_many_constellations() -> None:
    assert [
        len(reached(kind)) > least
        for kind, least in zip(e.Kind, (2_000, 500, 200, 500, 500, 500), strict=True)
    ]


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", e.Kind)
def test_asked_twice_it_orders_nothing_the_second_time(kind: e.Kind) -> None:
    for record in reached(kind):
        want = rules_of(kind).spec.arrangements[record.state]
        if want is not ORDINARY_CALL:
            again = Work(record, e.SwitchFound())
            arrange(again, want)
            assert again.commands == [], record
            assert again.finish() == record


def waits_for_people(record: Transfer) -> bool:
    """Whether only people decide what follows. In a three-way the switch is asked now and then."""
    return record.waits_for is Wait.PEOPLE or (
        record.state is State.THREE_WAY and record.waits_for is Wait.PAUSE
    )


def run(kind: e.Kind, record: Transfer, answer: Answer) -> Transfer:
    """Let a switch answer each order, and time pass when nothing else happens.

    It goes on until the transfer is over or waits for people, or for at most so many steps.
    """
    todo = deque[e.Event]()
    for _ in range(MOST_STEPS):
        if record.over or (waits_for_people(record) and not todo):
            return record
        if not todo:
            todo.append(e.TimerFired(timer=record.deadline or "none is set"))
        step = rules_of(kind).step(record, todo.popleft())
        record = step.after
        for command in step.commands:
            todo.extend(answer(record, command))
    assert record.waits_for in UNTIL_PROVEN, record
    return record


def obeys(record: Transfer, order: c.Command) -> Iterator[e.Event]:
    """A switch that carries out each order at once. A leg of which nothing is known is parked."""
    moving = [party.leg for party in record.parties if party.place is Place.MOVING]
    match order:
        case c.Split():
            yield from map(_parked, moving)
        case c.Park(leg=leg):
            yield e.LegParked(leg=leg)
        case c.Dial(leg=leg, target=number):
            yield from (e.LegCreated(leg=leg, number=number), e.LegAnswered(leg=leg), _parked(leg))
        case c.Join(first=one, second=other):
            yield e.LegsJoined(first=one, second=other)
            yield from (_parked(leg) for leg in moving if leg not in (one, other))
        case c.Release(first=one, second=other):
            yield e.LegsReleased(first=one, second=other)
        case c.HangUp(leg=leg):
            yield e.LegHungUp(leg=leg, cause="NORMAL_CLEARING")
        case c.Look():
            yield from map(_parked, moving)
            yield e.LegsSeen(look=order, living=())
        case _:
            return


def _parked(leg: e.LegId) -> e.LegParked:
    return e.LegParked(leg=leg)


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", e.Kind)
def test_on_a_switch_that_obeys_nobody_is_left_alone(kind: e.Kind) -> None:
    for record in reached(kind):
        end = run(kind, record, obeys)
        alone = [party for party in end.parties if party.lives and party.peer is None]
        if end.over:
            assert alone == [], record
        else:
            assert end.deadline is not None
            assert waits_for_people(end), record


def dead(record: Transfer, order: c.Command) -> Iterator[e.Event]:
    """A switch that says nothing; only hang-ups that were ordered are seen, at last."""
    if isinstance(order, c.HangUp) and record.state is State.ENDING:
        yield e.LegHungUp(leg=order.leg, cause="NORMAL_CLEARING")


def refuses(record: Transfer, order: c.Command) -> Iterator[e.Event]:
    """A switch that refuses each order but a hang-up, and that everybody is where they were."""
    match order:
        case c.Look():
            yield e.LegsSeen(look=order, living=())
        case c.HangUp(leg=leg):
            yield e.LegHungUp(leg=leg, cause="NORMAL_CLEARING")
        case c.SetTimer() | c.CancelTimer():
            return
        case _:
            yield e.CommandFailed(command=order, reason="-ERR")


@pytest.mark.parametrize("answer", [dead, refuses])
@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", e.Kind)
def test_on_a_switch_that_does_nothing_it_ends_all_the_same(kind: e.Kind, answer: Answer) -> None:
    for record in reached(kind):
        end = run(kind, record, answer)
        proven = end.waits_for is Wait.GONE  # a hang-up is repeated until it is seen
        assert end.outcome is not None or waits_for_people(end) or proven, record


def test_the_last_attempt_is_the_last() -> None:
    """As many joins as the policy allows, each later than the one before, and then no more."""
    rules = rules_of(e.Kind.ATTENDED)
    start = next(
        record
        for record in reached(e.Kind.ATTENDED)
        if record.state is State.TAKEBACK and record.tries == 0 and record.waits_for is Wait.FREE
    )
    joins, record = list[c.Join](), start
    todo = deque[e.Event](e.LegParked(leg=party.leg) for party in record.parties[:2] if party.lives)
    for _ in range(MOST_STEPS):
        if record.over:
            break
        event = todo.popleft() if todo else e.TimerFired(timer=record.deadline or "")
        step = rules.step(record, event)
        record = step.after
        joins += [order for order in step.commands if isinstance(order, c.Join)]
        for order in step.commands:
            todo.extend(dead(record, order))
    assert [join.attempt - start.joins_ordered for join in joins] == [1, 2]
    assert [join.repeated for join in joins] == [False, True]
    assert record.over
