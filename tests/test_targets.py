"""Several targets: one after the other, or all at once. The scenarios show the calls."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from hookflash import commands as c
from hookflash import events as e
from hookflash.called import MOST_TARGETS, caller_of, name_of_further, names_of_called
from hookflash.dialling.metaflows import parse_metaflows
from hookflash.engine.account_faults import account_faults
from hookflash.engine.legs import Account
from hookflash.engine.record import Record
from hookflash.engine.rules import Rules
from hookflash.engine.switchboard import Switchboard
from hookflash.errors import InputError, Refusal
from hookflash.events import FurtherTarget, Kind, TransferOptions
from hookflash.fsm.machine import Rulebook, Step
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Outcome, State, Transfer
from hookflash.scenarios.beginnings import asked_for
from hookflash.scenarios.searches import two_targets
from hookflash.specs.catalog import SPEC_FOR

RULES = Rulebook(SPEC_FOR[Kind.ATTENDED])
SECOND = name_of_further("t1", 2)


def listed(*numbers: str, ring_s: float | None = None) -> TransferOptions:
    return TransferOptions(
        further_targets=tuple(FurtherTarget(number=one, ring_timeout_s=ring_s) for one in numbers)
    )


def asked(target: str, options: TransferOptions, **account: Any) -> Record:
    board = Switchboard(account=Account(**account))
    for leg, number in (("a", "1001"), ("b", "1002")):
        board.handle(e.LegCreated(leg=leg, number=number))
        board.handle(e.LegAnswered(leg=leg))
    board.handle(e.LegsJoined(first="a", second="b"))
    request = e.TransferRequested(leg="a", transfer="t", target=target, options=options, by="p")
    return board.handle(request)[-1]


@pytest.mark.parametrize(
    ("target", "options", "told"),
    [
        ("2600", listed("26\n01"), "is not a number"),
        ("2600", listed("2601", "26 00"), "2600 is a target twice"),
        ("2600", listed("2601", "2601"), "2601 is a target twice"),
        ("2600", listed(*(f"27{n:02}" for n in range(MOST_TARGETS))), "at most 8 targets, not 9"),
        ("2600", listed("2601", ring_s=0.0), "the ring timeout must be"),
        ("2600", listed("2601", ring_s=90_000.0), "the ring timeout must be"),
        ("2600", listed("1001"), "already a party of this call"),
        ("", listed("2601"), "further targets need a first one"),
        (
            "2600",
            attrs.evolve(listed("2601"), rings_all=True, target_accepts=True),
            "targets that ring at once can't be asked to accept",
        ),
    ],
)
def test_a_list_with_a_fault_is_refused(target: str, options: TransferOptions, told: str) -> None:
    record = asked(target, options)
    assert record.refused
    assert told in record.why
    assert record.commands == ()


def test_a_list_may_have_eight_targets() -> None:
    assert not asked("2600", listed(*(f"27{n:02}" for n in range(MOST_TARGETS - 1)))).refused


def test_the_rules_hold_for_every_target() -> None:
    record = asked("2600", listed("2601", "0900"), rules=Rules(targets_denied=("0900*",)))
    assert record.refusal is Refusal.TARGET_REFUSED
    assert record.commands == ()


def test_a_code_whose_list_may_not_be_called_is_a_fault_of_the_account() -> None:
    written: dict[str, Any] = {
        "numbers": {
            "5": {"module": "transfer", "data": {"target": "2600", "further_targets": [
                {"target": "2601", "timeout": 10}, {"target": "x@y", "timeout": 10.5},
            ], "rings_all": True}}
        }
    }  # fmt: skip
    codes = parse_metaflows(written)
    again: Any = codes.to_document()
    assert written["numbers"]["5"]["data"].items() <= again["numbers"]["5"]["data"].items()
    places = [fault.where for fault in account_faults(Account(metaflows=codes), "acme")]
    assert places == ['metaflows.numbers."5".data.further_targets[1].target']


@pytest.mark.parametrize(
    ("further", "place"),
    [
        ([{"timeout": 5}], '$.numbers."5".data.further_targets[0]'),
        ([{"target": "26", "timeout": 0}], '$.numbers."5".data.further_targets[0].timeout'),
        ([{"target": "2\n6"}], '$.numbers."5".data.further_targets[0].target'),
        ([{"target": "26", "rings": 1}], '$.numbers."5".data.further_targets[0]'),
        ([{"target": str(n)} for n in range(8)], '$.numbers."5".data.further_targets'),
        ("2601", '$.numbers."5".data.further_targets'),
    ],
)
def test_a_code_with_a_faulty_list_is_refused(further: object, place: str) -> None:
    data = {"target": "2600", "further_targets": further}
    with pytest.raises(InputError) as refused:
        parse_metaflows({"numbers": {"5": {"module": "transfer", "data": data}}})
    assert refused.value.where.startswith(place)
    assert "(?" not in str(refused.value)


# ----------------------------------------------------------------- at once


def ringing(*events: e.Event) -> Step:
    """Alice waits, and the phones of both targets ring; then more happens."""
    transfer = asked_for(Kind.ATTENDED, Policy(), options=two_targets(rings_all=True))
    request = e.TransferRequested(leg="a", transfer="t1", target="2600")
    parted = (e.LegParked(leg="a"), e.LegParked(leg="b"))
    ring = (e.LegCreated(leg="c", number="2600"), e.LegCreated(leg=SECOND, number="2601"))
    return after(transfer, request, *parted, *ring, *events)


def after(transfer: Transfer, *events: e.Event) -> Step:
    steps: list[Step] = []
    for event in events:
        steps.append(RULES.step(transfer, event))
        transfer = steps[-1].after
    return steps[-1]


def hung_up(step: Step) -> list[str]:
    return [order.leg for order in step.commands if isinstance(order, c.HangUp)]


def test_the_second_answers_first_and_is_the_target() -> None:
    step = ringing(e.LegAnswered(leg=SECOND))
    assert step.after.target.leg == SECOND
    assert step.after.state is State.CONSULTING
    assert hung_up(step) == ["c"]
    assert hung_up(after(step.after, e.LegAnswered(leg="c"))) == ["c"]


def test_a_rival_that_can_t_be_had_is_no_failure() -> None:
    for leg, remains in (("c", SECOND), (SECOND, "c")):
        step = ringing(e.LegHungUp(leg=leg, cause="USER_BUSY"))
        assert step.after.state is State.DIALING
        assert step.after.target.leg == remains
        assert step.after.cause is None
        last = after(step.after, e.LegHungUp(leg=remains, cause="NO_ANSWER"))
        assert (last.after.state, last.after.cause) == (State.FAILED_RECONNECT, "NO_ANSWER")


def test_a_refused_call_of_one_is_no_failure_of_all() -> None:
    dial = c.Dial(leg=SECOND, target="2601", on_behalf_of="a", ring_timeout_s=20.0)
    step = ringing(e.CommandFailed(command=dial, reason="-ERR"))
    assert step.after.state is State.DIALING
    assert [one.leg for one in step.after.everybody] == ["a", "b", "c"]


def test_another_program_takes_one() -> None:
    step = ringing(e.LegMovedAway(leg=SECOND))
    assert step.commands == (c.Forget(legs=(SECOND,)),)
    assert step.after.rivals == ()


def test_an_old_failsafe_connects_one_that_was_left_behind() -> None:
    """Its partner is on its way, not lost: it is joined with the target as soon as it is parked."""
    step = ringing(
        e.LegHungUp(leg="a"),  # the first target is armed
        e.LegAnswered(leg=SECOND),
        e.LegsJoined(first="b", second="c"),
    )
    assert hung_up(step) == ["c"]
    assert step.after.transferee.lives
    assert step.after.state is State.COMPLETING
    done = after(
        step.after, e.LegHungUp(leg="c"), e.LegParked(leg="b"), e.LegParked(leg=SECOND),
        e.LegsJoined(first="b", second=SECOND),
    )  # fmt: skip
    assert done.after.outcome is Outcome.TRANSFERRED


def test_a_target_that_was_called_too_late_is_hung_up() -> None:
    board = Switchboard(ended=["t"])
    for leg, number in (("a", "1001"), ("b", "1002")):
        board.handle(e.LegCreated(leg=leg, number=number))
        board.handle(e.LegAnswered(leg=leg))
    board.handle(e.LegsJoined(first="a", second="b"))
    board.handle(e.TransferRequested(leg="a", transfer="t2", target="2600", by="p"))
    for event in (e.LegHungUp(leg="a"), e.LegHungUp(leg="b")):
        board.handle(event)
    late = board.handle(e.LegCreated(leg=name_of_further("t2", 3), number="2602"))
    assert [order for one in late for order in one.commands] == [
        c.HangUp(leg="t2-target-of-list-3", cause="ORIGINATOR_CANCEL")
    ]


def test_a_leg_s_name_tells_its_transfer() -> None:
    for transfer in ("t", "a-target-b", "x.y_z", "8f1c"):
        assert {caller_of(leg) for leg in names_of_called(transfer)} == {transfer}
    assert caller_of("somebody-else") == ""
    assert caller_of("t-target-of-list-22") == ""


def test_in_turn_the_next_one_has_its_own_ring_timeout() -> None:
    options = listed("2601", ring_s=7.0)
    transfer = asked_for(Kind.ATTENDED, Policy(), options=options)
    step = after(
        transfer,
        e.TransferRequested(leg="a", transfer="t1", target="2600"),
        e.LegParked(leg="a"),
        e.LegParked(leg="b"),
        e.LegHungUp(leg="c", cause="USER_BUSY"),
    )
    (dial,) = [order for order in step.commands if isinstance(order, c.Dial)]
    assert (dial.leg, dial.target, dial.ring_timeout_s) == (SECOND, "2601", 7.0)
    assert attrs.evolve(step.after, state=State.DIALING) == step.after
