"""How FreeSWITCH parses commands: words and quotes, dial strings, causes.

Nothing here knows a call. Each function reads text as FreeSWITCH 1.10.12 does, as far as tests of
programs need it; what is not supported raises `DialError` with the cause that FreeSWITCH gives.
"""

from __future__ import annotations

import re
from typing import Final

import attrs

from hookflash.causes import FREESWITCH_CAUSES, word_for


def read_cause(text: str, otherwise: str = "NORMAL_CLEARING") -> str:
    """Read a cause: its name in any case, or its number; `otherwise` if it is unknown."""
    if text[:1].isascii() and text[:1].isdigit():
        digits = re.match(r"[0-9]{1,4}", text)
        number = int(digits[0]) if digits else 0
        cause = word_for(number)
        return cause if FREESWITCH_CAUSES.get(cause) == number else otherwise
    cause = text.upper()
    return cause if cause in FREESWITCH_CAUSES else otherwise


def atoi(text: str) -> int:
    """The number that a text begins with, as C's `atoi` reads it: 0 without one."""
    found = re.match(r" *([0-9]{1,10})", text)
    return int(found[1]) if found else 0


def split_words(text: str, most: int) -> list[str]:
    """Split at blanks, like the arguments of most commands.

    Between single quotes a blank is an ordinary character; a backslash escapes the next character.

    Args:
        text: the arguments.
        most: the maximum number of words; the last takes the rest.
    """
    return [_without_quotes(word) for word in _split(text.strip(" "), " ", most) if word]


def split_list(text: str, delimiter: str) -> list[str]:
    """Split a list, except within quotes. `^^:` at its beginning makes `:` the delimiter."""
    if text.startswith("^^") and len(text) > len("^^:"):
        delimiter, text = text[2], text[3:]
    return [_without_quotes(part, delimiter) for part in _split(text, delimiter, len(text) + 1)]


def _split(text: str, delimiter: str, most: int) -> list[str]:
    if most > 1 and "'" not in text and "\\" not in text:
        between = " +" if delimiter == " " else re.escape(delimiter)
        return re.split(between, text, maxsplit=most - 1)
    parts: list[str] = []
    begin = place = 0
    quoted = False
    while place < len(text) and len(parts) < most - 1:
        char = text[place]
        if char == "\\":
            place += 1
        elif char == "'":
            quoted = not quoted
        elif char == delimiter and not quoted:
            parts.append(text[begin:place])
            begin = place + 1
            while delimiter == " " and text[begin : begin + 1] == " ":
                begin += 1
            place = begin - 1
        place += 1
    return [*parts, text[begin:]]


def _without_quotes(word: str, delimiter: str = "") -> str:
    if "'" not in word and "\\" not in word:
        return word.strip(" ")
    read: list[str] = []
    place = 0
    while place < len(word):
        char = word[place]
        following = word[place + 1 : place + 2]
        if char == "\\" and following in {"'", '"', "\\", delimiter or "\\"}:
            read.append(following)
            place += 1
        elif char != "'":
            read.append(char)
        place += 1
    return "".join(read).strip(" ")


# ---- dial strings


class DialError(Exception):
    """An invalid or unsupported dial string."""

    def __init__(self, cause: str) -> None:
        """Keep FreeSWITCH's cause."""
        self.cause = cause
        super().__init__(cause)


@attrs.frozen(kw_only=True)
class Dialled:
    """The destination of a dial string, and its options."""

    number: str
    endpoint: str
    """`sofia`, `user` or `loopback`."""
    channel_name: str
    variables: dict[str, str]
    where: str = ""
    """The context or the domain in which the number is looked up; empty: none is named."""


_PROFILES: Final = frozenset({"internal", "external"})
_BRACKETS: Final = {"{": "}", "[": "]", "<": ">"}


def read_dial_string(text: str) -> Dialled:
    """Read a dial string with one destination.

    `{name=value,…}` before it sets variables, as `[…]` and `<…>` do. Known are
    `sofia/PROFILE/NUMBER[@HOST]`, `sofia/gateway/GATEWAY/NUMBER`, `user/NUMBER[@DOMAIN]`,
    `loopback/NUMBER[/CONTEXT]` and `error/CAUSE`. Several destinations (`a|b`, `a,b`) are not.

    Raises:
        DialError: the dial string has another form.
    """
    variables: dict[str, str] = {}
    while text[:1] in _BRACKETS:
        end = _closing(text)
        for part in split_list(text[1:end], ","):
            name, _, value = part.partition("=")
            if name.strip():
                variables[name.strip()] = value
        text = text[end + 1 :]
    if not text:
        raise DialError("DESTINATION_OUT_OF_ORDER")
    if "|" in text or "," in text or ":_:" in text:
        raise DialError("FACILITY_NOT_IMPLEMENTED")
    endpoint, _, rest = text.partition("/")
    return _destination(endpoint, rest.split("/"), variables)


def _closing(text: str) -> int:
    """Find the bracket that ends the variables."""
    quoted = False
    for place, char in enumerate(text):
        if char == "'":
            quoted = not quoted
        elif char == _BRACKETS[text[0]] and not quoted:
            return place
    raise DialError("DESTINATION_OUT_OF_ORDER")


def _destination(endpoint: str, parts: list[str], variables: dict[str, str]) -> Dialled:
    match endpoint, parts:
        case "sofia", ["gateway", _, whom]:
            name = f"sofia/external/{whom}"
        case "sofia", [profile, whom] if profile in _PROFILES:
            name = f"sofia/{profile}/{whom}"
        case "sofia", _:
            raise DialError("INVALID_PROFILE")
        case "user", [whom]:
            name = f"sofia/internal/{whom}"
        case "loopback", [whom, *_]:
            name = f"loopback/{whom}-a"
        case "error", [cause]:
            raise DialError(read_cause(cause))
        case _:
            raise DialError("CHAN_NOT_IMPLEMENTED")
    number, _, where = whom.partition("@")
    if endpoint == "loopback":
        where = parts[1] if len(parts) > 1 else ""
    if not number:
        raise DialError("INVALID_NUMBER_FORMAT")
    return Dialled(
        number=number, endpoint=endpoint, channel_name=name, variables=variables, where=where
    )
