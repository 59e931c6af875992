"""One FreeSWITCH over its event socket, on trio.

What it promises besides `Backend`:

* **The socket is always drained.** The reader never waits for anybody (see `outlet`).
* **A dead line fails at once.** Whoever waits for an answer gets an error of its own
  (`ConnectionLost`); an end of file ends the reader; an answer that never comes is a dead line too.
* **It comes back.** With back-off and jitter, for ever; then it subscribes anew, asks what lives
  (`show channels`, and each channel's partner), and tells it as facts, between `SwitchLost` and
  `SwitchFound`. What happened meanwhile is so learned: answers, hang-ups, joins by the switch.
* **Short commands go by `api`, what takes long by `bgapi`** under a job id of ours. (`api` answers
  in 0.1 ms; `bgapi` in 1.3 ms, for it waits for a thread of the switch.)
* **Commands don't wait for one another's answers.** The switch carries them out in their order, and
  answers in that order. To wait for each answer would cost a round trip a line: with 200 transfers
  at once, 2 ms each on a busy machine, orders were ten seconds old when the switch got them.

A command whose line dies under it is neither repeated nor reported: nobody knows whether it was
carried out. The facts that are told anew, and the deadline of whoever gave it, decide.
"""

from __future__ import annotations

import ipaddress
import logging
import math
import random
import re
import ssl
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, TypeVar

import attrs
import msgspec
import stamina
import structlog
import trio

from hookflash import commands as c
from hookflash import events as e
from hookflash.backends.base import ID_IN_USE, Capabilities, Rejected
from hookflash.backends.freeswitch.channels import Reading, pairs_of
from hookflash.backends.freeswitch.connection import (
    AwaitedReply,
    ConnectionLost,
    EventSocketConnection,
)
from hookflash.backends.freeswitch.inbound import (
    DEFAULT_OUTSIDE_CONTEXTS,
    DEFAULT_OUTSIDE_PROFILES,
    EVENT_NAMES,
    Inbound,
)
from hookflash.backends.freeswitch.primitives import (
    ASKED_AFTER,
    ASKED_BEFORE,
    SETTLES_S,
    Originate,
    Primitive,
    Procedure,
    SetVariables,
    VariableCheck,
    kept,
    restored,
    with_kept,
)
from hookflash.backends.freeswitch.procedures import (
    ALLOWED_LEG,
    CallerId,
    Dialling,
    Procedures,
)
from hookflash.backends.freeswitch.text import line_of, question_of
from hookflash.backends.freeswitch.wire import Frame
from hookflash.backends.halves import Halves
from hookflash.backends.outlet import Outlet
from hookflash.errors import BackendClosed, InputError

# Into the standard library's logging: a program that configures nothing is not talked into.
log = structlog.wrap_logger(logging.getLogger("hookflash.freeswitch"))

STOCK_PASSWORD: Final = "ClueCon"  # noqa: S105 - it is everybody's, and therefore nobody's
"""The password with which FreeSWITCH is installed."""

MOST_UNANSWERED: Final = 64
"""How many commands may be on their way unanswered: what lies in the line can't be taken back."""

LIST_LAGS_S: Final = 0.1
MOST_LOOKS: Final = 4
"""How long, and how often, to wait for the list of channels, which lags 80 to 190 ms behind."""

NO_CHANNEL: Final = "-ERR No such channel"
"""How FreeSWITCH says that a leg is not there."""


_SESSIONS: Final = re.compile(r"^(\d+) session\(s\) - peak", re.MULTILINE)
_JITTER: Final = random.SystemRandom()


