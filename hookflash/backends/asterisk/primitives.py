"""The primitive operations of an Asterisk, as values.

`procedures` makes them of commands. `requests` writes them as ARI and AMI want them.

A leg, a number, a sound or a cause in one of these has passed an allow-list already. A leg is named
by its id; only what the dialplan reads names channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import attrs

from hookflash.events import LegId
from hookflash.sounds import Music, Recording, Tone

Variables: TypeAlias = tuple[tuple[str, str], ...]
"""Names and values, in order. An empty value takes the variable off."""


SETTLES_S: Final = 0.05
"""How long a leg may be on its way from one place to the next: some 2 ms, on a busy machine 20. Of
legs that were sent out of a bridge within 5 ms of entering it, 1 in 100 ended (22.10.1)."""

TOO_LATE: Final = "it came too late: the two have parted"
"""Why a command has come to nothing whose proof is missing."""


@attrs.frozen
class Setvar:
    """AMI `Setvar`, one for each. In effect before the answer."""

    leg: LegId
    variables: Variables


@attrs.frozen
class RestoreLimit:
    """Give a leg its own time limit back: AMI `Getvar` of what is noted, and `Setvar` of the rest.

    A leg on which nothing is noted has not been parked, and keeps what it has.
    """

    leg: LegId

    def asked(self) -> tuple[str, ...]:
        """The variables to ask for."""
        return (UNTIL, NOW)

    def amended(self, told: Sequence[str]) -> Variables:
        """What is to be set, when these are their values."""
        left = time_left(*told)
        return ((TIMEOUT, left),) if left else ()


@attrs.frozen
class Conceal:
    """Have our subroutine decide what a phone shows, and note which one did before."""

    leg: LegId
    by: str
    """Our subroutine, as `SHOW_BY` names it."""

    def asked(self) -> tuple[str, ...]:
        """The variables to ask for."""
        return (SHOW_BY,)

    def amended(self, told: Sequence[str]) -> Variables:
        """What is to be set, when these are their values."""
        (before,) = told
        # noted first, for the controller may die in between
        return ((SHOWN_BY, before), (SHOW_BY, self.by)) if before != self.by else ()


@attrs.frozen
class RestoreDisplay:
    """Let the subroutine decide again that did before. One that is not ours stays."""

    leg: LegId
    by: str
    """Our subroutine, as `SHOW_BY` names it."""

    def asked(self) -> tuple[str, ...]:
        """The variables to ask for."""
        return (SHOW_BY, SHOWN_BY)

    def amended(self, told: Sequence[str]) -> Variables:
        """What is to be set, when these are their values."""
        now, before = told
        return ((SHOW_BY, before),) if now == self.by else ()


Amendment: TypeAlias = RestoreLimit | Conceal | RestoreDisplay
"""What is set depends on what is there."""


@attrs.frozen
class Redirect:
    """AMI `Redirect`: send a leg to an extension of ours, and another with it.

    Of two, none moves if one is gone.
    """

    leg: LegId
    extension: str
    other: LegId = ""
    sets: tuple[Setvar, ...] = ()
    """What is set first, in the same message: a controller that dies leaves all undone, or none. A
    leg that talks with another would else do already what it is to do after the next call."""


@attrs.frozen
class OriginateChannel:
    """ARI `POST /channels`: call somebody, and send who answers to an extension of ours."""

    leg: LegId
    number: str
    endpoint: str
    """Where to call: `Local/2600@default/n`, `PJSIP/1002`, …"""
    caller: str
    """Whom the phone shows: `"Alice" <1001>`."""
    timeout_s: int
    variables: Variables
    extension: str = "park"


@attrs.frozen
class PlayMedia:
    """ARI `POST /channels/LEG/play/ID`: a tone, or a recorded sound."""

    leg: LegId
    sound: Tone | Recording


@attrs.frozen
class PlayMusic:
    """ARI `POST /channels/LEG/moh`."""

    leg: LegId
    sound: Music


@attrs.frozen
class StopSounds:
    """Stop what plays to a leg: ARI `DELETE /playbacks/ID`, `DELETE /channels/LEG/moh`."""

    leg: LegId


@attrs.frozen
class HangUpChannel:
    """ARI `DELETE /channels/LEG`, with a number of Q.850 as the reason."""

    leg: LegId
    cause: int


Primitive: TypeAlias = (
    Setvar
    | Amendment
    | Redirect
    | OriginateChannel
    | PlayMedia
    | PlayMusic
    | StopSounds
    | HangUpChannel
)


@attrs.frozen(kw_only=True)
class GetvarCheck:
    """A question about a channel's variable (AMI `Getvar`), and the answer that confirms it."""

    leg: LegId
    variable: str
    value: str
    denied: bool = False
    """Whether any other answer confirms it."""

    def shown_by(self, answer: str) -> bool:
        """Whether an answer confirms it."""
        return (answer == self.value) is not self.denied


