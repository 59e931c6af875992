"""The simulator's facts, published as FreeSWITCH's events.

The simulator reports only what matters for a transfer; FreeSWITCH reports everything. This module
adds the rest, in the order of the recordings:

* CHANNEL_UNPARK when a leg leaves the park, and with its end if it hangs up there;
* CHANNEL_UNBRIDGE on the leg that owned the bridge, also when one of the two has hung up;
* PLAYBACK_STOP, CHANNEL_HANGUP_COMPLETE and CHANNEL_DESTROY after CHANNEL_HANGUP, up to a tick
  later, since each leg has a thread that must notice;
* CHANNEL_EXECUTE and CHANNEL_EXECUTE_COMPLETE around each application.

An event shows a leg's states as they were *before* the event: a CHANNEL_ANSWER says
`Channel-Call-State: RINGING`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import attrs

from hookflash.backends.freeswitch.sounds import sound_played
from hookflash.backends.simulator.sounds import sound_length_s
from hookflash.backends.simulator.switch import SimulatedChannel
from hookflash.emulator.event_bus import EventBus
from hookflash.emulator.events import Header
from hookflash.emulator.host import Host
from hookflash.emulator.legs import CALL_STATE_NUMBERS, EmulatedLeg, caller_of
from hookflash.emulator.parsing import Dialled
from hookflash.emulator.variables import (
    bridged_variables,
    dialplan_variables,
    disposition,
)
from hookflash.events import DigitPressed, Direction, LegCreated, LegHungUp, LegId

_TO_NOTICE_S: Final = 0.020
"""A leg's thread wakes up once per audio packet."""

_ACCOUNT_VARIABLE: Final = "hookflash_account"
_OWNER_VARIABLE: Final = "hookflash_owner"
_OUTSIDE_CONTEXT: Final = "public"
"""The dialplan context of calls that come in by the trunk."""
_GATEWAY: Final = "carrier"
"""The trunk for calls to outside numbers."""
_SAMPLES_PER_MS: Final = 8


@attrs.define(kw_only=True)
class Incoming:
    """A call that is about to come in."""

    callee: str
    caller_name: str


@attrs.define(kw_only=True)
class Outgoing:
    """A leg that is about to be called."""

    dialled: Dialled
    caller_name: str
    caller_number: str
    originator: EmulatedLeg | None


