"""The deeds of the tables. Each orders commands, or writes a decision, or both.

An action that moves a leg also writes that nobody knows where it is (`Place.MOVING`), so that
nothing else is built on where it stood before.
"""

from __future__ import annotations

from hookflash.commands import (
    Afterwards,
    Arm,
    Dial,
    Forget,
    HangUp,
    HoldWithMusic,
    Join,
    Park,
    PlayRingback,
    PlayTone,
    Release,
    Split,
    Trigger,
)
from hookflash.fsm.machine import Work
from hookflash.fsm.transfer import Outcome, PartialSound, Party, Place
from hookflash.specs import guards

# ------------------------------------------------------------------- patience

MOST_DOUBLINGS = 5
"""How often patience doubles, so that no number of attempts makes it endless: 32 times as long."""


def _patience(first_s: float, attempt: int) -> float:
    """How long one attempt is waited for: the first so long, each further one twice as long.

    A switch that has not answered may have lost the order, or be slow; nobody can tell. Whoever
    then asks again at the same pace makes a slow switch slower still, and ends calls that it was
    about to join.
    """
    return first_s * 2 ** min(max(attempt - 1, 0), MOST_DOUBLINGS)


def _joins_tried(work: Work) -> int:
    """How many joins have been ordered in this state."""
    t = work.transfer
    return t.policy.join_attempts - t.tries_left


# ------------------------------------------------------------ parting, holding


def split(work: Work) -> None:
    """Part the two, and park each."""
    t = work.transfer
    work.note(tries_left=t.policy.split_attempts - 1)
    _order_split(work, repeated=False)
    work.place(t.transferor, Place.MOVING)
    work.place(t.transferee, Place.MOVING)


def split_again(work: Work) -> None:
    """Part the two once more, if they are together, and wait longer than the last time."""
    t = work.transfer
    work.note(tries_left=t.tries_left - 1)
    _order_split(work, repeated=True)
    work.set_deadline(_patience(t.policy.split_timeout_s, t.policy.split_attempts - t.tries_left))


def _order_split(work: Work, *, repeated: bool) -> None:
    t = work.transfer
    work.order(
        Split(
            first=t.transferor.leg,
            second=t.transferee.leg,
            transfer=t.id,
            kind=t.kind.value,
            repeated=repeated,
        )
    )


def _give(work: Work, party: Party, sound: str) -> None:
    work.rewrite(party, sound=sound, hears=False)
    work.note(sounds_left=work.transfer.policy.sound_attempts - 1)
    work.set_sound_timer(work.transfer.policy.sound_timeout_s)


def hold_transferee(work: Work) -> None:
    """Let the transferee hear music."""
    t = work.transfer
    work.order(HoldWithMusic(leg=t.transferee.leg, music=t.music))
    _give(work, t.transferee, t.music)


def ring_transferor(work: Work) -> None:
    """Let the transferor hear that the target's phone rings."""
    t = work.transfer
    work.order(PlayRingback(leg=t.transferor.leg, ringback=t.ringback))
    _give(work, t.transferor, t.ringback)


def ring_transferee(work: Work) -> None:
    """Let the transferee hear that the target's phone rings, or keep the music."""
    t = work.transfer
    if t.policy.partial_sound is PartialSound.RINGBACK:
        work.order(PlayRingback(leg=t.transferee.leg, ringback=t.ringback))
        _give(work, t.transferee, t.ringback)
    elif t.transferee.sound is None:
        hold_transferee(work)


def remind_transferor(work: Work) -> None:
    """Let whoever put another on hold hear a reminder of it."""
    t = work.transfer
    work.order(PlayRingback(leg=t.transferor.leg, ringback=t.policy.hold_tone))
    _give(work, t.transferor, t.policy.hold_tone)


def look_after_sounds(work: Work) -> None:
    """A sound broke off: look soon whether its party still needs one."""
    work.set_sound_timer(work.transfer.policy.sound_timeout_s)


