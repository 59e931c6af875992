"""The people at the phones: how each reacts to a call, and what each hears.

A behaviour is a value; `react` starts it on the world's clock. The defaults are those of the phones
in the recordings: 2600 rings 1.5 s, and so on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple, TypeAlias

import attrs

from hookflash.backends.simulator.channel import SILENCE, Audible, Sense, Thunk
from hookflash.backends.simulator.character import Telephones
from hookflash.events import LegId

RING_S: Final = 0.020
"""From the call to the phone's "ringing" (complete: 18.1 ms, busy: 22 ms)."""


@attrs.frozen(kw_only=True)
class Answers:
    """Rings, then answers."""

    after_s: float = 1.5


@attrs.frozen(kw_only=True)
class Busy:
    """Is in another call: USER_BUSY, without ringing."""

    after_s: float = 0.3


@attrs.frozen(kw_only=True)
class Refuses:
    """Rings, then declines: CALL_REJECTED."""

    after_s: float = 0.8


@attrs.frozen(kw_only=True)
class NeverAnswers:
    """Rings forever."""


@attrs.frozen(kw_only=True)
class Unreachable:
    """Can't be reached: the network returns a cause, without ringing."""

    cause: str = "NO_ROUTE_DESTINATION"
    after_s: float = 0.020


@attrs.frozen(kw_only=True)
class EarlyMedia:
    """Plays early media (an announcement), then answers."""

    after_s: float = 4.0


@attrs.frozen(kw_only=True)
class AnswersAndLeaves:
    """Answers, and hangs up after a while."""

    after_s: float = 0.020
    talk_s: float = 2.5


@attrs.frozen(kw_only=True)
class Manual:
    """Rings until somebody answers or declines."""


Behaviour: TypeAlias = (
    Answers | Busy | Refuses | NeverAnswers | Unreachable | EarlyMedia | AnswersAndLeaves | Manual
)


def react(
    behaviour: Behaviour, leg: LegId, switch: Telephones, after: Callable[[float, Thunk], None]
) -> None:
    """Start a phone's behaviour when it is called.

    Args:
        behaviour: the behaviour.
        leg: the leg of the call to the phone.
        switch: the calling switch.
        after: schedules on the world's clock.
    """
    match behaviour:
        case Busy(after_s=after_s):
            after(after_s, partial(switch.refuse, leg, "USER_BUSY"))
        case Unreachable(cause=cause, after_s=after_s):
            after(after_s, partial(switch.refuse, leg, cause))
        case Refuses(after_s=after_s):
            after(RING_S, partial(switch.ring, leg))
            after(after_s, partial(switch.refuse, leg, "CALL_REJECTED"))
        case EarlyMedia(after_s=after_s):
            after(RING_S, partial(switch.ring, leg, early_media=True))
            after(after_s, partial(switch.answer, leg))
        case NeverAnswers() | Manual():
            after(RING_S, partial(switch.ring, leg))
        case Answers(after_s=after_s):
            _ring_and_answer(after_s, leg, switch, after)
        case AnswersAndLeaves(after_s=after_s, talk_s=talk_s):
            _ring_and_answer(after_s, leg, switch, after)
            after(after_s + talk_s, partial(switch.hang_up, leg))


def _ring_and_answer(
    after_s: float, leg: LegId, switch: Telephones, after: Callable[[float, Thunk], None]
) -> None:
    """Ring, unless the phone has been answered before."""
    if after_s > RING_S:
        after(RING_S, partial(switch.ring, leg))
    after(after_s, partial(switch.answer, leg))


class Heard(NamedTuple):
    """What a party heard, and from when on."""

    at_s: float
    sense: Sense
    what: str = ""
    """The sound's name, the other party's name, or the digit."""


@attrs.define(eq=False)
class Person:
    """A person with a phone. What they hear is recorded while they have a leg."""

    number: str
    name: str
    behaviour: Behaviour = attrs.field(factory=Manual)
    leg: LegId | None = None
    """The leg of their latest call; None before the first."""
    heard: list[Heard] = attrs.field(factory=list[Heard])

    def listen(self, at_s: float, sense: Sense, what: str) -> None:
        """Record what the party hears from now on (or once: a digit)."""
        self.heard.append(Heard(at_s, sense, what))

    @property
    def hears(self) -> Audible:
        """What the party hears now."""
        return self.heard_at(float("inf"))

    def heard_at(self, at_s: float) -> Audible:
        """What the party heard at that time; digits do not count."""
        for heard in reversed(self.heard):
            if heard.at_s <= at_s and heard.sense is not Sense.DIGIT:
                return Audible(heard.sense, heard.what)
        return SILENCE

    def digits_heard(self) -> str:
        """The other party's keys that this one heard, in order."""
        return "".join(heard.what for heard in self.heard if heard.sense is Sense.DIGIT)
