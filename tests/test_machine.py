"""The step: a new record on success, and the old one untouched whatever happens."""

import attrs
import pytest

from hookflash.commands import (
    Afterwards,
    Arm,
    CancelTimer,
    Dial,
    Forget,
    HangUp,
    HoldWithMusic,
    Introduce,
    Join,
    Look,
    Park,
    PlayRingback,
    PlayTone,
    Release,
    SetTimer,
    Split,
    Trigger,
)
from hookflash.errors import InternalError, RequestRefused
from hookflash.events import (
    CommandFailed,
    CompleteRequested,
    DigitPressed,
    Event,
    HangUpRequested,
    Kind,
    LegAnswered,
    LegCreated,
    LegHungUp,
    LegIdentified,
    LegMovedAway,
    LegParked,
    LegProgressed,
    LegsJoined,
    LegsReleased,
    LegsSeen,
    LegsSeparated,
    SoundStarted,
    SoundStopped,
    TakebackRequested,
    TimerFired,
    TransferFound,
    TransferRequested,
)
from hookflash.fsm.begin import found_transfer, new_transfer
from hookflash.fsm.explore import steps_with_answer
from hookflash.fsm.inputs import Input
from hookflash.fsm.machine import EndlessTable, NoTransition, Rulebook
from hookflash.fsm.observe import (
    ALL_HEAR,
    LATE,
    LOST_TRACK,
    OLD_JOIN,
    OVERTAKEN,
    REPEAT,
    SETTLED,
    STRANGER,
)
from hookflash.fsm.observe import ASKED as ASKED_FIRST
from hookflash.fsm.policy import Policy
from hookflash.fsm.spec import Phase, Row, Spec
from hookflash.fsm.transfer import Outcome, Party, Place, State, Transfer
from hookflash.fsm.work import MOST_LOOKS, Work
from hookflash.sounds import Recording
from hookflash.specs.attended import ATTENDED

RULES = Rulebook(ATTENDED)
POLICY = Policy(recall_attempts=0)

ASKED = TransferRequested(leg="a", transfer="t1", target="2600")
PARTED = (LegsSeparated(first="a", second="b"), LegParked(leg="a"), LegParked(leg="b"))
CALLED = (LegCreated(leg="c", number="2600"), LegProgressed(leg="c"))
ANSWERED = (LegAnswered(leg="c"), LegParked(leg="c"))
DIALING = (ASKED, *PARTED, *CALLED)
CONSULTING = (*DIALING, *ANSWERED, LegsJoined(first="a", second="c"))


def start(**changes: object) -> Transfer:
    begun = new_transfer(
        transfer="t1",
        kind=Kind.ATTENDED,
        policy=POLICY,
        transferor=("a", "1001"),
        transferee=("b", "1002"),
        target=("c", "2600"),
    )
    return attrs.evolve(begun, **changes)


def after(*events: Event, begin: Transfer | None = None) -> Transfer:
    transfer = begin or start()
    for event in events:
        transfer = RULES.step(transfer, event).after
    return transfer


def ordered(transfer: Transfer, event: Event) -> list[object]:
    """What a step orders, timers aside."""
    commands = RULES.step(transfer, event).commands
    return [c for c in commands if not isinstance(c, SetTimer | CancelTimer)]


def test_a_whole_transfer() -> None:
    t = start()
    assert ordered(t, ASKED) == [Split(first="a", second="b", transfer="t1", kind="attended")]
    t = after(ASKED, LegParked(leg="a"))
    assert ordered(t, LegParked(leg="b")) == [
        HoldWithMusic(leg="b", music=POLICY.music),
        Dial(
            leg="c",
            target="2600",
            on_behalf_of="a",
            caller="1001",
            ring_timeout_s=20.0,
            transfer="t1",
        ),
    ]
    t = after(*DIALING, LegAnswered(leg="c"))
    assert t.state is State.CONSULTING
    assert ordered(t, LegParked(leg="c")) == [
        Join(first="a", second="c", transfer="t1", afterwards=Afterwards.PARK, rescue="b")
    ]
    t = after(*CONSULTING, LegHungUp(leg="a"))
    assert t.state is State.COMPLETING
    assert ordered(t, LegParked(leg="c")) == [
        Join(
            first="b",
            second="c",
            attempt=2,
            transfer="t1",
            afterwards=Afterwards.PARK,
            disarm=("c",),
            rescued="b",
        )
    ]
    t = after(LegParked(leg="c"), begin=t)
    joined = LegsJoined(first="b", second="c")
    assert Release(first="b", second="c") in ordered(t, joined)
    t = after(joined, LegsReleased(first="b", second="c"), begin=t)
    assert (t.state, t.outcome, t.over) == (State.IDLE, Outcome.TRANSFERRED, True)


