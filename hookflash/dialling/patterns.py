r"""Which digits a code means: a small regular language for sixteen keys.

After each key a telephone must answer two questions: *does this match now?* and
*could anything longer match too?* If the second answer is no, the code is complete and acts at
once; if yes, it waits for the next key. The usual libraries answer only the first one, of a
whole string, and by backtracking: a pattern such as ``(\d*)*5`` then costs exponential time.

So a pattern is compiled to a program for many threads (Thompson, 1968, in the form of Pike and
Cox). All threads take each key together; where two threads meet, the one of higher priority
goes on and the other ends. A key therefore costs at most one visit to each instruction (and
one more for each loop around it, see below), for every pattern and every input.

**Language.** Keys ``0-9`` and ``A-D``, ``\*`` (escaped, since ``*`` repeats) and ``#``; ``.``
for any key; ``\d``; classes ``[2-5]``, ``[^1]``, ``[\d#]``; groups ``( )`` and ``(?: )``;
``|``; ``? * + {m} {m,} {m,n}``, each with ``?`` behind it for as few as possible. ``^`` and
``$`` are allowed at the ends and change nothing: a pattern matches the whole of what was
dialled, so that ``921`` is not ``2(\d+)``.

**No dead ends.** Every class allows at least one key, so every thread can still come to the
end: a matcher is viable as long as a thread lives, and extendable as long as a thread waits for
a key. Both are decided by what can be reached, not by what the pattern looks like.

**Captures** are those of Python's ``re.fullmatch``: the first alternative in order of priority,
and the last round of a loop. To agree even in loops whose body may be empty, a thread
remembers which loops began their round at the present key: such a loop may end, but not turn
again. Rounds are nested, so there are at most (loops around an instruction + 1) such memories.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
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
SEARCH_STEPS = 50_000
"""Instructions that a search over two patterns may visit: some tens of milliseconds."""

KEYS_HINT = "the keys are 0-9, A-D, * and #"
_LANGUAGE = r"allowed are 0-9 A-D \* # . \d [2-5] [^1] ( ) (?: ) | and ? * + {m} {m,} {m,n}"

Marks: TypeAlias = tuple[int, ...]
"""Where each group began and ended, in keys; -1 for not yet."""


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


def _shown(text: str) -> str:
    """Repeat a pattern in an error: unchanged, since characters are counted in it, but cut off."""
    shown = text if text.isprintable() else repr(text)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"


_SHOWN = 60
"""Characters of a wrong pattern that an error repeats."""


# --------------------------------------------------------- what the parser makes


@attrs.frozen
class _Keys:
    """One key out of several."""

    keys: frozenset[str]


@attrs.frozen
class _Sequence:
    """One after the other."""

    parts: tuple[_Node, ...]


@attrs.frozen
class _Alternatives:
    """One of several, the first preferred."""

    options: tuple[_Node, ...]


@attrs.frozen
class _Group:
    """Something whose keys are captured."""

    index: int
    body: _Node


@attrs.frozen
class _Repeat:
    """Something several times; `most` None: without end."""

    body: _Node
    least: int
    most: int | None
    greedy: bool


_Node: TypeAlias = _Keys | _Sequence | _Alternatives | _Group | _Repeat


class _Parser:
    """Reads a pattern from left to right (recursive descent; one method for each rule)."""

    def __init__(self, text: str, where: str) -> None:
        self.text = text
        self.where = where
        self.at = 0
        self.groups = 0

    def parse(self) -> _Node:
        node = self._choice(depth=0)
        if self.at < len(self.text):
            self._fault(f"the {self._peek()!r} closes nothing", "each ) needs its (")
        return node

    def _fault(self, what: str, hint: str, *, at: int | None = None) -> NoReturn:
        position = (self.at if at is None else at) + 1
        what = f"in the pattern {_shown(self.text)}, at character {position}: {what}"
        raise InputError(what, where=self.where, hint=hint)

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _take(self, expected: str) -> bool:
        found = self.text.startswith(expected, self.at)
        if found:
            self.at += len(expected)
        return found

    def _choice(self, *, depth: int) -> _Node:
        options = [self._sequence(depth=depth)]
        while self._take("|"):
            options.append(self._sequence(depth=depth))
        return options[0] if len(options) == 1 else _Alternatives(tuple(options))

    def _sequence(self, *, depth: int) -> _Node:
        parts: list[_Node] = []
        if depth == 0:
            self._take("^")
        while self._peek() not in {"", "|", ")"}:
            if depth == 0 and self._peek() == "$" and self.text[self.at + 1 :][:1] in {"", "|"}:
                self.at += 1
                break
            parts.append(self._repeat(depth=depth))
        return parts[0] if len(parts) == 1 else _Sequence(tuple(parts))

    def _repeat(self, *, depth: int) -> _Node:
        body = self._atom(depth=depth)
        counts = self._counts()
        if counts is None:
            return body
        least, most = counts
        greedy = not self._take("?")
        if self._peek() in {"*", "+", "?", "{"}:
            self._fault("this repeats a repetition", "put ( ) around what is repeated")
        return _Repeat(body, least, most, greedy)

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

    def _atom(self, *, depth: int) -> _Node:
        if self._peek() == "(":
            return self._group(depth=depth + 1)
        if self._take("["):
            return _Keys(self._class())
        if self._take("."):
            return _Keys(frozenset(ALPHABET))
        return _Keys(self._key_or_escape())

    def _group(self, *, depth: int) -> _Node:
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
        return _Group(index, body) if captures else body

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


# ------------------------------------------------------------------- the program


@attrs.frozen
class _Take:
    """Wait for one of these keys."""

    keys: frozenset[str]


@attrs.frozen
class _Fork:
    """Go on in both places, the first preferred."""

    first: int
    second: int


@attrs.frozen
class _Mark:
    """Note where a group begins or ends."""

    slot: int


@attrs.frozen
class _Jump:
    """Go on elsewhere."""

    to: int


@attrs.frozen
class _Begin:
    """A round of a loop begins here. `loop` is a bit: the loop's depth."""

    loop: int


