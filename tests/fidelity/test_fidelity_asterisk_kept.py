"""What a real Asterisk answered, kept: the simulated one must still be able to answer the same."""

from __future__ import annotations

import gzip
import json

import pytest
from asterisk_programs import Program, draw
from asterisk_simulated import simulate
from fidelity_asterisk import KEPT, Answered
from fidelity_outcome import Outcome

pytestmark = [pytest.mark.slow, pytest.mark.exhaustive]

PARTS = 4


def kept() -> list[Answered]:
    return [*map(Answered.from_row, gzip.decompress(KEPT.read_bytes()).decode().splitlines())]


def test_enough_is_kept() -> None:
    programs = [one.program for one in kept()]
    assert len(programs) >= 100
    assert all(program.is_sound for program in programs)
    done = {step.does for program in programs for step in program.steps}
    assert done >= {"dial", "split", "join", "park", "arm", "release", "music", "hangs up", "ivr"}


@pytest.mark.parametrize("part", range(PARTS))
def test_the_simulated_switch_can_do_as_the_real_one_did(part: int) -> None:
    for one in kept()[part::PARTS]:
        if not one.draws():
            pytest.fail("\n".join((one.program.story(), *one.nearest())))


def test_what_the_simulated_switch_does_not_do_is_noticed() -> None:
    one = kept()[0]
    leg, facts = next(iter(one.real.facts.items()))
    bent = Outcome({**one.real.facts, leg: (*facts, "is parked")}, one.real.rest)
    assert all(simulate(one.program, seed, one.sent_ms) != bent for seed in range(20))


def test_the_same_seed_is_the_same_program_and_the_same_life() -> None:
    for seed in range(10):
        program = draw(seed)
        assert program == draw(seed)
        assert Program.from_json(json.loads(json.dumps(program.as_json()))) == program
        assert all(smaller.is_sound for smaller in program.smaller())
        life = simulate(program, seed)
        assert life == simulate(program, seed)
        assert Outcome.from_json(json.loads(json.dumps(life.as_json()))) == life
