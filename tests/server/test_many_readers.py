"""A thousand programs that follow the history at once: each hears every event, in order."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from talk import Connection, open_line, open_rig
from trio.testing import MockClock

from hookflash.server.config import Limits

READERS = 1_000
BURSTS = 5
BURST = 10


@pytest.mark.exhaustive
async def test_a_thousand_readers_hear_every_event_in_order(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """Half of them follow what is new; the others begin in the past, while more happens."""
    limits = Limits(requests_per_second=10 * READERS, websocket_buffer=100)
    async with open_rig(tmp_path, limits) as rig, trio.open_nursery() as nursery:
        _, token = await rig.access.sign_in(await rig.key(), "there")
        await rig.settled(rig.many(BURST))
        total = BURST + BURSTS * BURST
        following, heard_all = 0, 0
        are_there = trio.Event()

        async def read(line: Connection, first: int) -> None:
            nonlocal heard_all
            heard = [event["number"] for event in await line.until(total)]
            assert heard == list(range(first, total + 1))
            heard_all += 1

        async def follow(after: int | None) -> None:
            nonlocal following
            async with open_line(rig.listener) as line:
                await line.get("authenticate", token=token)
                await line.follow(after=after)
                following += 1
                if following == READERS:
                    are_there.set()
                await read(line, BURST + 1 if after is None else 1)

        for reader in range(READERS):
            nursery.start_soon(follow, 0 if reader % 2 else None)
        await are_there.wait()
        assert len(rig.listener.sessions) == READERS
        for _ in range(BURSTS):
            await rig.settled(rig.many(BURST))
            await trio.sleep(0.1)
    assert heard_all == READERS
