"""Handover: a caller who talks with nobody is given to the target.

The caller is in an application of the switch (a menu, a queue, a bot), or parked. A program asks
for it: nobody has dialled a code, so there is no transferor, and nobody to recall. Instead the
caller goes back where it came from if the target can't be had, so that the bot can speak again.
"""

from __future__ import annotations

from hookflash.errors import Refusal
from hookflash.fsm.arrangement import ORDINARY_CALL, Arrangement, Hears
from hookflash.fsm.inputs import Input as On
from hookflash.fsm.spec import Entry, Spec, ignore, phase, refuse, row
from hookflash.fsm.transfer import Outcome
from hookflash.specs import accepting, common, partial
from hookflash.specs import actions as do
from hookflash.specs import guards as given
from hookflash.specs.common import B, C, S

# The tables are laid out by hand: one entry is one sentence, on a line or two.
# fmt: off

ANYWHERE = (*common.ANYWHERE,
    refuse(On.TAKEBACK_ASKED, On.COMPLETE_ASKED, why="this transfer has no transferor"),
    ignore(On.TRANSFEROR_HUNG_UP, On.REUNITED, why="There is no transferor."))


def back(*failed: On, turns_away: bool = False) -> tuple[tuple[Entry, ...], ...]:
    """What becomes of the caller when the target can't be had."""
    away = (do.turn_away,) if turns_away else ()
    blame = (do.blame_target,) if turns_away else ()
    return (
        row(*failed, given.another_target, given.transferee_present, to=S.PARTIAL, do=do.call_next,
            why="The target can't be had. The next one is called for the caller."),
        row(*failed, given.return_wanted, to=S.RETURNING, do=away,
            why="The target can't be had. The caller goes back where it came from."),
        row(*failed, given.fallback_wanted, to=S.FALLBACK, do=(*blame, do.fall_back),
            why="The target can't be had. The fallback target is called for the caller."),
        row(*failed, to=S.ENDING, do=away, why="The target can't be had: the call ends."),
    )


IDLE = phase(S.IDLE, ORDINARY_CALL, common.ORDINARY,
    refuse(On.REQUESTED, given.target_is_a_party, refusal=Refusal.TARGET_REFUSED,
        why="the target is the caller"),
    refuse(On.REQUESTED, given.hops_used_up, refusal=Refusal.TARGET_REFUSED,
        why="this call has reached its limit of transfers"),
    row(On.REQUESTED, to=S.HOLDING,
        why="A transfer was requested. The caller is taken out of its application."),
    common.FOUND_HANDED_OVER, accepting.FOUND,
    row(On.FOUND, given.transferee_present, given.target_rings, to=S.PARTIAL,
        why="The target is still ringing."),
    row(On.FOUND, given.transferee_present, given.target_can_take_over, to=S.COMPLETING,
        why="The target has answered. It gets the caller."),
    row(On.FOUND, given.return_wanted, to=S.RETURNING, do=do.blame_restart,
        why="Only the caller is left, and goes back where it came from."),
    row(On.FOUND, given.fallback_wanted, to=S.FALLBACK, do=do.fall_back,
        why="Only the caller is left. The fallback target is called."),
    common.FOUND_ALONE,
)
HOLDING = phase(S.HOLDING, Arrangement(hears={B: Hears.RINGBACK_OR_MUSIC}),
    row(On.ARRANGED, to=S.PARTIAL, why="The caller is parked. The target is being called."),
    row(On.UNARRANGEABLE, to=S.IDLE, do=do.leave_alone,
        why="The switch could not park the caller, who stays where it was."),
    ignore(On.TRANSFEREE_HUNG_UP, On.TARGET_ANSWERED, On.TARGET_FAILED, On.HANDED_OVER,
        why="There is no target yet."),
)
PARTIAL = phase(S.PARTIAL, partial.LET_GO,
    *back(On.TARGET_FAILED), accepting.ANSWERED,
    row(On.TARGET_ANSWERED, to=S.COMPLETING, why="The target answered. It gets the caller."),
    row(On.HANDED_OVER, to=S.COMPLETING, why="The switch has connected caller and target."),
    row(On.TRANSFEREE_HUNG_UP, to=S.ENDING, why="The caller left. The target is cancelled."),
)
ACCEPTING = phase(S.ACCEPTING, accepting.LET_GO, *accepting.BRIEFED,
    row(On.TARGET_ACCEPTED, to=S.COMPLETING, why="The target accepted. It gets the caller."),
    *back(On.TARGET_FAILED), *back(*accepting.NOT_ACCEPTED, turns_away=True),
    row(On.HANDED_OVER, to=S.COMPLETING, why="Another program has connected the two."),
    row(On.TRANSFEREE_HUNG_UP, to=S.ENDING, why="The caller left. The target is released."),
    ignore(On.TARGET_ANSWERED, On.ARRANGED, why="The target is being asked."),
)
COMPLETING = phase(S.COMPLETING, partial.HAND_OVER,
    row(On.ARRANGED, to=S.IDLE, why="Caller and target are talking. The transfer is complete."),
    partial.AFTER_A_MOMENT, *back(On.TARGET_FAILED, On.UNARRANGEABLE),
    row(On.TRANSFEREE_HUNG_UP, to=S.ENDING, why="The caller left before it was connected."),
    ignore(On.TARGET_ANSWERED, On.HANDED_OVER, why="The two are being connected."),
)
RETURNING = phase(S.RETURNING, Arrangement(returns=True, outcome=Outcome.RETURNED, leaves=(C,)),
    row(On.ARRANGED, to=S.IDLE, why="The caller is back where it came from."),
    row(On.HANDED_OVER, to=S.COMPLETING,
        why="The target answered after all, and the switch has connected the two on its own."),
    row(On.UNARRANGEABLE, given.fallback_wanted, to=S.FALLBACK, do=do.fall_back,
        why="The caller can't go back. The fallback target is called."),
    row(On.UNARRANGEABLE, to=S.ENDING, why="The caller can't go back: the call ends."),
    row(On.TRANSFEREE_HUNG_UP, to=S.ENDING, why="The caller left, so the calls end."),
    ignore(On.TARGET_ANSWERED, On.TARGET_FAILED, why="The target is released."),
)
ENDING = phase(S.ENDING, common.LEAVING, common.ENDED)

HANDOVER = Spec(name="handover", title="Handover of a caller without a transferor",
    anywhere=ANYWHERE,
    phases=(IDLE, HOLDING, PARTIAL, ACCEPTING, COMPLETING, RETURNING, partial.FALLBACK, ENDING))
