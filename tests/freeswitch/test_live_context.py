"""What a request gives along, as it arrives at the phones of a real FreeSWITCH."""

from __future__ import annotations

import json

import attrs
import pytest
import trio
from live import (
    DIALPLAN,
    DIRECT,
    LiveLab,
    both_known,
    needs_freeswitch,
    open_live_lab,
    settings,
    talking,
)

from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.called import name_of_fallback, name_of_recall
from hookflash.engine.engine import open_engine
from hookflash.engine.legs import Account
from hookflash.engine.rules import Rules
from hookflash.events import Kind, LegId, TransferOptions
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Outcome
from hookflash.transfer_context import TransferContext, program_data

pytestmark = needs_freeswitch

both_ways = pytest.mark.parametrize("dialling", [DIALPLAN, DIRECT], ids=["dialplan", "direct"])

VALUE = "Ticket 4711: a.b+c*d#e_f@g/h=i?j%41~k!l-m"
"""All signs that a value may have."""
CONTEXT = TransferContext(
    variables=(("crm_ticket", VALUE),),
    headers=(("X-Ticket", VALUE), ("X-Queue", "sales")),
    data=program_data({"ticket": 4711}),
)
OPTIONS = TransferOptions(caller_number="4930123", caller_name="Support Team", context=CONTEXT)
RULES = Rules(variables_allowed=("crm_*",), caller_numbers_allowed=("4930*",))


async def phone_of(lab: LiveLab, leg: LegId) -> dict[str, str]:
    return json.loads(await lab.phones.api(f"uuid_dump {await lab.phone(leg)} json"))


def caller_and_headers(phone: dict[str, str]) -> tuple[str | None, ...]:
    shown = ("Caller-Caller-ID-Number", "Caller-Caller-ID-Name")
    headers = ("variable_sip_h_X-Ticket", "variable_sip_h_X-Queue")
    return tuple(phone.get(name) for name in (*shown, *headers))


@both_ways
async def test_the_target_gets_variables_headers_and_a_caller_id(dialling: Dialling) -> None:
    account = Account(rules=RULES)
    async with (
        open_live_lab(settings(dialling)) as lab,
        open_engine(lab.backend, account=account) as engine,
    ):
        alice, bob = await lab.call()
        await both_known(engine, (alice, bob))
        transfer = await engine.transfer(alice, "2650", options=OPTIONS)
        target = f"{transfer.id}-target"
        phone = await phone_of(lab, target)  # it rings
        assert caller_and_headers(phone) == ("4930123", "Support Team", VALUE, "sales")
        for channel in await lab.chain(target):  # those in the dialplan, and the phone's own
            assert await lab.variable(channel, "crm_ticket") == VALUE
        everywhere = json.dumps(await lab.switch.channels()) + await lab.switch.api(
            f"uuid_dump {target}"
        )
        assert '"ticket"' not in everywhere
        await lab.answer(target)
        await talking(engine, alice, target)
        assert transfer.transfer is not None
        assert transfer.transfer.context == CONTEXT


@both_ways
async def test_a_recalled_transferor_gets_nothing_of_it_and_a_fallback_target_gets_all(
    dialling: Dialling,
) -> None:
    policy = attrs.evolve(Policy(), recall_ring_timeout_s=2.0, fallback_target="2650")
    async with (
        open_live_lab(settings(dialling)) as lab,
        open_engine(lab.backend, account=Account(policy=policy, rules=RULES)) as engine,
    ):
        alice, bob = await lab.call(caller="2601")  # is called back, and does not answer
        await both_known(engine, (alice, bob))
        transfer = await engine.transfer(alice, "2602", kind=Kind.BLIND, options=OPTIONS)
        recalled = name_of_recall(transfer.id, 1)
        with trio.fail_after(10):
            while engine.switchboard.leg(recalled) is None:
                await trio.sleep(0.02)
        shown = caller_and_headers(await phone_of(lab, recalled))
        assert shown == ("1002", "Recall 1002", None, None)
        fallback = name_of_fallback(transfer.id)
        with trio.fail_after(15):
            while engine.switchboard.leg(fallback) is None:
                await trio.sleep(0.02)
        shown = caller_and_headers(await phone_of(lab, fallback))
        assert shown == ("4930123", "Support Team", VALUE, "sales")
        await lab.answer(fallback)
        with trio.fail_after(10):
            end = await transfer.outcome()
        assert end.outcome is Outcome.FELL_BACK


async def test_a_withheld_caller_stays_withheld() -> None:
    async with (
        open_live_lab(settings(DIRECT)) as lab,
        open_engine(lab.backend, account=Account(rules=RULES)) as engine,
    ):
        alice, bob = await lab.call(privacy="hide_name:hide_number")
        await both_known(engine, (alice, bob))
        transfer = await engine.transfer(alice, "2650", options=OPTIONS)
        phone = await phone_of(lab, f"{transfer.id}-target")
        assert caller_and_headers(phone)[:2] == ("anonymous", "anonymous")
