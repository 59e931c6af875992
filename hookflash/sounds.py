"""Sounds: what a party hears that is not a voice. Values that do not depend on a switch.

A sound is `Music`, a `Tone` or a `Recording`. Each backend renders it in its own language, and
reads what its switch reports back into the same value. In JSON and TOML a sound is a text:

| text | sound |
| --- | --- |
| `music:default` | music on hold: a class of music, or a stream |
| `tone:440+480/2000,0/4000` | 440 and 480 Hz for 2000 ms, silence for 4000 ms, until it is ended |
| `tone:480+620/250,0/250*8` | the same notation, played 8 times |
| `file:ivr/one-moment` | a recording, by its path |

The notation of tones is that of the tables of national tones in telephone systems (Asterisk's
`indications.conf`, after ITU-T E.180).

Where people and programs choose a sound, `parse_asked_sound` also reads the ID of an entry in the
account's media list: `media:greeting`, a bare word, or Kazoo's `/ACCOUNT/ID`. The account says
which sound that is (`MediaList`), before anything is ordered.

`parse_sound` also reads the texts of FreeSWITCH and Kazoo that accounts already have:
`local_stream://NAME`, `tone_stream://…`, a bare tone such as `%(2000,4000,440,480)`,
`silence_stream://MS`, `file_string://PATH` and a bare path. Three details are dropped: the volume
of a tone (`v=-7`), the comfort noise of a silence, and the fractions of a frequency.

A switch understands some texts as more than a name: `shell_stream://` runs a program. A value can
therefore contain only what is allowed, and a backend need not check it again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, Literal, NoReturn, TypeAlias

import attrs

from hookflash.accounts import ACCOUNT_PATTERN
from hookflash.errors import InputError

MAX_NAME: Final = 200
"""Characters of a name."""
MAX_BURSTS: Final = 16
"""Bursts of a tone. The longest cadence in use, a British ringback, has 4."""
MAX_FREQUENCIES: Final = 4
"""Frequencies of a burst: the howler that asks to hang up has 4."""
MAX_HZ: Final = 9_999
"""More than any telephone carries."""
MAX_MS: Final = 999_999
"""The length of a burst: about a quarter of an hour."""
MAX_TIMES: Final = 99_999_999
"""How often a tone may be played. `None` plays it without end."""
MAX_OTHER: Final = 1_024
"""How many characters are kept of another program's sound."""

_NAME = rf"(?:(?!\.\.)[0-9A-Za-z_./-]){{1,{MAX_NAME}}}"
_HZ = r"[1-9][0-9]{0,3}"
_MS = r"[1-9][0-9]{0,5}"
_TIMES = r"[1-9][0-9]{0,7}"
_BURST = rf"(?:0|{_HZ}(?:\+{_HZ}){{0,{MAX_FREQUENCIES - 1}}})/{_MS}"
_BURSTS = rf"{_BURST}(?:,{_BURST}){{0,{MAX_BURSTS - 1}}}"
_EXACT_HZ = rf"{_HZ}(?:\.[0-9]{{1,3}})?"
_SCRIPTED_BURST = (
    r"(?:v=-?[0-9]{1,3}(?:\.[0-9]{1,3})?;)?"
    rf"%\((?:{_MS},(?:0|{_MS}),{_EXACT_HZ}(?:,{_EXACT_HZ}){{0,{MAX_FREQUENCIES - 1}}}"
    rf"|0,{_MS},0)\)"
)
_SCRIPT = (
    rf"{_SCRIPTED_BURST}(?:;?{_SCRIPTED_BURST}){{0,{MAX_BURSTS - 1}}}"
    rf"(?:;loops=(?:-[0-9]{{1,8}}|{_TIMES}))?"
)
_SILENCE = rf"(?:-[0-9]{{1,8}}|0|{_MS})(?:,[0-9]{{1,5}})?"

SOUND_PATTERN: Final = (
    "^(?:"
    rf"(?:music:|file:|local_stream://|file_string://)?{_NAME}"
    rf"|tone:{_BURSTS}(?:\*{_TIMES})?"
    rf"|(?:tone_stream://)?{_SCRIPT}"
    rf"|silence_stream://{_SILENCE}"
    r")(?![\s\S])"
)
"""The pattern of a sound's text, for the schemas (ECMA 262). `parse_sound` is stricter in one
point: a tone has at most 16 bursts."""

_ID = r"[0-9A-Za-z_-]{1,64}"
_MEDIA = rf"(?:/{ACCOUNT_PATTERN}/)?{_ID}"

