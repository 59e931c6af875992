"""A sequence diagram in Mermaid's words."""

from __future__ import annotations

import re

from hookflash.story.sequence import Arrow, SequenceDiagram
from hookflash.story.words import ENGINE

_NOT_FOR_MERMAID = re.compile(r"[^\w ,.*+()'→…-]")
"""A text ends at `;`, `%%` begins a comment, `#` an entity, `<` a tag, and `:` may mean a wrap."""


def sequence_mermaid(diagram: SequenceDiagram) -> str:
    """Write a sequence diagram in Mermaid's language, which many wikis and forges draw.

    Args:
        diagram: what to write.

    Returns:
        Mermaid source, which ends with a newline.
    """
    lines = ["sequenceDiagram"]
    for number, name in enumerate(diagram.participants):
        kind = "participant" if name == ENGINE else "actor"
        lines.append(f"    {kind} p{number} as {_for_mermaid(name)}")
    for step in diagram.steps:
        text = _for_mermaid(step.text)
        if isinstance(step, Arrow):
            tail, head = map(diagram.participants.index, (step.tail, step.head))
            lines.append(f"    p{tail}->>p{head}: {text}")
        else:
            first, last = diagram.lanes(step)
            over = f"p{first}" if first == last else f"p{first},p{last}"
            lines.append(f"    Note over {over}: {text}")
    return "\n".join(lines) + "\n"


def _for_mermaid(text: str) -> str:
    return _NOT_FOR_MERMAID.sub(lambda found: f"#{ord(found[0])};", text)
