"""Blind transfer: the transferor leaves at once (RFC 5589, section 6: basic transfer).

The transferor is released as soon as the transferee is parked: until then, a switch that can't
separate the two drops nobody.
"""

from __future__ import annotations

from hookflash.fsm.arrangement import ORDINARY_CALL, Arrangement, Hears
from hookflash.fsm.inputs import Input as On
from hookflash.fsm.spec import Phase, Spec, ignore, phase, refuse, row
from hookflash.fsm.transfer import Outcome, State
from hookflash.specs import accepting, asking, common, partial
from hookflash.specs import actions as do
from hookflash.specs import guards as given
from hookflash.specs.common import A, B, C, S

# fmt: off

TOO_LATE = refuse(On.TAKEBACK_ASKED,
    why="a blind transfer can't be taken back: the transferor has left")
FAILED = refuse(On.COMPLETE_ASKED, why="the transfer has failed and is ending")

IDLE = phase(S.IDLE, ORDINARY_CALL, common.ORDINARY, *common.REQUESTED,
    common.FOUND_HANDED_OVER, partial.FOUND, common.FOUND_REUNITED, accepting.FOUND,
    row(On.FOUND, given.transferee_present, given.target_rings, to=S.PARTIAL,
        why="The target is still ringing."),
    row(On.FOUND, given.transferee_present, given.target_can_take_over, to=S.COMPLETING,
        do=do.dismiss_transferor, why="The target has answered. It gets the transferee."),
    common.FOUND_APART, *partial.rescue(On.FOUND), common.FOUND_ALONE,
)
HOLDING = phase(S.HOLDING, Arrangement(hears={B: Hears.MUSIC}), *common.UNPARTED,
    common.NO_TARGET, TOO_LATE,
    *asking.PARTED,
    row(On.ARRANGED, given.transferee_gone, to=S.ENDING, do=do.dismiss_transferor,
        why="The transferee left. Nobody remains to be transferred."),
    row(On.ARRANGED, to=S.PARTIAL,
        why="The transferor is released, and the target is being called."),
    ignore(On.COMPLETE_ASKED, why="The transfer is already being completed."),
)
PARTIAL = phase(S.PARTIAL, partial.LET_GO, accepting.ANSWERED, *partial.CALLED, TOO_LATE)
ACCEPTING = phase(S.ACCEPTING, accepting.LET_GO, *accepting.BLIND, TOO_LATE)
COMPLETING = phase(S.COMPLETING, partial.HAND_OVER, *partial.COMPLETED, TOO_LATE,
    ignore(On.REUNITED, why="The transferor has been released."))


def reconnecting(state: State, outcome: Outcome) -> Phase:
    """Transferor and transferee are joined again."""
    return phase(state, Arrangement(talk=(A, B), outcome=outcome, leaves_then=(C,)),
        *common.RECONNECTED, FAILED,
        ignore(On.HANDED_OVER, why="There is no target to hand over to."))


TAKEBACK = reconnecting(S.TAKEBACK, Outcome.TAKEN_BACK)
FAILED_RECONNECT = reconnecting(S.FAILED_RECONNECT, Outcome.RECONNECTED)
ENDING = phase(S.ENDING, common.LEAVING, common.ENDED, TOO_LATE, FAILED)

BLIND = Spec(name="blind", title="Blind transfer", anywhere=common.ANYWHERE,
    phases=(IDLE, HOLDING, asking.asking(S.PARTIAL), PARTIAL, ACCEPTING, COMPLETING,
        TAKEBACK, FAILED_RECONNECT, *partial.PHASES, ENDING))
