"""Arrange: from where the legs are to where the state wants them, one order at a time.

A state of a table declares an `Arrangement`: who talks, who waits and hears what, who is called,
who leaves. After every event `arrange` compares it with the facts and gives the next orders, or
none; called twice, it gives none the second time. The result goes back to the table as one of two
inputs (`verdict`): *arranged*, facts prove it; *unarrangeable*, all attempts have failed.
Everything that is difficult about moving legs stands here, and nowhere else:

* A leg between an order and its proof is `MOVING`, and nothing relies on where it was before.
* One join at a time, numbered. The timeout doubles with each further attempt.
* A second join right after the first would end a leg: a leg that is parked while it is being joined
  was, as a rule, about to be parked when the join was ordered. So the first join is waited for.
* A failsafe is removed with the join that makes it wrong, and set when two talk.
* A target that has answered stays until the others have each other.
* A sound that ended is played again; one that never started is replaced.
* A hang-up is repeated until it is seen.
* A deadline counts only after the switch was asked whether an event was missed (`Work.overdue`).

A transfer that a restarted controller finds is not special: facts, and no outstanding order.
"""

from __future__ import annotations

from collections.abc import Mapping

from hookflash import commands as c
from hookflash.events import Kind
from hookflash.fsm import rivals
from hookflash.fsm.arrangement import ORDINARY_CALL, Arrangement, Hears
from hookflash.fsm.hearing import expect_to_be_parked, let_hear
from hookflash.fsm.inputs import Input
from hookflash.fsm.policy import backoff_s
from hookflash.fsm.transfer import Outcome, Party, Place, Role, Transfer, Wait
from hookflash.fsm.work import Work
from hookflash.sounds import Conversation

# ------------------------------------------------------------------- the results


def verdict(work: Work, want: Arrangement) -> Input | None:
    """The result that the table has to hear of its arrangement, if any."""
    t = work.transfer
    if t.outcome is None and want.talk is not None and talk(*the_two(t, want.talk)):
        _decide(work, want.outcome)
    if work.sounds_due and not work.prompt_told and _is_heard_out(t, want):
        work.prompt_told = True
        return Input.PROMPT_HEARD
    if t.outcome is None and want.returns and not t.transferee.lives:
        _decide(work, want.outcome)
    if work.overdue or work.refused is not None:
        failure = _failure(work, want)
        if failure is not None:
            return failure
    if t.arranged or want is ORDINARY_CALL or not _stands(t, want):
        return None
    work.note(arranged=True)
    return Input.ARRANGED


def _is_heard_out(t: Transfer, want: Arrangement) -> bool:
    """Whether a sound that somebody hears alone has ended, and not because of a hang-up.

    Asterisk reports the end of a sound before the hang-up that cut it off. So the switch was asked.
    """
    alone = (t.party(role) for role, hears in want.hears.items() if hears in _HEARD_ALONE)
    return any(party.waits_in_silence and party.heard for party in alone)


_HEARD_ALONE = (Hears.PROMPT, Hears.FAILURE)


def _decide(work: Work, outcome: Outcome | None) -> None:
    """The two talk, so the outcome is decided. A cause remains only where something failed."""
    if outcome in (Outcome.TRANSFERRED, Outcome.TAKEN_BACK):
        work.note(outcome=outcome, cause=None)
    else:
        work.note(outcome=outcome)


_FAILS: Mapping[Wait | None, tuple[str | None, Input]] = {
    Wait.SEPARATED: ("SPLIT_FAILED", Input.UNARRANGEABLE),
    Wait.CALLED: ("DIAL_FAILED", Input.TARGET_FAILED),
    Wait.ANSWER: ("NO_ANSWER", Input.TARGET_FAILED),
    Wait.FREE: ("JOIN_FAILED", Input.UNARRANGEABLE),
    Wait.JOINED: ("JOIN_FAILED", Input.UNARRANGEABLE),
    Wait.STRANDED: ("JOIN_FAILED", Input.UNARRANGEABLE),
    Wait.RETURNED: (None, Input.UNARRANGEABLE),
    Wait.PART: (None, Input.UNARRANGEABLE),
    Wait.PEOPLE: ("HOLD_LIMIT", Input.LIMIT_PASSED),
    Wait.PAUSE: (None, Input.LIMIT_PASSED),
}
"""What it means that a wait has failed: the cause, and the input of the table."""


