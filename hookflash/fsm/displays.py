"""Displays: what a phone shows of the party that its own party talks with."""

from __future__ import annotations

import itertools

from hookflash import commands as c
from hookflash.fsm.arrange import talk, the_two
from hookflash.fsm.transfer import Party, Role
from hookflash.fsm.work import Work


def introduce(work: Work, wanted: tuple[Role, Role] | None) -> None:
    """Show each phone its party's new partner, as far as that may be shown.

    The target's phone showed the transferor while the two talked. Parties that a late join brings
    together, against the arrangement of the state, are shown nothing.
    """
    t = work.transfer
    pairs = (the_two(t, wanted),) if wanted is not None else itertools.combinations(t.parties, 2)
    for first, second in pairs:
        if talk(first, second):
            number = t.policy.outside_number
            work.order(
                c.Introduce(
                    first=first.leg,
                    second=second.leg,
                    first_number=_number_shown(first, second, number),
                    second_number=_number_shown(second, first, number),
                    undisclosed=tuple(party.leg for party in (first, second) if party.outside),
                )
            )


def _number_shown(party: Party, to: Party, outside_number: str) -> str:
    """What one party's phone shows of another; empty: it does not change.

    An outside party sees nothing internal.
    """
    if party.withheld:
        return ""
    return outside_number if to.outside else party.number
