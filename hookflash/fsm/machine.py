"""The step: a transfer and an event give a new transfer and commands.

Three things happen, in this order, and none of them touches the record that was given:

1. **Observe.** The event is written into a working copy as what it says about the parties, and
   named as an input of the table (`Input`). Here, and nowhere else, repeats, late news of legs
   that are gone, and overtaken timers are told from what is new.
2. **Decide.** The `transitions` machine of the spec runs the one row that answers. It is one
   shared rulebook for all transfers: it holds no transfer, and is never told of one for longer
   than a step.
3. **Return.** On success the working copy becomes the new record. When anything fails, it is
   dropped, and the old record stands untouched, with both people still on the line.

An input that the table ignores, or that is no news, gives the record back with what was learned
and no commands. A person's request that the table refuses raises `RequestRefused`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, TypeAlias, cast

import attrs
from transitions import EventData, Machine

from hookflash.commands import (
    CancelTimer,
    Command,
    Dial,
    Forget,
    Introduce,
    Join,
    Look,
    Park,
    SetTimer,
    Split,
)
from hookflash.errors import InternalError, RequestRefused
from hookflash.events import (
    CommandFailed,
    CompleteRequested,
    DigitPressed,
    Event,
    HangUpRequested,
    LegAnswered,
    LegCreated,
    LegHungUp,
    LegId,
    LegIdentified,
    LegMovedAway,
    LegParked,
    LegProgressed,
    LegsJoined,
    LegsReleased,
    LegsSeen,
    LegsSeparated,
    SoundStarted,
    SoundStopped,
    SwitchFound,
    SwitchLost,
    TakebackRequested,
    TimerFired,
    TransferFound,
    TransferRequested,
)
from hookflash.fsm.spec import Input, Row, Spec
from hookflash.fsm.transfer import Party, Place, Role, State, Transfer

_FIELDS = tuple(a.name for a in attrs.fields(Transfer))
_values_of = attrgetter(*_FIELDS)
_SLOTS = tuple(getattr(Transfer, name).__set__ for name in _FIELDS)
_force = object.__setattr__

LOST_TRACK = "LOST_TRACK"
"""The cause of a leg's end that nobody saw: the switch was asked, and knows nothing of it."""

_MOVES = (Split, Join, Park)
"""Orders after which legs are not where they were."""

MOST_LOOKS = 3
"""How often the switch is asked where everybody is, before its silence is taken for an answer."""


class NoTransition(InternalError):
    """The table has no answer for a pair. A spec that was built can't have such a pair."""

    def __init__(self, state: State, on: Input) -> None:
        self.state = state
        self.on = on
        super().__init__(f"no row for {on.value} in {state.value}")


@attrs.frozen(kw_only=True)
class Step:
    """What one event did to one transfer."""

    before: Transfer
    after: Transfer
    on: Input | None
    """What the event meant; `None` where it was no news."""
    row: Row | None
    """The row that answered; `None` where nothing was to do."""
    why: str
    """The sentence that explains it."""
    commands: tuple[Command, ...]


