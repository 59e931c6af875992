"""Attended transfer: the transferor talks with the target before handing over (RFC 5589, 7).

Alice (transferor) talks with Bob (transferee) and asks for Carol (target). Read a row as a
sentence: *consulting · target hung up → failed_reconnect: "Carol has left: …"*.
"""

from __future__ import annotations

from hookflash.errors import Refusal
from hookflash.fsm.spec import Input, Phase, Refused, Row, Spec, ignore, refuse
from hookflash.fsm.transfer import State
from hookflash.specs import actions as do
from hookflash.specs import endgame as end
from hookflash.specs import guards as given

S = State

PHASES = (
    end.IDLE,
    end.HOLDING,
    Phase(
        state=S.DIALING,
        transferor="hears ringback",
        transferee="music",
        target="being called",
        deadline=end.ring_timeout_s,
    ),
    Phase(
        state=S.CONSULTING,
        transferor="talks with the target",
        transferee="music",
        target="talks with the transferor",
        deadline=end.join_timeout_s,
    ),
    end.COMPLETING,
    end.PARTIAL,
    end.TAKEBACK,
    end.FAILED_RECONNECT,
    Phase(
        state=S.ABANDONED,
        transferor="ringback, then talks with the target",
        transferee="gone",
        target="being called, then talks with the transferor",
        deadline=end.ring_timeout_s,
    ),
    end.ENDING,
)

REQUESTED = (
    Row(
        state=S.IDLE,
        on=Input.REQUESTED,
        to=S.HOLDING,
        then=(do.split,),
        why="A transfer is asked for: part the two, so that each can be given what it needs.",
    ),
)

NOT_LIKE_THAT = (
    Refused(
        state=S.IDLE,
        on=Input.REQUESTED,
        given=given.target_missing,
        why="no number to transfer to was given",
        refusal=Refusal.MALFORMED,
    ),
    Refused(
        state=S.IDLE,
        on=Input.REQUESTED,
        given=given.target_is_a_party,
        why="the target is already in this call",
        refusal=Refusal.TARGET_REFUSED,
    ),
    Refused(
        state=S.IDLE,
        on=Input.REQUESTED,
        given=given.hops_used_up,
        why="this call has been transferred as often as is allowed",
        refusal=Refusal.TARGET_REFUSED,
    ),
)