def _failure(work: Work, want: Arrangement) -> Input | None:
    """The input of a limit that has passed, or of the last attempt that failed."""
    t = work.transfer
    refused = (
        (work.refused is c.Dial and t.waits_for in (Wait.CALLED, Wait.ANSWER))
        or (work.refused is c.Split and t.waits_for is Wait.SEPARATED and _both_live(t))
        or (work.refused is c.Fetch and t.waits_for is Wait.SEPARATED)
        or (work.refused is c.SendBack and t.waits_for is Wait.RETURNED)
    )
    used_up = work.overdue and t.tries >= _attempts(t)
    if t.waits_for not in _FAILS or not (refused or used_up):
        return None
    if t.waits_for is Wait.SEPARATED and t.to_be_fetched is None:
        for party in (t.transferor, t.transferee):
            if party.place is Place.MOVING:  # it is where it was
                work.place(party, Place.JOINED)
    cause, result = _FAILS[t.waits_for]
    heir = rivals.heir(t) if t.waits_for is Wait.CALLED else None
    if heir is not None:
        rivals.take_over(work, heir)
        work.overdue, work.refused = False, None
        work.note(waits_for=None, tries=0)
        return None
    if result is Input.TARGET_FAILED and _absent(t, want) is Role.TRANSFEROR:
        return Input.TRANSFEROR_HUNG_UP  # the cause stays: the transfer had failed before
    if cause is not None:
        work.note(cause="DIAL_FAILED" if work.refused is c.Dial else cause)
    return result


def _attempts(t: Transfer) -> int:
    """How many orders may be given before a wait has failed."""
    match t.waits_for:
        case Wait.SEPARATED:
            together = t.to_be_fetched is not None or _both_live(t)
            return t.policy.split_attempts if together else 0
        case Wait.RETURNED:
            return t.policy.return_attempts if t.transferee.lives else 0
        case Wait.CALLED:
            return t.policy.dial_attempts
        case Wait.FREE | Wait.JOINED | Wait.STRANDED:
            return t.policy.join_attempts
        case Wait.PART:
            return _attempts_to_take_part(t)
        case _:
            return 0


def _attempts_to_take_part(t: Transfer) -> int:
    """After those to join the two."""
    return t.policy.join_attempts + t.policy.sound_attempts


def _both_live(t: Transfer) -> bool:
    return t.transferor.lives and t.transferee.lives


def the_two(t: Transfer, roles: tuple[Role, Role]) -> tuple[Party, Party]:
    """The parties in two roles."""
    return t.party(roles[0]), t.party(roles[1])


def talk(one: Party, other: Party) -> bool:
    """Whether two hear each other."""
    return one.peer == other.leg and other.peer == one.leg


def _stands(t: Transfer, want: Arrangement) -> bool:
    if want.returns:
        return not (t.transferee.lives or t.target.lives)
    if want.talk is None:
        return (
            want.calls is None
            and not want.ends
            and all(
                party.place is Place.PARKED for party in (t.transferor, t.transferee) if party.lives
            )
        )
    if not talk(*the_two(t, want.talk)) or _to_be_released(t, want):
        return False
    if any(rival.lives for rival in t.rivals):
        return False
    return not any(t.party(role).lives for role in want.leaves_then)


def _to_be_released(t: Transfer, want: Arrangement) -> bool:
    """Whether two who talk are not an ordinary call yet."""
    return (want.releases and t.armed) or (want.keeps and not t.released)


# -------------------------------------------------------------------- the orders


def arrange(work: Work, want: Arrangement) -> None:
    """Give the orders that lead from the facts to an arrangement, and wait for their proof."""
    if want.disarms:
        _disarm(work)
    tone_ordered = let_hear(work, want)
    _let_go(work, want)
    if want.ends:
        _end(work, tone_ordered=tone_ordered)
    elif want.returns:
        _send_back(work)
    elif want.talk is not None:
        _bring_together(work, want, want.talk)
    elif want.calls is not None:
        _call(work, want, want.calls)
    elif want.pause is not None:
        _wait(work, Wait.PAUSE, want.pause(work.transfer))
    elif want.limit is not None:
        _await_people(work, want.limit(work.transfer))
    elif (caller := work.transfer.to_be_fetched) is not None:
        _fetch(work, caller)
    else:
        _separate(work)
    expect_to_be_parked(work, want)


