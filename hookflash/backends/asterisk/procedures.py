"""Translates each command into a procedure of Asterisk's primitive operations.

A parked or joined leg carries its next step as channel variables, which the dialplan reads (see
`dialplan`). So arming or disarming means setting a variable, and the controller's last order is
executed with or without the controller.

All text from people passes an allow-list here: what is not allowed is rejected, never repaired. A
`$` would be expanded, `,` and `&` separate the arguments of `Dial`, `/` and `@` choose the
destination, and a line break would begin another header.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Final

import attrs

from hookflash import commands as c
from hookflash.backends.asterisk import primitives as p
from hookflash.backends.asterisk.dialplan import PARK_LIMIT_S
from hookflash.backends.asterisk.inbound import ALLOWED_LEG, ALLOWED_LEG_WORDS
from hookflash.backends.base import ANNOUNCED_AT_MOST_S
from hookflash.backends.tenants import (
    PLACES_HINT,
    Tenants,
    check_one_line,
    filled,
    is_usable,
)
from hookflash.called import ALLOWED_NUMBER
from hookflash.causes import number_for
from hookflash.errors import InputError
from hookflash.events import Direction, LegId
from hookflash.returns import ALLOWED_PLACE, ORIGIN
from hookflash.sounds import Music, Sound, Tone
from hookflash.transfer_context import check_pairs

ALLOWED_CHANNEL: Final = re.compile(r"[0-9A-Za-z]+/[0-9A-Za-z_.:@+*#/;=-]{1,200}")
"""The allowed characters of a channel's name that the dialplan reads."""

"""The allowed characters of a number to call: no `@`, `/`, `,` or `&`, since the operator chooses
the destination, not the caller."""

ALLOWED_NAME: Final = re.compile(r"[0-9A-Za-z .()+*#_-]{0,64}")
"""The allowed characters of a caller's name. Others are replaced: it is only for displays."""

ALLOWED_ACCOUNT: Final = re.compile(r"[0-9A-Za-z_.@:-]{0,64}")
"""The allowed characters of an account's name that is put on a leg."""

ALLOWED_WORD: Final = re.compile(r"[0-9A-Za-z_.-]{0,64}")
"""The allowed characters of a mark."""

WITHHELD: Final = "anonymous"
"""The number that is shown for a party with a withheld number (RFC 3323, section 4.1.1.3)."""

FAR_HALF: Final = ".far"
"""The suffix of a far half's id, after the id of its near half."""

MOST_BURSTS: Final = 1_000
"""How many bursts a tone may have, with all repetitions: Asterisk has no repetitions, so they are
written out, and copied to the stack of the thread that plays the tone."""

_LONGEST_S: Final = 2**31 - 1

_ALLOWED_WORDS: Final[Mapping[re.Pattern[str], str]] = {
    ALLOWED_LEG: ALLOWED_LEG_WORDS,
    ALLOWED_NUMBER: "letters, digits and + * # _ -, 1 to 64 of them",
    ALLOWED_CHANNEL: "a technology, a slash, and the channel's name",
    ALLOWED_WORD: "letters, digits and _ . -, at most 64",
}
"""The allow-lists in words, for error messages."""


def checked(pattern: re.Pattern[str], text: str, what: str) -> str:
    """Check a text against an allow-list, and return it.

    Raises:
        InputError: it contains something that the switch could understand as more than a name.
    """
    if not pattern.fullmatch(text):
        allowed = _ALLOWED_WORDS[pattern]
        raise InputError(f"{what} {text[:80]!r} is not allowed", hint=f"allowed: {allowed}")
    return text


