"""The record of one transfer: who is who, where everybody is, and what was decided.

A `Transfer` is a value: frozen, and small, for there may be ten thousand. It holds two kinds of
knowledge, and never mixes them:

* **facts** about the parties (`Party`), changed by nothing but events;
* **intentions**: the state, the running timers, how many attempts are left, the outcome.

One subtlety is worth a paragraph. Between the order to move a leg and the proof that it has
moved, nobody knows where it is. The record says so: its place is `MOVING`. Whatever needs a leg
to stand somewhere waits for the next fact, and the state's deadline catches the fact that never
comes. That rule alone settles most of the races in which a command and an event cross.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum, StrEnum
from typing import Final

import attrs

from hookflash.commands import Trigger
from hookflash.events import Kind, LegId, TransferRequested
from hookflash.sounds import Music, Sound, check_sound, parse_sound


class State(Enum):
    """Where a transfer stands. The tables in `hookflash.specs` say what each one means."""

    IDLE = "idle"
    HOLDING = "holding"
    HELD = "held"
    DIALING = "dialing"
    CONSULTING = "consulting"
    COMPLETING = "completing"
    PARTIAL = "partial"
    TAKEBACK = "takeback"
    FAILED_RECONNECT = "failed_reconnect"
    ABANDONED = "abandoned"
    ENDING = "ending"

    # Each member exists once, so its identity will do. What Enum brings is written in Python, and
    # every step looks up a state and an input several times.
    __hash__ = object.__hash__


class Outcome(StrEnum):
    """How a transfer ended. Each has exactly one."""

    TRANSFERRED = "transferred"
    """Transferee and target talk."""
    TAKEN_BACK = "taken_back"
    """The transferor asked for the transferee, and has it."""
    RECONNECTED = "reconnected"
    """It failed (the cause says how), and transferor and transferee talk again."""
    ABANDONED = "abandoned"
    """The transferee left before it was settled."""
    FAILED = "failed"
    """It failed (the cause says how), and nobody was left to give the transferee back to."""


class Place(Enum):
    """Where a party's leg is, as far as facts tell."""

    UNBORN = "unborn"
    """It has not been called yet."""
    RINGING = "ringing"
    """It is called, and has not answered."""
    MOVING = "moving"
    """On its way: ordered, or made by a partner's end, to be somewhere else. No proof yet."""
    PARKED = "parked"
    """Alone in the switch's keeping."""
    JOINED = "joined"
    """In a conversation with `peer`."""
    GONE = "gone"
    """Hung up, or taken out of our hands by somebody else."""

    __hash__ = object.__hash__  # as of State


class Wait(Enum):
    """What a transfer waits for. Each ends with a fact, or with a deadline."""

    PARTED = "parted"
    """Transferor and transferee stand alone, each."""
    CALLED = "called"
    """The switch has begun to call the target."""
    ANSWER = "answer"
    """The target answers. Its deadline is the limit of the state."""
    FREE = "free"
    """Those who are to be joined stand somewhere. They are on their way."""
    JOINED = "joined"
    """They talk: a join has been ordered."""
    STRANDED = "stranded"
    """They talk; one of them was parked since the join was ordered."""
    ORDINARY = "ordinary"
    """They talk, and are an ordinary call."""
    GONE = "gone"
    """Those whose end was ordered are gone."""
    FOUND = "found"
    """Those who are adrift at the end stand alone, and can hear why it ends."""
    TONE = "tone"
    """The failure tone has been heard."""
    PEOPLE = "people"
    """Somebody does something. Its deadline is the limit of the state."""

    __hash__ = object.__hash__  # as of State


class Role(StrEnum):
    """The parts in a transfer (RFC 5589, section 2)."""

    TRANSFEROR = "transferor"
    TRANSFEREE = "transferee"
    TARGET = "target"


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


