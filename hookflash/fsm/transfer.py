"""The record of one transfer: who is who, where everybody is, and what was decided.

A `Transfer` is a value: frozen, and small, for there may be ten thousand. It holds two kinds of
knowledge, and never mixes them:

* **facts** about the parties (`Party`), changed only by events;
* **intentions**: the state, the running timers, how many attempts are left, the outcome.

Between the order to move a leg and the proof that it has moved, nobody knows where it is. The
record says so: its place is `MOVING`. What needs a leg in a known place waits for the next fact,
and a deadline catches the fact that never comes. That rule alone settles most of the races in
which a command and an event cross.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import attrs

from hookflash.commands import Trigger
from hookflash.events import FurtherTarget, Kind, LegId
from hookflash.fsm.inputs import ByIdentity
from hookflash.fsm.policy import Policy
from hookflash.sounds import Conversation, Sound
from hookflash.transfer_context import TransferContext


class State(ByIdentity):
    """Where a transfer stands. The tables in `hookflash.specs` say what each one means."""

    IDLE = "idle"
    HOLDING = "holding"
    HELD = "held"
    PARKED = "parked"
    ASKING = "asking"
    DIALING = "dialing"
    ACCEPTING = "accepting"
    CONSULTING = "consulting"
    SWAPPED = "swapped"
    MOVING = "moving"
    THREE_WAY = "three_way"
    COMPLETING = "completing"
    PARTIAL = "partial"
    TAKEBACK = "takeback"
    FAILURE_HEARD = "failure_heard"
    FAILED_RECONNECT = "failed_reconnect"
    ABANDONED = "abandoned"
    RECALL = "recall"
    RECALL_PAUSE = "recall_pause"
    FALLBACK = "fallback"
    RETURNING = "returning"
    ENDING = "ending"


ON_HOLD: Final = frozenset(
    {
        State.HOLDING,
        State.HELD,
        State.PARKED,
        State.ASKING,
        State.DIALING,
        State.ACCEPTING,
        State.CONSULTING,
        State.PARTIAL,
        State.FAILURE_HEARD,
        State.RECALL,
        State.RECALL_PAUSE,
        State.FALLBACK,
    }
)
"""The states in which the transferee waits, and hears something."""


class Outcome(StrEnum):
    """How a transfer ended. Each has exactly one."""

    TRANSFERRED = "transferred"
    """Transferee and target talk."""
    TAKEN_BACK = "taken_back"
    """The transferor asked for the transferee, and has it."""
    RECONNECTED = "reconnected"
    """It failed (the cause says how), and transferor and transferee talk again."""
    ABANDONED = "abandoned"
    """The transferee left before the transfer was decided."""
    RECALLED = "recalled"
    """It failed (the cause says how) after the transferor had left, who was called back, and has
    the transferee again."""
    FELL_BACK = "fell_back"
    """It failed (the cause says how), and the account's fallback target has the transferee."""
    RETURNED = "returned"
    """It failed (the cause says how), and the caller, who had no transferor, is back where it came
    from."""
    FAILED = "failed"
    """It failed (the cause says how), and transferor and transferee do not talk."""


class Place(ByIdentity):
    """Where a party's leg is, as far as facts tell."""

    UNBORN = "unborn"
    """It has not been called yet."""
    RINGING = "ringing"
    """It is called, and has not answered."""
    ELSEWHERE = "elsewhere"
    """In an application of the switch, or parked there: it is to be fetched."""
    MOVING = "moving"
    """On its way, by an order or by its partner's end. No proof yet."""
    PARKED = "parked"
    """Alone, held by the switch."""
    JOINED = "joined"
    """In a conversation with `peer`."""
    GONE = "gone"
    """Hung up, or taken away by another program."""


class Wait(ByIdentity):
    """What a transfer waits for. Each ends with a fact, or with a deadline."""

    SEPARATED = "separated"
    """Transferor and transferee are parked."""
    CALLED = "called"
    """The switch has begun to call a party."""
    ANSWER = "answer"
    """The party that is called answers. Its deadline is the limit of the state."""
    FREE = "free"
    """The legs to be joined are parked or joined, not moving."""
    JOINED = "joined"
    """The two talk: a join has been ordered."""
    STRANDED = "stranded"
    """The two talk; one of them was parked since the join was ordered."""
    PART = "part"
    """The third party takes part in the conversation of the two."""
    ORDINARY = "ordinary"
    """The two, who talk, are an ordinary call."""
    GONE = "gone"
    """The legs that were hung up are gone."""
    RETURNED = "returned"
    """The caller is back where it came from."""
    ADRIFT = "adrift"
    """The remaining legs are parked, so that they can hear the tone."""
    TONE = "tone"
    """The failure tone has been heard."""
    PAUSE = "pause"
    """Some time has passed."""
    PEOPLE = "people"
    """A person acts. Its deadline is the limit of the state."""


