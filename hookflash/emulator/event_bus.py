"""Builds and numbers events, and sends them to the programs that subscribed to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from hookflash.emulator.events import FreeSwitchEvent, Header, origin
from hookflash.emulator.host import HOSTNAME, Host
from hookflash.emulator.variables import stamp
from hookflash.events import LegId


class EventListener(Protocol):
    """A connection that can subscribe to events."""

    def wants(self, name: str) -> bool:
        """Whether events of this name may be sent; `offer` checks the filters too."""
        ...

    def offer(self, event: FreeSwitchEvent) -> None:
        """Send an event, unless a filter excludes it."""
        ...

    def leg_ended(self, leg: LegId, name: str) -> None:
        """Handle the end of a leg; `name` is its channel's."""
        ...


class EventBus:
    """The events of one emulator."""

    def __init__(self, host: Host) -> None:
        """Begin without listeners.

        Args:
            host: stamps the events.
        """
        self._host = host
        self._sequence = 0
        self._to_lose: list[str] = []
        self.lag_s = 0.0
        """How long an event is on its way to the connections. Answers don't wait for it: those of a
        busy FreeSWITCH overtake the events."""
        self.listeners: list[EventListener] = []
        """Every connection, whether it has subscribed to anything or not."""
        self.on_subscription: Callable[[], None] = lambda: None
        """Called when a program subscribes to events."""

    def remove(self, listener: EventListener) -> None:
        """Remove a connection that is closed."""
        if listener in self.listeners:
            self.listeners.remove(listener)

    def fire(
        self, name: str, headers: Callable[[], Sequence[Header]], body: str | None = None
    ) -> None:
        """Send an event to every listener that wants it.

        Args:
            name: of the event.
            headers: builds its headers; called only if a listener wants the event.
            body: the text after the headers.
        """
        self._sequence += 1
        if name in self._to_lose:
            self._to_lose.remove(name)
            return
        wanting = [listener for listener in self.listeners if listener.wants(name)]
        if wanting:
            event = self.make_event(name, headers(), body)
            if self.lag_s:
                self._host.world.after(self.lag_s, partial(self._deliver, event, wanting))
            else:
                self._deliver(event, wanting)

    def _deliver(self, event: FreeSwitchEvent, wanting: Sequence[EventListener]) -> None:
        for listener in wanting:
            if listener in self.listeners:
                listener.offer(event)

    def lose(self, name: str) -> None:
        """Drop the next event of this name, as a FreeSWITCH does under load."""
        self._to_lose.append(name)

    def leg_ended(self, leg: LegId, name: str) -> None:
        """Report a leg's end to all connections: some follow one leg (`myevents`)."""
        for listener in list(self.listeners):
            listener.leg_ended(leg, name)

    def make_event(
        self, name: str, headers: Sequence[Header], body: str | None = None
    ) -> FreeSwitchEvent:
        """Build an event: the headers that all events begin with, then these."""
        now_us = self._host.now_us()
        file, function, line = origin(name)
        now = datetime.fromtimestamp(now_us // 1_000_000, tz=UTC)
        return FreeSwitchEvent(
            name,
            [
                *(header for header in headers if header[0] == _SUBCLASS),
                ("Event-Name", name),
                ("Core-UUID", self._host.core_uuid),
                ("FreeSWITCH-Hostname", HOSTNAME),
                ("FreeSWITCH-Switchname", HOSTNAME),
                ("FreeSWITCH-IPv4", "127.0.0.1"),
                ("FreeSWITCH-IPv6", "::1"),
                ("Event-Date-Local", stamp(now_us)),
                ("Event-Date-GMT", f"{now:%a, %d %b %Y %H:%M:%S} GMT"),
                ("Event-Date-Timestamp", str(now_us)),
                ("Event-Calling-File", file),
                ("Event-Calling-Function", function),
                ("Event-Calling-Line-Number", line),
                ("Event-Sequence", str(self._sequence)),
                *(header for header in headers if header[0] != _SUBCLASS),
            ],
            body,
        )


_SUBCLASS = "Event-Subclass"
"""The only header of a program's own event that comes first."""