ASKED_SOUND_PATTERN: Final = f"^(?:(?:media:)?{_MEDIA}|" + SOUND_PATTERN.removeprefix("^(?:")
"""The pattern of a sound that somebody asks for, for the schemas."""

OPTIONAL_SOUND_PATTERN: Final = "^(?:|" + ASKED_SOUND_PATTERN.removeprefix("^(?:")
"""The same where it may be empty: none."""

_TEXT = re.compile(SOUND_PATTERN)
_ALLOWED_NAME = re.compile(_NAME)
_SCRIPTED = re.compile(r"%\((?P<on_ms>[0-9]+),(?P<off_ms>[0-9]+),(?P<hz>[0-9.,]+)\)")
_LOOPS = re.compile(r"loops=(?P<loops>-?[0-9]+)")
_MEDIA_ID = re.compile(_MEDIA)
_ENTRY = re.compile(_ID)
_SCHEME = re.compile(r"(?P<scheme>[0-9A-Za-z_+.-]{1,32}):")

_HOW_NAMES = "letters, digits and _ . / -, 1 to 200 of them, without '..'"
_HOW_TONES = (
    "tone:440+480/2000,0/4000: Hz joined by + (0 for silence), a slash, ms; commas between at most"
    " 16 bursts; *8 at the end for 8 times"
)
_HOW_SCRIPTS = (
    "%(2000,4000,440,480): ms of sound, ms of silence, Hz; ;loops=8 at the end for 8 times, or"
    " ;loops=-1; better: tone:440+480/2000,0/4000"
)
_HOW_MEDIA = "letters, digits and _ -, 1 to 64 of them: greeting or /ACCOUNT/greeting"
_HOW_URLS = "copy the recording to the switch (file:NAME), or make it a stream there (music:NAME)"
_HOW_SOUNDS = "music:NAME, tone:440+480/2000,0/4000 or file:NAME"


def _checked_name(instance: Music | Recording, _: object, name: str) -> None:
    if not _ALLOWED_NAME.fullmatch(name):
        kind = "music" if isinstance(instance, Music) else "recording"
        raise InputError(f"the {kind} name {name[:80]!r} is not allowed", hint=_HOW_NAMES)


def _at_most(limit: int, what: str, number: int) -> None:
    if not 1 <= number <= limit:
        raise InputError(f"{number} {what} is not allowed", hint=f"allowed: 1 to {limit}")


@attrs.frozen
class Music:
    """Music on hold, until it is stopped.

    Raises:
        InputError: the name contains something that a switch could understand as more than a name.
    """

    name: str = attrs.field(default="default", validator=_checked_name)
    """The music class or stream, by its name on the switch. `default` is the one that a new switch
    has."""

    def __str__(self) -> str:
        return f"music:{self.name}"


@attrs.frozen
class Burst:
    """A part of a tone: one sound, or a silence.

    Raises:
        InputError: too many frequencies, or a number out of range.
    """

    frequencies_hz: tuple[int, ...]
    """The frequencies that sound together; empty: silence."""
    lasts_ms: int

    def __attrs_post_init__(self) -> None:
        if len(self.frequencies_hz) > MAX_FREQUENCIES:
            raise InputError(
                f"{len(self.frequencies_hz)} frequencies at once", hint=f"at most {MAX_FREQUENCIES}"
            )
        for hz in self.frequencies_hz:
            _at_most(MAX_HZ, "Hz", hz)
        _at_most(MAX_MS, "ms", self.lasts_ms)

    def __str__(self) -> str:
        return f"{'+'.join(map(str, self.frequencies_hz)) or '0'}/{self.lasts_ms}"


@attrs.frozen(cache_hash=True)
class Tone:
    """A tone: bursts, one after the other, again and again.

    Raises:
        InputError: no burst, too many, or a number out of range.
    """

    bursts: tuple[Burst, ...]
    times: int | None = None
    """How often the bursts are played; `None`: until the tone is stopped."""

    def __attrs_post_init__(self) -> None:
        _at_most(MAX_BURSTS, "bursts", len(self.bursts))
        if self.times is not None:
            _at_most(MAX_TIMES, "times", self.times)

    @property
    def lasts_s(self) -> float | None:
        """How long it plays; `None`: until it is stopped."""
        if self.times is None:
            return None
        return sum(burst.lasts_ms for burst in self.bursts) * self.times / 1000

    def __str__(self) -> str:
        repeats = "" if self.times is None else f"*{self.times}"
        return f"tone:{','.join(map(str, self.bursts))}{repeats}"


