"""A table printed says all that the table says, and is well formed."""

from __future__ import annotations

import json
import re
from typing import Any, get_args

import attrs
import pytest

from hookflash.errors import InputError
from hookflash.fsm.inputs import Input
from hookflash.fsm.render import Form, render
from hookflash.fsm.spec import Guard, Phase, Row, Spec, words
from hookflash.fsm.transfer import State
from hookflash.fsm.work import Work
from hookflash.specs.catalog import SPECS

FORMS: tuple[Form, ...] = get_args(Form)
ALL = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())


def given_or_not(work: Work) -> bool:
    """A guard whose docstring has a | in it, and <tags>.

    And a second paragraph.
    """
    return work.state is State.IDLE


def odd(spec: Spec, why: str, given: Guard = given_or_not) -> Spec:
    """The table with one odd row in front of another."""
    first = spec.rows[0]

    def with_odd_row(phase: Phase) -> Phase:
        if phase.state is not first.state:
            return phase
        row = attrs.evolve(first, why=why, given=(given,))
        return attrs.evolve(phase, entries=(row, *phase.entries))

    return attrs.evolve(spec, phases=tuple(map(with_odd_row, spec.phases)), title='A "\\" b')


@ALL
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_clean_and_the_same_each_time(spec: Spec, form: Form) -> None:
    text = render(spec, form)
    assert text == render(attrs.evolve(spec), form)
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert not [line for line in text.splitlines() if line != line.rstrip()]


def test_an_unknown_form_is_a_fault_of_the_input() -> None:
    form: Any = "pdf"
    with pytest.raises(InputError, match="table, mermaid, dot, json"):
        render(SPECS["hold"], form)


# ------------------------------------------------------------------ Markdown


def grids(text: str) -> list[list[list[str]]]:
    """The tables of a Markdown text, as rows of cells."""
    blocks = [block for block in text.split("\n\n") if block.startswith("|")]
    split = re.compile(r"(?<!\\)\|")
    return [
        [[cell.strip() for cell in split.split(line)[1:-1]] for line in block.strip().splitlines()]
        for block in blocks
    ]


@ALL
def test_the_tables_hold_every_row_refusal_and_silence_once(spec: Spec) -> None:
    text = render(spec, "table")
    found = grids(text)
    assert all(len(row) == len(grid[0]) for grid in found for row in grid)
    rows = [row for grid in found if "to" in grid[0] for row in grid[2:]]
    refusals = [row for grid in found if grid[0] == ["on", "when", "because"] for row in grid[2:]]
    silences = [row for grid in found if grid[0] == ["on", "because"] for row in grid[2:]]
    assert len(rows) == len(spec.rows)
    assert len(refusals) == len(spec.refused)
    assert sum(len(on.split(", ")) for on, _ in silences) == len(spec.ignored)
    assert {row[-1] for row in rows} == {row.why for row in spec.rows}
    assert [row[0] for row in found[0][2:]] == [f"`{state.value}`" for state in spec.states]
    headings = re.findall(r"^## (\w+)$", text, flags=re.MULTILINE)
    assert headings[: len(spec.states) + 1] == [*(s.value for s in spec.states), "anywhere"]


def test_a_row_is_a_sentence() -> None:
    text = render(SPECS["attended"], "table")
    assert (
        "| transferor hung up | partial unwanted | `ending` |  "
        "| The transferor left while the target rang. Partial transfers are disabled. |"
    ) in text
    assert "| found | reunited | `failed_reconnect` | blame restart |" in text
    assert "| partial unwanted | The policy allows no partial transfers, and" in text
    assert "| `idle` | in the call | in the call | not yet there |  |" in text
    assert (
        "| `consulting` | talks with the target | hears music | talks with the transferor "
        "| hold limit |"
    ) in text


def test_a_cell_stays_a_cell() -> None:
    text = render(odd(SPECS["attended"], "a | b\n<c>"), "table")
    assert "| a \\| b &lt;c> |" in text
    assert "| given or not | A guard whose docstring has a \\| in it, and &lt;tags>. |" in text


# ------------------------------------------------------------------- diagrams


def changes(spec: Spec) -> set[tuple[str, str]]:
    return {(row.state.value, row.to.value) for row in spec.rows if row.state is not None}


