"""The stories of the recordings, as both the emulator and a real switch must tell them.

Of each: the number that is called, what somebody does and on what cue, how it ends, and by what
states.
"""

from __future__ import annotations

from hookflash.events import LegProgressed, LegsJoined
from hookflash.fsm.transfer import Outcome, State

S = State
DIALLED = [S.IDLE, S.HOLDING, S.DIALING]
CONSULTED = [*DIALLED, S.CONSULTING]

STORIES: dict[str, tuple[str, tuple[State, type, str] | None, Outcome, list[State]]] = {
    "complete": (
        "2600",
        (S.CONSULTING, LegsJoined, "transferor leaves"),
        Outcome.TRANSFERRED,
        [*CONSULTED, S.COMPLETING, S.IDLE],
    ),
    "partial": (
        "2600",
        (S.DIALING, LegProgressed, "transferor leaves"),
        Outcome.TRANSFERRED,
        [*DIALLED, S.PARTIAL, S.COMPLETING, S.IDLE],
    ),
    "busy": ("2602", None, Outcome.RECONNECTED, [*DIALLED, S.FAILED_RECONNECT, S.IDLE]),
    "refused": ("2603", None, Outcome.RECONNECTED, [*DIALLED, S.FAILED_RECONNECT, S.IDLE]),
    "no answer": ("2601", None, Outcome.RECONNECTED, [*DIALLED, S.FAILED_RECONNECT, S.IDLE]),
    "takeback": (
        "2601",
        (S.DIALING, LegProgressed, "takeback"),
        Outcome.TAKEN_BACK,
        [*DIALLED, S.TAKEBACK, S.IDLE],
    ),
    "takeback in the consultation": (
        "2600",
        (S.CONSULTING, LegsJoined, "takeback"),
        Outcome.TAKEN_BACK,
        [*CONSULTED, S.TAKEBACK, S.IDLE],
    ),
    "target drops": ("2605", None, Outcome.RECONNECTED, [*CONSULTED, S.FAILED_RECONNECT, S.IDLE]),
    "transferee leaves": (
        "2600",
        (S.CONSULTING, LegsJoined, "transferee leaves"),
        Outcome.ABANDONED,
        [*CONSULTED, S.ABANDONED, S.IDLE],
    ),
    "early media": (
        "2604",
        (S.CONSULTING, LegsJoined, "transferor leaves"),
        Outcome.TRANSFERRED,
        [*CONSULTED, S.COMPLETING, S.IDLE],
    ),
}
