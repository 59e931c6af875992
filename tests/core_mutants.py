"""Mutants of the core: each part of the tables and of the arranger, broken in turn.

`make mutants` runs it. A mutant is caught by the first check that fails:

* *unsound*: the table does not load;
* *refusal*: a request that can't be met is accepted (`tests/test_refusals.py`);
* *card*: a row orders or decides other than its card in `tests/cards/` says;
* *promise*: the search finds a promise broken, or a row that is never reached;
* *scenario*: a scenario does not come to what it expects, on either kind of switch;
* *arranger*: the arranger asks twice, or a transfer does not end (`tests/test_arrange.py`);
* *unit*: a test of `UNIT_TESTS` fails;
* *endless*: a step, or the whole of the checks, never ends.

A mutant that none catches must stand in `SURVIVORS`, with the reason why nothing is wrong with it.

    python tests/core_mutants.py [--only TEXT] [--list]
"""

from __future__ import annotations

import argparse
import ast
import inspect
import multiprocessing
import operator
import os
import signal
import sys
import types
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any, cast

import attrs
import pytest
import test_arrange
import test_refusals
from row_cards import FEW, FOLDER, STRICT, cards_of, text_of
from row_cards import searches as searches_of

from hookflash import commands
from hookflash.backends.simulator.character import Character
from hookflash.events import Kind
from hookflash.fsm import arrange, hearing
from hookflash.fsm.arrangement import Arrangement
from hookflash.fsm.explore import Card, broken_promise, explore
from hookflash.fsm.machine import Rulebook, Step
from hookflash.fsm.spec import Phase, Row, Spec, words
from hookflash.fsm.transfer import Transfer
from hookflash.scenarios.beginnings import asked_for, found_on_the_switch
from hookflash.scenarios.check import failures
from hookflash.scenarios.format import load_scenario
from hookflash.scenarios.run import run_scenario
from hookflash.specs.catalog import SPEC_FOR, SPECS

SCENARIOS = sorted(Path(inspect.getfile(Spec)).parent.parent.glob("specs/scenarios/*.toml"))

UNIT_TESTS = [
    str(Path(__file__).parent / f"test_{name}.py")
    for name in ("machine", "sounds", "switchboard", "engine")
]
QUIETLY = ("-p", "no:cacheprovider", "-p", "no:schemathesis", "-p", "no:xdist")

SURVIVORS: dict[str, str] = {
    "hold: takeback: without outcome": (
        "a hold that is resumed ends in the same step, and two who talk at the end were taken back"
    ),
    "hold: ending: without leaves": "the arrangement is that of all tables; a hold has no target",
}
"""Mutants that no check catches, each with the reason."""

ENDLESS_S = 120.0
"""More processor time than all checks take of the core as it is, twice over."""


@attrs.frozen
class Mutant:
    """One change of the core: its name, and what brings it about in this process."""

    name: str
    apply: Callable[[], None]
    kinds: tuple[Kind, ...] = tuple(Kind)
    """The tables that it may change."""


class Caught(Exception):  # the good end of a mutant
    """A check has failed; its name is the message."""


# ------------------------------------------------------------------- of the tables


def table_mutants(kind: Kind) -> Iterator[Mutant]:
    """Each row removed, led elsewhere, without a guard, without its action; arrangements too."""
    spec = SPEC_FOR[kind]
    for row in spec.rows:
        others = [state for state in spec.states if state is not row.to]
        elsewhere = others[len(row.key) % len(others)]
        yield _without(kind, row, "row removed", None)
        yield _without(kind, row, f"to {elsewhere.value}", attrs.evolve(row, to=elsewhere))
        for index, guard in enumerate(row.given):
            left = (*row.given[:index], *row.given[index + 1 :])
            yield _without(kind, row, f"without {guard.__name__}", attrs.evolve(row, given=left))
        if row.then:
            yield _without(kind, row, "without its action", attrs.evolve(row, then=()))
    for refusal in spec.refused:
        if refusal.given:
            name = f"{kind}: {refusal.on.value} [{words(*refusal.given)}]: refusal removed"
            yield Mutant(name, lambda it=refusal: _replace(kind, it, None), (kind,))
    for phase in spec.phases:
        for field in attrs.fields(Arrangement):
            if getattr(phase.arrangement, field.name) != getattr(Arrangement(), field.name):
                name = f"{kind}: {phase.state.value}: without {field.name}"
                yield Mutant(name, lambda p=phase, f=field.name: _forget(kind, p, f), (kind,))


