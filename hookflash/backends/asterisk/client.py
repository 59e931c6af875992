"""One Asterisk over ARI and AMI, on trio.

What it promises besides `Backend`:

* **Both connections or none.** ARI tells what happens, AMI moves legs (see `line`).
* **It comes back.** With back-off and jitter, for ever; then it asks what lives, and tells it as
  facts, between `SwitchLost` and `SwitchFound`. Legs that met no controller meanwhile wait in the
  dialplan, with music; they are handed in at once.
* **Commands for one leg don't overtake one another; those for others don't wait.** Each request has
  a time limit; where one passes, the line is cut, and a new one shows what has become of it.
* **What we need is checked first**: the dialplan and the modules (see `readiness`).

A command whose line dies under it is neither repeated nor reported: nobody knows whether it was
carried out. The facts that are told anew, and the deadline of the engine, decide.
"""

from __future__ import annotations

import ipaddress
import logging
import math
import random
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import count
from typing import Final, TypeVarTuple, Unpack

import attrs
import structlog
import trio

from hookflash import commands as c
from hookflash import events as e
from hookflash.backends.asterisk.ari import AriLogin, AriRefused, open_ari
from hookflash.backends.asterisk.ari_messages import AriChannel, AriMessage, AriPlayback
from hookflash.backends.asterisk.channels import (
    KnownLeg,
    Seen,
    noted_sound,
    read_seen,
    waits_for_a_controller,
)
from hookflash.backends.asterisk.connection import LOST, AsteriskConnection
from hookflash.backends.asterisk.dialplan import (
    DEFAULT_APPLICATION,
    DEFAULT_CONTEXT,
    PARK_LIMIT_S,
    checked_setting,
)
from hookflash.backends.asterisk.inbound import (
    DEFAULT_OUTSIDE_CONTEXTS,
    AsteriskInbound,
    AsteriskReading,
    endpoint_of,
    is_party,
    sound_of,
)
from hookflash.backends.asterisk.manager import (
    ManagerLogin,
    ManagerRefused,
    open_manager,
)
from hookflash.backends.asterisk.manager_wire import Message
from hookflash.backends.asterisk.primitives import (
    DEFAULT_ACCOUNT_VARIABLE,
    SETTLES_S,
    AsteriskProcedure,
    Redirect,
)
from hookflash.backends.asterisk.procedures import AsteriskDialling, AsteriskProcedures, KnownParty
from hookflash.backends.asterisk.readiness import check_switch
from hookflash.backends.asterisk.requests import (
    barrier_request,
    channel_request,
    filter_request,
    is_ok,
    redirect_action,
    stop_request,
)
from hookflash.backends.asterisk.steps import Steps
from hookflash.backends.base import ID_IN_USE, Capabilities, Rejected
from hookflash.backends.halves import Halves
from hookflash.backends.outlet import Outlet
from hookflash.errors import BackendClosed, InputError, first_of
from hookflash.sounds import Tone

# Into the standard library's logging: a program that configures nothing is not talked into.
log = structlog.wrap_logger(logging.getLogger("hookflash.asterisk"))

FIRST_ANSWER_S: Final = 0.5
"""How long the first answer of a new WebSocket may take. One that was opened on the heels of the
last may be a ghost, on which nothing ever comes (measured on 22.10.1: 3 of 200)."""

_NOT_THERE: Final = "404"
_JITTER: Final = random.SystemRandom()
_Arguments = TypeVarTuple("_Arguments")


