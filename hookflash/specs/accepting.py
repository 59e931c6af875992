"""The target accepts: it has answered, hears a prompt alone, and is asked before it is connected.

An answer proves little: it may be a mailbox, or a mobile phone's greeting. Until the target accepts
(by a key of its own, or by a program's request), the transferor hears ringback and the transferee
music. A target that declines, or says nothing, counts as failed. No party is connected unasked, not
even by the switch on its own: a ringing target that must accept carries no failsafe. If the
transferor has left, a target may also just be briefed: it hears a sound to its end, and is
connected.
"""

from __future__ import annotations

from hookflash.fsm.arrangement import Arrangement, Hears
from hookflash.fsm.inputs import Input as On
from hookflash.fsm.spec import Entry, ignore, phase, refuse, row
from hookflash.fsm.transfer import Transfer
from hookflash.specs import actions as do
from hookflash.specs import guards as given
from hookflash.specs.common import A, B, C, S


def accept_limit_s(transfer: Transfer) -> float:
    """The time that the target has to accept, or that a briefing may take."""
    policy = transfer.policy
    return policy.accept_limit_s if policy.target_accepts else policy.briefing_limit_s


# The tables are laid out by hand: one entry is one sentence, on a line or two.
# fmt: off

ANSWERED = row(On.TARGET_ANSWERED, given.target_waits, to=S.ACCEPTING,
    why="The target answered. It is asked to accept the call, or briefed.")
FOUND = row(On.FOUND, given.transferee_present, given.still_to_accept, to=S.ACCEPTING,
    why="The target has answered, and is asked (once more) to accept the call.")
FOUND_WITHOUT_TRANSFEREE = row(On.FOUND, given.transferor_present, given.still_to_accept,
    to=S.ACCEPTING, why="The transferee has left. The target is asked to accept the call.")
NOT_YET = refuse(On.SWAP_ASKED, given.target_is_asked, why="the target has not accepted yet")


def failed_for_transferee(*failed: On, turns_away: bool) -> tuple[tuple[Entry, ...], ...]:
    """What follows for the transferee, whose transferor has left."""
    away = (do.turn_away,) if turns_away else ()
    blame = (do.blame_target,) if turns_away else ()
    return (
        row(*failed, given.recall_wanted, to=S.RECALL, do=(*away, do.recall),
            why="The target can't be had. The transferor is called back for the transferee."),
        row(*failed, given.fallback_wanted, to=S.FALLBACK, do=(*blame, do.fall_back),
            why="The target can't be had. The fallback target is called for the transferee."),
        row(*failed, to=S.ENDING, do=away,
            why="The target can't be had, and nobody else is left to call. The call ends."),
    )


NOT_ACCEPTED = (On.TARGET_DECLINED, On.LIMIT_PASSED)
BRIEFED = (
    row(On.PROMPT_HEARD, On.LIMIT_PASSED, given.not_asked, to=S.COMPLETING, do=do.let_through,
        why="The target has been briefed. It gets the transferee."),
    ignore(On.PROMPT_HEARD, why="The prompt is repeated until the target accepts."),
)
FOR_TRANSFEREE = (
    row(On.TARGET_FAILED, *NOT_ACCEPTED, given.another_target, given.transferee_present,
        to=S.PARTIAL, do=do.call_next,
        why="The target can't be had. The next one is called for the transferee."),
    *failed_for_transferee(On.TARGET_FAILED, turns_away=False),
    *failed_for_transferee(*NOT_ACCEPTED, turns_away=True),
    row(On.HANDED_OVER, to=S.COMPLETING, why="Another program has connected the two."),
    refuse(On.SWAP_ASKED, On.THREE_WAY_ASKED, why="the target has not accepted yet"),
    ignore(On.TARGET_ANSWERED, On.ARRANGED, why="The target is being asked."),
)

