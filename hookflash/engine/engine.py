"""The engine: a switchboard with hands, on trio.

One queue, one order. Whatever happens (the switch's events, people's requests, timers that ran
out) waits its turn in it, and each step runs to its end before the next begins. So there is one
history, and no lock anywhere.

    async with open_simulator() as backend, open_engine(backend) as engine:
        transfer = await engine.transfer("leg-1", "2600")
        print(await transfer.outcome())
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import attrs
import structlog
import trio

from hookflash.backends.base import Backend
from hookflash.commands import CancelTimer, Command, Look, SetTimer
from hookflash.engine.found import Unfinished
from hookflash.engine.handles import Follower, Result, TransferHandle
from hookflash.engine.inbox import Ask, Inbox
from hookflash.engine.legs import Account, Leg
from hookflash.engine.record import Record
from hookflash.engine.switchboard import Switchboard
from hookflash.engine.timers import Timers
from hookflash.errors import BackendClosed, NotFound, RequestRefused
from hookflash.events import (
    NO_OPTIONS,
    CommandFailed,
    CompleteRequested,
    Event,
    HangUpRequested,
    Kind,
    LegId,
    LegsSeen,
    SwitchFound,
    SwitchLost,
    TakebackRequested,
    TimerFired,
    TransferOptions,
    TransferRequested,
)
from hookflash.fsm.transfer import Transfer

# Into the standard library's logging: a program that configures nothing is not talked into.
log = structlog.wrap_logger(logging.getLogger("hookflash.engine"))

_Told = TypeVar("_Told")

LATE = "~late"
"""In whose name the switch is asked before a timer counts that is late. No transfer's name."""

LATE_S = 0.25
"""A timer that is later than this was overslept. A busy loop is late by milliseconds."""


@attrs.frozen
class Timing:
    """How long one event took, in seconds of the engine's clock."""

    event: Event
    waited_s: float
    """From its coming into the queue to its turn."""
    took_s: float
    """From its turn until the last of its commands was on its way."""