@attrs.frozen(kw_only=True)
class AsteriskDialling:
    """How targets are called. The default works with a dialplan that has a context `default`.

    Raises:
        InputError: the template is invalid.
    """

    template: str = "Local/{number}@{context}/n"
    """The argument of `Dial`. `{number}` is the dialled number, `{context}` the field below,
    `{account}` the account of the call. By default it goes through the dialplan, so that a target
    may be an extension, a queue, or an outside number; `PJSIP/{number}` or
    `PJSIP/{number}@mytrunk` work too. `Local` needs its `/n`: without it, the switch would replace
    the leg by an unknown one."""
    context: str = "default"
    """The dialplan context in which targets are looked up. `{account}` is the account of the call:
    a context for each tenant."""
    variables: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """Channel variables for every target's leg."""

    def __attrs_post_init__(self) -> None:
        if not is_usable(self.template, self.context):
            what = f"{self.template!r} with the context {self.context!r} can't be dialled"
            raise InputError(what, hint=PLACES_HINT)
        endpoint = self.endpoint("1", "a")
        if endpoint.startswith("Local/") and "n" not in endpoint.rpartition("/")[2]:
            raise InputError(f"{self.template!r} lacks its /n", hint=f"{self.template}/n")
        check_one_line((self.template, self.context, *self.variables, *self.variables.values()))

    def endpoint(self, number: str, account: str = "") -> str:
        """The argument of `Dial` for a number that has passed the allow-list.

        Raises:
            InputError: it needs an account, and the call has none that may stand there.
        """
        return filled(self.template, self.context, number, account)


@attrs.frozen(kw_only=True)
class KnownParty:
    """What orders need to know about a leg."""

    channel: str = ""
    """The name of its channel."""
    direction: Direction | None = None
    account: str = ""
    number: str = ""
    name: str = ""
    withheld: bool = False
    """Whether to hide it from everybody."""


