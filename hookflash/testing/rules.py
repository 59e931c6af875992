"""The rules for every fact about a leg (see `hookflash.events`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from hookflash import commands as c
from hookflash import events as e
from hookflash.testing.reported import legs_of, legs_ordered, require

_ONCE: Final = (e.LegCreated, e.LegAnswered)
"""Facts that occur only once for a leg."""


def review_leg(
    leg: e.LegId,
    events: Sequence[e.CallEvent],
    *,
    ordered: Sequence[c.SwitchCommand],
    pressed: Sequence[tuple[e.LegId, str]],
    numbers_keys: bool,
    was_cut: bool,
) -> None:
    """Check what was reported about one leg.

    Args:
        leg: the leg.
        events: every event that names it, in order.
        ordered: every command of the check.
        pressed: every key that was pressed, with its leg.
        numbers_keys: whether the backend gives keys serial numbers.
        was_cut: whether the connection was cut, so that everything was reported again.
    """
    facts = list(
        _without_repeats(
            fact for fact in events if not isinstance(fact, e.LegsSeen | e.CommandFailed)
        )
    )
    kinds = [type(fact) for fact in facts]
    if e.LegHungUp in kinds:
        late = facts[kinds.index(e.LegHungUp) + 1 :]
        require(not late, f"a leg's last fact is LegHungUp, but then came {late}")
    own = [fact for fact in facts if len(legs_of(fact)) == 1]
    if own and not isinstance(own[0], e.LegHungUp):
        require(isinstance(own[0], e.LegCreated), f"a leg's first fact is LegCreated, not {own[0]}")
    keys = [fact.digit for fact in events if isinstance(fact, e.DigitPressed)]
    own_keys = [digit for by, digit in pressed if by == leg]
    # without a capability fewer keys are reported, but none twice
    require(
        not Counter(keys) - Counter(own_keys), f"each key is reported once: {own_keys}, not {keys}"
    )
    serials = [fact.serial for fact in events if isinstance(fact, e.DigitPressed)]
    if numbers_keys:
        require(
            all(serials) and len(set(serials)) == len(serials),
            f"each key has a serial number of its own, but {serials}",
        )
    if was_cut:
        return
    for kind in _ONCE:
        require(kinds.count(kind) <= 1, f"{kind.__name__} is reported once, but {facts}")
    if e.LegAnswered in kinds:
        answered = kinds.index(e.LegAnswered)
        require(
            not any(kind is e.LegProgressed for kind in kinds[answered:]),
            f"a ringing leg has not answered: {facts}",
        )
    else:
        answered = len(kinds)
    for kind in (e.LegParked, e.LegsJoined, e.SoundStarted):
        require(
            kind not in kinds[:answered], f"LegAnswered comes before {kind.__name__}, but {facts}"
        )
    _review_whereabouts(leg, facts, ordered)


def _review_whereabouts(
    leg: e.LegId, facts: Sequence[e.CallEvent], ordered: Sequence[c.SwitchCommand]
) -> None:
    """Check that each fact about a leg is news, or an immediate repeat."""
    parks = sum(
        isinstance(command, c.Park | c.Split) and leg in legs_ordered(command)
        for command in ordered
    )
    sounds = sum(
        isinstance(command, c.HoldWithMusic | c.PlayRingback | c.PlayTone) and command.leg == leg
        for command in ordered
    )
    started = sum(isinstance(fact, e.SoundStarted) for fact in facts)
    # without an order it is another program's sound
    require(not sounds or started <= sounds, f"an order starts one sound, but {facts}")
    is_parked = False
    plays = False
    peer: e.LegId | None = None
    for fact in facts:
        match fact:
            case e.LegParked():
                parks -= is_parked
                require(parks >= 0, f"LegParked is reported when a leg is parked, but {facts}")
                is_parked, peer = True, None
            case e.LegsJoined(first=first, second=second):
                other = second if first == leg else first
                require(peer != other, f"LegsJoined reports a new pair, but {facts}")
                is_parked, peer = False, other
            case e.LegsSeparated(first=first, second=second):
                other = second if first == leg else first
                require(
                    peer == other or peer is None or is_parked,
                    f"LegsSeparated names two joined legs, but {facts}",
                )
                peer = None
            case e.SoundStarted():
                require(not plays, f"a sound stops before the next starts, but {facts}")
                plays = True
            case e.SoundStopped():
                require(plays, f"only a started sound can stop, but {facts}")
                plays = False
            case _:
                pass


def _without_repeats(facts: Iterable[e.CallEvent]) -> Iterator[e.CallEvent]:
    """Omit facts that repeat the previous one: that is allowed."""
    before: e.CallEvent | None = None
    for fact in facts:
        if fact != before:
            yield fact
        before = fact
