"""The switchboard: the calls and transfers of one engine as one pure object.

It takes every event in order, and answers with records that hold the commands to carry out. It does
no I/O and has no clock, so the trio engine, the simulator, the replay of a recording and the
exhaustive search all run the same code.

Its parts can be read alone:

* `Legs`: the state of each leg;
* `InFlight`: the transfers, and their legs;
* `Admission`: whether a transfer may begin;
* `FeatureCodes`: what people dial, and the resulting requests;
* `Recovery`: the transfers of the previous controller;
* `Alone`: legs that were left alone;
* `Conductor`: steps the state machines, and writes the records.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping

import attrs

from hookflash import commands as c
from hookflash import events as e
from hookflash.backends.base import LegSnapshot, facts_seen
from hookflash.called import name_of_target
from hookflash.engine.admission import Admission
from hookflash.engine.alone import Alone, Finding
from hookflash.engine.conductor import Conductor
from hookflash.engine.feature_codes import FeatureCodes, KeyOutcome
from hookflash.engine.found import Found, Unfinished
from hookflash.engine.in_flight import InFlight, Running
from hookflash.engine.legs import Account, Accounts, Leg, Legs
from hookflash.engine.record import Record
from hookflash.engine.recovery import Closed, Recovery, taken_elsewhere
from hookflash.errors import InputError, Refusal, RequestRefused
from hookflash.events import Event, LegId, Request
from hookflash.fsm.begin import chosen
from hookflash.fsm.transfer import Place, Transfer

ORDINARY = "an ordinary call"
_NEWS: Mapping[type, str] = {
    e.TimerFired: "The timer no longer matters.",
    e.SwitchLost: "The switch is unreachable: calls go on, and deadlines wait.",
    e.SwitchFound: "The switch is reachable.",
    e.LegsSeen: "The switch has reported the state of these legs.",
    e.LegMovedAway: "Another program has moved the leg.",
    e.LegIdentified: "The party on the leg is now known.",
}
"""The explanation of an event that is about no transfer."""


def numbered_ids(prefix: str = "transfer") -> Callable[[], str]:
    """Make IDs that are the same in every run: `transfer-1`, `transfer-2` and so on."""
    count = itertools.count(1)
    return lambda: f"{prefix}-{next(count)}"


class Switchboard:
    """The calls and transfers of one engine."""

    def __init__(
        self,
        *,
        switch: str = "",
        now: Callable[[], float] = lambda: 0.0,
        account: Account | None = None,
        accounts: Mapping[str, Account] | None = None,
        new_id: Callable[[], str] | None = None,
        target_leg: Callable[[str], LegId] | None = None,
        next_number: Callable[[], int] | None = None,
        unfinished: Mapping[str, Unfinished] | None = None,
        ended: Collection[str] = (),
        on_fault: Callable[[str, Event, Exception], None] | None = None,
    ) -> None:
        """Begin with no calls.

        Args:
            switch: the name of the switch, for the records.
            now: the time of day, in seconds since 1970, for the records only.
            account: settings for legs whose account is not in `accounts`.
            accounts: settings of each account, by name.
            new_id: makes the IDs of transfers that are begun by digits.
            target_leg: makes the ID of the target's leg from the transfer's ID.
            next_number: numbers the records; default: from 1. Switchboards may share it.
            unfinished: transfers that the previous controller left in flight, by ID.
            ended: transfers that are known to have ended: their marks are removed.
            on_fault: receives an internal error in a step of a transfer, which then stays as it
                was. By default the error is raised, for tests.
        """
        self.legs = Legs(Accounts(account or Account(), dict(accounts or {})))
        self.running = InFlight()
        target_leg = target_leg or name_of_target
        self._admission = Admission(self.legs, self.running, target_leg)
        self._codes = FeatureCodes(self.legs, self.running, new_id or numbered_ids())
        self._recovery = Recovery(unfinished or {}, ended)
        self._alone = Alone(self.legs, self.running)
        self._conductor = Conductor(
            self.legs,
            self.running,
            self._alone,
            switch=switch,
            now=now,
            next_number=next_number or itertools.count(1).__next__,
            on_fault=on_fault,
        )
        self._deferred: dict[int, e.TransferRequested] = {}
        """Requests that wait for the state of their legs, by the number of the query."""
        self._looks = 0

    # -------------------------------------------------------- state

    def leg(self, leg: LegId) -> Leg | None:
        """A leg, if it is known."""
        return self.legs.get(leg)

    def transfer(self, transfer: str) -> Transfer | None:
        """A transfer in flight."""
        running = self.running.get(transfer)
        return running.transfer if running else None

    def transfer_of(self, leg: LegId) -> Transfer | None:
        """The transfer in flight that a leg is in."""
        running = self.running.of(leg)
        return running.transfer if running else None

    def account_of(self, transfer: str) -> str | None:
        """The account of a transfer in flight."""
        running = self.running.get(transfer)
        return running.account if running else None

    @property
    def default(self) -> Account:
        """The settings for legs whose account has none."""
        return self.legs.accounts.default

    def choices_of(self, account: str, owner_id: str = "") -> Account:
        """The settings for new calls of an account, or of one of its users and devices."""
        return self.legs.accounts.of(account, owner_id)

    def choose(
        self,
        accounts: Mapping[str, Account],
        *,
        default: Account | None = None,
        for_calls_that_are_up: bool = False,
    ) -> None:
        """Apply other settings to new calls.

        Args:
            accounts: settings of each account, by name.
            default: settings for all other accounts; unchanged if not given.
            for_calls_that_are_up: whether to apply them to existing calls as well. Transfers in
                flight are not changed.
        """
        chosen = Accounts(default or self.default, dict(accounts))
        self.legs.choose(chosen, for_all=for_calls_that_are_up)

    @property
    def closing(self) -> str | None:
        """Why no new transfers are accepted; `None`: they are accepted."""
        return self._admission.closing

    @closing.setter
    def closing(self, why: str | None) -> None:
        self._admission.closing = why

    def deferred_as(self, request: Event) -> int | None:
        """The number of the query for whose answer a request waits; `None`: it does not wait.

        The last record of that answer is the request's.
        """
        waiting = self._deferred.items()
        return next((number for number, one in waiting if one is request), None)

    def load(self) -> dict[str, int]:
        """The number of objects in memory, by kind: 0 after everybody has hung up."""
        return {
            "legs": len(self.legs),
            "transfers": len(self.running),
            "legs in transfers": self.running.legs,
            "digit timers": len(self._codes),
            "legs left alone": len(self._alone),
        }

    # ------------------------------------------------------------------- events

    def handle(self, event: Event, at_s: float = 0.0) -> list[Record]:
        """Handle one event or request.

        Args:
            event: the event or request.
            at_s: when, in seconds of the engine's clock.

        Returns:
            Usually one record; more if the event implies others (digits that complete a code). The
            commands must be carried out in this order.
        """
        match event:
            case e.DigitPressed():
                return self._dialled(event, self._codes.press(event), at_s)
            case e.TimerFired():
                return self._timer(event, at_s)
            case e.LegsSeen():
                return self._seen(event, at_s)
            case _ if isinstance(event, e.Request):
                return [self._requested(event, at_s)]
            case _:
                return self._fact(event, at_s)

    def _told(self, record: Record, request: Request) -> Record:
        """Let a party hear that its code was refused, if it talks, and the account wants that."""
        if record.refusal is None or isinstance(request, e.NumberGiven | e.NumberRejected):
            return record
        if isinstance(request, e.TransferRequested | e.HangUpRequested):
            leg = self.legs.get(request.leg)
        else:
            asked = self.running.get(request.transfer)
            leg = self.legs.get(asked.transfer.transferor.leg) if asked else None
        if leg is None or not self._talks(leg):
            return record
        running = self.running.of(leg.id)
        policy = leg.choices.policy
        if running is not None and running.transfer.transferor.leg == leg.id:
            policy = running.transfer.policy  # what its request has chosen
        if isinstance(request, e.TransferRequested):
            policy = chosen(policy, request.options)
        tone = policy.refusal_tone
        if tone is None:
            return record
        announce = c.Announce(leg=leg.id, sound=tone)
        return attrs.evolve(record, commands=(*record.commands, announce))

    def _talks(self, leg: Leg) -> bool:
        """Whether a leg talks, and is not being moved."""
        running = self.running.of(leg.id)
        parties = running.transfer.parties if running else ()
        settled = all(party.place is Place.JOINED for party in parties if party.leg == leg.id)
        return leg.peer is not None and settled

    def _dialled(self, event: Event, dialling: KeyOutcome, at_s: float) -> list[Record]:
        first = self._conductor.record(
            event, at_s, {"why": dialling.why, "commands": dialling.commands}
        )
        request = dialling.request
        if request is None:
            return [first]
        second = self._told(self._requested(request, at_s), request)
        if second.refusal is None or not isinstance(request, e.NumberGiven):
            return [first, second]
        wrong = e.NumberRejected(transfer=request.transfer, why=second.why)
        return [first, second, self._requested(wrong, at_s)]

    def _timer(self, event: e.TimerFired, at_s: float) -> list[Record]:
        if self._codes.has_timer(event.timer):
            return self._dialled(event, self._codes.pause(event), at_s)
        if self._alone.has_timer(event.timer):
            self._looks += 1
            due = self._alone.due(event.timer, self._looks)
            return [self._conductor.record(event, at_s, {"why": due.why, "commands": due.commands})]
        return self._fact(event, at_s)

    def _seen(self, event: e.LegsSeen, at_s: float) -> list[Record]:
        """Handle the answer to a query: first its facts, then the answer itself."""
        look = event.look
        running = self.running.get(look.transfer)
        if running is not None and not running.transfer.awaits(look.number):
            return [self._conductor.step(running, event, at_s)]  # legs may have moved since
        records = [record for fact in facts_seen(event) for record in self._fact(fact, at_s)]
        running = self.running.get(look.transfer)
        if running is not None:
            return [*records, self._conductor.step(running, event, at_s)]
        waiting = self._deferred.pop(look.number, None) if not look.transfer else None
        if waiting is not None:
            record = self._request_transfer(waiting, at_s, looked=True)
            if waiting.by == "digits":
                record = self._told(record, waiting)
            return [*records, record]
        alone = self._alone.seen(event) if not look.transfer else None
        seen = alone or Finding(_NEWS[e.LegsSeen])
        record = self._conductor.record(event, at_s, {"why": seen.why, "commands": seen.commands})
        return [*records, record]

    def _fact(self, event: Event, at_s: float) -> list[Record]:
        self._learn(event)
        about = self.running.about(event)
        records = [self._conductor.step(self.running[transfer], event, at_s) for transfer in about]
        records = records or [self._of_no_transfer(event, at_s)]
        match event:
            case e.LegHungUp(leg=leg):
                self._alone.forget(leg)
                gone = self.legs.pop(leg, None)
                before = () if gone is None else self._codes.forget(gone)
                if before:
                    records[0] = attrs.evolve(records[0], commands=(*before, *records[0].commands))
            case e.LegParked(leg=leg, pick_up=slot) if slot and self.running.of(leg) is None:
                caller = self.legs.get(leg)
                if caller is not None and caller.wants_slot != slot:  # it is not news
                    records.append(self._called_for(caller, slot, at_s))
                    away = self._alone.turn_away(caller) if records[-1].refusal else ()
                    records[0] = attrs.evolve(records[0], commands=(*records[0].commands, *away))
            case e.SwitchFound():  # earlier queries are not answered
                again = self._alone.ask_again()
                records[0] = attrs.evolve(records[0], commands=(*records[0].commands, *again))
            case _:
                pass
        return records

    def _learn(self, event: Event) -> None:
        match event:
            case e.LegCreated(leg=leg):
                running = self.running.of(leg)
                account = running.account if running else self._recovery.account_of(leg)
                hops = running.transfer.hops if running else 0
                self.legs.add(event, responsible=account, hops=hops)
            case e.SwitchLost() | e.SwitchFound():
                self._deferred.clear()  # no answer will come
            case _:
                self.legs.learn(event)

    def _of_no_transfer(self, event: Event, at_s: float) -> Record:
        """Record an event outside transfers; hang up a target whose transfer is over."""
        if isinstance(event, e.LegCreated | e.LegAnswered) and self.running.is_dismissed(event.leg):
            command = c.HangUp(leg=event.leg, cause="ORIGINATOR_CANCEL")
            why = "The transfer of this target is over: the target is hung up."
            return self._conductor.record(event, at_s, {"why": why, "commands": (command,)})
        return self._conductor.record(event, at_s, {"why": _NEWS.get(type(event), ORDINARY)})

    # ----------------------------------------------------------------- requests

    def _requested(self, event: Request, at_s: float) -> Record:
        match event:
            case e.TransferRequested():
                return self._request_transfer(event, at_s)
            case e.HangUpRequested():
                return self._request_hang_up(event, at_s)
            case e.PickUpRequested():
                return self._request_pick_up(event, at_s)
            case _:
                running = self.running.get(event.transfer)
                if running is None:
                    return self._refuse(event, at_s, "there is no such transfer in flight")
                if isinstance(event, e.NumberGiven):
                    return self._number_given(running, event, at_s)
                return self._conductor.step(running, event, at_s)

    def _number_given(self, running: Running, event: e.NumberGiven, at_s: float) -> Record:
        try:
            event = self._admission.read_number(running, event)
        except InputError as fault:
            return self._refuse(event, at_s, str(fault), Refusal.MALFORMED)
        except RequestRefused as refused:
            return self._refuse(event, at_s, refused.why, refused.refusal)
        return self._conductor.step(running, event, at_s)

    def _refuse(
        self, event: Event, at_s: float, why: str, refusal: Refusal = Refusal.NO_SUCH_CALL
    ) -> Record:
        return self._conductor.record(event, at_s, {"why": why, "refusal": refusal})

    def _request_hang_up(self, event: e.HangUpRequested, at_s: float) -> Record:
        leg = self.legs.get(event.leg)
        if leg is None:
            return self._refuse(event, at_s, "there is no such call")
        if event.by == "digits" and leg.peer is None and self.running.of(leg.id) is None:
            why = "the leg's peer is not known: the digits may be meant for a menu"
            return self._refuse(event, at_s, why, Refusal.NOT_NOW)
        command = c.HangUp(leg=event.leg)
        why = "The leg is hung up, as requested."
        return self._conductor.record(event, at_s, {"why": why, "commands": (command,)})

    def _request_pick_up(self, event: e.PickUpRequested, at_s: float) -> Record:
        try:
            running, event = self._admission.pick_up(event)
        except RequestRefused as refused:
            return self._refuse(event, at_s, refused.why, refused.refusal)
        return self._conductor.step(running, event, at_s)

    def _called_for(self, leg: Leg, slot: str, at_s: float) -> Record:
        """A phone has called the number of a slot."""
        leg.wants_slot = slot
        event = e.PickUpRequested(leg=leg.id, slot=slot)
        return self._request_pick_up(event, at_s)

    def _request_transfer(
        self, event: e.TransferRequested, at_s: float, *, looked: bool = False
    ) -> Record:
        within = self.running.of(event.leg)
        if within is not None and event.transfer not in self.running:
            return self._conductor.step(within, event, at_s)
        leg = self.legs.get(event.leg)
        # keys on a leg without a partner are, as a rule, for a menu: the switch is asked once
        known = leg is None or not leg.answered or leg.peer is not None or looked
        if leg is not None and not (known or (event.by == "digits" and leg.asked)):
            leg.asked = True
            self._looks += 1
            self._deferred[self._looks] = event
            look = c.Look(legs=(event.leg,), number=self._looks)
            why = "The leg's peer is not known: the switch is asked first."
            return self._conductor.record(event, at_s, {"why": why, "commands": (look,)})
        try:
            event = self._admission.read(event)
            running = self._admission.admit(event, at_s)
            transfer = running.transfer
            options = attrs.evolve(event.options, slot=transfer.slot)
            event = attrs.evolve(event, kind=transfer.kind, options=options)
        except InputError as fault:
            return self._refuse(event, at_s, str(fault), Refusal.MALFORMED)
        except RequestRefused as refused:
            return self._refuse(event, at_s, refused.why, refused.refusal)
        return self._begin(running, event, at_s)

    def _begin(self, running: Running, event: e.TransferRequested, at_s: float) -> Record:
        transfer = running.transfer
        record = attrs.evolve(self._conductor.step(running, event, at_s), begins=transfer)
        if not record.refused:
            legs = [party.leg for party in transfer.everybody]
            self.running.begin(running, legs, self.legs[event.leg].choices.rules, at_s)
        return record

    # ----------------------------------------------------------------- recovery

    def adopt(self, living: Iterable[LegSnapshot], at_s: float = 0.0) -> list[Record]:
        """Resume the transfers whose marks are on the switch's legs.

        Unfinished transfers without marks are closed; their outcome is inferred from who talks with
        whom.

        Args:
            living: all legs of the switch. Their facts have been handled already.
            at_s: when, in seconds of the engine's clock.

        Returns:
            One record for each transfer that was resumed or closed.
        """
        legs = tuple(living)
        marked = self._recovery.marked(legs, self.running)
        records = [self._adopt(found, at_s) for found in marked]
        gone = taken_elsewhere(marked, self.running)
        if gone:
            event = e.LegMovedAway(leg=gone[0])
            commands = (c.Forget(legs=gone), *self._alone.watch(gone))
            why = _NEWS[type(event)]
            records.append(self._conductor.record(event, at_s, {"why": why, "commands": commands}))
        closed = self._recovery.close(marked, legs, self.running)
        records += [self._closed(one, at_s) for one in closed]
        waiting = [
            leg for leg in self.legs.values() if leg.wants_slot and self.running.of(leg.id) is None
        ]
        return records + [self._called_for(leg, leg.wants_slot, at_s) for leg in waiting]

    def _adopt(self, found: Found, at_s: float) -> Record:
        choices = self.choices_of(found.account, found.owner_id)
        running = self._recovery.resume(found, choices, self.running)
        if not isinstance(running, Running):
            return self._closed(running, at_s)
        transfer = running.transfer
        self.running.begin(running, found.legs, choices.rules, at_s)
        self.legs.give_account(found.legs, running.account, self.choices_of(running.account))
        event = e.TransferFound(transfer=transfer.id, state=found.state)
        return attrs.evolve(self._conductor.step(running, event, at_s), begins=transfer)

    def _closed(self, closed: Closed, at_s: float) -> Record:
        return self._conductor.record(
            e.TransferFound(transfer=closed.id),
            at_s,
            {
                "transfer": closed.transfer,
                "parties": closed.parties,
                "after": closed.after,
                "why": closed.why,
                "commands": (*closed.commands, *self._alone.watch(closed.watched)),
                "outcome": closed.outcome,
                "cause": closed.cause,
                "data": closed.data,
            },
            account=closed.account,
        )