class EventPublisher:
    """Publishes the events of the legs of one switch."""

    def __init__(self, host: Host, bus: EventBus) -> None:
        """Begin without legs.

        Args:
            host: holds the switch, its clock and its ids; its dice decide how long a leg takes to
                notice its end.
            bus: sends the events.
        """
        self._host = host
        self._fire = bus.fire
        self._now_us = host.now_us
        self._make_id = host.make_id
        self._random = host.dice.random
        self.legs: dict[LegId, EmulatedLeg] = {}
        """Every leg until its CHANNEL_DESTROY."""
        self.sessions = 0
        """How many legs there have been in total."""
        self.peak = 0
        """The highest number of legs at once."""
        self.incoming: Incoming | None = None
        self.outgoing: Outgoing | None = None
        self.killing = False
        """Note that the switch is about to end a leg at a program's request."""
        self.bridging = False
        """Note that two legs are about to be joined at a program's request."""
        self.dtmf_source = "RTP"
        self.on_end: Callable[[EmulatedLeg], None] = lambda _leg: None
        """Called between a leg's CHANNEL_HANGUP_COMPLETE and its CHANNEL_DESTROY."""
        self._calling: EmulatedLeg | None = None

    def find(self, leg: LegId) -> EmulatedLeg | None:
        """Find a living leg."""
        return None if self._host.world.switch.find(leg) is None else self.legs.get(leg)

    def peer_of(self, leg: EmulatedLeg) -> EmulatedLeg | None:
        """Find the living leg with which another one is joined."""
        peer = leg.channel.peer
        return None if peer is None else self.find(peer.id)

    # ---- publishing

    def publish(
        self,
        name: str,
        leg: EmulatedLeg,
        first: Sequence[Header] = (),
        last: Sequence[Header] = (),
        *,
        variables: bool = True,
    ) -> None:
        """Publish an event of a leg, with extra headers before and after the leg's."""
        self._fire(
            name,
            lambda: [
                *first,
                *leg.headers(name),
                *(leg.variable_headers() if variables else ()),
                *last,
            ],
        )

    def _state(self, leg: EmulatedLeg) -> None:
        self.publish("CHANNEL_STATE", leg, variables=False)

    def _call_state(self, leg: EmulatedLeg, before: str) -> None:
        number = str(CALL_STATE_NUMBERS[leg.call_state])
        first = [("Original-Channel-Call-State", before), ("Channel-Call-State-Number", number)]
        self.publish("CHANNEL_CALLSTATE", leg, first, variables=False)

    def executes(self, leg: EmulatedLeg, app: str, data: str, run: str = "") -> None:
        """Publish the start of an application."""
        leg.runs[app] = (run or self._make_id(), data)
        leg.application = (app, data)
        if app != "uuid_bridge":
            leg.variables["current_application"] = app
            leg.variables.pop("current_application_data", None)
            if data:
                leg.variables["current_application_data"] = data
        self.publish("CHANNEL_EXECUTE", leg, last=_application(app, leg.runs[app]))

    def executed(self, leg: EmulatedLeg, app: str, response: str = "_none_") -> None:
        """Publish the end of an application whose start was published."""
        run = leg.runs.pop(app, None)
        if run is not None:
            self.publish("CHANNEL_EXECUTE_COMPLETE", leg, last=_application(app, run, response))

    def failed_to_create(self, leg: LegId) -> None:
        """Publish the end of a leg that never began: its endpoint does not exist."""
        self.sessions += 1
        headers: list[Header] = [
            ("Channel-State", "CS_NONE"),
            ("Channel-Call-State", "DOWN"),
            ("Channel-State-Number", "0"),
            ("Channel-Name", "N/A"),
            ("Unique-ID", leg),
            ("Call-Direction", "outbound"),
            ("Presence-Call-Direction", "outbound"),
            ("Channel-HIT-Dialplan", "false"),
            ("Channel-Call-UUID", leg),
            ("Answer-State", "ringing"),
            ("variable_direction", "outbound"),
            ("variable_is_outbound", "true"),
            ("variable_uuid", leg),
            ("variable_call_uuid", leg),
            ("variable_session_id", str(self.sessions)),
        ]
        self._fire("CHANNEL_DESTROY", lambda: headers)

    # ---- calls come and go out

    def created(self, fact: LegCreated) -> None:
        """Publish a new leg."""
        channel = self._host.world.switch.find(fact.leg)
        if channel is None:
            return
        self.sessions += 1
        if fact.direction is Direction.INBOUND:
            leg = self._comes_in(fact, channel)
        else:
            leg = self._goes_out(fact, channel)
        if fact.outside and leg.inbound:
            leg.context = _OUTSIDE_CONTEXT
        elif fact.outside:
            leg.variables["sip_gateway_name"] = _GATEWAY
        if fact.account:
            leg.variables[_ACCOUNT_VARIABLE] = fact.account
        if fact.owner_id:
            leg.variables[_OWNER_VARIABLE] = fact.owner_id
        self.legs[fact.leg] = leg
        self.peak = max(self.peak, len(self.legs))
        leg.on_state = self._state
        leg.on_call_state = self._call_state
        leg.enters("CS_INIT")
        self.publish("CHANNEL_CREATE", leg)
        if leg.inbound:
            leg.routed()
            self._calling = leg
            self.executes(leg, "bridge", f"sofia/internal/{leg.destination}@127.0.0.1:5090")
        else:
            leg.called()

    def _comes_in(self, fact: LegCreated, channel: SimulatedChannel) -> EmulatedLeg:
        if fact.other_half in self.legs:
            return self._comes_through(fact, channel, self.legs[fact.other_half])
        incoming = self.incoming or Incoming(callee="", caller_name="")
        self.incoming = None
        return EmulatedLeg(
            id=fact.leg,
            channel=channel,
            session=self.sessions,
            inbound=True,
            name=f"sofia/internal/{fact.number}@127.0.0.1",
            destination=incoming.callee,
            caller_name=incoming.caller_name,
            caller_number=fact.number,
            created_us=self._now_us(),
        )

    def _comes_through(
        self, fact: LegCreated, channel: SimulatedChannel, half: EmulatedLeg
    ) -> EmulatedLeg:
        """Publish loopback-b, which comes in from loopback-a for the same number."""
        return EmulatedLeg(
            id=fact.leg,
            channel=channel,
            session=self.sessions,
            inbound=True,
            name=f"loopback/{half.destination}-b",
            destination=half.destination,
            caller_name=half.caller_name,
            caller_number=half.caller_number,
            created_us=self._now_us(),
            endpoint="loopback",
        )

    def _goes_out(self, fact: LegCreated, channel: SimulatedChannel) -> EmulatedLeg:
        outgoing = self.outgoing
        self.outgoing = None
        if outgoing is None:
            outgoing = self._second_half(fact)
        leg = EmulatedLeg(
            id=fact.leg,
            channel=channel,
            session=self.sessions,
            inbound=False,
            name=outgoing.dialled.channel_name,
            destination=fact.number,
            caller_name=outgoing.caller_name,
            caller_number=outgoing.caller_number,
            created_us=self._now_us(),
            endpoint="loopback" if outgoing.dialled.endpoint == "loopback" else "sofia",
            originator=outgoing.originator,
        )
        if self._calling is not None:
            self._calling.variables |= dialplan_variables(self._calling, leg)
            self._calling = None
        return leg

    def _second_half(self, fact: LegCreated) -> Outgoing:
        """Publish the callee's leg of a call that has just come in or was just ordered."""
        calling = self._calling or self.legs.get(fact.called_for)
        name, number = caller_of({}, calling)
        near = bool(fact.other_half)
        return Outgoing(
            dialled=Dialled(
                number=fact.number,
                endpoint="loopback" if near else "sofia",
                channel_name=f"loopback/{fact.number}-a"
                if near
                else f"sofia/internal/{fact.number}@127.0.0.1:5090",
                variables={},
            ),
            caller_name=name,
            caller_number=number,
            originator=calling,
        )

    def progressed(self, leg: EmulatedLeg, *, early_media: bool) -> None:
        """Publish ringing or early media."""
        leg.reached()
        if early_media:
            leg.gets_media()
            leg.answer_state = "early"
            leg.media_us = self._now_us()
            self.publish("CHANNEL_PROGRESS_MEDIA", leg)
            leg.goes("EARLY")
        else:
            leg.progress_us = self._now_us()
            self.publish("CHANNEL_PROGRESS", leg)
            leg.goes("RINGING")

    def answered(self, leg: EmulatedLeg) -> None:
        """Publish an answer."""
        leg.reached()
        leg.gets_media()
        leg.gets_answered(self._now_us())
        self.publish("CHANNEL_ANSWER", leg)
        leg.goes("ACTIVE")
        leg.variables["endpoint_disposition"] = "ANSWER"

    # ---- the park and the bridges

    def transferred(self, leg: EmulatedLeg, where: str) -> None:
        """Publish that a program sends a leg elsewhere."""
        leg.goes_elsewhere(where, now_us=self._now_us(), source_id=self._make_id())

    def parked(self, leg: EmulatedLeg, *, by_bridge: bool = False) -> None:
        """Publish that a leg is parked."""
        leg.is_parked(by_bridge=by_bridge)
        if by_bridge and leg.other is not None and leg.other.cause:
            leg.leaves_bridge(leg.other)
        if not by_bridge:
            self.executes(leg, "park", "")
        leg.in_park = True
        self.publish("CHANNEL_PARK", leg)

    def parked_by_failsafe(self, leg: EmulatedLeg) -> None:
        """Publish an armed leg in the park: `execute_extension` of `sched_transfer` and `park`."""
        leg.is_parked(by_bridge=False)
        armed = leg.channel.failsafe
        if armed is not None:
            arguments = leg.channel.variables["exec_after_bridge_arg"]
            self.executes(leg, "execute_extension", arguments)
            later = f"+{armed.after_s} intercept:{armed.wanted} inline"
            self.executes(leg, "sched_transfer", later)
            self.executed(leg, "sched_transfer")
        self.parked(leg)

    def unparked(self, channel: SimulatedChannel) -> None:
        """Publish that a leg left the park, if its CHANNEL_PARK was published."""
        leg = self.legs[channel.id]
        if not leg.in_park:
            return
        leg.in_park = False
        self.publish("CHANNEL_UNPARK", leg)
        self.executed(leg, "park")
        self.executed(leg, "execute_extension")

    def joining(self, first: SimulatedChannel, second: SimulatedChannel) -> None:
        """Publish that two legs are being bridged."""
        one, other = self.legs[first.id], self.legs[second.id]
        if not self.bridging:
            self.executes(one, "intercept", other.id)
            self.executed(one, "intercept")
        now_us = self._now_us()
        one.joins(other, first=True, now_us=now_us, source_id=self._make_id())
        other.joins(one, first=False, now_us=now_us, source_id=self._make_id())

    def joined(self, first: EmulatedLeg, second: EmulatedLeg) -> None:
        """Publish that two legs are bridged."""
        ordered = "uuid_bridge" in first.variables and "bridge" not in first.runs
        now_us = self._now_us()
        first.is_joined(second, first=True, ordered=ordered, now_us=now_us)
        second.is_joined(first, first=False, ordered=ordered, now_us=now_us)
        if ordered:
            for leg, other in ((first, second), (second, first)):
                self.executes(leg, "uuid_bridge", other.id)
                leg.runs.pop("uuid_bridge", None)  # its end has no event
        else:
            first.variables.pop("originate_signal_bond", None)
            first.variables |= {
                "originate_disposition": "SUCCESS",
                "DIALSTATUS": "SUCCESS",
                "originate_causes": f"{second.id};NONE",
            }
        self.publish("CHANNEL_BRIDGE", first, _pair(first, second))
        second.enters("CS_EXCHANGE_MEDIA")
        if first.inbound:
            first.variables |= bridged_variables(first)

    def parted(self, first: SimulatedChannel, second: SimulatedChannel) -> None:
        """Publish the end of a bridge."""
        if first.id not in self.legs or second.id not in self.legs:
            return  # its partner was playing a sound, and notices the hang-up only now
        one, other = self.legs[first.id], self.legs[second.id]
        leaver = one if one.cause else other if other.cause else None
        one.leaves_bridge(leaver)
        other.leaves_bridge(leaver)
        self.publish("CHANNEL_UNBRIDGE", one, _pair(one, other))
        self.executed(one, "bridge")

    # ---- sounds and digits

    def sound_started(self, leg: EmulatedLeg, sound: str, run: str) -> None:
        """Publish the start of a sound."""
        self.executes(leg, "playback", sound, run)
        leg.plays = sound
        leg.played_from_us = self._now_us()
        leg.variables |= {"current_loop": "1", "total_loops": "1"}
        self.publish("PLAYBACK_START", leg, last=_playback(sound))

    def sound_stopped(self, leg: EmulatedLeg) -> None:
        """Publish the end of a sound, complete or interrupted."""
        sound, leg.plays = leg.plays, ""
        played_ms = round((self._now_us() - leg.played_from_us) / 1000)
        lasts_s = sound_length_s(sound_played(sound))
        played_out = lasts_s is not None and played_ms >= round(lasts_s * 1000)
        leg.variables |= {
            "playback_last_offset_pos": str(played_ms * _SAMPLES_PER_MS),
            "playback_seconds": str(played_ms // 1000),
            "playback_ms": str(played_ms),
            "playback_samples": str(played_ms * _SAMPLES_PER_MS),
        }
        status: Header = ("Playback-Status", "done")
        self.publish("PLAYBACK_STOP", leg, last=[*_playback(sound), status])
        response = "FILE PLAYED" if played_out else "PLAYBACK ERROR"
        for loop in ("current_loop", "total_loops"):
            leg.variables.pop(loop, None)
        leg.variables["current_application_response"] = response
        self.executed(leg, "playback", response)

    def took_part(self, leg: EmulatedLeg, of: LegId) -> None:
        """Publish that a leg takes part in a conversation: a media bug of the other leg."""
        leg.is_in_dialplan()
        self.executes(leg, "three_way", of)
        self.publish("MEDIA_BUG_START", self.legs[of], _eavesdrops(of))

    def left_part(self, leg: EmulatedLeg, of: LegId) -> None:
        """Publish that a leg takes part no longer."""
        if of in self.legs:
            self.publish("MEDIA_BUG_STOP", self.legs[of], _eavesdrops(of))
        self.executed(leg, "three_way")

    def pressed(self, leg: EmulatedLeg, fact: DigitPressed) -> None:
        """Publish a key."""
        leg.digits += fact.digit
        pressed: list[Header] = [
            ("DTMF-Digit", fact.digit),
            ("DTMF-Duration", "2080" if self.dtmf_source == "RTP" else "2000"),
            ("DTMF-Source", self.dtmf_source),
        ]
        self.publish("DTMF", leg, last=pressed, variables=False)

    # ---- ends

    def hung_up(self, leg: EmulatedLeg, fact: LegHungUp) -> None:
        """Handle a leg's hang-up. `over` publishes the rest when its thread has noticed."""
        leg.hangs_up(fact.cause, by_switch=self._is_ours(leg, fact.cause))
        self.publish("CHANNEL_HANGUP", leg)
        if leg.inbound and leg.answered_us:
            leg.variables["sip_hangup_disposition"] = disposition(leg)

    def _is_ours(self, leg: EmulatedLeg, cause: str) -> bool:
        """Whether the switch ended the leg, and not its party."""
        if self.killing or cause in _ENDED_BY_SWITCH:
            return True
        return leg.bridged_us != 0 and leg.other is not None and bool(leg.other.cause)

    def over(self, channel: SimulatedChannel) -> None:
        """Remove a leg that has hung up from the other legs."""
        leg = self.legs[channel.id]
        self._host.world.after(_TO_NOTICE_S * self._random(), partial(self._destroy, leg))

    def _destroy(self, leg: EmulatedLeg) -> None:
        if leg.plays:
            self.sound_stopped(leg)
        self.unparked(leg.channel)
        leg.reports(self._now_us())
        self.publish("CHANNEL_HANGUP_COMPLETE", leg, [("Hangup-Cause", leg.cause)])
        self.on_end(leg)
        self.publish("CHANNEL_DESTROY", leg)
        leg.enters("CS_DESTROY")
        del self.legs[leg.id]


_ENDED_BY_SWITCH: Final = frozenset(
    {"NO_ANSWER", "ORIGINATOR_CANCEL", "PICKED_OFF", "DESTINATION_OUT_OF_ORDER", "LOSE_RACE"}
)


def _pair(first: EmulatedLeg, second: EmulatedLeg) -> list[Header]:
    return [("Bridge-A-Unique-ID", first.id), ("Bridge-B-Unique-ID", second.id)]


def _eavesdrops(leg: LegId) -> list[Header]:
    return [("Media-Bug-Function", "eavesdrop"), ("Media-Bug-Target", leg)]


def _playback(sound: str) -> list[Header]:
    scheme, colon, _ = sound.partition("://")
    kind = scheme if colon else "file"
    return [("Playback-File-Type", kind), ("Playback-File-Path", sound)]


def _application(app: str, run: tuple[str, str], response: str = "") -> list[Header]:
    run_id, data = run
    headers: list[Header] = [("Application", app)]
    if data:
        headers.append(("Application-Data", data))
    if response:
        headers.append(("Application-Response", response))
    headers.append(("Application-UUID", run_id))
    return headers
