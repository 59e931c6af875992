"""Running a scenario: a simulated world and a switchboard, in one plain loop without a scheduler.

The same seed gives the same run, to the byte: the only clock is the world's heap, and the only
chance its one generator of random numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

from hookflash.backends.simulator.faults import Faults
from hookflash.backends.simulator.world import World
from hookflash.commands import CancelTimer, Command, SetTimer
from hookflash.engine.record import Record
from hookflash.engine.switchboard import Account, Switchboard, states_of
from hookflash.events import (
    CallEvent,
    CompleteRequested,
    Event,
    HangUpRequested,
    Kind,
    LegAnswered,
    LegCreated,
    LegHungUp,
    LegId,
    LegParked,
    LegProgressed,
    LegsJoined,
    SoundStarted,
    TakebackRequested,
    TimerFired,
    TransferRequested,
)
from hookflash.fsm.transfer import Outcome, State
from hookflash.scenarios.format import CLOCK, Deed, Scenario
from hookflash.scenarios.promises import Watch

_VERBS: dict[type, str] = {
    LegProgressed: "rings",
    LegAnswered: "answers",
    LegParked: "is parked",
    LegHungUp: "hangs up",
    SoundStarted: "hears a sound",
}
"""What a fact is called in a scenario's `when`."""

CALL_UP_S = 5.0
"""By then every call of a scenario is up: the called party answers after 1.5 s unless told."""

LIMIT_S = 24 * 3600.0
"""No run goes on for longer than a day of its own time."""

MAX_STEPS = 200_000
"""Nor for more happenings than this: a world that never comes to rest is a bug."""

SILENCE_LIMIT_S = 2.0
"""How long anybody may wait without hearing anything: the switch's own delays, and a margin."""

FAULTY_SILENCE_LIMIT_S = 30.0
"""The same where commands get lost and are tried again at the next deadline."""


@attrs.frozen(kw_only=True)
class Run:
    """What one run of a scenario showed."""

    scenario: Scenario
    seed: int
    records: tuple[Record, ...]
    outcomes: tuple[Outcome, ...]
    """Of all transfers, in the order in which they ended."""
    cause: str | None
    states: tuple[State, ...]
    """Of the first transfer, `idle` first."""
    talk: frozenset[frozenset[str]]
    """Who talks with whom at the end."""
    living: frozenset[str]
    """Who has a leg at the end."""
    heard: dict[str, tuple[str, ...]]
    refused: tuple[str, ...]
    """Why requests were refused."""
    took_s: float
    """From the first request to the last outcome, in the world's seconds."""
    ended_s: float
    """When the world came to rest."""
    broken: tuple[str, ...]
    """Promises that were broken, in any moment of the run."""
    names: dict[LegId, str]
    """Whose leg each was."""


class Simulation:
    """A world, and a switchboard that controls it: people act on the one, programs on the other."""

    def __init__(
        self,
        *,
        seed: int = 0,
        faults: Faults | None = None,
        account: Account | None = None,
        missing_sounds: Iterable[str] = (),
    ) -> None:
        """Build an empty world.

        Args:
            seed: fixes everything that chance decides.
            faults: what goes wrong between switch and switchboard.
            account: feature codes and policy.
            missing_sounds: sounds of which the switch has no file.
        """
        self.world = World(seed=seed, faults=faults, missing_sounds=missing_sounds)
        self.switchboard = Switchboard(account=account)
        self.records: list[Record] = []
        self.names: dict[LegId, str] = {}
        self._timers: set[str] = set()
        self.on_record: Callable[[Record], None] | None = None
        self.world.on_event = self.handle

    def handle(self, event: Event) -> list[Record]:
        """Let the switchboard take an event, and carry out what it orders."""
        records = self.switchboard.handle(event, self.world.now_s)
        for record in records:
            self.records.append(record)
            if self.on_record is not None:
                self.on_record(record)
            for command in record.commands:
                self._carry_out(command)
        return records

    def _carry_out(self, command: Command) -> None:
        match command:
            case SetTimer(timer=timer, after_s=after_s):
                self._timers.add(timer)
                self.world.after(after_s, lambda: self._fire(timer))
            case CancelTimer(timer=timer):
                self._timers.discard(timer)
            case _:
                self.world.perform(command)

    def _fire(self, timer: str) -> None:
        if timer in self._timers:
            self._timers.discard(timer)
            self.handle(TimerFired(timer=timer))

    def let_the_deadline_pass(self) -> None:
        """Fire the deadline of the transfer in flight, now."""
        for running in list(self.switchboard.running.values()):
            if running.transfer.deadline is not None:
                self._fire(running.transfer.deadline)
                return


