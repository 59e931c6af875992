"""What a backend is: the part that speaks with a switch, and decides nothing.

A backend yields normalized events, executes commands, and can list what lives. A third one is an
afternoon's work; `hookflash.testing.check_backend` tells when it is right.

The promises that it makes stand in the docstrings below and in `hookflash.events`. In short:

* events of one leg come in the order in which they happened, from `LegCreated` to `LegHungUp`;
* first come the facts about what lives already, then `SwitchFound`; the same again after every
  `SwitchLost`;
* the marks that `Split` and `Dial` put on legs stand in `snapshot` until `Forget` takes them off;
* `perform` returns as soon as the command is on its way. It reports nothing: what comes of a
  command comes back as an event, and one that the switch refuses as `CommandFailed`;
* commands reach the switch in the order in which they were given;
* a `HangUp` of a leg that is not there is answered by its `LegHungUp`, and so is a `Dial` that
  comes to nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Protocol

import attrs

from hookflash.commands import SwitchCommand
from hookflash.events import (
    CallEvent,
    Direction,
    LegAnswered,
    LegCreated,
    LegId,
    LegParked,
    LegsJoined,
)


@attrs.frozen(kw_only=True)
class LegSnapshot:
    """One living leg, as the switch sees it now."""

    leg: LegId
    number: str
    direction: Direction
    account: str = ""
    outside: bool = False
    may_transfer: bool | None = None
    answered: bool = False
    parked: bool = False
    peer: LegId | None = None
    """With whom it is joined."""
    hears: str | None = None
    """The sound that is played to it."""
    transfer: str = ""
    """The transfer whose mark it carries."""
    role: str = ""
    """Its part in that transfer: `transferor`, `transferee` or `target`."""
    kind: str = ""
    """What kind of transfer that is: `attended`, `blind` or `hold`."""
    name: str = ""
    """How the party calls itself, where the switch says so."""
    withheld: bool = False
    """Whether it wants that, and its number, shown to nobody."""


def tell(living: Iterable[LegSnapshot]) -> Iterator[CallEvent]:
    """Every fact about the legs that live, as events: what a backend tells when it is found."""
    legs = {leg.leg: leg for leg in living}
    for leg in legs.values():
        yield LegCreated(
            leg=leg.leg,
            number=leg.number,
            direction=leg.direction,
            account=leg.account,
            outside=leg.outside,
            may_transfer=leg.may_transfer,
            name=leg.name,
            withheld=leg.withheld,
        )
        if leg.answered:
            yield LegAnswered(leg=leg.leg)
    for leg in legs.values():
        if leg.peer in legs and leg.leg < (leg.peer or ""):
            yield LegsJoined(first=leg.leg, second=leg.peer or "")
        elif leg.parked:
            yield LegParked(leg=leg.leg)


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
