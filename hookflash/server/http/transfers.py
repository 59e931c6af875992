"""`/v2/accounts/{ACCOUNT_ID}/transfers`: transfers in flight and past."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal, TypeAlias

from litestar import Response, delete, get, post
from litestar.datastructures import State
from litestar.params import PathParameter, QueryParameter

from hookflash.errors import InputError
from hookflash.server.desk import Page
from hookflash.server.http.channels import AccountId, IdempotencyKey
from hookflash.server.http.envelope import (
    Answer,
    AnyRequest,
    Listed,
    answer,
    failures,
    request_id_of,
)
from hookflash.server.http.sign_in import CallerOf
from hookflash.server.websocket.session import Doors
from hookflash.server.wire import Taken, TransferView

TransferId: TypeAlias = Annotated[str, PathParameter(max_length=64, description="A transfer.")]
Outcome: TypeAlias = Literal[
    "running", "transferred", "taken_back", "reconnected", "abandoned", "failed"
]
Time: TypeAlias = Annotated[
    str | None,
    QueryParameter(
        max_length=40,
        description="A time of day (RFC 3339), such as `2026-11-24T06:00:00Z`.",
    ),
]


def _time(text: str | None, field: str) -> float | None:
    if text is None:
        return None
    try:
        told = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError as error:
        raise InputError("is no time", where=field, hint="2026-11-24T06:00:00Z, say") from error
    try:
        return (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp()
    except (OverflowError, OSError) as error:
        raise InputError("is too far away", where=field) from error


@get(
    "/v2/accounts/{account_id:str}/transfers",
    tags=["transfers"],
    responses=failures(400, 401, 403, 429, 503),
    operation_id="listTransfers",
    summary="Transfers in flight and past, the newest first",
)
async def list_transfers(
    request: AnyRequest,
    state: State,
    caller: CallerOf,
    account_id: AccountId,
    outcome: Annotated[
        Outcome | None,
        QueryParameter(description="How they ended; `running`: those that have not."),
    ] = None,
    begun_from: Time = None,
    begun_before: Time = None,
    page_size: Annotated[
        int, QueryParameter(ge=1, le=200, description="How many there may be on a page.")
    ] = 50,
    start_key: Annotated[
        str | None,
        QueryParameter(max_length=200, description="The `next_start_key` of the page before."),
    ] = None,
) -> Listed[list[TransferView]]:
    """Look through an account's transfers, a page at a time."""
    doors: Doors = state.doors
    page = Page(
        outcome=outcome,
        begun_from=_time(begun_from, "begun_from"),
        begun_before=_time(begun_before, "begun_before"),
        start_key=start_key,
        size=page_size,
    )
    found, more = await doors.desk.transfers(caller, account_id, page)
    return Listed(
        data=found,
        page_size=len(found),
        next_start_key=more,
        request_id=request_id_of(request),
    )


@get(
    "/v2/accounts/{account_id:str}/transfers/{transfer_id:str}",
    tags=["transfers"],
    responses=failures(400, 401, 403, 404, 429, 503),
    operation_id="getTransfer",
    summary="One transfer, with its timeline",
)
async def get_transfer(
    request: AnyRequest,
    state: State,
    caller: CallerOf,
    account_id: AccountId,
    transfer_id: TransferId,
) -> Answer[TransferView]:
    """Look at one transfer: who is in it, where it stands, and all that has happened in it."""
    doors: Doors = state.doors
    return answer(request, await doors.desk.transfer_view(caller, account_id, transfer_id))


@delete(
    "/v2/accounts/{account_id:str}/transfers/{transfer_id:str}",
    status_code=202,
    tags=["transfers"],
    responses=failures(400, 401, 403, 404, 409, 422, 429, 503),
    operation_id="takeBack",
    summary="Take the transferee back",
)
async def take_back(
    request: AnyRequest,
    state: State,
    caller: CallerOf,
    account_id: AccountId,
    transfer_id: TransferId,
    idempotency_key: IdempotencyKey = None,
) -> Response[Answer[Taken]]:
    """End a transfer: the target is let go, transferor and transferee talk again."""
    doors: Doors = state.doors

    async def act() -> tuple[int, Taken]:
        return 202, await doors.desk.take_back(caller, account_id, transfer_id)

    status, taken = await doors.answers.once(
        caller, idempotency_key, ("takeback", account_id, transfer_id), Taken, act
    )
    return Response(answer(request, taken), status_code=status)


@post(
    "/v2/accounts/{account_id:str}/transfers/{transfer_id:str}/complete",
    status_code=202,
    tags=["transfers"],
    responses=failures(400, 401, 403, 404, 409, 422, 429, 503),
    operation_id="completeTransfer",
    summary="Hand over now",
)
async def complete_transfer(
    request: AnyRequest,
    state: State,
    caller: CallerOf,
    account_id: AccountId,
    transfer_id: TransferId,
    idempotency_key: IdempotencyKey = None,
) -> Response[Answer[Taken]]:
    """Let the transferor go, and transferee and target talk, as if the transferor had hung up."""
    doors: Doors = state.doors

    async def act() -> tuple[int, Taken]:
        return 202, await doors.desk.complete(caller, account_id, transfer_id)

    status, taken = await doors.answers.once(
        caller, idempotency_key, ("complete", account_id, transfer_id), Taken, act
    )
    return Response(answer(request, taken), status_code=status)
