"""The primitive operations of a FreeSWITCH, as values.

`procedures` makes them of commands. `text` writes them as the event socket wants them, and the
simulated switch executes the same values: what is proved in the simulator is proved of the orders
that the real switch gets.

A leg, a number or a cause in one of these has passed an allow-list already; so has what a sound is
made of.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, TypeAlias

import attrs

from hookflash.events import LegId
from hookflash.sounds import Sound

UNDEFINED: Final = "_undef_"
"""How FreeSWITCH says that a channel has no such variable."""

Variables: TypeAlias = tuple[tuple[str, str], ...]
"""Names and values, in order. An empty value takes the variable off."""


@attrs.frozen
class SetVariables:
    """`uuid_setvar_multi`. In effect before the reply, or so much later by `sched_api`."""

    leg: LegId
    variables: Variables
    after_s: int = 0


@attrs.frozen
class SetVariable:
    """`uuid_setvar`: one variable, whose value may have blanks in it."""

    leg: LegId
    name: str
    value: str


@attrs.frozen
class SendToPark:
    """`uuid_transfer LEG park inline`. Its partner does what its own variables say."""

    leg: LegId


@attrs.frozen
class Bridge:
    """`uuid_bridge`. Takes 20 to 60 ms; within that time neither leg may be ordered anything."""

    first: LegId
    second: LegId


@attrs.frozen
class Originate:
    """`originate`: call somebody. It takes long, and goes by `bgapi`."""

    leg: LegId
    number: str
    dial_string: str
    variables: Variables
    """The first one is `origination_uuid`, the leg's own name."""
    takes: LegId | None = None
    """Whom the leg intercepts on its answer; without one, it is parked."""


@attrs.frozen
class Broadcast:
    """`uuid_broadcast LEG SOUND aleg`."""

    leg: LegId
    sound: Sound
    sense: str = "music"
    """What a party would call it (`music`, `ringback` or `tone`). The switch is not told."""


@attrs.frozen
class BreakSounds:
    """`uuid_break LEG all`."""

    leg: LegId


@attrs.frozen
class Kill:
    """`uuid_kill`."""

    leg: LegId
    cause: str


@attrs.frozen
class Unschedule:
    """`sched_del`: forget what was scheduled for a leg, or for a group of tasks."""

    group: str


@attrs.frozen
class Display:
    """`uuid_display`: let a phone show with whom it talks; or `sched_api` of the same, later."""

    leg: LegId
    name: str
    number: str
    after_s: int = 0


@attrs.frozen
class DropKeys:
    """`uuid_drop_dtmf`: send a leg no keys any more, or again; now, or later (`sched_api`)."""

    leg: LegId
    drop: bool
    after_s: int = 0


@attrs.frozen
class SendKeys:
    """`uuid_send_dtmf`: let the party on a leg hear keys."""

    leg: LegId
    digits: str


Primitive: TypeAlias = (
    SetVariables
    | SetVariable
    | SendToPark
    | Bridge
    | Originate
    | Broadcast
    | BreakSounds
    | Kill
    | Unschedule
    | Display
    | DropKeys
    | SendKeys
)


@attrs.frozen(kw_only=True)
class VariableCheck:
    """A question about a channel's variable (`uuid_getvar`), and the answer that confirms it."""

    leg: LegId
    variable: str
    value: str
    within: bool = False
    """Whether it is enough that the answer contains this."""

    def shown_by(self, answer: str) -> bool:
        """Whether an answer says that it is so."""
        return self.value in answer if self.within else self.value == answer.strip()


@attrs.frozen(kw_only=True)
class Procedure:
    """What one command comes to: the operations, in order, none waiting for the one before."""

    steps: tuple[Primitive, ...]
    before: tuple[Primitive, ...] = ()
    """To be done before any question is asked. They may fail."""
    optional: int = 0
    """So many steps at the beginning may fail: what they do may be done already."""
    unless: tuple[tuple[VariableCheck, ...], ...] = ()
    """To be asked before the steps; if all the facts of one of these are so, …"""
    spared: int = 1
    """… so many steps at the end are left out: the switch is about it already."""
    settled: tuple[LegId, ...] = ()
    """Legs whose bridge must have been up for a moment (`SETTLES_S`) before any of this."""
    remember: tuple[LegId, ...] = ()
    """Legs that are about to be changed: what their variables say now is kept on them first."""
    restore: tuple[LegId, ...] = ()
    """Legs that get back what was kept of their variables, and lose whatever else is ours."""

    @property
    def legs(self) -> frozenset[LegId]:
        """All whom it concerns: what comes after it for one of them must not overtake it."""
        named = (getattr(step, "leg", None) for step in (*self.before, *self.steps))
        return frozenset(filter(None, named)) | {*self.settled, *self.remember, *self.restore}


