"""What a request gives along with a transfer: variables, SIP headers, a caller ID, and data.

Variables and headers go onto the target's leg, where a phone, a queue or a voice agent reads them.
Each name must pass two tests: the account's allow-list, and `check_name`, whatever the account
says. Values have only characters that mean nothing to a switch: none ends a list of variables,
opens an expression (`${…}`) or separates the arguments of an application. What does not pass is
refused, never repaired.

A program's own data is never given to a switch, nor to another account.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, TypeAlias, cast

import attrs

from hookflash.errors import InputError

Pairs: TypeAlias = tuple[tuple[str, str], ...]
"""Names and values, in order."""

MOST_PAIRS: Final = 16
"""How many variables a request may have, and as many headers."""

LONGEST_NAME: Final = 64
LONGEST_VALUE: Final = 256

HEADER_PATTERN: Final = r"[Xx](?:-[0-9A-Za-z]+)+"
VARIABLE_PATTERN: Final = r"[A-Za-z][0-9A-Za-z_]*"

ALLOWED_HEADER: Final = re.compile(rf"(?=.{{1,{LONGEST_NAME}}}$){HEADER_PATTERN}")
ALLOWED_VARIABLE_NAME: Final = re.compile(rf"(?=.{{1,{LONGEST_NAME}}}$){VARIABLE_PATTERN}")
ALLOWED_VALUE: Final = re.compile(
    rf"(?! )(?:[0-9A-Za-z .+*#_@/=?%~!-]|:(?!_:)){{1,{LONGEST_VALUE}}}(?<! )"
)
"""A value: no blank at either end, which a switch would drop. (`:_:` in a dial string would begin
another call.)"""

ALLOWED_CALLER_NUMBER: Final = re.compile(r"[0-9A-Za-z+*#_-]{1,64}")
ALLOWED_CALLER_NAME: Final = re.compile(r"[0-9A-Za-z .()+*#_-]{1,64}")

VALUE_HINT: Final = (
    f"1 to {LONGEST_VALUE} letters, digits, inner blanks and . + * # _ @ : / = ? % ~ ! -"
)

RESERVED_HEADERS: Final = ("x-fs-", "x-auth-", "x-hookflash-", "x-asterisk-")
"""Beginnings of headers that a switch trusts: FreeSWITCH takes a caller ID, a call to replace and
the address of a client from them."""

RESERVED_VARIABLES: Final = re.compile(
    r"hookflash|origination|originate|effective_|execute|exec|api|bridge|sip|sofia|rtp|srtp|dtls|"
    r"media|proxy_|bypass_|absolute_codec|codec|ep_codec|inherit_codec|park|transfer|hold|loopback|"
    r"leg_|group_confirm|confirm|export|import|unset|set_|nolocal|call_timeout|sched|record|"
    r"playback|play|ringback|instant|ignore|hangup|continue_on_fail|failure|fail_on|process_cdr|"
    r"uuid|signal_bond|last_|user_context|domain|dialed|dialled|destination|caller|callee|"
    r"outbound_caller|cid|privacy|account|accountcode|toll|call_group|limit|force|fax|t38|tts|"
    r"speech|detect|queue|fifo|cc_|conference|eavesdrop|intercept|javascript|lua|python|socket|"
    r"system|shell|spawn|curl|http|file|path|base_dir|conf_dir|script|db_|odbc|verto|"
    r"presence|message|dialplan|context|exten|priority|channel|connected|redirecting|calling|goto|"
    r"gosub|macro|agi|stasis|dynamic_features|feature|blindtransfer|attended|forward|local_|pjsip|"
    r"chan|cdr|cel|timeout|dial|monitor|mixmonitor|musicclass|moh|language|env|hash|shared|global|"
    r"jitter|secure|zrtp|crypto|encryption|enable_|disable_|suppress|send_silence|wait_for|"
    r"drop_dtmf|dtmf|digit|bind|switch_|core_|session|sound|timer|temp_|alert|auto_answer|answer|"
    r"voicemail|vm_|tone|amd|.*_bridge|.*_on_"
)
"""Beginnings of variables that a switch, its dialplan or its modules understand as more than a
name: applications that they run, rights, codecs, routes, other legs. An account that allows `*`
does not allow these."""


def check_name(name: str, *, header: bool, where: str = "") -> None:
    """Check the name of a header or a variable, whatever an account allows.

    Raises:
        InputError: it is not a name, or a switch would understand it as more than that.
    """
    if header:
        if not ALLOWED_HEADER.fullmatch(name):
            what = f"{name[:LONGEST_NAME]!r} is not a valid header"
            hint = f"X- and letters, digits and -, such as X-Ticket, at most {LONGEST_NAME}"
            raise InputError(what, where=where, hint=hint)
        reserved = name.lower().startswith(RESERVED_HEADERS)
        hint = f"reserved are {', '.join(f'{one.title()}*' for one in RESERVED_HEADERS)}"
    else:
        if not ALLOWED_VARIABLE_NAME.fullmatch(name):
            what = f"{name[:LONGEST_NAME]!r} is not a valid variable"
            hint = f"letters, digits and _, beginning with a letter, at most {LONGEST_NAME}"
            raise InputError(what, where=where, hint=hint)
        reserved = RESERVED_VARIABLES.match(name.lower()) is not None
        hint = "choose a name with a beginning of your own, such as crm_ticket"
    if reserved:
        raise InputError(f"{name!r} has a meaning to the switch", where=where, hint=hint)


def check_pairs(pairs: Pairs, *, header: bool, where: str) -> None:
    """Check headers or variables: their number, names and values.

    Raises:
        InputError: something is not allowed.
    """
    if len(pairs) > MOST_PAIRS:
        raise InputError(f"there are {len(pairs)}", where=where, hint=f"at most {MOST_PAIRS}")
    seen: set[str] = set()
    for name, value in pairs:
        place = f"{where}.{name[:LONGEST_NAME]}"
        check_name(name, header=header, where=place)
        if name.lower() in seen:
            raise InputError(
                "is given twice", where=place, hint="large and small letters are alike"
            )
        seen.add(name.lower())
        if not ALLOWED_VALUE.fullmatch(value):
            raise InputError(f"{value[:80]!r} is not allowed", where=place, hint=VALUE_HINT)


def check_caller(number: str, name: str, where: str = "") -> None:
    """Check a caller ID. Empty: the transferor's.

    Args:
        number: the number.
        name: the name.
        where: the location, for errors.

    Raises:
        InputError: something is not allowed.
    """
    if number and not ALLOWED_CALLER_NUMBER.fullmatch(number):
        what, hint = f"{number[:80]!r} is not a valid number", "letters, digits and + * # _ -"
        raise InputError(what, where=where or "caller_id_number", hint=f"{hint}, at most 64")
    if name and not ALLOWED_CALLER_NAME.fullmatch(name):
        what, hint = f"{name[:80]!r} can't be shown", "letters, digits, blanks and . ( ) + * # _ -"
        raise InputError(what, where=where or "caller_id_name", hint=f"{hint}, at most 64")


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name matches one of some shell patterns; large and small letters are alike."""
    return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)