class Role(StrEnum):
    """The roles in a transfer (RFC 5589, section 2)."""

    TRANSFEROR = "transferor"
    TRANSFEREE = "transferee"
    TARGET = "target"


_NOWHERE = frozenset((Place.UNBORN, Place.GONE))
_SETTLED = frozenset((Place.PARKED, Place.JOINED))
_HELD = frozenset((Place.PARKED, Place.MOVING))


@attrs.frozen
class Party:
    """One party of a transfer: its leg, and where that leg is."""

    leg: LegId
    number: str
    place: Place
    answered: bool
    called: bool = False
    """Whether the switch is known to have begun to call it. Legs that called us never were."""
    peer: LegId | None = None
    """The leg that it talks with, when its place is JOINED."""
    sound: Sound | Conversation | None = None
    """The sound that it should hear, or the conversation in which it should take part."""
    coming: bool = False
    """Whether a sound was ordered that has not started: the next is ordered after its start."""
    overtaken: bool = False
    """Whether the sound that was ordered is no longer the one that it should hear."""
    hears: bool = False
    """Whether the switch has reported that the sound plays."""
    heard: bool = False
    """Whether the sound has played: a sound that ended is played again, one that never started is
    replaced."""
    outside: bool = False
    """Whether the party is outside: its phone shows nothing internal."""
    foreign: bool = False
    """Whether the party belongs to another account than the transfer: its number is not one of the
    numbers that are dialled here."""
    withheld: bool = False
    """Whether the party withholds its number."""
    dismissed: bool = False
    """Whether its hang-up has been ordered."""
    ring_timeout_s: float | None = None
    """How long its phone may ring; `None`: as the policy says."""

    @property
    def lives(self) -> bool:
        """Whether the leg exists and belongs to this transfer."""
        return self.place not in _NOWHERE

    @property
    def waits_in_silence(self) -> bool:
        """Whether it is parked, or to be parked, should hear something, and does not."""
        return self.place in _HELD and self.sound is not None and not self.hears

    @property
    def takes_part(self) -> bool:
        """Whether it takes part in a conversation of the two others, or should do so."""
        return isinstance(self.sound, Conversation)

    @property
    def rings(self) -> bool:
        """Whether it is being called, and has not answered."""
        return self.place is Place.RINGING

    @property
    def settled(self) -> bool:
        """Whether it has answered and is not moving, so that it can be joined."""
        return self.answered and self.place in _SETTLED


