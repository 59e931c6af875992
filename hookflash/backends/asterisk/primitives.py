"""The primitive operations of an Asterisk, as values.

`procedures` translates commands into them. `requests` renders them for ARI and AMI.

Legs, numbers, sounds and causes in these values have already passed an allow-list. A leg is named
by its id; only the dialplan's variables name channels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, TypeAlias

import attrs

from hookflash.events import LegId
from hookflash.sounds import Music, Recording, Tone

Variables: TypeAlias = tuple[tuple[str, str], ...]
"""Names and values, in order. An empty value removes the variable."""


SETTLES_S: Final = 0.05
"""How long a leg may take from one place to the next: about 2 ms, on a busy machine 20. Of legs
that were sent out of a bridge within 5 ms after they entered it, 1 in 100 ended (22.10.1)."""

TOO_LATE: Final = "it came too late: the two have parted"
"""Why a command without a proof has failed."""


@attrs.frozen
class Setvar:
    """AMI `Setvar`, one per variable. In effect before the answer."""

    leg: LegId
    variables: Variables


@attrs.frozen
class RestoreLimit:
    """Restore a leg's own time limit: AMI `Getvar` of the noted one, and `Setvar` of the rest.

    A leg without a note has not been parked, and keeps its limit.
    """

    leg: LegId

    def asked(self) -> tuple[str, ...]:
        """The variables to ask for."""
        return (UNTIL, NOW)

    def amended(self, values: Sequence[str]) -> Variables:
        """What is to be set, when these are their values."""
        left = time_left(*values)
        return ((TIMEOUT, left),) if left else ()


@attrs.frozen
class Conceal:
    """Let our subroutine decide what a phone shows, and note the previous subroutine."""

    leg: LegId
    by: str
    """Our subroutine, as `SHOW_BY` names it."""

    def asked(self) -> tuple[str, ...]:
        """The variables to ask for."""
        return (SHOW_BY,)

    def amended(self, values: Sequence[str]) -> Variables:
        """What is to be set, when these are their values."""
        (before,) = values
        # noted first, as the controller may die in between
        return ((SHOWN_BY, before), (SHOW_BY, self.by)) if before != self.by else ()


@attrs.frozen
class RestoreDisplay:
    """Restore the previous subroutine. One that is not ours stays."""

    leg: LegId
    by: str
    """Our subroutine, as `SHOW_BY` names it."""

    def asked(self) -> tuple[str, ...]:
        """The variables to ask for."""
        return (SHOW_BY, SHOWN_BY)

    def amended(self, values: Sequence[str]) -> Variables:
        """What is to be set, when these are their values."""
        now, before = values
        return ((SHOW_BY, before),) if now == self.by else ()


@attrs.frozen
class NoteBack:
    """Note on a leg where it goes back: AMI `Getvar` of where it is, and `Setvar`.

    It is refused if the leg is in a bridge, or if it is not known where it is.
    """

    leg: LegId
    place: str = ""
    """`context,exten,priority`; empty: where the leg is."""

    def asked(self) -> tuple[str, ...]:
        """The variables to ask for."""
        return (PARTNER, "CONTEXT", EXTENSION, "PRIORITY")

    def noted(self, values: Sequence[str]) -> str:
        """The place to note, if it exists (see `exists`); empty: it is not known."""
        if self.place:
            return self.place
        _, *place = values
        noted = ",".join(place)
        return noted if _PLACE.fullmatch(noted) else ""

    @staticmethod
    def exists(place: str) -> str:
        """The function that says whether a place exists."""
        return f"DIALPLAN_EXISTS({place})"


_PLACE: Final = re.compile(r"[0-9A-Za-z_.-]{1,64},[0-9A-Za-z+*#_.-]{1,64},[0-9]{1,6}")

JOINED: Final = "the leg talks with somebody"
NOT_KNOWN: Final = "the leg is in no extension to which it could go back: choose another return_to"
NO_PLACE: Final = "there is no such extension to which the leg could go back"

Amendment: TypeAlias = RestoreLimit | Conceal | RestoreDisplay
"""Operations whose new values depend on the current ones."""


@attrs.frozen
class Redirect:
    """AMI `Redirect`: send one leg or two to an extension of ours.

    Of two, neither moves if one is gone.
    """

    leg: LegId
    extension: str
    other: LegId = ""
    sets: tuple[Setvar, ...] = ()
    """Variables that are set first, in the same message, so that a dying controller leaves all or
    nothing. Otherwise a talking leg would already do what it is to do after the next join."""


@attrs.frozen
class OriginateChannel:
    """ARI `POST /channels`: call a party, and send it to our extension `park` when it answers."""

    leg: LegId
    number: str
    endpoint: str
    """Where to call: `Local/2600@default/n`, `PJSIP/1002`, …"""
    caller: str
    """The caller that the phone shows: `"Alice" <1001>`."""
    timeout_s: int
    variables: Variables


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
class Whisper:
    """ARI `POST /channels/LEG/snoop`: mix a sound into what a leg hears; its bridge goes on.

    A channel of its own plays it, and is hung up after the sound, or after `limit_s` by the switch.
    """

    leg: LegId
    sound: Tone | Recording
    limit_s: float


@attrs.frozen
class StopSounds:
    """Stop the sounds on a leg: ARI `DELETE /playbacks/ID`, `DELETE /channels/LEG/moh`."""

    leg: LegId


@attrs.frozen
class HangUpChannel:
    """ARI `DELETE /channels/LEG`, with a number of Q.850 as the reason."""

    leg: LegId
    cause: int


Primitive: TypeAlias = (
    Setvar
    | Amendment
    | NoteBack
    | Redirect
    | OriginateChannel
    | PlayMedia
    | PlayMusic
    | Whisper
    | StopSounds
    | HangUpChannel
)


@attrs.frozen(kw_only=True)
class GetvarCheck:
    """A check of a channel's variable (AMI `Getvar`), with the value that confirms it."""

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
    """The operations of one command, in order."""

    steps: tuple[Primitive, ...]
    before: tuple[Primitive, ...] = ()
    """Steps before the checks. They may fail."""
    optional: int = 0
    """How many steps at the beginning may fail, because they may be done already."""
    unless: tuple[tuple[GetvarCheck, ...], ...] = ()
    """Checks before the steps; if all checks of one of these alternatives hold, the switch is
    already executing the command, and the steps are left out."""
    proof: tuple[GetvarCheck, ...] = ()
    """Checks after the steps; if one does not hold, the command has failed."""
    joined: tuple[GetvarCheck, ...] = ()
    """Checks before the last step; if all hold, the two already talk: the last step, which would
    end one of them, is left out, and it is reported that they were joined again."""
    after_s: float = 0.0
    """A delay before the steps: the order that they repeat may still be executed."""
    settled: tuple[LegId, ...] = ()
    """Legs whose bridge must have been up for a moment (`SETTLES_S`) before the first step."""

    @property
    def steps_when_joined(self) -> tuple[Primitive, ...]:
        """The steps without the last one, but with its variables."""
        *others, last = self.steps
        return (*others, *last.sets) if isinstance(last, Redirect) else tuple(others)

    @property
    def legs(self) -> frozenset[LegId]:
        """All legs concerned: later orders for them must not overtake this one."""
        steps = (*self.before, *self.steps, *self.steps_when_joined)
        named = (getattr(step, name, "") for step in steps for name in ("leg", "other"))
        asked = (fact.leg for facts in (*self.unless, self.joined) for fact in facts)
        return frozenset(filter(None, (*named, *asked, *self.settled)))


