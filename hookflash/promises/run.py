"""The promises, checked at every moment of a run in the simulator, and at its end.

The watch sees the switch's facts when they become true, and the switchboard's records when they are
written. It does not use the tables, so it catches a wrong row as well as a wrong engine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from hookflash import events as e
from hookflash.backends.simulator.world import World
from hookflash.engine.record import Record
from hookflash.engine.switchboard import Switchboard
from hookflash.fsm.transfer import Outcome, State
from hookflash.promises import names as promises
from hookflash.promises.heard import HeardLog


class WatchedRun(Protocol):
    """A run that is checked: a simulation, or an engine on an emulated switch."""

    @property
    def world(self) -> World:
        """The switch and its people."""
        ...

    @property
    def switchboard(self) -> Switchboard:
        """The current switchboard, or the last one."""
        ...

    @property
    def names(self) -> Mapping[e.LegId, str]:
        """The party on each leg."""
        ...


class RunWatch:
    """Checks one run."""

    def __init__(self, run: WatchedRun, *, silence_limit_s: Callable[[], float]) -> None:
        self._run = run
        self._heard = HeardLog(run.names)
        self._broken: list[str] = []
        self._outcomes: Counter[str] = Counter()
        self._begun: list[str] = []
        self._pairs: dict[str, set[e.LegId]] = {}
        self._gone: set[e.LegId] = set()
        """Legs that have hung up."""
        self._released: dict[str, set[e.LegId]] = {}
        """Legs whose party has asked to be released, by transfer."""
        self._given_up: dict[str, frozenset[e.LegId]] = {}
        """The legs that had left when a transfer failed."""
        self._failed: dict[str, frozenset[e.LegId]] = {}
        self._talking: set[e.LegId] = set()
        """Who is in a conversation: what is heard there, and ends, leaves nobody in silence."""
        self._quiet_since: dict[e.LegId, float] = {}
        self._before: dict[e.LegId, dict[str, str]] = {}
        """The variables that a transfer changes, as they were before any transfer, by leg."""
        self._silence_limit_s = silence_limit_s

    # --------------------------------------------------------------- during the run

    def fact(self, fact: e.CallEvent) -> None:
        """Handle a fact of the switch."""
        self._heard.fact(fact)
        match fact:
            case e.LegsJoined(first=first, second=second):
                self._talking.update((first, second))
                self._sounding(first)
                self._sounding(second)
                self._joined(first, second)
            case e.LegsSeparated(first=first, second=second):
                self._talking.difference_update((first, second))
            case e.SoundStarted(leg=leg):
                self._sounding(leg)
            case e.LegParked(leg=leg):
                self._talking.discard(leg)
                self._quiet(leg)
            case e.SoundStopped(leg=leg) if leg not in self._talking:
                self._quiet(leg)
            case e.LegHungUp(leg=leg):
                self._talking.discard(leg)
                self._gone.add(leg)
                self._sounding(leg)
            case _:
                pass

    def record(self, record: Record) -> None:
        """Handle a record of the switchboard."""
        self._heard.record(record, self._run.switchboard.default.policy)
        if isinstance(record.event, e.LegMovedAway):  # another program decides what it hears
            self._quiet_since.pop(record.event.leg, None)
        if record.transfer is None:
            return
        if isinstance(record.event, e.TransferRequested) and record.row is not None:
            self._begin(record.transfer, record.event)
        if isinstance(record.event, e.CompleteRequested) and record.row:
            self._released[record.transfer] = self._pairs.get(record.transfer, set())
        left = frozenset(self._gone | self._released.get(record.transfer, set()))
        if record.after is State.ENDING and record.before is not State.ENDING:
            self._given_up[record.transfer] = left
        if record.outcome is not None:
            self._outcomes[record.transfer] += 1
        if record.outcome is Outcome.FAILED:
            self._failed[record.transfer] = self._given_up.get(record.transfer, left)

    def _begin(self, transfer: str, request: e.TransferRequested) -> None:
        record = self._run.switchboard.transfer(transfer)
        self._begun.append(transfer)
        self._pairs[transfer] = (
            {record.transferor.leg, record.transferee.leg}
            if record is not None and request.kind in (e.Kind.ATTENDED, e.Kind.HOLD)
            else set()  # a blind transferor has asked to leave; a caller alone has none
        )

    def _joined(self, first: e.LegId, second: e.LegId) -> None:
        """No stranger on the line."""
        self._remember(first, second)
        transfer = self._run.switchboard.transfer_of(first)
        other = self._run.switchboard.transfer_of(second)
        if transfer is not other:
            self._broken.append(
                promises.NO_STRANGER.broken(f"{first} and {second} of different calls were joined")
            )

    def _remember(self, *legs: e.LegId) -> None:
        """Note the variables of an ordinary call, before any transfer."""
        for leg in legs:
            pbx = self._run.world.pbx
            if not pbx.transfer_of(leg):
                self._before.setdefault(leg, dict(pbx.changeable(leg)))

    # ----------------------------------------------------------------- silence

    def _quiet(self, leg: e.LegId) -> None:
        self._quiet_since.setdefault(leg, self._run.world.now_s)

    def _sounding(self, leg: e.LegId) -> None:
        """Nobody waits in silence."""
        since = self._quiet_since.pop(leg, None)
        if since is None:
            return
        silence_s = self._run.world.now_s - since
        if silence_s > self._silence_limit_s():
            name = self._run.names.get(leg, leg)
            self._broken.append(
                promises.NO_SILENCE.broken(f"{name} waited in silence for {silence_s:.1f} s")
            )

    @property
    def names(self) -> Mapping[e.LegId, str]:
        """The party on each leg."""
        return self._run.names

    def heard(self, name: str) -> list[str]:
        """What a party heard, in order: kinds of sound, and the names of its partners."""
        return self._heard.of(name)

    # ---------------------------------------------------------------- at the end

    def verdict(self) -> Iterator[str]:
        """Every promise that was broken."""
        yield from self._broken
        yield from self._forgotten()
        yield from self._undecided()
        yield from self._kept_apart()
        yield from self._left_behind()

    def _forgotten(self) -> Iterator[str]:
        """When nothing moves any more, every party is in a conversation."""
        for leg in self._run.world.snapshot():
            if leg.peer is None and not leg.elsewhere:
                name = self._run.names.get(leg.leg, leg.leg)
                yield promises.NOBODY_FORGOTTEN.broken(f"{name} is forgotten")

    def _undecided(self) -> Iterator[str]:
        """One transfer, one outcome."""
        for transfer in self._begun:
            if self._outcomes[transfer] != 1:
                yield promises.ONE_OUTCOME.broken(
                    f"{transfer} has {self._outcomes[transfer]} outcomes"
                )
        for transfer in self._run.switchboard.running:
            yield promises.ONE_OUTCOME.broken(f"{transfer} never ended")

    def _kept_apart(self) -> Iterator[str]:
        """If transferor and transferee both live, a takeback or failure joins them."""
        for transfer, left in self._failed.items():
            pair = self._pairs[transfer]
            if pair and pair.isdisjoint(left):
                yield promises.PAIR_REJOINED.broken(
                    f"{transfer} failed while transferor and transferee lived"
                )

    def _left_behind(self) -> Iterator[str]:
        """The remaining legs are an ordinary call, as if there had been no transfer."""
        in_flight = self._run.switchboard.running
        faults = self._run.world.faults
        if faults.lose_command or faults.fail_command:
            return  # an order is lost only with its connection, and then the marks are found again
        pbx = self._run.world.pbx
        for leg in pbx.legs():
            if pbx.transfer_of(leg) not in in_flight:
                yield from self._left_on(leg)

    def _left_on(self, leg: e.LegId) -> Iterator[str]:
        pbx = self._run.world.pbx
        name = self._run.names.get(leg, leg)
        for variable in sorted(pbx.added(leg)):
            yield promises.NOTHING_LEFT.broken(f"{variable} is left on {name}")
        now = pbx.changeable(leg)
        before = {} if pbx.is_half(leg) else self._before.get(leg, {})
        for variable in sorted(now.keys() | before.keys()):
            if now.get(variable) != before.get(variable):
                yield promises.NOTHING_LEFT.broken(f"{variable} of {name} is {now.get(variable)}")
