"""The check of a running service: quiet where all is well, loud where one is broken."""

from __future__ import annotations

import attrs
import pytest
from shipped import SCENARIOS

from hookflash.commands import Afterwards, Join
from hookflash.engine.record import Named, Parties, Record
from hookflash.engine.switchboard import Switchboard
from hookflash.events import (
    CompleteRequested,
    Kind,
    LegAnswered,
    LegCreated,
    LegHungUp,
    LegParked,
    LegsJoined,
    LegsSeparated,
    SoundStarted,
    SwitchFound,
    SwitchLost,
    TimerFired,
    TransferRequested,
)
from hookflash.fsm.transfer import Outcome, State
from hookflash.promises.production import GRACE_S, SILENCE_S, ProductionWatch
from hookflash.scenarios.scenario import Scenario
from hookflash.scenarios.simulation import Simulation
from hookflash.sounds import Music, Recording

PARTIES = Parties(
    transferor=Named("a", "1001"), transferee=Named("b", "1002"), target=Named("c", "2600")
)
ASKED = TransferRequested(leg="a", transfer="t", target="2600")


class Watched:
    """A board with a call of two, and a watch that was told all of it."""

    def __init__(self) -> None:
        self.board = Switchboard()
        self.told: list[tuple[int, str]] = []
        self.watch = ProductionWatch(self.board, lambda p, how: self.told.append((p.number, how)))
        self.happens(
            LegCreated(leg="a", number="1001"),
            LegCreated(leg="b", number="1002"),
            LegAnswered(leg="a"),
            LegAnswered(leg="b"),
            LegsJoined(first="a", second="b"),
        )

    def happens(self, *events: object, at_s: float = 0.0) -> None:
        for event in events:
            for record in self.board.handle(event, at_s):  # pyright: ignore[reportArgumentType]
                self.watch.tell(record)

    def is_told(self, **what: object) -> None:
        record = Record(number=1, at_s=0.0, event=TimerFired(timer="x"), transfer="t")
        self.watch.tell(attrs.evolve(record, parties=PARTIES, **what))

    @property
    def broken(self) -> dict[int, int]:
        return {promise.number: times for promise, times in self.watch.broken.items()}


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_a_transfer_that_goes_well_breaks_nothing(watched: Watched) -> None:
    watched.happens(
        ASKED,
        LegsSeparated(first="a", second="b"),
        LegParked(leg="a"),
        LegParked(leg="b"),
        SoundStarted(leg="b", sound=Music()),
        LegHungUp(leg="a"),
        LegHungUp(leg="b"),
    )
    watched.watch.look(100.0)
    assert watched.broken == {}


def test_somebody_who_stands_alone_after_the_end_is_forgotten(watched: Watched) -> None:
    watched.is_told(event=ASKED, before=State.IDLE, after=State.HOLDING)
    watched.is_told(before=State.HOLDING, after=State.IDLE, outcome=Outcome.FAILED)
    watched.happens(LegParked(leg="b"))
    watched.watch.look(GRACE_S)
    assert watched.broken == {}
    watched.watch.look(GRACE_S + 0.1)
    assert watched.broken == {1: 2}, "the two were parted, and are in no transfer"
    watched.watch.look(2 * GRACE_S)
    assert watched.broken == {1: 2}, "each is told once"


def test_whoever_hangs_up_or_talks_is_not_forgotten(watched: Watched) -> None:
    watched.is_told(event=ASKED, before=State.IDLE, after=State.HOLDING)
    watched.is_told(before=State.HOLDING, after=State.IDLE, outcome=Outcome.FAILED)
    watched.happens(LegHungUp(leg="a"))
    watched.watch.look(2 * GRACE_S)
    assert watched.broken == {1: 1}


def test_silence_on_hold_is_told_once(watched: Watched) -> None:
    watched.happens(
        ASKED,
        LegsSeparated(first="a", second="b"),
        LegParked(leg="a"),
        SoundStarted(leg="a", sound=Recording("x")),
        LegParked(leg="b"),
    )
    watched.watch.look(SILENCE_S)
    assert watched.broken == {}
    watched.watch.look(SILENCE_S + 1)
    watched.watch.look(SILENCE_S + 2)
    assert watched.told == [(2, "b waits in silence")]


