"""Several switches: an engine for each, with one numbering for all records.

A transfer never crosses switches, so each switch has its own engine, and an unreachable or slow
switch does not affect the others. The engines share the settings of the accounts, and the numbers
of the records, which are one history.
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
            leg: its ID.
            switch: the name of its switch; default: any.

        Raises:
            NotFound: no engine knows it.
            RequestRefused: two switches have a leg with this ID.
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
            NotFound: no engine runs it.
        """
        for engine in self.engines.values():
            if engine.switchboard.transfer(transfer) is not None:
                return engine
        raise NotFound("there is no such transfer in flight")

    def legs(self) -> Iterator[tuple[str, Leg]]:
        """Every known leg, with the name of its switch."""
        for name, engine in self.engines.items():
            for leg in engine.legs():
                yield name, leg

    def transfers(self) -> Iterator[tuple[str, Transfer]]:
        """Every transfer in flight, with the name of its switch."""
        for name, engine in self.engines.items():
            for transfer in engine.transfers():
                yield name, transfer

    def away(self) -> dict[str, str]:
        """The unreachable switches, and why they are unreachable."""
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
        """Apply other settings on all switches (see `Switchboard.choose`)."""
        for engine in self.engines.values():
            engine.switchboard.choose(
                accounts, default=default, for_calls_that_are_up=for_calls_that_are_up
            )

    def close_to_new_transfers(self, why: str) -> None:
        """Accept no new transfers; those in flight go on."""
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
        backends: the connections to the switches, by name.
        now: the time of day, in seconds since 1970.
        taps: called with every record at once (see `Engine.tap`).
        first_number: the number of the first record.
        default: settings for legs whose account is not in `accounts`.
        accounts: settings of each account, by name.
        unfinished: transfers that were in flight when the last controller died, by switch.
        ended: transfers that are known to have ended, by switch.

    Yields:
        The group; it runs until the block is left.
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
