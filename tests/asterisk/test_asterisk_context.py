"""What a request gives along, as it arrives at the phones of a real Asterisk."""

from __future__ import annotations

import pytest
import trio
from asterisk_lab import needs_another_asterisk
from live_asterisk import (
    DIALPLAN,
    DIRECT,
    both_known,
    nothing_stays_behind,
    open_live_lab,
    talking,
)

from hookflash.backends.asterisk.procedures import AsteriskDialling
from hookflash.engine.engine import open_engine
from hookflash.engine.legs import Account
from hookflash.engine.rules import Rules
from hookflash.events import TransferOptions
from hookflash.pbx.pair import Pair
from hookflash.pbx.phones import get_variable
from hookflash.transfer_context import TransferContext

pytestmark = needs_another_asterisk

VALUE = "Ticket 4711: a.b+c*d#e_f@g/h=i?j%41~k!l-m"
"""All signs that a value may have."""
CONTEXT = TransferContext(
    variables=(("crm_ticket", VALUE),), headers=(("X-Ticket", VALUE), ("X-Queue", "sales"))
)
OPTIONS = TransferOptions(caller_number="4930123", caller_name="Support Team", context=CONTEXT)
RULES = Rules(variables_allowed=("crm_*",), caller_numbers_allowed=("4930*",))


@pytest.mark.parametrize("dialling", [DIRECT, DIALPLAN], ids=["direct", "dialplan"])
async def test_the_target_gets_variables_headers_and_a_caller_id(
    pair: Pair, dialling: AsteriskDialling
) -> None:
    async with (
        open_live_lab(pair, dialling) as lab,
        open_engine(lab.backend, account=Account(rules=RULES)) as engine,
    ):
        alice, bob = await lab.call()
        await both_known(engine, (alice, bob))
        transfer = await engine.transfer(alice, "2601", options=OPTIONS)
        target = f"{transfer.id}-target"
        phone = await lab.phone(target)  # it rings
        assert await lab.phones.shown(phone) == ("Support Team", "4930123")
        for header, value in CONTEXT.headers:
            asked = f"PJSIP_HEADER(read,{header})"
            assert await get_variable(lab.phones.telephones, phone, asked) == value
        assert await get_variable(lab.switch, target, "crm_ticket") == VALUE
        await lab.answer(target)
        await talking(engine, alice, target)
        await lab.hang_up(alice)
        with trio.fail_after(20):
            await transfer.outcome()
        await nothing_stays_behind(lab)
