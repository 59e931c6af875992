"""`hookflash spec`: the transfer tables."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import App, Parameter

from hookflash.fsm.render import render
from hookflash.specs.catalog import SPECS

app = App(name="spec", help="The transfer tables.")


@app.command
def show(
    name: Annotated[
        Literal["attended", "blind", "hold", "move", "park", "handover"],
        Parameter(help="Which table."),
    ],
    /,
    *,
    format: Annotated[  # noqa: A002 - the option's name is --format, as people expect it
        Literal["table", "mermaid", "dot", "json"], Parameter(help="Output format.")
    ] = "table",
) -> int:
    """Print a transfer table.

    Example: hookflash spec show attended
    """
    print(render(SPECS[name], format), end="")
    return 0
