"""A short hostile hour in every run of the checks; `make hostile` is the long one."""

from __future__ import annotations

import pytest
from fuzz import fuzz
from hour import Setting, play

SHORT = Setting(
    idle_s=1.0,
    attack_s=6.0,
    crowd=1,
    waiting=20,
    honest=10,
    deaf=1,
    disturb_every_s=2.0,
    settle_s=3.0,
    limit_s=5.0,  # the other checks run beside it: a machine's figures are for `make hostile`
)


@pytest.mark.slow
async def test_strangers_harm_nobody() -> None:
    said: list[str] = []
    report = await play(SHORT, said.append)
    assert report.findings() == [], "\n".join([*said, *report.lines()])
    assert report.scene is not None
    assert report.scene.tally.transfers >= 3
    assert report.stop_s < 15


@pytest.mark.exhaustive
def test_frames_that_nobody_would_send_end_in_frames_or_in_an_error() -> None:
    fuzz(20_000, seed=1)