def test_the_first_that_is_parked_hears_something_at_once() -> None:
    t = after(ASKED)
    assert ordered(t, LegParked(leg="a")) == [PlayRingback(leg="a", ringback=POLICY.ringback)]
    assert ordered(t, LegParked(leg="b")) == [HoldWithMusic(leg="b", music=POLICY.music)]


def waits(transfer: Transfer) -> tuple[list[float], Transfer]:
    """How long each attempt of a state is waited for, and where it leads in the end."""
    state = transfer.state
    waited: list[float] = []
    while transfer.state is state:
        assert transfer.deadline is not None
        *_, step = steps_with_answer(RULES, transfer, TimerFired(timer=transfer.deadline))
        waited += [c.after_s for c in step.commands if isinstance(c, SetTimer)]
        transfer = step.after
    return waited, transfer


def test_back_off_of_a_join_doubles_and_is_bounded() -> None:
    joining = after(*DIALING, *ANSWERED)
    waited, gave_up = waits(joining)
    # the last is the next state's first: a leg may be armed, and a failsafe about to act
    assert waited == [4.0, 8.0, 16.0, 32.0, 64.0, POLICY.rescue_timeout_s]
    assert gave_up.state is State.FAILED_RECONNECT
    patient = attrs.evolve(POLICY, join_attempts=8)
    waited, _ = waits(after(*DIALING, *ANSWERED, begin=start(policy=patient)))
    assert waited[:-1] == [4.0, 8.0, 16.0, 32.0, 64.0, 64.0, 64.0]


def test_back_off_of_a_split_doubles_and_then_the_two_are_brought_together() -> None:
    waited, gave_up = waits(after(ASKED))
    assert waited == [6.0, 12.0, 24.0, 2.0]
    assert gave_up.state is State.FAILED_RECONNECT


def test_whoever_is_parked_by_a_slow_split_stays_so_when_it_is_repeated() -> None:
    half = after(ASKED, LegParked(leg="a"))
    asked = after(deadline(half), begin=half)
    assert ordered(asked, answer(asked)) == [
        Split(first="a", second="b", transfer="t1", kind="attended", repeated=True)
    ]
    again = after(answer(asked), begin=asked)
    assert again.transferor.place is Place.PARKED
    assert after(LegParked(leg="b"), begin=again).state is State.DIALING


def test_a_join_is_repeated_only_if_nothing_was_heard_of_it() -> None:
    joining = after(*DIALING, *ANSWERED)
    asked = after(deadline(joining), begin=joining)
    refusal = CommandFailed(command=ordered_join(after(*DIALING, LegAnswered(leg="c"))), reason="-")
    assert [join.repeated for join in joins(asked, answer(asked))] == [True]
    assert [join.repeated for join in joins(joining, refusal)] == [False]


def deadline(transfer: Transfer) -> TimerFired:
    """The deadline of its state passes."""
    assert transfer.deadline is not None
    return TimerFired(timer=transfer.deadline)


def sounds_due(transfer: Transfer) -> TimerFired:
    """Time to look whether everybody hears what was ordered."""
    assert transfer.sound_timer is not None
    return TimerFired(timer=transfer.sound_timer)


def answer(transfer: Transfer, number: int | None = None) -> LegsSeen:
    """The switch answers a question, by default the last; it has nothing new to say."""
    look = Look(legs=(), transfer=transfer.id, number=number or transfer.looks)
    return LegsSeen(look=look, living=())


# ------------------------------------------------------- to look before a deadline counts


def test_a_deadline_asks_the_switch_and_decides_nothing_by_itself() -> None:
    joining = after(*DIALING, *ANSWERED)
    step = RULES.step(joining, deadline(joining))
    assert step.why == ASKED_FIRST
    assert [c for c in step.commands if not isinstance(c, SetTimer | CancelTimer)] == [
        Look(legs=("a", "b", "c"), transfer="t1", number=1)
    ]
    assert [c.after_s for c in step.commands if isinstance(c, SetTimer)] == [POLICY.look_timeout_s]
    assert step.after.state is State.CONSULTING
    assert step.after.joins_ordered == joining.joins_ordered
    assert step.after.awaits(1)


def test_nobody_is_asked_about_who_is_gone() -> None:
    completing = after(*CONSULTING, LegHungUp(leg="a"))
    assert ordered(completing, deadline(completing)) == [
        Look(legs=("b", "c"), transfer="t1", number=1)
    ]


def test_what_the_answer_brings_counts_for_more_than_the_deadline() -> None:
    """The facts in it come before it: the join has happened, and only its event was lost."""
    joining = after(*DIALING, *ANSWERED)
    asked = after(deadline(joining), begin=joining)
    known = after(LegsJoined(first="a", second="c"), begin=asked)
    assert not known.awaits(asked.looks)
    step = RULES.step(known, answer(asked))
    assert (step.why, step.commands, step.after) == (SETTLED, (), known)


