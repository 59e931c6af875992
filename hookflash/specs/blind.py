"""Blind transfer: the transferor leaves at once (RFC 5589, section 6: basic transfer).

The transferor is let go as soon as the transferee stands safely on its own: until then a switch
that can't part the two costs nobody the call.
"""

from __future__ import annotations

from hookflash.fsm.spec import Input, Row, Spec, ignore, refuse
from hookflash.fsm.transfer import State
from hookflash.specs import actions as do
from hookflash.specs import attended
from hookflash.specs import endgame as end
from hookflash.specs import guards as given

S = State

PHASES = (
    end.IDLE,
    end.HOLDING,
    end.PARTIAL,
    end.COMPLETING,
    end.FAILED_RECONNECT,
    end.ENDING,
)

HOLDING = (
    Row(
        state=S.HOLDING,
        on=Input.TRANSFEREE_PARKED,
        given=given.both_parked,
        to=S.PARTIAL,
        then=(do.let_transferor_go, do.ring_transferee, do.dial_target),
        why="Both stand alone: the transferor is let go, and the target called.",
    ),
    Row(
        state=S.HOLDING,
        on=Input.TRANSFEREE_PARKED,
        given=given.transferor_gone,
        to=S.PARTIAL,
        then=(do.ring_transferee, do.dial_target),
        why="The transferor has left by itself: the target is called.",
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
        on=Input.TRANSFEROR_PARKED,
        given=given.both_parked,
        to=S.PARTIAL,
        then=(do.let_transferor_go, do.ring_transferee, do.dial_target),
        why="Both stand alone: the transferor is let go, and the target called.",
    ),
    Row(
        state=S.HOLDING,
        on=Input.TRANSFEROR_PARKED,
        given=given.transferee_gone,
        to=S.ENDING,
        then=(do.decide_abandoned, do.end_everyone),
        why="The transferee has left, and the transferor was about to.",
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
        given=given.transferee_parked,
        to=S.PARTIAL,
        then=(do.ring_transferee, do.dial_target),
        why="The transferor has left by itself: the target is called.",
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
        given=given.transferor_parked,
        to=S.ENDING,
        then=(do.decide_abandoned, do.end_everyone),
        why="The transferee has left, and the transferor was about to.",
    ),
    Row(
        state=S.HOLDING,
        on=Input.REUNITED,
        to=S.IDLE,
        then=(do.decide_taken_back,),
        why="Somebody else has joined the two again: there is nothing to transfer.",
    ),
    *end.UNPARTED_ROWS,
)

FOUND = (
    *end.FOUND_HANDED_OVER,
    Row(
        state=S.IDLE,
        on=Input.FOUND,
        given=given.reunited,
        to=S.IDLE,
        then=(do.blame_restart, do.decide_reconnected, do.dismiss_target, do.finish),
        why="Transferor and transferee talk: the switch has brought them together by itself.",
    ),
    Row(
        state=S.IDLE,
        on=Input.FOUND,
        given=given.transferee_waits_and_target_rings,
        to=S.PARTIAL,
        then=(do.let_transferor_go, do.arm_target),
        why="The target is still being called.",
    ),
    Row(
        state=S.IDLE,
        on=Input.FOUND,
        given=given.transferee_waits_and_target_answered,
        to=S.COMPLETING,
        then=(do.let_transferor_go, do.hand_over_if_due),
        why="The target has answered: it gets the transferee.",
    ),
    *end.FOUND_ENDS,
)

RUNNING = tuple(phase.state for phase in PHASES if phase.state is not S.IDLE)
TOO_LATE = "a blind transfer can't be taken back: its transferor has left"

BLIND = Spec(
    name="blind",
    title="Blind transfer",
    initial=S.IDLE,
    phases=PHASES,
    rows=(
        *attended.REQUESTED,
        *FOUND,
        *HOLDING,
        *end.PARTIAL_ROWS,
        *end.COMPLETING_ROWS,
        *end.completing_without_transferor(),
        *end.reunion_rows(
            S.FAILED_RECONNECT, do.decide_reconnected, with_target=False, early=False
        ),
        *end.ending_rows(with_target=True),
    ),
    ignored=(
        *end.idle_ignored(),
        *end.found_ignored(RUNNING),
        *attended.HOLDING_IGNORED,
        *ignore(
            [S.HOLDING],
            [Input.TRANSFEROR_PARKED],
            "The transferor is about to go: what counts is the transferee.",
        ),
        *ignore(
            [S.HOLDING],
            end.SOUNDS,
            "Whether everybody hears something is looked after once both are parked.",
        ),
        *ignore([S.HOLDING], [Input.COMPLETE_ASKED], "It is on its way."),
        *end.PARTIAL_IGNORED,
        *end.COMPLETING_IGNORED,
        *ignore(
            [S.COMPLETING],
            [Input.REUNITED],
            "The transferor has been let go: nobody is joined with it any more.",
        ),
        *end.reunion_ignored(S.FAILED_RECONNECT, with_target=False),
        *end.ENDING_IGNORED,
    ),
    refused=(
        *attended.NOT_LIKE_THAT,
        *refuse(RUNNING, Input.REQUESTED, "a transfer of this call is already running"),
        *refuse(
            [S.IDLE], Input.TAKEBACK_ASKED, "there is no transfer from which to take anybody back"
        ),
        *refuse([S.IDLE], Input.COMPLETE_ASKED, "there is no transfer to complete"),
        *refuse([S.HOLDING, S.PARTIAL, S.COMPLETING, S.ENDING], Input.TAKEBACK_ASKED, TOO_LATE),
        *refuse(
            [S.FAILED_RECONNECT, S.ENDING],
            Input.COMPLETE_ASKED,
            "the transfer has failed, and is at its end",
        ),
    ),
)
