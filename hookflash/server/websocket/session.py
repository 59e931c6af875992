"""One WebSocket connection, from its greeting to its end.

Three tasks share it: one reads what the program asks and does it, in order; one writes what there
is to say; one listens for its heart. What happens is gathered until the writer has time for it, so
that a busy reader gets a few large messages, and an idle one each event at once.

Nothing piles up for a program that does not read: its events are bounded (see `hub`), its questions
wait while its replies do, and in the end its heart is not heard.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import attrs
import msgspec
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from hookflash.errors import HookflashError, InputError, RequestRefused, Unauthorized
from hookflash.journal.database import JournalError
from hookflash.journal.history import DEFAULT_ACCOUNT, KINDS, Wanted
from hookflash.server.access import Access
from hookflash.server.answers import Answers
from hookflash.server.config import Limits
from hookflash.server.desk import Caller, Desk, Page
from hookflash.server.hub import Gone, Hub, Subscription
from hookflash.server.websocket import messages as m
from hookflash.server.wire import Taken, TransferAsk

SIGN_IN_S: Final = 10.0
"""How long a program has to say who it is."""

LAST_WORDS_S: Final = 5.0
"""How long a reader that was too slow has to take what is on its way, and the reason."""

EVENTS_AT_ONCE: Final = 200
"""Events in one message."""

MOST_SUBSCRIPTIONS: Final = 100
"""Of one connection."""

MOST_REPLIES: Final = 64
"""Replies that wait to be read before the next question is looked at."""


@attrs.frozen(kw_only=True)
class Doors:
    """What a session needs to do its work."""

    desk: Desk
    access: Access
    answers: Answers
    hub: Hub
    limits: Limits
    server: str


class Session:
    """One connection."""

    def __init__(self, socket: WebSocketConnection, doors: Doors, address: str) -> None:
        self._socket = socket
        self._doors = doors
        self._address = address
        self._caller: Caller | None = None
        self._subscriptions: dict[str, Subscription] = {}
        self._catching_up: dict[str, trio.CancelScope] = {}
        self._named = 0
        self._replies: deque[m.Hello | m.Reply] = deque()
        self._news = trio.Event()
        self._drained = trio.Event()
        self._progress_is_due = False
        self._ending = False
        self._ended = trio.Event()
        self._doing = trio.CancelScope()
        self._running: trio.Nursery

    async def run(self) -> None:
        """Serve it until it is closed, by whichever side."""
        self._say(m.Hello(protocol=m.PROTOCOL, server=self._doors.server))
        try:
            async with trio.open_nursery() as self._running:
                for task in (self._write, self._heartbeat, self._sign_in_soon):
                    self._running.start_soon(self._while_open, task)
                await self._while_open(self._read)
                if self._ending:  # by another task, which waits for the other side's goodbye
                    await self._ended.wait()
                self._stop()
        finally:
            for subscription in self._subscriptions.values():
                self._doors.hub.drop(subscription)

    async def close(self, code: int, why: str) -> None:
        """End it, with a reason. It has a while to hear that, and what is on its way to it."""
        if self._ending:
            return
        self._ending = True
        try:
            with trio.move_on_after(LAST_WORDS_S):
                await self._socket.aclose(code, why)
        finally:
            self._ended.set()
            self._stop()

    def _stop(self) -> None:
        """End all tasks; what is being done for the program has a while to come to its end."""
        self._doing.deadline = min(self._doing.deadline, trio.current_time() + LAST_WORDS_S)
        self._running.cancel_scope.cancel()

    async def _while_open(self, task: Callable[[], Awaitable[None]]) -> None:
        """Do a task's work until the connection is closed."""
        try:
            await task()
        except ConnectionClosed:
            if not self._ending:
                self._stop()

    # ------------------------------------------------------------------ reading

    async def _read(self) -> None:
        while not self._ending:
            while len(self._replies) >= MOST_REPLIES:
                await self._drained.wait()
            await self._answer(await self._socket.get_message())

    async def _answer(self, text: str | bytes) -> None:
        ask: m.Asked | None = None
        try:
            if self._caller is not None:
                self._doors.access.count(self._caller)
            ask = _read(text)
            await self._do(ask)
        except Unauthorized as error:
            self._reply_error(ask, text, error)
            await self._after_replies()
            await self.close(m.NOT_SIGNED_IN, str(error)[:100])
        except HookflashError as error:
            self._reply_error(ask, text, error)
        except RecursionError:  # by whoever looked into it
            self._reply_error(ask, text, InputError("is nested too deeply", where="$"))

    def _reply_error(self, ask: m.Asked | None, text: str | bytes, error: HookflashError) -> None:
        where = error.where if isinstance(error, InputError) else None
        refusal = error.refusal.value if isinstance(error, RequestRefused) else None
        message = str(error)
        if isinstance(error, InputError):
            message = f"{error.what} ({error.hint})" if error.hint else error.what
        fault = m.Fault(message=message, where=where or None, refusal=refusal)
        told = _id_in(text) if ask is None else ask.id
        self._say(m.Reply(id=told, status=error.http_status, error=fault))

    async def _do(self, ask: m.Asked) -> None:
        if isinstance(ask, m.Authenticate):
            if self._caller is not None:
                raise RequestRefused("you have said who you are: open another connection")
            self._caller = await self._who(ask)
            self._reply(ask, 200, {"account_id": self._caller.account})
            return
        if self._caller is None:
            raise Unauthorized("say who you are first: authenticate")
        if isinstance(ask, m.Subscribe):
            await self._subscribe(ask, self._caller)
        elif isinstance(ask, m.Unsubscribe):
            self._unsubscribe(ask)
        else:
            # once begun, it is done, and its answer kept: whoever lost the line may ask again
            with trio.CancelScope(shield=True) as self._doing:
                status, data = await _ANSWERED_BY[type(ask)](self._doors, self._caller, ask)
                self._reply(ask, status, data)

    async def _who(self, ask: m.Authenticate) -> Caller:
        access = self._doors.access
        if ask.api_key is not None:
            key = await access.key_of(ask.api_key, self._address)
            return Caller(key=key.id, account=key.account)
        if ask.token is not None:
            return await access.caller_of(ask.token, self._address)
        raise InputError("is missing", where="$.token", hint="give a token, or an api_key")

    async def _sign_in_soon(self) -> None:
        await trio.sleep(SIGN_IN_S)
        if self._caller is None:
            await self.close(m.NOT_SIGNED_IN, f"nobody said who it is within {SIGN_IN_S:g} s")

    # ------------------------------------------------------------- subscriptions

    async def _subscribe(self, ask: m.Subscribe, caller: Caller) -> None:
        if len(self._subscriptions) >= MOST_SUBSCRIPTIONS:
            raise RequestRefused(f"there are {MOST_SUBSCRIPTIONS} subscriptions already")
        account = ask.account_id or caller.account
        if account is not None:
            caller.check(account)
        for kind in ask.kinds:
            _check_kind(kind)
        self._named += 1
        wanted = Wanted(
            account=account, call=ask.call_id, transfer=ask.transfer_id, kinds=ask.kinds
        )
        subscription = Subscription(
            name=f"s{self._named}",
            wanted=wanted,
            account=account,
            buffer=self._doors.limits.websocket_buffer,
            wake=self._wake,
        )
        self._subscriptions[subscription.name] = subscription
        try:
            begin = await self._doors.hub.begin(subscription, after=ask.after)
        except BaseException:
            del self._subscriptions[subscription.name]
            raise
        # the reply first: its reader must know the name before the first event comes
        self._reply(ask, 200, {"subscription": subscription.name, "after": begin})
        scope = self._catching_up[subscription.name] = trio.CancelScope()
        self._running.start_soon(self._follow, subscription, scope)

    def _unsubscribe(self, ask: m.Unsubscribe) -> None:
        subscription = self._subscriptions.pop(ask.subscription, None)
        if subscription is None:
            raise RequestRefused("there is no such subscription")
        if subscription.name in self._catching_up:
            self._catching_up.pop(subscription.name).cancel()
        self._doors.hub.drop(subscription)
        subscription.pending.clear()
        self._reply(ask, 200, {"subscription": ask.subscription})

    async def _follow(self, subscription: Subscription, scope: trio.CancelScope) -> None:
        drained = partial(self._until_drained, subscription)
        with scope:
            try:
                await self._doors.hub.follow(subscription, drained=drained)
            except JournalError as error:
                await self.close(m.OUT_OF_ORDER, str(error)[:100])
            except Gone as gone:
                await self.close(m.NOT_KEPT, str(gone))
        self._catching_up.pop(subscription.name, None)
        if subscription.name not in self._subscriptions:  # given up meanwhile
            self._doors.hub.drop(subscription)

    async def _until_drained(self, subscription: Subscription) -> None:
        while subscription.pending:
            await self._drained.wait()

    # ------------------------------------------------------------------ writing

    def _wake(self) -> None:
        self._news.set()

    def _say(self, message: m.Hello | m.Reply) -> None:
        self._replies.append(message)
        self._wake()

    def _reply(self, ask: m.Asked, status: int, data: Any) -> None:
        self._say(m.Reply(id=ask.id, status=status, data=data))

    async def _after_replies(self) -> None:
        while self._replies:
            await self._drained.wait()

    async def _write(self) -> None:
        while True:
            await self._news.wait()
            self._news = trio.Event()
            while await self._write_some():
                pass

    async def _write_some(self) -> bool:
        """Send the replies, and a message for each subscription; whether there was anything.

        So that no subscription, however much there is for it, keeps replies or others waiting.
        """
        wrote = bool(self._replies)
        while self._replies:
            await self._socket.send_message(m.said(self._replies[0]))
            self._replies.popleft()
        progress_is_due, self._progress_is_due = self._progress_is_due, False
        for subscription in tuple(self._subscriptions.values()):
            behind = subscription.live and subscription.up_to > subscription.sent_up_to
            if subscription.pending or (behind and progress_is_due):
                wrote = True
                await self._write_events(subscription)
        self._drained.set()
        self._drained = trio.Event()
        return wrote

    async def _write_events(self, subscription: Subscription) -> None:
        batch = subscription.pending[:EVENTS_AT_ONCE]
        del subscription.pending[:EVENTS_AT_ONCE]
        after = subscription.sent_up_to
        up_to = _number_of(batch[-1]) if subscription.pending else subscription.up_to
        subscription.sent_up_to = up_to
        events = m.Events(
            subscription=subscription.name,
            after=after,
            up_to=up_to,
            events=[msgspec.Raw(one) for one in batch],
        )
        await self._socket.send_message(m.said(events))
        if subscription.fell_behind:  # while that was on its way: it gets its last words
            await self.close(m.TOO_SLOW, f"you read too slowly: subscribe again after {up_to}")

    async def _heartbeat(self) -> None:
        """See that somebody is there; and that one who is too slow does not stay for ever."""
        every_s = self._doors.limits.heartbeat_s
        while True:
            await trio.sleep(every_s)
            self._progress_is_due = (
                True  # so that whoever wants little can resume from near the end
            )
            self._wake()
            with trio.move_on_after(every_s) as scope:
                await self._socket.ping()
            if scope.cancelled_caught:
                self._stop()
            await self._check_key()

    async def _check_key(self) -> None:
        """See that whoever was let in once still may be here."""
        if self._caller is None:
            return
        try:
            await self._doors.access.check(self._caller)
        except Unauthorized as error:
            await self.close(m.NOT_SIGNED_IN, str(error))
        except JournalError:
            pass  # a disk that fails cuts nobody off


