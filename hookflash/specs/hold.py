"""Hold and resume: the same machinery, without a target.

One party puts the other on hold (music), hears a reminder, and resumes: it takes the transferee
back from a transfer without a target. A hold has a limit; then the two talk again, or the account's
fallback target is called for the party that waits.
"""

from __future__ import annotations

from hookflash.commands import Trigger
from hookflash.errors import Refusal
from hookflash.fsm.arrangement import ORDINARY_CALL, Arrangement, Hears
from hookflash.fsm.inputs import Input as On
from hookflash.fsm.spec import Phase, Spec, ignore, phase, refuse, row
from hookflash.fsm.transfer import Outcome, State
from hookflash.specs import actions as do
from hookflash.specs import common
from hookflash.specs import guards as given
from hookflash.specs.common import A, B, C, S

# fmt: off

NOTHING = refuse(On.COMPLETE_ASKED, why="a hold has no target: there is nothing to complete")
ANYWHERE = (*common.GOING, NOTHING,
    refuse(On.REQUESTED, why="a hold or transfer of this call is already in progress"))
APART = {A: Hears.REMINDER, B: Hears.MUSIC}

IDLE = phase(S.IDLE, ORDINARY_CALL, common.ORDINARY,
    refuse(On.REQUESTED, given.hops_used_up, refusal=Refusal.TARGET_REFUSED,
        why="this call has reached its limit of transfers"),
    row(On.REQUESTED, to=S.HOLDING, why="A hold was requested. The two are being separated."),
    refuse(On.TAKEBACK_ASKED, why="nobody is on hold"),
    common.FOUND_REUNITED,
    row(On.FOUND, given.transferee_present, given.target_present, to=S.FALLBACK,
        why="The fallback target is being called, or has just answered."),
    row(On.FOUND, given.both_parked, to=S.HELD, why="The hold continues."),
    common.FOUND_APART, common.FOUND_ALONE,
)
HOLDING = phase(S.HOLDING, Arrangement(hears=APART), *common.UNPARTED, common.NO_TARGET,
    row(On.ARRANGED, given.both_present, to=S.HELD,
        why="The transferee is on hold. The transferor hears a reminder."),
    row(On.ARRANGED, to=S.ENDING, why="One of the two left. The call ends."),
    row(On.TAKEBACK_ASKED, given.both_present, to=S.TAKEBACK,
        why="The hold was resumed before it began."),
    refuse(On.TAKEBACK_ASKED, why="the other party has left"),
)
HELD = phase(S.HELD, Arrangement(hears=APART, limit=common.hold_limit_s),
    row(On.TAKEBACK_ASKED, to=S.TAKEBACK, why="The two are being reconnected."),
    row(On.REUNITED, to=S.IDLE, why="Another program has joined the two."),
    row(On.TRANSFEROR_HUNG_UP, to=S.ENDING,
        why="The party that held the call left. The call ends."),
    row(On.TRANSFEREE_HUNG_UP, to=S.ENDING, why="The held party left. The call ends."),
    row(On.LIMIT_PASSED, given.fallback_at_limit, to=S.FALLBACK, do=do.fall_back,
        why="The hold limit has passed. The fallback target is called for the held party."),
    row(On.LIMIT_PASSED, to=S.FAILED_RECONNECT, why="The hold limit has passed."),
    ignore(On.ARRANGED, On.TARGET_ANSWERED, On.TARGET_FAILED, On.HANDED_OVER,
        why="The transferee is on hold, and there is no target."),
)

FALLBACK = phase(S.FALLBACK,
    Arrangement(talk=(B, C), outcome=Outcome.FELL_BACK, hears=APART, leaves_then=(A,),
        failsafe=Trigger.ANSWER),
    row(On.ARRANGED, to=S.IDLE, why="The fallback target has the held party."),
    row(On.TAKEBACK_ASKED, given.transferor_waits, to=S.TAKEBACK,
        why="The hold is resumed after all. The fallback target is released."),
    refuse(On.TAKEBACK_ASKED, why="the fallback target has the held party"),
    row(On.TARGET_FAILED, On.UNARRANGEABLE, given.transferor_waits, to=S.FAILED_RECONNECT,
        why="The fallback target can't be had. The two are being reconnected."),
    row(On.TARGET_FAILED, On.UNARRANGEABLE, to=S.ENDING,
        why="The held party has no one left to talk with: the call ends."),
    row(On.TRANSFEREE_HUNG_UP, to=S.ENDING, why="The held party left. The call ends."),
    row(On.REUNITED, to=S.FAILED_RECONNECT,
        why="Another program has joined the two. The fallback target is released."),
    ignore(On.TRANSFEROR_HUNG_UP, On.TARGET_ANSWERED, On.HANDED_OVER,
        why="The fallback target is joined as soon as it can be."),
)


def resuming(state: State, outcome: Outcome) -> Phase:
    """The two are joined again."""
    return phase(state, Arrangement(talk=(A, B), outcome=outcome, leaves_then=(C,)),
        *common.RECONNECTED,
        ignore(On.HANDED_OVER, why="The two are being reconnected: the target is released."))


TAKEBACK = resuming(S.TAKEBACK, Outcome.TAKEN_BACK)
FAILED_RECONNECT = resuming(S.FAILED_RECONNECT, Outcome.RECONNECTED)
ENDING = phase(S.ENDING, common.LEAVING, common.ENDED,
    refuse(On.TAKEBACK_ASKED, why="the call is at its end"))

HOLD = Spec(name="hold", title="Hold and resume", anywhere=ANYWHERE,
    phases=(IDLE, HOLDING, HELD, FALLBACK, TAKEBACK, FAILED_RECONNECT, ENDING))
