"""Each habit of a real FreeSWITCH that once lost a call has a scenario that fails without its fix.

Every case takes one fix out of the code, plays the scenario that stands for it, and names the
complaint that then comes. A scenario that passes without its fix would prove nothing.
"""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs
import pytest
import trio
from shipped import SCENARIOS
from trio.testing import MockClock

from hookflash.backends.freeswitch import primitives, procedures
from hookflash.backends.freeswitch.primitives import (
    OURS,
    Originate,
    Procedure,
    SetVariables,
    VariableCheck,
)
from hookflash.backends.halves import Halves
from hookflash.backends.simulator import odds
from hookflash.backends.simulator.backend import open_simulator
from hookflash.backends.simulator.channel import SimulatedChannel
from hookflash.backends.simulator.executor import Executor
from hookflash.backends.simulator.freeswitch import FreeSwitchPbx
from hookflash.backends.simulator.people import Answers
from hookflash.backends.simulator.world import World
from hookflash.commands import Afterwards, Command, Dial, Forget, Join
from hookflash.engine import engine as engine_module
from hookflash.engine import found as found_module
from hookflash.engine.admission import Admission
from hookflash.engine.alone import Alone
from hookflash.engine.engine import open_engine
from hookflash.engine.feature_codes import FeatureCodes
from hookflash.engine.legs import Leg
from hookflash.events import (
    CallEvent,
    Event,
    LegId,
    LegIdentified,
    LegMovedAway,
    LegParked,
    LegsJoined,
    LegSnapshot,
    SoundStopped,
    TimerFired,
    TransferRequested,
)
from hookflash.fsm import arrange, displays, hearing, observe
from hookflash.fsm.inputs import Input
from hookflash.fsm.transfer import Party, Place, Role, Transfer, Wait
from hookflash.fsm.work import Work
from hookflash.scenarios import run as run_module
from hookflash.scenarios.check import failures
from hookflash.scenarios.run import run_scenario

SEEDS = range(8)
"""What a switch does by chance, it does not do every time."""

LIMIT_S = 3600.0
"""So long is a run without its fix watched: twice as long as anybody may be held."""


def complaints(name: str, seeds: Iterable[int] = SEEDS) -> set[str]:
    """What is wrong with a scenario, under some seeds."""
    (scenario,) = SCENARIOS[name].orders()
    runs = [run_scenario(scenario, seed=seed) for seed in seeds]
    return {complaint for run in runs for complaint in failures(run)}


# ------------------------------------------------------------------- the fixes, taken out

Patch = pytest.MonkeyPatch


def who_leaves_a_transfer_is_forgotten(patch: Patch) -> None:
    """Only the end of a transfer has the legs watched that it leaves alone."""

    def leave(_alone: Alone, _legs: Iterable[str]) -> tuple[Command, ...]:
        return ()

    patch.setattr(Alone, "leave", leave)


def a_bond_is_believed_from_one_side(patch: Patch) -> None:
    """What a leg says of its partner counts, though that one is dead or with somebody else."""
    seen = FreeSwitchPbx.seen

    def believe(channel: SimulatedChannel, is_outside: Callable[[str], bool]) -> LegSnapshot:
        leg = seen(channel, is_outside)
        return attrs.evolve(leg, peer=leg.peer or channel.bond or None)

    patch.setattr(FreeSwitchPbx, "seen", staticmethod(believe))


def the_transferee_is_always_rescued(patch: Patch) -> None:
    """Who is left with the target is not disarmed, as if every transfer had been consulting."""
    found = found_module.found_transfer

    def with_target_armed(**facts: Any) -> Transfer:
        return attrs.evolve(found(**facts), rescued=Role.TRANSFEREE)

    patch.setattr(found_module, "found_transfer", with_target_armed)


def a_moving_leg_is_taken_for_parked(patch: Patch) -> None:
    read = found_module._party

    def settled(*args: object) -> Party:
        party = read(*args)  # pyright: ignore[reportArgumentType]
        moves = party.place is Place.MOVING
        return attrs.evolve(party, place=Place.PARKED) if moves else party

    def about(_join: Join) -> tuple[tuple[VariableCheck, ...], ...]:
        return ()

    patch.setattr(found_module, "_party", settled)
    patch.setattr(procedures, "_is_about", about)  # the second net: each join asks


