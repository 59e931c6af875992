"""The engine's mind, without its hands: calls, feature codes and transfers as one pure object.

A `Switchboard` is told every event, in the order of history, and answers each with records that
hold the commands to carry out. It does no I/O and knows no clock, so that the trio engine, the
simulator, the replay of a recording and a search through all orders of a race run the very same
code.

It keeps a `Leg` for every leg (who, whether answered, with whom joined, what it has dialled),
and a `Transfer` for every one in flight. A leg is in one transfer at most: whoever asks for a
second is refused.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import attrs

from hookflash.backends.base import LOST_TRACK, LegSnapshot, tell_seen
from hookflash.commands import (
    CancelTimer,
    Command,
    Forget,
    HangUp,
    Look,
    PassKeys,
    SetTimer,
    WithholdKeys,
    name_of_target,
)
from hookflash.dialling.digits import (
    UNARMED,
    CodeTable,
    FeatureAction,
    Matched,
    Module,
    Press,
    digit_timeout,
    press,
    takeback_code,
)
from hookflash.dialling.metaflows import (
    ListenOn,
    Metaflows,
)
from hookflash.engine.alone import Alone
from hookflash.engine.found import Found, Unfinished, by_transfer, what_became
from hookflash.engine.legs import Account, Leg, Legs, new_leg
from hookflash.engine.record import Parties, Record
from hookflash.engine.rules import Asker, Meter, Rules, check_rights
from hookflash.errors import InputError, NotFound, Refusal, RequestRefused
from hookflash.events import (
    CommandFailed,
    CompleteRequested,
    DigitPressed,
    Event,
    HangUpRequested,
    Kind,
    LegAnswered,
    LegCreated,
    LegHungUp,
    LegId,
    LegIdentified,
    LegMovedAway,
    LegsSeen,
    Request,
    SwitchFound,
    SwitchLost,
    TakebackRequested,
    TimerFired,
    TransferFound,
    TransferRequested,
)
from hookflash.fsm.begin import new_transfer
from hookflash.fsm.machine import Rulebook
from hookflash.fsm.transfer import Outcome, Place, State, Transfer
from hookflash.sounds import check_sound
from hookflash.specs.catalog import SPEC_FOR

ALLOWED_TARGET = re.compile(r"[0-9A-Za-z+*#_-]{1,64}")
"""What a number to call may be made of. Whatever else a person sends never comes near a switch. No
`@`: the host is the operator's to choose, and not the caller's."""

ALLOWED_ID = re.compile(r"[0-9A-Za-z_.:-]{1,64}")
"""What a transfer's id may be made of: it becomes part of the names of timers and legs."""

LONGEST_RING_S = 24 * 3600.0
"""Whoever lets a phone ring for longer than a day means something else."""

_RULEBOOKS = {kind: Rulebook(spec) for kind, spec in SPEC_FOR.items()}


@attrs.define(kw_only=True)
class Running:
    """A transfer in flight, and the codes that its transferor may dial in it."""

    transfer: Transfer
    codes: CodeTable
    account: str
    """The transferor's: it is this account's transfer."""
    parties: Parties


def numbered_ids(prefix: str = "transfer") -> Callable[[], str]:
    """Make ids that are the same in every run: `transfer-1`, `transfer-2` and so on."""
    count = 0

    def next_id() -> str:
        nonlocal count
        count += 1
        return f"{prefix}-{count}"

    return next_id


