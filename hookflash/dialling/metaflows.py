r"""Metaflows: the document that defines an account's feature codes, in Kazoo's format.

```json
{
    "binding_digit": "*",
    "digit_timeout": 3000,
    "incomplete_timeout": 5000,
    "numbering": ["2\\d{3}"],
    "numbers": {"1": {"module": "resume"}},
    "patterns": {"2(\\d+)": {"module": "transfer", "data": {"takeback_dtmf": "*1", "timeout": 20}}}
}
```

A document is checked in three steps. `metaflows.schema.json` (next to this module) defines the
keys, with their meaning and unit. The pattern compiler decides which patterns are valid. A fault
in these two steps is an `InputError` whose location is a path within the document. What remains is
valid but may be unwise: `lint_metaflows` warns of that, with examples that it finds by walking
through the codes' automata.

All texts that may reach a switch (`target`, `moh`, `ringback`) are checked against allow-lists:
on a switch a line end begins a new command, `${…}` runs a program, and so does `app::data` in a
sound. Sounds may be written in any form that `hookflash.sounds` reads, Kazoo's tones and
FreeSWITCH's streams included.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import TypeAlias, TypedDict, cast

import attrs

from hookflash.dialling.digits import (
    MAX_CODES,
    Code,
    CodeTable,
    FeatureAction,
    Module,
    Pause,
    code,
    literal_code,
    takeback_code,
)
from hookflash.dialling.kazoo_options import (
    KAZOO_SOUNDS,
    options_from_kazoo,
    options_to_kazoo,
    read_kazoo_sound,
)
from hookflash.dialling.numbering import NO_NUMBERING, Numbering, parse_numbering
from hookflash.document import MAX_FAULTS, faults_of, load_schema, place_in
from hookflash.errors import InputError
from hookflash.events import Kind
from hookflash.transfer_context import check_pairs, program_data

SCHEMA: Mapping[str, object] = load_schema("dialling/metaflows.schema.json")
"""The JSON Schema (draft 2020-12) of a metaflows document."""

DEFAULT_BINDING_DIGIT = "*"
DEFAULT_DIGIT_TIMEOUT_MS = 3_000
"""Who dials by hand, with the phone off the ear and its keypad on a screen, pauses longer than a
second between the parts of a number. Asterisk waits as long for a number, and phones wait as long
for one that may be complete (Cisco SPA: the interdigit short timer). FreeSWITCH has 1500 ms, Kazoo
800 ms. `#` ends the wait, and a numbering makes it needless."""
DEFAULT_INCOMPLETE_TIMEOUT_MS = 5_000
"""FreeSWITCH's, for a code that was begun (bind_meta_app). Phones wait 10 s in the middle of a
number (Cisco SPA), but their keys have no other meaning; here they may be meant for a menu."""
DEFAULT_TAKEBACK_DIGITS = "*1"
"""Kazoo's and Asterisk's (`atxferabort`)."""

MAX_TAKEBACK_DIGITS = 8
"""As in the schema."""

MS = 1_000
"""Milliseconds in a second."""


class ListenOn(StrEnum):
    """Whose keys count."""

    BOTH = "both"
    SELF = "self"
    """Only those of the account's own party."""
    PEER = "peer"
    """Only those of the other party."""


Entries: TypeAlias = tuple[tuple[str, FeatureAction], ...]
"""The digits after the binding digit, as written, and their action; in order."""


def _table(metaflows: Metaflows) -> CodeTable:
    """Build the codes: numbers first, as Kazoo tries them."""
    begin = metaflows.binding_digit
    numbers = [literal_code(begin + digits, action) for digits, action in metaflows.numbers]
    patterns = [code(begin, pattern, action) for pattern, action in metaflows.patterns]
    return CodeTable(codes=(*numbers, *patterns), numbering=metaflows.numbering)


@attrs.frozen(kw_only=True)
class Metaflows:
    """An account's feature codes."""

    binding_digit: str = DEFAULT_BINDING_DIGIT
    """The key with which every code begins."""
    digit_timeout_s: float = DEFAULT_DIGIT_TIMEOUT_MS / MS
    """The pause after which a code counts as complete."""
    incomplete_timeout_s: float = DEFAULT_INCOMPLETE_TIMEOUT_MS / MS
    """The pause after which the keys of an incomplete code are given up."""
    listen_on: ListenOn = ListenOn.BOTH
    numbers: Entries = ()
    patterns: Entries = ()
    numbering: Numbering = NO_NUMBERING
    """Numbers that are complete: they act with their last key."""
    table: CodeTable = attrs.field(
        default=attrs.Factory(_table, takes_self=True), init=False, eq=False, repr=False
    )
    """All codes, with the binding digit."""

    def pause_s(self, pause: Pause) -> float:
        """How long people may pause between two keys."""
        complete = pause is Pause.COMPLETE
        return self.digit_timeout_s if complete else self.incomplete_timeout_s

    def to_document(self) -> dict[str, object]:
        """Return the document that `parse_metaflows` reads, with all defaults written out.

        The values are JSON types in Kazoo's units (`digit_timeout` in milliseconds, a transfer's
        `timeout` in seconds).
        """
        return {
            "binding_digit": self.binding_digit,
            "digit_timeout": round(self.digit_timeout_s * MS),
            "incomplete_timeout": round(self.incomplete_timeout_s * MS),
            "listen_on": self.listen_on.value,
            "numbering": list(self.numbering.entries),
            "numbers": {digits: _written(action) for digits, action in self.numbers},
            "patterns": {pattern: _written(action) for pattern, action in self.patterns},
        }


