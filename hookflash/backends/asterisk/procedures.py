"""What a command comes to on an Asterisk: a procedure of primitive operations.

A leg that is parked or joined carries what it is to do next as channel variables, which its
dialplan reads when it gets there (see `dialplan`). So to arm or to disarm is to set a variable, and
whatever the controller ordered last is what happens, with or without it.

Whatever comes from a person passes an allow-list here: what is not allowed is refused, never
repaired. A `$` would be expanded, `,` and `&` separate what `Dial` is given, `/` and `@` choose who
is called, and a line break would begin another header.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from string import Formatter
from typing import Final

import attrs

from hookflash import commands as c
from hookflash.backends.asterisk.dialplan import PARK_LIMIT_S
from hookflash.backends.asterisk.primitives import (
    AFTER,
    ARMED,
    BEGAN,
    DEFAULT_ACCOUNT_VARIABLE,
    EXTENSION,
    KIND,
    LIMIT_S,
    NUMBER,
    OURS,
    PARTNER,
    PEER,
    RESCUE,
    ROLE,
    SETTLES_S,
    SHOWN,
    TRANSFER,
    AsteriskProcedure,
    Conceal,
    GetvarCheck,
    HangUpChannel,
    OriginateChannel,
    PlayMedia,
    PlayMusic,
    Primitive,
    Redirect,
    RestoreDisplay,
    RestoreLimit,
    Setvar,
    StopSounds,
)
from hookflash.causes import number_for
from hookflash.errors import InputError
from hookflash.events import Direction, LegId
from hookflash.sounds import Music, Sound, Tone

ALLOWED_LEG: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{0,149}")
"""What a channel's id may be made of."""

ALLOWED_CHANNEL: Final = re.compile(r"[0-9A-Za-z]+/[0-9A-Za-z_.:@+*#/;=-]{1,200}")
"""What a channel's name may be made of, where the dialplan is to read it."""

ALLOWED_NUMBER: Final = re.compile(r"[0-9A-Za-z+*#_-]{1,64}")
"""What a number to call may be made of: no `@`, `/`, `,` or `&`, for where to call is the
operator's to choose, not the caller's."""

ALLOWED_NAME: Final = re.compile(r"[0-9A-Za-z .()+*#_-]{0,64}")
"""What a caller's name may be made of. Other letters are replaced, for a display is no promise."""

ALLOWED_ACCOUNT: Final = re.compile(r"[0-9A-Za-z_.@:-]{0,64}")
"""What the name of an account may be made of, where a leg is to carry it."""

ALLOWED_WORD: Final = re.compile(r"[0-9A-Za-z_.-]{0,64}")
"""What a mark may be made of."""

WITHHELD: Final = "anonymous"
"""The number that is shown of somebody who wants it withheld (RFC 3323, section 4.1.1.3)."""

FAR_HALF: Final = ".far"
"""What the far half of a call through the dialplan is named after its near half."""

MOST_BURSTS: Final = 1_000
"""How many bursts a tone may have with all its repeats: Asterisk knows no repeats, so that each is
written out, and copied to the stack of the thread that plays it."""

_LONGEST_S: Final = 2**31 - 1

_ALLOWED_WORDS: Final[Mapping[re.Pattern[str], str]] = {
    ALLOWED_LEG: "letters, digits and _ . -, beginning with a letter or a digit, at most 150",
    ALLOWED_NUMBER: "letters, digits and + * # _ -, 1 to 64 of them",
    ALLOWED_CHANNEL: "a technology, a slash, and the channel's name",
    ALLOWED_WORD: "letters, digits and _ . -, at most 64",
}
"""The allow-lists in words, for the person whose text does not pass."""


def checked(pattern: re.Pattern[str], text: str, what: str) -> str:
    """Let a text pass, or refuse it.

    Raises:
        InputError: it has something in it that the switch could understand as more than a name.
    """
    if not pattern.fullmatch(text):
        allowed = _ALLOWED_WORDS[pattern]
        raise InputError(f"{what} {text[:80]!r} is not allowed", hint=f"allowed: {allowed}")
    return text