class Work:
    """The working copy of one step: what guards look at, and actions write to.

    The copy is nobody's value yet, so that writing to it breaks no promise: it is handed out, as
    a frozen `Transfer`, only when the step has succeeded.
    """

    __slots__ = (
        "_deadline_changed",
        "_deadline_s",
        "_overdue_look",
        "_sound_changed",
        "_sound_look",
        "_sound_s",
        "commands",
        "event",
        "row",
        "state",
        "transfer",
    )

    def __init__(self, transfer: Transfer, event: Event) -> None:
        copy = object.__new__(Transfer)
        for put, value in zip(_SLOTS, _values_of(transfer), strict=True):
            put(copy, value)  # a quarter quicker than by name, in every step there is
        self.transfer = copy
        self.event = event
        self.state = transfer.state  # where the `transitions` machine keeps its mark
        self.commands: list[Command] = []
        self.row: Row | None = None
        self._deadline_s: float | None = None
        self._deadline_changed = False
        self._overdue_look: int | None = None
        self._sound_s: float | None = None
        self._sound_changed = False
        self._sound_look: int | None = None

    def order(self, command: Command) -> None:
        """Add a command to what the step returns."""
        self.commands.append(command)

    def note(self, **changes: object) -> None:
        """Write to the working copy."""
        for name, value in changes.items():
            _force(self.transfer, name, value)

    def place(self, party: Party, place: Place, *, peer: LegId | None = None) -> None:
        """Write where a party is now. A leg that moves no longer hears what it was given."""
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
                party.coming if keeps else None,
                party.hears and keeps,
                party.heard and keeps,
                party.outside,
                party.withheld,
            ),
        )

    def rewrite(self, party: Party, **changes: Any) -> None:
        """Write other facts of a party."""
        self._put(party, attrs.evolve(party, **changes))

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
        """The party to which a leg belongs."""
        t = self.transfer
        if leg == t.transferor.leg:
            return t.transferor
        if leg == t.transferee.leg:
            return t.transferee
        if leg == t.target.leg:
            return t.target
        return None

    def role_of(self, leg: LegId) -> Role | None:
        """The part that a leg's party plays."""
        t = self.transfer
        if leg == t.transferor.leg:
            return Role.TRANSFEROR
        if leg == t.transferee.leg:
            return Role.TRANSFEREE
        if leg == t.target.leg:
            return Role.TARGET
        return None

    def set_deadline(self, after_s: float | None) -> None:
        """Let the wait in this state end after so long; `None`: it does not end by itself."""
        self._deadline_s = after_s
        self._deadline_changed = True
        self._overdue_look = None

    def set_sound_timer(self, after_s: float | None) -> None:
        """Look after a while whether what was to be heard is heard; `None`: don't."""
        self._sound_s = after_s
        self._sound_changed = True
        self._sound_look = None

    def look_for_deadline(self) -> None:
        """A deadline has passed: let the answer of the switch decide it, and wait for that."""
        t = self.transfer
        left = t.looks_left - 1 if t.overdue_look is not None else MOST_LOOKS - 1
        number = self.look()
        self.set_deadline(t.policy.look_timeout_s)
        self._overdue_look = number
        self.note(looks_left=left)

    def look_for_sounds(self) -> None:
        """Somebody hears nothing: let the answer of the switch decide whether that is so."""
        number = self.look()
        self.set_sound_timer(self.transfer.policy.look_timeout_s)
        self._sound_look = number

    def look(self) -> int:
        """Ask the switch where everybody is."""
        t = self.transfer
        number = t.looks + 1
        self.note(looks=number)
        legs = tuple(party.leg for party in t.parties if party.lives)
        self.order(Look(legs=legs, transfer=t.id, number=number))
        return number

    def finish(self) -> Transfer:
        """Set and cancel the timers, each at most once, and hand out the record.

        What the switch has been asked before legs are ordered to move, it is asked again after it:
        an answer from before would say where they were.
        """
        t = self.transfer
        if t.sound_look is not None and any(isinstance(c, _MOVES) for c in self.commands):
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
            self.commands.append(CancelTimer(timer=running))
        if after_s is None:
            return None
        t = self.transfer
        number = t.timers_set + 1
        _force(t, "timers_set", number)
        timer = f"{t.id}#{number}"
        self.commands.append(SetTimer(timer=timer, after_s=after_s))
        return timer


# ------------------------------------------------------------------- observe
#
# One function for each type of event. It writes what the event says into the working copy, and
# returns the input that it amounts to, or a sentence that says why it is no news.

News: TypeAlias = Input | str

