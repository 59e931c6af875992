"""Recovery after a restart: resume or close the transfers of the previous controller.

Two sources say what was in flight: the marks on the switch's legs, and the journal (`Unfinished`).
A transfer with marked legs goes on. A transfer that only the journal knows is closed. `Recovery`
decides, and the switchboard acts: nothing is recorded here, and no state machine is stepped.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import attrs

from hookflash.backends.base import LOST_TRACK, LegSnapshot
from hookflash.commands import Command
from hookflash.engine.found import Found, Unfinished, by_transfer, what_became
from hookflash.engine.in_flight import InFlight, Running
from hookflash.engine.legs import Account
from hookflash.engine.record import Parties
from hookflash.events import LegId
from hookflash.fsm.transfer import Outcome, State
from hookflash.transfer_context import ProgramData


@attrs.frozen(kw_only=True)
class Closed:
    """A transfer that does not go on: the content of its record."""

    id: str
    account: str
    why: str
    commands: tuple[Command, ...] = ()
    watched: tuple[LegId, ...] = ()
    """Legs that may be left alone."""
    transfer: str | None = None
    """Its ID, unless its end was recorded before."""
    parties: Parties | None = None
    after: State | None = None
    outcome: Outcome | None = None
    cause: str | None = None
    data: ProgramData | None = None
    """The program's own."""


class Recovery:
    """The transfers of the previous controller."""

    def __init__(self, unfinished: Mapping[str, Unfinished], ended: Collection[str]) -> None:
        self._unfinished = dict(unfinished)
        self._ended = ended
        self._account_of_target = {
            left.parties.target.leg: left.account for left in unfinished.values()
        }

    def account_of(self, leg: LegId) -> str:
        """The account of a transfer's target, which has no account of its own."""
        return self._account_of_target.get(leg, "")

    def marked(self, legs: Iterable[LegSnapshot], running: InFlight) -> list[Found]:
        """The marked transfers that are not in flight here."""
        return [
            Found(
                transfer=transfer, roles=roles, others=others, known=self._unfinished.get(transfer)
            )
            for transfer, (roles, others) in by_transfer(legs).items()
            if transfer not in running
        ]

    def resume(self, found: Found, choices: Account, running: InFlight) -> Running | Closed:
        """Resume or close a marked transfer.

        Args:
            found: its legs.
            choices: the settings of its account.
            running: the transfers of this engine.
        """
        if running.has_ended(found.transfer) or found.transfer in self._ended:
            return Closed(
                id=found.transfer,
                account=found.account,
                why="The transfer had already ended: its marks are removed.",
                commands=found.clear(),
                watched=found.legs,
            )
        transfer = found.record(choices.policy, choices.returns_to)
        if not any(party.lives for party in transfer.parties):
            known = found.known
            return Closed(
                id=found.transfer,
                account=found.account,
                why="Other programs have taken all parties of the transfer: it is over.",
                commands=found.clear(),
                transfer=transfer.id,
                parties=known.parties if known else None,
                outcome=Outcome.FAILED if known else None,
                cause=LOST_TRACK if known else None,
            )
        return Running(
            transfer=transfer,
            codes=choices.codes_in_transfer(found.options),
            account=found.account,
            parties=Parties.of(transfer),
        )

    def close(
        self, marked: Iterable[Found], legs: tuple[LegSnapshot, ...], running: InFlight
    ) -> list[Closed]:
        """Close the transfers without marks. This ends the recovery."""
        shown = {found.transfer for found in marked}
        left, self._unfinished = self._unfinished, {}
        self._account_of_target = {}
        return [
            _closed(transfer, unfinished, legs)
            for transfer, unfinished in left.items()
            if transfer not in shown and transfer not in running
        ]


def taken_elsewhere(marked: Iterable[Found], running: InFlight) -> tuple[LegId, ...]:
    """Legs that another program has taken, but that still have our marks."""
    gone: list[LegId] = []
    for found in marked:
        one = running.get(found.transfer)
        lost = () if one is None else one.transfer.parties
        gone += [party.leg for party in lost if party.leg in found.legs and not party.lives]
    return tuple(gone)


def _closed(transfer: str, left: Unfinished, legs: Iterable[LegSnapshot]) -> Closed:
    outcome, cause, why = what_became(transfer, left.parties, legs, left.request.kind)
    return Closed(
        id=transfer,
        account=left.account,
        why=why,
        transfer=transfer,
        parties=left.parties,
        after=State.IDLE,
        outcome=outcome,
        cause=cause,
        data=left.data,
    )
