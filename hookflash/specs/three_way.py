"""Three-way: transferor, transferee and target in one conversation.

Transferor and target stay joined, with their failsafe, and the switch lets the transferee, who is
not joined with anybody, take part. So all that holds of a consultation holds here, with a
controller and without: if one of the three leaves, the other two have each other.
"""

from __future__ import annotations

from hookflash.commands import Trigger
from hookflash.fsm.arrangement import Arrangement, Hears
from hookflash.fsm.inputs import Input as On
from hookflash.fsm.spec import ignore, phase, row
from hookflash.fsm.transfer import Transfer
from hookflash.specs import guards as given
from hookflash.specs.common import A, B, C, S


def checked_after_s(transfer: Transfer) -> float:
    """The three may talk as long as they like. That often the switch is asked whether they do."""
    return transfer.policy.hold_limit_s


# The tables are laid out by hand: one entry is one sentence, on a line or two.
# fmt: off

CONSULTED = (
    row(On.TRANSFEROR_HUNG_UP, to=S.COMPLETING,
        why="The transferor hung up. Transferee and target are being connected."),
    row(On.COMPLETE_ASKED, to=S.COMPLETING,
        why="The transferor handed over. Transferee and target are being connected."),
    row(On.HANDED_OVER, to=S.COMPLETING,
        why="The transferor left, and the switch has connected the others on its own."),
    row(On.TARGET_FAILED, to=S.FAILED_RECONNECT,
        why="The target hung up. Transferor and transferee are being reconnected."),
    row(On.REUNITED, to=S.FAILED_RECONNECT,
        why="The target left, and the switch has reconnected the others on its own."),
    row(On.TRANSFEREE_HUNG_UP, given.talk_unwanted, to=S.ENDING,
        why="The transferee left during the consultation. The policy ends the transfer."),
    row(On.TRANSFEREE_HUNG_UP, to=S.ABANDONED,
        why="The transferee left. Transferor and target remain as an ordinary call."),
    row(On.TAKEBACK_ASKED, to=S.TAKEBACK,
        why="The transferor took the transferee back from the consultation."),
)
"""While transferor and target talk, whether the transferee takes part or hears music."""

THREE_WAY = phase(S.THREE_WAY,
    Arrangement(talk=(A, C), hears={B: Hears.CONVERSATION}, failsafe=Trigger.LEFT_ALONE,
        pause=checked_after_s),
    *CONSULTED,
    row(On.THREE_WAY_ASKED, On.SWAP_ASKED, to=S.CONSULTING,
        why="The transferor talks with the target alone again. The transferee hears music."),
    row(On.UNARRANGEABLE, given.consulted, to=S.CONSULTING,
        why="The switch did not let the transferee take part. It hears music again."),
    row(On.UNARRANGEABLE, to=S.FAILED_RECONNECT,
        why="The target could not be connected. Transferor and transferee are reconnected."),
    row(On.LIMIT_PASSED, to=S.THREE_WAY, why="The switch was asked: the three are still there."),
    ignore(On.TARGET_ANSWERED, On.ARRANGED, why="People decide what follows."),
)

FOUND = row(On.FOUND, given.were_three, to=S.THREE_WAY,
    why="All three are there. Their conversation continues.")
