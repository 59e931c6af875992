"""The promises: one list, from which messages, metrics and the documentation take their names."""

from __future__ import annotations

from typing import Final

import attrs


@attrs.frozen
class Promise:
    """One promise."""

    number: int
    key: str
    """Its name in logs and metrics. It never changes."""
    sentence: str

    def broken(self, how: str) -> str:
        """Report that it is broken.

        Args:
            how: what was seen, in words.
        """
        return f"promise {self.number} ({self.key}): {how}"


NOBODY_FORGOTTEN: Final = Promise(
    1,
    "nobody_forgotten",
    "Nobody is forgotten: when nothing moves any more, every living leg is in a conversation, or "
    "in a transfer with a running deadline.",
)
NO_SILENCE: Final = Promise(
    2,
    "no_silence",
    "Nobody waits in silence: held parties hear music, waiting parties hear ringback.",
)
ONE_OUTCOME: Final = Promise(
    3,
    "one_outcome",
    "One transfer has one outcome, within a bounded time.",
)
PAIR_REJOINED: Final = Promise(
    4,
    "pair_rejoined",
    "If transferor and transferee both live, every takeback and every failure ends with the two "
    "joined.",
)
NO_STRANGER: Final = Promise(
    5,
    "no_stranger",
    "No stranger is on the line: a leg is joined only with a leg of its own call, only after it "
    "answered, and nobody gains a right by being transferred.",
)
REPEATABLE: Final = Promise(
    6,
    "repeatable",
    "The same run twice is the same run, to the byte.",
)
CONTROLLER_MAY_DIE: Final = Promise(
    7,
    "controller_may_die",
    "The controller may die at any instant, and come back at any other: no caller is lost.",
)
NOTHING_LEFT: Final = Promise(
    8,
    "nothing_left",
    "Nothing stays behind: after an outcome the survivors are an ordinary call, without a "
    "variable, timer, mark or route of ours on their legs.",
)

PROMISES: Final = (
    NOBODY_FORGOTTEN,
    NO_SILENCE,
    ONE_OUTCOME,
    PAIR_REJOINED,
    NO_STRANGER,
    REPEATABLE,
    CONTROLLER_MAY_DIE,
    NOTHING_LEFT,
)
"""All of them, by their numbers from 1."""
