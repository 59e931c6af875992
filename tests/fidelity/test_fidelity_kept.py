"""What a real switch answered, kept: the simulated one must still be able to answer the same.

So must the emulator, in the same life, and in FreeSWITCH's words.

`make fidelity` draws programs and asks both switches; those that are kept here are replayed without
the real one. See docs/explanation/what-is-chance.md.
"""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path

import pytest
from fidelity import MOST_DRAWS, draws_until_equal
from fidelity_emulated import emulate
from fidelity_outcome import AtRest, Outcome
from fidelity_programs import Program, draw
from fidelity_simulated import simulate

pytestmark = [pytest.mark.slow, pytest.mark.exhaustive]

KEPT = Path(__file__).parent / "kept" / "programs.jsonl.gz"
PARTS = 8


@cache
def kept() -> list[tuple[Program, list[float], Outcome]]:
    rows = map(json.loads, gzip.decompress(KEPT.read_bytes()).decode().splitlines())
    return [
        (Program.from_json(row["program"]), row["sent_ms"], Outcome.from_json(row["real"]))
        for row in rows
    ]


def test_enough_is_kept() -> None:
    programs = [program for program, _, _ in kept()]
    assert len(programs) >= 200
    assert all(len(program.steps) >= 6 and program.is_sound for program in programs)
    assert any(step.what == "loopback" for program in programs for step in program.steps)
    assert {"A.b", "C.b", "C.p"} - {step.leg for p in programs for step in p.steps} == {"A.b"}


@pytest.mark.parametrize("part", range(PARTS))
def test_the_simulated_switch_and_the_emulator_can_do_as_the_real_one_did(part: int) -> None:
    for program, sent_ms, real in kept()[part::PARTS]:
        draws = draws_until_equal(program, sent_ms, real, 2 * MOST_DRAWS)
        if not draws:
            pytest.fail(program.story())
        differing = emulate(program, draws - 1, sent_ms).against(real)
        assert not differing, f"on the emulator:\n{program.story()}"


def test_what_the_simulated_switch_does_not_do_is_noticed() -> None:
    program, sent_ms, real = kept()[0]
    leg, facts = next(iter(real.facts.items()))
    bent = Outcome({**real.facts, leg: (*facts, "is parked")}, real.rest)
    assert not draws_until_equal(program, sent_ms, bent, 20)
    assert bent.against(real)
    nobody = Outcome(real.facts, {**real.rest, "Z": AtRest("", ())})
    assert nobody.against(real) == ["Z at rest: with nobody   BUT   gone"]


def test_the_same_seed_is_the_same_program_and_the_same_life() -> None:
    for seed in range(20):
        program = draw(seed)
        assert program == draw(seed)
        assert program.is_sound
        assert 6 <= len(program.steps) <= 16
        assert Program.from_json(json.loads(json.dumps(program.as_json()))) == program
        assert simulate(program, seed) == simulate(program, seed)
        life = simulate(program, seed)
        assert Outcome.from_json(json.loads(json.dumps(life.as_json()))) == life


def test_a_smaller_program_is_sound_and_smaller() -> None:
    for smaller in draw(5).smaller():
        assert smaller.is_sound
        assert len(smaller.steps) == len(draw(5).steps) - 1