@attrs.frozen(kw_only=True)
class AsteriskDialling:
    """How targets are called. The default works with a dialplan that has a context `default`.

    Raises:
        InputError: a template that can't be used.
    """

    template: str = "Local/{number}@{context}/n"
    """What to call, as `Dial` names it. `{number}` is what the person dialled, `{context}` the
    field below. Through the dialplan by default, so that a target may be an extension, a queue, or
    an outside number; `PJSIP/{number}` or `PJSIP/{number}@mytrunk` work too. `Local` needs its
    `/n`: without it, the switch would replace the leg by one that nobody knows."""
    context: str = "default"
    """The dialplan context in which targets are looked up."""
    variables: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """Channel variables for every target's leg."""

    def __attrs_post_init__(self) -> None:
        try:
            fields = {
                name for _, name, _, _ in Formatter().parse(self.template) if name is not None
            }
            usable = "number" in fields and fields <= {"number", "context"}
            endpoint = self.endpoint("1")
        except (ValueError, LookupError, AttributeError):  # a brace alone, a field that is none
            usable, endpoint = False, ""
        if not usable:
            raise InputError(
                f"{self.template!r} can't be dialled",
                hint="write {number} where the number goes, and {context} where the context goes",
            )
        if endpoint.startswith("Local/") and "n" not in endpoint.rpartition("/")[2]:
            raise InputError(f"{self.template!r} lacks its /n", hint=f"{self.template}/n")
        said = (self.template, self.context, *self.variables, *self.variables.values())
        if any(char in text for text in said for char in "\r\n\0"):
            raise InputError("the dialling has a line break in it", hint="one line each")

    def endpoint(self, number: str) -> str:
        """What to call for a number, which has passed the allow-list."""
        return self.template.format(number=number, context=self.context)


@attrs.frozen(kw_only=True)
class KnownParty:
    """What is known of a leg, as far as orders are concerned."""

    channel: str = ""
    """The name of its channel."""
    direction: Direction | None = None
    account: str = ""
    number: str = ""
    name: str = ""
    withheld: bool = False
    """Whether it is to be shown to nobody."""


