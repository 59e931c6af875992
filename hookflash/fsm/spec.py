"""What a transfer table is made of, and what makes it sound.

A `Spec` is data: one `Phase` a state, which says how people are arranged in it and holds its
entries together: rows (input, guards, next state, actions, and the sentence that says why),
refusals, and inputs that are *ignored* because they are normal there and change nothing. Everything
else reads this object: the machine that runs it, the diagrams, the documentation's tables, the
explorer, the coverage report.

The rules, all checked when a spec is built, so that the author of a table finds a hole, and never
a caller:

1. Every state can be reached from the initial one, and has a way back to it.
2. No two rows for one (state, input, guards); the unguarded row of a pair stands last.
3. **Total**: every (state, input) pair has a row, a refusal, or a stated reason to be ignored;
   and where all the rows of a pair are guarded, there is one of these for when no guard holds.
4. Where an arrangement can fail or its limit can pass, a row says what then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias, TypeVar

import attrs

from hookflash.errors import Refusal, SpecError
from hookflash.fsm.arrangement import ORDINARY_CALL, Arrangement
from hookflash.fsm.inputs import REQUESTS, Input
from hookflash.fsm.transfer import State
from hookflash.fsm.work import Work

Guard: TypeAlias = Callable[[Work], bool]
"""A condition on the record; its docstring is what the tables print."""

Action: TypeAlias = Callable[[Work], None]
"""It writes a decision, or who is to leave. It never does I/O."""


def _key_of(row: Row) -> str:
    guard = f" [{row.guard_name}]" if row.given else ""
    state = row.state.value if row.state is not None else "anywhere"
    return f"{state} · {row.on.value}{guard} → {row.to.value}"


@attrs.frozen
class Row:
    """In `state`, on `on`, if `given`: go `to` (or stay), and do `then`."""

    on: Input
    given: tuple[Guard, ...]
    to: State
    then: tuple[Action, ...]
    why: str
    state: State | None = None
    """Set by the phase in which it stands. `None`: it holds wherever no other entry does."""
    key: str = attrs.field(
        init=False, eq=False, repr=False, default=attrs.Factory(_key_of, takes_self=True)
    )
    """A stable name: what coverage reports count."""

    @property
    def guard_name(self) -> str:
        """The guards in words; empty where there is none."""
        return words(*self.given)


@attrs.frozen
class Refused:
    """In `state`, `on` (if `given`) is refused, with the reason `why`."""

    on: Input
    given: tuple[Guard, ...]
    why: str
    refusal: Refusal = Refusal.NOT_NOW
    """The kind of refusal, for programs."""
    state: State | None = None


@attrs.frozen
class Ignored:
    """In `state`, `on` is normal and changes nothing."""

    on: Input
    why: str
    state: State | None = None


Entry: TypeAlias = Row | Refused | Ignored


def row(
    *on_given: Input | Guard, to: State, do: Action | tuple[Action, ...] = (), why: str
) -> tuple[Row, ...]:
    """A row for each input; the rest of the arguments are guards, and all must hold."""
    inputs, guards = _inputs_and_guards(on_given)
    then: tuple[Action, ...] = (do,) if callable(do) else do
    return tuple(Row(on, guards, to, then, why) for on in inputs)


def refuse(
    *on_given: Input | Guard, why: str, refusal: Refusal = Refusal.NOT_NOW
) -> tuple[Refused, ...]:
    """Refuse a person's request."""
    inputs, guards = _inputs_and_guards(on_given)
    return tuple(Refused(on, guards, why, refusal) for on in inputs)


def ignore(*inputs: Input, why: str) -> tuple[Ignored, ...]:
    """Ignore inputs that change nothing, with the reason."""
    return tuple(Ignored(on, why) for on in inputs)


def _inputs_and_guards(
    on_given: tuple[Input | Guard, ...],
) -> tuple[list[Input], tuple[Guard, ...]]:
    return (
        [one for one in on_given if isinstance(one, Input)],
        tuple(one for one in on_given if not isinstance(one, Input)),
    )


@attrs.frozen
class Phase:
    """A state of a table: how people are arranged in it, and what each input does."""

    state: State
    arrangement: Arrangement
    entries: tuple[Entry, ...]


def phase(state: State, arrangement: Arrangement, *entries: tuple[Entry, ...]) -> Phase:
    """Put the entries of a state together."""
    bound = (attrs.evolve(one, state=state) for some in entries for one in some)
    return Phase(state, arrangement, tuple(bound))


def words(*named: Guard | Action) -> str:
    """The names of guards or actions as words."""
    return ", ".join(one.__name__.replace("_", " ") for one in named)


Pair: TypeAlias = tuple[State, Input]
_Entry = TypeVar("_Entry", Row, Refused)


