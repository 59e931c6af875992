"""The proof and the soak: everything that a table can meet, and thousands of scenario runs.

The two searches complement each other. The **tables** are searched exhaustively: an adversary
applies any event at any moment, until no record is new. The **scenarios** run in the simulator,
where events occur as on a switch: in every order of their races, under many seeds, with and without
faults; and every promise is checked at every moment.

They also check each other. Rows that follow one another in the simulator must be able to do so in
the search; otherwise the adversary was too weak.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import attrs

from hookflash.backends.simulator.character import Character
from hookflash.backends.simulator.faults import Faults, parse_faults
from hookflash.called import name_of_fallback, name_of_recall
from hookflash.engine.record import Record
from hookflash.events import (
    NO_OPTIONS,
    AtLimit,
    FurtherTarget,
    Kind,
    TransferFound,
    TransferOptions,
    TransferRequested,
)
from hookflash.fsm.begin import NOBODY, found_transfer, new_transfer
from hookflash.fsm.explore import Card, Exploration, Violation, explore
from hookflash.fsm.machine import AND_THEN, Rulebook
from hookflash.fsm.policy import Choice, Policy
from hookflash.fsm.transfer import Party, Place, Transfer
from hookflash.scenarios.check import failures
from hookflash.scenarios.findings import ProofFinding, ProofFindings
from hookflash.scenarios.run import run_scenario
from hookflash.scenarios.scenario import Scenario
from hookflash.sounds import Recording
from hookflash.specs.catalog import SPEC_FOR

HARDSHIPS: Mapping[str, Faults] = {
    name: parse_faults(text)
    for name, text in {
        "late": "latency=0.0..0.3",
        "jumbled": "reorder=0.5,duplicate=0.5,event_latency=0.0..0.05",
        "slow": "command_latency=5.0..25.0",
        "lossy": "lose_command=0.3,lose_at_most=2",
        "unheard": "lose_event=0.15,lose_events_at_most=1",
        "refused": "fail_command=0.3,lose_at_most=2",
        "everything": "latency=0.0..0.1,reorder=0.3,duplicate=0.3,"
        "lose_command=0.15,fail_command=0.15,lose_at_most=2",
    }.items()
}
"""The faults between switch and switchboard. Fewer commands are lost than a join has attempts: no
promise can be kept if every command is lost."""

NO_HARDSHIPS: Mapping[str, Faults] = {}

WITHOUT_A_NUMBER = 4_000
"""Records of a search from a request without a number. With the number, a transfer goes on as any
other, and the other searches are complete."""

WITH_A_LIST = 4_000
"""Records of a search with two targets, in turn or at once: the same tables once more."""

FURTHER_ROWS = 10_000
"""Records of a search under one of the `FURTHER` policies."""

WITH_SOUNDS = 10_000
"""Records of a search with sounds: a table without them ends after a tenth to the tenfold."""

POLICIES: Mapping[str, Policy] = {
    "as delivered": Policy(),
    "strict": Policy(
        transferor_leaves_ringing=Choice.END,
        transferee_leaves_ringing=Choice.END,
        transferee_leaves_consulting=Choice.END,
        recall_attempts=0,
        return_to="none",
    ),
    "asks the target": Policy(target_accepts=True, fallback_target="800", recall_attempts=0),
    "briefs the target": Policy(
        briefing=Recording("briefing.wav"), announcement=Recording("one-moment.wav")
    ),
    "tells the transferor": Policy(
        target_accepts=True, failure_sound=Recording("busy.wav"), recall_attempts=0
    ),
    "to the last": Policy(recall_attempts=2, recall_redials=True, fallback_target="800"),
}
"""The policies by which the tables branch."""

FURTHER: Mapping[str, Policy] = {
    "recalls twice": Policy(recall_attempts=2),
    "asks, strict": attrs.evolve(POLICIES["strict"], target_accepts=True),
    "asks, to the last": attrs.evolve(POLICIES["to the last"], target_accepts=True),
    "tells, to the last": attrs.evolve(
        POLICIES["to the last"], failure_sound=Recording("busy.wav")
    ),
    "tells, and a fallback": Policy(
        failure_sound=Recording("busy.wav"), fallback_target="800", recall_attempts=0
    ),
}
"""Policies that lead to further rows of the same tables: they are searched as far as that."""

WITHOUT_TRANSFEROR: Mapping[str, Policy] = {
    "only a fallback": Policy(return_to="none", fallback_target="800"),
    "asks, and a fallback": Policy(target_accepts=True, return_to="none", fallback_target="800"),
    "asks, and nothing": Policy(target_accepts=True, return_to="none"),
}
"""The policies by which the table of callers without a transferor branches, too."""


# ------------------------------------------------------------------------ rows


Pair = tuple[str, str]


@attrs.define
class Rows:
    """The rows of the tables that have answered, and their successions."""

    rows: dict[Kind, Counter[str]] = attrs.field(factory=dict[Kind, Counter[str]])
    pairs: dict[Kind, Counter[Pair]] = attrs.field(factory=dict[Kind, Counter[Pair]])

    def note(self, records: Iterable[Record]) -> None:
        """Count the rows of one run."""
        kinds: dict[str, Kind] = {}
        before: dict[str, str] = {}
        for record in records:
            if record.transfer is None or record.row is None:
                continue
            if isinstance(record.event, TransferRequested):
                kinds[record.transfer] = record.event.kind
            if isinstance(record.event, TransferFound):
                # a new controller begins with the switch's current state: no row came before
                before.pop(record.transfer, None)
            kind = kinds[record.transfer]
            for row in record.row.split(AND_THEN):
                came_by = before.get(record.transfer)
                self.rows.setdefault(kind, Counter())[row] += 1
                if came_by is not None:
                    self.pairs.setdefault(kind, Counter())[came_by, row] += 1
                before[record.transfer] = row

    def note_search(self, kind: Kind, found: Exploration) -> None:
        """Count the rows that a search has reached."""
        self.rows.setdefault(kind, Counter()).update(found.rows)
        self.pairs.setdefault(kind, Counter()).update(found.pairs)

    def add(self, others: Rows) -> None:
        """Count the rows of other runs."""
        for kind, rows in others.rows.items():
            self.rows.setdefault(kind, Counter()).update(rows)
        for kind, pairs in others.pairs.items():
            self.pairs.setdefault(kind, Counter()).update(pairs)

    def untouched(self, kind: Kind) -> list[str]:
        """The rows that have never answered."""
        return sorted({row.key for row in SPEC_FOR[kind].rows}.difference(self.rows.get(kind, ())))

    def unforeseen(self, kind: Kind, search: Rows) -> list[Pair]:
        """Rows that followed one another here, but can't in a search."""
        return sorted(set(self.pairs.get(kind, ())).difference(search.pairs.get(kind, ())))


