"""What the tables have in common: how a transfer begins, is found, comes back, and ends."""

from __future__ import annotations

from hookflash.errors import Refusal
from hookflash.fsm.arrangement import Arrangement, Hears
from hookflash.fsm.inputs import Input as On
from hookflash.fsm.spec import ignore, refuse, row
from hookflash.fsm.transfer import Role, State, Transfer
from hookflash.specs import actions as do
from hookflash.specs import guards as given

A, B, C = Role.TRANSFEROR, Role.TRANSFEREE, Role.TARGET
S = State


def hold_limit_s(transfer: Transfer) -> float:
    """The longest time that a transferee may be held."""
    return transfer.policy.hold_limit_s


# The tables are laid out by hand: one entry is one sentence, on a line or two.
# fmt: off

GOING = (
    refuse(On.SWAP_ASKED, why="the transferor has nobody to change to"),
    refuse(On.THREE_WAY_ASKED, why="the target has not answered yet, or has left"),
    refuse(On.PICK_UP_ASKED, why="no call is parked here"),
    row(On.EVERYONE_GONE, to=S.IDLE, why="The last leg of the transfer is gone."),
    ignore(On.FOUND, why="The transfer is already known."),
    refuse(On.NUMBER_GIVEN, why="no number is asked for now"),
    ignore(On.PROMPT_HEARD, why="No target hears anything alone now."),
    refuse(On.TARGET_ACCEPTED, On.TARGET_DECLINED, why="no target has to accept now"),
    ignore(On.NUMBER_WRONG, why="No number is asked for now."),
)
ANYWHERE = (*GOING, refuse(On.REQUESTED, why="a transfer of this call is already in progress"))

ORDINARY = ignore(On.TRANSFEROR_HUNG_UP, On.TRANSFEREE_HUNG_UP, On.EVERYONE_GONE, On.REUNITED,
    On.TARGET_ANSWERED, On.TARGET_FAILED, On.HANDED_OVER,
    why="No transfer is in progress: the call is an ordinary one.")
REQUESTED = (
    refuse(On.REQUESTED, given.target_is_a_party, refusal=Refusal.TARGET_REFUSED,
        why="the target is already a party of this call"),
    refuse(On.REQUESTED, given.hops_used_up, refusal=Refusal.TARGET_REFUSED,
        why="this call has reached its limit of transfers"),
    row(On.REQUESTED, to=S.HOLDING, why="A transfer was requested. The two are being separated."),
    refuse(On.TAKEBACK_ASKED, why="there is no transfer to take back"),
    refuse(On.COMPLETE_ASKED, why="there is no transfer to complete"),
)
FOUND_REUNITED = row(On.FOUND, given.reunited, to=S.FAILED_RECONNECT, do=do.blame_restart,
    why="The switch has reconnected transferor and transferee on its own.")
FOUND_HANDED_OVER = row(On.FOUND, given.handed_over, to=S.COMPLETING,
    why="The switch has completed the transfer on its own.")
FOUND_APART = row(On.FOUND, given.both_present, to=S.FAILED_RECONNECT, do=do.blame_restart,
    why="Transferor and transferee are apart. They are being reconnected.")
FOUND_ALONE = row(On.FOUND, to=S.ENDING, do=do.blame_restart,
    why="Only one party is left. It hears a tone, then the call ends.")

UNPARTED = (
    row(On.UNARRANGEABLE, given.both_present, to=S.FAILED_RECONNECT,
        why="The switch could not separate the two. They are being reconnected."),
    row(On.UNARRANGEABLE, to=S.ENDING, why="One of the two left. The call ends."),
    row(On.REUNITED, to=S.IDLE, why="Another program has joined the two."),
    ignore(On.TRANSFEROR_HUNG_UP, On.TRANSFEREE_HUNG_UP,
        why="The other party will be parked or hang up. That decides."),
)
NO_TARGET = ignore(On.TARGET_ANSWERED, On.TARGET_FAILED, On.HANDED_OVER,
    why="There is no target yet.")
RECONNECTED = (
    row(On.ARRANGED, to=S.IDLE, why="Transferor and transferee are talking again."),
    row(On.UNARRANGEABLE, to=S.ENDING, why="The two could not be reconnected: the call ends."),
    row(On.TRANSFEROR_HUNG_UP, On.TRANSFEREE_HUNG_UP, to=S.ENDING,
        why="One of the two left. The call ends."),
    ignore(On.REUNITED, On.TARGET_FAILED, On.TARGET_ANSWERED,
        why="The two are being reconnected. The target is released, even if it answers now."),
    ignore(On.TAKEBACK_ASKED, why="The two are already being reconnected."),
)

LEAVING = Arrangement(hears={A: Hears.TONE, B: Hears.TONE}, leaves=(C,), ends=True)
ENDED = ignore(On.TRANSFEROR_HUNG_UP, On.TRANSFEREE_HUNG_UP, On.TARGET_ANSWERED, On.TARGET_FAILED,
    On.REUNITED, On.HANDED_OVER, why="The remaining calls are being ended.")
