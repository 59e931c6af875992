"""The primitive operations of a FreeSWITCH, as values.

`procedures` translates commands into them. `text` renders them for the event socket, and the
simulated switch executes the same values: what is proved in the simulator is proved of the orders
that the real switch gets.

Legs, numbers, causes and sounds in these values have already passed an allow-list.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, TypeAlias

import attrs

from hookflash.events import LegId
from hookflash.sounds import Sound

UNDEFINED: Final = "_undef_"
"""FreeSWITCH's answer if a channel does not have a variable."""

Variables: TypeAlias = tuple[tuple[str, str], ...]
"""Names and values, in order. An empty value removes the variable."""


@attrs.frozen
class SetVariables:
    """`uuid_setvar_multi`. In effect before the reply, or `after_s` later by `sched_api`."""

    leg: LegId
    variables: Variables
    after_s: int = 0


@attrs.frozen
class SetVariable:
    """`uuid_setvar`: one variable, whose value may contain blanks."""

    leg: LegId
    name: str
    value: str


@attrs.frozen
class SendToPark:
    """`uuid_transfer LEG park inline`. Its partner follows its own variables."""

    leg: LegId


@attrs.frozen
class DialplanEntry:
    """A place of the dialplan."""

    number: str
    dialplan: str
    context: str


@attrs.frozen
class SendTo:
    """`uuid_transfer LEG '…' inline`: set variables, then go to an extension.

    Now, or `after_s` later by `sched_api`.
    """

    leg: LegId
    variables: Variables
    to: DialplanEntry | None
    """`None`: the park, which then is not ours."""
    after_s: int = 0


@attrs.frozen
class ThreeWay:
    """`uuid_transfer LEG three_way:OF,park inline`: take part in the conversation of a leg.

    It parks when that leg ends. Whether it works shows in a media bug of the other leg
    (`MEDIA_BUG_START`, `eavesdrop`).
    """

    leg: LegId
    of: LegId


@attrs.frozen
class Bridge:
    """`uuid_bridge`. Takes 20 to 60 ms; during that time neither leg may get another order."""

    first: LegId
    second: LegId


@attrs.frozen
class Originate:
    """`originate … &park()`: call a party. It takes long, and goes by `bgapi`."""

    leg: LegId
    number: str
    dial_string: str
    variables: Variables
    """The first one is `origination_uuid`, the leg's id."""


@attrs.frozen
class Broadcast:
    """`uuid_broadcast LEG SOUND aleg`."""

    leg: LegId
    sound: Sound
    sense: str = "music"
    """Its purpose (`music`, `ringback` or `tone`). It is not sent to the switch."""


@attrs.frozen
class BreakSounds:
    """`uuid_break LEG all`."""

    leg: LegId


@attrs.frozen
class Kill:
    """`uuid_kill`, now or later (`sched_api`)."""

    leg: LegId
    cause: str
    after_s: int = 0


@attrs.frozen
class Unschedule:
    """`sched_del`: cancel the scheduled tasks of a leg or of a group."""

    group: str


@attrs.frozen
class Display:
    """`uuid_display`: show a phone its other party, now or later (`sched_api`)."""

    leg: LegId
    name: str
    number: str
    after_s: int = 0


@attrs.frozen
class DropKeys:
    """`uuid_drop_dtmf`: withhold keys from a leg, or stop doing so; now or later (`sched_api`)."""

    leg: LegId
    drop: bool
    after_s: int = 0


@attrs.frozen
class SendKeys:
    """`uuid_send_dtmf`: send keys to the party on a leg."""

    leg: LegId
    digits: str


