"""`PUT /v2/api_auth`: a token for a key. And whose token a request carries."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

from litestar import put
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler
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


AnyConnection: TypeAlias = ASGIConnection[Any, Any, Any, State]


def address_of(connection: AnyConnection) -> str:
    """Where a request comes from."""
    return connection.client.host if connection.client else ""


OPEN_TO_ALL: Final = {"open to all": True}
"""How a handler says that it asks for no token. All others do."""


async def signed_in(connection: AnyConnection, handler: BaseRouteHandler) -> None:
    """Let nobody in without a token that counts; before anything that they have sent is read.

    Raises:
        Unauthorized: there is none, or one that does not count.
        RequestRefused: too many wrong ones came from there, or the key asks too often.
    """
    if handler.opt.get("open to all"):
        return
    doors: Doors = connection.app.state.doors
    token = connection.headers.get("x-auth-token")
    if token is None:
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthorized("no token: send one as X-Auth-Token, or as Authorization: Bearer")
    caller = await doors.access.caller_of(token.strip(), address_of(connection))
    connection.scope["state"]["caller"] = caller


def caller_of(request: AnyRequest) -> Caller:
    """Whose token a request carries, as `signed_in` has found."""
    caller: Caller = request.scope["state"]["caller"]
    return caller


CallerOf = NamedDependency[Caller]


@put(
    "/v2/api_auth",
    status_code=201,
    tags=["sign in"],
    responses=failures(400, 401, 413, 429, 503),
    operation_id="signIn",
    summary="Get a token for a key",
    security=[{}],
    opt=OPEN_TO_ALL,
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