def test_a_question_that_nobody_answers_is_repeated_and_then_counts() -> None:
    t = after(*DIALING, *ANSWERED)
    for number in range(1, MOST_LOOKS + 1):
        looks = ordered(t, deadline(t))
        assert looks == [Look(legs=("a", "b", "c"), transfer="t1", number=number)]
        t = after(deadline(t), begin=t)
    assert [join.repeated for join in joins(t, deadline(t))] == [True]
    t = after(deadline(t), begin=t)
    assert len(ordered(t, deadline(t))) == 1  # the next deadline is asked about anew …
    t = after(deadline(t), begin=t)
    assert t.looks_left == MOST_LOOKS - 1  # … as often


def test_the_answer_to_an_old_question_decides_nothing() -> None:
    t = after(*DIALING, *ANSWERED)
    t = after(deadline(t), begin=t)
    t = after(deadline(t), begin=t)
    assert t.looks == 2
    step = RULES.step(t, answer(t, 1))
    assert (step.why, step.commands) == (SETTLED, ())
    assert joins(t, answer(t, 2))


def test_the_answer_of_another_transfer_is_nothing_of_ours() -> None:
    t = after(*DIALING, *ANSWERED)
    t = after(deadline(t), begin=t)
    theirs = LegsSeen(look=Look(legs=(), transfer="t2", number=1), living=())
    assert RULES.step(t, theirs).why == STRANGER


def test_a_timer_that_was_replaced_by_the_question_is_overtaken() -> None:
    t = after(*DIALING, *ANSWERED)
    before = deadline(t)
    assert RULES.step(after(before, begin=t), before).why == OVERTAKEN


# -------------------------------------------------------------------- to dial again


def test_a_call_of_which_the_switch_knows_nothing_is_ordered_again() -> None:
    t = after(ASKED, *PARTED)
    waited: list[float] = []
    dials = 1
    while t.state is State.DIALING:
        asked, decided = steps_with_answer(RULES, t, deadline(t))
        dials += sum(isinstance(c, Dial) for c in decided.commands)
        waited += [c.after_s for c in decided.commands if isinstance(c, SetTimer)]
        t = decided.after
        assert not any(isinstance(c, Dial) for c in asked.commands)
    assert dials == POLICY.dial_attempts
    assert waited[:-1] == [POLICY.dial_timeout_s] * (POLICY.dial_attempts - 1)
    assert (t.state, t.cause) == (State.FAILED_RECONNECT, "DIAL_FAILED")


@pytest.mark.parametrize("news", [LegCreated(leg="c", number="2600"), LegProgressed(leg="c")])
def test_a_call_that_has_begun_is_waited_for_as_long_as_it_may_ring(news: Event) -> None:
    """Whichever is heard first: the event of its beginning may be lost."""
    t = after(ASKED, *PARTED)
    step = RULES.step(t, news)
    assert step.rows == ()
    assert step.after.target.called
    assert [c.after_s for c in step.commands if isinstance(c, SetTimer)] == [25.0]
    assert RULES.step(step.after, LegCreated(leg="c", number="2600")).why == REPEAT
    _, decided = steps_with_answer(RULES, step.after, deadline(step.after))
    assert not any(isinstance(c, Dial) for c in decided.commands)
    assert decided.after.cause == "NO_ANSWER"


def test_that_the_switch_knows_nothing_of_the_target_yet_is_not_its_end() -> None:
    t = after(ASKED, *PARTED)
    unknown = LegHungUp(leg="c", cause=LOST_TRACK)
    step = RULES.step(t, unknown)
    assert (step.after, step.on) == (t, None)
    called = after(*CALLED, begin=t)
    assert RULES.step(called, unknown).after.state is State.FAILED_RECONNECT
    refused = LegHungUp(leg="c", cause="INVALID_NUMBER_FORMAT")
    assert RULES.step(t, refused).after.state is State.FAILED_RECONNECT


def test_a_call_that_is_ordered_again_for_the_transferee_is_armed_again() -> None:
    t = after(ASKED, LegParked(leg="b"), LegHungUp(leg="a"))
    assert t.state is State.PARTIAL
    asked = after(deadline(t), begin=t)
    assert any(isinstance(order, Dial) for order in ordered(asked, answer(asked)))
    called = after(answer(asked), begin=asked)
    assert Arm(leg="c", rescue="b") in ordered(called, LegProgressed(leg="c"))


def test_the_targets_leg_belongs_to_whoever_calls_it() -> None:
    t = after(ASKED, LegParked(leg="a"), begin=start(account="acme"))
    (dial,) = (c for c in ordered(t, LegParked(leg="b")) if isinstance(c, Dial))
    assert dial.account == "acme"


# ------------------------------------------------------------------------ to arm


def test_the_transferor_is_armed_when_the_two_talk_and_not_before() -> None:
    t = after(*CONSULTING[:-1])
    step = RULES.step(after(*DIALING, LegAnswered(leg="c")), LegParked(leg="c"))
    assert not any(isinstance(c, Arm) for c in step.commands)
    assert Arm(leg="a", rescue="b", when=Trigger.LEFT_ALONE) in ordered(t, CONSULTING[-1])


