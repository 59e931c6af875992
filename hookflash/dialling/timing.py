"""When each feature code acts: at once, or after which pause."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import attrs

from hookflash.dialling.digits import UNARMED, CodeTable, Matched, Press, press
from hookflash.dialling.metaflows import Metaflows, sources
from hookflash.dialling.numbering import Numbering
from hookflash.dialling.overlaps import SEARCH_STEPS, compare, digits_before_number, shortest

TRIED_NUMBERS = 100
"""Numbers of a numbering that are tried out for an example."""


@attrs.frozen(kw_only=True)
class CodeTiming:
    """When one code acts."""

    where: str
    """The document's location."""
    spelled: str
    """The code, with the binding digit."""
    sentence: str

    def __str__(self) -> str:
        return f"{self.spelled}: {self.sentence}"


def explain_timing(metaflows: Metaflows, where: str = "$") -> tuple[CodeTiming, ...]:
    """Say of each code when it acts.

    Args:
        metaflows: the codes.
        where: the document's location.
    """
    return tuple(
        CodeTiming(
            where=where,
            spelled=metaflows.binding_digit + written,
            sentence=_sentence(metaflows, at),
        )
        for at, (_, written) in enumerate(sources(metaflows))
    )


def _sentence(metaflows: Metaflows, at: int) -> str:
    table = metaflows.table
    pause = f"after {metaflows.digit_timeout_s:g} s without a key, or with #"
    asks = _asks(table, at)
    if not _may_wait(table, at):
        return "asks for the number at once" if asks else "acts at once"
    before = digits_before_number(table.codes[at].pattern)
    also = f"; {asks} alone asks for the number" if asks else ""
    if before is None or not table.codes[at].action.takes_number or not table.numbering:
        return f"acts {pause}{also}"
    example = next(_complete(table, before), None)
    if example is None:
        unsure = "since no number of the numbering is certain to be complete"
        return f"acts {pause}, {unsure}{also}"
    return f"acts at once if the number is complete, such as {example}; else {pause}{also}"


def _asks(table: CodeTable, at: int) -> str:
    """The shortest digits of a code without a number: the transferor is asked for it."""
    code = table.codes[at]
    if not code.action.takes_number:
        return ""
    found = shortest(code.pattern, lambda m: not any(m.captures), steps=SEARCH_STEPS)
    return found.digits or ""


def _may_wait(table: CodeTable, at: int) -> bool:
    """Whether digits that mean this code may be the beginning of more."""
    pattern = table.codes[at].pattern
    own = shortest(pattern, lambda matcher: matcher.extendable, steps=SEARCH_STEPS)
    if own.digits is not None or not own.complete:
        return True
    others = (code.pattern for place, code in enumerate(table.codes) if place != at)
    found = (compare(pattern, other, steps=SEARCH_STEPS) for other in others)
    return any(one.first_waits is not None or not one.complete for one in found)


def _complete(table: CodeTable, before: str) -> Iterator[str]:
    """Digits that act with their last key, because a number is complete."""
    for number in itertools.islice(_numbers(table.numbering), TRIED_NUMBERS):
        last = Press(collector=UNARMED)
        for key in before + number:
            last = press(table, last.collector, key)
        if isinstance(last.outcome, Matched) and last.outcome.digits == before + number:
            yield before + number


def _numbers(numbering: Numbering) -> Iterator[str]:
    """Numbers of a numbering: of each pattern a shortest one."""
    for pattern in numbering.patterns:
        found = shortest(pattern, steps=SEARCH_STEPS).digits
        if found:
            yield found
    yield from sorted(numbering.numbers)
