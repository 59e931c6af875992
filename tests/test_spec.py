"""A table with a hole is refused when it is built, with the hole named."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transitions.extensions.diagrams import GraphMachine

from hookflash import specs
from hookflash.errors import SpecError
from hookflash.fsm.arrangement import ORDINARY_CALL, Arrangement
from hookflash.fsm.inputs import Input
from hookflash.fsm.machine import Rulebook
from hookflash.fsm.spec import Entry, Spec, ignore, may_come, phase, refuse, row
from hookflash.fsm.transfer import Role, State, Transfer
from hookflash.fsm.work import Work
from hookflash.specs.attended import ATTENDED
from hookflash.specs.catalog import SPECS

MOST_LINES = 200
"""A table that is longer is not read any more."""


def _a_second(_transfer: Transfer) -> float:
    """Long enough."""
    return 1.0


def _always(_work: Work) -> bool:
    """A guard that always holds."""
    return True


RESTS = Arrangement(limit=_a_second)
ASKED = row(Input.REQUESTED, to=State.HOLDING, why="asked")
DONE = row(Input.LIMIT_PASSED, to=State.IDLE, why="done")
Entries = tuple[tuple[Entry, ...], ...]


def _nothing(state_wants: Arrangement, *but: Input) -> tuple[Entry, ...]:
    return ignore(
        *(on for on in Input if may_come(state_wants, on) and on not in but), why="nothing"
    )


IDLE: Entries = (ASKED, _nothing(ORDINARY_CALL, Input.REQUESTED))
HOLDING: Entries = (DONE, _nothing(RESTS, Input.LIMIT_PASSED))


def _ring(
    idle: Entries = IDLE,
    holding: Entries = HOLDING,
    wants: Arrangement = RESTS,
    anywhere: Entries = (),
    more: tuple[tuple[State, Arrangement, Entries], ...] = (),
) -> Spec:
    """The smallest table: ask, wait, done."""
    phases = (
        phase(State.IDLE, ORDINARY_CALL, *idle),
        phase(State.HOLDING, wants, *holding),
        *(phase(state, wanted, *entries) for state, wanted, entries in more),
    )
    return Spec(name="ring", title="A ring", phases=phases, anywhere=anywhere)


def test_a_sound_table_is_taken() -> None:
    assert _ring().states == (State.IDLE, State.HOLDING)


@pytest.mark.parametrize("name", sorted(SPECS))
def test_the_tables_that_ship_answer_every_pair(name: str) -> None:
    spec = SPECS[name]
    for state in spec.states:
        for on in Input:
            pair = (state, on)
            answered = (
                pair in spec.rows_by_pair
                or pair in spec.ignored_by_pair
                or pair in spec.refused_by_pair
            )
            assert answered is may_come(spec.arrangements[state], on)


@pytest.mark.parametrize("name", sorted(SPECS))
def test_every_row_says_why_in_a_sentence(name: str) -> None:
    for one in SPECS[name].rows:
        assert one.why.endswith("."), one.key


def test_the_tables_fit_on_their_pages() -> None:
    """Whoever adds a row asks first whether the arranger should do it."""
    pages = Path(specs.__file__).parent.glob("*.py")
    lengths = {page.name: len(page.read_text(encoding="utf-8").splitlines()) for page in pages}
    words = lengths.pop("guards.py")  # no table: the words that all of them use, one by one
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}
    assert words <= MOST_LINES * 1.25


def test_row_keys_are_unique() -> None:
    keys = [one.key for one in ATTENDED.rows]
    assert len(keys) == len(set(keys))


def test_a_missing_answer_is_named() -> None:
    but = (Input.LIMIT_PASSED, Input.TARGET_FAILED)
    with pytest.raises(SpecError, match="holding · target_failed has no row and no reason"):
        _ring(holding=(DONE, _nothing(RESTS, *but)))


def test_a_guard_alone_is_no_answer() -> None:
    guarded = row(Input.REQUESTED, _always, to=State.HOLDING, why="asked")
    with pytest.raises(SpecError, match="idle · requested has no row and no reason"):
        _ring(idle=(guarded, _nothing(ORDINARY_CALL, Input.REQUESTED)))


def test_two_answers_for_one_pair_are_refused() -> None:
    with pytest.raises(SpecError, match="idle · requested has a needless answer"):
        _ring(idle=(*IDLE, ignore(Input.REQUESTED, why="no")))


def test_an_answer_to_what_cannot_come_is_refused() -> None:
    """A state that nobody is moved in can't be unarrangeable."""
    with pytest.raises(SpecError, match="holding · unarrangeable has a needless answer"):
        _ring(holding=(*HOLDING, row(Input.UNARRANGEABLE, to=State.IDLE, why="no")))


