"""The rules that every fact about a leg keeps, whatever is done (see `hookflash.events`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from hookflash import commands as c
from hookflash import events as e
from hookflash.testing.reported import legs_of, legs_ordered, require

_ONCE: Final = (e.LegCreated, e.LegAnswered)
"""What happens once in the life of a leg."""


def review_leg(
    leg: e.LegId,
    told: Sequence[e.CallEvent],
    *,
    ordered: Sequence[c.SwitchCommand],
    pressed: Sequence[tuple[e.LegId, str]],
    numbers_keys: bool,
    is_retold: bool,
) -> None:
    """Check what was reported of one leg.

    Args:
        leg: which.
        told: every fact that names it, in order.
        ordered: every command of the check.
        pressed: every key that was pressed, and on which leg.
        numbers_keys: whether the backend gives keys serial numbers.
        is_retold: whether everything was reported anew, after a line that broke.
    """
    facts = list(
        _without_repeats(
            fact for fact in told if not isinstance(fact, e.LegsSeen | e.CommandFailed)
        )
    )
    kinds = [type(fact) for fact in facts]
    if e.LegHungUp in kinds:
        late = facts[kinds.index(e.LegHungUp) + 1 :]
        require(not late, f"a leg's last fact is LegHungUp, but then came {late}")
    own = [fact for fact in facts if len(legs_of(fact)) == 1]
    if own and not isinstance(own[0], e.LegHungUp):
        require(isinstance(own[0], e.LegCreated), f"a leg's first fact is LegCreated, not {own[0]}")
    keys = [fact.digit for fact in told if isinstance(fact, e.DigitPressed)]
    own_keys = [digit for by, digit in pressed if by == leg]
    # a capability may be missing: then fewer are told, but none is told twice
    require(
        not Counter(keys) - Counter(own_keys), f"each key is told once: {own_keys}, told as {keys}"
    )
    serials = [fact.serial for fact in told if isinstance(fact, e.DigitPressed)]
    if numbers_keys:
        require(
            all(serials) and len(set(serials)) == len(serials),
            f"each key has a serial number of its own, but {serials}",
        )
    if is_retold:
        return
    for kind in _ONCE:
        require(kinds.count(kind) <= 1, f"{kind.__name__} is told once, but {facts}")
    if e.LegAnswered in kinds:
        answered = kinds.index(e.LegAnswered)
        require(
            not any(kind is e.LegProgressed for kind in kinds[answered:]),
            f"what rings has not answered, but {facts}",
        )
    else:
        answered = len(kinds)
    for kind in (e.LegParked, e.LegsJoined, e.SoundStarted):
        require(
            kind not in kinds[:answered], f"LegAnswered is told before {kind.__name__}, but {facts}"
        )
    _review_whereabouts(leg, facts, ordered)


def _review_whereabouts(
    leg: e.LegId, facts: Sequence[e.CallEvent], ordered: Sequence[c.SwitchCommand]
) -> None:
    """Hold the facts about one leg to sense: what is told is news, or an immediate repeat."""
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
                require(parks >= 0, f"LegParked is told when a leg is parked, but {facts}")
                is_parked, peer = True, None
            case e.LegsJoined(first=first, second=second):
                other = second if first == leg else first
                require(peer != other, f"LegsJoined is told when two are joined, but {facts}")
                is_parked, peer = False, other
            case e.LegsSeparated(first=first, second=second):
                other = second if first == leg else first
                require(
                    peer == other or peer is None or is_parked,
                    f"LegsSeparated names two who were joined, but {facts}",
                )
                peer = None
            case e.SoundStarted():
                require(not plays, f"a sound stops before the next starts, but {facts}")
                plays = True
            case e.SoundStopped():
                require(plays, f"only what started can stop, but {facts}")
                plays = False
            case _:
                pass


def _without_repeats(facts: Iterable[e.CallEvent]) -> Iterator[e.CallEvent]:
    """Leave out what follows its original at once: that is allowed."""
    before: e.CallEvent | None = None
    for fact in facts:
        if fact != before:
            yield fact
        before = fact
