"""The one table of hang-up causes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookflash.causes import CAUSES, FREESWITCH_CAUSES, LAST_OF_Q850, number_for, word_for


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (1, "UNALLOCATED_NUMBER"),
        (16, "NORMAL_CLEARING"),
        (17, "USER_BUSY"),
        (18, "NO_USER_RESPONSE"),
        (19, "NO_ANSWER"),
        (21, "CALL_REJECTED"),
        (31, "NORMAL_UNSPECIFIED"),
        (34, "NORMAL_CIRCUIT_CONGESTION"),
        (49, "QOS_UNAVAILABLE"),
        (102, "RECOVERY_ON_TIMER_EXPIRE"),
        (127, "INTERWORKING"),
        (487, "ORIGINATOR_CANCEL"),
        (502, "LOSE_RACE"),
        (605, "PICKED_OFF"),
        (625, "REJECT_ALL"),
    ],
)
def test_a_number_and_its_word(number: int, word: str) -> None:
    assert word_for(number) == word
    assert number_for(word) == number


@given(st.sampled_from(sorted(CAUSES)))
def test_no_two_words_have_the_same_number(word: str) -> None:
    assert word_for(number_for(word)) == word


@given(st.integers().filter(lambda number: number not in CAUSES.values()))
def test_an_unknown_number_is_unspecified(number: int) -> None:
    assert word_for(number) == "NORMAL_UNSPECIFIED"


@pytest.mark.parametrize("word", ["", "user_busy", "LOST_TRACK", "HOLD_LIMIT", "17"])
def test_an_unknown_word_is_unspecified(word: str) -> None:
    assert number_for(word) == 31


def test_the_causes_of_q850_are_complete() -> None:
    unassigned = {10, 11, 12, 13, 15, 32, 33, 35, 36, 37, 48, 51, 56, 59, 60, 61, 64, 67, 68, 80}
    unassigned |= {*range(71, 79), 89, 92, 93, 94, *range(104, 110), *range(112, 127)}
    q850 = {number for number in CAUSES.values() if number <= LAST_OF_Q850}
    assert q850 == set(range(1, 128)) - unassigned


def test_freeswitch_is_told_nothing_that_it_has_no_word_for() -> None:
    assert "QOS_UNAVAILABLE" not in FREESWITCH_CAUSES
    assert FREESWITCH_CAUSES.items() < CAUSES.items()
