"""Running a scenario file: its deeds in their order, and what came of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from hookflash.backends.simulator.channel import Sense
from hookflash.backends.simulator.character import Character
from hookflash.backends.simulator.faults import Faults
from hookflash.backends.simulator.world import World
from hookflash.engine.record import Record
from hookflash.engine.switchboard import states_of
from hookflash.events import LegId, TransferRequested
from hookflash.fsm.transfer import Outcome, State
from hookflash.promises.run import RunWatch
from hookflash.scenarios.format import CONTROLLER, SWITCH, Deed, Scenario
from hookflash.scenarios.stage import CALL_UP_S, Stage

LIMIT_S = 24 * 3600.0
"""No run goes on for longer than a day of its own time."""

MAX_STEPS = 200_000
"""Nor for more happenings than this: a world that never comes to rest is a bug."""


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
    shown: dict[str, tuple[str, ...]]
    """Every number that each party's phone has shown since the calls were up."""
    keys: dict[str, str]
    """The keys that each party has heard others press."""
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


class _Play:
    """The script of one scenario, on its stage."""

    def __init__(self, scenario: Scenario, seed: int, faults: Faults, character: Character) -> None:
        self.scenario = scenario
        self.stage = Stage(
            scenario.parties,
            seed=seed,
            faults=faults,
            account=scenario.account,
            missing_sounds=scenario.missing_sounds,
            sound_s=scenario.sound_s,
            dialling=scenario.dialling,
            through=scenario.through,
            harsh=any(deed.who in (CONTROLLER, SWITCH) for deed in scenario.deeds),
            character=character,
        )
        self.world = self.stage.world
        self.stage.on_happening = self._cue
        self._waiting: tuple[str, Deed, int] | None = None
        self._began_s = 0.0
        self._shown: dict[str, int] = {}

    def begin(self) -> None:
        for caller, called in self.scenario.calls:
            self.stage.call(caller, called)
        self.world.run(until_s=self.world.now_s + CALL_UP_S, max_steps=MAX_STEPS)
        self._began_s = self.world.now_s
        self._shown = {who: len(self._all_shown(who)) for who in self.stage.parties}
        self._next(0)

    def _all_shown(self, who: str) -> tuple[str, ...]:
        legs = [leg for leg, name in self.stage.simulation.names.items() if name == who]
        return tuple(number for leg in legs for number in self.world.pbx.shown(leg))

    def shown_to(self, who: str) -> tuple[str, ...]:
        """Every number that a party's phone has shown since the calls were up."""
        return self._all_shown(who)[self._shown.get(who, 0) :]

    def _next(self, index: int) -> None:
        if index >= len(self.scenario.deeds):
            return
        deed = self.scenario.deeds[index]
        if deed.when is not None:
            self._waiting = (deed.when, deed, index)
            if deed.or_after_s is not None:
                self.world.after(deed.or_after_s, lambda: self._wait_no_more(index))
        elif deed.at_s is not None:
            delay = max(0.0, self._began_s + deed.at_s - self.world.now_s)
            self.world.after(delay, lambda: self._do(deed, index))
        elif deed.after_s:
            self.world.after(deed.after_s, lambda: self._do(deed, index))
        else:
            self._do(deed, index)

    def _do(self, deed: Deed, index: int) -> None:
        if deed.dials is not None:
            self._dial(deed, deed.dials, index)
            return
        following = self.scenario.deeds[index + 1 : index + 2]
        waits = bool(following) and following[0].when is not None
        if waits:
            self._next(index + 1)  # first: its cue may come from this very deed
        self.stage.perform(deed)
        if not waits:
            self._next(index + 1)

    def _dial(self, deed: Deed, digits: str, index: int) -> None:
        self.stage.press(deed.who, digits[0])
        rest = digits[1:]
        if rest:
            self.world.after(deed.every_s, lambda: self._dial(deed, rest, index))
        else:
            self._next(index + 1)

    def _wait_no_more(self, index: int) -> None:
        if self._waiting is not None and self._waiting[2] == index:
            _, deed, _ = self._waiting
            self._waiting = None
            self._do(deed, index)

    def _cue(self, happening: str) -> None:
        if self._waiting is None or self._waiting[0] != happening:
            return
        _, deed, index = self._waiting
        self._waiting = None
        # never within the happening itself: people take their cue from what is over
        self.world.after(deed.after_s, lambda: self._do(deed, index))


def what_came(
    scenario: Scenario,
    seed: int,
    records: Sequence[Record],
    watch: RunWatch,
    *,
    world: World,
    names: Mapping[LegId, str],
    shown: Mapping[str, tuple[str, ...]],
) -> Run:
    """Say what came of a scenario, now that nothing moves any more.

    Args:
        scenario: what was played.
        seed: with which dice.
        records: everything that controllers have written.
        watch: who has watched over the promises.
        world: the switch and its people.
        names: whose leg each was.
        shown: every number that each party's phone has shown since the calls were up.
    """
    asked = [r for r in records if isinstance(r.event, TransferRequested)]
    ended = [r for r in records if r.outcome is not None]
    begun = next((r.transfer for r in records if r.row and r.transfer), None)
    first = [r for r in records if r.transfer == begun] if begun else []
    living = world.snapshot()
    listed = {party.number: party.name for party in scenario.parties}
    name = {leg.leg: names.get(leg.leg) or listed.get(leg.number, leg.leg) for leg in living}
    pairs = (frozenset((name[leg.leg], name[leg.peer])) for leg in living if leg.peer in name)
    return Run(
        scenario=scenario,
        seed=seed,
        records=tuple(records),
        outcomes=tuple(r.outcome for r in ended if r.outcome is not None),
        cause=next((r.cause for r in first if r.outcome is not None), None),
        states=tuple(states_of(first)) or (State.IDLE,),
        talk=frozenset(pairs),
        living=frozenset(name.values()),
        heard={party.name: tuple(watch.heard(party.name)) for party in scenario.parties},
        shown=dict(shown),
        keys={party.name: _keys_heard_by(world, party.number) for party in scenario.parties},
        refused=tuple(r.why for r in records if r.refused),
        took_s=ended[-1].at_s - asked[0].at_s if asked and ended else 0.0,
        ended_s=world.now_s,
        broken=tuple(watch.verdict()),
        names=dict(names),
    )


def _keys_heard_by(world: World, number: str) -> str:
    heard = world.parties[number].heard
    return "".join(one.what for one in heard if one.sense is Sense.DIGIT)


def run_scenario(
    scenario: Scenario,
    *,
    seed: int | None = None,
    faults: Faults | None = None,
    character: Character = Character.FREESWITCH,
) -> Run:
    """Run one scenario, in one order of its race, until nothing moves any more.

    Args:
        scenario: what to play; one of `Scenario.orders()` if it has a race.
        seed: in place of the scenario's own.
        faults: in place of the scenario's own.
        character: whose habits the switch has.
    """
    scenario = scenario.on(character)
    chosen = scenario.seed if seed is None else seed
    bent = scenario.faults if faults is None else faults
    if seed is not None and bent.seed == 0:
        bent = attrs.evolve(bent, seed=seed)
    play = _Play(scenario, chosen, bent, character)
    play.begin()
    play.world.run(until_s=play.world.now_s + LIMIT_S, max_steps=MAX_STEPS)
    simulation = play.stage.simulation
    return what_came(
        scenario,
        chosen,
        simulation.records,
        play.stage.watch,
        world=play.world,
        names=simulation.names,
        shown={party.name: play.shown_to(party.name) for party in scenario.parties},
    )
