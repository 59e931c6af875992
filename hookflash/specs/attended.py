"""Attended transfer: the transferor talks with the target before handing over (RFC 5589, 7).

Alice (transferor) talks with Bob (transferee) and asks for Carol (target). A phase says how people
are arranged in a state, and then what answers each input there. A row reads as a sentence: *on this
input, if these guards hold, to that state, because …*. How legs get to where a phase wants them is
not said here, but once for all in `hookflash.fsm.arrange`.
"""

from __future__ import annotations

from hookflash.commands import Trigger
from hookflash.errors import Refusal
from hookflash.fsm.arrangement import ORDINARY_CALL, Arrangement, Hears
from hookflash.fsm.inputs import Input as On
from hookflash.fsm.spec import Phase, Spec, ignore, phase, refuse, row
from hookflash.fsm.transfer import Outcome, Role, State, Transfer
from hookflash.specs import actions as do
from hookflash.specs import guards as given

A, B, C = Role.TRANSFEROR, Role.TRANSFEREE, Role.TARGET
S = State


def hold_limit_s(transfer: Transfer) -> float:
    """Nobody is held for ever."""
    return transfer.policy.hold_limit_s


# The tables are laid out by hand: one entry is one sentence, on a line or two.
# fmt: off

GOING = (
    row(On.EVERYONE_GONE, to=S.IDLE, why="The last of them is gone."),
    ignore(On.FOUND, why="It is known already."),
)
ANYWHERE = (*GOING, refuse(On.REQUESTED, why="a transfer of this call is already running"))

ORDINARY = ignore(On.TRANSFEROR_HUNG_UP, On.TRANSFEREE_HUNG_UP, On.EVERYONE_GONE, On.REUNITED,
    On.TARGET_ANSWERED, On.TARGET_FAILED, On.HANDED_OVER,
    why="The call is an ordinary one: no transfer is asked for yet, or it is over.")
REQUESTED = (
    refuse(On.REQUESTED, given.target_missing, refusal=Refusal.MALFORMED,
        why="no number to transfer to was given"),
    refuse(On.REQUESTED, given.target_is_a_party, refusal=Refusal.TARGET_REFUSED,
        why="the target is already in this call"),
    refuse(On.REQUESTED, given.hops_used_up, refusal=Refusal.TARGET_REFUSED,
        why="this call has been transferred as often as is allowed"),
    row(On.REQUESTED, to=S.HOLDING, why="A transfer is asked for. The two are parted."),
    refuse(On.TAKEBACK_ASKED, why="there is no transfer from which to take anybody back"),
    refuse(On.COMPLETE_ASKED, why="there is no transfer to complete"),
)
FOUND_REUNITED = row(On.FOUND, given.reunited, to=S.FAILED_RECONNECT, do=do.blame_restart,
    why="Transferor and transferee talk: the switch has brought them together by itself.")
FOUND_HANDED_OVER = row(On.FOUND, given.handed_over, to=S.COMPLETING,
    why="Transferee and target talk: the switch has completed the transfer by itself.")
FOUND_APART = (
    row(On.FOUND, given.both_present, to=S.FAILED_RECONNECT, do=do.blame_restart,
        why="The two are apart, and nobody else is there. They are brought together."),
    row(On.FOUND, to=S.ENDING, do=do.blame_restart,
        why="Somebody is left alone: a tone, then the call ends."),
)
IDLE = phase(S.IDLE, ORDINARY_CALL, ORDINARY, *REQUESTED, FOUND_HANDED_OVER, FOUND_REUNITED,
    row(On.FOUND, given.both_present, given.target_can_take_over, to=S.CONSULTING,
        why="The target has answered. The consultation goes on."),
    row(On.FOUND, given.both_present, given.target_rings, to=S.DIALING,
        why="The target is still being called."),
    row(On.FOUND, given.transferee_present, given.target_rings, to=S.PARTIAL,
        why="The transferor has left, and the target is still being called."),
    row(On.FOUND, given.transferee_present, given.target_can_take_over, to=S.COMPLETING,
        why="The transferor has left, and the target has answered. It gets the transferee."),
    row(On.FOUND, given.transferor_present, given.target_present, to=S.ABANDONED,
        why="The transferee has left. Transferor and target have each other."),
    *FOUND_APART,
)

