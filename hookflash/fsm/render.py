"""A transfer table, printed: for people, for diagrams and for programs.

Nothing is said here that the table does not say. States, rows, refusals and silences come from
the `Spec`; what a guard asks and what an action does is the first line of its docstring. The
same table gives the same text, to the letter, so that the documentation can be compared with the
code by comparing two files.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, TypeAlias

from hookflash.errors import InputError
from hookflash.fsm.arrangement import ORDINARY_CALL, Arrangement
from hookflash.fsm.inputs import Input
from hookflash.fsm.spec import Phase, Row, Spec, words
from hookflash.fsm.transfer import Role, State

Form: TypeAlias = Literal["table", "mermaid", "dot", "json"]
"""Markdown tables, a Mermaid or Graphviz state diagram, or the whole table as data."""

Named: TypeAlias = Callable[..., Any]
"""A guard, an action or a deadline: a function whose name and docstring are printed."""


def render(spec: Spec, form: Form) -> str:
    """Print a table.

    Args:
        spec: the table.
        form: how.

    Returns:
        The text. It ends with one newline, and is the same in every run.

    Raises:
        InputError: there is no such form.
    """
    make = _FORMS.get(form)
    if make is None:
        raise InputError(f"{form!r} is no form of a table", hint="one of " + ", ".join(_FORMS))
    return "\n".join(make(spec)) + "\n"


def _explained(function: Named) -> str:
    """The first line of a docstring."""
    return (inspect.getdoc(function) or "").partition("\n")[0]


def lived(arrangement: Arrangement, role: Role) -> str:
    """What a party lives through in an arrangement."""
    if arrangement is ORDINARY_CALL:
        return "not yet there" if role is Role.TARGET else "in the call"
    parts: list[str] = []
    if role is arrangement.calls:
        parts.append("is called")
    if role in arrangement.hears:
        parts.append(f"hears {arrangement.hears[role].value}")
    if arrangement.talk is not None and role in arrangement.talk:
        parts.append(f"talks with the {next(r for r in arrangement.talk if r is not role).value}")
    if role in arrangement.leaves:
        parts.append("is hung up")
    if role in arrangement.leaves_then:
        parts.append("is hung up when the others talk")
    return ", then ".join(parts) or ("" if role is Role.TARGET else "stands alone")


def _limit_words(phase: Phase) -> str:
    """The name of a phase's limit, without the unit that every one of them has."""
    limit = phase.arrangement.limit
    return "" if limit is None else limit.__name__.removesuffix("_s").replace("_", " ")


def _spoken(value: Input) -> str:
    return value.value.replace("_", " ")


def _guards(spec: Spec) -> dict[str, str]:
    """What each guard asks, in the order in which the table asks it."""
    entries = (*spec.refused, *spec.rows)
    return {words(one): _explained(one) for entry in entries for one in entry.given}


def _actions(spec: Spec) -> dict[str, str]:
    """What each action does, in the order in which the table does it."""
    return {words(action): _explained(action) for row in spec.rows for action in row.then}


# ------------------------------------------------------------------ Markdown


def _markdown(spec: Spec) -> Iterator[str]:
    yield f"# {spec.title}"
    yield ""
    yield from _grid(
        ("state", "transferor", "transferee", "target", "limit"),
        (
            (_code(p.state), *(lived(p.arrangement, role) for role in Role), _limit_words(p))
            for p in spec.phases
        ),
    )
    for state in (*spec.states, None):
        yield from ("", f"## {state.value if state is not None else 'anywhere'}")
        yield from _markdown_state(spec, state)
    yield from _glossary("Inputs", "input", ((_spoken(on), on.meaning) for on in Input))
    yield from _glossary("Guards", "when", _guards(spec).items())
    yield from _glossary("Actions", "do", _actions(spec).items())


def _markdown_state(spec: Spec, state: State | None) -> Iterator[str]:
    """The rows of a state, then what is refused, then what is ignored."""
    yield ""
    yield from _grid(
        ("on", "when", "to", "do", "because"),
        (
            (_spoken(row.on), row.guard_name, _code(row.to), words(*row.then), row.why)
            for row in spec.rows
            if row.state is state
        ),
    )
    refused = [r for r in spec.refused if r.state is state]
    if refused:
        yield from ("", "Refused:", "")
        yield from _grid(
            ("on", "when", "because"),
            ((_spoken(r.on), words(*r.given), r.why) for r in refused),
        )
    ignored: dict[str, list[str]] = {}
    for entry in spec.ignored:
        if entry.state is state:
            ignored.setdefault(entry.why, []).append(_spoken(entry.on))
    if ignored:
        yield from ("", "Ignored:", "")
        yield from _grid(("on", "because"), ((", ".join(on), why) for why, on in ignored.items()))