def repeat_missing_sounds(work: Work) -> None:
    """Play the fallback to whoever ought to hear something and doesn't.

    FreeSWITCH says +OK to the broadcast of a file that does not exist, and plays nothing.
    """
    t = work.transfer
    silent = [p for p in t.parties if p.place is Place.PARKED and p.sound and not p.hears]
    if not silent or t.sounds_left == 0:
        return
    attempt = t.policy.sound_attempts - t.sounds_left + 1
    work.note(sounds_left=t.sounds_left - 1)
    for party in silent:
        sound = t.policy.fallback_sound
        work.order(HoldWithMusic(leg=party.leg, music=sound))
        work.rewrite(party, sound=sound)
    work.set_sound_timer(_patience(t.policy.sound_timeout_s, attempt))


# ------------------------------------------------------------- calling, joining


def dial_target(work: Work) -> None:
    """Call the target; where the transferor has left, it gets the transferee when it answers."""
    t = work.transfer
    alone = t.transferor_released or not t.transferor.lives
    rescue = t.transferee.leg if alone and t.transferee.lives else None
    work.order(
        Dial(
            leg=t.target.leg,
            target=t.target.number,
            on_behalf_of=t.transferor.leg,
            caller=t.transferor.number,
            ring_timeout_s=t.ring_timeout_s,
            transfer=t.id,
            rescue=rescue,
        )
    )
    work.note(armed=rescue is not None, rescue_on_answer=rescue is not None)
    work.place(t.target, Place.RINGING)
    wait_for_answer(work)


def wait_for_answer(work: Work) -> None:
    """Wait as long as the target may ring, and a little longer for the switch to say so."""
    work.set_deadline(work.transfer.ring_timeout_s + work.transfer.policy.dial_grace_s)


def wait_for_join(work: Work) -> None:
    """Wait as long as a join may take: twice as long for each attempt that came to nothing."""
    work.set_deadline(_patience(work.transfer.policy.join_timeout_s, _joins_tried(work)))


def wait_for_people(work: Work) -> None:
    """They talk; wait as long as anybody may be held."""
    work.set_deadline(work.transfer.policy.hold_limit_s)


def arm_target(work: Work) -> None:
    """Let the switch join target and transferee by itself, should we not be there to do it."""
    t = work.transfer
    work.order(Arm(leg=t.target.leg, rescue=t.transferee.leg))
    work.note(armed=True)


def arm_transferor(work: Work) -> None:
    """Should the target leave, let the switch give the transferor the transferee by itself.

    Only now that the two talk: an armed first leg of a join is hung up when the second dies in it.
    """
    t = work.transfer
    if t.transferee.lives:
        work.order(
            Arm(leg=t.transferor.leg, rescue=t.transferee.leg, when=Trigger.LEFT_ALONE)
        )
        work.note(armed=True)


def _join(
    work: Work, first: str, second: str, afterwards: Afterwards, *, rescue: str | None = None
) -> None:
    t = work.transfer
    work.order(
        Join(
            first=first,
            second=second,
            attempt=t.joins_ordered + 1,
            repeated=t.joining == (first, second),
            transfer=t.id,
            afterwards=afterwards,
            rescue=rescue,
            disarm=tuple(p.leg for p in (t.transferor, t.target) if t.armed and p.lives),
        )
    )
    for party in t.parties:
        if party.lives and (party.leg in (first, second) or party.peer in (first, second)):
            work.place(party, Place.MOVING)
    work.note(
        tries_left=t.tries_left - 1,
        joining=(first, second),
        joins_ordered=t.joins_ordered + 1,
        straggler=None,
        armed=t.armed or rescue is not None,  # disarmed when that is proven, and not before
    )


