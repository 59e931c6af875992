r"""Asterisk's `features.conf`, converted to what hookflash needs.

The result is TOML for `hookflash.toml`: the feature codes (metaflows), the takeback digits and the
policy. Comments say what became of each line of the file. A setting without a counterpart in
hookflash is listed with the reason; a setting that Asterisk itself continues to apply is listed as
such. A line that Asterisk would reject is a fault.

The file is untrusted text. Only telephone keys and numbers get into values; comments repeat at most
one line of printable ASCII.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import attrs

from hookflash.called import MOST_QUESTIONS, MOST_RECALLS
from hookflash.dialling.asterisk_file import (
    Setting,
    line_in,
    read_asterisk_file,
    shown,
)
from hookflash.dialling.digits import (
    UNARMED,
    CodeTable,
    FeatureAction,
    Matched,
    Module,
    code,
    literal_code,
    press,
)
from hookflash.document import MAX_FAULTS, meant
from hookflash.errors import InputError

MAX_FEATURE_KEYS: Final = 10
"""Keys of a feature code in Asterisk."""
MAX_TAKEBACK_KEYS: Final = 8
"""Keys of hookflash's takeback."""

DIGIT_TIMEOUTS_MS: Final = (100, 60_000)
"""The shortest and the longest timeout that metaflows allow."""
RING_TIMEOUTS_S: Final = (1, 600)
"""The shortest and the longest timeout that is converted."""

_KEYS: Final = re.compile(rf"[0-9A-Da-d*#]{{1,{MAX_FEATURE_KEYS}}}")
_WHOLE: Final = re.compile(r"[0-9]{1,9}")
_TRUE: Final = frozenset({"yes", "true", "y", "t", "1", "on"})
_FALSE: Final = frozenset({"no", "false", "n", "f", "0", "off"})
_SIDES: Final = ("self", "peer", "caller", "callee")
_FEWEST_FIELDS: Final = 3
"""Of an entry of the application map: its keys, on whom, the application."""

_GENERAL, _FEATUREMAP, _APPLICATIONMAP = "general", "featuremap", "applicationmap"

_Check: TypeAlias = Callable[[str], str]
"""Returns what is allowed if a value is invalid, else an empty text."""


def _any(_: str) -> str:
    return ""


def _keys(value: str) -> str:
    if not value or _KEYS.fullmatch(value):
        return ""
    return f"1 to {MAX_FEATURE_KEYS} keys of 0-9, A-D, * and #"


def _seconds(value: str) -> str:
    return "" if _WHOLE.fullmatch(value) else "a whole number of seconds"


def _count(value: str) -> str:
    return "" if _WHOLE.fullmatch(value) else "a whole number"


def _choice(value: str) -> str:
    return "" if value.lower() in _TRUE | _FALSE else "yes or no"


KNOWN: Final[dict[str, dict[str, tuple[_Check, str]]]] = {
    _GENERAL: {
        "transferdigittimeout": (_seconds, ""),
        "featuredigittimeout": (
            _count,
            "hookflash has one timeout for the code and the number: digit_timeout",
        ),
        "atxfernoanswertimeout": (_seconds, ""),
        "atxferdropcall": (_choice, ""),
        "atxferloopdelay": (_seconds, ""),
        "atxfercallbackretries": (_count, ""),
        "transferdialattempts": (_count, ""),
        "xfersound": (_any, "no sound announces that a transfer is complete"),
        "xferfailsound": (
            _any,
            "no sound for the transferee; failure_tone is for a party that is left alone",
        ),
        "transferannouncesound": (_any, "hookflash's dial tone stays in effect"),
        "transferretrysound": (_any, "hookflash has one sound for this: transferinvalidsound"),
        "transferinvalidsound": (_any, "hookflash's own tones stay in effect"),
        "atxferabort": (_keys, ""),
        "atxfercomplete": (_keys, ""),
        "atxferthreeway": (_keys, ""),
        "atxferswap": (_keys, ""),
        "pickupexten": (_any, ""),
        "pickupsound": (_any, ""),
        "pickupfailsound": (_any, ""),
        "courtesytone": (_any, ""),
        "recordingfailsound": (_any, ""),
    },
    _FEATUREMAP: {
        "atxfer": (_keys, ""),
        "blindxfer": (_keys, ""),
        "disconnect": (_keys, ""),
        "parkcall": (_keys, ""),
        "automixmon": (_keys, ""),
        "automon": (_keys, ""),
    },
}
"""By section and key: the check of the value, and why hookflash has no counterpart."""

