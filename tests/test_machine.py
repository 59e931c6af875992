"""The step: a new record on success, and the old one untouched whatever happens."""

import attrs
import pytest

from hookflash.commands import (
    Afterwards,
    Arm,
    CancelTimer,
    Dial,
    HangUp,
    HoldWithMusic,
    Introduce,
    Join,
    PlayRingback,
    PlayTone,
    SetTimer,
    Split,
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
    LegParked,
    LegProgressed,
    LegsJoined,
    LegsReleased,
    LegsSeparated,
    SoundStarted,
    SoundStopped,
    TakebackRequested,
    TimerFired,
    TransferRequested,
)
from hookflash.fsm.machine import (
    APART,
    LATE,
    OVERTAKEN,
    REPEAT,
    STRANGER,
    NoTransition,
    Rulebook,
    Work,
)
from hookflash.fsm.spec import Input, Spec
from hookflash.fsm.transfer import Outcome, Place, Policy, State, Transfer, new_transfer
from hookflash.specs.attended import ATTENDED

RULES = Rulebook(ATTENDED)
POLICY = Policy()

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
            afterwards=Afterwards.END,
            disarm=("c",),
        )
    ]
    t = after(LegParked(leg="c"), LegsJoined(first="b", second="c"), begin=t)
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
        step = RULES.step(transfer, TimerFired(timer=transfer.deadline))
        waited += [c.after_s for c in step.commands if isinstance(c, SetTimer)]
        transfer = step.after
    return waited, transfer


def test_patience_with_a_join_doubles_and_is_bounded() -> None:
    joining = after(*DIALING, *ANSWERED)
    waited, gave_up = waits(joining)
    assert waited == [4.0, 8.0, 16.0, 32.0, 64.0, 2.0]  # the last is the next state's first
    assert gave_up.state is State.FAILED_RECONNECT
    patient = attrs.evolve(POLICY, join_attempts=8)
    waited, _ = waits(after(*DIALING, *ANSWERED, begin=start(policy=patient)))
    assert waited[:-1] == [4.0, 8.0, 16.0, 32.0, 64.0, 64.0, 64.0]


def test_patience_with_a_split_doubles_and_then_the_two_are_brought_together() -> None:
    waited, gave_up = waits(after(ASKED))
    assert waited == [6.0, 12.0, 24.0, 2.0]
    assert gave_up.state is State.FAILED_RECONNECT


def test_whoever_is_parked_by_a_slow_split_stays_so_when_it_is_repeated() -> None:
    half = after(ASKED, LegParked(leg="a"))
    assert half.deadline is not None
    again = TimerFired(timer=half.deadline)
    assert ordered(half, again) == [
        Split(first="a", second="b", transfer="t1", kind="attended", repeated=True)
    ]
    assert after(again, begin=half).transferor.place is Place.PARKED
    assert after(again, LegParked(leg="b"), begin=half).state is State.DIALING


def test_a_join_is_repeated_only_if_nothing_was_heard_of_it() -> None:
    joining = after(*DIALING, *ANSWERED)
    assert joining.deadline is not None
    silence = TimerFired(timer=joining.deadline)
    refusal = CommandFailed(command=ordered_join(after(*DIALING, LegAnswered(leg="c"))), reason="-")
    assert [join.repeated for join in joins(joining, silence)] == [True]
    assert [join.repeated for join in joins(joining, refusal)] == [False]


def joins(transfer: Transfer, event: Event) -> list[Join]:
    return [c for c in ordered(transfer, event) if isinstance(c, Join)]


def ordered_join(transfer: Transfer) -> Join:
    (join,) = joins(transfer, LegParked(leg="c"))
    return join


def test_nobody_is_joined_before_the_target_is_parked() -> None:
    t = after(*DIALING)
    assert ordered(t, LegAnswered(leg="c")) == []


def test_who_leaves_early_leaves_a_failsafe() -> None:
    t = after(*DIALING)
    assert ordered(t, LegHungUp(leg="a")) == [
        Arm(leg="c", rescue="b"),
        PlayRingback(leg="b", ringback=POLICY.ringback),
    ]


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
    t = after(*DIALING, LegHungUp(leg="a"))
    step = RULES.step(t, LegHungUp(leg="c", cause="USER_BUSY"))
    assert PlayTone(leg="b", tone=POLICY.failure_tone) in step.commands
    assert (step.after.outcome, step.after.cause) == (Outcome.FAILED, "USER_BUSY")


def test_a_sound_that_does_not_start_is_replaced() -> None:
    t = after(ASKED, *PARTED)
    timer = t.sound_timer
    assert timer is not None
    t = after(SoundStarted(leg="a", sound=POLICY.ringback), begin=t)
    fallback = POLICY.fallback_sound
    assert ordered(t, TimerFired(timer=timer)) == [HoldWithMusic(leg="b", music=fallback)]


def test_a_sound_that_breaks_off_is_looked_after() -> None:
    t = after(ASKED, *PARTED, SoundStarted(leg="b", sound=POLICY.music))
    before = t.sound_timer
    t = after(SoundStopped(leg="b", sound=POLICY.music), begin=t)
    assert t.sound_timer not in {None, before}
    assert not t.transferee.hears