Primitive: TypeAlias = (
    SetVariables
    | SetVariable
    | SendToPark
    | SendTo
    | ThreeWay
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
    """A check of a channel's variable (`uuid_getvar`), with the value that confirms it."""

    leg: LegId
    variable: str
    value: str
    within: bool = False
    """Whether the answer only needs to contain the value."""

    def shown_by(self, answer: str) -> bool:
        """Whether an answer confirms it."""
        return self.value in answer if self.within else self.value == answer.strip()


@attrs.frozen(kw_only=True)
class Return:
    """A leg that is to go back where it was (see `returning`)."""

    leg: LegId
    to: str
    """Where, as in `commands.SendBack`; empty: nowhere, but where it is gets noted."""
    after_s: int | None = None
    """When the switch does it on its own; `None`: never."""
    now: bool = False


@attrs.frozen(kw_only=True)
class Procedure:
    """The operations of one command, in order; none waits for the previous one."""

    steps: tuple[Primitive, ...]
    before: tuple[Primitive, ...] = ()
    """Steps before the checks. They may fail."""
    optional: int = 0
    """How many steps at the beginning may fail, because they may be done already."""
    unless: tuple[tuple[VariableCheck, ...], ...] = ()
    """Checks before the steps; if all checks of one of these alternatives hold, …"""
    spared: int = 1
    """… this many steps at the end are left out: the switch is already executing them."""
    settled: tuple[LegId, ...] = ()
    """Legs whose bridge must have been up for a moment (`SETTLES_S`) before the first step."""
    remember: tuple[LegId, ...] = ()
    """Legs whose variables will change: their current values are saved on them first."""
    returns: Return | None = None
    """A leg that goes back where it was, once it is known where that is. If it is not known, or if
    the leg is in a bridge, the command fails, and nothing is sent."""
    restore: tuple[LegId, ...] = ()
    """Legs whose saved variables are restored, and whose other variables of ours are removed."""

    @property
    def legs(self) -> frozenset[LegId]:
        """All legs concerned: later commands for them must not overtake this one."""
        named = (getattr(step, "leg", None) for step in (*self.before, *self.steps))
        returns = {self.returns.leg} if self.returns is not None else set[LegId]()
        others = {*self.settled, *self.remember, *self.restore, *returns}
        return frozenset(filter(None, named)) | others


SETTLES_S: Final = 0.1
"""FreeSWITCH reports a bridge some 50 ms before it is up. If a leg is sent elsewhere in that time,
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
"""The operator's variables that a transfer changes."""

ORIGIN: Final = "hookflash_origin"
"""The variable that says where a leg was before it was parked."""
PICK_UP: Final = "hookflash_pick_up"
"""The variable by which the dialplan asks for a parked call: the slot's number."""
PART: Final = "hookflash_part"
"""The variable of a leg that names the one that takes part in its conversation: the switch reports
the beginning and the end of that on the leg itself, without the other."""

ON_BRIDGE: Final = "api_before_bridge_hookflash"
"""FreeSWITCH runs what stands in any variable whose name begins with `api_before_bridge` when a
conversation begins; with `api_on_answer`, when the leg answers."""

OURS: Final = (
    ON_BRIDGE,
    "hookflash_before",
    "hookflash_join",
    "hookflash_kind",
    ORIGIN,
    PART,
    PICK_UP,
    "hookflash_role",
    "hookflash_transfer",
)
"""The variables that a transfer adds."""

OURS_REMOVED: Final[Variables] = tuple((name, "") for name in OURS)

KEPT: Final = "hookflash_before"
"""The variable in which a leg saves its previous variables, so that they survive the controller."""

_KEEPABLE: Final = re.compile(r"[0-9A-Za-z_.,:/*# -]{1,120}")
"""The allowed characters of a saved value. No others have been seen in any of these variables."""


ASKED_BEFORE: Final = (KEPT, *CHANGED)
"""The variables to query before a leg is changed for the first time."""


def kept(leg: LegId, answers: Sequence[str]) -> SetVariables | None:
    """Save a leg's current variables on the leg; None if that has been done before.

    Args:
        leg: the leg.
        answers: to `ASKED_BEFORE`, in their order.
    """
    before, *values = map(str.strip, answers)
    if before != UNDEFINED:
        return None
    said = {
        name: value
        for name, value in zip(CHANGED, values, strict=True)
        if value != UNDEFINED and _KEEPABLE.fullmatch(value)
    }
    saved = "|".join(f"{name}:{value}" for name, value in said.items())
    return SetVariables(leg, ((KEPT, saved or NOTHING_KEPT),))


def with_kept(steps: Sequence[Primitive], keeps: Sequence[SetVariables]) -> Sequence[Primitive]:
    """Save the legs' variables with the same order that first changes them.

    It must be one order: if the controller died between two, the leg would keep the saved values,
    but no mark by which the next controller finds it.
    """
    if not keeps:
        return steps
    unkept = {keep.leg: keep.variables for keep in keeps}
    return tuple(
        SetVariables(step.leg, unkept.pop(step.leg) + step.variables, step.after_s)
        if isinstance(step, SetVariables) and step.leg in unkept
        else step
        for step in steps
    )


_A_LEG: Final = re.compile(r"(?!_undef_)[0-9A-Za-z][0-9A-Za-z_.-]{0,63}")
"""A channel's id: not an error, and no text that would begin another command."""

_SILENCED: Final = "ignore_display_updates"
"""The variable that keeps the switch from updating the display of a leg's phone."""

ASKED_AFTER: Final = (KEPT, "other_loopback_leg_uuid", _SILENCED)
"""The variables to query before a leg's variables are restored."""

OPEN_AGAIN_AFTER_S: Final = 2
"""How long after a transfer display updates stay off, in whole seconds (`sched_api` may take up to
one less): FreeSWITCH updates a phone up to 120 ms after CHANNEL_BRIDGE, and checks only then
whether it may (measured on 1.10.12: restored at once, 9 of 50 outside lines were updated)."""


def as_before(kept: str) -> list[tuple[str, str]]:
    """The variables that a transfer changes, with the values that were saved."""
    parts = (part.partition(":") for part in kept.split("|"))
    said = {name: value for name, _, value in parts if name in CHANGED}
    return [(name, said.get(name, "")) for name in CHANGED]


def restored(leg: LegId, answers: Sequence[str]) -> tuple[SetVariables, ...]:
    """Restore a leg's saved variables, and remove the others of ours.

    The far half of a loopback leg has inherited our marks, which are removed too. A leg whose
    display updates are off stays so for a moment, and keeps the saved value: the next transfer that
    begins meanwhile finds that, and not the value set by the last one.

    Args:
        leg: the leg.
        answers: to `ASKED_AFTER`, in their order.
    """
    before, other_half, silenced = map(str.strip, answers)
    # a leg without saved values was restored before: its current ones are its own
    changed = [] if before == UNDEFINED else as_before(before)
    given = (*changed, *OURS_REMOVED)
    if changed and silenced == "true":
        later = (_SILENCED, KEPT)
        waits = tuple(one for one in given if one[0] in later)
        given = tuple(one for one in given if one[0] not in later)
        back = [
            SetVariables(leg, given),
            SetVariables(leg, waits, after_s=OPEN_AGAIN_AFTER_S),
        ]
    else:
        back = [SetVariables(leg, given)]
    if _A_LEG.fullmatch(other_half):
        back.append(SetVariables(other_half, OURS_REMOVED))
    return tuple(back)


NOTHING_KEPT: Final = "nothing"
"""The saved value of a leg without previous variables; a leg that we call begins with it."""
