"""The working copy of one step: what guards look at, and actions and orders write to.

The copy is not published yet, so it may be written to. It is handed out, as a frozen `Transfer`,
only when the step has succeeded.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

import attrs

from hookflash import commands as c
from hookflash.errors import InternalError
from hookflash.events import Event, LegId
from hookflash.fsm.transfer import Party, Place, Role, Transfer

if TYPE_CHECKING:
    from hookflash.fsm.spec import Row

_FIELDS = tuple(a.name for a in attrs.fields(Transfer))
_values_of = attrgetter(*_FIELDS)
_SLOTS = tuple(getattr(Transfer, name).__set__ for name in _FIELDS)
_PARTY_FIELDS = tuple(a.name for a in attrs.fields(Party))
_party_values_of = attrgetter(*_PARTY_FIELDS)
_PARTY_SLOTS = tuple(getattr(Party, name).__set__ for name in _PARTY_FIELDS)
_force = object.__setattr__

_MOVES = (c.Split, c.Join, c.Park)
"""Orders after which legs are not where they were."""

MOST_LOOKS = 3
"""How many times the switch is asked where the legs are, before the deadline counts anyway."""


class Work:
    """One transfer in the middle of one step."""

    __slots__ = (
        "_deadline_changed",
        "_deadline_s",
        "_overdue_look",
        "_sound_changed",
        "_sound_look",
        "_sound_s",
        "commands",
        "event",
        "joined",
        "overdue",
        "refused",
        "rows",
        "sounds_due",
        "state",
        "transfer",
        "why",
    )

    def __init__(self, transfer: Transfer, event: Event) -> None:
        copy = object.__new__(Transfer)
        for put, value in zip(_SLOTS, _values_of(transfer), strict=True):
            put(copy, value)  # a quarter faster than by name, in each step
        self.transfer = copy
        self.event = event
        self.state = transfer.state  # where the `transitions` machine keeps its mark
        self.commands: list[c.Command] = []
        self.rows: list[Row] = []
        self.why = ""
        """A sentence on what was ordered."""
        self.overdue = False
        """Whether the deadline has passed, and the switch was asked first."""
        self.sounds_due = False
        """The same for the sounds."""
        self.refused: type[c.Command] | None = None
        """The order that the switch has refused."""
        self.joined = False
        """Whether the event has joined two of the parties."""
        self._deadline_s: float | None = None
        self._deadline_changed = False
        self._overdue_look: int | None = None
        self._sound_s: float | None = None
        self._sound_changed = False
        self._sound_look: int | None = None

    def order(self, command: c.Command) -> None:
        """Add a command to what the step returns."""
        self.commands.append(command)

    def note(self, **changes: object) -> None:
        """Write to the working copy."""
        for name, value in changes.items():
            _force(self.transfer, name, value)

    def place(self, party: Party, place: Place, *, peer: LegId | None = None) -> None:
        """Write where a party is now. A leg that is not parked no longer hears its sound."""
        keeps = place is Place.PARKED
        self._put(
            party,
            Party(
                party.leg,
                party.number,
                place,
                party.answered,
                peer,
                party.sound if keeps else None,
                party.coming and keeps,
                party.overtaken and keeps,
                party.hears and keeps,
                party.heard and keeps,
                party.outside,
                party.withheld,
                party.dismissed,
            ),
        )

    def rewrite(self, party: Party, **changes: Any) -> None:
        """Write other facts of a party."""
        copy = object.__new__(Party)
        for put, value in zip(_PARTY_SLOTS, _party_values_of(party), strict=True):
            put(copy, value)
        for name, value in changes.items():
            _force(copy, name, value)
        self._put(party, copy)

    def _put(self, old: Party, new: Party) -> None:
        t = self.transfer
        if old is t.transferor:
            _force(t, "transferor", new)
        elif old is t.transferee:
            _force(t, "transferee", new)
        elif old is t.target:
            _force(t, "target", new)
        else:  # an action has kept a party from before another change
            raise InternalError("a stale copy of a party was written back")

    def party_of(self, leg: LegId) -> Party | None:
        """The party of a leg."""
        t = self.transfer
        if leg == t.transferor.leg:
            return t.transferor
        if leg == t.transferee.leg:
            return t.transferee
        if leg == t.target.leg:
            return t.target
        return None

    def role_of(self, leg: LegId) -> Role | None:
        """The role of a leg."""
        t = self.transfer
        if leg == t.transferor.leg:
            return Role.TRANSFEROR
        if leg == t.transferee.leg:
            return Role.TRANSFEREE
        if leg == t.target.leg:
            return Role.TARGET
        return None

    def set_deadline(self, after_s: float | None) -> None:
        """Set the deadline of this state; `None`: cancel it."""
        self._deadline_s = after_s
        self._deadline_changed = True
        self._overdue_look = None

    def set_sound_timer(self, after_s: float | None) -> None:
        """Set the timer after which the sounds are checked; `None`: cancel it."""
        self._sound_s = after_s
        self._sound_changed = True
        self._sound_look = None

    def look_for_deadline(self) -> None:
        """A deadline has passed: ask the switch, whose answer decides it."""
        t = self.transfer
        left = t.looks_left - 1 if t.overdue_look is not None else MOST_LOOKS - 1
        number = self.look()
        self.set_deadline(t.policy.look_timeout_s)
        self._overdue_look = number
        self.note(looks_left=left)

    def look_for_sounds(self) -> None:
        """A party hears nothing: ask the switch, whose answer decides whether that is so."""
        number = self.look()
        self.set_sound_timer(self.transfer.policy.look_timeout_s)
        self._sound_look = number

    def look(self) -> int:
        """Ask the switch where the legs are; return the number of the question."""
        t = self.transfer
        number = t.looks + 1
        self.note(looks=number)
        legs = tuple(party.leg for party in t.parties if party.lives)
        self.order(c.Look(legs=legs, transfer=t.id, number=number))
        return number

    def finish(self) -> Transfer:
        """Set and cancel the timers, each at most once, and hand out the record.

        A question about sounds is void once legs are ordered to move: its answer would be stale.
        """
        t = self.transfer
        if t.sound_look is not None and any(isinstance(order, _MOVES) for order in self.commands):
            _force(t, "sound_look", None)
        if self._deadline_changed:
            _force(t, "deadline", self._exchange(t.deadline, self._deadline_s))
            _force(t, "overdue_look", self._overdue_look)
        if self._sound_changed:
            _force(t, "sound_timer", self._exchange(t.sound_timer, self._sound_s))
            _force(t, "sound_look", self._sound_look)
        _force(t, "state", self.state)
        return t

    def _exchange(self, running: str | None, after_s: float | None) -> str | None:
        if running is not None:
            self.commands.append(c.CancelTimer(timer=running))
        if after_s is None:
            return None
        t = self.transfer
        number = t.timers_set + 1
        _force(t, "timers_set", number)
        timer = f"{t.id}#{number}"
        self.commands.append(c.SetTimer(timer=timer, after_s=after_s))
        return timer
