"""Events, as a program reads them."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Self

import attrs
import trio

if TYPE_CHECKING:
    from hookflash.client.connection import Connection


@attrs.define(eq=False)
class ClientSubscription:
    """One subscription, over however many connections."""

    wanted: dict[str, Any]
    """What the subscription asks for."""
    up_to: int | None = None
    """The number up to which everything has come; `None` before the first connection."""
    name: str | None = None
    """The subscription's name on this connection."""
    events: deque[dict[str, Any]] = attrs.field(factory=deque[dict[str, Any]])
    """Events that have not been read yet."""
    news: trio.Event = attrs.field(factory=trio.Event)
    fault: Exception | None = None
    """Why no more events come."""
    left: bool = False
    """Whether it is read no more."""

    def wake(self) -> None:
        """Wake the reader."""
        self.news.set()
        self.news = trio.Event()


class EventStream(AsyncIterator[dict[str, Any]]):
    """Events, as they come. Leave it at any time: the subscription is then ended."""

    def __init__(
        self,
        connection: Connection,
        what: Mapping[str, Any],
        after: int | None,
        transfer: str | None,
    ) -> None:
        """Begin; the subscription is made when the first event is asked for."""
        self._connection = connection
        self._follower = ClientSubscription(dict(what), up_to=after)
        self._transfer = transfer
        self._looks_back = transfer is not None and after is None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> dict[str, Any]:
        """The next event.

        Raises:
            StopAsyncIteration: the transfer has ended.
            RefusedByService: the service refuses the subscription.
            ConnectionLost: the client was closed.
        """
        follower = self._follower
        while not follower.events:
            if follower.left:
                raise StopAsyncIteration
            if follower.fault is not None:
                raise follower.fault
            if self._looks_back:
                await self._look_back()
            elif await self._connection.follow(follower):
                await follower.news.wait()
        await trio.lowlevel.checkpoint()
        event = follower.events.popleft()
        if self._transfer is not None and event["kind"] == "transfer.ended":
            follower.events.clear()
            self._connection.leave(follower)
        return event

    async def _look_back(self) -> None:
        """Start where the transfer began."""
        asked = {"transfer_id": self._transfer, "account_id": self._follower.wanted["account_id"]}
        past = await self._connection.ask("get_transfer", asked)
        timeline = past.get("timeline")
        self._follower.up_to = timeline[0]["number"] - 1 if timeline else None
        self._looks_back = False

    async def aclose(self) -> None:
        """End the subscription."""
        await trio.lowlevel.checkpoint()
        self._connection.leave(self._follower)

    def __del__(self) -> None:
        # nothing can be sent from here: the connection ends it when the next event comes
        self._follower.left = True
