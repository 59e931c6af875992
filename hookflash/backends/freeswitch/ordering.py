"""Sends commands to the switch, in order, and handles its answers.

* **Short commands go by `api`, long ones by `bgapi`** under a job id of ours. (`api` answers in
  0.1 ms; `bgapi` in 1.3 ms, since it waits for a thread of the switch.)
* **Commands do not wait for one another's answers.** The switch executes and answers them in order.
  Waiting for each answer would cost a round trip each: with 200 transfers at once, 2 ms each on a
  busy machine, orders were ten seconds old when they reached the switch.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs
import trio

from hookflash import commands as c
from hookflash import events as e
from hookflash.backends.base import ASKED_AGAIN_S, END_LAGS_S, ID_IN_USE
from hookflash.backends.freeswitch import primitives as p
from hookflash.backends.freeswitch.connection import AwaitedReply, EventSocketConnection
from hookflash.backends.freeswitch.hearing import EventReader
from hookflash.backends.freeswitch.looking import ChannelLister
from hookflash.backends.freeswitch.procedures import Dialling, Procedures
from hookflash.backends.freeswitch.returning import ASKED, with_return
from hookflash.backends.freeswitch.settings import FreeSwitch
from hookflash.backends.freeswitch.text import line_of, question_of
from hookflash.backends.freeswitch.wire import Frame
from hookflash.backends.tenants import Tenants
from hookflash.errors import InputError

MOST_UNANSWERED: Final = 64
"""How many commands may be sent and unanswered: they can't be revoked."""

NO_CHANNEL: Final = "-ERR No such channel"
"""FreeSWITCH's answer if a leg does not exist."""


@attrs.define(eq=False)
class _PendingCommand:
    """A command that waits to be sent."""

    command: c.SwitchCommand
    due_s: float = 0.0
    """For an order that waits for a bridge: the time when it is up, and the legs concerned. For a
    question: when to wait no longer for the event of an end."""
    legs: frozenset[e.LegId] = frozenset()


@attrs.frozen
class _SentCommand:
    """A command that was sent, and the answers that are awaited."""

    command: c.SwitchCommand
    optional: int
    answers: list[AwaitedReply]
    sent_s: float
    refused: str | None = None
    """Why nothing was sent."""


