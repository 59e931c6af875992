"""`hookflash watch`, `transfer` and others: control a running service from a terminal."""

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
    str, Parameter(env_var="HOOKFLASH_URL", help="URL of the service's WebSocket.")
]
ApiKey: TypeAlias = Annotated[
    str, Parameter(env_var="HOOKFLASH_KEY", show=False, help="API key; prefer HOOKFLASH_KEY.")
]
AccountId: TypeAlias = Annotated[
    str | None, Parameter(help="Account ID; a key of one account may leave it out.")
]

DEFAULT_URL = "ws://127.0.0.1:8081/v2/events"


def watch(
    *,
    url: Url = DEFAULT_URL,
    key: ApiKey = "",
    account: AccountId = None,
    call: Annotated[str | None, Parameter(help="Only this call.")] = None,
    transfer: Annotated[str | None, Parameter(help="Only this transfer, until it ends.")] = None,
    kinds: Annotated[
        tuple[str, ...] | None, Parameter(help="Only these kinds, such as transfer.*")
    ] = None,
    after: Annotated[int | None, Parameter(help="Resume after this event number.")] = None,
    count: Annotated[
        int | None,
        Parameter(validator=validators.Number(gte=1), help="Stop after this many events."),
    ] = None,
    json_output: Annotated[
        bool, Parameter(name="--json", negative="", help="Print one JSON object a line.")
    ] = False,
) -> int:
    """Print events as they happen, until Ctrl-C.

    Example: hookflash watch --kinds "transfer.*"
    """

    async def follow(client: Client) -> None:
        console = terminal()
        seen = 0
        async for event in client.events(
            account_id=account, call_id=call, transfer_id=transfer, kinds=kinds, after=after
        ):
            _print_event(console, event, json_output=json_output)
            seen += 1
            if seen == count:
                return

    _with_client(url, key, follow)
    return 0


def transfer(
    call: Annotated[str, Parameter(help="ID of the transferor's leg.")],
    target: Annotated[str, Parameter(help="The number to call.")],
    /,
    *,
    url: Url = DEFAULT_URL,
    key: ApiKey = "",
    account: AccountId = None,
    transfer_type: Annotated[
        Literal["attended", "blind", "move"], Parameter(name="--type")
    ] = "attended",
    follow: Annotated[bool, Parameter(help="Print events until the transfer ends.")] = True,
) -> int:
    """Transfer the party that a leg talks with.

    Example: hookflash transfer CALL_ID 2600
    """

    async def act(client: Client) -> None:
        console = terminal()
        accepted = await client.transfer(
            call_id=call, target=target, transfer_type=transfer_type, account_id=account
        )
        console.print(f"transfer {plain(accepted['transfer_id'])}")
        if follow:
            events = client.events(account_id=account, transfer_id=accepted["transfer_id"])
            async for event in events:
                _print_event(console, event, json_output=False)

    _with_client(url, key, act)
    return 0


def calls(
    *,
    url: Url = DEFAULT_URL,
    key: ApiKey = "",
    account: AccountId = None,
) -> int:
    """List the legs of the account's calls, one JSON object a line.

    Example: hookflash calls
    """

    async def act(client: Client) -> None:
        for call in await client.list_calls(account_id=account):
            print(json.dumps(call))

    _with_client(url, key, act)
    return 0


def complete(
    transfer: Annotated[str, Parameter(help="ID of a transfer in flight.")],
    /,
    *,
    url: Url = DEFAULT_URL,
    key: ApiKey = "",
    account: AccountId = None,
) -> int:
    """Complete a transfer now: transferee and target talk with each other.

    Example: hookflash complete TRANSFER_ID
    """

    async def act(client: Client) -> None:
        await client.complete(transfer_id=transfer, account_id=account)

    _with_client(url, key, act)
    return 0


def takeback(
    transfer: Annotated[str, Parameter(help="ID of a transfer in flight.")],
    /,
    *,
    url: Url = DEFAULT_URL,
    key: ApiKey = "",
    account: AccountId = None,
) -> int:
    """Take the transferee back: transferor and transferee talk again.

    Example: hookflash takeback TRANSFER_ID
    """

    async def act(client: Client) -> None:
        await client.take_back(transfer_id=transfer, account_id=account)

    _with_client(url, key, act)
    return 0


def _with_client(url: str, key: str, act: Any) -> None:
    if not key:
        raise InputError("no API key", hint="export HOOKFLASH_KEY; see `hookflash keys make`")

    async def main() -> None:
        async with connect(url, api_key=key) as client:
            await act(client)

    ended: BaseException | None = None  # raised as one error, not as a group
    try:
        trio.run(main)
    except* KeyboardInterrupt:
        ended = KeyboardInterrupt()
    except* (BrokenPipeError, SystemExit):  # rich turns the first into the second
        ended = BrokenPipeError()
    if ended is not None:
        raise ended


def _print_event(console: Console, event: Mapping[str, Any], *, json_output: bool) -> None:
    if json_output:
        print(json.dumps(event), flush=True)
        return
    what = event.get("outcome") or event.get("state") or ""
    cause = f" ({event['cause']})" if event.get("cause") else ""
    shown = f"{event['number']:>6} {event['at']} {event['kind']:<20} {what}{cause}"
    console.print(plain(f"{shown}  {event.get('why', '')}"), soft_wrap=True)