@attrs.frozen(kw_only=True)
class FreeSwitch:
    """Where a FreeSWITCH is, and how it is used.

    Raises:
        InputError: the stock password for a host that is not this machine.
    """

    host: str = "127.0.0.1"
    port: int = 8021
    password: str = attrs.field(default=STOCK_PASSWORD, repr=False)
    name: str = ""
    """What events call it; for programs that have several."""
    tls: ssl.SSLContext | None = attrs.field(default=None, repr=False)
    """For a switch behind a TLS proxy: a context that checks its certificate and host name."""
    dialling: Dialling = attrs.field(factory=Dialling)
    account_variable: str = "hookflash_account"
    """The channel variable that says whose leg it is."""
    outside_contexts: frozenset[str] = DEFAULT_OUTSIDE_CONTEXTS
    """The dialplan contexts in which outside parties call in; they may not transfer, unless their
    account's rules say so."""
    outside_profiles: frozenset[str] = DEFAULT_OUTSIDE_PROFILES
    """The SIP profiles on which outside parties are called, besides gateways."""
    park_limit_s: float = 1860.0
    """After so long the switch itself ends a parked leg that nobody fetches; longer than any
    hold limit."""
    reply_timeout_s: float = 30.0
    """An answer that takes longer means a dead line. On two overloaded cores it takes two."""
    connect_timeout_s: float = 10.0
    reconnect_first_s: float = 0.1
    """How long before the first try to come back; then twice as long each time, with jitter, …"""
    reconnect_longest_s: float = 15.0
    """… up to this: several tries a second have sunk a switch before."""
    event_buffer: int = 20_000
    """How many events may wait for the engine: some seconds of a busy switch."""

    def __attrs_post_init__(self) -> None:
        if self.password == STOCK_PASSWORD and not _is_loopback(self.host):
            raise InputError(
                "the stock password is refused for a switch that is not on this machine",
                where=f"{self.host}:{self.port}",
                mend="set another in event_socket.conf.xml, and here",
            )
        if any(ord(char) < ord(" ") for char in self.password):
            raise InputError("the password has a control character in it", mend="set another")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# ------------------------------------------------------------------ the backend