_STAYS: Final = {
    "pickupexten": "picking up a ringing call is not a transfer",
    "pickupsound": "picking up a ringing call is not a transfer",
    "pickupfailsound": "picking up a ringing call is not a transfer",
    "courtesytone": "recording is not a transfer",
    "recordingfailsound": "recording is not a transfer",
    "parkcall": "parking is not a transfer",
    "automixmon": "recording is not a transfer",
    "automon": "recording is not a transfer; Asterisk 21 removed it",
}
"""What Asterisk itself continues to do, and why."""
_PARKING: Final = frozenset(
    {
        "adsipark",
        "comebackcontext",
        "comebackdialtime",
        "comebacktoorigin",
        "context",
        "findslot",
        "parkeddynamic",
        "parkedcallhangup",
        "parkedcallrecording",
        "parkedcallreparking",
        "parkedcalltransfers",
        "parkedmusicclass",
        "parkext",
        "parkext_exclusive",
        "parkinghints",
        "parkingtime",
        "parkpos",
    }
)
"""Settings of [general] that Asterisk 12 moved to res_parking.conf."""


# ----------------------------------------------------------------------- reading


@attrs.frozen(kw_only=True)
class Application:
    """An entry of the application map, or of a group."""

    line: int
    name: str
    keys: str


@attrs.frozen(kw_only=True)
class Features:
    """The checked content of a `features.conf`."""

    settings: tuple[Setting, ...]
    """Settings of [general] and [featuremap] in effect (the last of each key), in file order."""
    repeated: tuple[tuple[Setting, Setting], ...]
    """Settings without effect, each with the later one that replaces it."""
    applications: tuple[Application, ...]
    ignored: tuple[tuple[int, str, str], ...]
    """Lines that are not converted: number, text and reason."""

    def get(self, section: str, key: str) -> Setting | None:
        """The setting in effect, if the file has it."""
        return next(
            (one for one in self.settings if one.section == section and one.key == key), None
        )


def parse_features(text: str, where: str = "") -> Features:
    """Read a `features.conf`.

    Args:
        text: the file.
        where: its name; the locations of errors begin with it.

    Raises:
        InputError: the first fault that `features_faults` finds.
    """
    features, faults = _read(text, where)
    for fault in faults:
        raise fault
    return features


def features_faults(text: str, where: str = "") -> tuple[InputError, ...]:
    """List the faults of a `features.conf`, at most `MAX_FAULTS`.

    Args:
        text: the file.
        where: its name; the locations of errors begin with it.
    """
    return _read(text, where)[1]


def _read(text: str, where: str) -> tuple[Features, tuple[InputError, ...]]:
    file = read_asterisk_file(text, where)
    faults = list(file.faults)
    last: dict[tuple[str, str], Setting] = {}
    repeated: list[tuple[Setting, Setting]] = []
    applications: list[Application] = []
    ignored = [
        (one.line, one.text, "not followed: convert that file, too") for one in file.directives
    ]
    for given in file.settings:
        section = given.section.lower()
        setting = attrs.evolve(given, section=section, key=given.key.lower())
        try:
            if section in KNOWN:
                if section == _GENERAL and setting.key in _PARKING:
                    why = "Asterisk 12 and later have it in res_parking.conf"
                    ignored.append((given.line, f"{given.key} = {given.value}", why))
                    continue
                _check(setting, where)
                before = last.pop((section, setting.key), None)
                if before is not None:
                    repeated.append((before, setting))
                last[section, setting.key] = setting
            elif section == _APPLICATIONMAP:
                applications.append(_application(given, where))
            else:
                applications.append(_in_group(given, where, applications))
        except InputError as fault:
            faults.append(fault)
    faults.sort(key=lambda fault: _number(fault.where))
    features = Features(
        settings=tuple(last.values()),
        repeated=tuple(repeated),
        applications=tuple(applications),
        ignored=tuple(ignored),
    )
    return features, tuple(faults[:MAX_FAULTS])


