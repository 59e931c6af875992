"""The phones of the lab in which the recordings were made, by number."""

from __future__ import annotations

import re
from typing import Final

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

_SPECIAL: Final[dict[str, Behaviour]] = {
    "2600": Answers(after_s=1.5),
    "2601": NeverAnswers(),
    "2602": Busy(after_s=0.3),
    "2603": Refuses(after_s=0.8),
    "2604": EarlyMedia(after_s=4.0),
    "2605": AnswersAndLeaves(after_s=0.020, talk_s=2.5),
}
_AT_ONCE: Final = re.compile(r"1\d\d\d")
_MANUAL: Final = re.compile(r"26[5-9]\d")


def lab_phone(number: str) -> Behaviour | None:
    """Return the behaviour of a number's phone.

    1xxx answers at once; 2600 rings 1.5 s, then answers; 2601 rings forever; 2602 is busy; 2603
    refuses; 2604 plays early media, then answers; 2605 answers and hangs up after 2.5 s; 2650 to
    2699 ring until a test answers or declines.

    Returns:
        None: there is no such number.
    """
    if number in _SPECIAL:
        return _SPECIAL[number]
    if _AT_ONCE.fullmatch(number):
        return Answers(after_s=0.0)
    if _MANUAL.fullmatch(number):
        return Manual()
    return None
