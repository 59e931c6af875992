"""What the operations work on: the engines, the journal, and the feature codes."""

from __future__ import annotations

from functools import partial

import attrs

from hookflash.api.answers import Accepted, TimelineEntry
from hookflash.engine.engine import Engine
from hookflash.engine.group import EngineGroup
from hookflash.engine.legs import Leg
from hookflash.engine.record import Record
from hookflash.engine.switchboard import Switchboard
from hookflash.errors import NotFound, RequestRefused
from hookflash.events import LegId
from hookflash.fsm.transfer import Transfer
from hookflash.journal import history, transfers
from hookflash.journal.database import JournalError
from hookflash.journal.journal import Journal
from hookflash.journal.step import DEFAULT_ACCOUNT
from hookflash.journal.transfers import Past
from hookflash.server.codes import CodeStore
from hookflash.server.views import timeline_entry


@attrs.frozen(kw_only=True)
class Context:
    """What the operations work on. Objects of other accounts are not found."""

    group: EngineGroup
    journal: Journal
    codes: CodeStore

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
            and (leg.owner or DEFAULT_ACCOUNT) == account
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
            owner = engine.switchboard.owner(transfer)
            if running is not None and (owner or DEFAULT_ACCOUNT) == account:
                return name, engine, running
        return None

    async def remembered(
        self, transfer: str
    ) -> tuple[Past | None, tuple[TimelineEntry, ...] | None]:
        """The journal's data about a transfer; nothing while it can't be read."""
        try:
            past = await self.journal.read(partial(transfers.find_transfer, transfer=transfer))
            steps = await self.journal.read(partial(history.steps_of, transfer=transfer))
        except JournalError:
            return None, None
        return past, tuple(timeline_entry(step) for step in steps)

    async def accept(self, account: str, transfer: str | None, record: Record | None) -> Accepted:
        """Confirm a command once its step is safe in the journal."""
        number = record.number if record is not None else 0
        await self.journal.settled(number)
        url = _url(account, transfer) if transfer else None
        return Accepted(transfer_id=transfer, url=url, number=number)

    async def accepted_before(self, account: str, transfer: str) -> Accepted | None:
        """Confirm a transfer that exists already: the first answer may have been lost."""
        past, timeline = await self.remembered(transfer)
        is_known = past is not None and past.account == account
        if not is_known and self.in_flight(account, transfer) is None:
            return None
        number = timeline[0].number if timeline else 0
        return Accepted(transfer_id=transfer, url=_url(account, transfer), number=number)

    def faults(self) -> dict[str, str]:
        """The current faults, by part: unreachable switches, the journal."""
        found = {f"switch {name}": why for name, why in self.group.away().items()}
        if self.journal.fault is not None:
            found["journal"] = self.journal.fault
        return found


def own_transfer_of(board: Switchboard, account: str, call: LegId) -> Transfer | None:
    """The account's own transfer that a leg is in."""
    transfer = board.transfer_of(call)
    if transfer is None or (board.owner(transfer.id) or DEFAULT_ACCOUNT) != account:
        return None
    return transfer


def _url(account: str, transfer: str) -> str:
    return f"/v2/accounts/{account}/transfers/{transfer}"
