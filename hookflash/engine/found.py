"""What a restarted controller finds on the switch.

Marks on legs name their transfer and role. The outcome of a transfer without marks is inferred from
who talks with whom.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import attrs

from hookflash.accounts import owner_of_leg
from hookflash.backends.base import LOST_TRACK, LegSnapshot
from hookflash.called import (
    call_order,
    name_of_fallback,
    name_of_target,
    names_of_asked,
    names_of_further,
    names_of_recalls,
    names_of_redials,
    place_in_list,
)
from hookflash.commands import Command, Forget, HangUp
from hookflash.engine.record import Named, Parties
from hookflash.errors import InputError
from hookflash.events import NO_OPTIONS, Kind, LegId, TransferOptions, TransferRequested
from hookflash.fsm.begin import found_transfer
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Outcome, Party, Place, Role, Transfer
from hookflash.returns import ORIGIN
from hookflash.sounds import Conversation
from hookflash.transfer_context import ProgramData


@attrs.frozen(kw_only=True)
class Unfinished:
    """A transfer that was in flight when the controller before this one died."""

    request: TransferRequested
    """The original request."""
    parties: Parties
    account: str = ""
    begins: Transfer | None = None
    """The transfer as it began, if that is known."""
    state: str = ""
    """Its last state; empty: not known."""

    @property
    def data(self) -> ProgramData | None:
        """The program's own data."""
        return None if (context := self.request.options.context) is None else context.data


@attrs.frozen(kw_only=True)
class Found:
    """The marked legs of one transfer, and what the journal knows about it."""

    transfer: str
    roles: Mapping[str, LegSnapshot]
    known: Unfinished | None
    others: tuple[LegSnapshot, ...] = ()
    """Other targets, which ring at the same time."""

    @property
    def legs(self) -> tuple[LegId, ...]:
        """All marked legs."""
        return tuple(leg.leg for leg in (*self.roles.values(), *self.others))

    @property
    def account(self) -> str:
        """The transfer's account; empty if unknown."""
        if self.known is not None:
            return self.known.account
        shown = (self.roles.get(Role.TRANSFEROR.value), self.roles.get(Role.TRANSFEREE.value))
        return next((leg.account for leg in shown if leg is not None and leg.account), "")

    @property
    def owner_id(self) -> str:
        """The user or device that the transferor's leg belongs to; empty if unknown."""
        if self.known is not None and self.known.begins is not None:
            return self.known.begins.owner_id
        shown = self.roles.get(Role.TRANSFEROR.value)
        is_own = shown is not None and shown.account == self.account
        return owner_of_leg(shown.owner_id) if shown is not None and is_own else ""

    @property
    def state(self) -> str:
        """Its last state; empty: not known."""
        return self.known.state if self.known else ""

    @property
    def options(self) -> TransferOptions:
        """What the request has chosen."""
        return self.known.request.options if self.known else NO_OPTIONS

    def record(self, policy: Policy, returns_to: Callable[[TransferOptions], str]) -> Transfer:
        """The transfer as found.

        Args:
            policy: the operator's choices.
            returns_to: where a caller without a transferor goes if it fails.
        """
        request = self.known.request if self.known else None
        kinds = {leg.kind for leg in self.roles.values()} & {kind.value for kind in Kind}
        shown = Kind(next(iter(kinds))) if kinds else Kind.ATTENDED
        kind = request.kind if request else shown
        transferor, transferee, target = (self._party(role) for role in Role)
        return found_transfer(
            transfer=self.transfer,
            kind=kind,
            policy=policy,
            transferor=transferor,
            transferee=transferee,
            target=target,
            rivals=tuple(_party(leg, self.legs, self.account) for leg in self.others),
            request=request,
            account=self.account,
            owner_id=self.owner_id,
            return_to=self._returns_to(returns_to) if kind is Kind.HANDOVER else "",
        )

    def _returns_to(self, returns_to: Callable[[TransferOptions], str]) -> str:
        """Where the caller goes back: where it came from, if the name it was given is gone."""
        try:
            return returns_to(self.options)
        except InputError:
            return ORIGIN

    def _party(self, role: Role) -> Party:
        shown = self.roles.get(role.value)
        if shown is not None:
            return _party(shown, self.legs, self.account)
        known = self.known
        if known is None:
            return Party(f"{self.transfer}-{role.value}", "", Place.GONE, answered=False)
        named: Named = getattr(known.parties, role)
        began = known.begins.party(role) if known.begins else None
        return Party(
            named.leg,
            named.number,
            Place.GONE,
            answered=False,
            outside=began is None or began.outside,  # who is not known is not called back
            withheld=began is None or began.withheld,
        )

    def clear(self) -> tuple[Command, ...]:
        """Remove the marks, and hang up who is being called."""
        marked = (*self.roles.values(), *self.others)
        stray = [leg for leg in marked if leg.peer is None and not leg.answered]
        return (
            Forget(legs=self.legs),
            *(HangUp(leg=leg.leg, cause="ORIGINATOR_CANCEL") for leg in stray),
        )


