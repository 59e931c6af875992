"""Executes commands on the simulated Asterisk, by the procedures of a real one.

The same code translates a command into an `AsteriskProcedure`, whose operations are executed by the
simulated switch itself. What the backend remembers (sounds, moved legs) is remembered here in the
same way, and lost with the controller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, count
from typing import Final, TypeAlias

import attrs

from hookflash import commands as c
from hookflash import events as e
from hookflash.backends.asterisk import primitives as p
from hookflash.backends.asterisk.dialplan import DEFAULT_CONTEXT
from hookflash.backends.asterisk.procedures import AsteriskDialling, AsteriskProcedures, KnownParty
from hookflash.backends.simulator.asterisk.channel import App, AsteriskPlayback
from hookflash.backends.simulator.asterisk.extensions import DialplanPlace
from hookflash.backends.simulator.asterisk.hearing import NO_SUCH_CHANNEL, NOT_FOUND
from hookflash.backends.simulator.asterisk.switch import SimulatedAsterisk
from hookflash.backends.simulator.channel import Sense
from hookflash.backends.simulator.sounds import FILE_S
from hookflash.errors import InputError
from hookflash.sounds import Recording, Sound, Tone

_MUSIC: Final = "music"
"""The note in place of a playback's id."""
STEP_S: Final = (0.0001, 0.0006)
"""How long one request and its answer take."""


LOOKS_AGAIN_S: Final = 0.002
"""How often to check whether a bridge has settled."""

Work: TypeAlias = Iterator[float]
"""The steps of a command, each with its duration; 0: a moment."""


@attrs.define(eq=False)
class _RunningOrder:
    """A command that is being executed, or waits for others for its legs."""

    legs: frozenset[e.LegId]
    work: Work
    begun: bool = False