@attrs.frozen(kw_only=True)
class Spec:
    """A whole transfer table. Building one checks it.

    Raises:
        SpecError: if it is not sound; the message lists every fault at once.
    """

    name: str
    title: str
    phases: tuple[Phase, ...]
    """The first is the initial state."""
    anywhere: tuple[tuple[Entry, ...], ...]
    """What holds in every state that has no entry of its own for the input."""
    rows: tuple[Row, ...] = attrs.field(init=False, eq=False, repr=False)
    ignored: tuple[Ignored, ...] = attrs.field(init=False, eq=False, repr=False)
    refused: tuple[Refused, ...] = attrs.field(init=False, eq=False, repr=False)
    rows_by_pair: Mapping[Pair, tuple[Row, ...]] = attrs.field(init=False, eq=False, repr=False)
    refused_by_pair: Mapping[Pair, tuple[Refused, ...]] = attrs.field(
        init=False, eq=False, repr=False
    )
    ignored_by_pair: Mapping[Pair, Ignored] = attrs.field(init=False, eq=False, repr=False)
    arrangements: Mapping[State, Arrangement] = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        put = object.__setattr__  # these are views of the same data, for quick finding
        entries = [entry for one in self.phases for entry in one.entries]
        entries += [entry for some in self.anywhere for entry in some]
        rows = tuple(one for one in entries if isinstance(one, Row))
        refused = tuple(one for one in entries if isinstance(one, Refused))
        ignored = tuple(one for one in entries if isinstance(one, Ignored))
        put(self, "rows", rows)
        put(self, "refused", refused)
        put(self, "ignored", ignored)
        put(self, "rows_by_pair", self._grouped(rows))
        put(self, "refused_by_pair", self._grouped(refused))
        put(self, "ignored_by_pair", {(s, i.on): i for i in ignored for s in self.where(i)})
        put(self, "arrangements", {p.state: p.arrangement for p in self.phases})
        faults = [*_shape_faults(self), *_total_faults(self), *_result_faults(self)]
        if faults:
            raise SpecError(f"the table {self.name!r} is not sound: " + "; ".join(faults))

    @property
    def initial(self) -> State:
        """The state in which there is no transfer."""
        return self.phases[0].state

    @property
    def states(self) -> tuple[State, ...]:
        """The states in the order in which the table presents them."""
        return tuple(p.state for p in self.phases)

    def where(self, entry: Entry) -> tuple[State, ...]:
        """The states in which an entry holds."""
        if entry.state is not None:
            return (entry.state,)
        return tuple(
            one.state for one in self.phases if all(own.on is not entry.on for own in one.entries)
        )

    def _grouped(self, entries: Iterable[_Entry]) -> dict[Pair, tuple[_Entry, ...]]:
        groups: dict[Pair, tuple[_Entry, ...]] = {}
        for entry in entries:
            for state in self.where(entry):
                groups[state, entry.on] = (*groups.get((state, entry.on), ()), entry)
        return groups


def _shape_faults(spec: Spec) -> Iterable[str]:
    """Rules 1 and 2: reachable and leavable states, no row twice, guards before the rest."""
    states = set(spec.states)
    if len(states) != len(spec.phases):
        yield "a state has two phases"
    forward: dict[State, set[State]] = {state: set() for state in states}
    backward: dict[State, set[State]] = {state: set() for state in states}
    for row in spec.rows:
        if row.to not in states:
            yield f"{row.key} names a state without a phase"
            continue
        for state in spec.where(row):
            forward[state].add(row.to)
            backward[row.to].add(state)
    for state in states - _closure(forward, spec.initial):
        yield f"{state.value} can't be reached"
    for state in states - _closure(backward, spec.initial):
        yield f"{state.value} can't be left for {spec.initial.value}"
    for rows in spec.rows_by_pair.values():
        guards = [row.given for row in rows]
        if len(set(guards)) != len(guards):
            yield f"{rows[0].key} has two rows for one guard"
        if () in guards[:-1]:
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
    """Rule 3: each pair that can come is answered exactly one way when no guard holds."""
    for one in spec.phases:
        for on in Input:
            pair = (one.state, on)
            rows = spec.rows_by_pair.get(pair, ())
            refusals = spec.refused_by_pair.get(pair, ())
            unguarded = [entry for entry in (*rows, *refusals) if not entry.given]
            answers = len(unguarded) + (pair in spec.ignored_by_pair)
            if answers != may_come(one.arrangement, on):
                ways = "no row and no reason to be ignored" if not answers else "a needless answer"
                yield f"{one.state.value} · {on.value} has {ways}"
            if refusals and on not in REQUESTS:
                yield f"{one.state.value} · {on.value} is refused, but nobody asked"


def may_come(arrangement: Arrangement, on: Input) -> bool:
    """Whether an input can come: the results of an arrangement come only where it can have them."""
    want = arrangement
    rests = want is ORDINARY_CALL or want.ends
    match on:
        case Input.ARRANGED:
            return not rests and (want.talk is not None or want.calls is None)
        case Input.UNARRANGEABLE:
            return not rests and (
                want.talk is not None
                or (want.calls is None and want.limit is None and want.pause is None)
            )
        case Input.LIMIT_PASSED:
            return want.limit is not None or want.pause is not None
        case _:
            return True


def _result_faults(spec: Spec) -> Iterable[str]:
    """Rule 4: what the switch can't do, and what takes too long, leads somewhere else."""
    for one in spec.phases:
        for on in (Input.UNARRANGEABLE, Input.LIMIT_PASSED):
            pair = (one.state, on)
            if may_come(one.arrangement, on) and pair not in spec.rows_by_pair:
                yield f"{one.state.value} has no row for {on.value}"