def an_armed_leg_takes_the_other_at_once(patch: Patch) -> None:
    armed = procedures._armed

    def at_once(rescue: LegId) -> dict[str, str]:
        return armed(rescue) | {
            "exec_after_bridge_app": "intercept",
            "exec_after_bridge_arg": rescue,
        }

    patch.setattr(procedures, "_armed", at_once)


def nobody_parks_in_a_join(patch: Patch) -> None:
    join = procedures.Procedures._join

    def ends(self: procedures.Procedures, command: Join) -> Procedure:
        return join(self, attrs.evolve(command, afterwards=Afterwards.END))

    patch.setattr(procedures.Procedures, "_join", ends)


def a_leg_adrift_is_not_missed(patch: Patch) -> None:
    def missed(_party: Party) -> bool:
        return False

    patch.setattr(hearing, "_is_adrift", missed)


def the_way_back_is_cancelled_on_the_answer(patch: Patch) -> None:
    patch.setattr(primitives, "ON_BRIDGE", "api_on_answer_hookflash")


def the_way_back_is_not_cancelled(patch: Patch) -> None:
    patch.setattr(primitives, "ON_BRIDGE", "api_never")


def only_marks_are_taken_off(patch: Patch) -> None:
    """The variables of a leg stay as the transfer has set them."""

    def forget(_self: procedures.Procedures, command: Forget) -> Procedure:
        marks = tuple((name, "") for name in OURS)
        steps = tuple(SetVariables(leg, marks) for leg in command.legs)
        return Procedure(steps=steps, optional=len(steps))

    patch.setattr(procedures.Procedures, "_forget", forget)


def every_half_is_a_party(patch: Patch) -> None:
    def take(_self: Halves, event: CallEvent) -> Iterator[CallEvent]:
        yield event

    def sort(living: tuple[LegSnapshot, ...]) -> tuple[LegSnapshot, ...]:
        return living

    patch.setattr(Halves, "take", take)
    patch.setattr(Halves, "sort", staticmethod(sort))


def nobody_knows_who_is_behind_a_half(patch: Patch) -> None:
    def report(_self: Halves, _identity: LegIdentified) -> Iterator[CallEvent]:
        yield from ()

    patch.setattr(Halves, "_report_identity", report)


def the_account_is_not_carried_to_the_target(patch: Patch) -> None:
    dial = procedures.Procedures._dial

    def without(self: procedures.Procedures, command: Dial) -> Procedure:
        return dial(self, attrs.evolve(command, account="", on_behalf_of="nobody"))

    patch.setattr(procedures.Procedures, "_dial", without)


def rights_follow_the_present_partner(patch: Patch) -> None:
    the_account_is_not_carried_to_the_target(patch)
    check = Admission._check_rules

    def by_partner(
        self: Admission, event: TransferRequested, leg: Leg, peer: Leg, at_s: float
    ) -> None:
        leg.is_user = bool(leg.account or not peer.account)
        check(self, event, leg, peer, at_s)

    patch.setattr(Admission, "_check_rules", by_partner)


def a_deadline_decides_without_asking(patch: Patch) -> None:
    def fired(work: Work, event: TimerFired) -> Input | str:
        if event.timer == work.transfer.deadline:
            work.note(deadline=None)
            work.overdue = True
            return observe.TIME_IS_UP
        return observe.OVERTAKEN

    patch.setitem(observe._OF_OTHERS, TimerFired, fired)


def a_park_proves_no_answer(patch: Patch) -> None:
    a_deadline_decides_without_asking(patch)
    parked = observe._parked

    def without(work: Work, event: LegParked, party: Party) -> Input | str:
        if party is work.transfer.target and not party.answered:
            work.place(party, Place.PARKED)
            return "The target is parked."
        return parked(work, event, party)

    patch.setitem(observe._OF_ONE_LEG, LegParked, without)