class AsteriskProcedures:
    """Translates commands into the operations of one Asterisk."""

    def __init__(
        self,
        *,
        party_of: Callable[[LegId], KnownParty],
        dialling: AsteriskDialling | None = None,
        account_dialling: Mapping[str, AsteriskDialling] | None = None,
        context: str = "hookflash",
        park_limit_s: float = PARK_LIMIT_S,
        account_variable: str = p.DEFAULT_ACCOUNT_VARIABLE,
        owner_variable: str = p.DEFAULT_OWNER_VARIABLE,
    ) -> None:
        """Set up.

        Args:
            party_of: returns what is known about a leg.
            dialling: how targets are called.
            account_dialling: the same, for accounts whose targets are called otherwise.
            context: the context of our dialplan.
            park_limit_s: after this time the switch itself hangs up a parked leg, in case no
                controller ever comes back. Longer than any hold limit.
            account_variable: the channel variable that holds a leg's account.
            owner_variable: the channel variable that holds a leg's owner.
        """
        self._party_of = party_of
        self.tenants = Tenants(dialling or AsteriskDialling(), account_dialling or {})
        """How targets are called. It may be replaced: the next call is the first that it is for."""
        self._context = context
        self._park_limit_s = park_limit_s
        self._account_variable = account_variable
        self._owner_variable = owner_variable
        self._makers: dict[type, Callable[..., p.AsteriskProcedure]] = {
            c.Split: self._split,
            c.Park: self._park,
            c.Fetch: self._fetch,
            c.SendBack: self._send_back,
            c.TakePart: self._take_part,
            c.HoldWithMusic: _hold_with_music,
            c.PlayRingback: _play_ringback,
            c.PlayTone: _play_tone,
            c.Announce: _announce,
            c.Dial: self._dial,
            c.Join: self._join,
            c.Arm: self._arm,
            c.Release: self._release,
            c.Introduce: self._introduce,
            c.Forget: self._forget,
            c.HangUp: self._hang_up,
        }

    def of(self, command: c.SwitchCommand) -> p.AsteriskProcedure | None:
        """Translate a command; None if this switch can't do it, and need not.

        Raises:
            InputError: a text is not allowed, or a leg is unknown.
        """
        maker = self._makers.get(type(command))
        return None if maker is None else maker(command)

    # ------------------------------------------------------------------ one for each command

    def _split(self, command: c.Split) -> p.AsteriskProcedure:
        first, second = command.first, command.second
        return p.AsteriskProcedure(
            steps=(
                *self._marked(command, first, "transferor"),
                *self._marked(command, second, "transferee"),
                p.Redirect(_leg(first), "park", _leg(second)),
            ),
            unless=((p.GetvarCheck(leg=_leg(first), variable=p.PARTNER, value=""),),)
            if command.repeated
            else (),
            after_s=p.SETTLES_S if command.repeated else 0.0,
            settled=(first, second),
        )

    def _marked(self, command: c.Split, leg: LegId, role: str) -> tuple[p.Primitive, ...]:
        marks = {
            p.TRANSFER: checked(ALLOWED_WORD, command.transfer, "the transfer"),
            p.ROLE: role if command.transfer else "",
            p.KIND: checked(ALLOWED_WORD, command.kind, "the kind"),
            p.BEGAN: self._party_of(leg).direction or "",
        }
        limit = {p.LIMIT_S: str(_seconds(self._park_limit_s))}
        discreet = self._discreet(leg, command.undisclosed)
        return (_set(leg, marks | _AT_EASE | limit), *discreet)

    def _park(self, command: c.Park) -> p.AsteriskProcedure:
        leg = _leg(command.leg)
        return p.AsteriskProcedure(
            steps=(_set(leg, _AT_EASE), p.Redirect(leg, "park")),
            unless=tuple(
                facts for other in command.unless_with for facts in self._are_with(leg, other)
            ),
        )

    def _fetch(self, command: c.Fetch) -> p.AsteriskProcedure:
        leg = _leg(command.leg)
        transfer = checked(ALLOWED_WORD, command.transfer, "the transfer")
        wait_s = command.return_after_s
        variables = {
            p.TRANSFER: transfer,
            p.ROLE: checked(ALLOWED_WORD, command.role, "the role") if transfer else "",
            p.KIND: checked(ALLOWED_WORD, command.kind, "the kind"),
            p.BEGAN: self._party_of(leg).direction or "",
            p.PICK_UP: "",
            **_AT_EASE,
            # when it has passed, the leg goes back on its own
            p.LIMIT_S: str(_seconds(self._park_limit_s if wait_s is None else wait_s)),
        }
        is_parked = (
            p.GetvarCheck(leg=leg, variable=p.EXTENSION, value="park"),
            p.GetvarCheck(leg=leg, variable=p.TRANSFER, value=transfer),
        )
        return p.AsteriskProcedure(
            steps=(
                *(_noted(leg, command.return_to) if command.return_to else ()),
                _set(leg, variables),
                *self._discreet(leg, (leg,) if command.undisclosed else ()),
                p.Redirect(leg, "park"),
            ),
            unless=(is_parked,) if command.repeated else (),
        )

    def _send_back(self, command: c.SendBack) -> p.AsteriskProcedure:
        """Send a leg where its note says: `Fetch` has written that."""
        leg = _leg(command.leg)
        is_away = tuple(
            p.GetvarCheck(leg=leg, variable=p.EXTENSION, value=extension, denied=True)
            for extension in ("park", "T", "join", "left", "fetched")
        )
        return p.AsteriskProcedure(
            steps=(
                p.RestoreDisplay(leg, self._concealed_by),
                _set(leg, {p.SHOWN: "", p.SHOWN_BY: ""}),
                p.Redirect(leg, "back"),
            ),
            unless=(is_away,),
        )

    def _take_part(self, command: c.TakePart) -> p.AsteriskProcedure:
        leg = _leg(command.leg)
        part = _set(leg, _AT_EASE | {p.PART: self._channel_of(command.of)})
        return p.AsteriskProcedure(
            steps=(p.StopSounds(leg), p.Redirect(leg, "part", sets=(part,))),
            optional=1,
            unless=tuple(
                facts for other in command.unless_with for facts in self._are_with(leg, other)
            ),
        )

    def _dial(self, command: c.Dial) -> p.AsteriskProcedure:
        caller = self._party_of(command.on_behalf_of)
        withheld = command.withheld or caller.withheld
        shown = WITHHELD if withheld else command.caller or caller.number
        name = shown if withheld else command.caller_name or caller.name or shown
        number_shown = checked(ALLOWED_NUMBER, shown or "0", "the caller")
        number = checked(ALLOWED_NUMBER, command.target, "the number")
        leg = _leg(command.leg)
        dialling = self.tenants.of(command.account)
        endpoint = dialling.endpoint(number, command.account)
        variables = {
            **self._context_of(command, endpoint, dialling),
            p.TRANSFER: checked(ALLOWED_WORD, command.transfer, "the transfer"),
            # the far half gets all of these too: they name the leg that they are for
            p.ROLE: f"{checked(ALLOWED_WORD, command.role, 'the role')}:{leg}",
            p.NUMBER: number,
            p.LIMIT_S: str(_seconds(self._park_limit_s)),
            **({"CALLERID(pres)": "prohib"} if withheld else {}),
            **self._owned_by(command.account, command.owner_id),
            **dialling.variables,
        }
        originate = p.OriginateChannel(
            leg=leg,
            number=number,
            endpoint=endpoint,
            caller=f'"{_shown(command.caller_prefix + name)}" <{number_shown}>',
            timeout_s=_seconds(command.ring_timeout_s),
            variables=tuple(variables.items()),
        )
        return p.AsteriskProcedure(steps=(originate,))

    def _context_of(
        self, command: c.Dial, endpoint: str, dialling: AsteriskDialling
    ) -> dict[str, str]:
        """The variables of a target's leg, which the legs inherit that the dialplan calls for it.

        A header is added by a function of the SIP channel. Through the dialplan that channel is
        created later: the operator's `Dial` adds the headers with our subroutine `headers`.
        """
        check_pairs(command.variables, header=False, where="variables")
        check_pairs(command.headers, header=True, where="headers")
        taken = {
            name.lower()
            for name in (self._account_variable, self._owner_variable, *dialling.variables)
        }
        for name, _ in command.variables:
            if name.lower() in taken:
                raise InputError(f"the variable {name!r} is not allowed", hint="the operator's own")
        variables = {f"__{name}": value for name, value in command.variables}
        if endpoint.startswith("PJSIP/"):
            return variables | {f"PJSIP_HEADER(add,{name})": text for name, text in command.headers}
        written = "|".join(f"{name}={value}" for name, value in command.headers)
        return variables | ({f"__{p.HEADERS}": written} if written else {})

    def _owned_by(self, account: str, owner_id: str) -> dict[str, str]:
        if not account or not ALLOWED_ACCOUNT.fullmatch(account):
            return {}
        # inherited by the legs that the dialplan calls, like accountcode
        owned = {f"__{self._account_variable}": account, "CHANNEL(accountcode)": account}
        if owner_id and ALLOWED_ACCOUNT.fullmatch(owner_id):
            owned[f"__{self._owner_variable}"] = owner_id
        return owned

    def _join(self, command: c.Join) -> p.AsteriskProcedure:
        first, second = _leg(command.first), _leg(command.second)
        after = {p.AFTER: "park" if command.afterwards is c.Afterwards.PARK else ""}
        # The first leg is armed when they talk, by a separate order
        armed = (
            {} if command.rescue is None else self._rescuing(command.rescue) | {p.AFTER: "rescue"}
        )
        steps = (
            p.StopSounds(first),
            p.StopSounds(second),
            *self._discreet(first, command.undisclosed),
            *self._discreet(second, command.undisclosed),
            # the first, which bridges itself, does it in the dialplan
            p.RestoreLimit(second),
            p.Redirect(
                first,
                "join",
                sets=(
                    _set(first, _AT_EASE | {p.PEER: self._channel_of(second)} | after),
                    _set(second, _AT_EASE | {p.PEER: self._channel_of(first)} | after | armed),
                ),
            ),
        )
        return p.AsteriskProcedure(
            # it needs to know the leg to rescue until the end, if it is already doing so
            before=tuple(_set(leg, {p.AFTER: "park", p.ARMED: ""}) for leg in command.disarm),
            steps=steps,
            optional=2,
            unless=self._is_about(command),
            joined=(
                p.GetvarCheck(leg=first, variable=p.PARTNER, value=self._channel_of(second)),
                # a leg that was sent to the park leaves its partner at once
                p.GetvarCheck(leg=first, variable=p.EXTENSION, value="park", denied=True),
            ),
            settled=(first, second),
        )

    def _is_about(self, join: c.Join) -> tuple[tuple[p.GetvarCheck, ...], ...]:
        """Check whether the switch is already joining the two: a second order would split them.

        It may be executing the previous attempt, or its own failsafe may have fired just now.
        """
        if not (join.repeated or join.disarm):
            return ()
        pairs = [(join.first, join.second)]
        rescued = join.rescued or join.first
        pairs += [(leg, rescued) for leg in join.disarm if leg != rescued]
        if not join.repeated:  # two that talked before may still name each other
            pairs = pairs[1:]
        # a leg that is seen in the park after it was disarmed will not act any more
        acting = tuple(
            (p.GetvarCheck(leg=_leg(leg), variable="EXTEN", value=extension),)
            for leg in join.disarm
            for extension in ("T", "rescue")
        )
        return (*acting, *(facts for pair in pairs for facts in self._are_with(*pair)))

    def _are_with(self, one: LegId, other: LegId) -> tuple[tuple[p.GetvarCheck, ...], ...]:
        """Check whether one of two is at the extension where it bridges itself with the other."""
        known = [(leg, self._party_of(leg).channel) for leg in (one, other)]
        (first, first_channel), (second, second_channel) = known
        return tuple(
            (
                p.GetvarCheck(leg=_leg(leg), variable=p.EXTENSION, value="join"),
                p.GetvarCheck(leg=_leg(leg), variable=p.PEER, value=channel),
            )
            for leg, channel in ((first, second_channel), (second, first_channel))
            if channel
        )

    def _arm(self, command: c.Arm) -> p.AsteriskProcedure:
        answers = {p.ARMED: "yes"} if command.when is c.Trigger.ANSWER else {p.AFTER: "rescue"}
        leg = command.leg
        discreet = self._discreet(leg, (leg,) if command.undisclosed else ())
        return p.AsteriskProcedure(
            steps=(*discreet, _set(leg, self._rescuing(command.rescue) | answers)),
        )

    def _rescuing(self, rescue: LegId) -> dict[str, str]:
        return {p.RESCUE: self._channel_of(rescue)}

    def _release(self, command: c.Release) -> p.AsteriskProcedure:
        pair = ((command.first, command.second), (command.second, command.first))
        return p.AsteriskProcedure(
            steps=tuple(_set(leg, _AT_EASE) for leg, _ in pair),
            # variables of a partner that is about to end can still be set when the other leg has
            # already read its own
            proof=tuple(
                p.GetvarCheck(leg=_leg(leg), variable="BRIDGEPEER", value=self._channel_of(other))
                for leg, other in pair
            ),
        )

    def _introduce(self, command: c.Introduce) -> p.AsteriskProcedure:
        pair = (
            (command.first, command.second, command.second_number),
            (command.second, command.first, command.first_number),
        )
        steps = tuple(
            step
            for leg, other, number in pair
            for step in self._show(leg, other, number, discreet=leg in command.undisclosed)
        )
        # A bridge updates both phones itself, a moment after it is up, and so undoes what was
        # ordered before (measured on 22.10.1).
        settled = (command.first, command.second)
        return p.AsteriskProcedure(steps=steps, optional=len(steps), settled=settled)

    def _show(
        self, leg: LegId, other: LegId, number: str, *, discreet: bool
    ) -> tuple[p.Primitive, ...]:
        """Show a phone the party of another leg."""
        party = self._party_of(other)
        if not ALLOWED_NUMBER.fullmatch(number) or party.withheld:
            return ()  # the display stays as it is
        name = "" if discreet else _shown(party.name.strip())
        kept = {p.SHOWN: number} if discreet else {}
        return (
            _set(
                leg,
                {
                    **kept,
                    # `i`: do not update the phone yet, more follows
                    "CONNECTEDLINE(name,i)": name or number,
                    "CONNECTEDLINE(pres,i)": "allowed",
                    "CONNECTEDLINE(num)": number,
                },
            ),
        )

    def _discreet(self, leg: LegId, undisclosed: Collection[LegId]) -> tuple[p.Primitive, ...]:
        """Keep the switch from showing a phone the party that it joins it with."""
        if leg not in undisclosed:
            return ()
        return (_set(leg, {p.SHOWN: ""}), p.Conceal(leg, self._concealed_by))

    @property
    def _concealed_by(self) -> str:
        return f"{self._context},undisclosed,1"

    def _forget(self, command: c.Forget) -> p.AsteriskProcedure:
        steps = tuple(step for leg in command.legs for step in self._forgotten(_leg(leg)))
        return p.AsteriskProcedure(steps=steps, optional=len(steps))

    def _forgotten(self, leg: LegId) -> tuple[p.Primitive, ...]:
        """Remove our variables from a leg, and restore the operator's.

        Its far half, if any, has only the variables that we set on the leg.
        """
        nothing: dict[str, str] = dict.fromkeys(p.OURS, "")
        is_local = self._party_of(leg).channel.startswith("Local/")
        far = (_set(f"{leg}{FAR_HALF}", nothing),) if is_local else ()
        own = (p.RestoreLimit(leg), p.RestoreDisplay(leg, self._concealed_by))
        return (*own, _set(leg, nothing), *far)

    def _hang_up(self, command: c.HangUp) -> p.AsteriskProcedure:
        return p.AsteriskProcedure(
            steps=(p.HangUpChannel(_leg(command.leg), number_for(command.cause)),)
        )

    def _channel_of(self, leg: LegId) -> str:
        channel = self._party_of(_leg(leg)).channel
        if not channel:
            raise InputError(f"there is no leg {leg}")
        return checked(ALLOWED_CHANNEL, channel, "the channel")


