"""Every event and every command in words, and what a listener would remember of a run.

The records of a run are walked once, in order, by a `Scene` that remembers what a listener would:
who talks with whom, who asked for which transfer, who was told to hang up. It puts every event and
every command into words, each in one place, and marks what is worth telling. The views (lines, a
table of steps, a sequence diagram) take it from there and decide only the layout.

Names and reasons come from outside. Whatever they hold, they are made one short line of printable
text first, and each format escapes what it must.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs
from rich.cells import cell_len, set_cell_size

from hookflash.commands import (
    Arm,
    CancelTimer,
    Command,
    Dial,
    Forget,
    HangUp,
    HoldWithMusic,
    Introduce,
    Join,
    Look,
    Park,
    PassKeys,
    PlayRingback,
    PlayTone,
    Release,
    SetTimer,
    Split,
    Trigger,
    WithholdKeys,
)
from hookflash.engine.record import Record
from hookflash.events import (
    CommandFailed,
    CompleteRequested,
    DigitPressed,
    Direction,
    Event,
    HangUpRequested,
    Kind,
    LegAnswered,
    LegCreated,
    LegHungUp,
    LegId,
    LegIdentified,
    LegMovedAway,
    LegParked,
    LegProgressed,
    LegsJoined,
    LegsReleased,
    LegsSeen,
    LegsSeparated,
    SoundStarted,
    SoundStopped,
    SwitchFound,
    SwitchLost,
    TakebackRequested,
    TimerFired,
    TransferFound,
    TransferRequested,
)
from hookflash.sounds import HeardSound

_HOUSEKEEPING = (SetTimer, CancelTimer, Introduce, Forget, Look, WithholdKeys, PassKeys)
"""Orders that no story tells."""

ENGINE = "hookflash"
"""The participant that stands for the engine and its switch."""

LONGEST = 60
"""Names, numbers and reasons are cut after so many columns: a diagram is no place for an essay."""


SENTENCE = 200
"""… and whole sentences after so many."""


def plain(text: str, columns: int = LONGEST) -> str:
    """One short line of printable text, whatever was given."""
    kept = "".join(char for char in " ".join(text.split()) if not _unprintable(char))
    return clip(kept.strip(), columns)


_TURNS = frozenset(("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"))


def _unprintable(char: str) -> bool:
    """Controls, halves of characters, and marks that turn the direction of what follows."""
    return (
        unicodedata.category(char) in {"Cc", "Cs"}
        or unicodedata.bidirectional(char) in _TURNS
        or ord(char) & 0xFFFE == 0xFFFE  # noqa: PLR2004 - Unicode's own: never a character
    )


def clip(text: str, columns: int) -> str:
    """Text cut to so many columns of a terminal, with a sign that it was."""
    if cell_len(text) <= columns:
        return text
    return set_cell_size(text, max(columns - 1, 0)).rstrip() + "…"


# ----------------------------------------------------------------------- words


@attrs.frozen
class _Said:
    """An event in words, cut after its subject: `alice` + ` answers`, `bob` + `'s phone rings`."""

    who: str
    does: str
    passive: bool = False
    """Whether the switch did it to the party."""

    @property
    def sentence(self) -> str:
        """The words as a sentence."""
        return self.who + self.does

    @property
    def label(self) -> str:
        """What stands on an arrow, where the lane says who."""
        return _AUXILIARY.sub("", self.does)


_AUXILIARY = re.compile(r"^('s | is | hears | asks to | )")


@attrs.frozen
class _Order:
    """A command in words, and how it looks as an arrow to a leg, if it is about one."""

    text: str
    leg: LegId | None = None
    label: str = ""


@attrs.frozen(kw_only=True)
class Told:
    """A record in words."""

    record: Record
    said: _Said
    orders: tuple[_Order, ...]
    """Those that somebody notices: all but the timers."""
    waits: tuple[_Order, ...]
    """The timers that were set."""
    matters: bool
    """Whether it is worth telling: not a repeat, and not what only the engine cares for."""
    about: str
    """Which transfer it is about, where there is more than one."""

    @property
    def change(self) -> str:
        """The change of state; empty where there is none."""
        before, after = self.record.before, self.record.after
        if before is None or after is None or before is after:
            return ""
        return f"{self.about}{before.value} → {after.value}"

    @property
    def outcome(self) -> str:
        """How the transfer ended; empty where it goes on."""
        if self.record.outcome is None:
            return ""
        cause = f" ({plain(self.record.cause)})" if self.record.cause else ""
        return self.about + self.record.outcome.value.replace("_", " ") + cause

    @property
    def refusal(self) -> str:
        """Why somebody's request was not met; empty where nothing was refused."""
        return f"refused: {plain(self.record.why, SENTENCE)}" if self.record.refused else ""


