"""A service for each test that asks for one (see `lab.py`)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from lab import Lab, open_lab
from trio.testing import MockClock


@pytest.fixture
async def lab(autojump_clock: MockClock, tmp_path: Path) -> AsyncGenerator[Lab]:
    async with open_lab(tmp_path) as opened:
        yield opened