class Engine:
    """Calls and transfers in flight on one backend. Open it with `open_engine`."""

    def __init__(
        self, backend: Backend, switchboard: Switchboard, new_id: Callable[[], str]
    ) -> None:
        self.switchboard = switchboard
        self._backend = backend
        self._new_id = new_id
        self._inbox = Inbox()
        self._handles: dict[str, TransferHandle] = {}
        self._followers: dict[Follower, None] = {}
        self._taps: list[Callable[[Record], None]] = []
        self.on_timing: Callable[[Timing], None] | None = None
        """Told how long each event took; for whoever measures."""
        self._deferred: list[Ask] = []
        """Who waits for a request that waits for the switch."""
        self._late: dict[int, list[str]] = {}
        """Timers that ran out while we were away, by the question whose answer lets them count."""
        self._questions = 0
        self._timers = Timers()
        self.failure: BackendClosed | None = None
        self._away: str | None = "it has not been found yet"

    # ------------------------------------------------------------ what people do

    async def transfer(
        self,
        leg: LegId,
        target: str,
        *,
        kind: Kind = Kind.ATTENDED,
        transfer: str | None = None,
        options: TransferOptions = NO_OPTIONS,
        by: str = "program",
    ) -> TransferHandle:
        """Transfer the party that the party on `leg` talks with.

        Args:
            leg: the transferor's.
            target: the number to call.
            kind: attended, blind, or a hold (then `target` is empty).
            transfer: an id of the caller's choosing; a repeat of one in flight is refused.
            options: music, ringback, takeback digits and ring timeout, if not the account's.
            by: who asks.

        Returns:
            A handle, once the engine has taken the request.

        Raises:
            NotFound: there is no such leg.
            RequestRefused: it can't be done now; it says why.
        """
        if self.switchboard.leg(leg) is None:
            raise NotFound("there is no such call")
        request = TransferRequested(
            leg=leg,
            transfer=transfer or self._new_id(),
            target=target,
            kind=kind,
            by=by,
            options=options,
        )
        handle = self._handles.setdefault(request.transfer, TransferHandle(self, request.transfer))
        try:
            handle.asked = await self.ask(request)
        finally:
            if handle.asked is None and self.switchboard.transfer(request.transfer) is None:
                self._handles.pop(request.transfer, None)
        return handle

    async def take_back(self, transfer: str, *, by: str = "program") -> Record:
        """Have the transferee back.

        Raises:
            RequestRefused: too late, or nobody to take back; it says which.
        """
        return await self.ask(TakebackRequested(transfer=transfer, by=by))

    async def complete(self, transfer: str, *, by: str = "program") -> Record:
        """Hand over now.

        Raises:
            RequestRefused: the target is not being called yet, or it is too late.
        """
        return await self.ask(CompleteRequested(transfer=transfer, by=by))

    async def hang_up(self, leg: LegId, *, by: str = "program") -> Record:
        """End a leg.

        Raises:
            RequestRefused: there is no such leg.
        """
        return await self.ask(HangUpRequested(leg=leg, by=by))

    def legs(self) -> tuple[Leg, ...]:
        """Every leg that the engine knows."""
        return tuple(self.switchboard.legs.values())

    def transfer_in_flight(self, transfer: str) -> Transfer | None:
        """A transfer as it stands; `None`: it is not in flight."""
        return self.switchboard.transfer(transfer)

    def transfers(self) -> tuple[Transfer, ...]:
        """Every transfer in flight."""
        return tuple(running.transfer for running in self.switchboard.running.values())

    def follow(self, transfer: str | None = None) -> Follower:
        """Read the records from now on: of one transfer, or of all that happens.

        A follower that falls too far behind gets `FellBehind`; it never slows the engine.
        """
        follower = Follower(transfer, lambda one: self._followers.pop(one, None))
        self._followers[follower] = None
        return follower

    @property
    def followed_by(self) -> int:
        """How many followers read the records."""
        return len(self._followers)

    def tap(self, tell: Callable[[Record], None]) -> None:
        """Have every record told to somebody at once, before anybody else hears of it.

        Args:
            tell: must be quick, and must not raise: the engine waits for it.
        """
        self._taps.append(tell)

    @property
    def queued(self) -> int:
        """How many events wait for their turn."""
        return len(self._inbox)

    @property
    def away(self) -> str | None:
        """Why the switch can't be reached; `None`: it can."""
        return str(self.failure) if self.failure is not None else self._away

    async def ask(self, request: Event) -> Record:
        """Put a request into the queue, and wait for its turn.

        Raises:
            RequestRefused: it can't be met; nothing has changed.
            BackendClosed: the way to the switch is gone.
        """
        if self.failure is not None:
            raise self.failure
        if self._away is not None:
            raise BackendClosed(f"the switch is away: {self._away}")
        ask = Ask(request)
        await self._inbox.put(request, ask)
        await ask.done.wait()
        if ask.record is None:
            raise self.failure or BackendClosed(self._away or "the switch has not answered")
        if ask.record.refusal is not None:
            raise RequestRefused(ask.record.why, ask.record.refusal)
        return ask.record

    # ------------------------------------------------------------- what it does

    async def run(self) -> None:
        """Do the work until the backend ends. For `open_engine`."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch_timers)
                nursery.start_soon(self._work)
                await self._listen()
                nursery.cancel_scope.cancel()
        finally:
            self._give_up()

    async def _listen(self) -> None:
        events = self._backend.events()
        try:
            async for event in events:
                await self._inbox.put(event)
        except BackendClosed as closed:
            self.failure = closed
        finally:
            if isinstance(events, AsyncGenerator):  # it may have been left while it waited for room
                await events.aclose()

    def _give_up(self) -> None:
        """Leave nobody waiting for an answer that can't come any more."""
        self.failure = self.failure or BackendClosed("the backend has closed")
        self._inbox.close(self.failure)
        self._give_up_deferred()
        for handle in self._handles.values():
            handle.end(self.failure)
        for follower in tuple(self._followers):
            follower.close()

    async def _work(self) -> None:
        while True:
            queued = await self._inbox.take()
            event, came_s = queued.event, queued.came_s
            if isinstance(event, LegsSeen) and event.look.transfer == LATE:
                self._let_late_timers_count(event.look.number)
                continue
            if isinstance(event, TimerFired) and not self._timers.cancel(event.timer):
                continue
            if isinstance(event, TimerFired) and self._away is not None:
                self._timers.set(SetTimer(timer=event.timer, after_s=0.0))  # when it is found
                continue
            began_s = trio.current_time()
            if isinstance(event, SwitchLost):
                self._away = event.reason or "the switch is away"
                self._forget_questions()
                self._timers.hold(held=True)
            if isinstance(event, SwitchFound):
                self._forget_questions()  # an answer may be among the events that were dropped
            await self._act_on(self.switchboard.handle(event, began_s), queued.ask)
            if isinstance(event, SwitchFound):
                await self._found()
            if self.on_timing is not None:
                took_s = trio.current_time() - began_s
                _tell(self.on_timing, Timing(event, began_s - came_s, took_s))

    async def _act_on(self, records: list[Record], ask: Ask | None = None) -> None:
        """Tell what was decided, and do it."""
        for record in records:
            self._publish(record)
        if ask is not None:
            self._answer(ask, records[0])
        for record in records:
            for waiting in [one for one in self._deferred if one.event is record.event]:
                self._deferred.remove(waiting)
                self._answer(waiting, record)
        for record in records:
            for command in record.commands:
                await self._carry_out(command)

    def _answer(self, ask: Ask, record: Record) -> None:
        """Answer the requester; if the switch must be asked first, later."""
        if self.switchboard.is_deferred(ask.event):
            self._deferred.append(ask)
            return
        ask.record = record
        ask.done.set()

    async def _found(self) -> None:
        """The switch is there: go on with what was in flight, and let deadlines pass again."""
        self._away = None
        self._timers.hold(held=False)
        try:
            living = await self._backend.snapshot()
        except BackendClosed:
            return  # lost again: it will be found again
        await self._act_on(self.switchboard.adopt(living, trio.current_time()))

    def _publish(self, record: Record) -> None:
        for tell in self._taps:
            _tell(tell, record)
        for follower in tuple(self._followers):
            follower.offer(record)
        if record.outcome is not None and record.transfer is not None:
            handle = self._handles.pop(record.transfer, None)
            if handle is not None:
                handle.end(Result(outcome=record.outcome, cause=record.cause))

    async def _carry_out(self, command: Command) -> None:
        match command:
            case SetTimer():
                self._timers.set(command)
            case CancelTimer():
                self._timers.cancel(command.timer)
            case _:
                try:
                    await self._backend.perform(command)
                except BackendClosed as closed:
                    self._inbox.put_own(CommandFailed(command=command, reason=str(closed)))

    # -------------------------------------------------------------------- timers

    async def _watch_timers(self) -> None:
        while True:
            timer, late_s = await self._timers.next()
            if late_s > LATE_S:
                await self._ask_first(timer)
            else:
                self._inbox.put_own(TimerFired(timer=timer))

    async def _ask_first(self, timer: str) -> None:
        """A timer that is late was overslept: by us, or by the machine that we run on.

        Whatever happened meanwhile lies unread in the socket. The answer to a question comes behind
        it, and only then the timer counts.
        """
        self._questions += 1
        self._late[self._questions] = [timer]
        try:
            await self._backend.perform(Look(legs=(), transfer=LATE, number=self._questions))
        except BackendClosed:
            self._let_late_timers_count(self._questions)

    def _let_late_timers_count(self, question: int) -> None:
        for timer in self._late.pop(question, ()):
            self._inbox.put_own(TimerFired(timer=timer))

    def _forget_questions(self) -> None:
        """The switch is away, or was: it answers nothing. Late timers count when it is found."""
        for timers in self._late.values():
            for timer in timers:
                self._inbox.put_own(TimerFired(timer=timer))
        self._late.clear()
        self._give_up_deferred()

    def _give_up_deferred(self) -> None:
        for ask in self._deferred:
            ask.done.set()
        self._deferred.clear()


