"""The part of the table that all kinds of transfer have in common: how one comes to its end.

Four ways lead out of a transfer, whatever it began as: target and transferee are joined
(`completing`, by way of `partial` where the transferor has left early), transferor and transferee
are joined again (`takeback` if they asked for it, `failed_reconnect` if something went wrong),
or nobody is left to talk with (`ending`).
"""

from __future__ import annotations

from collections.abc import Iterable

from hookflash.fsm.spec import Action, Ignored, Input, Phase, Row, ignore
from hookflash.fsm.transfer import State, Transfer
from hookflash.specs import actions as do
from hookflash.specs import guards as given

HUNG_UP = (Input.TRANSFEROR_HUNG_UP, Input.TRANSFEREE_HUNG_UP, Input.TARGET_HUNG_UP)
PARKED = (Input.TRANSFEROR_PARKED, Input.TRANSFEREE_PARKED, Input.TARGET_PARKED)
JOINED = (Input.REUNITED, Input.CONSULTED, Input.HANDED_OVER)
SOUNDS = (Input.SOUND_STARTED, Input.SOUND_STOPPED, Input.SOUND_DUE)
TARGET_CALLED = (Input.TARGET_CREATED, Input.TARGET_RANG, Input.TARGET_ANSWERED)
FAILED = (Input.SPLIT_FAILED, Input.DIAL_FAILED, Input.JOIN_FAILED, Input.OTHER_FAILED)


# ------------------------------------------------------------------ deadlines


def split_timeout_s(transfer: Transfer) -> float:
    """Parking two legs takes a switch 20 ms. Later attempts are given longer."""
    return transfer.policy.split_timeout_s


def ring_timeout_s(transfer: Transfer) -> float:
    """The target may ring for so long, and the switch may take a little longer to say so."""
    return transfer.ring_timeout_s + transfer.policy.dial_grace_s


def join_timeout_s(transfer: Transfer) -> float:
    """Joining two legs takes a switch 40 ms. Later attempts are given longer."""
    return transfer.policy.join_timeout_s


def hold_limit_s(transfer: Transfer) -> float:
    """Nobody is held for ever."""
    return transfer.policy.hold_limit_s


def hangup_timeout_s(transfer: Transfer) -> float:
    """Hanging up takes a switch 2 ms."""
    return transfer.policy.hangup_timeout_s


# --------------------------------------------------------------------- phases

IDLE = Phase(
    state=State.IDLE, transferor="in the call", transferee="in the call", target="not yet there"
)
HOLDING = Phase(
    state=State.HOLDING,
    transferor="being parked",
    transferee="being parked, then music",
    target="not yet called",
    deadline=split_timeout_s,
)
COMPLETING = Phase(
    state=State.COMPLETING,
    transferor="gone, or about to go",
    transferee="being joined",
    target="being joined",
    deadline=join_timeout_s,
)
PARTIAL = Phase(
    state=State.PARTIAL,
    transferor="gone, or about to go",
    transferee="ringback or music",
    target="being called",
    deadline=ring_timeout_s,
)
TAKEBACK = Phase(
    state=State.TAKEBACK,
    transferor="being joined",
    transferee="being joined",
    target="being sent away",
    deadline=join_timeout_s,
)
FAILED_RECONNECT = Phase(
    state=State.FAILED_RECONNECT,
    transferor="being joined",
    transferee="being joined",
    target="gone, or being sent away",
    deadline=join_timeout_s,
)
ENDING = Phase(
    state=State.ENDING,
    transferor="a tone, then hung up",
    transferee="a tone, then hung up",
    target="being hung up",
    deadline=hangup_timeout_s,
)

# ----------------------------------------------------------------------- rows


def sound_rows(states: Iterable[State]) -> tuple[Row, ...]:
    """Promise 2: nobody waits in silence."""
    return tuple(
        row
        for state in states
        for row in (
            Row(
                state=state,
                on=Input.SOUND_STOPPED,
                to=state,
                then=(do.ask_about_silence,),
                why="A sound ended. If its party still waits, it hears it again.",
            ),
            Row(
                state=state,
                on=Input.SOUND_DUE,
                to=state,
                then=(do.repeat_missing_sounds,),
                why="A party that waits in silence hears its sound again, or the fallback.",
            ),
        )
    )