def test_without_a_transferee_nobody_is_armed() -> None:
    t = after(*DIALING, *ANSWERED, LegHungUp(leg="b"))
    assert not any(isinstance(c, Arm) for c in ordered(t, CONSULTING[-1]))


# ------------------------------------------------------------------------- to fetch


def test_a_success_has_no_cause_whatever_failed_before() -> None:
    t = after(*CONSULTING)
    limit = steps_with_answer(RULES, t, deadline(t))[-1].after
    assert (limit.state, limit.cause) == (State.FAILED_RECONNECT, "HOLD_LIMIT")
    t = after(LegHungUp(leg="a"), LegsJoined(first="c", second="b"), begin=limit)
    assert (t.outcome, t.cause) == (Outcome.TRANSFERRED, None)


def test_two_who_are_joined_again_in_a_consultation_are_armed_again() -> None:
    t = after(*CONSULTING, LegsSeparated(first="a", second="c"), LegParked(leg="a"))
    (join,) = joins(t, LegParked(leg="c"))
    assert join.disarm == ("a", "c")
    t = after(LegParked(leg="c"), begin=t)
    arm = Arm(leg="a", rescue="b", when=Trigger.LEFT_ALONE)
    assert arm in ordered(t, LegsJoined(first="a", second="c"))


def test_what_is_ordered_is_said_and_that_it_is_repeated() -> None:
    asked = RULES.step(start(), ASKED)
    _, again = steps_with_answer(RULES, asked.after, deadline(asked.after))
    assert again.why == "The separation is being repeated."
    joined = RULES.step(after(*DIALING, LegAnswered(leg="c")), LegParked(leg="c"))
    assert joined.why == "The two are being joined."
    _, again = steps_with_answer(RULES, joined.after, deadline(joined.after))
    assert again.why == "The join is being repeated."


def test_who_is_adrift_at_the_end_is_fetched_once_and_hears_why() -> None:
    """The target dies in the join: the transferee is left where it was, and nobody says so."""
    t = after(*DIALING, LegHungUp(leg="a"), *ANSWERED, LegHungUp(leg="c"))
    while t.state is not State.ENDING:
        t = steps_with_answer(RULES, t, deadline(t))[-1].after
    assert t.transferee.place is Place.MOVING
    _, fetched = steps_with_answer(RULES, t, deadline(t))
    assert Park(leg="b", unless_with=("a", "c")) in fetched.commands
    t = fetched.after
    assert PlayTone(leg="b", tone=POLICY.failure_tone) in ordered(t, LegParked(leg="b"))
    _, ended = steps_with_answer(RULES, t, deadline(t))
    assert HangUp(leg="b") in ended.commands


def test_a_leg_that_somebody_else_moves_is_left_in_peace() -> None:
    t = after(*DIALING)
    step = RULES.step(t, LegMovedAway(leg="b"))
    assert Forget(legs=("b",)) in step.commands  # nothing of ours must go with it
    assert step.after.transferee.place is Place.GONE
    assert step.after.state is State.ABANDONED
    assert RULES.step(step.after, LegMovedAway(leg="b")).why == LATE
    assert RULES.step(t, LegMovedAway(leg="stranger")).why == STRANGER


# ----------------------------------------------------------- what phones are not to know


@pytest.mark.parametrize("outside", ["transferor", "transferee"])
def test_a_separation_shows_an_outside_party_nothing(outside: str) -> None:
    t = start()
    party = attrs.evolve(getattr(t, outside), outside=True)
    (split, *_) = ordered(attrs.evolve(t, **{outside: party}), ASKED)
    assert isinstance(split, Split)
    assert split.undisclosed == (party.leg,)


def undisclosed(
    join: Event, *, outside: str = "", withheld: str = "", before: tuple[Event, ...]
) -> tuple[str, ...]:
    t = start()
    for name in ("transferor", "transferee"):
        party = getattr(t, name)
        told = attrs.evolve(party, outside=party.leg in outside, withheld=party.leg in withheld)
        t = attrs.evolve(t, **{name: told})
    created = LegCreated(leg="c", number="2600", outside="c" in outside, withheld="c" in withheld)
    events = [created if isinstance(one, LegCreated) else one for one in before]
    (order,) = joins(after(*events, begin=t), join)
    return tuple(sorted(order.undisclosed))


CONSULTS = (*DIALING, LegAnswered(leg="c"))
HANDS_OVER = (*CONSULTING, LegHungUp(leg="a"))


