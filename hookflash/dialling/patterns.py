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

from typing import TypeAlias

import attrs

from hookflash.dialling.pattern_language import (
    MAX_PROGRAM,
    OneKey,
    Sequence,
    check_key,
    parse_pattern,
    shown_pattern,
)
from hookflash.dialling.pattern_program import (
    Accept,
    Begin,
    Fork,
    Instruction,
    Jump,
    Mark,
    Take,
    Turn,
    captures_once,
    program_of,
    size_of,
)
from hookflash.errors import InputError

Marks: TypeAlias = tuple[int, ...]
"""Where each group began and ended, in keys; -1 for not yet."""


@attrs.frozen
class Pattern:
    """A compiled pattern. Two are equal if their texts are equal."""

    text: str
    """As written."""
    before: str
    """Keys that come before it, literally."""
    groups: int = attrs.field(eq=False)
    """How many groups capture."""
    program: tuple[Instruction, ...] = attrs.field(eq=False, repr=False)
    captures_once: bool = attrs.field(
        init=False,
        eq=False,
        repr=False,
        default=attrs.Factory(lambda self: captures_once(self.program), takes_self=True),
    )
    """Whether no group of it stands in a loop."""

    @property
    def size(self) -> int:
        """Instructions of its program: the most that one key can cost."""
        return len(self.program)

    def start(self) -> Matcher:
        """Return the matcher before the first key."""
        first = (0, (-1,) * (2 * self.groups))
        threads, steps = settle(self.program, [first], 0)
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
    keys = [OneKey(frozenset(check_key(key, where=where))) for key in before]
    tree, groups = parse_pattern(text, where)
    node = Sequence((*keys, tree))
    size = size_of(node) + 1
    if size > MAX_PROGRAM:
        what = f"the pattern {shown_pattern(text)} is too large: it needs {size} instructions"
        hint = f"at most {MAX_PROGRAM}; use smaller counts, or split it"
        raise InputError(what, where=where, hint=hint)
    return Pattern(text, before, groups, program_of(node))


Thread: TypeAlias = tuple[int, Marks]
"""An instruction that waits (for a key, or at the end), and where the groups lie."""


def settle(
    program: tuple[Instruction, ...], starts: list[Thread], position: int
) -> tuple[tuple[Thread, ...], int]:
    """Run threads, the preferred first, until each waits for a key or has come to the end.

    Returns:
        The waiting threads in order of priority, and how many instructions were visited.
    """
    waiting: list[Thread] = []
    seen: set[tuple[int, int]] = set()
    stack = [(at, 0, marks) for at, marks in reversed(starts)]
    while stack:
        at, fresh, marks = stack.pop()  # fresh: the loops whose round began at this position
        instruction = program[at]
        rests = isinstance(instruction, (Take, Accept))
        if (at, 0 if rests else fresh) in seen:
            continue
        seen.add((at, 0 if rests else fresh))
        match instruction:
            case Take() | Accept():
                waiting.append((at, marks))
            case Fork(first, second):
                stack += [(second, fresh, marks), (first, fresh, marks)]
            case Mark(slot):
                marks = (*marks[:slot], position, *marks[slot + 1 :])
                stack.append((at + 1, fresh, marks))
            case Jump(to):
                stack.append((to, fresh, marks))
            case Begin(loop):
                stack.append((at + 1, fresh | loop, marks))
            case Turn(loop, again, out, greedy):
                rest = fresh & ~loop
                goals = [out] if fresh & loop else [out, again] if greedy else [again, out]
                stack += [(goal, rest, marks) for goal in goals]
    return tuple(waiting), len(seen)


@attrs.frozen(kw_only=True)
class Matcher:
    """A pattern and the digits so far: a frozen value, so `feed` returns a new one."""

    pattern: Pattern
    digits: str = ""
    threads: tuple[Thread, ...] = attrs.field(eq=False, repr=False)
    steps: int = attrs.field(eq=False, repr=False)
    """How many instructions the last key cost."""

    def feed(self, digit: str) -> Matcher:
        """Take one key.

        Raises:
            InputError: it is not a key.
        """
        check_key(digit)
        program = self.pattern.program
        moved: list[Thread] = []
        for at, marks in self.threads:
            instruction = program[at]
            if isinstance(instruction, Take) and digit in instruction.keys:
                moved.append((at + 1, marks))
        digits = self.digits + digit
        threads, steps = settle(program, moved, len(digits))
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
    def first_captures(self) -> tuple[str | None, ...]:
        """Where a longer match would go on: what its first capture is so far, once for each thread.

        The next key belongs to this capture, so that the capture will be longer. None: nothing is
        known; the capture has not begun, is over, or may begin again.
        """
        program = self.pattern.program
        waiting = [marks for at, marks in self.threads if isinstance(program[at], Take)]
        if not self.pattern.captures_once:
            return (None,) * len(waiting)
        return tuple(map(self._first_capture, waiting))

    def _first_capture(self, marks: Marks) -> str | None:
        for begin, end in zip(marks[::2], marks[1::2], strict=True):
            if begin >= 0:
                return None if end >= 0 else self.digits[begin:]
        return None

    @property
    def _winner(self) -> Marks | None:
        """The marks of the one thread that has come to the end."""
        last = self.pattern.size - 1
        return next((marks for at, marks in self.threads if at == last), None)