_NUMBER: Final = re.compile(rb'"number":(\d+)')


def _number_of(happening: bytes) -> int:
    found = _NUMBER.search(happening)
    return int(found[1]) if found else 0


def _check_kind(kind: str) -> None:
    star = kind.endswith("*")
    if not any(one.startswith(kind[:-1]) if star else one == kind for one in KINDS):
        raise InputError(f"{kind!r} is no kind of event", where="$.kinds", hint=", ".join(KINDS))


def _read(text: str | bytes) -> m.Asked:
    if isinstance(text, bytes):
        raise InputError("is a binary frame", where="$", hint="one JSON object in a text frame")
    try:
        return m.ASKED.decode(text)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `")
        raise InputError(what, where=place.rstrip("`") or "$", hint="see the protocol") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError(f"is no JSON: {error}", where="$", hint="one JSON object") from error


def _id_in(text: str | bytes) -> str | None:
    """The id of a message that can't be used otherwise, so that its sender knows which it was."""
    if isinstance(text, bytes):
        return None
    try:
        found = msgspec.json.decode(text, type=dict[str, Any]).get("id")
    except (msgspec.DecodeError, RecursionError):
        return None
    return found[:64] if isinstance(found, str) else None


# ------------------------------------------------------------------ what is asked


def _account(caller: Caller, told: str | None) -> str:
    """Whose account something is asked for.

    Raises:
        InputError: an administrator has not said.
    """
    account = told or caller.account
    if account is None:
        raise InputError("is missing", where="$.account_id", hint=f"{DEFAULT_ACCOUNT!r}, say")
    return account