def _wait(work: Work, wait: Wait, after_s: float, *, anew: bool = False) -> None:
    """Wait for something; set the deadline if the transfer did not wait for it before."""
    if anew or work.overdue or work.transfer.waits_for is not wait:
        work.note(waits_for=wait)
        work.set_deadline(after_s)


def _disarm(work: Work) -> None:
    """Remove the failsafe of a party that its partner has just left, by parking it once more."""
    t = work.transfer
    alone = (p for p in t.parties if p is not t.to_be_rescued and p.place is Place.PARKED)
    party = next(alone, None)
    if not t.armed or t.tries or party is None:
        return
    work.order(c.Park(leg=party.leg, unless_with=t.legs_beside(party), disarms=True))
    work.place(party, Place.MOVING)
    work.note(tries=1)


def _await_people(work: Work, limit_s: float) -> None:
    """Wait until somebody acts. A target that has just answered is parked first, to be asked."""
    t = work.transfer
    if t.target.place is Place.MOVING and t.tries == 0:
        work.note(tries=int(work.overdue))
        if not work.overdue:
            _wait(work, Wait.FREE, t.policy.join_timeout_s)
            return
    if t.kind is Kind.PARK and t.transferor.lives:  # until its hang-up is seen
        _wait(work, Wait.GONE, t.policy.hangup_timeout_s)
        return
    _wait(work, Wait.PEOPLE, limit_s)


def _separate(work: Work) -> None:
    """Separate the two: park each."""
    t = work.transfer
    first = t.waits_for is not Wait.SEPARATED
    if first or work.overdue:
        work.order(
            c.Split(
                first=t.transferor.leg,
                second=t.transferee.leg,
                transfer=t.id,
                kind=t.kind.value,
                undisclosed=tuple(p.leg for p in (t.transferor, t.transferee) if p.outside),
                repeated=not first,
            )
        )
        work.note(tries=t.tries + 1)
        work.why = "The two are being separated." if first else "The separation is being repeated."
    if first:
        work.place(t.transferor, Place.MOVING)
        work.place(t.transferee, Place.MOVING)
    _wait(work, Wait.SEPARATED, backoff_s(t.policy.split_timeout_s, t.tries))


def _fetch(work: Work, caller: Party) -> None:
    """Park a caller who talks with nobody, or the party that picks up a parked call."""
    t = work.transfer
    first = t.waits_for is not Wait.SEPARATED
    if first or work.overdue:
        work.order(
            c.Fetch(
                leg=caller.leg,
                transfer=t.id,
                role=work.role_of(caller).value,
                kind=t.kind.value,
                return_to=t.return_to,
                return_after_s=_return_after_s(t) if t.return_to else None,
                undisclosed=caller.outside,
                repeated=not first,
            )
        )
        work.note(tries=t.tries + 1)
        work.why = "The caller is being parked." if first else "The order to park is repeated."
    _wait(work, Wait.SEPARATED, backoff_s(t.policy.split_timeout_s, t.tries))


ALONE_S = 30.0
"""How much longer than all phones may ring a caller waits for a controller. Then the switch on its
own sends the caller back."""


def _return_after_s(t: Transfer) -> float:
    calls = 2 if t.policy.fallback_target else 1
    policy = t.policy
    asked_s = policy.accept_limit_s if policy.target_accepts else policy.briefing_limit_s
    asked_s = asked_s if t.target_waits else 0.0
    return calls * t.policy.ring_timeout_s + asked_s + ALONE_S


def _send_back(work: Work) -> None:
    """Send the caller back where it came from, once it is parked and nobody can take it."""
    t = work.transfer
    caller = t.transferee
    if not caller.lives:
        _wait(work, Wait.GONE, t.policy.hangup_timeout_s)
        return
    first = t.tries == 0
    if work.overdue or (first and caller.place is Place.PARKED and not t.target.lives):
        work.order(c.SendBack(leg=caller.leg, to=t.return_to))
        work.place(caller, Place.MOVING)
        work.note(tries=t.tries + 1)
        work.why = "The caller is being sent back." if first else "The order is being repeated."
        after_s = backoff_s(t.policy.return_timeout_s, work.transfer.tries)
        _wait(work, Wait.RETURNED, after_s, anew=True)
    else:
        _wait(work, Wait.RETURNED, t.policy.rescue_timeout_s)


# --- calling


