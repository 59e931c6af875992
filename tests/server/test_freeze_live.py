"""Real switches that are frozen: it is noticed soon, and they are used again soon."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from asterisk_lab import needs_another_asterisk, start_pair
from freezing import BACK_WITHIN_S, LOST_WITHIN_S, Freeze, freeze
from live import HOST, SWITCH, needs_freeswitch, open_live_lab

from hookflash.pbx.pair import Pair
from hookflash.pbx.phones import open_phones

freeswitch = [pytest.param(lasts_s, marks=needs_freeswitch) for lasts_s in (0.0, 40.0)]
asterisk = [pytest.param(lasts_s, marks=needs_another_asterisk) for lasts_s in (0.0,)]


@pytest.fixture
def pair() -> Pair:
    return start_pair()


@pytest.mark.parametrize("lasts_s", freeswitch)
async def test_a_frozen_freeswitch(tmp_path: Path, lasts_s: float) -> None:
    async with open_live_lab() as lab:
        pid = await _process(await lab.switch.api("global_getvar run_dir"))
        port = SWITCH.partition(":")[2]
        keys = f'kind = "freeswitch"\nhost = "{HOST}"\nport = {port}'
        _check(await freeze(tmp_path, keys, pid, lab.call, lasts_s=lasts_s), "no sign of life")


async def _process(run_dir: str) -> int:
    file = trio.Path(run_dir) / "freeswitch.pid"
    if not await file.exists():
        pytest.skip("the switch runs on another machine")
    return int(await file.read_text())


@pytest.mark.parametrize("lasts_s", asterisk)
async def test_a_frozen_asterisk(pair: Pair, tmp_path: Path, lasts_s: float) -> None:
    setup, pid = pair.switch.setup, pair.switch.process.pid
    keys = (
        f'kind = "asterisk"\nari_port = {setup.ports.http}\nami_port = {setup.ports.ami}\n'
        f'password = "{setup.secret}"'
    )
    async with open_phones(pair.telephones.login, pair.switch.login) as phones:
        await phones.silence()

        async def call() -> None:
            await phones.call("1001", "1002")

        seen = await freeze(tmp_path, keys, pid, call, account="acme", lasts_s=lasts_s)
        _check(seen, "no response to")
        await phones.silence()


def _check(seen: Freeze, why: str) -> None:
    print(f"lost after {seen.lost_s:.1f} s, back after {seen.back_s:.1f} s: {seen.why}")  # noqa: T201 - for whoever measures
    assert why in seen.why
    assert seen.lost_s < LOST_WITHIN_S
    assert seen.back_s < BACK_WITHIN_S
