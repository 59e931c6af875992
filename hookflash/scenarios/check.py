"""Compares the result of a run with the scenario's expectations. Each failure is one sentence."""

from __future__ import annotations

from collections.abc import Iterator

from hookflash.scenarios.run import Run


def failures(run: Run) -> tuple[str, ...]:
    """All failures: expectations that were not met, and broken promises."""
    return (*_unmet(run), *run.broken)


def _unmet(run: Run) -> Iterator[str]:
    yield from _unmet_by_the_transfer(run)
    yield from _unmet_by_the_people(run)


def _unmet_by_the_transfer(run: Run) -> Iterator[str]:
    expect = run.scenario.expect
    got = tuple(outcome.value for outcome in run.outcomes)
    first = got[0] if got else "none"
    if expect.outcome is not None and first not in expect.outcome:
        yield f"the outcome is {first}, expected {' or '.join(expect.outcome)}"
    if expect.outcomes is not None and got != expect.outcomes:
        yield f"the outcomes are {_listed(got)}, expected {_listed(expect.outcomes)}"
    if expect.cause is not None and run.cause != expect.cause:
        yield f"the cause is {run.cause}, expected {expect.cause}"
    states = tuple(state.value for state in run.states)
    if expect.states is not None and states != expect.states:
        yield f"the states are {_listed(states)}, expected {_listed(expect.states)}"
    if run.took_s > expect.within_s:
        yield f"it took {run.took_s:.1f} s, expected at most {expect.within_s:.1f} s"


def _unmet_by_the_people(run: Run) -> Iterator[str]:
    expect = run.scenario.expect
    if expect.talk is not None and run.talk != expect.talk:
        yield f"at the end {_pairs(run.talk)}, expected: {_pairs(expect.talk)}"
    for who in sorted(expect.gone & run.living):
        yield f"{who} still has a leg at the end"
    for who, sounds in expect.heard.items():
        if not _in_order(sounds, run.heard.get(who, ())):
            yield f"{who} heard {_listed(run.heard.get(who, ()))}, expected {_listed(sounds)}"
    for who, numbers in expect.shown.items():
        if run.shown.get(who, ()) != numbers:
            yield f"{who} was shown {_listed(run.shown.get(who, ()))}, expected {_listed(numbers)}"
    for who, keys in expect.keys.items():
        if run.keys.get(who, "") != keys:
            yield f"{who} heard the keys {run.keys.get(who) or 'none'}, expected {keys or 'none'}"
    if expect.refused is not None and not any(expect.refused in why for why in run.refused):
        yield f"the refused requests are {_listed(run.refused)}, expected {expect.refused!r}"


def _in_order(wanted: tuple[str, ...], got: tuple[str, ...]) -> bool:
    """Whether all expected items were seen in this order, with any others in between."""
    rest = iter(got)
    return all(sound in rest for sound in wanted)


def _listed(items: tuple[str, ...]) -> str:
    return ", ".join(items) or "none"


def _pairs(pairs: frozenset[frozenset[str]]) -> str:
    sentences = sorted(" and ".join(sorted(pair)) for pair in pairs)
    return "; ".join(f"{pair} talk" for pair in sentences) or "nobody talks"
