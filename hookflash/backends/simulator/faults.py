"""What may go wrong between the switch and its controller: one record, nothing by default.

Two lines run between the two. The **event line** carries facts to the controller, the **command
line** carries commands to the switch; each is one socket, and so keeps its order, however late.
Faults stretch that as far as a real backend might, and no farther:

* facts of one leg never change their order, and a fact of two legs belongs to both;
* any single fact may be lost (FreeSWITCH drops events under load, and says so in its own log only);
* a repeated fact comes right behind the original, before anything newer of its legs;
* commands never overtake each other; but one may be lost, or refused.

The dice of the faults are their own, so that a fault more or less does not change what the switch
draws.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

import attrs

from hookflash import events as e
from hookflash.backends.simulator.switch import Thunk
from hookflash.commands import SwitchCommand
from hookflash.errors import InputError

HOLD_BACK_S: Final = 0.050
"""How long, at most, an event is held back so that those of other legs may overtake it."""

REPEAT_S: Final = 0.020
"""How long, at most, after its original a repeat comes."""

_MANY_LEGS: Final = 4096
"""From so many on, the times of legs that are over are forgotten."""

REFUSED: Final = "-ERR refused by an injected fault"


def _check_share(_record: object, field: attrs.Attribute[float], value: float) -> None:
    if not 0 <= value <= 1:
        raise InputError(f"{field.name}={value} is no probability", hint="0 to 1")


def _check_span(
    _record: object, field: attrs.Attribute[tuple[float, float]], value: tuple[float, float]
) -> None:
    shortest_s, longest_s = value
    if not 0 <= shortest_s <= longest_s < float("inf"):
        raise InputError(f"{field.name}={_span_text(value)} is no span", hint=_HINT_SPAN)


def _check_count(_record: object, field: attrs.Attribute[int | None], value: int | None) -> None:
    if value is not None and value < 0:
        raise InputError(f"{field.name}={value} is no number", hint="0 or more")


_HINT_SPAN: Final = "seconds: the longest, or the shortest..the longest, as in 0.05..0.2"


@attrs.frozen(kw_only=True)
class Faults:
    """What goes wrong, and how often."""

    seed: int = 0
    """Of the dice that decide it."""
    event_latency_s: tuple[float, float] = attrs.field(default=(0.0, 0.0), validator=_check_span)
    """How long an event is on its way: from, to."""
    command_latency_s: tuple[float, float] = attrs.field(default=(0.0, 0.0), validator=_check_span)
    """How long a command is on its way: from, to."""
    reorder: float = attrs.field(default=0.0, validator=_check_share)
    """How likely an event is held back, so that those of *other* legs overtake it."""
    duplicate: float = attrs.field(default=0.0, validator=_check_share)
    """How likely an event comes twice."""
    lose_command: float = attrs.field(default=0.0, validator=_check_share)
    """How likely a command never arrives."""
    fail_command: float = attrs.field(default=0.0, validator=_check_share)
    """How likely a command is refused, instead of being executed."""
    lose_at_most: int | None = attrs.field(default=None, validator=_check_count)
    """How many commands a run may lose or see refused, altogether; None: any number."""
    lose_event: float = attrs.field(default=0.0, validator=_check_share)
    """How likely an event never arrives."""
    lose_events_at_most: int | None = attrs.field(default=None, validator=_check_count)
    """How many events a run may lose by `lose_event`; None: any number."""
    lose_event_number: int | None = attrs.field(default=None, validator=_check_count)
    """The one event that is lost for certain, counted from 1 in the order of their sending; None or
    0: none is. Up to there a run is the same, so that a test may lose each event in turn."""

    @property
    def bend_events(self) -> bool:
        """Whether the event line does anything but deliver at once."""
        return (
            self.event_latency_s[1] > 0
            or self.reorder > 0
            or self.duplicate > 0
            or self.lose_event > 0
            or bool(self.lose_event_number)
        )

    @property
    def bend_commands(self) -> bool:
        """Whether the command line does anything but deliver at once."""
        return self.command_latency_s[1] > 0 or self.lose_command > 0 or self.fail_command > 0

    def __str__(self) -> str:
        """Write the faults as `parse_faults` reads them; those that are zero are left out."""
        return ",".join(
            f"{name}={write(getattr(self, field))}"
            for name, (field, _, write) in _KEYS.items()
            if getattr(self, field) != getattr(_NONE, field)
        )


_NONE: Final = Faults()


def parse_faults(text: str) -> Faults:
    """Read faults as people write them: `lose_command=0.1,event_latency=0.05..0.2`.

    Args:
        text: `name=value` pairs, with commas between them. `latency` stands for both latencies.
            Empty: no faults.

    Returns:
        The record.

    Raises:
        InputError: a name that is unknown or comes twice, or a value that is not allowed.
    """
    values: dict[str, object] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = (part.strip() for part in pair.partition("="))
        names = ("event_latency", "command_latency") if name == "latency" else (name,)
        for one in names:
            if one not in _KEYS:
                raise InputError(f"there is no fault {name!r}", hint=f"one of {_ALL_KEYS}")
            field, read, _ = _KEYS[one]
            if field in values:
                raise InputError(f"{one} is given twice", hint="give it once")
            values[field] = read(name, value)
    return Faults(**values)  # pyright: ignore[reportArgumentType]  # by name, each of its own type


def _read_share(name: str, value: str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise InputError(f"{name}={value} is no probability", hint="0 to 1")
    return share


def _read_span(name: str, value: str) -> tuple[float, float]:
    shortest, dots, longest = value.partition("..")
    try:
        span = (float(shortest), float(longest)) if dots else (0.0, float(shortest))
    except ValueError:
        span = (-1.0, -1.0)
    if not 0 <= span[0] <= span[1] < float("inf"):
        raise InputError(f"{name}={value} is no span", hint=_HINT_SPAN)
    return span


def _read_count(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit()):
        raise InputError(f"{name}={value} is no number", hint="a whole number, 0 or more")
    return int(value)


def _span_text(span: tuple[float, float]) -> str:
    return f"{span[0]!r}..{span[1]!r}"


_KEYS: Final[dict[str, tuple[str, Callable[[str, str], object], Callable[..., str]]]] = {
    "seed": ("seed", _read_count, str),
    "event_latency": ("event_latency_s", _read_span, _span_text),
    "command_latency": ("command_latency_s", _read_span, _span_text),
    "reorder": ("reorder", _read_share, repr),
    "duplicate": ("duplicate", _read_share, repr),
    "lose_command": ("lose_command", _read_share, repr),
    "fail_command": ("fail_command", _read_share, repr),
    "lose_at_most": ("lose_at_most", _read_count, str),
    "lose_event": ("lose_event", _read_share, repr),
    "lose_events_at_most": ("lose_events_at_most", _read_count, str),
    "lose_event_number": ("lose_event_number", _read_count, str),
}
"""Of each name that people write: the field, how it is read, and how it is written."""

_ALL_KEYS: Final = ", ".join(["latency", *_KEYS])


class EventLine:
    """The way of the facts, from the switch to the controller."""

    def __init__(
        self,
        faults: Faults,
        *,
        now: Callable[[], float],
        at: Callable[[float, Thunk], None],
        deliver: Callable[[e.CallEvent], None],
    ) -> None:
        """Lay the line.

        Args:
            faults: what goes wrong on it.
            now: the world's clock.
            at: has a thunk called at a time; two of the same time in the order they were given.
            deliver: the controller's door.
        """
        self._faults = faults
        self._now = now
        self._at = at
        self._deliver = deliver
        self._dice = random.Random(f"events {faults.seed}")
        self._losses = random.Random(f"lost events {faults.seed}")
        self.sent = 0
        """How many events have been sent so far, those that were lost included."""
        self.lost = 0
        """How many events have been lost by chance so far."""
        self._socket_s = 0.0
        """Until when the socket is taken by what was sent before."""
        self.legs_s: dict[e.LegId, float] = {}
        """Until when each leg's facts are."""

    def send(self, event: e.CallEvent) -> None:
        """Put an event on its way."""
        faults, dice = self._faults, self._dice
        self.sent += 1
        if self._is_lost():
            return
        arrives_s = max(self._now() + dice.uniform(*faults.event_latency_s), self._socket_s)
        self._socket_s = arrives_s
        legs = legs_of(event)
        if faults.reorder and dice.random() < faults.reorder:
            arrives_s += dice.uniform(0.0, HOLD_BACK_S)
        for leg in legs:
            arrives_s = max(arrives_s, self.legs_s.get(leg, 0.0))
        self._at(arrives_s, lambda: self._deliver(event))
        if faults.duplicate and dice.random() < faults.duplicate:
            arrives_s += dice.uniform(0.0, REPEAT_S)
            self._at(arrives_s, lambda: self._deliver(event))
        for leg in legs:
            self.legs_s[leg] = arrives_s
        if len(self.legs_s) > _MANY_LEGS:
            now_s = self._now()
            self.legs_s = {leg: at_s for leg, at_s in self.legs_s.items() if at_s > now_s}

    def _is_lost(self) -> bool:
        faults = self._faults
        if self.sent == faults.lose_event_number:
            return True
        limit = faults.lose_events_at_most
        if not faults.lose_event or (limit is not None and self.lost >= limit):
            return False
        is_lost = self._losses.random() < faults.lose_event
        self.lost += is_lost
        return is_lost