def a_join_proves_no_answer(patch: Patch) -> None:
    joined = observe._joined

    def without(work: Work, event: LegsJoined) -> Input | str:
        answered = work.transfer.target.answered
        news = joined(work, event)
        work.rewrite(work.transfer.target, answered=answered)
        return observe.REPEAT if news is Input.HANDED_OVER and not answered else news

    patch.setitem(observe._OF_OTHERS, LegsJoined, without)


def a_call_is_ordered_once(patch: Patch) -> None:
    attempts = arrange._attempts

    def once(transfer: Transfer) -> int:
        return 1 if transfer.waits_for is Wait.CALLED else attempts(transfer)

    patch.setattr(arrange, "_attempts", once)


def a_sound_that_ended_counts_as_missing(patch: Patch) -> None:
    stopped = observe._sound_stopped

    def missing(work: Work, event: SoundStopped, before: Party) -> Input | str:
        news = stopped(work, event, before)
        party = work.party_of(event.leg)
        if party is not None:
            work.rewrite(party, heard=False)
        return news

    patch.setitem(observe._OF_ONE_LEG, SoundStopped, missing)


def everybody_is_shown_every_number(patch: Patch) -> None:
    def shown(party: Party, _to: Party, _outside_number: str) -> str:
        return party.number

    patch.setattr(displays, "_number_shown", shown)


def the_switch_is_not_kept_from_showing_numbers(patch: Patch) -> None:
    def discretion(_command: Command, _leg: LegId) -> dict[str, str]:
        return {}

    patch.setattr(procedures, "_discretion", discretion)


def no_keys_are_withheld(patch: Patch) -> None:
    def withhold(_self: FeatureCodes, _leg: Leg, _pressed: object) -> tuple[Command, ...]:
        return ()

    patch.setattr(FeatureCodes, "_withhold", withhold)


def somebody_who_is_sent_elsewhere_stays_ours(patch: Patch) -> None:
    def ours(_work: Work, _event: Event, _party: Party) -> Input | str:
        return observe.STRANGER

    patch.setitem(observe._OF_ONE_LEG, LegMovedAway, ours)


# ----------------------------------------------------------------------------- the cases

