"""Observe: what an event says about the parties, and what it amounts to.

One function for each type of event. It writes what the event says into the working copy, and
returns the input of the table that the event amounts to, or a sentence: a fact that only moves
legs, or the reason why it is no news (`NoNews`). Duplicates, late events of legs that are gone,
and timers that were overtaken are recognized here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from hookflash import commands as c
from hookflash import events as e
from hookflash.events import LegId
from hookflash.fsm import rivals
from hookflash.fsm.inputs import Input
from hookflash.fsm.transfer import Party, Place, Role, State, Wait
from hookflash.fsm.work import LOST_TRACK, Work
from hookflash.sounds import Conversation

News: TypeAlias = Input | str


class NoNews(str):
    """Why nothing is learned from an event. Nothing is done for it."""

    __slots__ = ()


REPEAT = NoNews("Duplicate event, ignored.")
LATE = NoNews("Late event of a leg that is gone, ignored.")
OVERTAKEN = NoNews("Overtaken timer, ignored.")
SETTLED = NoNews("Late answer of the switch, ignored.")
OLD_JOIN = NoNews("Failure of a join that another has replaced, ignored.")
STRANGER = NoNews("About legs of another call.")
NOT_HERE = NoNews("No event of a transfer.")

ASKED = "The timeout has passed. An event may have been lost, so the switch is asked first."
TIME_IS_UP = "The timeout has passed, and no event was lost."
ALL_HEAR = "All parties hear the sound that was ordered."

_HUNG_UP = {
    Role.TRANSFEROR: Input.TRANSFEROR_HUNG_UP,
    Role.TRANSFEREE: Input.TRANSFEREE_HUNG_UP,
    Role.TARGET: Input.TARGET_FAILED,
}
_JOINED: dict[frozenset[Role], News] = {
    frozenset((Role.TRANSFEROR, Role.TRANSFEREE)): Input.REUNITED,
    frozenset((Role.TRANSFEROR, Role.TARGET)): "Transferor and target are talking.",
    frozenset((Role.TRANSFEREE, Role.TARGET)): Input.HANDED_OVER,
}


def observe(work: Work) -> News:
    """Write what the event says, and return what it amounts to."""
    event: Any = work.event
    kind = type(work.event)
    if kind in _OF_ONE_LEG:
        party = work.party_of(event.leg)
        if party is None:
            rival = work.rival_of(event.leg)
            if rival is None:
                return STRANGER
            if not rival.lives:
                return LATE
            if (became := rivals.hear(work, event, rival)) is not None:
                return became
            party = work.transfer.target
        if not party.lives:
            return LATE  # or too early: nobody has called it
        return _OF_ONE_LEG[kind](work, event, party)
    return _SAYS[kind] if kind in _SAYS else _OF_OTHERS[kind](work, event)


# ------------------------------------------------------------ what happens to one leg


def _created(work: Work, event: e.LegCreated, party: Party) -> News:
    if not party.rings or party.called:
        return REPEAT
    role = work.role_of(party)
    work.rewrite(party, called=True, outside=event.outside, withheld=event.withheld)
    return f"The {role} is being called."


def _identified(work: Work, event: e.LegIdentified, party: Party) -> News:
    outside = party.outside if event.outside is None else event.outside
    withheld = party.withheld if event.withheld is None else event.withheld
    work.rewrite(party, outside=outside, withheld=withheld)
    return "The party of the leg is identified."


def _rang(work: Work, _event: e.LegProgressed, party: Party) -> News:
    if not party.rings:
        return REPEAT
    role = work.role_of(party)
    work.rewrite(party, called=True)
    return f"The {role}'s phone rings."


def _answered(work: Work, _event: e.LegAnswered, party: Party) -> News:
    if party.answered:
        return REPEAT
    return _has_answered(work, party, Place.MOVING)


def _has_answered(work: Work, party: Party, place: Place) -> News:
    role = work.role_of(party)
    work.rewrite(party, called=True, answered=True, place=place)
    return Input.TARGET_ANSWERED if role is Role.TARGET else f"The {role} has answered."


def _parked(work: Work, _event: e.LegParked, party: Party) -> News:
    if party.place is Place.PARKED:
        if not party.takes_part:
            return REPEAT
        role = work.role_of(party)
        work.rewrite(party, sound=None, hears=False, heard=False)
        return f"The {role} is parked."
    if not party.answered:  # the news of its answer was lost
        return _has_answered(work, party, Place.PARKED)
    if party is not work.transfer.target:
        work.note(separated=True)
    news = f"The {work.role_of(party)} is parked."
    work.place(party, Place.PARKED)
    _leave_behind(work, party.leg)
    return news


def _moved_away(work: Work, _event: object, party: Party) -> News:
    """Another program has taken a leg: it has left the transfer, alive, so it is not hung up.

    A caller that is still to be parked is where it was; one that was sent back is there.
    """
    t = work.transfer
    seen = isinstance(work.event, e.LegMovedAway)
    if seen and t.has_no_transferor and t.waits_for is Wait.SEPARATED and party is t.transferee:
        return NoNews("The caller is still where it was.")
    if seen and party.place is Place.ELSEWHERE:
        return NoNews("The party that picks up is still where it was.")
    if t.waits_for is Wait.RETURNED and t.tries and party is t.transferee:
        work.place(party, Place.GONE)
        return "The caller is back where it came from."
    news = _gone(work, party, "TAKEN_AWAY")
    work.order(c.Forget(legs=(party.leg,)))  # it must carry nothing of ours
    return news


def _sound_started(work: Work, event: e.SoundStarted, party: Party) -> News:
    if isinstance(event.sound, Conversation):
        return _takes_part(work, event.sound, party)
    if party.sound is None or party.hears or party.takes_part:
        return REPEAT
    wanted = not party.overtaken
    work.rewrite(party, coming=False, hears=wanted, heard=wanted)
    return "The sound has started."


def _takes_part(work: Work, conversation: Conversation, party: Party) -> News:
    if party.place not in (Place.MOVING, Place.PARKED) or not party.answered:
        return REPEAT
    if party.sound == conversation and party.hears:
        return REPEAT
    role = work.role_of(party)
    work.place(party, Place.PARKED)
    work.rewrite(
        work.transfer.party(role),
        sound=conversation,
        coming=False,
        overtaken=False,
        hears=True,
        heard=True,
    )
    return f"The {role} takes part in the conversation."


def _sound_stopped(work: Work, event: e.SoundStopped, party: Party) -> News:
    if isinstance(event.sound, Conversation):
        if not party.takes_part or party.place is not Place.PARKED:
            return REPEAT
        role = work.role_of(party)
        work.place(party, Place.MOVING)  # it will be parked, or is being joined
        return f"The {role} takes part in the conversation no longer."
    if not party.hears or party.sound is None or party.takes_part:
        return REPEAT
    # a sound that ends before its timeout is as bad as a missing one
    t = work.transfer
    prompted = (party is t.target and work.state is State.ACCEPTING) or (
        party is t.transferor and work.state is State.FAILURE_HEARD
    )
    if party is t.transferee and party.sound == t.policy.announcement:
        work.note(announced=True)
    work.rewrite(party, hears=False, heard=prompted or t.sound_timer is None)
    return "A sound has ended."


def _hung_up(work: Work, event: e.LegHungUp, party: Party) -> News:
    if party.rings and not party.called and event.cause == LOST_TRACK:
        return NoNews(f"The switch does not know the {work.role_of(party)} yet.")
    return _gone(work, party, event.cause)


def _gone(work: Work, party: Party, cause: str) -> News:
    t = work.transfer
    role = work.role_of(party)
    work.place(party, Place.GONE)
    _leave_behind(work, party.leg)
    heir = rivals.heir(t) if role is Role.TARGET and not party.answered else None
    if heir is not None and not party.dismissed:
        rivals.take_over(work, heir)
        return "One of the targets can't be had. Others are still being called."
    for other in t.parties:  # it is parked when the conversation ends in which it takes part
        if other.sound == Conversation(party.leg) and other.place is Place.PARKED:
            work.place(other, Place.MOVING)
    if t.joining is not None and party.leg in t.joining:
        work.note(joining=None)
    if role is Role.TARGET and t.cause is None and t.outcome is None:
        work.note(cause=cause)
    return _HUNG_UP[role] if any(one.lives for one in t.parties) else Input.EVERYONE_GONE


def _leave_behind(work: Work, *legs: LegId) -> None:
    """The partner of one of these legs is on its way: parked soon, or gone."""
    for party in work.transfer.parties:
        if party.peer in legs and party.leg not in legs:
            work.place(party, Place.MOVING)


# ------------------------------------------------------------ what happens to two


def _joined(work: Work, event: e.LegsJoined) -> News:
    pair = (event.first, event.second)
    if (became := _joined_with_rival(work, *pair)) is not None:
        return became
    first, second = map(work.party_of, pair)
    if first is None or second is None:
        return _joined_with_stranger(work, event, first or second)
    if not (first.lives and second.lives):
        return LATE
    if first.peer == second.leg and second.peer == first.leg:
        return REPEAT
    news = _JOINED[frozenset((work.role_of(first), work.role_of(second)))]
    if news is Input.REUNITED and not work.transfer.separated:
        return NoNews("Late event of a join from before the separation, ignored.")
    _talk(work, *pair)
    return news


def _joined_with_stranger(work: Work, event: e.LegsJoined, ours: Party | None) -> News:
    if ours is None:
        return STRANGER
    return _moved_away(work, event, ours) if ours.lives else LATE


def _joined_with_rival(work: Work, first: LegId, second: LegId) -> str | None:
    rival = work.rival_of(first) or work.rival_of(second)
    ours = work.party_of(first) or work.party_of(second)
    if rival is None or ours is None or not (rival.lives and ours.lives):
        return None
    return rivals.is_fetched(work, ours, rival)


def _talk(work: Work, *pair: LegId) -> None:
    t = work.transfer
    if t.to_be_rescued.leg in pair:
        work.note(armed=False)
    if t.joining in (pair, pair[::-1]):
        work.note(joining=None)
        if t.joined_for is not None:
            work.note(armed=True, rescued=t.joined_for)
    for party in t.parties:
        if party.leg in pair and not party.answered:
            work.rewrite(party, called=True, answered=True)  # the news of its answer was lost
    if t.transferee.leg in pair:
        work.note(announced=True)  # it is too late for that
    if t.target.leg in pair:
        # the first that talks is the one, and there is nothing left to ask
        work.note(accepted=True, further=())
    _leave_behind(work, *pair)
    for leg, peer in (pair, pair[::-1]):
        if (party := work.party_of(leg)) is not None:
            work.place(party, Place.JOINED, peer=peer)
    work.joined = True


def _separated(work: Work, event: e.LegsSeparated) -> News:
    pair = (event.first, event.second)
    if {*pair} == {work.transfer.transferor.leg, work.transfer.transferee.leg}:
        work.note(separated=True)
    for leg, peer in (pair, pair[::-1]):
        party = work.party_of(leg)
        if party is not None and party.peer == peer:
            work.place(party, Place.MOVING)
    return "The two are separated."


def _released(work: Work, event: e.LegsReleased) -> News:
    first, second = work.party_of(event.first), work.party_of(event.second)
    ours = first is not None and second is not None and first.peer == second.leg
    if not ours or work.transfer.waits_for is not Wait.ORDINARY:
        return REPEAT
    work.note(armed=False, released=True)
    return "The two are an ordinary call."


# ------------------------------------------------------------ what people say


def _number_given(work: Work, event: e.NumberGiven) -> News:
    """The number comes after the request. Until the two are parked, it is only noted."""
    if work.transfer.lacks_number:
        work.rewrite(work.transfer.target, number=event.target)
    return Input.NUMBER_GIVEN


def _accepted(work: Work, _event: e.AcceptRequested) -> News:
    work.note(accepted=True)  # if the table refuses it, nothing was written
    return Input.TARGET_ACCEPTED


def _found(work: Work, event: e.TransferFound) -> News:
    """A target has accepted, if it was asked, that talks, or was in a state that follows."""
    talks = work.transfer.target.place is Place.JOINED
    work.note(accepted=talks or event.state in _AFTER_ACCEPTANCE)
    return Input.FOUND


_AFTER_ACCEPTANCE = frozenset(
    state.value for state in (State.CONSULTING, State.SWAPPED, State.COMPLETING)
)


# ------------------------------------------------------------ what becomes of orders


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
            return "One of the two is gone. The switch is asked where the other is."
        work.note(joining=None)
    if isinstance(order, c.Dial) and (rival := work.rival_of(order.leg)) is not None:
        return rivals.hear(work, e.LegHungUp(leg=rival.leg), rival) or NOT_HERE
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
    elif event.look.number == t.sound_look:
        work.set_sound_timer(None)
        work.sounds_due = True
    else:
        return SETTLED
    return TIME_IS_UP


_OF_ONE_LEG: dict[type, Callable[[Work, Any, Party], News]] = {
    e.LegCreated: _created,
    e.LegIdentified: _identified,
    e.LegProgressed: _rang,
    e.LegAnswered: _answered,
    e.LegParked: _parked,
    e.LegMovedAway: _moved_away,
    e.SoundStarted: _sound_started,
    e.SoundStopped: _sound_stopped,
    e.LegHungUp: _hung_up,
}
_OF_OTHERS: dict[type, Callable[[Work, Any], News]] = {
    e.LegsJoined: _joined,
    e.LegsSeparated: _separated,
    e.LegsReleased: _released,
    e.LegsSeen: _seen,
    e.NumberGiven: _number_given,
    e.AcceptRequested: _accepted,
    e.TransferFound: _found,
    e.CommandFailed: _failed,
    e.TimerFired: _fired,
}
_SAYS: Mapping[type, News] = {
    e.TransferRequested: Input.REQUESTED,
    e.TakebackRequested: Input.TAKEBACK_ASKED,
    e.CompleteRequested: Input.COMPLETE_ASKED,
    e.NumberRejected: Input.NUMBER_WRONG,
    e.SwapRequested: Input.SWAP_ASKED,
    e.DeclineRequested: Input.TARGET_DECLINED,
    e.ThreeWayRequested: Input.THREE_WAY_ASKED,
    e.PickUpRequested: Input.PICK_UP_ASKED,
    e.SwitchLost: NoNews("The connection to the switch is down."),
    e.SwitchFound: NoNews("The connection to the switch is up again."),
    e.DigitPressed: NOT_HERE,
    e.HangUpRequested: NOT_HERE,
}
