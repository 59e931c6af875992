r"""Numbers as people write them: every spelling of a number becomes the one that a switch dials.

People paste `+49 (0)30 123-45` from a letter, `tel:+49-30-12345` from a web page and
`sip:2600@example.com` from a phone. What the rules of an account allow must not depend on the
spelling, so a number is read first, and only the result is checked, dialled, shown and stored:

1. **The address.** `tel:` (RFC 3966) and `sip:` (RFC 3261) are removed with their parameters. The
   domain of a SIP address must be one that the account names: a call to another domain would
   otherwise reach the party that has that number here.
2. **The separators.** Blanks, hyphens, dots, slashes and brackets are removed. So is the `(0)` of
   `+49 (0)30`, which is not dialled after a country code. What begins with a letter is a name, such
   as `sales-queue`: it stays as it is.
3. **The rewrites.** The first of the account's rules that matches the whole number replaces it. No
   second rule is applied, so there are no loops.

A rule has a pattern in the language of `hookflash.dialling.patterns`, an arrow, and what is dialled
instead. Three dots at the end stand for the rest, at least one key:

```
; Germany
00...    -> +...        ; 0044 20 7946 0018 is +442079460018
0...     -> +49...
(\d{3})9 -> $1          ; a group, by its number
+49(30)(\d+) -> 9$2     ; a plus at the beginning is a plus
```
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import unquote

import attrs

from hookflash.dialling.pattern_language import ALPHABET
from hookflash.dialling.patterns import Pattern, compile_pattern
from hookflash.errors import InputError, Refusal, RequestRefused

MAX_NUMBER: Final = 64
"""Characters of a number, as it is dialled."""
MAX_WRITTEN: Final = 256
"""Characters of a number, as it is written: more than any address of a phone."""
MAX_REWRITES: Final = 200
"""Rules of an account: a large company has a few for each of its sites."""
MAX_REWRITE_PROGRAM: Final = 10_000
"""Instructions that one key may cost in all rules together: a fraction of a millisecond."""

SEPARATORS: Final = " -./\u00a0\u2009\u202f\u2010\u2011\u2012\u2013\u2212()"
"""What people write between digits, with the blanks and hyphens of word processors."""
INVISIBLE: Final = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Marks of the direction of writing, which are copied along from address books."""

_CHARACTERS = "0-9A-Za-z*#_"
_BETWEEN = re.escape(SEPARATORS).replace(r"\ ", " ") + INVISIBLE
_ESCAPE = "%[0-9A-Fa-f]{2}"
_NAME = r"[A-Za-z_][0-9A-Za-z+*#_-]{0,63}"
_SPELLED = rf"[{_BETWEEN}]*(?:\+[{_BETWEEN}]*)?[0-9*#][{_CHARACTERS}{_BETWEEN}]*"
_ESCAPED = rf"(?:[{_CHARACTERS}{_BETWEEN}+]|{_ESCAPE})+"
_PARAMETERS = r"(?:;[0-9A-Za-z_.!~*'()%=:&+$/\[\]-]*)*"
_HOST = r"(?:[0-9A-Za-z.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])"
_TEL = rf"[tT][eE][lL]:{_ESCAPED}{_PARAMETERS}"
_SIP = rf"(?:[sS][iI][pP]:)?{_ESCAPED}{_PARAMETERS}@{_HOST}(?::[0-9]{{1,5}})?{_PARAMETERS}"
_SIP_USER = rf"[sS][iI][pP]:{_ESCAPED}{_PARAMETERS}"

NUMBER_PATTERN: Final = rf"^(?:{_NAME}|{_SPELLED}|{_TEL}|{_SIP}|{_SIP_USER})(?![\s\S])"
"""The pattern of a number as people write it, for the schemas (ECMA 262). `NumberRules.number` is
stricter: in the parts of an address, and in the length of the result."""

_WRITTEN = re.compile(NUMBER_PATTERN)
_ADDRESS = re.compile(
    r"(?:(?P<scheme>tel|sip):)?(?P<user>[^;@]*)(?P<parameters>;[^@]*)?"
    rf"(?:@(?P<domain>{_HOST})(?::[0-9]*)?(?:;.*)?)?",
    re.IGNORECASE,
)
_IS_NAME = re.compile(_NAME)
_IS_SPELLED = re.compile(_SPELLED)
_TRUNK_ZERO = re.compile(r"^([ (]*(?:\+|00)[ ()]*(?:[0-9][ ()]*){1,3}?)\( *0 *\)")
"""The bracketed zero behind a country code of one to three digits."""
_DROPPED = str.maketrans("", "", SEPARATORS)
_EVEN = str.maketrans(dict.fromkeys(SEPARATORS.removesuffix("()"), " "))
_UNDIALLABLE = ("ext", "isub", "postd")
"""Parameters of RFC 3966 that name somebody behind the number."""