REPEAT = "a repetition of what was known"
LATE = "late news of a leg that is gone"
CROSSED = "news of a join from before the two were parted"
APART = "they were known to be apart"
OVERTAKEN = "a timer that was overtaken by events"
ASKED = "Time is up, and an event may have been lost: the switch is asked first."
TOO_LATE = "One of the two was gone when it came: the switch is asked where the other stands."
SETTLED = "the answer to a question that is settled"
IDENTIFIED = "it is known now who is at the end of the leg"
ALL_HEAR = "Everybody hears what was ordered."
NOT_YET = "the switch knows nothing of the target yet"
STRANGER = "about legs of another call"

_PARKED = {
    Role.TRANSFEROR: Input.TRANSFEROR_PARKED,
    Role.TRANSFEREE: Input.TRANSFEREE_PARKED,
    Role.TARGET: Input.TARGET_PARKED,
}
_HUNG_UP = {
    Role.TRANSFEROR: Input.TRANSFEROR_HUNG_UP,
    Role.TRANSFEREE: Input.TRANSFEREE_HUNG_UP,
    Role.TARGET: Input.TARGET_HUNG_UP,
}
_JOINED: dict[frozenset[Role | None], Input] = {
    frozenset((Role.TRANSFEROR, Role.TRANSFEREE)): Input.REUNITED,
    frozenset((Role.TRANSFEROR, Role.TARGET)): Input.CONSULTED,
    frozenset((Role.TRANSFEREE, Role.TARGET)): Input.HANDED_OVER,
}


_PAIRS: dict[Input, frozenset[Role | None]] = {on: roles for roles, on in _JOINED.items()}


def _created(work: Work, event: LegCreated) -> News:
    party = work.party_of(event.leg)
    if party is None:
        return STRANGER
    if party is not work.transfer.target or party.place is Place.GONE:
        return LATE
    if work.transfer.called:
        return REPEAT
    work.note(called=True)
    work.rewrite(party, outside=event.outside, withheld=event.withheld)
    return Input.TARGET_CREATED


def _identified(work: Work, event: LegIdentified) -> News:
    party = work.party_of(event.leg)
    if party is None:
        return STRANGER
    if event.outside is not None:
        work.rewrite(party, outside=event.outside)
    if event.withheld is not None:
        work.rewrite(party, withheld=event.withheld)
    return IDENTIFIED


def _rang(work: Work, event: LegProgressed) -> News:
    target = work.transfer.target
    if event.leg != target.leg or target.place is not Place.RINGING:
        return REPEAT
    if not work.transfer.called:  # the news of its creation was lost
        work.note(called=True)
        return Input.TARGET_CREATED
    return Input.TARGET_RANG


def _answered(work: Work, event: LegAnswered) -> News:
    target = work.transfer.target
    if event.leg != target.leg or target.answered or not target.lives:
        return REPEAT
    work.note(called=True)
    work.rewrite(target, answered=True, place=Place.MOVING)
    return Input.TARGET_ANSWERED


def _parked(work: Work, event: LegParked) -> News:
    party = work.party_of(event.leg)
    role = work.role_of(event.leg)
    if party is None or role is None:
        return STRANGER
    if not party.lives:
        return LATE
    if party.place is Place.PARKED:
        return REPEAT
    if role is Role.TARGET and not party.answered:  # the news of its answer was lost
        work.note(called=True)
        work.rewrite(party, answered=True, place=Place.PARKED)
        return Input.TARGET_ANSWERED
    work.place(party, Place.PARKED)
    _leave_behind(work, (party.leg,))
    if role is not Role.TARGET:
        work.note(parted=True)
    return _PARKED[role]


