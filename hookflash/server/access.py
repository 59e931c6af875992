"""Authentication: API keys, tokens, and limits for wrong ones.

Wrong keys are limited, not right ones, since many programs may share an address. Each wrong key
doubles the delay of the answer. After a number of them within a minute, further ones from that
address are refused, and keys that nobody knows yet are checked slowly, one after the other. Guesses
at one key from one address are refused unchecked. A key that was right before is known by a fast
hash, and waits for nobody. Each address waits only for itself: who knows the ID of a key can't keep
it from signing in elsewhere.
"""

from __future__ import annotations

import hashlib
import math
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol, TypeVar

import attrs
import trio

from hookflash.errors import HookflashError, Refusal, RequestRefused, Unauthorized
from hookflash.journal import registry
from hookflash.journal.database import JournalError
from hookflash.journal.registry import Key
from hookflash.server.caller import Caller
from hookflash.server.config import Limits
from hookflash.server.crowds import crowd_of
from hookflash.server.rates import Allowance, Budgets
from hookflash.server.tokens import Token, read_token, sign_token, token_for

REMEMBERED_S: Final = 5.0
"""A valid token, or the key of a long connection, is not looked up again for this long, even if
another process revokes its key."""

MOST_REMEMBERED: Final = 10_000
MOST_CHECKS_WAITING: Final = 256
"""Programs of one address that wait until a key is checked, which takes about 5 ms."""
MOST_DOUBTED_WAITING: Final = 16
"""The same, where too many wrong keys come from."""
DOUBTED_CHECK_S: Final = 0.25
"""A wrong key from there keeps the next one waiting for so long."""
FIRST_DELAY_S: Final = 0.125
MOST_DOUBLINGS: Final = 5
"""The slowest answer takes four seconds."""
MINUTE_S: Final = 60.0

NO_TOKEN: Final = "invalid or expired token"  # noqa: S105 - a message
WAIT: Final = "too many wrong keys: wait a minute"


Found = TypeVar("Found")


class ReadableJournal(Protocol):
    """All that authentication needs of a journal: nothing is written."""

    now: Callable[[], float]
    """The time of day, in seconds since 1970."""

    async def read(self, look: Callable[[sqlite3.Connection], Found]) -> Found:
        """Run a query."""
        ...


@attrs.frozen
class Grant:
    """Who a program is, and until when."""

    caller: Caller
    expires: float = math.inf
    """In seconds since 1970."""


