"""The actions of the tables: decisions, and who is to leave. The arranger moves the legs."""

from __future__ import annotations

from hookflash import commands as c
from hookflash.called import (
    name_of_asked,
    name_of_fallback,
    name_of_further,
    name_of_recall,
    name_of_redial,
    name_of_target,
    place_in_list,
)
from hookflash.errors import InternalError
from hookflash.events import DeclineRequested, PickUpRequested
from hookflash.fsm.arrange import dismiss
from hookflash.fsm.transfer import Outcome, Place, Role
from hookflash.fsm.work import Work


def blame_restart(work: Work) -> None:
    """Name the restart of the controller as the cause."""
    work.note(cause="CONTROLLER_RESTARTED")


def ask(work: Work) -> None:
    """Ask for the number of the target."""
    work.note(questions=1)


def ask_again(work: Work) -> None:
    """Ask for another number. What was heard before is over, so that the question is heard."""
    t = work.transfer
    number = t.questions + 1
    work.note(questions=number, cause=None)
    work.replace(Role.TARGET, "", name_of_asked(t.id, number))
    work.rewrite(t.transferor, sound=None, hears=False, heard=False)


def blame_number(work: Work) -> None:
    """Name the missing number as the cause."""
    work.note(cause="NO_NUMBER")


def separate_again(work: Work) -> None:
    """Separate the two once more: what is heard of their last join is older than that."""
    work.note(separated=False)


def recall(work: Work) -> None:
    """Call the transferor back, by a new leg."""
    t = work.transfer
    number = t.recalls + 1
    work.note(recalls=number)
    work.replace(Role.TRANSFEROR, t.transferor.number, name_of_recall(t.id, number))


def redial(work: Work) -> None:
    """Call the target once more, by a new leg."""
    t = work.transfer
    work.replace(Role.TARGET, t.target.number, name_of_redial(t.id, t.recalls))


def call_next(work: Work) -> None:
    """Call the next target of the list, by a new leg."""
    t = work.transfer
    following, *rest = t.further
    number = place_in_list(t.id, t.target.leg) + 2
    work.note(further=tuple(rest), cause=None)
    work.replace(
        Role.TARGET,
        following.number,
        name_of_further(t.id, number),
        ring_timeout_s=following.ring_timeout_s,
    )


def fall_back(work: Work) -> None:
    """Call the fallback target instead of the target."""
    work.note(fell_back=True)
    t = work.transfer
    work.replace(Role.TARGET, t.policy.fallback_target, name_of_fallback(t.id))


def dismiss_target(work: Work) -> None:
    """End the target's call."""
    dismiss(work, Role.TARGET)


def let_through(work: Work) -> None:
    """Note that the target was briefed."""
    work.note(accepted=True)


def blame_target(work: Work) -> None:
    """Name it as the cause that the target has declined, or has not accepted."""
    declined = isinstance(work.event, DeclineRequested)
    work.note(cause="DECLINED" if declined else "NOT_ACCEPTED")


def turn_away(work: Work) -> None:
    """End the call of a target that has not accepted, and name that as the cause."""
    blame_target(work)
    dismiss(work, Role.TARGET)


def leave_alone(work: Work) -> None:
    """Leave the caller where it is, with nothing of ours."""
    caller = work.transfer.transferee
    work.place(caller, Place.GONE)
    work.order(c.Forget(legs=(caller.leg,)))
    work.note(outcome=Outcome.FAILED)


def pick_up(work: Work) -> None:
    """The party that picks up the call becomes the target. It is still where it was."""
    event = work.event
    if not isinstance(event, PickUpRequested):
        raise InternalError("a call is picked up that nobody has asked for")
    work.replace(Role.TARGET, event.number, event.leg)
    work.rewrite(
        work.transfer.target,
        place=Place.ELSEWHERE,
        answered=True,
        called=True,
        withheld=event.withheld,
    )
    work.note(cause=None, accepted=True)


def put_back(work: Work) -> None:
    """The call is not picked up after all. Who could not be fetched stays where it was."""
    t = work.transfer
    if t.target.place is Place.ELSEWHERE:
        work.place(t.target, Place.GONE)
        work.order(c.Forget(legs=(t.target.leg,)))
    work.replace(Role.TARGET, "", name_of_target(t.id))
    work.note(cause=None)


def blame_parking_limit(work: Work) -> None:
    """Name it as the cause that nobody has picked up the call in time."""
    work.note(cause="PARKING_LIMIT")


def dismiss_transferor(work: Work) -> None:
    """End the transferor's call."""
    dismiss(work, Role.TRANSFEROR)
