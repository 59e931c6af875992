"""The Makefile's targets are documented, `make quick` is quick, and tests run from any shell."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
DESCRIBED = set(re.findall(r"(?m)^([a-z]+):.*## \S", MAKEFILE))

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed here")


def make(*arguments: str) -> str:
    run = subprocess.run(
        ["/usr/bin/env", "make", "--dry-run", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout


def test_every_target_is_described_and_phony() -> None:
    phony = re.search(r"(?m)^\.PHONY: ((?:.*\\\n)*.*)$", MAKEFILE)
    assert phony is not None
    assert set(phony[1].replace("\\", "").split()) == DESCRIBED


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_names_targets_that_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"(?m)(?:`|^\$ )make ([a-z]+)", text)
    assert set(named) <= DESCRIBED


@needs_make
def test_quick_runs_the_linter_and_leaves_out_every_mark() -> None:
    """A new mark must be decided on: left out by `make quick`, or named here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    marks = {line.partition(":")[0] for line in project["tool"]["pytest"]["ini_options"]["markers"]}
    printed = make("quick")
    expression = re.search(r"-m 'not \((?P<marks>[^)]*)\)'", printed)
    assert expression is not None
    assert set(expression["marks"].split(" or ")) == marks
    assert "ruff check" in printed
    assert "--cov" not in printed


@needs_make
def test_the_whole_suite_leaves_nothing_out() -> None:
    printed = make("unit")
    assert " -m '" not in printed
    assert " -k " not in printed


@needs_make
def test_coverage_is_measured_over_the_whole_suite() -> None:
    printed = make("coverage")
    assert "--cov" in printed
    assert " -m '" not in printed


HELP = [
    ("kill", "KILL=-h"),
    ("hostile", "HOSTILE=-h"),
    ("fidelity", "FIDELITY=tests/fidelity/fidelity.py -h"),
    ("fidelity", "FIDELITY=tests/fidelity/fidelity_asterisk.py -h"),
    ("proof", "PROOF=prove -h"),
    ("mutants", "MUTANTS=tests/core_mutants.py -h"),
    ("soak", "SOAK=soak -h"),
]


@needs_make
@pytest.mark.slow
@pytest.mark.parametrize(("target", "asked"), HELP, ids=str)
def test_what_a_longer_proof_runs_can_be_run(target: str, asked: str) -> None:
    """Its first command as make would run it, in a shell of its own, for its help."""
    printed = make(target, asked, f"BIN={Path(sys.executable).parent}")
    command = next(line for line in printed.splitlines() if line.endswith(" -h"))
    run = subprocess.run(
        ["/usr/bin/env", "-u", "PYTHONPATH", "sh", "-c", command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert "usage" in run.stdout.lower()


@pytest.mark.slow
def test_the_children_of_tests_can_be_interrupted_from_a_shell_that_ignores_it() -> None:
    """As in a background job of a shell without job control."""
    program = (
        "import conftest, signal, subprocess, sys;"
        "child = [sys.executable, '-c', 'import time; time.sleep(60)'];"
        "process = subprocess.Popen(child);"
        "process.send_signal(signal.SIGINT);"
        "print(process.wait(30))"
    )
    run = subprocess.run(
        [
            "/usr/bin/env",
            "sh",
            "-c",
            """trap '' INT; exec "$0" -c "$1" """,
            sys.executable,
            program,
        ],
        cwd=ROOT / "tests",
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(run.stdout) == -signal.SIGINT
