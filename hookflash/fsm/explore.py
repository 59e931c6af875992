"""Exhaust what is small: every record that a table can reach, under every event there is.

The explorer is an adversary. It lets anything happen at any moment, whether or not a switch
could do it: a leg parks that was never parted, a deadline passes at once, everybody hangs up.
What holds here holds on any switch, however odd; and a row that is not reached here can never be
reached, and should not stand in the table.

Records are compared without the names of their timers, so that there are finitely many.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator

import attrs

from hookflash.commands import Afterwards, Command, Dial, Join, Look, PlayTone, SetTimer, Split
from hookflash.errors import RequestRefused
from hookflash.events import (
    CommandFailed,
    CompleteRequested,
    Event,
    LegAnswered,
    LegCreated,
    LegHungUp,
    LegMovedAway,
    LegParked,
    LegProgressed,
    LegsJoined,
    LegsReleased,
    LegsSeen,
    LegsSeparated,
    SoundStarted,
    SoundStopped,
    TakebackRequested,
    TimerFired,
    TransferFound,
    TransferRequested,
)
from hookflash.fsm.machine import Rulebook, Step
from hookflash.fsm.transfer import Place, State, Transfer


@attrs.frozen(kw_only=True)
class Exploration:
    """What a search found."""

    records: int
    """How many different records were reached."""
    steps: int
    """How many steps were tried."""
    rows: Counter[str]
    """How often each row answered, by its key."""
    pairs: frozenset[tuple[str, str]]
    """Rows that can follow one another."""
    violations: tuple[str, ...]
    """Promises that were broken, with the shortest way to each."""


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
    """Walk, breadth first, through every record that can be reached.

    Args:
        spec_rules: the table to explore.
        start: the first record, in the initial state.
        sounds: whether sounds start and stop, too; they multiply the records.
        max_records: where to stop if there are more.
        check: what must hold of every step; `promises_of_a_step` by default.
    """
    search = _Search(rules=spec_rules, sounds=sounds, judge=check or broken_promise)
    search.run(nameless(start), max_records)
    return Exploration(
        records=len(search.ways),
        steps=search.steps,
        rows=search.rows,
        pairs=frozenset(search.pairs),
        violations=tuple(search.violations),
    )


@attrs.define(kw_only=True)
class _Search:
    rules: Rulebook
    sounds: bool
    judge: Check
    steps: int = 0
    rows: Counter[str] = attrs.field(factory=Counter[str])
    pairs: set[tuple[str, str]] = attrs.field(factory=set[tuple[str, str]])
    violations: list[str] = attrs.field(factory=list[str])
    ways: dict[Transfer, tuple[str, ...]] = attrs.field(factory=dict[Transfer, tuple[str, ...]])
    """Each record that was reached, and the shortest way to it."""
    last_rows: dict[Transfer, set[str]] = attrs.field(factory=dict[Transfer, set[str]])
    """The rows by which each record was reached."""
    todo: deque[Transfer] = attrs.field(factory=deque[Transfer])

    def run(self, first: Transfer, max_records: int) -> None:
        self._reach(first, (), frozenset())
        while self.todo and len(self.ways) <= max_records:
            record = self.todo.popleft()
            for event in everything_that_could_happen(record, sounds=self.sounds):
                self.steps += 1
                try:
                    taken = steps_with_answer(self.rules, record, event)
                except RequestRefused:
                    continue
                self._take(record, event, taken)

    def _take(self, record: Transfer, event: Event, taken: tuple[Step, ...]) -> None:
        """What came of an event: judge it, count the rows that answered, go on from there."""
        way = (*self.ways[record], type(event).__name__)
        broken = next((told for step in taken if (told := self.judge(step)) is not None), None)
        if broken is not None:
            self.violations.append(f"{broken}, after {' → '.join(way)} in {record}")
            return
        came_by, answered = frozenset(self.last_rows[record]), frozenset[str]()
        for step in taken:
            if step.row is not None:
                self.rows[step.row.key] += 1
                # before the answer comes, anything may follow the row that asked
                self.pairs.update((row, step.row.key) for row in came_by | answered)
                answered |= {step.row.key}
            if step is taken[-1] or _answer_may_be_late(step):
                self._reach(nameless(step.after), way, answered or came_by)

    def _reach(self, after: Transfer, way: tuple[str, ...], came_by: frozenset[str]) -> None:
        if after not in self.ways:
            self.ways[after] = way
            self.last_rows[after] = set()
            self.todo.append(after)
        if after.state is not State.IDLE and not came_by <= self.last_rows[after]:
            self.last_rows[after] |= came_by
            self.todo.append(after)  # once more, so that pairs of rows spread


def steps_with_answer(rules: Rulebook, record: Transfer, event: Event) -> tuple[Step, ...]:
    """One step; where it asks the switch, the step that the answer makes, too.

    The facts that an answer may bring are events that can happen at any moment anyway. What
    overtakes the answer about a deadline could have come before that deadline as well, so nothing
    is lost by taking the two together; with sounds it is another matter, and both are tried.
    """
    step = rules.step(record, event)
    asked = step.after.overdue_look, step.after.sound_look
    before = record.overdue_look, record.sound_look
    number = next((new for new, old in zip(asked, before, strict=True) if new != old and new), None)
    if number is None:
        return (step,)
    seen = LegsSeen(look=Look(legs=(), transfer=record.id, number=number), living=())
    return (step, rules.step(step.after, seen))


def _answer_may_be_late(asked: Step) -> bool:
    """Whether this step asked about sounds.

    It did so for those who waited in silence at that moment. When the answer comes, they may be
    talking; so it is tried in what the record has become as well.
    """
    return asked.after.sound_look not in (None, asked.before.sound_look)


def nameless(transfer: Transfer) -> Transfer:
    """The record without its timers' names, and without counts that count no more."""
    return attrs.evolve(
        transfer,
        deadline="deadline" if transfer.deadline else None,
        sound_timer="sound" if transfer.sound_timer else None,
        timers_set=0,
        joins_ordered=0,
        looks=0,
        sound_look=None if transfer.sound_look is None else 0,
        where_look=None,
        looks_left=0 if transfer.overdue_look is None else transfer.looks_left,
        dials_left=0 if transfer.called else transfer.dials_left,
        cause=None,
    )