HOLDING = (
    Row(
        state=S.HOLDING,
        on=Input.TRANSFEROR_PARKED,
        given=given.both_parked,
        to=S.DIALING,
        then=(do.ring_transferor, do.dial_target),
        why="Both stand alone: call the target.",
    ),
    Row(
        state=S.HOLDING,
        on=Input.TRANSFEROR_PARKED,
        given=given.transferee_gone_and_call_unwanted,
        to=S.ENDING,
        then=(do.decide_abandoned, do.say_goodbye),
        why="The transferee left before the target was called, and that ends it here.",
    ),
    Row(
        state=S.HOLDING,
        on=Input.TRANSFEROR_PARKED,
        given=given.transferee_gone,
        to=S.ABANDONED,
        then=(do.decide_abandoned, do.ring_transferor, do.dial_target),
        why="The transferee left; the transferor still calls the target.",
    ),
    Row(
        state=S.HOLDING,
        on=Input.TRANSFEROR_PARKED,
        to=S.HOLDING,
        then=(do.ring_transferor,),
        why="The transferor is parked first: it waits for ringback, so let it hear that at once.",
    ),
    Row(
        state=S.HOLDING,
        on=Input.TRANSFEREE_PARKED,
        given=given.both_parked,
        to=S.DIALING,
        then=(do.hold_transferee, do.dial_target),
        why="Both stand alone: call the target.",
    ),
    Row(
        state=S.HOLDING,
        on=Input.TRANSFEREE_PARKED,
        given=given.transferor_gone_and_partial_unwanted,
        to=S.ENDING,
        then=(do.blame_transferor_left, do.decide_failed, do.say_goodbye),
        why="The transferor left before the target was called, and partial transfers are off.",
    ),
    Row(
        state=S.HOLDING,
        on=Input.TRANSFEREE_PARKED,
        given=given.transferor_gone,
        to=S.PARTIAL,
        then=(do.ring_transferee, do.dial_target),
        why="The transferor left as soon as it had asked: the target is called for the transferee.",
    ),
    Row(
        state=S.HOLDING,
        on=Input.TRANSFEREE_PARKED,
        to=S.HOLDING,
        then=(do.hold_transferee,),
        why="The transferee is parked first: music at once.",
    ),
    Row(
        state=S.HOLDING,
        on=Input.TRANSFEROR_HUNG_UP,
        given=given.everyone_gone,
        to=S.IDLE,
        then=(do.decide_abandoned,),
        why="Both left before anything came of it.",
    ),
    Row(
        state=S.HOLDING,
        on=Input.TRANSFEROR_HUNG_UP,
        given=given.transferee_parked_and_partial_unwanted,
        to=S.ENDING,
        then=(do.blame_transferor_left, do.decide_failed, do.say_goodbye),
        why="The transferor left before the target was called, and partial transfers are off.",
    ),
    Row(
        state=S.HOLDING,
        on=Input.TRANSFEROR_HUNG_UP,
        given=given.transferee_parked,
        to=S.PARTIAL,
        then=(do.ring_transferee, do.dial_target),
        why="The transferor left as soon as it had asked: the target is called for the transferee.",
    ),
    Row(
        state=S.HOLDING,
        on=Input.TRANSFEREE_HUNG_UP,
        given=given.everyone_gone,
        to=S.IDLE,
        then=(do.decide_abandoned,),
        why="Both left before anything came of it.",
    ),
    Row(
        state=S.HOLDING,
        on=Input.TRANSFEREE_HUNG_UP,
        given=given.transferor_parked_and_call_unwanted,
        to=S.ENDING,
        then=(do.decide_abandoned, do.say_goodbye),
        why="The transferee left before the target was called, and that ends it here.",
    ),
    Row(
        state=S.HOLDING,
        on=Input.TRANSFEREE_HUNG_UP,
        given=given.transferor_parked,
        to=S.ABANDONED,
        then=(do.decide_abandoned, do.dial_target),
        why="The transferee left; the transferor still calls the target.",
    ),
    Row(
        state=S.HOLDING,
        on=Input.REUNITED,
        to=S.IDLE,
        then=(do.decide_taken_back,),
        why="Somebody else has joined the two again: there is nothing to transfer.",
    ),
    Row(
        state=S.HOLDING,
        on=Input.TAKEBACK_ASKED,
        given=given.both_present,
        to=S.TAKEBACK,
        then=(do.reunite_if_due,),
        why="The transferor thinks better of it while the two are being parted.",
    ),
    *end.UNPARTED_ROWS,
)

HOLDING_IGNORED = (
    *ignore(
        [S.HOLDING],
        [Input.TRANSFEROR_HUNG_UP, Input.TRANSFEREE_HUNG_UP],
        "The other one will be parked, or die with its partner: its own fact decides.",
    ),
    *ignore(
        [S.HOLDING],
        [
            Input.TARGET_PARKED,
            Input.TARGET_HUNG_UP,
            *end.TARGET_CALLED,
            Input.CONSULTED,
            Input.HANDED_OVER,
        ],
        "There is no target yet.",
    ),
    *ignore(
        [S.HOLDING],
        [Input.SEPARATED, Input.RELEASED],
        "Where each of them went is told by facts of their own.",
    ),
    *ignore(
        [S.HOLDING],
        [Input.SPLIT_FAILED],
        "One of them has left, so that nothing was to part: its partner's fact decides.",
    ),
    *ignore(
        [S.HOLDING],
        [Input.DIAL_FAILED, Input.JOIN_FAILED, Input.OTHER_FAILED],
        "A command whose lack a timer mends.",
    ),
)

