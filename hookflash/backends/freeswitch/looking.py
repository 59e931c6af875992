"""Asks the switch which legs live, and in which state."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeVar

import attrs
import msgspec
import trio

from hookflash import commands as c
from hookflash import events as e
from hookflash.backends.base import LOST_TRACK
from hookflash.backends.freeswitch.channels import Reading, pairs_of
from hookflash.backends.freeswitch.connection import EventSocketConnection, EventSocketLost
from hookflash.backends.freeswitch.hearing import EventReader
from hookflash.backends.freeswitch.names import is_usable
from hookflash.backends.freeswitch.settings import FreeSwitch
from hookflash.called import names_of_called

LIST_LAGS_S: Final = 0.1
MOST_LOOKS: Final = 4
"""How long, and how often, to wait for the list of channels, which lags 80 to 190 ms behind."""

_SESSIONS: Final = re.compile(r"^(\d{1,9}) session\(s\) - peak", re.MULTILINE)


class ChannelLister:
    """Lists the legs of one switch."""

    def __init__(self, settings: FreeSwitch, reader: EventReader) -> None:
        """Set up.

        Args:
            settings: of the switch.
            reader: knows the reported legs.
        """
        self._reader = reader
        self._switch = settings.name
        self._reading = Reading(
            account_variable=settings.account_variable,
            owner_variable=settings.owner_variable,
            outside_contexts=settings.outside_contexts,
            outside_profiles=settings.outside_profiles,
        )

    async def report_again(self, connection: EventSocketConnection) -> None:
        """Ask for all living legs, and report them."""
        self._reader.hold()
        await self.report_all(await self.find(connection))

    async def report_all(self, living: tuple[e.LegSnapshot, ...]) -> None:
        """Report all facts about the living legs, and the end of known legs that are gone."""
        self._reader.note(living)
        for leg in self._reader.outlet.gone(living):
            self._reader.inbound.note_gone(leg)
        await self._reader.outlet.report_all(living, self._switch)

    async def find(self, connection: EventSocketConnection) -> tuple[e.LegSnapshot, ...]:
        """Ask for the channels until there are as many as the switch counts.

        Not for long: a session that has hung up still counts for a while.
        """
        living = await self.look(connection)
        for _ in range(MOST_LOOKS):
            counted = _SESSIONS.search(await connection.api("status"))
            if counted is None or len(living) >= int(counted[1]):
                break
            await trio.sleep(LIST_LAGS_S)
            living = await self.look(connection)
        return living

    async def look(self, connection: EventSocketConnection) -> tuple[e.LegSnapshot, ...]:
        """Ask for the channels, and for the state of each.

        The list lags behind: a leg appears 80 to 190 ms after it was created (measured on 1.10.12:
        20 of 20), and stays for a while after its end. So known legs are asked for as well, and the
        targets of transfers whose marks are found: such a target may have just begun to ring.
        """
        shown = _read(await connection.api("show channels as json"), _Channels)
        listed = dict.fromkeys(
            [*(row.uuid for row in shown.rows), *sorted(self._reader.outlet.living)]
        )
        return await self._look_at(connection, listed, and_more=_named_by)

    async def _look_at(
        self,
        connection: EventSocketConnection,
        legs: Iterable[e.LegId],
        *,
        and_more: Callable[[e.LegSnapshot], Iterable[e.LegId]] = lambda _leg: (),
    ) -> tuple[e.LegSnapshot, ...]:
        """Ask for the state of legs, and of the legs that they name as partners, and so on."""
        seen: dict[e.LegId, e.LegSnapshot] = {}
        asked: set[e.LegId] = set()
        todo = list(legs)
        while todo:
            batch = [leg for leg in todo if leg not in asked and is_usable(leg)]
            asked.update(todo)  # unusable ones too: their partners name them again and again
            answers = await connection.send([f"api uuid_dump {leg} json" for leg in batch])
            for leg, answer in zip(batch, answers, strict=True):
                dump = (await connection.answer(answer)).text()
                snapshot = (
                    None
                    if dump.startswith("-ERR")
                    else self._reading.read(leg, _read(dump, dict[str, Any]))
                )
                if snapshot is not None:
                    seen[leg] = self._still_rings(snapshot)
            named = (one for leg in seen.values() for one in (leg.peer, *and_more(leg)) if one)
            todo = list(dict.fromkeys(one for one in named if one not in asked))
        return pairs_of(map(self._as_it_began, seen.values()))

    def _still_rings(self, leg: e.LegSnapshot) -> e.LegSnapshot:
        """A leg that rings is not in the park for us, but will be with its answer."""
        if leg.answered or not leg.parked or leg.direction is e.Direction.INBOUND:
            return leg
        self._reader.inbound.note_waiting(leg.leg)
        return attrs.evolve(leg, parked=False)

    def _as_it_began(self, leg: e.LegSnapshot) -> e.LegSnapshot:
        """A leg with its reported number: a leg that is sent somewhere changes its number."""
        return attrs.evolve(leg, number=self._reader.caller_of(leg.leg).number or leg.number)

    async def answer(
        self, connection: EventSocketConnection, look: c.Look, *, until_s: float
    ) -> bool:
        """Report the state of these legs, after the end of those that are gone.

        The switch's answers overtake its events: it may deny a leg before it reports the end.

        Args:
            connection: to the switch.
            look: the question.
            until_s: when the event of an end is taken for lost.

        Returns:
            Whether the state is reported. If not, an end is still to come: ask again soon.
        """
        living = await self._look_at(connection, look.legs)
        living += tuple(self._about_to_call(look, living))
        ended = self._reader.outlet.living.intersection(look.legs)
        ended.difference_update(leg.leg for leg in living)
        if ended and trio.current_time() < until_s:
            return False
        self._reader.note(living)
        for leg in sorted(ended):
            self._reader.inbound.note_gone(leg)
            self._reader.outlet.give(e.LegHungUp(leg=leg, cause=LOST_TRACK))
        self._reader.outlet.give(e.LegsSeen(look=look, living=living))
        return True

    def _about_to_call(
        self, look: c.Look, living: Iterable[e.LegSnapshot]
    ) -> Iterator[e.LegSnapshot]:
        """Calls that a busy switch has accepted but not begun yet: they are not lost.

        Ordering one again would call the target twice (through loopback: under another id).
        """
        present = {leg.leg for leg in living}
        for leg in look.legs:
            dial = self._reader.dialled.get(leg)
            if dial is not None and leg not in present:
                yield e.LegSnapshot(
                    leg=leg,
                    number=dial.target,
                    direction=e.Direction.OUTBOUND,
                    account=dial.account,
                    owner_id=dial.owner_id,
                    transfer=dial.transfer,
                    role=dial.role,
                )


class _ChannelRow(msgspec.Struct):
    """A row of `show channels as json`."""

    uuid: str


class _Channels(msgspec.Struct):
    """`show channels as json`: without `rows` if there are no channels."""

    row_count: int = 0
    rows: list[_ChannelRow] = []


def _named_by(leg: e.LegSnapshot) -> Iterator[e.LegId]:
    """The legs that may exist because of this one, and are not in the list yet."""
    if leg.transfer:
        yield from names_of_called(leg.transfer)
    yield leg.other_half


_Answered = TypeVar("_Answered")


def _read(text: str, kind: type[_Answered]) -> _Answered:
    """Read an answer in JSON.

    Raises:
        EventSocketLost: it is not JSON, so the connection can't be trusted.
    """
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise EventSocketLost(f"an answer of the switch can't be read: {error}") from error
