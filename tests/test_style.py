"""The house's habits that no linter knows."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
KINDS = {".py", ".md", ".toml", ".json", ".txt", ".yml", ""}
FOLDERS = ("hookflash", "tests", "docs", "examples", "benchmarks", ".ci")
FILES = sorted(
    path
    for path in [*ROOT.iterdir(), *(p for folder in FOLDERS for p in (ROOT / folder).rglob("*"))]
    if path.is_file()
    and path.suffix in KINDS
    and "__pycache__" not in path.parts
    and not path.name.startswith(".coverage")
)
SOURCES = [path for path in FILES if path.is_relative_to(ROOT / "hookflash")]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

A_SPAN = re.compile(r"timeout|delay|duration|interval|elapsed|patience|deadline")
A_NUMBER = re.compile(r"(?!.*Callable).*\b(float|int)\b")
UNIT = re.compile(r"_(s|ms|us|ns|min|h)$")
SOMEBODYS_MACHINE = re.compile(r"(?<![\w.$}])/(?:home|root|Users)/\w+")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_text_is_clean(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not text or text.endswith("\n"), "the last line has no end"
    assert "\r" not in text
    trailing = [n for n, line in enumerate(text.splitlines(), 1) if line != line.rstrip()]
    assert not trailing, f"trailing blanks in lines {trailing}"
    assert not SOMEBODYS_MACHINE.findall(text), "a path of somebody's own machine"


def spans_without_unit(source: str) -> list[str]:
    """The fields and parameters that are numbers of some time, and do not say of what."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.arg(arg=name, annotation=ast.expr() as kind):
                pass
            case ast.AnnAssign(target=ast.Name(id=name), annotation=kind):
                pass
            case _:
                continue
        if A_SPAN.search(name) and A_NUMBER.match(ast.unparse(kind)) and not UNIT.search(name):
            found.append(f"{node.lineno}: {name}")
    return found


@pytest.mark.parametrize("path", [p for p in SOURCES if p.suffix == ".py"], ids=name_of)
def test_a_span_of_time_says_its_unit(path: Path) -> None:
    assert not spans_without_unit(path.read_text(encoding="utf-8"))


def test_the_unit_sieve_can_fail() -> None:
    assert spans_without_unit("def ring(timeout: float): ...")
    assert spans_without_unit("class A:\n    ring_timeout: int | None = None")
    assert not spans_without_unit("def ring(ring_timeout_s: float, timeout: Timeout): ...")


def names_standing_twice(sources: list[str]) -> list[str]:
    """The classes that have one name and are two."""
    bodies = [ast.parse(source).body for source in sources]
    names = Counter(one.name for body in bodies for one in body if isinstance(one, ast.ClassDef))
    return [name for name, times in names.items() if times > 1]


def test_no_two_classes_have_one_name() -> None:
    pages = [path.read_text(encoding="utf-8") for path in SOURCES if path.suffix == ".py"]
    assert not names_standing_twice(pages)
    assert names_standing_twice(["class Leg: ...", "class Leg: ..."]) == ["Leg"]


def test_every_rule_that_is_off_has_its_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lint = PROJECT["tool"]["ruff"]["lint"]
    off = set(lint["ignore"]).union(*lint["per-file-ignores"].values())
    lines = re.findall(r'^    "([A-Z]+[0-9]*)",( # .+)?$', text, flags=re.MULTILINE)
    assert off
    assert not [rule for rule, reason in lines if rule in off and not reason]
    assert off <= {rule for rule, _ in lines}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(*extras: str) -> set[str]:
    project = PROJECT["project"]
    wanted = [*project["dependencies"]]
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    return {normal(re.split(r"[^\w.-]", line, maxsplit=1)[0]) for line in wanted}


@pytest.mark.parametrize(
    ("path", "extra"), [("constraints.txt", "dev"), ("benchmarks/constraints.txt", "bench")]
)
def test_every_dependency_is_pinned_by_name_and_version(path: str, extra: str) -> None:
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    strange = [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\w.+]+", pin)]
    assert not strange
    assert requirements(extra) <= {normal(pin.partition("==")[0]) for pin in pins}


def test_the_changelog_has_a_place_for_what_comes() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "\n## [Unreleased]\n" in changelog