DIALING = (
    *end.calling_rows(S.DIALING),
    Row(
        state=S.DIALING,
        on=Input.TARGET_ANSWERED,
        to=S.CONSULTING,
        then=(do.consult_if_due,),
        why="The target answers: the transferor talks with it first.",
    ),
    Row(
        state=S.DIALING,
        on=Input.TARGET_HUNG_UP,
        to=S.FAILED_RECONNECT,
        then=(do.reunite_if_due,),
        why="Busy, refused or no answer: the transferor has the transferee back.",
    ),
    Row(
        state=S.DIALING,
        on=Input.DIAL_FAILED,
        to=S.FAILED_RECONNECT,
        then=(do.blame_dial, do.dismiss_target, do.reunite_if_due),
        why="The switch does not call the target: the transferor has the transferee back.",
    ),
    Row(
        state=S.DIALING,
        on=Input.DEADLINE_PASSED,
        to=S.FAILED_RECONNECT,
        then=(do.blame_no_answer, do.dismiss_target, do.reunite_if_due),
        why="No answer, and no word of one: cancel, and give the transferee back.",
    ),
    Row(
        state=S.DIALING,
        on=Input.TRANSFEROR_HUNG_UP,
        given=given.partial_unwanted,
        to=S.ENDING,
        then=(do.blame_transferor_left, do.decide_failed, do.say_goodbye),
        why="The transferor left while the target rang, and partial transfers are off.",
    ),
    Row(
        state=S.DIALING,
        on=Input.TRANSFEROR_HUNG_UP,
        to=S.PARTIAL,
        then=(do.arm_target, do.ring_transferee, do.wait_for_answer),
        why="The transferor leaves while the target rings: the target gets the transferee.",
    ),
    Row(
        state=S.DIALING,
        on=Input.COMPLETE_ASKED,
        to=S.PARTIAL,
        then=(do.let_transferor_go, do.arm_target, do.ring_transferee, do.wait_for_answer),
        why="The transferor asks to leave while the target rings.",
    ),
    Row(
        state=S.DIALING,
        on=Input.TRANSFEREE_HUNG_UP,
        given=given.call_unwanted,
        to=S.ENDING,
        then=(do.decide_abandoned, do.say_goodbye),
        why="The transferee left while the target rang, and that ends it here.",
    ),
    Row(
        state=S.DIALING,
        on=Input.TRANSFEREE_HUNG_UP,
        to=S.ABANDONED,
        then=(do.decide_abandoned, do.wait_for_answer),
        why="The transferee left; the transferor goes on calling the target.",
    ),
    Row(
        state=S.DIALING,
        on=Input.TAKEBACK_ASKED,
        to=S.TAKEBACK,
        then=(do.dismiss_ringing_target, do.reunite_if_due),
        why="The transferor wants the transferee back: cancel the target, join the two.",
    ),
    *end.sound_rows([S.DIALING]),
)

CONSULTING = (
    Row(
        state=S.CONSULTING,
        on=Input.TARGET_PARKED,
        given=given.consultation_due,
        to=S.CONSULTING,
        then=(do.consult,),
        why="The target's leg is ours now: join it with the transferor.",
    ),
    Row(
        state=S.CONSULTING,
        on=Input.TARGET_PARKED,
        to=S.CONSULTING,
        then=(do.wait_for_join,),
        why="The target was parted from the transferor: what comes next must come soon.",
    ),
    Row(
        state=S.CONSULTING,
        on=Input.TRANSFEROR_PARKED,
        given=given.consultation_due,
        to=S.CONSULTING,
        then=(do.consult,),
        why="A join fell through and both stand again: once more.",
    ),
    Row(
        state=S.CONSULTING,
        on=Input.TRANSFEROR_PARKED,
        to=S.CONSULTING,
        then=(do.wait_for_join,),
        why="The transferor was parted from the target: what comes next must come soon.",
    ),
    Row(
        state=S.CONSULTING,
        on=Input.SEPARATED,
        to=S.CONSULTING,
        then=(do.wait_for_join,),
        why="They no longer hear each other: what comes next must come soon.",
    ),
    Row(
        state=S.CONSULTING,
        on=Input.CONSULTED,
        to=S.CONSULTING,
        then=(do.arm_transferor, do.wait_for_people),
        why="They talk. From here on, people decide.",
    ),
    Row(
        state=S.CONSULTING,
        on=Input.TRANSFEROR_HUNG_UP,
        to=S.COMPLETING,
        then=(do.wait_for_rescue, do.hand_over_if_due),
        why="The transferor hangs up: the target gets the transferee.",
    ),
    Row(
        state=S.CONSULTING,
        on=Input.COMPLETE_ASKED,
        to=S.COMPLETING,
        then=(do.hand_over_if_due,),
        why="The transferor asks to hand over: it is let go when the others talk.",
    ),
    Row(
        state=S.CONSULTING,
        on=Input.HANDED_OVER,
        to=S.COMPLETING,
        then=(do.decide_transferred,),
        why="The transferor was gone, and the switch itself has joined the others.",
    ),
    Row(
        state=S.CONSULTING,
        on=Input.TARGET_HUNG_UP,
        to=S.FAILED_RECONNECT,
        then=(do.reunite_if_due,),
        why="The target has left: the transferor has the transferee back, once its leg is parked.",
    ),
    Row(
        state=S.CONSULTING,
        on=Input.TRANSFEREE_HUNG_UP,
        given=given.talk_unwanted,
        to=S.ENDING,
        then=(do.decide_abandoned, do.end_everyone),
        why="The transferee left during the consultation, and that ends it here.",
    ),
    Row(
        state=S.CONSULTING,
        on=Input.TRANSFEREE_HUNG_UP,
        to=S.ABANDONED,
        then=(do.decide_abandoned, do.release_or_wait),
        why="The transferee left: transferor and target are an ordinary call.",
    ),
    Row(
        state=S.CONSULTING,
        on=Input.TAKEBACK_ASKED,
        to=S.TAKEBACK,
        then=(do.reunite_if_due,),
        why="The transferor wants the transferee back: out of the consultation, straight to it.",
    ),
    Row(
        state=S.CONSULTING,
        on=Input.JOIN_FAILED,
        given=given.joins_left,
        to=S.CONSULTING,
        then=(do.consult,),
        why="The switch would not join them: once more.",
    ),
    Row(
        state=S.CONSULTING,
        on=Input.DEADLINE_PASSED,
        given=given.consulted,
        to=S.FAILED_RECONNECT,
        then=(do.blame_hold_limit, do.reunite_if_due),
        why="The transferee has been held for as long as anybody may be.",
    ),
    Row(
        state=S.CONSULTING,
        on=Input.DEADLINE_PASSED,
        given=given.joins_left,
        to=S.CONSULTING,
        then=(do.consult,),
        why="No proof that they were joined: join them again.",
    ),
    Row(
        state=S.CONSULTING,
        on=Input.DEADLINE_PASSED,
        to=S.FAILED_RECONNECT,
        then=(do.blame_join, do.reunite),
        why="The switch does not join transferor and target: back to the transferee.",
    ),
    *end.sound_rows([S.CONSULTING]),
)

