"""The state of each leg: its party, its account, and its peer.

It is learned from facts only. A leg's rights are decided by its own account and the first party
that it talks with, never by a later one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

import attrs

from hookflash import events as e
from hookflash.accounts import NOBODY, account_of_leg, owner_of_leg
from hookflash.dialling.digits import (
    UNARMED,
    CodeTable,
    Collector,
    FeatureAction,
    Module,
    literal_code,
    number_table,
)
from hookflash.dialling.metaflows import DEFAULT_METAFLOWS, DEFAULT_TAKEBACK_DIGITS, Metaflows
from hookflash.dialling.numbers import PLAIN_NUMBERS, NumberRules
from hookflash.engine.rules import Rules
from hookflash.fsm.policy import Policy
from hookflash.returns import place_for
from hookflash.sounds import NO_MEDIA, MediaList

DEFAULT_SWAP_DIGITS: Final = "*4"
"""As in Asterisk (`atxferswap`)."""
DEFAULT_THREE_WAY_DIGITS: Final = "*3"
"""As in Asterisk (`atxferthreeway`)."""


@attrs.frozen(kw_only=True)
class Account:
    """The settings of one account."""

    metaflows: Metaflows = DEFAULT_METAFLOWS
    policy: Policy = attrs.field(factory=Policy)
    rules: Rules = attrs.field(factory=Rules)
    media: MediaList = NO_MEDIA
    """The sounds that may be asked for by ID."""
    numbers: NumberRules = PLAIN_NUMBERS
    """How numbers are read before anything is checked or dialled."""
    takeback_digits: str = DEFAULT_TAKEBACK_DIGITS
    """What a transferor dials to take the transferee back, unless the code or request says
    otherwise."""
    swap_digits: str = DEFAULT_SWAP_DIGITS
    """What a transferor dials to change between transferee and target; empty: nothing."""
    three_way_digits: str = DEFAULT_THREE_WAY_DIGITS
    """What a transferor dials to bring all three into one conversation, and to leave it; empty:
    nothing."""
    complete_digits: str = ""
    """What a transferor dials to hand over without hanging up; empty: nothing. A code that begins
    another one of the account, such as `*2`, has to wait for the digit timeout."""

    move_to: tuple[str, ...] = ()
    """The numbers of the devices to which a call may be moved (`Kind.MOVE`), if the request names
    none: all ring at once, except the one that is talked on. Empty: the number of the leg itself,
    for a number at which several devices ring."""

    owners: Mapping[str, Account] = attrs.field(factory=dict[str, "Account"])
    """The settings of users and devices that differ, by owner ID."""
    returns: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """Names of extensions to which a caller without a transferor may go back: `bot`:
    `7000@default`."""

    def returns_to(self, options: e.TransferOptions = e.NO_OPTIONS) -> str:
        """Where a caller without a transferor goes if the transfer fails; empty: nowhere.

        Raises:
            InputError: the request names a place that the account does not have.
        """
        if options.return_to is not None:
            return place_for(options.return_to, self.returns)
        return place_for(self.policy.return_to, self.returns, "policy.return_to")

    def codes_in_transfer(self, options: e.TransferOptions = e.NO_OPTIONS) -> CodeTable:
        """The codes that a transferor may dial: those for the transfer, then the account's.

        Args:
            options: the request's; where it chooses nothing, the account's apply.
        """
        own = (
            literal_code(digits, FeatureAction(module=module), where=name)
            for name, module in _IN_TRANSFER.items()
            if (digits := _either(getattr(options, name), getattr(self, name)))
        )
        table = self.metaflows.table
        return attrs.evolve(table, codes=(*own, *table.codes))

    def codes_for_number(self) -> CodeTable:
        """What a transferor may dial who is asked for the number of the target."""
        return number_table(self.metaflows.numbering)


_IN_TRANSFER: Final = {
    "takeback_digits": Module.RESUME,
    "swap_digits": Module.SWAP,
    "three_way_digits": Module.THREE_WAY,
    "complete_digits": Module.COMPLETE,
}
"""The codes that exist in a transfer only. If two are alike, the first one counts."""


@lru_cache(maxsize=64)
def codes_of_target(policy: Policy) -> CodeTable:
    """What a target may press that is asked to accept the call."""
    chosen = (
        ("accept_digits", policy.accept_digits, Module.ACCEPT),
        ("decline_digits", policy.decline_digits, Module.DECLINE),
    )
    codes = tuple(
        literal_code(digits, FeatureAction(module=module), where=name)
        for name, digits, module in chosen
        if digits
    )
    return CodeTable(codes=codes)


def _either(chosen: str | None, otherwise: str) -> str:
    return otherwise if chosen is None else chosen


@attrs.frozen
class Accounts:
    """The settings of all accounts."""

    default: Account
    """For accounts that are not in `named`."""
    named: Mapping[str, Account]

    def of(self, name: str, owner_id: str = "") -> Account:
        """The settings of an account, or of one of its users and devices."""
        account = self.named.get(name, self.default)
        return account.owners.get(owner_id, account)


@attrs.define(kw_only=True)
class Leg:
    """One leg, as the switchboard knows it."""

    id: e.LegId
    number: str
    direction: e.Direction
    account: str
    """The leg's own account, as the switch reports it; empty if it has none, `NOBODY` if it is no
    allowed name."""
    responsible: str
    """The account responsible for the leg: its own, or that of the first party it talked with."""
    owner_id: str
    """The user or device that the leg belongs to, as the switch reports it; empty if it reports
    none, `NOBODY` if it is no allowed name."""
    choices: Account
    """The settings of that account, or of the owner, when the leg was created: later changes apply
    to later calls."""
    outside: bool = False
    may_transfer: bool | None = None
    withheld: bool = False
    is_user: bool | None = None
    """Whether the party is a user of its account; `None` until it has talked with somebody. Later
    parties do not change it: a customer who is transferred stays a customer."""
    answered: bool = False
    peer: e.LegId | None = None
    hops: int = 0
    """How often the call was transferred."""
    asked: bool = False
    """Whether the switch was asked for the peer since it was last known."""
    wants_slot: str = ""
    """The slot whose parked call it is to have, for which its phone has called a number."""
    withheld_from: e.LegId | None = None
    """The leg that does not hear this leg's keys now, while a code is being dialled."""
    missed: str = ""
    """The keys that were withheld."""
    collector: Collector = UNARMED
    digit_timer: str | None = None
    last_serial: int = 0

    @property
    def own_owner(self) -> str:
        """The owner whose settings apply: one of another account has no meaning."""
        return self.owner_id if self.account == self.responsible else ""


