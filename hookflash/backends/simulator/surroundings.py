"""What a simulated switch needs of the world around it."""

from __future__ import annotations

import random
from collections.abc import Callable, Container

import attrs

from hookflash.backends.simulator.channel import Hears, Thunk
from hookflash.commands import Look
from hookflash.events import CallEvent, LegId, LegsSeen
from hookflash.sounds import HeardSound


@attrs.frozen(kw_only=True)
class Surroundings:
    """Its clock, its phones, its dice and its reporters. No callback may call the switch back."""

    now: Callable[[], float]
    """The time, in seconds."""
    after: Callable[[float, Thunk], None]
    """Has a thunk called after so many seconds."""
    report: Callable[[CallEvent], None]
    """Receives every fact in the moment in which it becomes one."""
    tell: Callable[[CallEvent], None]
    """Receives what the switch itself does not say."""
    look: Callable[[Look], LegsSeen]
    """Answers where legs are."""
    has_phone: Callable[[str], bool]
    """Whether a number has a phone."""
    ring_phone: Callable[[LegId, str], bool]
    """Receives by which leg a number is called; false if there is no such phone."""
    listen: Callable[[LegId, Hears], None]
    """Called whenever what a leg's party hears has changed."""
    dice: random.Random
    """Draws the times and orders that vary on a real switch."""
    missing: Container[HeardSound]
    """Sounds of which there is no file."""
    file_s: float
    """How long a recorded sound plays."""
