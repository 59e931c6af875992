"""One Asterisk over ARI and AMI, on trio.

`hearing` reads events, `looking` asks for the living legs, `ordering` executes commands, and
`memory` holds what the three know about the legs; this module gives them a connection. Promises
beyond those of `Backend`:

* **Both connections or none.** ARI reports events, AMI moves legs (see `connection`).
* **It reconnects**, with back-off and jitter, without a limit; then it asks for the living legs,
  and reports them as facts between `SwitchLost` and `SwitchFound`. Legs that found no controller
  meanwhile wait in the dialplan, with music; they are taken over at once.
* **Requirements are checked first**: the dialplan and the modules (see `readiness`).

A command whose connection dies is neither repeated nor reported, since it may have been executed.
The facts that are reported again, and the engine's deadline, decide.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

import structlog
import trio

from hookflash import events as e
from hookflash.backends.asterisk.ari import UNREACHABLE, AriLogin, AriRefused, get, open_ari
from hookflash.backends.asterisk.connection import LOST, AsteriskConnection, Link
from hookflash.backends.asterisk.hearing import NewsReader
from hookflash.backends.asterisk.looking import LegLister
from hookflash.backends.asterisk.manager import ManagerLogin, ManagerRefused, open_manager
from hookflash.backends.asterisk.memory import LegMemory
from hookflash.backends.asterisk.ordering import OrderRunner
from hookflash.backends.asterisk.procedures import AsteriskDialling
from hookflash.backends.asterisk.readiness import check_switch
from hookflash.backends.asterisk.requests import filter_request, is_ok
from hookflash.backends.asterisk.settings import Asterisk
from hookflash.backends.base import Capabilities, Rejected
from hookflash.backends.halves import Halves
from hookflash.backends.reconnecting import Ended, Reconnection, kept_open
from hookflash.backends.tenants import Tenants
from hookflash.commands import SwitchCommand
from hookflash.errors import BackendClosed, first_of

# By the standard library's logging: nothing is printed in a program that does not configure it.
log = structlog.wrap_logger(logging.getLogger("hookflash.asterisk"))

FIRST_ANSWER_S: Final = 0.5
"""Timeout for the first answer of a new WebSocket. One that was opened immediately after the last
may be dead from the start (measured on 22.10.1: 3 of 200)."""


class AsteriskBackend:
    """A `Backend` on one Asterisk. Open it with `open_asterisk`."""

    def __init__(self, settings: Asterisk) -> None:
        """Begin without known legs."""
        self.settings = settings
        self.on_answer: Callable[[SwitchCommand, float], None] | None = None
        """Optional callback that receives each command and how long it took, in seconds."""
        self._link = Link()
        self._memory = LegMemory(settings, log)
        self._outlet = self._memory.outlet
        self._reader = NewsReader(
            settings,
            self._memory,
            self._link,
            on_left_park=self._left_the_park,
            on_replaced=self._replaced,
            log=log,
        )
        self._lister = LegLister(settings, self._memory, self._reader)
        self._runner = OrderRunner(
            settings,
            self._memory,
            self._reader,
            self._lister,
            self._link,
            on_answer=self._answered,
            log=log,
        )
        self._reconnection = Reconnection(
            first_s=settings.reconnect_first_s,
            longest_s=settings.reconnect_longest_s,
            report=self._lost,
            log=log.bind(host=settings.host),
        )
        self._rejected: Rejected | None = None
        self._is_replaced = False
        self._started = False
        self._closed = False

    def _answered(self, command: SwitchCommand, took_s: float) -> None:
        if self.on_answer is not None:
            self.on_answer(command, took_s)

    # ------------------------------------------------------------------ Backend

    @property
    def capabilities(self) -> Capabilities:
        """All but two: Asterisk can't withhold keys from a leg, and does not number digits."""
        return Capabilities(withholds_keys=False, numbers_keys=False)

    def choose(self, tenants: Tenants[AsteriskDialling]) -> None:
        """Call targets in another way from now on."""
        self._runner.procedures.tenants = tenants

    def events(self) -> AsyncIterator[e.CallEvent]:
        """Yield the events of the switch."""
        return self._outlet.taken

    async def perform(self, command: SwitchCommand) -> None:
        """Send a command. It is dropped without a connection: see the module."""
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise BackendClosed("the backend is closed")
        connection = self._link.connection
        if connection is not None and not connection.is_dead:
            self._runner.put(command)

    async def snapshot(self) -> tuple[e.LegSnapshot, ...]:
        """List every leg that lives on the switch."""
        connection = self._link.connection
        if self._closed or connection is None:
            raise BackendClosed("the switch is not connected")
        try:
            return Halves.sort((await self._lister.look(connection)).living)
        except LOST as lost:
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
        return self._link.connection is not None

    def break_line(self) -> None:
        """Cut the connection, as a network failure would. For tests."""
        self._link.cut("the line was cut")

    # ------------------------------------------------------------ life of connections

    async def run(
        self,
        *,
        opening: bool = False,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Keep a connection to the switch, until cancelled (see `Connecting.run`).

        Raises:
            Rejected: only while `opening`: the switch refuses the login, or lacks something.
        """
        try:
            await self._reconnection.run(partial(self._use_one, task_status), opening=opening)
        finally:
            self._closed = True
            self._outlet.close()

    async def _lost(self, why: str) -> None:
        await self._outlet.report(e.SwitchLost(switch=self.settings.name, reason=why))

    async def _use_one(self, task_status: trio.TaskStatus[None]) -> Ended:
        """Use one connection until it dies.

        Raises:
            Rejected: another controller has taken the switch from us, and still has it.
        """
        if self._is_replaced and await self._is_taken():
            raise Rejected(self._replacement)
        self._is_replaced = False
        self._memory.begin()
        self._reader.hold()
        self._rejected = None
        why = "the line was closed"
        was_up = False
        try:
            async with open_manager(self._manager_login(), self._reader.hear) as manager:
                async with open_ari(self._ari_login(), self._reader.take) as ari:
                    connection = AsteriskConnection(ari, manager)
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(connection.watch, nursery.cancel_scope)
                        try:
                            await self._use(connection, nursery, task_status)
                        finally:  # before the nursery closes, and takes no more orders
                            was_up = self._link.connection is not None
                            self._link.end()
                            self._lister.let_go()
                why = str(ari.die("the line was closed"))
        except* LOST as lost:
            why = str(first_of(lost))
        except* ManagerRefused as refusal:
            self._rejected = Rejected(
                f"AMI at {self.settings.host}:{self.settings.ami_port} does not accept the user"
                f" {self.settings.username!r} or its password: {first_of(refusal)}"
            )
        except* (AriRefused, Rejected) as refusal:
            self._rejected = Rejected(str(first_of(refusal)))
        finally:
            self._runner.let_go()
            self._reader.let_go()
        if self._rejected is not None:
            return Ended(str(self._rejected), was_up=was_up, is_rejected=True)
        return Ended(why, was_up=was_up)

    async def _use(
        self,
        connection: AsteriskConnection,
        nursery: trio.Nursery,
        task_status: trio.TaskStatus[None],
    ) -> None:
        await self._greet(connection)
        found = await self._lister.find(connection)
        if self._rejected is not None:
            raise self._rejected
        self._link.begin(connection, nursery)
        if not self._started:
            self._started = True
            task_status.started()
        log.info("switch.connected", host=self.settings.host)
        nursery.start_soon(connection.keep_asking, self.settings.heartbeat_s)
        await self._lister.report_all(found)
        await self._outlet.catch_up(lambda: self._lister.report_again(connection))

    def _manager_login(self) -> ManagerLogin:
        settings = self.settings
        return ManagerLogin(
            host=settings.host,
            port=settings.ami_port,
            username=settings.username,
            secret=settings.password,
            events="call",
            timeout_s=settings.request_timeout_s,
            tls=settings.tls,
        )

    def _ari_login(self) -> AriLogin:
        settings = self.settings
        return AriLogin(
            host=settings.host,
            port=settings.ari_port,
            username=settings.username,
            password=settings.password,
            application=settings.application,
            timeout_s=settings.request_timeout_s,
            tls=settings.tls,
        )

    async def _greet(self, connection: AsteriskConnection) -> None:
        """Subscribe to events, and check whether the switch has all that is needed.

        Raises:
            Rejected: the switch lacks something.
        """
        reply = await connection.ari.ask(filter_request(self.settings.application), FIRST_ANSWER_S)
        if not is_ok(reply):
            raise Rejected(f"ARI sends no events: {reply.status_code} {reply.message_body}")
        if not self._started:
            await check_switch(connection, self.settings.host, self.settings.context)

    def _replaced(self) -> None:
        """Give the switch up to another controller, until that one is gone.

        Otherwise two of one name would take it from each other for ever.
        """
        self._is_replaced = True
        self._rejected = Rejected(self._replacement)
        self.break_line()

    @property
    def _replacement(self) -> str:
        return (
            f"another controller has registered with {self.settings.host} as"
            f" {self.settings.application!r}: give each an application of its own"
        )

    async def _is_taken(self) -> bool:
        """Whether a controller is registered under our name."""
        path = f"/ari/applications/{quote(self.settings.application)}"
        with trio.move_on_after(self.settings.request_timeout_s), suppress(*UNREACHABLE):
            status, _ = await get(self._ari_login(), path)
            return status == HTTPStatus.OK
        return True  # who knows

    def _left_the_park(self, leg: e.LegId) -> None:
        """Handle a leg that left our park: by our order, its failsafe, or another program."""
        if leg not in self._memory.steps.moving:
            self._link.start_soon(self._lister.see_where, leg)


@asynccontextmanager
async def open_asterisk(settings: Asterisk) -> AsyncGenerator[AsteriskBackend]:
    """Open a connection to an Asterisk, and keep it open.

    Args:
        settings: its address and how to use it.

    Yields:
        The backend, once it is connected for the first time.

    Raises:
        Rejected: the switch refuses the login, or lacks something that is needed.
    """
    async with kept_open(AsteriskBackend(settings)) as backend:
        yield backend