def _number(place: str) -> int:
    return int(place.rpartition(" ")[2])


def _check(setting: Setting, where: str) -> None:
    known = KNOWN[setting.section]
    if setting.key not in known:
        homes = [f"put it into [{name}]" for name, keys in KNOWN.items() if setting.key in keys]
        allowed = meant(setting.key, list(known)) + f"allowed are {', '.join(known)}"
        raise InputError(
            f"[{setting.section}] has no key {shown(setting.key)!r}",
            where=line_in(where, setting.line),
            hint=(homes or [allowed])[0],
        )
    wanted = known[setting.key][0](setting.value)
    if wanted:
        raise InputError(
            f"{setting.key} can't be {shown(setting.value)!r}",
            where=line_in(where, setting.line),
            hint=wanted,
        )


def _application(setting: Setting, where: str) -> Application:
    """Read `NAME => KEYS,self|peer[/IGNORED],APPLICATION[,ARGUMENTS[,MUSIC]]`."""
    fields = [field.strip() for field in setting.value.split(",", 3)]
    side = fields[1].partition("/")[0].strip().lower() if len(fields) > 1 else ""
    if (
        len(fields) < _FEWEST_FIELDS
        or not _KEYS.fullmatch(fields[0])
        or side not in _SIDES
        or not fields[2]
    ):
        raise InputError(
            f"{shown(setting.value)!r} is not an application map entry",
            where=line_in(where, setting.line),
            hint="keys,self or peer,application",
        )
    return Application(line=setting.line, name=setting.key, keys=fields[0].upper())


def _in_group(setting: Setting, where: str, known: list[Application]) -> Application:
    """Read `NAME => [KEYS]`: an entry of the application map, in a group."""
    if all(setting.key.lower() != one.name.lower() for one in known):
        raise InputError(
            f"the application map has no entry {shown(setting.key)!r}",
            where=line_in(where, setting.line),
            hint="add it to [applicationmap]",
        )
    if not _keys(setting.value):
        return Application(line=setting.line, name=setting.key, keys=setting.value.upper())
    raise InputError(
        f"{shown(setting.key)} can't be {shown(setting.value)!r}",
        where=line_in(where, setting.line),
        hint=f"{_keys(setting.value)}, or nothing",
    )


# -------------------------------------------------------------------- converting


@attrs.frozen
class _TomlLine:
    """A line of the result, with comments on its origin."""

    toml: str
    comments: tuple[str, ...]


@attrs.define
class _Conversion:
    """The result so far."""

    takeback: list[_TomlLine] = attrs.field(factory=list[_TomlLine])
    policy: list[_TomlLine] = attrs.field(factory=list[_TomlLine])
    metaflows: list[_TomlLine] = attrs.field(factory=list[_TomlLine])
    numbers: list[_TomlLine] = attrs.field(factory=list[_TomlLine])
    patterns: list[_TomlLine] = attrs.field(factory=list[_TomlLine])
    missing: list[tuple[int, str]] = attrs.field(factory=list[tuple[int, str]])
    """Settings without a counterpart: the line and a comment."""
    staying: list[tuple[int, str]] = attrs.field(factory=list[tuple[int, str]])
    """Settings that Asterisk itself continues to apply."""
    without_effect: list[tuple[int, str]] = attrs.field(factory=list[tuple[int, str]])


def _cited(setting: Setting) -> str:
    return f"line {setting.line}: {shown(f'{setting.key} = {setting.value}')}"


def convert_features(features: Features, name: str = "features.conf") -> str:
    """Write the TOML.

    Args:
        features: what the file says.
        name: the file's name, for the first comment.
    """
    result = _Conversion()
    _convert_policy(features, result)
    _convert_takeback(features, result)
    table = _convert_codes(features, result)
    _list_rest(features, result, table)
    return "".join(f"{line}\n" for line in _lines(result, name))