COMPLETING = (
    *end.COMPLETING_ROWS,
    Row(
        state=S.COMPLETING,
        on=Input.TARGET_HUNG_UP,
        given=given.transferor_waits,
        to=S.FAILED_RECONNECT,
        then=(do.reunite_if_due,),
        why="The target left while it was being joined; the transferor is still there.",
    ),
    Row(
        state=S.COMPLETING,
        on=Input.TRANSFEREE_HUNG_UP,
        given=given.transferor_waits,
        to=S.ABANDONED,
        then=(do.decide_abandoned, do.wait_for_rescue, do.release_or_wait),
        why="The transferee left in the last moment: transferor and target have each other.",
    ),
    Row(
        state=S.COMPLETING,
        on=Input.DEADLINE_PASSED,
        given=given.transferor_waits,
        to=S.FAILED_RECONNECT,
        then=(do.blame_join, do.reunite),
        why="The switch does not join them; the transferor has the transferee back.",
    ),
    *end.completing_without_transferor(),
)

ABANDONED = (
    *end.calling_rows(S.ABANDONED),
    Row(
        state=S.ABANDONED,
        on=Input.TARGET_ANSWERED,
        to=S.ABANDONED,
        then=(do.wait_for_join,),
        why="The target answers: it will be joined as soon as its leg is ours.",
    ),
    *(
        Row(
            state=S.ABANDONED,
            on=on,
            given=given.consultation_due,
            to=S.ABANDONED,
            then=(do.consult,),
            why="Both stand somewhere now: join them, as an ordinary call.",
        )
        for on in (Input.TARGET_PARKED, Input.TRANSFEROR_PARKED)
    ),
    *(
        Row(
            state=S.ABANDONED,
            on=on,
            to=S.ABANDONED,
            then=(do.expect_join_soon,),
            why="It stands alone, and the other doesn't yet; or the join is under way.",
        )
        for on in (Input.TARGET_PARKED, Input.TRANSFEROR_PARKED)
    ),
    Row(
        state=S.ABANDONED,
        on=Input.CONSULTED,
        given=given.consulted_under_failsafe,
        to=S.ABANDONED,
        then=(do.release,),
        why="The join was ordered when the transferee was still there: make the call an ordinary "
        "one.",
    ),
    Row(
        state=S.ABANDONED,
        on=Input.CONSULTED,
        to=S.IDLE,
        why="Transferor and target talk: an ordinary call.",
    ),
    Row(
        state=S.ABANDONED,
        on=Input.RELEASED,
        given=given.consulted,
        to=S.IDLE,
        why="Transferor and target talk, and are an ordinary call.",
    ),
    Row(
        state=S.ABANDONED,
        on=Input.TARGET_HUNG_UP,
        to=S.ENDING,
        then=(do.say_goodbye,),
        why="The target does not come, or has left again: nobody remains for the transferor.",
    ),
    Row(
        state=S.ABANDONED,
        on=Input.TRANSFEROR_HUNG_UP,
        to=S.ENDING,
        then=(do.end_everyone,),
        why="The transferor left too: nobody remains for the target.",
    ),
    Row(
        state=S.ABANDONED,
        on=Input.DIAL_FAILED,
        to=S.ENDING,
        then=(do.say_goodbye,),
        why="The switch does not call the target, and nobody else is there.",
    ),
    Row(
        state=S.ABANDONED,
        on=Input.JOIN_FAILED,
        given=given.joins_left,
        to=S.ABANDONED,
        then=(do.consult,),
        why="The switch would not join them: once more.",
    ),
    Row(
        state=S.ABANDONED,
        on=Input.DEADLINE_PASSED,
        given=given.consulted,
        to=S.ABANDONED,
        then=(do.release,),
        why="They talk, and no proof that they are an ordinary call: again.",
    ),
    Row(
        state=S.ABANDONED,
        on=Input.DEADLINE_PASSED,
        given=given.target_answered_and_joins_left,
        to=S.ABANDONED,
        then=(do.consult,),
        why="No proof that they were joined: join them again.",
    ),
    Row(
        state=S.ABANDONED,
        on=Input.DEADLINE_PASSED,
        to=S.ENDING,
        then=(do.say_goodbye,),
        why="No answer, or no join: a clear end.",
    ),
    *end.sound_rows([S.ABANDONED]),
)

