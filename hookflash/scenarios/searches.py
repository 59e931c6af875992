"""The proof: an adversary applies any event at any moment to a table, until no record is new."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor

import attrs

from hookflash.events import AtLimit, FurtherTarget, Kind, TransferOptions
from hookflash.fsm.explore import Card, Exploration, Violation, explore
from hookflash.fsm.machine import Rulebook
from hookflash.fsm.policy import Choice, Policy
from hookflash.fsm.transfer import Transfer
from hookflash.scenarios.beginnings import asked_for, found_consulting, found_on_the_switch
from hookflash.sounds import Recording
from hookflash.specs.catalog import SPEC_FOR

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
    "tells, and recalls": Policy(failure_sound=Recording("busy.wav")),
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
    recalls = attrs.evolve(once, recall_attempts=1)
    if kind in (Kind.ATTENDED, Kind.BLIND):
        for name, policy in (
            ("without a number", once),
            ("without a number, recalled", recalls),
        ):
            start = asked_for(kind, attrs.evolve(policy, number_attempts=2), "")
            yield _Quest(kind=kind, beginning=name, starts=(start,), max_records=WITHOUT_A_NUMBER)
    if kind in (Kind.HOLD, Kind.PARK):
        last = attrs.evolve(POLICIES["to the last"], at_hold_limit=AtLimit.FALLBACK)
        start = asked_for(kind, _with_few_attempts(last, join_attempts))
        yield _Quest(
            kind=kind, beginning="to the fallback target", starts=(start,), max_records=WITH_A_LIST
        )
    else:
        yield from _quests_with_targets(kind, once, recalls)
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


def _quests_with_targets(kind: Kind, once: Policy, recalls: Policy) -> Iterator[_Quest]:
    """Lists of targets, and policies about a target."""
    asks = attrs.evolve(once, target_accepts=True)
    for name, policy, rings_all in (
        ("two targets in turn", once, False),
        ("two targets at once", once, True),
        ("two targets in turn, asked", asks, False),
        ("two targets in turn, recalled", recalls, False),
    ):
        start = asked_for(kind, policy, options=two_targets(rings_all=rings_all))
        yield _Quest(kind=kind, beginning=name, starts=(start,), max_records=WITH_A_LIST)
    for name, policy in FURTHER.items():
        start = asked_for(kind, attrs.evolve(policy, **_ONCE))
        yield _Quest(kind=kind, beginning=name, starts=(start,), max_records=FURTHER_ROWS)
    yield _Quest(
        kind=kind,
        beginning="after a restart, with sounds",
        starts=found_on_the_switch(kind, attrs.evolve(POLICIES["briefs the target"], **_ONCE)),
        max_records=A_LOOK_AROUND,
        sounds=True,
    )
    if kind is Kind.ATTENDED:
        told = attrs.evolve(POLICIES["tells the transferor"], target_accepts=False, **_ONCE)
        yield _Quest(
            kind=kind,
            beginning="in a consultation, with sounds",
            starts=(found_consulting(told),),
            max_records=WITH_SOUNDS,
            sounds=True,
        )


_ONCE: Mapping[str, int] = dict.fromkeys(("join_attempts", "sound_attempts", "dial_attempts"), 1)
"""Where one attempt of anything leads farther than two."""


def _with_few_attempts(policy: Policy, join_attempts: int) -> Policy:
    """The second attempt of anything is like all that follow."""
    return attrs.evolve(policy, join_attempts=join_attempts, sound_attempts=2, dial_attempts=2)


_FOUND: Iterable[Policy] = (
    attrs.evolve(POLICIES["asks the target"], fallback_target=""),
    attrs.evolve(POLICIES["to the last"], recall_attempts=0),
    Policy(fallback_target="800"),
    POLICIES["briefs the target"],
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
