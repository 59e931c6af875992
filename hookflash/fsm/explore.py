"""Exhaust what is small: every record that a table can reach, under every event there is.

The explorer is an adversary. It lets anything happen at any moment, whether or not a switch
could do it: a leg parks that was never separated, a deadline passes at once, everybody hangs up.
What holds here holds on any switch; and a row that is not reached here can never be reached, and
does not belong in the table.

Records are compared without the names of their timers, so that their number is finite.
"""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from operator import attrgetter
from typing import Any

import attrs

from hookflash import commands as c
from hookflash import events as e
from hookflash.errors import RequestRefused
from hookflash.fsm.machine import Rulebook, Step
from hookflash.fsm.transfer import ON_HOLD, Party, Place, Role, State, Transfer


@attrs.frozen(kw_only=True)
class Card:
    """The shortest way to a row, and what the row does there."""

    way: tuple[str, ...]
    """The events from the first record to the row, its own event last."""
    orders: tuple[c.Command, ...]
    outcome: str | None
    """The outcome that is decided in this step, if one is."""
    cause: str | None
    """The cause that is written in this step, if one is."""


@attrs.frozen(kw_only=True)
class Violation:
    """A promise that was broken, and the shortest way to it."""

    promise: str
    """The sentence that says how it was broken."""
    steps: tuple[tuple[e.Event, Step], ...]
    """The events from the first record on, and what each did. The last breaks the promise."""
    times: int = 1
    """How often it was broken in this way, from other records too."""

    def __str__(self) -> str:
        return f"{self.promise}, after " + " → ".join(in_words(event) for event, _ in self.steps)


@attrs.frozen(kw_only=True)
class Exploration:
    """The result of a search."""

    records: int
    """The number of different records that were reached."""
    steps: int
    """The number of steps that were tried."""
    rows: Counter[str]
    """How many times each row answered, by its key."""
    cards: Mapping[str, Card]
    """The card of each row, by its key."""
    pairs: frozenset[tuple[str, str]]
    """Rows that can follow one another."""
    violations: tuple[Violation, ...]
    """Promises that were broken."""


Check = Callable[[Step], str | None]
"""A promise: the sentence that says how a step breaks it, or `None`."""


def explore(
    spec_rules: Rulebook,
    start: Transfer,
    *,
    sounds: bool = False,
    max_records: int = 200_000,
    check: Check | None = None,
) -> Exploration:
    """Walk through every record that can be reached, breadth first.

    Args:
        spec_rules: the table to explore.
        start: the first record, in the initial state.
        sounds: whether sounds start and stop, too. They multiply the records.
        max_records: the number of records after which the search stops.
        check: what must hold of every step; `promises_of_a_step` by default.
    """
    search = _Search(rules=spec_rules, sounds=sounds, judge=check or broken_promise)
    search.run(start, max_records)
    return Exploration(
        records=len(search.reached),
        steps=search.steps,
        rows=search.rows,
        cards=search.cards,
        pairs=frozenset(search.pairs),
        violations=tuple(search.violations.values()),
    )


@attrs.define(eq=False)
class _Reached:
    """A record that was reached."""

    record: Transfer
    before: _Reached | None
    """The record from which it was reached first, on the shortest way."""
    by: e.Event | None
    """The event that led here from there."""
    came_by: set[str] = attrs.field(factory=set[str])
    """The rows by which it was reached."""
    answers: set[str] = attrs.field(factory=set[str])
    """The rows that answer the next event."""
    silently: dict[_Reached, None] = attrs.field(factory=dict["_Reached", None])
    """What it becomes by an event that no row answers. The set keeps its order, so that a search
    that is cut short always stops at the same place."""
    tried: bool = False
    """Whether every event has been tried here."""

    def way(self) -> tuple[str, ...]:
        """The events from the beginning to here."""
        if self.before is None or self.by is None:
            return ()
        return (*self.before.way(), in_words(self.by))

    def steps(self, rules: Rulebook) -> tuple[tuple[e.Event, Step], ...]:
        """The events from the beginning to here, and what each did."""
        if self.before is None or self.by is None:
            return ()
        taken: list[tuple[e.Event, Step]] = []
        for step in steps_with_answer(rules, self.before.record, self.by):
            taken.append((self.by, step))
            if _told_apart_by(step.after) == _told_apart_by(self.record):
                break  # the answer came later
        return (*self.before.steps(rules), *taken)


