"""Translates each command into a procedure of FreeSWITCH's primitive operations.

A procedure is a few operations that are sent in order; none waits for the answer to the previous
one. If one is refused, a leg does not exist, and the later ones have no effect: `uuid_bridge` with
a leg that is gone moves nobody. If the switch may already be executing an order, it is asked first
(`VariableCheck`). An answer proves little: only that variables were set (their effect comes before
the answer), or that a leg does not exist. So only `Release` and `HangUp` take their facts from
answers; everything else is proven by events.

All text from people passes an allow-list here: a newline would begin another command, `${…}` would
be expanded (and `${system(…)}` run), and `, { } [ ] | & ^^` have a meaning in a dial string. What
does not pass is rejected, never repaired.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

import attrs

from hookflash import commands as c
from hookflash.backends.freeswitch import primitives as p
from hookflash.backends.freeswitch.names import ALLOWED_LEG, ALLOWED_LEG_WORDS
from hookflash.backends.freeswitch.text import (
    display_group,
    keys_group,
    return_group,
    ringing_group,
    variables_group,
)
from hookflash.backends.tenants import (
    PLACES_HINT,
    Tenants,
    check_one_line,
    filled,
    is_usable,
)
from hookflash.called import ALLOWED_NUMBER
from hookflash.errors import InputError
from hookflash.events import LegId
from hookflash.sounds import Sound, check_sound
from hookflash.transfer_context import check_pairs

ALLOWED_TRANSFER: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{0,63}")
"""The allowed characters of a transfer's id, as the engine has them."""

"""The allowed characters of a number to call. No `@`: the operator chooses the host, not the
caller."""

ALLOWED_NAME: Final = re.compile(r"[0-9A-Za-z .()+*#_-]{0,64}")
"""The allowed characters of a caller's name. Others are replaced: it is only for displays."""

ALLOWED_ACCOUNT: Final = re.compile(r"(?:[0-9A-Za-z_.@-]|:(?![:_])){0,64}")
"""The allowed characters of an account's name that is put on a leg. (`:_:` in a dial string would
begin another call.) It comes from the switch, not from a person: one that does not pass is left
out, and the call is made anyway."""

ALLOWED_CAUSE: Final = re.compile(r"[A-Z][A-Z_]{1,63}")
"""The allowed characters of a hang-up cause."""

ALLOWED_KEYS: Final = re.compile(r"[0-9A-D*#]{1,64}")
"""The allowed keys (RFC 4733)."""

ALLOWED_KIND: Final = re.compile(r"[a-z_]{1,32}")
"""The allowed characters of a transfer's kind."""

RESCUE_AFTER_S: Final = 2
"""How long an armed leg waits for its controller before it acts: whole seconds.

The switch counts up to one second too few, so that one second could be no time at all.
"""

WITHHELD: Final = "anonymous"
"""The number that is shown for a party with a withheld number (RFC 3323, section 4.1.1.3)."""

SHOW_AGAIN_AFTER_S: Final = 1
"""How long after a join a phone's display is set once more: whole seconds."""

DEFAULT_ACCOUNT_VARIABLE: Final = "hookflash_account"
"""The channel variable that holds a leg's account."""

DEFAULT_OWNER_VARIABLE: Final = "hookflash_owner"
"""The channel variable that holds the user or device that a leg belongs to."""

_LONGEST_S: Final = 2**31 - 1


