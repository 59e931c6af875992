"""The target accepts, on a real Asterisk: by its own key, once; nobody is connected before."""

from __future__ import annotations

import attrs
import pytest
import trio
from asterisk_lab import needs_another_asterisk
from live_asterisk import (
    DIALPLAN,
    DIRECT,
    both_known,
    everybody_talks,
    noting,
    open_live_lab,
    talking,
)

from hookflash.backends.asterisk.procedures import AsteriskDialling
from hookflash.engine.engine import open_engine
from hookflash.engine.legs import Account
from hookflash.events import AcceptRequested, Kind
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Outcome
from hookflash.pbx.pair import Pair

pytestmark = needs_another_asterisk

both_ways = pytest.mark.parametrize("dialling", [DIRECT, DIALPLAN], ids=["direct", "dialplan"])
ASKS = Account(policy=attrs.evolve(Policy(), target_accepts=True))


@both_ways
@pytest.mark.parametrize("kind", [Kind.ATTENDED, Kind.BLIND])
@pytest.mark.parametrize("key", ["1", "2"])
async def test_carol_accepts_or_declines(
    pair: Pair, dialling: AsteriskDialling, kind: Kind, key: str
) -> None:
    async with (
        open_live_lab(pair, dialling) as lab,
        open_engine(lab.backend, account=ASKS) as engine,
        noting(engine) as records,
    ):
        alice, bob = await lab.call()
        await both_known(engine, (alice, bob))
        transfer = await engine.transfer(alice, "2600", kind=kind)
        carol = f"{transfer.id}-target"
        with trio.fail_after(20):
            while transfer.transfer is None or not transfer.transfer.target.hears:
                await trio.sleep(0.02)
        assert transfer.transfer.target.sound == ASKS.policy.accept_prompt
        assert transfer.transfer.target.peer is None
        await trio.sleep(0.5)
        await lab.press(carol, key)
        if kind is Kind.ATTENDED and key == "1":
            await talking(engine, alice, carol)
            await lab.hang_up(alice)
        with trio.fail_after(30):
            result = await transfer.outcome()
        if key == "1":
            assert result.outcome is Outcome.TRANSFERRED
            await talking(engine, bob, carol)
            assert len([one for one in records if isinstance(one.event, AcceptRequested)]) == 1
        else:
            failed = Outcome.RECONNECTED if kind is Kind.ATTENDED else Outcome.RECALLED
            assert (result.outcome, result.cause) == (failed, "DECLINED")
        await everybody_talks(lab)
