"""The eight promises, under whatever Hypothesis thinks of: people, programs, time and faults.

A failure prints the program that led to it, the seed, and a scenario file that replays it.
"""

from __future__ import annotations

import os

import attrs
import pytest
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hookflash.backends.simulator.character import Character
from hookflash.backends.simulator.faults import Faults
from hookflash.backends.simulator.people import (
    Answers,
    AnswersAndLeaves,
    Behaviour,
    Busy,
    EarlyMedia,
    Manual,
    NeverAnswers,
    Refuses,
)
from hookflash.engine.legs import Account
from hookflash.events import Kind
from hookflash.fsm.policy import Choice, PartialSound, Policy
from hookflash.fsm.transfer import State
from hookflash.scenarios.check import failures
from hookflash.scenarios.format import parse_scenario
from hookflash.scenarios.rig import CALL_UP_S, SimulatedRig
from hookflash.scenarios.run import MAX_STEPS, run_scenario
from hookflash.scenarios.scenario import Expectation, PartyPlan, Scenario
from hookflash.scenarios.script import CLOCK, ScriptLine
from hookflash.scenarios.write import scenario_text

EXAMPLES = int(os.environ.get("HOOKFLASH_EXAMPLES", "300"))
"""More of them in the soak: `make soak`."""

SHARE = st.sampled_from([0.0, 0.1, 0.5])
LATENCY = st.sampled_from([(0.0, 0.0), (0.0, 0.02), (0.01, 0.3)])
FAULTS = st.builds(
    Faults,
    seed=st.integers(0, 2**16),
    event_latency_s=LATENCY,
    command_latency_s=LATENCY,
    reorder=SHARE,
    duplicate=SHARE,
    lose_command=SHARE,
    fail_command=SHARE,
    # with the deadlines that pass early, fewer than `join_attempts`: who loses every order can keep
    # no promise
    lose_at_most=st.integers(0, 2),
)
PHONES: st.SearchStrategy[Behaviour] = st.one_of(
    st.builds(Answers, after_s=st.sampled_from([0.0, 0.5, 3.0])),
    st.builds(AnswersAndLeaves, after_s=st.just(0.5), talk_s=st.sampled_from([0.0, 0.03, 0.5])),
    st.builds(EarlyMedia, after_s=st.just(1.0)),
    st.sampled_from([Busy(), Refuses(), NeverAnswers(), Manual(), Manual(), Manual()]),
)
POLICIES = st.builds(
    Policy,
    ring_timeout_s=st.sampled_from([3.0, 20.0]),
    hold_limit_s=st.just(60.0),
    partial_sound=st.sampled_from(PartialSound),
    target_accepts=st.sampled_from([False, False, True]),
    transferor_leaves_ringing=st.sampled_from(Choice),
    transferee_leaves_ringing=st.sampled_from(Choice),
    transferee_leaves_consulting=st.sampled_from(Choice),
)
PEOPLE = st.sampled_from(["alice", "bob"])
# instants and the odd moments between them: a switch thinks in ticks of 20 ms
DELAYS = st.sampled_from([0.0, 0.0, 0.001, 0.01, 0.02, 0.021, 0.03, 0.045, 0.1, 0.5, 2.0, 6.0])