class AsteriskProcedures:
    """Turns our commands into the operations of one Asterisk."""

    def __init__(
        self,
        *,
        party_of: Callable[[LegId], KnownParty],
        dialling: AsteriskDialling | None = None,
        context: str = "hookflash",
        park_limit_s: float = PARK_LIMIT_S,
        account_variable: str = DEFAULT_ACCOUNT_VARIABLE,
    ) -> None:
        """Choose how.

        Args:
            party_of: what is known of a leg.
            dialling: how targets are called.
            context: the context of our dialplan.
            park_limit_s: after so long the switch itself hangs up a leg that nobody fetches: the
                net for the case that no controller ever comes back. Longer than any hold limit.
            account_variable: the channel variable that holds a leg's account.
        """
        self._party_of = party_of
        self._dialling = dialling or AsteriskDialling()
        self._context = context
        self._park_limit_s = park_limit_s
        self._account_variable = account_variable
        self._makers: dict[type, Callable[..., AsteriskProcedure]] = {
            c.Split: self._split,
            c.Park: self._park,
            c.HoldWithMusic: _hold_with_music,
            c.PlayRingback: _play_ringback,
            c.PlayTone: _play_tone,
            c.Dial: self._dial,
            c.Join: self._join,
            c.Arm: self._arm,
            c.Release: self._release,
            c.Introduce: self._introduce,
            c.Forget: self._forget,
            c.HangUp: self._hang_up,
        }

    def of(self, command: c.SwitchCommand) -> AsteriskProcedure | None:
        """Make the procedure of a command; None if this switch can't do it, and needn't.

        Raises:
            InputError: something that a person wrote is not allowed, or a leg is not known.
        """
        maker = self._makers.get(type(command))
        return None if maker is None else maker(command)

    # ------------------------------------------------------------------ one for each command

    def _split(self, command: c.Split) -> AsteriskProcedure:
        first, second = command.first, command.second
        return AsteriskProcedure(
            steps=(
                *self._marked(command, first, "transferor"),
                *self._marked(command, second, "transferee"),
                Redirect(_leg(first), "park", _leg(second)),
            ),
            unless=((GetvarCheck(leg=_leg(first), variable=PARTNER, value=""),),)
            if command.repeated
            else (),
            after_s=SETTLES_S if command.repeated else 0.0,
            settled=(first, second),
        )

    def _marked(self, command: c.Split, leg: LegId, role: str) -> tuple[Primitive, ...]:
        marks = {
            TRANSFER: checked(ALLOWED_WORD, command.transfer, "the transfer"),
            ROLE: role if command.transfer else "",
            KIND: checked(ALLOWED_WORD, command.kind, "the kind"),
            BEGAN: self._party_of(leg).direction or "",
        }
        limit = {LIMIT_S: str(_seconds(self._park_limit_s))}
        discreet = self._discreet(leg, command.undisclosed)
        return (_set(leg, marks | _AT_EASE | limit), *discreet)

    def _park(self, command: c.Park) -> AsteriskProcedure:
        leg = _leg(command.leg)
        return AsteriskProcedure(
            steps=(_set(leg, _AT_EASE), Redirect(leg, "park")),
            unless=tuple(
                facts for other in command.unless_with for facts in self._are_with(leg, other)
            ),
        )

    def _dial(self, command: c.Dial) -> AsteriskProcedure:
        caller = self._party_of(command.on_behalf_of)
        shown = WITHHELD if caller.withheld else command.caller or caller.number
        name = shown if caller.withheld else caller.name or shown
        number = checked(ALLOWED_NUMBER, command.target, "the number")
        account = command.account or caller.account
        leg = _leg(command.leg)
        variables = {
            TRANSFER: checked(ALLOWED_WORD, command.transfer, "the transfer"),
            # the far half gets all of these, too: only the leg of this name means them
            ROLE: f"target:{leg}",
            NUMBER: number,
            LIMIT_S: str(_seconds(self._park_limit_s)),
            **({"CALLERID(pres)": "prohib"} if caller.withheld else {}),
            **self._owned_by(account),
            # who is called when the transferor has left already fetches the transferee at once
            **({} if command.rescue is None else self._rescuing(command.rescue)),
            **self._dialling.variables,
        }
        originate = OriginateChannel(
            leg=leg,
            number=number,
            endpoint=self._dialling.endpoint(number),
            caller=f'"{_shown(name)}" <{checked(ALLOWED_NUMBER, shown or "0", "the caller")}>',
            timeout_s=_seconds(command.ring_timeout_s),
            variables=tuple(variables.items()),
            extension="park" if command.rescue is None else "rescue",
        )
        return AsteriskProcedure(steps=(originate,))

    def _owned_by(self, account: str) -> dict[str, str]:
        if not account or not ALLOWED_ACCOUNT.fullmatch(account):
            return {}
        # inherited by whom the dialplan calls, as accountcode is
        return {f"__{self._account_variable}": account, "CHANNEL(accountcode)": account}

    def _join(self, command: c.Join) -> AsteriskProcedure:
        first, second = _leg(command.first), _leg(command.second)
        after = {AFTER: "park" if command.afterwards is c.Afterwards.PARK else ""}
        # The first leg is armed when they talk, by an order of its own
        armed = {} if command.rescue is None else self._rescuing(command.rescue) | {AFTER: "rescue"}
        steps = (
            StopSounds(first),
            StopSounds(second),
            *self._discreet(first, command.undisclosed),
            *self._discreet(second, command.undisclosed),
            # the first, which bridges itself, does it in the dialplan
            RestoreLimit(second),
            Redirect(
                first,
                "join",
                sets=(
                    _set(first, _AT_EASE | {PEER: self._channel_of(second)} | after),
                    _set(second, _AT_EASE | {PEER: self._channel_of(first)} | after | armed),
                ),
            ),
        )
        return AsteriskProcedure(
            # whom it rescues it needs to know to the end, if it is about it already
            before=tuple(_set(leg, {AFTER: "park", ARMED: ""}) for leg in command.disarm),
            steps=steps,
            optional=2,
            unless=self._is_about(command),
            joined=(
                GetvarCheck(leg=first, variable=PARTNER, value=self._channel_of(second)),
                # one that was sent to the park leaves its partner at once
                GetvarCheck(leg=first, variable=EXTENSION, value="park", denied=True),
            ),
            settled=(first, second),
        )

    def _is_about(self, join: c.Join) -> tuple[tuple[GetvarCheck, ...], ...]:
        """Ask whether the switch is joining the two already: a second order would part them.

        It may have taken the attempt before this one. Or its own failsafe has acted in this very
        moment.
        """
        if not (join.repeated or join.disarm):
            return ()
        pairs = [(join.first, join.second)]
        rescued = join.rescued or join.first
        pairs += [(leg, rescued) for leg in join.disarm if leg != rescued]
        if not join.repeated:  # two that talked before may still say so
            pairs = pairs[1:]
        # Whoever is seen in the park after it was disarmed will not act any more
        acting = tuple(
            (GetvarCheck(leg=_leg(leg), variable="EXTEN", value=extension),)
            for leg in join.disarm
            for extension in ("T", "rescue")
        )
        return (*acting, *(facts for pair in pairs for facts in self._are_with(*pair)))

    def _are_with(self, one: LegId, other: LegId) -> tuple[tuple[GetvarCheck, ...], ...]:
        """Ask whether one of two is at the extension where it bridges itself with the other."""
        known = [(leg, self._party_of(leg).channel) for leg in (one, other)]
        (first, first_channel), (second, second_channel) = known
        return tuple(
            (
                GetvarCheck(leg=_leg(leg), variable=EXTENSION, value="join"),
                GetvarCheck(leg=_leg(leg), variable=PEER, value=channel),
            )
            for leg, channel in ((first, second_channel), (second, first_channel))
            if channel
        )

    def _arm(self, command: c.Arm) -> AsteriskProcedure:
        answers = {ARMED: "yes"} if command.when is c.Trigger.ANSWER else {AFTER: "rescue"}
        leg = command.leg
        discreet = self._discreet(leg, (leg,) if command.undisclosed else ())
        return AsteriskProcedure(
            steps=(*discreet, _set(leg, self._rescuing(command.rescue) | answers)),
        )

    def _rescuing(self, rescue: LegId) -> dict[str, str]:
        return {RESCUE: self._channel_of(rescue)}

    def _release(self, command: c.Release) -> AsteriskProcedure:
        pair = ((command.first, command.second), (command.second, command.first))
        return AsteriskProcedure(
            steps=tuple(_set(leg, _AT_EASE) for leg, _ in pair),
            # A partner that is about to end can still be told something, when the other has read
            # already what it is to do now
            proof=tuple(
                GetvarCheck(leg=_leg(leg), variable="BRIDGEPEER", value=self._channel_of(other))
                for leg, other in pair
            ),
        )

    def _introduce(self, command: c.Introduce) -> AsteriskProcedure:
        pair = (
            (command.first, command.second, command.second_number),
            (command.second, command.first, command.first_number),
        )
        steps = tuple(
            step
            for leg, other, number in pair
            for step in self._show(leg, other, number, discreet=leg in command.undisclosed)
        )
        # A bridge tells both phones by itself, a moment after it is up: what was ordered before is
        # undone (measured on 22.10.1).
        settled = (command.first, command.second)
        return AsteriskProcedure(steps=steps, optional=len(steps), settled=settled)

    def _show(
        self, leg: LegId, other: LegId, number: str, *, discreet: bool
    ) -> tuple[Primitive, ...]:
        """Let a phone show the party of another leg."""
        party = self._party_of(other)
        if not ALLOWED_NUMBER.fullmatch(number) or party.withheld:
            return ()  # it shows what it showed
        name = "" if discreet else _shown(party.name.strip())
        kept = {SHOWN: number} if discreet else {}
        return (
            _set(
                leg,
                {
                    **kept,
                    # `i`: don't tell the phone yet, there is more
                    "CONNECTEDLINE(name,i)": name or number,
                    "CONNECTEDLINE(pres,i)": "allowed",
                    "CONNECTEDLINE(num)": number,
                },
            ),
        )

    def _discreet(self, leg: LegId, undisclosed: Collection[LegId]) -> tuple[Primitive, ...]:
        """Let the switch tell a phone nothing by itself of whom it joins it with."""
        if leg not in undisclosed:
            return ()
        return (_set(leg, {SHOWN: ""}), Conceal(leg, self._concealed_by))

    @property
    def _concealed_by(self) -> str:
        return f"{self._context},undisclosed,1"

    def _forget(self, command: c.Forget) -> AsteriskProcedure:
        steps = tuple(step for leg in command.legs for step in self._forgotten(_leg(leg)))
        return AsteriskProcedure(steps=steps, optional=len(steps))

    def _forgotten(self, leg: LegId) -> tuple[Primitive, ...]:
        """Take off a leg what is ours, and give back what an operator had there.

        Its far half, if it has one, has got the variables that we gave the leg, and nothing else.
        """
        nothing: dict[str, str] = dict.fromkeys(OURS, "")
        is_local = self._party_of(leg).channel.startswith("Local/")
        far = (_set(f"{leg}{FAR_HALF}", nothing),) if is_local else ()
        own = (RestoreLimit(leg), RestoreDisplay(leg, self._concealed_by))
        return (*own, _set(leg, nothing), *far)

    def _hang_up(self, command: c.HangUp) -> AsteriskProcedure:
        return AsteriskProcedure(
            steps=(HangUpChannel(_leg(command.leg), number_for(command.cause)),)
        )

    def _channel_of(self, leg: LegId) -> str:
        channel = self._party_of(_leg(leg)).channel
        if not channel:
            raise InputError(f"there is no leg {leg}")
        return checked(ALLOWED_CHANNEL, channel, "the channel")


