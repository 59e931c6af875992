"""The promises, checked in production.

The searches and simulations show that no order of events breaks one. This check is for the rest: a
switch that behaves as no switch should, and a bug of ours that they have missed. These counters
must stay 0; alert on any increase.

It reads the records, and inspects the switchboard from time to time. It decides nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

import attrs

from hookflash import events as e
from hookflash.commands import Join
from hookflash.engine.record import Record
from hookflash.engine.switchboard import Switchboard
from hookflash.fsm.transfer import ON_HOLD, Outcome, State
from hookflash.promises import names as promises
from hookflash.promises.names import Promise

GRACE_S: Final = 15.0
"""How long after its transfer's end a leg may be alone: until a hang-up is done, and the tone
before it."""

SILENCE_S: Final = 10.0
"""How long a held party may hear nothing: three attempts at a sound, and a slow switch."""


CHECKED: Final = (
    promises.NOBODY_FORGOTTEN,
    promises.NO_SILENCE,
    promises.ONE_OUTCOME,
    promises.PAIR_REJOINED,
    promises.NO_STRANGER,
)
"""Checks what the records of a service show."""


@attrs.define
class _Open:
    """A transfer that has no outcome yet."""

    pair: frozenset[e.LegId]
    """Transferor and transferee; empty once the transferor has asked to be released."""
    given_up_whole: bool = False
    """Whether it failed while both of the pair were there."""


class ProductionWatch:
    """Checks one switchboard."""

    def __init__(
        self, switchboard: Switchboard, on_broken: Callable[[Promise, str], None] | None = None
    ) -> None:
        """Begin.

        Args:
            switchboard: the switchboard to check.
            on_broken: called with each broken promise, and how it was broken.
        """
        self.broken: Counter[Promise] = Counter()
        self._board = switchboard
        self._on_broken = on_broken
        self._open: dict[str, _Open] = {}
        self._left: dict[e.LegId, float] = {}
        """Legs of finished transfers, and when those ended."""
        self._moved: set[e.LegId] = set()
        """Legs that another program has moved: they are no longer ours."""
        self._is_away = False
        """Whether the switch is away: nobody knows what its legs do, and time begins anew after."""
        self._quiet: dict[e.LegId, float] = {}
        """Parked legs that hear nothing, and since when."""

    def tell(self, record: Record) -> None:
        """Check a record."""
        self._hear(record)
        if record.transfer is None or record.refused:
            return
        self._ordered(record)
        match record.event:
            case e.TransferRequested(kind=kind, leg=leg):
                known = self._board.leg(leg)
                whole = kind is not e.Kind.BLIND and known is not None and known.peer is not None
                pair = (
                    frozenset((leg, known.peer or "")) if whole and known else frozenset[e.LegId]()
                )
                self._open[record.transfer] = _Open(pair)
            case e.TransferFound():
                self._open[record.transfer] = _Open(frozenset())
                # the sounds of the previous controller play on, without an event
                for leg in _legs_of(record):
                    self._quiet.pop(leg, None)
            case e.CompleteRequested() if record.transfer in self._open:
                self._open[record.transfer].pair = frozenset()
            case _:
                pass
        if record.after is State.ENDING and record.before is not State.ENDING:
            self._given_up(record.transfer)
        if record.outcome is not None:
            self._ended(record)

    def _hear(self, record: Record) -> None:
        match record.event:
            case e.LegParked(leg=leg):
                self._quiet.setdefault(leg, record.at_s)
            case e.SoundStarted(leg=leg):
                self._quiet.pop(leg, None)
            case e.LegsJoined(first=first, second=second):
                self._forget(first, second)
            case e.LegHungUp(leg=leg):
                self._forget(leg)
            case e.SwitchLost():
                self._is_away = True
            case e.SwitchFound():
                self._is_away = False
                self._quiet = dict.fromkeys(self._quiet, record.at_s)
                self._left = dict.fromkeys(self._left, record.at_s)
            case e.LegMovedAway(leg=leg):
                self._forget(leg)
                self._moved.add(leg)
            case _:
                pass

    def _forget(self, *legs: e.LegId) -> None:
        self._moved.difference_update(legs)
        for leg in legs:
            self._quiet.pop(leg, None)
            self._left.pop(leg, None)

    def _ordered(self, record: Record) -> None:
        """No stranger on the line."""
        ours = _legs_of(record)
        for command in record.commands:
            if isinstance(command, Join) and not {command.first, command.second} <= ours:
                self._break(
                    promises.NO_STRANGER, f"{record.transfer} joins a leg that is not its own"
                )

    def _given_up(self, transfer: str) -> None:
        opened = self._open.get(transfer)
        if opened is not None and opened.pair and opened.pair <= self._board.legs.keys():
            opened.given_up_whole = True

    def _ended(self, record: Record) -> None:
        opened = self._open.pop(record.transfer or "", None)
        if opened is None:
            self._break(
                promises.ONE_OUTCOME, f"{record.transfer} has a second outcome: {record.outcome}"
            )
        elif opened.given_up_whole and record.outcome is Outcome.FAILED:
            self._break(
                promises.PAIR_REJOINED, f"{record.transfer} failed while both of the two were there"
            )
        for leg in _legs_of(record):
            if leg in self._board.legs and leg not in self._moved:
                self._left[leg] = record.at_s

    def look(self, now_s: float) -> None:
        """Check whether a leg is forgotten, or waits in silence.

        Args:
            now_s: the time by the engine's clock.
        """
        if not self._is_away:
            self._look_at_legs(now_s)
        for running in self._board.running.values():
            transfer = running.transfer
            if transfer.deadline is None and transfer.state is not State.IDLE:
                self._break(
                    promises.NOBODY_FORGOTTEN,
                    f"{transfer.id} waits without a deadline in {transfer.state.value}",
                )

    def _look_at_legs(self, now_s: float) -> None:
        for leg, since_s in tuple(self._left.items()):
            if now_s - since_s > GRACE_S:
                del self._left[leg]
                known = self._board.leg(leg)
                alone = known is not None and known.peer is None
                if alone and self._board.transfer_of(leg) is None:
                    self._break(promises.NOBODY_FORGOTTEN, f"{leg} is alone, and in no transfer")
        for leg, since_s in tuple(self._quiet.items()):
            if now_s - since_s > SILENCE_S:
                del self._quiet[leg]
                if self._is_held(leg):
                    self._break(promises.NO_SILENCE, f"{leg} waits in silence")

    def _is_held(self, leg: e.LegId) -> bool:
        """Whether a leg is parked in a transfer in which it has to wait."""
        transfer = self._board.transfer_of(leg)
        return transfer is not None and transfer.state in _WAITING

    def _break(self, promise: Promise, how: str) -> None:
        self.broken[promise] += 1
        if self._on_broken is not None:
            self._on_broken(promise, how)


def _legs_of(record: Record) -> set[e.LegId]:
    """The legs of the transfer that a record is about."""
    parties = record.parties
    if parties is None:
        return set()
    return {parties.transferor.leg, parties.transferee.leg, parties.target.leg}


_WAITING: Final = (ON_HOLD | {State.SWAPPED, State.THREE_WAY}) - {State.HOLDING}
