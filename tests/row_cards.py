"""Row cards: for each row of a table the shortest way to it, and what it orders and decides.

The explorer finds them; `tests/cards/` keeps them. So the question which test covers a row is
answered by the row's own name, and a change of a row shows in the diff of its card.

    python tests/row_cards.py      # write them anew, after a change that is meant
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import cast

import attrs

from hookflash.commands import Command, SetTimer
from hookflash.events import AtLimit, Kind
from hookflash.fsm.explore import Card, Exploration, explore
from hookflash.fsm.machine import Rulebook
from hookflash.fsm.policy import Policy
from hookflash.scenarios.prove import (
    POLICIES,
    WITHOUT_TRANSFEROR,
    asked_for,
    found_on_the_switch,
    two_targets,
)
from hookflash.sounds import Recording
from hookflash.specs.catalog import SPEC_FOR

WITHOUT_TARGET = (Kind.HOLD, Kind.PARK)
"""Requests for which no target is asked, briefed, or one of several."""

FOLDER = Path(__file__).parent / "cards"

# two attempts are enough to see "again" and "no more"
_TWICE = {"join_attempts": 2, "sound_attempts": 2, "dial_attempts": 2, "split_attempts": 2}
FEW = attrs.evolve(Policy(), recall_attempts=0, **_TWICE)  # `make proof` searches the recall, too
SOME = 10_000
"""All records of the smaller tables, and those of attended transfers that are reached first:
`make proof` searches them all."""
_ONCE = dict.fromkeys(_TWICE, 1)
LAST = attrs.evolve(POLICIES["to the last"], at_hold_limit=AtLimit.FALLBACK, **_ONCE)
AGAIN = attrs.evolve(LAST, recall_redials=False, fallback_target="")
ELSEWHERE = attrs.evolve(LAST, recall_attempts=0)
ASKED = attrs.evolve(FEW, number_attempts=2)
ACCEPTS = attrs.evolve(FEW, target_accepts=True)
ACCEPTS_ELSEWHERE = attrs.evolve(ACCEPTS, fallback_target="800", **_ONCE)
ACCEPTS_LAST = attrs.evolve(LAST, target_accepts=True)
ACCEPTS_STRICT = attrs.evolve(POLICIES["strict"], target_accepts=True, **_ONCE)
BRIEFS = attrs.evolve(AGAIN, briefing=Recording("briefing.wav"), recall_attempts=0, **_ONCE)
TELLS = attrs.evolve(ACCEPTS, failure_sound=Recording("busy.wav"), **_ONCE)
TELLS_LAST = attrs.evolve(LAST, failure_sound=Recording("busy.wav"))
TELLS_ELSEWHERE = attrs.evolve(ELSEWHERE, failure_sound=Recording("busy.wav"))
ASK_THE_TARGET = (
    TELLS,
    TELLS_LAST,
    TELLS_ELSEWHERE,
    BRIEFS,
    ACCEPTS,
    ACCEPTS_ELSEWHERE,
    ACCEPTS_LAST,
    ACCEPTS_STRICT,
)
STRICT = attrs.evolve(POLICIES["strict"], **_TWICE)


def _some(kind: Kind, records: int) -> int:
    """How many records a search may have: the other tables reach all their rows sooner."""
    return records if kind is Kind.ATTENDED else max(60, records * 2 // 5)


@cache
def searches(kind: Kind) -> tuple[Exploration, ...]:
    """One table, searched from a request and from a restart."""
    rules = Rulebook(SPEC_FOR[kind])
    some = partial(_some, kind)
    return (
        *(
            explore(rules, asked_for(kind, policy), max_records=some(SOME))
            for policy in (FEW, STRICT)
        ),
        *(
            explore(rules, asked_for(kind, one), max_records=some(3_000))
            for one in (LAST, ELSEWHERE)
        ),
        *(explore(rules, found, max_records=some(60)) for found in found_on_the_switch(kind, FEW)),
        *(
            explore(rules, found, max_records=some(records))
            for policy, records in ((LAST, 200), (AGAIN, 60), (ELSEWHERE, 60))
            for found in found_on_the_switch(kind, policy)
        ),
        explore(rules, asked_for(kind, FEW), sounds=True, max_records=some(2_000)),
        *(
            explore(rules, asked_for(kind, policy), max_records=some(2_000))
            for policy in ASK_THE_TARGET
            if kind not in WITHOUT_TARGET
        ),
        *(
            explore(rules, asked_for(kind, policy), sounds=True, max_records=some(3_000))
            for policy in (BRIEFS, TELLS)
            if kind not in WITHOUT_TARGET
        ),
        *(
            explore(rules, found, max_records=some(60))
            for found in found_on_the_switch(kind, ACCEPTS)
            if kind not in WITHOUT_TARGET
        ),
        *(
            explore(
                rules,
                asked_for(kind, policy, options=two_targets(rings_all=rings_all)),
                max_records=some(1_500),
            )
            for policy, rings_all in ((FEW, False), (FEW, True), (ACCEPTS, False))
            if kind not in WITHOUT_TARGET
        ),
        *(
            explore(rules, asked_for(kind, ASKED, ""), sounds=sounds, max_records=some(1_000))
            for sounds in (False, True)
            if kind in (Kind.ATTENDED, Kind.BLIND)
        ),
        *(_alone(rules, some) if kind is Kind.HANDOVER else ()),
    )


def _alone(rules: Rulebook, some: Callable[[int], int]) -> Iterator[Exploration]:
    """Callers without a transferor who go nowhere back."""
    for policy in WITHOUT_TRANSFEROR.values():
        few = attrs.evolve(policy, **_TWICE)
        yield explore(rules, asked_for(Kind.HANDOVER, few), max_records=some(3_000))
        for found in found_on_the_switch(Kind.HANDOVER, few):
            yield explore(rules, found, max_records=some(60))


def cards_of(kind: Kind) -> dict[str, Card]:
    """The card of each row of one table, in the table's order."""
    shortest: dict[str, Card] = {}
    for row, card in ((row, card) for one in searches(kind) for row, card in one.cards.items()):
        if row not in shortest or len(card.way) < len(shortest[row].way):
            shortest[row] = card
    return {row.key: shortest[row.key] for row in SPEC_FOR[kind].rows if row.key in shortest}


