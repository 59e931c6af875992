"""Policy: the choices of an operator, and how long each step of a transfer may take."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import attrs

from hookflash.errors import InputError
from hookflash.events import AtLimit
from hookflash.parking import parse_slots
from hookflash.sounds import Music, Sound, check_sound, is_endless, parse_sound


class Choice(StrEnum):
    """What happens where operators differ."""

    CARRY_ON = "carry_on"
    """The remaining parties continue."""
    END = "end"
    """The transfer ends, and so do the calls of parties without a partner."""


class PartialSound(StrEnum):
    """What the transferee hears once the transferor has left and the target still rings."""

    RINGBACK = "ringback"
    MUSIC = "music"


@attrs.frozen(kw_only=True)
class Policy:
    """The choices of an operator. One record serves all transfers of an account.

    All times are in seconds, and none is inherited from another leg or call.
    """

    ring_timeout_s: float = 20.0
    """How long a target may ring: Kazoo's default, and about five rings in most countries."""
    dial_timeout_s: float = 3.0
    """How long the switch may take to begin a call (it needs 2 ms). Then it is asked, and the
    order is repeated if the switch does not know the call."""
    dial_attempts: int = 3
    """How many times a call is ordered that the switch does not know."""
    dial_grace_s: float = 5.0
    """How much longer than the ring timeout to wait until the switch reports no answer."""
    split_timeout_s: float = 3.0
    """How long separating two legs may take, at first: a switch needs 20 ms, a busy one a second.
    The time doubles with each further attempt."""
    split_attempts: int = 4
    """How many times two legs are separated before the transfer fails: after 45 s by default. The
    two still hear each other then, and the transferor can try again."""
    join_timeout_s: float = 2.0
    """How long joining two legs may take, at first: a switch needs 40 ms, a busy one a second. The
    time doubles with each further attempt, up to 32 times the first."""
    join_attempts: int = 6
    """How many times a join is ordered before it fails: after two minutes by default. Two people
    who could talk are dropped neither for a lost order nor for a slow switch."""
    look_timeout_s: float = 10.0
    """How long the switch may take to report where the legs are, before it is asked again. It needs
    1 ms a leg; on two overloaded cores two seconds."""
    rescue_timeout_s: float = 1.0
    """How long the switch may take to park a leg whose conversation has ended (it needs 20 ms), or
    to join a leg that was parked meanwhile. The time doubles with each further attempt. Must be
    less than the failsafe waits: two seconds, on FreeSWITCH."""
    hangup_timeout_s: float = 5.0
    """How long a hang-up may take before it is repeated."""
    hold_limit_s: float = 1800.0
    """How long a transferee may be held, at most."""
    at_hold_limit: AtLimit = AtLimit.BACK
    """Who gets a party whose hold (not a transfer) has reached that limit."""
    parking_limit_s: float = 120.0
    """How long a call may be parked, before the party that parked it is called back. After that
    comes the fallback target. If somebody fails to pick it up, the time begins again."""
    parking_slots: str = "701-720"
    """The numbers under which calls are parked, each one once: `701-720`, `701,705-709`. Empty: no
    call can be parked."""
    sound_timeout_s: float = 1.0
    """How long music or ringback may take to start, at first: a switch needs 0.2 s. The time
    doubles with each further attempt."""
    sound_attempts: int = 3
    """How many times a sound that does not start is tried; from the second time, the fallback."""
    tone_s: float = 3.0
    """How long a party that is left alone hears the failure tone before its call ends."""
    music: Sound = Music()
    """What a held party hears: by default the music on hold that the switch ships with."""
    ringback: Sound = parse_sound("tone:440+480/2000,0/4000")
    """What a waiting party hears: the North American ringback tone (ITU-T E.180)."""
    fallback_sound: Sound = parse_sound("tone:440/200,0/4800")
    """What is played where the chosen sound does not start: a beep every five seconds."""
    hold_tone: Sound = parse_sound("tone:425/100,0/9900")
    """What the party hears that has put another on hold: a beep every ten seconds."""
    failure_tone: Sound = parse_sound("tone:480+620/250,0/250*8")
    """What a party hears that is left alone: the North American reorder tone (ITU-T E.180)."""
    dial_tone: Sound = parse_sound("tone:350+440/10000")
    """What a transferor hears who is asked for the number of the target: the North American dial
    tone (ITU-T E.180). A recorded prompt is repeated."""
    wrong_number_tone: Sound = parse_sound("tone:480+620/250,0/250,480+620/250,0/250,350+440/60000")
    """What a transferor hears whose number can't be called, and who is asked for another: the
    reorder tone, twice, then the dial tone."""
    number_timeout_s: float = 30.0
    """How long a transferor who is asked for the number may take to give one. The pauses between
    its keys are those of the feature codes."""
    number_attempts: int = 3
    """How many times a transferor is asked for the number (in Asterisk also three times). 1: a
    wrong number ends the transfer."""
    target_accepts: bool = False
    """Whether a target that answers hears a prompt and must accept, by a key or by a program's
    request, before it is connected with anybody."""
    accept_digits: str = "1"
    """What the target presses to accept."""
    decline_digits: str = "2"
    """What the target presses to decline; empty: nothing."""
    accept_prompt: Sound = parse_sound("tone:660/150,0/100,660/150,0/2600")
    """What the target hears until it accepts: by default two beeps every three seconds. A recorded
    prompt is repeated; it must be longer than a second."""
    accept_limit_s: float = 20.0
    """How long the target may take to accept. Then it counts as failed, with NOT_ACCEPTED."""
    briefing: Sound | None = None
    """What the target hears, alone, before it gets the transferee of a transferor who has left (a
    blind or a partial transfer). None by default. A target that must accept hears the prompt."""
    briefing_limit_s: float = 60.0
    """How long a briefing may take. Then the target gets the transferee all the same."""
    announcement: Sound | None = None
    """What the transferee hears once, before the music. None by default."""
    refusal_tone: Sound | None = None
    """What a party hears whose code was refused, in its conversation; the other one does not hear
    it. None by default."""
    connected_sound: Sound | None = None
    """What transferee and target hear, each, as soon as they are joined. None by default. On
    FreeSWITCH they do not hear one another meanwhile."""
    failure_sound: Sound | None = None
    """What the transferor hears, alone, when the target has failed, before it has the transferee
    again. None by default: to have the transferee again at once says the same, and sooner."""
    failure_sound_limit_s: float = 5.0
    """How long that may take. Then the two are reconnected."""
    hides_codes: bool = False
    """Whether the far end does not hear the keys of a feature code, except the first. Keys are held
    back while they may belong to a code, and passed on late if they do not."""
    outside_number: str = ""
    """The number that outside parties see when they are connected with another party. Empty: their
    display does not change."""
    partial_sound: PartialSound = PartialSound.RINGBACK
    """What the transferee hears in a partial transfer."""
    transferor_leaves_ringing: Choice = Choice.CARRY_ON
    """The transferor leaves while the target rings: a partial transfer, or the end."""
    transferee_leaves_ringing: Choice = Choice.CARRY_ON
    """The transferee leaves while the target rings: the target keeps ringing, or not."""
    transferee_leaves_consulting: Choice = Choice.CARRY_ON
    """The transferee leaves during the consultation: the two talk on, or not."""
    recall_attempts: int = 1
    """How many times a transferor who has left is called back when the transfer fails. 0: never."""
    recall_ring_timeout_s: float = 20.0
    """How long the transferor's phone rings in a recall."""
    recall_delay_s: float = 10.0
    """How long to wait before the next recall, if there are several."""
    recall_redials: bool = False
    """Whether the target is called once more before each further recall."""
    recall_prefix: str = "Recall "
    """What stands before the transferee's name on the phone of a transferor who is called back."""
    fallback_target: str = ""
    """A number (a queue, a mailbox, a colleague) that gets a transferee whom nobody else can have
    any more. Empty: the call ends with a tone."""
    return_to: str = "origin"
    """Where a caller who was in an application of the switch (a menu, a queue, a bot) goes when
    nobody answers: `origin`, the extension where it was; `park`; one of the names in `returns`; or
    `none`: to the fallback target."""
    return_timeout_s: float = 0.5
    """How long the switch may take to send a caller back, at first, before it is asked. The time
    doubles with each further attempt."""
    return_attempts: int = 4
    """How many times a caller is sent back before that fails."""
    caller_number: str = ""
    """The number that targets see calling, one of `caller_numbers_allowed`. Empty: the
    transferor's. A party that withholds its number stays withheld."""
    caller_name: str = ""
    """The name that targets see calling. Empty: the transferor's."""
    hop_limit: int = 5
    """How many times one call may be transferred; it stops loops. A restart resets the count."""

    def __attrs_post_init__(self) -> None:
        for name in SOUND_CHOICES:
            sound = getattr(self, name)
            if sound is not None or name not in OPTIONAL_SOUNDS:
                check_sound(sound, name)
                check_ends(sound, name)
        parse_slots(self.parking_slots, "parking_slots")