def hearing_ignored(states: Iterable[State]) -> tuple[Ignored, ...]:
    """The good news about sounds."""
    return ignore(states, [Input.SOUND_STARTED], "The party hears what it was given.")


def sounds_ignored(states: Iterable[State]) -> tuple[Ignored, ...]:
    """All news about sounds, in states in which nobody waits for long."""
    return ignore(states, SOUNDS, "Nobody is to wait here: whoever heard something is on the move.")


UNPARTED_ROWS = (
    Row(
        state=State.HOLDING,
        on=Input.SPLIT_FAILED,
        given=given.both_present,
        to=State.FAILED_RECONNECT,
        then=(do.blame_split, do.reunite),
        why="The switch refused to part them. A join proves that they have each other.",
    ),
    Row(
        state=State.HOLDING,
        on=Input.DEADLINE_PASSED,
        given=given.both_present_and_splits_left,
        to=State.HOLDING,
        then=(do.split_again,),
        why="No proof that they were parted: the order is lost, or the switch slow. Once more.",
    ),
    Row(
        state=State.HOLDING,
        on=Input.DEADLINE_PASSED,
        given=given.both_present,
        to=State.FAILED_RECONNECT,
        then=(do.blame_split, do.reunite),
        why="No proof that they were parted: bring them together, wherever they are.",
    ),
    Row(
        state=State.HOLDING,
        on=Input.DEADLINE_PASSED,
        given=given.transferee_gone,
        to=State.ENDING,
        then=(do.blame_transferee_left, do.decide_abandoned, do.end_everyone),
        why="The transferee left, and of the transferor nothing is known: a clear end.",
    ),
    Row(
        state=State.HOLDING,
        on=Input.DEADLINE_PASSED,
        to=State.ENDING,
        then=(do.blame_split, do.decide_failed, do.end_everyone),
        why="The transferor left, and of the transferee nothing is known: a clear end.",
    ),
)
"""The two are not parted, or not seen to be: the same whatever was asked for."""

COMPLETING_ROWS = (
    Row(
        state=State.COMPLETING,
        on=Input.HANDED_OVER,
        given=given.transferor_gone,
        to=State.IDLE,
        then=(do.decide_transferred,),
        why="Transferee and target talk, and the transferor is gone: the transfer is done.",
    ),
    Row(
        state=State.COMPLETING,
        on=Input.HANDED_OVER,
        to=State.COMPLETING,
        then=(do.decide_transferred, do.let_transferor_go, do.wait_for_join),
        why="They talk. The transferor, who asked to hand over, is let go.",
    ),
    Row(
        state=State.COMPLETING,
        on=Input.TRANSFEROR_HUNG_UP,
        given=given.handed_over,
        to=State.IDLE,
        then=(do.decide_transferred,),
        why="Transferee and target talk, and now the transferor is gone: the transfer is done.",
    ),
    Row(
        state=State.COMPLETING,
        on=Input.TRANSFEROR_HUNG_UP,
        to=State.COMPLETING,
        then=(do.hand_over_if_due,),
        why="The transferor has left. The target comes free when its leg is parked.",
    ),
    *(
        Row(
            state=State.COMPLETING,
            on=on,
            given=given.handover_due,
            to=State.COMPLETING,
            then=(do.hand_over,),
            why="Both stand somewhere now: join them.",
        )
        for on in (Input.TARGET_PARKED, Input.TRANSFEREE_PARKED, Input.CONSULTED)
    ),
    *(
        Row(
            state=State.COMPLETING,
            on=on,
            to=State.COMPLETING,
            then=(do.expect_join_soon,),
            why="It stands alone, and the other doesn't yet; or the join is under way.",
        )
        for on in (Input.TARGET_PARKED, Input.TRANSFEREE_PARKED)
    ),
    Row(
        state=State.COMPLETING,
        on=Input.JOIN_FAILED,
        given=given.joins_left,
        to=State.COMPLETING,
        then=(do.hand_over,),
        why="The switch would not join them: once more.",
    ),
    Row(
        state=State.COMPLETING,
        on=Input.DEADLINE_PASSED,
        given=given.handed_over,
        to=State.COMPLETING,
        then=(do.let_transferor_go, do.wait_for_join),
        why="They talk, and the transferor is still there: its hang-up was lost. Again.",
    ),
    Row(
        state=State.COMPLETING,
        on=Input.DEADLINE_PASSED,
        given=given.joins_left,
        to=State.COMPLETING,
        then=(do.hand_over,),
        why="No proof that they were joined: join them again.",
    ),
)