def _noted(leg: LegId, to: str) -> tuple[p.Primitive, ...]:
    """Note where a leg goes back."""
    if to == ORIGIN:
        return (p.NoteBack(leg),)
    found = ALLOWED_PLACE.fullmatch(to)
    if found is None:
        hint = "Asterisk has no park for one leg: choose origin, or an extension"
        raise InputError(f"a leg can't go back to {to[:80]!r}", hint=hint)
    return (p.NoteBack(leg, f"{found['context']},{found['extension']},1"),)


_AT_EASE: Final = {p.AFTER: "", p.RESCUE: "", p.ARMED: ""}
"""No action when its partner leaves, or when it answers."""


def _set(leg: LegId, variables: Mapping[str, str]) -> p.Setvar:
    return p.Setvar(_leg(leg), tuple(variables.items()))


def _hold_with_music(command: c.HoldWithMusic) -> p.AsteriskProcedure:
    return _play(command.leg, command.music)


def _play_ringback(command: c.PlayRingback) -> p.AsteriskProcedure:
    return _play(command.leg, command.ringback)


def _play_tone(command: c.PlayTone) -> p.AsteriskProcedure:
    return _play(command.leg, command.tone)


def _announce(command: c.Announce) -> p.AsteriskProcedure:
    leg, begun = _leg(command.leg), _begin(command.leg, command.sound)
    if isinstance(begun, p.PlayMusic):
        raise InputError(f"{command.sound} does not end", hint="a recording, or a tone that ends")
    lasts_s = begun.sound.lasts_s if isinstance(begun.sound, Tone) else None
    limit_s = min(lasts_s or ANNOUNCED_AT_MOST_S, ANNOUNCED_AT_MOST_S)
    steps = (p.Whisper(leg, begun.sound, limit_s),)
    return p.AsteriskProcedure(steps=steps, optional=1)


