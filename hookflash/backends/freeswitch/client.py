"""One FreeSWITCH over its event socket, on trio.

`hearing` reads events, `looking` asks for the living legs, `ordering` sends commands; this module
gives them a connection. Promises beyond those of `Backend`:

* **The socket is always drained.** The reader never waits (see `outlet`).
* **A dead connection fails at once.** Every task that waits for an answer gets an error of its own
  (`EventSocketLost`); an end of file ends the reader; an overdue answer, or a switch that gives no
  sign of life (see `liveness`), counts as a dead connection too.
* **It reconnects**, with back-off and jitter, without a limit. Then it subscribes again, asks for
  the living legs (`show channels`, and each channel's partner), and reports them as facts between
  `SwitchLost` and `SwitchFound`. So it learns what happened meanwhile: answers, hang-ups, joins.

A command whose connection dies is neither repeated nor reported, since it may have been executed.
The facts that are reported again, and the engine's deadline, decide.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import structlog
import trio

from hookflash import events as e
from hookflash.backends.base import Capabilities, Rejected
from hookflash.backends.endpoints import cause_of, connect
from hookflash.backends.freeswitch.connection import EventSocketConnection, EventSocketLost
from hookflash.backends.freeswitch.hearing import EventReader
from hookflash.backends.freeswitch.inbound import EVENT_NAMES
from hookflash.backends.freeswitch.liveness import watch_over
from hookflash.backends.freeswitch.looking import ChannelLister
from hookflash.backends.freeswitch.ordering import CommandSender
from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.backends.freeswitch.prompting import ask_for_events
from hookflash.backends.freeswitch.settings import FreeSwitch
from hookflash.backends.halves import Halves
from hookflash.backends.reconnecting import Ended, Reconnection, kept_open
from hookflash.backends.tenants import Tenants
from hookflash.commands import SwitchCommand
from hookflash.errors import BackendClosed

# By the standard library's logging: nothing is printed in a program that does not configure it.
log = structlog.wrap_logger(logging.getLogger("hookflash.freeswitch"))


class FreeSwitchBackend:
    """A `Backend` on one FreeSWITCH. Open it with `open_freeswitch`."""

    def __init__(self, settings: FreeSwitch) -> None:
        self.settings = settings
        self.on_answer: Callable[[SwitchCommand, float], None] | None = None
        """Optional callback that receives each command and the time of its answer, in seconds."""
        self._tenants = Tenants(settings.dialling, settings.account_dialling)
        self._reader = EventReader(settings, log)
        self._outlet = self._reader.outlet
        self._lister = ChannelLister(settings, self._reader)
        self._sender = CommandSender(
            settings, self._reader, self._lister, on_answer=self._answered, log=log
        )
        self._connection: EventSocketConnection | None = None
        self._reconnection = Reconnection(
            first_s=settings.reconnect_first_s,
            longest_s=settings.reconnect_longest_s,
            report=self._lost,
            log=log.bind(host=settings.host, port=settings.port),
        )
        self._started = False
        self._closed = False

    def _answered(self, command: SwitchCommand, took_s: float) -> None:
        if self.on_answer is not None:
            self.on_answer(command, took_s)

    # ------------------------------------------------------------------ Backend

    @property
    def capabilities(self) -> Capabilities:
        """Everything except early media of targets that are called through the dialplan."""
        through_dialplan = any(one.template.startswith("loopback/") for one in self._tenants.all())
        return Capabilities(reports_early_media=not through_dialplan)

    def choose(self, tenants: Tenants[Dialling]) -> None:
        """Call targets in another way from now on."""
        self._tenants = tenants
        self._sender.choose(tenants)

    def events(self) -> AsyncIterator[e.CallEvent]:
        """Yield the events of the switch."""
        return self._outlet.taken

    async def perform(self, command: SwitchCommand) -> None:
        """Send a command. It is dropped without a connection: see the module."""
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise BackendClosed("the backend is closed")
        if self._connection is not None:
            self._sender.put(command)

    async def snapshot(self) -> tuple[e.LegSnapshot, ...]:
        """List every leg that lives on the switch."""
        connection = self._connection
        if self._closed or connection is None:
            raise BackendClosed("the switch is not connected")
        try:
            return Halves.sort(await self._lister.look(connection))
        except EventSocketLost as lost:
            raise BackendClosed(str(lost)) from lost

    @property
    def dropped(self) -> int:
        """How many events were dropped because the engine did not take them in time."""
        return self._outlet.dropped

    @property
    def reconnects(self) -> int:
        """How often the connection has been lost."""
        return self._reconnection.lost

    @property
    def is_up(self) -> bool:
        """Whether there is a connection to the switch now."""
        return self._connection is not None

    def break_line(self) -> None:
        """Cut the connection, as a network failure would. For tests."""
        if self._connection is not None:
            self._connection.cut()

    # ------------------------------------------------------------ life of connections

    async def run(
        self,
        *,
        opening: bool = False,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Keep a connection to the switch, until cancelled (see `Connecting.run`).

        Raises:
            Rejected: only while `opening`: the switch refuses the login.
        """
        try:
            await self._reconnection.run(partial(self._use, task_status), opening=opening)
        finally:
            self._closed = True
            self._outlet.close()

    async def _lost(self, why: str) -> None:
        await self._outlet.report(e.SwitchLost(switch=self.settings.name, reason=why))

    async def _use(self, task_status: trio.TaskStatus[None]) -> Ended:
        """Connect, and use the connection until it dies.

        Raises:
            Rejected: the switch refuses the login.
        """
        settings = self.settings
        try:
            with trio.fail_after(settings.connect_timeout_s):
                stream = await connect(settings.host, settings.port, settings.tls)
        except (OSError, trio.BrokenResourceError, trio.TooSlowError) as error:
            return Ended(f"{settings.host}:{settings.port} can't be reached: {cause_of(error)}")
        return await self._serve(stream, task_status)

    async def _serve(self, stream: trio.abc.Stream, task_status: trio.TaskStatus[None]) -> Ended:
        """Use one connection until it dies.

        Raises:
            Rejected: the switch refuses the login.
        """
        connection = EventSocketConnection(stream, self.settings.reply_timeout_s)
        self._reader.begin()
        rejected: Rejected | None = None
        was_up = False
        try:
            async with stream, trio.open_nursery() as nursery:
                nursery.start_soon(self._read, connection, nursery.cancel_scope)
                await self._greet(connection)
                living = await self._lister.find(connection)
                self._connection, was_up = connection, True
                self._reader.on_unknown = self._sender.ask
                if not self._started:
                    self._started = True
                    task_status.started()
                log.info("switch.connected", host=self.settings.host, port=self.settings.port)
                nursery.start_soon(watch_over, connection, self.settings)
                nursery.start_soon(ask_for_events, connection, self._reader)
                await self._lister.report_all(living)
                nursery.start_soon(
                    self._outlet.catch_up, partial(self._lister.report_again, connection)
                )
                await self._sender.send_all(connection)
        except* EventSocketLost as lost:
            connection.die(str(lost.exceptions[0]))
        except* Rejected as refusal:
            rejected = Rejected(str(refusal.exceptions[0]))
        finally:
            self._connection = self._reader.on_unknown = None
            self._outlet.let_go()
            self._sender.drop()
            why = str(connection.die("the line is closed"))
        if connection.rejected and not rejected:
            rejected = Rejected(
                f"{self.settings.host}:{self.settings.port} refuses the login: {why}"
            )
        if rejected is not None:
            raise rejected
        return Ended(why, was_up=was_up)

    async def _read(self, connection: EventSocketConnection, scope: trio.CancelScope) -> None:
        try:
            await connection.read(self._reader.take)
        except EventSocketLost:
            scope.cancel()

    async def _greet(self, connection: EventSocketConnection) -> None:
        reply = (await connection.ask(f"auth {self.settings.password}")).header("reply-text")
        if not reply.startswith("+OK"):
            raise Rejected(f"{self.settings.host}:{self.settings.port} refuses the login: {reply}")
        reply = (await connection.ask("event json " + " ".join(EVENT_NAMES))).header("reply-text")
        if not reply.startswith("+OK"):
            raise EventSocketLost(f"the switch refuses to send events: {reply}")


@asynccontextmanager
async def open_freeswitch(settings: FreeSwitch) -> AsyncGenerator[FreeSwitchBackend]:
    """Open a connection to a FreeSWITCH, and keep it open.

    Args:
        settings: its address and how to use it.

    Yields:
        The backend, once it is connected for the first time.

    Raises:
        Rejected: the switch refuses the login.
    """
    async with kept_open(FreeSwitchBackend(settings)) as backend:
        yield backend
