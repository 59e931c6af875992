"""One connection to Asterisk's manager interface (AMI), from the login to its end.

Every action carries an `ActionID` of ours, and its response repeats it. So several actions may be
in flight at once, and a task that stops waiting does no harm. An overdue response ends the
connection: the switch no longer responds, and only a new connection shows whether it will.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import count
from typing import Final

import attrs
import trio

from hookflash.backends.asterisk.manager_wire import (
    HeaderValue,
    ManagerWire,
    ManagerWireError,
    Message,
    render,
)
from hookflash.backends.endpoints import cause_of, connect
from hookflash.errors import BackendError

RECEIVE_BYTES: Final = 262_144
"""Bytes per read: about 250 events."""

EventHandler = Callable[[Message], None]
"""Takes an event. It must not block: the next message is read only after it returns."""


class ManagerLost(BackendError):
    """The connection ended before the response came."""


class ManagerRefused(BackendError):
    """The switch answered an action with an error."""

    def __init__(self, action: str, response: Message) -> None:
        """Keep the response.

        Args:
            action: the name of the action.
            response: what the switch answered.
        """
        self.action = action
        self.response = response
        super().__init__(f"{action}: {response.get('message') or 'refused, without a reason'}")


@attrs.frozen(kw_only=True)
class ManagerLogin:
    """The address of the manager interface, and the login."""

    host: str = "127.0.0.1"
    port: int = 5038
    username: str
    secret: str = attrs.field(repr=False)
    events: str = "on"
    """The events to receive: `on`, `off`, or classes such as `call,dtmf`."""
    timeout_s: float = 5.0
    """Timeout for connecting, for the login, and for every action."""
    tls: ssl.SSLContext | None = None
    """If set, the connection is encrypted, and the certificate must be valid for `host`."""


@attrs.frozen
class ManagerAction:
    """An action to be sent."""

    name: str
    headers: Mapping[str, HeaderValue] = attrs.field(factory=dict[str, HeaderValue])


class Pending:
    """An action that was sent, and the messages that answer it."""

    __slots__ = ("_deadline", "_done", "_lost", "_manager", "action", "messages")

    def __init__(self, manager: Manager, action: ManagerAction, deadline_s: float) -> None:
        """For the manager."""
        self.action = action
        self.messages: list[Message] = []
        """The response, and the events of its list, so far."""
        self._manager = manager
        self._deadline = deadline_s
        self._done = trio.Event()
        self._lost: ManagerLost | None = None

    def take(self, message: Message) -> bool:
        """Take a message. Called by the manager.

        Returns:
            Whether it was the last.
        """
        self.messages.append(message)
        first = self.messages[0].get("eventlist").lower()
        last = first != "start" or message.get("eventlist").lower() in {"complete", "cancelled"}
        if last:
            self._done.set()
        return last

    def fail(self, lost: ManagerLost) -> None:
        """End: no more messages will come. Called by the manager."""
        self._lost = lost
        self._done.set()

    async def response(self) -> Message:
        """Wait for the response, and for the end of its list if it starts one.

        Raises:
            ManagerLost: it will not come, or it did not come in time.
        """
        with trio.CancelScope(deadline=self._deadline):
            await self._done.wait()
        if not self._done.is_set():
            raise self._manager.die(f"no response to {self.action.name} in time")
        if self._lost is not None:
            raise self._lost
        return self.messages[0]


class Manager:
    """One connection. `open_manager` opens it."""

    def __init__(
        self, stream: trio.abc.Stream, on_event: EventHandler, *, timeout_s: float = 5.0
    ) -> None:
        """Use a stream on which nothing was received yet. `read` must run in a task."""
        self.dead: ManagerLost | None = None
        """Why the connection ended; `None` while it has not."""
        self._stream = stream
        self._on_event = on_event
        self._timeout_s = timeout_s
        self._wire = ManagerWire()
        self._pending: dict[str, Pending] = {}
        self._numbers = count(1)
        self._sending = trio.StrictFIFOLock()
        self._reading = trio.CancelScope()
        self._ended = trio.Event()
        self.heard_s = trio.current_time()
        """When the switch has last sent something."""

    async def read(self) -> None:
        """Read until the connection ends. Then set `dead`, and fail all pending actions."""
        try:
            with self._reading:
                while data := await self._stream.receive_some(RECEIVE_BYTES):
                    self.heard_s = trio.current_time()
                    self._wire.receive(data)
                    for message in self._wire.messages():
                        self._sort(message)
                self.die("the switch has closed the connection")
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self.die(f"the connection broke: {cause_of(error)}")
        except ManagerWireError as error:
            self.die(str(error))
        finally:
            self.die("the connection was closed")

    def _sort(self, message: Message) -> None:
        pending = self._pending.get(message.action_id)
        if pending is None or (message.event and not pending.messages):
            self._on_event(message)
        elif pending.take(message):
            del self._pending[message.action_id]

    def die(self, why: str) -> ManagerLost:
        """End the connection. The first reason is kept."""
        if self.dead is None:
            self.dead = ManagerLost(f"manager interface: {why}")
            self._reading.cancel()
            self._ended.set()
        for pending in self._pending.values():
            pending.fail(self.dead)
        self._pending.clear()
        return self.dead

    async def lost(self) -> ManagerLost:
        """Wait until the connection ends.

        Returns:
            Why it ended.
        """
        await self._ended.wait()
        return self.die("")

    async def send(self, *actions: ManagerAction) -> list[Pending]:
        """Send actions together, without waiting for the responses.

        Raises:
            ManagerLost: not all of them were sent.
            InputError: a value contains a line break. Nothing was sent.
        """
        deadline_s = trio.current_time() + self._timeout_s
        numbered = {
            f"hookflash-{next(self._numbers)}": Pending(self, action, deadline_s)
            for action in actions
        }
        data = b"".join(
            render(pending.action.name, number, pending.action.headers)
            for number, pending in numbered.items()
        )
        async with self._sending:
            await self._send(data, numbered)
        return [*numbered.values()]

    async def _send(self, data: bytes, numbered: Mapping[str, Pending]) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()  # else responses would be awaited needlessly
        if self.dead is not None:
            raise self.dead
        self._pending |= numbered
        try:
            with trio.fail_after(self._timeout_s):
                await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise self.die(f"the connection broke: {cause_of(error)}") from error
        except trio.TooSlowError as error:
            raise self.die("the switch does not read what is sent") from error
        except trio.Cancelled:
            self.die("an action was cut off while it was sent")
            raise

    async def action(self, name: str, /, **headers: HeaderValue) -> Message:
        """Send one action, and wait for its response, which may be an error.

        Args:
            name: the name of the action, for example `Redirect`.
            headers: its headers; a sequence of texts repeats the header.

        Raises:
            ManagerLost: there will be no response.
            InputError: a value holds a line break.
        """
        (pending,) = await self.send(ManagerAction(name, headers))
        return await pending.response()

    async def demand(self, name: str, /, **headers: HeaderValue) -> Message:
        """Send one action, and wait for its response, which must not be an error.

        Raises:
            ManagerRefused: the switch answered with an error.
            ManagerLost: there will be no response.
            InputError: a value holds a line break.
        """
        response = await self.action(name, **headers)
        if not response.ok:
            raise ManagerRefused(name, response)
        return response

    async def listing(self, name: str, /, **headers: HeaderValue) -> list[Message]:
        """Send an action that is answered with a list, and wait for all of the list.

        Returns:
            The events of the list, without the response and the event that ends it.

        Raises:
            ManagerRefused: the switch answered with an error.
            ManagerLost: there will be no response.
            InputError: a value holds a line break.
        """
        (pending,) = await self.send(ManagerAction(name, headers))
        response = await pending.response()
        if not response.ok:
            raise ManagerRefused(name, response)
        return pending.messages[1:-1]

    async def log_in(self, username: str, secret: str, events: str = "on") -> None:
        """Log in with a challenge: the secret itself is not sent.

        Raises:
            ManagerRefused: the username or the secret is wrong, or this address may not log in.
            ManagerLost: there will be no response.
        """
        challenge = (await self.demand("Challenge", AuthType="MD5")).get("challenge")
        key = hashlib.md5(f"{challenge}{secret}".encode(), usedforsecurity=False).hexdigest()
        await self.demand("Login", AuthType="MD5", Username=username, Key=key, Events=events)


def ignore_event(_event: Message) -> None:
    """Do nothing with an event."""


@asynccontextmanager
async def open_manager(
    login: ManagerLogin, on_event: EventHandler = ignore_event
) -> AsyncGenerator[Manager]:
    """Connect and log in. The connection is closed at the end of the block.

    If the connection ends before that, the block is not cancelled: what waits for a response, and
    every later action, raises `ManagerLost`, and `Manager.lost` returns.

    Args:
        login: the address of the manager interface, and the login.
        on_event: takes the events, also those that arrive during the login. It must not block.

    Raises:
        ManagerRefused: the switch does not accept the login.
        ManagerLost: it can't be reached, or the connection ended during the login.
        Rejected: its certificate is not trusted.
    """
    stream = await _connect(login)
    manager = Manager(stream, on_event, timeout_s=login.timeout_s)
    failed: Exception | None = None
    async with stream, trio.open_nursery() as nursery:
        nursery.start_soon(manager.read)
        try:
            await manager.log_in(login.username, login.secret, login.events)
            yield manager
        except Exception as error:  # noqa: BLE001 - raised outside: a nursery wraps it in a group
            failed = error
        finally:
            nursery.cancel_scope.cancel()
    if failed is not None:
        raise failed


async def _connect(login: ManagerLogin) -> trio.abc.Stream:
    try:
        with trio.fail_after(login.timeout_s):
            return await connect(login.host, login.port, login.tls)
    except (OSError, trio.BrokenResourceError, trio.TooSlowError) as error:
        place = f"{login.host}:{login.port}"
        raise ManagerLost(
            f"manager interface {place} can't be reached: {cause_of(error)}"
        ) from error