CASES: tuple[tuple[str, Callable[[Patch], None], str], ...] = (
    # who stands alone is not in a conversation
    (
        "restart-while-the-tone-plays-after-a-join",
        a_bond_is_believed_from_one_side,
        "promise 2 (no_silence): bob waited in silence",
    ),
    (
        "restart-between-join-and-proof",
        a_bond_is_believed_from_one_side,
        "the outcome is recalled, expected reconnected",
    ),
    (
        "failsafe-broken-target-then-transferor",
        a_bond_is_believed_from_one_side,
        "bob still has a leg at the end",
    ),
    (
        "failsafe-broken-transferor-then-target",
        a_bond_is_believed_from_one_side,
        "bob still has a leg at the end",
    ),
    (
        "failsafe-broken-transferor-then-transferee",
        a_bond_is_believed_from_one_side,
        "carol still has a leg at the end",
    ),
    (
        "failsafe-broken-target-then-transferee",
        a_bond_is_believed_from_one_side,
        "alice still has a leg at the end",
    ),
    (
        "restart-before-a-failsafe",
        a_bond_is_believed_from_one_side,
        "the outcome is recalled, expected transferred",
    ),
    # nothing is ordered of a leg that moves
    (
        "restart-within-the-other-failsafe-25-ms",
        a_moving_leg_is_taken_for_parked,
        "at the end nobody talks, expected: alice and bob talk",
    ),
    # the failsafe connects whoever waits
    (
        "swap-restart-when-the-failsafe-acts",
        the_transferee_is_always_rescued,
        "at the end nobody talks, expected: bob and carol talk",
    ),
    # nothing stays behind
    (
        "transferred-again-after-the-failsafe",
        only_marks_are_taken_off,
        "promise 8 (nothing_left): hangup_after_bridge of bob is true",
    ),
    (
        "moved-after-the-failsafe",
        only_marks_are_taken_off,
        "promise 8 (nothing_left): hangup_after_bridge of bob is true",
    ),
    # one party is one leg
    ("code-by-a-dialplan-target", every_half_is_a_party, "the outcomes are transferred, "),
    ("code-by-a-dialplan-target", every_half_is_a_party, "alice still has a leg at the end"),
    ("code-by-a-dialplan-target", every_half_is_a_party, "dave was shown 2600, 2600, "),
    ("ring-group-called-party", every_half_is_a_party, "the outcomes are reconnected, "),
    ("target-dials-in-the-consultation", every_half_is_a_party, "the outcomes are transferred, "),
    (
        "outside-target-may-not-transfer",
        nobody_knows_who_is_behind_a_half,
        "the refused requests are none, expected 'may not'",
    ),
    # rights are a leg's own
    (
        "customer-stays-a-customer",
        rights_follow_the_present_partner,
        "the refused requests are none, expected 'may not'",
    ),
    (
        "phone-reached-by-transfer-may-transfer",
        the_account_is_not_carried_to_the_target,
        "the outcomes are transferred, expected transferred, transferred",
    ),
    (
        "code-by-a-dialplan-target",
        the_account_is_not_carried_to_the_target,
        "the outcomes are transferred, expected transferred, transferred",
    ),
    # silence is no failure
    (
        "lost-join-of-the-handover",
        a_deadline_decides_without_asking,
        "the outcome is failed, expected transferred",
    ),
    (
        "lost-join-of-the-consultation",
        a_deadline_decides_without_asking,
        "the outcome is reconnected, expected transferred",
    ),
    (
        "lost-park-of-the-split",
        a_deadline_decides_without_asking,
        "the outcome is failed, expected transferred",
    ),
    (
        "suspended-while-the-target-answers",
        a_deadline_decides_without_asking,
        "the outcome is reconnected, expected transferred",
    ),
    ("lost-answer", a_park_proves_no_answer, "the outcome is reconnected, expected transferred"),
    ("lost-answer-of-a-blind-target", a_join_proves_no_answer, "it took 25.0 s, expected"),
    ("lost-dial", a_call_is_ordered_once, "the outcome is reconnected, expected transferred"),
    # a sound that ended is played again
    (
        "music-from-a-file-goes-on",
        a_sound_that_ended_counts_as_missing,
        "bob heard alice, music, fallback, alice, expected music, music, music, alice",
    ),
    # outside lines are shown nothing internal
    (
        "outside-line-is-shown-nothing-internal",
        everybody_is_shown_every_number,
        "bob was shown 2600, expected none",
    ),
    (
        "outside-line-is-shown-nothing-internal",
        the_switch_is_not_kept_from_showing_numbers,
        "bob was shown 2600, expected none",
    ),
    (
        "outside-line-is-shown-the-number-of-the-account",
        everybody_is_shown_every_number,
        "bob was shown 2600, expected +43123",
    ),
    # who waits is not lost with a target that leaves at once, nor forgotten
    (
        "blind-target-leaves-at-once",
        nobody_parks_in_a_join,
        "at the end nobody talks, expected: alice and bob talk",
    ),
    (
        "targets-in-turn-declined-order-lost",
        who_leaves_a_transfer_is_forgotten,
        "promise 1 (nobody_forgotten): carol is forgotten",
    ),
    (
        "recall-of-a-party-adrift",
        a_leg_adrift_is_not_missed,
        "promise 2 (no_silence): bob waited in silence",
    ),
    (
        "handover-failsafe-target-leaves",
        the_way_back_is_cancelled_on_the_answer,
        "the cause is CONTROLLER_RESTARTED, expected LOST_TRACK",
    ),
    (
        "handover-failsafe-talks-on",
        the_way_back_is_not_cancelled,
        "at the end nobody talks, expected: bob and carol talk",
    ),
    # the far end is spared the codes
    (
        "codes-are-spared-the-far-end",
        no_keys_are_withheld,
        "bob heard the keys 12*22600#, expected 12*",
    ),
    # other programs may move legs
    (
        "moved-while-held",
        somebody_who_is_sent_elsewhere_stays_ours,
        "the outcome is ",
    ),
)


