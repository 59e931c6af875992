"""`/v2/accounts/{ACCOUNT_ID}/metaflows`: the account's feature codes, in Kazoo's shape."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from litestar import delete, get, patch, post
from litestar.datastructures import State
from litestar.params import JSONBody, QueryParameter
from msgspec import Struct

from hookflash.server.http.channels import AccountId
from hookflash.server.http.envelope import Answer, AnyRequest, answer, failures
from hookflash.server.http.sign_in import CallerOf
from hookflash.server.websocket.session import Doors

ApplyTo: TypeAlias = Annotated[
    Literal["new", "all"],
    QueryParameter(
        description="Calls that begin from now on, or those that are up as well.",
    ),
]

PATH = "/v2/accounts/{account_id:str}/metaflows"


class MetaflowsBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Feature codes, as [the reference](metaflows.md) has them."""

    data: dict[str, Any]


class MetaflowsPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A JSON merge patch (RFC 7396) of feature codes."""

    data: dict[str, Any]


@get(
    PATH,
    tags=["feature codes"],
    responses=failures(400, 401, 403, 429, 503),
    operation_id="getMetaflows",
    summary="The account's feature codes",
)
async def get_metaflows(
    request: AnyRequest, state: State, caller: CallerOf, account_id: AccountId
) -> Answer[dict[str, Any]]:
    """Look at what holds, with all defaults spelled out."""
    doors: Doors = state.doors
    return answer(request, doors.desk.metaflows(caller, account_id))


@post(
    PATH,
    status_code=200,
    tags=["feature codes"],
    responses=failures(400, 401, 403, 413, 429, 503),
    operation_id="setMetaflows",
    summary="Set the account's feature codes",
)
async def set_metaflows(
    request: AnyRequest,
    state: State,
    caller: CallerOf,
    account_id: AccountId,
    data: JSONBody[MetaflowsBody],
    apply_to: ApplyTo = "new",
) -> Answer[dict[str, Any]]:
    """Set all of them, in place of those that there were."""
    doors: Doors = state.doors
    holds = await doors.desk.set_metaflows(
        caller, account_id, data.data, for_calls_that_are_up=apply_to == "all"
    )
    return answer(request, holds)


@patch(
    PATH,
    tags=["feature codes"],
    responses=failures(400, 401, 403, 413, 429, 503),
    operation_id="patchMetaflows",
    summary="Change some of the account's feature codes",
)
async def patch_metaflows(
    request: AnyRequest,
    state: State,
    caller: CallerOf,
    account_id: AccountId,
    data: JSONBody[MetaflowsPatch],
    apply_to: ApplyTo = "new",
) -> Answer[dict[str, Any]]:
    """Change some (a JSON merge patch, RFC 7396: null takes a key away)."""
    doors: Doors = state.doors
    holds = await doors.desk.patch_metaflows(
        caller, account_id, data.data, for_calls_that_are_up=apply_to == "all"
    )
    return answer(request, holds)


@delete(
    PATH,
    status_code=200,
    tags=["feature codes"],
    responses=failures(400, 401, 403, 429, 503),
    operation_id="deleteMetaflows",
    summary="Forget what was set",
)
async def delete_metaflows(
    request: AnyRequest,
    state: State,
    caller: CallerOf,
    account_id: AccountId,
    apply_to: ApplyTo = "new",
) -> Answer[dict[str, Any]]:
    """Let the feature codes of the config hold again."""
    doors: Doors = state.doors
    holds = await doors.desk.set_metaflows(
        caller, account_id, None, for_calls_that_are_up=apply_to == "all"
    )
    return answer(request, holds)
