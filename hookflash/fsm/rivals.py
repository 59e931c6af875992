"""Rivals: several targets are called at once, and the first that answers is the target.

The tables know one target. The others are its rivals: one takes over when it answers, or when the
target can't be had. They share the target's fate: once it has answered or is released, they are
hung up. A rival that answers then is hung up, too, and one that is connected by the failsafe that
it still carried.
"""

from __future__ import annotations

from hookflash import commands as c
from hookflash import events as e
from hookflash.fsm.transfer import Party, Place, Transfer
from hookflash.fsm.work import LOST_TRACK, Work


def heir(t: Transfer) -> Party | None:
    """The rival that takes over if the target can't be had."""
    return next((one for one in t.rivals if one.lives and not one.dismissed), None)


def take_over(work: Work, rival: Party) -> None:
    """Give a rival the role of the target. The target, if it lives, becomes a rival."""
    t = work.transfer
    left = (t.target,) if t.target.lives else ()
    others = tuple(one for one in t.rivals if one is not rival)
    work.note(target=rival, rivals=left + others, failsafe=None)


def hear(work: Work, event: e.LegFact, rival: Party) -> str | None:
    """Write what an event says about a rival.

    Returns:
        What became of it; `None`: it has taken over, and the event is about the target.
    """
    match event:
        case e.LegHungUp(cause=cause):
            if not rival.called and cause == LOST_TRACK:
                return "The switch does not know this target yet."
            _drop(work, rival)
            return "One of the targets can't be had."
        case e.LegMovedAway():
            _drop(work, rival)
            work.order(c.Forget(legs=(rival.leg,)))
            return "Another program has taken one of the targets."
        case e.LegAnswered() | e.LegParked():
            if _comes_first(work.transfer, rival):
                take_over(work, rival)
                return None
            _hang_up(work, rival, answered=True)
            return "Another target has answered first: this one is hung up."
        case _:
            if not rival.called:
                work.rewrite(rival, called=True)
            return "One of the targets is being called."


def is_fetched(work: Work, ours: Party, rival: Party) -> str | None:
    """A party is joined with a rival: by the failsafe, which is older than the last decision.

    Returns:
        What is done; `None`: the rival has taken over, so that the join is one with the target.
    """
    if _comes_first(work.transfer, rival):
        take_over(work, rival)
        return None
    work.place(ours, Place.MOVING)
    _hang_up(work, rival, answered=True)
    return "The switch has connected a target that was to be released: it is hung up."


def let_go(work: Work) -> None:
    """Hang up the rivals of a target that has answered or is released, until it is seen."""
    t = work.transfer
    over = t.target.answered or t.target.dismissed or t.target.place is Place.GONE
    for rival in t.rivals:
        if not rival.lives:
            if over:
                _drop(work, rival)
        elif rival.dismissed:
            if work.overdue:
                _hang_up(work, rival, answered=rival.answered)
        elif over:
            _hang_up(work, rival, answered=False)


def _comes_first(t: Transfer, rival: Party) -> bool:
    return not (rival.dismissed or t.target.answered or t.target.dismissed or t.outcome)


def _hang_up(work: Work, rival: Party, *, answered: bool) -> None:
    cause = "NORMAL_CLEARING" if answered else "ORIGINATOR_CANCEL"
    work.order(c.HangUp(leg=rival.leg, cause=cause))
    work.rewrite(rival, dismissed=True, called=True, answered=answered)


def _drop(work: Work, rival: Party) -> None:
    work.note(rivals=tuple(one for one in work.transfer.rivals if one is not rival))
