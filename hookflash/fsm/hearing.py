"""Hearing: nobody waits in silence (promise 2).

A parked party hears what its state's arrangement says. A sound that ended is played again; one that
never started is replaced; and the timeout of a sound counts only after the switch was asked.
"""

from __future__ import annotations

from collections.abc import Mapping

from hookflash import commands as c
from hookflash.events import Kind, SoundStopped, TransferFound
from hookflash.fsm.arrangement import Arrangement, Hears
from hookflash.fsm.policy import PartialSound, backoff_s
from hookflash.fsm.transfer import Party, Place, Role, Transfer
from hookflash.fsm.work import Work
from hookflash.sounds import SILENCE, Conversation, Sound


def let_hear(work: Work, want: Arrangement) -> bool:
    """Play to parked parties what they should hear, and see that they hear it.

    Returns:
        Whether a party is to hear another sound than before.
    """
    t = work.transfer
    _give_up_announcement(work)
    sounds = {role: one for role, one in want.hears.items() if one is not Hears.CONVERSATION}
    if _is_about_to_talk(t, want):
        sounds.pop(Role.TARGET, None)
    news = [_let_one_hear(work, t.party(role), hears) for role, hears in sounds.items()]
    ordered = any(news)
    if want.ends or not sounds:
        if t.sound_timer is not None:
            work.set_sound_timer(None)
    elif ordered or None in news:
        work.note(sounds_left=t.policy.sound_attempts - 1)
        work.set_sound_timer(t.policy.sound_timeout_s)
    elif work.sounds_due:
        _repeat_missing_sounds(work)
    elif isinstance(work.event, SoundStopped) and any(p.waits_in_silence for p in t.parties):
        work.look_for_sounds()
    return ordered


def expect_to_be_parked(work: Work, want: Arrangement) -> None:
    """See that those who wait hear something. A join that died may have left one of them adrift."""
    t = work.transfer
    adrift = [role for role in want.hears if _waits(t, want, role) and _is_adrift(t.party(role))]
    for role in adrift:
        party = t.party(role)
        work.rewrite(party, sound=_sound(t, party, want.hears[role]), overtaken=True)
    if adrift and work.transfer.sound_timer is None:
        work.note(sounds_left=t.policy.sound_attempts - 1)
        work.set_sound_timer(t.policy.sound_timeout_s)


def _waits(t: Transfer, want: Arrangement, role: Role) -> bool:
    """Whether a party is to be parked by now."""
    if want.talk is None:
        return want.calls is not None or want.pause is not None
    return role not in want.talk or not all(t.party(one).answered for one in want.talk)


def _is_adrift(party: Party) -> bool:
    return party.place is Place.MOVING and party.sound is None


def _is_about_to_talk(t: Transfer, want: Arrangement) -> bool:
    """Whether the target is joined in this step: a sound would only begin in the conversation."""
    pair = () if want.talk is None else tuple(t.party(role) for role in want.talk)
    return t.target in pair and t.joining is None and all(party.settled for party in pair)


def _let_one_hear(work: Work, party: Party, hears: Hears) -> bool | None:
    """Play to one party what it should hear.

    Returns:
        Whether that is another sound than before; `None` if the previous controller was to play
        it, and the switch shows none.
    """
    t = work.transfer
    if party.place is not Place.PARKED:
        # an order to take part is under way, whose proof may be lost
        return party.takes_part and t.sound_timer is None
    sound = _sound(t, party, hears)
    if party.takes_part:
        _leave_conversation(work, party, sound)
        return True
    if party.sound == sound and (party.coming or not party.overtaken):
        return False
    # a target that is asked is asked again: it may have answered while nobody was there
    anew = hears in (Hears.TONE, Hears.PROMPT)
    if party.sound != sound and isinstance(work.event, TransferFound) and not anew:
        # the previous controller's sound plays on; if the switch shows none, it will be asked
        silent = not party.hears
        work.rewrite(party, sound=sound, heard=True)
        return None if silent else False
    _wish(work, party, sound)
    return True


def _sound(t: Transfer, party: Party, hears: Hears) -> Sound:
    policy = t.policy
    if policy.announcement is not None and not t.announced and _may_be_announced(t, party, hears):
        return policy.announcement
    if hears is Hears.FAILURE:
        return policy.failure_sound or SILENCE
    if hears is Hears.PROMPT:
        return policy.accept_prompt if policy.target_accepts else policy.briefing or SILENCE
    has_left = not t.transferor.lives or t.transferor.dismissed
    let_go = hears is Hears.RINGBACK_OR_MUSIC or (hears is Hears.MUSIC_OR_RINGBACK and has_left)
    if let_go and policy.partial_sound is PartialSound.MUSIC:
        sound = None if _is_announced_to(t, party) else party.sound
        return sound if isinstance(sound, Sound) else policy.music
    if hears in (Hears.DIAL_TONE, Hears.RINGBACK) and t.lacks_number:  # no target is called yet
        return policy.dial_tone if t.questions <= 1 else policy.wrong_number_tone
    return policy.ringback if let_go else getattr(policy, _SOUNDS.get(hears, "ringback"))