def completing_without_transferor() -> tuple[Row, ...]:
    """Somebody leaves, or no join ever comes, and the transferor can't have anybody back."""
    return (
        Row(
            state=State.COMPLETING,
            on=Input.TARGET_HUNG_UP,
            to=State.ENDING,
            then=(do.decide_failed, do.say_goodbye),
            why="The target left while it was being joined, and the transferor is gone.",
        ),
        Row(
            state=State.COMPLETING,
            on=Input.TRANSFEREE_HUNG_UP,
            to=State.ENDING,
            then=(do.decide_abandoned, do.end_everyone),
            why="The transferee left in the last moment: nobody remains for the target.",
        ),
        Row(
            state=State.COMPLETING,
            on=Input.DEADLINE_PASSED,
            to=State.ENDING,
            then=(do.blame_join, do.decide_failed, do.end_everyone),
            why="The switch does not join them. A clear end is better than silence.",
        ),
    )


COMPLETING_IGNORED = (
    *ignore(
        [State.COMPLETING],
        [Input.TRANSFEROR_PARKED, Input.CONSULTED],
        "Not both of those who are to be joined stand somewhere yet.",
    ),
    *ignore(
        [State.COMPLETING],
        [Input.JOIN_FAILED],
        "The attempts are used up: the deadline decides.",
    ),
    *ignore(
        [State.COMPLETING],
        [*TARGET_CALLED, Input.SPLIT_FAILED, Input.DIAL_FAILED, Input.OTHER_FAILED],
        "Old news from the phase before, or a command whose lack the deadline mends.",
    ),
    *ignore(
        [State.COMPLETING],
        [Input.SEPARATED, Input.RELEASED],
        "Where each of them went is told by facts of their own.",
    ),
    *ignore([State.COMPLETING], [Input.COMPLETE_ASKED], "It is on its way."),
    *sounds_ignored([State.COMPLETING]),
)


def calling_rows(state: State) -> tuple[Row, ...]:
    """The order to call the target may be lost."""
    return (
        Row(
            state=state,
            on=Input.TARGET_CREATED,
            to=state,
            then=(do.wait_for_answer,),
            why="The switch calls the target: it may ring for as long as it is allowed to.",
        ),
        Row(
            state=state,
            on=Input.DEADLINE_PASSED,
            given=given.target_uncalled_and_dials_left,
            to=state,
            then=(do.dial_again,),
            why="The switch knows nothing of the target: the order was lost. Once more.",
        ),
    )


PARTIAL_ROWS = (
    *calling_rows(State.PARTIAL),
    Row(
        state=State.PARTIAL,
        on=Input.TARGET_ANSWERED,
        to=State.COMPLETING,
        then=(do.expect_rescue, do.hand_over_if_due),
        why="The target answers, and gets the transferee.",
    ),
    Row(
        state=State.PARTIAL,
        on=Input.HANDED_OVER,
        given=given.transferor_gone,
        to=State.IDLE,
        then=(do.decide_transferred,),
        why="The switch itself has joined transferee and target: the transfer is done.",
    ),
    Row(
        state=State.PARTIAL,
        on=Input.HANDED_OVER,
        to=State.COMPLETING,
        then=(do.decide_transferred, do.let_transferor_go, do.wait_for_join),
        why="The switch itself has joined transferee and target: the transferor is let go.",
    ),
    Row(
        state=State.PARTIAL,
        on=Input.TARGET_HUNG_UP,
        to=State.ENDING,
        then=(do.decide_failed, do.say_goodbye),
        why="The target does not come, and the transferor is gone: a tone, then a clear end.",
    ),
    Row(
        state=State.PARTIAL,
        on=Input.TRANSFEREE_HUNG_UP,
        to=State.ENDING,
        then=(do.decide_abandoned, do.end_everyone),
        why="Nobody is left for the target: it is cancelled.",
    ),
    Row(
        state=State.PARTIAL,
        on=Input.DIAL_FAILED,
        to=State.ENDING,
        then=(do.blame_dial, do.decide_failed, do.say_goodbye),
        why="The switch does not call the target, and the transferor is gone.",
    ),
    Row(
        state=State.PARTIAL,
        on=Input.DEADLINE_PASSED,
        to=State.ENDING,
        then=(do.blame_no_answer, do.decide_failed, do.say_goodbye),
        why="No answer, and no word of one: the target is cancelled, the transferee told.",
    ),
    *sound_rows([State.PARTIAL]),
    Row(
        state=State.PARTIAL,
        on=Input.SOUND_STARTED,
        given=given.another_sound_wanted,
        to=State.PARTIAL,
        then=(do.play_wanted,),
        why="The music has begun, and can be replaced by the ringback that is wanted since.",
    ),
)