def _play(leg: LegId, sound: Sound) -> p.AsteriskProcedure:
    # after an endless sound the next would never begin
    steps = (p.StopSounds(_leg(leg)), _begin(_leg(leg), sound))
    return p.AsteriskProcedure(steps=steps, optional=1)


def _begin(leg: LegId, sound: Sound) -> p.PlayMedia | p.PlayMusic:
    if isinstance(sound, Music):
        return p.PlayMusic(leg, sound)
    if isinstance(sound, Tone) and len(sound.bursts) * (sound.times or 1) > MOST_BURSTS:
        raise InputError(
            f"{sound} has too many bursts with its repeats",
            hint=f"at most {MOST_BURSTS}; without repeats it plays until it is ended",
        )
    return p.PlayMedia(leg, sound)


def role_on(leg: LegId, mark: str) -> str:
    """The role in a leg's mark; empty if the mark was inherited from another leg."""
    role, _, only = mark.partition(":")
    return role if only in ("", leg) else ""


def _seconds(duration_s: float) -> int:
    """A duration for the switch: whole seconds, at least one, up to the maximum."""
    if not duration_s <= _LONGEST_S:
        raise InputError(f"{duration_s} s is not a valid duration", hint=f"at most {_LONGEST_S} s")
    return math.ceil(max(duration_s, 1))


def _leg(leg: LegId) -> str:
    return checked(ALLOWED_LEG, leg, "the leg")


def _shown(name: str) -> str:
    """A caller's name for a display, with a question mark for each character not allowed."""
    name = name[:64]
    if ALLOWED_NAME.fullmatch(name):
        return name
    return "".join(char if ALLOWED_NAME.fullmatch(char) else "?" for char in name)
