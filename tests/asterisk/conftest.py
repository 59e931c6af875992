"""The real pair of Asterisks, for whoever asks for it."""

from __future__ import annotations

import pytest
from asterisk_lab import start_pair

from hookflash.pbx.pair import Pair


@pytest.fixture(scope="session")
def pair() -> Pair:
    return start_pair()
