"""`PUT /v2/api_auth`: get a token for an API key; and check the token of every request."""

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
from hookflash.server.api import ServiceApi
from hookflash.server.caller import Caller
from hookflash.server.http.envelope import AnyRequest, failures, request_id_of
from hookflash.server.http.reading import KazooEnvelope


class Credentials(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An API key."""

    api_key: Annotated[str, Meta(min_length=1, max_length=200)]


class SignIn(KazooEnvelope, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a sign-in."""

    data: Credentials


class SignedIn(Struct, frozen=True, kw_only=True):
    """The token's account and lifetime."""

    account_id: str | None
    """The key's account; null for an administrator's key."""
    expires_in_s: float
    """The token's lifetime, in seconds."""


class SignedInEnvelope(Struct, frozen=True, kw_only=True):
    """A token."""

    auth_token: str
    """Send it as `X-Auth-Token`, or as `Authorization: Bearer …`."""
    data: SignedIn
    request_id: str
    status: str = "success"


AnyConnection: TypeAlias = ASGIConnection[Any, Any, Any, State]


def address_of(connection: AnyConnection) -> str:
    """The address that a request comes from."""
    return connection.client.host if connection.client else ""


OPEN_TO_ALL: Final = {"open to all": True}
"""Marks the handlers that need no token."""


async def signed_in(connection: AnyConnection, handler: BaseRouteHandler) -> None:
    """Check the token before the rest of the request is read.

    Raises:
        Unauthorized: the token is missing or invalid.
        RequestRefused: too many wrong tokens came from this address, or the key sends too many
            requests.
    """
    if handler.opt.get("open to all"):
        return
    api: ServiceApi = connection.app.state.api
    token = connection.headers.get("x-auth-token")
    if token is None:
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthorized("no token: send it as X-Auth-Token, or as Authorization: Bearer")
    caller = await api.access.caller_of(token.strip(), address_of(connection))
    connection.scope["state"]["caller"] = caller


def caller_of(request: AnyRequest) -> Caller:
    """The caller that `signed_in` has found."""
    caller: Caller = request.scope["state"]["caller"]
    return caller


CallerOf = NamedDependency[Caller]


@put(
    "/v2/api_auth",
    status_code=201,
    tags=["sign in"],
    responses=failures(400, 401, 413, 429, 503),
    operation_id="signIn",
    summary="Get a token for an API key",
    security=[{}],
    opt=OPEN_TO_ALL,
)
async def sign_in(request: AnyRequest, state: State, data: JSONBody[SignIn]) -> SignedInEnvelope:
    """Exchange an API key for a token that is valid for a limited time."""
    api: ServiceApi = state.api
    token, text = await api.access.sign_in(data.data.api_key, address_of(request))
    return SignedInEnvelope(
        auth_token=text,
        data=SignedIn(account_id=token.account, expires_in_s=api.limits.token_lifetime_s),
        request_id=request_id_of(request),
    )
