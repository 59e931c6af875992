"""A simulated FreeSWITCH: its primitives, its facts, and its traps.

Everything here was recorded and measured on FreeSWITCH 1.10.12; the primitives have its names, so
that any program written for FreeSWITCH can use them. `channel` defines a leg, `hearing` sounds and
keys, `bridges` joins, `partings` the end of a bridge, `parking` where legs can be sent. This module
has incoming and outgoing calls, and what people do.

* **A target through `loopback/…` is three legs.** Loopback-a is the one that was ordered;
  loopback-b is its other half, counts as a caller, and runs the dialplan, whose bridge calls the
  phone. When the phone answers, both halves answer, b is joined with the phone, and a continues as
  any target does. b and the phone are an ordinary call: when one leaves, the other leaves too.
* **When one half ends, the other ends too**, with the same cause; or, if its own thread notices
  first that no sound arrives, by its own variables and with NORMAL_CLEARING.
* **Variables of the `originate` are set on both halves**, marks and account included. The phone's
  leg inherits those that `export_vars` names, and no others.
* **The switch shows each phone its partner** at each bridge, by its own rule for the caller's
  number: an outbound leg that has once led a bridge counts as a caller. With
  `ignore_display_updates=true` on a leg, its phone ignores that, and `uuid_display` too. What is
  sent to one half of a loopback pair is shown by the phone behind the other.
* **Another program may send any leg anywhere** (`transfer`). Its place is only reported by what
  happens there: a sound that begins, a leg that is called, a bridge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

from hookflash import events as e
from hookflash.backends.freeswitch.primitives import PICK_UP
from hookflash.backends.simulator import odds
from hookflash.backends.simulator.bridges import Bridges
from hookflash.backends.simulator.channel import (
    SILENCE,
    Audible,
    ChannelPlace,
    Extension,
    Playback,
    Sense,
    SimulatedChannel,
    ToInline,
    ToLeg,
    ToPark,
    ToPart,
    ToPhone,
    ToSound,
)
from hookflash.backends.simulator.hearing import (
    NO_SUCH_CHANNEL,
    OK,
    Thunk,
    Watcher,
)
from hookflash.backends.simulator.surroundings import Surroundings
from hookflash.sounds import Conversation

__all__ = [
    "SILENCE",
    "Audible",
    "ChannelPlace",
    "Extension",
    "Sense",
    "SimulatedChannel",
    "Switch",
    "Thunk",
    "ToPark",
    "ToPart",
    "ToPhone",
    "ToSound",
    "Watcher",
]

_ANSWER_TO_PARK_S: Final = (0.0, 0.021)
"""From a target's answer to its park (complete: 0.0 ms, failsafe: 19.1 ms)."""
_ANSWER_TO_CALL_S: Final = (0.0003, 0.0205)
"""From the callee's answer to the caller's, in an ordinary call (complete: 20.4 ms)."""
_RING_TO_HALVES_S: Final = (0.0003, 0.0205)
"""From a phone's ringing to that of the loopback halves in front of it (measured: 20 ms)."""
_TO_NO_ROUTE_S: Final = 0.020
"""From a call to a number without a phone to its end."""

_DUPLICATE: Final = "-ERR DESTINATION_OUT_OF_ORDER"
_NOBODY: Final = "0000000000"
"""The caller's number of a call without a caller."""
_LOOPBACK: Final = "loopback/"


