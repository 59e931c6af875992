"""What the tables refuse at once, whatever the kind of transfer: before anybody is put on hold."""

from __future__ import annotations

import attrs
import pytest

from hookflash import events as e
from hookflash.errors import Refusal, RequestRefused
from hookflash.fsm.machine import Rulebook
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Transfer
from hookflash.scenarios.beginnings import asked_for
from hookflash.specs.catalog import SPEC_FOR

WITH_A_TARGET = (e.Kind.ATTENDED, e.Kind.BLIND)


def refusal_of(kind: e.Kind, start: Transfer) -> Refusal | None:
    """How a request is refused; `None`: it is accepted."""
    request = e.TransferRequested(
        leg=start.transferor.leg, transfer=start.id, target=start.target.number, kind=kind
    )
    try:
        Rulebook(SPEC_FOR[kind]).step(start, request)
    except RequestRefused as refused:
        return refused.refusal
    return None


@pytest.mark.parametrize("kind", e.Kind)
def test_what_can_be_met_is_accepted(kind: e.Kind) -> None:
    assert refusal_of(kind, asked_for(kind, Policy())) is None


@pytest.mark.parametrize("kind", WITH_A_TARGET)
def test_a_target_may_come_later(kind: e.Kind) -> None:
    assert refusal_of(kind, asked_for(kind, Policy(), "")) is None


@pytest.mark.parametrize("role", ["transferor", "transferee"])
@pytest.mark.parametrize("kind", WITH_A_TARGET)
def test_the_target_is_another_person(kind: e.Kind, role: str) -> None:
    start = asked_for(kind, Policy())
    number = getattr(start, role).number
    themselves = attrs.evolve(start, target=attrs.evolve(start.target, number=number))
    assert refusal_of(kind, themselves) is Refusal.TARGET_REFUSED


@pytest.mark.parametrize("kind", e.Kind)
def test_a_call_is_moved_so_often_and_no_more(kind: e.Kind) -> None:
    policy = Policy()
    start = asked_for(kind, policy)
    last = attrs.evolve(start, hops=policy.hop_limit - 1)
    assert refusal_of(kind, last) is None
    assert refusal_of(kind, attrs.evolve(start, hops=policy.hop_limit)) is Refusal.TARGET_REFUSED
