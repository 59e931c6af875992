"""A run, told to people: who did what, what changed, and what was ordered.

The records of a run are walked once, in order, by a `_Scene` that remembers what a listener would:
who talks with whom, who asked for which transfer, who was told to hang up. It puts every event and
every command into words, each in one place, and marks what is worth telling. The three views
(lines, a table of steps, a sequence diagram) take it from there and decide only the layout.

Names and reasons come from outside. Whatever they hold, they are made one short line of printable
text first, and each format escapes what it must.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import accumulate, pairwise
from typing import Any, TypeAlias

import attrs
from rich import box
from rich.cells import cell_len, set_cell_size
from rich.table import Table
from rich.text import Text

from hookflash.commands import (
    Arm,
    CancelTimer,
    Command,
    Dial,
    Forget,
    HangUp,
    HoldWithMusic,
    Join,
    Park,
    PlayRingback,
    PlayTone,
    Release,
    SetTimer,
    Split,
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
    LegParked,
    LegProgressed,
    LegsJoined,
    LegsReleased,
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

_HOUSEKEEPING = (SetTimer, CancelTimer, Forget)
"""Orders that no story tells."""

ENGINE = "hookflash"
"""The participant that stands for the engine and its switch."""

LONGEST = 60
"""Names, numbers and reasons are cut after so many columns: a diagram is no place for an essay."""


_SENTENCE = 200
"""… and whole sentences after so many."""


def _plain(text: str, columns: int = LONGEST) -> str:
    """One short line of printable text, whatever was given."""
    kept = "".join(char for char in " ".join(text.split()) if not _unprintable(char))
    return _clip(kept.strip(), columns)


_TURNS = frozenset(("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"))


def _unprintable(char: str) -> bool:
    """Controls, halves of characters, and marks that turn the direction of what follows."""
    return (
        unicodedata.category(char) in {"Cc", "Cs"}
        or unicodedata.bidirectional(char) in _TURNS
        or ord(char) & 0xFFFE == 0xFFFE  # noqa: PLR2004 - Unicode's own: never a character
    )


def _clip(text: str, columns: int) -> str:
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
class _Told:
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
        cause = f" ({_plain(self.record.cause)})" if self.record.cause else ""
        return self.about + self.record.outcome.value.replace("_", " ") + cause

    @property
    def refusal(self) -> str:
        """Why somebody's request was not met; empty where nothing was refused."""
        return f"refused: {_plain(self.record.why, _SENTENCE)}" if self.record.refused else ""


