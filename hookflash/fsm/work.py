"""The working copy of one step: what guards look at, and actions and orders write to.

The copy is not published yet, so it may be written to. It is handed out, as a frozen `Transfer`,
only when the step has succeeded.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import attrs

from hookflash import commands as c
from hookflash.errors import InternalError
from hookflash.events import Event, LegId
from hookflash.fsm.transfer import Party, Place, Role, State, Transfer

if TYPE_CHECKING:
    from hookflash.fsm.spec import Row

_force = object.__setattr__

_SILENT = {"sound": None, "coming": False, "overtaken": False, "hears": False, "heard": False}
"""What a leg hears that is not parked: nothing that we order."""

_MOVES = (c.Split, c.Join, c.Park, c.TakePart, c.Fetch, c.SendBack)
"""Orders after which legs are not where they were."""

LOST_TRACK = "LOST_TRACK"
"""The cause of a hang-up that was not seen: the switch was asked, and does not know the leg."""

MOST_LOOKS = 3
"""How many times the switch is asked where the legs are, before the deadline counts anyway."""


_T = TypeVar("_T", Transfer, Party)


def _copier(kind: type[_T]) -> Callable[[_T], _T]:
    """A function that copies values of a type; by slots, a quarter faster than by name."""
    names = [field.name for field in attrs.fields(kind)]
    values_of = attrgetter(*names)
    slots = [getattr(kind, name).__set__ for name in names]

    def copy(value: _T) -> _T:
        new = object.__new__(kind)
        for put, one in zip(slots, values_of(value), strict=True):
            put(new, one)
        return new

    return copy


_copy_transfer = _copier(Transfer)
_copy_party = _copier(Party)

_Timeout: TypeAlias = tuple[float | None, int | None]
"""After how many seconds, if at all, and the question whose answer it is given."""


@attrs.define(eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class Work:
    """One transfer in the middle of one step."""

    transfer: Transfer = attrs.field(converter=_copy_transfer)
    event: Event
    state: State = attrs.field(init=False)
    """Where the `transitions` machine keeps its mark."""
    commands: list[c.Command] = attrs.field(init=False)
    rows: list[Row] = attrs.field(init=False)
    why: str = attrs.field(init=False, default="")
    """A sentence on what was ordered."""
    overdue: bool = attrs.field(init=False, default=False)
    """Whether the deadline has passed, and the switch was asked first."""
    sounds_due: bool = attrs.field(init=False, default=False)
    """The same for the sounds."""
    prompt_told: bool = attrs.field(init=False, default=False)
    """Whether the table has been given `prompt_heard` in this step."""
    refused: type[c.Command] | None = attrs.field(init=False, default=None)
    """The order that the switch has refused."""
    joined: bool = attrs.field(init=False, default=False)
    """Whether the event has joined two of the parties."""
    _deadline: _Timeout | None = attrs.field(init=False, default=None)
    _sounds: _Timeout | None = attrs.field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self.state = self.transfer.state
        self.commands, self.rows = [], []

    def order(self, command: c.Command) -> None:
        """Add a command to what the step returns."""
        self.commands.append(command)

    def note(self, **changes: object) -> None:
        """Write to the working copy."""
        for name, value in changes.items():
            _force(self.transfer, name, value)

    def place(self, party: Party, place: Place, *, peer: LegId | None = None) -> None:
        """Write where a party is now. A leg that is not parked no longer hears its sound."""
        silenced = _SILENT if party.sound is not None and place is not Place.PARKED else {}
        self.rewrite(party, place=place, peer=peer, **silenced)

    def rewrite(self, party: Party, **changes: Any) -> None:
        """Write other facts of a party."""
        copy = _copy_party(party)
        for name, value in changes.items():
            _force(copy, name, value)
        rivals = self.transfer.rivals
        if any(party is rival for rival in rivals):
            changed = tuple(copy if rival is party else rival for rival in rivals)
            _force(self.transfer, "rivals", changed)
        else:
            _force(self.transfer, self.role_of(party), copy)

    def replace(
        self, role: Role, number: str, leg: LegId, *, ring_timeout_s: float | None = None
    ) -> None:
        """Give a role to a party that is still to be called. Another that has it is hung up.

        Args:
            role: whose.
            number: to call.
            leg: the ID of its leg.
            ring_timeout_s: how long its phone may ring; `None`: as the policy says.
        """
        t = self.transfer
        before = t.party(role)
        if before.lives:
            cause = "NORMAL_CLEARING" if before.answered else "ORIGINATOR_CANCEL"
            self.order(c.HangUp(leg=before.leg, cause=cause))
        party = Party(leg, number, Place.UNBORN, answered=False, ring_timeout_s=ring_timeout_s)
        _force(t, role, party)
        self.note(failsafe=None)
        if role is Role.TARGET:
            self.note(accepted=False)

    def party_of(self, leg: LegId) -> Party | None:
        """The party of a leg."""
        for party in self.transfer.parties:
            if party.leg == leg:
                return party
        return None

    def rival_of(self, leg: LegId) -> Party | None:
        """The rival of the target that has a leg."""
        return next((one for one in self.transfer.rivals if one.leg == leg), None)

    def role_of(self, party: Party) -> Role:
        """The role of a party."""
        t = self.transfer
        if party is t.transferor:
            return Role.TRANSFEROR
        if party is t.transferee:
            return Role.TRANSFEREE
        if party is t.target or any(party is rival for rival in t.rivals):
            return Role.TARGET
        raise InternalError("a stale copy of a party was written back")

    def set_deadline(self, after_s: float | None, *, look: int | None = None) -> None:
        """Set the deadline of this state; `None`: cancel it."""
        self._deadline = (after_s, look)

    def set_sound_timer(self, after_s: float | None, *, look: int | None = None) -> None:
        """Set the timer after which the sounds are checked; `None`: cancel it."""
        self._sounds = (after_s, look)

    def look_for_deadline(self) -> None:
        """A deadline has passed: ask the switch, whose answer decides it."""
        t = self.transfer
        left = t.looks_left - 1 if t.overdue_look is not None else MOST_LOOKS - 1
        self.set_deadline(t.policy.look_timeout_s, look=self.look())
        self.note(looks_left=left)

    def look_for_sounds(self) -> None:
        """A party hears nothing: ask the switch, whose answer decides whether that is so."""
        self.set_sound_timer(self.transfer.policy.look_timeout_s, look=self.look())

    def look(self) -> int:
        """Ask the switch where the legs are; return the number of the question."""
        t = self.transfer
        number = t.looks + 1
        self.note(looks=number)
        legs = tuple(party.leg for party in t.everybody if party.lives)
        self.order(c.Look(legs=legs, transfer=t.id, number=number))
        return number

    def finish(self) -> Transfer:
        """Set and cancel the timers, each at most once, and hand out the record.

        A question about sounds is void once legs are ordered to move: its answer would be stale.
        """
        t = self.transfer
        if t.sound_look is not None and any(isinstance(order, _MOVES) for order in self.commands):
            _force(t, "sound_look", None)
        if self._deadline is not None:
            after_s, look = self._deadline
            self.note(deadline=self._exchange(t.deadline, after_s), overdue_look=look)
        if self._sounds is not None:
            after_s, look = self._sounds
            self.note(sound_timer=self._exchange(t.sound_timer, after_s), sound_look=look)
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
