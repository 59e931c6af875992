"""`hookflash watch` and `hookflash transfer`: a service that is elsewhere, from a terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

import trio
from cyclopts import Parameter, validators
from rich.console import Console

from hookflash.cli.terminal import plain, terminal
from hookflash.client import Client, connect
from hookflash.errors import InputError

Url: TypeAlias = Annotated[
    str, Parameter(env_var="HOOKFLASH_URL", help="Of the service's WebSocket.")
]
ApiKey: TypeAlias = Annotated[
    str, Parameter(env_var="HOOKFLASH_KEY", show=False, help="A key; better by HOOKFLASH_KEY.")
]
AccountId: TypeAlias = Annotated[
    str | None, Parameter(help="Whose; a key of one account needs none.")
]

DEFAULT_URL = "ws://127.0.0.1:8081/v2/events"


def watch(
    *,
    url: Url = DEFAULT_URL,
    key: ApiKey = "",
    account: AccountId = None,
    call: Annotated[str | None, Parameter(help="Of this call only.")] = None,
    transfer: Annotated[str | None, Parameter(help="Of this transfer only, to its end.")] = None,
    kinds: Annotated[
        tuple[str, ...] | None, Parameter(help="Of these kinds only: transfer.*, say.")
    ] = None,
    after: Annotated[int | None, Parameter(help="From after this number on.")] = None,
    count: Annotated[
        int | None, Parameter(validator=validators.Number(gte=1), help="So many, and no more.")
    ] = None,
    json_output: Annotated[
        bool, Parameter(name="--json", negative="", help="A JSON object a line.")
    ] = False,
) -> int:
    """Follow what happens, until Ctrl-C."""

    async def follow(client: Client) -> None:
        console = terminal()
        seen = 0
        async for happening in client.events(
            account_id=account, call_id=call, transfer_id=transfer, kinds=kinds, after=after
        ):
            _tell(console, happening, json_output=json_output)
            seen += 1
            if seen == count:
                return

    _with_client(url, key, follow)
    return 0


def transfer(
    call: Annotated[str, Parameter(help="The transferor's leg.")],
    target: Annotated[str, Parameter(help="The number to call.")],
    /,
    *,
    url: Url = DEFAULT_URL,
    key: ApiKey = "",
    account: AccountId = None,
    transfer_type: Annotated[Literal["attended", "blind"], Parameter(name="--type")] = "attended",
    follow: Annotated[bool, Parameter(help="Tell what happens, to the end.")] = True,
) -> int:
    """Transfer the party that a call talks with."""

    async def act(client: Client) -> None:
        console = terminal()
        taken = await client.transfer(call, target, transfer_type=transfer_type, account_id=account)
        console.print(f"transfer {plain(taken['transfer_id'])}")
        if follow:
            events = client.events(account_id=account, transfer_id=taken["transfer_id"])
            async for happening in events:
                _tell(console, happening, json_output=False)

    _with_client(url, key, act)
    return 0


def calls(
    *,
    url: Url = DEFAULT_URL,
    key: ApiKey = "",
    account: AccountId = None,
) -> int:
    """List the legs of the account's calls, as JSON, one a line."""

    async def act(client: Client) -> None:
        for call in await client.calls(account):
            print(json.dumps(call))

    _with_client(url, key, act)
    return 0


def complete(
    transfer: Annotated[str, Parameter(help="A transfer in flight.")],
    /,
    *,
    url: Url = DEFAULT_URL,
    key: ApiKey = "",
    account: AccountId = None,
) -> int:
    """Hand over now."""

    async def act(client: Client) -> None:
        await client.complete(transfer, account_id=account)

    _with_client(url, key, act)
    return 0


def takeback(
    transfer: Annotated[str, Parameter(help="A transfer in flight.")],
    /,
    *,
    url: Url = DEFAULT_URL,
    key: ApiKey = "",
    account: AccountId = None,
) -> int:
    """Have the transferee back."""

    async def act(client: Client) -> None:
        await client.take_back(transfer, account_id=account)

    _with_client(url, key, act)
    return 0


def _with_client(url: str, key: str, act: Any) -> None:
    if not key:
        raise InputError("there is no key", hint="export HOOKFLASH_KEY=…; `hookflash keys make`")

    async def main() -> None:
        async with connect(url, api_key=key) as client:
            await act(client)

    ended: BaseException | None = None  # told as one, and not as a group of them
    try:
        trio.run(main)
    except* KeyboardInterrupt:
        ended = KeyboardInterrupt()
    except* (BrokenPipeError, SystemExit):  # the terminal's library has the second for the first
        ended = BrokenPipeError()
    if ended is not None:
        raise ended


def _tell(console: Console, happening: Mapping[str, Any], *, json_output: bool) -> None:
    if json_output:
        print(json.dumps(happening), flush=True)
        return
    what = happening.get("outcome") or happening.get("state") or ""
    cause = f" ({happening['cause']})" if happening.get("cause") else ""
    told = f"{happening['number']:>6} {happening['at']} {happening['kind']:<20} {what}{cause}"
    console.print(plain(f"{told}  {happening.get('why', '')}"), soft_wrap=True)