@pytest.mark.parametrize(
    ("outside", "withheld", "consults", "hands_over"),
    [
        ("", "", (), ()),
        ("a", "", ("a",), ()),
        ("b", "", (), ("b",)),
        ("c", "", ("c",), ("c",)),
        ("bc", "", ("c",), ("b", "c")),
        ("", "a", ("c",), ()),
        # should the transferor leave, the target's phone would be told of the transferee
        ("", "b", ("a", "c"), ("c",)),
        ("", "c", ("a",), ("b",)),
    ],
)
def test_outside_parties_and_partners_of_who_withholds_are_told_nothing_by_the_switch(
    outside: str, withheld: str, consults: tuple[str, ...], hands_over: tuple[str, ...]
) -> None:
    join = LegParked(leg="c")
    assert undisclosed(join, outside=outside, withheld=withheld, before=CONSULTS) == consults
    assert undisclosed(join, outside=outside, withheld=withheld, before=HANDS_OVER) == hands_over


def test_an_outside_party_is_shown_nothing_internal() -> None:
    policy = attrs.evolve(POLICY, outside_number="+49 30 100")
    t = after(*DIALING, *ANSWERED, begin=start(policy=policy))
    t = after(LegIdentified(leg="c", number="+4930123", outside=True), begin=t)
    assert t.target.outside
    (shown,) = (c for c in ordered(t, CONSULTING[-1]) if isinstance(c, Introduce))
    assert shown == Introduce(
        first="a",
        second="c",
        first_number="+49 30 100",
        second_number="2600",
        undisclosed=("c",),
    )
    assert RULES.step(t, LegIdentified(leg="stranger", number="")).why == STRANGER


def test_who_wants_the_number_withheld_is_not_introduced() -> None:
    t = start()
    t = attrs.evolve(t, transferor=attrs.evolve(t.transferor, withheld=True))
    t = after(*DIALING, *ANSWERED, begin=t)
    (shown,) = (c for c in ordered(t, CONSULTING[-1]) if isinstance(c, Introduce))
    assert (shown.first_number, shown.second_number) == ("", "2600")


def joins(transfer: Transfer, event: Event) -> list[Join]:
    return [c for c in ordered(transfer, event) if isinstance(c, Join)]


def ordered_join(transfer: Transfer) -> Join:
    (join,) = joins(transfer, LegParked(leg="c"))
    return join


def test_nobody_is_joined_before_the_target_is_parked() -> None:
    t = after(*DIALING)
    assert ordered(t, LegAnswered(leg="c")) == []


HEAR = (SoundStarted(leg="a", sound=POLICY.ringback), SoundStarted(leg="b", sound=POLICY.music))


def test_who_leaves_early_leaves_a_failsafe() -> None:
    t = after(*DIALING, *HEAR)
    assert ordered(t, LegHungUp(leg="a")) == [
        PlayRingback(leg="b", ringback=POLICY.ringback),
        Arm(leg="c", rescue="b"),
    ]


def test_a_second_sound_waits_until_the_first_has_begun() -> None:
    t = after(*DIALING)
    assert ordered(t, LegHungUp(leg="a")) == [Arm(leg="c", rescue="b")]
    t = after(LegHungUp(leg="a"), begin=t)
    assert ordered(t, HEAR[1])[0] == PlayRingback(leg="b", ringback=POLICY.ringback)
    t = after(HEAR[1], SoundStarted(leg="b", sound=POLICY.ringback), begin=t)
    assert not t.transferee.waits_in_silence


def test_a_second_sound_does_not_wait_for_ever_for_a_first_that_never_begins() -> None:
    t = after(*DIALING, LegHungUp(leg="a"))
    t = after(sounds_due(t), begin=t)
    assert ordered(t, answer(t))[0] == PlayRingback(leg="b", ringback=POLICY.ringback)


def found_in_a_consultation() -> Transfer:
    """A restarted controller finds Alice and Carol talking, and Bob parked."""
    return found_transfer(
        transfer="t1",
        kind=Kind.ATTENDED,
        policy=POLICY,
        transferor=Party("a", "1001", Place.JOINED, answered=True, peer="c"),
        transferee=Party("b", "1002", Place.PARKED, answered=True),
        target=Party("c", "2600", Place.JOINED, answered=True, peer="a"),
    )


def test_the_music_of_the_controller_before_plays_on_and_is_played_again_when_it_ends() -> None:
    t = found_in_a_consultation()
    assert not [one for one in ordered(t, TransferFound(transfer="t1")) if "Hold" in str(one)]
    t = after(TransferFound(transfer="t1"), begin=t)
    t = after(SoundStarted(leg="b", sound=POLICY.music), begin=t)  # as the switch says when asked
    t = after(sounds_due(t), begin=t)
    assert not t.transferee.waits_in_silence
    stopped = SoundStopped(leg="b", sound=POLICY.music)
    assert [type(one) for one in ordered(t, stopped)] == [Look]
    t = after(stopped, begin=t)
    assert ordered(t, answer(t)) == [HoldWithMusic(leg="b", music=POLICY.music)]