class Switch(Bridges):
    """The switch. Primitives return FreeSWITCH's reply; their effects are reported."""

    def __init__(self, around: Surroundings) -> None:
        """Set up a switch without calls."""
        super().__init__(around)
        self._ring_phone = around.ring_phone
        self.name_leg: Callable[[], e.LegId] = self._name
        """Generates ids for legs without a given one."""
        self._scheduled: dict[e.LegId, object] = {}
        self._by_group: dict[str, object] = {}
        """Scheduled tasks (`sched_api`), by their group."""
        self._extensions: dict[str, Extension] = {}
        """Extensions of the dialplan, by number, other than phones."""
        self._shown: dict[e.LegId, list[str]] = {}
        self._legs_named = 0

    def partner(self, leg: e.LegId) -> e.LegId | None:
        """A leg's current, intended or former partner (`uuid_getvar LEG signal_bond`)."""
        channel = self._channels.get(leg)
        return None if channel is None else channel.bond or None

    def mate(self, channel: SimulatedChannel) -> e.LegId | None:
        """The leg's partner, joined or about to be: both live, and each bond names the other."""
        other = self._channels.get(channel.bond)
        return other.id if other is not None and other.bond == channel.id else None

    def channels(self) -> Iterable[SimulatedChannel]:
        """List the living legs, oldest first (`show channels`)."""
        return self._channels.values()

    def phone_of(self, leg: e.LegId) -> e.LegId:
        """Find the leg of a phone: for a loopback half, the one behind the other half."""
        channel = self._channels.get(leg)
        while channel is not None and channel.half is not None:
            other = channel.half
            behind = other.peer or other.call
            if behind is None or behind is channel:
                break
            channel = behind
        return leg if channel is None else channel.id

    # ---- calls come in

    def create_call(
        self,
        caller: str,
        callee: str,
        *,
        account: str = "",
        callee_account: str | None = None,
        through_loopback: bool = False,
        owner_id: str = "",
    ) -> tuple[e.LegId, e.LegId]:
        """Take a call and pass it on, as a dialplan's `bridge` does.

        Args:
            caller: the caller's number.
            callee: the called number.
            account: the account of the call.
            callee_account: the account of the callee's leg; by default the same.
            through_loopback: whether the dialplan bridges to `loopback/…`, which stays.
            owner_id: the user or device that the caller's leg belongs to.

        Returns:
            The caller's leg and the callee's: with loopback, that of loopback-a. Each ends with the
            other: `hangup_after_bridge`.
        """
        own = {"hookflash_owner": owner_id} if owner_id else {}
        first = self._create(self.name_leg(), caller, e.Direction.INBOUND, account, own)
        theirs = account if callee_account is None else callee_account
        first.variables["hangup_after_bridge"] = "true"
        first.destination = callee
        if through_loopback:
            self._report(e.LegProgressed(leg=first.id, early_media=True))
            second = self._call_through(self.name_leg(), callee, {}, "", caller=first)
        else:
            second = self._call_for(first, callee, theirs)
            self._call_phone(second)
        return first.id, second.id

    def call_slot(
        self, caller: str, slot: str, *, account: str = "", owner_id: str = ""
    ) -> e.LegId:
        """Take a call for the number of a slot: the dialplan answers it, and parks it for that.

        Returns:
            The caller's leg.
        """
        own = {"hookflash_owner": owner_id} if owner_id else {}
        variables = {**own, PICK_UP: slot, "park_timeout": "10"}
        leg = self._create(self.name_leg(), caller, e.Direction.INBOUND, account, variables)
        leg.destination = slot
        leg.answered = True
        self._report(e.LegAnswered(leg=leg.id))
        self._park(leg)
        return leg.id

    def _name(self) -> e.LegId:
        self._legs_named += 1
        return f"leg-{self._legs_named}"

    def _create(
        self,
        leg: e.LegId,
        number: str,
        direction: e.Direction,
        account: str,
        variables: Mapping[str, str] | None = None,
        *,
        other_half: e.LegId = "",
        caller: SimulatedChannel | None = None,
        caller_id: str = "",
    ) -> SimulatedChannel:
        address, number = number, number.partition("@")[0]
        channel = SimulatedChannel(leg, number, direction, account, dict(variables or ()))
        channel.address = address
        self._channels[leg] = channel
        if caller is not None:
            channel.called_for = channel.bond = caller.id
            channel.call = caller
            caller.call = channel
            caller_id = caller.caller_id
        if direction is e.Direction.OUTBOUND:
            channel.caller_id = caller_id
            self._show(channel, caller_id)
        self._report(
            e.LegCreated(
                leg=leg,
                number=number,
                direction=direction,
                account=account,
                owner_id=channel.owner_id,
                other_half=other_half,
                called_for=channel.called_for,
            )
        )
        return channel

    def _call_for(self, caller: SimulatedChannel, number: str, account: str) -> SimulatedChannel:
        """Create the leg that a dialplan's `bridge` calls. It inherits the exported variables."""
        names = [name for name in caller.variables.get("export_vars", "").split(",") if name]
        inherited = {name: caller.variables[name] for name in names if name in caller.variables}
        if inherited:
            inherited["export_vars"] = caller.variables["export_vars"]
        account = inherited.get("hookflash_account", account)
        leg = self.name_leg()
        return self._create(leg, number, e.Direction.OUTBOUND, account, inherited, caller=caller)

    def _call_through(
        self,
        leg: e.LegId,
        number: str,
        variables: Mapping[str, str],
        account: str,
        *,
        caller: SimulatedChannel | None = None,
    ) -> SimulatedChannel:
        """Call a number through the dialplan: create the two halves, and the leg behind them."""
        other = self.name_leg()
        shown = variables.get("origination_caller_id_number", _NOBODY)
        halves = {"loopback_bowout": "false", **variables, "other_loopback_leg_uuid": other}
        one = self._create(
            leg,
            number,
            e.Direction.OUTBOUND,
            account,
            {**halves, "loopback_leg": "A"},
            other_half=other,
            caller=caller,
            caller_id=shown,
        )
        two = self._create(
            other,
            one.caller_id,
            e.Direction.INBOUND,
            account,
            {
                **halves,
                "loopback_leg": "B",
                "other_loopback_leg_uuid": leg,
                "hangup_after_bridge": "true",
            },
            other_half=leg,
        )
        one.half, two.half = two, one
        self._call_phone(self._call_for(two, number, ""))
        return one

    def _call_phone(self, channel: SimulatedChannel) -> None:
        if not self._ring_phone(channel.id, channel.address):
            self._after(_TO_NO_ROUTE_S, partial(self._end, channel, "UNALLOCATED_NUMBER"))

    def _connect(self, caller: SimulatedChannel, callee: SimulatedChannel) -> None:
        """Answer the caller after the callee, and join the two."""
        if caller.cause or callee.cause or caller.call is not callee:
            return
        caller.call = callee.call = None
        half = caller.half
        if half is not None and not half.answered and not half.cause:
            self._answered(half)
            if self._rarely(odds.ANSWERS_TWICE):
                again = partial(self._report, e.LegAnswered(leg=half.id))
                self._after(self._span(odds.TO_PARK_S), again)
        if not caller.answered:
            caller.answered = True
            if half is None and callee.half is None:
                self._report(e.LegProgressed(leg=caller.id, early_media=True))
            self._report(e.LegAnswered(leg=caller.id))
        caller.in_dialplan = True
        self._joined(caller, callee)

    # ---- what people do

    def ring(self, leg: e.LegId, *, early_media: bool = False) -> None:
        """The phone reports that it rings (180), or sends early media (183)."""
        channel = self._channels.get(leg)
        if channel is None or channel.answered:
            return
        self._report(e.LegProgressed(leg=leg, early_media=early_media))
        self._rings(channel, early_media=early_media)
        half = channel.call
        if half is not None and half.half is not None:
            ignored = early_media and half.variables.get("ignore_early_media") == "true"
            if not ignored:
                progress = partial(self._halves_ring, half, early_media=early_media)
                self._after(self._span(_RING_TO_HALVES_S), progress)

    def _halves_ring(self, two: SimulatedChannel, *, early_media: bool) -> None:
        for half in (two.half, two):
            if half is not None and not half.cause and not half.answered:
                self._report(e.LegProgressed(leg=half.id, early_media=early_media))
        if two.variables.get("return_ring_ready") == "true" and not early_media:
            # the far half inherits it: the dialplan's own `bridge` is over as soon as a phone rings
            self._end(two, odds.LOST)

    @staticmethod
    def _rings(channel: SimulatedChannel, *, early_media: bool) -> None:
        """`return_ring_ready`: `originate` has ended, and the leg is parked, though it rings."""
        if channel.variables.get("return_ring_ready") == "true" and not early_media:
            channel.waits_ringing = channel.takes is None

    def answer(self, leg: e.LegId) -> None:
        """The party picks up. A leg that is gone or has answered is left as it is."""
        channel = self._channels.get(leg)
        if channel is None or channel.answered or channel.direction is e.Direction.INBOUND:
            return
        if channel.half is None:  # no phone is at the end of a loopback half
            self._answered(channel)

    def _answered(self, channel: SimulatedChannel) -> None:
        channel.answered = True
        self._report(e.LegAnswered(leg=channel.id))
        self._run_api(channel, "api_on_answer_hookflash")
        if channel.call is not None:
            self._after(
                self._span(_ANSWER_TO_CALL_S), partial(self._connect, channel.call, channel)
            )
        elif channel.errand is None and channel.place is ChannelPlace.DIALLING:
            app, _, argument = channel.variables.get("execute_on_answer", "").partition(" ")
            if app == "sched_transfer":
                after_s, _, what = argument.removeprefix("+").partition(" ")
                wanted = what.removeprefix("intercept:").partition(" ")[0]
                self._take_later(channel, wanted, after_s)
            if channel.takes is not None:
                self._after(self._span(_ANSWER_TO_PARK_S), partial(self._take_at_once, channel))
            elif channel.waits_ringing:
                self._park_target(channel)
            elif app != "intercept" or not self._intercept(channel, argument):
                self._after(self._span(_ANSWER_TO_PARK_S), partial(self._park_target, channel))

    def _take_at_once(self, channel: SimulatedChannel) -> None:
        """`&intercept(LEG)`: the leg's only application; if that leg is gone, this one ends."""
        if (
            channel.cause
            or channel.errand is not None
            or channel.place is not ChannelPlace.DIALLING
        ):
            return
        if not self._intercept(channel, channel.takes or ""):
            self._end(channel, "NORMAL_CLEARING")

    def sched_del(self, leg: e.LegId) -> int:
        """Cancel the scheduled tasks of a leg; return their number, which may be 0."""
        later = self.forget_key_task(leg)
        later += self._by_group.pop(leg, None) is not None
        return later if self._scheduled.pop(leg, None) is None else later + 1

    def _park_target(self, channel: SimulatedChannel) -> None:
        if not channel.cause and channel.errand is None and channel.place is ChannelPlace.DIALLING:
            self._park(channel)

    def refuse(self, leg: e.LegId, cause: str) -> None:
        """The phone declines the call (USER_BUSY, CALL_REJECTED, …) if it still rings."""
        channel = self._channels.get(leg)
        if channel is not None and not channel.answered and channel.half is None:
            self._end(channel, cause)

    def hang_up(self, leg: e.LegId) -> None:
        """The party hangs up, in any state of the leg."""
        channel = self._channels.get(leg)
        if channel is not None and channel.half is None:
            self._end(channel, "NORMAL_CLEARING")

    # ---- what other programs do

    def _begin_extension(self, channel: SimulatedChannel, extension: Extension) -> None:
        match extension:
            case ToSound(sound, lasts_s):
                sense = Sense.MUSIC if lasts_s is None else Sense.TONE
                self._play(channel, Playback(sound, sense, lasts_s, is_own=True))
            case ToPhone(number):
                self._call_from(channel, number)
            case ToInline(number, variables):
                self.setvar_multi(channel.id, variables)
                if not number:
                    self._report(e.LegParked(leg=channel.id))
                    return
                extension = self._extensions.get(number, ToPhone(number))
                self._note_destination(channel, extension)
                self._begin_extension(channel, extension)
            case ToPart(of):
                self._begin_part(channel, self._channels.get(of))
            case ToPark() | ToLeg():
                pass

    def _begin_part(self, channel: SimulatedChannel, of: SimulatedChannel | None) -> None:
        """`three_way`: without the other leg it ends at once, and the leg parks."""
        if of is None or of is channel or not of.answered:
            self._park(channel)
            return
        part = Playback(Conversation(of.id), Sense.VOICE, None, is_own=True)
        of.listeners = [one for one in of.listeners if one[0] is not channel]
        of.listeners.append((channel, part))
        self._play(channel, part)

    def _number_of(self, extension: Extension | None) -> str:
        if isinstance(extension, ToPhone):
            return extension.number
        if not isinstance(extension, ToSound):
            return ""
        known = (number for number, one in self._extensions.items() if one == extension)
        number = next(known, None) or f"ivr-{len(self._extensions) + 1}"
        self._extensions[number] = extension
        return number

    def send_to(
        self,
        leg: e.LegId,
        number: str | None,
        variables: Mapping[str, str],
        *,
        group: str,
        after_s: int,
    ) -> str:
        """`uuid_transfer LEG 'm:^:set:…^transfer:…' inline`, now or by `sched_api`.

        Args:
            leg: the leg.
            number: the extension; None: a park.
            variables: what the leg sets on itself before it goes there.
            group: of the scheduled task.
            after_s: when; 0: now.
        """
        send = partial(self.transfer, leg, ToInline(number or "", variables))
        return self._schedule(group, after_s, send) if after_s else send()

    def _call_from(self, channel: SimulatedChannel, number: str) -> None:
        channel.variables["hangup_after_bridge"] = "true"
        self._call_phone(self._call_for(channel, number, ""))

    # ---- displays

    def display(self, leg: e.LegId, name: str, number: str) -> str:
        """`uuid_display`: show a phone its other party. The variables record what was sent."""
        channel = self._channels.get(leg)
        if channel is None:
            return "-ERR Operation failed"
        if channel.variables.get("ignore_display_updates") != "true":
            shown = {"last_sent_callee_id_name": name, "last_sent_callee_id_number": number}
            channel.variables |= {field: value for field, value in shown.items() if value}
            self._show(channel, number)
        return "+OK Success"

    def _show_both(self, first: SimulatedChannel, second: SimulatedChannel) -> None:
        for leg, number in (
            (second, second.caller_id or first.caller_id),
            (first, second.callee_id or second.number),
        ):
            if leg.variables.get("ignore_display_updates") != "true":
                self._show(leg, number)

    def _show(self, channel: SimulatedChannel, number: str) -> None:
        if channel.half is not None:
            behind = channel.half.peer
            if behind is not None and behind.half is None:
                self._show(behind, number)
            return
        if number and channel.shown[-1:] != [number]:
            channel.shown.append(number)
            self._shown[channel.id] = channel.shown

    def shown(self, leg: e.LegId) -> tuple[str, ...]:
        """The numbers that a leg's phone has shown, in order.

        An outbound leg begins with the number that was called.
        """
        return tuple(self._shown.get(leg, ()))

    # ---- variables

    def setvar_multi(self, leg: e.LegId, variables: Mapping[str, str]) -> str:
        """`uuid_setvar_multi`: in effect before the reply. An empty value unsets."""
        channel = self._channels.get(leg)
        if channel is None:
            return NO_SUCH_CHANNEL
        for name, value in variables.items():
            if value:
                channel.variables[name] = value
            else:
                channel.variables.pop(name, None)
        return OK

    def setvar_later(
        self, group: str, leg: e.LegId, variables: Mapping[str, str], after_s: float
    ) -> str:
        """`sched_api +N GROUP uuid_setvar_multi …`."""
        return self._schedule(group, after_s, partial(self.setvar_multi, leg, variables))

    def display_later(
        self, group: str, leg: e.LegId, name: str, number: str, after_s: float
    ) -> str:
        """`sched_api +N GROUP uuid_display …`."""
        return self._schedule(group, after_s, partial(self.display, leg, name, number))

    def kill_later(self, group: str, leg: e.LegId, cause: str, after_s: float) -> str:
        """`sched_api +N GROUP uuid_kill …`."""
        return self._schedule(group, after_s, partial(self.kill, leg, cause))

    def _schedule(self, group: str, after_s: float, do: Callable[[], object]) -> str:
        """`sched_api +N GROUP …`, one task per group."""
        self._by_group[group] = task = object()
        self._after(after_s, partial(self._do_scheduled, group, do, task))
        return "+OK Added: 1"

    def _do_scheduled(self, group: str, do: Callable[[], object], task: object) -> None:
        if self._by_group.get(group) is task:
            del self._by_group[group]
            do()

    def getvar(self, leg: e.LegId, name: str) -> str:
        """`uuid_getvar`."""
        channel = self._channels.get(leg)
        if channel is None:
            return NO_SUCH_CHANNEL
        if name == "signal_bond":
            return channel.bond or "_undef_"
        if name == "bridge_uuid":
            return channel.bridge_uuid or "_undef_"
        profile = {
            "bridge_to": channel.bridged_to.id if channel.bridged_to is not None else "",
            "context": "default",
            "current_application": "park" if channel.place is ChannelPlace.PARKED else "",
            "destination_number": channel.destination,
            "dialplan": channel.dialplan,
            "direction": channel.direction.value,
        }
        return (profile.get(name) or channel.variables.get(name)) or "_undef_"

    # ---- calls go out

    def originate(
        self,
        leg: e.LegId,
        number: str,
        variables: Mapping[str, str],
        *,
        account: str = "",
        takes: e.LegId | None = None,
        dial_string: str = "",
    ) -> str:
        """`originate {origination_uuid=leg,…}… &park()`: call a number; park it when it answers.

        Args:
            leg: the id of the new leg. The id of a living leg is refused.
            number: the number to call.
            variables: the channel's; `originate_timeout` in whole seconds.
            account: the account of the call.
            takes: `&intercept(LEG)` instead of the park: the leg that it intercepts on its answer.
            dial_string: how the number is called: through `loopback/…`, or directly.

        Returns:
            The job's result, as far as it is known at once.
        """
        if leg in self._channels:
            return _DUPLICATE
        address = _address(number, dial_string)
        if dial_string.startswith(_LOOPBACK):
            channel = self._call_through(leg, address, variables, account)
        else:
            shown = variables.get("origination_caller_id_number", _NOBODY)
            channel = self._create(
                leg, address, e.Direction.OUTBOUND, account, variables, caller_id=shown
            )
            self._call_phone(channel)
        channel.takes = takes
        limit = variables.get("originate_timeout")
        if limit is not None:
            self._after(self._whole_seconds(limit), partial(self._ring_out, channel))
        return f"+OK {leg}"

    def _ring_out(self, channel: SimulatedChannel) -> None:
        if not (channel.answered or channel.waits_ringing):
            self._end(channel, "NO_ANSWER")


def _address(number: str, dial_string: str) -> str:
    """The number, and the context or domain in which a dial string looks it up."""
    where = dial_string.rpartition("/")[2]
    if dial_string.startswith(_LOOPBACK):
        return number if where == number else f"{number}@{where}"
    return where if where.startswith(f"{number}@") else number