def _absent(t: Transfer, want: Arrangement) -> Role | None:
    """The party that is to be called, if any."""
    if want.talk is None:
        return want.calls
    return next((role for role in want.talk if not t.party(role).answered), None)


def _call(work: Work, want: Arrangement, role: Role) -> None:
    """Call a party, and wait until it answers."""
    t = work.transfer
    party = t.party(role)
    called = (party, *t.rivals) if role is Role.TARGET else (party,)
    rings_s = max(ring_timeout_s(t, one) for one in called) + t.policy.dial_grace_s
    if party.place is Place.UNBORN or (work.overdue and not party.called):
        _dial(work, party)
    elif party.called and _joins_on_answer(t, want, role) and t.failsafe is not c.Trigger.ANSWER:
        _arm(work, party, t.transferee, c.Trigger.ANSWER)
        work.note(armed=True, rescued=Role.TRANSFEREE, failsafe=c.Trigger.ANSWER)
    for rival in called[1:]:
        if rival.place is Place.UNBORN or (work.overdue and not rival.called):
            _ring(work, rival)
    if work.transfer.party(role).called:
        _wait(work, Wait.ANSWER, rings_s)
    else:
        _wait(work, Wait.CALLED, min(t.policy.dial_timeout_s, rings_s))


def _joins_on_answer(t: Transfer, want: Arrangement, role: Role) -> bool:
    """Whether the switch on its own connects the transferee with the party that answers.

    Not with a target that hears something first: nobody asks it while the controller is dead.
    """
    waits = role is Role.TARGET and t.target_waits
    return want.failsafe is c.Trigger.ANSWER and t.transferee.lives and not waits


def ring_timeout_s(t: Transfer, party: Party) -> float:
    """How long a party's phone may ring."""
    if party is t.transferor:
        return t.policy.recall_ring_timeout_s
    return t.policy.ring_timeout_s if party.ring_timeout_s is None else party.ring_timeout_s


def _dial(work: Work, party: Party) -> None:
    """Call a party. It is armed as soon as its leg is known (`_arm`)."""
    work.why = f"The {work.role_of(party)} is being called."
    _ring(work, party)
    work.note(tries=work.transfer.tries + 1, armed=False, rescued=Role.TRANSFEREE, failsafe=None)


def _ring_all(work: Work, *parties: Party) -> None:
    """Call those who have not been called yet."""
    for party in parties:
        if party.place is Place.UNBORN:
            _ring(work, party)


def _ring(work: Work, party: Party) -> None:
    """Call the target for the transferor, or, in a recall, the transferor for the transferee.

    Only who stands in for the target gets what the request gave along: a redialled target, and a
    fallback target, which deals with the same case. A transferor who is called back did not ask for
    a ticket's number on the phone, and sees the transferee.
    """
    t = work.transfer
    role = work.role_of(party)
    is_recall = role is Role.TRANSFEROR
    caller = t.transferee if is_recall or t.has_no_transferor else t.transferor
    context = None if is_recall else t.context
    work.order(
        c.Dial(
            leg=party.leg,
            target=party.number,
            on_behalf_of=caller.leg,
            caller=caller.number if is_recall else t.policy.caller_number or caller.number,
            caller_name="" if is_recall else t.policy.caller_name,
            withheld=caller.withheld,
            caller_prefix=t.policy.recall_prefix if is_recall else "",
            variables=context.variables if context else (),
            headers=context.headers if context else (),
            account=t.account,
            owner_id=t.owner_id if is_recall else "",
            ring_timeout_s=ring_timeout_s(t, party),
            transfer=t.id,
            role=role.value,
        )
    )
    work.place(party, Place.RINGING)


def _arm(work: Work, party: Party, rescued: Party, when: c.Trigger) -> None:
    undisclosed = when is c.Trigger.ANSWER and (party.outside or rescued.withheld)
    work.order(c.Arm(leg=party.leg, rescue=rescued.leg, when=when, undisclosed=undisclosed))


# --- joining