@attrs.define
class _Scene:
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
    sounds: dict[tuple[LegId, str], str] = attrs.field(factory=dict[tuple[LegId, str], str])
    waits_s: dict[str, float] = attrs.field(factory=dict[str, float])
    """How long each timer was set for."""
    news: dict[LegId, object] = attrs.field(factory=dict[LegId, object])
    """The last event of each leg, by which a repeat is known."""

    def who(self, leg: LegId | None) -> str:
        """A leg's party by name."""
        if leg is None:
            return "the other party"
        name = _plain(self.names.get(leg, leg))
        name = name if cell_len(name) else _plain(leg) or "?"
        return name if name != ENGINE else f"{ENGINE} (a caller)"

    def both(self, pair: Any) -> str:
        """The parties of a pair."""
        return f"{self.who(pair.first)} and {self.who(pair.second)}"

    def tell(self, record: Record) -> _Told:
        """Put a record into words, then remember it."""
        orders = [(command, self.order(command)) for command in record.commands]
        told = _Told(
            record=record,
            said=_EVENTS[type(record.event)](self, record.event),
            orders=tuple(
                o for c, o in orders if not isinstance(c, SetTimer | CancelTimer | Forget)
            ),
            waits=tuple(o for c, o in orders if isinstance(c, SetTimer)),
            matters=self._news(record.event),
            about=f"{_plain(record.transfer)}: " if self.several and record.transfer else "",
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


_QUIET = (LegParked, SoundStopped, TimerFired)
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
    return "" if event.by == "digits" else f" (by {_plain(event.by)})"


def _wish(scene: _Scene, event: TransferRequested) -> _Said:
    other = scene.who(scene.peers.get(event.leg))
    target = _plain(event.target) or "nobody"
    wish = _WISHES[event.kind].format(other=other, target=target)
    return _Said(scene.who(event.leg), wish + _by(event))


def _change_of_mind(scene: _Scene, event: Any, wish: str) -> _Said:
    other = scene.who(scene.transferred.get(event.transfer))
    asker = scene.asked.get(event.transfer)
    return _Said(scene.who(asker) if asker else "somebody", wish.format(other=other) + _by(event))


def _gone(scene: _Scene, event: LegHungUp) -> _Said:
    who = scene.who(event.leg)
    if event.leg in scene.sent_away:
        return _Said(who, " is hung up", passive=True)
    if event.leg in scene.bereft:
        return _Said(who, "'s call ends", passive=True)
    return _Said(who, _CAUSES.get(event.cause, f" is gone ({_plain(event.cause)})"))


def _progress(scene: _Scene, event: LegProgressed) -> _Said:
    """Whoever is called has a phone that rings; whoever calls hears that it does."""
    who = scene.who(event.leg)
    called = event.leg not in scene.inbound
    return _Said(who, "'s phone rings") if called else _Said(who, " hears ringing", passive=True)


def _answer(scene: _Scene, event: LegAnswered) -> _Said:
    who = scene.who(event.leg)
    called = event.leg not in scene.inbound
    return _Said(who, " answers") if called else _Said(who, " is answered", passive=True)


def _time_is_up(scene: _Scene, event: TimerFired) -> _Said:
    after_s = scene.waits_s.get(event.timer)
    wait = "a wait" if after_s is None else f"the wait of {after_s:g} s"
    return _Said(wait, " is over")


def _failure(scene: _Scene, event: CommandFailed) -> _Said:
    order = scene.order(event.command).text
    return _Said("the switch", f" refuses to {order} ({_plain(event.reason)})")


def _sound(scene: _Scene, event: SoundStarted | SoundStopped) -> str:
    return scene.sounds.get((event.leg, event.sound), "a sound")


_EVENTS: Mapping[type, Callable[[_Scene, Any], _Said]] = {
    LegCreated: lambda s, e: _Said(s.who(e.leg), _CREATED[e.direction]),
    LegProgressed: _progress,
    LegAnswered: _answer,
    LegParked: lambda s, e: _Said(s.who(e.leg), " is parked"),
    LegsJoined: lambda s, e: _Said(s.both(e), " talk"),
    LegsSeparated: lambda s, e: _Said(s.both(e), " are parted"),
    LegsReleased: lambda s, e: _Said(s.both(e), " are an ordinary call"),
    SoundStarted: lambda s, e: _Said(s.who(e.leg), f" hears {_sound(s, e)}"),
    SoundStopped: lambda s, e: _Said(s.who(e.leg), f" no longer hears {_sound(s, e)}"),
    DigitPressed: lambda s, e: _Said(s.who(e.leg), f" presses {_plain(e.digit)}"),
    LegHungUp: _gone,
    TransferRequested: _wish,
    TakebackRequested: lambda s, e: _change_of_mind(s, e, " wants {other} back"),
    CompleteRequested: lambda s, e: _change_of_mind(s, e, " hands {other} over"),
    HangUpRequested: lambda s, e: _Said(s.who(e.leg), " asks to hang up" + _by(e)),
    CommandFailed: _failure,
    SwitchLost: lambda _s, e: _Said("the switch", f" is away ({_plain(e.reason)})"),
    SwitchFound: lambda _s, _e: _Said("the switch", " is there"),
    TransferFound: lambda _s, _e: _Said("a transfer", " is found in flight"),
    TimerFired: _time_is_up,
}


# One entry for each type of command: an order, as one would give it to a person.


def _call(scene: _Scene, dial: Dial) -> _Order:
    number = _plain(dial.target)
    who = f"{scene.who(dial.leg)} at {number}" if dial.leg in scene.names else number
    return _Order(f"call {who}", dial.leg, f"call {number}")


def _arm(scene: _Scene, arm: Arm) -> _Order:
    leg, rescue = scene.who(arm.leg), scene.who(arm.rescue)
    return _Order(f"have {leg} joined with {rescue} on answer", arm.leg, f"on answer: {rescue}")


_COMMANDS: Mapping[type, Callable[[_Scene, Any], _Order]] = {
    Split: lambda s, c: _Order(f"part {s.both(c)}"),
    Park: lambda s, c: _Order(f"park {s.who(c.leg)}", c.leg, "park"),
    HoldWithMusic: lambda s, c: _Order(f"play music to {s.who(c.leg)}", c.leg, "music"),
    PlayRingback: lambda s, c: _Order(f"play ringback to {s.who(c.leg)}", c.leg, "ringback"),
    PlayTone: lambda s, c: _Order(f"play a tone to {s.who(c.leg)}", c.leg, "a tone"),
    Dial: _call,
    Join: lambda s, c: _Order(f"join {s.both(c)}"),
    Arm: _arm,
    Release: lambda s, c: _Order(f"let {s.both(c)} be an ordinary call"),
    Forget: lambda _s, _c: _Order("take the marks off"),
    HangUp: lambda s, c: _Order(f"hang up {s.who(c.leg)}", c.leg, "hang up"),
    SetTimer: lambda _s, c: _Order(f"wait at most {c.after_s:g} s"),
    CancelTimer: lambda _s, _c: _Order("stop waiting"),
}


def _scene(records: Sequence[Record], names: Mapping[LegId, str]) -> _Scene:
    transfers = {record.transfer for record in records if record.transfer is not None}
    return _Scene(names, several=len(transfers) > 1)


def _tell(records: Sequence[Record], names: Mapping[LegId, str]) -> Iterator[_Told]:
    scene = _scene(records, names)
    return (scene.tell(record) for record in records)


# --------------------------------------------------------------- lines, a table


def story_lines(records: Sequence[Record], names: Mapping[LegId, str]) -> list[str]:
    """Tell a run, one sentence a line.

    Args:
        records: the run.
        names: whose legs they are. A leg without a name keeps its id.

    Returns:
        A line for each record that is worth one: when (in seconds of the engine's clock), who did
        what, the change of state, what was ordered, and how it ended.
    """
    return [f"{t.record.at_s:7.3f} s  {_line(t)}" for t in _tell(records, names) if t.matters]


def _line(told: _Told) -> str:
    orders = ", ".join(order.text for order in told.orders)
    parts = (told.said.sentence, told.refusal, told.change, orders, told.outcome)
    return " · ".join(part for part in parts if part)


def steps_table(records: Sequence[Record], names: Mapping[LegId, str]) -> Table:
    """Lay out every step of a run, with what it ordered and why.

    Args:
        records: the run.
        names: whose legs they are. A leg without a name keeps its id.

    Returns:
        A table for a terminal. Steps that only the engine cares for are dim.
    """
    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    table.add_column("time", justify="right", no_wrap=True)
    for title in ("state", "event", "orders", "why"):
        table.add_column(title, overflow="fold")
    for told in _tell(records, names):
        table.add_row(
            f"{told.record.at_s:.3f} s",
            Text(_state(told)),
            Text(told.said.sentence),
            _orders(told),
            _why(told),
            style="" if told.matters else "dim",
        )
    return table


def _state(told: _Told) -> str:
    after = told.record.after
    return told.change or (after.value if after else "")


def _orders(told: _Told) -> Text:
    lines = [(order.text, "") for order in told.orders]
    lines += [(order.text, "dim") for order in told.waits]
    return Text("\n").join(Text(text, style=style) for text, style in lines)


def _why(told: _Told) -> Text:
    if told.refusal:
        return Text(told.refusal, style="red")
    why = Text(_plain(told.record.why, _SENTENCE))
    if told.outcome:
        why.append(f"\n{told.outcome}", style="bold")
    return why


# ------------------------------------------------------------ sequence diagram


class NoteKind(StrEnum):
    """What a note in a sequence diagram is about."""

    EVENT = "event"
    """Something that is no one person's doing: a timer, a refusal of the switch."""
    TALK = "talk"
    """Who hears whom."""
    PARTED = "parted"
    """Who no longer does."""
    STATE = "state"
    REFUSED = "refused"
    OUTCOME = "outcome"


@attrs.frozen(kw_only=True)
class Arrow:
    """From a person to the engine (a fact or a wish), or back (an order)."""

    at_s: float
    tail: str
    head: str
    text: str


@attrs.frozen(kw_only=True)
class Note:
    """Words over some participants, or over all of them where none is named."""

    at_s: float
    text: str
    kind: NoteKind
    over: tuple[str, ...] = ()


SequenceStep: TypeAlias = Arrow | Note


@attrs.frozen(kw_only=True)
class SequenceDiagram:
    """Who told whom what, in order: one model, drawn by three renderers."""

    participants: tuple[str, ...]
    """People in the order of their appearance. The engine stands after the first: calls go through
    the middle."""
    steps: tuple[SequenceStep, ...]

    def lanes(self, step: SequenceStep) -> tuple[int, int]:
        """The leftmost and the rightmost participant that a step touches, by number."""
        if isinstance(step, Arrow):
            over: tuple[str, ...] = (step.tail, step.head)
        else:
            over = step.over or self.participants
        numbers = [self.participants.index(name) for name in over]
        return min(numbers), max(numbers)


def sequence(records: Sequence[Record], names: Mapping[LegId, str]) -> SequenceDiagram:
    """Make a sequence diagram of a run.

    Args:
        records: the run.
        names: whose legs they are. A leg without a name keeps its id.

    Returns:
        The diagram, to be drawn by `sequence_text`, `sequence_mermaid` or `sequence_svg`.
    """
    scene = _scene(records, names)
    steps: list[SequenceStep] = []
    dialling = False
    for record in records:
        told = scene.tell(record)
        if not told.matters:
            continue
        new = list(_steps(scene, told))
        digit = isinstance(record.event, DigitPressed)
        if digit and dialling and _continue_dialling(steps, new):
            continue
        dialling = digit if new else dialling
        steps += new
    return SequenceDiagram(participants=_participants(steps), steps=tuple(steps))


def _continue_dialling(steps: list[SequenceStep], new: list[SequenceStep]) -> bool:
    """Write one more digit on the arrow of those before it."""
    match steps[-1], new:
        case Arrow() as before, [Arrow() as digit] if before.tail == digit.tail:
            steps[-1] = attrs.evolve(before, text=_clip(before.text + digit.text, LONGEST))
            return True
        case _:
            return False


def _participants(steps: Iterable[SequenceStep]) -> tuple[str, ...]:
    seen: dict[str, None] = {}
    for step in steps:
        people = (step.tail, step.head) if isinstance(step, Arrow) else step.over
        seen.update(dict.fromkeys(name for name in people if name != ENGINE))
    first, *others = seen or ("",)
    return (first, ENGINE, *others) if first else (ENGINE,)


def _steps(scene: _Scene, told: _Told) -> Iterator[SequenceStep]:
    """What a record looks like: what happened, what it changed, what was ordered, the end."""
    at_s = told.record.at_s
    yield from _happening(scene, told)
    if told.refusal:
        yield Note(at_s=at_s, text=told.refusal, kind=NoteKind.REFUSED, over=(ENGINE,))
    if told.change:
        yield Note(at_s=at_s, text=told.change, kind=NoteKind.STATE)
    for order in told.orders:
        if order.leg is not None:
            yield Arrow(at_s=at_s, tail=ENGINE, head=scene.who(order.leg), text=order.label)
    if told.outcome:
        yield Note(at_s=at_s, text=told.outcome, kind=NoteKind.OUTCOME)


def _happening(scene: _Scene, told: _Told) -> Iterator[SequenceStep]:
    at_s, event, said = told.record.at_s, told.record.event, told.said
    match event:
        case LegsJoined() | LegsSeparated() | LegsReleased():
            kind = NoteKind.PARTED if isinstance(event, LegsSeparated) else NoteKind.TALK
            over = (scene.who(event.first), scene.who(event.second))
            yield Note(at_s=at_s, text=said.sentence, kind=kind, over=over)
        case CommandFailed() | TimerFired():
            yield Note(at_s=at_s, text=said.sentence, kind=NoteKind.EVENT, over=(ENGINE,))
        case LegCreated(direction=Direction.OUTBOUND) | LegParked():
            pass  # the effect of an order that has an arrow of its own
        case SoundStarted() | SoundStopped():
            pass  # the same
        case LegHungUp(leg=leg) if leg in scene.sent_away:
            pass  # the same
        case TakebackRequested() | CompleteRequested() if event.transfer not in scene.asked:
            yield Note(at_s=at_s, text=said.sentence, kind=NoteKind.EVENT, over=(ENGINE,))
        case DigitPressed():
            yield Arrow(at_s=at_s, tail=said.who, head=ENGINE, text=_plain(event.digit) or "?")
        case _ if said.passive:
            yield Arrow(at_s=at_s, tail=ENGINE, head=said.who, text=said.label)
        case _:
            yield Arrow(at_s=at_s, tail=said.who, head=ENGINE, text=said.label)


def _gaps(diagram: SequenceDiagram, size: Callable[[str], int], *, pad: int) -> list[int]:
    """How far the lanes must stand from each other, so that names and labels fit between them."""
    names = diagram.participants
    gaps = [(size(a) + size(b)) // 2 + pad for a, b in pairwise(names)]
    wants = [(diagram.lanes(step), size(step.text) + pad) for step in diagram.steps]
    for (first, last), want in sorted(wants, key=lambda w: w[0][1] - w[0][0]):
        lack = want - sum(gaps[first:last])
        for number in range(first, last):
            gaps[number] += max(0, -(-lack // (last - first)))
    return gaps


# -------------------------------------------------------------- … as plain text

_BESIDE = 5
"""Columns that an arrow needs beside its label: a blank on each side, two dashes, the head."""
_NARROWEST = 8
"""Lanes never stand closer than this: a diagram for too many people becomes wider instead."""
_RULES = {
    NoteKind.TALK: "╞═╡",
    NoteKind.PARTED: "╞┄╡",
    NoteKind.STATE: "╌╌╌",
    NoteKind.OUTCOME: "━━━",
}
"""How a note is ruled, from its first lane to its last. Without rule, or room, it has brackets."""


def sequence_text(diagram: SequenceDiagram, width: int = 100) -> str:
    """Draw a sequence diagram with box-drawing characters.

    Args:
        diagram: what to draw.
        width: how many columns the terminal has. Labels that don't fit on their arrows stand above
            them; only where there are too many people for it does the diagram become wider.

    Returns:
        Lines, the last of which ends with a newline too.
    """
    times = [f"{step.at_s:7.3f} s" for step in diagram.steps]
    canvas = _canvas(diagram, max(map(len, times), default=0) + 2, width)
    lines = [canvas.head(diagram.participants), canvas.blank()]
    shown = ""
    for step, time in zip(diagram.steps, times, strict=True):
        for cells in _drawn(canvas, diagram, step):
            _put(cells, 0, "" if time == shown else time.rjust(canvas.left - 2))
            shown = time
            lines.append(cells)
    return "".join("".join(cells).rstrip() + "\n" for cells in lines)


@attrs.frozen(kw_only=True)
class _Canvas:
    """Where the lanes stand on a terminal, and how wide it is."""

    lanes: tuple[int, ...]
    gaps: tuple[int, ...]
    left: int
    """Where the lanes' part begins; before it stands the time."""
    width: int

    def blank(self) -> list[str]:
        """A line with nothing on it but the lanes."""
        cells = [" "] * self.width
        for lane in self.lanes:
            cells[lane] = "│"
        return cells

    def head(self, names: Sequence[str]) -> list[str]:
        """The line of names, each as long as its neighbours allow."""
        cells = [" "] * self.width
        around = (2 * _NARROWEST, *self.gaps, 2 * _NARROWEST)
        for number, (lane, name) in enumerate(zip(self.lanes, names, strict=True)):
            shown = _clip(name, min(around[number], around[number + 1]) - 1)
            _put(cells, max(lane - cell_len(shown) // 2, 0), shown)
        return cells

    def write(self, cells: list[str], middle: int, text: str) -> None:
        """Write a text around a column, as far as there is room to the left and right."""
        shown = _clip(text, self.width - self.left)
        start = min(middle - cell_len(shown) // 2, self.width - cell_len(shown))
        _put(cells, max(start, self.left), shown)


def _canvas(diagram: SequenceDiagram, left: int, width: int) -> _Canvas:
    gaps = _gaps(diagram, cell_len, pad=_BESIDE + 1)
    first = left + min(cell_len(diagram.participants[0]) // 2, _NARROWEST)
    last = min(cell_len(diagram.participants[-1]) // 2, _NARROWEST) + 1
    while gaps and first + sum(gaps) + last > width and max(gaps) > _NARROWEST:
        gaps[gaps.index(max(gaps))] -= 1
    lanes = tuple(accumulate(gaps, initial=first))
    return _Canvas(lanes=lanes, gaps=tuple(gaps), left=left, width=max(width, lanes[-1] + last))


def _put(cells: list[str], start: int, text: str) -> None:
    """Write a text; a wide character takes two cells, and an accent none of its own."""
    column = start
    for char in text:
        size = cell_len(char)
        if size == 0:
            cells[max(column - 1, 0)] += char
        cells[column : column + size] = [char, ""][:size]
        column += size


def _drawn(canvas: _Canvas, diagram: SequenceDiagram, step: SequenceStep) -> Iterator[list[str]]:
    """The line or two of one step."""
    low, high = (canvas.lanes[number] for number in diagram.lanes(step))
    cells = canvas.blank()
    if isinstance(step, Note):
        rule = _RULES.get(step.kind, "")
        if rule and cell_len(step.text) + _BESIDE <= high - low:
            cells[low : high + 1] = [rule[0], *rule[1] * (high - low - 1), rule[2]]
            canvas.write(cells, (low + high) // 2, f" {step.text} ")
        else:
            canvas.write(cells, (low + high) // 2, f"[ {step.text} ]")
        yield cells
        return
    room = high - low - 1
    size = cell_len(step.text)
    if size + _BESIDE > room:
        canvas.write(cells, low + 2 + size // 2, step.text)
        yield cells
        cells = canvas.blank()
    for column in range(low + 1, high):
        cells[column] = "┼" if column in canvas.lanes else "─"
    if canvas.lanes[diagram.participants.index(step.tail)] == low:
        cells[low], cells[high - 1] = "├", "▶"
    else:
        cells[high], cells[low + 1] = "┤", "◀"
    if size + _BESIDE <= room:
        _put(cells, low + 1 + (room - size - 2) // 2, f" {step.text} ")
    yield cells


# ------------------------------------------------------------------ … as Mermaid

_NOT_FOR_MERMAID = re.compile(r"[^\w ,.*+()'→…-]")
"""A text ends at `;`, `%%` begins a comment, `#` an entity, `<` a tag, and `:` may mean a wrap."""


def sequence_mermaid(diagram: SequenceDiagram) -> str:
    """Write a sequence diagram in Mermaid's language, which many wikis and forges draw.

    Args:
        diagram: what to write.

    Returns:
        Mermaid source, which ends with a newline.
    """
    lines = ["sequenceDiagram"]
    for number, name in enumerate(diagram.participants):
        kind = "participant" if name == ENGINE else "actor"
        lines.append(f"    {kind} p{number} as {_for_mermaid(name)}")
    for step in diagram.steps:
        text = _for_mermaid(step.text)
        if isinstance(step, Arrow):
            tail, head = map(diagram.participants.index, (step.tail, step.head))
            lines.append(f"    p{tail}->>p{head}: {text}")
        else:
            first, last = diagram.lanes(step)
            over = f"p{first}" if first == last else f"p{first},p{last}"
            lines.append(f"    Note over {over}: {text}")
    return "\n".join(lines) + "\n"


def _for_mermaid(text: str) -> str:
    return _NOT_FOR_MERMAID.sub(lambda found: f"#{ord(found[0])};", text)


# ---------------------------------------------------------------------- … as SVG

_STYLE = {
    "text": "font: 13px system-ui, sans-serif; text-anchor: middle",
    ".time": "font-size: 11px; text-anchor: end",
    ".strong": "font-weight: bold",
    ".parted": "stroke-dasharray: 4",
}
_COLOURS = {
    "text": ("fill: #1f2328", "fill: #e6edf3"),
    ".time": ("fill: #59636e", "fill: #9198a1"),
    ".paper": ("fill: #ffffff", "fill: #0d1117"),
    ".lane": ("stroke: #c4ccd4", "stroke: #3d444d"),
    ".line": ("stroke: #1f2328", "stroke: #e6edf3"),
    ".tip": ("fill: #1f2328", "fill: #e6edf3"),
    ".name": ("fill: #eef1f4; stroke: #8c959f", "fill: #1c2128; stroke: #768390"),
    ".talk": ("fill: #dcf5e3; stroke: #2da44e", "fill: #12311d; stroke: #3fb950"),
    ".parted": ("fill: #ffffff; stroke: #2da44e", "fill: #0d1117; stroke: #3fb950"),
    ".state": ("fill: #f6f8fa; stroke: #c4ccd4", "fill: #161b22; stroke: #3d444d"),
    ".event": ("fill: #fff4d4; stroke: #bf8700", "fill: #2f2508; stroke: #d29922"),
    ".refused": ("fill: #ffe9e7; stroke: #cf222e", "fill: #3a1512; stroke: #f85149"),
    ".outcome": ("fill: #ddeaff; stroke: #0969da", "fill: #10233f; stroke: #58a6ff"),
}
"""For light paper, and for dark. Notes have the class of their kind."""
# All in pixels.
_MARGIN = 16
_ROW = 36
_BOX = 26
_PAD = 12
_TOP = _MARGIN + _BOX


def sequence_svg(diagram: SequenceDiagram) -> str:
    """Draw a sequence diagram as a picture that needs nothing else.

    Args:
        diagram: what to draw.

    Returns:
        An SVG element, for a file or for the middle of a page, which ends with a newline. It
        follows the reader's light or dark colours, and is as large as its content.
    """
    sheet = _sheet(diagram)
    size = f'width="{sheet.width}" height="{sheet.height}"'
    view = f'viewBox="0 0 {sheet.width} {sheet.height}"'
    people = ", ".join(diagram.participants)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="hookflash" role="img" {size} {view}>',
        f"<title>{html.escape(f'Sequence diagram: {people}')}</title>",
        *_style(),
        f'<rect class="paper" {size}/>',
        *_svg_lanes(sheet, diagram),
    ]
    shown = ""
    for number, step in enumerate(diagram.steps, 1):
        y = _TOP + _ROW * number
        time = f"{step.at_s:.3f} s"
        if time != shown:
            lines.append(f'<text class="time" x="{sheet.times}" y="{y + 4}">{time}</text>')
        shown = time
        lines += _svg_step(sheet, diagram, step, y)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _style() -> Iterator[str]:
    """The rules, all below one class, so that they style nothing else on a page."""
    yield "<style>"
    yield from (f".hookflash {what} {{ {how} }}" for what, how in _STYLE.items())
    yield from (f".hookflash {what} {{ {light} }}" for what, (light, _) in _COLOURS.items())
    yield "@media (prefers-color-scheme: dark) {"
    yield from (f".hookflash {what} {{ {dark} }}" for what, (_, dark) in _COLOURS.items())
    yield "}"
    yield "</style>"


@attrs.frozen(kw_only=True)
class _Sheet:
    """Where the lanes stand in a picture, and how large it is."""

    lanes: tuple[int, ...]
    times: int
    """Where the times end."""
    width: int
    height: int


def _sheet(diagram: SequenceDiagram) -> _Sheet:
    lanes = tuple(accumulate(_gaps(diagram, _pixels, pad=4 * _PAD), initial=0))
    boxes = [
        (lane, _name_width(name)) for lane, name in zip(lanes, diagram.participants, strict=True)
    ]
    for step in diagram.steps:
        if isinstance(step, Note):
            first, last = diagram.lanes(step)
            boxes.append(_note_box(step, lanes[first], lanes[last]))
    left = min(middle - width // 2 for middle, width in boxes)
    right = max(middle + width // 2 for middle, width in boxes)
    times = _MARGIN + max((_pixels(f"{step.at_s:.3f} s") for step in diagram.steps), default=0)
    start = times + _PAD - left
    return _Sheet(
        lanes=tuple(lane + start for lane in lanes),
        times=times,
        width=start + right + _MARGIN,
        height=_TOP + _ROW * (len(diagram.steps) + 1) + _MARGIN,
    )


def _name_width(name: str) -> int:
    """How wide the box of a name is; bold letters are a tenth wider."""
    return _pixels(name) * 11 // 10 + 2 * _PAD


def _note_box(note: Note, low: int, high: int) -> tuple[int, int]:
    """The middle of a note's box, and its width."""
    return (low + high) // 2, max(_pixels(note.text), high - low) + 2 * _PAD


def _svg_lanes(sheet: _Sheet, diagram: SequenceDiagram) -> Iterator[str]:
    for lane, name in zip(sheet.lanes, diagram.participants, strict=True):
        yield f'<path class="lane" d="M{lane} {_TOP}V{sheet.height - _MARGIN}"/>'
        yield from _svg_box("name", lane, _TOP - _BOX // 2, _name_width(name), name)


def _svg_step(sheet: _Sheet, diagram: SequenceDiagram, step: SequenceStep, y: int) -> Iterator[str]:
    if isinstance(step, Note):
        low, high = (sheet.lanes[number] for number in diagram.lanes(step))
        middle, width = _note_box(step, low, high)
        yield from _svg_box(step.kind.value, middle, y, width, step.text)
        return
    tail, head = (sheet.lanes[diagram.participants.index(n)] for n in (step.tail, step.head))
    middle, width = (tail + head) // 2, _pixels(step.text)
    x = middle - width // 2
    back = -8 if head > tail else 8
    yield f'<path class="line" d="M{tail} {y}H{head + back // 2}"/>'
    yield f'<path class="tip" d="M{head} {y}l{back} -4v8z"/>'
    yield f'<rect class="paper" x="{x}" y="{y - 19}" width="{width}" height="16"/>'
    yield f'<text x="{middle}" y="{y - 7}">{html.escape(step.text)}</text>'


def _svg_box(kind: str, middle: int, y: int, width: int, text: str) -> Iterator[str]:
    x, top = middle - width // 2, y - _BOX // 2
    yield f'<rect class="{kind}" x="{x}" y="{top}" width="{width}" height="{_BOX}" rx="5"/>'
    strong = ' class="strong"' if kind in _STRONG else ""
    yield f'<text{strong} x="{middle}" y="{y + 4}">{html.escape(text)}</text>'


_STRONG = frozenset(("name", NoteKind.OUTCOME.value))
_NARROW = frozenset("iIjlt.,:;'|!()[]/ ")
_BROAD = frozenset("mwMW@%→…—")


def _pixels(text: str) -> int:
    """How wide a text is at most, about: fonts differ, and we have none to ask."""
    return sum(map(_pixels_of, text))


def _pixels_of(char: str) -> int:
    cells = cell_len(char)
    if cells != 1:
        return 14 * cells // 2  # none for an accent
    if char in _NARROW:
        return 5
    return 13 if char in _BROAD else 8 + char.isupper()
