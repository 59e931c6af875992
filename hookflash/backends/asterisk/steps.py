"""Executes operations one after the other on one connection, and tracks sounds and refusals."""

from __future__ import annotations

import random
from itertools import count
from typing import Final

import attrs
import trio

from hookflash.backends.asterisk import primitives as p
from hookflash.backends.asterisk.connection import AsteriskConnection
from hookflash.backends.asterisk.requests import (
    Request,
    is_endless,
    kill_request,
    music_request,
    originate_request,
    play_request,
    redirect_action,
    set_actions,
    snoop_request,
    stop_music_request,
    stop_request,
)
from hookflash.events import LegId
from hookflash.sounds import Sound

MUSIC: Final = "music"
"""The note in place of a playback's id."""

_MOST_TRIES: Final = 20
_NEXT_TRY_S: Final = 0.01
"""A new channel needs some milliseconds to come to the application, and is not found until then."""

NORMAL: Final = 16
"""Normal clearing, as a number of Q.850."""

_DICE: Final = random.SystemRandom()


@attrs.frozen(kw_only=True)
class Done:
    """The result of a procedure."""

    refused: str | None = None
    """The reason of a refusal, if any. Then the rest of the procedure was not executed."""
    joined: bool = False
    """Whether the two who were to be joined were already talking."""


