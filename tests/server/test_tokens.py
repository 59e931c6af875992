"""Tokens as values: signed by the service, read by nobody else, and nothing is stored."""

from __future__ import annotations

import base64
from pathlib import Path

import msgspec
import pytest
import trio
from disks import Disk
from hypothesis import given
from hypothesis import strategies as st

from hookflash.journal import registry
from hookflash.journal.journal import JournalSettings, open_journal
from hookflash.server.tokens import Token, read_token, sign_token, token_secret

SECRET = b"s" * 32
TOKENS = st.builds(
    Token,
    key=st.text("0123456789abcdef", min_size=12, max_size=12),
    account=st.none() | st.text(max_size=40),
    expires=st.floats(min_value=0, max_value=4e9),
    read_only=st.booleans(),
)


@given(TOKENS)
def test_a_token_says_what_was_signed(token: Token) -> None:
    text = sign_token(token, SECRET)
    assert read_token(text, SECRET) == token
    assert read_token(text, b"another secret") is None
    assert set(text) <= {*"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."}


@given(TOKENS, st.data())
def test_whoever_changes_a_token_has_none(token: Token, data: st.DataObject) -> None:
    text = sign_token(token, SECRET)
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(exclude_characters=text[place]))
    assert read_token(text[:place] + other + text[place + 1 :], SECRET) is None
    assert read_token(text[:place], SECRET) is None
    assert read_token(text + other, SECRET) is None


@given(st.text(max_size=50))
def test_what_is_no_token_is_none(text: str) -> None:
    assert read_token(text, SECRET) is None


@pytest.mark.parametrize("signature", ["", "AAAA", "A" * 43])
def test_nobody_gets_more_rights_by_writing_them_down(signature: str) -> None:
    said = msgspec.json.encode(("0" * 12, None, 4e9, False))
    text = base64.urlsafe_b64encode(said).rstrip(b"=").decode()
    assert read_token(f"{text}.{signature}", SECRET) is None
    assert read_token(text, SECRET) is None


def test_a_token_of_a_megabyte_is_not_even_hashed() -> None:
    token = Token(key="k" * 1_000_000, account=None, expires=0.0)
    assert read_token(sign_token(token, SECRET), SECRET) is None


async def test_the_secret_is_made_once_and_outlives_a_restart(tmp_path: Path) -> None:
    settings = JournalSettings(file=tmp_path / "journal.sqlite")
    async with open_journal(settings, now=lambda: 0.0) as journal:
        secret = await token_secret(journal)
        assert len(secret) == 32
        assert await token_secret(journal) == secret
    async with open_journal(settings, now=lambda: 0.0) as journal:
        assert await token_secret(journal) == secret
        other = b"o" * 32
        assert await journal.change(lambda c: registry.store_secret(c, other)) == secret


async def test_a_secret_that_cant_be_stored_lives_in_memory_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = Disk()
    settings = JournalSettings(file=tmp_path / "journal.sqlite")
    async with open_journal(settings, now=lambda: 0.0, run=disk.run) as journal:
        disk.fail()
        first, second = await token_secret(journal), await token_secret(journal)
        assert len(first) == 32
        assert first != second  # nothing was kept, and nothing is guessable
        assert "tokens.secret_not_stored" in caplog.text
        disk.fault = None
        await trio.lowlevel.checkpoint()