class _Play:
    """One scenario on the stage."""

    def __init__(self, scenario: Scenario, seed: int, faults: Faults) -> None:
        self.scenario = scenario
        self.simulation = Simulation(
            seed=seed,
            faults=faults,
            account=scenario.account,
            missing_sounds=scenario.missing_sounds,
        )
        self.world = self.simulation.world
        self.legs: dict[str, LegId] = {}
        self.waiting: tuple[str, Deed, int] | None = None
        self.requests = 0
        self.asked_s: float | None = None
        self.ended_s: float = 0.0
        self.watch = Watch(
            self.simulation,
            silence_limit_s=FAULTY_SILENCE_LIMIT_S if faults.bend_commands or faults.bend_events else SILENCE_LIMIT_S,
        )
        self._asked_by: dict[str, str] = {}
        self._numbers = {party.number: party.name for party in scenario.parties}
        self.simulation.on_record = self._recorded
        self.world.on_fact = self._happened

    def set_up(self) -> None:
        for party in self.scenario.parties:
            self.world.add_phone(party.number, party.behaviour, party.name)
        number = {party.name: party.number for party in self.scenario.parties}
        account = {party.name: party.account for party in self.scenario.parties}
        for caller, called in self.scenario.calls:
            leg_a, leg_b = self.world.call(
                number[caller], number[called], account=account[caller]
            )
            self.legs[caller], self.legs[called] = leg_a, leg_b
            self.simulation.names[leg_a], self.simulation.names[leg_b] = caller, called
        self.world.run(until_s=self.world.now_s + CALL_UP_S, max_steps=MAX_STEPS)
        self._began_s = self.world.now_s
        self._next(0)

    # --------------------------------------------------------------- the deeds

    def _next(self, index: int) -> None:
        if index >= len(self.scenario.deeds):
            return
        deed = self.scenario.deeds[index]
        if deed.when is not None:
            self.waiting = (deed.when, deed, index)
        elif deed.at_s is not None:
            delay = max(0.0, self._began_s + deed.at_s - self.world.now_s)
            self.world.after(delay, lambda: self._do(deed, index))
        elif deed.after_s:
            self.world.after(deed.after_s, lambda: self._do(deed, index))
        else:
            self._do(deed, index)

    def _do(self, deed: Deed, index: int) -> None:
        if deed.dials is not None:
            self._dial(deed.who, deed.dials, deed.every_s, index)
            return
        following = self.scenario.deeds[index + 1 : index + 2]
        waits = bool(following) and following[0].when is not None
        if waits:
            self._next(index + 1)  # first: its cue may come from this very deed
        if deed.asks is not None:
            self._ask(deed)
        elif deed.who == CLOCK:
            self.simulation.let_the_deadline_pass()
        else:
            self._act(deed)
        if not waits:
            self._next(index + 1)

    def _dial(self, who: str, digits: str, every_s: float, index: int) -> None:
        if who in self.legs:
            self.world.press(self.legs[who], digits[0])
        rest = digits[1:]
        if rest:
            self.world.after(every_s, lambda: self._dial(who, rest, every_s, index))
        else:
            self._next(index + 1)

    def _act(self, deed: Deed) -> None:
        leg = self.legs.get(deed.who)
        if leg is None:
            return  # nobody has called yet, or it has hung up already
        match deed.does:
            case "hangs up":
                self.world.hang_up(leg)
            case "answers":
                self.world.answer(leg)
            case _:
                self.world.refuse(leg)

    def _ask(self, deed: Deed) -> None:
        leg = self.legs.get(deed.who, "")
        in_flight = self._asked_by.get(deed.who, "")
        match deed.asks:
            case "transfer" | "hold":
                self.requests += 1
                request: Event = TransferRequested(
                    leg=leg,
                    transfer=f"request-{self.requests}",
                    target=deed.target if deed.asks == "transfer" else "",
                    kind=deed.kind if deed.asks == "transfer" else Kind.HOLD,
                    by="program",
                )
            case "takeback":
                request = TakebackRequested(transfer=in_flight, by="program")
            case "complete":
                request = CompleteRequested(transfer=in_flight, by="program")
            case _:
                request = HangUpRequested(leg=leg, by="program")
        self.simulation.handle(request)

    # ----------------------------------------------------------- what comes of it

    def _happened(self, fact: CallEvent) -> None:
        """A fact, in the moment in which it becomes one (the switchboard may learn it later)."""
        if isinstance(fact, LegCreated):
            name = self._numbers.get(fact.number)
            if name is not None:
                self.legs[name] = fact.leg
                self.simulation.names[fact.leg] = name
        self.watch.fact(fact)
        for happening in self._words(fact):
            self._cue(happening)
        if isinstance(fact, LegHungUp):
            name = self.simulation.names.get(fact.leg)
            if name is not None and self.legs.get(name) == fact.leg:
                del self.legs[name]

    def _words(self, fact: CallEvent) -> tuple[str, ...]:
        """The happening in the words of a scenario's `when`."""
        name = self.simulation.names.get
        if isinstance(fact, LegsJoined):
            one, other = name(fact.first), name(fact.second)
            return (f"{one} and {other} talk", f"{other} and {one} talk")
        verb = _VERBS.get(type(fact))
        leg = getattr(fact, "leg", None)
        return (f"{name(leg)} {verb}",) if verb and leg else ()

    def _cue(self, happening: str) -> None:
        if self.waiting is None or self.waiting[0] != happening:
            return
        _, deed, index = self.waiting
        self.waiting = None
        # never within the happening itself: people take their cue from what is over
        self.world.after(deed.after_s, lambda: self._do(deed, index))

    def _recorded(self, record: Record) -> None:
        self.watch.record(record)
        if isinstance(record.event, TransferRequested):
            self.asked_s = record.at_s if self.asked_s is None else self.asked_s
            if not record.refused:
                who = self.simulation.names.get(record.event.leg, "")
                self._asked_by[who] = record.event.transfer
        if record.outcome is not None:
            self.ended_s = record.at_s
        if record.after is not None and record.after is not record.before:
            self._cue(f"the transfer is {record.after.value}")

    def result(self, seed: int) -> Run:
        simulation = self.simulation
        transfers = [r.transfer for r in simulation.records if r.transfer is not None and r.row]
        first = [r for r in simulation.records if transfers and r.transfer == transfers[0]]
        ended = [r for r in simulation.records if r.outcome is not None]
        living = self.world.snapshot()
        names = simulation.names
        return Run(
            scenario=self.scenario,
            seed=seed,
            records=tuple(simulation.records),
            outcomes=tuple(r.outcome for r in ended if r.outcome is not None),
            cause=next((r.cause for r in first if r.outcome is not None), None),
            states=tuple(states_of(first)) or (State.IDLE,),
            talk=frozenset(
                frozenset((names.get(leg.leg, leg.leg), names.get(leg.peer, leg.peer)))
                for leg in living
                if leg.peer is not None
            ),
            living=frozenset(names.get(leg.leg, leg.leg) for leg in living),
            heard={
                party.name: tuple(self.watch.heard(party.name)) for party in self.scenario.parties
            },
            refused=tuple(r.why for r in simulation.records if r.refused),
            took_s=self.ended_s - self.asked_s if self.asked_s is not None and ended else 0.0,
            ended_s=self.world.now_s,
            broken=tuple(self.watch.verdict()),
            names=dict(names),
        )


def run_scenario(
    scenario: Scenario, *, seed: int | None = None, faults: Faults | None = None
) -> Run:
    """Run one scenario, in one order of its race, until nothing moves any more.

    Args:
        scenario: what to play; one of `Scenario.orders()` if it has a race.
        seed: in place of the scenario's own.
        faults: in place of the scenario's own.
    """
    chosen = scenario.seed if seed is None else seed
    play = _Play(scenario, chosen, scenario.faults if faults is None else faults)
    play.set_up()
    play.world.run(until_s=LIMIT_S, max_steps=MAX_STEPS)
    return play.result(chosen)