@pytest.mark.parametrize(
    ("events", "event", "why"),
    [
        (DIALING, LegParked(leg="a"), REPEAT),
        (DIALING, LegsSeparated(first="a", second="b"), APART),
        (DIALING, LegProgressed(leg="a"), REPEAT),
        (CONSULTING, LegAnswered(leg="c"), REPEAT),
        (CONSULTING, LegsJoined(first="a", second="c"), REPEAT),
        (CONSULTING, LegsReleased(first="a", second="b"), REPEAT),
        (CONSULTING, SoundStarted(leg="a", sound="x"), REPEAT),
        (CONSULTING, SoundStopped(leg="a", sound="x"), REPEAT),
        (CONSULTING, TimerFired(timer="t1#1"), OVERTAKEN),
        (CONSULTING, LegParked(leg="stranger"), STRANGER),
        (CONSULTING, LegHungUp(leg="stranger"), STRANGER),
        (CONSULTING, LegCreated(leg="stranger", number=""), STRANGER),
        (CONSULTING, LegsJoined(first="x", second="y"), STRANGER),
        (CONSULTING, LegCreated(leg="a", number="1001"), LATE),
        ((*CONSULTING, LegHungUp(leg="a")), LegHungUp(leg="a"), LATE),
        ((*CONSULTING, LegHungUp(leg="a")), LegParked(leg="a"), LATE),
        ((*CONSULTING, LegHungUp(leg="a")), LegsJoined(first="a", second="b"), LATE),
        ((*CONSULTING, LegHungUp(leg="a")), LegsJoined(first="a", second="x"), LATE),
    ],
)
def test_what_is_no_news(events: tuple[Event, ...], event: Event, why: str) -> None:
    before = after(*events)
    step = RULES.step(before, event)
    assert (step.after, step.on, step.row, step.why, step.commands) == (
        before,
        None,
        None,
        why,
        (),
    )


def test_digits_and_hang_up_requests_are_not_the_machines_business() -> None:
    for event in (DigitPressed(leg="a", digit="1"), HangUpRequested(leg="a")):
        assert RULES.step(after(*CONSULTING), event).on is None


def test_the_failure_of_a_replaced_join_is_no_news() -> None:
    t = after(*CONSULTING, TakebackRequested(transfer="t1"))
    stale = Join(first="a", second="c", afterwards=Afterwards.PARK)
    assert RULES.step(t, CommandFailed(command=stale, reason="-ERR")).on is None


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
    with pytest.raises(RequestRefused, match="already running"):
        RULES.step(t, ASKED)
    with pytest.raises(RequestRefused, match="nothing|no transfer"):
        RULES.step(start(), TakebackRequested(transfer="t1"))
    with pytest.raises(RequestRefused, match="no transfer to complete"):
        RULES.step(start(), CompleteRequested(transfer="t1"))


@pytest.mark.parametrize("number", ["1001", "1002"])
def test_nobody_is_transferred_to_a_party(number: str) -> None:
    t = start()
    t = attrs.evolve(t, target=attrs.evolve(t.target, number=number))
    with pytest.raises(RequestRefused, match="already in this call"):
        RULES.step(t, ASKED)


def test_hops_are_limited_and_a_target_is_needed() -> None:
    with pytest.raises(RequestRefused, match="as often as is allowed"):
        RULES.step(start(hops=5), ASKED)
    t = start()
    with pytest.raises(RequestRefused, match="no number"):
        RULES.step(attrs.evolve(t, target=attrs.evolve(t.target, number="")), ASKED)


def test_the_record_that_was_given_is_never_touched() -> None:
    t = after(*DIALING)
    copy = attrs.evolve(t)
    RULES.step(t, LegAnswered(leg="c"))
    assert t == copy


def test_an_action_that_raises_leaves_the_record_as_it_was() -> None:
    def explode(work: Work) -> None:
        work.note(cause="half done")
        raise ZeroDivisionError

    rows = tuple(
        attrs.evolve(row, then=(*row.then, explode)) if row.on is Input.TARGET_ANSWERED else row
        for row in ATTENDED.rows
    )
    rules = Rulebook(attrs.evolve(ATTENDED, rows=rows))
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
    with pytest.raises(NoTransition, match="no row for target_rang in dialing"):
        Rulebook(holey).step(after(ASKED, *PARTED), LegProgressed(leg="c"))


def test_a_stale_copy_of_a_party_is_not_written_back() -> None:
    work = Work(start(), ASKED)
    old = work.transfer.transferor
    work.place(old, Place.MOVING)
    with pytest.raises(InternalError, match="stale"):
        work.place(old, Place.PARKED)


def test_timers_are_set_and_cancelled_at_most_once_a_step() -> None:
    step = RULES.step(after(ASKED, LegParked(leg="a")), LegParked(leg="b"))
    timers = [c for c in step.commands if isinstance(c, SetTimer)]
    assert [t.after_s for t in timers] == [25.0, 1.0]
    assert len({t.timer for t in timers}) == len(timers)