@pytest.mark.parametrize(
    ("scenario", "without", "complaint"),
    [pytest.param(*case, id=f"{case[0]}-{case[1].__name__}") for case in CASES],
)
def test_it_fails_without_its_fix(
    scenario: str,
    without: Callable[[Patch], None],
    complaint: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_module, "LIMIT_S", LIMIT_S)
    assert complaints(scenario) == set()
    without(monkeypatch)
    found = complaints(scenario)
    assert [one for one in found if one.startswith(complaint)], found


@pytest.mark.parametrize(("late_s", "outcome"), [(0.25, "transferred"), (3600.0, "reconnected")])
async def test_what_lies_unread_comes_before_a_deadline_that_was_overslept(
    late_s: float, outcome: str, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is stopped for 40 s, and Carol answers meanwhile.

    A deadline that asks the switch would hide it: here it decides, so that only the question that
    the engine itself asks after a gap is left.
    """
    a_deadline_decides_without_asking(monkeypatch)
    monkeypatch.setattr(engine_module, "LATE_S", late_s)
    world = World(seed=1)
    world.add_phone("1001")
    world.add_phone("1002", Answers())
    world.add_phone("2600", Answers(after_s=10.0))
    async with open_simulator(world=world) as backend, open_engine(backend) as engine:
        alice, _bob = await backend.call("1001", "1002")
        transfer = await engine.transfer(alice, "2600")
        await trio.sleep(5)
        autojump_clock.jump(40)
        await trio.sleep(5)
        world.hang_up(alice)
        backend.nudge()
        assert (await transfer.outcome()).outcome.value == outcome


def test_a_dying_half_takes_nobody_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the switch does once in a thousand calls, it does each time here."""
    monkeypatch.setattr(odds, "HALF_STARVES", 1.0)
    assert complaints("dialplan-target-leaves-the-consultation") == set()
    an_armed_leg_takes_the_other_at_once(monkeypatch)
    wrong = complaints("dialplan-target-leaves-the-consultation")
    assert "at the end nobody talks, expected: alice and bob talk" in wrong


def test_a_target_is_called_with_nothing_that_its_far_half_would_keep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dial = procedures.Procedures._dial

    def armed(self: procedures.Procedures, command: Dial) -> Procedure:
        (call,) = dial(self, command).steps
        assert isinstance(call, Originate)
        more = ("execute_on_answer", "sched_transfer +2 intercept:leg-2 inline")
        return Procedure(steps=(attrs.evolve(call, variables=(*call.variables, more)),))

    assert complaints("blind-through-the-dialplan") == set()
    monkeypatch.setattr(procedures.Procedures, "_dial", armed)
    (wrong,) = complaints("blind-through-the-dialplan", seeds=(0,))
    assert re.fullmatch(
        r"promise 8 \(nothing_left\): execute_on_answer of leg-\d is sched_transfer .*", wrong
    )


def test_an_order_waits_until_a_bridge_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def at_once(_self: Executor, _leg: LegId) -> bool:
        return False

    monkeypatch.setattr(odds, "NOT_UP", 1.0)
    assert complaints("transferred-again-at-once") == set()
    monkeypatch.setattr(Executor, "_is_fresh", at_once)
    assert "at the end nobody talks, expected: bob and dave talk" in complaints(
        "transferred-again-at-once"
    )


@pytest.mark.exhaustive
def test_a_transfer_that_is_found_may_be_armed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its failsafe acts within 50 ms of the join, or does not: chance of one in thirty."""
    name, seeds = "restart-as-a-failsafe-catches", range(200)
    assert complaints(name, seeds) == set()
    found = found_module.found_transfer

    def unarmed(**parties: Any) -> Transfer:
        return attrs.evolve(found(**parties), armed=False)

    monkeypatch.setattr(found_module, "found_transfer", unarmed)
    assert "at the end nobody talks, expected: alice and bob talk" in complaints(name, seeds)
