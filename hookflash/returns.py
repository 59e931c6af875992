"""Where a caller without a transferor goes if the transfer fails.

A program never names a place of the dialplan: it chooses `origin`, `park`, `none`, or a name that
the operator has given to an extension.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from hookflash.errors import InputError

ORIGIN: Final = "origin"
"""The extension where the caller was."""
PARK: Final = "park"
"""The park of the switch, alone and in silence: for a program that takes the leg from there."""
NONE: Final = "none"
"""Nowhere: the fallback target gets the caller, or the call ends."""

ALLOWED_PLACE: Final = re.compile(
    r"(?P<extension>[0-9A-Za-z+*#_-]{1,64})@(?P<context>[0-9A-Za-z_.-]{1,64})"
)
"""An extension of the dialplan and its context."""
PLACE_HINT: Final = "an extension and its context, such as 7000@default"

NAME_PATTERN: Final = r"[0-9A-Za-z_-]{1,64}"
_NAME: Final = re.compile(NAME_PATTERN)


def check_returns(returns: Mapping[str, str], where: str) -> None:
    """Check the names that an operator has given to extensions.

    Raises:
        InputError: a name or an extension is not allowed.
    """
    for name, place in returns.items():
        if not _NAME.fullmatch(name) or name in (ORIGIN, PARK, NONE):
            what = f"{name[:80]!r} is not a valid name"
            hint = f"letters, digits and _ -, at most 64; not {ORIGIN}, {PARK} or {NONE}"
            raise InputError(what, where=where, hint=hint)
        if not ALLOWED_PLACE.fullmatch(place):
            what = f"{place[:80]!r} is not an extension"
            raise InputError(what, where=f"{where}.{name}", hint=PLACE_HINT)


def place_for(chosen: str, returns: Mapping[str, str], where: str = "return_to") -> str:
    """The place that a choice means: `origin`, `park`, an extension, or empty for nowhere.

    Args:
        chosen: what was chosen.
        returns: the account's names.
        where: the location of the choice, for the error.

    Raises:
        InputError: there is no such name.
    """
    if chosen == NONE:
        return ""
    if chosen in (ORIGIN, PARK):
        return chosen
    if chosen not in returns:
        known = ", ".join((ORIGIN, PARK, NONE, *returns))
        raise InputError(f"{chosen[:80]!r} is not known", where=where, hint=f"one of {known}")
    return returns[chosen]
