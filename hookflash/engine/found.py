"""What a restarted controller finds on the switch.

Marks on legs name their transfer and role. The outcome of a transfer without marks is inferred from
who talks with whom.
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
    """The original request."""
    parties: Parties
    account: str = ""


@attrs.frozen(kw_only=True)
class Found:
    """The marked legs of one transfer, and what the journal knows about it."""

    transfer: str
    roles: Mapping[str, LegSnapshot]
    known: Unfinished | None

    @property
    def legs(self) -> tuple[LegId, ...]:
        """All marked legs."""
        return tuple(leg.leg for leg in self.roles.values())

    @property
    def owner(self) -> str:
        """The transfer's account; empty if unknown."""
        if self.known is not None:
            return self.known.account
        shown = (self.roles.get(Role.TRANSFEROR.value), self.roles.get(Role.TRANSFEREE.value))
        return next((leg.account for leg in shown if leg is not None and leg.account), "")

    @property
    def takeback_digits(self) -> str | None:
        """The takeback digits of the request; `None`: the account's."""
        return self.known.request.options.takeback_digits if self.known else None

    def record(self, policy: Policy) -> Transfer:
        """The transfer as found."""
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
        """Remove the marks, and hang up a target that does not talk with anybody."""
        legs = self.roles.values()
        stray = [leg for leg in legs if leg.role == Role.TARGET.value and leg.peer is None]
        return (
            Forget(legs=self.legs),
            *(HangUp(leg=leg.leg, cause="ORIGINATOR_CANCEL") for leg in stray if not leg.answered),
        )


def _party(found: LegSnapshot | None, named: Named, ours: Iterable[LegId]) -> Party:
    """A party as the switch shows it; if it is not shown, it is gone.

    A party is also gone if it talks with a leg that is not ours, or if another program has it.
    A party that is neither parked nor joined is moving.
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
    """Marked legs, by transfer ID and role."""
    marked: dict[str, dict[str, LegSnapshot]] = {}
    for leg in legs:
        if leg.transfer and leg.role:
            marked.setdefault(leg.transfer, {})[leg.role] = leg
    return marked


def what_became(parties: Parties, legs: Iterable[LegSnapshot]) -> tuple[Outcome, str | None, str]:
    """Infer the outcome of a transfer without marks.

    Returns:
        The outcome, its cause, and the reason.
    """
    pairs = {frozenset((leg.leg, leg.peer)) for leg in legs if leg.peer is not None}
    transferor, transferee, target = (
        named.leg for named in (parties.transferor, parties.transferee, parties.target)
    )
    if frozenset((transferee, target)) in pairs:
        return Outcome.TRANSFERRED, None, "The transferee and the target are talking."
    if frozenset((transferor, transferee)) in pairs:
        why = "The transferor and the transferee are talking again."
        return Outcome.RECONNECTED, LOST_TRACK, why
    if frozenset((transferor, target)) in pairs:
        return Outcome.ABANDONED, None, "The transferor and the target are talking."
    return Outcome.FAILED, LOST_TRACK, "No two parties of the transfer are talking any more."