def _joined(work: Work, event: LegsJoined) -> News:
    first, second = work.party_of(event.first), work.party_of(event.second)
    if first is None or second is None:
        return _taken_away(work, event)
    if not (first.lives and second.lives):
        return LATE
    if first.peer == second.leg and second.peer == first.leg:
        return REPEAT
    roles = frozenset((work.role_of(event.first), work.role_of(event.second)))
    if _JOINED[roles] is Input.REUNITED and not work.transfer.parted:
        return CROSSED
    if work.transfer.joining in ((event.first, event.second), (event.second, event.first)):
        work.note(joining=None)
    if _JOINED[roles] is not Input.CONSULTED:
        work.note(armed=False)
    target = work.transfer.target
    if target.leg in (event.first, event.second) and not target.answered:
        work.note(called=True)
        work.rewrite(target, answered=True)  # the news of its answer was lost
    _leave_behind(work, (event.first, event.second))
    for leg, peer in ((event.first, event.second), (event.second, event.first)):
        party = work.party_of(leg)
        if party is not None:
            work.place(party, Place.JOINED, peer=peer)
    return _JOINED[roles]


def _taken_away(work: Work, event: LegsJoined) -> News:
    """Somebody else has joined one of ours with a stranger: it has left the transfer, alive.

    To hang it up would be to cut off a conversation, so that it counts as gone from here on.
    """
    leg = event.first if work.party_of(event.first) is not None else event.second
    return _leaves_us(work, leg)


def _moved_away(work: Work, event: LegMovedAway) -> News:
    return _leaves_us(work, event.leg)


def _leaves_us(work: Work, leg: LegId) -> News:
    party, role = work.party_of(leg), work.role_of(leg)
    if party is None or role is None:
        return STRANGER
    if not party.lives:
        return LATE
    news = _gone(work, party, role, "TAKEN_AWAY")
    work.order(Forget(legs=(leg,)))  # it lives on, and nothing of ours must go with it
    return news


def _leave_behind(work: Work, legs: tuple[LegId, ...]) -> None:
    """Whoever was joined with one of these is on its way to somewhere: parked, or gone."""
    for party in work.transfer.parties:
        if party.peer in legs and party.leg not in legs:
            work.place(party, Place.MOVING)


def _separated(work: Work, event: LegsSeparated) -> News:
    news = False
    if {event.first, event.second} == {work.transfer.transferor.leg, work.transfer.transferee.leg}:
        work.note(parted=True)
    for leg, peer in ((event.first, event.second), (event.second, event.first)):
        party = work.party_of(leg)
        if party is not None and party.peer == peer:
            work.place(party, Place.MOVING)
            news = True
    return Input.SEPARATED if news else APART


def _released(work: Work, event: LegsReleased) -> News:
    legs = {work.transfer.transferor.leg, work.transfer.target.leg}
    return Input.RELEASED if {event.first, event.second} == legs else REPEAT


def _sound_started(work: Work, event: SoundStarted) -> News:
    party = work.party_of(event.leg)
    if party is None or party.sound is None or party.hears:
        return REPEAT
    wanted = party.coming in (party.sound, None)  # or it was overtaken by a second wish
    work.rewrite(party, coming=None, hears=wanted, heard=wanted)
    return Input.SOUND_STARTED


def _sound_stopped(work: Work, event: SoundStopped) -> News:
    party = work.party_of(event.leg)
    if party is None or not party.hears or party.sound is None:
        return REPEAT
    # one that ends within the time in which it had to begin is no better than one that is missing
    work.rewrite(party, hears=False, heard=work.transfer.sound_timer is None)
    return Input.SOUND_STOPPED


def _hung_up(work: Work, event: LegHungUp) -> News:
    party, role = work.party_of(event.leg), work.role_of(event.leg)
    if party is None or role is None:
        return STRANGER
    if not party.lives:
        return LATE
    if party is work.transfer.target and not work.transfer.called and event.cause == LOST_TRACK:
        return NOT_YET
    return _gone(work, party, role, event.cause)


def _gone(work: Work, party: Party, role: Role, cause: str) -> News:
    work.place(party, Place.GONE)
    _leave_behind(work, (party.leg,))
    joining = work.transfer.joining
    if joining is not None and party.leg in joining:
        work.note(joining=None)
    if role is Role.TARGET and work.transfer.cause is None:
        work.note(cause=cause)
    return _HUNG_UP[role]


