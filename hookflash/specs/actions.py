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
from hookflash.sounds import Sound
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
            undisclosed=tuple(p.leg for p in (t.transferor, t.transferee) if p.outside),
            repeated=repeated,
        )
    )


def _give(work: Work, party: Party, sound: Sound) -> None:
    """Let a party hear a sound, and look after it."""
    _wish(work, party, sound)
    _expect_sounds(work)


def _wish(work: Work, party: Party, sound: Sound) -> None:
    """Let a party hear a sound: now, or as soon as the sound that is coming has begun.

    FreeSWITCH begins a sound 0.1 to 0.2 s after its order, and in between nothing breaks it off: a
    second one that is ordered then waits until it is over, which music never is (measured on
    1.10.12: 18 of 18, ordered 20, 60 and 100 ms after the first).
    """
    if party.coming is None:
        _order_sound(work, party, sound)
    else:
        work.rewrite(party, sound=sound, hears=False, heard=False)


def _order_sound(work: Work, party: Party, sound: Sound) -> None:
    t = work.transfer
    if sound == t.policy.failure_tone:
        work.order(PlayTone(leg=party.leg, tone=sound))
    elif sound in (t.ringback, t.policy.hold_tone):
        work.order(PlayRingback(leg=party.leg, ringback=sound))
    else:
        work.order(HoldWithMusic(leg=party.leg, music=sound))
    work.rewrite(party, sound=sound, coming=sound, hears=False, heard=False)


def _order_wanted(work: Work) -> None:
    party = guards.party_that_hears_another(work)
    if party is not None and party.sound is not None:
        _order_sound(work, party, party.sound)


def _expect_sounds(work: Work) -> None:
    work.note(sounds_left=work.transfer.policy.sound_attempts - 1)
    work.set_sound_timer(work.transfer.policy.sound_timeout_s)


def play_wanted(work: Work) -> None:
    """The sound that was coming has begun, and another has been wanted since: order that."""
    _order_wanted(work)
    _expect_sounds(work)


def hold_transferee(work: Work) -> None:
    """Let the transferee hear music."""
    _give(work, work.transfer.transferee, work.transfer.music)


def ring_transferor(work: Work) -> None:
    """Let the transferor hear that the target's phone rings."""
    _give(work, work.transfer.transferor, work.transfer.ringback)


def ring_transferee(work: Work) -> None:
    """Let the transferee hear that the target's phone rings, or keep the music."""
    t = work.transfer
    if t.policy.partial_sound is PartialSound.RINGBACK:
        _give(work, t.transferee, t.ringback)
    elif t.transferee.sound is None:
        hold_transferee(work)


def remind_transferor(work: Work) -> None:
    """Let whoever put another on hold hear a reminder of it."""
    _give(work, work.transfer.transferor, work.transfer.policy.hold_tone)


def ask_about_silence(work: Work) -> None:
    """A sound ended: ask whether its party still waits, and hears nothing."""
    if any(party.waits_in_silence for party in work.transfer.parties):
        work.look_for_sounds()


def repeat_missing_sounds(work: Work) -> None:
    """Let whoever ought to hear something, and doesn't, hear something.

    A sound that has played and ended (a file) is played again. One that never began is replaced by
    the sound that was wanted since, or by the fallback: FreeSWITCH says +OK to the broadcast of a
    file that does not exist, and plays nothing.
    """
    t = work.transfer
    silent = [party for party in t.parties if party.waits_in_silence]
    ended = [party for party in silent if party.heard]
    for party in ended:
        _order_sound(work, party, party.sound or t.policy.fallback_sound)
    missing = [party for party in silent if not party.heard] if t.sounds_left else []
    if missing:
        work.note(sounds_left=t.sounds_left - 1)
    for party in missing:
        overtaken = party.coming not in (party.sound, None)
        sound = party.sound if overtaken and party.sound else t.policy.fallback_sound
        _order_sound(work, party, sound)
    if ended or missing:
        attempt = t.policy.sound_attempts - t.sounds_left
        work.set_sound_timer(_patience(t.policy.sound_timeout_s, attempt if missing else 1))


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
            account=t.account,
            ring_timeout_s=t.ring_timeout_s,
            transfer=t.id,
            rescue=rescue,
        )
    )
    work.note(
        armed=rescue is not None,
        rescue_on_answer=rescue is not None,
        dials_left=t.policy.dial_attempts - 1,
    )
    work.place(t.target, Place.RINGING)
    wait_for_answer(work)


def dial_again(work: Work) -> None:
    """The switch knows nothing of the target: the order to call it was lost."""
    left = work.transfer.dials_left - 1
    dial_target(work)
    work.note(dials_left=left)


