"""What is known of each leg: who it is, whose it is, and with whom it talks.

It is learned from facts alone. A leg's rights are settled by its own account and by the first party
that it talks with, and never by a later one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

import attrs

from hookflash.dialling.digits import UNARMED, CodeTable, Collector, takeback_code
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

    def codes_in_transfer(self, takeback_digits: str | None) -> CodeTable:
        """The codes that a transferor may dial: the takeback's, then the account's own.

        Args:
            takeback_digits: those that the request named; `None`: the account's.
        """
        takeback = self.takeback_digits if takeback_digits is None else takeback_digits
        return _codes_with_takeback(self.metaflows, takeback)


@lru_cache(maxsize=1024)
def _codes_with_takeback(metaflows: Metaflows, takeback: str) -> CodeTable:
    own = (takeback_code(takeback, where="takeback_digits"),) if takeback else ()
    return CodeTable(codes=(*own, *metaflows.table.codes))


@attrs.frozen
class Accounts:
    """What every account has chosen."""

    default: Account
    """What holds for an account that is not in `named`."""
    named: Mapping[str, Account]

    def of(self, name: str) -> Account:
        """What an account has chosen."""
        return self.named.get(name, self.default)


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


class Legs(dict[LegId, Leg]):
    """Every leg that lives, by its id."""

    def __init__(self, accounts: Accounts) -> None:
        super().__init__()
        self.accounts = accounts
        """What holds for the accounts of legs that come from now on."""

    def add(self, event: LegCreated, *, owner: str, hops: int) -> None:
        """Add a leg that has come. A repeat changes nothing.

        Args:
            event: what the switch says of it.
            owner: the account that looks after it, if it has none of its own.
            hops: how often the call that it belongs to has been transferred.
        """
        if event.leg in self:
            return
        owner = event.account or owner
        self[event.leg] = Leg(
            id=event.leg,
            number=event.number,
            direction=event.direction,
            account=event.account,
            owner=owner,
            choices=self.accounts.of(owner),
            outside=event.outside,
            may_transfer=event.may_transfer,
            withheld=event.withheld,
            hops=hops,
        )

    def give_owner(self, legs: Iterable[LegId], owner: str, choices: Account) -> None:
        """Put those of some legs that nobody looks after in an account's care."""
        for leg_id in legs:
            leg = self.get(leg_id)
            if leg is not None and not leg.owner:
                leg.owner, leg.choices = owner, choices

    def learn(self, event: Event) -> None:
        """Take in what a fact says of legs that are known."""
        match event:
            case LegIdentified(leg=leg) if leg in self:
                self._identify(self[leg], event)
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

    def _identify(self, leg: Leg, event: LegIdentified) -> None:
        """It has turned out who is at the end of a leg. An outside line stays outside."""
        leg.number = event.number or leg.number
        leg.outside = leg.outside if event.outside is None else event.outside
        leg.may_transfer = leg.may_transfer if event.may_transfer is None else event.may_transfer
        leg.withheld = leg.withheld if event.withheld is None else event.withheld
        if event.account and not leg.account:
            leg.account = leg.owner = event.account
            leg.choices = self.accounts.of(event.account)

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
