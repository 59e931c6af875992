"""What the rows of a table answer to: what people, targets and programs do, and two results.

Facts that only say where a leg is (parked, its sound started) are not among them: they belong to
`hookflash.fsm.arrange`, which reports to the table whether the arrangement of its state stands.
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

    # Each member exists once, so its identity is hash enough. Enum's own is written in Python, and
    # each step looks up states and inputs several times.
    __hash__ = object.__hash__


MEANING: Mapping[Input, str] = {
    Input.REQUESTED: "a transfer of this call is requested",
    Input.FOUND: "a controller that has just started finds this transfer in progress",
    Input.TAKEBACK_ASKED: "the transferor wants the transferee back",
    Input.COMPLETE_ASKED: "the transferor hands over without hanging up",
    Input.TARGET_ANSWERED: "the target answers",
    Input.TARGET_FAILED: "the target hangs up, or can't be reached: busy, refused, no answer",
    Input.TRANSFEROR_HUNG_UP: "the transferor hangs up",
    Input.TRANSFEREE_HUNG_UP: "the transferee hangs up",
    Input.EVERYONE_GONE: "the last leg of the transfer is gone",
    Input.REUNITED: "transferor and transferee hear each other",
    Input.HANDED_OVER: "transferee and target hear each other",
    Input.ARRANGED: "facts prove the arrangement of this state",
    Input.UNARRANGEABLE: "the switch did not carry out the arrangement",
    Input.LIMIT_PASSED: "the time limit of this state has passed",
}
"""What each input means, for readers of the tables."""

REQUESTS = frozenset({Input.REQUESTED, Input.TAKEBACK_ASKED, Input.COMPLETE_ASKED})
"""A person's requests. One that can't be met is refused, not ignored."""