ELSEWHERE = (
    Row(
        state=S.DIALING,
        on=Input.REUNITED,
        to=S.TAKEBACK,
        then=(do.decide_taken_back, do.dismiss_target),
        why="Somebody else has joined transferor and transferee: the target is sent away.",
    ),
    *(
        Row(
            state=state,
            on=Input.REUNITED,
            to=S.FAILED_RECONNECT,
            then=(do.decide_reconnected, do.dismiss_target),
            why="The target has left, and the switch itself has joined the others: that news came "
            "first.",
        )
        for state in (S.CONSULTING, S.COMPLETING)
    ),
)

FOUND = (
    *end.FOUND_HANDED_OVER,
    *end.found_reunited(with_target=True),
    Row(
        state=S.IDLE,
        on=Input.FOUND,
        given=given.consulted_without_transferee,
        to=S.ABANDONED,
        then=(do.decide_abandoned, do.release),
        why="Transferor and target talk, and the transferee is gone: an ordinary call.",
    ),
    Row(
        state=S.IDLE,
        on=Input.FOUND,
        given=given.consulted,
        to=S.CONSULTING,
        then=(do.arm_transferor, do.wait_for_people),
        why="Transferor and target talk: the consultation goes on.",
    ),
    Row(
        state=S.IDLE,
        on=Input.FOUND,
        given=given.both_wait_and_target_rings,
        to=S.DIALING,
        why="The target is still being called.",
    ),
    Row(
        state=S.IDLE,
        on=Input.FOUND,
        given=given.both_wait_and_target_answered,
        to=S.CONSULTING,
        then=(do.consult_if_due,),
        why="The target has answered, and nobody was there to join it with the transferor.",
    ),
    Row(
        state=S.IDLE,
        on=Input.FOUND,
        given=given.transferee_waits_and_target_rings,
        to=S.PARTIAL,
        then=(do.arm_target,),
        why="The transferor has left, and the target is still being called.",
    ),
    Row(
        state=S.IDLE,
        on=Input.FOUND,
        given=given.transferee_waits_and_target_answered,
        to=S.COMPLETING,
        then=(do.hand_over_if_due,),
        why="The transferor has left, and the target has answered: it gets the transferee.",
    ),
    Row(
        state=S.IDLE,
        on=Input.FOUND,
        given=given.transferor_waits_and_target_there,
        to=S.ABANDONED,
        then=(do.decide_abandoned, do.release_or_wait),
        why="The transferee has left: transferor and target have each other.",
    ),
    *end.FOUND_ENDS,
)