def test_music_that_the_controller_before_could_not_play_is_played() -> None:
    t = after(TransferFound(transfer="t1"), begin=found_in_a_consultation())
    assert t.transferee.waits_in_silence
    t = after(sounds_due(t), begin=t)
    assert ordered(t, answer(t)) == [HoldWithMusic(leg="b", music=POLICY.music)]


def test_a_sound_that_replaces_one_that_plays_must_start_too() -> None:
    t = after(*DIALING, *HEAR, LegHungUp(leg="a"))
    assert t.transferee.waits_in_silence  # the ringback has not started, though the music had
    assert not t.transferee.heard
    t = after(sounds_due(t), begin=t)
    assert ordered(t, answer(t)) == [HoldWithMusic(leg="b", music=POLICY.fallback_sound)]


def test_a_sound_that_waits_for_the_one_before_has_not_played() -> None:
    t = after(ASKED, LegParked(leg="b"), HEAR[1], LegParked(leg="a"), *CALLED)
    t = attrs.evolve(t, transferee=attrs.evolve(t.transferee, coming=True))
    t = after(LegHungUp(leg="a"), begin=t)
    assert t.transferee.overtaken
    assert t.transferee.waits_in_silence
    assert not t.transferee.heard


def test_the_failure_tone_waits_until_the_sound_before_it_has_begun() -> None:
    t = after(*DIALING, LegHungUp(leg="a"), LegHungUp(leg="c", cause="USER_BUSY"))
    assert (t.state, t.transferee.sound) == (State.ENDING, POLICY.failure_tone)
    assert ordered(t, HEAR[1]) == [PlayTone(leg="b", tone=POLICY.failure_tone)]


def test_a_takeback_disarms_in_the_same_breath_and_dismisses_only_when_it_is_done() -> None:
    t = after(*CONSULTING)
    assert ordered(t, TakebackRequested(transfer="t1")) == [
        Join(
            first="a",
            second="b",
            attempt=2,
            transfer="t1",
            afterwards=Afterwards.END,
            disarm=("a", "c"),
            rescued="b",
        )
    ]
    t = after(TakebackRequested(transfer="t1"), begin=t)
    assert ordered(t, LegsJoined(first="a", second="b")) == [
        HangUp(leg="c", cause="NORMAL_CLEARING"),
        Introduce(first="a", second="b", first_number="1001", second_number="1002"),
    ]


def test_whoever_is_joined_is_introduced() -> None:
    t = after(*CONSULTING[:-1])
    assert ordered(t, CONSULTING[-1])[-1] == Introduce(
        first="a", second="c", first_number="1001", second_number="2600"
    )
    t = after(*CONSULTING, LegHungUp(leg="a"))
    assert Introduce(first="b", second="c", first_number="1002", second_number="2600") in ordered(
        t, LegsJoined(first="c", second="b")
    )


def test_a_takeback_that_crosses_the_transferors_hang_up_drops_nobody() -> None:
    t = after(*CONSULTING, TakebackRequested(transfer="t1"), LegHungUp(leg="a"))
    assert t.state is State.COMPLETING
    t = after(LegsJoined(first="c", second="b"), begin=t)
    assert t.outcome is Outcome.TRANSFERRED


def test_while_it_rings_a_takeback_cancels_at_once() -> None:
    t = after(*DIALING)
    assert ordered(t, TakebackRequested(transfer="t1"))[0] == HangUp(
        leg="c", cause="ORIGINATOR_CANCEL"
    )


def test_who_is_left_alone_hears_a_tone() -> None:
    t = after(*DIALING, *HEAR, LegHungUp(leg="a"), HEAR[1])
    t = after(SoundStarted(leg="b", sound=POLICY.ringback), begin=t)
    step = RULES.step(t, LegHungUp(leg="c", cause="USER_BUSY"))
    assert PlayTone(leg="b", tone=POLICY.failure_tone) in step.commands
    assert (step.after.outcome, step.after.cause) == (Outcome.FAILED, "USER_BUSY")


def test_a_sound_that_does_not_start_is_replaced() -> None:
    t = after(ASKED, *PARTED, SoundStarted(leg="a", sound=POLICY.ringback))
    assert ordered(t, sounds_due(t)) == [Look(legs=("a", "b", "c"), transfer="t1", number=1)]
    t = after(sounds_due(t), begin=t)
    fallback = POLICY.fallback_sound
    assert ordered(t, answer(t)) == [HoldWithMusic(leg="b", music=fallback)]
    t = after(answer(t), begin=t)
    assert (t.transferee.sound, t.transferee.overtaken) == (POLICY.music, False)
    t = after(SoundStarted(leg="b", sound=fallback), begin=t)
    assert not t.transferee.waits_in_silence
    # what the answer shows to play is not replaced
    heard = after(ASKED, *PARTED, SoundStarted(leg="a", sound=POLICY.ringback))
    heard = after(sounds_due(heard), SoundStarted(leg="b", sound=POLICY.music), begin=heard)
    assert ordered(heard, answer(heard)) == []