@attrs.frozen(kw_only=True)
class AsteriskProcedure:
    """What one command comes to: the operations, in their order."""

    steps: tuple[Primitive, ...]
    before: tuple[Primitive, ...] = ()
    """To be done before any question is asked. They may fail."""
    optional: int = 0
    """So many steps at the beginning may fail: what they do may be done already."""
    unless: tuple[tuple[GetvarCheck, ...], ...] = ()
    """To be asked before the steps; if all the facts of one of these are so, the switch is about it
    already, and the steps are left out."""
    proof: tuple[GetvarCheck, ...] = ()
    """To be asked when the steps are done; if one is not so, the command has come to nothing."""
    joined: tuple[GetvarCheck, ...] = ()
    """To be asked then; if all of these are so, the two who are to be joined talk already: the last
    step, which would end one of them, is left out, and it is told that they were joined anew."""
    after_s: float = 0.0
    """To be done so much later: the order that it repeats may be on its way."""
    settled: tuple[LegId, ...] = ()
    """Legs whose bridge must have been up for a moment (`SETTLES_S`) before any of this."""

    @property
    def steps_when_joined(self) -> tuple[Primitive, ...]:
        """The steps without the last one; what it sets is set all the same."""
        *others, last = self.steps
        return (*others, *last.sets) if isinstance(last, Redirect) else tuple(others)

    @property
    def legs(self) -> frozenset[LegId]:
        """All whom it concerns: what comes after it for one of them must not overtake it."""
        steps = (*self.before, *self.steps, *self.steps_when_joined)
        named = (getattr(step, name, "") for step in steps for name in ("leg", "other"))
        asked = (fact.leg for facts in (*self.unless, self.joined) for fact in facts)
        return frozenset(filter(None, (*named, *asked, *self.settled)))


# ------------------------------------------------------------------ variables of a leg

TRANSFER: Final = "HOOKFLASH_TRANSFER"
ROLE: Final = "HOOKFLASH_ROLE"
KIND: Final = "HOOKFLASH_KIND"
BEGAN: Final = "HOOKFLASH_BEGAN"
"""Who began the leg: once it has been moved, nothing on the switch says so."""
AFTER: Final = "HOOKFLASH_AFTER"
"""What the leg does when its partner leaves: `park`, `rescue`, or, without it, it ends."""
RESCUE: Final = "HOOKFLASH_RESCUE"
"""The channel that the leg fetches then."""
BRIEF: Final = "HOOKFLASH_BRIEF"
"""Whether the leg waits in the park for as long as a failsafe does, and no longer."""
ARMED: Final = "HOOKFLASH_ARMED"
"""Whether the leg fetches it as soon as it is parked, and not before it has left a partner."""
PEER: Final = "HOOKFLASH_PEER"
"""The channel that the leg bridges itself with."""
SOUND: Final = "HOOKFLASH_SOUND"
"""The id of what plays, a blank, and the sound: so that the next controller can stop it."""
LIMIT_S: Final = "HOOKFLASH_LIMIT_S"
WHY: Final = "HOOKFLASH_WHY"
TIMEOUT: Final = "TIMEOUT(absolute)"
UNTIL: Final = "HOOKFLASH_UNTIL"
"""When the time limit passes that the leg had before it was parked (in seconds, as `NOW` counts
them); `0`: it had none; empty: it has not been parked."""
NOW: Final = "EPOCH"
"""The switch's own clock: whole seconds."""

MAY_TRANSFER: Final = "HOOKFLASH_MAY_TRANSFER"
"""By this an operator says of one leg whether it may transfer."""
DEFAULT_ACCOUNT_VARIABLE: Final = "HOOKFLASH_ACCOUNT"
"""By this, or by `accountcode`, an operator says whose leg it is."""
PRESENTATION: Final = "CALLERID(pres)"
"""Whether a caller wants its number shown."""

PARTNER: Final = "BRIDGEPEER"
"""The channel that the leg is in a bridge with; none, when it has left."""
EXTENSION: Final = "EXTEN"
"""Where the leg is, or was sent."""

LINKED: Final = "CHANNEL(linkedid)"
"""Which legs belong together: whom one calls has what it has."""

SHOW_BY: Final = "CONNECTED_LINE_SEND_SUB"
"""The subroutine that Asterisk runs before it tells a phone whom it talks with."""
SHOWN: Final = "HOOKFLASH_SHOWN"
"""What that subroutine tells instead."""
SHOWN_BY: Final = "HOOKFLASH_SHOWN_BY"
"""The operator's own subroutine, while ours stands in its place."""

NUMBER: Final = "HOOKFLASH_NUMBER"
"""The number of a leg that we have called. Asterisk gives it the caller's as its own."""

DIALLED: Final = "CALLERID(dnid)"
"""What a leg has dialled that called us; empty on one that was called."""

MARKS: Final = (TRANSFER, ROLE, KIND)

LEAST_LEFT_S: Final = 0.1
"""A time limit that has passed ends the leg after so long: 0 would be none."""


def time_left(until: str, now: str) -> str:
    """The time limit that a leg is to have.

    Args:
        until: what `UNTIL` says.
        now: what `NOW` says.

    Returns:
        A value for `TIMEOUT`; empty, if nothing usable is noted.
    """
    try:
        ends_s = float(until)
        left_s = ends_s - float(now)
    except ValueError:
        return ""
    return f"{max(left_s, LEAST_LEFT_S):.3f}" if ends_s > 0 else "0"


OURS: Final = (
    *MARKS,
    BEGAN,
    AFTER,
    RESCUE,
    ARMED,
    BRIEF,
    PEER,
    SOUND,
    LIMIT_S,
    UNTIL,
    WHY,
    SHOWN,
    SHOWN_BY,
    NUMBER,
)
"""All that a transfer adds, and takes off again."""

TOLD: Final = (*MARKS, BEGAN, SOUND, MAY_TRANSFER, PRESENTATION, LINKED, DIALLED)
"""What ARI must tell of every channel, besides the account: `channelvars` in ari.conf."""