@attrs.frozen
class Party:
    """One party of a transfer: its leg, and where that leg is."""

    leg: LegId
    number: str
    place: Place
    answered: bool
    peer: LegId | None = None
    """With whom it talks, when its place is JOINED."""
    sound: Sound | None = None
    """What it is to hear."""
    coming: bool = False
    """Whether a sound was ordered that has not begun: another can be ordered only after it has."""
    overtaken: bool = False
    """Whether that is not what it is to hear by now."""
    hears: bool = False
    """Whether the switch has said that the sound plays."""
    heard: bool = False
    """Whether the sound has played: one that ended is played again, one that never began is
    replaced."""
    outside: bool = False
    """Whether the party is outside: its phone is shown nothing internal."""
    withheld: bool = False
    """Whether the party wants its number shown to nobody."""
    dismissed: bool = False
    """Whether its end has been ordered."""

    @property
    def lives(self) -> bool:
        """Whether the leg exists and is ours."""
        return self.place is not Place.GONE and self.place is not Place.UNBORN

    @property
    def waits_in_silence(self) -> bool:
        """Whether it stands alone, is to hear something, and does not hear it."""
        return self.place is Place.PARKED and self.sound is not None and not self.hears

    @property
    def settled(self) -> bool:
        """Whether it has answered and stands somewhere, so that it can be joined."""
        return self.answered and (self.place is Place.PARKED or self.place is Place.JOINED)


@attrs.frozen(kw_only=True)
class Transfer:
    """One attempt to transfer a call, from the request to exactly one outcome."""

    id: str
    kind: Kind
    policy: Policy
    transferor: Party
    transferee: Party
    target: Party
    state: State = State.IDLE
    by: str = "digits"
    """Who asked for it."""
    account: str = ""
    """Whose transfer it is; the target's leg belongs to the same account."""
    music: Sound
    ringback: Sound
    ring_timeout_s: float = 0.0
    hops: int = 0
    """How many times this call has been transferred before."""
    deadline: str | None = None
    """The timer that ends the present wait."""
    waits_for: Wait | None = None
    """What that timer is for."""
    tries: int = 0
    """How many orders this state has given for what it waits for."""
    arranged: bool = False
    """Whether the table has heard that the arrangement of this state stands."""
    sound_timer: str | None = None
    """The timer after which a sound that was ordered must have started."""
    sounds_left: int = 0
    """How many more times a sound that does not start may be tried."""
    timers_set: int = 0
    """How many timers this transfer has set: it numbers the next."""
    parted: bool = False
    """Whether transferor and transferee are known to have been parted. Until then, news that they
    are joined is from before: it has crossed our order to part them."""
    called: bool = False
    """Whether the switch is known to have begun to call the target."""
    joining: tuple[LegId, LegId] | None = None
    """The two legs of the join that was ordered last, until it is proven or refused."""
    joins_ordered: int = 0
    """How many joins this transfer has ordered."""
    armed: bool = False
    """Whether target or transferor may carry a failsafe of the switch."""
    failsafe: Trigger | None = None
    """The failsafe that we know to be on the legs."""
    rescue_on_answer: bool = False
    """Whether the switch takes the transferee by itself as soon as the target answers."""
    looks: int = 0
    """How many questions this transfer has asked: it numbers the next."""
    looks_left: int = 2
    """How many more times the question may be repeated that nobody has answered."""
    overdue_look: int | None = None
    """The question whose answer decides a deadline that has passed; `None`: none has."""
    sound_look: int | None = None
    """The question whose answer decides whether a sound is missing; `None`: none is asked."""
    where_look: int | None = None
    """The question where somebody is whose join was refused; it decides nothing else."""
    outcome: Outcome | None = None
    cause: str | None = None
    """Why it ended as it did, where that is not plain: a hang-up cause, or a word of ours."""

    def awaits(self, look: int) -> bool:
        """Whether the answer to this question is still wanted."""
        return look in (self.overdue_look, self.sound_look, self.where_look)

    def party(self, role: Role) -> Party:
        """Who plays a part."""
        if role is Role.TRANSFEROR:
            return self.transferor
        return self.transferee if role is Role.TRANSFEREE else self.target

    @property
    def parties(self) -> tuple[Party, Party, Party]:
        """Transferor, transferee and target."""
        return (self.transferor, self.transferee, self.target)

    @property
    def over(self) -> bool:
        """Whether it has come to its end: the call is an ordinary one again, or gone."""
        return self.state is State.IDLE and self.outcome is not None


