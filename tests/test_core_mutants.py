"""The mutants of the core, of which `make mutants` judges all: a few, in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import core_mutants
import pytest


def test_who_is_said_to_survive_is_a_mutant_and_no_two_have_one_name() -> None:
    names = [one.name for one in core_mutants.mutants()]
    assert core_mutants.SURVIVORS.keys() <= set(names)
    assert len(names) == len(set(names)) > 600


@pytest.mark.exhaustive
def test_what_is_broken_is_caught() -> None:
    """A row is removed, and an order is not given."""
    script = Path(core_mutants.__file__)
    told = subprocess.run(
        [sys.executable, str(script), "--at-once", "1", "--only", "hold: held · takeback_asked"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(script.parent)},
    )
    assert told.stdout.splitlines()[-1] == "2 of 2 mutants of the core are caught"
    assert told.returncode == 0