@ALL
def test_mermaid_draws_each_change_of_state_once(spec: Spec) -> None:
    first, start, *edges = render(spec, "mermaid").splitlines()
    assert first == "stateDiagram-v2"
    assert start == f"    [*] --> {spec.initial.value}"
    # What may stand in a label: its grammar ends it at ':' and ';', and '#' and '%' begin others.
    edge = re.compile(r"    (\w+) --> (\w+) : ([\w ,.'\[\]-]|<br/>)+")
    found = [edge.fullmatch(line) for line in edges]
    assert all(found)
    pairs = [match.group(1, 2) for match in found if match]
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == changes(spec)


def test_labels_merge_the_inputs_of_one_guard() -> None:
    text = render(SPECS["attended"], "mermaid")
    assert "dialing --> partial : transferor hung up, complete asked\n" in text
    (ending,) = (line for line in text.splitlines() if "holding --> ending : " in line)
    labels = ending.partition(" : ")[2].split("<br/>")
    assert "target failed, unarrangeable" in labels
    assert "arranged [target missing]" in labels


NAMELESS: Guard = lambda _work: True  # noqa: E731 - what is tested is that it has no name


def test_a_guard_without_a_good_name_breaks_no_label() -> None:
    spec = odd(SPECS["hold"], "why", NAMELESS)
    assert "requested [ lambda ]" in render(spec, "mermaid")
    assert "requested [<lambda>]" in render(spec, "dot")


@ALL
def test_dot_draws_each_change_of_state_once(spec: Spec) -> None:
    first, *body, last = render(spec, "dot").splitlines()
    assert (first, last) == (f'digraph "{spec.name}" {{', "}")
    assert all(line.endswith(";") for line in body)
    edge = re.compile(r'    "(\w+)" -> "(\w+)" \[label="(?:[^"\\]|\\["\\n])*"\];')
    pairs = [match.group(1, 2) for match in map(edge.fullmatch, body) if match]
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == changes(spec)
    assert f'    "[*]" -> "{spec.initial.value}";' in body


def test_dot_quotes_what_it_prints() -> None:
    assert r'label="A \"\\\" b"' in render(odd(SPECS["hold"], "why"), "dot")


# ----------------------------------------------------------------------- JSON


@ALL
def test_json_is_the_whole_table(spec: Spec) -> None:
    text = render(spec, "json")
    document = json.loads(text)
    assert text.startswith('{\n  "name": ')
    assert document["initial"] == spec.initial.value
    assert document["states"] == [state.value for state in spec.states]
    assert [phase["state"] for phase in document["phases"]] == document["states"]
    assert [row["key"] for row in document["rows"]] == [row.key for row in spec.rows]
    assert document["inputs"] == {on.value: on.meaning for on in Input}
    for row, printed in zip(spec.rows, document["rows"], strict=True):
        assert printed["then"] == [words(action) for action in row.then]
        assert printed["given"] == [words(guard) for guard in row.given]
        assert [document["guards"][name] for name in printed["given"]] == printed["given_doc"]
        assert set(printed["then"]) <= set(document["actions"])
    for name, entries in (("refused", spec.refused), ("ignored", spec.ignored)):
        assert [(one["state"], one["on"], one["why"]) for one in document[name]] == [
            (one.state.value if one.state else "anywhere", one.on.value, one.why) for one in entries
        ]


def test_json_explains_by_the_first_line_of_the_docstring() -> None:
    document = json.loads(render(odd(SPECS["attended"], "why"), "json"))
    row: dict[str, Any] = document["rows"][0]
    assert row["given_doc"] == ["A guard whose docstring has a | in it, and <tags>."]
    limits = {phase["state"]: phase["limit"] for phase in document["phases"]}
    assert limits["idle"] is None
    assert limits["consulting"] == "hold limit"


@ALL
def test_whatever_is_named_is_explained(spec: Spec) -> None:
    """A table whose guard or action has no docstring explains nothing to its reader."""
    document = json.loads(render(spec, "json"))
    assert all(document["guards"].values())
    assert all(document["actions"].values())
    assert all(p["limit_doc"] for p in document["phases"] if p["limit"])


def test_a_row_is_found_by_its_key() -> None:
    rows: tuple[Row, ...] = SPECS["attended"].rows
    keys = {row["key"] for row in json.loads(render(SPECS["attended"], "json"))["rows"]}
    assert rows[1].key in keys