def test_a_row_twice_is_refused() -> None:
    with pytest.raises(SpecError, match="two rows for one guard"):
        _ring(idle=(ASKED, *IDLE))


def test_an_unguarded_row_stands_last() -> None:
    guarded = row(Input.REQUESTED, _always, to=State.HOLDING, why="asked")
    with pytest.raises(SpecError, match="an unguarded row before guarded ones"):
        _ring(idle=(*IDLE, guarded))


def test_a_state_must_be_reachable_and_leavable() -> None:
    stuck = row(Input.LIMIT_PASSED, to=State.HELD, why="for ever")
    with pytest.raises(SpecError) as told:
        _ring(more=((State.HELD, RESTS, (stuck, _nothing(RESTS, Input.LIMIT_PASSED))),))
    assert "held can't be reached" in str(told.value)
    assert "held can't be left for idle" in str(told.value)


def test_what_can_fail_has_a_row_for_it() -> None:
    talk = Arrangement(talk=(Role.TRANSFEROR, Role.TARGET))
    holding = (row(Input.ARRANGED, to=State.IDLE, why="done"), _nothing(talk, Input.ARRANGED))
    with pytest.raises(SpecError, match="holding has no row for unarrangeable"):
        _ring(holding=holding, wants=talk)
    reunited = row(Input.REUNITED, to=State.IDLE, why="done")
    with pytest.raises(SpecError, match="holding has no row for limit_passed"):
        _ring(holding=(reunited, _nothing(RESTS, Input.REUNITED)))


def test_only_people_are_refused() -> None:
    with pytest.raises(SpecError, match="is refused, but nobody asked"):
        _ring(holding=(*HOLDING, refuse(Input.TARGET_FAILED, why="no")))


def test_a_row_to_nowhere_and_a_phase_twice_are_named() -> None:
    with pytest.raises(SpecError, match="names a state without a phase"):
        _ring(idle=(*IDLE, row(Input.TARGET_FAILED, to=State.HELD, why="lost")))
    with pytest.raises(SpecError, match="a state has two phases"):
        _ring(more=((State.IDLE, ORDINARY_CALL, IDLE),))


def test_what_holds_anywhere_holds_in_every_state_but_the_first() -> None:
    gone = row(Input.EVERYONE_GONE, to=State.IDLE, why="gone")
    but = (Input.LIMIT_PASSED, Input.EVERYONE_GONE)
    spec = _ring(anywhere=(gone,), holding=(DONE, _nothing(RESTS, *but)))
    assert spec.rows_by_pair[State.HOLDING, Input.EVERYONE_GONE] == gone
    assert (State.IDLE, Input.EVERYONE_GONE) not in spec.rows_by_pair
    assert gone[0].key == "anywhere · everyone_gone → idle"


def test_the_library_itself_draws_a_table() -> None:
    """`transitions` runs the tables in its own words, so that its diagrams can be drawn."""

    draws = partial(GraphMachine, graph_engine="mermaid", show_conditions=True)
    rules = Rulebook(ATTENDED, machine=draws)
    model: Any = SimpleNamespace()
    rules.machine.add_model(model)
    drawn = str(model.get_graph().source)
    assert "CONSULTING --> COMPLETING: transferor_hung_up" in drawn
    assert "transferor_hung_up [partial_unwanted]" in drawn
