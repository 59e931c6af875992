"""The conditions of the tables. Each looks at the record *after* the event."""

from __future__ import annotations

from hookflash.called import ALLOWED_NUMBER
from hookflash.causes import BUSY, NO_SUCH_NUMBER
from hookflash.commands import Trigger
from hookflash.events import AtLimit, LegHungUp
from hookflash.fsm.arrange import talk
from hookflash.fsm.policy import Choice
from hookflash.fsm.transfer import Place, State
from hookflash.fsm.work import Work


def both_present(work: Work) -> bool:
    """Transferor and transferee are present."""
    return work.transfer.transferor.lives and work.transfer.transferee.lives


def transferor_gone(work: Work) -> bool:
    """The transferor has left."""
    return not work.transfer.transferor.lives


def transferee_gone(work: Work) -> bool:
    """The transferee has left."""
    return not work.transfer.transferee.lives


def both_parked(work: Work) -> bool:
    """Transferor and transferee are parked."""
    t = work.transfer
    return t.transferor.place is Place.PARKED and t.transferee.place is Place.PARKED


def transferee_parked(work: Work) -> bool:
    """The transferee is parked."""
    return work.transfer.transferee.place is Place.PARKED


def transferor_present(work: Work) -> bool:
    """The transferor is present."""
    return work.transfer.transferor.lives


def transferee_present(work: Work) -> bool:
    """The transferee is present."""
    return work.transfer.transferee.lives


def target_present(work: Work) -> bool:
    """The target is being called, or has answered."""
    return work.transfer.target.lives


def target_rings(work: Work) -> bool:
    """The target is being called."""
    return work.transfer.target.place is Place.RINGING


def target_can_take_over(work: Work) -> bool:
    """The target has answered, is present, and has not been released."""
    target = work.transfer.target
    return target.lives and target.answered and not target.dismissed


def transferor_waits(work: Work) -> bool:
    """The transferor is present, has not been released, and nothing is decided yet."""
    t = work.transfer
    return t.transferor.lives and not t.transferor.dismissed and t.outcome is None


def target_is_asked(work: Work) -> bool:
    """The target must still accept before it is connected."""
    return work.transfer.target_is_asked


def target_waits(work: Work) -> bool:
    """The target must accept, or is briefed, before it is connected."""
    return work.transfer.target_waits


def failure_is_heard(work: Work) -> bool:
    """The transferor hears it when the target has failed."""
    return work.transfer.policy.failure_sound is not None


def has_talked(work: Work) -> bool:
    """Transferor and target have talked: their failsafe was set."""
    return work.transfer.failsafe is Trigger.LEFT_ALONE


def not_asked(work: Work) -> bool:
    """The target need not accept: it is only briefed."""
    return not work.transfer.policy.target_accepts


def still_to_accept(work: Work) -> bool:
    """The target has answered, and must still accept or be briefed."""
    return work.transfer.target_waits and target_can_take_over(work)


def reunited(work: Work) -> bool:
    """Transferor and transferee hear each other."""
    return talk(work.transfer.transferor, work.transfer.transferee)


def was_swapped(work: Work) -> bool:
    """Transferor and transferee hear each other while the target waits, as it was before."""
    swapped = getattr(work.event, "state", "") == State.SWAPPED.value
    unasked = work.transfer.target.answered or not work.transfer.policy.target_accepts
    return swapped and unasked and reunited(work)


def were_three(work: Work) -> bool:
    """All three were in one conversation, and are still there."""
    part = work.transfer.transferee.takes_part
    was = part or getattr(work.event, "state", "") == State.THREE_WAY.value
    return was and both_present(work) and target_can_take_over(work)


def consulted(work: Work) -> bool:
    """Transferor and target hear each other."""
    return talk(work.transfer.transferor, work.transfer.target)


def handed_over(work: Work) -> bool:
    """Transferee and target hear each other."""
    return talk(work.transfer.transferee, work.transfer.target)


def partial_unwanted(work: Work) -> bool:
    """The policy allows no partial transfers, and the transferor has not handed over."""
    t = work.transfer
    return t.policy.transferor_leaves_ringing is Choice.END and not t.transferor.dismissed


def recall_wanted(work: Work) -> bool:
    """The transferor has left, can be called back, and was not called back too often."""
    t = work.transfer
    can_be = bool(ALLOWED_NUMBER.fullmatch(t.transferor.number)) and not t.transferor.outside
    has_left = not t.transferor.lives or t.transferor.dismissed
    return can_be and has_left and t.transferee.lives and t.recalls < t.policy.recall_attempts


def transferor_busy(work: Work) -> bool:
    """The transferor, who was called back, talks with somebody else or wants no calls."""
    return isinstance(work.event, LegHungUp) and work.event.cause in BUSY


def redial_wanted(work: Work) -> bool:
    """The policy calls the target once more before a further recall."""
    return work.transfer.policy.recall_redials


def return_wanted(work: Work) -> bool:
    """The caller may go back where it came from, and has not been given to the fallback target."""
    t = work.transfer
    return bool(t.return_to) and not t.fell_back and t.transferee.lives


def another_target(work: Work) -> bool:
    """The list has another target, and nothing is decided yet."""
    return bool(work.transfer.further) and work.transfer.outcome is None


def fallback_wanted(work: Work) -> bool:
    """There is a fallback target, which was not called yet."""
    t = work.transfer
    return bool(t.policy.fallback_target) and not t.fell_back and t.transferee.lives


def fallback_at_limit(work: Work) -> bool:
    """The fallback target gets a party that was on hold for too long."""
    return work.transfer.policy.at_hold_limit is AtLimit.FALLBACK and fallback_wanted(work)


def fallback_called(work: Work) -> bool:
    """The fallback target is being called, or has answered."""
    return work.transfer.fell_back and work.transfer.target.lives


def transferor_rings(work: Work) -> bool:
    """The transferor is being called back, and has not answered."""
    return work.transfer.transferor.rings


def decided(work: Work) -> bool:
    """The outcome is decided: the two have talked."""
    return work.transfer.outcome is not None


def called_back(work: Work) -> bool:
    """The transferor is called back, or has just answered."""
    return work.transfer.recalls > 0 and work.transfer.transferor.lives


def call_unwanted(work: Work) -> bool:
    """The policy ends a ringing call that the transferee has left."""
    return work.transfer.policy.transferee_leaves_ringing is Choice.END


def talk_unwanted(work: Work) -> bool:
    """The policy ends a consultation that the transferee has left."""
    return work.transfer.policy.transferee_leaves_consulting is Choice.END


def target_missing(work: Work) -> bool:
    """No target number was given."""
    return not work.transfer.target.number


def number_wanted(work: Work) -> bool:
    """The transferor may be asked for the number once more."""
    return 0 < work.transfer.questions < work.transfer.policy.number_attempts


def number_wrong(work: Work) -> bool:
    """The number leads nowhere, and the transferor, who gave it when asked, may give another."""
    event = work.event
    leads_nowhere = isinstance(event, LegHungUp) and event.cause in NO_SUCH_NUMBER
    return leads_nowhere and number_wanted(work) and both_present(work)


def target_is_a_party(work: Work) -> bool:
    """The target number is the transferor's or the transferee's own."""
    t = work.transfer
    own = (party.number for party in (t.transferor, t.transferee) if not party.foreign)
    return t.target.number in own


def hops_used_up(work: Work) -> bool:
    """The call has reached its limit of transfers."""
    return work.transfer.hops >= work.transfer.policy.hop_limit