def test_what_happens_while_the_switch_is_away_is_not_known(watched: Watched) -> None:
    watched.happens(
        ASKED,
        LegsSeparated(first="a", second="b"),
        LegParked(leg="a"),
        SoundStarted(leg="a", sound=Recording("x")),
        LegParked(leg="b"),
        SwitchLost(),
    )
    watched.watch.look(100.0)
    watched.happens(SwitchFound(), at_s=100.0)
    watched.watch.look(100.0 + SILENCE_S)
    assert watched.told == []
    watched.watch.look(101.0 + SILENCE_S)
    assert watched.told == [(2, "b waits in silence")]


def test_a_second_outcome_is_told(watched: Watched) -> None:
    watched.is_told(event=ASKED, before=State.IDLE, after=State.HOLDING)
    for _ in range(2):
        watched.is_told(before=State.HOLDING, after=State.IDLE, outcome=Outcome.RECONNECTED)
    assert watched.broken == {3: 1}


@pytest.mark.parametrize("let_go", [False, True])
def test_failing_while_both_are_there_is_told_unless_the_transferor_was_let_go(
    watched: Watched, let_go: bool
) -> None:
    watched.is_told(event=ASKED, before=State.IDLE, after=State.HOLDING)
    if let_go:
        watched.is_told(event=CompleteRequested(transfer="t"))
    watched.is_told(before=State.FAILED_RECONNECT, after=State.ENDING)
    watched.is_told(before=State.ENDING, after=State.IDLE, outcome=Outcome.FAILED)
    assert watched.broken == ({} if let_go else {4: 1})


def test_a_blind_transferor_may_be_gone(watched: Watched) -> None:
    blind = attrs.evolve(ASKED, kind=Kind.BLIND)
    watched.is_told(event=blind, before=State.IDLE, after=State.HOLDING)
    watched.is_told(before=State.PARTIAL, after=State.ENDING)
    watched.is_told(before=State.ENDING, after=State.IDLE, outcome=Outcome.FAILED)
    assert watched.broken == {}


def test_a_join_with_a_stranger_is_told(watched: Watched) -> None:
    join = Join(first="a", second="stranger", afterwards=Afterwards.PARK)
    watched.is_told(commands=(join,), before=State.TAKEBACK, after=State.TAKEBACK)
    assert watched.broken == {5: 1}


def test_waiting_without_a_deadline_is_told(watched: Watched) -> None:
    watched.happens(ASKED)
    running = watched.board.running["t"]
    running.transfer = attrs.evolve(running.transfer, deadline=None)
    watched.watch.look(1.0)
    assert watched.told == [(1, "t waits without a deadline in holding")]


ALARMS = {"slow-switch": {2}}
"""On a switch that answers after a quarter of a minute people do wait in silence: it is told."""


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_scenario_alarms_it_but_those_that_should(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario: Scenario = next(SCENARIOS[name].orders())
    watches: list[ProductionWatch] = []
    told: list[tuple[int, str]] = []
    plain = Simulation.__init__

    def watched(self: Simulation, *args: object, **kwargs: object) -> None:
        plain(self, *args, **kwargs)
        watch = ProductionWatch(self.switchboard, lambda p, how: told.append((p.number, how)))
        handle = self.switchboard.handle

        def handled(event: object, at_s: float = 0.0) -> list[Record]:
            records = handle(event, at_s)  # pyright: ignore[reportArgumentType]
            for record in records:
                watch.tell(record)
            watch.look(at_s)
            return records

        monkeypatch.setattr(self.switchboard, "handle", handled)
        watches.append(watch)

    monkeypatch.setattr(Simulation, "__init__", watched)
    from hookflash.scenarios.run import run_scenario  # noqa: PLC0415 - after it is watched

    run_scenario(scenario)
    assert watches
    assert {promise for promise, _ in told} == ALARMS.get(name, set())