# ---------------------------------------------------------------------- tables


@attrs.frozen(kw_only=True)
class Search:
    """One table, searched from one or more initial records."""

    kind: Kind
    beginning: str
    found: Exploration
    complete: bool
    """Whether no record was left unsearched that was to be searched."""
    took_s: float


@attrs.frozen(kw_only=True)
class _Quest:
    """A search that is to be made."""

    kind: Kind
    beginning: str
    starts: Sequence[Transfer]
    max_records: int
    sounds: bool = False
    whole: bool = False
    """Whether every record must be reached."""

    def search(self) -> Search:
        """Make it. It may take minutes."""
        rules = Rulebook(SPEC_FOR[self.kind])
        began = time.perf_counter()
        looks = [
            explore(rules, start, sounds=self.sounds, max_records=self.max_records)
            for start in self.starts
        ]
        return Search(
            kind=self.kind,
            beginning=self.beginning,
            found=looks[0] if len(looks) == 1 else _merged(looks),
            complete=not self.whole or looks[0].records <= self.max_records,
            took_s=time.perf_counter() - began,
        )


A_LOOK_AROUND = 500
"""How many records are searched from each situation that a restarted controller may find: all of
them lead into the same table, which is searched exhaustively from its initial state."""


def search_tables(
    *,
    join_attempts: int,
    max_records: int,
    kinds: Iterable[Kind] = Kind,
    processes: int = 1,
) -> Iterator[Search]:
    """Search tables exhaustively, each under every policy, and partly from each restart situation.

    Sounds that start, stop and fail multiply the records: with them, a search goes `WITH_SOUNDS`
    far.

    Args:
        join_attempts: how often a join is ordered; more multiply the records.
        max_records: the limit of records.
        kinds: the kinds of transfer; all of them by default.
        processes: how many searches are made at the same time.
    """
    quests = [quest for kind in kinds for quest in _quests(kind, join_attempts, max_records)]
    if processes == 1:
        yield from map(_Quest.search, quests)
        return
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(_Quest.search, quests)