def _lines(result: _Conversion, name: str) -> Iterator[str]:
    yield f"# Converted from {shown(name)}. Merge it into hookflash.toml."
    for head, entries in (
        ("defaults", result.takeback),
        ("defaults.policy", result.policy),
        ("defaults.metaflows", result.metaflows),
        ("defaults.metaflows.numbers", result.numbers),
        ("defaults.metaflows.patterns", result.patterns),
    ):
        if entries:
            yield ""
            yield f"[{head}]"
            for entry in entries:
                yield from (f"# {comment}" for comment in entry.comments)
                yield entry.toml
    for title, listed in (
        ("No counterpart in hookflash yet:", result.missing),
        ("Asterisk itself continues to do this; keep it in features.conf:", result.staying),
        ("Without effect, and not converted:", result.without_effect),
    ):
        if listed:
            yield ""
            yield f"# {title}"
            yield from (f"#   {comment}" for _, comment in sorted(listed))


def _convert_policy(features: Features, result: _Conversion) -> None:
    timeout = features.get(_GENERAL, "atxfernoanswertimeout")
    wanted_s = int(timeout.value) if timeout is not None else 15
    least_s, most_s = RING_TIMEOUTS_S
    used_s = min(max(wanted_s, least_s), most_s)
    comment = _said(features, "atxfernoanswertimeout", "15")
    if used_s != wanted_s:
        comment += f"; out of hookflash's range, {least_s} to {most_s} s"
    result.policy.append(_TomlLine(f"ring_timeout_s = {used_s}", (comment,)))

    drop = features.get(_GENERAL, "atxferdropcall")
    comment = "the transferee waits for the target if the transferor leaves early"
    says = _said(features, "atxferdropcall", "no")
    entry = _TomlLine('transferor_leaves_ringing = "carry_on"', (says, comment))
    result.policy.append(entry)
    drops = drop is not None and drop.value.lower() in _TRUE
    result.policy.extend(_no_recall(says) if drops else _recall(features))
    result.policy.extend(_asking(features))


def _no_recall(says: str) -> Iterator[_TomlLine]:
    yield _TomlLine("recall_attempts = 0", (f"{says}: the transferor is not called back",))


def _recall(features: Features) -> Iterator[_TomlLine]:
    """Asterisk calls the transferor back, then in turn the target and the transferor."""
    retries = features.get(_GENERAL, "atxfercallbackretries")
    wanted = int(retries.value) if retries is not None else 2
    used = min(wanted, MOST_RECALLS)
    comment = _said(features, "atxfercallbackretries", "2")
    if used != wanted:
        comment += f"; hookflash calls back at most {MOST_RECALLS} times"
    yield _TomlLine(f"recall_attempts = {used}", (comment,))
    delay = features.get(_GENERAL, "atxferloopdelay")
    delay_s = max(int(delay.value), 1) if delay is not None else 10
    comment = _said(features, "atxferloopdelay", "10")
    if delay is not None and delay_s != int(delay.value):
        comment += "; hookflash waits at least a second"
    yield _TomlLine(f"recall_delay_s = {delay_s}", (comment,))
    redials = "as Asterisk does, the target is called once more before each further recall"
    yield _TomlLine("recall_redials = true", (redials,))


def _asking(features: Features) -> Iterator[_TomlLine]:
    """Asterisk asks for the number, and again after a wrong one."""
    attempts = features.get(_GENERAL, "transferdialattempts")
    wanted = int(attempts.value) if attempts is not None else 3
    used = min(max(wanted, 1), MOST_QUESTIONS)
    comment = _said(features, "transferdialattempts", "3")
    if used != wanted:
        comment += f"; hookflash asks 1 to {MOST_QUESTIONS} times"
    yield _TomlLine(f"number_attempts = {used}", (comment,))
    for name, choice in _SOUNDS.items():
        sound = features.get(_GENERAL, name)
        if sound is not None and _is_converted(features, name):
            yield _TomlLine(f'{choice} = "file:{sound.value}"', (_cited(sound),))


_SOUNDS: Final = {"transferannouncesound": "dial_tone", "transferinvalidsound": "wrong_number_tone"}
_SOUND: Final = re.compile(r"(?:(?!\.\.)[0-9A-Za-z_./-]){1,200}")