@attrs.frozen(kw_only=True)
class Transfer:
    """One attempt to transfer a call, from the request to exactly one outcome."""

    id: str
    kind: Kind
    policy: Policy
    """The operator's choices, and in their place those of the request."""
    transferor: Party
    transferee: Party
    target: Party
    state: State = State.IDLE
    by: str = "digits"
    """Who requested it."""
    account: str = ""
    """The account of the transfer, and of the target's leg."""
    owner_id: str = ""
    """The user or device that the transferor's leg belongs to; empty: none is known."""
    questions: int = 0
    """How many times the transferor was asked for the number of the target."""
    further: tuple[FurtherTarget, ...] = ()
    """The targets that are still to be called if this one can't be had."""
    rivals: tuple[Party, ...] = ()
    """The other targets that are called at the same time. The first that answers takes the role of
    the target, and those that it leaves behind are hung up."""
    context: TransferContext | None = None
    """What the request gave along: variables and headers for the target, a program's data."""
    return_to: str = ""
    """Where a caller without a transferor goes if the transfer fails (see `commands.SendBack`);
    empty: nowhere."""
    slot: str = ""
    """The slot in which the transferee is parked; empty: none."""
    recalls: int = 0
    """How many times the transferor was called back."""
    fell_back: bool = False
    """Whether the fallback target was called."""
    accepted: bool = False
    """Whether the target has accepted, if it must, or was briefed."""
    announced: bool = False
    """Whether the transferee has heard the announcement."""
    hops: int = 0
    """How many times this call was transferred before."""
    deadline: str | None = None
    """The timer that ends the current wait."""
    waits_for: Wait | None = None
    """What the transfer waits for."""
    tries: int = 0
    """How many orders this state has given for it."""
    arranged: bool = False
    """Whether the table has been given `arranged` in this state."""
    sound_timer: str | None = None
    """The timer by which a sound that was ordered must have started."""
    sounds_left: int = 0
    """How many more times a sound that does not start may be tried."""
    timers_set: int = 0
    """How many timers this transfer has set; it numbers them."""
    separated: bool = False
    """Whether transferor and transferee are known to have been separated. Until then, news that
    they are joined is older than the order to separate them."""
    joining: tuple[LegId, LegId] | None = None
    """The two legs of the last join, until it is proven or refused."""
    joins_ordered: int = 0
    """How many joins this transfer has ordered."""
    joined_for: Role | None = None
    """Who is connected if the second leg of the last join is left alone."""
    released: bool = False
    """Whether the two of the last join are known to be an ordinary call, if they were parked when
    one of them left (`Arrangement.keeps`)."""
    armed: bool = False
    """Whether legs may carry a failsafe."""
    rescued: Role | None = Role.TRANSFEREE
    """Whom the failsafe would connect; the two others may carry it. `None`: the transferee, or, if
    it was found after a swap, the one who is left with the target."""
    failsafe: Trigger | None = None
    """The failsafe that is known to be on the legs."""
    looks: int = 0
    """How many questions this transfer has asked the switch; it numbers them."""
    looks_left: int = 2
    """How many more times an unanswered question may be repeated."""
    overdue_look: int | None = None
    """The question whose answer decides a deadline that has passed."""
    sound_look: int | None = None
    """The question whose answer decides whether a sound is missing."""
    where_look: int | None = None
    """The question where the legs of a refused join are; it decides nothing else."""
    outcome: Outcome | None = None
    cause: str | None = None
    """Why it failed: a hang-up cause of the switch, or a word of the engine."""

    @property
    def has_no_transferor(self) -> bool:
        """Whether a caller is handed over who talked with nobody."""
        return self.kind is Kind.HANDOVER

    @property
    def lacks_number(self) -> bool:
        """Whether the number of the target is still to be given."""
        unborn = self.target.place is Place.UNBORN
        return unborn and not self.target.number and self.kind not in (Kind.HOLD, Kind.PARK)

    @property
    def to_be_fetched(self) -> Party | None:
        """The party that talks with nobody, and is still where it was."""
        if self.has_no_transferor:
            return self.transferee
        return self.target if self.target.place is Place.ELSEWHERE else None

    def awaits(self, look: int) -> bool:
        """Whether the answer to this question is still needed."""
        return look in (self.overdue_look, self.sound_look, self.where_look)

    def party(self, role: Role) -> Party:
        """The party in a role."""
        if role is Role.TRANSFEROR:
            return self.transferor
        return self.transferee if role is Role.TRANSFEREE else self.target

    @property
    def target_is_asked(self) -> bool:
        """Whether the target must still accept before it is connected with anybody.

        A fallback target is not asked: it is the last resort.
        """
        return self.policy.target_accepts and not self.accepted and not self.fell_back

    @property
    def target_waits(self) -> bool:
        """Whether the target still hears something alone before it is connected.

        It is asked, or it is briefed because the transferor has left.
        """
        has_left = not self.transferor.lives or self.transferor.dismissed
        briefed = self.policy.briefing is not None and has_left
        waits = self.policy.target_accepts or briefed
        return waits and not self.accepted and not self.fell_back

    @property
    def to_be_rescued(self) -> Party:
        """The party that the failsafe would connect, as a rule."""
        return self.party(self.rescued or Role.TRANSFEREE)

    @property
    def parties(self) -> tuple[Party, Party, Party]:
        """Transferor, transferee and target."""
        return (self.transferor, self.transferee, self.target)

    def legs_beside(self, party: Party) -> tuple[LegId, ...]:
        """The legs of the others. A caller who talked with nobody has no transferor."""
        return tuple(other.leg for other in self.parties if other is not party and other.leg)

    @property
    def everybody(self) -> tuple[Party, ...]:
        """The three parties, and the rivals of the target."""
        return (*self.parties, *self.rivals) if self.rivals else self.parties

    @property
    def over(self) -> bool:
        """Whether it has come to its end: the call is an ordinary one again, or gone."""
        return self.outcome is not None and self.state is State.IDLE
