"""Observe: what an event says about the parties, and what it amounts to.

One function for each type of event. It writes what the event says into the working copy, and
returns the input of the table that the event amounts to, or a sentence: a fact that only moves
legs, or the reason why it is no news (`NoNews`). Duplicates, late events of legs that are gone,
and timers that were overtaken are recognized here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from hookflash import commands as c
from hookflash import events as e
from hookflash.events import LegId
from hookflash.fsm.inputs import Input
from hookflash.fsm.transfer import Party, Place, Role, Wait
from hookflash.fsm.work import Work

LOST_TRACK = "LOST_TRACK"
"""The cause of a hang-up that was not seen: the switch was asked, and does not know the leg."""

News: TypeAlias = Input | str


class NoNews(str):
    """Why nothing is learned from an event. Nothing is done for it."""

    __slots__ = ()


REPEAT = NoNews("Duplicate event, ignored.")
LATE = NoNews("Late event of a leg that is gone, ignored.")
CROSSED = NoNews("Late event of a join from before the separation, ignored.")
OVERTAKEN = NoNews("Overtaken timer, ignored.")
SETTLED = NoNews("Late answer of the switch, ignored.")
NOT_YET = NoNews("The switch does not know the target yet.")
STRANGER = NoNews("About legs of another call.")
AWAY = NoNews("The connection to the switch is down.")
BACK = NoNews("The connection to the switch is up again.")
NOT_HERE = NoNews("No event of a transfer.")
OLD_JOIN = NoNews("Failure of a join that another has replaced, ignored.")

ASKED = "The timeout has passed. An event may have been lost, so the switch is asked first."
TIME_IS_UP = "The timeout has passed, and no event was lost."
ALL_HEAR = "All parties hear the sound that was ordered."
TOO_LATE = "One of the two is gone. The switch is asked where the other is."

_HUNG_UP = {
    Role.TRANSFEROR: Input.TRANSFEROR_HUNG_UP,
    Role.TRANSFEREE: Input.TRANSFEREE_HUNG_UP,
    Role.TARGET: Input.TARGET_FAILED,
}
_JOINED: dict[frozenset[Role | None], News] = {
    frozenset((Role.TRANSFEROR, Role.TRANSFEREE)): Input.REUNITED,
    frozenset((Role.TRANSFEROR, Role.TARGET)): "Transferor and target are talking.",
    frozenset((Role.TRANSFEREE, Role.TARGET)): Input.HANDED_OVER,
}


def observe(work: Work) -> News:
    """Write what the event says, and return what it amounts to."""
    return _OBSERVERS[type(work.event)](work, work.event)


def _created(work: Work, event: e.LegCreated) -> News:
    party = work.party_of(event.leg)
    if party is None:
        return STRANGER
    if party is not work.transfer.target or party.place is Place.GONE or work.transfer.called:
        return REPEAT
    work.note(called=True)
    work.rewrite(party, outside=event.outside, withheld=event.withheld)
    return "The target is being called."


def _identified(work: Work, event: e.LegIdentified) -> News:
    party = work.party_of(event.leg)
    if party is None:
        return STRANGER
    if event.outside is not None:
        work.rewrite(party, outside=event.outside)
    if event.withheld is not None:
        work.rewrite(party, withheld=event.withheld)
    return "The party of the leg is identified."


def _rang(work: Work, event: e.LegProgressed) -> News:
    target = work.transfer.target
    if event.leg != target.leg or target.place is not Place.RINGING:
        return REPEAT
    work.note(called=True)
    return "The target's phone rings."


def _answered(work: Work, event: e.LegAnswered) -> News:
    target = work.transfer.target
    if event.leg != target.leg or target.answered or not target.lives:
        return REPEAT
    work.note(called=True)
    work.rewrite(target, answered=True, place=Place.MOVING)
    transferee = work.transfer.transferee
    if work.transfer.rescue_on_answer and transferee.place is Place.PARKED:
        work.place(transferee, Place.MOVING)  # the switch connects it on its own, as ordered
    return Input.TARGET_ANSWERED


def _parked(work: Work, event: e.LegParked) -> News:
    party = work.party_of(event.leg)
    role = work.role_of(event.leg)
    if party is None or role is None:
        return STRANGER
    if not party.lives:
        return LATE
    if party.place is Place.PARKED:
        return REPEAT
    if role is Role.TARGET and not party.answered:  # the news of its answer was lost
        work.note(called=True)
        work.rewrite(party, answered=True, place=Place.PARKED)
        return Input.TARGET_ANSWERED
    work.place(party, Place.PARKED)
    _leave_behind(work, (party.leg,))
    if role is not Role.TARGET:
        work.note(separated=True)
    return f"The {role} is parked."


def _joined(work: Work, event: e.LegsJoined) -> News:
    first, second = work.party_of(event.first), work.party_of(event.second)
    if first is None or second is None:
        return _taken_away(work, event)
    if not (first.lives and second.lives):
        return LATE
    if first.peer == second.leg and second.peer == first.leg:
        return REPEAT
    roles = frozenset((work.role_of(event.first), work.role_of(event.second)))
    if _JOINED[roles] is Input.REUNITED and not work.transfer.separated:
        return CROSSED
    if work.transfer.joining in ((event.first, event.second), (event.second, event.first)):
        work.note(joining=None)
    if work.transfer.transferee.leg in (event.first, event.second):
        work.note(armed=False)
    target = work.transfer.target
    if target.leg in (event.first, event.second) and not target.answered:
        work.note(called=True)
        work.rewrite(target, answered=True)  # the news of its answer was lost
    _leave_behind(work, (event.first, event.second))
    for leg, peer in ((event.first, event.second), (event.second, event.first)):
        party = work.party_of(leg)
        if party is not None:
            work.place(party, Place.JOINED, peer=peer)
    work.joined = True
    return _JOINED[roles]


def _taken_away(work: Work, event: e.LegsJoined) -> News:
    """Another program has joined one of our legs with a stranger: it has left the transfer, alive.

    A hang-up would end a conversation, so the leg counts as gone from here on.
    """
    leg = event.first if work.party_of(event.first) is not None else event.second
    return _leaves_us(work, leg)


def _moved_away(work: Work, event: e.LegMovedAway) -> News:
    return _leaves_us(work, event.leg)


def _leaves_us(work: Work, leg: LegId) -> News:
    party, role = work.party_of(leg), work.role_of(leg)
    if party is None or role is None:
        return STRANGER
    if not party.lives:
        return LATE
    news = _gone(work, party, role, "TAKEN_AWAY")
    work.order(c.Forget(legs=(leg,)))  # it lives on, and must carry nothing of ours
    return news


def _leave_behind(work: Work, legs: tuple[LegId, ...]) -> None:
    """The partner of one of these legs is on its way: parked soon, or gone."""
    for party in work.transfer.parties:
        if party.peer in legs and party.leg not in legs:
            work.place(party, Place.MOVING)


def _separated(work: Work, event: e.LegsSeparated) -> News:
    if {event.first, event.second} == {work.transfer.transferor.leg, work.transfer.transferee.leg}:
        work.note(separated=True)
    for leg, peer in ((event.first, event.second), (event.second, event.first)):
        party = work.party_of(leg)
        if party is not None and party.peer == peer:
            work.place(party, Place.MOVING)
    return "The two are separated."


def _released(work: Work, event: e.LegsReleased) -> News:
    legs = {work.transfer.transferor.leg, work.transfer.target.leg}
    if {event.first, event.second} != legs or work.transfer.waits_for is not Wait.ORDINARY:
        return REPEAT
    work.note(armed=False)
    return "Transferor and target are an ordinary call."


def _sound_started(work: Work, event: e.SoundStarted) -> News:
    party = work.party_of(event.leg)
    if party is None or party.sound is None or party.hears:
        return REPEAT
    wanted = not party.overtaken
    work.rewrite(party, coming=False, hears=wanted, heard=wanted)
    return "The sound has started."


def _sound_stopped(work: Work, event: e.SoundStopped) -> News:
    party = work.party_of(event.leg)
    if party is None or not party.hears or party.sound is None:
        return REPEAT
    # a sound that ends before its timeout is as bad as a missing one
    work.rewrite(party, hears=False, heard=work.transfer.sound_timer is None)
    return "A sound has ended."


def _hung_up(work: Work, event: e.LegHungUp) -> News:
    party, role = work.party_of(event.leg), work.role_of(event.leg)
    if party is None or role is None:
        return STRANGER
    if not party.lives:
        return LATE
    if party is work.transfer.target and not work.transfer.called and event.cause == LOST_TRACK:
        return NOT_YET
    return _gone(work, party, role, event.cause)


def _gone(work: Work, party: Party, role: Role, cause: str) -> News:
    work.place(party, Place.GONE)
    _leave_behind(work, (party.leg,))
    joining = work.transfer.joining
    if joining is not None and party.leg in joining:
        work.note(joining=None)
    if role is Role.TARGET and work.transfer.cause is None and work.transfer.outcome is None:
        work.note(cause=cause)
    if not any(one.lives for one in work.transfer.parties):
        return Input.EVERYONE_GONE
    return _HUNG_UP[role]


def _failed(work: Work, event: e.CommandFailed) -> News:
    """An order was refused. The consequence depends on what the transfer waits for."""
    t = work.transfer
    order = event.command
    if isinstance(order, c.Join):
        if order.attempt != t.joins_ordered:
            return OLD_JOIN
        if t.joining is None or t.tries >= t.policy.join_attempts:
            work.note(where_look=work.look())  # one may be gone without an event
        if t.joining is None:
            return TOO_LATE
        work.note(joining=None)
    work.refused = type(order)
    return f"The switch has refused an order ({type(order).__name__}): {event.reason}"


def _fired(work: Work, event: e.TimerFired) -> News:
    """A deadline counts only after the switch has confirmed that no event was missed."""
    t = work.transfer
    if event.timer == t.deadline:
        work.note(deadline=None)
        if t.overdue_look is not None and t.looks_left == 0:
            work.overdue = True
            return TIME_IS_UP
        work.look_for_deadline()
        return ASKED
    if event.timer != t.sound_timer:
        return OVERTAKEN
    work.note(sound_timer=None)
    if t.sound_look is not None:
        work.sounds_due = True
        return TIME_IS_UP
    if not any(party.waits_in_silence for party in t.parties):
        return ALL_HEAR
    work.look_for_sounds()
    return ASKED


def _seen(work: Work, event: e.LegsSeen) -> News:
    """The facts of the answer came as events before it."""
    t = work.transfer
    if event.look.transfer != t.id:
        return STRANGER
    if event.look.number == t.overdue_look:
        work.set_deadline(None)
        work.overdue = True
        return TIME_IS_UP
    if event.look.number == t.sound_look:
        work.set_sound_timer(None)
        work.sounds_due = True
        return TIME_IS_UP
    return SETTLED


_OBSERVERS: dict[type, Callable[[Work, Any], News]] = {
    e.LegCreated: _created,
    e.LegIdentified: _identified,
    e.LegProgressed: _rang,
    e.LegAnswered: _answered,
    e.LegParked: _parked,
    e.LegsJoined: _joined,
    e.LegsSeparated: _separated,
    e.LegsReleased: _released,
    e.LegsSeen: _seen,
    e.LegMovedAway: _moved_away,
    e.SoundStarted: _sound_started,
    e.SoundStopped: _sound_stopped,
    e.LegHungUp: _hung_up,
    e.CommandFailed: _failed,
    e.TimerFired: _fired,
    e.TransferFound: lambda _work, _event: Input.FOUND,
    e.TransferRequested: lambda _work, _event: Input.REQUESTED,
    e.TakebackRequested: lambda _work, _event: Input.TAKEBACK_ASKED,
    e.CompleteRequested: lambda _work, _event: Input.COMPLETE_ASKED,
    e.SwitchLost: lambda _work, _event: AWAY,
    e.SwitchFound: lambda _work, _event: BACK,
    e.DigitPressed: lambda _work, _event: NOT_HERE,
    e.HangUpRequested: lambda _work, _event: NOT_HERE,
}
