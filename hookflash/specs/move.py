"""Move: a person takes a call along to another device of their own.

The two talk on while the other device rings. As soon as it answers, the transferee is joined with
it, and the device that was talked on is released. If it can't be had, nothing has changed. A person
who hangs up too early has left as in a blind transfer: the transferee waits for the other device.
"""

from __future__ import annotations

from hookflash.commands import Trigger
from hookflash.errors import Refusal
from hookflash.fsm.arrangement import ORDINARY_CALL, Arrangement, Hears
from hookflash.fsm.inputs import Input as On
from hookflash.fsm.spec import Phase, Spec, ignore, phase, refuse, row
from hookflash.fsm.transfer import Outcome, State
from hookflash.specs import actions as do
from hookflash.specs import common, partial, swap
from hookflash.specs import guards as given
from hookflash.specs.common import A, B, C, S

# The tables are laid out by hand: one entry is one sentence, on a line or two.
# fmt: off

TOO_LATE = refuse(On.TAKEBACK_ASKED, why="the call is already being moved")
OVER = refuse(On.COMPLETE_ASKED, why="the call is no longer being moved")

IDLE = phase(S.IDLE, ORDINARY_CALL, common.ORDINARY,
    refuse(On.REQUESTED, given.hops_used_up, refusal=Refusal.TARGET_REFUSED,
        why="this call has reached its limit of transfers"),
    row(On.REQUESTED, to=S.HOLDING, why="The call is to be moved. The two are being separated."),
    refuse(On.TAKEBACK_ASKED, On.COMPLETE_ASKED, why="this call is not being moved"),
    common.FOUND_HANDED_OVER,
    row(On.FOUND, given.reunited, given.target_rings, to=S.MOVING,
        why="The two talk, and the other device is still ringing."),
    row(On.FOUND, given.transferee_present, given.target_can_take_over, to=S.COMPLETING,
        why="The other device has answered. It gets the transferee."),
    common.FOUND_REUNITED, common.FOUND_APART,
    row(On.FOUND, given.transferee_present, given.target_rings, to=S.PARTIAL,
        why="The transferor has left, and the other device is still ringing."),
    *partial.rescue(On.FOUND), common.FOUND_ALONE,
)
HOLDING = phase(S.HOLDING, Arrangement(hears={B: Hears.MUSIC}), *common.UNPARTED, common.NO_TARGET,
    row(On.ARRANGED, given.both_present, to=S.MOVING,
        why="The two are rejoined, now with a failsafe, and the other device is called."),
    row(On.ARRANGED, given.transferee_present, to=S.PARTIAL,
        why="The transferor has left. The other device is called for the transferee."),
    row(On.ARRANGED, to=S.ENDING, why="The transferee left. Nobody remains to be moved."),
    row(On.TAKEBACK_ASKED, given.both_present, to=S.TAKEBACK,
        why="The move was cancelled before it began."),
    refuse(On.TAKEBACK_ASKED, why="one of the two has left"),
    ignore(On.COMPLETE_ASKED, why="The call is already being moved."),
)
MOVING = phase(S.MOVING,
    Arrangement(talk=(A, B), calls=C, failsafe=Trigger.LEFT_ALONE, limit=swap.swap_limit_s),
    row(On.TARGET_ANSWERED, to=S.COMPLETING,
        why="The other device answered. It gets the transferee."),
    row(On.TRANSFEROR_HUNG_UP, On.COMPLETE_ASKED, to=S.PARTIAL,
        why="The transferor left while the other device rings. The transferee waits for it."),
    row(On.TAKEBACK_ASKED, to=S.TAKEBACK,
        why="The transferor stays where it is. The other device is cancelled."),
    row(On.TARGET_FAILED, given.another_target, to=S.MOVING, do=do.call_next,
        why="This device can't be had. The next one is called, and the two talk on."),
    row(On.TARGET_FAILED, On.LIMIT_PASSED, On.UNARRANGEABLE, to=S.FAILED_RECONNECT,
        why="The other device can't be had. Transferor and transferee go on talking."),
    row(On.TRANSFEREE_HUNG_UP, to=S.ENDING, why="The transferee left. The call ends."),
    ignore(On.REUNITED, On.ARRANGED, On.HANDED_OVER, why="The other device is ringing."),
)
PARTIAL = phase(S.PARTIAL, partial.LET_GO, *partial.CALLED, TOO_LATE)
COMPLETING = phase(S.COMPLETING, partial.HAND_OVER,
    row(On.TARGET_FAILED, On.UNARRANGEABLE, given.transferor_waits, to=S.FAILED_RECONNECT,
        why="The other device could not be connected. The transferor keeps the transferee."),
    *partial.COMPLETED, TOO_LATE,
    row(On.REUNITED, to=S.FAILED_RECONNECT,
        why="Another program has joined transferor and transferee."),
)


def staying(state: State, outcome: Outcome) -> Phase:
    """Transferor and transferee talk on the old device."""
    return phase(state, Arrangement(talk=(A, B), releases=True, outcome=outcome, leaves_then=(C,)),
        *common.RECONNECTED, OVER,
        ignore(On.HANDED_OVER, why="The other device is released."))


TAKEBACK = staying(S.TAKEBACK, Outcome.TAKEN_BACK)
FAILED_RECONNECT = staying(S.FAILED_RECONNECT, Outcome.RECONNECTED)
ENDING = phase(S.ENDING, common.LEAVING, common.ENDED, TOO_LATE, OVER)

MOVE = Spec(name="move", title="Move to another device of one's own", anywhere=common.ANYWHERE,
    phases=(IDLE, HOLDING, MOVING, PARTIAL, COMPLETING, TAKEBACK, FAILED_RECONNECT,
        *partial.PHASES, ENDING))
