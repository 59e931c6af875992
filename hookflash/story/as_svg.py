"""A sequence diagram as SVG: one file, in light and in dark."""

from __future__ import annotations

import html
from collections.abc import Iterator
from itertools import accumulate

import attrs
from rich.cells import cell_len

from hookflash.story.sequence import Note, NoteKind, SequenceDiagram, SequenceStep, gaps_of

_STYLE = {
    "text": "font: 13px system-ui, sans-serif; text-anchor: middle",
    ".time": "font-size: 11px; text-anchor: end",
    ".strong": "font-weight: bold",
    ".parted": "stroke-dasharray: 4",
}
_COLOURS = {
    "text": ("fill: #1f2328", "fill: #e6edf3"),
    ".time": ("fill: #59636e", "fill: #9198a1"),
    ".paper": ("fill: #ffffff", "fill: #0d1117"),
    ".lane": ("stroke: #c4ccd4", "stroke: #3d444d"),
    ".line": ("stroke: #1f2328", "stroke: #e6edf3"),
    ".tip": ("fill: #1f2328", "fill: #e6edf3"),
    ".name": ("fill: #eef1f4; stroke: #8c959f", "fill: #1c2128; stroke: #768390"),
    ".talk": ("fill: #dcf5e3; stroke: #2da44e", "fill: #12311d; stroke: #3fb950"),
    ".parted": ("fill: #ffffff; stroke: #2da44e", "fill: #0d1117; stroke: #3fb950"),
    ".state": ("fill: #f6f8fa; stroke: #c4ccd4", "fill: #161b22; stroke: #3d444d"),
    ".event": ("fill: #fff4d4; stroke: #bf8700", "fill: #2f2508; stroke: #d29922"),
    ".refused": ("fill: #ffe9e7; stroke: #cf222e", "fill: #3a1512; stroke: #f85149"),
    ".outcome": ("fill: #ddeaff; stroke: #0969da", "fill: #10233f; stroke: #58a6ff"),
}
"""For light paper, and for dark. Notes have the class of their kind."""
# All in pixels.
_MARGIN = 16
_ROW = 36
_BOX = 26
_PAD = 12
_TOP = _MARGIN + _BOX


def sequence_svg(diagram: SequenceDiagram) -> str:
    """Draw a sequence diagram as a picture that needs nothing else.

    Args:
        diagram: what to draw.

    Returns:
        An SVG element, for a file or for the middle of a page, which ends with a newline. It
        follows the reader's light or dark colours, and is as large as its content.
    """
    sheet = _sheet(diagram)
    size = f'width="{sheet.width}" height="{sheet.height}"'
    view = f'viewBox="0 0 {sheet.width} {sheet.height}"'
    people = ", ".join(diagram.participants)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="hookflash" role="img" {size} {view}>',
        f"<title>{html.escape(f'Sequence diagram: {people}')}</title>",
        *_style(),
        f'<rect class="paper" {size}/>',
        *_svg_lanes(sheet, diagram),
    ]
    shown = ""
    for number, step in enumerate(diagram.steps, 1):
        y = _TOP + _ROW * number
        time = f"{step.at_s:.3f} s"
        if time != shown:
            lines.append(f'<text class="time" x="{sheet.times}" y="{y + 4}">{time}</text>')
        shown = time
        lines += _svg_step(sheet, diagram, step, y)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _style() -> Iterator[str]:
    """The rules, all below one class, so that they style nothing else on a page."""
    yield "<style>"
    yield from (f".hookflash {what} {{ {how} }}" for what, how in _STYLE.items())
    yield from (f".hookflash {what} {{ {light} }}" for what, (light, _) in _COLOURS.items())
    yield "@media (prefers-color-scheme: dark) {"
    yield from (f".hookflash {what} {{ {dark} }}" for what, (_, dark) in _COLOURS.items())
    yield "}"
    yield "</style>"