IGNORED = (
    *end.idle_ignored(),
    *HOLDING_IGNORED,
    *ignore(
        [S.HOLDING],
        end.SOUNDS,
        "Whether everybody hears something is looked after once both are parked.",
    ),
    *ignore([S.DIALING, S.ABANDONED], [Input.TARGET_RANG], "The target's phone rings."),
    *ignore(
        [S.DIALING],
        [*end.PARKED, Input.SEPARATED, Input.RELEASED],
        "Everybody stands where they should; the target's answer is what counts.",
    ),
    *ignore(
        [S.DIALING],
        [Input.CONSULTED, Input.HANDED_OVER],
        "A target that has not answered is joined with nobody.",
    ),
    *ignore(
        [S.DIALING],
        [Input.SPLIT_FAILED, Input.JOIN_FAILED, Input.OTHER_FAILED],
        "A command of the phase before, or one whose lack a timer mends.",
    ),
    *ignore(
        [S.CONSULTING],
        [
            *end.TARGET_CALLED,
            Input.TRANSFEREE_PARKED,
            Input.RELEASED,
            Input.SPLIT_FAILED,
            Input.DIAL_FAILED,
            Input.OTHER_FAILED,
        ],
        "Old news from the phase before, or a command whose lack a timer mends.",
    ),
    *ignore([S.CONSULTING], [Input.JOIN_FAILED], "The attempts are used up: the deadline decides."),
    *end.hearing_ignored([S.DIALING, S.CONSULTING, S.ABANDONED]),
    *end.COMPLETING_IGNORED,
    *end.PARTIAL_IGNORED,
    *end.reunion_ignored(S.TAKEBACK, with_target=True),
    *end.reunion_ignored(S.FAILED_RECONNECT, with_target=True),
    *ignore(
        [S.ABANDONED],
        [
            Input.TRANSFEREE_PARKED,
            Input.SEPARATED,
            Input.RELEASED,
        ],
        "The target is being called, or joined.",
    ),
    *ignore(
        [S.ABANDONED],
        [Input.TRANSFEREE_HUNG_UP, Input.REUNITED, Input.HANDED_OVER],
        "The transferee is gone: nothing new can be heard of it.",
    ),
    *ignore(
        [S.ABANDONED],
        [Input.SPLIT_FAILED, Input.JOIN_FAILED, Input.OTHER_FAILED],
        "A command of the phase before, or one whose lack the deadline mends.",
    ),
    *end.ENDING_IGNORED,
)

RUNNING = tuple(phase.state for phase in PHASES if phase.state is not S.IDLE)

REFUSED = (
    *NOT_LIKE_THAT,
    *refuse(RUNNING, Input.REQUESTED, "a transfer of this call is already running"),
    *refuse([S.IDLE], Input.TAKEBACK_ASKED, "there is no transfer from which to take anybody back"),
    *refuse([S.IDLE], Input.COMPLETE_ASKED, "there is no transfer to complete"),
    *refuse([S.HOLDING], Input.TAKEBACK_ASKED, "the other party has left"),
    *refuse([S.HOLDING], Input.COMPLETE_ASKED, "the target is not being called yet"),
    *refuse([S.COMPLETING], Input.TAKEBACK_ASKED, "the transfer is already being completed"),
    *refuse([S.PARTIAL], Input.TAKEBACK_ASKED, "the transferor has left the transfer"),
    *refuse(
        [S.TAKEBACK, S.FAILED_RECONNECT],
        Input.COMPLETE_ASKED,
        "the transferee is being given back to the transferor",
    ),
    *refuse([S.ABANDONED], Input.TAKEBACK_ASKED, "the transferee has left"),
    *refuse([S.ABANDONED], Input.COMPLETE_ASKED, "the transferee has left"),
    *refuse([S.ENDING], Input.TAKEBACK_ASKED, "the transfer is at its end"),
    *refuse([S.ENDING], Input.COMPLETE_ASKED, "the transfer is at its end"),
)

ATTENDED = Spec(
    name="attended",
    title="Attended transfer",
    initial=S.IDLE,
    phases=PHASES,
    rows=(
        *REQUESTED,
        *FOUND,
        *HOLDING,
        *DIALING,
        *CONSULTING,
        *COMPLETING,
        *end.PARTIAL_ROWS,
        *end.reunion_rows(S.TAKEBACK, do.decide_taken_back, with_target=True),
        *end.reunion_rows(S.FAILED_RECONNECT, do.decide_reconnected, with_target=True),
        *ABANDONED,
        *ELSEWHERE,
        *end.ending_rows(with_target=True),
    ),
    ignored=(*IGNORED, *end.found_ignored(RUNNING)),
    refused=REFUSED,
)
