"""Which joins let both hear that they are connected: those that complete a transfer, once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import attrs
import pytest
from shipped import SCENARIOS

from hookflash.commands import Announce
from hookflash.engine.switchboard import Switchboard
from hookflash.errors import InputError
from hookflash.events import LegAnswered, LegCreated, LegsJoined, TransferOptions, TransferRequested
from hookflash.fsm.policy import Policy
from hookflash.scenarios.run import run_scenario
from hookflash.sounds import Recording, parse_sound

SOUND = Recording("connected.wav")


def told(name: str) -> dict[str, int]:
    """How often each party was to hear it in a scenario."""
    scenario = SCENARIOS[name]
    policy = attrs.evolve(scenario.account.policy, connected_sound=SOUND)
    account = attrs.evolve(scenario.account, policy=policy)
    run = run_scenario(attrs.evolve(scenario, account=account))
    orders = [command for record in run.records for command in record.commands]
    return Counter(run.names.get(one.leg, one.leg) for one in orders if isinstance(one, Announce))


@pytest.mark.parametrize(
    "name",
    [
        "complete",
        "complete-called-party",
        "blind",
        "blind-through-the-dialplan",
        "partial",
        "accept-by-key",
        "briefing-blind",
        "handover",
        "targets-in-turn",
        "targets-at-once",
        "swap",
        "three-way",
        "faults-twice",
        "restart-within-a-failsafe-30-ms",  # it finds them apart
    ],
)
def test_a_join_that_completes_a_transfer_is_heard_by_both_once(name: str) -> None:
    heard = told(name)
    assert heard.pop("bob") == 1
    assert [*heard.values()] == [1]
    assert "alice" not in heard


@pytest.mark.parametrize(
    "name",
    [
        "takeback",
        "busy",
        "recall-again",
        "recall-fallback",
        "handover-fallback",
        "transferee-leaves-ringing",
        "hold-and-resume",
        "connected-restart",
    ],
)
def test_no_other_join_is_and_none_that_the_next_controller_finds(name: str) -> None:
    assert told(name) == {}


@pytest.mark.parametrize("text", ["music:default", "tone:440/500"])
@pytest.mark.parametrize("name", ["connected_sound", "refusal_tone"])
def test_a_sound_in_a_conversation_must_end(name: str, text: str) -> None:
    choice: dict[str, Any] = {name: parse_sound(text)}
    with pytest.raises(InputError, match=f"{name}: .* does not end .a recording, or a tone with"):
        attrs.evolve(Policy(), **choice)
    board = Switchboard()
    for leg, number in (("a", "1001"), ("b", "1002")):
        board.handle(LegCreated(leg=leg, number=number))
        board.handle(LegAnswered(leg=leg))
    board.handle(LegsJoined(first="a", second="b"))
    options = TransferOptions(**choice)
    asked = TransferRequested(leg="a", transfer="t", target="2600", by="key", options=options)
    (record,) = board.handle(asked)
    assert record.refused
    assert "does not end" in record.why
