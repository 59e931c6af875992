"""A simulated switch and a switchboard, in one plain loop without a scheduler.

The same seed gives the same run, to the byte: the only clock is the world's heap, and the only
chance its one generator of random numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hookflash.backends.simulator.faults import Faults
from hookflash.backends.simulator.world import World
from hookflash.commands import CancelTimer, Command, SetTimer
from hookflash.engine.record import Record
from hookflash.engine.switchboard import Account, Switchboard
from hookflash.events import CallEvent, Event, LegId, TimerFired


class Simulation:
    """A world, and a switchboard that controls it: people act on the one, programs on the other."""

    def __init__(
        self,
        *,
        seed: int = 0,
        faults: Faults | None = None,
        account: Account | None = None,
        missing_sounds: Iterable[str] = (),
    ) -> None:
        """Build an empty world.

        Args:
            seed: fixes everything that chance decides.
            faults: what goes wrong between switch and switchboard.
            account: feature codes and policy.
            missing_sounds: sounds of which the switch has no file.
        """
        self.world = World(seed=seed, faults=faults, missing_sounds=missing_sounds)
        self.switchboard = Switchboard(account=account)
        self.records: list[Record] = []
        self.names: dict[LegId, str] = {}
        self._timers: set[str] = set()
        self.on_record: Callable[[Record], None] | None = None
        self.world.on_event = self._arrived

    @property
    def timers(self) -> frozenset[str]:
        """The timers that run."""
        return frozenset(self._timers)

    def _arrived(self, event: CallEvent) -> None:
        self.handle(event)

    def handle(self, event: Event) -> list[Record]:
        """Let the switchboard take an event, and carry out what it orders."""
        records = self.switchboard.handle(event, self.world.now_s)
        for record in records:
            self.records.append(record)
            if self.on_record is not None:
                self.on_record(record)
            for command in record.commands:
                self._carry_out(command)
        return records

    def _carry_out(self, command: Command) -> None:
        match command:
            case SetTimer(timer=timer, after_s=after_s):
                self._timers.add(timer)
                self.world.after(after_s, lambda: self._fire(timer))
            case CancelTimer(timer=timer):
                self._timers.discard(timer)
            case _:
                self.world.perform(command)

    def _fire(self, timer: str) -> None:
        if timer in self._timers:
            self._timers.discard(timer)
            self.handle(TimerFired(timer=timer))

    def let_the_deadline_pass(self) -> None:
        """Fire the deadline of the transfer in flight, now."""
        for running in list(self.switchboard.running.values()):
            if running.transfer.deadline is not None:
                self._fire(running.transfer.deadline)
                return
