"""The records from which a table is searched: a new transfer, and those that a restart may find."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import attrs

from hookflash.called import name_of_fallback, name_of_recall
from hookflash.events import NO_OPTIONS, Kind, TransferOptions
from hookflash.fsm.begin import NOBODY, found_transfer, new_transfer
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Party, Place, Transfer

_A, _B, _C = ("a", "1001"), ("b", "1002"), ("c", "2600")


def asked_for(
    kind: Kind,
    policy: Policy,
    number: str = _C[1],
    *,
    options: TransferOptions = NO_OPTIONS,
) -> Transfer:
    """The initial record of a search: two talk, and nothing has been requested yet.

    Args:
        kind: the kind of transfer.
        policy: the operator's choices.
        number: the target's; empty: the transferor will be asked for it.
        options: what the request chooses.
    """
    return new_transfer(
        transfer="t1",
        kind=kind,
        policy=policy,
        transferor=NOBODY if kind is Kind.HANDOVER else _A,
        transferee=_B,
        target=(_C[0], number),
        options=options,
        return_to=_goes_back(kind, policy),
    )


def _goes_back(kind: Kind, policy: Policy) -> str:
    return "" if kind is not Kind.HANDOVER or policy.return_to == "none" else policy.return_to


def found_on_the_switch(kind: Kind, policy: Policy) -> list[Transfer]:
    """What a restarted controller may find: every combination of the three parties' places."""
    return [
        found_transfer(
            transfer="t1",
            kind=kind,
            policy=policy,
            transferor=a,
            transferee=b,
            target=c,
            return_to=back,
        )
        for a, b, c in (*_apart(), *_talking(kind), *_called_back(), *_on_the_way())
        for back in sorted({"", _goes_back(kind, policy)})
        if (a.lives or b.lives or c.lives) and _may_be_found(kind, a, c)
    ]


def found_consulting(policy: Policy) -> Transfer:
    """What a restarted controller may find: transferor and target talk, the transferee waits."""
    return found_transfer(
        transfer="t1",
        kind=Kind.ATTENDED,
        policy=policy,
        transferor=Party(*_A, Place.JOINED, answered=True, peer="c"),
        transferee=Party(*_B, Place.PARKED, answered=True),
        target=Party(*_C, Place.JOINED, answered=True, peer="a"),
    )


def _may_be_found(kind: Kind, transferor: Party, target: Party) -> bool:
    if kind is Kind.HANDOVER:
        return transferor.place is Place.GONE
    falls_back = target.leg == name_of_fallback("t1")
    picks_up = kind is Kind.PARK and target.answered
    return kind not in (Kind.HOLD, Kind.PARK) or not target.lives or falls_back or picks_up


def _apart() -> Iterator[tuple[Party, Party, Party]]:
    """No two legs are joined."""
    gone, parked, moving = Place.GONE, Place.PARKED, Place.MOVING
    for a, b in itertools.product((gone, parked, moving), (gone, parked)):
        for c in (gone, Place.RINGING, parked, moving):
            answered = c in (parked, moving)
            yield (
                Party(*_A, a, answered=True),
                Party(*_B, b, answered=True),
                Party(*_C, c, answered=answered),
            )


def _on_the_way() -> Iterator[tuple[Party, Party, Party]]:
    """The transferee is on its way into the park."""
    gone_c = Party(*_C, Place.GONE, answered=True)
    for place in (Place.GONE, Place.PARKED):
        yield (
            Party(*_A, place, answered=True),
            Party(*_B, Place.MOVING, answered=True),
            gone_c,
        )


def _called_back() -> Iterator[tuple[Party, Party, Party]]:
    """The transfer has failed, and somebody is called for the transferee, or has just answered."""
    gone_a, gone_c = (Party(*one, Place.GONE, answered=True) for one in (_A, _C))
    waits = Party(*_B, Place.PARKED, answered=True)
    for place in (Place.RINGING, Place.PARKED):
        answered = place is Place.PARKED
        yield (Party(name_of_recall("t1", 1), _A[1], place, answered), waits, gone_c)
        fallback = Party(name_of_fallback("t1"), "800", place, answered)
        yield (gone_a, waits, fallback)
        yield (attrs.evolve(gone_a, place=Place.PARKED), waits, fallback)


def _talking(kind: Kind) -> Iterator[tuple[Party, Party, Party]]:
    """Two legs are joined; the third may be anywhere."""
    joined, alone = Place.JOINED, (Place.GONE, Place.PARKED)
    swapped = (Place.PARKED,) if kind is Kind.ATTENDED else ()
    for c in (Place.GONE, Place.RINGING, *swapped):
        yield (
            Party(*_A, joined, answered=True, peer="b"),
            Party(*_B, joined, answered=True, peer="a"),
            Party(*_C, c, answered=c in swapped),
        )
    for a in alone:
        yield (
            Party(*_A, a, answered=True),
            Party(*_B, joined, answered=True, peer="c"),
            Party(*_C, joined, answered=True, peer="b"),
        )
    for b in alone if kind is Kind.ATTENDED else ():
        yield (
            Party(*_A, joined, answered=True, peer="c"),
            Party(*_B, b, answered=True),
            Party(*_C, joined, answered=True, peer="a"),
        )
