"""What a transfer table is made of, and what makes it sound.

A `Spec` is data: phases (the states, and how long each may wait), rows (state, input, guard,
next state, actions, and the sentence that says why), and two tables of silence: inputs that are
*ignored* in a state because they are normal there and change nothing, and requests of people
that are *refused* aloud. Everything else reads this object: the machine that runs it, the
diagrams, the documentation's tables, the explorer, the coverage report.

The rules, all checked when a spec is built, so that a hole is found by whoever writes the table
and never by a caller:

1. One initial state. Every state can be reached from it, and every state has a way back to it.
2. No two rows for one (state, input, guard); the unguarded row of a pair stands last.
3. **Total**: every (state, input) pair has a row, a refusal, or a stated reason to be ignored;
   and where all the rows of a pair are guarded, there is one of these for when no guard holds.
4. Every state in which somebody waits has a deadline, and a row for when it passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import attrs

from hookflash.errors import Refusal, SpecError
from hookflash.fsm.transfer import State, Transfer

if TYPE_CHECKING:
    from hookflash.fsm.machine import Work


class Input(Enum):
    """What a table's rows answer to: an event, seen from one transfer."""

    REQUESTED = "requested"
    FOUND = "found"
    TAKEBACK_ASKED = "takeback_asked"
    COMPLETE_ASKED = "complete_asked"
    TRANSFEROR_PARKED = "transferor_parked"
    TRANSFEREE_PARKED = "transferee_parked"
    TARGET_PARKED = "target_parked"
    TARGET_CREATED = "target_created"
    TARGET_RANG = "target_rang"
    TARGET_ANSWERED = "target_answered"
    REUNITED = "reunited"
    CONSULTED = "consulted"
    HANDED_OVER = "handed_over"
    SEPARATED = "separated"
    RELEASED = "released"
    SOUND_STARTED = "sound_started"
    SOUND_STOPPED = "sound_stopped"
    SOUND_DUE = "sound_due"
    TRANSFEROR_HUNG_UP = "transferor_hung_up"
    TRANSFEREE_HUNG_UP = "transferee_hung_up"
    TARGET_HUNG_UP = "target_hung_up"
    SPLIT_FAILED = "split_failed"
    DIAL_FAILED = "dial_failed"
    JOIN_FAILED = "join_failed"
    OTHER_FAILED = "other_failed"
    DEADLINE_PASSED = "deadline_passed"

    __hash__ = object.__hash__  # as of State


MEANING: Mapping[Input, str] = {
    Input.REQUESTED: "somebody asks for a transfer of this call",
    Input.FOUND: "a controller that has just started finds this transfer in flight",
    Input.TAKEBACK_ASKED: "the transferor wants the transferee back",
    Input.COMPLETE_ASKED: "the transferor hands over without hanging up first",
    Input.TRANSFEROR_PARKED: "the transferor's leg stands alone in the switch's keeping",
    Input.TRANSFEREE_PARKED: "the transferee's leg stands alone in the switch's keeping",
    Input.TARGET_PARKED: "the target's leg stands alone in the switch's keeping",
    Input.TARGET_CREATED: "the switch has begun to call the target",
    Input.TARGET_RANG: "the target's phone rings",
    Input.TARGET_ANSWERED: "the target picks up",
    Input.REUNITED: "transferor and transferee hear each other",
    Input.CONSULTED: "transferor and target hear each other",
    Input.HANDED_OVER: "transferee and target hear each other",
    Input.SEPARATED: "two of them no longer hear each other",
    Input.RELEASED: "transferor and target are an ordinary call",
    Input.SOUND_STARTED: "a party hears the sound that was ordered for it",
    Input.SOUND_STOPPED: "a sound ended",
    Input.SOUND_DUE: "the sounds that were ordered should have started by now",
    Input.TRANSFEROR_HUNG_UP: "the transferor is gone",
    Input.TRANSFEREE_HUNG_UP: "the transferee is gone",
    Input.TARGET_HUNG_UP: "the target is gone, or never came: busy, refused, no answer",
    Input.SPLIT_FAILED: "the switch refused to part the two",
    Input.DIAL_FAILED: "the switch refused to call the target",
    Input.JOIN_FAILED: "the switch refused to join two legs",
    Input.OTHER_FAILED: "the switch refused another command",
    Input.DEADLINE_PASSED: "what this state waits for did not come in time",
}
"""What each input means, for readers of the tables."""