@attrs.define(kw_only=True)
class _Search:
    rules: Rulebook
    sounds: bool
    judge: Check
    steps: int = 0
    rows: Counter[str] = attrs.field(factory=Counter[str])
    cards: dict[str, Card] = attrs.field(factory=dict[str, Card])
    pairs: set[tuple[str, str]] = attrs.field(factory=set[tuple[str, str]])
    violations: dict[str, Violation] = attrs.field(factory=dict[str, Violation])
    reached: dict[tuple[object, ...], _Reached] = attrs.field(
        factory=dict[tuple[object, ...], _Reached]
    )
    """Each record, by its distinguishing values."""
    todo: deque[_Reached] = attrs.field(factory=deque[_Reached])

    def run(self, first: Transfer, max_records: int) -> None:
        self._reach(first, None, None)
        while self.todo and len(self.reached) <= max_records:
            here = self.todo.popleft()
            if here.tried:
                # the same events lead to the same records; only the rows before them are new
                for after in here.silently:
                    self._spread(after, here.came_by)
            else:
                self._try_everything(here)
            self.pairs.update(itertools.product(here.came_by, here.answers))

    def _try_everything(self, here: _Reached) -> None:
        here.tried = True
        for event in everything_that_could_happen(here.record, sounds=self.sounds):
            self.steps += 1
            try:
                taken = steps_with_answer(self.rules, here.record, event)
            except RequestRefused:
                continue
            broken = next((told for step in taken if (told := self.judge(step)) is not None), None)
            if broken is None:
                self._take(here, event, taken)
            else:
                self._note(broken, here, event, taken)

    def _note(self, broken: str, here: _Reached, event: e.Event, taken: tuple[Step, ...]) -> None:
        """Note a broken promise. Breadth first: the first way is the shortest."""
        known = self.violations.get(broken)
        if known is None:
            steps = (*here.steps(self.rules), *((event, step) for step in taken))
            self.violations[broken] = Violation(promise=broken, steps=steps)
        else:
            self.violations[broken] = attrs.evolve(known, times=known.times + 1)

    def _take(self, here: _Reached, event: e.Event, taken: tuple[Step, ...]) -> None:
        """Count the rows that answered an event, and go on from there."""
        answered = set[str]()
        first = ""
        for step in taken:
            for row in step.rows:
                self.rows[row.key] += 1
                if row.key not in self.cards:  # breadth first: the first way is the shortest
                    self.cards[row.key] = _card((*here.way(), in_words(event)), step)
            self.pairs.update(itertools.pairwise(row.key for row in step.rows))
            if step.rows:
                # before the answer comes, anything may follow the row that asked
                self.pairs.update((key, step.rows[0].key) for key in answered)
                first = first or step.rows[0].key
                answered = {step.rows[-1].key}
            if step is taken[-1] or _answer_may_be_late(step):
                after = self._reach(step.after, here, event)
                self._spread(after, answered or here.came_by)
                if not answered:
                    here.silently[after] = None
        if first:
            here.answers.add(first)

    def _reach(self, record: Transfer, before: _Reached | None, by: e.Event | None) -> _Reached:
        if before is not None and record is before.record:
            return before  # no news, as most events
        key = _told_apart_by(record)
        found = self.reached.get(key)
        if found is None:
            found = self.reached[key] = _Reached(_nameless(record), before, by)
            self.todo.append(found)
        return found

    def _spread(self, after: _Reached, came_by: AbstractSet[str]) -> None:
        if after.record.state is not State.IDLE and not came_by <= after.came_by:
            after.came_by |= came_by
            self.todo.append(after)  # once more, so that pairs of rows spread


def in_words(event: e.Event) -> str:
    """An event in a few words: its type and its legs."""
    match event:
        case e.LegsJoined(first=one, second=other) | e.LegsSeparated(first=one, second=other):
            legs = f" {one} {other}"
        case e.LegParked(leg=leg) | e.LegHungUp(leg=leg) | e.LegMovedAway(leg=leg):
            legs = f" {leg}"
        case e.SoundStarted(leg=leg) | e.SoundStopped(leg=leg):
            legs = f" {leg}"
        case e.CommandFailed(command=command):
            legs = f" {type(command).__name__}"
        case _:
            legs = ""
    return type(event).__name__ + legs


