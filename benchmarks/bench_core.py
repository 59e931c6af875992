"""What a transfer costs: a step of the machine, a whole transfer, and ten thousand in memory.

* **A step**: one event that says something new through `Rulebook.step`, over a whole attended
  transfer; beside it the bare `transitions` machine with the same states and triggers, but no
  guards, no actions and no record.
  The median of many, as whatever disturbs a step can only make it slower.
* **A whole transfer**: two people call each other, one dials the feature code, talks with a third
  and leaves, and the two who stay hang up; wire and clock are the simulator's, and machine, feature
  codes and timers the real ones. CPU time, on one core.
* **Memory**: ten thousand transfers whose targets ring, in one switchboard: the lines of the calls,
  the transfers' records, and their timers in a heap like the engine's.

    python benchmarks/bench_core.py
"""

from __future__ import annotations

import gc
import heapq
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import attrs
from transitions import Machine

from hookflash.backends.simulator.people import Answers
from hookflash.commands import CancelTimer, SetTimer
from hookflash.engine.record import Record
from hookflash.engine.switchboard import Switchboard
from hookflash.events import (
    DigitPressed,
    Event,
    Kind,
    LegAnswered,
    LegCreated,
    LegParked,
    LegProgressed,
    LegsJoined,
    LegsSeparated,
    SoundStarted,
    TransferRequested,
)
from hookflash.fsm.begin import new_transfer
from hookflash.fsm.machine import Rulebook
from hookflash.fsm.policy import Policy
from hookflash.fsm.spec import Row
from hookflash.fsm.transfer import Outcome, State, Transfer
from hookflash.scenarios.simulation import Simulation
from hookflash.specs.catalog import SPEC_FOR

STEP_US: Final = 12.0
STEP_RATIO: Final = 2.4
TRANSFERS_PER_S: Final = 1_000.0
BYTES_EACH: Final = 4 * 1024.0

WAVE: Final = 100
"""Calls that are up at once in the measured world."""

IN_FLIGHT: Final = 10_000


@attrs.frozen(kw_only=True)
class Figure:
    """One measurement, and what it should be."""

    what: str
    value: float
    unit: str
    target: float
    at_least: bool = False
    """Whether more is better."""

    @property
    def ratio(self) -> float:
        """How good it is: 1 is just on target, 2 twice as good."""
        return self.value / self.target if self.at_least else self.target / self.value


# ------------------------------------------------------------------------------- one step


def whole_story() -> list[tuple[Transfer, Event, tuple[Row, ...]]]:
    """An attended transfer, step by step: the record before, what happened, and the rows."""
    events: list[Event] = []

    def overheard(record: Record) -> None:
        if record.transfer is not None:
            events.append(record.event)

    alice, bob = one_call(simulation := Simulation(seed=1))
    simulation.world.add_phone("2600", Answers())
    simulation.on_record = overheard
    simulation.handle(TransferRequested(leg=alice, transfer="t", target="2600"))
    simulation.world.run(until_s=simulation.world.now_s + 5.0)
    simulation.world.hang_up(alice)
    simulation.world.run()
    rules = Rulebook(SPEC_FOR[Kind.ATTENDED])
    transfer = new_transfer(
        transfer="t",
        kind=Kind.ATTENDED,
        policy=Policy(),
        transferor=(alice, "1001"),
        transferee=(bob, "1002"),
        target=("t-target", "2600"),
    )
    story: list[tuple[Transfer, Event, tuple[Row, ...]]] = []
    for event in events:
        step = rules.step(transfer, event)
        if step.after is not transfer:
            story.append((transfer, event, step.rows))
        transfer = step.after
    assert transfer.outcome is Outcome.TRANSFERRED
    return story


def one_call(simulation: Simulation) -> tuple[str, str]:
    """Have two people talk."""
    legs = simulation.world.call("1001", "1002")
    simulation.world.run(until_s=simulation.world.now_s + 5.0)
    return legs


@attrs.define
class Model:
    """The least that a `transitions` machine can drive."""

    state: State


def bare_machine() -> Machine:
    """The attended table's states and triggers, and nothing else of it."""
    spec = SPEC_FOR[Kind.ATTENDED]
    machine = Machine(
        model=None,
        states=list(spec.states),
        initial=spec.initial,
        auto_transitions=False,
    )
    for row in spec.rows:
        machine.add_transition(row.on.value, list(spec.where(row)), row.to)
    return machine


def medians_us(tasks: list[Callable[[], object]], rounds: int) -> float:
    """The mean of the tasks' medians, in microseconds."""
    clock = time.perf_counter_ns
    medians: list[float] = []
    for task in tasks:
        took: list[int] = []
        for _ in range(rounds):
            began = clock()
            task()
            took.append(clock() - began)
        medians.append(statistics.median(took))
    return statistics.fmean(medians) / 1_000


def measure_steps(rounds: int = 400) -> Iterator[Figure]:
    """One step of the machine, and the bare trigger beside it, in turn."""
    story, rules, bare = whole_story(), Rulebook(SPEC_FOR[Kind.ATTENDED]), bare_machine()
    steps: list[Callable[[], object]] = [
        partial(rules.step, before, event) for before, event, _ in story
    ]
    triggers: list[Callable[[], object]] = [
        partial(pull, bare, row) for _, _, rows in story for row in rows
    ]
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(5):  # in turn, so that a busy spell of the machine hits both
        ours.append(medians_us(steps, rounds))
        theirs.append(medians_us(triggers, rounds))
    step_us, bare_us = min(ours), min(theirs)
    yield Figure(what="a step of the machine", value=step_us, unit="µs", target=STEP_US)
    yield Figure(
        what=f"… beside the bare trigger ({bare_us:.1f} µs)",
        value=step_us / bare_us,
        unit="×",
        target=STEP_RATIO,
    )