UNPARTED = (
    row(On.UNARRANGEABLE, given.both_present, to=S.FAILED_RECONNECT,
        why="The switch did not part the two. A join proves that they have each other."),
    row(On.UNARRANGEABLE, to=S.ENDING, why="One of them left. Nothing is known of the other."),
    row(On.REUNITED, to=S.IDLE, why="Somebody else has joined the two: nothing to transfer."),
    ignore(On.TRANSFEROR_HUNG_UP, On.TRANSFEREE_HUNG_UP,
        why="The other one will be parked, or leave with its partner: its own fact decides."),
    ignore(On.TARGET_ANSWERED, On.TARGET_FAILED, On.HANDED_OVER, why="There is no target yet."),
)
HOLDING = phase(S.HOLDING, Arrangement(hears={A: Hears.RINGBACK, B: Hears.MUSIC}), *UNPARTED,
    row(On.ARRANGED, given.transferor_gone, given.partial_unwanted, to=S.ENDING,
        why="The transferor left before the target was called, and partial transfers are off."),
    row(On.ARRANGED, given.transferor_gone, to=S.PARTIAL,
        why="The transferor left as soon as it had asked. The target will get the transferee."),
    row(On.ARRANGED, given.transferee_gone, given.call_unwanted, to=S.ENDING,
        why="The transferee left before the target was called, and that ends it here."),
    row(On.ARRANGED, given.transferee_gone, to=S.ABANDONED,
        why="The transferee left. The transferor still calls the target."),
    row(On.ARRANGED, to=S.DIALING, why="Both stand alone. The target is called."),
    row(On.TAKEBACK_ASKED, given.both_present, to=S.TAKEBACK,
        why="The transferor thinks better of it while the two are being parted."),
    refuse(On.TAKEBACK_ASKED, why="the other party has left"),
    refuse(On.COMPLETE_ASKED, why="the target is not being called yet"),
)

DIALING = phase(S.DIALING, Arrangement(hears={A: Hears.RINGBACK, B: Hears.MUSIC}, calls=True),
    row(On.TARGET_ANSWERED, to=S.CONSULTING,
        why="The target answers. The transferor talks with it first."),
    row(On.TARGET_FAILED, to=S.FAILED_RECONNECT,
        why="Busy, refused or no answer: the transferor has the transferee back."),
    row(On.TRANSFEROR_HUNG_UP, given.partial_unwanted, to=S.ENDING,
        why="The transferor left while the target rang, and partial transfers are off."),
    row(On.TRANSFEROR_HUNG_UP, to=S.PARTIAL,
        why="The transferor leaves while the target rings. The target gets the transferee."),
    row(On.COMPLETE_ASKED, to=S.PARTIAL, why="The transferor asks to leave while it rings."),
    row(On.TRANSFEREE_HUNG_UP, given.call_unwanted, to=S.ENDING,
        why="The transferee left while the target rang, and that ends it here."),
    row(On.TRANSFEREE_HUNG_UP, to=S.ABANDONED,
        why="The transferee left. The transferor goes on calling the target."),
    row(On.TAKEBACK_ASKED, to=S.TAKEBACK,
        why="The transferor wants the transferee back. The target is cancelled."),
    row(On.REUNITED, to=S.TAKEBACK,
        why="Somebody else has joined transferor and transferee. The target is sent away."),
    ignore(On.HANDED_OVER, why="Who has not answered talks with nobody."),
)

