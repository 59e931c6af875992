"""The syntax that Asterisk's configuration files share, read as settings with line numbers.

Comments (`;`), block comments (`;--` to `--;`, nested), `=` and `=>`, sections, templates
(`[name](!)`, `[name](template)`), additions (`[name](+)`) and directives (`#include`). Directives
are reported and not followed: this module reads no files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import attrs

from hookflash.document import MAX_FAULTS
from hookflash.errors import InputError

MAX_LINE: Final = 8_192
"""Characters in a line. Asterisk ignores the rest."""

MAX_INHERITED: Final = 10_000
"""Settings that templates may add. Each level of templates can double their number."""

_SHOWN: Final = 60
_NOT_ASCII: Final = re.compile(r"[^ -~]")

_HEAD: Final = re.compile(r"\[(?P<name>[^]]*)\](?:\((?P<options>[^)]*)\))?")
_DIRECTIVES: Final = ("include", "tryinclude", "exec")


def shown(text: str) -> str:
    """Make a text safe to repeat in a message: one short line of printable ASCII."""
    text = _NOT_ASCII.sub("?", text)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


@attrs.frozen
class Setting:
    """A line `key = value`, or `key => value`."""

    line: int
    section: str
    key: str
    value: str


@attrs.frozen
class Directive:
    """A line `#include …`, `#tryinclude …` or `#exec …`, which was not followed."""

    line: int
    text: str


@attrs.frozen(kw_only=True)
class AsteriskFile:
    """The settings and directives of a file."""

    settings: tuple[Setting, ...]
    """In order; a template's settings appear in each section that uses it."""
    directives: tuple[Directive, ...]
    faults: tuple[InputError, ...]
    """Invalid lines, at most `MAX_FAULTS`."""


def read_asterisk_file(text: str, where: str = "") -> AsteriskFile:
    """Read a file.

    Args:
        text: the file.
        where: its name; the locations of faults begin with it.
    """
    reader = _LineReader(where)
    for number, line in _without_comments(text, reader):
        reader.read(number, line)
    return AsteriskFile(
        settings=tuple(reader.settings),
        directives=tuple(reader.directives),
        faults=tuple(reader.faults[:MAX_FAULTS]),
    )


def line_in(where: str, number: int) -> str:
    """Format the location of a line."""
    return f"{where}: line {number}" if where else f"line {number}"


def _without_comments(text: str, reader: _LineReader) -> Iterator[tuple[int, str]]:
    """Remove comments and surrounding blanks; skip lines that are empty then."""
    begins: list[int] = []  # of the block comments that are open
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        if len(line) > MAX_LINE:
            reader.fault(number, "the line is too long", f"at most {MAX_LINE} characters")
            continue
        kept = _uncommented(line, number, begins).strip()
        if kept:
            yield number, kept
    if begins:
        reader.fault(begins[-1], "a block comment begins here and never ends", "end it with --;")


def _uncommented(line: str, number: int, begins: list[int]) -> str:
    kept: list[str] = []
    at = 0
    while at < len(line):
        if begins and line.startswith("--;", at):
            begins.pop()
            at += 3
        elif line.startswith(";--", at) and line[at + 3 : at + 4] != "-":
            begins.append(number)
            at += 3
        elif begins:
            at += 1
        elif line.startswith("\\;", at):
            kept.append(";")
            at += 2
        elif line[at] == ";":
            break
        else:
            kept.append(line[at])
            at += 1
    return "".join(kept)


class _LineReader:
    """Reads line by line, and tracks the current section."""

    def __init__(self, where: str) -> None:
        self.settings: list[Setting] = []
        self.directives: list[Directive] = []
        self.faults: list[InputError] = []
        self._where = where
        self._section: str | None = None
        self._is_template = False
        self._contents: dict[str, list[Setting]] = {}
        """By section: the settings that it passes on when it is used as a template."""
        self._own: list[Setting] = []
        self._inherited = 0

    def fault(self, number: int, what: str, hint: str) -> None:
        self.faults.append(InputError(what, where=line_in(self._where, number), hint=hint))

    def read(self, number: int, line: str) -> None:
        if line.startswith("["):
            self._begin(number, line)
        elif line.startswith("#"):
            self._direct(number, line)
        else:
            self._set(number, line)

    def _begin(self, number: int, line: str) -> None:
        head = _HEAD.match(line)
        if head is None or (head["options"] is None and line[head.end() :].startswith("(")):
            self.fault(number, f"{shown(line)!r} has no closing bracket", "[name], or [name](!)")
            return
        name = head["name"].strip()
        options = [one.strip() for one in (head["options"] or "").split(",") if one.strip()]
        self._section = name
        self._is_template = "!" in options
        if "+" not in options:
            self._own = self._contents[name.lower()] = []
        elif name.lower() in self._contents:
            self._own = self._contents[name.lower()]
        else:
            self.fault(number, f"there is no section [{shown(name)}] to add to", f"[{shown(name)}]")
            self._own = self._contents[name.lower()] = []
        for template in options:
            if template not in ("!", "+"):
                self._inherit(number, name, template)

    def _inherit(self, number: int, name: str, template: str) -> None:
        contents = self._contents.get(template.lower())
        if contents is None:
            what = f"there is no section [{shown(template)}] to inherit from"
            self.fault(number, what, "write the template above")
            return
        self._inherited += len(contents)
        if self._inherited > MAX_INHERITED:
            self.fault(number, "the templates add too much", f"at most {MAX_INHERITED} settings")
            return
        for one in tuple(contents):
            self._add(attrs.evolve(one, section=name))

    def _direct(self, number: int, line: str) -> None:
        word = line[1:].split(maxsplit=1)[0].lower() if line[1:].strip() else ""
        if word in _DIRECTIVES:
            self.directives.append(Directive(number, line))
        else:
            allowed = ", ".join(f"#{one}" for one in _DIRECTIVES)
            self.fault(number, f"{shown(line)!r} is not a directive", f"allowed are {allowed}")

    def _set(self, number: int, line: str) -> None:
        key, equals, value = line.partition("=")
        key = key.removesuffix("+").strip()
        if not equals or not key:
            self.fault(number, f"{shown(line)!r} is not a setting", "key = value")
        elif self._section is None:
            self.fault(number, f"{shown(line)!r} stands before any section", "[general] above it")
        else:
            value = value.removeprefix(">").strip()
            self._add(Setting(number, self._section, key, value))

    def _add(self, setting: Setting) -> None:
        self._own.append(setting)
        if not self._is_template:
            self.settings.append(setting)