class AsteriskExecutor:
    """Executes commands on one simulated Asterisk."""

    def __init__(
        self,
        switch: SimulatedAsterisk,
        report: Callable[[e.CallEvent], None],
        look: Callable[[c.Look], e.LegsSeen],
        after: Callable[[float, Callable[[], None]], None],
        *,
        dialling: AsteriskDialling,
        file_s: float = FILE_S,
    ) -> None:
        """Set up.

        Args:
            switch: executes the operations.
            report: receives the facts that the switch itself does not report.
            look: answers where legs are.
            after: schedules a thunk after some seconds.
            dialling: how targets are called.
            file_s: how long a recorded sound plays.
        """
        self._switch = switch
        self._report = report
        self._look = look
        self._after = after
        self._file_s = file_s
        self.procedures = AsteriskProcedures(party_of=self.party_of, dialling=dialling)
        self._numbers = count(1)
        self._orders: list[_RunningOrder] = []
        self._plays: dict[e.LegId, str] = {}
        self._joins: dict[e.LegId, c.Join] = {}
        self._moving: set[e.LegId] = set()
        self._about_to_join: set[e.LegId] = set()
        """Legs that were ordered to join a moment ago."""
        switch.on_parked = self._came_to_park
        switch.on_left_park = self._left_the_park

    def end(self) -> None:
        """Disconnect the controller: its pending commands are never completed."""
        self._orders.clear()

    def begin(self) -> None:
        """Start a controller: it knows only what is noted on the legs."""
        self.end()
        self._joins.clear()
        self._moving.clear()
        self._about_to_join.clear()
        self._plays = {
            channel.id: channel.variables[p.SOUND].partition(" ")[0]
            for channel in self._switch.channels()
            if channel.variables.get(p.SOUND) and channel.app is App.STASIS
        }

    def party_of(self, leg: e.LegId) -> KnownParty:
        """What orders need to know about a leg."""
        channel = self._switch.find(leg)
        if channel is None:
            return KnownParty()
        return KnownParty(
            channel=channel.name,
            account=channel.account,
            number=channel.number,
            withheld=channel.variables.get(p.PRESENTATION, "").startswith("prohib"),
        )

    def perform(self, command: c.SwitchCommand) -> None:
        """Execute a command. Its effects are reported."""
        if isinstance(command, c.Look):
            self._queue(frozenset(command.legs), self._answer(command))
            return
        try:
            procedure = self.procedures.of(command)
        except InputError as refused:
            self._refused(command, str(refused))
            return
        if procedure is not None:
            work = chain(self._settle(procedure), self._carry_out(command, procedure))
            self._queue(procedure.legs, work)

    # ---- one after the other

    def _queue(self, legs: frozenset[e.LegId], work: Work) -> None:
        """Queue a command after all commands for the same legs."""
        order = _RunningOrder(legs, work)
        self._orders.append(order)
        if not self._waits(order):
            self._go_on(order)

    def _waits(self, order: _RunningOrder) -> bool:
        before = self._orders[: self._orders.index(order)]
        return any(not order.legs.isdisjoint(other.legs) for other in before)

    def _go_on(self, order: _RunningOrder) -> None:
        order.begun = True
        if order not in self._orders:
            return  # the controller that sent it is gone
        lasts_s = next(order.work, None)
        if lasts_s is not None:
            self._after(lasts_s or self._switch.span(STEP_S), partial(self._go_on, order))
            return
        self._orders.remove(order)
        for other in tuple(self._orders):
            if not other.begun and not self._waits(other):
                self._go_on(other)

    def _answer(self, look: c.Look) -> Work:
        yield 0.0
        self._report(self._look(look))

    def _settle(self, procedure: p.AsteriskProcedure) -> Work:
        while any(map(self._is_young, procedure.settled)):
            yield LOOKS_AGAIN_S
        if procedure.after_s:
            yield procedure.after_s

    def _carry_out(self, command: c.SwitchCommand, procedure: p.AsteriskProcedure) -> Work:
        for step in procedure.before:
            yield 0.0
            self.execute(step)
        for facts in procedure.unless:
            yield 0.0
            if all(map(self._is_so, facts)):
                return
        joined = False
        if procedure.joined:
            yield 0.0
            joined = all(map(self._is_so, procedure.joined))
        if isinstance(command, c.Join):
            self._joins[command.first] = command
        for number, step in enumerate(procedure.steps_when_joined if joined else procedure.steps):
            yield 0.0
            refused = self.execute(step)
            if refused is not None and number >= procedure.optional:
                self._refused(command, refused)
                return
        if procedure.proof:
            yield 0.0
            if not all(map(self._is_so, procedure.proof)):
                self._refused(command, p.TOO_LATE)
                return
        self._done(command, joined=joined)

    def _done(self, command: c.SwitchCommand, *, joined: bool) -> None:
        """Report what the switch itself does not report."""
        if isinstance(command, c.Join) and joined:
            self._joins.pop(command.first, None)
            names = {"first": command.first, "second": command.second}
            self._report(e.LegsSeparated(**names))
            self._report(e.LegsJoined(**names))
        elif isinstance(command, c.Join):
            pair = {command.first, command.second}
            self._about_to_join |= pair
            self._after(p.SETTLES_S, partial(self._about_to_join.difference_update, pair))
        elif isinstance(command, c.Release):
            self._report(e.LegsReleased(first=command.first, second=command.second))

    def _is_young(self, leg: e.LegId) -> bool:
        channel = self._switch.find(leg)
        bridge = None if channel is None else channel.bridge
        return leg in self._about_to_join or (bridge is not None and bridge.is_young)

    def _is_so(self, fact: p.GetvarCheck) -> bool:
        channel = self._switch.find(fact.leg)
        if channel is None:
            return False
        return fact.shown_by(self._switch.value(channel, fact.variable))

    def execute(self, step: p.Primitive) -> str | None:  # noqa: C901, PLR0911 - a table
        """Execute one operation; return the reason of its refusal, if any."""
        match step:
            case p.Setvar():
                return self._set(step)
            case p.RestoreLimit() | p.Conceal() | p.RestoreDisplay():
                return self._amend(step)
            case p.NoteBack():
                return self._note_back(step)
            case p.Redirect(leg=leg, extension="back"):
                self._moving.discard(leg)
                return self._switch.redirect(leg, DialplanPlace(DEFAULT_CONTEXT, "back"))
            case p.Redirect():
                self._moving.update(filter(None, (step.leg, step.other)))
                for variables in step.sets:
                    self._set(variables)
                place = DialplanPlace(DEFAULT_CONTEXT, step.extension)
                return self._switch.redirect(step.leg, place, step.other)
            case p.OriginateChannel():
                return self._switch.originate(step)
            case p.PlayMedia():
                return self._play(step.leg, step.sound)
            case p.PlayMusic():
                return self._play(step.leg, step.sound)
            case p.Whisper():
                return self._switch.whisper(step.leg, step.sound)
            case p.StopSounds():
                return self._stop(step.leg)
            case p.HangUpChannel():
                return self._switch.kill(step.leg, step.cause)

    def _set(self, step: p.Setvar) -> str | None:
        channel = self._switch.find(step.leg)
        if channel is None:
            return NO_SUCH_CHANNEL
        for name, value in step.variables:
            self._switch.set_variable(channel, name, value)
        return None

    def _amend(self, step: p.Amendment) -> str | None:
        channel = self._switch.find(step.leg)
        if channel is None:
            return NO_SUCH_CHANNEL
        values = [self._switch.value(channel, name) for name in step.asked()]
        return self._set(p.Setvar(step.leg, step.amended(values)))

    def _note_back(self, step: p.NoteBack) -> str | None:
        channel = self._switch.find(step.leg)
        if channel is None:
            return NO_SUCH_CHANNEL
        values = [self._switch.value(channel, name) for name in step.asked()]
        if values[0]:
            return p.JOINED
        place = step.noted(values)
        if not place or self._switch.value(channel, step.exists(place)) != "1":
            return p.NOT_KNOWN
        return self._set(p.Setvar(step.leg, ((p.BACK, place),)))

    def _play(self, leg: e.LegId, sound: Sound) -> str | None:
        playback = f"{leg}-s{next(self._numbers)}"
        is_music = not isinstance(sound, Tone | Recording)
        lasts_s = self._file_s if isinstance(sound, Recording) else getattr(sound, "lasts_s", None)
        is_endless = lasts_s is None
        noted = _MUSIC if is_music else playback
        noted = f"{noted} {sound}" if is_endless else noted
        refused = self._set(p.Setvar(leg, ((p.SOUND, noted),)))
        if refused is None:
            self._plays[leg] = _MUSIC if is_music else playback
            sense = Sense.MUSIC if is_music else self._sense_of(sound)
            refused = self._switch.play(leg, AsteriskPlayback(playback, sound, sense, lasts_s))
        if refused is None and isinstance(sound, Tone) and lasts_s is not None:
            self._after(lasts_s, partial(self._end_tone, leg, playback))
        return refused

    def _end_tone(self, leg: e.LegId, playback: str) -> None:
        """Stop a tone after its repetitions: it falls silent, but does not end by itself."""
        if self._switch.connected and self._plays.get(leg) == playback:
            self._stop(leg)

    @staticmethod
    def _sense_of(sound: Sound) -> Sense:
        if isinstance(sound, Recording):
            return Sense.MUSIC
        return Sense.RINGBACK if getattr(sound, "times", None) is None else Sense.TONE

    def _stop(self, leg: e.LegId) -> str | None:
        playback = self._plays.pop(leg, None)
        if playback is None:
            return None
        return self._switch.stop_music(leg) if playback == _MUSIC else self._switch.stop(playback)

    def _refused(self, command: c.SwitchCommand, reason: str) -> None:
        """Report a refusal; for these two commands it means that the leg does not exist."""
        if isinstance(command, c.HangUp) and reason.startswith(NOT_FOUND[:3]):
            self._report(e.LegHungUp(leg=command.leg, cause="INVALID_CALL_REFERENCE"))
        elif isinstance(command, c.Dial) and self._switch.find(command.leg) is None:
            self._report(e.LegHungUp(leg=command.leg, cause="INVALID_NUMBER_FORMAT"))
        else:
            self._report(e.CommandFailed(command=command, reason=reason))

    # ---- the park

    def _came_to_park(self, leg: e.LegId, why: str) -> None:
        self._moving.discard(leg)
        self._plays.pop(leg, None)
        join = self._joins.pop(leg, None) if why == "unjoined" else None
        if join is not None:
            reason = "the other leg is gone"
            self._report(e.CommandFailed(command=join, reason=reason))

    def _left_the_park(self, leg: e.LegId) -> None:
        if self._switch.connected and leg not in self._moving:
            self._after(p.SETTLES_S, partial(self._see_where, leg))

    def _see_where(self, leg: e.LegId) -> None:
        channel = self._switch.find(leg)
        is_away = (
            channel is not None
            and self._switch.connected
            and channel.bridge is None
            and channel.place.context != DEFAULT_CONTEXT
        )
        if is_away:
            self._report(e.LegMovedAway(leg=leg))