ATTENDED = phase(S.ACCEPTING,
    Arrangement(hears={A: Hears.RINGBACK, B: Hears.MUSIC_OR_RINGBACK, C: Hears.PROMPT},
        limit=accept_limit_s), *BRIEFED,
    row(On.TARGET_ACCEPTED, given.transferor_waits, given.transferee_present, to=S.CONSULTING,
        why="The target accepted. It is being connected to the transferor."),
    row(On.TARGET_ACCEPTED, given.transferor_waits, to=S.ABANDONED,
        why="The target accepted. The transferee has left: it gets the transferor."),
    row(On.TARGET_ACCEPTED, to=S.COMPLETING,
        why="The target accepted. It gets the transferee."),
    row(On.TARGET_FAILED, *NOT_ACCEPTED, given.another_target, given.transferor_waits,
        given.transferee_present, to=S.DIALING, do=do.call_next,
        why="The target can't be had. The next one is called."),
    row(On.TARGET_FAILED, *NOT_ACCEPTED, given.another_target, given.transferor_waits,
        to=S.ABANDONED, do=do.call_next,
        why="The target can't be had. The next one is called for the transferor."),
    row(On.TARGET_FAILED, given.transferor_waits, given.transferee_present, given.failure_is_heard,
        to=S.FAILURE_HEARD, why="The target hung up. The transferor hears that."),
    row(*NOT_ACCEPTED, given.transferor_waits, given.transferee_present, given.failure_is_heard,
        to=S.FAILURE_HEARD, do=do.turn_away,
        why="The target has not accepted. The transferor hears that."),
    row(On.TARGET_FAILED, given.transferor_waits, given.transferee_present, to=S.FAILED_RECONNECT,
        why="The target hung up. Transferor and transferee are being reconnected."),
    row(*NOT_ACCEPTED, given.transferor_waits, given.transferee_present, to=S.FAILED_RECONNECT,
        do=do.turn_away,
        why="The target has not accepted. Transferor and transferee are being reconnected."),
    *FOR_TRANSFEREE,
    row(On.TRANSFEROR_HUNG_UP, given.transferee_gone, to=S.ENDING,
        why="The transferor left, too. The call ends."),
    row(On.TRANSFEROR_HUNG_UP, given.partial_unwanted, to=S.ENDING,
        why="The transferor left before the target accepted. Partial transfers are disabled."),
    row(On.TRANSFEROR_HUNG_UP, to=S.ACCEPTING,
        why="The transferor left. The transferee waits until the target accepts."),
    refuse(On.COMPLETE_ASKED, given.transferee_gone, why="the other party has left"),
    row(On.COMPLETE_ASKED, to=S.ACCEPTING, do=do.dismiss_transferor,
        why="The transferor handed over. The transferee waits until the target accepts."),
    row(On.TRANSFEREE_HUNG_UP, given.transferor_waits, given.call_unwanted, to=S.ENDING,
        why="The transferee left before the target accepted. The policy ends the transfer."),
    row(On.TRANSFEREE_HUNG_UP, given.transferor_waits, to=S.ACCEPTING,
        why="The transferee left. The transferor waits until the target accepts."),
    row(On.TRANSFEREE_HUNG_UP, to=S.ENDING, why="The transferee left. The target is released."),
    row(On.TAKEBACK_ASKED, given.transferor_waits, given.transferee_present, to=S.TAKEBACK,
        do=do.dismiss_target,
        why="The transferor took the transferee back. The target is released."),
    refuse(On.TAKEBACK_ASKED, why="one of the two has left"),
    row(On.REUNITED, to=S.TAKEBACK, do=do.dismiss_target,
        why="Another program has joined transferor and transferee. The target is released."),
)
LET_GO = Arrangement(hears={B: Hears.RINGBACK_OR_MUSIC, C: Hears.PROMPT}, leaves=(A,),
    limit=accept_limit_s)
BLIND = (
    *BRIEFED,
    row(On.TARGET_ACCEPTED, to=S.COMPLETING,
        why="The target accepted. It gets the transferee."),
    *FOR_TRANSFEREE,
    row(On.TRANSFEREE_HUNG_UP, to=S.ENDING, why="The transferee left. The target is released."),
    ignore(On.TRANSFEROR_HUNG_UP, On.REUNITED, On.COMPLETE_ASKED,
        why="The transferor has left the transfer, which waits for the target."),
)