@attrs.frozen
class _Turn:
    """A round of a loop is over: again, or out. After an empty round only out."""

    loop: int
    again: int
    out: int
    greedy: bool


@attrs.frozen
class _Accept:
    """All that was dialled matches."""


_Instruction: TypeAlias = _Take | _Fork | _Mark | _Jump | _Begin | _Turn | _Accept


def _size(node: _Node) -> int:
    """How many instructions a node becomes, counted without making them."""
    match node:
        case _Keys():
            return 1
        case _Sequence(parts):
            return sum(map(_size, parts))
        case _Alternatives(options):
            return sum(map(_size, options)) + 2 * (len(options) - 1)
        case _Group(_, body):
            return _size(body) + 2
        case _Repeat(body, least, most, _):
            each = max(1, _size(body))  # an empty body costs time too
            optional = each + 3 if most is None else (most - least) * (each + 2) + 1
            return least * each + optional


def _emit(node: _Node, program: list[_Instruction], depth: int) -> None:
    """Append a node's instructions. `depth` counts the loops around it."""
    match node:
        case _Keys(keys):
            program.append(_Take(keys))
        case _Sequence(parts):
            for part in parts:
                _emit(part, program, depth)
        case _Alternatives(options):
            _emit_choice(options, program, depth)
        case _Group(index, body):
            program.append(_Mark(2 * index))
            _emit(body, program, depth)
            program.append(_Mark(2 * index + 1))
        case _Repeat():
            for _ in range(node.least):
                _emit(node.body, program, depth + 1)
            if node.most is None:
                _emit_loop(node, program, depth)
            elif node.most > node.least:
                _emit_optional(node, node.most - node.least, program, depth)


def _emit_choice(options: tuple[_Node, ...], program: list[_Instruction], depth: int) -> None:
    ends: list[int] = []
    for option in options[:-1]:
        fork = _hole(program)
        _emit(option, program, depth)
        ends.append(_hole(program))
        program[fork] = _Fork(fork + 1, len(program))
    _emit(options[-1], program, depth)
    for end in ends:
        program[end] = _Jump(len(program))


def _emit_loop(node: _Repeat, program: list[_Instruction], depth: int) -> None:
    """Any number of rounds."""
    enter = _hole(program)
    program.append(_Begin(1 << depth))
    _emit(node.body, program, depth + 1)
    out = len(program) + 1
    program.append(_Turn(1 << depth, enter + 1, out, node.greedy))
    program[enter] = _fork(enter + 1, out, greedy=node.greedy)


def _emit_optional(node: _Repeat, count: int, program: list[_Instruction], depth: int) -> None:
    """Up to `count` rounds: as many copies, each of which leads out too."""
    holes: list[int] = []
    for _ in range(count):
        holes.append(_hole(program))
        program.append(_Begin(1 << depth))
        _emit(node.body, program, depth + 1)
    holes.append(_hole(program))
    out = len(program)
    program[holes[0]] = _fork(holes[0] + 1, out, greedy=node.greedy)
    for hole in holes[1:]:
        program[hole] = _Turn(1 << depth, hole + 1, out, node.greedy)


def _hole(program: list[_Instruction]) -> int:
    """Leave room for an instruction whose goal isn't known yet."""
    program.append(_Accept())
    return len(program) - 1


def _fork(into: int, past: int, *, greedy: bool) -> _Fork:
    return _Fork(into, past) if greedy else _Fork(past, into)


# ---------------------------------------------------------------------- patterns


@attrs.frozen
class Pattern:
    """A compiled pattern. Two are equal if their texts are equal."""

    text: str
    """As written."""
    before: str
    """Keys that come before it, literally."""
    groups: int = attrs.field(eq=False)
    """How many groups capture."""
    program: tuple[_Instruction, ...] = attrs.field(eq=False, repr=False)

    @property
    def size(self) -> int:
        """Instructions of its program: the most that one key can cost."""
        return len(self.program)

    def start(self) -> Matcher:
        """Return the matcher before the first key."""
        first = (0, (-1,) * (2 * self.groups))
        threads, steps = _settle(self.program, [first], 0)
        return Matcher(pattern=self, threads=threads, steps=steps)

    def run(self, digits: str) -> Matcher:
        """Return the matcher after these digits.

        Raises:
            InputError: one of them is not a key.
        """
        matcher = self.start()
        for digit in digits:
            matcher = matcher.feed(digit)
        return matcher


