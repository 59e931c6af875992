r"""An account's numbering: which numbers are complete.

A caller who dials ``*2`` and a number of the numbering has finished with its last key: the code
acts at once. A number that is complete but also the beginning of a longer one waits, and so does
every number that the numbering doesn't know: it can still be dialled, with a pause or a ``#``
behind it.

An entry is a number (``"2600"``), a pattern for numbers (``"2\d{3}"``), or a length (``4``: every
number of four digits). The price of a numbering: a longer number that begins with a complete one
can't be dialled behind a code, except if it is in the numbering as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, cast

import attrs

from hookflash.dialling.pattern_language import ALPHABET
from hookflash.dialling.patterns import Pattern, compile_pattern
from hookflash.errors import InputError

MAX_NUMBERS = 5_000
"""Entries of a numbering: the extensions of a large company, one by one."""

MAX_NUMBERING_PROGRAM = 500
"""Instructions of all its patterns together: about a hundred patterns such as `2\\d{3}`. They are
matched from the number's first key on, at each key, so a key costs at most 32 times as much."""

MAX_LENGTH = 30
"""The longest length of a number: a code has at most 32 keys, two of which come before it."""

Entry: TypeAlias = str | int
"""A number, a pattern, or a length."""

_LITERAL = frozenset(ALPHABET) - {"*"}
"""Keys that mean themselves in a pattern."""


def _numbers(numbering: Numbering) -> frozenset[str]:
    return frozenset(one for one in numbering.entries if isinstance(one, str) and _literal(one))


def _beginnings(numbering: Numbering) -> frozenset[str]:
    return frozenset(one[:end] for one in numbering.numbers for end in range(len(one)))


def _patterns(numbering: Numbering) -> tuple[Pattern, ...]:
    return tuple(compile_pattern(text) for text in map(_pattern_of, numbering.entries) if text)


def _literal(text: str) -> bool:
    return text != "" and _LITERAL.issuperset(text)


def _pattern_of(entry: Entry) -> str:
    """The pattern of an entry; empty for a number."""
    if isinstance(entry, int):
        return rf"\d{{{entry}}}"
    return "" if _literal(entry) else entry


@attrs.frozen
class Numbering:
    """Numbers that are complete. Build it with `parse_numbering`."""

    entries: tuple[Entry, ...] = ()
    """As written."""
    numbers: frozenset[str] = attrs.field(
        init=False, eq=False, repr=False, default=attrs.Factory(_numbers, takes_self=True)
    )
    """The entries that are numbers."""
    patterns: tuple[Pattern, ...] = attrs.field(
        init=False, eq=False, repr=False, default=attrs.Factory(_patterns, takes_self=True)
    )
    """The other entries."""
    _beginnings: frozenset[str] = attrs.field(
        init=False, eq=False, repr=False, default=attrs.Factory(_beginnings, takes_self=True)
    )

    def __bool__(self) -> bool:
        """Whether there are entries."""
        return bool(self.entries)

    def has(self, number: str) -> bool:
        """Whether a number is complete."""
        return number in self.numbers or any(
            pattern.run(number).matches for pattern in self.patterns
        )

    def continues(self, digits: str) -> bool:
        """Whether a longer number begins with these digits."""
        return digits in self._beginnings or any(
            pattern.run(digits).extendable for pattern in self.patterns
        )


NO_NUMBERING = Numbering()
"""No number is known to be complete."""


def parse_numbering(written: object, where: str = "numbering") -> Numbering:
    """Read a numbering.

    Args:
        written: a list of numbers, patterns and lengths.
        where: its location, for errors.

    Raises:
        InputError: it is invalid.
    """
    if not isinstance(written, (list, tuple)):
        raise InputError("is not a list", where=where, hint=_HINT)
    entries = cast("Sequence[object]", written)
    checked = tuple(_entry(one, f"{where}[{at}]") for at, one in enumerate(entries))
    if len(checked) > MAX_NUMBERS:
        what = f"there are {len(checked)} entries"
        raise InputError(what, where=where, hint=f"at most {MAX_NUMBERS}; use patterns")
    numbering = Numbering(checked)
    size = sum(pattern.size for pattern in numbering.patterns)
    if size > MAX_NUMBERING_PROGRAM:
        what = f"the patterns of the numbering need {size} instructions together"
        raise InputError(what, where=where, hint=f"at most {MAX_NUMBERING_PROGRAM}; list numbers")
    return numbering


_HINT = 'a list of numbers ("2600"), patterns ("2\\\\d{3}") and lengths (4)'


def _entry(one: object, where: str) -> Entry:
    """Check an entry."""
    if isinstance(one, int) and not isinstance(one, bool):
        if 1 <= one <= MAX_LENGTH:
            return one
        hint = f"1 to {MAX_LENGTH}; a number stands in quotes"
        raise InputError(f"{one} is not a length", where=where, hint=hint)
    if not isinstance(one, str) or not one:
        raise InputError(f"{one!r:.60} is no entry", where=where, hint=_HINT)
    if not _literal(one):
        compile_pattern(one, where=where)
    elif len(one) > MAX_LENGTH:
        hint = f"at most {MAX_LENGTH}"
        raise InputError(f"the number has {len(one)} keys", where=where, hint=hint)
    return one
