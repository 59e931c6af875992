"""What the rows of a table answer to: what people, targets and programs do, and two results.

Facts that only say where a leg is (parked, its sound started) are not among them: they belong to
`hookflash.fsm.arrange`, which reports to the table whether the arrangement of its state stands.
"""

from __future__ import annotations

from enum import Enum
from typing import Self


class ByIdentity(Enum):
    """Each member exists once, so its identity is hash enough: each step looks up many."""

    __hash__ = object.__hash__


class Input(ByIdentity):
    """An event, seen from one transfer. Each has a meaning, for readers of the tables."""

    REQUESTED = "requested", "a transfer of this call is requested"
    FOUND = "found", "a controller that has just started finds this transfer in progress"
    TAKEBACK_ASKED = "takeback_asked", "the transferor wants the transferee back"
    COMPLETE_ASKED = "complete_asked", "the transferor hands over without hanging up"
    NUMBER_GIVEN = "number_given", "the number of the target is given after the request"
    NUMBER_WRONG = "number_wrong", "what the transferor dials is no number that may be called"
    SWAP_ASKED = "swap_asked", "the transferor changes between transferee and target"
    THREE_WAY_ASKED = (
        "three_way_asked",
        "the transferor wants transferee and target in one conversation",
    )
    PICK_UP_ASKED = "pick_up_asked", "somebody wants the parked call"
    TARGET_ANSWERED = "target_answered", "the target answers"
    TARGET_ACCEPTED = "target_accepted", "the target, which was asked, accepts the call"
    TARGET_DECLINED = "target_declined", "the target, which was asked, declines the call"
    PROMPT_HEARD = (
        "prompt_heard",
        "what somebody hears alone has ended: a prompt, a briefing, or why the target failed",
    )
    TARGET_FAILED = "target_failed", "the target hangs up, or fails: busy, refused, no answer"
    TRANSFEROR_HUNG_UP = "transferor_hung_up", "the transferor hangs up"
    TRANSFEREE_HUNG_UP = "transferee_hung_up", "the transferee hangs up"
    EVERYONE_GONE = "everyone_gone", "the last leg of the transfer is gone"
    REUNITED = "reunited", "transferor and transferee hear each other"
    HANDED_OVER = "handed_over", "transferee and target hear each other"
    ARRANGED = "arranged", "facts prove the arrangement of this state"
    UNARRANGEABLE = "unarrangeable", "the switch did not carry out the arrangement"
    LIMIT_PASSED = "limit_passed", "the time limit of this state has passed"

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        """Make a member of its value, beside which its meaning stands."""
        one = object.__new__(cls)
        one._value_, one.meaning = value, meaning
        return one


REQUESTS = frozenset(
    {
        Input.REQUESTED,
        Input.TAKEBACK_ASKED,
        Input.COMPLETE_ASKED,
        Input.SWAP_ASKED,
        Input.THREE_WAY_ASKED,
        Input.PICK_UP_ASKED,
        Input.NUMBER_GIVEN,
        Input.TARGET_ACCEPTED,
        Input.TARGET_DECLINED,
    }
)
"""A person's requests. One that can't be met is refused, not ignored."""