def _quests(kind: Kind, join_attempts: int, max_records: int) -> Iterator[_Quest]:
    for name, policy in _policies_of(kind).items():
        start = asked_for(kind, _with_few_attempts(policy, join_attempts))
        yield _Quest(
            kind=kind, beginning=name, starts=(start,), max_records=max_records, whole=True
        )
        yield _Quest(
            kind=kind,
            beginning=f"{name}, with sounds",
            starts=(start,),
            max_records=min(max_records, WITH_SOUNDS),
            sounds=True,
        )
    once = _with_few_attempts(Policy(recall_attempts=0), join_attempts)
    if kind in (Kind.ATTENDED, Kind.BLIND):
        start = asked_for(kind, attrs.evolve(once, number_attempts=2), "")
        yield _Quest(
            kind=kind, beginning="without a number", starts=(start,), max_records=WITHOUT_A_NUMBER
        )
    if kind in (Kind.HOLD, Kind.PARK):
        last = attrs.evolve(POLICIES["to the last"], at_hold_limit=AtLimit.FALLBACK)
        start = asked_for(kind, _with_few_attempts(last, join_attempts))
        yield _Quest(
            kind=kind, beginning="to the fallback target", starts=(start,), max_records=WITH_A_LIST
        )
    else:
        yield from _quests_with_targets(kind, once)
    yield _Quest(
        kind=kind,
        beginning="after a restart",
        starts=[
            found
            for policy in (Policy(), *_FOUND_BY.get(kind, _FOUND))
            for found in found_on_the_switch(kind, _with_few_attempts(policy, 2))
        ],
        max_records=A_LOOK_AROUND,
    )


def _quests_with_targets(kind: Kind, once: Policy) -> Iterator[_Quest]:
    """Lists of targets, and policies about a target."""
    asks = attrs.evolve(once, target_accepts=True)
    for name, policy, rings_all in (
        ("two targets in turn", once, False),
        ("two targets at once", once, True),
        ("two targets in turn, asked", asks, False),
    ):
        start = asked_for(kind, policy, options=two_targets(rings_all=rings_all))
        yield _Quest(kind=kind, beginning=name, starts=(start,), max_records=WITH_A_LIST)
    for name, policy in FURTHER.items():
        start = asked_for(
            kind, attrs.evolve(policy, join_attempts=1, sound_attempts=1, dial_attempts=1)
        )
        yield _Quest(kind=kind, beginning=name, starts=(start,), max_records=FURTHER_ROWS)


def _with_few_attempts(policy: Policy, join_attempts: int) -> Policy:
    """The second attempt of anything is like all that follow."""
    return attrs.evolve(policy, join_attempts=join_attempts, sound_attempts=2, dial_attempts=2)


_FOUND: Iterable[Policy] = (
    attrs.evolve(POLICIES["asks the target"], fallback_target=""),
    attrs.evolve(POLICIES["to the last"], recall_attempts=0),
)
"""Further policies by which a restarted controller branches."""

_FOUND_BY: Mapping[Kind, Iterable[Policy]] = {
    Kind.HANDOVER: (*_FOUND, *WITHOUT_TRANSFEROR.values()),
    Kind.PARK: (Policy(recall_attempts=0, fallback_target="800"),),
}
"""The same, where they are others."""


def _policies_of(kind: Kind) -> Mapping[str, Policy]:
    """The policies by which a table branches."""
    if kind is Kind.HOLD:  # it calls only the fallback target: a search of its own
        return {"as delivered": POLICIES["as delivered"]}
    if kind is Kind.PARK:  # a party that picks up is neither asked nor briefed
        return {name: POLICIES[name] for name in ("as delivered", "strict")}
    return {**POLICIES, **WITHOUT_TRANSFEROR} if kind is Kind.HANDOVER else POLICIES


def two_targets(*, rings_all: bool) -> TransferOptions:
    """A request with a second target."""
    return TransferOptions(further_targets=(FurtherTarget(number="2601"),), rings_all=rings_all)


def _merged(looks: Sequence[Exploration]) -> Exploration:
    return Exploration(
        records=sum(look.records for look in looks),
        steps=sum(look.steps for look in looks),
        rows=sum((look.rows for look in looks), Counter[str]()),
        cards=_shortest(looks),
        pairs=frozenset(pair for look in looks for pair in look.pairs),
        violations=_shortest_violations(looks),
    )