def text_of(cards: dict[str, Card]) -> str:
    """The cards of one table as text."""
    return "\n\n".join("\n".join(_lines(row, card)) for row, card in cards.items()) + "\n"


def _lines(row: str, card: Card) -> Iterator[str]:
    yield row
    yield "    way     " + ", ".join(card.way)
    for order in _told(card.orders):
        yield "    orders  " + order
    if card.outcome is not None:
        yield "    decides " + card.outcome
    if card.cause is not None:
        yield "    because " + card.cause


def _told(orders: Iterable[Command]) -> Iterator[str]:
    """Each order with what differs from its defaults; a timer without its number."""
    for order in orders:
        chosen = [
            f"{field.name}={_value(getattr(order, field.name))}"
            for field in attrs.fields(type(order))
            if getattr(order, field.name) != field.default and field.name != "timer"
        ]
        if chosen or isinstance(order, SetTimer):
            yield f"{type(order).__name__}({', '.join(chosen)})"


def _value(value: object) -> str:
    if not isinstance(value, tuple):
        return str(value)
    parts = cast("tuple[object, ...]", value)
    return "(" + " ".join(map(str, parts)) + ")"


def main() -> None:
    """Write the cards of all tables."""
    FOLDER.mkdir(exist_ok=True)
    for kind in Kind:
        (FOLDER / f"{kind.value}.txt").write_text(text_of(cards_of(kind)), encoding="utf-8")


if __name__ == "__main__":
    main()
