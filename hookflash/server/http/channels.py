"""`/v2/accounts/{ACCOUNT_ID}/channels`: the legs of an account's calls, and what they are to do."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from litestar import Response, get, post
from litestar.datastructures import ResponseHeader, State
from litestar.openapi.spec import Example
from litestar.params import HeaderParameter, JSONBody, PathParameter, QueryParameter
from msgspec import Struct, field

from hookflash.errors import InputError
from hookflash.server.http.envelope import Answer, AnyRequest, Asked, answer, failures
from hookflash.server.http.sign_in import CallerOf
from hookflash.server.read_config import ALLOWED_NAME
from hookflash.server.websocket.session import Doors
from hookflash.server.wire import (
    NOTHING_FOLLOWS,
    Channel,
    RingTimeout,
    SoundText,
    TakebackDigits,
    Taken,
    Target,
    TransferAsk,
)

AccountId: TypeAlias = Annotated[
    str,
    PathParameter(
        pattern=rf"^{ALLOWED_NAME.pattern}{NOTHING_FOLLOWS}",
        description="Whose; `default` where nobody is told apart.",
        examples=[Example(value="default")],
    ),
]
CallId: TypeAlias = Annotated[str, PathParameter(max_length=64, description="One leg of a call.")]
SwitchName: TypeAlias = Annotated[
    str | None,
    QueryParameter(max_length=64, description="Where, if two switches have a call of this id."),
]
IdempotencyKey: TypeAlias = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        min_length=1,
        max_length=128,
        description="A repeat under the same key does nothing, and is answered as the first was.",
    ),
]


TRANSFER_AT: Final = ResponseHeader(
    name="Location", documentation_only=True, description="Where the transfer can be looked at."
)


class Action(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be done to a call."""

    action: Literal["transfer", "takeback", "resume", "complete", "hold", "hangup"]
    """`transfer` the party that this call talks with; `takeback` (or `resume`) it; `complete` the
    transfer; `hold` the party; `hangup` this call."""
    target: Target | None = None
    """For `transfer`."""
    takeback_dtmf: TakebackDigits | None = None
    """For `transfer`."""
    moh: SoundText | None = None
    """For `transfer` and `hold`: what the held party hears."""
    ringback: SoundText | None = None
    """For `transfer`: what is heard while the target rings."""
    transfer_type: Literal["attended", "blind"] | None = None
    """For `transfer`; attended by default."""
    kazoo_transfer_type: Literal["attended", "blind"] | None = field(
        name="transfer-type", default=None
    )
    """The same, as Kazoo spells it."""
    timeout: RingTimeout | None = None
    """For `transfer`."""


class Act(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be done."""

    data: Action


_GOES_WITH = {
    "target": ("transfer",),
    "takeback_dtmf": ("transfer",),
    "moh": ("transfer", "hold"),
    "ringback": ("transfer",),
    "transfer_type": ("transfer",),
    "kazoo_transfer_type": ("transfer",),
    "timeout": ("transfer",),
}


def _check(asked: Action) -> None:
    """See that every field counts: none is dropped without a word."""
    for name, actions in _GOES_WITH.items():
        if getattr(asked, name) is not None and asked.action not in actions:
            raise InputError(
                f"means nothing to {asked.action}",
                where=f"data.{name}",
                hint=f"it goes with {' and '.join(actions)}",
            )
    one, other = asked.transfer_type, asked.kazoo_transfer_type
    if one is not None and other is not None and one != other:
        raise InputError("is given twice, differently", where="data.transfer_type", hint="one")
    if asked.action == "transfer" and asked.target is None:
        raise InputError("is missing", where="data.target", hint="the number to call")


@get(
    "/v2/accounts/{account_id:str}/channels",
    tags=["calls"],
    responses=failures(400, 401, 403, 429, 503),
    operation_id="listChannels",
    summary="The legs of the account's calls",
)
async def list_channels(
    request: AnyRequest, state: State, caller: CallerOf, account_id: AccountId
) -> Answer[list[Channel]]:
    """List every leg that the account's calls have now."""
    doors: Doors = state.doors
    return answer(request, doors.desk.channels(caller, account_id))


@get(
    "/v2/accounts/{account_id:str}/channels/{call_id:str}",
    tags=["calls"],
    responses=failures(400, 401, 403, 404, 409, 429, 503),
    operation_id="getChannel",
    summary="One leg",
)
async def get_channel(
    request: AnyRequest,
    state: State,
    caller: CallerOf,
    account_id: AccountId,
    call_id: CallId,
    switch: SwitchName = None,
) -> Answer[Channel]:
    """Look at one leg."""
    doors: Doors = state.doors
    return answer(request, doors.desk.channel(caller, account_id, call_id, switch))


@post(
    "/v2/accounts/{account_id:str}/channels/{call_id:str}",
    status_code=202,
    tags=["calls"],
    responses=failures(400, 401, 403, 404, 409, 413, 422, 429, 503),
    operation_id="actOnChannel",
    response_headers=[TRANSFER_AT],
    summary="Transfer, take back, complete, hold, hang up",
)
async def act_on_channel(
    request: Asked,
    state: State,
    caller: CallerOf,
    account_id: AccountId,
    call_id: CallId,
    data: JSONBody[Act],
    switch: SwitchName = None,
    idempotency_key: IdempotencyKey = None,
) -> Response[Answer[Taken]]:
    """Have something done to a call. It is answered when the engine has taken it."""
    doors: Doors = state.doors
    asked = (await request.strictly(type(data))).data
    _check(asked)

    asked_in_full = (account_id, call_id, switch, asked)
    name = doors.answers.name(caller, idempotency_key, asked_in_full)

    async def act() -> tuple[int, Taken]:
        return 202, await _act(doors, caller, account_id, call_id, asked, switch, name)

    status, taken = await doors.answers.once(caller, idempotency_key, asked_in_full, Taken, act)
    headers = {"Location": taken.url} if taken.url else None
    return Response(answer(request, taken), status_code=status, headers=headers)


async def _act(
    doors: Doors,
    caller: CallerOf,
    account: str,
    call: str,
    asked: Action,
    switch: str | None,
    name: str | None,
) -> Taken:
    desk = doors.desk
    match asked.action:
        case "transfer":
            return await desk.transfer(caller, account, call, _wanted(asked), switch, name=name)
        case "hold":
            return await desk.hold(caller, account, call, asked.moh, switch)
        case "takeback" | "resume":
            return await desk.take_back_by_call(caller, account, call, switch)
        case "complete":
            return await desk.complete_by_call(caller, account, call, switch)
        case "hangup":
            return await desk.hang_up(caller, account, call, switch)


def _wanted(asked: Action) -> TransferAsk:
    return TransferAsk(
        target=asked.target or "",
        transfer_type=asked.transfer_type or asked.kazoo_transfer_type or "attended",
        takeback_dtmf=asked.takeback_dtmf,
        moh=asked.moh,
        ringback=asked.ringback,
        timeout=asked.timeout,
    )