def _shortest(looks: Iterable[Exploration]) -> dict[str, Card]:
    cards: dict[str, Card] = {}
    for row, card in ((row, card) for look in looks for row, card in look.cards.items()):
        if row not in cards or len(card.way) < len(cards[row].way):
            cards[row] = card
    return cards


def _shortest_violations(looks: Iterable[Exploration]) -> tuple[Violation, ...]:
    found: dict[str, Violation] = {}
    for one in (violation for look in looks for violation in look.violations):
        known = found.get(one.promise, one)
        times = one.times if known is one else one.times + known.times
        shortest = min(known, one, key=lambda violation: len(violation.steps))
        found[one.promise] = attrs.evolve(shortest, times=times)
    return tuple(found.values())


_A, _B, _C = ("a", "1001"), ("b", "1002"), ("c", "2600")


def asked_for(
    kind: Kind,
    policy: Policy,
    number: str = _C[1],
    *,
    options: TransferOptions = NO_OPTIONS,
) -> Transfer:
    """The initial record of a search: two talk, and nothing has been requested yet.

    Args:
        kind: the kind of transfer.
        policy: the operator's choices.
        number: the target's; empty: the transferor will be asked for it.
        options: what the request chooses.
    """
    return new_transfer(
        transfer="t1",
        kind=kind,
        policy=policy,
        transferor=NOBODY if kind is Kind.HANDOVER else _A,
        transferee=_B,
        target=(_C[0], number),
        options=options,
        return_to=_goes_back(kind, policy),
    )


def _goes_back(kind: Kind, policy: Policy) -> str:
    return "" if kind is not Kind.HANDOVER or policy.return_to == "none" else policy.return_to


def found_on_the_switch(kind: Kind, policy: Policy) -> list[Transfer]:
    """What a restarted controller may find: every combination of the three parties' places."""
    return [
        found_transfer(
            transfer="t1",
            kind=kind,
            policy=policy,
            transferor=a,
            transferee=b,
            target=c,
            return_to=back,
        )
        for a, b, c in (*_apart(), *_talking(kind), *_called_back(), *_on_the_way())
        for back in sorted({"", _goes_back(kind, policy)})
        if (a.lives or b.lives or c.lives) and _may_be_found(kind, a, c)
    ]


def _may_be_found(kind: Kind, transferor: Party, target: Party) -> bool:
    if kind is Kind.HANDOVER:
        return transferor.place is Place.GONE
    falls_back = target.leg == name_of_fallback("t1")
    picks_up = kind is Kind.PARK and target.answered
    return kind not in (Kind.HOLD, Kind.PARK) or not target.lives or falls_back or picks_up


def _apart() -> Iterator[tuple[Party, Party, Party]]:
    """No two legs are joined."""
    gone, parked, moving = Place.GONE, Place.PARKED, Place.MOVING
    for a, b in itertools.product((gone, parked, moving), (gone, parked)):
        for c in (gone, Place.RINGING, parked, moving):
            answered = c in (parked, moving)
            yield (
                Party(*_A, a, answered=True),
                Party(*_B, b, answered=True),
                Party(*_C, c, answered=answered),
            )


def _on_the_way() -> Iterator[tuple[Party, Party, Party]]:
    """The transferee is on its way into the park."""
    gone_c = Party(*_C, Place.GONE, answered=True)
    for place in (Place.GONE, Place.PARKED):
        yield (
            Party(*_A, place, answered=True),
            Party(*_B, Place.MOVING, answered=True),
            gone_c,
        )


def _called_back() -> Iterator[tuple[Party, Party, Party]]:
    """The transfer has failed, and somebody is called for the transferee, or has just answered."""
    gone_a, gone_c = (Party(*one, Place.GONE, answered=True) for one in (_A, _C))
    waits = Party(*_B, Place.PARKED, answered=True)
    for place in (Place.RINGING, Place.PARKED):
        answered = place is Place.PARKED
        yield (Party(name_of_recall("t1", 1), _A[1], place, answered), waits, gone_c)
        fallback = Party(name_of_fallback("t1"), "800", place, answered)
        yield (gone_a, waits, fallback)
        yield (attrs.evolve(gone_a, place=Place.PARKED), waits, fallback)


