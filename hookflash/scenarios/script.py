"""The script: what people, programs and faults may do, line by line.

`VERBS` is the one list of actions. Every test rig (the simulator, the emulator, a real switch) has
a function for each verb that it can perform, and a reason for each that it can't. `player` handles
the order and time of the lines.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

import attrs

from hookflash.events import NO_OPTIONS, FurtherTarget, Kind, TransferOptions
from hookflash.sounds import OptionalSound

CLOCK = "clock"
"""The actor that lets deadlines pass."""

CONTROLLER = "controller"
"""The program that controls the switch: it may die and restart, or be suspended and resumed."""

SWITCH = "switch"
"""It may lose an event or a command."""


@attrs.frozen
class Verb:
    """An action."""

    key: str
    """The key of a script line that names it: `dials`, `does`, `asks` or `loses`."""
    words: tuple[str, ...]
    """The values of that key; none: any keys of a telephone."""
    about: str
    """What happens, in one sentence."""
    doer: str = ""
    """Its actor: `clock`, `controller` or `switch`; empty: a party."""
    takes: tuple[str, ...] = ()
    """Other keys of a line that it reads."""

    def __str__(self) -> str:
        return f"{self.key} {' or '.join(self.words) or 'keys'}"


DIALS: Final = Verb("dials", (), "The party presses keys, one after the other.", takes=("every_s",))
HANGS_UP: Final = Verb("does", ("hangs up",), "The party hangs up.")
ANSWERS: Final = Verb("does", ("answers",), "The party answers a ringing phone.")
REFUSES: Final = Verb("does", ("refuses",), "The party declines a ringing call.")
IS_SENT_AWAY: Final = Verb(
    "does", ("is sent to an announcement",), "Another program sends the leg to an announcement."
)
IS_SENT_TO_MENU: Final = Verb(
    "does",
    ("is sent to a menu",),
    "Another program sends the leg to an extension that plays without end, such as a menu.",
)
IS_PARKED: Final = Verb(
    "does", ("is parked by another program",), "Another program parks the leg where it is."
)
ASKS_TRANSFER: Final = Verb(
    "asks",
    ("transfer",),
    "A program asks for a transfer on the party's behalf.",
    takes=("target", "kind", "further", "rings_all", "sounds"),
)
CALLS_SLOT: Final = Verb(
    "does",
    ("calls the slot",),
    "The party calls the number of a slot, to have the call that is parked there.",
    takes=("slot",),
)
ASKS_HOLD: Final = Verb("asks", ("hold",), "A program asks to put the other party on hold.")
ASKS_PARK: Final = Verb(
    "asks", ("park",), "A program asks to park the other party in a slot.", takes=("slot",)
)
ASKS_PICK_UP: Final = Verb(
    "asks",
    ("pick up",),
    "A program asks to give the party the call that is parked in a slot.",
    takes=("slot",),
)
ASKS_TAKEBACK: Final = Verb("asks", ("takeback",), "A program asks for the party's takeback.")
ASKS_COMPLETE: Final = Verb(
    "asks", ("complete",), "A program asks to complete the party's transfer."
)
ASKS_NUMBER: Final = Verb(
    "asks",
    ("number",),
    "A program gives the number of the party's transfer, which was asked for without one.",
    takes=("target",),
)
ASKS_SWAP: Final = Verb(
    "asks", ("swap",), "A program asks that the party change between transferee and target."
)
ASKS_ACCEPT: Final = Verb(
    "asks", ("accept",), "A program accepts the call for the target of the party's transfer."
)
ASKS_DECLINE: Final = Verb(
    "asks", ("decline",), "A program declines the call for the target of the party's transfer."
)
ASKS_THREE_WAY: Final = Verb(
    "asks", ("three-way",), "A program asks to bring all three into one conversation, or out of it."
)
ASKS_HANGUP: Final = Verb("asks", ("hangup",), "A program asks to hang up the party's leg.")
DEADLINE_PASSES: Final = Verb(
    "does", ("lets the deadline pass",), "The transfer's deadline passes now.", CLOCK
)
DIES: Final = Verb("does", ("dies",), "The controller is killed.", CONTROLLER)
RETURNS: Final = Verb("does", ("returns",), "A new controller starts.", CONTROLLER)
IS_SUSPENDED: Final = Verb(
    "does", ("is suspended",), "The controller's process is stopped (SIGSTOP).", CONTROLLER
)
IS_RESUMED: Final = Verb(
    "does", ("is resumed",), "The controller's process continues (SIGCONT).", CONTROLLER
)
LOSES_EVENT: Final = Verb(
    "loses",
    (
        "LegCreated",
        "LegProgressed",
        "LegAnswered",
        "LegParked",
        "LegsJoined",
        "LegsSeparated",
        "LegHungUp",
        "SoundStarted",
        "SoundStopped",
    ),
    "The next event of this kind never reaches the controller.",
    SWITCH,
)
LOSES_ORDER: Final = Verb(
    "loses",
    ("Dial", "Fetch", "HangUp", "Join", "SendBack", "Split"),
    "The next order of this kind never reaches the switch.",
    SWITCH,
)

VERBS: Final = (
    DIALS,
    HANGS_UP,
    ANSWERS,
    REFUSES,
    IS_SENT_AWAY,
    IS_SENT_TO_MENU,
    IS_PARKED,
    CALLS_SLOT,
    ASKS_TRANSFER,
    ASKS_TAKEBACK,
    ASKS_COMPLETE,
    ASKS_SWAP,
    ASKS_ACCEPT,
    ASKS_DECLINE,
    ASKS_THREE_WAY,
    ASKS_NUMBER,
    ASKS_HOLD,
    ASKS_PARK,
    ASKS_PICK_UP,
    ASKS_HANGUP,
    DEADLINE_PASSES,
    DIES,
    RETURNS,
    IS_SUSPENDED,
    IS_RESUMED,
    LOSES_EVENT,
    LOSES_ORDER,
)

VERB_KEYS: Final = ("dials", "does", "asks", "loses")
"""A line has exactly one of these."""

_VERB_OF: Final = {(verb.key, word): verb for verb in VERBS for word in verb.words}


@attrs.frozen(kw_only=True)
class ScriptLine:
    """One action and its time."""

    who: str
    at_s: float | None = None
    when: str | None = None
    after_s: float = 0.0
    or_after_s: float | None = None
    """The latest time after the previous line, if `when` does not come."""
    dials: str | None = None
    every_s: float = 0.3
    does: str | None = None
    asks: str | None = None
    loses: str | None = None
    target: str = ""
    kind: Kind = Kind.ATTENDED
    further: tuple[str, ...] = ()
    rings_all: bool = False
    sounds: tuple[tuple[str, OptionalSound], ...] = ()
    """Sounds that the request chooses, by the names of its options."""
    slot: str = ""

    @property
    def options(self) -> TransferOptions:
        """What a request chooses."""
        return TransferOptions(
            further_targets=tuple(FurtherTarget(number=number) for number in self.further),
            rings_all=self.rings_all,
            **dict[str, Any](self.sounds),
            slot=self.slot,
        )

    @property
    def verb(self) -> Verb:
        """The verb of the line."""
        if self.dials is not None:
            return DIALS
        key = next(key for key in VERB_KEYS if getattr(self, key) is not None)
        return _VERB_OF[key, getattr(self, key)]

    def __str__(self) -> str:
        if self.dials is not None:
            return f"{self.who} dials {self.dials}"
        if self.loses is not None:
            return f"{self.who} loses {self.loses}"
        if self.asks is not None:
            return f"{self.who} asks for {self.asks} {self.target}".rstrip()
        return f"{self.who} {self.does}"


DoneT_co = TypeVar("DoneT_co", covariant=True)
"""None if lines are performed at once, an awaitable if they take time."""

Perform = Callable[[ScriptLine], DoneT_co]
"""Performs a line of one verb."""


class PhoneActions(Protocol[DoneT_co]):
    """What people do at their phones. Without a call nothing happens."""

    def press(self, who: str, key: str) -> DoneT_co:
        """Press one key."""
        ...

    def hang_up(self, who: str) -> DoneT_co:
        """Hang up."""
        ...

    def answer(self, who: str) -> DoneT_co:
        """Answer a ringing phone."""
        ...

    def refuse(self, who: str) -> DoneT_co:
        """Decline a ringing call."""
        ...


class RequestActions(Protocol[DoneT_co]):
    """What programs request on a party's behalf. A refused request changes nothing."""

    def ask_transfer(
        self, who: str, target: str, kind: Kind, options: TransferOptions = NO_OPTIONS
    ) -> DoneT_co:
        """Ask for a transfer to a number; for a hold, or to park the call, by the kind."""
        ...

    def ask_pick_up(self, who: str, slot: str) -> DoneT_co:
        """Ask to give a party the call that is parked in a slot."""
        ...

    def ask_takeback(self, who: str) -> DoneT_co:
        """Ask for the takeback of the transfer."""
        ...

    def ask_complete(self, who: str) -> DoneT_co:
        """Ask for the completion of the transfer."""
        ...

    def ask_number(self, who: str, target: str) -> DoneT_co:
        """Give the number of the transfer."""
        ...

    def ask_swap(self, who: str) -> DoneT_co:
        """Ask to change between transferee and target."""
        ...

    def ask_accept(self, who: str) -> DoneT_co:
        """Accept the call for the target."""
        ...

    def ask_decline(self, who: str) -> DoneT_co:
        """Decline the call for the target."""
        ...

    def ask_three_way(self, who: str) -> DoneT_co:
        """Ask to bring all three into one conversation."""
        ...

    def ask_hangup(self, who: str) -> DoneT_co:
        """Ask to hang up the leg."""
        ...