def _tell(listener: Callable[[_Told], None], told: _Told) -> None:
    """Call a listener. No call ends because a listener is at fault."""
    try:
        listener(told)
    except Exception:
        log.exception("listener.failed", listener=repr(listener))


def _at_fault(transfer: str, event: Event, fault: Exception) -> None:
    log.error(
        "transfer.fault",
        why="a fault of ours: the transfer stays as it was; please report it",
        transfer=transfer,
        event_received=repr(event),
        exc_info=fault,
    )


def _new_id() -> str:
    return uuid.uuid4().hex


@asynccontextmanager
async def open_engine(
    backend: Backend,
    *,
    switch: str = "",
    now: Callable[[], float] = time.time,
    account: Account | None = None,
    accounts: Mapping[str, Account] | None = None,
    new_id: Callable[[], str] | None = None,
    target_leg: Callable[[str], LegId] | None = None,
    next_number: Callable[[], int] | None = None,
    unfinished: Mapping[str, Unfinished] | None = None,
    ended: Collection[str] = (),
    taps: Sequence[Callable[[Record], None]] = (),
) -> AsyncGenerator[Engine]:
    """Run an engine on an open backend.

    Args:
        backend: the connection to a switch.
        switch: the name of the switch, for the records.
        now: tells the time of day, in seconds since 1970.
        account: feature codes and policy, for legs whose account is not in `accounts`.
        accounts: feature codes and policy of each account, by name.
        new_id: makes transfers' ids; random by default, so that those of a controller that has
            died are not used again.
        target_leg: makes the id of the target's leg from the transfer's id.
        next_number: numbers the records; from 1 by default.
        unfinished: transfers that a controller before this one has left in flight, by id: what is
            known of them beyond the marks on their legs.
        ended: transfers that are known to have ended: marks of theirs are taken off.
        taps: told every record at once (see `Engine.tap`), from the very first.

    Yields:
        The engine, at work until the block is left. Leaving it ends no call: what the engine
        was about to do is the switch's own safety net to finish.
    """
    new_id = new_id or _new_id
    switchboard = Switchboard(
        switch=switch,
        now=now,
        account=account,
        accounts=accounts,
        new_id=new_id,
        target_leg=target_leg,
        next_number=next_number,
        unfinished=unfinished,
        ended=ended,
        on_fault=_at_fault,
    )
    engine = Engine(backend, switchboard, new_id)
    for tell in taps:
        engine.tap(tell)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(engine.run)
        yield engine
        nursery.cancel_scope.cancel()