def _bring_together(work: Work, want: Arrangement, roles: tuple[Role, Role]) -> None:
    """Join the two who are to talk, one join at a time, until facts prove that they do."""
    t = work.transfer
    if t.waits_for is Wait.SEPARATED and t.target.place is not Place.ELSEWHERE:
        work.note(tries=0)  # it was fetched: the attempts to join begin
    one, other = the_two(t, roles)
    if (absent := _absent(t, want)) is not None:
        _call(work, want, absent)
    elif Place.ELSEWHERE in (one.place, other.place):
        _fetch(work, other)
    elif talk(one, other):
        _keep(work, want, roles)
    elif _is_due(work, one, other):
        _join(work, want, roles)
        _wait(work, Wait.JOINED, backoff_s(t.policy.join_timeout_s, t.tries), anew=True)
    elif t.joining is None:
        # a failsafe may be connecting the transferee right now: ask before it acts
        _wait(work, Wait.FREE, t.policy.rescue_timeout_s if t.armed else t.policy.join_timeout_s)
    elif Place.PARKED in (one.place, other.place):
        _wait(work, Wait.STRANDED, backoff_s(t.policy.rescue_timeout_s, t.tries))
    else:
        _wait(work, Wait.JOINED, backoff_s(t.policy.join_timeout_s, t.tries))


def _who_waits(roles: tuple[Role, Role]) -> Role:
    """The third party: if one of the two leaves, the switch on its own connects it."""
    return next(role for role in Role if role not in roles)


def _is_due(work: Work, one: Party, other: Party) -> bool:
    """Whether to order a join now: both legs are settled, or the last join has failed."""
    t = work.transfer
    if t.tries >= t.policy.join_attempts:
        return False
    if work.overdue or work.refused is c.Join:
        return True
    return t.joining is None and one.settled and other.settled


def _join(work: Work, want: Arrangement, roles: tuple[Role, Role]) -> None:
    t = work.transfer
    one, other = the_two(t, roles)
    waits = t.party(third := _who_waits(roles))
    expected = waits.lives or (waits.place is Place.UNBORN and want.calls is third)
    goes_on = want.failsafe is c.Trigger.LEFT_ALONE and expected
    watched = goes_on and waits.answered
    rescued = t.to_be_rescued
    pair = (one.leg, other.leg)
    hidden = watched and waits.withheld
    undisclosed = tuple(
        party.leg
        for party, partner in ((one, other), (other, one))
        if party.outside or partner.withheld or hidden
    )
    work.order(
        c.Join(
            first=one.leg,
            second=other.leg,
            attempt=t.joins_ordered + 1,
            repeated=t.joining == pair,
            transfer=t.id,
            afterwards=c.Afterwards.PARK if goes_on or want.keeps else c.Afterwards.END,
            rescue=waits.leg if watched else None,
            disarm=tuple(
                p.leg
                for p in t.everybody
                if t.armed and p.lives
                if p is not rescued or (t.rescued is None and p in (one, other))
            ),
            rescued=rescued.leg if t.armed and rescued.lives else "",
            stays=t.transferee.leg if t.return_to else "",
            undisclosed=undisclosed,
        )
    )
    for party in t.parties:
        if party.lives and (party.leg in pair or party.peer in pair):
            work.place(party, Place.MOVING)
    work.note(
        tries=t.tries + 1,
        joining=pair,
        joins_ordered=t.joins_ordered + 1,
        released=False,
        joined_for=third if watched else None,
        armed=t.armed or watched,  # until the disarming is proven
        rescued=t.rescued if t.armed else third,
        failsafe=None,
    )
    work.why = "The join is being repeated." if t.tries > 1 else "The two are being joined."


def _keep(work: Work, want: Arrangement, roles: tuple[Role, Role]) -> None:
    """The two talk: do what remains."""
    t = work.transfer
    one, other = the_two(t, roles)
    if _to_be_released(t, want):
        if t.waits_for is not Wait.ORDINARY or work.overdue:
            work.order(c.Release(first=one.leg, second=other.leg))
        _wait(work, Wait.ORDINARY, t.policy.join_timeout_s)
        return
    waits = t.party(third := _who_waits(roles))
    watched = want.failsafe is c.Trigger.LEFT_ALONE and waits.lives and waits.answered
    if watched and t.failsafe is not c.Trigger.LEFT_ALONE:
        if t.joined_for is not third:  # the join has not armed the second one
            _arm(work, other, waits, c.Trigger.LEFT_ALONE)
        _arm(work, one, waits, c.Trigger.LEFT_ALONE)
        work.note(armed=True, rescued=third, failsafe=c.Trigger.LEFT_ALONE)
    work.note(joined_for=None)
    if want.calls is not None:
        _ring_all(work, t.party(want.calls), *t.rivals)
    if want.hears.get(third) is Hears.CONVERSATION and _bring_in(work, one, third):
        return
    if want.limit is not None:
        _wait(work, Wait.PEOPLE, want.limit(t))
    elif want.pause is not None:
        _wait(work, Wait.PAUSE, want.pause(t))
    else:
        _wait(work, Wait.GONE, t.policy.hangup_timeout_s)


