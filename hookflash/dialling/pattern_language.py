"""Reads a pattern: from its text to a tree, or to an error that names the character."""

from __future__ import annotations

from typing import NoReturn, TypeAlias

import attrs

from hookflash.errors import InputError

DIGITS = "0123456789"
LETTERS = "ABCD"
ALPHABET = DIGITS + LETTERS + "*#"
"""The sixteen keys (RFC 4733, section 3.2)."""
MAX_PROGRAM = 2_000
"""Instructions. `2(\\d+)` needs nine; a list of a hundred numbers of ten digits, 1,200."""
MAX_TEXT = 2_000
"""Characters of a pattern: enough for such a list, and little to parse."""
MAX_GROUPS = 16
"""Capturing groups. The engine uses one; each costs every thread two numbers."""
MAX_DEPTH = 16
"""Groups within groups: bounds the parser's recursion and the memories of loops."""

KEYS_HINT = "the keys are 0-9, A-D, * and #"
_LANGUAGE = r"allowed are 0-9 A-D \* # . \d [2-5] [^1] ( ) (?: ) | and ? * + {m} {m,} {m,n}"


def check_key(key: str, *, where: str = "") -> str:
    """Check a key, and return it.

    Args:
        key: one character.
        where: the location that the error reports.

    Raises:
        InputError: it is not one of the sixteen keys of RFC 4733.
    """
    if len(key) != 1 or key not in ALPHABET:
        raise InputError(f"{key[:20]!r} is not a key", where=where, hint=KEYS_HINT)
    return key


def shown_pattern(text: str) -> str:
    """Repeat a pattern in an error: unchanged, since characters are counted in it, but cut off."""
    shown = text if text.isprintable() else repr(text)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"


_SHOWN = 60
"""Characters of a wrong pattern that an error repeats."""


@attrs.frozen
class OneKey:
    """One key out of several."""

    keys: frozenset[str]


@attrs.frozen
class Sequence:
    """One after the other."""

    parts: tuple[Node, ...]


@attrs.frozen
class Alternatives:
    """One of several, the first preferred."""

    options: tuple[Node, ...]


@attrs.frozen
class Capture:
    """Something whose keys are captured."""

    index: int
    body: Node


@attrs.frozen
class Repeat:
    """Something several times; `most` None: without end."""

    body: Node
    least: int
    most: int | None
    greedy: bool


Node: TypeAlias = OneKey | Sequence | Alternatives | Capture | Repeat