@attrs.frozen(kw_only=True)
class _Sheet:
    """Where the lanes stand in a picture, and how large it is."""

    lanes: tuple[int, ...]
    times: int
    """Where the times end."""
    width: int
    height: int


def _sheet(diagram: SequenceDiagram) -> _Sheet:
    lanes = tuple(accumulate(gaps_of(diagram, _pixels, pad=4 * _PAD), initial=0))
    boxes = [
        (lane, _name_width(name)) for lane, name in zip(lanes, diagram.participants, strict=True)
    ]
    for step in diagram.steps:
        if isinstance(step, Note):
            first, last = diagram.lanes(step)
            boxes.append(_note_box(step, lanes[first], lanes[last]))
    left = min(middle - width // 2 for middle, width in boxes)
    right = max(middle + width // 2 for middle, width in boxes)
    times = _MARGIN + max((_pixels(f"{step.at_s:.3f} s") for step in diagram.steps), default=0)
    start = times + _PAD - left
    return _Sheet(
        lanes=tuple(lane + start for lane in lanes),
        times=times,
        width=start + right + _MARGIN,
        height=_TOP + _ROW * (len(diagram.steps) + 1) + _MARGIN,
    )


def _name_width(name: str) -> int:
    """How wide the box of a name is; bold letters are a tenth wider."""
    return _pixels(name) * 11 // 10 + 2 * _PAD


def _note_box(note: Note, low: int, high: int) -> tuple[int, int]:
    """The middle of a note's box, and its width."""
    return (low + high) // 2, max(_pixels(note.text), high - low) + 2 * _PAD


def _svg_lanes(sheet: _Sheet, diagram: SequenceDiagram) -> Iterator[str]:
    for lane, name in zip(sheet.lanes, diagram.participants, strict=True):
        yield f'<path class="lane" d="M{lane} {_TOP}V{sheet.height - _MARGIN}"/>'
        yield from _svg_box("name", lane, _TOP - _BOX // 2, _name_width(name), name)


def _svg_step(sheet: _Sheet, diagram: SequenceDiagram, step: SequenceStep, y: int) -> Iterator[str]:
    if isinstance(step, Note):
        low, high = (sheet.lanes[number] for number in diagram.lanes(step))
        middle, width = _note_box(step, low, high)
        yield from _svg_box(step.kind.value, middle, y, width, step.text)
        return
    tail, head = (sheet.lanes[diagram.participants.index(n)] for n in (step.tail, step.head))
    middle, width = (tail + head) // 2, _pixels(step.text)
    x = middle - width // 2
    back = -8 if head > tail else 8
    yield f'<path class="line" d="M{tail} {y}H{head + back // 2}"/>'
    yield f'<path class="tip" d="M{head} {y}l{back} -4v8z"/>'
    yield f'<rect class="paper" x="{x}" y="{y - 19}" width="{width}" height="16"/>'
    yield f'<text x="{middle}" y="{y - 7}">{html.escape(step.text)}</text>'


def _svg_box(kind: str, middle: int, y: int, width: int, text: str) -> Iterator[str]:
    x, top = middle - width // 2, y - _BOX // 2
    yield f'<rect class="{kind}" x="{x}" y="{top}" width="{width}" height="{_BOX}" rx="5"/>'
    strong = ' class="strong"' if kind in _STRONG else ""
    yield f'<text{strong} x="{middle}" y="{y + 4}">{html.escape(text)}</text>'


_STRONG = frozenset(("name", NoteKind.OUTCOME.value))
_NARROW = frozenset("iIjlt.,:;'|!()[]/ ")
_BROAD = frozenset("mwMW@%→…—")


def _pixels(text: str) -> int:
    """How wide a text is at most, about: fonts differ, and we have none to ask."""
    return sum(map(_pixels_of, text))


def _pixels_of(char: str) -> int:
    cells = cell_len(char)
    if cells != 1:
        return 14 * cells // 2  # none for an accent
    if char in _NARROW:
        return 5
    return 13 if char in _BROAD else 8 + char.isupper()