class Steps:
    """Executes operations, and remembers what they have changed."""

    def __init__(self, context: str, application: str) -> None:
        """Begin without known legs.

        Args:
            context: the context of our dialplan.
            application: the name under which we are registered with ARI.
        """
        self.whispers: dict[LegId, LegId] = {}
        """For each channel that whispers, the leg that hears it."""
        self._application = application
        self.plays: dict[LegId, str] = {}
        """The last sound on each leg: the id of the playback, or `MUSIC`."""
        self._asked: dict[LegId, list[str]] = {}
        """The music classes that were ordered for each leg, and have not been reported yet."""
        self.moving: set[LegId] = set()
        """Legs that we have moved, and that have not come back to the park since."""
        self._context = context
        self._playbacks = count(1)

    def forget(self, leg: LegId) -> None:
        """Forget a leg that has ended."""
        self.plays.pop(leg, None)
        self._asked.pop(leg, None)
        self.moving.discard(leg)

    def parked(self, leg: LegId) -> None:
        """Note that a leg has come to the park, which stops its sounds."""
        self.forget(leg)

    def missing_music(self, leg: LegId, plays: str) -> str:
        """Note that a music class plays to a leg.

        Asterisk plays its default class if the ordered one is missing, and reports success
        (measured on 22.10.1).

        Returns:
            The ordered class, if another one plays; empty otherwise.
        """
        asked = self._asked.pop(leg, [])
        names = [name.casefold() for name in asked]
        place = names.index(plays.casefold()) if plays.casefold() in names else 0
        if asked[place + 1 :]:
            self._asked[leg] = asked[place + 1 :]
        return asked[0] if asked and plays.casefold() not in names else ""

    async def run(self, connection: AsteriskConnection, procedure: p.AsteriskProcedure) -> Done:
        """Execute a procedure."""
        for step in procedure.before:
            await self._do(connection, step)
        for facts in procedure.unless:
            if await connection.are_so(facts):
                return Done()
        joined = bool(procedure.joined) and await connection.are_so(procedure.joined)
        for number, step in enumerate(procedure.steps_when_joined if joined else procedure.steps):
            refused = await self._do(connection, step)
            if refused is not None and number >= procedure.optional:
                return Done(refused=refused)
        if not await connection.are_so(procedure.proof):
            return Done(refused=p.TOO_LATE)
        return Done(joined=joined)

    async def _do(self, connection: AsteriskConnection, step: p.Primitive) -> str | None:  # noqa: PLR0911 - a table
        """Execute one operation; return the reason of its refusal, if any."""
        match step:
            case p.Setvar() | p.RestoreLimit() | p.Conceal() | p.RestoreDisplay():
                return await self._set(connection, step)
            case p.NoteBack():
                return await self._note_back(connection, step)
            case p.Redirect():
                return await self._move(connection, step)
            case p.StopSounds(leg=leg):
                return await self._stop(connection, leg)
            case p.PlayMedia():
                playback = f"{step.leg}-s{next(self._playbacks)}-{_DICE.randrange(2**32):08x}"
                return await self._begin(connection, step, playback, play_request(step, playback))
            case p.PlayMusic():
                self._asked.setdefault(step.leg, []).append(step.sound.name)
                return await self._begin(connection, step, MUSIC, music_request(step))
            case p.Whisper():
                return await self._whisper(connection, step)
            case p.OriginateChannel() | p.HangUpChannel():
                return await connection.ask(self._request(step))

    @staticmethod
    async def _set(connection: AsteriskConnection, step: p.Setvar | p.Amendment) -> str | None:
        """Set variables, after reading those that the new values depend on."""
        if not isinstance(step, p.Setvar):
            values = await connection.variables(step.leg, *step.asked())
            if isinstance(values, str):
                return values
            step = p.Setvar(step.leg, step.amended(values))
        return await connection.act(set_actions(step))

    @staticmethod
    async def _note_back(connection: AsteriskConnection, step: p.NoteBack) -> str | None:
        values = await connection.variables(step.leg, *step.asked())
        if isinstance(values, str):
            return values
        if values[0]:
            return p.JOINED
        place = step.noted(values)
        if not place:
            return p.NOT_KNOWN
        exists = await connection.variables(step.leg, step.exists(place))
        if exists != ("1",):
            return p.NO_PLACE if step.place else p.NOT_KNOWN
        return await connection.act(set_actions(p.Setvar(step.leg, ((p.BACK, place),))))

    async def _move(self, connection: AsteriskConnection, step: p.Redirect) -> str | None:
        legs = {step.leg, step.other} - {"", *self.moving}
        if step.extension == "back":
            legs = set[LegId]()  # it leaves the park for good, which is to be reported
            self.moving.discard(step.leg)
        self.moving |= legs
        sets = [action for one in step.sets for action in set_actions(one)]
        *_, refused = await connection.act_each([*sets, redirect_action(step, self._context)])
        if refused is not None:  # if one is gone, the other is not moved
            self.moving -= legs
        return refused

    def _request(self, step: p.OriginateChannel | p.HangUpChannel) -> Request:
        if isinstance(step, p.HangUpChannel):
            return kill_request(step)
        return originate_request(step, self._context)

    async def _begin(
        self,
        connection: AsteriskConnection,
        step: p.PlayMedia | p.PlayMusic,
        playback: str,
        request: Request,
    ) -> str | None:
        """Note a sound on the leg, and play it."""
        note = p.Setvar(step.leg, ((p.SOUND, _noted(playback, step.sound)),))
        refused = await connection.act(set_actions(note))
        if refused is not None:
            return refused
        self.plays[step.leg] = playback
        return await connection.ask(request)

    async def _whisper(self, connection: AsteriskConnection, step: p.Whisper) -> str | None:
        """Let a channel of its own whisper to a leg; the switch ends it after its limit."""
        number = f"{next(self._playbacks)}-{_DICE.randrange(2**32):08x}"
        snoop, playback = f"hookflash-whisper-{number}", f"hookflash-whisper-s{number}"
        refused = await connection.ask(snoop_request(step.leg, snoop, self._application))
        if refused is not None:
            return refused
        self.whispers[snoop] = step.leg
        limit = p.Setvar(snoop, ((p.TIMEOUT, f"{step.limit_s:.3f}"),))
        refused = await connection.act(set_actions(limit))
        for _ in range(_MOST_TRIES if refused is None else 0):
            refused = await connection.ask(play_request(p.PlayMedia(snoop, step.sound), playback))
            if refused is None:
                return None
            await trio.sleep(_NEXT_TRY_S)  # it has not come to our application yet
        self.whispers.pop(snoop, None)
        await connection.ask(kill_request(p.HangUpChannel(snoop, NORMAL)))
        return refused

    async def _stop(self, connection: AsteriskConnection, leg: LegId) -> str | None:
        playback = self.plays.pop(leg, None)
        if playback is None:
            return None
        stops_music = playback == MUSIC
        return await connection.ask(
            stop_music_request(leg) if stops_music else stop_request(playback)
        )


def _noted(playback: str, sound: Sound) -> str:
    """The note for the next controller: with the sound only if it is endless."""
    return f"{playback} {sound}" if is_endless(sound) else playback
