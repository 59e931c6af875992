"""How a page is laid out: headings, paragraphs, tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any


def page(title: str, *parts: str) -> str:
    """Put a page together."""
    mark = "<!-- Made by `make docs`: change the code, not this page. -->"
    return paragraphs(f"# {title}", mark, *parts).rstrip("\n") + "\n"


def paragraphs(*parts: str) -> str:
    """Join parts with empty lines."""
    return "\n\n".join(parts)


def grid(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Lay out a table."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    """Escape text for a cell."""
    return " ".join(text.split()).replace("|", r"\|")


def sentence(text: str) -> str:
    """Begin with a capital letter, and end with a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def as_json(document: Mapping[str, Any]) -> str:
    """A document as a file."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
