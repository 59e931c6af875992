"""The same run twice is the same run: to the byte, in one process and in two."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from shipped import SCENARIOS

from hookflash.backends.simulator.faults import Faults, parse_faults
from hookflash.backends.simulator.people import Answers, Manual
from hookflash.commands import CancelTimer, SetTimer
from hookflash.engine.record import Record
from hookflash.events import Kind, TimerFired, TransferRequested
from hookflash.fsm.transfer import Outcome, State
from hookflash.scenarios.run import run_scenario
from hookflash.scenarios.simulation import Simulation
from hookflash.sounds import Music, Sound

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("complete", "takeback-consult", "two-calls-at-once", "race-ringing", "hold-by-code")
WEATHER = "latency=0.0..0.2,reorder=0.5,duplicate=0.5,lose_command=0.1,lose_at_most=2"


def story(seed: int, faults: str = WEATHER) -> bytes:
    """All records of some scenarios, as JSON, one a line."""
    bent = parse_faults(f"{faults},seed={seed}" if faults else f"seed={seed}")
    lines: list[str] = []
    for name in NAMES:
        for order in SCENARIOS[name].orders():
            run = run_scenario(order, seed=seed, faults=bent)
            lines += [json.dumps(record.to_document()) for record in run.records]
    return "\n".join(lines).encode()


@pytest.mark.exhaustive
def test_the_same_seed_gives_the_same_records_in_one_process() -> None:
    first = story(7)
    assert len(first) > 100_000
    assert story(7) == first


@pytest.mark.exhaustive
def test_another_seed_gives_others() -> None:
    assert len({hashlib.sha256(story(seed)).digest() for seed in range(5)}) == 5
    assert story(1, "") != story(2, "")  # without faults it is the switch's own times that differ


def test_faults_of_another_seed_are_others() -> None:
    scenario = SCENARIOS["complete"]
    one, other = (
        run_scenario(scenario, seed=1, faults=Faults(seed=seed, event_latency_s=(0.0, 0.3)))
        for seed in (1, 2)
    )
    assert one.records != other.records
    assert one.outcomes == other.outcomes


TELL = """
import sys
sys.path[:0] = {paths!r}
from test_simulation import story
sys.stdout.buffer.write(story(7))
"""


@pytest.mark.exhaustive
def test_the_same_seed_gives_the_same_records_in_any_process() -> None:
    """Whatever the order of the hash, the time zone or the locale."""
    script = TELL.format(paths=[str(ROOT), str(ROOT / "tests")])
    told = [
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "TZ": zone, "LC_ALL": "C"},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for hash_seed, zone in (("0", "UTC"), ("4711", "Asia/Tokyo"))
    ]
    assert told[0] == told[1] == story(7)


# ----------------------------------------------------------------- the loop itself


def simulated() -> tuple[Simulation, str, list[Record]]:
    simulation = Simulation(seed=1)
    simulation.world.add_phone("1002", Answers(), "bob")
    simulation.world.add_phone("2600", Manual(), "carol")
    alice, _bob = simulation.world.call("1001", "1002")
    simulation.world.run(until_s=5.0)
    seen: list[Record] = []
    simulation.on_record = seen.append
    return simulation, alice, seen


def test_a_record_is_kept_and_shown_to_whoever_watches() -> None:
    simulation, alice, seen = simulated()
    before = len(simulation.records)
    told = simulation.handle(TransferRequested(leg=alice, transfer="t", target="2600"))
    assert seen == told == simulation.records[before:]
    assert told[0].at_s == 5.0


def test_timers_fire_once_and_cancelled_ones_never() -> None:
    simulation, alice, _seen = simulated()
    simulation.handle(TransferRequested(leg=alice, transfer="t", target="2600"))
    simulation.world.run()
    commands = [command for record in simulation.records for command in record.commands]
    made = [command.timer for command in commands if isinstance(command, SetTimer)]
    dropped = {command.timer for command in commands if isinstance(command, CancelTimer)}
    fired = [r.event.timer for r in simulation.records if isinstance(r.event, TimerFired)]
    assert len(set(made)) == len(made)
    assert len(set(fired)) == len(fired)
    assert not dropped & set(fired)
    assert simulation.timers == frozenset()


def test_the_deadline_can_be_let_pass() -> None:
    simulation, alice, _seen = simulated()
    simulation.let_the_deadline_pass()  # of nothing
    simulation.handle(TransferRequested(leg=alice, transfer="t", target="2600", kind=Kind.ATTENDED))
    simulation.world.run(until_s=8.0)
    transfer = simulation.switchboard.transfer("t")
    assert transfer is not None
    assert transfer.state is State.DIALING
    simulation.let_the_deadline_pass()
    simulation.world.run()
    ended = [record for record in simulation.records if record.outcome is not None]
    assert [record.outcome for record in ended] == [Outcome.RECONNECTED]


@pytest.mark.parametrize("missing", [[], [Music()]])
def test_sounds_can_be_missing(missing: list[Sound]) -> None:
    simulation = Simulation(seed=1, missing_sounds=missing)
    alice, bob = simulation.world.call("1001", "1002")
    simulation.world.run(until_s=5.0)
    simulation.handle(
        TransferRequested(leg=alice, transfer="t", target="", kind=Kind.HOLD, by="program")
    )
    simulation.world.run(until_s=10.0)
    hears = {leg.leg: leg.hears for leg in simulation.world.snapshot()}
    assert (hears[bob] == Music()) is not bool(missing)
    assert hears[bob] is not None
