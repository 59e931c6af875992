"""The questions that the tables ask of a transfer. Each looks at the record *after* the event."""

from __future__ import annotations

from hookflash.events import SoundStarted
from hookflash.fsm.machine import Work
from hookflash.fsm.transfer import Choice, Party, Place, Transfer


def both_parked(work: Work) -> bool:
    """Transferor and transferee stand alone, each."""
    t = work.transfer
    return t.transferor.place is Place.PARKED and t.transferee.place is Place.PARKED


def transferor_gone(work: Work) -> bool:
    """The transferor has left."""
    return not work.transfer.transferor.lives


def transferee_gone(work: Work) -> bool:
    """The transferee has left."""
    return not work.transfer.transferee.lives


def transferee_parked(work: Work) -> bool:
    """The transferee stands alone."""
    return work.transfer.transferee.place is Place.PARKED


def transferor_parked(work: Work) -> bool:
    """The transferor stands alone."""
    return work.transfer.transferor.place is Place.PARKED


def party_that_hears_another(work: Work) -> Party | None:
    """Who begins to hear a sound, and was to hear another by now."""
    party = work.party_of(work.event.leg) if isinstance(work.event, SoundStarted) else None
    return None if party is None or party.hears else party


def another_sound_wanted(work: Work) -> bool:
    """A sound has begun that has been overtaken: another is wanted since."""
    return party_that_hears_another(work) is not None


def partial_unwanted(work: Work) -> bool:
    """The operator wants no partial transfers."""
    return work.transfer.policy.transferor_leaves_ringing is Choice.END


def call_unwanted(work: Work) -> bool:
    """The operator does not want a ringing call to go on without the transferee."""
    return work.transfer.policy.transferee_leaves_ringing is Choice.END


def talk_unwanted(work: Work) -> bool:
    """The operator does not want a consultation to go on without the transferee."""
    return work.transfer.policy.transferee_leaves_consulting is Choice.END


def transferor_gone_and_partial_unwanted(work: Work) -> bool:
    """The transferor has left, and the operator wants no partial transfers."""
    return transferor_gone(work) and partial_unwanted(work)


def transferee_parked_and_partial_unwanted(work: Work) -> bool:
    """The transferee stands alone, and the operator wants no partial transfers."""
    return transferee_parked(work) and partial_unwanted(work)


def transferee_gone_and_call_unwanted(work: Work) -> bool:
    """The transferee has left, and the operator does not want the call to go on without it."""
    return transferee_gone(work) and call_unwanted(work)


def transferor_parked_and_call_unwanted(work: Work) -> bool:
    """The transferor stands alone, and the operator does not want it to call on alone."""
    return transferor_parked(work) and call_unwanted(work)


def both_present(work: Work) -> bool:
    """Transferor and transferee are both there."""
    t = work.transfer
    return t.transferor.lives and t.transferee.lives


def both_present_and_splits_left(work: Work) -> bool:
    """Transferor and transferee are both there, and the split may be tried once more."""
    return both_present(work) and work.transfer.tries_left > 0


def everyone_gone(work: Work) -> bool:
    """No leg of this transfer lives."""
    return not any(party.lives for party in work.transfer.parties)


def _joined(one: Party, other: Party) -> bool:
    return one.peer == other.leg and other.peer == one.leg


def _can_be_joined(one: Party, other: Party) -> bool:
    return one.settled and other.settled and not _joined(one, other)


def _may_join(transfer: Transfer) -> bool:
    """Whether a join may be ordered: there are attempts left, and none is under way."""
    return transfer.tries_left > 0 and transfer.joining is None


def reunited(work: Work) -> bool:
    """Transferor and transferee hear each other."""
    return _joined(work.transfer.transferor, work.transfer.transferee)


def consulted(work: Work) -> bool:
    """Transferor and target hear each other."""
    return _joined(work.transfer.transferor, work.transfer.target)


def handed_over(work: Work) -> bool:
    """Transferee and target hear each other."""
    return _joined(work.transfer.transferee, work.transfer.target)


