"""One WebSocket connection, from its greeting to its end.

Three tasks share it: one reads the program's requests and performs them in order; one writes
replies and events; one sends heartbeats. Events are collected until the writer is free, so that a
busy reader gets a few large messages, and an idle one each event at once.

A program that does not read cannot fill our memory: its events are bounded (see `publisher`), its
requests wait while its replies do, and in the end its heartbeat fails.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import msgspec
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from hookflash.errors import HookflashError, InputError, RequestRefused, Unauthorized
from hookflash.journal.database import JournalError
from hookflash.journal.history import Wanted
from hookflash.journal.step import KINDS
from hookflash.server.access import Grant
from hookflash.server.api import ServiceApi
from hookflash.server.caller import Caller
from hookflash.server.operations import Operation
from hookflash.server.publisher import Gone, Subscription
from hookflash.server.unsent import NOBODY, Reader
from hookflash.server.websocket import messages as m
from hookflash.server.websocket.reading import id_in, read_message

SIGN_IN_S: Final = 5.0
"""Time limit for authentication."""

LOOK_AGAIN_S: Final = 60.0
"""How often the time of day is compared with the end of the token."""

LAST_WORDS_S: Final = 5.0
"""Time for a slow reader to read what was sent, and the close reason."""

EVENTS_AT_ONCE: Final = 200
"""Events in one message."""

MOST_SUBSCRIPTIONS: Final = 100
"""The limit of one connection."""

MOST_REPLIES: Final = 64
"""No further request is read while this many replies are unsent."""


class Session:
    """One connection."""

    def __init__(self, socket: WebSocketConnection, api: ServiceApi, address: str) -> None:
        self._socket = socket
        self._api = api
        self._address = address
        self._grant: Grant | None = None
        self._granted = trio.Event()
        self._on_signed_in: Callable[[], None] = lambda: None
        self._subscriptions: dict[str, Subscription] = {}
        self._catching_up: dict[str, trio.CancelScope] = {}
        self._named = 0
        self._replies: deque[str] = deque()
        self._reader = Reader(NOBODY, self._fell_behind)
        self._news = trio.Event()
        self._drained = trio.Event()
        self._progress_is_due = False
        self._behind = trio.Event()
        """Set when nothing more is sent to it."""
        self._ending = False
        self._ended = trio.Event()
        self._doing = trio.CancelScope()
        self._running: trio.Nursery

    async def run(self, on_signed_in: Callable[[], None] = lambda: None) -> None:
        """Serve it until either side closes it.

        Args:
            on_signed_in: called once the program has signed in.
        """
        self._on_signed_in = on_signed_in
        self._say(m.Hello(protocol=m.PROTOCOL, server=self._api.server))
        try:
            async with trio.open_nursery() as self._running:
                for task in (
                    self._write,
                    self._heartbeat,
                    self._sign_in_in_time,
                    self._part_when_behind,
                ):
                    self._running.start_soon(self._while_open, task)
                await self._while_open(self._read)
                if self._ending:  # another task is closing it, and waits for the client
                    await self._ended.wait()
                self._stop()
        finally:
            self._api.unsent.drop(self._reader)
            for subscription in self._subscriptions.values():
                self._api.publisher.drop(subscription)

    async def close(self, code: int, why: str, *, within_s: float = LAST_WORDS_S) -> None:
        """Close it with a reason, once the client has received it or the time has passed."""
        if self._ending:
            return
        self._ending = True
        try:
            with trio.move_on_after(within_s):
                await self._socket.aclose(code, why)
        finally:
            self._ended.set()
            self._stop()

    def _stop(self) -> None:
        """End all tasks; an operation in progress has `LAST_WORDS_S` to complete."""
        self._doing.deadline = min(self._doing.deadline, trio.current_time() + LAST_WORDS_S)
        self._running.cancel_scope.cancel()

    async def _while_open(self, task: Callable[[], Awaitable[None]]) -> None:
        """Run a task until the connection is closed."""
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
        try:
            if self._grant is not None:
                self._api.access.count(self._grant.caller)
            name, operation, request = read_message(text)
            await self._do(name, operation, request)
        except Unauthorized as error:
            self._reply_error(text, error)
            await self._after_replies()
            await self.close(m.NOT_SIGNED_IN, str(error)[:100])
        except HookflashError as error:
            self._reply_error(text, error)
        except RecursionError:  # while the request is checked
            self._reply_error(text, InputError("is nested too deeply", where="$"))

    def _reply_error(self, text: str | bytes, error: HookflashError) -> None:
        where = error.where if isinstance(error, InputError) else None
        refusal = error.refusal.value if isinstance(error, RequestRefused) else None
        message = str(error)
        if isinstance(error, InputError):
            message = f"{error.what} ({error.hint})" if error.hint else error.what
        fault = m.Fault(message=message, where=where or None, refusal=refusal)
        self._say(m.Reply(id=id_in(text), status=error.http_status, error=fault))

    async def _do(self, name: str, operation: Operation | None, request: Any) -> None:
        if isinstance(request, m.Authenticate):
            self._sign_in(await self._who(request))
            self._reply(name, {"account_id": self._caller.account})
            return
        caller = self._caller
        if isinstance(request, m.Subscribe):
            await self._subscribe(name, request, caller)
        elif isinstance(request, m.Unsubscribe):
            self._unsubscribe(name, request)
        elif operation is not None:
            # shielded: a lost connection must not stop an operation, and its answer is kept
            with trio.CancelScope(shield=True) as self._doing:
                data = await self._api.perform(caller, operation, request)
                self._reply(name, data, operation.status)

    @property
    def _caller(self) -> Caller:
        """The program.

        Raises:
            Unauthorized: it has not signed in.
        """
        if self._grant is None:
            raise Unauthorized("not authenticated: send authenticate first")
        return self._grant.caller

    def _sign_in(self, grant: Grant) -> None:
        """Accept a program, or a new token of the same one.

        Raises:
            RequestRefused: it is another one.
        """
        if self._grant is None:
            self._reader.key = grant.caller.key
            self._on_signed_in()
        elif grant.caller != self._grant.caller:
            raise RequestRefused("authenticated as another program: open another connection")
        self._grant = grant
        self._granted.set()

    async def _who(self, ask: m.Authenticate) -> Grant:
        access = self._api.access
        if ask.api_key is not None:
            key = await access.key_of(ask.api_key, self._address)
            return Grant(Caller(key=key.id, account=key.account, read_only=key.read_only))
        if ask.token is not None:
            return await access.grant_of(ask.token, self._address)
        raise InputError("is missing", where="$.token", hint="a token, or an api_key")

    async def _sign_in_in_time(self) -> None:
        """Close the connection if the program does not sign in soon, and when its token expires."""
        with trio.move_on_after(SIGN_IN_S):
            await self._granted.wait()
        if self._grant is None:
            await self.close(m.NOT_SIGNED_IN, f"not authenticated within {SIGN_IN_S:g} s")
            return
        while (left_s := self._api.access.left_s(self._grant)) > 0:  # noqa: ASYNC110 - of time
            await trio.sleep(min(left_s, LOOK_AGAIN_S))  # the time of day may be corrected
        await self.close(m.NOT_SIGNED_IN, "the token has expired: authenticate again in time")

    # ------------------------------------------------------------- subscriptions

    async def _subscribe(self, name: str, ask: m.Subscribe, caller: Caller) -> None:
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
            buffer=self._api.limits.websocket_buffer,
            key=caller.key,
            wake=self._wake,
        )
        self._subscriptions[subscription.name] = subscription
        try:
            begin = await self._api.publisher.begin(subscription, after=ask.after)
        except BaseException:
            del self._subscriptions[subscription.name]
            raise
        # the reply first: the reader must know the name before the first event comes
        self._reply(name, {"subscription": subscription.name, "after": begin})
        scope = self._catching_up[subscription.name] = trio.CancelScope()
        self._running.start_soon(self._follow, subscription, scope)

    def _unsubscribe(self, name: str, ask: m.Unsubscribe) -> None:
        subscription = self._subscriptions.pop(ask.subscription, None)
        if subscription is None:
            raise RequestRefused("there is no such subscription")
        if subscription.name in self._catching_up:
            self._catching_up.pop(subscription.name).cancel()
        self._api.publisher.drop(subscription)
        subscription.pending.clear()
        self._reply(name, {"subscription": ask.subscription})

    async def _follow(self, subscription: Subscription, scope: trio.CancelScope) -> None:
        drained = partial(self._until_drained, subscription)
        with scope:
            try:
                await self._api.publisher.follow(subscription, drained=drained)
            except JournalError as error:
                await self.close(m.OUT_OF_ORDER, str(error)[:100])
            except Gone as gone:
                await self.close(m.NOT_KEPT, str(gone))
        self._catching_up.pop(subscription.name, None)
        if subscription.name not in self._subscriptions:  # ended meanwhile
            self._api.publisher.drop(subscription)

    async def _until_drained(self, subscription: Subscription) -> None:
        while subscription.pending:
            await self._drained.wait()

    # ------------------------------------------------------------------ writing

    def _wake(self) -> None:
        self._news.set()

    def _say(self, message: m.Hello | m.Reply) -> None:
        """Have a message sent. It counts once the program has signed in; it can't ask before."""
        if self._behind.is_set():
            return
        text = m.said(message)
        self._replies.append(text)
        self._wake()
        if self._reader.key:
            self._api.unsent.add(self._reader, len(text))

    def _fell_behind(self) -> None:
        """Close the connection: the replies of its key are too many, and its own most of all."""
        self._replies.clear()
        self._behind.set()

    async def _part_when_behind(self) -> None:
        await self._behind.wait()
        await self.close(m.TOO_SLOW, "too slow: read the replies")

    def _reply(self, name: str, data: Any, status: int = 200) -> None:
        self._say(m.Reply(id=name, status=status, data=data))

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
        """Send the replies, then one message for each subscription, so that none has to wait long.

        Returns:
            Whether anything was sent.
        """
        wrote = bool(self._replies)
        while self._replies:
            text = self._replies[0]
            await self._socket.send_message(text)
            if not self._behind.is_set():
                self._replies.popleft()
                self._api.unsent.sent(self._reader, len(text))
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
        up_to = batch[-1][0] if subscription.pending else subscription.up_to
        subscription.sent_up_to = up_to
        events = m.EventBatch(
            subscription=subscription.name,
            after=after,
            up_to=up_to,
            events=[msgspec.Raw(one) for _, one in batch],
        )
        await self._socket.send_message(m.said(events))
        if subscription.fell_behind:  # meanwhile: close it, with what was sent before
            await self.close(m.TOO_SLOW, f"too slow: subscribe again after {up_to}")

    async def _heartbeat(self) -> None:
        """Ping the program, and close the connection if it does not answer."""
        every_s = self._api.limits.heartbeat_s
        while True:
            await trio.sleep(every_s)
            self._progress_is_due = True  # so that readers of rare events can resume near the end
            self._wake()
            with trio.move_on_after(every_s) as scope:
                await self._socket.ping()
            if scope.cancelled_caught:
                self._stop()
            await self._check_key()

    async def _check_key(self) -> None:
        """Close the connection if its key was revoked."""
        if self._grant is None:
            return
        try:
            await self._api.access.check(self._grant.caller)
        except Unauthorized as error:
            await self.close(m.NOT_SIGNED_IN, str(error))
        except JournalError:
            pass  # a failing disk must not close connections


def _check_kind(kind: str) -> None:
    star = kind.endswith("*")
    if not any(one.startswith(kind[:-1]) if star else one == kind for one in KINDS):
        raise InputError(f"{kind!r} is not a kind of event", where="$.kinds", hint=", ".join(KINDS))