def _is_converted(features: Features, name: str) -> bool:
    sound = features.get(_GENERAL, name)
    return sound is not None and bool(_SOUND.fullmatch(sound.value))


def _said(features: Features, key: str, default: str) -> str:
    """What the file says of a key, or that it says nothing."""
    setting = features.get(_GENERAL, key)
    if setting is not None:
        return _cited(setting)
    return f"not in the file: {key} = {default} is Asterisk's default"


def _convert_takeback(features: Features, result: _Conversion) -> None:
    abort = features.get(_GENERAL, "atxferabort")
    if abort is None:
        comment = "not in the file: atxferabort = *1 is Asterisk's default"
        result.takeback.append(_TomlLine('takeback_digits = "*1"', (comment,)))
    elif not abort.value:
        why = "hookflash always has takeback digits, by default *1"
        result.missing.append((abort.line, f"{_cited(abort)}: {why}"))
    elif len(abort.value) > MAX_TAKEBACK_KEYS:
        why = f"takeback digits are at most {MAX_TAKEBACK_KEYS}; *1 stays in effect"
        result.missing.append((abort.line, f"{_cited(abort)}: {why}"))
    else:
        toml = f'takeback_digits = "{abort.value.upper()}"'
        result.takeback.append(_TomlLine(toml, (_cited(abort),)))
    for key, name in _IN_TRANSFER.items():
        setting = features.get(_GENERAL, key)
        if setting is None:
            continue
        if len(setting.value) > MAX_TAKEBACK_KEYS:
            why = f"such a code has at most {MAX_TAKEBACK_KEYS} keys"
            result.missing.append((setting.line, f"{_cited(setting)}: {why}"))
        else:
            toml = f'{name} = "{setting.value.upper()}"'
            result.takeback.append(_TomlLine(toml, (_cited(setting),)))


_IN_TRANSFER: Final = {
    "atxferswap": "swap_digits",
    "atxferthreeway": "three_way_digits",
    "atxfercomplete": "complete_digits",
}
"""Codes that exist in a transfer only. Asterisk's default of the last one, `*2`, begins the codes
for a transfer here, and is not converted."""


_DONE: Final = {
    "atxfer": '{module = "transfer"}',
    "blindxfer": '{module = "transfer", data = {transfer_type = "blind"}}',
    "disconnect": '{module = "hangup"}',
}
_MODULES: Final = {
    "atxfer": Module.TRANSFER,
    "blindxfer": Module.TRANSFER,
    "disconnect": Module.HANGUP,
}


def _convert_codes(features: Features, result: _Conversion) -> CodeTable | None:
    """Write the feature codes, and return them, if there are any."""
    given = [features.get(_FEATUREMAP, key) for key in _DONE]
    codes = [attrs.evolve(one, value=one.value.upper()) for one in given if one and one.value]
    if not any(_MODULES[one.key] is Module.TRANSFER for one in codes):
        codes_off = (
            "[featuremap] has no code for transfers, so those of hookflash.toml stay in effect"
        )
        result.without_effect.append((0, codes_off))
        for one in codes:
            result.missing.append(
                (one.line, f"{_cited(one)}: codes are not converted without a code for transfers")
            )
        return None
    begin = codes[0].value[0]  # of the attended transfer, if there is one
    taken: dict[str, Setting] = {}
    for one in sorted(codes, key=lambda one: -len(one.value)):  # stable: the longest first
        _convert_code(one, begin, taken, result)
    _convert_timing(features, begin, codes[0], result)
    return CodeTable(
        codes=tuple(
            literal_code(keys, FeatureAction(module=Module.HANGUP))
            if _MODULES[one.key] is Module.HANGUP
            else code(begin, _pattern(keys[1:]), FeatureAction(module=Module.TRANSFER))
            for keys, one in taken.items()
        )
    )


def _pattern(keys: str) -> str:
    return keys.replace("*", r"\*") + r"(\d*)"