class Calls(RuleBasedStateMachine):
    """Alice and Bob talk; Carol and Dave may be called; anything may happen at any moment."""

    character = Character.FREESWITCH

    def __init__(self) -> None:
        super().__init__()
        self.scenario: Scenario | None = None
        self.rig = SimulatedRig(())
        self.early_deadlines = 0

    @initialize(carol=PHONES, policy=POLICIES, faults=FAULTS, seed=st.integers(0, 2**16))
    def set_up(self, carol: Behaviour, policy: Policy, faults: Faults, seed: int) -> None:
        parties = (
            PartyPlan(name="alice", number="1001", behaviour=Manual()),
            PartyPlan(name="bob", number="1002", behaviour=Answers()),
            PartyPlan(name="carol", number="2600", behaviour=carol),
        )
        self.scenario = Scenario(
            name="found",
            title="found by Hypothesis",
            parties=parties,
            calls=(("alice", "bob"),),
            seed=seed,
            account=Account(policy=policy),
            faults=faults,
            expect=Expectation(within_s=3600.0),
        )
        self.rig = SimulatedRig(
            parties,
            seed=seed,
            faults=faults,
            account=self.scenario.account,
            character=self.character,
        )
        self.rig.call("alice", "bob")
        self.rig.world.run(until_s=CALL_UP_S, max_steps=MAX_STEPS)
        self.began_s = self.rig.world.now_s

    def do(self, line: ScriptLine) -> None:
        assert self.scenario is not None
        at_s = self.rig.world.now_s - self.began_s
        line = attrs.evolve(line, at_s=at_s)
        self.scenario = attrs.evolve(self.scenario, script=(*self.scenario.script, line))
        self.rig.perform(line)

    @rule(delay_s=DELAYS)
    def time_passes(self, delay_s: float) -> None:
        self.rig.world.run(until_s=self.rig.world.now_s + delay_s, max_steps=MAX_STEPS)

    @rule(who=PEOPLE, kind=st.sampled_from([Kind.ATTENDED] * 3 + [Kind.BLIND]))
    def ask_for_a_transfer(self, who: str, kind: Kind) -> None:
        self.do(ScriptLine(who=who, asks="transfer", target="2600", kind=kind))

    @rule(who=PEOPLE, what=st.sampled_from(["takeback", "complete", "hold"]))
    def ask(self, who: str, what: str) -> None:
        self.do(ScriptLine(who=who, asks=what))

    @rule(who=st.sampled_from(["alice", "bob", "carol"]))
    def hang_up(self, who: str) -> None:
        self.do(ScriptLine(who=who, does="hangs up"))

    @rule(what=st.sampled_from(["answers", "refuses"]))
    def carol_reacts(self, what: str) -> None:
        self.do(ScriptLine(who="carol", does=what))

    @rule(digit=st.sampled_from("*12#"))
    def alice_presses(self, digit: str) -> None:
        self.do(ScriptLine(who="alice", dials=digit))

    @precondition(lambda self: self.early_deadlines < 2 and not self.joining())
    @rule()
    def the_deadline_passes(self) -> None:
        self.early_deadlines += 1
        self.do(ScriptLine(who=CLOCK, does="lets the deadline pass"))

    def joining(self) -> bool:
        """Whether a join is under way: it takes 40 ms and the line, and its deadline is seconds."""
        running = self.rig.simulation.switchboard.running.values()
        return any(one.transfer.joining is not None for one in running)

    @invariant()
    def whoever_waits_has_a_deadline(self) -> None:
        if self.scenario is None:
            return
        for running in self.rig.simulation.switchboard.running.values():
            assert running.transfer.state is not State.IDLE
            assert running.transfer.deadline is not None

    def teardown(self) -> None:
        if self.scenario is None:
            return
        note(f"seed {self.scenario.seed}, --character {self.character}; what replays it:")
        note(scenario_text(self.scenario))
        world = self.rig.world
        assert world.run(until_s=world.now_s + 24 * 3600, max_steps=MAX_STEPS), "it never ends"
        assert list(self.rig.watch.verdict()) == []


class CallsOnAsterisk(Calls):
    """The same, on a switch with Asterisk's habits."""

    character = Character.ASTERISK


for calls in (Calls, CallsOnAsterisk):
    calls.TestCase.settings = settings(max_examples=EXAMPLES, stateful_step_count=30, deadline=None)
TestCalls = pytest.mark.exhaustive(Calls.TestCase)
TestCallsOnAsterisk = pytest.mark.exhaustive(CallsOnAsterisk.TestCase)


def test_a_scenario_survives_being_written() -> None:
    scenario = Scenario(
        name="written",
        title="written",
        parties=(
            PartyPlan(name="alice", number="1001", behaviour=Manual()),
            PartyPlan(name="bob", number="1002", behaviour=Answers(), account="acme"),
            PartyPlan(name="carol", number="2600", behaviour=AnswersAndLeaves(talk_s=1.0)),
        ),
        calls=(("alice", "bob"),),
        script=(
            ScriptLine(who="alice", at_s=1.0, asks="transfer", target="2600", kind=Kind.BLIND),
        ),
        seed=7,
        account=Account(policy=Policy(ring_timeout_s=3.0, partial_sound=PartialSound.MUSIC)),
        faults=Faults(duplicate=0.5, event_latency_s=(0.01, 0.02)),
    )
    again = parse_scenario(scenario_text(scenario).encode(), where="written", name="written")
    assert attrs.evolve(again, expect=scenario.expect) == scenario
    one, other = run_scenario(scenario), run_scenario(again)
    assert one.records == other.records
    assert failures(one) == failures(other)
