"""The expressions of a dialplan: `${NAME}`, `${FUNCTION(…)}`, `$["…" = "…"]`, `$[1 + 2 > 3]`.

As in Asterisk, inner expressions are replaced first, and the resulting text is read. So a value
with a quotation mark or a question mark can change the meaning of the outer expression; our values
have none.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Final

from hookflash.errors import InputError

_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?")
_OPERATIONS: Final[tuple[Mapping[str, Callable[[float, float], float]], ...]] = (
    {"&": lambda one, other: bool(one) and bool(other)},
    {"=": operator.eq, "<": operator.lt, ">": operator.gt},
    {"+": operator.add, "-": operator.sub},
)
"""By precedence, the lowest first."""

_COMPARISON: Final = re.compile(r'\s*"(?P<one>[^"]*)"\s*(?P<how>=|!=)\s*"(?P<other>[^"]*)"\s*')
_CHOICE: Final = re.compile(r"(?P<holds>[^?]*)\?(?P<yes>[^:]*)(?::(?P<no>.*))?")
_ENDS: Final = {"{": "}", "[": "]"}

FALSE: Final = frozenset({"", "0"})


def expand(text: str, value_of: Callable[[str], str]) -> str:
    """Replace variables, functions and expressions.

    Args:
        text: an application's arguments.
        value_of: returns the value of a variable, or of a function with its arguments.

    Raises:
        InputError: a brace is unbalanced, or an expression is not supported.
    """
    parts: list[str] = []
    at = 0
    while (found := text.find("$", at)) >= 0:
        kind = text[found + 1 : found + 2]
        if kind not in _ENDS:
            parts.append(text[at : found + 1])
            at = found + 1
            continue
        end = _end_of(text, found + 1)
        inside = expand(text[found + 2 : end], value_of)
        value = _worked_out(inside) if kind == "[" else _value(inside, value_of)
        parts += (text[at:found], value)
        at = end + 1
    return "".join((*parts, text[at:]))


def _end_of(text: str, opens: int) -> int:
    depth = 0
    one, other = text[opens], _ENDS[text[opens]]
    for place in range(opens, len(text)):
        depth += (text[place] == one) - (text[place] == other)
        if depth == 0:
            return place
    raise InputError(f"{text!r} lacks a {other}")


def _worked_out(text: str) -> str:
    found = _COMPARISON.fullmatch(text)
    if found is None:
        return f"{_number(text, text.split()):.15g}"
    is_equal = found["one"] == found["other"]
    return "1" if is_equal is (found["how"] == "=") else "0"


def _number(text: str, words: list[str]) -> float:
    """Evaluate numbers and operators: split at the last operator of the lowest precedence."""
    for known in _OPERATIONS:
        for place in reversed(range(len(words))):
            work = known.get(words[place])
            if work is not None:
                one, other = words[:place], words[place + 1 :]
                return float(work(_number(text, one), _number(text, other)))
    if len(words) != 1 or not _NUMBER.fullmatch(words[0]):
        raise InputError(
            f"$[{text}] is not understood",
            hint='"…" = "…", "…" != "…", and numbers with blanks and + - = < > & between them are',
        )
    return float(words[0])


def _value(text: str, value_of: Callable[[str], str]) -> str:
    if text.startswith("IF(") and text.endswith(")"):
        return chosen(text[3:-1])
    return value_of(text)


def chosen(text: str) -> str:
    """Evaluate `CONDITION?YES:NO`; empty if the chosen part is missing.

    Raises:
        InputError: there is no condition.
    """
    found = _CHOICE.fullmatch(text)
    if found is None:
        raise InputError(f"{text!r} has no condition")
    return (found["yes"] if found["holds"].strip() not in FALSE else found["no"]) or ""
