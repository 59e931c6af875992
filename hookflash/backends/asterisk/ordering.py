"""Sends commands to the switch.

Commands for one leg do not overtake one another; those for other legs do not wait. Each request has
a timeout; after it the connection is cut, and a new one shows the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import attrs
import trio

from hookflash import commands as c
from hookflash import events as e
from hookflash.backends.asterisk.connection import LOST, AsteriskConnection, Link
from hookflash.backends.asterisk.hearing import NewsReader
from hookflash.backends.asterisk.looking import LegLister
from hookflash.backends.asterisk.memory import LegMemory
from hookflash.backends.asterisk.primitives import SETTLES_S, AsteriskProcedure
from hookflash.backends.asterisk.procedures import AsteriskProcedures
from hookflash.backends.asterisk.requests import channel_request
from hookflash.backends.asterisk.settings import Asterisk
from hookflash.backends.base import ID_IN_USE
from hookflash.errors import InputError

_NOT_THERE: Final = "404"


@attrs.define(eq=False)
class _PendingOrder:
    """A command in the queue, and the orders that must be done before."""

    command: c.SwitchCommand
    procedure: AsteriskProcedure | None
    legs: frozenset[e.LegId]
    behind: tuple[trio.Event, ...]
    done: trio.Event = attrs.field(factory=trio.Event)


class OrderRunner:
    """Executes commands on one switch."""

    def __init__(
        self,
        settings: Asterisk,
        memory: LegMemory,
        reader: NewsReader,
        lister: LegLister,
        link: Link,
        *,
        on_answer: Callable[[c.SwitchCommand, float], None],
        log: Any,
    ) -> None:
        """Begin with an empty queue.

        Args:
            settings: of the switch.
            memory: remembers the legs, and passes facts on.
            reader: orders wait until it has read all events that were held back.
            lister: answers `Look`.
            link: the connection.
            on_answer: called with each command and its duration, in seconds.
            log: receives warnings.
        """
        self._memory = memory
        self._reader = reader
        self._lister = lister
        self._link = link
        self._on_answer = on_answer
        self._log = log
        self.procedures = AsteriskProcedures(
            party_of=memory.party_of,
            dialling=settings.dialling,
            account_dialling=settings.account_dialling,
            context=settings.context,
            park_limit_s=settings.park_limit_s,
            account_variable=settings.account_variable,
            owner_variable=settings.owner_variable,
        )
        self._lanes: dict[e.LegId, trio.Event] = {}
        """For each leg, the event that is set when its last order is done."""

    def put(self, command: c.SwitchCommand) -> None:
        """Queue a command."""
        try:
            procedure = self.procedures.of(command)
        except InputError as refused:
            self._log.warning("command.refused", why=str(refused))
            self._refused(command, str(refused))
            return
        if procedure is not None or isinstance(command, c.Look):
            self._link.start_soon(self._carry_out, self._queued(command, procedure))

    def let_go(self) -> None:
        """Drop all orders after a lost connection: some of them may have been executed."""
        self._lanes.clear()

    def _queued(
        self, command: c.SwitchCommand, procedure: AsteriskProcedure | None
    ) -> _PendingOrder:
        """Queue a command after all orders for its legs."""
        legs = frozenset[e.LegId]() if procedure is None else procedure.legs
        if isinstance(command, c.Look):
            legs = frozenset(command.legs)
        behind = tuple(self._lanes[leg] for leg in legs if leg in self._lanes)
        order = _PendingOrder(command, procedure, legs, behind)
        self._lanes |= dict.fromkeys(legs, order.done)
        return order

    async def _carry_out(self, connection: AsteriskConnection, order: _PendingOrder) -> None:
        for event in (self._reader.caught_up, *order.behind):
            await event.wait()
        began_s = trio.current_time()
        try:
            if isinstance(order.command, c.Look):
                await self._lister.answer(connection, order.command)
            elif order.procedure is not None:
                await self._run(connection, order.command, order.procedure)
        except LOST as lost:
            connection.die(str(lost))
        else:
            self._on_answer(order.command, trio.current_time() - began_s)
        finally:
            order.done.set()
            for leg in order.legs:
                if self._lanes.get(leg) is order.done:
                    del self._lanes[leg]

    async def _run(
        self, connection: AsteriskConnection, command: c.SwitchCommand, procedure: AsteriskProcedure
    ) -> None:
        joined_s = (self._memory.joined_s.get(leg, -math.inf) for leg in procedure.settled)
        await trio.sleep_until(max(joined_s, default=-math.inf) + SETTLES_S)
        await trio.sleep(procedure.after_s)
        if isinstance(command, c.Join):
            self._memory.joins[command.first] = command
        elif isinstance(command, c.Dial):
            if self._memory.inbound.name_of(command.leg):
                self._refused(command, ID_IN_USE)
                return
            self._memory.dials[command.leg] = command
        done = await self._memory.steps.run(connection, procedure)
        if done.refused is not None:
            await self._was_refused(connection, command, done.refused)
        elif isinstance(command, c.Join) and not done.joined:
            self._memory.note_joined(command.first, command.second)  # within a moment
        elif isinstance(command, c.Join):
            self._memory.joins.pop(command.first, None)
            pair = {"first": command.first, "second": command.second}
            if not any(
                map(self._memory.inbound.is_gone, pair.values())
            ):  # its end is its last fact
                self._memory.outlet.give(e.LegsSeparated(**pair))
                self._memory.outlet.give(e.LegsJoined(**pair))
        elif isinstance(command, c.Release):
            self._memory.outlet.give(e.LegsReleased(first=command.first, second=command.second))

    async def _was_refused(
        self, connection: AsteriskConnection, command: c.SwitchCommand, reason: str
    ) -> None:
        """Report a refusal by the switch.

        The refusal of a call does not show whether its id is in use: after one 409 for that reason,
        Asterisk answers 409 to other failed calls too (measured on 22.10.1). So it is asked.
        """
        if (
            isinstance(command, c.Dial)
            and await connection.ask(channel_request(command.leg)) is None
        ):
            self._memory.dials.pop(command.leg, None)
            self._memory.outlet.give(e.CommandFailed(command=command, reason=ID_IN_USE))
        else:
            self._refused(command, reason)

    def _refused(self, command: c.SwitchCommand, reason: str) -> None:
        """Report a refusal; for these two commands it means that the leg does not exist."""
        if isinstance(command, c.HangUp) and reason.startswith(_NOT_THERE):
            if (
                command.leg in self._memory.outlet.living
            ):  # its end is still to come, with its cause
                self.put(c.Look(legs=(command.leg,)))
                return
            self._memory.outlet.give(e.LegHungUp(leg=command.leg, cause="INVALID_CALL_REFERENCE"))
        elif isinstance(command, c.Dial) and not self._memory.inbound.name_of(command.leg):
            self._memory.outlet.give(e.LegHungUp(leg=command.leg, cause="INVALID_NUMBER_FORMAT"))
        else:
            self._memory.outlet.give(e.CommandFailed(command=command, reason=reason))
