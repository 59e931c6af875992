"""Both connections to one Asterisk, used as one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeVar, TypeVarTuple, Unpack

import attrs
import msgspec
import trio

from hookflash.backends.asterisk.ari import Ari, AriLost
from hookflash.backends.asterisk.ari_messages import AriBridge, AriChannel, AriMessage, read_body
from hookflash.backends.asterisk.channels import Seen
from hookflash.backends.asterisk.manager import Manager, ManagerAction, ManagerLost
from hookflash.backends.asterisk.primitives import GetvarCheck
from hookflash.backends.asterisk.requests import PING, Request, fact_action, is_ok
from hookflash.backends.base import Rejected
from hookflash.backends.heartbeat import ask_when_quiet
from hookflash.events import LegId

LOST: Final = (AriLost, ManagerLost)
"""The errors of both connections for an answer that will not come."""

_Read = TypeVar("_Read")
_Arguments = TypeVarTuple("_Arguments")


@attrs.frozen
class AsteriskConnection:
    """ARI reports events, AMI moves legs. If one of the two is lost, both are closed."""

    ari: Ari
    manager: Manager

    @property
    def is_dead(self) -> bool:
        """Whether one of the two is lost, so that this connection is unusable."""
        return self.ari.dead is not None or self.manager.dead is not None

    def die(self, why: str) -> None:
        """Close both."""
        self.ari.die(why)
        self.manager.die(why)

    async def watch(self, scope: trio.CancelScope) -> None:
        """Wait until AMI is lost, then end this connection."""
        self.ari.die(str(await self.manager.lost()))
        scope.cancel()

    async def keep_asking(self, heartbeat_s: float) -> None:
        """Ask for signs of life; a switch that gives none loses the connection (see `ask`)."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_when_quiet, lambda: self.ari.heard_s, heartbeat_s, self._ask_ari)
            nursery.start_soon(
                ask_when_quiet, lambda: self.manager.heard_s, heartbeat_s, self._ask_manager
            )

    async def _ask_ari(self) -> None:
        await trying(self, self.ari.ask(PING))

    async def _ask_manager(self) -> None:
        await trying(self, self.manager.action("Ping"))

    async def act(self, actions: Iterable[ManagerAction]) -> str | None:
        """Send actions together.

        Returns:
            The reason of the first refusal, if any.
        """
        return next(filter(None, await self.act_each(actions)), None)

    async def act_each(self, actions: Iterable[ManagerAction]) -> list[str | None]:
        """Send actions together.

        Returns:
            For each, the reason of its refusal, if any.
        """
        responses = [await pending.response() for pending in await self.manager.send(*actions)]
        return [None if one.ok else one.get("message") or "refused" for one in responses]

    async def ask(self, request: Request) -> str | None:
        """Send a request.

        Returns:
            The reason of its refusal, if any: the status and ARI's message.
        """
        reply = await self.ari.ask(request)
        return None if is_ok(reply) else f"{reply.status_code} {reply.message_body}"

    async def value(self, name: str) -> str:
        """Get the value of a function without a channel: ARI itself knows only variables.

        Raises:
            Rejected: this is not permitted.
        """
        answer = await self.manager.action("Getvar", Variable=name)
        if not answer.ok:
            raise Rejected(f"AMI refuses a question: {answer.get('message')} ({name})")
        return answer.get("value")

    async def variables(self, leg: LegId, *names: str) -> tuple[str, ...] | str:
        """Get the values of a leg's variables, or the reason of the refusal."""
        asked = (ManagerAction("Getvar", {"Channel": leg, "Variable": name}) for name in names)
        answers = [await pending.response() for pending in await self.manager.send(*asked)]
        refusals = [one.get("message") or "refused" for one in answers if not one.ok]
        return refusals[0] if refusals else tuple(one.get("value") for one in answers)

    async def are_so(self, facts: Iterable[GetvarCheck]) -> bool:
        """Whether all of these checks hold."""
        for fact in facts:
            (pending,) = await self.manager.send(fact_action(fact))
            answer = await pending.response()
            if not answer.ok or not fact.shown_by(answer.get("value")):
                return False
        return True

    async def list(self) -> Seen:
        """List all channels and bridges."""
        return Seen(
            channels=tuple(_read(await self.ari.list("channels"), list[AriChannel])),
            bridges=tuple(_read(await self.ari.list("bridges"), list[AriBridge])),
        )


def _read(reply: AriMessage, kind: type[_Read]) -> _Read:
    """Read a response.

    Raises:
        AriLost: it is invalid, so the connection can't be trusted.
    """
    if not is_ok(reply):
        raise AriLost(f"ARI lists no channels or bridges: {reply.status_code} {reply.message_body}")
    try:
        return read_body(reply.message_body, kind)
    except msgspec.DecodeError as error:
        raise AriLost(f"ARI: a response can't be read: {error}") from error


class Link:
    """The current connection, if any, and the tasks on it."""

    def __init__(self) -> None:
        """Begin without a connection."""
        self.connection: AsteriskConnection | None = None
        self._nursery: trio.Nursery | None = None

    def begin(self, connection: AsteriskConnection, nursery: trio.Nursery) -> None:
        """Use a connection; its tasks run in the nursery."""
        self.connection, self._nursery = connection, nursery

    def end(self) -> None:
        """Stop using it."""
        self.connection = self._nursery = None

    def cut(self, why: str) -> None:
        """Cut the connection."""
        if self.connection is not None:
            self.connection.die(why)

    def start_soon(
        self,
        task: Callable[[AsteriskConnection, Unpack[_Arguments]], Awaitable[None]],
        *args: *_Arguments,
    ) -> None:
        """Start a task on the connection. Without one, or with a dying one, nothing is started."""
        connection, nursery = self.connection, self._nursery
        if connection is not None and nursery is not None and not connection.is_dead:
            nursery.start_soon(task, connection, *args)


async def trying(connection: AsteriskConnection, asking: Awaitable[object]) -> None:
    """Do something on a connection, and ignore its loss."""
    try:
        await asking
    except LOST as lost:
        connection.die(str(lost))
