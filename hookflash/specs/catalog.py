"""All tables, by name and by what people ask for."""

from __future__ import annotations

from collections.abc import Mapping

from hookflash.events import Kind
from hookflash.fsm.spec import Spec
from hookflash.specs.attended import ATTENDED
from hookflash.specs.blind import BLIND
from hookflash.specs.hold import HOLD

SPECS: Mapping[str, Spec] = {spec.name: spec for spec in (ATTENDED, BLIND, HOLD)}
"""The tables that ship, by name."""

SPEC_FOR: Mapping[Kind, Spec] = {Kind.ATTENDED: ATTENDED, Kind.BLIND: BLIND, Kind.HOLD: HOLD}
"""The table that runs each kind of request."""
