"""A simulated Asterisk: its primitives, its facts, and its traps.

Everything here was recorded and measured on Asterisk 22.10. `channel` defines a leg, `hearing`
sounds and keys, `bridges` joins, `dialplan` what legs do by themselves. This module has incoming
and outgoing calls, and what people do.

* **A target through `Local/…/n` is three legs**: the near half, which was ordered; the far half,
  which runs the dialplan; and the phone that the dialplan calls. Both halves are reported, the far
  one first and without a number. When the phone answers, both halves answer, and the near half goes
  to the park.
* **When one half ends, the other ends too**, within 2 ms and with the same cause. It does nothing
  more.
* **Each key is reported twice**: on the leg whose party presses it, and on the half behind its
  bridge partner.
* **The switch notices at once that a controller is gone**: legs that come to the park find none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import count
from typing import Final

from hookflash import events as e
from hookflash.backends.asterisk.dialplan import DEFAULT_CONTEXT
from hookflash.backends.asterisk.primitives import (
    DEFAULT_ACCOUNT_VARIABLE,
    DEFAULT_OWNER_VARIABLE,
    LIMIT_S,
    PICK_UP,
    SHOW_BY,
    OriginateChannel,
)
from hookflash.backends.asterisk.procedures import FAR_HALF
from hookflash.backends.simulator.asterisk.bridges import CLEARING
from hookflash.backends.simulator.asterisk.channel import App, AsteriskChannel, Leaving
from hookflash.backends.simulator.asterisk.dialplan import Dialplan
from hookflash.backends.simulator.asterisk.extensions import DialplanPlace
from hookflash.backends.simulator.asterisk.hearing import NOT_FOUND, TO_STEP_S
from hookflash.backends.simulator.channel import (
    SILENCE,
    Audible,
    Extension,
    Sense,
    ToInline,
    ToLeg,
    ToPark,
    ToPart,
    ToPhone,
    ToSound,
)
from hookflash.backends.simulator.surroundings import Surroundings
from hookflash.causes import CAUSES, LAST_OF_Q850, word_for

CALLS_CONTEXT: Final = "default"
"""The context of the operator's own dialplan, for dialled numbers."""
_ELSEWHERE: Final = "elsewhere"
"""A context of another program."""
_NOWHERE: Final = "NORMAL_UNSPECIFIED"
"""The cause of a call to a number that is not in the dialplan (measured)."""
_ABSENT: Final = "SUBSCRIBER_ABSENT"
_LOCAL: Final = "Local/"
_INHERITED: Final = "__"
_IN_USE: Final = '409 {"message":"Channel with given unique ID already exists"}'
_NO_ENDPOINT: Final = '500 {"error":"Allocation failed"}'