def test_a_sound_that_does_not_start_is_tried_so_often_and_more_slowly_each_time() -> None:
    t = after(ASKED, *PARTED, *CALLED, SoundStarted(leg="a", sound=POLICY.ringback))
    waited: list[float] = []
    while t.sound_timer is not None:
        *_, step = steps_with_answer(RULES, t, sounds_due(t))
        waited += [c.after_s for c in step.commands if isinstance(c, SetTimer)]
        t = step.after
    assert waited == [2.0, 4.0]  # the first was given one second
    assert t.state is State.DIALING


def test_when_everybody_hears_something_nobody_is_asked() -> None:
    t = after(ASKED, *PARTED, *HEAR)
    step = RULES.step(t, sounds_due(t))
    assert (step.why, step.commands) == (ALL_HEAR, ())
    assert step.after.sound_timer is None


def test_a_sound_that_has_played_and_ended_is_played_again() -> None:
    t = after(ASKED, *PARTED, *HEAR)
    t = after(sounds_due(t), begin=t)
    for _ in range(2 * POLICY.sound_attempts):  # however often: a file may be short
        t = after(SoundStopped(leg="b", sound=POLICY.music), begin=t)
        assert not t.transferee.hears
        assert ordered(t, answer(t)) == [HoldWithMusic(leg="b", music=POLICY.music)]
        t = after(answer(t), SoundStarted(leg="b", sound=POLICY.music), begin=t)
        t = after(sounds_due(t), begin=t)
    ended = after(SoundStopped(leg="a", sound=POLICY.ringback), begin=t)
    assert ordered(ended, answer(ended)) == [PlayRingback(leg="a", ringback=POLICY.ringback)]


def test_a_sound_that_ends_at_once_is_no_better_than_one_that_never_began() -> None:
    t = after(ASKED, *PARTED, *HEAR, SoundStopped(leg="b", sound=POLICY.music))
    assert ordered(t, answer(t)) == [HoldWithMusic(leg="b", music=POLICY.fallback_sound)]


def test_a_sound_that_ended_because_its_party_was_moved_is_not_played_again() -> None:
    t = after(ASKED, *PARTED, *HEAR)
    t = after(sounds_due(t), begin=t)
    t = after(SoundStopped(leg="b", sound=POLICY.music), begin=t)
    moved = after(TakebackRequested(transfer="t1"), begin=t)
    assert ordered(moved, answer(t)) == []


@pytest.mark.parametrize(
    ("events", "event", "why"),
    [
        (DIALING, LegParked(leg="a"), REPEAT),
        (DIALING, LegProgressed(leg="a"), REPEAT),
        (CONSULTING, LegAnswered(leg="c"), REPEAT),
        (CONSULTING, LegsJoined(first="a", second="c"), REPEAT),
        (CONSULTING, LegsReleased(first="a", second="b"), REPEAT),
        (CONSULTING, SoundStarted(leg="a", sound=Recording("x")), REPEAT),
        (CONSULTING, SoundStopped(leg="a", sound=Recording("x")), REPEAT),
        (CONSULTING, TimerFired(timer="t1#1"), OVERTAKEN),
        (CONSULTING, LegParked(leg="stranger"), STRANGER),
        (CONSULTING, LegHungUp(leg="stranger"), STRANGER),
        (CONSULTING, LegCreated(leg="stranger", number=""), STRANGER),
        (CONSULTING, LegsJoined(first="x", second="y"), STRANGER),
        (CONSULTING, LegCreated(leg="a", number="1001"), REPEAT),
        ((*CONSULTING, LegHungUp(leg="a")), LegHungUp(leg="a"), LATE),
        ((*CONSULTING, LegHungUp(leg="a")), LegParked(leg="a"), LATE),
        ((*CONSULTING, LegHungUp(leg="a")), LegsJoined(first="a", second="b"), LATE),
        ((*CONSULTING, LegHungUp(leg="a")), LegsJoined(first="a", second="x"), LATE),
        # nobody has called this target: it can't have answered
        ((ASKED,), LegAnswered(leg="c"), LATE),
        ((ASKED,), LegParked(leg="c"), LATE),
        ((ASKED,), LegHungUp(leg="c"), LATE),
        ((ASKED,), LegMovedAway(leg="c"), LATE),
    ],
)
def test_what_is_no_news(events: tuple[Event, ...], event: Event, why: str) -> None:
    before = after(*events)
    step = RULES.step(before, event)
    assert (step.after, step.on, step.rows, step.why, step.commands) == (
        before,
        None,
        (),
        why,
        (),
    )


def test_digits_and_hang_up_requests_are_not_the_machines_business() -> None:
    for event in (DigitPressed(leg="a", digit="1"), HangUpRequested(leg="a")):
        assert RULES.step(after(*CONSULTING), event).on is None