def _card(way: tuple[str, ...], step: Step) -> Card:
    before, after = step.before, step.after
    return Card(
        way=way,
        orders=step.commands,
        outcome=after.outcome.value if after.outcome not in (None, before.outcome) else None,
        cause=after.cause if after.cause != before.cause else None,
    )


def steps_with_answer(rules: Rulebook, record: Transfer, event: e.Event) -> tuple[Step, ...]:
    """One step; if it asks the switch, also the step that the answer makes.

    The facts that an answer may bring can happen at any moment anyway. An event that overtakes the
    answer about a deadline could have come before that deadline as well, so the two are taken
    together. With sounds that is not so, and both orders are tried.
    """
    step = rules.step(record, event)
    asked = step.after.overdue_look, step.after.sound_look
    before = record.overdue_look, record.sound_look
    number = next((new for new, old in zip(asked, before, strict=True) if new != old and new), None)
    if number is None:
        return (step,)
    seen = e.LegsSeen(look=c.Look(legs=(), transfer=record.id, number=number), living=())
    return (step, rules.step(step.after, seen))


def _answer_may_be_late(asked: Step) -> bool:
    """Whether this step asked about sounds.

    It asked for parties that waited in silence at that moment. When the answer comes, they may be
    talking, so the answer is also tried later.
    """
    return asked.after.sound_look not in (None, asked.before.sound_look)


_SIMPLIFIED = (
    "deadline",
    "sound_timer",
    "timers_set",
    "joins_ordered",
    "looks",
    "sound_look",
    "where_look",
    "looks_left",
    "cause",
    "rescued",
)


def _simplified(transfer: Transfer) -> tuple[object, ...]:
    """These fields without names of timers, and without counts that no longer matter."""
    return (
        "deadline" if transfer.deadline else None,
        "sound" if transfer.sound_timer else None,
        0,
        1 if transfer.joining else 0,
        0,
        None if transfer.sound_look is None else 0,
        None,
        0 if transfer.overdue_look is None else transfer.looks_left,
        None,
        transfer.rescued if transfer.armed else Role.TRANSFEREE,
    )


def _nameless(transfer: Transfer) -> Transfer:
    changes: dict[str, Any] = dict(zip(_SIMPLIFIED, _simplified(transfer), strict=True))
    return attrs.evolve(transfer, **changes)


_NEVER_CHANGED = ("id", "kind", "policy")
_PARTIES = ("transferor", "transferee", "target")
_IN_THE_END = (
    "accepted",
    "announced",
    "armed",
    "failsafe",
    "joined_for",
    "joining",
    "recalls",
    "released",
    "separated",
)
"""What no longer matters in the state `ending`: no join follows."""
_matters_until_then = attrgetter(*_IN_THE_END)
_matters = attrgetter(
    *(
        field.name
        for field in attrs.fields(Transfer)
        if field.name not in (*_SIMPLIFIED, *_NEVER_CHANGED, *_PARTIES, *_IN_THE_END)
    )
)
_of_party = attrgetter(*(field.name for field in attrs.fields(Party)))
_of_answered_party = attrgetter(
    *(field.name for field in attrs.fields(Party) if field.name != "called")
)


def _told_apart_by(transfer: Transfer) -> tuple[object, ...]:
    """The values by which a search compares records: those that still matter."""
    return (
        *_matters(transfer),
        *_simplified(transfer),
        *map(_party_told_apart_by, transfer.parties),
        None if transfer.state is State.ENDING else _until_the_end(transfer),
    )


def _party_told_apart_by(party: Party) -> tuple[object, ...]:
    if not party.lives:
        return (party.leg, party.number, party.place, party.answered)
    return _of_answered_party(party) if party.answered else _of_party(party)


def _until_the_end(transfer: Transfer) -> tuple[object, ...]:
    accepted, announced, *others = _matters_until_then(transfer)
    policy = transfer.policy
    asked = policy.target_accepts or policy.briefing is not None
    return (asked and accepted, policy.announcement is not None and announced, *others)


