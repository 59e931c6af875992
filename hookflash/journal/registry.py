"""API keys, the secret of tokens, feature codes that programs have set, and answers to repeats.

A key is shown once, when it is created; only its Argon2 hash is stored.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import argon2
import attrs
import msgspec

from hookflash.errors import InputError
from hookflash.journal.rows import check_times, read_or_skip

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
    read_only: bool = False
    """Whether it may only look: it can't change calls, transfers or feature codes."""


def make_key(
    connection: sqlite3.Connection,
    *,
    account: str | None,
    label: str,
    now: float,
    read_only: bool = False,
) -> tuple[Key, str]:
    """Create a key.

    Returns:
        The key and its text, which is not stored.
    """
    key_id = secrets.token_hex(_ID_BYTES)
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    connection.execute(
        "INSERT INTO keys (id, account, label, hash, made, read_only) VALUES (?, ?, ?, ?, ?, ?)",
        (key_id, account, label, _HASHER.hash(secret), now, read_only),
    )
    key = Key(id=key_id, account=account, label=label, made=now, revoked=None, read_only=read_only)
    return key, f"{KEY_PREFIX}_{key_id}_{secret}"


def list_keys(connection: sqlite3.Connection) -> list[Key]:
    """All keys, the oldest first."""
    rows = connection.execute(f"SELECT {_KEY} FROM keys ORDER BY made")  # noqa: S608 - a constant
    keys = (_readable_key(connection, row) for row in rows)
    return [key for key in keys if key is not None]


_KEY: Final = "id, account, label, made, revoked, read_only"


def _readable_key(connection: sqlite3.Connection, row: Sequence[Any]) -> Key | None:
    return read_or_skip(connection, f"key {row[0]}", lambda: _key(row))


def _key(row: Sequence[Any]) -> Key:
    key_id, account, label, made, revoked, read_only = row
    check_times(made, revoked)
    return Key(
        id=key_id,
        account=account,
        label=label,
        made=made,
        revoked=revoked,
        read_only=bool(read_only),
    )


def revoke_key(connection: sqlite3.Connection, key_id: str, *, now: float) -> None:
    """Revoke a key and all tokens issued for it.

    Raises:
        InputError: there is no such key.
    """
    changed = connection.execute(
        "UPDATE keys SET revoked = coalesce(revoked, ?) WHERE id = ?", (now, key_id)
    ).rowcount
    if not changed:
        raise InputError(f"there is no key {key_id!r}", hint="see hookflash keys list")


def check_key(connection: sqlite3.Connection, text: str) -> Key | None:
    """The key with this text; `None` if it is invalid or revoked.

    An unknown ID is answered sooner than a wrong secret: IDs are no secrets, and strangers must not
    cost us a slow hash.
    """
    prefix, key_id, secret = _parts_of(text)
    row = connection.execute(
        "SELECT hash FROM keys WHERE id = ? AND revoked IS NULL", (key_id,)
    ).fetchone()
    if row is None or prefix != KEY_PREFIX:
        return None
    try:
        _HASHER.verify(row[0], secret)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return None  # the second: the row is damaged
    return find_key(connection, key_id)


def id_in(text: str) -> str:
    """The ID that a key's text claims to have."""
    return _parts_of(text)[1]


def _parts_of(text: str) -> tuple[str, str, str]:
    prefix, _, rest = text.partition("_")
    key_id, _, secret = rest.partition("_")
    return prefix, key_id, secret


def find_key(connection: sqlite3.Connection, key_id: str) -> Key | None:
    """The key with this ID; `None` if there is none, or it was revoked."""
    row = connection.execute(
        f"SELECT {_KEY} FROM keys WHERE id = ? AND revoked IS NULL",  # noqa: S608 - a constant
        (key_id,),
    ).fetchone()
    return _readable_key(connection, row) if row else None


def is_valid(connection: sqlite3.Connection, key_id: str) -> bool:
    """Whether a key exists and is not revoked."""
    wanted = "SELECT 1 FROM keys WHERE id = ? AND revoked IS NULL"
    return connection.execute(wanted, (key_id,)).fetchone() is not None


# ------------------------------------------------------------------ the secret of tokens


SECRET_BYTES: Final = 32
"""As many as a signature has."""


def stored_secret(connection: sqlite3.Connection) -> bytes | None:
    """The secret that tokens are signed with; `None` if none was made yet."""
    row = connection.execute("SELECT secret FROM secrets WHERE name = 'tokens'").fetchone()
    is_secret = row and isinstance(row[0], bytes) and len(row[0]) >= SECRET_BYTES
    return row[0] if is_secret else None


def store_secret(connection: sqlite3.Connection, secret: bytes) -> bytes:
    """Store the secret that tokens are signed with, unless there is one.

    Returns:
        The secret that is stored.
    """
    connection.execute(
        "INSERT INTO secrets VALUES ('tokens', ?) ON CONFLICT (name) DO UPDATE"
        " SET secret = excluded.secret WHERE length(secrets.secret) < ?",
        (secret, SECRET_BYTES),
    )
    return stored_secret(connection) or secret


# ------------------------------------------------------------------ feature codes


def stored_metaflows(connection: sqlite3.Connection) -> dict[str, dict[str, Any]]:
    """The feature codes that programs have set, by account. Those that are no JSON are left out."""
    found: dict[str, dict[str, Any]] = {}
    rows = connection.execute("SELECT account, document FROM metaflows ORDER BY account")
    for account, text in rows:
        read = partial(_DOCUMENT.decode, text)
        document = read_or_skip(connection, f"feature codes of {account}", read)
        if document is not None:
            found[account] = document
    return found


_DOCUMENT: Final = msgspec.json.Decoder(dict[str, Any])


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