class _Parser:
    """Reads a pattern from left to right (recursive descent; one method for each rule)."""

    def __init__(self, text: str, where: str) -> None:
        self.text = text
        self.where = where
        self.at = 0
        self.groups = 0

    def parse(self) -> Node:
        node = self._choice(depth=0)
        if self.at < len(self.text):
            self._fault(f"the {self._peek()!r} closes nothing", "each ) needs its (")
        return node

    def _fault(self, what: str, hint: str, *, at: int | None = None) -> NoReturn:
        position = (self.at if at is None else at) + 1
        what = f"in the pattern {shown_pattern(self.text)}, at character {position}: {what}"
        raise InputError(what, where=self.where, hint=hint)

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _take(self, expected: str) -> bool:
        found = self.text.startswith(expected, self.at)
        if found:
            self.at += len(expected)
        return found

    def _choice(self, *, depth: int) -> Node:
        options = [self._sequence(depth=depth)]
        while self._take("|"):
            options.append(self._sequence(depth=depth))
        return options[0] if len(options) == 1 else Alternatives(tuple(options))

    def _sequence(self, *, depth: int) -> Node:
        parts: list[Node] = []
        if depth == 0:
            self._take("^")
        while self._peek() not in {"", "|", ")"}:
            if depth == 0 and self._peek() == "$" and self.text[self.at + 1 :][:1] in {"", "|"}:
                self.at += 1
                break
            parts.append(self._repeat(depth=depth))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _repeat(self, *, depth: int) -> Node:
        body = self._atom(depth=depth)
        counts = self._counts()
        if counts is None:
            return body
        least, most = counts
        greedy = not self._take("?")
        if self._peek() in {"*", "+", "?", "{"}:
            self._fault("this repeats a repetition", "put ( ) around what is repeated")
        return Repeat(body, least, most, greedy)

    def _counts(self) -> tuple[int, int | None] | None:
        """How often, if a quantifier stands here."""
        for sign, counts in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._take(sign):
                return counts
        begin = self.at
        if not self._take("{"):
            return None
        least = most = self._number()
        if least is not None and self._take(","):
            most = self._number()
        if least is None or not self._take("}"):
            self._fault("this count can't be read", "write {3}, {3,} or {3,5}", at=begin)
        if most is not None and most < least:
            self._fault("this count is upside down", f"write {{{most},{least}}}", at=begin)
        return least, most

    def _number(self) -> int | None:
        begin = self.at
        while self._peek() and self._peek() in DIGITS:
            self.at += 1
        if self.at - begin > len(str(MAX_PROGRAM)):
            self._fault("this count is too large", f"at most {MAX_PROGRAM}", at=begin)
        return int(self.text[begin : self.at]) if self.at > begin else None

    def _atom(self, *, depth: int) -> Node:
        if self._peek() == "(":
            return self._group(depth=depth + 1)
        if self._take("["):
            return OneKey(self._class())
        if self._take("."):
            return OneKey(frozenset(ALPHABET))
        return OneKey(self._key_or_escape())

    def _group(self, *, depth: int) -> Node:
        begin = self.at
        if depth > MAX_DEPTH:
            self._fault("the groups are nested too deep", f"at most {MAX_DEPTH} levels")
        captures = not self._take("(?:")
        index = self.groups
        if captures:
            self._take("(")
            if self._peek() == "?":
                self._fault("this kind of group is not known here", "write ( ) or (?: )", at=begin)
            self.groups += 1
            if self.groups > MAX_GROUPS:
                hint = f"at most {MAX_GROUPS}; use (?: ) for the others"
                self._fault("there are too many groups", hint, at=begin)
        body = self._choice(depth=depth)
        if not self._take(")"):
            self._fault("nothing closes this group", "put a ) behind it", at=begin)
        return Capture(index, body) if captures else body

    def _key_or_escape(self) -> frozenset[str]:
        """One character that means keys, outside a class or within it."""
        begin = self.at
        char = self._peek()
        self.at += 1
        if char == "\\":
            char = self._peek()
            self.at += 1
            if char == "d":
                return frozenset(DIGITS)
            if char and char in "*#":
                return frozenset(char)
            self._fault(f"the escape \\{char} is not known here", _LANGUAGE, at=begin)
        if char in {"*", "+", "?", "{"}:
            hint = r"put a key before it, or write \* for the key *"
            self._fault(f"the {char!r} has nothing to repeat", hint, at=begin)
        if char in {"^", "$"}:
            self._fault(f"the {char!r} stands in the middle", "only at the ends", at=begin)
        if char not in ALPHABET:
            self._fault(f"{char!r} is not a key", _LANGUAGE, at=begin)
        return frozenset(char)

    def _class(self) -> frozenset[str]:
        begin = self.at - 1
        negated = self._take("^")
        keys: frozenset[str] = frozenset()
        while self._peek() != "]":
            if not self._peek():
                self._fault("nothing closes this class", "put a ] behind it", at=begin)
            keys |= self._class_part()
        self.at += 1
        allowed = frozenset(ALPHABET) - keys if negated else keys
        if not keys or not allowed:
            self._fault("this class allows no key at all", KEYS_HINT, at=begin)
        return allowed

    def _class_part(self) -> frozenset[str]:
        """A key, an escape, or a range within the digits or within the letters."""
        begin = self.at
        if self._peek() not in f"{ALPHABET}\\":
            self._fault(f"{self._peek()!r} is not a key", KEYS_HINT)
        # within a class a * can't repeat anything, so it is the key
        first = frozenset("*") if self._take("*") else self._key_or_escape()
        if not self._take("-"):
            return first
        low, high = self.text[begin], self._peek()
        self.at += 1
        row = next((row for row in (DIGITS, LETTERS) if low in row and high and high in row), "")
        if not row or low > high:
            self._fault("this range can't be read", "write 2-5 or A-C, the lower first", at=begin)
        return frozenset(row[row.index(low) : row.index(high) + 1])


def parse_pattern(text: str, where: str) -> tuple[Node, int]:
    """Read a pattern.

    Returns:
        Its tree, and how many groups capture.

    Raises:
        InputError: it is invalid.
    """
    if len(text) > MAX_TEXT:
        what = f"the pattern has {len(text)} characters"
        raise InputError(what, where=where, hint=f"at most {MAX_TEXT}")
    parser = _Parser(text, where)
    return parser.parse(), parser.groups