def verbs_of_phones(phones: PhoneActions[DoneT_co]) -> dict[Verb, Perform[DoneT_co]]:
    """The performer of each verb of people."""
    return {
        DIALS: lambda line: phones.press(line.who, line.dials or ""),
        HANGS_UP: lambda line: phones.hang_up(line.who),
        ANSWERS: lambda line: phones.answer(line.who),
        REFUSES: lambda line: phones.refuse(line.who),
    }


def verbs_of_requests(requests: RequestActions[DoneT_co]) -> dict[Verb, Perform[DoneT_co]]:
    """The performer of each verb of programs."""
    return {
        ASKS_TRANSFER: lambda line: requests.ask_transfer(
            line.who, line.target, line.kind, line.options
        ),
        ASKS_HOLD: lambda line: requests.ask_transfer(line.who, "", Kind.HOLD),
        ASKS_PARK: lambda line: requests.ask_transfer(line.who, "", Kind.PARK, line.options),
        ASKS_PICK_UP: lambda line: requests.ask_pick_up(line.who, line.slot),
        ASKS_TAKEBACK: lambda line: requests.ask_takeback(line.who),
        ASKS_COMPLETE: lambda line: requests.ask_complete(line.who),
        ASKS_NUMBER: lambda line: requests.ask_number(line.who, line.target),
        ASKS_SWAP: lambda line: requests.ask_swap(line.who),
        ASKS_ACCEPT: lambda line: requests.ask_accept(line.who),
        ASKS_DECLINE: lambda line: requests.ask_decline(line.who),
        ASKS_THREE_WAY: lambda line: requests.ask_three_way(line.who),
        ASKS_HANGUP: lambda line: requests.ask_hangup(line.who),
    }
