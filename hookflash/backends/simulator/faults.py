"""Faults between the switch and its controller: one record, no faults by default.

Two lines connect the two. The **event line** carries facts to the controller, the **command line**
carries commands to the switch. Each is one socket, and so keeps its order, even if it is late. The
faults are those of a real backend, and no others:

* facts of one leg never change their order, and a fact of two legs belongs to both;
* any single fact may be lost (FreeSWITCH drops events under load, and reports it only in its log);
* a repeated fact follows the original directly, before any newer fact of its legs;
* commands never overtake each other, but may be lost or refused.

Faults have their own random numbers, so that they do not change those of the switch.
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
"""How long, at most, an event is held back so that events of other legs overtake it."""

REPEAT_S: Final = 0.020
"""How long after the original, at most, a repetition comes."""

_MANY_LEGS: Final = 4096
"""From this number on, the times of ended legs are dropped."""

REFUSED: Final = "-ERR refused by an injected fault"


def _check_share(_record: object, field: attrs.Attribute[float], value: float) -> None:
    if not 0 <= value <= 1:
        raise InputError(f"{field.name}={value} is not a probability", hint="0 to 1")


def _check_span(
    _record: object, field: attrs.Attribute[tuple[float, float]], value: tuple[float, float]
) -> None:
    shortest_s, longest_s = value
    if not 0 <= shortest_s <= longest_s < float("inf"):
        raise InputError(f"{field.name}={_span_text(value)} is not a time span", hint=_HINT_SPAN)


def _check_count(_record: object, field: attrs.Attribute[int | None], value: int | None) -> None:
    if value is not None and value < 0:
        raise InputError(f"{field.name}={value} is not a number", hint="0 or more")


_HINT_SPAN: Final = "seconds: the longest, or the shortest..the longest, as in 0.05..0.2"


@attrs.frozen(kw_only=True)
class Faults:
    """The faults, and how often they occur."""

    seed: int = 0
    """The seed of the faults' random numbers."""
    event_latency_s: tuple[float, float] = attrs.field(default=(0.0, 0.0), validator=_check_span)
    """The delay of an event: from, to."""
    command_latency_s: tuple[float, float] = attrs.field(default=(0.0, 0.0), validator=_check_span)
    """The delay of a command: from, to."""
    reorder: float = attrs.field(default=0.0, validator=_check_share)
    """The probability that an event is held back, so that events of *other* legs overtake it."""
    duplicate: float = attrs.field(default=0.0, validator=_check_share)
    """The probability that an event comes twice."""
    lose_command: float = attrs.field(default=0.0, validator=_check_share)
    """The probability that a command is lost."""
    fail_command: float = attrs.field(default=0.0, validator=_check_share)
    """The probability that a command is refused instead of executed."""
    lose_at_most: int | None = attrs.field(default=None, validator=_check_count)
    """The total number of commands that may be lost or refused in a run; None: no limit."""
    lose_event: float = attrs.field(default=0.0, validator=_check_share)
    """The probability that an event is lost."""
    lose_events_at_most: int | None = attrs.field(default=None, validator=_check_count)
    """The number of events that `lose_event` may lose in a run; None: no limit."""
    lose_event_number: int | None = attrs.field(default=None, validator=_check_count)
    """The event that is lost for certain, counted from 1 in the order of sending; None or 0: no
    event. Up to there the run stays the same, so that a test can lose each event in turn."""

    @property
    def bend_events(self) -> bool:
        """Whether the event line does more than deliver at once."""
        return (
            self.event_latency_s[1] > 0
            or self.reorder > 0
            or self.duplicate > 0
            or self.lose_event > 0
            or bool(self.lose_event_number)
        )

    @property
    def bend_commands(self) -> bool:
        """Whether the command line does more than deliver at once."""
        return self.command_latency_s[1] > 0 or self.lose_command > 0 or self.fail_command > 0

    def __str__(self) -> str:
        """Write the faults for `parse_faults`; zeros are left out."""
        return ",".join(
            f"{name}={write(getattr(self, field))}"
            for name, (field, _, write) in _KEYS.items()
            if getattr(self, field) != getattr(_NONE, field)
        )


