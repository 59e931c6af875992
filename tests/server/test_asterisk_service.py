"""`hookflash serve` on a real Asterisk, with two tenants: each has its own calls and codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from asterisk_lab import needs_asterisk, start_pair
from processes import asking, make_key, serving, write_config

from hookflash.pbx.pair import Pair
from hookflash.pbx.phones import Phones, open_phones

pytestmark = needs_asterisk

KEY_GAP_S = 0.12


@pytest.fixture
def pair() -> Pair:
    return start_pair()


async def test_two_tenants_share_a_switch_and_nothing_else(pair: Pair, tmp_path: Path) -> None:
    setup = pair.switch.setup
    config = write_config(
        tmp_path,
        f'kind = "asterisk"\nari_port = {setup.ports.http}\nami_port = {setup.ports.ami}\n'
        f'password = "{setup.secret}"',
        **{
            "accounts.acme.metaflows.patterns": "'2(\\d+)' = {module = \"transfer\"}",
            "accounts.beta.metaflows": 'binding_digit = "#"',
            "accounts.beta.metaflows.patterns": "'9(\\d+)' = {module = \"transfer\"}",
        },
    )
    keys = {account: make_key(tmp_path, account) for account in ("acme", "beta")}
    async with (
        open_phones(pair.telephones.login, pair.switch.login) as phones,
        serving(config) as service,
        asking(service, keys["acme"]) as acme,
        asking(service, keys["beta"], "beta") as beta,
    ):
        await phones.silence()
        callers = {
            "acme": await phones.call("1201", "1202"),
            "beta": await phones.call("1601", "1602"),
            "outside": await phones.call("4930555", "1203"),
        }
        # who calls from outside belongs to nobody, and the call to the account that it reaches
        seen = await _calls(acme, 4)
        assert {"1201", "1202", "1203"} < seen.keys()
        assert {number[:2] for number in seen} == {"12", "49"}
        theirs = await _calls(beta, 2)
        assert theirs.keys() == {"1601", "1602"}

        # a key can neither see nor touch the calls of another account
        for asks, foreign, name in ((acme, theirs["1601"], "beta"), (beta, seen["1201"], "acme")):
            assert (await asks.get(f"channels/{foreign}")).status_code == 404
            body = {"data": {"action": "transfer", "target": "2600"}}
            assert (await asks.post(f"channels/{foreign}", json=body)).status_code == 404
            url = f"{service.http}/v2/accounts/{name}/channels"
            assert (await asks.get(url)).status_code == 403

        # the codes of another account are none, and neither are those of an outside party
        async with trio.open_nursery() as nursery:
            for account, code in (("acme", "#92600#"), ("beta", "*22600#"), ("outside", "*22600#")):
                nursery.start_soon(_press, phones, callers[account], code)
        await trio.sleep(1.0)
        assert await _transfers(acme) == []
        assert await _transfers(beta) == []

        async with trio.open_nursery() as nursery:
            nursery.start_soon(_press, phones, callers["acme"], "*22600#")
            nursery.start_soon(_press, phones, callers["beta"], "#92600#")
        for asks, legs in ((acme, seen), (beta, theirs)):
            transfer = await _consulting(asks)
            assert transfer["transferor"]["call_id"] in legs.values()
        for account in ("acme", "beta"):
            await phones.hang_up(callers[account])
        for asks in (acme, beta):
            assert await _outcome(asks) == "transferred"
        await phones.silence()


async def _press(phones: Phones, phone: str, digits: str) -> None:
    for digit in digits:
        await phones.press(phone, digit)
        await trio.sleep(KEY_GAP_S)


async def _look(client: httpx.AsyncClient, path: str) -> Any:
    answered = await client.get(path)
    assert answered.status_code == 200, answered.text
    return answered.json()["data"]


async def _calls(client: httpx.AsyncClient, count: int) -> dict[str, str]:
    """The legs of an account by number, when there are so many, and all of them talk."""
    with trio.fail_after(20):
        while True:
            legs = await _look(client, "channels")
            if len(legs) >= count and all(leg["other_leg_call_id"] for leg in legs):
                return {leg["number"]: leg["call_id"] for leg in legs}
            await trio.sleep(0.05)


async def _transfers(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    return await _look(client, "transfers")


async def _consulting(client: httpx.AsyncClient) -> dict[str, Any]:
    with trio.fail_after(20):
        while True:
            for transfer in await _transfers(client):
                if transfer["state"] == "consulting":
                    return transfer
            await trio.sleep(0.05)


async def _outcome(client: httpx.AsyncClient) -> str:
    with trio.fail_after(20):
        while True:
            (transfer,) = await _transfers(client)
            if transfer["outcome"]:
                return transfer["outcome"]
            await trio.sleep(0.05)
