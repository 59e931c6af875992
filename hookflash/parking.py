"""Slots: the numbers under which calls are parked.

An operator gives an account a list of them (`701-720`). A slot is a number that people dial, so it
consists of digits only, and nothing else ever reaches a switch or a record.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from hookflash.errors import InputError

SLOT_PATTERN: Final = r"[0-9]{1,8}"
ALLOWED_SLOT: Final = re.compile(SLOT_PATTERN)
"""A slot."""

_RANGE: Final = re.compile(rf"({SLOT_PATTERN})(?:-({SLOT_PATTERN}))?")

MOST_SLOTS: Final = 1_000
"""How many slots an account may have, at most."""

SLOTS_HINT: Final = f"numbers and ranges, such as 701-720 or 701,705-709; at most {MOST_SLOTS}"


@lru_cache(maxsize=256)
def parse_slots(text: str, where: str = "parking_slots") -> tuple[str, ...]:
    """Read an account's slots.

    Args:
        text: numbers and ranges, separated by commas; empty: none.
        where: the location of the text, for errors.

    Raises:
        InputError: it is not a list of slots.
    """
    slots: dict[str, None] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        found = _RANGE.fullmatch(part)
        first, last = found.groups() if found else ("", "")
        last = last or first
        count = int(last) - int(first) + 1 if first else 0
        if len(first) != len(last) or count < 1:
            raise InputError(f"{part[:40]!r} is not a range of slots", where=where, hint=SLOTS_HINT)
        if len(slots) + count > MOST_SLOTS:
            raise InputError("there are too many slots", where=where, hint=SLOTS_HINT)
        slots |= dict.fromkeys(f"{n:0{len(first)}d}" for n in range(int(first), int(last) + 1))
    return tuple(slots)