def wait_for_answer(work: Work) -> None:
    """Wait as long as the target may ring, and a little longer for the switch to say so.

    Until the switch has begun to call it, not that long.
    """
    t = work.transfer
    rings_s = t.ring_timeout_s + t.policy.dial_grace_s
    work.set_deadline(rings_s if t.called else min(t.policy.dial_timeout_s, rings_s))


def wait_for_join(work: Work) -> None:
    """Wait as long as a join may take: twice as long for each attempt that came to nothing."""
    work.set_deadline(_patience(work.transfer.policy.join_timeout_s, _joins_tried(work)))


def wait_for_people(work: Work) -> None:
    """They talk; wait as long as anybody may be held."""
    work.set_deadline(work.transfer.policy.hold_limit_s)


def arm_target(work: Work) -> None:
    """Let the switch join target and transferee by itself, should we not be there to do it."""
    t = work.transfer
    undisclosed = t.target.outside or t.transferee.withheld
    work.order(Arm(leg=t.target.leg, rescue=t.transferee.leg, undisclosed=undisclosed))
    work.note(armed=True)


def arm_transferor(work: Work) -> None:
    """Should the target leave, let the switch give the transferor the transferee by itself.

    Only now that the two talk: an armed first leg of a join is hung up when the second dies in it.
    """
    t = work.transfer
    if t.transferee.lives:
        work.order(Arm(leg=t.transferor.leg, rescue=t.transferee.leg, when=Trigger.LEFT_ALONE))
        work.note(armed=True)


def _join(
    work: Work, first: str, second: str, afterwards: Afterwards, *, rescue: str | None = None
) -> None:
    t = work.transfer
    one, other = work.party_of(first), work.party_of(second)
    undisclosed = tuple(
        party.leg
        for party, partner in ((one, other), (other, one))
        if party is not None
        and partner is not None
        and (party.outside or partner.withheld or (rescue is not None and t.transferee.withheld))
    )
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
            rescued=t.transferee.leg if t.armed and t.transferee.lives else "",
            undisclosed=undisclosed,
        )
    )
    for party in t.parties:
        if party.lives and (party.leg in (first, second) or party.peer in (first, second)):
            work.place(party, Place.MOVING)
    work.note(
        tries_left=t.tries_left - 1,
        joining=(first, second),
        joins_ordered=t.joins_ordered + 1,
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
    """The switch takes the transferee by itself, where told to: nobody knows where it is."""
    t = work.transfer
    if t.rescue_on_answer and t.transferee.place is Place.PARKED:
        work.place(t.transferee, Place.MOVING)


def hand_over_if_due(work: Work) -> None:
    """Join transferee and target if both stand somewhere; else the next fact will."""
    if guards.handover_due(work):
        hand_over(work)


def wait_for_rescue(work: Work) -> None:
    """Wait a little for what the switch does by itself: its failsafe, or nothing.

    A leg whose partner died in the join is left where it is, and nothing is told of it; or an
    armed leg takes the transferee at this very moment. The switch is asked which, and to order
    anything before that could end a leg.
    """
    if work.transfer.joining is None:
        work.set_deadline(work.transfer.policy.rescue_timeout_s)


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
    work.note(goodbye=True)
    work.set_sound_timer(None)
    play_goodbye(work)
    if any(party.place is Place.MOVING for party in work.transfer.parties[:2]):
        work.set_deadline(work.transfer.policy.rescue_timeout_s)  # it may be adrift


def play_goodbye(work: Work) -> None:
    """Play the failure tone to whoever stands alone and has not heard it yet."""
    t = work.transfer
    tone = t.policy.failure_tone
    for party in (t.transferor, t.transferee):
        if party.place is Place.PARKED and party.sound != tone:
            _wish(work, party, tone)
    work.set_deadline(t.policy.tone_s)


def play_goodbye_now(work: Work) -> None:
    """The sound that was coming has begun: the failure tone can take its place."""
    _order_wanted(work)
    work.set_deadline(work.transfer.policy.tone_s)


def fetch_stranded(work: Work) -> None:
    """Park those who were left adrift: they are to hear why it ends."""
    t = work.transfer
    work.note(fetched=True)
    for party in (t.transferor, t.transferee):
        if party.place is Place.MOVING:
            others = tuple(other.leg for other in t.parties if other is not party)
            work.order(Park(leg=party.leg, unless_with=others))
    work.set_deadline(t.policy.rescue_timeout_s)


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
    """Neither an answer nor a refusal came in time; or the target was never called at all."""
    work.note(cause="NO_ANSWER" if work.transfer.called else "DIAL_FAILED")


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
