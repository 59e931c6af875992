"""Transfers in flight, the legs in them, and what is remembered of ended ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import attrs

from hookflash.called import caller_of
from hookflash.dialling.digits import CodeTable
from hookflash.engine.record import Parties
from hookflash.engine.rules import Meters, Rules
from hookflash.events import Event, Kind, LegHungUp, LegId, TimerFired, legs_of
from hookflash.fsm.transfer import Place, Transfer

_Left = TypeVar("_Left")

MOST_ENDED = 1_000
"""How many ended transfers are remembered: a late event or an old mark may still name one."""


@attrs.define(kw_only=True)
class Running:
    """A transfer in flight."""

    transfer: Transfer
    codes: CodeTable
    """The codes that the transferor may dial."""
    number: CodeTable = attrs.field(factory=CodeTable)
    """What the transferor may dial while it is asked for the number."""
    account: str
    """The transferor's account, which owns the transfer."""
    parties: Parties
    ending: LegHungUp | None = None
    """The hang-up whose cause is the transfer's."""


class InFlight(dict[str, Running]):
    """The transfers in flight, by ID and by leg. A leg is in at most one transfer."""

    def __init__(self) -> None:
        super().__init__()
        self.meters = Meters()
        self._of_leg: dict[LegId, str] = {}
        self._ended: dict[str, tuple[LegId, ...]] = {}
        """IDs of transfers that ended recently, the oldest first, and the legs that lived on."""
        self._dismissed: dict[LegId, None] = {}
        """Targets of ended transfers that were not joined: hung up if they appear later."""

    @property
    def legs(self) -> int:
        """The number of legs in transfers."""
        return len(self._of_leg)

    def of(self, leg: LegId) -> Running | None:
        """The transfer that a leg is in."""
        transfer = self._of_leg.get(leg)
        return self[transfer] if transfer else None

    def parked_in(self, account: str, slot: str) -> Running | None:
        """The transfer that has parked a call in a slot of an account."""
        parked = (one for one in self.values() if one.transfer.kind is Kind.PARK)
        return next(
            (one for one in parked if one.account == account and one.transfer.slot == slot), None
        )

    def about(self, event: Event) -> list[str]:
        """The transfers that an event is about; usually at most one."""
        if isinstance(event, TimerFired):
            transfer = event.timer.rpartition("#")[0]
            return [transfer] if transfer in self else []
        about: list[str] = []
        for leg in legs_of(event):
            transfer = self._of_leg.get(leg)
            if transfer is not None and transfer not in about:
                about.append(transfer)
        return about

    def begin(self, running: Running, legs: Iterable[LegId], rules: Rules, at_s: float) -> None:
        """Add a transfer and its legs, and count it against the account's limits."""
        transfer = running.transfer
        self[transfer.id] = running
        self._of_leg |= dict.fromkeys(filter(None, legs), transfer.id)  # nobody has no leg
        self.meters.begin(running.account, rules, transfer.kind, at_s)

    def replace(self, running: Running, before: Transfer) -> None:
        """A transfer has other legs now; those that it has left are hung up if they appear."""
        after = running.transfer
        now = {party.leg: after.id for party in after.everybody}
        for old in before.everybody:
            if old.leg not in now:
                if self._of_leg.get(old.leg) == after.id:
                    del self._of_leg[old.leg]
                if not (after.kind is Kind.PARK and old.answered):  # it stays where it was
                    _remember(self._dismissed, old.leg, None)
        self._of_leg |= now
        running.parties = Parties.of(after)

    def end(self, transfer: Transfer) -> None:
        """Remove an ended transfer, and remember it. A leg that is in another stays there."""
        for party in transfer.everybody:
            if self._of_leg.get(party.leg) == transfer.id:
                del self._of_leg[party.leg]
        left = (party.leg for party in transfer.parties if party.place is Place.JOINED)
        _remember(self._ended, transfer.id, tuple(left))
        for rival in transfer.rivals:
            _remember(self._dismissed, rival.leg, None)
        if transfer.target.place is not Place.JOINED:
            _remember(self._dismissed, transfer.target.leg, None)
        self.meters.end(self.pop(transfer.id).account, transfer.kind)

    def has_ended(self, transfer: str) -> bool:
        """Whether a transfer ended recently."""
        return transfer in self._ended

    def is_dismissed(self, leg: LegId) -> bool:
        """Whether a transfer that has ended, without this leg, called it.

        It may have been ordered by the controller before this one, and be called only now.
        """
        return leg in self._dismissed or leg not in self._ended.get(caller_of(leg), (leg,))


def _remember(names: dict[str, _Left], name: str, left: _Left) -> None:
    """Remember a name, and forget the oldest if there are too many."""
    names[name] = left
    if len(names) > MOST_ENDED:
        del names[next(iter(names))]
