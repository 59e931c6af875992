"""One connection to an event socket, from the greeting to its end.

The switch answers commands in the order in which they were sent, and only this order identifies an
answer. A connection with an overdue answer is therefore dead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import trio

from hookflash.backends.freeswitch.wire import Frame, Wire, WireError
from hookflash.errors import BackendError

RECEIVE_BYTES: Final = 262_144
"""Bytes per read: about forty events."""


class EventSocketLost(BackendError):
    """The connection died before the answer came."""


class EventSocketConnection:
    """One connection, from the greeting to its end."""

    def __init__(self, stream: trio.abc.Stream, timeout_s: float) -> None:
        self._stream = stream
        self._timeout_s = timeout_s
        self._wire = Wire()
        self._waiting: deque[AwaitedReply] = deque()
        self._sending = trio.StrictFIFOLock()
        self._scope = trio.CancelScope()
        self.dead: EventSocketLost | None = None
        self.rejected = False
        self.heard_s = trio.current_time()
        """When the switch has last sent something."""

    async def read(self, take: Callable[[Frame], None]) -> None:
        """Read until the connection ends; events go to `take`, answers to their commands.

        Raises:
            EventSocketLost: always, in the end.
        """
        try:
            with self._scope:
                while True:
                    data = await self._stream.receive_some(RECEIVE_BYTES)
                    if not data:
                        raise EventSocketLost("the switch has closed the connection")  # noqa: TRY301 - one way out for every end
                    self.heard_s = trio.current_time()
                    self._wire.receive(data)
                    for frame in self._wire.frames():
                        self._sort(frame, take)
            raise EventSocketLost("the line was cut")  # noqa: TRY301 - one way out for every end
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
            why = f"the connection broke: {str(error) or type(error).__name__}"
            raise self.die(why) from error
        except WireError as error:
            raise self.die(f"what the switch sends can't be read: {error}") from error
        except EventSocketLost as lost:
            raise self.die(str(lost)) from None

    def _sort(self, frame: Frame, take: Callable[[Frame], None]) -> None:
        match frame.content_type:
            case "api/response" | "command/reply":
                if self._waiting:
                    self._waiting.popleft().give(frame)
            case "text/disconnect-notice" | "text/rude-rejection" as kind:
                self.rejected = kind == "text/rude-rejection"
                raise EventSocketLost(frame.text().strip().partition("\n")[0] or "rejected")
            case _:
                take(frame)

    def die(self, why: str) -> EventSocketLost:
        """Fail all awaited answers, and end the reader. The first reason counts."""
        if self.dead is None:
            self.dead = EventSocketLost(why)
            self.cut()
        while self._waiting:
            self._waiting.popleft().fail(self.dead)
        return self.dead

    @property
    def awaits_answers(self) -> bool:
        """Whether an answer is outstanding."""
        return bool(self._waiting)

    async def ask(self, command: str) -> Frame:
        """Send one command, and wait for its answer.

        Raises:
            EventSocketLost: the answer will not come.
        """
        with trio.move_on_after(self._timeout_s):
            (answer,) = await self.send((command,))
            return await answer.frame()
        raise self._overdue()

    async def answer(self, answer: AwaitedReply) -> Frame:
        """Wait for the answer to a sent command.

        Raises:
            EventSocketLost: the answer will not come.
        """
        with trio.move_on_after(self._timeout_s):
            return await answer.frame()
        raise self._overdue()

    def _overdue(self) -> EventSocketLost:
        # only their order identifies answers: after a gap none can be trusted
        return self.die(f"no answer within {self._timeout_s:g} s")

    async def send(self, commands: Sequence[str]) -> list[AwaitedReply]:
        """Send commands together, and return the awaited answers.

        Raises:
            EventSocketLost: not all of them were sent.
        """
        answers = [AwaitedReply() for _ in commands]
        if not answers:
            return []
        async with self._sending:
            await self._send("".join(f"{command}\n\n" for command in commands), answers)
        return answers

    async def nudge(self) -> None:
        """Let the switch look for events now; not if it is about to do so anyway.

        Raises:
            EventSocketLost: the connection is dead.
        """
        if self._waiting or self._sending.locked():
            return
        async with self._sending:
            await self._send("\n", [])

    async def _send(self, text: str, answers: list[AwaitedReply]) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()  # else answers would be awaited without need
        if self.dead is not None:
            raise self.dead
        self._waiting += answers
        try:
            await self._stream.send_all(text.encode())
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
            raise self.die(f"the connection broke: {str(error) or type(error).__name__}") from error
        except trio.Cancelled:
            self.die("a command was cut off while it was sent")
            raise

    def cut(self) -> None:
        """Close it from this side."""
        self._scope.cancel()

    async def api(self, command: str) -> str:
        """Run one API command, and return its answer as text."""
        return (await self.ask(f"api {command}")).text()


class AwaitedReply:
    """An answer that a command is waiting for."""

    __slots__ = ("_come", "_frame", "_lost")

    def __init__(self) -> None:
        self._come = trio.Event()
        self._frame: Frame | None = None
        self._lost: EventSocketLost | None = None

    def give(self, frame: Frame) -> None:
        """Set the answer. Called by the connection."""
        self._frame = frame
        self._come.set()

    def fail(self, lost: EventSocketLost) -> None:
        """Fail: the answer will not come. Called by the connection."""
        self._lost = lost
        self._come.set()

    async def frame(self) -> Frame:
        """Wait without a timeout (see `EventSocketConnection.answer`).

        Raises:
            EventSocketLost: the answer will not come.
        """
        await self._come.wait()
        if self._frame is None:
            raise self._lost or EventSocketLost("the line is closed")
        return self._frame