def _talking(kind: Kind) -> Iterator[tuple[Party, Party, Party]]:
    """Two legs are joined; the third may be anywhere."""
    joined, alone = Place.JOINED, (Place.GONE, Place.PARKED)
    for c in (Place.GONE, Place.RINGING):
        yield (
            Party(*_A, joined, answered=True, peer="b"),
            Party(*_B, joined, answered=True, peer="a"),
            Party(*_C, c, answered=False),
        )
    for a in alone:
        yield (
            Party(*_A, a, answered=True),
            Party(*_B, joined, answered=True, peer="c"),
            Party(*_C, joined, answered=True, peer="b"),
        )
    for b in alone if kind is Kind.ATTENDED else ():
        yield (
            Party(*_A, joined, answered=True, peer="c"),
            Party(*_B, b, answered=True),
            Party(*_C, joined, answered=True, peer="a"),
        )


# ------------------------------------------------------------------- scenarios


@attrs.define(kw_only=True)
class Tally:
    """The result of many runs."""

    runs: int = 0
    steps: int = 0
    outcomes: Counter[str] = attrs.field(factory=Counter[str])
    findings: ProofFindings = attrs.field(factory=ProofFindings)

    def add(self, other: Tally) -> None:
        """Add the result of other runs."""
        self.runs += other.runs
        self.steps += other.steps
        self.outcomes.update(other.outcomes)
        self.findings.add_all(other.findings)


def run_many(
    scenarios: Sequence[Scenario],
    seeds: Iterable[int],
    *,
    hardships: Mapping[str, Faults],
    rows: Rows,
    character: Character = Character.FREESWITCH,
) -> Tally:
    """Run scenarios, in every order of their races, under every seed.

    Without hardships, scenarios run with their own faults, and must meet their expectations.
    Otherwise each seed gets one hardship, in turn, and only the promises count: the result may then
    differ from the author's expectations.

    Args:
        scenarios: the scenarios.
        seeds: each replaces the scenarios' own.
        hardships: faults by name; the seeds use them in turn.
        rows: counts the rows that answer.
        character: the simulated switch. Scenarios for another one are omitted.
    """
    tally = Tally()
    chosen = [scenario for scenario in scenarios if scenario.is_for(character)]
    orders = [order for scenario in chosen for order in scenario.orders()]
    for seed in seeds:
        name, faults = _hardship(hardships, seed)
        for order in orders:
            run = run_scenario(order, seed=seed, faults=faults, character=character)
            tally.runs += 1
            tally.steps += len(run.records)
            tally.outcomes.update(outcome.value for outcome in run.outcomes)
            rows.note(run.records)
            broken = failures(run) if faults is None else run.broken
            options = "" if character is Character.FREESWITCH else f" --character {character}"
            options += f' --faults "{faults}"' if faults is not None else ""
            for failure in broken:
                finding = ProofFinding(
                    what=failure,
                    where=f"{order.name}{name}",
                    replay=f"hookflash simulate --seed {seed}{options}",
                    records=run.records,
                    names=run.names,
                )
                tally.findings.add(finding)
    return tally


def run_in_processes(
    scenarios: Sequence[Scenario],
    seeds: Sequence[int],
    processes: int,
    *,
    hardships: Mapping[str, Faults],
    rows: Rows,
    character: Character = Character.FREESWITCH,
) -> Tally:
    """Run scenarios as `run_many` does, some of the seeds in each of several processes."""
    if processes == 1:
        return run_many(scenarios, seeds, hardships=hardships, rows=rows, character=character)
    shares = [seeds[first::processes] for first in range(processes)]
    run = partial(_share, scenarios, dict(hardships), character)
    tally = Tally()
    with ProcessPoolExecutor(processes) as pool:
        for share, seen in pool.map(run, shares):
            rows.add(seen)
            tally.add(share)
    return tally


def _share(
    scenarios: Sequence[Scenario],
    hardships: Mapping[str, Faults],
    character: Character,
    seeds: Sequence[int],
) -> tuple[Tally, Rows]:
    rows = Rows()
    tally = run_many(scenarios, seeds, hardships=hardships, rows=rows, character=character)
    return tally, rows


def _hardship(hardships: Mapping[str, Faults], seed: int) -> tuple[str, Faults | None]:
    if not hardships:
        return "", None
    names = sorted(hardships)
    name = names[seed % len(names)]
    return f", {name}", attrs.evolve(hardships[name], seed=seed)
