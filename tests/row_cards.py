"""Row cards: for each row of a table the shortest way to it, and what it orders and decides.

The explorer finds them; `tests/cards/` keeps them. So the question which test covers a row is
answered by the row's own name, and a change of a row shows in the diff of its card.

    python tests/row_cards.py      # write them anew, after a change that is meant
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import cast

import attrs

from hookflash.commands import Command, SetTimer
from hookflash.events import AtLimit, Kind
from hookflash.fsm.explore import Card, Exploration, explore
from hookflash.fsm.machine import Rulebook
from hookflash.fsm.policy import Policy
from hookflash.scenarios.beginnings import asked_for, found_on_the_switch
from hookflash.scenarios.searches import POLICIES, WITHOUT_TRANSFEROR, two_targets
from hookflash.sounds import Recording
from hookflash.specs.catalog import SPEC_FOR

WITHOUT_TARGET = (Kind.HOLD, Kind.PARK)
"""Requests for which no target is asked, briefed, or one of several."""

FOLDER = Path(__file__).parent / "cards"

# two attempts are enough to see "again" and "no more"
_TWICE = {"join_attempts": 2, "sound_attempts": 2, "dial_attempts": 2, "split_attempts": 2}
FEW = attrs.evolve(Policy(), recall_attempts=0, **_TWICE)  # `make proof` searches the recall, too
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


@attrs.frozen
class _Bounds:
    """After how many records a search stops: enough that all of them together reach every row.

    `make proof` searches all records of each table.
    """

    few: int = 300
    last: int = 600
    asked: int = 400
    told: int = 600
    in_turn: int = 600
    found: int = 30
    found_last: int = 120


BOUNDS = {Kind.ATTENDED: _Bounds(few=1_300, told=2_000, in_turn=1_500, found=60, found_last=200)}
"""The other tables are smaller."""


@cache
def searches(kind: Kind) -> tuple[Exploration, ...]:
    """One table, searched from a request and from a restart."""
    rules, most = Rulebook(SPEC_FOR[kind]), BOUNDS.get(kind, _Bounds())
    return (
        *_with_one_target(rules, kind, most),
        *(_with_targets(rules, kind, most) if kind not in WITHOUT_TARGET else ()),
        *(
            explore(rules, asked_for(kind, ASKED, ""), sounds=sounds, max_records=most.asked)
            for sounds in (False, True)
            if kind in (Kind.ATTENDED, Kind.BLIND)
        ),
        *(_alone(rules, most) if kind is Kind.HANDOVER else ()),
    )


def _with_one_target(rules: Rulebook, kind: Kind, most: _Bounds) -> Iterator[Exploration]:
    for policy, records in (
        (FEW, most.few),
        (STRICT, most.few),
        (LAST, most.last),
        (ELSEWHERE, most.last),
    ):
        yield explore(rules, asked_for(kind, policy), max_records=records)
    for policy, records in (
        (FEW, most.found),
        (LAST, most.found_last),
        (AGAIN, most.found),
        (ELSEWHERE, most.found),
    ):
        for found in found_on_the_switch(kind, policy):
            yield explore(rules, found, max_records=records)
    yield explore(rules, asked_for(kind, FEW), sounds=True, max_records=most.asked)


def _with_targets(rules: Rulebook, kind: Kind, most: _Bounds) -> Iterator[Exploration]:
    """Targets that are asked, briefed, or one of several."""
    for policy in ASK_THE_TARGET:
        records = most.told if policy in (TELLS_LAST, TELLS_ELSEWHERE) else most.asked
        yield explore(rules, asked_for(kind, policy), max_records=records)
    for policy in (BRIEFS, TELLS):
        yield explore(rules, asked_for(kind, policy), sounds=True, max_records=most.told)
    for found in found_on_the_switch(kind, ACCEPTS):
        yield explore(rules, found, max_records=most.found)
    for policy, rings_all, records in (
        (FEW, False, most.in_turn),
        (FEW, True, most.asked),
        (ACCEPTS, False, 600),
    ):
        start = asked_for(kind, policy, options=two_targets(rings_all=rings_all))
        yield explore(rules, start, max_records=records)


def _alone(rules: Rulebook, most: _Bounds) -> Iterator[Exploration]:
    """Callers without a transferor who go nowhere back."""
    for policy in WITHOUT_TRANSFEROR.values():
        few = attrs.evolve(policy, **_TWICE)
        yield explore(rules, asked_for(Kind.HANDOVER, few), max_records=most.last)
        for found in found_on_the_switch(Kind.HANDOVER, few):
            yield explore(rules, found, max_records=most.found)


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
