"""Every scenario that ships, in every order of its race, as it expects and under a hardship."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, cast

import attrs
import pytest
from shipped import FILES, FOLDER, SCENARIOS

from hookflash.backends.simulator.character import Character
from hookflash.backends.simulator.faults import Faults, parse_faults
from hookflash.commands import Split
from hookflash.engine.legs import Account
from hookflash.events import Kind, LegHungUp, LegsJoined
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Outcome, State
from hookflash.scenarios.check import failures
from hookflash.scenarios.format import parse_scenario
from hookflash.scenarios.rig import CALL_UP_S, SimulatedRig
from hookflash.scenarios.rows import Rows
from hookflash.scenarios.run import run_scenario
from hookflash.scenarios.scenario import Expectation, Scenario
from hookflash.scenarios.script import ScriptLine
from hookflash.scenarios.searches import POLICIES, search_tables
from hookflash.scenarios.soak import HARDSHIPS, NO_HARDSHIPS, Tally, run_many
from hookflash.scenarios.write import scenario_text
from hookflash.specs.catalog import SPEC_FOR


def hard_seed(name: str, character: Character) -> int:
    """One hardship for each scenario, and another for the next one: `make proof` takes all."""
    turn = FILES.index(FOLDER / f"{name}.toml") + 3 * [*Character].index(character)
    return 1 + turn % len(HARDSHIPS)


GROUPS = {
    # those runs are counted below: in the same process they need not run twice
    Character.FREESWITCH: pytest.mark.xdist_group("rows"),
    Character.ASTERISK: pytest.mark.xdist_group("rows on the other switch"),
}
CASES = [
    pytest.param(name, character, id=f"{name}, {character}", marks=GROUPS[character])
    for name, scenario in SCENARIOS.items()
    for character in Character
    if scenario.is_for(character)
]
in_each_character = pytest.mark.parametrize(("name", "character"), CASES)


@cache
def runs_of(name: str, character: Character, *, hard: bool) -> tuple[Tally, Rows]:
    """The runs of one scenario, once for all the tests that ask for them in this process."""
    rows, scenario = Rows(), SCENARIOS[name]
    seed = hard_seed(name, character) if hard else scenario.seed
    hardships = HARDSHIPS if hard else NO_HARDSHIPS
    tally = run_many([scenario], [seed], hardships=hardships, rows=rows, character=character)
    return tally, rows


@in_each_character
def test_it_comes_to_what_it_expects(name: str, character: Character) -> None:
    tally, _ = runs_of(name, character, hard=False)
    assert tally.findings.kinds() == []
    assert tally.runs == len([*SCENARIOS[name].orders()])


@pytest.mark.exhaustive
@in_each_character
def test_whatever_goes_wrong_on_the_way_the_promises_are_kept(
    name: str, character: Character
) -> None:
    tally, _ = runs_of(name, character, hard=True)
    assert tally.findings.kinds() == []


@pytest.mark.parametrize(
    ("name", "faults"),
    [
        ("moved-while-held", "seed=200,fail_command=0.3,lose_at_most=2"),
        ("found-overlapping-joins", "seed=97,lose_event=0.15,lose_events_at_most=1"),
    ],
)
def test_what_the_proof_has_found_on_an_asterisk(name: str, faults: str) -> None:
    bent = parse_faults(faults)
    run = run_scenario(SCENARIOS[name], seed=bent.seed, faults=bent, character=Character.ASTERISK)
    assert run.broken == ()


def test_there_are_many_and_each_says_what_it_shows() -> None:
    assert len(FILES) >= 40
    titles = [scenario.title for scenario in SCENARIOS.values()]
    assert not [title for title in titles if title.endswith(".")]
    assert not [title for title in titles if title != title.strip()]
    assert len(set(titles)) == len(titles)


def test_every_outcome_every_state_and_every_kind_is_somewhere_expected() -> None:
    """Not only run through: somebody has written down that it must come to that."""
    expected = [scenario.expect for scenario in SCENARIOS.values()]
    outcomes = {outcome for one in expected for outcome in (one.outcome or one.outcomes or ())}
    assert outcomes >= {outcome.value for outcome in Outcome}
    states = {state for one in expected for state in (one.states or ())}
    assert states >= {state.value for state in State}
    kinds = {line.kind for scenario in SCENARIOS.values() for line in scenario.script if line.asks}
    assert kinds >= {Kind.ATTENDED, Kind.BLIND}


@pytest.mark.exhaustive
def test_a_scenario_that_is_written_and_read_again_runs_alike() -> None:
    for scenario in SCENARIOS.values():
        for order in list(scenario.orders())[:1]:
            written = scenario_text(attrs.evolve(order, expect=Expectation()))
            again = load_again(written)
            assert run_scenario(again).records == run_scenario(order).records, order.name


def load_again(text: str) -> Scenario:
    return parse_scenario(text.encode(), where="again", name="again")


# ------------------------------------------------------------- rows, counted


def rows_seen() -> Rows:
    """The rows of all those runs on FreeSWITCH, with faults and without."""
    seen = Rows()
    for name, scenario in SCENARIOS.items():
        if scenario.is_for(Character.FREESWITCH):
            for hard in (False, True):
                seen.add(runs_of(name, Character.FREESWITCH, hard=hard)[1])
    return seen


@pytest.mark.xdist_group("rows")
def test_a_group_of_tests_stays_in_one_process(request: pytest.FixtureRequest) -> None:
    """Those of a real switch rely on it. Where pytest is too new for pytest-xdist, none does."""
    item = cast("pytest.Item", request.node)
    grouped = getattr(request.config.option, "loadgroup", False)
    assert not grouped or item.nodeid.endswith("@rows")


@pytest.mark.slow
@pytest.mark.xdist_group("rows")
def test_rows_and_rows_after_rows(record_property: Callable[[str, object], None]) -> None:
    """What the runs have been through: counted for the summary, and each a row of its table."""
    seen = rows_seen()
    for kind in Kind:
        keys = {row.key for row in SPEC_FOR[kind].rows}
        assert set(seen.rows[kind]) <= keys
        assert len(seen.rows[kind]) >= len(keys) // 6, f"{kind.value}: too few rows are run through"
        rows, pairs = len(seen.rows[kind]), len(seen.pairs[kind])
        record_property(f"{kind.value} in runs", f"{rows} rows, {pairs} pairs")


@pytest.mark.exhaustive
@pytest.mark.xdist_group("rows")
def test_whatever_follows_in_a_run_could_follow_in_the_search() -> None:
    """The adversary of the search is at least as bad as the simulator; told of the small table."""
    seen = rows_seen()
    searched = Rows()
    for search in search_tables(join_attempts=3, max_records=4_000, kinds=[Kind.HOLD]):
        assert search.complete
        assert search.found.violations == ()
        searched.note_search(search.kind, search.found)
    assert seen.unforeseen(Kind.HOLD, searched) == []
    assert searched.untouched(Kind.HOLD) == []
    assert searched.untouched(Kind.BLIND) == sorted(row.key for row in SPEC_FOR[Kind.BLIND].rows)


def test_a_row_that_could_not_follow_is_named() -> None:
    rows = Rows()
    run_many([SCENARIOS["complete"]], [1], hardships=NO_HARDSHIPS, rows=rows)
    followed = [after for _before, after in rows.unforeseen(Kind.ATTENDED, Rows())]
    assert "consulting · transferor_hung_up → completing" in followed
    assert rows.unforeseen(Kind.BLIND, Rows()) == []


def test_no_row_comes_before_the_beginning_of_another_controller() -> None:
    rows = Rows()
    restart = SCENARIOS["restart-while-the-tone-plays"]
    run_many([restart], [2], hardships=NO_HARDSHIPS, rows=rows)
    found = {row for row in rows.rows[Kind.ATTENDED] if row.startswith("idle · found")}
    assert found
    assert found.isdisjoint(after for _before, after in rows.pairs[Kind.ATTENDED])
    assert found & {before for before, _after in rows.pairs[Kind.ATTENDED]}


# ------------------------------------------------------------ it can also fail


@pytest.mark.slow
def test_a_run_that_breaks_a_promise_is_told_with_the_line_that_repeats_it() -> None:
    nothing_arrives = Faults(lose_command=1.0)
    tally = run_many([SCENARIOS["complete"]], [7], hardships={"deaf": nothing_arrives}, rows=Rows())
    [(finding, _times), *_] = tally.findings.kinds()
    assert "promise" in finding.what
    assert finding.where == "complete, deaf"
    assert finding.replay == 'hookflash simulate --seed 7 --faults "seed=7,lose_command=1.0"'
    assert finding.records


def broken(scenario: Scenario, **changes: Any) -> set[str]:
    """The numbers of the promises that a changed scenario breaks."""
    run = run_scenario(attrs.evolve(scenario, **changes))
    return {told.split(" (")[0] for told in run.broken}


def with_policy(**choices: object) -> Account:
    return Account(policy=attrs.evolve(Policy(), **choices))


@pytest.mark.slow
def test_every_promise_can_be_broken() -> None:
    """A watch that never barks is no watch: an engine is crippled, and each promise noticed."""
    hold, busy = SCENARIOS["hold-and-resume"], SCENARIOS["busy"]
    sounds = {Policy().music, Policy().hold_tone, Policy().fallback_sound}
    assert "promise 2" in broken(hold, missing_sounds=frozenset(sounds))
    assert "promise 4" in broken(busy, account=with_policy(join_attempts=0))
    deaf = Faults(lose_command=1.0)
    assert {"promise 3"} <= broken(busy, faults=deaf)


def rig_with_two_calls() -> SimulatedRig:
    scenario = SCENARIOS["two-calls-at-once"]
    rig = SimulatedRig(scenario.parties, seed=1)
    for caller, called in scenario.calls:
        rig.call(caller, called)
    rig.world.run(until_s=CALL_UP_S)
    return rig


def test_a_stranger_on_the_line_is_noticed() -> None:
    rig = rig_with_two_calls()
    rig.perform(ScriptLine(who="alice", asks="transfer", target="2600"))
    rig.watch.fact(LegsJoined(first=rig.roster.legs["bob"], second=rig.roster.legs["bert"]))
    assert next(iter(rig.watch.verdict())).startswith("promise 5 (no_stranger): ")


def test_whoever_is_forgotten_is_noticed() -> None:
    rig = rig_with_two_calls()
    assert list(rig.watch.verdict()) == []
    rig.world.perform(Split(first=rig.roster.legs["alice"], second=rig.roster.legs["bob"]))
    rig.world.run(until_s=10.0)
    verdict = list(rig.watch.verdict())
    assert [told for told in verdict if told.startswith("promise 1")] == [
        "promise 1 (nobody_forgotten): alice is forgotten",
        "promise 1 (nobody_forgotten): bob is forgotten",
    ]
    # nor has anybody taken off what the split has left on them
    assert all(told.startswith("promise 8 ") for told in verdict[2:])
    for name in ("alice", "bob"):
        assert f"promise 8 (nothing_left): hookflash_role is left on {name}" in verdict


def test_an_expectation_that_fails_is_told() -> None:
    scenario = SCENARIOS["busy"]
    wrong = Expectation(
        outcome=("transferred", "failed"),
        outcomes=("transferred",),
        cause="NO_ANSWER",
        states=("idle",),
        talk=frozenset({frozenset({"alice", "carol"})}),
        gone=frozenset({"alice"}),
        heard={"bob": ("music", "carol"), "alice": ("tone",)},
        refused="too late",
        within_s=0.1,
    )
    told = failures(run_scenario(attrs.evolve(scenario, expect=wrong)))
    assert [line.split(" ")[0] for line in told] == [
        "the",
        "the",
        "the",
        "the",
        "it",
        "at",
        "alice",
        "bob",
        "alice",
        "the",
    ]
    assert told[0] == "the outcome is reconnected, expected transferred or failed"
    assert told[5] == "at the end alice and bob talk, expected: alice and carol talk"
    nobody = attrs.evolve(scenario, expect=Expectation(talk=frozenset(), refused=""))
    assert failures(run_scenario(nobody))[0].endswith("expected: nobody talks")


def test_orders_of_a_race() -> None:
    race = SCENARIOS["race-held"]
    orders = [*race.orders()]
    assert len(orders) == 24
    assert len({order.name for order in orders}) == 24
    assert orders[0].race is None
    assert {line.when for order in orders for line in order.script[-4:-3]} == {
        "the transfer is held"
    }
    plain = SCENARIOS["complete"]
    assert [*plain.orders()] == [plain]


def test_everybody_s_end_is_in_the_records() -> None:
    run = run_scenario(SCENARIOS["hangup-code"])
    ends = {r.event.leg for r in run.records if isinstance(r.event, LegHungUp)}
    assert ends == set(run.names)


def test_the_policies_of_the_search_differ() -> None:
    assert len({*POLICIES.values()}) == len(POLICIES)
