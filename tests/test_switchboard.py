"""The switchboard alone: digits, accounts, requests, and books that balance when all have left."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Iterable
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookflash.backends.base import LOST_TRACK, LegSnapshot
from hookflash.backends.simulator.faults import Faults
from hookflash.backends.simulator.people import Answers, AnswersAndLeaves, Behaviour, Busy, Manual
from hookflash.commands import (
    CancelTimer,
    Command,
    Dial,
    Forget,
    HangUp,
    Look,
    PassKeys,
    PlayTone,
    Release,
    SetTimer,
    Split,
    WithholdKeys,
)
from hookflash.dialling.metaflows import DEFAULT_METAFLOWS, ListenOn, Metaflows, parse_metaflows
from hookflash.engine.alone import ALONE_S
from hookflash.engine.conductor import FAULT_PAUSE_S
from hookflash.engine.feature_codes import KEYS_WITHHELD_S
from hookflash.engine.legs import Account
from hookflash.engine.record import Record
from hookflash.engine.switchboard import Switchboard, numbered_ids
from hookflash.errors import InputError, InternalError, Refusal
from hookflash.events import (
    CommandFailed,
    CompleteRequested,
    DigitPressed,
    Direction,
    Event,
    HangUpRequested,
    Kind,
    LegAnswered,
    LegCreated,
    LegHungUp,
    LegIdentified,
    LegMovedAway,
    LegParked,
    LegsJoined,
    LegsReleased,
    LegsSeen,
    LegsSeparated,
    SwitchFound,
    SwitchLost,
    TakebackRequested,
    TimerFired,
    TransferOptions,
    TransferRequested,
)
from hookflash.fsm.machine import Rulebook, Step
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Outcome, State, Transfer
from hookflash.scenarios.rig import CALL_UP_S, SimulatedRig
from hookflash.scenarios.run import MAX_STEPS
from hookflash.scenarios.scenario import PartyPlan
from hookflash.scenarios.script import ScriptLine
from hookflash.sounds import MediaList, Music, Recording, Sound, parse_asked_sound


class Rig:
    """A switchboard, and whoever tells it what happens."""

    def __init__(self, **options: object) -> None:
        self.board = Switchboard(**options)  # pyright: ignore[reportArgumentType]
        self.serials = itertools.count(1)
        self.records: list[Record] = []

    def tell(self, *events: Event) -> Record:
        """Hand over events; the last record of the last one comes back.

        A pair that is released is an ordinary call at once: the reply of the switch is the fact.
        """
        waiting = deque(events)
        while waiting:
            records = self.board.handle(waiting.popleft(), 0.0)
            self.records += records
            released = (c for record in records for c in record.commands if isinstance(c, Release))
            waiting.extendleft(LegsReleased(first=c.first, second=c.second) for c in released)
        return self.records[-1]

    def leg(self, leg: str, number: str, account: str = "") -> None:
        self.tell(LegCreated(leg=leg, number=number, account=account), LegAnswered(leg=leg))

    def call(self, first: str = "a", second: str = "b", *accounts: str) -> None:
        mine, theirs = accounts or ("", "")
        self.leg(first, f"10{first}", mine)
        self.leg(second, f"10{second}", theirs)
        self.tell(LegsJoined(first=first, second=second))

    def dial(self, leg: str, digits: str) -> Record:
        for digit in digits:
            self.tell(DigitPressed(leg=leg, digit=digit, serial=next(self.serials)))
        return self.records[-1]

    def pause(self) -> Record:
        """Let the running digit timer run out."""
        (timer,) = self.digit_timers()
        return self.tell(TimerFired(timer=timer))

    def digit_timers(self) -> list[str]:
        """The digit timers that are set, and neither cancelled nor fired."""
        running: dict[str, None] = {}
        for record in self.records:
            if isinstance(record.event, TimerFired):
                running.pop(record.event.timer, None)
            for command in record.commands:
                if isinstance(command, SetTimer) and command.timer.startswith("digits"):
                    running[command.timer] = None
                elif isinstance(command, CancelTimer):
                    running.pop(command.timer, None)
        return list(running)

    def ask(self, leg: str = "a", transfer: str = "t", target: str = "2600") -> Record:
        return self.tell(TransferRequested(leg=leg, transfer=transfer, target=target))

    def consult(self) -> None:
        """Bring transfer `t` of legs `a` and `b` to its consultation."""
        self.ask()
        self.tell(
            LegsSeparated(first="a", second="b"),
            LegParked(leg="a"),
            LegParked(leg="b"),
            LegCreated(leg="t-target", number="2600"),
            LegAnswered(leg="t-target"),
            LegParked(leg="t-target"),
            LegsJoined(first="a", second="t-target"),
        )
        assert self.state() is State.CONSULTING

    def state(self, transfer: str = "t") -> State | None:
        found = self.board.transfer(transfer)
        return found.state if found else None

    def leave(self, *legs: str) -> None:
        for leg in legs:
            self.tell(LegHungUp(leg=leg))


def assert_balanced(board: Switchboard) -> None:
    assert board.load() == {
        "legs": 0,
        "transfers": 0,
        "legs in transfers": 0,
        "digit timers": 0,
        "legs left alone": 0,
    }


def look_of(record: Record) -> Look:
    """The question that a record orders."""
    (look,) = (command for command in record.commands if isinstance(command, Look))
    return look


def leg_seen(leg: str, peer: str | None = None, **more: object) -> LegSnapshot:
    """A leg as the switch shows it: it stands alone in our keeping, or is joined."""
    told: dict[str, object] = {"number": "", "direction": Direction.INBOUND, "answered": True}
    told |= {"parked": peer is None, "peer": peer, **more}
    return LegSnapshot(leg=leg, **told)  # pyright: ignore[reportArgumentType]


def seen(record: Record, *living: LegSnapshot) -> LegsSeen:
    """The answer to the question that a record orders."""
    return LegsSeen(look=look_of(record), living=living)


# --------------------------------------------------------------------- faults of ours


def faulty(monkeypatch: pytest.MonkeyPatch, *, on: type[Event]) -> None:
    """Let the tables fail in steps on one kind of event."""
    step = Rulebook.step

    def fail(self: Rulebook, transfer: Transfer, event: Event) -> Step:
        if isinstance(event, on):
            raise InternalError("a bug")
        return step(self, transfer, event)

    monkeypatch.setattr(Rulebook, "step", fail)


def passed_over(_transfer: str, _event: Event, _fault: Exception) -> None:
    """Hear of a fault, and do nothing."""


def test_a_fault_in_one_transfer_leaves_it_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    faults: list[tuple[str, Event]] = []

    def keep(transfer: str, event: Event, _fault: Exception) -> None:
        faults.append((transfer, event))

    desk = Rig(on_fault=keep)
    desk.call()
    desk.consult()
    before = desk.board.transfer("t")
    faulty(monkeypatch, on=TakebackRequested)
    record = desk.tell(TakebackRequested(transfer="t"))
    assert record.refusal is Refusal.FAULT
    assert desk.board.transfer("t") == before
    assert faults == [("t", TakebackRequested(transfer="t"))]
    monkeypatch.undo()
    assert desk.tell(TakebackRequested(transfer="t")).refusal is None


def test_a_deadline_that_passes_in_vain_passes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Rig(on_fault=passed_over)
    desk.call()
    desk.consult()
    transfer = desk.board.transfer("t")
    assert transfer is not None
    assert transfer.deadline is not None
    faulty(monkeypatch, on=TimerFired)
    record = desk.tell(TimerFired(timer=transfer.deadline))
    assert record.commands == (SetTimer(timer=transfer.deadline, after_s=FAULT_PAUSE_S),)
    monkeypatch.undo()
    look = look_of(desk.tell(TimerFired(timer=transfer.deadline)))
    assert desk.state() is State.CONSULTING
    desk.tell(LegsSeen(look=attrs.evolve(look, legs=()), living=()))
    assert desk.state() is not State.CONSULTING


def test_a_request_that_fails_by_a_fault_of_ours_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Rig(on_fault=passed_over)
    desk.call()
    faulty(monkeypatch, on=TransferRequested)
    assert desk.ask().refusal is Refusal.FAULT
    monkeypatch.undo()
    assert desk.ask().refusal is None
    desk.leave("a", "b", "t-target")


def test_without_anybody_to_tell_a_fault_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Rig()
    desk.call()
    faulty(monkeypatch, on=TransferRequested)
    with pytest.raises(InternalError):
        desk.ask()


def test_a_transfer_that_has_ended_ends_once_whatever_marks_are_left() -> None:
    desk = Rig()
    desk.call()
    desk.consult()
    desk.tell(LegHungUp(leg="a"), LegsJoined(first="b", second="t-target"))
    assert desk.records[-1].outcome is Outcome.TRANSFERRED
    left = [
        leg_seen("b", "t-target", transfer="t", role="transferee"),
        leg_seen("t-target", "b", transfer="t", role="target"),
    ]
    (record,) = desk.board.adopt(left)
    assert record.outcome is None
    assert record.commands == (Forget(legs=("b", "t-target")),)
    assert not desk.board.running


def test_a_transfer_that_has_ended_under_a_controller_before_ends_once_too() -> None:
    """Its marks are taken off, and whoever it has left alone is looked after."""
    desk = Rig(ended={"t"})
    desk.leg("b", "1002")
    alone = leg_seen("b", transfer="t", role="transferee")
    rings = leg_seen("t-target", answered=False, parked=False, transfer="t", role="target")
    (record,) = desk.board.adopt([alone, rings])
    assert record.outcome is None
    forget, cancel, watch = record.commands
    assert forget == Forget(legs=("b", "t-target"))
    assert cancel == HangUp(leg="t-target", cause="ORIGINATOR_CANCEL")
    assert isinstance(watch, SetTimer)
    assert watch.after_s == ALONE_S
    assert not desk.board.running
    assert isinstance(desk.tell(TimerFired(timer=watch.timer)).commands[0], Look)


def test_a_leg_of_a_found_transfer_that_somebody_else_has_taken_is_let_go() -> None:
    """The transfer goes on with the others; nothing of ours stays on the one that has left."""
    desk = Rig()
    desk.leg("a", "1001")
    desk.leg("b", "1002")
    away = leg_seen("a", parked=False, elsewhere=True, transfer="t", role="transferor")
    waits = leg_seen("b", transfer="t", role="transferee")
    rings = leg_seen("t-target", answered=False, parked=False, transfer="t", role="target")
    found, let_go = desk.board.adopt([away, waits, rings])
    assert (found.transfer, found.begins is not None) == ("t", True)
    assert let_go.event == LegMovedAway(leg="a")
    watch = SetTimer(timer="alone~1", after_s=ALONE_S)
    assert let_go.commands == (Forget(legs=("a",)), watch)
    assert desk.state() is State.PARTIAL


def test_a_target_that_turns_up_when_its_transfer_is_over_is_hung_up() -> None:
    """It was being called when everybody had left; its beginning is told late."""
    desk = Rig()
    desk.call()
    desk.ask()
    desk.tell(LegParked(leg="a"), LegParked(leg="b"), LegHungUp(leg="a"), LegHungUp(leg="b"))
    desk.tell(LegHungUp(leg="t-target", cause="ORIGINATOR_CANCEL"))
    assert desk.state() is None
    for late in (LegCreated(leg="t-target", number="2600"), LegAnswered(leg="t-target")):
        record = desk.tell(late)
        assert record.commands == (HangUp(leg="t-target", cause="ORIGINATOR_CANCEL"),)
    desk.leave("t-target")
    assert_balanced(desk.board)


def test_a_target_that_somebody_has_got_is_left_in_peace() -> None:
    desk = Rig()
    desk.call()
    desk.consult()
    desk.tell(LegHungUp(leg="a"), LegsJoined(first="b", second="t-target"))
    assert desk.state() is None
    assert desk.tell(LegCreated(leg="t-target", number="2600")).commands == ()
    assert desk.tell(LegAnswered(leg="t-target")).commands == ()


# ------------------------------------------------------------------- the switch is asked


def test_the_facts_in_an_answer_come_before_it() -> None:
    desk = Rig()
    desk.call()
    desk.consult()
    before = desk.board.transfer("t")
    assert before is not None
    assert before.deadline is not None
    asked = desk.tell(TimerFired(timer=before.deadline))
    assert look_of(asked).legs == ("a", "b", "t-target")
    told = len(desk.records)
    # the transferor has left, and the target has the transferee by the failsafe
    desk.tell(seen(asked, leg_seen("b", "t-target"), leg_seen("t-target", "b")))
    events = [record.event for record in desk.records[told:]]
    assert LegHungUp(leg="a", cause=LOST_TRACK) in events
    assert seen(asked, leg_seen("b", "t-target"), leg_seen("t-target", "b")) == events[-2]
    assert events[-1] == LegsReleased(first="b", second="t-target")
    assert desk.state() is None
    assert Outcome.TRANSFERRED in {record.outcome for record in desk.records}


def test_an_answer_that_comes_too_late_tells_nothing() -> None:
    """It would say where the legs were before they were ordered to move."""
    desk = Rig()
    desk.call()
    desk.consult()
    transfer = desk.board.transfer("t")
    assert transfer is not None
    assert transfer.deadline is not None
    asked = desk.tell(TimerFired(timer=transfer.deadline))
    desk.tell(TakebackRequested(transfer="t"))
    before = desk.board.transfer("t")
    record = desk.tell(seen(asked, leg_seen("a"), leg_seen("b"), leg_seen("t-target")))
    assert record.event == seen(asked, leg_seen("a"), leg_seen("b"), leg_seen("t-target"))
    assert record.commands == ()
    assert desk.board.transfer("t") == before


def test_an_answer_to_nobody_is_a_set_of_facts() -> None:
    """A backend asks of itself who a leg is whose beginning was lost."""
    desk = Rig()
    living = (leg_seen("a", "b", number="1001"), leg_seen("b", "a", number="1002"))
    record = desk.tell(LegsSeen(look=Look(legs=("a",)), living=living))
    assert (record.transfer, record.commands) == (None, ())
    assert peers(desk) == {"a": "b", "b": "a"}


# --------------------------------------------------------------- a request of a leg alone


def test_a_request_of_a_leg_that_talks_with_somebody_after_all_is_met() -> None:
    """The event of the join was lost."""
    desk = Rig()
    desk.leg("a", "1001")
    desk.leg("b", "1002")
    request = TransferRequested(leg="a", transfer="t", target="2600")
    asked = desk.tell(request)
    assert not asked.refused
    assert look_of(asked).legs == ("a",)
    assert desk.board.deferred_as(request) is not None
    assert desk.board.deferred_as(attrs.evolve(request)) is None  # that very one
    record = desk.tell(seen(asked, leg_seen("a", "b"), leg_seen("b", "a")))
    assert desk.board.deferred_as(request) is None
    assert record.event == request
    assert not record.refused
    assert desk.state() is State.HOLDING


def test_a_request_of_a_leg_alone_is_refused_when_the_switch_says_so_and_asked_once() -> None:
    desk = Rig()
    desk.leg("a", "1001")
    asked = desk.ask()
    assert "there is nobody to transfer" in desk.tell(seen(asked, leg_seen("a"))).why
    assert desk.records[-1].refused
    again = desk.ask()
    assert again.refused
    assert again.commands == ()
    desk.leg("b", "1002")
    desk.tell(LegsJoined(first="a", second="b"), LegsSeparated(first="a", second="b"))
    assert isinstance(look_of(desk.ask()), Look)  # it has been known since, and is not any more
    desk.leave("a", "b")
    assert_balanced(desk.board)


def test_a_request_of_a_leg_that_does_not_live_any_more_is_refused() -> None:
    desk = Rig()
    desk.leg("a", "1001")
    record = desk.tell(seen(desk.ask()))
    assert record.refused
    assert record.why == "there is no such call"
    assert desk.board.legs == {}


@pytest.mark.parametrize("lost", [SwitchLost(), SwitchFound()])  # found: events were dropped
def test_whoever_waits_for_the_switch_waits_no_longer_when_it_is_lost(lost: Event) -> None:
    desk = Rig()
    desk.leg("a", "1001")
    request = TransferRequested(leg="a", transfer="t", target="2600")
    asked = desk.tell(request)
    desk.tell(lost)
    assert desk.board.deferred_as(request) is None
    desk.leg("b", "1002")
    desk.tell(seen(asked, leg_seen("a", "b"), leg_seen("b", "a")))
    assert desk.state() is None


def test_a_code_that_hangs_up_counts_only_in_a_conversation() -> None:
    """Who is known to talk with nobody may be dialling for a menu, or a voice mail box."""
    desk = Rig(account=Account(metaflows=codes(numbers={"0": {"module": "hangup"}})))
    desk.leg("a", "1001")
    record = desk.dial("a", "*0")
    assert record.refusal is Refusal.NOT_NOW
    assert record.commands == ()
    desk.leg("b", "1002")
    desk.tell(LegsJoined(first="a", second="b"))
    assert desk.dial("a", "*0").commands == (HangUp(leg="a"),)


# ------------------------------------------------------------------------ legs left alone


def left_alone() -> tuple[Rig, str]:
    """Somebody else has sent the transferee elsewhere, and it came back alone: nobody tells us."""
    desk = Rig()
    desk.call()
    desk.ask()
    desk.tell(LegParked(leg="a"), LegParked(leg="b"), LegHungUp(leg="a"), LegMovedAway(leg="b"))
    ended = desk.tell(LegHungUp(leg="t-target"))
    assert desk.state() is None
    (timer,) = (c for c in ended.commands if isinstance(c, SetTimer))
    assert timer.after_s == ALONE_S
    return desk, timer.timer


def test_who_has_just_left_is_not_looked_after() -> None:
    desk = Rig(account=Account(policy=Policy(recall_attempts=0)))
    desk.call()
    desk.consult()
    desk.tell(LegHungUp(leg="a"), LegHungUp(leg="t-target"))
    ended = desk.tell(LegHungUp(leg="b"))
    assert desk.state() is None
    assert not any(isinstance(c, SetTimer) for c in ended.commands)
    assert_balanced(desk.board)


def test_a_leg_that_stands_alone_after_a_transfer_hears_a_tone_and_a_clear_end() -> None:
    desk, timer = left_alone()
    asked = desk.tell(TimerFired(timer=timer))
    assert look_of(asked).legs == ("b",)
    told = desk.tell(seen(asked, leg_seen("b")))
    tone, again = told.commands
    assert tone == PlayTone(leg="b", tone=Policy().failure_tone)
    assert isinstance(again, SetTimer)
    assert again.after_s == Policy().tone_s
    hung_up, _ = desk.tell(TimerFired(timer=again.timer)).commands
    assert hung_up == HangUp(leg="b")
    desk.leave("b")
    assert_balanced(desk.board)


def test_a_leg_whose_hang_up_was_lost_is_asked_about_again() -> None:
    """No answer need ever come: the order may be lost with the connection."""
    desk, timer = left_alone()
    for _ in range(3):
        told = desk.tell(seen(desk.tell(TimerFired(timer=timer)), leg_seen("b")))
        (heard,) = (c for c in told.commands if isinstance(c, SetTimer))
        hung_up, again = desk.tell(TimerFired(timer=heard.timer)).commands
        assert hung_up == HangUp(leg="b")
        assert isinstance(again, SetTimer)
        assert again.after_s == ALONE_S
        timer = again.timer
    desk.leave("b")
    assert_balanced(desk.board)
    assert desk.tell(TimerFired(timer=timer)).why == "The timer no longer matters."


@pytest.mark.parametrize(
    "living",
    [
        (),  # it has left
        (leg_seen("b", "x"), leg_seen("x", "b")),  # it talks with somebody
        (leg_seen("b", parked=False, elsewhere=True),),  # it is in a queue, say
    ],
)
def test_a_leg_that_is_not_alone_after_all_is_left_in_peace(
    living: tuple[LegSnapshot, ...],
) -> None:
    desk, timer = left_alone()
    asked = desk.tell(TimerFired(timer=timer))
    assert desk.tell(seen(asked, *living)).commands == ()
    desk.leave("b", "x")
    assert_balanced(desk.board)


def test_a_leg_that_somebody_takes_in_time_is_not_asked_about() -> None:
    desk, timer = left_alone()
    desk.leg("x", "1500")
    desk.tell(LegsJoined(first="b", second="x"))
    assert desk.tell(TimerFired(timer=timer)).commands == ()
    assert desk.tell(TimerFired(timer=timer)).why == "The timer no longer matters."


def test_a_leg_that_is_in_a_transfer_when_the_answer_comes_keeps_its_music() -> None:
    desk, timer = left_alone()
    asked = desk.tell(TimerFired(timer=timer))
    desk.leg("x", "1500")
    desk.tell(LegsJoined(first="b", second="x"))
    desk.ask("x", "next", "2700")
    desk.tell(LegParked(leg="b"), LegParked(leg="x"))
    assert desk.board.running.of("b") is not None
    assert desk.tell(seen(asked, leg_seen("b"))).commands == ()


def test_a_leg_is_not_forgotten_when_the_answer_is_lost() -> None:
    desk, timer = left_alone()
    asked = desk.tell(TimerFired(timer=timer))
    desk.tell(SwitchLost())
    (again,) = desk.tell(SwitchFound()).commands
    assert isinstance(again, SetTimer)
    assert desk.tell(seen(asked, leg_seen("b"))).commands == ()  # the answer of before
    assert look_of(desk.tell(TimerFired(timer=again.timer))).legs == ("b",)
    desk.leave("b")


def test_a_leg_that_is_taken_while_it_hears_the_tone_lives() -> None:
    desk, timer = left_alone()
    told = desk.tell(seen(desk.tell(TimerFired(timer=timer)), leg_seen("b")))
    (again,) = (c for c in told.commands if isinstance(c, SetTimer))
    desk.leg("x", "1500")
    desk.tell(LegsJoined(first="b", second="x"))
    assert desk.tell(TimerFired(timer=again.timer)).commands == ()


# --------------------------------------------------------------------------- whose right


def rights_of(desk: Rig, leg: str) -> Refusal | None:
    """What comes of it when a leg asks to transfer whom it talks with."""
    return desk.tell(TransferRequested(leg=leg, transfer=f"by-{leg}", target="2700")).refusal


def consulted_by(desk: Rig, first: str, second: str, target: LegCreated) -> None:
    """`first` transfers `second` to a target, and leaves."""
    desk.tell(TransferRequested(leg=first, transfer="t", target="2600", by="program"))
    desk.tell(LegParked(leg=first), LegParked(leg=second), target)
    desk.tell(LegAnswered(leg="t-target"), LegParked(leg="t-target"))
    desk.tell(LegsJoined(first=first, second="t-target"), LegHungUp(leg=first))
    desk.tell(LegsJoined(first=second, second="t-target"))
    assert desk.state() is None


TARGET = LegCreated(leg="t-target", number="2600", direction=Direction.OUTBOUND)


def test_a_customer_without_an_account_stays_one_after_being_transferred() -> None:
    """Appendix A.8: nobody gains a right by being transferred."""
    desk = Rig()
    desk.call("agent", "customer", "acme", "")
    assert rights_of(desk, "customer") is Refusal.NOT_ENTITLED
    # the next partner has no account either: a gateway, say
    consulted_by(desk, "agent", "customer", TARGET)
    assert desk.board.legs["customer"].is_user is False
    assert rights_of(desk, "customer") is Refusal.NOT_ENTITLED


def test_a_phone_of_the_account_that_is_reached_by_transfer_may_transfer() -> None:
    desk = Rig()
    desk.call("agent", "customer", "acme", "")
    consulted_by(desk, "agent", "customer", attrs.evolve(TARGET, account="acme"))
    assert rights_of(desk, "t-target") is None


def test_a_gateway_that_is_reached_by_transfer_may_not() -> None:
    desk = Rig()
    desk.call("agent", "customer", "acme", "")
    gateway = attrs.evolve(TARGET, account="acme", outside=True)
    consulted_by(desk, "agent", "customer", gateway)
    assert rights_of(desk, "t-target") is Refusal.NOT_ENTITLED


def test_a_gateway_behind_a_loopback_is_refused_on_its_near_half() -> None:
    desk = Rig()
    desk.call("agent", "customer", "acme", "")
    consulted_by(desk, "agent", "customer", attrs.evolve(TARGET, account="acme"))
    behind = LegIdentified(leg="t-target", number="+49301", account="acme", outside=True)
    assert desk.tell(behind).why == "The party on the leg is now known."
    assert rights_of(desk, "t-target") is Refusal.NOT_ENTITLED
    assert desk.board.legs["t-target"].number == "+49301"


def test_where_there_are_no_accounts_everybody_is_a_user() -> None:
    desk = Rig()
    desk.call()
    assert rights_of(desk, "b") is None


def test_a_right_is_settled_by_the_first_partner_and_kept() -> None:
    desk = Rig()
    desk.call("a", "b")  # neither has an account: users of the default
    desk.leg("x", "1500", "acme")
    desk.tell(LegsJoined(first="b", second="x"))
    assert desk.board.legs["b"].is_user is True


def test_it_turns_out_whose_leg_it_is() -> None:
    acme = Account(policy=Policy(ring_timeout_s=7.0))
    desk = Rig(accounts={"acme": acme})
    desk.leg("a", "1001")
    desk.tell(LegIdentified(leg="a", number="", account="acme", may_transfer=False))
    line = desk.board.legs["a"]
    assert (line.account, line.responsible, line.choices) == ("acme", "acme", acme)
    assert (line.number, line.may_transfer) == ("1001", False)
    desk.tell(LegIdentified(leg="a", number="9", account="another"))
    assert (line.account, line.number) == ("acme", "9")  # its own account stays
    assert desk.tell(LegIdentified(leg="ghost", number="9")).commands == ()


def test_the_transfer_knows_who_is_outside_and_who_withholds() -> None:
    desk = Rig()
    desk.tell(LegCreated(leg="a", number="1001"))
    desk.tell(LegCreated(leg="b", number="+49301", outside=True, withheld=True))
    desk.tell(LegsJoined(first="a", second="b"))
    desk.ask()
    transfer = desk.board.transfer("t")
    assert transfer is not None
    parties = (transfer.transferor, transfer.transferee)
    assert [(p.outside, p.withheld) for p in parties] == [(False, False), (True, True)]


# ------------------------------------------------------------------- whose keys count


def codes(**document: object) -> Metaflows:
    return parse_metaflows(
        {"patterns": {r"2(\d+)": {"module": "transfer"}}, "numbers": {}, **document}
    )


@pytest.mark.parametrize(
    ("mine", "theirs", "heard"),
    [
        ("both", "both", "ab"),
        ("self", "self", "ab"),
        ("self", "peer", "a"),
        ("peer", "self", "b"),
        # each hears only the other's keys: with the other's codes
        ("peer", "peer", "ab"),
        ("both", "peer", "ab"),
        ("peer", "both", "ab"),
    ],
)
def test_listen_on_is_asked_of_both_accounts(mine: str, theirs: str, heard: str) -> None:
    for leg in "ab":
        desk = Rig(
            accounts={
                "mine": Account(metaflows=codes(listen_on=mine)),
                "theirs": Account(metaflows=codes(listen_on=theirs)),
            }
        )
        desk.call("a", "b", "mine", "theirs")
        desk.dial(leg, "*22600#")
        assert bool(desk.board.running) is (leg in heard), f"{leg} with {mine} and {theirs}"


def test_the_partners_codes_count_where_only_the_partners_keys_do() -> None:
    desk = Rig(
        accounts={
            "mine": Account(metaflows=codes(listen_on="peer", patterns={})),
            "theirs": Account(
                metaflows=codes(
                    listen_on="peer",
                    binding_digit="#",
                    patterns={r"7(\d+)": {"module": "transfer"}},
                )
            ),
        }
    )
    desk.call("a", "b", "mine", "theirs")
    desk.dial("a", "#72600")
    desk.pause()
    assert desk.board.transfer("transfer-1") is not None


def test_an_account_that_nobody_knows_has_the_defaults() -> None:
    desk = Rig(account=Account(metaflows=codes(binding_digit="#")))
    desk.call("a", "b", "unheard", "of")
    assert desk.dial("a", "*").why == "No feature code."
    assert desk.dial("a", "#").why == "A feature code is being dialled."


def test_an_account_has_its_own_digit_timeout_and_policy() -> None:
    acme = Account(metaflows=codes(digit_timeout=900), policy=Policy(ring_timeout_s=7.0))
    desk = Rig(accounts={"acme": acme})
    desk.call("a", "b", "acme", "")
    (timer,) = desk.dial("a", "*").commands
    assert isinstance(timer, SetTimer)
    assert timer.after_s == 0.9
    desk.dial("a", "22600#")
    transfer = desk.board.transfer("transfer-1")
    assert transfer is not None
    assert transfer.policy.ring_timeout_s == 7.0


def test_nobody_listens_to_who_has_not_answered_or_is_unknown() -> None:
    desk = Rig()
    desk.tell(LegCreated(leg="a", number="1001"))
    assert desk.dial("a", "*").why == "nobody listens to this leg's digits"
    assert desk.dial("x", "*").why == "a digit on an unknown leg"
    assert desk.digit_timers() == []


def test_somebody_alone_is_heard_for_the_news_of_its_partner_may_be_lost() -> None:
    desk = Rig()
    desk.leg("a", "1001")
    desk.dial("a", "*22600")
    assert isinstance(look_of(desk.pause()), Look)
    deaf = Rig(account=Account(metaflows=codes(listen_on="peer")))
    deaf.leg("a", "1001")
    assert deaf.dial("a", "*").why == "nobody listens to this leg's digits"


# ---------------------------------------------------------------------------- the keys


def dialled(target: str) -> TransferRequested:
    """What leg `a` asks for by dialling it with the default codes."""
    return TransferRequested(
        leg="a", transfer="transfer-1", target=target, options=TransferOptions(takeback_digits="*1")
    )


def test_a_key_that_is_told_twice_counts_once() -> None:
    desk = Rig()
    desk.call()
    for digit, serial in (("*", 1), ("*", 1), ("2", 2), ("6", 3), ("6", 3), ("0", 4)):
        desk.tell(DigitPressed(leg="a", digit=digit, serial=serial))
    desk.tell(DigitPressed(leg="b", digit="9", serial=4))  # another leg's numbers are its own
    assert desk.pause().event == dialled("60")


def test_keys_without_a_number_all_count() -> None:
    desk = Rig()
    desk.call()
    for digit in "*2600":
        desk.tell(DigitPressed(leg="a", digit=digit))
    assert desk.pause().event == dialled("600")


def test_each_key_of_a_code_gets_a_timer_of_its_own() -> None:
    desk = Rig()
    desk.call()
    (first,) = desk.dial("a", "*").commands
    cancelled, second = desk.dial("a", "2").commands
    assert isinstance(first, SetTimer)
    assert isinstance(second, SetTimer)
    assert cancelled == CancelTimer(timer=first.timer)
    assert first.timer != second.timer
    assert first.after_s == DEFAULT_METAFLOWS.incomplete_timeout_s


def test_a_digit_timer_that_was_overtaken_changes_nothing() -> None:
    desk = Rig()
    desk.call()
    desk.dial("a", "*2")
    (old,) = desk.digit_timers()
    desk.dial("a", "6")
    late = desk.tell(TimerFired(timer=old))
    assert late.commands == ()
    assert late.why == "The timer no longer matters."
    assert desk.board.legs["a"].collector.digits == "*26"
    assert desk.pause().event == dialled("6")


def test_a_digit_timer_dies_with_its_leg() -> None:
    desk = Rig()
    desk.call()
    desk.dial("a", "*2")
    (timer,) = desk.digit_timers()
    last = desk.tell(LegHungUp(leg="a"))
    assert last.commands == (CancelTimer(timer=timer),)
    assert desk.tell(TimerFired(timer=timer)).commands == ()
    desk.leave("b")
    assert_balanced(desk.board)


def test_a_pause_ends_a_code_even_where_nobody_listens_any_more() -> None:
    desk = Rig()
    desk.call()
    desk.dial("b", "*2")
    desk.ask("a")  # from now on only the transferor's keys count
    assert desk.pause().why == "No feature code."
    assert not desk.board.legs["b"].collector.armed
    assert desk.dial("b", "2").why == "nobody listens to this leg's digits"


def hiding() -> Rig:
    """A call of which the far end is to be spared feature codes."""
    desk = Rig(account=Account(policy=Policy(hides_codes=True)))
    desk.call()
    return desk


WITHHELD = WithholdKeys(leg="b", limit_s=KEYS_WITHHELD_S)


def keys_ordered(desk: Rig) -> list[Command]:
    """What was ordered about the keys that a party hears."""
    ordered = [command for record in desk.records for command in record.commands]
    return [command for command in ordered if isinstance(command, WithholdKeys | PassKeys)]


def test_the_far_end_is_spared_a_code_from_its_second_key_on() -> None:
    desk = hiding()
    desk.dial("a", "*22600#")
    assert keys_ordered(desk) == [WITHHELD, PassKeys(leg="b")]


def test_the_far_end_hears_codes_unless_that_is_asked_for() -> None:
    desk = Rig()
    desk.call()
    desk.dial("a", "*22600#")
    assert keys_ordered(desk) == []


def test_what_turns_out_to_be_no_code_is_passed_on() -> None:
    desk = hiding()
    desk.dial("a", "*2")
    desk.pause()
    assert keys_ordered(desk) == [WITHHELD, PassKeys(leg="b", digits="2")]


def test_the_far_end_hears_keys_again_when_who_dials_hangs_up() -> None:
    desk = hiding()
    desk.dial("a", "*2")
    desk.leave("a")
    assert keys_ordered(desk) == [WITHHELD, PassKeys(leg="b", digits="2")]
    desk.leave("b")
    assert_balanced(desk.board)


def test_nothing_is_ordered_of_a_far_end_that_has_left() -> None:
    desk = hiding()
    desk.dial("a", "*2")
    desk.leave("b")
    desk.pause()
    assert keys_ordered(desk) == [WITHHELD]


def test_within_a_transfer_nobody_is_spared_keys() -> None:
    desk = hiding()
    desk.consult()
    desk.dial("a", "*1")
    assert keys_ordered(desk) == []


def test_digits_that_are_no_code_say_so() -> None:
    desk = Rig()
    desk.call()
    assert desk.dial("a", "*9").why == "*9 is no feature code of this leg."
    desk.dial("a", "*2")
    assert desk.pause().why == "*2 is no feature code of this leg."
    assert desk.board.running == {}


def test_a_pause_that_is_too_long_makes_no_takeback() -> None:
    desk = Rig()
    desk.call()
    desk.consult()
    desk.dial("a", "*")
    desk.pause()
    desk.dial("a", "1")
    assert desk.state() is State.CONSULTING
    desk.dial("a", "*1")
    assert desk.state() is State.TAKEBACK


# ---------------------------------------------------------------------- what codes do


def test_a_code_that_hangs_up() -> None:
    desk = Rig(account=Account(metaflows=codes(numbers={"0": {"module": "hangup"}})))
    desk.call()
    record = desk.dial("a", "*0")
    assert record.event == HangUpRequested(leg="a")
    assert record.commands == (HangUp(leg="a"),)
    assert not record.refused


def test_a_code_that_holds_and_one_that_resumes() -> None:
    holding = codes(
        numbers={
            "3": {"module": "hold", "data": {"moh": "jazz.wav", "takeback_dtmf": "*4"}},
            "1": {"module": "resume"},
        }
    )
    desk = Rig(account=Account(metaflows=holding))
    desk.call()
    assert desk.dial("a", "*1").why == "there is no such transfer in flight"
    record = desk.dial("a", "*3")
    assert isinstance(record.event, TransferRequested)
    assert (record.event.kind, record.event.target) == (Kind.HOLD, "")
    assert record.event.options.music == Recording("jazz.wav")
    desk.tell(LegParked(leg="a"), LegParked(leg="b"))
    assert desk.state("transfer-1") is State.HELD
    desk.dial("a", "*4")
    assert desk.state("transfer-1") is State.TAKEBACK


def test_the_account_s_own_resume_code_takes_back_too() -> None:
    metaflows = codes(
        patterns={r"2(\d+)": {"module": "transfer", "data": {"takeback_dtmf": "*9"}}},
        numbers={"1": {"module": "resume"}},
    )
    for dialled in ("*9", "*1"):
        desk = Rig(account=Account(metaflows=metaflows), new_id=lambda: "t")
        desk.call()
        desk.dial("a", "*22600#")
        desk.tell(LegParked(leg="a"), LegParked(leg="b"))
        assert desk.state() is State.DIALING
        desk.dial("a", dialled)
        assert desk.state() is State.TAKEBACK


@pytest.mark.parametrize("leg", ["b", "t-target"])
def test_within_a_transfer_only_the_transferor_s_keys_count(leg: str) -> None:
    desk = Rig()
    desk.call()
    desk.consult()
    assert desk.dial(leg, "*1").why == "nobody listens to this leg's digits"
    assert desk.state() is State.CONSULTING
    desk.dial("a", "*1")
    assert desk.state() is State.TAKEBACK


def test_no_takeback_code_where_none_is_wanted() -> None:
    desk = Rig(account=Account(metaflows=codes()))
    desk.call()
    desk.tell(
        TransferRequested(
            leg="a", transfer="t", target="2600", options=TransferOptions(takeback_digits="")
        )
    )
    desk.tell(LegParked(leg="a"), LegParked(leg="b"))
    desk.dial("a", "*1")
    assert desk.state() is State.DIALING


# --------------------------------------------------------------------------- requests


def test_requests_for_what_is_unknown_are_refused() -> None:
    desk = Rig()
    desk.call()
    for request in (
        TransferRequested(leg="x", transfer="t", target="2600"),
        TakebackRequested(transfer="t"),
        CompleteRequested(transfer="t"),
        HangUpRequested(leg="x"),
    ):
        record = desk.tell(request)
        assert record.refused
        assert record.commands == ()
        assert "there is no such" in record.why


def test_somebody_alone_has_nobody_to_transfer() -> None:
    desk = Rig()
    desk.leg("a", "1001")
    desk.tell(LegsJoined(first="a", second="a-leg-from-before-we-came"))
    assert "the other party of the call is not known" in desk.ask().why
    assert desk.records[-1].refused


def test_when_both_sides_ask_the_first_wins() -> None:
    desk = Rig()
    desk.call()
    assert not desk.ask("a", "one").refused
    second = desk.ask("b", "two", "2700")
    assert second.refused
    assert "already in progress" in second.why
    assert [*desk.board.running] == ["one"]
    transfer = desk.board.transfer("one")
    assert transfer is not None
    assert (transfer.transferor.leg, transfer.transferee.leg) == ("a", "b")


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ({"target": "26\n00"}, "is not a number"),
        ({"target": "2" * 65}, "is too long for a number"),
        ({"transfer": ""}, "the ID may have only"),
        ({"transfer": "a b"}, "the ID may have only"),
        ({"takeback_digits": "1x"}, "takeback_digits: 'x' is not a key"),
        ({"takeback_digits": "*" * 33}, "takeback_digits: a code of 33 digits"),
        ({"music": "x\n\nhangup"}, "music: 'x\\n\\nhangup' is not a sound"),
        ({"ringback": "${system(date)}"}, "ringback: '${system(date)}' is not a sound"),
        ({"accept_prompt": "shell_stream://x"}, "accept_prompt: 'shell_stream://x' is not a sound"),
        ({"briefing": "${x}"}, "briefing: '${x}' is not a sound"),
        ({"announcement": "shell_stream://x"}, "announcement: 'shell_stream://x' is not a sound"),
        ({"refusal_tone": "shell_stream://x"}, "refusal_tone: 'shell_stream://x' is not a sound"),
        ({"ringback": ""}, "ringback: '' is not a sound"),
        ({"accept_digits": ""}, "accept_digits: '' can't be pressed"),
        ({"accept_digits": "1x"}, "accept_digits: '1x' can't be pressed"),
        ({"decline_digits": "2" * 9}, "decline_digits: '222222222' can't be pressed"),
        ({"accept_limit_s": 0.0}, "the limit to accept must be"),
        ({"accept_limit_s": math.nan}, "the limit to accept must be"),
        ({"ring_timeout_s": math.nan}, "the ring timeout must be"),
        ({"ring_timeout_s": 0.0}, "the ring timeout must be"),
        ({"ring_timeout_s": math.inf}, "the ring timeout must be"),
        ({"hold_limit_s": 0.0}, "the hold limit must be"),
        ({"hold_limit_s": math.nan}, "the hold limit must be"),
        ({"hold_limit_s": 90_000.0}, "the hold limit must be"),
        ({"target": "10a"}, "already a party of this call"),
    ],
)
def test_whatever_is_asked_wrongly_is_refused_and_changes_nothing(
    wish: dict[str, object], told: str
) -> None:
    desk = Rig()
    desk.call()
    named = {field.name for field in attrs.fields(TransferOptions)}
    options: Any = {name: value for name, value in wish.items() if name in named}
    rest = {name: value for name, value in wish.items() if name not in named}
    asked: Any = {"leg": "a", "transfer": "t", "target": "2600", **rest}
    record = desk.tell(TransferRequested(options=TransferOptions(**options), **asked))
    assert record.refused
    assert told in record.why
    assert record.commands == ()
    desk.leave("a", "b")
    assert_balanced(desk.board)


def test_an_id_is_not_given_twice() -> None:
    desk = Rig()
    desk.call()
    desk.ask()
    assert desk.ask("b").why == "there is already a transfer with this ID"
    desk.leave("a", "b")
    assert_balanced(desk.board)
    desk.call()
    desk.consult()
    desk.leave("a")
    desk.tell(LegsJoined(first="b", second="t-target"))
    assert desk.board.running == {}
    again = desk.ask("b")
    assert again.refused
    assert "earlier transfer with this ID" in again.why


def test_whoever_talks_with_a_leg_of_a_transfer_can_t_transfer_it() -> None:
    """A supervisor has fetched Bob out of a transfer that has not ended yet."""
    desk = Rig()
    desk.call()
    desk.consult()
    desk.leg("s", "1500")
    desk.board.handle(LegsJoined(first="s", second="b"), 0.0)
    assert desk.board.transfer("t") is not None
    record = desk.ask("s", "mine", "2700")
    assert record.refused
    assert record.why == "the other party is in another transfer"
    desk.leave("a", "t-target", "b", "s")
    assert_balanced(desk.board)


def test_the_largest_table_leaves_room_for_a_takeback() -> None:
    many = {f"{n:02}": {"module": "hold"} for n in range(60)}
    desk = Rig(account=Account(metaflows=parse_metaflows({"numbers": many}), complete_digits="*99"))
    desk.call()
    assert not desk.ask().refused
    with pytest.raises(InputError, match="no room is left for the 4 codes") as caught:
        parse_metaflows({"numbers": {**many, "99": {"module": "hold"}}})
    assert caught.value.hint == "at most 64, these included"


def test_requests_by_number_are_the_default_names() -> None:
    name = numbered_ids("call")
    assert [name(), name()] == ["call-1", "call-2"]


# ------------------------------------------------------------------------------- hops


def hop(desk: Rig, transferor: str, other: str, transfer: str, target: str) -> Record:
    """One blind transfer, through to its end."""
    record = desk.tell(
        TransferRequested(leg=transferor, transfer=transfer, target=target, kind=Kind.BLIND)
    )
    if record.refused:
        return record
    leg = f"{transfer}-target"
    return desk.tell(
        LegsSeparated(first=transferor, second=other),
        LegParked(leg=transferor),
        LegParked(leg=other),
        LegCreated(leg=leg, number=target),
        LegHungUp(leg=transferor),
        LegAnswered(leg=leg),
        LegParked(leg=leg),
        LegsJoined(first=other, second=leg),
    )


def test_hops_are_counted_through_both_who_stay() -> None:
    desk = Rig(account=Account(policy=Policy(hop_limit=2)))
    desk.call()
    assert hop(desk, "a", "b", "one", "2600").outcome is not None
    assert desk.board.legs["b"].hops == 1
    assert desk.board.legs["one-target"].hops == 1
    assert hop(desk, "b", "one-target", "two", "2700").outcome is not None
    assert desk.board.legs["two-target"].hops == 2
    third = hop(desk, "one-target", "two-target", "three", "2800")
    assert third.refused
    assert "its limit of transfers" in third.why
    desk.leave("one-target", "two-target")
    assert_balanced(desk.board)


def test_a_takeback_is_no_hop() -> None:
    desk = Rig()
    desk.call()
    desk.consult()
    desk.tell(TakebackRequested(transfer="t"))
    desk.tell(LegHungUp(leg="t-target"), LegParked(leg="a"))
    assert desk.state() is State.TAKEBACK
    desk.tell(LegsJoined(first="a", second="b"))
    assert desk.board.running == {}
    assert desk.board.legs["a"].hops == 0


# ------------------------------------------------------------------------------ lines


def peers(desk: Rig) -> dict[str, str | None]:
    return {leg: line.peer for leg, line in desk.board.legs.items()}


def test_lines_follow_joins_and_separations_by_strangers() -> None:
    desk = Rig()
    desk.call("a", "b")
    desk.call("c", "d")
    assert peers(desk) == {"a": "b", "b": "a", "c": "d", "d": "c"}
    desk.tell(LegsJoined(first="a", second="c"))  # somebody's uuid_bridge
    assert peers(desk) == {"a": "c", "b": None, "c": "a", "d": None}
    desk.tell(LegsSeparated(first="a", second="b"))  # late: they were parted by the join
    assert peers(desk) == {"a": "c", "b": None, "c": "a", "d": None}
    desk.tell(LegsSeparated(first="c", second="a"))
    assert peers(desk) == dict.fromkeys("abcd")
    desk.tell(LegsJoined(first="d", second="b"), LegParked(leg="d"))
    assert peers(desk) == dict.fromkeys("abcd")
    desk.tell(LegsJoined(first="d", second="b"), LegHungUp(leg="b"))
    assert peers(desk) == dict.fromkeys("acd")


def test_a_pair_of_which_one_is_unknown_can_be_parted() -> None:
    desk = Rig()
    desk.leg("a", "1001")
    for separated in (
        LegsSeparated(first="a", second="x"),
        LegsSeparated(first="x", second="a"),
    ):
        desk.tell(LegsJoined(first="x", second="a"))
        assert peers(desk) == {"a": "x"}
        desk.tell(separated)
        assert peers(desk) == {"a": None}


def test_what_is_joined_has_answered() -> None:
    desk = Rig()
    desk.tell(LegCreated(leg="a", number="1001"), LegCreated(leg="b", number="1002"))
    assert not desk.board.legs["a"].answered
    desk.tell(LegsJoined(first="a", second="b"))
    assert desk.board.legs["a"].answered


def test_a_leg_that_is_told_again_is_the_same_line() -> None:
    desk = Rig()
    desk.call()
    desk.tell(LegCreated(leg="a", number="1001"))
    assert peers(desk) == {"a": "b", "b": "a"}
    assert desk.board.leg("a") is desk.board.legs["a"]
    assert desk.board.leg("x") is None


def test_of_whom_a_leg_is_in_the_transfer() -> None:
    desk = Rig()
    desk.call()
    assert desk.board.transfer_of("a") is None
    desk.consult()
    for leg in ("a", "b", "t-target"):
        found = desk.board.transfer_of(leg)
        assert found is not None
        assert found.id == "t"
    assert desk.board.transfer("u") is None


def test_the_failure_of_a_command_reaches_its_transfer() -> None:
    desk = Rig()
    desk.call()
    desk.ask()
    record = desk.tell(CommandFailed(command=Split(first="a", second="b"), reason="-ERR"))
    assert record.transfer == "t"
    lost = Dial(leg="x", target="1", on_behalf_of="y", ring_timeout_s=1.0)
    assert desk.tell(CommandFailed(command=lost, reason="-ERR")).transfer is None


def test_records_are_numbered_without_a_gap() -> None:
    desk = Rig()
    desk.call()
    desk.dial("a", "*22600#")
    desk.leave("a", "b")
    assert [record.number for record in desk.records] == list(range(1, len(desk.records) + 1))


# ------------------------------------------------------------------- books that balance


def party(name: str, number: str, behaviour: Behaviour) -> PartyPlan:
    return PartyPlan(name=name, number=number, behaviour=behaviour)


PEOPLE = ("alice", "bob", "carol", "anna", "bert")
ACTS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.0, 0.02, 0.3, 2.0]),
        st.sampled_from(PEOPLE),
        st.one_of(
            st.sampled_from(["hangs up", "answers", "refuses", "transfer", "hold", "takeback"]),
            st.sampled_from([*"*1269#", "*22600", "*1", "*22610"]),
        ),
    ),
    max_size=25,
)


def line_of(who: str, what: str) -> ScriptLine:
    if what[0] in "*0123456789#":
        return ScriptLine(who=who, dials=what[0])
    if what in {"transfer", "hold", "takeback"}:
        return ScriptLine(who=who, asks=what, target="2610")
    return ScriptLine(who=who, does=what)


def play(rig: SimulatedRig, acts: Iterable[tuple[float, str, str]]) -> None:
    world = rig.world
    rig.call("alice", "bob")
    rig.call("anna", "bert")
    world.run(until_s=CALL_UP_S, max_steps=MAX_STEPS)
    for delay_s, who, what in acts:
        world.run(until_s=world.now_s + delay_s, max_steps=MAX_STEPS)
        for key in what if what[0] in "*0123456789#" else "_":
            rig.perform(line_of(who, key if key != "_" else what))
    for _ in range(20):  # everybody hangs up, whoever may have answered since
        for leg in world.snapshot():
            world.hang_up(leg.leg)
        assert world.run(until_s=world.now_s + 4000.0, max_steps=MAX_STEPS)


@pytest.mark.slow
@settings(max_examples=60)
@given(
    acts=ACTS,
    carol=st.sampled_from([Answers(), Busy(), Manual(), AnswersAndLeaves(after_s=0.3, talk_s=1.0)]),
    faults=st.builds(
        Faults,
        duplicate=st.sampled_from([0.0, 0.5]),
        reorder=st.sampled_from([0.0, 0.5]),
        event_latency_s=st.sampled_from([(0.0, 0.0), (0.01, 0.3)]),
        lose_command=st.sampled_from([0.0, 0.2]),
        lose_at_most=st.just(3),
    ),
    seed=st.integers(0, 1000),
    listen_on=st.sampled_from(ListenOn),
)
def test_when_everybody_has_hung_up_nothing_is_left(
    acts: list[tuple[float, str, str]],
    carol: Behaviour,
    faults: Faults,
    seed: int,
    listen_on: ListenOn,
) -> None:
    numbers = {"1": {"module": "resume"}, "9": {"module": "hold"}, "6": {"module": "hangup"}}
    rig = SimulatedRig(
        (
            party("alice", "1001", Manual()),
            party("bob", "1002", Answers()),
            party("carol", "2600", carol),
            party("anna", "1101", Manual()),
            party("bert", "2610", Answers()),
        ),
        seed=seed,
        faults=faults,
        account=Account(metaflows=codes(numbers=numbers, listen_on=listen_on.value)),
    )
    play(rig, acts)
    assert rig.world.snapshot() == ()
    assert_balanced(rig.simulation.switchboard)
    assert rig.simulation.timers == frozenset()


# ------------------------------------------------------------------------------ media IDs

GREETING = Recording("/acme/hello.wav")
ACME = Account(
    media=MediaList({"greeting": GREETING}),
    metaflows=parse_metaflows(
        {
            "patterns": {
                r"2(\d+)": {"module": "transfer", "data": {"moh": "greeting"}},
                r"3(\d+)": {"module": "transfer", "data": {"moh": "removed"}},
            }
        }
    ),
)
GLOBEX = Account(media=MediaList({"welcome": Recording("/globex/welcome.wav")}))


@pytest.mark.parametrize(
    ("asked", "account", "told"),
    [
        ("greeting", "acme", None),
        ("/acme/greeting", "acme", None),
        ("music:default", "acme", None),
        ("welcome", "acme", "unknown media ID 'welcome' (the IDs are greeting;"),
        ("/globex/welcome", "acme", "unknown media ID '/globex/welcome' (the IDs are greeting;"),
        ("greeting", "globex", "unknown media ID 'greeting' (the IDs are welcome;"),
        ("/acme/greeting", "globex", "unknown media ID '/acme/greeting' (the IDs are welcome;"),
        ("greeting", "", "the account's media list is empty"),
        ("/default/greeting", "", "the account's media list is empty"),
    ],
)
@pytest.mark.parametrize("kind", [Kind.ATTENDED, Kind.HOLD])
def test_an_id_is_looked_up_in_the_list_of_the_leg_s_own_account(
    asked: str, account: str, told: str | None, kind: Kind
) -> None:
    desk = Rig(accounts={"acme": ACME, "globex": GLOBEX})
    desk.call("a", "b", account, account)
    record = desk.tell(
        TransferRequested(
            leg="a",
            transfer="t",
            target="" if kind is Kind.HOLD else "2600",
            kind=kind,
            by="key 1",
            options=TransferOptions(music=parse_asked_sound(asked)),
        )
    )
    if told is not None:
        assert record.refusal is Refusal.MALFORMED
        assert told in record.why
        assert not {"hello", "welcome.wav"} & set(record.why.split("/"))
        return
    transfer = desk.board.transfer("t")
    assert transfer is not None
    expected = Music() if asked == "music:default" else GREETING
    assert transfer.policy.music == expected
    assert isinstance(record.event, TransferRequested)
    assert record.event.options.music == expected


def test_a_prompt_s_id_is_looked_up_too() -> None:
    desk = Rig(accounts={"acme": ACME})
    desk.call("a", "b", "acme", "acme")
    options = TransferOptions(accept_prompt=parse_asked_sound("greeting"))
    desk.tell(TransferRequested(leg="a", transfer="t", target="2600", by="key", options=options))
    transfer = desk.board.transfer("t")
    assert transfer is not None
    assert transfer.policy.accept_prompt == GREETING


@pytest.mark.parametrize(("code", "music"), [("*2", GREETING), ("*3", Policy().music)])
def test_a_code_s_id_is_looked_up_and_no_call_is_lost_for_a_melody(code: str, music: Sound) -> None:
    desk = Rig(accounts={"acme": ACME})
    desk.call("a", "b", "acme", "acme")
    desk.dial("a", f"{code}2600#")
    (transfer,) = [running.transfer for running in desk.board.running.values()]
    assert transfer.policy.music == music
