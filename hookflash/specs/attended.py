"""Attended transfer: the transferor talks with the target before handing over (RFC 5589, 7).

Alice (transferor) talks with Bob (transferee) and calls Carol (target). A phase declares how people
are arranged in a state, and what each input does there. A row reads as a sentence: *on this input,
if these guards hold, to that state, because …*. How the legs get there is said once, for all
states, in `hookflash.fsm.arrange`.
"""

from __future__ import annotations

from hookflash.commands import Trigger
from hookflash.fsm.arrangement import ORDINARY_CALL, Arrangement, Hears
from hookflash.fsm.inputs import Input as On
from hookflash.fsm.spec import Phase, Spec, ignore, phase, refuse, row
from hookflash.fsm.transfer import Outcome, State
from hookflash.specs import accepting, asking, common, partial, swap, telling, three_way
from hookflash.specs import actions as do
from hookflash.specs import guards as given
from hookflash.specs.common import A, B, C, S

# The tables are laid out by hand: one entry is one sentence, on a line or two.
# fmt: off

IDLE = phase(S.IDLE, ORDINARY_CALL, common.ORDINARY, *common.REQUESTED,
    common.FOUND_HANDED_OVER, partial.FOUND,
    row(On.FOUND, given.was_swapped, given.target_present, to=S.SWAPPED,
        why="The transferor talks with the transferee, and the target waits."),
    common.FOUND_REUNITED, accepting.FOUND, accepting.FOUND_WITHOUT_TRANSFEREE, three_way.FOUND,
    row(On.FOUND, given.both_present, given.target_can_take_over, to=S.CONSULTING,
        why="The target has answered. The consultation continues."),
    row(On.FOUND, given.both_present, given.target_rings, to=S.DIALING,
        why="The target is still ringing."),
    row(On.FOUND, given.transferee_present, given.target_rings, to=S.PARTIAL,
        why="The transferor has left. The target is still ringing."),
    row(On.FOUND, given.transferee_present, given.target_can_take_over, to=S.COMPLETING,
        why="The transferor has left. Transferee and target are being connected."),
    row(On.FOUND, given.transferor_present, given.target_present, to=S.ABANDONED,
        why="The transferee has left. Transferor and target remain as an ordinary call."),
    common.FOUND_APART, *partial.rescue(On.FOUND), common.FOUND_ALONE,
)

HOLDING = phase(S.HOLDING, Arrangement(hears={A: Hears.RINGBACK, B: Hears.MUSIC}),
    swap.STOLEN, *swap.RANG_ALL_THE_TIME, *common.UNPARTED,
    ignore(On.HANDED_OVER, why="Nobody talks with the target yet."),
    *asking.PARTED,
    row(On.ARRANGED, given.transferor_gone, given.partial_unwanted, to=S.ENDING,
        why="The transferor left before the target was called. Partial transfers are disabled."),
    row(On.ARRANGED, given.transferor_gone, to=S.PARTIAL,
        why="The transferor left at once. The target is being called for the transferee."),
    row(On.ARRANGED, given.transferee_gone, given.call_unwanted, to=S.ENDING,
        why="The transferee left before the target was called. The policy ends the transfer."),
    row(On.ARRANGED, given.transferee_gone, to=S.ABANDONED,
        why="The transferee left. The target is being called for the transferor."),
    row(On.ARRANGED, to=S.DIALING, why="The two are separated. The target is being called."),
    row(On.TAKEBACK_ASKED, given.both_present, to=S.TAKEBACK,
        why="The transferor took the transferee back before the target was called."),
    refuse(On.TAKEBACK_ASKED, why="the other party has left"),
    refuse(On.COMPLETE_ASKED, why="the target is not being called yet"),
)

DIALING = phase(S.DIALING, Arrangement(hears={A: Hears.RINGBACK, B: Hears.MUSIC}, calls=C),
    accepting.ANSWERED, accepting.NOT_YET,
    row(On.TARGET_ANSWERED, to=S.CONSULTING,
        why="The target answered. It is being connected to the transferor."),
    asking.NO_SUCH_NUMBER,
    row(On.TARGET_FAILED, given.another_target, to=S.DIALING, do=do.call_next,
        why="The target can't be had. The next one is called."),
    telling.TOLD,
    row(On.TARGET_FAILED, to=S.FAILED_RECONNECT,
        why="Busy, refused or no answer. Transferor and transferee are being reconnected."),
    row(On.TRANSFEROR_HUNG_UP, given.partial_unwanted, to=S.ENDING,
        why="The transferor left while the target rang. Partial transfers are disabled."),
    row(On.TRANSFEROR_HUNG_UP, to=S.PARTIAL,
        why="The transferor left while the target rings. The transferee waits for the target."),
    row(On.COMPLETE_ASKED, to=S.PARTIAL, why="The transferor completed the transfer early."),
    row(On.TRANSFEREE_HUNG_UP, given.call_unwanted, to=S.ENDING,
        why="The transferee left while the target rang. The policy ends the transfer."),
    row(On.TRANSFEREE_HUNG_UP, to=S.ABANDONED,
        why="The transferee left. The target keeps ringing for the transferor."),
    row(On.SWAP_ASKED, to=S.SWAPPED,
        why="The transferor returns to the transferee for a while. The target keeps ringing."),
    row(On.TAKEBACK_ASKED, to=S.TAKEBACK,
        why="The transferor took the transferee back. The target is being cancelled."),
    row(On.REUNITED, to=S.TAKEBACK,
        why="Another program has joined transferor and transferee. The target is released."),
    ignore(On.HANDED_OVER, why="A target that has not answered talks with nobody."),
)

