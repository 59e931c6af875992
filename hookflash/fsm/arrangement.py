"""What a state declares: how people are arranged in it, as they experience it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import TypeAlias

import attrs

from hookflash.commands import Trigger
from hookflash.fsm.transfer import Outcome, Role, Transfer

Limit: TypeAlias = Callable[[Transfer], float]
"""How many seconds a state may take; its docstring says why."""


class Hears(Enum):
    """What a party hears while it is parked."""

    MUSIC = "music"
    RINGBACK = "ringback"
    RINGBACK_OR_MUSIC = "ringback, or music if the operator prefers it"
    DIAL_TONE = "a dial tone"
    MUSIC_OR_RINGBACK = "music, and what a partial transfer has once the transferor has left"
    PROMPT = "a prompt, to press a key, or a briefing"
    FAILURE = "that the target has failed"
    REMINDER = "a reminder"
    TONE = "a tone, then the call ends"
    CONVERSATION = "the two others, and is heard by them"


@attrs.frozen(kw_only=True)
class Arrangement:
    """What people experience in a state."""

    talk: tuple[Role, Role] | None = None
    """Who talk together. `None`: transferor and transferee are parked."""
    releases: bool = False
    """Whether those two, who may talk already, are released from their failsafe. Where the
    transferee is one of them, the join itself does that."""
    keeps: bool = False
    """Whether either of those two is parked if the other one leaves before they talk. Once they do,
    they become an ordinary call."""
    outcome: Outcome | None = None
    """The outcome of the transfer as soon as they talk."""
    hears: Mapping[Role, Hears] = attrs.field(factory=dict[Role, Hears])
    """What parked parties hear. The others keep what they hear."""
    calls: Role | None = None
    """Who is called. Of two who are to talk, one who has not answered is called anyway."""
    leaves: tuple[Role, ...] = ()
    """Whose calls end at once."""
    leaves_then: tuple[Role, ...] = ()
    """Whose calls end once the others talk; a target that still rings, at once."""
    failsafe: Trigger | None = None
    """When the switch on its own connects the transferee."""
    disarms: bool = False
    """Whether those who wait are to be left alone by a failsafe that has begun to act."""
    limit: Limit | None = None
    """How long it may last once it is arranged."""
    pause: Limit | None = None
    """How long it lasts; where two talk, after how long the switch is asked whether they do."""
    returns: bool = False
    """Whether the transferee goes back where it came from."""
    ends: bool = False
    """Whether all calls end, after a tone."""


ORDINARY_CALL = Arrangement()
"""No transfer: there is nothing to arrange."""