Answered = tuple[int, Any]


async def _list_calls(doors: Doors, caller: Caller, ask: m.ListCalls) -> Answered:
    return 200, doors.desk.channels(caller, _account(caller, ask.account_id))


async def _get_call(doors: Doors, caller: Caller, ask: m.GetCall) -> Answered:
    account = _account(caller, ask.account_id)
    return 200, doors.desk.channel(caller, account, ask.call_id, ask.switch)


async def _transfer(doors: Doors, caller: Caller, ask: m.Transfer) -> Answered:
    account = _account(caller, ask.account_id)
    wanted = TransferAsk(
        target=ask.target,
        transfer_type=ask.transfer_type,
        takeback_dtmf=ask.takeback_dtmf,
        moh=ask.moh,
        ringback=ask.ringback,
        timeout=ask.timeout,
    )

    asked_in_full = ("transfer", account, ask.call_id, ask.switch, wanted)
    name = doors.answers.name(caller, ask.idempotency_key, asked_in_full)

    async def act() -> tuple[int, Taken]:
        return 202, await doors.desk.transfer(
            caller, account, ask.call_id, wanted, ask.switch, name=name
        )

    return await doors.answers.once(caller, ask.idempotency_key, asked_in_full, Taken, act)


async def _hold(doors: Doors, caller: Caller, ask: m.Hold) -> Answered:
    account = _account(caller, ask.account_id)
    return 202, await doors.desk.hold(caller, account, ask.call_id, ask.moh, ask.switch)


