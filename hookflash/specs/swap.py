"""Swap: the transferor changes between transferee and target, also while the target still rings.

The party that the transferor does not talk with hears music, or rings on. If the transferor hangs
up, the other two have each other: the failsafe connects the party that waits.
"""

from __future__ import annotations

from hookflash.commands import Trigger
from hookflash.fsm.arrange import ring_timeout_s
from hookflash.fsm.arrangement import Arrangement, Hears
from hookflash.fsm.inputs import Input as On
from hookflash.fsm.spec import ignore, phase, refuse, row
from hookflash.fsm.transfer import Transfer
from hookflash.specs import actions as do
from hookflash.specs import guards as given
from hookflash.specs import partial
from hookflash.specs.common import A, B, C, S


def swap_limit_s(transfer: Transfer) -> float:
    """The longest time that a target may be held; as long as it rings, its ring timeout."""
    policy = transfer.policy
    if transfer.target.answered:
        return policy.hold_limit_s
    called = (transfer.target, *transfer.rivals)
    return max(ring_timeout_s(transfer, one) for one in called) + policy.dial_grace_s


# The tables are laid out by hand: one entry is one sentence, on a line or two.
# fmt: off

SWAPPED = phase(S.SWAPPED,
    Arrangement(talk=(A, B), hears={C: Hears.MUSIC}, calls=C, failsafe=Trigger.LEFT_ALONE,
        limit=swap_limit_s),
    row(On.SWAP_ASKED, given.target_can_take_over, to=S.CONSULTING,
        why="The transferor talks with the target again. The transferee hears music."),
    row(On.SWAP_ASKED, to=S.HOLDING, do=do.separate_again,
        why="The transferor waits for the target again. The two are being separated."),
    row(On.THREE_WAY_ASKED, given.target_can_take_over, to=S.THREE_WAY,
        why="The transferor brings all three into one conversation."),
    refuse(On.THREE_WAY_ASKED, why="the target has not answered yet"),
    row(On.COMPLETE_ASKED, On.TRANSFEROR_HUNG_UP, given.target_can_take_over, to=S.COMPLETING,
        why="The transferor handed over. Transferee and target are being connected."),
    row(On.TRANSFEROR_HUNG_UP, given.partial_unwanted, to=S.ENDING,
        why="The transferor left while the target rang. Partial transfers are disabled."),
    row(On.COMPLETE_ASKED, On.TRANSFEROR_HUNG_UP, to=S.PARTIAL,
        why="The transferor handed over while the target rings. The transferee waits for it."),
    row(On.HANDED_OVER, to=S.COMPLETING,
        why="The transferor left, and the switch has connected the others on its own."),
    row(On.TAKEBACK_ASKED, to=S.TAKEBACK,
        why="The transferor keeps the transferee. The target is released."),
    row(On.TARGET_FAILED, given.another_target, to=S.SWAPPED, do=do.call_next,
        why="The target can't be had. The next one is called, and the two talk on."),
    row(On.TARGET_FAILED, On.LIMIT_PASSED, to=S.FAILED_RECONNECT,
        why="The target is gone, or waited too long. Transferor and transferee go on talking."),
    row(On.TRANSFEREE_HUNG_UP, given.target_rings, given.call_unwanted, to=S.ENDING,
        why="The transferee left while the target rang. The policy ends the transfer."),
    row(On.TRANSFEREE_HUNG_UP, given.target_can_take_over, given.talk_unwanted, to=S.ENDING,
        why="The transferee left during the consultation. The policy ends the transfer."),
    row(On.TRANSFEREE_HUNG_UP, to=S.ABANDONED,
        why="The transferee left. Transferor and target remain as an ordinary call."),
    row(On.UNARRANGEABLE, to=S.FAILED_RECONNECT,
        why="The transferee could not be connected. Nobody else is asked to wait."),
    row(On.TARGET_ANSWERED, to=S.SWAPPED,
        why="The target answered. It hears music until the transferor turns to it."),
    ignore(On.REUNITED, On.ARRANGED, why="People decide what follows."),
)

# The transferor waits for the target again: the two are being separated once more.
STOLEN = row(On.REUNITED, given.target_present, to=S.TAKEBACK,
    why="Another program has joined transferor and transferee. The target is released.")
RANG_ALL_THE_TIME = (
    row(On.TARGET_ANSWERED, given.target_waits, given.transferee_present,
        to=S.ACCEPTING,
        why="The transferor left. The target, which rang all the time, is briefed."),
    row(On.ARRANGED, given.transferor_gone, given.transferee_gone, to=S.ENDING,
        why="Both have left, and the target still rings. It is cancelled."),
    row(On.TARGET_ANSWERED, given.transferor_gone, to=S.COMPLETING,
        why="The transferor left. The target, which rang all the time, gets the transferee."),
    row(On.TARGET_ANSWERED, given.transferee_gone, to=S.ABANDONED,
        why="The transferee left. Transferor and target remain as an ordinary call."),
    row(On.TARGET_ANSWERED, to=S.CONSULTING,
        why="The target, which rang all the time, answered. It gets the transferor."),
    row(On.TARGET_FAILED, given.both_present, to=S.FAILED_RECONNECT,
        why="The target, which rang all the time, failed. The two are being reconnected."),
    *partial.next_or_rescue(On.TARGET_FAILED),
    row(On.TARGET_FAILED, to=S.ENDING, why="The target failed, and only one party is left."),
)
