"""Owners, live: users and devices with codes and rights of their own, and others without.

The lab's dialplan sets the owner to the caller's number: see `live`, 3N.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from live import (
    DIALPLAN,
    DIRECT,
    LiveLab,
    both_known,
    needs,
    needs_freeswitch,
    open_live_lab,
    settings,
    talking,
)

from hookflash import parse_metaflows
from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.called import name_of_recall
from hookflash.engine.engine import Engine, open_engine
from hookflash.engine.legs import Account
from hookflash.engine.rules import Rights, Rules
from hookflash.errors import RequestRefused
from hookflash.events import Kind, LegId, TransferRequested
from hookflash.fsm.transfer import Outcome

pytestmark = needs_freeswitch

BOSS, LOBBY, OTHER = "1001", "1005", "1006"

BOSS_CODES = parse_metaflows(
    {
        "numbers": {
            "7": {"module": "transfer", "data": {"target": "2600"}},
            "9": {"module": "resume"},
        }
    }
)
TENANT = Account(
    owners={
        BOSS: Account(metaflows=BOSS_CODES),
        LOBBY: Account(rules=Rules(may_transfer=Rights.NOBODY, targets_denied=("2600",))),
    }
)

both_ways = pytest.mark.parametrize("dialling", [DIALPLAN, DIRECT], ids=["dialplan", "direct"])


@asynccontextmanager
async def open_scene(
    dialling: Dialling, caller: str
) -> AsyncGenerator[tuple[LiveLab, Engine, LegId, LegId]]:
    async with (
        open_live_lab(settings(dialling)) as lab,
        open_engine(lab.backend, accounts={"tenant-a": TENANT}) as engine,
    ):
        await needs(lab, "31002")
        alice, bob = await lab.call("31002", caller=caller)
        await both_known(engine, (alice, bob))
        assert engine.switchboard.legs[alice].owner_id == caller
        assert engine.switchboard.legs[bob].owner_id == ""
        yield lab, engine, alice, bob


async def dials(lab: LiveLab, leg: LegId, keys: str) -> None:
    for key in keys:
        await lab.press(leg, key)


async def begun(engine: Engine) -> str:
    with trio.fail_after(20):
        while not (transfers := engine.transfers()):
            await trio.sleep(0.02)
    return transfers[0].id


@both_ways
async def test_an_owner_dials_codes_of_its_own_also_when_it_is_called_back(
    dialling: Dialling,
) -> None:
    async with open_scene(dialling, BOSS) as (lab, engine, alice, bob):
        transfer = await engine.transfer(alice, "2602")
        await trio.sleep(0.1)
        await lab.hang_up(alice)
        with trio.fail_after(30):
            assert (await transfer.outcome()).outcome is Outcome.RECALLED
        recalled = name_of_recall(transfer.id, 1)
        await talking(engine, recalled, bob)
        assert engine.switchboard.legs[recalled].owner_id == BOSS
        await dials(lab, recalled, "*7")
        again = await begun(engine)
        await talking(engine, recalled, f"{again}-target")
        assert engine.switchboard.legs[f"{again}-target"].owner_id == ""
        await dials(lab, recalled, "*9")
        await talking(engine, recalled, bob)


@both_ways
async def test_another_user_of_the_account_has_those_of_the_account(dialling: Dialling) -> None:
    async with open_scene(dialling, OTHER) as (lab, engine, alice, bob):
        await dials(lab, alice, "*7")
        await trio.sleep(6.0)
        assert not engine.transfers()
        await dials(lab, alice, "*22600#")
        target = f"{await begun(engine)}-target"
        await talking(engine, alice, target)
        await lab.hang_up(alice)
        await talking(engine, bob, target)


@both_ways
async def test_an_owner_without_the_right_is_refused(dialling: Dialling) -> None:
    async with open_scene(dialling, LOBBY) as (lab, engine, alice, bob):
        refused: list[str] = []
        engine.tap(
            lambda record: (
                refused.append(record.why)
                if record.refused and isinstance(record.event, TransferRequested)
                else None
            )
        )
        await dials(lab, alice, "*21003#")
        with trio.fail_after(10):
            while not refused:
                await trio.sleep(0.02)
        assert refused == ["this party may not transfer"]
        with pytest.raises(RequestRefused, match="calls to 2600 are not allowed"):
            await engine.transfer(alice, "2600", kind=Kind.BLIND)
        assert not engine.transfers()
        await talking(engine, alice, bob)


async def test_the_next_controller_knows_the_owner_by_the_leg() -> None:
    async with open_scene(DIRECT, BOSS) as (lab, engine, alice, bob):
        transfer = await engine.transfer(alice, "2600")
        await talking(engine, alice, f"{transfer.id}-target")
        async with (
            lab.second() as backend,
            open_engine(backend, accounts={"tenant-a": TENANT}) as second,
        ):
            with trio.fail_after(10):
                while not second.transfers():
                    await trio.sleep(0.02)
            found = attrs.asdict(second.transfers()[0], recurse=False)
            assert (found["account"], found["owner_id"]) == ("tenant-a", BOSS)
            await dials(lab, alice, "*9")
            await talking(second, alice, bob)
