"""A table with a hole is refused when it is built, with the hole named."""

import attrs
import pytest

from hookflash.errors import SpecError
from hookflash.fsm.machine import Work
from hookflash.fsm.spec import Input, Phase, Refused, Row, Spec, ignore
from hookflash.fsm.transfer import State, Transfer
from hookflash.specs.attended import ATTENDED
from hookflash.specs.catalog import SPECS


def _a_second(_transfer: Transfer) -> float:
    """Long enough."""
    return 1.0


def _always(_work: Work) -> bool:
    """A guard that always holds."""
    return True


def _ring(**changes: object) -> Spec:
    """The smallest table: ask, wait, done."""
    rows = (
        Row(state=State.IDLE, on=Input.REQUESTED, to=State.HOLDING, why="asked"),
        Row(state=State.HOLDING, on=Input.DEADLINE_PASSED, to=State.IDLE, why="done"),
    )
    fields: dict[str, object] = {
        "name": "ring",
        "title": "A ring",
        "initial": State.IDLE,
        "phases": (Phase(state=State.IDLE), Phase(state=State.HOLDING, deadline=_a_second)),
        "rows": rows,
        "ignored": (
            *ignore([State.IDLE], set(Input) - {Input.REQUESTED}, "nothing is going on"),
            *ignore([State.HOLDING], set(Input) - {Input.DEADLINE_PASSED}, "we only wait"),
        ),
        **changes,
    }
    return Spec(**fields)  # pyright: ignore[reportArgumentType] - tests give it wrong things too


def test_a_sound_table_is_taken() -> None:
    assert _ring().states == (State.IDLE, State.HOLDING)


@pytest.mark.parametrize("name", sorted(SPECS))
def test_the_tables_that_ship_answer_every_pair(name: str) -> None:
    spec = SPECS[name]
    for state in spec.states:
        for on in Input:
            pair = (state, on)
            assert (
                pair in spec.rows_by_pair
                or pair in spec.ignored_by_pair
                or pair in spec.refused_by_pair
            )


@pytest.mark.parametrize("name", sorted(SPECS))
def test_every_row_says_why_in_a_sentence(name: str) -> None:
    for row in SPECS[name].rows:
        assert row.why.endswith("."), row.key


def test_row_keys_are_unique() -> None:
    keys = [row.key for row in ATTENDED.rows]
    assert len(keys) == len(set(keys))


def test_a_missing_answer_is_named() -> None:
    with pytest.raises(SpecError, match="holding · target_rang has no row and no reason"):
        _ring(
            ignored=tuple(
                i for i in _ring().ignored if (i.state, i.on) != (State.HOLDING, Input.TARGET_RANG)
            )
        )


def test_a_guard_alone_is_no_answer() -> None:
    rows = tuple(
        attrs.evolve(row, given=_always) if row.state is State.IDLE else row for row in _ring().rows
    )
    with pytest.raises(SpecError, match="idle · requested has no row and no reason"):
        _ring(rows=rows)


def test_two_answers_for_one_pair_are_refused() -> None:
    extra = ignore([State.IDLE], [Input.REQUESTED], "no")
    with pytest.raises(SpecError, match="idle · requested is answered in two ways"):
        _ring(ignored=(*_ring().ignored, *extra))


def test_a_row_twice_is_refused() -> None:
    with pytest.raises(SpecError, match="two rows for one guard"):
        _ring(rows=(*_ring().rows, _ring().rows[0]))


def test_an_unguarded_row_stands_last() -> None:
    guarded = attrs.evolve(_ring().rows[0], given=_always)
    with pytest.raises(SpecError, match="an unguarded row before guarded ones"):
        _ring(rows=(*_ring().rows, guarded))


def test_a_state_must_be_reachable_and_leavable() -> None:
    phases = (*_ring().phases, Phase(state=State.HELD, deadline=_a_second))
    stuck = Row(state=State.HELD, on=Input.DEADLINE_PASSED, to=State.HELD, why="for ever")
    silence = ignore([State.HELD], set(Input) - {Input.DEADLINE_PASSED}, "we only wait")
    with pytest.raises(SpecError) as told:
        _ring(phases=phases, rows=(*_ring().rows, stuck), ignored=(*_ring().ignored, *silence))
    assert "held can't be reached" in str(told.value)
    assert "held can't be left for idle" in str(told.value)


def test_who_waits_has_a_deadline_and_a_row_for_it() -> None:
    with pytest.raises(SpecError, match="holding waits without a deadline"):
        _ring(phases=(Phase(state=State.IDLE), Phase(state=State.HOLDING)))
    rows = (
        _ring().rows[0],
        Row(state=State.HOLDING, on=Input.TARGET_RANG, to=State.IDLE, why="done"),
    )
    silence = (
        *ignore([State.IDLE], set(Input) - {Input.REQUESTED}, "nothing"),
        *ignore([State.HOLDING], set(Input) - {Input.TARGET_RANG}, "we only wait"),
    )
    with pytest.raises(SpecError, match="holding has a deadline and no row for it"):
        _ring(rows=rows, ignored=silence)


def test_only_people_are_refused() -> None:
    refused = (Refused(state=State.HOLDING, on=Input.TARGET_RANG, why="no"),)
    with pytest.raises(SpecError, match="is refused, but nobody asked"):
        _ring(refused=refused)


def test_a_row_to_nowhere_and_a_phase_twice_are_named() -> None:
    lost = Row(state=State.IDLE, on=Input.TARGET_RANG, to=State.HELD, why="lost")
    with pytest.raises(SpecError, match="names a state without a phase"):
        _ring(rows=(*_ring().rows, lost))
    with pytest.raises(SpecError, match="a state has two phases"):
        _ring(phases=(*_ring().phases, Phase(state=State.IDLE)))
