"""A run as a sequence diagram: who, and what passes between them; not yet how it is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import pairwise
from typing import TypeAlias

import attrs

from hookflash import events as e
from hookflash.engine.record import Record
from hookflash.story.words import ENGINE, LONGEST, Narrator, RecordInWords, clip, plain, scene_of


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


def sequence(records: Sequence[Record], names: Mapping[e.LegId, str]) -> SequenceDiagram:
    """Make a sequence diagram of a run.

    Args:
        records: the run.
        names: whose legs they are. A leg without a name keeps its id.

    Returns:
        The diagram, to be drawn by `sequence_text`, `sequence_mermaid` or `sequence_svg`.
    """
    scene = scene_of(records, names)
    steps: list[SequenceStep] = []
    dialling = False
    for record in records:
        told = scene.tell(record)
        if not told.matters:
            continue
        new = list(_steps(scene, told))
        digit = isinstance(record.event, e.DigitPressed)
        if digit and dialling and _continue_dialling(steps, new):
            continue
        dialling = digit if new else dialling
        steps += new
    return SequenceDiagram(participants=_participants(steps), steps=tuple(steps))


def _continue_dialling(steps: list[SequenceStep], new: list[SequenceStep]) -> bool:
    """Write one more digit on the arrow of those before it."""
    match steps[-1], new:
        case Arrow() as before, [Arrow() as digit] if before.tail == digit.tail:
            steps[-1] = attrs.evolve(before, text=clip(before.text + digit.text, LONGEST))
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


def _steps(scene: Narrator, told: RecordInWords) -> Iterator[SequenceStep]:
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


def _happening(scene: Narrator, told: RecordInWords) -> Iterator[SequenceStep]:
    at_s, event, said = told.record.at_s, told.record.event, told.said
    match event:
        case e.LegsReleased():
            pass  # people notice nothing
        case e.LegsJoined() | e.LegsSeparated():
            kind = NoteKind.PARTED if isinstance(event, e.LegsSeparated) else NoteKind.TALK
            over = (scene.who(event.first), scene.who(event.second))
            yield Note(at_s=at_s, text=said.sentence, kind=kind, over=over)
        case e.CommandFailed() | e.TimerFired():
            yield Note(at_s=at_s, text=said.sentence, kind=NoteKind.EVENT, over=(ENGINE,))
        case e.LegCreated(direction=e.Direction.OUTBOUND) | e.LegParked():
            pass  # the effect of an order that has an arrow of its own
        case e.SoundStarted() | e.SoundStopped():
            pass  # the same
        case e.LegHungUp(leg=leg) if leg in scene.sent_away:
            pass  # the same
        case _ if isinstance(event, e.ControlRequest) and event.transfer not in scene.asked:
            yield Note(at_s=at_s, text=said.sentence, kind=NoteKind.EVENT, over=(ENGINE,))
        case e.DigitPressed():
            yield Arrow(at_s=at_s, tail=said.who, head=ENGINE, text=plain(event.digit) or "?")
        case _ if said.passive:
            yield Arrow(at_s=at_s, tail=ENGINE, head=said.who, text=said.label)
        case _:
            yield Arrow(at_s=at_s, tail=said.who, head=ENGINE, text=said.label)


def gaps_of(diagram: SequenceDiagram, size: Callable[[str], int], *, pad: int) -> list[int]:
    """How far the lanes must stand from each other, so that names and labels fit between them."""
    names = diagram.participants
    gaps = [(size(a) + size(b)) // 2 + pad for a, b in pairwise(names)]
    wants = [(diagram.lanes(step), size(step.text) + pad) for step in diagram.steps]
    for (first, last), want in sorted(wants, key=lambda w: w[0][1] - w[0][0]):
        lack = want - sum(gaps[first:last])
        for number in range(first, last):
            gaps[number] += max(0, -(-lack // (last - first)))
    return gaps
