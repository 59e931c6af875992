"""What is made from the code is as the code is now, and the pages lead to each other."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import get_args

import make_reference
import pytest

from hookflash.server.config import SwitchKeys

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
FOLDERS = ("reference", "pictures")
PAGES = sorted(f"{folder}/{path.name}" for folder in FOLDERS for path in (DOCS / folder).iterdir())

pytestmark = pytest.mark.xdist_group("pages")  # they are made once


@cache
def files() -> dict[str, str]:
    return make_reference.files()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_as_the_code_is_now(name: str) -> None:
    found = (DOCS / name).read_text(encoding="utf-8")
    assert found == files().get(name), f"docs/{name} is stale: make docs"


@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_is_missing_and_nothing_else_lies_where_pages_are_made(folder: str) -> None:
    found = {name for name in PAGES if name.startswith(f"{folder}/")}
    assert found == {name for name in files() if name.startswith(f"{folder}/")}


@pytest.mark.parametrize("name", [name for name in PAGES if name.endswith(".json")])
def test_every_reference_of_a_schema_leads_somewhere(name: str) -> None:
    text = (DOCS / name).read_text(encoding="utf-8")
    document = json.loads(text)
    for place in sorted(set(re.findall(r'"\$ref": "#/([^"]+)"', text))):
        found = document
        for step in place.split("/"):
            assert step in found, f"docs/{name}: #/{place} leads nowhere"
            found = found[step]


@pytest.mark.exhaustive
def test_what_is_made_is_the_same_wherever_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert make_reference.files() == files()


@pytest.mark.exhaustive
def test_making_writes_every_file_and_removes_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(make_reference, "HERE", tmp_path)
    (tmp_path / "reference").mkdir()
    (tmp_path / "reference" / "of-yesterday.md").touch()
    make_reference.main()
    made = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert made == set(files())


def test_every_page_can_be_reached() -> None:
    """From docs/README.md, by following links."""
    todo, seen = [DOCS / "README.md"], set[Path]()
    while todo:
        page = todo.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        links = re.findall(r"\]\(([^)\s#:]+)", page.read_text(encoding="utf-8"))
        todo += [(page.parent / link).resolve() for link in links]
    assert {path.resolve() for path in DOCS.rglob("*.md")} <= seen


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))], ids=str)
def test_a_link_to_a_heading_finds_it(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)\s#:]*)#([^)\s]+)\)", page.read_text("utf-8")):
        there = (page.parent / target) if target else page
        headings = re.findall(r"(?m)^#+ (.+)$", there.read_text(encoding="utf-8"))
        anchors = [
            re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings
        ]
        assert anchor in anchors, f"{page.name}: {target}#{anchor}"


def test_every_kind_of_switch_is_on_the_page_of_the_configuration() -> None:
    page = (DOCS / "reference" / "configuration.md").read_text(encoding="utf-8")
    kinds = [kind.__struct_config__.tag for kind in get_args(SwitchKeys)]
    assert len(kinds) == 3
    assert set(re.findall(r'(?m)^`kind = "(\w+)"`', page)) == set(kinds)


def test_the_readme_shows_the_example_as_it_is() -> None:
    shown = re.findall(r"(?s)```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert shown == [(ROOT / "examples" / "embed.py").read_text(encoding="utf-8")]


def test_embedding_takes_a_dozen_lines() -> None:
    """Those of `main`, without its docstring."""
    text = (ROOT / "examples" / "embed.py").read_text(encoding="utf-8")
    body = text.partition("async def main")[2].partition("\n\n\n")[0].splitlines()[2:]
    assert len(body) <= 12
