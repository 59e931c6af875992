"""Who asks: keys, tokens, and patience with those who have neither.

A wrong key costs whoever sent it time, twice as much with each, and after a number of them within a
minute their address is not heard for a while. All of them are counted.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

import attrs
import trio

from hookflash.errors import Refusal, RequestRefused, Unauthorized
from hookflash.journal import registry
from hookflash.journal.journal import Journal
from hookflash.journal.registry import Token
from hookflash.server.config import Limits
from hookflash.server.desk import Caller
from hookflash.server.rates import Allowance

REMEMBERED_S: Final = 5.0
"""A token that was found good is not looked up again for so long: a key that is revoked by another
process counts that much longer."""

MOST_REMEMBERED: Final = 10_000
SLOWEST_S: Final = 4.0
FIRST_DELAY_S: Final = 0.125
MINUTE_S: Final = 60.0

Found = TypeVar("Found")


@attrs.frozen
class _Known:
    caller: Caller
    expires: float
    until_s: float


class Access:
    """Says who asks, and lets nobody guess."""

    def __init__(self, journal: Journal, limits: Limits) -> None:
        self.limits = limits
        self._journal = journal
        self._wrong = Allowance(limits.wrong_keys_per_minute, within_s=MINUTE_S)
        self._requests = Allowance(limits.requests_per_second, within_s=1.0)
        self._known: dict[bytes, _Known] = {}
        self._checking = trio.Lock()
        self.wrong_keys = 0
        """How many wrong keys and tokens have been shown."""
        self.rejected = 0
        """How many requests were turned away because there were too many."""

    async def sign_in(self, api_key: str, address: str) -> tuple[Token, str]:
        """Give a token for a key.

        Args:
            api_key: the key's text.
            address: where the program is.

        Returns:
            The token, and its text.

        Raises:
            Unauthorized: it is no key, or was revoked.
            RequestRefused: too many wrong keys came from there.
        """
        key = await self._checked(partial(registry.check_key, text=api_key), address)
        if key is None:
            raise await self._wrong_one(address, "this is no key, or one that was revoked")
        make = partial(
            registry.make_token,
            key=key,
            now=self._journal.now(),
            lasts_s=self.limits.token_lifetime_s,
        )
        return await self._journal.change(make)

    async def caller_of(self, token: str, address: str) -> Caller:
        """Say whose token this is.

        Raises:
            Unauthorized: it is none, or has expired.
            RequestRefused: too many wrong ones came from there, or the key asks too often.
        """
        digest = hashlib.sha256(token.encode()).digest()
        now, now_s = self._journal.now(), trio.current_time()
        known = self._known.get(digest)
        if known is None or known.until_s <= now_s or known.expires <= now:
            known = await self._look_up(digest, token, address)
        self.count(known.caller)
        return known.caller

    def count(self, caller: Caller) -> None:
        """Count one request.

        Raises:
            RequestRefused: the key asks too often.
        """
        if not self._requests.takes(caller.key, trio.current_time()):
            self.rejected += 1
            raise RequestRefused(
                f"more than {self.limits.requests_per_second} requests a second", Refusal.TOO_MANY
            )

    def sweep(self) -> None:
        """Forget what is over: for the sake of memory, from time to time."""
        now_s = trio.current_time()
        self._wrong.sweep(now_s)
        self._requests.sweep(now_s)

    async def _look_up(self, digest: bytes, token: str, address: str) -> _Known:
        self._known.pop(digest, None)
        now = self._journal.now()
        found = await self._checked(partial(registry.check_token, text=token, now=now), address)
        if found is None:
            raise await self._wrong_one(address, "this is no token, or one that has expired")
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        caller = Caller(key=found.key, account=found.account)
        known = _Known(caller, found.expires, trio.current_time() + REMEMBERED_S)
        self._known[digest] = known
        return known

    async def _checked(
        self, look: Callable[[sqlite3.Connection], Found | None], address: str
    ) -> Found | None:
        """Look a key or a token up; one after the other, so that each wrong one counts at once.

        Whoever sends a thousand at the same time is heard no more often than one who waits.
        """
        async with self._checking:
            self._check_patience(address)
            found = await self._journal.read(look)
            if found is None:
                self.wrong_keys += 1
                self._wrong.use(address, trio.current_time())
        return found

    def _check_patience(self, address: str) -> None:
        if self._wrong.is_used_up(address, trio.current_time()):
            self.rejected += 1
            raise RequestRefused("too many wrong keys: wait a minute", Refusal.TOO_MANY)

    async def _wrong_one(self, address: str, why: str) -> Unauthorized:
        wrong = self._wrong.used(address, trio.current_time())
        await trio.sleep(min(SLOWEST_S, FIRST_DELAY_S * 2**wrong))
        return Unauthorized(why)
