"""`PUT /v2/api_auth`: get a token for an API key; and check the token of every request."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from hookflash.errors import Unauthorized
from hookflash.server.api import ServiceApi
from hookflash.server.caller import Caller
from hookflash.server.http.message import HttpAnswer, HttpRequest
from hookflash.server.http.reading import KazooEnvelope
from hookflash.server.invalid import input_error


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


async def sign_in(api: ServiceApi, request: HttpRequest) -> HttpAnswer:
    """Exchange an API key for a token that is valid for a limited time.

    Raises:
        InputError: the body is invalid.
        Unauthorized: the key is invalid or was revoked.
        RequestRefused: too many wrong keys came from this address.
    """
    try:
        asked = msgspec.convert(await request.json(), SignIn)
    except msgspec.ValidationError as error:
        raise input_error(error, SignIn) from error
    token, text = await api.access.sign_in(asked.data.api_key, request.address)
    body = SignedInEnvelope(
        auth_token=text,
        data=SignedIn(account_id=token.account, expires_in_s=api.limits.token_lifetime_s),
        request_id=request.id,
    )
    return HttpAnswer(status=201, body=msgspec.json.encode(body))


async def caller_of(api: ServiceApi, request: HttpRequest) -> Caller:
    """Find the caller that the token of a request belongs to.

    Raises:
        Unauthorized: the token is missing or invalid.
        RequestRefused: too many wrong tokens came from this address, or the key sends too many
            requests.
    """
    token = request.headers.get("x-auth-token")
    if token is None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthorized("no token: send it as X-Auth-Token, or as Authorization: Bearer")
    caller = await api.access.caller_of(token.strip(), request.address)
    request.on_signed_in(caller.key)
    return caller