NUMBER_HINT: Final = (
    "such as 2600, +49 30 12345, tel:+49-30-12345 or sip:2600: digits, letters, * # _, a + only at"
    f" the beginning, and blanks or - . / ( ) between; at most {MAX_NUMBER} without them"
)


def plain_number(written: str) -> str:
    """Read a spelling without an address and without rules: `+49 (0)30 123-45` is `+493012345`.

    Raises:
        InputError: it is not a number.
    """
    spelled = written.translate(dict.fromkeys(map(ord, INVISIBLE)))
    if _IS_NAME.fullmatch(spelled):
        return spelled
    if not _IS_SPELLED.fullmatch(spelled):
        raise InputError(f"{_shown(written)} is not a number", hint=NUMBER_HINT)
    number = _TRUNK_ZERO.sub(r"\1", spelled.translate(_EVEN)).translate(_DROPPED)
    if len(number) > MAX_NUMBER:
        raise InputError(f"{_shown(written)} is too long for a number", hint=NUMBER_HINT)
    return number


def _shown(written: str) -> str:
    return f"{written[:60]!r}{'…' if len(written) > 60 else ''}"  # noqa: PLR2004 - enough to find it


# ----------------------------------------------------------------------- rewrites


@attrs.frozen(kw_only=True)
class Rewrite:
    """One rule: which numbers it replaces, and with what. Build it with `parse_rewrites`."""

    line: int
    """Its line in the rule file."""
    text: str
    """As written, without a comment."""
    international: bool
    """Whether it is about numbers that begin with a plus; others are about the rest."""
    pattern: Pattern
    """The whole number, without the plus."""
    replacement: tuple[str | int, ...]
    """Texts, and the numbers of groups (from 0)."""

    def applied_to(self, number: str) -> str | None:
        """What is dialled instead of a number; `None`: the rule is not about this number."""
        digits = number.removeprefix("+")
        if self.international is not (digits != number):
            return None
        matcher = self.pattern.start()
        for digit in digits:
            matcher = matcher.feed(digit)
            if not matcher.viable:
                return None
        if not matcher.matches:
            return None
        groups = matcher.captures
        parts = (one if isinstance(one, str) else groups[one] or "" for one in self.replacement)
        return "".join(parts)


_RULE = re.compile(r"(?P<left>.*?)\s*(?:->|→)\s*(?P<right>.*)")
_REST = re.compile(r"(?:\.\.\.|…)$")
_PART = re.compile(
    r"(?P<rest>\.\.\.|…)|\$(?P<group>[1-9])|(?P<text>[0-9A-Za-z*#_-]+|(?<![\s\S])\+)|(?P<fault>.)"
)
_RULE_HINT = "write PATTERN -> NUMBER, such as 0... -> +49..."


def parse_rewrites(lines: Iterable[str], where: str = "") -> tuple[Rewrite, ...]:
    """Read the rules of an account.

    Args:
        lines: one rule each; a `;` begins a comment.
        where: their file, for errors.

    Raises:
        InputError: the first fault that `rewrite_faults` finds.
    """
    for fault in rewrite_faults(lines := tuple(lines), where):
        raise fault
    return tuple(rule for rule in map(_rule, _numbered(lines)) if rule is not None)


def rewrite_faults(lines: Iterable[str], where: str = "") -> Iterator[InputError]:
    """Find all faults of an account's rules, each with its line."""
    rules: list[Rewrite] = []
    for number, line in _numbered(lines):
        try:
            rule = _rule((number, line))
        except InputError as fault:
            yield InputError(fault.what, where=f"{where}:{number}", hint=fault.hint)
            continue
        rules += [] if rule is None else [rule]
    size = sum(rule.pattern.size for rule in rules)
    if len(rules) > MAX_REWRITES:
        yield InputError(f"{len(rules)} rules", where=where, hint=f"at most {MAX_REWRITES}")
    if size > MAX_REWRITE_PROGRAM:
        what = f"the patterns of the rules need {size} instructions together"
        yield InputError(what, where=where, hint=f"at most {MAX_REWRITE_PROGRAM}; simplify them")


