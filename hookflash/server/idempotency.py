"""A command that is repeated with its idempotency key is performed once.

A program that did not receive the answer repeats the command with the same key, and gets the first
answer. A key with another command is refused. Each program has its own keys.

An answer is kept in memory, and written to the journal. The service may die before it is written.
So the ID of a transfer that was requested with a key is derived from the key: after a restart the
journal has that ID, and no second transfer begins.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import msgspec
import trio

from hookflash.api.requests import ApiCommand
from hookflash.errors import HookflashError, InputError, Refusal, RequestRefused
from hookflash.journal import registry
from hookflash.journal.database import JournalError
from hookflash.journal.journal import Journal
from hookflash.journal.registry import Answer, fingerprint
from hookflash.server.caller import Caller

KEEP_LIMIT_S: Final = 5.0
"""How long to wait until an answer is written to disk; the same as for a step."""

MOST_IN_MEMORY: Final = 10_000
"""How many answers are kept in memory in case the disk fails."""

MOST_BYTES_IN_MEMORY: Final = 8_388_608
"""How long they may be together. The answer about feature codes may have 100 KB."""

ID_CHARS: Final = 32

TEMPORARY: Final = frozenset((Refusal.TOO_MANY, Refusal.CLOSING))
"""Refusals that mean "retry later". They are not kept."""

SUCCESS: Final = 200
FIRST_ERROR: Final = 400


class KeyUsedBefore(InputError):
    """The idempotency key was used with another request."""

    http_status = 422

    def __init__(self) -> None:
        """Name the field and the fix."""
        super().__init__(
            "was used with another request",
            where="$.idempotency_key",
            hint="use a new key for each request",
        )


def transfer_id_for(caller: Caller, request: ApiCommand) -> str | None:
    """The ID of a transfer that is requested with a key: the same for a repeat."""
    if request.idempotency_key is None:
        return None
    return fingerprint(caller.key, msgspec.json.encode(request))[:ID_CHARS]


class IdempotencyStore:
    """Answers to commands with an idempotency key."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._busy: dict[tuple[str, str], trio.Event] = {}
        self._given: dict[tuple[str, str], Answer] = {}
        self._given_bytes = 0

    async def once(
        self,
        caller: Caller,
        key: str,
        request: object,
        kind: Any,
        act: Callable[[], Awaitable[Any]],
    ) -> Any:
        """Perform a command once, however often it is sent.

        Args:
            caller: the sender.
            key: the idempotency key.
            request: the whole request.
            kind: the type of the answer.
            act: performs it.

        Returns:
            The first answer.

        Raises:
            KeyUsedBefore: the key was used with another request.
            RequestRefused: the first answer was a refusal.
        """
        place = (caller.key, key)
        while place in self._busy:  # the same request is being performed: wait for its answer
            await self._busy[place].wait()
        self._busy[place] = trio.Event()
        try:
            asked = fingerprint(msgspec.json.encode(request))
            given = self._given.get(place) or await self._stored(caller, key)
            if given is not None:
                return _again(given, asked, kind)
            return await self._act(caller, key, asked, act)
        finally:
            self._busy.pop(place).set()

    async def _stored(self, caller: Caller, key: str) -> Answer | None:
        """The answer that an earlier run gave.

        While the journal can't be read, only the answers in memory count: a failing disk must not
        stop telephones, and the ID of a transfer that was requested with a key is the same again.
        """
        try:
            return await self._journal.read(
                partial(registry.given_answer, caller=caller.key, key=key)
            )
        except JournalError:
            return None

    async def _act(
        self, caller: Caller, key: str, asked: str, act: Callable[[], Awaitable[Any]]
    ) -> Any:
        try:
            data = await act()
        except RequestRefused as refused:
            if refused.refusal not in TEMPORARY:
                why = {"why": refused.why, "refusal": refused.refusal.value}
                await self._keep(caller, key, asked, refused.http_status, why)
            raise
        await self._keep(caller, key, asked, SUCCESS, data)
        return data

    async def _keep(self, caller: Caller, key: str, asked: str, status: int, data: object) -> None:
        answer = Answer(request=asked, status=status, body=msgspec.json.encode(data))
        self._remember((caller.key, key), answer)
        keep = partial(
            registry.keep_answer,
            caller=caller.key,
            key=key,
            answer=answer,
            now=self._journal.now(),
        )
        try:
            with trio.move_on_after(KEEP_LIMIT_S):
                await self._journal.change(keep)
        except HookflashError:
            return  # the command was performed; the journal reports the fault

    def _remember(self, place: tuple[str, str], answer: Answer) -> None:
        self._given[place] = answer
        self._given_bytes += len(answer.body)
        while len(self._given) > MOST_IN_MEMORY or self._given_bytes > MOST_BYTES_IN_MEMORY:
            oldest = self._given.pop(next(iter(self._given)))
            self._given_bytes -= len(oldest.body)


def _again(given: Answer, asked: str, kind: Any) -> Any:
    if given.request != asked:
        raise KeyUsedBefore
    if given.status >= FIRST_ERROR:
        refused: dict[str, Any] = msgspec.json.decode(given.body)
        raise RequestRefused(refused["why"], Refusal(refused["refusal"]))
    try:
        return msgspec.json.decode(given.body, type=kind)
    except msgspec.DecodeError as error:  # the row is damaged
        why = "this request was performed before, and its answer can't be read any more"
        raise RequestRefused(why) from error
