"""`PUT /v2/api_auth`: a token for a key. And whose token a request carries."""

from __future__ import annotations

from typing import Annotated

from litestar import put
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct

from hookflash.errors import Unauthorized
from hookflash.server.desk import Caller
from hookflash.server.http.envelope import AnyRequest, failures, request_id_of
from hookflash.server.websocket.session import Doors


class Credentials(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key."""

    api_key: Annotated[str, Meta(min_length=1, max_length=200)]


class SignIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who asks."""

    data: Credentials


class SignedIn(Struct, frozen=True, kw_only=True):
    """What the key is for."""

    account_id: str | None
    """Null for an administrator's key."""
    expires_in_s: float


class SignedInAnswer(Struct, frozen=True, kw_only=True):
    """A token."""

    auth_token: str
    """Goes into `X-Auth-Token`, or into `Authorization: Bearer …`."""
    data: SignedIn
    request_id: str
    status: str = "success"


def address_of(request: AnyRequest) -> str:
    """Where a request comes from."""
    return request.client.host if request.client else ""


async def caller_of(request: AnyRequest, state: State) -> Caller:
    """Whose token a request carries.

    Raises:
        Unauthorized: none, or one that does not count.
    """
    doors: Doors = state.doors
    token = request.headers.get("x-auth-token")
    if token is None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthorized("no token: send one as X-Auth-Token, or as Authorization: Bearer")
    return await doors.access.caller_of(token.strip(), address_of(request))


CallerOf = NamedDependency[Caller]


@put(
    "/v2/api_auth",
    status_code=201,
    tags=["sign in"],
    responses=failures(400, 401, 413, 429, 503),
    operation_id="signIn",
    summary="Get a token for a key",
    security=[{}],
)
async def sign_in(request: AnyRequest, state: State, data: JSONBody[SignIn]) -> SignedInAnswer:
    """Show a key, and get a token that counts for a while."""
    doors: Doors = state.doors
    token, text = await doors.access.sign_in(data.data.api_key, address_of(request))
    return SignedInAnswer(
        auth_token=text,
        data=SignedIn(account_id=token.account, expires_in_s=doors.limits.token_lifetime_s),
        request_id=request_id_of(request),
    )