def consult(work: Work) -> None:
    """Join transferor and target; should the transferor leave, the target gets the transferee."""
    t = work.transfer
    rescue = t.transferee.leg if t.transferee.lives else None
    afterwards = Afterwards.PARK if t.transferee.lives else Afterwards.END
    _join(work, t.transferor.leg, t.target.leg, afterwards, rescue=rescue)
    wait_for_join(work)


def consult_if_due(work: Work) -> None:
    """Join transferor and target if both stand somewhere; else the next fact will."""
    if guards.consultation_due(work):
        consult(work)


def reunite(work: Work) -> None:
    """Join transferor and transferee, as an ordinary call."""
    t = work.transfer
    _join(work, t.transferor.leg, t.transferee.leg, Afterwards.END)
    wait_for_join(work)


def reunite_if_due(work: Work) -> None:
    """Join transferor and transferee if both stand somewhere; else the next fact will."""
    if guards.reunion_due(work):
        reunite(work)


def hand_over(work: Work) -> None:
    """Join transferee and target, as an ordinary call."""
    t = work.transfer
    _join(work, t.transferee.leg, t.target.leg, Afterwards.END)
    wait_for_join(work)


def expect_rescue(work: Work) -> None:
    """The switch takes the transferee by itself, where told to: nobody knows where it is.

    Should the target die in that very moment, the transferee is a straggler.
    """
    t = work.transfer
    if t.rescue_on_answer and t.transferee.place is Place.PARKED:
        work.place(t.transferee, Place.MOVING)
        work.note(straggler=t.transferee.leg)


def hand_over_if_due(work: Work) -> None:
    """Join transferee and target if both stand somewhere; else the next fact will."""
    if guards.handover_due(work):
        hand_over(work)


def fetch_straggler(work: Work) -> None:
    """Park whoever was to be joined with somebody that has died in the join.

    The switch leaves it where it is, neither parked nor joined, and says nothing. But an armed
    target may be taking the transferee at this very moment: then wait a little, for to park it now
    would part the two.
    """
    t = work.transfer
    party = work.party_of(t.straggler) if t.straggler else None
    if party is t.transferee and t.armed and t.target.lives:
        work.set_deadline(t.policy.rescue_timeout_s)
    elif party is not None and party.lives:
        work.order(Park(leg=party.leg))
        work.note(straggler=None)


def expect_join_soon(work: Work) -> None:
    """A leg is parked while it is to be joined.

    As a rule it was on its way into the park when the join was ordered, and will be joined next;
    now and then the join fell through. A second join on the heels of the first would kill the
    second leg (measured: 20 to 40 ms after it), so wait a little, then try again; longer each
    time, for a slow switch tells of parks that are long past.
    """
    if work.transfer.joining is not None:
        work.set_deadline(_patience(work.transfer.policy.rescue_timeout_s, _joins_tried(work)))


def release(work: Work) -> None:
    """Make transferor and target, who talk, an ordinary call."""
    t = work.transfer
    work.order(Release(first=t.transferor.leg, second=t.target.leg))
    wait_for_join(work)


def release_or_wait(work: Work) -> None:
    """Make an ordinary call of transferor and target: at once if they talk, else when they do."""
    if guards.consulted(work):
        release(work)
    elif guards.consultation_due(work):
        consult(work)
    elif work.transfer.target.answered:
        wait_for_join(work)
    else:
        wait_for_answer(work)


# --------------------------------------------------------------------- ending


def _hang_up(work: Work, party: Party, cause: str = "NORMAL_CLEARING") -> None:
    if party.lives:
        work.order(HangUp(leg=party.leg, cause=cause))


def dismiss_target(work: Work) -> None:
    """End the target's leg: cancelled while it rings, hung up once it has answered."""
    target = work.transfer.target
    _hang_up(work, target, "NORMAL_CLEARING" if target.answered else "ORIGINATOR_CANCEL")
    work.note(dismissed=True)


