"""Legs that are left alone when their transfer ends: nobody is forgotten, even after lost events.

Some time after the end, the switch is asked about each of them. A leg that is still alone, and
that no other program has taken, hears a tone and is hung up.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from hookflash.commands import Command, HangUp, Look, PlayTone, SetTimer
from hookflash.engine.in_flight import InFlight
from hookflash.engine.legs import Leg, Legs
from hookflash.events import LegId, LegsSeen
from hookflash.sounds import Sound

ALONE_S = 10.0
"""How long a leg may be alone after its transfer's end before the switch is asked."""


@attrs.frozen
class Finding:
    """What was found out about a leg that may be alone, and what to do."""

    why: str
    commands: tuple[Command, ...] = ()


class Alone:
    """Watches legs that may have been left alone."""

    def __init__(self, legs: Legs, running: InFlight) -> None:
        self._legs = legs
        self._running = running
        self._timers: dict[str, LegId] = {}
        self._questions: dict[int, LegId] = {}
        self._warned: dict[LegId, str] = {}
        """Legs that hear the tone before they are hung up, and the cause."""
        self._timers_set = 0

    def __len__(self) -> int:
        return len(self._timers) + len(self._questions)

    def has_timer(self, timer: str) -> bool:
        """Whether a timer belongs to a watched leg."""
        return timer in self._timers

    def watch(self, legs: Iterable[LegId]) -> tuple[SetTimer, ...]:
        """Watch those of these legs that are alone."""
        known = (self._legs.get(leg) for leg in legs)
        return tuple(
            self._timer(leg.id, ALONE_S)
            for leg in known
            if leg is not None and leg.answered and leg.peer is None
        )

    def leave(self, legs: Iterable[LegId]) -> tuple[Command, ...]:
        """Watch legs that left a transfer which goes on. Who wanted its call hears a tone."""
        commands: list[Command] = []
        for leg_id in legs:
            leg = self._legs.get(leg_id)
            picks_up = leg is not None and leg.wants_slot
            commands += self.turn_away(leg) if leg and picks_up else self.watch((leg_id,))
        return tuple(commands)

    def forget(self, leg: LegId) -> None:
        """Watch a leg no longer: it has hung up. Its timer fires, and no longer matters."""
        self._timers = {timer: one for timer, one in self._timers.items() if one != leg}
        self._questions = {asked: one for asked, one in self._questions.items() if one != leg}
        self._warned.pop(leg, None)

    def ask_again(self) -> tuple[SetTimer, ...]:
        """Watch the same legs again: the connection was lost, and the queries with it."""
        legs = tuple(self._questions.values())
        self._questions.clear()
        return self.watch(legs)

    def due(self, timer: str, question: int) -> Finding:
        """Check a leg whose timer has fired.

        Args:
            timer: the timer.
            question: the number for a query about the leg.
        """
        leg_id = self._timers.pop(timer)
        cause = self._warned.pop(leg_id, "")
        leg = self._legs.get(leg_id)
        if leg is None or leg.peer is not None or self._running.of(leg_id) is not None:
            return Finding("The leg is no longer alone.")
        if cause:
            # An order can be refused or lost: the switch is asked whether it was.
            end = HangUp(leg=leg_id, cause=cause), self._timer(leg_id, ALONE_S)
            return Finding("The leg has heard the tone: it is hung up.", end)
        self._questions[question] = leg_id
        look = Look(legs=(leg_id,), number=question)
        why = "A leg was left alone at the end of a transfer: the switch is asked."
        return Finding(why, (look,))

    def seen(self, event: LegsSeen) -> Finding | None:
        """Handle the answer to a query; `None`: it was not about a watched leg."""
        asked = self._questions.pop(event.look.number, None)
        if asked is None:
            return None
        seen = next((one for one in event.living if one.leg == asked), None)
        leg = self._legs.get(asked)
        ours = self._running.of(asked) is not None  # it is in a transfer since the question
        if seen is None or leg is None or ours or seen.peer is not None or seen.elsewhere:
            return Finding("The leg is not alone, or another program has it.")
        why = "The leg is alone and in no transfer: it hears a tone, and is hung up."
        return Finding(why, self._end(leg, leg.choices.policy.failure_tone, "NORMAL_CLEARING"))

    def turn_away(self, leg: Leg) -> tuple[Command, ...]:
        """Let a parked leg hear that it can't have what it has called for, and hang it up."""
        policy = leg.choices.policy
        return self._end(leg, policy.refusal_tone or policy.failure_tone, "UNALLOCATED_NUMBER")

    def _end(self, leg: Leg, tone: Sound, cause: str) -> tuple[Command, ...]:
        self._warned[leg.id] = cause
        after_s = leg.choices.policy.tone_s
        return PlayTone(leg=leg.id, tone=tone), self._timer(leg.id, after_s)

    def _timer(self, leg: LegId, after_s: float) -> SetTimer:
        self._timers_set += 1
        timer = f"alone~{self._timers_set}"
        self._timers[timer] = leg
        return SetTimer(timer=timer, after_s=after_s)
