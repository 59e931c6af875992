"""Tenants, live: the account of a call decides where its targets are looked up.

Two tenants have the same extensions. In the context `tenant-b` of the lab, 1001 and 2600 are other
phones than in `tenant-a`: 1601 and 1600. Directly, the template says which tenant is meant.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from live import (
    HOST,
    LiveLab,
    both_known,
    needs,
    needs_freeswitch,
    open_live_lab,
    settings,
    talking,
)

from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.called import name_of_fallback, name_of_recall
from hookflash.engine.engine import Engine, open_engine
from hookflash.engine.handles import TransferHandle
from hookflash.engine.legs import Account
from hookflash.events import LegId, TransferOptions
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Outcome

pytestmark = needs_freeswitch

DIRECTLY = {
    name: Dialling(template=f"sofia/internal/{{number}}@{HOST}:5090;tenant={name}")
    for name in ("tenant-a", "tenant-b")
}
IN_CONTEXT = {name: Dialling(context=name) for name in ("tenant-a", "tenant-b")}
WAYS = {
    "direct": {"account_dialling": DIRECTLY},
    "dialplan": {"account_dialling": IN_CONTEXT},
    "context-by-account": {"dialling": Dialling(context="{account}")},
    "template-by-account": {
        "dialling": Dialling(template=f"sofia/internal/{{number}}@{HOST}:5090;tenant={{account}}")
    },
}
"""How each tenant's targets are called."""

PHONES = {
    ("tenant-a", "2600"): "2600",
    ("tenant-b", "2600"): "1600",
    ("tenant-a", "1001"): "1001",
    ("tenant-b", "1001"): "1601",
}
"""The phone of an extension, in the context of each tenant."""

every_way = pytest.mark.parametrize("way", list(WAYS))
each_tenant = pytest.mark.parametrize("tenant", ["tenant-a", "tenant-b"])


@attrs.frozen
class _Scene:
    lab: LiveLab
    engine: Engine
    way: str
    tenant: str
    alice: LegId
    bob: LegId

    async def reached(self, leg: LegId, extension: str) -> None:
        """The leg has reached the phone that the tenant has under an extension."""
        phone = await self.lab.phone(leg)
        number = await self.lab.phones.api(f"uuid_getvar {phone} sip_req_user")
        if self.way in ("direct", "template-by-account"):
            said = await self.lab.phones.api(f"uuid_getvar {phone} sip_req_params")
            assert (number, said) == (extension, f"tenant={self.tenant}")
        else:
            assert number == PHONES[self.tenant, extension]

    async def ends(self, transfer: TransferHandle) -> Outcome:
        with trio.fail_after(40):
            return (await transfer.outcome()).outcome


@asynccontextmanager
async def open_scene(way: str, tenant: str, **choices: object) -> AsyncGenerator[_Scene]:
    policy = attrs.evolve(Policy(), **choices)
    chosen = attrs.evolve(settings(), **WAYS[way])
    async with (
        open_live_lab(chosen) as lab,
        open_engine(lab.backend, account=Account(policy=policy)) as engine,
    ):
        prefix = "3" if tenant == "tenant-a" else "4"
        await needs(lab, f"{prefix}1002")
        alice, bob = await lab.call(f"{prefix}1002")
        await both_known(engine, (alice, bob))
        yield _Scene(lab, engine, way, tenant, alice, bob)


@every_way
@each_tenant
async def test_a_transfer_reaches_the_extension_of_its_own_tenant(way: str, tenant: str) -> None:
    async with open_scene(way, tenant) as at:
        for key in "*22600#":
            await at.lab.press(at.alice, key)
        with trio.fail_after(20):
            while not (begun := at.engine.transfers()):
                await trio.sleep(0.02)
        target = f"{begun[0].id}-target"
        await talking(at.engine, at.alice, target)
        await at.reached(target, "2600")
        await at.lab.hang_up(at.alice)
        await talking(at.engine, at.bob, target)
        assert at.engine.switchboard.legs[target].account == tenant


@every_way
@each_tenant
async def test_the_transferor_is_called_back_at_the_phone_of_its_own_tenant(
    way: str, tenant: str
) -> None:
    async with open_scene(way, tenant) as at:
        transfer = await at.engine.transfer(at.alice, "2603")
        await trio.sleep(0.1)
        await at.lab.hang_up(at.alice)
        assert await at.ends(transfer) is Outcome.RECALLED
        recalled = name_of_recall(transfer.id, 1)
        await talking(at.engine, recalled, at.bob)
        await at.reached(recalled, "1001")


@every_way
@each_tenant
async def test_the_fallback_target_is_one_of_its_own_tenant(way: str, tenant: str) -> None:
    async with open_scene(way, tenant, fallback_target="2600") as at:
        options = TransferOptions(recall_attempts=0)
        transfer = await at.engine.transfer(at.alice, "2603", options=options)
        await trio.sleep(0.1)
        await at.lab.hang_up(at.alice)
        assert await at.ends(transfer) is Outcome.FELL_BACK
        await talking(at.engine, at.bob, name_of_fallback(transfer.id))
        await at.reached(name_of_fallback(transfer.id), "2600")


@each_tenant
async def test_variables_of_a_tenant_reach_the_phones_leg(tenant: str) -> None:
    dialling = Dialling(context=tenant, variables={"tenant_code": f"{tenant}, 1", "crm": "x"})
    WAYS["variables"] = {"account_dialling": {tenant: dialling}}
    async with open_scene("variables", tenant) as at:
        transfer = await at.engine.transfer(at.alice, "2600")
        target = f"{transfer.id}-target"
        await talking(at.engine, at.alice, target)
        chain = await at.lab.chain(target)
        assert len(chain) == 3
        for leg in chain:
            assert await at.lab.variable(leg, "tenant_code") == f"{tenant}, 1"
            assert await at.lab.variable(leg, "crm") == "x"


async def test_a_call_without_an_account_is_refused_a_dial_string_that_needs_one() -> None:
    WAYS["nobodys"] = {"dialling": Dialling(context="{account}")}
    async with (
        open_live_lab(attrs.evolve(settings(), **WAYS["nobodys"])) as lab,
        open_engine(lab.backend) as engine,
    ):
        alice, bob = await lab.call("1002")
        await both_known(engine, (alice, bob))
        transfer = await engine.transfer(alice, "2600")
        with trio.fail_after(20):
            end = await transfer.outcome()
        assert end.outcome is Outcome.RECONNECTED
        await talking(engine, alice, bob)
