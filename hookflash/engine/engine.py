"""The engine: runs a switchboard on trio.

Events of the switch, requests and expired timers wait in one queue. Each step is completed before
the next begins, so there is one history and no lock.

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

import structlog
import trio

from hookflash import events as e
from hookflash.backends.base import Backend
from hookflash.commands import CancelTimer, Command, SetTimer
from hookflash.engine.found import Unfinished
from hookflash.engine.handles import Follower, Result, TransferHandle
from hookflash.engine.inbox import Ask, Inbox, Timing
from hookflash.engine.legs import Account, Leg
from hookflash.engine.record import Record
from hookflash.engine.switchboard import Switchboard
from hookflash.engine.timers import LATE, LATE_S, LateTimers, Timers
from hookflash.errors import BackendClosed, NotFound, RequestRefused
from hookflash.fsm.transfer import Transfer

# through the standard library: a program that configures no logging sees no output
log = structlog.wrap_logger(logging.getLogger("hookflash.engine"))

_Value = TypeVar("_Value")


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
        """Optional callback that receives the timing of every event."""
        self._deferred: dict[int, Ask] = {}
        """Requests that wait for an answer of the switch, by the number of the query."""
        self._timers = Timers()
        self._late = LateTimers(backend, self._inbox.put_own)
        self.handled = 0
        """How many events and requests were taken from the queue."""
        self.failure: BackendClosed | None = None
        self._away: str | None = "not connected yet"

    # ------------------------------------------------------------ for programs

    async def transfer(
        self,
        leg: e.LegId,
        target: str = "",
        *,
        kind: e.Kind = e.Kind.ATTENDED,
        transfer: str | None = None,
        options: e.TransferOptions = e.NO_OPTIONS,
        by: str = "program",
    ) -> TransferHandle:
        """Transfer the party that `leg` talks with.

        Args:
            leg: the transferor's leg.
            target: the number to call, as people write it: it is read by the account's rules.
                Empty: the transferor is asked for it, or `give_number` gives it.
            kind: attended or blind; a hold, or to park the call (then `target` is empty, and
                `options` may have a `slot`).
            transfer: an ID for the transfer; that of a transfer in flight is refused.
            options: music, ringback, takeback digits and ring timeout, if not the account's.
            by: the requester, for the records.

        Returns:
            A handle, once the engine has accepted the request.

        Raises:
            NotFound: there is no such leg.
            RequestRefused: it is not possible now, or not allowed.
        """
        if self.switchboard.leg(leg) is None:
            raise NotFound("there is no such call")
        request = e.TransferRequested(
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

    async def give_number(self, transfer: str, target: str, *, by: str = "program") -> Record:
        """Give the number of a transfer that was requested without one.

        Raises:
            RequestRefused: the transfer has a number, or may not call this one.
        """
        return await self.ask(e.NumberGiven(transfer=transfer, target=target, by=by))

    async def take_back(self, transfer: str, *, by: str = "program") -> Record:
        """Take the transferee back.

        Raises:
            RequestRefused: it is too late, or there is nobody to take back.
        """
        return await self.ask(e.TakebackRequested(transfer=transfer, by=by))

    async def complete(self, transfer: str, *, by: str = "program") -> Record:
        """Complete a transfer now.

        Raises:
            RequestRefused: the target is not being called yet, or it is too late.
        """
        return await self.ask(e.CompleteRequested(transfer=transfer, by=by))

    async def swap(self, transfer: str, *, by: str = "program") -> Record:
        """Let the transferor change between transferee and target.

        Raises:
            RequestRefused: there is nobody to change to.
        """
        return await self.ask(e.SwapRequested(transfer=transfer, by=by))

    async def accept(self, transfer: str, *, by: str = "program") -> Record:
        """Accept the call in the target's place.

        Raises:
            RequestRefused: no target has to accept now.
        """
        return await self.ask(e.AcceptRequested(transfer=transfer, by=by))

    async def decline(self, transfer: str, *, by: str = "program") -> Record:
        """Decline the call in the target's place: a machine has answered, for example.

        Raises:
            RequestRefused: no target has to accept now.
        """
        return await self.ask(e.DeclineRequested(transfer=transfer, by=by))

    async def three_way(self, transfer: str, *, by: str = "program") -> Record:
        """Bring all three into one conversation; asked again, the transferee hears music.

        Raises:
            RequestRefused: there are no three.
        """
        return await self.ask(e.ThreeWayRequested(transfer=transfer, by=by))

    async def pick_up(self, leg: e.LegId, slot: str, *, by: str = "program") -> Record:
        """Give a leg that talks with nobody the call that is parked in a slot of its account.

        Raises:
            RequestRefused: no call is parked there, or the leg may not have it.
        """
        return await self.ask(e.PickUpRequested(leg=leg, slot=slot, by=by))

    async def hang_up(self, leg: e.LegId, *, by: str = "program") -> Record:
        """Hang up a leg.

        Raises:
            RequestRefused: there is no such leg.
        """
        return await self.ask(e.HangUpRequested(leg=leg, by=by))

    def legs(self) -> tuple[Leg, ...]:
        """All legs that the engine knows."""
        return tuple(self.switchboard.legs.values())

    def transfer_in_flight(self, transfer: str) -> Transfer | None:
        """A transfer; `None` if it is not in flight."""
        return self.switchboard.transfer(transfer)

    def transfers(self) -> tuple[Transfer, ...]:
        """All transfers in flight."""
        return tuple(running.transfer for running in self.switchboard.running.values())

    def follow(self, transfer: str | None = None) -> Follower:
        """Read the records from now on: all, or those of one transfer.

        A follower that falls too far behind gets `FellBehind`; it never slows the engine.
        """
        follower = Follower(transfer, lambda one: self._followers.pop(one, None))
        self._followers[follower] = None
        return follower

    @property
    def followed_by(self) -> int:
        """The number of followers."""
        return len(self._followers)

    def tap(self, receive: Callable[[Record], None]) -> None:
        """Call `receive` with every record, before all followers. The engine waits for it."""
        self._taps.append(receive)

    @property
    def queued(self) -> int:
        """The number of events in the queue."""
        return len(self._inbox)

    @property
    def away(self) -> str | None:
        """Why the switch is unreachable; `None` if it is reachable."""
        return str(self.failure) if self.failure is not None else self._away

    async def ask(self, request: e.Event) -> Record:
        """Queue a request, and wait for its record.

        Raises:
            RequestRefused: it is not possible; nothing has changed.
            BackendClosed: the switch is unreachable.
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

    # ------------------------------------------------------------- at work

    async def run(self) -> None:
        """Run until the backend ends. For `open_engine`."""
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
            if isinstance(events, AsyncGenerator):  # cancelled while waiting for room
                await events.aclose()

    def _give_up(self) -> None:
        """Wake all who wait for an answer that can't come any more."""
        self.failure = self.failure or BackendClosed("the backend has closed")
        self._expect_no_answers()
        self._inbox.close(self.failure)
        for handle in self._handles.values():
            handle.end(self.failure)
        for follower in tuple(self._followers):
            follower.close()

    async def _work(self) -> None:
        while True:
            queued = await self._inbox.take()
            self.handled += 1
            event, came_s = queued.event, queued.came_s
            if isinstance(event, e.LegsSeen) and event.look.transfer == LATE:
                self._late.answered(event.look.number)
                continue
            if isinstance(event, e.TimerFired) and not self._timers.cancel(event.timer):
                continue
            if isinstance(event, e.TimerFired) and self._away is not None:
                self._timers.set(SetTimer(timer=event.timer, after_s=0.0))  # fires once it is found
                continue
            began_s = trio.current_time()
            if isinstance(event, e.SwitchLost):
                self._away = event.reason or "the switch is away"
                self._expect_no_answers()
                self._timers.hold(held=True)
            if isinstance(event, e.SwitchFound):
                self._expect_no_answers()  # they may be among the dropped events
            ask = queued.ask or self._waiting_for(event)
            await self._act_on(self.switchboard.handle(event, began_s), ask)
            if isinstance(event, e.SwitchFound):
                await self._found()
            if self.on_timing is not None:
                took_s = trio.current_time() - began_s
                _notify(self.on_timing, Timing(event, began_s - came_s, took_s))

    async def _act_on(self, records: list[Record], ask: Ask | None = None) -> None:
        """Publish records, answer requesters, and carry out the commands."""
        for record in records:
            self._publish(record)
        if ask is not None:
            self._answer(ask, records[-1])
        for record in records:
            for command in record.commands:
                await self._carry_out(command)

    def _waiting_for(self, event: e.Event) -> Ask | None:
        """The requester who waits for this answer of the switch."""
        if not isinstance(event, e.LegsSeen) or event.look.transfer:
            return None
        return self._deferred.pop(event.look.number, None)

    def _answer(self, ask: Ask, record: Record) -> None:
        """Answer a requester, unless the switch must be asked first."""
        query = self.switchboard.deferred_as(ask.event)
        if query is not None:
            self._deferred[query] = ask
            return
        ask.record = record
        ask.done.set()

    async def _found(self) -> None:
        """The switch is reachable: adopt its transfers, and let timers fire again."""
        self._away = None
        self._timers.hold(held=False)
        try:
            living = await self._backend.snapshot()
        except BackendClosed:
            return  # lost again
        await self._act_on(self.switchboard.adopt(living, trio.current_time()))

    def _publish(self, record: Record) -> None:
        for receive in self._taps:
            _notify(receive, record)
        for follower in tuple(self._followers):
            follower.offer(record)
        if record.outcome is not None and record.transfer is not None:
            handle = self._handles.pop(record.transfer, None)
            if handle is not None:
                handle.end(Result.of(record, record.outcome))

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
                    self._inbox.put_own(e.CommandFailed(command=command, reason=str(closed)))

    # -------------------------------------------------------------------- timers

    async def _watch_timers(self) -> None:
        while True:
            timer, late_s = await self._timers.next()
            if late_s > LATE_S:
                await self._late.ask_first(timer)
            else:
                self._inbox.put_own(e.TimerFired(timer=timer))

    def _expect_no_answers(self) -> None:
        """The connection was lost: no pending query will be answered."""
        self._late.expect_no_answers()
        for ask in self._deferred.values():
            ask.done.set()
        self._deferred.clear()