def handed_over_and_transferor_gone(work: Work) -> bool:
    """Transferee and target hear each other, and the transferor has left."""
    return handed_over(work) and transferor_gone(work)


def reunited_and_target_gone(work: Work) -> bool:
    """Transferor and transferee hear each other, and the target is gone."""
    return reunited(work) and target_gone(work)


def consulted_without_transferee(work: Work) -> bool:
    """Transferor and target hear each other, and the transferee has left."""
    return consulted(work) and transferee_gone(work)


def target_rings(work: Work) -> bool:
    """The target is being called."""
    return work.transfer.target.place is Place.RINGING


def both_wait_and_target_rings(work: Work) -> bool:
    """Everybody is there, and the target is being called."""
    return both_present(work) and target_rings(work)


def both_wait_and_target_answered(work: Work) -> bool:
    """Everybody is there, and the target has answered."""
    return both_present(work) and target_can_take_over(work)


def transferee_waits_and_target_rings(work: Work) -> bool:
    """The transferee is there, and the target is being called."""
    return not transferee_gone(work) and target_rings(work)


def transferee_waits_and_target_answered(work: Work) -> bool:
    """The transferee is there, and the target has answered."""
    return not transferee_gone(work) and target_can_take_over(work)


def transferor_waits_and_target_there(work: Work) -> bool:
    """The transferor is there, and so is the target, in whatever state."""
    return not transferor_gone(work) and not target_gone(work)


def target_gone(work: Work) -> bool:
    """The target was never called, or has left."""
    return not work.transfer.target.lives


def target_can_take_over(work: Work) -> bool:
    """The target has answered, lives, and nobody has sent it away."""
    t = work.transfer
    return t.target.lives and t.target.answered and not t.dismissed


def decided(work: Work) -> bool:
    """How it ends has been decided: what remains is to see it done."""
    return work.transfer.outcome is not None


def transferor_waits(work: Work) -> bool:
    """The transferor is there, has not been let go, and nothing is decided yet."""
    t = work.transfer
    return t.transferor.lives and not t.transferor_released and t.outcome is None


def consulted_under_failsafe(work: Work) -> bool:
    """Transferor and target were joined while the transferee could still be rescued."""
    return work.transfer.armed


def goodbye_due(work: Work) -> bool:
    """Those who are left alone are to hear the failure tone."""
    return work.transfer.goodbye


def reunion_due(work: Work) -> bool:
    """Transferor and transferee both stand somewhere, but not together."""
    t = work.transfer
    return _may_join(t) and _can_be_joined(t.transferor, t.transferee)


def consultation_due(work: Work) -> bool:
    """Transferor and target both stand somewhere, but not together."""
    t = work.transfer
    return _may_join(t) and _can_be_joined(t.transferor, t.target)


def handover_due(work: Work) -> bool:
    """Transferee and target both stand somewhere, but not together."""
    t = work.transfer
    return _may_join(t) and _can_be_joined(t.transferee, t.target)


def joins_left(work: Work) -> bool:
    """A join may be tried once more."""
    return work.transfer.tries_left > 0


def target_answered_and_joins_left(work: Work) -> bool:
    """The target has answered, and a join may be tried once more."""
    return work.transfer.target.answered and joins_left(work)


def target_is_a_party(work: Work) -> bool:
    """The number to call is the transferor's or the transferee's own."""
    t = work.transfer
    return t.target.number in (t.transferor.number, t.transferee.number)


def hops_used_up(work: Work) -> bool:
    """The call has been transferred as often as the operator allows."""
    return work.transfer.hops >= work.transfer.policy.hop_limit


def target_missing(work: Work) -> bool:
    """No number to call was given."""
    return not work.transfer.target.number


def somebody_is_stranded(work: Work) -> bool:
    """Somebody who is to hear why it ends stands nowhere, and has not been fetched yet."""
    t = work.transfer
    moving = any(party.place is Place.MOVING for party in (t.transferor, t.transferee))
    return t.goodbye and moving and not t.fetched


def target_uncalled_and_dials_left(work: Work) -> bool:
    """The switch knows nothing of the target, and may be told again to call it."""
    t = work.transfer
    return not t.called and t.dials_left > 0
