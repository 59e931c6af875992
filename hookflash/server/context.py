"""What the operations work on: the engines, the journal, and the feature codes."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Mapping
from functools import partial
from typing import Final

import attrs

from hookflash.accounts import DEFAULT_ACCOUNT
from hookflash.api.answers import Accepted, TimelineEntry
from hookflash.engine.engine import Engine
from hookflash.engine.group import EngineGroup
from hookflash.engine.legs import Leg
from hookflash.engine.record import Record
from hookflash.engine.switchboard import Switchboard
from hookflash.errors import NotFound, RequestRefused
from hookflash.events import LegId, PickUpRequested, TransferRequested
from hookflash.fsm.transfer import Transfer
from hookflash.journal import history, transfers
from hookflash.journal.database import JournalError
from hookflash.journal.journal import Journal
from hookflash.journal.step import StoredStep
from hookflash.journal.transfers import Past
from hookflash.server.codes import CodeStore
from hookflash.server.turns import Turns
from hookflash.server.views import timeline_entry


@attrs.frozen(kw_only=True)
class Context:
    """What the operations work on. Objects of other accounts are not found."""

    group: EngineGroup
    journal: Journal
    codes: CodeStore
    turns: Turns = attrs.field(factory=Turns)
    """Keys take turns with their lists, so that commands wait for one list of a key at most."""

    def find_leg(self, account: str, call: LegId, switch: str | None) -> tuple[str, Engine, Leg]:
        """Find a leg of an account.

        Returns:
            The switch's name, its engine, and the leg.

        Raises:
            NotFound: the account has no such leg.
            RequestRefused: two switches have a leg with this ID.
        """
        found = [
            (name, engine, leg)
            for name, engine in self.group.engines.items()
            if switch in (None, name)
            and (leg := engine.switchboard.leg(call)) is not None
            and (leg.responsible or DEFAULT_ACCOUNT) == account
        ]
        if not found:
            raise NotFound("there is no such call")
        if len(found) > 1:
            raise RequestRefused("two switches have a call with this ID: name the switch, too")
        return found[0]

    def in_flight(self, account: str, transfer: str) -> tuple[str, Engine, Transfer] | None:
        """Find a transfer of an account that is in flight."""
        for name, engine in self.group.engines.items():
            running = engine.switchboard.transfer(transfer)
            own = engine.switchboard.account_of(transfer)
            if running is not None and (own or DEFAULT_ACCOUNT) == account:
                return name, engine, running
        return None

    async def remembered(
        self, transfer: str
    ) -> tuple[Past | None, tuple[TimelineEntry, ...] | None]:
        """What is known about a transfer: from the journal, and of steps that wait to be written.

        While the journal can't be read, there is no timeline of a transfer that began before.
        """
        waiting = self.journal.unwritten_of(transfer)
        try:
            past, steps = await self.journal.read(partial(_remembered, transfer=transfer))
        except JournalError:
            past, steps = None, None
        last = steps[-1].number if steps else 0
        for step in waiting:
            if step.number > last:  # else it was written meanwhile
                past = transfers.past_after(past, step.record())
                if steps is not None or past is not None:
                    steps = [*(steps or ()), step]
        return past, None if steps is None else tuple(map(timeline_entry, steps))

    async def accept(self, account: str, transfer: str | None, record: Record | None) -> Accepted:
        """Confirm a command once its step is safe in the journal."""
        number = record.number if record is not None else 0
        await self.journal.settled(number)
        url = _url(account, transfer) if transfer else None
        return Accepted(transfer_id=transfer, url=url, number=number, slot=slot_in(record))

    async def accepted_before(self, account: str, transfer: str) -> Accepted | None:
        """Confirm a transfer that exists already: the first answer may have been lost."""
        past, timeline = await self.remembered(transfer)
        is_known = past is not None and past.account == account
        if not is_known and self.in_flight(account, transfer) is None:
            return None
        number = timeline[0].number if timeline else 0
        url, slot = _url(account, transfer), past.slot if past else None
        return Accepted(transfer_id=transfer, url=url, number=number, slot=slot or None)

    def faults(self) -> dict[str, str]:
        """The current faults, by part: unreachable switches, the journal, feature codes."""
        found = {f"switch {name}": why for name, why in self.group.away().items()}
        if self.journal.fault is not None:
            found["journal"] = self.journal.fault
        if self.journal.set_aside:
            found["journal set aside"] = "; ".join(map(str, self.journal.set_aside))
        if self.journal.unreadable:
            found["journal rows"] = _named(self.journal.unreadable)
        return found | self.codes.faults


def slot_in(record: Record | None) -> str | None:
    """The slot of a call that is parked or picked up."""
    match record and record.event:
        case TransferRequested(options=options):
            return options.slot or None
        case PickUpRequested(slot=slot):
            return slot
        case _:
            return None


def own_transfer_of(board: Switchboard, account: str, call: LegId) -> Transfer | None:
    """The account's own transfer that a leg is in."""
    transfer = board.transfer_of(call)
    if transfer is None or (board.account_of(transfer.id) or DEFAULT_ACCOUNT) != account:
        return None
    return transfer


def _url(account: str, transfer: str) -> str:
    return f"/v2/accounts/{account}/transfers/{transfer}"


MOST_NAMED: Final = 5


def _named(unreadable: Mapping[str, str]) -> str:
    """A sentence about rows that can't be read; the log and `journal check` name them all."""
    first = [f"{row} ({why})" for row, why in itertools.islice(unreadable.items(), MOST_NAMED)]
    more = len(unreadable) - len(first)
    return f"left out: {', '.join(first)}{f', and {more} more' if more else ''}"


def _remembered(
    connection: sqlite3.Connection, transfer: str
) -> tuple[Past | None, list[StoredStep]]:
    past = transfers.find_transfer(connection, transfer)
    return past, history.readable_steps_of(connection, transfer)