# ----------------------------------------------------------------- a program's own data

MOST_DATA_BYTES: Final = 4096
"""How long a program's data may be, as JSON without blanks, in UTF-8."""

DEEPEST: Final = 8
"""How deeply a program's data may be nested."""


@attrs.frozen(repr=False)
class ProgramData:
    """A JSON object of a program's own, as compact text: it can't be changed, and stays small."""

    text: str

    @property
    def value(self) -> dict[str, Any]:
        """The object."""
        return cast("dict[str, Any]", json.loads(self.text))

    def __repr__(self) -> str:
        """Leave the content out: it is nobody's business in a log."""
        return f"ProgramData({len(self.text)} characters)"


def program_data(value: object, where: str = "data") -> ProgramData:
    """Read a program's data.

    Raises:
        InputError: it is not a JSON object, or too large, or nested too deeply.
    """
    if not isinstance(value, Mapping):
        raise InputError("is not an object", where=where, hint='such as {"ticket": 4711}')
    _check_json(cast("object", value), 1, where)
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MOST_DATA_BYTES:
        raise InputError(f"has {size} bytes", where=where, hint=f"at most {MOST_DATA_BYTES}")
    return ProgramData(text)


def _check_json(value: object, depth: int, where: str) -> None:
    """Check that a value is JSON, at most `DEEPEST` deep."""
    match value:
        case None | bool() | int():
            return
        case float() if math.isfinite(value):
            return
        case str() if _is_text(value):
            return
        case Mapping() | list() | tuple() if depth > DEEPEST:
            raise InputError("is nested too deeply", where=where, hint=f"at most {DEEPEST} levels")
        case Mapping():
            for key, inner in cast("Mapping[object, object]", value).items():
                if not isinstance(key, str) or not _is_text(key):
                    raise InputError("has a key that is not text", where=where, hint="text")
                _check_json(inner, depth + 1, where)
        case list() | tuple():
            for inner in cast("Sequence[object]", value):
                _check_json(inner, depth + 1, where)
        case _:
            what = f"has a value that JSON can't hold: {str(value)[:40]!r}"
            raise InputError(what, where=where, hint="text, numbers, true, false, null")


def _is_text(text: str) -> bool:
    """Whether a text can be written as UTF-8 (half of a surrogate pair can't)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# ----------------------------------------------------------------- all of it


@attrs.frozen(kw_only=True)
class TransferContext:
    """What a request gives along with a transfer, besides its caller ID."""

    variables: Pairs = ()
    """Channel variables of the target's leg."""
    headers: Pairs = ()
    """SIP headers of the target's call (`X-…`)."""
    data: ProgramData | None = None
    """The program's own. It comes back in everything that is reported of the transfer."""

    def check(self) -> None:
        """Check names and values.

        Raises:
            InputError: something is not allowed.
        """
        check_pairs(self.variables, header=False, where="variables")
        check_pairs(self.headers, header=True, where="headers")
        if self.data is not None:
            program_data(self.data.value)


NO_CONTEXT: Final = TransferContext()