@attrs.frozen(kw_only=True)
class Asterisk:
    """Where an Asterisk is, and how it is used.

    Raises:
        InputError: a password with a control character, or no password for another machine; a
            name that can't stand in a dialplan.
    """

    host: str = "127.0.0.1"
    ari_port: int = 8088
    ami_port: int = 5038
    username: str = "hookflash"
    """Of both, ARI and AMI."""
    password: str = attrs.field(default="", repr=False)
    name: str = ""
    """What events call it; for programs that have several."""
    tls: ssl.SSLContext | None = attrs.field(default=None, repr=False)
    """For both connections: a context that checks the switch's certificate and host name."""
    dialling: AsteriskDialling = attrs.field(factory=AsteriskDialling)
    account_variable: str = DEFAULT_ACCOUNT_VARIABLE
    """The channel variable that says whose leg it is, where it is not `accountcode`."""
    outside_contexts: frozenset[str] = DEFAULT_OUTSIDE_CONTEXTS
    """The contexts of endpoints that are outside lines: a party that calls in there, or is called
    over such an endpoint, may not transfer, unless the account's rules say so."""
    context: str = DEFAULT_CONTEXT
    """The context of the dialplan that hookflash brings."""
    application: str = DEFAULT_APPLICATION
    """Under which name it registers with ARI. A second controller of the same name takes the
    switch away from the first."""
    park_limit_s: float = PARK_LIMIT_S
    """After so long the switch itself ends a parked leg that nobody fetches; longer than any
    hold limit."""
    request_timeout_s: float = 5.0
    """A response that takes longer means a dead line."""
    reconnect_first_s: float = 0.1
    """How long before the first try to come back; then twice as long each time, with jitter, …"""
    reconnect_longest_s: float = 15.0
    """… up to this."""
    event_buffer: int = 20_000
    """How many events may wait for the engine: some seconds of a busy switch."""

    def __attrs_post_init__(self) -> None:
        if any(ord(char) < ord(" ") for char in self.password + self.username):
            raise InputError("the user or the password has a control character in it")
        checked_setting(self.context, "the context")
        checked_setting(self.application, "the application")
        checked_setting(self.account_variable, "the account's variable")
        if not self.password and not _is_loopback(self.host):
            raise InputError(
                "a switch that is not on this machine needs a password",
                where=self.host,
                mend="set one in ari.conf and manager.conf, and here",
            )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@attrs.define(eq=False)
class _PendingOrder:
    """A command that is to be carried out, and what must be done before."""

    command: c.SwitchCommand
    procedure: AsteriskProcedure | None
    legs: frozenset[e.LegId]
    behind: tuple[trio.Event, ...]
    done: trio.Event = attrs.field(factory=trio.Event)


@attrs.frozen
class _Survey:
    """All that lives."""

    seen: Seen
    living: tuple[e.LegSnapshot, ...]
    heard: int
    """How many events had come before it was asked for: what came later may be newer."""


@attrs.define(eq=False)
class _Listing:
    """A list of all that lives, for all who wait for it."""

    come: trio.Event = attrs.field(factory=trio.Event)
    found: _Survey | None = None


# ------------------------------------------------------------------ the backend


