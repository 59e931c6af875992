"""What the people of a crowd do, on any switch, and what must come of it."""

from __future__ import annotations

import attrs

from hookflash.fsm.transfer import Outcome


@attrs.frozen
class Script:
    """What the people of one transfer do, and what must come of it."""

    name: str
    outcome: Outcome
    talk: str
    """Who talks at the end."""


COMPLETE = Script("complete", Outcome.TRANSFERRED, "transferee and target")
PARTIAL = Script("partial", Outcome.TRANSFERRED, "transferee and target")
BUSY = Script("busy", Outcome.RECONNECTED, "transferor and transferee")
TAKEBACK = Script("takeback", Outcome.TAKEN_BACK, "transferor and transferee")
CONSULT_TAKEBACK = Script(
    "takeback in the consultation", Outcome.TAKEN_BACK, "transferor and transferee"
)
TARGET_DROPS = Script("target drops", Outcome.RECONNECTED, "transferor and transferee")
BRIDGE_RACE = Script("target answers and is gone", Outcome.RECONNECTED, "transferor and transferee")
SCRIPTS = (COMPLETE, PARTIAL, BUSY, TAKEBACK, CONSULT_TAKEBACK, TARGET_DROPS, BRIDGE_RACE)


@attrs.frozen(kw_only=True)
class Report:
    """What became of a crowd."""

    ended: int
    wrong: tuple[str, ...]
    in_flight: int
    """How many transfers were in flight at once."""
    took_s: float
    to_join_ms: tuple[float, float]
    """From the news of the target's answer to that of the join, p50 and p99."""
    left: tuple[int, int]
    """Channels on the switch and on the phones, after everybody has hung up."""
