"""What a controller that comes anew makes of what it finds on the switch.

Marks on legs say which transfer they were in, and as what. What became of a transfer without any
mark is read from who talks with whom.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from hookflash.backends.base import LOST_TRACK, LegSnapshot
from hookflash.commands import Command, Forget, HangUp
from hookflash.engine.record import Named, Parties
from hookflash.events import Kind, LegId, TransferRequested
from hookflash.fsm.begin import found_transfer
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Outcome, Party, Place, Role, Transfer


@attrs.frozen(kw_only=True)
class Unfinished:
    """A transfer that was in flight when the controller before this one died."""

    request: TransferRequested
    """As it was asked for."""
    parties: Parties
    account: str = ""


@attrs.frozen(kw_only=True)
class Found:
    """The legs of one transfer, by their marks, and what is known of it from before."""

    transfer: str
    roles: Mapping[str, LegSnapshot]
    known: Unfinished | None

    @property
    def legs(self) -> tuple[LegId, ...]:
        """All that are marked."""
        return tuple(leg.leg for leg in self.roles.values())

    @property
    def owner(self) -> str:
        """The account whose transfer it is; empty if nothing says."""
        if self.known is not None:
            return self.known.account
        shown = (self.roles.get(Role.TRANSFEROR.value), self.roles.get(Role.TRANSFEREE.value))
        return next((leg.account for leg in shown if leg is not None and leg.account), "")

    @property
    def takeback_digits(self) -> str | None:
        """Those that the request named; `None`: the account's."""
        return self.known.request.options.takeback_digits if self.known else None

    def record(self, policy: Policy) -> Transfer:
        """The transfer as it stands."""
        request = self.known.request if self.known else None
        kinds = {leg.kind for leg in self.roles.values()} & {kind.value for kind in Kind}
        shown = Kind(next(iter(kinds))) if kinds else Kind.ATTENDED
        transferor, transferee, target = (self._party(role) for role in Role)
        return found_transfer(
            transfer=self.transfer,
            kind=request.kind if request else shown,
            policy=policy,
            transferor=transferor,
            transferee=transferee,
            target=target,
            request=request,
            account=self.owner,
        )

    def _party(self, role: Role) -> Party:
        known = self.known
        named = (
            getattr(known.parties, role) if known else Named(f"{self.transfer}-{role.value}", "")
        )
        return _party(self.roles.get(role.value), named, self.legs)

    def clear(self) -> tuple[Command, ...]:
        """Take the marks off; a target that nobody has got is hung up."""
        legs = self.roles.values()
        stray = [leg for leg in legs if leg.role == Role.TARGET.value and leg.peer is None]
        return (
            Forget(legs=self.legs),
            *(HangUp(leg=leg.leg, cause="ORIGINATOR_CANCEL") for leg in stray if not leg.answered),
        )


def _party(found: LegSnapshot | None, named: Named, ours: Iterable[LegId]) -> Party:
    """A party as the switch shows it; one that it does not show is gone.

    Only who is seen in a conversation with a stranger, or about something that is not ours, is no
    more of ours. One that stands nowhere is on its way to somewhere.
    """
    if found is None:
        return Party(named.leg, named.number, Place.GONE, answered=False)
    if found.peer in set(ours):
        place = Place.JOINED
    elif found.peer is not None or found.elsewhere:
        place = Place.GONE
    elif found.parked:
        place = Place.PARKED
    else:
        place = Place.MOVING if found.answered else Place.RINGING
    return Party(
        found.leg,
        found.number,
        place,
        found.answered,
        peer=found.peer if place is Place.JOINED else None,
        outside=found.outside,
        withheld=found.withheld,
    )


def by_transfer(legs: Iterable[LegSnapshot]) -> dict[str, dict[str, LegSnapshot]]:
    """The legs that bear the marks of a transfer, by its id and by their part in it."""
    marked: dict[str, dict[str, LegSnapshot]] = {}
    for leg in legs:
        if leg.transfer and leg.role:
            marked.setdefault(leg.transfer, {})[leg.role] = leg
    return marked


def what_became(parties: Parties, legs: Iterable[LegSnapshot]) -> tuple[Outcome, str | None, str]:
    """What became of a transfer of which the switch shows no mark any more.

    Returns:
        The outcome, its cause, and why it is believed.
    """
    pairs = {frozenset((leg.leg, leg.peer)) for leg in legs if leg.peer is not None}
    transferor, transferee, target = (
        named.leg for named in (parties.transferor, parties.transferee, parties.target)
    )
    if frozenset((transferee, target)) in pairs:
        return Outcome.TRANSFERRED, None, "Transferee and target talk."
    if frozenset((transferor, transferee)) in pairs:
        return Outcome.RECONNECTED, LOST_TRACK, "The two talk as before."
    if frozenset((transferor, target)) in pairs:
        return Outcome.ABANDONED, None, "Transferor and target talk."
    return Outcome.FAILED, LOST_TRACK, "Nobody of it is there any more."
