"""The player: performs the lines of a script in order, each at its time.

It does no I/O and has no clock. A `Rig` gives it both: the simulator, the emulator, or a real
switch with real telephones. So a script means the same everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

import attrs

from hookflash.scenarios.script import ScriptLine, Verb


class Rig(Protocol):
    """A test rig that plays scripts, with telephones and a way to request transfers."""

    @property
    def now_s(self) -> float:
        """The time."""
        ...

    def after(self, delay_s: float, do: Callable[[], None], /) -> None:
        """Schedule a callback after some seconds. Never at once, not even after 0 s."""
        ...

    def perform(self, line: ScriptLine, done: Callable[[], None]) -> None:
        """Perform a line, and call back when it is done. Its keys are a single one."""
        ...


class Player:
    """Plays one script.

    A line waits for its time (`at_s`), for an event (`when`), or for the line before it. A line
    that waits for an event begins to wait when the line before it is performed, so that this line
    may cause the event.
    """

    def __init__(
        self,
        script: Sequence[ScriptLine],
        rig: Rig,
        *,
        lacks: Mapping[Verb, str] | None = None,
    ) -> None:
        """Prepare.

        Args:
            script: the lines.
            rig: the rig that plays them.
            lacks: verbs that can't be performed there, and why. Their lines are omitted.
        """
        lacks = lacks or {}
        self._script = [line for line in script if line.verb not in lacks]
        self.left_out = [(line, lacks[line.verb]) for line in script if line.verb in lacks]
        """Lines that are not played, and why."""
        self.is_done = False
        """Whether the last line is done."""
        self._rig = rig
        self._began_s = 0.0
        self._waits: int | None = None
        """The index of the line that waits for an event."""

    def begin(self) -> None:
        """Begin with the first line. The time of the script begins now."""
        self._began_s = self._rig.now_s
        self._go_to(0)

    def happens(self, *happenings: str) -> None:
        """Handle an event, in the terms of `when`."""
        if self._waits is not None and self._script[self._waits].when in happenings:
            self.wait_no_more()

    def wait_no_more(self) -> None:
        """Continue as if the event had occurred for which the next line waits."""
        if self._waits is not None:
            place, self._waits = self._waits, None
            # never within the event itself: people react to what has happened
            self._rig.after(self._script[place].after_s, partial(self._play, place))

    def _go_to(self, place: int) -> None:
        if place >= len(self._script):
            self.is_done = True
            return
        line = self._script[place]
        if line.when is not None:
            self._waits = place
            if line.or_after_s is not None:
                self._rig.after(line.or_after_s, partial(self._at_the_latest, place))
        elif line.at_s is not None:
            delay_s = max(0.0, self._began_s + line.at_s - self._rig.now_s)
            self._rig.after(delay_s, partial(self._play, place))
        elif line.after_s:
            self._rig.after(line.after_s, partial(self._play, place))
        else:
            self._play(place)

    def _at_the_latest(self, place: int) -> None:
        if self._waits == place:
            self._waits = None
            self._play(place)

    def _play(self, place: int) -> None:
        line = self._script[place]
        if line.dials is None:
            self._perform(line, place)
        else:
            self._dial(line, place)

    def _dial(self, line: ScriptLine, place: int) -> None:
        keys = line.dials or ""
        key, rest = attrs.evolve(line, dials=keys[0]), attrs.evolve(line, dials=keys[1:])
        if rest.dials:
            next_key = partial(self._dial, rest, place)
            after = partial(self._rig.after, line.every_s, next_key)
            self._rig.perform(key, after)
        else:
            self._perform(key, place)

    def _perform(self, line: ScriptLine, place: int) -> None:
        following = self._script[place + 1 : place + 2]
        if following and following[0].when is not None:
            self._go_to(place + 1)  # first: its cue may come from this very line
            self._rig.perform(line, _nothing)
        else:
            self._rig.perform(line, partial(self._go_to, place + 1))


def _nothing() -> None:
    return