REQUESTS = frozenset({Input.REQUESTED, Input.TAKEBACK_ASKED, Input.COMPLETE_ASKED})
"""Inputs that are a person's wish. One that can't be met is refused aloud, not ignored."""

Guard: TypeAlias = "Callable[[Work], bool]"
"""A named question about the record; its docstring is what the tables print."""

Action: TypeAlias = "Callable[[Work], None]"
"""A named deed: it changes the working copy and orders commands. It never does I/O."""


@attrs.frozen(kw_only=True)
class Phase:
    """A state, as a table presents it."""

    state: State
    transferor: str = ""
    """What the transferor lives through in it."""
    transferee: str = ""
    target: str = ""
    deadline: Callable[[Transfer], float] | None = None
    """How many seconds it may wait; its docstring says why. `None` where nobody waits."""


@attrs.frozen(kw_only=True)
class Row:
    """In `state`, on `on`, if `given`: do `then`, and go `to` (or stay)."""

    state: State
    on: Input
    to: State
    why: str
    given: Guard | None = None
    then: tuple[Action, ...] = ()

    @property
    def stays(self) -> bool:
        """Whether the state remains what it was."""
        return self.to is self.state

    @property
    def guard_name(self) -> str:
        """The guard in words; empty where there is none."""
        return words(self.given)

    @property
    def key(self) -> str:
        """A stable name: what coverage reports count."""
        guard = f" [{self.guard_name}]" if self.given else ""
        return f"{self.state.value} · {self.on.value}{guard} → {self.to.value}"


@attrs.frozen(kw_only=True)
class Ignored:
    """In `state`, `on` is normal and changes nothing."""

    state: State
    on: Input
    why: str


@attrs.frozen(kw_only=True)
class Refused:
    """In `state`, whoever asks `on` (if `given`) is told `why` not."""

    state: State
    on: Input
    why: str
    given: Guard | None = None
    refusal: Refusal = Refusal.NOT_NOW
    """The same in a word, for programs."""


def words(guard_or_action: Guard | Action | None) -> str:
    """The name of a guard or an action as words."""
    return guard_or_action.__name__.replace("_", " ") if guard_or_action else ""


def ignore(states: Iterable[State], inputs: Iterable[Input], why: str) -> tuple[Ignored, ...]:
    """State one reason for many pairs."""
    chosen = tuple(inputs)
    return tuple(Ignored(state=state, on=on, why=why) for state in states for on in chosen)


def refuse(states: Iterable[State], on: Input, why: str) -> tuple[Refused, ...]:
    """State one refusal for many states."""
    return tuple(Refused(state=state, on=on, why=why) for state in states)


Pair: TypeAlias = tuple[State, Input]
Entry = TypeVar("Entry", Row, Refused)


