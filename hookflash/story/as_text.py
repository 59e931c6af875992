"""A sequence diagram as plain text, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

import attrs
from rich.cells import cell_len

from hookflash.story.sequence import Note, NoteKind, SequenceDiagram, SequenceStep, gaps_of
from hookflash.story.words import clip

_BESIDE = 5
"""Columns that an arrow needs beside its label: a blank on each side, two dashes, the head."""
_NARROWEST = 8
"""Lanes never stand closer than this: a diagram for too many people becomes wider instead."""
_RULES = {
    NoteKind.TALK: "╞═╡",
    NoteKind.PARTED: "╞┄╡",
    NoteKind.STATE: "╌╌╌",
    NoteKind.OUTCOME: "━━━",
}
"""How a note is ruled, from its first lane to its last. Without rule, or room, it has brackets."""


def sequence_text(diagram: SequenceDiagram, width: int = 100) -> str:
    """Draw a sequence diagram with box-drawing characters.

    Args:
        diagram: what to draw.
        width: how many columns the terminal has. Labels that don't fit on their arrows stand above
            them; only where there are too many people for it does the diagram become wider.

    Returns:
        Lines, the last of which ends with a newline too.
    """
    times = [f"{step.at_s:7.3f} s" for step in diagram.steps]
    canvas = _canvas(diagram, max(map(len, times), default=0) + 2, width)
    lines = [canvas.head(diagram.participants), canvas.blank()]
    shown = ""
    for step, time in zip(diagram.steps, times, strict=True):
        for cells in _drawn(canvas, diagram, step):
            _put(cells, 0, "" if time == shown else time.rjust(canvas.left - 2))
            shown = time
            lines.append(cells)
    return "".join("".join(cells).rstrip() + "\n" for cells in lines)


@attrs.frozen(kw_only=True)
class _Canvas:
    """Where the lanes stand on a terminal, and how wide it is."""

    lanes: tuple[int, ...]
    gaps: tuple[int, ...]
    left: int
    """Where the lanes' part begins; before it stands the time."""
    width: int

    def blank(self) -> list[str]:
        """A line with nothing on it but the lanes."""
        cells = [" "] * self.width
        for lane in self.lanes:
            cells[lane] = "│"
        return cells

    def head(self, names: Sequence[str]) -> list[str]:
        """The line of names, each as long as its neighbours allow."""
        cells = [" "] * self.width
        around = (2 * _NARROWEST, *self.gaps, 2 * _NARROWEST)
        for number, (lane, name) in enumerate(zip(self.lanes, names, strict=True)):
            shown = clip(name, min(around[number], around[number + 1]) - 1)
            _put(cells, max(lane - cell_len(shown) // 2, 0), shown)
        return cells

    def write(self, cells: list[str], middle: int, text: str) -> None:
        """Write a text around a column, as far as there is room to the left and right."""
        shown = clip(text, self.width - self.left)
        start = min(middle - cell_len(shown) // 2, self.width - cell_len(shown))
        _put(cells, max(start, self.left), shown)


def _canvas(diagram: SequenceDiagram, left: int, width: int) -> _Canvas:
    gaps = gaps_of(diagram, cell_len, pad=_BESIDE + 1)
    first = left + min(cell_len(diagram.participants[0]) // 2, _NARROWEST)
    last = min(cell_len(diagram.participants[-1]) // 2, _NARROWEST) + 1
    while gaps and first + sum(gaps) + last > width and max(gaps) > _NARROWEST:
        gaps[gaps.index(max(gaps))] -= 1
    lanes = tuple(accumulate(gaps, initial=first))
    return _Canvas(lanes=lanes, gaps=tuple(gaps), left=left, width=max(width, lanes[-1] + last))


def _put(cells: list[str], start: int, text: str) -> None:
    """Write a text; a wide character takes two cells, and an accent none of its own."""
    column = start
    for char in text:
        size = cell_len(char)
        if size == 0:
            cells[max(column - 1, 0)] += char
        cells[column : column + size] = [char, ""][:size]
        column += size


def _drawn(canvas: _Canvas, diagram: SequenceDiagram, step: SequenceStep) -> Iterator[list[str]]:
    """The line or two of one step."""
    low, high = (canvas.lanes[number] for number in diagram.lanes(step))
    cells = canvas.blank()
    if isinstance(step, Note):
        rule = _RULES.get(step.kind, "")
        if rule and cell_len(step.text) + _BESIDE <= high - low:
            cells[low : high + 1] = [rule[0], *rule[1] * (high - low - 1), rule[2]]
            canvas.write(cells, (low + high) // 2, f" {step.text} ")
        else:
            canvas.write(cells, (low + high) // 2, f"[ {step.text} ]")
        yield cells
        return
    room = high - low - 1
    size = cell_len(step.text)
    if size + _BESIDE > room:
        canvas.write(cells, low + 2 + size // 2, step.text)
        yield cells
        cells = canvas.blank()
    for column in range(low + 1, high):
        cells[column] = "┼" if column in canvas.lanes else "─"
    if canvas.lanes[diagram.participants.index(step.tail)] == low:
        cells[low], cells[high - 1] = "├", "▶"
    else:
        cells[high], cells[low + 1] = "┤", "◀"
    if size + _BESIDE <= room:
        _put(cells, low + 1 + (room - size - 2) // 2, f" {step.text} ")
    yield cells
