"""The interface of a backend: the part that speaks with a switch, and decides nothing.

A backend yields normalized events, executes commands, and can list the living legs. A third one is
an afternoon's work; `hookflash.testing.check_backend` checks it.

Its promises are in the docstrings below and in `hookflash.events`. In short:

* events of one leg come in the order in which they happened, from `LegCreated` to `LegHungUp`;
* the facts about existing legs come first, then `SwitchFound`; the same again after every
  `SwitchLost`, which may come before the first of them, and again if the reason changes;
* `snapshot` shows the marks that `Split` and `Dial` put on legs until `Forget` removes them;
* a `Look` is answered by `LegsSeen`, after every event that the switch has sent before;
* `perform` returns as soon as the command is sent. It reports nothing: the effect of a command
  comes back as an event, and a refusal by the switch as `CommandFailed`;
* commands for the same leg reach the switch in their order; commands for different legs may
  overtake one another;
* a `HangUp` of a leg that does not exist is answered by its `LegHungUp`, and so is a `Dial` that
  fails; but a `Dial` whose id belongs to a living leg comes back as `CommandFailed`, and that leg
  stays unchanged.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Final, Protocol, runtime_checkable

import attrs

from hookflash import events as e
from hookflash.commands import SwitchCommand
from hookflash.errors import BackendError
from hookflash.events import LegSnapshot
from hookflash.sounds import Conversation

__all__ = [
    "ANNOUNCED_AT_MOST_S",
    "ASKED_AGAIN_S",
    "END_LAGS_S",
    "ID_IN_USE",
    "LOST_TRACK",
    "Backend",
    "Capabilities",
    "LegSnapshot",
    "Rejected",
    "SwitchBackend",
    "facts_about",
    "facts_seen",
]

ANNOUNCED_AT_MOST_S: Final = 30
"""After this time a switch ends a sound in a conversation (`commands.Announce`)."""
ID_IN_USE: Final = "a leg with this id already exists"
"""Why a `Dial` fails whose id belongs to a living leg."""

LOST_TRACK: Final = "LOST_TRACK"
"""The cause of a hang-up that was not observed."""

END_LAGS_S: Final = 0.5
"""How long the event of a leg's end may lag behind an answer that denies the leg. (FreeSWITCH
1.10.12, with both processors busy: it lagged in 1 of 128 ends.)"""

ASKED_AGAIN_S: Final = 0.01
"""How soon a switch is asked again whose answer has overtaken the event of an end."""


def facts_about(living: Iterable[LegSnapshot]) -> Iterator[e.CallEvent]:
    """All facts about the living legs, as events: what a backend reports after it connects."""
    legs = {leg.leg: leg for leg in living}
    for leg in legs.values():
        yield e.LegCreated(
            leg=leg.leg,
            number=leg.number,
            direction=leg.direction,
            account=leg.account,
            owner_id=leg.owner_id,
            outside=leg.outside,
            may_transfer=leg.may_transfer,
            name=leg.name,
            withheld=leg.withheld,
        )
        if leg.answered:
            yield e.LegAnswered(leg=leg.leg)
    for leg in legs.values():
        if leg.peer in legs and leg.leg < (leg.peer or ""):
            yield e.LegsJoined(first=leg.leg, second=leg.peer or "")
        elif leg.parked:
            if not isinstance(leg.hears, Conversation):
                yield e.LegParked(leg=leg.leg, pick_up=leg.pick_up)
            if leg.hears is not None:
                yield e.SoundStarted(leg=leg.leg, sound=leg.hears)


def facts_seen(seen: e.LegsSeen) -> Iterator[e.CallEvent]:
    """The facts in the answer to a `Look`."""
    living = {leg.leg for leg in seen.living}
    yield from facts_about(seen.living)
    for leg in seen.living:
        if leg.elsewhere and leg.peer is None:
            yield e.LegMovedAway(leg=leg.leg)
    for gone in seen.look.legs:
        if gone not in living:
            yield e.LegHungUp(leg=gone, cause=LOST_TRACK)


@attrs.frozen(kw_only=True)
class Capabilities:
    """What a backend and its switch can do beyond the promises that every backend makes.

    Everything by default. `check_backend` demands exactly the capabilities that are stated.
    """

    rescues_when_left: bool = True
    """The switch itself carries out `rescue` when a conversation ends: `Join(rescue=…)`, and `Arm`
    with `Trigger.LEFT_ALONE`. It needs no controller for that."""
    rescues_on_answer: bool = True
    """The switch itself carries out `rescue` when a phone answers: `Arm` with
    `Trigger.ANSWER`."""
    marks_legs: bool = True
    """The switch keeps the marks of `Split` and `Dial`, and the snapshot shows them."""
    introduces: bool = True
    """`Introduce` reaches phones with a display."""
    keeps_discreet: bool = True
    """The switch shows a phone in `undisclosed` nothing about the party it is joined with."""
    withholds_keys: bool = True
    """`WithholdKeys` and `PassKeys` take effect."""
    reports_keys_in_calls: bool = True
    """The keys of a leg that is joined are reported."""
    reports_keys_of_parked: bool = True
    """The keys of a parked leg are reported."""
    numbers_keys: bool = True
    """Each `DigitPressed` has a serial number of its own."""
    reports_ringing: bool = True
    """`LegProgressed` is reported."""
    reports_early_media: bool = True
    """`LegProgressed` says when a phone sends early media."""
    reports_outside: bool = True
    """Legs that go over a trunk are reported as `outside`."""
    reports_moves: bool = True
    """When another program sends a leg elsewhere, the answer to `Look` says so (`elsewhere`)."""
    lists_sounds: bool = True
    """The snapshot shows what a parked leg hears (`hears`)."""


class Backend(Protocol):
    """A connection to a switch."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do beyond the promises that every backend makes. It never changes."""
        ...

    def events(self) -> AsyncIterator[e.CallEvent]:
        """Yield the events from now on, until the backend is closed.

        Called once. The iteration ends when the backend is closed; it raises `BackendClosed`
        when the switch is lost for good.
        """
        ...

    async def perform(self, command: SwitchCommand) -> None:
        """Send a command.

        It does not overtake an earlier command for one of the same legs.

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


class Rejected(BackendError):
    """The switch refuses the login, or lacks something that is needed.

    Somebody must fix that: a wrong password, an access list, a missing module. A program that opens
    a backend gets this error. Later, and in the service, the backend itself tries again, slowly.
    """


@runtime_checkable
class SwitchBackend(Backend, Protocol):
    """A backend that keeps a connection to a real switch, and reconnects when it breaks.

    A connection counts as broken, too, if the switch gives no sign of life for a few seconds.
    """

    on_answer: Callable[[SwitchCommand, float], None] | None
    """Optional callback that receives how long the switch took to answer a command, in seconds."""

    @property
    def reconnects(self) -> int:
        """How often the connection has been lost."""
        ...

    @property
    def dropped(self) -> int:
        """Events that were dropped because the engine did not take them in time."""
        ...

    async def run(self) -> None:
        """Keep a connection to the switch, until cancelled.

        While there is none, the reason is reported by `SwitchLost`, also if the switch rejects us.
        """
        ...