PARTIAL_IGNORED = (
    *ignore(
        [State.PARTIAL],
        [Input.TRANSFEROR_HUNG_UP],
        "It was let go, and now it is gone.",
    ),
    *ignore(
        [State.PARTIAL],
        [*PARKED, Input.SEPARATED, Input.RELEASED],
        "Everybody stands where they should; the target's answer is what counts.",
    ),
    *ignore([State.PARTIAL], [Input.TARGET_RANG], "The target's phone rings."),
    *ignore(
        [State.PARTIAL],
        [Input.REUNITED, Input.CONSULTED],
        "The transferor has been let go: nobody is joined with it any more.",
    ),
    *ignore(
        [State.PARTIAL],
        [Input.SPLIT_FAILED, Input.JOIN_FAILED, Input.OTHER_FAILED],
        "A command of the phase before, or one whose lack the deadline or the sounds' timer mends.",
    ),
    *ignore([State.PARTIAL], [Input.COMPLETE_ASKED], "It is on its way."),
    *hearing_ignored([State.PARTIAL]),
)


def reunion_rows(
    state: State, decide: Action, *, with_target: bool, early: bool = True
) -> tuple[Row, ...]:
    """Transferor and transferee are to be joined again, and the target's leg is to end.

    Args:
        state: `takeback` or `failed_reconnect`.
        decide: what it means when they are.
        with_target: whether a target may be there; a hold has none.
        early: whether it may begin before both stand somewhere, so that no join is ordered yet.
    """
    pair = (
        *(
            Row(
                state=state,
                on=on,
                given=given.reunion_due,
                to=state,
                then=(do.reunite,),
                why="Both stand somewhere now: join them.",
            )
            for on in (Input.TRANSFEROR_PARKED, Input.TRANSFEREE_PARKED)
            if early
        ),
        *(
            Row(
                state=state,
                on=on,
                to=state,
                then=(do.expect_join_soon,),
                why="It stands alone, and the other doesn't yet; or the join is under way.",
            )
            for on in (Input.TRANSFEROR_PARKED, Input.TRANSFEREE_PARKED)
        ),
        Row(
            state=state,
            on=Input.REUNITED,
            given=given.target_gone if with_target else None,
            to=State.IDLE,
            then=(decide,),
            why="The two talk again, and nobody else is left.",
        ),
        Row(
            state=state,
            on=Input.JOIN_FAILED,
            given=given.joins_left,
            to=state,
            then=(do.reunite,),
            why="The switch would not join them: once more.",
        ),
    )
    ends = (
        Row(
            state=state,
            on=Input.TRANSFEROR_HUNG_UP,
            to=State.ENDING,
            then=(do.blame_transferor_left, do.decide_failed, do.say_goodbye),
            why="The transferor left in this very moment: nobody is there to give anybody back to.",
        ),
        Row(
            state=state,
            on=Input.TRANSFEREE_HUNG_UP,
            to=State.ENDING,
            then=(do.blame_transferee_left, do.decide_abandoned, do.say_goodbye),
            why="The transferee did not wait to be joined again.",
        ),
        Row(
            state=state,
            on=Input.DEADLINE_PASSED,
            given=given.joins_left,
            to=state,
            then=(do.reunite,),
            why="No proof that they were joined: join them again.",
        ),
        Row(
            state=state,
            on=Input.DEADLINE_PASSED,
            to=State.ENDING,
            then=(do.blame_join, do.decide_failed, do.end_everyone),
            why="The switch does not join them. A clear end is better than silence.",
        ),
    )
    return (*pair, *(_reunion_with_target(state, decide) if with_target else ()), *ends)