class CommandSender:
    """Sends commands to one switch."""

    def __init__(
        self,
        settings: FreeSwitch,
        reader: EventReader,
        lister: ChannelLister,
        *,
        on_answer: Callable[[c.SwitchCommand, float], None],
        log: Any,
    ) -> None:
        """Begin with an empty queue.

        Args:
            settings: of the switch.
            reader: knows the legs, and passes facts on.
            lister: answers `Look`.
            on_answer: called with each command and the time of its answer, in seconds.
            log: receives warnings.
        """
        self._reader = reader
        self._outlet = reader.outlet
        self._lister = lister
        self._on_answer = on_answer
        self._log = log
        self._procedures = Procedures(
            dialling=settings.dialling,
            account_dialling=settings.account_dialling,
            park_limit_s=settings.park_limit_s,
            account_variable=settings.account_variable,
            owner_variable=settings.owner_variable,
            caller_of=reader.caller_of,
        )
        self._orders, self._to_say = trio.open_memory_channel[_PendingCommand](math.inf)
        self._waiting: dict[c.SwitchCommand, _PendingCommand] = {}
        """Commands that have not been sent yet."""
        self._too_early: deque[_PendingCommand] = deque()
        """Orders that wait until a bridge is up."""
        self._jobs = 0

    def choose(self, tenants: Tenants[Dialling]) -> None:
        """Call targets in another way from now on."""
        self._procedures.tenants = tenants

    def put(self, command: c.SwitchCommand) -> None:
        """Queue a command."""
        if not self._is_waiting(command):
            order = self._waiting[_same(command)] = _PendingCommand(command)
            self._orders.send_nowait(order)

    def ask(self, look: c.Look) -> None:
        """Queue a question of the backend itself."""
        self._orders.send_nowait(_PendingCommand(look))

    def _is_waiting(self, command: c.SwitchCommand) -> bool:
        """Whether the same command is still queued: then only the newest copy is sent."""
        if not (isinstance(command, c.Join | c.Split | c.Fetch) and command.repeated):
            return False
        order = self._waiting.get(_same(command))
        if order is None or not isinstance(order.command, c.Join | c.Split | c.Fetch):
            return False
        order.command = attrs.evolve(command, repeated=order.command.repeated)
        return True

    def drop(self) -> None:
        """Drop the commands of a dead connection: some of them may have been executed."""
        self._waiting.clear()
        while True:
            try:
                self._to_say.receive_nowait()
            except trio.WouldBlock:
                return

    async def send_all(self, connection: EventSocketConnection) -> None:
        """Send commands in order, and handle the answers in the same order."""
        said, answered = trio.open_memory_channel[_SentCommand](MOST_UNANSWERED)
        self._too_early.clear()
        async with trio.open_nursery() as nursery, said:
            nursery.start_soon(self._hear_answers, connection, answered)
            while True:
                order = await self._to_say.receive()
                command = self._next(order)
                if isinstance(command, c.Look):
                    order.due_s = order.due_s or trio.current_time() + END_LAGS_S
                    if not await self._lister.answer(connection, command, until_s=order.due_s):
                        nursery.start_soon(self._ask_again, order)
                    continue
                if isinstance(command, c.Dial) and self._reader.inbound.lives(command.leg):
                    # its `originate` would fail, and its result would not be read: see `Inbound`
                    self._outlet.give(e.CommandFailed(command=command, reason=ID_IN_USE))
                    continue
                try:
                    procedure = self._procedures.of(command)
                except InputError as refused:
                    self._log.warning("command.refused", why=str(refused))
                    self._refused(command, str(refused))
                    continue
                if self._comes_too_early(order, procedure):
                    if len(self._too_early) == 1:
                        nursery.start_soon(self._come_back)
                    continue
                await said.send(await self._send(connection, command, procedure))
                if order is self._first_too_early:
                    self._too_early.popleft()
                    if self._too_early:
                        nursery.start_soon(self._come_back)

    @property
    def _first_too_early(self) -> _PendingCommand | None:
        return self._too_early[0] if self._too_early else None

    def _comes_too_early(self, order: _PendingCommand, procedure: p.Procedure) -> bool:
        """Whether an order must wait for a bridge that was just reported; if so, note it.

        A later order for the same legs waits behind it: otherwise variables that the first one sets
        would outlive the order that removes them.
        """
        if order is self._first_too_early:
            return False
        reported_s = (self._reader.joined_s.get(leg, -math.inf) for leg in procedure.settled)
        order.due_s = max(reported_s, default=-math.inf) + p.SETTLES_S
        is_behind = any(not other.legs.isdisjoint(procedure.legs) for other in self._too_early)
        if order.due_s <= trio.current_time() and not is_behind:
            return False
        order.legs = procedure.legs
        self._too_early.append(order)
        return True

    async def _ask_again(self, order: _PendingCommand) -> None:
        await trio.sleep(ASKED_AGAIN_S)
        self._orders.send_nowait(order)

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
        self, connection: EventSocketConnection, command: c.SwitchCommand, procedure: p.Procedure
    ) -> _SentCommand:
        sent_s = trio.current_time()
        keeps = await self._kept(connection, procedure.remember)
        before = await connection.send([self._as_sent(step) for step in procedure.before])
        steps = p.with_kept(procedure.steps, keeps)
        if await self._are_so(connection, procedure.unless):
            steps = steps[: -procedure.spared]
        elif procedure.returns is not None:
            leg = procedure.returns.leg
            asked = await self._ask_all(connection, leg, ASKED)
            if asked[0].startswith(NO_CHANNEL):
                return _SentCommand(command, 0, [], sent_s=sent_s, refused=asked[0].strip())
            try:
                steps = with_return(steps, procedure.returns, asked, keeps)
            except InputError as refused:
                return _SentCommand(command, 0, [], sent_s=sent_s, refused=str(refused))
        await self._give_back(connection, procedure.restore)
        answers = await connection.send([self._as_sent(step) for step in steps])
        optional = len(before) + procedure.optional
        return _SentCommand(command, optional, before + answers, sent_s=sent_s)

    async def _kept(
        self, connection: EventSocketConnection, legs: Sequence[e.LegId]
    ) -> list[p.SetVariables]:
        """The variables of legs before the first change, to be kept on them."""
        keeps: list[p.SetVariables] = []
        for leg in legs:
            answers = await self._ask_all(connection, leg, p.ASKED_BEFORE)
            keep = None if answers[0].startswith(NO_CHANNEL) else p.kept(leg, answers)
            if keep is not None:
                keeps.append(keep)
        return keeps

    async def _give_back(self, connection: EventSocketConnection, legs: Sequence[e.LegId]) -> None:
        for leg in legs:
            answers = await self._ask_all(connection, leg, p.ASKED_AFTER)
            if not answers[0].startswith(NO_CHANNEL):
                await connection.send([self._as_sent(step) for step in p.restored(leg, answers)])

    @staticmethod
    async def _ask_all(
        connection: EventSocketConnection, leg: e.LegId, variables: Sequence[str]
    ) -> list[str]:
        answers = await connection.send([f"api uuid_getvar {leg} {name}" for name in variables])
        return [(await connection.answer(answer)).text() for answer in answers]

    def _as_sent(self, step: p.Primitive) -> str:
        """Render an operation; long ones go by `bgapi`."""
        if not isinstance(step, p.Originate):
            return f"api {line_of(step)}"
        self._jobs += 1
        return f"bgapi {line_of(step)}\nJob-UUID: hookflash-{self._jobs}"

    async def _hear_answers(
        self, connection: EventSocketConnection, answered: trio.MemoryReceiveChannel[_SentCommand]
    ) -> None:
        async for said in answered:
            frames = [await connection.answer(answer) for answer in said.answers]
            self._on_answer(said.command, trio.current_time() - said.sent_s)
            replies = [_reply(frame) for frame in frames[said.optional :]]
            refusal = said.refused or next((one for one in replies if one.startswith("-")), None)
            if refusal is not None:
                self._refused(said.command, refusal)
            elif isinstance(said.command, c.Dial):
                self._reader.dialled.setdefault(said.command.leg, said.command)
            elif isinstance(said.command, c.Release):
                release = said.command
                self._outlet.give(e.LegsReleased(first=release.first, second=release.second))

    @staticmethod
    async def _are_so(
        connection: EventSocketConnection, alternatives: tuple[tuple[p.VariableCheck, ...], ...]
    ) -> bool:
        """Whether all checks of one alternative hold: the switch is already executing it."""
        for facts in alternatives:
            for fact in facts:
                if not fact.shown_by(await connection.api(question_of(fact))):
                    break
            else:
                return True
        return False

    def _refused(self, command: c.SwitchCommand, reason: str) -> None:
        """Report a refusal; for these two commands it means that the leg does not exist."""
        if isinstance(command, c.HangUp) and reason.startswith(NO_CHANNEL):
            if command.leg in self._outlet.living:  # its end is still to come, with its cause
                self.ask(c.Look(legs=(command.leg,)))
            else:
                self._outlet.give(e.LegHungUp(leg=command.leg, cause="INVALID_CALL_REFERENCE"))
        elif isinstance(command, c.Dial):
            self._outlet.give(e.LegHungUp(leg=command.leg, cause="INVALID_NUMBER_FORMAT"))
        else:
            self._outlet.give(e.CommandFailed(command=command, reason=reason))


def _same(command: c.SwitchCommand) -> c.SwitchCommand:
    """The command without the fields that distinguish a repetition."""
    match command:
        case c.Join():
            return attrs.evolve(command, attempt=1, repeated=False)
        case c.Split() | c.Fetch():
            return attrs.evolve(command, repeated=False)
        case _:
            return command


def _reply(frame: Frame) -> str:
    """The text of an answer: in a header for `bgapi`, in the body for `api`."""
    if frame.content_type == "command/reply":
        return frame.header("reply-text").strip()
    return frame.text().strip()