def found_transfer(
    *,
    transfer: str,
    kind: Kind,
    policy: Policy,
    transferor: Party,
    transferee: Party,
    target: Party,
    request: TransferRequested | None = None,
    account: str = "",
) -> Transfer:
    """Go on with a transfer that was found on the switch.

    Where it stands is told by the facts alone. Unless the transferee talks, a living leg may carry
    a failsafe, or have been parked by one that is to act in a moment: it is taken for armed.

    Args:
        transfer: its id.
        kind: attended, blind, or a mere hold.
        policy: the operator's choices.
        transferor: as it was found.
        transferee: as it was found.
        target: as it was found.
        request: as it was asked for, if somebody remembers.
        account: whose it is.
    """
    wishes = request or TransferRequested(leg=transferor.leg, transfer=transfer, by="found")
    ring_timeout_s = wishes.ring_timeout_s
    return Transfer(
        id=transfer,
        kind=kind,
        policy=policy,
        transferor=transferor,
        transferee=transferee,
        target=target,
        by=wishes.by,
        music=policy.music if wishes.music is None else wishes.music,
        ringback=policy.ringback if wishes.ringback is None else wishes.ringback,
        ring_timeout_s=policy.ring_timeout_s if ring_timeout_s is None else ring_timeout_s,
        parted=True,
        armed=transferee.place is not Place.JOINED,
        called=target.lives,
        account=account,
    )


def new_transfer(
    *,
    transfer: str,
    kind: Kind,
    policy: Policy,
    transferor: tuple[LegId, str],
    transferee: tuple[LegId, str],
    target: tuple[LegId, str],
    by: str = "digits",
    music: Sound | None = None,
    ringback: Sound | None = None,
    ring_timeout_s: float | None = None,
    hops: int = 0,
    account: str = "",
    outside: Collection[LegId] = (),
    withheld: Collection[LegId] = (),
) -> Transfer:
    """Give out the roles in a call of two that talk.

    Args:
        transfer: its id.
        kind: attended, blind, or a mere hold.
        policy: the operator's choices.
        transferor: leg and number of the party that asks.
        transferee: leg and number of the party that it talks with.
        target: the id that the target's leg will have, and the number to call.
        by: who asked.
        music: what the transferee hears on hold; the policy's by default.
        ringback: what is heard while the target rings; the policy's by default.
        ring_timeout_s: how long the target may ring; the policy's by default.
        hops: how often this call has been transferred before.
        account: whose transfer it is.
        outside: which of the two are outside parties.
        withheld: which of the two want their numbers shown to nobody.

    Returns:
        A transfer in its first state, in which nothing has been asked for yet.
    """
    (leg_a, _), (leg_b, _), (leg_c, number_c) = transferor, transferee, target

    def party(named: tuple[LegId, str], peer: LegId) -> Party:
        leg, number = named
        return Party(
            leg,
            number,
            Place.JOINED,
            answered=True,
            peer=peer,
            outside=leg in outside,
            withheld=leg in withheld,
        )

    return Transfer(
        id=transfer,
        kind=kind,
        policy=policy,
        transferor=party(transferor, leg_b),
        transferee=party(transferee, leg_a),
        target=Party(leg_c, number_c, Place.UNBORN, answered=False),
        by=by,
        music=policy.music if music is None else music,
        ringback=policy.ringback if ringback is None else ringback,
        ring_timeout_s=policy.ring_timeout_s if ring_timeout_s is None else ring_timeout_s,
        hops=hops,
        account=account,
    )
