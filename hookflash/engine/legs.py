"""What is known of each leg: who it is, whose it is, and with whom it talks.

It is learned from facts alone. A leg's rights are settled by its own account and by the first party
that it talks with, and never by a later one.
"""

from __future__ import annotations

import attrs

from hookflash.dialling.digits import UNARMED, Collector
from hookflash.dialling.metaflows import DEFAULT_METAFLOWS, DEFAULT_TAKEBACK_DIGITS, Metaflows
from hookflash.engine.rules import Rules
from hookflash.events import (
    Direction,
    Event,
    LegAnswered,
    LegCreated,
    LegHungUp,
    LegId,
    LegIdentified,
    LegMovedAway,
    LegParked,
    LegsJoined,
    LegsSeparated,
)
from hookflash.fsm.policy import Policy


@attrs.frozen(kw_only=True)
class Account:
    """What one account has chosen."""

    metaflows: Metaflows = DEFAULT_METAFLOWS
    policy: Policy = attrs.field(factory=Policy)
    rules: Rules = attrs.field(factory=Rules)
    takeback_digits: str = DEFAULT_TAKEBACK_DIGITS
    """What a transferor dials to have the transferee back, where no code and no request says
    otherwise."""


@attrs.define(kw_only=True)
class Leg:
    """One leg, as far as the switchboard knows it."""

    id: LegId
    number: str
    direction: Direction
    account: str
    """Whose leg it is, by the switch; empty for a party that is nobody's."""
    owner: str
    """The account that looks after it: its own, or that of the first party it talked with."""
    choices: Account
    """What held for that account when the leg came: a later change is for later calls."""
    outside: bool = False
    may_transfer: bool | None = None
    withheld: bool = False
    is_user: bool | None = None
    """Whether the party is a user of its account; `None` until it has talked with somebody. It is
    settled by its own account and the first party that it talks with, and never by a later one: a
    customer who is transferred stays a customer."""
    answered: bool = False
    peer: LegId | None = None
    hops: int = 0
    """How often the call that it is in has been transferred."""
    asked: bool = False
    """Whether the switch was asked with whom it talks, since it was last known."""
    withheld_from: LegId | None = None
    """The leg that hears no keys of this one for now: a code is being dialled."""
    missed: str = ""
    """The keys that it has not heard."""
    collector: Collector = UNARMED
    digit_timer: str | None = None
    last_serial: int = 0

    def identify(self, event: LegIdentified) -> None:
        """It has turned out who is at the end of the leg. An outside line stays outside."""
        self.number = event.number or self.number
        self.outside = self.outside if event.outside is None else event.outside
        self.may_transfer = self.may_transfer if event.may_transfer is None else event.may_transfer
        self.withheld = self.withheld if event.withheld is None else event.withheld


class Legs(dict[LegId, Leg]):
    """Every leg that lives, by its id."""

    def learn(self, event: Event) -> None:
        """Take in what a fact says of legs that are known.

        Who comes (`LegCreated`) and whose it turns out to be (`LegIdentified`) is the switchboard's
        to say, and so is who is forgotten.
        """
        match event:
            case LegAnswered(leg=leg) if leg in self:
                self[leg].answered = True
            case LegsJoined(first=first, second=second):
                self._part(first)
                self._part(second)
                self._join(first, second)
                self._join(second, first)
            case LegsSeparated(first=first, second=second):
                if first in self and self[first].peer == second:
                    self._part(first)
                elif second in self and self[second].peer == first:
                    self._part(second)
            case LegParked(leg=leg) | LegMovedAway(leg=leg) | LegHungUp(leg=leg):
                self._part(leg)
            case _:
                pass

    def partner_of(self, leg: Leg) -> Leg | None:
        """With whom a leg talks, where that is known."""
        return self.get(leg.peer) if leg.peer else None

    def _join(self, leg_id: LegId, peer: LegId) -> None:
        leg = self.get(leg_id)
        if leg is None:
            return
        leg.peer = peer
        leg.answered = True
        leg.asked = False
        partner = self.get(peer)
        if partner is None:
            return
        if leg.is_user is None:
            leg.is_user = bool(leg.account or not partner.account)
        if not leg.owner and partner.owner:
            leg.owner = partner.owner
            leg.choices = partner.choices

    def _part(self, leg_id: LegId) -> None:
        leg = self.get(leg_id)
        if leg is None or leg.peer is None:
            return
        partner = self.get(leg.peer)
        if partner is not None and partner.peer == leg_id:
            partner.peer = None
        leg.peer = None


def new_leg(event: LegCreated, *, owner: str, choices: Account, hops: int) -> Leg:
    """A leg that has come.

    Args:
        event: what the switch says of it.
        owner: the account that looks after it.
        choices: what holds for that account.
        hops: how often the call that it belongs to has been transferred.
    """
    return Leg(
        id=event.leg,
        number=event.number,
        direction=event.direction,
        account=event.account,
        owner=owner,
        choices=choices,
        outside=event.outside,
        may_transfer=event.may_transfer,
        withheld=event.withheld,
        hops=hops,
    )