CONSULTING = phase(S.CONSULTING,
    Arrangement(talk=(A, C), hears={B: Hears.MUSIC}, failsafe=Trigger.LEFT_ALONE,
        limit=hold_limit_s),
    row(On.TRANSFEROR_HUNG_UP, to=S.COMPLETING,
        why="The transferor hangs up. The target gets the transferee."),
    row(On.COMPLETE_ASKED, to=S.COMPLETING,
        why="The transferor asks to hand over. It is let go when the others talk."),
    row(On.HANDED_OVER, to=S.COMPLETING,
        why="The transferor was gone, and the switch itself has joined the others."),
    row(On.TARGET_FAILED, to=S.FAILED_RECONNECT,
        why="The target has left. The transferor has the transferee back."),
    row(On.REUNITED, to=S.FAILED_RECONNECT,
        why="The target has left, and the switch itself has joined the others."),
    row(On.TRANSFEREE_HUNG_UP, given.talk_unwanted, to=S.ENDING,
        why="The transferee left during the consultation, and that ends it here."),
    row(On.TRANSFEREE_HUNG_UP, to=S.ABANDONED,
        why="The transferee left. Transferor and target are an ordinary call."),
    row(On.TAKEBACK_ASKED, to=S.TAKEBACK,
        why="The transferor wants the transferee back, out of the consultation."),
    row(On.UNARRANGEABLE, to=S.FAILED_RECONNECT,
        why="The switch does not join transferor and target. Back to the transferee."),
    row(On.LIMIT_PASSED, to=S.FAILED_RECONNECT,
        why="The transferee has been held for as long as anybody may be."),
    ignore(On.TARGET_ANSWERED, On.ARRANGED, why="They talk. From here on, people decide."),
)

COMPLETED = (
    row(On.ARRANGED, to=S.IDLE,
        why="Transferee and target talk, and the transferor is gone. The transfer is done."),
    row(On.TARGET_FAILED, to=S.ENDING, why="The target left in the last moment, as the others."),
    row(On.TRANSFEREE_HUNG_UP, to=S.ENDING, why="The transferee left in the last moment."),
    row(On.UNARRANGEABLE, to=S.ENDING, why="The switch does not join them: a clear end."),
    ignore(On.TRANSFEROR_HUNG_UP, On.TARGET_ANSWERED, On.HANDED_OVER, On.COMPLETE_ASKED,
        why="It is on its way."),
)
HAND_OVER = Arrangement(talk=(B, C), ordinary=True, outcome=Outcome.TRANSFERRED, leaves_then=(A,))
COMPLETING = phase(S.COMPLETING, HAND_OVER,
    row(On.TARGET_FAILED, given.transferor_waits, to=S.FAILED_RECONNECT,
        why="The target left while it was being joined. The transferor is still there."),
    row(On.TRANSFEREE_HUNG_UP, given.transferor_waits, to=S.ABANDONED,
        why="The transferee left in the last moment. Transferor and target have each other."),
    row(On.UNARRANGEABLE, given.transferor_waits, to=S.FAILED_RECONNECT,
        why="The switch does not join them. The transferor has the transferee back."),
    row(On.REUNITED, to=S.FAILED_RECONNECT,
        why="The target has left, and the switch itself has joined the others."),
    *COMPLETED,
    refuse(On.TAKEBACK_ASKED, why="the transfer is already being completed"),
)

LET_GO = Arrangement(hears={B: Hears.RINGBACK_OR_MUSIC}, calls=True, leaves=(A,),
    failsafe=Trigger.ANSWER)
CALLED = (
    row(On.TARGET_ANSWERED, to=S.COMPLETING, why="The target answers, and gets the transferee."),
    row(On.HANDED_OVER, to=S.COMPLETING, why="The switch itself has joined transferee and target."),
    row(On.TARGET_FAILED, to=S.ENDING,
        why="The target does not come, and the transferor is gone: a tone, then a clear end."),
    row(On.TRANSFEREE_HUNG_UP, to=S.ENDING, why="Nobody is left for the target. It is cancelled."),
    ignore(On.TRANSFEROR_HUNG_UP, On.REUNITED, On.COMPLETE_ASKED,
        why="The transferor has been let go. The target's answer is what counts."),
)
PARTIAL = phase(S.PARTIAL, LET_GO, *CALLED,
    refuse(On.TAKEBACK_ASKED, why="the transferor has left the transfer"))

