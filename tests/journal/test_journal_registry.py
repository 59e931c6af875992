"""What was granted to programs: keys, feature codes, and given answers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import argon2
import pytest

from hookflash.errors import InputError
from hookflash.journal import registry
from hookflash.journal.database import open_database
from hookflash.journal.registry import Answer

NOW = 1_000.0


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    opened = open_database(tmp_path / "journal.sqlite")
    yield opened
    opened.close()


def make(connection: sqlite3.Connection, account: str | None = "acme") -> tuple[str, str]:
    key, text = registry.make_key(connection, account=account, label="desk", now=NOW)
    return key.id, text


# --------------------------------------------------------------------------- keys


def test_a_key_is_known_by_its_text_and_by_nothing_else(connection: sqlite3.Connection) -> None:
    key_id, text = make(connection)
    known = registry.check_key(connection, text)
    assert known is not None
    assert (known.id, known.account, known.label) == (key_id, "acme", "desk")
    wrong = [
        text[:-1],
        text + "x",
        text.replace("hookflash_", "hookflush_"),
        text.removeprefix("hookflash_"),
        f"hookflash_{key_id}_",
        f"hookflash_{key_id}",
        "hookflash_none_secret",
        "",
    ]
    assert [registry.check_key(connection, one) for one in wrong] == [None] * len(wrong)


def test_the_text_of_a_key_is_nowhere_in_the_file(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    _, text = make(connection)
    data = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    secret = text.rpartition("_")[2] if text.count("_") == 2 else text.split("_", 2)[2]
    assert b"$argon2id$" in data
    assert secret.encode() not in data


@pytest.mark.slow
def test_no_two_keys_are_alike(connection: sqlite3.Connection) -> None:
    texts = {make(connection)[1] for _ in range(20)}
    assert len(texts) == 20
    assert all(len(text.split("_", 2)[2]) >= 32 for text in texts)


def test_keys_are_listed_without_their_texts(connection: sqlite3.Connection) -> None:
    first, text = make(connection)
    second, _ = make(connection, None)
    listed = registry.list_keys(connection)
    assert [(key.id, key.account, key.revoked) for key in listed] == [
        (first, "acme", None),
        (second, None, None),
    ]
    assert text not in repr(listed)


def test_a_revoked_key_counts_no_more(connection: sqlite3.Connection) -> None:
    key_id, text = make(connection)
    kept, other = make(connection)
    registry.revoke_key(connection, key_id, now=NOW + 1)
    assert registry.check_key(connection, text) is None
    assert not registry.is_valid(connection, key_id)
    assert registry.check_key(connection, other) is not None
    assert registry.is_valid(connection, kept)
    registry.revoke_key(connection, key_id, now=NOW + 9)
    assert [key.revoked for key in registry.list_keys(connection)] == [NOW + 1, None]


def test_a_key_that_there_is_not_can_not_be_revoked(connection: sqlite3.Connection) -> None:
    with pytest.raises(InputError, match="there is no key 'none'"):
        registry.revoke_key(connection, "none", now=NOW)
    assert not connection.in_transaction


@pytest.mark.slow
def test_only_a_wrong_secret_of_a_valid_key_costs_a_slow_hash(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_id, text = make(connection)
    revoked_id, revoked = make(connection)
    registry.revoke_key(connection, revoked_id, now=NOW)
    verified: list[str] = []
    real = argon2.PasswordHasher.verify

    def verify(self: argon2.PasswordHasher, hashed: str | bytes, secret: str | bytes) -> bool:
        verified.append(str(hashed))
        return real(self, hashed, secret)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", verify)
    for shown, cost in (
        (text, 1),
        (f"hookflash_{key_id}_wrong", 1),
        ("hookflash_none_wrong", 0),  # IDs are no secrets: their timing may tell
        (revoked, 0),
        ("", 0),
        ("nonsense", 0),
    ):
        verified.clear()
        registry.check_key(connection, shown)
        assert len(verified) == cost, shown
        for one in verified:
            assert one.split("$")[1:4] == ["argon2id", "v=19", "m=8192,t=1,p=1"]


def test_a_read_only_key_is_one_wherever_it_is_seen(connection: sqlite3.Connection) -> None:
    made, text = registry.make_key(connection, account="acme", label="", now=NOW, read_only=True)
    make(connection)
    assert made.read_only
    assert registry.check_key(connection, text) == made
    assert [key.read_only for key in registry.list_keys(connection)] == [True, False]


# -------------------------------------------------------------- feature codes, answers


def test_feature_codes_are_kept_by_account_until_they_are_forgotten(
    connection: sqlite3.Connection,
) -> None:
    first, second = {"numbers": {"1": {"module": "resume"}}}, {"binding_digit": "#"}
    registry.store_metaflows(connection, "acme", first, now=NOW)
    registry.store_metaflows(connection, "globex", first, now=NOW)
    registry.store_metaflows(connection, "acme", second, now=NOW + 1)
    assert registry.stored_metaflows(connection) == {"acme": second, "globex": first}
    registry.store_metaflows(connection, "acme", None, now=NOW + 2)
    registry.store_metaflows(connection, "nobody", None, now=NOW + 2)
    assert registry.stored_metaflows(connection) == {"globex": first}


def test_an_answer_is_given_again_to_whom_it_was_given(connection: sqlite3.Connection) -> None:
    answer = Answer(request=registry.fingerprint("a"), status=202, body='{"é": 1}'.encode())
    registry.keep_answer(connection, "one", "k", answer, now=NOW)
    assert registry.given_answer(connection, "one", "k") == answer
    assert registry.given_answer(connection, "other", "k") is None
    assert registry.given_answer(connection, "one", "l") is None


def test_no_two_requests_have_one_fingerprint(connection: sqlite3.Connection) -> None:
    parts = [("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ("",), ()]
    assert len({registry.fingerprint(*one) for one in parts}) == len(parts)
    assert registry.fingerprint("é", b"x") == registry.fingerprint("é".encode(), "x")
