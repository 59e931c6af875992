"""No caller is lost on a real Asterisk, whenever the service is killed: eight kills.

`make kill SWITCH=asterisk` plays the same for longer.
"""

from __future__ import annotations

from pathlib import Path

from asterisk_lab import needs_asterisk
from killing import Forker
from rounds import Setting, on_asterisk
from test_kill import assert_nobody_is_lost

from hookflash.pbx.pair import Pair

pytestmark = needs_asterisk

KILLS = 8
CALLS = 12


async def test_a_process_that_is_killed_eight_times_loses_nobody(
    pair: Pair, tmp_path: Path
) -> None:
    forker = Forker()
    setting = Setting(folder=tmp_path, seed=2, direct=True, pace=0.25, forker=forker, over_s=4.0)
    try:
        async with on_asterisk(pair, setting) as player:
            # a slow machine has fewer kills in one round, since each start takes longer there
            while player.figures.kills < KILLS:
                await player.round(CALLS, kills=KILLS - player.figures.kills)
    finally:
        await forker.close()
    assert player.figures.kills == KILLS
    assert_nobody_is_lost([player.figures], tmp_path)