def compile_pattern(text: str, *, before: str = "", where: str = "") -> Pattern:
    """Compile a pattern in the language of this module.

    Args:
        text: the pattern.
        before: keys that must come before it, each meaning itself (a `*` too).
        where: the location that errors report.

    Raises:
        InputError: it is invalid, or needs more than `MAX_PROGRAM` instructions.
    """
    keys = [_Keys(frozenset(check_key(key, where=where))) for key in before]
    if len(text) > MAX_TEXT:
        what = f"the pattern has {len(text)} characters"
        raise InputError(what, where=where, hint=f"at most {MAX_TEXT}")
    parser = _Parser(text, where)
    node = _Sequence((*keys, parser.parse()))
    size = _size(node) + 1
    if size > MAX_PROGRAM:
        what = f"the pattern {_shown(text)} is too large: it needs {size} instructions"
        hint = f"at most {MAX_PROGRAM}; use smaller counts, or split it"
        raise InputError(what, where=where, hint=hint)
    program: list[_Instruction] = []
    _emit(node, program, 0)
    program.append(_Accept())
    return Pattern(text, before, parser.groups, tuple(program))


# ---------------------------------------------------------------------- matching

_Thread: TypeAlias = tuple[int, Marks]
"""An instruction that waits (for a key, or at the end), and where the groups lie."""


def _settle(
    program: tuple[_Instruction, ...], starts: list[_Thread], position: int
) -> tuple[tuple[_Thread, ...], int]:
    """Run threads, the preferred first, until each waits for a key or has come to the end.

    Returns:
        The waiting threads in order of priority, and how many instructions were visited.
    """
    waiting: list[_Thread] = []
    seen: set[tuple[int, int]] = set()
    stack = [(at, 0, marks) for at, marks in reversed(starts)]
    while stack:
        at, fresh, marks = stack.pop()  # fresh: the loops whose round began at this position
        instruction = program[at]
        rests = isinstance(instruction, (_Take, _Accept))
        if (at, 0 if rests else fresh) in seen:
            continue
        seen.add((at, 0 if rests else fresh))
        match instruction:
            case _Take() | _Accept():
                waiting.append((at, marks))
            case _Fork(first, second):
                stack += [(second, fresh, marks), (first, fresh, marks)]
            case _Mark(slot):
                marks = (*marks[:slot], position, *marks[slot + 1 :])
                stack.append((at + 1, fresh, marks))
            case _Jump(to):
                stack.append((to, fresh, marks))
            case _Begin(loop):
                stack.append((at + 1, fresh | loop, marks))
            case _Turn(loop, again, out, greedy):
                rest = fresh & ~loop
                goals = [out] if fresh & loop else [out, again] if greedy else [again, out]
                stack += [(goal, rest, marks) for goal in goals]
    return tuple(waiting), len(seen)


@attrs.frozen(kw_only=True)
class Matcher:
    """A pattern and the digits so far: a frozen value, so `feed` returns a new one."""

    pattern: Pattern
    digits: str = ""
    threads: tuple[_Thread, ...] = attrs.field(eq=False, repr=False)
    steps: int = attrs.field(eq=False, repr=False)
    """How many instructions the last key cost."""

    def feed(self, digit: str) -> Matcher:
        """Take one key.

        Raises:
            InputError: it is not a key.
        """
        check_key(digit)
        program = self.pattern.program
        moved: list[_Thread] = []
        for at, marks in self.threads:
            instruction = program[at]
            if isinstance(instruction, _Take) and digit in instruction.keys:
                moved.append((at + 1, marks))
        digits = self.digits + digit
        threads, steps = _settle(program, moved, len(digits))
        return Matcher(pattern=self.pattern, digits=digits, threads=threads, steps=steps)

    @property
    def matches(self) -> bool:
        """Whether the digits so far are a match."""
        return self._winner is not None

    @property
    def viable(self) -> bool:
        """Whether the digits so far are a match or the beginning of one."""
        return bool(self.threads)

    @property
    def extendable(self) -> bool:
        """Whether a strictly longer match begins with the digits so far."""
        return len(self.threads) > self.matches

    @property
    def captures(self) -> tuple[str | None, ...]:
        """What each group took, as `re.fullmatch(...).groups()` says; all None without a match."""
        marks = self._winner
        if marks is None:
            return (None,) * self.pattern.groups
        ends = zip(marks[::2], marks[1::2], strict=True)
        return tuple(self.digits[begin:end] if end >= 0 else None for begin, end in ends)

    @property
    def _winner(self) -> Marks | None:
        """The marks of the one thread that has come to the end."""
        last = self.pattern.size - 1
        return next((marks for at, marks in self.threads if at == last), None)


# ------------------------------------------------------------ questions about patterns


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
        if isinstance(instruction, _Take)
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