def pull(machine: Machine, row: Row) -> None:
    """Pull one trigger of a bare machine."""
    trigger: Any = machine.events[row.on.value].trigger
    assert row.state is not None
    trigger(Model(row.state))


# ----------------------------------------------------------------------- a whole transfer


def transfer_a_wave(simulation: Simulation, wave: int) -> int:
    """Up to a hundred calls at once, from the first ring to the last hang-up."""
    world = simulation.world
    callers: list[str] = []
    for call in range(WAVE):
        number = f"{wave}A{call}"
        world.add_phone(f"{number}C", Answers(after_s=1.5))
        callers.append(world.call(f"{number}A", f"{number}B")[0])
    world.run(until_s=world.now_s + 2.0)
    for call, leg in enumerate(callers):
        simulation.handle(
            TransferRequested(leg=leg, transfer=f"{wave}-{call}", target=f"{wave}A{call}C")
        )
    world.run(until_s=world.now_s + 4.0)
    for leg in callers:
        world.hang_up(leg)
    world.run(until_s=world.now_s + 1.0)
    for leg in world.snapshot():
        world.hang_up(leg.leg)
    world.run()
    done = sum(record.outcome is Outcome.TRANSFERRED for record in simulation.records)
    simulation.records.clear()
    return done


def measure_transfers(waves: int = 10) -> Iterator[Figure]:
    """Whole transfers, one after the other and a hundred at a time."""
    best = 0.0
    for attempt in range(3):
        simulation = Simulation(seed=attempt)
        began_s = time.process_time()
        done = sum(transfer_a_wave(simulation, wave) for wave in range(waves))
        best = max(best, done / (time.process_time() - began_s))
        assert done == waves * WAVE
        assert not any(simulation.switchboard.load().values())
    yield Figure(
        what="whole attended transfers on one core",
        value=best,
        unit="/s",
        target=TRANSFERS_PER_S,
        at_least=True,
    )


# --------------------------------------------------------------------------------- memory


class Timers:
    """Timers as the engine keeps them."""

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, str]] = []
        self.pending: dict[str, int] = {}

    def take(self, records: list[Record]) -> None:
        """Set and cancel what records order."""
        for record in records:
            for command in record.commands:
                if isinstance(command, SetTimer):
                    self.pending[command.timer] = len(self.heap)
                    heapq.heappush(self.heap, (command.after_s, len(self.heap), command.timer))
                elif isinstance(command, CancelTimer):
                    self.pending.pop(command.timer, None)
        while self.heap and self.heap[0][2] not in self.pending:
            heapq.heappop(self.heap)


def until_it_rings(call: int) -> Iterator[Event]:
    """Two people talk; one dials `*22600`; the target's phone rings."""
    a, b, transfer = f"a-{call}", f"b-{call}", f"transfer-{call + 1}"
    yield LegCreated(leg=a, number=f"1{call:06}")
    yield LegCreated(leg=b, number=f"2{call:06}")
    yield LegAnswered(leg=b)
    yield LegsJoined(first=a, second=b)
    for serial, digit in enumerate("*22600#", start=1):
        yield DigitPressed(leg=a, digit=digit, serial=serial)
    yield LegsSeparated(first=a, second=b)
    yield LegParked(leg=a)
    yield LegParked(leg=b)
    target = f"{transfer}-target"
    yield LegCreated(leg=target, number="2600")
    yield LegProgressed(leg=target)
    policy = Policy()
    yield SoundStarted(leg=b, sound=policy.music)
    yield SoundStarted(leg=a, sound=policy.ringback)


def measure_memory() -> Iterator[Figure]:
    """Ten thousand transfers in flight, in one process."""
    board, timers = Switchboard(), Timers()
    for event in until_it_rings(0):  # whatever is made only once
        timers.take(board.handle(event))
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for call in range(1, IN_FLIGHT + 1):
        for event in until_it_rings(call):
            timers.take(board.handle(event))
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    states = {running.transfer.state for running in board.running.values()}
    assert states == {State.DIALING}
    assert len(board.running) == IN_FLIGHT + 1
    yield Figure(
        what=f"a transfer among {IN_FLIGHT:,} in flight",
        value=(after - before) / IN_FLIGHT,
        unit="bytes",
        target=BYTES_EACH,
    )


def measure() -> Iterator[Figure]:
    """Everything."""
    yield from measure_steps()
    yield from measure_transfers()
    yield from measure_memory()


def report(figures: list[Figure]) -> None:
    """Print a table."""
    print(f"{'':44} {'figure':>10} {'':6} {'target':>12} {'ratio':>6}")
    for figure in figures:
        bound = "≥" if figure.at_least else "≤"
        print(
            f"{figure.what:44} {figure.value:>10,.1f} {figure.unit:6} "
            f"{f'{bound} {figure.target:,.0f}':>12} {figure.ratio:>6.2f}"
        )


if __name__ == "__main__":
    found = list(measure())
    report(found)
    sys.exit(any(figure.ratio < 1 for figure in found))