@attrs.define
class Scene:
    """What has been heard so far, as far as later sentences need it."""

    names: Mapping[LegId, str]
    several: bool
    """Whether there is more than one transfer to tell of."""
    peers: dict[LegId, LegId] = attrs.field(factory=dict[LegId, LegId])
    inbound: set[LegId] = attrs.field(factory=set[LegId])
    sent_away: set[LegId] = attrs.field(factory=set[LegId])
    """Legs whose end was ordered."""
    bereft: set[LegId] = attrs.field(factory=set[LegId])
    """Legs whose partner has hung up."""
    asked: dict[str, LegId] = attrs.field(factory=dict[str, LegId])
    """Who asked for a transfer."""
    transferred: dict[str, LegId] = attrs.field(factory=dict[str, LegId])
    """Whom a transfer is about."""
    sounds: dict[tuple[LegId, HeardSound], str] = attrs.field(
        factory=dict[tuple[LegId, HeardSound], str]
    )
    waits_s: dict[str, float] = attrs.field(factory=dict[str, float])
    """How long each timer was set for."""
    news: dict[LegId, object] = attrs.field(factory=dict[LegId, object])
    """The last event of each leg, by which a repeat is known."""

    def who(self, leg: LegId | None) -> str:
        """A leg's party by name."""
        if leg is None:
            return "the other party"
        name = plain(self.names.get(leg, leg))
        name = name if cell_len(name) else plain(leg) or "?"
        return name if name != ENGINE else f"{ENGINE} (a caller)"

    def both(self, pair: Any) -> str:
        """The parties of a pair."""
        return f"{self.who(pair.first)} and {self.who(pair.second)}"

    def tell(self, record: Record) -> Told:
        """Put a record into words, then remember it."""
        orders = [(command, self.order(command)) for command in record.commands]
        told = Told(
            record=record,
            said=_EVENTS[type(record.event)](self, record.event),
            orders=tuple(o for c, o in orders if not _is_housekeeping(c)),
            waits=tuple(o for c, o in orders if isinstance(c, SetTimer)),
            matters=self._news(record.event),
            about=f"{plain(record.transfer)}: " if self.several and record.transfer else "",
        )
        self._learn(record.event)
        if isinstance(record.event, TransferRequested) and not record.refused:
            self._ask(record.event)
        for command, order in orders:
            self._await(command, order)
        moves = told.orders or told.change or told.outcome or told.refusal
        return attrs.evolve(told, matters=True) if moves else told

    def order(self, command: Command) -> _Order:
        """Put a command into words."""
        return _COMMANDS[type(command)](self, command)

    def _news(self, event: Event) -> bool:
        """Whether a fact that moves nothing is worth a line."""
        if isinstance(event, _QUIET):
            return False
        if isinstance(event, LegsJoined | LegsSeparated):
            talk = self.peers.get(event.first) == event.second
            return talk is isinstance(event, LegsSeparated)
        legs = _legs(event)
        if not legs or (isinstance(event, DigitPressed) and not event.serial):
            return True
        return any(self.news.get(leg) != event for leg in legs)

    def _learn(self, event: Event) -> None:
        self.news.update(dict.fromkeys(_legs(event), event))
        match event:
            case LegCreated(leg=leg, direction=Direction.INBOUND):
                self.inbound.add(leg)
            case LegsJoined(first=first, second=second):
                self._part(first, second)
                self.peers |= {first: second, second: first}
                self.bereft -= {first, second}
            case LegsSeparated(first=first, second=second):
                self._part(first, second)
            case LegParked(leg=leg):
                self.bereft.discard(leg)
            case LegHungUp(leg=leg):
                self.bereft |= {self.peers[leg]} if leg in self.peers else set()
                self._part(leg)
            case _:
                pass

    def _part(self, *legs: LegId) -> None:
        for leg in legs:
            peer = self.peers.pop(leg, None)
            if peer is not None:
                self.peers.pop(peer, None)

    def _ask(self, event: TransferRequested) -> None:
        self.asked[event.transfer] = event.leg
        if event.leg in self.peers:
            self.transferred[event.transfer] = self.peers[event.leg]

    def _await(self, command: Command, order: _Order) -> None:
        match command:
            case HangUp(leg=leg):
                self.sent_away.add(leg)
            case SetTimer(timer=timer, after_s=after_s):
                self.waits_s[timer] = after_s
            case (
                HoldWithMusic(leg=leg, music=sound)
                | PlayRingback(leg=leg, ringback=sound)
                | PlayTone(leg=leg, tone=sound)
            ):
                self.sounds[leg, sound] = order.label
            case _:
                pass


