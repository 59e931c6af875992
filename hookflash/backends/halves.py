"""A call that the switch places to itself is one leg: the channels behind its near half are hidden.

A call through FreeSWITCH's dialplan (`loopback/…`) is three channels as long as it lives: the near
half, which we called; the far half, which runs the dialplan; and the leg that the dialplan calls
for it. The far half and that leg are bridged, and look like an ordinary call. If they were treated
as parties, one key press would start two transfers, an outside party would get in through the near
half, and lists would show people who do not exist.

So the near half represents the party behind it. The other channels are not reported; what is known
of the party (its number, its account, whether it is outside) is reported for the near half, as
`LegIdentified`. If the dialplan calls through the dialplan again, the first near half represents
the whole chain. A hidden leg is reported as soon as it is joined with a leg that is not behind a
far half (for example because the loopback has bowed out).

Halves and the legs behind them die together, within 20 ms. A hidden leg that outlives its near half
(because the dialplan parks it) is reported as soon as this is observed.

Events may be lost; then the careful answer counts: a near half is an outside party as soon as the
dialplan calls one for it, until it is joined with a party that is not outside.

The far half may be reported before the near one: FreeSWITCH starts it first, and reports each in a
thread of its own (measured on 1.10.12: 6 of 50 ring groups, on a busy switch).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import attrs

from hookflash import events as e

MOST_BEHIND = 16
"""How many ended legs behind a near half are remembered: a large ring group has as many phones."""


@attrs.define
class _TrackedLeg:
    """The data kept for one leg."""

    created: e.LegCreated
    near: e.LegId = ""
    """The near half that represents it, if it is hidden."""
    far: e.LegId = ""
    """Its far half, if it is a near half."""
    is_far: bool = False
    """Whether it is a far half whose near half has not ended."""
    answered: bool = False
    identity: e.LegIdentified | None = None
    behind: list[e.LegHungUp] = attrs.Factory(list[e.LegHungUp])
    """How legs behind it have ended, if it is a near half and the switch reported how."""


class Halves:
    """Filters out the legs behind near halves. One for each connection."""

    def __init__(self) -> None:
        self._legs: dict[e.LegId, _TrackedLeg] = {}
        self._early: dict[e.LegId, e.LegId] = {}
        """Near halves that were not reported yet, with their far halves."""

    def is_hidden(self, leg: e.LegId) -> bool:
        """Whether a leg is not reported."""
        known = self._legs.get(leg)
        return known is not None and bool(known.near)

    def take(self, event: e.CallEvent) -> Iterable[e.CallEvent]:
        """Translate an event into the events to report."""
        match event:
            case e.LegCreated():
                return self._created(event)
            case e.LegsJoined():
                return self._joined(event)
            case (
                e.LegsSeparated(first=first, second=second)
                | e.LegsReleased(first=first, second=second)
            ):
                return () if self.is_hidden(first) or self.is_hidden(second) else (event,)
            case e.LegsSeen():
                revealed = tuple(self._learn(event.living))
                return (*revealed, attrs.evolve(event, living=self._shown(event.living)))
            case e.LegHungUp():
                return self._ended(event)
            case _:
                return self._of_one(event)

    def _of_one(self, event: e.CallEvent) -> Iterable[e.CallEvent]:
        known = self._legs.get(getattr(event, "leg", ""))
        if known is None:
            return (event,)
        if isinstance(event, e.LegAnswered):
            known.answered = True
        if isinstance(event, e.LegParked | e.DigitPressed) and self._lives_on(known):
            return (*self._reveal(known), event)
        return () if known.near else (event,)

    # --------------------------------------------------------- the roles of legs

    def _created(self, event: e.LegCreated, *, all_known: bool = False) -> Iterator[e.CallEvent]:
        """Handle a new leg.

        Args:
            event: its creation.
            all_known: whether all older living legs are known.
        """
        leg = _TrackedLeg(event)
        self._legs[event.leg] = leg
        half = self._legs.get(event.other_half)
        caller = self._legs.get(event.called_for)
        calls = event.direction is e.Direction.INBOUND
        if calls and event.other_half and (half is not None or not all_known):
            leg.is_far = True
            if half is None:
                leg.near = event.other_half
                self._early[event.other_half] = event.leg
            else:
                leg.near = half.near or event.other_half
                half.far = event.leg
        elif caller is not None and caller.near:
            leg.near = caller.near
            yield from self._report_behind(event, leg.near)
        else:
            yield event
        leg.far = leg.far or self._early.pop(event.leg, "")
        if leg.far:
            yield from self._stand_for_those_behind(event.leg, leg.near or event.leg)

    def _report_behind(self, event: e.LegCreated, near: e.LegId) -> Iterator[e.CallEvent]:
        """Be careful: an outside party may answer, even if another one does in the end."""
        if event.outside:
            yield from self._identify(near, event)

    def _stand_for_those_behind(self, half: e.LegId, near: e.LegId) -> Iterator[e.CallEvent]:
        """Hide legs that were reported before their near half."""
        for behind in tuple(self._legs.values()):
            if behind.near == half:
                behind.near = near
                yield from self._report_behind(behind.created, near)

    def _ended(self, event: e.LegHungUp) -> Iterable[e.CallEvent]:
        known = self._legs.get(event.leg)
        self._end(event.leg)
        if known is None:
            return (event,)
        if not known.near:
            return (_as_behind(event, known.behind),)
        self._note_behind(known, event)
        return ()

    def note_ending(self, ending: e.LegHungUp) -> None:
        """Note how a leg is about to end, before its end is reported."""
        known = self._legs.get(ending.leg)
        if known is not None:
            self._note_behind(known, ending)

    def _note_behind(self, leg: _TrackedLeg, ended: e.LegHungUp) -> None:
        half = self._legs.get(leg.near)
        if half is not None and ended.ended_by is not None and not leg.created.other_half:
            half.behind = [*half.behind[1 - MOST_BEHIND :], ended]

    def _end(self, leg: e.LegId) -> None:
        ended = self._legs.pop(leg, None)
        if ended is None:
            return
        self._early.pop(ended.created.other_half, None)
        far = self._legs.get(ended.far)
        if far is not None:
            far.is_far = False

    def _joined(self, event: e.LegsJoined) -> Iterator[e.CallEvent]:
        first, second = self._legs.get(event.first), self._legs.get(event.second)
        for one, other in ((first, second), (second, first)):
            if one is None or not one.is_far:
                continue
            if other is None:  # its creation event was lost, so its role is unknown
                careful = e.LegIdentified(leg=one.near, number="", outside=True)
                yield from self._report_identity(careful)
            elif other.near in ("", one.near) and not other.far:  # else it represents another
                yield from self._identify(one.near, other.created)
            return
        for leg in (first, second):
            if leg is not None and leg.near:
                yield from self._reveal(leg)
        yield event

    def _lives_on(self, leg: _TrackedLeg) -> bool:
        """Whether it is hidden behind a near half that has ended."""
        return bool(leg.near) and leg.near not in self._legs and leg.near not in self._early

    def _reveal(self, leg: _TrackedLeg) -> Iterator[e.CallEvent]:
        leg.near = ""
        yield leg.created
        if leg.answered:
            yield e.LegAnswered(leg=leg.created.leg)

    def _identify(self, near: e.LegId, behind: e.LegCreated) -> Iterator[e.CallEvent]:
        """Report what is known of the party behind a near half."""
        half = self._legs.get(near)
        if half is None:
            return
        own = half.created
        yield from self._report_identity(
            e.LegIdentified(
                leg=near,
                number=behind.number,
                account=behind.account or own.account,
                owner_id=behind.owner_id or own.owner_id,
                outside=behind.outside,
                may_transfer=own.may_transfer
                if behind.may_transfer is None
                else behind.may_transfer,
            )
        )

    def _report_identity(self, identity: e.LegIdentified) -> Iterator[e.CallEvent]:
        half = self._legs.get(identity.leg)
        if half is not None and half.identity != identity:
            half.identity = identity
            yield identity

    # ------------------------------------------------------------------ from a snapshot

    def begin(self, living: Sequence[e.LegSnapshot]) -> tuple[e.LegSnapshot, ...]:
        """Start again from a snapshot, and leave out hidden legs.

        Near halves show the party behind them.
        """
        self._legs.clear()
        self._early.clear()
        for _ in self._learn(living, all_known=True):
            pass
        return self._shown(living)

    @staticmethod
    def sort(living: Sequence[e.LegSnapshot]) -> tuple[e.LegSnapshot, ...]:
        """Filter a snapshot, independent of earlier events, and without learning from it."""
        return Halves().begin(living)

    def identities(self) -> Iterator[e.LegIdentified]:
        """All that is known of the parties behind near halves."""
        for leg in self._legs.values():
            if leg.identity is not None:
                yield leg.identity

    def _learn(
        self, living: Sequence[e.LegSnapshot], *, all_known: bool = False
    ) -> Iterator[e.CallEvent]:
        """Learn the living legs; report those no longer hidden, and parties behind near halves."""
        events: list[e.CallEvent] = []
        for leg in _in_order(living):
            if leg.leg not in self._legs:
                events += self._created(_created_from(leg), all_known=all_known)
            known = self._legs[leg.leg]
            known.answered = leg.answered
            if self._lives_on(known):
                yield from self._reveal(known)
        for leg in living:
            if leg.peer is not None and leg.leg < leg.peer:
                events += self._joined(e.LegsJoined(first=leg.leg, second=leg.peer))
        for event in events:
            if isinstance(event, e.LegIdentified):
                yield event

    def _shown(self, living: Iterable[e.LegSnapshot]) -> tuple[e.LegSnapshot, ...]:
        return tuple(self._as_shown(leg) for leg in living if not self.is_hidden(leg.leg))

    def _as_shown(self, leg: e.LegSnapshot) -> e.LegSnapshot:
        identity = self._legs[leg.leg].identity
        if identity is None:
            return leg
        return attrs.evolve(
            leg,
            number=identity.number or leg.number,
            account=identity.account or leg.account,
            owner_id=identity.owner_id or leg.owner_id,
            outside=leg.outside if identity.outside is None else identity.outside,
            may_transfer=identity.may_transfer,
        )


def _as_behind(event: e.LegHungUp, behind: Sequence[e.LegHungUp]) -> e.LegHungUp:
    """The end of a near half, with what is known of the party behind it.

    The dialplan may have called several: only those count that ended with its own cause, and only
    if they agree.
    """
    same = {(one.sip_status, one.ended_by) for one in behind if one.cause == event.cause}
    if event.ended_by is not None or len(same) != 1:
        return event
    status, by = same.pop()
    return attrs.evolve(event, sip_status=status, ended_by=by)


def _in_order(living: Iterable[e.LegSnapshot]) -> Iterator[e.LegSnapshot]:
    """Sort legs so that each comes after the leg that it is behind."""
    todo = {leg.leg: leg for leg in living}
    while todo:
        first = [leg for leg in todo.values() if _comes_after(leg) not in todo]
        for leg in first or tuple(todo.values()):
            yield todo.pop(leg.leg)


def _comes_after(leg: e.LegSnapshot) -> e.LegId:
    """The near half of a far half, or the leg for which a leg is called."""
    return leg.other_half if leg.direction is e.Direction.INBOUND else leg.called_for


def _created_from(leg: e.LegSnapshot) -> e.LegCreated:
    return e.LegCreated(
        leg=leg.leg,
        number=leg.number,
        direction=leg.direction,
        account=leg.account,
        owner_id=leg.owner_id,
        outside=leg.outside,
        may_transfer=leg.may_transfer,
        name=leg.name,
        withheld=leg.withheld,
        other_half=leg.other_half,
        called_for=leg.called_for,
    )