def everything_that_could_happen(record: Transfer, *, sounds: bool) -> Iterator[e.Event]:
    """Every event that could be about this record."""
    yield from _requests(record)
    if record.state is State.IDLE:
        return
    yield e.NumberRejected(transfer=record.id)
    yield from _facts(record)
    yield from _failures(record)
    for timer in (record.deadline, record.sound_timer if sounds else None):
        if timer:
            yield e.TimerFired(timer=timer)
    if sounds:
        for party in record.parties:
            if party.sound:
                yield e.SoundStarted(leg=party.leg, sound=party.sound)
                yield e.SoundStopped(leg=party.leg, sound=party.sound)


A_NUMBER = "2600"
"""What a transferor gives who is asked for the number."""


def _requests(record: Transfer) -> Iterator[e.Event]:
    if record.by == "found" and record.state is State.IDLE and not record.over:
        yield e.TransferFound(transfer=record.id)
        yield e.TransferFound(transfer=record.id, state=State.SWAPPED.value)
        yield e.TransferFound(transfer=record.id, state=State.ACCEPTING.value)
        yield e.TransferFound(transfer=record.id, state=State.THREE_WAY.value)
        return
    if not record.over:
        yield e.TransferRequested(
            leg=record.transferor.leg, transfer=record.id, target=record.target.number
        )
    yield e.TakebackRequested(transfer=record.id)
    yield e.CompleteRequested(transfer=record.id)
    yield e.SwapRequested(transfer=record.id)
    yield e.AcceptRequested(transfer=record.id)
    yield e.DeclineRequested(transfer=record.id)
    yield e.ThreeWayRequested(transfer=record.id)
    yield e.PickUpRequested(transfer=record.id, leg="picker", slot=record.slot, number="1003")
    yield e.NumberGiven(transfer=record.id, target=A_NUMBER)


def _facts(record: Transfer) -> Iterator[e.Event]:
    alice, bob, carol = (party.leg for party in record.parties)
    for party in record.parties:
        if party.lives:
            yield e.LegParked(leg=party.leg)
            if party.takes_part and party.sound:
                yield e.SoundStarted(leg=party.leg, sound=party.sound)
            yield e.LegHungUp(leg=party.leg, cause="NORMAL_CLEARING")
            if party is record.transferor and party.rings:
                yield e.LegHungUp(leg=party.leg, cause="USER_BUSY")
            if party is record.target and party.rings and record.questions:
                yield e.LegHungUp(leg=party.leg, cause="UNALLOCATED_NUMBER")
            yield e.LegsJoined(first=party.leg, second="a-stranger")
            yield e.LegMovedAway(leg=party.leg)
    yield from _of_rivals(record)
    for party in (record.transferor, record.target):
        if party.rings or party.called:
            yield e.LegCreated(leg=party.leg, number=party.number)
            yield e.LegProgressed(leg=party.leg)
            yield e.LegAnswered(leg=party.leg)
    for first, second in ((alice, bob), (alice, carol), (bob, carol)):
        yield e.LegsSeparated(first=first, second=second)
        absent = any(p.leg in (first, second) and not p.answered for p in record.parties)
        if absent and not (bob in (first, second) and record.armed):
            # a leg that has not answered is joined with nobody; but the answer's event may be lost
            # when the switch on its own joins an armed target
            continue
        yield e.LegsJoined(first=first, second=second)
    yield e.LegsReleased(first=alice, second=carol)
    yield e.LegsReleased(first=bob, second=carol)


def _of_rivals(record: Transfer) -> Iterator[e.Event]:
    for rival in record.rivals:
        if rival.lives:
            yield e.LegAnswered(leg=rival.leg)
            yield e.LegParked(leg=rival.leg)
            yield e.LegHungUp(leg=rival.leg)
            if record.armed and record.transferee.lives:
                yield e.LegsJoined(first=record.transferee.leg, second=rival.leg)