class Legs(dict[e.LegId, Leg]):
    """All existing legs, by ID."""

    def __init__(self, accounts: Accounts) -> None:
        super().__init__()
        self.accounts = accounts
        """The settings for new legs."""

    def add(self, event: e.LegCreated, *, responsible: str, hops: int) -> None:
        """Add a new leg. A repeat changes nothing.

        Args:
            event: the switch's report.
            responsible: the account, if the leg has none of its own.
            hops: how often its call was transferred.
        """
        if event.leg in self:
            return
        account, owner_id = account_of_leg(event.account), owner_of_leg(event.owner_id)
        responsible = account or responsible
        leg = self[event.leg] = Leg(
            id=event.leg,
            number=event.number,
            direction=event.direction,
            account=account,
            responsible=responsible,
            owner_id=owner_id,
            choices=self.accounts.default,
            outside=event.outside,
            may_transfer=False if NOBODY in (account, owner_id) else event.may_transfer,
            withheld=event.withheld,
            hops=hops,
        )
        self._choose(leg)

    def choose(self, accounts: Accounts, *, for_all: bool) -> None:
        """Apply other settings to new legs, or to all."""
        self.accounts = accounts
        for leg in self.values() if for_all else ():
            self._choose(leg)

    def _choose(self, leg: Leg) -> None:
        leg.choices = self.accounts.of(leg.responsible, leg.own_owner)

    def give_account(self, legs: Iterable[e.LegId], account: str, choices: Account) -> None:
        """Set the account of those of these legs that have none."""
        for leg_id in legs:
            leg = self.get(leg_id)
            if leg is not None and not leg.responsible:
                leg.responsible, leg.choices = account, choices

    def learn(self, event: e.Event) -> None:
        """Update known legs from a fact."""
        match event:
            case e.LegIdentified(leg=leg) if leg in self:
                self._identify(self[leg], event)
            case e.LegAnswered(leg=leg) if leg in self:
                self[leg].answered = True
            case e.LegsJoined(first=first, second=second):
                self._part(first)
                self._part(second)
                self._join(first, second)
                self._join(second, first)
            case e.LegsSeparated(first=first, second=second):
                if first in self and self[first].peer == second:
                    self._part(first)
                elif second in self and self[second].peer == first:
                    self._part(second)
            case e.LegParked(leg=leg) | e.LegHungUp(leg=leg):
                self._part(leg)
            case e.LegMovedAway(leg=leg):
                self._part(leg)
                if leg in self:
                    self[leg].wants_slot = ""
            case _:
                pass

    def _identify(self, leg: Leg, event: e.LegIdentified) -> None:
        """It has turned out who is at the end of a leg. An outside line stays outside."""
        leg.number = event.number or leg.number
        leg.outside = leg.outside if event.outside is None else event.outside
        leg.may_transfer = leg.may_transfer if event.may_transfer is None else event.may_transfer
        leg.withheld = leg.withheld if event.withheld is None else event.withheld
        if event.account and not leg.account:
            leg.account = leg.responsible = account_of_leg(event.account)
            self._choose(leg)
        same = account_of_leg(event.account) in ("", leg.account)
        if event.owner_id and not leg.owner_id and same:
            leg.owner_id = owner_of_leg(event.owner_id)
            self._choose(leg)
        if NOBODY in (leg.account, leg.owner_id):
            leg.may_transfer = False

    def partner_of(self, leg: Leg) -> Leg | None:
        """The leg's peer, if it is known."""
        return self.get(leg.peer) if leg.peer else None

    def _join(self, leg_id: e.LegId, peer: e.LegId) -> None:
        leg = self.get(leg_id)
        if leg is None:
            return
        leg.peer = peer
        leg.wants_slot = ""
        leg.answered = True
        leg.asked = False
        partner = self.get(peer)
        if partner is None:
            return
        if leg.is_user is None:
            leg.is_user = bool(leg.account or not partner.account)
        if not leg.responsible and partner.responsible:
            leg.responsible = partner.responsible
            of_account = not partner.own_owner  # the rights of a user are its own
            leg.choices = partner.choices if of_account else self.accounts.of(leg.responsible)

    def _part(self, leg_id: e.LegId) -> None:
        leg = self.get(leg_id)
        if leg is None or leg.peer is None:
            return
        partner = self.get(leg.peer)
        if partner is not None and partner.peer == leg_id:
            partner.peer = None
        leg.peer = None