SETTLES_S: Final = 0.1
"""FreeSWITCH tells of a bridge some 50 ms before it is up. If a leg is sent elsewhere in that time,
its partner may be hung up (measured on 1.10.12: 2 of 80)."""

CHANGED: Final = (
    "exec_after_bridge_app",
    "exec_after_bridge_arg",
    "execute_on_answer",
    "hangup_after_bridge",
    "ignore_display_updates",
    "last_sched_id",
    "park_after_bridge",
    "park_timeout",
    "playback_terminators",
    "playback_timeout_sec",
    "uuid_bridge_park_on_cancel",
)
"""The variables of other people's legs that a transfer changes."""

OURS: Final = (
    "hookflash_before",
    "hookflash_join",
    "hookflash_kind",
    "hookflash_role",
    "hookflash_transfer",
)
"""The variables that a transfer adds."""

KEPT: Final = "hookflash_before"
"""Where a leg keeps what its variables said before: by this, they survive us."""

_KEEPABLE: Final = re.compile(r"[0-9A-Za-z_.,:/*# -]{1,120}")
"""What a value may be made of that is kept. No other has been seen in any of these variables."""


ASKED_BEFORE: Final = (KEPT, *CHANGED)
"""The variables to ask for, before a leg is changed for the first time."""


def kept(leg: LegId, answers: Sequence[str]) -> SetVariables | None:
    """Keep on a leg what its variables say; None if that has been done before.

    Args:
        leg: whose they are.
        answers: to `ASKED_BEFORE`, in their order.
    """
    before, *values = (answer.strip() for answer in answers)
    if before != UNDEFINED:
        return None
    said = {
        name: value
        for name, value in zip(CHANGED, values, strict=True)
        if value != UNDEFINED and _KEEPABLE.fullmatch(value)
    }
    told = "|".join(f"{name}:{value}" for name, value in said.items())
    return SetVariables(leg, ((KEPT, told or NOTHING_KEPT),))


def with_kept(steps: Sequence[Primitive], keeps: Sequence[SetVariables]) -> tuple[Primitive, ...]:
    """Keep what legs have in the very order that changes them first.

    It must be one order: should we die between two, the leg would keep something, and have no mark
    by which the next controller finds it and takes that off.
    """
    unkept = {keep.leg: keep.variables for keep in keeps}
    return tuple(
        attrs.evolve(step, variables=unkept.pop(step.leg, ()) + step.variables)
        if isinstance(step, SetVariables)
        else step
        for step in steps
    )


_A_LEG: Final = re.compile(r"(?!_undef_)[0-9A-Za-z][0-9A-Za-z_.-]{0,63}")
"""A channel's id: no error, and nothing that would begin another command."""

_SILENCED: Final = "ignore_display_updates"
"""What keeps the switch from telling a leg's phone whom it talks with."""

ASKED_AFTER: Final = (KEPT, "other_loopback_leg_uuid", _SILENCED)
"""The variables to ask for, before a leg is given back what it had."""

OPEN_AGAIN_AFTER_S: Final = 2
"""How long after a transfer a leg stays silenced, in whole seconds (`sched_api` may take up to one
less): FreeSWITCH tells a phone up to 120 ms after CHANNEL_BRIDGE whom it has got, and looks only
then whether it may (measured on 1.10.12: given back at once, 9 of 50 outside lines were told)."""


def restored(leg: LegId, answers: Sequence[str]) -> tuple[SetVariables, ...]:
    """Give a leg back what was kept of its variables, and take the rest off.

    The far half of a loopback leg has inherited our marks: they go as well. A leg that is silenced
    stays so for a moment, and keeps what it is then to be given back: the next transfer that begins
    meanwhile finds that, and not what the last one has set.

    Args:
        leg: whose they are.
        answers: to `ASKED_AFTER`, in their order.
    """
    before, other_half, silenced = (answer.strip() for answer in answers)
    parts = (part.partition(":") for part in before.split("|"))
    said = {name: value for name, _, value in parts if name in CHANGED}
    ours = tuple((name, "") for name in OURS)
    # a leg that has kept nothing was given back already: what it has now is its own
    changed = tuple((name, said.get(name, "")) for name in CHANGED if before != UNDEFINED)
    given = (*changed, *ours)
    later = (_SILENCED, KEPT) if before != UNDEFINED and silenced == "true" else ()
    back = [SetVariables(leg, tuple(one for one in given if one[0] not in later))]
    if later:
        waits = tuple(one for one in given if one[0] in later)
        back.append(SetVariables(leg, waits, after_s=OPEN_AGAIN_AFTER_S))
    if _A_LEG.fullmatch(other_half):
        back.append(SetVariables(other_half, ours))
    return tuple(back)


NOTHING_KEPT: Final = "nothing"
"""What a leg keeps whose variables said nothing before; a leg that we call begins with it."""