def _glossary(title: str, head: str, entries: Iterable[tuple[str, str]]) -> Iterator[str]:
    rows = list(entries)
    if rows:
        yield from ("", f"## {title}", "")
        yield from _grid((head, "meaning"), rows)


def _grid(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + " --- |" * len(head)
    for row in rows:
        yield "| " + " | ".join(map(_cell, row)) + " |"


def _cell(text: str) -> str:
    """Text that stays in its cell."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _code(state: State) -> str:
    return f"`{state.value}`"


# ------------------------------------------------------------------- diagrams

Edge: TypeAlias = tuple[State, State]


def _edges(spec: Spec) -> Iterator[tuple[State, State, list[str]]]:
    """The changes of state: for each pair of states, one line for each guard and its inputs.

    What holds anywhere is left out: ten arrows to the same place hide the path.
    """
    edges: dict[Edge, dict[str, list[str]]] = {}
    for row in spec.rows:
        if row.state is not None:
            inputs = edges.setdefault((row.state, row.to), {}).setdefault(row.guard_name, [])
            inputs.append(_spoken(row.on))
    for (state, to), by_guard in edges.items():
        yield (
            state,
            to,
            [", ".join(on) + (f" [{guard}]" if guard else "") for guard, on in by_guard.items()],
        )


_NOT_FOR_MERMAID = re.compile(r"[^\w ,.\[\]'-]")
"""A label ends at `:` and `;`, `%%` begins a comment, `#` an entity, and `<` a tag."""


def _mermaid(spec: Spec) -> Iterator[str]:
    yield "stateDiagram-v2"
    yield f"    [*] --> {spec.initial.value}"
    for state, to, lines in _edges(spec):
        label = "<br/>".join(_NOT_FOR_MERMAID.sub(" ", line) for line in lines)
        yield f"    {state.value} --> {to.value} : {label}"


def _dot(spec: Spec) -> Iterator[str]:
    yield f"digraph {_quoted(spec.name)} {{"
    yield f"    graph [label={_quoted(spec.title)}, labelloc=t, fontname={_quoted(_FONT)}];"
    yield f"    node [shape=box, style=rounded, fontname={_quoted(_FONT)}];"
    yield f"    edge [fontname={_quoted(_FONT)}, fontsize=10];"
    yield '    "[*]" [shape=point, label=""];'
    yield f'    "[*]" -> {_quoted(spec.initial.value)};'
    for state, to, lines in _edges(spec):
        pair = f"{_quoted(state.value)} -> {_quoted(to.value)}"
        yield f"    {pair} [label={_quoted(*lines)}];"
    yield "}"


_FONT = "Helvetica"  # Graphviz knows its widths without asking the machine


def _quoted(*lines: str) -> str:
    """A string of Graphviz, of one or more lines."""
    escaped = (line.replace("\\", "\\\\").replace('"', '\\"') for line in lines)
    return '"' + "\\n".join(escaped) + '"'


# ----------------------------------------------------------------------- JSON


def _json(spec: Spec) -> Iterator[str]:
    yield json.dumps(_document(spec), indent=2, ensure_ascii=False)


def _document(spec: Spec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "title": spec.title,
        "initial": spec.initial.value,
        "states": [state.value for state in spec.states],
        "inputs": {on.value: on.meaning for on in Input},
        "guards": _guards(spec),
        "actions": _actions(spec),
        "phases": [_phase_document(phase) for phase in spec.phases],
        "rows": [_row_document(row) for row in spec.rows],
        "refused": [
            {"state": _place(r.state), "on": r.on.value, **_given_document(r.given), "why": r.why}
            for r in spec.refused
        ],
        "ignored": [
            {"state": _place(i.state), "on": i.on.value, "why": i.why} for i in spec.ignored
        ],
    }


def _place(state: State | None) -> str:
    return state.value if state is not None else "anywhere"


def _phase_document(phase: Phase) -> dict[str, Any]:
    limit = phase.arrangement.limit
    return {
        "state": phase.state.value,
        **{role.value: lived(phase.arrangement, role) for role in Role},
        "limit": _limit_words(phase) or None,
        "limit_doc": _explained(limit) if limit else None,
    }


def _row_document(row: Row) -> dict[str, Any]:
    return {
        "key": row.key,
        "state": _place(row.state),
        "on": row.on.value,
        **_given_document(row.given),
        "to": row.to.value,
        "then": [words(action) for action in row.then],
        "why": row.why,
    }


def _given_document(given: tuple[Named, ...]) -> dict[str, list[str]]:
    return {"given": [words(one) for one in given], "given_doc": [_explained(g) for g in given]}


_FORMS: Mapping[str, Callable[[Spec], Iterator[str]]] = {
    "table": _markdown,
    "mermaid": _mermaid,
    "dot": _dot,
    "json": _json,
}
