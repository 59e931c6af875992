"""The client: one method for each operation of the table, and events."""

from __future__ import annotations

import ssl
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Concatenate, ParamSpec, TypeAlias

import msgspec
import trio

from hookflash.api import requests as r
from hookflash.client.connection import Connection
from hookflash.client.events import EventStream
from hookflash.client.stream import check_url
from hookflash.errors import HookflashError, first_of

P = ParamSpec("P")
Method: TypeAlias = Callable[Concatenate["Client", P], Awaitable[Any]]


def _sends(request: Callable[P, r.ApiRequest]) -> Method[P]:
    """Make the method that sends a request: its parameters are the request's fields."""

    async def method(self: Client, *args: P.args, **fields: P.kwargs) -> Any:
        return await self.send(request(*args, **fields))

    method.__doc__ = request.__doc__
    return method


class Client:
    """A connection to a service that heals. Open it with `connect`.

    Each operation is a method; its parameters are the fields of the WebSocket message, all given by
    name, and it returns the `data` of the reply. A request whose connection is lost is sent again;
    a command has an idempotency key, so that the service performs it only once.
    """

    list_calls = _sends(r.ListCallsRequest)
    get_call = _sends(r.GetCallRequest)
    transfer = _sends(r.TransferRequest)
    hold = _sends(r.HoldRequest)
    park = _sends(r.ParkRequest)
    pick_up = _sends(r.PickUpRequest)
    take_back = _sends(r.TakeBackRequest)
    complete = _sends(r.CompleteRequest)
    give_number = _sends(r.GiveNumberRequest)
    swap = _sends(r.SwapRequest)
    accept = _sends(r.AcceptRequest)
    decline = _sends(r.DeclineRequest)
    three_way = _sends(r.ThreeWayRequest)
    hang_up = _sends(r.HangUpRequest)
    list_transfers = _sends(r.ListTransfersRequest)
    get_transfer = _sends(r.GetTransferRequest)
    get_metaflows = _sends(r.GetMetaflowsRequest)
    set_metaflows = _sends(r.SetMetaflowsRequest)
    patch_metaflows = _sends(r.PatchMetaflowsRequest)
    reset_metaflows = _sends(r.ResetMetaflowsRequest)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def reconnects(self) -> int:
        """How often a lost connection was opened again."""
        return self._connection.reconnects

    async def send(self, request: r.ApiRequest) -> Any:
        """Send a request, and wait for its reply.

        Args:
            request: one of the values of `hookflash.api.requests`.

        Returns:
            The `data` of the reply.

        Raises:
            RefusedByService: the service refuses it; the message says why.
            ConnectionLost: the client is closed.
        """
        if isinstance(request, r.ApiCommand) and request.idempotency_key is None:
            request = msgspec.structs.replace(request, idempotency_key=uuid.uuid4().hex)
        return await self._connection.ask(r.name_of(type(request)), msgspec.structs.asdict(request))

    def events(
        self,
        *,
        account_id: str | None = None,
        call_id: str | None = None,
        transfer_id: str | None = None,
        kinds: tuple[str, ...] | None = None,
        after: int | None = None,
    ) -> EventStream:
        """Subscribe to events, over every lost connection, without a gap or a repeat.

        Args:
            account_id: only this account; with an administrator's key, all by default.
            call_id: only this call.
            transfer_id: only this transfer; the stream ends with it.
            kinds: only these kinds (`transfer.*`).
            after: resume after this number. `None`: new events only, from the moment when the
                first one is asked for; for a transfer, from its beginning.

        Returns:
            Events, in the order of their numbers, for `async for`. It raises `RefusedByService` if
            the service refuses the subscription.
        """
        wanted = {
            "account_id": account_id,
            "call_id": call_id,
            "transfer_id": transfer_id,
            "kinds": list(kinds) if kinds is not None else None,
        }
        return EventStream(self._connection, wanted, after, transfer_id)


@asynccontextmanager
async def connect(
    url: str,
    *,
    api_key: str | None = None,
    token: str | None = None,
    tls: ssl.SSLContext | None = None,
    longest_pause_s: float = 15.0,
) -> AsyncGenerator[Client]:
    """Connect to a service, and stay connected.

    Args:
        url: the WebSocket's, such as `ws://127.0.0.1:8081/v2/events`.
        api_key: an API key.
        token: a token, in place of the key. It expires; a connection that is lost after that
            can't be opened again.
        tls: for `wss`: a context that checks the certificate; the system's by default.
        longest_pause_s: the longest back-off between two attempts to reconnect.

    Yields:
        The client, once it is connected.

    Raises:
        RefusedByService: the key or token is invalid.
        BackendError: the service can't be reached.
        InputError: the URL is invalid.
    """
    check_url(url)
    credentials = {"api_key": api_key} if api_key is not None else {"token": token or ""}
    connection = Connection(url, credentials, tls=tls, longest_pause_s=longest_pause_s)
    failed: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(connection.run)
            try:
                yield Client(connection)
            except Exception as error:  # noqa: BLE001 - it is raised below as it was
                failed = error
            if not connection.close():
                nursery.cancel_scope.cancel()
    except* HookflashError as errors:
        failed = first_of(errors) if failed is None else failed
    if failed is not None:
        raise failed
