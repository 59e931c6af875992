"""What is heard and asked in a transfer, on a real Asterisk: prompt, briefing, failure."""

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
from hookflash.events import AcceptRequested, Kind, SoundStarted
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Outcome, Transfer
from hookflash.pbx.pair import Pair
from hookflash.sounds import Sound, parse_sound

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


SAID = parse_sound("tone:700/1500*1")


@both_ways
async def test_carol_is_briefed_and_bob_hears_an_announcement(
    pair: Pair, dialling: AsteriskDialling
) -> None:
    account = Account(policy=attrs.evolve(Policy(), briefing=SAID, announcement=SAID))
    async with (
        open_live_lab(pair, dialling) as lab,
        open_engine(lab.backend, account=account) as engine,
        noting(engine) as records,
    ):
        alice, bob = await lab.call()
        await both_known(engine, (alice, bob))
        transfer = await engine.transfer(alice, "2600", kind=Kind.BLIND)
        with trio.fail_after(30):
            assert (await transfer.outcome()).outcome is Outcome.TRANSFERRED
        carol = f"{transfer.id}-target"
        await talking(engine, bob, carol)
        said = [one.event.leg for one in records if isinstance(one.event, SoundStarted)
                if one.event.sound == SAID]  # fmt: skip
        assert sorted(said) == sorted((bob, carol))
        await everybody_talks(lab)


def _hears(now: Transfer | None, sound: Sound) -> bool:
    """Whether the transferor hears a sound."""
    return now is not None and now.transferor.sound == sound and now.transferor.hears


@both_ways
@pytest.mark.parametrize("leaves", [False, True], ids=["listens", "hangs-up"])
async def test_alice_hears_that_carol_is_busy(
    pair: Pair, dialling: AsteriskDialling, *, leaves: bool
) -> None:
    account = Account(policy=attrs.evolve(Policy(), failure_sound=SAID))
    async with (
        open_live_lab(pair, dialling) as lab,
        open_engine(lab.backend, account=account) as engine,
    ):
        alice, bob = await lab.call()
        await both_known(engine, (alice, bob))
        transfer = await engine.transfer(alice, "2602")
        with trio.fail_after(20):
            while not _hears(transfer.transfer, SAID):
                await trio.sleep(0.01)
        if leaves:
            await lab.hang_up(alice)
        with trio.fail_after(30):
            result = await transfer.outcome()
        # who has hung up is not given the transferee, but called back
        assert result.outcome is (Outcome.RECALLED if leaves else Outcome.RECONNECTED)
        assert result.cause == "USER_BUSY"
        await talking(engine, bob, f"{transfer.id}-recall-1" if leaves else alice)
        await everybody_talks(lab)


LONG = parse_sound("tone:700/3500*1")
"""It outlasts the failsafe of the consultation."""


@both_ways
async def test_alice_hears_that_carol_has_left_the_consultation(
    pair: Pair, dialling: AsteriskDialling
) -> None:
    account = Account(policy=attrs.evolve(Policy(), failure_sound=LONG))
    async with (
        open_live_lab(pair, dialling) as lab,
        open_engine(lab.backend, account=account) as engine,
    ):
        alice, bob = await lab.call()
        await both_known(engine, (alice, bob))
        transfer = await engine.transfer(alice, "2600")
        await talking(engine, alice, f"{transfer.id}-target")
        await trio.sleep(0.5)  # until the failsafe is set
        await lab.hang_up(f"{transfer.id}-target")
        with trio.fail_after(20):
            while not _hears(transfer.transfer, LONG):
                await trio.sleep(0.01)
        heard_s = trio.current_time()
        with trio.fail_after(20):
            assert (await transfer.outcome()).outcome is Outcome.RECONNECTED
        assert trio.current_time() - heard_s > 3.3
        await everybody_talks(lab)