def _failed(work: Work, event: CommandFailed) -> News:
    match event.command:
        case Split():
            return Input.SPLIT_FAILED
        case Dial():
            return Input.DIAL_FAILED
        case Join(attempt=attempt):
            if attempt != work.transfer.joins_ordered:
                return "the failure of a join that another has replaced"
            if work.transfer.joining is None:
                work.note(where_look=work.look())
                return TOO_LATE
            if work.transfer.tries_left == 0:  # one may be gone, and nobody has heard of it
                work.note(where_look=work.look())
            work.note(joining=None)
            return Input.JOIN_FAILED
        case _:
            return Input.OTHER_FAILED


def _fired(work: Work, event: TimerFired) -> News:
    """A deadline passes only when the switch has said that nothing was missed."""
    t = work.transfer
    if event.timer == t.deadline:
        work.note(deadline=None)
        if t.overdue_look is not None and t.looks_left == 0:
            return Input.DEADLINE_PASSED
        work.look_for_deadline()
        return ASKED
    if event.timer != t.sound_timer:
        return OVERTAKEN
    work.note(sound_timer=None)
    if t.sound_look is not None:
        return Input.SOUND_DUE
    if not any(party.waits_in_silence for party in t.parties):
        return ALL_HEAR
    work.look_for_sounds()
    return ASKED


def _seen(work: Work, event: LegsSeen) -> News:
    """The facts in the answer have been told before it."""
    t = work.transfer
    if event.look.transfer != t.id:
        return STRANGER
    if event.look.number == t.overdue_look:
        work.set_deadline(None)
        return Input.DEADLINE_PASSED
    if event.look.number == t.sound_look:
        work.set_sound_timer(None)
        return Input.SOUND_DUE
    return SETTLED


_LEARNED = frozenset({APART, ASKED, TOO_LATE, IDENTIFIED, ALL_HEAR})
"""What is no news for the table, and is written down all the same."""

_OBSERVERS: dict[type, Callable[[Work, Any], News]] = {
    LegCreated: _created,
    LegIdentified: _identified,
    LegProgressed: _rang,
    LegAnswered: _answered,
    LegParked: _parked,
    LegsJoined: _joined,
    LegsSeparated: _separated,
    LegsReleased: _released,
    LegsSeen: _seen,
    LegMovedAway: _moved_away,
    SoundStarted: _sound_started,
    SoundStopped: _sound_stopped,
    LegHungUp: _hung_up,
    CommandFailed: _failed,
    TimerFired: _fired,
    TransferFound: lambda _work, _event: Input.FOUND,
    TransferRequested: lambda _work, _event: Input.REQUESTED,
    TakebackRequested: lambda _work, _event: Input.TAKEBACK_ASKED,
    CompleteRequested: lambda _work, _event: Input.COMPLETE_ASKED,
    SwitchLost: lambda _work, _event: "the line is down: what is known stays as it is",
    SwitchFound: lambda _work, _event: "the line is up: the facts come by themselves",
    DigitPressed: lambda _work, _event: "a digit: feature codes are heard before the machine",
    HangUpRequested: lambda _work, _event: "an order to the switch: its effect will be a fact",
}


# -------------------------------------------------------------------- decide


