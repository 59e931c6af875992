"""The code first, the number afterwards: the transferor is asked for the number of the target.

A transfer that was requested without a number begins like any other. As soon as the two are parked,
the transferor hears a dial tone, and the transferee music. The number comes by keys or by a
program's request. A wrong one is answered with another tone, and asked for again. The same in
attended and blind transfers: the transferor of a blind one is released once there is a number.
"""

from __future__ import annotations

from hookflash.errors import Refusal
from hookflash.fsm.arrangement import Arrangement, Hears
from hookflash.fsm.inputs import Input as On
from hookflash.fsm.spec import Phase, ignore, phase, refuse, row
from hookflash.fsm.transfer import Transfer
from hookflash.specs import actions as do
from hookflash.specs import guards as given
from hookflash.specs.common import A, B, S


def number_timeout_s(transfer: Transfer) -> float:
    """The time that the transferor has for a number."""
    return transfer.policy.number_timeout_s


# The tables are laid out by hand: one entry is one sentence, on a line or two.
# fmt: off

PARTED = (
    row(On.ARRANGED, given.target_missing, given.both_present, to=S.ASKING, do=do.ask,
        why="The two are separated. The transferor is asked for the number."),
    row(On.ARRANGED, given.target_missing, to=S.ENDING, do=do.blame_number,
        why="One of the two left before a number was given. The call ends."),
    ignore(On.NUMBER_GIVEN, why="The number is called as soon as the two are separated."),
    ignore(On.NUMBER_WRONG, why="The transferor is asked as soon as the two are separated."),
)
"""While the two are being separated. These rows stand before those of a transfer with a number."""

NO_SUCH_NUMBER = row(On.TARGET_FAILED, given.number_wrong, to=S.ASKING, do=do.ask_again,
    why="There is no such number. The transferor is asked for another one.")
"""While the number that was given is called for the transferor."""


def asking(then: S) -> Phase:
    """The transferor is asked for the number; with a number, the transfer goes on in a state."""
    return phase(S.ASKING,
        Arrangement(hears={A: Hears.DIAL_TONE, B: Hears.MUSIC}, limit=number_timeout_s),
        refuse(On.NUMBER_GIVEN, given.target_is_a_party, refusal=Refusal.TARGET_REFUSED,
            why="the target is already a party of this call"),
        row(On.NUMBER_GIVEN, to=then, why="The number was given. The target is being called."),
        row(On.NUMBER_WRONG, given.number_wanted, to=S.ASKING, do=do.ask_again,
            why="That number can't be called. The transferor is asked for another one."),
        row(On.NUMBER_WRONG, On.LIMIT_PASSED, to=S.FAILED_RECONNECT, do=do.blame_number,
            why="No number came that can be called. Transferor and transferee are reconnected."),
        row(On.TAKEBACK_ASKED, to=S.TAKEBACK,
            why="The transferor gave up, and gets the transferee back."),
        row(On.REUNITED, to=S.IDLE, why="Another program has joined the two."),
        row(On.TRANSFEROR_HUNG_UP, to=S.ENDING, do=do.blame_number,
            why="The transferor left before a number was given. The call ends."),
        row(On.TRANSFEREE_HUNG_UP, to=S.ENDING, why="The transferee left. The call ends."),
        refuse(On.COMPLETE_ASKED, why="no number was given yet"),
        ignore(On.ARRANGED, On.TARGET_ANSWERED, On.TARGET_FAILED, On.HANDED_OVER,
            why="There is no target yet."),
    )