CONSULTING = phase(S.CONSULTING,
    Arrangement(talk=(A, C), hears={B: Hears.MUSIC}, failsafe=Trigger.LEFT_ALONE,
        limit=common.hold_limit_s),
    telling.LEFT, *three_way.CONSULTED,
    row(On.SWAP_ASKED, given.both_present, to=S.SWAPPED,
        why="The transferor returns to the transferee for a while. The target hears music."),
    refuse(On.SWAP_ASKED, why="the other party has left"),
    row(On.THREE_WAY_ASKED, given.both_present, to=S.THREE_WAY,
        why="The transferor brings the transferee into the conversation with the target."),
    refuse(On.THREE_WAY_ASKED, why="the other party has left"),
    row(On.UNARRANGEABLE, to=S.FAILED_RECONNECT,
        why="The target could not be connected. Transferor and transferee are reconnected."),
    row(On.LIMIT_PASSED, to=S.FAILED_RECONNECT,
        why="The hold limit has passed. Transferor and transferee are being reconnected."),
    ignore(On.TARGET_ANSWERED, On.ARRANGED, why="People decide what follows."),
)

COMPLETING = phase(S.COMPLETING, partial.HAND_OVER,
    row(On.TARGET_FAILED, given.transferor_waits, to=S.FAILED_RECONNECT,
        why="The target left before it was connected. The transferor gets the transferee back."),
    row(On.TRANSFEREE_HUNG_UP, given.transferor_waits, to=S.ABANDONED,
        why="The transferee left. Transferor and target remain as an ordinary call."),
    row(On.UNARRANGEABLE, given.transferor_waits, to=S.FAILED_RECONNECT,
        why="The two could not be connected. The transferor gets the transferee back."),
    row(On.REUNITED, to=S.FAILED_RECONNECT,
        why="The target left, and the switch has reconnected the others on its own."),
    *partial.COMPLETED,
    refuse(On.TAKEBACK_ASKED, why="the transfer is already being completed"),
)

PARTIAL = phase(S.PARTIAL, partial.LET_GO, accepting.ANSWERED, *partial.CALLED,
    refuse(On.TAKEBACK_ASKED, why="the transferor has left the transfer"))


def reconnecting(state: State, outcome: Outcome) -> Phase:
    """Transferor and transferee are joined again. An answered target stays until they are."""
    return phase(state,
        Arrangement(talk=(A, B), releases=True, outcome=outcome, leaves_then=(C,)),
        row(On.TRANSFEROR_HUNG_UP, given.target_can_take_over, to=S.COMPLETING,
            why="The transferor hung up. Transferee and target are being connected."),
        row(On.TRANSFEREE_HUNG_UP, given.target_can_take_over, to=S.ABANDONED,
            why="The transferee left. Transferor and target remain as an ordinary call."),
        *common.RECONNECTED,
        row(On.HANDED_OVER, to=S.COMPLETING,
            why="The transferor left, and the switch has connected the others on its own."),
        refuse(On.COMPLETE_ASKED, why="the transferee is being given back to the transferor"),
    )


TAKEBACK = reconnecting(S.TAKEBACK, Outcome.TAKEN_BACK)
FAILED_RECONNECT = reconnecting(S.FAILED_RECONNECT, Outcome.RECONNECTED)

ABANDONED = phase(S.ABANDONED,
    Arrangement(talk=(A, C), releases=True, outcome=Outcome.ABANDONED,
        hears={A: Hears.RINGBACK}),
    accepting.ANSWERED,
    row(On.ARRANGED, to=S.IDLE, why="Transferor and target are talking, as an ordinary call."),
    row(On.TARGET_FAILED, given.another_target, to=S.ABANDONED, do=do.call_next,
        why="The target can't be had. The next one is called for the transferor."),
    row(On.TARGET_FAILED, On.UNARRANGEABLE, to=S.ENDING,
        why="Nobody is left for the transferor: the call ends."),
    row(On.TRANSFEROR_HUNG_UP, to=S.ENDING, why="The transferor left, too. The call ends."),
    ignore(On.TARGET_ANSWERED, why="It is connected to the transferor as soon as it is parked."),
    ignore(On.TRANSFEREE_HUNG_UP, On.REUNITED, On.HANDED_OVER, why="The transferee is gone."),
    refuse(On.TAKEBACK_ASKED, On.COMPLETE_ASKED, why="the transferee has left"),
)

ENDING = phase(S.ENDING, common.LEAVING, common.ENDED,
    refuse(On.TAKEBACK_ASKED, On.COMPLETE_ASKED, why="the transfer is ending"))

ATTENDED = Spec(name="attended", title="Attended transfer", anywhere=common.ANYWHERE, phases=(
    IDLE, HOLDING, asking.asking(S.DIALING), DIALING, accepting.ATTENDED, CONSULTING,
    swap.SWAPPED, three_way.THREE_WAY, COMPLETING, PARTIAL, TAKEBACK,
    telling.FAILURE_HEARD, FAILED_RECONNECT, ABANDONED, *partial.PHASES, ENDING))
