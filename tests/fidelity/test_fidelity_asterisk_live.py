"""Random programs on a real Asterisk and on the simulated one, in every test run.

The programs are the same in each run; `make fidelity SWITCH=asterisk` draws others.
"""

from __future__ import annotations

import pytest
from fidelity_asterisk import Answered, Asking

from hookflash.pbx.obtain import AsteriskUnavailable, obtain

pytestmark = [pytest.mark.asterisk, pytest.mark.xdist_group("asterisk-3")]

FIRST_SEED = 5000
PROGRAMS = 30
AT_ONCE = 16
AGAIN = 3
"""A program that differs is asked so often again: it may have been the switch's own rare chance."""


@pytest.fixture
def needs_an_asterisk() -> None:
    try:
        obtain()
    except AsteriskUnavailable as error:
        pytest.skip(str(error))


async def answers(seeds: range | list[int]) -> list[Answered]:
    asking = Asking(seeds, AT_ONCE)
    await asking.run()
    # what a program was asked while the switch died is not answered; it has its own crashes
    assert len(asking.deaths) <= 1, asking.deaths
    return asking.answered


@pytest.mark.exhaustive
@pytest.mark.usefixtures("needs_an_asterisk")
async def test_the_simulated_asterisk_can_do_whatever_the_real_one_does() -> None:
    answered = await answers(range(FIRST_SEED, FIRST_SEED + PROGRAMS))
    assert len(answered) >= PROGRAMS * 2 // 3
    differing = [one for one in answered if not one.draws()]
    for _ in range(AGAIN):
        if differing:
            again = await answers([one.seed for one in differing])
            differing = [one for one in again if not one.draws()]
    told = (
        "\n".join((f"seed {one.seed}", one.program.story(), *one.nearest())) for one in differing
    )
    assert not differing, "\n\n".join(told)