@attrs.frozen
class Recording:
    """A recorded sound. It is played once.

    Raises:
        InputError: the name contains something that a switch could understand as more than a name.
    """

    name: str = attrs.field(validator=_checked_name)
    """The path of its file, as the switch knows it."""

    def __str__(self) -> str:
        return f"file:{self.name}"


@attrs.frozen
class Media:
    """The ID of an entry in an account's media list: which sound it is, the account says.

    Raises:
        InputError: it can't be an ID.
    """

    id: str
    """Such as `greeting`, or `/acme/greeting` with the account."""

    def __attrs_post_init__(self) -> None:
        if not _MEDIA_ID.fullmatch(self.id):
            raise InputError(f"{self.id[:80]!r} can't be a media ID", hint=_HOW_MEDIA)

    @staticmethod
    def is_entry(name: str) -> bool:
        """Whether a name can be that of an entry."""
        return _ENTRY.fullmatch(name) is not None

    @property
    def account(self) -> str:
        """The account in it; empty if there is none."""
        return self.id.split("/")[1] if self.id.startswith("/") else ""

    @property
    def entry(self) -> str:
        """The name of the entry."""
        return self.id.rpartition("/")[2]

    def __str__(self) -> str:
        return f"media:{self.id}"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:MAX_OTHER])


@attrs.frozen
class OtherSound:
    """A sound that another program plays, as the switch reports it.

    It is for information only: no command takes it and no backend renders it, so that its untrusted
    text is never sent to a switch.
    """

    text: str = attrs.field(converter=_printable)
    """The switch's name for it: at most 1024 characters, `?` for unprintable ones."""

    def __str__(self) -> str:
        return f"other:{self.text}"


@attrs.frozen
class Conversation:
    """The voices of two others, in whose conversation a party takes part (`commands.TakePart`)."""

    leg: str
    """One of the two: its leg."""

    def __str__(self) -> str:
        return f"conversation:{self.leg}"


Sound: TypeAlias = Music | Tone | Recording
"""What can be played."""

AskedSound: TypeAlias = Music | Tone | Recording | Media
"""What may be asked for: a sound, or the ID of one."""

OptionalSound: TypeAlias = Music | Tone | Recording | Media | Literal[""]
"""The same where the sound may be none: an empty text."""

HeardSound: TypeAlias = Music | Tone | Recording | OtherSound | Conversation
"""What a party may be reported to hear."""

SILENCE: Final = Tone((Burst((), 1000),))
"""Endless silence, for a party that is to hear nothing."""


def parse_sound(text: str, where: str = "") -> Sound:
    """Read the text of a sound, in hookflash's, FreeSWITCH's or Kazoo's notation.

    A bare FreeSWITCH tone is endless unless it says otherwise (as in Kazoo's metaflows); one after
    `tone_stream://` is played once (as by FreeSWITCH).

    Args:
        text: such as `tone:440+480/2000,0/4000`.
        where: its location, for the error.

    Raises:
        InputError: the text is not a sound; the message says what is allowed.
    """
    if not _TEXT.match(text):
        _refuse(text, where)
    scheme, colon, rest = text.partition(":")
    try:
        if colon:
            return _READERS[scheme](rest)
        return _scripted(text, times=None) if "%(" in text else Recording(text)
    except InputError as fault:
        raise InputError(fault.what, where=where, hint=fault.hint) from None


def parse_asked_sound(text: str, where: str = "") -> AskedSound:
    """Read the text of a sound, or the ID of an entry in an account's media list.

    A bare word is an ID, and so is Kazoo's `/ACCOUNT/ID`. The path of a file has a dot or another
    slash; otherwise write `file:`.

    Raises:
        InputError: the text is neither.
    """
    is_named = text.startswith("media:")
    name = text.removeprefix("media:")
    if not is_named and not _MEDIA_ID.fullmatch(name):
        return parse_sound(text, where)
    try:
        return Media(name)
    except InputError as fault:
        raise InputError(fault.what, where=where, hint=fault.hint) from None


def parse_optional_sound(text: str, where: str = "") -> OptionalSound:
    """Read the same where the sound may be none: an empty text stays one.

    Raises:
        InputError: the text is neither.
    """
    return "" if text == "" else parse_asked_sound(text, where)


