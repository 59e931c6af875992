r"""Feature codes: what one party's keys mean, collected key by key.

A code begins with the binding digit (usually ``*``), so that most keys concern only the far end.
A collector is *unarmed* until a key arrives that can begin a code, and *armed* from then on. The
collection ends

* at once, when the digits are a code and nothing longer could be one (``*1``);
* at once, when the number behind a code is complete in the account's numbering, and nothing longer
  could be: no other code, and no longer number of the numbering (``*22600``, if extensions have
  four digits);
* with ``#``, unless a code allows a ``#`` at this position;
* when people pause (without a numbering ``*22600`` is complete, but ``*226001`` could be meant: the
  pause decides). A ``*`` now and a ``1`` a minute later is not ``*1``;
* in a dead end: no code continues like this. Then nothing is done, even if the digits so far
  were a code: a caller who dials ``*226`` and starts again with ``*`` has corrected a mistake.
  If the last key can begin a code, the collector is armed with it.

There are two pauses, as in the digit maps of gateways (H.248.1) and phones: people may be slow in
the middle of a number, but must not wait long behind it. `Pause` says which one applies.

**What a numbering changes.** It may end a collection earlier, at a key, and the outcome is then
what a pause at this key would have led to without it. What it doesn't end is collected as without
it. And no number of the numbering is cut short, nor any other code: a caller who dials one gets it.

The collector is a value and `press` a function of values; the clock belongs to the engine,
which (re)starts its timer as `Press.pause` says, and calls `digit_timeout` when it has run out.
Every key taken from an armed collector is accounted for, in a match or in `Unmatched`, so that the
journal can show what a person dialled without effect.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import attrs

from hookflash.dialling.numbering import NO_NUMBERING, Numbering
from hookflash.dialling.pattern_language import check_key
from hookflash.dialling.patterns import Matcher, Pattern, compile_pattern
from hookflash.errors import InputError
from hookflash.events import NO_OPTIONS, Kind, TransferOptions

TERMINATOR = "#"
"""The key by which people say "that's all" (as FreeSWITCH's and Asterisk's readers take it)."""

MAX_DIGITS = 32
"""Keys of one code. The longest number has 15 digits (E.164), with prefixes some 25. One key more
is a dead end, never a number cut short."""

MAX_CODES = 64
"""Codes in one table: about five times as many as FreeSWITCH's and Kazoo's examples have."""

MAX_TABLE = 8_000
"""Instructions of all patterns of a table together: the most that one key can cost."""


class Module(StrEnum):
    """What a code does, in Kazoo's words."""

    TRANSFER = "transfer"
    """Transfer the party at the other end."""
    RESUME = "resume"
    """Talk again with the party on hold (during a transfer: the takeback)."""
    HANGUP = "hangup"
    """End one's own leg."""
    HOLD = "hold"
    """Put the party at the other end on hold."""
    PARK = "park"
    """Park the party at the other end in a slot: the one that the first group captured."""
    SWAP = "swap"
    """Change between transferee and target."""
    THREE_WAY = "three_way"
    """Bring all three into one conversation."""
    COMPLETE = "complete"
    """Hand over without hanging up."""
    ACCEPT = "accept"
    """Accept the call, as a target that is asked."""
    DECLINE = "decline"
    """Decline it."""


@attrs.frozen(kw_only=True)
class FeatureAction:
    """What a code asks for."""

    module: Module
    target: str | None = None
    """The number to transfer to; None: what the code's first group captured."""
    kind: Kind = Kind.ATTENDED
    """How to transfer; HOLD and PARK for these modules; ignored for others."""
    options: TransferOptions = NO_OPTIONS

    @property
    def takes_number(self) -> bool:
        """Whether the number to transfer to is dialled with the code."""
        return self.module is Module.TRANSFER and self.target is None


@attrs.frozen(kw_only=True)
class Code:
    """Digits that mean something. Build it with `code`, `literal_code` or `takeback_code`."""

    pattern: Pattern
    """All of the digits, from the binding digit on."""
    action: FeatureAction


