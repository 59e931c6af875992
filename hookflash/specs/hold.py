"""Hold and resume: the same machinery, without a target.

One party puts the other on hold (music), hears a reminder, and resumes when it likes: taking
the transferee back from a transfer that never called anybody.
"""

from __future__ import annotations

from hookflash.errors import Refusal
from hookflash.fsm.spec import Input, Phase, Refused, Row, Spec, ignore, refuse
from hookflash.fsm.transfer import State
from hookflash.specs import actions as do
from hookflash.specs import attended
from hookflash.specs import endgame as end
from hookflash.specs import guards as given

S = State

PHASES = (
    end.IDLE,
    end.HOLDING,
    Phase(
        state=S.HELD,
        transferor="hears a reminder",
        transferee="music",
        target="none",
        deadline=end.hold_limit_s,
    ),
    end.TAKEBACK,
    end.FAILED_RECONNECT,
    end.ENDING,
)

HOLDING = (
    *(
        row
        for on, sound in (
            (Input.TRANSFEROR_PARKED, do.remind_transferor),
            (Input.TRANSFEREE_PARKED, do.hold_transferee),
        )
        for row in (
            Row(
                state=S.HOLDING,
                on=on,
                given=given.both_parked,
                to=S.HELD,
                then=(sound,),
                why="Both stand alone: the one is held, the other reminded of it.",
            ),
            Row(
                state=S.HOLDING,
                on=on,
                given=given.both_present,
                to=S.HOLDING,
                then=(sound,),
                why="It is parked first: let it hear something at once.",
            ),
            Row(
                state=S.HOLDING,
                on=on,
                to=S.ENDING,
                then=(do.decide_abandoned, do.end_everyone),
                why="The other one has left: there is nobody to hold, or to be held for.",
            ),
        )
    ),
    *(
        row
        for on, other_parked in (
            (Input.TRANSFEROR_HUNG_UP, given.transferee_parked),
            (Input.TRANSFEREE_HUNG_UP, given.transferor_parked),
        )
        for row in (
            Row(
                state=S.HOLDING,
                on=on,
                given=given.everyone_gone,
                to=S.IDLE,
                then=(do.decide_abandoned,),
                why="Both left before anything came of it.",
            ),
            Row(
                state=S.HOLDING,
                on=on,
                given=other_parked,
                to=S.ENDING,
                then=(do.decide_abandoned, do.end_everyone),
                why="The one has left: nobody remains for the other.",
            ),
        )
    ),
    Row(
        state=S.HOLDING,
        on=Input.TAKEBACK_ASKED,
        given=given.both_present,
        to=S.TAKEBACK,
        then=(do.reunite_if_due,),
        why="Resumed while the two are being parted.",
    ),
    Row(
        state=S.HOLDING,
        on=Input.REUNITED,
        to=S.IDLE,
        then=(do.decide_taken_back,),
        why="Somebody else has joined the two again.",
    ),
    *end.UNPARTED_ROWS,
)

HELD = (
    Row(
        state=S.HELD,
        on=Input.TAKEBACK_ASKED,
        to=S.TAKEBACK,
        then=(do.reunite_if_due,),
        why="Resumed: the two talk again.",
    ),
    Row(
        state=S.HELD,
        on=Input.REUNITED,
        to=S.IDLE,
        then=(do.decide_taken_back,),
        why="Somebody else has joined the two again.",
    ),
    Row(
        state=S.HELD,
        on=Input.TRANSFEROR_HUNG_UP,
        to=S.ENDING,
        then=(do.blame_transferor_left, do.decide_failed, do.say_goodbye),
        why="Whoever put the other on hold has left: a tone, then a clear end.",
    ),
    Row(
        state=S.HELD,
        on=Input.TRANSFEREE_HUNG_UP,
        to=S.ENDING,
        then=(do.blame_transferee_left, do.decide_abandoned, do.say_goodbye),
        why="The held party has left: a tone tells the other.",
    ),
    Row(
        state=S.HELD,
        on=Input.DEADLINE_PASSED,
        to=S.FAILED_RECONNECT,
        then=(do.blame_hold_limit, do.reunite_if_due),
        why="Nobody is held for ever: the two talk again.",
    ),
    *end.sound_rows([S.HELD]),
)

FOUND = (
    *end.found_reunited(with_target=False),
    Row(
        state=S.IDLE,
        on=Input.FOUND,
        given=given.both_parked,
        to=S.HELD,
        why="The hold goes on.",
    ),
    *end.FOUND_ENDS,
)

RUNNING = tuple(phase.state for phase in PHASES if phase.state is not S.IDLE)
NOTHING_TO_COMPLETE = "a hold hands nobody over: there is nothing to complete"

HOLD = Spec(
    name="hold",
    title="Hold and resume",
    initial=S.IDLE,
    phases=PHASES,
    rows=(
        *attended.REQUESTED,
        *FOUND,
        *HOLDING,
        *HELD,
        *end.reunion_rows(S.TAKEBACK, do.decide_taken_back, with_target=False),
        *end.reunion_rows(
            S.FAILED_RECONNECT, do.decide_reconnected, with_target=False, early=False
        ),
        *end.ending_rows(with_target=False),
    ),
    ignored=(
        *end.idle_ignored(),
        *end.found_ignored(RUNNING),
        *attended.HOLDING_IGNORED,
        *ignore(
            [S.HOLDING],
            end.SOUNDS,
            "Whether everybody hears something is looked after once both are parked.",
        ),
        *ignore(
            [S.HELD],
            [
                *end.PARKED,
                Input.SEPARATED,
                Input.RELEASED,
                *end.FAILED,
                *end.TARGET_CALLED,
                Input.TARGET_HUNG_UP,
                Input.CONSULTED,
                Input.HANDED_OVER,
            ],
            "Everybody stands where they should, and there is no target.",
        ),
        *end.hearing_ignored([S.HELD]),
        *end.reunion_ignored(S.TAKEBACK, with_target=False),
        *end.reunion_ignored(S.FAILED_RECONNECT, with_target=False),
        *end.ENDING_IGNORED,
    ),
    refused=(
        Refused(
            state=S.IDLE,
            on=Input.REQUESTED,
            given=given.hops_used_up,
            why="this call has been transferred as often as is allowed",
            refusal=Refusal.TARGET_REFUSED,
        ),
        *refuse(RUNNING, Input.REQUESTED, "a hold or transfer of this call is already running"),
        *refuse([S.IDLE], Input.TAKEBACK_ASKED, "nobody is on hold"),
        *refuse([S.HOLDING], Input.TAKEBACK_ASKED, "the other party has left"),
        *refuse([S.ENDING], Input.TAKEBACK_ASKED, "the call is at its end"),
        *refuse(
            [S.IDLE, *RUNNING],
            Input.COMPLETE_ASKED,
            NOTHING_TO_COMPLETE,
        ),
    ),
)