def _without(kind: Kind, row: Row, what: str, instead: Row | None) -> Mutant:
    return Mutant(f"{kind}: {row.key}: {what}", lambda: _replace(kind, row, instead), (kind,))


def _replace(kind: Kind, old: object, new: Row | None) -> None:
    def changed(entries: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(new if one is old else one for one in entries if one is not old or new)

    spec = SPEC_FOR[kind]
    phases = tuple(attrs.evolve(one, entries=changed(one.entries)) for one in spec.phases)
    anywhere = tuple(changed(some) for some in spec.anywhere)
    _put(kind, attrs.evolve(spec, phases=phases, anywhere=anywhere))


def _forget(kind: Kind, phase: Phase, field: str) -> None:
    plain = getattr(Arrangement(), field)
    spec = SPEC_FOR[kind]
    phases = tuple(
        attrs.evolve(one, arrangement=attrs.evolve(one.arrangement, **{field: plain}))
        if one is phase
        else one
        for one in spec.phases
    )
    _put(kind, attrs.evolve(spec, phases=phases))


def _put(kind: Kind, spec: Spec) -> None:
    tables: tuple[Any, Any] = (SPEC_FOR, SPECS)
    tables[0][kind], tables[1][spec.name] = spec, spec


# ------------------------------------------------------------------- of the arranger


def code_mutants(module: types.ModuleType) -> Iterator[Mutant]:
    """Each order and note left out, each condition turned round, each half of it dropped."""
    source = inspect.getsource(module)
    lines = source.splitlines()
    names = dict[str, int]()
    for index, change in enumerate(_changes(ast.parse(source))):
        node, what = cast("ast.expr", change[0]), change[1]
        title = f"{module.__name__.rpartition('.')[2]}: {lines[node.lineno - 1].strip()}: {what}"
        names[title] = names.get(title, 0) + 1
        number = f" #{names[title]}" if names[title] > 1 else ""
        yield Mutant(title + number, lambda i=index: _install(module, source, i))


Change = tuple[Any, str, Callable[[], object]]


def _changes(tree: ast.Module) -> Iterator[Change]:
    for function in tree.body:
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                yield from _changes_of(node)


def _changes_of(node: Any) -> Iterator[Change]:
    for field in ("body", "orelse"):
        body = getattr(node, field, None)
        if isinstance(body, list):
            for index, one in enumerate(cast("list[Any]", body)):
                if isinstance(one, ast.Expr) and isinstance(one.value, ast.Call):
                    yield one, "left out", partial(operator.setitem, body, index, ast.Pass())
    if isinstance(node, (ast.If, ast.IfExp)):
        yield node.test, "turned round", lambda: _negate(node)
    if isinstance(node, ast.BoolOp):
        for index, one in enumerate(node.values):
            half = ast.unparse(one)
            yield one, f"without {half}", lambda i=index: node.values.pop(i)
    if isinstance(node, ast.Call):
        yield from _keywords_dropped(node)


def _negate(node: ast.If | ast.IfExp) -> None:
    node.test = ast.UnaryOp(ast.Not(), node.test)


def _keywords_dropped(call: ast.Call) -> Iterator[Change]:
    """An order or a note without one of its words."""
    called = ast.unparse(call.func)
    for index, keyword in enumerate(call.keywords):
        if called in ("work.note", "work.rewrite"):
            needed = len(call.keywords) == 1
        elif called.startswith("c."):
            field = getattr(attrs.fields(getattr(commands, called[2:])), keyword.arg or "")
            needed = field.default is attrs.NOTHING
        else:
            needed = True
        if not needed:
            yield call, f"without {keyword.arg}", lambda i=index: call.keywords.pop(i)


def _install(module: types.ModuleType, source: str, number: int) -> None:
    """Run the changed source in the module, and hand the new functions to those who have them."""
    tree = ast.parse(source)
    next(change for index, (_, _, change) in enumerate(_changes(tree)) if index == number)()
    old = {name: value for name, value in vars(module).items() if inspect.isfunction(value)}
    exec(compile(ast.fix_missing_locations(tree), str(module.__file__), "exec"), vars(module))  # noqa: S102
    for other in list(sys.modules.values()):
        if not (other.__name__ or "").startswith("hookflash") or other is module:
            continue
        for name, value in list(vars(other).items()):
            if inspect.isfunction(value) and old.get(value.__name__) is value:
                setattr(other, name, vars(module)[value.__name__])


# ------------------------------------------------------------------- the checks


@attrs.frozen
class Search:
    """One search of a table, whose first sight of each row is compared with that of the core."""

    kind: Kind
    start: Transfer
    sounds: bool
    most: int
    first: dict[str, tuple[object, ...]] = attrs.field(factory=dict[str, "tuple[object, ...]"])

    def learn(self) -> None:
        """Note what each row of the core does where it is first seen."""
        found = explore(
            Rulebook(SPEC_FOR[self.kind]), self.start, sounds=self.sounds, max_records=self.most
        )
        self.first.update((row, _done(card)) for row, card in found.cards.items())

    def judge(self) -> None:
        """Compare, and stop at the first difference."""
        seen = set[str]()

        def check(step: Step) -> str | None:
            told = broken_promise(step)
            if told is not None:
                raise Caught("promise")
            for row in step.rows:
                if row.key not in seen:
                    seen.add(row.key)
                    if self.first.get(row.key) != _done_by(step):
                        raise Caught("card")
            return None

        explore(
            Rulebook(SPEC_FOR[self.kind]),
            self.start,
            sounds=self.sounds,
            max_records=self.most,
            check=check,
        )
        if seen != self.first.keys():
            raise Caught("card")


def _done(card: Card) -> tuple[object, ...]:
    return (card.orders, card.outcome, card.cause)


def _done_by(step: Step) -> tuple[object, ...]:
    before, after = step.before, step.after
    outcome = after.outcome.value if after.outcome not in (None, before.outcome) else None
    return (step.commands, outcome, after.cause if after.cause != before.cause else None)


def searches() -> Iterator[Search]:
    """The searches from which the cards are taken, the small ones first."""
    for kind in (Kind.HOLD, Kind.BLIND, Kind.ATTENDED):
        for start in found_on_the_switch(kind, FEW):
            yield Search(kind, start, sounds=False, most=20)
        yield Search(kind, asked_for(kind, FEW), sounds=True, most=600)
        for policy in (FEW, STRICT):
            yield Search(kind, asked_for(kind, policy), sounds=False, most=1_200)


def check_everything(plan: list[Search], kinds: tuple[Kind, ...]) -> None:
    """Run the checks, the quickest first."""
    _check_refusals(kinds)
    for search in plan:
        if search.kind in kinds:
            search.judge()
    _check_scenarios()
    _check_arranger(kinds)
    for kind in kinds:
        if any(one.violations for one in searches_of(kind)):
            raise Caught("promise")
        if text_of(cards_of(kind)) != (FOLDER / f"{kind.value}.txt").read_text(encoding="utf-8"):
            raise Caught("card")
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        if pytest.main(["-q", "-x", *QUIETLY, *UNIT_TESTS]):
            raise Caught("unit")


def _check_scenarios() -> None:
    for file in SCENARIOS:
        scenario = load_scenario(file)
        for character in Character:
            if scenario.is_for(character):
                for order in scenario.orders():
                    if failures(run_scenario(order, character=character)):
                        raise Caught("scenario")


def _check_refusals(kinds: tuple[Kind, ...]) -> None:
    try:
        for kind in kinds:
            test_refusals.test_what_can_be_met_is_accepted(kind)
            test_refusals.test_a_call_is_moved_so_often_and_no_more(kind)
            if kind in test_refusals.WITH_A_TARGET:
                test_refusals.test_a_target_may_come_later(kind)
                for role in ("transferor", "transferee"):
                    test_refusals.test_the_target_is_another_person(kind, role)
    except AssertionError:
        raise Caught("refusal") from None


def _check_arranger(kinds: tuple[Kind, ...]) -> None:
    test_arrange.rules_of.cache_clear()
    test_arrange.reached.cache_clear()
    try:
        for kind in kinds:
            test_arrange.test_asked_twice_it_orders_nothing_the_second_time(kind)
            test_arrange.test_on_a_switch_that_obeys_nobody_is_left_alone(kind)
            for answer in (test_arrange.dead, test_arrange.refuses):
                test_arrange.test_on_a_switch_that_does_nothing_it_ends_all_the_same(kind, answer)
        test_arrange.test_the_last_attempt_is_the_last()
    except AssertionError:
        raise Caught("arranger") from None


def _give_up(_number: int, _frame: object) -> None:
    raise Caught("endless")


def judge(mutant: Mutant, plan: list[Search]) -> str:
    """Which check catches a mutant; empty: none."""
    signal.signal(signal.SIGVTALRM, _give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, ENDLESS_S)
    try:
        mutant.apply()
    except Exception:  # noqa: BLE001  # a table that does not load says so in its own way
        return "unsound"
    try:
        check_everything(plan, mutant.kinds)
    except Caught as by:
        return str(by)
    except Exception as error:  # noqa: BLE001  # whatever it is, it was noticed
        return type(error).__name__
    return ""


# ------------------------------------------------------------------- the run


def mutants() -> list[Mutant]:
    """All of them."""
    return [
        *(one for kind in Kind for one in table_mutants(kind)),
        *code_mutants(arrange),
        *code_mutants(hearing),
    ]


_ALL = list[Mutant]()
_PLAN = list[Search]()


def _judge_number(number: int) -> tuple[int, str]:
    """In a process of its own, forked from one in which nothing is broken."""
    return number, judge(_ALL[number], _PLAN)


def run(only: str, at_once: int | None) -> int:
    """Judge all mutants whose name contains a text; how many faults there are."""
    _ALL[:] = [one for one in mutants() if only in one.name]
    kinds = {kind for one in _ALL for kind in one.kinds}
    _PLAN[:] = [search for search in searches() if search.kind in kinds]
    for search in _PLAN:
        search.learn()
    caught, survived = Counter[str](), list[str]()
    context = multiprocessing.get_context("fork")
    with context.Pool(at_once, maxtasksperchild=1) as pool:
        for number, by in pool.imap_unordered(_judge_number, range(len(_ALL)), chunksize=1):
            caught[by or "none"] += 1
            if caught.total() % 50 == 0:
                print(f"{caught.total()} of {len(_ALL)} mutants judged", flush=True)
            if not by:
                survived.append(_ALL[number].name)
                known = "known" if _ALL[number].name in SURVIVORS else "NOT KNOWN"
                print(f"survives, {known}: {_ALL[number].name}", flush=True)
    print(", ".join(f"{count} {by}" for by, count in caught.most_common()))
    print(f"{len(_ALL) - len(survived)} of {len(_ALL)} mutants of the core are caught")
    unknown = [name for name in survived if name not in SURVIVORS]
    stale = [name for name in SURVIVORS if only in name and name not in survived]
    for name in stale:
        print(f"listed as a survivor, but caught: {name}")
    return len(unknown) + len(stale)


def main() -> int:
    """The door."""
    parser = argparse.ArgumentParser(description="Judge the checks of the core by breaking it.")
    parser.add_argument("--only", default="", help="only mutants whose name contains this")
    parser.add_argument("--at-once", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--list", action="store_true", help="print the names, and stop")
    chosen = parser.parse_args()
    if chosen.list:
        print("\n".join(one.name for one in mutants() if chosen.only in one.name))
        return 0
    return 1 if run(chosen.only, chosen.at_once) else 0


if __name__ == "__main__":
    raise SystemExit(main())
