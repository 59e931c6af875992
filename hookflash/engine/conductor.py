"""The conductor: the only part that steps the state machines of transfers and writes records."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict

from hookflash import commands as c
from hookflash import events as e
from hookflash.engine.alone import Alone
from hookflash.engine.in_flight import InFlight, Running
from hookflash.engine.legs import Legs
from hookflash.engine.record import Parties, Record
from hookflash.errors import Refusal, RequestRefused
from hookflash.events import Event, legs_of
from hookflash.fsm.machine import Rulebook, Step
from hookflash.fsm.transfer import Outcome, State, Transfer
from hookflash.specs.catalog import SPEC_FOR
from hookflash.transfer_context import ProgramData

_RULEBOOKS = {kind: Rulebook(spec) for kind, spec in SPEC_FOR.items()}

FAULT_PAUSE_S = 10.0
"""If an internal error has lost a deadline, it is set again for this time."""

_MOVED = frozenset((Outcome.TRANSFERRED, Outcome.ABANDONED, Outcome.FELL_BACK))
"""Outcomes after which the call has another party."""


class _What(TypedDict, total=False):
    """The fields of a record that describe the effect of an event."""

    transfer: str | None
    parties: Parties | None
    before: State | None
    after: State | None
    row: str | None
    why: str
    refusal: Refusal | None
    commands: tuple[c.Command, ...]
    outcome: Outcome | None
    cause: str | None
    sip_status: int | None
    ended_by: e.EndedBy | None
    data: ProgramData | None


class Conductor:
    """Steps the transfers of one engine, and numbers its records."""

    def __init__(
        self,
        legs: Legs,
        running: InFlight,
        alone: Alone,
        *,
        switch: str,
        now: Callable[[], float],
        next_number: Callable[[], int],
        on_fault: Callable[[str, Event, Exception], None] | None,
    ) -> None:
        self._legs = legs
        self._running = running
        self._alone = alone
        self._switch = switch
        self._now = now
        self._next_number = next_number
        self._on_fault = on_fault

    def step(self, running: Running, event: Event, at_s: float) -> Record:
        """Pass an event to the state machine of a transfer."""
        before = running.transfer
        try:
            step = _RULEBOOKS[before.kind].step(before, event)
        except RequestRefused as refusal:
            state = before.state
            what: _What = {
                "before": state,
                "after": state,
                "why": refusal.why,
                "refusal": refusal.refusal,
            }
            return self.record(event, at_s, what, running=running)
        except Exception as fault:
            if self._on_fault is None:
                raise
            self._on_fault(before.id, event, fault)
            return self._left_as_it_was(running, event, at_s)
        return self._stepped(running, step, event, at_s)

    def _stepped(self, running: Running, step: Step, event: Event, at_s: float) -> Record:
        before, after = running.transfer, step.after
        running.transfer = after
        if before.rivals is not after.rivals or any(
            (old.leg, old.number) != (new.leg, new.number)
            for old, new in zip(before.parties, after.parties, strict=True)
        ):
            self._running.replace(running, before)
        if after.cause != before.cause:
            running.ending = event if isinstance(event, e.LegHungUp) else None
        ending = running.ending
        over = after.over
        if over:
            self._finish(after)
        commands = (*step.commands, *self._left_alone(step, event))
        what: _What = {
            "before": before.state,
            "after": after.state,
            "row": step.row_keys,
            "why": step.why,
            "commands": commands,
            "outcome": after.outcome if over else None,
            "cause": after.cause if over else None,
            "sip_status": ending.sip_status if over and ending else None,
            "ended_by": ending.ended_by if over and ending else None,
        }
        return self.record(event, at_s, what, running=running)

    def _left_alone(self, step: Step, event: Event) -> tuple[c.Command, ...]:
        """Watch the legs that the transfer has left alone: all of them if it is over."""
        ended = event.leg if isinstance(event, e.LegHungUp) else None
        left = [party.leg for party in step.before.everybody if party.leg != ended]
        if step.after.over:
            return self._alone.watch(left)
        stay = {party.leg for party in step.after.everybody}
        return self._alone.leave(leg for leg in left if leg not in stay)

    def _left_as_it_was(self, running: Running, event: Event, at_s: float) -> Record:
        """Record an internal error: the transfer and its timers stay as they were.

        If the event was its deadline, that is set again, so that nobody waits for ever.
        """
        transfer = running.transfer
        timers = (transfer.deadline, transfer.sound_timer)
        again: tuple[c.Command, ...] = ()
        if isinstance(event, e.TimerFired) and event.timer in timers:
            again = (c.SetTimer(timer=event.timer, after_s=FAULT_PAUSE_S),)
        what: _What = {
            "before": transfer.state,
            "after": transfer.state,
            "why": "Internal error: the transfer stays as it was. Please report it.",
            "refusal": Refusal.FAULT if isinstance(event, e.Request) else None,
            "commands": again,
        }
        return self.record(event, at_s, what, running=running)

    def _finish(self, transfer: Transfer) -> None:
        self._running.end(transfer)
        for party in transfer.parties:
            if party.leg in self._legs and transfer.outcome in _MOVED:
                self._legs[party.leg].hops = transfer.hops + 1

    def record(
        self,
        event: Event,
        at_s: float,
        what: _What,
        *,
        running: Running | None = None,
        account: str | None = None,
    ) -> Record:
        """Make the record of an event.

        Args:
            event: what happened.
            at_s: when, in seconds of the engine's clock.
            what: its effect: the other fields. (Passed as keywords they cost more time.)
            running: the transfer that the event is about.
            account: the account of a transfer that is not in flight.
        """
        if running is not None:
            account = running.account
            what = {"transfer": running.transfer.id, "parties": running.parties, **what}
            if running.transfer.context is not None:
                what["data"] = running.transfer.context.data
        elif isinstance(event, e.TransferRequested) and event.options.context is not None:
            what = {"data": event.options.context.data, **what}
        accounts = [] if account is None else [account]
        accounts += [self._legs[leg].responsible for leg in legs_of(event) if leg in self._legs]
        return Record(
            number=self._next_number(),
            at_s=at_s,
            at=self._now(),
            switch=self._switch,
            event=event,
            account=accounts[0] if accounts else "",
            accounts=tuple(sorted(set(accounts))),
            **what,
        )