def _bring_in(work: Work, one: Party, role: Role) -> bool:
    """Let the third party take part in the conversation of two.

    A leg that was parked since, or is not there, takes part by another order. One that the switch
    does not let take part is ordered again after a while only.

    Returns:
        Whether that is still to be done.
    """
    t = work.transfer
    third = t.party(role)
    part = Conversation(one.leg)
    if not third.lives or (third.sound == part and third.hears):
        return False
    if t.tries >= _attempts_to_take_part(t):
        pass
    elif third.place is Place.PARKED and (third.sound != part or work.overdue):
        others = t.legs_beside(third)
        work.order(c.TakePart(leg=third.leg, of=one.leg, unless_with=others))
        work.place(third, Place.MOVING)
        work.rewrite(t.party(role), sound=part)
        work.note(tries=t.tries + 1)
        work.why = f"The {role} is being brought into the conversation."
    elif third.place is Place.MOVING and work.overdue:
        work.order(c.Park(leg=third.leg, unless_with=t.legs_beside(third)))
        work.note(tries=t.tries + 1)
    _wait(work, Wait.PART, backoff_s(t.policy.sound_timeout_s, max(t.tries, 1)))
    return True


# --- letting go


def _let_go(work: Work, want: Arrangement) -> None:
    """Hang up the parties that are to leave, and repeat it until it is seen."""
    if work.overdue:
        for party in work.transfer.parties:
            if party.dismissed:
                _hang_up(work, party)
    for role in want.leaves:
        dismiss(work, role)
    for role in want.leaves_then:
        others_talk = want.talk is not None and talk(*the_two(work.transfer, want.talk))
        if others_talk or not work.transfer.party(role).answered:
            dismiss(work, role)
    if work.transfer.rivals:
        rivals.let_go(work)


def dismiss(work: Work, role: Role) -> None:
    """Hang up a party, unless that has been ordered."""
    party = work.transfer.party(role)
    if party.lives and not party.dismissed:
        _hang_up(work, party)
        work.rewrite(party, dismissed=True)


def _hang_up(work: Work, party: Party) -> None:
    """Cancel a call that rings, hang up one that was answered."""
    if party.lives:
        cause = "NORMAL_CLEARING" if party.answered else "ORIGINATOR_CANCEL"
        work.order(c.HangUp(leg=party.leg, cause=cause))


def _end(work: Work, *, tone_ordered: bool) -> None:
    """Play the tone to the remaining parties, then hang them up; no tone after a success.

    A party that is still moving was, as a rule, left adrift by a join, which FreeSWITCH does not
    report. It is parked first, once, so that it hears the tone.
    """
    t = work.transfer
    left = [party for party in (t.transferor, t.transferee) if party.lives and not party.dismissed]
    alone = [party for party in left if party.place is Place.PARKED]
    if work.overdue and t.waits_for is Wait.ADRIFT and t.tries == 0:
        _park(work, left)
    elif work.overdue and t.waits_for is Wait.ADRIFT and alone:
        work.note(tries=_HEARD_OUT)
    elif work.overdue or t.outcome not in (Outcome.FAILED, Outcome.ABANDONED):
        for role in (Role.TRANSFEROR, Role.TRANSFEREE):
            dismiss(work, role)
        left = []
    if not left:
        _wait(work, Wait.GONE, t.policy.hangup_timeout_s)
    elif t.tries < _HEARD_OUT and len(alone) < len(left):
        _wait(work, Wait.ADRIFT, t.policy.rescue_timeout_s)
    else:
        _wait(work, Wait.TONE, t.policy.tone_s, anew=tone_ordered)


_HEARD_OUT = 2
"""The value of `tries` from which on nobody is parked any more: the tone is heard to its end."""


def _park(work: Work, left: list[Party]) -> None:
    work.note(tries=1)
    for party in left:
        if party.place is Place.MOVING:
            work.order(c.Park(leg=party.leg, unless_with=work.transfer.legs_beside(party)))
