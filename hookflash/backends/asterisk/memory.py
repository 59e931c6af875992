"""What is known about the legs of one Asterisk, from facts that were passed on and from orders."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs
import trio

from hookflash import commands as c
from hookflash import events as e
from hookflash.backends.asterisk.ari_messages import AriMessage
from hookflash.backends.asterisk.channels import KnownLeg
from hookflash.backends.asterisk.inbound import (
    ALLOWED_LEG_WORDS,
    AsteriskInbound,
    AsteriskReading,
    is_leg,
)
from hookflash.backends.asterisk.procedures import KnownParty
from hookflash.backends.asterisk.settings import Asterisk
from hookflash.backends.asterisk.steps import Steps
from hookflash.backends.outlet import Outlet
from hookflash.backends.unusable import UnusableLegs


class LegMemory:
    """Remembers the legs of one switch, over one connection after the other."""

    def __init__(self, settings: Asterisk, log: Any) -> None:
        """Begin without known legs.

        Args:
            settings: of the switch.
            log: receives warnings.
        """
        self.reading = AsteriskReading(
            account_variable=settings.account_variable,
            owner_variable=settings.owner_variable,
            outside_contexts=settings.outside_contexts,
        )
        self._unusable = UnusableLegs(ALLOWED_LEG_WORDS, log)
        self.steps = Steps(settings.context, settings.application)
        self.outlet = Outlet(settings.event_buffer, self._remember, log)
        self.inbound = self._new_inbound()
        self.known: dict[e.LegId, KnownLeg] = {}
        self.dials: dict[e.LegId, c.Dial] = {}
        """Calls that have not been answered."""
        self.joins: dict[e.LegId, c.Join] = {}
        """The last join that was ordered, by its first leg."""
        self.joined_s: dict[e.LegId, float] = {}
        """When each leg was joined last."""
        self.heard = 0
        """How many events have been received."""
        self._heard_of: dict[e.LegId, int] = {}
        """The number of the last event about each leg."""
        self._parties: dict[e.LegId, KnownParty] = {}

    def _new_inbound(self) -> AsteriskInbound:
        return AsteriskInbound(self.reading, self._unusable.note, self.outlet.halves.note_ending)

    def begin(self) -> None:
        """Begin with a new connection."""
        self.inbound = self._new_inbound()
        self._heard_of.clear()

    def party_of(self, leg: e.LegId) -> KnownParty:
        """The party on a leg, as far as it is known."""
        return attrs.evolve(self._parties.get(leg, KnownParty()), channel=self.inbound.name_of(leg))

    def give(self, event: e.CallEvent) -> None:
        """Pass a fact on."""
        if isinstance(event, e.LegCreated) and event.leg in self.dials:
            # a call that fails at once never gets its number
            event = attrs.evolve(event, number=self.dials[event.leg].target)
        if isinstance(event, e.LegsJoined):
            self.note_joined(event.first, event.second)
        self.outlet.give(event)

    def _remember(self, event: e.CallEvent) -> None:
        """Remember a fact that was passed on; dropped facts are not known."""
        match event:
            case e.LegCreated(leg=leg):
                self.known[leg] = KnownLeg(
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
                self.dials.pop(leg, None)
            case e.LegHungUp(leg=leg):
                self.steps.forget(leg)
                for kept in (self._parties, self.known, self.dials, self.joins, self.joined_s):
                    kept.pop(leg, None)
            case _:
                pass

    def note_joined(self, *legs: e.LegId) -> None:
        """Note that legs have just been joined, or will be in a moment."""
        living = (leg for leg in legs if not self.inbound.is_gone(leg))
        self.joined_s |= dict.fromkeys(living, trio.current_time())

    def note_heard(self, news: AriMessage) -> None:
        """Note an event about these legs."""
        self.heard += 1
        for channel in news.channels:
            if is_leg(channel) and not self.inbound.is_gone(channel.id):
                self._heard_of[channel.id] = self.heard

    def forget_heard(self, leg: e.LegId) -> None:
        """Forget a leg that has ended, as the inbound side knows."""
        self._heard_of.pop(leg, None)

    def is_silent_since(self, heard: int, legs: Iterable[e.LegId]) -> bool:
        """Whether no event about these legs has come after the first so many."""
        return all(self._heard_of.get(leg, 0) <= heard for leg in legs)
