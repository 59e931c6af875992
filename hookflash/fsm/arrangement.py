"""What a state wants: an arrangement of people, as they experience it."""

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
    """What a party hears while it stands alone."""

    MUSIC = "music"
    RINGBACK = "ringback"
    RINGBACK_OR_MUSIC = "ringback, or music if the operator prefers it"
    REMINDER = "a reminder"
    TONE = "a tone, then the call ends"


@attrs.frozen(kw_only=True)
class Arrangement:
    """What people experience in a state."""

    talk: tuple[Role, Role] | None = None
    """Who talk together. Nobody: transferor and transferee stand alone, each."""
    ordinary: bool = False
    """Whether those two are to be an ordinary call: if one leaves, the other's call ends."""
    outcome: Outcome | None = None
    """What has become of the transfer as soon as they talk."""
    hears: Mapping[Role, Hears] = attrs.field(factory=dict[Role, Hears])
    """What is heard by those who stand alone. The others keep what they hear."""
    calls: bool = False
    """Whether the target is called."""
    leaves: tuple[Role, ...] = ()
    """Whose call ends, at once."""
    leaves_then: tuple[Role, ...] = ()
    """Whose call ends once the others talk; that of a target which still rings, at once."""
    failsafe: Trigger | None = None
    """When the switch itself joins whoever is left with the transferee."""
    limit: Limit | None = None
    """How long it may last once it stands."""
    ends: bool = False
    """Whether everybody's call ends, once they have heard why."""


ORDINARY_CALL = Arrangement()
"""No transfer: nothing is to be arranged."""
