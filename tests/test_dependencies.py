"""The page about dependencies names what is installed, and nothing else."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HOME = Path(__file__).parent.parent
PAGE = (HOME / "docs/explanation/dependencies.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OURS = {canonicalize_name(Requirement(one).name) for one in PROJECT["dependencies"]}


def listed(heading: str) -> set[str]:
    """The packages in the first column of a section's table."""
    section = PAGE.partition(heading)[2].partition("\n## ")[0]
    rows = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| ")]
    return {name for row in rows[2:] for name in row.split(", ")}


def brought_by(name: str, found: set[str]) -> set[str]:
    """What a package needs, and what that needs."""
    for line in requires(name) or ():
        needed = Requirement(line)
        is_needed = needed.marker is None or needed.marker.evaluate({"extra": ""})
        if is_needed and (key := canonicalize_name(needed.name)) not in found:
            found.add(key)
            brought_by(key, found)
    return found


def test_every_dependency_has_its_reason() -> None:
    assert listed("# What hookflash depends on") == OURS


def test_whatever_they_bring_is_named() -> None:
    all_of_them: set[str] = set()
    for name in OURS:
        brought_by(name, all_of_them)
    named = listed("## What these bring with them")
    assert all_of_them - OURS <= named
    pinned = (HOME / "constraints.txt").read_text(encoding="utf-8")
    for name in named | OURS:
        spelled = name.replace("-", "[-_]")
        assert re.search(rf"(?im)^{spelled}==", pinned), f"{name} is no longer installed"


def test_each_says_what_it_is_for_and_what_would_replace_it() -> None:
    rows = [line.split("|")[1:-1] for line in PAGE.splitlines() if line.count("|") == 6]
    assert len(rows) == len(OURS) + 2
    for name, purpose, _, released, instead in (map(str.strip, row) for row in rows[2:]):
        assert purpose, name
        assert instead, name
        assert re.fullmatch(r"20\d\d-\d\d", released), name
