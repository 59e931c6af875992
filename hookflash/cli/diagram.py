"""Options that several commands share: a JSON object, a sequence diagram."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hookflash.engine.record import Record
from hookflash.errors import InputError
from hookflash.story import sequence, sequence_mermaid, sequence_svg, sequence_text

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object.")]
Diagram = Annotated[
    Path | None,
    Parameter(help="Write a sequence diagram to this file: .svg, .mmd (Mermaid) or .txt."),
]


def write_diagram(file: Path, records: Sequence[Record], names: dict[str, str]) -> None:
    """Write a sequence diagram; the file's suffix selects the format.

    Raises:
        InputError: the suffix is unknown, or the file can't be written.
    """
    drawn = sequence(records, names)
    match file.suffix:
        case ".svg":
            text = sequence_svg(drawn)
        case ".mmd" | ".md":
            text = sequence_mermaid(drawn)
        case ".txt":
            text = sequence_text(drawn)
        case other:
            raise InputError(
                f"a diagram can't be written as {other!r}", where=str(file), hint=".svg, .mmd, .txt"
            )
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"can't be written: {error.strerror}", where=str(file), hint="name another file"
        ) from error
