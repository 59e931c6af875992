"""What a transfer calls: which numbers are allowed, and the names of the legs.

The engine names a leg before it is ordered, so that a restarted controller finds every leg of a
transfer, also one whose first event was lost.
"""

from __future__ import annotations

import re
from typing import Final

from hookflash.events import LegId

ALLOWED_NUMBER: Final = re.compile(r"[0-9A-Za-z+*#_-]{1,64}")
"""Characters of a number that is called. Others never reach a switch. `@` is not allowed: the
operator chooses the host, not the caller."""

MOST_QUESTIONS: Final = 5
"""How many times a transferor may be asked for the number, at most."""

MOST_TARGETS: Final = 8
"""How many targets a transfer may have, at most."""

MOST_RECALLS: Final = 5
"""How many times a transferor may be called back, at most."""

_NAME: Final = re.compile(
    r"(?P<transfer>.+?)-(?:target(?:-of-list)?(?:-[0-9])?|asked-[0-9]|recall-[0-9]|fallback)"
)
"""The names below."""

_NUMBERS: Final = range(1, MOST_RECALLS + 1)


def name_of_target(transfer: str) -> LegId:
    """Name the leg of a transfer's target, on every backend."""
    return f"{transfer}-target"


def name_of_recall(transfer: str, number: int) -> LegId:
    """Name the leg by which a transferor is called back for the first, second … time."""
    return f"{transfer}-recall-{number}"


def name_of_redial(transfer: str, number: int) -> LegId:
    """Name the leg of a target that is called once more, after the first, second … recall."""
    return f"{transfer}-target-{number}"


def name_of_asked(transfer: str, number: int) -> LegId:
    """Name the leg of a target whose number the second, third … question has brought."""
    return f"{transfer}-asked-{number}"


def name_of_further(transfer: str, number: int) -> LegId:
    """Name the leg of the second, third … target of a list."""
    return f"{transfer}-target-of-list-{number}"


def name_of_fallback(transfer: str) -> LegId:
    """Name the leg of a fallback target."""
    return f"{transfer}-fallback"


def names_of_recalls(transfer: str) -> tuple[LegId, ...]:
    """The legs by which a transferor may have been called back, the first one first."""
    return tuple(name_of_recall(transfer, number) for number in _NUMBERS)


def names_of_redials(transfer: str) -> tuple[LegId, ...]:
    """The legs of a target that may have been called once more, the first one first."""
    return tuple(name_of_redial(transfer, number) for number in _NUMBERS)


def names_of_asked(transfer: str) -> tuple[LegId, ...]:
    """The legs of targets whose numbers were asked for again, the first one first."""
    return tuple(name_of_asked(transfer, number) for number in range(2, MOST_QUESTIONS + 1))


def names_of_further(transfer: str) -> tuple[LegId, ...]:
    """The legs of the further targets of a list, the first one first."""
    return tuple(name_of_further(transfer, number) for number in range(2, MOST_TARGETS + 1))


def place_in_list(transfer: str, leg: LegId) -> int:
    """The place of a target in its list, from 0. The first one is the one of the request."""
    further = names_of_further(transfer)
    return further.index(leg) + 1 if leg in further else 0


def names_of_called(transfer: str) -> tuple[LegId, ...]:
    """All legs that a transfer may have called; of those in one role, the first one first."""
    first, last = name_of_target(transfer), name_of_fallback(transfer)
    return (
        first,
        *names_of_further(transfer),
        *names_of_asked(transfer),
        *names_of_recalls(transfer),
        *names_of_redials(transfer),
        last,
    )


def caller_of(leg: LegId) -> str:
    """The transfer that called a leg, by its name; empty if none did."""
    found = _NAME.fullmatch(leg)
    return found["transfer"] if found else ""


def recalls_by(transfer: str, leg: LegId) -> int:
    """How many times a transferor with this leg was called back."""
    recalls = names_of_recalls(transfer)
    return recalls.index(leg) + 1 if leg in recalls else 0


def call_order(transfer: str, leg: LegId) -> int:
    """The place of a leg among those that a transfer called; -1 if it did not call it."""
    names = names_of_called(transfer)
    return names.index(leg) if leg in names else -1