@attrs.frozen(kw_only=True)
class Spec:
    """A whole transfer table. Building one checks it.

    Raises:
        SpecError: if it is not sound; the message lists every fault at once.
    """

    name: str
    title: str
    initial: State
    phases: tuple[Phase, ...]
    rows: tuple[Row, ...]
    ignored: tuple[Ignored, ...] = ()
    refused: tuple[Refused, ...] = ()
    rows_by_pair: Mapping[Pair, tuple[Row, ...]] = attrs.field(init=False, eq=False, repr=False)
    refused_by_pair: Mapping[Pair, tuple[Refused, ...]] = attrs.field(
        init=False, eq=False, repr=False
    )
    ignored_by_pair: Mapping[Pair, Ignored] = attrs.field(init=False, eq=False, repr=False)
    phase_by_state: Mapping[State, Phase] = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        put = object.__setattr__  # these four are views of the same data, for quick finding
        put(self, "rows_by_pair", _grouped(self.rows))
        put(self, "refused_by_pair", _grouped(self.refused))
        put(self, "ignored_by_pair", {(i.state, i.on): i for i in self.ignored})
        put(self, "phase_by_state", {p.state: p for p in self.phases})
        faults = [*_shape_faults(self), *_total_faults(self), *_deadline_faults(self)]
        if faults:
            raise SpecError(f"the table {self.name!r} is not sound: " + "; ".join(faults))

    @property
    def states(self) -> tuple[State, ...]:
        """The states in the order in which the table presents them."""
        return tuple(p.state for p in self.phases)


def _grouped(entries: Iterable[Entry]) -> dict[Pair, tuple[Entry, ...]]:
    groups: dict[Pair, tuple[Entry, ...]] = {}
    for entry in entries:
        pair = (entry.state, entry.on)
        groups[pair] = (*groups.get(pair, ()), entry)
    return groups


def _shape_faults(spec: Spec) -> Iterable[str]:
    """Rules 1 and 2: reachable and leavable states, no row twice, guards before the rest."""
    states = set(spec.states)
    if len(states) != len(spec.phases):
        yield "a state has two phases"
    forward: dict[State, set[State]] = {state: set() for state in states}
    backward: dict[State, set[State]] = {state: set() for state in states}
    for row in spec.rows:
        if row.state not in states or row.to not in states:
            yield f"{row.key} names a state without a phase"
            continue
        forward[row.state].add(row.to)
        backward[row.to].add(row.state)
    for state in states - _closure(forward, spec.initial):
        yield f"{state.value} can't be reached"
    for state in states - _closure(backward, spec.initial):
        yield f"{state.value} can't be left for {spec.initial.value}"
    for rows in spec.rows_by_pair.values():
        guards = [row.given for row in rows]
        if len(set(guards)) != len(guards):
            yield f"{rows[0].key} has two rows for one guard"
        if None in guards[:-1]:
            yield f"{rows[0].key} has an unguarded row before guarded ones"


def _closure(edges: Mapping[State, set[State]], start: State) -> set[State]:
    seen: set[State] = set()
    todo = [start]
    while todo:
        state = todo.pop()
        if state not in seen:
            seen.add(state)
            todo.extend(edges.get(state, ()))
    return seen


def _total_faults(spec: Spec) -> Iterable[str]:
    """Rule 3: each pair is answered exactly one way when no guard holds."""
    for state in spec.states:
        for on in Input:
            pair = (state, on)
            rows = spec.rows_by_pair.get(pair, ())
            refusals = spec.refused_by_pair.get(pair, ())
            unguarded = [e for e in (*rows, *refusals) if e.given is None]
            answers = len(unguarded) + (pair in spec.ignored_by_pair)
            if answers == 0:
                yield f"{state.value} · {on.value} has no row and no reason to be ignored"
            elif answers > 1:
                yield f"{state.value} · {on.value} is answered in two ways"
            if refusals and on not in REQUESTS:
                yield f"{state.value} · {on.value} is refused, but nobody asked"


def _deadline_faults(spec: Spec) -> Iterable[str]:
    """Rule 4: whoever waits has a deadline, and something happens when it passes."""
    for phase in spec.phases:
        if phase.state is spec.initial:
            continue
        if phase.deadline is None:
            yield f"{phase.state.value} waits without a deadline"
        elif (phase.state, Input.DEADLINE_PASSED) not in spec.rows_by_pair:
            yield f"{phase.state.value} has a deadline and no row for it"
