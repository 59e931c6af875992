"""A run, told to people: who did what, what changed, and what was ordered.

`words` puts it into words; `lines` and `sequence` decide what to show of it, as lines, as a table,
as a diagram; `as_text`, `as_mermaid` and `as_svg` draw the diagram.
"""

from hookflash.story.as_mermaid import sequence_mermaid
from hookflash.story.as_svg import sequence_svg
from hookflash.story.as_text import sequence_text
from hookflash.story.lines import steps_table, story_lines
from hookflash.story.sequence import Arrow, Note, NoteKind, SequenceDiagram, sequence
from hookflash.story.words import ENGINE, LONGEST

__all__ = [
    "ENGINE",
    "LONGEST",
    "Arrow",
    "Note",
    "NoteKind",
    "SequenceDiagram",
    "sequence",
    "sequence_mermaid",
    "sequence_svg",
    "sequence_text",
    "steps_table",
    "story_lines",
]
