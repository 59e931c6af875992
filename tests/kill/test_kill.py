"""No caller is lost, whenever the service is killed: the harness in short, and its own rules.

`make kill` plays the same for longer, and on a real switch.
"""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
import trio
from killing import Forker
from people import Group, Person, make_group
from programme import Plan, Programme, Target, Way
from rounds import RING_TIMEOUT_S, Figures, Setting, on_the_emulator
from trio.testing import MockClock
from verdict import judge_end, judge_variables

PLAYERS = 4
"""At once, each with an emulator and a service of its own."""
KILLS = 4
CALLS = 10


async def play(folder: Path, seed: int, forker: Forker, found: list[Figures]) -> None:
    setting = Setting(folder=folder, seed=seed, direct=bool(seed % 2), pace=0.4, forker=forker)
    async with on_the_emulator(setting, virtual=False) as player:
        while player.figures.kills < KILLS:
            await player.round(CALLS, kills=KILLS - player.figures.kills)
        found.append(player.figures)


@pytest.mark.exhaustive
async def test_a_process_that_is_killed_sixteen_times_loses_nobody(tmp_path: Path) -> None:
    found: list[Figures] = []
    forker = Forker()
    try:
        async with trio.open_nursery() as nursery:
            for seed in range(1, PLAYERS + 1):
                folder = tmp_path / str(seed)
                folder.mkdir()
                nursery.start_soon(play, folder, seed, forker, found)
    finally:
        await forker.close()
    assert sum(figures.kills for figures in found) >= PLAYERS * KILLS
    assert_nobody_is_lost(found, tmp_path)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", [1, 2])
async def test_a_service_cut_off_between_any_two_steps_loses_nobody(
    seed: int, tmp_path: Path, autojump_clock: MockClock
) -> None:
    setting = Setting(folder=tmp_path, seed=seed, direct=bool(seed % 2), hows=("kill", "cut"))
    async with on_the_emulator(setting, virtual=True) as player:
        while player.figures.kills < 20:
            await player.round(15, kills=20)
    assert_nobody_is_lost([player.figures], tmp_path)


def assert_nobody_is_lost(found: list[Figures], folder: Path) -> None:
    told = "\n\n".join(figures.text() for figures in found)
    lost = [f"call {fault.index}: {fault}" for figures in found for fault in figures.lost()]
    stories = folder / "stories.txt"
    stories.write_text("\n\n".join(story for figures in found for story in figures.stories))
    faults = sum(len(figures.faults) for figures in found)
    assert faults == 0, "\n".join([told, *lost[:20], f"stories: {stories}"])


# ------------------------------------------------------------------------- the rules


def people(*, caller_transfers: bool = True) -> Group:
    """Three who talk: each has answered, nobody has left."""
    plan = Plan("test", caller_transfers, Way.HTTP, Target.MANUAL, (), 0.0, 0.0)
    group = make_group(0, plan, caller="30000", called="2660", target="2650")
    for person in (group.transferor, group.transferee, group.target):
        person.phone = person.leg = person.role
        person.rang_s, person.answered_s = 0.0, 1.0
    group.is_up = True
    return group


def ended(person: Person, group: Group, at_s: float = 10.0) -> bool:
    """Whether somebody may be ended by the switch at a time."""
    person.ended_s = at_s
    return judge_end(person, group, ring_timeout_s=RING_TIMEOUT_S)[0]


def test_nobody_may_be_ended_while_somebody_else_is_there() -> None:
    for role in ("transferor", "transferee", "target"):
        group = people()
        assert not ended(next(one for one in group.people if one.role == role), group)


def test_nobody_may_be_ended_while_the_transferor_is_called_back() -> None:
    group = people()
    group.transferor.left_s = group.target.left_s = 5.0
    group.recalled.rang_s = 9.0
    assert not ended(group.transferee, group)
    group.recalled.ended_s = group.recalled.left_s = 9.9
    assert ended(group.transferee, group)


def test_a_partner_who_hangs_up_ends_the_other_one_only_when_the_third_is_gone() -> None:
    group = people()
    group.transferor.left_s = 9.9
    assert not ended(group.transferee, group)
    group = people()
    group.transferor.left_s = group.target.left_s = 9.9
    assert ended(group.transferee, group)


def test_who_hangs_up_afterwards_was_there() -> None:
    group = people()
    group.transferor.left_s, group.target.left_s = 9.9, 10.02
    assert not ended(group.transferee, group)


def test_a_target_is_dismissed_by_a_takeback_and_by_nothing_else() -> None:
    group = people()
    group.taken_back.append(9.0)
    assert ended(group.target, group)
    assert not ended(group.transferee, group)
    group = people()
    group.taken_back.append(11.0)
    assert not ended(group.target, group)


def test_a_transferor_is_let_go_when_a_program_asks_for_it() -> None:
    group = people()
    group.completed.append(9.0)
    assert ended(group.transferor, group)
    assert not ended(group.transferee, group)


def test_a_phone_that_rings_is_waited_for_until_its_time_is_up() -> None:
    for gave_up_s, right in ((3.0, False), (RING_TIMEOUT_S, True)):
        group = people()
        group.target.answered_s, group.target.ended_s = None, gave_up_s
        group.transferor.left_s = 2.0
        assert ended(group.transferee, group, 12.0) is right


def test_a_target_that_answers_as_its_time_is_up_may_be_ended() -> None:
    group = people()
    group.target.answered_s = RING_TIMEOUT_S - 0.1
    assert ended(group.target, group, RING_TIMEOUT_S + 0.1)
    assert not ended(group.target, people(), RING_TIMEOUT_S + 0.1)


def test_what_the_dialplan_has_set_may_stay_and_nothing_of_ours() -> None:
    group = people()
    group.ordinary[group.caller.role] = {"variable_hangup_after_bridge": "true"}
    ordinary = {"variable_hangup_after_bridge": "true", "variable_uuid": "x"}
    assert not judge_variables(group.caller, group, ordinary)
    for name, value in (
        ("variable_park_timeout", "1860"),
        ("variable_hookflash_join", "x.1"),
        ("variable_hangup_after_bridge", "false"),
    ):
        (fault,) = judge_variables(group.caller, group, {**ordinary, name: value})
        assert not fault.loses
    assert judge_variables(group.target, group, ordinary)


def test_the_same_seed_is_the_same_programme() -> None:
    first, second = (
        list(Programme(8, ring_timeout_s=8.0).round(40, over_s=10.0)) for _ in range(2)
    )
    assert first == second
    assert first != list(Programme(9, ring_timeout_s=8.0).round(40, over_s=10.0))
    assert {plan.caller_transfers for plan in first} == {True, False}
    assert len({plan.kind for plan in first}) > 15
    assert attrs.fields(Plan).kind
