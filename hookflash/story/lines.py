"""A run as lines, and as a table of its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from hookflash.engine.record import Record
from hookflash.events import LegId
from hookflash.story.words import SENTENCE, RecordInWords, plain, tell


def story_lines(
    records: Sequence[Record], names: Mapping[LegId, str], *, numbered: bool = False
) -> list[str]:
    """Tell a run, one sentence a line.

    Args:
        records: the run.
        names: whose legs they are. A leg without a name keeps its id.
        numbered: for a run without a clock: every record, numbered.

    Returns:
        A line for each record that is worth one: when (in seconds of the engine's clock), who did
        what, the change of state, what was ordered, and how it ended.
    """
    if numbered:
        return [f"{i:3d}. {_line(t)}" for i, t in enumerate(tell(records, names), 1)]
    return [f"{t.record.at_s:7.3f} s  {_line(t)}" for t in tell(records, names) if t.matters]


def _line(told: RecordInWords) -> str:
    orders = ", ".join(order.text for order in told.orders)
    parts = (told.said.sentence, told.refusal, told.change, orders, told.outcome)
    return " · ".join(part for part in parts if part)


def steps_table(records: Sequence[Record], names: Mapping[LegId, str]) -> Table:
    """Lay out every step of a run, with what it ordered and why.

    Args:
        records: the run.
        names: whose legs they are. A leg without a name keeps its id.

    Returns:
        A table for a terminal. Steps that only the engine cares for are dim.
    """
    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    table.add_column("time", justify="right", no_wrap=True)
    for title in ("state", "event", "orders", "why"):
        table.add_column(title, overflow="fold")
    for told in tell(records, names):
        table.add_row(
            f"{told.record.at_s:.3f} s",
            Text(_state(told)),
            Text(told.said.sentence),
            _orders(told),
            _why(told),
            style="" if told.matters else "dim",
        )
    return table


def _state(told: RecordInWords) -> str:
    after = told.record.after
    return told.change or (after.value if after else "")


def _orders(told: RecordInWords) -> Text:
    lines = [(order.text, "") for order in told.orders]
    lines += [(order.text, "dim") for order in told.waits]
    return Text("\n").join(Text(text, style=style) for text, style in lines)


def _why(told: RecordInWords) -> Text:
    if told.refusal:
        return Text(told.refusal, style="red")
    why = Text(plain(told.record.why, SENTENCE))
    if told.outcome:
        why.append(f"\n{told.outcome}", style="bold")
    return why