def _notify(listener: Callable[[_Value], None], value: _Value) -> None:
    """Call a listener. Its exceptions are logged and do not affect calls."""
    try:
        listener(value)
    except Exception:
        log.exception("listener.failed", listener=repr(listener))


def _at_fault(transfer: str, event: e.Event, fault: Exception) -> None:
    log.error(
        "transfer.fault",
        why="internal error: the transfer stays as it was; please report it",
        transfer=transfer,
        event_received=repr(event),
        exc_info=fault,
    )


@asynccontextmanager
async def open_engine(
    backend: Backend,
    *,
    switch: str = "",
    now: Callable[[], float] = time.time,
    account: Account | None = None,
    accounts: Mapping[str, Account] | None = None,
    new_id: Callable[[], str] | None = None,
    target_leg: Callable[[str], e.LegId] | None = None,
    next_number: Callable[[], int] | None = None,
    unfinished: Mapping[str, Unfinished] | None = None,
    ended: Collection[str] = (),
    taps: Sequence[Callable[[Record], None]] = (),
) -> AsyncGenerator[Engine]:
    """Run an engine on an open backend.

    Args:
        backend: the connection to a switch.
        switch: the name of the switch, for the records.
        now: the time of day, in seconds since 1970.
        account: settings for legs whose account is not in `accounts`.
        accounts: settings of each account, by name.
        new_id: makes the IDs of transfers; random by default, so that a restarted controller does
            not repeat them.
        target_leg: makes the ID of the target's leg from the transfer's ID.
        next_number: numbers the records; default: from 1.
        unfinished: transfers that the previous controller left in flight, by ID.
        ended: transfers that are known to have ended: their marks are removed.
        taps: called with every record, from the first (see `Engine.tap`).

    Yields:
        The engine; it runs until the block is left. Leaving it ends no call: the switch's failsafes
        complete the transfers in flight.
    """
    new_id = new_id or (lambda: uuid.uuid4().hex)
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
    for tap in taps:
        engine.tap(tap)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(engine.run)
        yield engine
        nursery.cancel_scope.cancel()
