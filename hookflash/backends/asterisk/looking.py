"""Asks the switch which legs live, and where they are."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

import attrs
import trio

from hookflash import commands as c
from hookflash import events as e
from hookflash.backends.asterisk.ari_messages import AriChannel
from hookflash.backends.asterisk.channels import (
    Seen,
    noted_sound,
    read_seen,
    waits_for_a_controller,
)
from hookflash.backends.asterisk.connection import AsteriskConnection, trying
from hookflash.backends.asterisk.hearing import NewsReader
from hookflash.backends.asterisk.inbound import endpoint_of
from hookflash.backends.asterisk.memory import LegMemory
from hookflash.backends.asterisk.primitives import SETTLES_S, Redirect
from hookflash.backends.asterisk.requests import barrier_request, redirect_action
from hookflash.backends.asterisk.settings import Asterisk
from hookflash.backends.base import ASKED_AGAIN_S, END_LAGS_S, LOST_TRACK, Rejected


@attrs.frozen
class Survey:
    """All living legs."""

    seen: Seen
    living: tuple[e.LegSnapshot, ...]
    heard: int
    """How many events had come before the request: later ones may be newer."""


@attrs.define(eq=False)
class _Listing:
    """A list of all living legs, shared by all tasks that wait for it."""

    come: trio.Event = attrs.field(factory=trio.Event)
    found: Survey | None = None


class LegLister:
    """Lists the legs of one switch."""

    def __init__(self, settings: Asterisk, memory: LegMemory, reader: NewsReader) -> None:
        """Set up.

        Args:
            settings: of the switch.
            memory: remembers the legs.
            reader: holds events back while a list is fetched.
        """
        self._settings = settings
        self._memory = memory
        self._reader = reader
        self._listing: _Listing | None = None
        """The next list to be requested, if any task waits for it."""
        self._listing_turn = trio.StrictFIFOLock()
        self._numbers = count(1)

    def let_go(self) -> None:
        """Drop the next list after a lost connection."""
        self._listing = None

    async def report_again(self, connection: AsteriskConnection) -> None:
        """Ask for all living legs, and report them."""
        self._reader.hold()
        await self.report_all(await self.find(connection))

    async def report_all(self, found: Survey) -> None:
        """Report all facts about the living legs, then the events held back meanwhile."""
        self._note(found, found.living)
        for leg in self._memory.outlet.gone(found.living):
            self._memory.inbound.note_gone(leg)
        await self._memory.outlet.report_all(found.living, self._settings.name)
        self._reader.catch_up({leg.leg for leg in found.living})

    async def find(self, connection: AsteriskConnection) -> Survey:
        """Ask for all living legs; legs that wait for a controller are taken over first."""
        context = self._settings.context
        seen = await connection.list()
        joined = {member for bridge in seen.bridges for member in bridge.channels}
        waiting = [
            redirect_action(Redirect(channel.id, "park"), context)
            for channel in seen.channels
            if waits_for_a_controller(channel, context) and channel.id not in joined
        ]
        if waiting:
            await connection.act(waiting)
            await trio.sleep(SETTLES_S)
        return await self.look(connection)

    async def look(self, connection: AsteriskConnection) -> Survey:
        """Ask for all living legs. A hang-up that is reported meanwhile is newer."""
        heard = self._memory.heard
        seen = await connection.list()
        outside = await self._outside(connection, seen.channels)
        seen = seen.without(self._memory.inbound.is_gone)
        living = read_seen(
            seen,
            reading=self._memory.reading,
            context=self._settings.context,
            known=self._memory.known,
            outside=outside,
        )
        return Survey(seen, living, heard)

    async def _outside(
        self, connection: AsteriskConnection, channels: Iterable[AriChannel]
    ) -> frozenset[e.LegId]:
        """Of legs whose creation we have not seen: which are on outside lines.

        A leg whose line the switch can't name counts as outside, to be careful.
        """
        endpoints = {
            channel.id: endpoint_of(channel.name)
            for channel in channels
            if channel.id not in self._memory.known and not channel.name.startswith("Local/")
        }
        contexts = {
            endpoint: await self._context_of(connection, endpoint)
            for endpoint in {*endpoints.values()}
        }
        outside = {"", *self._settings.outside_contexts}
        return frozenset(
            leg for leg, endpoint in endpoints.items() if contexts[endpoint] in outside
        )

    @staticmethod
    async def _context_of(connection: AsteriskConnection, endpoint: str) -> str:
        """The context of an endpoint's calls; empty if it is unknown."""
        if not endpoint:
            return ""
        try:
            return await connection.value(f"PJSIP_ENDPOINT({endpoint},context)")
        except Rejected:
            return ""

    def _note(self, found: Survey, living: Iterable[e.LegSnapshot]) -> None:
        """Remember a list as if events had reported it."""
        channels = {channel.id: channel for channel in found.seen.channels}
        listed: set[e.LegId] = set()
        for leg in living:
            listed.add(leg.leg)
            channel = channels[leg.leg]
            self._memory.inbound.note_living(channel, leg)
            playback, _ = noted_sound(channel)
            if leg.parked:
                self._memory.steps.moving.discard(leg.leg)  # the event of its arrival may be lost
            if playback and leg.parked:
                self._memory.steps.plays.setdefault(leg.leg, playback)
        for bridge in found.seen.bridges:
            # the list may be newer than the events: those of other legs are still to come
            is_theirs = bridge.channels and listed.issuperset(bridge.channels)
            if is_theirs and self._memory.is_silent_since(found.heard, bridge.channels):
                self._memory.inbound.note_bridge(bridge)

    async def answer(self, connection: AsteriskConnection, look: c.Look) -> None:
        """Report the state of these legs, after every event that the switch has sent before.

        A leg may end between these events and the list: then the event of its end comes later.
        """
        until_s = trio.current_time() + END_LAGS_S
        while True:
            found = await self._look_behind(connection)
            legs = {
                leg.leg: leg for leg in found.living if not self._memory.inbound.is_gone(leg.leg)
            }
            ended = self._memory.outlet.living.intersection(look.legs).difference(legs)
            wanted = {*look.legs, *(legs[leg].peer or "" for leg in look.legs if leg in legs)}
            if ended and trio.current_time() < until_s:
                await trio.sleep(ASKED_AGAIN_S)
            elif self._memory.is_silent_since(found.heard, wanted):
                living = tuple(leg for leg in legs.values() if leg.leg in wanted)
                self._note(found, living)
                for leg in look.legs:
                    if leg not in legs:
                        self._memory.inbound.note_gone(leg)
                for leg in sorted(ended):
                    self._memory.outlet.give(e.LegHungUp(leg=leg, cause=LOST_TRACK))
                self._memory.outlet.give(e.LegsSeen(look=look, living=living))
                return

    async def _look_behind(self, connection: AsteriskConnection) -> Survey:
        """Ask for all living legs, after every event that the switch has sent before.

        One list serves all requests that come while the previous one is fetched: on a busy switch
        there are hundreds at once, and each list contains all legs.
        """
        listing = self._listing
        if listing is not None:
            await listing.come.wait()
            if listing.found is None:
                raise connection.ari.die("a list did not come")
            return listing.found
        listing = self._listing = _Listing()
        try:
            async with self._listing_turn:
                if self._listing is listing:  # later requests need another
                    self._listing = None
                await self._pass_barrier(connection)
                listing.found = await self.look(connection)
                return listing.found
        finally:
            listing.come.set()

    async def _pass_barrier(self, connection: AsteriskConnection) -> None:
        """Wait until all events that were sent before have come."""
        name = f"hookflash-{next(self._numbers)}"
        passed = self._reader.barrier(name)
        await connection.ari.ask(barrier_request(self._settings.application, name))
        with trio.move_on_after(self._settings.request_timeout_s):
            await passed.wait()
            return
        raise connection.ari.die("events no longer come")

    async def see_where(self, connection: AsteriskConnection, leg: e.LegId) -> None:
        """Find a leg that left the park; report it if another program moved it."""
        await trio.sleep(SETTLES_S)
        if self._memory.inbound.is_alone(leg):
            await trying(connection, self._report_if_elsewhere(connection, leg))

    async def _report_if_elsewhere(self, connection: AsteriskConnection, leg: e.LegId) -> None:
        found = await self.look(connection)
        if any(one.leg == leg and one.elsewhere for one in found.living):
            self._memory.outlet.give(e.LegMovedAway(leg=leg))