@attrs.frozen(kw_only=True)
class Dialling:
    """How targets are called. The defaults work with FreeSWITCH's default configuration.

    Raises:
        InputError: the template is invalid.
    """

    template: str = "loopback/{number}/{context}"
    """The dial string. `{number}` is the dialled number, `{context}` the field below, `{account}`
    the account of the call. By default it goes through the dialplan, so that a target may be an
    extension, a queue, or an outside number; `user/{number}` or `sofia/gateway/mygw/{number}` work
    too."""
    context: str = "default"
    """The dialplan context in which targets are looked up. `{account}` is the account of the call:
    a context for each tenant."""
    variables: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """Channel variables for every target's leg. They also reach the legs that the dialplan calls
    for it."""

    def __attrs_post_init__(self) -> None:
        if not is_usable(self.template, self.context):
            what = f"{self.template!r} with the context {self.context!r} is not a dial string"
            raise InputError(what, hint=PLACES_HINT)
        check_one_line((self.template, self.context, *self.variables, *self.variables.values()))

    def dial_string(self, number: str, account: str = "") -> str:
        """Build the dial string for a number that has passed the allow-list.

        Raises:
            InputError: it needs an account, and the call has none that may stand there.
        """
        return filled(self.template, self.context, number, account)


@attrs.frozen(kw_only=True)
class CallerId:
    """The party on a leg, as others may see it."""

    number: str = ""
    name: str = ""
    withheld: bool = False
    """Whether to hide it from everybody."""


