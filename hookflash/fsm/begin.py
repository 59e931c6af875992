"""How a transfer begins: requested in a call of two, or found on the switch after a restart."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import attrs

from hookflash.called import name_of_fallback, name_of_further, place_in_list, recalls_by
from hookflash.events import NO_OPTIONS, Kind, LegId, TransferOptions, TransferRequested
from hookflash.fsm.policy import OPTIONAL_SOUNDS, Policy
from hookflash.fsm.transfer import Party, Place, Role, Transfer
from hookflash.sounds import Media

NOBODY: Final = ("", "")
"""The transferor of a caller who talks with nobody."""


def new_transfer(
    *,
    transfer: str,
    kind: Kind,
    policy: Policy,
    transferor: tuple[LegId, str],
    transferee: tuple[LegId, str],
    target: tuple[LegId, str],
    by: str = "digits",
    options: TransferOptions = NO_OPTIONS,
    hops: int = 0,
    account: str = "",
    owner_id: str = "",
    outside: Collection[LegId] = (),
    foreign: Collection[LegId] = (),
    withheld: Collection[LegId] = (),
    return_to: str = "",
) -> Transfer:
    """Assign the roles in a call of two, or to a caller who talks with nobody.

    Args:
        transfer: its id.
        kind: attended, blind, a hold, a handover and so on.
        policy: the operator's choices.
        transferor: leg and number of the party that requests it; in a handover, `NOBODY`.
        transferee: leg and number of the party that it talks with.
        target: the id that the target's leg will have, and the number to call.
        by: who requested it.
        options: what the request chooses instead of the policy.
        hops: how many times this call was transferred before.
        account: the account of the transfer.
        owner_id: the user or device that the transferor's leg belongs to.
        outside: which of the two are outside parties.
        foreign: which of the two belong to another account: they are shown nothing internal, too.
        withheld: which of the two withhold their numbers.
        return_to: where a caller who talks with nobody goes if the transfer fails.

    Returns:
        A transfer in its first state.
    """
    (leg_a, _), (leg_b, _), (leg_c, number_c) = transferor, transferee, target

    def party(named: tuple[LegId, str], peer: LegId) -> Party:
        leg, number = named
        if not leg:
            return Party(leg, number, Place.GONE, answered=False)
        return Party(
            leg,
            number,
            Place.JOINED if peer else Place.MOVING,
            answered=True,
            peer=peer or None,
            outside=leg in outside or leg in foreign,
            foreign=leg in foreign,
            withheld=leg in withheld,
        )

    further = options.further_targets
    return Transfer(
        id=transfer,
        kind=kind,
        policy=chosen(policy, options, kind),
        further=() if options.rings_all else further,
        rivals=tuple(
            Party(
                name_of_further(transfer, number),
                one.number,
                Place.UNBORN,
                answered=False,
                ring_timeout_s=one.ring_timeout_s,
            )
            for number, one in enumerate(further if options.rings_all else (), start=2)
        ),
        transferor=party(transferor, leg_b),
        transferee=party(transferee, leg_a),
        target=Party(leg_c, number_c, Place.UNBORN, answered=False),
        by=by,
        hops=hops,
        account=account,
        owner_id=owner_id,
        context=options.context,
        return_to=return_to,
        slot=options.slot,
    )


def found_transfer(
    *,
    transfer: str,
    kind: Kind,
    policy: Policy,
    transferor: Party,
    transferee: Party,
    target: Party,
    rivals: tuple[Party, ...] = (),
    request: TransferRequested | None = None,
    account: str = "",
    owner_id: str = "",
    return_to: str = "",
) -> Transfer:
    """Continue a transfer that was found on the switch.

    Facts alone say where it stands. Unless the transferee talks, and nobody else waits, a leg may
    carry a failsafe, or have been parked by one that is about to act: the transfer counts as armed.

    Args:
        transfer: its id.
        kind: attended, blind, a hold and so on.
        policy: the operator's choices.
        transferor: as it was found.
        transferee: as it was found.
        target: as it was found.
        rivals: other targets that were found.
        request: the original request, if it is known.
        account: the account of the transfer.
        owner_id: the user or device that the transferor's leg belongs to.
        return_to: where a caller without a transferor goes if it fails.
    """
    asked = request or TransferRequested(leg=transferor.leg, transfer=transfer, by="found")
    swapped = transferee.peer == transferor.leg and target.answered and target.lives
    fell_back = target.leg == name_of_fallback(transfer)
    options = asked.options
    called = place_in_list(transfer, target.leg)
    in_turn = target.lives and not options.rings_all
    return Transfer(
        id=transfer,
        kind=kind,
        policy=chosen(policy, options, kind),
        transferor=_called(transferor),
        transferee=transferee,
        target=_called(target),
        further=options.further_targets[called:] if in_turn else (),
        rivals=tuple(_called(rival) for rival in rivals),
        by=asked.by,
        separated=True,
        announced=True,
        recalls=policy.recall_attempts if fell_back else recalls_by(transfer, transferor.leg),
        fell_back=fell_back,
        armed=transferee.place is not Place.JOINED or swapped,
        rescued=Role.TARGET if swapped else None,
        account=account,
        owner_id=owner_id,
        context=options.context,
        return_to=return_to,
        slot=options.slot,
    )


def _called(party: Party) -> Party:
    return attrs.evolve(party, called=party.lives)


CHOICES: Final = frozenset(
    field.name for field in attrs.fields(TransferOptions) if hasattr(Policy(), field.name)
)
"""What a request may choose instead of the policy."""


_PLAIN: Final[Mapping[str, object]] = {
    "target_accepts": False,
    "briefing": None,
    "announcement": None,
}
_UNSAID: Final = dict.fromkeys(_PLAIN)


def chosen(policy: Policy, options: TransferOptions, kind: Kind | None = None) -> Policy:
    """What applies to a transfer: its own options, and for the rest the operator's choices.

    A device of the transferor's own, to which a call is moved, is asked and told nothing.
    """
    if kind is Kind.MOVE:
        policy, options = attrs.evolve(policy, **_PLAIN), attrs.evolve(options, **_UNSAID)
    asked = {name: getattr(options, name) for name in CHOICES}
    own = {
        name: None if value == "" and name in OPTIONAL_SOUNDS else value
        for name, value in asked.items()
        if value is not None and not isinstance(value, Media)  # an ID that nobody looked up
    }
    return attrs.evolve(policy, **own) if own else policy
