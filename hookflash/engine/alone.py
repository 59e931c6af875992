"""Legs that stand alone when their transfer ends: nobody is forgotten, whatever was missed.

A while after the end the switch is asked about each. One that still stands alone, in nobody's
keeping, hears a tone and is ended.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from hookflash.commands import Command, HangUp, Look, PlayTone, SetTimer
from hookflash.engine.in_flight import InFlight
from hookflash.engine.legs import Legs
from hookflash.events import LegId, LegsSeen

ALONE_S = 10.0
"""How long a leg may stand alone after its transfer's end, before the switch is asked about it."""


@attrs.frozen
class Finding:
    """What was found out about a leg that may be alone."""

    why: str
    commands: tuple[Command, ...] = ()


class Alone:
    """Looks after legs that were left alone."""

    def __init__(self, legs: Legs, running: InFlight) -> None:
        self._legs = legs
        self._running = running
        self._timers: dict[str, LegId] = {}
        self._questions: dict[int, LegId] = {}
        self._warned: set[LegId] = set()
        """Those that hear why they are about to be ended."""
        self._timers_set = 0

    def __len__(self) -> int:
        return len(self._timers) + len(self._questions)

    def has_timer(self, timer: str) -> bool:
        """Whether a timer is one of these."""
        return timer in self._timers

    def watch(self, legs: Iterable[LegId]) -> tuple[SetTimer, ...]:
        """Look again, after a while, at those among these that stand alone."""
        known = (self._legs.get(leg) for leg in legs)
        return tuple(
            self._timer(leg.id, ALONE_S)
            for leg in known
            if leg is not None and leg.answered and leg.peer is None
        )

    def ask_again(self) -> tuple[SetTimer, ...]:
        """The connection was lost, and questions with it: look at the same legs again."""
        legs = tuple(self._questions.values())
        self._questions.clear()
        return self.watch(legs)

    def due(self, timer: str, question: int) -> Finding:
        """Time is up for a leg.

        Args:
            timer: the timer that has fired.
            question: the number of the question that may be asked about the leg.
        """
        leg_id = self._timers.pop(timer)
        warned = leg_id in self._warned
        self._warned.discard(leg_id)
        leg = self._legs.get(leg_id)
        if leg is None or leg.peer is not None or self._running.of(leg_id) is not None:
            return Finding("The leg that was left alone is so no more.")
        if warned:
            why = "It has heard that nobody is there: the leg is ended."
            return Finding(why, (HangUp(leg=leg_id),))
        self._questions[question] = leg_id
        look = Look(legs=(leg_id,), number=question)
        return Finding(
            "A leg was left alone at the end of a transfer: the switch is asked.", (look,)
        )

    def seen(self, event: LegsSeen) -> Finding | None:
        """The answer to a question; `None`: it was not about one of these legs.

        A leg that nobody looks after hears a tone, and comes to a clear end.
        """
        asked = self._questions.pop(event.look.number, None)
        if asked is None:
            return None
        seen = next((one for one in event.living if one.leg == asked), None)
        leg = self._legs.get(asked)
        if seen is None or leg is None or seen.peer is not None or seen.elsewhere:
            return Finding("The leg is not alone in our keeping.")
        policy = leg.choices.policy
        self._warned.add(asked)
        return Finding(
            "The leg stands alone, and no transfer looks after it: a tone, and a clear end.",
            (PlayTone(leg=asked, tone=policy.failure_tone), self._timer(asked, policy.tone_s)),
        )

    def _timer(self, leg: LegId, after_s: float) -> SetTimer:
        self._timers_set += 1
        timer = f"alone~{self._timers_set}"
        self._timers[timer] = leg
        return SetTimer(timer=timer, after_s=after_s)
