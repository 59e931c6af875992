"""A simulated switch and a switchboard, in one plain loop without a scheduler.

The same seed gives the same run, to the byte: the only clock is the world's heap, and the only
source of randomness its generator.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from functools import partial

import attrs

from hookflash import events as e
from hookflash.backends.base import facts_about
from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.backends.simulator.character import Character
from hookflash.backends.simulator.executor import DIRECT
from hookflash.backends.simulator.faults import Faults
from hookflash.backends.simulator.sounds import FILE_S
from hookflash.backends.simulator.world import World
from hookflash.commands import CancelTimer, Command, SetTimer
from hookflash.engine.found import Unfinished
from hookflash.engine.legs import Account
from hookflash.engine.record import Record
from hookflash.engine.switchboard import Switchboard, numbered_ids
from hookflash.sounds import Sound


class Simulation:
    """A world, and a switchboard that controls it: people act on the one, programs on the other."""

    def __init__(
        self,
        *,
        seed: int = 0,
        faults: Faults | None = None,
        account: Account | None = None,
        missing_sounds: Iterable[Sound] = (),
        sound_s: float = FILE_S,
        dialling: Dialling = DIRECT,
        character: Character = Character.FREESWITCH,
    ) -> None:
        """Build an empty world.

        Args:
            seed: the seed of all random numbers.
            faults: the faults between switch and switchboard.
            account: feature codes and policy.
            missing_sounds: sounds without a file on the switch.
            sound_s: how long a recorded sound plays.
            dialling: how targets are called.
            character: the switch to imitate.
        """
        self.world = World(
            seed=seed,
            faults=faults,
            missing_sounds=missing_sounds,
            file_s=sound_s,
            dialling=dialling,
            character=character,
        )
        self._account = account
        self._next_number = itertools.count(1).__next__
        self.switchboard = Switchboard(account=account, next_number=self._next_number)
        self.alive = True
        """Whether there is a controller."""
        self.deaths = 0
        self._died_s = 0.0
        self._was_away_s = 0.0
        """For how long there was no controller, before the current absence."""
        self.records: list[Record] = []
        self.names: dict[e.LegId, str] = {}
        self._timers: set[str] = set()
        self._suspended = False
        self._passed: list[str] = []
        """Timers that have expired while the controller was suspended."""
        self._unread: list[e.Event] = []
        """Events that arrived meanwhile."""
        self.on_record: Callable[[Record], None] | None = None
        self.world.on_event = self.handle

    @property
    def away_s(self) -> float:
        """For how long there was no controller, all told."""
        return self._was_away_s + (0.0 if self.alive else self.world.now_s - self._died_s)

    @property
    def timers(self) -> frozenset[str]:
        """The running timers."""
        return frozenset(self._timers)

    # ------------------------------------------------------- the controller may die

    def die(self) -> None:
        """Kill the controller, between one moment and the next: none of its work continues."""
        self._was_away_s = self.away_s
        self.alive = False
        self.deaths += 1
        self._died_s = self.world.now_s
        self._timers.clear()
        self._suspended = False
        self._passed, self._unread = [], []
        self.world.end_control()

    def return_(self) -> None:
        """Start a new controller with the previous one's journal; it asks for the living legs."""
        if self.alive:
            return
        self._was_away_s = self.away_s
        self.alive = True
        self.switchboard = Switchboard(
            account=self._account,
            new_id=numbered_ids(f"transfer-{self.deaths}"),
            next_number=self._next_number,
            unfinished=unfinished_of(self.records),
            ended=ended_of(self.records),
        )
        self.world.begin_anew()
        for event in facts_about(self.world.snapshot()):
            self.handle(event)
        self.handle(e.SwitchFound())
        self._act_on(self.switchboard.adopt(self.world.snapshot(), self.world.now_s))

    # ---------------------------------------------------------- or be suspended

    def suspend(self) -> None:
        """Stop the controller's process (SIGSTOP, a suspended machine). The switch continues."""
        self._suspended = self.alive

    def resume(self) -> None:
        """Continue the process. It notices its deadlines first, then reads the waiting events.

        In the other order there would be no race: a program can't choose which comes first.
        """
        self._suspended = False
        passed, self._passed = self._passed, []
        unread, self._unread = self._unread, []
        for timer in passed:
            self._fire(timer)
        for event in unread:
            self.handle(event)

    # ------------------------------------------------------------------- its work

    def handle(self, event: e.Event) -> list[Record]:
        """Give an event to the switchboard, and execute its orders."""
        if not self.alive:
            return []
        if self._suspended:
            self._unread.append(event)
            return []
        return self._act_on(self.switchboard.handle(event, self.world.now_s))

    def _act_on(self, records: list[Record]) -> list[Record]:
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
                self.world.after(after_s, partial(self._fire, timer))
            case CancelTimer(timer=timer):
                self._timers.discard(timer)
            case _:
                self.world.perform(command)

    def _fire(self, timer: str) -> None:
        if timer in self._timers and self._suspended:
            self._passed.append(timer)
        elif timer in self._timers:
            self._timers.discard(timer)
            self.handle(e.TimerFired(timer=timer))

    def let_the_deadline_pass(self) -> None:
        """Fire the deadline of the transfer in flight, now."""
        for running in list(self.switchboard.running.values()):
            if running.transfer.deadline is not None:
                self._fire(running.transfer.deadline)
                return


def unfinished_of(records: Iterable[Record]) -> dict[str, Unfinished]:
    """What a journal would contain about the transfers in flight."""
    left: dict[str, Unfinished] = {}
    for record in records:
        if record.transfer is None or record.parties is None:
            continue
        if isinstance(record.event, e.TransferRequested) and record.row is not None:
            left[record.transfer] = Unfinished(
                request=record.event,
                parties=record.parties,
                account=record.account,
                begins=record.begins,
            )
        if record.transfer in left and record.after is not None:
            left[record.transfer] = attrs.evolve(left[record.transfer], state=record.after.value)
        if record.outcome is not None:
            left.pop(record.transfer, None)
    return left


def ended_of(records: Iterable[Record]) -> frozenset[str]:
    """The transfers that have ended."""
    return frozenset(r.transfer for r in records if r.outcome and r.transfer)
