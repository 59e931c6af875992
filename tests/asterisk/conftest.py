"""The real pair of Asterisks: started for the first test that asks for it."""

from __future__ import annotations

import pytest
from asterisk_lab import installation, start_pair

from hookflash.pbx.obtain import Installation
from hookflash.pbx.pair import Pair


@pytest.fixture
def pair() -> Pair:
    return start_pair()


@pytest.fixture
def asterisk() -> Installation:
    return installation()
