"""What a backend is: the part that speaks with a switch, and decides nothing.

A backend yields normalized events, executes commands, and can list what lives. A third one is an
afternoon's work; `hookflash.testing.check_backend` tells when it is right.

The promises that it makes stand in the docstrings below and in `hookflash.events`. In short:

* events of one leg come in the order in which they happened, from `LegCreated` to `LegHungUp`;
* first come the facts about what lives already, then `SwitchFound`; the same again after every
  `SwitchLost`;
* the marks that `Split` and `Dial` put on legs stand in `snapshot` until `Forget` takes them off;
* a `Look` is answered by `LegsSeen`, behind every event that the switch has sent before;
* `perform` returns as soon as the command is on its way. It reports nothing: what comes of a
  command comes back as an event, and one that the switch refuses as `CommandFailed`;
* commands that concern the same leg reach the switch in the order in which they were given; others
  may overtake one another;
* a `HangUp` of a leg that is not there is answered by its `LegHungUp`, and so is a `Dial` that
  comes to nothing; but a `Dial` whose id belongs to a living leg comes back as `CommandFailed`, and
  that leg stays as it is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Final, Protocol, runtime_checkable

import attrs

from hookflash import events as e
from hookflash.commands import SwitchCommand
from hookflash.errors import BackendError
from hookflash.events import LegSnapshot

__all__ = [
    "ID_IN_USE",
    "LOST_TRACK",
    "Backend",
    "Capabilities",
    "LegSnapshot",
    "Rejected",
    "SwitchBackend",
    "tell",
    "tell_seen",
]

ID_IN_USE: Final = "a leg of this id lives already"
"""Why a `Dial` fails whose id belongs to a living leg."""

LOST_TRACK: Final = "LOST_TRACK"
"""The cause of a leg's end that nobody saw."""


def tell(living: Iterable[LegSnapshot]) -> Iterator[e.CallEvent]:
    """Every fact about the legs that live, as events: what a backend tells when it is found."""
    legs = {leg.leg: leg for leg in living}
    for leg in legs.values():
        yield e.LegCreated(
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
            yield e.LegAnswered(leg=leg.leg)
    for leg in legs.values():
        if leg.peer in legs and leg.leg < (leg.peer or ""):
            yield e.LegsJoined(first=leg.leg, second=leg.peer or "")
        elif leg.parked:
            yield e.LegParked(leg=leg.leg)
            if leg.hears is not None:
                yield e.SoundStarted(leg=leg.leg, sound=leg.hears)


def tell_seen(seen: e.LegsSeen) -> Iterator[e.CallEvent]:
    """What the answer to a question comes to, as facts."""
    living = {leg.leg for leg in seen.living}
    yield from tell(seen.living)
    for leg in seen.living:
        if leg.elsewhere and leg.peer is None:
            yield e.LegMovedAway(leg=leg.leg)
    for gone in seen.look.legs:
        if gone not in living:
            yield e.LegHungUp(leg=gone, cause=LOST_TRACK)


@attrs.frozen(kw_only=True)
class Capabilities:
    """What a backend and its switch can do beyond the promises that every backend makes.

    Everything by default. A backend that cannot do one of these says so, and then need not:
    `check_backend` demands exactly what is stated.
    """

    rescues_when_left: bool = True
    """The switch itself carries out `rescue` when a conversation ends: `Join(rescue=…)`, and `Arm`
    with `Trigger.LEFT_ALONE`. It needs no controller for that."""
    rescues_on_answer: bool = True
    """The switch itself carries out `rescue` when a phone answers: `Dial(rescue=…)`, and `Arm`
    with `Trigger.ANSWER`."""
    marks_legs: bool = True
    """The marks of `Split` and `Dial` are kept by the switch, and stand in the snapshot."""
    introduces: bool = True
    """`Introduce` reaches phones that can show it."""
    keeps_discreet: bool = True
    """The switch tells a phone in `undisclosed` nothing about the party it is joined with."""
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
    """The snapshot says what a parked leg hears (`hears`)."""


class Backend(Protocol):
    """A way to a switch."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do beyond the promises that every backend makes. It never changes."""
        ...

    def events(self) -> AsyncIterator[e.CallEvent]:
        """What happens, from now on, until the backend is closed.

        Called once. The iteration ends when the backend is closed; it raises `BackendClosed`
        when the way to the switch is lost for good.
        """
        ...

    async def perform(self, command: SwitchCommand) -> None:
        """Send a command on its way.

        It does not overtake a command that was given before and concerns one of the same legs.

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
    """The switch does not let us in, or lacks something that we need.

    Retrying is pointless until that is fixed: a wrong password, an access list, a missing module.
    """


@runtime_checkable
class SwitchBackend(Backend, Protocol):
    """A backend that keeps a line to a real switch by itself, and comes back when it breaks."""

    on_answer: Callable[[SwitchCommand, float], None] | None
    """Optional callback that receives how long the switch took to answer a command, in seconds."""
    reconnects: int
    """How often the line has died."""

    @property
    def dropped(self) -> int:
        """Events that were dropped because nobody took them in time."""
        ...

    async def run(self) -> None:
        """Keep a line to the switch, until cancelled.

        Raises:
            Rejected: the switch does not let us in.
        """
        ...