def sources(metaflows: Metaflows) -> tuple[tuple[str, str], ...]:
    """Where each code stands in the document, in the order of the table: its part and its key."""
    numbers = (("numbers", digits) for digits, _ in metaflows.numbers)
    return (*numbers, *(("patterns", pattern) for pattern, _ in metaflows.patterns))


def _written(action: FeatureAction) -> dict[str, object]:
    """Write an action as Kazoo does."""
    data = options_to_kazoo(action.options)
    if action.module is Module.TRANSFER:
        data = {"transfer_type": action.kind.value, **data}
    if action.target is not None:
        data = {"target": action.target, **data}
    return {"module": action.module.value, **({"data": data} if data else {})}


# ----------------------------------------------------------------------- reading


_Seconds: TypeAlias = float
_Milliseconds: TypeAlias = int


class _Further(TypedDict, total=False):
    target: str
    timeout: _Seconds


class _Data(TypedDict, total=False):
    target: str
    transfer_type: str
    takeback_dtmf: str
    moh: str
    ringback: str
    timeout: _Seconds
    swap_dtmf: str
    three_way_dtmf: str
    complete_dtmf: str
    further_targets: list[_Further]
    rings_all: bool
    recall_attempts: int
    fallback_target: str
    hold_limit: _Seconds
    at_hold_limit: str
    slot: str
    parking_limit: _Seconds
    target_accepts: bool
    accept_dtmf: str
    decline_dtmf: str
    accept_prompt: str
    accept_limit: _Seconds
    briefing: str
    announcement: str
    failure_sound: str
    refusal_tone: str
    connected_sound: str
    caller_id_number: str
    caller_id_name: str
    variables: dict[str, str]
    headers: dict[str, str]
    data: dict[str, object]


class _WrittenAction(TypedDict, total=False):
    module: str
    data: _Data


class _Document(TypedDict, total=False):
    binding_digit: str
    digit_timeout: _Milliseconds
    incomplete_timeout: _Milliseconds
    listen_on: str
    numbering: list[int | str]
    numbers: dict[str, _WrittenAction]
    patterns: dict[str, _WrittenAction]


def parse_metaflows(
    document: object,
    where: str = "$",
    *,
    takeback_digits: str = DEFAULT_TAKEBACK_DIGITS,
    numbering: Numbering = NO_NUMBERING,
) -> Metaflows:
    r"""Read a metaflows document.

    Args:
        document: the document as parsed from JSON (or YAML).
        where: the document's location; the paths in errors begin with it.
        takeback_digits: the takeback code of a transfer whose entry does not name one.
        numbering: the account's numbering, if the document has none.

    Raises:
        InputError: the first fault that `metaflows_faults` finds; `where` is a path such as
            ``$.patterns."2(\\d+)".data.timeout`` (with keys as JSON writes them).
    """
    for fault in metaflows_faults(document, where):
        raise fault
    written = cast("_Document", document)
    digit_timeout = written.get("digit_timeout", DEFAULT_DIGIT_TIMEOUT_MS)
    # a document of Kazoo has one timeout, which applies after each key
    kazoos = written.get("digit_timeout", DEFAULT_INCOMPLETE_TIMEOUT_MS)
    return Metaflows(
        binding_digit=written.get("binding_digit", DEFAULT_BINDING_DIGIT),
        digit_timeout_s=int(digit_timeout) / MS,
        incomplete_timeout_s=int(written.get("incomplete_timeout", kazoos)) / MS,
        listen_on=ListenOn(written.get("listen_on", ListenOn.BOTH)),
        numbers=_entries(written.get("numbers", {}), takeback_digits),
        patterns=_entries(written.get("patterns", {}), takeback_digits),
        numbering=parse_numbering(written["numbering"]) if "numbering" in written else numbering,
    )


def _entries(written: dict[str, _WrittenAction], takeback_digits: str) -> Entries:
    return tuple((dialled, _action(entry, takeback_digits)) for dialled, entry in written.items())


def _action(entry: _WrittenAction, default_takeback_digits: str) -> FeatureAction:
    """Read a valid entry."""
    module = Module(entry.get("module"))
    data = entry.get("data", _Data())
    kind, options = Kind.ATTENDED, options_from_kazoo(data)
    if module is Module.TRANSFER:
        kind = Kind(data.get("transfer_type", Kind.ATTENDED))
        takeback = options.takeback_digits or default_takeback_digits
        options = attrs.evolve(options, takeback_digits=takeback)
    elif module in (Module.HOLD, Module.PARK):
        kind = Kind(module.value)
    return FeatureAction(
        module=module,
        target=data.get("target"),
        kind=kind,
        options=options,
    )


