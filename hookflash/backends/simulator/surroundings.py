"""What a simulated switch needs from the world around it."""

from __future__ import annotations

import random
from collections.abc import Callable, Container

import attrs

from hookflash.backends.simulator.channel import Audible, Thunk
from hookflash.commands import Look
from hookflash.events import CallEvent, LegId, LegsSeen
from hookflash.sounds import HeardSound


@attrs.frozen(kw_only=True)
class Surroundings:
    """Its clock, phones, random numbers and listeners. No callback may call the switch back."""

    now: Callable[[], float]
    """The time, in seconds."""
    after: Callable[[float, Thunk], None]
    """Schedules a thunk after some seconds."""
    report: Callable[[CallEvent], None]
    """Receives every fact at the moment when it becomes true."""
    tell: Callable[[CallEvent], None]
    """Receives the facts that the switch itself does not report."""
    look: Callable[[Look], LegsSeen]
    """Answers where legs are."""
    has_phone: Callable[[str], bool]
    """Whether a number has a phone."""
    ring_phone: Callable[[LegId, str], bool]
    """Receives the leg and the number of a call to a phone; false if there is no such phone."""
    listen: Callable[[LegId, Audible], None]
    """Called when a leg's party hears something else."""
    dice: random.Random
    """Draws the times and orders of events that vary on a real switch."""
    missing: Container[HeardSound]
    """Sounds without a file."""
    file_s: float
    """How long a recorded sound plays."""