def legs_of(event: e.CallEvent) -> tuple[e.LegId, ...]:
    """Name the legs whose order an event belongs to."""
    if isinstance(event, e.LegsJoined | e.LegsSeparated | e.LegsReleased):
        return (event.first, event.second)
    if isinstance(event, e.LegsSeen):
        return tuple(leg.leg for leg in event.living) + event.look.legs
    if isinstance(event, e.CommandFailed | e.SwitchLost | e.SwitchFound):
        return ()
    return (event.leg,)


class CommandLine:
    """The way of the commands, from the controller to the switch."""

    def __init__(
        self,
        faults: Faults,
        *,
        now: Callable[[], float],
        at: Callable[[float, Thunk], None],
        perform: Callable[[SwitchCommand], None],
        report: Callable[[e.CallEvent], None],
    ) -> None:
        """Lay the line.

        Args:
            faults: what goes wrong on it.
            now: the world's clock.
            at: has a thunk called at a time; two of the same time in the order they were given.
            perform: the switch's door.
            report: is told of a command that is refused.
        """
        self._faults = faults
        self._now = now
        self._at = at
        self._perform = perform
        self._report = report
        self._dice = random.Random(f"commands {faults.seed}")
        self._socket_s = 0.0
        self.lost = 0
        """How many commands have been lost or refused so far."""

    def send(self, command: SwitchCommand) -> None:
        """Put a command on its way, to whatever end."""
        faults, dice = self._faults, self._dice
        self._socket_s = max(self._now() + dice.uniform(*faults.command_latency_s), self._socket_s)
        if self._falls(faults.lose_command):
            return
        if self._falls(faults.fail_command):
            refusal = e.CommandFailed(command=command, reason=REFUSED)
            self._at(self._socket_s, lambda: self._report(refusal))
        else:
            self._at(self._socket_s, lambda: self._perform(command))

    def _falls(self, probability: float) -> bool:
        limit = self._faults.lose_at_most
        if not probability or (limit is not None and self.lost >= limit):
            return False
        falls = self._dice.random() < probability
        self.lost += falls
        return falls