# ------------------------------------------------------------------ variables of a leg

TRANSFER: Final = "HOOKFLASH_TRANSFER"
ROLE: Final = "HOOKFLASH_ROLE"
KIND: Final = "HOOKFLASH_KIND"
BEGAN: Final = "HOOKFLASH_BEGAN"
"""The leg's direction: once it has been moved, nothing else on the switch shows it."""
AFTER: Final = "HOOKFLASH_AFTER"
"""What the leg does when its partner leaves: `park` or `rescue`; empty: it ends."""
RESCUE: Final = "HOOKFLASH_RESCUE"
"""The channel that the leg then fetches."""
BRIEF: Final = "HOOKFLASH_BRIEF"
"""Whether the leg waits in the park only as long as a failsafe does."""
ARMED: Final = "HOOKFLASH_ARMED"
"""Whether the leg fetches it as soon as it is parked, without having had a partner."""
PEER: Final = "HOOKFLASH_PEER"
"""The channel that the leg bridges itself with."""
PART: Final = "HOOKFLASH_PART"
"""The channel in whose conversation the leg takes part."""
SOUND: Final = "HOOKFLASH_SOUND"
"""The id of the playback, a blank, and the sound, so that the next controller can stop it."""
LIMIT_S: Final = "HOOKFLASH_LIMIT_S"
WHY: Final = "HOOKFLASH_WHY"
PICK_UP: Final = "HOOKFLASH_PICK_UP"
"""The slot whose parked call a leg is to have, as the operator's dialplan asks."""
TIMEOUT: Final = "TIMEOUT(absolute)"
BACK: Final = "HOOKFLASH_BACK"
"""Where the leg goes back: `context,exten,priority`."""
UNTIL: Final = "HOOKFLASH_UNTIL"
"""The time when the limit passes that the leg had before it was parked (in the seconds of `NOW`);
`0`: no limit; empty: it has not been parked."""
NOW: Final = "EPOCH"
"""The switch's own clock: whole seconds."""