RECONNECTED = (
    row(On.ARRANGED, to=S.IDLE, why="Transferor and transferee talk. Nobody else is left."),
    row(On.UNARRANGEABLE, to=S.ENDING, why="The switch does not join them: a clear end."),
    row(On.TRANSFEROR_HUNG_UP, On.TRANSFEREE_HUNG_UP, to=S.ENDING,
        why="One of the two has left, so that the call of the other ends, too."),
    ignore(On.REUNITED, On.TARGET_FAILED, On.TARGET_ANSWERED,
        why="The two are being joined. A target is sent away, even if it answers now."),
    ignore(On.TAKEBACK_ASKED, why="It is on its way."),
)


def reconnecting(state: State, outcome: Outcome) -> Phase:
    """Transferor and transferee are joined again. An answered target stays until they are."""
    return phase(state,
        Arrangement(talk=(A, B), ordinary=True, outcome=outcome, leaves_then=(C,)),
        row(On.TRANSFEROR_HUNG_UP, given.target_can_take_over, to=S.COMPLETING,
            why="The transferor has hung up after all. The target gets the transferee."),
        row(On.TRANSFEREE_HUNG_UP, given.target_can_take_over, to=S.ABANDONED,
            why="The transferee did not wait. Transferor and target still have each other."),
        *RECONNECTED,
        row(On.HANDED_OVER, to=S.COMPLETING,
            why="The transferor was gone, and the switch itself has joined the others."),
        refuse(On.COMPLETE_ASKED, why="the transferee is being given back to the transferor"),
    )


TAKEBACK = reconnecting(S.TAKEBACK, Outcome.TAKEN_BACK)
FAILED_RECONNECT = reconnecting(S.FAILED_RECONNECT, Outcome.RECONNECTED)

ABANDONED = phase(S.ABANDONED,
    Arrangement(talk=(A, C), ordinary=True, outcome=Outcome.ABANDONED, calls=True,
        hears={A: Hears.RINGBACK}),
    row(On.ARRANGED, to=S.IDLE, why="Transferor and target talk, and are an ordinary call."),
    row(On.TARGET_FAILED, On.UNARRANGEABLE, to=S.ENDING,
        why="The target does not come, or has left again. Nobody remains for the transferor."),
    row(On.TRANSFEROR_HUNG_UP, to=S.ENDING, why="Nobody remains for the target."),
    ignore(On.TARGET_ANSWERED, why="It is joined with the transferor as soon as it is parked."),
    ignore(On.TRANSFEREE_HUNG_UP, On.REUNITED, On.HANDED_OVER, why="The transferee is gone."),
    refuse(On.TAKEBACK_ASKED, On.COMPLETE_ASKED, why="the transferee has left"),
)

LEAVING = Arrangement(hears={A: Hears.TONE, B: Hears.TONE}, leaves=(C,), ends=True)
ENDED = ignore(On.TRANSFEROR_HUNG_UP, On.TRANSFEREE_HUNG_UP, On.TARGET_ANSWERED, On.TARGET_FAILED,
    On.REUNITED, On.HANDED_OVER, why="Their end is ordered again until it is seen.")
ENDING = phase(S.ENDING, LEAVING, ENDED,
    refuse(On.TAKEBACK_ASKED, On.COMPLETE_ASKED, why="the transfer is at its end"))

ATTENDED = Spec(name="attended", title="Attended transfer", anywhere=ANYWHERE, phases=(
    IDLE, HOLDING, DIALING, CONSULTING, COMPLETING, PARTIAL, TAKEBACK, FAILED_RECONNECT, ABANDONED,
    ENDING))