def _give_up_announcement(work: Work) -> None:
    """The switch does not have the announcement: what follows is played at once."""
    t = work.transfer
    if work.sounds_due and t.transferee.waits_in_silence and _is_announced_to(t, t.transferee):
        work.note(announced=True)
        work.rewrite(t.transferee, coming=False)


def _may_be_announced(t: Transfer, party: Party, hears: Hears) -> bool:
    waits = hears in (Hears.MUSIC, Hears.MUSIC_OR_RINGBACK, Hears.RINGBACK_OR_MUSIC)
    return waits and party is t.transferee and t.kind not in (Kind.HOLD, Kind.PARK)


def _is_announced_to(t: Transfer, party: Party) -> bool:
    """Whether a party hears the announcement, or should."""
    return party is t.transferee and party.sound == t.policy.announcement


_SOUNDS: Mapping[Hears, str] = {
    Hears.MUSIC: "music",
    Hears.MUSIC_OR_RINGBACK: "music",
    Hears.REMINDER: "hold_tone",
    Hears.TONE: "failure_tone",
}
"""The operator's choices, by what people hear. The others hear ringback."""


def _leave_conversation(work: Work, party: Party, sound: Sound) -> None:
    """Park a party that takes part in a conversation. It then hears a sound."""
    part_of = party.sound.leg if isinstance(party.sound, Conversation) else ""
    role = work.role_of(party)
    others = work.transfer.legs_beside(party)
    work.order(c.Park(leg=party.leg, part_of=part_of, unless_with=others))
    work.place(party, Place.MOVING)
    work.rewrite(work.transfer.party(role), sound=sound, overtaken=True)


def _wish(work: Work, party: Party, sound: Sound) -> None:
    """Play a sound to a party: now, or as soon as the sound that was ordered before has started.

    FreeSWITCH starts a sound 0.1 to 0.2 s after the order, and nothing interrupts it in between: a
    second sound waits until the first is over, and music never is (measured on 1.10.12: 18 of 18,
    ordered 20, 60 and 100 ms after the first).
    """
    if party.coming:
        work.rewrite(party, sound=sound, overtaken=True, hears=False, heard=False)
    else:
        _play(work, party, sound, wanted=sound)


def _play(work: Work, party: Party, sound: Sound, *, wanted: Sound | None = None) -> None:
    t = work.transfer
    if sound == t.policy.failure_tone:
        work.order(c.PlayTone(leg=party.leg, tone=sound))
    elif sound in (
        t.policy.ringback,
        t.policy.hold_tone,
        t.policy.dial_tone,
        t.policy.wrong_number_tone,
        t.policy.accept_prompt,
        t.policy.briefing,
        t.policy.failure_sound,
    ):
        work.order(c.PlayRingback(leg=party.leg, ringback=sound))
    else:
        work.order(c.HoldWithMusic(leg=party.leg, music=sound))
    work.rewrite(
        party, sound=wanted or party.sound, coming=True, overtaken=False, hears=False, heard=False
    )


def _repeat_missing_sounds(work: Work) -> None:
    """Play something to the parties that should hear a sound and do not.

    A sound that has played and ended (a file) is played again. One that never started is replaced
    by the sound that was ordered since, or by the fallback: FreeSWITCH answers +OK to the broadcast
    of a file that does not exist, and plays nothing.
    """
    t = work.transfer
    fallback = t.policy.fallback_sound
    silent = [party for party in t.parties if party.waits_in_silence]
    missing = [party for party in silent if not party.heard] if t.sounds_left else []
    for party in silent:
        wanted = party.sound if isinstance(party.sound, Sound) else None
        if party.place is Place.MOVING:
            if t.sounds_left:
                _park_again(work, party)
        elif party.heard:
            _play(work, party, wanted or fallback)
        elif t.sounds_left:
            _play(work, party, (wanted if party.overtaken else None) or fallback)
    if missing:
        work.note(sounds_left=t.sounds_left - 1)
    if missing or any(party.heard for party in silent):
        attempt = t.policy.sound_attempts - t.sounds_left if missing else 1
        work.set_sound_timer(backoff_s(t.policy.sound_timeout_s, attempt))


def _park_again(work: Work, party: Party) -> None:
    """A party that was to leave a conversation is neither there nor parked, as the switch says."""
    work.order(c.Park(leg=party.leg, unless_with=work.transfer.legs_beside(party)))
