"""Reads the switch's events as facts, and remembers what is needed of them.

Only facts that were passed on are remembered: dropped ones are not known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import trio

from hookflash import commands as c
from hookflash import events as e
from hookflash.backends.freeswitch.inbound import Inbound
from hookflash.backends.freeswitch.names import ALLOWED_LEG_WORDS
from hookflash.backends.freeswitch.procedures import CallerId
from hookflash.backends.freeswitch.settings import FreeSwitch
from hookflash.backends.freeswitch.wire import Frame
from hookflash.backends.outlet import Outlet
from hookflash.backends.unusable import UnusableLegs
from hookflash.called import caller_of


class EventReader:
    """Reads the events of one switch, over one connection after the other."""

    def __init__(self, settings: FreeSwitch, log: Any) -> None:
        """Begin without known legs.

        Args:
            settings: of the switch.
            log: receives warnings.
        """
        self._settings = settings
        self.outlet = Outlet(settings.event_buffer, self._remember, log)
        self._unusable = UnusableLegs(ALLOWED_LEG_WORDS, log)
        self.inbound = self._new_inbound()
        self.dialled: dict[e.LegId, c.Dial] = {}
        """Calls that the switch has accepted on this connection, and apparently not begun."""
        self.joined_s: dict[e.LegId, float] = {}
        """When each leg's last bridge was reported."""
        self.on_unknown: Callable[[c.Look], None] | None = None
        """While connected: called to ask about unknown legs."""
        self._callers: dict[e.LegId, CallerId] = {}
        self._ringing: set[e.LegId] = set()
        """Parties that were called, and have not answered."""
        self._rings = trio.Event()
        self._asked: set[e.LegId] = set()
        """Unknown legs about which the switch was asked."""

    def _new_inbound(self) -> Inbound:
        return Inbound(
            account_variable=self._settings.account_variable,
            owner_variable=self._settings.owner_variable,
            outside_contexts=self._settings.outside_contexts,
            outside_profiles=self._settings.outside_profiles,
            on_unusable=self._unusable.note,
        )

    def begin(self) -> None:
        """Begin to read a new connection."""
        self.inbound = self._new_inbound()
        self.dialled.clear()
        self._ringing.clear()
        self.hold()

    def hold(self) -> None:
        """Hold facts back while a snapshot is taken."""
        self.outlet.hold()
        self._asked.clear()

    def take(self, frame: Frame) -> None:
        """Read an event."""
        for event in self.inbound.receive(frame):
            self.outlet.give(event)

    def caller_of(self, leg: e.LegId) -> CallerId:
        """Return the party on a leg, as far as it was reported."""
        return self._callers.get(leg, CallerId())

    def note(self, living: Iterable[e.LegSnapshot]) -> None:
        """Remember a snapshot as if events had reported it."""
        for leg in living:
            self.inbound.note_living(leg.leg, answered=leg.answered)
            if not leg.answered:
                self._note_ringing(leg.leg)

    async def somebody_rings(self) -> None:
        """Wait until a party rings that was called for a transfer."""
        while not self._ringing:
            self._rings = trio.Event()
            await self._rings.wait()

    def _note_ringing(self, leg: e.LegId) -> None:
        if caller_of(leg):
            self._ringing.add(leg)
            self._rings.set()

    def _remember(self, event: e.CallEvent) -> None:
        """Remember a fact that was passed on."""
        match event:
            case e.LegProgressed(leg=leg):
                self._note_ringing(leg)
            case e.LegCreated(leg=leg):
                self._callers[leg] = CallerId(
                    number=event.number, name=event.name, withheld=event.withheld
                )
                self.dialled.pop(leg, None)
            case e.LegHungUp(leg=leg):
                self._ringing.discard(leg)
                self._callers.pop(leg, None)
                self.dialled.pop(leg, None)
                self.joined_s.pop(leg, None)
            case e.LegAnswered(leg=leg) | e.LegParked(leg=leg) | e.DigitPressed(leg=leg):
                self._ringing.discard(leg)
                self._ask_who_is(leg)
            case e.LegsJoined(first=first, second=second):
                self.joined_s[first] = self.joined_s[second] = trio.current_time()
                self._ask_who_is(first, second)
            case _:
                pass

    def _ask_who_is(self, *legs: e.LegId) -> None:
        """Ask about legs whose creation event was lost."""
        unknown = tuple(leg for leg in legs if leg not in self.outlet.living)
        if unknown and self.on_unknown is not None and self._asked.isdisjoint(unknown):
            self._asked.update(unknown)
            self.on_unknown(c.Look(legs=unknown))
