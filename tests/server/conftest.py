"""A service for each test that asks for one (see `lab.py`)."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from lab import Lab, open_lab
from trio.testing import MockClock

# the pair of Asterisks; behind this folder, for both have a `conftest`
sys.path.append(str(Path(__file__).parent.with_name("asterisk")))


@pytest.fixture
async def lab(autojump_clock: MockClock, tmp_path: Path) -> AsyncGenerator[Lab]:
    async with open_lab(tmp_path) as opened:
        yield opened
