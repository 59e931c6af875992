"""The lab: a backend under test, and the people on its switch.

The author of a backend writes one, derived from `Lab`. It needs four numbers or sounds and three
actions; everything else is optional. What a lab leaves out is reported as not checked.
"""

from __future__ import annotations

import abc
from contextlib import AbstractAsyncContextManager
from typing import Final

from hookflash.backends.base import Backend
from hookflash.events import LegId
from hookflash.sounds import Sound, parse_sound

ENDLESS_RINGBACK: Final = parse_sound("tone:440/1000,0/1000")
"""An endless sound other than a lab's music."""

SHORT_TONE: Final = parse_sound("tone:620/300,0/200*2")
"""A sound that ends by itself, after `SHORT_TONE_S`."""

SHORT_TONE_S: Final = 1.0


class NotInThisLab(Exception):
    """The lab lacks something. The checks that need it are reported as not made."""


class Lab(abc.ABC):
    """A backend under test, and the people on its switch."""

    backend: Backend
    """The backend, open."""

    answering: str
    """A number that rings, and answers within a few seconds."""
    busy: str
    """A number that is busy."""
    never: str
    """A number that rings for ever."""
    music: Sound
    """An endless sound that the switch has."""

    ringback: Sound = ENDLESS_RINGBACK
    """Another endless sound."""
    tone: Sound = SHORT_TONE
    """A sound that ends by itself."""
    tone_s: float = SHORT_TONE_S
    """Its duration."""

    calls_at_once: int = 1
    """How many calls the lab can hold at once. With more than one, independent checks share a lab
    and run side by side. Otherwise a fresh lab is opened for each check."""
    prompt_s: float = 1.5
    """How long the switch may take to execute a command, and the backend to report a fact."""

    # ------------------------------------------------------------------- optional numbers

    caller: str = ""
    """The caller's number in `call`."""
    called: str = ""
    """The called number in `call`."""
    early_media: str = ""
    """A number that sends early media before it answers."""
    outside: str = ""
    """A number that is reached over a trunk, and rings."""

    # ------------------------------------------------------------------- what people do

    @abc.abstractmethod
    async def call(self) -> tuple[LegId, LegId]:
        """Place an ordinary call; return both legs, the caller's first, when the two talk."""

    @abc.abstractmethod
    async def hang_up(self, leg: LegId) -> None:
        """Let the party on a leg hang up."""

    @abc.abstractmethod
    async def press(self, leg: LegId, digit: str) -> None:
        """Let the party on a leg press one key."""

    # ------------------------------------------------------------------- optional abilities

    async def number_shown(self, leg: LegId) -> str:  # noqa: ARG002
        """The number of the other party that the phone on a leg shows."""
        raise NotInThisLab("what a phone shows")

    async def keys_heard(self, leg: LegId) -> str:  # noqa: ARG002
        """The keys that the phone on a leg has received from the switch so far."""
        raise NotInThisLab("the keys that a phone receives")

    async def take_away(self, leg: LegId) -> None:  # noqa: ARG002
        """Let another program send a parked leg elsewhere."""
        raise NotInThisLab("another program that moves legs")

    async def cut_line(self) -> None:
        """Cut the connection between backend and switch. It comes back by itself after a moment."""
        raise NotInThisLab("a connection that can be cut")

    def second(self) -> AbstractAsyncContextManager[Backend]:
        """Open a second backend on the same switch, as a restarted controller would."""
        raise NotInThisLab("a second backend on the same switch")
