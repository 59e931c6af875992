"""Questions about patterns: which digits match, and where two overlap.

They are answered by walking through the programs with all strings at once, the shortest first: an
answer is an example, and a search has a budget of instructions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import attrs

from hookflash.dialling.pattern_language import ALPHABET
from hookflash.dialling.pattern_program import Take
from hookflash.dialling.patterns import Marks, Matcher, Pattern

SEARCH_STEPS = 50_000
"""Instructions that a search over two patterns may visit: some tens of milliseconds."""


class _TooIntricate(Exception):
    """A search has used up its steps."""


def _explore(
    matchers: tuple[Matcher, ...],
    key: Callable[[tuple[Matcher, ...]], object],
    steps: int,
) -> Iterator[tuple[Matcher, ...]]:
    """Feed all strings, the shortest first, to all matchers at once.

    Of keys that no class distinguishes, one is tried. The search stops at a situation that was
    met before (`key` names it), or in which not all matchers are viable.

    Raises:
        _TooIntricate: more instructions were visited than allowed.
    """
    keys = _telling_keys(matchers)
    seen: set[object] = {key(matchers)}
    queue = deque([matchers])
    yield matchers
    while queue:
        here = queue.popleft()
        for digit in keys:
            there = tuple(matcher.feed(digit) for matcher in here)
            steps -= sum(matcher.steps + 1 for matcher in there)
            if steps < 0:
                raise _TooIntricate
            yield there
            name = key(there)
            if name not in seen and all(matcher.viable for matcher in there):
                seen.add(name)
                queue.append(there)


def _telling_keys(matchers: tuple[Matcher, ...]) -> str:
    """One key for each set of keys that no instruction distinguishes."""
    classes = {
        instruction.keys
        for matcher in matchers
        for instruction in matcher.pattern.program
        if isinstance(instruction, Take)
    }
    kinds: dict[tuple[bool, ...], str] = {}
    for digit in ALPHABET:
        kinds.setdefault(tuple(digit in keys for keys in classes), digit)
    return "".join(kinds.values())


def _places(matchers: tuple[Matcher, ...]) -> tuple[frozenset[int], ...]:
    """Where the threads are: all that decides which strings match from here on."""
    return tuple(frozenset(at for at, _ in matcher.threads) for matcher in matchers)


def _shape(matchers: tuple[Matcher, ...]) -> object:
    """Where the threads are, in their order, and which of their captures are empty so far."""

    def lie(marks: Marks, position: int) -> object:
        return [
            (begin < 0, begin == position, end < 0, (end > begin) - (end < begin))
            for begin, end in zip(marks[::2], marks[1::2], strict=True)
        ]

    return str(
        [
            [(at, lie(marks, len(matcher.digits))) for at, marks in matcher.threads]
            for matcher in matchers
        ]
    )


@attrs.frozen(kw_only=True)
class SearchResult:
    """The result of a search for digits."""

    digits: str | None
    complete: bool
    """Whether the search was complete; if not, `digits` may be None although there are some."""
    steps: int
    """Instructions visited, at most."""


def shortest(
    pattern: Pattern,
    wanted: Callable[[Matcher], bool] | None = None,
    *,
    after: str | None = None,
    steps: int = SEARCH_STEPS,
) -> SearchResult:
    """Find a shortest match of a pattern.

    Args:
        pattern: the pattern.
        wanted: a condition on the match; it may ask which captures are empty or missing, but
            not which digits they hold.
        after: only matches that begin with this and are longer; None: any.
        steps: instructions that may be visited.
    """
    key = _shape if wanted else _places
    spent = 0
    try:
        for (matcher,) in _explore((pattern.run(after or ""),), key, steps):
            spent += matcher.steps + 1
            fits = matcher.matches and matcher.digits != after
            if fits and (wanted is None or wanted(matcher)):
                return SearchResult(digits=matcher.digits, complete=True, steps=spent)
    except _TooIntricate:
        return SearchResult(digits=None, complete=False, steps=steps)
    return SearchResult(digits=None, complete=True, steps=spent)


def digits_before_number(pattern: Pattern, *, steps: int = SEARCH_STEPS) -> str | None:
    """Find the shortest digits behind which the first capture begins.

    Args:
        pattern: the pattern.
        steps: instructions that may be visited.
    """
    try:
        for (matcher,) in _explore((pattern.start(),), _places, steps):
            if "" in matcher.first_captures:
                return matcher.digits
    except _TooIntricate:
        pass
    return None


@attrs.frozen(kw_only=True)
class Comparison:
    """How two patterns overlap. The strings are shortest examples."""

    both: str | None = None
    """Digits that both match."""
    first_waits: str | None = None
    """Digits that match the first pattern, with no longer match of its own, but begin a longer
    match of the second: a caller who dials the first must wait for the digit timeout."""
    second_waits: str | None = None
    """The same, the other way round."""
    covered: bool = False
    """Whether the first matches everything that the second does."""
    complete: bool = True
    """Whether the search was complete; if not, None and False here mean "not found so far"."""
    steps: int = 0
    """Instructions visited, at most."""


def compare(first: Pattern, second: Pattern, *, steps: int = SEARCH_STEPS) -> Comparison:
    """Compare two patterns by walking through both at once.

    Args:
        first: one pattern.
        second: the other one.
        steps: instructions that may be visited.
    """
    both = first_waits = second_waits = None
    covered, complete, spent = True, True, 0
    try:
        for one, other in _explore((first.start(), second.start()), _places, steps):
            spent += one.steps + other.steps + 2
            covered = covered and (one.viable or not other.viable)
            covered = covered and (one.matches or not other.matches)
            if both is None and one.matches and other.matches:
                both = one.digits
            if first_waits is None and _waits(one, other):
                first_waits = one.digits
            if second_waits is None and _waits(other, one):
                second_waits = one.digits
    except _TooIntricate:
        complete, spent = False, steps
    return Comparison(
        both=both,
        first_waits=first_waits,
        second_waits=second_waits,
        covered=covered and complete,
        complete=complete,
        steps=spent,
    )


def _waits(one: Matcher, other: Matcher) -> bool:
    return one.matches and not one.extendable and other.extendable
