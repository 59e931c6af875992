"""Which events a connection gets: by name, by subclass, by filters, or of one leg."""

from __future__ import annotations

import re
from typing import Final

from hookflash.emulator.events import EVENT_NAMES, FreeSwitchEvent, read_event_name
from hookflash.events import LegId

_MY_EVENTS: Final = frozenset(
    """
    CHANNEL_ANSWER CHANNEL_APPLICATION CHANNEL_BRIDGE CHANNEL_CREATE CHANNEL_DATA CHANNEL_DESTROY
    CHANNEL_EXECUTE CHANNEL_EXECUTE_COMPLETE CHANNEL_HANGUP CHANNEL_HANGUP_COMPLETE
    CHANNEL_ORIGINATE CHANNEL_UUID CHANNEL_OUTGOING CHANNEL_PARK CHANNEL_PROGRESS
    CHANNEL_PROGRESS_MEDIA CHANNEL_STATE CHANNEL_UNBRIDGE CHANNEL_UNPARK DETECTED_SPEECH DTMF
    NOTALK TALK
    """.split()  # noqa: SIM905 - so many quoted strings read worse
)
_MOST_FILTERS: Final = 1000


class EventSelection:
    """The subscription of one connection. Its methods return the switch's reply."""

    def __init__(self) -> None:
        """Begin without events."""
        self.format = "plain"
        self.leg: LegId | None = None
        """The leg that is followed (`myevents`)."""
        self.follows = False
        self._listening = False
        self._names: set[str] = set()
        self._subclasses: set[str] = set()
        self._filters: list[tuple[str, str]] = []

    def wants(self, name: str) -> bool:
        """Whether events of this name may be sent; `passes` checks the filters too."""
        return self._listening and name in self._names

    def passes(self, event: FreeSwitchEvent) -> bool:
        """Whether no filter excludes an event."""
        subclass = event.get("Event-Subclass") if event.name == "CUSTOM" else ""
        if subclass and "ALL" not in self._names and subclass not in self._subclasses:
            return False
        if self.follows and event.get("Unique-ID") != self.leg:
            return False
        if not self._filters:
            return True
        passes = False
        for name, wanted in self._filters:
            value = event.get(name)
            if not value:
                continue
            pattern = wanted.lstrip("+- ")
            unwanted = "-" in wanted[: len(wanted) - len(pattern)]
            if _matches(pattern, value):
                if unwanted:
                    return False
                passes = True
        return passes

    def add(self, names: list[str]) -> str:
        """Subscribe (`event`): a format, names, and subclasses after CUSTOM."""
        if names[0].lower() == "xml":
            return "-ERR xml is not emulated"
        if names[0].lower() in {"plain", "json"}:
            self.format = names.pop(0).lower()
        known, subclasses = _read_names(names)
        if not known:
            return "-ERR no keywords supplied"
        self._names |= EVENT_NAMES if "ALL" in known else known
        self._subclasses |= subclasses
        self._listening = True
        return f"+OK event listener enabled {self.format}"

    def remove(self, names: list[str]) -> str:
        """Unsubscribe from some events (`nixevent`)."""
        known, subclasses = _read_names(names)
        if not known:
            return "-ERR no keywords supplied"
        self._names -= EVENT_NAMES if "ALL" in known else (known - {"CUSTOM"}) | {"ALL"}
        self._subclasses -= subclasses
        self._listening = True
        return "+OK events nixed"

    def clear(self) -> str:
        """Unsubscribe from all events (`noevents`)."""
        if not self._listening:
            return "-ERR not listening for events"
        self._listening = False
        self._names.clear()
        self._subclasses.clear()
        return "+OK no longer listening for events"

    def filter(self, rest: str) -> str:
        """Add a filter or delete some (`filter`)."""
        name, space, value = rest.lstrip(" ").partition(" ")
        if not space:
            return "-ERR invalid syntax"
        if name.lower() == "delete":
            name, space, value = value.partition(" ")
            if name.lower() == "all":
                self._filters.clear()
            self._filters = [
                (other, wanted)
                for other, wanted in self._filters
                if other.lower() != name.lower() or (space and wanted != value)
            ]
            return f"+OK filter deleted. [{name}][{value}]"
        if name.lower() == "add":
            name, _, value = value.partition(" ")
        if len(self._filters) >= _MOST_FILTERS:
            return "-ERR too many filters"
        self._filters.append((name, value))
        return f"+OK filter added. [{name}]=[{value}]"

    def follow(self, leg: LegId | None, form: str) -> str:
        """Subscribe to the events of a leg (`myevents`); None: a leg that does not exist."""
        self.leg = leg
        self.follows = True
        self._listening = True
        self._names |= _MY_EVENTS
        if form.lower() in {"plain", "json"}:
            self.format = form.lower()
        return "+OK Events Enabled"


def _read_names(names: list[str]) -> tuple[set[str], set[str]]:
    """Read names of events, and of subclasses after CUSTOM. Unknown names are ignored."""
    known: set[str] = set()
    subclasses: set[str] = set()
    for word in names:
        if "CUSTOM" in known:
            subclasses.add(word)
        elif name := read_event_name(word):
            known.add(name)
    return known, subclasses


def _matches(pattern: str, value: str) -> bool:
    """Match a filter's value, ignoring case, or by a regular expression between slashes."""
    if not pattern.startswith("/"):
        return pattern.lower() == value.lower()
    expression, _, flags = pattern[1:].rpartition("/")
    try:
        return bool(re.search(expression or flags, value, re.IGNORECASE if "i" in flags else 0))
    except re.error:
        return False
