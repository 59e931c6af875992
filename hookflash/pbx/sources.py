"""The Debian archive in the configuration of this machine's apt.

Both formats are read: `.sources` (deb822) and `.list` (one line per entry). The mirror, its keyring
and its options are the machine's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import attrs

MAIN_SUITES: Final = frozenset(
    {"oldoldstable", "oldstable", "stable", "testing", "unstable", "sid"}
)
"""Names of the main archive's suites, besides the release's code name."""

_KEPT: Final = ("Signed-By", "Trusted", "Allow-Insecure", "Check-Valid-Until", "Check-Date")
"""Options that apply to all suites of an archive."""

_A_ONE_LINE_ENTRY: Final = re.compile(r"deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<rest>\S.*)")

_FEWEST_WORDS: Final = 2
"""An address and a suite; only a flat repository has no components."""


@attrs.frozen(kw_only=True)
class Archive:
    """An archive: its address, and how apt checks it."""

    uri: str
    options: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """deb822 fields, such as `Signed-By`."""

    def entry(self, suite: str, architecture: str) -> str:
        """Render the deb822 entry for one suite."""
        fields = {
            "Types": "deb",
            "URIs": self.uri,
            "Suites": suite,
            "Components": "main",
            "Architectures": architecture,
            **self.options,
        }
        return "".join(f"{name}: {value}\n" for name, value in fields.items())


@attrs.frozen(kw_only=True)
class _SourceEntry:
    uris: tuple[str, ...]
    suites: frozenset[str]
    components: frozenset[str]
    options: Mapping[str, str]


def find_archive(etc: Path = Path("/etc")) -> Archive | None:
    """Find Debian's main archive in the sources of apt.

    Args:
        etc: the directory that holds `apt` and `os-release`.

    Returns:
        The archive; `None` if the sources name none.
    """
    suites = MAIN_SUITES | {_code_name(etc)}
    found = [
        Archive(uri=uri, options=entry.options)
        for entry in _entries(etc / "apt")
        if entry.suites & suites and "main" in entry.components
        for uri in entry.uris
    ]
    return min(found, key=_foreignness, default=None)


def _foreignness(archive: Archive) -> int:
    """Rank an archive: other archives may use the same names for suites and components."""
    named = urlsplit(archive.uri).path.rstrip("/").endswith("debian")
    signed = "debian-archive" in archive.options.get("Signed-By", "debian-archive")
    return 2 - named - signed


def _code_name(etc: Path) -> str:
    release = _read(etc / "os-release")
    match = re.search(r'^VERSION_CODENAME="?([\w-]+)', release, flags=re.MULTILINE)
    return match[1] if match else "testing"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _entries(apt: Path) -> Iterator[_SourceEntry]:
    for path in (apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))):
        if path.suffix == ".sources":
            yield from _deb822_entries(_read(path))
        elif path.suffix == ".list":
            yield from _one_line_entries(_read(path))


def _one_line_entries(text: str) -> Iterator[_SourceEntry]:
    for line in text.splitlines():
        match = _A_ONE_LINE_ENTRY.fullmatch(line.partition("#")[0].strip())
        words = match["rest"].split() if match else []
        if match is None or len(words) < _FEWEST_WORDS:
            continue
        uri, suite, *components = words
        pairs = (option.partition("=") for option in (match["options"] or "").split())
        options = {name.lower(): value for name, _, value in pairs}
        yield _SourceEntry(
            uris=(uri,),
            suites=frozenset({suite}),
            components=frozenset(components),
            options={
                name: options[name.lower()].replace(",", " ")
                for name in _KEPT
                if name.lower() in options
            },
        )


def _deb822_entries(text: str) -> Iterator[_SourceEntry]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in re.split(r"\n[ \t]*\n", "\n".join(lines)):
        fields = _fields(stanza)
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes") != "no":
            yield _SourceEntry(
                uris=tuple(fields.get("uris", "").split()),
                suites=frozenset(fields.get("suites", "").split()),
                components=frozenset(fields.get("components", "").split()),
                options={name: fields[name.lower()] for name in _KEPT if name.lower() in fields},
            )


def _fields(stanza: str) -> dict[str, str]:
    """Read one stanza. Line breaks in values are kept, since a value may be a key block."""
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line[:1] in {" ", "\t"}:
            fields[name] = f"{fields.get(name, '')}\n{line}"
        else:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()
    return fields