class SimulatedAsterisk(Dialplan):
    """The switch. Its operations return the reason of a refusal, if any."""

    def __init__(self, around: Surroundings) -> None:
        """Set up a switch without calls."""
        super().__init__(around)
        self.now = around.now
        self._ring_phone = around.ring_phone
        self._has_phone = around.has_phone
        self.connected = True
        self.on_parked = lambda _leg, _why: None
        self.on_left_park: Callable[[e.LegId], None] = lambda _leg: None
        self.name_leg: Callable[[], e.LegId] = lambda: f"leg-{next(self._legs_named)}"
        """Generates ids for legs without a given one."""
        self._legs_named = count(1)
        self._channels_named = count(1)
        self._shown: dict[e.LegId, list[str]] = {}

    def channels(self) -> Iterable[AsteriskChannel]:
        """List the living legs, oldest first."""
        return self._channels.values()

    def phone_of(self, leg: e.LegId) -> e.LegId:
        """Find the leg of a phone: for a near half, the one behind the far half."""
        channel = self._channels.get(leg)
        while channel is not None and channel.half is not None and channel.is_near:
            behind = channel.half.peer or channel.half.calls
            if behind is None:
                break
            channel = behind
        return leg if channel is None else channel.id

    # ---- controllers

    def connect(self) -> None:
        """Register a controller: it gets the legs that wait for one."""
        self.connected = True
        for channel in tuple(self._channels.values()):
            waits = channel.place.context == DEFAULT_CONTEXT and channel.app is App.WAIT
            if waits and channel.place.exten == "park":
                channel.moves += 1
                channel.place = DialplanPlace(DEFAULT_CONTEXT, "park")
                self._go_on(channel)

    def disconnect(self) -> None:
        """Disconnect the controller. Legs in Stasis stay there, with their sounds."""
        self.connected = False

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
        """Take a call and pass it on, as a dialplan's `Dial` does.

        Args:
            caller: the caller's number.
            callee: the called number.
            account: the account of the call.
            callee_account: the account of the callee's leg; by default the same.
            through_loopback: whether the dialplan calls `Local/…/n`.
            owner_id: the user or device that the caller's leg belongs to.

        Returns:
            The caller's leg and the callee's: through the dialplan, that of the near half.
        """
        first = self._create(
            self.name_leg(),
            f"PJSIP/{caller.partition('@')[0]}",
            caller,
            e.Direction.INBOUND,
            account=account,
            exten=callee,
            variables={DEFAULT_OWNER_VARIABLE: owner_id} if owner_id else {},
        )
        self._tell(first)
        theirs = account if callee_account is None else callee_account
        first.app = App.DIAL
        if through_loopback:
            second = self._call_through(
                self.name_leg(), callee, variables={}, account="", shown=caller, caller=first
            )
        else:
            second = self._call_for(first, callee, theirs, caller)
        return first.id, second.id

    def call_slot(
        self, caller: str, slot: str, *, account: str = "", owner_id: str = ""
    ) -> e.LegId:
        """Take a call for the number of a slot: the operator's dialplan sends it to the park.

        Returns:
            The caller's leg.
        """
        own = {DEFAULT_OWNER_VARIABLE: owner_id} if owner_id else {}
        variables = {**own, PICK_UP: slot, LIMIT_S: "10"}
        channel = self._create(
            self.name_leg(),
            f"PJSIP/{caller.partition('@')[0]}",
            caller,
            e.Direction.INBOUND,
            account=account,
            exten=slot,
            variables=variables,
        )
        self._tell(channel)
        self._up(channel)
        self._send(channel, DialplanPlace(DEFAULT_CONTEXT, "park"))
        return channel.id

    def _create(
        self,
        leg: e.LegId,
        endpoint: str,
        number: str,
        direction: e.Direction,
        *,
        account: str,
        exten: str,
        variables: Mapping[str, str] | None = None,
    ) -> AsteriskChannel:
        suffix = f"-{next(self._channels_named):08x}"
        half = ";1" if direction is e.Direction.OUTBOUND else ";2"
        name = endpoint + suffix + (half if endpoint.startswith(_LOCAL) else "")
        place = DialplanPlace(CALLS_CONTEXT, exten)
        address, number = number, number.partition("@")[0]
        channel = AsteriskChannel(
            leg, name, number, direction, place, account, dict(variables or ())
        )
        channel.address = address
        self._channels[leg] = channel
        self._shown[leg] = channel.shown
        return channel

    def _tell(
        self, channel: AsteriskChannel, *, number: str | None = None, other_half: e.LegId = ""
    ) -> None:
        self._report(
            e.LegCreated(
                leg=channel.id,
                number=channel.number if number is None else number,
                direction=channel.direction,
                account="" if number == "" else channel.account,
                owner_id="" if number == "" else channel.variables.get(DEFAULT_OWNER_VARIABLE, ""),
                other_half=other_half,
                called_for=channel.called_for,
            )
        )

    def _call_for(
        self, caller: AsteriskChannel, number: str, account: str, shown: str
    ) -> AsteriskChannel:
        """Create the leg that a dialplan's `Dial` calls."""
        inherited = {
            name: value
            for name, value in caller.variables.items()
            if name == DEFAULT_ACCOUNT_VARIABLE or (name == DEFAULT_OWNER_VARIABLE and caller.half)
        }
        account = inherited.get(DEFAULT_ACCOUNT_VARIABLE, account)
        endpoint = f"PJSIP/{number.partition('@')[0]}"
        leg = self.name_leg()
        channel = self._create(
            leg,
            endpoint,
            number,
            e.Direction.OUTBOUND,
            account=account,
            exten=caller.place.exten,
            variables=inherited,
        )
        self._called(channel, caller)
        self._tell(channel)
        self._show(channel, shown)
        if not self._ring_phone(channel.id, channel.address):
            self._after(self.span(TO_STEP_S), partial(self._refused, channel, _NOWHERE))
        return channel

    @staticmethod
    def _called(channel: AsteriskChannel, caller: AsteriskChannel) -> None:
        channel.app = App.CALLED
        channel.called_for, channel.called_by = caller.id, caller
        caller.calls = channel
        caller.app = App.DIAL
        caller.leaving = channel.leaving = Leaving.ENDS

    def _call_through(
        self,
        leg: e.LegId,
        number: str,
        *,
        variables: Mapping[str, str],
        account: str,
        shown: str,
        caller: AsteriskChannel | None = None,
    ) -> AsteriskChannel:
        """Call a number through the dialplan: the two halves, and the leg behind them."""
        endpoint = f"{_LOCAL}{number if '@' in number else f'{number}@{CALLS_CONTEXT}'}"
        near = self._create(
            leg,
            endpoint,
            number,
            e.Direction.OUTBOUND,
            account=account,
            exten=number,
            variables=variables,
        )
        far_id = self.name_leg() if caller is not None else f"{leg}{FAR_HALF}"
        far = self._create(
            far_id,
            endpoint,
            shown,
            e.Direction.INBOUND,
            account=account,
            exten=number,
            variables=variables,
        )
        far.name = f"{near.name[:-1]}2"
        near.half, far.half = far, near
        near.is_near = True
        near.shown.append(shown)
        near.app = App.CALLED
        if caller is not None:
            self._called(near, caller)
        if not self._has_phone(number):
            self._tell(far, number="", other_half=leg)
            self._tell(near)
            far.half = None
            self._end(far, _NOWHERE)
            self._refused(near, _NOWHERE)
            return near
        self._tell(far, number="", other_half=leg)
        self._tell(near)
        far.app = App.DIAL
        self._call_for(far, number, "", shown)
        return near

    def originate(self, step: OriginateChannel) -> str | None:
        """`POST /channels`: call a party; when it answers, its leg goes to the park."""
        if step.leg in self._channels:
            return _IN_USE
        variables = dict(step.variables)
        account = next(
            (
                variables[name]
                for name in (f"{_INHERITED}{DEFAULT_ACCOUNT_VARIABLE}", "CHANNEL(accountcode)")
                if name in variables
            ),
            "",
        )
        plain = {name.lstrip("_"): value for name, value in variables.items() if "(" not in name}
        shown = step.caller.rpartition("<")[2].removesuffix(">")
        address = _address(step.number, step.endpoint)
        if step.endpoint.startswith(_LOCAL):
            channel = self._call_through(
                step.leg, address, variables=plain, account=account, shown=shown
            )
        else:
            if not self._has_phone(address):
                return _NO_ENDPOINT
            channel = self._create(
                step.leg,
                step.endpoint,
                address,
                e.Direction.OUTBOUND,
                account=account,
                exten="s",
                variables=plain,
            )
            channel.app = App.CALLED
            self._tell(channel)
            self._show(channel, shown)
            self._ring_phone(channel.id, channel.address)
        self._after(step.timeout_s, partial(self._ring_out, channel))
        return None

    def _ring_out(self, channel: AsteriskChannel) -> None:
        if not channel.answered:
            self._end(channel, "NO_ANSWER")

    # ---- what people do

    def ring(self, leg: e.LegId, *, early_media: bool = False) -> None:
        """The phone rings (180), or sends early media (183)."""
        channel = self._channels.get(leg)
        if channel is None or channel.answered:
            return
        self._report(e.LegProgressed(leg=leg, early_media=early_media))
        caller = channel.called_by
        if caller is not None and caller.half is not None and not caller.half.answered:
            self.ring(caller.half.id, early_media=early_media)

    def answer(self, leg: e.LegId) -> None:
        """The party picks up. A leg that is gone or has answered is left as it is."""
        channel = self._channels.get(leg)
        if channel is None or channel.answered or channel.direction is e.Direction.INBOUND:
            return
        if channel.half is None:
            self._up(channel)
            self._after(self.span(TO_STEP_S), partial(self._connect, channel))

    def _up(self, channel: AsteriskChannel) -> None:
        if not channel.answered:
            channel.answered = True
            self._report(e.LegAnswered(leg=channel.id))

    def _connect(self, channel: AsteriskChannel) -> None:
        """A leg that was called has answered: it goes to its caller, or to the park."""
        caller, channel.called_by = channel.called_by, None
        if channel.cause or channel.app is not App.CALLED or channel.is_sent:
            return
        if caller is None:
            channel.place = DialplanPlace(DEFAULT_CONTEXT, "park")
            self._go_on(channel)
            return
        caller.calls = None
        if caller.cause or caller.is_sent:
            self._end(channel, CLEARING)
            return
        self._up(caller)
        near = caller.half
        if near is not None and not near.cause and not near.answered:
            self._up(near)
            self._after(self.span(TO_STEP_S), partial(self._connect, near))
        self._join(channel, caller)

    def refuse(self, leg: e.LegId, cause: str) -> None:
        """The phone declines the call (USER_BUSY, CALL_REJECTED, …) if it still rings."""
        channel = self._channels.get(leg)
        if channel is not None and not channel.answered and channel.half is None:
            known = CAUSES.get(cause, LAST_OF_Q850 + 1) <= LAST_OF_Q850
            self._refused(channel, cause if known else _ABSENT)

    def _refused(self, channel: AsteriskChannel, cause: str) -> None:
        """End a failed call and the leg that placed it, with the same cause."""
        if channel.cause:
            return
        caller, channel.called_by = channel.called_by, None
        self._end(channel, cause)
        if caller is not None and not caller.cause:
            caller.calls = None
            self._end(caller, cause)

    def hang_up(self, leg: e.LegId) -> None:
        """The party hangs up, in any state of the leg."""
        channel = self._channels.get(leg)
        if channel is not None and channel.half is None:
            channel.is_leaving = True
            self._after(self.span(TO_STEP_S), partial(self._end, channel, CLEARING))

    def press(self, leg: e.LegId, digit: str) -> None:
        """The party presses a key; its bridge partner hears that."""
        channel = self._channels.get(leg)
        if channel is None or not channel.answered:
            return
        self._report(e.DigitPressed(leg=leg, digit=digit))
        peer = channel.peer
        if peer is None:
            return
        if peer.half is None:
            self._listen(peer.id, Audible(Sense.DIGIT, digit))
        else:
            self.press(peer.half.id, digit)

    def kill(self, leg: e.LegId, cause: int) -> str | None:
        """`DELETE /channels/LEG?reason_code=CAUSE`."""
        channel = self._channels.get(leg)
        if channel is None:
            return NOT_FOUND
        self._after(self.span(TO_STEP_S), partial(self._end, channel, word_for(cause)))
        return None

    def _end(self, channel: AsteriskChannel, cause: str) -> None:
        if channel.cause:
            return
        if channel.bridge is not None:
            channel.bridge.cause = cause
        self._leave(channel, cause)
        channel.cause = cause
        channel.moves += 1
        del self._channels[channel.id]
        self._report(e.LegHungUp(leg=channel.id, cause=cause))
        self._hear(channel)
        for other in self._channels.values():
            if other.part_of is channel:
                self._after(self.span(TO_STEP_S), partial(self._part_over, other, channel))
        half = channel.half
        if half is not None:
            self._after(self.span(TO_STEP_S), partial(self._end, half, cause))
        caller, channel.called_by = channel.called_by, None
        if caller is not None and caller.calls is channel:
            caller.calls = None
            self._after(self.span(TO_STEP_S), partial(self._end, caller, cause))

    def _part_over(self, channel: AsteriskChannel, of: AsteriskChannel) -> None:
        """The channel has ended in whose conversation this one takes part: it goes on."""
        if channel.part_of is of and not channel.is_sent:
            self._end_part(channel)
            self._go_on(channel)

    def _give_up_call(self, channel: AsteriskChannel, cause: str) -> None:
        callee, channel.calls = channel.calls, None
        if callee is not None:
            callee.called_by = None
            self._after(self.span(TO_STEP_S), partial(self._end, callee, cause or CLEARING))

    # ---- what other programs do

    def transfer(self, leg: e.LegId, how: Extension, *, both: bool = False) -> None:
        """Another program's `Redirect`, into a context of its own."""
        channel = self._channels.get(leg)
        if channel is None:
            return
        channels = [channel] if not both or channel.peer is None else [channel, channel.peer]
        for one in channels:
            one.errand = how
            self._send(one, DialplanPlace(_ELSEWHERE, "s"))

    def _run_elsewhere(self, channel: AsteriskChannel) -> None:
        channel.app = App.ELSEWHERE
        match channel.errand:
            case ToSound(sound, lasts_s):
                sense = Sense.MUSIC if lasts_s is None else Sense.TONE
                channel.announced = Audible(sense, str(sound))
                if lasts_s is not None:
                    self._after(lasts_s, partial(self._announced, channel, channel.moves))
            case ToPhone(number):
                channel.app = App.DIAL
                self._call_for(channel, number, "", channel.number)
            case ToLeg(wanted):
                whom = self._channels.get(wanted)
                if whom is None or not self.bridge(channel, whom.name, None):
                    self._end(channel, CLEARING)
            case ToPark() | ToInline() | ToPart():
                channel.announced = SILENCE
            case None:
                self._end(channel, CLEARING)
        self._hear(channel)

    def _announced(self, channel: AsteriskChannel, moves: int) -> None:
        if channel.moves == moves and not channel.cause:
            self._end(channel, CLEARING)

    def _left_the_park(self, channel: AsteriskChannel) -> None:
        self.on_left_park(channel.id)

    # ---- displays

    def _introduce(self, one: AsteriskChannel, other: AsteriskChannel) -> None:
        for leg, whom in ((one, other), (other, one)):
            self._show_instead(leg, whom.number)

    def _show_instead(self, leg: AsteriskChannel, number: str) -> None:
        """Show a number, or what the leg's subroutine shows instead."""
        if leg.variables.get(SHOW_BY):
            number = leg.variables.get("HOOKFLASH_SHOWN", "")
        self._show(leg, number)

    def _connected_line(
        self, channel: AsteriskChannel, part: str, value: str, *, now: bool
    ) -> None:
        if part == "num" and now:
            self._show_instead(channel, value)

    def _show(self, channel: AsteriskChannel, number: str) -> None:
        if channel.half is not None:
            behind = channel.half.peer
            if behind is not None and behind.half is None:
                self._show(behind, number)
            return
        if number and channel.shown[-1:] != [number]:
            channel.shown.append(number)

    def shown(self, leg: e.LegId) -> tuple[str, ...]:
        """The numbers that a leg's phone has shown, in order."""
        return tuple(self._shown.get(leg, ()))


def _address(number: str, endpoint: str) -> str:
    """The number, and the context or domain in which an endpoint looks it up."""
    where = endpoint.split("/")[1]
    return where if where.startswith(f"{number}@") else number