def test_the_failure_of_a_replaced_join_is_no_news() -> None:
    t = after(*CONSULTING, TakebackRequested(transfer="t1"))
    stale = Join(first="a", second="c", afterwards=Afterwards.PARK)
    assert RULES.step(t, CommandFailed(command=stale, reason="-ERR")).why == OLD_JOIN


def test_a_leg_that_somebody_else_takes_counts_as_gone_and_is_left_in_peace() -> None:
    t = after(*DIALING, LegsJoined(first="b", second="an-operator"))
    assert t.state is State.ABANDONED
    assert t.transferee.place is Place.GONE
    t = after(LegHungUp(leg="c"), begin=t)
    timer = t.deadline
    assert timer is not None
    assert HangUp(leg="b") not in RULES.step(t, TimerFired(timer=timer)).commands


def test_a_refusal_says_why_and_changes_nothing() -> None:
    t = after(*CONSULTING)
    with pytest.raises(RequestRefused, match="already in progress"):
        RULES.step(t, ASKED)
    with pytest.raises(RequestRefused, match="nothing|no transfer"):
        RULES.step(start(), TakebackRequested(transfer="t1"))
    with pytest.raises(RequestRefused, match="no transfer to complete"):
        RULES.step(start(), CompleteRequested(transfer="t1"))


@pytest.mark.parametrize("number", ["1001", "1002"])
def test_nobody_is_transferred_to_a_party(number: str) -> None:
    t = start()
    t = attrs.evolve(t, target=attrs.evolve(t.target, number=number))
    with pytest.raises(RequestRefused, match="already a party of this call"):
        RULES.step(t, ASKED)


def test_hops_are_limited_and_a_target_may_come_later() -> None:
    with pytest.raises(RequestRefused, match="its limit of transfers"):
        RULES.step(start(hops=5), ASKED)
    t = start()
    begun = RULES.step(attrs.evolve(t, target=attrs.evolve(t.target, number="")), ASKED)
    assert begun.after.lacks_number


def test_the_record_that_was_given_is_never_touched() -> None:
    t = after(*DIALING)
    copy = attrs.evolve(t)
    RULES.step(t, LegAnswered(leg="c"))
    assert t == copy


def test_an_action_that_raises_leaves_the_record_as_it_was() -> None:
    def explode(work: Work) -> None:
        work.note(cause="half done")
        raise ZeroDivisionError

    def exploding(phase: Phase) -> Phase:
        entries = tuple(
            attrs.evolve(one, then=(explode,))
            if isinstance(one, Row) and one.on is Input.TARGET_ANSWERED
            else one
            for one in phase.entries
        )
        return attrs.evolve(phase, entries=entries)

    rules = Rulebook(attrs.evolve(ATTENDED, phases=tuple(map(exploding, ATTENDED.phases))))
    t = after(*DIALING)
    copy = attrs.evolve(t)
    with pytest.raises(ZeroDivisionError):
        rules.step(t, LegAnswered(leg="c"))
    assert t == copy
    assert rules.step(t, LegHungUp(leg="c")).after.state is State.FAILED_RECONNECT


def test_a_hole_in_a_table_would_be_an_error_of_ours() -> None:
    holey = object.__new__(Spec)
    for field in attrs.fields(Spec):
        object.__setattr__(holey, field.name, getattr(ATTENDED, field.name))
    object.__setattr__(holey, "ignored_by_pair", {})
    with pytest.raises(NoTransition, match="no row for target_answered in abandoned"):
        Rulebook(holey).step(after(*DIALING, LegHungUp(leg="b")), LegAnswered(leg="c"))


def test_results_that_lead_in_circles_would_be_an_error_of_ours() -> None:
    def circling(phase: Phase) -> Phase:
        entries = tuple(
            attrs.evolve(one, to=phase.state)
            if isinstance(one, Row) and one.on is Input.ARRANGED and not one.given
            else one
            for one in phase.entries
        )
        return attrs.evolve(phase, entries=entries) if phase.state is State.HOLDING else phase

    rules = Rulebook(attrs.evolve(ATTENDED, phases=tuple(map(circling, ATTENDED.phases))))
    parked = after(ASKED, LegParked(leg="a"))
    with pytest.raises(EndlessTable, match="in circles, by way of holding"):
        rules.step(parked, LegParked(leg="b"))


def test_a_stale_copy_of_a_party_is_not_written_back() -> None:
    work = Work(start(), ASKED)
    old = work.transfer.transferor
    work.place(old, Place.MOVING)
    with pytest.raises(InternalError, match="stale"):
        work.place(old, Place.PARKED)


def test_timers_are_set_and_cancelled_at_most_once_a_step() -> None:
    step = RULES.step(after(ASKED, LegParked(leg="a")), LegParked(leg="b"))
    timers = [c for c in step.commands if isinstance(c, SetTimer)]
    assert [t.after_s for t in timers] == [POLICY.dial_timeout_s, POLICY.sound_timeout_s]
    assert len({t.timer for t in timers}) == len(timers)
