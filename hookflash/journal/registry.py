"""API keys, tokens, feature codes that programs have set, and answers to repeated requests.

A key is shown once, when it is created; only its Argon2 hash is stored. A token is equally random,
but short-lived and looked up with every request, so a fast hash (SHA-256) is enough.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from collections.abc import Mapping
from typing import Any, Final, cast

import argon2
import attrs
import msgspec

from hookflash.errors import InputError

KEY_PREFIX: Final = "hookflash"
_ID_BYTES: Final = 6
_SECRET_BYTES: Final = 24
"""192 bits cannot be guessed."""

_HASHER: Final = argon2.PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1)
"""8 MiB and about 5 ms. A key of 192 bits needs no slower hash, and many wrong keys must stay cheap
for us."""


@attrs.frozen(kw_only=True)
class Key:
    """An API key. Times are in seconds since 1970."""

    id: str
    account: str | None
    """`None`: an administrator's key, for all accounts."""
    label: str
    made: float
    revoked: float | None


@attrs.frozen(kw_only=True)
class Token:
    """A short-lived token, issued for a key."""

    key: str
    account: str | None
    expires: float


def make_key(
    connection: sqlite3.Connection, *, account: str | None, label: str, now: float
) -> tuple[Key, str]:
    """Create a key.

    Returns:
        The key and its text, which is not stored.
    """
    key_id = secrets.token_hex(_ID_BYTES)
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    connection.execute(
        "INSERT INTO keys VALUES (?, ?, ?, ?, ?, NULL)",
        (key_id, account, label, _HASHER.hash(secret), now),
    )
    key = Key(id=key_id, account=account, label=label, made=now, revoked=None)
    return key, f"{KEY_PREFIX}_{key_id}_{secret}"


def list_keys(connection: sqlite3.Connection) -> list[Key]:
    """All keys, the oldest first."""
    rows = connection.execute("SELECT id, account, label, made, revoked FROM keys ORDER BY made")
    return [Key(id=i, account=a, label=n, made=m, revoked=r) for i, a, n, m, r in rows]


def revoke_key(connection: sqlite3.Connection, key_id: str, *, now: float) -> None:
    """Revoke a key and all tokens issued for it.

    Raises:
        InputError: there is no such key.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        changed = connection.execute(
            "UPDATE keys SET revoked = coalesce(revoked, ?) WHERE id = ?", (now, key_id)
        ).rowcount
        connection.execute("DELETE FROM tokens WHERE key = ?", (key_id,))
    finally:
        connection.execute("COMMIT")
    if not changed:
        raise InputError(f"there is no key {key_id!r}", hint="see hookflash keys list")


def check_key(connection: sqlite3.Connection, text: str) -> Key | None:
    """The key with this text; `None` if it is invalid or revoked.

    An unknown key takes as long as a wrong secret, so that timing reveals nothing.
    """
    prefix, _, rest = text.partition("_")
    key_id, _, secret = rest.partition("_")
    row = connection.execute(
        "SELECT id, account, label, made, revoked, hash FROM keys WHERE id = ?", (key_id,)
    ).fetchone()
    hashed = row[5] if row else _NOBODYS_HASH
    try:
        _HASHER.verify(hashed, secret)
    except argon2.exceptions.VerificationError:
        return None
    if row is None or prefix != KEY_PREFIX or row[4] is not None:
        return None
    return Key(id=row[0], account=row[1], label=row[2], made=row[3], revoked=None)


def is_valid(connection: sqlite3.Connection, key_id: str) -> bool:
    """Whether a key exists and is not revoked."""
    wanted = "SELECT 1 FROM keys WHERE id = ? AND revoked IS NULL"
    return connection.execute(wanted, (key_id,)).fetchone() is not None


_NOBODYS_HASH: Final = _HASHER.hash(secrets.token_urlsafe(_SECRET_BYTES))


def _token_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def make_token(
    connection: sqlite3.Connection, key: Key, *, now: float, lasts_s: float
) -> tuple[Token, str]:
    """Issue a token for a checked key, and delete expired ones.

    Returns:
        The token and its text.
    """
    text = secrets.token_urlsafe(_SECRET_BYTES)
    token = Token(key=key.id, account=key.account, expires=now + lasts_s)
    connection.execute("DELETE FROM tokens WHERE expires <= ?", (now,))
    connection.execute(
        "INSERT INTO tokens VALUES (?, ?, ?)", (_token_hash(text), key.id, token.expires)
    )
    return token, text


def check_token(connection: sqlite3.Connection, text: str, *, now: float) -> Token | None:
    """The token with this text; `None` if it is invalid, expired or revoked."""
    row = connection.execute(
        "SELECT tokens.key, keys.account, tokens.expires FROM tokens JOIN keys"
        " ON keys.id = tokens.key WHERE tokens.hash = ? AND keys.revoked IS NULL",
        (_token_hash(text),),
    ).fetchone()
    if row is None or row[2] <= now:
        return None
    return Token(key=row[0], account=row[1], expires=row[2])


# ------------------------------------------------------------------ feature codes


def stored_metaflows(connection: sqlite3.Connection) -> dict[str, dict[str, Any]]:
    """The feature codes that programs have set, by account."""
    rows = connection.execute("SELECT account, document FROM metaflows ORDER BY account")
    return {account: cast("dict[str, Any]", msgspec.json.decode(text)) for account, text in rows}


def store_metaflows(
    connection: sqlite3.Connection, account: str, document: Mapping[str, Any] | None, *, now: float
) -> None:
    """Store an account's feature codes; `None`: delete them, so that the configuration applies."""
    if document is None:
        connection.execute("DELETE FROM metaflows WHERE account = ?", (account,))
        return
    connection.execute(
        "INSERT INTO metaflows VALUES (?, ?, ?) ON CONFLICT (account) DO UPDATE"
        " SET document = excluded.document, changed = excluded.changed",
        (account, msgspec.json.encode(document).decode(), now),
    )


# ------------------------------------------------------------------ stored answers


@attrs.frozen(kw_only=True)
class Answer:
    """The answer to a request, for repeats with the same idempotency key."""

    request: str
    """The request's hash: the same key with another request is refused."""
    status: int
    body: bytes


def fingerprint(*parts: str | bytes) -> str:
    """Hash the parts of a request."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def given_answer(connection: sqlite3.Connection, caller: str, key: str) -> Answer | None:
    """The stored answer to a caller's idempotency key."""
    row = connection.execute(
        "SELECT request, status, body FROM answers WHERE caller = ? AND key = ?", (caller, key)
    ).fetchone()
    return Answer(request=row[0], status=row[1], body=row[2].encode()) if row else None


def keep_answer(
    connection: sqlite3.Connection, caller: str, key: str, answer: Answer, *, now: float
) -> None:
    """Store an answer for repeats."""
    connection.execute(
        "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)",
        (caller, key, answer.request, answer.status, answer.body.decode(), now),
    )
