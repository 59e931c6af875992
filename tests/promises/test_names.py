"""The list of promises, and what is printed from it or beside it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import hookflash
from hookflash.promises import names
from hookflash.promises.names import PROMISES

HOME = Path(hookflash.__file__).parent
DESIGN = HOME.parent / "docs" / "explanation" / "design.md"


def test_they_are_numbered_in_their_order_and_named_once() -> None:
    assert [promise.number for promise in PROMISES] == list(range(1, len(PROMISES) + 1))
    assert len({promise.key for promise in PROMISES}) == len(PROMISES)
    assert set(PROMISES) == {one for one in vars(names).values() if isinstance(one, names.Promise)}


def test_a_broken_one_is_reported_by_number_and_key() -> None:
    told = names.NO_SILENCE.broken("bob waits")
    assert told == "promise 2 (no_silence): bob waits"


def test_the_design_says_of_each_who_checks_it() -> None:
    rows = re.findall(r"^\| (\d+) `(\w+)` \|(.*)\|$", DESIGN.read_text("utf-8"), re.MULTILINE)
    assert [(int(n), key) for n, key, _ in rows] == [(p.number, p.key) for p in PROMISES]
    assert all(checks.replace("|", "").strip() for _, _, checks in rows)


def test_everybody_may_import_the_list_for_it_imports_nothing_of_ours() -> None:
    for file in ("__init__.py", "names.py"):
        tree = ast.parse((HOME / "promises" / file).read_text("utf-8"))
        imported = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert not [node for node in imported if (node.module or "").startswith("hookflash")]