class AsteriskBackend:
    """A `Backend` on one Asterisk. Open it with `open_asterisk`."""

    def __init__(self, settings: Asterisk) -> None:
        """Begin with nothing known."""
        self.settings = settings
        self.reconnects = 0
        self.on_answer: Callable[[c.SwitchCommand, float], None] | None = None
        """Optional callback that receives how long the switch took to carry out a command."""
        self._reading = AsteriskReading(
            account_variable=settings.account_variable, outside_contexts=settings.outside_contexts
        )
        self._parties: dict[e.LegId, KnownParty] = {}
        self._known: dict[e.LegId, KnownLeg] = {}
        self._procedures = AsteriskProcedures(
            party_of=self._party_of,
            dialling=settings.dialling,
            context=settings.context,
            park_limit_s=settings.park_limit_s,
            account_variable=settings.account_variable,
        )
        self._outlet = Outlet(settings.event_buffer, self._remember, log)
        self._inbound = AsteriskInbound(self._reading)
        self._steps = Steps(settings.context)
        self._lanes: dict[e.LegId, trio.Event] = {}
        """Of each leg, when the last order for it is done."""
        self._dials: dict[e.LegId, c.Dial] = {}
        """Calls that have not been answered."""
        self._joins: dict[e.LegId, c.Join] = {}
        """By its first leg, what each was ordered into last."""
        self._barriers: dict[str, trio.Event] = {}
        self._put_off: list[AriMessage | Message] | None = None
        """What has been heard since all that lives was asked for: newer than the list."""
        self._caught_up = trio.Event()
        """Whether nothing is put off."""
        self._joined_s: dict[e.LegId, float] = {}
        """When a leg was joined with another one last."""
        self._missing_music: set[str] = set()
        """Classes of music that were missing, and of which it was warned."""
        self._heard = 0
        """How many events have come."""
        self._heard_of: dict[e.LegId, int] = {}
        """Which was the last one about a leg."""
        self._listing: _Listing | None = None
        """The list that is asked for next, if anybody waits for it."""
        self._listing_turn = trio.StrictFIFOLock()
        self._numbers = count(1)
        self._line: AsteriskConnection | None = None
        self._nursery: trio.Nursery | None = None
        self._rejected: Rejected | None = None
        self._started = False
        self._closed = False

    # ------------------------------------------------------------------ Backend

    @property
    def capabilities(self) -> Capabilities:
        """All but two: Asterisk can't keep keys from a leg, and its digits have no number."""
        return Capabilities(withholds_keys=False, numbers_keys=False)

    def events(self) -> AsyncIterator[e.CallEvent]:
        """What happens on the switch."""
        return self._outlet.taken

    async def perform(self, command: c.SwitchCommand) -> None:
        """Send a command on its way. While the line is down it is dropped: see the module."""
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise BackendClosed("the backend is closed")
        line = self._line
        if line is None or line.is_dead:
            return
        try:
            procedure = self._procedures.of(command)
        except InputError as refused:
            log.warning("a command was refused before it was sent", why=str(refused))
            self._refused(command, str(refused))
            return
        if procedure is not None or isinstance(command, c.Look):
            self._start_soon(self._carry_out, self._queued(command, procedure))

    def _start_soon(
        self,
        task: Callable[[AsteriskConnection, Unpack[_Arguments]], Awaitable[None]],
        *args: *_Arguments,
    ) -> None:
        """Start a task on the line. Where it is down, or about to be, there is nothing to do."""
        line, nursery = self._line, self._nursery
        if line is not None and nursery is not None and not line.is_dead:
            nursery.start_soon(task, line, *args)

    async def snapshot(self) -> tuple[e.LegSnapshot, ...]:
        """List every leg that lives on the switch."""
        line = self._line
        if self._closed or line is None:
            raise BackendClosed("the switch is away")
        try:
            return Halves.sort((await self._look(line)).living)
        except LOST as lost:
            raise BackendClosed(str(lost)) from lost

    @property
    def dropped(self) -> int:
        """How many events were dropped because nobody took them in time."""
        return self._outlet.dropped

    @property
    def is_up(self) -> bool:
        """Whether there is a line to the switch now."""
        return self._line is not None

    def break_line(self) -> None:
        """Cut the line, as a network would, to see what happens then."""
        if self._line is not None:
            self._line.die("the line was cut")

    # -------------------------------------------------------------- life of lines

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep a line to the switch, until cancelled.

        Raises:
            Rejected: the switch doesn't let us in, or lacks something that we need.
        """
        pause_s = self.settings.reconnect_first_s
        try:
            while True:
                began = trio.current_time()
                await self._serve(task_status)
                self.reconnects += 1
                # a line that is taken and dies young is no better than one that is not taken
                if trio.current_time() - began > self.settings.reconnect_longest_s:
                    pause_s = self.settings.reconnect_first_s
                await trio.sleep(pause_s + _JITTER.uniform(0, self.settings.reconnect_first_s))
                pause_s = min(2 * pause_s, self.settings.reconnect_longest_s)
        finally:
            self._closed = True
            self._outlet.close()

    async def _serve(self, task_status: trio.TaskStatus[None]) -> None:
        """Use one line until it dies.

        Raises:
            Rejected: the switch doesn't let us in, or lacks something that we need.
        """
        self._inbound = AsteriskInbound(self._reading)
        self._heard_of.clear()
        self._hold()
        why = "the line was closed"
        was_up = False
        try:
            async with open_manager(self._manager_login(), self._hear) as manager:
                async with open_ari(self._ari_login(), self._take) as ari:
                    line = AsteriskConnection(ari, manager)
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(line.watch, nursery.cancel_scope)
                        try:
                            await self._use(line, nursery, task_status)
                        finally:  # before the nursery closes, and takes no more orders
                            was_up = self._line is not None
                            self._line = self._nursery = self._listing = None
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
            self._lanes.clear()
            self._barriers.clear()
            self._put_off = None
            self._outlet.let_go()
        if self._rejected is not None:
            raise self._rejected
        log.warning("line is down", host=self.settings.host, why=why)
        if was_up:
            await self._outlet.tell(e.SwitchLost(switch=self.settings.name, reason=why))

    async def _use(
        self, line: AsteriskConnection, nursery: trio.Nursery, task_status: trio.TaskStatus[None]
    ) -> None:
        await self._greet(line)
        found = await self._find(line)
        if self._rejected is not None:
            raise self._rejected
        self._line, self._nursery = line, nursery
        if not self._started:
            self._started = True
            task_status.started()
        log.info("line is up", host=self.settings.host)
        await self._tell_all(found)
        await self._outlet.catch_up(lambda: self._tell_anew(line))

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

    async def _greet(self, line: AsteriskConnection) -> None:
        """Ask for the events that we read, and see whether the switch has all that we need.

        Raises:
            Rejected: it has not.
        """
        told = await line.ari.ask(filter_request(self.settings.application), FIRST_ANSWER_S)
        if not is_ok(told):
            raise Rejected(f"ARI refuses to send events: {told.status_code} {told.message_body}")
        if not self._started:
            await check_switch(line, self.settings.host, self.settings.context)

    # ------------------------------------------------------------------- hearing

    def _take(self, told: AriMessage) -> None:
        """Take an event of ARI."""
        match told.type:
            case "ApplicationReplaced":
                self._replaced()
            case "ChannelUserevent":
                barrier = self._barriers.pop(told.eventname, None)
                if barrier is not None:
                    barrier.set()
            case _:
                if told.type == "StasisStart" and told.channel is not None:
                    self._steps.parked(told.channel.id)
                self._put_off_or_read(told)

    def _hear(self, message: Message) -> None:
        """Take an event of AMI."""
        if message.event in ("MusicOnHoldStart", "MusicOnHoldStop"):
            self._put_off_or_read(message)

    def _put_off_or_read(self, news: AriMessage | Message) -> None:
        if self._put_off is None:
            self._read(news)
        elif len(self._put_off) < self.settings.event_buffer:
            self._put_off.append(news)
        else:
            self._outlet.drop()

    def _read(self, news: AriMessage | Message) -> None:
        if isinstance(news, Message):
            self._check_music(news)
            for event in self._inbound.music(news):
                self._give(event)
            return
        self._note_heard(news)
        if news.type == "StasisEnd" and news.channel is not None:
            self._left_the_park(news.channel.id)
            return
        if news.type == "StasisStart" and news.channel is not None:
            self._came_to_park(news.channel)
        for event in self._inbound.receive(news):
            self._give(event)
        if news.type == "PlaybackStarted" and news.playback is not None:
            self._time(news.playback)
        if news.type == "ChannelDestroyed" and news.channel is not None:
            self._heard_of.pop(news.channel.id, None)  # the inbound side knows that it is gone

    def _note_heard(self, news: AriMessage) -> None:
        self._heard += 1
        for channel in news.channels:
            if is_party(channel.name) and not self._inbound.is_gone(channel.id):
                self._heard_of[channel.id] = self._heard

    def _check_music(self, news: Message) -> None:
        """Warn, once for each class, that the switch plays other music than was ordered."""
        if news.event != "MusicOnHoldStart":
            return
        plays = news.get("class")
        missing = self._steps.missing_music(news.get("uniqueid"), plays)
        if missing and missing not in self._missing_music:
            self._missing_music.add(missing)
            log.warning(
                "a music class is not there",
                host=self.settings.host,
                music=missing,
                plays=plays,
                fix=f"add [{missing}] to musiconhold.conf, then `moh reload`",
            )

    def _time(self, playback: AriPlayback) -> None:
        """A tone that is to be played so many times falls silent by itself, but does not end."""
        sound = sound_of(playback.media_uri)
        if isinstance(sound, Tone) and sound.lasts_s is not None:
            leg = playback.target_uri.removeprefix("channel:")
            self._start_soon(self._end_after, leg, playback.id, sound.lasts_s)

    async def _end_after(
        self, line: AsteriskConnection, leg: e.LegId, playback: str, after_s: float
    ) -> None:
        await trio.sleep(after_s)
        if self._steps.plays.get(leg) == playback:
            del self._steps.plays[leg]
            await self._trying(line, line.ask(stop_request(playback)))

    @staticmethod
    async def _trying(line: AsteriskConnection, asking: Awaitable[object]) -> None:
        """Do something on a line; if it dies, that is all."""
        try:
            await asking
        except LOST as lost:
            line.die(str(lost))

    def _replaced(self) -> None:
        """Two controllers of one name would take the switch from each other for ever."""
        self._rejected = Rejected(
            f"another controller has registered with {self.settings.host} as"
            f" {self.settings.application!r}: give each an application of its own"
        )
        self.break_line()

    def _give(self, event: e.CallEvent) -> None:
        if isinstance(event, e.LegCreated) and event.leg in self._dials:
            # a call that fails at once has never got its number
            event = attrs.evolve(event, number=self._dials[event.leg].target)
        if isinstance(event, e.LegsJoined):
            self._note_joined(event.first, event.second)
        self._outlet.give(event)

    def _remember(self, event: e.CallEvent) -> None:
        """Keep in mind what has been told, and only that: what was dropped is not known."""
        match event:
            case e.LegCreated(leg=leg):
                self._known[leg] = KnownLeg(
                    direction=event.direction, outside=event.outside, number=event.number
                )
                self._parties[leg] = KnownParty(
                    direction=event.direction,
                    account=event.account,
                    number=event.number,
                    name=event.name,
                    withheld=event.withheld,
                )
            case e.LegIdentified(leg=leg, account=account) if leg in self._parties:
                known = self._parties[leg]
                self._parties[leg] = attrs.evolve(
                    known,
                    account=account or known.account,
                    withheld=known.withheld or bool(event.withheld),
                )
            case e.LegAnswered(leg=leg):
                self._dials.pop(leg, None)
            case e.LegHungUp(leg=leg):
                self._steps.forget(leg)
                for kept in (self._parties, self._known, self._dials, self._joins, self._joined_s):
                    kept.pop(leg, None)
            case _:
                pass

    def _party_of(self, leg: e.LegId) -> KnownParty:
        return attrs.evolve(
            self._parties.get(leg, KnownParty()), channel=self._inbound.name_of(leg)
        )

    # ------------------------------------------------------------------- the park

    def _came_to_park(self, channel: AriChannel) -> None:
        """A leg is handed in. If a join has come to nothing, that is why."""
        if not channel.dialplan.app_data.endswith(",unjoined"):
            return  # it may be news of a park that was ordered before the join
        join = self._joins.pop(channel.id, None)
        if join is not None:
            reason = "there is nobody to join it with any more"
            self._outlet.give(e.CommandFailed(command=join, reason=reason))

    def _left_the_park(self, leg: e.LegId) -> None:
        """A leg has left our keeping: by our order, by its failsafe, or by somebody else's."""
        if leg not in self._steps.moving:
            self._start_soon(self._see_where, leg)

    async def _see_where(self, line: AsteriskConnection, leg: e.LegId) -> None:
        await trio.sleep(SETTLES_S)
        if self._inbound.is_alone(leg):
            await self._trying(line, self._tell_if_elsewhere(line, leg))

    async def _tell_if_elsewhere(self, line: AsteriskConnection, leg: e.LegId) -> None:
        found = await self._look(line)
        if any(one.leg == leg and one.elsewhere for one in found.living):
            self._outlet.give(e.LegMovedAway(leg=leg))

    # ------------------------------------------------------------------- looking

    def _hold(self) -> None:
        """Begin to look at what lives: what is heard from now on is read after that."""
        self._put_off = []
        self._caught_up = trio.Event()
        self._outlet.hold()

    async def _tell_anew(self, line: AsteriskConnection) -> None:
        self._hold()
        await self._tell_all(await self._find(line))

    async def _tell_all(self, found: _Survey) -> None:
        self._note(found, found.living)
        await self._outlet.tell_all(found.living, self.settings.name)
        listed = {leg.leg for leg in found.living}
        put_off, self._put_off = self._put_off or [], None
        for news in put_off:
            if not (isinstance(news, AriMessage) and news.begins in listed):
                self._read(news)
        self._caught_up.set()

    async def _find(self, line: AsteriskConnection) -> _Survey:
        """Ask what lives; legs that wait for a controller are handed in first."""
        context = self.settings.context
        seen = await line.list()
        joined = {member for bridge in seen.bridges for member in bridge.channels}
        waiting = [
            redirect_action(Redirect(channel.id, "park"), context)
            for channel in seen.channels
            if waits_for_a_controller(channel, context) and channel.id not in joined
        ]
        if waiting:
            await line.act(waiting)
            await trio.sleep(SETTLES_S)
        return await self._look(line)

    async def _look(self, line: AsteriskConnection) -> _Survey:
        """Ask what lives. The end of a leg that is heard of meanwhile is newer."""
        heard = self._heard
        seen = await line.list()
        outside = await self._outside(line, seen.channels)
        seen = seen.without(self._inbound.is_gone)
        living = read_seen(
            seen,
            reading=self._reading,
            context=self.settings.context,
            known=self._known,
            outside=outside,
        )
        return _Survey(seen, living, heard)

    async def _outside(
        self, line: AsteriskConnection, channels: Iterable[AriChannel]
    ) -> frozenset[e.LegId]:
        """Of legs whose beginning we have not seen: which are on outside lines.

        One of which the switch can't say it is careful to take for an outside line.
        """
        endpoints = {
            channel.id: endpoint_of(channel.name)
            for channel in channels
            if channel.id not in self._known and not channel.name.startswith("Local/")
        }
        contexts = {
            endpoint: await self._context_of(line, endpoint) for endpoint in {*endpoints.values()}
        }
        outside = {"", *self.settings.outside_contexts}
        return frozenset(
            leg for leg, endpoint in endpoints.items() if contexts[endpoint] in outside
        )

    @staticmethod
    async def _context_of(line: AsteriskConnection, endpoint: str) -> str:
        """The context that an endpoint calls in; empty if it is not known."""
        if not endpoint:
            return ""
        try:
            return await line.value(f"PJSIP_ENDPOINT({endpoint},context)")
        except Rejected:
            return ""

    def _note(self, found: _Survey, living: Iterable[e.LegSnapshot]) -> None:
        """Keep in mind what was seen, as if events had told it."""
        channels = {channel.id: channel for channel in found.seen.channels}
        told: set[e.LegId] = set()
        for leg in living:
            told.add(leg.leg)
            channel = channels[leg.leg]
            self._inbound.note_living(channel, leg)
            playback, _ = noted_sound(channel)
            if leg.parked:
                self._steps.moving.discard(leg.leg)  # the event of its arrival may be lost
            if playback and leg.parked:
                self._steps.plays.setdefault(leg.leg, playback)
        for bridge in found.seen.bridges:
            # the list may be newer than the events: of others, what is to come is news still
            is_theirs = bridge.channels and told.issuperset(bridge.channels)
            if is_theirs and self._is_still_so(found, bridge.channels):
                self._inbound.note_bridge(bridge)

    def _is_still_so(self, found: _Survey, legs: Iterable[e.LegId]) -> bool:
        """Whether nothing has been heard of these legs since it was looked where they are."""
        return all(self._heard_of.get(leg, 0) <= found.heard for leg in legs)

    async def _answer(self, line: AsteriskConnection, look: c.Look) -> None:
        """Say where these legs are: behind every event that the switch has sent before."""
        while True:
            found = await self._look_behind(line)
            legs = {leg.leg: leg for leg in found.living if not self._inbound.is_gone(leg.leg)}
            wanted = {*look.legs, *(legs[leg].peer or "" for leg in look.legs if leg in legs)}
            if self._is_still_so(found, wanted):
                living = tuple(leg for leg in legs.values() if leg.leg in wanted)
                self._note(found, living)
                for leg in look.legs:
                    if leg not in legs:
                        self._inbound.note_gone(leg)
                self._outlet.give(e.LegsSeen(look=look, living=living))
                return

    async def _look_behind(self, line: AsteriskConnection) -> _Survey:
        """Ask what lives, behind every event that the switch has sent before.

        One list serves all who ask while the one before is on its way: on a busy switch, hundreds
        ask at once, and each list holds everybody.
        """
        listing = self._listing
        if listing is not None:
            await listing.come.wait()
            if listing.found is None:
                raise line.ari.die("a list did not come")
            return listing.found
        listing = self._listing = _Listing()
        try:
            async with self._listing_turn:
                if self._listing is listing:  # who asks from now on needs another
                    self._listing = None
                await self._pass_barrier(line)
                listing.found = await self._look(line)
                return listing.found
        finally:
            listing.come.set()

    async def _pass_barrier(self, line: AsteriskConnection) -> None:
        """Wait until all events that were sent before now have come."""
        name = f"hookflash-{next(self._numbers)}"
        passed = self._barriers[name] = trio.Event()
        await line.ari.ask(barrier_request(self.settings.application, name))
        with trio.move_on_after(self.settings.request_timeout_s):
            await passed.wait()
            return
        raise line.ari.die("events do not come any more")

    # ------------------------------------------------------------------- speaking

    def _queued(
        self, command: c.SwitchCommand, procedure: AsteriskProcedure | None
    ) -> _PendingOrder:
        """Put a command behind all that concern its legs."""
        legs = frozenset[e.LegId]() if procedure is None else procedure.legs
        if isinstance(command, c.Look):
            legs = frozenset(command.legs)
        behind = tuple(self._lanes[leg] for leg in legs if leg in self._lanes)
        order = _PendingOrder(command, procedure, legs, behind)
        self._lanes |= dict.fromkeys(legs, order.done)
        return order

    async def _carry_out(self, line: AsteriskConnection, order: _PendingOrder) -> None:
        for event in (self._caught_up, *order.behind):
            await event.wait()
        began_s = trio.current_time()
        try:
            if isinstance(order.command, c.Look):
                await self._answer(line, order.command)
            elif order.procedure is not None:
                await self._run(line, order.command, order.procedure)
        except LOST as lost:
            line.die(str(lost))
        else:
            if self.on_answer is not None:
                self.on_answer(order.command, trio.current_time() - began_s)
        finally:
            order.done.set()
            for leg in order.legs:
                if self._lanes.get(leg) is order.done:
                    del self._lanes[leg]

    def _note_joined(self, *legs: e.LegId) -> None:
        living = (leg for leg in legs if not self._inbound.is_gone(leg))
        self._joined_s |= dict.fromkeys(living, trio.current_time())

    async def _run(
        self, line: AsteriskConnection, command: c.SwitchCommand, procedure: AsteriskProcedure
    ) -> None:
        joined_s = (self._joined_s.get(leg, -math.inf) for leg in procedure.settled)
        await trio.sleep_until(max(joined_s, default=-math.inf) + SETTLES_S)
        await trio.sleep(procedure.after_s)
        if isinstance(command, c.Join):
            self._joins[command.first] = command
        elif isinstance(command, c.Dial):
            if self._inbound.name_of(command.leg):
                self._refused(command, ID_IN_USE)
                return
            self._dials[command.leg] = command
        done = await self._steps.run(line, procedure)
        if done.refused is not None:
            await self._was_refused(line, command, done.refused)
        elif isinstance(command, c.Join) and not done.joined:
            self._note_joined(command.first, command.second)  # within a moment
        elif isinstance(command, c.Join):
            self._joins.pop(command.first, None)
            pair = {"first": command.first, "second": command.second}
            if not any(map(self._inbound.is_gone, pair.values())):  # its end is its last fact
                self._outlet.give(e.LegsSeparated(**pair))
                self._outlet.give(e.LegsJoined(**pair))
        elif isinstance(command, c.Release):
            self._outlet.give(e.LegsReleased(first=command.first, second=command.second))

    async def _was_refused(
        self, line: AsteriskConnection, command: c.SwitchCommand, reason: str
    ) -> None:
        """Say what the switch has refused.

        The refusal of a call does not say whether its id is in use: after one 409 for that reason,
        Asterisk answers 409 to other failed calls, too (measured on 22.10.1). So it is asked.
        """
        if isinstance(command, c.Dial) and await line.ask(channel_request(command.leg)) is None:
            self._dials.pop(command.leg, None)
            self._outlet.give(e.CommandFailed(command=command, reason=ID_IN_USE))
        else:
            self._refused(command, reason)

    def _refused(self, command: c.SwitchCommand, reason: str) -> None:
        """Say what a refusal means: for these two, the truth is that there is no such leg."""
        if isinstance(command, c.HangUp) and reason.startswith(_NOT_THERE):
            self._outlet.give(e.LegHungUp(leg=command.leg, cause="INVALID_CALL_REFERENCE"))
        elif isinstance(command, c.Dial) and not self._inbound.name_of(command.leg):
            self._outlet.give(e.LegHungUp(leg=command.leg, cause="INVALID_NUMBER_FORMAT"))
        else:
            self._outlet.give(e.CommandFailed(command=command, reason=reason))


@asynccontextmanager
async def open_asterisk(settings: Asterisk) -> AsyncGenerator[AsteriskBackend]:
    """Open a way to an Asterisk, and keep it open.

    Args:
        settings: where it is, and how it is used.

    Yields:
        The backend, once the line is up for the first time.

    Raises:
        Rejected: the switch doesn't let us in, or lacks something that we need.
    """
    backend = AsteriskBackend(settings)
    rejected: Rejected | None = None
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(_run, backend)
            yield backend
            nursery.cancel_scope.cancel()
    except* Rejected as refusal:
        rejected = Rejected(str(first_of(refusal)))
    if rejected is not None:
        raise rejected


async def _run(
    backend: AsteriskBackend, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    await backend.run(task_status=task_status)
