"""Policy: what an operator may choose, and how long each thing may take."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import attrs

from hookflash.sounds import Music, Sound, check_sound, parse_sound


class Choice(StrEnum):
    """What to do where operators differ."""

    CARRY_ON = "carry_on"
    """Those who are left go on as they were."""
    END = "end"
    """The transfer ends, and with it the legs that have no partner."""


class PartialSound(StrEnum):
    """What the transferee hears once the transferor has left and the target still rings."""

    RINGBACK = "ringback"
    MUSIC = "music"


@attrs.frozen(kw_only=True)
class Policy:
    """What an operator may choose. One record serves all the transfers of an account.

    All times are in seconds, and none is inherited from another leg or call.
    """

    ring_timeout_s: float = 20.0
    """How long a target may ring: Kazoo's default, and about five rings in most countries."""
    dial_timeout_s: float = 3.0
    """How long the switch may take to begin a call: it needs 2 ms. Then it is asked, and told
    again if it knows nothing of it."""
    dial_attempts: int = 3
    """How often a call is ordered that the switch knows nothing of."""
    dial_grace_s: float = 5.0
    """How much longer we wait for the switch to say that the target did not answer."""
    split_timeout_s: float = 3.0
    """How long parking two legs may take, at first: a switch needs 20 ms, a busy one a second. Each
    further attempt is given twice as long as the one before."""
    split_attempts: int = 4
    """How often the parting of two legs is ordered before it is given up: after 45 s, as
    delivered. The two still hear each other, so that whoever asked can ask again."""
    join_timeout_s: float = 2.0
    """How long joining two legs may take, at first: a switch needs 40 ms, a busy one a second. Each
    further attempt is given twice as long as the one before, up to 32 times."""
    join_attempts: int = 6
    """How often a join is ordered before it is given up. Two people who could talk are dropped
    neither for a lost order nor for a slow switch; one that has joined nobody after six orders and
    two minutes will not do so."""
    look_timeout_s: float = 10.0
    """How long the switch may take to say where the legs are, before it is asked again. It needs
    1 ms for each; on two overloaded cores two seconds."""
    rescue_timeout_s: float = 1.0
    """How long a leg may take to be parked whose conversation has ended (a switch needs 20 ms), or
    to be joined after it was parked meanwhile. Twice as long at each further attempt of the join.
    Less than the failsafe waits: two seconds, on FreeSWITCH."""
    hangup_timeout_s: float = 5.0
    """How long a hang-up may take before it is ordered again."""
    hold_limit_s: float = 1800.0
    """How long a transferee may be held. After half an hour nobody is still being advised."""
    sound_timeout_s: float = 1.0
    """How long music or ringback may take to start, at first: a switch needs 0.2 s. Each further
    attempt is given twice as long as the one before."""
    sound_attempts: int = 3
    """How often a sound that does not start is tried, from the second time on with the fallback."""
    tone_s: float = 3.0
    """How long somebody who is left alone hears the failure tone before the call ends."""
    music: Sound = Music()
    """What a held party hears: the music on hold that the switch has when it is installed."""
    ringback: Sound = parse_sound("tone:440+480/2000,0/4000")
    """What a waiting party hears: the North American ringback tone (ITU-T E.180)."""
    fallback_sound: Sound = parse_sound("tone:440/200,0/4800")
    """What is played where the chosen sound does not start: a beep every five seconds."""
    hold_tone: Sound = parse_sound("tone:425/100,0/9900")
    """What the party hears that has put another on hold: a reminder every ten seconds."""
    failure_tone: Sound = parse_sound("tone:480+620/250,0/250*8")
    """What somebody hears who is left alone: the North American reorder tone (ITU-T E.180)."""
    hides_codes: bool = False
    """Whether the far end is spared the keys of a feature code, all but the first. They are held
    back while a code may be being dialled, and passed on late if it was none."""
    outside_number: str = ""
    """The number that outside parties are shown of whomever they are connected with. Empty:
    nothing new, so that they go on seeing what the operator's dialplan has shown them."""
    partial_sound: PartialSound = PartialSound.RINGBACK
    """What the transferee hears in a partial transfer."""
    transferor_leaves_ringing: Choice = Choice.CARRY_ON
    """The transferor leaves while the target rings: a partial transfer, or the end of it."""
    transferee_leaves_ringing: Choice = Choice.CARRY_ON
    """The transferee leaves while the target rings: the transferor goes on calling, or not."""
    transferee_leaves_consulting: Choice = Choice.CARRY_ON
    """The transferee leaves during the consultation: the two talk on, or not."""
    hop_limit: int = 5
    """How often one call may be transferred: it stops loops. A restart begins the count anew."""

    def __attrs_post_init__(self) -> None:
        for name in SOUND_CHOICES:
            check_sound(getattr(self, name), name)


SOUND_CHOICES: Final = frozenset(
    field.name for field in attrs.fields(Policy) if isinstance(field.default, Sound)
)
"""The choices that are sounds."""


MOST_DOUBLINGS = 5
"""How often a back-off doubles, so that no number of attempts makes it endless: 32 times."""


def backoff_s(first_s: float, attempt: int) -> float:
    """How long one attempt is waited for: the first so long, each further one twice as long.

    A switch that has not answered may have lost the order, or be slow; nobody can tell. To ask
    again at the same pace would make a slow switch slower still, and end calls that it was about to
    join.
    """
    return first_s * 2 ** min(max(attempt - 1, 0), MOST_DOUBLINGS)
