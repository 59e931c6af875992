"""The program of a pattern: what its tree becomes, for many threads to run."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from hookflash.dialling.pattern_language import (
    Alternatives,
    Capture,
    Node,
    OneKey,
    Repeat,
    Sequence,
)


@attrs.frozen
class Take:
    """Wait for one of these keys."""

    keys: frozenset[str]


@attrs.frozen
class Fork:
    """Go on in both places, the first preferred."""

    first: int
    second: int


@attrs.frozen
class Mark:
    """Note where a group begins or ends."""

    slot: int


@attrs.frozen
class Jump:
    """Go on elsewhere."""

    to: int


@attrs.frozen
class Begin:
    """A round of a loop begins here. `loop` is a bit: the loop's depth."""

    loop: int


@attrs.frozen
class Turn:
    """A round of a loop is over: again, or out. After an empty round only out."""

    loop: int
    again: int
    out: int
    greedy: bool


@attrs.frozen
class Accept:
    """All that was dialled matches."""


Instruction: TypeAlias = Take | Fork | Mark | Jump | Begin | Turn | Accept


def captures_once(program: tuple[Instruction, ...]) -> bool:
    """Whether no group can be captured twice: no group stands in a loop, or is copied."""
    marks = [at for at, one in enumerate(program) if isinstance(one, Mark)]
    loops = [(one.again, at) for at, one in enumerate(program) if isinstance(one, Turn)]
    return len({program[at] for at in marks}) == len(marks) and not any(
        again <= mark <= turn for again, turn in loops for mark in marks
    )


def size_of(node: Node) -> int:
    """How many instructions a node becomes, counted without making them."""
    match node:
        case OneKey():
            return 1
        case Sequence(parts):
            return sum(map(size_of, parts))
        case Alternatives(options):
            return sum(map(size_of, options)) + 2 * (len(options) - 1)
        case Capture(_, body):
            return size_of(body) + 2
        case Repeat(body, least, most, _):
            each = max(1, size_of(body))  # an empty body costs time too
            optional = each + 3 if most is None else (most - least) * (each + 2) + 1
            return least * each + optional


def program_of(node: Node) -> tuple[Instruction, ...]:
    """Compile a tree."""
    program: list[Instruction] = []
    _emit(node, program, 0)
    program.append(Accept())
    return tuple(program)


def _emit(node: Node, program: list[Instruction], depth: int) -> None:
    """Append a node's instructions. `depth` counts the loops around it."""
    match node:
        case OneKey(keys):
            program.append(Take(keys))
        case Sequence(parts):
            for part in parts:
                _emit(part, program, depth)
        case Alternatives(options):
            _emit_choice(options, program, depth)
        case Capture(index, body):
            program.append(Mark(2 * index))
            _emit(body, program, depth)
            program.append(Mark(2 * index + 1))
        case Repeat():
            for _ in range(node.least):
                _emit(node.body, program, depth + 1)
            if node.most is None:
                _emit_loop(node, program, depth)
            elif node.most > node.least:
                _emit_optional(node, node.most - node.least, program, depth)


def _emit_choice(options: tuple[Node, ...], program: list[Instruction], depth: int) -> None:
    ends: list[int] = []
    for option in options[:-1]:
        fork = _hole(program)
        _emit(option, program, depth)
        ends.append(_hole(program))
        program[fork] = Fork(fork + 1, len(program))
    _emit(options[-1], program, depth)
    for end in ends:
        program[end] = Jump(len(program))


def _emit_loop(node: Repeat, program: list[Instruction], depth: int) -> None:
    """Any number of rounds."""
    enter = _hole(program)
    program.append(Begin(1 << depth))
    _emit(node.body, program, depth + 1)
    out = len(program) + 1
    program.append(Turn(1 << depth, enter + 1, out, node.greedy))
    program[enter] = _fork(enter + 1, out, greedy=node.greedy)


def _emit_optional(node: Repeat, count: int, program: list[Instruction], depth: int) -> None:
    """Up to `count` rounds: as many copies, each of which leads out too."""
    holes: list[int] = []
    for _ in range(count):
        holes.append(_hole(program))
        program.append(Begin(1 << depth))
        _emit(node.body, program, depth + 1)
    holes.append(_hole(program))
    out = len(program)
    program[holes[0]] = _fork(holes[0] + 1, out, greedy=node.greedy)
    for hole in holes[1:]:
        program[hole] = Turn(1 << depth, hole + 1, out, node.greedy)


def _hole(program: list[Instruction]) -> int:
    """Leave room for an instruction whose goal isn't known yet."""
    program.append(Accept())
    return len(program) - 1


def _fork(into: int, past: int, *, greedy: bool) -> Fork:
    return Fork(into, past) if greedy else Fork(past, into)
