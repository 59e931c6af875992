"""No retry without a fault: on a switch that does as it is told, no back-off timer ever fires.

A table that waits for the wrong proof would pass every other test: the retry comes, and all ends
well, a second late. Only the limits of people pass here, and the tone at a transfer's end.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from shipped import SCENARIOS

from hookflash.backends.simulator.character import Character
from hookflash.backends.simulator.faults import Faults
from hookflash.commands import Look
from hookflash.events import TimerFired
from hookflash.fsm.transfer import State
from hookflash.scenarios.run import run_scenario
from hookflash.scenarios.scenario import Scenario
from hookflash.scenarios.script import CLOCK, CONTROLLER, SWITCH

pytestmark = pytest.mark.slow

PEOPLES_LIMITS = frozenset(
    {
        State.CONSULTING,
        State.HELD,
        State.PARKED,
        State.ASKING,
        State.ACCEPTING,
        State.FAILURE_HEARD,
        State.SWAPPED,
        State.THREE_WAY,
        State.RECALL_PAUSE,
        State.RETURNING,  # FreeSWITCH reports nothing: it is asked
        State.ENDING,
    }
)
"""Nobody is held for ever, and whoever is left alone hears the tone for a while."""


ASKED_FOR: Mapping[str, frozenset[State]] = {
    # the failsafe of a recall that was answered just then may be connecting the caller: who asks
    # the switch after a moment does not join two who are on their way elsewhere
    "race-park-recall-answered": frozenset({State.COMPLETING}),
    # nothing tells that a join died, and left a party adrift
    "race-complete-takeback": frozenset({State.RECALL}),
    "recall-of-a-party-adrift": frozenset({State.RECALL}),
}
"""Races in which a deadline is the only way to know."""


def is_kind(scenario: Scenario) -> bool:
    """Whether nothing goes wrong in it but what people do."""
    harsh = {CLOCK, CONTROLLER, SWITCH}
    return (
        scenario.faults == Faults()
        and not scenario.missing_sounds
        and harsh.isdisjoint(line.who for order in scenario.orders() for line in order.script)
    )


KIND = [scenario for scenario in SCENARIOS.values() if is_kind(scenario)]
CASES = [
    pytest.param(scenario, character, id=f"{scenario.name}, {character}")
    for scenario in KIND
    for character in Character
    if scenario.is_for(character)
]


def test_most_scenarios_are_kind() -> None:
    assert len(KIND) > 80


@pytest.mark.parametrize(("scenario", "character"), CASES)
def test_no_back_off_timer_fires(scenario: Scenario, character: Character) -> None:
    for order in scenario.orders():
        asked = [
            record
            for record in run_scenario(order, character=character).records
            if record.transfer is not None
            and isinstance(record.event, TimerFired)
            and any(isinstance(command, Look) for command in record.commands)
        ]
        allowed = PEOPLES_LIMITS | ASKED_FOR.get(scenario.name, frozenset())
        assert {record.before for record in asked} <= allowed, order.name
