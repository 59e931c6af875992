"""The real pair of Asterisks: started for the first test that asks for it."""

from __future__ import annotations

import pytest
from asterisk_lab import start_pair

from hookflash.pbx.pair import Pair


@pytest.fixture
def pair() -> Pair:
    return start_pair()