OPTIONAL_SOUNDS: Final = frozenset(
    ("briefing", "announcement", "failure_sound", "refusal_tone", "connected_sound")
)
"""The sounds that may be none."""

SOUNDS_IN_A_CONVERSATION: Final = frozenset(("refusal_tone", "connected_sound"))
"""The sounds that are heard in a conversation. They must end."""


def check_ends(sound: object, where: str) -> None:
    """Reject a sound that does not end where it must.

    Raises:
        InputError: it plays until it is stopped, and nothing would stop it.
    """
    if where in SOUNDS_IN_A_CONVERSATION and is_endless(sound):
        hint = "a recording, or a tone with *2 (or another number) behind it"
        raise InputError(f"{sound} does not end", where=where, hint=hint)


SOUND_CHOICES: Final = OPTIONAL_SOUNDS | {
    field.name for field in attrs.fields(Policy) if isinstance(field.default, Sound)
}
"""The choices that are sounds."""


MOST_DOUBLINGS = 5
"""How many times a back-off doubles: up to 32 times the first."""


def backoff_s(first_s: float, attempt: int) -> float:
    """How long to wait for one attempt: the time doubles with each.

    A switch that has not answered may have lost the order, or be slow. To repeat the order at the
    same pace would make a slow switch slower, and end calls that it was about to join.
    """
    return first_s * 2 ** min(max(attempt - 1, 0), MOST_DOUBLINGS)
