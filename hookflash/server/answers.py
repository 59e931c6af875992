"""The same request twice is one: answers are kept by their idempotency key, and given again.

A program that did not hear the answer (its line broke, it died) asks again under the same key, and
hears what it would have heard. A key that comes with another request is a mistake, and refused. A
key is a program's own: two of them may use the same.

An answer is kept in memory at once, and in the journal as soon as that takes it. Between the deed
and the answer's being safe we may die. So a transfer that is asked for under a key is named after
it: whoever asks again then is told of that transfer, which the journal has, and gets no second one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
import trio

from hookflash.errors import HookflashError, InputError, Refusal, RequestRefused
from hookflash.journal import registry
from hookflash.journal.journal import Journal
from hookflash.journal.registry import Answer, fingerprint
from hookflash.server.desk import Caller

Data = TypeVar("Data")

KEEP_LIMIT_S: Final = 5.0
"""How long an answer waits for the disk to keep it: as long as a step does."""

MOST_IN_MEMORY: Final = 10_000
"""So many answers are remembered whatever the disk does."""

NAME_CHARS: Final = 32

PASSING: Final = frozenset((Refusal.TOO_MANY, Refusal.CLOSING))
"""Refusals that mean nothing but: ask again, later. Whoever does, shall be heard."""


class KeyUsedBefore(InputError):
    """An idempotency key that came with another request before."""

    http_status = 422

    def __init__(self) -> None:
        """Say so."""
        super().__init__(
            "came with another request before",
            where="Idempotency-Key",
            hint="a key of its own for each request",
        )


class Answers:
    """Answers that were given."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._busy: dict[tuple[str, str], trio.Event] = {}
        self._given: dict[tuple[str, str], Answer] = {}

    @staticmethod
    def name(caller: Caller, key: str | None, request: object) -> str | None:
        """The id of the transfer that is asked for under a key: of a repeat it is the same."""
        if key is None:
            return None
        return fingerprint(caller.key, key, msgspec.json.encode(request))[:NAME_CHARS]

    async def once(
        self,
        caller: Caller,
        key: str | None,
        request: object,
        kind: type[Data],
        act: Callable[[], Awaitable[tuple[int, Data]]],
    ) -> tuple[int, Data]:
        """Do something once, however often it is asked for.

        Args:
            caller: who asks.
            key: under which key; `None`: each time anew.
            request: what is asked for, in full.
            kind: what comes of it.
            act: does it.

        Returns:
            The status, and the data; those of the first time.

        Raises:
            KeyUsedBefore: the key came with another request.
            RequestRefused: the error of the first time.
        """
        if key is None:
            return await act()
        place = (caller.key, key)
        while place in self._busy:  # the same request is on its way: wait for what comes of it
            await self._busy[place].wait()
        self._busy[place] = trio.Event()
        try:
            asked = fingerprint(msgspec.json.encode(request))
            given = self._given.get(place) or await self._journal.read(
                partial(registry.given_answer, caller=caller.key, key=key)
            )
            if given is not None:
                return _again(given, asked, kind)
            return await self._act(caller, key, asked, act)
        finally:
            self._busy.pop(place).set()

    async def _act(
        self,
        caller: Caller,
        key: str,
        asked: str,
        act: Callable[[], Awaitable[tuple[int, Data]]],
    ) -> tuple[int, Data]:
        try:
            status, data = await act()
        except RequestRefused as refused:
            if _is_worth_keeping(refused):
                told = {"why": refused.why, "refusal": refused.refusal.value}
                await self._keep(caller, key, asked, refused.http_status, told)
            raise
        await self._keep(caller, key, asked, status, data)
        return status, data

    async def _keep(self, caller: Caller, key: str, asked: str, status: int, data: object) -> None:
        answer = Answer(request=asked, status=status, body=msgspec.json.encode(data))
        self._given[caller.key, key] = answer
        if len(self._given) > MOST_IN_MEMORY:
            del self._given[next(iter(self._given))]
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
            return  # what was done is done; that it can't be written is told elsewhere


def _is_worth_keeping(refused: RequestRefused) -> bool:
    return refused.refusal not in PASSING


def _again(given: Answer, asked: str, kind: type[Data]) -> tuple[int, Data]:
    if given.request != asked:
        raise KeyUsedBefore
    if given.status >= 400:  # noqa: PLR2004 - where HTTP's refusals begin
        told: dict[str, Any] = msgspec.json.decode(given.body)
        raise RequestRefused(told["why"], Refusal(told["refusal"]))
    return given.status, msgspec.json.decode(given.body, type=kind)