def _convert_code(one: Setting, begin: str, taken: dict[str, Setting], result: _Conversion) -> None:
    hangs_up = _MODULES[one.key] is Module.HANGUP
    rest = one.value[1:]
    if one.value in taken:
        other = taken[one.value]
        why = f"{other.key} has the same code, in line {other.line}"
        result.without_effect.append((one.line, f"{_cited(one)}: {why}"))
    elif one.value[0] != begin:
        why = f"all codes of an account begin with the same key, here {begin}; choose another code"
        result.missing.append((one.line, f"{_cited(one)}: {why}"))
    elif hangs_up and not rest:
        why = f"all codes begin with {begin}, so {begin} alone can't be one"
        result.missing.append((one.line, f"{_cited(one)}: {why}"))
    else:
        taken[one.value] = one
        key = f'"{rest}"' if hangs_up else f"'{_pattern(rest)}'"
        entry = _TomlLine(f"{key} = {_DONE[one.key]}", (_cited(one),))
        (result.numbers if hangs_up else result.patterns).append(entry)


def _convert_timing(features: Features, begin: str, first: Setting, result: _Conversion) -> None:
    comment = f"line {first.line}: the first key of {first.key}"
    result.metaflows.append(_TomlLine(f'binding_digit = "{begin}"', (comment,)))
    timeout = features.get(_GENERAL, "transferdigittimeout")
    wanted_ms = int(timeout.value) * 1000 if timeout is not None else 3000
    least_ms, most_ms = DIGIT_TIMEOUTS_MS
    used_ms = min(max(wanted_ms, least_ms), most_ms)
    comment = (
        f"{_cited(timeout)}, in milliseconds"
        if timeout is not None
        else "not in the file: transferdigittimeout = 3 is Asterisk's default; milliseconds"
    )
    if used_ms != wanted_ms:
        comment += f"; out of hookflash's range, {least_ms} to {most_ms} ms"
    hint = "a number acts with its last key if a numbering says that it is complete"
    result.metaflows.append(_TomlLine(f"digit_timeout = {used_ms}", (comment, hint)))


def _list_rest(features: Features, result: _Conversion, table: CodeTable | None) -> None:
    converted = {
        "atxfernoanswertimeout",
        "atxferdropcall",
        "atxfercallbackretries",
        "atxferloopdelay",
        "atxferabort",
        "transferdialattempts",
        "atxferswap",
        "atxferthreeway",
        "atxfercomplete",
        "transferdigittimeout",
        *(name for name in _SOUNDS if _is_converted(features, name)),
    }
    for one in features.settings:
        if one.key in _STAYS:
            keys = one.value if one.section == _FEATUREMAP else ""
            comment = f"{_cited(one)}: {_STAYS[one.key]}"
            result.staying.append((one.line, comment + _also_heard(keys.upper(), table)))
        elif one.section == _FEATUREMAP and not one.value:
            result.without_effect.append((one.line, f"{_cited(one)}: it is switched off"))
        elif one.section == _GENERAL and one.key not in converted:
            why = KNOWN[_GENERAL][one.key][1]
            result.missing.append((one.line, f"{_cited(one)}: {why}"))
        elif one.key == "transferdigittimeout" and table is None:
            why = "there are no codes for it"
            result.without_effect.append((one.line, f"{_cited(one)}: {why}"))
    for one in features.applications:
        comment = f"line {one.line}: {shown(one.name)}: an application of your own"
        result.staying.append((one.line, comment + _also_heard(one.keys, table)))
    for before, after in features.repeated:
        why = f"line {after.line} replaces it"
        result.without_effect.append((before.line, f"{_cited(before)}: {why}"))
    for number, text, why in features.ignored:
        result.without_effect.append((number, f"line {number}: {shown(text)}: {why}"))


def _also_heard(keys: str, table: CodeTable | None) -> str:
    """Warn of keys that hookflash takes for a code of its own, or for the beginning of one."""
    if len(keys) <= 1 or table is None:
        return ""
    collector, outcome = UNARMED, None
    for key in keys:
        if outcome is None:
            pressed = press(table, collector, key)
            collector, outcome = pressed.collector, pressed.outcome
    if isinstance(outcome, Matched) or (outcome is None and collector.digits == keys):
        return f"; CHANGE IT: {keys} is also heard by hookflash"
    return ""