async def _take_back(doors: Doors, caller: Caller, ask: m.TakeBack) -> Answered:
    account, desk = _account(caller, ask.account_id), doors.desk
    if ask.transfer_id is not None:
        return 202, await desk.take_back(caller, account, ask.transfer_id)
    return 202, await desk.take_back_by_call(caller, account, _call(ask), ask.switch)


async def _complete(doors: Doors, caller: Caller, ask: m.Complete) -> Answered:
    account, desk = _account(caller, ask.account_id), doors.desk
    if ask.transfer_id is not None:
        return 202, await desk.complete(caller, account, ask.transfer_id)
    return 202, await desk.complete_by_call(caller, account, _call(ask), ask.switch)


def _call(ask: m.TakeBack | m.Complete) -> str:
    if ask.call_id is None:
        raise InputError("is missing", where="$.transfer_id", hint="give it, or a call_id")
    return ask.call_id


async def _hang_up(doors: Doors, caller: Caller, ask: m.HangUp) -> Answered:
    account = _account(caller, ask.account_id)
    return 202, await doors.desk.hang_up(caller, account, ask.call_id, ask.switch)


async def _list_transfers(doors: Doors, caller: Caller, ask: m.ListTransfers) -> Answered:
    page = Page(outcome=ask.outcome, start_key=ask.start_key, size=ask.page_size)
    found, more = await doors.desk.transfers(caller, _account(caller, ask.account_id), page)
    return 200, {"transfers": found, "next_start_key": more}


async def _get_transfer(doors: Doors, caller: Caller, ask: m.GetTransfer) -> Answered:
    account = _account(caller, ask.account_id)
    return 200, await doors.desk.transfer_view(caller, account, ask.transfer_id)


async def _get_metaflows(doors: Doors, caller: Caller, ask: m.GetMetaflows) -> Answered:
    return 200, doors.desk.metaflows(caller, _account(caller, ask.account_id))


async def _set_metaflows(doors: Doors, caller: Caller, ask: m.SetMetaflows) -> Answered:
    account, all_calls = _account(caller, ask.account_id), ask.apply_to == "all"
    if ask.patch and ask.metaflows is not None:
        change = doors.desk.patch_metaflows
        return 200, await change(caller, account, ask.metaflows, for_calls_that_are_up=all_calls)
    return 200, await doors.desk.set_metaflows(
        caller, account, ask.metaflows, for_calls_that_are_up=all_calls
    )


_ANSWERED_BY: Final[dict[type, Callable[[Doors, Caller, Any], Awaitable[Answered]]]] = {
    m.ListCalls: _list_calls,
    m.GetCall: _get_call,
    m.Transfer: _transfer,
    m.Hold: _hold,
    m.TakeBack: _take_back,
    m.Complete: _complete,
    m.HangUp: _hang_up,
    m.ListTransfers: _list_transfers,
    m.GetTransfer: _get_transfer,
    m.GetMetaflows: _get_metaflows,
    m.SetMetaflows: _set_metaflows,
}
