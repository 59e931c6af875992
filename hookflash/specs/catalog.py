"""All tables, by name and by what people ask for."""

from __future__ import annotations

from collections.abc import Mapping

from hookflash.events import Kind
from hookflash.fsm.spec import Spec
from hookflash.specs.attended import ATTENDED
from hookflash.specs.blind import BLIND
from hookflash.specs.handover import HANDOVER
from hookflash.specs.hold import HOLD
from hookflash.specs.move import MOVE
from hookflash.specs.parking import PARK

SPECS: Mapping[str, Spec] = {
    spec.name: spec for spec in (ATTENDED, BLIND, HOLD, MOVE, PARK, HANDOVER)
}
"""The tables that ship, by name."""

SPEC_FOR: Mapping[Kind, Spec] = {
    Kind.ATTENDED: ATTENDED,
    Kind.BLIND: BLIND,
    Kind.HOLD: HOLD,
    Kind.MOVE: MOVE,
    Kind.PARK: PARK,
    Kind.HANDOVER: HANDOVER,
}
"""The table that runs each kind of request."""