def _numbered(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    return enumerate(lines, start=1)


def _rule(numbered: tuple[int, str]) -> Rewrite | None:
    """Read one line; `None`: it is empty."""
    line, text = numbered
    text = text.partition(";")[0].strip()
    if not text:
        return None
    parts = _RULE.fullmatch(text)
    if parts is None:
        raise InputError(f"{_shown(text)} is not a rule", hint=_RULE_HINT)
    left, right = parts["left"], parts["right"]
    if not left or not right:
        raise InputError("one side of the arrow is empty", hint=_RULE_HINT)
    international = left.startswith("+")
    body, rests = _REST.subn("(.+)", left.removeprefix("+"))
    pattern = compile_pattern(body)
    return Rewrite(
        line=line,
        text=text,
        international=international,
        pattern=pattern,
        replacement=tuple(_replacement(right, pattern.groups, has_rest=bool(rests))),
    )


def _replacement(text: str, groups: int, *, has_rest: bool) -> Iterator[str | int]:
    for part in _PART.finditer(text):
        if part["fault"] is not None:
            what = f"{part['fault']!r} can't be dialled"
            hint = "digits, letters, * # _ -, a + at the beginning, $1 to $9 and ... are allowed"
            raise InputError(what, hint=hint)
        if part["rest"] is not None:
            if not has_rest:
                hint = "end the pattern with ... too"
                raise InputError("there is no rest to put for the three dots", hint=hint)
            yield groups - 1
        elif part["group"] is not None:
            if int(part["group"]) > groups:
                raise InputError(
                    f"there is no group ${part['group']}",
                    hint=f"the pattern has {groups}; put ( ) around what is to be kept",
                )
            yield int(part["group"]) - 1
        else:
            yield part["text"]


# ------------------------------------------------------------------ an account's rules


@attrs.frozen(kw_only=True)
class NumberRules:
    """How an account's numbers are read."""

    domains: tuple[str, ...] = ()
    """The domains whose SIP addresses are numbers of this account."""
    rewrites: tuple[Rewrite, ...] = ()
    """Which numbers are replaced; the first rule that matches applies."""

    def number(self, written: str) -> str:
        """Read a number: what is dialled for what somebody has written.

        Read each number once: the result of a rewrite could be rewritten again.

        Raises:
            InputError: it is not a number.
            RequestRefused: its domain is not one of the account's.
        """
        read = self._of_address(written)
        if set(read.removeprefix("+")) <= _KEYS:
            for rule in self.rewrites:
                instead = rule.applied_to(read)
                if instead is not None:
                    return _checked(instead, read, rule)
        return read

    def _of_address(self, written: str) -> str:
        if len(written) > MAX_WRITTEN or not _WRITTEN.match(written):
            raise InputError(f"{_shown(written)} is not a number", hint=NUMBER_HINT)
        parts = _ADDRESS.fullmatch(written)
        if parts is None or (parts["scheme"] is None and parts["domain"] is None):
            return plain_number(written)
        for parameter in (parts["parameters"] or "").lower().split(";"):
            name = parameter.partition("=")[0]
            if name in _UNDIALLABLE:
                what = f"the {name} of {_shown(written)} can't be dialled"
                raise InputError(what, hint="give the number without it")
        self._check_domain(written, parts["domain"])
        return plain_number(unquote(parts["user"], errors="replace"))

    def _check_domain(self, written: str, domain: str | None) -> None:
        if domain is None:
            return
        allowed = [one.rstrip(".").lower() for one in self.domains]
        if domain.rstrip(".").lower() not in allowed:
            names = f"allowed are {', '.join(allowed)}" if allowed else "none is configured"
            raise RequestRefused(
                f"{_shown(written)} is in a domain that this account does not have ({names};"
                " or give the number alone)",
                Refusal.TARGET_REFUSED,
            )


_KEYS = frozenset(ALPHABET)

PLAIN_NUMBERS: Final = NumberRules()
"""Numbers of an account without domains and rewrites."""


def _checked(number: str, read: str, rule: Rewrite) -> str:
    what = f"the rewrite in line {rule.line} makes {number[:80]!r} of {read}"
    try:
        if plain_number(number) == number:
            return number
    except InputError:
        pass
    raise InputError(what, hint="correct the account's rule: the result is not a number")
