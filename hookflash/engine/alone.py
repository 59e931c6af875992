"""Legs that stand alone when their transfer ends: nobody is forgotten, whatever was missed.

A while after the end the switch is asked about each. One that still stands alone, in nobody's
keeping, hears a tone and is ended.
"""

from __future__ import annotations

from collections.abc import Iterable

from hookflash.commands import Command, HangUp, Look, PlayTone, SetTimer
from hookflash.engine.legs import Leg
from hookflash.events import LegId, LegsSeen

ALONE_S = 10.0
"""How long a leg may stand alone after its transfer's end, before the switch is asked about it."""

Finding = tuple[str, tuple[Command, ...]]
"""Why, and what is ordered."""


class Alone:
    """Looks after legs that were left alone."""

    def __init__(self) -> None:
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

    def watch(self, legs: Iterable[Leg | None]) -> tuple[SetTimer, ...]:
        """Look again, after a while, at those among these who stand alone."""
        return tuple(
            self._timer(leg.id, ALONE_S)
            for leg in legs
            if leg is not None and leg.answered and leg.peer is None
        )

    def ask_again(self) -> tuple[LegId, ...]:
        """The connection was lost, and questions with it: whom they were about."""
        legs = tuple(self._questions.values())
        self._questions.clear()
        return legs

    def leg_of(self, timer: str) -> LegId:
        """Of which leg a timer is that has fired; it does so once."""
        return self._timers.pop(timer)

    def due(self, leg: LegId, *, kept: bool, question: int) -> Finding:
        """Time is up for a leg.

        Args:
            leg: which.
            kept: whether it is gone, talks with somebody, or is in a transfer by now.
            question: the number of the question that may be asked about it.
        """
        warned = leg in self._warned
        self._warned.discard(leg)
        if kept:
            return "The leg that was left alone is so no more.", ()
        if warned:
            return "It has heard that nobody is there: the leg is ended.", (HangUp(leg=leg),)
        self._questions[question] = leg
        look = Look(legs=(leg,), number=question)
        return "A leg was left alone at the end of a transfer: the switch is asked.", (look,)

    def asked_about(self, question: int) -> LegId | None:
        """About which leg a question was that has been answered."""
        return self._questions.pop(question, None)

    def seen(self, asked: LegId, leg: Leg | None, event: LegsSeen) -> Finding:
        """A leg that nobody looks after hears a tone, and comes to a clear end."""
        seen = next((one for one in event.living if one.leg == asked), None)
        if seen is None or leg is None or seen.peer is not None or seen.elsewhere:
            return "The leg is not alone in our keeping.", ()
        policy = leg.choices.policy
        self._warned.add(asked)
        return (
            "The leg stands alone, and no transfer looks after it: a tone, and a clear end.",
            (PlayTone(leg=asked, tone=policy.failure_tone), self._timer(asked, policy.tone_s)),
        )

    def _timer(self, leg: LegId, after_s: float) -> SetTimer:
        self._timers_set += 1
        timer = f"alone~{self._timers_set}"
        self._timers[timer] = leg
        return SetTimer(timer=timer, after_s=after_s)
