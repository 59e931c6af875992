"""Exhaust what is small: every record that a table can reach, under every event there is."""

from collections.abc import Callable

import attrs
import pytest
from row_cards import FOLDER, cards_of, searches, text_of

from hookflash.commands import Trigger
from hookflash.events import Kind, LegParked, TimerFired, TransferRequested
from hookflash.fsm.explore import explore, steps_with_answer
from hookflash.fsm.machine import Rulebook, Step
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Place, State, Transfer, Wait
from hookflash.fsm.work import MOST_LOOKS
from hookflash.scenarios.beginnings import asked_for
from hookflash.specs.catalog import SPEC_FOR

# two attempts are enough to see "again" and "no more"; five would only multiply the records
TWICE = Policy(join_attempts=2, sound_attempts=2, dial_attempts=2)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "kind", [pytest.param(one, marks=pytest.mark.xdist_group(f"search of {one}")) for one in Kind]
)
class TestSearch:
    """One search, which takes half a minute."""

    def test_no_order_of_events_breaks_a_promise_and_no_row_is_dead(
        self, kind: Kind, record_property: Callable[[str, object], None]
    ) -> None:
        found = searches(kind)
        assert [violation for one in found for violation in one.violations] == []
        reached = {row for one in found for row in one.rows}
        assert sorted({row.key for row in SPEC_FOR[kind].rows} - reached) == []
        assert max(one.records for one in found) > 100
        pairs = {pair for one in found for pair in one.pairs}
        record_property(f"{kind.value} in the search", f"{len(reached)} rows, {len(pairs)} pairs")

    def test_each_row_does_what_its_card_says(self, kind: Kind) -> None:
        cards = cards_of(kind)
        assert list(cards) == [row.key for row in SPEC_FOR[kind].rows]
        kept = (FOLDER / f"{kind.value}.txt").read_text(encoding="utf-8")
        assert text_of(cards) == kept, "a row changed: if it was meant, run tests/row_cards.py"


@pytest.mark.slow
def test_a_broken_promise_is_told_with_the_way_to_it() -> None:
    def nobody_may_dial(step: Step) -> str | None:
        dialled = any(type(command).__name__ == "Dial" for command in step.commands)
        return "somebody dialled" if dialled else None

    found = explore(
        Rulebook(SPEC_FOR[Kind.ATTENDED]), asked_for(Kind.ATTENDED, TWICE), check=nobody_may_dial
    )
    assert found.violations
    assert str(found.violations[0]).startswith("somebody dialled, after TransferRequested → ")


def test_the_search_is_bounded() -> None:
    found = explore(
        Rulebook(SPEC_FOR[Kind.ATTENDED]), asked_for(Kind.ATTENDED, TWICE), max_records=50
    )
    assert found.records < 200


def test_a_deadline_is_taken_together_with_the_answer_that_decides_it() -> None:
    rules = Rulebook(SPEC_FOR[Kind.ATTENDED])
    start = asked_for(Kind.ATTENDED, TWICE)
    request = TransferRequested(leg=start.transferor.leg, transfer=start.id, target="2600")
    (begun,) = steps_with_answer(rules, start, request)
    assert begun.after.deadline is not None
    passes = TimerFired(timer=begun.after.deadline)
    asked, decided = steps_with_answer(rules, begun.after, passes)
    assert asked.rows == ()
    assert asked.after.overdue_look == asked.after.looks
    assert decided.before is asked.after
    assert decided.after.tries > begun.after.tries
    # one that is overtaken asks nothing, and what happens while it is asked is one step
    assert len(steps_with_answer(rules, decided.after, passes)) == 1
    assert len(steps_with_answer(rules, asked.after, LegParked(leg=start.transferor.leg))) == 1


def test_a_question_that_nobody_answers_is_repeated_in_the_search_too() -> None:
    """Each repetition has a number of its own, and each may be answered."""
    rules = Rulebook(SPEC_FOR[Kind.ATTENDED])
    start = asked_for(Kind.ATTENDED, TWICE)
    request = TransferRequested(leg=start.transferor.leg, transfer=start.id, target="2600")
    record = rules.step(start, request).after
    for _ in range(MOST_LOOKS):
        assert record.deadline is not None
        steps = steps_with_answer(rules, record, TimerFired(timer=record.deadline))
        assert steps[-1].after.tries > record.tries
        record = steps[0].after
    assert record.deadline is not None
    (unanswered,) = steps_with_answer(rules, record, TimerFired(timer=record.deadline))
    assert unanswered.after.tries > record.tries


@pytest.mark.slow
def test_rows_that_follow_one_another_are_counted() -> None:
    found = explore(Rulebook(SPEC_FOR[Kind.HOLD]), asked_for(Kind.HOLD, TWICE))
    assert ("idle · requested → holding", "holding · reunited → idle") in found.pairs
    # facts may prove at once what a row leads to
    held = "held · takeback_asked → takeback"
    assert (held, "takeback · arranged → idle") in found.pairs


def _in_a_consultation(start: Transfer) -> Transfer:
    """Alice talks with Carol, and Bob hears music."""
    return attrs.evolve(
        start,
        state=State.CONSULTING,
        separated=True,
        armed=True,
        joins_ordered=1,
        failsafe=Trigger.LEFT_ALONE,
        waits_for=Wait.PEOPLE,
        arranged=True,
        deadline="deadline",
        transferor=attrs.evolve(start.transferor, place=Place.JOINED, peer=start.target.leg),
        transferee=attrs.evolve(start.transferee, place=Place.PARKED, peer=None, sound="music"),
        target=attrs.evolve(
            start.target, place=Place.JOINED, answered=True, called=True, peer=start.transferor.leg
        ),
    )


@pytest.mark.exhaustive
def test_what_overtakes_the_answer_about_sounds_is_searched_too() -> None:
    """Bob's music stops, the switch is asked; before it answers, he is gone, and nobody waits."""
    once = Policy(join_attempts=1, sound_attempts=1, dial_attempts=1)
    found = explore(
        Rulebook(SPEC_FOR[Kind.ATTENDED]),
        _in_a_consultation(asked_for(Kind.ATTENDED, once)),
        sounds=True,
        max_records=1_000,
    )
    assert ("consulting · transferee_hung_up → abandoned", "abandoned · arranged → idle") in (
        found.pairs
    )