def everything_that_could_happen(record: Transfer, *, sounds: bool) -> Iterator[Event]:
    """Every event that could be about this record."""
    yield from _requests(record)
    if record.state is State.IDLE:
        return
    yield from _facts(record)
    yield from _failures(record)
    for timer in (record.deadline, record.sound_timer if sounds else None):
        if timer:
            yield TimerFired(timer=timer)
    if sounds:
        for party in record.parties:
            if party.sound:
                yield SoundStarted(leg=party.leg, sound=party.sound)
                yield SoundStopped(leg=party.leg, sound=party.sound)


def _requests(record: Transfer) -> Iterator[Event]:
    if record.by == "found" and record.state is State.IDLE and not record.over:
        yield TransferFound(transfer=record.id)
        return
    if not record.over:
        yield TransferRequested(
            leg=record.transferor.leg, transfer=record.id, target=record.target.number
        )
    yield TakebackRequested(transfer=record.id)
    yield CompleteRequested(transfer=record.id)


def _facts(record: Transfer) -> Iterator[Event]:
    a, b, c = (party.leg for party in record.parties)
    for party in record.parties:
        if party.lives:
            yield LegParked(leg=party.leg)
            yield LegHungUp(leg=party.leg, cause="NORMAL_CLEARING")
            yield LegsJoined(first=party.leg, second="a-stranger")
            yield LegMovedAway(leg=party.leg)
    if record.target.lives:
        yield LegCreated(leg=c, number=record.target.number)
        yield LegProgressed(leg=c)
        yield LegAnswered(leg=c)
    for first, second in ((a, b), (a, c), (b, c)):
        yield LegsSeparated(first=first, second=second)
        if second == c and not record.target.answered and not (first == b and record.armed):
            # what has not answered is joined with nobody; but the news of an answer may be lost
            # when the switch itself joins an armed target
            continue
        yield LegsJoined(first=first, second=second)
    yield LegsReleased(first=a, second=c)


def _failures(record: Transfer) -> Iterator[Event]:
    a, b, c = (party.leg for party in record.parties)
    yield CommandFailed(command=Split(first=a, second=b), reason="-ERR")
    yield CommandFailed(
        command=Dial(leg=c, target="", on_behalf_of=a, ring_timeout_s=1.0), reason="-ERR"
    )
    yield CommandFailed(command=PlayTone(leg=a, tone=""), reason="-ERR")
    if record.joining:
        one, other = record.joining
        join = Join(
            first=one, second=other, attempt=record.joins_ordered, afterwards=Afterwards.END
        )
        yield CommandFailed(command=join, reason="-ERR")


def broken_promise(step: Step) -> str | None:
    """The promises that one step can be held to, whatever the switch does."""
    t = step.after
    if t.state is State.IDLE:
        return _broken_at_the_end(step)
    if t.deadline is None:
        return f"nobody would ever wake {t.state.value}"
    if not any(party.lives for party in t.parties):
        return f"{t.state.value} goes on with nobody in it"
    if step.before.outcome is not None and t.outcome is None:
        return "a decided outcome was forgotten"
    return next((broken for c in step.commands if (broken := _broken_by(step, c))), None)


def _broken_at_the_end(step: Step) -> str | None:
    t = step.after
    if t.outcome is None and step.before.state is not State.IDLE:
        return "a transfer ended without an outcome"
    if t.deadline or t.sound_timer:
        return "a transfer that is over has a timer"
    return None


def _broken_by(step: Step, command: Command) -> str | None:
    if isinstance(command, Join):
        return _broken_by_join(step, command)
    if isinstance(command, SetTimer) and command.after_s <= 0:
        return "a timer without time"
    return None


def _broken_by_join(step: Step, join: Join) -> str | None:
    """Promise 5: no stranger on the line, and nobody who has not answered."""
    parties = {party.leg: party for party in step.after.parties}
    if not {join.first, join.second} <= parties.keys():
        return "a join with a leg of another call"
    for leg in (join.first, join.second):
        if not parties[leg].answered:
            return "a join with a leg that has not answered"
        if parties[leg].place is not Place.MOVING:
            return "a join of a leg that is not there"
    return None
