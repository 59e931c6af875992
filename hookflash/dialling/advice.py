"""Advice on an account's feature codes: what is valid, but will annoy people.

Each warning has an example, found by walking through the codes' programs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import attrs

from hookflash.dialling.digits import (
    MAX_DIGITS,
    Code,
    FeatureAction,
    Module,
    takeback_code,
)
from hookflash.dialling.metaflows import (
    DEFAULT_DIGIT_TIMEOUT_MS,
    DEFAULT_TAKEBACK_DIGITS,
    Metaflows,
    sources,
)
from hookflash.dialling.numbering import Numbering
from hookflash.dialling.overlaps import SEARCH_STEPS, Comparison, compare, shortest
from hookflash.dialling.patterns import Matcher, Pattern
from hookflash.document import place_in
from hookflash.events import Kind


@attrs.frozen(kw_only=True)
class Advice:
    """A warning about something that is valid but unwise."""

    path: str
    """The path within the document."""
    sentence: str
    """What will happen."""
    hint: str
    """What to do about it."""

    def __str__(self) -> str:
        return f"{self.path}: {self.sentence} ({self.hint})"


FASTEST_FINGERS_S = 0.5
"""About the time between two keys of a person who dials slowly."""
PHONES_GAP_S = 0.64
"""Time between two keys of a phone that dials by itself (measured: FreeSWITCH, 250 ms tones)."""
LONGEST_PATIENCE_S = 10.0
"""With a longer timeout, unrelated keys become one code."""
LINT_STEPS = 500_000
"""Instructions that all searches of one lint may visit: about a second."""


@attrs.frozen
class _SpelledCode:
    """A code, its location, and how a person would dial it."""

    path: str
    spelled: str
    code: Code

    @property
    def pattern(self) -> Pattern:
        return self.code.pattern

    @property
    def action(self) -> FeatureAction:
        return self.code.action


def lint_metaflows(
    metaflows: Metaflows, where: str = "$", *, numbering_at: str = ""
) -> tuple[Advice, ...]:
    """Warn of valid feature codes that will annoy people.

    Args:
        metaflows: the codes.
        where: the document's location; the paths begin with it.
        numbering_at: the location of the numbering, if it stands elsewhere.

    Returns:
        The warnings, in the order of the document; empty if all is well.
    """
    return tuple(_Lint(metaflows, where, numbering_at).advice())


class _Lint:
    """Checks all codes, with one budget of steps."""

    def __init__(self, metaflows: Metaflows, where: str, numbering_at: str) -> None:
        self.metaflows = metaflows
        self.where = where
        self.numbering_at = numbering_at or place_in(where, ["numbering"])
        self.steps = LINT_STEPS
        self.unfinished: list[str] = []
        self.too_long: list[_SpelledCode] = []
        begin = metaflows.binding_digit
        self.rows = [
            _SpelledCode(place_in(where, source), begin + source[1], code)
            for source, code in zip(sources(metaflows), metaflows.table.codes, strict=True)
        ]

    def advice(self) -> Iterator[Advice]:
        yield from self._of_binding_digit()
        yield from self._of_digit_timeout()
        yield from self._of_numbering()
        for row in self.rows:
            yield from self._of_digits(row)
            yield from self._of_target(row)
        dialled = [row for row in self.rows if row not in self.too_long]
        for first, second in itertools.combinations(dialled, 2):
            yield from self._of_pair(first, second)
        for digits, path in self._takebacks().items():
            yield from _of_takeback_keys(digits, path)
            yield from self._of_takeback(digits, path)
        if self.unfinished:
            yield Advice(
                path=self.where,
                sentence=f"{len(self.unfinished)} checks of codes were too complex and were "
                f"skipped, the first for {self.unfinished[0]}",
                hint="use simpler patterns, above all smaller counts",
            )

    def _of_binding_digit(self) -> Iterator[Advice]:
        key = self.metaflows.binding_digit
        path = place_in(self.where, ["binding_digit"])
        hint = "use *, which menus at the far end use least"
        if key in "0123456789":
            yield Advice(
                path=path,
                sentence=f"pressing {key} in a menu at the far end begins a feature code",
                hint=hint,
            )
        elif key == "#":
            yield Advice(
                path=path,
                sentence="# also ends what was dialled, here and in menus at the far end, so that "
                "a # may end one code or begin another",
                hint=hint,
            )

    def _of_digit_timeout(self) -> Iterator[Advice]:
        pause_s = self.metaflows.digit_timeout_s
        path = place_in(self.where, ["digit_timeout"])
        hint = f"about {DEFAULT_DIGIT_TIMEOUT_MS} milliseconds do"
        if pause_s < FASTEST_FINGERS_S:
            sentence = f"few fingers follow a key with the next one within {pause_s:g} seconds"
            yield Advice(path=path, sentence=sentence, hint=hint)
        elif pause_s <= PHONES_GAP_S:
            sentence = (
                f"phones that dial by themselves send their keys up to {PHONES_GAP_S:g} seconds "
                f"apart, so {pause_s:g} seconds cut their codes in pieces"
            )
            yield Advice(path=path, sentence=sentence, hint=hint)
        elif pause_s > LONGEST_PATIENCE_S:
            sentence = (
                f"codes of varying length wait {pause_s:g} seconds before they act (or for a #), "
                "and keys that have nothing to do with each other become one code"
            )
            yield Advice(path=path, sentence=sentence, hint=hint)

    def _of_numbering(self) -> Iterator[Advice]:
        numbering = self.metaflows.numbering
        path = self.numbering_at
        if not numbering:
            return
        if not any(row.action.takes_number and row.pattern.groups for row in self.rows):
            sentence = "it has no effect: no code takes a number"
            yield Advice(path=path, sentence=sentence, hint=r"add a code such as 2(\d+)")
        waits = next(self._both_complete_and_not(numbering), None)
        if waits is not None:
            yield Advice(
                path=path,
                sentence=f"{waits} is complete, and also the beginning of a longer number: it "
                f"waits {self.metaflows.digit_timeout_s:g} seconds before it acts",
                hint="leave out the shorter or the longer one, or tell people to press # behind it",
            )
        outside = (shortest(pattern, after="0").digits for pattern in numbering.patterns)
        cut = next((one for one in outside if one and not numbering.continues(one)), None)
        if cut is not None:
            yield Advice(
                path=path,
                sentence=f"{cut} is complete, so longer numbers that begin with it can't be "
                "dialled: do outside numbers begin with 0?",
                hint=r"write [1-9]\d{3} instead of 4, for example",
            )

    def _both_complete_and_not(self, numbering: Numbering) -> Iterator[str]:
        """Complete numbers with which a longer one begins."""
        yield from filter(numbering.continues, sorted(numbering.numbers))
        for one in numbering.patterns:
            longer = self._shortest(one, lambda matcher: matcher.extendable, "the numbering")
            yield from [] if longer is None else [longer]
        for one, other in itertools.permutations(numbering.patterns, 2):
            found = self._compare(one, other, one.text, other.text).first_waits
            yield from [] if found is None else [found]
        for one in numbering.patterns:
            yield from (
                number[:end]
                for number in numbering.numbers
                for end in range(1, len(number))
                if one.run(number[:end]).matches
            )

    def _of_digits(self, row: _SpelledCode) -> Iterator[Advice]:
        least = self._shortest(row.pattern, None, f"the length of {row.spelled}")
        if least is not None and len(least) == 1:
            yield Advice(
                path=row.path,
                sentence=f"the single key {least} is a code: one that menus at the far end want, "
                "or a slip of a finger, and it acts",
                hint="let at least one key follow the binding digit",
            )
        if least is not None and len(least) > MAX_DIGITS:
            self.too_long.append(row)
            yield Advice(
                path=row.path,
                sentence=f"nobody can dial it: it needs {len(least)} keys at least",
                hint=f"a code has at most {MAX_DIGITS} keys",
            )
        hashed = self._shortest(row.pattern, _wants_hash, f"a # within {row.spelled}")
        if hashed is not None:
            yield Advice(
                path=row.path,
                sentence=f"# does not end this code: after {hashed} it is taken as a digit",
                hint=r"write \d instead of . where you mean digits",
            )

    def _of_target(self, row: _SpelledCode) -> Iterator[Advice]:
        """Warn of digits that are dialled for nothing: the transferor will be asked for them."""
        if not row.action.takes_number or row.pattern.groups:
            return
        longer = self._shortest(row.pattern, lambda matcher: matcher.extendable, row.spelled)
        if longer is not None:
            yield Advice(
                path=row.path,
                sentence=f"the digits behind {longer} are not called: no group captures them, so "
                "the transferor is asked for the number",
                hint='put ( ) around the number, as in 2(\\d+), or give data a "target"',
            )

    def _of_pair(self, first: _SpelledCode, second: _SpelledCode) -> Iterator[Advice]:
        found = self._compare(first.pattern, second.pattern, first.spelled, second.spelled)
        if found.covered:
            yield Advice(
                path=second.path,
                sentence=f"it never acts: all that it matches is {first.spelled} already",
                hint="remove it, or put it before the other one",
            )
            return
        if found.both is not None:
            yield Advice(
                path=second.path,
                sentence=f"{found.both} is {first.spelled} too, which comes first and wins",
                hint="give them different first digits, or keep it so if it is meant",
            )
        if found.first_waits is not None:
            yield _waiting(first.path, found.first_waits, second)
        if found.second_waits is not None:
            yield _waiting(second.path, found.second_waits, first)

    def _takebacks(self) -> dict[str, str]:
        """All takebacks, each with the place where it stands first."""
        places: dict[str, str] = {}
        for row in self.rows:
            if row.action.options.takeback_digits and row.action.kind is not Kind.BLIND:
                path = place_in(row.path, ["data", "takeback_dtmf"])
                places.setdefault(row.action.options.takeback_digits, path)
        return places

    def _of_takeback(self, digits: str, path: str) -> Iterator[Advice]:
        takeback = takeback_code(digits).pattern
        for row in self.rows:
            found = self._compare(takeback, row.pattern, digits, row.spelled)
            if found.both is not None and row.action.module is not Module.RESUME:
                yield Advice(
                    path=path,
                    sentence=f"the takeback {digits} is also the code {row.spelled} "
                    f"({row.action.module.value}): a second too late, and it does that instead",
                    hint="give the takeback digits of its own",
                )
            if found.first_waits is not None:
                yield _waiting(path, found.first_waits, row)
            if found.second_waits is not None:
                yield Advice(
                    path=path,
                    sentence=f"while a transfer runs, {found.second_waits} waits for the digit "
                    f"timeout, since it may become the takeback {digits}",
                    hint="let neither begin with the other",
                )

    def _compare(self, first: Pattern, second: Pattern, one: str, other: str) -> Comparison:
        found = compare(first, second, steps=min(SEARCH_STEPS, self.steps))
        self.steps = max(0, self.steps - found.steps)
        if not found.complete:
            self.unfinished.append(f"{one} and {other}")
        return found

    def _shortest(
        self, pattern: Pattern, wanted: Callable[[Matcher], bool] | None, question: str
    ) -> str | None:
        found = shortest(pattern, wanted, steps=min(SEARCH_STEPS, self.steps))
        self.steps = max(0, self.steps - found.steps)
        if not found.complete:
            self.unfinished.append(question)
        return found.digits


def _wants_hash(matcher: Matcher) -> bool:
    """Whether a `#` after these digits, which already form a code, becomes part of the code."""
    return matcher.feed("#").viable


def _waiting(path: str, digits: str, longer: _SpelledCode) -> Advice:
    return Advice(
        path=path,
        sentence=f"{digits} waits for the digit timeout before it acts, since {longer.spelled} "
        "begins with it too",
        hint="let neither begin with the other, or tell people to press # behind it",
    )


def _of_takeback_keys(digits: str, path: str) -> Iterator[Advice]:
    """Warn of a takeback that people dial by accident."""
    if digits[0] in "0123456789#" or len(digits) == 1:
        yield Advice(
            path=path,
            sentence=f"pressing {digits} in a menu at the target's end ends the transfer",
            hint=f"begin it with * and let a key follow, as in {DEFAULT_TAKEBACK_DIGITS}",
        )