def _failures(record: Transfer) -> Iterator[e.Event]:
    alice, bob, carol = (party.leg for party in record.parties)
    if record.has_no_transferor:
        yield e.CommandFailed(command=c.Fetch(leg=bob), reason="-ERR")
        yield e.CommandFailed(command=c.SendBack(leg=bob, to="origin"), reason="-ERR")
    if record.target.place is Place.ELSEWHERE:
        yield e.CommandFailed(command=c.Fetch(leg=carol), reason="-ERR")
    yield e.CommandFailed(command=c.Split(first=alice, second=bob), reason="-ERR")
    yield e.CommandFailed(
        command=c.Dial(leg=carol, target="", on_behalf_of=alice, ring_timeout_s=1.0), reason="-ERR"
    )
    yield e.CommandFailed(
        command=c.PlayTone(leg=alice, tone=record.policy.failure_tone), reason="-ERR"
    )
    if record.joining:
        one, other = record.joining
        join = c.Join(
            first=one, second=other, attempt=record.joins_ordered, afterwards=c.Afterwards.END
        )
        yield e.CommandFailed(command=join, reason="-ERR")


def broken_promise(step: Step) -> str | None:
    """The promises that each step must keep, on any switch."""
    t = step.after
    if t.state is State.IDLE:
        return _broken_at_the_end(step)
    if t.deadline is None:
        return f"{t.state.value} has no deadline"
    if (forgotten := _forgotten(t)) is not None:
        return forgotten
    if step.before.outcome is not None and t.outcome is None:
        return "a decided outcome was forgotten"
    if t.state in ON_HOLD and t.transferee.place is Place.PARKED and t.transferee.sound is None:
        return "the transferee waits in silence"
    return next((broken for one in step.commands if (broken := _broken_by(step, one))), None)


def _broken_at_the_end(step: Step) -> str | None:
    t = step.after
    if t.outcome is None and step.before.state is not State.IDLE:
        return "a transfer ended without an outcome"
    if t.deadline or t.sound_timer:
        return "a transfer that is over has a timer"
    if t.over and _rings_on(t):
        return "a transfer is over, and a target rings on"
    if t.over and any(party.lives and party.peer is None for party in t.parties):
        return "a transfer is over, and somebody is left alone"
    return None


def _forgotten(t: Transfer) -> str | None:
    if not any(party.lives for party in t.parties):
        return f"{t.state.value} goes on without any leg"
    return "a target rings on after another has answered" if _rings_on(t) else None


def _rings_on(t: Transfer) -> bool:
    """Whether a rival was left behind: no longer needed, and not hung up."""
    decided = t.over or t.target.answered or not t.target.lives
    return decided and any(rival.lives and not rival.dismissed for rival in t.rivals)


def _broken_by(step: Step, command: c.Command) -> str | None:
    if isinstance(command, c.Park | c.TakePart) and not all(command.unless_with):
        return "an order names a leg that is not there: no switch takes it"
    return _broken_promise_by(step, command)


def _broken_promise_by(step: Step, command: c.Command) -> str | None:
    if isinstance(command, c.Join):
        return _broken_by_join(step, command)
    if isinstance(command, c.Arm) and command.leg == step.after.target.leg:
        return _broken_by_asking(step.after)
    if isinstance(command, c.Split) and not command.repeated:
        left = (step.after.transferor, step.after.transferee)
        if any(party.lives and party.place is not Place.MOVING for party in left):
            return "a leg that is being separated counts as where it was"
    if isinstance(command, c.SendBack) and step.after.target.lives and not step.before.overdue_look:
        return "a caller is sent back while the target may take it"
    if isinstance(command, c.SetTimer) and command.after_s <= 0:
        return "a timer without time"
    return None


def _broken_by_asking(transfer: Transfer) -> str | None:
    """A target that must accept is connected with nobody before, not by the switch either."""
    return "a target is connected that has not accepted" if transfer.target_is_asked else None


def _broken_by_join(step: Step, join: c.Join) -> str | None:
    """Promise 5: a join is of legs of this call, which have answered. It has a deadline."""
    if not any(isinstance(order, c.SetTimer) for order in step.commands):
        return "a join without a deadline of its own"
    if step.after.target.leg in (join.first, join.second):
        broken = _broken_by_asking(step.after)
        if broken is not None:
            return broken
    parties = {party.leg: party for party in step.after.parties}
    if not {join.first, join.second} <= parties.keys():
        return "a join with a leg of another call"
    for leg in (join.first, join.second):
        if not parties[leg].answered:
            return "a join with a leg that has not answered"
        if parties[leg].place is not Place.MOVING:
            return "a join of a leg that is not there"
    return None
