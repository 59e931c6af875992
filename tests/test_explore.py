"""Exhaust what is small: every record that a table can reach, under every event there is."""

import attrs
import pytest

from hookflash.events import Kind
from hookflash.fsm.explore import Exploration, explore
from hookflash.fsm.machine import Rulebook, Step
from hookflash.fsm.transfer import (
    Choice,
    Party,
    Place,
    Policy,
    Transfer,
    found_transfer,
    new_transfer,
)
from hookflash.specs.catalog import SPEC_FOR

STRICT = {
    "transferor_leaves_ringing": Choice.END,
    "transferee_leaves_ringing": Choice.END,
    "transferee_leaves_consulting": Choice.END,
}


def _start(kind: Kind, **policy: object) -> Transfer:
    # two attempts are enough to see "again" and "no more"; five would only multiply the records
    choices = attrs.evolve(Policy(join_attempts=2, sound_attempts=2), **policy)
    return new_transfer(
        transfer="t1",
        kind=kind,
        policy=choices,
        transferor=("a", "1001"),
        transferee=("b", "1002"),
        target=("c", "2600"),
    )


def _found(kind: Kind) -> list[Transfer]:
    """What a restarted controller may find: everybody somewhere, in every combination."""
    gone, parked = Place.GONE, Place.PARKED
    a, b, c = (("a", "1001"), ("b", "1002"), ("c", "2600"))
    alone = [
        (Party(*a, one, answered=True), Party(*b, other, answered=True), target)
        for one in (gone, parked, Place.MOVING)
        for other in (gone, parked)
        for target in (
            Party(*c, gone, answered=False),
            Party(*c, Place.RINGING, answered=False),
            Party(*c, parked, answered=True),
            Party(*c, Place.MOVING, answered=True),
        )
        if kind is not Kind.HOLD or target.place is gone
    ]
    joined = Place.JOINED
    talking = [
        (Party(*a, joined, answered=True, peer="b"), Party(*b, joined, answered=True, peer="a"), t)
        for t in (Party(*c, gone, answered=False), Party(*c, Place.RINGING, answered=False))
        if kind is not Kind.HOLD or t.place is gone
    ]
    if kind is not Kind.HOLD:
        with_b = Party(*c, joined, answered=True, peer="b")
        with_a = Party(*c, joined, answered=True, peer="a")
        talking += [
            (Party(*a, one, answered=True), Party(*b, joined, answered=True, peer="c"), with_b)
            for one in (gone, parked)
        ]
        if kind is Kind.ATTENDED:
            talking += [
                (Party(*a, joined, answered=True, peer="c"), Party(*b, one, answered=True), with_a)
                for one in (gone, parked)
            ]
    return [
        found_transfer(
            transfer="t1",
            kind=kind,
            policy=Policy(join_attempts=2, sound_attempts=2),
            transferor=one,
            transferee=other,
            target=target,
        )
        for one, other, target in alone + talking
        if one.lives or other.lives or target.lives
    ]


def _explorations(kind: Kind) -> list[Exploration]:
    rules = Rulebook(SPEC_FOR[kind])
    return [
        *(explore(rules, found, max_records=60) for found in _found(kind)),
        explore(rules, _start(kind)),
        explore(rules, _start(kind, **STRICT)),
        explore(rules, _start(kind), sounds=True, max_records=2_000),
    ]


@pytest.mark.parametrize("kind", Kind)
def test_no_order_of_events_breaks_a_promise_and_no_row_is_dead(kind: Kind) -> None:
    found = _explorations(kind)
    assert [violation for one in found for violation in one.violations] == []
    reached = {row for one in found for row in one.rows}
    assert sorted({row.key for row in SPEC_FOR[kind].rows} - reached) == []
    assert max(one.records for one in found) > 100


def test_a_broken_promise_is_told_with_the_way_to_it() -> None:
    def nobody_may_dial(step: Step) -> str | None:
        dialled = any(type(command).__name__ == "Dial" for command in step.commands)
        return "somebody dialled" if dialled else None

    found = explore(Rulebook(SPEC_FOR[Kind.ATTENDED]), _start(Kind.ATTENDED), check=nobody_may_dial)
    assert found.violations
    assert found.violations[0].startswith("somebody dialled, after TransferRequested → ")


def test_the_search_is_bounded() -> None:
    found = explore(Rulebook(SPEC_FOR[Kind.ATTENDED]), _start(Kind.ATTENDED), max_records=50)
    assert found.records < 200


def test_rows_that_follow_one_another_are_counted() -> None:
    found = explore(Rulebook(SPEC_FOR[Kind.HOLD]), _start(Kind.HOLD))
    assert ("idle · requested → holding", "holding · reunited → idle") in found.pairs