def code(binding_digit: str, pattern: str, action: FeatureAction, *, where: str = "") -> Code:
    r"""Build a code from a pattern for what follows the binding digit.

    Args:
        binding_digit: the key that begins it.
        pattern: such as ``2(\d+)``, in the language of `hookflash.dialling.patterns`.
        action: what it does.
        where: the location that errors report.

    Raises:
        InputError: the pattern is invalid, or the binding digit is not a key.
    """
    begin = check_key(binding_digit, where=where)
    return Code(pattern=compile_pattern(pattern, before=begin, where=where), action=action)


def literal_code(digits: str, action: FeatureAction, *, where: str = "") -> Code:
    """Build a code from literal digits, including the binding digit (``*1``).

    Raises:
        InputError: a digit is not a key, or there are no digits, or more than `MAX_DIGITS`.
    """
    if not 1 <= len(digits) <= MAX_DIGITS:
        what = f"a code of {len(digits)} digits"
        raise InputError(what, where=where, hint=f"1 to {MAX_DIGITS} digits")
    return Code(pattern=compile_pattern("", before=digits, where=where), action=action)


def takeback_code(digits: str, *, where: str = "") -> Code:
    """Build the code by which a transferor returns to the transferee (``*1``).

    Raises:
        InputError: as for `literal_code`.
    """
    return literal_code(digits, FeatureAction(module=Module.RESUME), where=where)


@attrs.frozen(kw_only=True)
class CodeTable:
    """The codes that one leg can dial now. If two match, the earlier one wins.

    Raises:
        InputError: more than `MAX_CODES`, or more than `MAX_TABLE` instructions together.
    """

    codes: tuple[Code, ...] = ()
    numbering: Numbering = NO_NUMBERING
    """The numbers that are complete, behind a code that captures a number."""

    def __attrs_post_init__(self) -> None:
        size = sum(code.pattern.size for code in self.codes)
        if len(self.codes) > MAX_CODES:
            what = f"a table of {len(self.codes)} feature codes"
            raise InputError(what, hint=f"at most {MAX_CODES}")
        if size > MAX_TABLE:
            what = f"the patterns of the feature codes need {size} instructions together"
            raise InputError(what, hint=f"at most {MAX_TABLE}; use smaller counts")


CANCEL = "*"
"""The key by which a transferor who is asked for the number has the transferee back."""


def number_table(numbering: Numbering) -> CodeTable:
    """What a transferor may dial who is asked for the number: a number, or `CANCEL`."""
    number = Code(pattern=compile_pattern(r"(\d+)"), action=FeatureAction(module=Module.TRANSFER))
    return CodeTable(codes=(takeback_code(CANCEL), number), numbering=numbering)


# --------------------------------------------------------------------- outcomes


@attrs.frozen(kw_only=True)
class Matched:
    """The digits are a code."""

    action: FeatureAction
    digits: str
    """All digits dialled for it, without a closing `#`."""
    captures: tuple[str | None, ...] = ()
    """What each group of its pattern captured."""
    in_vain: str = ""
    """Digits that had begun another code, when this one (a single key) cut them off."""

    @property
    def target(self) -> str | None:
        """The number to transfer to: the action's own, or the first capture; None if empty."""
        taken = next((capture for capture in self.captures if capture is not None), None)
        return self.action.target or taken or None

    @property
    def number(self) -> str | None:
        """The number that was dialled with the code, if any."""
        return self.target if self.action.takes_number else None


@attrs.frozen(kw_only=True)
class Unmatched:
    """The digits began like a code but match none."""

    digits: str
    """Without a closing `#`, and without a key that starts another code."""


Outcome: TypeAlias = Matched | Unmatched | None
"""The result of a key; None while the code is incomplete, and for a key outside any code."""


# --------------------------------------------------------------------- collector


@attrs.frozen
class Collector:
    """The digits that one leg has dialled so far. A new collector is unarmed."""

    digits: str = ""
    """Since it was armed; never more than `MAX_DIGITS`."""
    fed: tuple[Matcher, ...] = attrs.field(default=(), eq=False, repr=False)
    """A cache: the table's patterns after `digits`. To store a collector, `digits` is enough."""

    @property
    def armed(self) -> bool:
        """Whether a code has begun."""
        return bool(self.digits)

    def runs(self, table: CodeTable) -> tuple[Matcher, ...]:
        """Return the matchers of a table's patterns after the digits so far."""
        patterns = [code.pattern for code in table.codes]
        if [run.pattern for run in self.fed] == patterns:
            return self.fed
        return tuple(pattern.run(self.digits) for pattern in patterns)


