"""A world of phones around one switch, with a clock that runs as fast as possible.

Everything that happens is a thunk in a heap, ordered by time and then by insertion; there is no
thread, no scheduler, and no clock except `now_s`. The random numbers are seeded: the same seed and
the same calls give the same run, to the byte.

A controller uses two methods: `on_event` is called with every fact, one at a time and never from
within the switch; `perform` takes commands at any time.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from enum import StrEnum
from functools import partial
from heapq import heappop, heappush
from typing import Final, NamedTuple

import attrs

from hookflash.backends.base import LegSnapshot
from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.backends.halves import Halves
from hookflash.backends.simulator.asterisk.pbx import AsteriskPbx
from hookflash.backends.simulator.build import build_pbx
from hookflash.backends.simulator.character import Character
from hookflash.backends.simulator.executor import DIRECT
from hookflash.backends.simulator.faults import CommandLine, EventLine, Faults
from hookflash.backends.simulator.freeswitch import FreeSwitchPbx
from hookflash.backends.simulator.people import Answers, Behaviour, Manual, Person, react
from hookflash.backends.simulator.sounds import FILE_S
from hookflash.backends.simulator.surroundings import Surroundings
from hookflash.backends.simulator.switch import (
    Audible,
    Extension,
    Sense,
    Switch,
    Thunk,
    ToLeg,
    ToPark,
    ToPart,
    ToPhone,
    ToSound,
)
from hookflash.commands import Look, SwitchCommand
from hookflash.errors import InputError
from hookflash.events import CallEvent, LegCreated, LegId, LegsSeen
from hookflash.sounds import Sound

DIGIT_GAP_S: Final = 0.640
"""Time between two keys of a phone that sends tones of 250 ms (complete: 643 ms)."""

DEFAULT_MAX_STEPS: Final = 1_000_000
"""A longer run is in an endless loop: a whole transfer takes about 60 steps."""


class What(StrEnum):
    """The kind of a line of the trace."""

    EVENT = "event"
    """Delivered to the controller."""
    COMMAND = "command"
    """Sent by the controller."""
    PERSON = "person"
    """Done by a person at a phone."""


class Traced(NamedTuple):
    """One line of the trace."""

    at_s: float
    what: What
    detail: object
    """The event, the command, or a sentence."""


def _nobody_minds(_event: CallEvent) -> None:
    return


class World:
    """One switch, its people, and the two lines to its controller."""

    on_event: Callable[[CallEvent], object]
    """The controller's callback. What it returns does not matter."""
    on_fact: Callable[[CallEvent], None]
    """Called with every fact at the moment when it becomes true. For observers."""
    trace: list[Traced] | None
    """The trace, if it is recorded."""

    def __init__(
        self,
        seed: int = 0,
        faults: Faults | None = None,
        *,
        trace: bool = False,
        missing_sounds: Iterable[Sound] = (),
        dialling: Dialling = DIRECT,
        file_s: float = FILE_S,
        character: Character = Character.FREESWITCH,
        dice: random.Random | None = None,
    ) -> None:
        """Begin at time 0, without calls and phones.

        Args:
            seed: of the random times and orders of the switch.
            faults: the faults between switch and controller; None: no faults.
            trace: whether to record a trace.
            missing_sounds: sounds without a file on the switch.
            dialling: how targets are called: directly, one leg each; or with `Dialling()` through
                the dialplan, three legs each.
            file_s: how long a recorded sound plays.
            character: the switch to imitate.
            dice: draws the random times; None: by the seed.
        """
        self.seed = seed
        self.character = character
        self.file_s = file_s
        self.faults = faults or Faults()
        self.on_event = _nobody_minds
        self.on_fact = _nobody_minds
        self.trace = [] if trace else None
        self.parties: dict[str, Person] = {}
        self.raw = False
        """Whether the controller sees every channel, including hidden halves: for tests of the
        switch itself."""
        self._outside: set[str] = set()
        self._to_lose: list[str] = []
        self._now_s = 0.0
        self._heap: list[tuple[float, int, Thunk]] = []
        self._in_line = 0
        self._undelivered: deque[CallEvent] = deque()
        self._parties_by_leg: dict[LegId, Person] = {}
        self._halves = Halves()
        self._tell = self._event_line()
        self.pbx = build_pbx(
            character, self._surroundings(dice or random.Random(seed), missing_sounds), dialling
        )
        self._execute = self._command_line()

    def _event_line(self) -> Callable[[CallEvent], None]:
        """The line for events to the controller."""
        deliver = self._undelivered.append
        if not self.faults.bend_events:
            return deliver
        return EventLine(self.faults, now=self._now, at=self.at, deliver=deliver).send

    def _command_line(self) -> Callable[[SwitchCommand], None]:
        """The line for commands to the switch."""
        perform = self.pbx.perform
        if not self.faults.bend_commands:
            return perform
        return CommandLine(
            self.faults, now=self._now, at=self.at, perform=perform, report=self._tell
        ).send

    def _surroundings(self, dice: random.Random, missing_sounds: Iterable[Sound]) -> Surroundings:
        return Surroundings(
            now=self._now,
            after=self.after,
            report=self._fact,
            tell=self._tell,
            look=self._look,
            has_phone=self._has_phone,
            ring_phone=self._ring_phone,
            listen=self._listen,
            dice=dice,
            missing=frozenset(missing_sounds),
            file_s=self.file_s,
        )

    @property
    def switch(self) -> Switch:
        """The switch, if it is a FreeSWITCH.

        Raises:
            InputError: it imitates another switch.
        """
        if not isinstance(self.pbx, FreeSwitchPbx):
            raise InputError(f"this world simulates {self.character}, not FreeSWITCH")
        return self.pbx.switch

    @property
    def asterisk(self) -> AsteriskPbx:
        """The switch, if it is an Asterisk.

        Raises:
            InputError: it imitates another switch.
        """
        if not isinstance(self.pbx, AsteriskPbx):
            raise InputError(f"this world simulates {self.character}, not Asterisk")
        return self.pbx

    def lose(self, kind: str) -> None:
        """Lose the next event or command of this kind."""
        self._to_lose.append(kind)

    def _loses(self, what: object) -> bool:
        kind = type(what).__name__
        if kind not in self._to_lose:
            return False
        self._to_lose.remove(kind)
        return True

    def _fact(self, event: CallEvent) -> None:
        if isinstance(event, LegCreated):
            is_half = event.other_half or self.pbx.is_half(event.leg)
            outside = event.number in self._outside and not is_half
            event = attrs.evolve(event, outside=outside) if outside else event
        self.on_fact(event)
        if not (self._to_lose and self._loses(event)):
            self._tell(event)

    # ---- time

    @property
    def now_s(self) -> float:
        """The time since the world began."""
        return self._now_s

    def _now(self) -> float:
        return self._now_s

    def after(self, delay_s: float, thunk: Thunk) -> None:
        """Schedule a thunk after some seconds."""
        self._in_line += 1
        heappush(self._heap, (self._now_s + delay_s, self._in_line, thunk))

    def at(self, time_s: float, thunk: Thunk) -> None:
        """Schedule a thunk at a time, after earlier ones for the same time."""
        self._in_line += 1
        heappush(self._heap, (max(time_s, self._now_s), self._in_line, thunk))

    @property
    def next_s(self) -> float | None:
        """The time of the next event; None if no event is left."""
        if self._undelivered:
            return self._now_s
        return self._heap[0][0] if self._heap else None

    def step(self) -> bool:
        """Do one step: deliver an event, or call the next thunk.

        Returns:
            False if nothing was left to do.
        """
        if self._undelivered:
            event = self._undelivered.popleft()
            if self.trace is not None:
                self.trace.append(Traced(self._now_s, What.EVENT, event))
            if self.raw:
                self.on_event(event)
                return True
            for reported in self._halves.take(event):
                self.on_event(reported)
            return True
        if not self._heap:
            return False
        self._now_s, _, thunk = heappop(self._heap)
        thunk()
        return True

    def run(self, until_s: float | None = None, *, max_steps: int = DEFAULT_MAX_STEPS) -> bool:
        """Run until a time, or until nothing is left to do.

        Args:
            until_s: the time, inclusive. The clock stands there afterwards.
            max_steps: the limit of steps.

        Returns:
            False if the limit was reached.
        """
        horizon_s = float("inf") if until_s is None else until_s
        heap, undelivered, step = self._heap, self._undelivered, self.step
        for _ in range(max_steps):
            if not undelivered and (not heap or heap[0][0] > horizon_s):
                break
            step()
        else:
            return False
        if until_s is not None:
            self._now_s = max(self._now_s, until_s)
        return True

    # ---- the controller

    def perform(self, command: SwitchCommand) -> None:
        """Take a command from the controller. Its effects are reported by `on_event`."""
        if self.trace is not None:
            self.trace.append(Traced(self._now_s, What.COMMAND, command))
        if not (self._to_lose and self._loses(command)):
            self._execute(command)

    def _look(self, look: Look) -> LegsSeen:
        legs = {leg.leg: leg for leg in self.channels()}
        asked = [legs[leg] for leg in look.legs if leg in legs]
        peers = [legs[leg.peer] for leg in asked if leg.peer in legs]
        return LegsSeen(look=look, living=tuple({leg.leg: leg for leg in asked + peers}.values()))

    def snapshot(self) -> tuple[LegSnapshot, ...]:
        """List the living legs, oldest first, as a controller sees them."""
        if self.raw:
            return self.channels()
        return self._halves.sort(self.channels())

    def end_control(self) -> None:
        """Disconnect the controller."""
        self.pbx.disconnect()

    def begin_anew(self) -> None:
        """Connect a new controller: events on their way to the previous one are lost."""
        self.pbx.connect()
        self._undelivered.clear()
        self._halves.begin(self.channels())

    def channels(self) -> tuple[LegSnapshot, ...]:
        """List every channel of the switch, oldest first."""
        return self.pbx.snapshots(self._outside.__contains__)

    # ---- the people

    def add_phone(
        self,
        number: str,
        behaviour: Behaviour | None = None,
        name: str = "",
        *,
        outside: bool = False,
    ) -> Person:
        """Add a phone.

        Args:
            number: its number; with `@` and a context, only calls in that context reach it.
            behaviour: its reaction to a call; None: it rings until a test answers or declines.
            name: its owner's name; by default the number.
            outside: whether its calls go over a trunk.

        Raises:
            InputError: the number already has a phone.
        """
        if number in self.parties:
            raise InputError(f"the number {number} is given twice", hint="give it to one phone")
        party = Person(number.partition("@")[0], name or number, behaviour or Manual())
        self.parties[number] = party
        if outside:
            self._outside.add(number)
        return party

    def call(
        self,
        caller: str,
        callee: str,
        *,
        account: str = "",
        callee_account: str | None = None,
        through_loopback: bool = False,
        owner_id: str = "",
    ) -> tuple[LegId, LegId]:
        """Let one number call another. It takes some time: `run` until they talk.

        Numbers without a phone get one; the callee's answers at once.

        Args:
            caller: the caller's number.
            callee: the called number.
            account: the account of the call.
            callee_account: the account of the callee's leg; by default the same; empty for an
                outside party.
            through_loopback: whether the dialplan calls `loopback/…`, and both halves stay.
            owner_id: the user or device that the caller's leg belongs to.

        Returns:
            The caller's leg and the callee's: with loopback, that of loopback-a.
        """
        if caller not in self.parties:
            self.add_phone(caller)
        if callee not in self.parties:
            self.add_phone(callee, Answers(after_s=0.0))
        self._person(f"{self.parties[caller].name} calls {self.parties[callee].name}")
        first, second = self.pbx.create_call(
            caller,
            callee,
            account=account,
            callee_account=callee_account,
            through_loopback=through_loopback,
            owner_id=owner_id,
        )
        self._has_leg(self.parties[caller], first)
        return first, second

    def call_slot(self, caller: str, slot: str, *, account: str = "", owner_id: str = "") -> LegId:
        """Let a party call the number of a slot, to have the call that is parked there.

        Args:
            caller: the party's number.
            slot: the slot.
            account: the account of the party's leg.
            owner_id: the user or device that the leg belongs to.

        Returns:
            The party's leg.
        """
        if caller not in self.parties:
            self.add_phone(caller)
        self._person(f"{self.parties[caller].name} calls {slot}")
        leg = self.pbx.call_slot(caller, slot, account=account, owner_id=owner_id)
        self._has_leg(self.parties[caller], leg)
        return leg

    def party_on(self, leg: LegId) -> Person | None:
        """Return the party of a leg, current or past; for a loopback half, of the phone's leg."""
        return self._parties_by_leg.get(self.pbx.phone_of(leg))

    def answer(self, leg: LegId) -> None:
        """Let the called party of this leg answer."""
        self._person(f"{self._name(leg)} answers")
        self.pbx.answer(self.pbx.phone_of(leg))

    def refuse(self, leg: LegId, cause: str = "CALL_REJECTED") -> None:
        """Let the called party of this leg decline."""
        self._person(f"{self._name(leg)} declines")
        self.pbx.refuse(self.pbx.phone_of(leg), cause)

    def hang_up(self, leg: LegId) -> None:
        """Let the party on this leg hang up."""
        self._person(f"{self._name(leg)} hangs up")
        self.pbx.hang_up(self.pbx.phone_of(leg))

    def press(self, leg: LegId, digits: str, *, gap_s: float = DIGIT_GAP_S) -> None:
        """Let the party on this leg press keys, the first one now.

        Args:
            leg: the party's leg.
            digits: the keys, in order.
            gap_s: the time from one key to the next.
        """
        for place, digit in enumerate(digits):
            if place == 0:
                self._press(leg, digit)
            else:
                self.after(place * gap_s, partial(self._press, leg, digit))

    def _press(self, leg: LegId, digit: str) -> None:
        self._person(f"{self._name(leg)} presses {digit}")
        self.pbx.press(self.pbx.phone_of(leg), digit)

    # ---- other programs

    def move(self, leg: LegId, how: Extension, *, both: bool = False) -> None:
        """Let another program send a leg somewhere, as a PBX or a phone's REFER does.

        Args:
            leg: the leg.
            how: `ToPark()`, `ToSound(Recording("ivr.wav"), 5.0)`, or `ToPhone("1003")`: a number
                without a phone gets one that rings until a test answers or declines.
            both: whether its partner goes too.
        """
        if isinstance(how, ToPhone) and how.number not in self.parties:
            self.add_phone(how.number)
        where: dict[type, str] = {
            ToPark: "the park",
            ToSound: "an announcement",
            ToPhone: "somebody else",
            ToLeg: "the party on another leg",
            ToPart: "a conversation of others",
        }
        self._person(f"another program sends {self._name(leg)} to {where[type(how)]}")
        self.pbx.move(leg, how, both=both)

    def park(self, leg: LegId) -> None:
        """Let another program park a leg where it is (`uuid_park`)."""
        self._person(f"another program parks {self._name(leg)}")
        self.pbx.park(leg)

    def _name(self, leg: LegId) -> str:
        party = self._parties_by_leg.get(self.pbx.phone_of(leg))
        return leg if party is None else party.name

    def _person(self, sentence: str) -> None:
        if self.trace is not None:
            self.trace.append(Traced(self._now_s, What.PERSON, sentence))

    def _phone_at(self, address: str) -> Person | None:
        """The phone of a number in a context, or else of that number in all contexts."""
        return self.parties.get(address) or self.parties.get(address.partition("@")[0])

    def _has_phone(self, address: str) -> bool:
        return self._phone_at(address) is not None

    def _ring_phone(self, leg: LegId, number: str) -> bool:
        party = self._phone_at(number)
        if party is None:
            return False
        self._has_leg(party, leg)
        react(party.behaviour, leg, self.pbx, self.after)
        return True

    def _has_leg(self, party: Person, leg: LegId) -> None:
        party.leg = leg
        self._parties_by_leg[leg] = party

    def _listen(self, leg: LegId, hears: Audible) -> None:
        party = self._parties_by_leg.get(leg)
        if party is None:
            return
        what = self._name(hears.what) if hears.sense is Sense.VOICE else hears.what
        party.listen(self._now_s, hears.sense, what)
