"""The switchboard alone: digits, accounts, requests, and books that balance when all have left."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookflash.backends.base import LegSnapshot
from hookflash.backends.simulator.faults import Faults
from hookflash.backends.simulator.people import Answers, AnswersAndLeaves, Behaviour, Busy, Manual
from hookflash.commands import CancelTimer, Dial, Forget, HangUp, SetTimer, Split
from hookflash.engine.record import Record
from hookflash.engine.switchboard import FAULT_PAUSE_S, Account, Switchboard, numbered_ids
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
    LegParked,
    LegsJoined,
    LegsSeparated,
    TakebackRequested,
    TimerFired,
    TransferRequested,
)
from hookflash.fsm.machine import Rulebook, Step
from hookflash.fsm.transfer import Outcome, Policy, State, Transfer
from hookflash.scenarios.format import Deed, PartyPlan
from hookflash.scenarios.run import MAX_STEPS
from hookflash.scenarios.stage import CALL_UP_S, Stage
from hookflash.specs.metaflows import DEFAULT_METAFLOWS, ListenOn, Metaflows, parse_metaflows


class Desk:
    """A switchboard, and whoever tells it what happens."""

    def __init__(self, **options: object) -> None:
        self.board = Switchboard(**options)  # pyright: ignore[reportArgumentType]
        self.serials = itertools.count(1)
        self.records: list[Record] = []

    def tell(self, *events: Event) -> Record:
        """Hand over events; the last record of the last one comes back."""
        for event in events:
            self.records += self.board.handle(event, 0.0)
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
    }


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

    desk = Desk(on_fault=keep)
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
    desk = Desk(on_fault=passed_over)
    desk.call()
    desk.consult()
    transfer = desk.board.transfer("t")
    assert transfer is not None
    assert transfer.deadline is not None
    faulty(monkeypatch, on=TimerFired)
    record = desk.tell(TimerFired(timer=transfer.deadline))
    assert record.commands == (SetTimer(timer=transfer.deadline, after_s=FAULT_PAUSE_S),)
    monkeypatch.undo()
    desk.tell(TimerFired(timer=transfer.deadline))
    assert desk.state() is not State.CONSULTING


def test_a_request_that_fails_by_a_fault_of_ours_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk(on_fault=passed_over)
    desk.call()
    faulty(monkeypatch, on=TransferRequested)
    assert desk.ask().refusal is Refusal.FAULT
    monkeypatch.undo()
    assert desk.ask().refusal is None
    desk.leave("a", "b", "t-target")


def test_without_anybody_to_tell_a_fault_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    desk.call()
    faulty(monkeypatch, on=TransferRequested)
    with pytest.raises(InternalError):
        desk.ask()


def test_a_transfer_that_has_ended_ends_once_whatever_marks_are_left() -> None:
    desk = Desk()
    desk.call()
    desk.consult()
    desk.tell(LegHungUp(leg="a"), LegsJoined(first="b", second="t-target"))
    assert desk.records[-1].outcome is Outcome.TRANSFERRED
    left = [
        LegSnapshot(leg=leg, number="", direction=Direction.INBOUND, transfer="t", role=role)
        for leg, role in (("b", "transferee"), ("t-target", "target"))
    ]
    (record,) = desk.board.adopt(left)
    assert record.outcome is None
    assert record.commands == (Forget(legs=("b", "t-target")),)
    assert not desk.board.running


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
        desk = Desk(
            accounts={
                "mine": Account(metaflows=codes(listen_on=mine)),
                "theirs": Account(metaflows=codes(listen_on=theirs)),
            }
        )
        desk.call("a", "b", "mine", "theirs")
        desk.dial(leg, "*22600#")
        assert bool(desk.board.running) is (leg in heard), f"{leg} with {mine} and {theirs}"


def test_the_partners_codes_count_where_only_the_partners_keys_do() -> None:
    desk = Desk(
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
    desk = Desk(account=Account(metaflows=codes(binding_digit="#")))
    desk.call("a", "b", "unheard", "of")
    assert desk.dial("a", "*").why == "No feature code."
    assert desk.dial("a", "#").why == "A feature code is being dialled."


def test_an_account_has_its_own_digit_timeout_and_policy() -> None:
    acme = Account(metaflows=codes(digit_timeout=900), policy=Policy(ring_timeout_s=7.0))
    desk = Desk(accounts={"acme": acme})
    desk.call("a", "b", "acme", "")
    (timer,) = desk.dial("a", "*").commands
    assert isinstance(timer, SetTimer)
    assert timer.after_s == 0.9
    desk.dial("a", "22600#")
    transfer = desk.board.transfer("transfer-1")
    assert transfer is not None
    assert transfer.ring_timeout_s == 7.0


def test_nobody_listens_to_somebody_alone() -> None:
    desk = Desk()
    desk.leg("a", "1001")
    assert desk.dial("a", "*").why == "nobody listens to this leg's digits"
    assert desk.dial("x", "*").why == "a digit on an unknown leg"
    assert desk.digit_timers() == []


# ---------------------------------------------------------------------------- the keys


def dialled(target: str) -> TransferRequested:
    """What leg `a` asks for by dialling it with the default codes."""
    return TransferRequested(leg="a", transfer="transfer-1", target=target, takeback_digits="*1")


def test_a_key_that_is_told_twice_counts_once() -> None:
    desk = Desk()
    desk.call()
    for digit, serial in (("*", 1), ("*", 1), ("2", 2), ("6", 3), ("6", 3), ("0", 4)):
        desk.tell(DigitPressed(leg="a", digit=digit, serial=serial))
    desk.tell(DigitPressed(leg="b", digit="9", serial=4))  # another leg's numbers are its own
    assert desk.pause().event == dialled("60")


def test_keys_without_a_number_all_count() -> None:
    desk = Desk()
    desk.call()
    for digit in "*2600":
        desk.tell(DigitPressed(leg="a", digit=digit))
    assert desk.pause().event == dialled("600")


def test_each_key_of_a_code_gets_a_timer_of_its_own() -> None:
    desk = Desk()
    desk.call()
    (first,) = desk.dial("a", "*").commands
    cancelled, second = desk.dial("a", "2").commands
    assert isinstance(first, SetTimer)
    assert isinstance(second, SetTimer)
    assert cancelled == CancelTimer(timer=first.timer)
    assert first.timer != second.timer
    assert first.after_s == DEFAULT_METAFLOWS.digit_timeout_s


def test_a_digit_timer_that_was_overtaken_changes_nothing() -> None:
    desk = Desk()
    desk.call()
    desk.dial("a", "*2")
    (old,) = desk.digit_timers()
    desk.dial("a", "6")
    late = desk.tell(TimerFired(timer=old))
    assert late.commands == ()
    assert late.why == "a timer that was overtaken by events"
    assert desk.board.lines["a"].collector.digits == "*26"
    assert desk.pause().event == dialled("6")


def test_a_digit_timer_dies_with_its_leg() -> None:
    desk = Desk()
    desk.call()
    desk.dial("a", "*2")
    (timer,) = desk.digit_timers()
    last = desk.tell(LegHungUp(leg="a"))
    assert last.commands == (CancelTimer(timer=timer),)
    assert desk.tell(TimerFired(timer=timer)).commands == ()
    desk.leave("b")
    assert_balanced(desk.board)


def test_a_pause_ends_a_code_even_where_nobody_listens_any_more() -> None:
    desk = Desk()
    desk.call()
    desk.dial("b", "*2")
    desk.ask("a")  # from now on only the transferor's keys count
    assert desk.pause().why == "No feature code."
    assert not desk.board.lines["b"].collector.armed
    assert desk.dial("b", "2").why == "nobody listens to this leg's digits"


def test_digits_that_are_no_code_say_so() -> None:
    desk = Desk()
    desk.call()
    assert desk.dial("a", "*9").why == "*9 is no feature code of this leg."
    desk.dial("a", "*2")
    assert desk.pause().why == "*2 is no feature code of this leg."
    assert desk.board.running == {}


def test_a_pause_that_is_too_long_makes_no_takeback() -> None:
    desk = Desk()
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
    desk = Desk(account=Account(metaflows=codes(numbers={"0": {"module": "hangup"}})))
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
    desk = Desk(account=Account(metaflows=holding))
    desk.call()
    assert desk.dial("a", "*1").why == "there is no such transfer in flight"
    record = desk.dial("a", "*3")
    assert isinstance(record.event, TransferRequested)
    assert (record.event.kind, record.event.target) == (Kind.HOLD, "")
    assert record.event.music == "jazz.wav"
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
        desk = Desk(account=Account(metaflows=metaflows), new_id=lambda: "t")
        desk.call()
        desk.dial("a", "*22600#")
        desk.tell(LegParked(leg="a"), LegParked(leg="b"))
        assert desk.state() is State.DIALING
        desk.dial("a", dialled)
        assert desk.state() is State.TAKEBACK


@pytest.mark.parametrize("leg", ["b", "t-target"])
def test_within_a_transfer_only_the_transferor_s_keys_count(leg: str) -> None:
    desk = Desk()
    desk.call()
    desk.consult()
    assert desk.dial(leg, "*1").why == "nobody listens to this leg's digits"
    assert desk.state() is State.CONSULTING
    desk.dial("a", "*1")
    assert desk.state() is State.TAKEBACK


def test_no_takeback_code_where_none_is_wanted() -> None:
    desk = Desk(account=Account(metaflows=codes()))
    desk.call()
    desk.tell(TransferRequested(leg="a", transfer="t", target="2600", takeback_digits=""))
    desk.tell(LegParked(leg="a"), LegParked(leg="b"))
    desk.dial("a", "*1")
    assert desk.state() is State.DIALING


# --------------------------------------------------------------------------- requests


def test_requests_for_what_is_unknown_are_refused() -> None:
    desk = Desk()
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
    desk = Desk()
    desk.leg("a", "1001")
    assert "nobody is there to transfer" in desk.ask().why
    desk.tell(LegsJoined(first="a", second="a-leg-from-before-we-came"))
    assert "nobody is there to transfer" in desk.ask().why
    assert desk.records[-1].refused


def test_when_both_sides_ask_the_first_wins() -> None:
    desk = Desk()
    desk.call()
    assert not desk.ask("a", "one").refused
    second = desk.ask("b", "two", "2700")
    assert second.refused
    assert "already running" in second.why
    assert [*desk.board.running] == ["one"]
    transfer = desk.board.transfer("one")
    assert transfer is not None
    assert (transfer.transferor.leg, transfer.transferee.leg) == ("a", "b")


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ({"target": ""}, "needs a target"),
        ({"target": "26\n00"}, "the target may have only"),
        ({"target": "2" * 65}, "the target may have only"),
        ({"transfer": ""}, "the id may have only"),
        ({"transfer": "a b"}, "the id may have only"),
        ({"takeback_digits": "1x"}, "takeback_digits: 'x' is not a key"),
        ({"takeback_digits": "*" * 33}, "takeback_digits: a code of 33 digits"),
        ({"music": "x\n\nhangup"}, "music and ringback"),
        ({"ringback": "${system(date)}"}, "music and ringback"),
        ({"ring_timeout_s": math.nan}, "the target may ring"),
        ({"ring_timeout_s": 0.0}, "the target may ring"),
        ({"ring_timeout_s": math.inf}, "the target may ring"),
        ({"target": "10a"}, "already in this call"),
    ],
)
def test_whatever_is_asked_wrongly_is_refused_and_changes_nothing(
    wish: dict[str, object], told: str
) -> None:
    desk = Desk()
    desk.call()
    request: dict[str, object] = {"leg": "a", "transfer": "t", "target": "2600", **wish}
    record = desk.tell(TransferRequested(**request))  # pyright: ignore[reportArgumentType]
    assert record.refused
    assert told in record.why
    assert record.commands == ()
    desk.leave("a", "b")
    assert_balanced(desk.board)


def test_an_id_is_not_given_twice() -> None:
    desk = Desk()
    desk.call()
    desk.ask()
    assert desk.ask("b").why == "there is already a transfer with this id"
    desk.leave("a", "b")
    assert_balanced(desk.board)
    desk.call()
    desk.consult()
    desk.leave("a")
    desk.tell(LegsJoined(first="b", second="t-target"))
    assert desk.board.running == {}
    again = desk.ask("b")
    assert again.refused
    assert "earlier transfer with this id" in again.why


def test_whoever_talks_with_a_leg_of_a_transfer_can_t_transfer_it() -> None:
    """A supervisor has fetched Bob out of a transfer that has not ended yet."""
    desk = Desk()
    desk.call()
    desk.consult()
    desk.leg("s", "1500")
    desk.tell(LegsJoined(first="s", second="b"))
    assert desk.board.transfer("t") is not None
    record = desk.ask("s", "mine", "2700")
    assert record.refused
    assert record.why == "the other party is in another transfer"
    desk.leave("a", "t-target", "b", "s")
    assert_balanced(desk.board)


def test_the_largest_table_leaves_room_for_a_takeback() -> None:
    many = {f"{n:02}": {"module": "hold"} for n in range(63)}
    desk = Desk(account=Account(metaflows=parse_metaflows({"numbers": many})))
    desk.call()
    assert not desk.ask().refused
    with pytest.raises(InputError, match="no room is left for the takeback") as caught:
        parse_metaflows({"numbers": {**many, "99": {"module": "hold"}}})
    assert caught.value.mend == "at most 64, the takeback included"


def test_requests_by_number_are_the_default_names() -> None:
    name = numbered_ids("call")
    assert [name(), name()] == ["call-1", "call-2"]


# ------------------------------------------------------------------------------- hops


def hop(desk: Desk, transferor: str, other: str, transfer: str, target: str) -> Record:
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
    desk = Desk(account=Account(policy=Policy(hop_limit=2)))
    desk.call()
    assert hop(desk, "a", "b", "one", "2600").outcome is not None
    assert desk.board.lines["b"].hops == 1
    assert desk.board.lines["one-target"].hops == 1
    assert hop(desk, "b", "one-target", "two", "2700").outcome is not None
    assert desk.board.lines["two-target"].hops == 2
    third = hop(desk, "one-target", "two-target", "three", "2800")
    assert third.refused
    assert "as often as is allowed" in third.why
    desk.leave("one-target", "two-target")
    assert_balanced(desk.board)


def test_a_takeback_is_no_hop() -> None:
    desk = Desk()
    desk.call()
    desk.consult()
    desk.tell(TakebackRequested(transfer="t"))
    desk.tell(LegHungUp(leg="t-target"), LegParked(leg="a"))
    assert desk.state() is State.TAKEBACK
    desk.tell(LegsJoined(first="a", second="b"))
    assert desk.board.running == {}
    assert desk.board.lines["a"].hops == 0


# ------------------------------------------------------------------------------ lines


def peers(desk: Desk) -> dict[str, str | None]:
    return {leg: line.peer for leg, line in desk.board.lines.items()}


def test_lines_follow_joins_and_separations_by_strangers() -> None:
    desk = Desk()
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
    desk = Desk()
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
    desk = Desk()
    desk.tell(LegCreated(leg="a", number="1001"), LegCreated(leg="b", number="1002"))
    assert not desk.board.lines["a"].answered
    desk.tell(LegsJoined(first="a", second="b"))
    assert desk.board.lines["a"].answered


def test_a_leg_that_is_told_again_is_the_same_line() -> None:
    desk = Desk()
    desk.call()
    desk.tell(LegCreated(leg="a", number="1001"))
    assert peers(desk) == {"a": "b", "b": "a"}
    assert desk.board.line("a") is desk.board.lines["a"]
    assert desk.board.line("x") is None


def test_of_whom_a_leg_is_in_the_transfer() -> None:
    desk = Desk()
    desk.call()
    assert desk.board.transfer_of("a") is None
    desk.consult()
    for leg in ("a", "b", "t-target"):
        found = desk.board.transfer_of(leg)
        assert found is not None
        assert found.id == "t"
    assert desk.board.transfer("u") is None


def test_the_failure_of_a_command_reaches_its_transfer() -> None:
    desk = Desk()
    desk.call()
    desk.ask()
    record = desk.tell(CommandFailed(command=Split(first="a", second="b"), reason="-ERR"))
    assert record.transfer == "t"
    lost = Dial(leg="x", target="1", on_behalf_of="y", ring_timeout_s=1.0)
    assert desk.tell(CommandFailed(command=lost, reason="-ERR")).transfer is None


def test_records_are_numbered_without_a_gap() -> None:
    desk = Desk()
    desk.call()
    desk.dial("a", "*22600#")
    desk.leave("a", "b")
    assert [record.number for record in desk.records] == list(range(1, len(desk.records) + 1))


# ------------------------------------------------------------------- books that balance


def party(name: str, number: str, behaviour: Behaviour) -> PartyPlan:
    return PartyPlan(name=name, number=number, behaviour=behaviour)


PEOPLE = ("alice", "bob", "carol", "anna", "bert")
DEEDS = st.lists(
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


def deed_of(who: str, what: str) -> Deed:
    if what[0] in "*0123456789#":
        return Deed(who=who, dials=what[0])
    if what in {"transfer", "hold", "takeback"}:
        return Deed(who=who, asks=what, target="2610")
    return Deed(who=who, does=what)


def play(stage: Stage, deeds: Iterable[tuple[float, str, str]]) -> None:
    world = stage.world
    stage.call("alice", "bob")
    stage.call("anna", "bert")
    world.run(until_s=CALL_UP_S, max_steps=MAX_STEPS)
    for delay_s, who, what in deeds:
        world.run(until_s=world.now_s + delay_s, max_steps=MAX_STEPS)
        for key in what if what[0] in "*0123456789#" else "_":
            stage.perform(deed_of(who, key if key != "_" else what))
    for _ in range(20):  # everybody hangs up, whoever may have answered since
        for leg in world.snapshot():
            world.hang_up(leg.leg)
        assert world.run(until_s=world.now_s + 4000.0, max_steps=MAX_STEPS)


@settings(max_examples=60)
@given(
    deeds=DEEDS,
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
    deeds: list[tuple[float, str, str]],
    carol: Behaviour,
    faults: Faults,
    seed: int,
    listen_on: ListenOn,
) -> None:
    numbers = {"1": {"module": "resume"}, "9": {"module": "hold"}, "6": {"module": "hangup"}}
    stage = Stage(
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
    play(stage, deeds)
    assert stage.world.snapshot() == ()
    assert_balanced(stage.simulation.switchboard)
    assert stage.simulation.timers == frozenset()