class Switchboard:
    """Every call and every transfer of one engine."""

    def __init__(
        self,
        *,
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
            account: what holds for legs whose account is not in `accounts`.
            accounts: what each account has chosen, by its name.
            new_id: makes the ids of transfers that are begun by digits.
            target_leg: makes the id of the target's leg from the transfer's id.
            next_number: numbers the records; from 1 by default. Several switchboards that share one
                history share one.
            unfinished: transfers that a controller before this one has left in flight, by id.
            ended: transfers that have ended under a controller before this one: the marks that they
                may have left are taken off, and nothing else comes of them.
            on_fault: told of a fault of ours in a step of a transfer, which then stands as it was
                before, and harms no other. By default a fault is raised, as tests want it.
        """
        self._on_fault = on_fault
        self.default = account or Account()
        self._accounts = dict(accounts or {})
        self._meters: dict[str, Meter] = {}
        self._next_number = next_number or itertools.count(1).__next__
        self._unfinished = dict(unfinished or {})
        self._owner_of_target = {
            left.parties.target.leg: left.account for left in self._unfinished.values()
        }
        """Of targets that a controller before this one has called: their legs carry no account."""
        self.closing: str | None = None
        """Why no new transfer is taken; `None`: they are."""
        self._new_id = new_id or numbered_ids()
        self._target_leg = target_leg or name_of_target
        self.legs = Legs()
        self.running: dict[str, Running] = {}
        self._ended_before = ended
        self._ended: dict[str, None] = {}
        """Transfers that have ended lately, the oldest first."""
        self._dismissed: dict[LegId, None] = {}
        """Targets of such transfers, which nobody has got: should one turn up, it is hung up."""
        self._deferred: dict[int, TransferRequested] = {}
        """Requests that wait until the switch has said where their legs are."""
        self._looks = 0
        self._alone = Alone()
        self._transfer_of: dict[LegId, str] = {}
        self._digit_timers: dict[str, LegId] = {}
        self._timers = 0

    # ------------------------------------------------------------- the one door

    def handle(self, event: Event, at_s: float = 0.0) -> list[Record]:
        """Take one event.

        Args:
            event: what happened, or what somebody wants.
            at_s: when, by the engine's clock; it is only written down.

        Returns:
            What it did: one record, and one more where digits turned out to be a request. Their
            commands are to be carried out in this order.
        """
        match event:
            case DigitPressed():
                return self._digit(event, at_s)
            case TimerFired():
                return self._timer(event, at_s)
            case (
                TransferRequested() | TakebackRequested() | CompleteRequested() | HangUpRequested()
            ):
                return [self._requested(event, at_s)]
            case LegsSeen():
                return self._seen(event, at_s)
            case _:
                return self._fact(event, at_s)

    def _timer(self, event: TimerFired, at_s: float) -> list[Record]:
        if event.timer in self._digit_timers:
            return self._digits_over(event, at_s)
        if self._alone.has_timer(event.timer):
            return [self._alone_for_long(event, at_s)]
        return self._fact(event, at_s)

    def _requested(self, event: Request, at_s: float) -> Record:
        match event:
            case TransferRequested():
                return self._request_transfer(event, at_s)
            case TakebackRequested() | CompleteRequested():
                return self._request(event, at_s)
            case HangUpRequested():
                return self._request_hang_up(event, at_s)

    def leg(self, leg: LegId) -> Leg | None:
        """What is known of a leg."""
        return self.legs.get(leg)

    def transfer(self, transfer: str) -> Transfer | None:
        """The record of a transfer in flight."""
        running = self.running.get(transfer)
        return running.transfer if running else None

    def transfer_of(self, leg: LegId) -> Transfer | None:
        """The transfer in flight that a leg is in."""
        transfer = self._transfer_of.get(leg)
        return self.running[transfer].transfer if transfer else None

    def owner(self, transfer: str) -> str | None:
        """The account whose transfer in flight it is."""
        running = self.running.get(transfer)
        return running.account if running else None

    def choices_of(self, account: str) -> Account:
        """What holds for an account's calls that begin now."""
        return self._accounts.get(account, self.default)

    def choose(
        self,
        accounts: Mapping[str, Account],
        *,
        default: Account | None = None,
        for_calls_that_are_up: bool = False,
    ) -> None:
        """Let other choices hold from now on.

        Args:
            accounts: what each account has chosen, by its name; the others have the default.
            default: what holds for legs whose account is not among them; as before, if not given.
            for_calls_that_are_up: whether it holds for them as well. A transfer in flight goes on
                as it began, in any case.
        """
        self._accounts = dict(accounts)
        self.default = default or self.default
        if for_calls_that_are_up:
            for line in self.legs.values():
                line.choices = self.choices_of(line.owner)

    def is_deferred(self, request: Event) -> bool:
        """Whether a request waits until the switch has said where its leg is."""
        return any(waiting is request for waiting in self._deferred.values())

    def load(self) -> dict[str, int]:
        """How much there is to keep in mind, by kind: nothing when everybody has hung up."""
        return {
            "legs": len(self.legs),
            "transfers": len(self.running),
            "legs in transfers": len(self._transfer_of),
            "digit timers": len(self._digit_timers),
            "legs left alone": len(self._alone),
        }

    # -------------------------------------------------------------------- facts

    def _seen(self, event: LegsSeen, at_s: float) -> list[Record]:
        """The answer to a question: the facts in it first, then that it was answered."""
        look = event.look
        running = self.running.get(look.transfer)
        if running is not None and not running.transfer.awaits(look.number):
            return [self._step(look.transfer, event, at_s)]  # legs may have moved since
        records = [record for fact in tell_seen(event) for record in self._fact(fact, at_s)]
        if look.transfer in self.running:
            return [*records, self._step(look.transfer, event, at_s)]
        waiting = self._deferred.pop(look.number, None) if not look.transfer else None
        if waiting is not None:
            return [*records, *self.handle(waiting, at_s)]
        alone = self._alone.asked_about(look.number) if not look.transfer else None
        if alone is not None:
            why, commands = self._alone.seen(alone, self.legs.get(alone), event)
            return [*records, self._record(event, at_s, why=why, commands=commands)]
        return [*records, self._record(event, at_s, why=_NEWS[LegsSeen])]

    def _fact(self, event: Event, at_s: float) -> list[Record]:
        self._learn(event)
        records = [self._step(transfer, event, at_s) for transfer in self._about(event)]
        records = records or [self._of_no_transfer(event, at_s)]
        if isinstance(event, LegHungUp):
            timers = self._forget(event.leg)
            records[0] = attrs.evolve(records[0], commands=(*timers, *records[0].commands))
        if isinstance(event, SwitchFound):  # what it was asked before, it does not answer
            again = self._watch_alone(self._alone.ask_again())
            records[0] = attrs.evolve(records[0], commands=(*records[0].commands, *again))
        return records

    def _of_no_transfer(self, event: Event, at_s: float) -> Record:
        """A target that was called for a transfer that is over is a call for nobody."""
        if isinstance(event, LegCreated | LegAnswered) and event.leg in self._dismissed:
            command = HangUp(leg=event.leg, cause="ORIGINATOR_CANCEL")
            why = "The target of a transfer that is over: nobody waits for it any more."
            return self._record(event, at_s, why=why, commands=(command,))
        return self._record(event, at_s, why=_NEWS.get(type(event), ORDINARY))

    def _about(self, event: Event) -> list[str]:
        """The transfers in flight that an event is about: at most one, as a rule."""
        if isinstance(event, TimerFired):
            transfer = event.timer.rpartition("#")[0]
            return [transfer] if transfer in self.running else []
        found: list[str] = []
        for leg in _legs_of(event):
            transfer = self._transfer_of.get(leg)
            if transfer is not None and transfer not in found:
                found.append(transfer)
        return found

    def _learn(self, event: Event) -> None:
        match event:
            case LegCreated():
                self._new_line(event)
            case LegIdentified():
                self._identify(event)
            case SwitchLost() | SwitchFound():
                self._deferred.clear()  # nobody will answer
            case _:
                self.legs.learn(event)

    def _new_line(self, event: LegCreated) -> None:
        if event.leg in self.legs:
            return  # a repeat
        transfer = self._transfer_of.get(event.leg)
        running = self.running[transfer] if transfer else None
        known = running.account if running else self._owner_of_target.get(event.leg, "")
        owner = event.account or known
        self.legs[event.leg] = new_leg(
            event,
            owner=owner,
            choices=self.choices_of(owner),
            hops=running.transfer.hops if running else 0,
        )

    def _identify(self, event: LegIdentified) -> None:
        line = self.legs.get(event.leg)
        if line is None:
            return
        line.identify(event)
        if event.account and not line.account:
            line.account = line.owner = event.account
            line.choices = self.choices_of(event.account)

    def _forget(self, leg: LegId) -> tuple[Command, ...]:
        line = self.legs.pop(leg, None)
        return () if line is None else (*self._retime(line, None), *self._pass_on(line))

    # -------------------------------------------------------------------- steps

    def _step(self, transfer: str, event: Event, at_s: float) -> Record:
        running = self.running[transfer]
        before = running.transfer
        try:
            step = _RULEBOOKS[before.kind].step(before, event)
        except RequestRefused as refusal:
            return self._record(
                event,
                at_s,
                transfer=transfer,
                parties=running.parties,
                before=before.state,
                after=before.state,
                why=refusal.why,
                refusal=refusal.refusal,
            )
        except Exception as fault:
            if self._on_fault is None:
                raise
            self._on_fault(transfer, event, fault)
            return self._left_as_it_was(running, event, at_s)
        running.transfer = after = step.after
        record = self._record(
            event,
            at_s,
            transfer=transfer,
            parties=running.parties,
            before=before.state,
            after=after.state,
            row=step.row_keys,
            why=step.why,
            commands=step.commands,
            outcome=after.outcome if after.over else None,
            cause=after.cause if after.over else None,
        )
        if after.over:
            self._finish(after)
            ended = event.leg if isinstance(event, LegHungUp) else None
            alone = self._watch_alone(p.leg for p in after.parties if p.leg != ended)
            record = attrs.evolve(record, commands=(*record.commands, *alone))
        return record

    def _left_as_it_was(self, running: Running, event: Event, at_s: float) -> Record:
        """A step has failed by a fault of ours: the record of before stands, and so do its timers.

        A deadline that has passed in vain passes again after a while: nobody waits for ever.
        """
        transfer = running.transfer
        again: tuple[Command, ...] = ()
        if isinstance(event, TimerFired) and event.timer in (
            transfer.deadline,
            transfer.sound_timer,
        ):
            again = (SetTimer(timer=event.timer, after_s=FAULT_PAUSE_S),)
        asked = isinstance(event, TransferRequested | TakebackRequested | CompleteRequested)
        return self._record(
            event,
            at_s,
            transfer=transfer.id,
            parties=running.parties,
            before=transfer.state,
            after=transfer.state,
            why="A fault of ours: the transfer stands as it was. Please report it.",
            refusal=Refusal.FAULT if asked else None,
            commands=again,
        )

    def _finish(self, transfer: Transfer) -> None:
        account = self.running.pop(transfer.id).account
        self._remember(self._ended, transfer.id)
        meter = self._meters.get(account) if transfer.kind is not Kind.HOLD else None
        if meter is not None:
            meter.end()
            if meter.idle:
                del self._meters[account]
        hops = transfer.hops + 1
        for party in transfer.parties:
            self._transfer_of.pop(party.leg, None)
            if party.leg in self.legs and transfer.outcome in _MOVED:
                self.legs[party.leg].hops = hops
        target = transfer.target
        if target.place is not Place.JOINED:
            self._remember(self._dismissed, target.leg)

    # -------------------------------------------------------------------- alone

    def _watch_alone(self, legs: Iterable[LegId]) -> tuple[Command, ...]:
        return self._alone.watch(self.legs.get(leg) for leg in legs)

    def _alone_for_long(self, event: TimerFired, at_s: float) -> Record:
        leg = self._alone.leg_of(event.timer)
        line = self.legs.get(leg)
        kept = line is None or line.peer is not None or leg in self._transfer_of
        self._looks += 1
        why, commands = self._alone.due(leg, kept=kept, question=self._looks)
        return self._record(event, at_s, why=why, commands=commands)

    @staticmethod
    def _remember(names: dict[str, None], name: str) -> None:
        """Remember a name, and forget the oldest of too many."""
        names[name] = None
        if len(names) > MOST_ENDED:
            del names[next(iter(names))]

    def _record(
        self, event: Event, at_s: float, *, owner: str | None = None, **what: Any
    ) -> Record:
        """Write down what came of an event.

        Args:
            event: what happened.
            at_s: when.
            owner: whose transfer it is about; found out where it is not given.
            what: the other fields.
        """
        transfer = self.running.get(what.get("transfer", ""))
        if owner is None and transfer is not None:
            owner = transfer.account
        lines = [self.legs[leg] for leg in _legs_of(event) if leg in self.legs]
        owners = [line.owner for line in lines] if owner is None else [owner]
        return Record(
            number=self._next_number(),
            at_s=at_s,
            event=event,
            account=owners[0] if owners else "",
            accounts=tuple(sorted({*owners, *(line.owner for line in lines)})),
            **what,
        )

    # ----------------------------------------------------------------- requests

    def _refuse(
        self, event: Event, at_s: float, why: str, refusal: Refusal = Refusal.NO_SUCH_CALL
    ) -> Record:
        return self._record(event, at_s, why=why, refusal=refusal)

    def _request_transfer(self, event: TransferRequested, at_s: float) -> Record:
        if event.leg in self._transfer_of and event.transfer not in self.running:
            return self._step(self._transfer_of[event.leg], event, at_s)
        line = self.legs.get(event.leg)
        if line is not None and line.answered and line.peer is None and not line.asked:
            line.asked = True
            self._looks += 1
            self._deferred[self._looks] = event
            return self._record(
                event,
                at_s,
                why="Nobody is known to talk with this leg: the switch is asked first.",
                commands=(Look(legs=(event.leg,), number=self._looks),),
            )
        try:
            line, peer = self._call_of(event)
            _check(event)
            codes = _codes_within(line.choices, event.takeback_digits)
            self._check_rules(event, line, peer, at_s)
        except InputError as fault:
            return self._refuse(event, at_s, str(fault), Refusal.MALFORMED)
        except RequestRefused as refused:
            return self._refuse(event, at_s, refused.why, refused.refusal)
        return self._begin(event, line, peer, codes, at_s)

    def _check_rules(self, event: TransferRequested, line: Leg, peer: Leg, at_s: float) -> None:
        """Hold what is asked for against the rules of the leg's own account."""
        if self.closing is not None:
            raise RequestRefused(self.closing, Refusal.CLOSING)
        rules = line.choices.rules
        settled = bool(line.account or not peer.account) if line.is_user is None else line.is_user
        is_user = settled and not line.outside
        check_rights(rules, Asker(is_user=is_user, may_transfer=line.may_transfer), event)
        if event.kind is not Kind.HOLD:
            self._meters.get(line.owner, Meter()).check(rules, at_s)

    def _call_of(self, event: TransferRequested) -> tuple[Leg, Leg]:
        """The line of whoever asks for a transfer, and of the one who is to be transferred."""
        if event.transfer in self.running:
            raise RequestRefused("there is already a transfer with this id")
        if self._target_leg(event.transfer) in self.legs:
            raise RequestRefused("a leg from an earlier transfer with this id still lives")
        line = self.legs.get(event.leg)
        if line is None:
            raise NotFound("there is no such call")
        peer = self.legs.partner_of(line)
        if peer is None:
            raise RequestRefused("the call is not bridged: nobody is there to transfer")
        if peer.id in self._transfer_of:
            raise RequestRefused("the other party is in another transfer")
        return line, peer

    def _begin(
        self, event: TransferRequested, line: Leg, peer: Leg, codes: CodeTable, at_s: float
    ) -> Record:
        transfer = new_transfer(
            transfer=event.transfer,
            kind=event.kind,
            policy=line.choices.policy,
            transferor=(line.id, line.number),
            transferee=(peer.id, peer.number),
            target=(self._target_leg(event.transfer), event.target),
            by=event.by,
            music=event.music,
            ringback=event.ringback,
            ring_timeout_s=event.ring_timeout_s,
            hops=max(line.hops, peer.hops),
            account=line.owner,
            outside=[one.id for one in (line, peer) if one.outside],
            withheld=[one.id for one in (line, peer) if one.withheld],
        )
        self.running[transfer.id] = Running(
            transfer=transfer, codes=codes, account=line.owner, parties=Parties.of(transfer)
        )
        record = attrs.evolve(self._step(transfer.id, event, at_s), begins=transfer)
        if record.refused:
            del self.running[transfer.id]
            return record
        for party in transfer.parties:
            self._transfer_of[party.leg] = transfer.id
        self._count(transfer, line.owner, line.choices.rules, at_s)
        return record

    def _count(self, transfer: Transfer, account: str, rules: Rules, at_s: float) -> None:
        """Count a transfer that begins, for the account's limits. To hold a party is none."""
        if transfer.kind is not Kind.HOLD:
            self._meters.setdefault(account, Meter()).begin(rules, at_s)

    def _request(self, event: TakebackRequested | CompleteRequested, at_s: float) -> Record:
        if event.transfer not in self.running:
            return self._refuse(event, at_s, "there is no such transfer in flight")
        return self._step(event.transfer, event, at_s)

    def _request_hang_up(self, event: HangUpRequested, at_s: float) -> Record:
        if event.leg not in self.legs:
            return self._refuse(event, at_s, "there is no such call")
        command = HangUp(leg=event.leg)
        return self._record(event, at_s, why="The leg is ended, as asked.", commands=(command,))

    # -------------------------------------------------------------------- found

    def adopt(self, living: Iterable[LegSnapshot], at_s: float = 0.0) -> list[Record]:
        """Go on with the transfers whose marks stand on the legs of a switch.

        Those that a controller before this one has left, and that the switch shows no mark of, are
        brought to an end: what they came to is read from who talks with whom.

        Args:
            living: every leg of the switch. Their facts have been handled already.
            at_s: when.

        Returns:
            One record for each transfer that was found and not known, or not found.
        """
        legs = tuple(living)
        marked = {
            transfer: Found(transfer=transfer, roles=roles, known=self._unfinished.get(transfer))
            for transfer, roles in by_transfer(legs).items()
            if transfer not in self.running
        }
        found = [self._adopt(one, at_s) for one in marked.values()]
        found += self._let_go(marked.values(), at_s)
        left, self._unfinished = self._unfinished, {}
        self._owner_of_target = {}
        missed = [
            self._close(transfer, unfinished, legs, at_s)
            for transfer, unfinished in left.items()
            if transfer not in marked and transfer not in self.running
        ]
        return found + missed

    def _adopt(self, found: Found, at_s: float) -> Record:
        event = TransferFound(transfer=found.transfer)
        if found.transfer in self._ended or found.transfer in self._ended_before:
            why = "It has ended already: what it has left on its legs is taken off."
            commands = (*found.clear(), *self._watch_alone(found.legs))
            return self._record(event, at_s, owner=found.owner, why=why, commands=commands)
        choices = self.choices_of(found.owner)
        transfer = found.record(choices.policy)
        if not any(party.lives for party in transfer.parties):
            known = found.known
            return self._record(
                event,
                at_s,
                owner=found.owner,
                transfer=transfer.id,
                parties=known.parties if known else None,
                why="Everybody who was in it has been taken elsewhere: it is over.",
                commands=found.clear(),
                outcome=Outcome.FAILED if known else None,
                cause=LOST_TRACK if known else None,
            )
        self._go_on_with(transfer, found, choices, at_s)
        return attrs.evolve(self._step(transfer.id, event, at_s), begins=transfer)

    def _go_on_with(self, transfer: Transfer, found: Found, choices: Account, at_s: float) -> None:
        self.running[transfer.id] = Running(
            transfer=transfer,
            codes=_codes_within(choices, found.takeback_digits),
            account=found.owner,
            parties=Parties.of(transfer),
        )
        for leg in found.legs:
            self._transfer_of[leg] = transfer.id
            line = self.legs.get(leg)
            if line is not None and not line.owner:
                line.owner, line.choices = found.owner, choices
        self._count(transfer, found.owner, choices.rules, at_s)

    def _let_go(self, marked: Iterable[Found], at_s: float) -> list[Record]:
        """Take off what is ours from legs that have been taken elsewhere by somebody else."""
        gone: list[LegId] = []
        for found in marked:
            running = self.running.get(found.transfer)
            lost = () if running is None else running.transfer.parties
            gone += [p.leg for p in lost if p.leg in found.legs and not p.lives]
        if not gone:
            return []
        event = LegMovedAway(leg=gone[0])
        commands = (Forget(legs=tuple(gone)), *self._watch_alone(gone))
        return [self._record(event, at_s, why=_NEWS[LegMovedAway], commands=commands)]

    def _close(
        self, transfer: str, left: Unfinished, legs: Iterable[LegSnapshot], at_s: float
    ) -> Record:
        """Say what became of a transfer of which the switch shows no mark any more."""
        outcome, cause, why = what_became(left.parties, legs)
        return self._record(
            TransferFound(transfer=transfer),
            at_s,
            owner=left.account,
            transfer=transfer,
            parties=left.parties,
            after=State.IDLE,
            why=why,
            outcome=outcome,
            cause=cause,
        )

    # ------------------------------------------------------------------- digits

    def _listened(self, line: Leg) -> Metaflows | None:
        """The feature codes under which a leg is heard: its own account's, or its partner's."""
        own = line.choices.metaflows
        if own.listen_on is not ListenOn.PEER:
            return own
        peer = self.legs.partner_of(line)
        theirs = peer.choices.metaflows if peer else None
        if theirs is not None and theirs.listen_on is not ListenOn.SELF:
            return theirs
        return None

    def _digit(self, event: DigitPressed, at_s: float) -> list[Record]:
        line = self.legs.get(event.leg)
        if line is None:
            return [self._record(event, at_s, why="a digit on an unknown leg")]
        if event.serial and event.serial == line.last_serial:
            return [self._record(event, at_s, why="the same key press, told twice")]
        line.last_serial = event.serial
        if line.withheld_from is not None:
            line.missed += event.digit
        heard = self._codes_for(line)
        if heard is None:
            return [self._record(event, at_s, why="nobody listens to this leg's digits")]
        table, timeout_s = heard
        return self._collected(
            event, line, press(table, line.collector, event.digit), timeout_s, at_s
        )

    def _codes_for(self, line: Leg) -> tuple[CodeTable, float] | None:
        transfer = self._transfer_of.get(line.id)
        if transfer is not None:
            running = self.running[transfer]
            if running.transfer.transferor.leg != line.id:
                return None
            return running.codes, line.choices.metaflows.digit_timeout_s
        metaflows = self._listened(line)
        if metaflows is None or not line.answered:
            return None
        return metaflows.table, metaflows.digit_timeout_s

    def _digits_over(self, event: TimerFired, at_s: float) -> list[Record]:
        line = self.legs[self._digit_timers.pop(event.timer)]
        line.digit_timer = None
        heard = self._codes_for(line)
        pressed = digit_timeout(heard[0], line.collector) if heard else Press(collector=UNARMED)
        return self._collected(event, line, pressed, 0.0, at_s)

    def _collected(
        self, event: Event, line: Leg, pressed: Press, timeout_s: float, at_s: float
    ) -> list[Record]:
        line.collector = pressed.collector
        timers = self._retime(line, timeout_s if pressed.restart_timer else None)
        timers += self._withhold(line, pressed)
        outcome = pressed.outcome
        if outcome is None:
            why = "A feature code is being dialled." if line.collector.armed else "No feature code."
            return [self._record(event, at_s, why=why, commands=timers)]
        if not isinstance(outcome, Matched):
            why = f"{outcome.digits} is no feature code of this leg."
            return [self._record(event, at_s, why=why, commands=timers)]
        why = f"{outcome.digits} is dialled: {outcome.action.module.value}."
        first = self._record(event, at_s, why=why, commands=timers)
        return [first, *self._feature(line, outcome, at_s)]

    def _withhold(self, line: Leg, pressed: Press) -> tuple[Command, ...]:
        """Spare the far end the keys of a code: all but the first, by which it is known.

        What turns out to be no code is passed on, late.
        """
        if line.collector.armed:
            if line.withheld_from is not None or line.peer is None:
                return ()
            if not line.choices.policy.hides_codes or line.id in self._transfer_of:
                return ()
            line.withheld_from = line.peer
            return (WithholdKeys(leg=line.peer, limit_s=KEYS_WITHHELD_S),)
        if isinstance(pressed.outcome, Matched):  # what was dialled before the code, if anything
            line.missed = line.missed.removesuffix("#")[: -len(pressed.outcome.digits)]
        return self._pass_on(line)

    def _pass_on(self, line: Leg) -> tuple[Command, ...]:
        """Let the far end hear keys again, and those that it has missed."""
        leg, line.withheld_from = line.withheld_from, None
        missed, line.missed = line.missed, ""
        if leg is None or leg not in self.legs:
            return ()
        return (PassKeys(leg=leg, digits=missed),)

    def _retime(self, line: Leg, after_s: float | None) -> tuple[Command, ...]:
        commands: list[Command] = []
        if line.digit_timer is not None:
            commands.append(CancelTimer(timer=line.digit_timer))
            del self._digit_timers[line.digit_timer]
            line.digit_timer = None
        if after_s is not None:
            self._timers += 1
            line.digit_timer = f"digits~{self._timers}"
            self._digit_timers[line.digit_timer] = line.id
            commands.append(SetTimer(timer=line.digit_timer, after_s=after_s))
        return tuple(commands)

    def _feature(self, line: Leg, matched: Matched, at_s: float) -> list[Record]:
        """Turn dialled digits into the request that they are."""
        action = matched.action
        match action.module:
            case Module.TRANSFER | Module.HOLD:
                request: Event = _transfer_request(line.id, self._new_id(), action, matched)
            case Module.RESUME:
                request = TakebackRequested(transfer=self._transfer_of.get(line.id, ""))
            case Module.HANGUP:
                if line.peer is None and line.id not in self._transfer_of:
                    why = "nobody is known to talk with it: what it dials may be meant for a menu"
                    request = HangUpRequested(leg=line.id)
                    return [self._refuse(request, at_s, why, Refusal.NOT_NOW)]
                request = HangUpRequested(leg=line.id)
        return self.handle(request, at_s)


def _check(event: TransferRequested) -> None:
    """Hold what a person or a program asks for against the allow-lists."""
    if not ALLOWED_ID.fullmatch(event.transfer):
        raise InputError("the id may have only letters, digits and _ . : -, 1 to 64 of them")
    if event.kind is not Kind.HOLD and not event.target:
        raise InputError("a transfer needs a target")
    if event.target and not ALLOWED_TARGET.fullmatch(event.target):
        raise InputError("the target may have only digits, letters and + * # _ -, at most 64")
    if event.music is not None:
        check_sound(event.music, "music")
    if event.ringback is not None:
        check_sound(event.ringback, "ringback")
    ring_s = event.ring_timeout_s
    if ring_s is not None and not 0 < ring_s <= LONGEST_RING_S:
        raise InputError("the target may ring for more than 0 s, and at most a day")


def _codes_within(choices: Account, takeback_digits: str | None) -> CodeTable:
    """The codes in a transfer: those of the account, and before them the takeback's."""
    takeback = choices.takeback_digits if takeback_digits is None else takeback_digits
    return _codes_with_takeback(choices.metaflows, takeback)


@lru_cache(maxsize=1024)
def _codes_with_takeback(metaflows: Metaflows, takeback: str) -> CodeTable:
    own = (takeback_code(takeback, where="takeback_digits"),) if takeback else ()
    return CodeTable(codes=(*own, *metaflows.table.codes))


ORDINARY = "an ordinary call"
_NEWS: Mapping[type, str] = {
    TimerFired: "a timer that was overtaken by events",
    SwitchLost: "The switch is away: calls go on without us, and deadlines wait.",
    SwitchFound: "The switch is there.",
    LegsSeen: "The switch has said where these legs are.",
    LegMovedAway: "Somebody else has sent the leg elsewhere.",
    LegIdentified: "It is known now who is at the end of the leg.",
}
"""What there is to say of an event that is about no transfer."""


FAULT_PAUSE_S = 10.0
"""After a deadline has passed in vain, by a fault of ours, it passes again after so long."""

KEYS_WITHHELD_S = 30.0
"""After so long the switch itself passes keys on again, should we have died in the middle of a
code. No code takes longer to dial."""

MOST_ENDED = 1_000
"""So many transfers that have ended are remembered, for marks that were not taken off."""

_MOVED = frozenset((Outcome.TRANSFERRED, Outcome.ABANDONED))
"""Outcomes after which the call is another one than before."""


def _transfer_request(
    leg: LegId, transfer: str, action: FeatureAction, matched: Matched
) -> TransferRequested:
    hold = action.module is Module.HOLD
    return TransferRequested(
        leg=leg,
        transfer=transfer,
        target="" if hold else (matched.target or ""),
        kind=Kind.HOLD if hold else action.kind,
        music=action.music,
        ringback=action.ringback,
        takeback_digits=action.takeback_digits,
        ring_timeout_s=action.ring_timeout_s,
    )


def _legs_of(event: Event | Command) -> Iterator[LegId]:
    """The legs that an event or a command names."""
    if isinstance(event, CommandFailed):
        yield from _legs_of(event.command)
        return
    for name in ("leg", "first", "second"):
        leg = getattr(event, name, None)
        if leg is not None:
            yield leg


def states_of(records: list[Record]) -> list[State]:
    """The states that a transfer went through, in order, each change once."""
    states: list[State] = []
    for record in records:
        if record.before is not None and not states:
            states.append(record.before)
        ends = record.outcome is not None and states[-1:] != [record.after]  # as it is found
        if record.after is not None and (record.after is not record.before or ends):
            states.append(record.after)
    return states
