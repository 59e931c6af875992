r"""Metaflows: the document that defines an account's feature codes, in Kazoo's format.

```json
{
    "binding_digit": "*",
    "digit_timeout": 2000,
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
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import TypeAlias, TypedDict, cast

import attrs

from hookflash.dialling.digits import (
    MAX_CODES,
    MAX_DIGITS,
    Code,
    CodeTable,
    FeatureAction,
    Matched,
    Module,
    code,
    literal_code,
    takeback_code,
)
from hookflash.dialling.kazoo_options import (
    KAZOO_SOUNDS,
    options_from_kazoo,
    options_to_kazoo,
)
from hookflash.dialling.patterns import (
    SEARCH_STEPS,
    Comparison,
    Matcher,
    Pattern,
    compare,
    shortest,
)
from hookflash.document import MAX_FAULTS, faults_of, load_schema, place_in
from hookflash.errors import InputError
from hookflash.events import Kind
from hookflash.sounds import parse_sound

SCHEMA: Mapping[str, object] = load_schema("dialling/metaflows.schema.json")
"""The JSON Schema (draft 2020-12) of a metaflows document."""

DEFAULT_BINDING_DIGIT = "*"
DEFAULT_DIGIT_TIMEOUT_MS = 2_000
"""Kazoo has 800 ms, FreeSWITCH 1500 ms (bind_digit_action). A person who reads a number from a slip
of paper needs longer, and `#` ends the wait."""
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
    return CodeTable(codes=(*numbers, *patterns))


@attrs.frozen(kw_only=True)
class Metaflows:
    """An account's feature codes."""

    binding_digit: str = DEFAULT_BINDING_DIGIT
    """The key with which every code begins."""
    digit_timeout_s: float = DEFAULT_DIGIT_TIMEOUT_MS / MS
    """The pause after which a code counts as complete."""
    listen_on: ListenOn = ListenOn.BOTH
    numbers: Entries = ()
    patterns: Entries = ()
    table: CodeTable = attrs.field(
        default=attrs.Factory(_table, takes_self=True), init=False, eq=False, repr=False
    )
    """All codes, with the binding digit."""

    def to_document(self) -> dict[str, object]:
        """Return the document that `parse_metaflows` reads, with all defaults written out.

        The values are JSON types in Kazoo's units (`digit_timeout` in milliseconds, a transfer's
        `timeout` in seconds).
        """
        return {
            "binding_digit": self.binding_digit,
            "digit_timeout": round(self.digit_timeout_s * MS),
            "listen_on": self.listen_on.value,
            "numbers": {digits: _written(action) for digits, action in self.numbers},
            "patterns": {pattern: _written(action) for pattern, action in self.patterns},
        }


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


class _Data(TypedDict, total=False):
    target: str
    transfer_type: str
    takeback_dtmf: str
    moh: str
    ringback: str
    timeout: _Seconds


class _WrittenAction(TypedDict, total=False):
    module: str
    data: _Data


class _Document(TypedDict, total=False):
    binding_digit: str
    digit_timeout: _Milliseconds
    listen_on: str
    numbers: dict[str, _WrittenAction]
    patterns: dict[str, _WrittenAction]