def metaflows_faults(document: object, where: str = "$") -> tuple[InputError, ...]:
    """List the faults of a metaflows document, at most `MAX_FAULTS`.

    Args:
        document: the document as parsed from JSON (or YAML).
        where: the document's location.
    """
    for sieve in (_faults_of_keys, _faults_of_shape, _faults_of_codes):
        faults = tuple(itertools.islice(sieve(document, where), MAX_FAULTS))
        if faults:  # the next step relies on this one
            return faults
    return ()


_OBJECTS: tuple[frozenset[str] | None, ...] = (
    frozenset({"numbers", "patterns"}),
    None,
    frozenset({"data"}),
    frozenset(),
)
"""The keys that hold a document's objects, layer by layer; None: all keys."""


def _faults_of_keys(
    document: object, where: str, layers: tuple[frozenset[str] | None, ...] = _OBJECTS
) -> Iterator[InputError]:
    """Find what YAML allows but JSON does not: keys that are not text, and NaN.

    Also bounds the size of the objects that the next steps see.
    """
    if not isinstance(document, dict):
        return
    inside = cast("dict[object, object]", document)
    if len(inside) > MAX_CODES:
        yield InputError(f"there are {len(inside)} keys", where=where, hint=f"at most {MAX_CODES}")
        return
    for key, value in inside.items():
        place = place_in(where, [str(key)])
        if not isinstance(key, str):
            yield InputError("this key is not a text", where=place, hint="put it in quotes")
        elif isinstance(value, float) and not math.isfinite(value):
            yield InputError(f"{value} is not a number", where=place, hint="a finite number")
        elif layers[0] is None or key in layers[0]:
            yield from _faults_of_keys(value, place, layers[1:])


def _faults_of_shape(document: object, where: str) -> Iterator[InputError]:
    """Find what the schema forbids."""
    yield from faults_of(document, SCHEMA, where)


_NOTHING = FeatureAction(module=Module.RESUME)
"""Any action, where only the digits count."""


def _faults_of_codes(document: object, where: str) -> Iterator[InputError]:
    """Find invalid patterns, and tables that are too large."""
    written = cast("_Document", document)
    begin = written.get("binding_digit", DEFAULT_BINDING_DIGIT)
    codes: list[Code] = [
        literal_code(begin + digits, _NOTHING) for digits in written.get("numbers", {})
    ]
    for pattern in written.get("patterns", {}):
        try:
            place = place_in(where, ["patterns", pattern])
            codes.append(code(begin, pattern, _NOTHING, where=place))
        except InputError as fault:
            yield fault
    if "numbering" in written:
        try:
            parse_numbering(written["numbering"], place_in(where, ["numbering"]))
        except InputError as fault:
            yield fault
    yield from _faults_of_data(written, where)
    yield from _faults_of_size(codes, where)


def _faults_of_data(written: _Document, where: str) -> Iterator[InputError]:
    """Find what a schema cannot express: long tones, and names that a switch understands."""
    for part in ("numbers", "patterns"):
        for dialled, entry in written.get(part, {}).items():
            for key, value in entry.get("data", {}).items():
                try:
                    _check_value(key, value, place_in(where, [part, dialled, "data", key]))
                except InputError as fault:
                    yield fault


def _check_value(key: str, value: object, where: str) -> None:
    if key in KAZOO_SOUNDS:
        read_kazoo_sound(key, str(value), where)
    elif key in ("variables", "headers"):
        pairs = tuple(cast("dict[str, str]", value).items())
        check_pairs(pairs, header=key == "headers", where=where)
    elif key == "data":
        program_data(value, where)


CODES_IN_TRANSFER = 4
"""Codes that exist while a transfer runs: takeback, swap, three-way and complete."""


def _faults_of_size(codes: list[Code], where: str) -> Iterator[InputError]:
    """Find tables that are too large, alone or together with the codes of a transfer."""
    longest = takeback_code("*" * MAX_TAKEBACK_DIGITS)
    in_transfer = (longest,) * CODES_IN_TRANSFER
    try:
        CodeTable(codes=tuple(codes))
    except InputError as fault:
        yield InputError(fault.what, where=where, hint=fault.hint)
        return
    try:
        CodeTable(codes=(*in_transfer, *codes))
    except InputError as fault:
        what = f"no room is left for the {CODES_IN_TRANSFER} codes that exist in a transfer only"
        yield InputError(what, where=where, hint=f"{fault.hint}, these included")


DEFAULT_METAFLOWS = parse_metaflows(
    {
        "numbers": {"1": {"module": "resume"}},
        "patterns": {r"2(\d+)": {"module": "transfer"}},
    }
)
"""`*2` and a number transfers to that number; `*1` takes back or resumes."""