def _is_housekeeping(command: Command) -> bool:
    if isinstance(command, Arm):  # a net that is spread as a matter of course
        return command.when is Trigger.LEFT_ALONE
    return isinstance(command, _HOUSEKEEPING)


_QUIET = (LegParked, LegIdentified, LegsSeen, SoundStopped, TimerFired)
"""What is told only where something comes of it."""


def _legs(event: Event) -> tuple[LegId, ...]:
    names = ("leg", "first", "second")
    return tuple(getattr(event, name) for name in names if hasattr(event, name))


# One entry for each type of event: the words of a fact, a request or a consequence.

_CREATED = {Direction.INBOUND: " calls", Direction.OUTBOUND: " is called"}
_WISHES = {
    Kind.ATTENDED: " asks to transfer {other} to {target}",
    Kind.BLIND: " asks to send {other} to {target} at once",
    Kind.HOLD: " asks to hold {other}",
}
_CAUSES = {
    "NORMAL_CLEARING": " hangs up",
    "USER_BUSY": " is busy",
    "NO_ANSWER": " does not answer",
    "NO_USER_RESPONSE": " can't be reached",
    "CALL_REJECTED": " declines the call",
    "UNALLOCATED_NUMBER": " does not exist",
}


def _by(event: Any) -> str:
    """Who asked on behalf of a party, if it did not do so itself."""
    return "" if event.by == "digits" else f" (by {plain(event.by)})"


def _wish(scene: Scene, event: TransferRequested) -> _Said:
    other = scene.who(scene.peers.get(event.leg))
    target = plain(event.target) or "nobody"
    wish = _WISHES[event.kind].format(other=other, target=target)
    return _Said(scene.who(event.leg), wish + _by(event))


def _change_of_mind(scene: Scene, event: Any, wish: str) -> _Said:
    other = scene.who(scene.transferred.get(event.transfer))
    asker = scene.asked.get(event.transfer)
    return _Said(scene.who(asker) if asker else "somebody", wish.format(other=other) + _by(event))


def _gone(scene: Scene, event: LegHungUp) -> _Said:
    who = scene.who(event.leg)
    if event.leg in scene.sent_away:
        return _Said(who, " is hung up", passive=True)
    if event.leg in scene.bereft:
        return _Said(who, "'s call ends", passive=True)
    return _Said(who, _CAUSES.get(event.cause, f" is gone ({plain(event.cause)})"))


def _progress(scene: Scene, event: LegProgressed) -> _Said:
    """Whoever is called has a phone that rings; whoever calls hears that it does."""
    who = scene.who(event.leg)
    called = event.leg not in scene.inbound
    return _Said(who, "'s phone rings") if called else _Said(who, " hears ringing", passive=True)


def _answer(scene: Scene, event: LegAnswered) -> _Said:
    who = scene.who(event.leg)
    called = event.leg not in scene.inbound
    return _Said(who, " answers") if called else _Said(who, " is answered", passive=True)


def _time_is_up(scene: Scene, event: TimerFired) -> _Said:
    after_s = scene.waits_s.get(event.timer)
    wait = "a wait" if after_s is None else f"the wait of {after_s:g} s"
    return _Said(wait, " is over")


def _failure(scene: Scene, event: CommandFailed) -> _Said:
    order = scene.order(event.command).text
    return _Said("the switch", f" refuses to {order} ({plain(event.reason)})")


def _sound(scene: Scene, event: SoundStarted | SoundStopped) -> str:
    return scene.sounds.get((event.leg, event.sound), "a sound")


