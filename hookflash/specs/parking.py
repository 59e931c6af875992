"""Park and pick up: a caller waits under a number until somebody picks up the call.

The transferor parks the other party in a slot and leaves. Any phone of the account may pick it up
by that number, and becomes the target. If nobody does so in time, the transferor is called back.
"""

from __future__ import annotations

from hookflash.errors import Refusal
from hookflash.fsm.arrangement import ORDINARY_CALL, Arrangement, Hears
from hookflash.fsm.inputs import Input as On
from hookflash.fsm.spec import Spec, ignore, phase, refuse, row
from hookflash.fsm.transfer import Outcome, Transfer
from hookflash.specs import actions as do
from hookflash.specs import common, partial
from hookflash.specs import guards as given
from hookflash.specs.common import A, B, C, S


def parking_limit_s(transfer: Transfer) -> float:
    """The longest time that a call may be parked."""
    return transfer.policy.parking_limit_s


# The tables are laid out by hand: one entry is one sentence, on a line or two.
# fmt: off

ANYWHERE = (*common.ANYWHERE,
    refuse(On.TAKEBACK_ASKED, why="the call is parked: pick it up by its number"),
    refuse(On.COMPLETE_ASKED, why="a parked call has no target: somebody has to pick it up"))
PICKED_UP = row(On.PICK_UP_ASKED, to=S.COMPLETING, do=do.pick_up,
    why="Somebody picks up the parked call.")
NO_TARGET = ignore(On.HANDED_OVER, why="Nobody has picked up the call.")

IDLE = phase(S.IDLE, ORDINARY_CALL, common.ORDINARY,
    refuse(On.REQUESTED, given.hops_used_up, refusal=Refusal.TARGET_REFUSED,
        why="this call has reached its limit of transfers"),
    row(On.REQUESTED, to=S.HOLDING, why="The call is to be parked. The two are being separated."),
    common.FOUND_HANDED_OVER,
    row(On.FOUND, given.transferee_present, given.fallback_called, to=S.FALLBACK,
        why="The fallback target is being called, or has just answered."),
    row(On.FOUND, given.transferee_present, given.target_can_take_over, to=S.COMPLETING,
        do=do.dismiss_transferor, why="Somebody is picking up the parked call."),
    partial.FOUND, common.FOUND_REUNITED,
    row(On.FOUND, given.transferee_parked, to=S.PARKED, why="The call is still parked."),
    common.FOUND_APART, *partial.rescue(On.FOUND), common.FOUND_ALONE,
)
HOLDING = phase(S.HOLDING, Arrangement(hears={B: Hears.MUSIC}), *common.UNPARTED,
    common.NO_TARGET,
    row(On.ARRANGED, given.transferee_gone, to=S.ENDING, do=do.dismiss_transferor,
        why="The transferee left. Nobody remains to be parked."),
    row(On.ARRANGED, to=S.PARKED, why="The call is parked. The transferor is released."),
)
PARKED = phase(S.PARKED,
    Arrangement(hears={B: Hears.MUSIC}, leaves=(A,), limit=parking_limit_s), PICKED_UP,
    row(On.TRANSFEREE_HUNG_UP, to=S.ENDING, why="The parked caller left."),
    row(On.LIMIT_PASSED, given.recall_wanted, to=S.RECALL,
        do=(do.blame_parking_limit, do.recall),
        why="Nobody has picked up the call in time. The transferor is called back."),
    row(On.LIMIT_PASSED, given.fallback_wanted, to=S.FALLBACK,
        do=(do.blame_parking_limit, do.fall_back),
        why="Nobody has picked up the call in time. The fallback target is called."),
    row(On.LIMIT_PASSED, to=S.ENDING, do=do.blame_parking_limit,
        why="Nobody has picked up the call in time: the call ends."),
    ignore(On.TRANSFEROR_HUNG_UP, On.REUNITED, On.ARRANGED, On.TARGET_ANSWERED, On.TARGET_FAILED,
        On.HANDED_OVER, why="The call is parked. The transferor is released."),
)
COMPLETING = phase(S.COMPLETING,
    Arrangement(talk=(B, C), keeps=True, outcome=Outcome.TRANSFERRED, leaves_then=(A,),
        hears={C: Hears.RINGBACK}),
    row(On.ARRANGED, to=S.IDLE, why="The call is picked up. The two are talking."),
    partial.AFTER_A_MOMENT,
    row(On.TARGET_FAILED, On.UNARRANGEABLE, to=S.PARKED, do=do.put_back,
        why="The call is not picked up after all. It stays parked."),
    row(On.TRANSFEREE_HUNG_UP, to=S.ENDING, why="The parked caller left before it was connected."),
    refuse(On.PICK_UP_ASKED, why="somebody else is picking up this call"),
    ignore(On.TRANSFEROR_HUNG_UP, On.REUNITED, On.TARGET_ANSWERED, On.HANDED_OVER,
        why="The call is being picked up. The transferor has been released."),
)
FAILED_RECONNECT = phase(S.FAILED_RECONNECT,
    Arrangement(talk=(A, B), outcome=Outcome.RECONNECTED, leaves_then=(C,)), *common.RECONNECTED,
    ignore(On.HANDED_OVER, why="There is no target to hand over to."))
RECALL = phase(S.RECALL, partial.CALLING_BACK, partial.LEFT, *partial.RECALLED, NO_TARGET,
    row(On.PICK_UP_ASKED, given.transferor_rings, to=S.COMPLETING, do=do.pick_up,
        why="Somebody picks up the parked call. The transferor is no longer called."),
    refuse(On.PICK_UP_ASKED, why="the party that parked the call has it again"))
RECALL_PAUSE = phase(S.RECALL_PAUSE, partial.PAUSE, *partial.PAUSED, NO_TARGET, PICKED_UP,
    ignore(On.TRANSFEREE_HUNG_UP, why="All have left: that ends the transfer."))
ENDING = phase(S.ENDING, common.LEAVING, common.ENDED,
    refuse(On.PICK_UP_ASKED, why="the parked call is at its end"))

PARK = Spec(name="park", title="Park and pick up", anywhere=ANYWHERE,
    phases=(IDLE, HOLDING, PARKED, COMPLETING, FAILED_RECONNECT, RECALL, RECALL_PAUSE,
        partial.FALLBACK, ENDING))
