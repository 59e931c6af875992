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

from enum import Enum, StrEnum

import attrs

from hookflash.commands import Trigger
from hookflash.events import Kind, LegId
from hookflash.fsm.policy import Policy
from hookflash.sounds import Sound


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
