"""A scenario played in the simulator, and its result."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import attrs

from hookflash.backends.simulator.channel import Sense
from hookflash.backends.simulator.character import Character
from hookflash.backends.simulator.faults import Faults
from hookflash.backends.simulator.world import World
from hookflash.engine.record import Record, states_of
from hookflash.events import LegId, LegSnapshot, TransferRequested
from hookflash.fsm.transfer import Outcome, State
from hookflash.promises.run import RunWatch
from hookflash.scenarios.player import Player
from hookflash.scenarios.rig import CALL_UP_S, SimulatedRig
from hookflash.scenarios.scenario import Scenario

LIMIT_S = 24 * 3600.0
"""The longest run: one day of simulated time."""

MAX_STEPS = 200_000
"""The most steps of a run: a world that never comes to rest is a bug."""


@attrs.frozen(kw_only=True)
class Run:
    """The result of one run of a scenario."""

    scenario: Scenario
    seed: int
    records: tuple[Record, ...]
    outcomes: tuple[Outcome, ...]
    """Of all transfers, in the order of their ends."""
    cause: str | None
    states: tuple[State, ...]
    """Of the first transfer, `idle` first."""
    talk: frozenset[frozenset[str]]
    """The conversations at the end."""
    living: frozenset[str]
    """The parties with a leg at the end."""
    heard: dict[str, tuple[str, ...]]
    shown: dict[str, tuple[str, ...]]
    """All numbers that each party's phone has shown since the calls were up."""
    keys: dict[str, str]
    """The keys that each party has heard from others."""
    refused: tuple[str, ...]
    """The reasons of refused requests."""
    took_s: float
    """From the first request to the last outcome, in simulated seconds."""
    ended_s: float
    """When the world came to rest."""
    broken: tuple[str, ...]
    """Promises that were broken at any moment of the run."""
    names: dict[LegId, str]
    """The party on each leg."""


@attrs.frozen(kw_only=True)
class Ending:
    """The state of the switch and its phones when nothing moves any more."""

    living: Collection[LegSnapshot]
    heard: Mapping[str, tuple[str, ...]]
    shown: Mapping[str, tuple[str, ...]]
    keys: Mapping[str, str]
    at_s: float
    broken: tuple[str, ...]


def what_came(
    scenario: Scenario,
    seed: int,
    records: Sequence[Record],
    names: Mapping[LegId, str],
    end: Ending,
) -> Run:
    """The result of a scenario.

    Args:
        scenario: the scenario.
        seed: the seed of the run.
        records: all records of the controllers.
        names: the party on each leg.
        end: the final state.
    """
    asked = [r for r in records if isinstance(r.event, TransferRequested)]
    ended = [r for r in records if r.outcome is not None]
    begun = next((r.transfer for r in records if r.row and r.transfer), None)
    first = [r for r in records if r.transfer == begun] if begun else []
    listed = {party.number: party.name for party in scenario.parties}
    name = {leg.leg: names.get(leg.leg) or listed.get(leg.number, leg.leg) for leg in end.living}
    pairs = (frozenset((name[leg.leg], name[leg.peer])) for leg in end.living if leg.peer in name)
    return Run(
        scenario=scenario,
        seed=seed,
        records=tuple(records),
        outcomes=tuple(r.outcome for r in ended if r.outcome is not None),
        cause=next((r.cause for r in first if r.outcome is not None), None),
        states=tuple(states_of(first)) or (State.IDLE,),
        talk=frozenset(pairs),
        living=frozenset(name.values()),
        heard=dict(end.heard),
        shown=dict(end.shown),
        keys=dict(end.keys),
        refused=tuple(r.why for r in records if r.refused),
        took_s=ended[-1].at_s - asked[0].at_s if asked and ended else 0.0,
        ended_s=end.at_s,
        broken=end.broken,
        names=dict(names),
    )


def ending_of(
    scenario: Scenario, world: World, watch: RunWatch, shown_before: Mapping[str, tuple[str, ...]]
) -> Ending:
    """The final state of a scenario in a simulated world.

    Args:
        scenario: the scenario.
        world: the switch and its people.
        watch: has checked the promises.
        shown_before: the result of `shown_to` when the calls were up.
    """
    shown = shown_to(scenario, world, watch.names)
    return Ending(
        living=world.snapshot(),
        heard={party.name: tuple(watch.heard(party.name)) for party in scenario.parties},
        shown={who: numbers[len(shown_before[who]) :] for who, numbers in shown.items()},
        keys={party.name: _keys_heard_by(world, party.address) for party in scenario.parties},
        at_s=world.now_s,
        broken=tuple(watch.verdict()),
    )


def shown_to(
    scenario: Scenario, world: World, names: Mapping[LegId, str]
) -> dict[str, tuple[str, ...]]:
    """All numbers that each party's phone has shown so far."""
    return {
        party.name: tuple(
            number
            for leg, name in names.items()
            if name == party.name
            for number in world.pbx.shown(leg)
        )
        for party in scenario.parties
    }


def _keys_heard_by(world: World, address: str) -> str:
    heard = world.parties[address].heard
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
        scenario: the scenario; one of `Scenario.orders()` if it has a race.
        seed: replaces the scenario's own.
        faults: replace the scenario's own.
        character: the switch to imitate.
    """
    scenario = scenario.on(character)
    chosen = scenario.seed if seed is None else seed
    bent = scenario.faults if faults is None else faults
    if seed is not None and bent.seed == 0:
        bent = attrs.evolve(bent, seed=seed)
    rig = SimulatedRig(
        scenario.parties,
        seed=chosen,
        faults=bent,
        account=scenario.account,
        missing_sounds=scenario.missing_sounds,
        sound_s=scenario.sound_s,
        dialling=scenario.dialling,
        through=scenario.through,
        harsh=scenario.is_harsh,
        character=character,
    )
    world, roster = rig.world, rig.roster
    player = Player(scenario.script, rig)
    rig.on_happening = player.happens
    for caller, called in scenario.calls:
        rig.call(caller, called)
    world.run(until_s=world.now_s + CALL_UP_S, max_steps=MAX_STEPS)
    before = shown_to(scenario, world, roster.names)
    player.begin()
    world.run(until_s=world.now_s + LIMIT_S, max_steps=MAX_STEPS)
    end = ending_of(scenario, world, rig.watch, before)
    return what_came(scenario, chosen, rig.simulation.records, roster.names, end)
