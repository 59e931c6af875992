"""Every event and every command in words, and what a listener would remember of a run.

The records of a run are walked once, in order, by a `Narrator` that remembers what a listener
would: who talks with whom, who asked for which transfer, who was told to hang up. It puts every
event and every command into words, each in one place, and marks what is worth telling. The views
(lines, a table of steps, a sequence diagram) take it from there and decide only the layout.

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

from hookflash import commands as c
from hookflash import events as e
from hookflash.engine.record import Record
from hookflash.sounds import Conversation, HeardSound

_HOUSEKEEPING = (
    c.SetTimer,
    c.CancelTimer,
    c.Introduce,
    c.Forget,
    c.Look,
    c.WithholdKeys,
    c.PassKeys,
)
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
class _EventInWords:
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
class _OrderInWords:
    """A command in words, and how it looks as an arrow to a leg, if it is about one."""

    text: str
    leg: e.LegId | None = None
    label: str = ""


@attrs.frozen(kw_only=True)
class RecordInWords:
    """A record in words."""

    record: Record
    said: _EventInWords
    orders: tuple[_OrderInWords, ...]
    """Those that somebody notices: all but the timers."""
    waits: tuple[_OrderInWords, ...]
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
class Narrator:
    """What has been heard so far, as far as later sentences need it."""

    names: Mapping[e.LegId, str]
    several: bool
    """Whether there is more than one transfer to tell of."""
    peers: dict[e.LegId, e.LegId] = attrs.field(factory=dict[e.LegId, e.LegId])
    inbound: set[e.LegId] = attrs.field(factory=set[e.LegId])
    sent_away: set[e.LegId] = attrs.field(factory=set[e.LegId])
    """Legs whose end was ordered."""
    bereft: set[e.LegId] = attrs.field(factory=set[e.LegId])
    """Legs whose partner has hung up."""
    asked: dict[str, e.LegId] = attrs.field(factory=dict[str, e.LegId])
    """Who asked for a transfer."""
    transferred: dict[str, e.LegId] = attrs.field(factory=dict[str, e.LegId])
    """Whom a transfer is about."""
    sounds: dict[tuple[e.LegId, HeardSound], str] = attrs.field(
        factory=dict[tuple[e.LegId, HeardSound], str]
    )
    waits_s: dict[str, float] = attrs.field(factory=dict[str, float])
    """How long each timer was set for."""
    news: dict[e.LegId, object] = attrs.field(factory=dict[e.LegId, object])
    """The last event of each leg, by which a repeat is known."""

    def who(self, leg: e.LegId | None) -> str:
        """A leg's party by name."""
        if leg is None:
            return "the other party"
        name = plain(self.names.get(leg, leg))
        name = name if cell_len(name) else plain(leg) or "?"
        return name if name != ENGINE else f"{ENGINE} (a caller)"

    def both(self, pair: Any) -> str:
        """The parties of a pair."""
        return f"{self.who(pair.first)} and {self.who(pair.second)}"

    def tell(self, record: Record) -> RecordInWords:
        """Put a record into words, then remember it."""
        orders = [(command, self.order(command)) for command in record.commands]
        told = RecordInWords(
            record=record,
            said=_EVENTS[type(record.event)](self, record.event),
            orders=tuple(order for command, order in orders if not _is_housekeeping(command)),
            waits=tuple(order for command, order in orders if isinstance(command, c.SetTimer)),
            matters=self._news(record.event),
            about=f"{plain(record.transfer)}: " if self.several and record.transfer else "",
        )
        self._learn(record.event)
        if isinstance(record.event, e.TransferRequested) and not record.refused:
            self._ask(record.event)
        for command, order in orders:
            self._await(command, order)
        moves = told.orders or told.change or told.outcome or told.refusal
        return attrs.evolve(told, matters=True) if moves else told

    def order(self, command: c.Command) -> _OrderInWords:
        """Put a command into words."""
        return _COMMANDS[type(command)](self, command)

    def _news(self, event: e.Event) -> bool:
        """Whether a fact that moves nothing is worth a line."""
        if isinstance(event, _QUIET):
            return False
        if isinstance(event, e.LegsJoined | e.LegsSeparated):
            talk = self.peers.get(event.first) == event.second
            return talk is isinstance(event, e.LegsSeparated)
        legs = _legs(event)
        if not legs or (isinstance(event, e.DigitPressed) and not event.serial):
            return True
        return any(self.news.get(leg) != event for leg in legs)

    def _learn(self, event: e.Event) -> None:
        self.news.update(dict.fromkeys(_legs(event), event))
        match event:
            case e.LegCreated(leg=leg, direction=e.Direction.INBOUND):
                self.inbound.add(leg)
            case e.LegsJoined(first=first, second=second):
                self._part(first, second)
                self.peers |= {first: second, second: first}
                self.bereft -= {first, second}
            case e.LegsSeparated(first=first, second=second):
                self._part(first, second)
            case e.LegParked(leg=leg):
                self.bereft.discard(leg)
            case e.LegHungUp(leg=leg):
                self.bereft |= {self.peers[leg]} if leg in self.peers else set()
                self._part(leg)
            case _:
                pass

    def _part(self, *legs: e.LegId) -> None:
        for leg in legs:
            peer = self.peers.pop(leg, None)
            if peer is not None:
                self.peers.pop(peer, None)

    def _ask(self, event: e.TransferRequested) -> None:
        self.asked[event.transfer] = event.leg
        if event.leg in self.peers:
            self.transferred[event.transfer] = self.peers[event.leg]

    def _await(self, command: c.Command, order: _OrderInWords) -> None:
        match command:
            case c.HangUp(leg=leg):
                self.sent_away.add(leg)
            case c.SetTimer(timer=timer, after_s=after_s):
                self.waits_s[timer] = after_s
            case (
                c.HoldWithMusic(leg=leg, music=sound)
                | c.PlayRingback(leg=leg, ringback=sound)
                | c.PlayTone(leg=leg, tone=sound)
            ):
                self.sounds[leg, sound] = order.label
            case _:
                pass