class FreeSwitchBackend:
    """A `Backend` on one FreeSWITCH. Open it with `open_freeswitch`."""

    def __init__(self, settings: FreeSwitch) -> None:
        self.settings = settings
        self.reconnects = 0
        self.on_answer: Callable[[c.SwitchCommand, float], None] | None = None
        """Optional callback that receives each command and the time of its answer, in seconds."""
        self._callers: dict[e.LegId, CallerId] = {}
        self._procedures = Procedures(
            dialling=settings.dialling,
            park_limit_s=settings.park_limit_s,
            account_variable=settings.account_variable,
            caller_of=lambda leg: self._callers.get(leg, CallerId()),
        )
        self._outlet = Outlet(settings.event_buffer, self._remember, log)
        self._orders, self._to_say = trio.open_memory_channel[_PendingCommand](math.inf)
        self._waiting: dict[c.SwitchCommand, _PendingCommand] = {}
        """What has been ordered and not yet been sent."""
        self._line: EventSocketConnection | None = None
        self._inbound = self._new_inbound()
        self._reading = Reading(
            account_variable=settings.account_variable,
            outside_contexts=settings.outside_contexts,
            outside_profiles=settings.outside_profiles,
        )
        self._joined_s: dict[e.LegId, float] = {}
        """When each leg's last bridge was told."""
        self._too_early: deque[_PendingCommand] = deque()
        """Orders that wait until a bridge is up."""
        self._dialled: dict[e.LegId, c.Dial] = {}
        """Calls that the switch has taken on this line, and has not begun yet as far as we know."""
        self._asked: set[e.LegId] = set()
        """Legs of which nothing was known, and which were asked who they are."""
        self._started = False
        self._jobs = 0
        self._closed = False

    def _new_inbound(self) -> Inbound:
        return Inbound(
            account_variable=self.settings.account_variable,
            outside_contexts=self.settings.outside_contexts,
            outside_profiles=self.settings.outside_profiles,
        )

    # ------------------------------------------------------------------ Backend

    @property
    def capabilities(self) -> Capabilities:
        """All of them, except early media of targets that are called through the dialplan."""
        through_dialplan = self.settings.dialling.template.startswith("loopback/")
        return Capabilities(reports_early_media=not through_dialplan)

    def events(self) -> AsyncIterator[e.CallEvent]:
        """What happens on the switch."""
        return self._outlet.taken

    async def perform(self, command: c.SwitchCommand) -> None:
        """Send a command on its way. While the line is down it is dropped: see the module."""
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise BackendClosed("the backend is closed")
        if self._line is not None and not self._is_waiting(command):
            order = self._waiting[_same(command)] = _PendingCommand(command)
            self._orders.send_nowait(order)

    def _is_waiting(self, command: c.SwitchCommand) -> bool:
        """Whether a repeated command waits to be sent: then it is given once, as the newest."""
        if not (isinstance(command, c.Join | c.Split) and command.repeated):
            return False
        order = self._waiting.get(_same(command))
        if order is None or not isinstance(order.command, c.Join | c.Split):
            return False
        order.command = attrs.evolve(command, repeated=order.command.repeated)
        return True

    async def snapshot(self) -> tuple[e.LegSnapshot, ...]:
        """List every leg that lives on the switch."""
        line = self._line
        if self._closed or line is None:
            raise BackendClosed("the switch is away")
        try:
            return Halves.sort(await self._look(line))
        except ConnectionLost as lost:
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
        """Cut the line, as a network would: for whoever wants to see what happens then."""
        if self._line is not None:
            self._line.cut()

    # -------------------------------------------------------------- life of lines

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep a line to the switch, until cancelled.

        Raises:
            Rejected: the switch doesn't let us in.
        """
        pause_s = self.settings.reconnect_first_s
        try:
            while True:
                stream = await self._connect()
                began = trio.current_time()
                await self._serve(stream, task_status)
                self.reconnects += 1
                # a line that is taken and dies young is no better than one that is not taken
                if trio.current_time() - began > self.settings.reconnect_longest_s:
                    pause_s = self.settings.reconnect_first_s
                await trio.sleep(pause_s + _JITTER.uniform(0, self.settings.reconnect_first_s))
                pause_s = min(2 * pause_s, self.settings.reconnect_longest_s)
        finally:
            self._closed = True
            self._outlet.close()

    async def _connect(self) -> trio.abc.Stream:
        settings = self.settings
        async for attempt in stamina.retry_context(
            on=(OSError, trio.BrokenResourceError, trio.TooSlowError),
            attempts=None,
            timeout=None,
            wait_initial=settings.reconnect_first_s,
            wait_max=settings.reconnect_longest_s,
            wait_jitter=settings.reconnect_first_s,
        ):
            with attempt, trio.fail_after(settings.connect_timeout_s):
                stream = await trio.open_tcp_stream(settings.host, settings.port)
                return stream if settings.tls is None else await self._secure(stream, settings.tls)
        raise AssertionError("a retry without a limit has ended")  # pragma: no cover

    async def _secure(self, bare: trio.abc.Stream, tls: ssl.SSLContext) -> trio.abc.Stream:
        """Put TLS on a connection.

        Raises:
            Rejected: the other side's certificate is not one that the context trusts.
        """
        host = self.settings.host
        stream = trio.SSLStream(bare, tls, server_hostname=host, https_compatible=True)
        try:
            await stream.do_handshake()
        except BaseException as error:
            await trio.aclose_forcefully(stream)
            if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                why = error.__cause__.verify_message
                raise Rejected(f"{host}:{self.settings.port} is not trusted: {why}") from error
            raise
        return stream

    async def _serve(self, stream: trio.abc.Stream, task_status: trio.TaskStatus[None]) -> None:
        """Use one line until it dies.

        Raises:
            Rejected: the switch doesn't let us in.
        """
        line = EventSocketConnection(stream, self.settings.reply_timeout_s)
        self._inbound = self._new_inbound()
        self._dialled.clear()
        self._hold()
        rejected: Rejected | None = None
        was_up = False
        try:
            async with stream, trio.open_nursery() as nursery:
                nursery.start_soon(self._read, line, nursery.cancel_scope)
                await self._greet(line)
                living = await self._find(line)
                self._line, was_up = line, True
                if not self._started:
                    self._started = True
                    task_status.started()
                log.info("line is up", host=self.settings.host, port=self.settings.port)
                await self._tell_all(living)
                nursery.start_soon(self._outlet.catch_up, partial(self._tell_anew, line))
                await self._say(line)
        except* ConnectionLost as lost:
            line.die(str(lost.exceptions[0]))
        except* Rejected as refusal:
            rejected = Rejected(str(refusal.exceptions[0]))
        finally:
            self._line = None
            self._outlet.let_go()
            self._drop_orders()
            why = str(line.die("the line is closed"))
        if line.rejected and not rejected:
            rejected = Rejected(f"{self.settings.host}:{self.settings.port} refuses us: {why}")
        if rejected is not None:
            raise rejected
        log.warning("line is down", host=self.settings.host, port=self.settings.port, why=why)
        if was_up:
            await self._outlet.tell(e.SwitchLost(switch=self.settings.name, reason=why))

    async def _read(self, line: EventSocketConnection, scope: trio.CancelScope) -> None:
        try:
            await line.read(self._take)
        except ConnectionLost:
            scope.cancel()

    def _drop_orders(self) -> None:
        """Orders for a line that is dead: nobody knows which were carried out. They are dropped."""
        self._waiting.clear()
        while True:
            try:
                self._to_say.receive_nowait()
            except trio.WouldBlock:
                return

    async def _greet(self, line: EventSocketConnection) -> None:
        reply = (await line.ask(f"auth {self.settings.password}")).header("reply-text")
        if not reply.startswith("+OK"):
            raise Rejected(f"{self.settings.host}:{self.settings.port} refuses us: {reply}")
        reply = (await line.ask("event json " + " ".join(EVENT_NAMES))).header("reply-text")
        if not reply.startswith("+OK"):
            raise ConnectionLost(f"the switch tells us nothing: {reply}")

    # ------------------------------------------------------------------- hearing

    def _take(self, frame: Frame) -> None:
        for event in self._inbound.receive(frame):
            self._outlet.give(event)

    def _remember(self, event: e.CallEvent) -> None:
        """Keep in mind what has been told, and only that: what was dropped is not known."""
        match event:
            case e.LegCreated(leg=leg):
                self._callers[leg] = CallerId(
                    account=event.account,
                    number=event.number,
                    name=event.name,
                    withheld=event.withheld,
                )
                self._dialled.pop(leg, None)
            case e.LegIdentified(leg=leg, account=account) if leg in self._callers:
                known = self._callers[leg]
                self._callers[leg] = attrs.evolve(known, account=account or known.account)
            case e.LegHungUp(leg=leg):
                self._callers.pop(leg, None)
                self._dialled.pop(leg, None)
                self._joined_s.pop(leg, None)
            case e.LegAnswered(leg=leg) | e.LegParked(leg=leg) | e.DigitPressed(leg=leg):
                self._ask_who_is(leg)
            case e.LegsJoined(first=first, second=second):
                self._joined_s[first] = self._joined_s[second] = trio.current_time()
                self._ask_who_is(first, second)
            case _:
                pass

    def _ask_who_is(self, *legs: e.LegId) -> None:
        """Of a leg whose beginning was never told: the event was lost."""
        unknown = tuple(leg for leg in legs if leg not in self._outlet.living)
        if unknown and self._line is not None and self._asked.isdisjoint(unknown):
            self._asked.update(unknown)
            self._orders.send_nowait(_PendingCommand(c.Look(legs=unknown)))

    def _hold(self) -> None:
        """Begin to look at what lives."""
        self._outlet.hold()
        self._asked.clear()

    async def _tell_anew(self, line: EventSocketConnection) -> None:
        self._hold()
        await self._tell_all(await self._find(line))

    async def _tell_all(self, living: tuple[e.LegSnapshot, ...]) -> None:
        """Tell every fact about what lives, and the end of what was known and lives no more."""
        self._note(living)
        await self._outlet.tell_all(living, self.settings.name)

    async def _find(self, line: EventSocketConnection) -> tuple[e.LegSnapshot, ...]:
        """Ask which channels there are until there are as many as the switch counts.

        Not for long: a session that has hung up counts for a while, too.
        """
        living = await self._look(line)
        for _ in range(MOST_LOOKS):
            counted = _SESSIONS.search(await line.api("status"))
            if counted is None or len(living) >= int(counted[1]):
                break
            await trio.sleep(LIST_LAGS_S)
            living = await self._look(line)
        return living

    async def _look(self, line: EventSocketConnection) -> tuple[e.LegSnapshot, ...]:
        """Ask which channels there are, and each of them how it is.

        The list lags behind: a leg is in it 80 to 190 ms after it was created (measured on 1.10.12:
        20 of 20), and for a while after its end. So those that are known are asked as well, and
        the targets of transfers whose marks are found: such a one may have just begun to ring.
        """
        shown = _read(await line.api("show channels as json"), _Channels)
        listed = dict.fromkeys([*(row.uuid for row in shown.rows), *sorted(self._outlet.living)])
        return await self._look_at(line, listed, and_more=_named_by)

    async def _look_at(
        self,
        line: EventSocketConnection,
        legs: Iterable[e.LegId],
        *,
        and_more: Callable[[e.LegSnapshot], Iterable[e.LegId]] = lambda _leg: (),
    ) -> tuple[e.LegSnapshot, ...]:
        """Ask legs how they are, whomever they say that they are joined with, and more of them."""
        seen: dict[e.LegId, e.LegSnapshot] = {}
        asked: set[e.LegId] = set()
        todo = list(legs)
        while todo:
            batch = [leg for leg in todo if leg not in asked and ALLOWED_LEG.fullmatch(leg)]
            asked.update(batch)
            answers = await line.send([f"api uuid_dump {leg} json" for leg in batch])
            for leg, answer in zip(batch, answers, strict=True):
                dump = (await line.answer(answer)).text()
                snapshot = (
                    None
                    if dump.startswith("-ERR")
                    else self._reading.read(leg, _read(dump, dict[str, Any]))
                )
                if snapshot is not None:
                    seen[leg] = snapshot
            named = (one for leg in seen.values() for one in (leg.peer, *and_more(leg)) if one)
            todo = list(dict.fromkeys(one for one in named if one not in asked))
        return pairs_of(map(self._as_it_began, seen.values()))

    def _as_it_began(self, leg: e.LegSnapshot) -> e.LegSnapshot:
        """A leg under the number that was told of it: one that is sent somewhere takes another."""
        known = self._callers.get(leg.leg)
        return leg if known is None else attrs.evolve(leg, number=known.number or leg.number)

    async def _answer(self, line: EventSocketConnection, look: c.Look) -> None:
        """Say where these legs are: behind every event that the switch has sent before."""
        living = await self._look_at(line, look.legs)
        living += tuple(self._about_to_call(look, living))
        self._note(living)
        present = {leg.leg for leg in living}
        for leg in look.legs:
            if leg not in present:
                self._inbound.note_gone(leg)
        self._outlet.give(e.LegsSeen(look=look, living=living))

    def _about_to_call(
        self, look: c.Look, living: Iterable[e.LegSnapshot]
    ) -> Iterator[e.LegSnapshot]:
        """Calls that a busy switch has taken, and has not come to yet: they are not lost.

        To order one again would call the target twice (through loopback: under another name).
        """
        present = {leg.leg for leg in living}
        for leg in look.legs:
            dial = self._dialled.get(leg)
            if dial is not None and leg not in present:
                yield e.LegSnapshot(
                    leg=leg,
                    number=dial.target,
                    direction=e.Direction.OUTBOUND,
                    account=dial.account,
                    transfer=dial.transfer,
                    role="target",
                )

    def _note(self, living: Iterable[e.LegSnapshot]) -> None:
        for leg in living:
            self._inbound.note_living(leg.leg, answered=leg.answered)

    # ------------------------------------------------------------------- speaking

    async def _say(self, line: EventSocketConnection) -> None:
        """Send commands in their order, and hear in the same order what the switch answers."""
        said, answered = trio.open_memory_channel[_SentCommand](MOST_UNANSWERED)
        self._too_early.clear()
        async with trio.open_nursery() as nursery, said:
            nursery.start_soon(self._hear_answers, line, answered)
            while True:
                order = await self._to_say.receive()
                command = self._next(order)
                if isinstance(command, c.Look):
                    await self._answer(line, command)
                    continue
                if isinstance(command, c.Dial) and self._inbound.lives(command.leg):
                    # its `originate` would fail, and its result would not be read: see `Inbound`
                    self._outlet.give(e.CommandFailed(command=command, reason=ID_IN_USE))
                    continue
                try:
                    procedure = self._procedures.of(command)
                except InputError as refused:
                    log.warning("a command was refused before it was sent", why=str(refused))
                    self._refused(command, str(refused))
                    continue
                if self._comes_too_early(order, procedure):
                    if len(self._too_early) == 1:
                        nursery.start_soon(self._come_back)
                    continue
                await said.send(await self._send(line, command, procedure))
                if order is self._first_too_early:
                    self._too_early.popleft()
                    if self._too_early:
                        nursery.start_soon(self._come_back)

    @property
    def _first_too_early(self) -> _PendingCommand | None:
        return self._too_early[0] if self._too_early else None

    def _comes_too_early(self, order: _PendingCommand, procedure: Procedure) -> bool:
        """Whether an order must wait for a bridge that was told a moment ago; if so, note it.

        An order that comes after it, and concerns the same legs, waits behind it: variables that it
        sets would else outlive the order that takes them off.
        """
        if order is self._first_too_early:
            return False
        told_s = (self._joined_s.get(leg, -math.inf) for leg in procedure.settled)
        order.due_s = max(told_s, default=-math.inf) + SETTLES_S
        is_behind = any(not other.legs.isdisjoint(procedure.legs) for other in self._too_early)
        if order.due_s <= trio.current_time() and not is_behind:
            return False
        order.legs = procedure.legs
        self._too_early.append(order)
        return True

    async def _come_back(self) -> None:
        order = self._too_early[0]
        await trio.sleep_until(order.due_s)
        self._orders.send_nowait(order)

    def _next(self, order: _PendingCommand) -> c.SwitchCommand:
        command = order.command
        if self._waiting.get(same := _same(command)) is order:
            del self._waiting[same]
        return command

    async def _send(
        self, line: EventSocketConnection, command: c.SwitchCommand, procedure: Procedure
    ) -> _SentCommand:
        sent_s = trio.current_time()
        keeps = await self._kept(line, procedure.remember)
        before = await line.send([self._as_sent(step) for step in procedure.before])
        steps = with_kept(procedure.steps, keeps)
        if await self._are_so(line, procedure.unless):
            steps = steps[: -procedure.spared]
        await self._give_back(line, procedure.restore)
        answers = await line.send([self._as_sent(step) for step in steps])
        optional = len(before) + procedure.optional
        return _SentCommand(command, optional, before + answers, sent_s=sent_s)

    async def _kept(
        self, line: EventSocketConnection, legs: Sequence[e.LegId]
    ) -> list[SetVariables]:
        """What legs are to keep: what their variables say before they are changed at first."""
        keeps: list[SetVariables] = []
        for leg in legs:
            answers = await self._ask_all(line, leg, ASKED_BEFORE)
            keep = None if answers[0].startswith(NO_CHANNEL) else kept(leg, answers)
            if keep is not None:
                keeps.append(keep)
        return keeps

    async def _give_back(self, line: EventSocketConnection, legs: Sequence[e.LegId]) -> None:
        for leg in legs:
            answers = await self._ask_all(line, leg, ASKED_AFTER)
            if not answers[0].startswith(NO_CHANNEL):
                await line.send([self._as_sent(step) for step in restored(leg, answers)])

    @staticmethod
    async def _ask_all(
        line: EventSocketConnection, leg: e.LegId, variables: Sequence[str]
    ) -> list[str]:
        answers = await line.send([f"api uuid_getvar {leg} {name}" for name in variables])
        return [(await line.answer(answer)).text() for answer in answers]

    def _as_sent(self, step: Primitive) -> str:
        """An operation as it is sent: what takes long goes by `bgapi`."""
        if not isinstance(step, Originate):
            return f"api {line_of(step)}"
        self._jobs += 1
        return f"bgapi {line_of(step)}\nJob-UUID: hookflash-{self._jobs}"

    async def _hear_answers(
        self, line: EventSocketConnection, answered: trio.MemoryReceiveChannel[_SentCommand]
    ) -> None:
        async for said in answered:
            frames = [await line.answer(answer) for answer in said.answers]
            if self.on_answer is not None:
                self.on_answer(said.command, trio.current_time() - said.sent_s)
            replies = [_reply(frame) for frame in frames[said.optional :]]
            refusal = next((reply for reply in replies if reply.startswith("-")), None)
            if refusal is not None:
                self._refused(said.command, refusal)
            elif isinstance(said.command, c.Dial):
                self._dialled.setdefault(said.command.leg, said.command)
            elif isinstance(said.command, c.Release):
                release = said.command
                self._outlet.give(e.LegsReleased(first=release.first, second=release.second))

    @staticmethod
    async def _are_so(
        line: EventSocketConnection, alternatives: tuple[tuple[VariableCheck, ...], ...]
    ) -> bool:
        """Whether all the facts of one alternative are so: the switch is about it already."""
        for facts in alternatives:
            for fact in facts:
                if not fact.shown_by(await line.api(question_of(fact))):
                    break
            else:
                return True
        return False

    def _refused(self, command: c.SwitchCommand, reason: str) -> None:
        """Say what a refusal means: for these two, the truth is that there is no such leg."""
        if isinstance(command, c.HangUp) and reason.startswith(NO_CHANNEL):
            self._outlet.give(e.LegHungUp(leg=command.leg, cause="INVALID_CALL_REFERENCE"))
        elif isinstance(command, c.Dial):
            self._outlet.give(e.LegHungUp(leg=command.leg, cause="INVALID_NUMBER_FORMAT"))
        else:
            self._outlet.give(e.CommandFailed(command=command, reason=reason))


@attrs.define(eq=False)
class _PendingCommand:
    """A command that waits to be sent."""

    command: c.SwitchCommand
    due_s: float = 0.0
    """For an order that waits until a bridge is up: when that is, and whom the order concerns."""
    legs: frozenset[e.LegId] = frozenset()


def _same(command: c.SwitchCommand) -> c.SwitchCommand:
    """The command without what tells a repetition from the first."""
    match command:
        case c.Join():
            return attrs.evolve(command, attempt=1, repeated=False)
        case c.Split():
            return attrs.evolve(command, repeated=False)
        case _:
            return command


@attrs.frozen
class _SentCommand:
    """A command that was sent, and the answers that are awaited."""

    command: c.SwitchCommand
    optional: int
    answers: list[AwaitedReply]
    sent_s: float


def _reply(frame: Frame) -> str:
    """What an answer says: of `bgapi` it stands in a header, of `api` in the body."""
    if frame.content_type == "command/reply":
        return frame.header("reply-text").strip()
    return frame.text().strip()


class _ChannelRow(msgspec.Struct):
    """A row of `show channels as json`."""

    uuid: str


class _Channels(msgspec.Struct):
    """`show channels as json`: without rows when there are none."""

    row_count: int = 0
    rows: list[_ChannelRow] = []


def _named_by(leg: e.LegSnapshot) -> Iterator[e.LegId]:
    """Which legs there may be beside this one, and not in the list yet."""
    if leg.transfer:
        yield c.name_of_target(leg.transfer)
    yield leg.other_half


_Answered = TypeVar("_Answered")


def _read(text: str, kind: type[_Answered]) -> _Answered:
    """Read an answer in JSON.

    Raises:
        ConnectionLost: it is none; who knows what else is not as it should be.
    """
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError as error:
        raise ConnectionLost(f"an answer of the switch can't be read: {error}") from error


@asynccontextmanager
async def open_freeswitch(settings: FreeSwitch) -> AsyncGenerator[FreeSwitchBackend]:
    """Open a way to a FreeSWITCH, and keep it open.

    Args:
        settings: where it is, and how it is used.

    Yields:
        The backend, once the line is up for the first time.

    Raises:
        Rejected: the switch doesn't let us in.
    """
    backend = FreeSwitchBackend(settings)
    rejected: Rejected | None = None
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(_run, backend)
            yield backend
            nursery.cancel_scope.cancel()
    except* Rejected as refusal:
        rejected = Rejected(str(refusal.exceptions[0]))
    if rejected is not None:
        raise rejected


async def _run(
    backend: FreeSwitchBackend, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    await backend.run(task_status=task_status)