def _reunion_with_target(state: State, decide: Action) -> tuple[Row, ...]:
    return (
        Row(
            state=state,
            on=Input.REUNITED,
            to=state,
            then=(decide, do.dismiss_target, do.wait_for_join),
            why="The two talk again. Now, and not before, an answered target can be sent away.",
        ),
        Row(
            state=state,
            on=Input.CONSULTED,
            given=given.reunion_due,
            to=state,
            then=(do.reunite,),
            why="An earlier join came through first; out of it the transferor can be taken.",
        ),
        Row(
            state=state,
            on=Input.HANDED_OVER,
            to=State.COMPLETING,
            then=(do.decide_transferred, do.wait_for_join),
            why="The transferor was gone, and the switch itself has joined the others: so be it.",
        ),
        Row(
            state=state,
            on=Input.TARGET_HUNG_UP,
            given=given.reunited,
            to=State.IDLE,
            then=(decide,),
            why="The two talk again, and the target is gone.",
        ),
        Row(
            state=state,
            on=Input.TRANSFEROR_HUNG_UP,
            given=given.decided,
            to=State.ENDING,
            then=(do.end_everyone,),
            why="They had each other back, and the transferor has hung up: an ordinary end.",
        ),
        Row(
            state=state,
            on=Input.TRANSFEROR_HUNG_UP,
            given=given.target_can_take_over,
            to=State.COMPLETING,
            then=(do.wait_for_rescue, do.hand_over_if_due),
            why="It has hung up after all, and the target is still there: it gets the transferee.",
        ),
        Row(
            state=state,
            on=Input.TRANSFEREE_HUNG_UP,
            given=given.decided,
            to=State.ENDING,
            then=(do.end_everyone,),
            why="They had each other back, and the transferee has hung up: an ordinary end.",
        ),
        Row(
            state=state,
            on=Input.TRANSFEREE_HUNG_UP,
            given=given.target_can_take_over,
            to=State.ABANDONED,
            then=(do.decide_abandoned, do.release_or_wait),
            why="The transferee did not wait, and transferor and target still have each other.",
        ),
        Row(
            state=state,
            on=Input.DEADLINE_PASSED,
            given=given.reunited,
            to=state,
            then=(do.dismiss_target, do.wait_for_join),
            why="They talk, and the target is still there: its hang-up was lost. Again.",
        ),
    )


def reunion_ignored(state: State, *, with_target: bool) -> tuple[Ignored, ...]:
    """What is normal while two are being joined again."""
    absent = () if with_target else (Input.CONSULTED, Input.HANDED_OVER, Input.TARGET_HUNG_UP)
    return (
        *ignore(
            [state],
            [
                Input.TARGET_PARKED,
                *((Input.CONSULTED, Input.TARGET_HUNG_UP) if with_target else ()),
            ],
            "Not both of those who are to be joined stand somewhere yet.",
        ),
        *ignore([state], absent, "There is no target here."),
        *ignore([state], TARGET_CALLED, "The target is being sent away, even if it answers now."),
        *ignore([state], [Input.JOIN_FAILED], "The attempts are used up: the deadline decides."),
        *ignore(
            [state],
            [Input.SPLIT_FAILED, Input.DIAL_FAILED, Input.OTHER_FAILED],
            "A command of the phase before, or one whose lack the deadline mends.",
        ),
        *ignore(
            [state],
            [Input.SEPARATED, Input.RELEASED],
            "Where each of them went is told by facts of their own.",
        ),
        *ignore([state], [Input.TAKEBACK_ASKED], "It is on its way."),
        *sounds_ignored([state]),
    )


