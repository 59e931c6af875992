"""The conditions of the tables. Each looks at the record *after* the event."""

from __future__ import annotations

from hookflash.fsm.arrange import talk
from hookflash.fsm.policy import Choice
from hookflash.fsm.transfer import Place
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


def reunited(work: Work) -> bool:
    """Transferor and transferee hear each other."""
    return talk(work.transfer.transferor, work.transfer.transferee)


def handed_over(work: Work) -> bool:
    """Transferee and target hear each other."""
    return talk(work.transfer.transferee, work.transfer.target)


def partial_unwanted(work: Work) -> bool:
    """The policy allows no partial transfers."""
    return work.transfer.policy.transferor_leaves_ringing is Choice.END


def call_unwanted(work: Work) -> bool:
    """The policy ends a ringing call that the transferee has left."""
    return work.transfer.policy.transferee_leaves_ringing is Choice.END


def talk_unwanted(work: Work) -> bool:
    """The policy ends a consultation that the transferee has left."""
    return work.transfer.policy.transferee_leaves_consulting is Choice.END


def target_missing(work: Work) -> bool:
    """No target number was given."""
    return not work.transfer.target.number


def target_is_a_party(work: Work) -> bool:
    """The target number is the transferor's or the transferee's own."""
    t = work.transfer
    return t.target.number in (t.transferor.number, t.transferee.number)


def hops_used_up(work: Work) -> bool:
    """The call has reached its limit of transfers."""
    return work.transfer.hops >= work.transfer.policy.hop_limit
