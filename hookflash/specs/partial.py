"""What happens without the transferor, who has left: the same in attended and blind transfers.

The target is called for the transferee. If it can't be had, the transferee is not dropped for it:
the transferor is called back, as often as the policy says, and then the account's fallback target
is called.
"""

from __future__ import annotations

from hookflash.commands import Trigger
from hookflash.fsm.arrangement import Arrangement, Hears
from hookflash.fsm.inputs import Input as On
from hookflash.fsm.spec import Entry, ignore, phase, refuse, row
from hookflash.fsm.transfer import Outcome, Transfer
from hookflash.specs import actions as do
from hookflash.specs import guards as given
from hookflash.specs.common import A, B, C, S


def recall_delay_s(transfer: Transfer) -> float:
    """The time between two recalls."""
    return transfer.policy.recall_delay_s


# The tables are laid out by hand: one entry is one sentence, on a line or two.
# fmt: off


def rescue(*failed: On) -> tuple[tuple[Entry, ...], ...]:
    """Who is called for the transferee when the target can't be had."""
    return (
        row(*failed, given.recall_wanted, to=S.RECALL, do=do.recall,
            why="The target can't be had. The transferor is called back for the transferee."),
        row(*failed, given.fallback_wanted, to=S.FALLBACK, do=do.fall_back,
            why="The target can't be had. The fallback target is called for the transferee."),
    )


def next_or_rescue(*failed: On) -> tuple[tuple[Entry, ...], ...]:
    """The same where the list may have another target."""
    return (
        row(*failed, given.another_target, given.transferee_present, to=S.PARTIAL, do=do.call_next,
            why="The target can't be had. The next one is called for the transferee."),
        *rescue(*failed),
    )


LET_GO = Arrangement(hears={B: Hears.RINGBACK_OR_MUSIC}, calls=C, leaves=(A,),
    failsafe=Trigger.ANSWER)
CALLED = (
    *next_or_rescue(On.TARGET_FAILED),
    row(On.TARGET_ANSWERED, to=S.COMPLETING, why="The target answered. It gets the transferee."),
    row(On.HANDED_OVER, to=S.COMPLETING, why="The switch has connected transferee and target."),
    row(On.TARGET_FAILED, to=S.ENDING,
        why="The target did not answer, and the transferor is gone. The call ends."),
    row(On.TRANSFEREE_HUNG_UP, to=S.ENDING, why="The transferee left. The target is cancelled."),
    ignore(On.TRANSFEROR_HUNG_UP, On.REUNITED, On.COMPLETE_ASKED,
        why="The transferor has left the transfer, which waits for the target."),
)

AFTER_A_MOMENT = row(On.TARGET_FAILED, given.decided, to=S.ENDING,
    why="The target has left after a moment, so the call ends.")
HAND_OVER = Arrangement(talk=(B, C), keeps=True, outcome=Outcome.TRANSFERRED, leaves_then=(A,))
COMPLETED = (
    row(On.ARRANGED, to=S.IDLE,
        why="Transferee and target are talking. The transfer is complete."),
    AFTER_A_MOMENT,
    *next_or_rescue(On.TARGET_FAILED, On.UNARRANGEABLE),
    row(On.TARGET_FAILED, to=S.ENDING, why="The target left before it was connected."),
    row(On.TRANSFEREE_HUNG_UP, to=S.ENDING, why="The transferee left before it was connected."),
    row(On.UNARRANGEABLE, to=S.ENDING, why="The two could not be connected: the call ends."),
    ignore(On.TRANSFEROR_HUNG_UP, On.TARGET_ANSWERED, On.HANDED_OVER, On.COMPLETE_ASKED,
        why="The transfer is already being completed."),
)

FOUND = row(On.FOUND, given.transferee_present, given.called_back, to=S.RECALL,
    why="The transferor has been called back.")
CALLED_BACK = refuse(On.TAKEBACK_ASKED, On.COMPLETE_ASKED,
    why="the transfer has failed, and somebody else is called for the transferee")
DISMISSED = ignore(On.TARGET_ANSWERED, On.TARGET_FAILED, On.REUNITED,
    why="The target is released. The transferor is joined as soon as it can be.")
LEFT = row(On.TRANSFEREE_HUNG_UP, to=S.ENDING, why="The transferee left, so the calls end.")
AFTER_ALL = row(On.HANDED_OVER, to=S.COMPLETING,
    why="The target answered after all, and the switch has connected the others on its own.")
CALLING_BACK = Arrangement(talk=(A, B), outcome=Outcome.RECALLED,
    hears={B: Hears.RINGBACK_OR_MUSIC}, leaves_then=(C,), failsafe=Trigger.ANSWER)
RECALLED = (DISMISSED, CALLED_BACK,
    row(On.ARRANGED, to=S.IDLE, why="The transferor was called back, and has the transferee."),
    row(On.TRANSFEROR_HUNG_UP, given.transferor_busy, given.fallback_wanted, to=S.FALLBACK,
        do=do.fall_back, why="The transferor is busy. The fallback target is called."),
    row(On.TRANSFEROR_HUNG_UP, given.recall_wanted, to=S.RECALL_PAUSE,
        why="The transferor can't be had. It is called again later."),
    row(On.TRANSFEROR_HUNG_UP, On.UNARRANGEABLE, given.fallback_wanted, to=S.FALLBACK,
        do=do.fall_back, why="The transferor can't be had. The fallback target is called."),
    row(On.TRANSFEROR_HUNG_UP, On.UNARRANGEABLE, to=S.ENDING,
        why="The transferor can't be had, either: the call ends."),
)
RECALL = phase(S.RECALL, CALLING_BACK, LEFT, AFTER_ALL, *RECALLED)
PAUSE = Arrangement(hears={B: Hears.RINGBACK_OR_MUSIC}, leaves=(A, C), pause=recall_delay_s)
PAUSED = (DISMISSED, CALLED_BACK,
    row(On.LIMIT_PASSED, to=S.RECALL, do=do.recall,
        why="The transferor is called back once more."),
    ignore(On.TRANSFEROR_HUNG_UP, On.ARRANGED, why="The pause goes on."),
)
RECALL_PAUSE = phase(S.RECALL_PAUSE, PAUSE, LEFT, AFTER_ALL,
    row(On.LIMIT_PASSED, given.redial_wanted, to=S.PARTIAL, do=do.redial,
        why="The target is called once more."), *PAUSED)
FALLBACK = phase(S.FALLBACK,
    Arrangement(talk=(B, C), outcome=Outcome.FELL_BACK, hears={B: Hears.RINGBACK_OR_MUSIC},
        leaves_then=(A,), failsafe=Trigger.ANSWER), CALLED_BACK,
    row(On.ARRANGED, to=S.IDLE, why="The fallback target has the transferee."),
    row(On.TARGET_FAILED, On.UNARRANGEABLE, to=S.ENDING,
        why="The fallback target can't be had, either: the call ends."),
    row(On.TRANSFEREE_HUNG_UP, to=S.ENDING, why="The transferee left, so the calls end."),
    ignore(On.TRANSFEROR_HUNG_UP, On.REUNITED, On.TARGET_ANSWERED, On.HANDED_OVER,
        why="The fallback target is joined as soon as it can be."),
)

PHASES = (RECALL, RECALL_PAUSE, FALLBACK)