class Rulebook:
    """One spec's `transitions` machine, shared by all transfers that run by it."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        # No model is ever added (that would cost 22 attributes each, and slow down with their
        # number), no `to_<state>` triggers exist, and callbacks get the event data.
        self._machine = Machine(
            model=None,
            states=list(spec.states),
            initial=spec.initial,
            auto_transitions=False,
            send_event=True,
        )
        for row in spec.rows:
            self._add(row)
        self._triggers: Mapping[Input, Callable[[Work], bool]] = {
            on: self._machine.events[on.value].trigger for on in {row.on for row in spec.rows}
        }

    def _add(self, row: Row) -> None:
        def guard(data: EventData) -> bool:
            return row.given is None or row.given(cast("Work", data.model))

        def run(data: EventData) -> None:
            work = cast("Work", data.model)
            work.row = row
            if not row.stays:
                _leave_and_enter(work, self.spec, row)
            for action in row.then:
                action(work)
            if row.on in _PAIRS:
                _introduce(work, row.on)
            if not row.stays and self.spec.phase_by_state[row.to].deadline is None:
                _forget(work)  # at the very end: whatever comes before it may change a variable

        self._machine.add_transition(
            row.on.value,
            row.state,
            None if row.stays else row.to,
            conditions=[guard] if row.given is not None else None,
            before=[run],
        )

    def step(self, transfer: Transfer, event: Event) -> Step:
        """Apply one event to one transfer.

        Args:
            transfer: the record; never changed.
            event: what happened. One that isn't about this transfer is no news.

        Returns:
            The new record, the commands that follow, and the row that said so.

        Raises:
            RequestRefused: the event is a person's request that can't be met now; it says why.
            NoTransition: the table has a hole, which building the spec should have found.
        """
        work = Work(transfer, event)
        news = _OBSERVERS[type(event)](work, event)
        if isinstance(news, str):
            return Step(
                before=transfer,
                after=work.finish() if news in _LEARNED else transfer,
                on=None,
                row=None,
                why=news,
                commands=tuple(work.commands) if news in _LEARNED else (),
            )
        pair = (transfer.state, news)
        refusals = self.spec.refused_by_pair.get(pair, ())
        for refusal in refusals:
            if refusal.given is not None and refusal.given(work):
                raise RequestRefused(refusal.why, refusal.refusal)
        if pair in self.spec.rows_by_pair and self._triggers[news](work) and work.row is not None:
            return self._done(transfer, work, news, work.row)
        if refusals:
            raise RequestRefused(refusals[-1].why, refusals[-1].refusal)
        if pair not in self.spec.ignored_by_pair:
            raise NoTransition(transfer.state, news)
        why = self.spec.ignored_by_pair[pair].why
        after = work.finish()
        commands = tuple(work.commands)
        return Step(before=transfer, after=after, on=news, row=None, why=why, commands=commands)

    @staticmethod
    def _done(transfer: Transfer, work: Work, on: Input, row: Row) -> Step:
        after = work.finish()
        return Step(
            before=transfer,
            after=after,
            on=on,
            row=row,
            why=row.why,
            commands=tuple(work.commands),
        )


def _introduce(work: Work, on: Input) -> None:
    """What every join brings with it: each phone shows whom its party talks with now.

    The target's showed the transferor while the two talked; whom it has got shows now.
    """
    roles = _PAIRS[on]
    first, second = (
        party for role, party in zip(Role, work.transfer.parties, strict=True) if role in roles
    )
    outside_number = work.transfer.policy.outside_number
    work.order(
        Introduce(
            first=first.leg,
            second=second.leg,
            first_number=_number_shown(first, second, outside_number),
            second_number=_number_shown(second, first, outside_number),
            undisclosed=tuple(party.leg for party in (first, second) if party.outside),
        )
    )


def _forget(work: Work) -> None:
    """What every end brings with it: nothing of ours stays on the legs that live on."""
    legs = tuple(party.leg for party in work.transfer.parties if party.lives)
    if legs:
        work.order(Forget(legs=legs))


def _number_shown(party: Party, to: Party, outside_number: str) -> str:
    """What one party's phone shows of another; empty: nothing new.

    An outside party is shown nothing internal.
    """
    if party.withheld:
        return ""
    return outside_number if to.outside else party.number


def _leave_and_enter(work: Work, spec: Spec, row: Row) -> None:
    """What every change of state brings with it: the next deadline, and fresh attempts."""
    deadline = spec.phase_by_state[row.to].deadline
    if deadline is None:
        work.set_deadline(None)
        work.set_sound_timer(None)
    else:
        work.set_deadline(deadline(work.transfer))
    work.note(tries_left=work.transfer.policy.join_attempts)