UNARMED = Collector()
"""Nothing dialled."""


class Pause(StrEnum):
    """What a pause in the middle of a collection would mean."""

    INCOMPLETE = "incomplete"
    """More keys are needed: for a code, or for a number that is only the beginning of some in the
    numbering."""
    COMPLETE = "complete"
    """That was all."""


@attrs.frozen(kw_only=True)
class Press:
    """The result of a key or of a pause."""

    collector: Collector
    """The leg's new collector."""
    outcome: Outcome = None
    """What to do, if anything."""

    pause: Pause | None = None
    """Which timeout to (re)start now; `None`: stop it."""


def press(table: CodeTable, collector: Collector, digit: str) -> Press:
    """Take one key.

    Args:
        table: the valid codes. The table may differ from that of the previous key.
        collector: the leg's collector.
        digit: one key.

    Returns:
        The leg's new collector, and the outcome if this key ended a collection.

    Raises:
        InputError: the digit is not a key.
    """
    check_key(digit)
    runs = tuple(run.feed(digit) for run in collector.runs(table))
    digits = collector.digits + digit
    if len(digits) <= MAX_DIGITS and any(run.viable for run in runs):
        outcome = _judge(table, digits, runs)
        if any(run.extendable for run in runs) and not _ends(table, outcome, runs):
            pause = _pause(table, outcome)
            return Press(collector=Collector(digits, runs), pause=pause)
        return Press(collector=UNARMED, outcome=outcome)
    if not collector.armed:
        return Press(collector=UNARMED)
    return _cannot_go_on(table, collector, digit)


def _cannot_go_on(table: CodeTable, collector: Collector, digit: str) -> Press:
    """End the collection because no code continues with this key."""
    ended = digit_timeout(table, collector)
    if digit == TERMINATOR and isinstance(ended.outcome, Matched):
        return ended
    again = press(table, UNARMED, digit)
    if again.collector.armed:
        return attrs.evolve(again, outcome=Unmatched(digits=collector.digits))
    if isinstance(again.outcome, Matched):  # a code of this one key, which no code can begin with
        return attrs.evolve(again, outcome=attrs.evolve(again.outcome, in_vain=collector.digits))
    rest = "" if digit == TERMINATOR else digit
    return Press(collector=UNARMED, outcome=Unmatched(digits=collector.digits + rest))


def _pause(table: CodeTable, outcome: Outcome) -> Pause:
    """What a pause would mean here."""
    if not isinstance(outcome, Matched):
        return Pause.INCOMPLETE
    number = outcome.number
    if number is None or table.numbering.has(number) or not table.numbering.continues(number):
        return Pause.COMPLETE
    return Pause.INCOMPLETE


def _ends(table: CodeTable, outcome: Outcome, runs: tuple[Matcher, ...]) -> bool:
    """Whether a number is complete, and nothing longer could be meant."""
    if not table.numbering or not isinstance(outcome, Matched):
        return False
    number = outcome.number
    if number is None or not table.numbering.has(number):
        return False
    return not any(
        not entry.action.takes_number or begun is None or table.numbering.continues(begun)
        for entry, run in zip(table.codes, runs, strict=True)
        for begun in run.first_captures
    )


def digit_timeout(table: CodeTable, collector: Collector) -> Press:
    """End a collection because no key came in time. An unarmed collector has no outcome."""
    if not collector.armed:
        return Press(collector=UNARMED)
    outcome = _judge(table, collector.digits, collector.runs(table))
    return Press(collector=UNARMED, outcome=outcome)


def _judge(table: CodeTable, digits: str, runs: tuple[Matcher, ...]) -> Outcome:
    """Find the first code that the digits match."""
    for entry, run in zip(table.codes, runs, strict=True):
        if run.matches:
            return Matched(action=entry.action, digits=digits, captures=run.captures)
    return Unmatched(digits=digits)