def _party(found: LegSnapshot, ours: Iterable[LegId], account: str) -> Party:
    """A party as the switch shows it.

    It is gone if it talks with a leg that is not ours, or if another program has it. A party that
    is neither parked nor joined is moving.
    """
    foreign = found.account not in ("", account)
    if found.peer in set(ours):
        place = Place.JOINED
    elif found.peer is not None or found.elsewhere:
        place = Place.GONE
    elif found.parked:
        place = Place.PARKED
    else:
        place = Place.MOVING if found.answered else Place.RINGING
    part = found.hears if isinstance(found.hears, Conversation) else None
    return Party(
        found.leg,
        found.number,
        place,
        found.answered,
        peer=found.peer if place is Place.JOINED else None,
        sound=part,
        hears=part is not None or (place is Place.PARKED and found.hears is not None),
        heard=part is not None,
        outside=found.outside or foreign,
        foreign=foreign,
        withheld=found.withheld,
    )


def by_transfer(
    legs: Iterable[LegSnapshot],
) -> dict[str, tuple[dict[str, LegSnapshot], tuple[LegSnapshot, ...]]]:
    """Marked legs, by transfer ID: one in each role, and the other targets.

    Of several in one role, the one that was called last; of the targets of a list, the one that
    talks, or has answered.
    """
    marked: dict[str, list[LegSnapshot]] = {}
    for leg in legs:
        if leg.transfer and leg.role:
            marked.setdefault(leg.transfer, []).append(leg)
    found: dict[str, tuple[dict[str, LegSnapshot], tuple[LegSnapshot, ...]]] = {}
    for transfer, ours in marked.items():
        roles = {leg.role: leg for leg in sorted(ours, key=_rank)}
        targets = (leg for leg in ours if leg.role == Role.TARGET.value)
        found[transfer] = roles, tuple(leg for leg in targets if leg is not roles[leg.role])
    return found


def _rank(leg: LegSnapshot) -> tuple[int, bool, bool, int]:
    order = call_order(leg.transfer, leg.leg)
    listed = leg.leg == name_of_target(leg.transfer) or place_in_list(leg.transfer, leg.leg) > 0
    return 0 if listed else order, leg.peer is not None, leg.answered, order


def what_became(  # noqa: PLR0911 - one for each outcome
    transfer: str, parties: Parties, legs: Iterable[LegSnapshot], kind: Kind = Kind.ATTENDED
) -> tuple[Outcome, str | None, str]:
    """Infer the outcome of a transfer without marks.

    Returns:
        The outcome, its cause, and the reason.
    """
    legs = tuple(legs)
    partners = {leg.leg: leg.peer for leg in legs}
    partner = partners.get(parties.transferee.leg)
    target = parties.target.leg
    later = (names_of_further, names_of_asked, names_of_redials)
    if partner == target or any(partner in names(transfer) for names in later):
        return Outcome.TRANSFERRED, None, "The transferee and the target are talking."
    if partner == parties.transferor.leg:
        why = "The transferor and the transferee are talking again."
        return Outcome.RECONNECTED, LOST_TRACK, why
    if partner in names_of_recalls(transfer):
        why = "The transferor was called back, and the transferee has it again."
        return Outcome.RECALLED, LOST_TRACK, why
    if partner == name_of_fallback(transfer):
        return Outcome.FELL_BACK, LOST_TRACK, "The transferee and the fallback target are talking."
    if partners.get(target) == parties.transferor.leg:
        return Outcome.ABANDONED, None, "The transferor and the target are talking."
    caller = next((leg for leg in legs if leg.leg == parties.transferee.leg), None)
    if kind is Kind.HANDOVER and caller is not None and caller.elsewhere:
        return Outcome.RETURNED, LOST_TRACK, "The caller is back where it came from."
    return Outcome.FAILED, LOST_TRACK, "No two parties of the transfer are talking any more."
