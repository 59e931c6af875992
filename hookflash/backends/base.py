"""What a backend is: the part that speaks with a switch, and decides nothing.

A backend yields normalized events, executes commands, and can list what lives. A third one is an
afternoon's work; `hookflash.testing.check_backend` tells when it is right.

The promises that it makes stand in the docstrings below and in `hookflash.events`. In short:

* events of one leg come in the order in which they happened, from `LegCreated` to `LegHungUp`;
* `perform` returns as soon as the command is on its way. It reports nothing: what comes of a
  command comes back as an event, and one that the switch refuses as `CommandFailed`;
* commands reach the switch in the order in which they were given;
* a `HangUp` of a leg that is not there is answered by its `LegHungUp`, and so is a `Dial` that
  comes to nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import attrs

from hookflash.commands import SwitchCommand
from hookflash.events import CallEvent, Direction, LegId


@attrs.frozen(kw_only=True)
class LegSnapshot:
    """One living leg, as the switch sees it now."""

    leg: LegId
    number: str
    direction: Direction
    account: str = ""
    answered: bool = False
    parked: bool = False
    peer: LegId | None = None
    """With whom it is joined."""
    hears: str | None = None
    """The sound that is played to it."""


class Backend(Protocol):
    """A way to a switch."""

    def events(self) -> AsyncIterator[CallEvent]:
        """What happens, from now on, until the backend is closed.

        Called once. The iteration ends when the backend is closed; it raises `BackendClosed`
        when the way to the switch is lost for good.
        """
        ...

    async def perform(self, command: SwitchCommand) -> None:
        """Send a command on its way.

        Raises:
            BackendClosed: it can't be sent at all.
        """
        ...

    async def snapshot(self) -> tuple[LegSnapshot, ...]:
        """List every leg that lives on the switch.

        Raises:
            BackendClosed: the switch can't be asked.
        """
        ...
