"""Authentication: API keys, tokens, and limits for wrong ones.

Each wrong key doubles the delay of the answer. After a number of them within a minute, the address
gets no new tokens for a while. Valid tokens stay valid: many programs may share an address.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol, TypeVar

import attrs
import trio

from hookflash.errors import Refusal, RequestRefused, Unauthorized
from hookflash.journal import registry
from hookflash.journal.database import JournalError
from hookflash.journal.registry import Key
from hookflash.server.caller import Caller
from hookflash.server.config import Limits
from hookflash.server.rates import Allowance
from hookflash.server.tokens import Token, read_token, sign_token, token_for

REMEMBERED_S: Final = 5.0
"""A valid token is not looked up again for this long, even if another process revokes its key."""

MOST_REMEMBERED: Final = 10_000
FIRST_DELAY_S: Final = 0.125
MOST_DOUBLINGS: Final = 5
"""The slowest answer takes four seconds."""
MINUTE_S: Final = 60.0

NO_TOKEN: Final = "invalid or expired token"  # noqa: S105 - a message


Found = TypeVar("Found")


class ReadableJournal(Protocol):
    """All that authentication needs of a journal: nothing is written."""

    now: Callable[[], float]
    """The time of day, in seconds since 1970."""

    async def read(self, look: Callable[[sqlite3.Connection], Found]) -> Found:
        """Run a query."""
        ...


@attrs.frozen
class _Known:
    caller: Caller
    expires: float
    until_s: float


class Access:
    """Authenticates programs, and prevents guessing."""

    def __init__(self, journal: ReadableJournal, limits: Limits, *, secret: bytes) -> None:
        """Authenticate programs.

        Args:
            journal: has the keys.
            limits: the operator's.
            secret: signs the tokens (see `hookflash.server.tokens`).
        """
        self.limits = limits
        self._journal = journal
        self._secret = secret
        self._wrong = Allowance(limits.wrong_keys_per_minute, within_s=MINUTE_S)
        self._requests = Allowance(limits.requests_per_second, within_s=1.0)
        self._known: dict[bytes, _Known] = {}
        self._checking = trio.Lock()
        """Held while a key is checked, so that a thousand wrong keys sent at once are limited like
        those sent one by one."""
        self.wrong_keys = 0
        """How many wrong keys and tokens were used."""
        self.rejected = 0
        """How many requests were rejected because there were too many."""

    async def sign_in(self, api_key: str, address: str) -> tuple[Token, str]:
        """Issue a token for a key.

        Args:
            api_key: the key's text.
            address: the program's IP address.

        Returns:
            The token, and its text.

        Raises:
            Unauthorized: the key is invalid or was revoked.
            RequestRefused: too many wrong keys came from there.
            JournalError: the keys can't be read now.
        """
        key = await self.key_of(api_key, address)
        token = token_for(key, expires=self._journal.now() + self.limits.token_lifetime_s)
        return token, sign_token(token, self._secret)

    async def key_of(self, api_key: str, address: str) -> Key:
        """Find a key. Nothing is written, so this works while the disk is failing.

        Raises:
            Unauthorized: the key is invalid or was revoked.
            RequestRefused: too many wrong keys came from there.
        """
        async with self._checking:
            self._check_address(address)
            key = await self._journal.read(partial(registry.check_key, text=api_key))
            if key is None:
                self._count_wrong(address)
        if key is None:
            raise await self._wrong_one(address, "invalid or revoked API key")
        return key

    async def caller_of(self, token: str, address: str) -> Caller:
        """Find the caller that a token belongs to.

        Raises:
            Unauthorized: the token is invalid or has expired.
            RequestRefused: too many wrong tokens came from there, or the key sends too many
                requests.
        """
        digest = hashlib.sha256(token.encode()).digest()
        now, now_s = self._journal.now(), trio.current_time()
        known = self._known.get(digest)
        if known is None or known.until_s <= now_s or known.expires <= now:
            known = await self._look_up(digest, token, address)
        self.count(known.caller)
        return known.caller

    async def check(self, caller: Caller) -> None:
        """Check that a caller's key is still valid, on a long connection.

        Raises:
            Unauthorized: it was revoked.
        """
        if not await self._journal.read(partial(registry.is_valid, key_id=caller.key)):
            raise Unauthorized("this key was revoked")

    def count(self, caller: Caller) -> None:
        """Count one request.

        Raises:
            RequestRefused: the key sends too many requests.
        """
        if not self._requests.takes(caller.key, trio.current_time()):
            self.rejected += 1
            raise RequestRefused(
                f"more than {self.limits.requests_per_second} requests a second", Refusal.TOO_MANY
            )

    def sweep(self) -> None:
        """Free the memory of expired counts. Called from time to time."""
        now_s = trio.current_time()
        self._wrong.sweep(now_s)
        self._requests.sweep(now_s)

    async def _look_up(self, digest: bytes, token: str, address: str) -> _Known:
        self._known.pop(digest, None)
        found = read_token(token, self._secret)
        valid = found is not None and found.expires > self._journal.now()
        if found is None or not valid or not await self._has_valid_key(found):
            self._check_address(address)
            self._count_wrong(address)
            is_key = token.startswith(f"{registry.KEY_PREFIX}_")
            why = "this is a key: get a token for it (PUT /v2/api_auth)" if is_key else NO_TOKEN
            raise await self._wrong_one(address, why)
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        caller = Caller(key=found.key, account=found.account, read_only=found.read_only)
        known = _Known(caller, found.expires, trio.current_time() + REMEMBERED_S)
        self._known[digest] = known
        return known

    async def _has_valid_key(self, token: Token) -> bool:
        """Whether the key of a signed token is valid.

        While the journal can't be read, it counts as valid: we have signed the token, it expires
        soon, and a failing disk must not stop telephones.
        """
        try:
            return await self._journal.read(partial(registry.is_valid, key_id=token.key))
        except JournalError:
            return True

    def _check_address(self, address: str) -> None:
        if self._wrong.is_used_up(address, trio.current_time()):
            self.rejected += 1
            raise RequestRefused("too many wrong keys: wait a minute", Refusal.TOO_MANY)

    def _count_wrong(self, address: str) -> None:
        self.wrong_keys += 1
        self._wrong.use(address, trio.current_time())

    async def _wrong_one(self, address: str, why: str) -> Unauthorized:
        wrong = self._wrong.used(address, trio.current_time())
        await trio.sleep(FIRST_DELAY_S * 2 ** min(wrong, MOST_DOUBLINGS))
        return Unauthorized(why)