_ALLOWED_WORDS: Final[Mapping[re.Pattern[str], str]] = {
    ALLOWED_LEG: ALLOWED_LEG_WORDS,
    ALLOWED_TRANSFER: "letters, digits and _ . -, beginning with a letter or a digit, at most 64",
    ALLOWED_NUMBER: "letters, digits and + * # _ -, 1 to 64 of them",
    ALLOWED_CAUSE: "capital letters and _, beginning with a letter, at most 64",
    ALLOWED_KEYS: "the keys 0-9, A-D, * and #, 1 to 64 of them",
    ALLOWED_KIND: "small letters and _, 1 to 32 of them",
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


def _nobody(_leg: LegId) -> CallerId:
    return CallerId()


class Procedures:
    """Translates commands into the operations of one FreeSWITCH."""

    def __init__(
        self,
        *,
        dialling: Dialling | None = None,
        account_dialling: Mapping[str, Dialling] | None = None,
        park_limit_s: float = 1860.0,
        account_variable: str = DEFAULT_ACCOUNT_VARIABLE,
        owner_variable: str = DEFAULT_OWNER_VARIABLE,
        caller_of: Callable[[LegId], CallerId] | None = None,
    ) -> None:
        """Set up.

        Args:
            dialling: how targets are called.
            account_dialling: the same, for accounts whose targets are called otherwise.
            park_limit_s: after this time the switch itself hangs up a parked leg, in case no
                controller ever comes back. Longer than any hold limit.
            account_variable: the channel variable that holds a leg's account.
            owner_variable: the channel variable that holds a leg's owner.
            caller_of: returns the party on a leg, for the displays of others.
        """
        self.tenants = Tenants(dialling or Dialling(), account_dialling or {})
        """How targets are called. It may be replaced: the next call is the first that it is for."""
        limit = _seconds(park_limit_s)
        self._limits = {"park_timeout": limit, "playback_timeout_sec": limit}
        """The limit of the time in the park, in case no controller ever comes back.

        The park checks its timeout only between sounds, so that an endless sound must be limited
        too (measured: with `park_timeout` alone, a leg with endless music is held forever).
        """
        self._parks = {
            "park_after_bridge": "true",
            "hangup_after_bridge": "false",
            "uuid_bridge_park_on_cancel": "true",
            **self._limits,
            **_DISARMED,
        }
        self._account_variable = account_variable
        self._owner_variable = owner_variable
        self._caller_of = caller_of or _nobody
        # Looked up by type: a chain of comparisons would cost more than most commands do.
        self._makers: dict[type, Callable[..., p.Procedure]] = {
            c.Split: self._split,
            c.Park: self._park,
            c.Fetch: self._fetch,
            c.SendBack: _send_back,
            c.TakePart: self._take_part,
            c.HoldWithMusic: self._hold_with_music,
            c.PlayRingback: self._play_ringback,
            c.PlayTone: self._play_tone,
            c.Announce: _announce,
            c.Dial: self._dial,
            c.Join: self._join,
            c.Arm: self._arm,
            c.Release: self._release,
            c.Introduce: self._introduce,
            c.WithholdKeys: _withhold_keys,
            c.PassKeys: _pass_keys,
            c.HangUp: self._hang_up,
            c.Forget: self._forget,
        }

    def of(self, command: c.SwitchCommand) -> p.Procedure:
        """Translate a command.

        Raises:
            InputError: a part of it did not pass the allow-list; nothing may be sent.
        """
        return self._makers[type(command)](command)

    # ----------------------------------------------------------------- commands

    def _split(self, command: c.Split) -> p.Procedure:
        # One leg is moved, and the other parks by itself. Moving both (`-both`) is a race on a busy
        # switch: the leg that runs the dialplan's bridge may find itself alone before its turn
        # comes, and hangs up (measured on 1.10.12: 1 in 100, with 200 transfers at once).
        # The park clears `park_after_bridge`, so that it outlives no split.
        stays = {"park_after_bridge": "true", "hangup_after_bridge": "false"}
        variables = {"playback_terminators": "none", **stays, **self._limits}
        first = _marks(command.transfer, "transferor", command.kind)
        second = _marks(command.transfer, "transferee", command.kind)
        # a transfer that has just ended may be about to open the line again to displays
        silent = tuple(p.Unschedule(variables_group(_leg(leg))) for leg in command.undisclosed)
        return p.Procedure(
            steps=(
                *silent,
                _set(command.first, variables | first | _discretion(command, command.first)),
                _set(command.second, variables | second | _discretion(command, command.second)),
                p.SendToPark(_leg(command.first)),
            ),
            optional=len(silent),
            unless=((_is_with(command.first, p.UNDEFINED),),) if command.repeated else (),
            settled=(command.first, command.second),
            remember=(_leg(command.first), _leg(command.second)),
            spared=3,  # a leg that is already parked must not get `park_after_bridge` again
        )

    def _park(self, command: c.Park) -> p.Procedure:
        # what it leaves may have ended by itself
        ends = (_set(command.part_of, {p.PART: ""}),) if command.part_of else ()
        leg = _leg(command.leg)
        disarming = (_set(leg, _DISARMED), p.Unschedule(leg)) if command.disarms else ()
        return p.Procedure(
            before=disarming,
            steps=(*ends, _set(leg, self._limits), p.SendToPark(leg)),
            optional=len(ends),
            unless=tuple(_are_with(command.leg, other) for other in command.unless_with),
            spared=2,
            remember=(leg,),  # it may be back where it came from, with nothing of ours
        )

    def _take_part(self, command: c.TakePart) -> p.Procedure:
        """The limit of the park counts from the end of the conversation, when the leg parks.

        With `uuid_broadcast` the leg would stay in the park, whose limit would end it as soon as
        the conversation ends.
        """
        leg, of = _leg(command.leg), _leg(command.of)
        return p.Procedure(
            steps=(
                _set(of, {p.PART: leg}),
                _set(leg, self._limits),
                p.ThreeWay(leg, of),
            ),
            unless=tuple(_are_with(command.leg, other) for other in command.unless_with),
            spared=2,
        )

    def _fetch(self, command: c.Fetch) -> p.Procedure:
        leg = _leg(command.leg)
        variables = {
            "playback_terminators": "none",
            "hangup_after_bridge": "false",
            **self._limits,
            p.PICK_UP: "",
            **_marks(command.transfer, command.role, command.kind),
            **(_SILENT if command.undisclosed else {}),
        }
        # the scheduled return is cancelled when a target answers, by the target's leg (`Dial`)
        wait_s = command.return_after_s
        after_s = None if wait_s is None else int(_seconds(wait_s))
        return p.Procedure(
            steps=(
                p.Unschedule(return_group(leg)),
                *((p.Unschedule(variables_group(leg)),) if command.undisclosed else ()),
                _set(leg, variables),
                p.SendToPark(leg),
            ),
            optional=2 if command.undisclosed else 1,
            unless=(_is_fetched(command),) if command.repeated else (),
            spared=5,
            remember=(leg,),
            returns=p.Return(leg=leg, to=command.return_to, after_s=after_s),
        )

    def _hold_with_music(self, command: c.HoldWithMusic) -> p.Procedure:
        return _play(command.leg, command.music, "music")

    def _play_ringback(self, command: c.PlayRingback) -> p.Procedure:
        return _play(command.leg, command.ringback, "ringback")

    def _play_tone(self, command: c.PlayTone) -> p.Procedure:
        return _play(command.leg, command.tone, "tone")

    def _dial(self, command: c.Dial) -> p.Procedure:
        caller = self._caller_of(command.on_behalf_of)
        withheld = command.withheld or caller.withheld
        shown = WITHHELD if withheld else command.caller or caller.number
        name = shown if withheld else command.caller_name or caller.name or shown
        dialling = self.tenants.of(command.account)
        context = self._context(command, dialling)
        number = checked(ALLOWED_NUMBER, command.target, "the number")
        leg = _leg(command.leg)
        account = command.account
        if not ALLOWED_ACCOUNT.fullmatch(account):
            account = ""
        carried = ["media_mix_inbound_outbound_codecs"]
        if account:
            carried.append(self._account_variable)
        owner_id = command.owner_id if account else ""
        if not ALLOWED_ACCOUNT.fullmatch(owner_id):
            owner_id = ""
        if owner_id:
            carried.append(self._owner_variable)
        # through the dialplan to the phone's own leg
        carried += [*context, *(name for name in dialling.variables if name not in carried)]
        dial_string = dialling.dial_string(number, command.account)
        parks_ringing = not dial_string.startswith("loopback/")
        variables = {
            "origination_uuid": leg,
            "origination_caller_id_number": checked(ALLOWED_NUMBER, shown or "0", "caller"),
            "origination_caller_id_name": f"'{_shown(command.caller_prefix + name)}'",
            # FreeSWITCH counts whole seconds, and up to one second too few
            "originate_timeout": _seconds(command.ring_timeout_s),
            "ignore_early_media": "true",
            # the far half of a loopback leg inherits marks: they name the leg that they are for
            **_marks(
                command.transfer,
                f"{checked(ALLOWED_KIND, command.role, 'the role')}:{leg}",
                "",
            ),
            p.KEPT: p.NOTHING_KEPT,
            **(_parked_ringing(leg) if parks_ringing else {}),
            # Nothing about bridges or parks: the far half of a loopback leg would inherit it, and
            # be parked when its phone hangs up. A join sets all that on the right leg.
            # A loopback leg that bows out would be replaced by an unknown one
            "loopback_bowout": "false",
            "loopback_bowout_on_execute": "false",
            # a loopback leg speaks L16, which no phone takes: let the phone's leg offer its own
            "media_mix_inbound_outbound_codecs": "true",
            "export_vars": ",".join(carried),
            **context,
            **({self._account_variable: account} if account else {}),
            **({self._owner_variable: owner_id} if owner_id else {}),
            **dialling.variables,
        }
        originate = p.Originate(
            leg=leg,
            number=number,
            dial_string=dial_string,
            variables=tuple(variables.items()),
        )
        if not parks_ringing:
            return p.Procedure(steps=(originate,))
        ends = p.Kill(leg, "NO_ANSWER", after_s=int(_seconds(command.ring_timeout_s)))
        return p.Procedure(steps=(p.Unschedule(ringing_group(leg)), ends, originate), optional=1)

    def _context(self, command: c.Dial, dialling: Dialling) -> dict[str, str]:
        """The variables of a target's leg; a header is one, too (`sip_h_X-…`)."""
        check_pairs(command.variables, header=False, where="variables")
        check_pairs(command.headers, header=True, where="headers")
        taken = {
            name.lower()
            for name in (self._account_variable, self._owner_variable, *dialling.variables)
        }
        for name, _ in command.variables:
            if name.lower() in taken:
                raise InputError(f"the variable {name!r} is not allowed", hint="the operator's own")
        headers = {f"sip_h_{name}": value for name, value in command.headers}
        return {**dict(command.variables), **headers}

    def _join(self, command: c.Join) -> p.Procedure:
        variables = self._parks | _order(command.transfer, command.attempt)
        if command.afterwards is c.Afterwards.END:
            variables |= _ORDINARY
        # The first leg is armed when they talk, by a separate order: a leg that does not park is
        # hung up (DESTINATION_OUT_OF_ORDER) if the second is gone before they are joined
        # (measured on 1.10.12: 2 in 100, of targets that hang up within 0.1 s of their answer).
        armed = {} if command.rescue is None else _armed(command.rescue)
        # A disarmed leg parks when its partner leaves: this may happen before the bridge is
        # ordered, and the controller may die.
        disarmed = {"park_after_bridge": "true", "hangup_after_bridge": "false", **_DISARMED}
        disarming: tuple[p.Primitive, ...] = tuple(
            step
            for leg in command.disarm
            for step in (_set(leg, disarmed), p.Unschedule(_leg(leg)))
        )
        # The switch may have sent it back on its own meanwhile, and given it its variables back.
        unkept = (_leg(command.stays),) if command.stays else ()
        stays = tuple(p.Unschedule(return_group(leg)) for leg in unkept)
        first, second = command.first, command.second
        return p.Procedure(
            before=(*stays, *disarming),  # the leg to be disarmed may be gone, which is fine
            steps=(
                _set(first, variables | _discretion(command, first)),
                _set(second, variables | armed | _discretion(command, second)),
                # A bridge ends the playing sound but not a queued one, which would be heard in the
                # conversation, and the leg would not notice its partner's hang-up (measured on
                # 1.10.12: 24 of 24; with this, 0 of 24)
                p.BreakSounds(_leg(first)),
                p.BreakSounds(_leg(second)),
                p.Bridge(_leg(first), _leg(second)),
            ),
            settled=(first, second),
            remember=unkept,
            unless=_is_about(command),
            spared=3,
        )

    def _arm(self, command: c.Arm) -> p.Procedure:
        if command.when is c.Trigger.LEFT_ALONE:
            return p.Procedure(steps=(_set(command.leg, _armed(command.rescue)),))
        # Some time after its answer, not at once: a leg that intercepts while its `&park()` begins
        # may kill the other leg (measured: 1 of 6 tries with a loopback leg). By then a living
        # controller has joined the two and cancelled this.
        rescued = _leg(command.rescue)
        rescue = f"sched_transfer +{RESCUE_AFTER_S} intercept:{rescued} inline"
        # once they talk, the switch no longer sends the other one back on its own (`Fetch`)
        stays = {p.ON_BRIDGE: f"sched_del {return_group(rescued)}"}
        return p.Procedure(
            steps=(
                _set(command.leg, _ENDS | stays | (_SILENT if command.undisclosed else {})),
                p.SetVariable(_leg(command.leg), "execute_on_answer", rescue),
            )
        )

    def _release(self, command: c.Release) -> p.Procedure:
        variables = {**_DISARMED, **_ORDINARY}
        return p.Procedure(
            steps=(
                p.Unschedule(_leg(command.second)),
                _set(command.first, variables),
                _set(command.second, variables),
            ),
            optional=1,
        )

    def _introduce(self, command: c.Introduce) -> p.Procedure:
        pair = (
            (command.first, command.second, command.second_number),
            (command.second, command.first, command.first_number),
        )
        hidden = command.undisclosed
        steps = tuple(
            step for side in pair for step in self._show(*side, undisclosed=side[0] in hidden)
        )
        return p.Procedure(steps=steps, optional=len(steps))

    def _show(
        self, leg: LegId, other: LegId, number: str, *, undisclosed: bool
    ) -> tuple[p.Primitive, ...]:
        """Show a phone the party of another leg, now and a moment later once more.

        FreeSWITCH also updates both phones when it bridges them: for a target that is not called
        through the dialplan with the wrong number, and sometimes after us (measured on 1.10.12).
        It does not repeat what a phone shows already.
        """
        caller = self._caller_of(_leg(other))
        if not ALLOWED_NUMBER.fullmatch(number) or caller.withheld:
            return ()  # the display stays as it is
        name = number if undisclosed else _shown(caller.name.strip()) or number
        show = p.Display(_leg(leg), name, number)
        if not undisclosed:
            return (
                show,
                p.Unschedule(display_group(leg)),
                p.Display(leg, name, number, after_s=SHOW_AGAIN_AFTER_S),
            )
        # Only for this case: the switch's own failsafe joins without an order of ours, and would
        # disclose the other party (measured on 1.10.12). The switch itself shows nothing, so once
        # is enough.
        return (
            _set(leg, {"ignore_display_updates": ""}),
            show,
            _set(leg, {"ignore_display_updates": "true"}),
        )

    def _forget(self, command: c.Forget) -> p.Procedure:
        legs = tuple(map(_leg, command.legs))
        steps = tuple(p.Unschedule(group) for leg in legs for group in (leg, return_group(leg)))
        return p.Procedure(steps=steps, optional=len(steps), restore=legs)

    def _hang_up(self, command: c.HangUp) -> p.Procedure:
        cause = checked(ALLOWED_CAUSE, command.cause, "the cause")
        return p.Procedure(steps=(p.Kill(_leg(command.leg), cause),))


def _send_back(command: c.SendBack) -> p.Procedure:
    leg = _leg(command.leg)
    return p.Procedure(
        steps=(p.Unschedule(return_group(leg)),),
        optional=1,
        # it is on its way: a second order would let it begin again there
        unless=((_was_sent(leg, "m:^:"),),),
        returns=p.Return(leg=leg, to=command.to, now=True),
    )


def _parked_ringing(leg: LegId) -> dict[str, str]:
    """Let a target be parked as soon as its phone rings, so that it can be joined on its answer.

    The thread of an `originate` looks for the answer every 20 ms, and moves the leg only then: a
    join that came before that would be undone. This one has ended by then. So has its timeout:
    another task ends the call, unless it is answered. A phone that answers without ringing is
    parked then, as ever. Measured on 1.10.12, on a busy machine: from the answer to the
    conversation 65 ms without this, 50 ms with it.

    Not for a loopback leg: its far half inherits the variable (`mod_loopback`), so that the
    dialplan's own `bridge` would end as soon as a phone rings, without its timeout and the next
    number of a hunt group; a second loopback behind it hangs up (DESTINATION_OUT_OF_ORDER).
    """
    return {
        "return_ring_ready": "true",
        "api_on_answer_hookflash": f"sched_del {ringing_group(leg)}",
    }


def _was_sent(leg: LegId, where: str) -> p.VariableCheck:
    """Check where a leg was sent last: this is recorded with the order."""
    return p.VariableCheck(
        leg=leg, variable="transfer_source", value=f"bl_xfer:{where}", within=True
    )


def _is_fetched(command: c.Fetch) -> tuple[p.VariableCheck, ...]:
    """Check whether a leg was taken out of its application: a leg parked twice loses its sound."""
    leg, mark = _leg(command.leg), command.transfer or p.UNDEFINED
    return (
        _was_sent(leg, "park/"),
        p.VariableCheck(leg=leg, variable="hookflash_transfer", value=mark),
    )


def _withhold_keys(command: c.WithholdKeys) -> p.Procedure:
    leg = _leg(command.leg)
    net = p.DropKeys(leg, drop=False, after_s=int(_seconds(command.limit_s)))
    return p.Procedure(
        steps=(p.Unschedule(keys_group(leg)), net, p.DropKeys(leg, drop=True)), optional=1
    )


def _pass_keys(command: c.PassKeys) -> p.Procedure:
    leg = _leg(command.leg)
    keys = (
        (p.SendKeys(leg, checked(ALLOWED_KEYS, command.digits, "keys")),) if command.digits else ()
    )
    steps: tuple[p.Primitive, ...] = (
        p.DropKeys(leg, drop=False),
        p.Unschedule(keys_group(leg)),
        p.SetVariable(leg, "drop_dtmf", ""),  # it would take effect at the next re-INVITE
        *keys,
    )
    return p.Procedure(steps=steps, optional=len(steps))


def _set(leg: LegId, variables: Mapping[str, str]) -> p.SetVariables:
    return p.SetVariables(_leg(leg), tuple(variables.items()))


def _play(leg: LegId, sound: Sound, sense: str) -> p.Procedure:
    check_sound(sound, sense)
    # after an endless sound the next would never begin; breaking nothing does no harm
    return p.Procedure(steps=(p.BreakSounds(_leg(leg)), p.Broadcast(leg, sound, sense)), optional=1)


def _announce(command: c.Announce) -> p.Procedure:
    # Nothing is broken off: in a bridge there is nothing to break, and a sound that waits would
    # come later. `uuid_broadcast … aleg` suspends the bridge of this one leg; it goes on after.
    # `uuid_displace … m` would let the two talk on, but may end the switch (a segmentation fault)
    # if the leg is ordered elsewhere before its end (measured on 1.10.12).
    check_sound(command.sound, "announcement")
    steps = (p.Broadcast(_leg(command.leg), command.sound, "tone"),)
    return p.Procedure(steps=steps, optional=1)


def _discretion(command: c.Split | c.Join, leg: LegId) -> dict[str, str]:
    """Keep the switch from showing a phone what is to stay hidden."""
    return _SILENT if leg in command.undisclosed else {}


def _armed(rescue: LegId) -> dict[str, str]:
    """Let a leg park when its bridge ends, and intercept the rescued one if it is still there.

    Not at once: the hang-up that ends the bridge may also be about to reach this leg (the near half
    of a loopback pair), and a leg that dies while it intercepts another may end that one too.
    (Measured on 1.10.12.)
    """
    # `execute_extension` reads three words: a space within the first is written as `\s`
    rescue = f"sched_transfer:+{RESCUE_AFTER_S}\\sintercept:{_leg(rescue)}\\sinline"
    return {
        "park_after_bridge": "false",
        "hangup_after_bridge": "false",
        "exec_after_bridge_app": "execute_extension",
        "exec_after_bridge_arg": f"{rescue},park inline",
    }


def _is_with(leg: LegId, partner: str) -> p.VariableCheck:
    """Check the partner of a leg, current or next.

    FreeSWITCH records it when it accepts the order, before it answers, and not when the order is
    executed; so it is known even while the two are being joined (measured on 1.10.12).
    """
    return p.VariableCheck(leg=_leg(leg), variable="signal_bond", value=partner)


def _are_with(one: LegId, other: LegId) -> tuple[p.VariableCheck, ...]:
    """Check whether two are joined, or about to be: both must say so, as one may be outdated."""
    return (_is_with(one, _leg(other)), _is_with(other, _leg(one)))


def _is_about(join: c.Join) -> tuple[tuple[p.VariableCheck, ...], ...]:
    """Check whether the switch is already joining these legs: a second bridge would end one.

    It may be executing the previous attempt. Or its own failsafe has fired just now: the leg that
    was to be disarmed is intercepting the transferee, or has done so. (Measured on 1.10.12: of
    joins that were ordered at the moment when the failsafe fired, on a busy switch, 1 in 100 ended
    the call.)
    """
    taken = (_is_taken(join),) if join.repeated else ()
    if not join.disarm:
        return taken
    rescued = join.rescued or join.first
    if rescued in (join.first, join.second):
        taken = (_are_with(join.first, join.second),)
    # else the two have talked before and still name each other, though they were split since
    caught = tuple(
        facts
        for leg in join.disarm
        if leg != rescued
        for facts in (
            _are_with(leg, rescued),
            *(() if join.repeated else ((_fetches(leg, rescued),),)),
        )
    )
    if rescued in join.disarm and rescued in (join.first, join.second) and not join.repeated:
        other = join.second if rescued == join.first else join.first
        caught += ((_fetches(rescued, other),),)
    return (*taken, *caught)


def _fetches(leg: LegId, other: LegId) -> p.VariableCheck:
    """Check whether the failsafe is moving a leg: this is recorded before it moves."""
    sent = f"intercept:{_leg(other)}"
    return p.VariableCheck(leg=_leg(leg), variable="transfer_source", value=sent, within=True)


def _is_taken(join: c.Join) -> tuple[p.VariableCheck, ...]:
    """Check whether the switch is still executing the previous attempt."""
    leg = _leg(join.first)
    order = (
        p.VariableCheck(leg=leg, variable=name, value=value)
        for name, value in _order(join.transfer, join.attempt - 1).items()
    )
    return (*order, *_are_with(leg, join.second))


def _order(transfer: str, attempt: int) -> dict[str, str]:
    """The variable that identifies the last join that was ordered for a leg."""
    if not transfer:
        return {}
    return {"hookflash_join": f"{checked(ALLOWED_TRANSFER, transfer, 'the transfer')}.{attempt}"}


_SILENT: Final = {"ignore_display_updates": "true"}

_ENDS: Final = {"park_after_bridge": "false", "hangup_after_bridge": "true"}

_ORDINARY: Final = {
    **_ENDS,
    "park_timeout": "",
    "playback_timeout_sec": "",
}
"""The variables of a leg in an ordinary call: it ends with its partner, without a time limit."""

_DISARMED: Final = {
    "exec_after_bridge_app": "",
    "exec_after_bridge_arg": "",
    "execute_on_answer": "",
    p.ON_BRIDGE: "",
}


def role_on(leg: LegId, mark: str) -> str:
    """The role in a leg's mark; empty if a loopback leg's far half has inherited the mark."""
    role, _, only = mark.partition(":")
    return role if only in ("", leg) else ""


def _marks(transfer: str, role: str, kind: str) -> dict[str, str]:
    """The marks by which a restarted controller finds a transfer. Empty values remove them."""
    name = checked(ALLOWED_TRANSFER, transfer, "the transfer") if transfer else ""
    if kind:
        checked(ALLOWED_KIND, kind, "the kind")
    return {"hookflash_transfer": name, "hookflash_role": role, "hookflash_kind": kind}


def _seconds(duration_s: float) -> str:
    """A duration for the switch: whole seconds, at least one, up to the maximum."""
    if not duration_s <= _LONGEST_S:
        raise InputError(f"{duration_s} s is not a valid duration", hint=f"at most {_LONGEST_S} s")
    return str(math.ceil(max(duration_s, 1)))


@lru_cache(maxsize=1024)  # an order names the same few legs many times
def _leg(leg: LegId) -> str:
    return checked(ALLOWED_LEG, leg, "the leg")


def _shown(name: str) -> str:
    """A caller's name for a display, with a question mark for each character not allowed."""
    name = name[:64]
    if ALLOWED_NAME.fullmatch(name):
        return name
    return "".join(char if ALLOWED_NAME.fullmatch(char) else "?" for char in name)
