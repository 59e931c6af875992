"""The step: a transfer and an event give a new transfer and commands.

Four things happen, in this order, and none of them touches the record that was given:

1. **Observe** (`hookflash.fsm.observe`). The event is written into a working copy.
2. **Decide.** The `transitions` machine of the spec runs the one row that answers, if the event is
   one that a table answers; and again, where facts already prove what the new state wants. One
   machine serves all transfers; it holds none for longer than a step.
3. **Arrange** (`hookflash.fsm.arrange`). What the state wants is compared with the facts, and gives
   the next orders.
4. **Return.** On success the working copy becomes the new record. When anything fails, the copy
   is dropped, and the old record stands.

A person's request that the table refuses raises `RequestRefused`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import attrs
from transitions import Machine
from transitions import State as MachineState

from hookflash import commands as c
from hookflash.errors import InternalError, RequestRefused
from hookflash.events import Event
from hookflash.fsm.arrange import arrange, talk, verdict
from hookflash.fsm.arrangement import ORDINARY_CALL
from hookflash.fsm.displays import introduce
from hookflash.fsm.inputs import Input
from hookflash.fsm.observe import NoNews, observe
from hookflash.fsm.spec import Row, Spec
from hookflash.fsm.transfer import Outcome, State, Transfer
from hookflash.fsm.work import Work

AND_THEN = " + "
"""Stands between the names of the rows of one step."""


class NoTransition(InternalError):
    """The table has no answer for a pair. A spec that was built can't have such a pair."""

    def __init__(self, state: State, on: Input) -> None:
        self.state = state
        self.on = on
        super().__init__(f"no row for {on.value} in {state.value}")


class EndlessTable(InternalError):
    """The results of arrangements lead from state to state in circles."""

    def __init__(self, state: State) -> None:
        super().__init__(f"what is arranged leads in circles, by way of {state.value}")


@attrs.frozen(kw_only=True)
class Step:
    """What one event did to one transfer."""

    before: Transfer
    after: Transfer
    on: Input | None
    """The input of the table that the event amounts to; `None`: it is none."""
    rows: tuple[Row, ...]
    """The rows that answered: one, or two where facts already proved what the first one led to."""
    why: str
    """A sentence that explains it."""
    commands: tuple[c.Command, ...]

    @property
    def row_keys(self) -> str | None:
        """The names of the rows that answered, as records have them."""
        return AND_THEN.join([row.key for row in self.rows]) if self.rows else None


class Rulebook:
    """One spec's `transitions` machine, shared by all transfers that run by it."""

    def __init__(self, spec: Spec, *, machine: Callable[..., Machine] = Machine) -> None:
        """Build the machine.

        Args:
            spec: the table.
            machine: another class of `transitions`, such as one that draws diagrams.
        """
        self.spec = spec
        # No model is ever added (that would cost 22 attributes each, and slow down with their
        # number), and no `to_<state>` triggers exist. Callbacks get the working copy.
        self.machine = machine(
            model=None,
            states=[MachineState(state, on_enter=[_enter]) for state in spec.states],
            initial=spec.initial,
            auto_transitions=False,
        )
        for row in spec.rows:
            self.machine.add_transition(
                row.on.value,
                list(spec.where(row)),
                row.to,
                conditions=list(row.given),
                before=[partial(_note_row, row)],
                after=list(row.then),
            )
        self._triggers: Mapping[Input, Callable[[Work, Work], bool]] = {
            on: self.machine.events[on.value].trigger for on in {row.on for row in spec.rows}
        }

    def step(self, transfer: Transfer, event: Event) -> Step:
        """Apply one event to one transfer.

        Args:
            transfer: the record; never changed.
            event: what happened. One that isn't about this transfer is no news.

        Returns:
            The new record, the commands that follow, and the rows that said so.

        Raises:
            RequestRefused: the event is a person's request that can't be met now; it says why.
            NoTransition: the table has a hole, which building the spec should have found.
            EndlessTable: results of arrangements lead in circles.
        """
        work = Work(transfer, event)
        news = observe(work)
        if isinstance(news, NoNews):
            return Step(
                before=transfer, after=transfer, on=None, rows=(), why=str(news), commands=()
            )
        on = news if isinstance(news, Input) else None
        why = self._decide(work, on) if on is not None else str(news)
        want = self.spec.arrangements[work.state]
        for _ in self.spec.phases:
            if (result := verdict(work, want)) is None:
                break
            why = self._decide(work, result) or why
            want = self.spec.arrangements[work.state]
        else:
            raise EndlessTable(work.state)
        if want is not ORDINARY_CALL:
            arrange(work, want)
        if work.joined:
            introduce(work, want.talk)
            _announce(work, transfer)
        if want is ORDINARY_CALL and work.rows:
            _forget(work)
        return Step(
            before=transfer,
            after=work.finish(),
            on=on,
            rows=tuple(work.rows),
            why=" ".join([row.why for row in work.rows]) if work.rows else work.why or why,
            commands=tuple(work.commands),
        )

    def _decide(self, work: Work, on: Input) -> str:
        """Let the table answer.

        Returns:
            Why nothing was to do; empty where a row has answered.
        """
        pair = (work.state, on)
        refusals = self.spec.refused_by_pair.get(pair, ())
        for refusal in refusals:
            if refusal.given and all(guard(work) for guard in refusal.given):
                raise RequestRefused(refusal.why, refusal.refusal)
        if pair in self.spec.rows_by_pair and self._triggers[on](work, work):
            return ""
        if refusals:
            raise RequestRefused(refusals[-1].why, refusals[-1].refusal)
        if pair not in self.spec.ignored_by_pair:
            raise NoTransition(work.state, on)
        return self.spec.ignored_by_pair[pair].why


def _note_row(row: Row, work: Work) -> None:
    work.rows.append(row)


def _enter(work: Work) -> None:
    """What every change of state brings with it: fresh attempts, and nothing waited for."""
    work.note(tries=0, waits_for=None, arranged=False)
    work.overdue, work.refused = False, None
    if work.state is State.IDLE:
        work.set_deadline(None)
        work.set_sound_timer(None)
    if work.state is State.IDLE or work.state is State.ENDING:
        _conclude(work)


def _conclude(work: Work) -> None:
    """Write the outcome of a transfer that ends without one."""
    t = work.transfer
    if t.outcome is not None:
        return
    if talk(t.transferor, t.transferee):
        work.note(outcome=Outcome.TAKEN_BACK, cause=None)
    elif not t.transferee.lives:
        work.note(outcome=Outcome.ABANDONED, cause="TRANSFEREE_LEFT")
    else:
        work.note(outcome=Outcome.FAILED, cause=t.cause or "TRANSFEROR_LEFT")


def _announce(work: Work, before: Transfer) -> None:
    """Let transferee and target hear that they are connected, if a policy wants that.

    Once, with the event that has joined them: rather not at all than twice. A controller that finds
    two who talk already does not know whether they have heard it.
    """
    t = work.transfer
    sound = t.policy.connected_sound
    is_new = before.outcome is None and t.outcome is Outcome.TRANSFERRED
    if sound is None or not is_new:
        return
    for party in (t.transferee, t.target):
        work.order(c.Announce(leg=party.leg, sound=sound))


def _forget(work: Work) -> None:
    """What every end brings with it: nothing of ours stays on the legs that live on."""
    legs = tuple(party.leg for party in work.transfer.parties if party.lives)
    if legs:
        work.order(c.Forget(legs=legs))  # at the very end: all that comes before changes variables