def parse_metaflows(
    document: object, where: str = "$", *, takeback_digits: str = DEFAULT_TAKEBACK_DIGITS
) -> Metaflows:
    r"""Read a metaflows document.

    Args:
        document: the document as parsed from JSON (or YAML).
        where: the document's location; the paths in errors begin with it.
        takeback_digits: the takeback code of a transfer whose entry does not name one.

    Raises:
        InputError: the first fault that `metaflows_faults` finds; `where` is a path such as
            ``$.patterns."2(\\d+)".data.timeout`` (with keys as JSON writes them).
    """
    for fault in metaflows_faults(document, where):
        raise fault
    written = cast("_Document", document)
    return Metaflows(
        binding_digit=written.get("binding_digit", DEFAULT_BINDING_DIGIT),
        digit_timeout_s=int(written.get("digit_timeout", DEFAULT_DIGIT_TIMEOUT_MS)) / MS,
        listen_on=ListenOn(written.get("listen_on", ListenOn.BOTH)),
        numbers=_entries(written.get("numbers", {}), takeback_digits),
        patterns=_entries(written.get("patterns", {}), takeback_digits),
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
    elif module is Module.HOLD:
        kind = Kind.HOLD
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
    yield from _faults_of_sounds(written, where)
    yield from _faults_of_size(codes, where)


def _faults_of_sounds(written: _Document, where: str) -> Iterator[InputError]:
    """Find tones that are too long, which a schema cannot express."""
    for part in ("numbers", "patterns"):
        for dialled, entry in written.get(part, {}).items():
            for key, text in entry.get("data", {}).items():
                if key in KAZOO_SOUNDS:
                    try:
                        parse_sound(str(text), place_in(where, [part, dialled, "data", key]))
                    except InputError as fault:
                        yield fault


def _faults_of_size(codes: list[Code], where: str) -> Iterator[InputError]:
    """Find tables that are too large, alone or together with a transfer's takeback."""
    longest = takeback_code("*" * MAX_TAKEBACK_DIGITS)
    try:
        CodeTable(codes=tuple(codes))
    except InputError as fault:
        yield InputError(fault.what, where=where, hint=fault.hint)
        return
    try:
        CodeTable(codes=(longest, *codes))
    except InputError as fault:
        what = "no room is left for the takeback, which is one code more while a transfer runs"
        yield InputError(what, where=where, hint=f"{fault.hint}, the takeback included")


DEFAULT_METAFLOWS = parse_metaflows(
    {
        "numbers": {"1": {"module": "resume"}},
        "patterns": {r"2(\d+)": {"module": "transfer"}},
    }
)
"""`*2` and a number transfers to that number; `*1` takes back or resumes."""


# ------------------------------------------------------------------------ advice


@attrs.frozen(kw_only=True)
class Advice:
    """A warning about something that is valid but unwise."""

    path: str
    """The path within the document."""
    sentence: str
    """What will happen."""
    hint: str
    """What to do about it."""

    def __str__(self) -> str:
        return f"{self.path}: {self.sentence} ({self.hint})"


FASTEST_FINGERS_S = 0.5
"""About the time between two keys of a person who dials slowly."""
PHONES_GAP_S = 0.64
"""Time between two keys of a phone that dials by itself (measured: FreeSWITCH, 250 ms tones)."""
LONGEST_PATIENCE_S = 10.0
"""With a longer timeout, unrelated keys become one code."""
LINT_STEPS = 500_000
"""Instructions that all searches of one lint may visit: about a second."""


@attrs.frozen
class _SpelledCode:
    """A code, its location, and how a person would dial it."""

    path: str
    spelled: str
    code: Code

    @property
    def pattern(self) -> Pattern:
        return self.code.pattern

    @property
    def action(self) -> FeatureAction:
        return self.code.action


def lint_metaflows(metaflows: Metaflows, where: str = "$") -> tuple[Advice, ...]:
    """Warn of valid feature codes that will annoy people.

    Args:
        metaflows: the codes.
        where: the document's location; the paths begin with it.

    Returns:
        The warnings, in the order of the document; empty if all is well.
    """
    return tuple(_Lint(metaflows, where).advice())


class _Lint:
    """Checks all codes, with one budget of steps."""

    def __init__(self, metaflows: Metaflows, where: str) -> None:
        self.metaflows = metaflows
        self.where = where
        self.steps = LINT_STEPS
        self.unfinished: list[str] = []
        self.too_long: list[_SpelledCode] = []
        begin = metaflows.binding_digit
        sources = [("numbers", digits) for digits, _ in metaflows.numbers]
        sources += [("patterns", pattern) for pattern, _ in metaflows.patterns]
        self.rows = [
            _SpelledCode(place_in(where, source), begin + source[1], code)
            for source, code in zip(sources, metaflows.table.codes, strict=True)
        ]

    def advice(self) -> Iterator[Advice]:
        yield from self._of_binding_digit()
        yield from self._of_digit_timeout()
        for row in self.rows:
            yield from self._of_digits(row)
            yield from self._of_target(row)
        dialled = [row for row in self.rows if row not in self.too_long]
        for first, second in itertools.combinations(dialled, 2):
            yield from self._of_pair(first, second)
        for digits, path in self._takebacks().items():
            yield from _of_takeback_keys(digits, path)
            yield from self._of_takeback(digits, path)
        if self.unfinished:
            yield Advice(
                path=self.where,
                sentence=f"{len(self.unfinished)} checks of codes were too complex and were "
                f"skipped, the first for {self.unfinished[0]}",
                hint="use simpler patterns, above all smaller counts",
            )

    def _of_binding_digit(self) -> Iterator[Advice]:
        key = self.metaflows.binding_digit
        path = place_in(self.where, ["binding_digit"])
        hint = "use *, which menus at the far end use least"
        if key in "0123456789":
            yield Advice(
                path=path,
                sentence=f"pressing {key} in a menu at the far end begins a feature code",
                hint=hint,
            )
        elif key == "#":
            yield Advice(
                path=path,
                sentence="# also ends what was dialled, here and in menus at the far end, so that "
                "a # may end one code or begin another",
                hint=hint,
            )

    def _of_digit_timeout(self) -> Iterator[Advice]:
        pause_s = self.metaflows.digit_timeout_s
        path = place_in(self.where, ["digit_timeout"])
        hint = f"about {DEFAULT_DIGIT_TIMEOUT_MS} milliseconds do"
        if pause_s < FASTEST_FINGERS_S:
            sentence = f"few fingers follow a key with the next one within {pause_s:g} seconds"
            yield Advice(path=path, sentence=sentence, hint=hint)
        elif pause_s <= PHONES_GAP_S:
            sentence = (
                f"phones that dial by themselves send their keys up to {PHONES_GAP_S:g} seconds "
                f"apart, so {pause_s:g} seconds cut their codes in pieces"
            )
            yield Advice(path=path, sentence=sentence, hint=hint)
        elif pause_s > LONGEST_PATIENCE_S:
            sentence = (
                f"codes of varying length wait {pause_s:g} seconds before they act (or for a #), "
                "and keys that have nothing to do with each other become one code"
            )
            yield Advice(path=path, sentence=sentence, hint=hint)

    def _of_digits(self, row: _SpelledCode) -> Iterator[Advice]:
        least = self._shortest(row.pattern, None, f"the length of {row.spelled}")
        if least is not None and len(least) == 1:
            yield Advice(
                path=row.path,
                sentence=f"the single key {least} is a code: one that menus at the far end want, "
                "or a slip of a finger, and it acts",
                hint="let at least one key follow the binding digit",
            )
        if least is not None and len(least) > MAX_DIGITS:
            self.too_long.append(row)
            yield Advice(
                path=row.path,
                sentence=f"nobody can dial it: it needs {len(least)} keys at least",
                hint=f"a code has at most {MAX_DIGITS} keys",
            )
        hashed = self._shortest(row.pattern, _wants_hash, f"a # within {row.spelled}")
        if hashed is not None:
            yield Advice(
                path=row.path,
                sentence=f"# does not end this code: after {hashed} it is taken as a digit",
                hint=r"write \d instead of . where you mean digits",
            )

    def _of_target(self, row: _SpelledCode) -> Iterator[Advice]:
        if row.action.module is not Module.TRANSFER or row.action.target:
            return
        if row.pattern.groups == 0:
            yield Advice(
                path=row.path,
                sentence="there is nobody to call: no target, and no group that captures one",
                hint=r'give data a "target", or put ( ) around the number, as in 2(\d+)',
            )
            return
        empty = self._shortest(row.pattern, _no_target, f"the target of {row.spelled}")
        if empty is not None:
            yield Advice(
                path=row.path,
                sentence=f"dialling {empty} starts a transfer without a target",
                hint=r"let the group capture one digit at least: (\d+) instead of (\d*)",
            )

    def _of_pair(self, first: _SpelledCode, second: _SpelledCode) -> Iterator[Advice]:
        found = self._compare(first.pattern, second.pattern, first.spelled, second.spelled)
        if found.covered:
            yield Advice(
                path=second.path,
                sentence=f"it never acts: all that it matches is {first.spelled} already",
                hint="remove it, or put it before the other one",
            )
            return
        if found.both is not None:
            yield Advice(
                path=second.path,
                sentence=f"{found.both} is {first.spelled} too, which comes first and wins",
                hint="give them different first digits, or keep it so if it is meant",
            )
        if found.first_waits is not None:
            yield _waiting(first.path, found.first_waits, second)
        if found.second_waits is not None:
            yield _waiting(second.path, found.second_waits, first)

    def _takebacks(self) -> dict[str, str]:
        """All takebacks, each with the place where it stands first."""
        places: dict[str, str] = {}
        for row in self.rows:
            if row.action.options.takeback_digits and row.action.kind is not Kind.BLIND:
                path = place_in(row.path, ["data", "takeback_dtmf"])
                places.setdefault(row.action.options.takeback_digits, path)
        return places

    def _of_takeback(self, digits: str, path: str) -> Iterator[Advice]:
        takeback = takeback_code(digits).pattern
        for row in self.rows:
            found = self._compare(takeback, row.pattern, digits, row.spelled)
            if found.both is not None and row.action.module is not Module.RESUME:
                yield Advice(
                    path=path,
                    sentence=f"the takeback {digits} is also the code {row.spelled} "
                    f"({row.action.module.value}): a second too late, and it does that instead",
                    hint="give the takeback digits of its own",
                )
            if found.first_waits is not None:
                yield _waiting(path, found.first_waits, row)
            if found.second_waits is not None:
                yield Advice(
                    path=path,
                    sentence=f"while a transfer runs, {found.second_waits} waits for the digit "
                    f"timeout, since it may become the takeback {digits}",
                    hint="let neither begin with the other",
                )

    def _compare(self, first: Pattern, second: Pattern, one: str, other: str) -> Comparison:
        found = compare(first, second, steps=min(SEARCH_STEPS, self.steps))
        self.steps = max(0, self.steps - found.steps)
        if not found.complete:
            self.unfinished.append(f"{one} and {other}")
        return found

    def _shortest(
        self, pattern: Pattern, wanted: Callable[[Matcher], bool] | None, question: str
    ) -> str | None:
        found = shortest(pattern, wanted, steps=min(SEARCH_STEPS, self.steps))
        self.steps = max(0, self.steps - found.steps)
        if not found.complete:
            self.unfinished.append(question)
        return found.digits


def _wants_hash(matcher: Matcher) -> bool:
    """Whether a `#` after these digits, which already form a code, becomes part of the code."""
    return matcher.feed("#").viable


def _no_target(matcher: Matcher) -> bool:
    return Matched(action=_NOTHING, digits="", captures=matcher.captures).target is None


def _waiting(path: str, digits: str, longer: _SpelledCode) -> Advice:
    return Advice(
        path=path,
        sentence=f"{digits} waits for the digit timeout before it acts, since {longer.spelled} "
        "begins with it too",
        hint="let neither begin with the other, or tell people to press # behind it",
    )


def _of_takeback_keys(digits: str, path: str) -> Iterator[Advice]:
    """Warn of a takeback that people dial by accident."""
    if digits[0] in "0123456789#" or len(digits) == 1:
        yield Advice(
            path=path,
            sentence=f"pressing {digits} in a menu at the target's end ends the transfer",
            hint=f"begin it with * and let a key follow, as in {DEFAULT_TAKEBACK_DIGITS}",
        )
