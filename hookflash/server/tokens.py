"""Tokens are signed values: issuing one stores nothing, so a failing disk stops no sign-in.

A token says which key it was issued for, what that key may do, and when it expires; an HMAC-SHA256
with the service's secret proves that the service wrote it. The secret is made once and kept in the
journal, so that tokens outlive a restart.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import partial
from typing import Final

import attrs
import msgspec
import structlog

from hookflash.journal import registry
from hookflash.journal.database import JournalError
from hookflash.journal.journal import Journal
from hookflash.journal.registry import Key

log = structlog.wrap_logger(logging.getLogger("hookflash.service"))

LONGEST_TOKEN: Final = 600
"""Characters. An account ID has at most 128, and nobody makes us hash more."""


@attrs.frozen(kw_only=True)
class Token:
    """What a token says. Times are in seconds since 1970."""

    key: str
    """The ID of the key that it was issued for."""
    account: str | None
    """`None`: all accounts."""
    expires: float
    read_only: bool = False


def token_for(key: Key, *, expires: float) -> Token:
    """A token with the rights of a key."""
    return Token(key=key.id, account=key.account, expires=expires, read_only=key.read_only)


def sign_token(token: Token, secret: bytes) -> str:
    """The token's text."""
    said = msgspec.json.encode(
        (token.key, token.account, token.expires, token.read_only),
    )
    return f"{_text_of(said)}.{_text_of(_signature(said, secret))}"


def read_token(text: str, secret: bytes) -> Token | None:
    """What a token says; `None` if the service has not signed it. It may have expired."""
    if len(text) > LONGEST_TOKEN:
        return None
    said_text, _, signature_text = text.partition(".")
    said, signature = _bytes_of(said_text), _bytes_of(signature_text)
    if not hmac.compare_digest(signature, _signature(said, secret)):
        return None
    key, account, expires, read_only = _SAID.decode(said)  # our own, as it is signed
    return Token(key=key, account=account, expires=expires, read_only=read_only)


_SAID: Final = msgspec.json.Decoder(tuple[str, str | None, float, bool])


def _signature(said: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, b"hookflash token 1\n" + said, hashlib.sha256)


def _text_of(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes_of(text: str) -> bytes:
    """The bytes of a text that `_text_of` made; none of any other."""
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return b""
    return data if _text_of(data) == text else b""


async def token_secret(journal: Journal) -> bytes:
    """The secret that tokens are signed with, from the journal; made when there is none.

    If it can't be stored, it lives as long as this process: programs then sign in again after a
    restart.
    """
    made = secrets.token_bytes(registry.SECRET_BYTES)
    try:
        return await journal.read(registry.stored_secret) or await journal.change(
            partial(registry.store_secret, secret=made)
        )
    except JournalError as error:
        log.warning(
            "tokens.secret_not_stored",
            why=str(error),
            effect="programs must sign in again after a restart",
        )
        return made