def ending_rows(*, with_target: bool) -> tuple[Row, ...]:
    """Whoever is left is told, and hung up.

    Args:
        with_target: whether a target may be there; a hold has none.
    """
    return (
        *(
            Row(
                state=State.ENDING,
                on=on,
                given=given.everyone_gone,
                to=State.IDLE,
                why="The last of them is gone.",
            )
            for on in (HUNG_UP if with_target else HUNG_UP[:2])
        ),
        *(
            Row(
                state=State.ENDING,
                on=on,
                given=given.goodbye_due,
                to=State.ENDING,
                then=(do.play_goodbye,),
                why="Only now does it stand alone: it hears why.",
            )
            for on in (Input.TRANSFEROR_PARKED, Input.TRANSFEREE_PARKED)
        ),
        Row(
            state=State.ENDING,
            on=Input.SOUND_STARTED,
            given=given.another_sound_wanted,
            to=State.ENDING,
            then=(do.play_goodbye_now,),
            why="What was ordered first has begun, and can be replaced: it hears why it ends.",
        ),
        Row(
            state=State.ENDING,
            on=Input.DEADLINE_PASSED,
            given=given.somebody_is_stranded,
            to=State.ENDING,
            then=(do.fetch_stranded,),
            why="Somebody was left adrift by a join: park them, so that they hear why it ends.",
        ),
        Row(
            state=State.ENDING,
            on=Input.DEADLINE_PASSED,
            to=State.ENDING,
            then=(do.end_everyone,),
            why="Hang up whoever is left, and again, until they are gone.",
        ),
    )


ENDING_IGNORED = (
    *ignore([State.ENDING], HUNG_UP, "Others are still to be ended."),
    *ignore(
        [State.ENDING],
        [*PARKED, *JOINED, *TARGET_CALLED, *FAILED, Input.SEPARATED, Input.RELEASED, *SOUNDS],
        "Their end has been ordered, and is ordered again until it is seen.",
    ),
)


FOUND_HANDED_OVER = (
    Row(
        state=State.IDLE,
        on=Input.FOUND,
        given=given.handed_over_and_transferor_gone,
        to=State.IDLE,
        then=(do.decide_transferred, do.finish),
        why="Transferee and target talk: the switch has finished the transfer by itself.",
    ),
    Row(
        state=State.IDLE,
        on=Input.FOUND,
        given=given.handed_over,
        to=State.COMPLETING,
        then=(do.decide_transferred, do.let_transferor_go),
        why="Transferee and target talk; the transferor is let go.",
    ),
)


def found_reunited(*, with_target: bool) -> tuple[Row, ...]:
    """A restarted controller finds the two together again.

    Args:
        with_target: whether a target may be there; a hold has none.
    """
    done = Row(
        state=State.IDLE,
        on=Input.FOUND,
        given=given.reunited_and_target_gone if with_target else given.reunited,
        to=State.IDLE,
        then=(do.blame_restart, do.decide_reconnected, do.finish),
        why="Transferor and transferee talk: the switch has brought them together by itself.",
    )
    target_left = Row(
        state=State.IDLE,
        on=Input.FOUND,
        given=given.reunited,
        to=State.FAILED_RECONNECT,
        then=(do.blame_restart, do.decide_reconnected, do.dismiss_target),
        why="Transferor and transferee talk; the target is sent away.",
    )
    return (done, target_left) if with_target else (done,)


FOUND_ENDS = (
    Row(
        state=State.IDLE,
        on=Input.FOUND,
        given=given.both_present,
        to=State.FAILED_RECONNECT,
        then=(do.blame_restart, do.reunite_if_due),
        why="The two are apart, and nobody else is there: bring them together.",
    ),
    Row(
        state=State.IDLE,
        on=Input.FOUND,
        to=State.ENDING,
        then=(do.blame_restart, do.decide_failed, do.say_goodbye),
        why="Somebody is left alone: a tone, then a clear end.",
    ),
)


def found_ignored(states: Iterable[State]) -> tuple[Ignored, ...]:
    """Whoever knows a transfer need not find it."""
    return ignore(states, [Input.FOUND], "It is known already.")


def idle_ignored() -> tuple[Ignored, ...]:
    """An ordinary call is nobody's business but its parties'."""
    return ignore(
        [State.IDLE],
        [
            *PARKED,
            *JOINED,
            *TARGET_CALLED,
            *HUNG_UP,
            *FAILED,
            *SOUNDS,
            Input.SEPARATED,
            Input.RELEASED,
            Input.DEADLINE_PASSED,
        ],
        "The call is an ordinary one: no transfer is asked for yet, or it is over.",
    )