@attrs.frozen
class MediaList:
    """An account's media list."""

    entries: Mapping[str, Sound] = attrs.field(factory=dict[str, Sound])
    """The sounds by their IDs."""

    def sound(self, asked: AskedSound, account: str, where: str = "") -> Sound:
        """Look up what was asked for.

        Args:
            asked: a sound, which is returned as it is, or an ID.
            account: the account whose list this is; an ID with another account is unknown.
            where: the location, for the error.

        Raises:
            InputError: the ID is unknown; the message lists those that are known.
        """
        if not isinstance(asked, Media):
            return asked
        found = self.entries.get(asked.entry) if asked.account in ("", account) else None
        if found is None:
            known = ", ".join(sorted(self.entries))[:500]
            hint = f"the IDs are {known}" if known else "the account's media list is empty"
            hint += f"; a file's name is written file:{asked.id}"
            raise InputError(f"unknown media ID {asked.id!r}", where=where, hint=hint)
        return found


NO_MEDIA: Final = MediaList()
"""An empty media list."""


def check_sound(sound: object, where: str) -> None:
    """Reject a value that is not a playable sound, such as a text from an untyped program.

    Raises:
        InputError: the value is not a sound.
    """
    if not isinstance(sound, Sound):
        raise InputError(
            f"{str(sound)[:80]!r} is not a sound",
            where=where,
            hint="a Music, a Tone or a Recording; parse_sound(…) reads a text",
        )


def is_endless(sound: object) -> bool:
    """Whether it plays until it is stopped."""
    return isinstance(sound, Music) or (isinstance(sound, Tone) and sound.times is None)


def heard_sound(text: str) -> HeardSound:
    """Read a reported sound. An unknown text becomes an `OtherSound`."""
    if text.startswith("other:"):
        return OtherSound(text.removeprefix("other:"))
    try:
        return parse_sound(text)
    except InputError:
        return OtherSound(text)


def _stream(text: str) -> Music:
    """Read a stream of FreeSWITCH, whose stock music on hold is called `moh`."""
    name = text.removeprefix("//")
    return Music("default" if name == "moh" else name)


def _tone(text: str) -> Tone:
    cadence, _, times = text.partition("*")
    bursts: list[Burst] = []
    for burst in cadence.split(","):
        hz, _, ms = burst.partition("/")
        bursts.append(Burst(() if hz == "0" else tuple(map(int, hz.split("+"))), int(ms)))
    return Tone(tuple(bursts), int(times) if times else None)


def _scripted(text: str, *, times: int | None) -> Tone:
    """Read a tone in FreeSWITCH's language, TGML. `%(0,MS,0)` is a silence."""
    bursts: list[Burst] = []
    for found in _SCRIPTED.finditer(text):
        on_ms, off_ms = int(found["on_ms"]), int(found["off_ms"])
        if on_ms:
            hz = tuple(min(MAX_HZ, round(float(one))) for one in found["hz"].split(","))
            bursts.append(Burst(hz, on_ms))
        if off_ms:
            bursts.append(Burst((), off_ms))
    loops = _LOOPS.search(text)
    if loops is not None:
        times = int(loops["loops"]) if int(loops["loops"]) > 0 else None
    return Tone(tuple(bursts), times)


def _silence(text: str) -> Tone:
    ms = int(text.removeprefix("//").partition(",")[0])
    return SILENCE if ms <= 0 else Tone((Burst((), ms),), times=1)


_READERS: Final[Mapping[str, Callable[[str], Sound]]] = {
    "music": Music,
    "tone": _tone,
    "file": Recording,
    "local_stream": _stream,
    "tone_stream": lambda text: _scripted(text, times=1),
    "silence_stream": _silence,
    "file_string": lambda text: Recording(text.removeprefix("//")),
}


def _refuse(text: str, where: str) -> NoReturn:
    shown = f"{text[:80]!r}{'…' if len(text) > 80 else ''}"  # noqa: PLR2004 - enough to find it
    scheme = _SCHEME.match(text)
    kind = scheme["scheme"] if scheme else ""
    what, hint = f"{shown} is not a sound", _HOW_SOUNDS
    if kind == "tone":
        hint = _HOW_TONES
    elif kind in {"music", "file", "local_stream", "file_string"}:
        hint = f"a name is {_HOW_NAMES}"
    elif kind in {"http", "https"}:
        what = f"{shown} is not a sound: {kind}: is not allowed, the switch would have to fetch it"
        hint = _HOW_URLS
    elif kind == "silence_stream":
        hint = "silence_stream://1000: milliseconds, or -1 for ever"
    elif kind == "tone_stream" or "%(" in text:
        hint = _HOW_SCRIPTS
    elif kind:
        what = f"{shown} is not a sound: {kind}: is not allowed"
    elif text:
        hint = f"{_HOW_SOUNDS}; a name is {_HOW_NAMES}"
    raise InputError(what, where=where, hint=hint)