MAY_TRANSFER: Final = "HOOKFLASH_MAY_TRANSFER"
"""An operator's setting whether a leg may transfer."""
DEFAULT_OWNER_VARIABLE: Final = "HOOKFLASH_OWNER"
DEFAULT_ACCOUNT_VARIABLE: Final = "HOOKFLASH_ACCOUNT"
"""An operator's setting of a leg's account; the other one is `accountcode`."""
PRESENTATION: Final = "CALLERID(pres)"
"""Whether a caller's number may be shown."""

PARTNER: Final = "BRIDGEPEER"
"""The channel in the same bridge; empty after the leg has left it."""
EXTENSION: Final = "EXTEN"
"""Where the leg is, or was sent."""

LINKED: Final = "CHANNEL(linkedid)"
"""The id that a leg shares with the legs that it calls."""

SHOW_BY: Final = "CONNECTED_LINE_SEND_SUB"
"""The subroutine that Asterisk runs before it updates a phone's display."""
SHOWN: Final = "HOOKFLASH_SHOWN"
"""What that subroutine shows instead."""
SHOWN_BY: Final = "HOOKFLASH_SHOWN_BY"
"""The operator's own subroutine, while ours replaces it."""

NUMBER: Final = "HOOKFLASH_NUMBER"
"""The number of a leg that we have called. Asterisk itself gives it the caller's number."""

HEADERS: Final = "HOOKFLASH_HEADERS"
"""SIP headers for the phone that the dialplan calls: `X-Ticket=4711|X-Queue=sales`."""

DIALLED: Final = "CALLERID(dnid)"
"""The extension that an incoming leg dialled; empty on a called leg."""

MARKS: Final = (TRANSFER, ROLE, KIND)

LEAST_LEFT_S: Final = 0.1
"""The rest of a time limit that has passed: 0 would mean no limit."""


def time_left(until: str, now: str) -> str:
    """The time limit for a leg.

    Args:
        until: the value of `UNTIL`.
        now: the value of `NOW`.

    Returns:
        A value for `TIMEOUT`; empty if the note is missing or invalid.
    """
    try:
        ends_s = float(until)
        left_s = ends_s - float(now)
    except ValueError:
        return ""
    return f"{max(left_s, LEAST_LEFT_S):.3f}" if ends_s > 0 else "0"


OURS: Final = (
    *MARKS,
    BACK,
    BEGAN,
    AFTER,
    RESCUE,
    ARMED,
    BRIEF,
    PEER,
    PART,
    SOUND,
    LIMIT_S,
    UNTIL,
    WHY,
    PICK_UP,
    SHOWN,
    SHOWN_BY,
    NUMBER,
    HEADERS,
)
"""All variables that a transfer sets and removes."""

TOLD: Final = (*MARKS, BEGAN, SOUND, MAY_TRANSFER, PRESENTATION, LINKED, DIALLED)
"""The variables, besides the account, that ARI must report: `channelvars` in ari.conf."""