_NONE: Final = Faults()


def parse_faults(text: str) -> Faults:
    """Read faults as people write them: `lose_command=0.1,event_latency=0.05..0.2`.

    Args:
        text: `name=value` pairs, separated by commas. `latency` sets both latencies. Empty: no
            faults.

    Returns:
        The record.

    Raises:
        InputError: a name is unknown or repeated, or a value is not allowed.
    """
    values: dict[str, object] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = (part.strip() for part in pair.partition("="))
        names = ("event_latency", "command_latency") if name == "latency" else (name,)
        for one in names:
            if one not in _KEYS:
                raise InputError(f"unknown fault {name!r}", hint=f"one of {_ALL_KEYS}")
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
        raise InputError(f"{name}={value} is not a probability", hint="0 to 1")
    return share


def _read_span(name: str, value: str) -> tuple[float, float]:
    shortest, dots, longest = value.partition("..")
    try:
        span = (float(shortest), float(longest)) if dots else (0.0, float(shortest))
    except ValueError:
        span = (-1.0, -1.0)
    if not 0 <= span[0] <= span[1] < float("inf"):
        raise InputError(f"{name}={value} is not a time span", hint=_HINT_SPAN)
    return span


def _read_count(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit()):
        raise InputError(f"{name}={value} is not a number", hint="a whole number, 0 or more")
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
"""For each name: the field, and the functions that read and write it."""

_ALL_KEYS: Final = ", ".join(["latency", *_KEYS])


class EventLine:
    """The line for facts, from the switch to the controller."""

    def __init__(
        self,
        faults: Faults,
        *,
        now: Callable[[], float],
        at: Callable[[float, Thunk], None],
        deliver: Callable[[e.CallEvent], None],
    ) -> None:
        """Set up the line.

        Args:
            faults: the faults on it.
            now: the world's clock.
            at: schedules a thunk; two for the same time run in the order of scheduling.
            deliver: receives the events for the controller.
        """
        self._faults = faults
        self._now = now
        self._at = at
        self._deliver = deliver
        self._dice = random.Random(f"events {faults.seed}")
        self._losses = random.Random(f"lost events {faults.seed}")
        self.sent = 0
        """How many events have been sent so far, including lost ones."""
        self.lost = 0
        """How many events `lose_event` has lost so far."""
        self._socket_s = 0.0
        """Until when the socket is busy with earlier events."""
        self.legs_s: dict[e.LegId, float] = {}
        """Until when earlier facts of each leg are on their way."""

    def send(self, event: e.CallEvent) -> None:
        """Send an event."""
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
    """Return the legs of an event, whose order it must keep."""
    if isinstance(event, e.LegsJoined | e.LegsSeparated | e.LegsReleased):
        return (event.first, event.second)
    if isinstance(event, e.LegsSeen):
        return tuple(leg.leg for leg in event.living) + event.look.legs
    if isinstance(event, e.CommandFailed | e.SwitchLost | e.SwitchFound):
        return ()
    return (event.leg,)


class CommandLine:
    """The line for commands, from the controller to the switch."""

    def __init__(
        self,
        faults: Faults,
        *,
        now: Callable[[], float],
        at: Callable[[float, Thunk], None],
        perform: Callable[[SwitchCommand], None],
        report: Callable[[e.CallEvent], None],
    ) -> None:
        """Set up the line.

        Args:
            faults: the faults on it.
            now: the world's clock.
            at: schedules a thunk; two for the same time run in the order of scheduling.
            perform: executes commands on the switch.
            report: receives refused commands.
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
        """Send a command: it is executed, lost or refused."""
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
