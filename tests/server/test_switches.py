"""A service, and switches that freeze, or refuse it: on the emulator, under the virtual clock."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from lab import SWITCH, Lab, open_lab
from structlog.testing import capture_logs
from trio.testing import MockClock

from hookflash.backends.freeswitch.client import FreeSwitchBackend
from hookflash.backends.freeswitch.settings import FreeSwitch
from hookflash.emulator.server import Listening, open_emulator

LOST_WITHIN_S = 10.0
BACK_WITHIN_S = 6.0


@attrs.frozen
class Served:
    """A service on an emulated FreeSWITCH."""

    lab: Lab
    switch: Listening

    async def ready(self) -> Any:
        """What `/readyz` says."""
        return (await self.lab.nobody.ask("GET", "/readyz")).json()

    async def until_ready(self, status: str) -> float:
        """Wait until `/readyz` has this status; how long it took."""
        began_s = trio.current_time()
        with trio.fail_after(600):
            while (await self.ready())["status"] != status:
                await trio.sleep(0.1)
        return trio.current_time() - began_s

    async def is_up(self) -> bool:
        metrics = (await self.lab.nobody.ask("GET", "/metrics")).text
        return f'hookflash_switch_up{{switch="{SWITCH}"}} 1.0' in metrics


@asynccontextmanager
async def served(folder: Path) -> AsyncGenerator[Served]:
    async with open_emulator() as switch, trio.open_nursery() as nursery:
        backend = FreeSwitchBackend(FreeSwitch(port=switch.port))
        nursery.start_soon(backend.run)
        async with open_lab(folder, backend=backend) as lab:
            yield Served(lab, switch)
        nursery.cancel_scope.cancel()


async def test_nobody_relies_on_a_frozen_switch(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with served(tmp_path) as it:
        await it.until_ready("ok")
        leg, _ = it.switch.emulator.call("1001", "1002", account="acme")
        await trio.sleep(5)
        transfer = await it.lab.acme.transfer(leg, "2601")
        await it.lab.acme.until(transfer, "dialing")

        it.switch.process.freeze()
        assert await it.until_ready("trouble") < LOST_WITHIN_S
        assert (await it.ready())["trouble"] == {f"switch {SWITCH}": "no sign of life for 8 s"}
        assert not await it.is_up()
        refused = await it.lab.acme.act(leg, "transfer", target="2600")
        assert refused.status_code == 503
        await trio.sleep(300)

        it.switch.process.thaw()
        assert await it.until_ready("ok") < BACK_WITHIN_S
        assert await it.is_up()
        # what was in flight goes on: the target never answers, and the two talk again
        ended = await it.lab.acme.ended(transfer)
        assert ended["outcome"] == "reconnected"
        (alice, bob) = await it.lab.acme.look("channels")
        assert alice["other_leg_call_id"] == bob["call_id"]


@pytest.mark.parametrize("thaws_after_s", [0.5, 9.0])
async def test_what_was_accepted_in_the_first_seconds_of_a_freeze(
    autojump_clock: MockClock, tmp_path: Path, thaws_after_s: float
) -> None:
    """The orders wait in the frozen switch, and are executed late: nobody is lost."""
    async with served(tmp_path) as it:
        await it.until_ready("ok")
        alice, bob = it.switch.emulator.call("1001", "1002", account="acme")
        await trio.sleep(5)
        it.switch.process.freeze()
        transfer = await it.lab.acme.transfer(alice, "2600")
        await trio.sleep(thaws_after_s)
        it.switch.process.thaw()
        await it.until_ready("ok")
        await trio.sleep(60)
        legs = {leg["call_id"]: leg for leg in await it.lab.acme.look("channels")}
        seen = await it.lab.acme.look(f"transfers/{transfer}")
        if seen["ended"] is None:
            assert seen["state"] == "consulting"
            assert legs[alice]["other_leg_call_id"] == f"{transfer}-target"
            await it.lab.acme.act(alice, "takeback")
            seen = await it.lab.acme.ended(transfer)
        assert seen["outcome"] in ("reconnected", "taken_back")
        legs = {leg["call_id"]: leg for leg in await it.lab.acme.look("channels")}
        assert legs.keys() == {alice, bob}
        assert legs[alice]["other_leg_call_id"] == bob


async def test_a_switch_that_refuses_the_login_is_asked_again(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_emulator() as switch, trio.open_nursery() as nursery:
        switch.emulator.password = "another"  # noqa: S105 - of a switch in this file
        backend = FreeSwitchBackend(FreeSwitch(port=switch.port))
        nursery.start_soon(backend.run)
        with capture_logs() as logs:
            async with open_lab(tmp_path, backend=backend) as lab:
                it = Served(lab, switch)
                await trio.sleep(600)
                (why,) = (await it.ready())["trouble"].values()
                assert why == f"127.0.0.1:{switch.port} refuses the login: -ERR invalid"
                assert not await it.is_up()
                switch.emulator.password = "ClueCon"  # noqa: S105 - everybody's
                assert await it.until_ready("ok") < 62
                assert await it.is_up()
        # once, and not with each attempt
        assert len([entry for entry in logs if entry["event"] == "switch.rejected"]) == 1
        nursery.cancel_scope.cancel()
