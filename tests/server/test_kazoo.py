"""Programs that were written for Kazoo: its SDK, unchanged, and what its web pages send."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from lab import Lab
from processes import make_key, serving, write_config
from trio.testing import MockClock

ACCOUNT = "/accounts/acme"


class Sdk:
    """`kazoo-sdk`: blocking, so in a thread."""

    def __init__(self, http: str, **who: str) -> None:
        # imported here: it has no types, and nothing else needs it
        self.kazoo: Any = pytest.importorskip("kazoo")
        self.client: Any = self.kazoo.Client(base_url=f"{http}/v2", **who)

    async def ask(self, path: str, method: str = "get", **data: Any) -> Any:
        """A request of any resource, as the SDK makes those that it has methods for."""
        request = self.kazoo.request_objects.KazooRequest(ACCOUNT + path, method=method)
        more: dict[str, Any] = {"data": data} if data else {}
        execute = partial(self.client._execute_request, request, **more)
        return (await trio.to_thread.run_sync(execute))["data"]

    async def until(self, path: str, has: Callable[[Any], bool]) -> Any:
        with trio.fail_after(30):
            while not has(found := await self.ask(path)):
                await trio.sleep(0.05)
        return found

    async def error_of(self, path: str, method: str = "get", **data: Any) -> Any:
        with pytest.raises(RuntimeError) as caught:
            await self.ask(path, method, **data)
        return caught.value


@pytest.mark.slow
async def test_the_sdk_lists_transfers_and_reads_answers(tmp_path: Path) -> None:
    calls = 'kind = "simulator"\naccount = "acme"\ncalls = [["1001", "1002"]]'
    key = make_key(tmp_path)
    async with serving(write_config(tmp_path, calls)) as service:
        sdk = Sdk(service.http, api_key=key)
        await trio.to_thread.run_sync(sdk.client.authenticate)
        assert sdk.client.auth_data["data"]["account_id"] == "acme"

        legs = await sdk.until("/channels", lambda legs: legs and legs[0]["other_leg"])
        (alice,) = [leg for leg in legs if leg["direction"] == "inbound"]
        assert alice["destination"] == "1002"
        one = await sdk.ask(f"/channels/{alice['uuid']}")
        assert (one["answered"], one["other_leg"]) == (True, alice["other_leg"])

        asked = {"action": "transfer", "target": "2600", "takeback_dtmf": "*1"}
        accepted = await sdk.ask(f"/channels/{alice['uuid']}", "post", **asked)
        path = f"/transfers/{accepted['transfer_id']}"
        await sdk.until(path, lambda transfer: transfer["state"] == "consulting")
        await sdk.ask(path, "delete")
        ended = await sdk.until(path, lambda transfer: transfer["outcome"])
        assert ended["outcome"] == "taken_back"
        listed, transfers = await trio.to_thread.run_sync(
            sdk.client.manual_request, f"{ACCOUNT}/transfers"
        )
        assert (listed, [one["id"] for one in transfers]) == (True, [ended["id"]])

        # its errors are those of Kazoo
        error = await sdk.error_of(f"/channels/{alice['uuid']}", "post", action="fly")
        assert isinstance(error, sdk.kazoo.exceptions.KazooApiBadDataError)
        assert "action" in error.field_errors
        missing = await sdk.error_of("/channels/nobody")
        assert isinstance(missing, sdk.kazoo.exceptions.KazooApiError)

        # nobody has a user name and a password here
        person = Sdk(service.http, username="a", password="b", account_name="acme")  # noqa: S106
        with pytest.raises(sdk.kazoo.exceptions.KazooApiError):
            await trio.to_thread.run_sync(person.client.authenticate)
        stranger = Sdk(service.http, api_key="hookflash_wrong")
        with pytest.raises(sdk.kazoo.exceptions.KazooApiAuthenticationError):
            await trio.to_thread.run_sync(stranger.client.authenticate)


async def test_what_kazoos_clients_put_beside_the_data(autojump_clock: MockClock, lab: Lab) -> None:
    alice, _ = await lab.call()
    path = f"channels/{alice}"
    envelope: dict[str, Any] = {
        "data": {"action": "transfer", "target": "2600"},
        "verb": "post",
        "auth_token": "whatever",
        "accept_charset": "UTF-8",
        "ui_metadata": {"ui": "monster-ui", "version": "5.1.6", "origin": "common"},
    }
    accepted = await lab.acme.ask("POST", path, json=envelope)
    assert accepted.status_code == 202, accepted.text

    tunnelled = await lab.acme.ask("POST", path, json={**envelope, "verb": "delete"})
    assert tunnelled.status_code == 400
    assert "verb" in tunnelled.json()["data"]
    unknown = await lab.acme.ask("POST", path, json={**envelope, "extra": 1})
    assert unknown.status_code == 400

    key = await lab.make_key("acme")
    sign_in = {**envelope, "data": {"api_key": key}, "verb": "PUT"}
    assert (await lab.nobody.ask("PUT", "/v2/api_auth", json=sign_in)).status_code == 201
