"""Hold and resume: the same machinery, without a target.

One party puts the other on hold (music), hears a reminder, and resumes when it likes: it takes the
transferee back from a transfer that never called anybody.
"""

from __future__ import annotations

from hookflash.errors import Refusal
from hookflash.fsm.arrangement import ORDINARY_CALL, Arrangement, Hears
from hookflash.fsm.inputs import Input as On
from hookflash.fsm.spec import Phase, Spec, ignore, phase, refuse, row
from hookflash.fsm.transfer import Outcome, State
from hookflash.specs import attended as common
from hookflash.specs import guards as given
from hookflash.specs.attended import A, B, S

# fmt: off

NOTHING = refuse(On.COMPLETE_ASKED, why="a hold hands nobody over: there is nothing to complete")
ANYWHERE = (*common.GOING, NOTHING,
    refuse(On.REQUESTED, why="a hold or transfer of this call is already running"))
APART = {A: Hears.REMINDER, B: Hears.MUSIC}

IDLE = phase(S.IDLE, ORDINARY_CALL, common.ORDINARY, NOTHING,
    refuse(On.REQUESTED, given.hops_used_up, refusal=Refusal.TARGET_REFUSED,
        why="this call has been transferred as often as is allowed"),
    row(On.REQUESTED, to=S.HOLDING, why="A hold is asked for. The two are parted."),
    refuse(On.TAKEBACK_ASKED, why="nobody is on hold"),
    common.FOUND_REUNITED,
    row(On.FOUND, given.both_parked, to=S.HELD, why="The hold goes on."),
    *common.FOUND_APART,
)
HOLDING = phase(S.HOLDING, Arrangement(hears=APART), *common.UNPARTED,
    row(On.ARRANGED, given.both_present, to=S.HELD,
        why="Both stand alone. The one is held, and the other reminded of it."),
    row(On.ARRANGED, to=S.ENDING, why="The other one has left. There is nobody to hold."),
    row(On.TAKEBACK_ASKED, given.both_present, to=S.TAKEBACK,
        why="Resumed while the two are being parted."),
    refuse(On.TAKEBACK_ASKED, why="the other party has left"),
)
HELD = phase(S.HELD, Arrangement(hears=APART, limit=common.hold_limit_s),
    row(On.TAKEBACK_ASKED, to=S.TAKEBACK, why="Resumed. The two talk again."),
    row(On.REUNITED, to=S.IDLE, why="Somebody else has joined the two again."),
    row(On.TRANSFEROR_HUNG_UP, to=S.ENDING,
        why="The party that put the other on hold has left: a tone, then a clear end."),
    row(On.TRANSFEREE_HUNG_UP, to=S.ENDING, why="The held party has left. A tone says so."),
    row(On.LIMIT_PASSED, to=S.FAILED_RECONNECT, why="The hold was too long. The two talk again."),
    ignore(On.ARRANGED, On.TARGET_ANSWERED, On.TARGET_FAILED, On.HANDED_OVER,
        why="Everybody stands where they should, and there is no target."),
)


def resuming(state: State, outcome: Outcome) -> Phase:
    """The two are joined again."""
    return phase(state, Arrangement(talk=(A, B), ordinary=True, outcome=outcome),
        *common.RECONNECTED, ignore(On.HANDED_OVER, why="There is no target here."))


TAKEBACK = resuming(S.TAKEBACK, Outcome.TAKEN_BACK)
FAILED_RECONNECT = resuming(S.FAILED_RECONNECT, Outcome.RECONNECTED)
ENDING = phase(S.ENDING, common.LEAVING, common.ENDED,
    refuse(On.TAKEBACK_ASKED, why="the call is at its end"))

HOLD = Spec(name="hold", title="Hold and resume", anywhere=ANYWHERE,
    phases=(IDLE, HOLDING, HELD, TAKEBACK, FAILED_RECONNECT, ENDING))
