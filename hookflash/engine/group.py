"""Several switches, one history: an engine for each, and one count for all their records.

A transfer never crosses switches, so each switch has an engine of its own: one that is away, or
slow, stops nobody on the others. What they share is the count, so that the records of all of them
are one numbered history, and the choices of the accounts.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from hookflash.backends.base import Backend
from hookflash.engine.engine import Engine, open_engine
from hookflash.engine.found import Unfinished
from hookflash.engine.legs import Account, Leg
from hookflash.engine.record import Record
from hookflash.errors import NotFound, RequestRefused
from hookflash.events import LegId
from hookflash.fsm.transfer import Transfer


class EngineGroup:
    """The engines of all switches. Open it with `open_engine_group`."""

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self.engines = engines

    def engine_with_leg(self, leg: LegId, switch: str | None = None) -> Engine:
        """The engine that knows a leg.

        Args:
            leg: its id.
            switch: where to look; everywhere by default.

        Raises:
            NotFound: no engine knows it.
            RequestRefused: two switches have given out the same id.
        """
        found = [
            engine
            for name, engine in self.engines.items()
            if switch in (None, name) and engine.switchboard.leg(leg) is not None
        ]
        if not found:
            raise NotFound("there is no such call")
        if len(found) > 1:
            raise RequestRefused("two switches have a call with this ID: name the switch, too")
        return found[0]

    def engine_with_transfer(self, transfer: str) -> Engine:
        """The engine that runs a transfer.

        Raises:
            NotFound: none does (any more).
        """
        for engine in self.engines.values():
            if engine.switchboard.transfer(transfer) is not None:
                return engine
        raise NotFound("there is no such transfer in flight")

    def legs(self) -> Iterator[tuple[str, Leg]]:
        """Every leg that is known, with its switch."""
        for name, engine in self.engines.items():
            for leg in engine.legs():
                yield name, leg

    def transfers(self) -> Iterator[tuple[str, Transfer]]:
        """Every transfer in flight, with its switch."""
        for name, engine in self.engines.items():
            for transfer in engine.transfers():
                yield name, transfer

    def away(self) -> dict[str, str]:
        """The switches that can't be reached, and why."""
        return {
            name: engine.away for name, engine in self.engines.items() if engine.away is not None
        }

    def choose(
        self,
        accounts: Mapping[str, Account],
        *,
        default: Account | None = None,
        for_calls_that_are_up: bool = False,
    ) -> None:
        """Let other choices hold on all switches (see `Switchboard.choose`)."""
        for engine in self.engines.values():
            engine.switchboard.choose(
                accounts, default=default, for_calls_that_are_up=for_calls_that_are_up
            )

    def close_to_new_transfers(self, why: str) -> None:
        """Take no new transfers; those in flight go on."""
        for engine in self.engines.values():
            engine.switchboard.closing = why


@asynccontextmanager
async def open_engine_group(
    backends: Mapping[str, Backend],
    *,
    now: Callable[[], float],
    taps: Sequence[Callable[[Record], None]] = (),
    first_number: int = 1,
    default: Account | None = None,
    accounts: Mapping[str, Account] | None = None,
    unfinished: Mapping[str, Mapping[str, Unfinished]] | None = None,
    ended: Mapping[str, Collection[str]] | None = None,
) -> AsyncGenerator[EngineGroup]:
    """Run an engine on each of several open backends.

    Args:
        backends: the ways to the switches, by the switches' names.
        now: tells the time of day, in seconds since 1970.
        taps: receive every record at once, in the order of its number (see `Engine.tap`).
        first_number: with which the history goes on.
        default: feature codes, policy and rules, for legs whose account is not in `accounts`.
        accounts: the same for each account, by name.
        unfinished: by switch, the transfers that were in flight when the last controller died.
        ended: by switch, transfers that are known to have ended.

    Yields:
        The group, at work until the block is left.
    """
    next_number = itertools.count(first_number).__next__
    engines: dict[str, Engine] = {}

    async with AsyncExitStack() as stack:
        for name, backend in backends.items():
            engines[name] = await stack.enter_async_context(
                open_engine(
                    backend,
                    switch=name,
                    now=now,
                    account=default,
                    accounts=accounts,
                    next_number=next_number,
                    unfinished=(unfinished or {}).get(name),
                    ended=(ended or {}).get(name, ()),
                    taps=taps,
                )
            )
        yield EngineGroup(engines)