_EVENTS: Mapping[type, Callable[[Scene, Any], _Said]] = {
    LegCreated: lambda s, e: _Said(s.who(e.leg), _CREATED[e.direction]),
    LegProgressed: _progress,
    LegAnswered: _answer,
    LegParked: lambda s, e: _Said(s.who(e.leg), " is parked"),
    LegsJoined: lambda s, e: _Said(s.both(e), " talk"),
    LegsSeparated: lambda s, e: _Said(s.both(e), " are parted"),
    LegsReleased: lambda s, e: _Said(s.both(e), " are an ordinary call"),
    SoundStarted: lambda s, e: _Said(s.who(e.leg), f" hears {_sound(s, e)}"),
    SoundStopped: lambda s, e: _Said(s.who(e.leg), f" no longer hears {_sound(s, e)}"),
    DigitPressed: lambda s, e: _Said(s.who(e.leg), f" presses {plain(e.digit)}"),
    LegHungUp: _gone,
    TransferRequested: _wish,
    TakebackRequested: lambda s, e: _change_of_mind(s, e, " wants {other} back"),
    CompleteRequested: lambda s, e: _change_of_mind(s, e, " hands {other} over"),
    HangUpRequested: lambda s, e: _Said(s.who(e.leg), " asks to hang up" + _by(e)),
    CommandFailed: _failure,
    SwitchLost: lambda _s, e: _Said("the switch", f" is away ({plain(e.reason)})"),
    SwitchFound: lambda _s, _e: _Said("the switch", " is there"),
    TransferFound: lambda _s, _e: _Said("a transfer", " is found in flight"),
    TimerFired: _time_is_up,
    LegIdentified: lambda s, e: _Said(s.who(e.leg), " is known by number"),
    LegMovedAway: lambda s, e: _Said(s.who(e.leg), " is sent elsewhere", passive=True),
    LegsSeen: lambda _s, _e: _Said("the switch", " says where everybody is"),
}


# One entry for each type of command: an order, as one would give it to a person.


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _call(scene: Scene, dial: Dial) -> _Order:
    number = plain(dial.target)
    who = f"{scene.who(dial.leg)} at {number}" if dial.leg in scene.names else number
    return _Order(f"call {who}", dial.leg, f"call {number}")


def _arm(scene: Scene, arm: Arm) -> _Order:
    leg, rescue = scene.who(arm.leg), scene.who(arm.rescue)
    if arm.when is Trigger.LEFT_ALONE:
        return _Order(f"have {leg} joined with {rescue} if it is left alone", arm.leg, "net")
    return _Order(f"have {leg} joined with {rescue} on answer", arm.leg, f"on answer: {rescue}")


_COMMANDS: Mapping[type, Callable[[Scene, Any], _Order]] = {
    Split: lambda s, c: _Order(f"part {s.both(c)}"),
    Park: lambda s, c: _Order(f"park {s.who(c.leg)}", c.leg, "park"),
    HoldWithMusic: lambda s, c: _Order(f"play music to {s.who(c.leg)}", c.leg, "music"),
    PlayRingback: lambda s, c: _Order(f"play ringback to {s.who(c.leg)}", c.leg, "ringback"),
    PlayTone: lambda s, c: _Order(f"play a tone to {s.who(c.leg)}", c.leg, "a tone"),
    Dial: _call,
    Join: lambda s, c: _Order(f"join {s.both(c)}"),
    Arm: _arm,
    Release: lambda s, c: _Order(f"let {s.both(c)} be an ordinary call"),
    Introduce: lambda s, c: _Order(f"let the phones of {s.both(c)} show it"),
    Forget: lambda _s, _c: _Order("take the marks off"),
    Look: lambda s, c: _Order("ask about " + (_listed(map(s.who, c.legs)) or "everybody")),
    WithholdKeys: lambda s, c: _Order(f"spare {s.who(c.leg)} the keys", c.leg, "no keys"),
    PassKeys: lambda s, c: _Order(f"let {s.who(c.leg)} hear keys again", c.leg, "keys"),
    HangUp: lambda s, c: _Order(f"hang up {s.who(c.leg)}", c.leg, "hang up"),
    SetTimer: lambda _s, c: _Order(f"wait at most {c.after_s:g} s"),
    CancelTimer: lambda _s, _c: _Order("stop waiting"),
}


def scene_of(records: Sequence[Record], names: Mapping[LegId, str]) -> Scene:
    """Whoever is about to listen to these records."""
    transfers = {record.transfer for record in records if record.transfer is not None}
    return Scene(names, several=len(transfers) > 1)


def tell(records: Sequence[Record], names: Mapping[LegId, str]) -> Iterator[Told]:
    """Each record in words, by one who has listened to all before it."""
    scene = scene_of(records, names)
    return (scene.tell(record) for record in records)
