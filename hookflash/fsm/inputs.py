"""What the rows of a table answer to: what people, targets and programs do, and two results.

Facts that only say where a leg is (it was parked, its sound began) are not among them: they are
the business of `hookflash.fsm.arrange`, which tells a table whether its arrangement stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class Input(Enum):
    """An event, seen from one transfer."""

    REQUESTED = "requested"
    FOUND = "found"
    TAKEBACK_ASKED = "takeback_asked"
    COMPLETE_ASKED = "complete_asked"
    TARGET_ANSWERED = "target_answered"
    TARGET_FAILED = "target_failed"
    TRANSFEROR_HUNG_UP = "transferor_hung_up"
    TRANSFEREE_HUNG_UP = "transferee_hung_up"
    EVERYONE_GONE = "everyone_gone"
    REUNITED = "reunited"
    HANDED_OVER = "handed_over"
    ARRANGED = "arranged"
    UNARRANGEABLE = "unarrangeable"
    LIMIT_PASSED = "limit_passed"

    # Each member exists once, so its identity will do. What Enum brings is written in Python, and
    # every step looks up a state and an input several times.
    __hash__ = object.__hash__


MEANING: Mapping[Input, str] = {
    Input.REQUESTED: "somebody asks for a transfer of this call",
    Input.FOUND: "a controller that has just started finds this transfer in flight",
    Input.TAKEBACK_ASKED: "the transferor wants the transferee back",
    Input.COMPLETE_ASKED: "the transferor hands over without hanging up first",
    Input.TARGET_ANSWERED: "the target picks up",
    Input.TARGET_FAILED: "the target is gone, or does not come: busy, refused, no answer",
    Input.TRANSFEROR_HUNG_UP: "the transferor is gone",
    Input.TRANSFEREE_HUNG_UP: "the transferee is gone",
    Input.EVERYONE_GONE: "the last leg of the transfer is gone",
    Input.REUNITED: "transferor and transferee hear each other",
    Input.HANDED_OVER: "transferee and target hear each other",
    Input.ARRANGED: "facts prove the arrangement of this state",
    Input.UNARRANGEABLE: "the switch did not bring the arrangement about",
    Input.LIMIT_PASSED: "the time that this state may take is over",
}
"""What each input means, for readers of the tables."""

REQUESTS = frozenset({Input.REQUESTED, Input.TAKEBACK_ASKED, Input.COMPLETE_ASKED})
"""A person's wishes. One that can't be met is refused aloud, not ignored."""
