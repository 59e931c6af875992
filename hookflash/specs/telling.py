"""A failure is heard: the transferor hears, alone, that the target has failed.

By default it has the transferee again at once. With a sound of the operator's it hears first what
has happened, and the transferee goes on hearing music. If the target leaves a consultation, the
failsafe would cut that short, so it is removed.
"""

from __future__ import annotations

from hookflash.fsm.arrangement import Arrangement, Hears
from hookflash.fsm.inputs import Input as On
from hookflash.fsm.spec import ignore, phase, refuse, row
from hookflash.fsm.transfer import Transfer
from hookflash.specs import guards as given
from hookflash.specs import partial
from hookflash.specs.common import A, B, C, S


def failure_sound_limit_s(transfer: Transfer) -> float:
    """The time that the sound may take."""
    return transfer.policy.failure_sound_limit_s


# The tables are laid out by hand: one entry is one sentence, on a line or two.
# fmt: off

TOLD = row(On.TARGET_FAILED, given.failure_is_heard, to=S.FAILURE_HEARD,
    why="Busy, refused or no answer. The transferor hears that.")
LEFT = row(On.TARGET_FAILED, given.failure_is_heard, given.has_talked, to=S.FAILURE_HEARD,
    why="The target left the consultation. The transferor hears that.")
FAILURE_HEARD = phase(S.FAILURE_HEARD,
    Arrangement(hears={A: Hears.FAILURE, B: Hears.MUSIC}, leaves=(C,),
        disarms=True, pause=failure_sound_limit_s),
    row(On.PROMPT_HEARD, On.LIMIT_PASSED, to=S.FAILED_RECONNECT,
        why="The transferor has heard it. Transferor and transferee are being reconnected."),
    row(On.TAKEBACK_ASKED, to=S.FAILED_RECONNECT,
        why="The transferor wants the transferee back at once."),
    row(On.REUNITED, to=S.FAILED_RECONNECT,
        why="Another program has joined transferor and transferee."),
    *partial.rescue(On.TRANSFEROR_HUNG_UP),
    row(On.TRANSFEROR_HUNG_UP, to=S.ENDING,
        why="The transferor left, and nobody else is left to call. The call ends."),
    row(On.TRANSFEREE_HUNG_UP, to=S.ENDING, why="The transferee left. The call ends."),
    refuse(On.COMPLETE_ASKED, why="the target has failed"),
    ignore(On.TARGET_ANSWERED, On.TARGET_FAILED, On.HANDED_OVER, On.ARRANGED,
        why="The target is released."),
)