def _is_housekeeping(command: c.Command) -> bool:
    if isinstance(command, c.Arm):  # a net that is spread as a matter of course
        return command.when is c.Trigger.LEFT_ALONE
    return isinstance(command, _HOUSEKEEPING)


_QUIET = (e.LegParked, e.LegIdentified, e.LegsSeen, e.SoundStopped, e.TimerFired)
"""What is told only where something comes of it."""


def _legs(event: e.Event) -> tuple[e.LegId, ...]:
    names = ("leg", "first", "second")
    return tuple(getattr(event, name) for name in names if hasattr(event, name))


# One entry for each type of event: the words of a fact, a request or a consequence.

_CREATED = {e.Direction.INBOUND: " calls", e.Direction.OUTBOUND: " is called"}
_WISHES = {
    e.Kind.ATTENDED: " asks to transfer {other} to {target}",
    e.Kind.BLIND: " asks to send {other} to {target} at once",
    e.Kind.HOLD: " asks to hold {other}",
    e.Kind.MOVE: " moves the call to {target}",
    e.Kind.PARK: " parks {other}",
    e.Kind.HANDOVER: " is to be given to {target}",
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


def _wish(scene: Narrator, event: e.TransferRequested) -> _EventInWords:
    other = scene.who(scene.peers.get(event.leg))
    target = plain(event.target) or "a number that is still to come"
    wish = _WISHES[event.kind].format(other=other, target=target)
    return _EventInWords(scene.who(event.leg), wish + _by(event))


def _change_of_mind(scene: Narrator, event: Any, wish: str) -> _EventInWords:
    other = scene.who(scene.transferred.get(event.transfer))
    asker = scene.asked.get(event.transfer)
    return _EventInWords(
        scene.who(asker) if asker else "somebody", wish.format(other=other) + _by(event)
    )


def _gone(scene: Narrator, event: e.LegHungUp) -> _EventInWords:
    who = scene.who(event.leg)
    if event.leg in scene.sent_away:
        return _EventInWords(who, " is hung up", passive=True)
    if event.leg in scene.bereft:
        return _EventInWords(who, "'s call ends", passive=True)
    status = "" if event.sip_status is None else f" (SIP {event.sip_status})"
    said = _CAUSES.get(event.cause, f" is gone ({plain(event.cause)})")
    return _EventInWords(who, said + status)


def _progress(scene: Narrator, event: e.LegProgressed) -> _EventInWords:
    """Whoever is called has a phone that rings; whoever calls hears that it does."""
    who = scene.who(event.leg)
    called = event.leg not in scene.inbound
    return (
        _EventInWords(who, "'s phone rings")
        if called
        else _EventInWords(who, " hears ringing", passive=True)
    )


def _answer(scene: Narrator, event: e.LegAnswered) -> _EventInWords:
    who = scene.who(event.leg)
    called = event.leg not in scene.inbound
    return (
        _EventInWords(who, " answers")
        if called
        else _EventInWords(who, " is answered", passive=True)
    )


def _time_is_up(scene: Narrator, event: e.TimerFired) -> _EventInWords:
    after_s = scene.waits_s.get(event.timer)
    wait = "a wait" if after_s is None else f"the wait of {after_s:g} s"
    return _EventInWords(wait, " is over")


def _failure(scene: Narrator, event: e.CommandFailed) -> _EventInWords:
    order = scene.order(event.command).text
    return _EventInWords("the switch", f" refuses to {order} ({plain(event.reason)})")


def _sound(scene: Narrator, event: e.SoundStarted | e.SoundStopped) -> str:
    if isinstance(event.sound, Conversation):
        of = event.sound.leg
        return f"{_listed(map(scene.who, filter(None, (of, scene.peers.get(of)))))}, and is heard"
    return scene.sounds.get((event.leg, event.sound), "a sound")


_EVENTS: Mapping[type, Callable[[Narrator, Any], _EventInWords]] = {
    e.LegCreated: lambda s, it: _EventInWords(s.who(it.leg), _CREATED[it.direction]),
    e.LegProgressed: _progress,
    e.LegAnswered: _answer,
    e.LegParked: lambda s, it: _EventInWords(s.who(it.leg), " is parked"),
    e.LegsJoined: lambda s, it: _EventInWords(s.both(it), " talk"),
    e.LegsSeparated: lambda s, it: _EventInWords(s.both(it), " are parted"),
    e.LegsReleased: lambda s, it: _EventInWords(s.both(it), " are an ordinary call"),
    e.SoundStarted: lambda s, it: _EventInWords(s.who(it.leg), f" hears {_sound(s, it)}"),
    e.SoundStopped: lambda s, it: _EventInWords(s.who(it.leg), f" no longer hears {_sound(s, it)}"),
    e.DigitPressed: lambda s, it: _EventInWords(s.who(it.leg), f" presses {plain(it.digit)}"),
    e.LegHungUp: _gone,
    e.TransferRequested: _wish,
    e.TakebackRequested: lambda s, it: _change_of_mind(s, it, " wants {other} back"),
    e.CompleteRequested: lambda s, it: _change_of_mind(s, it, " hands {other} over"),
    e.NumberGiven: lambda s, it: _change_of_mind(s, it, f" gives the number {plain(it.target)}"),
    e.NumberRejected: lambda s, it: _change_of_mind(s, it, " has dialled no number that will do"),
    e.SwapRequested: lambda s, it: _change_of_mind(
        s, it, " changes between {other} and the target"
    ),
    e.AcceptRequested: lambda _s, it: _EventInWords("the target", " accepts" + _by(it)),
    e.DeclineRequested: lambda _s, it: _EventInWords("the target", " declines" + _by(it)),
    e.ThreeWayRequested: lambda s, it: _change_of_mind(
        s, it, " wants {other} in the conversation with the target, or alone again"
    ),
    e.PickUpRequested: lambda s, it: _EventInWords(
        s.who(it.leg), f" picks up the call in slot {plain(it.slot)}{_by(it)}"
    ),
    e.HangUpRequested: lambda s, it: _EventInWords(s.who(it.leg), " asks to hang up" + _by(it)),
    e.CommandFailed: _failure,
    e.SwitchLost: lambda _s, it: _EventInWords("the switch", f" is away ({plain(it.reason)})"),
    e.SwitchFound: lambda _s, _it: _EventInWords("the switch", " is there"),
    e.TransferFound: lambda _s, _it: _EventInWords("a transfer", " is found in flight"),
    e.TimerFired: _time_is_up,
    e.LegIdentified: lambda s, it: _EventInWords(s.who(it.leg), " is known by number"),
    e.LegMovedAway: lambda s, it: _EventInWords(s.who(it.leg), " is sent elsewhere", passive=True),
    e.LegsSeen: lambda _s, _it: _EventInWords("the switch", " says where everybody is"),
}


# One entry for each type of command: an order, as one would give it to a person.


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _call(scene: Narrator, dial: c.Dial) -> _OrderInWords:
    number = plain(dial.target)
    who = f"{scene.who(dial.leg)} at {number}" if dial.leg in scene.names else number
    return _OrderInWords(f"call {who}", dial.leg, f"call {number}")


def _arm(scene: Narrator, arm: c.Arm) -> _OrderInWords:
    leg, rescue = scene.who(arm.leg), scene.who(arm.rescue)
    if arm.when is c.Trigger.LEFT_ALONE:
        return _OrderInWords(f"have {leg} joined with {rescue} if it is left alone", arm.leg, "net")
    return _OrderInWords(
        f"have {leg} joined with {rescue} on answer", arm.leg, f"on answer: {rescue}"
    )


_COMMANDS: Mapping[type, Callable[[Narrator, Any], _OrderInWords]] = {
    c.Split: lambda s, it: _OrderInWords(f"part {s.both(it)}"),
    c.Park: lambda s, it: _OrderInWords(f"park {s.who(it.leg)}", it.leg, "park"),
    c.Fetch: lambda s, it: _OrderInWords(
        f"take {s.who(it.leg)} out of its application", it.leg, "fetch"
    ),
    c.SendBack: lambda s, it: _OrderInWords(f"send {s.who(it.leg)} back", it.leg, "back"),
    c.TakePart: lambda s, it: _OrderInWords(
        f"let {s.who(it.leg)} take part in the conversation of {s.who(it.of)}", it.leg, "all three"
    ),
    c.HoldWithMusic: lambda s, it: _OrderInWords(f"play music to {s.who(it.leg)}", it.leg, "music"),
    c.PlayRingback: lambda s, it: _OrderInWords(
        f"play ringback to {s.who(it.leg)}", it.leg, "ringback"
    ),
    c.Announce: lambda s, it: _OrderInWords(
        f"play {plain(str(it.sound))} to {s.who(it.leg)}", it.leg, "a sound"
    ),
    c.PlayTone: lambda s, it: _OrderInWords(f"play a tone to {s.who(it.leg)}", it.leg, "a tone"),
    c.Dial: _call,
    c.Join: lambda s, it: _OrderInWords(f"join {s.both(it)}"),
    c.Arm: _arm,
    c.Release: lambda s, it: _OrderInWords(f"let {s.both(it)} be an ordinary call"),
    c.Introduce: lambda s, it: _OrderInWords(f"let the phones of {s.both(it)} show it"),
    c.Forget: lambda _s, _it: _OrderInWords("take the marks off"),
    c.Look: lambda s, it: _OrderInWords(
        "ask about " + (_listed(map(s.who, it.legs)) or "everybody")
    ),
    c.WithholdKeys: lambda s, it: _OrderInWords(
        f"spare {s.who(it.leg)} the keys", it.leg, "no keys"
    ),
    c.PassKeys: lambda s, it: _OrderInWords(f"let {s.who(it.leg)} hear keys again", it.leg, "keys"),
    c.HangUp: lambda s, it: _OrderInWords(f"hang up {s.who(it.leg)}", it.leg, "hang up"),
    c.SetTimer: lambda _s, it: _OrderInWords(f"wait at most {it.after_s:g} s"),
    c.CancelTimer: lambda _s, _it: _OrderInWords("stop waiting"),
}


def scene_of(records: Sequence[Record], names: Mapping[e.LegId, str]) -> Narrator:
    """Whoever is about to listen to these records."""
    transfers = {record.transfer for record in records if record.transfer is not None}
    return Narrator(names, several=len(transfers) > 1)


def tell(records: Sequence[Record], names: Mapping[e.LegId, str]) -> Iterator[RecordInWords]:
    """Each record in words, by one who has listened to all before it."""
    scene = scene_of(records, names)
    return (scene.tell(record) for record in records)