@attrs.frozen
class _Known:
    grant: Grant
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
        self._wrong_at_key = Allowance(
            limits.wrong_keys_per_minute, within_s=MINUTE_S, clients=MOST_REMEMBERED
        )
        """By address and key ID."""
        self._by_key = Budgets(limits.requests_per_second)
        self._by_account = Budgets(limits.account_requests_per_second)
        self._known: dict[bytes, _Known] = {}
        self._valid_until_s: dict[str, float] = {}
        """Keys of long connections, which may be many with one key."""
        self._right: dict[bytes, str] = {}
        """Keys that were right: the ID, by a hash of the text."""
        self._checking: dict[str, trio.Lock] = {}
        """One check at a time for each address: who guesses holds up nobody elsewhere."""
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
            JournalError: the keys can't be read now.
        """
        digest = hashlib.sha256(api_key.encode()).digest()
        if digest in self._right:
            key = await self._find_right(digest)
        else:
            key = await self._check_slowly(api_key, digest, crowd_of(address))
        if key is None:
            self._right.pop(digest, None)
            raise await self._wrong_one(address, "invalid or revoked API key")
        return key

    async def _find_right(self, digest: bytes) -> Key | None:
        return await self._journal.read(partial(registry.find_key, key_id=self._right[digest]))

    async def _check_slowly(self, api_key: str, digest: bytes, crowd: str) -> Key | None:
        """Check a key that is not known yet, when it is its address's turn.

        Raises:
            RequestRefused: too many wrong keys came from there.
        """
        lock = self._checking.setdefault(crowd, trio.Lock())
        try:
            is_doubted = self._wrong.is_used_up(crowd, trio.current_time())
            most = MOST_DOUBTED_WAITING if is_doubted else MOST_CHECKS_WAITING
            if lock.statistics().tasks_waiting >= most:
                raise self._too_many("too many programs of this address sign in: try again")
            self._check_guesses(api_key, crowd)
            async with lock:
                if digest in self._right:  # somebody who waited before us has shown it
                    return await self._find_right(digest)
                self._check_guesses(api_key, crowd)
                key = await self._check_in_turn(api_key, crowd)
                if key is not None:
                    self._remember(digest, key)
                return key
        finally:
            if not lock.locked():
                self._checking.pop(crowd, None)

    def _remember(self, digest: bytes, key: Key) -> None:
        if len(self._right) >= MOST_REMEMBERED:
            self._right.clear()
        self._right[digest] = key.id

    def _check_guesses(self, api_key: str, crowd: str) -> None:
        guessed = (crowd, registry.id_in(api_key))
        if self._wrong_at_key.is_used_up(guessed, trio.current_time()):
            raise self._too_many(WAIT)

    async def _check_in_turn(self, api_key: str, crowd: str) -> Key | None:
        key = await self._journal.read(partial(registry.check_key, text=api_key))
        if key is None:
            now_s = trio.current_time()
            self._wrong_at_key.use((crowd, registry.id_in(api_key)), now_s)
            if self._wrong.is_used_up(crowd, now_s):
                await trio.sleep(DOUBTED_CHECK_S)
        return key

    async def caller_of(self, token: str, address: str) -> Caller:
        """Find the caller that a token belongs to.

        Raises:
            Unauthorized: the token is invalid or has expired.
            RequestRefused: too many wrong tokens came from there, or the key sends too many
                requests.
        """
        return (await self.grant_of(token, address)).caller

    async def grant_of(self, token: str, address: str) -> Grant:
        """Find the caller that a token belongs to, and until when.

        Raises:
            Unauthorized: the token is invalid or has expired.
            RequestRefused: too many wrong tokens came from there, or the key sends too many
                requests.
        """
        digest = hashlib.sha256(token.encode()).digest()
        now, now_s = self._journal.now(), trio.current_time()
        known = self._known.get(digest)
        if known is None or known.until_s <= now_s or known.grant.expires <= now:
            known = await self._look_up(digest, token, address)
        self.count(known.grant.caller)
        return known.grant

    def left_s(self, grant: Grant) -> float:
        """For how long a grant is still valid, in seconds."""
        return grant.expires - self._journal.now()

    async def check(self, caller: Caller) -> None:
        """Check that a caller's key is still valid, on a long connection.

        Raises:
            Unauthorized: it was revoked.
        """
        if self._valid_until_s.get(caller.key, -math.inf) > trio.current_time():
            return
        if not await self._journal.read(partial(registry.is_valid, key_id=caller.key)):
            raise Unauthorized("this key was revoked")
        self._valid_until_s[caller.key] = trio.current_time() + REMEMBERED_S

    def count(self, caller: Caller, requests: int = 1) -> None:
        """Count requests of a key.

        Raises:
            RequestRefused: the key sends too many.
        """
        if not self._by_key.takes(caller.key, requests, trio.current_time()):
            raise self._too_many(f"more than {self.limits.requests_per_second} requests a second")

    def count_account(self, account: str, requests: int) -> None:
        """Count requests for an account, of all keys that may act for it.

        Raises:
            RequestRefused: there are too many.
        """
        if not self._by_account.takes(account, requests, trio.current_time()):
            most = self.limits.account_requests_per_second
            raise self._too_many(f"more than {most} requests a second for this account")

    def sweep(self) -> None:
        """Free the memory of expired counts. Called from time to time."""
        now_s = trio.current_time()
        self._valid_until_s = {
            key: until_s for key, until_s in self._valid_until_s.items() if until_s > now_s
        }
        self._wrong.sweep(now_s)
        self._wrong_at_key.sweep(now_s)
        self._by_key.sweep(now_s)
        self._by_account.sweep(now_s)

    async def _look_up(self, digest: bytes, token: str, address: str) -> _Known:
        self._known.pop(digest, None)
        found = read_token(token, self._secret)
        valid = found is not None and found.expires > self._journal.now()
        if found is None or not valid or not await self._has_valid_key(found):
            is_key = token.startswith(f"{registry.KEY_PREFIX}_")
            why = "this is a key: get a token for it (PUT /v2/api_auth)" if is_key else NO_TOKEN
            raise await self._wrong_one(address, why)
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        caller = Caller(key=found.key, account=found.account, read_only=found.read_only)
        known = _Known(Grant(caller, found.expires), trio.current_time() + REMEMBERED_S)
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

    async def _wrong_one(self, address: str, why: str) -> HookflashError:
        """Count a wrong key or token, and delay the answer."""
        crowd, now_s = crowd_of(address), trio.current_time()
        if self._wrong.is_used_up(crowd, now_s):
            return self._too_many(WAIT)
        self.wrong_keys += 1
        self._wrong.use(crowd, now_s)
        wrong = self._wrong.used(crowd, now_s)
        await trio.sleep(FIRST_DELAY_S * 2 ** min(wrong, MOST_DOUBLINGS))
        return Unauthorized(why)

    def _too_many(self, why: str) -> RequestRefused:
        self.rejected += 1
        return RequestRefused(why, Refusal.TOO_MANY)