_AT_EASE: Final = {AFTER: "", RESCUE: "", ARMED: ""}
"""Nothing is to be done when its partner leaves, or when it answers."""


def _set(leg: LegId, variables: Mapping[str, str]) -> Setvar:
    return Setvar(_leg(leg), tuple(variables.items()))


def _hold_with_music(command: c.HoldWithMusic) -> AsteriskProcedure:
    return _play(command.leg, command.music)


def _play_ringback(command: c.PlayRingback) -> AsteriskProcedure:
    return _play(command.leg, command.ringback)


def _play_tone(command: c.PlayTone) -> AsteriskProcedure:
    return _play(command.leg, command.tone)


def _play(leg: LegId, sound: Sound) -> AsteriskProcedure:
    # behind an endless sound the next would never begin
    steps = (StopSounds(_leg(leg)), _begin(_leg(leg), sound))
    return AsteriskProcedure(steps=steps, optional=1)


def _begin(leg: LegId, sound: Sound) -> PlayMedia | PlayMusic:
    if isinstance(sound, Music):
        return PlayMusic(leg, sound)
    if isinstance(sound, Tone) and len(sound.bursts) * (sound.times or 1) > MOST_BURSTS:
        raise InputError(
            f"{sound} has too many bursts with its repeats",
            hint=f"at most {MOST_BURSTS}; without repeats it plays until it is ended",
        )
    return PlayMedia(leg, sound)


def role_on(leg: LegId, mark: str) -> str:
    """The role that a mark gives a leg; none, if it is another's that was inherited."""
    role, _, only = mark.partition(":")
    return role if only in ("", leg) else ""


def _seconds(duration_s: float) -> int:
    """A duration as the switch takes it: whole seconds, at least one, and no more than fit."""
    if not duration_s <= _LONGEST_S:
        raise InputError(f"{duration_s} s is no usable duration", hint=f"at most {_LONGEST_S} s")
    return math.ceil(max(duration_s, 1))


def _leg(leg: LegId) -> str:
    return checked(ALLOWED_LEG, leg, "the leg")


def _shown(name: str) -> str:
    """A caller's name as a display may have it: what is not allowed becomes a question mark."""
    return "".join(char if ALLOWED_NAME.fullmatch(char) else "?" for char in name[:64])