def dismiss_ringing_target(work: Work) -> None:
    """Cancel a target that has not answered.

    One that has answered is sent away only when transferor and transferee are together again:
    should the transferor be gone by then, the target takes over, and nobody is dropped.
    """
    if not work.transfer.target.answered:
        dismiss_target(work)


def let_transferor_go(work: Work) -> None:
    """End the transferor's leg: it has asked to hand over and leave."""
    _hang_up(work, work.transfer.transferor)
    work.note(transferor_released=True)


def finish(work: Work) -> None:
    """Take the marks off: it was over when it was found."""
    legs = tuple(party.leg for party in work.transfer.parties if party.lives)
    work.order(Forget(legs=legs))


def end_everyone(work: Work) -> None:
    """Hang up every leg that still lives."""
    for party in work.transfer.parties:
        _hang_up(work, party, "NORMAL_CLEARING" if party.answered else "ORIGINATOR_CANCEL")
    work.note(goodbye=False, dismissed=True)
    work.set_sound_timer(None)
    work.set_deadline(work.transfer.policy.hangup_timeout_s)


def say_goodbye(work: Work) -> None:
    """Whoever is left alone hears the failure tone, then is hung up; the target just ends."""
    dismiss_target(work)
    fetch_straggler(work)
    work.note(goodbye=True)
    work.set_sound_timer(None)
    play_goodbye(work)
    work.set_deadline(work.transfer.policy.tone_s)


def play_goodbye(work: Work) -> None:
    """Play the failure tone to whoever stands alone and has not heard it yet."""
    t = work.transfer
    tone = t.policy.failure_tone
    for party in (t.transferor, t.transferee):
        if party.place is Place.PARKED and party.sound != tone:
            work.order(PlayTone(leg=party.leg, tone=tone))
            work.rewrite(party, sound=tone, hears=False)


# ------------------------------------------------------------------- deciding


def _decide(work: Work, outcome: Outcome) -> None:
    """Write the outcome, once: a decision that was made is not made again."""
    if work.transfer.outcome is None:
        work.note(outcome=outcome)


def decide_transferred(work: Work) -> None:
    """Transferee and target talk."""
    work.note(outcome=Outcome.TRANSFERRED, cause=None)


def decide_taken_back(work: Work) -> None:
    """The transferor has the transferee back, as it asked."""
    work.note(cause=None)
    _decide(work, Outcome.TAKEN_BACK)


def decide_reconnected(work: Work) -> None:
    """It failed, and transferor and transferee talk again."""
    _decide(work, Outcome.RECONNECTED)


def decide_abandoned(work: Work) -> None:
    """The transferee left."""
    _decide(work, Outcome.ABANDONED)


def decide_failed(work: Work) -> None:
    """It failed, and nobody is left to be given back to."""
    _decide(work, Outcome.FAILED)


def blame_split(work: Work) -> None:
    """The switch did not part the two."""
    work.note(cause="SPLIT_FAILED")


def blame_join(work: Work) -> None:
    """The switch did not join the two."""
    work.note(cause="JOIN_FAILED")


def blame_hold_limit(work: Work) -> None:
    """The transferee had been held for as long as anybody may be."""
    work.note(cause="HOLD_LIMIT")


def blame_no_answer(work: Work) -> None:
    """Neither an answer nor a refusal came in time."""
    work.note(cause="NO_ANSWER")


def blame_dial(work: Work) -> None:
    """The switch refused to call the target."""
    work.note(cause="DIAL_FAILED")


def blame_restart(work: Work) -> None:
    """The controller died in the middle of it."""
    work.note(cause="CONTROLLER_RESTARTED")


def blame_transferor_left(work: Work) -> None:
    """The transferor left in the very moment in which it was to have the transferee back."""
    if work.transfer.cause is None:
        work.note(cause="TRANSFEROR_LEFT")


def blame_transferee_left(work: Work) -> None:
    """The transferee left."""
    work.note(cause="TRANSFEREE_LEFT")
